//! A database that goes away, in the middle of a command or altogether.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Call;
use crate::support::{Cut, House, Wire, tray};

/// The wire is cut at every round trip of a command, before Postgres hears and after: the client is told to come back, nothing is half
/// done, and the same key then gives the effect, once.
#[tokio::test]
async fn a_command_cut_off_anywhere_can_be_sent_again() {
    let wire = Wire::lay();
    let house = House::open_over(|url| wire.lead(&url)).await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let mut expected = house.count("table_inventory_snapshot").await;
    let body = json!({ "kind": "rundown", "chipset": tray(), "cosign": house.cosign("DL-01") });
    let cuts = (1..=4).flat_map(|trip| [Cut::Before(trip), Cut::After(trip)]);
    for cut in cuts {
        let send = || {
            Call::new(&house, "PB-01", format!("sessions/{session}/snapshots"), &body)
                .keyed(&format!("{cut:?}"))
                .make()
        };
        wire.when_quiet().await;
        wire.cut(cut);
        let reply = send().await;
        assert!(wire.is_cut(), "{cut:?}");
        reply.refused(503, "unavailable");
        assert!(
            reply
                .header("retry-after")
                .is_some_and(|seconds| seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0)),
            "{cut:?}"
        );
        let done = matches!(cut, Cut::After(4));
        assert_eq!(
            house.count("table_inventory_snapshot").await,
            expected + i64::from(done),
            "{cut:?}: nothing is half done"
        );
        let again = send().await;
        again.expect(201);
        assert_eq!(again.header("idempotent-replayed").is_some(), done, "{cut:?}");
        expected += 1;
        assert_eq!(house.count("table_inventory_snapshot").await, expected, "{cut:?}");
    }
    assert_eq!(
        house.count("audit_log").await,
        3 + 8,
        "create, opening, opener, and each of the eight once"
    );
}

#[tokio::test]
async fn without_a_database_the_daemon_says_so_and_comes_back_with_it() {
    let wire = Wire::lay();
    let house = House::open_over(|url| wire.lead(&url)).await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    wire.kill(true);
    let away = [
        house.advance("PB-01", &session, json!({ "to": "OPENING" })).await,
        house.get("PB-01", &format!("sessions/{session}")).await,
        house.get("PB-01", "sessions").await,
        house
            .person("AD-01")
            .patch("/api/v1/casino", json!({ "par_tolerance_cents": 5 }))
            .await,
        house.bearer(None).get("/readyz").await,
    ];
    for reply in away {
        reply.refused(503, "unavailable");
        assert_eq!(reply.header("retry-after"), Some("1"));
        let told = reply.text.to_ascii_lowercase();
        assert!(
            ["sqlx", "postgres", "socket", "os error"]
                .iter()
                .all(|inside| !told.contains(inside)),
            "database text is nobody's business: {told}"
        );
    }
    house.bearer(None).get("/healthz").await.expect(200);

    wire.kill(false);
    // Connections that died in the pool may each cost one more answer; a client does as it is told and asks again.
    let deadline = Instant::now() + Duration::from_secs(10);
    let moved = loop {
        let reply = Call::new(
            &house,
            "PB-01",
            format!("sessions/{session}/transitions"),
            &json!({ "to": "OPENING" }),
        )
        .keyed("the-opening")
        .make()
        .await;
        if reply.status != 503 {
            break reply;
        }
        assert!(Instant::now() < deadline, "{}", reply.text);
    };
    assert_eq!(moved.expect(200)["session"]["status"], "OPENING");
    assert_eq!(house.count("audit_log").await, 2);
}

/// Five seconds are waited for a connection, and once: whoever has waited for one in company does not wait again alone.
#[tokio::test]
async fn a_command_waits_once_for_a_connection_that_is_not_to_be_had() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    // Only who has asked before goes in company.
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    let mut held = Vec::new();
    while let Ok(Ok(tx)) = tokio::time::timeout(Duration::from_millis(500), house.db.begin()).await {
        held.push(tx);
    }
    let asked = Instant::now();
    house
        .advance("PB-01", &session, json!({ "to": "OPEN" }))
        .await
        .refused(503, "unavailable");
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    drop(held);
    house.get("PB-01", &format!("sessions/{session}")).await.expect(200);
}
