//! Shifts: their templates, what was opened from them, and what they prove.

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use serde::Deserialize;
use utoipa::IntoParams;
use workflows::act;
use workflows::record::{Shift, ShiftTemplate};
use workflows::word::{ShiftStatus, SummaryStatus};

use super::extract::{Id, Keyed, Params, Posted, Reader};
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::list::{Page, Window};
use crate::store::setup::{NewShiftTemplate, Setup, ShiftTemplateChange, ShiftTemplates};
use crate::store::shifts::{ShiftProof, ShiftProofOf, Shifts};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct TemplatePage {
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists the shifts as they are planned.
#[utoipa::path(get, path = "/shift-templates", tag = "shifts", params(TemplatePage), responses((status = 200, body = Page<ShiftTemplate>)))]
pub async fn templates(State(app): State<App>, reader: Reader, Params(filter): Params<TemplatePage>) -> Result<Response, Error> {
    let window = Window::parse(filter.limit, filter.cursor.as_deref())?;
    let (_, page) = app
        .engine
        .list(&reader.envelope, act::READ_FLOOR, &ShiftTemplates { window })
        .await?;
    Ok(reader.hashed(&page))
}

/// Plans a shift, in the casino's local time.
#[utoipa::path(post, path = "/shift-templates", tag = "shifts", request_body = NewShiftTemplate, responses((status = 201, body = ShiftTemplate)))]
pub async fn create_template(State(app): State<App>, Keyed(posted): Keyed<NewShiftTemplate>) -> Result<Answer, Error> {
    let setup = Setup::AddShiftTemplate(posted.body);
    app.engine.change(&posted.envelope, act::SET_UP, &setup).await
}

/// Plans it otherwise, from the next shift on.
#[utoipa::path(patch, path = "/shift-templates/{id}", tag = "shifts", params(("id" = Uuid, Path)), request_body = ShiftTemplateChange, responses((status = 200, body = ShiftTemplate)))]
pub async fn patch_template(State(app): State<App>, Id(id): Id, posted: Posted<ShiftTemplateChange>) -> Result<Answer, Error> {
    let setup = Setup::ChangeShiftTemplate { id, change: posted.body };
    app.engine.change(&posted.envelope, act::SET_UP, &setup).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ShiftFilter {
    gaming_day: Option<NaiveDate>,
    status: Option<ShiftStatus>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists shifts, in the order in which they were opened.
#[utoipa::path(get, path = "/shifts", tag = "shifts", params(ShiftFilter), responses((status = 200, body = Page<Shift>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<ShiftFilter>) -> Result<Response, Error> {
    let query = Shifts {
        window: Window::parse(filter.limit, filter.cursor.as_deref())?,
        gaming_day: filter.gaming_day,
        status: filter.status,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&page))
}

/// What a shift proves, and what it still waits for. Final once READY.
#[utoipa::path(get, path = "/shifts/{id}/summary", tag = "shifts", params(("id" = Uuid, Path)), responses((status = 200, body = ShiftProof)))]
pub async fn summary(State(app): State<App>, reader: Reader, Id(id): Id) -> Result<Response, Error> {
    let query = ShiftProofOf { shift_id: id };
    let (_, proof) = app.engine.list(&reader.envelope, act::READ_COUNTS, &query).await?;
    if proof.summary.status == SummaryStatus::Ready {
        return Ok(reader.versioned(&proof, proof.summary.version));
    }
    // Before it is final it is summed up anew by every read: the moment of that is no news.
    let tag = Reader::tag(&(&proof.shift, &proof.parts, &proof.summary.lines));
    Ok(reader.tagged(&proof, tag))
}
