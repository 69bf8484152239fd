//! Which of the Postgres installations on this machine runs the cluster.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::account::Account;

/// The oldest major version the schema works with.
const OLDEST: u32 = 15;
/// Where package managers put one directory per version: (parent, how the entries begin).
const INSTALLATIONS: [(&str, &str); 5] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql"),
    ("/usr/local/opt", "postgresql"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql"),
];

#[derive(Debug)]
pub(super) struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// The newest installation, or the one of the same major version as the cluster: no other can read it.
    /// `RUNDOWN_POSTGRES_BIN` names the only directory to look at.
    pub fn find(account: &Account, cluster_major: Option<u32>) -> Result<Self> {
        let named = env::var_os("RUNDOWN_POSTGRES_BIN").map(PathBuf::from);
        Self::find_in(&named.map_or_else(everywhere, |dir| vec![dir]), account, cluster_major)
    }

    pub(super) fn find_in(places: &[PathBuf], account: &Account, cluster_major: Option<u32>) -> Result<Self> {
        let mut found: Vec<Self> = places.iter().filter_map(|dir| Self::probe(dir, account)).collect();
        let majors: BTreeSet<u32> = found.iter().map(|binaries| binaries.major).collect();
        found.retain(|binaries| cluster_major.map_or(binaries.major >= OLDEST, |major| binaries.major == major));
        match found.into_iter().max_by_key(|binaries| binaries.major) {
            Some(newest) => Ok(newest),
            None => bail!(absence(cluster_major, &majors)),
        }
    }

    pub fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    /// Asked under the account that is to run them: an installation below `/root` works for root alone.
    fn probe(dir: &Path, account: &Account) -> Option<Self> {
        // The real place of a linked binary, because its neighbours are not always linked with it.
        let dir = dir.join("postgres").canonicalize().ok()?.parent()?.to_owned();
        let binaries = Self { dir, major: 0 };
        if !binaries.initdb().exists() {
            return None;
        }
        let version = account.command(&binaries.postgres()).arg("--version").output().ok()?;
        let major = major_in(&String::from_utf8_lossy(&version.stdout))?;
        Some(Self { major, ..binaries })
    }
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` or `postgres (PostgreSQL) 19beta1`.
fn major_in(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let digits = number.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

fn everywhere() -> Vec<PathBuf> {
    let pg_config = Command::new("pg_config").arg("--bindir").output().ok();
    let bindir = pg_config.map(|answer| PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim()));
    let path = env::var_os("PATH").unwrap_or_default();
    let installed = INSTALLATIONS
        .iter()
        .flat_map(|(parent, prefix)| entries(parent, prefix))
        .map(|version| version.join("bin"));
    let places = bindir.into_iter().chain(env::split_paths(&path)).chain(installed);
    // A relative place would be another one for the child, which works in `/`.
    places
        .chain([PathBuf::from("/usr/local/pgsql/bin")])
        .filter(|place| place.is_absolute())
        .collect()
}

fn entries(parent: &str, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect()
}

fn absence(cluster_major: Option<u32>, majors: &BTreeSet<u32>) -> String {
    let found = match majors.iter().map(u32::to_string).collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "no Postgres".to_owned(),
        some => format!("Postgres {some}"),
    };
    let needed = cluster_major.map_or_else(
        || format!("Postgres {OLDEST} or newer"),
        |major| format!("Postgres {major}, which made the cluster,"),
    );
    let brew = format!("brew install postgresql@{}", cluster_major.unwrap_or(17));
    let apt = cluster_major.map_or_else(
        || "apt-get install postgresql".to_owned(),
        |major| format!("apt-get install postgresql-{major}"),
    );
    format!(
        "{needed} is needed and {found} was found on this machine. Install it with `{apt}` (Debian, Ubuntu) or `{brew}` (Homebrew), \
         name the directory of its binaries in RUNDOWN_POSTGRES_BIN, or configure a server with database.url"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_is_read_from_what_every_build_says() {
        assert_eq!(major_in("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_in("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(major_in("postgres (PostgreSQL) 17\n"), Some(17));
        assert_eq!(major_in("sh: postgres: not found"), None);
    }

    #[test]
    fn an_absence_names_what_is_there_and_the_command_that_helps() {
        let nothing = absence(None, &BTreeSet::new());
        assert!(
            nothing.contains("no Postgres was found") && nothing.contains("`apt-get install postgresql`"),
            "{nothing}"
        );
        let others = absence(Some(16), &BTreeSet::from([15, 17]));
        assert!(
            others.contains("15, 17") && others.contains("`apt-get install postgresql-16`"),
            "{others}"
        );
    }
}
