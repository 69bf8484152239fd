//! A session's whole way, through the API.

use serde_json::json;

use crate::support::House;

#[tokio::test]
async fn a_quiet_session_goes_from_ready_to_finalized() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", json!({ "10000": 20, "2500": 40 })).await;
    let fill = house.slip(&session, "fill", "f-1", json!({ "10000": 5 })).await;
    assert_eq!(fill["slip_no"], 1);
    let credit = house.slip(&session, "credit", "c-1", json!({ "2500": 10 })).await;
    assert_eq!(credit["slip_no"], 1);
    house
        .advance("PB-01", &session, json!({ "to": "DROP_SCHEDULED" }))
        .await
        .expect(200);
    let dropped = house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    assert_eq!(dropped.expect(201)["session"]["status"], "DROPPED");
    let drop = dropped.body["drop"]["id"].as_str().expect("an id").to_owned();
    house.bring(&drop, "S1").await;
    let papers = json!([
        { "kind": "fill_slip", "number": "1", "amount_cents": 50000 },
        { "kind": "credit_slip", "number": "1", "amount_cents": 25000 },
        { "kind": "opener", "amount_cents": 300_000 },
    ]);
    let counted = house.soft_count(&drop, 80_000, papers).await;
    assert_eq!(counted.expect(201)["session"]["status"], "COUNTED");
    assert_eq!(counted.body["exceptions"], json!([]));
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    let closed = house.count_tray(&session, "close", json!({ "10000": 25, "2500": 20 })).await;
    assert_eq!(closed["session"]["status"], "RECONCILED");
    let rundown = house
        .person("CO-01")
        .get(&format!("/api/v1/table-context/sessions/{session}/rundown"))
        .await;
    // 300,000 closing + 25,000 credits + 80,000 drop - 300,000 opening - 50,000 fills.
    assert_eq!(rundown.expect(200)["win_loss_stat_cents"], 55_000);
    assert_eq!(rundown.body["metric_grade"], "AUTHORITATIVE");
    let done = house.advance("CO-01", &session, json!({ "to": "FINALIZED" })).await;
    assert_eq!(done.expect(200)["session"]["status"], "FINALIZED");
}
