//! The desk: everything one command may look at and work on, laid out once.

use std::collections::BTreeMap;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use uuid::Uuid;
use workflows::case::{Case, Changes, Context, Cosigner};
use workflows::dossier::{Dossier, Floor};
use workflows::record::{Casino, ManualRange, Slip, Staff};
use workflows::refusal::Refusal;
use workflows::shift_summary::{self, Book};
use workflows::slip::SlipNumber;

use super::Versioned;
use crate::clock::new_id;
use crate::error::Error;
use crate::store::desk::{Ask, Kind, Opened};

/// What lies before whoever judges. The first case is the command's own, unless `main` says otherwise.
pub struct Desk {
    pub context: Context,
    pub cases: Vec<Case>,
    /// The floor around a session that does not exist yet.
    pub floor: Option<Floor>,
    pub number: Option<SlipNumber>,
    pub elsewhere: Vec<Slip>,
    pub ranges: Vec<ManualRange>,
    pub numbers_taken: Vec<String>,
    /// The slip that already carries the request id.
    pub requested_slip: Option<Slip>,
    /// The shift that may be settled by this command.
    shift_book: Option<Book>,
    people: Vec<Staff>,
    cosigners: BTreeMap<Uuid, Cosigner>,
}

/// The caller, the casino and the moment.
pub(super) fn context(caller: Option<Staff>, casino: Option<Casino>, at: DateTime<Utc>) -> Result<Context, Error> {
    let caller = caller.context("a desk without a caller")?;
    let casino = casino.context("a caller without a casino")?;
    let zone = casino
        .timezone
        .parse()
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("the zone {} is unknown", casino.timezone))?;
    Ok(Context {
        caller,
        casino,
        zone,
        at,
        new_id,
    })
}

/// The dossier the command is about first, the others as they were locked.
fn in_order(ask: &Ask, mut dossiers: Vec<Dossier>) -> Vec<Dossier> {
    let leads = |dossier: &Dossier| match ask.kind {
        Some(Kind::Count) => dossier.own_drops().any(|drop| ask.ids.first() == Some(&drop.id)),
        Some(Kind::Exception) => ask.ids.first().is_some_and(|id| dossier.exception(*id).is_some()),
        Some(Kind::Session | Kind::Slip | Kind::Snapshot | Kind::Drop | Kind::Table) | None => true,
    };
    if let Some(index) = dossiers.iter().position(leads) {
        dossiers.swap(0, index);
    }
    dossiers
}

impl Desk {
    /// `at` is taken after the locks were granted: a command that waited is judged at the time it is its turn. The session of what the
    /// command is about leads: its version is the ETag, its row the answer.
    pub(super) fn lay(ask: &Ask, opened: Opened, proved: Vec<Cosigner>, at: DateTime<Utc>) -> Result<Self, Error> {
        let (shift_now, shift_named) = (opened.shift_now, opened.shift_named);
        let with_shifts = |floor: Floor| Floor {
            shift_now,
            shift_named: shift_named.clone(),
            ..floor
        };
        let cases = in_order(ask, opened.dossiers).into_iter().map(|dossier| {
            Case::open(Dossier {
                floor: with_shifts(dossier.floor),
                ..dossier
            })
        });
        Ok(Self {
            context: context(opened.caller, opened.casino, at)?,
            cases: cases.collect(),
            floor: opened.floor.map(with_shifts),
            shift_book: opened.shift_book,
            number: opened.number,
            elsewhere: opened.elsewhere,
            ranges: opened.ranges,
            numbers_taken: opened.numbers_taken,
            requested_slip: opened.requested_slip,
            people: opened.people,
            cosigners: proved.into_iter().map(|cosigner| (cosigner.0.id, cosigner)).collect(),
        })
    }

    /// The case, with what else a judge needs. `what` names what is absent where there is none.
    pub fn case(&mut self, what: &'static str) -> Result<(&mut Case, &Context), Refusal> {
        let case = self.cases.first_mut().ok_or(Refusal::NotFound(what))?;
        Ok((case, &self.context))
    }

    /// Somebody the command names: of this casino, and active.
    pub fn person(&self, id: Uuid, pointer: &str) -> Result<Staff, Refusal> {
        let person = self
            .people
            .iter()
            .find(|person| person.id == id)
            .ok_or(Refusal::NotFound("staff"))?;
        if person.status == workflows::word::StaffStatus::Active {
            return Ok(person.clone());
        }
        Err(Refusal::invalid(
            pointer,
            format!("{} ({}) is not active", person.name, person.employee_no),
        ))
    }

    pub fn people(&self) -> &[Staff] {
        &self.people
    }

    /// A second person whose PIN was right.
    pub fn cosigner(&self, id: Uuid) -> Result<Cosigner, Refusal> {
        self.cosigners.get(&id).cloned().ok_or(Refusal::NotFound("staff"))
    }

    /// What a refused command leaves: the findings made before it was judged, where there are new ones.
    pub(super) fn close_on_findings(self) -> Option<(Context, Changes)> {
        if !self.cases.first()?.keeps_findings() {
            return None;
        }
        Some(self.close())
    }

    pub(super) fn expect_version(&self, if_match: Option<i64>, versioned: Versioned) -> Result<(), Error> {
        let current = match versioned {
            Versioned::Nothing => None,
            Versioned::Session => self.cases.first().map(|case| case.session().version),
            Versioned::Exception(id) => self
                .cases
                .iter()
                .find_map(|case| case.dossier().exception(id))
                .map(|row| row.version),
            Versioned::Slip(id) => self.cases.iter().find_map(|case| case.dossier().slip(id)).map(|slip| slip.version),
        };
        // A request already answered is answered again, whatever has become of the session since.
        let current = current.filter(|_| self.requested_slip.is_none());
        match (if_match, current) {
            (Some(named), Some(current)) if named != current => Err(Error::VersionMismatch { current }),
            (_, _) => Ok(()),
        }
    }

    /// Settles every case and takes what came of them.
    pub(super) fn close(self) -> (Context, Changes) {
        let mut changes = Changes::default();
        for mut case in self.cases {
            case.settle(&self.context);
            changes.join(case.finish());
        }
        if let Some(book) = self.shift_book {
            shift_summary::settle_with(&mut changes, &self.context, book);
        }
        (self.context, changes)
    }
}
