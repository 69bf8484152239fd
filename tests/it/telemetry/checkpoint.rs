//! Checkpoints: figures kept as they stood, and what has become of them.

use std::time::Duration;

use rundown::clock::new_id;
use serde_json::{Value, json};

use super::grind;
use crate::support::{House, id, tray};

async fn delta(house: &House, checkpoint: &str) -> Value {
    house
        .get("PB-01", &format!("checkpoints/{checkpoint}/delta"))
        .await
        .expect(200)
        .clone()
}

#[tokio::test]
async fn a_checkpoint_is_compared_with_what_has_become_of_it() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    house.clock.advance(Duration::from_mins(10));
    house
        .post("PB-01", "buyin-telemetry", grind(&house, "BJ-01", 2_000, "k-1"))
        .await
        .expect(201);
    let taken = house
        .post("PB-01", "checkpoints", json!({ "note": "before the break" }))
        .await
        .expect(201)
        .clone();
    assert_eq!(
        (&taken["gaming_day"], &taken["shift_id"]),
        (&json!("2026-03-06"), &Value::Null),
        "no shift runs: the day"
    );
    assert_eq!(taken["casino"]["estimated_drop_grind_cents"], 2_000);

    house.clock.advance(Duration::from_mins(10));
    house
        .post("PB-01", "buyin-telemetry", grind(&house, "BJ-01", 3_500, "k-2"))
        .await
        .expect(201);
    house.slip(&session, "fill", "f-1", json!({ "10000": 5 })).await;
    let since = delta(&house, &id(&taken)).await;
    let casino = &since["casino"];
    // 55.00 − 20.00, and 500.00 filled.
    assert_eq!(
        casino["figures"]["estimated_drop_grind_cents"],
        json!({ "was": 2_000, "now": 5_500, "change": 3_500 })
    );
    assert_eq!(
        casino["figures"]["fills_total_cents"],
        json!({ "was": 0, "now": 50_000, "change": 50_000 })
    );
    let table = since["tables"]
        .as_array()
        .expect("tables")
        .iter()
        .find(|table| table["table"] == "BJ-01")
        .expect("BJ-01");
    assert_eq!(table["figures"]["estimated_drop_total_cents"]["change"], 3_500);
    assert_eq!(since["pits"][0]["pit"], "Pit 1");
    assert_eq!(since["checkpoint"]["note"], "before the break", "kept as it was taken");
}

#[tokio::test]
async fn what_is_not_known_on_one_side_has_no_change_and_is_named() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let taken = id(house.post("PB-01", "checkpoints", json!({})).await.expect(201));
    house.clock.advance(Duration::from_mins(10));
    let count = json!({ "kind": "rundown", "chipset": { "10000": 19 }, "cosign": house.cosign("DL-01") });
    house
        .post("PB-01", &format!("sessions/{session}/snapshots"), count)
        .await
        .expect(201);
    let casino = delta(&house, &taken).await["casino"].clone();
    assert_eq!(
        casino["figures"]["closing_total_cents"],
        json!({ "was": null, "now": 190_000, "change": null })
    );
    let missing: Vec<&str> = casino["missing"]
        .as_array()
        .expect("names")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        missing.contains(&"was.closing_total_cents") && !missing.contains(&"now.closing_total_cents"),
        "{missing:?}"
    );
    assert!(
        missing.contains(&"was.win_loss_stat_cents") && missing.contains(&"now.win_loss_stat_cents"),
        "{missing:?}"
    );
}

#[tokio::test]
async fn a_checkpoint_names_one_window_of_this_casino() {
    let house = House::open().await;
    let hours = json!({ "window_start": "2026-03-06T12:00:00Z", "window_end": "2026-03-06T20:00:00Z" });
    let taken = house.post("PB-01", "checkpoints", hours).await.expect(201).clone();
    assert_eq!(
        (&taken["window_end"], &taken["gaming_day"]),
        (&json!("2026-03-06T20:00:00Z"), &Value::Null)
    );
    delta(&house, &id(&taken)).await;
    let both = json!({ "gaming_day": "2026-03-06", "window_start": "2026-03-06T12:00:00Z" });
    let refused = house.in_vain(house.post("PB-01", "checkpoints", both)).await;
    assert!(
        refused.refused(400, "malformed_request")["detail"]
            .to_string()
            .contains("body: one of")
    );
    house
        .in_vain(house.post("PB-01", "checkpoints", json!({ "shift_id": new_id() })))
        .await
        .refused(404, "not_found");
    let listed = house.get("PB-01", "checkpoints").await.expect(200)["items"].clone();
    assert_eq!(listed, json!([taken]));
    assert_eq!(
        house.stranger("PB-01").get(&crate::support::below("checkpoints")).await.expect(200)["items"],
        json!([])
    );
}
