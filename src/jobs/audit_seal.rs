//! Seals the audit rows that wait for it, batch by batch, until none is left. A batch is one transaction under the lease: its rows leave the
//! queue with the seal or stay in it, so an attempt that is cut off leaves nothing half sealed and no row is sealed twice.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use workflows::case::Context;
use workflows::seal;

use super::Job;
use crate::auth::seal_key::SealKey;
use crate::engine::Upkeep;
use crate::error::Error;
use crate::observe::metrics;
use crate::store::Tx;

/// Rows under one seal: read, hashed and written in some milliseconds, and few enough that a changed one is soon found among them.
const BATCH: i32 = 500;

pub(super) async fn run(job: &Job<'_>) -> Result<Value> {
    let key = job.engine.seal_key().context(SealKey::MISSING)?;
    let mut sealed = Sealed {
        seals: 0,
        rows: 0,
        done: job.done,
        last: None,
    };
    loop {
        let before = sealed.seals;
        sealed = job.upkeep(&Batch { key, before: sealed }).await?;
        if sealed.seals == before {
            return Ok(json!({ "seals": sealed.seals, "rows": sealed.rows, "last_seal": sealed.last, "key": key.id() }));
        }
    }
}

struct Batch<'a> {
    key: &'a SealKey,
    before: Sealed,
}

#[derive(Clone, Copy)]
struct Sealed {
    seals: u32,
    rows: i64,
    /// With what earlier attempts have done.
    done: i64,
    last: Option<i64>,
}

impl Upkeep for Batch<'_> {
    type Done = Sealed;

    async fn tend(&self, tx: &Tx, context: &Context) -> Result<Sealed, Error> {
        let waiting = tx.to_seal(context, BATCH).await?;
        let previous = waiting.previous.unwrap_or_else(seal::Link::origin);
        let Some((seal, leaves)) = seal::seal(&previous, context.casino.id, &waiting.rows, self.key.signing(), context.at) else {
            return Ok(self.before);
        };
        tx.put_seal(&seal, &leaves).await?;
        metrics::sealed(leaves.len());
        Ok(Sealed {
            seals: self.before.seals + 1,
            rows: self.before.rows + seal.row_count,
            done: self.before.done + seal.row_count,
            last: Some(seal.seal_no),
        })
    }

    fn how_far(&self, sealed: &Sealed) -> (i64, i64) {
        (sealed.done, sealed.done)
    }
}
