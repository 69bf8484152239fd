//! What a desk costs: whatever a command is about, what is laid out for it is read from as many rows with two years behind it as with one day,
//! and no table that grows is read from end to end. A timed test would say less, and fail on a busy machine.

use std::collections::BTreeMap;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use crate::rollups::beside_the_daemon;
use crate::rollups::cost::{DO_NOT_GROW, house_after};
use crate::schema::ask;
use crate::support::House;

const DAYS: usize = 730;

/// By table: rows read from end to end, and rows found by an index. Counted by the transaction, so that functions are seen through.
type Read = BTreeMap<String, (i64, i64)>;

async fn read_so_far(connection: &impl sea_orm::ConnectionTrait) -> Read {
    const READ: &str = "
        SELECT jsonb_object_agg(relname, jsonb_build_array(seq_tup_read, COALESCE(idx_tup_fetch, 0))) AS json FROM pg_stat_xact_user_tables";
    serde_json::from_value(ask(connection, READ, []).await).expect("counters")
}

/// Every kind of desk there is, over this house's session in play and the one before it.
async fn desks(house: &House) -> Vec<(&'static str, Value)> {
    let one = async |sql: &str| house.texts(sql).await.first().unwrap_or_else(|| panic!("{sql}")).clone();
    let session = one("SELECT id::text FROM table_inventory_session WHERE closed_at IS NULL").await;
    let of_session = async |what: &str, table: &str| {
        one(&format!(
            "SELECT {what}::text FROM {table} WHERE session_id = '{session}' ORDER BY id LIMIT 1"
        ))
        .await
    };
    let (slip, snapshot) = (
        of_session("id", "table_slip").await,
        of_session("id", "table_inventory_snapshot").await,
    );
    let before = one(&format!(
        "SELECT predecessor_id::text FROM table_inventory_session WHERE id = '{session}'"
    ))
    .await;
    let drop = one(&format!("SELECT id::text FROM table_drop_event WHERE session_id = '{before}'")).await;
    let exception = one(&format!(
        "SELECT id::text FROM reconciliation_exception WHERE session_id = '{before}' LIMIT 1"
    ))
    .await;
    let papers = json!([{ "kind": "fill", "slip_no": 1 }, { "kind": "credit", "slip_no": 1 }, { "kind": "fill", "slip_no": 77 }]);
    let people = json!([house.staff("DL-01"), house.staff("SC-03")]);
    vec![
        ("nothing but who asks", json!({})),
        ("a session", json!({ "kind": "session", "ids": [session] })),
        (
            "a finished session",
            json!({ "kind": "session", "ids": [before], "shift": "settle" }),
        ),
        (
            "a session and the shift of this moment",
            json!({ "kind": "session", "ids": [session], "shift": { "bind": { "named": null } } }),
        ),
        (
            "a session and two people, one with a PIN",
            json!({ "kind": "session", "ids": [session], "staff": people, "cosigners": [house.staff("DL-01")] }),
        ),
        (
            "a session and a slip's own key",
            json!({ "kind": "session", "ids": [session], "request_id": "never heard of" }),
        ),
        ("a slip", json!({ "kind": "slip", "ids": [slip] })),
        (
            "a slip that wants its number",
            json!({ "kind": "slip", "ids": [slip], "number_for": slip }),
        ),
        (
            "a slip written by hand",
            json!({ "kind": "session", "ids": [session], "manual": { "kind": "fill", "slip_no": 5 } }),
        ),
        ("a snapshot", json!({ "kind": "snapshot", "ids": [snapshot] })),
        ("a drop", json!({ "kind": "drop", "ids": [drop] })),
        (
            "a count with what was found in the box",
            json!({ "kind": "count", "ids": [drop], "papers": papers }),
        ),
        ("an exception", json!({ "kind": "exception", "ids": [exception] })),
        (
            "a table without a session yet",
            json!({ "kind": "table", "ids": [house.table("BJ-02")], "boxes": [house.drop_box("BJ-02-A")] }),
        ),
    ]
}

/// What one desk reads: rows in all, and those of growing tables that were read from end to end.
#[derive(Debug)]
struct Bill {
    rows: i64,
    from_end_to_end: BTreeMap<String, i64>,
}

async fn bill(house: &House, desk: &Value) -> Bill {
    let mut opening = json!({
        "subject": format!("{}:PB-01", house.home.name), "correlation_id": "a-bill", "key": "a-bill", "lock": true, "at": house.clock.now(),
    });
    let asked = opening.as_object_mut().expect("an object");
    asked.extend(desk.as_object().expect("an object").clone());
    let open = sea_orm::Statement::from_sql_and_values(sea_orm::DbBackend::Postgres, "SELECT open_desk($1)", [opening.into()]);
    let app = house.cluster.app().await;
    let tx = beside_the_daemon(&app).await;
    let (mut before, mut after) = (Read::new(), Read::new());
    // Once to warm the plans: what planning reads is not the command's.
    for _ in 0..2 {
        tx.execute_unprepared("SAVEPOINT as_it_was").await.expect("a savepoint");
        before = read_so_far(&tx).await;
        tx.execute_raw(open.clone()).await.expect("a desk");
        after = read_so_far(&tx).await;
        tx.execute_unprepared("ROLLBACK TO as_it_was").await.expect("as it was");
    }
    let mut bill = Bill {
        rows: 0,
        from_end_to_end: BTreeMap::new(),
    };
    for (table, (scanned, found)) in after {
        let (scanned_before, found_before) = before.get(&table).copied().unwrap_or_default();
        let (scanned, found) = (scanned - scanned_before, found - found_before);
        bill.rows += scanned + found;
        if scanned > 0 && !DO_NOT_GROW.contains(&table.as_str()) {
            bill.from_end_to_end.insert(table, scanned);
        }
    }
    bill
}

#[tokio::test]
async fn a_desk_is_laid_from_as_many_rows_after_two_years_as_after_a_day() {
    let ((young, _), (old, _)) = (house_after(1).await, house_after(DAYS).await);
    assert!(old.count("table_inventory_session").await > 4_000, "two years are not empty");
    for house in [&young, &old] {
        // History is copied from today, whose shift is open: in life those before it are closed.
        const CLOSE: &str =
            "UPDATE shift SET status = 'CLOSED', closed_at = ends_at, version = version + 1 WHERE gaming_day < '2026-03-06'";
        let owner = house.cluster.owner().await;
        owner.execute_unprepared(&format!("{CLOSE}; ANALYZE shift")).await.expect(CLOSE);
        owner.close().await.expect("closed");
    }
    for ((what, after_a_day), (_, after_two_years)) in desks(&young).await.into_iter().zip(desks(&old).await) {
        let (one, other) = (bill(&young, &after_a_day).await, bill(&old, &after_two_years).await);
        assert!(other.rows > 0, "{what}: nothing was counted");
        assert_eq!(other.from_end_to_end, BTreeMap::new(), "{what}: {other:?}");
        // A small table may be read whole; nothing may be more where the tables are large.
        assert!(other.rows <= one.rows, "{what}: after a day {one:?}, after two years {other:?}");
    }
}
