//! The session: ten states, and the edges between them (domain §4). Read the table to know the law.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use uuid::Uuid;

use crate::act::{self};
use crate::case::{Case, Context, narrative};
use crate::dossier::{Dossier, Floor};
use crate::event::Event;
use crate::gates::{
    boxes_counted, closer_current, closing_snapshot_verified, count_before_close, drop_box_attached, drop_present, drop_recorded,
    drop_time_set, exceptions_resolved, finalizer_independent, need_set, no_live_session, not_cancelled, nothing_removed_since,
    opening_snapshot_verified, predecessor_closed, rating_slips_closed, removal_unscheduled, report_current, setup_ready,
    slip_forms_available, slips_deposited, slips_settled, table_active,
};
use crate::machine::{Decision, Edge, Gate, Machine, Scene, decide};
use crate::record::{DropBox, Session, Shift};
use crate::refusal::{GateReport, Refusal};
use crate::role::Role::{self, Admin, Compliance, PitBoss, System};
use crate::word::Status::{Closed, Closing, Counted, DropScheduled, Dropped, Finalized, Open, Opening, ReadyToOpen, Reconciled};
use crate::word::Trigger::{self, Auto, Command};
use crate::word::{BoxKind, CloseReason, ShiftStatus, Status, SubjectKind};

const FLOOR: &[Role] = &[PitBoss, Admin];
const FLOOR_AND_JOBS: &[Role] = &[PitBoss, Admin, System];
const NOBODY: &[Role] = &[];

/// Nobody plans a drop farther ahead.
const FARTHEST_PLAN: TimeDelta = TimeDelta::days(366);

/// One line an edge, so that the table reads as the specification's own.
const fn edge(
    verb: &'static str,
    from: Option<Status>,
    to: Status,
    trigger: Trigger,
    who: &'static [Role],
    gates: &'static [&'static Gate],
) -> Edge<Status> {
    Edge {
        verb,
        from,
        to,
        trigger,
        who,
        gates,
    }
}

const SCHEDULE: &[&Gate] = &[&drop_time_set::GATE];
const SELF_SCHEDULE: &[&Gate] = &[&removal_unscheduled::GATE];
const TAKE_BACK: &[&Gate] = &[&nothing_removed_since::GATE];
const BEGIN_CLOSING: &[&Gate] = &[&count_before_close::GATE];

/// Every edge there is. Nothing else: no reopening, nothing leaves FINALIZED, no generic set-status.
pub const MACHINE: Machine<Status> = Machine {
    name: "session",
    states: <Status as strum::VariantArray>::VARIANTS,
    edges: &[
        edge(
            "create",
            None,
            ReadyToOpen,
            Command,
            FLOOR_AND_JOBS,
            &[&table_active::GATE, &no_live_session::GATE, &setup_ready::GATE],
        ),
        edge(
            "begin_opening",
            Some(ReadyToOpen),
            Opening,
            Command,
            FLOOR,
            &[
                &table_active::GATE,
                &drop_box_attached::GATE,
                &slip_forms_available::GATE,
                &predecessor_closed::GATE,
            ],
        ),
        edge(
            "open",
            Some(Opening),
            Open,
            Auto,
            NOBODY,
            &[&opening_snapshot_verified::GATE, &need_set::GATE],
        ),
        edge("schedule_drop", Some(Open), DropScheduled, Command, FLOOR_AND_JOBS, SCHEDULE),
        edge("schedule_drop", Some(Dropped), DropScheduled, Command, FLOOR_AND_JOBS, SCHEDULE),
        edge("schedule_drop", Some(Counted), DropScheduled, Command, FLOOR_AND_JOBS, SCHEDULE),
        edge("self_schedule", Some(Open), DropScheduled, Auto, NOBODY, SELF_SCHEDULE),
        edge("self_schedule", Some(Dropped), DropScheduled, Auto, NOBODY, SELF_SCHEDULE),
        edge("self_schedule", Some(Counted), DropScheduled, Auto, NOBODY, SELF_SCHEDULE),
        edge("take_back", Some(DropScheduled), Open, Command, FLOOR, TAKE_BACK),
        edge("take_back", Some(DropScheduled), Dropped, Command, FLOOR, TAKE_BACK),
        edge("take_back", Some(DropScheduled), Counted, Command, FLOOR, TAKE_BACK),
        edge(
            "drop",
            Some(DropScheduled),
            Dropped,
            Auto,
            NOBODY,
            &[&drop_recorded::GATE, &slips_deposited::GATE],
        ),
        edge("count", Some(Dropped), Counted, Auto, NOBODY, &[&boxes_counted::GATE]),
        edge("begin_closing", Some(Open), Closing, Command, FLOOR_AND_JOBS, BEGIN_CLOSING),
        edge(
            "begin_closing",
            Some(DropScheduled),
            Closing,
            Command,
            FLOOR_AND_JOBS,
            BEGIN_CLOSING,
        ),
        edge("begin_closing", Some(Dropped), Closing, Command, FLOOR_AND_JOBS, BEGIN_CLOSING),
        edge("begin_closing", Some(Counted), Closing, Command, FLOOR_AND_JOBS, BEGIN_CLOSING),
        edge(
            "close",
            Some(Closing),
            Closed,
            Auto,
            NOBODY,
            &[
                &closing_snapshot_verified::GATE,
                &closer_current::GATE,
                &slips_settled::GATE,
                &rating_slips_closed::GATE,
            ],
        ),
        edge(
            "reconcile",
            Some(Closed),
            Reconciled,
            Auto,
            NOBODY,
            &[
                &not_cancelled::GATE,
                &drop_present::GATE,
                &boxes_counted::GATE,
                &slips_settled::GATE,
            ],
        ),
        edge(
            "finalize",
            Some(Reconciled),
            Finalized,
            Command,
            &[Compliance, Admin],
            &[
                &exceptions_resolved::GATE,
                &report_current::GATE,
                &boxes_counted::GATE,
                &slips_settled::GATE,
                &finalizer_independent::GATE,
            ],
        ),
        edge("cancel", Some(ReadyToOpen), Closed, Command, FLOOR_AND_JOBS, &[]),
        edge("cancel", Some(Opening), Closed, Command, FLOOR, &[]),
        edge("force_close", Some(Open), Closed, Command, FLOOR, &[]),
        edge("force_close", Some(DropScheduled), Closed, Command, FLOOR, &[]),
        edge("force_close", Some(Dropped), Closed, Command, FLOOR, &[]),
        edge("force_close", Some(Counted), Closed, Command, FLOOR, &[]),
        edge("force_close", Some(Closing), Closed, Command, FLOOR, &[]),
    ],
};

/// What a transition command brings.
#[derive(Clone, Debug)]
pub struct Move {
    pub to: Status,
    pub note: Option<String>,
    pub drop_scheduled_for: Option<DateTime<Utc>>,
    pub force: bool,
}

/// One edge out of the current state, judged for whoever looks.
#[derive(Clone, Debug)]
pub struct OpenTo {
    pub verb: &'static str,
    pub to: Status,
    pub trigger: Trigger,
    pub roles: &'static [Role],
    pub gates: Vec<GateReport>,
}

/// Opens a new session's file, if the floor permits one (∅ → READY_TO_OPEN).
pub fn create(context: &Context, floor: Floor, drop_box_id: Option<Uuid>, shift_id: Option<Uuid>) -> Result<Case, Refusal> {
    let mut case = Case::created(Dossier::new(blank(context, &floor), floor));
    let edge = MACHINE.edge(None, "create").ok_or(Refusal::NotFound("transition"))?;
    decide(edge, &case.scene(context)).map_err(|refusal| live_session_conflict(refusal, case.dossier()))?;
    prepare(&mut case, drop_box_id, shift_id)?;
    let session = case.session();
    let created = Event::SessionCreated {
        session_id: session.id,
        table_id: session.table_id,
        gaming_day: session.gaming_day,
    };
    let subject = (SubjectKind::Session, session.id);
    if context.caller.role != System {
        case.sign_as_caller(context, subject, act::CREATE_SESSION);
    }
    case.tell(created);
    Ok(case)
}

/// A second live session is a conflict, not missing evidence: nothing a client supplies opens that gate (api.md 409 `conflict`).
fn live_session_conflict(refusal: Refusal, dossier: &Dossier) -> Refusal {
    match (&refusal, dossier.floor.live_session_id) {
        (Refusal::GatesUnmet(gates), Some(live)) if gates.len() == 1 => Refusal::conflict(
            "live_session_exists",
            format!("session {live} of table {} is live", dossier.floor.table.label),
        ),
        (_, Some(_) | None) => refusal,
    }
}

fn blank(context: &Context, floor: &Floor) -> Session {
    Session {
        id: (context.new_id)(),
        casino_id: context.casino.id,
        table_id: floor.table.id,
        gaming_day: context.gaming_day(),
        shift_id: None,
        status: ReadyToOpen,
        bank_mode: context.casino.bank_mode,
        need_total_cents: None,
        predecessor_id: floor.predecessor.as_ref().map(|before| before.id),
        opening_snapshot_id: None,
        closing_snapshot_id: None,
        drop_box_id: None,
        drop_scheduled_for: None,
        scheduled_from: None,
        dropped_through_seq: 0,
        opened_at: None,
        opened_by: None,
        activated_at: None,
        activated_by: None,
        dropped_at: None,
        counted_at: None,
        closing_started_at: None,
        closing_started_by: None,
        closed_at: None,
        closed_by: None,
        close_reason: None,
        close_note: None,
        requires_reconciliation: false,
        reconciled_at: None,
        finalized_at: None,
        finalized_by: None,
        created_at: context.at,
        created_by: context.caller.id,
        version: 1,
    }
}

/// Sets the box and the shift of a session not yet begun.
pub fn prepare(case: &mut Case, drop_box_id: Option<Uuid>, shift_id: Option<Uuid>) -> Result<(), Refusal> {
    case.expect_status(&[ReadyToOpen], "preparing")?;
    if let Some(id) = drop_box_id {
        let drop_box = case.dossier().drop_box(id).ok_or(Refusal::NotFound("drop box"))?;
        free_for(case.dossier(), drop_box)?;
        case.dossier_mut().session.drop_box_id = Some(id);
    }
    if let Some(id) = shift_id {
        takes_sessions(case.dossier(), id)?;
        case.dossier_mut().session.shift_id = Some(id);
    }
    Ok(())
}

/// Gives a session the shift it began in, where that shift was not there yet: its job came late, or was made up for. A session that has a
/// shift keeps it, and what is signed off stays as it was signed.
pub fn adopt(case: &mut Case, shift_id: Uuid) -> Result<(), Refusal> {
    takes_sessions(case.dossier(), shift_id)?;
    let dossier = case.dossier();
    let (session, shift) = (&dossier.session, dossier.floor.shift_named.as_ref());
    let holds = |at: DateTime<Utc>| shift.is_some_and(|shift| shift.starts_at <= at && at < shift.ends_at);
    let is_over = session.status == Finalized || session.close_reason == Some(CloseReason::Cancelled);
    if session.shift_id.is_none() && !is_over && session.opened_at.is_some_and(holds) {
        case.dossier_mut().session.shift_id = Some(shift_id);
    }
    Ok(())
}

/// A shift that a command names must be there, and not be closed: what a closed shift proves would change after it was told.
fn takes_sessions(dossier: &Dossier, id: Uuid) -> Result<(), Refusal> {
    let named = dossier.floor.shift_named.as_ref().filter(|shift| shift.id == id);
    let shift = named.ok_or(Refusal::NotFound("shift"))?;
    match shift.status {
        ShiftStatus::Open => Ok(()),
        ShiftStatus::Closed => Err(Refusal::conflict(
            "shift_closed",
            format!(
                "the shift {} of {} is closed and takes no more sessions",
                shift.name, shift.gaming_day
            ),
        )),
    }
}

/// A box can be given to this table: it belongs here or nowhere, and is in no other place.
pub(crate) fn free_for(dossier: &Dossier, drop_box: &DropBox) -> Result<(), Refusal> {
    match elsewhere(dossier, drop_box) {
        Some(obstacle) => Err(Refusal::conflict("box_elsewhere", format!("box {} {obstacle}", drop_box.label))),
        None => Ok(()),
    }
}

/// Why a box cannot stand on this table.
pub(crate) fn elsewhere(dossier: &Dossier, drop_box: &DropBox) -> Option<&'static str> {
    let table = &dossier.floor.table;
    if drop_box.table_id.is_some_and(|owner| owner != table.id) {
        Some("belongs to another table")
    } else if drop_box.on_table_id.is_some_and(|place| place != table.id) {
        Some("stands on another table")
    } else if drop_box.in_custody {
        Some("is removed and not yet counted")
    } else {
        None
    }
}

/// Takes the edge a person or a job asks for, if its evidence is complete.
pub fn advance(case: &mut Case, context: &Context, ask: &Move) -> Result<(), Refusal> {
    may_ever(context, ask)?;
    let from = case.session().status;
    let Some(edge) = asked_edge(case.dossier(), ask) else {
        return Err(not_asked(case, context, ask));
    };
    if ask.drop_scheduled_for.is_some() && ask.to != DropScheduled {
        return Err(Refusal::invalid("/drop_scheduled_for", "belongs to DROP_SCHEDULED only"));
    }
    let note = match edge.verb {
        "cancel" | "force_close" => Some(narrative(ask.note.as_deref().unwrap_or_default(), "/note")?),
        _ => crate::case::note(ask.note.as_deref(), "/note")?,
    };
    let time = drop_time(case, context, ask)?;
    if ask.to == Finalized {
        // Evidence of a neighbour may have come since: the closer before, a count of a shared box.
        case.look_first(context);
    }
    let decision = decide(
        edge,
        &Scene {
            drop_scheduled_for: time,
            ..case.scene(context)
        },
    )?;
    let session = &mut case.dossier_mut().session;
    if ask.to == DropScheduled {
        session.drop_scheduled_for = time;
    }
    if ask.to == Closed {
        session.close_note.clone_from(&note);
    }
    case.take(context, &decision);
    case.annotate(note);
    if context.caller.role != System {
        let id = case.session().id;
        case.sign_as_caller(context, (SubjectKind::Session, id), act::of_move(decision.verb()));
    }
    if from == Reconciled && case.session().status == Finalized {
        crate::rundown::seal(case, context);
    }
    Ok(())
}

/// A role that may ask for this state from nowhere is told so, wherever the session stands.
fn may_ever(context: &Context, ask: &Move) -> Result<(), Refusal> {
    let edges = || MACHINE.edges.iter().filter(|edge| edge.to == ask.to && edge.trigger == Command);
    if edges().next().is_none() || edges().any(|edge| edge.who.contains(&context.caller.role)) {
        return Ok(());
    }
    let who: Vec<Role> = edges()
        .flat_map(|edge| edge.who)
        .copied()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    Err(Refusal::forbidden(
        &who,
        format!("{} may not ask for {}", context.caller.role, ask.to),
    ))
}

/// A drop without a time is planned for now; one before play began is a mistake.
fn drop_time(case: &Case, context: &Context, ask: &Move) -> Result<Option<DateTime<Utc>>, Refusal> {
    if ask.to != DropScheduled {
        return Ok(None);
    }
    let time = ask.drop_scheduled_for.unwrap_or(context.at);
    if time > context.at + FARTHEST_PLAN {
        return Err(Refusal::invalid("/drop_scheduled_for", "lies more than a year ahead"));
    }
    let time = time.trunc_subsecs(6);
    match case.session().activated_at {
        Some(opened) if time < opened => Err(Refusal::invalid(
            "/drop_scheduled_for",
            format!("lies before the table opened, at {opened}"),
        )),
        Some(_) | None => Ok(Some(time)),
    }
}

/// The command edge a client means by `to` and `force`.
fn asked_edge(dossier: &Dossier, ask: &Move) -> Option<&'static Edge<Status>> {
    MACHINE
        .edges_from(Some(dossier.session.status))
        .filter(|edge| edge.to == ask.to && edge.trigger == Command)
        .find(|edge| match edge.verb {
            "force_close" => ask.force,
            "cancel" => !ask.force,
            "take_back" => dossier.session.scheduled_from == Some(ask.to),
            _ => true,
        })
}

/// An automatic edge asked for too early names its gates; anything else is no edge at all.
fn not_asked(case: &Case, context: &Context, ask: &Move) -> Refusal {
    let from = case.session().status;
    let auto = MACHINE
        .edges_from(Some(from))
        .find(|edge| edge.to == ask.to && edge.trigger == Auto);
    if let (Some(edge), false) = (auto, ask.force) {
        return Refusal::GatesUnmet(
            edge.reports(&case.scene(context))
                .into_iter()
                .filter(|gate| !gate.satisfied)
                .collect(),
        );
    }
    let detail = match (from.in_play(), ask.to, ask.force) {
        (true, Closed, false) => "a table in play closes through CLOSING; with force: true and a note it is force closed",
        (false, Closed, true) => "only a table that was opened can be force closed; without force a session not yet open is cancelled",
        (_, _, _) => "there is no such edge",
    };
    let mut refusal = MACHINE.illegal(from, ask.to, detail);
    if let Refusal::IllegalTransition { allowed, .. } = &mut refusal {
        // A schedule is taken back to where it came from alone.
        let other = |edge: &Edge<Status>| edge.verb == "take_back" && case.session().scheduled_from != Some(edge.to);
        allowed.retain(|to| !MACHINE.edges_from(Some(from)).any(|edge| other(edge) && edge.to.to_string() == *to));
    }
    refusal
}

/// Every edge out of the current state with its gates judged: the answer before anyone tries.
pub fn open_to(dossier: &Dossier, context: &Context) -> Vec<OpenTo> {
    let session = &dossier.session;
    let scene = Scene {
        drop_scheduled_for: Some(context.at),
        ..Scene::new(dossier, context)
    };
    MACHINE
        .edges_from(Some(session.status))
        .filter(|edge| edge.verb != "take_back" || session.scheduled_from == Some(edge.to))
        .map(|edge| OpenTo {
            verb: edge.verb,
            to: edge.to,
            trigger: edge.trigger,
            roles: edge.who,
            gates: edge.reports(&scene),
        })
        .collect()
}

/// What entering a state writes down. Called by [`Case::take`] alone.
pub(crate) fn enter(dossier: &mut Dossier, context: &Context, decision: &Decision<Status>) {
    let (from, at, by) = (dossier.session.status, context.at, Some(context.caller.id));
    dossier.session.status = decision.to();
    match decision.to() {
        ReadyToOpen => {}
        Opening => begin(dossier, context),
        Open if from == Opening => {
            dossier.session.opening_snapshot_id = dossier.opener().map(|opener| opener.id);
            (dossier.session.activated_at, dossier.session.activated_by) = (Some(at), by);
        }
        DropScheduled => {
            let removed_at = dossier.own_drops().last().map(|drop| drop.removed_at);
            let session = &mut dossier.session;
            session.scheduled_from = Some(from);
            if decision.trigger() == Auto {
                session.drop_scheduled_for = removed_at;
            }
        }
        Dropped if decision.trigger() == Auto => {
            let last = dossier
                .own_drops()
                .max_by_key(|drop| drop.seq_no)
                .map(|drop| (drop.seq_no, drop.removed_at));
            if let Some((seq_no, removed_at)) = last {
                (dossier.session.dropped_through_seq, dossier.session.dropped_at) = (seq_no, Some(removed_at));
            }
            unschedule(&mut dossier.session);
        }
        Counted if from == Dropped => dossier.session.counted_at = Some(at),
        Open | Dropped | Counted => unschedule(&mut dossier.session),
        Closing => (dossier.session.closing_started_at, dossier.session.closing_started_by) = (Some(at), by),
        Closed => close(dossier, context, decision.verb()),
        Reconciled => {
            let counted = dossier.drop_total_cents().map(|_| at);
            dossier.session.counted_at = dossier.session.counted_at.or(counted);
            dossier.session.reconciled_at = Some(at);
        }
        Finalized => (dossier.session.finalized_at, dossier.session.finalized_by) = (Some(at), by),
    }
}

/// Beginning to open binds bank mode, par, gaming day and shift, and puts the box on the table.
fn begin(dossier: &mut Dossier, context: &Context) {
    dossier.session.shift_id = shift_at_opening(dossier, context.at);
    let session = &mut dossier.session;
    session.bank_mode = context.casino.bank_mode;
    session.need_total_cents = dossier.floor.par_cents;
    session.gaming_day = context.gaming_day();
    (session.opened_at, session.opened_by) = (Some(context.at), Some(context.caller.id));
    let (table_id, attached) = (session.table_id, session.drop_box_id);
    for drop_box in dossier.floor.boxes.iter_mut().filter(|drop_box| Some(drop_box.id) == attached) {
        place(drop_box, Some(table_id));
    }
}

/// The shift given, or else the one that holds this moment. A session prepared for a shift that is over by now opens in the next one,
/// where there is one; and a closed shift takes none.
fn shift_at_opening(dossier: &Dossier, at: DateTime<Utc>) -> Option<Uuid> {
    let floor = &dossier.floor;
    let open = |shift: &&Shift| Some(shift.id) == dossier.session.shift_id && shift.status == ShiftStatus::Open;
    let given = floor.shift_named.as_ref().filter(open);
    let lasting = given.filter(|shift| at < shift.ends_at).map(|shift| shift.id);
    lasting.or(floor.shift_now).or(given.map(|shift| shift.id))
}

/// Moves a box. Writing the same place again is no change.
pub(crate) fn place(drop_box: &mut DropBox, on_table_id: Option<Uuid>) {
    if drop_box.on_table_id != on_table_id {
        drop_box.on_table_id = on_table_id;
        drop_box.version += 1;
    }
}

fn unschedule(session: &mut Session) {
    (session.drop_scheduled_for, session.scheduled_from) = (None, None);
}

fn close(dossier: &mut Dossier, context: &Context, verb: &str) {
    let closing_snapshot_id = dossier.closer().map(|closer| closer.id);
    let session = &mut dossier.session;
    (session.closed_at, session.closed_by) = (Some(context.at), Some(context.caller.id));
    session.closing_snapshot_id = closing_snapshot_id;
    session.close_reason = Some(match verb {
        "cancel" => CloseReason::Cancelled,
        "force_close" => CloseReason::Forced,
        _ => session.close_reason.unwrap_or(CloseReason::Normal),
    });
    session.requires_reconciliation = verb == "force_close";
    if verb == "cancel" {
        free_emergency_box(dossier);
    }
}

/// A cancelled opening gives back the emergency box it had put on the table: no later session would.
fn free_emergency_box(dossier: &mut Dossier) {
    let inherited = dossier.floor.predecessor.as_ref().and_then(|before| before.drop_box_id);
    let (attached, table_id) = (
        dossier.session.drop_box_id.filter(|id| Some(*id) != inherited),
        dossier.floor.table.id,
    );
    let boxes = dossier.floor.boxes.iter_mut().filter(|drop_box| Some(drop_box.id) == attached);
    for drop_box in boxes.filter(|drop_box| drop_box.kind == BoxKind::Emergency && drop_box.on_table_id == Some(table_id)) {
        place(drop_box, None);
    }
}
