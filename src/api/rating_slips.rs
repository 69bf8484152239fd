//! Rating slips: who plays where, for how long, betting what.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;
use workflows::act;
use workflows::event::RatingSlipStatus;
use workflows::refusal::Refusal;

use super::extract::{Id, Keyed, Params, Posted, Reader};
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::list::{Page, Window};
use crate::store::neighbour::{KnownRatingSlip, Neighbour, NewRatingSlip, RatingSlipChange, RatingSlipClosing, RatingSlips};
use crate::store::setup::Setup;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RatingSlipFilter {
    visit_id: Option<Uuid>,
    table_id: Option<Uuid>,
    status: Option<RatingSlipStatus>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists rating slips, in the order in which they were opened.
#[utoipa::path(get, path = "/rating-slips", tag = "neighbours", params(RatingSlipFilter), responses((status = 200, body = Page<KnownRatingSlip>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<RatingSlipFilter>) -> Result<Response, Error> {
    let query = RatingSlips {
        window: Window::parse(filter.limit, filter.cursor.as_deref())?,
        id: None,
        visit_id: filter.visit_id,
        table_id: filter.table_id,
        status: filter.status,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&page))
}

/// Reads one rating slip.
#[utoipa::path(get, path = "/rating-slips/{id}", tag = "neighbours", params(("id" = Uuid, Path)), responses((status = 200, body = KnownRatingSlip)))]
pub async fn read(State(app): State<App>, reader: Reader, Id(id): Id) -> Result<Response, Error> {
    let query = RatingSlips {
        window: Window { after: None, limit: 1 },
        id: Some(id),
        visit_id: None,
        table_id: None,
        status: None,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    let slip = page.items.first().ok_or(Refusal::NotFound("rating slip"))?;
    // Minutes pass without a new version: what is told has its own tag.
    Ok(reader.hashed(slip))
}

/// Seats a visit at a table in play.
#[utoipa::path(post, path = "/rating-slips", tag = "neighbours", request_body = NewRatingSlip, responses((status = 201, body = KnownRatingSlip)))]
pub async fn open(State(app): State<App>, Keyed(posted): Keyed<NewRatingSlip>) -> Result<Answer, Error> {
    let change = Setup::Neighbour(Box::new(Neighbour::OpenRatingSlip(posted.body)));
    app.engine.change(&posted.envelope, act::OPEN_RATING_SLIP, &change).await
}

/// Changes average bet or seat, pauses and resumes, or moves to another table: a move closes this slip and answers with the one that follows it.
#[utoipa::path(patch, path = "/rating-slips/{id}", tag = "neighbours", params(("id" = Uuid, Path)), request_body = RatingSlipChange, responses((status = 200, body = KnownRatingSlip)))]
pub async fn patch(State(app): State<App>, Id(id): Id, posted: Posted<RatingSlipChange>) -> Result<Answer, Error> {
    let change = Setup::Neighbour(Box::new(Neighbour::ChangeRatingSlip { id, change: posted.body }));
    app.engine.change(&posted.envelope, act::CHANGE_RATING_SLIP, &change).await
}

/// Ends play on a slip. A table whose close waited for it closes with it.
#[utoipa::path(post, path = "/rating-slips/{id}/close", tag = "neighbours", params(("id" = Uuid, Path)), request_body = RatingSlipClosing, responses((status = 200, body = KnownRatingSlip)))]
pub async fn close(State(app): State<App>, Id(id): Id, posted: Posted<RatingSlipClosing>) -> Result<Answer, Error> {
    let change = Setup::Neighbour(Box::new(Neighbour::CloseRatingSlip { id, closing: posted.body }));
    app.engine.change(&posted.envelope, act::CLOSE_RATING_SLIP, &change).await
}
