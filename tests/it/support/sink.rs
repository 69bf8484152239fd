//! The sinks' side of a daemon by itself, over a pool of its own: started, stopped in good order, or killed. And what the relay does,
//! done by hand, so that a test says when events are published.

use std::time::Duration;

use chrono::TimeDelta;
use rundown::clock::{Clock, new_id};
use rundown::outbox::webhook::{self, Reach};
use rundown::store::{Db, PoolSettings};
use sea_orm::ConnectionTrait as _;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::House;

/// As the daemon has them, but in a hurry.
pub fn hurried_webhooks() -> webhook::Settings {
    webhook::Settings {
        reach: Reach { private: true },
        ca_file: None,
        timeout: Duration::from_secs(10),
        slots: 8,
        lease: Duration::from_secs(20),
        first_pause: Duration::from_millis(10),
        longest_pause: Duration::from_millis(40),
        disable_after: TimeDelta::days(5),
    }
}

/// What sends in one daemon.
pub struct Sending {
    db: Db,
    news: watch::Sender<u64>,
    stopping: CancellationToken,
    /// One task; dropped with the test, whatever the test comes to.
    task: JoinSet<()>,
}

impl Sending {
    pub async fn webhooks(house: &House, settings: webhook::Settings) -> Self {
        Self::start(house, |db, clock, news, stopping| webhook::run(db, clock, settings, news, stopping)).await
    }

    pub async fn start<F: Future<Output = ()> + Send + 'static>(
        house: &House,
        run: impl FnOnce(Db, Clock, watch::Receiver<u64>, CancellationToken) -> F,
    ) -> Self {
        let pool = PoolSettings {
            url: house.cluster.url("rundown_app"),
            assume_role: None,
            max_connections: 6,
            statement_timeout: Duration::from_secs(20),
            lock_timeout: Duration::from_secs(10),
        };
        let db = Db::connect(&pool).await.expect("the pool");
        let (news, heard) = watch::channel(0);
        let stopping = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(run(db.clone(), house.clock.clone(), heard, stopping.clone()));
        Self { db, news, stopping, task }
    }

    /// Says that something was published.
    pub fn wake(&self) {
        self.news.send_modify(|told| *told += 1);
    }

    /// As the daemon is asked to.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        self.task.join_next().await.expect("one task").expect("no panic");
        self.db.close().await.expect("closed");
    }

    /// As by `kill -9`: cut off wherever it is, and its connections with it. Nothing is released.
    pub async fn kill(mut self) {
        self.task.shutdown().await;
        self.db.close().await.expect("closed");
    }
}

impl House {
    /// Publishes everything that is written, in order.
    pub async fn publish(&self) {
        const PUBLISH: &str = "
            SELECT relay_publish(jsonb_build_object('at', now(), 'unsound', '[]'::jsonb, 'sound', (
                SELECT COALESCE(jsonb_agg(jsonb_build_object('id', o.id, 'casino_id', o.casino_id)), '[]') FROM outbox AS o WHERE o.published_at IS NULL)))";
        let owner = self.cluster.owner().await;
        owner.execute_unprepared(PUBLISH).await.expect(PUBLISH);
        owner.close().await.expect("closed");
    }

    /// Writes and publishes events of a table of a casino, as commands would; their ids, in order.
    pub async fn tell(&self, casino: Uuid, how_many: usize) -> Vec<String> {
        let table = new_id();
        let rows: Vec<_> = (0..how_many)
            .map(|_| {
                let (id, at) = (new_id(), self.clock.now());
                let payload = json!({ "event": "table.deactivated", "table_id": table, "casino_id": casino, "at": at });
                let row = format!("('{id}', '{casino}', 'table.deactivated', '{table}', '{{{casino}}}', '{payload}', 'c-{id}', '{at}')");
                (id.to_string(), row)
            })
            .collect();
        let (ids, values): (Vec<String>, Vec<String>) = rows.into_iter().unzip();
        let insert = format!(
            "INSERT INTO outbox (id, casino_id, event, aggregate_id, channels, payload, correlation_id, created_at) VALUES {}",
            values.join(", ")
        );
        let owner = self.cluster.owner().await;
        owner.execute_unprepared(&insert).await.expect("written");
        owner.close().await.expect("closed");
        self.publish().await;
        ids
    }
}
