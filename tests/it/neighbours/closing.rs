//! A session and those who still play at its table: it does not close over them, a rollover hands them on, force leaves them behind.

use serde_json::json;

use super::{Floor, tray};

#[tokio::test]
async fn the_last_rating_slip_closed_closes_the_table_that_waited_for_it() {
    let floor = Floor::in_play().await;
    let (_, visit) = floor.rated("P-1").await;
    let (_, other) = floor.rated("P-2").await;
    let (slip, moving) = (floor.seated(&visit, "BJ-01").await, floor.seated(&other, "BJ-01").await);
    floor
        .house
        .advance("PB-01", &floor.session, json!({ "to": "CLOSING" }))
        .await
        .expect(200);
    let counted = floor.house.count_tray(&floor.session, "close", tray()).await;
    assert_eq!(counted["session"]["status"], "CLOSING");
    let early = floor.house.advance("PB-01", &floor.session, json!({ "to": "CLOSED" })).await;
    early.refused(409, "gates_unmet");
    assert_eq!(early.gates(), ["rating_slips_closed"]);
    assert!(early.text.contains(&slip) && early.text.contains(&moving), "{}", early.text);
    floor.change(&slip, json!({ "status": "paused" })).await.expect(200);
    floor.close_slip(&slip).await.expect(200);
    assert_eq!(
        floor.house.status(&floor.session).await,
        "CLOSING",
        "a second player is still rated"
    );
    floor
        .change(&moving, json!({ "table_id": floor.house.table("BJ-02") }))
        .await
        .expect(200);
    assert_eq!(floor.house.status(&floor.session).await, "CLOSED");
    assert_eq!(floor.house.status(&floor.beside).await, "OPEN");
    assert_eq!(floor.house.categories(&floor.session).await, Vec::<String>::new());
    let advanced = "SELECT payload->>'to' FROM outbox WHERE event = 'table.session_advanced' ORDER BY position DESC LIMIT 1";
    assert_eq!(floor.house.texts(advanced).await, ["CLOSED"]);
    let audited = format!(
        "SELECT domain || '.' || action FROM audit_log WHERE session_id = '{}' ORDER BY id DESC LIMIT 1",
        floor.session
    );
    assert_eq!(floor.house.texts(&audited).await, ["rating_slip.move"]);
}

#[tokio::test]
async fn force_leaves_rating_slips_behind_and_says_so() {
    let floor = Floor::in_play().await;
    let (_, visit) = floor.rated("P-1").await;
    let slip = floor.seated(&visit, "BJ-01").await;
    let force = json!({ "to": "CLOSED", "force": true, "note": "flood" });
    floor.house.advance("PB-01", &floor.session, force).await.expect(200);
    assert_eq!(
        floor.house.categories(&floor.session).await,
        ["MISSING_CLOSING_SNAPSHOT", "OPEN_RATING_SLIPS"]
    );
    // The next session of the table is not held up by them: they are not its own.
    floor
        .house
        .remove(&floor.session, "BJ-01-A", Some("BJ-01-B"), "S1")
        .await
        .expect(201);
    let next = floor.house.open_table("BJ-01", "BJ-01-B", tray()).await;
    floor.house.advance("PB-01", &next, json!({ "to": "CLOSING" })).await.expect(200);
    let counted = floor.house.count_tray(&next, "close", tray()).await;
    assert_eq!(counted["session"]["status"], "CLOSED");
    // Closed at last: the exception says that it is seen no longer, and waits for a person.
    floor.pass(1);
    floor.close_slip(&slip).await.expect(200);
    let rows = floor.house.exceptions(&floor.session).await;
    let row = rows
        .iter()
        .find(|row| row["category"] == "OPEN_RATING_SLIPS")
        .expect("the exception");
    assert_eq!((&row["status"], row["no_longer_observed_at"].is_null()), (&json!("OPEN"), false));
    assert_eq!(row["detail"]["rating_slips"][0]["id"], slip.as_str());
}

#[tokio::test]
async fn a_rollover_hands_those_who_play_to_the_next_session() {
    let floor = Floor::in_play().await;
    let (_, visit) = floor.rated("P-1").await;
    let slip = floor.seated(&visit, "BJ-01").await;
    floor
        .house
        .advance("PB-01", &floor.session, json!({ "to": "DROP_SCHEDULED" }))
        .await
        .expect(200);
    floor
        .house
        .remove(&floor.session, "BJ-01-A", Some("BJ-01-B"), "S1")
        .await
        .expect(201);
    floor.pass(1);
    let roll = json!({ "chipset": tray(), "cosign": floor.house.cosign("PB-02") });
    let rolled = floor
        .house
        .post("PB-01", &format!("sessions/{}/rollover", floor.session), roll)
        .await;
    let second = super::id(&rolled.expect(201)["opened"]);
    assert_eq!(floor.house.categories(&floor.session).await, Vec::<String>::new());
    floor.pass(1);
    floor.house.advance("PB-01", &second, json!({ "to": "CLOSING" })).await.expect(200);
    floor.house.count_tray(&second, "close", tray()).await;
    assert_eq!(floor.house.status(&second).await, "CLOSING", "they are the second session's now");
    floor.close_slip(&slip).await.expect(200);
    assert_eq!(floor.house.status(&second).await, "CLOSED");
}

/// Whoever comes first: either the slip is there and the table waits, or the table closes and nobody sits down.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_sits_down_at_a_table_while_it_closes() {
    for _ in 0..4 {
        let floor = Floor::in_play().await;
        let (_, visit) = floor.rated("P-1").await;
        let (seated, closing) = tokio::join!(
            floor.seat(&visit, "BJ-01"),
            floor.house.advance("PB-01", &floor.session, json!({ "to": "CLOSING" }))
        );
        closing.expect(200);
        let counted = floor.house.count_tray(&floor.session, "close", tray()).await;
        let expected = if seated.status == 201 { "CLOSING" } else { "CLOSED" };
        assert_eq!(counted["session"]["status"], expected, "{}", seated.text);
    }
}
