//! Sheets: what is known of some sessions, table by table as Postgres hands it out, and put together to dossiers here.
//!
//! A table is asked once for all sessions together, so a dossier among twenty costs a fraction of one alone.

use serde::Deserialize;
use uuid::Uuid;
use workflows::dossier::{Dossier, Floor, OpenRatingSlip, Predecessor};
use workflows::record::{Drop, DropBox, Exception, Report, Session, Signature, Slip, Snapshot, SoftCount, Table};
use workflows::word::SlipStatus;

use super::desk::Kind;

/// What `sheets()` answers. A box, a removal, a count may belong to several sessions and is there once.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Sheets {
    sessions: Vec<Session>,
    floors: Vec<Spot>,
    boxes: Vec<DropBox>,
    snapshots: Vec<Snapshot>,
    slips: Vec<Slip>,
    /// Slips of sessions that are not among these.
    foreign_slips: Vec<Slip>,
    drops: Vec<Drop>,
    counts: Vec<SoftCount>,
    exceptions: Vec<Exception>,
    signatures: Vec<Signature>,
    reports: Vec<Report>,
    rating_slips: Vec<Rated>,
}

/// The floor around one session, without its boxes.
#[derive(Debug, Deserialize)]
struct Spot {
    /// None for a session that does not exist yet.
    session_id: Option<Uuid>,
    table: Table,
    par_cents: Option<i64>,
    predecessor: Option<Predecessor>,
    successor_id: Option<Uuid>,
    live_session_id: Option<Uuid>,
}

#[derive(Debug, Deserialize)]
struct Rated {
    session_id: Uuid,
    #[serde(flatten)]
    slip: OpenRatingSlip,
}

impl Sheets {
    /// Everything known of each session, in the order of their ids. `named` are boxes somebody names: they lie on every desk.
    pub fn dossiers(&self, named: &[Uuid]) -> Vec<Dossier> {
        self.sessions.iter().filter_map(|session| self.dossier(session, named)).collect()
    }

    /// Of one session; none where it is not among these.
    pub fn dossier_of(&self, session_id: Uuid, named: &[Uuid]) -> Option<Dossier> {
        let session = self.sessions.iter().find(|session| session.id == session_id)?;
        self.dossier(session, named)
    }

    /// The session a slip, a snapshot or a removal is of.
    pub fn session_of(&self, kind: Kind, id: Uuid) -> Option<Uuid> {
        match kind {
            Kind::Session => Some(id),
            Kind::Slip => self.slips.iter().find(|slip| slip.id == id).map(|slip| slip.session_id),
            Kind::Snapshot => self
                .snapshots
                .iter()
                .find(|snapshot| snapshot.id == id)
                .map(|snapshot| snapshot.session_id),
            Kind::Drop => self.drops.iter().find(|drop| drop.id == id).map(|drop| drop.session_id),
            Kind::Exception | Kind::Count | Kind::Table => None,
        }
    }

    /// The floor around a session that does not exist yet.
    pub fn floor(&self) -> Option<Floor> {
        let spot = self.floors.iter().find(|spot| spot.session_id.is_none())?;
        Some(spot.floor(self.boxes.clone()))
    }

    fn dossier(&self, session: &Session, named: &[Uuid]) -> Option<Dossier> {
        let id = session.id;
        let spot = self.floors.iter().find(|spot| spot.session_id == Some(id))?;
        let slips = picked(&self.slips, |slip| slip.session_id == id);
        let exceptions = picked(&self.exceptions, |exception| exception.session_id == id);
        let strays: Vec<Uuid> = exceptions.iter().filter_map(stray_in).collect();
        let drops = picked(&self.drops, |drop| {
            drop.session_id == id || strays.contains(&drop.id) || slips.iter().any(|slip| slip.lies_in(drop))
        });
        let on_desk = |drop_box: &DropBox| {
            named.contains(&drop_box.id)
                || session.drop_box_id == Some(drop_box.id)
                || drop_box.on_table_id == Some(session.table_id)
                || drops.iter().any(|drop| drop.drop_box_id == drop_box.id)
        };
        Some(Dossier {
            session: session.clone(),
            floor: spot.floor(picked(&self.boxes, on_desk)),
            snapshots: picked(&self.snapshots, |snapshot| snapshot.session_id == id),
            foreign_slips: self.foreign_slips(session, &drops),
            counts: picked(&self.counts, |count| drops.iter().any(|drop| drop.id == count.drop_event_id)),
            // A slip that passed on to another session is signed there; an exception about it stays here, and its judge must not be one who signed.
            signatures: picked(&self.signatures, |signature| {
                let subject = signature.subject_id;
                signature.session_id == Some(id)
                    || slips.iter().any(|slip| slip.id == subject)
                    || exceptions.iter().any(|exception| exception.slip() == Some(subject))
            }),
            report: self.reports.iter().find(|report| report.session_id == id).cloned(),
            rating_slips: self
                .rating_slips
                .iter()
                .filter(|rated| rated.session_id == id)
                .map(|rated| rated.slip.clone())
                .collect(),
            slips,
            drops,
            exceptions,
        })
    }

    /// Slips of other sessions in this one's removed boxes, and the voids of the session before: a replacement asked for after a rollover
    /// names one.
    fn foreign_slips(&self, session: &Session, drops: &[Drop]) -> Vec<Slip> {
        let own = |drop: &&Drop| drop.session_id == session.id;
        let mut foreign: Vec<Slip> = self
            .slips
            .iter()
            .chain(&self.foreign_slips)
            .filter(|slip| slip.session_id != session.id)
            .filter(|slip| {
                let is_void_before = Some(slip.session_id) == session.predecessor_id && slip.status == SlipStatus::Voided;
                is_void_before || drops.iter().filter(own).any(|drop| slip.lies_in(drop))
            })
            .cloned()
            .collect();
        foreign.sort_by_key(|slip| slip.id);
        foreign
    }
}

impl Spot {
    fn floor(&self, boxes: Vec<DropBox>) -> Floor {
        Floor {
            table: self.table.clone(),
            par_cents: self.par_cents,
            predecessor: self.predecessor.clone(),
            successor_id: self.successor_id,
            live_session_id: self.live_session_id,
            boxes,
            shift_now: None,
            shift_named: None,
        }
    }
}

fn picked<T: Clone>(rows: &[T], which: impl Fn(&T) -> bool) -> Vec<T> {
    rows.iter().filter(|row| which(row)).cloned().collect()
}

/// The removal in whose box a stray slip was found.
fn stray_in(exception: &Exception) -> Option<Uuid> {
    exception.slip()?;
    exception.detail.get("drop_event_id")?.as_str()?.parse().ok()
}
