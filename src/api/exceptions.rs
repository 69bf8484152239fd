//! Reconciliation exceptions: listed, raised by hand, acknowledged, resolved.

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use workflows::act::{self, Act};
use workflows::exception;
use workflows::record::Exception;
use workflows::refusal::Refusal;
use workflows::word::{Category, ExceptionStatus, ReasonCode};

use super::extract::{Id, Keyed, NoBody, Params, Posted, Reader};
use super::view;
use crate::answer::Answer;
use crate::app::App;
use crate::engine::{Command, Desk, Done, Versioned};
use crate::error::Error;
use crate::store::desk::{Ask, Kind};
use crate::store::list::{Exceptions, Page, Window};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ExceptionFilter {
    status: Option<ExceptionStatus>,
    category: Option<Category>,
    session_id: Option<Uuid>,
    gaming_day: Option<NaiveDate>,
    /// true: unresolved and past its due time.
    overdue: Option<bool>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists exceptions, oldest first.
#[utoipa::path(get, path = "/exceptions", tag = "exceptions", params(ExceptionFilter), responses((status = 200, body = Page<Exception>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<ExceptionFilter>) -> Result<Response, Error> {
    let query = Exceptions {
        window: Window::parse(filter.limit, filter.cursor.as_deref())?,
        status: filter.status,
        category: filter.category,
        session_id: filter.session_id,
        gaming_day: filter.gaming_day,
        overdue: filter.overdue,
    };
    let (context, mut page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    if !act::READ_COUNTS.may(context.caller.role) {
        page.items.iter_mut().for_each(view::without_counts);
    }
    Ok(reader.hashed(&page))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewException {
    /// MANUAL: the others are the detectors'.
    category: Category,
    /// What was seen, in words.
    detail: String,
    #[serde(default)]
    variance_cents: Option<i64>,
}

/// Raises an exception by hand.
#[utoipa::path(post, path = "/sessions/{id}/exceptions", tag = "exceptions", params(("id" = Uuid, Path)), request_body = NewException, responses((status = 201, body = Exception)))]
pub async fn raise(State(app): State<App>, Id(id): Id, Keyed(posted): Keyed<NewException>) -> Result<Answer, Error> {
    let NewException {
        category,
        detail,
        variance_cents,
    } = posted.body;
    if category != Category::Manual {
        return Err(Refusal::invalid("/category", "a person raises MANUAL; the others are the detectors'").into());
    }
    let command = Command {
        act: act::RAISE_EXCEPTION,
        ask: Ask::about(Kind::Session, id),
        pins: Vec::new(),
        versioned: Versioned::Session,
    };
    let judge = |desk: &mut Desk| {
        let (case, context) = desk.case("session")?;
        Ok(exception::raise_manually(case, context, &detail, variance_cents)?)
    };
    let answer = |done: &Done<'_, Uuid>| {
        let row = done.dossier().and_then(|dossier| dossier.exception(done.value));
        Answer::created(&row).version(row.map_or(1, |row| row.version))
    };
    app.engine.command(&posted.envelope, &command, judge, answer).await
}

/// Somebody has seen it and owns it now.
#[utoipa::path(post, path = "/exceptions/{id}/acknowledge", tag = "exceptions", params(("id" = Uuid, Path)), request_body = NoBody, responses((status = 200, body = Exception)))]
pub async fn acknowledge(State(app): State<App>, Id(id): Id, posted: Posted<NoBody>) -> Result<Answer, Error> {
    let judge = |desk: &mut Desk| {
        let (case, context) = desk.case("exception")?;
        Ok(exception::acknowledge(case, context, id)?)
    };
    app.engine
        .command(&posted.envelope, &about(act::ACKNOWLEDGE_EXCEPTION, id), judge, |done| {
            answer(done, id)
        })
        .await
}

#[expect(clippy::struct_field_names, reason = "the contract's own names")]
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    reason_code: ReasonCode,
    /// The narrative: what happened, and how it is known.
    resolution_note: String,
    /// Waived rather than resolved: the evidence will not come, and that is accepted.
    #[serde(default)]
    waive: bool,
}

/// Resolves or waives an exception, by somebody who signed nothing of its subject.
#[utoipa::path(post, path = "/exceptions/{id}/resolve", tag = "exceptions", params(("id" = Uuid, Path)), request_body = Resolution, responses((status = 200, body = Exception)))]
pub async fn resolve(State(app): State<App>, Id(id): Id, posted: Posted<Resolution>) -> Result<Answer, Error> {
    let Resolution {
        reason_code,
        resolution_note,
        waive,
    } = posted.body;
    let judge = |desk: &mut Desk| {
        let (own, others) = desk.cases.split_first_mut().ok_or(Refusal::NotFound("exception"))?;
        exception::resolve(own, &desk.context, id, reason_code, &resolution_note, waive)?;
        exception::spread_waiver(own, others, id);
        Ok(())
    };
    app.engine
        .command(&posted.envelope, &about(act::RESOLVE_EXCEPTION, id), judge, |done| answer(done, id))
        .await
}

fn about(act: Act, id: Uuid) -> Command {
    Command {
        act,
        ask: Ask::about(Kind::Exception, id),
        pins: Vec::new(),
        versioned: Versioned::Exception(id),
    }
}

fn answer(done: &Done<'_, ()>, id: Uuid) -> Answer {
    Answer::ok(&done.dossier().and_then(|dossier| dossier.exception(id)))
}
