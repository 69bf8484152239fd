//! `rundown demo`: a whole casino day in a database that is gone afterwards. Carries its folder with it, so it works anywhere.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use secrecy::SecretString;

use super::play::{self, Outcome, Progress};
use super::say;
use super::seed::{self, Seeded};
use super::serve::welcome;
use super::token::{DEFAULT_TTL, Issuer};
use crate::auth::Algorithm;
use crate::casino_folder::Folder;
use crate::clock::{Clock, new_id};
use crate::config::{Auth, Config};
use crate::daemon::{self, Running, Signals};
use crate::database::Database;

/// Play a whole casino day in a throwaway database, and show what came of it.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Another day than the one the program carries.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// At the end compliance resolves every exception and finalizes every session.
    #[arg(long)]
    finalize: bool,
    /// Keep the daemon running afterwards, to look around, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

const NAME: &str = "casino-day";
const FILES: [(&str, &str); 5] = [
    ("casino.json", include_str!("../../examples/casino-day/casino.json")),
    ("staff.csv", include_str!("../../examples/casino-day/staff.csv")),
    ("par-sheet.csv", include_str!("../../examples/casino-day/par-sheet.csv")),
    ("drop-boxes.csv", include_str!("../../examples/casino-day/drop-boxes.csv")),
    ("day.jsonl", include_str!("../../examples/casino-day/day.jsonl")),
];

pub async fn run(args: &DemoArgs, config: Config) -> Result<ExitCode> {
    let begun = Instant::now();
    let folder = match &args.folder {
        Some(named) => Folder::read(named)?,
        None => carried()?,
    };
    let config = apart(config);
    let (running, seeded) = start(&config, &folder).await?;
    let outcome = match played(&config, &running, &folder, args.finalize).await {
        Ok(outcome) => outcome,
        Err(broken_off) => {
            running.stop().await?;
            return Err(broken_off);
        }
    };
    if args.keep {
        // Up to here Ctrl-C ends everything at once, from here on in good order; either way nothing is left behind.
        let mut signals = Signals::catch()?;
        report(&outcome, begun.elapsed());
        welcome(&config, &running, &folder, &seeded);
        signals.received().await;
        running.stop().await?;
    } else {
        running.stop().await?;
        report(&outcome, begun.elapsed());
    }
    Ok(if outcome.refused.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn report(outcome: &Outcome, total: Duration) {
    let (seconds, tenths) = (total.as_secs(), total.subsec_millis() / 100);
    say(format_args!(
        "{outcome}\nTotal:      {seconds}.{tenths} s, from an empty directory: cluster, schema, casino, daemon, day"
    ));
}

/// Nothing of a demonstration touches the real daemon: its own port, its own key, its own database.
fn apart(config: Config) -> Config {
    let secret = format!("{}{}", new_id(), rand::random::<u128>());
    let auth = Auth {
        algorithm: Algorithm::HS256,
        secret: Some(SecretString::from(secret)),
        secret_file: None,
        public_key_file: None,
        jwks_file: None,
        private_key_file: None,
        ..config.auth
    };
    let mut config = Config { auth, ..config };
    config.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config
}

async fn start(config: &Config, folder: &Folder) -> Result<(Running, Seeded)> {
    let database = Database::throwaway(&config.database).await?;
    database.migrate_up().await?;
    let seeded = seed::seed(&database, folder, Clock::System.now()).await?;
    Ok((daemon::start(config, Clock::System, database).await?, seeded))
}

async fn played(config: &Config, running: &Running, folder: &Folder, finalize: bool) -> Result<Outcome> {
    let issuer = Issuer::new(config)?;
    let tokens = |employee_no: &str| issuer.issue(&format!("{}:{employee_no}", folder.casino.name), DEFAULT_TTL);
    play::play(folder, &running.url(), &tokens, finalize, Progress::Shown).await
}

/// The carried folder, by way of the file system: one reader of folders is enough.
fn carried() -> Result<Folder> {
    let scratch = env::temp_dir().join(format!("rundown-demo-{}-{}", process::id(), new_id()));
    let folder = unpack(&scratch.join(NAME)).and_then(|path| Ok(Folder::read(&path)?));
    fs::remove_dir_all(&scratch).ok();
    folder
}

fn unpack(folder: &Path) -> Result<PathBuf> {
    let named = || format!("cannot write {}", folder.display());
    fs::create_dir_all(folder).with_context(named)?;
    for (name, text) in FILES {
        fs::write(folder.join(name), text).with_context(named)?;
    }
    Ok(folder.to_owned())
}
