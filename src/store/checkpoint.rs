//! Checkpoints: the figures of a window kept as they stand, and what has become of them since.

use chrono::{DateTime, NaiveDate, Utc};
use entities::checkpoint::Model;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::{Context, MAX_TEXT};
use workflows::checkpoint::Delta;
use workflows::metrics::{GroupMetrics, Summary, Window};
use workflows::refusal::Refusal;

use super::Tx;
use super::fault::Fault;
use super::list::{Page, Query};
use super::metrics::{self, Asked};
use super::setup::{Changed, json_of, one_more, page};
use crate::answer::Answer;
use crate::error::Error;
use crate::store::list;

/// What somebody keeps.
#[derive(Clone, Debug)]
pub struct NewCheckpoint {
    /// None: the shift that runs now, or else the gaming day.
    pub asked: Option<Asked>,
    pub note: Option<String>,
}

/// A checkpoint without its tables and pits: a page of them would be megabytes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Checkpoint {
    pub id: Uuid,
    pub window_start: DateTime<Utc>,
    /// Exclusive.
    pub window_end: DateTime<Utc>,
    pub shift_id: Option<Uuid>,
    pub gaming_day: Option<NaiveDate>,
    pub note: Option<String>,
    pub taken_by: Uuid,
    pub taken_at: DateTime<Utc>,
    /// The casino's figures at that moment.
    pub casino: GroupMetrics,
}

/// What has become of a checkpoint.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Since {
    pub checkpoint: Checkpoint,
    pub computed_at: DateTime<Utc>,
    #[serde(flatten)]
    pub delta: Delta,
}

impl Tx {
    pub(super) async fn take_checkpoint(&self, context: &Context, new: &NewCheckpoint) -> Result<Changed, Error> {
        let note = new.note.as_deref().map(str::trim).filter(|note| !note.is_empty());
        if note.is_some_and(|note| note.chars().count() > MAX_TEXT || note.contains('\0')) {
            return Err(Refusal::invalid("/note", format!("at most {MAX_TEXT} characters, none of them NUL")).into());
        }
        let asked = match new.asked {
            Some(asked) => asked,
            None => self.present(context).await?,
        };
        let (meant, summary) = metrics::read(self, context, &asked).await?;
        let row = Model {
            id: (context.new_id)(),
            casino_id: context.casino.id,
            window_start: meant.window_start,
            window_end: meant.window_end,
            shift_id: meant.shift_id,
            // Of a shift it follows from the shift.
            gaming_day: meant.gaming_day.filter(|_| meant.shift_id.is_none()),
            note: note.map(ToOwned::to_owned),
            figures: json_of(&summary)?,
            taken_by: context.caller.id,
            taken_at: context.at,
        };
        let taken = self.insert(row).await?;
        let told = Answer::created(&checkpoint(&taken, summary.casino));
        // The figures are in the row; the audit log keeps who took which, not a second copy.
        let after =
            json!({ "metric_checkpoint": [{ "id": taken.id, "window_start": taken.window_start, "window_end": taken.window_end }] });
        Ok(Changed {
            after: Some(after),
            ..Changed::created("checkpoint.take", "metric_checkpoint", told)
        })
    }

    /// The shift that runs now, or else the gaming day.
    async fn present(&self, context: &Context) -> Result<Asked, Error> {
        let values = [context.casino.id.into(), context.at.into()];
        let shift: Option<Uuid> = self.json("SELECT to_jsonb(shift_now($1, $2)) AS json", values).await?;
        Ok(shift.map_or_else(|| Asked::Day(context.gaming_day()), Asked::Shift))
    }
}

fn checkpoint(row: &Model, casino: GroupMetrics) -> Checkpoint {
    Checkpoint {
        id: row.id,
        window_start: row.window_start,
        window_end: row.window_end,
        shift_id: row.shift_id,
        gaming_day: row.gaming_day,
        note: row.note.clone(),
        taken_by: row.taken_by,
        taken_at: row.taken_at,
        casino,
    }
}

/// `GET /checkpoints`.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoints {
    pub window: list::Window,
    pub shift_id: Option<Uuid>,
    pub gaming_day: Option<NaiveDate>,
}

impl Query for Checkpoints {
    type Answer = Page<Checkpoint>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page<Checkpoint>, Error> {
        const TAKEN: &str = "
            SELECT COALESCE(jsonb_agg(taken.row ORDER BY taken.id), '[]') AS json
              FROM (SELECT c.id, to_jsonb(c) - 'figures' || jsonb_build_object('casino', c.figures->'casino') AS row
                      FROM metric_checkpoint AS c
                     WHERE c.casino_id = $1 AND ($2::uuid IS NULL OR c.id > $2)
                       AND ($3::uuid IS NULL OR c.shift_id = $3) AND ($4::date IS NULL OR c.gaming_day = $4)
                     ORDER BY c.id LIMIT $5) AS taken";
        let values = [
            context.casino.id.into(),
            self.window.after.into(),
            self.shift_id.into(),
            self.gaming_day.into(),
            one_more(self.window).into(),
        ];
        let taken: Vec<Checkpoint> = tx.json(TAKEN, values).await?;
        Ok(page(taken, self.window, |checkpoint| checkpoint.id))
    }
}

/// `GET /checkpoints/{id}/delta`.
#[derive(Clone, Copy, Debug)]
pub struct SinceCheckpoint(pub Uuid);

impl Query for SinceCheckpoint {
    type Answer = Since;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Since, Error> {
        const ONE: &str = "SELECT to_jsonb(c) AS json FROM metric_checkpoint AS c WHERE c.casino_id = $1 AND c.id = $2";
        let row: Option<Model> = tx.json(ONE, [context.casino.id.into(), self.0.into()]).await?;
        let row = row.ok_or(Refusal::NotFound("checkpoint"))?;
        let was = figures(&row.figures)?;
        let asked = match (row.shift_id, row.gaming_day) {
            (Some(shift), _) => Asked::Shift(shift),
            (None, Some(day)) => Asked::Day(day),
            (None, None) => Asked::Hours(Window {
                start: row.window_start,
                end: row.window_end,
            }),
        };
        let (_, now) = metrics::read(tx, context, &asked).await?;
        Ok(Since {
            delta: Delta::between(&was, &now),
            checkpoint: checkpoint(&row, was.casino),
            computed_at: context.at,
        })
    }
}

fn figures(stored: &Value) -> Result<Summary, Error> {
    Ok(serde_json::from_value(stored.clone()).map_err(Fault::unreadable)?)
}
