//! Money that passes between a player and the house, as rows that are never changed (seed 2, seed 3).
//!
//! What was written wrong is set right by another row that points at it: an adjustment by any signed amount that leaves something, a reversal by
//! all that is left. So the sum of a row and its corrections is never negative, and a row taken back stays at nothing.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::case::Context;
use crate::event::Event;
use crate::gaming_day::gaming_day;
use crate::money::MAX_CENTS;
use crate::rating_slip::RatingSlip;
use crate::refusal::{Flaw, Refusal, flawless};
use crate::visit::Visit;
use crate::word::{Direction, TransactionKind};

/// How late a transaction may be entered: paper found after a weekend, not a gaming day long proved.
pub const LATEST_ENTRY: TimeDelta = TimeDelta::days(7);

/// `player_financial_transaction`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Transaction {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub player_id: Uuid,
    pub visit_id: Option<Uuid>,
    pub rating_slip_id: Option<Uuid>,
    pub direction: Direction,
    pub kind: TransactionKind,
    /// The row that an adjustment or a reversal sets right.
    pub corrects_id: Option<Uuid>,
    /// Positive; a correction is signed.
    pub amount_cents: i64,
    pub tender_type: Option<String>,
    pub gaming_day: NaiveDate,
    pub occurred_at: DateTime<Utc>,
    pub note: Option<String>,
    pub idempotency_key: String,
    pub created_by_staff_id: Uuid,
    pub created_at: DateTime<Utc>,
}

/// What a client says of a transaction, texts already judged.
#[derive(Clone, Debug)]
pub struct Entry {
    pub player_id: Option<Uuid>,
    pub visit_id: Option<Uuid>,
    pub rating_slip_id: Option<Uuid>,
    pub direction: Option<Direction>,
    pub kind: TransactionKind,
    pub corrects_id: Option<Uuid>,
    pub amount_cents: Option<i64>,
    pub tender_type: Option<String>,
    pub occurred_at: Option<DateTime<Utc>>,
    pub note: Option<String>,
    pub idempotency_key: String,
}

/// A new transaction, with the visit and the slip it names.
pub fn record(context: &Context, entry: &Entry, visit: Option<&Visit>, slip: Option<&RatingSlip>) -> Result<Transaction, Refusal> {
    let (player_id, direction, amount_cents) = whole(entry)?;
    if let Some(visit) = visit {
        is_of_player(visit, player_id)?;
    }
    if let (Some(visit), Some(slip)) = (visit, slip)
        && slip.visit_id != visit.id
    {
        return Err(Refusal::invalid("/visit_id", "is not the visit of the rating slip"));
    }
    let occurred_at = occurred_at(context, entry.occurred_at, visit)?;
    Ok(Transaction {
        id: (context.new_id)(),
        casino_id: context.casino.id,
        player_id,
        visit_id: visit.map(|visit| visit.id),
        rating_slip_id: slip.map(|slip| slip.id),
        direction,
        kind: TransactionKind::Normal,
        corrects_id: None,
        amount_cents,
        tender_type: entry.tender_type.clone(),
        gaming_day: gaming_day(occurred_at, context.zone, context.casino.gaming_day_start),
        occurred_at,
        note: entry.note.clone(),
        idempotency_key: entry.idempotency_key.clone(),
        created_by_staff_id: context.caller.id,
        created_at: context.at,
    })
}

fn whole(entry: &Entry) -> Result<(Uuid, Direction, i64), Refusal> {
    let mut flaws = Vec::new();
    if entry.corrects_id.is_some() {
        flaws.push(Flaw::new("/corrects_id", "belongs to an adjustment or a reversal"));
    }
    let amount = entry.amount_cents.filter(|cents| (1..=MAX_CENTS).contains(cents));
    if amount.is_none() {
        flaws.push(Flaw::new("/amount_cents", format!("must be 1 to {MAX_CENTS}")));
    }
    if entry.player_id.is_none() {
        flaws.push(Flaw::new("/player_id", "must name the player"));
    }
    if entry.direction.is_none() {
        flaws.push(Flaw::new("/direction", "must be in or out"));
    }
    match (entry.player_id, entry.direction, amount) {
        (Some(player_id), Some(direction), Some(amount)) if flaws.is_empty() => Ok((player_id, direction, amount)),
        (_, _, _) => Err(Refusal::Invalid(flaws)),
    }
}

fn is_of_player(visit: &Visit, player_id: Uuid) -> Result<(), Refusal> {
    match visit.player_id {
        Some(own) if own == player_id => Ok(()),
        Some(_) => Err(Refusal::invalid("/visit_id", "is the visit of another player")),
        None => {
            let detail =
                "a ghost visit has no player, so no player's money belongs to it; what is seen at the table is logged as a grind buy-in";
            Err(Refusal::conflict("ghost_visit", detail))
        }
    }
}

fn occurred_at(context: &Context, given: Option<DateTime<Utc>>, visit: Option<&Visit>) -> Result<DateTime<Utc>, Refusal> {
    let earliest = context.at - LATEST_ENTRY;
    if given.is_some_and(|at| at < earliest) {
        let message = format!("lies more than {} days back", LATEST_ENTRY.num_days());
        return Err(Refusal::invalid("/occurred_at", message));
    }
    context.time(
        given,
        "/occurred_at",
        visit.map(|visit| (visit.started_at, "the start of the visit")),
    )
}

/// A row that sets another right. `corrections` are those the first row has already.
pub fn correct(context: &Context, entry: &Entry, first: &Transaction, corrections: &[Transaction]) -> Result<Transaction, Refusal> {
    repeats(entry, first)?;
    if first.kind != TransactionKind::Normal {
        let detail = "a correction is not corrected; correct the row it points at";
        return Err(Refusal::conflict("not_correctable", detail));
    }
    if corrections.iter().any(|row| row.kind == TransactionKind::Reversal) {
        return Err(Refusal::conflict("already_reversed", "the transaction has been taken back already"));
    }
    let left = corrections
        .iter()
        .fold(first.amount_cents, |sum, row| sum.saturating_add(row.amount_cents));
    let amount_cents = match entry.kind {
        TransactionKind::Reversal => taken_back(entry, left)?,
        TransactionKind::Adjustment | TransactionKind::Normal => adjusted(entry, left)?,
    };
    // It counts on the day it was made: a gaming day once proved keeps its figures.
    let occurred_at = context.time(
        entry.occurred_at,
        "/occurred_at",
        Some((first.occurred_at, "the transaction it corrects")),
    )?;
    Ok(Transaction {
        id: (context.new_id)(),
        kind: entry.kind,
        corrects_id: Some(first.id),
        amount_cents,
        gaming_day: gaming_day(occurred_at, context.zone, context.casino.gaming_day_start),
        occurred_at,
        note: entry.note.clone(),
        idempotency_key: entry.idempotency_key.clone(),
        created_by_staff_id: context.caller.id,
        created_at: context.at,
        ..first.clone()
    })
}

/// Whose money it is, and which way it went, are the first row's: a correction may repeat them, never change them.
fn repeats(entry: &Entry, first: &Transaction) -> Result<(), Refusal> {
    let differs = [
        ("/player_id", entry.player_id.is_some_and(|id| id != first.player_id)),
        ("/direction", entry.direction.is_some_and(|direction| direction != first.direction)),
        ("/visit_id", entry.visit_id.is_some() && entry.visit_id != first.visit_id),
        (
            "/rating_slip_id",
            entry.rating_slip_id.is_some() && entry.rating_slip_id != first.rating_slip_id,
        ),
        (
            "/tender_type",
            entry.tender_type.is_some() && entry.tender_type != first.tender_type,
        ),
    ];
    let flaws = differs.into_iter().filter(|(_, differs)| *differs);
    flawless(
        flaws
            .map(|(pointer, _)| Flaw::new(pointer, "differs from the transaction it corrects"))
            .collect(),
    )
}

fn adjusted(entry: &Entry, left: i64) -> Result<i64, Refusal> {
    let amount = entry
        .amount_cents
        .filter(|cents| *cents != 0 && (-MAX_CENTS..=MAX_CENTS).contains(cents));
    let amount = amount.ok_or_else(|| Refusal::invalid("/amount_cents", format!("must be −{MAX_CENTS} to {MAX_CENTS}, and not 0")))?;
    if left.saturating_add(amount) < 0 {
        let message = format!("takes more than the {left} cents that are left of the transaction");
        return Err(Refusal::invalid("/amount_cents", message));
    }
    Ok(amount)
}

fn taken_back(entry: &Entry, left: i64) -> Result<i64, Refusal> {
    if left == 0 {
        return Err(Refusal::conflict(
            "nothing_left",
            "adjustments have taken the whole amount back already",
        ));
    }
    match entry.amount_cents {
        Some(cents) if cents != -left => Err(Refusal::invalid(
            "/amount_cents",
            format!("a reversal takes back what is left: {} cents", -left),
        )),
        Some(_) | None => Ok(-left),
    }
}

/// The same request again: everything the client said agrees with the row under its key.
pub fn is_same(row: &Transaction, entry: &Entry) -> bool {
    fn agrees<T: PartialEq>(said: Option<&T>, is: Option<&T>) -> bool {
        said.is_none() || said == is
    }
    row.kind == entry.kind
        && row.corrects_id == entry.corrects_id
        && row.note == entry.note
        && agrees(entry.player_id.as_ref(), Some(&row.player_id))
        && agrees(entry.direction.as_ref(), Some(&row.direction))
        && agrees(entry.amount_cents.as_ref(), Some(&row.amount_cents))
        && agrees(entry.visit_id.as_ref(), row.visit_id.as_ref())
        && agrees(entry.rating_slip_id.as_ref(), row.rating_slip_id.as_ref())
        && agrees(entry.tender_type.as_ref(), row.tender_type.as_ref())
        && agrees(entry.occurred_at.as_ref(), Some(&row.occurred_at))
}

pub fn told(row: &Transaction) -> Event {
    Event::TransactionCreated {
        transaction_id: row.id,
        player_id: row.player_id,
        amount: row.amount_cents,
        tender_type: row.tender_type.clone(),
        gaming_day: row.gaming_day,
        visit_id: row.visit_id,
    }
}
