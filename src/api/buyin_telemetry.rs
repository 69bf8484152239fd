//! Buy-ins as the pit sees them: entered by hand, taken back, read. Those of rated players that finance knows come over the bridge.

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;
use workflows::act;
use workflows::buyin::{Buyin, Entry};
use workflows::event::TelemetryKind;

use super::extract::{Id, Keyed, NoBody, Params, Reader};
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::buyin::Buyins;
use crate::store::list::{Page, Window};
use crate::store::setup::Setup;

/// Logs a buy-in that finance does not know, or adjusts one. Repeated under its `idempotency_key` it is answered as it was, for ever;
/// another entry under that key is refused. For a FINALIZED session it is stored, flagged and raises LATE_EVENT.
#[utoipa::path(post, path = "/buyin-telemetry", tag = "telemetry", request_body = Entry, responses((status = 201, body = Buyin)))]
pub async fn log(State(app): State<App>, Keyed(posted): Keyed<Entry>) -> Result<Answer, Error> {
    let setup = Setup::LogBuyin(Box::new(posted.body));
    app.engine.change(&posted.envelope, act::LOG_BUYIN, &setup).await
}

/// Takes back one's own entry within 15 minutes, by an adjustment of the opposite amount. Once: a repetition is answered as the first.
#[utoipa::path(post, path = "/buyin-telemetry/{id}/undo", tag = "telemetry", params(("id" = Uuid, Path)), request_body = NoBody, responses((status = 201, body = Buyin)))]
pub async fn undo(State(app): State<App>, Id(id): Id, Keyed(posted): Keyed<NoBody>) -> Result<Answer, Error> {
    app.engine.change(&posted.envelope, act::UNDO_BUYIN, &Setup::UndoBuyin(id)).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct BuyinFilter {
    table_id: Option<Uuid>,
    gaming_day: Option<NaiveDate>,
    visit_id: Option<Uuid>,
    kind: Option<TelemetryKind>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists buy-ins in the order in which they were written.
#[utoipa::path(get, path = "/buyin-telemetry", tag = "telemetry", params(BuyinFilter), responses((status = 200, body = Page<Buyin>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<BuyinFilter>) -> Result<Response, Error> {
    let query = Buyins {
        window: Window::parse(filter.limit, filter.cursor.as_deref())?,
        table_id: filter.table_id,
        gaming_day: filter.gaming_day,
        visit_id: filter.visit_id,
        kind: filter.kind,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&page))
}
