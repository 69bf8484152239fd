//! Drop boxes: made known here; what happens to them is custody's.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;
use workflows::act;
use workflows::word::BoxKind;

use super::extract::{Keyed, Params, Reader};
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::list::{Page, Window};
use crate::store::setup::{DropBoxes, KnownBox, NewDropBox, Setup};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DropBoxFilter {
    /// The table the box belongs to.
    table_id: Option<Uuid>,
    kind: Option<BoxKind>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists the boxes, each with where it stands and whether it is in custody.
#[utoipa::path(get, path = "/drop-boxes", tag = "set-up", params(DropBoxFilter), responses((status = 200, body = Page<KnownBox>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<DropBoxFilter>) -> Result<Response, Error> {
    let window = Window::parse(filter.limit, filter.cursor.as_deref())?;
    let query = DropBoxes {
        window,
        table_id: filter.table_id,
        kind: filter.kind,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&page))
}

/// Adds a box: a standard one belongs to a table, an emergency box to none.
#[utoipa::path(post, path = "/drop-boxes", tag = "set-up", request_body = NewDropBox, responses((status = 201, body = KnownBox)))]
pub async fn create(State(app): State<App>, Keyed(posted): Keyed<NewDropBox>) -> Result<Answer, Error> {
    app.engine
        .change(&posted.envelope, act::SET_UP, &Setup::AddDropBox(posted.body))
        .await
}
