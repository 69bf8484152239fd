//! The only home of the present moment and of new ids. Everything else takes both as arguments, so that a test (and, later, a
//! time-lapse) can decide what time it is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

/// Postgres keeps microseconds. An instant with more would differ from itself after one trip through a column.
const POSTGRES_SUBSECOND_DIGITS: u16 = 6;

/// Where `now` comes from. Clones of a frozen clock share their time, so a test can hold one and the daemon another.
#[derive(Clone, Debug)]
pub enum Clock {
    System,
    Frozen(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// A clock that stands at `instant` until it is [advanced](Self::advance).
    pub fn frozen(instant: DateTime<Utc>) -> Self {
        Self::Frozen(Arc::new(Mutex::new(instant)))
    }

    /// The present, in whole microseconds.
    pub fn now(&self) -> DateTime<Utc> {
        let instant = match self {
            Self::System => system_now(),
            Self::Frozen(held) => *held.lock().unwrap_or_else(PoisonError::into_inner),
        };
        instant.trunc_subsecs(POSTGRES_SUBSECOND_DIGITS)
    }

    /// Moves a frozen clock forward; it cannot go back, as time in a casino day does not.
    ///
    /// # Panics
    /// On the system clock, which moves by itself: a test that asks for it holds the wrong clock and would otherwise pass by luck.
    pub fn advance(&self, by: Duration) {
        match self {
            Self::System => panic!("the system clock cannot be advanced"),
            Self::Frozen(held) => *held.lock().unwrap_or_else(PoisonError::into_inner) += by,
        }
    }
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
    use chrono::{TimeDelta, Timelike};

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
}
