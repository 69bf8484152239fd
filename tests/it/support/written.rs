//! Events written as commands write them, and the feed as the database holds it.

use std::collections::BTreeMap;

use rundown::clock::new_id;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::House;

/// An event of a table, as a command would write it.
#[derive(Clone, Debug)]
pub struct Written {
    pub id: Uuid,
    pub casino: Uuid,
    pub event: &'static str,
    pub about: Uuid,
    pub channels: Vec<String>,
    pub payload: Value,
}

impl Written {
    pub fn new(casino: Uuid, table: Uuid) -> Self {
        let session = new_id();
        Self {
            id: new_id(),
            casino,
            event: "table.session_created",
            about: table,
            channels: vec![casino.to_string(), format!("{casino}:{table}")],
            payload: json!({
                "event": "table.session_created", "casino_id": casino, "at": "2026-03-06T21:00:00.000000Z",
                "session_id": session, "table_id": table, "gaming_day": "2026-03-06",
            }),
        }
    }

    /// A snapshot of a rating slip.
    pub fn rating(casino: Uuid, rating_slip: Uuid, minutes: i64, status: &str) -> Self {
        Self {
            event: "rating_slip.updated",
            channels: vec![casino.to_string(), format!("{casino}:{rating_slip}")],
            payload: json!({
                "event": "rating_slip.updated", "casino_id": casino, "at": "2026-03-06T21:00:00.000000Z", "rating_slip_id": rating_slip,
                "visit_id": casino, "average_bet": 2500, "minutes_played": minutes, "game_type": "blackjack", "status": status,
            }),
            ..Self::new(casino, rating_slip)
        }
    }

    /// A note on a tray count, as long as it takes: heard on the table's channel alone.
    pub fn note(casino: Uuid, table: Uuid, bytes: usize) -> Self {
        Self {
            event: "table.inventory_rundown_recorded",
            channels: vec![format!("{casino}:{table}")],
            payload: json!({
                "event": "table.inventory_rundown_recorded", "casino_id": casino, "at": "2026-03-06T21:00:00.000000Z",
                "table_id": table, "snapshot_id": table, "chipset": {}, "note": "x".repeat(bytes),
            }),
            ..Self::new(casino, table)
        }
    }

    /// Any event of the catalog.
    pub fn told(casino: Uuid, event: &workflows::event::Event) -> Self {
        let about = event.resource_id().unwrap_or(casino);
        Self {
            event: event.name().as_str(),
            about,
            channels: event.channels(casino),
            payload: event.payload(casino, "2026-03-06T21:00:00Z".parse().expect("an instant")),
            ..Self::new(casino, about)
        }
    }
}

pub fn insert(events: &[Written]) -> String {
    let rows: Vec<String> = events
        .iter()
        .map(|event| {
            let Written {
                id,
                casino,
                event: name,
                about,
                channels,
                payload,
            } = event;
            let channels = channels.join(",");
            format!("('{id}', '{casino}', '{name}', '{about}', '{{{channels}}}', '{payload}', 'c-{id}')")
        })
        .collect();
    format!(
        "INSERT INTO outbox (id, casino_id, event, aggregate_id, channels, payload, correlation_id) VALUES {}",
        rows.join(", ")
    )
}

/// Writes so many events of one table.
pub async fn write(house: &House, casino: Uuid, table: Uuid, how_many: usize) {
    let events: Vec<Written> = (0..how_many).map(|_| Written::new(casino, table)).collect();
    house.owner_does(&insert(&events)).await;
}

impl House {
    /// Does something as the owner of the database.
    pub async fn owner_does(&self, sql: &str) {
        let owner = self.cluster.owner().await;
        owner.execute_unprepared(sql).await.expect(sql);
        owner.close().await.expect("closed");
    }
}

/// A casino's feed, by seq.
#[derive(Debug, Default)]
pub struct Stored {
    pub seqs: Vec<i64>,
    pub ids: Vec<String>,
    /// By resource, the positions in the order of their seqs.
    positions: BTreeMap<String, Vec<i64>>,
}

impl Stored {
    /// So many events, numbered from 1 without a gap.
    pub fn has(&self, how_many: usize) -> bool {
        self.seqs.len() == how_many && self.seqs.iter().zip(1..).all(|(seq, expected)| *seq == expected)
    }

    #[track_caller]
    pub fn keeps_the_order_of_each_resource(&self) {
        for (resource, positions) in &self.positions {
            assert!(positions.is_sorted(), "{resource}: {positions:?}");
        }
    }
}

pub async fn feed(house: &House, casino: Uuid) -> Stored {
    let rows = house
        .texts(&format!(
            "SELECT concat_ws(' ', seq, id, aggregate_id, position) FROM outbox WHERE casino_id = '{casino}' AND seq IS NOT NULL ORDER BY seq"
        ))
        .await;
    let mut feed = Stored::default();
    for row in rows {
        let parts: Vec<&str> = row.split(' ').collect();
        feed.seqs.push(parts[0].parse().expect("a seq"));
        feed.ids.push(parts[1].to_owned());
        let position = parts[3].parse().expect("a position");
        feed.positions.entry(parts[2].to_owned()).or_default().push(position);
    }
    feed
}

/// Nothing waits any more.
pub async fn is_published(house: &House) -> bool {
    house
        .texts("SELECT 'waits' FROM outbox WHERE published_at IS NULL AND dead_at IS NULL LIMIT 1")
        .await
        .is_empty()
}
