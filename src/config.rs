//! Every knob of the daemon. `config/default.toml` names them, explains them and gives their defaults; it is compiled in.
//!
//! This module knows what was configured and whether it makes sense together. It opens no key file and no connection.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use ::config::{Environment, File, FileFormat};
use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};

pub use crate::auth::Algorithm;
use crate::auth::AuthSettings;
use crate::auth::seal_key::SealKeyPlace;
pub use crate::observe::LogFormat;

const DEFAULTS: &str = include_str!("../config/default.toml");

/// Secrets are [`SecretString`]s, so `Debug` may be logged.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the private cluster, the made secret and `rundown.toml` live. Named on the command line: a file in it cannot name it.
    #[serde(skip)]
    pub data_dir: PathBuf,
    pub server: Server,
    pub limits: Limits,
    pub database: Database,
    pub auth: Auth,
    pub jobs: Jobs,
    pub events: Events,
    pub webhooks: Webhooks,
    pub nats: Nats,
    pub audit: Audit,
    pub observe: Observe,
    pub log: Log,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub listen: SocketAddr,
    pub request_timeout_seconds: NonZeroU32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub body_bytes: usize,
    pub csv_bytes: usize,
    pub requests_per_second: NonZeroU32,
    pub burst: NonZeroU32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Secret, because it usually carries a password. `None`: the private cluster.
    #[serde(deserialize_with = "secret")]
    pub url: Option<SecretString>,
    #[serde(deserialize_with = "secret")]
    pub owner_url: Option<SecretString>,
    /// As written; [`Database::pool_size`] is what it means.
    max_connections: u32,
    pub statement_timeout_ms: NonZeroU32,
    pub lock_timeout_ms: NonZeroU32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    pub algorithm: Algorithm,
    #[serde(deserialize_with = "path")]
    pub secret_file: Option<PathBuf>,
    #[serde(deserialize_with = "secret")]
    pub secret: Option<SecretString>,
    #[serde(deserialize_with = "path")]
    pub public_key_file: Option<PathBuf>,
    #[serde(deserialize_with = "path")]
    pub jwks_file: Option<PathBuf>,
    #[serde(deserialize_with = "path")]
    pub private_key_file: Option<PathBuf>,
    pub audience: String,
    pub leeway_seconds: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    pub slots: usize,
    pub lease_ms: NonZeroU32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    pub subscribers: usize,
    heartbeat_seconds: NonZeroU32,
    max_attempts: NonZeroU32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    pub slots: usize,
    timeout_seconds: NonZeroU32,
    disable_after_days: NonZeroU32,
    pub allow_private: bool,
    #[serde(deserialize_with = "path")]
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    /// Secret, because it may carry a password. `None`: no such sink.
    #[serde(deserialize_with = "secret")]
    pub url: Option<SecretString>,
    #[serde(deserialize_with = "path")]
    pub ca_file: Option<PathBuf>,
    #[serde(deserialize_with = "path")]
    pub credentials_file: Option<PathBuf>,
    pub stream: String,
    keep_days: u32,
    pub replicas: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// `None`: the private cluster's daemon makes one, any other seals nothing.
    #[serde(deserialize_with = "path")]
    pub signing_key_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observe {
    /// `None`: beside the API.
    #[serde(deserialize_with = "address")]
    pub metrics_listen: Option<SocketAddr>,
    #[serde(deserialize_with = "text")]
    pub otlp_url: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

impl Config {
    /// `None` for `data_dir` means [`default_data_dir`]; a `config_file` takes the place of `<data-dir>/rundown.toml` and must exist.
    pub fn load(data_dir: Option<&Path>, config_file: Option<&Path>) -> Result<Self> {
        let data_dir = match data_dir {
            Some(named) => std::path::absolute(named)?,
            None => default_data_dir()?,
        };
        Self::read(data_dir, config_file, None)
    }

    /// `environment` stands in for the process's own, which a test cannot set without touching its neighbours.
    fn read(data_dir: PathBuf, config_file: Option<&Path>, environment: Option<HashMap<String, String>>) -> Result<Self> {
        let file = match config_file {
            Some(named) => File::from(named).required(true),
            None => File::from(data_dir.join("rundown.toml")).required(false),
        };
        // Values of the environment stay text until a knob asks for a number: parsed here, the secret "007…" would lose its zeros.
        let environment = Environment::with_prefix("RUNDOWN")
            .prefix_separator("__")
            .separator("__")
            .source(environment);
        let mut config: Self = ::config::Config::builder()
            .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
            .add_source(file.format(FileFormat::Toml))
            .add_source(environment)
            .build()
            .and_then(::config::Config::try_deserialize)
            .context("the configuration cannot be used")?;
        config.data_dir = data_dir;
        config.auth.anchor_paths(&config.data_dir);
        config.audit.signing_key_file = config.audit.signing_key_file.map(|file| config.data_dir.join(file));
        config.observe.check()?;
        config.auth.check()?;
        config.database.check()?;
        config.jobs.check()?;
        config.events.check()?;
        config.webhooks.anchor_paths(&config.data_dir);
        config.webhooks.check()?;
        config.nats.anchor_paths(&config.data_dir);
        config.nats.check()?;
        Ok(config)
    }
}

/// `/var/lib/rundown` as root, because the unprivileged account that runs Postgres cannot pass through `/root`; else the user's
/// `$XDG_DATA_HOME/rundown` or `~/.local/share/rundown`.
pub fn default_data_dir() -> Result<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/rundown"));
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/share")))
        .map(|share| share.join("rundown"))
        .context("neither XDG_DATA_HOME nor HOME says where data belongs: name a place with --data-dir")
}

impl Server {
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds.get().into())
    }
}

impl Database {
    /// Connections in the pool: as configured, or four a core, at least 8 and at most 16.
    pub fn pool_size(&self) -> u32 {
        match self.max_connections {
            0 => available_parallelism()
                .map_or(0, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
                .saturating_mul(4)
                .clamp(8, 16),
            configured => configured,
        }
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.owner_url.is_none() || self.url.is_some(),
            "database.owner_url is set without database.url: the private cluster has its own owner"
        );
        Ok(())
    }
}

impl Jobs {
    /// Shorter, and a daemon that only waits for the disk would be taken for dead.
    const SHORTEST_LEASE_MS: u32 = 1_000;
    const LONGEST_LEASE_MS: u32 = 600_000;

    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms.get().into())
    }

    fn check(&self) -> Result<()> {
        let (shortest, longest) = (Self::SHORTEST_LEASE_MS, Self::LONGEST_LEASE_MS);
        ensure!(
            (shortest..=longest).contains(&self.lease_ms.get()),
            "jobs.lease_ms is not within {shortest} to {longest}"
        );
        Ok(())
    }
}

impl Events {
    const MOST_SUBSCRIBERS: usize = 50_000;
    /// Whatever stands between takes a quiet line for a dead one, usually after a minute.
    const LONGEST_HEARTBEAT_SECONDS: u32 = 300;
    /// With pauses of at most a minute: half an hour.
    const MOST_ATTEMPTS: u32 = 30;

    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds.get().into())
    }

    pub fn attempts(&self) -> i32 {
        i32::try_from(self.max_attempts.get()).unwrap_or(i32::MAX)
    }

    fn check(&self) -> Result<()> {
        let (subscribers, heartbeat, attempts) = (Self::MOST_SUBSCRIBERS, Self::LONGEST_HEARTBEAT_SECONDS, Self::MOST_ATTEMPTS);
        ensure!(self.subscribers <= subscribers, "events.subscribers is more than {subscribers}");
        ensure!(
            self.heartbeat_seconds.get() <= heartbeat,
            "events.heartbeat_seconds is more than {heartbeat}"
        );
        ensure!(self.max_attempts.get() <= attempts, "events.max_attempts is more than {attempts}");
        Ok(())
    }
}

impl Webhooks {
    /// A receiver takes the event and answers; it does its work afterwards. The daemon waits as long when it stops.
    const LONGEST_TIMEOUT_SECONDS: u32 = 20;
    const MOST_SLOTS: usize = 256;
    const LONGEST_FAILURE_DAYS: u32 = 365;

    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.get().into())
    }

    pub fn disable_after(&self) -> TimeDelta {
        TimeDelta::days(self.disable_after_days.get().into())
    }

    fn anchor_paths(&mut self, data_dir: &Path) {
        self.ca_file = self.ca_file.take().map(|file| data_dir.join(file));
    }

    fn check(&self) -> Result<()> {
        let (longest, most, days) = (Self::LONGEST_TIMEOUT_SECONDS, Self::MOST_SLOTS, Self::LONGEST_FAILURE_DAYS);
        ensure!(
            self.timeout_seconds.get() <= longest,
            "webhooks.timeout_seconds is more than {longest}"
        );
        ensure!(self.slots <= most, "webhooks.slots is more than {most}");
        ensure!(
            self.disable_after_days.get() <= days,
            "webhooks.disable_after_days is more than {days}"
        );
        Ok(())
    }
}

impl Nats {
    const MOST_REPLICAS: usize = 5;
    const LONGEST_KEPT_DAYS: u32 = 3660;

    /// None: for ever.
    pub fn keep(&self) -> Option<Duration> {
        (self.keep_days > 0).then(|| Duration::from_hours(24) * self.keep_days)
    }

    fn anchor_paths(&mut self, data_dir: &Path) {
        self.ca_file = self.ca_file.take().map(|file| data_dir.join(file));
        self.credentials_file = self.credentials_file.take().map(|file| data_dir.join(file));
    }

    fn check(&self) -> Result<()> {
        let is_name = |name: &str| {
            !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        ensure!(is_name(&self.stream), "nats.stream: 1 to 64 of A-Z, a-z, 0-9, _ and -");
        let (replicas, days) = (Self::MOST_REPLICAS, Self::LONGEST_KEPT_DAYS);
        ensure!(
            (1..=replicas).contains(&self.replicas),
            "nats.replicas is not within 1 to {replicas}"
        );
        ensure!(self.keep_days <= days, "nats.keep_days is more than {days}");
        ensure!(
            self.url.is_none() || cfg!(feature = "nats"),
            "nats.url is set, but this program was built without the feature `nats`"
        );
        Ok(())
    }
}

impl Audit {
    /// Where the key is; `cluster` is the root of the private one, where there is one.
    pub fn key_place(&self, cluster: Option<&Path>) -> SealKeyPlace {
        SealKeyPlace::of(self.signing_key_file.as_deref(), cluster)
    }
}

impl Observe {
    fn check(&self) -> Result<()> {
        let is_plain = |url: &String| url.strip_prefix("http://").is_some_and(|rest| !rest.is_empty());
        ensure!(
            self.otlp_url.as_ref().is_none_or(is_plain),
            "observe.otlp_url is http://host:port: spans go to a collector on this machine or its own network, which passes them on"
        );
        Ok(())
    }
}

impl Auth {
    /// What RFC 7518 §3.2 asks of an HS256 key: a shorter one can be guessed from any single token.
    pub const LEAST_SECRET_BYTES: usize = 32;
    const MOST_LEEWAY_SECONDS: u32 = 300;

    /// The same, as the module that opens the key files takes it.
    pub fn settings(&self) -> AuthSettings {
        AuthSettings {
            algorithm: self.algorithm,
            secret: self.secret.clone(),
            secret_file: self.secret_file.clone(),
            public_key_file: self.public_key_file.clone(),
            jwks_file: self.jwks_file.clone(),
            private_key_file: self.private_key_file.clone(),
            audience: self.audience.clone(),
            leeway_seconds: self.leeway_seconds,
        }
    }

    fn anchor_paths(&mut self, data_dir: &Path) {
        let files = [
            &mut self.secret_file,
            &mut self.public_key_file,
            &mut self.jwks_file,
            &mut self.private_key_file,
        ];
        for file in files.into_iter().flatten() {
            *file = data_dir.join(&*file);
        }
    }

    /// A key that the algorithm does not use is refused rather than ignored: whoever wrote it believes that it protects them.
    fn check(&self) -> Result<()> {
        let public = [self.public_key_file.is_some(), self.jwks_file.is_some()];
        let shared = [self.secret_file.is_some(), self.secret.is_some()];
        let algorithm = self.algorithm;
        match algorithm {
            Algorithm::HS256 => {
                ensure!(
                    shared != [true; 2],
                    "auth.secret and auth.secret_file are both set: which one counts?"
                );
                ensure!(
                    public == [false; 2],
                    "auth.public_key_file and auth.jwks_file do not go with auth.algorithm HS256"
                );
                ensure!(
                    self.private_key_file.is_none(),
                    "auth.private_key_file does not go with auth.algorithm HS256"
                );
            }
            Algorithm::ES256 | Algorithm::EdDSA | Algorithm::RS256 => {
                ensure!(
                    public[0] != public[1],
                    "auth.algorithm {algorithm} needs one of auth.public_key_file and auth.jwks_file"
                );
                ensure!(
                    shared == [false; 2],
                    "auth.secret and auth.secret_file do not go with auth.algorithm {algorithm}"
                );
                // The RSA code in reach leaks timing when it signs (RUSTSEC-2023-0071); verifying uses nothing secret.
                ensure!(
                    algorithm != Algorithm::RS256 || self.private_key_file.is_none(),
                    "auth.private_key_file does not go with RS256: such tokens are verified here, never issued"
                );
            }
        }
        let least = Self::LEAST_SECRET_BYTES;
        ensure!(
            self.secret.as_ref().is_none_or(|secret| secret.expose_secret().len() >= least),
            "auth.secret is shorter than {least} bytes"
        );
        let most = Self::MOST_LEEWAY_SECONDS;
        ensure!(
            self.leeway_seconds <= most,
            "auth.leeway_seconds is more than {most}: expired tokens would live on"
        );
        ensure!(
            !self.audience.is_empty(),
            "auth.audience is empty: a token meant for any other program would do"
        );
        Ok(())
    }
}

fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    Ok(text(deserializer)?.map(PathBuf::from))
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let address = text(deserializer)?.map(|text| text.parse());
    address.transpose().map_err(serde::de::Error::custom)
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(text(deserializer)?.map(SecretString::from))
}

/// An empty string is a knob not set: TOML has no null, and every knob has to stand in `default.toml`.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Some(String::deserialize(deserializer)?).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0000000000000000000000000000000000000007";

    fn with(environment: &[(&str, &str)]) -> Result<Config> {
        let environment = environment
            .iter()
            .map(|(key, value)| (format!("RUNDOWN__{key}"), (*value).to_owned()))
            .collect();
        Config::read(PathBuf::from("/nowhere"), None, Some(environment))
    }

    fn refusal(environment: &[(&str, &str)]) -> String {
        format!("{:#}", with(environment).expect_err("accepted"))
    }

    #[test]
    fn the_defaults_are_complete_and_need_nothing() {
        let config = with(&[]).unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.limits.body_bytes, 1024 * 1024);
        assert_eq!(config.limits.csv_bytes, 16 * 1024 * 1024);
        assert_eq!(config.auth.algorithm, Algorithm::HS256);
        assert!(config.database.url.is_none() && config.auth.secret_file.is_none());
        assert!((8..=16).contains(&config.database.pool_size()));
    }

    #[test]
    fn the_environment_overrides_the_file_and_the_file_the_default() {
        let dir = std::env::temp_dir().join(format!("rundown-config-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(
            dir.join("rundown.toml"),
            "[limits]\nburst = 7\nbody_bytes = 9\n[auth]\nsecret_file = \"key\"",
        )
        .unwrap();
        let environment = HashMap::from([("RUNDOWN__LIMITS__BURST".to_owned(), "8".to_owned())]);
        let config = Config::read(dir.clone(), None, Some(environment));
        std::fs::remove_dir_all(&dir).unwrap();
        let config = config.unwrap();
        assert_eq!((config.limits.burst.get(), config.limits.body_bytes), (8, 9));
        assert_eq!(config.limits.requests_per_second.get(), 200);
        assert_eq!(config.auth.secret_file.unwrap(), dir.join("key"));
    }

    #[test]
    fn an_unknown_key_is_refused_by_its_name() {
        assert!(refusal(&[("SERVER__LISTENN", "x")]).contains("listenn"));
        assert!(refusal(&[("SERVR__LISTEN", "x")]).contains("servr"));
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused_with_its_key() {
        assert!(refusal(&[("LIMITS__BURST", "many")]).contains("limits.burst"));
        assert!(refusal(&[("LIMITS__BURST", "0")]).contains("limits.burst"));
        assert!(refusal(&[("SERVER__LISTEN", "here")]).contains("server.listen"));
        assert!(refusal(&[("AUTH__ALGORITHM", "none")]).contains("none"));
    }

    #[test]
    fn a_named_file_has_to_exist() {
        let named = Path::new("/nowhere/named.toml");
        assert!(Config::read(PathBuf::from("/nowhere"), Some(named), Some(HashMap::new())).is_err());
    }

    #[test]
    fn a_secret_is_kept_to_the_letter_and_out_of_the_log() {
        let config = with(&[("AUTH__SECRET", SECRET), ("DATABASE__URL", "postgres://u:hunter2@h/d")]).unwrap();
        assert_eq!(config.auth.secret.as_ref().unwrap().expose_secret(), SECRET);
        let logged = format!("{config:?}");
        assert!(!logged.contains(SECRET) && !logged.contains("hunter2"), "{logged}");
    }

    #[test]
    fn keys_that_do_not_belong_to_the_algorithm_are_refused() {
        let es256 = ("AUTH__ALGORITHM", "ES256");
        assert!(refusal(&[("AUTH__PUBLIC_KEY_FILE", "k")]).contains("auth.public_key_file"));
        assert!(refusal(&[("AUTH__SECRET", SECRET), ("AUTH__SECRET_FILE", "k")]).contains("both"));
        assert!(refusal(&[("AUTH__SECRET", "short")]).contains("auth.secret"));
        assert!(refusal(&[es256]).contains("auth.jwks_file"));
        assert!(refusal(&[es256, ("AUTH__PUBLIC_KEY_FILE", "k"), ("AUTH__SECRET", SECRET)]).contains("auth.secret"));
        assert!(
            refusal(&[
                ("AUTH__ALGORITHM", "RS256"),
                ("AUTH__JWKS_FILE", "k"),
                ("AUTH__PRIVATE_KEY_FILE", "p")
            ])
            .contains("RS256")
        );
        assert!(with(&[es256, ("AUTH__JWKS_FILE", "k"), ("AUTH__PRIVATE_KEY_FILE", "p")]).is_ok());
    }

    #[test]
    fn an_owner_without_a_database_is_refused() {
        assert!(refusal(&[("DATABASE__OWNER_URL", "postgres://o@h/d")]).contains("database.owner_url"));
    }
}
