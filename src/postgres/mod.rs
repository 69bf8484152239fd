//! The embedded default: a private Postgres cluster in the data directory, run by the Postgres binaries installed on this machine.
//!
//! ```text
//! <root>/            0711  the data directory, whoever runs the daemon owns it
//!   lock             0600  held exclusively by the process that owns the server
//!   guests           0600  held shared by processes that use the server beside its owner
//!   data/            0700  the cluster, owned by the account that runs the server
//!   s/               0700  its Unix socket: the only door, which is why `trust` behind it is sound
//!   postgres.log     0600  what the server has to say, starts and crashes mostly
//! ```
//!
//! The server is a plain child. If its daemon is killed it lives on, and the next one adopts it; nothing has to be cleaned up by hand.
//!
//! Everything here blocks (a first start takes seconds, a crash recovery minutes): call it outside the runtime or in
//! `spawn_blocking`. It knows processes and files, and no SQL beyond the creation of the database: roles and tables are migrations.

mod account;
mod binaries;
mod cluster;
mod home;
mod leash;
mod server;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, mem, process};

use anyhow::{Result, bail, ensure};

use account::Account;
use binaries::Binaries;
use home::Home;
use leash::Leash;
use server::Server;

/// The cluster's bootstrap superuser: it owns the schema. The daemon steps down from it to an application role.
pub const OWNER: &str = "rundown";
/// It exists in every cluster from the first moment on.
pub const DATABASE: &str = "rundown";
/// Names the socket file only: no port of the network is opened.
pub const PORT: u16 = 5432;

/// How often a change in another process is looked for.
const POLL: Duration = Duration::from_millis(20);
/// How long the lock of a process that is gone may still be held by a child it was starting.
const LOCK_LINGERS: Duration = Duration::from_secs(1);
/// Longer than any start or stop of another process, crash recovery excepted.
const NEIGHBOUR_MAY_TAKE: Duration = Duration::from_mins(1);
/// Guests are single commands like `rundown token`; a stop does not wait longer for one that hangs.
const GUESTS_MAY_TAKE: Duration = Duration::from_secs(5);

/// What the cluster is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tuning {
    /// A casino's books: whatever was answered with success is on disk.
    Durable,
    /// Tests and demonstrations: as fast as it goes, and lost with the machine.
    Throwaway,
}

/// A running private server, and on what terms this process uses it. Dropping it ends these terms as [`Embedded::stop`] does.
pub struct Embedded {
    server: Server,
    tenure: Tenure,
    leash: Option<Leash>,
}

enum Tenure {
    /// The lock on the root is ours, and with it the duty to stop the server.
    Owner {
        home: Home,
        lock: File,
    },
    /// The server is another process's; the shared lock asks it to stay until this one is done.
    Guest {
        _stay: File,
    },
    Over,
}

impl Embedded {
    /// Runs the cluster in `root`: makes it if there is none, adopts its server if a killed process left one behind.
    /// Fails if another process owns it.
    pub fn start(root: &Path, tuning: Tuning) -> Result<Self> {
        let home = Home::prepare(root)?;
        // A child being started anywhere in the owner's process holds a copy of the lock until it has become another program.
        let deadline = Instant::now() + LOCK_LINGERS;
        loop {
            if let Some(lock) = home.claim()? {
                return Self::own(home, lock, tuning);
            }
            if Instant::now() >= deadline {
                bail!("another rundown{} uses this directory: {}", home.owner(), home.root().display());
            }
            sleep(POLL);
        }
    }

    /// The server of `root`, if it is running, as a guest: it is not stopped in the end. `None` if nothing runs there.
    pub fn join(root: &Path) -> Result<Option<Self>> {
        match Home::existing(root)? {
            Some(home) => Self::visit(&home),
            None => Ok(None),
        }
    }

    /// For a command that needs the database and does not care who runs it: the daemon's server if there is one, else its own.
    pub fn open(root: &Path, tuning: Tuning) -> Result<Self> {
        let home = Home::prepare(root)?;
        let deadline = Instant::now() + NEIGHBOUR_MAY_TAKE;
        loop {
            if let Some(lock) = home.claim()? {
                return Self::own(home, lock, tuning);
            }
            if let Some(guest) = Self::visit(&home)? {
                return Ok(guest);
            }
            // The owner is on its way up or down. Either way one of the two above will soon do.
            ensure!(
                Instant::now() < deadline,
                "another rundown{} holds {} but runs no server",
                home.owner(),
                home.root().display()
            );
            sleep(POLL);
        }
    }

    /// A fresh cluster in the temporary directory that ends with this process, however this process ends, and leaves nothing behind:
    /// also where it is held by a `static`, which is never dropped.
    pub fn throwaway() -> Result<Self> {
        let home = Home::prepare(&fresh_temporary_root()?)?;
        let leash = Leash::tie(&home)?;
        let Some(lock) = home.claim()? else {
            bail!("somebody else found {} first", home.root().display())
        };
        let mut embedded = Self::own(home, lock, Tuning::Throwaway)?;
        embedded.leash = Some(leash);
        Ok(embedded)
    }

    /// Where `role` reaches `database`, as a URL for sqlx, tokio-postgres and psql alike. Host and password are left out of its
    /// authority: with a host there, tokio-postgres would try TCP first.
    pub fn url(&self, role: &str, database: &str) -> String {
        let socket = self.server.sockets().to_string_lossy();
        let [role, database, socket] = [role, database, &*socket].map(percent_encoded);
        format!("postgres:///{database}?host={socket}&port={PORT}&user={role}")
    }

    /// The directory of the Unix socket: what a driver's options take as the host, beside [`PORT`].
    pub fn socket_dir(&self) -> &Path {
        self.server.sockets()
    }

    /// The directory the cluster lives in, for the process that owns it.
    pub fn root(&self) -> Option<&Path> {
        match &self.tenure {
            Tenure::Owner { home, .. } => Some(home.root()),
            Tenure::Guest { .. } | Tenure::Over => None,
        }
    }

    /// A guest just leaves. The owner lets its guests finish, then has the server write everything out and end.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn own(home: Home, lock: File, tuning: Tuning) -> Result<Self> {
        let account = Account::for_cluster(&home)?;
        let binaries = Binaries::find(&account, home.major()?)?;
        cluster::ensure(&home, &account, &binaries, tuning)?;
        let server = Server::run(&home, &account, &binaries, tuning)?;
        Ok(Self {
            server,
            tenure: Tenure::Owner { home, lock },
            leash: None,
        })
    }

    fn visit(home: &Home) -> Result<Option<Self>> {
        let Some(stay) = home.visit()? else { return Ok(None) };
        let server = Server::running(home)?;
        Ok(server.map(|server| Self {
            server,
            tenure: Tenure::Guest { _stay: stay },
            leash: None,
        }))
    }

    fn end(&mut self) -> Result<()> {
        let Tenure::Owner { home, lock } = mem::replace(&mut self.tenure, Tenure::Over) else {
            return Ok(());
        };
        // Held until after the stop, so that nobody joins a server that is going down.
        let _last_out = home.wait_for_guests(GUESTS_MAY_TAKE)?;
        let stopped = match self.leash.take() {
            Some(leash) => leash.pull().and_then(|()| self.server.reap()),
            None => self.server.stop(),
        };
        // By hand, because closing is not enough: a child that is being spawned right now holds a copy of every open file.
        lock.unlock()?;
        stopped
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(error = format!("{error:#}"), "the private Postgres did not stop as it should");
        }
    }
}

/// Made here and now, so it cannot be a directory that somebody else has prepared for us.
fn fresh_temporary_root() -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let name = format!("rundown-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = env::temp_dir().join(name);
        match home::make_dir(&root, home::PASSABLE) {
            Ok(()) => return Ok(root),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(anyhow::Error::new(error).context(format!("cannot make {}", root.display()))),
        }
    }
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(byte);
    text.bytes()
        .map(|byte| {
            if plain(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
