//! What a reading costs: rows of the window and not of history, by indexes alone; and, when asked, the budgets of a big floor.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sea_orm::ConnectionTrait;

use super::*;
use crate::schema::ask;

/// Tables whose rows are as many as there are things on the floor.
const DO_NOT_GROW: &[&str] = &["casino", "staff", "gaming_table", "table_par", "metric_stamp"];

/// By table: scans from end to end, and rows read, as this transaction has counted them.
async fn read_so_far(connection: &impl ConnectionTrait) -> BTreeMap<String, (i64, i64)> {
    const READ: &str = "
        SELECT jsonb_object_agg(relname, jsonb_build_array(seq_scan, seq_tup_read + COALESCE(idx_tup_fetch, 0))) AS json
          FROM pg_stat_xact_user_tables";
    serde_json::from_value(ask(connection, READ, []).await).expect("counters")
}

/// What reading one day and eight hours of it takes: rows, and growing tables read from end to end. Plans are those that hold whatever the
/// values are.
async fn bill(house: &House) -> (i64, Vec<String>) {
    let casino = house.home.casino;
    let app = house.cluster.app().await;
    let tx = beside(&app).await;
    let context =
        format!("SELECT set_config('app.casino_id', '{casino}', true), set_config('plan_cache_mode', 'force_generic_plan', true)");
    tx.execute_unprepared(&context).await.expect("a tenant");
    let facts = |day: &str, until: &str| {
        format!(
            "SELECT window_facts('{casino}', NULL, {day}, '2026-03-05', '2026-03-05T12:00Z', '2026-03-05T{until}Z'::timestamptz, '12 hours')"
        )
    };
    let before = read_so_far(&tx).await;
    for asked in [
        facts("'2026-03-05'", "23:59"),
        facts("NULL", "20:00"),
        format!("SELECT window_stamp('{casino}', NULL)"),
    ] {
        tx.execute_unprepared(&asked).await.expect("read");
    }
    let after = read_so_far(&tx).await;
    let (mut rows, mut scanned) = (0, Vec::new());
    for (table, (scans, read)) in after {
        let (scanned_before, read_before) = before.get(&table).copied().unwrap_or_default();
        rows += read - read_before;
        if scans > scanned_before && !DO_NOT_GROW.contains(&table.as_str()) {
            scanned.push(table);
        }
    }
    (rows, scanned)
}

#[tokio::test]
async fn a_day_is_read_by_indexes_and_as_fast_after_three_months_as_after_three_days() {
    let (young, old) = (House::open().await, House::open().await);
    young.load_history(20, 3, "2026-03-06").await;
    old.load_history(20, 90, "2026-03-06").await;
    assert!(old.count("table_buyin_telemetry").await > 30_000, "three months are not empty");
    let ((few, _), (many, scanned)) = (bill(&young).await, bill(&old).await);
    assert_eq!(scanned, Vec::<String>::new());
    assert!(few > 1_000, "the reading is on the bill: {few}");
    // The oldest of three days has fewer sessions before it to look back to.
    assert!(many <= few + few / 20, "rows after three days: {few}, after three months: {many}");
}

/// The 95th of a hundred.
fn p95(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() * 95 / 100]
}

/// `cargo test --release --test it metrics::cost:: -- --ignored --nocapture`: the budgets at 300 tables, 3 shifts, 90 days.
#[tokio::test]
#[ignore = "loads half a gigabyte and measures: for a quiet machine"]
async fn a_big_floor_is_told_within_its_budgets() {
    const ASKED: usize = 40;
    let house = House::open().await;
    let loading = Instant::now();
    house.load_history(300, 90, "2026-03-06").await;
    eprintln!("loaded in {:?}", loading.elapsed());
    let mut over = Vec::new();
    for (view, budget) in [("tables", 200), ("casino", 150), ("pits", 150), ("summary", 300)] {
        for by in ["gaming_day", "shift_id"] {
            let shifts = house.texts("SELECT id::text FROM shift ORDER BY starts_at").await;
            let (mut cold, mut warm) = (Vec::new(), Vec::new());
            for n in 0..ASKED {
                // Another window each time: nothing of an answer can be remembered.
                let asked = if by == "shift_id" {
                    format!("{view}?shift_id={}", shifts[shifts.len() - 1 - n])
                } else {
                    let day = chrono::NaiveDate::from_ymd_opt(2026, 3, 6).expect("a date") - chrono::Days::new(n as u64);
                    format!("{view}?gaming_day={day}")
                };
                let begun = Instant::now();
                let reply = house.get("CO-01", &format!("metrics/{asked}")).await;
                cold.push(begun.elapsed());
                reply.expect(200);
                let begun = Instant::now();
                let again = read_knowing(&house, &asked, &tag(&reply)).await;
                warm.push(begun.elapsed());
                assert_eq!(again.status, 304);
            }
            let (cold, warm) = (p95(cold), p95(warm));
            eprintln!("{view} by {by}: p95 {cold:?} (budget {budget} ms), 304 p95 {warm:?} (budget 5 ms)");
            if cold > Duration::from_millis(budget) || warm > Duration::from_millis(5) {
                over.push(format!("{view} by {by}: {cold:?}, 304 {warm:?}"));
            }
        }
    }
    assert!(over.is_empty(), "{over:#?}");
}
