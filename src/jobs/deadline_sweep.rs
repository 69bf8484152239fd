//! Raises what only time brings to light: boxes not delivered or not counted, sessions closed without a removal, numbers nobody told of. And
//! says which exceptions wait for longer than they may. The law is `workflows::deadline`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;
use workflows::act;
use workflows::deadline::{Gap, sweep};

use super::Job;
use crate::answer::Answer;
use crate::engine::{Command, Desk, Done, Versioned};
use crate::error::Error;
use crate::store::desk::{Ask, Kind};
use crate::store::shifts::{Overdue, OverdueAfter};

/// Sessions looked for at once, and the most overdue exceptions named in the outcome.
const BATCH: i32 = 100;
/// No run looks at more batches than this: what is left over, the next run finds.
const BATCHES: usize = 1_000;

/// What a run came to.
#[derive(Default)]
struct Tally {
    raised: Vec<Value>,
    failed: Vec<Value>,
    seen: usize,
}

pub(super) async fn run(job: &Job<'_>) -> anyhow::Result<Value> {
    let mut tally = Tally::default();
    let first = overdue(job, None).await?;
    // Missing numbers are told on sessions that may have nothing else overdue.
    let told_on: BTreeSet<Uuid> = first.gaps.iter().filter_map(|gap| gap.session_id).collect();
    let unplaced: Vec<&Gap> = first.gaps.iter().filter(|gap| gap.session_id.is_none()).collect();
    for session in &told_on {
        tally.add(job, *session, &first.gaps).await?;
    }
    let mut batch = first.sessions.clone();
    for _ in 0..BATCHES {
        let Some(last) = batch.last().copied() else { break };
        for session in batch.iter().filter(|session| !told_on.contains(session)) {
            tally.add(job, *session, &[]).await?;
        }
        job.progress(tally.seen, tally.seen).await?;
        batch = overdue(job, Some(last)).await?.sessions;
    }
    job.progress(tally.seen, tally.seen).await?;
    if first.exceptions_count > 0 {
        tracing::info!(overdue = first.exceptions_count, "exceptions are past their time");
    }
    Ok(json!({
        "sessions": tally.seen, "raised": tally.raised, "failed": tally.failed, "unplaced_numbers": unplaced,
        "overdue_exceptions": { "count": first.exceptions_count, "first": first.exceptions },
    }))
}

async fn overdue(job: &Job<'_>, after: Option<Uuid>) -> Result<Overdue, Error> {
    let query = OverdueAfter { after, limit: BATCH };
    Ok(job.engine.list(&job.envelope(None), act::SWEEP_DEADLINES, &query).await?.1)
}

impl Tally {
    /// One session in one transaction; one that cannot be worked on stops no other.
    async fn add(&mut self, job: &Job<'_>, session: Uuid, gaps: &[Gap]) -> Result<(), Error> {
        self.seen += 1;
        match raise(job, session, gaps).await {
            Ok(answer) => self.raised.extend(answer.body.as_array().cloned().unwrap_or_default()),
            Err(away @ (Error::Unavailable(_) | Error::OutcomeUnknown(_))) => return Err(away),
            Err(refused) => {
                tracing::error!(%session, error = ?refused, "a session could not be swept");
                self.failed.push(json!({ "session_id": session, "reason": refused.told() }));
            }
        }
        Ok(())
    }
}

async fn raise(job: &Job<'_>, session: Uuid, gaps: &[Gap]) -> Result<Answer, Error> {
    let command = Command {
        act: act::SWEEP_DEADLINES,
        ask: Ask::about(Kind::Session, session),
        pins: Vec::new(),
        versioned: Versioned::Session,
    };
    let judge = |desk: &mut Desk| {
        let (case, context) = desk.case("session")?;
        Ok(sweep(case, context, gaps)?)
    };
    let answer = |done: &Done<'_, ()>| {
        let new = done.changes.insert().reconciliation_exception.iter();
        let told = new.map(
            |row| json!({ "exception_id": row.id, "session_id": row.session_id, "category": row.category, "subject_id": row.subject_id }),
        );
        Answer::ok(&told.collect::<Vec<_>>())
    };
    job.engine.command(&job.envelope(None), &command, judge, answer).await
}
