//! Clients that hang up in the middle of commands (transact-rs/sqlx #4385): sqlx leaves a transaction open on its pooled connection when
//! a future is dropped inside BEGIN, and hyper drops a request's future when its client goes. The daemon runs every handler to its end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::schema::ask;
use crate::support::{House, below, tray};

const CALLERS: usize = 32;
const CALLS_EACH: usize = 16;

/// What is open in this database, but for who asks.
const OPEN: &str = "
    SELECT COALESCE(jsonb_agg(jsonb_build_object('state', state, 'query', left(query, 80), 'since', now() - xact_start)), '[]') AS json
      FROM pg_stat_activity WHERE datname = current_database() AND usename = 'rundown_app' AND state <> 'idle'";

/// Much shorter than the server's own `idle_in_transaction_session_timeout`, which would tidy up after a leak and hide it.
const MUST_BE_QUIET_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_hangs_up_leaves_no_transaction_open() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let address = house.url.strip_prefix("http://").expect("plain HTTP").to_owned();
    let requests = [
        request(
            &house,
            "PB-01",
            &format!("sessions/{session}/transitions"),
            &json!({ "to": "DROP_SCHEDULED" }),
        ),
        request(
            &house,
            "PB-01",
            &format!("sessions/{session}/transitions"),
            &json!({ "to": "OPEN" }),
        ),
        request(
            &house,
            "PB-02",
            &format!("sessions/{session}/exceptions"),
            &json!({ "category": "MANUAL", "detail": "hung up" }),
        ),
        request(
            &house,
            "PB-02",
            &format!("sessions/{session}/snapshots"),
            &json!({ "kind": "rundown", "chipset": tray() }),
        ),
    ];
    let callers: JoinSet<()> = (0..CALLERS)
        .map(|caller| hang_up(address.clone(), requests.clone(), caller))
        .collect();
    callers.join_all().await;

    // Every handler that began ends: the one task left is the listener's own.
    let deadline = Instant::now() + Duration::from_mins(1);
    while house.tasks.len() > 1 {
        assert!(Instant::now() < deadline, "{} handlers never ended", house.tasks.len() - 1);
        tokio::task::yield_now().await;
    }
    let owner = house.cluster.owner().await;
    let deadline = Instant::now() + MUST_BE_QUIET_WITHIN;
    loop {
        let open = ask(&owner, OPEN, []).await;
        if open == json!([]) {
            break;
        }
        assert!(Instant::now() < deadline, "left open: {open:#}");
    }
    let raised = house.exceptions(&session).await.len();
    assert!(raised > 0, "the calls reached the daemon, or the test proves nothing");

    // The session's lock is free, and so is every connection of the pool.
    let to = if house.status(&session).await == "OPEN" {
        "DROP_SCHEDULED"
    } else {
        "OPEN"
    };
    house.advance("PB-01", &session, json!({ "to": to })).await.expect(200);
    let reads: JoinSet<u16> = (0..CALLERS)
        .map(|_| status_of(house.person("PB-01"), below(&format!("sessions/{session}"))))
        .collect();
    assert_eq!(reads.join_all().await, vec![200; CALLERS]);
}

async fn status_of(person: crate::support::Person, path: String) -> u16 {
    person.get(&path).await.status
}

/// A whole request as bytes, but for its key.
fn request(house: &House, by: &str, path: &str, body: &Value) -> String {
    let (token, body) = (house.token(&format!("{}:{by}", house.home.name)), body.to_string());
    format!(
        "POST {} HTTP/1.1\r\nhost: rundown\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nidempotency-key: KEY\r\n\r\n{body}",
        below(path),
        body.len()
    )
}

/// Sends and goes away, again and again: at once, or after giving the daemon a few turns to get on with it.
async fn hang_up(address: String, requests: [String; 4], caller: usize) {
    for call in 0..CALLS_EACH {
        let mut stream = TcpStream::connect(&address).await.expect("a connection");
        let request = requests[(caller + call) % requests.len()].replace("KEY", &format!("hung-up-{caller}-{call}"));
        stream.write_all(request.as_bytes()).await.expect("sent");
        for _ in 0..(call * call) {
            tokio::task::yield_now().await;
        }
        drop(stream);
    }
}
