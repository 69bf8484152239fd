//! The relay's side of the store (`m0011_relay`): what may be published, and publishing it. Two statements, each by itself, for all casinos at
//! once; nothing is left in the session and no transaction stays open between them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Db;
use super::fault::Fault;
use super::feed::{Head, Published};

/// What one look shows.
#[derive(Debug, Deserialize)]
pub struct Look {
    /// By casino, and within it in the order of writing.
    pub events: Vec<Unpublished>,
    /// Events of a resource that has an earlier one waiting for its next attempt: to be put off as long.
    pub behind: Vec<Uuid>,
    /// How far every feed goes.
    pub heads: Vec<Head>,
    /// Until the next event is due that waits.
    pub next_attempt_ms: Option<u64>,
}

/// An event as it was written.
#[derive(Clone, Debug, Deserialize)]
pub struct Unpublished {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub aggregate_id: Uuid,
    pub event: String,
    pub schema_version: i32,
    pub payload: Value,
    pub channels: Vec<String>,
    pub correlation_id: String,
    pub attempts: i32,
    /// For another attempt, or behind an event that did: others may wait behind this one.
    pub waited: bool,
    pub created_at: DateTime<Utc>,
}

/// What the relay found of the events it looked at.
#[derive(Debug, Serialize)]
pub struct Judged {
    pub at: DateTime<Utc>,
    /// Who publishes: told to the other daemons, so that each knows its own.
    pub by: Uuid,
    pub sound: Vec<Sound>,
    pub unsound: Vec<Unsound>,
    pub behind: Vec<Uuid>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sound {
    pub id: Uuid,
    pub casino_id: Uuid,
}

#[derive(Clone, Debug, Serialize)]
pub struct Unsound {
    pub id: Uuid,
    /// The attempt that was judged: the same one found twice counts once.
    pub attempts: i32,
    pub error: String,
    pub pause_ms: u64,
    /// It was the last attempt.
    pub dies: bool,
}

impl Unpublished {
    /// The same with its place in the feed.
    pub fn published(&self, seq: i64, published_at: DateTime<Utc>) -> Published {
        Published {
            seq,
            event_id: self.id,
            casino_id: self.casino_id,
            event: self.event.clone(),
            aggregate_id: self.aggregate_id,
            channels: self.channels.clone(),
            schema_version: self.schema_version,
            correlation_id: self.correlation_id.clone(),
            payload: self.payload.clone(),
            created_at: self.created_at,
            published_at,
        }
    }
}

impl Sound {
    pub fn of(event: &Unpublished) -> Self {
        Self {
            id: event.id,
            casino_id: event.casino_id,
        }
    }
}

/// What publishing came to.
#[derive(Debug, Default, Deserialize)]
pub struct Told {
    pub published: Vec<Stamped>,
    /// Another daemon was publishing for one of the casinos; its events may still wait.
    pub busy: bool,
    pub dead: Vec<Uuid>,
}

impl Told {
    /// What a second statement came to, in addition.
    pub fn add(&mut self, more: Self) {
        self.published.extend(more.published);
        self.dead.extend(more.dead);
        self.busy |= more.busy;
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Stamped {
    pub casino_id: Uuid,
    pub last_seq: i64,
    pub events: i64,
}

impl From<Stamped> for Head {
    fn from(stamped: Stamped) -> Self {
        Self {
            casino_id: stamped.casino_id,
            last_seq: stamped.last_seq,
        }
    }
}

/// What waits, as far as it is counted, and since when.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Depth {
    pub fresh: i64,
    pub retrying: i64,
    pub dead: i64,
    /// When the oldest event was written that is neither published nor dead.
    pub oldest: Option<DateTime<Utc>>,
}

impl Db {
    /// What may be published now, at most `limit` of each casino. Locks nothing and changes nothing.
    pub async fn relay_look(&self, limit: u32) -> Result<Look, Fault> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        self.json("SELECT relay_look($1) AS json", [limit.into()]).await
    }

    /// Gives the sound ones their seq, and writes down what is wrong with the others: all of it or nothing.
    pub async fn relay_publish(&self, judged: &Judged) -> Result<Told, Fault> {
        let ask = serde_json::to_value(judged).map_err(Fault::unreadable)?;
        self.json("SELECT relay_publish($1) AS json", [ask.into()]).await
    }
}
