//! Dead letters: events that could not be published, for whoever runs the daemon.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use workflows::act;

use super::extract::{Id, NoBody, Params, Posted, Reader};
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::list::{Page, Window};
use crate::store::setup::{DeadLetter, DeadLetters, Setup};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DeadFilter {
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists dead letters, oldest first.
#[utoipa::path(get, path = "/outbox/dead", tag = "events", params(DeadFilter), responses((status = 200, body = Page<DeadLetter>)))]
pub async fn dead(State(app): State<App>, reader: Reader, Params(filter): Params<DeadFilter>) -> Result<Response, Error> {
    let window = Window::parse(filter.limit, filter.cursor.as_deref())?;
    let (_, page) = app.engine.list(&reader.envelope, act::RUN_OUTBOX, &DeadLetters { window }).await?;
    Ok(reader.hashed(&page))
}

/// Sends a dead letter back: it is tried again, and gets the seq of that turn.
#[utoipa::path(post, path = "/outbox/{id}/redrive", tag = "events", params(("id" = Uuid, Path)), request_body = NoBody, responses((status = 200, body = DeadLetter)))]
pub async fn redrive(State(app): State<App>, Id(id): Id, posted: Posted<NoBody>) -> Result<Answer, Error> {
    app.engine.change(&posted.envelope, act::RUN_OUTBOX, &Setup::Redrive(id)).await
}
