//! `rundown demo`: a whole casino day in a database that is gone afterwards. Carries its folder with it, so it works anywhere.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use clap::Args;
use secrecy::SecretString;
use workflows::gaming_day::gaming_day;
use workflows::word::SummaryStatus;

use super::play::{self, Hours, Outcome, Pace, Progress, ShiftLine};
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
    /// Play by the hours of the file, on a clock so many times faster than the world; the daemon opens and closes the shifts by itself.
    #[arg(long, value_name = "FACTOR", value_parser = clap::value_parser!(u32).range(1..=MAX_FACTOR))]
    time_lapse: Option<u32>,
    /// Keep the daemon running afterwards, to look around, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

/// A day in 24 seconds and what its acts take: the clock waits for them, so a faster one would save nothing.
const MAX_FACTOR: i64 = 3_600;
/// When the casino is founded, before the day of a time-lapse: the job that opens its first shift fires in between.
const EVE: TimeDelta = TimeDelta::minutes(30);
/// The day has more hours than a token, where it goes by a clock of its own.
const LAPSE_TTL: Duration = Duration::from_hours(72);

const NAME: &str = "casino-day";
const FILES: [(&str, &str); 6] = [
    ("casino.json", include_str!("../../examples/casino-day/casino.json")),
    ("staff.csv", include_str!("../../examples/casino-day/staff.csv")),
    ("par-sheet.csv", include_str!("../../examples/casino-day/par-sheet.csv")),
    ("drop-boxes.csv", include_str!("../../examples/casino-day/drop-boxes.csv")),
    ("day.jsonl", include_str!("../../examples/casino-day/day.jsonl")),
    ("telemetry.jsonl", include_str!("../../examples/casino-day/telemetry.jsonl")),
];

pub async fn run(args: &DemoArgs, config: Config) -> Result<ExitCode> {
    let begun = Instant::now();
    let folder = match &args.folder {
        Some(named) => Folder::read_with_telemetry(named)?,
        None => carried()?,
    };
    let config = apart(config);
    let course = Course::new(args, &folder);
    let (running, seeded, clock) = start(&config, &folder, &course).await?;
    let outcome = match played(&config, &running.url(), &folder, args.finalize, &course, clock).await {
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
    Ok(if is_sound(&outcome, args.finalize) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Nothing was refused, and the shifts came to what they had to come to.
fn is_sound(outcome: &Outcome, finalized: bool) -> bool {
    let proved = |shift: &ShiftLine| shift.rolled_up != Some(false) && (!finalized || shift.status == SummaryStatus::Ready);
    outcome.refused.is_empty() && outcome.shifts.iter().all(proved)
}

/// How the day goes: at once, or by the hour on a clock of its own.
struct Course {
    factor: Option<NonZeroU32>,
    today: NaiveDate,
}

impl Course {
    fn new(args: &DemoArgs, folder: &Folder) -> Self {
        Self {
            factor: args.time_lapse.and_then(NonZeroU32::new),
            today: gaming_day(Clock::System.now(), folder.casino.timezone, folder.casino.gaming_day_start),
        }
    }

    /// When the casino is founded.
    fn begins_at(&self, folder: &Folder) -> DateTime<Utc> {
        match self.factor {
            Some(_) => Hours::eve(folder, self.today, EVE),
            None => Clock::System.now(),
        }
    }

    /// A time-lapse is held on the eve until the play begins, and then goes as far as the play is.
    fn clock(&self, folder: &Folder) -> Clock {
        let Some(factor) = self.factor else {
            return Clock::System;
        };
        let eve = self.begins_at(folder);
        let clock = Clock::lapse(eve, factor);
        clock.go_until(Some(eve));
        clock
    }
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
    // Nothing of what is played may bear the real casino's seal.
    config.audit.signing_key_file = None;
    config.observe.metrics_listen = None;
    config
}

async fn start(config: &Config, folder: &Folder, course: &Course) -> Result<(Running, Seeded, Clock)> {
    let database = Database::throwaway(&config.database).await?;
    database.migrate_up().await?;
    let seeded = seed::seed(&database, folder, course.begins_at(folder)).await?;
    // Everything is there: the clock begins to go.
    let clock = course.clock(folder);
    Ok((daemon::start(config, clock.clone(), database).await?, seeded, clock))
}

async fn played(config: &Config, url: &str, folder: &Folder, finalize: bool, course: &Course, clock: Clock) -> Result<Outcome> {
    let issuer = Issuer::new(config)?.by(clock.clone());
    let (ttl, pace) = match course.factor {
        Some(_) => (LAPSE_TTL, Pace::ByTheHour(Hours::new(folder, course.today, clock))),
        None => (DEFAULT_TTL, Pace::AtOnce),
    };
    let tokens = |employee_no: &str| issuer.issue(&format!("{}:{employee_no}", folder.casino.name), ttl);
    play::play_at(folder, url, &tokens, finalize, Progress::Shown, pace).await
}

/// The carried folder, by way of the file system: one reader of folders is enough.
fn carried() -> Result<Folder> {
    let scratch = env::temp_dir().join(format!("rundown-demo-{}-{}", process::id(), new_id()));
    let folder = unpack(&scratch.join(NAME)).and_then(|path| Ok(Folder::read_with_telemetry(&path)?));
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
