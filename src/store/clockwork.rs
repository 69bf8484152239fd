//! The clock's side of the store: the few statements by which daemons share schedules and runs (`m0005_clock`).
//!
//! Each is one statement of its own, without a transaction around it and without anything left in the session, so it works behind a pooler
//! and costs one round trip. The exception is [`Tx::advance`], which a job calls inside its own transaction: what it did and how far it says
//! to be are then kept together, or neither is.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult as _, Statement, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use workflows::record::Schedule;
use workflows::word::{JobKind, RunStatus};

use super::fault::Fault;
use super::{Db, Json, Tx};

/// What proves that a run is one's own: the database issues a new term with every lease, and every write of the run names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lease {
    pub run_id: Uuid,
    pub owner: String,
    pub term: i64,
    /// How long it is good without a sign of life.
    #[serde(skip)]
    pub lasts: Duration,
}

/// A transaction was begun under a lease that is somebody else's by now; nothing of it was kept.
#[derive(Debug, thiserror::Error)]
#[error("the lease of the run is lost")]
pub struct LeaseLost;

/// One look at the clock.
#[derive(Clone, Debug, Serialize)]
pub struct Look<'a> {
    pub owner: &'a str,
    /// The casino's time, by the daemon's clock.
    pub at: DateTime<Utc>,
    pub lease_ms: u64,
    /// How many runs may be taken.
    pub want: usize,
    pub held: Vec<Held>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Held {
    pub id: Uuid,
    pub term: i64,
}

/// What a look at the clock showed.
#[derive(Clone, Debug, Deserialize)]
pub struct Seen {
    /// Runs that are the daemon's own from now on.
    pub taken: Vec<Taken>,
    /// Held runs that are somebody else's by now.
    pub lost: Vec<Uuid>,
    /// Schedules whose next firing has come.
    pub due: Vec<Schedule>,
    /// When the next one comes.
    pub next_fire_at: Option<DateTime<Utc>>,
}

/// A run under a lease.
#[derive(Clone, Debug, Deserialize)]
pub struct Taken {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub schedule_id: Uuid,
    pub fire_at: DateTime<Utc>,
    pub job_kind: JobKind,
    pub params: serde_json::Value,
    pub attempt: i32,
    pub max_attempts: i32,
    pub lease_owner: String,
    pub lease_term: i64,
    /// How far an earlier attempt came.
    pub done: i64,
    pub total: i64,
}

/// What becomes of a schedule that was due: its firings are runs now, and it waits for the next one.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    pub id: Uuid,
    pub version: i64,
    /// The firing that was due. Whoever comes second finds another one and plans nothing.
    pub was: Option<DateTime<Utc>>,
    pub next: Option<DateTime<Utc>>,
    pub missed: usize,
    pub firings: Vec<PlannedRun>,
}

#[derive(Clone, Debug, Serialize)]
pub struct PlannedRun {
    pub id: Uuid,
    pub at: DateTime<Utc>,
}

/// How an attempt ended.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "ended", rename_all = "snake_case")]
pub enum Ending {
    Succeeded {
        outcome: serde_json::Value,
    },
    Failed {
        error: String,
        pause_ms: u64,
    },
    /// The daemon stops: the attempt does not count.
    GivenBack,
}

impl Db {
    /// Renews the leases that are held, takes runs into free slots, and tells what is to be planned: in one statement, for all casinos.
    pub async fn look_at_clock(&self, look: &Look<'_>) -> Result<Seen, Fault> {
        let look = serde_json::to_value(look).map_err(Fault::unreadable)?;
        self.json("SELECT clock_poll($1) AS json", [look.into()]).await
    }

    /// Makes runs of firings; the schedules that were moved on, which are not those another daemon was faster with.
    pub async fn plan(&self, plans: &[Plan], at: DateTime<Utc>) -> Result<Vec<Uuid>, Fault> {
        let plans = serde_json::to_value(plans).map_err(Fault::unreadable)?;
        self.json("SELECT to_jsonb(clock_plan($1, $2)) AS json", [plans.into(), at.into()])
            .await
    }

    /// Writes down how far a run is, and that it lives. False: the lease is lost.
    pub async fn advance(&self, lease: &Lease, done: i64, total: i64) -> Result<bool, Fault> {
        self.json(ADVANCE, advance(lease, done, total)).await
    }

    /// Ends an attempt; what the run became, or nothing where the lease is lost.
    pub async fn settle(&self, lease: &Lease, ending: &Ending, at: DateTime<Utc>) -> Result<Option<RunStatus>, Fault> {
        let mut ask = serde_json::to_value(ending).map_err(Fault::unreadable)?;
        if let Some(ask) = ask.as_object_mut() {
            ask.insert("run".to_owned(), lease.run_id.to_string().into());
            ask.insert("owner".to_owned(), lease.owner.clone().into());
            ask.insert("term".to_owned(), lease.term.into());
            ask.insert("at".to_owned(), at.to_rfc3339().into());
        }
        self.json("SELECT to_jsonb(clock_settle($1)) AS json", [ask.into()]).await
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, sql: &'static str, values: impl IntoIterator<Item = Value>) -> Result<T, Fault> {
        let statement = Statement::from_sql_and_values(sea_orm::DbBackend::Postgres, sql, values);
        let row = self.pool.query_one_raw(statement).await?;
        let row = row.map(|row| Json::from_query_result(&row, "")).transpose()?;
        serde_json::from_value(row.and_then(|row| row.json).unwrap_or_default()).map_err(Fault::unreadable)
    }
}

const ADVANCE: &str = "SELECT to_jsonb(clock_advance($1, $2, $3, $4, $5, $6)) AS json";

fn advance(lease: &Lease, done: i64, total: i64) -> [Value; 6] {
    let lasts = i64::try_from(lease.lasts.as_millis()).unwrap_or(i64::MAX);
    [
        lease.run_id.into(),
        lease.owner.clone().into(),
        lease.term.into(),
        done.into(),
        total.into(),
        lasts.into(),
    ]
}

impl Tx {
    /// The same within a transaction: where the lease is lost, nothing of the transaction may be kept.
    pub async fn advance(&self, lease: &Lease, done: i64, total: i64) -> Result<bool, Fault> {
        self.json(ADVANCE, advance(lease, done, total)).await
    }
}
