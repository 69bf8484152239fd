//! Several desks in one transaction: who may take a seat at one, and what lies on it.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use uuid::Uuid;
use workflows::dossier::Dossier;
use workflows::record::{Casino, DropBox, Staff};

use super::desk::{Ask, Opened, Opening, Remembered};
use super::sheets::Sheets;

/// What `open_desks` answers. Empty where the first caller is nobody here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Given {
    casino: Option<Casino>,
    callers: Option<HashMap<String, Staff>>,
    /// Keys nobody else is working under.
    keys: HashSet<String>,
    /// Boxes that are locked for us.
    boxes: HashSet<Uuid>,
    replays: Option<HashMap<String, Remembered>>,
}

/// The desks, and what of the floor is taken already: no two commands of one transaction look at the same session, table or box, because all of
/// them see the world as it was before the first.
#[derive(Debug)]
pub struct Desks {
    given: Given,
    sheets: Sheets,
    taken: HashSet<Uuid>,
    keys_taken: HashSet<String>,
}

impl Desks {
    pub(super) fn of(desks: &str, sheets: Option<&str>) -> serde_json::Result<Self> {
        Ok(Self {
            given: serde_json::from_str(desks)?,
            sheets: sheets.map(serde_json::from_str).transpose()?.unwrap_or_default(),
            taken: HashSet::new(),
            keys_taken: HashSet::new(),
        })
    }

    /// What this command has on its desk. None where it must go by itself: something it needs is somebody else's at this moment, or not there.
    pub fn seat(&mut self, opening: &Opening<'_>) -> Option<Opened> {
        let caller = self.given.callers.as_ref()?.get(opening.subject?)?.clone();
        let opened = Opened {
            caller: Some(caller),
            casino: self.given.casino.clone(),
            ..Opened::default()
        };
        if let Some(key) = opening.key {
            if !self.given.keys.contains(key) || !self.keys_taken.insert(key.to_owned()) {
                return None;
            }
            if let Some(first) = self.given.replays.as_ref().and_then(|replays| replays.get(key)) {
                let replay = Some(first.clone());
                return Some(Opened { replay, ..opened });
            }
        }
        let dossiers = self.dossiers(opening.ask);
        let boxes: HashSet<Uuid> = dossiers.iter().flat_map(|dossier| locked_boxes(dossier, opening.ask)).collect();
        let floor = dossiers.iter().flat_map(|dossier| [dossier.session.id, dossier.session.table_id]);
        let touched: HashSet<Uuid> = floor.chain(boxes.iter().copied()).collect();
        if dossiers.is_empty() || !boxes.is_subset(&self.given.boxes) || !self.taken.is_disjoint(&touched) {
            return None;
        }
        self.taken.extend(touched);
        Some(Opened { dossiers, ..opened })
    }

    /// The dossiers a command is about; none where one of them is missing.
    fn dossiers(&self, ask: &Ask) -> Vec<Dossier> {
        let dossier = |id: &Uuid| {
            let session = self.sheets.session_of(ask.kind?, *id)?;
            self.sheets.dossier_of(session, &ask.boxes)
        };
        ask.ids.iter().map(dossier).collect::<Option<Vec<_>>>().unwrap_or_default()
    }
}

/// The boxes that a command on this dossier holds: those it names, the session's own, and what stands on the table.
fn locked_boxes(dossier: &Dossier, ask: &Ask) -> impl Iterator<Item = Uuid> {
    let session = &dossier.session;
    let is_held = |drop_box: &&DropBox| {
        ask.boxes.contains(&drop_box.id) || session.drop_box_id == Some(drop_box.id) || drop_box.on_table_id == Some(session.table_id)
    };
    dossier.floor.boxes.iter().filter(is_held).map(|drop_box| drop_box.id)
}
