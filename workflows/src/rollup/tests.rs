use proptest::prelude::*;

use super::*;

const CASINO: Uuid = Uuid::from_u128(1);
const SHIFTS: u128 = 100;

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, 6).unwrap()
}

fn cents() -> impl Strategy<Value = Option<i64>> {
    proptest::option::of(0_i64..1_000_000)
}

/// A session of one of five tables, in one of two shifts or none, with any mix of what is missing. A table stands in one pit or none.
fn share() -> impl Strategy<Value = Share> {
    let figures = (cents(), cents(), 0_i64..100_000, 0_i64..100_000, cents());
    (1_u128..6, 0_u128..3, figures, any::<bool>(), any::<bool>()).prop_map(
        |(table, shift, (opening, closing, fills, credits, drop), graded, late)| {
            let in_shift = (shift > 0).then(|| Period::of_shift(day(), Uuid::from_u128(SHIFTS + shift)));
            Share {
                session_id: Uuid::nil(),
                table_id: Uuid::from_u128(table),
                pit: [None, Some("Pit 1"), Some("Pit 1"), Some("Pit 2"), Some("Pit 2")][table as usize - 1].map(str::to_owned),
                periods: std::iter::once(Period::of_day(day())).chain(in_shift).collect(),
                figures: Figures {
                    opening,
                    closing,
                    fills,
                    credits,
                    drop,
                },
                grade: if graded {
                    MetricGrade::Authoritative
                } else {
                    MetricGrade::Estimate
                },
                late,
            }
        },
    )
}

fn shares() -> impl Strategy<Value = Vec<Share>> {
    proptest::collection::vec(share(), 0..24).prop_map(|shares| {
        let numbered = shares.into_iter().zip(1_000_u128..);
        numbered
            .map(|(share, id)| Share {
                session_id: Uuid::from_u128(id),
                ..share
            })
            .collect()
    })
}

fn touching(shares: &[Share]) -> BTreeSet<(Period, Uuid)> {
    shares
        .iter()
        .flat_map(|share| share.periods.iter().map(|period| (*period, share.table_id)))
        .collect()
}

fn from_nothing(shares: &[Share]) -> Vec<Rollup> {
    recompute(CASINO, &touching(shares), shares, &[], DateTime::UNIX_EPOCH)
}

fn store(stored: &mut Vec<Rollup>, news: Vec<Rollup>) {
    for row in news {
        stored.retain(|old| old.cell_key != row.cell_key);
        stored.push(row);
    }
}

/// A sum by other means: null only where nothing is known.
fn summed(figures: &[Option<i64>]) -> (Option<i64>, i64) {
    let known: Vec<i64> = figures.iter().flatten().copied().collect();
    let skipped = i64::try_from(figures.len() - known.len()).unwrap();
    ((!known.is_empty()).then(|| known.iter().sum()), skipped)
}

fn in_cell(row: &Rollup, share: &Share) -> bool {
    let scope = match row.grain {
        RollupGrain::Table => row.table_id == Some(share.table_id),
        RollupGrain::Pit => row.pit == share.pit,
        RollupGrain::Casino => true,
    };
    scope && share.periods.contains(&row.period())
}

proptest! {
    #[test]
    fn every_cell_is_the_sum_of_what_is_known_of_its_sessions(shares in shares()) {
        for row in from_nothing(&shares) {
            let own: Vec<&Share> = shares.iter().filter(|share| in_cell(&row, share)).collect();
            let of = |figure: fn(&Figures) -> Option<i64>| summed(&own.iter().map(|share| figure(&share.figures)).collect::<Vec<_>>());
            prop_assert_eq!(row.sessions, i64::try_from(own.len()).unwrap());
            prop_assert_eq!((row.opening_total_cents, row.opening_skipped), of(|figures| figures.opening));
            prop_assert_eq!((row.closing_total_cents, row.closing_skipped), of(|figures| figures.closing));
            prop_assert_eq!((row.fills_total_cents, row.fills_skipped), of(|figures| Some(figures.fills)));
            prop_assert_eq!((row.credits_total_cents, row.credits_skipped), of(|figures| Some(figures.credits)));
            prop_assert_eq!((row.drop_total_cents, row.drop_skipped), of(|figures| figures.drop));
            prop_assert_eq!((row.win_loss_stat_cents, row.win_loss_stat_skipped), of(Figures::win));
            let tables: BTreeSet<Uuid> = own.iter().map(|share| share.table_id).collect();
            prop_assert_eq!(row.tables, i64::try_from(tables.len()).unwrap());
        }
    }

    #[test]
    fn pits_and_casino_are_sums_of_tables_and_the_casino_counts_those_in_no_pit(shares in shares()) {
        let rows = from_nothing(&shares);
        for group in rows.iter().filter(|row| row.grain != RollupGrain::Table) {
            let tables = rows.iter().filter(|row| row.grain == RollupGrain::Table && row.period() == group.period());
            let members = tables.filter(|row| group.grain == RollupGrain::Casino || row.pit == group.pit);
            let sum = members.fold(Tally::default(), |sum, row| sum + row.tally());
            prop_assert_eq!(group.tally(), sum);
            prop_assert_eq!(group.hold_bp, sum.hold_bp());
        }
        let casino = rows.iter().filter(|row| row.grain == RollupGrain::Casino && row.by == RollupBy::GamingDay).map(|row| row.sessions).sum::<i64>();
        prop_assert_eq!(casino, i64::try_from(shares.len()).unwrap());
    }

    #[test]
    fn the_order_of_sessions_means_nothing(shares in shares(), seed in any::<u64>()) {
        let mut shuffled = shares.clone();
        shuffled.sort_by_key(|share| hash(&json!([seed, share.session_id])));
        prop_assert_eq!(from_nothing(&shuffled), from_nothing(&shares));
    }

    /// Whatever is touched in whatever order: cell by cell it comes to what all of it at once comes to.
    #[test]
    fn bit_by_bit_is_the_same_as_all_at_once(before in shares(), mut after in shares(), moved in any::<bool>(), seed in any::<u64>()) {
        let mut stored = from_nothing(&before);
        for share in after.iter_mut().filter(|share| moved && share.table_id == Uuid::from_u128(2)) {
            share.pit = Some("Pit 3".to_owned());
        }
        let mut order: Vec<(Period, Uuid)> = touching(&before).union(&touching(&after)).copied().collect();
        order.sort_by_key(|(period, table)| hash(&json!([seed, period.shift_id, table])));
        for cell in &order {
            let news = recompute(CASINO, &BTreeSet::from([*cell]), &after, &stored, DateTime::UNIX_EPOCH);
            store(&mut stored, news);
        }
        let mut found: Vec<Rollup> = stored.iter().filter(|row| row.sessions > 0).map(|row| Rollup { version: 1, ..row.clone() }).collect();
        let mut expected = from_nothing(&after);
        found.sort_by(|a, b| a.cell_key.cmp(&b.cell_key));
        expected.sort_by(|a, b| a.cell_key.cmp(&b.cell_key));
        prop_assert_eq!(found, expected);
        let periods = order.iter().map(|(period, _)| *period).collect();
        prop_assert_eq!(verify(CASINO, &periods, &after, &stored, &BTreeSet::new()).1, vec![]);
        // Done once more, nothing is news.
        let again = recompute(CASINO, &order.into_iter().collect(), &after, &stored, DateTime::UNIX_EPOCH);
        prop_assert_eq!(again, vec![]);
    }
}

fn plain(id: u128, table: u128, figures: Figures) -> Share {
    Share {
        session_id: Uuid::from_u128(id),
        table_id: Uuid::from_u128(table),
        pit: Some("Pit 1".to_owned()),
        periods: vec![Period::of_day(day())],
        figures,
        grade: MetricGrade::Authoritative,
        late: false,
    }
}

fn won(win: i64, drop: Option<i64>) -> Figures {
    Figures {
        opening: Some(0),
        closing: drop.map_or(Some(0), |drop| Some(win - drop)),
        fills: 0,
        credits: 0,
        drop,
    }
}

fn casino(rows: &[Rollup]) -> &Rollup {
    rows.iter().find(|row| row.grain == RollupGrain::Casino).unwrap()
}

#[test]
fn hold_is_a_ratio_of_sums_over_those_that_have_both() {
    // 10 % of 1,000 and 50 % of 100,000: the mean of the two would be 30 %.
    let shares = [plain(1, 1, won(100, Some(1_000))), plain(2, 2, won(50_000, Some(100_000)))];
    assert_eq!(casino(&from_nothing(&shares)).hold_bp, Some(4_960));
    // A drop whose win is not known is in the drop, and in no hold.
    let open = Figures {
        closing: None,
        ..won(0, Some(9_000))
    };
    let rows = from_nothing(&[shares[0].clone(), plain(2, 2, open), plain(3, 1, open)]);
    let all = casino(&rows);
    assert_eq!(
        (all.drop_total_cents, all.hold_drop_cents, all.hold_bp),
        (Some(19_000), Some(1_000), Some(1_000))
    );
    assert_eq!((all.win_loss_stat_skipped, all.drop_skipped, all.covered_tables), (2, 0, 0));
}

#[test]
fn null_is_not_zero() {
    let nothing = Figures {
        opening: None,
        closing: None,
        fills: 0,
        credits: 0,
        drop: None,
    };
    let rows = from_nothing(&[plain(1, 1, nothing)]);
    let all = casino(&rows);
    assert_eq!(
        (all.opening_total_cents, all.drop_total_cents, all.win_loss_stat_cents, all.hold_bp),
        (None, None, None, None)
    );
    assert_eq!(
        (all.fills_total_cents, all.opening_skipped),
        (Some(0), 1),
        "no fill is a fill of nothing"
    );
    let rows = from_nothing(&[plain(1, 1, won(0, Some(0)))]);
    let all = casino(&rows);
    assert_eq!(
        (all.drop_total_cents, all.win_loss_stat_cents, all.hold_bp),
        (Some(0), Some(0), None)
    );
}

#[test]
fn a_cell_that_its_last_session_left_is_empty_and_one_that_never_was_is_not_made() {
    let mut stored = from_nothing(&[plain(1, 1, won(100, Some(1_000)))]);
    let touched = BTreeSet::from([
        (Period::of_day(day()), Uuid::from_u128(1)),
        (Period::of_day(day()), Uuid::from_u128(2)),
    ]);
    let news = recompute(CASINO, &touched, &[], &stored, DateTime::UNIX_EPOCH);
    assert_eq!(news.len(), 3, "the table, its pit and the casino");
    assert!(
        news.iter()
            .all(|row| row.version == 2 && row.sessions == 0 && row.drop_total_cents.is_none())
    );
    store(&mut stored, news);
    let periods = BTreeSet::from([Period::of_day(day())]);
    assert_eq!(verify(CASINO, &periods, &[], &stored, &BTreeSet::new()), (3, vec![]));
}

#[test]
fn a_figure_nobody_computed_is_found_and_what_is_pending_is_not_held_against_anyone() {
    let shares = [plain(1, 1, won(100, Some(1_000))), plain(2, 2, won(200, Some(1_000)))];
    let mut stored = from_nothing(&shares);
    let forged = stored.iter_mut().find(|row| row.table_id == Some(Uuid::from_u128(2))).unwrap();
    forged.drop_total_cents = Some(7);
    let periods = BTreeSet::from([Period::of_day(day())]);
    let (compared, differences) = verify(CASINO, &periods, &shares, &stored, &BTreeSet::new());
    assert_eq!(compared, 4);
    let expected = Difference {
        cell: format!("table:gaming_day:2026-03-06:{}", Uuid::from_u128(2)),
        expected: json!({ "drop_total_cents": 1_000 }),
        found: json!({ "drop_total_cents": 7 }),
    };
    assert_eq!(differences, [expected]);
    let pending = BTreeSet::from([(Period::of_day(day()), Uuid::from_u128(2))]);
    assert_eq!(verify(CASINO, &periods, &shares, &stored, &pending), (1, vec![]));
    let nowhere = Rollup {
        cell_key: "casino:gaming_day:1999-01-01".to_owned(),
        ..casino(&stored).clone()
    };
    assert_eq!(
        verify(CASINO, &periods, &shares, &[nowhere], &BTreeSet::new()).1.len(),
        5,
        "and so is one of nowhere"
    );
    stored.clear();
    assert_eq!(
        verify(CASINO, &periods, &shares, &stored, &BTreeSet::new()).1.len(),
        4,
        "absent cells are differences"
    );
}
