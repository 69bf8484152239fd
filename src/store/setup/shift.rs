//! Shifts: opened from a template, closed once, and summed up. The jobs ask for it, and nobody else may.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use workflows::case::Context;
use workflows::event::Event;
use workflows::record::{Shift, ShiftTemplate};
use workflows::refusal::Refusal;
use workflows::shift::opened_at;
use workflows::shift_close::{Line, Step};
use workflows::shift_summary::{Book, settle};
use workflows::word::{ShiftStatus, SummaryStatus, TemplateStatus};

use super::{Changed, Tx, dressed, json_of};
use crate::answer::Answer;
use crate::error::Error;
use crate::store::fault::Fault;

/// Which shift a firing is about: the name of its template, and when it fired.
#[derive(Clone, Debug)]
pub struct ShiftOf {
    pub name: String,
    pub fire_at: DateTime<Utc>,
    /// To be closed only if it is over. A firing that names a shift closes it as soon as it has begun: whoever says so knows why.
    pub once_over: bool,
}

/// What became of the opening of a shift.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShiftOpening {
    /// None: the clocks leave the template no time on that day, or it is far from it.
    pub shift: Option<Shift>,
    /// It was made now, and not found.
    pub made: bool,
}

/// What became of the sum of a shift.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShiftSum {
    pub status: SummaryStatus,
    pub lines: Vec<Line>,
}

impl Tx {
    /// Opens the shift a firing is about. One that is there is found, whoever made it.
    pub(super) async fn open_shift(&self, context: &Context, of: &ShiftOf) -> Result<Changed, Error> {
        const MAKE: &str = "
            INSERT INTO shift AS s (id, casino_id, gaming_day, name, starts_at, ends_at, template_id, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT ON CONSTRAINT shift_once_a_day DO NOTHING
            RETURNING to_jsonb(s) AS json";
        const FIND: &str = "
            SELECT to_jsonb(s) AS json FROM shift AS s WHERE s.casino_id = $1 AND s.gaming_day = $2 AND s.template_id = $3";
        let template = self.template_named(context, &of.name).await?;
        if template.status == TemplateStatus::Inactive {
            return Err(Refusal::conflict("template_inactive", format!("no shift is opened from {}: it is inactive", of.name)).into());
        }
        let times = (template.local_start, template.local_end);
        let Some(held) = opened_at(of.fire_at, times, context.zone, context.casino.gaming_day_start) else {
            return Ok(found(&ShiftOpening { shift: None, made: false }));
        };
        let values = [
            (context.new_id)().into(),
            context.casino.id.into(),
            held.gaming_day.into(),
            template.name.into(),
            held.starts_at.into(),
            held.ends_at.into(),
            template.id.into(),
            context.at.into(),
        ];
        let made: Option<Shift> = self.json(MAKE, values).await?;
        let Some(shift) = made else {
            let values = [context.casino.id.into(), held.gaming_day.into(), template.id.into()];
            let shift = self.json(FIND, values).await?;
            return Ok(found(&ShiftOpening { shift, made: false }));
        };
        let told = Event::ShiftOpened {
            shift_id: shift.id,
            gaming_day: shift.gaming_day,
            name: shift.name.clone(),
            starts_at: shift.starts_at,
            ends_at: shift.ends_at,
        };
        let after = json!({ "shift": [json_of(&shift)?] });
        let opening = ShiftOpening {
            shift: Some(shift),
            made: true,
        };
        Ok(Changed {
            answer: Answer::created(&opening),
            action: "shift.open",
            before: None,
            after: Some(after),
            events: vec![told],
            settles: None,
        })
    }

    /// Closes the latest shift of that name that has begun: from now on no session joins it. One that is closed already stays as it is.
    /// Answers null where none has begun yet.
    pub(super) async fn close_shift(&self, context: &Context, of: &ShiftOf) -> Result<Changed, Error> {
        let Some(latest) = self.latest_shift(context, of).await? else {
            return Ok(found(&Value::Null));
        };
        let old = self.lock_shift(context, latest.id).await?;
        if old.status == ShiftStatus::Closed.to_string() {
            return Ok(found(&dressed::<Shift>(&old)?));
        }
        let before = json_of(&dressed::<Shift>(&old)?)?;
        let new = entities::shift::Model {
            status: ShiftStatus::Closed.to_string(),
            closed_at: Some(context.at),
            version: old.version + 1,
            ..old.clone()
        };
        let shift: Shift = dressed(&self.replace(old, &new).await?)?;
        let told = Event::ShiftClosed {
            shift_id: shift.id,
            gaming_day: shift.gaming_day,
            name: shift.name.clone(),
        };
        Ok(Changed::updated("shift.close", "shift", &before, Answer::ok(&shift)).telling(told))
    }

    /// The latest shift of a name that has begun, or is over, by a firing.
    pub(in crate::store) async fn latest_shift(&self, context: &Context, of: &ShiftOf) -> Result<Option<Shift>, Error> {
        const LATEST: &str = "
            SELECT to_jsonb(s) AS json FROM shift AS s
             WHERE s.casino_id = $1 AND s.template_id = $2 AND s.starts_at <= $3 AND (NOT $4 OR s.ends_at <= $3)
             ORDER BY s.starts_at DESC LIMIT 1";
        let template = self.template_named(context, &of.name).await?;
        let values = [context.casino.id.into(), template.id.into(), of.fire_at.into(), of.once_over.into()];
        Ok(self.json(LATEST, values).await?)
    }

    /// Sums a shift up, with what its sessions were found to wait for. Says so when it has just become READY; once it is, it stays.
    pub(super) async fn settle_shift(&self, context: &Context, shift_id: Uuid, lines: &[Line]) -> Result<Changed, Error> {
        const BOOK: &str = "SELECT shift_book($1, $2) AS json";
        // Whoever finalizes the last session holds this row too, so one of the two comes second and finds it done.
        self.lock_shift(context, shift_id).await?;
        let book: Option<Book> = self.json(BOOK, [context.casino.id.into(), shift_id.into()]).await?;
        let book = book.ok_or(Refusal::NotFound("shift"))?;
        let lines = self.with_steps(context, &book.shift, lines).await?;
        let Some((summary, told)) = settle(&book, Some(json_of(&lines)?), context.at) else {
            let status = book.summary.map_or(SummaryStatus::Pending, |summary| summary.status);
            return Ok(found(&ShiftSum { status, lines }));
        };
        let row = json_of(&[&summary])?;
        let (insert, update) = if book.summary.is_some() {
            (None, Some(row.clone()))
        } else {
            (Some(row.clone()), None)
        };
        self.json::<Value>(
            "SELECT to_jsonb(put_shift_summary($1, $2)::text) AS json",
            [insert.into(), update.into()],
        )
        .await?;
        let rows = |row: Value| json!({ "shift_rundown_summary": row });
        Ok(Changed {
            answer: Answer::ok(&ShiftSum {
                status: summary.status,
                lines,
            }),
            action: "shift.settle",
            before: book.summary.map(|summary| json_of(&[summary])).transpose()?.map(rows),
            after: Some(rows(row)),
            events: told.into_iter().collect(),
            settles: None,
        })
    }

    /// The lines, each with every step the daemon has made with the session since its shift was closed, in whichever run. So a run that was
    /// cut off leaves nothing untold, and one that finds everything done tells the same again.
    async fn with_steps(&self, context: &Context, shift: &Shift, lines: &[Line]) -> Result<Vec<Line>, Error> {
        #[derive(Deserialize)]
        struct Steps {
            session_id: Uuid,
            steps: Vec<Step>,
        }
        const STEPS: &str = "
            SELECT COALESCE(jsonb_agg(to_jsonb(made)), '[]') AS json FROM (
                SELECT t.session_id, jsonb_agg(jsonb_build_object('from', t.from_status, 'to', t.to_status) ORDER BY t.id) AS steps
                  FROM table_inventory_session AS s
                  JOIN session_transition AS t ON t.casino_id = s.casino_id AND t.session_id = s.id
                 WHERE s.casino_id = $1 AND s.shift_id = $2 AND t.taken_by = $3 AND t.taken_at >= $4
                 GROUP BY t.session_id) AS made";
        let since = shift.closed_at.unwrap_or(context.at);
        let values = [context.casino.id.into(), shift.id.into(), context.caller.id.into(), since.into()];
        let made: Vec<Steps> = self.json(STEPS, values).await?;
        let steps_of = |id: Uuid| made.iter().find(|made| made.session_id == id).map(|made| made.steps.clone());
        let told = lines.iter().cloned().map(|line| Line {
            advanced: steps_of(line.session_id).unwrap_or_default(),
            ..line
        });
        Ok(told.collect())
    }

    async fn template_named(&self, context: &Context, name: &str) -> Result<ShiftTemplate, Error> {
        use entities::shift_template::{Column, Entity};
        let named = Entity::find()
            .filter(Column::CasinoId.eq(context.casino.id))
            .filter(Column::Name.eq(name));
        let row = named.one(self.connection()).await.map_err(Fault::from)?;
        dressed(&row.ok_or(Refusal::NotFound("shift template"))?)
    }

    async fn lock_shift(&self, context: &Context, id: Uuid) -> Result<entities::shift::Model, Error> {
        use entities::shift::{Column, Entity};
        let row = Entity::find_by_id(id)
            .filter(Column::CasinoId.eq(context.casino.id))
            .lock(LockType::NoKeyUpdate);
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        Ok(row.ok_or(Refusal::NotFound("shift"))?)
    }
}

/// Nothing was changed: nobody is told, and no audit row says so.
fn found(body: &impl Serialize) -> Changed {
    Changed {
        answer: Answer::ok(body),
        action: "shift.find",
        before: None,
        after: None,
        events: Vec::new(),
        settles: None,
    }
}
