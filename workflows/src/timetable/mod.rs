//! When a schedule fires: a cron expression, a zone, and what happens where the clocks change (domain §11).
//!
//! The firings of a timetable are a fixed *set of instants*, and [`Timetable::next`] looks up the first member after its argument. So
//! it needs no memory, never answers with the past, and loses nothing when a daemon resumes in the middle of a repeated hour.
//! The set, stretch by stretch, where a stretch lies between two changes of the zone's offset and so has neither gap nor repeat:
//!
//! - every instant whose wall-clock time matches the expression is in it;
//! - for an expression that names times of day, a time that comes twice is in it as [`FoldPolicy`] says, and a time the clocks
//!   skipped puts the first instant after the gap into it if [`GapPolicy`] says so: once, however many times were skipped;
//! - an interval expression (see [`Expression::is_interval`]) keeps its interval: what is skipped took no time, what repeats did.
//!
//! The crate `cron` matches wall-clock times. Its own stepping over zones is not used: it skips jobs in the gap, fires twice or runs
//! backwards in the fold, and loses the repeated hour when stepped from the last firing (`stack.md` §6).

mod catch_up;
mod expression;
mod field;
pub(crate) mod zone;

use chrono::{DateTime, Datelike, LocalResult, NaiveDateTime, SubsecRound, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantArray};
use utoipa::ToSchema;

pub use catch_up::{CatchUp, Limits, MAX_CATCH_UP, MAX_COUNTED, Missed};
pub use expression::{Expression, ExpressionError, MAX_TEXT};
use zone::{first_turn, local};

/// The most stretches one look-up walks through. Within the crate's calendar 29 February is at most four years away, and no zone turns
/// more than four times a year (Morocco, until 2018), so a look-up needs less than half of this.
const MAX_STRETCHES: usize = 64;

/// The last year of the crate `cron`'s calendar. Nothing fires after it.
const LAST_YEAR: i32 = 2100;

/// The most firings one preview shows.
pub const MAX_PREVIEW: usize = 200;

/// What becomes of a local time that the clocks skip in spring. Only for expressions that name times of day.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumString, VariantArray, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum GapPolicy {
    /// It fires at the next valid instant.
    #[default]
    Shift,
    /// It does not fire that day.
    Skip,
}

/// Which of its two instants a local time fires at when clocks go back in autumn. Only for expressions that name times of day.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumString, VariantArray, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FoldPolicy {
    #[default]
    First,
    Second,
    Both,
}

/// The rule that put a firing where it is, when clocks changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumString, VariantArray, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DstRule {
    /// A time of day was skipped; this is the next valid instant.
    GapShift,
    /// The local time comes twice and fires the first time.
    FoldFirst,
    /// The local time comes twice and fires the second time.
    FoldSecond,
    /// The local time comes twice and fires both times.
    FoldBoth,
    /// The local time comes twice and the expression is an interval, which goes on through both.
    Interval,
}

/// One moment at which a schedule fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Firing {
    pub at: DateTime<Utc>,
    /// What the wall clock in the schedule's zone shows at that moment.
    pub local: NaiveDateTime,
    /// None on an ordinary day.
    pub rule: Option<DstRule>,
}

/// Everything that decides when a schedule fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timetable {
    pub expression: Expression,
    pub zone: Tz,
    pub gap: GapPolicy,
    pub fold: FoldPolicy,
}

impl Timetable {
    /// The first firing strictly after an instant. None when the expression's last match, before the year 2101, has passed.
    pub fn next(&self, after: DateTime<Utc>) -> Option<Firing> {
        if after.year() > LAST_YEAR {
            return None;
        }
        // Expressions match whole seconds, so the first instant that may fire is the next whole second.
        let mut from = after.max(DateTime::UNIX_EPOCH).trunc_subsecs(0) + TimeDelta::seconds(1);
        for _ in 0..MAX_STRETCHES {
            if let Some(firing) = self.shifted_to(from) {
                return Some(firing);
            }
            let start = local(self.zone, from);
            let candidate = from + (self.expression.at_or_after(start)? - start);
            from = match first_turn(self.zone, from, candidate) {
                Some(turn) => turn,
                None => match self.judge(candidate) {
                    Judgement::Fires(rule) => return Some(self.firing(candidate, rule)),
                    Judgement::Waits { until } => until,
                },
            };
        }
        None
    }

    /// All firings after an instant, each strictly later than the one before.
    pub fn firings(&self, after: DateTime<Utc>) -> impl Iterator<Item = Firing> {
        std::iter::successors(self.next(after), |last| self.next(last.at))
    }

    /// The next firings, at most [`MAX_PREVIEW`], for a person to look at before they happen.
    pub fn preview(&self, after: DateTime<Utc>, count: usize) -> Vec<Firing> {
        self.firings(after).take(count.min(MAX_PREVIEW)).collect()
    }

    /// The firing at the end of a gap, if `at` is one and a time of day was lost in it.
    fn shifted_to(&self, at: DateTime<Utc>) -> Option<Firing> {
        if self.expression.is_interval() || self.gap == GapPolicy::Skip {
            return None;
        }
        let second = TimeDelta::seconds(1);
        // Had the clocks gone on, `at` would show `skipped_from`.
        let (skipped_from, shown) = (local(self.zone, at - second) + second, local(self.zone, at));
        let lost_one = skipped_from < shown && self.expression.at_or_after(skipped_from)? < shown;
        lost_one.then(|| self.firing(at, Some(DstRule::GapShift)))
    }

    /// What to do with an instant whose wall-clock time matches.
    fn judge(&self, at: DateTime<Utc>) -> Judgement {
        let LocalResult::Ambiguous(first, second) = self.zone.from_local_datetime(&local(self.zone, at)) else {
            return Judgement::Fires(None);
        };
        if self.expression.is_interval() {
            return Judgement::Fires(Some(DstRule::Interval));
        }
        let (first, second) = (first.to_utc(), second.to_utc());
        // The clocks go back at `turn`. As long before it as after it, every local time comes twice.
        let turn = || first_turn(self.zone, first, second).unwrap_or(second);
        match self.fold {
            FoldPolicy::Both => Judgement::Fires(Some(DstRule::FoldBoth)),
            FoldPolicy::First if at == first => Judgement::Fires(Some(DstRule::FoldFirst)),
            FoldPolicy::Second if at == second => Judgement::Fires(Some(DstRule::FoldSecond)),
            FoldPolicy::First => Judgement::Waits {
                until: turn() + (second - first),
            },
            FoldPolicy::Second => Judgement::Waits { until: turn() },
        }
    }

    fn firing(&self, at: DateTime<Utc>, rule: Option<DstRule>) -> Firing {
        Firing {
            at,
            local: local(self.zone, at),
            rule,
        }
    }
}

enum Judgement {
    Fires(Option<DstRule>),
    /// Nothing fires before `until`.
    Waits {
        until: DateTime<Utc>,
    },
}
