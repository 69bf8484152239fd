//! What the daemon tells whoever watches it: numbers of no casino, spans under the request's own id, and documents that name what there is.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rundown::observe::metrics;
use rundown::postgres::OWNER;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;
use workflows::word::JobKind;

use crate::support::{House, tray, until};

/// A start over a database that is there already.
const START_MAY_TAKE: Duration = Duration::from_secs(30);

/// One series' value, of a sum over those whose labels hold all of these.
fn value(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let values: Vec<f64> = text
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// Names of series, as they are written in a document or told.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = text.split(|letter: char| !is_part(letter));
    words.filter(|word| word.starts_with("rundown_")).map(str::to_owned).collect()
}

async fn told(house: &House) -> String {
    let reply = house.bearer(None).get("/metrics").await;
    assert_eq!(reply.status, 200);
    assert!(
        reply
            .header("content-type")
            .expect("a type")
            .starts_with("text/plain; version=0.0.4")
    );
    reply.text
}

/// The tests of this binary count together: what is said here can only be "at least".
#[tokio::test]
async fn commands_refusals_and_jobs_are_counted() {
    let house = House::open().await;
    let before = told(&house).await;
    let count = |text: &str, labels: &[&str]| value(text, "rundown_commands_total", labels).unwrap_or(0.0);
    assert!(
        value(&before, "rundown_commands_total", &["act=\"drop.deliver\"", "outcome=\"done\""]).is_some(),
        "there from the start"
    );

    let session = house.create("BJ-01", "BJ-01-A").await;
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    house
        .advance("PB-01", &session, json!({ "to": "OPEN" }))
        .await
        .refused(409, "gates_unmet");
    house
        .advance("CG-01", &session, json!({ "to": "CLOSED", "note": "rain" }))
        .await
        .refused(403, "forbidden");
    let table = json!({ "label": "PK-01", "type": "poker" });
    for _ in 0..2 {
        house
            .person("AD-01")
            .post_as("k-1", "/api/v1/tables", table.clone())
            .await
            .expect(201);
    }
    let after = told(&house).await;
    for (labels, by) in [
        (["act=\"session.create\"", "outcome=\"done\""], 1.0),
        (["act=\"session.move\"", "outcome=\"done\""], 1.0),
        (["act=\"session.move\"", "outcome=\"gates_unmet\""], 1.0),
        (["act=\"session.move\"", "outcome=\"forbidden\""], 1.0),
        (["act=\"setup.change\"", "outcome=\"replayed\""], 1.0),
    ] {
        assert!(count(&after, &labels) >= count(&before, &labels) + by, "{labels:?}: {after}");
    }
    let gate = |text: &str| value(text, "rundown_gate_refusals_total", &["gate=\"opening_snapshot_verified\""]).unwrap_or(0.0);
    assert!(gate(&after) >= gate(&before) + 1.0, "{after}");
    let timed = value(&after, "rundown_command_seconds_count", &["act=\"session.create\""]).expect("timed");
    assert!(timed >= 1.0);
    assert!(
        value(&after, "rundown_command_seconds_bucket", &["act=\"session.create\"", "le=\"10\""]).is_some(),
        "{after}"
    );
}

#[tokio::test]
async fn what_waits_is_told_and_what_the_pool_does() {
    let house = House::open().await;
    house.open_table("BJ-01", "BJ-01-A", tray()).await;
    house.clock.advance(Duration::from_mins(7));
    // Another test's house may tell its own numbers in between: the gauges are the process's.
    until("this house's rows are told", || async {
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        let text = told(&house).await;
        value(&text, "rundown_audit_oldest_waiting_seconds", &[]) == Some(420.0)
            && value(&text, "rundown_audit_rows_waiting", &[]) > Some(2.0)
    })
    .await;
    let text = told(&house).await;
    assert_eq!(value(&text, "rundown_database_up", &[]), Some(1.0));
    assert!(value(&text, "rundown_pool_connections_limit", &[]) >= Some(1.0));
    assert!(value(&text, "rundown_pool_connections", &["state=\"idle\""]).is_some());
}

/// Labels are words of the program: nothing of a casino can be read from them, and their number has a bound.
#[tokio::test]
async fn no_number_is_any_casinos() {
    let house = House::open().await;
    house.reconciled("BJ-01", "BJ-01-A", "BJ-01-B", tray(), tray(), 10_000).await;
    let text = told(&house).await;
    for secret in [
        &house.home.casino.to_string(),
        &house.home.name,
        &house.other.name,
        "BJ-01",
        "PB-01",
    ] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let labels = ["act", "outcome", "gate", "kind", "sink", "reason", "state", "le"];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let inside = line
            .split_once('{')
            .and_then(|(_, rest)| rest.split_once('}'))
            .map_or("", |(inside, _)| inside);
        for label in inside.split("\",").filter(|label| !label.is_empty()) {
            let (name, said) = label.split_once("=\"").expect("a label");
            assert!(labels.contains(&name), "{line}");
            assert!(said.trim_end_matches('"').len() <= 40, "{line}");
        }
    }
    assert!(text.lines().count() < 3_000, "{}", text.lines().count());
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_name_what_there_is() {
    let house = House::open().await;
    house.create("BJ-01", "BJ-01-A").await;
    // A histogram begins with what it times first: one of each, and of what has no word before it happens.
    metrics::job_took(JobKind::AuditSeal, Duration::ZERO);
    metrics::published(Duration::ZERO);
    metrics::delivered(metrics::Sink::Webhook, true, Duration::ZERO);
    metrics::sse_cut("stopping");
    drop(metrics::sse_subscribed());
    let text = told(&house).await;
    let known = names(&text);
    let docs = [
        include_str!("../../docs/alerts.yml"),
        include_str!("../../docs/grafana/rundown.json"),
    ];
    let lost: Vec<String> = docs
        .iter()
        .flat_map(|doc| names(doc))
        .filter(|name| !known.contains(name))
        .collect();
    assert_eq!(lost, Vec::<String>::new(), "named, and told nowhere");
    // And the other way round: whoever adds a series says in the manual what it is.
    let manual = names(&include_str!("../../docs/operating.md").replace("`…_", "`rundown_outbox_"));
    let bare = |name: &str| {
        ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|part| name.strip_suffix(part))
            .unwrap_or(name)
            .to_owned()
    };
    let untold: BTreeSet<String> = known.iter().map(|name| bare(name)).filter(|name| !manual.contains(name)).collect();
    assert_eq!(untold, BTreeSet::new(), "told, and explained nowhere");
    serde_json::from_str::<serde_json::Value>(docs[1]).expect("JSON");
    let shown = names(docs[1]);
    for name in [
        "rundown_commands_total",
        "rundown_outbox_oldest_seconds",
        "rundown_sse_subscribers",
        "rundown_pool_connections",
    ] {
        assert!(shown.contains(name), "{name} is shown");
    }
}

/// A collector: whatever is sent to it, it keeps.
async fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
    async fn take(State(taken): State<Arc<Mutex<Vec<u8>>>>, body: Bytes) {
        taken.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&body);
    }
    let taken = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = axum::Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&taken));
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, taken)
}

/// The address a line of the log names.
async fn address(lines: &mut Lines<BufReader<ChildStderr>>, message: &str) -> String {
    let mut seen = String::new();
    let found = timeout(START_MAY_TAKE, async {
        while let Some(line) = lines.next_line().await.expect("a line") {
            seen.push_str(&line);
            let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if line["message"] == message {
                return line["addr"].as_str().map(str::to_owned);
            }
        }
        None
    });
    found.await.ok().flatten().unwrap_or_else(|| panic!("no {message:?} in {seen}"))
}

fn daemon(house: &House, dir: &std::path::Path, otlp_url: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rundown"));
    command.arg("--data-dir").arg(dir).args(["serve", "--listen", "127.0.0.1:0"]);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RUNDOWN_")) {
        command.env_remove(name);
    }
    command
        .env("RUNDOWN__DATABASE__URL", house.cluster.url("rundown_app"))
        .env("RUNDOWN__DATABASE__OWNER_URL", house.cluster.url(OWNER))
        .env("RUNDOWN__AUTH__SECRET", "a secret of thirty-two bytes and more")
        .env("RUNDOWN__AUTH__LEEWAY_SECONDS", "300")
        .env("RUNDOWN__OBSERVE__OTLP_URL", otlp_url)
        .env("RUNDOWN__OBSERVE__METRICS_LISTEN", "127.0.0.1:0")
        .env("RUNDOWN__LOG__FORMAT", "json");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command.spawn().expect("the program")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_go_to_a_collector_and_metrics_to_a_listener_of_their_own() {
    let house = House::open().await;
    let (otlp_url, spans) = collector().await;
    let dir = std::env::temp_dir().join(format!("rundown-observed-{}-{}", std::process::id(), house.cluster.database));
    let mut child = daemon(&house, &dir, &otlp_url);
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let apart = address(&mut lines, "metrics").await;
    let api = address(&mut lines, "ready").await;
    // Nobody may block the daemon by not reading what it says.
    #[expect(clippy::disallowed_methods, reason = "it ends with the daemon")]
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });

    let client = reqwest::Client::new();
    let issuer = rundown::auth::TokenIssuer::new(&crate::support::auth(), std::path::Path::new("/nonexistent")).expect("an issuer");
    let token = issuer
        .issue("River Bend:PB-01", rundown::clock::Clock::System.now(), Duration::from_hours(1))
        .expect("a token");
    let body = json!({ "table_id": house.table("BJ-01"), "drop_box_id": house.drop_box("BJ-01-A") });
    let created = client
        .post(format!("http://{api}/api/v1/table-context/sessions"))
        .bearer_auth(token)
        .header("idempotency-key", "k-1")
        .header("x-correlation-id", "till-7.observed")
        .json(&body);
    let created = created.send().await.expect("an answer");
    assert_eq!(created.status(), 201);
    let text = client
        .get(format!("http://{apart}/metrics"))
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("text");
    assert_eq!(
        value(&text, "rundown_commands_total", &["act=\"session.create\"", "outcome=\"done\""]),
        Some(1.0),
        "{text}"
    );
    let beside = client.get(format!("http://{api}/metrics")).send().await.expect("an answer");
    assert_eq!(beside.status(), 404, "not beside the API where it has a listener of its own");

    // The last spans go out when it stops, whatever the batch still waits for.
    let pid = Pid::from_raw(child.id().expect("running").try_into().expect("a pid"));
    kill(pid, Signal::SIGTERM).expect("asked");
    assert!(
        timeout(START_MAY_TAKE, child.wait())
            .await
            .expect("in time")
            .expect("waited for")
            .success()
    );
    std::fs::remove_dir_all(dir).ok();
    let spans = spans.lock().unwrap_or_else(PoisonError::into_inner);
    let has = |word: &str| spans.windows(word.len()).any(|bytes| bytes == word.as_bytes());
    for word in [
        "service.name",
        "rundown",
        "request",
        "command",
        "correlation_id",
        "till-7.observed",
        "session.create",
        "outcome",
        "done",
    ] {
        assert!(has(word), "{word} in {} bytes", spans.len());
    }
}
