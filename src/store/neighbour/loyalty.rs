//! Points: a ledger that is only appended to, and the balance its trigger keeps.

use entities::loyalty_ledger::{Column, Entity, Model};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::event::LedgerReason;
use workflows::loyalty::{self, Ask, LedgerEntry, Named};
use workflows::refusal::Refusal;

use super::note;
use crate::answer::Answer;
use crate::error::Error;
use crate::store::Tx;
use crate::store::fault::Fault;
use crate::store::list::{self, Page, Query, Window};
use crate::store::setup::form::Form;
use crate::store::setup::{Changed, dressed, json_of};

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPoints {
    pub player_id: Uuid,
    /// Signed; a reward is positive.
    pub points: i32,
    pub reason: LedgerReason,
    /// That of the rating slip unless given.
    #[serde(default)]
    pub visit_id: Option<Uuid>,
    /// Needed of points for play.
    #[serde(default)]
    pub rating_slip_id: Option<Uuid>,
    /// The entry a correction sets right.
    #[serde(default)]
    pub corrects_id: Option<Uuid>,
    #[serde(default)]
    pub note: Option<String>,
}

/// An entry, and the balance it left.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Booked {
    pub entry: LedgerEntry,
    pub balance: i64,
}

impl Tx {
    pub(super) async fn append_points(&self, context: &Context, new: &NewPoints) -> Result<Changed, Error> {
        let mut form = Form::default();
        let ask = Ask {
            points: new.points,
            reason: new.reason,
            note: note(&mut form, new.note.as_deref()),
        };
        form.judge()?;
        // Before anything of theirs is read: two accruals of one slip are judged one after another.
        let player = self.lock_player(context, new.player_id).await?;
        let slip = match new.rating_slip_id {
            Some(id) => Some(self.rating_slip(context, id).await?),
            None => None,
        };
        let visit = match new.visit_id.or(slip.as_ref().map(|slip| slip.visit_id)) {
            Some(id) => Some(self.visit(context, id).await?),
            None => None,
        };
        let corrected = match new.corrects_id {
            Some(id) => Some(self.ledger_entry(context, id).await?),
            None => None,
        };
        let named = Named {
            visit: visit.as_ref(),
            slip: slip.as_ref(),
            corrected: corrected.as_ref(),
            is_accrued: match new.rating_slip_id {
                Some(id) => self.is_accrued(context, id).await?,
                None => false,
            },
        };
        let entry = loyalty::append(context, &player, &ask, named)?;
        let entry: LedgerEntry = dressed(&self.insert(dressed::<Model>(&entry)?).await?)?;
        let balance = self.balance(context, player.id).await?;
        let events = loyalty::told(&entry, &player, balance).into();
        let changed = Changed::created("loyalty.append", "loyalty_ledger", Answer::created(&json_of(&entry)?));
        Ok(Changed {
            answer: Answer::created(&Booked { entry, balance }),
            events,
            ..changed
        })
    }

    async fn ledger_entry(&self, context: &Context, id: Uuid) -> Result<LedgerEntry, Error> {
        let row = Entity::find_by_id(id).filter(Column::CasinoId.eq(context.casino.id));
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        dressed(&row.ok_or(Refusal::NotFound("ledger entry"))?)
    }

    async fn is_accrued(&self, context: &Context, slip: Uuid) -> Result<bool, Error> {
        let row = Entity::find().filter(
            Condition::all()
                .add(Column::CasinoId.eq(context.casino.id))
                .add(Column::RatingSlipId.eq(slip))
                .add(Column::Reason.eq(LedgerReason::SessionEnd.to_string())),
        );
        Ok(row.one(self.connection()).await.map_err(Fault::from)?.is_some())
    }

    /// Nothing booked is nothing collected: a zero that is known.
    async fn balance(&self, context: &Context, player: Uuid) -> Result<i64, Error> {
        use entities::loyalty_balance::{Column, Entity};
        let row = Entity::find_by_id(player).filter(Column::CasinoId.eq(context.casino.id));
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        Ok(row.map_or(0, |row| row.balance))
    }
}

/// What a player has collected, and from what.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Loyalty {
    pub player_id: Uuid,
    pub balance: i64,
    pub tier: Option<String>,
    pub loyalty_opt_out: bool,
    #[schema(inline)]
    pub ledger: Page<Value>,
}

/// `GET /players/{id}/loyalty`.
#[derive(Clone, Copy, Debug)]
pub struct LoyaltyOf {
    pub player_id: Uuid,
    pub window: Window,
}

impl Query for LoyaltyOf {
    type Answer = Loyalty;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Loyalty, Error> {
        let player = tx.player(context, self.player_id).await?;
        let when = Condition::all()
            .add(Column::CasinoId.eq(context.casino.id))
            .add(Column::PlayerId.eq(player.id));
        Ok(Loyalty {
            player_id: player.id,
            balance: tx.balance(context, player.id).await?,
            tier: player.loyalty_tier,
            loyalty_opt_out: player.loyalty_opt_out,
            ledger: list::page(tx, Entity::find().filter(when), Column::Id, self.window).await?,
        })
    }
}
