//! Checkpoints: mid-shift figures, kept to be compared with.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use workflows::act;

use super::extract::{Id, Keyed, Params, Reader};
use super::metrics::MetricsFilter;
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::checkpoint::{Checkpoint, Checkpoints, NewCheckpoint, Since, SinceCheckpoint};
use crate::store::list::{Page, Window};
use crate::store::setup::Setup;

/// The window to keep, named as for the metrics; none of them: the shift that runs now, or else the gaming day.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointOf {
    #[serde(default)]
    shift_id: Option<Uuid>,
    #[serde(default)]
    gaming_day: Option<NaiveDate>,
    #[serde(default)]
    window_start: Option<DateTime<Utc>>,
    /// Exclusive; at most 48 hours after the start.
    #[serde(default)]
    window_end: Option<DateTime<Utc>>,
    #[serde(default)]
    note: Option<String>,
}

impl CheckpointOf {
    fn read(self) -> Result<NewCheckpoint, Error> {
        let filter = MetricsFilter {
            shift_id: self.shift_id,
            gaming_day: self.gaming_day,
            window_start: self.window_start,
            window_end: self.window_end,
        };
        let is_named = self.shift_id.is_some() || self.gaming_day.is_some() || self.window_start.is_some() || self.window_end.is_some();
        let asked = is_named.then(|| filter.asked().map_err(of_the_body)).transpose()?;
        Ok(NewCheckpoint { asked, note: self.note })
    }
}

/// The same refusal, of a window that stood in a body and not in a query.
fn of_the_body(error: Error) -> Error {
    if let Error::Malformed(told) = &error {
        return Error::Malformed(told.replacen("query: ", "body: ", 1));
    }
    error
}

/// Keeps the figures of a window as they stand.
#[utoipa::path(post, path = "/checkpoints", tag = "metrics", request_body = CheckpointOf, responses((status = 201, body = Checkpoint)))]
pub async fn take(State(app): State<App>, Keyed(posted): Keyed<CheckpointOf>) -> Result<Answer, Error> {
    let setup = Setup::TakeCheckpoint(Box::new(posted.body.read()?));
    app.engine.change(&posted.envelope, act::TAKE_CHECKPOINT, &setup).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct CheckpointFilter {
    shift_id: Option<Uuid>,
    gaming_day: Option<NaiveDate>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists checkpoints as they were taken, each with the casino's figures.
#[utoipa::path(get, path = "/checkpoints", tag = "metrics", params(CheckpointFilter), responses((status = 200, body = Page<Checkpoint>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<CheckpointFilter>) -> Result<Response, Error> {
    let query = Checkpoints {
        window: Window::parse(filter.limit, filter.cursor.as_deref())?,
        shift_id: filter.shift_id,
        gaming_day: filter.gaming_day,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_COUNTS, &query).await?;
    Ok(reader.hashed(&page))
}

/// Reads what has changed since. Where a figure is not known on one side there is no change, and the side is named.
#[utoipa::path(get, path = "/checkpoints/{id}/delta", tag = "metrics", params(("id" = Uuid, Path)), responses((status = 200, body = Since)))]
pub async fn delta(State(app): State<App>, reader: Reader, Id(id): Id) -> Result<Response, Error> {
    let (_, since) = app.engine.list(&reader.envelope, act::READ_COUNTS, &SinceCheckpoint(id)).await?;
    // The moment of reading is no part of what has changed.
    let tag = Reader::tag(&since.delta);
    Ok(reader.tagged(&since, tag))
}
