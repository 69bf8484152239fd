//! Brings the stored rollups up to date: drains the marks that facts have left, batch by batch, until none is left.
//!
//! A batch takes its marks, writes its cells and tells of them in one transaction. An attempt that is cut off leaves the rest of the queue to
//! the next, and no cell is told twice; so the lease is looked at between batches and no more is needed.

use serde_json::{Value, json};

use super::Job;

/// Marks a transaction answers: many facts of one cell are one cell's work, and as many cells as this are done in a second or two.
const BATCH: u32 = 500;
/// A floor that marks faster than this drains has something else to be told; the next firing goes on where this one ends.
const MOST_BATCHES: usize = 10_000;

pub(super) async fn run(job: &Job<'_>) -> anyhow::Result<Value> {
    let envelope = job.envelope(None);
    let before = usize::try_from(job.done).unwrap_or(0);
    let waiting = job.engine.rollup_marks(&envelope).await?;
    let (mut marks, mut cells) = (0, 0);
    for _ in 0..MOST_BATCHES {
        let drained = job.engine.drain_rollups(&envelope, BATCH).await?;
        marks += drained.marks;
        cells += drained.cells;
        job.progress(before + marks, before + waiting.max(marks)).await?;
        if drained.marks == 0 {
            break;
        }
    }
    Ok(json!({ "marks": marks, "cells": cells }))
}
