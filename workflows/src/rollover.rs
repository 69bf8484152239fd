//! Rollover: at a shift change with the table in play, one count closes a session and opens the next (domain §4).

use uuid::Uuid;

use crate::act;
use crate::case::{Case, Context, Cosigner};
use crate::chipset::RawChipset;
use crate::dossier::{Floor, Predecessor};
use crate::machine::{Decision, Edge, Gate, decide};
use crate::refusal::Refusal;
use crate::role::Role;
use crate::session::{self, Move};
use crate::snapshot::{self, TrayCount};
use crate::word::{CloseReason, SlipStatus, SnapshotKind, Status, SubjectKind, Trigger};

/// CLOSING → CLOSED as a rollover takes it: all its gates but `slips_settled` and `rating_slips_closed`, since a slip in flight
/// and whoever still plays pass to the second session.
static ROLLED_CLOSE: Edge<Status> = Edge {
    verb: "rollover",
    from: Some(Status::Closing),
    to: Status::Closed,
    trigger: Trigger::Auto,
    who: &[Role::PitBoss, Role::Admin],
    gates: ROLLED_CLOSE_GATES,
};
const ROLLED_CLOSE_GATES: &[&Gate] = &[&crate::gates::closing_snapshot_verified::GATE, &crate::gates::closer_current::GATE];

/// What the two pit bosses count.
#[derive(Clone, Debug)]
pub struct Rollover {
    pub chipset: RawChipset,
    pub shift_id: Option<Uuid>,
}

/// Closes the first session and opens its successor with one count. `first` is left CLOSED (or further, if its evidence is complete).
pub fn roll_over(first: &mut Case, context: &Context, given: &Rollover, cosigner: &Cosigner) -> Result<Case, Refusal> {
    two_supervisors(context, cosigner)?;
    let step = |to| Move {
        to,
        note: None,
        drop_scheduled_for: None,
        force: false,
    };
    session::advance(first, context, &step(Status::Closing))?;
    snapshot::count(first, context, &tray(given, SnapshotKind::Close), Some(cosigner))?;
    let closed: Decision<Status> = decide(&ROLLED_CLOSE, &first.scene(context))?;
    first.dossier_mut().session.close_reason = Some(CloseReason::Rollover);
    first.take(context, &closed);
    let mut second = session::create(context, successor_floor(first), first.session().drop_box_id, given.shift_id)?;
    session::advance(&mut second, context, &step(Status::Opening))?;
    snapshot::count(&mut second, context, &tray(given, SnapshotKind::Open), Some(cosigner))?;
    hand_over_slips(first, &mut second);
    // Who plays, plays on: their rating slips are the table's, and so the second session's from now on.
    second.dossier_mut().rating_slips = std::mem::take(&mut first.dossier_mut().rating_slips);
    let (first_id, second_id) = (first.session().id, second.session().id);
    first.sign_as_caller(context, (SubjectKind::Session, first_id), act::ROLL_OVER);
    second.sign_as_caller(context, (SubjectKind::Session, second_id), act::ROLL_OVER);
    second.settle(context);
    first.settle(context);
    Ok(second)
}

/// Outgoing and incoming supervisor both sign (WAC 230-15-590).
fn two_supervisors(context: &Context, cosigner: &Cosigner) -> Result<(), Refusal> {
    let Cosigner(second) = cosigner;
    if second.id == context.caller.id {
        return Err(Refusal::invalid("/cosign/staff_id", "a rollover needs two different pit bosses"));
    }
    if act::ROLL_OVER.may(second.role) {
        return Ok(());
    }
    Err(Refusal::forbidden(
        act::ROLL_OVER.who,
        format!("{} is {}; a rollover is signed by two pit bosses", second.name, second.role),
    ))
}

fn tray(given: &Rollover, kind: SnapshotKind) -> TrayCount {
    TrayCount {
        kind,
        chipset: given.chipset.clone(),
        total_cents: None,
        counted_at: None,
        note: None,
        supersedes_id: None,
    }
}

/// The floor as the second session finds it: the first one closed behind it.
fn successor_floor(first: &Case) -> Floor {
    let dossier = first.dossier();
    Floor {
        predecessor: Some(Predecessor {
            id: dossier.session.id,
            status: dossier.session.status,
            closer: dossier.closer().cloned(),
            removed: dossier.own_drops().any(|drop| drop.stood_on_table),
            drop_box_id: dossier.session.drop_box_id,
        }),
        live_session_id: None,
        successor_id: None,
        ..dossier.floor.clone()
    }
}

/// A slip still REQUESTED or ISSUED passes on: its chips change the second session's tray. A VERIFIED one stays.
fn hand_over_slips(first: &mut Case, second: &mut Case) {
    let (passing, staying) = first.dossier().slips.iter().cloned().partition(|slip| match slip.status {
        SlipStatus::Requested | SlipStatus::Issued => true,
        SlipStatus::VerifiedAtTable | SlipStatus::DepositedInDropbox | SlipStatus::Cancelled | SlipStatus::Voided => false,
    });
    first.dossier_mut().slips = staying;
    second.receive_slips(passing);
}
