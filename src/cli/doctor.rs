//! `rundown doctor`: says what is wrong with configuration, keys, database, privileges and clocks, and what to do about it. One line a
//! check, each made even where the one before failed, as far as there is something left to look at. Changes nothing; works beside a
//! running daemon and without one.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use nix::unistd::{AccessFlags, access, geteuid};

use super::{Place, causes, say};
use crate::auth::seal_key::{SealKey, SealKeyPlace};
use crate::auth::{Algorithm, Verifier};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::database::{Database, Owner, Standing};
use crate::store::Db;

/// More, and expiry, deadlines and gaming days would be judged by two different times.
const SKEW_FORGIVEN: TimeDelta = TimeDelta::seconds(1);
/// Of a file's mode, what neither its owner nor its group are.
const STRANGERS: u32 = 0o007;
/// The schema's views read with the rights of whoever asks, which older servers cannot.
const OLDEST_SERVER: u32 = 15;

/// Say what is wrong with configuration, keys, database, privileges and clocks.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {}

pub async fn run(_: &DoctorArgs, place: &Place) -> Result<ExitCode> {
    let mut chart = Chart { sound: true };
    if let Some(config) = chart.note(
        "configuration",
        configuration(place),
        "mend it; config/default.toml explains every key",
    ) {
        chart.note(
            "data directory",
            data_dir(&config),
            "give it to the account that runs the daemon, and write access to no other",
        );
        chart.note("token keys", keys(&config), "mend section [auth] of the configuration, or the file");
        chart.note(
            "audit seals",
            seal_key(&config),
            "set audit.signing_key_file to an Ed25519 key in PKCS#8 PEM, mode 0600 (openssl genpkey -algorithm ed25519)",
        );
        database(&mut chart, &config).await?;
    }
    Ok(if chart.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was found so far.
struct Chart {
    sound: bool,
}

/// A finding: what it is worth knowing, and what later checks need of it.
type Finding<T> = Result<(String, T)>;

impl Chart {
    /// Prints one line. What a failed check would have given, nobody gets.
    fn note<T>(&mut self, what: &str, finding: Finding<T>, remedy: impl Display) -> Option<T> {
        match finding {
            Ok((said, found)) => {
                say(format_args!("ok    {what}: {said}"));
                Some(found)
            }
            Err(error) => {
                say(format_args!("FAIL  {what}: {}. Remedy: {remedy}", causes(&error)));
                self.sound = false;
                None
            }
        }
    }
}

fn configuration(place: &Place) -> Finding<Config> {
    let config = place.errand()?;
    let database = if config.database.url.is_some() {
        "a server of its own"
    } else {
        "the private cluster"
    };
    Ok((format!("data directory {}, database {database}", config.data_dir.display()), config))
}

fn data_dir(config: &Config) -> Finding<()> {
    let dir = &config.data_dir;
    let Ok(metadata) = fs::metadata(dir) else {
        return Ok((format!("{} is not there yet, `rundown serve` makes it", dir.display()), ()));
    };
    ensure!(metadata.is_dir(), "{} is no directory", dir.display());
    let mode = metadata.mode() & 0o7777;
    let owner = metadata.uid();
    ensure!(
        geteuid().is_root() || owner == geteuid().as_raw(),
        "{} belongs to user {owner}",
        dir.display()
    );
    ensure!(mode & 0o022 == 0, "others may write to {} (mode {mode:04o})", dir.display());
    access(dir.as_path(), AccessFlags::W_OK | AccessFlags::X_OK).with_context(|| format!("{} cannot be written", dir.display()))?;
    Ok((format!("{} (mode {mode:04o})", dir.display()), ()))
}

/// Looks at the keys as the daemon does, but makes none.
fn keys(config: &Config) -> Finding<()> {
    let config::Auth {
        algorithm,
        secret,
        secret_file,
        private_key_file,
        ..
    } = &config.auth;
    for path in secret_file.iter().chain(private_key_file) {
        closed_to_strangers(path)?;
    }
    let made_here = *algorithm == Algorithm::HS256 && secret.is_none() && secret_file.is_none();
    if made_here && !config.data_dir.join("jwt-secret").exists() {
        return Ok((format!("{algorithm}, none yet: the secret is made when it is needed first"), ()));
    }
    Verifier::new(&config.auth.settings(), &config.data_dir)?;
    Ok((algorithm.to_string(), ()))
}

/// The same of the key that seals. Without one the rest works, and no audit row is protected: that is not sound.
fn seal_key(config: &Config) -> Finding<()> {
    let place = config.audit.key_place(config.database.url.is_none().then_some(&config.data_dir));
    match (SealKey::look(&place)?, place) {
        (Some(key), _) => Ok((format!("key {}", key.id()), ())),
        (None, SealKeyPlace::OwnMaking(_)) => Ok(("none yet: the key is made by the first `rundown serve`".to_owned(), ())),
        (None, SealKeyPlace::File(_) | SealKeyPlace::None) => Err(anyhow!(SealKey::MISSING)),
    }
}

/// Mounted secrets are often readable by a group; whoever else can read one can be anybody in the casino.
fn closed_to_strangers(path: &Path) -> Result<()> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
    let mode = metadata.permissions().mode() & 0o7777;
    ensure!(mode & STRANGERS == 0, "{} is open to everybody (mode {mode:04o})", path.display());
    Ok(())
}

async fn database(chart: &mut Chart, config: &Config) -> Result<()> {
    // A first start is the daemon's to make. That it would succeed is shown by a cluster made elsewhere.
    if config.database.url.is_none() && !config.data_dir.join("data").exists() {
        chart.note("Postgres", trial(config).await, "see the message");
        return Ok(());
    }
    let remedy = match config.database.url {
        Some(_) => "is the server up, and are database.url and database.owner_url right?",
        None => "see the message, and postgres.log in the data directory",
    };
    let opened = Database::open(config)
        .await
        .map(|database| ("its server can be used".to_owned(), database));
    if let Some(database) = chart.note("Postgres", opened, remedy) {
        examine(chart, &database, remedy).await;
        database.stop().await?;
    }
    Ok(())
}

async fn trial(config: &Config) -> Finding<()> {
    let trial = Database::throwaway(&config.database).await?;
    trial.stop().await?;
    Ok((
        "its binaries make and run a cluster; `rundown serve` will make the real one".to_owned(),
        (),
    ))
}

async fn examine(chart: &mut Chart, database: &Database, remedy: &str) {
    let owner = chart.note("owner's connection", owner(database).await, remedy);
    if owner.is_none() {
        return;
    }
    // Role and fence are made by the migrations: without them there is nothing to look at.
    if chart.note("schema", schema(database).await, "`rundown migrate`").is_none() {
        return;
    }
    let remedy = "let the role log in, with its password in database.url";
    let connected = application(database).await;
    let connected = chart.note("application role", connected, remedy);
    let Some((db, standing, asked, answered)) = connected else {
        return;
    };
    chart.note(
        "application privileges",
        free_of(&standing.reach, "it can do nothing that the fence does not hold"),
        "ALTER ROLE … NOSUPERUSER NOBYPASSRLS, REVOKE what it is a member of, and let the owner own the tables",
    );
    chart.note(
        "tenant fence",
        free_of(&standing.fence, "whole"),
        "somebody changed the schema by hand: put its row security back",
    );
    chart.note(
        "telemetry bridge",
        free_of(&standing.bridge, "one trigger, one index"),
        "somebody changed the schema by hand: put back what m0009_telemetry says, then `rundown backfill telemetry`",
    );
    chart.note(
        "clocks",
        skew(asked, standing.at, answered),
        "let both machines follow one time server",
    );
    db.close().await.ok();
}

async fn owner(database: &Database) -> Finding<()> {
    let owner = database.owner().await?;
    let version = version(&owner).await;
    owner.close().await?;
    let version = version?;
    let major = version.split(['.', ' ']).next().and_then(|major| major.parse().ok());
    let major: u32 = major.with_context(|| format!("Postgres calls itself {version:?}"))?;
    ensure!(major >= OLDEST_SERVER, "Postgres {version} is older than {OLDEST_SERVER}");
    Ok((format!("Postgres {version}"), ()))
}

async fn version(owner: &Owner) -> Result<String> {
    owner
        .begin()
        .await?
        .json("SELECT to_jsonb(current_setting($1->>0)) AS json", &["server_version"])
        .await
}

async fn schema(database: &Database) -> Finding<()> {
    let migrations = database.migrations().await?;
    ensure!(migrations.pending.is_empty(), "{} pending", migrations.pending.join(", "));
    Ok((format!("all {} migrations are applied", migrations.applied.len()), ()))
}

/// The daemon's own kind of connection, what Postgres says of it, and the moments between which Postgres said it.
async fn application(database: &Database) -> Finding<(Db, Standing, DateTime<Utc>, DateTime<Utc>)> {
    let clock = Clock::System;
    let db = Db::connect(&database.app).await?;
    let asked = clock.now();
    let standing = Standing::of(&db).await?;
    let answered = clock.now();
    Ok((format!("connected as {}", standing.role), (db, standing, asked, answered)))
}

fn free_of(faults: &[String], said: &str) -> Finding<()> {
    match faults {
        [] => Ok((said.to_owned(), ())),
        faults => Err(anyhow!("{}", faults.join("; "))),
    }
}

/// The answer was given some time between question and answer: only what lies outside is skew.
fn skew(asked: DateTime<Utc>, said: DateTime<Utc>, answered: DateTime<Utc>) -> Finding<()> {
    let skew = (asked - said).max(said - answered).max(TimeDelta::zero());
    ensure!(
        skew <= SKEW_FORGIVEN,
        "the database's clock is {} ms off the daemon's",
        skew.num_milliseconds()
    );
    Ok((format!("the database's is at most {} ms off", skew.num_milliseconds()), ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_outside_question_and_answer_is_skew() {
        let at = |milliseconds: i64| DateTime::from_timestamp_millis(1_767_225_600_000 + milliseconds).unwrap();
        assert!(skew(at(0), at(2_000), at(4_000)).is_ok());
        assert!(skew(at(0), at(1_010), at(10)).is_ok());
        assert!(skew(at(0), at(1_011), at(10)).is_err());
        assert!(skew(at(0), at(-1_000), at(10)).is_ok());
        assert!(skew(at(0), at(-1_001), at(10)).is_err());
    }
}
