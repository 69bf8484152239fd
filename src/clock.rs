//! The only home of the present moment and of new ids. Everything else takes both as arguments, so that a test or a time-lapse can decide
//! what time it is.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use uuid::Uuid;

/// Postgres keeps microseconds. An instant with more would differ from itself after one trip through a column.
const POSTGRES_SUBSECOND_DIGITS: u16 = 6;

/// Where `now` comes from. Clones of a frozen clock share their time, so a test can hold one and the daemon another.
#[derive(Clone, Debug)]
pub enum Clock {
    System,
    Frozen(Arc<Mutex<DateTime<Utc>>>),
    /// Goes many times as fast as the world. Its clones share their time too.
    Lapse(Lapse),
}

/// A clock in a hurry, which waits for whoever plays by it.
#[derive(Clone, Debug)]
pub struct Lapse {
    factor: u32,
    going: Arc<Mutex<Going>>,
}

/// It showed `from` at `since`, and goes on until `until`.
#[derive(Debug)]
struct Going {
    from: DateTime<Utc>,
    since: Instant,
    until: Option<DateTime<Utc>>,
}

impl Clock {
    /// A clock that stands at `instant` until it is [advanced](Self::advance).
    pub fn frozen(instant: DateTime<Utc>) -> Self {
        Self::Frozen(Arc::new(Mutex::new(instant)))
    }

    /// A clock that shows `start` now and goes `factor` times as fast as the world.
    pub fn lapse(start: DateTime<Utc>, factor: NonZeroU32) -> Self {
        Self::Lapse(Lapse {
            factor: factor.get(),
            going: Arc::new(Mutex::new(Going {
                from: start,
                since: Instant::now(),
                until: None,
            })),
        })
    }

    /// A time-lapse goes as far as this and stands still there, so that it never leaves behind whoever plays by it; none lets it go. No other
    /// clock waits for anybody.
    pub fn go_until(&self, until: Option<DateTime<Utc>>) {
        if let Self::Lapse(lapse) = self {
            let mut going = lapse.going.lock().unwrap_or_else(PoisonError::into_inner);
            let from = lapse.shows(&going);
            *going = Going {
                from,
                since: Instant::now(),
                until,
            };
        }
    }

    /// The present, in whole microseconds.
    pub fn now(&self) -> DateTime<Utc> {
        let instant = match self {
            Self::System => system_now(),
            Self::Frozen(held) => *held.lock().unwrap_or_else(PoisonError::into_inner),
            Self::Lapse(lapse) => lapse.shows(&lapse.going.lock().unwrap_or_else(PoisonError::into_inner)),
        };
        instant.trunc_subsecs(POSTGRES_SUBSECOND_DIGITS)
    }

    /// How far this clock goes while so much time passes in the world. A frozen one is moved by hand, a second for a second.
    pub fn goes_in(&self, passing: Duration) -> TimeDelta {
        match self {
            Self::System | Self::Frozen(_) => goes_in(passing, 1),
            Self::Lapse(lapse) => goes_in(passing, lapse.factor),
        }
    }

    /// How long the world takes until this clock shows `instant`: nothing where it is past, none where it stands still before it. A time-lapse
    /// that is held up takes longer.
    pub fn wait_until(&self, instant: DateTime<Utc>) -> Option<Duration> {
        let ahead = (instant - self.now()).to_std().unwrap_or_default();
        match self {
            Self::System => Some(ahead),
            Self::Frozen(_) => ahead.is_zero().then_some(ahead),
            Self::Lapse(lapse) => Some(ahead / lapse.factor),
        }
    }

    /// Moves a frozen clock forward; it cannot go back, as time in a casino day does not.
    ///
    /// # Panics
    /// On a clock that moves by itself: a test that asks for it holds the wrong clock and would otherwise pass by luck.
    pub fn advance(&self, by: Duration) {
        match self {
            Self::System | Self::Lapse(_) => panic!("a clock that goes by itself cannot be advanced"),
            Self::Frozen(held) => *held.lock().unwrap_or_else(PoisonError::into_inner) += by,
        }
    }
}

impl Lapse {
    fn shows(&self, going: &Going) -> DateTime<Utc> {
        let unheld = going.from + goes_in(going.since.elapsed(), self.factor);
        // One that is let go back again does not go back: a clock only goes on.
        going.until.map_or(unheld, |until| unheld.min(until.max(going.from)))
    }
}

/// Beyond the calendar's end nothing is planned, and nobody waits so long.
fn goes_in(passing: Duration, factor: u32) -> TimeDelta {
    TimeDelta::from_std(passing.saturating_mul(factor)).unwrap_or(TimeDelta::MAX)
}

/// How long to wait after so many failures in a row. Exponential, with full jitter: those that failed together do not come back together.
pub fn pause(failures: i32, first: Duration, longest: Duration) -> Duration {
    let doublings = u32::try_from(failures - 1).unwrap_or_default().min(31);
    first.saturating_mul(1 << doublings).min(longest).mul_f64(rand::random::<f64>())
}

/// As the database takes a duration.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A new id: UUID version 7, so that ids made later sort later and an index grows at its end. Ids follow the system's time even
/// under a frozen clock; nothing may read a time out of an id.
#[expect(clippy::disallowed_methods, reason = "this is the one home of new ids")]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

#[expect(clippy::disallowed_methods, reason = "this is the one home of the present moment")]
fn system_now() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Timelike;

    #[test]
    fn a_frozen_clock_stands_still_until_advanced_and_its_clones_follow() {
        let start = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        let clock = Clock::frozen(start);
        let other = clock.clone();
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_secs(90));
        assert_eq!(other.now(), start + TimeDelta::seconds(90));
    }

    #[test]
    fn an_instant_survives_postgres() {
        let clock = Clock::frozen(DateTime::from_timestamp(1_767_225_600, 123_456_789).unwrap());
        assert_eq!(clock.now().nanosecond(), 123_456_000);
        assert_eq!(Clock::System.now().nanosecond() % 1_000, 0);
    }

    #[test]
    fn a_lapse_goes_as_many_times_faster_and_is_waited_for_as_many_times_shorter() {
        let start = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        let clock = Clock::lapse(start, NonZeroU32::new(600).unwrap());
        let (before, after) = (clock.now(), clock.now());
        assert!(before >= start && after >= before);
        assert_eq!(clock.goes_in(Duration::from_secs(1)), TimeDelta::minutes(10));
        let wait = clock.wait_until(start + TimeDelta::hours(10)).unwrap();
        assert!((Duration::from_secs(50)..=Duration::from_mins(1)).contains(&wait), "{wait:?}");
        assert_eq!(clock.wait_until(start), Some(Duration::ZERO));
    }

    #[test]
    fn a_lapse_waits_for_whoever_plays_by_it_and_never_goes_back() {
        let start = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        let clock = Clock::lapse(start, NonZeroU32::new(3_600_000).unwrap());
        let held = clock.clone();
        held.go_until(Some(start + TimeDelta::hours(1)));
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(clock.now(), start + TimeDelta::hours(1));
        held.go_until(Some(start));
        assert_eq!(clock.now(), start + TimeDelta::hours(1));
        held.go_until(None);
        let then = clock.now();
        std::thread::sleep(Duration::from_millis(1));
        assert!(then >= start + TimeDelta::hours(1) && clock.now() > then);
    }

    #[test]
    fn nobody_waits_for_a_frozen_clock() {
        let start = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        let clock = Clock::frozen(start);
        assert_eq!(clock.wait_until(start), Some(Duration::ZERO));
        assert_eq!(clock.wait_until(start + TimeDelta::seconds(1)), None);
    }

    #[test]
    #[should_panic(expected = "cannot be advanced")]
    fn the_system_clock_cannot_be_advanced() {
        Clock::System.advance(Duration::from_secs(1));
    }

    #[test]
    fn a_later_id_sorts_later() {
        let ids: Vec<Uuid> = (0..1_000).map(|_| new_id()).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }

    #[test]
    fn a_pause_doubles_up_to_the_longest_and_is_never_longer() {
        let (first, longest) = (Duration::from_secs(2), Duration::from_hours(1));
        for failures in [1, 2, 5, 11, 12, 40, i32::MAX] {
            let most = first.saturating_mul(1 << (failures - 1).min(20)).min(longest);
            let pauses: Vec<_> = (0..200).map(|_| pause(failures, first, longest)).collect();
            assert!(pauses.iter().all(|pause| *pause <= most), "{failures}");
            assert!(
                pauses.iter().max().is_some_and(|pause| *pause > most / 2),
                "{failures}: full jitter reaches far"
            );
        }
    }
}
