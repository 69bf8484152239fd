//! The load generator: a process of its own, so that what it costs is not the daemon's, and nothing of the daemon's is in its way.
//!
//! It reads a plan from stdin, connects, says `ready`, waits for a line, works, and writes what came of it. One thread: a second would only take
//! more of the cores from whom it measures.

pub mod session;
pub mod subscriber;
mod wire;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use rundown::clock::new_id;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::LocalSet;
use uuid::Uuid;

use self::session::{Player, Table};
use self::wire::{Ask, Wire};
use crate::meter;

/// Everybody's PIN in the benchmark's casino.
pub const PIN: &str = "2468";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub addr: SocketAddr,
    pub people: People,
    pub work: Work,
    pub connections: usize,
    pub seconds: f64,
    /// Open loop: requests a second, whatever becomes of them. None: closed loop, each connection asks again when it is answered.
    pub rate: Option<f64>,
}

/// Staff by employee number: id, and the `Authorization` of those who hold a token.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct People(pub BTreeMap<String, (Uuid, Option<String>)>);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Schedules the drop of a table in play, or takes the schedule back: the simplest transition there is both ways. True: it is scheduled now.
    Toggle(Vec<(Uuid, bool)>),
    /// A count of the tray in play, verified by a second person's PIN.
    Cosigned(Vec<Uuid>),
    /// Whole sessions, one table a connection.
    Sessions(Vec<Table>),
    /// One session, to be left in play: what others are copied from.
    Open(Table),
    /// Reads these paths; with `known`, as somebody who has the answer already and is told 304.
    Get { paths: Vec<String>, by: String, known: bool },
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Answered within the time, and how long that was.
    pub answered: u32,
    pub seconds: f64,
    /// All that was answered, the sessions under way at the end included.
    pub all: u32,
    pub latency: Latency,
    /// The client's own CPU.
    pub client_cpu_ms: f64,
    /// For a session played once: its id.
    pub last_session: Option<String>,
}

/// Milliseconds from the intended start of a request to the end of its answer.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl People {
    pub fn id(&self, employee_no: &str) -> Result<Uuid> {
        Ok(self.0.get(employee_no).with_context(|| format!("nobody is {employee_no}"))?.0)
    }

    pub fn token(&self, employee_no: &str) -> Result<String> {
        let token = self.0.get(employee_no).and_then(|(_, token)| token.clone());
        token.with_context(|| format!("{employee_no} has no token"))
    }

    pub fn cosign(&self, employee_no: &str) -> Result<Value> {
        Ok(json!({ "staff_id": self.id(employee_no)?, "pin": PIN }))
    }
}

/// The process's main: a plan in, an outcome out.
pub fn run() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let plan: Plan = serde_json::from_str(&line)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = LocalSet::new().block_on(&runtime, work(&plan))?;
    say(&serde_json::to_string(&outcome)?)
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

async fn work(plan: &Plan) -> Result<Outcome> {
    let mut workers = Vec::with_capacity(plan.connections);
    for nth in 0..plan.connections {
        workers.push(Worker::new(plan, nth).await?);
    }
    say("ready")?;
    let mut go = String::new();
    std::io::stdin().lock().read_line(&mut go)?;

    let tape = Rc::new(Tape::start(plan)?);
    let mut done = tokio::task::JoinSet::new();
    for mut worker in workers {
        let tape = Rc::clone(&tape);
        done.spawn_local(async move {
            worker.run(&tape).await?;
            anyhow::Ok(worker.last)
        });
    }
    let mut last_session = None;
    while let Some(worker) = done.join_next().await {
        last_session = worker??.or(last_session);
    }
    Ok(tape.outcome(last_session))
}

/// What was answered, when.
pub struct Tape {
    started: Instant,
    /// The same moment by the clock on the wall, in microseconds.
    started_at: u64,
    length: Duration,
    rate: Option<f64>,
    /// Requests begun, in an open loop.
    begun: Cell<u32>,
    answered: Cell<u32>,
    all: Cell<u32>,
    micros: RefCell<Histogram<u64>>,
}

impl Tape {
    /// A minute, in microseconds: longer than the daemon lets anybody wait.
    const LONGEST_MICROS: u64 = 60_000_000;

    fn start(plan: &Plan) -> Result<Self> {
        Ok(Self {
            started: Instant::now(),
            started_at: subscriber::micros(SystemTime::now()),
            length: Duration::from_secs_f64(plan.seconds),
            rate: plan.rate,
            begun: Cell::new(0),
            answered: Cell::new(0),
            all: Cell::new(0),
            micros: RefCell::new(Histogram::new_with_bounds(1, Self::LONGEST_MICROS, 3)?),
        })
    }

    /// When the next request is to begin; none when the time is over.
    ///
    /// In an open loop that is its place in the timetable, however late its connection comes to it: a request that had to wait because the one
    /// before it was slow has been slow too (coordinated omission).
    async fn next(&self) -> Option<Instant> {
        let intended = match self.rate {
            None => Instant::now(),
            Some(rate) => {
                let nth = self.begun.get();
                self.begun.set(nth + 1);
                self.started + Duration::from_secs_f64(f64::from(nth) / rate)
            }
        };
        if intended.duration_since(self.started) >= self.length {
            return None;
        }
        tokio::time::sleep_until(intended.into()).await;
        Some(intended)
    }

    /// A correlation id that tells whoever hears of the command when it was to be sent.
    fn correlation(&self, intended: Instant) -> String {
        let since = u64::try_from(intended.duration_since(self.started).as_micros()).unwrap_or_default();
        format!("{}{}-{}", subscriber::SENT_AT, self.started_at + since, new_id().simple())
    }

    /// An answer to what was to begin then.
    pub fn mark(&self, intended: Instant) {
        let now = Instant::now();
        self.all.set(self.all.get() + 1);
        if now.duration_since(self.started) < self.length {
            self.answered.set(self.answered.get() + 1);
        }
        let micros = u64::try_from(now.duration_since(intended).as_micros()).unwrap_or(u64::MAX);
        self.micros.borrow_mut().saturating_record(micros.max(1));
    }

    fn outcome(&self, last_session: Option<String>) -> Outcome {
        let micros = self.micros.borrow();
        let at = |quantile: f64| Duration::from_micros(micros.value_at_quantile(quantile)).as_secs_f64() * 1e3;
        Outcome {
            answered: self.answered.get(),
            seconds: self.length.as_secs_f64(),
            all: self.all.get(),
            latency: Latency {
                p50: at(0.5),
                p90: at(0.9),
                p95: at(0.95),
                p99: at(0.99),
                p999: at(0.999),
                max: at(1.0),
            },
            client_cpu_ms: meter::cpu_ms(std::process::id()).unwrap_or_default(),
            last_session,
        }
    }
}

/// One connection and its share of the work.
struct Worker {
    wire: Wire,
    people: People,
    share: Share,
    last: Option<String>,
}

enum Share {
    Toggle(Vec<(Uuid, bool)>),
    Cosigned(Vec<Uuid>),
    Session(Table),
    Open(Table),
    Get {
        paths: Vec<String>,
        token: String,
        known: Option<Vec<String>>,
    },
}

impl Worker {
    async fn new(plan: &Plan, nth: usize) -> Result<Self> {
        let mut wire = Wire::open(plan.addr).await?;
        let share = match &plan.work {
            // No two connections work on one session: what they would wait for is each other, not the daemon.
            Work::Toggle(sessions) => Share::Toggle(every(sessions, plan.connections, nth)?),
            Work::Cosigned(sessions) => Share::Cosigned(every(sessions, plan.connections, nth)?),
            Work::Sessions(tables) => Share::Session(tables.get(nth).context("a table a connection")?.clone()),
            Work::Open(table) => Share::Open(table.clone()),
            Work::Get { paths, by, known } => {
                let (paths, token) = (every(paths, plan.connections, nth)?, plan.people.token(by)?);
                let known = if *known {
                    Some(tags(&mut wire, &paths, &token).await?)
                } else {
                    None
                };
                Share::Get { paths, token, known }
            }
        };
        Ok(Self {
            wire,
            people: plan.people.clone(),
            share,
            last: None,
        })
    }

    async fn run(&mut self, tape: &Tape) -> Result<()> {
        match &mut self.share {
            Share::Open(table) => {
                let mut player = Player {
                    wire: &mut self.wire,
                    people: &self.people,
                    tape,
                };
                self.last = Some(player.open(table).await?);
                Ok(())
            }
            Share::Session(table) => {
                let mut player = Player {
                    wire: &mut self.wire,
                    people: &self.people,
                    tape,
                };
                while tape.next().await.is_some() {
                    self.last = Some(player.session(table).await?);
                }
                Ok(())
            }
            Share::Toggle(sessions) => {
                let token = self.people.token("PB-01")?;
                for nth in (0..sessions.len()).cycle() {
                    let Some(intended) = tape.next().await else { break };
                    let (session, scheduled) = &mut sessions[nth];
                    let to = if *scheduled { "OPEN" } else { "DROP_SCHEDULED" };
                    *scheduled = !*scheduled;
                    let path = format!("/api/v1/table-context/sessions/{session}/transitions");
                    let sent = tape.correlation(intended);
                    send(&mut self.wire, &path, &token, format!(r#"{{"to":"{to}"}}"#), Some(sent)).await?;
                    tape.mark(intended);
                }
                Ok(())
            }
            Share::Cosigned(sessions) => {
                let token = self.people.token("PB-01")?;
                let body = json!({ "kind": "rundown", "chipset": { "10000": 20 }, "cosign": self.people.cosign("DL-01")? }).to_string();
                for session in sessions.iter().cycle() {
                    let Some(intended) = tape.next().await else { break };
                    let path = format!("/api/v1/table-context/sessions/{session}/snapshots");
                    send(&mut self.wire, &path, &token, body.clone(), None).await?;
                    tape.mark(intended);
                }
                Ok(())
            }
            Share::Get { paths, token, known } => {
                let expected = if known.is_some() { 304 } else { 200 };
                for nth in (0..paths.len()).cycle() {
                    let Some(intended) = tape.next().await else { break };
                    let known = known.as_ref().map(|tags| tags[nth].as_str());
                    let reply = self.wire.send(read(&paths[nth], token, known)).await?;
                    ensure!(reply.status == expected, "GET {}: {}", paths[nth], reply.status);
                    tape.mark(intended);
                }
                Ok(())
            }
        }
    }
}

async fn send(wire: &mut Wire, path: &str, token: &str, body: String, correlation: Option<String>) -> Result<()> {
    let ask = Ask {
        method: "POST",
        path,
        token,
        known: None,
        correlation,
        body: Some(body),
    };
    let reply = wire.send(ask).await?;
    ensure!(
        matches!(reply.status, 200 | 201),
        "POST {path}: {} {}",
        reply.status,
        String::from_utf8_lossy(&reply.body)
    );
    Ok(())
}

fn read<'a>(path: &'a str, token: &'a str, known: Option<&'a str>) -> Ask<'a> {
    Ask {
        method: "GET",
        path,
        token,
        known,
        correlation: None,
        body: None,
    }
}

async fn tags(wire: &mut Wire, paths: &[String], token: &str) -> Result<Vec<String>> {
    let mut tags = Vec::with_capacity(paths.len());
    for path in paths {
        let reply = wire.send(read(path, token, None)).await?;
        tags.push(reply.etag.with_context(|| format!("GET {path} has no ETag: {}", reply.status))?);
    }
    Ok(tags)
}

/// Every nth of all, and all of them together are all.
fn every<T: Clone>(all: &[T], shares: usize, nth: usize) -> Result<Vec<T>> {
    let share: Vec<T> = all.iter().skip(nth).step_by(shares).cloned().collect();
    ensure!(!share.is_empty(), "{} for {shares} connections", all.len());
    Ok(share)
}
