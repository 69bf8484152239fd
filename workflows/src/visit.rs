//! A visit: one stay of one guest, known to the house or not (seed 2). Read the table of edges to know what may become of it.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::case::Context;
use crate::event::{Event, VisitKind};
use crate::machine::{Edge, Machine};
use crate::refusal::Refusal;
use crate::role::Role;
use crate::word::Trigger;

const FLOOR: &[Role] = &[Role::PitBoss, Role::Admin];

/// Where a visit stands: as what the guest is here, or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Standing {
    RewardIdentified,
    GamingIdentifiedRated,
    GamingGhostUnrated,
    Ended,
}

const fn edge(verb: &'static str, from: Option<Standing>, to: Standing) -> Edge<Standing> {
    Edge {
        verb,
        from,
        to,
        trigger: Trigger::Command,
        who: FLOOR,
        gates: &[],
    }
}

/// Every edge of a visit. A conversion goes one way, and a ghost never becomes somebody: a player found later gets a visit of their own.
pub const MACHINE: Machine<Standing> = Machine {
    name: "visit",
    states: Standing::VARIANTS,
    edges: &[
        edge("start", None, Standing::RewardIdentified),
        edge("start", None, Standing::GamingIdentifiedRated),
        edge("start", None, Standing::GamingGhostUnrated),
        edge("convert", Some(Standing::RewardIdentified), Standing::GamingIdentifiedRated),
        edge("close", Some(Standing::RewardIdentified), Standing::Ended),
        edge("close", Some(Standing::GamingIdentifiedRated), Standing::Ended),
        edge("close", Some(Standing::GamingGhostUnrated), Standing::Ended),
    ],
};

/// `visit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Visit {
    pub id: Uuid,
    pub casino_id: Uuid,
    /// None for a ghost, and for nobody else.
    pub player_id: Option<Uuid>,
    pub visit_kind: VisitKind,
    pub gaming_day: NaiveDate,
    pub started_at: DateTime<Utc>,
    pub started_by: Uuid,
    pub converted_at: Option<DateTime<Utc>>,
    pub converted_by: Option<Uuid>,
    pub ended_at: Option<DateTime<Utc>>,
    pub ended_by: Option<Uuid>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

impl Visit {
    pub const fn standing(&self) -> Standing {
        match (self.ended_at, self.visit_kind) {
            (Some(_), _) => Standing::Ended,
            (None, VisitKind::RewardIdentified) => Standing::RewardIdentified,
            (None, VisitKind::GamingIdentifiedRated) => Standing::GamingIdentifiedRated,
            (None, VisitKind::GamingGhostUnrated) => Standing::GamingGhostUnrated,
        }
    }

    pub const fn is_ghost(&self) -> bool {
        matches!(self.visit_kind, VisitKind::GamingGhostUnrated)
    }

    /// Refuses an edge the visit's standing does not have.
    fn may(&self, verb: &str, to: Standing, detail: &str) -> Result<(), Refusal> {
        let standing = self.standing();
        match MACHINE.edge(Some(standing), verb) {
            Some(_) => Ok(()),
            None => Err(MACHINE.illegal(standing, to, detail)),
        }
    }
}

/// Starts a visit. The kind says whether there is a player; the two are given together or refused together.
pub fn start(context: &Context, visit_kind: VisitKind, player_id: Option<Uuid>) -> Result<(Visit, Vec<Event>), Refusal> {
    match (visit_kind, player_id) {
        (VisitKind::GamingGhostUnrated, Some(_)) => {
            return Err(Refusal::invalid("/player_id", "a ghost visit has no player"));
        }
        (VisitKind::RewardIdentified | VisitKind::GamingIdentifiedRated, None) => {
            return Err(Refusal::invalid(
                "/player_id",
                format!("a visit that is {visit_kind} names its player"),
            ));
        }
        (VisitKind::GamingGhostUnrated, None) | (VisitKind::RewardIdentified | VisitKind::GamingIdentifiedRated, Some(_)) => {}
    }
    let visit = Visit {
        id: (context.new_id)(),
        casino_id: context.casino.id,
        player_id,
        visit_kind,
        gaming_day: context.gaming_day(),
        started_at: context.at,
        started_by: context.caller.id,
        converted_at: None,
        converted_by: None,
        ended_at: None,
        ended_by: None,
        version: 1,
        created_at: context.at,
    };
    let created = Event::VisitCreated {
        visit_id: visit.id,
        player_id,
        visit_kind,
        started_at: visit.started_at,
    };
    // The catalog's check-in carries a player: a ghost is seen, not checked in.
    let checked_in = player_id.map(|player_id| Event::VisitCheckedIn {
        visit_id: visit.id,
        player_id,
        started_at: visit.started_at,
    });
    Ok((visit, std::iter::once(created).chain(checked_in).collect()))
}

/// A guest who came for a reward sits down to play. One way.
pub fn convert(context: &Context, visit: &Visit) -> Result<(Visit, Event), Refusal> {
    let detail = match (visit.standing(), visit.visit_kind) {
        (Standing::Ended, _) => "the visit has ended; start another",
        (_, VisitKind::GamingGhostUnrated) => "a ghost visit has no player to rate; start a visit of the player",
        (_, VisitKind::RewardIdentified | VisitKind::GamingIdentifiedRated) => "only a reward visit is converted, and only once",
    };
    visit.may("convert", Standing::GamingIdentifiedRated, detail)?;
    // The database says the same: only a ghost is without a player.
    let player_id = visit.player_id.ok_or(Refusal::NotFound("player"))?;
    let converted = Visit {
        visit_kind: VisitKind::GamingIdentifiedRated,
        converted_at: Some(context.at.max(visit.started_at)),
        converted_by: Some(context.caller.id),
        version: visit.version + 1,
        ..visit.clone()
    };
    let told = Event::VisitConverted {
        visit_id: visit.id,
        player_id,
        from_kind: visit.visit_kind,
        to_kind: converted.visit_kind,
    };
    Ok((converted, told))
}

/// Ends a visit. Whoever still has a rating slip open has not left.
pub fn close(context: &Context, visit: &Visit, open_slips: &[Uuid]) -> Result<(Visit, Vec<Event>), Refusal> {
    visit.may("close", Standing::Ended, "the visit has ended already")?;
    if !open_slips.is_empty() {
        let slips = open_slips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let detail = format!("the visit has rating slips that are not closed: {slips}; a pit boss closes them first");
        return Err(Refusal::conflict("open_rating_slips", detail));
    }
    let ended_at = context.at.max(visit.started_at);
    let ended = Visit {
        ended_at: Some(ended_at),
        ended_by: Some(context.caller.id),
        version: visit.version + 1,
        ..visit.clone()
    };
    let closed = Event::VisitClosed {
        visit_id: visit.id,
        player_id: visit.player_id,
        visit_kind: visit.visit_kind,
        ended_at,
    };
    let checked_out = visit.player_id.map(|player_id| Event::VisitCheckedOut {
        visit_id: visit.id,
        player_id,
        started_at: visit.started_at,
        ended_at,
        duration_minutes: (ended_at - visit.started_at).num_minutes(),
    });
    Ok((ended, std::iter::once(closed).chain(checked_out).collect()))
}
