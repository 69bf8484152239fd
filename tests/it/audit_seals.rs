//! Sealed audit: every row comes under a seal once, whoever commits when; what was changed behind the daemon's back is found and named.

mod export;
mod tampering;

use std::path::PathBuf;
use std::time::Duration;

use rundown::auth::seal_key::{SealKey, SealKeyPlace};
use rundown::clock::new_id;
use rundown::engine::Engine;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::schema::ask;
use crate::support::{House, hurried, id, tray, until};

/// A key of this test's own, and the directory it lies in, gone with the test.
struct Key {
    dir: PathBuf,
    key: SealKey,
}

impl Key {
    fn made() -> Self {
        let dir = std::env::temp_dir().join(format!("rundown-seal-{}-{}", std::process::id(), new_id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let key = SealKey::of(&SealKeyPlace::OwnMaking(dir.clone())).expect("a key").expect("made");
        Self { dir, key }
    }

    fn file(&self) -> PathBuf {
        self.dir.join("audit-seal-key.pem")
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

/// What runs jobs in a daemon that holds this key, or none.
struct Sealer {
    stopping: CancellationToken,
    task: JoinSet<()>,
}

impl Sealer {
    fn start(house: &House, key: Option<&Key>) -> Self {
        let engine = Engine::new(house.db.clone(), house.clock.clone()).sealing_with(key.map(|key| key.key.clone()));
        let stopping = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(rundown::jobs::run(engine, hurried(), stopping.clone()));
        Self { stopping, task }
    }

    async fn stop(mut self) {
        self.stopping.cancel();
        self.task.join_next().await.expect("one task").expect("no panic");
    }
}

impl House {
    /// A schedule that seals when it is asked to; its id.
    async fn seal_schedule(&self, name: &str) -> String {
        let body = json!({ "name": name, "job_kind": "audit_seal", "cron": "0 4 1 1 *", "max_attempts": 1 });
        id(self.person("AD-01").post("/api/v1/schedules", body).await.expect(201))
    }

    /// Runs it by hand, to its end; what became of it.
    async fn run_schedule(&self, schedule: &str) -> Value {
        let reply = self
            .person("AD-01")
            .post(&format!("/api/v1/schedules/{schedule}/run"), json!({}))
            .await;
        let path = format!("/api/v1/job-runs/{}", id(reply.expect(201)));
        let admin = self.person("AD-01");
        let ended = |run: &Value| ["succeeded", "dead"].contains(&run["status"].as_str().unwrap_or_default());
        until("the run ended", || async { ended(admin.get(&path).await.expect(200)) }).await;
        admin.get(&path).await.expect(200).clone()
    }

    /// Brings what waits under seals: so many of them, one after another.
    async fn seal(&self, key: &Key, times: usize) {
        let sealer = Sealer::start(self, Some(key));
        let schedule = self.seal_schedule(&format!("Seal {}", new_id())).await;
        for _ in 0..times {
            let run = self.run_schedule(&schedule).await;
            assert_eq!(run["status"], "succeeded", "{run}");
        }
        sealer.stop().await;
    }

    /// All of the log against all of the seals, page by page.
    async fn verified(&self) -> Vec<Value> {
        let (mut pages, mut next) = (Vec::new(), Some(1));
        while let Some(from) = next {
            let reply = self.person("CO-01").get(&format!("/api/v1/audit/verify?from_seal={from}")).await;
            next = reply.expect(200)["next_seal"].as_i64();
            pages.push(reply.body);
        }
        pages
    }

    async fn number(&self, sql: &str) -> i64 {
        ask(&self.cluster.owner().await, sql, []).await.as_i64().expect("a number")
    }

    async fn as_owner(&self, sql: &str) {
        let owner = self.cluster.owner().await;
        owner.execute_unprepared(sql).await.expect(sql);
        owner.close().await.expect("closed");
    }

    /// No gap in the numbers, every row under one seal or in the queue.
    async fn is_orderly(&self) {
        let casino = self.home.casino;
        let gaps = format!("SELECT to_jsonb(count(*) - max(seal_no)) AS json FROM audit_seal WHERE casino_id = '{casino}'");
        assert_eq!(self.number(&gaps).await, 0, "seals without a gap");
        let rows = "SELECT to_jsonb((SELECT count(*) FROM audit_log) - (SELECT count(*) FROM audit_seal_leaf) - (SELECT count(*) FROM audit_unsealed)) AS json";
        assert_eq!(self.number(rows).await, 0, "every row sealed or waiting");
    }
}

#[tokio::test]
async fn every_row_comes_under_a_seal_and_the_chain_holds() {
    let (house, key) = (House::open().await, Key::made());
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    house.slip(&session, "fill", "f-1", json!({ "10000": 5 })).await;
    let before = house.verified().await.remove(0);
    assert_eq!(
        (&before["sound"], &before["to_seal"], &before["next_seal"]),
        (&json!(true), &json!(0), &Value::Null)
    );
    assert!(before["waiting"]["rows"].as_i64().expect("a number") > 5, "{before}");

    house.seal(&key, 1).await;
    house.request_slip(&session, "fill", "f-2", json!({ "10000": 1 })).await;
    house.seal(&key, 1).await;
    house.is_orderly().await;
    let page = house.verified().await.remove(0);
    assert_eq!(
        (&page["sound"], &page["first_break"], &page["to_seal"]),
        (&json!(true), &Value::Null, &json!(2)),
        "{page}"
    );
    assert_eq!(page["keys"], json!([key.key.id()]));
    assert_eq!(page["waiting"]["rows"], 0);
    assert_eq!(page["rows"].as_i64(), Some(house.count("audit_log").await));

    let seals = house.person("AD-01").get("/api/v1/audit/seals?limit=1").await;
    let first = seals.expect(200)["items"][0].clone();
    assert_eq!((&first["seal_no"], &first["public_key"]), (&json!(1), &json!(key.key.public())));
    let cursor = seals.body["next_cursor"].as_str().expect("another page");
    let second = house.person("AD-01").get(&format!("/api/v1/audit/seals?cursor={cursor}")).await;
    let second = &second.expect(200)["items"];
    assert_eq!(
        (second[0]["seal_no"].as_i64(), &second[0]["previous_root"]),
        (Some(2), &first["root"])
    );
    assert_eq!((second.as_array().map(Vec::len), &page["root"]), (Some(1), &second[0]["root"]));
}

#[tokio::test]
async fn a_row_that_commits_late_comes_under_a_later_seal() {
    let (house, key) = (House::open().await, Key::made());
    let app = house.cluster.app().await;
    #[expect(clippy::disallowed_methods, reason = "the test goes around the daemon on purpose")]
    let late = app.begin().await.expect("a transaction");
    let row = new_id();
    let sql = format!(
        "SELECT set_config('app.casino_id', '{casino}', true);
         INSERT INTO audit_log (id, casino_id, ts, actor_id, domain, action, correlation_id)
         VALUES ('{row}', '{casino}', '2026-03-06T21:00:00Z', '{by}', 'slip', 'request', 'late')",
        casino = house.home.casino,
        by = house.staff("PB-01"),
    );
    late.execute_unprepared(&sql).await.expect("written, not committed");
    house.open_table("BJ-01", "BJ-01-A", tray()).await;
    house.seal(&key, 1).await;
    late.commit()
        .await
        .expect("committed, behind rows with later ids that are sealed already");
    let sealed = format!("SELECT to_jsonb(count(*)) AS json FROM audit_seal WHERE last_row > '{row}'");
    assert_eq!(house.number(&sealed).await, 1);
    assert_eq!(
        house.verified().await[0]["sound"],
        true,
        "it waits, and nobody takes it for one put in"
    );

    house.seal(&key, 1).await;
    let of_row = format!("SELECT to_jsonb(seal_no) AS json FROM audit_seal_leaf WHERE audit_id = '{row}'");
    assert_eq!(house.number(&of_row).await, 2);
    house.is_orderly().await;
    assert_eq!(house.verified().await[0]["sound"], true);
}

#[tokio::test]
async fn without_a_key_nothing_is_sealed_and_the_run_says_why() {
    let house = House::open().await;
    let sealer = Sealer::start(&house, None);
    let schedule = house.seal_schedule("Seal").await;
    let run = house.run_schedule(&schedule).await;
    sealer.stop().await;
    assert_eq!(run["status"], "dead");
    assert!(run["error"].as_str().expect("words").contains("audit.signing_key_file"), "{run}");
    assert_eq!(house.count("audit_seal").await, 0);
    let page = house.verified().await.remove(0);
    assert_eq!(page["waiting"]["rows"].as_i64(), Some(house.count("audit_log").await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemons_that_seal_and_die_under_load_seal_every_row_once() {
    let (house, key) = (House::open().await, Key::made());
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let every_second = json!({ "name": "Seal", "job_kind": "audit_seal", "cron": "* * * * * *", "catch_up": "all", "max_attempts": 100 });
    house.person("AD-01").post("/api/v1/schedules", every_second).await.expect(201);
    let mut sealers = [Sealer::start(&house, Some(&key)), Sealer::start(&house, Some(&key))];
    for number in 0..60 {
        house
            .request_slip(&session, "fill", &format!("f-{number}"), json!({ "500": 1 }))
            .await;
        house.clock.advance(Duration::from_secs(1));
        if number % 10 == 9 {
            let dying = &mut sealers[number / 10 % 2];
            // As by a kill: cut off wherever it is.
            dying.task.shutdown().await;
            *dying = Sealer::start(&house, Some(&key));
        }
    }
    until("all is sealed", || async {
        house.clock.advance(Duration::from_secs(1));
        house.count("audit_unsealed").await == 0
    })
    .await;
    for sealer in sealers {
        sealer.stop().await;
    }
    house.is_orderly().await;
    assert!(house.count("audit_seal").await > 1);
    assert!(house.verified().await.iter().all(|page| page["sound"] == true));
}

#[tokio::test]
async fn a_request_verifies_ten_seals_and_says_where_to_go_on() {
    let (house, key) = (House::open().await, Key::made());
    house.seal(&key, 12).await;
    let pages = house.verified().await;
    let stretch = |page: &Value| {
        (
            page["from_seal"].as_i64(),
            page["to_seal"].as_i64(),
            page["next_seal"].as_i64(),
            page["sound"] == true,
        )
    };
    let stretches: Vec<_> = pages.iter().map(stretch).collect();
    assert_eq!(stretches, [(Some(1), Some(10), Some(11), true), (Some(11), Some(12), None, true)]);
    let compliance = house.person("CO-01");
    let some = compliance.get("/api/v1/audit/verify?from_seal=4&to_seal=6").await;
    assert_eq!(stretch(some.expect(200)), (Some(4), Some(6), None, true));
    let beyond = compliance.get("/api/v1/audit/verify?from_seal=13").await;
    assert_eq!(stretch(beyond.expect(200)), (Some(13), Some(12), None, true));
    for bad in ["from_seal=0", "from_seal=-1", "from_seal=x", "from_seal=5&to_seal=4", "seal=1"] {
        compliance
            .get(&format!("/api/v1/audit/verify?{bad}"))
            .await
            .refused(400, "malformed_request");
    }
}

#[tokio::test]
async fn another_casinos_seals_do_not_exist() {
    let (house, key) = (House::open().await, Key::made());
    house.seal(&key, 2).await;
    let theirs = house.stranger("CO-01").get("/api/v1/audit/seals").await;
    assert_eq!(theirs.expect(200)["items"], json!([]));
    let page = house.stranger("CO-01").get("/api/v1/audit/verify").await;
    assert_eq!(
        (&page.expect(200)["to_seal"], &page.body["waiting"]["rows"]),
        (&json!(0), &json!(0))
    );
}

/// What the schema says, whatever the daemon believes.
#[tokio::test]
async fn a_seal_is_written_once_and_follows_the_one_before() {
    let (house, key) = (House::open().await, Key::made());
    house.seal(&key, 1).await;
    house.create("BJ-01", "BJ-01-A").await;
    let casino = house.home.casino;
    let state = async |role_is_app: bool, sql: &str| {
        let connection = if role_is_app {
            house.cluster.app().await
        } else {
            house.cluster.owner().await
        };
        #[expect(clippy::disallowed_methods, reason = "the test goes around the daemon on purpose")]
        let tx = connection.begin().await.expect("a transaction");
        tx.execute_unprepared(&format!("SELECT set_config('app.casino_id', '{casino}', true)"))
            .await
            .expect("a tenant");
        let refused = tx.execute_unprepared(sql).await.expect_err(sql).to_string();
        tx.rollback().await.expect("undone");
        refused
    };
    for (sql, owner) in [
        ("UPDATE audit_seal SET row_count = 2", "append-only"),
        ("DELETE FROM audit_seal", "never deleted"),
        ("UPDATE audit_seal_leaf SET position = 2", "append-only"),
        ("DELETE FROM audit_seal_leaf", "never deleted"),
        ("UPDATE audit_unsealed SET ts = now()", "append-only"),
    ] {
        let (by_app, by_owner) = (state(true, sql).await, state(false, sql).await);
        assert!(by_app.contains("permission denied"), "{sql}: {by_app}");
        assert!(by_owner.contains(owner), "{sql}: {by_owner}");
    }
    let refused = state(true, "DELETE FROM audit_unsealed").await;
    assert!(refused.contains("under its seal"), "{refused}");
    let next = |number: i64, previous: &str| {
        format!(
            "INSERT INTO audit_seal SELECT (jsonb_populate_record(s, jsonb_build_object('seal_no', {number}, 'previous_root', {previous}))).*
               FROM audit_seal AS s WHERE s.casino_id = '{casino}'"
        )
    };
    for (number, previous) in [(3, "s.root"), (2, "s.previous_root"), (2, "repeat('a', 64)")] {
        let refused = state(true, &next(number, previous)).await;
        assert!(refused.contains("follows the one before it"), "{refused}");
    }
}

/// The rows under a seal, in order.
async fn rows_of(house: &House, seal_no: i64) -> Vec<Uuid> {
    let sql = format!("SELECT jsonb_agg(audit_id ORDER BY position) AS json FROM audit_seal_leaf WHERE seal_no = {seal_no}");
    serde_json::from_value(ask(&house.cluster.owner().await, &sql, []).await).expect("ids")
}
