//! Schedules through the API: what is taken, what is refused and why, and what a preview tells of the clocks.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{every_second, merge};
use crate::support::{House, Reply, id};

/// A schedule of which only what must be said is said, with these members changed.
fn plain(change: Value) -> Value {
    let mut body = json!({ "name": "Prune", "job_kind": "retention_prune", "cron": "0 4 * * *" });
    merge(&mut body, change);
    body
}

async fn refused(house: &House, body: Value) -> Reply {
    let reply = house.in_vain(house.person("AD-01").post("/api/v1/schedules", body)).await;
    reply.refused(422, "validation_failed");
    reply
}

#[tokio::test]
async fn a_schedule_says_when_it_fires_next() {
    let house = House::open().await;
    let made = house.person("AD-01").post("/api/v1/schedules", plain(json!({}))).await;
    assert_eq!(made.header("etag"), Some("\"1\""));
    let made = made.expect(201);
    // 15:00 in Chicago; the next 04:00 is still six hours behind UTC.
    assert_eq!(made["next_fire_at"], "2026-03-07T10:00:00Z");
    let said = json!({ "timezone": "America/Chicago", "gap": "shift", "fold": "first", "enabled": true, "catch_up": "latest", "overlap": "queue",
                       "params": {}, "missed_firings": 0, "max_attempts": 5, "catch_up_max": 100, "catch_up_window_minutes": 1440 });
    for (member, value) in said.as_object().expect("members") {
        assert_eq!(&made[member], value, "{member}");
    }
    assert_eq!(house.listed(&id(made)).await, *made);
    let others = house.person("PB-01").get("/api/v1/schedules?job_kind=shift_open").await;
    assert_eq!(others.expect(200)["items"], json!([]));
    let paused = house.person("PB-01").get("/api/v1/schedules?enabled=false").await;
    assert_eq!(paused.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn what_can_never_fire_is_refused_with_what_is_wrong() {
    let house = House::open().await;
    for (cron, wrong) in [
        ("", "not 0"),
        ("0 4 * *", "not 4"),
        ("0 0 0 1 1 * 2026", "not 7"),
        ("61 4 * * *", "minute `61`: 61 is not within 0 to 59"),
        ("0 24 * * *", "hour `24`"),
        ("0 0 30 2 *", "day of month `30` never comes in month `2`"),
        ("0 0 31 4,6 *", "never comes"),
        ("0 9 1 * 1", "both restricted"),
        ("0 0 * * FUN", "`FUN`"),
        ("@noon", "`@noon` is not known"),
    ] {
        let reply = refused(&house, plain(json!({ "cron": cron }))).await;
        assert_eq!(reply.pointers(), ["/cron"], "{cron}");
        assert!(reply.text.contains(wrong), "{cron}: {}", reply.text);
    }
    for zone in ["America/Chicagoo", "", "CDT+6"] {
        let reply = refused(&house, plain(json!({ "timezone": zone }))).await;
        assert_eq!(reply.pointers(), ["/timezone"], "{zone}");
    }
    for (params, pointer) in [
        (json!({ "colour": "red" }), "/params/colour"),
        (json!({ "keep_runs_days": 0 }), "/params/keep_runs_days"),
        (json!({ "keep_runs_days": "ten" }), "/params/keep_runs_days"),
        (json!([]), "/params"),
        (Value::Null, "/params"),
    ] {
        assert_eq!(
            refused(&house, plain(json!({ "params": params }))).await.pointers(),
            [pointer],
            "{params}"
        );
    }
    for (member, value) in [
        ("name", json!(" ")),
        ("name", json!("n".repeat(65))),
        ("catch_up_max", json!(0)),
        ("catch_up_max", json!(1001)),
        ("catch_up_window_minutes", json!(0)),
        ("max_attempts", json!(0)),
        ("max_attempts", json!(101)),
    ] {
        let reply = refused(&house, plain(json!({ member: value }))).await;
        assert_eq!(reply.pointers(), [format!("/{member}")], "{value}");
    }
    // Every flaw at once.
    let all = plain(json!({ "name": "", "cron": "x", "timezone": "y", "params": { "z": 1 }, "max_attempts": -1 }));
    let mut pointers = refused(&house, all)
        .await
        .pointers()
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    pointers.sort();
    assert_eq!(pointers, ["/cron", "/max_attempts", "/name", "/params/z", "/timezone"]);
    for (member, value) in [
        ("job_kind", json!("make_coffee")),
        ("gap", json!("jump")),
        ("fold", json!("third")),
        ("catch_up", json!("some")),
        ("overlap", json!("kill")),
        ("colour", json!("red")),
    ] {
        let reply = house
            .in_vain(house.person("AD-01").post("/api/v1/schedules", plain(json!({ member: value }))))
            .await;
        reply.refused(400, "malformed_request");
    }
}

#[tokio::test]
async fn a_change_is_judged_like_a_new_one_and_moves_the_next_firing_only_where_it_must() {
    let house = House::open().await;
    let schedule = id(house.person("AD-01").post("/api/v1/schedules", plain(json!({}))).await.expect(201));
    let path = format!("/api/v1/schedules/{schedule}");
    let admin = house.person("AD-01");
    for (change, pointer) in [
        (json!({ "cron": "0 0 30 2 *" }), "/cron"),
        (json!({ "timezone": "Mars" }), "/timezone"),
        (json!({ "params": { "shift": "Day" } }), "/params/shift"),
    ] {
        let reply = house.in_vain(admin.patch(&path, change)).await;
        reply.refused(422, "validation_failed");
        assert_eq!(reply.pointers(), [pointer]);
    }
    let reply = house.in_vain(admin.patch(&path, json!({ "job_kind": "shift_open" }))).await;
    reply.refused(400, "malformed_request");

    let renamed = house
        .change_schedule(
            &schedule,
            json!({ "name": "Night", "params": { "keep_runs_days": 7 }, "catch_up": "skip" }),
        )
        .await;
    assert_eq!(
        (&renamed["version"], &renamed["next_fire_at"]),
        (&json!(2), &json!("2026-03-07T10:00:00Z"))
    );
    let moved = house.change_schedule(&schedule, json!({ "timezone": "Europe/Malta" })).await;
    assert_eq!(
        (&moved["version"], &moved["next_fire_at"]),
        (&json!(3), &json!("2026-03-07T03:00:00Z"))
    );
    let moved = house.change_schedule(&schedule, json!({ "cron": "30 22 * * *" })).await;
    assert_eq!(moved["next_fire_at"], "2026-03-06T21:30:00Z");
    let same = house.change_schedule(&schedule, json!({ "cron": "30 22 * * *" })).await;
    assert_eq!(same["version"], 4, "nothing changed");

    let stale = [("if-match", "\"3\"")];
    let reply = house
        .in_vain(admin.send(Method::PATCH, &path, &stale, Some(json!({ "name": "Late" }))))
        .await;
    assert_eq!(reply.refused(412, "version_mismatch")["version"], 4);
    let current = [("if-match", "\"4\"")];
    let reply = admin.send(Method::PATCH, &path, &current, Some(json!({ "name": "Late" }))).await;
    assert_eq!(
        (reply.expect(200)["version"].as_i64(), reply.header("etag")),
        (Some(5), Some("\"5\""))
    );
}

#[tokio::test]
async fn a_name_is_taken_once_in_a_casino() {
    let house = House::open().await;
    let admin = house.person("AD-01");
    admin.post("/api/v1/schedules", plain(json!({}))).await.expect(201);
    let again = house
        .in_vain(admin.post("/api/v1/schedules", plain(json!({ "name": " Prune " }))))
        .await;
    assert_eq!(again.refused(409, "conflict")["reason"], "name_taken");
    house
        .stranger("AD-01")
        .post("/api/v1/schedules", plain(json!({})))
        .await
        .expect(201);
    let other = id(admin.post("/api/v1/schedules", plain(json!({ "name": "Other" }))).await.expect(201));
    let reply = house
        .in_vain(admin.patch(&format!("/api/v1/schedules/{other}"), json!({ "name": "Prune" })))
        .await;
    assert_eq!(reply.refused(409, "conflict")["reason"], "name_taken");
}

#[tokio::test]
async fn what_an_admin_does_to_a_schedule_is_in_the_book() {
    let house = House::open().await;
    let schedule = house.schedule("Prune", json!({ "enabled": false })).await;
    house.change_schedule(&schedule, json!({ "name": "Night" })).await;
    let run = house.run_now(&schedule).await;
    let book = house.person("CO-01").get("/api/v1/audit?domain=schedule").await.expect(200).clone();
    let rows = book["items"].as_array().expect("a list");
    let actions: Vec<_> = rows.iter().map(|row| row["action"].as_str().expect("a verb")).collect();
    assert_eq!(actions, ["create", "change", "run"]);
    assert_eq!(rows[1]["dto_before"]["schedule"][0]["name"], "Prune");
    assert_eq!(rows[1]["dto_after"]["schedule"][0]["name"], "Night");
    assert_eq!(rows[2]["dto_after"]["job_run"][0]["id"], json!(run));
    assert!(rows.iter().all(|row| row["actor_id"] == json!(house.staff("AD-01"))));
}

#[tokio::test]
async fn a_preview_names_the_rule_where_the_clocks_change() {
    let house = House::open().await;
    let show = async |body: Value, count: usize| {
        let schedule = id(house.person("AD-01").post("/api/v1/schedules", body).await.expect(201));
        let reply = house
            .person("CG-01")
            .get(&format!("/api/v1/schedules/{schedule}/next?count={count}"))
            .await;
        let items = reply.expect(200)["items"].as_array().expect("a list").clone();
        assert_eq!(items.len(), count);
        items
    };
    let rule = |items: &[Value], local: &str| {
        let found = items
            .iter()
            .find(|item| item["local"] == local)
            .unwrap_or_else(|| panic!("{local} in {items:#?}"));
        assert_eq!(found["rule"].is_null(), found["detail"].is_null(), "{found}");
        (found["fire_at"].as_str().expect("an instant").to_owned(), found["rule"].clone())
    };
    // In New York 02:30 is skipped on 8 March 2026.
    let spring = |gap: &str| plain(json!({ "name": gap, "cron": "30 2 * * *", "timezone": "America/New_York", "gap": gap }));
    let shifted = show(spring("shift"), 3).await;
    assert_eq!(
        rule(&shifted, "2026-03-07T02:30:00-05:00"),
        ("2026-03-07T07:30:00Z".to_owned(), Value::Null)
    );
    assert_eq!(
        rule(&shifted, "2026-03-08T03:00:00-04:00"),
        ("2026-03-08T07:00:00Z".to_owned(), json!("gap_shift"))
    );
    assert_eq!(rule(&shifted, "2026-03-09T02:30:00-04:00").1, Value::Null);
    let skipped = show(spring("skip"), 2).await;
    assert_eq!(rule(&skipped, "2026-03-09T02:30:00-04:00").1, Value::Null);
    // On Lord Howe 01:45 comes twice on 5 April 2026, half an hour apart.
    let autumn = |fold: &str| plain(json!({ "name": fold, "cron": "45 1 * * *", "timezone": "Australia/Lord_Howe", "fold": fold }));
    let (first, second) = ("2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30");
    assert_eq!(rule(&show(autumn("first"), 30).await, first).1, "fold_first");
    assert_eq!(rule(&show(autumn("second"), 30).await, second).1, "fold_second");
    let both = show(autumn("both"), 31).await;
    assert_eq!(
        (rule(&both, first).1, rule(&both, second).1),
        (json!("fold_both"), json!("fold_both"))
    );
    // What goes on every so often goes on through both.
    let hourly = plain(json!({ "name": "hourly", "cron": "30 * * * *", "timezone": "America/New_York" }));
    let hours = show(hourly, 200).await;
    let instants: Vec<chrono::DateTime<chrono::Utc>> = hours
        .iter()
        .map(|item| item["fire_at"].as_str().expect("text").parse().expect("an instant"))
        .collect();
    assert!(instants.windows(2).all(|pair| pair[1] - pair[0] == chrono::TimeDelta::hours(1)));
}

#[tokio::test]
async fn a_preview_has_a_size_and_knows_a_pause() {
    let house = House::open().await;
    let schedule = house.schedule("Prune", json!({ "enabled": false })).await;
    let path = format!("/api/v1/schedules/{schedule}/next");
    let boss = house.person("PB-01");
    let shown = boss.get(&path).await;
    assert_eq!(shown.expect(200)["items"].as_array().map(Vec::len), Some(10));
    assert_eq!(
        (&shown.body["enabled"], &shown.body["timezone"]),
        (&json!(false), &json!("America/Chicago"))
    );
    for bad in ["count=0", "count=201", "count=x", "size=3"] {
        boss.get(&format!("{path}?{bad}")).await.refused(400, "malformed_request");
    }
    let tag = shown.header("etag").expect("a tag").to_owned();
    let known = boss.send(Method::GET, &path, &[("if-none-match", &tag)], None).await;
    assert_eq!(known.status, 304);
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(boss.send(Method::GET, &path, &[("if-none-match", &tag)], None).await.status, 200);
}

#[tokio::test]
async fn only_an_admin_changes_the_timetable_and_everybody_may_read_it() {
    let house = House::open().await;
    let schedule = house.schedule("Prune", json!({})).await;
    let run = house.run_now(&schedule).await;
    for who in ["PB-01", "CG-01", "SC-01", "CT-01", "CO-01"] {
        let person = house.person(who);
        for reply in [
            house
                .in_vain(person.post("/api/v1/schedules", every_second("Mine", json!({}))))
                .await,
            house
                .in_vain(person.patch(&format!("/api/v1/schedules/{schedule}"), json!({ "enabled": false })))
                .await,
            house
                .in_vain(person.post(&format!("/api/v1/schedules/{schedule}/run"), json!({})))
                .await,
            house
                .in_vain(person.post(&format!("/api/v1/job-runs/{run}/retry"), json!({})))
                .await,
        ] {
            reply.refused(403, "forbidden");
        }
        for path in [
            "schedules",
            "job-runs",
            &format!("job-runs/{run}"),
            &format!("schedules/{schedule}/next"),
        ] {
            person.get(&format!("/api/v1/{path}")).await.expect(200);
        }
    }
    // Another casino's is not there at all.
    let stranger = house.stranger("AD-01");
    assert_eq!(
        stranger.get(&format!("/api/v1/job-runs?schedule_id={schedule}")).await.expect(200)["items"],
        json!([])
    );
    assert_eq!(stranger.get("/api/v1/job-runs").await.expect(200)["items"], json!([]));
    stranger.get(&format!("/api/v1/job-runs/{run}")).await.refused(404, "not_found");
    house
        .in_vain(stranger.post(&format!("/api/v1/job-runs/{run}/retry"), json!({})))
        .await
        .refused(404, "not_found");
    house
        .in_vain(stranger.post(&format!("/api/v1/schedules/{schedule}/run"), json!({})))
        .await
        .refused(404, "not_found");
}

#[tokio::test]
async fn schedules_keep_the_conventions() {
    let house = House::open().await;
    let schedule = house.schedule("Prune", json!({})).await;
    let (admin, run) = (house.person("AD-01"), format!("/api/v1/schedules/{schedule}/run"));
    for (path, body) in [("/api/v1/schedules", plain(json!({}))), (run.as_str(), json!({}))] {
        let reply = house.in_vain(admin.send(Method::POST, path, &[], Some(body))).await;
        assert!(
            reply.refused(400, "malformed_request")["detail"]
                .to_string()
                .contains("Idempotency-Key"),
            "{path}"
        );
    }
    let run = house.run_now(&schedule).await;
    for path in ["schedules", "job-runs", &format!("job-runs/{run}")] {
        let path = format!("/api/v1/{path}");
        let tag = admin
            .get(&path)
            .await
            .header("etag")
            .unwrap_or_else(|| panic!("{path} has no ETag"))
            .to_owned();
        assert_eq!(
            admin.send(Method::GET, &path, &[("if-none-match", &tag)], None).await.status,
            304,
            "{path}"
        );
    }
    for path in [
        "schedules?colour=red",
        "job-runs?status=asleep",
        "job-runs?schedule_id=7",
        "job-runs?limit=0",
        "schedules?cursor=!",
    ] {
        admin.get(&format!("/api/v1/{path}")).await.refused(400, "malformed_request");
    }
    let page = admin.get("/api/v1/job-runs?limit=1&status=queued&job_kind=retention_prune").await;
    assert_eq!(page.expect(200)["items"][0]["id"], json!(run));
    assert_eq!(page.body["next_cursor"], Value::Null);
}
