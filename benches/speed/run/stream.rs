//! How long an event takes from its commit to those who listen to the live stream, at two hundred commands a second.
//!
//! The commit itself leaves no stamp that another process could read. So it is held between two that can be: *from judged*, from the moment the
//! daemon stamped the event and began to write it, is more than it takes, because the writing and the flush are in it; *from published* is
//! less, because the way from the commit to the relay is not. What the budget is held against is the larger one. *From sent* is what the
//! person at the tablet waits: the whole command is in it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::{Bench, OPEN_LOOP, note};
use crate::casino::text;
use crate::client::subscriber::{Arrived, Told, Took, Wish};

/// Commands a second.
const RATE: f64 = 200.0;
/// Subscribers: one, and as many as the budget is about.
const SUBSCRIBERS: [usize; 2] = [1, 1_000];
/// As many as the daemon takes; measured once.
const MOST_SUBSCRIBERS: usize = 5_000;
const IN_SHORT: [usize; 2] = [1, 20];
const AT_LEAST_SECONDS: f64 = 2.0;
/// From commit to subscriber, in milliseconds, at the 95th percentile.
const BUDGET: f64 = 80.0;
const IN_BUDGETS: &str = "× the budget of 80 ms, p95";
/// Files that a daemon has open beside its streams, generously.
const BESIDE: usize = 300;
/// How long the daemon may take to notice that a reader is gone.
const GONE_WITHIN: Duration = Duration::from_secs(20);

impl Bench<'_> {
    pub(super) async fn streams(&mut self, round: usize) -> Result<()> {
        if !self.settings.wants("stream") {
            return Ok(());
        }
        let usual = if self.settings.quick { IN_SHORT } else { SUBSCRIBERS };
        for subscribers in usual {
            self.stream(subscribers).await?;
        }
        if round == 0 && !self.settings.quick {
            note(&format!("{MOST_SUBSCRIBERS} streams"));
            self.stream(MOST_SUBSCRIBERS).await?;
        }
        Ok(())
    }

    async fn stream(&mut self, subscribers: usize) -> Result<()> {
        if subscribers + BESIDE > open_files()? {
            note(&format!(
                "{subscribers} streams need more open files than are allowed (ulimit -n): not measured"
            ));
            return Ok(());
        }
        self.nobody_listens().await?;
        let work = self.toggle().await?;
        let joining = Instant::now();
        let listening = Subscriber::start(&Wish {
            addr: self.daemon.as_ref().context("a daemon")?.addr,
            token: self.casino.people.token("CO-01")?,
            streams: subscribers,
        })?;
        let joined = joining.elapsed();
        let after = self.whole_feed().await?;
        let seconds = self.seconds().max(AT_LEAST_SECONDS);
        let (outcome, spent) = self.sample(work, OPEN_LOOP, seconds, Some(RATE)).await?;
        self.settled().await?;
        let arrived = listening.ends(&self.told(after).await?)?;
        ensure!(
            arrived.missing == 0 && arrived.twice == 0 && arrived.deliveries > 0,
            "of {} deliveries to {subscribers} streams {} are missing, {} came twice",
            arrived.deliveries,
            arrived.missing,
            arrived.twice
        );
        let what = format!("event, {RATE} commands/s, {subscribers} streams");
        self.took(&format!("{what}, from sent"), &arrived.from_sent);
        self.took(&format!("{what}, from judged"), &arrived.from_judged);
        self.took(&format!("{what}, from published"), &arrived.from_published);
        self.report.add(&what, IN_BUDGETS, arrived.from_judged.p95 / BUDGET);
        self.report.add(&what, "deliveries/s", f64::from(arrived.deliveries) / seconds);
        self.report.add(&what, "CPU ms of the daemon a second", spent.daemon_ms / seconds);
        self.report.add(&what, "CPU ms of Postgres a second", spent.postgres_ms / seconds);
        self.report
            .add(&what, "CPU ms of the subscribers a second", arrived.client_cpu_ms / seconds);
        self.report.add(&what, "command ms, p99", outcome.latency.p99);
        self.report.add(&what, "s until all have joined", joined.as_secs_f64());
        Ok(())
    }

    fn took(&mut self, what: &str, took: &Took) {
        self.report.add(what, "ms, p50", took.p50);
        self.report.add(what, "ms, p95", took.p95);
        self.report.add(what, "ms, p99", took.p99);
        self.report.add(what, "ms, longest", took.max);
    }

    /// How far the feed goes when everything that was written is published.
    async fn whole_feed(&self) -> Result<u64> {
        self.settled().await?;
        let head = format!(
            "SELECT COALESCE((SELECT last_seq FROM event_feed WHERE casino_id = '{}'), 0)::text",
            self.casino.id
        );
        Ok(text(&self.owner, &head).await?.parse()?)
    }

    /// Waits until the daemon has noticed that the streams of the sample before are gone: they count among those it allows.
    async fn nobody_listens(&self) -> Result<()> {
        let addr = self.daemon.as_ref().context("a daemon")?.addr;
        let deadline = Instant::now() + GONE_WITHIN;
        loop {
            let metrics = self.http.get(format!("http://{addr}/metrics")).send().await?.text().await?;
            if metrics.lines().any(|line| line == "rundown_sse_subscribers 0") {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "streams stay open at the daemon");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn told(&self, after: u64) -> Result<Told> {
        let stamps = |column: &str| {
            format!(
                "SELECT COALESCE(json_agg((extract(epoch FROM {column}) * 1000000)::bigint ORDER BY seq), '[]')::text
                   FROM outbox WHERE casino_id = '{}' AND seq > {after}",
                self.casino.id
            )
        };
        Ok(Told {
            after,
            judged: serde_json::from_str(&text(&self.owner, &stamps("created_at")).await?)?,
            published: serde_json::from_str(&text(&self.owner, &stamps("published_at")).await?)?,
        })
    }
}

/// How many files a process here may have open.
fn open_files() -> Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line
        .and_then(|line| line.split_whitespace().next())
        .context("no limit of open files")?;
    Ok(soft.parse().unwrap_or(usize::MAX))
}

/// The subscribers' process.
struct Subscriber {
    child: Child,
}

impl Subscriber {
    /// Starts it; every stream is joined when this returns.
    fn start(wish: &Wish) -> Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .arg("subscriber")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the subscribers cannot be started")?;
        let mut subscriber = Self { child };
        subscriber.tell(wish)?;
        ensure!(subscriber.line()? == "ready", "the subscribers did not come up");
        Ok(subscriber)
    }

    fn ends(mut self, told: &Told) -> Result<Arrived> {
        self.tell(told)?;
        let arrived = self.line()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the subscribers failed: {status}");
        Ok(serde_json::from_str(&arrived)?)
    }

    fn tell(&mut self, what: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_string(what)?;
        line.push('\n');
        Ok(self.child.stdin.as_mut().context("a pipe")?.write_all(line.as_bytes())?)
    }

    /// One line, byte by byte: a buffer would swallow the next.
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        BufReader::with_capacity(1, self.child.stdout.as_mut().context("a pipe")?).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}
