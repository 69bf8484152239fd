//! The dossier: everything known about one session, loaded once under one row lock.
//!
//! Gates, detectors and the arithmetic are functions of it, so a new rule is one new file and no new SQL.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::RatingSlipStatus;
use crate::record::{Drop, DropBox, Exception, Report, Session, Shift, Signature, Slip, Snapshot, SoftCount, Table};
use crate::word::{Category, CountStanding, ExceptionStatus, SlipKind, SnapshotKind, Status};

/// What stands around the session on the floor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    pub table: Table,
    /// The par in force on the gaming day, if the table has one.
    pub par_cents: Option<i64>,
    /// The table's session before this one, cancelled ones left out.
    pub predecessor: Option<Predecessor>,
    /// A later session of the table that has begun: the table's box is its own now.
    pub successor_id: Option<Uuid>,
    /// Another session of the table that is live.
    pub live_session_id: Option<Uuid>,
    /// The box on the table, the session's box, and the boxes the command names.
    pub boxes: Vec<DropBox>,
    /// The open shift whose interval holds this moment, where the command may bind one.
    #[serde(default)]
    pub shift_now: Option<Uuid>,
    /// The shift the command names; else the one the session was prepared for.
    #[serde(default)]
    pub shift_named: Option<Shift>,
}

/// What a session must know of the one before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predecessor {
    pub id: Uuid,
    pub status: Status,
    pub closer: Option<Snapshot>,
    /// A box of it was removed from the table, or compliance has waived that one is missing.
    pub removed: bool,
    /// The box it left on the table.
    pub drop_box_id: Option<Uuid>,
}

/// Everything known about one session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dossier {
    pub session: Session,
    pub floor: Floor,
    pub snapshots: Vec<Snapshot>,
    pub slips: Vec<Slip>,
    /// Slips of other sessions that lie in this session's removed boxes.
    pub foreign_slips: Vec<Slip>,
    /// Removals of this session, and of boxes that hold a slip of it.
    pub drops: Vec<Drop>,
    /// All counts of those removals, superseded ones too.
    pub counts: Vec<SoftCount>,
    pub exceptions: Vec<Exception>,
    /// Of what lies in the session. Its own moves are signed too, but that makes nobody a party to anything, and they grow with every command.
    pub signatures: Vec<Signature>,
    pub report: Option<Report>,
    /// Who is still rated at the table: slips begun in this session, or handed on to it by a rollover. A forced close leaves its own behind.
    #[serde(default)]
    pub rating_slips: Vec<OpenRatingSlip>,
}

/// A rating slip as a session's close sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRatingSlip {
    pub id: Uuid,
    pub visit_id: Uuid,
    pub status: RatingSlipStatus,
    pub started_at: DateTime<Utc>,
}

impl Dossier {
    /// A session just created, with nothing in it yet.
    pub fn new(session: Session, floor: Floor) -> Self {
        Self {
            session,
            floor,
            snapshots: Vec::new(),
            slips: Vec::new(),
            foreign_slips: Vec::new(),
            drops: Vec::new(),
            counts: Vec::new(),
            exceptions: Vec::new(),
            signatures: Vec::new(),
            report: None,
            rating_slips: Vec::new(),
        }
    }

    /// The count of this kind that stands: the one nothing supersedes.
    pub fn standing_snapshot(&self, kind: SnapshotKind) -> Option<&Snapshot> {
        self.snapshots
            .iter()
            .filter(|snapshot| snapshot.kind == kind && !self.is_superseded(snapshot.id))
            .max_by_key(|snapshot| (snapshot.created_at, snapshot.id))
    }

    pub fn is_superseded(&self, snapshot_id: Uuid) -> bool {
        self.snapshots.iter().any(|other| other.supersedes_id == Some(snapshot_id))
    }

    /// The opener: the last verified count, until a verified recount supersedes it.
    pub fn opener(&self) -> Option<&Snapshot> {
        self.verified_snapshot(SnapshotKind::Open)
    }

    /// The closer: the last verified count, until a verified recount supersedes it.
    pub fn closer(&self) -> Option<&Snapshot> {
        self.verified_snapshot(SnapshotKind::Close)
    }

    /// A recount nobody has verified yet takes nothing away (domain §5: a snapshot counts once verified).
    fn verified_snapshot(&self, kind: SnapshotKind) -> Option<&Snapshot> {
        let verified = || {
            self.snapshots
                .iter()
                .filter(|snapshot| snapshot.kind == kind && snapshot.verified_by.is_some())
        };
        verified()
            .filter(|snapshot| !verified().any(|other| other.supersedes_id == Some(snapshot.id)))
            .max_by_key(|snapshot| (snapshot.created_at, snapshot.id))
    }

    /// The last slip verified after a closer was counted: chips moved behind the count. A counter's clock may run ahead of ours, so
    /// the earlier of its time and ours holds.
    pub fn moved_behind(&self, closer: &Snapshot) -> Option<DateTime<Utc>> {
        let counted = closer.counted_at.min(closer.created_at);
        let verified = self
            .slips
            .iter()
            .filter(|slip| slip.status.counts())
            .filter_map(|slip| slip.verified_at);
        verified.max().filter(|moved| *moved > counted)
    }

    /// The removals whose count this session waits for: its own, and those of boxes that hold a slip of it.
    pub fn awaited_drops(&self) -> impl Iterator<Item = &Drop> {
        self.drops
            .iter()
            .filter(|drop| drop.session_id == self.session.id || self.slips.iter().any(|slip| slip.lies_in(drop)))
    }

    /// Removals of this very session, in order.
    pub fn own_drops(&self) -> impl Iterator<Item = &Drop> {
        self.drops.iter().filter(|drop| drop.session_id == self.session.id)
    }

    /// The removal that took this use of this box.
    pub fn removal_of(&self, drop_box_id: Uuid, drop_box_use: i64) -> Option<&Drop> {
        self.drops
            .iter()
            .find(|drop| drop.drop_box_id == drop_box_id && drop.drop_box_use == drop_box_use)
    }

    /// The count of a removal that stands: the one nothing supersedes, accepted or disputed.
    pub fn standing_count(&self, drop_id: Uuid) -> Option<&SoftCount> {
        self.counts
            .iter()
            .filter(|count| count.drop_event_id == drop_id)
            .filter(|count| !self.counts.iter().any(|other| other.supersedes_id == Some(count.id)))
            .max_by_key(|count| (count.created_at, count.id))
    }

    pub fn accepted_count(&self, drop_id: Uuid) -> Option<&SoftCount> {
        self.standing_count(drop_id)
            .filter(|count| count.standing == CountStanding::Accepted)
    }

    /// Compliance has waived this category for this subject: the evidence will not come, and that is decided.
    pub fn is_waived(&self, category: Category, subject_id: &str) -> bool {
        self.exceptions.iter().any(|exception| {
            exception.category == category && exception.subject_id == subject_id && exception.status == ExceptionStatus::Waived
        })
    }

    pub fn unresolved(&self) -> impl Iterator<Item = &Exception> {
        self.exceptions.iter().filter(|exception| exception.status.is_unresolved())
    }

    /// Verified slips of one kind, with the confirmed amount: what counts in totals (domain §6).
    pub fn verified_total_cents(&self, kind: SlipKind) -> i64 {
        self.verified_slips(kind).map(Slip::counted_cents).sum()
    }

    pub fn verified_slips(&self, kind: SlipKind) -> impl Iterator<Item = &Slip> {
        self.slips.iter().filter(move |slip| slip.kind == kind && slip.status.counts())
    }

    /// The sum over all boxes removed from this session; null until every one is counted, and null without a removal.
    pub fn drop_total_cents(&self) -> Option<i64> {
        let mut counted = self
            .own_drops()
            .map(|drop| self.accepted_count(drop.id).map(|count| count.drop_total_cents))
            .peekable();
        counted.peek()?;
        counted.sum()
    }

    /// What was signed in this session except its moves, and of its slips before they came to it. What [`signatures`](Self::signatures) hold beside
    /// that was signed of slips that went on to another session: it binds whoever judges an exception about them, and nobody else.
    pub fn own_signatures(&self) -> impl Iterator<Item = &Signature> {
        self.signatures
            .iter()
            .filter(|signature| signature.session_id == Some(self.session.id) || self.slip(signature.subject_id).is_some())
    }

    /// Everybody who signed something of this subject.
    pub fn signers_of(&self, subject_id: Uuid) -> BTreeSet<Uuid> {
        self.signatures
            .iter()
            .filter(|signature| signature.subject_id == subject_id)
            .map(|signature| signature.staff_id)
            .collect()
    }

    /// Everybody with a part in a slip: by signature, and by name, since a slip that passed on was signed under another session.
    pub fn parties_of(&self, slip: &Slip) -> BTreeSet<Uuid> {
        let mut parties = self.signers_of(slip.id);
        parties.insert(slip.requested_by);
        let table = [slip.issued_by, slip.runner_id, slip.dealer_id, slip.verified_by];
        let after = [slip.cage_received_by, slip.deposited_by, slip.voided_by, slip.void_cosigned_by];
        parties.extend(table.into_iter().chain(after).flatten());
        parties
    }

    /// A slip in no box, or in one that has been removed.
    pub fn is_removed_with_its_box(&self, slip: &Slip) -> bool {
        match (slip.drop_box_id, slip.drop_box_use) {
            (Some(drop_box), Some(use_no)) => self.removal_of(drop_box, use_no).is_some(),
            (_, _) => true,
        }
    }

    pub fn slip(&self, id: Uuid) -> Option<&Slip> {
        self.slips.iter().find(|slip| slip.id == id)
    }

    pub fn exception(&self, id: Uuid) -> Option<&Exception> {
        self.exceptions.iter().find(|exception| exception.id == id)
    }

    pub fn snapshot(&self, id: Uuid) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.id == id)
    }

    pub fn drop_event(&self, id: Uuid) -> Option<&Drop> {
        self.drops.iter().find(|drop| drop.id == id)
    }

    pub fn drop_box(&self, id: Uuid) -> Option<&DropBox> {
        self.floor.boxes.iter().find(|drop_box| drop_box.id == id)
    }

    /// The box that stands on the table at this moment, whichever session put it there.
    pub fn box_on_table(&self) -> Option<&DropBox> {
        self.floor
            .boxes
            .iter()
            .find(|drop_box| drop_box.on_table_id == Some(self.floor.table.id))
    }
}

impl Slip {
    /// It was put into the box that this removal took, during the same use of it.
    pub fn lies_in(&self, drop: &Drop) -> bool {
        self.drop_box_id == Some(drop.drop_box_id) && self.drop_box_use == Some(drop.drop_box_use)
    }

    /// What a slip counts for: the amount confirmed at the table.
    pub fn counted_cents(&self) -> i64 {
        self.confirmed_amount_cents.unwrap_or(self.amount_cents)
    }
}
