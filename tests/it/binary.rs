//! The program itself, as it is installed: killed in the middle of a day, started again, and never twice on one data directory.

mod backfill;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rundown::casino_folder::Folder;
use rundown::cli::play::{Progress, play};
use rundown::cli::token::{DEFAULT_TTL, Issuer};
use rundown::config::Config;
use rundown::postgres::{DATABASE, Embedded, OWNER};
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::casino_day::{Day, Deserved, folder};
use crate::schema::ask;

/// A first start makes a cluster and a schema, and hashes fifty PINs.
const START_MAY_TAKE: Duration = Duration::from_mins(1);
/// The tables whose day is played, every act of it safe on disk: all of them would cost a minute.
const TABLES: [&str; 6] = ["BJ-01", "BJ-02", "BJ-04", "RL-01", "RL-02", "BA-01"];
/// How far it is played before the daemon is killed, in acts.
const KILLED_AFTER: i64 = 60;

/// A data directory, the daemons run on it, and the folder they are seeded with. Whatever a test comes to, nothing is left behind.
struct Place {
    dir: PathBuf,
    folder: PathBuf,
    running: Option<Daemon>,
}

struct Daemon {
    child: Child,
    url: String,
    /// Held so that the daemon may go on printing.
    _stdout: BufReader<ChildStdout>,
}

impl Place {
    fn fresh(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("rundown-binary-{}-{name}", std::process::id()));
        let folder = dir.with_extension("folder");
        for left_over in [&dir, &folder] {
            std::fs::remove_dir_all(left_over).ok();
        }
        abridge(&folder);
        Self {
            dir,
            folder,
            running: None,
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rundown"));
        command
            .arg("--data-dir")
            .arg(&self.dir)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // The test's own settings are no part of the installation.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RUNDOWN_")) {
            command.env_remove(name);
        }
        command
    }

    /// Starts the daemon, seeded, and waits until it takes requests.
    async fn serve(&mut self) -> &Daemon {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0", "--with", &self.folder.to_string_lossy()]);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.with_extension("log"))
            .expect("a log");
        let mut child = command.stderr(log).spawn().expect("the program");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let url = timeout(START_MAY_TAKE, address(&mut stdout)).await.expect("a start in time");
        let url = url.unwrap_or_else(|| panic!("no address was printed: {}", self.log()));
        self.running.insert(Daemon {
            child,
            url,
            _stdout: stdout,
        })
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.with_extension("log")).unwrap_or_default()
    }

    /// `kill -9`: nothing is written out, nothing is stopped.
    async fn kill(&mut self) {
        let mut daemon = self.running.take().expect("a daemon");
        daemon.child.kill().await.expect("killed");
    }

    /// Asks it to stop, as a service manager does.
    async fn stop(&mut self) {
        let mut daemon = self.running.take().expect("a daemon");
        let pid = Pid::from_raw(daemon.child.id().expect("running").try_into().expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("asked");
        let ended = timeout(START_MAY_TAKE, daemon.child.wait())
            .await
            .expect("a stop in time")
            .expect("waited for");
        assert!(ended.success(), "{ended}: {}", self.log());
    }

    async fn owner(&self) -> (Embedded, DatabaseConnection) {
        let dir = self.dir.clone();
        let guest = tokio::task::spawn_blocking(move || Embedded::join(&dir))
            .await
            .expect("no panic")
            .expect("readable")
            .expect("a running cluster");
        let owner = sea_orm::Database::connect(guest.url(OWNER, DATABASE)).await.expect("the owner");
        (guest, owner)
    }

    async fn ask(&self, sql: &str) -> Value {
        let (_guest, owner) = self.owner().await;
        ask(&owner, sql, []).await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(daemon) = self.running.as_mut().and_then(|daemon| daemon.child.id()) {
            kill(Pid::from_raw(daemon.try_into().unwrap_or_default()), Signal::SIGKILL).ok();
        }
        // The cluster outlives a killed daemon: it is adopted, and then ends with its adopter.
        if self.dir.join("data/postmaster.pid").exists() {
            drop(Embedded::open(&self.dir, rundown::postgres::Tuning::Throwaway));
        }
        for left_over in [&self.dir, &self.folder] {
            std::fs::remove_dir_all(left_over).ok();
        }
        std::fs::remove_file(self.dir.with_extension("log")).ok();
    }
}

/// The example's folder, with the acts of some tables.
fn abridge(to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for file in ["casino.json", "staff.csv", "par-sheet.csv", "drop-boxes.csv"] {
        std::fs::copy(folder().join(file), to.join(file)).expect("copied");
    }
    let day = std::fs::read_to_string(folder().join("day.jsonl")).expect("the day");
    let acts = day
        .lines()
        .filter(|act| TABLES.iter().any(|table| act.contains(&format!("\"table\":\"{table}\""))));
    std::fs::write(to.join("day.jsonl"), acts.flat_map(|act| [act, "\n"]).collect::<String>()).expect("written");
}

/// The address the daemon says it listens on; none where it ends before.
async fn address(stdout: &mut BufReader<ChildStdout>) -> Option<String> {
    let mut line = String::new();
    while stdout.read_line(&mut line).await.expect("readable") > 0 {
        if let Some((_, rest)) = line.split_once("listens on ") {
            return rest.split([',', ' ', '\n']).next().map(ToOwned::to_owned);
        }
        line.clear();
    }
    None
}

/// What a player needs, owned, so that a play can run beside the test.
#[derive(Clone)]
struct Player {
    folder: Arc<Folder>,
    issuer: Arc<Issuer>,
}

impl Player {
    fn of(place: &Place) -> Self {
        let config = Config::load(Some(&place.dir), None).expect("a configuration");
        Self {
            folder: Arc::new(Folder::read(&place.folder).expect("the folder")),
            issuer: Arc::new(Issuer::new(&config).expect("the daemon's secret")),
        }
    }

    async fn play(self, url: String) -> anyhow::Result<rundown::cli::play::Outcome> {
        let tokens = |employee_no: &str| {
            self.issuer
                .issue(&format!("{}:{employee_no}", self.folder.casino.name), DEFAULT_TTL)
        };
        play(&self.folder, &url, &tokens, false, Progress::Hidden).await
    }
}

const ACTS_DONE: &str = "SELECT to_jsonb(count(*)) AS json FROM idempotency_key WHERE key LIKE 'play-%'";

/// How many rows of each kind a whole day leaves.
const DONE: &str = "
    SELECT jsonb_build_object(
        'create_session', (SELECT count(*) FROM table_inventory_session),
        'count_tray', (SELECT count(*) FROM table_inventory_snapshot),
        'request_slip', (SELECT count(*) FROM table_slip),
        'issue_slip', (SELECT sum(last_no)::int FROM slip_counter),
        'remove_box', (SELECT count(*) FROM table_drop_event),
        'soft_count', (SELECT count(*) FROM soft_count_table_result),
        'acts', (SELECT count(*) FROM audit_log WHERE domain <> 'casino'),
        'events', (SELECT count(DISTINCT o.id) = count(*) FROM outbox AS o)) AS json";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_cut_off_by_kill_9_is_played_to_the_same_end() {
    let mut place = Place::fresh("killed");
    let url = place.serve().await.url.clone();
    let player = Player::of(&place);

    let mut playing = JoinSet::new();
    playing.spawn(player.clone().play(url));
    let (guest, owner) = place.owner().await;
    let deadline = Instant::now() + START_MAY_TAKE;
    while ask(&owner, ACTS_DONE, []).await.as_i64() < Some(KILLED_AFTER) {
        assert!(
            playing.try_join_next().is_none() && Instant::now() < deadline,
            "the play never came so far: {}",
            place.log()
        );
    }
    place.kill().await;
    playing.shutdown().await;
    owner.close().await.expect("closed");
    drop(guest);

    let day = Day::read(&place.folder);
    let url = place.serve().await.url.clone();
    let done = usize::try_from(place.ask(ACTS_DONE).await.as_u64().expect("a count")).expect("a count");
    assert!(done < day.acts, "killed in the middle: {done}");
    let outcome = player.clone().play(url).await.expect("played to the end");
    assert!(
        outcome.refused.is_empty(),
        "{}",
        outcome.refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    );

    assert_eq!(
        (outcome.acts, outcome.replayed),
        (day.acts, done),
        "what was answered is replayed, nothing else"
    );
    let found: Vec<_> = outcome.sessions.iter().map(Deserved::of).collect();
    assert_eq!(found, day.deserved().into_iter().map(Some).collect::<Vec<_>>());
    let mut expected: Value = [
        "create_session",
        "count_tray",
        "request_slip",
        "issue_slip",
        "remove_box",
        "soft_count",
    ]
    .into_iter()
    .map(|act| (act.to_owned(), json!(day.times[act])))
    .collect();
    (expected["acts"], expected["events"]) = (json!(day.acts), json!(true));
    assert_eq!(place.ask(DONE).await, expected, "nothing is doubled");
    place.stop().await;
    assert!(!place.dir.join("data/postmaster.pid").exists(), "Postgres ended with the daemon");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_on_the_same_directory_says_so_and_goes() {
    let mut place = Place::fresh("two");
    let (url, pid) = {
        let daemon = place.serve().await;
        (daemon.url.clone(), daemon.child.id().expect("running"))
    };
    let second: Output = timeout(
        START_MAY_TAKE,
        place.command(&["serve", "--listen", "127.0.0.1:0"]).kill_on_drop(true).output(),
    )
    .await
    .expect("in time")
    .expect("run");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success());
    assert!(
        said.contains("another rundown") && said.contains(&*place.dir.to_string_lossy()),
        "{said}"
    );
    assert!(said.contains(&pid.to_string()), "it names the process to look at: {said}");
    assert!(!said.contains("panicked"), "{said}");

    // The first was not disturbed, and commands beside it use its cluster.
    assert_eq!(reqwest::get(format!("{url}/readyz")).await.expect("an answer").status(), 200);
    let token = place.command(&["token", "--staff", "PB-01"]).output().await.expect("run");
    let token = String::from_utf8(token.stdout).expect("text");
    let me = reqwest::Client::new()
        .get(format!("{url}/api/v1/me"))
        .bearer_auth(token.trim())
        .send()
        .await
        .expect("an answer");
    assert_eq!(me.status(), 200);
    place.stop().await;
}

/// A port that is taken is told before anything is started for nothing, and the cluster is left stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named_and_no_cluster_is_left_running() {
    let place = Place::fresh("port");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("an address").to_string();
    let refused = timeout(
        START_MAY_TAKE,
        place.command(&["serve", "--listen", &listen]).kill_on_drop(true).output(),
    )
    .await
    .expect("in time")
    .expect("run");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains(&listen), "{said}");
    assert!(!Path::new(&place.dir).join("data/postmaster.pid").exists(), "{said}");
}
