//! What to do about firings that passed while nobody looked: the daemon was down, or the schedule paused (domain §11).

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantArray};
use utoipa::ToSchema;

use super::{Firing, Timetable};

/// The most firings one catch-up returns, whatever the schedule's own maximum says.
pub const MAX_CATCH_UP: usize = 1_000;

/// Dropped firings are counted no further than this: after a year's outage the exact number of lost minutes helps nobody.
pub const MAX_COUNTED: usize = 10_000;

/// Which missed firings are made up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumString, VariantArray, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CatchUp {
    /// None older than the grace, which only covers the time a healthy daemon needs to notice a firing.
    Skip,
    /// The last one within the window.
    Latest,
    /// All within the window. Beyond the maximum the oldest are dropped: they are also what the window drops first.
    All,
}

/// How far a catch-up reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many firings at most, itself at most [`MAX_CATCH_UP`].
    pub max: usize,
    /// `Latest` and `All` look at firings younger than this.
    pub window: TimeDelta,
    /// `Skip` looks at firings younger than this.
    pub grace: TimeDelta,
}

/// The firings of a span of time, parted into those to run and those to let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// To be run, the oldest first.
    pub firings: Vec<Firing>,
    /// Let go for ever. [`MAX_COUNTED`] means "at least so many".
    pub dropped: usize,
}

impl Timetable {
    /// The firings in `(after, until]` that are still to be run: `after` is the last firing dealt with, `until` is now.
    pub fn missed(&self, after: DateTime<Utc>, until: DateTime<Utc>, catch_up: CatchUp, limits: Limits) -> Missed {
        let (most, reach) = match catch_up {
            CatchUp::Skip => (limits.max, limits.grace),
            CatchUp::Latest => (limits.max.min(1), limits.window),
            CatchUp::All => (limits.max, limits.window),
        };
        let oldest = until.checked_sub_signed(reach).map_or(after, |oldest| oldest.max(after));
        let firings = self.newest(most.min(MAX_CATCH_UP), oldest, until);
        let is_dropped = |firing: &Firing| match firings.first() {
            Some(kept) => firing.at < kept.at,
            None => firing.at <= until,
        };
        let dropped = self.firings(after).take(MAX_COUNTED).take_while(is_dropped).count();
        Missed { firings, dropped }
    }

    /// The last `most` firings in `(oldest, until]`, in order. There is no stepping backwards, so the start is found by bisection:
    /// a window of years costs a few dozen looks at `most` firings, not a walk through all.
    fn newest(&self, most: usize, oldest: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Firing> {
        let from = |start| self.firings(start).take_while(|firing| firing.at <= until).take(most);
        let (mut start, mut end) = (oldest, until);
        while from(start).count() == most && end - start > TimeDelta::seconds(1) {
            let middle = start + (end - start) / 2;
            if from(middle).count() == most {
                start = middle;
            } else {
                end = middle;
            }
        }
        from(start).collect()
    }
}
