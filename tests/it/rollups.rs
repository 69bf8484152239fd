//! Stored rollups: what facts make of them, that bit by bit comes to the same as all at once, and that the cost follows what changed.

pub mod cost;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use rundown::clock::Clock;
use rundown::engine::{Drained, Engine, Envelope, Principal};
use rundown::observe::CorrelationId;
use rundown::store::{Db, PoolSettings};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, TransactionTrait as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;
use workflows::money::ratio_rounded;
use workflows::rollup::Difference;

use crate::schema::ask;
use crate::support::{House, Runner, Wire, below, hurried, id, text, tray, until};

/// The daemon at work for one casino, as its jobs are.
pub fn as_job(casino: Uuid) -> Envelope {
    Envelope {
        principal: Principal::System(casino),
        correlation: CorrelationId::generate(),
        key: None,
        if_match: None,
    }
}

/// Drains until nothing is left; what it came to.
pub async fn drain(engine: &Engine, casino: Uuid) -> Drained {
    let mut all = Drained { marks: 0, cells: 0 };
    loop {
        let drained = engine.drain_rollups(&as_job(casino), 200).await.expect("drained");
        all = Drained {
            marks: all.marks + drained.marks,
            cells: all.cells + drained.cells,
        };
        if drained.marks == 0 {
            return all;
        }
    }
}

/// Every cell computed from nothing but the facts: how many there are, and what differs from what is stored.
pub async fn verify(engine: &Engine, casino: Uuid) -> (usize, Vec<Difference>) {
    let (mut cells, mut differences) = (0, Vec::new());
    for day in engine.rollup_days(&as_job(casino)).await.expect("days") {
        let verified = engine.verify_rollups(&as_job(casino), day).await.expect("verified");
        cells += verified.cells;
        differences.extend(verified.differences);
    }
    (cells, differences)
}

impl House {
    fn engine(&self) -> Engine {
        Engine::new(self.db.clone(), self.clock.clone())
    }

    async fn drained(&self) -> Drained {
        drain(&self.engine(), self.home.casino).await
    }

    async fn differences(&self) -> Vec<Difference> {
        verify(&self.engine(), self.home.casino).await.1
    }

    async fn rollups(&self, filter: &str) -> Vec<Value> {
        let reply = self.get("CO-01", &format!("rollups?{filter}")).await;
        reply.expect(200)["items"].as_array().expect("a list").clone()
    }

    /// The one cell there is.
    async fn cell(&self, filter: &str) -> Value {
        let mut rows = self.rollups(filter).await;
        assert_eq!(rows.len(), 1, "{rows:#?}");
        rows.remove(0)
    }

    async fn casino_day(&self) -> Value {
        self.cell("grain=casino&by=gaming_day&gaming_day=2026-03-06").await
    }

    /// Says as the owner of the database.
    async fn say(&self, sql: &str) {
        let owner = self.cluster.owner().await;
        owner.execute_unprepared(sql).await.expect(sql);
        owner.close().await.expect("closed");
    }

    /// A shift of this gaming day, as its job would open it.
    async fn shift_by_hand(&self, name: &str, gaming_day: &str, starts_at: &str, ends_at: &str) -> Uuid {
        let (shift, template, casino) = (rundown::clock::new_id(), rundown::clock::new_id(), self.home.casino);
        self.say(&format!(
            "INSERT INTO shift_template (id, casino_id, name, local_start, local_end) VALUES ('{template}', '{casino}', '{name}', '06:00', '14:00');
             INSERT INTO shift (id, casino_id, gaming_day, name, starts_at, ends_at, template_id)
             VALUES ('{shift}', '{casino}', '{gaming_day}', '{name}', '{starts_at}', '{ends_at}', '{template}')"
        ))
        .await;
        shift
    }
}

/// A transaction of the application role, without a tenant yet.
#[expect(clippy::disallowed_methods, reason = "the test goes around the daemon on purpose")]
pub async fn beside_the_daemon(app: &DatabaseConnection) -> DatabaseTransaction {
    app.begin().await.expect("a transaction")
}

fn figures(row: &Value) -> Value {
    let names = [
        "opening_total_cents",
        "closing_total_cents",
        "fills_total_cents",
        "credits_total_cents",
        "drop_total_cents",
        "win_loss_stat_cents",
        "hold_bp",
    ];
    names
        .into_iter()
        .map(|name| (name.to_owned(), row[name].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[tokio::test]
async fn what_a_session_proves_is_in_its_cells() {
    let house = House::open().await;
    let session = house
        .reconciled("BJ-01", "BJ-01-A", "BJ-01-B", tray(), json!({ "10000": 25 }), 80_000)
        .await;
    assert_eq!(
        house.rollups("").await,
        Vec::<Value>::new(),
        "nothing is there before the recompute"
    );
    let drained = house.drained().await;
    assert_eq!(drained.cells, 3, "the table, its pit, and the casino, by gaming day");
    let rundown = house.get("CO-01", &format!("sessions/{session}/rundown")).await;
    for filter in [
        "grain=table",
        "grain=pit&by=gaming_day",
        "grain=casino&from=2026-03-06&to=2026-03-06",
    ] {
        let row = house.cell(filter).await;
        assert_eq!(figures(&row), figures(rundown.expect(200)), "{filter}");
        let counts = [
            "sessions",
            "tables",
            "covered_tables",
            "authoritative_sessions",
            "late_sessions",
            "drop_skipped",
            "version",
        ];
        assert_eq!(counts.map(|name| row[name].as_i64()), [1, 1, 1, 1, 0, 0, 1].map(Some), "{filter}");
    }
    assert_eq!(house.rollups("by=shift").await, Vec::<Value>::new());
    assert_eq!(house.rollups("from=2026-03-07").await, Vec::<Value>::new());
    let days = house.engine().rollup_days(&as_job(house.home.casino)).await.expect("days");
    assert_eq!(days, [NaiveDate::from_ymd_opt(2026, 3, 6).expect("a day")]);
    assert_eq!(verify(&house.engine(), house.home.casino).await, (3, vec![]));
    assert_eq!(drain(&house.engine(), house.other.casino).await, Drained { marks: 0, cells: 0 });
    let strange = house.stranger("CO-01").get(&below("rollups")).await;
    assert_eq!(strange.expect(200)["items"], json!([]), "another casino sees nothing of it");
}

#[tokio::test]
async fn a_reader_who_knows_the_page_is_told_so_until_a_cell_of_it_changes() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    house.open_table("BJ-02", "BJ-02-A", tray()).await;
    house.drained().await;
    let reader = house.person("PB-01");
    let read = async |path: &str, tag: Option<&str>| {
        let headers: Vec<(&str, &str)> = tag.into_iter().map(|tag| ("if-none-match", tag)).collect();
        reader.send(reqwest::Method::GET, &below(path), &headers, None).await
    };
    let first = read("rollups?grain=casino", None).await;
    let tag = first.header("etag").expect("an ETag").to_owned();
    assert_eq!(read("rollups?grain=casino", Some(&tag)).await.status, 304);
    house.slip(&session, "fill", "f-1", json!({ "10000": 1 })).await;
    assert_eq!(
        read("rollups?grain=casino", Some(&tag)).await.status,
        304,
        "a fact is not in a cell before it is drained"
    );
    house.drained().await;
    let second = read("rollups?grain=casino", Some(&tag)).await;
    assert_eq!(second.expect(200)["items"][0]["version"], 2);
    assert_ne!(second.header("etag"), Some(tag.as_str()));

    let whole = house.rollups("").await;
    assert_eq!(whole.len(), 4);
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = read(&format!("rollups?limit=1{cursor}"), None).await;
        paged.extend(page.expect(200)["items"].as_array().expect("a list").clone());
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, whole);
    for wrong in [
        "cursor=never",
        "grain=floor",
        "by=week",
        "gaming_day=today",
        "limit=201",
        "sort=win",
    ] {
        read(&format!("rollups?{wrong}"), None).await.refused(400, "malformed_request");
    }
}

#[tokio::test]
async fn null_is_not_zero_and_what_is_skipped_is_counted() {
    let house = House::open().await;
    let session = house.create("BJ-02", "BJ-02-A").await;
    house.reconciled("BJ-01", "BJ-01-A", "BJ-01-B", tray(), tray(), 0).await;
    house.drained().await;
    let rows = house.rollups("grain=table").await;
    let of = |label: &str| {
        rows.iter()
            .find(|row| text(row, "table_id") == house.table(label).to_string())
            .expect("a cell")
    };
    let nothing = of("BJ-02");
    assert_eq!(
        figures(nothing),
        json!({ "opening_total_cents": null, "closing_total_cents": null, "fills_total_cents": 0, "credits_total_cents": 0,
                "drop_total_cents": null, "win_loss_stat_cents": null, "hold_bp": null })
    );
    assert_eq!(
        (&nothing["opening_skipped"], &nothing["fills_skipped"], &nothing["covered_tables"]),
        (&json!(1), &json!(0), &json!(0))
    );
    let counted = of("BJ-01");
    assert_eq!(
        (&counted["drop_total_cents"], &counted["win_loss_stat_cents"], &counted["hold_bp"]),
        (&json!(0), &json!(0), &Value::Null)
    );
    let all = house.casino_day().await;
    assert_eq!(
        (&all["sessions"], &all["tables"], &all["covered_tables"]),
        (&json!(2), &json!(2), &json!(1))
    );
    assert_eq!(
        (&all["drop_total_cents"], &all["drop_skipped"], &all["win_loss_stat_skipped"]),
        (&json!(0), &json!(1), &json!(1))
    );
    // A cancelled session is in no figure, and its cell says that it is empty.
    house
        .advance("PB-01", &session, json!({ "to": "CLOSED", "note": "rain" }))
        .await
        .expect(200);
    house.drained().await;
    let emptied = house
        .rollups("grain=table")
        .await
        .into_iter()
        .find(|row| row["sessions"] == 0)
        .expect("an empty cell");
    assert_eq!((&emptied["fills_total_cents"], &emptied["version"]), (&Value::Null, &json!(2)));
    assert_eq!(house.casino_day().await["sessions"], 1);
    assert_eq!(house.differences().await, vec![]);
}

#[tokio::test]
async fn a_void_takes_a_slip_out_again_and_a_late_fact_leaves_what_was_signed() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "10000": 3 })).await;
    house
        .step_slip("CG-01", &slip, json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") }))
        .await
        .expect(200);
    house.drained().await;
    assert_eq!(house.casino_day().await["fills_total_cents"], 0, "only verified slips count");
    house
        .step_slip(
            "PB-02",
            &slip,
            json!({ "to": "VERIFIED_AT_TABLE", "dealer": house.cosign("DL-01") }),
        )
        .await
        .expect(200);
    house.drained().await;
    assert_eq!(house.casino_day().await["fills_total_cents"], 30_000);
    let void = json!({ "to": "VOIDED", "reason": "no chips moved", "cosign": house.cosign("CO-02") });
    house.step_slip("PB-01", &slip, void).await.expect(200);
    house.drained().await;
    let row = house.casino_day().await;
    assert_eq!((&row["fills_total_cents"], &row["version"]), (&json!(0), &json!(3)));

    let ended = house.reconciled("BJ-02", "BJ-02-A", "BJ-02-B", tray(), tray(), 50_000).await;
    house.advance("CO-01", &ended, json!({ "to": "FINALIZED" })).await.expect(200);
    house.drained().await;
    let of_table = async || {
        let rows = house.rollups("grain=table").await;
        rows.into_iter()
            .find(|row| text(row, "table_id") == house.table("BJ-02").to_string())
            .expect("a cell")
    };
    let signed = of_table().await;
    // A late fact is 201, each of them.
    let late = id(&house.remove(&ended, "BJ-02-B", None, "S9").await.expect(201)["drop"]);
    house.post("SC-01", &format!("drops/{late}/delivery"), json!({})).await.expect(201);
    house
        .post("CT-01", &format!("drops/{late}/receipt"), json!({ "seal_no": "S9" }))
        .await
        .expect(201);
    house.soft_count(&late, 70_000, json!([])).await.expect(201);
    assert!(house.drained().await.marks > 0, "a late fact marks its cell too");
    let flagged = of_table().await;
    assert_eq!(figures(&flagged), figures(&signed), "what was signed stands");
    assert_eq!((&signed["late_sessions"], &flagged["late_sessions"]), (&json!(0), &json!(1)));
    assert_eq!(flagged["version"].as_i64(), signed["version"].as_i64().map(|version| version + 1));
    assert_eq!(house.differences().await, vec![]);
}

#[tokio::test]
async fn what_changes_no_cell_writes_nothing_and_each_changed_cell_is_told_once() {
    let house = House::open().await;
    let told = "SELECT (payload->>'cell') || ' ' || (payload->>'version') FROM outbox WHERE event = 'rollup.updated' ORDER BY position";
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let first = house.drained().await;
    assert_eq!(first.cells, 3);
    let before = house.stored().await;
    assert_eq!(house.drained().await, Drained { marks: 0, cells: 0 });
    assert_eq!(house.stored().await, before, "without a mark not a word is written");

    house.count_tray(&session, "rundown", tray()).await;
    let marked = house.drained().await;
    assert_eq!(
        (marked.marks > 0, marked.cells),
        (true, 0),
        "a count in the middle is in no cell's figures"
    );
    house.slip(&session, "fill", "f-1", json!({ "10000": 1 })).await;
    house.slip(&session, "fill", "f-2", json!({ "10000": 1 })).await;
    let coalesced = house.drained().await;
    assert!(coalesced.marks >= 8 && coalesced.cells == 3, "{coalesced:?}");
    let told = house.texts(told).await;
    assert_eq!((told.len(), told.iter().collect::<BTreeSet<_>>().len()), (6, 6), "{told:#?}");
    assert!(told[3..].iter().all(|cell| cell.ends_with(" 2")), "{told:#?}");
    let audited = house.texts("SELECT count(*)::text FROM audit_log WHERE domain = 'rollup'").await;
    assert_eq!(audited, ["0"], "nobody did anything");
}

#[tokio::test]
async fn the_whole_queue_is_drained_once_however_many_drain_it() {
    let house = House::open().await;
    for (table, drop_box) in [("BJ-01", "BJ-01-A"), ("BJ-02", "BJ-02-A"), ("BJ-03", "BJ-03-A")] {
        let session = house.open_table(table, drop_box, tray()).await;
        house.slip(&session, "fill", &format!("f-{table}"), json!({ "10000": 1 })).await;
    }
    let marks = usize::try_from(house.count("rollup_mark").await).expect("a count");
    let drains = (0..8).map(|_| {
        let (engine, casino) = (house.engine(), house.home.casino);
        async move {
            let mut taken = 0;
            // Two marks at a time: every drain writes the casino's cell, which all the others write too.
            loop {
                let drained = engine.drain_rollups(&as_job(casino), 2).await.expect("drained");
                taken += drained.marks;
                if drained.marks == 0 {
                    return taken;
                }
            }
        }
    });
    let taken: usize = drains.collect::<JoinSet<usize>>().join_all().await.into_iter().sum();
    assert_eq!((taken, house.count("rollup_mark").await), (marks, 0));
    assert_eq!(verify(&house.engine(), house.home.casino).await, (5, vec![]));
    let row = house.casino_day().await;
    assert_eq!((&row["tables"], &row["fills_total_cents"]), (&json!(3), &json!(30_000)));
    let told = house
        .texts("SELECT count(*)::text FROM outbox WHERE event = 'rollup.updated'")
        .await;
    let versions = house.texts("SELECT sum(version)::text FROM rollup").await;
    assert_eq!(told, versions, "every version was told once");
}

#[tokio::test]
async fn a_cell_that_says_something_else_than_the_facts_is_found() {
    let house = House::open().await;
    house.reconciled("BJ-01", "BJ-01-A", "BJ-01-B", tray(), tray(), 50_000).await;
    house.drained().await;
    assert_eq!(house.differences().await, vec![]);
    house
        .say("UPDATE rollup SET opening_total_cents = opening_total_cents + 5, version = version + 1 WHERE grain = 'pit'")
        .await;
    let found = house.differences().await;
    let expected = Difference {
        cell: "pit:gaming_day:2026-03-06:Pit 1".to_owned(),
        expected: json!({ "opening_total_cents": 200_000 }),
        found: json!({ "opening_total_cents": 200_005 }),
    };
    assert_eq!(found, [expected]);
    // Facts that are not drained yet are nobody's fault; those that were never marked are.
    let session = house.open_table("BJ-02", "BJ-02-A", tray()).await;
    assert_eq!(house.differences().await, vec![]);
    house.say("DELETE FROM rollup_mark").await;
    let cells: Vec<String> = house.differences().await.into_iter().map(|difference| difference.cell).collect();
    assert_eq!(cells.len(), 3, "a table nobody knows of, the pit, and the casino: {cells:?}");
    // Whatever brings the cells in mends them.
    house.count_tray(&session, "rundown", tray()).await;
    house.drained().await;
    assert_eq!(house.differences().await, vec![]);
}

#[tokio::test]
async fn a_table_that_moves_takes_nothing_along() {
    let house = House::open().await;
    house.reconciled("BJ-01", "BJ-01-A", "BJ-01-B", tray(), tray(), 50_000).await;
    house.drained().await;
    let path = format!("/api/v1/tables/{}", house.table("BJ-01"));
    house.person("AD-01").patch(&path, json!({ "pit": "Pit 2" })).await.expect(200);
    assert_eq!(house.drained().await, Drained { marks: 0, cells: 0 });
    assert_eq!(
        house.differences().await,
        vec![],
        "the pit of a day is where the table stood that day"
    );
    house.clock.advance(std::time::Duration::from_hours(24));
    house.open_table("BJ-01", "BJ-01-B", tray()).await;
    house.drained().await;
    let pits: Vec<(String, String)> = house
        .rollups("grain=pit")
        .await
        .iter()
        .map(|row| (text(row, "gaming_day"), text(row, "pit")))
        .collect();
    assert_eq!(
        pits,
        [
            ("2026-03-06".to_owned(), "Pit 1".to_owned()),
            ("2026-03-07".to_owned(), "Pit 2".to_owned())
        ]
    );
    assert_eq!(house.differences().await, vec![]);
}

#[tokio::test]
async fn a_session_that_changes_its_shift_leaves_one_cell_and_enters_the_other() {
    let house = House::open().await;
    let day = house
        .shift_by_hand("Day", "2026-03-06", "2026-03-06T12:00:00Z", "2026-03-06T20:00:00Z")
        .await;
    let swing = house
        .shift_by_hand("Swing", "2026-03-06", "2026-03-06T20:00:00Z", "2026-03-07T04:00:00Z")
        .await;
    let body = json!({ "table_id": house.table("BJ-01"), "drop_box_id": house.drop_box("BJ-01-A"), "shift_id": day });
    let session = id(house.post("PB-01", "sessions", body).await.expect(201));
    house.drained().await;
    let by_shift = async |shift: Uuid| {
        let rows = house.rollups(&format!("by=shift&shift_id={shift}")).await;
        rows.iter()
            .map(|row| row["sessions"].as_i64().expect("a count"))
            .collect::<Vec<_>>()
    };
    assert_eq!((by_shift(day).await, by_shift(swing).await), (vec![1, 1, 1], vec![]));
    let path = below(&format!("sessions/{session}"));
    house.person("PB-01").patch(&path, json!({ "shift_id": swing })).await.expect(200);
    house.drained().await;
    assert_eq!((by_shift(day).await, by_shift(swing).await), (vec![0, 0, 0], vec![1, 1, 1]));
    // Of its gaming day nothing changed.
    assert_eq!(house.casino_day().await["version"], 1);
    // Not begun on the day it was made for: it binds the day on which it begins.
    house.clock.advance(std::time::Duration::from_hours(24));
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    house.count_tray(&session, "open", tray()).await;
    house.drained().await;
    assert_eq!(house.casino_day().await["sessions"], 0);
    let next = house.cell("grain=casino&by=gaming_day&gaming_day=2026-03-07").await;
    assert_eq!((&next["sessions"], &next["opening_total_cents"]), (&json!(1), &json!(200_000)));
    assert_eq!(house.differences().await, vec![]);
    let shown = house
        .texts("SELECT sessions::text FROM table_gaming_day_rollup ORDER BY gaming_day")
        .await;
    assert_eq!(shown, ["0", "1"]);
}

/// A slip that lies in a box of the session after it: when that box goes and is counted, the first session's figures become final.
#[tokio::test]
async fn a_neighbours_box_is_brought_in_where_its_slips_belong() {
    let house = House::open().await;
    let first = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let drop = house.drop_and_bring(&first, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    house
        .soft_count(&drop, 10_000, json!([{ "kind": "opener", "amount_cents": 200_000 }]))
        .await
        .expect(201);
    let slip = house.request_slip(&first, "fill", "f-1", json!({ "10000": 1 })).await;
    house
        .step_slip("CG-01", &slip, json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") }))
        .await
        .expect(200);
    house
        .step_slip(
            "PB-02",
            &slip,
            json!({ "to": "VERIFIED_AT_TABLE", "dealer": house.cosign("DL-01") }),
        )
        .await
        .expect(200);
    // The next session is another day's: its box touches none of this day's cells but by the slip in it.
    house.clock.advance(std::time::Duration::from_hours(20));
    let over = json!({ "chipset": { "10000": 21 }, "cosign": house.cosign("PB-02") });
    let rolled = house.post("PB-01", &format!("sessions/{first}/rollover"), over).await;
    let second = id(&rolled.expect(201)["opened"]);
    house.drained().await;
    house
        .step_slip("PB-02", &slip, json!({ "to": "DEPOSITED_IN_DROPBOX" }))
        .await
        .expect(200);
    for session in [&first, &second] {
        let standing = text(
            &house.get("PB-01", &format!("sessions/{session}")).await.expect(200).clone(),
            "drop_box_id",
        );
        assert_eq!(standing, house.drop_box("BJ-01-B").to_string());
    }
    house.drained().await;
    assert_eq!(house.differences().await, vec![]);
    let marked = "SELECT DISTINCT gaming_day::text FROM rollup_mark ORDER BY 1";
    let drop = id(&house.remove(&second, "BJ-01-B", Some("BJ-01-C"), "S2").await.expect(201)["drop"]);
    assert_eq!(house.texts(marked).await, ["2026-03-06", "2026-03-07"]);
    house.drained().await;
    house.bring(&drop, "S2").await;
    house.drained().await;
    assert_eq!(house.differences().await, vec![]);
    house
        .soft_count(
            &drop,
            10_000,
            json!([{ "kind": "fill_slip", "number": "1", "amount_cents": 10_000 }]),
        )
        .await
        .expect(201);
    assert_eq!(house.texts(marked).await, ["2026-03-06", "2026-03-07"]);
    house.drained().await;
    assert_eq!(house.differences().await, vec![]);
}

/// The views are the cells of one grain by one time, whole, without the columns that are the same or null in all of them.
#[tokio::test]
async fn the_views_show_the_cells_under_their_names() {
    let house = House::open().await;
    let shift = house
        .shift_by_hand("Day", "2026-03-06", "2026-03-06T12:00:00Z", "2026-03-06T20:00:00Z")
        .await;
    let body = json!({ "table_id": house.table("BJ-01"), "drop_box_id": house.drop_box("BJ-01-A"), "shift_id": shift });
    house.post("PB-01", "sessions", body).await.expect(201);
    house.drained().await;
    let app = house.cluster.app().await;
    for grain in ["table", "pit", "casino"] {
        for by in ["shift", "gaming_day"] {
            let cell = house.cell(&format!("grain={grain}&by={by}")).await;
            let absent = ["grain", "by"].into_iter().chain((grain != "table").then_some("table_id"));
            let absent: BTreeSet<&str> = absent
                .chain((grain == "casino").then_some("pit"))
                .chain((by == "gaming_day").then_some("shift_id"))
                .collect();
            let expected: serde_json::Map<_, _> = cell
                .as_object()
                .expect("a row")
                .clone()
                .into_iter()
                .filter(|(name, _)| !absent.contains(name.as_str()))
                .collect();
            let view = format!("{grain}_{by}_rollup");
            let tx = beside_the_daemon(&app).await;
            let sql = format!("SELECT jsonb_agg(to_jsonb(v) - 'computed_at') AS json FROM {view} AS v");
            assert_eq!(ask(&tx, &sql, []).await, Value::Null, "{view}: nobody's context sees nothing");
            tx.execute_unprepared(&format!("SELECT set_config('app.casino_id', '{}', true)", house.home.casino))
                .await
                .expect("a tenant");
            let mut expected = Value::Object(expected);
            expected.as_object_mut().expect("a row").remove("computed_at");
            assert_eq!(ask(&tx, &sql, []).await, json!([expected]), "{view}");
        }
    }
}

#[tokio::test]
async fn the_jobs_bring_the_cells_in_and_hold_them_against_the_facts() {
    let house = House::open().await;
    let admin = house.person("AD-01");
    let job = async |kind: &str| {
        let body = json!({ "name": kind, "job_kind": kind, "cron": "*/5 * * * *", "enabled": false });
        id(admin.post("/api/v1/schedules", body).await.expect(201))
    };
    let (recompute, compare) = (job("rollup_recompute").await, job("rollup_verify").await);
    let runner = Runner::start(&house, hurried()).await;
    let outcome = async |schedule: &str| {
        let run = id(admin
            .post(&format!("/api/v1/schedules/{schedule}/run"), json!({}))
            .await
            .expect(201));
        let path = format!("/api/v1/job-runs/{run}");
        until("the run ended", || async { admin.get(&path).await.body["status"] == "succeeded" }).await;
        admin.get(&path).await.expect(200).clone()
    };
    house.reconciled("BJ-01", "BJ-01-A", "BJ-01-B", tray(), tray(), 50_000).await;
    let marks = house.count("rollup_mark").await;
    let run = outcome(&recompute).await;
    assert_eq!(
        (&run["outcome"], &run["done"], &run["total"]),
        (&json!({ "marks": marks, "cells": 3 }), &json!(marks), &json!(marks))
    );
    assert_eq!(outcome(&recompute).await["outcome"], json!({ "marks": 0, "cells": 0 }));
    house.open_table("BJ-02", "BJ-02-A", tray()).await;
    let run = outcome(&compare).await;
    assert_eq!(
        run["outcome"],
        json!({ "days": 1, "cells": 4, "drifted": 0, "differences": [] }),
        "it brings in what waits first"
    );
    assert_eq!((&run["done"], &run["total"]), (&json!(1), &json!(1)));
    house
        .say("UPDATE rollup SET fills_total_cents = 7, version = version + 1 WHERE grain = 'casino'")
        .await;
    let found = json!([{
        "cell": "casino:gaming_day:2026-03-06", "expected": { "fills_total_cents": 0 }, "found": { "fills_total_cents": 7 },
    }]);
    assert_eq!(
        outcome(&compare).await["outcome"],
        json!({ "days": 1, "cells": 4, "drifted": 1, "differences": found })
    );
    runner.stop().await;
}

/// Splitmix: the same facts in every run, so that a failure can be looked at again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).expect("small")
    }

    fn of<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        (!things.is_empty()).then(|| &things[self.below(things.len())])
    }
}

/// A floor where anything may be tried at any moment. What is refused is refused.
struct Anything<'a> {
    house: &'a House,
    random: Random,
    sessions: Vec<String>,
    slips: Vec<String>,
    /// Removals, with the count that stands.
    drops: Vec<(String, Option<String>)>,
    /// Acts that came to something, by name.
    done: BTreeMap<&'static str, usize>,
}

impl Anything<'_> {
    async fn act(&mut self) {
        let acts = [
            "open", "request", "step", "step", "step", "void", "remove", "bring", "count", "close", "end", "roll", "finalize", "wait",
            "move", "drain",
        ];
        let act = acts[self.random.below(acts.len())];
        if self.perform(act).await.is_some() {
            *self.done.entry(act).or_default() += 1;
        }
    }

    async fn perform(&mut self, act: &str) -> Option<()> {
        let session = self.random.of(&self.sessions).cloned();
        match act {
            "open" => self.open().await,
            "request" => self.request(&session?).await,
            "step" => self.step().await,
            "void" => self.void().await,
            "remove" => self.remove(&session?).await,
            "bring" => self.bring().await,
            "count" => self.count().await,
            "close" => self.close(&session?).await,
            "end" => self.end(&session?).await,
            "roll" => self.roll(&session?).await,
            "finalize" => self.finalize(&session?).await,
            "wait" => {
                self.house
                    .clock
                    .advance(std::time::Duration::from_secs(3600 * (1 + self.random.below(5) as u64)));
                Some(())
            }
            "move" => {
                let label = ["BJ-01", "BJ-02", "BJ-03"][self.random.below(3)];
                let pit = [json!(null), json!("Pit 1"), json!("Pit 2")][self.random.below(3)].clone();
                let path = format!("/api/v1/tables/{}", self.house.table(label));
                self.house.person("AD-01").patch(&path, json!({ "pit": pit })).await.expect(200);
                Some(())
            }
            _ => {
                let marks = 1 + self.random.below(6);
                let job = as_job(self.house.home.casino);
                let drained = self
                    .house
                    .engine()
                    .drain_rollups(&job, u32::try_from(marks).expect("few"))
                    .await
                    .expect("drained");
                (drained.cells > 0).then_some(())
            }
        }
    }

    async fn post(&self, by: &str, path: &str, body: Value) -> Option<Value> {
        let reply = self.house.post(by, path, body).await;
        assert!(reply.status < 500, "{}", reply.text);
        (reply.status < 300).then_some(reply.body)
    }

    fn chips(&mut self) -> Value {
        json!({ "10000": 5 + self.random.below(20), "500": self.random.below(10) })
    }

    async fn tray(&mut self, session: &str, kind: &str) -> Option<()> {
        let body = json!({ "kind": kind, "chipset": self.chips(), "cosign": self.house.cosign("DL-01") });
        self.post("PB-01", &format!("sessions/{session}/snapshots"), body).await.map(drop)
    }

    async fn open(&mut self) -> Option<()> {
        let label = ["BJ-01", "BJ-02", "BJ-03"][self.random.below(3)];
        let boxes = ["A", "B", "C"].map(|letter| self.house.drop_box(&format!("{label}-{letter}")));
        let body = json!({ "table_id": self.house.table(label), "drop_box_id": boxes[self.random.below(3)] });
        let session = id(&self.post("PB-01", "sessions", body).await?);
        self.sessions.push(session.clone());
        self.post("PB-01", &format!("sessions/{session}/transitions"), json!({ "to": "OPENING" }))
            .await?;
        self.tray(&session, "open").await
    }

    async fn request(&mut self, session: &str) -> Option<()> {
        let kind = ["fill", "credit"][self.random.below(2)];
        let body = json!({ "kind": kind, "request_id": rundown::clock::new_id(), "chipset": { "10000": 1 + self.random.below(3) } });
        let slip = id(&self.post("PB-01", &format!("sessions/{session}/slips"), body).await?);
        self.slips.push(slip);
        Some(())
    }

    async fn step(&mut self) -> Option<()> {
        let slip = self.random.of(&self.slips)?.clone();
        let steps = format!("slips/{slip}/transitions");
        let mut verify = json!({ "to": "VERIFIED_AT_TABLE", "dealer": self.house.cosign("DL-01") });
        if self.random.below(4) == 0 {
            verify["chipset"] = json!({ "10000": 4 });
        }
        let issued = self
            .post("CG-01", &steps, json!({ "to": "ISSUED", "runner_id": self.house.staff("SC-03") }))
            .await;
        let stepped = match issued {
            Some(issued) => Some(issued),
            None => self.post("PB-02", &steps, verify).await,
        };
        if stepped.is_some() {
            return Some(());
        }
        self.post("CG-01", &format!("slips/{slip}/cage-receipt"), json!({})).await;
        self.post("PB-02", &steps, json!({ "to": "DEPOSITED_IN_DROPBOX" })).await.map(drop)
    }

    async fn void(&mut self) -> Option<()> {
        let slip = self.random.of(&self.slips)?.clone();
        let body = json!({ "to": "VOIDED", "reason": "torn", "cosign": self.house.cosign("CO-02") });
        self.post("AD-01", &format!("slips/{slip}/transitions"), body).await.map(drop)
    }

    async fn remove(&mut self, session: &str) -> Option<()> {
        let known = self.house.get("CO-01", &format!("sessions/{session}")).await;
        let standing = known.expect(200)["drop_box_id"].as_str()?.to_owned();
        let table = text(&known.body, "table_id");
        let (label, _) = self.house.home.tables.iter().find(|(_, id)| id.to_string() == table)?;
        let others: Vec<Uuid> = ["A", "B", "C"]
            .map(|letter| self.house.drop_box(&format!("{label}-{letter}")))
            .into_iter()
            .filter(|other| other.to_string() != standing)
            .collect();
        let body = json!({ "drop_box_id": standing, "replacement_box_id": others[self.random.below(2)], "seal_no": "S1", "witnessed_by": self.house.cosign("SC-02") });
        let removed = self.post("SC-01", &format!("sessions/{session}/drops"), body).await?;
        self.drops.push((id(&removed["drop"]), None));
        Some(())
    }

    async fn bring(&mut self) -> Option<()> {
        let (drop, _) = self.random.of(&self.drops)?.clone();
        self.post("SC-01", &format!("drops/{drop}/delivery"), json!({})).await;
        self.post("CT-01", &format!("drops/{drop}/receipt"), json!({ "seal_no": "S1" }))
            .await
            .map(std::mem::drop)
    }

    async fn count(&mut self) -> Option<()> {
        let index = self.random.below(self.drops.len().max(1));
        let (drop, standing) = self.drops.get(index)?.clone();
        self.post("SC-01", &format!("drops/{drop}/delivery"), json!({})).await;
        self.post("CT-01", &format!("drops/{drop}/receipt"), json!({ "seal_no": "S1" }))
            .await;
        let total = 100 * self.random.below(500);
        let other = if self.random.below(4) == 0 { total + 100 } else { total };
        let team = ["CT-01", "CT-02", "CT-03"].map(|member| self.house.staff(member));
        let currency = if total == 0 { json!({}) } else { json!({ "100": total / 100 }) };
        let body = json!({
            "drop_event_id": drop, "drop_total_cents": total, "count_1_cents": total, "count_2_cents": other, "team": team,
            "evidence_manifest": { "currency": currency, "documents": [] }, "supersedes_id": standing,
        });
        let counted = self.post("CT-01", "soft-counts", body).await?;
        self.drops[index].1 = Some(id(&counted["soft_count"]));
        Some(())
    }

    async fn close(&mut self, session: &str) -> Option<()> {
        self.post("PB-01", &format!("sessions/{session}/transitions"), json!({ "to": "CLOSING" }))
            .await;
        self.tray(session, "close").await
    }

    /// Cancelled or forced, as it may be.
    async fn end(&mut self, session: &str) -> Option<()> {
        let at = format!("sessions/{session}/transitions");
        if self.random.below(3) > 0 {
            return None;
        }
        match self.post("PB-01", &at, json!({ "to": "CLOSED", "note": "rain" })).await {
            Some(_) => Some(()),
            None => self
                .post("PB-01", &at, json!({ "to": "CLOSED", "force": true, "note": "fire" }))
                .await
                .map(drop),
        }
    }

    async fn roll(&mut self, session: &str) -> Option<()> {
        let body = json!({ "chipset": self.chips(), "cosign": self.house.cosign("PB-02") });
        let rolled = self.post("PB-01", &format!("sessions/{session}/rollover"), body).await?;
        self.sessions.push(id(&rolled["opened"]));
        Some(())
    }

    async fn finalize(&mut self, session: &str) -> Option<()> {
        for exception in self.house.exceptions(session).await {
            let body = json!({ "reason_code": "RECOUNT_CONFIRMED", "resolution_note": "looked at" });
            self.post("CO-01", &format!("exceptions/{}/resolve", id(&exception)), body).await;
        }
        self.post("CO-01", &format!("sessions/{session}/transitions"), json!({ "to": "FINALIZED" }))
            .await
            .map(drop)
    }
}

#[tokio::test]
async fn bit_by_bit_comes_to_the_same_as_all_at_once_whatever_happened() {
    let mut done: BTreeMap<&'static str, usize> = BTreeMap::new();
    for seed in [1, 2, 3] {
        let house = House::open().await;
        let mut floor = Anything {
            house: &house,
            random: Random(seed),
            sessions: Vec::new(),
            slips: Vec::new(),
            drops: Vec::new(),
            done: BTreeMap::new(),
        };
        for _ in 0..160 {
            floor.act().await;
        }
        for (act, times) in floor.done {
            *done.entry(act).or_default() += times;
        }
        // In the middle of it all what is marked is not held against anyone; and all else is right already.
        assert_eq!(house.differences().await, vec![], "seed {seed}");
        house.drained().await;
        let (cells, differences) = verify(&house.engine(), house.home.casino).await;
        assert_eq!(differences, vec![], "seed {seed}");
        assert!(cells >= 3);
    }
    assert!(done.len() >= 14, "the floor was alive: {done:?}");
}

/// The rollups of a casino's one gaming day against its reports, by other means than the law's: sums in SQL over the reports alone.
pub async fn equal_the_reports(owner: &DatabaseConnection, app: &PoolSettings, clock: &Clock) {
    const BOTH: &str = "
        WITH report AS (
            SELECT s.gaming_day, s.table_id, t.pit, r.* FROM table_rundown_report AS r
              JOIN table_inventory_session AS s ON s.id = r.session_id JOIN gaming_table AS t ON t.id = s.table_id
        ), grouped AS (
            SELECT 'table' AS grain, gaming_day, table_id::text AS of, report.* FROM report
            UNION ALL SELECT 'pit', gaming_day, pit, report.* FROM report WHERE pit IS NOT NULL
            UNION ALL SELECT 'casino', gaming_day, NULL, report.* FROM report
        ), summed AS (
            SELECT grain, g.of, sum(opening_total_cents) AS opening, sum(closing_total_cents) AS closing, sum(fills_total_cents) AS fills,
                   sum(credits_total_cents) AS credits, sum(drop_total_cents) AS dropped, sum(win_loss_stat_cents) AS win, count(*) AS sessions
              FROM grouped AS g GROUP BY grain, g.of
        ), stored AS (
            SELECT grain, CASE grain WHEN 'table' THEN table_id::text WHEN 'pit' THEN pit END AS of, opening_total_cents AS opening,
                   closing_total_cents AS closing, fills_total_cents AS fills, credits_total_cents AS credits, drop_total_cents AS dropped,
                   win_loss_stat_cents AS win, sessions
              FROM rollup WHERE by = 'gaming_day'
        )
        SELECT jsonb_build_object(
            'reports', (SELECT jsonb_agg(to_jsonb(summed) ORDER BY summed.grain, summed.of) FROM summed),
            'rollups', (SELECT jsonb_agg(to_jsonb(stored) ORDER BY stored.grain, stored.of) FROM stored),
            'casino', (SELECT to_jsonb(rollup) FROM rollup WHERE grain = 'casino' AND by = 'gaming_day')) AS json";
    let casino: Uuid = serde_json::from_value(ask(owner, "SELECT to_jsonb(id) AS json FROM casino", []).await).expect("one casino");
    let db = Db::connect(app).await.expect("the pool");
    let engine = Engine::new(db, clock.clone());
    assert!(drain(&engine, casino).await.cells > 10);
    assert_eq!(verify(&engine, casino).await.1, vec![]);
    let both = ask(owner, BOTH, []).await;
    assert!(both["reports"].as_array().is_some_and(|reports| reports.len() > 10));
    assert_eq!(both["rollups"], both["reports"]);
    let casino = &both["casino"];
    let (win, drop) = (
        casino["win_loss_stat_cents"].as_i64().expect("a win"),
        casino["drop_total_cents"].as_i64().expect("a drop"),
    );
    let hold = ratio_rounded(i128::from(win) * 10_000, i128::from(drop));
    assert_eq!(casino["hold_bp"].as_i64(), hold, "the ratio of the sums");
    assert_eq!(casino["tables"], casino["covered_tables"]);
}
