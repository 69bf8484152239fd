//! A daemon's publishing side by itself: started, stopped in good order, or killed; and a client that listens to its live stream.

use std::time::{Duration, Instant};

use rundown::outbox::{self, Feed, News, Outbox, Settings, Sinks};
use rundown::store::{Db, PoolSettings};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::house::{House, streams};
use super::person::Person;

/// Long enough for a machine that is busy with something else.
const MUST_COME_WITHIN: Duration = Duration::from_secs(30);

/// As the daemon has them, but in a hurry.
pub fn hurried_relay() -> Settings {
    Settings {
        look_every: Duration::from_millis(15),
        batch: 500,
        attempts: 3,
        first_pause: Duration::from_millis(4),
        longest_pause: Duration::from_millis(20),
    }
}

/// What publishes in one daemon.
pub struct Publisher {
    db: Option<Db>,
    stopping: CancellationToken,
    drained: CancellationToken,
    /// One task; dropped with the test, whatever the test comes to.
    task: JoinSet<()>,
}

impl Publisher {
    /// That of the house's own daemon.
    pub fn of(house: &House) -> Self {
        Self::run(house.outbox(), hurried_relay(), None)
    }

    pub fn run(outbox: Outbox, settings: Settings, db: Option<Db>) -> Self {
        let (stopping, drained) = (CancellationToken::new(), CancellationToken::new());
        let mut task = JoinSet::new();
        task.spawn(outbox::run(outbox, settings, Sinks::default(), stopping.clone(), drained.clone()));
        Self {
            db,
            stopping,
            drained,
            task,
        }
    }

    /// That of another daemon, with a pool of its own.
    pub async fn apart(house: &House, url: String, settings: Settings) -> Self {
        let pool = PoolSettings {
            url,
            assume_role: None,
            max_connections: 4,
            statement_timeout: Duration::from_secs(20),
            lock_timeout: Duration::from_secs(10),
        };
        let db = Db::connect(&pool).await.expect("the pool");
        let outbox = Outbox {
            db: db.clone(),
            clock: house.clock.clone(),
            told: std::sync::Arc::default(),
            news: News::default(),
            feed: Feed::new(db.clone(), streams()),
        };
        Self::run(outbox, settings, Some(db))
    }

    /// As the daemon is asked to.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        self.drained.cancel();
        self.task.join_next().await.expect("one task").expect("no panic");
        if let Some(db) = self.db.take() {
            db.close().await.expect("closed");
        }
    }

    /// As by `kill -9`: cut off wherever it is, and its connections with it. Nothing is released.
    pub async fn kill(mut self) {
        self.task.shutdown().await;
        if let Some(db) = self.db.take() {
            db.close().await.expect("closed");
        }
    }
}

/// A live stream, as a client reads it.
pub struct Listener {
    response: reqwest::Response,
    unread: String,
    /// What would be sent as `Last-Event-ID`.
    pub last_id: Option<String>,
}

/// One event of a stream.
#[derive(Clone, Debug)]
pub struct Heard {
    pub name: String,
    pub data: Value,
    /// The resume point after it.
    pub id: i64,
}

impl Listener {
    /// Joins; the answer must be a stream.
    pub async fn join(person: &Person, query: &str, after: Option<&str>) -> Self {
        Self::opened(person, query, after).await.0
    }

    /// The same, and how it opened: what is published from then on is on it.
    pub async fn opened(person: &Person, query: &str, after: Option<&str>) -> (Self, String) {
        let response = person.open(&format!("/api/v1/events/stream{query}"), after).await;
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut listener = Self {
            response,
            unread: String::new(),
            last_id: None,
        };
        let opening = listener.block().await.expect("an opening");
        (listener, opening)
    }

    /// The next event; none at the stream's end.
    pub async fn next(&mut self) -> Option<Heard> {
        let deadline = Instant::now() + MUST_COME_WITHIN;
        loop {
            assert!(Instant::now() < deadline, "nothing but heartbeats");
            let block = self.block().await?;
            let member = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if let Some(data) = member("data:") {
                return Some(Heard {
                    name: member("event:").unwrap_or("message").to_owned(),
                    data: serde_json::from_str(data).expect("JSON"),
                    id: member("id:").expect("an id").parse().expect("a number"),
                });
            }
        }
    }

    /// The next so many events.
    pub async fn hear(&mut self, how_many: usize) -> Vec<Heard> {
        let mut heard = Vec::new();
        while heard.len() < how_many {
            heard.push(self.next().await.expect("the stream goes on"));
        }
        heard
    }

    /// What comes until an event of this name, itself included.
    pub async fn until(&mut self, name: &str) -> Vec<Heard> {
        let mut heard = Vec::new();
        loop {
            heard.push(self.next().await.expect("the stream goes on"));
            if heard.last().is_some_and(|event| event.name == name) {
                return heard;
            }
        }
    }

    /// What comes until the event of this number, itself included.
    pub async fn until_seq(&mut self, seq: i64) -> Vec<Heard> {
        let mut heard = Vec::new();
        loop {
            heard.push(self.next().await.expect("the stream goes on"));
            if heard.last().is_some_and(|event| event.data["seq"] == seq) {
                return heard;
            }
        }
    }

    /// What stands between two empty lines.
    pub async fn block(&mut self) -> Option<String> {
        let deadline = Instant::now() + MUST_COME_WITHIN;
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.unread = rest;
                if let Some(id) = block.lines().find_map(|line| line.strip_prefix("id: ")) {
                    self.last_id = Some(id.to_owned());
                }
                return Some(block);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let chunk = tokio::time::timeout(left, self.response.chunk()).await.expect("something comes");
            self.unread.push_str(std::str::from_utf8(&chunk.ok()??).expect("text"));
        }
    }
}
