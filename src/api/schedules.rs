//! Schedules: when jobs fire, over every change of the clocks, and what becomes of firings that were missed.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use workflows::act;
use workflows::job;
use workflows::record::{JobRun, Schedule};
use workflows::refusal::Refusal;
use workflows::timetable::{DstRule, Firing, MAX_PREVIEW};
use workflows::word::JobKind;

use super::extract::{Id, Keyed, NoBody, Params, PathId, Posted, Reader};
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::list::{Page, Window};
use crate::store::setup::{NewSchedule, OneSchedule, ScheduleChange, Schedules, Setup};

/// How many firings a preview shows unless told.
const DEFAULT_PREVIEW: usize = 10;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ScheduleFilter {
    job_kind: Option<JobKind>,
    /// false: paused.
    enabled: Option<bool>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists the schedules, each with its next firing.
#[utoipa::path(get, path = "/schedules", tag = "jobs", params(ScheduleFilter), responses((status = 200, body = Page<Schedule>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<ScheduleFilter>) -> Result<Response, Error> {
    let query = Schedules {
        window: Window::parse(filter.limit, filter.cursor.as_deref())?,
        job_kind: filter.job_kind,
        enabled: filter.enabled,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&page))
}

/// Makes a schedule. An expression, zone or date that can never fire is refused with what is wrong.
#[utoipa::path(post, path = "/schedules", tag = "jobs", request_body = NewSchedule, responses((status = 201, body = Schedule)))]
pub async fn create(State(app): State<App>, Keyed(posted): Keyed<NewSchedule>) -> Result<Answer, Error> {
    app.engine
        .change(&posted.envelope, act::SCHEDULE, &Setup::AddSchedule(posted.body))
        .await
}

/// Changes a schedule; what is absent stays. `enabled: false` pauses it, `true` lets it fire again from now on.
#[utoipa::path(patch, path = "/schedules/{id}", tag = "jobs", params(("id" = Uuid, Path)), request_body = ScheduleChange, responses((status = 200, body = Schedule)))]
pub async fn patch(State(app): State<App>, Id(id): Id, posted: Posted<ScheduleChange>) -> Result<Answer, Error> {
    let change = Box::new(posted.body);
    app.engine
        .change(&posted.envelope, act::SCHEDULE, &Setup::ChangeSchedule { id, change })
        .await
}

/// Asks for a run now, beside the timetable; a paused schedule runs too.
#[utoipa::path(post, path = "/schedules/{id}/run", tag = "jobs", params(("id" = Uuid, Path)), request_body = NoBody, responses((status = 201, body = JobRun)))]
pub async fn run(State(app): State<App>, Id(id): Id, Keyed(posted): Keyed<NoBody>) -> Result<Answer, Error> {
    app.engine.change(&posted.envelope, act::SCHEDULE, &Setup::RunSchedule(id)).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PreviewSize {
    /// 1 to 200; 10 unless given.
    count: Option<usize>,
}

/// A firing before it happens.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Coming {
    pub fire_at: DateTime<Utc>,
    /// The same moment on the schedule's wall clock, with its distance from UTC.
    #[schema(value_type = String)]
    pub local: String,
    /// The rule that put it there because clocks change; null on an ordinary day.
    pub rule: Option<DstRule>,
    /// The rule in words.
    pub detail: Option<&'static str>,
}

/// The next firings.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Preview {
    pub timezone: String,
    /// false: paused, so none of these will come unless it is resumed.
    pub enabled: bool,
    pub items: Vec<Coming>,
}

/// Shows the next firings from now on, in local time and UTC, and the rule wherever the clocks change.
#[utoipa::path(get, path = "/schedules/{id}/next", tag = "jobs", params(("id" = Uuid, Path), PreviewSize), responses((status = 200, body = Preview)))]
pub async fn next(
    State(app): State<App>,
    reader: Reader,
    PathId(id): PathId,
    Params(size): Params<PreviewSize>,
) -> Result<Response, Error> {
    let count = size.count.unwrap_or(DEFAULT_PREVIEW);
    if !(1..=MAX_PREVIEW).contains(&count) {
        return Err(Error::Malformed(format!("count: 1 to {MAX_PREVIEW}")));
    }
    let (context, schedule) = app.engine.list(&reader.envelope, act::READ_FLOOR, &OneSchedule(id)).await?;
    let timetable = job::timetable(&schedule).map_err(Refusal::Invalid)?;
    let firings = timetable.preview(context.at, count);
    Ok(reader.hashed(&Preview {
        items: firings.iter().map(|firing| coming(firing, timetable.zone)).collect(),
        timezone: schedule.timezone,
        enabled: schedule.enabled,
    }))
}

fn coming(firing: &Firing, zone: Tz) -> Coming {
    Coming {
        fire_at: firing.at,
        local: zone.from_utc_datetime(&firing.at.naive_utc()).to_rfc3339(),
        rule: firing.rule,
        detail: firing.rule.map(in_words),
    }
}

const fn in_words(rule: DstRule) -> &'static str {
    match rule {
        DstRule::GapShift => "the clocks skip the local time: it fires at the next one there is",
        DstRule::FoldFirst => "the local time comes twice: it fires the first time",
        DstRule::FoldSecond => "the local time comes twice: it fires the second time",
        DstRule::FoldBoth => "the local time comes twice: it fires both times",
        DstRule::Interval => "the local time comes twice: an interval goes on through both",
    }
}
