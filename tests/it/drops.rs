//! Custody: what is written once, what is irregular and still never lost (domain §7).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{House, Reply, id, text, tray};

const MINUTE: u64 = 60;

async fn in_play(house: &House) -> String {
    house.open_table("BJ-01", "BJ-01-A", tray()).await
}

async fn schedule(house: &House, session: &str, at: &str) {
    let body = json!({ "to": "DROP_SCHEDULED", "drop_scheduled_for": at });
    house.advance("PB-01", session, body).await.expect(200);
}

fn pass(house: &House, minutes: u64) {
    house.clock.advance(Duration::from_secs(minutes * MINUTE));
}

async fn deliver(house: &House, drop: &str, body: Value) -> Reply {
    house.post("SC-01", &format!("drops/{drop}/delivery"), body).await
}

async fn receive(house: &House, drop: &str, seal: &str) -> Reply {
    house
        .post("CT-01", &format!("drops/{drop}/receipt"), json!({ "seal_no": seal }))
        .await
}

#[tokio::test]
async fn a_planned_removal_is_regular_within_the_window_and_irregular_beyond_it() {
    let house = House::open().await;
    for (table, minutes, expected) in [("BJ-01", 30, vec![]), ("BJ-02", 31, vec!["DROP_OUT_OF_SCHEDULE"])] {
        let session = house.open_table(table, &format!("{table}-A"), tray()).await;
        let now = house.clock.now();
        schedule(&house, &session, &now.to_rfc3339()).await;
        pass(&house, minutes);
        let removed = house
            .remove(&session, &format!("{table}-A"), Some(&format!("{table}-B")), "S1")
            .await;
        assert_eq!(removed.expect(201)["session"]["status"], "DROPPED");
        assert_eq!(house.categories(&session).await, expected, "{minutes} minutes late");
    }
}

#[tokio::test]
async fn a_removal_too_early_is_irregular_too() {
    let house = House::open().await;
    let session = in_play(&house).await;
    schedule(&house, &session, "2026-03-06T21:31:00Z").await;
    house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await.expect(201);
    assert_eq!(house.categories(&session).await, ["DROP_OUT_OF_SCHEDULE"]);
}

#[tokio::test]
async fn the_window_is_the_casinos() {
    let house = House::open().await;
    house.settle_policy(json!({ "drop_window_minutes": 5 })).await;
    let session = in_play(&house).await;
    schedule(&house, &session, "2026-03-06T21:00:00Z").await;
    pass(&house, 6);
    house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await.expect(201);
    assert_eq!(house.categories(&session).await, ["DROP_OUT_OF_SCHEDULE"]);
}

#[tokio::test]
async fn an_unplanned_removal_plans_itself_and_says_so() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let removed = house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let body = removed.expect(201);
    let taken: Vec<_> = body["taken"]
        .as_array()
        .expect("edges")
        .iter()
        .map(|edge| (text(edge, "from"), text(edge, "to"), text(edge, "trigger")))
        .collect();
    let edge = |from: &str, to: &str| (from.to_owned(), to.to_owned(), "auto".to_owned());
    assert_eq!(taken, [edge("OPEN", "DROP_SCHEDULED"), edge("DROP_SCHEDULED", "DROPPED")]);
    assert_eq!(
        (&body["drop"]["seq_no"], &body["drop"]["gaming_day"]),
        (&json!(1), &json!("2026-03-06"))
    );
    assert_eq!(
        body["session"]["drop_box_id"],
        json!(house.drop_box("BJ-01-B")),
        "the replacement stands there now"
    );
    assert!(!removed.text.contains("amount_cents"), "a custody fact is not a count");
    assert_eq!(house.categories(&session).await, ["DROP_OUT_OF_SCHEDULE"]);
}

#[tokio::test]
async fn a_second_removal_follows_the_count_of_the_first() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let first = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let counted = house
        .soft_count(&first, 5000, json!([{ "kind": "opener", "amount_cents": 200_000 }]))
        .await;
    assert_eq!(counted.expect(201)["session"]["status"], "COUNTED");
    // The box is free again, and comes back as the replacement.
    let second = house.remove(&session, "BJ-01-B", Some("BJ-01-A"), "S2").await;
    assert_eq!(
        (&second.expect(201)["drop"]["seq_no"], &second.body["session"]["status"]),
        (&json!(2), &json!("DROPPED"))
    );
    assert_eq!(
        second.body["session"]["drop_total_cents"],
        Value::Null,
        "null until every removed box is counted"
    );
    let second = id(&second.body["drop"]);
    house.bring(&second, "S2").await;
    let counted = house.soft_count(&second, 700, json!([])).await;
    assert_eq!(
        (
            &counted.expect(201)["session"]["status"],
            &counted.body["session"]["drop_total_cents"]
        ),
        (&json!("COUNTED"), &json!(5700))
    );
}

#[tokio::test]
async fn a_schedule_is_taken_back_until_something_is_removed() {
    let house = House::open().await;
    let session = in_play(&house).await;
    schedule(&house, &session, "2026-03-06T22:00:00Z").await;
    let body = json!({ "to": "OPEN" });
    let back = house.advance("PB-01", &session, body.clone()).await;
    assert_eq!(
        (&back.expect(200)["session"]["status"], &back.body["session"]["drop_scheduled_for"]),
        (&json!("OPEN"), &Value::Null)
    );
    schedule(&house, &session, "2026-03-06T22:00:00Z").await;
    // Not to a state it did not come from.
    house
        .in_vain(house.advance("PB-01", &session, json!({ "to": "COUNTED" })))
        .await
        .refused(409, "illegal_transition");
    // A slip not yet in the box holds the removal in DROP_SCHEDULED.
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "500": 1 })).await;
    house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await.expect(201);
    assert_eq!(house.status(&session).await, "DROP_SCHEDULED");
    let late = house.in_vain(house.advance("PB-01", &session, body)).await;
    late.refused(409, "gates_unmet");
    assert_eq!(late.gates(), ["nothing_removed_since"]);
    house
        .step_slip("PB-01", &slip, json!({ "to": "CANCELLED", "reason": "not needed" }))
        .await
        .expect(200);
    assert_eq!(house.status(&session).await, "DROPPED");
}

#[tokio::test]
async fn custody_is_written_once_and_the_same_again_changes_nothing() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let drop = id(&house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await.expect(201)["drop"]);
    pass(&house, 10);
    let at = json!({ "delivered_at": "2026-03-06T21:05:00Z", "delivered_scan_at": "2026-03-06T21:06:00Z" });
    let first = deliver(&house, &drop, at.clone()).await;
    assert_eq!(first.expect(200)["drop"]["delivered_by"], json!(house.staff("SC-01")));
    pass(&house, 10);
    let audited = house.count("audit_log").await;
    for same in [at, json!({})] {
        let again = deliver(&house, &drop, same).await;
        assert_eq!(again.expect(200)["drop"], first.body["drop"]);
    }
    for other in [
        json!({ "delivered_at": "2026-03-06T21:05:01Z" }),
        json!({ "delivered_scan_at": "2026-03-06T21:07:00Z" }),
    ] {
        assert_eq!(
            house.in_vain(deliver(&house, &drop, other)).await.refused(409, "conflict")["reason"],
            "already_delivered"
        );
    }
    let received = receive(&house, &drop, "S1").await;
    assert_eq!(received.expect(200)["drop"]["received_at"], "2026-03-06T21:20:00Z");
    pass(&house, 10);
    assert_eq!(receive(&house, &drop, "S1").await.expect(200)["drop"], received.body["drop"]);
    assert_eq!(
        house.in_vain(receive(&house, &drop, "S2")).await.refused(409, "conflict")["reason"],
        "already_received"
    );
    assert_eq!(house.count("audit_log").await, audited + 1, "a repetition leaves no second trace");
    assert_eq!(
        house.categories(&session).await,
        ["DROP_OUT_OF_SCHEDULE"],
        "a refused seal raises nothing"
    );
}

#[tokio::test]
async fn a_box_that_comes_late_raises_a_custody_gap_and_is_kept() {
    let house = House::open().await;
    for (table, minutes, gap) in [("BJ-01", 45, false), ("BJ-02", 46, true)] {
        let session = house.open_table(table, &format!("{table}-A"), tray()).await;
        schedule(&house, &session, &house.clock.now().to_rfc3339()).await;
        let removed = house
            .remove(&session, &format!("{table}-A"), Some(&format!("{table}-B")), "S1")
            .await;
        let drop = id(&removed.expect(201)["drop"]);
        pass(&house, minutes);
        deliver(&house, &drop, json!({})).await.expect(200);
        let raised = house.exceptions(&session).await;
        let about: Vec<_> = raised
            .iter()
            .map(|row| (text(row, "category"), text(row, "subject_kind"), text(row, "subject_id")))
            .collect();
        let expected = gap.then(|| ("CUSTODY_GAP".to_owned(), "drop".to_owned(), drop));
        assert_eq!(about, expected.into_iter().collect::<Vec<_>>(), "{minutes} minutes");
    }
}

#[tokio::test]
async fn another_seal_at_the_door_is_an_exception_and_the_box_is_received() {
    let house = House::open().await;
    let session = in_play(&house).await;
    schedule(&house, &session, "2026-03-06T21:00:00Z").await;
    let drop = id(&house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await.expect(201)["drop"]);
    deliver(&house, &drop, json!({})).await.expect(200);
    let received = receive(&house, &drop, "S-1").await;
    assert_eq!(received.expect(200)["drop"]["received_seal_no"], "S-1");
    let raised = house.exceptions(&session).await;
    assert_eq!(raised.len(), 1);
    assert_eq!(
        (&raised[0]["category"], &raised[0]["expected"], &raised[0]["found"]),
        (&json!("SEAL_MISMATCH"), &json!("S1"), &json!("S-1"))
    );
    house
        .soft_count(&drop, 0, json!([{ "kind": "opener", "amount_cents": 200_000 }]))
        .await
        .expect(201);
}

#[tokio::test]
async fn a_seal_is_a_text_of_bounded_length() {
    let house = House::open().await;
    let session = in_play(&house).await;
    for seal in ["", "  ", &"9".repeat(65)] {
        let reply = house.in_vain(house.remove(&session, "BJ-01-A", Some("BJ-01-B"), seal)).await;
        reply.refused(422, "validation_failed");
        assert_eq!(reply.pointers(), ["/seal_no"]);
    }
    // Blanks around it are no part of it.
    let drop = id(&house.remove(&session, "BJ-01-A", Some("BJ-01-B"), " S1 ").await.expect(201)["drop"]);
    deliver(&house, &drop, json!({})).await.expect(200);
    receive(&house, &drop, "S1 ").await.expect(200);
    assert_eq!(house.categories(&session).await, ["DROP_OUT_OF_SCHEDULE"]);
}

#[tokio::test]
async fn an_emergency_box_leaves_the_standing_one_and_is_never_out_of_schedule() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let body = json!({
        "drop_box_id": house.drop_box("EM-1"), "seal_no": "E1", "emergency": true, "witnessed_by": house.cosign("SC-02"), "note": "the slot jammed",
    });
    let removed = house.post("SC-01", &format!("sessions/{session}/drops"), body).await;
    let answer = removed.expect(201);
    assert_eq!(
        (&answer["drop"]["emergency"], &answer["drop"]["replacement_box_id"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(answer["session"]["drop_box_id"], json!(house.drop_box("BJ-01-A")));
    assert_eq!(answer["session"]["status"], "DROPPED");
    assert_eq!(house.categories(&session).await, Vec::<String>::new());
    // It is in custody until its count.
    let again = json!({ "drop_box_id": house.drop_box("EM-1"), "seal_no": "E2", "emergency": true, "witnessed_by": house.cosign("SC-02") });
    let reply = house
        .in_vain(house.post("SC-01", &format!("sessions/{session}/drops"), again))
        .await;
    assert_eq!(reply.refused(409, "conflict")["reason"], "box_elsewhere");
    let standard = json!({
        "drop_box_id": house.drop_box("BJ-01-A"), "replacement_box_id": house.drop_box("BJ-01-B"), "seal_no": "S1", "emergency": true,
        "witnessed_by": house.cosign("SC-02"),
    });
    let reply = house
        .in_vain(house.post("SC-01", &format!("sessions/{session}/drops"), standard))
        .await;
    reply.refused(422, "validation_failed");
    assert_eq!(reply.pointers(), ["/emergency"]);
}

#[tokio::test]
async fn a_box_that_goes_with_the_close_needs_no_schedule_and_no_replacement() {
    let house = House::open().await;
    let session = in_play(&house).await;
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    let removed = house.remove(&session, "BJ-01-A", None, "S1").await;
    assert_eq!(
        (&removed.expect(201)["session"]["status"], &removed.body["session"]["drop_box_id"]),
        (&json!("CLOSING"), &Value::Null)
    );
    assert_eq!(house.categories(&session).await, Vec::<String>::new());
    house.count_tray(&session, "close", tray()).await;
    assert_eq!(house.status(&session).await, "CLOSED");
    let drop = id(&removed.body["drop"]);
    house.bring(&drop, "S1").await;
    let counted = house
        .soft_count(&drop, 0, json!([{ "kind": "opener", "amount_cents": 200_000 }]))
        .await;
    assert_eq!(
        counted.expect(201)["session"]["status"],
        "RECONCILED",
        "an unused table's box is dropped and counted as 0"
    );
}

#[tokio::test]
async fn a_slip_in_flight_while_closing_still_needs_a_box() {
    let house = House::open().await;
    let session = in_play(&house).await;
    house.request_slip(&session, "fill", "f-1", json!({ "500": 1 })).await;
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    let reply = house.in_vain(house.remove(&session, "BJ-01-A", None, "S1")).await;
    reply.refused(422, "validation_failed");
    assert_eq!(reply.pointers(), ["/replacement_box_id"]);
    house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await.expect(201);
}

#[tokio::test]
async fn nothing_is_removed_before_the_table_plays() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    house.in_vain(house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1")).await;
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    let early = house.in_vain(house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1")).await;
    assert_eq!(early.refused(409, "conflict")["reason"], "wrong_state");
}

#[tokio::test]
async fn the_next_session_waits_until_the_last_ones_box_is_gone() {
    let house = House::open().await;
    let first = in_play(&house).await;
    house.advance("PB-01", &first, json!({ "to": "CLOSING" })).await.expect(200);
    house.count_tray(&first, "close", tray()).await;
    let second = house.create("BJ-01", "BJ-01-B").await;
    let early = house.in_vain(house.advance("PB-01", &second, json!({ "to": "OPENING" }))).await;
    early.refused(409, "gates_unmet");
    assert_eq!(early.gates(), ["drop_box_attached"]);
    house.remove(&first, "BJ-01-A", None, "S1").await.expect(201);
    house.advance("PB-01", &second, json!({ "to": "OPENING" })).await.expect(200);
}

#[tokio::test]
async fn the_cashier_receives_boxes_only_where_the_casino_says_so() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let drop = id(&house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await.expect(201)["drop"]);
    deliver(&house, &drop, json!({})).await.expect(200);
    let receipt = json!({ "seal_no": "S1" });
    house
        .in_vain(house.post("CG-01", &format!("drops/{drop}/receipt"), receipt.clone()))
        .await
        .refused(403, "forbidden");
    house.settle_policy(json!({ "cashier_receives_boxes": true })).await;
    house.post("CG-01", &format!("drops/{drop}/receipt"), receipt).await.expect(200);
}

#[tokio::test]
async fn removals_are_pending_until_counted() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let pending = |flag: bool| {
        let house = &house;
        async move {
            let reply = house.get("SC-01", &format!("drops?pending={flag}")).await;
            reply.expect(200)["items"]
                .as_array()
                .expect("a list")
                .iter()
                .map(id)
                .collect::<Vec<_>>()
        }
    };
    assert_eq!((pending(true).await, pending(false).await), (vec![drop.clone()], vec![]));
    house.soft_count(&drop, 0, json!([])).await.expect(201);
    assert_eq!((pending(true).await, pending(false).await), (vec![], vec![drop]));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_box_removed_twice_at_once_is_removed_once() {
    let house = std::sync::Arc::new(House::open().await);
    let session = in_play(&house).await;
    let mut calls = tokio::task::JoinSet::new();
    for seal in 0..6 {
        let (house, session) = (std::sync::Arc::clone(&house), session.clone());
        calls.spawn(async move { house.remove(&session, "BJ-01-A", Some("BJ-01-B"), &format!("S{seal}")).await.status });
    }
    let mut statuses = calls.join_all().await;
    statuses.sort_unstable();
    assert_eq!(
        (statuses, house.count("table_drop_event").await),
        (vec![201, 409, 409, 409, 409, 409], 1)
    );
}
