//! Rollups in the store: what a drain takes and writes, what a verification reads, and the list of cells.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;
use workflows::case::Context;
use workflows::rollup::{Difference, Period, Rollup, Share, verify};
use workflows::word::{RollupBy, RollupGrain};

use super::Tx;
use super::fault::Fault;
use super::list::{Page, Query, narrow};
use super::sheets::Sheets;
use crate::error::Error;

/// Marks taken from the queue, and all that is needed to answer them.
#[derive(Debug, Default, Deserialize)]
pub struct Taken {
    pub marks: usize,
    #[serde(default)]
    touched: Vec<Touched>,
    #[serde(default)]
    sources: Sources,
    /// Every stored cell of the gaming days and shifts touched.
    #[serde(default)]
    pub stored: Vec<Rollup>,
}

/// One gaming day as one snapshot shows it.
#[derive(Debug, Deserialize)]
pub struct SeenDay {
    sources: Sources,
    stored: Vec<Rollup>,
    /// Marks not yet drained.
    pending: Vec<Touched>,
}

/// Where a mark points: a table's gaming day and, where there is one, its shift with the gaming day that belongs to.
#[derive(Debug, Deserialize)]
struct Touched {
    gaming_day: NaiveDate,
    shift_id: Option<Uuid>,
    shift_day: Option<NaiveDate>,
    table_id: Uuid,
}

/// Sessions as rollups need them.
#[derive(Debug, Default, Deserialize)]
struct Sources {
    sheets: Sheets,
    places: Vec<Place>,
}

/// Where a session is counted.
#[derive(Debug, Deserialize)]
struct Place {
    session_id: Uuid,
    pit: Option<String>,
    shift_day: Option<NaiveDate>,
}

impl Sources {
    fn shares(&self) -> Vec<Share> {
        let share = |place: &Place| {
            let dossier = self.sheets.dossier_of(place.session_id, &[])?;
            Share::of(&dossier, place.pit.clone(), place.shift_day)
        };
        self.places.iter().filter_map(share).collect()
    }
}

impl Taken {
    pub fn touched(&self) -> BTreeSet<(Period, Uuid)> {
        cells(&self.touched)
    }

    pub fn shares(&self) -> Vec<Share> {
        self.sources.shares()
    }
}

impl SeenDay {
    /// How many of the day's cells could be compared, and those that do not say what the facts say.
    pub fn verify(&self, casino_id: Uuid, day: NaiveDate) -> (usize, Vec<Difference>) {
        let (shares, pending) = (self.sources.shares(), cells(&self.pending));
        // A session of this day may sit in a shift of another, and the other way round: each cell is compared with its own day.
        let of_shares = shares.iter().flat_map(|share| share.periods.iter().copied());
        let periods = of_shares.chain(self.stored.iter().map(Rollup::period));
        let periods = periods.filter(|period| period.gaming_day == day).collect();
        verify(casino_id, &periods, &shares, &self.stored, &pending)
    }
}

fn cells(touched: &[Touched]) -> BTreeSet<(Period, Uuid)> {
    let each = |mark: &Touched| {
        let shift = mark.shift_id.zip(mark.shift_day).map(|(id, day)| Period::of_shift(day, id));
        let periods = std::iter::once(Period::of_day(mark.gaming_day)).chain(shift);
        periods.map(|period| (period, mark.table_id)).collect::<Vec<_>>()
    };
    touched.iter().flat_map(each).collect()
}

impl Tx {
    /// Takes the oldest marks of the casino. It waits for another drain: two at once could write an older cell over a newer one.
    pub async fn take_rollup_marks(&self, limit: u32, at: DateTime<Utc>) -> Result<Taken, Fault> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        self.json("SELECT take_rollup_marks($1, $2) AS json", [limit.into(), at.into()])
            .await
    }

    pub async fn put_rollups(&self, changed: &[Rollup]) -> Result<(), Fault> {
        let cells = serde_json::to_value(changed).map_err(Fault::unreadable)?;
        self.json::<Value>("SELECT to_jsonb(put_rollups($1)::text) AS json", [cells.into()])
            .await
            .map(drop)
    }

    pub async fn rollup_marks(&self) -> Result<usize, Fault> {
        self.json("SELECT to_jsonb(count(*)) AS json FROM rollup_mark", []).await
    }

    pub async fn rollup_days(&self) -> Result<Vec<NaiveDate>, Fault> {
        self.json("SELECT rollup_days() AS json", []).await
    }

    pub async fn rollup_day(&self, day: NaiveDate, at: DateTime<Utc>) -> Result<SeenDay, Fault> {
        self.json("SELECT rollup_day($1, $2) AS json", [day.into(), at.into()]).await
    }
}

/// `GET /rollups`, by gaming day and within it by key.
#[derive(Clone, Debug)]
pub struct Rollups {
    pub limit: u64,
    pub after: Option<(NaiveDate, String)>,
    pub grain: Option<RollupGrain>,
    pub by: Option<RollupBy>,
    pub gaming_day: Option<NaiveDate>,
    /// Inclusive, both.
    pub from: Option<NaiveDate>,
    pub to: Option<NaiveDate>,
    pub shift_id: Option<Uuid>,
}

impl Rollups {
    /// Where a page begins, as [`Page::next_cursor`] told it.
    pub fn cursor(text: &str) -> Result<(NaiveDate, String), Error> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let place = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let parts = place.as_deref().and_then(|place| place.split_once('/'));
        parts
            .and_then(|(day, key)| Some((day.parse().ok()?, key.to_owned())))
            .ok_or_else(|| Error::Malformed("cursor: not one of this list".to_owned()))
    }
}

impl Query for Rollups {
    type Answer = Page<Rollup>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page<Rollup>, Error> {
        use entities::rollup::{Column, Entity};
        let mut when = Condition::all().add(Column::CasinoId.eq(context.casino.id));
        when = narrow(when, self.grain, |grain| Column::Grain.eq(grain.to_string()));
        when = narrow(when, self.by, |by| Column::By.eq(by.to_string()));
        when = narrow(when, self.gaming_day, |day| Column::GamingDay.eq(day));
        when = narrow(when, self.from, |day| Column::GamingDay.gte(day));
        when = narrow(when, self.to, |day| Column::GamingDay.lte(day));
        when = narrow(when, self.shift_id, |shift| Column::ShiftId.eq(shift));
        if let Some((day, key)) = &self.after {
            // The first says where the index is entered; the second what of the entry day has been told already.
            when = when.add(Column::GamingDay.gte(*day));
            when = when.add(Column::GamingDay.gt(*day).or(Column::CellKey.gt(key.as_str())));
        }
        let rows = Entity::find()
            .filter(when)
            .order_by_asc(Column::GamingDay)
            .order_by_asc(Column::CellKey)
            .limit(self.limit + 1)
            .all(tx.connection())
            .await
            .map_err(Fault::from)?;
        let rows = serde_json::to_value(rows).and_then(serde_json::from_value);
        let mut items: Vec<Rollup> = rows.map_err(anyhow::Error::from)?;
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        Ok(Page {
            next_cursor: last.map(|row| URL_SAFE_NO_PAD.encode(format!("{}/{}", row.gaming_day, row.cell_key))),
            items,
        })
    }
}
