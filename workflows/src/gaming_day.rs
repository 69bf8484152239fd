//! The gaming day: the local date in the casino's zone, minus one before the day begins (domain §2).

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;

/// The gaming day an instant belongs to. Local time decides, so the day is 23 or 25 hours long at a change of clocks.
pub fn gaming_day(at: DateTime<Utc>, zone: Tz, start: NaiveTime) -> NaiveDate {
    let local = at.with_timezone(&zone).naive_local();
    if local.time() < start {
        local.date() - Days::new(1)
    } else {
        local.date()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(at: &str, zone: Tz) -> String {
        let at: DateTime<Utc> = at.parse().expect("an instant");
        gaming_day(at, zone, NaiveTime::from_hms_opt(6, 0, 0).expect("a time")).to_string()
    }

    #[test]
    fn the_day_turns_at_six_local_time() {
        assert_eq!(day("2026-03-06T11:59:59.999Z", chrono_tz::America::Chicago), "2026-03-05");
        assert_eq!(day("2026-03-06T12:00:00Z", chrono_tz::America::Chicago), "2026-03-06");
    }

    #[test]
    fn the_day_follows_the_clocks() {
        // 8 March 2026: Chicago goes from UTC-6 to UTC-5 at 02:00.
        assert_eq!(day("2026-03-08T10:59:59Z", chrono_tz::America::Chicago), "2026-03-07");
        assert_eq!(day("2026-03-08T11:00:00Z", chrono_tz::America::Chicago), "2026-03-08");
    }
}
