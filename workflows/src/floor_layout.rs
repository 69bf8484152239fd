//! Floor layouts: pits and places for tables, drawn as versions; and what an activation makes of the tables (seed 2).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::event::{LaidPit, LaidSlot};
use crate::record::Table;
use crate::refusal::{Flaw, Refusal, flawless};
use crate::word::{GameType, TableStatus};

/// The largest floor a drawing may hold.
pub const MAX_PITS: usize = 100;
pub const MAX_SLOTS: usize = 2_000;

/// A pit as a client draws it.
#[derive(Clone, Debug)]
pub struct PitDrawn {
    pub label: String,
    pub sequence: Option<i32>,
}

/// A place as a client draws it: its pit by label.
#[derive(Clone, Debug)]
pub struct SlotDrawn {
    pub slot_label: String,
    pub game: GameType,
    pub pit: Option<String>,
    pub preferred_table_id: Option<Uuid>,
}

/// Judges a drawing and gives every part of it an id. `tables` are those the places name.
pub fn draw(
    new_id: fn() -> Uuid,
    pits: &[PitDrawn],
    slots: &[SlotDrawn],
    tables: &[Table],
) -> Result<(Vec<LaidPit>, Vec<LaidSlot>), Refusal> {
    flawless(flaws(pits, slots, tables))?;
    let pits: Vec<LaidPit> = (0..)
        .zip(pits)
        .map(|(place, pit)| LaidPit {
            pit_id: new_id(),
            label: pit.label.clone(),
            sequence: pit.sequence.unwrap_or(place),
        })
        .collect();
    let pit_id = |label: &String| pits.iter().find(|pit| pit.label == *label).map(|pit| pit.pit_id);
    let slots = slots
        .iter()
        .map(|slot| LaidSlot {
            slot_id: new_id(),
            slot_label: slot.slot_label.clone(),
            game_type: slot.game,
            pit_id: slot.pit.as_ref().and_then(pit_id),
            preferred_table_id: slot.preferred_table_id,
        })
        .collect();
    Ok((pits, slots))
}

fn flaws(pits: &[PitDrawn], slots: &[SlotDrawn], tables: &[Table]) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let (mut labels, mut places, mut standing) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, pit) in pits.iter().enumerate() {
        if !labels.insert(&pit.label) {
            flaws.push(Flaw::new(format!("/pits/{index}/label"), "is drawn twice"));
        }
        if pit.sequence.is_some_and(|sequence| sequence < 0) {
            flaws.push(Flaw::new(format!("/pits/{index}/sequence"), "must not be negative"));
        }
    }
    for (index, slot) in slots.iter().enumerate() {
        if !places.insert(&slot.slot_label) {
            flaws.push(Flaw::new(format!("/slots/{index}/slot_label"), "is drawn twice"));
        }
        if slot.pit.as_ref().is_some_and(|pit| !labels.contains(pit)) {
            flaws.push(Flaw::new(format!("/slots/{index}/pit"), "is no pit of this drawing"));
        }
        let Some(id) = slot.preferred_table_id else {
            continue;
        };
        let pointer = format!("/slots/{index}/preferred_table_id");
        if !standing.insert(id) {
            flaws.push(Flaw::new(pointer.clone(), "stands in another place of this drawing"));
        }
        if let Some(table) = tables.iter().find(|table| table.id == id && table.game != slot.game) {
            let message = format!("table {} deals {}, not {}", table.label, table.game, slot.game);
            flaws.push(Flaw::new(pointer, message));
        }
    }
    flaws
}

/// A table as an activation finds it.
#[derive(Clone, Debug)]
pub struct Standing {
    pub table: Table,
    pub live_session_id: Option<Uuid>,
}

/// Why a table was left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// A session is live on it: activate again once it is closed.
    LiveSession,
    /// The table is closed for good.
    TableClosed,
    /// It deals another game by now than the place is drawn for.
    OtherGame,
}

/// A table an activation left as it is, though the drawing wants it otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Skipped {
    pub table_id: Uuid,
    pub label: String,
    pub reason: Obstacle,
    pub live_session_id: Option<Uuid>,
    /// What the drawing asks for.
    pub wanted: TableStatus,
    pub wanted_pit: Option<String>,
}

/// What became of the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// Brought into service, in the pit the drawing gives them.
    pub activated: Vec<Uuid>,
    /// Taken out of service: no place of the drawing is theirs.
    pub deactivated: Vec<Uuid>,
    /// In service before and after, in another pit.
    pub moved: Vec<Uuid>,
    pub skipped: Vec<Skipped>,
}

/// Compares the floor with the drawing: the tables as they shall be, and the account of it. A table on which a session is live keeps
/// everything: its session has bound where it stands.
pub fn arrange(pits: &[LaidPit], slots: &[LaidSlot], floor: &[Standing]) -> (Vec<Table>, Outcome) {
    let (mut tables, mut outcome) = (Vec::new(), Outcome::default());
    for standing in floor {
        let table = &standing.table;
        let slot = slots.iter().find(|slot| slot.preferred_table_id == Some(table.id));
        let wanted = wanted(table, slot, pits);
        if wanted == *table || (slot.is_none() && table.status != TableStatus::Active) {
            continue;
        }
        if let Some(reason) = obstacle(standing, slot) {
            outcome.skipped.push(Skipped {
                table_id: table.id,
                label: table.label.clone(),
                reason,
                live_session_id: standing.live_session_id,
                wanted: wanted.status,
                wanted_pit: wanted.pit,
            });
            continue;
        }
        match (slot, table.status) {
            (None, _) => outcome.deactivated.push(table.id),
            (Some(_), TableStatus::Active) => outcome.moved.push(table.id),
            (Some(_), TableStatus::Inactive | TableStatus::Closed) => outcome.activated.push(table.id),
        }
        tables.push(Table {
            version: table.version + 1,
            ..wanted
        });
    }
    (tables, outcome)
}

/// A table without a place keeps its pit: that is where it stands, out of service.
fn wanted(table: &Table, slot: Option<&LaidSlot>, pits: &[LaidPit]) -> Table {
    let Some(slot) = slot else {
        return Table {
            status: TableStatus::Inactive,
            ..table.clone()
        };
    };
    let pit = slot.pit_id.and_then(|id| pits.iter().find(|pit| pit.pit_id == id));
    Table {
        status: TableStatus::Active,
        pit: pit.map(|pit| pit.label.clone()),
        ..table.clone()
    }
}

fn obstacle(standing: &Standing, slot: Option<&LaidSlot>) -> Option<Obstacle> {
    if standing.live_session_id.is_some() {
        Some(Obstacle::LiveSession)
    } else if standing.table.status == TableStatus::Closed {
        Some(Obstacle::TableClosed)
    } else {
        slot.filter(|slot| slot.game_type != standing.table.game)
            .map(|_| Obstacle::OtherGame)
    }
}
