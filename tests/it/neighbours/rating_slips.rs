//! One seat at one table: its clock, its bet, and where it goes from there.

use serde_json::json;

use super::{Floor, conflict, id, text};

#[tokio::test]
async fn minutes_played_leave_out_the_pauses() {
    let floor = Floor::in_play().await;
    let (_, visit) = floor.rated("P-1").await;
    let slip = floor.seated(&visit, "BJ-01").await;
    floor.pass(20);
    let paused = floor.change(&slip, json!({ "status": "paused" })).await;
    assert_eq!(
        (&paused.expect(200)["status"], &paused.body["minutes_played"]),
        (&json!("paused"), &json!(20))
    );
    floor.pass(40);
    let resumed = floor.change(&slip, json!({ "status": "open", "average_bet_cents": 2_500 })).await;
    assert_eq!(resumed.expect(200)["minutes_played"], 20);
    floor.pass(10);
    let seen = floor.boss.get(&format!("/api/v1/rating-slips/{slip}")).await;
    assert_eq!(
        (&seen.expect(200)["minutes_played"], &seen.body["average_bet_cents"]),
        (&json!(30), &json!(2_500))
    );
    let closed = floor.close_slip(&slip).await;
    assert_eq!(
        (&closed.expect(200)["played_seconds"], &closed.body["status"]),
        (&json!(1_800), &json!("closed"))
    );
    floor.close_slip(&slip).await.refused(409, "illegal_transition");
    floor
        .change(&slip, json!({ "average_bet_cents": 1 }))
        .await
        .refused(409, "conflict");
    let told = floor.told("rating_slip_id", &slip).await;
    assert_eq!(
        told,
        [
            "rating_slip.created",
            "rating_slip.updated",
            "rating_slip.updated",
            "rating_slip.closed"
        ]
    );
    let sums = "SELECT (payload->>'total_duration') || ' ' || (payload->>'average_bet') FROM outbox WHERE event = 'rating_slip.closed'";
    assert_eq!(floor.house.texts(sums).await, ["1800 2500"]);
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_told_to_nobody() {
    let floor = Floor::in_play().await;
    let (_, visit) = floor.rated("P-1").await;
    let slip = floor.seated(&visit, "BJ-01").await;
    let change = json!({ "average_bet_cents": 500, "seat": "3" });
    assert_eq!(floor.change(&slip, change.clone()).await.expect(200)["version"], 2);
    let again = floor.house.in_vain(floor.change(&slip, change)).await;
    assert_eq!(again.expect(200)["version"], 2);
    let refused = floor
        .house
        .in_vain(floor.change(&slip, json!({ "average_bet_cents": -1, "seat": " " })))
        .await;
    assert_eq!(refused.pointers(), ["/average_bet_cents", "/seat"]);
    floor
        .house
        .in_vain(floor.change(&slip, json!({ "status": "closed" })))
        .await
        .refused(422, "validation_failed");
}

#[tokio::test]
async fn nobody_is_rated_at_a_table_that_is_not_in_play() {
    let floor = Floor::in_play().await;
    let (_, visit) = floor.rated("P-1").await;
    conflict(&floor.house.in_vain(floor.seat(&visit, "BJ-03")).await, "table_not_in_play");
    floor
        .house
        .advance("PB-01", &floor.session, json!({ "to": "CLOSING" }))
        .await
        .expect(200);
    conflict(&floor.house.in_vain(floor.seat(&visit, "BJ-01")).await, "table_not_in_play");
    floor.seated(&visit, "BJ-02").await;
    conflict(&floor.house.in_vain(floor.seat(&visit, "BJ-02")).await, "rating_slip_open");
}

#[tokio::test]
async fn a_move_keeps_the_chain() {
    let floor = Floor::in_play().await;
    let (_, visit) = floor.rated("P-1").await;
    let first = floor.seated(&visit, "BJ-01").await;
    floor.change(&first, json!({ "average_bet_cents": 1_000 })).await.expect(200);
    floor.pass(25);
    let there = floor.house.table("BJ-02");
    conflict(
        &floor
            .house
            .in_vain(floor.change(&first, json!({ "table_id": floor.house.table("BJ-03") })))
            .await,
        "table_not_in_play",
    );
    conflict(
        &floor
            .house
            .in_vain(floor.change(&first, json!({ "table_id": floor.house.table("BJ-01") })))
            .await,
        "same_table",
    );
    let moved = floor.change(&first, json!({ "table_id": there })).await;
    let moved = moved.expect(200);
    let second = id(moved);
    assert_eq!(
        (&moved["previous_slip_id"], &moved["move_group_id"], &moved["status"]),
        (&json!(first), &json!(first), &json!("open"))
    );
    assert_eq!((&moved["average_bet_cents"], &moved["minutes_played"]), (&json!(1_000), &json!(0)));
    let left = floor.boss.get(&format!("/api/v1/rating-slips/{first}")).await;
    assert_eq!(
        (&left.expect(200)["status"], &left.body["minutes_played"]),
        (&json!("closed"), &json!(25))
    );
    assert_eq!(left.body["ended_at"], moved["started_at"]);
    let back = floor
        .change(&second, json!({ "table_id": floor.house.table("BJ-01"), "seat": "5" }))
        .await;
    assert_eq!(
        (text(back.expect(200), "previous_slip_id"), text(&back.body, "move_group_id")),
        (second, first)
    );
    let chain = floor.boss.get(&format!("/api/v1/rating-slips?visit_id={visit}")).await;
    assert_eq!(chain.expect(200)["items"].as_array().map(Vec::len), Some(3));
    let open = floor.boss.get(&format!("/api/v1/rating-slips?visit_id={visit}&status=open")).await;
    assert_eq!(open.expect(200)["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn another_casinos_visit_table_and_slip_are_not_found() {
    let floor = Floor::in_play().await;
    let (_, visit) = floor.rated("P-1").await;
    let slip = floor.seated(&visit, "BJ-01").await;
    let there = floor.house.other.tables["BJ-01"];
    let boss = &floor.boss;
    let stranger = floor.house.stranger("PB-01");
    let abroad = boss.post("/api/v1/rating-slips", json!({ "visit_id": visit, "table_id": there }));
    floor.house.in_vain(abroad).await.refused(404, "not_found");
    floor
        .house
        .in_vain(floor.change(&slip, json!({ "table_id": there })))
        .await
        .refused(404, "not_found");
    let (path, ending) = (format!("/api/v1/rating-slips/{slip}"), format!("/api/v1/rating-slips/{slip}/close"));
    let theirs = stranger.patch(&path, json!({ "average_bet_cents": 1 }));
    floor.house.in_vain(theirs).await.refused(404, "not_found");
    let closed = stranger.post(&ending, json!({}));
    floor.house.in_vain(closed).await.refused(404, "not_found");
    stranger.get(&path).await.refused(404, "not_found");
    let listed = stranger.get(&format!("/api/v1/rating-slips?visit_id={visit}")).await;
    assert_eq!(listed.expect(200)["items"], json!([]));
}
