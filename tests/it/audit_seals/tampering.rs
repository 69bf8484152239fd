//! Somebody who owns the database: superuser, triggers and keys out of force. Each of their changes is found, and what they changed is named.

use super::*;

const TABLES: [&str; 4] = ["audit_log", "audit_seal", "audit_seal_leaf", "audit_unsealed"];

struct Tampered {
    house: House,
    /// Under seal 2.
    victim: Uuid,
    waiting: Uuid,
}

impl Tampered {
    /// Three seals, and a row that waits.
    async fn open() -> Self {
        let (house, key) = (House::open().await, Key::made());
        let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
        house.seal(&key, 1).await;
        house.slip(&session, "fill", "f-1", json!({ "10000": 1 })).await;
        house.seal(&key, 2).await;
        house.create("BJ-02", "BJ-02-A").await;
        let waiting = ask(
            &house.cluster.owner().await,
            "SELECT to_jsonb(audit_id) AS json FROM audit_unsealed",
            [],
        )
        .await;
        let copies = TABLES.map(|table| format!("CREATE TABLE kept_{table} AS TABLE {table};")).concat();
        house.as_owner(&copies).await;
        Self {
            victim: rows_of(&house, 2).await[1],
            waiting: serde_json::from_value(waiting).expect("one id"),
            house,
        }
    }

    /// What verifying says of this change; then everything is as it was again.
    async fn found(&self, change: &str) -> Vec<Value> {
        self.house
            .as_owner(&format!("SET session_replication_role = replica; {change}"))
            .await;
        let pages = self.house.verified().await;
        let back = TABLES
            .map(|table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table};"))
            .concat();
        self.house
            .as_owner(&format!("SET session_replication_role = replica; {back}"))
            .await;
        let breaks: Vec<Value> = pages
            .iter()
            .flat_map(|page| page["breaks"].as_array().expect("a list").clone())
            .collect();
        assert!(
            pages.iter().any(|page| page["sound"] == false && !page["first_break"].is_null()),
            "unseen: {change}"
        );
        breaks
    }

    async fn finds(&self, change: &str, kind: &str, seal_no: Option<i64>, row: Option<Uuid>) {
        let found = self.found(change).await;
        let named = found
            .iter()
            .any(|found| found["kind"] == kind && found["seal_no"].as_i64() == seal_no && (row.is_none() || found["row_id"] == json!(row)));
        assert!(named, "{change}: no {kind} of {seal_no:?} {row:?} in {found:#?}");
    }
}

#[tokio::test]
async fn a_changed_row_is_named_whatever_was_changed_in_it() {
    let tampered = Tampered::open().await;
    let victim = tampered.victim;
    for change in [
        "ts = ts + interval '1 microsecond'",
        "actor_id = (SELECT id FROM staff WHERE employee_no = 'AD-01' LIMIT 1)",
        "domain = 'slips'",
        "action = 'void'",
        "session_id = NULL",
        "other_session_ids = ARRAY[session_id]",
        "dto_before = COALESCE(dto_before, '{}') || '{\"seen\": 1}'",
        "dto_after = jsonb_set(dto_after, '{table_slip,0,amount_cents}', '1')",
        "dto_after = NULL",
        "correlation_id = correlation_id || '.'",
    ] {
        let change = format!("UPDATE audit_log SET {change} WHERE id = '{victim}'");
        tampered.finds(&change, "row_altered", Some(2), Some(victim)).await;
    }
    assert_eq!(
        tampered.house.verified().await[0]["sound"],
        true,
        "put back as it was, it is as it was sealed"
    );
}

#[tokio::test]
async fn a_dropped_and_an_inserted_row_are_named() {
    let tampered = Tampered::open().await;
    let Tampered { victim, waiting, .. } = tampered;
    let dropped = format!("DELETE FROM audit_log WHERE id = '{victim}'");
    tampered.finds(&dropped, "row_missing", Some(2), Some(victim)).await;
    tampered
        .finds(
            &format!("DELETE FROM audit_log WHERE id = '{waiting}'"),
            "row_missing",
            None,
            Some(waiting),
        )
        .await;
    // Between sealed rows, before them all, and behind them.
    for row in [new_id(), Uuid::nil(), Uuid::max()] {
        let inserted = format!(
            "INSERT INTO audit_log SELECT (jsonb_populate_record(a, jsonb_build_object('id', '{row}'))).* FROM audit_log AS a WHERE a.id = '{victim}'"
        );
        // An id of nothing but zeros is no row's: the range begins behind it.
        let row = if row.is_nil() { Uuid::from_u128(1) } else { row };
        let inserted = inserted.replace(&Uuid::nil().to_string(), &row.to_string());
        tampered.finds(&inserted, "row_foreign", None, Some(row)).await;
    }
    // Out of the queue, so that it never comes under a seal.
    let unqueued = format!("DELETE FROM audit_unsealed WHERE audit_id = '{waiting}'");
    tampered.finds(&unqueued, "row_foreign", None, Some(waiting)).await;
    let other = tampered.house.other.casino;
    let moved = format!("UPDATE audit_log SET casino_id = '{other}' WHERE id = '{victim}'");
    tampered.finds(&moved, "row_missing", Some(2), Some(victim)).await;
}

#[tokio::test]
async fn a_changed_leaf_or_seal_is_named() {
    let tampered = Tampered::open().await;
    let victim = tampered.victim;
    let leaf = format!("UPDATE audit_seal_leaf SET leaf_hash = repeat('a', 64) WHERE audit_id = '{victim}'");
    tampered.finds(&leaf, "leaf_altered", Some(2), Some(victim)).await;
    let leaf = format!("DELETE FROM audit_seal_leaf WHERE audit_id = '{victim}'");
    tampered.finds(&leaf, "row_foreign", None, Some(victim)).await;
    for (change, kind) in [
        ("sealed_at = sealed_at - interval '1 second'", "seal_altered"),
        ("merkle_root = repeat('a', 64)", "seal_altered"),
        ("previous_root = repeat('a', 64)", "seal_altered"),
        ("root = repeat('a', 64)", "seal_altered"),
        ("public_key = repeat('a', 64)", "seal_altered"),
        ("row_count = row_count + 1", "seal_altered"),
        ("first_row = last_row", "seal_altered"),
        ("signature = repeat('a', 128)", "seal_forged"),
        ("signature = (SELECT signature FROM audit_seal WHERE seal_no = 1)", "seal_forged"),
    ] {
        let change = format!("UPDATE audit_seal SET {change} WHERE seal_no = 2");
        tampered.finds(&change, kind, Some(2), None).await;
    }
    tampered
        .finds("DELETE FROM audit_seal WHERE seal_no = 2", "seal_missing", Some(3), None)
        .await;
    tampered
        .finds("DELETE FROM audit_seal WHERE seal_no = 1", "seal_missing", Some(2), None)
        .await;
}

/// The key is somebody else's: they can seal what they like, and not put the old seals behind it.
#[tokio::test]
async fn a_chain_that_was_sealed_anew_from_the_middle_does_not_hold() {
    let tampered = Tampered::open().await;
    let house = &tampered.house;
    // They take back the last two seals, change a row, and have a daemon with a key of their own seal again.
    let sql = "SET session_replication_role = replica;
        INSERT INTO audit_unsealed SELECT l.casino_id, l.audit_id, a.ts FROM audit_seal_leaf AS l JOIN audit_log AS a ON a.id = l.audit_id WHERE l.seal_no > 1;
        DELETE FROM audit_seal_leaf WHERE seal_no > 1; DELETE FROM audit_seal WHERE seal_no > 1";
    let noted = house.verified().await[0]["root"].clone();
    house.as_owner(sql).await;
    house
        .as_owner(&format!(
            "SET session_replication_role = replica; UPDATE audit_log SET action = 'void' WHERE id = '{}'",
            tampered.victim
        ))
        .await;
    house.seal(&Key::made(), 2).await;
    let page = house.verified().await.remove(0);
    // By itself it is sound: only the key and a root noted elsewhere tell, and both are told.
    assert_eq!(page["keys"].as_array().map(Vec::len), Some(2), "{page}");
    assert_ne!(page["root"], noted);
}
