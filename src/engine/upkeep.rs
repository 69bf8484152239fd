//! What a job does in a casino's name beside commands: rows that no law decides, such as rollups, or keys past their time.
//!
//! The lease is part of the transaction. A daemon that was thought dead and comes back in the middle of a batch keeps nothing of it, so
//! whoever took the run over counts every effect once.

use workflows::act;
use workflows::case::Context;

use super::{Engine, Envelope, desk, may};
use crate::error::Error;
use crate::store::Tx;
use crate::store::clockwork::Lease;
use crate::store::desk::Ask;

/// One batch of such work.
pub trait Upkeep: Sync {
    type Done: Send + Sync;

    fn tend(&self, tx: &Tx, context: &Context) -> impl Future<Output = Result<Self::Done, Error>> + Send;

    /// How far the run is with it: done, out of how many.
    fn how_far(&self, done: &Self::Done) -> (i64, i64);
}

impl Engine {
    /// One transaction: tenant context → work → how far the run is, under its lease → commit. None: the lease is lost, and nothing was kept.
    pub async fn upkeep<U: Upkeep>(&self, envelope: &Envelope, lease: &Lease, upkeep: &U) -> Result<Option<U::Done>, Error> {
        let tx = self.db.begin().await?;
        let opened = self.open(&tx, envelope, &Ask::default(), false).await?;
        may(envelope, &opened, act::RUN_JOBS)?;
        let context = desk::context(opened.caller, opened.casino, self.clock.now())?;
        let done = upkeep.tend(&tx, &context).await?;
        let (so_far, total) = upkeep.how_far(&done);
        // Last, so that the run's row is locked for the shortest time: its heartbeat writes it too.
        if !tx.advance(lease, so_far, total).await? {
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(done))
    }
}
