//! The daemon under measurement: `rundown serve`, a process of its own, over a private Postgres with the settings of production.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use secrecy::SecretString;

use rundown::auth::{Algorithm, AuthSettings, TokenIssuer};
use rundown::clock::Clock;

/// A first start makes a cluster, and a loaded machine takes its time over it.
const START_MAY_TAKE: Duration = Duration::from_mins(2);
const SECRET: &str = "the benchmark's own secret, thirty-two bytes and more";
const TOKEN_TTL: Duration = Duration::from_hours(24);

pub struct Daemon {
    child: Child,
    pub addr: SocketAddr,
    /// From the start of the process to the first answer of `/readyz`.
    pub ready_after: Duration,
}

impl Daemon {
    /// Starts it and waits until it is ready. Nothing but the address, the secret, the rate limit and the log level is not the default.
    pub fn start(data_dir: &Path, port: u16) -> Result<Self> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(data_dir.join("daemon.log"))
            .context("the daemon's log")?;
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let begun = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_rundown"))
            .arg("serve")
            .arg("--data-dir")
            .arg(data_dir)
            .arg("--listen")
            .arg(addr.to_string())
            .env("RUNDOWN__AUTH__SECRET", SECRET)
            // Six people ask for a whole floor here.
            .env("RUNDOWN__LIMITS__REQUESTS_PER_SECOND", "1000000")
            .env("RUNDOWN__LIMITS__BURST", "1000000")
            .env("RUNDOWN__LOG__LEVEL", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("the daemon cannot be started")?;
        let mut daemon = Self {
            child,
            addr,
            ready_after: Duration::ZERO,
        };
        daemon.wait_until_ready(begun)?;
        daemon.ready_after = begun.elapsed();
        Ok(daemon)
    }

    fn wait_until_ready(&mut self, begun: Instant) -> Result<()> {
        while begun.elapsed() < START_MAY_TAKE {
            if let Some(status) = self.child.try_wait()? {
                bail!("the daemon ended: {status}");
            }
            if is_ready(self.addr) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("the daemon was not ready within {START_MAY_TAKE:?}")
    }

    /// Stands still until what is given is dropped: its Postgres is left alone.
    pub fn halted(&self) -> Result<Halted> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGSTOP)?;
        Ok(Halted(pid))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As an operator stops it: Postgres with it.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the daemon ended: {status}");
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("the daemon did not stop: {error:#}");
        }
    }
}

/// A daemon that stands still.
pub struct Halted(Pid);

impl Drop for Halted {
    fn drop(&mut self) {
        if let Err(error) = kill(self.0, Signal::SIGCONT) {
            eprintln!("the daemon does not go on: {error}");
        }
    }
}

/// One request by hand: a client would have to be started first.
fn is_ready(addr: SocketAddr) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect(addr) else {
        return false;
    };
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok();
    let mut answer = [0_u8; 12];
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")
        .and_then(|()| stream.read_exact(&mut answer))
        .is_ok_and(|()| answer.ends_with(b"200"))
}

/// A port nobody listens on now.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Gives somebody the `Authorization` the daemon will accept.
pub fn authorization(subject: &str) -> Result<String> {
    let settings = AuthSettings {
        algorithm: Algorithm::HS256,
        secret: Some(SecretString::from(SECRET)),
        secret_file: None,
        public_key_file: None,
        jwks_file: None,
        private_key_file: None,
        audience: "rundown".to_owned(),
        leeway_seconds: 0,
    };
    let token = TokenIssuer::new(&settings, Path::new("/nonexistent"))?.issue(subject, Clock::System.now(), TOKEN_TTL)?;
    Ok(format!("Bearer {token}"))
}

/// A directory in which the daemon may run Postgres, gone with the run unless it is to be kept.
pub struct Scratch {
    pub root: PathBuf,
    keep: bool,
}

impl Scratch {
    pub fn make(below: &Path, keep: bool) -> Result<Self> {
        let root = below.join(format!("rundown-speed-{}", std::process::id()));
        fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        Ok(Self { root, keep })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("speed: the cluster is kept in {}", self.root.display());
            return;
        }
        fs::remove_dir_all(&self.root).ok();
    }
}
