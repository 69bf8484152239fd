//! Visits: who is in the house.

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;
use workflows::act;
use workflows::event::VisitKind;
use workflows::visit::Visit;

use super::extract::{Id, Keyed, NoBody, Params, Posted, Reader};
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::list::{Page, Window};
use crate::store::neighbour::{Neighbour, NewVisit, Visits};
use crate::store::setup::Setup;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct VisitFilter {
    player_id: Option<Uuid>,
    visit_kind: Option<VisitKind>,
    gaming_day: Option<NaiveDate>,
    open: Option<bool>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists visits, in the order in which they started.
#[utoipa::path(get, path = "/visits", tag = "neighbours", params(VisitFilter), responses((status = 200, body = Page<Visit>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<VisitFilter>) -> Result<Response, Error> {
    let query = Visits {
        window: Window::parse(filter.limit, filter.cursor.as_deref())?,
        player_id: filter.player_id,
        visit_kind: filter.visit_kind,
        gaming_day: filter.gaming_day,
        open: filter.open,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&page))
}

/// Starts a visit. A ghost has no player; everybody else names theirs, who has no other open visit.
#[utoipa::path(post, path = "/visits", tag = "neighbours", request_body = NewVisit, responses((status = 201, body = Visit)))]
pub async fn start(State(app): State<App>, Keyed(posted): Keyed<NewVisit>) -> Result<Answer, Error> {
    let change = Setup::Neighbour(Box::new(Neighbour::StartVisit(posted.body)));
    app.engine.change(&posted.envelope, act::START_VISIT, &change).await
}

/// Ends a visit. Refused while a rating slip of it is not closed.
#[utoipa::path(post, path = "/visits/{id}/close", tag = "neighbours", params(("id" = Uuid, Path)), request_body = NoBody, responses((status = 200, body = Visit)))]
pub async fn close(State(app): State<App>, Id(id): Id, posted: Posted<NoBody>) -> Result<Answer, Error> {
    let change = Setup::Neighbour(Box::new(Neighbour::CloseVisit(id)));
    app.engine.change(&posted.envelope, act::CLOSE_VISIT, &change).await
}

/// Makes a rated visit of a reward visit. One way.
#[utoipa::path(post, path = "/visits/{id}/convert", tag = "neighbours", params(("id" = Uuid, Path)), request_body = NoBody, responses((status = 200, body = Visit)))]
pub async fn convert(State(app): State<App>, Id(id): Id, posted: Posted<NoBody>) -> Result<Answer, Error> {
    let change = Setup::Neighbour(Box::new(Neighbour::ConvertVisit(id)));
    app.engine.change(&posted.envelope, act::CONVERT_VISIT, &change).await
}
