//! Late rows: stored and flagged, told once, and what was signed stands.

use std::time::Duration;

use serde_json::json;

use super::{Seated, grind, seat};
use crate::support::{House, id, tray};

/// BJ-01 was in play with a rated player, and its session is FINALIZED.
async fn finalized() -> (Seated, String) {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let floor = seat(house, "BJ-01").await;
    let house = &floor.house;
    let close = format!("/api/v1/rating-slips/{}/close", floor.slip);
    house.person("PB-01").post(&close, json!({})).await.expect(200);
    house
        .advance("PB-01", &session, json!({ "to": "DROP_SCHEDULED" }))
        .await
        .expect(200);
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let papers = json!([{ "kind": "opener", "amount_cents": 200_000 }]);
    house.soft_count(&drop, 10_000, papers).await.expect(201);
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    house.count_tray(&session, "close", tray()).await;
    house.advance("CO-01", &session, json!({ "to": "FINALIZED" })).await.expect(200);
    house.clock.advance(Duration::from_hours(1));
    (floor, session)
}

fn entry(floor: &Seated, key: &str) -> serde_json::Value {
    let mut entry = grind(&floor.house, "BJ-01", 2_000, key);
    entry["occurred_at"] = json!("2026-03-06T21:00:00Z");
    entry
}

#[tokio::test]
async fn a_late_entry_is_kept_flagged_and_told_and_the_report_stands() {
    let (floor, session) = finalized().await;
    let house = &floor.house;
    let report = format!("sessions/{session}/rundown");
    let signed = house.get("CO-01", &report).await.expect(200)["win_loss_stat_cents"].clone();
    let row = house
        .post("PB-01", "buyin-telemetry", entry(&floor, "k-1"))
        .await
        .expect(201)
        .clone();
    assert_eq!(row["is_late"], true);
    let exceptions = house.exceptions(&session).await;
    let said: Vec<_> = exceptions
        .iter()
        .map(|row| (&row["category"], &row["status"], &row["detected_by"]))
        .collect();
    assert_eq!(said, [(&json!("LATE_EVENT"), &json!("OPEN"), &json!(house.staff("PB-01")))]);
    assert_eq!(exceptions[0]["found"][0]["fact"], format!("buy-in {}", id(&row)));
    let told = house
        .texts("SELECT payload->>'exception_id' FROM outbox WHERE event = 'table.exception_raised'")
        .await;
    assert_eq!(told, [id(&exceptions[0])]);
    assert_eq!(house.status(&session).await, "FINALIZED", "nothing un-finalizes");
    let after = house.get("CO-01", &report).await.expect(200).clone();
    assert_eq!((&after["win_loss_stat_cents"], &after["has_late_events"]), (&signed, &json!(true)));
    let marks = house.texts("SELECT count(*)::text FROM rollup_mark WHERE table_id = (SELECT id FROM gaming_table WHERE label = 'BJ-01' AND casino_id = (SELECT id FROM casino WHERE name = 'River Bend'))").await;
    assert_ne!(marks, ["0"], "the cells count late sessions");
}

#[tokio::test]
async fn what_comes_later_still_joins_the_exception_nobody_has_judged() {
    let (floor, session) = finalized().await;
    let house = &floor.house;
    let before = house.count("outbox").await;
    for key in ["k-1", "k-2"] {
        house.post("PB-01", "buyin-telemetry", entry(&floor, key)).await.expect(201);
    }
    let exceptions = house.exceptions(&session).await;
    assert_eq!((exceptions.len(), exceptions[0]["found"].as_array().map(Vec::len)), (1, Some(2)));
    assert_eq!(house.count("outbox").await, before + 3, "two buy-ins and one exception are told");
    // Compliance, who had no part in it, may judge it; what comes after that is a new finding.
    let resolve = format!("exceptions/{}/resolve", id(&exceptions[0]));
    let body = json!({ "reason_code": "LATE_PAPERWORK_FOUND", "resolution_note": "the clerk's pad was found" });
    house.post("CO-01", &resolve, body).await.expect(200);
    house.post("PB-01", "buyin-telemetry", entry(&floor, "k-3")).await.expect(201);
    assert_eq!(house.exceptions(&session).await.len(), 2);
}

#[tokio::test]
async fn finance_may_be_late_too() {
    let (floor, session) = finalized().await;
    let paid = json!({
        "player_id": floor.player, "visit_id": floor.visit, "rating_slip_id": floor.slip, "direction": "in", "amount_cents": 5_000,
        "occurred_at": "2026-03-06T21:00:00Z",
    });
    let paid = id(floor.pay(paid).await.expect(201));
    assert_eq!(floor.of_transaction(&paid).await[0]["is_late"], true);
    assert_eq!(floor.house.categories(&session).await, ["LATE_EVENT"]);
}

#[tokio::test]
async fn an_entry_for_the_next_session_is_not_late() {
    let (floor, session) = finalized().await;
    let house = &floor.house;
    house.open_table("BJ-01", "BJ-01-B", tray()).await;
    let row = house
        .post("PB-01", "buyin-telemetry", grind(house, "BJ-01", 2_000, "k-1"))
        .await
        .expect(201)
        .clone();
    assert_eq!(row["is_late"], false);
    assert_eq!(house.categories(&session).await, Vec::<String>::new());
}
