//! Many daemons and their deaths: each firing runs once, a crashed run is taken over, and whoever was thought dead writes nothing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rundown::engine::{Engine, Envelope, Principal, Upkeep};
use rundown::error::Error;
use rundown::jobs::Settings;
use rundown::observe::CorrelationId;
use rundown::store::Tx;
use rundown::store::clockwork::{Ending, Lease, LeaseLost, Look, Taken};
use rundown::store::prune::Outlived;
use serde_json::{Value, json};
use workflows::case::Context;

use super::{every_second, schedule};
use crate::schema::ask;
use crate::support::{House, Runner, Trip, Wire, hurried, text, until};

/// Schedules here and in the other casino, seconds that pass, and answers past their time in each casino.
const HERE: usize = 6;
const THERE: usize = 3;
const SECONDS: i64 = 40;
const OLD_ANSWERS: i64 = 4_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_firing_runs_once_while_daemons_are_killed() {
    let house = House::open().await;
    house.keep_diary().await;
    for n in 0..HERE {
        house.schedule(&format!("prune {n}"), json!({})).await;
    }
    for n in 0..THERE {
        schedule(&house.stranger("AD-01"), every_second(&format!("prune {n}"), json!({}))).await;
    }
    for casino in [house.home.casino, house.other.casino] {
        house.old_answers(casino, OLD_ANSWERS).await;
    }
    let firings = i64::try_from(HERE + THERE).expect("few") * SECONDS;
    let mut daemons = [
        Some(Runner::start(&house, hurried()).await),
        Some(Runner::start(&house, hurried()).await),
    ];
    let (mut killed, mut passed) = (0, 0);
    while house.runs_that_are("succeeded").await < firings {
        if passed < SECONDS {
            house.clock.advance(Duration::from_secs(5));
            passed += 5;
        }
        // Somewhere in the next few runs, wherever that is.
        let (before, few) = (house.runs_that_are("succeeded").await, rand::random_range(5..20));
        until("some runs have ended", || async {
            house.runs_that_are("succeeded").await >= (before + few).min(firings.min(passed * firings / SECONDS))
        })
        .await;
        let unlucky = &mut daemons[killed % 2];
        unlucky.take().expect("a daemon").kill().await;
        *unlucky = Some(Runner::start(&house, hurried()).await);
        killed += 1;
    }
    for daemon in daemons.into_iter().flatten() {
        daemon.stop().await;
    }
    assert!(killed > 10, "{killed} were killed");

    let owner = house.cluster.owner().await;
    let told = "
        SELECT jsonb_build_object(
            'runs', (SELECT count(*) FROM job_run),
            'statuses', (SELECT jsonb_agg(DISTINCT status) FROM job_run),
            'firings', (SELECT jsonb_agg(DISTINCT n) FROM (SELECT count(DISTINCT fire_at) AS n FROM job_run GROUP BY schedule_id) AS each),
            'ends', (SELECT jsonb_agg(DISTINCT n) FROM (SELECT count(*) AS n FROM diary WHERE status = 'succeeded' GROUP BY run) AS each),
            'ended', (SELECT count(DISTINCT run) FROM diary WHERE status = 'succeeded'),
            'terms', (SELECT count(term) - count(DISTINCT term) FROM diary WHERE status = 'running'),
            'removed', (SELECT sum(done) FROM job_run),
            'said', (SELECT sum((outcome->>'removed')::bigint) FROM job_run),
            'left', (SELECT count(*) FROM idempotency_key WHERE request_hash = sha256('POST /'))) AS json";
    let expected = json!({
        "runs": firings, "statuses": ["succeeded"], "firings": [SECONDS], "ends": [1], "ended": firings, "terms": 0,
        "removed": 2 * OLD_ANSWERS, "said": 2 * OLD_ANSWERS, "left": 0,
    });
    assert_eq!(ask(&owner, told, []).await, expected);
    let taken_over = "SELECT to_jsonb(count(*)) AS json FROM job_run WHERE attempt > 1";
    assert!(
        ask(&owner, taken_over, []).await.as_i64() > Some(0),
        "none was cut off in the middle: this proves little"
    );
}

/// Takes runs as a daemon of this name, which then does nothing with them.
async fn take(house: &House, owner: &str, lease: Duration) -> Vec<Taken> {
    let look = Look {
        owner,
        at: house.clock.now(),
        lease_ms: u64::try_from(lease.as_millis()).expect("short"),
        want: 4,
        held: Vec::new(),
    };
    house.db.look_at_clock(&look).await.expect("a look").taken
}

fn lease(run: &Taken, lasts: Duration) -> Lease {
    Lease {
        run_id: run.id,
        owner: run.lease_owner.clone(),
        term: run.lease_term,
        lasts,
    }
}

#[tokio::test]
async fn a_crashed_run_is_taken_over_within_two_heartbeats_after_its_lease() {
    let house = House::open().await;
    house.keep_diary().await;
    let settings = Settings {
        lease: Duration::from_millis(1_500),
        look_every: Duration::from_millis(100),
        ..hurried()
    };
    let prune = house.schedule("prune", json!({ "enabled": false })).await;
    let run = house.run_now(&prune).await;
    assert_eq!(take(&house, "crashed", settings.lease).await.len(), 1);
    let runner = Runner::start(&house, settings.clone()).await;
    let ended = house.comes_to(&run, "succeeded").await;
    assert_eq!(ended["attempt"], 2);
    assert_ne!(text(&ended, "lease_owner"), "crashed");
    runner.stop().await;
    let owner = house.cluster.owner().await;
    let late = "SELECT to_jsonb(EXTRACT(EPOCH FROM at - leased_until) * 1000) AS json FROM diary WHERE status = 'running' AND attempt = 2";
    let late = ask(&owner, late, []).await.as_f64().expect("milliseconds");
    // A heartbeat is a third of the lease.
    assert!((0.0..=1_000.0).contains(&late), "{late} ms after its lease");
}

#[tokio::test]
async fn a_run_under_way_keeps_its_lease_by_its_heartbeat() {
    let house = House::open().await;
    let prune = house.schedule("prune", json!({ "enabled": false })).await;
    let run = house.run_now(&prune).await;
    // The job waits for a lock in the middle of its work, five leases long.
    let owner = house.cluster.owner().await;
    house.old_answers(house.home.casino, 1).await;
    let blocked = {
        #[expect(clippy::disallowed_methods, reason = "the test goes around the daemon on purpose")]
        let tx = sea_orm::TransactionTrait::begin(&owner).await.expect("a transaction");
        super::execute(&tx, "LOCK TABLE idempotency_key IN ACCESS EXCLUSIVE MODE").await;
        tx
    };
    let settings = Settings {
        lease: Duration::from_millis(300),
        ..hurried()
    };
    let runner = Runner::start(&house, settings.clone()).await;
    let sql = format!("SELECT to_jsonb(r.status || ' ' || r.attempt) AS json FROM job_run AS r WHERE r.id = '{run}'");
    let watcher = house.cluster.owner().await;
    until("the run is taken", || async { ask(&watcher, &sql, []).await == "running 1" }).await;
    let begun = Instant::now();
    // Another daemon would gladly take it over.
    let rival = Runner::start(&house, settings.clone()).await;
    until("five leases have passed", || async {
        assert_eq!(ask(&watcher, &sql, []).await, "running 1", "nobody took it over");
        begun.elapsed() > settings.lease * 5
    })
    .await;
    blocked.rollback().await.expect("let go");
    let ended = house.comes_to(&run, "succeeded").await;
    assert_eq!((&ended["attempt"], &ended["outcome"]["removed"]), (&json!(1), &json!(1)));
    runner.stop().await;
    rival.stop().await;
}

/// Prunes, as the job does.
struct Pruning(Outlived);

impl Upkeep for Pruning {
    type Done = i64;

    async fn tend(&self, tx: &Tx, context: &Context) -> Result<i64, Error> {
        Ok(tx.prune(context, self.0, 100).await?)
    }

    fn how_far(&self, done: &i64) -> (i64, i64) {
        (*done, *done)
    }
}

#[tokio::test]
async fn whoever_was_thought_dead_and_comes_back_writes_nothing() {
    let house = House::open().await;
    let prune = house.schedule("prune", json!({ "enabled": false })).await;
    let run = house.run_now(&prune).await;
    let paused = take(&house, "paused", Duration::from_millis(1)).await.pop().expect("a run");
    let taken_over = loop {
        if let Some(run) = take(&house, "awake", Duration::from_mins(10)).await.pop() {
            break run;
        }
    };
    assert_eq!((taken_over.id, taken_over.attempt), (paused.id, 2));
    assert!(taken_over.lease_term > paused.lease_term);

    // The old owner comes to itself.
    house.old_answers(house.home.casino, 5).await;
    let before = house.run(&run).await;
    let (old, new) = (lease(&paused, Duration::from_mins(1)), lease(&taken_over, Duration::from_mins(1)));
    let now = house.clock.now();
    let engine = Engine::new(house.db.clone(), house.clock.clone());
    let envelope = Envelope {
        principal: Principal::System(house.home.casino),
        correlation: CorrelationId::generate(),
        key: None,
        if_match: None,
    };
    let outlived = Outlived {
        keys_before: now - Duration::from_hours(24),
        runs_before: now - Duration::from_hours(24),
        deliveries_before: now - Duration::from_hours(24),
        events_before: None,
    };
    assert!(!house.db.advance(&old, 5, 5).await.expect("an answer"));
    for ending in [
        Ending::Succeeded { outcome: json!({}) },
        Ending::Failed {
            error: "late".to_owned(),
            pause_ms: 0,
        },
        Ending::GivenBack,
    ] {
        assert_eq!(house.db.settle(&old, &ending, now).await.expect("an answer"), None, "{ending:?}");
    }
    assert_eq!(engine.upkeep(&envelope, &old, &Pruning(outlived)).await.expect("an answer"), None);
    // Nor does it come so far: whatever a job asks of the engine, it asks under its lease.
    let lost = engine.under(old.clone()).upkeep(&envelope, &new, &Pruning(outlived)).await;
    assert!(
        matches!(&lost, Err(Error::Internal(source)) if source.is::<LeaseLost>()),
        "{lost:?}"
    );
    assert_eq!(house.run(&run).await, before);
    assert_eq!(
        house.count("idempotency_key WHERE request_hash = sha256('POST /')").await,
        5,
        "what it did is undone"
    );
    // The right term under another name is as wrong.
    let forged = Lease {
        owner: "paused".to_owned(),
        ..new.clone()
    };
    assert!(!house.db.advance(&forged, 5, 5).await.expect("an answer"));

    let engine = engine.under(new.clone());
    assert_eq!(
        engine.upkeep(&envelope, &new, &Pruning(outlived)).await.expect("an answer"),
        Some(5)
    );
    let ended = house.db.settle(&new, &Ending::Succeeded { outcome: json!(5) }, now).await;
    assert_eq!(
        ended.expect("an answer").map(|status| status.to_string()).as_deref(),
        Some("succeeded")
    );
    assert_eq!(
        house.db.settle(&new, &Ending::GivenBack, now).await.expect("an answer"),
        None,
        "an end is an end"
    );
}

#[tokio::test]
async fn a_held_run_that_was_lost_is_told_to_its_daemon() {
    let house = House::open().await;
    let prune = house.schedule("prune", json!({ "enabled": false })).await;
    house.run_now(&prune).await;
    let lost = take(&house, "slow", Duration::from_millis(1)).await.pop().expect("a run");
    until("it is taken over", || async {
        !take(&house, "quick", Duration::from_mins(1)).await.is_empty()
    })
    .await;
    let held = vec![rundown::store::clockwork::Held {
        id: lost.id,
        term: lost.lease_term,
    }];
    let look = Look {
        owner: "slow",
        at: house.clock.now(),
        lease_ms: 1_000,
        want: 1,
        held,
    };
    let seen = house.db.look_at_clock(&look).await.expect("a look");
    assert_eq!((seen.lost, seen.taken.len()), (vec![lost.id], 0));
}

#[tokio::test]
async fn what_kills_every_daemon_that_takes_it_dies_in_the_end() {
    let house = House::open().await;
    let prune = house.schedule("prune", json!({ "enabled": false, "max_attempts": 3 })).await;
    let run = house.run_now(&prune).await;
    for attempt in 1..=3 {
        until("it is taken", || async {
            !take(&house, &format!("daemon {attempt}"), Duration::from_millis(1))
                .await
                .is_empty()
        })
        .await;
    }
    until("it is dead", || async {
        assert!(
            take(&house, "daemon 4", Duration::from_millis(1)).await.is_empty(),
            "not a fourth time"
        );
        house.run(&run).await["status"] == "dead"
    })
    .await;
    let dead = house.run(&run).await;
    assert!(dead["attempt"] == 3 && text(&dead, "error").contains("died"), "{dead}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_gives_the_run_back_and_costs_no_attempt() {
    const KEYS: i64 = 30_000;
    let house = House::open().await;
    house.old_answers(house.home.casino, KEYS).await;
    let prune = house.schedule("prune", json!({ "enabled": false, "max_attempts": 1 })).await;
    let run = house.run_now(&prune).await;
    let mut stops = 0;
    loop {
        let runner = Runner::start(&house, hurried()).await;
        let done = house.run(&run).await["done"].as_i64();
        until("it gets on", || async { house.run(&run).await["done"].as_i64() > done }).await;
        let under_way = house.run(&run).await;
        if under_way["status"] == "running" {
            // Its progress is there to be read.
            assert!(
                under_way["total"] == KEYS && under_way["done"].as_i64() <= Some(KEYS),
                "{under_way}"
            );
        }
        runner.stop().await;
        let left = house.run(&run).await;
        if left["status"] == "succeeded" {
            break;
        }
        assert_eq!(
            (&left["status"], &left["attempt"], &left["error"]),
            (&json!("queued"), &json!(0), &Value::Null)
        );
        stops += 1;
        if stops == 2 {
            let runner = Runner::start(&house, hurried()).await;
            house.comes_to(&run, "succeeded").await;
            runner.stop().await;
            break;
        }
    }
    assert!(stops > 0, "it was never stopped in the middle: this proves nothing");
    let ended = house.run(&run).await;
    assert_eq!((&ended["attempt"], &ended["outcome"]["removed"]), (&json!(1), &json!(KEYS)));
    assert_eq!((&ended["done"], &ended["total"]), (&json!(KEYS), &json!(KEYS)));
}

/// What an idle daemon says to the database, whatever the number of casinos and schedules.
#[tokio::test]
async fn an_idle_daemon_asks_once_a_second_whatever_the_number_of_casinos() {
    let house = House::open().await;
    house
        .by_owner(
            "INSERT INTO casino (id, name, timezone) SELECT gen_random_uuid(), 'Casino ' || n, 'UTC' FROM generate_series(1, 60) AS n;
             INSERT INTO schedule (id, casino_id, name, job_kind, cron, timezone, next_fire_at)
             SELECT gen_random_uuid(), c.id, 'schedule ' || n, 'deadline_sweep', '*/5 * * * *', 'UTC', timestamptz '2026-03-06T21:05:00Z'
               FROM casino AS c, generate_series(1, 5) AS n",
        )
        .await;
    let wire = Wire::lay();
    let settings = Settings::from(&rundown::config::Jobs {
        slots: 4,
        lease_ms: std::num::NonZeroU32::new(15_000).expect("not zero"),
    });
    let looks = || wire.said().trips.iter().filter(|trip| **trip == Trip::Execute).count();
    let runner = Runner::start_at(wire.lead(&house.cluster.url("rundown_app")), house.clock.clone(), settings).await;
    until("it has looked once", || async { looks() > 0 }).await;
    let (begun, before) = (Instant::now(), wire.said().trips.len());
    until("it has looked three times more", || async { looks() > 3 }).await;
    let (trips, seconds) = (wire.said().trips.split_off(before), begun.elapsed().as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "a rate, to be held against a bound")]
    let rate = trips.len() as f64 / seconds;
    assert!(rate <= 5.0, "{rate} round trips a second: {trips:#?}");
    // A look is one statement, and a ping of the pool's own.
    let statements: BTreeSet<String> = trips.iter().map(|trip| format!("{trip:?}")).collect();
    assert_eq!(statements, BTreeSet::from(["Execute".to_owned(), "Ping".to_owned()]));
    runner.stop().await;
}

/// A pooler in transaction mode gives every transaction another session: nothing may be left in one or looked for in one.
#[tokio::test]
async fn nothing_of_the_clock_lives_in_a_session() {
    let house = House::open().await;
    let prune = house.schedule("prune", json!({})).await;
    let wire = Wire::lay();
    house.clock.advance(Duration::from_secs(5));
    house.old_answers(house.home.casino, 1_000).await;
    let runner = Runner::start_at(wire.lead(&house.cluster.url("rundown_app")), house.clock.clone(), hurried()).await;
    until("five runs have ended", || async { house.runs_that_are("succeeded").await == 5 }).await;
    runner.stop().await;
    assert_eq!(house.runs(&prune).await.len(), 5);
    for trip in wire.said().trips {
        if let Trip::Query(said) | Trip::Prepare(said) = trip {
            let words = said.to_ascii_lowercase();
            let alone = [
                "set ",
                "listen",
                "prepare",
                "declare",
                "create temp",
                "pg_advisory_lock",
                "pg_try_advisory_lock",
            ];
            assert!(
                !alone
                    .iter()
                    .any(|word| words.trim_start().starts_with(word) || words.contains("pg_advisory_lock")),
                "{said}"
            );
        }
    }
    let owner = house.cluster.owner().await;
    let sticky = "
        SELECT COALESCE(jsonb_agg(p.proname), '[]') AS json FROM pg_proc AS p
         WHERE p.pronamespace = 'public'::regnamespace AND p.proname LIKE 'clock%'
           AND (p.prosrc ~* '\\m(advisory|listen|notify|set_config|temp|temporary)\\M' OR p.prosrc ~* '\\mset (session|local)\\M')";
    assert_eq!(ask(&owner, sticky, []).await, json!([]));
    // They step over the fence, so nobody but the daemon calls them, and no search path leads them astray.
    let open = "
        SELECT COALESCE(jsonb_agg(p.proname), '[]') AS json FROM pg_proc AS p
         WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
           AND (has_function_privilege('public', p.oid, 'EXECUTE') OR p.proconfig IS NULL OR NOT p.proconfig::text LIKE '%search_path=pg_catalog%')";
    assert_eq!(ask(&owner, open, []).await, json!([]));
}
