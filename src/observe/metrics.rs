//! What is counted, for Prometheus at `/metrics`. Names and labels are told here and nowhere else; whoever counts calls a function.
//!
//! No number is any casino's: labels are words of the program (acts, gates, job kinds, outcomes), never an id, a name or an amount. So there
//! are a few hundred series, however many casinos, and whoever may read them learns that a floor is busy and nothing of who won.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use strum::VariantArray as _;
use workflows::word::{JobKind, RunStatus};
use workflows::{act, gates};

const COMMANDS: &str = "rundown_commands_total";
const COMMAND_SECONDS: &str = "rundown_command_seconds";
const GATE_REFUSALS: &str = "rundown_gate_refusals_total";
const JOB_RUNS: &str = "rundown_job_runs_total";
const JOB_PANICS: &str = "rundown_job_panics_total";
const JOB_SECONDS: &str = "rundown_job_seconds";
const ROLLUP_DRIFT: &str = "rundown_rollup_drift_total";
const AUDIT_SEALS: &str = "rundown_audit_seals_total";
const AUDIT_ROWS_SEALED: &str = "rundown_audit_rows_sealed_total";
const AUDIT_ROWS_WAITING: &str = "rundown_audit_rows_waiting";
const AUDIT_OLDEST_SECONDS: &str = "rundown_audit_oldest_waiting_seconds";
const AUDIT_BREAKS: &str = "rundown_audit_breaks_total";
const OUTBOX_WAITING: &str = "rundown_outbox_waiting";
const OUTBOX_RETRYING: &str = "rundown_outbox_retrying";
const OUTBOX_DEAD: &str = "rundown_outbox_dead";
const OUTBOX_OLDEST_SECONDS: &str = "rundown_outbox_oldest_seconds";
const PUBLISHED: &str = "rundown_events_published_total";
const PUBLISH_SECONDS: &str = "rundown_event_publish_seconds";
const PUBLISH_FAILURES: &str = "rundown_event_publish_failures_total";
const DEAD_LETTERS: &str = "rundown_event_dead_letters_total";
const DELIVERIES: &str = "rundown_deliveries_total";
const DELIVERY_SECONDS: &str = "rundown_delivery_seconds";
const SSE_SUBSCRIBERS: &str = "rundown_sse_subscribers";
const SSE_CUTS: &str = "rundown_sse_cuts_total";
const POOL_CONNECTIONS: &str = "rundown_pool_connections";
const POOL_LIMIT: &str = "rundown_pool_connections_limit";
const DATABASE_UP: &str = "rundown_database_up";

/// In seconds: from a command at its fastest to one that waited for a lock as long as it may.
const BUCKETS: &[f64] = &[
    0.001, 0.002_5, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5.0, 10.0, 30.0,
];

static EXPOSED: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Where events go after the stored feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Sink {
    Webhook,
    Nats,
}

/// Begins to count, once a process. What is counted before is lost.
pub fn install() {
    exposed();
}

/// Everything counted so far, as Prometheus reads it.
pub fn render() -> String {
    exposed().map(PrometheusHandle::render).unwrap_or_default()
}

fn exposed() -> Option<&'static PrometheusHandle> {
    let handle = EXPOSED.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS);
        let recorder = builder.map(PrometheusBuilder::build_recorder).ok()?;
        let handle = recorder.handle();
        // Refused where a program around this library counts already, in its own way.
        metrics::set_global_recorder(recorder).ok()?;
        describe();
        zero();
        Some(handle)
    });
    handle.as_ref()
}

fn describe() {
    let counters = [
        (COMMANDS, "Commands by act and outcome: done, replayed, or the code of the problem"),
        (GATE_REFUSALS, "Commands refused for want of evidence, by gate"),
        (JOB_RUNS, "Attempts at job runs that ended, by kind and what the run became"),
        (JOB_PANICS, "Attempts at job runs that broke off by a fault of the program, by kind"),
        (ROLLUP_DRIFT, "Rollup cells found to say something else than the facts"),
        (AUDIT_SEALS, "Seals made"),
        (AUDIT_ROWS_SEALED, "Audit rows sealed"),
        (AUDIT_BREAKS, "Breaks found when sealed audit was verified"),
        (PUBLISHED, "Events published"),
        (PUBLISH_FAILURES, "Attempts at publishing an event that failed"),
        (DEAD_LETTERS, "Events given up"),
        (DELIVERIES, "Attempts at delivering an event to a sink, by outcome"),
        (SSE_CUTS, "Live streams ended by the daemon, by reason"),
    ];
    for (name, what) in counters {
        describe_counter!(name, Unit::Count, what);
    }
    let gauges = [
        (AUDIT_ROWS_WAITING, "Audit rows that wait for their seal"),
        (AUDIT_OLDEST_SECONDS, "Age of the oldest audit row that waits for its seal"),
        (OUTBOX_WAITING, "Events that wait to be published"),
        (OUTBOX_RETRYING, "Events that wait for another attempt, or behind one that does"),
        (OUTBOX_DEAD, "Events that were given up and not sent back"),
        (OUTBOX_OLDEST_SECONDS, "Age of the oldest event that waits to be published"),
        (SSE_SUBSCRIBERS, "Live streams open at this daemon"),
        (POOL_CONNECTIONS, "Connections of this daemon's pool, busy and idle"),
        (POOL_LIMIT, "Connections this daemon's pool may have"),
        (DATABASE_UP, "1 if the database answered when this was asked"),
    ];
    for (name, what) in gauges {
        describe_gauge!(name, what);
    }
    let histograms = [
        (COMMAND_SECONDS, "Time a command took, by act"),
        (JOB_SECONDS, "Time an attempt at a job run took, by kind"),
        (PUBLISH_SECONDS, "Time from an event's writing to its publication"),
        (DELIVERY_SECONDS, "Time a delivery to a sink took"),
    ];
    for (name, what) in histograms {
        describe_histogram!(name, Unit::Seconds, what);
    }
}

/// A series that is there from the start can be seen to rise the first time it does.
fn zero() {
    for act in act::ALL.iter().filter(|act| !act.who.is_empty()) {
        counter!(COMMANDS, "act" => act.name, "outcome" => "done").increment(0);
    }
    for kind in JobKind::VARIANTS {
        counter!(JOB_PANICS, "kind" => kind.to_string()).increment(0);
        for status in [RunStatus::Succeeded, RunStatus::Retrying, RunStatus::Dead] {
            counter!(JOB_RUNS, "kind" => kind.to_string(), "outcome" => status.to_string()).increment(0);
        }
    }
    for gate in gates::ALL {
        counter!(GATE_REFUSALS, "gate" => gate.code).increment(0);
    }
    for sink in Sink::VARIANTS {
        for outcome in ["delivered", "failed"] {
            counter!(DELIVERIES, "sink" => <&str>::from(sink), "outcome" => outcome).increment(0);
        }
    }
    for name in [
        ROLLUP_DRIFT,
        AUDIT_SEALS,
        AUDIT_ROWS_SEALED,
        AUDIT_BREAKS,
        PUBLISHED,
        PUBLISH_FAILURES,
        DEAD_LETTERS,
    ] {
        counter!(name).increment(0);
    }
    for name in [
        AUDIT_ROWS_WAITING,
        AUDIT_OLDEST_SECONDS,
        OUTBOX_WAITING,
        OUTBOX_RETRYING,
        OUTBOX_DEAD,
        OUTBOX_OLDEST_SECONDS,
        SSE_SUBSCRIBERS,
    ] {
        gauge!(name).set(0.0);
    }
}

/// A command ended: `done`, `replayed`, or a problem's code.
pub fn commanded(act: &'static str, outcome: &'static str, took: Duration) {
    counter!(COMMANDS, "act" => act, "outcome" => outcome).increment(1);
    histogram!(COMMAND_SECONDS, "act" => act).record(took);
}

/// A gate kept a command from its edge.
pub fn gate_refused(gate: &'static str) {
    counter!(GATE_REFUSALS, "gate" => gate).increment(1);
}

/// An attempt at a run came to its end.
pub fn job_took(kind: JobKind, took: Duration) {
    histogram!(JOB_SECONDS, "kind" => kind.to_string()).record(took);
}

/// What the run became by it; nothing where it is another daemon's.
pub fn job_became(kind: JobKind, became: Option<RunStatus>) {
    let outcome = became.map_or_else(|| "lost".to_owned(), |status| status.to_string());
    counter!(JOB_RUNS, "kind" => kind.to_string(), "outcome" => outcome).increment(1);
}

/// A job broke off by a fault of the program.
pub fn job_panicked(kind: JobKind) {
    counter!(JOB_PANICS, "kind" => kind.to_string()).increment(1);
}

pub fn rollups_drifted(cells: usize) {
    counter!(ROLLUP_DRIFT).increment(count(cells));
}

pub fn sealed(rows: usize) {
    counter!(AUDIT_SEALS).increment(1);
    counter!(AUDIT_ROWS_SEALED).increment(count(rows));
}

pub fn audit_broken(breaks: usize) {
    counter!(AUDIT_BREAKS).increment(count(breaks));
}

/// An event was published, so long after it was written.
pub fn published(waited: Duration) {
    counter!(PUBLISHED).increment(1);
    histogram!(PUBLISH_SECONDS).record(waited);
}

pub fn publish_failed() {
    counter!(PUBLISH_FAILURES).increment(1);
}

pub fn dead_lettered() {
    counter!(DEAD_LETTERS).increment(1);
}

/// One attempt at one delivery.
pub fn delivered(sink: Sink, ok: bool, took: Duration) {
    let sink: &'static str = sink.into();
    let outcome = if ok { "delivered" } else { "failed" };
    counter!(DELIVERIES, "sink" => sink, "outcome" => outcome).increment(1);
    histogram!(DELIVERY_SECONDS, "sink" => sink).record(took);
}

/// A live stream that is counted as long as this is held.
#[derive(Debug)]
pub struct Subscribed(());

pub fn sse_subscribed() -> Subscribed {
    gauge!(SSE_SUBSCRIBERS).increment(1.0);
    Subscribed(())
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        gauge!(SSE_SUBSCRIBERS).decrement(1.0);
    }
}

/// The daemon ended a live stream, for one of a few reasons.
pub fn sse_cut(reason: &'static str) {
    counter!(SSE_CUTS, "reason" => reason).increment(1);
}

/// What stands in the database at this moment, in all casinos together; nothing where it is away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    pub audit_rows_waiting: u32,
    pub audit_oldest_seconds: u32,
    pub outbox_waiting: u32,
    pub outbox_retrying: u32,
    pub outbox_dead: u32,
    pub outbox_oldest_seconds: u32,
}

pub fn standing(standing: Option<Standing>) {
    gauge!(DATABASE_UP).set(f64::from(u8::from(standing.is_some())));
    // Unknown is not zero: a gauge that cannot be asked keeps its last value, and `rundown_database_up` says so.
    let Some(standing) = standing else { return };
    gauge!(AUDIT_ROWS_WAITING).set(standing.audit_rows_waiting);
    gauge!(AUDIT_OLDEST_SECONDS).set(standing.audit_oldest_seconds);
    gauge!(OUTBOX_WAITING).set(standing.outbox_waiting);
    gauge!(OUTBOX_RETRYING).set(standing.outbox_retrying);
    gauge!(OUTBOX_DEAD).set(standing.outbox_dead);
    gauge!(OUTBOX_OLDEST_SECONDS).set(standing.outbox_oldest_seconds);
}

pub fn pool(busy: u32, idle: u32, limit: u32) {
    gauge!(POOL_CONNECTIONS, "state" => "busy").set(busy);
    gauge!(POOL_CONNECTIONS, "state" => "idle").set(idle);
    gauge!(POOL_LIMIT).set(limit);
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
