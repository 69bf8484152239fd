//! Points: a ledger and its sum.

use serde_json::{Value, json};

use super::{Floor, conflict, id, text};
use crate::support::Reply;

impl Floor {
    async fn book(&self, body: Value) -> Reply {
        self.boss.post("/api/v1/loyalty/ledger", body).await
    }

    async fn balance(&self, player: &str) -> i64 {
        let loyalty = self.boss.get(&format!("/api/v1/players/{player}/loyalty")).await;
        let ledger = loyalty.expect(200)["ledger"]["items"].as_array().expect("entries");
        let balance = loyalty.body["balance"].as_i64().expect("points");
        let sum: i64 = ledger.iter().map(|entry| entry["points"].as_i64().expect("points")).sum();
        assert_eq!(balance, sum, "the balance is the sum of the ledger");
        balance
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rating_slip_earns_its_session_end_points_once() {
    let floor = Floor::in_play().await;
    let (player, visit) = floor.rated("P-1").await;
    let slip = floor.seated(&visit, "BJ-01").await;
    let end = json!({ "player_id": player, "points": 120, "reason": "session_end", "rating_slip_id": slip });
    conflict(&floor.house.in_vain(floor.book(end.clone())).await, "rating_slip_open");
    floor.close_slip(&slip).await.expect(200);
    let (one, two) = tokio::join!(floor.book(end.clone()), floor.book(end.clone()));
    let (booked, refused) = if one.status == 201 { (&one, &two) } else { (&two, &one) };
    assert_eq!(
        (&booked.expect(201)["balance"], &booked.body["entry"]["visit_id"]),
        (&json!(120), &json!(visit))
    );
    conflict(refused, "already_accrued");
    assert_eq!(floor.balance(&player).await, 120);
    assert_eq!(
        floor.told("player_id", &player).await[2..],
        ["loyalty.ledger_appended", "loyalty.balance_updated"]
    );
    let told = "SELECT (payload->>'balance') || ' ' || (payload->>'balance_delta') FROM outbox WHERE event = 'loyalty.balance_updated'";
    assert_eq!(floor.house.texts(told).await, ["120 120"]);
    // The index has the last word.
    let by_hand = format!(
        "INSERT INTO loyalty_ledger (id, casino_id, player_id, points, reason, visit_id, rating_slip_id, created_by)
         VALUES (gen_random_uuid(), '{}', '{player}', 1, 'session_end', '{visit}', '{slip}', '{}')",
        floor.house.home.casino,
        floor.house.staff("PB-01")
    );
    assert_eq!(super::money::refusal(&floor, &by_hand).await, "23505");
}

#[tokio::test]
async fn a_ghost_collects_nothing() {
    let floor = Floor::in_play().await;
    let (player, visit) = floor.rated("P-1").await;
    let ghost = floor.visit("gaming_ghost_unrated", None).await;
    let slip = floor.seated(&ghost, "BJ-01").await;
    floor.close_slip(&slip).await.expect(200);
    for reason in ["session_end", "mid_session"] {
        let body = json!({ "player_id": player, "points": 5, "reason": reason, "rating_slip_id": slip });
        conflict(&floor.house.in_vain(floor.book(body)).await, "ghost_visit");
    }
    let other = json!({ "player_id": player, "points": 5, "reason": "session_end", "rating_slip_id": slip, "visit_id": visit });
    assert_eq!(floor.house.in_vain(floor.book(other)).await.pointers(), ["/visit_id"]);
    let by_hand = format!(
        "INSERT INTO loyalty_ledger (id, casino_id, player_id, points, reason, visit_id, rating_slip_id, created_by)
         VALUES (gen_random_uuid(), '{}', '{player}', 1, 'session_end', '{ghost}', '{slip}', '{}')",
        floor.house.home.casino,
        floor.house.staff("PB-01")
    );
    assert_eq!(super::money::refusal(&floor, &by_hand).await, "23503");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_balance_is_the_sum_of_the_ledger_whoever_books_at_once() {
    let floor = Floor::in_play().await;
    let player = floor.player("P-1").await;
    assert_eq!(floor.balance(&player).await, 0, "nothing booked is a known zero");
    let of = |points: i64, reason: &str| json!({ "player_id": player, "points": points, "reason": reason });
    let gifts = (1..=8).map(|points| floor.book(of(points, "promotion")));
    for reply in futures_join(gifts).await {
        reply.expect(201);
    }
    assert_eq!(floor.balance(&player).await, 36);
    let wrong = floor.book(of(10, "manual_adjustment")).await;
    let mut correction = of(-10, "correction");
    assert_eq!(
        floor.house.in_vain(floor.book(correction.clone())).await.pointers(),
        ["/corrects_id"]
    );
    correction["corrects_id"] = json!(text(&wrong.expect(201)["entry"], "id"));
    floor.book(correction).await.expect(201);
    assert_eq!(floor.balance(&player).await, 36);
    for flawed in [of(0, "promotion"), of(-1, "promotion"), of(20_000_000, "manual_adjustment")] {
        assert_eq!(floor.house.in_vain(floor.book(flawed)).await.pointers(), ["/points"]);
    }
    let without_slip = floor.house.in_vain(floor.book(of(1, "session_end"))).await;
    assert_eq!(without_slip.pointers(), ["/rating_slip_id"]);
}

async fn futures_join<F: Future<Output = Reply>>(calls: impl Iterator<Item = F>) -> Vec<Reply> {
    let mut pending: Vec<_> = calls.map(Box::pin).collect();
    let mut replies: Vec<Option<Reply>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (call, reply) in pending.iter_mut().zip(&mut replies) {
            if reply.is_none()
                && let std::task::Poll::Ready(done) = call.as_mut().poll(cx)
            {
                *reply = Some(done);
            }
        }
        if replies.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    replies.into_iter().flatten().collect()
}

#[tokio::test]
async fn who_takes_no_part_is_rated_and_collects_nothing() {
    let floor = Floor::in_play().await;
    let shadow = json!({ "player_no": "P-9", "name": "Sorrel", "loyalty_opt_out": true });
    let player = id(floor.boss.post("/api/v1/players", shadow).await.expect(201));
    let visit = floor.visit("gaming_identified_rated", Some(&player)).await;
    floor.seated(&visit, "BJ-01").await;
    let gift = json!({ "player_id": player, "points": 5, "reason": "promotion" });
    conflict(&floor.house.in_vain(floor.book(gift)).await, "loyalty_opted_out");
}

#[tokio::test]
async fn another_casinos_player_is_not_found() {
    let floor = Floor::in_play().await;
    let player = floor.player("P-1").await;
    let stranger = floor.house.stranger("PB-01");
    let gift = json!({ "player_id": player, "points": 5, "reason": "promotion" });
    floor
        .house
        .in_vain(stranger.post("/api/v1/loyalty/ledger", gift))
        .await
        .refused(404, "not_found");
    let money = json!({ "player_id": player, "direction": "in", "amount_cents": 5 });
    floor
        .house
        .in_vain(stranger.post("/api/v1/financial-transactions", money))
        .await
        .refused(404, "not_found");
    let visit = json!({ "visit_kind": "reward_identified", "player_id": player });
    floor
        .house
        .in_vain(stranger.post("/api/v1/visits", visit))
        .await
        .refused(404, "not_found");
    // The number is the casino's own: both may have a player of it.
    stranger
        .post("/api/v1/players", json!({ "player_no": "P-1", "name": "Yarrow" }))
        .await
        .expect(201);
    let twice = floor.boss.post("/api/v1/players", json!({ "player_no": "P-1", "name": "Yarrow" }));
    conflict(&floor.house.in_vain(twice).await, "player_no_taken");
}
