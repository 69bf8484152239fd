//! Tables on the floor: made known, in service or not, and their par.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use workflows::act;
use workflows::record::Par;
use workflows::word::{GameType, TableStatus};

use super::extract::NoBody;
use super::extract::{CsvFile, Id, Keyed, Params, Posted, Reader};
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::list::{Page, Window};
use crate::store::setup::{KnownTable, NewPar, NewTable, ParSheet, Setup, SheetTaken, TableChange, Tables};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct TableFilter {
    status: Option<TableStatus>,
    #[serde(rename = "type")]
    game: Option<GameType>,
    pit: Option<String>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists the tables, each with the par in force today and its live session.
#[utoipa::path(get, path = "/tables", tag = "set-up", params(TableFilter), responses((status = 200, body = Page<KnownTable>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<TableFilter>) -> Result<Response, Error> {
    let window = Window::parse(filter.limit, filter.cursor.as_deref())?;
    let query = Tables {
        window,
        id: None,
        status: filter.status,
        game: filter.game,
        pit: filter.pit,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&page))
}

/// Adds a table, out of service.
#[utoipa::path(post, path = "/tables", tag = "set-up", request_body = NewTable, responses((status = 201, body = KnownTable)))]
pub async fn create(State(app): State<App>, Keyed(posted): Keyed<NewTable>) -> Result<Answer, Error> {
    app.engine
        .change(&posted.envelope, act::SET_UP, &Setup::AddTable(posted.body))
        .await
}

/// Changes label, type or pit; what is absent stays.
#[utoipa::path(patch, path = "/tables/{id}", tag = "set-up", params(("id" = Uuid, Path)), request_body = TableChange, responses((status = 200, body = KnownTable)))]
pub async fn patch(State(app): State<App>, Id(id): Id, posted: Posted<TableChange>) -> Result<Answer, Error> {
    app.engine
        .change(&posted.envelope, act::SET_UP, &Setup::ChangeTable { id, change: posted.body })
        .await
}

/// Brings a table into service. One that is in service already stays so.
#[utoipa::path(post, path = "/tables/{id}/activate", tag = "set-up", params(("id" = Uuid, Path)), request_body = NoBody, responses((status = 200, body = KnownTable)))]
pub async fn activate(State(app): State<App>, Id(id): Id, posted: Posted<NoBody>) -> Result<Answer, Error> {
    app.engine.change(&posted.envelope, act::SET_UP, &Setup::ActivateTable(id)).await
}

/// Takes a table out of service. Refused while a session is live on it.
#[utoipa::path(post, path = "/tables/{id}/deactivate", tag = "set-up", params(("id" = Uuid, Path)), request_body = NoBody, responses((status = 200, body = KnownTable)))]
pub async fn deactivate(State(app): State<App>, Id(id): Id, posted: Posted<NoBody>) -> Result<Answer, Error> {
    app.engine.change(&posted.envelope, act::SET_UP, &Setup::DeactivateTable(id)).await
}

/// Sets the par of a table from a gaming day on. Sessions already opened keep theirs.
#[utoipa::path(post, path = "/tables/{id}/par", tag = "set-up", params(("id" = Uuid, Path)), request_body = NewPar, responses((status = 201, body = Par)))]
pub async fn set_par(State(app): State<App>, Id(id): Id, Keyed(posted): Keyed<NewPar>) -> Result<Answer, Error> {
    app.engine
        .change(
            &posted.envelope,
            act::SET_UP,
            &Setup::SetPar {
                table_id: id,
                par: posted.body,
            },
        )
        .await
}

/// Takes a par sheet: columns `table,game,pit,par_cents`. Unknown tables are added out of service, and where the par differs it is set from
/// today on. All rows or none.
#[utoipa::path(post, path = "/tables/import", tag = "set-up", request_body(content = String, content_type = "text/csv"), responses((status = 200, body = SheetTaken)))]
pub async fn import(State(app): State<App>, file: CsvFile) -> Result<Answer, Error> {
    let sheet = ParSheet::read(&file.bytes)?;
    app.engine.change(&file.envelope, act::SET_UP, &Setup::ImportParSheet(sheet)).await
}
