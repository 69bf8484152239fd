//! Visits: who is in the house, known or not.

use chrono::NaiveDate;
use entities::visit::{Column, Entity, Model};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::event::{Event, VisitKind};
use workflows::refusal::Refusal;
use workflows::visit::{self, Visit};

use crate::answer::Answer;
use crate::error::Error;
use crate::store::Tx;
use crate::store::fault::Fault;
use crate::store::list::{self, Page, Query, Window};
use crate::store::setup::{Changed, dressed, expect_version, json_of};

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVisit {
    pub visit_kind: VisitKind,
    /// Whose visit it is; none for a ghost, and only for a ghost.
    #[serde(default)]
    pub player_id: Option<Uuid>,
}

impl Tx {
    pub(super) async fn start_visit(&self, context: &Context, new: &NewVisit) -> Result<Changed, Error> {
        let (visit, events) = visit::start(context, new.visit_kind, new.player_id)?;
        if let Some(player) = new.player_id {
            self.lock_player(context, player).await?;
            self.expect_nobody_twice(context, player).await?;
        }
        let visit: Visit = dressed(&self.insert(dressed::<Model>(&visit)?).await?)?;
        let answer = Answer::created(&visit).version(visit.version);
        Ok(Changed {
            events,
            ..Changed::created("visit.start", "visit", answer)
        })
    }

    async fn expect_nobody_twice(&self, context: &Context, player: Uuid) -> Result<(), Error> {
        let open = Entity::find().filter(
            Condition::all()
                .add(Column::CasinoId.eq(context.casino.id))
                .add(Column::PlayerId.eq(player))
                .add(Column::EndedAt.is_null()),
        );
        match open.one(self.connection()).await.map_err(Fault::from)? {
            Some(visit) => {
                let detail = format!("the player has the open visit {}; close or convert that one", visit.id);
                Err(Refusal::conflict("visit_open", detail).into())
            }
            None => Ok(()),
        }
    }

    pub(super) async fn convert_visit(&self, context: &Context, id: Uuid, if_match: Option<i64>) -> Result<Changed, Error> {
        let (row, old) = self.lock_visit(context, id).await?;
        expect_version(if_match, old.version)?;
        let (new, event) = visit::convert(context, &old)?;
        self.write_visit("visit.convert", row, &old, &new, vec![event]).await
    }

    pub(super) async fn close_visit(&self, context: &Context, id: Uuid, if_match: Option<i64>) -> Result<Changed, Error> {
        let (row, old) = self.lock_visit(context, id).await?;
        expect_version(if_match, old.version)?;
        let open = self.open_rating_slips_of(context, id).await?;
        let (new, events) = visit::close(context, &old, &open)?;
        self.write_visit("visit.close", row, &old, &new, events).await
    }

    async fn write_visit(&self, action: &'static str, row: Model, old: &Visit, new: &Visit, events: Vec<Event>) -> Result<Changed, Error> {
        let before = json_of(old)?;
        let visit: Visit = dressed(&self.replace(row, &dressed::<Model>(new)?).await?)?;
        let answer = Answer::ok(&visit).version(visit.version);
        Ok(Changed {
            events,
            ..Changed::updated(action, "visit", &before, answer)
        })
    }

    /// Locked before its rating slips, so that none is opened while the visit ends.
    pub(super) async fn lock_visit(&self, context: &Context, id: Uuid) -> Result<(Model, Visit), Error> {
        let row = Entity::find_by_id(id)
            .filter(Column::CasinoId.eq(context.casino.id))
            .lock(LockType::NoKeyUpdate);
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        let row = row.ok_or(Refusal::NotFound("visit"))?;
        let visit = dressed(&row)?;
        Ok((row, visit))
    }

    pub(super) async fn visit(&self, context: &Context, id: Uuid) -> Result<Visit, Error> {
        let row = Entity::find_by_id(id).filter(Column::CasinoId.eq(context.casino.id));
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        dressed(&row.ok_or(Refusal::NotFound("visit"))?)
    }
}

/// `GET /visits`.
#[derive(Clone, Debug)]
pub struct Visits {
    pub window: Window,
    pub player_id: Option<Uuid>,
    pub visit_kind: Option<VisitKind>,
    pub gaming_day: Option<NaiveDate>,
    pub open: Option<bool>,
}

impl Query for Visits {
    type Answer = Page;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page, Error> {
        let mut when = Condition::all().add(Column::CasinoId.eq(context.casino.id));
        when = list::narrow(when, self.player_id, |player| Column::PlayerId.eq(player));
        when = list::narrow(when, self.visit_kind, |kind| Column::VisitKind.eq(kind.to_string()));
        when = list::narrow(when, self.gaming_day, |day| Column::GamingDay.eq(day));
        when = list::narrow(when, self.open, |open| {
            if open {
                Column::EndedAt.is_null()
            } else {
                Column::EndedAt.is_not_null()
            }
        });
        list::page(tx, Entity::find().filter(when), Column::Id, self.window).await
    }
}
