//! Buy-in telemetry: entries by hand and what takes them back, the list, and what is told of a row however it came.
//!
//! The key of an entry is kept for ever and looked up before anything is judged: the same entry is answered again, another under its key is
//! refused. Two that race for a key are told apart by the unique index, and the loser is judged anew.

use chrono::NaiveDate;
use entities::buyin_telemetry::{Column, Entity, Model};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter};
use serde::Deserialize;
use uuid::Uuid;
use workflows::buyin::{self, Buyin, Entry, Seat};
use workflows::case::Context;
use workflows::event::{Event, TelemetryKind};
use workflows::refusal::Refusal;
use workflows::word::Category;

use super::Tx;
use super::fault::Fault;
use super::list::{Page, Query, Window, narrow, page};
use super::setup::{Changed, dressed};
use crate::answer::Answer;
use crate::error::Error;

const LOGGED: &str = "buyin.log";
const UNDONE: &str = "buyin.undo";

/// What an entry is judged over.
#[derive(Deserialize)]
struct Scene {
    /// The row that has the entry's key already.
    known: Option<Buyin>,
    has_table: bool,
    seat: Option<Seat>,
}

/// The exception that a late row raised itself; none where it joined one that nobody has judged yet.
#[derive(Deserialize)]
struct Raised {
    exception_id: Uuid,
    session_id: Uuid,
}

impl Tx {
    pub(super) async fn log_buyin(&self, context: &Context, entry: &Entry) -> Result<Changed, Error> {
        const SCENE: &str = "
            SELECT jsonb_build_object(
                'known', (SELECT to_jsonb(b) FROM table_buyin_telemetry AS b WHERE b.casino_id = $1 AND b.idempotency_key = $2),
                'has_table', EXISTS (SELECT FROM gaming_table AS t WHERE t.casino_id = $1 AND t.id = $3),
                'seat', (SELECT jsonb_build_object('visit_id', r.visit_id, 'table_id', r.table_id,
                                                    'is_ghost', v.visit_kind = 'gaming_ghost_unrated')
                           FROM rating_slip AS r JOIN visit AS v ON v.casino_id = r.casino_id AND v.id = r.visit_id
                          WHERE r.casino_id = $1 AND r.id = $4)) AS json";
        let values = [
            context.casino.id.into(),
            buyin::entry_key(&entry.idempotency_key).into(),
            entry.table_id.into(),
            entry.rating_slip_id.into(),
        ];
        let scene: Scene = self.json(SCENE, values).await?;
        if let Some(row) = scene.known {
            return if buyin::is_same_entry(&row, entry, context.caller.id) {
                Ok(again(LOGGED, &row))
            } else {
                Err(Error::IdempotencyConflict)
            };
        }
        if !scene.has_table {
            return Err(Refusal::NotFound("table").into());
        }
        let row = buyin::log(entry, scene.seat, context)?;
        if row.rating_slip_id.is_some() && scene.seat.is_none() {
            return Err(Refusal::NotFound("rating slip").into());
        }
        self.write_buyin(LOGGED, &row).await
    }

    pub(super) async fn undo_buyin(&self, context: &Context, id: Uuid) -> Result<Changed, Error> {
        let row = self.buyin_by(context, Column::Id.eq(id)).await?;
        let row = row.ok_or(Refusal::NotFound("buy-in"))?;
        buyin::expect_own(&row, context)?;
        if let Some(undo) = self.buyin_by(context, Column::IdempotencyKey.eq(buyin::undo_key(id))).await? {
            return Ok(again(UNDONE, &undo));
        }
        let undo = buyin::undo(&row, context)?;
        self.write_buyin(UNDONE, &undo).await
    }

    /// What is told of the row that the bridge wrote for a transaction; nothing where it wrote none.
    pub(super) async fn bridged(&self, context: &Context, transaction: Uuid) -> Result<Vec<Event>, Error> {
        let key = Column::IdempotencyKey.eq(format!("pft:{transaction}"));
        match self.buyin_by(context, key).await? {
            Some(row) => self.told_of(&row).await,
            None => Ok(Vec::new()),
        }
    }

    async fn write_buyin(&self, action: &'static str, row: &Buyin) -> Result<Changed, Error> {
        let written: Buyin = dressed(&self.insert(dressed::<Model>(row)?).await?)?;
        Ok(Changed {
            events: self.told_of(&written).await?,
            ..Changed::created(action, "table_buyin_telemetry", Answer::created(&written))
        })
    }

    async fn buyin_by(&self, context: &Context, which: impl sea_orm::sea_query::IntoCondition) -> Result<Option<Buyin>, Error> {
        let found = Entity::find().filter(Column::CasinoId.eq(context.casino.id)).filter(which);
        let row = found.one(self.connection()).await.map_err(Fault::from)?;
        row.as_ref().map(dressed).transpose()
    }

    async fn told_of(&self, row: &Buyin) -> Result<Vec<Event>, Error> {
        let raised = if row.is_late { self.raised_by(row).await? } else { None };
        let raised = raised.map(|raised| Event::ExceptionRaised {
            exception_id: raised.exception_id,
            session_id: raised.session_id,
            table_id: row.table_id,
            category: Category::LateEvent,
            variance_cents: None,
        });
        Ok(std::iter::once(buyin::logged(row)).chain(raised).collect())
    }

    async fn raised_by(&self, row: &Buyin) -> Result<Option<Raised>, Error> {
        const RAISED: &str = "
            SELECT jsonb_build_object('exception_id', e.id, 'session_id', e.session_id) AS json
              FROM table_buyin_telemetry AS b CROSS JOIN LATERAL session_of_buyin(b) AS s
              JOIN reconciliation_exception AS e ON e.casino_id = b.casino_id AND e.session_id = s.id
             WHERE b.id = $1 AND e.category = 'LATE_EVENT' AND e.detail->>'buyin_id' = b.id::text";
        Ok(self.json(RAISED, [row.id.into()]).await?)
    }
}

/// The answer that was given first: the row does not change, so neither does what is said of it.
fn again(action: &'static str, row: &Buyin) -> Changed {
    Changed {
        answer: Answer {
            replayed: true,
            ..Answer::created(row)
        },
        action,
        before: None,
        after: None,
        events: Vec::new(),
        settles: None,
    }
}

/// `GET /buyin-telemetry`.
#[derive(Clone, Debug)]
pub struct Buyins {
    pub window: Window,
    pub table_id: Option<Uuid>,
    pub gaming_day: Option<NaiveDate>,
    pub visit_id: Option<Uuid>,
    pub kind: Option<TelemetryKind>,
}

impl Query for Buyins {
    type Answer = Page;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page, Error> {
        let mut when = Condition::all().add(Column::CasinoId.eq(context.casino.id));
        when = narrow(when, self.table_id, |table| Column::TableId.eq(table));
        when = narrow(when, self.gaming_day, |day| Column::GamingDay.eq(day));
        when = narrow(when, self.visit_id, |visit| Column::VisitId.eq(visit));
        when = narrow(when, self.kind, |kind| Column::TelemetryKind.eq(kind.to_string()));
        page(tx, Entity::find().filter(when), Column::Id, self.window).await
    }
}
