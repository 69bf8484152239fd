//! What closing a shift does to one of its sessions (domain §11): as far along its road as the gates permit, and no farther.
//!
//! A plan is the same for all sessions of a shift, and may be carried out any number of times: what is done is found done. What a person
//! alone may do (sign, count, resolve, finalize) is left to people, and told as what blocks.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::case::{Case, Changes, Context};
use crate::dossier::Dossier;
use crate::machine::Taken;
use crate::record::Shift;
use crate::refusal::Refusal;
use crate::session::{self, Move};
use crate::word::{CloseReason, Status};

/// How a shift is closed.
#[derive(Clone, Debug)]
pub struct Plan {
    pub shift: Shift,
    /// When the boxes are to go.
    pub drop_at: DateTime<Utc>,
    /// Tables still in play begin to close. Off unless the casino asks for it: a table may go on into the next shift.
    pub start_closings: bool,
}

/// What became of one session when its shift was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Line {
    pub session_id: Uuid,
    pub table_id: Uuid,
    pub table: String,
    pub status: Status,
    /// Edges the daemon took, oldest first: in a job's outcome those of that run, in the summary all since the shift was closed.
    pub advanced: Vec<Step>,
    /// Edges ahead that are shut.
    pub blocked: Vec<Blocked>,
    /// Why the session could not be worked on at all: the code of the refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    pub from: String,
    pub to: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Blocked {
    /// The edge's verb.
    pub edge: String,
    /// Codes of the unmet gates.
    pub gates: Vec<String>,
}

/// Carries the plan out on one session. What its gates refuse is no error: [`line`] tells it afterwards.
pub fn drive(case: &mut Case, context: &Context, plan: &Plan) -> Result<(), Refusal> {
    // The session may have passed to another shift since it was listed.
    if case.session().shift_id != Some(plan.shift.id) {
        return Ok(());
    }
    if case.session().status == Status::ReadyToOpen {
        let note = format!("never begun in the shift {} of {}", plan.shift.name, plan.shift.gaming_day);
        return asked(case, context, Status::Closed, Some(note), None);
    }
    if wants_drop(case.dossier(), context, plan) {
        asked(case, context, Status::DropScheduled, None, Some(plan.drop_at.max(context.at)))?;
    }
    if plan.start_closings && case.session().status.in_play() {
        asked(case, context, Status::Closing, None, None)?;
    }
    Ok(())
}

fn asked(
    case: &mut Case,
    context: &Context,
    to: Status,
    note: Option<String>,
    drop_scheduled_for: Option<DateTime<Utc>>,
) -> Result<(), Refusal> {
    let ask = Move {
        to,
        note,
        drop_scheduled_for,
        force: false,
    };
    match session::advance(case, context, &ask) {
        Err(Refusal::GatesUnmet(_)) | Ok(()) => Ok(()),
        Err(other) => Err(other),
    }
}

/// In play and not scheduled; and the drop of this shift has not gone yet. A removal shortly before the close, or at any time after
/// it, was that drop: to close the shift again must not ask for a second one.
fn wants_drop(dossier: &Dossier, context: &Context, plan: &Plan) -> bool {
    let window = TimeDelta::minutes(i64::from(context.casino.drop_window_minutes));
    let since = plan.shift.closed_at.unwrap_or(context.at) - window;
    let status = dossier.session.status;
    status.in_play() && status != Status::DropScheduled && !dossier.own_drops().any(|drop| drop.stood_on_table && drop.removed_at >= since)
}

/// What is to be told of a session after the plan was carried out on it.
pub fn line(changes: &Changes, context: &Context, plan: &Plan) -> Option<Line> {
    let dossier = changes.dossiers().first()?;
    Some(Line {
        session_id: dossier.session.id,
        table_id: dossier.session.table_id,
        table: dossier.floor.table.label.clone(),
        status: dossier.session.status,
        advanced: changes.taken().iter().map(Step::from).collect(),
        blocked: blocked(dossier, context, plan),
        failed: None,
    })
}

/// The edges of the road ahead, with what keeps them shut. Side roads (cancel, force close, a schedule taken back) block nothing.
fn blocked(dossier: &Dossier, context: &Context, plan: &Plan) -> Vec<Blocked> {
    // A cancelled session has no road ahead.
    if dossier.session.close_reason == Some(CloseReason::Cancelled) {
        return Vec::new();
    }
    let ahead = |verb: &str| match verb {
        "open" | "drop" | "count" | "close" | "reconcile" | "finalize" => true,
        "begin_closing" => plan.start_closings,
        _ => false,
    };
    session::open_to(dossier, context)
        .into_iter()
        .filter(|edge| ahead(edge.verb))
        .map(|edge| Blocked {
            edge: edge.verb.to_owned(),
            gates: edge
                .gates
                .iter()
                .filter(|gate| !gate.satisfied)
                .map(|gate| gate.code.to_owned())
                .collect(),
        })
        .filter(|edge| !edge.gates.is_empty())
        .collect()
}

impl From<&Taken> for Step {
    fn from(taken: &Taken) -> Self {
        Self {
            from: taken.from.clone(),
            to: taken.to.clone(),
        }
    }
}

impl Line {
    /// A session that could not be worked on.
    pub fn failed(session: &SessionAt, code: &str) -> Self {
        Self {
            session_id: session.session_id,
            table_id: session.table_id,
            table: session.table.clone(),
            status: session.status,
            advanced: Vec::new(),
            blocked: Vec::new(),
            failed: Some(code.to_owned()),
        }
    }
}

/// A session of the shift, as it was listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionAt {
    pub session_id: Uuid,
    pub table_id: Uuid,
    pub table: String,
    pub status: Status,
}
