//! Opens a shift: the shift itself, and a session in `READY_TO_OPEN` for every table that may need one, each with the box that stands there.
//!
//! What is there is found, so a second run makes nothing twice. Sessions that the floor began before their shift was there are given it. A session that never began in the shift before passes on to this one: at
//! the turn of a shift it does not matter whether the one is closed first or the other opened.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;
use workflows::act;
use workflows::dossier::Floor;
use workflows::record::Shift;
use workflows::refusal::Refusal;
use workflows::session;

use super::Job;
use crate::answer::Answer;
use crate::engine::{Command, Desk, Done, Versioned};
use crate::error::Error;
use crate::store::desk::{Ask, Kind, ShiftAsk};
use crate::store::setup::{Setup, ShiftOf, ShiftOpening};
use crate::store::shifts::{IdleTable, IdleTables, TemplateNames, UnboundSessions};

/// Tables between two signs of life: a second's work at most.
const BATCH: usize = 20;

#[derive(Deserialize)]
struct Params {
    /// The template's name; every template that is due, where left out.
    shift: Option<String>,
}

pub(super) async fn run(job: &Job<'_>) -> anyhow::Result<Value> {
    let params = Params::deserialize(job.params)?;
    let names = names(job, params.shift).await?;
    let mut shifts = Vec::with_capacity(names.len());
    for name in names {
        shifts.push(open(job, name).await?);
    }
    Ok(json!({ "shifts": shifts }))
}

/// The shifts a firing is about.
pub(super) async fn names(job: &Job<'_>, named: Option<String>) -> Result<Vec<String>, Error> {
    match named {
        Some(name) => Ok(vec![name]),
        None => Ok(job.engine.list(&job.envelope(None), act::OPEN_SHIFT, &TemplateNames).await?.1),
    }
}

async fn open(job: &Job<'_>, name: String) -> anyhow::Result<Value> {
    let of = ShiftOf {
        name,
        fire_at: job.fire_at,
        once_over: false,
    };
    let answer = job
        .engine
        .change(&job.envelope(None), act::OPEN_SHIFT, &Setup::OpenShift(of.clone()))
        .await?;
    let ShiftOpening { shift, made } = serde_json::from_value(answer.body)?;
    let Some(shift) = shift else {
        tracing::info!(shift = of.name, fire_at = %of.fire_at, "no such shift begins near this firing");
        return Ok(json!({ "shift": of.name, "shift_id": null, "detail": "no such shift begins near this firing" }));
    };
    let adopted = adopt(job, &shift).await?;
    let tables = tables(job, &shift, job.clock.now()).await?;
    let mut told = Told::default();
    for (done, table) in tables.iter().enumerate() {
        told.add(table, prepare(job, &shift, table).await)?;
        if (done + 1) % BATCH == 0 {
            job.progress(done + 1, tables.len()).await?;
        }
    }
    job.progress(tables.len(), tables.len()).await?;
    Ok(json!({
        "shift": shift.name, "shift_id": shift.id, "gaming_day": shift.gaming_day, "starts_at": shift.starts_at, "ends_at": shift.ends_at,
        "made": made, "adopted": adopted, "sessions": told.sessions, "skipped": told.skipped,
    }))
}

/// Gives sessions that began in this shift and have none this shift: their ids. The closing asks again, for one whose opening was not yet
/// committed when this looked.
pub(super) async fn adopt(job: &Job<'_>, shift: &Shift) -> Result<Vec<Uuid>, Error> {
    let query = UnboundSessions { shift_id: shift.id };
    let unbound = job.engine.list(&job.envelope(None), act::OPEN_SHIFT, &query).await?.1;
    let mut adopted = Vec::with_capacity(unbound.len());
    for session in unbound {
        match give(job, shift, Ask::about(Kind::Session, session), take_in).await {
            Ok(_) => adopted.push(session),
            Err(away @ (Error::Unavailable(_) | Error::OutcomeUnknown(_))) => return Err(away),
            Err(refused) => tracing::warn!(%session, error = %refused, "a session was not given its shift"),
        }
    }
    Ok(adopted)
}

/// A run that is made up for after the shift is over makes the shift, for its place in the day, and nothing to play in it.
async fn tables(job: &Job<'_>, shift: &Shift, now: DateTime<Utc>) -> Result<Vec<IdleTable>, Error> {
    if now >= shift.ends_at {
        return Ok(Vec::new());
    }
    let query = IdleTables { shift_id: shift.id };
    Ok(job.engine.list(&job.envelope(None), act::OPEN_SHIFT, &query).await?.1)
}

/// What became of the tables.
#[derive(Default)]
struct Told {
    sessions: Vec<Value>,
    skipped: Vec<Value>,
}

impl Told {
    /// One table that cannot be prepared stops no other. A database that is away does: the run is tried again.
    fn add(&mut self, table: &IdleTable, prepared: Result<Answer, Error>) -> Result<(), Error> {
        match prepared {
            Ok(answer) => {
                let passed_on = table.left_over.is_some();
                self.sessions
                    .push(json!({ "session_id": answer.body, "table": table.table, "passed_on": passed_on }));
            }
            Err(away @ (Error::Unavailable(_) | Error::OutcomeUnknown(_))) => return Err(away),
            Err(refused) => {
                tracing::warn!(table = table.table, error = %refused, "no session was made for a table");
                self.skipped.push(json!({ "table": table.table, "reason": refused.told() }));
            }
        }
        Ok(())
    }
}

async fn prepare(job: &Job<'_>, shift: &Shift, table: &IdleTable) -> Result<Answer, Error> {
    let Some(session) = table.left_over else {
        return give(job, shift, Ask::about(Kind::Table, table.table_id), create).await;
    };
    match give(job, shift, Ask::about(Kind::Session, session), pass_on).await {
        // Its own shift has been closed since, and it with it: the table needs another.
        Err(Error::Refused(refusal)) if matches!(*refusal, Refusal::WrongState { .. }) => {
            give(job, shift, Ask::about(Kind::Table, table.table_id), create).await
        }
        given => given,
    }
}

async fn give(job: &Job<'_>, shift: &Shift, about: Ask, judge: fn(&mut Desk, Uuid) -> Result<Uuid, Error>) -> Result<Answer, Error> {
    let command = Command {
        act: act::OPEN_SHIFT,
        ask: Ask {
            shift: Some(ShiftAsk::Bind { named: Some(shift.id) }),
            ..about
        },
        pins: Vec::new(),
        versioned: Versioned::Session,
    };
    let answer = |done: &Done<'_, Uuid>| Answer::ok(&done.value);
    job.engine
        .command(&job.envelope(None), &command, |desk| judge(desk, shift.id), answer)
        .await
}

fn create(desk: &mut Desk, shift_id: Uuid) -> Result<Uuid, Error> {
    let floor = desk.floor.take().ok_or(Refusal::NotFound("table"))?;
    let standing = box_on_table(&floor);
    let case = session::create(&desk.context, floor, standing, Some(shift_id))?;
    let id = case.session().id;
    desk.cases.push(case);
    Ok(id)
}

/// A session that never began: the next shift's, from now on.
fn pass_on(desk: &mut Desk, shift_id: Uuid) -> Result<Uuid, Error> {
    let (case, _) = desk.case("session")?;
    let missing = case.session().drop_box_id.is_none();
    let standing = box_on_table(&case.dossier().floor).filter(|_| missing);
    session::prepare(case, standing, Some(shift_id))?;
    Ok(case.session().id)
}

fn take_in(desk: &mut Desk, shift_id: Uuid) -> Result<Uuid, Error> {
    let (case, _) = desk.case("session")?;
    session::adopt(case, shift_id)?;
    Ok(case.session().id)
}

/// The box that stands on the table, whoever put it there.
fn box_on_table(floor: &Floor) -> Option<Uuid> {
    let standing = floor.boxes.iter().find(|drop_box| drop_box.on_table_id == Some(floor.table.id));
    standing.map(|drop_box| drop_box.id)
}
