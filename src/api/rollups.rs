//! Stored rollups: what tables, pits and the casino come to.

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;
use workflows::act;
use workflows::rollup::Rollup;
use workflows::word::{RollupBy, RollupGrain};

use super::extract::{Params, Reader};
use crate::app::App;
use crate::error::Error;
use crate::store::list::{Page, Window};
use crate::store::rollups::Rollups;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RollupFilter {
    grain: Option<RollupGrain>,
    by: Option<RollupBy>,
    gaming_day: Option<NaiveDate>,
    /// Inclusive.
    from: Option<NaiveDate>,
    /// Inclusive.
    to: Option<NaiveDate>,
    shift_id: Option<Uuid>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists stored rollups by gaming day. Each cell has its version; the ETag changes when one of the page's does.
#[utoipa::path(get, path = "/rollups", tag = "rollups", params(RollupFilter), responses((status = 200, body = Page<Rollup>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<RollupFilter>) -> Result<Response, Error> {
    let query = Rollups {
        limit: Window::parse(filter.limit, None)?.limit,
        after: filter.cursor.as_deref().map(Rollups::cursor).transpose()?,
        grain: filter.grain,
        by: filter.by,
        gaming_day: filter.gaming_day,
        from: filter.from,
        to: filter.to,
        shift_id: filter.shift_id,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_COUNTS, &query).await?;
    Ok(reader.hashed(&page))
}
