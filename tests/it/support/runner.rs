//! A daemon's runner by itself, over a pool of its own: started, stopped in good order, or killed.

use std::time::{Duration, Instant};

use rundown::clock::Clock;
use rundown::engine::Engine;
use rundown::jobs::{self, Settings};
use rundown::store::{Db, PoolSettings};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::House;

/// Long enough for a machine that is busy with something else, and far from a healthy run.
const MUST_COME_WITHIN: Duration = Duration::from_secs(30);

/// What runs jobs in one daemon.
pub struct Runner {
    db: Db,
    stopping: CancellationToken,
    /// One task; dropped with the test, whatever the test comes to.
    task: JoinSet<()>,
}

/// As the daemon has them, but in a hurry.
pub fn hurried() -> Settings {
    Settings {
        slots: 4,
        lease: Duration::from_millis(600),
        look_every: Duration::from_millis(15),
        first_pause: Duration::from_millis(2),
        longest_pause: Duration::from_millis(10),
    }
}

impl Runner {
    pub async fn start(house: &House, settings: Settings) -> Self {
        Self::start_at(house.cluster.url("rundown_app"), house.clock.clone(), settings).await
    }

    pub async fn start_at(url: String, clock: Clock, settings: Settings) -> Self {
        let pool = PoolSettings {
            url,
            assume_role: None,
            max_connections: 6,
            statement_timeout: Duration::from_secs(20),
            lock_timeout: Duration::from_secs(10),
        };
        let db = Db::connect(&pool).await.expect("the pool");
        let stopping = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(jobs::run(Engine::new(db.clone(), clock), settings, stopping.clone()));
        Self { db, stopping, task }
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

/// Asks until the answer is yes.
#[track_caller]
pub fn until<F: Future<Output = bool>>(what: &str, ask: impl FnMut() -> F) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    wait(what.to_owned(), place, ask)
}

async fn wait<F: Future<Output = bool>>(what: String, place: &'static std::panic::Location<'static>, mut ask: impl FnMut() -> F) {
    let deadline = Instant::now() + MUST_COME_WITHIN;
    while !ask().await {
        assert!(Instant::now() < deadline, "{place}: never came: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
