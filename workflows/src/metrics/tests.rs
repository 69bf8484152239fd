use chrono::Duration;
use proptest::prelude::*;

use super::*;
use crate::coverage::USUAL_GRIND_SHARE_BP;
use crate::money::ratio_rounded;

/// Six in the morning, UTC; times below are minutes after it.
fn at(minutes: i64) -> DateTime<Utc> {
    "2026-03-06T06:00:00Z".parse::<DateTime<Utc>>().expect("an instant") + Duration::minutes(minutes)
}

/// Eight hours.
const SHIFT: i64 = 480;

fn window() -> Window {
    Window {
        start: at(0),
        end: at(SHIFT),
    }
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn count(n: u128, session: u128, kind: SnapshotKind, minutes: i64, total_cents: i64) -> Count {
    Count {
        id: id(n),
        session_id: id(session),
        kind,
        total_cents,
        counted_at: at(minutes),
        created_at: at(minutes),
        supersedes_id: None,
    }
}

fn session(n: u128, own: bool, opened: i64, closed: Option<i64>) -> SessionFacts {
    SessionFacts {
        id: id(n),
        own,
        opened_at: Some(at(opened)),
        closed_at: closed.map(at),
        pit: Some("Pit 1".to_owned()),
        ..SessionFacts::default()
    }
}

/// One box, counted, and a report that says so.
fn proved(session: SessionFacts, drop_cents: i64) -> SessionFacts {
    SessionFacts {
        metric_grade: Some(MetricGrade::Authoritative),
        removals: 1,
        counted_removals: 1,
        counted_cents: Some(drop_cents),
        ..session
    }
}

fn slip(session: u128, minutes: i64, fills_cents: i64, credits_cents: i64) -> SlipFlow {
    SlipFlow {
        session_id: id(session),
        since: Some(at(minutes)),
        fills_cents,
        credits_cents,
    }
}

fn rated(minutes: i64, cents: i64) -> BuyinFlow {
    BuyinFlow {
        since: Some(at(minutes)),
        rated_cents: cents,
        rows: 1,
        rated_buyins: 1,
        expected_rated_rows: 1,
        ..BuyinFlow::default()
    }
}

fn grind(minutes: i64, cents: i64) -> BuyinFlow {
    BuyinFlow {
        since: Some(at(minutes)),
        grind_cents: cents,
        rows: 1,
        grind_buyins: 1,
        ..BuyinFlow::default()
    }
}

fn table(sessions: &[SessionFacts], counts: &[Count]) -> TableFacts {
    TableFacts {
        table_id: id(1),
        table: "BJ-01".to_owned(),
        pit: Some("Pit 1".to_owned()),
        in_service: true,
        sessions: sessions.to_vec(),
        counts: counts.to_vec(),
        ..TableFacts::default()
    }
}

fn read(facts: &TableFacts) -> TableMetrics {
    Summary::of(window(), USUAL_GRIND_SHARE_BP, std::slice::from_ref(facts))
        .tables
        .remove(0)
}

use SnapshotKind::{Close, Open, Rundown};

#[test]
fn the_baseline_is_the_best_there_is_and_says_what_it_is() {
    let par = |table: TableFacts| TableFacts {
        par_cents: Some(777),
        ..table
    };
    let yesterday = session(9, false, -900, Some(-60));
    let left = count(90, 9, Close, -60, 900);
    let running = session(8, false, -300, None);
    let began = count(80, 8, Open, -300, 800);
    let (own, opener) = (session(1, true, 5, None), count(10, 1, Open, 5, 100));
    let (free, later) = (session(1, false, 5, None), count(11, 1, Rundown, 200, 110));
    let cases = [
        (
            "an opener of the shift's own session",
            par(table(&[yesterday.clone(), own.clone()], &[left.clone(), opener.clone()])),
            (OpeningSource::VerifiedOpen, Some(10), Some(5), Some(100), CoverageType::Full),
        ),
        (
            "its own session opened before the hour",
            table(&[session(1, true, -20, None)], &[count(10, 1, Open, -15, 100)]),
            (OpeningSource::VerifiedOpen, Some(10), Some(-15), Some(100), CoverageType::Full),
        ),
        (
            "an opener within the hours asked for",
            table(&[yesterday.clone(), free.clone()], &[left.clone(), opener.clone()]),
            (OpeningSource::VerifiedOpen, Some(10), Some(5), Some(100), CoverageType::Full),
        ),
        (
            "an opener on the stroke of the hour",
            table(std::slice::from_ref(&free), &[count(10, 1, Open, 0, 100)]),
            (OpeningSource::VerifiedOpen, Some(10), Some(0), Some(100), CoverageType::Full),
        ),
        (
            "a table left closed since yesterday",
            par(table(std::slice::from_ref(&yesterday), std::slice::from_ref(&left))),
            (OpeningSource::PriorCount, Some(90), Some(-60), Some(900), CoverageType::Full),
        ),
        (
            "a table in play, last counted before the window",
            table(std::slice::from_ref(&running), &[began.clone(), count(81, 8, Rundown, -30, 820)]),
            (OpeningSource::PriorCount, Some(81), Some(-30), Some(820), CoverageType::Full),
        ),
        (
            "a table in play that rolls over within the hours",
            table(
                &[session(8, false, -300, Some(460)), session(7, false, 460, None)],
                &[began.clone(), count(82, 8, Close, 460, 850), count(70, 7, Open, 460, 850)],
            ),
            (OpeningSource::PriorCount, Some(80), Some(-300), Some(800), CoverageType::Full),
        ),
        (
            "nobody ever counted it, and it has a par",
            par(table(&[], &[])),
            (OpeningSource::ParTarget, None, Some(0), Some(777), CoverageType::Assumed),
        ),
        (
            "no opener, no par, a count in the middle",
            table(&[free], &[later]),
            (
                OpeningSource::EarliestInWindow,
                Some(11),
                Some(200),
                Some(110),
                CoverageType::Partial,
            ),
        ),
        (
            "nothing at all",
            table(&[], &[]),
            (OpeningSource::None, None, None, None, CoverageType::None),
        ),
    ];
    for (what, facts, (source, snapshot, minutes, cents, coverage)) in cases {
        let read = read(&facts);
        let found = (
            read.opening_source,
            read.opening_snapshot_id,
            read.opening_at,
            read.opening_total_cents,
            read.coverage_type,
        );
        assert_eq!(found, (source, snapshot.map(id), minutes.map(at), cents, coverage), "{what}");
        assert_eq!(read.missing_opening_snapshot, snapshot.is_none(), "{what}");
    }
}

#[test]
fn a_verified_recount_takes_the_place_of_the_count_before_it() {
    let recount = Count {
        supersedes_id: Some(id(10)),
        ..count(11, 1, Open, 7, 120)
    };
    let read = read(&table(&[session(1, true, 5, None)], &[count(10, 1, Open, 5, 100), recount]));
    assert_eq!((read.opening_snapshot_id, read.opening_total_cents), (Some(id(11)), Some(120)));
}

#[test]
fn the_closing_count_is_strictly_later_and_never_the_baseline_itself() {
    let opener = count(10, 1, Open, 5, 100);
    let close_of = |counts: &[Count], own| read(&table(&[session(1, own, 5, None)], counts)).closing_snapshot_id;
    assert_eq!(close_of(std::slice::from_ref(&opener), true), None, "a tray against itself");
    assert_eq!(
        close_of(&[opener.clone(), count(11, 1, Rundown, 5, 100)], true),
        None,
        "at the same moment"
    );
    let counts = [opener, count(11, 1, Rundown, 60, 105), count(12, 1, Close, SHIFT + 5, 110)];
    assert_eq!(
        close_of(&counts, true),
        Some(id(12)),
        "its own closer, five minutes after the shift"
    );
    assert_eq!(close_of(&counts, false), Some(id(11)), "and outside of hours that were asked for");
    let forgotten = [count(10, 1, Open, 5, 100), count(12, 1, Close, SHIFT + 13 * 60, 110)];
    assert_eq!(close_of(&forgotten, true), None, "half a day later it is not the shift's any more");
}

/// Opened at 1,000.00, filled by 200.00, credited 50.00, closed at 900.00, 600.00 in the box: won 350.00.
fn played() -> TableFacts {
    let counts = [count(10, 1, Open, 5, 100_000), count(11, 1, Close, 470, 90_000)];
    TableFacts {
        slips: vec![slip(1, 60, 20_000, 0), slip(1, 90, 0, 5_000)],
        buyins: vec![rated(30, 40_000), grind(100, 15_000), rated(469, 1_000), rated(470, 9_999)],
        ..table(&[proved(session(1, true, 0, Some(471)), 60_000)], &counts)
    }
}

#[test]
fn three_wins_have_three_names() {
    let read = read(&played());
    assert_eq!((read.fills_total_cents, read.credits_total_cents), (20_000, 5_000));
    assert_eq!(read.win_loss_inventory_cents, Some(-25_000), "the tray alone");
    assert_eq!(
        read.estimated_drop_rated_cents,
        Some(41_000),
        "a buy-in at the moment of the closing count is after it"
    );
    assert_eq!(read.estimated_drop_grind_cents, Some(15_000));
    assert_eq!(read.estimated_drop_total_cents, Some(56_000));
    assert_eq!(read.win_loss_estimated_cents, Some(31_000), "with what was seen to be bought in");
    assert_eq!(
        (read.drop_total_cents, read.win_loss_stat_cents),
        (Some(60_000), Some(35_000)),
        "with what was counted"
    );
    assert_eq!((read.hold_bp, read.metric_grade), (Some(5833), MetricGrade::Authoritative));
    assert_eq!((read.flows_from, read.flows_to), (at(5), at(470)));
    assert_eq!(read.telemetry_quality, TelemetryQuality::GoodCoverage);
    assert!(!(read.missing_opening_snapshot || read.missing_closing_snapshot || read.missing_counted_drop || read.missing_telemetry));
}

#[test]
fn null_is_not_zero() {
    let uncounted = TableFacts {
        sessions: vec![SessionFacts {
            counted_removals: 0,
            counted_cents: None,
            ..played().sessions[0].clone()
        }],
        ..played()
    };
    let read_uncounted = read(&uncounted);
    assert_eq!(
        (
            read_uncounted.drop_total_cents,
            read_uncounted.win_loss_stat_cents,
            read_uncounted.hold_bp
        ),
        (None, None, None)
    );
    assert_eq!(
        (read_uncounted.win_loss_inventory_cents, read_uncounted.win_loss_estimated_cents),
        (Some(-25_000), Some(31_000))
    );
    assert_eq!(
        (read_uncounted.metric_grade, read_uncounted.missing_counted_drop),
        (MetricGrade::Estimate, true)
    );

    let unlogged = read(&TableFacts {
        buyins: Vec::new(),
        ..played()
    });
    assert_eq!(
        (unlogged.estimated_drop_total_cents, unlogged.win_loss_estimated_cents),
        (None, None)
    );
    assert_eq!((unlogged.win_loss_stat_cents, unlogged.missing_telemetry), (Some(35_000), true));
    assert_eq!(unlogged.telemetry_quality, TelemetryQuality::None);

    let running = read(&TableFacts {
        counts: vec![count(10, 1, Open, 5, 100_000)],
        sessions: vec![session(1, true, 0, None)],
        ..played()
    });
    assert_eq!((running.win_loss_inventory_cents, running.win_loss_stat_cents), (None, None));
    assert_eq!(
        (running.flows_from, running.flows_to),
        (at(5), at(SHIFT)),
        "what has moved until now is shown all the same"
    );
    assert_eq!(
        (running.fills_total_cents, running.estimated_drop_total_cents),
        (20_000, Some(65_999))
    );
}

#[test]
fn a_mid_shift_count_bounds_what_is_summed_and_no_box_is_divided() {
    let facts = TableFacts {
        counts: vec![count(10, 1, Open, 5, 100_000), count(12, 1, Rundown, 80, 110_000)],
        sessions: vec![proved(session(1, true, 0, None), 60_000)],
        ..played()
    };
    let read = read(&facts);
    assert_eq!(
        (read.fills_total_cents, read.credits_total_cents, read.estimated_drop_total_cents),
        (20_000, 0, Some(40_000))
    );
    assert_eq!(read.win_loss_inventory_cents, Some(-10_000));
    assert_eq!(
        (read.drop_total_cents, read.win_loss_stat_cents),
        (None, None),
        "the box holds more than this part"
    );
    assert_eq!(read.metric_grade, MetricGrade::Estimate);
}

#[test]
fn a_slip_belongs_to_the_session_that_counted_its_chips() {
    let facts = TableFacts {
        sessions: vec![
            proved(session(1, false, 0, Some(240)), 100),
            proved(session(2, false, 240, Some(470)), 100),
        ],
        counts: vec![
            count(10, 1, Open, 5, 1_000),
            count(11, 1, Close, 240, 1_000),
            count(20, 2, Open, 240, 1_000),
            count(21, 2, Close, 470, 1_000),
        ],
        // Entered by hand: a clock before the opener and one after the closer.
        slips: vec![slip(1, 4, 10, 0), slip(2, 300, 20, 0), slip(2, 475, 40, 0), slip(3, 476, 80, 0)],
        ..table(&[], &[])
    };
    let read_two = read(&facts);
    assert_eq!(
        (read_two.fills_total_cents, read_two.drop_total_cents),
        (70, Some(200)),
        "both sessions', and not the next one's"
    );
    assert_eq!(read_two.metric_grade, MetricGrade::Authoritative);
    let torn = TableFacts {
        counts: facts
            .counts
            .iter()
            .cloned()
            .map(|count| {
                if count.id == id(20) {
                    Count {
                        total_cents: 1_001,
                        ..count
                    }
                } else {
                    count
                }
            })
            .collect(),
        ..facts
    };
    assert_eq!(
        read(&torn).metric_grade,
        MetricGrade::Estimate,
        "a chip appeared between two sessions"
    );
}

#[test]
fn a_finalized_session_counts_with_the_drop_that_was_signed() {
    let facts = TableFacts {
        sessions: vec![SessionFacts {
            finalized: true,
            signed_drop_cents: Some(60_000),
            removals: 2,
            counted_removals: 2,
            counted_cents: Some(70_000),
            ..played().sessions[0].clone()
        }],
        ..played()
    };
    assert_eq!(
        read(&facts).drop_total_cents,
        Some(60_000),
        "a box that came late changes nothing that was signed"
    );
}

#[test]
fn a_table_belongs_to_a_window_by_service_by_play_or_by_a_buy_in() {
    let out_of_service = |facts: TableFacts| TableFacts {
        in_service: false,
        ..facts
    };
    let members = |facts: TableFacts| Summary::of(window(), USUAL_GRIND_SHARE_BP, &[facts]).tables.len();
    assert_eq!(members(table(&[], &[])), 1);
    assert_eq!(members(out_of_service(table(&[], &[]))), 0);
    assert_eq!(members(out_of_service(table(&[session(9, false, -900, Some(-60))], &[]))), 0);
    assert_eq!(members(out_of_service(table(&[session(9, false, -900, Some(60))], &[]))), 1);
    assert_eq!(
        members(out_of_service(TableFacts {
            buyins: vec![grind(3, 100)],
            ..table(&[], &[])
        })),
        1
    );
}

#[test]
fn a_gaming_day_begins_at_its_hour_by_the_wall_clock() {
    let six = NaiveTime::from_hms_opt(6, 0, 0).expect("a time");
    for zone in [
        chrono_tz::America::New_York,
        chrono_tz::Europe::Malta,
        chrono_tz::Australia::Lord_Howe,
    ] {
        let mut day = NaiveDate::from_ymd_opt(2026, 1, 1).expect("a date");
        for _ in 0..365 {
            let window = Window::of_day(day, zone, six);
            let of = |at| crate::gaming_day::gaming_day(at, zone, six);
            let moment = Duration::microseconds(1);
            assert_eq!((of(window.start), of(window.end - moment)), (day, day), "{zone}");
            assert_eq!(
                (of(window.start - moment), of(window.end)),
                (day.pred_opt().expect("a date"), day.succ_opt().expect("a date"))
            );
            assert!(window.end - window.start <= LONGEST);
            day = day.succ_opt().expect("a date");
        }
    }
}

fn some_cents() -> impl Strategy<Value = i64> {
    0_i64..1_000_000
}

/// A table with any mix of what may be missing.
fn any_table() -> impl Strategy<Value = TableFacts> {
    let pit = proptest::sample::select(vec![None, Some("Pit 1"), Some("Pit 2")]);
    let counts = (
        proptest::option::of(some_cents()),
        proptest::option::of(some_cents()),
        proptest::option::of(some_cents()),
    );
    let drop = (0_i64..3, 0_i64..3, some_cents(), any::<bool>());
    let flows = (
        some_cents(),
        some_cents(),
        proptest::option::of(some_cents()),
        proptest::option::of(some_cents()),
    );
    (
        any::<u128>(),
        pit,
        counts,
        drop,
        flows,
        any::<(bool, bool, bool)>(),
        proptest::option::of(some_cents()),
    )
        .prop_map(
            |(
                n,
                pit,
                (opener, rundown, closer),
                (removals, counted, cents, authoritative),
                (fills, credits, rated_cents, grind_cents),
                flags,
                par_cents,
            )| {
                let (own, in_service, is_open) = flags;
                let counts = [
                    opener.map(|cents| count(10, 1, Open, 5, cents)),
                    rundown.map(|cents| count(11, 1, Rundown, 200, cents)),
                    closer.map(|cents| count(12, 1, Close, 470, cents)),
                ];
                let played = SessionFacts {
                    pit: pit.map(ToOwned::to_owned),
                    removals,
                    counted_removals: counted.min(removals),
                    counted_cents: (counted > 0 && removals > 0).then_some(cents),
                    metric_grade: Some(if authoritative {
                        MetricGrade::Authoritative
                    } else {
                        MetricGrade::Estimate
                    }),
                    ..session(1, own, 0, Some(471))
                };
                TableFacts {
                    table_id: id(n),
                    table: format!("T-{n}"),
                    pit: pit.map(ToOwned::to_owned),
                    in_service,
                    par_cents,
                    sessions: if is_open { vec![played] } else { Vec::new() },
                    counts: if is_open {
                        counts.into_iter().flatten().collect()
                    } else {
                        Vec::new()
                    },
                    slips: if is_open { vec![slip(1, 60, fills, credits)] } else { Vec::new() },
                    buyins: rated_cents
                        .map(|cents| rated(30, cents))
                        .into_iter()
                        .chain(grind_cents.map(|cents| grind(40, cents)))
                        .collect(),
                }
            },
        )
}

type Pick = fn(&TableMetrics) -> Option<i64>;
type Told = fn(&GroupMetrics) -> (Option<i64>, i64);

/// Every figure of a group beside the table's it is summed from.
const FIGURES: &[(&str, Pick, Told)] = &[
    ("opening", |t| t.opening_total_cents, |g| (g.opening_total_cents, g.opening_skipped)),
    ("closing", |t| t.closing_total_cents, |g| (g.closing_total_cents, g.closing_skipped)),
    ("fills", |t| Some(t.fills_total_cents), |g| (g.fills_total_cents, g.fills_skipped)),
    (
        "credits",
        |t| Some(t.credits_total_cents),
        |g| (g.credits_total_cents, g.credits_skipped),
    ),
    (
        "rated",
        |t| t.estimated_drop_rated_cents,
        |g| (g.estimated_drop_rated_cents, g.estimated_drop_rated_skipped),
    ),
    (
        "grind",
        |t| t.estimated_drop_grind_cents,
        |g| (g.estimated_drop_grind_cents, g.estimated_drop_grind_skipped),
    ),
    (
        "estimated drop",
        |t| t.estimated_drop_total_cents,
        |g| (g.estimated_drop_total_cents, g.estimated_drop_total_skipped),
    ),
    ("drop", |t| t.drop_total_cents, |g| (g.drop_total_cents, g.drop_skipped)),
    (
        "inventory",
        |t| t.win_loss_inventory_cents,
        |g| (g.win_loss_inventory_cents, g.win_loss_inventory_skipped),
    ),
    (
        "estimated",
        |t| t.win_loss_estimated_cents,
        |g| (g.win_loss_estimated_cents, g.win_loss_estimated_skipped),
    ),
    (
        "stat",
        |t| t.win_loss_stat_cents,
        |g| (g.win_loss_stat_cents, g.win_loss_stat_skipped),
    ),
];

/// The sum by hand, one table after another.
fn by_hand(tables: &[&TableMetrics], pick: Pick) -> (Option<i64>, i64) {
    let (mut known, mut skipped) = (None, 0);
    for table in tables {
        match pick(table) {
            Some(cents) => known = Some(known.unwrap_or(0) + cents),
            None => skipped += 1,
        }
    }
    (known, skipped)
}

proptest! {
    #[test]
    fn a_group_is_the_sum_of_its_tables_whatever_is_missing(facts in proptest::collection::vec(any_table(), 0..12)) {
        let summary = Summary::of(window(), USUAL_GRIND_SHARE_BP, &facts);
        let everything: Vec<&TableMetrics> = summary.tables.iter().collect();
        let mut groups = vec![(&summary.casino, everything.clone())];
        for pit in &summary.pits {
            groups.push((pit, everything.iter().copied().filter(|table| table.pit == pit.pit).collect()));
        }
        for (group, tables) in groups {
            prop_assert_eq!(group.tables, i64::try_from(tables.len()).expect("few"));
            for (name, pick, told) in FIGURES {
                prop_assert_eq!(told(group), by_hand(&tables, *pick), "{} of {:?}", name, group.pit);
            }
            let both = tables.iter().filter(|table| !table.missing_opening_snapshot && !table.missing_closing_snapshot).count();
            prop_assert_eq!(group.covered_tables, i64::try_from(both).expect("few"));
            let won = tables.iter().filter(|table| table.win_loss_stat_cents.is_some());
            let (win, drop) = won.fold((0, 0), |(win, drop), table| (win + table.win_loss_stat_cents.unwrap_or(0), drop + table.drop_total_cents.unwrap_or(0)));
            let hold = if group.win_loss_stat_cents.is_none() { None } else { ratio_rounded(i128::from(win) * 10_000, i128::from(drop)) };
            prop_assert_eq!(group.hold_bp, hold);
            prop_assert_eq!(group.good_coverage_tables + group.low_coverage_tables + group.no_coverage_tables, group.tables);
        }
        let in_pits: i64 = summary.pits.iter().map(|pit| pit.tables).sum();
        let nowhere = summary.tables.iter().filter(|table| table.pit.is_none()).count();
        prop_assert_eq!(in_pits + i64::try_from(nowhere).expect("few"), summary.casino.tables);
    }

    #[test]
    fn a_figure_is_there_exactly_where_its_inputs_are(facts in any_table()) {
        for read in Summary::of(window(), USUAL_GRIND_SHARE_BP, &[facts]).tables {
            let counted = read.opening_total_cents.is_some() && read.closing_total_cents.is_some();
            prop_assert_eq!(read.win_loss_inventory_cents.is_some(), counted);
            prop_assert_eq!(read.win_loss_estimated_cents.is_some(), counted && !read.missing_telemetry);
            prop_assert_eq!(read.win_loss_stat_cents.is_some(), counted && !read.missing_counted_drop);
            prop_assert!(read.metric_grade == MetricGrade::Estimate || read.win_loss_stat_cents.is_some());
            prop_assert!(read.closing_at.is_none_or(|closed| read.opening_at.is_some_and(|opened| opened < closed)));
            prop_assert!(read.closing_snapshot_id.is_none() || read.closing_snapshot_id != read.opening_snapshot_id);
            prop_assert!(read.flows_from <= read.flows_to);
        }
    }
}
