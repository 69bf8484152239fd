//! `rundown outbox`: dead letters, listed and sent back, also where no daemon runs.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{ContentArrangement, Table};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{say, seed, token, with_database};
use crate::clock::Clock;
use crate::config::Config;
use crate::database::Database;
use crate::store::setup::DeadLetter;

/// Look after events that could not be published.
#[derive(Clone, Debug, Args)]
pub struct OutboxArgs {
    #[command(subcommand)]
    what: What,
    /// Only this casino's.
    #[arg(long, global = true, value_name = "NAME")]
    casino: Option<String>,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// List dead letters with what was wrong.
    Dead,
    /// Send a dead letter back; a daemon tries it again.
    Redrive {
        /// Its id, as `dead` tells it.
        id: Uuid,
    },
}

pub async fn run(args: &OutboxArgs, config: &Config) -> Result<ExitCode> {
    let casino = args.casino.as_deref();
    match &args.what {
        What::Dead => {
            let dead = with_database(config, async |database| dead(database, casino).await).await?;
            if dead.is_empty() {
                eprintln!("There is no dead letter.");
            } else {
                say(table(&dead));
            }
        }
        What::Redrive { id } => {
            with_database(config, async |database| redrive(database, casino, *id).await).await?;
            eprintln!("The event {id} waits to be published again: a daemon that is at work takes it at once.");
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Deserialize)]
struct Known {
    casino: String,
    #[serde(flatten)]
    letter: DeadLetter,
}

/// More are listed by the API, a page at a time.
const DEAD: &str = "
    SELECT COALESCE(jsonb_agg(dead.row), '[]') AS json FROM (
        SELECT to_jsonb(o) || jsonb_build_object('casino', $1->>1) AS row FROM outbox AS o
         WHERE o.casino_id = ($1->>0)::uuid AND o.dead_at IS NOT NULL ORDER BY o.id LIMIT 1000) AS dead";

const REDRIVE: &str = "SELECT relay_redrive(($1->>0)::uuid) AS json";

async fn dead(database: &Database, casino: Option<&str>) -> Result<Vec<Known>> {
    let owner = database.owner().await?;
    let errand = owner.begin().await?;
    let mut known: Vec<Known> = Vec::new();
    for casino in token::casinos(&errand, casino).await? {
        errand.stand_in(casino.id).await?;
        known.extend(errand.json::<Vec<Known>>(DEAD, &(casino.id, &casino.name)).await?);
    }
    errand.commit().await?;
    owner.close().await?;
    Ok(known)
}

async fn redrive(database: &Database, casino: Option<&str>, id: Uuid) -> Result<()> {
    let owner = database.owner().await?;
    let errand = owner.begin().await?;
    for casino in token::casinos(&errand, casino).await? {
        errand.stand_in(casino.id).await?;
        let sent: Option<Value> = errand.json(REDRIVE, &[id]).await?;
        if sent.is_some() {
            seed::audit(&errand, casino.id, "redrive_event", json!({ "outbox": id }), Clock::System.now()).await?;
            errand.commit().await?;
            owner.close().await?;
            return Ok(());
        }
    }
    bail!("there is no dead letter {id} (`rundown outbox dead` lists them)")
}

fn table(dead: &[Known]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["casino", "id", "event", "written", "attempts", "what is wrong"]);
    for Known { casino, letter } in dead {
        table.add_row([
            casino.clone(),
            letter.id.to_string(),
            letter.event.clone(),
            letter.created_at.to_rfc3339(),
            letter.attempts.to_string(),
            letter.last_error.clone().unwrap_or_default(),
        ]);
    }
    table
}
