//! Who runs the server. Postgres refuses to be root, so root's daemon gives its children another identity.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use nix::unistd::{User, geteuid};

use super::home::{self, Home};

/// By convention the account of nobody, where not even the name exists.
const NOBODY: u32 = 65534;
const PRIVATE_DIR: u32 = 0o700;

pub(super) struct Account {
    /// `None`: the server runs as whoever we are.
    other: Option<Identity>,
}

struct Identity {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// Fails if root's choice cannot reach the cluster, which Postgres itself would report as something else.
    pub fn for_cluster(home: &Home) -> Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self { other: None });
        }
        let identity = Identity::for_cluster(home)?;
        identity.check_reach(home.root())?;
        Ok(Self { other: Some(identity) })
    }

    /// A program under this account, in an environment that does not depend on ours: PGDATA, PGPORT or a locale in it would.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("LC_ALL", "C"), ("TZ", "UTC")]);
        // Our working directory may be one that the account cannot even look at.
        command.current_dir("/").stdin(Stdio::null());
        if let Some(identity) = &self.other {
            command.uid(identity.uid).gid(identity.gid);
        }
        command
    }

    /// A new directory that belongs to the account and is open to nobody else.
    pub fn make_private_dir(&self, path: &Path) -> Result<()> {
        let made = home::make_dir(path, PRIVATE_DIR).and_then(|()| match &self.other {
            Some(identity) => chown(path, Some(identity.uid), Some(identity.gid)),
            None => Ok(()),
        });
        made.with_context(|| format!("cannot make {}", path.display()))
    }

    pub fn uid(&self) -> u32 {
        self.other.as_ref().map_or_else(|| geteuid().as_raw(), |identity| identity.uid)
    }
}

impl Identity {
    /// Who made the cluster keeps it: an account `postgres` that was installed later could not read what `nobody` wrote.
    fn for_cluster(home: &Home) -> Result<Self> {
        let owner = fs::metadata(home.data()).ok().filter(|data| data.uid() != 0);
        let user = match owner {
            Some(owner) => {
                return Ok(Self {
                    name: format!("user {}", owner.uid()),
                    uid: owner.uid(),
                    gid: owner.gid(),
                });
            }
            None => User::from_name("postgres")?.or(User::from_name("nobody")?),
        };
        Ok(user.map_or_else(
            || Self {
                name: "nobody".to_owned(),
                uid: NOBODY,
                gid: NOBODY,
            },
            |user| Self {
                name: user.name,
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            },
        ))
    }

    fn check_reach(&self, root: &Path) -> Result<()> {
        for ancestor in root.ancestors() {
            let metadata = fs::metadata(ancestor)?;
            let mode = metadata.permissions().mode();
            let search_bit = match () {
                () if metadata.uid() == self.uid => 0o100,
                () if metadata.gid() == self.gid => 0o010,
                () => 0o001,
            };
            if mode & search_bit == 0 {
                let (ancestor, name, mode) = (ancestor.display(), &self.name, mode & 0o7777);
                bail!(
                    "Postgres does not run as root, it runs as {name}, and {name} may not pass through {ancestor} (mode {mode:04o}): \
                     choose another place with --data-dir, such as /var/lib/rundown, or `chmod o+x {ancestor}`"
                );
            }
        }
        Ok(())
    }
}
