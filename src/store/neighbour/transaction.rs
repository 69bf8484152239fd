//! A player's money: entered once, set right by further rows.

use chrono::{DateTime, NaiveDate, SubsecRound, Utc};
use entities::financial_transaction::{Column, Entity, Model};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::finance::{self, Entry, Transaction};
use workflows::refusal::Refusal;
use workflows::word::{Direction, TransactionKind};

use super::{key, note};
use crate::answer::Answer;
use crate::error::Error;
use crate::store::Tx;
use crate::store::fault::Fault;
use crate::store::list::{self, Page, Query, Window};
use crate::store::setup::form::{Form, MAX_LABEL};
use crate::store::setup::{Changed, dressed};

/// Corrections of one transaction; far above any honest paper.
const MAX_CORRECTIONS: usize = 100;

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTransaction {
    /// Needed of a new transaction; a correction has that of the row it corrects.
    #[serde(default)]
    pub player_id: Option<Uuid>,
    /// Needed of a new transaction, as the player.
    #[serde(default)]
    pub direction: Option<Direction>,
    /// Positive; of an adjustment signed; of a reversal what is left, which need not be said.
    #[serde(default)]
    pub amount_cents: Option<i64>,
    /// `normal` unless given.
    #[serde(default)]
    pub kind: Option<TransactionKind>,
    /// What an adjustment or a reversal sets right.
    #[serde(default)]
    pub corrects_id: Option<Uuid>,
    /// That of the rating slip unless given.
    #[serde(default)]
    pub visit_id: Option<Uuid>,
    #[serde(default)]
    pub rating_slip_id: Option<Uuid>,
    #[serde(default)]
    pub tender_type: Option<String>,
    #[serde(default)]
    pub occurred_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub note: Option<String>,
    /// The `Idempotency-Key` unless given; kept for ever.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

impl NewTransaction {
    fn judged(&self, of_request: Option<&str>) -> Result<Entry, Refusal> {
        let mut form = Form::default();
        let entry = Entry {
            player_id: self.player_id,
            visit_id: self.visit_id,
            rating_slip_id: self.rating_slip_id,
            direction: self.direction,
            kind: self.kind.unwrap_or(TransactionKind::Normal),
            corrects_id: self.corrects_id,
            amount_cents: self.amount_cents,
            tender_type: self.tender_type.as_ref().map(|tender| form.text("/tender_type", tender, MAX_LABEL)),
            // Postgres keeps microseconds: a finer time would not equal itself when sent again.
            occurred_at: self.occurred_at.map(|at| at.trunc_subsecs(6)),
            note: note(&mut form, self.note.as_deref()),
            idempotency_key: key(&mut form, "/idempotency_key", self.idempotency_key.as_deref(), of_request),
        };
        form.judge()?;
        Ok(entry)
    }
}

impl Tx {
    pub(super) async fn record_transaction(&self, context: &Context, new: &NewTransaction, key: Option<&str>) -> Result<Changed, Error> {
        let entry = new.judged(key)?;
        if let Some(known) = self.transaction_under(context, &entry.idempotency_key).await? {
            return again(&known, &entry);
        }
        let row = match (entry.kind, entry.corrects_id) {
            (TransactionKind::Normal, _) => self.new_transaction(context, &entry).await?,
            (TransactionKind::Adjustment | TransactionKind::Reversal, Some(first)) => self.correction(context, &entry, first).await?,
            (TransactionKind::Adjustment | TransactionKind::Reversal, None) => {
                return Err(Refusal::invalid("/corrects_id", "must name the transaction it sets right").into());
            }
        };
        let row: Transaction = dressed(&self.insert(dressed::<Model>(&row)?).await?)?;
        // What the bridge has written beside it is told with it.
        let mut events = vec![finance::told(&row)];
        events.extend(self.bridged(context, row.id).await?);
        Ok(Changed {
            events,
            ..Changed::created("finance.record", "player_financial_transaction", Answer::created(&row))
        })
    }

    async fn new_transaction(&self, context: &Context, entry: &Entry) -> Result<Transaction, Error> {
        if let Some(player) = entry.player_id {
            self.lock_player(context, player).await?;
        }
        let slip = match entry.rating_slip_id {
            Some(id) => Some(self.rating_slip(context, id).await?),
            None => None,
        };
        let visit = match entry.visit_id.or(slip.as_ref().map(|slip| slip.visit_id)) {
            Some(id) => Some(self.visit(context, id).await?),
            None => None,
        };
        Ok(finance::record(context, entry, visit.as_ref(), slip.as_ref())?)
    }

    /// The player is locked before the corrections are read: two reversals at once take back once.
    async fn correction(&self, context: &Context, entry: &Entry, first: Uuid) -> Result<Transaction, Error> {
        let first = self.transaction(context, first).await?;
        self.lock_player(context, first.player_id).await?;
        let corrections = Entity::find()
            .filter(
                Condition::all()
                    .add(Column::CasinoId.eq(context.casino.id))
                    .add(Column::CorrectsId.eq(first.id)),
            )
            .order_by_asc(Column::Id);
        let corrections = corrections.all(self.connection()).await.map_err(Fault::from)?;
        if corrections.len() >= MAX_CORRECTIONS && entry.kind == TransactionKind::Adjustment {
            let detail = format!("the transaction has {MAX_CORRECTIONS} corrections; reverse it and enter it anew");
            return Err(Refusal::conflict("too_many_corrections", detail).into());
        }
        let corrections = corrections.iter().map(dressed).collect::<Result<Vec<Transaction>, _>>()?;
        Ok(finance::correct(context, entry, &first, &corrections)?)
    }

    async fn transaction(&self, context: &Context, id: Uuid) -> Result<Transaction, Error> {
        let row = Entity::find_by_id(id).filter(Column::CasinoId.eq(context.casino.id));
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        dressed(&row.ok_or(Refusal::NotFound("transaction"))?)
    }

    async fn transaction_under(&self, context: &Context, key: &str) -> Result<Option<Transaction>, Error> {
        let row = Entity::find().filter(
            Condition::all()
                .add(Column::CasinoId.eq(context.casino.id))
                .add(Column::IdempotencyKey.eq(key)),
        );
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        row.as_ref().map(dressed).transpose()
    }
}

/// The first answer again, for as long as the row is there: a replay writes nothing and tells nobody.
fn again(known: &Transaction, entry: &Entry) -> Result<Changed, Error> {
    if !finance::is_same(known, entry) {
        return Err(Error::IdempotencyConflict);
    }
    Ok(Changed {
        answer: Answer {
            replayed: true,
            ..Answer::created(known)
        },
        action: "finance.record",
        before: None,
        after: None,
        events: Vec::new(),
        settles: None,
    })
}

/// `GET /financial-transactions`.
#[derive(Clone, Debug)]
pub struct Transactions {
    pub window: Window,
    pub player_id: Option<Uuid>,
    pub rating_slip_id: Option<Uuid>,
    pub gaming_day: Option<NaiveDate>,
}

impl Query for Transactions {
    type Answer = Page;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page, Error> {
        let mut when = Condition::all().add(Column::CasinoId.eq(context.casino.id));
        when = list::narrow(when, self.player_id, |player| Column::PlayerId.eq(player));
        when = list::narrow(when, self.rating_slip_id, |slip| Column::RatingSlipId.eq(slip));
        when = list::narrow(when, self.gaming_day, |day| Column::GamingDay.eq(day));
        list::page(tx, Entity::find().filter(when), Column::Id, self.window).await
    }
}
