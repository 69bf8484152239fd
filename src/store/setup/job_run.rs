//! Runs of schedules: asked for by hand, sent back after their death, and listed.

use entities::job_run::{Column, Entity};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use uuid::Uuid;
use workflows::case::Context;
use workflows::record::JobRun;
use workflows::refusal::Refusal;
use workflows::word::{JobKind, RunStatus};

use super::{Changed, Tx, dressed, expect_version, json_of, one_more, page};
use crate::answer::Answer;
use crate::error::Error;
use crate::store::fault::Fault;
use crate::store::list::{Page, Query, Window};

impl Tx {
    /// A run beside the timetable, of a paused schedule too. Like every run it waits for the one before it.
    pub(super) async fn run_schedule(&self, context: &Context, id: Uuid) -> Result<Changed, Error> {
        let values = [
            context.casino.id.into(),
            id.into(),
            (context.new_id)().into(),
            context.caller.id.into(),
            context.at.into(),
        ];
        let run: Option<JobRun> = self.json("SELECT clock_ask($1, $2, $3, $4, $5) AS json", values).await?;
        let run = run.ok_or(Refusal::NotFound("schedule"))?;
        Ok(Changed::created(
            "schedule.run",
            "job_run",
            Answer::created(&run).version(run.version),
        ))
    }

    /// A dead run begins anew, where it stopped.
    pub(super) async fn retry_run(&self, context: &Context, id: Uuid, if_match: Option<i64>) -> Result<Changed, Error> {
        let row = Entity::find_by_id(id)
            .filter(Column::CasinoId.eq(context.casino.id))
            .one(self.connection())
            .await;
        let row = row.map_err(Fault::from)?.ok_or(Refusal::NotFound("job run"))?;
        expect_version(if_match, row.version)?;
        let before: JobRun = dressed(&row)?;
        let sent: Option<JobRun> = self.json("SELECT clock_send_back($1) AS json", [id.into()]).await?;
        let Some(sent) = sent else {
            let detail = format!("the run is {}; only a dead one is sent back", before.status);
            return Err(Refusal::conflict("not_dead", detail).into());
        };
        Ok(Changed::updated(
            "job_run.retry",
            "job_run",
            &json_of(&before)?,
            Answer::ok(&sent).version(sent.version),
        ))
    }
}

/// `GET /job-runs`.
#[derive(Clone, Debug)]
pub struct JobRuns {
    pub window: Window,
    pub schedule_id: Option<Uuid>,
    pub status: Option<RunStatus>,
    pub job_kind: Option<JobKind>,
}

impl Query for JobRuns {
    type Answer = Page<JobRun>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page<JobRun>, Error> {
        let rows = Entity::find()
            .filter(Column::CasinoId.eq(context.casino.id))
            .apply_if(self.schedule_id, |rows, schedule| rows.filter(Column::ScheduleId.eq(schedule)))
            .apply_if(self.status, |rows, status| rows.filter(Column::Status.eq(status.to_string())))
            .apply_if(self.job_kind, |rows, kind| rows.filter(Column::JobKind.eq(kind.to_string())))
            .apply_if(self.window.after, |rows, after| rows.filter(Column::Id.gt(after)))
            .order_by_asc(Column::Id)
            .limit(one_more(self.window).unsigned_abs());
        let rows = rows.all(tx.connection()).await.map_err(Fault::from)?;
        let runs = rows.iter().map(dressed).collect::<Result<_, _>>()?;
        Ok(page(runs, self.window, |run: &JobRun| run.id))
    }
}

/// `GET /job-runs/{id}`.
#[derive(Clone, Copy, Debug)]
pub struct OneJobRun(pub Uuid);

impl Query for OneJobRun {
    type Answer = JobRun;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<JobRun, Error> {
        let row = Entity::find_by_id(self.0)
            .filter(Column::CasinoId.eq(context.casino.id))
            .one(tx.connection())
            .await;
        dressed(&row.map_err(Fault::from)?.ok_or(Refusal::NotFound("job run"))?)
    }
}
