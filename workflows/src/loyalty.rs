//! Points: a ledger of signed entries and their sum (seed 2). Who collects, decides the visit: a rated one does, a ghost never (ADR-014 in seed 3).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::case::Context;
use crate::event::{Event, LedgerReason, RatingSlipStatus, VisitKind};
use crate::rating_slip::RatingSlip;
use crate::refusal::{Flaw, Refusal, flawless};
use crate::visit::Visit;

/// The most points one entry moves: a slip of the finger is no jackpot.
pub const MAX_POINTS: i32 = 10_000_000;

/// `player`: somebody the house knows by number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Player {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub player_no: String,
    pub name: String,
    pub loyalty_tier: Option<String>,
    /// Identified and rated, but collects no points.
    pub loyalty_opt_out: bool,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// `loyalty_ledger`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerEntry {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub player_id: Uuid,
    pub points: i32,
    pub reason: LedgerReason,
    pub visit_id: Option<Uuid>,
    pub rating_slip_id: Option<Uuid>,
    /// The entry a correction sets right.
    pub corrects_id: Option<Uuid>,
    pub note: Option<String>,
    pub created_by: Uuid,
    pub created_at: DateTime<Utc>,
}

/// What a client asks to be booked.
#[derive(Clone, Debug)]
pub struct Ask {
    pub points: i32,
    pub reason: LedgerReason,
    pub note: Option<String>,
}

/// What an entry may name, as it was found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Named<'a> {
    pub visit: Option<&'a Visit>,
    pub slip: Option<&'a RatingSlip>,
    pub corrected: Option<&'a LedgerEntry>,
    /// The slip has its session-end accrual already.
    pub is_accrued: bool,
}

/// Books points. Nothing is computed here: how many a visit earns is the programme's matter, whether it may earn any is the house's.
pub fn append(context: &Context, player: &Player, ask: &Ask, named: Named<'_>) -> Result<LedgerEntry, Refusal> {
    flawless(flaws(ask, named))?;
    if let Some(visit) = named.visit {
        collects(visit, player)?;
    }
    if is_reward(ask.reason) && player.loyalty_opt_out {
        let detail = format!("player {} takes no part in the loyalty programme", player.player_no);
        return Err(Refusal::conflict("loyalty_opted_out", detail));
    }
    match named.slip {
        Some(slip) if ask.reason == LedgerReason::SessionEnd => accrues_once(slip, named.is_accrued)?,
        Some(_) | None => {}
    }
    if named.corrected.is_some_and(|entry| entry.player_id != player.id) {
        return Err(Refusal::invalid("/corrects_id", "is an entry of another player"));
    }
    Ok(LedgerEntry {
        id: (context.new_id)(),
        casino_id: context.casino.id,
        player_id: player.id,
        points: ask.points,
        reason: ask.reason,
        visit_id: named.visit.map(|visit| visit.id),
        rating_slip_id: named.slip.map(|slip| slip.id),
        corrects_id: named.corrected.map(|entry| entry.id),
        note: ask.note.clone(),
        created_by: context.caller.id,
        created_at: context.at,
    })
}

/// Given for play or as a gift: always positive, and only to those who collect.
const fn is_reward(reason: LedgerReason) -> bool {
    match reason {
        LedgerReason::MidSession | LedgerReason::SessionEnd | LedgerReason::Promotion => true,
        LedgerReason::ManualAdjustment | LedgerReason::Correction => false,
    }
}

fn flaws(ask: &Ask, named: Named<'_>) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if ask.points == 0 || !(-MAX_POINTS..=MAX_POINTS).contains(&ask.points) {
        flaws.push(Flaw::new("/points", format!("must be −{MAX_POINTS} to {MAX_POINTS}, and not 0")));
    } else if is_reward(ask.reason) && ask.points < 0 {
        flaws.push(Flaw::new("/points", "a reward is positive; a correction takes back"));
    }
    let for_play = matches!(ask.reason, LedgerReason::MidSession | LedgerReason::SessionEnd);
    if for_play && named.slip.is_none() {
        flaws.push(Flaw::new(
            "/rating_slip_id",
            "points for play name the rating slip they were earned on",
        ));
    }
    let is_correction = ask.reason == LedgerReason::Correction;
    if is_correction != named.corrected.is_some() {
        let message = if is_correction {
            "a correction names the entry it sets right"
        } else {
            "belongs to a correction"
        };
        flaws.push(Flaw::new("/corrects_id", message));
    }
    if let (Some(visit), Some(slip)) = (named.visit, named.slip)
        && slip.visit_id != visit.id
    {
        flaws.push(Flaw::new("/visit_id", "is not the visit of the rating slip"));
    }
    flaws
}

fn collects(visit: &Visit, player: &Player) -> Result<(), Refusal> {
    match (visit.visit_kind, visit.player_id) {
        (VisitKind::GamingGhostUnrated, _) | (_, None) => {
            let detail = "a ghost visit collects no points: nobody knows whose they would be";
            Err(Refusal::conflict("ghost_visit", detail))
        }
        (VisitKind::RewardIdentified | VisitKind::GamingIdentifiedRated, Some(own)) if own != player.id => {
            Err(Refusal::invalid("/player_id", "is not the player of the visit"))
        }
        (VisitKind::RewardIdentified | VisitKind::GamingIdentifiedRated, Some(_)) => Ok(()),
    }
}

fn accrues_once(slip: &RatingSlip, is_accrued: bool) -> Result<(), Refusal> {
    if is_accrued {
        return Err(already_accrued());
    }
    match slip.status {
        RatingSlipStatus::Closed => Ok(()),
        RatingSlipStatus::Open | RatingSlipStatus::Paused => {
            let detail = "the rating slip is not closed; a pit boss closes it first";
            Err(Refusal::conflict("rating_slip_open", detail))
        }
    }
}

/// Also what the database says to the second of two who ask at once.
pub fn already_accrued() -> Refusal {
    Refusal::conflict("already_accrued", "the rating slip has its session-end points already")
}

/// What is told of an entry: the entry, and what it made of the balance.
pub fn told(entry: &LedgerEntry, player: &Player, balance: i64) -> [Event; 2] {
    [
        Event::LedgerAppended {
            ledger_id: entry.id,
            player_id: entry.player_id,
            points_earned: entry.points.into(),
            reason: entry.reason,
            rating_slip_id: entry.rating_slip_id,
            visit_id: entry.visit_id,
        },
        Event::BalanceUpdated {
            player_id: entry.player_id,
            balance,
            balance_delta: entry.points.into(),
            tier: player.loyalty_tier.clone(),
        },
    ]
}
