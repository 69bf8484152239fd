//! Slip numbers: every number of a series accounted for, and ranges for slips written by hand.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use workflows::act;
use workflows::record::ManualRange;
use workflows::word::SlipKind;

use super::extract::NoBody;
use super::extract::{Id, Keyed, Params, Posted, Reader};
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::list::Page;
use crate::store::setup::{NewRange, SeriesOf, Setup, SlipSeries};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SeriesFilter {
    /// Both unless given.
    kind: Option<SlipKind>,
    /// A gaming day (`YYYY-MM-DD`) or a year (`YYYY`); the one in use now unless given.
    scope_key: Option<String>,
}

/// Accounts for every number: used, void, set aside, missing.
#[utoipa::path(get, path = "/slip-series", tag = "slips", params(SeriesFilter), responses((status = 200, body = Page<SlipSeries>)))]
pub async fn read(State(app): State<App>, reader: Reader, Params(filter): Params<SeriesFilter>) -> Result<Response, Error> {
    let query = SeriesOf::parse(filter.kind, filter.scope_key.as_deref())?;
    let (_, series) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&series))
}

/// Sets the next numbers of a series aside, for slips written by hand while the daemon cannot be reached.
#[utoipa::path(post, path = "/slip-series/manual-ranges", tag = "slips", request_body = NewRange, responses((status = 201, body = ManualRange)))]
pub async fn reserve(State(app): State<App>, Keyed(posted): Keyed<NewRange>) -> Result<Answer, Error> {
    app.engine
        .change(&posted.envelope, act::RESERVE_NUMBERS, &Setup::ReserveNumbers(posted.body))
        .await
}

/// Closes a manual range, once: its unused numbers are missing from then on.
#[utoipa::path(post, path = "/slip-series/manual-ranges/{id}/close", tag = "slips", params(("id" = Uuid, Path)), request_body = NoBody, responses((status = 200, body = ManualRange)))]
pub async fn close(State(app): State<App>, Id(id): Id, posted: Posted<NoBody>) -> Result<Answer, Error> {
    app.engine
        .change(&posted.envelope, act::RESERVE_NUMBERS, &Setup::CloseRange(id))
        .await
}
