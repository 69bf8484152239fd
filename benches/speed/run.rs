//! The run: a daemon, its casino, and rounds of samples.

mod stream;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rundown::auth::pin;
use rundown::clock::new_id;
use rundown::postgres::{DATABASE, Embedded, OWNER};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::Settings;
use crate::casino::{self, Casino, number, text};
use crate::client::session::{COMMANDS, PINS};
use crate::client::{Latency, Outcome, PIN, People, Plan, Work};
use crate::daemon::{Daemon, Scratch, authorization, free_port};
use crate::limit::{self, Ground, Shape};
use crate::meter::{Meter, Spent, cpu_ms, server_of};
use crate::report::{Report, machine};

/// As many as a floor closes at once in the target.
const SHIFT: usize = 1_000;
/// Connections an open loop may use at most: far more than half of what the daemon can take needs.
const OPEN_LOOP: usize = 64;
/// Where one figure is enough: what the pool is made for.
const USUAL: usize = 16;
/// How long the daemon may take to settle before its memory is read.
const SETTLES: Duration = Duration::from_secs(2);
/// How long pgbench's backends may take to end after it.
const BURIED: Duration = Duration::from_millis(300);
/// How long the relay may take for what one sample has written.
const PUBLISHED: Duration = Duration::from_mins(1);
const WAITING: &str = "SELECT count(*) FROM outbox WHERE published_at IS NULL AND dead_at IS NULL";
const JOB_MAY_TAKE: Duration = Duration::from_mins(5);

#[expect(clippy::print_stdout, reason = "the table is what was asked for")]
pub fn run(settings: &Settings) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measure(settings))?;
    println!("{report}");
    Ok(())
}

async fn measure(settings: &Settings) -> Result<String> {
    let scratch = Scratch::make(&settings.below, settings.keep)?;
    let mut bench = Bench::open(settings, scratch.root.join("data")).await?;
    bench.fill().await?;
    // Only commands are measured over more than the first.
    let histories = if settings.wants("command") { settings.history.len() } else { 1 };
    for (nth, history) in settings.history.iter().take(histories).enumerate() {
        bench.age(*history).await?;
        if nth == 0 {
            bench.start_up().await?;
        }
        for round in 0..settings.rounds {
            note(&format!(
                "{history} sessions of history, round {} of {}",
                round + 1,
                settings.rounds
            ));
            if nth == 0 {
                bench.round(round).await?;
            }
            bench.flat(*history).await?;
            bench.casino.refresh(&bench.owner).await?;
        }
    }
    bench.shift_close().await?;
    bench.metrics().await?;
    let version = text(&bench.owner, "SHOW server_version").await?;
    let mut report = std::mem::take(&mut bench.report);
    bench.close().await?;
    report.settle();
    report.write(&settings.json, &machine(&version), settings)?;
    Ok(report.table())
}

pub fn note(what: &str) {
    eprintln!("speed: {what}");
}

pub struct Bench<'a> {
    pub settings: &'a Settings,
    dir: PathBuf,
    pub daemon: Option<Daemon>,
    pub owner: DatabaseConnection,
    socket_dir: String,
    meter: Meter,
    casino: Casino,
    pub report: Report,
    pub http: reqwest::Client,
}

impl<'a> Bench<'a> {
    async fn open(settings: &'a Settings, dir: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&dir)?;
        note("a private Postgres and the daemon");
        let daemon = Daemon::start(&dir, free_port()?)?;
        let (owner, socket_dir, meter) = connect(&dir, &daemon).await?;
        let casino = Casino::found(&owner, settings.live, authorization).await?;
        Ok(Self {
            settings,
            dir,
            daemon: Some(daemon),
            owner,
            socket_dir,
            meter,
            casino,
            report: Report::default(),
            http: reqwest::Client::new(),
        })
    }

    async fn close(self) -> Result<()> {
        self.owner.close().await?;
        match self.daemon {
            Some(daemon) => daemon.stop(),
            None => Ok(()),
        }
    }

    /// The tables in play.
    async fn fill(&mut self) -> Result<()> {
        note(&format!("{} tables in play, and as many for the limit", self.settings.live));
        let table = self.casino.played[0].clone();
        let live = self.play_one(Work::Open(table)).await?;
        self.casino.load_live(&self.owner, &live).await?;
        casino::say(&self.owner, &limit::functions(self.casino.id)).await
    }

    /// History behind them, copied from a session played for it.
    async fn age(&mut self, sessions: usize) -> Result<()> {
        note(&format!("{sessions} finished sessions"));
        let table = self.casino.ready_tables(&self.owner, 1).await?;
        let finished = self.play_one(Work::Sessions(table)).await?;
        self.casino.load_history(&self.owner, &finished, sessions).await?;
        self.job("rollup_recompute", json!({})).await.map(drop)
    }

    async fn play_one(&self, work: Work) -> Result<String> {
        let (outcome, _) = self.sample(work, 1, 0.001, None).await?;
        outcome.last_session.context("no session was played")
    }

    /// Starts over an existing cluster, and what the daemon takes when nobody asks it anything.
    async fn start_up(&mut self) -> Result<()> {
        if !self.settings.wants("start") {
            return Ok(());
        }
        for _ in 0..self.settings.rounds {
            self.restart().await?;
            let daemon = self.daemon.as_ref().context("a daemon")?;
            self.report
                .add("start to ready, Postgres included", "s", daemon.ready_after.as_secs_f64());
            tokio::time::sleep(SETTLES).await;
            self.report.add("memory at rest", "MiB", self.meter.daemon_mib()?);
        }
        Ok(())
    }

    async fn restart(&mut self) -> Result<()> {
        self.owner.clone().close().await?;
        if let Some(daemon) = self.daemon.take() {
            daemon.stop()?;
        }
        let daemon = Daemon::start(&self.dir, free_port()?)?;
        (self.owner, self.socket_dir, self.meter) = connect(&self.dir, &daemon).await?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// One of everything.
    async fn round(&mut self, round: usize) -> Result<()> {
        for connections in self.settings.connections.clone() {
            self.limit_and_command(round, connections).await?;
        }
        self.half_load().await?;
        self.cosigned().await?;
        for connections in self.settings.connections.clone() {
            self.sessions(connections).await?;
        }
        self.reads().await?;
        self.streams(round).await
    }

    /// The limit both ways and the daemon, each first in turn.
    async fn limit_and_command(&mut self, round: usize, connections: usize) -> Result<()> {
        let mut found = [0.0; 3];
        for turn in 0..3 {
            let which = (round + turn) % 3;
            found[which] = match which {
                0 => self.limit(Shape::Plain, connections).await?,
                1 => self.limit(Shape::Function, connections).await?,
                _ => self.command(connections).await?,
            };
        }
        let [plain, function, command] = found;
        if plain > 0.0 && command > 0.0 {
            self.report.add(
                format!("RATIO command / limit by statements, {connections} connections"),
                "×",
                command / plain,
            );
            self.report.add(
                format!("RATIO command / limit in one function, {connections} connections"),
                "×",
                command / function,
            );
        }
        Ok(())
    }

    async fn limit(&mut self, shape: Shape, connections: usize) -> Result<f64> {
        if !self.settings.wants("limit") {
            return Ok(0.0);
        }
        let live = self.casino.live;
        let ground = Ground {
            socket_dir: self.socket_dir.clone(),
            casino: self.casino.id,
            actor: self.casino.people.id("PB-01")?,
            id_prefix: self.casino.live_prefix.clone(),
            first: live + 1,
            sessions: live,
        };
        let versions = format!(
            "SELECT sum(version) FROM table_inventory_session WHERE id >= '{}' AND id <= '{}'",
            self.casino.live_session(live)?,
            self.casino.live_session(2 * live - 1)?
        );
        self.settled().await?;
        let (before, mark) = (number(&self.owner, &versions).await?, self.meter.mark().await?);
        // Nothing is published while the limit is measured: Postgres is all its own.
        let halted = self.daemon.as_ref().context("a daemon")?.halted()?;
        let done = limit::run(&self.meter.binaries, &self.dir, &ground, shape, connections, self.settings.seconds)?;
        // The server adds up a backend's time when it has buried it.
        tokio::time::sleep(BURIED).await;
        let spent = self.meter.since(&mark).await?;
        drop(halted);
        let moved = number(&self.owner, &versions).await? - before;
        ensure!(
            (moved - done.transactions).abs() < 0.5,
            "pgbench says {} transactions, the sessions say {moved}",
            done.transactions
        );
        let what = match shape {
            Shape::Plain => format!("limit by statements, {connections} connections"),
            Shape::Function => format!("limit in one function, {connections} connections"),
        };
        self.report.add(&what, "/s", done.per_second);
        self.report
            .add(&what, "CPU ms of Postgres each", spent.postgres_ms / done.transactions);
        self.report.add(
            &what,
            "WAL bytes each",
            (spent.wal_bytes - spent.page_image_bytes) / done.transactions,
        );
        Ok(done.per_second)
    }

    async fn command(&mut self, connections: usize) -> Result<f64> {
        if !self.settings.wants("command") {
            return Ok(0.0);
        }
        let work = self.toggle().await?;
        let (outcome, spent) = self.sample(work, connections, self.seconds(), None).await?;
        let what = format!("command, {connections} connections");
        let rate = self.report_commands(&what, &outcome, &spent);
        self.report.add("memory under load", "MiB", self.meter.daemon_mib()?);
        Ok(rate)
    }

    /// The latency at half of what the daemon has just been seen to take, over connections that wait for nobody.
    async fn half_load(&mut self) -> Result<()> {
        if !self.settings.wants("command") {
            return Ok(());
        }
        let work = self.toggle().await?;
        let (most, _) = self.sample(work, USUAL, self.seconds(), None).await?;
        let rate = rate(&most) / 2.0;
        let work = self.toggle().await?;
        let (outcome, _) = self.sample(work, OPEN_LOOP, self.seconds(), Some(rate)).await?;
        self.report.add("command at half load, open loop", "/s", rate);
        self.latency("command at half load, open loop", &outcome.latency);
        Ok(())
    }

    async fn cosigned(&mut self) -> Result<()> {
        if !self.settings.wants("cosigned") {
            return Ok(());
        }
        let (hash, begun) = (pin::hash(&SecretString::from(PIN))?, cpu_ms(std::process::id())?);
        let checks = 20;
        for _ in 0..checks {
            ensure!(pin::verify(&hash, &SecretString::from(PIN)), "the PIN is right");
        }
        let one = (cpu_ms(std::process::id())? - begun) / f64::from(checks);
        self.report.add("one PIN judged (argon2id)", "CPU ms", one);
        let sessions = (0..self.casino.live)
            .map(|nth| self.casino.live_session(nth))
            .collect::<Result<_>>()?;
        let (outcome, spent) = self.sample(Work::Cosigned(sessions), USUAL, self.seconds(), None).await?;
        let what = format!("count with a PIN, {USUAL} connections");
        self.report_commands(&what, &outcome, &spent);
        Ok(())
    }

    async fn sessions(&mut self, connections: usize) -> Result<()> {
        if !self.settings.wants("session") {
            return Ok(());
        }
        let tables = self.casino.ready_tables(&self.owner, connections).await?;
        let (outcome, spent) = self.sample(Work::Sessions(tables), connections, self.seconds(), None).await?;
        let what = format!("whole sessions ({COMMANDS} commands, {PINS} PINs), {connections} connections");
        let commands = self.report_commands(&what, &outcome, &spent);
        self.report.add(&what, "sessions/s", commands / f64::from(COMMANDS));
        Ok(())
    }

    async fn reads(&mut self) -> Result<()> {
        if !self.settings.wants("read") {
            return Ok(());
        }
        let base = "/api/v1/table-context";
        let of_each = |rest: &str| -> Result<Vec<String>> {
            (0..self.casino.live)
                .map(|nth| Ok(format!("{base}/sessions/{}{rest}", self.casino.live_session(nth)?)))
                .collect()
        };
        let one = |path: &str| vec![format!("{base}/{path}"); USUAL];
        let reads = [
            ("session", of_each("")?, false),
            ("session, known already (304)", of_each("")?, true),
            ("gates of every edge", of_each("/transitions")?, false),
            ("timeline", of_each("/timeline")?, false),
            ("rollups of the casino by day", one("rollups?grain=casino&by=gaming_day"), false),
            ("rollups, known already (304)", one("rollups?grain=casino&by=gaming_day"), true),
            ("the page of Prometheus", vec!["/metrics".to_owned(); USUAL], false),
        ];
        for (what, paths, known) in reads {
            // Learning the tags reads every path once: a few are enough.
            let paths = if known { paths.into_iter().take(USUAL).collect() } else { paths };
            let by = "CO-01".to_owned();
            let (outcome, spent) = self
                .sample(Work::Get { paths, by, known }, USUAL, self.seconds() / 2.0, None)
                .await?;
            let what = format!("read: {what}, {USUAL} connections");
            self.report.add(&what, "/s", rate(&outcome));
            self.latency(&what, &outcome.latency);
            self.report
                .add(&what, "CPU ms each", (spent.daemon_ms + spent.postgres_ms) / all(&outcome));
        }
        Ok(())
    }

    /// What a command costs must not follow how much has been.
    async fn flat(&mut self, history: usize) -> Result<()> {
        if !self.settings.wants("command") {
            return Ok(());
        }
        let work = self.toggle().await?;
        let (outcome, spent) = self.sample(work, USUAL, self.seconds(), None).await?;
        let what = format!("command after {history} sessions, {USUAL} connections");
        self.report_commands(&what, &outcome, &spent);
        Ok(())
    }

    /// A shift of a thousand tables in play is closed: every session's drop is scheduled, one after another.
    async fn shift_close(&mut self) -> Result<()> {
        if !self.settings.wants("shift") {
            return Ok(());
        }
        let sessions = SHIFT.min(self.casino.live);
        let (casino, template) = (self.casino.id, new_id());
        let sql = |nth: usize, shift| {
            format!(
                "INSERT INTO shift_template (id, casino_id, name, local_start, local_end) VALUES ('{template}', '{casino}', 'Speed', '00:00', '23:59')
                 ON CONFLICT DO NOTHING;
                 INSERT INTO shift (id, casino_id, gaming_day, name, starts_at, ends_at, template_id)
                 VALUES ('{shift}', '{casino}', current_date - {nth}, 'Speed', now() - interval '9 hours', now() - interval '1 hour', '{template}');
                 SET session_replication_role = replica;
                 UPDATE table_inventory_session SET shift_id = '{shift}' WHERE id >= '{}' AND id <= '{}';
                 SET session_replication_role = DEFAULT;",
                self.casino.live_prefix.clone() + "000000000001",
                format_args!("{}{sessions:012}", self.casino.live_prefix),
            )
        };
        for nth in 0..self.settings.rounds {
            note(&format!("closing a shift, round {} of {}", nth + 1, self.settings.rounds));
            casino::say(&self.owner, &sql(nth, new_id())).await?;
            let (took, outcome) = self.job("shift_close", json!({ "shift": "Speed" })).await?;
            let advanced = outcome["shifts"][0]["advanced"].as_u64().unwrap_or_default();
            ensure!(advanced == sessions as u64, "{advanced} of {sessions} sessions advanced: {outcome}");
            self.report.add(format!("shift_close of {sessions} sessions"), "s", took);
            self.casino.refresh(&self.owner).await?;
        }
        Ok(())
    }

    /// Runs a job by hand, as an admin does; how long it ran, and what it says.
    async fn job(&self, kind: &str, params: Value) -> Result<(f64, Value)> {
        let name = format!("{kind} {}", new_id());
        let body = json!({ "name": name, "job_kind": kind, "cron": "0 0 1 1 *", "params": params });
        let schedule = self.as_admin("POST", "schedules", body).await?;
        let id = schedule["id"].as_str().context("a schedule")?;
        let run = self.as_admin("POST", &format!("schedules/{id}/run"), json!({})).await?;
        let id = run["id"].as_str().context("a run")?;
        let deadline = Instant::now() + JOB_MAY_TAKE;
        loop {
            let run = self.as_admin("GET", &format!("job-runs/{id}"), Value::Null).await?;
            match run["status"].as_str() {
                Some("succeeded") => {
                    let took = format!("SELECT extract(epoch FROM finished_at - started_at) FROM job_run WHERE id = '{id}'");
                    return Ok((number(&self.owner, &took).await?, run["outcome"].clone()));
                }
                Some("queued" | "running") => ensure!(Instant::now() < deadline, "{kind} does not end: {run}"),
                _ => anyhow::bail!("{kind}: {run}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn as_admin(&self, method: &str, path: &str, body: Value) -> Result<Value> {
        let addr = self.daemon.as_ref().context("a daemon")?.addr;
        let mut request = self
            .http
            .request(method.parse()?, format!("http://{addr}/api/v1/{path}"))
            .header("authorization", self.casino.people.token("AD-01")?);
        if !body.is_null() {
            request = request.header("idempotency-key", new_id().to_string()).json(&body);
        }
        let response = request.send().await?;
        let (status, answer) = (response.status(), response.text().await?);
        ensure!(status.is_success(), "{method} {path}: {status} {answer}");
        Ok(serde_json::from_str(&answer)?)
    }

    /// The daemon's sessions in play, as they stand.
    async fn toggle(&self) -> Result<Work> {
        let sql = format!(
            "SELECT COALESCE(string_agg(id::text, ','), '') FROM table_inventory_session
              WHERE id >= '{}' AND id <= '{}' AND status = 'DROP_SCHEDULED'",
            self.casino.live_session(0)?,
            self.casino.live_session(self.casino.live - 1)?
        );
        let scheduled = text(&self.owner, &sql).await?;
        let scheduled: std::collections::HashSet<&str> = scheduled.split(',').collect();
        let sessions = (0..self.casino.live).map(|nth| {
            let id = self.casino.live_session(nth)?;
            Ok((id, scheduled.contains(id.to_string().as_str())))
        });
        Ok(Work::Toggle(sessions.collect::<Result<_>>()?))
    }

    pub fn seconds(&self) -> f64 {
        Duration::from_secs(self.settings.seconds).as_secs_f64()
    }

    /// Has a client process do this work, and says what it came to and what it cost.
    async fn sample(&self, work: Work, connections: usize, seconds: f64, rate: Option<f64>) -> Result<(Outcome, Spent)> {
        self.sample_of(&self.casino.people, work, connections, seconds, rate).await
    }

    /// The same by the people of another casino.
    pub async fn sample_of(
        &self,
        people: &People,
        work: Work,
        connections: usize,
        seconds: f64,
        rate: Option<f64>,
    ) -> Result<(Outcome, Spent)> {
        let writes = !matches!(work, Work::Get { .. });
        let plan = Plan {
            addr: self.daemon.as_ref().context("a daemon")?.addr,
            people: people.clone(),
            work,
            connections,
            seconds,
            rate,
        };
        self.settled().await?;
        let client = Client::start(&plan)?;
        let begun = text(&self.owner, "SELECT clock_timestamp()::text").await?;
        let mark = self.meter.mark().await?;
        let outcome = client.go()?;
        let spent = self.meter.since(&mark).await?;
        if writes {
            // What was answered with success is in the books, once each.
            let written = number(&self.owner, &format!("SELECT count(*) FROM audit_log WHERE ts >= '{begun}'")).await?;
            ensure!(
                (written - all(&outcome)).abs() < 0.5,
                "{} answers, {written} audit rows",
                outcome.all
            );
        }
        Ok((outcome, spent))
    }

    /// Waits until everything is published: no sample does another's work.
    async fn settled(&self) -> Result<()> {
        let deadline = Instant::now() + PUBLISHED;
        while number(&self.owner, WAITING).await? > 0.5 {
            ensure!(Instant::now() < deadline, "events are not published");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Rate, latency and cost of commands; the rate again.
    fn report_commands(&mut self, what: &str, outcome: &Outcome, spent: &Spent) -> f64 {
        let (rate, all) = (rate(outcome), all(outcome));
        self.report.add(what, "/s", rate);
        self.latency(what, &outcome.latency);
        self.report.add(what, "CPU ms of the daemon each", spent.daemon_ms / all);
        self.report.add(what, "CPU ms of Postgres each", spent.postgres_ms / all);
        self.report
            .add(what, "CPU ms of both each", (spent.daemon_ms + spent.postgres_ms) / all);
        self.report
            .add(what, "WAL bytes each", (spent.wal_bytes - spent.page_image_bytes) / all);
        self.report.add(what, "WAL bytes each, page images included", spent.wal_bytes / all);
        rate
    }

    fn latency(&mut self, what: &str, latency: &Latency) {
        self.report.add(what, "ms, p50", latency.p50);
        self.report.add(what, "ms, p99", latency.p99);
        self.report.add(what, "ms, longest", latency.max);
    }
}

pub fn rate(outcome: &Outcome) -> f64 {
    f64::from(outcome.answered) / outcome.seconds
}

pub fn all(outcome: &Outcome) -> f64 {
    f64::from(outcome.all)
}

async fn connect(dir: &Path, daemon: &Daemon) -> Result<(DatabaseConnection, String, Meter)> {
    // The name of the door is all that is wanted: a guest that stays would hold up the daemon's stop.
    let guest = Embedded::join(dir)?.context("the daemon's Postgres does not run")?;
    let (url, socket_dir) = (guest.url(OWNER, DATABASE), guest.socket_dir().display().to_string());
    guest.stop()?;
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let owner = Database::connect(options).await?;
    let data = dir.join("data");
    let (postmaster, binaries) = server_of(&data)?;
    let meter = Meter {
        daemon: daemon.pid(),
        postmaster,
        owner: owner.clone(),
        binaries,
        wal_dir: data.join("pg_wal"),
    };
    Ok((owner, socket_dir, meter))
}

/// The load generator's process.
struct Client {
    child: Child,
}

impl Client {
    /// Starts it; it is connected when this returns.
    fn start(plan: &Plan) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("client")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the load generator cannot be started")?;
        let mut line = serde_json::to_string(plan)?;
        line.push('\n');
        child.stdin.as_mut().context("a pipe")?.write_all(line.as_bytes())?;
        let mut client = Self { child };
        ensure!(client.line()? == "ready", "the load generator did not come up");
        Ok(client)
    }

    fn go(mut self) -> Result<Outcome> {
        self.child.stdin.as_mut().context("a pipe")?.write_all(b"go\n")?;
        let outcome = self.line()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the load generator failed: {status}");
        Ok(serde_json::from_str(&outcome)?)
    }

    /// One line, byte by byte: a buffer would swallow the next.
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        BufReader::with_capacity(1, self.child.stdout.as_mut().context("a pipe")?).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}
