//! What tables, pits and the casino come to, by shift and by gaming day (domain §10).
//!
//! A table's cell is the sum of its sessions; a pit's and the casino's are sums of table cells, the casino's never of pits: a table may
//! stand in no pit. What is not known is skipped and counted, and a sum of nothing known is null: null is not zero. Hold is the ratio of
//! two sums, never a mean of ratios.
//!
//! The win of a session is [`Figures::win`]; here it is only added up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::ops::Add;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::dossier::Dossier;
use crate::money::share_bp;
use crate::record::Report;
use crate::rundown::{self, Figures};
use crate::word::{Category, CloseReason, MetricGrade, RollupBy, RollupGrain, Status};

/// `rollup`: one stored cell. Cents; a figure of which nothing is known is null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rollup {
    pub casino_id: Uuid,
    /// The cell's name: `grain:by:<gaming day or shift>[:<table or pit>]`.
    pub cell_key: String,
    pub grain: RollupGrain,
    pub by: RollupBy,
    /// Of a shift: the gaming day it belongs to.
    pub gaming_day: NaiveDate,
    pub shift_id: Option<Uuid>,
    pub table_id: Option<Uuid>,
    /// Of a pit its name; of a table where it stood.
    pub pit: Option<String>,
    /// Sessions summed up; cancelled ones are none.
    pub sessions: i64,
    pub tables: i64,
    /// Tables with both counts of every session.
    pub covered_tables: i64,
    /// Sessions whose figures are AUTHORITATIVE.
    pub authoritative_sessions: i64,
    /// Finalized sessions with a late fact: their signed figures stand, and something is to be said about them.
    pub late_sessions: i64,
    pub opening_total_cents: Option<i64>,
    /// Sessions whose figure is not known, and so for each figure.
    pub opening_skipped: i64,
    pub closing_total_cents: Option<i64>,
    pub closing_skipped: i64,
    pub fills_total_cents: Option<i64>,
    pub fills_skipped: i64,
    pub credits_total_cents: Option<i64>,
    pub credits_skipped: i64,
    pub drop_total_cents: Option<i64>,
    pub drop_skipped: i64,
    pub win_loss_stat_cents: Option<i64>,
    pub win_loss_stat_skipped: i64,
    /// The drop of the sessions whose win is known: what hold is a share of.
    pub hold_drop_cents: Option<i64>,
    /// Σ win / Σ drop of those sessions, in basis points; null when that drop is null or 0.
    pub hold_bp: Option<i64>,
    /// Rises by one with every change of the cell.
    pub version: i64,
    pub computed_at: DateTime<Utc>,
    /// SHA-256 over what the cell was summed from, hex.
    pub source_hash: String,
}

/// The time a cell sums over: a gaming day, or a shift and the gaming day it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period {
    pub gaming_day: NaiveDate,
    pub shift_id: Option<Uuid>,
}

/// What a cell sums up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Table(Uuid),
    Pit(String),
    Casino,
}

/// A cell's coordinates. Its key is how it prints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub period: Period,
    pub scope: Scope,
}

/// What one session adds to its cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    pub session_id: Uuid,
    pub table_id: Uuid,
    /// Where the table stood when the session was created.
    pub pit: Option<String>,
    /// Its gaming day, and its shift if it has one.
    pub periods: Vec<Period>,
    pub figures: Figures,
    pub grade: MetricGrade,
    pub late: bool,
}

/// A figure summed up: what is known of it, and how many sessions it is not known of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub cents: Option<i64>,
    pub skipped: i64,
}

/// Everything a cell sums. Adding two is adding each of its numbers, so neither order nor grouping matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub sessions: i64,
    pub tables: i64,
    pub covered_tables: i64,
    pub authoritative_sessions: i64,
    pub late_sessions: i64,
    pub opening: Sum,
    pub closing: Sum,
    pub fills: Sum,
    pub credits: Sum,
    pub drop: Sum,
    pub win: Sum,
    pub hold_drop_cents: Option<i64>,
}

/// What of a stored cell is not what its facts say: the columns in which they differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub cell: String,
    pub expected: Value,
    pub found: Value,
}

impl Share {
    /// None for a cancelled session: it is excluded from metrics (domain §4).
    ///
    /// A finalized session counts with the figures that were signed: a late fact is stored, flagged, and changes nothing else.
    pub fn of(dossier: &Dossier, pit: Option<String>, shift_day: Option<NaiveDate>) -> Option<Self> {
        let session = &dossier.session;
        if session.close_reason == Some(CloseReason::Cancelled) {
            return None;
        }
        let signed = dossier.report.as_ref().filter(|_| session.status == Status::Finalized);
        let day = Period::of_day(session.gaming_day);
        let shift = session.shift_id.zip(shift_day).map(|(id, day)| Period::of_shift(day, id));
        Some(Self {
            session_id: session.id,
            table_id: session.table_id,
            pit,
            periods: std::iter::once(day).chain(shift).collect(),
            figures: signed.map_or_else(|| rundown::figures(dossier), signed_figures),
            grade: signed.map_or_else(|| rundown::grade(dossier), |report| report.metric_grade),
            late: dossier.exceptions.iter().any(|exception| exception.category == Category::LateEvent),
        })
    }
}

/// The five figures as they were signed.
fn signed_figures(report: &Report) -> Figures {
    Figures {
        opening: report.opening_total_cents,
        closing: report.closing_total_cents,
        fills: report.fills_total_cents,
        credits: report.credits_total_cents,
        drop: report.drop_total_cents,
    }
}

/// The cells of `touched` tables computed anew, with the pits and the casino they belong to: those that are not what is `stored`, their
/// versions risen. `stored` holds every cell of the periods touched, `shares` every session of the tables touched in them.
pub fn recompute(
    casino_id: Uuid,
    touched: &BTreeSet<(Period, Uuid)>,
    shares: &[Share],
    stored: &[Rollup],
    at: DateTime<Utc>,
) -> Vec<Rollup> {
    let pits = stored
        .iter()
        .filter(|row| row.table_id.is_some_and(|table| touched.contains(&(row.period(), table))))
        .filter_map(|row| Some((row.period(), row.pit.clone()?)))
        .collect();
    let standing: BTreeMap<&str, &Rollup> = stored.iter().map(|row| (row.cell_key.as_str(), row)).collect();
    let news = |row: Rollup| match standing.get(row.cell_key.as_str()) {
        // A cell that never was and is empty need not be.
        None => (row.sessions > 0).then_some(row),
        Some(old) if old.says(&row) => None,
        Some(old) => Some(Rollup {
            version: old.version + 1,
            ..row
        }),
    };
    computed(casino_id, touched, shares, stored, pits, at)
        .into_iter()
        .filter_map(news)
        .collect()
}

/// Compares what is stored of some periods with what all their sessions say. Tables in `pending` have facts not yet brought in: they are
/// left out, and so is what is summed from them. Also tells how many cells were compared.
pub fn verify(
    casino_id: Uuid,
    periods: &BTreeSet<Period>,
    shares: &[Share],
    stored: &[Rollup],
    pending: &BTreeSet<(Period, Uuid)>,
) -> (usize, Vec<Difference>) {
    let of_shares = shares
        .iter()
        .flat_map(|share| share.periods.iter().map(|period| (*period, share.table_id)));
    let of_stored = stored.iter().filter_map(|row| Some((row.period(), row.table_id?)));
    let all = of_shares.chain(of_stored).filter(|(period, _)| periods.contains(period)).collect();
    let pits = stored
        .iter()
        .filter(|row| row.grain == RollupGrain::Pit)
        .filter_map(|row| Some((row.period(), row.pit.clone()?)))
        .collect();
    let unsettled: BTreeSet<Period> = pending.iter().map(|(period, _)| *period).collect();
    let settled = |row: &Rollup| match row.table_id {
        Some(table) => !pending.contains(&(row.period(), table)),
        None => !unsettled.contains(&row.period()),
    };
    let found: BTreeMap<&str, &Rollup> = stored.iter().map(|row| (row.cell_key.as_str(), row)).collect();
    let expected = computed(casino_id, &all, shares, &[], pits, DateTime::UNIX_EPOCH);
    let (mut compared, mut differences) = (0, Vec::new());
    for expected in expected.iter().filter(|row| settled(row)) {
        compared += 1;
        differences.extend(difference(expected, found.get(expected.cell_key.as_str()).copied()));
    }
    let known: BTreeSet<&str> = expected.iter().map(|row| row.cell_key.as_str()).collect();
    for unknown in stored.iter().filter(|row| settled(row) && !known.contains(row.cell_key.as_str())) {
        compared += 1;
        differences.push(Difference {
            cell: unknown.cell_key.clone(),
            expected: Value::Null,
            found: serde_json::to_value(unknown).unwrap_or_default(),
        });
    }
    (compared, differences)
}

/// Touched tables from their sessions; then, of each period touched, the casino and these pits and those the tables stand in now, from
/// table cells: the new ones, and the `standing` ones that were not touched.
fn computed(
    casino_id: Uuid,
    touched: &BTreeSet<(Period, Uuid)>,
    shares: &[Share],
    standing: &[Rollup],
    mut pits: BTreeSet<(Period, String)>,
    at: DateTime<Utc>,
) -> Vec<Rollup> {
    let fresh: Vec<Rollup> = touched
        .iter()
        .map(|(period, table)| of_table(casino_id, *period, *table, shares, at))
        .collect();
    pits.extend(fresh.iter().filter_map(|row| Some((row.period(), row.pit.clone()?))));
    let casinos = touched.iter().map(|(period, _)| (*period, Scope::Casino)).collect::<BTreeSet<_>>();
    let groups = pits.into_iter().map(|(period, pit)| (period, Scope::Pit(pit))).chain(casinos);
    let mut tables: BTreeMap<(Period, Uuid), &Rollup> = BTreeMap::new();
    for row in standing.iter().chain(&fresh) {
        if let Some(table) = row.table_id {
            tables.insert((row.period(), table), row);
        }
    }
    let groups: Vec<Rollup> = groups
        .map(|(period, scope)| of_group(casino_id, &Cell { period, scope }, &tables, at))
        .collect();
    fresh.into_iter().chain(groups).collect()
}

fn of_table(casino_id: Uuid, period: Period, table: Uuid, shares: &[Share], at: DateTime<Utc>) -> Rollup {
    let mut own: Vec<&Share> = shares
        .iter()
        .filter(|share| share.table_id == table && share.periods.contains(&period))
        .collect();
    own.sort_by_key(|share| share.session_id);
    let sum = own.iter().fold(Tally::default(), |sum, share| sum + Tally::of_session(share));
    let covered = !own.is_empty() && sum.opening.skipped == 0 && sum.closing.skipped == 0;
    let tally = Tally {
        tables: i64::from(!own.is_empty()),
        covered_tables: i64::from(covered),
        ..sum
    };
    // Ids rise with time: the table is where its last session stood.
    let pit = own.last().and_then(|share| share.pit.clone());
    let sources: Vec<Value> = own.iter().map(|share| share.source()).collect();
    let hash = hash(&json!([pit, sources]));
    let scope = Scope::Table(table);
    row(casino_id, &Cell { period, scope }, pit, &tally, hash, at)
}

/// Table cells alone are summed; one without a session adds nothing.
fn of_group(casino_id: Uuid, cell: &Cell, tables: &BTreeMap<(Period, Uuid), &Rollup>, at: DateTime<Utc>) -> Rollup {
    let of_pit = |row: &Rollup| match &cell.scope {
        Scope::Pit(pit) => row.pit.as_ref() == Some(pit),
        Scope::Table(_) | Scope::Casino => true,
    };
    let from = (cell.period, Uuid::nil());
    let to = (cell.period, Uuid::max());
    let members: Vec<&Rollup> = tables
        .range(from..=to)
        .map(|(_, row)| *row)
        .filter(|row| row.sessions > 0 && of_pit(row))
        .collect();
    let tally = members.iter().fold(Tally::default(), |sum, row| sum + row.tally());
    let sources: Vec<Value> = members.iter().map(|row| json!([row.table_id, row.source_hash])).collect();
    let pit = match &cell.scope {
        Scope::Pit(pit) => Some(pit.clone()),
        Scope::Table(_) | Scope::Casino => None,
    };
    row(casino_id, cell, pit, &tally, hash(&json!(sources)), at)
}

fn row(casino_id: Uuid, cell: &Cell, pit: Option<String>, tally: &Tally, source_hash: String, at: DateTime<Utc>) -> Rollup {
    Rollup {
        casino_id,
        cell_key: cell.to_string(),
        grain: cell.grain(),
        by: cell.period.by(),
        gaming_day: cell.period.gaming_day,
        shift_id: cell.period.shift_id,
        table_id: cell.table_id(),
        pit,
        sessions: tally.sessions,
        tables: tally.tables,
        covered_tables: tally.covered_tables,
        authoritative_sessions: tally.authoritative_sessions,
        late_sessions: tally.late_sessions,
        opening_total_cents: tally.opening.cents,
        opening_skipped: tally.opening.skipped,
        closing_total_cents: tally.closing.cents,
        closing_skipped: tally.closing.skipped,
        fills_total_cents: tally.fills.cents,
        fills_skipped: tally.fills.skipped,
        credits_total_cents: tally.credits.cents,
        credits_skipped: tally.credits.skipped,
        drop_total_cents: tally.drop.cents,
        drop_skipped: tally.drop.skipped,
        win_loss_stat_cents: tally.win.cents,
        win_loss_stat_skipped: tally.win.skipped,
        hold_drop_cents: tally.hold_drop_cents,
        hold_bp: tally.hold_bp(),
        version: 1,
        computed_at: at,
        source_hash,
    }
}

fn hash(sources: &Value) -> String {
    rundown::hex(&Sha256::digest(sources.to_string().as_bytes()))
}

/// The columns in which a stored cell differs from what it should be. A cell that is not there is as good as an empty one.
fn difference(expected: &Rollup, found: Option<&Rollup>) -> Option<Difference> {
    if found.is_none() && expected.sessions == 0 || found.is_some_and(|found| found.says(expected)) {
        return None;
    }
    let told = |row: &Rollup| match serde_json::to_value(row) {
        Ok(Value::Object(columns)) => columns,
        Ok(_) | Err(_) => Map::new(),
    };
    let (mut is, mut was) = (told(expected), found.map(told).unwrap_or_default());
    let same: Vec<String> = is
        .iter()
        .filter(|(name, value)| was.get(*name) == Some(value) || ["version", "computed_at"].contains(&name.as_str()))
        .map(|(name, _)| name.clone())
        .collect();
    for name in same {
        is.remove(&name);
        was.remove(&name);
    }
    Some(Difference {
        cell: expected.cell_key.clone(),
        expected: Value::Object(is),
        found: if found.is_some() { Value::Object(was) } else { Value::Null },
    })
}

impl Rollup {
    pub fn period(&self) -> Period {
        Period {
            gaming_day: self.gaming_day,
            shift_id: self.shift_id,
        }
    }

    /// What it sums, to be summed further.
    pub fn tally(&self) -> Tally {
        let sum = |cents, skipped| Sum { cents, skipped };
        Tally {
            sessions: self.sessions,
            tables: self.tables,
            covered_tables: self.covered_tables,
            authoritative_sessions: self.authoritative_sessions,
            late_sessions: self.late_sessions,
            opening: sum(self.opening_total_cents, self.opening_skipped),
            closing: sum(self.closing_total_cents, self.closing_skipped),
            fills: sum(self.fills_total_cents, self.fills_skipped),
            credits: sum(self.credits_total_cents, self.credits_skipped),
            drop: sum(self.drop_total_cents, self.drop_skipped),
            win: sum(self.win_loss_stat_cents, self.win_loss_stat_skipped),
            hold_drop_cents: self.hold_drop_cents,
        }
    }

    /// Says the same: only when, and for the how-manieth time, may differ.
    fn says(&self, other: &Self) -> bool {
        *self
            == Self {
                version: self.version,
                computed_at: self.computed_at,
                ..other.clone()
            }
    }
}

impl Tally {
    pub fn of_session(share: &Share) -> Self {
        let figures = &share.figures;
        let win = figures.win();
        Self {
            sessions: 1,
            authoritative_sessions: i64::from(share.grade == MetricGrade::Authoritative),
            late_sessions: i64::from(share.late),
            opening: figures.opening.into(),
            closing: figures.closing.into(),
            fills: Some(figures.fills).into(),
            credits: Some(figures.credits).into(),
            drop: figures.drop.into(),
            win: win.into(),
            hold_drop_cents: win.and(figures.drop),
            ..Self::default()
        }
    }

    /// Σ win / Σ drop over the sessions that have both, in basis points.
    pub fn hold_bp(&self) -> Option<i64> {
        share_bp(self.win.cents?, self.hold_drop_cents?)
    }
}

impl Share {
    /// What the hash of a cell is made of: equal shares make equal cells.
    fn source(&self) -> Value {
        let Figures {
            opening,
            closing,
            fills,
            credits,
            drop,
        } = self.figures;
        json!([self.session_id, opening, closing, fills, credits, drop, self.grade, self.late])
    }
}

impl Period {
    pub const fn of_day(gaming_day: NaiveDate) -> Self {
        Self {
            gaming_day,
            shift_id: None,
        }
    }

    pub const fn of_shift(gaming_day: NaiveDate, shift_id: Uuid) -> Self {
        Self {
            gaming_day,
            shift_id: Some(shift_id),
        }
    }

    const fn by(self) -> RollupBy {
        match self.shift_id {
            Some(_) => RollupBy::Shift,
            None => RollupBy::GamingDay,
        }
    }
}

impl Cell {
    const fn grain(&self) -> RollupGrain {
        match self.scope {
            Scope::Table(_) => RollupGrain::Table,
            Scope::Pit(_) => RollupGrain::Pit,
            Scope::Casino => RollupGrain::Casino,
        }
    }

    const fn table_id(&self) -> Option<Uuid> {
        match self.scope {
            Scope::Table(id) => Some(id),
            Scope::Pit(_) | Scope::Casino => None,
        }
    }
}

impl Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.grain(), self.period.by())?;
        match self.period.shift_id {
            Some(shift) => write!(f, "{shift}")?,
            None => write!(f, "{}", self.period.gaming_day)?,
        }
        match &self.scope {
            Scope::Table(table) => write!(f, ":{table}"),
            Scope::Pit(pit) => write!(f, ":{pit}"),
            Scope::Casino => Ok(()),
        }
    }
}

impl From<Option<i64>> for Sum {
    fn from(cents: Option<i64>) -> Self {
        Self {
            cents,
            skipped: i64::from(cents.is_none()),
        }
    }
}

/// What is known of either is known of both together; nothing known of both is nothing known.
fn known(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

impl Add for Sum {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cents: known(self.cents, other.cents),
            skipped: self.skipped + other.skipped,
        }
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            sessions: self.sessions + other.sessions,
            tables: self.tables + other.tables,
            covered_tables: self.covered_tables + other.covered_tables,
            authoritative_sessions: self.authoritative_sessions + other.authoritative_sessions,
            late_sessions: self.late_sessions + other.late_sessions,
            opening: self.opening + other.opening,
            closing: self.closing + other.closing,
            fills: self.fills + other.fills,
            credits: self.credits + other.credits,
            drop: self.drop + other.drop,
            win: self.win + other.win,
            hold_drop_cents: known(self.hold_drop_cents, other.hold_drop_cents),
        }
    }
}

#[cfg(test)]
mod tests;
