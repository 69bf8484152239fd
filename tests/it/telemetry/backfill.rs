//! The backfill: what finance wrote while there was no bridge, beside what it writes meanwhile.

use indicatif::ProgressBar;
use rundown::cli::backfill::{self, Filled};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use super::{Seated, as_found, seated, standing};
use crate::schema::ask;
use crate::support::OTHER_CASINO;

/// More than one batch.
const MISSED: u64 = 1_200;

/// Rows written while the bridge was down, by somebody who had a context.
async fn missed(floor: &Seated, how_many: u64) {
    let owner = floor.house.cluster.owner().await;
    let bridge = async |what: &str| {
        let sql = format!("ALTER TABLE player_financial_transaction {what} TRIGGER bridge_buyin");
        owner.execute_unprepared(&sql).await.expect("altered");
    };
    bridge("DISABLE").await;
    let one = floor.own_row();
    let many = one
        .split_once("VALUES")
        .map(|(head, row)| {
            let id = row.split('\'').nth(1).expect("an id");
            let row = row
                .trim()
                .trim_start_matches('(')
                .trim_end_matches(')')
                .replace(&format!("'{id}'"), "uuid_v7()");
            format!("{head} SELECT {row} FROM generate_series(1, {how_many})")
        })
        .expect("an insert");
    owner.execute_unprepared(&many).await.expect("missed");
    bridge("ENABLE").await;
    owner.close().await.expect("closed");
}

async fn run(floor: &Seated) -> Filled {
    let filled = backfill::telemetry(&as_found(&floor.house), Some(&floor.house.home.name), ProgressBar::hidden()).await;
    filled.expect("filled in").remove(0).1
}

const fn came_to(inserted: u64, skipped: u64, ineligible: u64) -> Filled {
    Filled {
        inserted,
        skipped,
        ineligible,
    }
}

/// Every rated buy-in of finance has one row with its own key, time, actor and amount, and no row is without one.
async fn assert_whole(floor: &Seated) {
    let sql = "SELECT jsonb_build_array(
            (SELECT count(*) FROM player_financial_transaction AS t WHERE t.direction = 'in' AND t.rating_slip_id IS NOT NULL
                AND 1 <> (SELECT count(*) FROM table_buyin_telemetry AS b
                           WHERE b.idempotency_key = 'pft:' || t.id AND b.casino_id = t.casino_id AND b.occurred_at = t.occurred_at
                             AND b.actor_id = t.created_by_staff_id AND b.amount_cents = t.amount_cents AND b.gaming_day = t.gaming_day)),
            (SELECT count(*) FROM table_buyin_telemetry AS b WHERE b.source = 'finance_bridge'
                AND NOT EXISTS (SELECT FROM player_financial_transaction AS t WHERE 'pft:' || t.id = b.idempotency_key))) AS json";
    let owner = floor.house.cluster.owner().await;
    assert_eq!(ask(&owner, sql, []).await, json!([0, 0]));
}

#[tokio::test]
async fn what_was_missed_is_written_once_however_often_it_runs() {
    let floor = seated().await;
    missed(&floor, MISSED).await;
    floor.buy_in(5_000).await;
    let out = json!({ "player_id": floor.player, "rating_slip_id": floor.slip, "direction": "out", "amount_cents": 100 });
    floor.pay(out).await.expect(201);
    assert_eq!(run(&floor).await, came_to(MISSED, 1, 1));
    assert_whole(&floor).await;
    assert_eq!(run(&floor).await, came_to(0, MISSED + 1, 1));
    assert_whole(&floor).await;
    let audited = floor
        .house
        .texts("SELECT dto_after->>'inserted' FROM audit_log WHERE action = 'backfill_telemetry'")
        .await;
    assert_eq!(audited, [MISSED.to_string()], "a run that found everything done leaves no trace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_live_writes_nothing_is_doubled_or_lost() {
    let floor = seated().await;
    missed(&floor, MISSED).await;
    let live = async {
        for cents in 1..=60 {
            floor.buy_in(cents * 100).await;
        }
    };
    // Two of them, as an impatient person would start.
    let ((), first, second) = tokio::join!(live, run(&floor), run(&floor));
    assert_eq!(first.inserted + second.inserted, MISSED, "{first} / {second}");
    assert_whole(&floor).await;
    assert_eq!(run(&floor).await, came_to(0, MISSED + 60, 0));
}

#[tokio::test]
async fn an_adjustment_finds_what_it_adjusts_and_a_casino_only_its_own() {
    let floor = seated().await;
    missed(&floor, 1).await;
    let first = floor
        .house
        .texts("SELECT id::text FROM player_financial_transaction")
        .await
        .remove(0);
    let adjustment = json!({ "kind": "adjustment", "corrects_id": first, "amount_cents": -500 });
    floor.pay(adjustment).await.expect(201);
    let across = backfill::telemetry(&as_found(&floor.house), Some(OTHER_CASINO), ProgressBar::hidden()).await;
    assert_eq!(across.expect("filled in"), [(OTHER_CASINO.to_owned(), came_to(0, 0, 0))]);
    assert_eq!(run(&floor).await, came_to(1, 1, 0));
    let rows: Vec<Value> = floor.telemetry("").await;
    assert_eq!(rows.iter().filter_map(|row| row["amount_cents"].as_i64()).sum::<i64>(), 4_500);
}

/// Guardrail G1 holds for the backfill too, and the daemon's role may not run it.
#[tokio::test]
async fn the_backfill_is_the_owners_and_needs_a_whole_context() {
    let floor = seated().await;
    let call = "SELECT backfill_buyins(NULL, 10)";
    let owner = floor.house.cluster.owner().await;
    assert_eq!(super::refusal(&owner, call).await.1, "bridge_context");
    let half = standing(&owner, floor.house.home.casino, "").await;
    assert_eq!(super::refusal(&half, call).await.1, "bridge_context");
    let app = floor.house.cluster.app().await;
    let tx = standing(&app, floor.house.home.casino, floor.house.staff("PB-01")).await;
    assert_eq!(super::refusal(&tx, call).await.0, "42501");
}
