//! The machines as data: what may happen, and what must be there for it.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use workflows::act;
use workflows::diagram::{self, Format};
use workflows::refusal::Refusal;

use super::extract::{Params, Reader};
use crate::app::App;
use crate::error::Error;
use crate::store::desk::Ask;

/// Lists the machines.
#[utoipa::path(get, path = "/workflows", tag = "workflows", responses((status = 200, body = Vec<String>)))]
pub async fn list(State(app): State<App>, reader: Reader) -> Result<Response, Error> {
    app.engine.read(&reader.envelope, act::READ_FLOOR, &Ask::default()).await?;
    Ok(reader.hashed(&diagram::NAMES))
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Drawing {
    #[default]
    Json,
    Mermaid,
    Dot,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DrawingChoice {
    #[serde(default)]
    #[param(inline)]
    format: Drawing,
}

/// Reads one machine: states, edges, triggers, gates, roles.
#[utoipa::path(get, path = "/workflows/{name}", tag = "workflows", params(("name" = String, Path), DrawingChoice), responses((status = 200, description = "the machine in the format asked for")))]
pub async fn read(
    State(app): State<App>,
    reader: Reader,
    Path(name): Path<String>,
    Params(choice): Params<DrawingChoice>,
) -> Result<Response, Error> {
    app.engine.read(&reader.envelope, act::READ_FLOOR, &Ask::default()).await?;
    let (format, content_type) = match choice.format {
        Drawing::Json => (Format::Json, "application/json"),
        Drawing::Mermaid => (Format::Mermaid, "text/vnd.mermaid; charset=utf-8"),
        Drawing::Dot => (Format::Dot, "text/vnd.graphviz; charset=utf-8"),
    };
    let text = diagram::draw(&name, format).ok_or(Refusal::NotFound("workflow"))?;
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}
