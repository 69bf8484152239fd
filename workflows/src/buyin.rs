//! Buy-ins as the pit sees them (domain §10, seed 3): what may be entered by hand, and what may be taken back.
//!
//! The kind follows linkage, never amount: with a rating slip a buy-in is rated, a small one too; without, it is grind. Rated buy-ins that
//! finance knows come over the bridge, which lives in the database because no path into finance may go around it; this module judges what
//! people enter, and never touches finance.

use chrono::{DateTime, NaiveDate, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::case::{Context, MAX_TEXT};
use crate::event::{Event, TelemetryKind, TelemetrySource};
use crate::gaming_day::gaming_day;
use crate::money::MAX_CENTS;
use crate::refusal::{Flaw, Refusal, flawless};

/// How long an entry may be taken back. Later, what is wrong is put right by an adjustment that says why.
pub const UNDO_WINDOW: TimeDelta = TimeDelta::minutes(15);
/// The longest key a client may choose, as `Idempotency-Key` has it.
pub const MAX_KEY: usize = 200;
/// The longest word for how a player paid.
pub const MAX_TENDER: usize = 64;

/// What keys of entries by hand begin with; the bridge's are `pft:`.
const ENTRY: &str = "man:";
const UNDO: &str = "undo:";

/// `table_buyin_telemetry`: one row. Cents; an adjustment is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Buyin {
    pub id: Uuid,
    pub casino_id: Uuid,
    /// Of `occurred_at`.
    pub gaming_day: NaiveDate,
    pub table_id: Uuid,
    /// Of a rated row, the slip's.
    pub visit_id: Option<Uuid>,
    pub rating_slip_id: Option<Uuid>,
    pub amount_cents: i64,
    pub telemetry_kind: TelemetryKind,
    pub source: TelemetrySource,
    pub tender_type: Option<String>,
    pub occurred_at: DateTime<Utc>,
    pub actor_id: Uuid,
    pub note: Option<String>,
    /// `pft:<transaction>`, `man:<client's key>` or `undo:<row>`: unique in the casino for ever.
    pub idempotency_key: Option<String>,
    /// The row that an undo, or a correction in finance, takes back or adjusts.
    pub reverses_id: Option<Uuid>,
    /// The table's session was FINALIZED when it was written: stored and flagged, and what was signed stands.
    pub is_late: bool,
    pub created_at: DateTime<Utc>,
}

/// A buy-in as a person enters it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub table_id: Uuid,
    /// A BUYIN is positive, an ADJUSTMENT signed and not 0.
    pub amount_cents: i64,
    pub telemetry_kind: TelemetryKind,
    /// Rated: required, the slip's own. Grind: none.
    #[serde(default)]
    pub visit_id: Option<Uuid>,
    /// Rated: required, a slip of this table. Grind: none.
    #[serde(default)]
    pub rating_slip_id: Option<Uuid>,
    #[serde(default)]
    pub tender_type: Option<String>,
    /// Now, unless told.
    #[serde(default)]
    pub occurred_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub note: Option<String>,
    /// The client's own key: the same entry under it is the same buy-in, however often it is sent.
    pub idempotency_key: String,
}

/// Where a rated player sits: of the rating slip what a buy-in must agree with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Seat {
    pub visit_id: Uuid,
    pub table_id: Uuid,
    /// Of a guest whom nobody knows.
    pub is_ghost: bool,
}

impl TelemetryKind {
    pub const fn is_rated(self) -> bool {
        match self {
            Self::RatedBuyin | Self::RatedAdjustment => true,
            Self::GrindBuyin | Self::GrindAdjustment => false,
        }
    }

    pub const fn is_adjustment(self) -> bool {
        match self {
            Self::RatedAdjustment | Self::GrindAdjustment => true,
            Self::RatedBuyin | Self::GrindBuyin => false,
        }
    }

    /// What corrects a row of this kind.
    const fn adjustment(self) -> Self {
        match self {
            Self::RatedBuyin | Self::RatedAdjustment => Self::RatedAdjustment,
            Self::GrindBuyin | Self::GrindAdjustment => Self::GrindAdjustment,
        }
    }
}

/// The key under which a client's entry is kept.
pub fn entry_key(client_key: &str) -> String {
    format!("{ENTRY}{client_key}")
}

/// The key under which a row is taken back, once.
pub fn undo_key(id: Uuid) -> String {
    format!("{UNDO}{id}")
}

/// Judges an entry; every flaw at once. `seat` is the rating slip it names, where there is one.
pub fn log(entry: &Entry, seat: Option<Seat>, context: &Context) -> Result<Buyin, Refusal> {
    let mut flaws = flaws_of_amount(entry);
    flaws.extend(flaws_of_linkage(entry, seat));
    flaws.extend(flaws_of_texts(entry));
    let occurred_at = match context.time(entry.occurred_at, "/occurred_at", None) {
        Err(Refusal::Invalid(more)) => {
            flaws.extend(more);
            context.at
        }
        judged => judged?,
    };
    flawless(flaws)?;
    // Seed 3: who is not known is not rated, though a slip of theirs is kept. Finance and loyalty say the same.
    if entry.telemetry_kind.is_rated() && seat.is_some_and(|seat| seat.is_ghost) {
        let detail = "the rating slip is of a ghost visit, and a ghost is rated by nobody; log a grind buy-in, without visit and slip";
        return Err(Refusal::conflict("ghost_visit", detail));
    }
    Ok(Buyin {
        id: (context.new_id)(),
        casino_id: context.casino.id,
        gaming_day: gaming_day(occurred_at, context.zone, context.casino.gaming_day_start),
        table_id: entry.table_id,
        visit_id: entry.visit_id,
        rating_slip_id: entry.rating_slip_id,
        amount_cents: entry.amount_cents,
        telemetry_kind: entry.telemetry_kind,
        source: TelemetrySource::ManualOps,
        tender_type: trimmed(entry.tender_type.as_deref()),
        occurred_at,
        actor_id: context.caller.id,
        note: trimmed(entry.note.as_deref()),
        idempotency_key: Some(entry_key(&entry.idempotency_key)),
        reverses_id: None,
        // The database says so: it alone sees the session at the moment of writing.
        is_late: false,
        created_at: context.at,
    })
}

/// Whether a row is what this entry, by this person, came to: then its answer is given again. A time left out asks for none.
pub fn is_same_entry(row: &Buyin, entry: &Entry, by: Uuid) -> bool {
    let linkage = (entry.table_id, entry.visit_id, entry.rating_slip_id);
    let said = (entry.amount_cents, entry.telemetry_kind, by);
    linkage == (row.table_id, row.visit_id, row.rating_slip_id)
        && said == (row.amount_cents, row.telemetry_kind, row.actor_id)
        && trimmed(entry.tender_type.as_deref()) == row.tender_type
        && trimmed(entry.note.as_deref()) == row.note
        && entry.occurred_at.is_none_or(|time| time.trunc_subsecs(6) == row.occurred_at)
}

/// Takes an entry back by a row of its own, at the time of the entry: a window that holds one holds the other, and their sum is nothing.
pub fn undo(row: &Buyin, context: &Context) -> Result<Buyin, Refusal> {
    expect_own(row, context)?;
    if row.idempotency_key.as_deref().is_none_or(|key| !key.starts_with(ENTRY)) {
        let detail = match row.source {
            TelemetrySource::FinanceBridge => "it comes from finance: correct the transaction there, and the bridge follows",
            TelemetrySource::ManualOps => "it takes another entry back already: enter the buy-in again",
        };
        return Err(Refusal::conflict("not_an_entry", detail));
    }
    if context.at > row.created_at + UNDO_WINDOW {
        let detail = format!(
            "entries are taken back within {} minutes; enter a {} with a note",
            UNDO_WINDOW.num_minutes(),
            row.telemetry_kind.adjustment()
        );
        return Err(Refusal::conflict("undo_too_late", detail));
    }
    Ok(Buyin {
        id: (context.new_id)(),
        amount_cents: -row.amount_cents,
        telemetry_kind: row.telemetry_kind.adjustment(),
        actor_id: context.caller.id,
        note: None,
        idempotency_key: Some(undo_key(row.id)),
        reverses_id: Some(row.id),
        is_late: false,
        created_at: context.at,
        ..row.clone()
    })
}

/// Whoever entered a buy-in knows whether it was a slip of the finger; another's entry is corrected in the open, by an adjustment.
pub fn expect_own(row: &Buyin, context: &Context) -> Result<(), Refusal> {
    if row.actor_id == context.caller.id {
        return Ok(());
    }
    Err(Refusal::segregation(
        "undo_own_entry",
        context.caller.id,
        "only whoever entered a buy-in takes it back; anybody else enters an adjustment",
    ))
}

/// What the world is told of a row.
pub fn logged(row: &Buyin) -> Event {
    Event::BuyinLogged {
        telemetry_id: row.id,
        table_id: row.table_id,
        gaming_day: row.gaming_day,
        telemetry_kind: row.telemetry_kind,
        source: row.source,
        amount_cents: row.amount_cents,
        visit_id: row.visit_id,
        rating_slip_id: row.rating_slip_id,
        occurred_at: row.occurred_at,
    }
}

fn flaws_of_amount(entry: &Entry) -> Vec<Flaw> {
    let (kind, cents) = (entry.telemetry_kind, entry.amount_cents);
    let message = if !(-MAX_CENTS..=MAX_CENTS).contains(&cents) {
        format!("must be within {MAX_CENTS} cents")
    } else if kind.is_adjustment() && cents == 0 {
        format!("a {kind} is not 0: it would adjust nothing")
    } else if !kind.is_adjustment() && cents <= 0 {
        format!("a {kind} is above 0; money taken back is a {}", kind.adjustment())
    } else {
        return Vec::new();
    };
    vec![Flaw::new("/amount_cents", message)]
}

fn flaws_of_linkage(entry: &Entry, seat: Option<Seat>) -> Vec<Flaw> {
    let kind = entry.telemetry_kind;
    let links = [("/visit_id", entry.visit_id), ("/rating_slip_id", entry.rating_slip_id)];
    let mut flaws: Vec<Flaw> = links
        .into_iter()
        .filter(|(_, link)| link.is_some() != kind.is_rated())
        .map(|(pointer, _)| {
            let message = if kind.is_rated() {
                format!("a {kind} names the visit and the rating slip; without them it is grind")
            } else {
                format!("a {kind} is linked to nobody; with a rating slip it is rated")
            };
            Flaw::new(pointer, message)
        })
        .collect();
    if let Some(seat) = seat.filter(|_| flaws.is_empty()) {
        if entry.visit_id != Some(seat.visit_id) {
            flaws.push(Flaw::new("/visit_id", "is not the visit of the rating slip"));
        }
        if entry.table_id != seat.table_id {
            flaws.push(Flaw::new(
                "/table_id",
                "is not the table of the rating slip; a player who moved has a slip at the new table",
            ));
        }
    }
    flaws
}

fn flaws_of_texts(entry: &Entry) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let key = &entry.idempotency_key;
    if !(1..=MAX_KEY).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        flaws.push(Flaw::new(
            "/idempotency_key",
            format!("1 to {MAX_KEY} visible ASCII characters, chosen by the client"),
        ));
    }
    if let Some(tender) = &entry.tender_type {
        let length = tender.trim().chars().count();
        if length > MAX_TENDER || tender.chars().any(char::is_control) {
            flaws.push(Flaw::new("/tender_type", format!("a word of at most {MAX_TENDER} characters")));
        }
    }
    let is_unfit = |note: &String| note.chars().count() > MAX_TEXT || note.contains('\0');
    if entry.note.as_ref().is_some_and(is_unfit) {
        flaws.push(Flaw::new("/note", format!("at most {MAX_TEXT} characters, none of them NUL")));
    }
    flaws
}

/// A text that says something, or none.
fn trimmed(text: Option<&str>) -> Option<String> {
    text.map(str::trim).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests;
