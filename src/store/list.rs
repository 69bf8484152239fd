//! Lists: rows through the fence, a page at a time, in the order in which they came to be.
//!
//! Ids are UUIDv7, so the id is the order and the cursor: a page costs its rows, however long the history.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, Query as SeaQuery};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::record::{Signature, Transition};
use workflows::word::{Category, ExceptionStatus, SlipKind, SlipStatus, Status};

use super::Tx;
use super::fault::Fault;
use crate::error::Error;

/// The most rows a page may hold, and how many it holds unless told.
pub const MAX_LIMIT: u64 = 200;
pub const DEFAULT_LIMIT: u64 = 50;

/// Something that can be read within one transaction, through the fence.
pub trait Query: Sync {
    type Answer: Send;

    fn fetch(&self, tx: &Tx, context: &Context) -> impl Future<Output = Result<Self::Answer, Error>> + Send;
}

/// Where a page begins and how long it is.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub after: Option<Uuid>,
    pub limit: u64,
}

/// A page of rows.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T = Value> {
    pub items: Vec<T>,
    /// Where the next page begins; null on the last.
    pub next_cursor: Option<String>,
}

impl Window {
    /// Reads `limit` and `cursor` as clients send them.
    pub fn parse(limit: Option<u64>, cursor: Option<&str>) -> Result<Self, Error> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Error::Malformed(format!("limit: 1 to {MAX_LIMIT}")));
        }
        let bad = || Error::Malformed("cursor: not one of this list".to_owned());
        let after = cursor.map(|cursor| {
            let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
            Uuid::from_slice(&bytes).map_err(|_| bad())
        });
        Ok(Self {
            after: after.transpose()?,
            limit,
        })
    }
}

/// One page of an entity's rows: one row more than asked tells whether another page follows.
pub async fn page<E>(tx: &Tx, select: Select<E>, id: E::Column, window: Window) -> Result<Page, Error>
where
    E: EntityTrait,
    E::Model: Serialize + Send + Sync,
{
    let select = match window.after {
        Some(after) => select.filter(id.gt(after)),
        None => select,
    };
    let rows = select
        .order_by_asc(id)
        .limit(window.limit + 1)
        .all(tx.connection())
        .await
        .map_err(Fault::from)?;
    let mut items = rows
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<Vec<_>, _>>()
        .map_err(anyhow::Error::from)?;
    let limit = usize::try_from(window.limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items
        .last()
        .filter(|_| more)
        .and_then(|row| row["id"].as_str())
        .and_then(|id| Uuid::parse_str(id).ok());
    Ok(Page {
        next_cursor: last.map(|id| URL_SAFE_NO_PAD.encode(id.as_bytes())),
        items,
    })
}

/// Applies a filter where one is given.
pub(super) fn narrow<V>(condition: Condition, given: Option<V>, filter: impl FnOnce(V) -> sea_orm::sea_query::SimpleExpr) -> Condition {
    match given {
        Some(value) => condition.add(filter(value)),
        None => condition,
    }
}

/// `GET /sessions`.
#[derive(Clone, Debug)]
pub struct Sessions {
    pub window: Window,
    pub status: Option<Status>,
    pub table_id: Option<Uuid>,
    pub gaming_day: Option<NaiveDate>,
    pub shift_id: Option<Uuid>,
    pub live: Option<bool>,
}

impl Query for Sessions {
    type Answer = Page;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page, Error> {
        use entities::session::{Column, Entity};
        let mut when = Condition::all().add(Column::CasinoId.eq(context.casino.id));
        when = narrow(when, self.status, |status| Column::Status.eq(status.to_string()));
        // The partial indexes are asked for by their own predicates: a status before CLOSED is live, one before FINALIZED unfinished.
        when = narrow(when, self.status.filter(|status| status.is_live()), |_| Column::ClosedAt.is_null());
        when = narrow(when, self.status.filter(|status| *status != Status::Finalized), |_| {
            Column::FinalizedAt.is_null()
        });
        when = narrow(when, self.table_id, |table| Column::TableId.eq(table));
        when = narrow(when, self.gaming_day, |day| Column::GamingDay.eq(day));
        when = narrow(when, self.shift_id, |shift| Column::ShiftId.eq(shift));
        when = narrow(when, self.live, |live| {
            if live {
                Column::ClosedAt.is_null()
            } else {
                Column::ClosedAt.is_not_null()
            }
        });
        page(tx, Entity::find().filter(when), Column::Id, self.window).await
    }
}

/// `GET /slips`.
#[derive(Clone, Debug)]
pub struct Slips {
    pub window: Window,
    pub session_id: Option<Uuid>,
    pub kind: Option<SlipKind>,
    pub status: Option<SlipStatus>,
    pub gaming_day: Option<NaiveDate>,
}

impl Query for Slips {
    type Answer = Page;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page, Error> {
        use entities::slip::{Column, Entity};
        let casino = context.casino.id;
        let mut when = Condition::all().add(Column::CasinoId.eq(casino));
        when = narrow(when, self.session_id, |session| Column::SessionId.eq(session));
        when = narrow(when, self.kind, |kind| Column::Kind.eq(kind.to_string()));
        when = narrow(when, self.status, |status| Column::Status.eq(status.to_string()));
        when = narrow(when, self.gaming_day, |day| {
            Column::SessionId.in_subquery(sessions_of_day(casino, day))
        });
        page(tx, Entity::find().filter(when), Column::Id, self.window).await
    }
}

fn sessions_of_day(casino: Uuid, day: NaiveDate) -> sea_orm::sea_query::SelectStatement {
    use entities::session::{Column, Entity};
    SeaQuery::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Expr::col(Column::CasinoId).eq(casino))
        .and_where(Expr::col(Column::GamingDay).eq(day))
        .to_owned()
}

/// `GET /drops`.
#[derive(Clone, Debug)]
pub struct Drops {
    pub window: Window,
    pub pending: Option<bool>,
    pub session_id: Option<Uuid>,
}

impl Query for Drops {
    type Answer = Page;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page, Error> {
        use entities::drop_event::{Column, Entity};
        let mut when = Condition::all().add(Column::CasinoId.eq(context.casino.id));
        when = narrow(when, self.pending, |pending| {
            if pending {
                Column::CountedAt.is_null()
            } else {
                Column::CountedAt.is_not_null()
            }
        });
        when = narrow(when, self.session_id, |session| Column::SessionId.eq(session));
        page(tx, Entity::find().filter(when), Column::Id, self.window).await
    }
}

/// `GET /exceptions`.
#[derive(Clone, Debug)]
pub struct Exceptions {
    pub window: Window,
    pub status: Option<ExceptionStatus>,
    pub category: Option<Category>,
    pub session_id: Option<Uuid>,
    pub gaming_day: Option<NaiveDate>,
    pub overdue: Option<bool>,
}

impl Query for Exceptions {
    type Answer = Page;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page, Error> {
        use entities::exception::{Column, Entity};
        let casino = context.casino.id;
        let unresolved = || Column::Status.is_in([ExceptionStatus::Open.to_string(), ExceptionStatus::Acknowledged.to_string()]);
        let mut when = Condition::all().add(Column::CasinoId.eq(casino));
        when = narrow(when, self.status, |status| Column::Status.eq(status.to_string()));
        when = narrow(when, self.status.filter(|status| status.is_unresolved()), |_| unresolved());
        when = narrow(when, self.category, |category| Column::Category.eq(category.to_string()));
        when = narrow(when, self.session_id, |session| Column::SessionId.eq(session));
        when = narrow(when, self.gaming_day, |day| {
            Column::SessionId.in_subquery(sessions_of_day(casino, day))
        });
        when = narrow(when, self.overdue, |overdue| {
            let late = unresolved().and(Column::DueAt.lt(context.at));
            if overdue { late } else { late.not() }
        });
        page(tx, Entity::find().filter(when), Column::Id, self.window).await
    }
}

/// `GET /audit`.
#[derive(Clone, Debug)]
pub struct Audit {
    pub window: Window,
    pub session_id: Option<Uuid>,
    pub actor_id: Option<Uuid>,
    pub correlation_id: Option<String>,
    pub domain: Option<String>,
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
}

impl Query for Audit {
    type Answer = Page;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page, Error> {
        use entities::audit_log::{Column, Entity};
        let mut when = Condition::all().add(Column::CasinoId.eq(context.casino.id));
        when = narrow(when, self.session_id, |session| {
            let other = sea_orm::sea_query::extension::postgres::PgExpr::contains(Expr::col(Column::OtherSessionIds), vec![session]);
            Column::SessionId.eq(session).or(other)
        });
        when = narrow(when, self.actor_id, |actor| Column::ActorId.eq(actor));
        when = narrow(when, self.correlation_id.as_deref(), |correlation| {
            Column::CorrelationId.eq(correlation)
        });
        when = narrow(when, self.domain.as_deref(), |domain| Column::Domain.eq(domain));
        when = narrow(when, self.from, |from| Column::Ts.gte(from));
        when = narrow(when, self.to, |to| Column::Ts.lt(to));
        page(tx, Entity::find().filter(when), Column::Id, self.window).await
    }
}

/// The edges one session took, and who signed for them.
#[derive(Clone, Copy, Debug)]
pub struct Moves {
    pub session_id: Uuid,
}

impl Query for Moves {
    type Answer = (Vec<Transition>, Vec<Signature>);

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Self::Answer, Error> {
        let taken = {
            use entities::transition::{Column, Entity};
            let of_session = Column::CasinoId.eq(context.casino.id).and(Column::SessionId.eq(self.session_id));
            Entity::find().filter(of_session).order_by_asc(Column::Id)
        };
        let signed = {
            use entities::signature::{Column, Entity};
            let of_session = Column::CasinoId.eq(context.casino.id).and(Column::SubjectId.eq(self.session_id));
            Entity::find().filter(of_session).order_by_asc(Column::Id)
        };
        let taken = taken.all(tx.connection()).await.map_err(Fault::from)?;
        let signed = signed.all(tx.connection()).await.map_err(Fault::from)?;
        Ok((records(taken)?, records(signed)?))
    }
}

/// Rows as the law knows them.
fn records<R: DeserializeOwned>(rows: Vec<impl Serialize>) -> Result<Vec<R>, Error> {
    let rows = serde_json::to_value(rows).and_then(serde_json::from_value);
    Ok(rows.map_err(anyhow::Error::from)?)
}
