//! Sessions: created, moved, read.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use workflows::act;
use workflows::chipset::RawChipset;
use workflows::machine::Taken;
use workflows::record::{Report, Session};
use workflows::refusal::Refusal;
use workflows::rollover::{Rollover, roll_over as roll};
use workflows::rundown as arithmetic;
use workflows::session::{self, Move};
use workflows::word::{Category, Status};

use super::extract::{Id, Keyed, Params, Posted, Reader};
use super::view::{self, Cosign, SessionView, TransitionView};
use crate::answer::Answer;
use crate::app::App;
use crate::engine::{Command, Versioned};
use crate::error::Error;
use crate::store::desk::{Ask, Kind, ShiftAsk};
use crate::store::list::{Page, Sessions, Window};

#[expect(clippy::struct_field_names, reason = "the contract's own names")]
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    table_id: Uuid,
    /// The box that will stand on the table; may follow until the opening begins.
    #[serde(default)]
    drop_box_id: Option<Uuid>,
    #[serde(default)]
    shift_id: Option<Uuid>,
}

/// Creates a session in `READY_TO_OPEN`. Its shift, if one is named, must be open.
#[utoipa::path(post, path = "/sessions", tag = "sessions", request_body = NewSession, responses((status = 201, body = SessionView)))]
pub async fn create(State(app): State<App>, Keyed(posted): Keyed<NewSession>) -> Result<Answer, Error> {
    let body = posted.body;
    let ask = Ask {
        boxes: body.drop_box_id.into_iter().collect(),
        shift: named(body.shift_id),
        ..Ask::about(Kind::Table, body.table_id)
    };
    let command = Command {
        act: act::CREATE_SESSION,
        ask,
        pins: Vec::new(),
        versioned: Versioned::Session,
    };
    let judge = |desk: &mut crate::engine::Desk| {
        let floor = desk.floor.take().ok_or(Refusal::NotFound("table"))?;
        let case = session::create(&desk.context, floor, body.drop_box_id, body.shift_id)?;
        desk.cases.push(case);
        Ok(())
    };
    app.engine
        .command(&posted.envelope, &command, judge, |done| Answer::created(&done.session()))
        .await
}

/// Who names no shift asks for none.
fn named(shift_id: Option<Uuid>) -> Option<ShiftAsk> {
    shift_id.map(|id| ShiftAsk::Bind { named: Some(id) })
}

/// An opening binds a shift; a session that ends may be the last its shift waits for. No other move looks at shifts.
fn shift_of_move(to: Status) -> Option<ShiftAsk> {
    match to {
        Status::Opening => Some(ShiftAsk::Bind { named: None }),
        Status::Closed | Status::Finalized => Some(ShiftAsk::Settle),
        Status::ReadyToOpen
        | Status::Open
        | Status::DropScheduled
        | Status::Dropped
        | Status::Counted
        | Status::Closing
        | Status::Reconciled => None,
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SessionFilter {
    status: Option<Status>,
    table_id: Option<Uuid>,
    gaming_day: Option<NaiveDate>,
    shift_id: Option<Uuid>,
    /// true: before CLOSED.
    live: Option<bool>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists sessions, oldest first.
#[utoipa::path(get, path = "/sessions", tag = "sessions", params(SessionFilter), responses((status = 200, body = Page<Session>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<SessionFilter>) -> Result<Response, Error> {
    let query = Sessions {
        window: Window::parse(filter.limit, filter.cursor.as_deref())?,
        status: filter.status,
        table_id: filter.table_id,
        gaming_day: filter.gaming_day,
        shift_id: filter.shift_id,
        live: filter.live,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&page))
}

/// Reads a session with its totals and what the caller may do next.
#[utoipa::path(get, path = "/sessions/{id}", tag = "sessions", params(("id" = Uuid, Path)), responses((status = 200, body = SessionView)))]
pub async fn read(State(app): State<App>, reader: Reader, Id(id): Id) -> Result<Response, Error> {
    let mut desk = app
        .engine
        .read(&reader.envelope, act::READ_FLOOR, &Ask::about(Kind::Session, id))
        .await?;
    let (case, context) = desk.case("session")?;
    Ok(reader.versioned(&view::session(case.dossier(), context), case.session().version))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionPatch {
    #[serde(default)]
    drop_box_id: Option<Uuid>,
    #[serde(default)]
    shift_id: Option<Uuid>,
}

/// Sets box and shift before the opening begins.
#[utoipa::path(patch, path = "/sessions/{id}", tag = "sessions", params(("id" = Uuid, Path)), request_body = SessionPatch, responses((status = 200, body = SessionView)))]
pub async fn prepare(State(app): State<App>, Id(id): Id, posted: Posted<SessionPatch>) -> Result<Answer, Error> {
    let body = posted.body;
    let ask = Ask {
        boxes: body.drop_box_id.into_iter().collect(),
        shift: named(body.shift_id),
        ..Ask::about(Kind::Session, id)
    };
    let command = Command {
        act: act::PREPARE_SESSION,
        ask,
        pins: Vec::new(),
        versioned: Versioned::Session,
    };
    let judge = |desk: &mut crate::engine::Desk| {
        let (case, _) = desk.case("session")?;
        Ok(session::prepare(case, body.drop_box_id, body.shift_id)?)
    };
    app.engine
        .command(&posted.envelope, &command, judge, |done| Answer::ok(&done.session()))
        .await
}

/// Every edge out of the current state, with every gate judged: what is missing, and who can supply it.
#[utoipa::path(get, path = "/sessions/{id}/transitions", tag = "sessions", params(("id" = Uuid, Path)), responses((status = 200, body = Vec<TransitionView>)))]
pub async fn transitions(State(app): State<App>, reader: Reader, Id(id): Id) -> Result<Response, Error> {
    let mut desk = app
        .engine
        .read(&reader.envelope, act::READ_FLOOR, &Ask::about(Kind::Session, id))
        .await?;
    let (case, context) = desk.case("session")?;
    let edges: Vec<TransitionView> = session::open_to(case.dossier(), context)
        .into_iter()
        .map(TransitionView::from)
        .collect();
    Ok(reader.hashed(&edges))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransitionRequest {
    to: Status,
    /// Required to cancel and to force close.
    #[serde(default)]
    note: Option<String>,
    /// For `DROP_SCHEDULED`; now, where left out.
    #[serde(default)]
    drop_scheduled_for: Option<DateTime<Utc>>,
    /// With `CLOSED`: close a table in play without its evidence.
    #[serde(default)]
    force: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SessionMoved {
    session: Option<SessionView>,
    taken: Vec<Taken>,
}

/// Asks for an edge. Refused with every unmet gate at once.
#[utoipa::path(post, path = "/sessions/{id}/transitions", tag = "sessions", params(("id" = Uuid, Path)), request_body = TransitionRequest, responses((status = 200, body = SessionMoved)))]
pub async fn advance(State(app): State<App>, Id(id): Id, posted: Posted<TransitionRequest>) -> Result<Answer, Error> {
    let TransitionRequest {
        to,
        note,
        drop_scheduled_for,
        force,
    } = posted.body;
    let ask = Move {
        to,
        note,
        drop_scheduled_for,
        force,
    };
    let command = Command {
        act: act::MOVE_SESSION,
        ask: Ask {
            shift: shift_of_move(to),
            ..Ask::about(Kind::Session, id)
        },
        pins: Vec::new(),
        versioned: Versioned::Session,
    };
    let judge = |desk: &mut crate::engine::Desk| {
        let (case, context) = desk.case("session")?;
        Ok(session::advance(case, context, &ask)?)
    };
    app.engine
        .command(&posted.envelope, &command, judge, |done| {
            Answer::ok(&SessionMoved {
                session: done.session(),
                taken: done.taken(),
            })
        })
        .await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloverRequest {
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    chipset: RawChipset,
    /// The other pit boss.
    #[serde(default)]
    cosign: Option<Cosign>,
    /// The second session's shift.
    #[serde(default)]
    shift_id: Option<Uuid>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RolledOver {
    closed: Option<SessionView>,
    opened: Option<SessionView>,
    taken: Vec<Taken>,
}

/// Closes the session and opens the table's next with one count of two pit bosses.
#[utoipa::path(post, path = "/sessions/{id}/rollover", tag = "sessions", params(("id" = Uuid, Path)), request_body = RolloverRequest, responses((status = 201, body = RolledOver)))]
pub async fn roll_over(State(app): State<App>, Id(id): Id, Keyed(posted): Keyed<RolloverRequest>) -> Result<Answer, Error> {
    let body = posted.body;
    let cosign = Cosign::required(body.cosign.as_ref(), "/cosign")?;
    let given = Rollover {
        chipset: body.chipset,
        shift_id: body.shift_id,
    };
    let command = Command {
        act: act::ROLL_OVER,
        ask: Ask {
            cosigners: vec![cosign.staff_id],
            shift: Some(ShiftAsk::Bind { named: body.shift_id }),
            ..Ask::about(Kind::Session, id)
        },
        pins: vec![cosign.pin()],
        versioned: Versioned::Session,
    };
    let judge = |desk: &mut crate::engine::Desk| {
        let cosigner = desk.cosigner(cosign.staff_id)?;
        let (case, context) = desk.case("session")?;
        let second = roll(case, context, &given, &cosigner)?;
        desk.cases.push(second);
        Ok(())
    };
    let answer = |done: &crate::engine::Done<'_, ()>| {
        let opened = done.changes.dossiers().get(1).map(|dossier| view::session(dossier, done.context));
        Answer::created(&RolledOver {
            closed: done.session(),
            opened,
            taken: done.taken(),
        })
    };
    app.engine.command(&posted.envelope, &command, judge, answer).await
}

/// The report; before RECONCILED a preview of it, with what is missing.
#[derive(Debug, Serialize, ToSchema)]
pub struct RundownView {
    /// The evidence is not complete: nothing is stored yet, and the id is nil.
    preview: bool,
    /// Facts arrived after finalization: flagged, never counted.
    has_late_events: bool,
    #[serde(flatten)]
    report: Report,
}

/// What the session proves the table won.
#[utoipa::path(get, path = "/sessions/{id}/rundown", tag = "sessions", params(("id" = Uuid, Path)), responses((status = 200, body = RundownView)))]
pub async fn rundown(State(app): State<App>, reader: Reader, Id(id): Id) -> Result<Response, Error> {
    let mut desk = app
        .engine
        .read(&reader.envelope, act::READ_COUNTS, &Ask::about(Kind::Session, id))
        .await?;
    let (case, context) = desk.case("session")?;
    let dossier = case.dossier();
    let has_late_events = dossier.exceptions.iter().any(|exception| exception.category == Category::LateEvent);
    let view = match &dossier.report {
        Some(report) => RundownView {
            preview: false,
            has_late_events,
            report: report.clone(),
        },
        None => RundownView {
            preview: true,
            has_late_events,
            report: Report {
                id: Uuid::nil(),
                ..arithmetic::compute(dossier, context)
            },
        },
    };
    let tag = format!(
        "{}-{has_late_events}-{}",
        view.report.input_hash,
        view.report.finalized_at.is_some()
    );
    Ok(reader.tagged(&view, tag))
}
