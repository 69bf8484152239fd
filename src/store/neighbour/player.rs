//! Players: whom the house knows by number.

use entities::player::{Column, Entity, Model};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::loyalty::Player;
use workflows::refusal::Refusal;

use crate::answer::Answer;
use crate::error::Error;
use crate::store::Tx;
use crate::store::fault::Fault;
use crate::store::list::{self, Page, Query, Window};
use crate::store::setup::form::{Form, MAX_LABEL, MAX_NAME};
use crate::store::setup::{Changed, dressed};

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPlayer {
    /// The number on the card.
    pub player_no: String,
    pub name: String,
    /// As the programme has it.
    #[serde(default)]
    pub loyalty_tier: Option<String>,
    /// Rated, but collects no points.
    #[serde(default)]
    pub loyalty_opt_out: bool,
}

impl Tx {
    pub(super) async fn add_player(&self, context: &Context, new: &NewPlayer) -> Result<Changed, Error> {
        let mut form = Form::default();
        let row = Model {
            id: (context.new_id)(),
            casino_id: context.casino.id,
            player_no: form.text("/player_no", &new.player_no, MAX_LABEL),
            name: form.text("/name", &new.name, MAX_NAME),
            loyalty_tier: new.loyalty_tier.as_ref().map(|tier| form.text("/loyalty_tier", tier, MAX_LABEL)),
            loyalty_opt_out: new.loyalty_opt_out,
            version: 1,
            created_at: context.at,
        };
        form.judge()?;
        let player: Player = dressed(&self.insert(row).await?)?;
        Ok(Changed::created(
            "player.register",
            "player",
            Answer::created(&player).version(player.version),
        ))
    }

    /// Locked: what is booked on a player is booked one after another, and each sees what the one before left.
    pub(super) async fn lock_player(&self, context: &Context, id: Uuid) -> Result<Player, Error> {
        let row = Entity::find_by_id(id)
            .filter(Column::CasinoId.eq(context.casino.id))
            .lock(LockType::NoKeyUpdate);
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        dressed(&row.ok_or(Refusal::NotFound("player"))?)
    }

    pub(super) async fn player(&self, context: &Context, id: Uuid) -> Result<Player, Error> {
        let row = Entity::find_by_id(id).filter(Column::CasinoId.eq(context.casino.id));
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        dressed(&row.ok_or(Refusal::NotFound("player"))?)
    }
}

/// `GET /players`.
#[derive(Clone, Debug)]
pub struct Players {
    pub window: Window,
    pub player_no: Option<String>,
}

impl Query for Players {
    type Answer = Page;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page, Error> {
        let mut when = Condition::all().add(Column::CasinoId.eq(context.casino.id));
        when = list::narrow(when, self.player_no.as_deref(), |number| Column::PlayerNo.eq(number));
        list::page(tx, Entity::find().filter(when), Column::Id, self.window).await
    }
}
