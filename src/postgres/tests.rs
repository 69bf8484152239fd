//! Real clusters, really killed.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::{env, fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, geteuid};

use super::*;

/// A directory for one test, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(fresh_temporary_root().unwrap())
    }

    fn start(&self) -> Embedded {
        Embedded::start(&self.0, Tuning::Throwaway).unwrap()
    }

    fn start_durable(&self) -> Embedded {
        Embedded::start(&self.0, Tuning::Durable).unwrap()
    }

    fn refusal(&self) -> String {
        format!("{:#}", Embedded::start(&self.0, Tuning::Throwaway).err().expect("it started"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn psql(embedded: &Embedded) -> Command {
    static PSQL: LazyLock<PathBuf> = LazyLock::new(|| {
        let scratch = Scratch::new();
        let account = Account::for_cluster(&Home::prepare(&scratch.0).unwrap()).unwrap();
        Binaries::find(&account, None).unwrap().postgres().with_file_name("psql")
    });
    let mut command = Command::new(&*PSQL);
    command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", &embedded.url(OWNER, DATABASE)]);
    command
}

fn sql(embedded: &Embedded, statement: &str) -> String {
    let Output { status, stdout, stderr } = psql(embedded).args(["-c", statement]).output().unwrap();
    assert!(status.success(), "{statement}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap().trim().to_owned()
}

/// What a kill of the daemon does: the lock is gone, the server is not.
fn abandon(mut embedded: Embedded) -> Pid {
    embedded.tenure = Tenure::Over;
    embedded.server.pid()
}

/// Returns when the process has ended, and leaves the corpse unburied, as a slow init does.
fn kill_hard(pid: Pid) {
    kill(pid, Signal::SIGKILL).unwrap();
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
}

/// Runs the named test of this file in a process of its own, with its temporary files in `scratch`, and waits until that process and
/// whoever writes to its standard error have ended.
fn in_another_process(test: &str, scratch: &Scratch) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", &format!("postgres::tests::{test}")]);
    command.env("TMPDIR", &scratch.0).env("RUNDOWN_TEST_INNER", "1").output().unwrap()
}

fn is_inner() -> bool {
    env::var_os("RUNDOWN_TEST_INNER").is_some()
}

#[test]
fn what_was_written_survives_a_stop_and_a_start() {
    let scratch = Scratch::new();
    let first = scratch.start_durable();
    assert_eq!(sql(&first, "SHOW fsync"), "on");
    assert_eq!(sql(&first, "SHOW listen_addresses"), "");
    assert_eq!(
        sql(&first, "SELECT current_user || ' in ' || current_database()"),
        "rundown in rundown"
    );
    sql(&first, "CREATE TABLE won AS SELECT 42 AS cents");
    first.stop().unwrap();
    assert!(!scratch.0.join("data/postmaster.pid").exists());

    let second = scratch.start();
    assert_eq!(sql(&second, "SELECT cents FROM won"), "42");
    assert_eq!(sql(&second, "SHOW fsync"), "off");
}

#[test]
fn a_second_daemon_on_the_same_directory_says_so_and_a_guest_leaves_the_server_running() {
    let scratch = Scratch::new();
    assert!(Embedded::join(&scratch.0).unwrap().is_none());
    let owner = scratch.start();

    let refusal = scratch.refusal();
    assert!(
        refusal.contains("another rundown") && refusal.contains(&process::id().to_string()),
        "{refusal}"
    );

    for guest in [
        Embedded::join(&scratch.0).unwrap().unwrap(),
        Embedded::open(&scratch.0, Tuning::Throwaway).unwrap(),
    ] {
        assert_eq!(guest.server.pid(), owner.server.pid());
        assert_eq!(sql(&guest, "SELECT 1"), "1");
        guest.stop().unwrap();
    }
    assert_eq!(sql(&owner, "SELECT 1"), "1");
    owner.stop().unwrap();
    assert!(Embedded::join(&scratch.0).unwrap().is_none());
}

#[test]
fn commands_that_come_all_at_once_find_one_server_after_the_other() {
    let scratch = Scratch::new();
    scratch.start().stop().unwrap();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let embedded = Embedded::open(&scratch.0, Tuning::Throwaway).unwrap();
                assert_eq!(sql(&embedded, "SELECT 1"), "1");
                embedded.stop().unwrap();
            });
        }
    });
}

#[test]
fn the_server_of_a_killed_daemon_is_adopted() {
    if is_inner() {
        let _embedded = Embedded::start(&env::temp_dir().join("root"), Tuning::Throwaway).unwrap();
        kill(Pid::this(), Signal::SIGKILL).unwrap();
    }
    let scratch = Scratch::new();
    let root = scratch.0.join("root");
    let killed = in_another_process("the_server_of_a_killed_daemon_is_adopted", &scratch);
    assert!(!killed.status.success());
    let left_behind = Embedded::join(&root)
        .unwrap()
        .expect("the server died with its daemon")
        .server
        .pid();

    let adopted = Embedded::start(&root, Tuning::Throwaway).unwrap();
    assert_eq!(adopted.server.pid(), left_behind);
    assert_eq!(sql(&adopted, "SELECT 1"), "1");
    adopted.stop().unwrap();
    assert!(Embedded::join(&root).unwrap().is_none());
}

#[test]
fn a_killed_server_recovers_even_while_its_corpse_lies_about() {
    let scratch = Scratch::new();
    let first = scratch.start_durable();
    sql(&first, "CREATE TABLE won AS SELECT 42 AS cents");
    let killed = first.server.pid();
    kill_hard(killed);
    abandon(first);
    assert!(scratch.0.join("data/postmaster.pid").exists());

    let second = scratch.start_durable();
    assert_ne!(second.server.pid(), killed);
    assert_eq!(sql(&second, "SELECT cents FROM won"), "42");
}

#[test]
fn the_last_statement_of_a_killed_server_is_waited_for() {
    let scratch = Scratch::new();
    let first = scratch.start();
    let busy = "DO $$ BEGIN RAISE NOTICE 'begun'; PERFORM count(*) FROM generate_series(1, 5000000); END $$";
    let mut client = psql(&first).args(["-c", busy]).stderr(Stdio::piped()).spawn().unwrap();
    let mut notices = BufReader::new(client.stderr.take().unwrap());
    notices.read_line(&mut String::new()).unwrap();
    kill_hard(first.server.pid());
    abandon(first);

    assert_eq!(sql(&scratch.start(), "SELECT 1"), "1");
    client.wait().unwrap();
}

#[test]
fn a_pid_that_belongs_to_somebody_else_by_now_is_overlooked() {
    let scratch = Scratch::new();
    scratch.start().stop().unwrap();
    let mut somebody = Account::for_cluster(&Home::prepare(&scratch.0).unwrap())
        .unwrap()
        .command(Path::new("/bin/cat"));
    let mut somebody = somebody.stdin(Stdio::piped()).spawn().unwrap();
    let data = scratch.0.join("data");
    let left_behind = format!(
        "{}\n{}\n1700000000\n5432\n{}/s\n\n  0 0\nready   \n",
        somebody.id(),
        data.display(),
        scratch.0.display()
    );
    fs::write(data.join("postmaster.pid"), left_behind).unwrap();

    assert!(Embedded::join(&scratch.0).unwrap().is_none());
    assert_eq!(sql(&scratch.start(), "SELECT 1"), "1");
    assert!(
        somebody.try_wait().unwrap().is_none(),
        "it was hit by a signal meant for the server"
    );
    drop(somebody.stdin.take());
    somebody.wait().unwrap();
}

#[test]
fn a_cluster_half_made_by_a_killed_process_is_made_anew() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.0.join("data.new")).unwrap();
    fs::write(scratch.0.join("data.new/PG_VERSION"), "15").unwrap();
    assert_eq!(sql(&scratch.start(), "SELECT 1"), "1");
    assert!(!scratch.0.join("data.new").exists());
}

#[test]
fn a_path_too_long_for_a_socket_gets_a_short_one() {
    let scratch = Scratch::new();
    let root = scratch.0.join("long".repeat(30));
    let embedded = Embedded::start(&root, Tuning::Throwaway).unwrap();
    let socket_dir = embedded.socket_dir().to_owned();
    assert!(!socket_dir.starts_with(&root));
    assert_eq!(sql(&embedded, "SELECT 1"), "1");
    assert_eq!(sql(&Embedded::join(&root).unwrap().unwrap(), "SELECT 1"), "1");
    embedded.stop().unwrap();
    fs::remove_dir(socket_dir).unwrap();
}

#[test]
fn a_path_may_hold_what_a_shell_or_a_url_would_split_at() {
    let scratch = Scratch::new();
    let root = scratch.0.join("a \"b\" & c=d?%");
    let embedded = Embedded::start(&root, Tuning::Throwaway).unwrap();
    assert_eq!(embedded.socket_dir(), root.join("s"));
    assert_eq!(sql(&embedded, "SELECT 1"), "1");
    assert!(Embedded::join(&root).unwrap().is_some());
}

#[test]
fn a_directory_that_the_server_cannot_reach_is_refused_by_name() {
    if !geteuid().is_root() {
        return; // Only root gives the server another account.
    }
    let scratch = Scratch::new();
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o700)).unwrap();
    let root = scratch.0.join("root");
    let refusal = format!("{:#}", Embedded::start(&root, Tuning::Throwaway).err().expect("it started"));
    assert!(
        refusal.contains(&*scratch.0.to_string_lossy()) && refusal.contains("--data-dir"),
        "{refusal}"
    );
}

#[test]
fn a_cluster_of_another_major_and_a_directory_that_is_none_are_refused() {
    let scratch = Scratch::new();
    let data = scratch.0.join("data");
    fs::create_dir(&data).unwrap();
    let refusal = scratch.refusal();
    assert!(refusal.contains("no Postgres cluster"), "{refusal}");
    fs::write(data.join("PG_VERSION"), "9\n").unwrap();
    let refusal = scratch.refusal();
    assert!(refusal.contains("Postgres 9, which made the cluster"), "{refusal}");
}

#[test]
fn a_machine_without_binaries_is_told_the_command_that_installs_them() {
    let scratch = Scratch::new();
    let account = Account::for_cluster(&Home::prepare(&scratch.0).unwrap()).unwrap();
    let refusal = Binaries::find_in(&[PathBuf::from("/nowhere"), scratch.0.clone()], &account, None)
        .unwrap_err()
        .to_string();
    assert!(
        refusal.contains("no Postgres was found") && refusal.contains("apt-get install postgresql"),
        "{refusal}"
    );
}

#[test]
fn a_throwaway_cluster_is_gone_after_its_stop() {
    let embedded = Embedded::throwaway().unwrap();
    let root = embedded.socket_dir().parent().unwrap().to_owned();
    assert_eq!(sql(&embedded, "SHOW synchronous_commit"), "off");
    assert!(root.exists());
    embedded.stop().unwrap();
    assert!(!root.exists());
}

#[test]
fn a_throwaway_cluster_is_gone_after_its_process() {
    if is_inner() {
        let embedded = Embedded::throwaway().unwrap();
        sql(&embedded, "SELECT 1");
        kill(Pid::this(), Signal::SIGKILL).unwrap();
    }
    let scratch = Scratch::new();
    let killed = in_another_process("a_throwaway_cluster_is_gone_after_its_process", &scratch);
    assert!(!killed.status.success());
    assert_eq!(
        fs::read_dir(&scratch.0).unwrap().count(),
        0,
        "{}",
        String::from_utf8_lossy(&killed.stderr)
    );
}
