//! Computes every rollup from nothing but the facts, gaming day by gaming day, and compares with what is stored. There must be no
//! difference: one is an alert, with the cell, what it should say and what it says. Nothing is mended here, because a difference is either a
//! fact that was not marked or a cell that something else has written, and both want to be looked at.

use serde_json::{Value, json};
use workflows::rollup::Difference;

use super::Job;
use crate::observe::metrics;

/// Marks a transaction of the drain before the comparison answers.
const BATCH: u32 = 500;
/// Drains before the comparison: what is marked later is left out of it, so a busy floor does not keep it from beginning.
const MOST_BATCHES: usize = 1_000;
/// Differences told one by one; a broken index would make thousands, and the first ones say enough.
const MOST_TOLD: usize = 100;

pub(super) async fn run(job: &Job<'_>) -> anyhow::Result<Value> {
    let envelope = job.envelope(None);
    for _ in 0..MOST_BATCHES {
        if job.engine.drain_rollups(&envelope, BATCH).await?.marks == 0 {
            break;
        }
    }
    let days = job.engine.rollup_days(&envelope).await?;
    let (mut cells, mut drifted, mut told) = (0, 0, Vec::new());
    job.progress(0, days.len()).await?;
    for (done, day) in days.iter().enumerate() {
        let verified = job.engine.verify_rollups(&envelope, *day).await?;
        cells += verified.cells;
        drifted += verified.differences.len();
        let room = MOST_TOLD.saturating_sub(told.len());
        told.extend(
            verified
                .differences
                .into_iter()
                .take(room)
                .inspect(|difference| alert(job, difference)),
        );
        job.progress(done + 1, days.len()).await?;
    }
    if drifted > 0 {
        metrics::rollups_drifted(drifted);
        tracing::error!(casino_id = %job.casino_id, rollup_drift = drifted, "rollups do not say what the facts say");
    }
    Ok(json!({ "days": days.len(), "cells": cells, "drifted": drifted, "differences": told }))
}

fn alert(job: &Job<'_>, difference: &Difference) {
    let Difference { cell, expected, found } = difference;
    tracing::error!(casino_id = %job.casino_id, %cell, %expected, %found, "a rollup does not say what the facts say");
}
