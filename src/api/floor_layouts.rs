//! Floor layouts: drawn, and brought into force.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use workflows::act;

use super::extract::{Id, Keyed, Params, Reader};
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::list::{Page, Window};
use crate::store::neighbour::{
    Activation, DrawnVersion, KnownLayout, Layout, LayoutActivation, LayoutDrawing, Layouts, Neighbour, NewLayout, OneLayout,
};
use crate::store::setup::Setup;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct LayoutPage {
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists the layouts.
#[utoipa::path(get, path = "/floor-layouts", tag = "neighbours", params(LayoutPage), responses((status = 200, body = Page<Layout>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<LayoutPage>) -> Result<Response, Error> {
    let window = Window::parse(filter.limit, filter.cursor.as_deref())?;
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &Layouts { window }).await?;
    Ok(reader.hashed(&page))
}

/// Reads a layout: its latest version, and its activation if it is in force.
#[utoipa::path(get, path = "/floor-layouts/{id}", tag = "neighbours", params(("id" = Uuid, Path)), responses((status = 200, body = KnownLayout)))]
pub async fn read(State(app): State<App>, reader: Reader, Id(id): Id) -> Result<Response, Error> {
    let (_, layout) = app.engine.list(&reader.envelope, act::READ_FLOOR, &OneLayout { id }).await?;
    Ok(reader.hashed(&layout))
}

/// Names a layout; its first version is drawn next.
#[utoipa::path(post, path = "/floor-layouts", tag = "neighbours", request_body = NewLayout, responses((status = 201, body = Layout)))]
pub async fn create(State(app): State<App>, Keyed(posted): Keyed<NewLayout>) -> Result<Answer, Error> {
    let change = Setup::Neighbour(Box::new(Neighbour::AddLayout(posted.body)));
    app.engine.change(&posted.envelope, act::DRAW_LAYOUT, &change).await
}

/// Draws the next version of a layout: pits, and places for tables.
#[utoipa::path(post, path = "/floor-layouts/{id}/versions", tag = "neighbours", params(("id" = Uuid, Path)), request_body = LayoutDrawing, responses((status = 201, body = DrawnVersion)))]
pub async fn draw(State(app): State<App>, Id(id): Id, Keyed(posted): Keyed<LayoutDrawing>) -> Result<Answer, Error> {
    let change = Setup::Neighbour(Box::new(Neighbour::DrawLayout {
        layout_id: id,
        drawing: posted.body,
    }));
    app.engine.change(&posted.envelope, act::DRAW_LAYOUT, &change).await
}

/// Brings a version into force: its tables go into service, in its pits, and all others out of it. A table with a live session is left as it is,
/// and reported.
#[utoipa::path(post, path = "/floor-layouts/{id}/activate", tag = "neighbours", params(("id" = Uuid, Path)), request_body = LayoutActivation, responses((status = 200, body = Activation)))]
pub async fn activate(State(app): State<App>, Id(id): Id, Keyed(posted): Keyed<LayoutActivation>) -> Result<Answer, Error> {
    let key = posted.envelope.key_name().map(ToOwned::to_owned);
    let change = Setup::Neighbour(Box::new(Neighbour::ActivateLayout {
        layout_id: id,
        ask: posted.body,
        key,
    }));
    app.engine.change(&posted.envelope, act::ACTIVATE_LAYOUT, &change).await
}
