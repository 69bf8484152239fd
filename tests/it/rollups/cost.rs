//! What it costs: the recompute after one fill reads the same rows with one day of history behind it and with two years, and neither it nor a
//! reader looks through a whole table that grows.

use super::*;

/// Tables of the house that are not there to be played on: history has more of them than the floor.
const OTHER_TABLES: usize = 3;

/// A finalized session's rows, again and again: each day before today, on each table. Written past the triggers, which would make it slow.
///
/// Ids begin with the moment, as they do in life; whatever a row points at within its session is numbered the same way.
fn history(house: &House, session: &str, days: usize) -> String {
    let tables = ["BJ-01", "BJ-02", "BJ-03"]
        .map(|label| format!("'{}'::uuid", house.table(label)))
        .join(",");
    format!(
        "SET session_replication_role = replica;
         CREATE TEMP TABLE again AS
             SELECT days.n AS day, tables.n AS nth, tables.id AS table_id, row_number() OVER (ORDER BY days.n, tables.n) AS k
               FROM generate_series(1, {days}) AS days (n)
              CROSS JOIN (SELECT row_number() OVER () AS n, id FROM (
                              SELECT unnest(ARRAY[{tables}]) AS id UNION ALL SELECT gen_random_uuid() FROM generate_series(1, {OTHER_TABLES})) AS ids) AS tables;
         -- The moment a day of history began, in milliseconds, leads each of its ids.
         CREATE FUNCTION pg_temp.of(old uuid, day int, k bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
             SELECT (lpad(to_hex((extract(epoch FROM date '2026-03-06' - day) * 1000)::bigint + k % 1000), 12, '0')
                     || '7' || substr(md5(old::text || k::text), 1, 19))::uuid $$;
         INSERT INTO table_inventory_session
             SELECT (jsonb_populate_record(s, jsonb_build_object(
                 'id', pg_temp.of(s.id, a.day, a.k), 'table_id', a.table_id, 'gaming_day', s.gaming_day - a.day,
                 'shift_id', pg_temp.of(s.shift_id, a.day, 0),
                 'opening_snapshot_id', pg_temp.of(s.opening_snapshot_id, a.day, a.k),
                 'closing_snapshot_id', pg_temp.of(s.closing_snapshot_id, a.day, a.k)))).*
               FROM table_inventory_session AS s, again AS a WHERE s.id = '{session}';
         INSERT INTO session_pit SELECT pg_temp.of('{session}', a.day, a.k), '{casino}', 'Pit 1' FROM again AS a;
         INSERT INTO table_inventory_snapshot
             SELECT (jsonb_populate_record(n, jsonb_build_object('id', pg_temp.of(n.id, a.day, a.k), 'session_id', pg_temp.of(n.session_id, a.day, a.k)))).*
               FROM table_inventory_snapshot AS n, again AS a WHERE n.session_id = '{session}';
         INSERT INTO table_slip
             SELECT (jsonb_populate_record(x, jsonb_build_object(
                 'id', pg_temp.of(x.id, a.day, a.k), 'session_id', pg_temp.of(x.session_id, a.day, a.k), 'table_id', a.table_id,
                 'request_id', x.request_id || '-' || a.k, 'scope_key', (date '2026-03-06' - a.day)::text, 'slip_no', x.slip_no + a.k,
                 'drop_box_use', 1000000 + a.k))).*
               FROM table_slip AS x, again AS a WHERE x.session_id = '{session}';
         INSERT INTO table_drop_event
             SELECT (jsonb_populate_record(d, jsonb_build_object(
                 'id', pg_temp.of(d.id, a.day, a.k), 'session_id', pg_temp.of(d.session_id, a.day, a.k), 'table_id', a.table_id,
                 'drop_box_use', 1000000 + a.k))).*
               FROM table_drop_event AS d, again AS a WHERE d.session_id = '{session}';
         INSERT INTO soft_count_table_result
             SELECT (jsonb_populate_record(c, jsonb_build_object(
                 'id', pg_temp.of(c.id, a.day, a.k), 'session_id', pg_temp.of(c.session_id, a.day, a.k),
                 'drop_event_id', pg_temp.of(c.drop_event_id, a.day, a.k)))).*
               FROM soft_count_table_result AS c, again AS a WHERE c.session_id = '{session}';
         INSERT INTO reconciliation_exception
             SELECT (jsonb_populate_record(e, jsonb_build_object('id', pg_temp.of(e.id, a.day, a.k), 'session_id', pg_temp.of(e.session_id, a.day, a.k)))).*
               FROM reconciliation_exception AS e, again AS a WHERE e.session_id = '{session}';
         INSERT INTO table_rundown_report
             SELECT (jsonb_populate_record(r, jsonb_build_object(
                 'id', pg_temp.of(r.id, a.day, a.k), 'session_id', pg_temp.of(r.session_id, a.day, a.k),
                 'opening_snapshot_id', pg_temp.of(r.opening_snapshot_id, a.day, a.k),
                 'closing_snapshot_id', pg_temp.of(r.closing_snapshot_id, a.day, a.k)))).*
               FROM table_rundown_report AS r, again AS a WHERE r.session_id = '{session}';
         INSERT INTO signature
             SELECT (jsonb_populate_record(g, jsonb_build_object(
                 'id', pg_temp.of(g.id, a.day, a.k), 'session_id', pg_temp.of(g.session_id, a.day, a.k),
                 'subject_id', pg_temp.of(g.subject_id, a.day, a.k)))).*
               FROM signature AS g, again AS a WHERE g.session_id = '{session}';
         INSERT INTO rollup
             SELECT (jsonb_populate_record(r, jsonb_build_object(
                 'gaming_day', r.gaming_day - a.day, 'table_id', CASE r.grain WHEN 'table' THEN a.table_id END,
                 'shift_id', pg_temp.of(r.shift_id, a.day, 0),
                 'cell_key', concat_ws(':', r.grain, r.by, COALESCE(pg_temp.of(r.shift_id, a.day, 0)::text, (r.gaming_day - a.day)::text),
                                       CASE r.grain WHEN 'table' THEN a.table_id::text WHEN 'pit' THEN r.pit END)))).*
               FROM rollup AS r, again AS a WHERE r.grain = 'table' OR a.nth = 1;
         INSERT INTO shift
             SELECT (jsonb_populate_record(h, jsonb_build_object('id', pg_temp.of(h.id, a.day, 0), 'gaming_day', h.gaming_day - a.day))).*
               FROM shift AS h, again AS a WHERE a.nth = 1;
         SET session_replication_role = DEFAULT;
         ANALYZE;",
        casino = house.home.casino,
    )
}

/// A house with so much behind it, and today: a session in play, everything drained, and then one fill.
pub async fn house_after(days: usize) -> (House, Wire) {
    let wire = Wire::lay();
    let house = House::open_over(|url| wire.lead(&url)).await;
    house
        .shift_by_hand("Day", "2026-03-06", "2026-03-06T12:00:00Z", "2026-03-06T22:00:00Z")
        .await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    house.slip(&session, "fill", "f-1", json!({ "10000": 1 })).await;
    house.slip(&session, "credit", "c-1", json!({ "10000": 1 })).await;
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let papers = json!([
        { "kind": "fill_slip", "number": "1", "amount_cents": 10_000 }, { "kind": "credit_slip", "number": "1", "amount_cents": 10_000 },
        { "kind": "opener", "amount_cents": 200_000 },
    ]);
    house.soft_count(&drop, 50_000, papers).await.expect(201);
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    house.count_tray(&session, "close", tray()).await;
    for exception in house.exceptions(&session).await {
        let body = json!({ "reason_code": "CUSTODY_EXPLAINED", "resolution_note": "looked at" });
        house
            .post("CO-01", &format!("exceptions/{}/resolve", id(&exception)), body)
            .await
            .expect(200);
    }
    house.advance("CO-01", &session, json!({ "to": "FINALIZED" })).await.expect(200);
    house.drained().await;
    house.say(&history(&house, &session, days)).await;

    let today = house.open_table("BJ-01", "BJ-01-B", tray()).await;
    house.drained().await;
    house.slip(&today, "fill", "today-1", json!({ "10000": 1 })).await;
    (house, wire)
}

/// What the recompute reads, table by table, and the pages it touches.
#[derive(Debug)]
struct Bill {
    /// Rows read, by an index or without.
    rows: i64,
    pages: i64,
    /// Growing tables that were read from end to end.
    scanned: Vec<String>,
}

/// Tables whose rows are as many as there are things on the floor, par among them, and a queue that is empty again after every drain.
pub const DO_NOT_GROW: &[&str] = &["casino", "staff", "gaming_table", "table_par", "drop_box", "rollup_mark"];

/// By table: scans from end to end, and rows read. Seen by the transaction, functions and all, which EXPLAIN shows as one line.
type Read = BTreeMap<String, (i64, i64)>;

async fn read_so_far(connection: &impl ConnectionTrait) -> Read {
    const READ: &str = "
        SELECT jsonb_object_agg(relname, jsonb_build_array(seq_scan, seq_tup_read + COALESCE(idx_tup_fetch, 0))) AS json
          FROM pg_stat_xact_user_tables";
    serde_json::from_value(ask(connection, READ, []).await).expect("counters")
}

async fn bill(house: &House) -> Bill {
    const TAKE: &str = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT take_rollup_marks(200, now())";
    let app = house.cluster.app().await;
    // On one connection, and once to warm its plans: what planning reads is not the recompute's.
    let tx = beside_the_daemon(&app).await;
    tx.execute_unprepared(&format!("SELECT set_config('app.casino_id', '{}', true)", house.home.casino))
        .await
        .expect("a tenant");
    let (mut before, mut after, mut pages) = (Read::new(), Read::new(), 0);
    for _ in 0..2 {
        tx.execute_unprepared("SAVEPOINT as_it_was").await.expect("a savepoint");
        before = read_so_far(&tx).await;
        let plan = tx
            .query_one_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, TAKE))
            .await
            .expect(TAKE);
        let plan: Value = plan.expect("a plan").try_get_by_index(0).expect("JSON");
        pages = ["Shared Hit Blocks", "Shared Read Blocks"]
            .map(|name| plan[0]["Plan"][name].as_i64().expect("pages"))
            .into_iter()
            .sum();
        after = read_so_far(&tx).await;
        tx.execute_unprepared("ROLLBACK TO as_it_was").await.expect("as it was");
    }
    let read = after.into_iter().map(|(table, (scans, rows))| {
        let (scanned, known) = before.get(&table).copied().unwrap_or_default();
        (table, scans - scanned, rows - known)
    });
    let mut bill = Bill {
        rows: 0,
        pages,
        scanned: Vec::new(),
    };
    for (table, scans, rows) in read {
        bill.rows += rows;
        if scans > 0 && !DO_NOT_GROW.contains(&table.as_str()) {
            bill.scanned.push(table);
        }
    }
    bill
}

#[tokio::test]
async fn a_fill_costs_after_two_years_what_it_cost_after_a_day_and_no_reader_looks_through_all_of_it() {
    let ((young, _led), (old, wire)) = (house_after(1).await, house_after(730).await);
    assert!(
        old.count("table_inventory_session").await > 6 * 730 && old.count("signature").await > 50_000,
        "two years are not empty"
    );
    let (after_a_day, after_two_years) = (bill(&young).await, bill(&old).await);
    assert_eq!(after_two_years.scanned, Vec::<String>::new(), "{after_two_years:?}");
    // A reader of a small table may look at all of it; nothing may be more where the table is large.
    assert!(
        after_two_years.rows <= after_a_day.rows,
        "rows after a day and after two years: {after_a_day:?}, {after_two_years:?}"
    );
    // An index over two years is two levels higher: more pages for the same rows, and no more than that.
    assert!(
        after_two_years.pages <= 2 * after_a_day.pages,
        "pages after a day and after two years: {after_a_day:?}, {after_two_years:?}"
    );
    old.drained().await;
    let today = old.casino_day().await;
    assert_eq!((&today["sessions"], &today["fills_total_cents"]), (&json!(2), &json!(20_000)));
    readers_use_indexes(&old, &wire).await;
}

/// The same as time: rounds of one fill and its recompute, in both houses in turn. `--nocapture` shows the figures.
#[tokio::test]
#[ignore = "a measurement: a fill's recompute after a day and after two years"]
async fn how_long_the_recompute_after_a_fill_takes() {
    let ((young, _led), (old, _wire)) = (house_after(1).await, house_after(730).await);
    let mut took = [Vec::new(), Vec::new()];
    for round in 0..40 {
        for (house, took) in [&young, &old].into_iter().zip(&mut took) {
            let session = house
                .texts("SELECT id::text FROM table_inventory_session WHERE closed_at IS NULL")
                .await
                .remove(0);
            house.slip(&session, "fill", &format!("round-{round}"), json!({ "500": 1 })).await;
            let begun = std::time::Instant::now();
            house.drained().await;
            took.push(begun.elapsed());
        }
    }
    let [after_a_day, after_two_years] = took.map(|mut took| {
        took.sort_unstable();
        took[took.len() / 2]
    });
    eprintln!("median of 40: {after_a_day:?} after a day, {after_two_years:?} after two years");
}

/// The statement of every way to ask, as the daemon sent it: none may read a whole table that grows.
async fn readers_use_indexes(house: &House, wire: &Wire) {
    let shift = text(&house.rollups("grain=casino&by=shift&gaming_day=2026-03-05").await[0], "shift_id");
    for filter in [
        "",
        "grain=casino&by=gaming_day",
        "grain=casino&by=gaming_day&from=2025-01-01&to=2025-12-31",
        "grain=table&by=gaming_day&gaming_day=2026-03-05",
        "gaming_day=2026-03-05",
        "from=2026-03-01&to=2026-03-05",
        "grain=pit&from=2026-03-01",
    ] {
        let rows = house.rollups(filter).await;
        assert!(!rows.is_empty(), "{filter}");
    }
    assert_eq!(
        house.rollups(&format!("shift_id={shift}")).await.len(),
        8,
        "six tables, the pit, the casino"
    );
    let page = house.get("CO-01", "rollups?grain=table&by=gaming_day&limit=1").await;
    let next = page.expect(200)["next_cursor"].as_str().expect("a next page");
    house
        .get("CO-01", &format!("rollups?grain=table&by=gaming_day&cursor={next}"))
        .await
        .expect(200);

    let said = wire.when_quiet().await;
    let statements: BTreeSet<String> = said
        .prepared_by
        .keys()
        .map(|(_, text)| text.clone())
        .filter(|text| text.contains("FROM \"rollup\""))
        .collect();
    assert!(statements.len() >= 7, "{statements:#?}");
    let app = house.cluster.app().await;
    let tx = beside_the_daemon(&app).await;
    // The plan that holds whatever the values are.
    let setting = format!(
        "SELECT set_config('app.casino_id', '{}', true), set_config('plan_cache_mode', 'force_generic_plan', true)",
        house.home.casino
    );
    tx.execute_unprepared(&setting).await.expect("a tenant");
    for (nth, statement) in statements.iter().enumerate() {
        let given = (1..=20).take_while(|n| statement.contains(&format!("${n}"))).count();
        tx.execute_unprepared(&format!("PREPARE asked_{nth} AS {statement}"))
            .await
            .expect(statement);
        let explain = format!("EXPLAIN EXECUTE asked_{nth} ({})", vec!["NULL"; given].join(", "));
        let lines = tx
            .query_all_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, explain))
            .await
            .expect(statement);
        let plan = lines
            .iter()
            .map(|line| line.try_get_by_index::<String>(0).expect("a line"))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(plan.contains("Index") && !plan.contains("Seq Scan"), "{statement}\n{plan}");
    }
}
