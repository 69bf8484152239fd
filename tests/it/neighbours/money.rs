//! A player's money: entered once, whoever asks again and whenever; set right by rows that point back.

use rundown::clock::new_id;
use sea_orm::{ConnectionTrait, DbErr, RuntimeErr, TransactionTrait as _};
use serde_json::{Value, json};

use super::{Floor, conflict, id};
use crate::support::Reply;

/// The SQLSTATE with which Postgres refuses a statement of the application role, in the casino's and PB-01's name. Nothing is kept.
pub(super) async fn refusal(floor: &Floor, sql: &str) -> String {
    let app = floor.house.cluster.app().await;
    #[expect(clippy::disallowed_methods, reason = "the test goes around the daemon on purpose")]
    let tx = app.begin().await.expect("a transaction");
    let context = format!(
        "SELECT set_config('app.casino_id', '{}', true), set_config('app.actor_id', '{}', true)",
        floor.house.home.casino,
        floor.house.staff("PB-01")
    );
    tx.execute_unprepared(&context).await.expect("a context");
    let refused = tx.execute_unprepared(sql).await.expect_err("refused");
    let (DbErr::Exec(RuntimeErr::SqlxError(source)) | DbErr::Query(RuntimeErr::SqlxError(source))) = &refused else {
        panic!("no error of the database: {refused}")
    };
    source
        .as_database_error()
        .and_then(sea_orm::sqlx::error::DatabaseError::code)
        .expect("a code")
        .into_owned()
}

impl Floor {
    async fn pay(&self, body: Value) -> Reply {
        self.house.person("CG-01").post("/api/v1/financial-transactions", body).await
    }

    async fn net(&self, player: &str) -> i64 {
        let sum = format!("SELECT sum(amount_cents)::text FROM player_financial_transaction WHERE player_id = '{player}'");
        self.house.texts(&sum).await[0].parse().expect("cents")
    }
}

#[tokio::test]
async fn a_transaction_names_its_day_and_tells_cents() {
    let floor = Floor::in_play().await;
    let (player, visit) = floor.rated("P-1").await;
    let slip = floor.seated(&visit, "BJ-01").await;
    let body = json!({
        "player_id": player, "rating_slip_id": slip, "direction": "in", "amount_cents": 50_000, "tender_type": "cash",
    });
    let paid = floor.pay(body).await;
    let paid = paid.expect(201);
    assert_eq!(
        (&paid["visit_id"], &paid["gaming_day"], &paid["kind"]),
        (&json!(visit), &json!("2026-03-06"), &json!("normal"))
    );
    assert_eq!(paid["created_by_staff_id"], json!(floor.house.staff("CG-01")));
    let told = "SELECT (payload->>'amount') || ' ' || (payload->>'gaming_day') FROM outbox WHERE event = 'finance.transaction_created'";
    assert_eq!(floor.house.texts(told).await, ["50000 2026-03-06"]);
    let out = json!({ "player_id": player, "direction": "out", "amount_cents": 100, "tender_type": "chips" });
    floor.pay(out).await.expect(201);
    let listed = floor
        .boss
        .get(&format!("/api/v1/financial-transactions?rating_slip_id={slip}"))
        .await;
    assert_eq!(listed.expect(200)["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_one_transaction_for_ever() {
    let floor = Floor::in_play().await;
    let player = floor.player("P-1").await;
    let body = json!({ "player_id": player, "direction": "in", "amount_cents": 700, "idempotency_key": "till-7" });
    let (one, two) = tokio::join!(floor.pay(body.clone()), floor.pay(body.clone()));
    assert_eq!(id(one.expect(201)), id(two.expect(201)), "two callers, one row");
    assert_eq!(floor.house.count("player_financial_transaction").await, 1);
    // A day later the daemon has forgotten the request's own key; the row has not.
    floor.pass(60 * 30);
    floor.house.texts("DELETE FROM idempotency_key RETURNING key").await;
    let again = floor.pay(body.clone()).await;
    assert_eq!(
        (id(again.expect(201)), again.header("idempotent-replayed")),
        (id(&one.body), Some("true"))
    );
    let mut other = body;
    other["amount_cents"] = json!(701);
    floor.house.in_vain(floor.pay(other)).await.refused(422, "idempotency_conflict");
    assert_eq!(
        floor
            .house
            .texts("SELECT event FROM outbox WHERE event = 'finance.transaction_created'")
            .await
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_wrong_is_set_right_by_rows_that_point_back() {
    let floor = Floor::in_play().await;
    let (player, visit) = floor.rated("P-1").await;
    let slip = floor.seated(&visit, "BJ-01").await;
    let body = json!({ "player_id": player, "rating_slip_id": slip, "direction": "in", "amount_cents": 10_000 });
    let first = id(floor.pay(body).await.expect(201));
    let adjust = |cents: i64| json!({ "kind": "adjustment", "corrects_id": first, "amount_cents": cents });
    let refused = floor.house.in_vain(floor.pay(adjust(-10_001))).await;
    assert_eq!(refused.pointers(), ["/amount_cents"]);
    let less = floor.pay(adjust(-4_000)).await;
    let less = less.expect(201);
    assert_eq!(
        (&less["rating_slip_id"], &less["direction"], &less["amount_cents"]),
        (&json!(slip), &json!("in"), &json!(-4_000))
    );
    conflict(
        &floor.pay(json!({ "kind": "reversal", "corrects_id": id(less) })).await,
        "not_correctable",
    );
    let reverse = json!({ "kind": "reversal", "corrects_id": first });
    let (one, two) = tokio::join!(floor.pay(reverse.clone()), floor.pay(reverse.clone()));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "taken back once: {} {}", one.text, two.text);
    assert_eq!(floor.net(&player).await, 0);
    conflict(&floor.pay(adjust(1)).await, "already_reversed");
    floor
        .house
        .in_vain(floor.pay(json!({ "kind": "reversal", "corrects_id": new_id() })))
        .await
        .refused(404, "not_found");
    let nothing = floor.house.in_vain(floor.pay(json!({ "kind": "reversal" }))).await;
    assert_eq!(nothing.pointers(), ["/corrects_id"]);
}

#[tokio::test]
async fn money_follows_its_own_visit_and_slip() {
    let floor = Floor::in_play().await;
    let (player, visit) = floor.rated("P-1").await;
    let (_, foreign_visit) = floor.rated("P-2").await;
    let foreign_slip = floor.seated(&foreign_visit, "BJ-01").await;
    let ghost = floor.visit("gaming_ghost_unrated", None).await;
    let ghost_slip = floor.seated(&ghost, "BJ-01").await;
    let of = |more: Value| {
        let mut body = json!({ "player_id": player, "direction": "in", "amount_cents": 100 });
        body.as_object_mut()
            .expect("a body")
            .extend(more.as_object().expect("members").clone());
        body
    };
    for wrong in [
        json!({ "visit_id": foreign_visit }),
        json!({ "visit_id": visit, "rating_slip_id": foreign_slip }),
    ] {
        let refused = floor.house.in_vain(floor.pay(of(wrong))).await;
        refused.refused(422, "validation_failed");
        assert_eq!(refused.pointers(), ["/visit_id"]);
    }
    for unseen in [json!({ "visit_id": ghost }), json!({ "rating_slip_id": ghost_slip })] {
        conflict(&floor.house.in_vain(floor.pay(of(unseen))).await, "ghost_visit");
    }
    let empty = floor.house.in_vain(floor.pay(json!({}))).await;
    assert_eq!(empty.pointers(), ["/amount_cents", "/player_id", "/direction"]);
    // A row that says otherwise is refused whole, whoever writes it.
    let by_hand = |visit: &str, slip: &str| {
        format!(
            "INSERT INTO player_financial_transaction
                (id, casino_id, player_id, visit_id, rating_slip_id, direction, amount_cents, gaming_day, occurred_at, idempotency_key, created_by_staff_id)
             VALUES (gen_random_uuid(), '{}', '{player}', '{visit}', '{slip}', 'in', 100, '2026-03-06', '2026-03-06T21:00Z', 'k', '{}')",
            floor.house.home.casino,
            floor.house.staff("PB-01")
        )
    };
    assert_eq!(refusal(&floor, &by_hand(&visit, &foreign_slip)).await, "23503");
    assert_eq!(refusal(&floor, &by_hand(&ghost, &ghost_slip)).await, "23503");
}
