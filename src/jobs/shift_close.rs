//! Closes a shift: drives every session of it as far as its gates permit, writes down what moved and what is shut, and sums the shift up.
//!
//! Each session is a command of its own, so one that cannot be worked on stops no other. It may run again at any moment: what is done is
//! found done, and what has become possible since is done then. The law is `workflows::shift_close`.

use chrono::{DateTime, NaiveTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use workflows::act;
use workflows::record::Shift;
use workflows::shift::next_local;
use workflows::shift_close::{Line, Plan, SessionAt, drive, line};
use workflows::word::SummaryStatus;

use super::{Job, shift_open};
use crate::answer::Answer;
use crate::engine::{Command, Desk, Done, Versioned};
use crate::error::Error;
use crate::store::desk::{Ask, Kind};
use crate::store::setup::{Setup, ShiftOf, ShiftSum};
use crate::store::shifts::SessionsOfShift;

/// Sessions between two signs of life: a second's work at most.
const BATCH: usize = 20;

#[derive(Deserialize)]
struct Params {
    /// The template's name; the latest shift of every template that is over, where left out.
    shift: Option<String>,
    /// When the boxes are to go, local time: now unless given.
    drop_at: Option<String>,
    #[serde(default)]
    start_closings: bool,
}

pub(super) async fn run(job: &Job<'_>) -> anyhow::Result<Value> {
    let params = Params::deserialize(job.params)?;
    let once_over = params.shift.is_none();
    let names = shift_open::names(job, params.shift.clone()).await?;
    let mut shifts = Vec::with_capacity(names.len());
    for name in names {
        let of = ShiftOf {
            name,
            fire_at: job.fire_at,
            once_over,
        };
        shifts.push(close(job, &params, of).await?);
    }
    Ok(json!({ "shifts": shifts }))
}

async fn close(job: &Job<'_>, params: &Params, of: ShiftOf) -> anyhow::Result<Value> {
    if let Some(shift) = job.engine.list(&job.envelope(None), act::CLOSE_SHIFT, &of).await?.1 {
        shift_open::adopt(job, &shift).await?;
    }
    // From now on the shift's sessions are these.
    let answer = job
        .engine
        .change(&job.envelope(None), act::CLOSE_SHIFT, &Setup::CloseShift(of.clone()))
        .await?;
    let Some(shift): Option<Shift> = serde_json::from_value(answer.body)? else {
        tracing::info!(shift = of.name, fire_at = %of.fire_at, "no shift of that name is there to be closed");
        return Ok(json!({ "shift": of.name, "shift_id": null, "detail": "no shift of that name is there to be closed" }));
    };
    let query = SessionsOfShift { shift_id: shift.id };
    let (context, sessions) = job.engine.list(&job.envelope(None), act::CLOSE_SHIFT, &query).await?;
    let plan = Plan {
        drop_at: drop_at(params, job.fire_at, context.zone)?,
        start_closings: params.start_closings,
        shift,
    };
    let lines = drive_all(job, &plan, &sessions).await?;
    let sum = settle(job, &plan, &lines).await?;
    Ok(outcome(&plan.shift, &lines, &sum))
}

/// The time of the firing decides, not that of the attempt: a run made up for asks for the drop it was to ask for, or for one now.
fn drop_at(params: &Params, fire_at: DateTime<Utc>, zone: chrono_tz::Tz) -> anyhow::Result<DateTime<Utc>> {
    match &params.drop_at {
        Some(time) => Ok(next_local(fire_at, NaiveTime::parse_from_str(time, "%H:%M")?, zone)),
        None => Ok(fire_at),
    }
}

async fn drive_all(job: &Job<'_>, plan: &Plan, sessions: &[SessionAt]) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::with_capacity(sessions.len());
    for (done, session) in sessions.iter().enumerate() {
        lines.push(drive_one(job, plan, session).await?);
        if (done + 1) % BATCH == 0 {
            job.progress(done + 1, sessions.len()).await?;
        }
    }
    job.progress(sessions.len(), sessions.len()).await?;
    Ok(lines)
}

/// One session in one transaction. A refusal is its line; only a database that is away ends the attempt.
async fn drive_one(job: &Job<'_>, plan: &Plan, session: &SessionAt) -> Result<Line, Error> {
    let command = Command {
        act: act::CLOSE_SHIFT,
        ask: Ask::about(Kind::Session, session.session_id),
        pins: Vec::new(),
        versioned: Versioned::Session,
    };
    let judge = |desk: &mut Desk| {
        let (case, context) = desk.case("session")?;
        Ok(drive(case, context, plan)?)
    };
    let answer = |done: &Done<'_, ()>| Answer::ok(&line(done.changes, done.context, plan));
    let answer = job.engine.command(&job.envelope(None), &command, judge, answer).await;
    let failed = match answer {
        Ok(answer) => match serde_json::from_value::<Option<Line>>(answer.body) {
            Ok(Some(line)) => return Ok(line),
            Ok(None) => "there is no such session".to_owned(),
            Err(error) => error.to_string(),
        },
        Err(away @ (Error::Unavailable(_) | Error::OutcomeUnknown(_))) => return Err(away),
        Err(refused) => {
            tracing::error!(session = %session.session_id, table = session.table, error = ?refused, "a session could not be worked on");
            refused.told()
        }
    };
    Ok(Line::failed(session, &failed))
}

async fn settle(job: &Job<'_>, plan: &Plan, lines: &[Line]) -> anyhow::Result<ShiftSum> {
    let setup = Setup::SettleShift {
        shift_id: plan.shift.id,
        lines: lines.to_vec(),
    };
    let answer = job.engine.change(&job.envelope(None), act::CLOSE_SHIFT, &setup).await?;
    Ok(serde_json::from_value(answer.body)?)
}

fn outcome(shift: &Shift, lines: &[Line], sum: &ShiftSum) -> Value {
    let count = |is: fn(&Line) -> bool| lines.iter().filter(|line| is(line)).count();
    json!({
        "shift": shift.name, "shift_id": shift.id, "gaming_day": shift.gaming_day, "closed_at": shift.closed_at,
        "advanced": count(|line| !line.advanced.is_empty()), "blocked": count(|line| !line.blocked.is_empty()),
        "failed": count(|line| line.failed.is_some()), "ready": sum.status == SummaryStatus::Ready, "sessions": lines,
    })
}
