//! The program at work: what it is made of, how it comes up, and the order in which it goes down.
//!
//! Up: keys, address, database, service; whatever is wrong is said before the first request is taken. Down: no new connections, then the
//! tasks that are still inside a transaction and the jobs, which end or give their runs back, then the relay, which publishes what they wrote,
//! then the pool, then the private Postgres. Live streams end first: nobody who listens can hold up the others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api;
use crate::api::limit::Limiter;
use crate::app::App;
use crate::auth::Verifier;
use crate::auth::seal_key::SealKey;
use crate::clock::Clock;
use crate::config::Config;
use crate::database::Database;
use crate::engine::{Engine, GATHERINGS};
use crate::jobs;
use crate::outbox::{self, Feed, News, Outbox, Sinks};
use crate::postgres::Embedded;
use crate::store::Db;

/// Longer than any command may take (`statement_timeout` bounds its four statements): what is left after that will not end by itself.
const DRAIN_MAY_TAKE: Duration = Duration::from_secs(30);
/// Connections come back at once when their tasks are done.
const CLOSE_MAY_TAKE: Duration = Duration::from_secs(5);

/// A daemon that takes requests. Dropped instead of [stopped](Self::stop) it is cut off: commands under way are rolled back.
pub struct Running {
    addr: SocketAddr,
    service: JoinHandle<std::io::Result<()>>,
    /// The listener of the metrics, where they have one of their own.
    metrics: Option<JoinHandle<std::io::Result<()>>>,
    jobs: JoinHandle<()>,
    gatherings: JoinSet<()>,
    outbox: JoinHandle<()>,
    stopping: CancellationToken,
    /// Everything that writes events has ended.
    drained: CancellationToken,
    tasks: TaskTracker,
    db: Db,
    database: Database,
}

/// Starts the service over a database whose schema is in place, and returns once it takes requests.
///
/// # Errors
/// Unsound keys, an address that is taken, a database that is away or would not hold the fence. The database is stopped then, too.
pub async fn start(config: &Config, clock: Clock, database: Database) -> Result<Running> {
    match bring_up(config, clock, &database).await {
        Ok(Up {
            listener,
            metrics,
            addr,
            app,
            db,
        }) => {
            let stopping = CancellationToken::new();
            let tasks = app.tasks.clone();
            let drained = CancellationToken::new();
            let gatherings = run_gatherings(&app.engine, &drained);
            let jobs = run_jobs(app.engine.clone(), (&config.jobs).into(), stopping.clone());
            let outbox = run_outbox(&app, config, stopping.clone(), drained.clone());
            let timeout = config.server.request_timeout();
            let (router, metrics) = match metrics {
                None => (api::router(app, timeout), None),
                Some(listener) => {
                    let apart = serve(listener, api::metrics_router(app.engine.clone()), stopping.clone());
                    (api::router_without_metrics(app, timeout), Some(apart))
                }
            };
            let service = serve(listener, router, stopping.clone());
            tracing::info!(%addr, "ready");
            Ok(Running {
                addr,
                service,
                metrics,
                jobs,
                gatherings,
                outbox,
                stopping,
                drained,
                tasks,
                db,
                database,
            })
        }
        Err(refused) => {
            database.stop().await?;
            Err(refused)
        }
    }
}

struct Up {
    listener: TcpListener,
    metrics: Option<TcpListener>,
    addr: SocketAddr,
    app: App,
    db: Db,
}

async fn bring_up(config: &Config, clock: Clock, database: &Database) -> Result<Up> {
    let verifier = Verifier::new(&config.auth.settings(), &config.data_dir)?;
    let seal_key = seal_key(config, database)?;
    let wanted = config.server.listen;
    let listener = TcpListener::bind(wanted)
        .await
        .with_context(|| format!("cannot listen on {wanted} (another place: --listen, or server.listen in the configuration)"))?;
    let addr = listener.local_addr()?;
    let metrics = metrics_listener(config).await?;
    let db = database.connect().await?;
    let app = App {
        engine: Engine::new(db.clone(), clock).sealing_with(seal_key),
        verifier: Arc::new(verifier),
        limiter: Arc::new(Limiter::new(config.limits.requests_per_second, config.limits.burst)),
        limits: config.limits.clone(),
        feed: Feed::new(db.clone(), (&config.events).into()),
        reach: config.webhooks.reach(),
        tasks: TaskTracker::new(),
    };
    Ok(Up {
        listener,
        metrics,
        addr,
        app,
        db,
    })
}

/// The key audit rows are sealed with. Without one everything else works: nothing may stand still for want of a seal, and nothing may look
/// sealed that is not.
fn seal_key(config: &Config, database: &Database) -> Result<Option<SealKey>> {
    let place = config.audit.key_place(database.embedded.as_ref().and_then(Embedded::root));
    let key = SealKey::of(&place)?;
    if let Some(key) = &key {
        tracing::info!(key = key.id(), "audit rows are sealed with this key");
    } else {
        tracing::warn!("{}", SealKey::MISSING);
    }
    Ok(key)
}

/// The listener of the metrics, where they have one of their own.
async fn metrics_listener(config: &Config) -> Result<Option<TcpListener>> {
    let Some(wanted) = config.observe.metrics_listen else {
        return Ok(None);
    };
    let listener = TcpListener::bind(wanted).await;
    let listener = listener.with_context(|| format!("cannot listen on {wanted} (observe.metrics_listen)"))?;
    tracing::info!(addr = %listener.local_addr()?, "metrics");
    Ok(Some(listener))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the service's own task: `Running` holds its handle and waits for it"
)]
fn serve(listener: TcpListener, router: Router, stopping: CancellationToken) -> JoinHandle<std::io::Result<()>> {
    tokio::spawn(async move {
        // Made once: given the router itself, it would be made anew for each connection, a megabyte of routes and documents.
        axum::serve(api::tuned(listener), router.into_make_service())
            .with_graceful_shutdown(stopping.cancelled_owned())
            .await
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the jobs' own task: `Running` holds its handle and waits for it"
)]
fn run_jobs(engine: Engine, settings: jobs::Settings, stopping: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(jobs::run(engine, settings, stopping))
}

/// Until everything that writes has ended.
fn run_gatherings(engine: &Engine, drained: &CancellationToken) -> JoinSet<()> {
    let mut gatherings = JoinSet::new();
    for _ in 0..GATHERINGS {
        let (engine, drained) = (engine.clone(), drained.clone());
        gatherings.spawn(async move { engine.gather(drained).await });
    }
    gatherings
}

#[expect(
    clippy::disallowed_methods,
    reason = "the outbox's own task: `Running` holds its handle and waits for it"
)]
fn run_outbox(app: &App, config: &Config, stopping: CancellationToken, drained: CancellationToken) -> JoinHandle<()> {
    let outbox = Outbox {
        db: app.engine.db().clone(),
        clock: app.engine.clock().clone(),
        told: app.engine.told(),
        news: News::default(),
        feed: app.feed.clone(),
    };
    let sinks = Sinks::of(config);
    tokio::spawn(outbox::run(outbox, (&config.events).into(), sinks, stopping, drained))
}

impl Running {
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where a client on this machine reaches the daemon.
    pub fn url(&self) -> String {
        url(self.addr)
    }

    /// Stops in order. What does not end in its time is cut off and said, so that a client that hangs cannot keep the daemon from
    /// stopping; Postgres rolls such a command back.
    pub async fn stop(mut self) -> Result<()> {
        tracing::info!("stopping");
        self.stopping.cancel();
        self.tasks.close();
        if timeout(DRAIN_MAY_TAKE, self.drained()).await.is_err() {
            tracing::warn!(
                tasks = self.tasks.len(),
                jobs_ended = self.jobs.is_finished(),
                "cut off after {DRAIN_MAY_TAKE:?}"
            );
            self.service.abort();
            self.metrics.as_ref().inspect(|metrics| metrics.abort());
            // What a job still does is done in vain: its lease expires, and another daemon begins where it stood.
            self.jobs.abort();
            // What is not published yet is a row: the next daemon publishes it.
            self.outbox.abort();
        }
        if timeout(CLOSE_MAY_TAKE, self.db.close()).await.is_err() {
            tracing::warn!("a connection was not given back");
        }
        self.database.stop().await?;
        tracing::info!("stopped");
        Ok(())
    }

    /// The service first: as long as it answers, it starts tasks.
    async fn drained(&mut self) {
        match (&mut self.service).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the service broke off"),
            Err(error) => tracing::error!(%error, "the service panicked"),
        }
        if let Some(metrics) = &mut self.metrics {
            metrics.await.ok();
        }
        self.tasks.wait().await;
        if let Err(error) = (&mut self.jobs).await {
            tracing::error!(%error, "the jobs' runner panicked");
        }
        self.drained.cancel();
        while let Some(ended) = self.gatherings.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a gathering of commands panicked");
            }
        }
        if let Err(error) = (&mut self.outbox).await {
            tracing::error!(%error, "the outbox panicked");
        }
    }
}

/// The address as a client on this machine writes it: one that listens everywhere is reached at home.
pub fn url(listen: SocketAddr) -> String {
    let host = match (listen.ip(), listen.ip().is_unspecified()) {
        (named, false) => named,
        (IpAddr::V4(_), true) => Ipv4Addr::LOCALHOST.into(),
        (IpAddr::V6(_), true) => Ipv6Addr::LOCALHOST.into(),
    };
    format!("http://{}", SocketAddr::new(host, listen.port()))
}

/// The signals that ask the daemon to stop.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on they no longer end the process. To be called before the private Postgres is started: one that arrives in between
    /// is then answered by a stop in good order, instead of leaving the server behind.
    pub fn catch() -> Result<Self> {
        let catch = |kind| signal(kind).context("signals cannot be caught");
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
        })
    }

    /// Returns at the first one since [`Signals::catch`].
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_listens_everywhere_is_reached_at_home() {
        let reached = ["127.0.0.1:80", "0.0.0.0:8080", "[::]:8080", "10.1.2.3:1"].map(|listen| url(listen.parse().unwrap()));
        assert_eq!(
            reached,
            [
                "http://127.0.0.1:80",
                "http://127.0.0.1:8080",
                "http://[::1]:8080",
                "http://10.1.2.3:1"
            ]
        );
    }
}
