//! Entries by hand: what may be said, what is answered again, and what is taken back.

use std::time::Duration;

use rundown::clock::new_id;
use serde_json::{Value, json};

use super::{Seated, grind, refusal, seat, seated};
use crate::support::{House, Reply, id, text, tray};

const LOG: &str = "buyin-telemetry";

fn rated(floor: &Seated, cents: i64, key: &str) -> Value {
    json!({
        "table_id": floor.house.table("BJ-01"), "amount_cents": cents, "telemetry_kind": "RATED_BUYIN", "visit_id": floor.visit,
        "rating_slip_id": floor.slip, "idempotency_key": key,
    })
}

async fn log(house: &House, entry: Value) -> Reply {
    house.post("PB-01", LOG, entry).await
}

#[tokio::test]
async fn a_grind_buy_in_is_logged_audited_and_told() {
    let house = House::open().await;
    let row = log(&house, grind(&house, "BJ-01", 2_000, "k-1")).await.expect(201).clone();
    let said = json!([
        row["telemetry_kind"],
        row["source"],
        row["amount_cents"],
        row["gaming_day"],
        row["idempotency_key"],
        row["visit_id"]
    ]);
    assert_eq!(said, json!(["GRIND_BUYIN", "manual_ops", 2_000, "2026-03-06", "man:k-1", null]));
    assert_eq!(
        (&row["occurred_at"], &row["actor_id"]),
        (&json!("2026-03-06T21:00:00Z"), &json!(house.staff("PB-01")))
    );
    let audited = house.texts("SELECT domain || '.' || action FROM audit_log").await;
    assert_eq!(audited, ["buyin.log"]);
    let told = house
        .texts("SELECT payload->>'telemetry_id' FROM outbox WHERE event = 'table.buyin_logged'")
        .await;
    assert_eq!(told, [id(&row)]);
    assert_eq!(house.count("player_financial_transaction").await, 0, "finance is never touched");
}

#[tokio::test]
async fn a_rated_buy_in_below_the_threshold_is_logged_without_finance() {
    let floor = seated().await;
    let row = log(&floor.house, rated(&floor, 2_500, "k-1")).await.expect(201).clone();
    assert_eq!(
        (&row["telemetry_kind"], &row["visit_id"]),
        (&json!("RATED_BUYIN"), &json!(floor.visit))
    );
    assert_eq!(floor.house.count("player_financial_transaction").await, 0);
}

/// A ghost may have a slip, which compliance keeps; their money is grind all the same, and linked to nobody. Law and database say so.
#[tokio::test]
async fn a_ghost_is_rated_by_nobody() {
    let mut floor = seated().await;
    let boss = floor.house.person("PB-01");
    let ghost = json!({ "visit_kind": "gaming_ghost_unrated" });
    floor.visit = id(boss.post("/api/v1/visits", ghost).await.expect(201));
    let slip = json!({ "visit_id": floor.visit, "table_id": floor.house.table("BJ-01") });
    floor.slip = id(boss.post("/api/v1/rating-slips", slip).await.expect(201));
    let refused = floor.house.in_vain(log(&floor.house, rated(&floor, 2_000, "k-1"))).await;
    assert_eq!(refused.refused(409, "conflict")["reason"], "ghost_visit");
    let by_hand = format!(
        "INSERT INTO table_buyin_telemetry (id, casino_id, gaming_day, table_id, visit_id, rating_slip_id, amount_cents, telemetry_kind, source,
             occurred_at, actor_id, idempotency_key, is_late)
         VALUES (uuid_v7(), '{}', '2026-03-06', '{}', '{}', '{}', 2000, 'RATED_BUYIN', 'manual_ops', now(), '{}', 'man:k-2', false)",
        floor.house.home.casino,
        floor.house.table("BJ-01"),
        floor.visit,
        floor.slip,
        floor.house.staff("PB-01"),
    );
    let owner = floor.house.cluster.owner().await;
    assert_eq!(refusal(&owner, &by_hand).await.1, "buyin_of_a_known_player");
    owner.close().await.expect("closed");
    log(&floor.house, grind(&floor.house, "BJ-01", 2_000, "k-1")).await.expect(201);
}

#[tokio::test]
async fn every_rule_names_its_field() {
    let floor = seated().await;
    let house = &floor.house;
    let with = |entry: Value, field: &str, value: Value| {
        let mut entry = entry;
        entry[field] = value;
        entry
    };
    let (plain, linked) = (grind(house, "BJ-01", 2_000, "k-1"), rated(&floor, 2_000, "k-1"));
    let wrong: Vec<(Value, &[&str])> = vec![
        (with(plain.clone(), "amount_cents", json!(0)), &["/amount_cents"]),
        (with(plain.clone(), "amount_cents", json!(-2_000)), &["/amount_cents"]),
        (
            with(
                with(plain.clone(), "telemetry_kind", json!("GRIND_ADJUSTMENT")),
                "amount_cents",
                json!(0),
            ),
            &["/amount_cents"],
        ),
        (
            with(plain.clone(), "telemetry_kind", json!("RATED_BUYIN")),
            &["/visit_id", "/rating_slip_id"],
        ),
        (
            with(linked.clone(), "telemetry_kind", json!("GRIND_BUYIN")),
            &["/visit_id", "/rating_slip_id"],
        ),
        (with(linked.clone(), "visit_id", Value::Null), &["/visit_id"]),
        (with(linked.clone(), "rating_slip_id", Value::Null), &["/rating_slip_id"]),
        (with(linked.clone(), "visit_id", json!(new_id())), &["/visit_id"]),
        (with(linked.clone(), "table_id", json!(house.table("BJ-02"))), &["/table_id"]),
        (with(plain.clone(), "idempotency_key", json!("")), &["/idempotency_key"]),
        (
            with(plain.clone(), "idempotency_key", json!("k".repeat(201))),
            &["/idempotency_key"],
        ),
        (with(plain.clone(), "tender_type", json!("x".repeat(65))), &["/tender_type"]),
        (with(plain.clone(), "note", json!("x".repeat(2_001))), &["/note"]),
        (with(plain.clone(), "occurred_at", json!("2026-03-06T21:02:01Z")), &["/occurred_at"]),
    ];
    for (entry, pointers) in wrong {
        let reply = house.in_vain(log(house, entry.clone())).await;
        reply.refused(422, "validation_failed");
        assert_eq!(reply.pointers(), pointers, "{entry}");
    }
    for (field, value) in [("table_id", json!(new_id())), ("table_id", json!(house.other.tables["BJ-01"]))] {
        house
            .in_vain(log(house, with(plain.clone(), field, value)))
            .await
            .refused(404, "not_found");
    }
    house
        .in_vain(log(house, with(linked, "rating_slip_id", json!(new_id()))))
        .await
        .refused(404, "not_found");
    let mut keyless = plain;
    keyless.as_object_mut().expect("an object").remove("idempotency_key");
    house.in_vain(log(house, keyless)).await.refused(400, "malformed_request");
}

/// Across casinos nothing is there: neither a player's seat nor their visit, and the answer does not tell which of the two is real.
#[tokio::test]
async fn another_casinos_player_is_nobody_here() {
    let mut floor = seated().await;
    std::mem::swap(&mut floor.house.home, &mut floor.house.other);
    floor.house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let away = seat(floor.house, "BJ-01").await;
    let (their_slip, their_visit) = (away.slip, away.visit);
    floor.house = away.house;
    std::mem::swap(&mut floor.house.home, &mut floor.house.other);
    let house = &floor.house;
    let entry = |visit: &str, slip: &str| {
        let mut entry = rated(&floor, 2_000, "k-1");
        (entry["visit_id"], entry["rating_slip_id"]) = (json!(visit), json!(slip));
        entry
    };
    for (visit, slip) in [(&their_visit, &their_slip), (&floor.visit, &their_slip)] {
        let refused = house.in_vain(log(house, entry(visit, slip))).await;
        let detail = text(refused.refused(404, "not_found"), "detail");
        let nobodys = new_id().to_string();
        let unknown = house.in_vain(log(house, entry(visit, &nobodys))).await;
        assert_eq!(detail, text(unknown.refused(404, "not_found"), "detail"));
    }
    // With a slip of this casino a foreign visit is another visit than the slip's, as one that is nowhere would be.
    for visit in [&their_visit, &new_id().to_string()] {
        let refused = house.in_vain(log(house, entry(visit, &floor.slip))).await;
        refused.refused(422, "validation_failed");
        assert_eq!(refused.pointers(), ["/visit_id"]);
    }
    assert_eq!(house.count("table_buyin_telemetry").await, 0);
}

#[tokio::test]
async fn an_entry_is_answered_the_same_for_ever_and_another_under_its_key_is_refused() {
    let house = House::open().await;
    let first = log(&house, grind(&house, "BJ-01", 2_000, "k-1")).await;
    first.expect(201);
    // Longer than any Idempotency-Key is kept, and under another one.
    house.clock.advance(Duration::from_hours(11));
    let again = log(&house, grind(&house, "BJ-01", 2_000, "k-1")).await;
    assert_eq!(
        (again.status, &again.body, again.header("idempotent-replayed")),
        (201, &first.body, Some("true"))
    );
    assert_eq!((house.count("table_buyin_telemetry").await, house.count("outbox").await), (1, 1));
    for other in [grind(&house, "BJ-01", 2_001, "k-1"), grind(&house, "BJ-02", 2_000, "k-1")] {
        house.in_vain(log(&house, other)).await.refused(422, "idempotency_conflict");
    }
    let by_another = house.post("PB-02", LOG, grind(&house, "BJ-01", 2_000, "k-1")).await;
    by_another.refused(422, "idempotency_conflict");
    // A key is the casino's own.
    let across =
        json!({ "table_id": house.other.tables["BJ-01"], "amount_cents": 700, "telemetry_kind": "GRIND_BUYIN", "idempotency_key": "k-1" });
    house.stranger("PB-01").post(&crate::support::below(LOG), across).await.expect(201);
}

#[tokio::test]
async fn many_at_once_under_one_key_log_one_buy_in() {
    let house = House::open().await;
    let send = || log(&house, grind(&house, "BJ-01", 2_000, "k-1"));
    let (first, second, third, fourth) = tokio::join!(send(), send(), send(), send());
    for reply in [&first, &second, &third, &fourth] {
        assert_eq!(reply.expect(201), &first.body);
    }
    assert_eq!(house.count("table_buyin_telemetry").await, 1);
}

#[tokio::test]
async fn many_at_once_take_an_entry_back_once() {
    let house = House::open().await;
    let row = id(log(&house, grind(&house, "BJ-01", 2_000, "k-1")).await.expect(201));
    let path = format!("{LOG}/{row}/undo");
    let send = || house.post("PB-01", &path, json!({}));
    let (first, second, third) = tokio::join!(send(), send(), send());
    for reply in [&first, &second, &third] {
        assert_eq!(reply.expect(201), &first.body);
    }
    assert_eq!(house.count("table_buyin_telemetry").await, 2);
}

#[tokio::test]
async fn the_last_entry_is_taken_back_once() {
    let floor = seated().await;
    let house = &floor.house;
    let before = "2026-03-06T20:40:00Z";
    let mut entry = rated(&floor, 12_300, "k-1");
    entry["occurred_at"] = json!(before);
    let row = id(log(house, entry).await.expect(201));
    let undo = format!("{LOG}/{row}/undo");
    house.clock.advance(Duration::from_mins(15));
    let back = house.post("PB-01", &undo, json!({})).await.expect(201).clone();
    let said = json!([
        back["amount_cents"],
        back["telemetry_kind"],
        back["reverses_id"],
        back["idempotency_key"],
        back["occurred_at"]
    ]);
    assert_eq!(
        said,
        json!([-12_300, "RATED_ADJUSTMENT", row, format!("undo:{row}"), before]),
        "at the time of what it takes back"
    );
    house.clock.advance(Duration::from_hours(1));
    let again = house.post("PB-01", &undo, json!({})).await;
    assert_eq!(
        (again.status, &again.body, again.header("idempotent-replayed")),
        (201, &back, Some("true"))
    );
    assert_eq!(house.count("table_buyin_telemetry").await, 2);
    let audited = house.texts("SELECT action FROM audit_log WHERE domain = 'buyin' ORDER BY id").await;
    assert_eq!(audited, ["log", "undo"]);
}

#[tokio::test]
async fn an_undo_comes_too_late_from_another_or_for_what_is_no_entry() {
    let floor = seated().await;
    let house = &floor.house;
    let row = id(log(house, grind(house, "BJ-01", 2_000, "k-1")).await.expect(201));
    let path = |row: &str| format!("{LOG}/{row}/undo");
    for another in ["PB-02", "AD-01"] {
        let refused = house.in_vain(house.post(another, &path(&row), json!({}))).await;
        assert_eq!(refused.refused(403, "segregation_violation")["rule"], "undo_own_entry");
    }
    let bridged = floor.buy_in(5_000).await;
    let bridged = id(&floor.of_transaction(&bridged).await[0]);
    let refused = house.in_vain(house.post("PB-01", &path(&bridged), json!({}))).await;
    assert_eq!(refused.refused(409, "conflict")["reason"], "not_an_entry");
    let undone = id(log(house, grind(house, "BJ-01", 900, "k-2")).await.expect(201));
    let back = id(house.post("PB-01", &path(&undone), json!({})).await.expect(201));
    let refused = house.in_vain(house.post("PB-01", &path(&back), json!({}))).await;
    assert_eq!(refused.refused(409, "conflict")["reason"], "not_an_entry");
    house.clock.advance(Duration::from_secs(15 * 60 + 1));
    let refused = house.in_vain(house.post("PB-01", &path(&row), json!({}))).await;
    assert_eq!(refused.refused(409, "conflict")["reason"], "undo_too_late");
    house
        .in_vain(house.post("PB-01", &path(&new_id().to_string()), json!({})))
        .await
        .refused(404, "not_found");
    house
        .in_vain(house.stranger("PB-01").post(&crate::support::below(&path(&row)), json!({})))
        .await
        .refused(404, "not_found");
}

#[tokio::test]
async fn the_list_is_narrowed_and_read_page_by_page() {
    let floor = seated().await;
    let house = &floor.house;
    house.open_table("BJ-02", "BJ-02-A", tray()).await;
    log(house, rated(&floor, 2_500, "k-1")).await.expect(201);
    log(house, grind(house, "BJ-01", 2_000, "k-2")).await.expect(201);
    let mut yesterday = grind(house, "BJ-02", 3_000, "k-3");
    yesterday["occurred_at"] = json!("2026-03-06T11:59:59Z");
    log(house, yesterday).await.expect(201);
    let cents = async |filter: String| -> Vec<i64> {
        floor
            .telemetry(&filter)
            .await
            .iter()
            .filter_map(|row| row["amount_cents"].as_i64())
            .collect()
    };
    assert_eq!(cents(String::new()).await, [2_500, 2_000, 3_000]);
    assert_eq!(cents(format!("table_id={}", house.table("BJ-01"))).await, [2_500, 2_000]);
    assert_eq!(
        cents("gaming_day=2026-03-05".to_owned()).await,
        [3_000],
        "before six in the morning it is the day before"
    );
    assert_eq!(cents(format!("visit_id={}", floor.visit)).await, [2_500]);
    assert_eq!(cents("kind=GRIND_BUYIN".to_owned()).await, [2_000, 3_000]);
    let first = house.get("PB-01", &format!("{LOG}?limit=2")).await.expect(200).clone();
    let cursor = first["next_cursor"].as_str().expect("another page").to_owned();
    assert_eq!(cents(format!("limit=2&cursor={cursor}")).await, [3_000]);
    assert_eq!(
        house.stranger("PB-01").get(&crate::support::below(LOG)).await.expect(200)["items"],
        json!([])
    );
}
