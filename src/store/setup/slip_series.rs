//! Slip numbers: what became of every number of a series, and numbers set aside for slips written by hand.
//!
//! A series is gap-free by its counter's row lock (`take_slip_numbers`); a reservation takes its numbers the same way, so no slip issued
//! beside it can get one of them.

use chrono::{DateTime, NaiveDate, Utc};
use entities::manual_range::{Column, Entity, Model};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use strum::VariantArray as _;
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::record::{Casino, ManualRange};
use workflows::refusal::Refusal;
use workflows::slip::SlipNumber;
use workflows::word::{SlipKind, SlipScope};

use super::form::Form;
use super::{Changed, Tx, dressed, json_of};
use crate::answer::Answer;
use crate::error::Error;
use crate::store::fault::Fault;
use crate::store::list::{Page, Query};

/// The longest manual range: a pad of forms, not a way to empty a series.
const COUNTS: std::ops::RangeInclusive<i64> = 1..=500;
/// The most missing numbers listed of one series; `missing_count` tells how many there are.
const MAX_MISSING: i64 = 1_000;

/// Numbers to set aside, next in the series of today.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRange {
    pub kind: SlipKind,
    /// 1 to 500.
    pub count: i64,
}

/// What became of the numbers of one series. Used, void, missing, and what is unused of the open manual ranges add up to `last_no`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SlipSeries {
    pub kind: SlipKind,
    pub scope: SlipScope,
    /// The gaming day, or the year.
    pub scope_key: String,
    /// Whether the casino's series of this kind can issue.
    pub open: bool,
    #[serde(flatten)]
    pub numbers: Numbers,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Numbers {
    /// The last number given; 0 before the first.
    pub last_no: i64,
    /// Numbers on slips that are not void.
    pub used: i64,
    /// Numbers on void slips.
    pub void: i64,
    pub manual: Vec<ManualNumbers>,
    /// Numbers up to `last_no` neither on a slip nor in an open manual range: the first 1,000.
    pub missing: Vec<i64>,
    pub missing_count: i64,
}

/// Numbers set aside for slips written by hand.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ManualNumbers {
    pub id: Uuid,
    pub first_no: i64,
    pub last_no: i64,
    /// How many of them are on slips, void ones too.
    pub used: i64,
    /// From then on its unused numbers are missing.
    pub closed_at: Option<DateTime<Utc>>,
}

impl Tx {
    pub(super) async fn reserve_numbers(&self, context: &Context, new: &NewRange) -> Result<Changed, Error> {
        const TAKE: &str = "SELECT take_slip_numbers(c, $2, $3, $4) AS json FROM casino AS c WHERE c.id = $1";
        let mut form = Form::default();
        form.within("/count", &new.count, &COUNTS);
        form.judge()?;
        let values = [
            context.casino.id.into(),
            new.kind.to_string().into(),
            context.at.into(),
            new.count.into(),
        ];
        let last: SlipNumber = self.json(TAKE, values).await?;
        let row = Model {
            id: (context.new_id)(),
            casino_id: context.casino.id,
            kind: new.kind.to_string(),
            slip_scope: last.slip_scope.to_string(),
            scope_key: last.scope_key,
            first_no: last.slip_no - new.count + 1,
            last_no: last.slip_no,
            created_by: context.caller.id,
            created_at: context.at,
            closed_at: None,
        };
        let range: ManualRange = dressed(&self.insert(row).await?)?;
        Ok(Changed::created(
            "slip_series.reserve",
            "slip_manual_range",
            Answer::created(&range),
        ))
    }

    /// Closes a range, once: the paper has come back, and numbers without a slip are missing from now on.
    pub(super) async fn close_range(&self, context: &Context, id: Uuid) -> Result<Changed, Error> {
        let row = Entity::find_by_id(id)
            .filter(Column::CasinoId.eq(context.casino.id))
            .lock(LockType::NoKeyUpdate);
        let old = row
            .one(self.connection())
            .await
            .map_err(Fault::from)?
            .ok_or(Refusal::NotFound("manual range"))?;
        if let Some(closed) = old.closed_at {
            return Err(Refusal::conflict("already_closed", format!("the range was closed at {closed}")).into());
        }
        let before = json_of(&dressed::<ManualRange>(&old)?)?;
        let new = Model {
            closed_at: Some(context.at),
            ..old.clone()
        };
        let range: ManualRange = dressed(&self.replace(old, &new).await?)?;
        Ok(Changed::updated(
            "slip_series.close",
            "slip_manual_range",
            &before,
            Answer::ok(&range),
        ))
    }
}

/// `GET /slip-series`: of one kind or both, for one day or year.
#[derive(Clone, Debug)]
pub struct SeriesOf {
    kind: Option<SlipKind>,
    /// None: the series in use now.
    scope: Option<(SlipScope, String)>,
}

impl SeriesOf {
    /// A scope key tells its scope: a date is a gaming day, four digits are a year. So series of before a change of scope can be read.
    pub fn parse(kind: Option<SlipKind>, scope_key: Option<&str>) -> Result<Self, Error> {
        let bad = || Error::Malformed("scope_key: a gaming day (YYYY-MM-DD) or a year (YYYY)".to_owned());
        let scope = scope_key
            .map(|key| scope_of(key).map(|scope| (scope, key.to_owned())).ok_or_else(bad))
            .transpose()?;
        Ok(Self { kind, scope })
    }
}

fn scope_of(key: &str) -> Option<SlipScope> {
    let is_date = key.len() == 10 && key.parse::<NaiveDate>().is_ok();
    let is_year = key.len() == 4 && key.bytes().all(|byte| byte.is_ascii_digit());
    if is_date {
        Some(SlipScope::GamingDay)
    } else {
        is_year.then_some(SlipScope::CalendarYear)
    }
}

/// The series a slip issued now would take its number from: `take_slip_numbers` says the same in SQL.
fn scope_now(context: &Context) -> (SlipScope, String) {
    let day = context.gaming_day();
    match context.casino.slip_scope {
        SlipScope::GamingDay => (SlipScope::GamingDay, day.to_string()),
        SlipScope::CalendarYear => (SlipScope::CalendarYear, day.format("%Y").to_string()),
    }
}

const NUMBERS: &str = "
    WITH slip AS MATERIALIZED (
        SELECT x.slip_no, x.status = 'VOIDED' AS void FROM table_slip AS x
         WHERE x.casino_id = $1 AND x.kind = $2 AND x.slip_scope = $3 AND x.scope_key = $4 AND x.slip_no IS NOT NULL
    ), manual AS MATERIALIZED (
        SELECT r.id, r.first_no, r.last_no, r.closed_at,
               (SELECT count(*) FROM slip WHERE slip.slip_no BETWEEN r.first_no AND r.last_no) AS used
          FROM slip_manual_range AS r
         WHERE r.casino_id = $1 AND r.kind = $2 AND r.slip_scope = $3 AND r.scope_key = $4
    ), given AS (
        SELECT COALESCE(max(n.last_no), 0) AS last_no FROM slip_counter AS n
         WHERE n.casino_id = $1 AND n.kind = $2 AND n.slip_scope = $3 AND n.scope_key = $4
    ), missing AS MATERIALIZED (
        SELECT n.slip_no FROM given CROSS JOIN generate_series(1, given.last_no) AS n (slip_no)
         WHERE NOT EXISTS (SELECT FROM slip WHERE slip.slip_no = n.slip_no)
           AND NOT EXISTS (SELECT FROM manual WHERE manual.closed_at IS NULL AND n.slip_no BETWEEN manual.first_no AND manual.last_no)
    )
    SELECT jsonb_build_object(
        'last_no', (SELECT given.last_no FROM given),
        'used', (SELECT count(*) FROM slip WHERE NOT slip.void),
        'void', (SELECT count(*) FROM slip WHERE slip.void),
        'manual', COALESCE((SELECT jsonb_agg(to_jsonb(manual) ORDER BY manual.first_no) FROM manual), '[]'),
        'missing', COALESCE((SELECT jsonb_agg(m.slip_no ORDER BY m.slip_no) FROM
                                (SELECT missing.slip_no FROM missing ORDER BY missing.slip_no LIMIT $5) AS m), '[]'),
        'missing_count', (SELECT count(*) FROM missing)) AS json";

impl Query for SeriesOf {
    type Answer = Page<SlipSeries>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page<SlipSeries>, Error> {
        let (scope, scope_key) = self.scope.clone().unwrap_or_else(|| scope_now(context));
        let mut items = Vec::new();
        for &kind in SlipKind::VARIANTS
            .iter()
            .filter(|kind| self.kind.is_none_or(|wanted| wanted == **kind))
        {
            let values = [
                context.casino.id.into(),
                kind.to_string().into(),
                scope.to_string().into(),
                scope_key.clone().into(),
                MAX_MISSING.into(),
            ];
            let numbers = tx.json(NUMBERS, values).await?;
            items.push(SlipSeries {
                kind,
                scope,
                scope_key: scope_key.clone(),
                open: is_open(&context.casino, kind),
                numbers,
            });
        }
        Ok(Page { items, next_cursor: None })
    }
}

fn is_open(casino: &Casino, kind: SlipKind) -> bool {
    match kind {
        SlipKind::Fill => casino.fill_series_open,
        SlipKind::Credit => casino.credit_series_open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_key_tells_its_scope() {
        assert_eq!(scope_of("2026-03-06"), Some(SlipScope::GamingDay));
        assert_eq!(scope_of("2026"), Some(SlipScope::CalendarYear));
        for bad in ["", "2026-3-6", "2026-02-30", "+026", "202", "20260306", "day"] {
            assert_eq!(scope_of(bad), None, "{bad}");
        }
    }
}
