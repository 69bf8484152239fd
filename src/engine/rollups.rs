//! Rollups brought up to date, and held against the facts. What a cell says is the law's ([`workflows::rollup`]); here is only the order of
//! things.
//!
//! A drain is one transaction: marks are taken, their cells computed anew, written where they changed, told, and the marks are gone. Cut off
//! anywhere it leaves the marks as they were. Drains of one casino run one after another, whoever asks for them.

use chrono::NaiveDate;
use workflows::act;
use workflows::case::Context;
use workflows::event::Event;
use workflows::rollup::{Difference, Rollup, recompute};

use super::{ATTEMPTS, Engine, Envelope, desk, may, outbox, pause};
use crate::error::Error;
use crate::store::Tx;
use crate::store::desk::{Ask, Writing};

/// What one drain came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Marks taken: none means that none were left.
    pub marks: usize,
    /// Cells that changed.
    pub cells: usize,
}

/// How one gaming day stands against its facts.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// Cells compared. Those with facts not yet drained are not among them.
    pub cells: usize,
    pub differences: Vec<Difference>,
}

impl Engine {
    /// Brings in the oldest `limit` marks of the casino.
    pub async fn drain_rollups(&self, envelope: &Envelope, limit: u32) -> Result<Drained, Error> {
        for attempt in 1..ATTEMPTS {
            match self.drain(envelope, limit).await {
                Err(Error::Collided(_)) => pause(attempt).await,
                settled => return settled,
            }
        }
        self.drain(envelope, limit).await
    }

    async fn drain(&self, envelope: &Envelope, limit: u32) -> Result<Drained, Error> {
        let (tx, context) = self.as_job(envelope).await?;
        let taken = tx.take_rollup_marks(limit, context.at).await?;
        let (touched, shares) = (taken.touched(), taken.shares());
        let changed = recompute(context.casino.id, &touched, &shares, &taken.stored, context.at);
        if !changed.is_empty() {
            tx.put_rollups(&changed).await?;
            let events: Vec<Event> = changed.iter().map(updated).collect();
            // One event a changed cell, and no audit row: nobody did anything, the facts behind it have theirs.
            let writing = Writing {
                outbox: outbox(&context, envelope, &events),
                ..Writing::default()
            };
            tx.put(&writing).await?;
        }
        tx.commit().await?;
        if !changed.is_empty() {
            self.told.notify_one();
        }
        Ok(Drained {
            marks: taken.marks,
            cells: changed.len(),
        })
    }

    /// How many marks wait.
    pub async fn rollup_marks(&self, envelope: &Envelope) -> Result<usize, Error> {
        let (tx, _) = self.as_job(envelope).await?;
        Ok(tx.rollup_marks().await?)
    }

    /// Every gaming day that has, or should have, a cell.
    pub async fn rollup_days(&self, envelope: &Envelope) -> Result<Vec<NaiveDate>, Error> {
        let (tx, _) = self.as_job(envelope).await?;
        Ok(tx.rollup_days().await?)
    }

    /// Computes the cells of one gaming day from nothing but its facts, and compares. Writes nothing.
    pub async fn verify_rollups(&self, envelope: &Envelope, day: NaiveDate) -> Result<Verified, Error> {
        let (tx, context) = self.as_job(envelope).await?;
        let seen = tx.rollup_day(day, context.at).await?;
        let (cells, differences) = seen.verify(context.casino.id, day);
        Ok(Verified { cells, differences })
    }

    async fn as_job(&self, envelope: &Envelope) -> Result<(Tx, Context), Error> {
        let tx = self.db.begin().await?;
        let opened = self.open(&tx, envelope, &Ask::default(), false).await?;
        may(envelope, &opened, act::RUN_JOBS)?;
        let context = desk::context(opened.caller, opened.casino, self.clock.now())?;
        Ok((tx, context))
    }
}

fn updated(row: &Rollup) -> Event {
    Event::RollupUpdated {
        cell: row.cell_key.clone(),
        grain: row.grain.to_string(),
        by: row.by.to_string(),
        gaming_day: row.gaming_day,
        shift_id: row.shift_id,
        table_id: row.table_id,
        pit: row.pit.clone(),
        version: row.version,
    }
}
