//! The casino day with its players: `telemetry.jsonl` played among the day's acts, and what the windows make of it. Every expected figure is
//! worked out by hand here; the sums stand beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use rundown::casino_folder::Folder;
use rundown::clock::Clock;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Floor, all_accepted, folder};
use crate::schema::ask;

/// Acts of `day.jsonl` and of `telemetry.jsonl`.
const ACTS: usize = 816 + 58;

/// Rated and grind cents of every table somebody bought in at, and how far they may be trusted.
const BOUGHT_IN: &[(&str, i64, i64, &str)] = &[
    // Over the bridge 500.00 + 300.00 − 50.00, by hand 25.00; unrated 20.00 + 40.00.
    ("BJ-01", 77_500, 6_000, "GOOD_COVERAGE"),
    ("BJ-02", 0, 10_000, "GOOD_COVERAGE"),
    // 60.00 taken back at once, then 80.00.
    ("BJ-03", 0, 8_000, "GOOD_COVERAGE"),
    ("BJ-04", 0, 2_500, "GOOD_COVERAGE"),
    ("BJ-05", 0, 30_000, "GOOD_COVERAGE"),
    // 15.00 − 5.00.
    ("BJ-06", 0, 1_000, "GOOD_COVERAGE"),
    ("RL-01", 0, 4_500, "GOOD_COVERAGE"),
    ("RL-02", 0, 5_500, "GOOD_COVERAGE"),
    // A shadow player: 1,000.00 + 200.00 − 200.00 reversed. No grind of its own, but at 8 of the 9 tables of Pit 1, which is 88 %.
    ("RL-03", 100_000, 0, "GOOD_COVERAGE"),
    ("BJ-07", 40_000, 2_000, "GOOD_COVERAGE"),
    // By hand alone, and of the 11 tables of Pit 2 only two log grind.
    ("BJ-08", 7_500, 0, "LOW_COVERAGE"),
    // A ghost's visit.
    ("PK-01", 0, 3_500, "GOOD_COVERAGE"),
    // 20,000.00 in; the 5,000.00 paid out are no buy-in. One of the four tables of High Limit logs grind.
    ("BA-01", 2_000_000, 0, "LOW_COVERAGE"),
    ("BA-02", 0, 50_000, "GOOD_COVERAGE"),
];

/// A rated player sat there, and nothing was logged.
const SILENT: &str = "BJ-09";

/// By pit: rated and grind cents, and tables of good, low and no coverage.
const PITS: &[(&str, i64, i64, [i64; 3])] = &[
    ("High Limit", 2_000_000, 50_000, [1, 1, 2]),
    // 77,500 + 100,000; 6,000 + 10,000 + 8,000 + 2,500 + 30,000 + 1,000 + 4,500 + 5,500.
    ("Pit 1", 177_500, 67_500, [9, 0, 0]),
    // 40,000 + 7,500; 2,000 + 3,500.
    ("Pit 2", 47_500, 5_500, [2, 2, 7]),
];

/// 2,000,000 + 177,500 + 47,500, and 50,000 + 67,500 + 5,500.
const RATED: i64 = 2_225_000;
const GRIND: i64 = 123_000;

/// A clock that goes on while the day is played, slowly enough for its limits of minutes: a count later than another has a later time.
fn ticking(clock: &Clock) -> JoinSet<()> {
    let mut task = JoinSet::new();
    let clock = clock.clone();
    task.spawn(async move {
        loop {
            clock.advance(Duration::from_millis(20));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    task
}

impl Floor {
    async fn read(&self, path: &str) -> Value {
        let subject = format!("{}:CO-01", self.folder.casino.name);
        let token = self
            .issuer
            .issue(&subject, self.clock.now(), Duration::from_hours(12))
            .expect("a token");
        let url = format!("{}/api/v1/table-context/{path}", self.running.url());
        let answer = reqwest::Client::new().get(&url).bearer_auth(token).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.expect("a body")
    }
}

fn drops(figures: &Value) -> Value {
    json!([
        figures["estimated_drop_rated_cents"],
        figures["estimated_drop_grind_cents"],
        figures["estimated_drop_total_cents"]
    ])
}

fn by_name(items: &Value, name: &str) -> BTreeMap<String, Value> {
    let named = |item: &Value| (item[name].as_str().expect("a name").to_owned(), item.clone());
    items.as_array().expect("a list").iter().map(named).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_casino_day_with_its_players_shows_what_they_bought_in_for() {
    let floor = Floor::of(Folder::read_with_telemetry(&folder()).expect("the folder")).await;
    let mut going = ticking(&floor.clock);
    let outcome = floor.play(false).await;
    all_accepted(&outcome, ACTS);
    let bought = outcome.buyins.as_ref().expect("the folder tells of players");
    assert_eq!((bought.rated_cents, bought.grind_cents), (Some(RATED), Some(GRIND)));

    let summary = floor.read("metrics/summary?gaming_day=2026-03-06").await;
    assert_eq!(drops(&summary["casino"]), json!([RATED, GRIND, RATED + GRIND]));
    let pits = by_name(&summary["pits"], "pit");
    assert_eq!(pits.len(), PITS.len());
    for (pit, rated, grind, [good, low, none]) in PITS {
        let found = &pits[*pit];
        assert_eq!(drops(found), json!([rated, grind, rated + grind]), "{pit}");
        let coverage = json!([
            found["good_coverage_tables"],
            found["low_coverage_tables"],
            found["no_coverage_tables"]
        ]);
        assert_eq!(coverage, json!([good, low, none]), "{pit}");
    }
    let tables = by_name(&summary["tables"], "table");
    assert_eq!(tables.len(), 24);
    for (table, found) in &tables {
        let bought = BOUGHT_IN.iter().find(|(name, ..)| name == table);
        let expected = match bought {
            Some((_, rated, grind, quality)) => json!([[rated, grind, rated + grind], quality, false]),
            // Nothing known is null, not zero.
            None if table == SILENT => json!([[null, null, null], "LOW_COVERAGE", true]),
            None => json!([[null, null, null], "NONE", true]),
        };
        assert_eq!(
            json!([drops(found), found["telemetry_quality"], found["missing_telemetry"]]),
            expected,
            "{table}"
        );
        assert_eq!(
            (&found["coverage_type"], &found["closing_at"].is_null()),
            (&json!("full"), &false),
            "both counts of {table}"
        );
    }

    // One authoritative win a session that nobody has a question about, and none of any other.
    let sessions = &outcome.sessions;
    for session in sessions {
        let report = floor.read(&format!("sessions/{}/rundown", session.id)).await;
        let grade = if session.open_exceptions == Some(0) {
            "AUTHORITATIVE"
        } else {
            "ESTIMATE"
        };
        assert_eq!(
            (&report["metric_grade"], report["win_loss_stat_cents"].is_i64()),
            (&json!(grade), true),
            "{session:#?}"
        );
    }
    let reports = "SELECT jsonb_build_array(count(*), count(DISTINCT session_id)) AS json FROM table_rundown_report";
    assert_eq!(ask(&floor.owner, reports, []).await, json!([sessions.len(), sessions.len()]));
    assert!(
        sessions.iter().any(|session| session.open_exceptions == Some(0))
            && sessions.iter().any(|session| session.open_exceptions > Some(0))
    );

    let stored = floor.stored().await;
    let again = floor.play(false).await;
    all_accepted(&again, ACTS);
    assert_eq!(again.replayed, ACTS);
    assert_eq!(floor.stored().await, stored, "played again, nobody buys in twice");
    going.shutdown().await;
    floor.running.stop().await.expect("stopped in order");
}
