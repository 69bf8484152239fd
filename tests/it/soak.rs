//! Two daemons, as processes, over one database, killed with -9 again and again: each firing runs once. Small in the suite, large by
//! `make soak`.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rundown::postgres::OWNER;
use serde_json::json;
use tokio::process::{Child, Command};

use crate::schema::ask;
use crate::support::{House, id, until};

/// The most firings a schedule makes up for at once: more than a soak has of each.
const MADE_UP_FOR: i64 = 1_000;
/// A run may be cut off as often as its daemon is killed.
const ATTEMPTS: i64 = 100;
const LARGE_MAY_TAKE: Duration = Duration::from_mins(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_some_hundred_firings_runs_once_though_daemons_are_killed() {
    soak(4, 100, 5..40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: `make soak`"]
async fn each_of_ten_thousand_firings_runs_once_though_daemons_are_killed() {
    soak(20, 500, 20..400).await;
}

/// A process of the program, which jobs' tests know only by what it leaves in the database.
struct Daemon {
    child: Child,
}

struct Place {
    dir: PathBuf,
    urls: [(&'static str, String); 2],
}

impl Place {
    fn of(house: &House) -> Self {
        let dir = std::env::temp_dir().join(format!("rundown-soak-{}-{}", std::process::id(), house.cluster.database));
        std::fs::create_dir_all(&dir).expect("a directory");
        let urls = [
            ("RUNDOWN__DATABASE__URL", house.cluster.url("rundown_app")),
            ("RUNDOWN__DATABASE__OWNER_URL", house.cluster.url(OWNER)),
        ];
        Self { dir, urls }
    }

    fn start(&self) -> Daemon {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_rundown"));
        command.arg("--data-dir").arg(&self.dir).args(["serve", "--listen", "127.0.0.1:0"]);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RUNDOWN_")) {
            command.env_remove(name);
        }
        command.envs(self.urls.iter().cloned()).env("RUNDOWN__JOBS__LEASE_MS", "1000");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        Daemon {
            child: command.spawn().expect("the program"),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.dir.join("log")).unwrap_or_default());
        }
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

impl Daemon {
    /// `kill -9`.
    async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }
}

const STANDS: &str = "
    SELECT jsonb_build_object('planned', count(*), 'left', count(*) FILTER (WHERE finished_at IS NULL),
                              'ended', count(*) FILTER (WHERE status = 'succeeded')) AS json FROM job_run";

/// So many schedules that fire every second, each with so many firings to make up for, and kills with so many runs in between.
async fn soak(schedules: i64, each: i64, between_kills: std::ops::Range<i64>) {
    let house = House::open().await;
    let owner = house.cluster.owner().await;
    for n in 0..schedules {
        let body = json!({
            "name": format!("prune {n}"), "job_kind": "retention_prune", "cron": "* * * * * *", "catch_up": "all", "catch_up_max": MADE_UP_FOR,
            "max_attempts": ATTEMPTS,
        });
        // Both casinos have some.
        let admin = if n % 2 == 0 {
            house.person("AD-01")
        } else {
            house.stranger("AD-01")
        };
        id(admin.post("/api/v1/schedules", body).await.expect(201));
    }
    house
        .texts(&format!(
            "UPDATE schedule SET next_fire_at = date_trunc('second', now()) - make_interval(secs => {each}) RETURNING id::text"
        ))
        .await;
    diary(&house).await;

    let place = Place::of(&house);
    let begun = Instant::now();
    let mut daemons = [Some(place.start()), Some(place.start())];
    // The making of the schedules is remembered too, and was long ago by the daemons' clock.
    let (mut killed, mut given, wanted) = (0_usize, house.count("idempotency_key").await, schedules * each);
    loop {
        let stands = ask(&owner, STANDS, []).await;
        let (planned, left) = (stands["planned"].as_i64().unwrap_or(0), stands["left"].as_i64().unwrap_or(0));
        if planned >= wanted {
            // Enough: time goes on, and the firings with it.
            house
                .texts("UPDATE schedule SET enabled = false, next_fire_at = NULL, version = version + 1 WHERE enabled RETURNING id::text")
                .await;
            if left == 0 {
                break;
            }
        }
        for casino in [house.home.casino, house.other.casino] {
            given += remember(&house, casino, given).await;
        }
        // Somewhere in the next few runs, wherever that is; or where none is left.
        let enough = stands["ended"].as_i64().unwrap_or(0) + rand::random_range(between_kills.clone());
        until("some runs have ended", || async {
            let stands = ask(&owner, STANDS, []).await;
            stands["ended"].as_i64() >= Some(enough) || (stands["left"] == 0 && stands["planned"].as_i64() >= Some(wanted))
        })
        .await;
        let unlucky = &mut daemons[killed % 2];
        unlucky.take().expect("a daemon").kill().await;
        *unlucky = Some(place.start());
        killed += 1;
        assert!(begun.elapsed() < LARGE_MAY_TAKE, "{stands}");
    }
    for daemon in daemons.into_iter().flatten() {
        daemon.kill().await;
    }

    let told = "
        SELECT jsonb_build_object(
            'statuses', (SELECT jsonb_agg(DISTINCT status) FROM job_run),
            'gaps', (SELECT count(*) FROM (SELECT max(fire_at) - min(fire_at) <> make_interval(secs => count(*) - 1) AS gap
                                             FROM job_run GROUP BY schedule_id) AS s WHERE s.gap),
            'missed', (SELECT sum(missed_firings) FROM schedule),
            'never_ended', (SELECT count(*) FROM job_run AS r WHERE NOT EXISTS (SELECT FROM diary AS d WHERE d.run = r.id)),
            'ended_twice', (SELECT count(*) - count(DISTINCT run) FROM diary),
            'removed', (SELECT sum(done) FROM job_run) + (SELECT count(*) FROM idempotency_key),
            'said', (SELECT sum((outcome->>'removed')::bigint) = sum(done) FROM job_run)) AS json";
    let expected = json!({
        "statuses": ["succeeded"], "gaps": 0, "missed": 0, "never_ended": 0, "ended_twice": 0, "removed": given, "said": true,
    });
    assert_eq!(ask(&owner, told, []).await, expected);
    let counts = "SELECT jsonb_build_object('runs', count(*), 'cut_off', count(*) FILTER (WHERE attempt > 1), 'attempts', sum(attempt)) AS json FROM job_run";
    let counts = ask(&owner, counts, []).await;
    assert!(
        counts["runs"].as_i64() >= Some(wanted) && counts["cut_off"].as_i64() > Some(0),
        "{counts}"
    );
    eprintln!("{counts}, {killed} daemons killed, {:?}", begun.elapsed());
}

/// Writes down every end of a run.
async fn diary(house: &House) {
    let owner = house.cluster.owner().await;
    let sql = "CREATE TABLE diary (run uuid);
               CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
               BEGIN INSERT INTO diary VALUES (NEW.id); RETURN NULL; END $$;
               CREATE TRIGGER note AFTER UPDATE ON job_run FOR EACH ROW WHEN (NEW.status = 'succeeded') EXECUTE FUNCTION note();";
    sea_orm::ConnectionTrait::execute_unprepared(&owner, sql).await.expect(sql);
    owner.close().await.expect("closed");
}

/// Answers past their time, so that there is something to do; how many.
async fn remember(house: &House, casino: uuid::Uuid, so_far: i64) -> i64 {
    let sql = format!(
        "INSERT INTO idempotency_key (casino_id, key, request_hash, status, answer, created_at)
         SELECT '{casino}', 'old-' || ({so_far} + n), sha256('POST /'), 200, '{{}}', now() - interval '25 hours' FROM generate_series(1, 1200) AS n
         RETURNING key"
    );
    i64::try_from(house.texts(&sql).await.len()).expect("few")
}
