//! Shifts: planned, opened, closed and summed up, by jobs through the engine; and what the sweep of deadlines brings to light.

use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use rundown::auth::TokenIssuer;
use rundown::casino_folder::Folder;
use rundown::cli::play::{BuyinLine, Hours, Outcome, Pace, Progress, play_at};
use rundown::cli::seed::seed;
use rundown::clock::Clock;
use rundown::config::Config;
use rundown::daemon;
use rundown::database::Database;
use rundown::engine::{Command, Desk, Engine, Envelope, Principal, Versioned};
use rundown::error::Error;
use rundown::observe::CorrelationId;
use rundown::postgres::OWNER;
use rundown::store::PoolSettings;
use rundown::store::desk::Ask;
use serde_json::{Value, json};
use uuid::Uuid;
use workflows::act;
use workflows::refusal::Refusal;
use workflows::word::SummaryStatus;

use crate::schema::ask;
use crate::support::{Cluster, House, OTHER_CASINO, Runner, auth, below, hurried, id, text, tray, until};

/// River Bend on a Friday at 15:00 in Chicago, in the midst of the swing shift, with its jobs running.
struct Day {
    house: House,
    runner: Runner,
}

const SHIFTS: [(&str, &str, &str); 3] = [("day", "06:00", "14:00"), ("swing", "14:00", "22:00"), ("grave", "22:00", "06:00")];

impl Day {
    async fn open() -> Self {
        let house = House::open().await;
        for (name, local_start, local_end) in SHIFTS {
            let body = json!({ "name": name, "local_start": local_start, "local_end": local_end });
            house.person("AD-01").post("/api/v1/shift-templates", body).await.expect(201);
        }
        let runner = Runner::start(&house, hurried()).await;
        Self { house, runner }
    }

    /// Runs a job by hand and waits for its end; the run.
    async fn run(&self, kind: &str, params: Value) -> Value {
        let admin = self.house.person("AD-01");
        // A run asked for twice at one moment would be one run.
        self.house.clock.advance(Duration::from_millis(1));
        let name = format!("{kind} {params}");
        let known = admin.get("/api/v1/schedules?limit=200").await;
        let known = known.expect(200)["items"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|row| row["name"] == *name)
            .map(id);
        let schedule = if let Some(schedule) = known {
            schedule
        } else {
            let body =
                json!({ "name": name, "job_kind": kind, "cron": "0 0 1 1 *", "params": params, "enabled": false, "max_attempts": 1 });
            id(admin.post("/api/v1/schedules", body).await.expect(201))
        };
        let run = id(admin
            .post(&format!("/api/v1/schedules/{schedule}/run"), json!({}))
            .await
            .expect(201));
        let path = format!("/api/v1/job-runs/{run}");
        until("the end of a run", || async {
            let run = admin.get(&path).await;
            ["succeeded", "dead"].contains(&run.expect(200)["status"].as_str().expect("a status"))
        })
        .await;
        admin.get(&path).await.expect(200).clone()
    }

    /// The one shift the job was about.
    async fn done(&self, kind: &str, params: Value) -> Value {
        let run = self.run(kind, params).await;
        assert_eq!(run["status"], "succeeded", "{run:#}");
        let shifts = run["outcome"]["shifts"].as_array().unwrap_or_else(|| panic!("{run:#}")).clone();
        assert_eq!(shifts.len(), 1, "{run:#}");
        shifts[0].clone()
    }

    /// The swing shift, opened; its id.
    async fn swing(&self) -> String {
        text(&self.done("shift_open", json!({ "shift": "swing" })).await, "shift_id")
    }

    async fn close(&self) -> Value {
        self.done("shift_close", json!({ "shift": "swing" })).await
    }

    async fn sweep(&self) -> Value {
        self.run("deadline_sweep", json!({})).await["outcome"].clone()
    }

    async fn session_of(&self, table: &str) -> String {
        let path = format!("sessions?table_id={}&live=true", self.house.table(table));
        id(&self.house.get("PB-01", &path).await.expect(200)["items"][0])
    }

    /// Brings a session the job has made into play.
    async fn begin(&self, table: &str, drop_box: &str) -> String {
        let session = self.session_of(table).await;
        let body = json!({ "drop_box_id": self.house.drop_box(drop_box) });
        self.house
            .person("PB-01")
            .patch(&below(&format!("sessions/{session}")), body)
            .await
            .expect(200);
        self.house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
        self.house.count_tray(&session, "open", tray()).await;
        session
    }

    /// From play to RECONCILED.
    async fn reconcile(&self, session: &str, drop_box: &str, replacement: &str) {
        let drop = self.house.drop_and_bring(session, drop_box, Some(replacement), "S1").await;
        let papers = json!([{ "kind": "opener", "amount_cents": 200_000 }]);
        self.house.soft_count(&drop, 10_000, papers).await.expect(201);
        self.house.advance("PB-01", session, json!({ "to": "CLOSING" })).await.expect(200);
        self.house.count_tray(session, "close", tray()).await;
        assert_eq!(self.house.status(session).await, "RECONCILED");
    }

    async fn finalize(&self, session: &str) {
        self.house.advance("CO-01", session, json!({ "to": "FINALIZED" })).await.expect(200);
    }

    async fn summary(&self, shift: &str) -> Value {
        self.house
            .person("CO-01")
            .get(&format!("/api/v1/shifts/{shift}/summary"))
            .await
            .expect(200)
            .clone()
    }

    async fn events(&self, name: &str) -> usize {
        self.house
            .texts(&format!("SELECT id::text FROM outbox WHERE event = '{name}'"))
            .await
            .len()
    }

    /// Everything of the casino but the clockwork that keeps its own book.
    async fn world(&self) -> Value {
        let tables = [
            "shift",
            "shift_rundown_summary",
            "table_inventory_session",
            "session_transition",
            "reconciliation_exception",
            "table_rundown_report",
            "signature",
            "outbox",
            "drop_box",
        ];
        let owner = self.house.cluster.owner().await;
        let mut world = serde_json::Map::new();
        for table in tables {
            let sql = format!("SELECT COALESCE(jsonb_agg(to_jsonb(t) ORDER BY to_jsonb(t)::text), '[]') AS json FROM {table} AS t");
            world.insert(table.to_owned(), ask(&owner, &sql, []).await);
        }
        let sql = "SELECT to_jsonb(count(*)) AS json FROM audit_log WHERE domain NOT IN ('schedule', 'job_run')";
        world.insert("audit".to_owned(), ask(&owner, sql, []).await);
        owner.close().await.expect("closed");
        world.into()
    }

    async fn say(&self, sql: &str) {
        use sea_orm::ConnectionTrait as _;
        let owner = self.house.cluster.owner().await;
        owner.execute_unprepared(sql).await.expect(sql);
        owner.close().await.expect("closed");
    }

    async fn end(self) {
        self.runner.stop().await;
    }
}

/// The line of a session in what a job came to.
#[track_caller]
fn line<'a>(told: &'a Value, lines: &str, session: &str) -> &'a Value {
    let rows = told[lines].as_array().unwrap_or_else(|| panic!("no {lines} in {told:#}"));
    rows.iter()
        .find(|row| row["session_id"] == session)
        .unwrap_or_else(|| panic!("{session} is not told of: {told:#}"))
}

// Templates.

#[tokio::test]
async fn a_shift_is_planned_in_local_time_and_planned_otherwise() {
    let house = House::open().await;
    let admin = house.person("AD-01");
    let body = json!({ "name": " day ", "local_start": "06:00", "local_end": "14:00" });
    let reply = admin.post("/api/v1/shift-templates", body.clone()).await;
    let template = reply.expect(201).clone();
    assert_eq!(
        (&template["name"], &template["local_start"], &template["status"]),
        (&json!("day"), &json!("06:00:00"), &json!("active"))
    );
    assert_eq!(reply.header("etag"), Some("\"1\""));
    let again = house.in_vain(admin.post("/api/v1/shift-templates", body)).await;
    assert_eq!(again.refused(409, "conflict")["reason"], "name_taken");

    let path = format!("/api/v1/shift-templates/{}", id(&template));
    let change = |body: Value| admin.send(reqwest::Method::PATCH, &path, &[("if-match", "\"1\"")], Some(body));
    let changed = change(json!({ "local_end": "15:30", "status": "inactive" })).await;
    assert_eq!(
        (&changed.expect(200)["local_end"], &changed.body["version"]),
        (&json!("15:30:00"), &json!(2))
    );
    house
        .in_vain(change(json!({ "local_end": "16:00" })))
        .await
        .refused(412, "version_mismatch");
    let bad = json!({ "name": "", "local_start": "06:00:30", "local_end": "14:00:00.5" });
    let flawed = house.in_vain(admin.patch(&path, bad)).await;
    flawed.refused(422, "validation_failed");
    assert_eq!(flawed.pointers(), ["/name", "/local_start", "/local_end"]);
    house
        .in_vain(admin.patch(&path, json!({ "colour": "red" })))
        .await
        .refused(400, "malformed_request");
    house
        .in_vain(house.stranger("AD-01").patch(&path, json!({})))
        .await
        .refused(404, "not_found");
    house
        .in_vain(house.person("PB-01").patch(&path, json!({})))
        .await
        .refused(403, "forbidden");

    let list = house.person("SC-01").get("/api/v1/shift-templates").await;
    assert_eq!(list.expect(200)["items"].as_array().map(Vec::len), Some(1));
    let known = [("if-none-match", list.header("etag").expect("a tag"))];
    let same = house
        .person("SC-01")
        .send(reqwest::Method::GET, "/api/v1/shift-templates", &known, None)
        .await;
    assert_eq!(same.status, 304);
    let theirs = house.stranger("AD-01").get("/api/v1/shift-templates").await;
    assert_eq!(theirs.expect(200)["items"], json!([]), "{OTHER_CASINO} has its own");
}

// Opening.

#[tokio::test]
async fn opening_a_shift_makes_it_and_a_session_for_every_table_once() {
    let day = Day::open().await;
    let house = &day.house;
    house
        .person("AD-01")
        .post(&format!("/api/v1/tables/{}/deactivate", house.table("BJ-03")), json!({}))
        .await
        .expect(200);
    // A box stands on BJ-02 already; BJ-01 is in play.
    let live = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    day.say(&format!(
        "UPDATE drop_box SET on_table_id = table_id, version = version + 1 WHERE id = '{}'",
        house.drop_box("BJ-02-B")
    ))
    .await;

    let told = day.done("shift_open", json!({ "shift": "swing" })).await;
    assert_eq!((&told["made"], &told["gaming_day"]), (&json!(true), &json!("2026-03-06")));
    assert_eq!(
        (&told["starts_at"], &told["ends_at"]),
        (&json!("2026-03-06T20:00:00Z"), &json!("2026-03-07T04:00:00Z"))
    );
    let made = told["sessions"].as_array().expect("sessions");
    assert_eq!(made.iter().map(|row| text(row, "table")).collect::<Vec<_>>(), ["BJ-02"]);
    let session = house.get("PB-01", &format!("sessions/{}", text(&made[0], "session_id"))).await;
    let session = session.expect(200);
    assert_eq!(
        (&session["status"], &session["shift_id"]),
        (&json!("READY_TO_OPEN"), &told["shift_id"])
    );
    assert_eq!(
        session["drop_box_id"],
        json!(house.drop_box("BJ-02-B")),
        "the box that stands on its table"
    );
    assert_eq!(
        house.get("PB-01", &format!("sessions/{live}")).await.expect(200)["shift_id"],
        told["shift_id"],
        "it began within the shift, which was not there yet"
    );

    let world = day.world().await;
    let again = day.done("shift_open", json!({ "shift": "swing" })).await;
    assert_eq!(
        (&again["made"], &again["shift_id"], &again["sessions"]),
        (&json!(false), &told["shift_id"], &json!([]))
    );
    // A table whose session of this shift is done is not prepared a second time.
    house
        .advance(
            "PB-01",
            &text(&made[0], "session_id"),
            json!({ "to": "CLOSED", "note": "no dealers" }),
        )
        .await
        .expect(200);
    day.done("shift_open", json!({ "shift": "swing" })).await;
    assert_eq!(house.count("table_inventory_session").await, 2);
    assert_eq!(
        (world["shift"].as_array().map(Vec::len), day.events("shift.opened").await),
        (Some(1), 1)
    );

    let shifts = house.person("CG-01").get("/api/v1/shifts?gaming_day=2026-03-06&status=OPEN").await;
    assert_eq!(shifts.expect(200)["items"][0]["id"], told["shift_id"]);
    assert_eq!(house.stranger("CO-01").get("/api/v1/shifts").await.expect(200)["items"], json!([]));
    let theirs = format!("/api/v1/shifts/{}/summary", text(&told, "shift_id"));
    house.stranger("CO-01").get(&theirs).await.refused(404, "not_found");
    day.end().await;
}

#[tokio::test]
async fn a_session_that_began_before_its_shift_was_there_is_given_it() {
    let day = Day::open().await;
    let house = &day.house;
    let before = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    house.clock.advance(Duration::from_hours(8));
    let within = house.open_table("BJ-02", "BJ-02-A", tray()).await;
    let told = day.done("shift_open", json!({ "shift": "grave" })).await;
    assert_eq!(told["adopted"], json!([within]));
    let shift_of = async |session: &str| house.get("PB-01", &format!("sessions/{session}")).await.expect(200)["shift_id"].clone();
    assert_eq!(shift_of(&before).await, Value::Null, "it began in the shift before");
    assert_eq!(shift_of(&within).await, told["shift_id"]);
    assert_eq!(day.done("shift_open", json!({ "shift": "grave" })).await["adopted"], json!([]));

    // One whose opening was committed after the job had looked: the closing finds it.
    day.say(&format!(
        "ALTER TABLE table_inventory_session DISABLE TRIGGER USER;
         UPDATE table_inventory_session SET shift_id = NULL WHERE id = '{within}';
         ALTER TABLE table_inventory_session ENABLE TRIGGER USER"
    ))
    .await;
    let closed = day.done("shift_close", json!({ "shift": "grave" })).await;
    assert_eq!(line(&closed, "sessions", &within)["table"], "BJ-02");
    assert_eq!(shift_of(&within).await, told["shift_id"]);
    day.end().await;
}

#[tokio::test]
async fn a_table_that_cannot_be_prepared_stops_no_other() {
    let day = Day::open().await;
    let house = &day.house;
    house.settle_policy(json!({ "bank_mode": "IMPREST_TO_PAR" })).await;
    day.say(
        "INSERT INTO gaming_table (id, casino_id, label, type, status)
             SELECT gen_random_uuid(), casino_id, 'AA-00', type, 'active' FROM gaming_table WHERE label = 'BJ-01'",
    )
    .await;
    let told = day.done("shift_open", json!({ "shift": "swing" })).await;
    assert_eq!(told["sessions"].as_array().map(Vec::len), Some(3));
    assert_eq!(told["skipped"][0]["table"], "AA-00");
    assert!(text(&told["skipped"][0], "reason").starts_with("gates_unmet"), "{told:#}");
    day.end().await;
}

#[tokio::test]
async fn a_shift_spans_what_the_clocks_leave_of_it() {
    let day = Day::open().await;
    let clock = &day.house.clock;
    let until = |instant: &str| {
        (instant.parse::<chrono::DateTime<chrono::Utc>>().expect("an instant") - clock.now())
            .to_std()
            .expect("later")
    };
    let hours = |told: &Value| {
        let at = |member: &str| text(told, member).parse::<chrono::DateTime<chrono::Utc>>().expect("an instant");
        (at("ends_at") - at("starts_at")).num_hours()
    };
    // The night before 8 March 2026, when 02:00 becomes 03:00; opened half an hour ahead.
    clock.advance(until("2026-03-08T03:30:00Z"));
    let told = day.done("shift_open", json!({ "shift": "grave" })).await;
    assert_eq!(
        (text(&told, "gaming_day"), text(&told, "starts_at"), hours(&told)),
        ("2026-03-07".to_owned(), "2026-03-08T04:00:00Z".to_owned(), 7)
    );
    // And the one before 1 November, when 01:00 to 02:00 comes twice.
    clock.advance(until("2026-11-01T03:00:00Z"));
    let told = day.done("shift_open", json!({ "shift": "grave" })).await;
    assert_eq!((text(&told, "gaming_day"), hours(&told)), ("2026-10-31".to_owned(), 9));
    // Far from its time there is nothing to open.
    let told = day.done("shift_open", json!({ "shift": "swing" })).await;
    assert_eq!(told["shift_id"], Value::Null);
    let dead = day.run("shift_open", json!({ "shift": "lunch" })).await;
    assert_eq!(dead["status"], "dead");
    assert!(text(&dead, "error").contains("shift template"), "{dead:#}");
    day.end().await;
}

#[tokio::test]
async fn without_a_name_the_jobs_find_the_shifts_themselves() {
    let day = Day::open().await;
    let opened = day.run("shift_open", json!({})).await["outcome"]["shifts"].clone();
    let names = |shifts: &Value| -> Vec<(String, bool)> {
        shifts
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| (text(row, "shift"), row["shift_id"].is_string()))
            .collect()
    };
    let (there, absent) = (|name: &str| (name.to_owned(), true), |name: &str| (name.to_owned(), false));
    assert_eq!(names(&opened), [absent("day"), there("swing"), absent("grave")]);
    let closed = day.run("shift_close", json!({})).await["outcome"]["shifts"].clone();
    assert_eq!(names(&closed), [absent("day"), absent("swing"), absent("grave")], "none is over");
    day.house.clock.advance(Duration::from_hours(7));
    let closed = day.run("shift_close", json!({})).await["outcome"]["shifts"].clone();
    assert_eq!(names(&closed), [absent("day"), there("swing"), absent("grave")]);
    day.end().await;
}

// Binding.

#[tokio::test]
async fn an_opening_binds_the_shift_given_or_the_one_that_holds_the_moment() {
    let day = Day::open().await;
    let house = &day.house;
    let own = house.create("BJ-01", "BJ-01-A").await;
    let swing = day.swing().await;
    house.clock.advance(Duration::from_mins(60 * 6 + 30));
    let grave = text(&day.done("shift_open", json!({ "shift": "grave" })).await, "shift_id");
    let shift_of = async |session: &str| house.get("PB-01", &format!("sessions/{session}")).await.expect(200)["shift_id"].clone();

    // 21:30, the swing shift: what nobody gave a shift takes this one, what was given one keeps it.
    house.advance("PB-01", &own, json!({ "to": "OPENING" })).await.expect(200);
    assert_eq!(shift_of(&own).await, json!(swing));
    let early = day.session_of("BJ-02").await;
    let given = json!({ "drop_box_id": house.drop_box("BJ-02-A"), "shift_id": grave });
    house
        .person("PB-01")
        .patch(&below(&format!("sessions/{early}")), given)
        .await
        .expect(200);
    house.advance("PB-01", &early, json!({ "to": "OPENING" })).await.expect(200);
    assert_eq!(shift_of(&early).await, json!(grave), "opened early for the next shift");

    // 22:15: what was prepared for a shift that is over opens in the one that lasts.
    house.clock.advance(Duration::from_mins(45));
    let late = day.session_of("BJ-03").await;
    assert_eq!(shift_of(&late).await, json!(grave), "it passed on when the next shift was opened");
    day.say(&format!(
        "UPDATE table_inventory_session SET shift_id = '{swing}', version = version + 1 WHERE id = '{late}'"
    ))
    .await;
    let box_only = json!({ "drop_box_id": house.drop_box("BJ-03-A") });
    house
        .person("PB-01")
        .patch(&below(&format!("sessions/{late}")), box_only)
        .await
        .expect(200);
    house.advance("PB-01", &late, json!({ "to": "OPENING" })).await.expect(200);
    assert_eq!(shift_of(&late).await, json!(grave));
    let listed = house.get("PB-01", &format!("sessions?shift_id={grave}")).await;
    assert_eq!(listed.expect(200)["items"].as_array().map(Vec::len), Some(2));
    day.end().await;
}

#[tokio::test]
async fn a_shift_that_is_named_is_there_and_open() {
    let day = Day::open().await;
    let house = &day.house;
    let swing = day.swing().await;
    day.close().await;
    let new = |shift: &str| json!({ "table_id": house.table("BJ-01"), "shift_id": shift });
    let unknown = Uuid::nil().to_string();
    house
        .in_vain(house.post("PB-01", "sessions", new(&unknown)))
        .await
        .refused(404, "not_found");
    let closed = house.in_vain(house.post("PB-01", "sessions", new(&swing))).await;
    assert_eq!(closed.refused(409, "conflict")["reason"], "shift_closed");
    let theirs = json!({ "table_id": house.other.tables["BJ-01"], "shift_id": swing });
    house
        .in_vain(house.stranger("PB-01").post(&below("sessions"), theirs))
        .await
        .refused(404, "not_found");

    let session = house.create("BJ-01", "BJ-01-A").await;
    let (boss, path) = (house.person("PB-01"), below(&format!("sessions/{session}")));
    house
        .in_vain(boss.patch(&path, json!({ "shift_id": unknown })))
        .await
        .refused(404, "not_found");
    house
        .in_vain(boss.patch(&path, json!({ "shift_id": swing })))
        .await
        .refused(409, "conflict");
    // A closed shift takes none, also where it would hold the moment.
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    let opened = house.get("PB-01", &format!("sessions/{session}")).await;
    assert_eq!(opened.expect(200)["shift_id"], Value::Null);
    house.count_tray(&session, "open", tray()).await;
    let rolled = json!({ "chipset": tray(), "cosign": house.cosign("PB-02"), "shift_id": unknown });
    house
        .in_vain(house.post("PB-01", &format!("sessions/{session}/rollover"), rolled))
        .await
        .refused(404, "not_found");
    day.end().await;
}

#[tokio::test]
async fn a_rollover_takes_the_second_session_into_the_next_shift() {
    let day = Day::open().await;
    let house = &day.house;
    let swing = day.swing().await;
    let session = day.begin("BJ-01", "BJ-01-A").await;
    house.clock.advance(Duration::from_mins(60 * 6 + 55));
    let grave = text(&day.done("shift_open", json!({ "shift": "grave" })).await, "shift_id");
    house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let body = json!({ "chipset": tray(), "cosign": house.cosign("PB-02"), "shift_id": grave });
    let rolled = house.post("PB-01", &format!("sessions/{session}/rollover"), body).await;
    let shifts = (&rolled.expect(201)["closed"]["shift_id"], &rolled.body["opened"]["shift_id"]);
    assert_eq!(shifts, (&json!(swing), &json!(grave)));
    // Without a name: the one that lasts.
    let next = id(&rolled.body["opened"]);
    house.clock.advance(Duration::from_mins(30));
    house.drop_and_bring(&next, "BJ-01-B", Some("BJ-01-C"), "S2").await;
    let body = json!({ "chipset": tray(), "cosign": house.cosign("PB-02") });
    let again = house.post("PB-01", &format!("sessions/{next}/rollover"), body).await;
    assert_eq!(again.expect(201)["opened"]["shift_id"], json!(grave));
    day.end().await;
}

// Closing.

#[tokio::test]
async fn closing_a_shift_drives_every_session_as_far_as_it_goes() {
    let day = Day::open().await;
    let house = &day.house;
    let swing = day.swing().await;
    let (playing, done, idle) = (
        day.begin("BJ-01", "BJ-01-A").await,
        day.begin("BJ-02", "BJ-02-A").await,
        day.session_of("BJ-03").await,
    );
    day.reconcile(&done, "BJ-02-A", "BJ-02-B").await;
    house.clock.advance(Duration::from_hours(7));

    let told = day.close().await;
    assert_eq!(
        (&told["advanced"], &told["failed"], &told["ready"]),
        (&json!(2), &json!(0), &json!(false))
    );
    let at_the_table = line(&told, "sessions", &playing);
    assert_eq!(at_the_table["status"], "DROP_SCHEDULED");
    assert_eq!(at_the_table["advanced"], json!([{ "from": "OPEN", "to": "DROP_SCHEDULED" }]));
    assert_eq!(at_the_table["blocked"], json!([{ "edge": "drop", "gates": ["drop_recorded"] }]));
    let cancelled = line(&told, "sessions", &idle);
    assert_eq!(
        (&cancelled["status"], &cancelled["advanced"]),
        (&json!("CLOSED"), &json!([{ "from": "READY_TO_OPEN", "to": "CLOSED" }]))
    );
    assert_eq!(
        line(&told, "sessions", &done)["advanced"],
        json!([]),
        "compliance is what it waits for"
    );
    let session = house.get("PB-01", &format!("sessions/{playing}")).await;
    assert_eq!(session.expect(200)["drop_scheduled_for"], "2026-03-07T04:00:00.002Z", "now");
    let session = house.get("PB-01", &format!("sessions/{idle}")).await;
    let note = text(session.expect(200), "close_note");
    assert_eq!(
        (&session.body["close_reason"], note.as_str()),
        (&json!("cancelled"), "never begun in the shift swing of 2026-03-06")
    );

    let summary = day.summary(&swing).await;
    assert_eq!(
        (&summary["status"], &summary["sessions"], &summary["cancelled"], &summary["skipped"]),
        (&json!("PENDING"), &json!(3), &json!(1), &json!(1))
    );
    assert_eq!(
        (&summary["win_loss_stat_cents"], &summary["drop_total_cents"], &summary["hold_bp"]),
        (&json!(10_000), &json!(10_000), &json!(10_000))
    );
    assert_eq!(line(&summary, "lines", &playing)["blocked"][0]["edge"], "drop");
    assert_eq!(
        (summary["shift"]["status"].as_str(), day.events("shift.closed").await),
        (Some("CLOSED"), 1)
    );

    let world = day.world().await;
    let again = day.close().await;
    assert_eq!((&again["advanced"], &again["closed_at"]), (&json!(0), &told["closed_at"]));
    assert_eq!(day.world().await, world, "a second run changes nothing");
    assert_eq!(
        line(&day.summary(&swing).await, "lines", &playing)["advanced"],
        at_the_table["advanced"],
        "and forgets nothing"
    );
    day.end().await;
}

#[tokio::test]
async fn a_shift_is_ready_once_when_its_last_session_is() {
    let day = Day::open().await;
    let house = &day.house;
    let swing = day.swing().await;
    let sessions = [("BJ-01", "BJ-01-A", "BJ-01-B"), ("BJ-02", "BJ-02-A", "BJ-02-B")];
    let mut played = Vec::new();
    for (table, drop_box, replacement) in sessions {
        let session = day.begin(table, drop_box).await;
        day.reconcile(&session, drop_box, replacement).await;
        played.push(session);
    }
    assert_eq!(day.summary(&swing).await["version"], 0, "nothing is kept of a shift that lasts");
    for row in house.exceptions(&played[0]).await.iter().chain(&house.exceptions(&played[1]).await) {
        let body = json!({ "reason_code": "CUSTODY_EXPLAINED", "resolution_note": "seen" });
        house
            .post("CO-02", &format!("exceptions/{}/resolve", id(row)), body)
            .await
            .expect(200);
    }
    day.close().await;
    assert_eq!(
        (day.events("shift.rundown_ready").await, &day.summary(&swing).await["status"]),
        (0, &json!("PENDING"))
    );
    // Both at the same moment: one of them is the last.
    tokio::join!(day.finalize(&played[0]), day.finalize(&played[1]));
    let summary = day.summary(&swing).await;
    assert_eq!(
        (&summary["status"], &summary["finalized"], &summary["cancelled"]),
        (&json!("READY"), &json!(2), &json!(1))
    );
    assert_eq!(
        (&summary["win_loss_stat_cents"], &summary["drop_total_cents"]),
        (&json!(20_000), &json!(20_000))
    );
    let told = house
        .texts("SELECT payload->>'win_loss_stat_cents' FROM outbox WHERE event = 'shift.rundown_ready'")
        .await;
    assert_eq!(told, ["20000"], "once");

    let world = day.world().await;
    assert_eq!(day.close().await["ready"], true);
    assert_eq!(day.world().await, world);
    let path = format!("/api/v1/shifts/{swing}/summary");
    let read = house.person("CO-01").get(&path).await;
    let tag = read.header("etag").expect("a tag").to_owned();
    assert_eq!(tag, format!("\"{}\"", summary["version"]));
    let known = house
        .person("CO-01")
        .send(reqwest::Method::GET, &path, &[("if-none-match", &tag)], None)
        .await;
    assert_eq!(known.status, 304);
    day.end().await;
}

#[tokio::test]
async fn a_cancelled_session_may_be_the_last_too_and_a_shift_nobody_played_is_ready_at_once() {
    let day = Day::open().await;
    let house = &day.house;
    let swing = day.swing().await;
    let session = day.session_of("BJ-01").await;
    let body = json!({ "drop_box_id": house.drop_box("BJ-01-A") });
    house
        .person("PB-01")
        .patch(&below(&format!("sessions/{session}")), body)
        .await
        .expect(200);
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    let told = day.close().await;
    let opening = line(&told, "sessions", &session);
    assert_eq!(
        opening["blocked"],
        json!([{ "edge": "open", "gates": ["opening_snapshot_verified"] }]),
        "begun, so it is a person's to cancel"
    );
    house
        .advance("PB-01", &session, json!({ "to": "CLOSED", "note": "no dealers" }))
        .await
        .expect(200);
    let summary = day.summary(&swing).await;
    assert_eq!(
        (&summary["status"], &summary["win_loss_stat_cents"]),
        (&json!("READY"), &Value::Null)
    );
    assert_eq!(day.events("shift.rundown_ready").await, 1);

    house.clock.advance(Duration::from_hours(7));
    day.done("shift_open", json!({ "shift": "grave" })).await;
    let told = day.done("shift_close", json!({ "shift": "grave" })).await;
    assert_eq!((&told["ready"], day.events("shift.rundown_ready").await), (&json!(true), 2));
    day.end().await;
}

#[tokio::test]
async fn one_bad_session_stops_no_other() {
    let day = Day::open().await;
    let swing = day.swing().await;
    let (bad, good) = (day.begin("BJ-01", "BJ-01-A").await, day.begin("BJ-02", "BJ-02-A").await);
    day.say(&format!(
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a disk is full'; END $$;
         CREATE TRIGGER broken BEFORE UPDATE ON table_inventory_session FOR EACH ROW WHEN (OLD.id = '{bad}') EXECUTE FUNCTION broken()"
    ))
    .await;
    let told = day.close().await;
    assert_eq!((&told["failed"], &told["advanced"]), (&json!(1), &json!(2)));
    let failed = line(&told, "sessions", &bad);
    assert_eq!(failed["status"], "OPEN");
    assert!(
        text(failed, "failed").starts_with("internal") && !text(failed, "failed").contains("disk"),
        "{failed}"
    );
    assert_eq!(line(&told, "sessions", &good)["status"], "DROP_SCHEDULED");
    assert!(line(&day.summary(&swing).await, "lines", &bad)["failed"].is_string());
    // Mended, and run again: the shift goes on from where it is.
    day.say("DROP TRIGGER broken ON table_inventory_session; DROP FUNCTION broken()")
        .await;
    let told = day.close().await;
    assert_eq!(
        (&told["failed"], &line(&told, "sessions", &bad)["status"]),
        (&json!(0), &json!("DROP_SCHEDULED"))
    );
    assert_eq!(day.events("shift.closed").await, 1);
    day.end().await;
}

#[tokio::test]
async fn a_closing_may_name_the_hour_of_the_drop_and_begin_the_closings() {
    let day = Day::open().await;
    let house = &day.house;
    day.swing().await;
    let (open, dropped) = (day.begin("BJ-01", "BJ-01-A").await, day.begin("BJ-02", "BJ-02-A").await);
    house.drop_and_bring(&dropped, "BJ-02-A", Some("BJ-02-B"), "S1").await;
    // A box that has just gone was the drop of this shift: another is not asked for.
    house.clock.advance(Duration::from_mins(20));
    let told = day.done("shift_close", json!({ "shift": "swing", "drop_at": "22:15" })).await;
    assert_eq!(line(&told, "sessions", &dropped)["status"], "DROPPED");
    let session = house.get("PB-01", &format!("sessions/{open}")).await;
    assert_eq!(
        (&session.expect(200)["status"], &session.body["drop_scheduled_for"]),
        (&json!("DROP_SCHEDULED"), &json!("2026-03-07T04:15:00Z"))
    );

    house.settle_policy(json!({ "count_before_close": true })).await;
    let told = day.done("shift_close", json!({ "shift": "swing", "start_closings": true })).await;
    let held = json!([{ "edge": "drop", "gates": ["drop_recorded"] }, { "edge": "begin_closing", "gates": ["count_before_close"] }]);
    assert_eq!(line(&told, "sessions", &open)["blocked"], held);
    house.settle_policy(json!({ "count_before_close": false })).await;
    let told = day.done("shift_close", json!({ "shift": "swing", "start_closings": true })).await;
    for session in [&open, &dropped] {
        let line = line(&told, "sessions", session);
        assert_eq!(line["status"], "CLOSING");
        assert_eq!(line["blocked"][0]["edge"], "close");
    }
    day.end().await;
}

// What time brings to light.

#[tokio::test]
async fn the_sweep_raises_what_is_overdue_and_finds_the_same_again() {
    let day = Day::open().await;
    let house = &day.house;
    let (lost, slow) = (
        house.open_table("BJ-01", "BJ-01-A", tray()).await,
        house.open_table("BJ-02", "BJ-02-A", tray()).await,
    );
    house.advance("PB-01", &lost, json!({ "to": "CLOSING" })).await.expect(200);
    house.count_tray(&lost, "close", tray()).await;
    house.advance("PB-01", &slow, json!({ "to": "DROP_SCHEDULED" })).await.expect(200);
    let drop = text(
        &house.remove(&slow, "BJ-02-A", Some("BJ-02-B"), "S1").await.expect(201)["drop"],
        "id",
    );
    assert_eq!(day.sweep().await["raised"], json!([]), "nothing is due");

    house.clock.advance(Duration::from_mins(46));
    let told = day.sweep().await;
    assert_eq!(
        told["raised"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| text(row, "category"))
            .collect::<Vec<_>>(),
        ["CUSTODY_GAP"]
    );
    house.clock.advance(Duration::from_hours(24));
    day.sweep().await;
    assert_eq!(
        (house.categories(&lost).await, house.categories(&slow).await),
        (vec!["DROP_MISSING".into()], vec!["COUNT_OVERDUE".into(), "CUSTODY_GAP".into()])
    );
    let world = day.world().await;
    let told = day.sweep().await;
    assert_eq!((&told["raised"], &told["sessions"]), (&json!([]), &json!(0)));
    assert_eq!(day.world().await, world, "what is told is not told again");

    // Delivered at last: the same exception says how late. Counted: the daemon sees it no longer, and a person still answers for it.
    house.bring(&drop, "S1").await;
    let of = async |category: &str| {
        house
            .exceptions(&slow)
            .await
            .into_iter()
            .find(|row| row["category"] == *category)
            .expect("raised")
    };
    assert!(of("CUSTODY_GAP").await["found"]["delivered_at"].is_string());
    house
        .soft_count(&drop, 0, json!([{ "kind": "opener", "amount_cents": 200_000 }]))
        .await
        .expect(201);
    let overdue = of("COUNT_OVERDUE").await;
    assert!(
        overdue["no_longer_observed_at"].is_string() && overdue["status"] == "OPEN",
        "{overdue}"
    );

    // A finding a person has answered is not raised again, unless its facts change.
    let missing = house.exceptions(&lost).await.remove(0);
    let body = json!({ "reason_code": "CUSTODY_EXPLAINED", "resolution_note": "it stands there still" });
    house
        .post("CO-01", &format!("exceptions/{}/resolve", id(&missing)), body)
        .await
        .expect(200);
    house.clock.advance(Duration::from_hours(48));
    day.sweep().await;
    assert_eq!(house.categories(&lost).await, ["DROP_MISSING"]);
    house.settle_policy(json!({ "drop_due_hours": 12 })).await;
    day.sweep().await;
    assert_eq!(house.categories(&lost).await, ["DROP_MISSING", "DROP_MISSING"]);
    let told = day.sweep().await;
    assert_eq!(told["overdue_exceptions"]["count"], 2, "{told:#}");
    day.end().await;
}

#[tokio::test]
async fn a_missing_drop_that_is_waived_is_waived_for_good() {
    let day = Day::open().await;
    let house = &day.house;
    let lost = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    house.advance("PB-01", &lost, json!({ "to": "CLOSING" })).await.expect(200);
    house.count_tray(&lost, "close", tray()).await;
    house.clock.advance(Duration::from_hours(25));
    day.sweep().await;
    let missing = id(&house.exceptions(&lost).await[0]);
    let body = json!({ "reason_code": "CUSTODY_EXPLAINED", "resolution_note": "burnt", "waive": true });
    house
        .post("CO-01", &format!("exceptions/{missing}/resolve"), body)
        .await
        .expect(200);
    assert_eq!(house.status(&lost).await, "RECONCILED");
    assert_eq!(day.sweep().await["sessions"], 0);
    day.end().await;
}

#[tokio::test]
async fn a_number_no_later_number_told_of_is_told_by_the_sweep() {
    let day = Day::open().await;
    let house = &day.house;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    house.slip(&session, "fill", "f-1", json!({ "500": 1 })).await;
    let range = house
        .post("AD-01", "slip-series/manual-ranges", json!({ "kind": "fill", "count": 2 }))
        .await;
    let range = id(range.expect(201));
    house
        .post("AD-01", &format!("slip-series/manual-ranges/{range}/close"), json!({}))
        .await
        .expect(200);
    house.clock.advance(Duration::from_hours(23));
    assert_eq!(
        day.sweep().await["raised"],
        json!([]),
        "the next number of the series would tell of it"
    );
    house.clock.advance(Duration::from_hours(2));
    day.sweep().await;
    let gaps: Vec<String> = house.exceptions(&session).await.iter().map(|row| text(row, "subject_id")).collect();
    assert_eq!(gaps, ["fill:2026-03-06:2", "fill:2026-03-06:3"]);
    assert_eq!(day.sweep().await["raised"], json!([]));
    // Of a series without any slip there is no session to tell it on.
    let range = house
        .post("AD-01", "slip-series/manual-ranges", json!({ "kind": "credit", "count": 1 }))
        .await;
    let range = id(range.expect(201));
    house
        .post("AD-01", &format!("slip-series/manual-ranges/{range}/close"), json!({}))
        .await
        .expect(200);
    house.clock.advance(Duration::from_hours(25));
    let told = day.sweep().await;
    assert_eq!(
        (&told["raised"], &told["unplaced_numbers"][0]["kind"]),
        (&json!([]), &json!("credit"))
    );
    day.end().await;
}

// The daemon itself.

/// What the daemon may ask for in its own name: it drives, it finds, it looks. It never signs, counts, judges or sets anything up.
const DAEMONS_OWN: [&str; 6] = [
    "session.create",
    "session.move",
    "shift.open",
    "shift.close",
    "deadline.sweep",
    "job.run",
];

#[tokio::test]
async fn the_daemon_signs_nothing_and_resolves_nothing() {
    let day = Day::open().await;
    let house = &day.house;
    let engine = Engine::new(house.db.clone(), house.clock.clone());
    let envelope = Envelope {
        principal: Principal::System(house.home.casino),
        correlation: CorrelationId::generate(),
        key: None,
        if_match: None,
    };
    let mut may = Vec::new();
    for act in act::ALL {
        let command = Command {
            act: *act,
            ask: Ask::default(),
            pins: Vec::new(),
            versioned: Versioned::Nothing,
        };
        let asked = engine
            .command(&envelope, &command, |_: &mut Desk| Ok(()), |_| rundown::answer::Answer::ok(&()))
            .await;
        match asked {
            Ok(_) => may.push(act.name),
            Err(Error::Refused(refusal)) => assert!(matches!(*refusal, Refusal::Forbidden { .. }), "{}: {refusal:?}", act.name),
            Err(other) => panic!("{}: {other}", act.name),
        }
    }
    may.sort_unstable();
    let mut own = DAEMONS_OWN;
    own.sort_unstable();
    assert_eq!(may, own);

    // A whole shift, and deadlines: not one signature of the daemon, and nothing resolved.
    day.swing().await;
    day.begin("BJ-01", "BJ-01-A").await;
    day.done("shift_close", json!({ "shift": "swing", "start_closings": true })).await;
    house.clock.advance(Duration::from_hours(48));
    day.sweep().await;
    let signed = house
        .texts(&format!("SELECT act FROM signature WHERE staff_id = '{}'", house.staff("SYSTEM")))
        .await;
    assert_eq!(signed, Vec::<String>::new());
    let taken = house
        .texts(&format!(
            "SELECT verb FROM session_transition WHERE taken_by = '{}' ORDER BY 1",
            house.staff("SYSTEM")
        ))
        .await;
    assert_eq!(taken, ["begin_closing", "cancel", "cancel", "schedule_drop"]);
    day.end().await;
}

// The whole day.

/// The daemon as `demo --time-lapse` starts it, over a test's database.
async fn lapse(factor: u32) -> Outcome {
    let folder = Folder::read_with_telemetry(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/casino-day")).expect("the folder");
    let cluster = Cluster::database().await;
    let database = Database {
        embedded: None,
        owner_url: cluster.url(OWNER).into(),
        app: PoolSettings {
            url: cluster.url("rundown_app"),
            assume_role: None,
            max_connections: 8,
            statement_timeout: Duration::from_secs(20),
            lock_timeout: Duration::from_secs(10),
        },
    };
    let today = folder.casino.gaming_day.expect("the folder's day");
    let eve = Hours::eve(&folder, today, TimeDelta::minutes(30));
    seed(&database, &folder, eve).await.expect("seeded");
    let clock = Clock::lapse(eve, factor.try_into().expect("not zero"));
    // Held until its schedules are made.
    clock.go_until(Some(eve));
    let nowhere = Path::new("/nonexistent");
    let mut config = Config::load(Some(nowhere), None).expect("a configuration");
    config.server.listen = "127.0.0.1:0".parse().expect("an address");
    config.auth.secret = auth().secret;
    let issuer = TokenIssuer::new(&config.auth.settings(), nowhere).expect("an issuer");
    let running = daemon::start(&config, clock.clone(), database).await.expect("a daemon");
    let tokens = |employee_no: &str| {
        issuer.issue(
            &format!("{}:{employee_no}", folder.casino.name),
            clock.now(),
            Duration::from_hours(72),
        )
    };
    let pace = Pace::ByTheHour(Hours::new(&folder, today, clock.clone()));
    let outcome = play_at(&folder, &running.url(), &tokens, true, Progress::Hidden, pace)
        .await
        .expect("played to the end");
    running.stop().await.expect("stopped in order");
    outcome
}

#[tokio::test]
async fn a_casino_day_by_the_hour_opens_and_closes_its_shifts_by_itself() {
    let outcome = lapse(3_600).await;
    let refused: Vec<String> = outcome.refused.iter().map(ToString::to_string).collect();
    assert_eq!(refused, Vec::<String>::new());
    // The players' part of the day, at its hours: the sums are worked out in `casino_day::telemetry`.
    let bought = BuyinLine {
        rated_cents: Some(2_225_000),
        grind_cents: Some(123_000),
        good: 12,
        low: 3,
        none: 9,
    };
    assert_eq!(outcome.buyins, Some(bought));
    let played: Vec<(&str, usize)> = outcome.shifts.iter().map(|shift| (shift.name.as_str(), shift.finalized)).collect();
    assert_eq!(played, [("day", 13), ("swing", 24), ("grave", 10)]);
    for shift in &outcome.shifts {
        assert_eq!((shift.status, shift.rolled_up), (SummaryStatus::Ready, Some(true)), "{shift}");
        let own = || outcome.sessions.iter().filter(|line| line.shift == shift.name);
        assert_eq!(
            shift.win_cents,
            own().filter_map(|line| line.win_cents).reduce(|sum, cents| sum + cents),
            "{shift}"
        );
        assert_eq!(
            shift.drop_cents,
            own().filter_map(|line| line.drop_cents).reduce(|sum, cents| sum + cents),
            "{shift}"
        );
    }
}
