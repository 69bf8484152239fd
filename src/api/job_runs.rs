//! Runs: what has fired, how far it is, what came of it, and how a dead one is sent back.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;
use workflows::act;
use workflows::record::JobRun;
use workflows::word::{JobKind, RunStatus};

use super::extract::{Id, NoBody, Params, Posted, Reader};
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::list::{Page, Window};
use crate::store::setup::{JobRuns, OneJobRun, Setup};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RunFilter {
    schedule_id: Option<Uuid>,
    status: Option<RunStatus>,
    job_kind: Option<JobKind>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists runs, oldest first.
#[utoipa::path(get, path = "/job-runs", tag = "jobs", params(RunFilter), responses((status = 200, body = Page<JobRun>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<RunFilter>) -> Result<Response, Error> {
    let query = JobRuns {
        window: Window::parse(filter.limit, filter.cursor.as_deref())?,
        schedule_id: filter.schedule_id,
        status: filter.status,
        job_kind: filter.job_kind,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&page))
}

/// One run: `done` of `total` while it is under way, then what it came to.
#[utoipa::path(get, path = "/job-runs/{id}", tag = "jobs", params(("id" = Uuid, Path)), responses((status = 200, body = JobRun)))]
pub async fn read(State(app): State<App>, reader: Reader, Id(id): Id) -> Result<Response, Error> {
    let (_, run) = app.engine.list(&reader.envelope, act::READ_FLOOR, &OneJobRun(id)).await?;
    Ok(reader.versioned(&run, run.version))
}

/// Sends a dead run back, with as many new attempts as its schedule gives; what it had done stays done.
#[utoipa::path(post, path = "/job-runs/{id}/retry", tag = "jobs", params(("id" = Uuid, Path)), request_body = NoBody, responses((status = 200, body = JobRun)))]
pub async fn retry(State(app): State<App>, Id(id): Id, posted: Posted<NoBody>) -> Result<Answer, Error> {
    app.engine.change(&posted.envelope, act::SCHEDULE, &Setup::RetryRun(id)).await
}
