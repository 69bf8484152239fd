//! `rundown backfill telemetry`: rated buy-ins that finance wrote while there was no bridge.
//!
//! The owner's errand, casino by casino, in the context of the casino's own principal: the rows it writes keep the actor, the time and the
//! key that the bridge would have given them. Each batch is a transaction of its own, so it runs beside live writes and can be broken off
//! and run again; whatever is there already is skipped.

use std::fmt::{self, Display};
use std::ops::AddAssign;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{say, seed, token, with_database};
use crate::clock::Clock;
use crate::config::Config;
use crate::database::{Database, Errand, Owner};

/// Transactions of finance looked at in one batch: long enough to be quick, short enough that nobody waits behind it.
const BATCH: i32 = 500;

/// Write what should have been written.
#[derive(Clone, Debug, Args)]
pub struct BackfillArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Rated buy-ins out of finance: the same keys and times as the bridge's, nothing twice, however often it is run.
    Telemetry {
        /// Only this casino; else all of them.
        #[arg(long, value_name = "NAME")]
        casino: Option<String>,
    },
}

/// What became of finance's transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Filled {
    /// Written now.
    pub inserted: u64,
    /// There already.
    pub skipped: u64,
    /// No buy-in of a rated player: paid out, or without a rating slip.
    pub ineligible: u64,
}

pub async fn run(args: &BackfillArgs, config: &Config) -> Result<ExitCode> {
    let What::Telemetry { casino } = &args.what;
    let filled = with_database(config, async |database| {
        telemetry(database, casino.as_deref(), ProgressBar::new(0)).await
    });
    for (casino, filled) in filled.await? {
        say(format_args!("{casino}: {filled}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Fills in one casino, or all: what came of each, by name.
pub async fn telemetry(database: &Database, casino: Option<&str>, bar: ProgressBar) -> Result<Vec<(String, Filled)>> {
    let owner = database.owner().await?;
    let errand = owner.begin().await?;
    let casinos = token::casinos(&errand, casino).await?;
    let mut total = 0;
    for casino in &casinos {
        stand_in(&errand, casino.id).await?;
        total += errand.json::<u64>(COUNTED, &casino.id).await?;
    }
    errand.commit().await?;
    let bar = styled(bar, total);
    let mut filled = Vec::with_capacity(casinos.len());
    for casino in casinos {
        bar.set_message(casino.name.clone());
        let of_one = fill(&owner, casino.id, &bar).await?;
        filled.push((casino.name, of_one));
    }
    bar.finish_and_clear();
    owner.close().await?;
    Ok(filled)
}

#[derive(Deserialize)]
struct Batch {
    /// Where the next batch begins; none when there is nothing left.
    last: Option<Uuid>,
    #[serde(flatten)]
    filled: Filled,
}

const COUNTED: &str = "SELECT to_jsonb(count(*)) AS json FROM player_financial_transaction WHERE casino_id = ($1#>>'{}')::uuid";

const FILL: &str = "SELECT backfill_buyins(($1->>0)::uuid, ($1->>1)::int) AS json";

/// The whole tenant context, not only the casino: the bridge refuses to write without an actor (guardrail G1).
const CONTEXT: &str = "
    SELECT to_jsonb(set_rls_context_from_staff(s.id)::text) AS json
      FROM staff AS s WHERE s.casino_id = ($1#>>'{}')::uuid AND s.role = 'system' AND s.status = 'active'";

async fn stand_in(errand: &Errand, casino: Uuid) -> Result<()> {
    errand.stand_in(casino).await?;
    let stood: Result<Value> = errand.json(CONTEXT, &casino).await;
    stood
        .map(drop)
        .context("the casino has no principal of its own to fill in its telemetry")
}

/// Batch by batch to the end of what there is. Transactions written meanwhile come over the bridge by themselves.
async fn fill(owner: &Owner, casino: Uuid, bar: &ProgressBar) -> Result<Filled> {
    let mut filled = Filled::default();
    let mut after = None;
    loop {
        let errand = owner.begin().await?;
        stand_in(&errand, casino).await?;
        let batch: Batch = errand.json(FILL, &(after, BATCH)).await?;
        let Some(last) = batch.last else {
            return told(errand, casino, filled).await;
        };
        errand.commit().await?;
        ensure!(after.is_none_or(|after| after < last), "the batches do not get on");
        after = Some(last);
        filled += batch.filled;
        bar.inc(batch.filled.looked_at());
    }
}

/// What was written stands in the casino's own book; a run that found everything done leaves no trace.
async fn told(errand: Errand, casino: Uuid, filled: Filled) -> Result<Filled> {
    if filled.inserted > 0 {
        let after = json!({ "inserted": filled.inserted, "skipped": filled.skipped, "ineligible": filled.ineligible });
        seed::audit(&errand, casino, "backfill_telemetry", after, Clock::System.now()).await?;
        errand.commit().await?;
    }
    Ok(filled)
}

fn styled(bar: ProgressBar, total: u64) -> ProgressBar {
    bar.set_length(total);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} {wide_msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

impl Filled {
    const fn looked_at(self) -> u64 {
        self.inserted + self.skipped + self.ineligible
    }
}

impl AddAssign for Filled {
    fn add_assign(&mut self, more: Self) {
        self.inserted += more.inserted;
        self.skipped += more.skipped;
        self.ineligible += more.ineligible;
    }
}

impl Display for Filled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            inserted,
            skipped,
            ineligible,
        } = self;
        write!(formatter, "{inserted} inserted, {skipped} skipped, {ineligible} ineligible")
    }
}
