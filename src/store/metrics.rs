//! Window metrics in the store: which window is meant, whether anything changed since a reader asked, and the facts of it. What they come to is
//! the law's ([`workflows::metrics`]).
//!
//! A tag is `<stamp>-<content>`. The stamp is made of the window and of the casino's counters of change: an equal one proves in one short
//! statement that nothing was committed in between. The content is a hash of what is told: where only the stamp differs, something changed
//! that this window does not show, and its reader is spared the same figures all the same. The stamp is read before the facts, so a commit
//! between the two makes the next reader compute once more, and never hides.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::coverage;
use workflows::gaming_day::gaming_day;
use workflows::metrics::{REACH, Summary, TableFacts, Window};
use workflows::refusal::Refusal;
use workflows::rundown::hex;

use super::Tx;
use super::fault::Fault;
use super::list::Query;
use crate::error::Error;

/// What somebody wants metrics of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Shift(Uuid),
    Day(NaiveDate),
    /// At most [`workflows::metrics::LONGEST`]: whoever asks has seen to that.
    Hours(Window),
}

/// The window that was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Meant {
    pub window_start: DateTime<Utc>,
    /// Exclusive.
    pub window_end: DateTime<Utc>,
    pub shift_id: Option<Uuid>,
    /// Of a gaming day or a shift.
    pub gaming_day: Option<NaiveDate>,
}

/// `GET /metrics/…`.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub asked: Asked,
    /// Which part is told: a tag of one says nothing of another.
    pub view: &'static str,
    /// Tags the reader holds.
    pub known: Vec<String>,
}

/// What a reader is told.
#[derive(Debug)]
pub enum Told {
    /// The reader holds this tag, and it is still true.
    Unchanged(String),
    Read {
        stamp: String,
        meant: Meant,
        summary: Box<Summary>,
    },
}

/// What `window_stamp` answers.
#[derive(Debug, Deserialize)]
struct Standing {
    changes: i64,
    shift: Option<ShiftHours>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct ShiftHours {
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    gaming_day: NaiveDate,
}

impl Query for Metrics {
    type Answer = Told;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Told, Error> {
        let standing = standing(tx, context, &self.asked).await?;
        let meant = meant(context, &self.asked, standing.shift)?;
        let stamp = self.stamp(context, &meant, standing.changes);
        let known = self
            .known
            .iter()
            .find(|tag| tag.split_once('-').is_some_and(|(known, _)| known == stamp));
        if let Some(tag) = known {
            return Ok(Told::Unchanged(tag.clone()));
        }
        let summary = Box::new(summary(tx, context, &meant).await?);
        Ok(Told::Read { stamp, meant, summary })
    }
}

impl Metrics {
    /// The program's own version is part of it: another release may tell the same facts differently.
    fn stamp(&self, context: &Context, meant: &Meant, changes: i64) -> String {
        let (id, version) = (context.casino.id, context.casino.version);
        let told = json!([id, version, self.view, meant, changes, coverage::RULE, env!("CARGO_PKG_VERSION")]);
        hex(&Sha256::digest(told.to_string().as_bytes())[..8])
    }
}

/// The figures of a window as they are now, for whoever keeps them.
pub async fn read(tx: &Tx, context: &Context, asked: &Asked) -> Result<(Meant, Summary), Error> {
    let standing = standing(tx, context, asked).await?;
    let meant = meant(context, asked, standing.shift)?;
    Ok((meant, summary(tx, context, &meant).await?))
}

async fn standing(tx: &Tx, context: &Context, asked: &Asked) -> Result<Standing, Error> {
    let shift = match asked {
        Asked::Shift(id) => Some(*id),
        Asked::Day(_) | Asked::Hours(_) => None,
    };
    let values = [context.casino.id.into(), shift.into()];
    Ok(tx.json("SELECT window_stamp($1, $2) AS json", values).await?)
}

fn meant(context: &Context, asked: &Asked, shift: Option<ShiftHours>) -> Result<Meant, Error> {
    let told = |window: Window, shift_id, gaming_day| Meant {
        window_start: window.start,
        window_end: window.end,
        shift_id,
        gaming_day,
    };
    Ok(match asked {
        Asked::Hours(window) => told(*window, None, None),
        Asked::Day(day) => {
            let window = Window::of_day(*day, context.zone, context.casino.gaming_day_start);
            told(window, None, Some(*day))
        }
        Asked::Shift(id) => {
            let shift = shift.ok_or(Refusal::NotFound("shift"))?;
            let window = Window {
                start: shift.starts_at,
                end: shift.ends_at,
            };
            told(window, Some(*id), Some(shift.gaming_day))
        }
    })
}

async fn summary(tx: &Tx, context: &Context, meant: &Meant) -> Result<Summary, Fault> {
    let window = Window {
        start: meant.window_start,
        end: meant.window_end,
    };
    Ok(Summary::of(
        window,
        context.casino.pit_grind_share_bp,
        &facts(tx, context, meant).await?,
    ))
}

/// As text, and read straight into its types: the facts of a big floor are a megabyte, and a tree of JSON between would cost more than they do.
async fn facts(tx: &Tx, context: &Context, meant: &Meant) -> Result<Vec<TableFacts>, Fault> {
    const FACTS: &str = "SELECT window_facts($1, $2, $3, $4, $5, $6, make_interval(hours => $7))::text";
    // A shift has its own sessions, of whatever day.
    let own_day = meant.gaming_day.filter(|_| meant.shift_id.is_none());
    let first_day = gaming_day(meant.window_start, context.zone, context.casino.gaming_day_start);
    let values = [
        context.casino.id.into(),
        meant.shift_id.into(),
        own_day.into(),
        first_day.into(),
        meant.window_start.into(),
        meant.window_end.into(),
        i32::try_from(REACH.num_hours()).unwrap_or(i32::MAX).into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, FACTS, values);
    let row = tx.connection().query_one_raw(statement).await?;
    let text: Option<String> = row.map(|row| row.try_get_by_index(0)).transpose()?;
    serde_json::from_str(&text.unwrap_or_else(|| "[]".to_owned())).map_err(Fault::unreadable)
}
