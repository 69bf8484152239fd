//! The stored feed: published events, by casino and seq, as sinks and readers follow it.
//!
//! What is here never changes, so whoever reads twice reads the same. A sink keeps its own place; the feed knows none of them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::sea_query::extension::postgres::PgExpr as _;
use sea_orm::sqlx::postgres::{PgListener, PgPoolOptions};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use workflows::case::Context;
use workflows::event::{Event, Sight};
use workflows::role::Role;

use super::fault::Fault;
use super::list::{Query, narrow};
use super::{Db, Tx};
use crate::error::Error;

/// A published event.
#[derive(Clone, Debug, Deserialize)]
pub struct Published {
    pub seq: i64,
    pub event_id: Uuid,
    pub casino_id: Uuid,
    pub event: String,
    pub aggregate_id: Uuid,
    pub channels: Vec<String>,
    pub schema_version: i32,
    pub correlation_id: String,
    pub payload: Value,
    /// When its command wrote it.
    pub created_at: DateTime<Utc>,
    pub published_at: DateTime<Utc>,
}

/// How far a casino's feed goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Head {
    pub casino_id: Uuid,
    pub last_seq: i64,
}

/// Where a casino's feed begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Bounds {
    /// 0: nothing was published yet.
    pub last_seq: i64,
    /// None: nothing is stored.
    pub first_seq: Option<i64>,
}

/// How a member of staff stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Standing {
    pub id: Uuid,
    pub role: Role,
    /// The subject of the tokens that speak for them.
    pub subject: String,
}

/// What another daemon, or another connection, says: a hint, for it may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// A feed goes as far as this, by what this daemon's relay has published or another's.
    Feed(Head, Option<Uuid>),
    /// Somebody's standing changed in this casino.
    Standing(Uuid),
    /// The line was broken: anything may have been missed.
    Unknown,
}

impl Published {
    /// The event as every reader gets it: the catalog's keys, and with them what names this event among all.
    pub fn wire(&self) -> String {
        self.worded(self.payload.clone()).to_string()
    }

    /// The same about another payload: for those who may not see all of it.
    pub fn worded(&self, mut payload: Value) -> Value {
        if let Some(members) = payload.as_object_mut() {
            members.insert("event_id".to_owned(), self.event_id.to_string().into());
            members.insert("seq".to_owned(), self.seq.into());
            members.insert("schema_version".to_owned(), self.schema_version.into());
            members.insert("correlation_id".to_owned(), self.correlation_id.clone().into());
        }
        payload
    }

    /// What a reader of this role gets of it; none where that is nothing. An event this program does not know is nobody's.
    pub fn seen_by(&self, role: Role) -> Option<Value> {
        match self.told().ok()?.sight(role) {
            Sight::Whole => Some(self.worded(self.payload.clone())),
            Sight::WithoutFigures => Some(self.without_figures()),
            Sight::Nothing => None,
        }
    }

    pub fn without_figures(&self) -> Value {
        let mut payload = self.payload.clone();
        Event::without_figures(&mut payload);
        self.worded(payload)
    }

    /// As the catalog's own type; it was judged to be one before it was published.
    pub fn told(&self) -> Result<Event, String> {
        Event::read(&self.payload, self.schema_version)
    }
}

impl Db {
    /// The events after a place, in order and without a gap.
    pub async fn feed_after(&self, casino_id: Uuid, after: i64, limit: u32) -> Result<Vec<Published>, Fault> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        self.json(
            "SELECT feed_after($1, $2, $3) AS json",
            [casino_id.into(), after.into(), limit.into()],
        )
        .await
    }

    pub async fn feed_bounds(&self, casino_id: Uuid) -> Result<Bounds, Fault> {
        self.json("SELECT feed_bounds($1) AS json", [casino_id.into()]).await
    }

    /// How far the feed of every casino goes that has published anything.
    pub async fn feed_heads(&self) -> Result<Vec<Head>, Fault> {
        Ok(self.relay_look(0).await?.heads)
    }

    /// Those of these people who are active, and how they stand.
    pub async fn feed_readers(&self, casino_id: Uuid, people: Vec<Uuid>) -> Result<Vec<Standing>, Fault> {
        self.json("SELECT feed_readers($1, $2) AS json", [casino_id.into(), people.into()])
            .await
    }

    /// Listens to what other connections say. On a connection of its own, because it keeps it: one of the pool's would be missing there.
    pub async fn hints(&self) -> Result<Hints, Fault> {
        let options = self.pool.get_postgres_connection_pool().connect_options();
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with((*options).clone())
            .await
            .map_err(of_line)?;
        let mut listener = PgListener::connect_with(&pool).await.map_err(of_line)?;
        listener.listen_all([FEED, STAFF]).await.map_err(of_line)?;
        Ok(Hints { listener })
    }
}

const FEED: &str = "rundown_feed";
const STAFF: &str = "rundown_staff";

/// What is heard from other connections.
pub struct Hints {
    listener: PgListener,
}

impl Hints {
    /// Waits for the next one. May be dropped at any moment: nothing is said on this line.
    pub async fn next(&mut self) -> Result<Hint, Fault> {
        let Some(heard) = self.listener.try_recv().await.map_err(of_line)? else {
            return Ok(Hint::Unknown);
        };
        Ok(parse(heard.channel(), heard.payload()).unwrap_or(Hint::Unknown))
    }
}

fn parse(channel: &str, payload: &str) -> Option<Hint> {
    if channel == STAFF {
        return payload.parse().ok().map(Hint::Standing);
    }
    let mut parts = payload.split(' ');
    let head = Head {
        casino_id: parts.next()?.parse().ok()?,
        last_seq: parts.next()?.parse().ok()?,
    };
    Some(Hint::Feed(head, parts.next().and_then(|by| by.parse().ok())))
}

fn of_line(error: sea_orm::sqlx::Error) -> Fault {
    Fault::from(sea_orm::DbErr::Conn(sea_orm::RuntimeErr::SqlxError(error.into())))
}

/// `GET /events`: a stretch of the casino's stored feed, as the fence shows it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub after: i64,
    /// How many stored events are looked at; whoever asks may be allowed to see fewer of them.
    pub limit: u64,
    pub channel: Option<Channel>,
}

/// A channel as a query finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    pub name: String,
    /// Whose detail channel it is: its history is found by that, however long the casino's is.
    pub resource: Option<Uuid>,
}

/// A stretch of the feed.
#[derive(Debug, Serialize)]
pub struct Stretch {
    #[serde(skip)]
    pub events: Vec<Published>,
    pub bounds: Bounds,
}

impl Query for Stored {
    type Answer = Stretch;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Stretch, Error> {
        use entities::outbox::{Column, Entity};
        let mut when = Condition::all()
            .add(Column::CasinoId.eq(context.casino.id))
            .add(Column::Seq.gt(self.after));
        when = narrow(when, self.channel.as_ref(), |channel| {
            Expr::col(Column::Channels).contains(vec![channel.name.clone()])
        });
        when = narrow(when, self.channel.as_ref().and_then(|channel| channel.resource), |resource| {
            Column::AggregateId.eq(resource)
        });
        // Read first: what is published after it is on no page that says so.
        let bounds: Bounds = tx.json("SELECT feed_bounds($1) AS json", [context.casino.id.into()]).await?;
        let rows = Entity::find()
            .filter(when)
            .order_by_asc(Column::Seq)
            .limit(self.limit)
            .all(tx.connection())
            .await
            .map_err(Fault::from)?;
        Ok(Stretch {
            events: rows.into_iter().filter_map(published).collect(),
            bounds,
        })
    }
}

fn published(row: entities::outbox::Model) -> Option<Published> {
    Some(Published {
        seq: row.seq?,
        published_at: row.published_at?,
        event_id: row.id,
        casino_id: row.casino_id,
        event: row.event,
        aggregate_id: row.aggregate_id,
        channels: row.channels,
        schema_version: row.schema_version,
        correlation_id: row.correlation_id,
        payload: row.payload,
        created_at: row.created_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_that_cannot_be_read_means_that_anything_may_have_happened() {
        let casino = Uuid::from_u128(5);
        let head = Head {
            casino_id: casino,
            last_seq: 12,
        };
        assert_eq!(parse(FEED, &format!("{casino} 12")), Some(Hint::Feed(head, None)));
        assert_eq!(parse(FEED, &format!("{casino} 12 {casino}")), Some(Hint::Feed(head, Some(casino))));
        assert_eq!(parse(STAFF, &casino.to_string()), Some(Hint::Standing(casino)));
        assert_eq!(parse(FEED, "12"), None);
        assert_eq!(parse(STAFF, "nobody"), None);
    }
}
