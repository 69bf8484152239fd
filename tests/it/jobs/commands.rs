//! `rundown schedules` and `rundown jobs run`, as somebody types them.

use rundown::clock::Clock;
use serde_json::{Value, json};

use crate::support::{House, OTHER_CASINO, Runner, hurried, rundown, said};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_are_listed_and_a_job_is_run_by_its_name() {
    let house = House::open().await;
    let (ok, none) = said(&rundown(&house, &["schedules"]).await);
    assert!(ok && none.contains("There is no schedule yet"), "{none}");

    let yearly = json!({ "cron": "30 4 1 1 *", "timezone": "Europe/Malta" });
    let schedule = house.schedule("Prune", yearly).await;
    let (ok, asked) = said(&rundown(&house, &["jobs", "run", "Prune", "--no-wait"]).await);
    assert!(ok && asked.contains("waits"), "{asked}");
    // By the daemon's clock the run fires today; the house's stands still in March.
    let runner = Runner::start_at(house.cluster.url("rundown_app"), Clock::System, hurried()).await;
    let ran = rundown(&house, &["jobs", "run", "Prune"]).await;
    assert!(ran.status.success(), "{ran:?}");
    let outcome: Value = serde_json::from_slice(&ran.stdout).expect("what the run came to, and nothing else");
    assert!(outcome["removed"].is_i64(), "{outcome}");
    runner.stop().await;
    let runs = house.runs(&schedule).await;
    assert!(
        runs.iter().all(|run| run["manual"] == true && run["status"] == "succeeded"),
        "{runs:#?}"
    );

    let (ok, listed) = said(&rundown(&house, &["schedules"]).await);
    for word in ["River Bend", "Prune", "retention_prune", "30 4 1 1 *", "04:30:00 CET", "succeeded"] {
        assert!(ok && listed.contains(word), "{word}: {listed}");
    }
    house.change_schedule(&schedule, json!({ "enabled": false })).await;
    let (_, listed) = said(&rundown(&house, &["schedules", "--casino", "River Bend"]).await);
    assert!(listed.contains("paused"), "{listed}");
    let book = house.person("CO-01").get("/api/v1/audit?domain=casino").await;
    assert!(
        book.expect(200)["items"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|row| row["action"] == "run_job")
            .count()
            == 2
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_nobodys_or_two_casinos_is_told() {
    let house = House::open().await;
    let (ok, refused) = said(&rundown(&house, &["jobs", "run", "Prune"]).await);
    assert!(!ok && refused.contains("no schedule \"Prune\""), "{refused}");
    house.schedule("Prune", json!({ "enabled": false })).await;
    super::schedule(&house.stranger("AD-01"), super::every_second("Prune", json!({ "enabled": false }))).await;
    let (ok, refused) = said(&rundown(&house, &["jobs", "run", "Prune"]).await);
    assert!(
        !ok && refused.contains("River Bend") && refused.contains(OTHER_CASINO) && refused.contains("--casino"),
        "{refused}"
    );
    let (ok, asked) = said(&rundown(&house, &["jobs", "run", "Prune", "--casino", OTHER_CASINO, "--no-wait"]).await);
    assert!(ok, "{asked}");
    assert_eq!(house.count("job_run").await, 1);
}
