//! The server process: found running or started, waited for, stopped.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, io};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use sha2::{Digest as _, Sha256};

use super::account::Account;
use super::binaries::Binaries;
use super::home::Home;
use super::{POLL, PORT, Tuning};

/// A crash in the middle of heavy writing is recovered from in minutes at most: `max_wal_size` bounds what has to be replayed.
const START_MAY_TAKE: Duration = Duration::from_mins(5);
/// A fast shutdown cuts off the clients and writes a checkpoint. A disk that needs longer is in trouble.
const STOP_MAY_TAKE: Duration = Duration::from_secs(30);
/// How often a cluster is tried that the remains of a killed server still use.
const RETRY: Duration = Duration::from_millis(250);
/// What a server writes at a crash and its recovery is a few KiB: enough is kept to look back.
const LOG_KEPT_BYTES: u64 = 1024 * 1024;
/// How long a Unix socket's path can be: 107 bytes on Linux, 103 on macOS.
const SOCKET_PATH_BYTES: usize = 103;

pub(super) struct Server {
    data: PathBuf,
    sockets: PathBuf,
    pid: Pid,
    /// `None` for a server that another process has started.
    child: Option<Child>,
}

impl Server {
    /// Adopts the server that a killed owner left running, or starts one. The caller holds the claim on `home`.
    pub fn run(home: &Home, account: &Account, binaries: &Binaries, tuning: Tuning) -> Result<Self> {
        let deadline = Instant::now() + START_MAY_TAKE;
        loop {
            // Read before the search: a pid that appears only afterwards is a server's, and must not be taken for a stale one.
            let left_behind = PidFile::read(&home.data())?;
            if let Some(adopted) = Self::running(home)? {
                tracing::info!(
                    pid = adopted.pid.as_raw(),
                    "adopted the private Postgres that a former process left running"
                );
                return Ok(adopted);
            }
            let mut log = Log::open(home)?;
            let mut command = command(home, account, binaries, tuning)?;
            if let Some(stale) = left_behind {
                overlook(&mut command, stale.pid);
            }
            let child = command.stderr(log.file.try_clone()?).spawn();
            let child = child.with_context(|| format!("cannot run {}", binaries.postgres().display()))?;
            let pid = Pid::from_raw(child.id().cast_signed());
            let started = Self {
                data: home.data(),
                sockets: PathBuf::new(),
                pid,
                child: Some(child),
            };
            if let Some(server) = started.once_ready(deadline)? {
                tracing::info!(pid = pid.as_raw(), "the private Postgres is running");
                return Ok(server);
            }
            let last_words = log.last_words()?;
            ensure!(
                is_in_use(&last_words) && Instant::now() < deadline,
                "the private Postgres did not start: {}",
                last_words.trim()
            );
            sleep(RETRY);
        }
    }

    /// The server of this cluster, whoever started it, once it is ready; `None` if there is none.
    pub fn running(home: &Home) -> Result<Option<Self>> {
        let data = home.data();
        let Some(PidFile { pid, .. }) = PidFile::read(&data)? else {
            return Ok(None);
        };
        Self {
            data,
            sockets: PathBuf::new(),
            pid,
            child: None,
        }
        .once_ready(Instant::now() + START_MAY_TAKE)
    }

    pub fn sockets(&self) -> &Path {
        &self.sockets
    }

    pub fn stop(&mut self) -> Result<()> {
        self.signal(Signal::SIGINT)?;
        if self.ends_within(STOP_MAY_TAKE)? {
            return Ok(());
        }
        self.signal(Signal::SIGQUIT)?;
        self.ends_within(STOP_MAY_TAKE)?;
        bail!("the private Postgres did not stop within {STOP_MAY_TAKE:?} and was made to quit: its next start will recover");
    }

    /// For a server that somebody else has told to stop: a child that nobody waits for stays in the process table.
    pub fn reap(&mut self) -> Result<()> {
        ensure!(self.ends_within(STOP_MAY_TAKE)?, "process {} does not end", self.pid);
        Ok(())
    }

    /// `None` if the process ends first, or is not a server of this cluster at all.
    fn once_ready(mut self, deadline: Instant) -> Result<Option<Self>> {
        while self.is_alive()? {
            // What an earlier server has left in the file says nothing about this one.
            let file = PidFile::read(&self.data)?.filter(|file| file.pid == self.pid);
            if let Some(sockets) = file.and_then(|file| file.ready_at) {
                self.sockets = sockets;
                return Ok(Some(self));
            }
            ensure!(
                Instant::now() < deadline,
                "the private Postgres was not ready within {START_MAY_TAKE:?}: see its postgres.log"
            );
            sleep(POLL);
        }
        Ok(None)
    }

    fn ends_within(&mut self, patience: Duration) -> Result<bool> {
        let deadline = Instant::now() + patience;
        while self.is_alive()? {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            sleep(POLL);
        }
        Ok(true)
    }

    fn is_alive(&mut self) -> Result<bool> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?.is_none()),
            None => Ok(serves(self.pid, &self.data)),
        }
    }

    /// Asks first: the pid of a server that has ended may be another process's already.
    fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.is_alive()? {
            kill(self.pid, signal).with_context(|| format!("cannot send {signal} to the private Postgres"))?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }
}

fn command(home: &Home, account: &Account, binaries: &Binaries, tuning: Tuning) -> Result<Command> {
    let mut command = account.command(&binaries.postgres());
    command.arg("-D").arg(home.data());
    // Quoted, because the setting is a list, and a comma may be part of a path.
    let sockets = socket_dir(home, account)?.display().to_string().replace('"', "\"\"");
    let place = format!("unix_socket_directories=\"{sockets}\"");
    let port = format!("port={PORT}");
    for setting in [place.as_str(), &port]
        .into_iter()
        .chain(ALWAYS)
        .chain(tuning.settings().iter().copied())
    {
        command.args(["-c", setting]);
    }
    // A process group of its own, so that Ctrl-C reaches only the daemon, which then stops the server in good order.
    command.process_group(0).stdout(Stdio::null());
    Ok(command)
}

/// A pid left behind may be anybody's by now, and Postgres refuses to start while that process lives. It disregards the pid of its
/// grandparent, though, and still looks for backends that hold the shared memory: safer than removing the file, which loses both.
fn overlook(command: &mut Command, stale: Pid) {
    command.env("PG_GRANDPARENT_PID", stale.to_string());
}

/// The backends of a killed postmaster finish their statement before they notice, and keep the cluster until then.
fn is_in_use(last_words: &str) -> bool {
    last_words.contains("pre-existing shared memory block") || last_words.contains("lock file \"postmaster.pid\" already exists")
}

const ALWAYS: [&str; 10] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "cluster_name=rundown",
    "timezone=UTC",
    "log_timezone=UTC",
    // The errors of statements go to whoever sent them and are logged there, once, with the request they belong to. So the log stays
    // small however long the server runs, and free of what people typed.
    "log_min_messages=log",
    "log_min_error_statement=panic",
    "log_checkpoints=off",
    // The statements are short and many: compiling one takes longer than running it.
    "jit=off",
    "random_page_cost=1.1",
];

impl Tuning {
    /// Stated also where they are defaults, so that an edited `postgresql.conf` cannot take the durability away.
    const fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Durable => &[
                "fsync=on",
                "full_page_writes=on",
                "synchronous_commit=on",
                "max_connections=100",
                "shared_buffers=256MB",
                "work_mem=8MB",
                "max_wal_size=1GB",
                // Outbox, idempotency keys and leases are small tables with a high turnover: their dead rows are swept soon.
                "autovacuum=on",
                "autovacuum_naptime=20s",
                "autovacuum_vacuum_scale_factor=0.05",
                "autovacuum_analyze_scale_factor=0.02",
            ],
            Self::Throwaway => &[
                "fsync=off",
                "full_page_writes=off",
                "synchronous_commit=off",
                "max_connections=200",
                "shared_buffers=128MB",
                // A database for every test is copied from a template: nothing may be connected to that, and a checkpoint costs more
                // than the copy.
                "autovacuum=off",
                "checkpoint_timeout=1h",
                "max_wal_size=4GB",
                "wal_level=minimal",
                "max_wal_senders=0",
            ],
        }
    }
}

/// What the server says of itself in `postmaster.pid`, the file by which `pg_ctl` waits for it, too.
struct PidFile {
    pid: Pid,
    /// Where clients can connect, once they can.
    ready_at: Option<PathBuf>,
}

impl PidFile {
    /// The file grows line by line while the server starts: 1 pid, 2 data directory, 3 start, 4 port, 5 sockets, …, 8 status.
    fn read(data: &Path) -> Result<Option<Self>> {
        let path = data.join("postmaster.pid");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        // A negative pid is that of a server in single-user mode: somebody is repairing, and Postgres will say so.
        let pid = lines
            .first()
            .and_then(|line| line.parse().ok())
            .filter(|pid| *pid > 0)
            .map(Pid::from_raw);
        let ready = lines.get(7) == Some(&"ready");
        let ready_at = lines.get(4).filter(|_| ready).map(PathBuf::from);
        Ok(pid.map(|pid| Self { pid, ready_at }))
    }
}

/// Whether the process runs this cluster. Its pid alone proves nothing: after a crash or in a new container it is somebody else's.
fn serves(pid: Pid, data: &Path) -> bool {
    let command_line = match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(arguments) => arguments,
        Err(_) if Path::new("/proc/self").exists() => return false,
        Err(_) => Command::new("ps")
            .args(["-ww", "-o", "args=", "-p", &pid.to_string()])
            .output()
            .map_or_else(|_| Vec::new(), |ps| ps.stdout),
    };
    // In /proc the arguments end with a NUL. A zombie has none.
    String::from_utf8_lossy(&command_line)
        .replace('\0', " ")
        .contains(&format!(" -D {} ", data.display()))
}

/// `s/` in the root, or a short path elsewhere if the kernel could not bind a socket there. A server that is adopted or joined says
/// itself where its socket is, so the choice need not be the same in every environment.
fn socket_dir(home: &Home, account: &Account) -> Result<PathBuf> {
    let fits = |dir: &Path| dir.join(format!(".s.PGSQL.{PORT}")).as_os_str().len() <= SOCKET_PATH_BYTES;
    let mut dir = home.sockets();
    if !fits(&dir) {
        // Root's runtime directory is closed to the account that runs the server.
        let runtime = env::var_os("XDG_RUNTIME_DIR").filter(|_| !geteuid().is_root());
        let mut name = [0; 8];
        name.copy_from_slice(&Sha256::digest(home.root().as_os_str().as_encoded_bytes())[..8]);
        let name = u64::from_be_bytes(name);
        dir = runtime
            .map_or_else(env::temp_dir, PathBuf::from)
            .join(format!("rundown-{name:016x}"));
        ensure!(
            fits(&dir),
            "no path is short enough for a Unix socket: neither {} nor {}",
            home.sockets().display(),
            dir.display()
        );
    }
    match fs::symlink_metadata(&dir) {
        Ok(found) => {
            // In a temporary directory anybody can have made it first, to stand between the daemon and its server.
            let ours = found.is_dir() && found.uid() == account.uid() && found.mode() & 0o777 == 0o700;
            ensure!(
                ours,
                "{} is in the way: it should be a private directory of user {}",
                dir.display(),
                account.uid()
            );
        }
        Err(_) => account.make_private_dir(&dir)?,
    }
    Ok(dir)
}

/// A file rather than a pipe to us, because the server outlives a killed daemon and then still has a place to write.
struct Log {
    file: File,
    before: u64,
}

impl Log {
    fn open(home: &Home) -> Result<Self> {
        let path = home.log();
        if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_KEPT_BYTES) {
            fs::rename(&path, path.with_extension("log.old"))?;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        let before = file.metadata()?.len();
        Ok(Self { file, before })
    }

    /// What was written since the log was opened.
    fn last_words(&mut self) -> Result<String> {
        let mut text = Vec::new();
        self.file.seek(SeekFrom::Start(self.before))?;
        self.file.read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
