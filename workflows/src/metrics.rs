//! What a table, a pit and the casino come to in a window of time (domain §10): a shift, a gaming day, or any hours up to [`LONGEST`].
//!
//! A table's window runs between two counts: a baseline and a closing count strictly later than it. What moved between the two is summed,
//! and the win is [`Figures::win`]: here it is only asked for, with the counted drop, with the drop that buy-ins let expect, or without any.
//! Nothing of this is signed: what was signed stands in the session's report.
//!
//! A shift and a gaming day have sessions of their own, and take their counts from those, even where a tray was counted some minutes before or
//! after the hour. Any other window takes the counts made within it.

mod table;

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use self::table::Reading;
use crate::coverage::{self, TelemetryCounts, TelemetryNote, TelemetryQuality};
use crate::money::share_bp;
use crate::rollup::{Sum, Tally};
use crate::rundown::Figures;
use crate::timetable::zone::instant;
use crate::word::{MetricGrade, SnapshotKind};

/// The longest window anybody may ask for: what a read costs follows it.
pub const LONGEST: TimeDelta = TimeDelta::hours(48);

/// How far outside its hours a shift or a gaming day still looks for the counts of its own sessions: a table opened early or closed late, and
/// no session that somebody forgot to close.
pub const REACH: TimeDelta = TimeDelta::hours(12);

/// `start` belongs to it, `end` no more: windows that adjoin share nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

/// What is known of one table around a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFacts {
    pub table_id: Uuid,
    pub table: String,
    /// Where it stands now.
    pub pit: Option<String>,
    /// In service now: it is told of even where nothing happened at it.
    pub in_service: bool,
    /// In force on the gaming day the window begins in.
    pub par_cents: Option<i64>,
    /// In order of creation, cancelled ones left out.
    pub sessions: Vec<SessionFacts>,
    /// Verified counts, recounted ones too.
    pub counts: Vec<Count>,
    pub slips: Vec<SlipFlow>,
    pub buyins: Vec<BuyinFlow>,
}

/// A session as a window sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFacts {
    pub id: Uuid,
    /// It is one of the shift or the gaming day asked for. Any other window has no sessions of its own.
    pub own: bool,
    pub opened_at: Option<DateTime<Utc>>,
    pub closed_at: Option<DateTime<Utc>>,
    /// Where its table stood.
    pub pit: Option<String>,
    /// What was signed stands, whatever came later.
    pub finalized: bool,
    /// Its report's, if it has one.
    pub metric_grade: Option<MetricGrade>,
    pub signed_drop_cents: Option<i64>,
    /// Boxes removed, and those of them with an accepted count.
    pub removals: i64,
    pub counted_removals: i64,
    pub counted_cents: Option<i64>,
}

/// A verified tray count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub id: Uuid,
    pub session_id: Uuid,
    pub kind: SnapshotKind,
    pub total_cents: i64,
    pub counted_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub supersedes_id: Option<Uuid>,
}

/// Verified slips of one session, by confirmed amount, from one moment until the next count at the table: one slip, or as many as nothing
/// can tell apart. `since` is null before every moment anybody asks about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlipFlow {
    pub session_id: Uuid,
    pub since: Option<DateTime<Utc>>,
    pub fills_cents: i64,
    pub credits_cents: i64,
}

/// Buy-ins from one moment until the next count at the table: one, or as many as nothing can tell apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuyinFlow {
    pub since: Option<DateTime<Utc>>,
    /// Adjustments included, signed.
    pub rated_cents: i64,
    pub grind_cents: i64,
    /// Rows of any kind: with none, nothing is known of the money.
    pub rows: i64,
    /// Buy-ins that were not undone.
    pub rated_buyins: i64,
    pub grind_buyins: i64,
    pub expected_rated_rows: i64,
    pub missing_rated_rows: i64,
    pub rating_slips: i64,
}

/// Where the opening figure comes from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum OpeningSource {
    /// A verified opener of the window.
    #[serde(rename = "snapshot:verified_open")]
    VerifiedOpen,
    /// The last verified count before it.
    #[serde(rename = "snapshot:prior_count")]
    PriorCount,
    /// Nobody has counted: the tray is taken to be at par.
    #[serde(rename = "bootstrap:par_target")]
    ParTarget,
    /// The first count within the window: what was before it is not covered.
    #[serde(rename = "fallback:earliest_in_window")]
    EarliestInWindow,
    #[serde(rename = "none")]
    None,
}

/// How much of the window the baseline stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CoverageType {
    Full,
    /// All of it, by a figure nobody counted.
    Assumed,
    Partial,
    None,
}

/// Which count the closing figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ClosingSource {
    #[serde(rename = "snapshot:verified_close")]
    VerifiedClose,
    #[serde(rename = "snapshot:rundown")]
    Rundown,
    /// The opener of a session that runs on.
    #[serde(rename = "snapshot:verified_open")]
    VerifiedOpen,
    #[serde(rename = "none")]
    None,
}

/// What one table comes to. Cents; what cannot be computed is null.
#[expect(clippy::struct_excessive_bools, reason = "flags of what is missing, each its own")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TableMetrics {
    pub table_id: Uuid,
    pub table: String,
    /// Where it stood in the window's last session, or else stands now.
    pub pit: Option<String>,
    /// A session was in play within the window.
    pub was_open: bool,
    pub opening_total_cents: Option<i64>,
    pub opening_source: OpeningSource,
    pub opening_snapshot_id: Option<Uuid>,
    pub opening_at: Option<DateTime<Utc>>,
    pub coverage_type: CoverageType,
    pub closing_total_cents: Option<i64>,
    pub closing_source: ClosingSource,
    pub closing_snapshot_id: Option<Uuid>,
    pub closing_at: Option<DateTime<Utc>>,
    /// Slips and buy-ins are summed from here, inclusive: the baseline; without two counts, the window.
    pub flows_from: DateTime<Utc>,
    /// To here, exclusive.
    pub flows_to: DateTime<Utc>,
    pub fills_total_cents: i64,
    pub credits_total_cents: i64,
    /// Of buy-ins logged; null where none was.
    pub estimated_drop_rated_cents: Option<i64>,
    pub estimated_drop_grind_cents: Option<i64>,
    pub estimated_drop_total_cents: Option<i64>,
    /// Soft counts of every box of the sessions between the two counts; null unless these are whole sessions, and all their boxes counted.
    pub drop_total_cents: Option<i64>,
    /// What the trays alone say.
    pub win_loss_inventory_cents: Option<i64>,
    /// With the estimated drop.
    pub win_loss_estimated_cents: Option<i64>,
    /// With the counted drop: the statistical win.
    pub win_loss_stat_cents: Option<i64>,
    /// Of the statistical win and the counted drop.
    pub hold_bp: Option<i64>,
    /// Of the statistical win: AUTHORITATIVE where every session between the two counts is.
    pub metric_grade: MetricGrade,
    pub telemetry_quality: TelemetryQuality,
    pub telemetry_rule: String,
    pub telemetry_notes: Vec<TelemetryNote>,
    pub telemetry_counts: TelemetryCounts,
    pub missing_opening_snapshot: bool,
    pub missing_closing_snapshot: bool,
    pub missing_counted_drop: bool,
    pub missing_telemetry: bool,
}

/// What a pit or the casino comes to: sums of its tables. `…_skipped` says of how many tables a figure is not known; nothing known is null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupMetrics {
    /// Null: the whole casino.
    pub pit: Option<String>,
    pub tables: i64,
    pub open_tables: i64,
    /// Tables with both counts.
    pub covered_tables: i64,
    /// Of all tables, in basis points; null without a table.
    pub coverage_bp: Option<i64>,
    pub authoritative_tables: i64,
    /// AUTHORITATIVE where every table is.
    pub metric_grade: MetricGrade,
    pub opening_total_cents: Option<i64>,
    pub opening_skipped: i64,
    pub closing_total_cents: Option<i64>,
    pub closing_skipped: i64,
    pub fills_total_cents: Option<i64>,
    pub fills_skipped: i64,
    pub credits_total_cents: Option<i64>,
    pub credits_skipped: i64,
    pub estimated_drop_rated_cents: Option<i64>,
    pub estimated_drop_rated_skipped: i64,
    pub estimated_drop_grind_cents: Option<i64>,
    pub estimated_drop_grind_skipped: i64,
    pub estimated_drop_total_cents: Option<i64>,
    pub estimated_drop_total_skipped: i64,
    pub drop_total_cents: Option<i64>,
    pub drop_skipped: i64,
    pub win_loss_inventory_cents: Option<i64>,
    pub win_loss_inventory_skipped: i64,
    pub win_loss_estimated_cents: Option<i64>,
    pub win_loss_estimated_skipped: i64,
    pub win_loss_stat_cents: Option<i64>,
    pub win_loss_stat_skipped: i64,
    /// The drop of the tables whose statistical win is known: what hold is a share of.
    pub hold_drop_cents: Option<i64>,
    /// Σ win / Σ drop of those tables, never a mean of ratios.
    pub hold_bp: Option<i64>,
    pub good_coverage_tables: i64,
    pub low_coverage_tables: i64,
    pub no_coverage_tables: i64,
}

/// Everything about a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// By name.
    pub tables: Vec<TableMetrics>,
    /// By name. A table that stands in no pit is in none of them.
    pub pits: Vec<GroupMetrics>,
    /// Summed from tables, never from pits.
    pub casino: GroupMetrics,
}

impl Window {
    /// A gaming day: from its first moment until the next one's. 23 to 25 hours.
    pub fn of_day(day: NaiveDate, zone: Tz, start: NaiveTime) -> Self {
        let next = day.succ_opt().unwrap_or(day);
        Self {
            start: instant(zone, day.and_time(start)),
            end: instant(zone, next.and_time(start)),
        }
    }

    pub fn holds(&self, at: DateTime<Utc>) -> bool {
        self.start <= at && at < self.end
    }

    fn reaches(&self, at: DateTime<Utc>) -> bool {
        let early = self.start.checked_sub_signed(REACH).unwrap_or(self.start);
        let late = self.end.checked_add_signed(REACH).unwrap_or(self.end);
        early <= at && at < late
    }
}

impl Summary {
    /// Computes a window from what is known of its tables. The share is the casino's (see [`coverage`]).
    pub fn of(window: Window, pit_grind_share_bp: i32, facts: &[TableFacts]) -> Self {
        let readings: Vec<Reading<'_>> = facts
            .iter()
            .map(|table| Reading::of(window, table))
            .filter(Reading::counts)
            .collect();
        let pits = pit_habits(&readings);
        let mut tables: Vec<TableMetrics> = readings
            .iter()
            .map(|reading| {
                let pit = reading.pit().and_then(|pit| pits.get(pit)).copied().unwrap_or_default();
                reading.metrics(pit, pit_grind_share_bp)
            })
            .collect();
        tables.sort_by(|a, b| (&a.table, a.table_id).cmp(&(&b.table, b.table_id)));
        let mut of_pit: BTreeMap<&str, Vec<&TableMetrics>> = BTreeMap::new();
        for table in &tables {
            of_pit.entry(table.pit.as_deref().unwrap_or_default()).or_default().push(table);
        }
        // A pit's name is never empty: these tables stand in none.
        of_pit.remove("");
        let pits = of_pit
            .into_iter()
            .map(|(pit, tables)| GroupMetrics::of(Some(pit), &tables))
            .collect();
        let casino = GroupMetrics::of(None, &tables.iter().collect::<Vec<_>>());
        Self { tables, pits, casino }
    }
}

/// Tables of a pit in play, and those of them at which unrated buy-ins are logged.
#[derive(Clone, Copy, Debug, Default)]
struct PitHabit {
    open: i64,
    grind: i64,
}

fn pit_habits<'a>(readings: &'a [Reading<'_>]) -> BTreeMap<&'a str, PitHabit> {
    let mut habits: BTreeMap<&str, PitHabit> = BTreeMap::new();
    for reading in readings.iter().filter(|reading| reading.was_open()) {
        if let Some(pit) = reading.pit() {
            let habit = habits.entry(pit).or_default();
            habit.open += 1;
            habit.grind += i64::from(reading.buyins.grind_buyins > 0);
        }
    }
    habits
}

impl GroupMetrics {
    /// Sums tables: what is known, and of how many it is not.
    pub fn of(pit: Option<&str>, tables: &[&TableMetrics]) -> Self {
        let sum = |figure: fn(&TableMetrics) -> Option<i64>| {
            tables
                .iter()
                .map(|table| Sum::from(figure(table)))
                .fold(Sum::default(), |a, b| a + b)
        };
        let count = |is: fn(&TableMetrics) -> bool| tables.iter().map(|table| i64::from(is(table))).sum::<i64>();
        let quality = |wanted| tables.iter().map(|table| i64::from(table.telemetry_quality == wanted)).sum::<i64>();
        let rated = sum(|table| table.estimated_drop_rated_cents);
        let grind = sum(|table| table.estimated_drop_grind_cents);
        let estimated = sum(|table| table.estimated_drop_total_cents);
        let inventory = sum(|table| table.win_loss_inventory_cents);
        let expected = sum(|table| table.win_loss_estimated_cents);
        // What stored rollups sum too is summed as they do.
        let tally = tables.iter().map(|table| table.tally()).fold(Tally::default(), |a, b| a + b);
        let all = i64::try_from(tables.len()).unwrap_or(i64::MAX);
        let covered = count(|table| table.opening_snapshot_id.is_some() && table.closing_snapshot_id.is_some());
        let authoritative = count(|table| table.metric_grade == MetricGrade::Authoritative);
        Self {
            pit: pit.map(ToOwned::to_owned),
            tables: all,
            open_tables: count(|table| table.was_open),
            covered_tables: covered,
            coverage_bp: share_bp(covered, all),
            authoritative_tables: authoritative,
            metric_grade: if all > 0 && authoritative == all {
                MetricGrade::Authoritative
            } else {
                MetricGrade::Estimate
            },
            opening_total_cents: tally.opening.cents,
            opening_skipped: tally.opening.skipped,
            closing_total_cents: tally.closing.cents,
            closing_skipped: tally.closing.skipped,
            fills_total_cents: tally.fills.cents,
            fills_skipped: tally.fills.skipped,
            credits_total_cents: tally.credits.cents,
            credits_skipped: tally.credits.skipped,
            estimated_drop_rated_cents: rated.cents,
            estimated_drop_rated_skipped: rated.skipped,
            estimated_drop_grind_cents: grind.cents,
            estimated_drop_grind_skipped: grind.skipped,
            estimated_drop_total_cents: estimated.cents,
            estimated_drop_total_skipped: estimated.skipped,
            drop_total_cents: tally.drop.cents,
            drop_skipped: tally.drop.skipped,
            win_loss_inventory_cents: inventory.cents,
            win_loss_inventory_skipped: inventory.skipped,
            win_loss_estimated_cents: expected.cents,
            win_loss_estimated_skipped: expected.skipped,
            win_loss_stat_cents: tally.win.cents,
            win_loss_stat_skipped: tally.win.skipped,
            hold_drop_cents: tally.hold_drop_cents,
            hold_bp: tally.hold_bp(),
            good_coverage_tables: quality(TelemetryQuality::GoodCoverage),
            low_coverage_tables: quality(TelemetryQuality::LowCoverage),
            no_coverage_tables: quality(TelemetryQuality::None),
        }
    }
}

impl TableMetrics {
    /// What of it a stored rollup would sum.
    fn tally(&self) -> Tally {
        Tally {
            opening: self.opening_total_cents.into(),
            closing: self.closing_total_cents.into(),
            fills: Some(self.fills_total_cents).into(),
            credits: Some(self.credits_total_cents).into(),
            drop: self.drop_total_cents.into(),
            win: self.win_loss_stat_cents.into(),
            hold_drop_cents: self.win_loss_stat_cents.and(self.drop_total_cents),
            ..Tally::default()
        }
    }
}

impl Reading<'_> {
    /// The table's figures. Everything a figure is made of has been found; here the law of each is asked.
    fn metrics(&self, pit: PitHabit, pit_grind_share_bp: i32) -> TableMetrics {
        let buyins = &self.buyins;
        let counts = TelemetryCounts {
            rated_buyins: buyins.rated_buyins,
            grind_buyins: buyins.grind_buyins,
            expected_rated_rows: buyins.expected_rated_rows,
            missing_rated_rows: buyins.missing_rated_rows,
            rating_slips: buyins.rating_slips,
            pit_open_tables: pit.open,
            pit_grind_tables: pit.grind,
            pit_grind_share_bp,
        };
        let (telemetry_quality, telemetry_notes) = coverage::judge(&counts);
        // A sum over no row at all is not zero: nobody has logged anything.
        let logged = |cents| (buyins.rows > 0).then_some(cents);
        let estimated_drop = logged(buyins.rated_cents + buyins.grind_cents);
        let counted = Figures {
            opening: self.opening_cents(),
            closing: self.closing().map(|count| count.total_cents),
            fills: self.fills_cents,
            credits: self.credits_cents,
            drop: self.counted_drop(),
        };
        let estimated = Figures {
            drop: estimated_drop,
            ..counted
        };
        TableMetrics {
            table_id: self.facts.table_id,
            table: self.facts.table.clone(),
            pit: self.pit().map(ToOwned::to_owned),
            was_open: self.was_open(),
            opening_total_cents: counted.opening,
            opening_source: self.opening_source(),
            opening_snapshot_id: self.opening().map(|count| count.id),
            opening_at: self.opening_at(),
            coverage_type: self.coverage_type(),
            closing_total_cents: counted.closing,
            closing_source: self.closing_source(),
            closing_snapshot_id: self.closing().map(|count| count.id),
            closing_at: self.closing().map(|count| count.counted_at),
            flows_from: self.from,
            flows_to: self.to,
            fills_total_cents: counted.fills,
            credits_total_cents: counted.credits,
            estimated_drop_rated_cents: logged(buyins.rated_cents),
            estimated_drop_grind_cents: logged(buyins.grind_cents),
            estimated_drop_total_cents: estimated_drop,
            drop_total_cents: counted.drop,
            win_loss_inventory_cents: counted.inventory_result(),
            win_loss_estimated_cents: estimated.win(),
            win_loss_stat_cents: counted.win(),
            hold_bp: counted.hold_bp(),
            metric_grade: if counted.win().is_some() && self.is_proved() {
                MetricGrade::Authoritative
            } else {
                MetricGrade::Estimate
            },
            telemetry_quality,
            telemetry_rule: coverage::RULE.to_owned(),
            telemetry_notes,
            telemetry_counts: counts,
            missing_opening_snapshot: self.opening().is_none(),
            missing_closing_snapshot: self.closing().is_none(),
            missing_counted_drop: counted.drop.is_none(),
            missing_telemetry: estimated_drop.is_none(),
        }
    }
}

#[cfg(test)]
mod tests;
