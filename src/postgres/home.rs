//! The layout of the data directory, and the two locks that say who may do what with the server in it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::POLL;

/// The account that runs the server has to pass through the root, and needs to see nothing else in it.
pub(super) const PASSABLE: u32 = 0o711;
const PRIVATE_FILE: u32 = 0o600;

pub(super) struct Home {
    root: PathBuf,
}

impl Home {
    pub fn prepare(root: &Path) -> Result<Self> {
        let named = || format!("cannot make the data directory {}", root.display());
        if !root.exists() {
            DirBuilder::new().recursive(true).mode(PASSABLE).create(root).with_context(named)?;
            // Once more by name: the umask of a careful root is 077, and took the search bit away.
            fs::set_permissions(root, Permissions::from_mode(PASSABLE)).with_context(named)?;
        }
        let root = root.canonicalize().with_context(named)?;
        Ok(Self { root })
    }

    pub fn existing(root: &Path) -> Result<Option<Self>> {
        match root.canonicalize() {
            Ok(root) => Ok(Some(Self { root })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot enter {}", root.display())),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Where a cluster is made, before it moves to [`Home::data`] in one step.
    pub fn nursery(&self) -> PathBuf {
        self.root.join("data.new")
    }

    pub fn sockets(&self) -> PathBuf {
        self.root.join("s")
    }

    pub fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    /// The Postgres major version that made the cluster and alone can run it; `None` if there is no cluster yet.
    pub fn major(&self) -> Result<Option<u32>> {
        let data = self.data();
        if !data.exists() {
            return Ok(None);
        }
        let version = fs::read_to_string(data.join("PG_VERSION"));
        let version = version.with_context(|| format!("{} is no Postgres cluster: move it out of the way", data.display()))?;
        let major = version
            .trim()
            .parse()
            .with_context(|| format!("PG_VERSION in {} says {version:?}", data.display()))?;
        Ok(Some(major))
    }

    /// The right to run the server, for as long as the file is open; `None` if another process has it.
    pub fn claim(&self) -> Result<Option<File>> {
        let mut lock = self.open("lock")?;
        let claimed = self.taken(lock.try_lock())?;
        if claimed {
            lock.set_len(0)?;
            write!(lock, "{}", std::process::id())?;
        }
        Ok(claimed.then_some(lock))
    }

    /// For a message: who has the claim, as far as is known.
    pub fn owner(&self) -> String {
        let mut pid = String::new();
        match self.open("lock").map(|mut lock| lock.read_to_string(&mut pid)) {
            Ok(Ok(read)) if read > 0 => format!(" (process {pid})"),
            _ => String::new(),
        }
    }

    /// The right to use the server while it runs; `None` while its owner is taking it down.
    pub fn visit(&self) -> Result<Option<File>> {
        let guests = self.open("guests")?;
        Ok(self.taken(guests.try_lock_shared())?.then_some(guests))
    }

    /// Shuts the door behind the last guest. One that outstays `patience` loses its connection instead.
    pub fn wait_for_guests(&self, patience: Duration) -> Result<File> {
        let guests = self.open("guests")?;
        let deadline = Instant::now() + patience;
        while !self.taken(guests.try_lock())? && Instant::now() < deadline {
            sleep(POLL);
        }
        Ok(guests)
    }

    fn open(&self, name: &str) -> Result<File> {
        let path = self.root.join(name);
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE_FILE)
            .open(&path);
        opened.with_context(|| format!("cannot open {}", path.display()))
    }

    fn taken(&self, lock: Result<(), TryLockError>) -> Result<bool> {
        match lock {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock files in {}", self.root.display())),
        }
    }
}

/// Makes one directory, which must not be there, with exactly this mode whatever the umask.
pub(super) fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}
