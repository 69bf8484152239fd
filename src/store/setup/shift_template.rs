//! Shifts as the casino plans them, in its own local time. A shift that has been opened keeps the time it was opened with.

use chrono::{NaiveTime, Timelike};
use entities::shift_template::{Column, Entity, Model};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::record::ShiftTemplate;
use workflows::refusal::Refusal;
use workflows::word::TemplateStatus;

use super::form::{Form, MAX_LABEL, given};
use super::{Changed, Tx, dressed, expect_version, json_of};
use crate::answer::Answer;
use crate::error::Error;
use crate::store::fault::Fault;
use crate::store::list::{self, Page, Query, Window};

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewShiftTemplate {
    /// What schedules call it: `{"shift": "day"}`.
    pub name: String,
    /// Local time of day, `HH:MM`.
    pub local_start: NaiveTime,
    /// At or before the start: on the day after it.
    pub local_end: NaiveTime,
}

/// What may change of a template; what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShiftTemplateChange {
    /// Schedules that name it by its old name find it no more.
    #[serde(default, deserialize_with = "given")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub local_start: Option<NaiveTime>,
    #[serde(default, deserialize_with = "given")]
    pub local_end: Option<NaiveTime>,
    /// Inactive: no shift is opened from it any more.
    #[serde(default, deserialize_with = "given")]
    pub status: Option<TemplateStatus>,
}

impl Tx {
    pub(super) async fn add_shift_template(&self, context: &Context, new: &NewShiftTemplate) -> Result<Changed, Error> {
        let row = Model {
            id: (context.new_id)(),
            casino_id: context.casino.id,
            name: new.name.trim().to_owned(),
            local_start: new.local_start,
            local_end: new.local_end,
            status: TemplateStatus::Active.to_string(),
            version: 1,
            created_at: context.at,
        };
        judge(&row)?;
        let template: ShiftTemplate = dressed(&self.insert(row).await?)?;
        Ok(Changed::created(
            "shift_template.create",
            "shift_template",
            Answer::created(&template).version(template.version),
        ))
    }

    pub(super) async fn change_shift_template(
        &self,
        context: &Context,
        id: Uuid,
        change: &ShiftTemplateChange,
        if_match: Option<i64>,
    ) -> Result<Changed, Error> {
        let row = Entity::find_by_id(id)
            .filter(Column::CasinoId.eq(context.casino.id))
            .lock(LockType::NoKeyUpdate);
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        let old = row.ok_or(Refusal::NotFound("shift template"))?;
        expect_version(if_match, old.version)?;
        let before = json_of(&dressed::<ShiftTemplate>(&old)?)?;
        let mut new = old.clone();
        change.apply(&mut new);
        judge(&new)?;
        if new != old {
            new.version += 1;
            new = self.replace(old, &new).await?;
        }
        let template: ShiftTemplate = dressed(&new)?;
        Ok(Changed::updated(
            "shift_template.change",
            "shift_template",
            &before,
            Answer::ok(&template).version(template.version),
        ))
    }
}

impl ShiftTemplateChange {
    fn apply(&self, row: &mut Model) {
        if let Some(name) = &self.name {
            name.trim().clone_into(&mut row.name);
        }
        row.local_start = self.local_start.unwrap_or(row.local_start);
        row.local_end = self.local_end.unwrap_or(row.local_end);
        if let Some(status) = self.status {
            row.status = status.to_string();
        }
    }
}

fn judge(row: &Model) -> Result<(), Refusal> {
    let mut form = Form::default();
    form.text("/name", &row.name, MAX_LABEL);
    for (pointer, time) in [("/local_start", row.local_start), ("/local_end", row.local_end)] {
        if time.second() != 0 || time.nanosecond() != 0 {
            form.flaw(pointer, "a shift begins and ends on a whole minute");
        }
    }
    form.judge()
}

/// `GET /shift-templates`.
#[derive(Clone, Copy, Debug)]
pub struct ShiftTemplates {
    pub window: Window,
}

impl Query for ShiftTemplates {
    type Answer = Page;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page, Error> {
        let own = Entity::find().filter(Column::CasinoId.eq(context.casino.id));
        list::page(tx, own, Column::Id, self.window).await
    }
}
