//! Window metrics over HTTP: what a shift tells of its tables, that a tag never outlives a change, that Postgres and the law read the same
//! facts alike, and what a reading costs.

mod cost;
mod random;

use std::time::Duration;

use rundown::clock::new_id;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, TransactionTrait as _};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{House, Reply, below, text, tray};

const DAY: &str = "gaming_day=2026-03-06";

/// Reads as compliance; the path is below `metrics/`.
async fn read(house: &House, path: &str) -> Value {
    house.get("CO-01", &format!("metrics/{path}")).await.expect(200).clone()
}

async fn read_knowing(house: &House, path: &str, tag: &str) -> Reply {
    let person = house.person("CO-01");
    person
        .send(
            reqwest::Method::GET,
            &below(&format!("metrics/{path}")),
            &[("if-none-match", tag)],
            None,
        )
        .await
}

fn tag(reply: &Reply) -> String {
    reply.header("etag").expect("a tag").to_owned()
}

/// Says as the owner of the database: past row security, not past triggers.
async fn as_owner(house: &House, sql: &str) {
    let owner = house.cluster.owner().await;
    owner.execute_unprepared(sql).await.expect(sql);
    owner.close().await.expect("closed");
}

async fn shift(house: &House, starts_at: &str, ends_at: &str) -> Uuid {
    let (shift, template, casino) = (new_id(), new_id(), house.home.casino);
    let sql = format!(
        "INSERT INTO shift_template (id, casino_id, name, local_start, local_end) VALUES ('{template}', '{casino}', 'Swing', '14:00', '22:00');
         INSERT INTO shift (id, casino_id, gaming_day, name, starts_at, ends_at, template_id)
         VALUES ('{shift}', '{casino}', '2026-03-06', 'Swing', '{starts_at}', '{ends_at}', '{template}')"
    );
    as_owner(house, &sql).await;
    shift
}

fn pass(house: &House, minutes: u64) {
    house.clock.advance(Duration::from_mins(minutes));
}

async fn grind(house: &House, table: &str, cents: i64) {
    let body =
        json!({ "table_id": house.table(table), "amount_cents": cents, "telemetry_kind": "GRIND_BUYIN", "idempotency_key": new_id() });
    house.post("PB-01", "buyin-telemetry", body).await.expect(201);
}

/// A rated buy-in of a slip that is only a name.
fn rated_sql(house: &House, table: &str, cents: i64) -> String {
    format!(
        "INSERT INTO table_buyin_telemetry (id, casino_id, gaming_day, table_id, visit_id, rating_slip_id, amount_cents, telemetry_kind, source,
             occurred_at, actor_id, idempotency_key, is_late)
         VALUES ('{id}', '{casino}', '2026-03-06', '{table}', '{id}', '{id}', {cents}, 'RATED_BUYIN', 'manual_ops', '{now}', '{actor}', 'man:{id}', false)",
        id = new_id(),
        casino = house.home.casino,
        table = house.table(table),
        now = house.clock.now().to_rfc3339(),
        actor = house.staff("PB-01"),
    )
}

async fn rated(house: &House, table: &str, cents: i64) {
    let sql = rated_sql(house, table, cents);
    as_owner(
        house,
        &format!("SET session_replication_role = replica; {sql}; SET session_replication_role = DEFAULT"),
    )
    .await;
}

/// Opened with 2,000.00 at 15:05, filled by 100.00, 80.00 rated and 50.00 unrated seen to be bought in, 500.00 in the box, closed with 1,800.00
/// at 17:10, ten minutes after its shift: won 200.00.
async fn played(house: &House) -> (Uuid, String) {
    let shift = shift(house, "2026-03-06T20:00:00Z", "2026-03-06T23:00:00Z").await;
    pass(house, 5);
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    pass(house, 30);
    house.slip(&session, "fill", "f-1", json!({ "10000": 1 })).await;
    grind(house, "BJ-01", 5_000).await;
    rated(house, "BJ-01", 8_000).await;
    pass(house, 60);
    house
        .advance("PB-01", &session, json!({ "to": "DROP_SCHEDULED" }))
        .await
        .expect(200);
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let papers = json!([{ "kind": "fill_slip", "number": "1", "amount_cents": 10_000 }, { "kind": "opener", "amount_cents": 200_000 }]);
    house.soft_count(&drop, 50_000, papers).await.expect(201);
    pass(house, 30);
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    pass(house, 5);
    house.count_tray(&session, "close", json!({ "10000": 18 })).await;
    assert_eq!(house.status(&session).await, "RECONCILED");
    (shift, session)
}

#[tokio::test]
async fn a_shift_tells_what_each_table_won_in_three_ways_and_how_far_to_trust_them() {
    let house = House::open().await;
    let (shift, session) = played(&house).await;
    let summary = read(&house, &format!("summary?shift_id={shift}")).await;
    let head = json!([
        summary["window_start"],
        summary["window_end"],
        summary["shift_id"],
        summary["gaming_day"],
        summary["computed_at"]
    ]);
    let now = house.clock.now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    assert_eq!(
        head,
        json!(["2026-03-06T20:00:00Z", "2026-03-06T23:00:00Z", shift, "2026-03-06", now])
    );

    let table = &summary["tables"][0];
    let provenance = json!([
        table["table"],
        table["opening_source"],
        table["coverage_type"],
        table["opening_at"],
        table["closing_source"],
        table["closing_at"]
    ]);
    let expected = json!([
        "BJ-01",
        "snapshot:verified_open",
        "full",
        "2026-03-06T21:05:00Z",
        "snapshot:verified_close",
        "2026-03-06T23:10:00Z"
    ]);
    assert_eq!(provenance, expected);
    assert_eq!(
        json!([table["flows_from"], table["flows_to"]]),
        json!([table["opening_at"], table["closing_at"]])
    );
    let money = [
        "opening_total_cents",
        "closing_total_cents",
        "fills_total_cents",
        "credits_total_cents",
        "drop_total_cents",
    ]
    .map(|name| &table[name]);
    assert_eq!(json!(money), json!([200_000, 180_000, 10_000, 0, 50_000]));
    let seen = [
        "estimated_drop_rated_cents",
        "estimated_drop_grind_cents",
        "estimated_drop_total_cents",
    ]
    .map(|name| &table[name]);
    assert_eq!(json!(seen), json!([8_000, 5_000, 13_000]));
    let wins = [
        "win_loss_inventory_cents",
        "win_loss_estimated_cents",
        "win_loss_stat_cents",
        "hold_bp",
    ]
    .map(|name| &table[name]);
    assert_eq!(json!(wins), json!([-30_000, -17_000, 20_000, 4_000]));
    assert_eq!(
        (&table["metric_grade"], &table["telemetry_quality"]),
        (&json!("AUTHORITATIVE"), &json!("GOOD_COVERAGE"))
    );

    // The same win as the session's own report, by the same formula.
    let report = house.get("CO-01", &format!("sessions/{session}/rundown")).await.expect(200).clone();
    assert_eq!(table["win_loss_stat_cents"], report["win_loss_stat_cents"]);
    assert_eq!(table["metric_grade"], report["metric_grade"]);

    // Nobody counted the others: they are taken to be at par, and there is nothing to close with.
    let idle = &summary["tables"][1];
    let idle = json!([
        idle["table"],
        idle["opening_source"],
        idle["coverage_type"],
        idle["opening_snapshot_id"],
        idle["closing_total_cents"]
    ]);
    assert_eq!(idle, json!(["BJ-02", "bootstrap:par_target", "assumed", null, null]));

    let casino = &summary["casino"];
    let sums = [
        "tables",
        "open_tables",
        "covered_tables",
        "coverage_bp",
        "win_loss_stat_cents",
        "win_loss_stat_skipped",
        "hold_bp",
    ]
    .map(|name| &casino[name]);
    assert_eq!(json!(sums), json!([3, 1, 1, 3_333, 20_000, 2, 4_000]));
    assert_eq!(casino["metric_grade"], "ESTIMATE", "two tables are not proved");
    let mut pit = summary["pits"][0].clone();
    assert_eq!(pit["pit"], "Pit 1");
    pit["pit"] = Value::Null;
    assert_eq!(&pit, casino, "all tables stand in one pit");
}

#[tokio::test]
async fn every_view_tells_its_part_of_the_summary() {
    let house = House::open().await;
    let (shift, _) = played(&house).await;
    for asked in [
        format!("shift_id={shift}"),
        DAY.to_owned(),
        "window_start=2026-03-06T21:00:00Z&window_end=2026-03-07T21:00:00Z".to_owned(),
    ] {
        let summary = read(&house, &format!("summary?{asked}")).await;
        assert_eq!(read(&house, &format!("tables?{asked}")).await["items"], summary["tables"]);
        assert_eq!(read(&house, &format!("pits?{asked}")).await["items"], summary["pits"]);
        assert_eq!(read(&house, &format!("casino?{asked}")).await["casino"], summary["casino"]);
        assert_eq!(summary["tables"][0]["win_loss_stat_cents"], 20_000, "{asked}");
    }
    // Hours are exactly what was asked for: the closing count is outside of these.
    let hours = read(&house, "tables?window_start=2026-03-06T20:00:00Z&window_end=2026-03-06T23:00:00Z").await;
    let table = &hours["items"][0];
    assert_eq!(
        json!([table["closing_total_cents"], table["missing_closing_snapshot"], table["flows_to"]]),
        json!([null, true, "2026-03-06T23:00:00Z"])
    );
    assert_eq!(json!([hours["shift_id"], hours["gaming_day"]]), json!([null, null]));
    // Later hours begin with what was counted before them.
    let later = read(&house, "tables?window_start=2026-03-06T22:00:00Z&window_end=2026-03-07T00:00:00Z").await;
    let table = &later["items"][0];
    assert_eq!(
        json!([table["opening_source"], table["opening_at"]]),
        json!(["snapshot:prior_count", "2026-03-06T21:05:00Z"])
    );
    assert_eq!(
        json!([table["fills_total_cents"], table["win_loss_stat_cents"]]),
        json!([10_000, 20_000]),
        "over the interval between the counts"
    );
}

#[tokio::test]
async fn a_tag_holds_until_something_it_tells_changes() {
    let house = House::open().await;
    let shift = shift(&house, "2026-03-06T20:00:00Z", "2026-03-07T04:00:00Z").await;
    let path = format!("tables?shift_id={shift}");
    let first = house.get("CO-01", &format!("metrics/{path}")).await;
    first.expect(200);
    let mut known = tag(&first);
    pass(&house, 1);
    let same = read_knowing(&house, &path, &known).await;
    assert_eq!(
        (same.status, same.text.as_str(), tag(&same)),
        (304, "", known.clone()),
        "a later moment is no change"
    );

    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let mut expect_news = async |what: &str| {
        let told = read_knowing(&house, &path, &known).await;
        assert_eq!(told.status, 200, "{what}");
        assert_ne!(tag(&told), known, "{what}");
        known = tag(&told);
        assert_eq!(read_knowing(&house, &path, &known).await.status, 304, "after {what}");
    };
    expect_news("an opener").await;
    pass(&house, 10);
    house.slip(&session, "fill", "f-1", json!({ "10000": 1 })).await;
    expect_news("a fill").await;
    grind(&house, "BJ-01", 2_500).await;
    expect_news("a buy-in by hand").await;
    pass(&house, 10);
    house.count_tray(&session, "rundown", tray()).await;
    expect_news("a mid-shift count").await;
    house
        .advance("PB-01", &session, json!({ "to": "DROP_SCHEDULED" }))
        .await
        .expect(200);
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    pass(&house, 10);
    house.count_tray(&session, "close", tray()).await;
    expect_news("a closer").await;
    house.soft_count(&drop, 10_000, json!([])).await.expect(201);
    expect_news("a soft count").await;
    house
        .person("AD-01")
        .post(&format!("/api/v1/tables/{}/par", house.table("BJ-02")), json!({ "par_cents": 700 }))
        .await
        .expect(201);
    expect_news("a par").await;
    let rename = json!({ "label": "BJ-99" });
    house
        .person("AD-01")
        .patch(&format!("/api/v1/tables/{}", house.table("BJ-03")), rename)
        .await
        .expect(200);
    expect_news("another name").await;
}

/// Half of the pit logs its unrated buy-ins: whether that vouches for the other half is the casino's to say, and whoever reads is told what it said.
#[tokio::test]
async fn how_much_of_a_pit_vouches_for_a_table_is_the_casinos_to_say() {
    let house = House::open().await;
    for table in ["BJ-01", "BJ-02"] {
        house.open_table(table, &format!("{table}-A"), tray()).await;
    }
    pass(&house, 5);
    grind(&house, "BJ-01", 2_500).await;
    rated(&house, "BJ-02", 8_000).await;
    let path = format!("tables?{DAY}");
    let said = |reply: &Reply| {
        let table = &reply.expect(200)["items"][1];
        let share = &table["telemetry_counts"]["pit_grind_share_bp"];
        json!([
            table["table"],
            table["telemetry_quality"],
            table["telemetry_notes"],
            share,
            table["telemetry_rule"]
        ])
    };
    let rule = "telemetry_quality/2";
    let usual = house.get("CO-01", &format!("metrics/{path}")).await;
    let notes = json!(["no_grind_at_table", "pit_grind_share_too_low"]);
    assert_eq!(said(&usual), json!(["BJ-02", "LOW_COVERAGE", notes, 8_000, rule]));
    house.settle_policy(json!({ "pit_grind_share_bp": 5_000 })).await;
    let less = read_knowing(&house, &path, &tag(&usual)).await;
    assert_eq!(
        said(&less),
        json!(["BJ-02", "GOOD_COVERAGE", ["grind_from_pit_share"], 5_000, rule])
    );
    for wrong in [0, 10_001] {
        let reply = house
            .person("AD-01")
            .patch("/api/v1/casino", json!({ "pit_grind_share_bp": wrong }))
            .await;
        reply.refused(422, "validation_failed");
        assert_eq!(reply.pointers(), ["/pit_grind_share_bp"]);
    }
}

/// Taken back is the adjustment, not what it adjusted.
#[tokio::test]
async fn an_adjustment_that_is_undone_leaves_the_buy_in_it_was_about() {
    let house = House::open().await;
    house.open_table("BJ-01", "BJ-01-A", tray()).await;
    pass(&house, 5);
    grind(&house, "BJ-01", 2_500).await;
    let adjustment = json!({
        "table_id": house.table("BJ-01"), "amount_cents": -500, "telemetry_kind": "GRIND_ADJUSTMENT", "idempotency_key": new_id(),
    });
    let adjustment = crate::support::id(house.post("PB-01", "buyin-telemetry", adjustment).await.expect(201));
    house
        .post("PB-01", &format!("buyin-telemetry/{adjustment}/undo"), json!({}))
        .await
        .expect(201);
    pass(&house, 5);
    let table = read(&house, &format!("tables?{DAY}")).await["items"][0].clone();
    let said = ["estimated_drop_grind_cents", "telemetry_quality"].map(|name| table[name].clone());
    assert_eq!(
        (json!(said), &table["telemetry_counts"]["grind_buyins"]),
        (json!([2_500, "GOOD_COVERAGE"]), &json!(1))
    );
}

#[tokio::test]
async fn what_a_window_does_not_show_leaves_its_reader_with_what_they_have() {
    let house = House::open().await;
    let past = "tables?window_start=2026-03-06T10:00:00Z&window_end=2026-03-06T20:00:00Z";
    let first = house.get("CO-01", &format!("metrics/{past}")).await;
    let known = tag(&first);
    pass(&house, 5);
    house.open_table("BJ-01", "BJ-01-A", tray()).await;
    // The casino's counters have moved; nothing of these hours has.
    let told = read_knowing(&house, past, &known).await;
    assert_eq!(told.status, 304);
    assert_ne!(tag(&told), known, "a tag that proves it faster next time");
    assert_eq!(read_knowing(&house, past, &tag(&told)).await.status, 304);
    // A tag of one view, or of other hours, says nothing of another.
    for other in [past.replace("tables", "pits"), past.replace("T20:00", "T21:30")] {
        assert_eq!(read_knowing(&house, &other, &known).await.status, 200, "{other}");
    }
    assert_eq!(read_knowing(&house, past, "\"nonsense\"").await.status, 200);
    assert_eq!(read_knowing(&house, past, &format!("\"other\", W/{known}")).await.status, 304);
}

#[tokio::test]
async fn another_casinos_facts_change_no_tag() {
    let mut house = House::open().await;
    let known = tag(&house.get("CO-01", &format!("metrics/casino?{DAY}")).await);
    std::mem::swap(&mut house.home, &mut house.other);
    house.open_table("BJ-01", "BJ-01-A", tray()).await;
    std::mem::swap(&mut house.home, &mut house.other);
    let told = read_knowing(&house, &format!("casino?{DAY}"), &known).await;
    assert_eq!((told.status, tag(&told)), (304, known));
}

#[expect(clippy::disallowed_methods, reason = "the test goes around the daemon on purpose")]
async fn beside(owner: &DatabaseConnection) -> DatabaseTransaction {
    owner.begin().await.expect("a transaction")
}

/// The trap of every "latest change": who began first may commit last, under numbers already read.
#[tokio::test]
async fn a_commit_that_comes_late_is_not_missed() {
    let house = House::open().await;
    let path = format!("tables?{DAY}");
    pass(&house, 5);
    let owner = house.cluster.owner().await;
    let slow = beside(&owner).await;
    slow.execute_unprepared(&grind_sql(&house, "BJ-01", 1_000))
        .await
        .expect("the first");
    let fast = beside(&owner).await;
    fast.execute_unprepared(&grind_sql(&house, "BJ-02", 2_000))
        .await
        .expect("the second");
    fast.commit().await.expect("commits first");
    let between = house.get("CO-01", &format!("metrics/{path}")).await;
    assert_eq!(between.expect(200)["items"][0]["estimated_drop_grind_cents"], Value::Null);
    slow.commit().await.expect("commits last");
    let after = read_knowing(&house, &path, &tag(&between)).await;
    assert_eq!(after.expect(200)["items"][0]["estimated_drop_grind_cents"], 1_000);

    // What is taken back was never there.
    let dropped = beside(&owner).await;
    dropped
        .execute_unprepared(&grind_sql(&house, "BJ-01", 3_000))
        .await
        .expect("the third");
    dropped.rollback().await.expect("taken back");
    assert_eq!(read_knowing(&house, &path, &tag(&after)).await.status, 304);
}

fn grind_sql(house: &House, table: &str, cents: i64) -> String {
    format!(
        "INSERT INTO table_buyin_telemetry (id, casino_id, gaming_day, table_id, amount_cents, telemetry_kind, source, occurred_at, actor_id,
             idempotency_key, is_late)
         VALUES ('{id}', '{casino}', '2026-03-06', '{table}', {cents}, 'GRIND_BUYIN', 'manual_ops', '{now}', '{actor}', 'man:{id}', false)",
        id = new_id(),
        casino = house.home.casino,
        table = house.table(table),
        now = house.clock.now().to_rfc3339(),
        actor = house.staff("PB-01"),
    )
}

#[tokio::test]
async fn a_window_is_asked_for_in_one_way_and_for_two_days_at_most() {
    let house = House::open().await;
    let reader = house.person("CO-01");
    for (query, word) in [
        ("", "one of"),
        ("shift_id=1", "query"),
        ("gaming_day=2026-03-06&shift_id=00000000-0000-7000-8000-000000000001", "one of"),
        ("window_start=2026-03-06T00:00:00Z", "one of"),
        ("gaming_day=tomorrow", "query"),
        ("gaming_day=-4000-01-01", "years"),
        ("window_start=2026-03-06T00:00:00Z&window_end=2026-03-06T00:00:00Z", "window_end"),
        ("window_start=2026-03-06T00:00:00Z&window_end=2026-03-08T00:00:01Z", "48 hours"),
        ("gaming_day=2026-03-06&table=1", "table"),
    ] {
        let reply = reader.get(&below(&format!("metrics/summary?{query}"))).await;
        let detail = text(reply.refused(400, "malformed_request"), "detail");
        assert!(detail.contains(word), "{query}: {detail}");
    }
    read(&house, "summary?window_start=2026-03-06T00:00:00Z&window_end=2026-03-08T00:00:00Z").await;
    // The first and the last day that may be asked about are days as any other.
    for day in ["1970-01-01", "9999-12-31"] {
        let told = read(&house, &format!("summary?gaming_day={day}")).await;
        assert_eq!(
            (&told["gaming_day"], told["tables"][0]["opening_source"].is_string()),
            (&json!(day), true)
        );
    }
    let nowhere = new_id();
    reader
        .get(&below(&format!("metrics/casino?shift_id={nowhere}")))
        .await
        .refused(404, "not_found");
}
