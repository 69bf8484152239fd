//! Which instants a shift spans (domain §11). Templates speak local time of day; a shift is a pair of instants within a gaming day
//! (domain §2), so it has 7 or 9 hours where the clocks change and the template says 8.
//!
//! Both ends are local times read by one function that never runs backwards: the first of two instants where clocks went back, the
//! next valid one where they skipped it. So shifts that adjoin on the wall clock adjoin in time on every day of the year, with
//! neither a hole nor an overlap.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::gaming_day::gaming_day;
use crate::timetable::zone::instant;

/// The instants `[starts_at, ends_at)` of a shift on a gaming day.
///
/// A local start before the gaming day begins belongs to the next calendar date: the graveyard shift from 02:00 closes the gaming
/// day that began the evening before. An end at or before the start is on the date after it; so equal times are a whole day.
///
/// A template that lies wholly within the hour skipped in spring has an empty span on that day: there is no such shift to open.
pub fn interval(
    gaming_day: NaiveDate,
    local_start: NaiveTime,
    local_end: NaiveTime,
    zone: Tz,
    gaming_day_start: NaiveTime,
) -> (DateTime<Utc>, DateTime<Utc>) {
    let first_date = later(gaming_day, u64::from(local_start < gaming_day_start));
    let last_date = later(first_date, u64::from(local_end <= local_start));
    (
        instant(zone, first_date.and_time(local_start)),
        instant(zone, last_date.and_time(local_end)),
    )
}

/// The shift that holds a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held<T> {
    pub template: T,
    pub gaming_day: NaiveDate,
    pub starts_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
}

/// The shift that holds a moment, among templates given as `(template, local_start, local_end)`. Where templates overlap: the one of
/// the moment's own gaming day, and the first in the order given.
pub fn shift_at<T: Copy>(
    at: DateTime<Utc>,
    templates: &[(T, NaiveTime, NaiveTime)],
    zone: Tz,
    gaming_day_start: NaiveTime,
) -> Option<Held<T>> {
    let own = gaming_day(at, zone, gaming_day_start);
    // A shift may outlast its gaming day (04:00 to 12:00); and where a gaming day begins within the repeated hour, the second pass
    // of the minutes before it counts as the day before, while the shift of the new day is already running.
    let neighbours = [Some(own), own.pred_opt(), own.succ_opt()];
    for gaming_day in neighbours.into_iter().flatten() {
        for &(template, local_start, local_end) in templates {
            let (starts_at, ends_at) = interval(gaming_day, local_start, local_end, zone, gaming_day_start);
            if starts_at <= at && at < ends_at {
                return Some(Held {
                    template,
                    gaming_day,
                    starts_at,
                    ends_at,
                });
            }
        }
    }
    None
}

/// How long before its start a shift may be opened: a firing farther off means another day's shift, or a mistake.
pub const OPENED_AHEAD: TimeDelta = TimeDelta::hours(6);

/// The shift of one template that a firing at this moment opens: the one that holds the moment, or else the next one, if it begins soon
/// enough. None on a day whose change of clocks leaves the template no time at all.
pub fn opened_at(at: DateTime<Utc>, template: (NaiveTime, NaiveTime), zone: Tz, gaming_day_start: NaiveTime) -> Option<Held<()>> {
    let (local_start, local_end) = template;
    if let Some(held) = shift_at(at, &[((), local_start, local_end)], zone, gaming_day_start) {
        return Some(held);
    }
    let own = gaming_day(at, zone, gaming_day_start);
    let days = [own.pred_opt(), Some(own), own.succ_opt()].into_iter().flatten();
    days.map(|gaming_day| {
        let (starts_at, ends_at) = interval(gaming_day, local_start, local_end, zone, gaming_day_start);
        Held {
            template: (),
            gaming_day,
            starts_at,
            ends_at,
        }
    })
    .find(|held| held.starts_at < held.ends_at && at < held.starts_at && held.starts_at - at <= OPENED_AHEAD)
}

/// The first moment from this one on at which the wall clock shows this time of day.
pub fn next_local(at: DateTime<Utc>, time: NaiveTime, zone: Tz) -> DateTime<Utc> {
    let today = at.with_timezone(&zone).date_naive();
    let first = instant(zone, today.and_time(time));
    if first >= at {
        first
    } else {
        instant(zone, later(today, 1).and_time(time))
    }
}

/// A date some days on; the last day of the calendar has no morrow, and a client may ask about it.
fn later(date: NaiveDate, days: u64) -> NaiveDate {
    date.checked_add_days(Days::new(days)).unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use chrono::Datelike;
    use chrono_tz::{America, Asia, Australia, Europe};

    use super::*;

    const ZONES: [Tz; 5] = [
        America::New_York,
        America::Chicago,
        Europe::Malta,
        Australia::Lord_Howe,
        Asia::Macau,
    ];

    fn time(text: &str) -> NaiveTime {
        text.parse().expect("a time of day")
    }

    fn date(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    /// Three shifts that adjoin on the wall clock, the last one up to the next gaming day.
    fn templates(turns: [&str; 3]) -> [(usize, NaiveTime, NaiveTime); 3] {
        let [a, b, c] = turns.map(time);
        [(0, a, b), (1, b, c), (2, c, a)]
    }

    fn days() -> impl Iterator<Item = NaiveDate> {
        date("2020-01-01").iter_days().take_while(|day| day.year() <= 2030)
    }

    fn hours(day: &str, from: &str, to: &str, zone: Tz) -> TimeDelta {
        let (starts_at, ends_at) = interval(date(day), time(from), time(to), zone, time("06:00"));
        ends_at - starts_at
    }

    #[test]
    fn three_adjoining_shifts_cover_every_gaming_day_exactly() {
        let start = time("06:00");
        // Turns that avoid the hours when clocks change, and turns in the midst of them.
        for turns in [
            ["06:00", "14:00", "22:00"],
            ["06:00", "18:00", "02:30"],
            ["06:00", "01:30", "01:45"],
        ] {
            let templates = templates(turns);
            for (zone, day) in ZONES.into_iter().flat_map(|zone| days().map(move |day| (zone, day))) {
                let (mut reached, ends_at) = interval(day, start, start, zone, start);
                for (_, from, to) in templates {
                    let (starts_at, next) = interval(day, from, to, zone, start);
                    assert_eq!(starts_at, reached, "{zone} {day} {from}");
                    assert!(next >= starts_at, "{zone} {day} {from}");
                    if starts_at < next {
                        assert_eq!(gaming_day(starts_at, zone, start), day, "{zone} {day} {from}");
                        assert_eq!(gaming_day(next - TimeDelta::milliseconds(1), zone, start), day, "{zone} {day} {to}");
                    }
                    reached = next;
                }
                assert_eq!(reached, ends_at, "{zone} {day}");
                assert_eq!(gaming_day(ends_at, zone, start), later(day, 1), "{zone} {day}");
            }
        }
    }

    #[test]
    fn a_moment_is_held_by_the_shift_that_spans_it() {
        let start = time("06:00");
        let templates = templates(["06:00", "14:00", "22:00"]);
        for (zone, day) in ZONES.into_iter().flat_map(|zone| days().map(move |day| (zone, day))) {
            let (opening, _) = interval(day, start, start, zone, start);
            let last = shift_at(opening - TimeDelta::milliseconds(1), &templates, zone, start).expect("05:59:59.999");
            let first = shift_at(opening, &templates, zone, start).expect("06:00");
            assert_eq!((last.template, later(last.gaming_day, 1)), (2, day), "{zone} {day}");
            assert_eq!((first.template, first.gaming_day), (0, day), "{zone} {day}");
            assert_eq!(last.ends_at, first.starts_at, "{zone} {day}");
        }
    }

    #[test]
    fn a_gaming_day_has_23_or_25_hours_where_clocks_change() {
        let whole = |day, zone| hours(day, "06:00", "06:00", zone);
        assert_eq!(whole("2026-03-07", America::New_York), TimeDelta::hours(23));
        assert_eq!(whole("2026-10-31", America::Chicago), TimeDelta::hours(25));
        assert_eq!(whole("2026-03-28", Europe::Malta), TimeDelta::hours(23));
        assert_eq!(whole("2026-10-24", Europe::Malta), TimeDelta::hours(25));
        assert_eq!(whole("2026-04-04", Australia::Lord_Howe), TimeDelta::minutes(24 * 60 + 30));
        assert_eq!(whole("2026-10-03", Australia::Lord_Howe), TimeDelta::minutes(24 * 60 - 30));
        for day in days() {
            assert_eq!(hours(&day.to_string(), "06:00", "06:00", Asia::Macau), TimeDelta::hours(24));
        }
    }

    #[test]
    fn the_graveyard_shift_belongs_to_the_gaming_day_that_began_the_day_before() {
        let (starts_at, ends_at) = interval(date("2026-03-05"), time("02:00"), time("06:00"), America::Chicago, time("06:00"));
        assert_eq!((starts_at, ends_at), (utc("2026-03-06T08:00:00Z"), utc("2026-03-06T12:00:00Z")));
        assert_eq!(hours("2026-03-07", "22:00", "06:00", America::Chicago), TimeDelta::hours(7));
        assert_eq!(hours("2026-10-31", "22:00", "06:00", America::Chicago), TimeDelta::hours(9));
        assert_eq!(hours("2026-03-05", "18:00", "02:00", America::Chicago), TimeDelta::hours(8));
    }

    #[test]
    fn an_hour_the_clocks_skip_is_an_empty_shift() {
        assert_eq!(hours("2026-03-07", "02:00", "03:00", America::New_York), TimeDelta::zero());
        assert_eq!(hours("2026-03-07", "01:30", "02:30", America::New_York), TimeDelta::minutes(30));
    }

    #[test]
    fn a_shift_that_outlasts_its_gaming_day_still_holds_the_morning() {
        let early = [("early", time("04:00"), time("12:00"))];
        let held = shift_at(utc("2026-06-02T12:00:00Z"), &early, America::New_York, time("06:00")).expect("08:00");
        assert_eq!((held.template, held.gaming_day), ("early", date("2026-06-01")));
        assert_eq!(
            shift_at(utc("2026-06-02T17:00:00Z"), &early, America::New_York, time("06:00")),
            None
        );
    }

    #[test]
    fn no_moment_is_lost_where_a_gaming_day_begins_in_the_repeated_hour() {
        let templates = templates(["01:30", "09:30", "17:30"]);
        let mut at = utc("2026-11-01T00:00:00Z");
        while at < utc("2026-11-02T00:00:00Z") {
            assert!(shift_at(at, &templates, America::New_York, time("01:30")).is_some(), "{at}");
            at += TimeDelta::minutes(5);
        }
    }

    #[test]
    fn a_firing_opens_the_shift_it_falls_into_or_the_next_one_if_it_begins_soon() {
        let (zone, start) = (America::Chicago, time("06:00"));
        let day = |at: &str, from: &str, to: &str| {
            opened_at(utc(at), (time(from), time(to)), zone, start).map(|held| (held.gaming_day.to_string(), held.starts_at))
        };
        let found = |gaming_day: &str, starts_at: &str| Some((gaming_day.to_owned(), utc(starts_at)));
        // 6 March 2026: six hours behind UTC.
        let today = found("2026-03-06", "2026-03-06T12:00:00Z");
        assert_eq!(day("2026-03-06T12:00:00Z", "06:00", "14:00"), today, "on the dot");
        assert_eq!(
            day("2026-03-06T11:30:00Z", "06:00", "14:00"),
            today,
            "half an hour ahead, while the day before still lasts"
        );
        assert_eq!(
            day("2026-03-06T19:59:59Z", "06:00", "14:00"),
            today,
            "late, as a run made up for is"
        );
        assert_eq!(
            day("2026-03-06T20:00:00Z", "06:00", "14:00"),
            None,
            "over, and the next one is far off"
        );
        let night = found("2026-03-06", "2026-03-07T04:00:00Z");
        assert_eq!(
            day("2026-03-07T11:00:00Z", "22:00", "06:00"),
            night,
            "after midnight, on the same gaming day"
        );
        assert_eq!(day("2026-03-07T03:00:00Z", "22:00", "06:00"), night);
    }

    #[test]
    fn a_time_of_day_comes_today_or_tomorrow() {
        let (zone, at) = (America::Chicago, utc("2026-03-07T20:00:00Z"));
        assert_eq!(next_local(at, time("14:00"), zone), at, "now");
        assert_eq!(next_local(at, time("14:30"), zone), utc("2026-03-07T20:30:00Z"));
        // The next day's clocks have gone forward in the night.
        assert_eq!(next_local(at, time("13:59"), zone), utc("2026-03-08T18:59:00Z"));
        assert_eq!(
            next_local(at, time("02:30"), zone),
            utc("2026-03-08T08:00:00Z"),
            "skipped: the next valid one"
        );
    }

    #[test]
    fn a_shift_within_the_skipped_hour_is_not_opened_that_day() {
        let (zone, start) = (America::Chicago, time("02:00"));
        let template = (time("02:10"), time("02:50"));
        // 8 March 2026, 02:00 becomes 03:00.
        assert_eq!(opened_at(utc("2026-03-08T08:00:00Z"), template, zone, start), None);
        assert!(opened_at(utc("2026-03-09T07:00:00Z"), template, zone, start).is_some());
    }

    #[test]
    fn the_ends_of_the_calendar_do_not_panic() {
        for day in [NaiveDate::MIN, NaiveDate::MAX] {
            for zone in ZONES {
                let _ = interval(day, time("22:00"), time("06:00"), zone, time("06:00"));
            }
        }
    }
}
