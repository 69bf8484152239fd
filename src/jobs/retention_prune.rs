//! Deletes what has outlived its use: answers remembered under an `Idempotency-Key` (24 hours, api.md), runs that ended well, the log of
//! deliveries to webhooks, and events that were published long ago.

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};
use workflows::case::Context;

use super::Job;
use crate::engine::Upkeep;
use crate::error::Error;
use crate::store::Tx;
use crate::store::prune::Outlived;

/// How long an answer is remembered.
const KEYS_KEPT: TimeDelta = TimeDelta::hours(24);
/// How long a run that ended well is kept, in days, unless the schedule says otherwise. A dead one stays until somebody has looked at it.
const RUNS_KEPT_DAYS: u32 = 90;
/// How long an attempt to deliver is kept, in days, unless the schedule says otherwise.
const DELIVERIES_KEPT_DAYS: u32 = 30;
/// How long a published event is kept, in days, unless the schedule says otherwise; 0 there: for good.
const EVENTS_KEPT_DAYS: u32 = 90;
/// Rows deleted in one transaction: a few milliseconds' work, so that no command waits for it.
const BATCH: i64 = 500;

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "keep_runs_days")]
    runs: Option<u32>,
    #[serde(rename = "keep_deliveries_days")]
    deliveries: Option<u32>,
    #[serde(rename = "keep_events_days")]
    events: Option<u32>,
}

pub(super) async fn run(job: &Job<'_>) -> anyhow::Result<Value> {
    let params = Params::deserialize(job.params)?;
    let now = job.clock.now();
    let ago = |days: u32| now - TimeDelta::days(days.into());
    let outlived = Outlived {
        keys_before: now - KEYS_KEPT,
        runs_before: ago(params.runs.unwrap_or(RUNS_KEPT_DAYS)),
        deliveries_before: ago(params.deliveries.unwrap_or(DELIVERIES_KEPT_DAYS)),
        events_before: Some(params.events.unwrap_or(EVENTS_KEPT_DAYS)).filter(|days| *days > 0).map(ago),
    };
    let mut gone = Gone {
        now: 0,
        done: job.done,
        total: None,
    };
    loop {
        // Each batch is counted in its own transaction: an attempt that was cut off leaves no row uncounted, and none is counted twice.
        gone = job.upkeep(&Batch { outlived, before: gone }).await?;
        if gone.now == 0 {
            return Ok(json!({
                "removed": gone.done, "keys_before": outlived.keys_before, "runs_before": outlived.runs_before,
                "deliveries_before": outlived.deliveries_before, "events_before": outlived.events_before,
            }));
        }
    }
}

struct Batch {
    outlived: Outlived,
    before: Gone,
}

#[derive(Clone, Copy)]
struct Gone {
    /// In this batch; 0 where nothing is left.
    now: i64,
    done: i64,
    /// Counted once, by the first batch.
    total: Option<i64>,
}

impl Upkeep for Batch {
    type Done = Gone;

    async fn tend(&self, tx: &Tx, context: &Context) -> Result<Gone, Error> {
        let total = match self.before.total {
            Some(total) => total,
            None => self.before.done + tx.left_to_prune(context, self.outlived).await?,
        };
        let now = tx.prune(context, self.outlived, BATCH).await?;
        let done = self.before.done + now;
        Ok(Gone {
            now,
            done,
            total: Some(total.max(done)),
        })
    }

    fn how_far(&self, gone: &Gone) -> (i64, i64) {
        (gone.done, gone.total.unwrap_or(gone.done))
    }
}
