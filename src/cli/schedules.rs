//! `rundown schedules`: what fires when, and how the last run of each ended.

use std::process::ExitCode;

use anyhow::Result;
use chrono::{DateTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use clap::Args;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{ContentArrangement, Table};
use serde::Deserialize;
use workflows::record::Schedule;
use workflows::word::RunStatus;

use super::{say, token, with_database};
use crate::config::Config;
use crate::database::Database;

/// List the schedules with their next firings and their last runs.
#[derive(Clone, Debug, Args)]
pub struct SchedulesArgs {
    /// Only this casino's.
    #[arg(long, value_name = "NAME")]
    casino: Option<String>,
}

pub async fn run(args: &SchedulesArgs, config: &Config) -> Result<ExitCode> {
    let known = with_database(config, async |database| find(database, args.casino.as_deref()).await).await?;
    if known.is_empty() {
        eprintln!("There is no schedule yet: POST /api/v1/schedules makes one.");
    } else {
        say(table(&known));
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Deserialize)]
struct Known {
    casino: String,
    #[serde(flatten)]
    schedule: Schedule,
    last: Option<Last>,
}

#[derive(Deserialize)]
struct Last {
    fire_at: DateTime<Utc>,
    status: RunStatus,
    error: Option<String>,
}

const KNOWN: &str = "
    SELECT COALESCE(jsonb_agg(to_jsonb(s) || jsonb_build_object('casino', $1->>1, 'last', (
               SELECT jsonb_build_object('fire_at', r.fire_at, 'status', r.status, 'error', r.error) FROM job_run AS r
                WHERE r.schedule_id = s.id AND r.status <> 'queued' ORDER BY r.id DESC LIMIT 1)) ORDER BY s.name), '[]') AS json
      FROM schedule AS s WHERE s.casino_id = ($1->>0)::uuid";

async fn find(database: &Database, casino: Option<&str>) -> Result<Vec<Known>> {
    let owner = database.owner().await?;
    let errand = owner.begin().await?;
    let mut known: Vec<Known> = Vec::new();
    for casino in token::casinos(&errand, casino).await? {
        errand.stand_in(casino.id).await?;
        known.extend(errand.json::<Vec<Known>>(KNOWN, &(casino.id, &casino.name)).await?);
    }
    errand.commit().await?;
    owner.close().await?;
    Ok(known)
}

fn table(known: &[Known]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["casino", "schedule", "job", "cron", "zone", "next firing", "last run"]);
    for Known { casino, schedule, last } in known {
        table.add_row([
            casino.clone(),
            schedule.name.clone(),
            schedule.job_kind.to_string(),
            schedule.cron.clone(),
            schedule.timezone.clone(),
            next(schedule),
            last.as_ref().map(|last| last.told(&schedule.timezone)).unwrap_or_default(),
        ]);
    }
    table
}

fn next(schedule: &Schedule) -> String {
    match schedule.next_fire_at {
        _ if !schedule.enabled => "paused".to_owned(),
        Some(next) => local(next, &schedule.timezone),
        None => "none".to_owned(),
    }
}

impl Last {
    fn told(&self, zone: &str) -> String {
        let why = self.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        format!("{} {}{why}", local(self.fire_at, zone), self.status)
    }
}

/// As the schedule's wall clock shows it.
fn local(at: DateTime<Utc>, zone: &str) -> String {
    let zone: Tz = zone.parse().unwrap_or(Tz::UTC);
    zone.from_utc_datetime(&at.naive_utc()).format("%Y-%m-%d %H:%M:%S %Z").to_string()
}
