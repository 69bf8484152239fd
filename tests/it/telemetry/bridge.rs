//! The bridge: one row a transaction, and each guardrail seen to hold. The owner is not fenced, so what stops it is the guardrail alone.

use rundown::clock::new_id;
use sea_orm::ConnectionTrait as _;
use serde_json::json;

use super::{Seated, as_found, begin, refusal, seated, standing};
use crate::support::{House, id};

const GUARDRAIL: &str = "RD009";

#[tokio::test]
async fn a_rated_buy_in_is_telemetry_in_the_same_transaction() {
    let floor = seated().await;
    let paid = floor.buy_in(2_500).await;
    let rows = floor.of_transaction(&paid).await;
    assert_eq!(rows.len(), 1, "{rows:#?}");
    let row = &rows[0];
    let linked = json!({ "visit_id": floor.visit, "rating_slip_id": floor.slip, "table_id": floor.house.table("BJ-01") });
    for (column, value) in linked.as_object().expect("columns") {
        assert_eq!(&row[column], value, "{column}");
    }
    // Twenty-five dollars are rated like any other: linkage decides.
    let said = json!([
        row["telemetry_kind"],
        row["source"],
        row["amount_cents"],
        row["tender_type"],
        row["is_late"]
    ]);
    assert_eq!(said, json!(["RATED_BUYIN", "finance_bridge", 2_500, "cash", false]));
    assert_eq!(
        (&row["actor_id"], &row["gaming_day"]),
        (&json!(floor.house.staff("PB-01")), &json!("2026-03-06"))
    );
    let told = floor
        .house
        .texts("SELECT payload->>'telemetry_kind' FROM outbox WHERE event = 'table.buyin_logged'")
        .await;
    assert_eq!(told, ["RATED_BUYIN"]);
}

#[tokio::test]
async fn what_is_paid_out_or_belongs_to_no_slip_is_no_buy_in() {
    let floor = seated().await;
    let out = json!({
        "player_id": floor.player, "visit_id": floor.visit, "rating_slip_id": floor.slip, "direction": "out", "amount_cents": 9_900,
    });
    floor.pay(out).await.expect(201);
    let cage = json!({ "player_id": floor.player, "direction": "in", "amount_cents": 9_900 });
    floor.pay(cage).await.expect(201);
    assert_eq!(floor.telemetry("").await, [] as [serde_json::Value; 0]);
}

#[tokio::test]
async fn an_adjustment_and_a_reversal_come_over_signed_and_point_back() {
    let floor = seated().await;
    let paid = floor.buy_in(10_000).await;
    let first = id(&floor.of_transaction(&paid).await[0]);
    let adjusted = id(floor
        .pay(json!({ "kind": "adjustment", "corrects_id": paid, "amount_cents": -4_000 }))
        .await
        .expect(201));
    let reversed = id(floor.pay(json!({ "kind": "reversal", "corrects_id": paid })).await.expect(201));
    for (transaction, cents) in [(adjusted, -4_000), (reversed, -6_000)] {
        let rows = floor.of_transaction(&transaction).await;
        let said: Vec<_> = rows
            .iter()
            .map(|row| (&row["telemetry_kind"], &row["amount_cents"], &row["reverses_id"]))
            .collect();
        assert_eq!(said, [(&json!("RATED_ADJUSTMENT"), &json!(cents), &json!(first))]);
    }
    let sum: i64 = floor
        .telemetry("")
        .await
        .iter()
        .filter_map(|row| row["amount_cents"].as_i64())
        .sum();
    assert_eq!(sum, 0, "10,000 − 4,000 − 6,000: nothing is left of it");
}

#[tokio::test]
async fn a_slip_of_nobodys_or_of_another_visit_refuses_the_whole_write() {
    let floor = seated().await;
    let owner = floor.house.cluster.owner().await;
    let (casino, by) = (floor.house.home.casino, floor.house.staff("PB-01"));
    for (wrong, with) in [(&floor.slip, new_id()), (&floor.visit, new_id())] {
        let tx = standing(&owner, casino, by).await;
        let (code, _) = refusal(&tx, &floor.own_row().replace(wrong.as_str(), &with.to_string())).await;
        assert!(["23503", "RD010"].contains(&code.as_str()), "{code}");
    }
    let through = json!({ "player_id": floor.player, "rating_slip_id": new_id(), "direction": "in", "amount_cents": 5_000 });
    floor.pay(through).await.refused(404, "not_found");
    assert_eq!(
        (
            floor.house.count("player_financial_transaction").await,
            floor.house.count("table_buyin_telemetry").await
        ),
        (0, 0)
    );
}

#[tokio::test]
async fn g1_without_a_context_nothing_crosses_not_even_for_the_owner() {
    let floor = seated().await;
    let owner = floor.house.cluster.owner().await;
    assert_eq!(
        refusal(&owner, &floor.own_row()).await,
        (GUARDRAIL.to_owned(), "bridge_context".to_owned())
    );
    // Half a context is none, and neither is a word that is no id.
    let half = standing(&owner, floor.house.home.casino, "").await;
    assert_eq!(refusal(&half, &floor.own_row()).await.1, "bridge_context");
    let garbled = standing(&owner, "River Bend", floor.house.staff("PB-01")).await;
    assert_eq!(refusal(&garbled, &floor.own_row()).await.1, "bridge_context");
    // The daemon's role does not even come that far.
    let app = floor.house.cluster.app().await;
    assert_eq!(refusal(&app, &floor.own_row()).await.0, "42501");
    assert_eq!(floor.house.count("player_financial_transaction").await, 0);
}

#[tokio::test]
async fn g1_a_pooled_connection_keeps_no_context_of_the_transaction_before() {
    let floor = seated().await;
    let mut options = sea_orm::ConnectOptions::new(floor.house.cluster.url(rundown::postgres::OWNER));
    options.max_connections(1).sqlx_logging(false);
    let pool = sea_orm::Database::connect(options).await.expect("one connection");
    let tx = standing(&pool, floor.house.home.casino, floor.house.staff("PB-01")).await;
    tx.execute_unprepared(&floor.own_row()).await.expect("in its context");
    tx.commit().await.expect("committed");
    // The setting is an empty text by now, not unknown: that must be no context too.
    let tx = begin(&pool).await;
    assert_eq!(
        refusal(&tx, &floor.own_row()).await,
        (GUARDRAIL.to_owned(), "bridge_context".to_owned())
    );
    tx.rollback().await.expect("undone");
    assert_eq!(floor.house.count("table_buyin_telemetry").await, 1);
}

#[tokio::test]
async fn g2_a_transaction_of_another_casino_does_not_cross() {
    let floor = seated().await;
    let owner = floor.house.cluster.owner().await;
    let tx = standing(&owner, floor.house.other.casino, floor.house.staff("PB-01")).await;
    assert_eq!(
        refusal(&tx, &floor.own_row()).await,
        (GUARDRAIL.to_owned(), "bridge_tenant".to_owned())
    );
    tx.rollback().await.expect("undone");
    assert_eq!(floor.house.count("player_financial_transaction").await, 0);
}

#[tokio::test]
async fn g3_nobody_enters_a_transaction_in_another_persons_name() {
    let floor = seated().await;
    let app = floor.house.cluster.app().await;
    let tx = standing(&app, floor.house.home.casino, floor.house.staff("CG-01")).await;
    assert_eq!(
        refusal(&tx, &floor.own_row()).await,
        (GUARDRAIL.to_owned(), "bridge_actor".to_owned())
    );
    tx.rollback().await.expect("undone");
    assert_eq!(floor.house.count("player_financial_transaction").await, 0);
}

#[tokio::test]
async fn g4_no_client_says_in_whose_name_a_buy_in_is_written() {
    let floor = seated().await;
    let spoofed = [
        ("casino_id", json!(floor.house.other.casino)),
        ("actor_id", json!(floor.house.staff("PB-02"))),
        ("created_by_staff_id", json!(floor.house.staff("PB-02"))),
        ("source", json!("finance_bridge")),
        ("gaming_day", json!("2020-01-01")),
        ("is_late", json!(true)),
    ];
    for (field, value) in spoofed {
        let mut entry = super::grind(&floor.house, "BJ-01", 2_000, "k-1");
        entry[field] = value.clone();
        let refused = floor.house.in_vain(floor.house.post("PB-01", "buyin-telemetry", entry)).await;
        assert!(
            refused.refused(400, "malformed_request")["detail"].to_string().contains(field),
            "{field}"
        );
        let mut paid = json!({ "player_id": floor.player, "rating_slip_id": floor.slip, "direction": "in", "amount_cents": 5_000 });
        paid[field] = value;
        floor.house.in_vain(floor.pay(paid)).await.refused(400, "malformed_request");
    }
    // Nor does any function of the database that a client's call reaches take one: the bridge itself has no argument but the row.
    let arguments =
        "SELECT COALESCE(string_agg(pg_get_function_arguments(p.oid), ''), '') FROM pg_proc AS p WHERE p.proname = 'bridge_buyin'";
    assert_eq!(floor.house.texts(arguments).await, [""]);
}

#[tokio::test]
async fn only_the_bridge_writes_in_the_name_of_finance() {
    let floor = seated().await;
    let app = floor.house.cluster.app().await;
    let tx = standing(&app, floor.house.home.casino, floor.house.staff("PB-01")).await;
    let forged = format!(
        "INSERT INTO table_buyin_telemetry (id, casino_id, gaming_day, table_id, visit_id, rating_slip_id, amount_cents, telemetry_kind, source,
                                            occurred_at, actor_id, idempotency_key, is_late)
         VALUES ('{id}', '{}', '2026-03-06', '{}', '{}', '{}', 5000, 'RATED_BUYIN', 'finance_bridge', now(), '{}', 'pft:{id}', false)",
        floor.house.home.casino,
        floor.house.table("BJ-01"),
        floor.visit,
        floor.slip,
        floor.house.staff("PB-01"),
        id = new_id(),
    );
    assert_eq!(
        refusal(&tx, &forged).await,
        ("RD010".to_owned(), "buyin_of_a_transaction".to_owned())
    );
}

/// Starts over a schema that somebody has changed by hand.
async fn start_refused(house: &House, change: &str, because: &str) {
    let owner = house.cluster.owner().await;
    owner.execute_unprepared(change).await.expect(change);
    let Err(refused) = as_found(house).connect().await else {
        panic!("started over {change}");
    };
    let said = format!("{refused:#}");
    assert!(said.contains(because), "{change}: {said}");
    owner.close().await.expect("closed");
}

#[tokio::test]
async fn the_daemon_starts_over_a_sound_bridge() {
    let house = House::open().await;
    as_found(&house)
        .connect()
        .await
        .expect("a sound schema")
        .close()
        .await
        .expect("closed");
}

#[tokio::test]
async fn g5_the_daemon_does_not_start_without_the_index_that_keeps_keys_apart() {
    let house = House::open().await;
    let absent = "no unique index on table_buyin_telemetry";
    start_refused(&house, "DROP INDEX buyin_key_once", absent).await;
    // Of the right name and not unique, without the predicate, on another column: worth nothing to the conflict target.
    for worthless in [
        "CREATE INDEX buyin_key_once ON table_buyin_telemetry (casino_id, idempotency_key) WHERE idempotency_key IS NOT NULL",
        "DROP INDEX buyin_key_once; CREATE UNIQUE INDEX buyin_key_once ON table_buyin_telemetry (casino_id, idempotency_key)
            WHERE idempotency_key LIKE 'man:%'",
        "DROP INDEX buyin_key_once; CREATE UNIQUE INDEX buyin_key_once ON table_buyin_telemetry (idempotency_key, casino_id)
            WHERE idempotency_key IS NOT NULL",
    ] {
        start_refused(&house, worthless, absent).await;
    }
}

#[tokio::test]
async fn g5_without_the_index_a_buy_in_is_refused_rather_than_doubled() {
    let floor = seated().await;
    floor
        .house
        .cluster
        .owner()
        .await
        .execute_unprepared("DROP INDEX buyin_key_once")
        .await
        .expect("dropped");
    let body = json!({ "player_id": floor.player, "rating_slip_id": floor.slip, "direction": "in", "amount_cents": 5_000 });
    floor.house.in_vain(floor.pay(body)).await.refused(500, "internal");
}

#[tokio::test]
async fn the_daemon_does_not_start_beside_a_second_bridge() {
    let house = House::open().await;
    let second = "CREATE TRIGGER bridge_too AFTER INSERT ON player_financial_transaction FOR EACH ROW EXECUTE FUNCTION bridge_buyin()";
    start_refused(
        &house,
        second,
        "the bridge stands 2 times on player_financial_transaction (bridge_buyin, bridge_too)",
    )
    .await;
    // Under another name and function too, after the row or before it.
    let copy = "DROP TRIGGER bridge_too ON player_financial_transaction;
        CREATE FUNCTION copied() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM log_bridged_buyin(NEW); RETURN NEW; END';
        CREATE TRIGGER copied AFTER INSERT ON player_financial_transaction FOR EACH ROW EXECUTE FUNCTION copied()";
    start_refused(
        &house,
        copy,
        "another trigger stands beside the bridge on player_financial_transaction: copied",
    )
    .await;
    let before = "DROP TRIGGER copied ON player_financial_transaction;
        CREATE TRIGGER copied BEFORE INSERT ON player_financial_transaction FOR EACH ROW EXECUTE FUNCTION copied()";
    start_refused(&house, before, "another trigger stands beside the bridge").await;
}

#[tokio::test]
async fn the_daemon_does_not_start_over_a_bridge_that_is_gone_asleep_or_narrowed() {
    let house = House::open().await;
    start_refused(
        &house,
        "ALTER TABLE player_financial_transaction DISABLE TRIGGER bridge_buyin",
        "is disabled",
    )
    .await;
    let gone = "DROP TRIGGER bridge_buyin ON player_financial_transaction";
    start_refused(&house, gone, "no bridge trigger on player_financial_transaction").await;
    let narrowed = "CREATE TRIGGER bridge_buyin AFTER INSERT ON player_financial_transaction FOR EACH ROW
        WHEN (NEW.amount_cents >= 10000) EXECUTE FUNCTION bridge_buyin()";
    start_refused(&house, narrowed, "does not fire after every inserted row").await;
}

/// A retry of the client is a retry of the bridge.
#[tokio::test]
async fn a_repeated_transaction_is_bridged_once() {
    let floor: Seated = seated().await;
    let boss = floor.house.person("PB-01");
    let body = json!({ "player_id": floor.player, "rating_slip_id": floor.slip, "direction": "in", "amount_cents": 5_000 });
    for _ in 0..2 {
        boss.post_as("k-1", "/api/v1/financial-transactions", body.clone())
            .await
            .expect(201);
    }
    assert_eq!(floor.telemetry("").await.len(), 1);
}
