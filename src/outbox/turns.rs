//! Taking turns: what every sink with a cursor does, whatever it sends to.
//!
//! Any number of daemons do this over one database. Whose turn it is stands in the cursor's row as a lease, and a turn is a task. What a
//! daemon believes to hold counts for nothing: every step is written under the turn's term, and one written under an old term changes
//! nothing and ends the turn. So a daemon that dies, or is thought dead, sends a few events twice, each under its own id, and loses none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::store::fault::Fault;
use crate::store::sinks::Turns;

/// How often turns are asked for where nothing says that there are any: only a hint that was lost waits for it.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Two looks are never closer than this: on a busy floor the news come by the hundred a second, and one look serves them all.
const LOOK_APART: Duration = Duration::from_millis(20);
/// How long nothing is asked after the database was away.
const AWAY_RESTS: Duration = Duration::from_secs(1);

/// Something that has cursors.
pub(super) trait Sink: Send + Sync + 'static {
    type Turn: Send + 'static;

    const NAME: &'static str;

    /// Takes up to so many turns.
    fn take(&self, want: usize) -> impl Future<Output = Result<Turns<Self::Turn>, Fault>> + Send;

    /// Takes one turn to its end. It ends by itself soon after the daemon is told to stop.
    fn go(&self, turn: Self::Turn) -> impl Future<Output = ()> + Send;
}

/// Takes turns until it is told to stop, and then until those under way have ended.
pub(super) async fn take_turns<S: Sink>(sink: Arc<S>, slots: usize, mut news: watch::Receiver<u64>, stopping: CancellationToken) {
    let mut at_work = JoinSet::new();
    let mut looked = None::<Instant>;
    loop {
        while let Some(ended) = at_work.try_join_next() {
            tell::<S>(ended);
        }
        if stopping.is_cancelled() && at_work.is_empty() {
            return;
        }
        if let Some(apart) = looked.and_then(|looked| LOOK_APART.checked_sub(looked.elapsed())) {
            tokio::time::sleep(apart).await;
        }
        // Before it is looked: what is published meanwhile wakes again.
        news.mark_unchanged();
        looked = Some(Instant::now());
        let wait = if stopping.is_cancelled() || at_work.len() >= slots {
            LOOK_EVERY
        } else {
            begin(&sink, slots, &mut at_work).await
        };
        rest(&mut at_work, &mut news, &stopping, wait, |ended| tell::<S>(ended)).await;
    }
}

/// Begins what can be begun; how long until it is worth looking again.
async fn begin<S: Sink>(sink: &Arc<S>, slots: usize, at_work: &mut JoinSet<()>) -> Duration {
    let turns = match sink.take(slots - at_work.len()).await {
        Ok(turns) => turns,
        Err(fault) => {
            tracing::warn!(error = %fault, sink = S::NAME, "turns could not be taken");
            return AWAY_RESTS;
        }
    };
    for turn in turns.taken {
        let sink = Arc::clone(sink);
        at_work.spawn(async move { sink.go(turn).await });
    }
    turns.wait_ms.map_or(LOOK_EVERY, Duration::from_millis).min(LOOK_EVERY)
}

/// Only waiting is ever cut short here, no statement: a future dropped inside one would spoil its connection.
async fn rest(
    at_work: &mut JoinSet<()>,
    news: &mut watch::Receiver<u64>,
    stopping: &CancellationToken,
    wait: Duration,
    tell: impl FnOnce(Result<(), JoinError>),
) {
    let is_stopping = stopping.is_cancelled();
    if is_stopping && at_work.is_empty() {
        return;
    }
    tokio::select! {
        Some(ended) = at_work.join_next() => tell(ended),
        () = stopping.cancelled(), if !is_stopping => {}
        Ok(()) = news.changed(), if !is_stopping => {}
        () = tokio::time::sleep(wait) => {}
    }
}

/// A turn that panicked has left its lease to expire, which is what it is for.
fn tell<S: Sink>(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, sink = S::NAME, "a turn broke off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink that never has a turn to give.
    struct Idle;

    impl Sink for Idle {
        type Turn = ();

        const NAME: &'static str = "idle";

        async fn take(&self, _: usize) -> Result<Turns<()>, Fault> {
            Ok(Turns {
                taken: Vec::new(),
                wait_ms: None,
            })
        }

        async fn go(&self, (): ()) {}
    }

    #[tokio::test]
    async fn who_has_nothing_to_do_stops_at_once() {
        // In the middle of a rest, and in the moment between two looks.
        for rests in [0, 5, 25] {
            let (news, heard) = watch::channel(0);
            let stopping = CancellationToken::new();
            let mut task = JoinSet::new();
            task.spawn(take_turns(Arc::new(Idle), 4, heard, stopping.clone()));
            tokio::time::sleep(Duration::from_millis(rests)).await;
            news.send_modify(|rung| *rung += 1);
            tokio::time::sleep(Duration::from_millis(1)).await;
            stopping.cancel();
            let ended = tokio::time::timeout(LOOK_EVERY / 5, task.join_next()).await;
            assert!(ended.is_ok(), "after {rests} ms");
        }
    }
}
