//! A rating slip: one seat of one visit at one table (seed 2). Who sits there is known through the visit alone.
//!
//! A move to another table closes one slip and opens the next, which points back: the chain is the sitting, and each link has its table's own
//! time and bet.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::case::Context;
use crate::event::RatingSlipStatus::{self, Closed, Open, Paused};
use crate::event::{Event, VisitKind};
use crate::machine::{Edge, Machine};
use crate::record::Table;
use crate::refusal::Refusal;
use crate::role::Role;
use crate::visit::Visit;
use crate::word::{GameType, Status, Trigger};

const FLOOR: &[Role] = &[Role::PitBoss, Role::Admin];
const SECONDS_A_MINUTE: i64 = 60;

const fn edge(verb: &'static str, from: Option<RatingSlipStatus>, to: RatingSlipStatus) -> Edge<RatingSlipStatus> {
    Edge {
        verb,
        from,
        to,
        trigger: Trigger::Command,
        who: FLOOR,
        gates: &[],
    }
}

/// Every edge of a rating slip. What is closed stays closed; who sits down again gets another slip.
pub const MACHINE: Machine<RatingSlipStatus> = Machine {
    name: "rating_slip",
    states: <RatingSlipStatus as strum::VariantArray>::VARIANTS,
    edges: &[
        edge("open", None, Open),
        edge("pause", Some(Open), Paused),
        edge("resume", Some(Paused), Open),
        edge("move", Some(Open), Closed),
        edge("move", Some(Paused), Closed),
        edge("close", Some(Open), Closed),
        edge("close", Some(Paused), Closed),
    ],
};

/// `rating_slip`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RatingSlip {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub visit_id: Uuid,
    pub table_id: Uuid,
    /// The table's game when play began.
    pub game_type: GameType,
    pub status: RatingSlipStatus,
    pub seat: Option<String>,
    pub average_bet_cents: Option<i64>,
    pub started_at: DateTime<Utc>,
    /// Play that has ended; what runs since `resumed_at` comes on top. Pauses are in neither.
    pub played_seconds: i64,
    pub resumed_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// The slip this one was moved from.
    pub previous_slip_id: Option<Uuid>,
    /// The first slip of the chain.
    pub move_group_id: Uuid,
    pub opened_by: Uuid,
    pub closed_by: Option<Uuid>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// A table as a rating slip needs to know it.
#[derive(Clone, Debug)]
pub struct Seating {
    pub table: Table,
    /// Of the table's live session, if there is one.
    pub session: Option<Status>,
}

/// What is changed of a slip at its table; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub average_bet_cents: Option<Option<i64>>,
    pub seat: Option<Option<String>>,
    pub status: Option<RatingSlipStatus>,
}

impl RatingSlip {
    /// Seconds at play until now, without pauses.
    pub fn played_at(&self, at: DateTime<Utc>) -> i64 {
        let running = self.resumed_at.map_or(0, |since| (at - since).num_seconds().max(0));
        self.played_seconds.saturating_add(running)
    }

    /// Whole minutes at play until now, without pauses.
    pub fn minutes_played(&self, at: DateTime<Utc>) -> i64 {
        self.played_at(at) / SECONDS_A_MINUTE
    }

    fn may(&self, verb: &str, to: RatingSlipStatus) -> Result<(), Refusal> {
        match MACHINE.edge(Some(self.status), verb) {
            Some(_) => Ok(()),
            None => Err(MACHINE.illegal(self.status, to, format!("a rating slip that is {} cannot {verb}", self.status))),
        }
    }

    fn updated(&self, at: DateTime<Utc>) -> Event {
        Event::RatingSlipUpdated {
            rating_slip_id: self.id,
            visit_id: self.visit_id,
            average_bet: self.average_bet_cents,
            minutes_played: self.minutes_played(at),
            game_type: self.game_type,
            status: self.status,
        }
    }

    fn created(&self) -> Event {
        Event::RatingSlipCreated {
            rating_slip_id: self.id,
            visit_id: self.visit_id,
            table_id: self.table_id,
            status: self.status,
        }
    }
}

/// Seats a visit at a table in play.
pub fn open(
    context: &Context,
    visit: &Visit,
    seating: &Seating,
    seat: Option<String>,
    average_bet_cents: Option<i64>,
) -> Result<(RatingSlip, Event), Refusal> {
    may_play(visit)?;
    is_in_play(seating)?;
    let id = (context.new_id)();
    let at = context.at.max(visit.started_at);
    let slip = RatingSlip {
        id,
        casino_id: context.casino.id,
        visit_id: visit.id,
        table_id: seating.table.id,
        game_type: seating.table.game,
        status: Open,
        seat,
        average_bet_cents,
        started_at: at,
        played_seconds: 0,
        resumed_at: Some(at),
        ended_at: None,
        previous_slip_id: None,
        move_group_id: id,
        opened_by: context.caller.id,
        closed_by: None,
        version: 1,
        created_at: context.at,
    };
    let told = slip.created();
    Ok((slip, told))
}

fn may_play(visit: &Visit) -> Result<(), Refusal> {
    if visit.ended_at.is_some() {
        return Err(Refusal::conflict("visit_ended", "the visit has ended; start another"));
    }
    match visit.visit_kind {
        VisitKind::GamingIdentifiedRated | VisitKind::GamingGhostUnrated => Ok(()),
        VisitKind::RewardIdentified => {
            let detail = "the guest came for a reward and does not play; a pit boss converts the visit first";
            Err(Refusal::conflict("visit_not_gaming", detail))
        }
    }
}

/// A slip at a table that deals nothing would keep a session from closing that has not begun, or has ended its play.
fn is_in_play(seating: &Seating) -> Result<(), Refusal> {
    if seating.session.is_some_and(Status::in_play) {
        return Ok(());
    }
    let label = &seating.table.label;
    let state = seating
        .session
        .map_or_else(|| "it has no live session".to_owned(), |status| format!("its session is {status}"));
    let detail = format!("table {label} is not in play: {state}; a pit boss opens it first");
    Err(Refusal::conflict("table_not_in_play", detail))
}

/// Changes what is written on a slip, pauses or resumes it. None where nothing differs.
pub fn change(context: &Context, slip: &RatingSlip, change: &Change) -> Result<Option<(RatingSlip, Event)>, Refusal> {
    if slip.status == Closed {
        return Err(Refusal::WrongState {
            status: slip.status.to_string(),
            allowed: vec![Open.to_string(), Paused.to_string()],
            detail: "a closed rating slip stays as it is".to_owned(),
        });
    }
    let stepped = match change.status {
        Some(status) if status != slip.status => step(context, slip, status)?,
        Some(_) | None => slip.clone(),
    };
    let changed = RatingSlip {
        average_bet_cents: change.average_bet_cents.unwrap_or(slip.average_bet_cents),
        seat: change.seat.clone().unwrap_or_else(|| slip.seat.clone()),
        ..stepped
    };
    if changed == *slip {
        return Ok(None);
    }
    let changed = RatingSlip {
        version: slip.version + 1,
        ..changed
    };
    let told = changed.updated(context.at);
    Ok(Some((changed, told)))
}

fn step(context: &Context, slip: &RatingSlip, to: RatingSlipStatus) -> Result<RatingSlip, Refusal> {
    match to {
        Open => {
            slip.may("resume", Open)?;
            Ok(RatingSlip {
                status: Open,
                resumed_at: Some(context.at.max(slip.started_at)),
                ..slip.clone()
            })
        }
        Paused => {
            slip.may("pause", Paused)?;
            Ok(RatingSlip {
                status: Paused,
                played_seconds: slip.played_at(context.at),
                resumed_at: None,
                ..slip.clone()
            })
        }
        Closed => Err(Refusal::invalid("/status", "open or paused; POST …/close closes a rating slip")),
    }
}

/// Ends play on a slip.
pub fn close(context: &Context, slip: &RatingSlip, average_bet_cents: Option<i64>) -> Result<(RatingSlip, Event), Refusal> {
    slip.may("close", Closed)?;
    Ok(end(context, slip, average_bet_cents.or(slip.average_bet_cents)))
}

fn end(context: &Context, slip: &RatingSlip, average_bet_cents: Option<i64>) -> (RatingSlip, Event) {
    let ended_at = context.at.max(slip.started_at);
    let closed = RatingSlip {
        status: Closed,
        average_bet_cents,
        played_seconds: slip.played_at(ended_at),
        resumed_at: None,
        ended_at: Some(ended_at),
        closed_by: Some(context.caller.id),
        version: slip.version + 1,
        ..slip.clone()
    };
    let told = Event::RatingSlipClosed {
        rating_slip_id: closed.id,
        visit_id: closed.visit_id,
        end_time: ended_at,
        total_duration: closed.played_seconds,
        average_bet: closed.average_bet_cents,
        status: closed.status,
    };
    (closed, told)
}

/// What a move leaves behind and what it begins.
pub struct Moved {
    pub closed: RatingSlip,
    pub opened: RatingSlip,
    pub told: [Event; 2],
}

/// Seats the visit at another table: one slip ends, the next begins at the same moment and points back.
pub fn move_to(context: &Context, slip: &RatingSlip, visit: &Visit, seating: &Seating, change: &Change) -> Result<Moved, Refusal> {
    slip.may("move", Closed)?;
    if change.status.is_some() {
        return Err(Refusal::invalid(
            "/status",
            "a move opens the slip at the new table; it takes no status",
        ));
    }
    if seating.table.id == slip.table_id {
        return Err(Refusal::conflict(
            "same_table",
            format!("the rating slip is at table {} already", seating.table.label),
        ));
    }
    let average_bet_cents = change.average_bet_cents.unwrap_or(slip.average_bet_cents);
    let (closed, ended) = end(context, slip, average_bet_cents);
    let (opened, _) = open(context, visit, seating, change.seat.clone().flatten(), average_bet_cents)?;
    let opened = RatingSlip {
        started_at: closed.ended_at.unwrap_or(opened.started_at),
        resumed_at: closed.ended_at,
        previous_slip_id: Some(slip.id),
        move_group_id: slip.move_group_id,
        ..opened
    };
    let began = opened.created();
    Ok(Moved {
        closed,
        opened,
        told: [ended, began],
    })
}
