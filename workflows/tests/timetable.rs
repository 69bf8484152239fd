//! The timetable, held against two other opinions: the crate `croner`, where both mean the same by an expression, and a reading of
//! every single minute around the changes of clocks, for every policy.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{Africa, America, Asia, Australia, Europe, Pacific, Tz};
use croner::Cron;
use proptest::prelude::*;
use workflows::timetable::{CatchUp, DstRule, Expression, Firing, FoldPolicy, GapPolicy, Limits, MAX_COUNTED, Missed, Timetable};

fn timetable(expression: &str, zone: Tz) -> Timetable {
    Timetable {
        expression: Expression::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}")),
        zone,
        gap: GapPolicy::default(),
        fold: FoldPolicy::default(),
    }
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

/// The instants of the firings in `(after, until]`, each looked up from the one before as a scheduler does.
fn instants(timetable: &Timetable, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let mut found = Vec::new();
    let mut last = after;
    while let Some(firing) = timetable.next(last) {
        assert!(
            firing.at > last,
            "{} in {}: {} after {last}",
            timetable.expression.text(),
            timetable.zone,
            firing.at
        );
        assert_eq!(firing.local, firing.at.with_timezone(&timetable.zone).naive_local());
        if firing.at > until {
            break;
        }
        found.push(firing.at);
        last = firing.at;
    }
    found
}

/// The first minute of every new offset in some years, found the slow way.
fn turns(zone: Tz, years: std::ops::RangeInclusive<i32>) -> Vec<DateTime<Utc>> {
    let offset = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local() - at.naive_utc();
    let (mut at, mut found) = (utc(&format!("{}-01-01T00:00:00Z", years.start())), Vec::new());
    let until = utc(&format!("{}-12-31T00:00:00Z", years.end()));
    while at < until {
        let next = at + Duration::hours(6);
        if offset(at) != offset(next) {
            let minute = (1..=360)
                .map(|minute| at + Duration::minutes(minute))
                .find(|minute| offset(*minute) != offset(at));
            found.extend(minute);
        }
        at = next;
    }
    found
}

mod against_croner {
    use super::*;

    fn croner_instants(expression: &str, zone: Tz, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let cron: Cron = expression.parse().expect("croner reads it");
        cron.iter_after(after.with_timezone(&zone))
            .map(|at| at.to_utc())
            .take_while(|at| *at <= until)
            .collect()
    }

    fn compare(expression: &str, zone: Tz, after: DateTime<Utc>, until: DateTime<Utc>) -> usize {
        let ours = instants(&timetable(expression, zone), after, until);
        let theirs = croner_instants(expression, zone, after, until);
        if let Some((ours, theirs)) = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs) {
            panic!("{expression} in {zone}: {ours}, and croner says {theirs}");
        }
        assert_eq!(ours.len(), theirs.len(), "{expression} in {zone} after {after}");
        ours.len()
    }

    const ZONES: [Tz; 9] = [
        America::New_York,
        America::Chicago,
        Europe::Malta,
        Australia::Lord_Howe,
        Asia::Macau,
        Africa::Casablanca,
        America::Havana,
        America::Santiago,
        Pacific::Chatham,
    ];

    #[test]
    fn times_of_day_over_four_years() {
        let (after, until) = (utc("2023-12-31T00:00:00Z"), utc("2027-12-31T00:00:00Z"));
        for zone in ZONES {
            for expression in [
                "30 1 * * *",
                "30 2 * * *",
                "15 2 * * *",
                "0 0 * * *",
                "59 59 1 * * *",
                "0 6 * * *",
                "0 9 * * 1-5",
                "0 0 * * 0",
                "30 2 * * 7",
                "30 2 * * 5-7",
                "45 3 * * MON",
                "30 1 * * 1",
                "0 3 1 * *",
                "30 2 8-14 3,10,11 *",
                "@daily",
                "@weekly",
                "@monthly",
                "@yearly",
            ] {
                let fired = compare(expression, zone, after, until);
                assert!(fired >= 4, "{expression} in {zone} fired {fired} times");
            }
        }
    }

    #[test]
    fn intervals_over_a_year_and_through_every_turn_of_four() {
        for zone in ZONES {
            for expression in ["@hourly", "*/40 * * * 0,6"] {
                compare(expression, zone, utc("2026-01-01T00:00:00Z"), utc("2026-12-31T00:00:00Z"));
            }
            for turn in turns(zone, 2024..=2027) {
                for expression in ["*/5 * * * *", "* * * * *", "7,31 * * * *", "30 */15 * * * *"] {
                    compare(expression, zone, turn - Duration::hours(4), turn + Duration::hours(4));
                }
            }
        }
        let minutes = compare(
            "*/5 * * * *",
            America::New_York,
            utc("2026-01-01T05:00:00Z"),
            utc("2027-01-01T04:59:59Z"),
        );
        assert_eq!(minutes, 105_119, "365 days of 288, less the one that was `after`");
    }

    #[test]
    fn from_any_minute_around_a_turn() {
        for zone in [America::New_York, Europe::Malta, Australia::Lord_Howe] {
            for turn in turns(zone, 2026..=2026) {
                for expression in ["*/5 * * * *", "0 * * * *", "30 1 * * *", "30 2 * * *", "45 1 * * *"] {
                    let timetable = timetable(expression, zone);
                    let cron: Cron = expression.parse().expect("croner reads it");
                    for minute in -180..180 {
                        let after = turn + Duration::minutes(minute) + Duration::milliseconds(500);
                        let theirs = cron
                            .find_next_occurrence(&after.with_timezone(&zone), false)
                            .expect("croner finds it");
                        let ours = timetable.next(after).expect("a firing").at;
                        assert!(ours > after);
                        // Asked within a second, croner steps from its start: compare what both say about whole seconds.
                        assert_eq!(
                            ours,
                            theirs.to_utc() - Duration::milliseconds(i64::from(theirs.timestamp_subsec_millis()))
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn rare_dates() {
        let zone = Africa::Casablanca;
        compare("0 9 29 2 *", zone, utc("2020-03-01T00:00:00Z"), utc("2052-03-01T00:00:00Z"));
        let last = timetable("0 9 29 2 *", zone).next(utc("2092-03-01T00:00:00Z")).expect("2096");
        assert_eq!(last.local.to_string(), "2096-02-29 09:00:00");
        assert_eq!(
            timetable("0 9 29 2 *", zone).next(last.at),
            None,
            "2100 is no leap year, and there the calendar ends"
        );
    }
}

mod by_the_minute {
    use super::*;

    /// What the documentation of the timetable says, told minute by minute over a span that has at most one turn.
    fn told(timetable: &Timetable, hours_are_all: bool, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let cron: Cron = timetable.expression.text().parse().expect("croner reads it");
        let matches = |local: NaiveDateTime| cron.is_time_matching(&local.and_utc()).expect("croner matches");
        let minutes = |from: DateTime<Utc>, to: DateTime<Utc>| (0..=(to - from).num_minutes()).map(move |n| from + Duration::minutes(n));
        let local = |at: DateTime<Utc>| at.with_timezone(&timetable.zone).naive_local();

        let margin = Duration::hours(30);
        let mut shown: BTreeMap<NaiveDateTime, Vec<DateTime<Utc>>> = BTreeMap::new();
        for at in minutes(after - margin, until + margin) {
            shown.entry(local(at)).or_default().push(at);
        }
        let minute = Duration::minutes(1);
        let fires = |at: DateTime<Utc>| {
            let now = local(at);
            let lost = std::iter::successors(Some(local(at - minute) + minute), |lost| Some(*lost + minute)).take_while(|lost| *lost < now);
            let stands_for_lost = !hours_are_all && timetable.gap == GapPolicy::Shift && lost.into_iter().any(matches);
            let passes = &shown[&now];
            let is_its_turn = hours_are_all
                || match timetable.fold {
                    FoldPolicy::First => passes.first() == Some(&at),
                    FoldPolicy::Second => passes.last() == Some(&at),
                    FoldPolicy::Both => true,
                };
            stands_for_lost || (matches(now) && is_its_turn)
        };
        minutes(after, until).filter(|at| *at > after && fires(*at)).collect()
    }

    fn near_the_turn() -> impl Strategy<Value = (Tz, DateTime<Utc>)> {
        let all: Vec<_> = [
            America::New_York,
            America::Chicago,
            Europe::Malta,
            Australia::Lord_Howe,
            Africa::Casablanca,
            Africa::Cairo,
            America::Havana,
            America::Nuuk,
            Pacific::Chatham,
        ]
        .into_iter()
        .flat_map(|zone| turns(zone, 2024..=2027).into_iter().map(move |turn| (zone, turn)))
        .collect();
        proptest::sample::select(all)
    }

    /// The day fields, of which at most one is restricted.
    const DAYS: [&str; 9] = [
        "* * *",
        "* * *",
        "* * 0",
        "* * 6,7",
        "* * 1-6",
        "1-15 * *",
        "*/2 * *",
        "20-31 3,10 *",
        "* 3-4,10-11 MON-SAT",
    ];
    const MINUTES: [&str; 8] = ["0", "30", "59", "*/20", "15,45", "*", "0-10", "7"];
    /// Times of day, most of them where clocks change; the first two are every hour.
    const HOURS: [&str; 13] = [
        "*", "0-23", "0", "1", "2", "3", "23", "1-3", "0,1", "2,14", "*/2", "22-23", "1,2,3,6",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_policy_means_what_it_says(
            (zone, turn) in near_the_turn(),
            minute in proptest::sample::select(&MINUTES[..]),
            hour in proptest::sample::select(&HOURS[..]),
            days in proptest::sample::select(&DAYS[..]),
            gap in proptest::sample::select(&[GapPolicy::Shift, GapPolicy::Skip][..]),
            fold in proptest::sample::select(&[FoldPolicy::First, FoldPolicy::Second, FoldPolicy::Both][..]),
            start in -300_i64..300,
        ) {
            let timetable = Timetable { gap, fold, ..timetable(&format!("{minute} {hour} {days}"), zone) };
            let hours_are_all = HOURS[..2].contains(&hour);
            prop_assert_eq!(timetable.expression.is_interval(), hours_are_all);
            let (after, until) = (turn + Duration::minutes(start), turn + Duration::hours(30));
            prop_assert_eq!(instants(&timetable, after, until), told(&timetable, hours_are_all, after, until));
        }
    }
}

mod clocks_change {
    use super::*;

    /// `HH:MM local = HH:MM UTC (rule)` of the firings from one instant up to another.
    fn firings(timetable: &Timetable, after: &str, until: &str) -> Vec<String> {
        let tell = |firing: Firing| {
            let rule = firing.rule.map(|rule| format!(" {rule}")).unwrap_or_default();
            format!("{} = {}{rule}", firing.local.format("%d %H:%M"), firing.at.format("%H:%M"))
        };
        let until = utc(until);
        timetable
            .firings(utc(after))
            .take_while(|firing| firing.at <= until)
            .map(tell)
            .collect()
    }

    fn spring(expression: &str, gap: GapPolicy) -> Vec<String> {
        let timetable = Timetable {
            gap,
            ..timetable(expression, America::New_York)
        };
        firings(&timetable, "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z")
    }

    fn autumn(expression: &str, fold: FoldPolicy) -> Vec<String> {
        let timetable = Timetable {
            fold,
            ..timetable(expression, America::New_York)
        };
        firings(&timetable, "2026-11-01T03:30:00Z", "2026-11-02T10:00:00Z")
    }

    #[test]
    fn a_skipped_time_fires_once_at_the_next_valid_instant() {
        let shifted = ["08 03:00 = 07:00 gap_shift", "09 02:30 = 06:30"];
        assert_eq!(spring("30 2 * * *", GapPolicy::Shift), shifted);
        assert_eq!(spring("30 2 * * *", GapPolicy::Skip), ["09 02:30 = 06:30"]);
        // Three lost times are one firing; so is a lost one with one that falls on the end of the gap.
        assert_eq!(
            spring("*/20 2 * * *", GapPolicy::Shift),
            [
                "08 03:00 = 07:00 gap_shift",
                "09 02:00 = 06:00",
                "09 02:20 = 06:20",
                "09 02:40 = 06:40"
            ]
        );
        assert_eq!(
            spring("0 2,3 * * *", GapPolicy::Shift),
            ["08 03:00 = 07:00 gap_shift", "09 02:00 = 06:00", "09 03:00 = 07:00"]
        );
        assert_eq!(
            spring("0 2,3 * * *", GapPolicy::Skip),
            ["08 03:00 = 07:00", "09 02:00 = 06:00", "09 03:00 = 07:00"]
        );
    }

    #[test]
    fn a_time_at_the_very_end_of_the_gap_was_not_lost() {
        assert_eq!(spring("0 3 * * *", GapPolicy::Shift), ["08 03:00 = 07:00", "09 03:00 = 07:00"]);
    }

    #[test]
    fn a_repeated_time_fires_as_the_policy_says() {
        let (first, second, ordinary) = ("01 01:30 = 05:30", "01 01:30 = 06:30", "02 01:30 = 06:30");
        assert_eq!(autumn("30 1 * * *", FoldPolicy::First), [&format!("{first} fold_first"), ordinary]);
        assert_eq!(
            autumn("30 1 * * *", FoldPolicy::Second),
            [&format!("{second} fold_second"), ordinary]
        );
        assert_eq!(
            autumn("30 1 * * *", FoldPolicy::Both),
            [&format!("{first} fold_both"), &format!("{second} fold_both"), ordinary]
        );
    }

    #[test]
    fn an_interval_keeps_its_interval_whatever_the_policies() {
        for (from, until) in [
            ("2026-03-08T00:00:00Z", "2026-03-08T20:00:00Z"),
            ("2026-11-01T00:00:00Z", "2026-11-01T20:00:00Z"),
        ] {
            for fold in [FoldPolicy::First, FoldPolicy::Second, FoldPolicy::Both] {
                for gap in [GapPolicy::Shift, GapPolicy::Skip] {
                    let timetable = Timetable {
                        gap,
                        fold,
                        ..timetable("*/5 * * * *", America::New_York)
                    };
                    let found = instants(&timetable, utc(from), utc(until));
                    assert_eq!(found.len(), 20 * 12);
                    assert!(found.windows(2).all(|pair| pair[1] - pair[0] == Duration::minutes(5)));
                }
            }
        }
        assert_eq!(
            autumn("0 * * * *", FoldPolicy::First)[..4],
            [
                "01 00:00 = 04:00",
                "01 01:00 = 05:00 interval",
                "01 01:00 = 06:00 interval",
                "01 02:00 = 07:00"
            ]
        );
    }

    #[test]
    fn a_resumed_schedule_neither_repeats_nor_loses_the_repeated_hour() {
        for fold in [FoldPolicy::First, FoldPolicy::Second, FoldPolicy::Both] {
            for expression in ["*/5 * * * *", "30 1 * * *", "* 1 * * *", "*/7 0-2 * * *", "*/30 * * * * *"] {
                let timetable = Timetable {
                    fold,
                    ..timetable(expression, America::New_York)
                };
                let whole = instants(&timetable, utc("2026-11-01T04:00:00Z"), utc("2026-11-01T08:00:00Z"));
                for minute in 0..180 {
                    for after in
                        [0, 1, 59_999].map(|ms| utc("2026-11-01T04:30:00Z") + Duration::minutes(minute) + Duration::milliseconds(ms))
                    {
                        let resumed = timetable
                            .next(after)
                            .map(|firing| firing.at)
                            .filter(|at| *at <= utc("2026-11-01T08:00:00Z"));
                        assert_eq!(resumed, whole.iter().copied().find(|at| *at > after), "{expression} {fold} {after}");
                    }
                }
            }
        }
    }

    #[test]
    fn half_an_hour_on_lord_howe() {
        let lord_howe = |expression| timetable(expression, Australia::Lord_Howe);
        // Spring: 02:00 becomes 02:30. Autumn: 02:00 becomes 01:30.
        assert_eq!(
            firings(&lord_howe("15 2 * * *"), "2026-10-03T00:00:00Z", "2026-10-04T20:00:00Z"),
            ["04 02:30 = 15:30 gap_shift", "05 02:15 = 15:15"]
        );
        assert_eq!(
            firings(&lord_howe("45 1 * * *"), "2026-04-04T00:00:00Z", "2026-04-05T20:00:00Z"),
            ["05 01:45 = 14:45 fold_first", "06 01:45 = 15:15"]
        );
    }

    #[test]
    fn a_gap_that_swallows_midnight_or_a_whole_day_still_fires_once() {
        // Nuuk goes from Saturday 23:00 to Sunday 00:00: Saturday's job must not wait a week.
        assert_eq!(
            firings(
                &timetable("30 23 * * 6", America::Nuuk),
                "2026-03-26T00:00:00Z",
                "2026-03-30T00:00:00Z"
            ),
            ["29 00:00 = 01:00 gap_shift"]
        );
        // Samoa had no 30 December 2011.
        assert_eq!(
            firings(
                &timetable("0 6 * * *", Pacific::Apia),
                "2011-12-29T12:00:00Z",
                "2012-01-01T00:00:00Z"
            ),
            [
                "29 06:00 = 16:00",
                "31 00:00 = 10:00 gap_shift",
                "31 06:00 = 16:00",
                "01 06:00 = 16:00"
            ]
        );
    }

    #[test]
    fn a_preview_names_the_rule_and_is_bounded() {
        let daily = timetable("30 2 * * *", America::New_York);
        let rules: Vec<_> = daily
            .preview(utc("2026-03-06T12:00:00Z"), 3)
            .iter()
            .map(|firing| firing.rule)
            .collect();
        assert_eq!(rules, [None, Some(DstRule::GapShift), None]);
        assert_eq!(
            daily.preview(utc("2026-03-06T12:00:00Z"), usize::MAX).len(),
            workflows::timetable::MAX_PREVIEW
        );
        let shown = serde_json::to_value(daily.preview(utc("2026-03-07T12:00:00Z"), 1)).expect("json");
        assert_eq!(
            shown,
            serde_json::json!([{"at": "2026-03-08T07:00:00Z", "local": "2026-03-08T03:00:00", "rule": "gap_shift"}])
        );
    }

    #[test]
    fn a_firing_is_strictly_after_and_the_ends_of_time_do_not_panic() {
        let daily = timetable("0 6 * * *", America::Chicago);
        let six = utc("2026-06-01T11:00:00Z");
        let next = |after| daily.next(after).map(|firing| firing.at);
        assert_eq!(next(six - Duration::nanoseconds(1)), Some(six));
        assert_eq!(next(six), Some(six + Duration::days(1)));
        assert_eq!(next(six + Duration::nanoseconds(1)), Some(six + Duration::days(1)));
        assert_eq!(next(DateTime::<Utc>::MIN_UTC), Some(utc("1970-01-01T12:00:00Z")));
        assert_eq!(next(DateTime::<Utc>::MAX_UTC), None);
        assert_eq!(next(utc("2100-12-31T23:00:00Z")), None);
    }

    #[test]
    fn a_local_time_of_the_firing_leads_back_to_it() {
        let zone = Europe::Malta;
        for firing in timetable("*/15 * * * *", zone).firings(utc("2026-10-24T12:00:00Z")).take(200) {
            let back = zone.from_local_datetime(&firing.local);
            assert!(back.earliest().map(|at| at.to_utc()) == Some(firing.at) || firing.rule == Some(DstRule::Interval));
        }
    }
}

mod catching_up {
    use super::*;

    const LIMITS: Limits = Limits {
        max: 5,
        window: Duration::hours(24),
        grace: Duration::minutes(2),
    };

    /// Hourly in New York, last dealt with at 00:00 UTC.
    fn missed(until: &str, catch_up: CatchUp, limits: Limits) -> (Vec<String>, usize) {
        let Missed { firings, dropped } =
            timetable("0 * * * *", America::New_York).missed(utc("2026-06-01T00:00:00Z"), utc(until), catch_up, limits);
        (
            firings.iter().map(|firing| firing.at.format("%d %H:%M").to_string()).collect(),
            dropped,
        )
    }

    fn told(instants: &[&str], dropped: usize) -> (Vec<String>, usize) {
        (instants.iter().map(ToString::to_string).collect(), dropped)
    }

    #[test]
    fn a_daemon_on_time_misses_nothing_under_any_policy() {
        for catch_up in [CatchUp::Skip, CatchUp::Latest, CatchUp::All] {
            assert_eq!(missed("2026-06-01T01:00:00Z", catch_up, LIMITS), told(&["01 01:00"], 0));
            assert_eq!(missed("2026-06-01T01:01:00Z", catch_up, LIMITS), told(&["01 01:00"], 0));
            assert_eq!(missed("2026-06-01T00:59:59Z", catch_up, LIMITS), told(&[], 0));
            assert_eq!(missed("2026-05-01T00:00:00Z", catch_up, LIMITS), told(&[], 0), "a clock set back");
        }
    }

    #[test]
    fn skip_lets_go_of_whatever_is_older_than_the_grace() {
        assert_eq!(missed("2026-06-01T03:30:00Z", CatchUp::Skip, LIMITS), told(&[], 3));
        assert_eq!(missed("2026-06-01T04:01:00Z", CatchUp::Skip, LIMITS), told(&["01 04:00"], 3));
        let none = Limits {
            grace: Duration::zero(),
            ..LIMITS
        };
        assert_eq!(missed("2026-06-01T04:00:00Z", CatchUp::Skip, none), told(&[], 4));
    }

    #[test]
    fn latest_makes_up_for_the_last_one_only() {
        assert_eq!(missed("2026-06-01T03:30:00Z", CatchUp::Latest, LIMITS), told(&["01 03:00"], 2));
        let narrow = Limits {
            window: Duration::minutes(20),
            ..LIMITS
        };
        assert_eq!(missed("2026-06-01T03:30:00Z", CatchUp::Latest, narrow), told(&[], 3));
    }

    #[test]
    fn all_keeps_the_newest_within_window_and_maximum_the_oldest_first() {
        assert_eq!(
            missed("2026-06-01T03:30:00Z", CatchUp::All, LIMITS),
            told(&["01 01:00", "01 02:00", "01 03:00"], 0)
        );
        let last_five = ["02 02:00", "02 03:00", "02 04:00", "02 05:00", "02 06:00"];
        assert_eq!(missed("2026-06-02T06:30:00Z", CatchUp::All, LIMITS), told(&last_five, 25));
        let narrow = Limits {
            window: Duration::hours(2),
            ..LIMITS
        };
        assert_eq!(missed("2026-06-02T06:30:00Z", CatchUp::All, narrow), told(&last_five[3..], 28));
        assert_eq!(
            missed("2026-06-02T06:30:00Z", CatchUp::All, Limits { max: 0, ..LIMITS }),
            told(&[], 30)
        );
    }

    #[test]
    fn years_of_outage_cost_no_more_than_an_hour() {
        let every_second = timetable("* * * * * *", America::New_York);
        let (after, until) = (utc("2006-01-01T00:00:00Z"), utc("2026-06-01T00:00:00.5Z"));
        let forever = Limits {
            max: 3,
            window: Duration::MAX,
            grace: Duration::MAX,
        };
        for (catch_up, first) in [(CatchUp::All, "2026-05-31T23:59:58Z"), (CatchUp::Latest, "2026-06-01T00:00:00Z")] {
            let missed = every_second.missed(after, until, catch_up, forever);
            assert_eq!(missed.firings.first().map(|firing| firing.at), Some(utc(first)));
            assert_eq!(missed.firings.last().map(|firing| firing.at), Some(utc("2026-06-01T00:00:00Z")));
            assert_eq!(missed.dropped, MAX_COUNTED);
        }
    }

    #[test]
    fn both_passes_of_a_repeated_hour_are_made_up_for() {
        let hourly = timetable("0 * * * *", America::New_York);
        let missed = hourly.missed(utc("2026-11-01T04:30:00Z"), utc("2026-11-01T08:30:00Z"), CatchUp::All, LIMITS);
        let shown: Vec<_> = missed
            .firings
            .iter()
            .map(|firing| firing.local.format("%H:%M").to_string())
            .collect();
        assert_eq!(shown, ["01:00", "01:00", "02:00", "03:00"]);
    }
}
