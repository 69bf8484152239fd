//! What the daemon does because time has passed (domain §11): one file a job, and [`runner`] that calls them.
//!
//! A job is `run(&Job) -> outcome`. It may be cut off at any moment and be begun again by another daemon, so whatever it does it does in
//! batches that each leave the casino sound, and a command that must not be given twice carries a key of the run ([`Job::envelope`]).

mod audit_seal;
mod deadline_sweep;
mod retention_prune;
mod rollup_recompute;
mod rollup_verify;
mod runner;
mod shift_close;
mod shift_open;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workflows::word::JobKind;

pub use self::runner::{Settings, run};
use crate::clock::Clock;
use crate::engine::{Engine, Envelope, Key, Principal, RequestHash, Upkeep};
use crate::error::Error;
use crate::observe::CorrelationId;
use crate::store::clockwork::Lease;

/// Does what the run is for.
async fn perform(kind: JobKind, job: &Job<'_>) -> anyhow::Result<Value> {
    match kind {
        JobKind::RetentionPrune => retention_prune::run(job).await,
        JobKind::RollupRecompute => rollup_recompute::run(job).await,
        JobKind::RollupVerify => rollup_verify::run(job).await,
        JobKind::ShiftOpen => shift_open::run(job).await,
        JobKind::ShiftClose => shift_close::run(job).await,
        JobKind::DeadlineSweep => deadline_sweep::run(job).await,
        JobKind::AuditSeal => audit_seal::run(job).await,
    }
}

/// A run, as its job sees it.
pub struct Job<'a> {
    pub engine: &'a Engine,
    pub clock: &'a Clock,
    pub casino_id: Uuid,
    pub kind: JobKind,
    /// The schedule's, as they were when it fired.
    pub params: &'a Value,
    pub fire_at: DateTime<Utc>,
    pub run_id: Uuid,
    /// One for all attempts of the run: it ties their log lines, audit rows and events together.
    pub correlation: CorrelationId,
    /// How far an earlier attempt came.
    pub done: i64,
    lease: &'a Lease,
    lost: &'a CancellationToken,
    stopping: &'a CancellationToken,
}

/// Why a job must not go on. It passes it up with `?`; the runner knows what to do.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// Another daemon has the run by now.
    #[error("the lease of the run is lost")]
    LeaseLost,
    /// The daemon stops: the run is given back, and the attempt does not count.
    #[error("the daemon stops")]
    Stopping,
    #[error(transparent)]
    Store(#[from] Error),
}

impl Job<'_> {
    /// Who gives a command: the casino's own principal. With a step the command is given once in the run, whoever runs it and how often.
    pub fn envelope(&self, step: Option<&str>) -> Envelope {
        Envelope {
            principal: Principal::System(self.casino_id),
            correlation: self.correlation.clone(),
            key: step.map(|step| Key {
                name: format!("job:{}:{step}", self.run_id),
                request: RequestHash::of("daemon", &format!("JOB {}", self.kind), &[]),
            }),
            if_match: None,
        }
    }

    /// Writes down how far the run is. To be called after every batch: here it ends when the lease is lost or the daemon stops.
    pub async fn progress(&self, done: usize, total: usize) -> Result<(), Halt> {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let held = self.engine.db().advance(self.lease, count(done), count(total)).await;
        if !held.map_err(Error::from)? {
            return Err(Halt::LeaseLost);
        }
        self.go_on()
    }

    /// One batch in a transaction of its own, kept only while the lease is.
    pub async fn upkeep<U: Upkeep>(&self, upkeep: &U) -> Result<U::Done, Halt> {
        self.go_on()?;
        let done = self.engine.upkeep(&self.envelope(None), self.lease, upkeep).await?;
        done.ok_or(Halt::LeaseLost)
    }

    fn go_on(&self) -> Result<(), Halt> {
        match (self.lost.is_cancelled(), self.stopping.is_cancelled()) {
            (true, _) => Err(Halt::LeaseLost),
            (false, true) => Err(Halt::Stopping),
            (false, false) => Ok(()),
        }
    }
}
