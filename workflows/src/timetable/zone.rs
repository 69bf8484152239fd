//! Where a zone's wall clock jumps. The crate `chrono-tz` tells the offset at an instant but not when it changes, so changes are searched for.

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};

/// How far apart the zone's offset is probed. Two changes that cancel each other out within one probe would go unseen; the closest
/// such pair in the tz database between 1970 and 2050 is a week apart (Recife in October 2000, Gaza in October 2040).
const PROBE: TimeDelta = TimeDelta::days(3);

/// The zone's distance from UTC at an instant, in whole seconds.
fn offset(zone: Tz, at: DateTime<Utc>) -> TimeDelta {
    let seconds = zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc();
    TimeDelta::seconds(i64::from(seconds))
}

/// What the wall clock shows at an instant.
pub(super) fn local(zone: Tz, at: DateTime<Utc>) -> NaiveDateTime {
    at.naive_utc() + offset(zone, at)
}

/// The first instant in `(from, to]` whose offset is not the one at `from`: there the wall clock jumps.
pub(super) fn first_turn(zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let unturned = offset(zone, from);
    let mut before = from;
    while before < to {
        let probe = to.min(before + PROBE);
        if offset(zone, probe) != unturned {
            return Some(bisect(before, probe, |at| offset(zone, at) != unturned));
        }
        before = probe;
    }
    None
}

/// The first second at which `turned` holds, given that it does not at `before` and does at `after`. Both are whole seconds, as are
/// all changes of the tz database.
fn bisect(mut before: DateTime<Utc>, mut after: DateTime<Utc>, turned: impl Fn(DateTime<Utc>) -> bool) -> DateTime<Utc> {
    while after - before > TimeDelta::seconds(1) {
        let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
        if turned(middle) {
            after = middle;
        } else {
            before = middle;
        }
    }
    after
}

/// The instant a local time stands for: the first of two where clocks went back, the next valid one where they skipped it
/// (domain §11). It never decreases as the local time grows, so what adjoins on the wall clock adjoins in time.
pub(crate) fn instant(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.to_utc(),
        // A gap always ends; only a date at the rim of chrono's calendar, where no casino is, has neither offset nor gap.
        LocalResult::None => GapInfo::new(&local, &zone)
            .and_then(|gap| gap.end)
            .map_or(local.and_utc(), |end| end.to_utc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(at: &str) -> DateTime<Utc> {
        at.parse().expect("an instant")
    }

    fn wall(local: &str) -> NaiveDateTime {
        local.parse().expect("a local time")
    }

    #[test]
    fn the_turn_is_found_to_the_second_and_counts_at_the_end_of_the_span() {
        let zone = chrono_tz::America::New_York;
        let turn = utc("2026-03-08T07:00:00Z");
        assert_eq!(
            first_turn(zone, utc("2026-01-01T00:00:00Z"), utc("2026-12-31T00:00:00Z")),
            Some(turn)
        );
        assert_eq!(first_turn(zone, utc("2026-03-08T06:59:59Z"), turn), Some(turn));
        assert_eq!(first_turn(zone, turn, utc("2026-10-31T00:00:00Z")), None);
        assert_eq!(
            first_turn(chrono_tz::Asia::Macau, utc("2020-01-01T00:00:00Z"), utc("2031-01-01T00:00:00Z")),
            None
        );
    }

    #[test]
    fn a_skipped_local_time_stands_for_the_next_valid_instant() {
        let turn = utc("2026-03-08T07:00:00Z");
        for local in [
            "2026-03-08T02:00:00",
            "2026-03-08T02:30:00",
            "2026-03-08T02:59:59",
            "2026-03-08T03:00:00",
        ] {
            assert_eq!(instant(chrono_tz::America::New_York, wall(local)), turn, "{local}");
        }
        // Samoa left out the whole of 30 December 2011.
        assert_eq!(
            instant(chrono_tz::Pacific::Apia, wall("2011-12-30T12:00:00")),
            utc("2011-12-30T10:00:00Z")
        );
    }

    #[test]
    fn a_repeated_local_time_stands_for_the_first() {
        assert_eq!(
            instant(chrono_tz::America::New_York, wall("2026-11-01T01:30:00")),
            utc("2026-11-01T05:30:00Z")
        );
        // Lord Howe goes back half an hour only.
        assert_eq!(
            instant(chrono_tz::Australia::Lord_Howe, wall("2026-04-05T01:45:00")),
            utc("2026-04-04T14:45:00Z")
        );
    }
}
