//! What is told of commands to whoever watches the daemon: a span for each, its outcome and time, and the gates that kept one back.

use std::time::Instant;

use tracing::Instrument as _;
use tracing::field::Empty;
use workflows::act::Act;
use workflows::refusal::{GateReport, Refusal};

use super::{Engine, Envelope};
use crate::answer::Answer;
use crate::error::Error;
use crate::observe::metrics;
use crate::store::standing::PoolUse;

/// A command as it is done, however often it is judged.
pub(super) async fn observed(
    act: Act,
    envelope: &Envelope,
    command: impl Future<Output = Result<Answer, Error>> + Send,
) -> Result<Answer, Error> {
    let span = tracing::info_span!("command", act = act.name, correlation_id = %envelope.correlation, outcome = Empty);
    let begun = Instant::now();
    let ended = command.instrument(span.clone()).await;
    let outcome = match &ended {
        Ok(answer) if answer.replayed => "replayed",
        Ok(_) => "done",
        Err(error) => error.code(),
    };
    span.record("outcome", outcome);
    metrics::commanded(act.name, outcome, begun.elapsed());
    if let Err(Error::Refused(refusal)) = &ended {
        gates(refusal)
            .iter()
            .filter(|gate| !gate.satisfied)
            .for_each(|gate| metrics::gate_refused(gate.code));
    }
    ended
}

fn gates(refusal: &Refusal) -> &[GateReport] {
    match refusal {
        Refusal::GatesUnmet(gates) | Refusal::Segregation { gates, .. } => gates,
        Refusal::NotFound(_)
        | Refusal::Forbidden { .. }
        | Refusal::IllegalTransition { .. }
        | Refusal::Conflict { .. }
        | Refusal::WrongState { .. }
        | Refusal::Invalid(_) => &[],
    }
}

impl Engine {
    /// Brings the gauges up to date: the pool always, what stands in the database where that answers.
    pub async fn look_at_gauges(&self) {
        let PoolUse { busy, idle, limit } = self.db.pool_use();
        metrics::pool(busy, idle, limit);
        let standing = self.db.standing(self.clock.now()).await;
        if let Err(fault) = &standing {
            tracing::debug!(error = %fault, "the gauges could not be read");
        }
        metrics::standing(standing.ok());
    }
}
