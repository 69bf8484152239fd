//! The sinks' side of the store: whose turn it is, and how far each has come (`m0012_sinks`).
//!
//! Like the clock's, each is one statement by itself, for all casinos, and none is open while the network is waited for. A turn is a lease:
//! what is written under an old term changes nothing, and the answer says so.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult as _, Statement, Value};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fault::Fault;
use super::{Db, Json};
use crate::clock::milliseconds;

/// Asks for turns.
#[derive(Clone, Debug, Serialize)]
pub struct Asking<'a> {
    /// None: webhooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sink: Option<&'static str>,
    pub owner: &'a str,
    pub lease_ms: u64,
    /// How many may be taken.
    pub want: usize,
}

impl<'a> Asking<'a> {
    pub fn of(sink: Option<&'static str>, owner: &'a str, lease: Duration, want: usize) -> Self {
        Self {
            sink,
            owner,
            lease_ms: milliseconds(lease),
            want,
        }
    }
}

/// What was taken.
#[derive(Debug, Deserialize)]
pub struct Turns<T> {
    pub taken: Vec<T>,
    /// Until the next pause, or another's lease, ends; none where nobody is behind.
    pub wait_ms: Option<u64>,
}

/// A webhook whose turn it is.
#[derive(Clone, Debug, Deserialize)]
pub struct WebhookTurn {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub url: String,
    pub events: Option<Vec<String>>,
    pub channels: Option<Vec<String>>,
    pub cursor_seq: i64,
    pub failures: i32,
    /// Another version, and what was taken is no longer what the webhook is.
    pub version: i64,
    pub term: i64,
    /// In base64, the newest first: each signs.
    pub secrets: Vec<SecretString>,
}

/// A casino's turn with a sink that takes everything.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct CasinoTurn {
    pub casino_id: Uuid,
    pub cursor_seq: i64,
    pub failures: i32,
    pub term: i64,
}

/// One step of a webhook's turn.
#[derive(Clone, Debug, Serialize)]
pub struct WebhookStep<'a> {
    pub id: Uuid,
    pub owner: &'a str,
    pub term: i64,
    pub at: DateTime<Utc>,
    pub lease_ms: u64,
    #[serde(flatten)]
    pub ended: WebhookEnd,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "ended", rename_all = "snake_case")]
pub enum WebhookEnd {
    Delivered {
        seq: i64,
        delivery: Delivery,
        /// Written with the step, once, however often the event had to be sent.
        #[serde(skip_serializing_if = "Option::is_none")]
        tells: Option<Consequence>,
    },
    /// Tried again after the pause. A webhook that fails since `fails_until` or before is disabled.
    Failed {
        seq: i64,
        delivery: Delivery,
        pause_ms: u64,
        fails_until: DateTime<Utc>,
    },
    /// The receiver wants no more.
    Gone { seq: i64, delivery: Delivery },
    /// Nothing up to here was for it.
    Passed { seq: i64 },
    /// The turn is over.
    Left,
}

/// An attempt, as it is logged.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    pub id: Uuid,
    pub event_id: Uuid,
    pub event: String,
    pub attempt: i32,
    pub status: Option<u16>,
    pub error: Option<String>,
    pub duration_ms: u32,
}

/// An event that a delivery gives rise to.
#[derive(Clone, Debug, Serialize)]
pub struct Consequence {
    pub id: Uuid,
    pub event: &'static str,
    pub aggregate_id: Uuid,
    pub channels: Vec<String>,
    pub payload: serde_json::Value,
    pub correlation_id: String,
}

/// How a webhook stands after a step.
#[derive(Clone, Debug, Deserialize)]
pub struct Standing {
    pub version: i64,
    /// Why it is disabled, if it is.
    pub disabled: Option<String>,
}

/// One step of a casino's turn with a sink.
#[derive(Clone, Debug, Serialize)]
pub struct SinkStep<'a> {
    pub sink: &'static str,
    pub casino_id: Uuid,
    pub owner: &'a str,
    pub term: i64,
    pub at: DateTime<Utc>,
    pub lease_ms: u64,
    #[serde(flatten)]
    pub ended: SinkEnd,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "ended", rename_all = "snake_case")]
pub enum SinkEnd {
    /// Everything up to here was acknowledged.
    Taken {
        seq: i64,
    },
    Failed {
        error: String,
        pause_ms: u64,
    },
    Left,
}

impl Db {
    pub async fn take_webhooks(&self, asking: &Asking<'_>) -> Result<Turns<WebhookTurn>, Fault> {
        self.asked("SELECT webhook_take($1) AS json", asking).await
    }

    /// None: the turn is another daemon's by now, or the webhook was deleted.
    pub async fn settle_webhook(&self, step: &WebhookStep<'_>) -> Result<Option<Standing>, Fault> {
        self.asked("SELECT webhook_settle($1) AS json", step).await
    }

    pub async fn take_casinos(&self, asking: &Asking<'_>) -> Result<Turns<CasinoTurn>, Fault> {
        self.asked("SELECT sink_take($1) AS json", asking).await
    }

    /// False: the turn is another daemon's by now.
    pub async fn settle_casino(&self, step: &SinkStep<'_>) -> Result<bool, Fault> {
        self.asked("SELECT to_jsonb(sink_settle($1)) AS json", step).await
    }

    async fn asked<T: DeserializeOwned>(&self, sql: &'static str, ask: &impl Serialize) -> Result<T, Fault> {
        let ask: Value = serde_json::to_value(ask).map_err(Fault::unreadable)?.into();
        let statement = Statement::from_sql_and_values(sea_orm::DbBackend::Postgres, sql, [ask]);
        let row = self.raw().query_one_raw(statement).await?;
        let row = row.map(|row| Json::from_query_result(&row, "")).transpose()?;
        serde_json::from_value(row.and_then(|row| row.json).unwrap_or_default()).map_err(Fault::unreadable)
    }
}
