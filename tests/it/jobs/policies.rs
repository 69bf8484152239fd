//! What becomes of firings: missed, overlapping, paused, asked for by hand, failed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rundown::clock::new_id;
use rundown::jobs::Settings;
use rundown::store::clockwork::Look;
use serde_json::{Value, json};

use crate::schema::ask;
use crate::support::{House, Publisher, Runner, Written, hurried, insert, is_published, text, until, write};

fn fired(runs: &[Value]) -> Vec<DateTime<Utc>> {
    runs.iter().map(|run| text(run, "fire_at").parse().expect("an instant")).collect()
}

fn statuses(runs: &[Value]) -> Vec<&str> {
    runs.iter().map(|run| run["status"].as_str().expect("a status")).collect()
}

/// Runs what is due until nothing is left to do.
async fn let_it_run(house: &House) {
    let runner = Runner::start(house, hurried()).await;
    let due = format!("schedule WHERE next_fire_at <= '{}'", house.clock.now());
    until("nothing is due and nothing unfinished", || async {
        house.count(&due).await == 0 && house.count("job_run WHERE finished_at IS NULL").await == 0
    })
    .await;
    runner.stop().await;
}

#[tokio::test]
async fn what_passed_while_no_daemon_was_there_is_made_up_for_as_the_schedule_says() {
    let house = House::open().await;
    let minutely = |catch_up: &str| json!({ "cron": "* * * * *", "catch_up": catch_up });
    let skip = house.schedule("skip", minutely("skip")).await;
    let latest = house.schedule("latest", minutely("latest")).await;
    let all = house.schedule("all", minutely("all")).await;
    let few = json!({ "cron": "* * * * *", "catch_up": "all", "catch_up_max": 5 });
    let (few, young) = (
        house.schedule("few", few).await,
        json!({ "cron": "* * * * *", "catch_up": "all", "catch_up_window_minutes": 10 }),
    );
    let young = house.schedule("young", young).await;
    let start = house.clock.now();
    // Half a minute past the thirtieth firing.
    house.clock.advance(Duration::from_secs(30 * 60 + 30));
    let_it_run(&house).await;

    let minute = |n: i64| start + TimeDelta::minutes(n);
    for (schedule, expected) in [
        (&latest, vec![minute(30)]),
        (&all, (1..=30).map(minute).collect()),
        (&few, (26..=30).map(minute).collect()),
        (&young, (21..=30).map(minute).collect()),
        // Half a minute is what a restart takes: the last one is not missed yet.
        (&skip, vec![minute(30)]),
    ] {
        let runs = house.runs(schedule).await;
        assert_eq!(fired(&runs), expected);
        assert!(statuses(&runs).iter().all(|status| *status == "succeeded"), "{runs:#?}");
        let listed = house.listed(schedule).await;
        assert_eq!(
            listed["missed_firings"].as_i64(),
            Some(30 - i64::try_from(expected.len()).expect("few")),
            "{listed}"
        );
        assert_eq!(listed["next_fire_at"], json!(minute(31)));
        assert_eq!(listed["version"], 1, "planning spoils no ETag");
    }
    house.clock.advance(Duration::from_secs(10 * 60 + 20));
    // 50 seconds past the fortieth.
    let_it_run(&house).await;
    assert_eq!(fired(&house.runs(&skip).await), [minute(30), minute(40)]);
}

#[tokio::test]
async fn a_firing_older_than_the_grace_is_skipped_for_good() {
    let house = House::open().await;
    let hourly = house.schedule("hourly", json!({ "cron": "0 * * * *", "catch_up": "skip" })).await;
    house.clock.advance(Duration::from_secs(3600 + 61));
    let_it_run(&house).await;
    assert_eq!(house.runs(&hourly).await, Vec::<Value>::new());
    assert_eq!(house.listed(&hourly).await["missed_firings"], 1);
}

#[tokio::test]
async fn a_paused_schedule_stays_paused_over_a_restart_and_makes_up_for_nothing() {
    let house = House::open().await;
    let schedule = house.schedule("minutely", json!({ "cron": "* * * * *" })).await;
    let paused = house.change_schedule(&schedule, json!({ "enabled": false })).await;
    assert_eq!((&paused["enabled"], &paused["next_fire_at"]), (&json!(false), &Value::Null));
    for _ in 0..2 {
        house.clock.advance(Duration::from_mins(10));
        // A daemon comes up, has a look, and goes.
        let_it_run(&house).await;
    }
    assert_eq!(house.runs(&schedule).await, Vec::<Value>::new());
    house.clock.advance(Duration::from_secs(30));
    let resumed = house.change_schedule(&schedule, json!({ "enabled": true })).await;
    let next = house.clock.now() + Duration::from_secs(30);
    assert_eq!((&resumed["next_fire_at"], &resumed["missed_firings"]), (&json!(next), &json!(0)));
    let_it_run(&house).await;
    assert_eq!(house.runs(&schedule).await, Vec::<Value>::new());
    house.clock.advance(Duration::from_secs(30));
    let_it_run(&house).await;
    assert_eq!(fired(&house.runs(&schedule).await), [next]);
}

#[tokio::test]
async fn a_run_asked_for_by_hand_is_one_of_its_own_even_of_a_paused_schedule() {
    let house = House::open().await;
    let schedule = house.schedule("yearly", json!({ "cron": "@yearly", "enabled": false })).await;
    house.old_answers(house.home.casino, 3).await;
    house.run_now(&schedule).await;
    house.run_now(&schedule).await;
    let runs = house.runs(&schedule).await;
    assert_eq!(fired(&runs), [house.clock.now(), house.clock.now() + TimeDelta::microseconds(1)]);
    for run in &runs {
        let said = (&run["manual"], &run["requested_by"], &run["status"], &run["attempt"]);
        assert_eq!(said, (&json!(true), &json!(house.staff("AD-01")), &json!("queued"), &json!(0)));
    }
    let_it_run(&house).await;
    let runs = house.runs(&schedule).await;
    assert_eq!(statuses(&runs), ["succeeded", "succeeded"]);
    assert_eq!(
        (&runs[0]["outcome"]["removed"], &runs[1]["outcome"]["removed"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(
        (&runs[0]["done"], &runs[0]["total"], &runs[0]["attempt"]),
        (&json!(3), &json!(3), &json!(1))
    );
    assert_eq!(house.count("idempotency_key WHERE request_hash = sha256('POST /')").await, 0);

    // The same key asks once.
    let (admin, path) = (house.person("AD-01"), format!("/api/v1/schedules/{schedule}/run"));
    let once = admin.post_as("k-1", &path, json!({})).await;
    let again = admin.post_as("k-1", &path, json!({})).await;
    assert_eq!(
        (once.expect(201), again.header("idempotent-replayed")),
        (again.expect(201), Some("true"))
    );
    assert_eq!(house.runs(&schedule).await.len(), 3);
}

/// Takes the oldest run and sits on it, as a daemon does whose job takes long.
async fn sit_on_a_run(house: &House, lease: Duration) -> rundown::store::clockwork::Taken {
    let look = Look {
        owner: "sitting",
        at: house.clock.now(),
        lease_ms: u64::try_from(lease.as_millis()).expect("short"),
        want: 1,
        held: Vec::new(),
    };
    let mut seen = house.db.look_at_clock(&look).await.expect("a look");
    seen.taken.pop().expect("a run to take")
}

#[tokio::test]
async fn a_firing_that_overlaps_is_skipped_and_said_or_waits_its_turn() {
    for (overlap, expected) in [
        ("skip", ["succeeded", "skipped", "skipped", "succeeded"]),
        ("queue", ["succeeded", "succeeded", "succeeded", "succeeded"]),
    ] {
        let house = House::open().await;
        let schedule = house.schedule("minutely", json!({ "cron": "* * * * *", "overlap": overlap })).await;
        let first = house.run_now(&schedule).await;
        let long = sit_on_a_run(&house, Duration::from_mins(10)).await;
        assert_eq!(long.id.to_string(), first);
        let runner = Runner::start(&house, hurried()).await;
        house.clock.advance(Duration::from_mins(2));
        until("two firings are planned", || async { house.runs(&schedule).await.len() == 3 }).await;
        let runs = house.runs(&schedule).await;
        let waiting = if overlap == "skip" { "skipped" } else { "queued" };
        assert_eq!(statuses(&runs), ["running", waiting, waiting], "one at a time");
        if overlap == "skip" {
            assert!(
                text(&runs[1], "error").contains("had not ended") && runs[1]["attempt"] == 0,
                "{}",
                runs[1]
            );
        }
        // It ends after all.
        house
            .by_owner("UPDATE job_run SET leased_until = clock_timestamp() WHERE status = 'running'")
            .await;
        house.comes_to(&first, "succeeded").await;
        until("those that waited have run", || async {
            house.count("job_run WHERE finished_at IS NULL").await == 0
        })
        .await;
        house.clock.advance(Duration::from_mins(1));
        until("the next fires", || async {
            house.runs(&schedule).await.len() == 4 && house.runs_that_are("queued").await == 0
        })
        .await;
        until("all have ended", || async {
            house.count("job_run WHERE finished_at IS NULL").await == 0
        })
        .await;
        assert_eq!(statuses(&house.runs(&schedule).await), expected);
        runner.stop().await;
    }
}

#[tokio::test]
async fn a_run_that_fails_pauses_longer_and_longer_dies_and_is_sent_back_by_a_person() {
    let house = House::open().await;
    house.keep_diary().await;
    house.by_owner("REVOKE DELETE ON idempotency_key FROM rundown_app").await;
    let schedule = house.schedule("prune", json!({ "enabled": false, "max_attempts": 4 })).await;
    let settings = Settings {
        first_pause: Duration::from_millis(40),
        longest_pause: Duration::from_millis(100),
        ..hurried()
    };
    let runner = Runner::start(&house, settings).await;
    let run = house.run_now(&schedule).await;
    let dead = house.comes_to(&run, "dead").await;
    assert_eq!((&dead["attempt"], &dead["outcome"]), (&json!(4), &Value::Null));
    // What went wrong inside stays in the log.
    assert!(
        text(&dead, "error").starts_with("internal: ") && !dead.to_string().contains("permission"),
        "{dead}"
    );
    assert!(!dead["finished_at"].is_null());
    let listed = house.person("CO-01").get("/api/v1/job-runs?status=dead").await;
    assert_eq!(listed.expect(200)["items"], json!([dead]));

    let owner = house.cluster.owner().await;
    let pauses = "SELECT jsonb_agg(EXTRACT(EPOCH FROM due_at - at) * 1000 ORDER BY at) AS json FROM diary WHERE status = 'retrying'";
    let pauses: Vec<f64> = serde_json::from_value(ask(&owner, pauses, []).await).expect("milliseconds");
    assert_eq!(pauses.len(), 3, "the fourth failure was the last");
    for (pause, longest) in pauses.into_iter().zip([40.0, 80.0, 100.0]) {
        // The diary is written a moment after the pause begins.
        assert!((-50.0..=longest).contains(&pause), "{pause} ms, at most {longest}");
    }
    let early = "SELECT to_jsonb(count(*)) AS json FROM diary AS d
                  WHERE d.status = 'running' AND d.at < (SELECT max(p.due_at) FROM diary AS p WHERE p.status = 'retrying' AND p.at < d.at)";
    assert_eq!(ask(&owner, early, []).await, json!(0), "none is begun before its pause is over");

    // Only a dead one is sent back, and only as it was seen.
    let (admin, path) = (house.person("AD-01"), format!("/api/v1/job-runs/{run}/retry"));
    let stale = [("if-match", "\"1\"")];
    let reply = admin.send(reqwest::Method::POST, &path, &stale, Some(json!({}))).await;
    reply.refused(412, "version_mismatch");
    house.by_owner("GRANT DELETE ON idempotency_key TO rundown_app").await;
    house.old_answers(house.home.casino, 2).await;
    let sent = admin.post(&path, json!({})).await.expect(200).clone();
    assert_eq!(
        (&sent["status"], &sent["max_attempts"], &sent["finished_at"]),
        (&json!("queued"), &json!(8), &Value::Null)
    );
    let ended = house.comes_to(&run, "succeeded").await;
    let said = (&ended["attempt"], &ended["outcome"]["removed"], &ended["error"]);
    assert_eq!(said, (&json!(5), &json!(2), &Value::Null));
    let reply = admin.post(&path, json!({})).await;
    assert_eq!(reply.refused(409, "conflict")["reason"], "not_dead");
    runner.stop().await;
}

#[tokio::test]
async fn a_schedule_that_cannot_be_read_rests_and_disturbs_nobody() {
    let house = House::open().await;
    let broken = house.schedule("broken", json!({ "cron": "* * * * *" })).await;
    let sound = house.schedule("sound", json!({ "cron": "* * * * *" })).await;
    house
        .by_owner("UPDATE schedule SET cron = 'when it rains', version = version + 1 WHERE name = 'broken'")
        .await;
    house.clock.advance(Duration::from_mins(1));
    let_it_run(&house).await;
    assert_eq!(house.runs(&broken).await, Vec::<Value>::new());
    assert_eq!(house.runs(&sound).await.len(), 1);
    let listed = house.person("AD-01").get("/api/v1/schedules").await;
    assert_eq!(
        listed.expect(200)["items"][0]["next_fire_at"],
        json!(house.clock.now() + Duration::from_hours(1))
    );
    // Mended, it fires again.
    house.change_schedule(&broken, json!({ "cron": "* * * * *" })).await;
    house.clock.advance(Duration::from_mins(1));
    let_it_run(&house).await;
    assert_eq!(house.runs(&broken).await.len(), 1);
}

#[tokio::test]
async fn a_run_that_ended_well_goes_after_its_time_and_a_dead_one_stays() {
    let house = House::open().await;
    let schedule = house
        .schedule("prune", json!({ "enabled": false, "params": { "keep_runs_days": 2 } }))
        .await;
    let (old, dead) = (house.run_now(&schedule).await, house.run_now(&schedule).await);
    let_it_run(&house).await;
    house
        .by_owner(&format!(
            "ALTER TABLE job_run DISABLE TRIGGER guard; UPDATE job_run SET status = 'dead' WHERE id = '{dead}'; ALTER TABLE job_run ENABLE TRIGGER guard"
        ))
        .await;
    house.clock.advance(Duration::from_hours(48));
    house.run_now(&schedule).await;
    let_it_run(&house).await;
    let left: Vec<String> = house.runs(&schedule).await.iter().map(|run| text(run, "id")).collect();
    assert!(
        left.contains(&old) && left.len() == 3,
        "two days to the moment are not more than two days"
    );
    house.clock.advance(Duration::from_secs(1));
    house.run_now(&schedule).await;
    let_it_run(&house).await;
    let left: Vec<String> = house.runs(&schedule).await.iter().map(|run| text(run, "id")).collect();
    assert!(!left.contains(&old) && left.contains(&dead), "{left:?}");
}

/// Published events by casino: the first and the last that are stored.
async fn stored(house: &House) -> (i64, i64) {
    let page = house.person("AD-01").get("/api/v1/events?limit=1").await;
    let first = page.expect(200)["first_seq"].as_i64().unwrap_or_default();
    (first, page.body["last_seq"].as_i64().expect("a number"))
}

#[tokio::test]
async fn events_go_after_their_time_from_the_oldest_on_and_none_that_a_sink_has_not_had() {
    let house = House::open().await;
    let (casino, table) = (house.home.casino, new_id());
    let publisher = Publisher::of(&house);
    let publish = async |how_many: usize| {
        write(&house, casino, table, how_many).await;
        until("all is published", || is_published(&house)).await;
    };
    let day = json!({ "enabled": false, "params": { "keep_events_days": 1 } });
    let (schedule, forever) = (
        house.schedule("prune", day).await,
        json!({ "enabled": false, "params": { "keep_events_days": 0 } }),
    );
    let forever = house.schedule("forever", forever).await;
    publish(4).await;
    house.clock.advance(Duration::from_hours(24));
    publish(3).await;
    let prune = async |schedule: &str| {
        let run = house.run_now(schedule).await;
        let_it_run(&house).await;
        house.run(&run).await["outcome"]["removed"].clone()
    };
    prune(&schedule).await;
    assert_eq!(stored(&house).await, (1, 7), "a day to the moment is not more than a day");
    house.clock.advance(Duration::from_secs(1));
    prune(&forever).await;
    assert_eq!(stored(&house).await, (1, 7));

    // A sink that has come to 2, and one that never did anything.
    let cursor =
        |sink: &str, seq: i64| format!("INSERT INTO sink_cursor (casino_id, sink, cursor_seq) VALUES ('{casino}', '{sink}', {seq})");
    house.by_owner(&cursor("slow", 2)).await;
    prune(&schedule).await;
    assert_eq!(stored(&house).await, (3, 7));
    house.by_owner("DELETE FROM sink_cursor").await;
    house.by_owner(&cursor("quick", 7)).await;
    let hook = house
        .person("AD-01")
        .post("/api/v1/webhooks", json!({ "url": "https://example.com/hook" }))
        .await;
    hook.expect(201);
    house
        .by_owner("ALTER TABLE webhook DISABLE TRIGGER guard; UPDATE webhook SET cursor_seq = 3; ALTER TABLE webhook ENABLE TRIGGER guard")
        .await;
    prune(&schedule).await;
    assert_eq!(stored(&house).await, (4, 7));
    house.by_owner("UPDATE webhook SET cursor_seq = 7").await;

    // Neither what waits nor what is dead was ever published.
    let mut poison = Written::new(casino, new_id());
    poison.payload.as_object_mut().expect("an object").remove("table_id");
    house.by_owner(&insert(&[poison])).await;
    until("it is dead", || async {
        house.count("outbox WHERE dead_at IS NOT NULL").await == 1
    })
    .await;
    publisher.stop().await;
    write(&house, casino, table, 1).await;
    house.clock.advance(Duration::from_hours(30 * 24));
    prune(&schedule).await;
    assert_eq!(stored(&house).await, (0, 7), "a feed without events still knows how far it went");
    assert_eq!(house.count("outbox WHERE published_at IS NULL").await, 2);
    let publisher = Publisher::of(&house);
    until("all is published", || is_published(&house)).await;
    assert_eq!(stored(&house).await, (8, 8), "and goes on from there");
    publisher.stop().await;
}

#[tokio::test]
async fn a_job_that_panics_is_counted_and_tried_again_until_it_is_dead() {
    let house = House::open().await;
    let schedule = house.schedule("prune", json!({ "enabled": false, "max_attempts": 2 })).await;
    // More days than a calendar has: no schedule can be given such a number, so it stands for a fault of the program.
    house
        .by_owner("UPDATE schedule SET params = '{\"keep_runs_days\": 4000000000}', version = version + 1")
        .await;
    let run = house.run_now(&schedule).await;
    let runner = Runner::start(&house, hurried()).await;
    let dead = house.comes_to(&run, "dead").await;
    assert!(dead["attempt"] == 2 && text(&dead, "error").contains("broke off"), "{dead}");
    let metrics = house.bearer(None).get("/metrics").await.text;
    let panics = metrics
        .lines()
        .find_map(|line| line.strip_prefix("rundown_job_panics_total{kind=\"retention_prune\"} "));
    assert!(panics.and_then(|panics| panics.parse::<u32>().ok()) >= Some(2), "{panics:?}");
    // The runner goes on with its work.
    house.by_owner("UPDATE schedule SET params = '{}', version = version + 1").await;
    let next = house.run_now(&schedule).await;
    house.comes_to(&next, "succeeded").await;
    runner.stop().await;
}

/// A stop in the middle of a look is as quick as any other.
#[tokio::test]
async fn a_runner_with_nothing_to_do_stops_at_once() {
    let house = House::open().await;
    let unhurried = Settings {
        look_every: Duration::from_secs(20),
        ..hurried()
    };
    for wait in 0..25 {
        let runner = Runner::start(&house, unhurried.clone()).await;
        tokio::time::sleep(Duration::from_micros(wait * 400)).await;
        let stop = tokio::time::timeout(Duration::from_secs(10), runner.stop()).await;
        assert!(stop.is_ok(), "after {} µs", wait * 400);
    }
}
