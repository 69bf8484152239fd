//! `rundown jobs run NAME`: asks for a run of a schedule, and tells what comes of it. The daemon runs it; this command only waits.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;
use workflows::record::JobRun;
use workflows::word::RunStatus;

use super::{say, seed, token, with_database};
use crate::clock::{Clock, new_id};
use crate::config::Config;
use crate::database::{Database, Owner};

/// How often the run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A daemon that is at work takes a run within a second or two, unless all its slots are taken.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// Run a scheduled job now.
#[derive(Clone, Debug, Args)]
pub struct JobsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Ask for a run of a schedule, paused or not, and wait for its end.
    Run {
        /// The schedule's name.
        name: String,
        /// The casino's name; needed where several casinos have a schedule of that name.
        #[arg(long, value_name = "NAME")]
        casino: Option<String>,
        /// Only ask for it.
        #[arg(long)]
        no_wait: bool,
    },
}

pub async fn run(args: &JobsArgs, config: &Config) -> Result<ExitCode> {
    let What::Run { name, casino, no_wait } = &args.what;
    let run = with_database(config, async |database| {
        let (casino, asked) = ask(database, name, casino.as_deref()).await?;
        if *no_wait { Ok(asked) } else { wait(database, casino, asked).await }
    });
    Ok(tell(&run.await?))
}

#[derive(Deserialize)]
struct Found {
    casino_id: Uuid,
    casino: String,
    schedule_id: Uuid,
}

const FOUND: &str = "
    SELECT COALESCE(jsonb_agg(jsonb_build_object('casino_id', s.casino_id, 'casino', $1->>1, 'schedule_id', s.id)), '[]') AS json
      FROM schedule AS s WHERE s.casino_id = ($1->>0)::uuid AND s.name = $1->>2";

const ASK: &str = "SELECT clock_ask(($1->>0)::uuid, ($1->>1)::uuid, ($1->>2)::uuid, NULL, ($1->>3)::timestamptz) AS json";

const READ: &str = "SELECT (SELECT to_jsonb(r) FROM job_run AS r WHERE r.casino_id = ($1->>0)::uuid AND r.id = ($1->>1)::uuid) AS json";

async fn ask(database: &Database, name: &str, casino: Option<&str>) -> Result<(Uuid, JobRun)> {
    let owner = database.owner().await?;
    let errand = owner.begin().await?;
    let mut found: Vec<Found> = Vec::new();
    for casino in token::casinos(&errand, casino).await? {
        errand.stand_in(casino.id).await?;
        found.extend(errand.json::<Vec<Found>>(FOUND, &(casino.id, &casino.name, name)).await?);
    }
    let several = found
        .iter()
        .map(|found| format!("{:?}", found.casino))
        .collect::<Vec<_>>()
        .join(", ");
    ensure!(found.len() < 2, "{name:?} is a schedule at {several}: choose with --casino");
    let Some(found) = found.pop() else {
        bail!("there is no schedule {name:?} (`rundown schedules` lists them)");
    };
    errand.stand_in(found.casino_id).await?;
    let now = Clock::System.now();
    let asked: Option<JobRun> = errand.json(ASK, &(found.casino_id, found.schedule_id, new_id(), now)).await?;
    let asked = asked.context("the schedule is gone")?;
    let after = json!({ "schedule": name, "job_run": asked.id });
    seed::audit(&errand, found.casino_id, "run_job", after, now).await?;
    errand.commit().await?;
    owner.close().await?;
    Ok((found.casino_id, asked))
}

/// Until the run has ended, or until it is plain that no daemon takes it.
async fn wait(database: &Database, casino: Uuid, mut run: JobRun) -> Result<JobRun> {
    let owner = database.owner().await?;
    let asked = Instant::now();
    while run.status.is_unfinished() && (run.status != RunStatus::Queued || asked.elapsed() < TAKEN_WITHIN) {
        tokio::time::sleep(LOOK_EVERY).await;
        let seen = look(&owner, casino, run.id).await?;
        if (seen.status, seen.done, seen.total) != (run.status, run.done, run.total) {
            eprintln!("{} {}", seen.status, far(&seen));
        }
        run = seen;
    }
    owner.close().await?;
    Ok(run)
}

async fn look(owner: &Owner, casino: Uuid, run: Uuid) -> Result<JobRun> {
    let errand = owner.begin().await?;
    errand.stand_in(casino).await?;
    let seen: Option<JobRun> = errand.json(READ, &(casino, run)).await?;
    errand.commit().await?;
    seen.context("the run is gone")
}

fn far(run: &JobRun) -> String {
    let why = run.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    match (run.done, run.total) {
        (0, 0) => why,
        (done, total) => format!("{done}/{total}{why}"),
    }
}

fn tell(run: &JobRun) -> ExitCode {
    let id = run.id;
    match run.status {
        RunStatus::Succeeded => say(run.outcome.clone().unwrap_or_default()),
        RunStatus::Dead => {
            eprintln!("rundown: the run {id} is dead: {}", run.error.as_deref().unwrap_or_default());
            return ExitCode::FAILURE;
        }
        RunStatus::Queued => eprintln!("The run {id} waits: a daemon takes it as soon as one is at work and has a slot free."),
        RunStatus::Running | RunStatus::Retrying | RunStatus::Skipped => eprintln!("The run {id} is {}.", run.status),
    }
    ExitCode::SUCCESS
}
