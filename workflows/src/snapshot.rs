//! Tray counts: recorded by one person, verified by another (domain §5).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::act;
use crate::case::{Case, Context, Cosigner, note, same_total};
use crate::chipset::{Chipset, RawChipset};
use crate::event::Event;
use crate::record::{Snapshot, Staff};
use crate::refusal::{Refusal, flawless};
use crate::role::Role;
use crate::word::{BankMode, CloseReason, Method, SnapshotKind, Status, SubjectKind};

/// What a counter sends.
#[derive(Clone, Debug)]
pub struct TrayCount {
    pub kind: SnapshotKind,
    pub chipset: RawChipset,
    pub total_cents: Option<i64>,
    pub counted_at: Option<DateTime<Utc>>,
    pub note: Option<String>,
    pub supersedes_id: Option<Uuid>,
}

/// Records a count; with a co-signer it is verified in the same breath.
pub fn count(case: &mut Case, context: &Context, given: &TrayCount, cosigner: Option<&Cosigner>) -> Result<Uuid, Refusal> {
    case.expect_status(states(case, given.kind), &format!("a tray count of kind {}", given.kind))?;
    let chipset = Chipset::admit(&given.chipset, &context.casino.denominations_cents, "/chipset").map_err(Refusal::Invalid)?;
    let total_cents = chipset.total_cents();
    flawless(same_total(given.total_cents, total_cents, "/total_cents"))?;
    let supersedes_id = superseded(case, given)?;
    let follows = match given.kind {
        SnapshotKind::Open => case.session().opened_at.map(|at| (at, "the beginning of the opening")),
        SnapshotKind::Close if case.session().closing_started_at.is_some() => {
            case.session().closing_started_at.map(|at| (at, "the beginning of the closing"))
        }
        SnapshotKind::Close | SnapshotKind::Rundown => case.session().activated_at.map(|at| (at, "the opening of the table")),
    };
    let expected_total_cents = expected(case, given.kind);
    let snapshot = Snapshot {
        id: (context.new_id)(),
        casino_id: context.casino.id,
        session_id: case.session().id,
        kind: given.kind,
        chipset,
        total_cents,
        counted_by: context.caller.id,
        counted_at: context.time(given.counted_at, "/counted_at", follows)?,
        verified_by: None,
        verified_at: None,
        expected_total_cents,
        discrepancy_cents: expected_total_cents.map(|expected| total_cents - expected),
        supersedes_id,
        note: note(given.note.as_deref(), "/note")?,
        created_at: context.at,
    };
    if let Some(Cosigner(cosigner)) = cosigner {
        may_verify(cosigner, context.caller.id)?;
    }
    let id = snapshot.id;
    case.sign_as_caller(context, (SubjectKind::Snapshot, id), act::COUNT_TRAY);
    if given.kind == SnapshotKind::Rundown {
        case.tell(Event::InventoryRundownRecorded {
            table_id: case.session().table_id,
            snapshot_id: id,
            chipset: snapshot.chipset.clone(),
            note: snapshot.note.clone(),
        });
    }
    case.dossier_mut().snapshots.push(snapshot);
    if let Some(cosigner) = cosigner {
        verify(case, context, id, Some(cosigner))?;
    }
    Ok(id)
}

/// Verifies a count: the caller does, or carries a co-signer who does. Never the counter.
pub fn verify(case: &mut Case, context: &Context, id: Uuid, cosigner: Option<&Cosigner>) -> Result<(), Refusal> {
    let (verifier, method) = match cosigner {
        Some(Cosigner(staff)) => (staff, Method::Pin),
        None => (&context.caller, Method::Bearer),
    };
    let snapshot = case
        .dossier()
        .snapshots
        .iter()
        .find(|snapshot| snapshot.id == id)
        .ok_or(Refusal::NotFound("snapshot"))?;
    let (kind, counter) = (snapshot.kind, snapshot.counted_by);
    case.expect_status(states(case, kind), &format!("verifying a tray count of kind {kind}"))?;
    if let Some(verified_by) = snapshot.verified_by {
        return Err(Refusal::conflict(
            "already_verified",
            format!("snapshot {id} was verified by {verified_by}"),
        ));
    }
    if case.dossier().is_superseded(id) {
        return Err(Refusal::conflict(
            "superseded",
            format!("a recount stands in the place of snapshot {id}"),
        ));
    }
    may_verify(verifier, counter)?;
    let at = context.at;
    for snapshot in case.dossier_mut().snapshots.iter_mut().filter(|snapshot| snapshot.id == id) {
        (snapshot.verified_by, snapshot.verified_at) = (Some(verifier.id), Some(at));
    }
    case.sign(context, (SubjectKind::Snapshot, id), act::VERIFY_TRAY, verifier, method);
    announce(case, id);
    if kind == SnapshotKind::Close && case.session().status == Status::Closed {
        // A closer that came after a forced close: the edge that binds it was taken without it.
        case.dossier_mut().session.closing_snapshot_id = Some(id);
    }
    Ok(())
}

fn may_verify(verifier: &Staff, counter: Uuid) -> Result<(), Refusal> {
    const VERIFIERS: &[Role] = &[Role::Dealer, Role::PitBoss, Role::Admin];
    if verifier.id == counter {
        let detail = format!(
            "{} ({}) counted this tray and cannot verify it",
            verifier.name, verifier.employee_no
        );
        return Err(Refusal::segregation("counter_is_not_verifier", verifier.id, detail));
    }
    if VERIFIERS.contains(&verifier.role) {
        return Ok(());
    }
    Err(Refusal::forbidden(
        VERIFIERS,
        format!(
            "a tray is verified by a dealer or a pit boss, not by {} ({})",
            verifier.name, verifier.role
        ),
    ))
}

/// Opener: OPENING. Closer: CLOSING, or CLOSED after a force. Rundown: while the table is in play.
fn states(case: &Case, kind: SnapshotKind) -> &'static [Status] {
    let forced = case.session().close_reason == Some(CloseReason::Forced);
    match kind {
        SnapshotKind::Open => &[Status::Opening],
        SnapshotKind::Close if forced => &[Status::Closing, Status::Closed],
        SnapshotKind::Close => &[Status::Closing],
        SnapshotKind::Rundown => &[Status::Open, Status::DropScheduled, Status::Dropped, Status::Counted],
    }
}

/// A recount of the opener or closer takes the place of the one before, named or not; a rundown stands by itself.
fn superseded(case: &Case, given: &TrayCount) -> Result<Option<Uuid>, Refusal> {
    let standing = case.dossier().standing_snapshot(given.kind).map(|snapshot| snapshot.id);
    match (given.kind, given.supersedes_id) {
        (SnapshotKind::Open | SnapshotKind::Close, None) => Ok(standing),
        (SnapshotKind::Rundown, None) => Ok(None),
        (SnapshotKind::Open | SnapshotKind::Close, Some(named)) if Some(named) == standing => Ok(Some(named)),
        (SnapshotKind::Rundown, Some(named)) if is_free_rundown(case, named) => Ok(Some(named)),
        (SnapshotKind::Open | SnapshotKind::Close | SnapshotKind::Rundown, Some(_)) => Err(Refusal::invalid(
            "/supersedes_id",
            "not a count of this kind that stands in this session",
        )),
    }
}

fn is_free_rundown(case: &Case, id: Uuid) -> bool {
    let rundown = case
        .dossier()
        .snapshots
        .iter()
        .any(|snapshot| snapshot.id == id && snapshot.kind == SnapshotKind::Rundown);
    rundown && !case.dossier().is_superseded(id)
}

/// An opener is compared with the closer before it; a closer with par, and only where the bank is imprest (domain §5).
fn expected(case: &Case, kind: SnapshotKind) -> Option<i64> {
    let dossier = case.dossier();
    match kind {
        SnapshotKind::Open => dossier.floor.predecessor.as_ref()?.closer.as_ref().map(|closer| closer.total_cents),
        SnapshotKind::Close if dossier.session.bank_mode == BankMode::ImprestToPar => dossier.session.need_total_cents,
        SnapshotKind::Close | SnapshotKind::Rundown => None,
    }
}

/// `table.inventory_open` and `_close` go out when verified, not before (domain §13).
fn announce(case: &mut Case, id: Uuid) {
    let table_id = case.session().table_id;
    let Some(snapshot) = case.dossier().snapshots.iter().find(|snapshot| snapshot.id == id).cloned() else {
        return;
    };
    let Snapshot {
        chipset,
        counted_by,
        verified_by,
        discrepancy_cents,
        ..
    } = snapshot;
    match snapshot.kind {
        SnapshotKind::Open => case.tell(Event::InventoryOpen {
            table_id,
            snapshot_id: id,
            chipset,
            counted_by,
            verified_by,
        }),
        SnapshotKind::Close => {
            case.tell(Event::InventoryClose {
                table_id,
                snapshot_id: id,
                chipset,
                discrepancy_cents,
                counted_by,
                verified_by,
            });
        }
        SnapshotKind::Rundown => {}
    }
}
