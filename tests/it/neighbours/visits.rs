//! Who is in the house: known to it, or a ghost.

use reqwest::Method;
use serde_json::json;

use super::{Floor, conflict, text};

#[tokio::test]
async fn a_ghost_has_no_player_and_everybody_else_has_one() {
    let floor = Floor::in_play().await;
    let player = floor.player("P-1").await;
    let in_vain = |kind: &'static str, player: Option<String>| {
        let floor = &floor;
        async move { floor.house.in_vain(floor.start(kind, player.as_deref())).await }
    };
    for (kind, player) in [
        ("gaming_ghost_unrated", Some(player.clone())),
        ("reward_identified", None),
        ("gaming_identified_rated", None),
    ] {
        let reply = in_vain(kind, player).await;
        reply.refused(422, "validation_failed");
        assert_eq!(reply.pointers(), ["/player_id"], "{kind}");
    }
    let ghost = floor.visit("gaming_ghost_unrated", None).await;
    let known = floor.visit("reward_identified", Some(&player)).await;
    assert_eq!(floor.told("visit_id", &ghost).await, ["visit.created"], "nobody is checked in");
    assert_eq!(floor.told("visit_id", &known).await, ["visit.created", "visit.checked_in"]);
    // What the code believes, the schema says.
    let day = "'2026-03-06', '2026-03-06T21:00Z'";
    for (kind, player) in [
        ("gaming_ghost_unrated", format!("'{player}'")),
        ("reward_identified", "NULL".to_owned()),
    ] {
        let by_hand = format!(
            "INSERT INTO visit (id, casino_id, player_id, visit_kind, gaming_day, started_at, started_by)
             VALUES (gen_random_uuid(), '{}', {player}, '{kind}', {day}, '{}')",
            floor.house.home.casino,
            floor.house.staff("PB-01")
        );
        assert_eq!(super::money::refusal(&floor, &by_hand).await, "23514", "{kind}");
    }
}

#[tokio::test]
async fn a_reward_visit_becomes_a_rated_one_and_nothing_goes_back() {
    let floor = Floor::in_play().await;
    let player = floor.player("P-1").await;
    let visit = floor.visit("reward_identified", Some(&player)).await;
    conflict(&floor.seat(&visit, "BJ-01").await, "visit_not_gaming");
    let converted = floor.step_visit(&visit, "convert").await;
    assert_eq!(converted.expect(200)["visit_kind"], "gaming_identified_rated");
    assert_eq!(converted.header("etag"), Some("\"2\""));
    floor.seated(&visit, "BJ-01").await;
    floor.step_visit(&visit, "convert").await.refused(409, "illegal_transition");
    let ghost = floor.visit("gaming_ghost_unrated", None).await;
    floor.step_visit(&ghost, "convert").await.refused(409, "illegal_transition");
    assert_eq!(
        floor.told("visit_id", &visit).await[..3],
        ["visit.created", "visit.checked_in", "visit.converted"]
    );
    // Nor by hand.
    let back = format!(
        "UPDATE visit SET visit_kind = 'reward_identified', converted_at = NULL, converted_by = NULL, version = 3 WHERE id = '{visit}'"
    );
    assert_eq!(super::money::refusal(&floor, &back).await, "RD004");
}

#[tokio::test]
async fn a_visit_ends_when_nobody_of_it_is_rated_any_more() {
    let floor = Floor::in_play().await;
    let (_, visit) = floor.rated("P-1").await;
    let slip = floor.seated(&visit, "BJ-01").await;
    conflict(&floor.house.in_vain(floor.step_visit(&visit, "close")).await, "open_rating_slips");
    floor.pass(90);
    floor.close_slip(&slip).await.expect(200);
    let path = format!("/api/v1/visits/{visit}/close");
    let stale = [("if-match", "\"7\"")];
    floor
        .boss
        .send(Method::POST, &path, &stale, Some(json!({})))
        .await
        .refused(412, "version_mismatch");
    let ended = floor.step_visit(&visit, "close").await;
    assert_eq!(ended.expect(200)["ended_at"], "2026-03-06T22:30:00Z");
    assert_eq!(floor.told("visit_id", &visit).await[4..], ["visit.closed", "visit.checked_out"]);
    let minutes = floor
        .house
        .texts("SELECT payload->>'duration_minutes' FROM outbox WHERE event = 'visit.checked_out'")
        .await;
    assert_eq!(minutes, ["90"]);
    floor.step_visit(&visit, "close").await.refused(409, "illegal_transition");
    conflict(&floor.seat(&visit, "BJ-01").await, "visit_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_in_the_house_twice() {
    let floor = Floor::in_play().await;
    let player = floor.player("P-1").await;
    let (one, two) = tokio::join!(
        floor.start("reward_identified", Some(&player)),
        floor.start("gaming_identified_rated", Some(&player))
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    conflict(if one.status == 409 { &one } else { &two }, "visit_open");
    let first = if one.status == 201 { &one } else { &two };
    floor.step_visit(&text(&first.body, "id"), "close").await.expect(200);
    floor.start("gaming_identified_rated", Some(&player)).await.expect(201);
}
