//! What is read of shifts: lists for people, and the floor as the jobs find it.

use chrono::{NaiveDate, TimeDelta};
use entities::shift::{Column, Entity};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::deadline::{GAP_WAITS, Gap};
use workflows::record::{Shift, ShiftSummary};
use workflows::refusal::Refusal;
use workflows::shift_close::SessionAt;
use workflows::shift_summary::{Book, Part, summarize};
use workflows::word::{ShiftStatus, SummaryStatus};

use super::Tx;
use super::list::{Page, Query, Window, narrow, page};
use super::setup::ShiftOf;
use crate::error::Error;

/// `GET /shifts`.
#[derive(Clone, Copy, Debug)]
pub struct Shifts {
    pub window: Window,
    pub gaming_day: Option<NaiveDate>,
    pub status: Option<ShiftStatus>,
}

impl Query for Shifts {
    type Answer = Page;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page, Error> {
        let mut when = Condition::all().add(Column::CasinoId.eq(context.casino.id));
        when = narrow(when, self.gaming_day, |day| Column::GamingDay.eq(day));
        when = narrow(when, self.status, |status| Column::Status.eq(status.to_string()));
        page(tx, Entity::find().filter(when), Column::Id, self.window).await
    }
}

/// A shift and what it proves: as it was settled where that is final, else as its sessions stand now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShiftProof {
    pub shift: Shift,
    #[serde(flatten)]
    pub summary: ShiftSummary,
    /// One a session, as it stands now.
    pub parts: Vec<Part>,
}

/// `GET /shifts/{id}/summary`.
#[derive(Clone, Copy, Debug)]
pub struct ShiftProofOf {
    pub shift_id: Uuid,
}

impl Query for ShiftProofOf {
    type Answer = ShiftProof;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<ShiftProof, Error> {
        const BOOK: &str = "SELECT shift_book($1, $2) AS json";
        let book: Option<Book> = tx.json(BOOK, [context.casino.id.into(), self.shift_id.into()]).await?;
        let book = book.ok_or(Refusal::NotFound("shift"))?;
        let stored = book.summary.as_ref();
        let summary = match stored {
            Some(summary) if summary.status == SummaryStatus::Ready => summary.clone(),
            Some(_) | None => ShiftSummary {
                // Only who holds the shift's row may say READY; until somebody does, it is not.
                status: SummaryStatus::Pending,
                ready_at: None,
                version: stored.map_or(0, |summary| summary.version),
                ..summarize(&book, None, context.at)
            },
        };
        Ok(ShiftProof {
            shift: book.shift,
            summary,
            parts: book.parts,
        })
    }
}

/// The names of the templates in use, as the day goes.
pub struct TemplateNames;

impl Query for TemplateNames {
    type Answer = Vec<String>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Self::Answer, Error> {
        const NAMES: &str = "
            SELECT COALESCE(jsonb_agg(t.name ORDER BY t.local_start, t.name), '[]') AS json
              FROM shift_template AS t WHERE t.casino_id = $1 AND t.status = 'active'";
        Ok(tx.json(NAMES, [context.casino.id.into()]).await?)
    }
}

/// A table in service, for a shift that opens.
#[derive(Clone, Debug, Deserialize)]
pub struct IdleTable {
    pub table_id: Uuid,
    pub table: String,
    /// A session that has not begun, prepared for a shift that is over by the start of this one: it passes on.
    pub left_over: Option<Uuid>,
}

/// The tables a shift has to open: in service, without a session of this shift, and without one that is live, unless that one never began
/// and its shift is over.
#[derive(Clone, Copy, Debug)]
pub struct IdleTables {
    pub shift_id: Uuid,
}

impl Query for IdleTables {
    type Answer = Vec<IdleTable>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Self::Answer, Error> {
        const IDLE: &str = "
            SELECT COALESCE(jsonb_agg(jsonb_build_object('table_id', t.id, 'table', t.label, 'left_over', live.id) ORDER BY t.label), '[]') AS json
              FROM shift AS h
              JOIN gaming_table AS t ON t.casino_id = h.casino_id AND t.status = 'active'
              LEFT JOIN table_inventory_session AS live
                ON live.casino_id = t.casino_id AND live.table_id = t.id AND live.closed_at IS NULL
              LEFT JOIN shift AS before ON before.casino_id = live.casino_id AND before.id = live.shift_id
             WHERE h.casino_id = $1 AND h.id = $2
               AND (live.id IS NULL OR (live.status = 'READY_TO_OPEN' AND before.id <> h.id AND before.ends_at <= h.starts_at))
               AND NOT EXISTS (SELECT FROM table_inventory_session AS s
                                WHERE s.casino_id = h.casino_id AND s.shift_id = h.id AND s.table_id = t.id)";
        Ok(tx.json(IDLE, [context.casino.id.into(), self.shift_id.into()]).await?)
    }
}

/// The shift a closing is about, before it is closed.
impl Query for ShiftOf {
    type Answer = Option<Shift>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Self::Answer, Error> {
        tx.latest_shift(context, self).await
    }
}

/// Sessions that began within an open shift and have none: it was made after them.
#[derive(Clone, Copy, Debug)]
pub struct UnboundSessions {
    pub shift_id: Uuid,
}

impl Query for UnboundSessions {
    type Answer = Vec<Uuid>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Self::Answer, Error> {
        const UNBOUND: &str = "
            SELECT COALESCE(jsonb_agg(s.id ORDER BY s.id), '[]') AS json
              FROM shift AS h
              JOIN table_inventory_session AS s
                ON s.casino_id = h.casino_id AND s.shift_id IS NULL AND s.opened_at >= h.starts_at AND s.opened_at < h.ends_at
             WHERE h.casino_id = $1 AND h.id = $2 AND h.status = 'OPEN'
               AND s.finalized_at IS NULL AND s.close_reason IS DISTINCT FROM 'cancelled'";
        Ok(tx.json(UNBOUND, [context.casino.id.into(), self.shift_id.into()]).await?)
    }
}

/// Every session of a shift.
#[derive(Clone, Copy, Debug)]
pub struct SessionsOfShift {
    pub shift_id: Uuid,
}

impl Query for SessionsOfShift {
    type Answer = Vec<SessionAt>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Self::Answer, Error> {
        const OF_SHIFT: &str = "
            SELECT COALESCE(jsonb_agg(jsonb_build_object('session_id', s.id, 'table_id', s.table_id, 'table', t.label, 'status', s.status)
                                      ORDER BY s.id), '[]') AS json
              FROM table_inventory_session AS s
              JOIN gaming_table AS t ON t.casino_id = s.casino_id AND t.id = s.table_id
             WHERE s.casino_id = $1 AND s.shift_id = $2";
        Ok(tx.json(OF_SHIFT, [context.casino.id.into(), self.shift_id.into()]).await?)
    }
}

/// What the sweep of deadlines has to look at.
#[derive(Clone, Debug, Deserialize)]
pub struct Overdue {
    /// Sessions with something past its limit that nobody has been told of: the law looks at each.
    pub sessions: Vec<Uuid>,
    /// Missing numbers of closed ranges.
    pub gaps: Vec<Gap>,
    /// Exceptions past their time, the first ones, and how many there are.
    pub exceptions: Vec<Value>,
    pub exceptions_count: i64,
}

/// A batch of it: sessions after this id.
#[derive(Clone, Copy, Debug)]
pub struct OverdueAfter {
    pub after: Option<Uuid>,
    pub limit: i32,
}

/// Ranges closed longer ago are not looked at again: what they lacked has been told by then.
const GAPS_LOOKED_FOR: TimeDelta = TimeDelta::days(90);

impl Query for OverdueAfter {
    type Answer = Overdue;

    /// The sessions come from what is unfinished: removals not yet counted, and sessions closed and not yet reconciled. Both are the
    /// floor's, not history's, and each has an index of its own.
    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Overdue, Error> {
        const OVERDUE: &str = "
            WITH late AS (
                SELECT d.session_id, d.casino_id, e.category, e.subject_id
                  FROM table_drop_event AS d
                 CROSS JOIN LATERAL (VALUES
                           ('COUNT_OVERDUE', d.id::text, d.removed_at < $4),
                           ('CUSTODY_GAP', d.id::text, d.delivered_at IS NULL AND d.removed_at < $5)) AS e (category, subject_id, late)
                 WHERE d.casino_id = $1 AND d.counted_at IS NULL AND e.late
                UNION ALL
                SELECT s.id, s.casino_id, 'DROP_MISSING', s.id::text
                  FROM table_inventory_session AS s
                 WHERE s.casino_id = $1 AND s.closed_at < $6 AND s.reconciled_at IS NULL AND s.close_reason <> 'cancelled'
                   AND NOT EXISTS (SELECT FROM table_drop_event AS d
                                    WHERE d.casino_id = s.casino_id AND d.session_id = s.id AND d.stood_on_table)
            ), untold AS (
                SELECT DISTINCT late.session_id FROM late
                 WHERE ($2::uuid IS NULL OR late.session_id > $2)
                   AND NOT EXISTS (SELECT FROM reconciliation_exception AS e
                                    WHERE e.casino_id = late.casino_id AND e.session_id = late.session_id AND e.category = late.category
                                      AND e.subject_id = late.subject_id AND e.status <> 'RESOLVED')
                 ORDER BY late.session_id LIMIT $3
            ), unresolved AS (
                SELECT e.id, e.session_id, e.category, e.due_at FROM reconciliation_exception AS e
                 WHERE e.casino_id = $1 AND e.status IN ('OPEN', 'ACKNOWLEDGED') AND e.due_at < $7
            )
            SELECT jsonb_build_object(
                'sessions', COALESCE((SELECT jsonb_agg(session_id ORDER BY session_id) FROM untold), '[]'),
                'gaps', slip_gaps_left($1, $8, $9, $3),
                'exceptions', COALESCE((SELECT jsonb_agg(to_jsonb(first) ORDER BY first.due_at, first.id)
                                          FROM (SELECT * FROM unresolved ORDER BY due_at, id LIMIT $3) AS first), '[]'),
                'exceptions_count', (SELECT count(*) FROM unresolved)) AS json";
        let (now, casino) = (context.at, &context.casino);
        let values = [
            casino.id.into(),
            self.after.into(),
            self.limit.into(),
            (now - TimeDelta::hours(casino.count_due_hours.into())).into(),
            (now - TimeDelta::minutes(casino.delivery_limit_minutes.into())).into(),
            (now - TimeDelta::hours(casino.drop_due_hours.into())).into(),
            now.into(),
            (now - GAPS_LOOKED_FOR).into(),
            (now - GAP_WAITS).into(),
        ];
        Ok(tx.json(OVERDUE, values).await?)
    }
}
