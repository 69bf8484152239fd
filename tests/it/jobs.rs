//! Schedules and runs: written through the API, planned over every change of the clocks, run once whatever becomes of the daemons.

mod commands;
mod daemons;
mod policies;
mod schedules;

use std::time::Duration;

use chrono::{DateTime, Utc};
use rundown::clock::new_id;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{House, Person, id, text, until};

/// A schedule that fires every second and makes up for everything, with these members changed.
fn every_second(name: &str, change: Value) -> Value {
    let mut body = json!({
        "name": name, "job_kind": "retention_prune", "cron": "* * * * * *", "catch_up": "all", "catch_up_max": 1000, "max_attempts": 100,
    });
    merge(&mut body, change);
    body
}

fn merge(body: &mut Value, change: Value) {
    if let (Some(body), Value::Object(change)) = (body.as_object_mut(), change) {
        body.extend(change);
    }
}

/// Makes a schedule; its id.
async fn schedule(admin: &Person, body: Value) -> String {
    id(admin.post("/api/v1/schedules", body).await.expect(201))
}

impl House {
    /// A schedule of this casino, every second unless changed; its id.
    async fn schedule(&self, name: &str, change: Value) -> String {
        schedule(&self.person("AD-01"), every_second(name, change)).await
    }

    async fn change_schedule(&self, schedule: &str, change: Value) -> Value {
        let reply = self.person("AD-01").patch(&format!("/api/v1/schedules/{schedule}"), change).await;
        reply.expect(200).clone()
    }

    /// A schedule as it is listed.
    async fn listed(&self, schedule: &str) -> Value {
        let all = self.person("CG-01").get("/api/v1/schedules?limit=200").await;
        let found = all.expect(200)["items"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|row| row["id"] == schedule)
            .cloned();
        found.expect("listed")
    }

    /// Asks for a run by hand; its id.
    async fn run_now(&self, schedule: &str) -> String {
        let reply = self
            .person("AD-01")
            .post(&format!("/api/v1/schedules/{schedule}/run"), json!({}))
            .await;
        id(reply.expect(201))
    }

    /// The runs of a schedule, in the order in which they fire.
    async fn runs(&self, schedule: &str) -> Vec<Value> {
        let mut runs = Vec::new();
        let mut path = format!("/api/v1/job-runs?limit=200&schedule_id={schedule}");
        loop {
            let page = self.person("SC-01").get(&path).await.expect(200).clone();
            runs.extend(page["items"].as_array().expect("a list").iter().cloned());
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/api/v1/job-runs?limit=200&schedule_id={schedule}&cursor={cursor}");
        }
        runs.sort_by_key(|run| text(run, "fire_at").parse::<DateTime<Utc>>().expect("an instant"));
        runs
    }

    async fn run(&self, run: &str) -> Value {
        self.person("PB-01")
            .get(&format!("/api/v1/job-runs/{run}"))
            .await
            .expect(200)
            .clone()
    }

    async fn comes_to(&self, run: &str, status: &str) -> Value {
        until(&format!("the run is {status}"), || async {
            self.run(run).await["status"] == status
        })
        .await;
        self.run(run).await
    }

    /// How many runs of all casinos have this status.
    async fn runs_that_are(&self, status: &str) -> i64 {
        self.count(&format!("job_run WHERE status = '{status}'")).await
    }

    /// Answers remembered for longer than they are kept.
    async fn old_answers(&self, casino: Uuid, count: i64) {
        let owner = self.cluster.owner().await;
        let at = self.clock.now() - Duration::from_hours(25);
        let sql = format!(
            "INSERT INTO idempotency_key (casino_id, key, request_hash, status, answer, created_at)
             SELECT '{casino}', '{}-' || n, sha256('POST /'), 200, '{{}}', '{at}' FROM generate_series(1, {count}) AS n",
            new_id()
        );
        execute(&owner, &sql).await;
        owner.close().await.expect("closed");
    }

    /// What the owner of the database does.
    async fn by_owner(&self, sql: &str) {
        let owner = self.cluster.owner().await;
        execute(&owner, sql).await;
        owner.close().await.expect("closed");
    }

    /// From now on every change of a run's status or term is written down, by the database's clock.
    async fn keep_diary(&self) {
        self.by_owner(
            "CREATE TABLE diary (run uuid, status text, attempt int, term bigint, due_at timestamptz, leased_until timestamptz,
                                 at timestamptz DEFAULT clock_timestamp());
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
             BEGIN
                 INSERT INTO diary (run, status, attempt, term, due_at, leased_until)
                 VALUES (NEW.id, NEW.status, NEW.attempt, NEW.lease_term, NEW.due_at, OLD.leased_until);
                 RETURN NULL;
             END $$;
             CREATE TRIGGER note AFTER UPDATE ON job_run FOR EACH ROW
                 WHEN ((NEW.status, NEW.lease_term) IS DISTINCT FROM (OLD.status, OLD.lease_term)) EXECUTE FUNCTION note();",
        )
        .await;
    }
}

async fn execute(connection: &impl sea_orm::ConnectionTrait, sql: &str) {
    connection.execute_unprepared(sql).await.expect(sql);
}
