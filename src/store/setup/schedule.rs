//! Schedules, as an admin writes them.
//!
//! A schedule that is changed where that moves its firings, or that is taken up again after a pause, fires next after the moment of the
//! change. What a pause has swallowed is not made up for: whoever pauses a job does not want it. `catch_up` is for firings that passed
//! while no daemon was there.

use chrono::{DateTime, Utc};
use entities::schedule::{Column, Entity, Model};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::job;
use workflows::record::Schedule;
use workflows::refusal::Refusal;
use workflows::timetable::{CatchUp, FoldPolicy, GapPolicy, MAX_CATCH_UP, Timetable};
use workflows::word::{JobKind, Overlap};

use super::form::{Form, MAX_LABEL, given};
use super::{Changed, Tx, dressed, expect_version, json_of, one_more, page};
use crate::answer::Answer;
use crate::error::Error;
use crate::store::fault::Fault;
use crate::store::list::{Page, Query, Window};

/// A catch-up reaches back at most a leap year.
const MAX_WINDOW_MINUTES: i32 = 366 * 24 * 60;
const MAX_ATTEMPTS: i32 = 100;

/// A new schedule. What is left out is as the daemon thinks best.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSchedule {
    pub name: String,
    pub job_kind: JobKind,
    /// Five fields (minute, hour, day of month, month, day of week), six (second first), or a nickname such as `@daily`.
    pub cron: String,
    /// IANA name; the casino's own unless given.
    #[serde(default)]
    pub timezone: Option<String>,
    #[serde(default)]
    pub gap: GapPolicy,
    #[serde(default)]
    pub fold: FoldPolicy,
    /// What the job is told; which words there are depends on its kind.
    #[serde(default = "no_params")]
    #[schema(value_type = Object)]
    pub params: Value,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// `latest` unless given.
    #[serde(default = "latest")]
    pub catch_up: CatchUp,
    /// 1 to 1,000; 100 unless given.
    #[serde(default = "a_hundred")]
    pub catch_up_max: i32,
    /// A day unless given, at most a year.
    #[serde(default = "a_day")]
    pub catch_up_window_minutes: i32,
    /// `queue` unless given.
    #[serde(default = "queue")]
    pub overlap: Overlap,
    /// 1 to 100; 5 unless given.
    #[serde(default = "five")]
    pub max_attempts: i32,
}

fn no_params() -> Value {
    Value::Object(serde_json::Map::new())
}

const fn yes() -> bool {
    true
}

const fn latest() -> CatchUp {
    CatchUp::Latest
}

const fn a_hundred() -> i32 {
    100
}

const fn a_day() -> i32 {
    24 * 60
}

const fn queue() -> Overlap {
    Overlap::Queue
}

const fn five() -> i32 {
    5
}

/// What may change of a schedule; what is absent stays as it is. Its job's kind never changes: that would be another schedule.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleChange {
    #[serde(default, deserialize_with = "given")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub cron: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub timezone: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub gap: Option<GapPolicy>,
    #[serde(default, deserialize_with = "given")]
    pub fold: Option<FoldPolicy>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Object>)]
    pub params: Option<Value>,
    /// false pauses, true resumes: from now on, without what the pause has swallowed.
    #[serde(default, deserialize_with = "given")]
    pub enabled: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    pub catch_up: Option<CatchUp>,
    #[serde(default, deserialize_with = "given")]
    pub catch_up_max: Option<i32>,
    #[serde(default, deserialize_with = "given")]
    pub catch_up_window_minutes: Option<i32>,
    #[serde(default, deserialize_with = "given")]
    pub overlap: Option<Overlap>,
    #[serde(default, deserialize_with = "given")]
    pub max_attempts: Option<i32>,
}

impl ScheduleChange {
    fn apply(&self, schedule: &mut Schedule) {
        macro_rules! take {
            ($($field:ident),+) => { $(if let Some(value) = &self.$field { schedule.$field.clone_from(value); })+ };
        }
        take!(name, cron, timezone, gap, fold, params, enabled, catch_up);
        take!(catch_up_max, catch_up_window_minutes, overlap, max_attempts);
    }
}

/// Judges a schedule as it would be: every flaw at once.
fn judge(schedule: &mut Schedule) -> Result<Timetable, Refusal> {
    let mut form = Form::default();
    schedule.name = form.text("/name", &schedule.name, MAX_LABEL);
    form.within("/catch_up_max", &schedule.catch_up_max, &(1..=most_made_up_for()));
    form.within(
        "/catch_up_window_minutes",
        &schedule.catch_up_window_minutes,
        &(1..=MAX_WINDOW_MINUTES),
    );
    form.within("/max_attempts", &schedule.max_attempts, &(1..=MAX_ATTEMPTS));
    let timetable = job::timetable(schedule);
    let params = job::flaws_of_params(schedule.job_kind, &schedule.params);
    for flaw in timetable.as_ref().err().into_iter().flatten().chain(&params) {
        form.flaw(&flaw.pointer, &flaw.message);
    }
    form.judge()?;
    timetable.map_err(Refusal::Invalid)
}

fn most_made_up_for() -> i32 {
    i32::try_from(MAX_CATCH_UP).unwrap_or(i32::MAX)
}

fn next_fire_at(schedule: &Schedule, timetable: &Timetable, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    timetable.next(at).filter(|_| schedule.enabled).map(|firing| firing.at)
}

/// What decides when a schedule fires.
fn pace(schedule: &Schedule) -> (&str, &str, GapPolicy, FoldPolicy, bool) {
    (&schedule.cron, &schedule.timezone, schedule.gap, schedule.fold, schedule.enabled)
}

impl Tx {
    pub(super) async fn add_schedule(&self, context: &Context, new: &NewSchedule) -> Result<Changed, Error> {
        let mut schedule = Schedule {
            id: (context.new_id)(),
            casino_id: context.casino.id,
            name: new.name.clone(),
            job_kind: new.job_kind,
            cron: new.cron.trim().to_owned(),
            timezone: new.timezone.clone().unwrap_or_else(|| context.casino.timezone.clone()),
            gap: new.gap,
            fold: new.fold,
            params: new.params.clone(),
            enabled: new.enabled,
            catch_up: new.catch_up,
            catch_up_max: new.catch_up_max,
            catch_up_window_minutes: new.catch_up_window_minutes,
            overlap: new.overlap,
            max_attempts: new.max_attempts,
            next_fire_at: None,
            missed_firings: 0,
            version: 1,
            created_at: context.at,
        };
        let timetable = judge(&mut schedule)?;
        schedule.next_fire_at = next_fire_at(&schedule, &timetable, context.at);
        let schedule: Schedule = dressed(&self.insert(dressed::<Model>(&schedule)?).await?)?;
        Ok(Changed::created(
            "schedule.create",
            "schedule",
            Answer::created(&schedule).version(schedule.version),
        ))
    }

    pub(super) async fn change_schedule(
        &self,
        context: &Context,
        id: Uuid,
        change: &ScheduleChange,
        if_match: Option<i64>,
    ) -> Result<Changed, Error> {
        let row = self.lock_schedule(context, id).await?;
        expect_version(if_match, row.version)?;
        let was: Schedule = dressed(&row)?;
        let mut is = was.clone();
        change.apply(&mut is);
        let timetable = judge(&mut is)?;
        // Another name must not lose a firing that is due at this moment.
        if pace(&is) != pace(&was) {
            is.next_fire_at = next_fire_at(&is, &timetable, context.at);
        }
        if is != was {
            is.version += 1;
            self.replace(row, &dressed(&is)?).await?;
        }
        Ok(Changed::updated(
            "schedule.change",
            "schedule",
            &json_of(&was)?,
            Answer::ok(&is).version(is.version),
        ))
    }

    async fn lock_schedule(&self, context: &Context, id: Uuid) -> Result<Model, Error> {
        let row = Entity::find_by_id(id)
            .filter(Column::CasinoId.eq(context.casino.id))
            .lock(LockType::NoKeyUpdate);
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        Ok(row.ok_or(Refusal::NotFound("schedule"))?)
    }
}

/// `GET /schedules`.
#[derive(Clone, Debug)]
pub struct Schedules {
    pub window: Window,
    pub job_kind: Option<JobKind>,
    pub enabled: Option<bool>,
}

impl Query for Schedules {
    type Answer = Page<Schedule>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page<Schedule>, Error> {
        let rows = Entity::find()
            .filter(Column::CasinoId.eq(context.casino.id))
            .apply_if(self.job_kind, |rows, kind| rows.filter(Column::JobKind.eq(kind.to_string())))
            .apply_if(self.enabled, |rows, enabled| rows.filter(Column::Enabled.eq(enabled)))
            .apply_if(self.window.after, |rows, after| rows.filter(Column::Id.gt(after)))
            .order_by_asc(Column::Id)
            .limit(one_more(self.window).unsigned_abs());
        let rows = rows.all(tx.connection()).await.map_err(Fault::from)?;
        let schedules = rows.iter().map(dressed).collect::<Result<_, _>>()?;
        Ok(page(schedules, self.window, |schedule: &Schedule| schedule.id))
    }
}

/// One schedule.
#[derive(Clone, Copy, Debug)]
pub struct OneSchedule(pub Uuid);

impl Query for OneSchedule {
    type Answer = Schedule;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Schedule, Error> {
        let row = Entity::find_by_id(self.0)
            .filter(Column::CasinoId.eq(context.casino.id))
            .one(tx.connection())
            .await;
        dressed(&row.map_err(Fault::from)?.ok_or(Refusal::NotFound("schedule"))?)
    }
}
