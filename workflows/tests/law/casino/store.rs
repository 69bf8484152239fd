//! The rows of the house, loaded into dossiers and committed from changes as SQL would.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use workflows::case::Changes;
use workflows::dossier::{Dossier, Floor, OpenRatingSlip, Predecessor};
use workflows::record::{Drop, DropBox, Exception, Report, Session, Signature, Slip, Snapshot, SoftCount, Table};
use workflows::word::{Category, CloseReason, ExceptionStatus, SlipStatus, Status, SubjectKind};

#[derive(Clone, Default, PartialEq)]
pub struct Store {
    pub tables: Vec<Table>,
    pub boxes: Vec<DropBox>,
    pub sessions: Vec<Session>,
    pub snapshots: Vec<Snapshot>,
    pub slips: Vec<Slip>,
    pub drops: Vec<Drop>,
    pub counts: Vec<SoftCount>,
    pub exceptions: Vec<Exception>,
    pub signatures: Vec<Signature>,
    pub reports: Vec<Report>,
    /// Who is rated, by table.
    pub rating_slips: Vec<(Uuid, OpenRatingSlip)>,
}

impl Store {
    /// The dossier of one session. Signatures are those written under the session, or of its slips and of those its exceptions are about; counts are those of its removals, of boxes
    /// that hold a slip of it, and of boxes a slip of it was ever found in.
    pub fn load(&self, id: Uuid, par_cents: Option<i64>) -> Dossier {
        let session = self.session(id).clone();
        let slips = of(&self.slips, |slip| slip.session_id == id);
        let holds = |drop: &Drop| slips.iter().any(|slip| lies_in(slip, drop));
        let drops = of(&self.drops, |drop| drop.session_id == id || holds(drop));
        let named = |count: &SoftCount| count.manifest.iter().any(|item| item.session_id == Some(id));
        let counted: Vec<Uuid> = drops
            .iter()
            .map(|drop| drop.id)
            .chain(self.counts.iter().filter(|count| named(count)).map(|count| count.drop_event_id))
            .collect();
        let own = |drop: &&Drop| drop.session_id == id;
        let exceptions = of(&self.exceptions, |row| row.session_id == id);
        let slip_of_it = |subject: Uuid| {
            slips.iter().any(|slip| slip.id == subject) || exceptions.iter().any(|exception| exception.slip() == Some(subject))
        };
        Dossier {
            floor: self.floor(session.table_id, Some(id), par_cents),
            snapshots: of(&self.snapshots, |row| row.session_id == id),
            foreign_slips: of(&self.slips, |slip| {
                slip.session_id != id && drops.iter().filter(own).any(|drop| lies_in(slip, drop))
            }),
            counts: of(&self.counts, |count| counted.contains(&count.drop_event_id)),
            // As it is read of the database: without who moved the session.
            signatures: of(&self.signatures, |row| {
                row.subject_kind != SubjectKind::Session && (row.session_id == Some(id) || slip_of_it(row.subject_id))
            }),
            exceptions,
            report: self.reports.iter().find(|report| report.session_id == id).cloned(),
            rating_slips: self.seated_in(&session),
            slips,
            drops,
            session,
        }
    }

    /// A live session has all who play at its table; a forced close leaves those behind who played then.
    fn seated_in(&self, session: &Session) -> Vec<OpenRatingSlip> {
        let begun = |slip: &OpenRatingSlip| match session.closed_at {
            None => true,
            Some(closed) => session.close_reason == Some(CloseReason::Forced) && slip.started_at <= closed,
        };
        let seated = self
            .rating_slips
            .iter()
            .filter(|(table, slip)| *table == session.table_id && begun(slip));
        seated.map(|(_, slip)| slip.clone()).collect()
    }

    /// The floor around a table, as seen by one of its sessions or by one about to be created.
    pub fn floor(&self, table_id: Uuid, session: Option<Uuid>, par_cents: Option<i64>) -> Floor {
        let others = || {
            self.sessions
                .iter()
                .filter(move |other| other.table_id == table_id && Some(other.id) != session)
        };
        let counted = |other: &&Session| other.close_reason != Some(CloseReason::Cancelled);
        let before = others()
            .filter(counted)
            .filter(|other| session.is_none_or(|id| other.id < id))
            .max_by_key(|other| other.id);
        let after = others()
            .filter(counted)
            .find(|other| session.is_some_and(|id| other.id > id) && other.opened_at.is_some());
        Floor {
            table: self.tables.iter().find(|table| table.id == table_id).expect("a table").clone(),
            par_cents,
            predecessor: before.map(|before| self.predecessor(before)),
            successor_id: after.map(|after| after.id),
            live_session_id: others().find(|other| other.status.is_live()).map(|other| other.id),
            boxes: self
                .boxes
                .iter()
                .map(|drop_box| DropBox {
                    in_custody: self.in_custody(drop_box),
                    ..drop_box.clone()
                })
                .collect(),
            shift_now: None,
            shift_named: None,
        }
    }

    fn predecessor(&self, before: &Session) -> Predecessor {
        let superseded = |id| self.snapshots.iter().any(|other| other.supersedes_id == Some(id));
        let closer = self.snapshots.iter().find(|row| {
            row.session_id == before.id
                && row.kind == workflows::word::SnapshotKind::Close
                && row.verified_by.is_some()
                && !superseded(row.id)
        });
        let waived = self
            .exceptions
            .iter()
            .any(|row| row.session_id == before.id && row.category == Category::DropMissing && row.status == ExceptionStatus::Waived);
        Predecessor {
            id: before.id,
            status: before.status,
            closer: closer.cloned(),
            removed: waived || self.drops.iter().any(|drop| drop.session_id == before.id && drop.stood_on_table),
            drop_box_id: before.drop_box_id,
        }
    }

    fn in_custody(&self, drop_box: &DropBox) -> bool {
        self.drops
            .iter()
            .any(|drop| drop.drop_box_id == drop_box.id && drop.drop_box_use == drop_box.use_no && drop.counted_at.is_none())
    }

    fn session(&self, id: Uuid) -> &Session {
        self.sessions.iter().find(|session| session.id == id).expect("a session")
    }

    /// Writes changes as the database would, and refuses what its constraints refuse.
    pub fn commit(&mut self, changes: &Changes) {
        self.versions_rise_by_one(changes);
        macro_rules! write_rows {
            ($($table:ident => $rows:ident),+) => {$(
                assert_eq!(changes.update().$table.len(), changes.replaced().$table.len());
                for (row, old) in changes.update().$table.iter().zip(&changes.replaced().$table) {
                    let stored = self.$rows.iter_mut().find(|stored| stored.id == row.id).expect("an updated row exists");
                    assert_eq!(stripped(stored), stripped(old), "what was replaced is what was stored");
                    *stored = row.clone();
                }
                for row in &changes.insert().$table {
                    assert!(self.$rows.iter().all(|stored| stored.id != row.id), "an inserted row is new");
                    self.$rows.push(row.clone());
                }
            )+};
        }
        write_rows!(
            table_inventory_session => sessions,
            table_inventory_snapshot => snapshots,
            table_slip => slips,
            table_drop_event => drops,
            soft_count_table_result => counts,
            reconciliation_exception => exceptions,
            table_rundown_report => reports,
            signature => signatures,
            drop_box => boxes
        );
        self.hold_constraints();
    }

    /// The root's version rises by one with every change of anything below it; a FINALIZED session never changes again.
    fn versions_rise_by_one(&self, changes: &Changes) {
        for session in &changes.update().table_inventory_session {
            let stored = self.session(session.id);
            assert_eq!(session.version, stored.version + 1, "the version rises by exactly one");
            assert_ne!(stored.status, Status::Finalized, "a FINALIZED session never changes");
        }
        for session in &changes.insert().table_inventory_session {
            assert_eq!(session.version, 1, "a new session begins at version 1");
        }
        for report in &changes.update().table_rundown_report {
            assert_ne!(
                self.session(report.session_id).status,
                Status::Finalized,
                "a FINALIZED report never changes"
            );
        }
        if let [only] = changes.dossiers()
            && !changes.is_empty()
        {
            let known = self.sessions.iter().find(|session| session.id == only.session.id);
            let risen = known.is_none_or(|stored| stored.status == Status::Finalized || only.session.version == stored.version + 1);
            assert!(risen, "something changed and the version did not");
        }
    }

    fn hold_constraints(&self) {
        for table in &self.tables {
            let live = self
                .sessions
                .iter()
                .filter(|session| session.table_id == table.id && session.status.is_live())
                .count();
            assert!(live <= 1, "one live session per table");
            let standing = self.boxes.iter().filter(|drop_box| drop_box.on_table_id == Some(table.id)).count();
            assert!(standing <= 1, "one box per table");
        }
        for drop in &self.drops {
            let twins = |other: &&Drop| other.drop_box_id == drop.drop_box_id && other.drop_box_use == drop.drop_box_use;
            assert_eq!(self.drops.iter().filter(twins).count(), 1, "a box cannot be in two places");
            assert!(
                drop.delivered_at.is_none_or(|delivered| delivered >= drop.removed_at),
                "removed before delivered"
            );
            assert!(
                drop.received_at.is_none_or(|received| Some(received) >= drop.delivered_at),
                "delivered before received"
            );
        }
        for count in &self.counts {
            let twins = |other: &&SoftCount| count.supersedes_id.is_some() && other.supersedes_id == count.supersedes_id;
            assert!(self.counts.iter().filter(twins).count() <= 1, "a count is superseded once");
        }
        for exception in self.exceptions.iter().filter(|row| row.status.is_unresolved()) {
            let twins = |other: &&Exception| other.status.is_unresolved() && about_the_same(other, exception);
            assert_eq!(
                self.exceptions.iter().filter(twins).count(),
                1,
                "one unresolved exception per session, category and subject"
            );
        }
    }

    /// Changes a row behind the law's back, as another part of the daemon will (jobs that raise what is overdue).
    pub fn waive(&mut self, session: Uuid, category: Category, kind: workflows::word::SubjectKind, subject: Uuid, at: DateTime<Utc>) {
        let casino_id = self.session(session).casino_id;
        self.exceptions.push(Exception {
            id: super::new_id(),
            casino_id,
            session_id: session,
            category,
            subject_kind: kind,
            subject_id: subject.to_string(),
            expected: None,
            found: None,
            variance_cents: None,
            detail: serde_json::json!({}),
            status: ExceptionStatus::Waived,
            due_at: None,
            owner: None,
            reason_code: Some(workflows::word::ReasonCode::AcceptedVariance),
            resolution_note: Some("lost and accepted".to_owned()),
            acknowledged_by: None,
            acknowledged_at: None,
            resolved_by: None,
            resolved_at: Some(at),
            detected_by: None,
            detected_at: at,
            no_longer_observed_at: None,
            version: 1,
        });
    }
}

pub fn lies_in(slip: &Slip, drop: &Drop) -> bool {
    slip.status == SlipStatus::DepositedInDropbox
        && slip.drop_box_id == Some(drop.drop_box_id)
        && slip.drop_box_use == Some(drop.drop_box_use)
}

pub fn about_the_same(a: &Exception, b: &Exception) -> bool {
    a.session_id == b.session_id && a.category == b.category && a.subject_kind == b.subject_kind && a.subject_id == b.subject_id
}

/// What a command says the dossier became is what the rows say now.
pub fn same_rows(said: &Dossier, stored: &Dossier) {
    assert_eq!(said.session, stored.session);
    assert!(
        sorted(&said.snapshots, |row| row.id) == sorted(&stored.snapshots, |row| row.id),
        "snapshots: what was said is not what is stored"
    );
    assert!(
        sorted(&said.slips, |row| row.id) == sorted(&stored.slips, |row| row.id),
        "slips: what was said is not what is stored"
    );
    assert!(
        sorted(&said.drops, |row| row.id) == sorted(&stored.drops, |row| row.id),
        "drops: what was said is not what is stored"
    );
    assert!(
        sorted(&said.counts, |row| row.id) == sorted(&stored.counts, |row| row.id),
        "counts: what was said is not what is stored"
    );
    assert!(
        sorted(&said.exceptions, |row| row.id) == sorted(&stored.exceptions, |row| row.id),
        "exceptions: what was said is not what is stored"
    );
    assert!(
        sorted(&signed_here(said), |row| row.id) == sorted(&signed_here(stored), |row| row.id),
        "signatures: what was said is not what is stored"
    );
    assert_eq!(said.report, stored.report);
}

fn sorted<T: Clone>(rows: &[T], id: impl Fn(&T) -> Uuid) -> Vec<T> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(id);
    rows
}

fn of<T: Clone>(rows: &[T], keep: impl Fn(&T) -> bool) -> Vec<T> {
    rows.iter().filter(|row| keep(row)).cloned().collect()
}

/// A row without what is derived on read.
fn stripped<T: serde::Serialize>(row: &T) -> serde_json::Value {
    let mut value = serde_json::to_value(row).expect("a row is JSON");
    if let Some(fields) = value.as_object_mut() {
        fields.remove("in_custody");
    }
    value
}

/// A slip that passed on brings what was signed of it before: it is read with the session, and not said by it.
fn signed_here(dossier: &Dossier) -> Vec<Signature> {
    of(&dossier.signatures, |row| {
        row.session_id == Some(dossier.session.id) && row.subject_kind != SubjectKind::Session
    })
}
