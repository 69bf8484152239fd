//! `rundown migrate`: the schema up, down, or told.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};

use super::{say, with_database};
use crate::config::Config;
use crate::database::Database;

/// Bring the schema up to date, take it back, or show where it stands.
#[derive(Clone, Debug, Args)]
pub struct MigrateArgs {
    #[command(subcommand)]
    direction: Option<Direction>,
}

#[derive(Clone, Debug, Subcommand)]
enum Direction {
    /// Apply every pending migration (the default).
    Up,
    /// Take back the last migration, with every row in what it made.
    Down {
        /// Take back so many.
        #[arg(long, value_name = "N", default_value_t = 1)]
        steps: u32,
        /// Take back all: nothing is left.
        #[arg(long, conflicts_with = "steps")]
        all: bool,
        /// Yes, the rows may be lost.
        #[arg(long)]
        yes: bool,
    },
    /// Show what is applied and what is pending.
    Status,
}

pub async fn run(args: &MigrateArgs, config: &Config) -> Result<ExitCode> {
    let direction = args.direction.clone().unwrap_or(Direction::Up);
    if let Direction::Down { yes, .. } = direction {
        ensure!(yes, "rows are lost with the tables that go: say --yes if they may be");
    }
    let lines = with_database(config, async |database| go(&direction, database).await).await?;
    say(if lines.is_empty() {
        "nothing to do".to_owned()
    } else {
        lines.join("\n")
    });
    Ok(ExitCode::SUCCESS)
}

async fn go(direction: &Direction, database: &Database) -> Result<Vec<String>> {
    let said = |names: Vec<String>, what| names.into_iter().map(|name| format!("{name} {what}")).collect::<Vec<_>>();
    Ok(match direction {
        Direction::Up => said(database.migrate_up().await?, "applied"),
        Direction::Down { steps, all, .. } => said(database.migrate_down((!all).then_some(*steps)).await?, "taken back"),
        Direction::Status => {
            let migrations = database.migrations().await?;
            let mut lines = said(migrations.applied, "applied");
            lines.extend(said(migrations.pending, "pending"));
            lines
        }
    })
}
