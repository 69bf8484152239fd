//! Soft counts and what the box really held (domain §8).

use serde_json::json;
use uuid::Uuid;
use workflows::count::Count;
use workflows::record::{Document, Exception, ManifestItem};
use workflows::refusal::Refusal;
use workflows::word::MatchOutcome::{AmountMismatch, Duplicate, Matched, Missing, Unexpected, VoidPresent, WrongTable};
use workflows::word::{Category, CountStanding, DocumentKind, MatchOutcome, MetricGrade, SlipKind, SnapshotKind, Status, SubjectKind};

use crate::casino::play::{agreed, paper};
use crate::casino::{House, raw};
use crate::drops::{conflict, invalid};
use crate::slips::segregated;

/// A played session whose first box waits, received, in the count room.
fn received(house: &mut House) -> (Uuid, Uuid) {
    let session = house.playing(100_000);
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.bring(drop);
    (session, drop)
}

fn disputed(house: &House, one: i64, two: i64) -> Count {
    Count {
        count_1_cents: one,
        count_2_cents: two,
        ..agreed(house, one)
    }
}

#[test]
fn two_counts_that_differ_wait_for_a_recount_and_raise_count_variance() {
    let mut house = House::new();
    let (session, drop) = received(&mut house);
    let first = house.submit("team-1", drop, &disputed(&house, 10_000, 9_000)).unwrap();
    assert_eq!(house.soft_count(first).standing, CountStanding::Disputed);
    assert_eq!(house.status(session), Status::Dropped, "the session waits");
    assert_eq!(
        house.case(session).dossier().drop_total_cents(),
        None,
        "a disputed total is no total"
    );
    let raised = house.exception(session, Category::CountVariance).clone();
    assert_eq!(
        (raised.expected, raised.found, raised.variance_cents),
        (Some(json!(10_000)), Some(json!(9_000)), Some(-1_000))
    );
    conflict(house.submit("team-1", drop, &agreed(&house, 10_000)), "already_counted");
    let recount = Count {
        supersedes_id: Some(first),
        ..agreed(&house, 10_000)
    };
    house.submit("team-1", drop, &recount).unwrap();
    assert_eq!(house.status(session), Status::Counted);
    let kept = house.exception(session, Category::CountVariance);
    assert!(
        kept.status.is_unresolved() && kept.no_longer_observed_at.is_some(),
        "no longer observed, not resolved"
    );
}

#[test]
fn a_third_agreed_count_accepts_what_two_disputed_and_the_variance_is_raised_all_the_same() {
    let mut house = House::new();
    let (session, drop) = received(&mut house);
    invalid(
        house.submit(
            "team-1",
            drop,
            &Count {
                agreed_cents: Some(9_500),
                ..disputed(&house, 10_000, 9_000)
            },
        ),
        "/agreed_cents",
    );
    let given = Count {
        agreed_cents: Some(9_500),
        count_1_cents: 10_000,
        count_2_cents: 9_000,
        ..agreed(&house, 9_500)
    };
    house.submit("team-1", drop, &given).unwrap();
    assert_eq!(house.status(session), Status::Counted);
    house.exception(session, Category::CountVariance);
}

#[test]
fn a_recount_names_the_count_that_stands() {
    let mut house = House::new();
    let (_, drop) = received(&mut house);
    let by_name = |house: &House, id| Count {
        supersedes_id: Some(id),
        ..agreed(house, 0)
    };
    invalid(
        house.submit("team-1", drop, &by_name(&house, crate::casino::new_id())),
        "/supersedes_id",
    );
    let first = house.submit("team-1", drop, &agreed(&house, 0)).unwrap();
    let second = house.submit("team-1", drop, &by_name(&house, first)).unwrap();
    invalid(house.submit("team-1", drop, &by_name(&house, first)), "/supersedes_id");
    house.submit("team-1", drop, &by_name(&house, second)).unwrap();
}

#[test]
fn from_counted_on_a_recount_must_be_accepted() {
    let mut house = House::new();
    let (session, drop) = received(&mut house);
    let first = house.submit("team-1", drop, &agreed(&house, 10_000)).unwrap();
    let recount = Count {
        supersedes_id: Some(first),
        ..disputed(&house, 10_000, 9_000)
    };
    invalid(house.submit("team-1", drop, &recount), "/agreed_cents");
    house.close(session, 100_000);
    invalid(house.submit("team-1", drop, &recount), "/agreed_cents");
    house.wait(1);
    let before = house.report(session).clone();
    house
        .submit(
            "team-1",
            drop,
            &Count {
                supersedes_id: Some(first),
                ..agreed(&house, 11_000)
            },
        )
        .unwrap();
    let after = house.report(session);
    assert_eq!(
        (after.id, after.win_loss_stat_cents),
        (before.id, Some(11_000)),
        "in RECONCILED the report is computed again"
    );
    assert_eq!(house.status(session), Status::Reconciled);
}

#[test]
fn a_first_count_of_a_box_removed_late_may_be_disputed() {
    let mut house = House::new();
    let session = house.reconciled(100_000, 10_000, 100_000);
    let late = house.remove(session, "BJ-01-B", None).unwrap();
    assert_eq!(
        (house.status(session), house.report(session).win_loss_stat_cents),
        (Status::Reconciled, None)
    );
    house.bring(late);
    house
        .submit("team-1", late, &disputed(&house, 500, 400))
        .expect("only a superseding result must be accepted");
    house.exception(session, Category::CountVariance);
    assert_eq!(house.report(session).metric_grade, MetricGrade::Estimate);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of flaws, one a row")]
fn the_figures_of_a_count_hold_together() {
    let mut house = House::new();
    let (session, drop) = received(&mut house);
    let good = agreed(&house, 10_000);
    let marker = |amount| paper(DocumentKind::Marker, Some("M-1"), amount);
    let bad: Vec<(&str, Count)> = vec![
        (
            "/drop_total_cents",
            Count {
                currency: raw(&[("100", 99)]),
                ..good.clone()
            },
        ),
        (
            "/drop_total_cents",
            Count {
                documents: vec![marker(100)],
                ..good.clone()
            },
        ),
        (
            "/drop_total_cents",
            Count {
                count_1_cents: 9_000,
                count_2_cents: 9_000,
                ..good.clone()
            },
        ),
        (
            "/drop_total_cents",
            Count {
                drop_total_cents: -1,
                ..good.clone()
            },
        ),
        (
            "/count_1_cents",
            Count {
                count_1_cents: -1,
                ..good.clone()
            },
        ),
        (
            "/agreed_cents",
            Count {
                agreed_cents: Some(9_000),
                ..good.clone()
            },
        ),
        (
            "/evidence_manifest/currency/100",
            Count {
                currency: raw(&[("100", -1)]),
                ..good.clone()
            },
        ),
        (
            "/evidence_manifest/currency/0",
            Count {
                currency: raw(&[("0", 1)]),
                ..good.clone()
            },
        ),
        (
            "/evidence_manifest/currency/ten",
            Count {
                currency: raw(&[("ten", 1)]),
                ..good.clone()
            },
        ),
        (
            "/evidence_manifest/documents/0/number",
            Count {
                documents: vec![paper(DocumentKind::FillSlip, None, 1)],
                ..good.clone()
            },
        ),
        (
            "/evidence_manifest/documents/0/amount_cents",
            Count {
                documents: vec![marker(-1)],
                ..good.clone()
            },
        ),
        (
            "/team",
            Count {
                team: vec![house.id_of("team-1"), house.id_of("team-2")],
                ..good.clone()
            },
        ),
        (
            "/team",
            Count {
                team: ["team-1", "team-2", "team-2"].map(|one| house.id_of(one)).to_vec(),
                ..good.clone()
            },
        ),
    ];
    for (pointer, given) in bad {
        invalid(house.submit("team-1", drop, &given), pointer);
    }
    let notes = Count {
        currency: raw(&[("7", 1_000), ("3000", 1)]),
        documents: vec![marker(2_000)],
        ..agreed(&house, 12_000)
    };
    house
        .submit("team-1", drop, &notes)
        .expect("any positive notes, and a marker is value");
    assert_eq!(house.status(session), Status::Counted);
    assert!(house.exceptions(session).is_empty());
}

#[test]
fn nobody_counts_what_they_signed() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house
        .count_tray(
            "pit-2",
            session,
            &crate::casino::play::tray(SnapshotKind::Rundown, raw(&[])),
            Some("dealer-2"),
        )
        .unwrap();
    house.deposited(session, SlipKind::Fill, 1_000);
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.bring(drop);
    let papers = house.papers_in(drop);
    for party in ["pit-1", "pit-2", "dealer-1", "dealer-2", "cash-1", "sec-1"] {
        let team = ["team-1", "team-2", party].map(|one| house.id_of(one)).to_vec();
        let given = Count {
            team,
            documents: papers.clone(),
            ..agreed(&house, 0)
        };
        segregated(house.submit("team-1", drop, &given), "counter_is_independent", house.id_of(party));
    }
    let stranger = Count {
        team: vec![house.id_of("team-1"), house.id_of("team-2"), crate::casino::new_id()],
        ..agreed(&house, 0)
    };
    assert!(matches!(house.submit("team-1", drop, &stranger), Err(Refusal::NotFound(_))));
    crate::slips::forbidden(house.submit("sec-2", drop, &agreed(&house, 0)));
    let daemon = Count {
        team: ["team-1", "team-2", "system"].map(|one| house.id_of(one)).to_vec(),
        ..agreed(&house, 0)
    };
    assert!(house.submit("team-1", drop, &daemon).is_err(), "the daemon is nobody who counts");
    let receivers = Count {
        documents: papers,
        ..agreed(&house, 0)
    };
    house.submit("team-1", drop, &receivers).expect("who received the box may count it");
}

#[test]
fn an_admin_who_signed_cannot_submit_the_count() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let given = house.removal("BJ-01-A", Some("BJ-01-B"));
    let drop = house.remove_as("sec-1", session, &given, "admin-1").unwrap();
    house.bring(drop);
    segregated(
        house.submit("admin-1", drop, &agreed(&house, 0)),
        "counter_is_independent",
        house.id_of("admin-1"),
    );
    house.submit("admin-2", drop, &agreed(&house, 0)).unwrap();
}

/// The line of the manifest about this number.
fn line(items: &[ManifestItem], kind: DocumentKind, number: &str) -> Vec<Option<MatchOutcome>> {
    items
        .iter()
        .filter(|item| item.kind == kind && item.number.as_deref() == Some(number))
        .map(|item| item.outcome)
        .collect()
}

fn number(house: &House, slip: Uuid) -> String {
    house.slip(slip).slip_no.expect("numbered").to_string()
}

fn fill_paper(house: &House, slip: Uuid) -> Document {
    paper(DocumentKind::FillSlip, Some(&number(house, slip)), house.slip(slip).counted_cents())
}

#[test]
fn all_seven_outcomes_of_a_manifest_raise_what_they_deserve() {
    let mut house = House::new();
    let neighbour = house.open("RL-01", "RL-01-A", 1_000);
    let theirs = house.deposited(neighbour, SlipKind::Fill, 700);
    let session = house.playing(100_000);
    let [right, lost, wrong, twice] = [100, 200, 300, 400].map(|cents| house.deposited(session, SlipKind::Fill, cents));
    let voided = house.issued(session, SlipKind::Fill, 500);
    house.void("cash-1", voided, "wrong amount", "sec-2").unwrap();
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.bring(drop);
    let expected = workflows::manifest::expected(house.case(session).dossier(), house.drop_event(drop));
    assert_eq!(expected.len(), 5, "four slips and the opener; the void is never expected");
    assert!(expected.iter().all(|item| item.outcome.is_none()));
    let documents = vec![
        fill_paper(&house, right),
        Document {
            amount_cents: 299,
            ..fill_paper(&house, wrong)
        },
        fill_paper(&house, twice),
        fill_paper(&house, twice),
        fill_paper(&house, voided),
        fill_paper(&house, theirs),
        paper(DocumentKind::CreditSlip, Some("7777"), 50),
        paper(DocumentKind::Opener, None, 100_000),
        paper(DocumentKind::FillRequest, Some("R-1"), 100),
        paper(DocumentKind::Other, None, 0),
    ];
    let count = house
        .submit(
            "team-1",
            drop,
            &Count {
                documents,
                ..agreed(&house, 0)
            },
        )
        .unwrap();
    let items = &house.soft_count(count).manifest;
    let of = |slip| line(items, DocumentKind::FillSlip, &number(&house, slip));
    assert_eq!(
        [of(right), of(lost), of(wrong)],
        [[Some(Matched)], [Some(Missing)], [Some(AmountMismatch)]]
    );
    assert_eq!(of(twice), [Some(Matched), Some(Duplicate)]);
    assert_eq!([of(voided), of(theirs)], [[Some(VoidPresent)], [Some(WrongTable)]]);
    assert_eq!(line(items, DocumentKind::CreditSlip, "7777"), [Some(Unexpected)]);
    let opener = items.iter().find(|item| item.kind == DocumentKind::Opener).expect("shown");
    assert_eq!(opener.outcome, Some(Matched));
    let mut found: Vec<(Category, String)> = house
        .exceptions(session)
        .iter()
        .map(|row| (row.category, row.subject_id.clone()))
        .collect();
    found.sort();
    let mut deserved = vec![
        (Category::MissingSlip, lost.to_string()),
        (Category::SlipAmountMismatch, wrong.to_string()),
        (Category::DuplicateSlipNo, twice.to_string()),
        (Category::VoidMisuse, voided.to_string()),
        (Category::UnexpectedSlip, format!("{drop}:credit_slip:7777")),
    ];
    deserved.sort();
    assert_eq!(found, deserved, "only slips raise exceptions");
    let foreign = house.exception(neighbour, Category::UnexpectedSlip);
    assert_eq!(
        (foreign.subject_kind, foreign.subject_id.clone()),
        (SubjectKind::Slip, theirs.to_string()),
        "on the slip's own session"
    );
}

#[test]
fn an_amount_in_the_box_is_compared_with_the_confirmed_amount() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.issued(session, SlipKind::Fill, 3_000);
    house.verify_slip("pit-1", slip, "dealer-1", Some(raw(&[("100", 29)]))).unwrap();
    house.deposit("pit-1", slip).unwrap();
    let mismatch = house.exception(session, Category::SlipAmountMismatch).id;
    house.resolve("comp-1", mismatch).unwrap();
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.bring(drop);
    let documents = vec![fill_paper(&house, slip)];
    assert_eq!(documents[0].amount_cents, 2_900);
    house
        .submit(
            "team-1",
            drop,
            &Count {
                documents,
                ..agreed(&house, 0)
            },
        )
        .unwrap();
    assert_eq!(house.exceptions(session).len(), 1, "the box agrees with the table: nothing new");
}

#[test]
fn the_opener_is_expected_in_the_first_box_and_the_closer_only_when_verified_before() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let first = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.wait(1);
    house.close(session, 100_000);
    house.wait(1);
    let second = house.remove(session, "BJ-01-B", None).unwrap();
    let kinds = |drop| {
        let items = workflows::manifest::expected(house.case(session).dossier(), house.drop_event(drop));
        items.into_iter().map(|item| item.kind).collect::<Vec<_>>()
    };
    assert_eq!(
        (kinds(first), kinds(second)),
        (vec![DocumentKind::Opener], vec![DocumentKind::Closer])
    );
}

#[test]
fn two_slips_of_one_number_from_two_gaming_days_are_two_papers() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let [today, tomorrow] = [100, 200].map(|cents| house.deposited(session, SlipKind::Fill, cents));
    for slip in &mut house.store.slips {
        slip.slip_no = Some(1);
        if slip.id == tomorrow {
            slip.scope_key = Some("2026-03-07".to_owned());
        }
    }
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.bring(drop);
    let documents = vec![fill_paper(&house, tomorrow), fill_paper(&house, today)];
    house
        .submit(
            "team-1",
            drop,
            &Count {
                documents,
                ..agreed(&house, 0)
            },
        )
        .unwrap();
    assert!(
        house.exceptions(session).is_empty(),
        "a number is matched by kind and scope: {:?}",
        house.categories(session)
    );
}

#[test]
fn a_stray_number_is_the_slip_of_its_own_scope() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let old = house.issued(session, SlipKind::Fill, 900);
    house.void("cash-1", old, "yesterday's", "sec-2").unwrap();
    let current = house.issued(session, SlipKind::Fill, 100);
    let drop_day = "2026-03-06";
    for slip in &mut house.store.slips {
        slip.slip_no = Some(5);
        slip.scope_key = Some(if slip.id == old { "2026-03-05" } else { drop_day }.to_owned());
    }
    house.cancel_schedule_and_drop(session);
    let drop = house.store.drops[0].id;
    house.bring(drop);
    let documents = vec![fill_paper(&house, current)];
    let count = house
        .submit(
            "team-1",
            drop,
            &Count {
                documents,
                ..agreed(&house, 0)
            },
        )
        .unwrap();
    let found = house
        .soft_count(count)
        .manifest
        .iter()
        .find(|item| item.kind == DocumentKind::FillSlip)
        .expect("shown")
        .clone();
    assert_eq!(
        (found.slip_id, found.outcome),
        (Some(current), Some(Unexpected)),
        "not the void of the day before"
    );
}

impl House {
    /// Removes the first box while a slip is still on its way.
    fn cancel_schedule_and_drop(&mut self, session: Uuid) {
        self.schedule("pit-1", session, None).unwrap();
        self.remove(session, "BJ-01-A", Some("BJ-01-B")).unwrap();
    }
}

#[test]
fn a_finding_equal_to_a_resolved_one_is_not_raised_again_and_a_different_one_is() {
    let mut house = House::new();
    let (session, drop) = received(&mut house);
    let variance = |one, two, total, over: Option<Uuid>, house: &House| Count {
        count_1_cents: one,
        count_2_cents: two,
        agreed_cents: Some(total),
        supersedes_id: over,
        ..agreed(house, total)
    };
    let first = house.submit("team-1", drop, &variance(1_000, 900, 1_000, None, &house)).unwrap();
    let judged = house.exception(session, Category::CountVariance).id;
    house.resolve("comp-1", judged).unwrap();
    let second = house
        .submit("team-1", drop, &variance(1_000, 900, 900, Some(first), &house))
        .unwrap();
    assert_eq!(house.exceptions(session).len(), 1, "the same two counts were judged");
    let third = house
        .submit("team-1", drop, &variance(1_000, 800, 900, Some(second), &house))
        .unwrap();
    let rows = rows(&house, session);
    assert_eq!(
        (rows.len(), rows[1].found.clone()),
        (2, Some(json!(800))),
        "a new finding is a new row"
    );
    house
        .submit("team-1", drop, &variance(1_000, 900, 900, Some(third), &house))
        .unwrap();
    let rows = self::rows(&house, session);
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1].found, Some(json!(800)), "the open row keeps its finding");
    assert!(
        rows[1].no_longer_observed_at.is_some(),
        "what was judged is not laid on the open row again"
    );
}

fn rows(house: &House, session: Uuid) -> Vec<Exception> {
    house.exceptions(session).into_iter().cloned().collect()
}

#[test]
fn a_recount_that_finds_no_stray_any_more_says_so_on_the_stray_s_session() {
    let mut house = House::new();
    let neighbour = house.open("RL-01", "RL-01-A", 1_000);
    let theirs = house.deposited(neighbour, SlipKind::Fill, 700);
    let (_, drop) = received(&mut house);
    let stray = Count {
        documents: vec![fill_paper(&house, theirs)],
        ..agreed(&house, 0)
    };
    let first = house.submit("team-1", drop, &stray).unwrap();
    house.exception(neighbour, Category::UnexpectedSlip);
    house
        .submit(
            "team-1",
            drop,
            &Count {
                supersedes_id: Some(first),
                ..agreed(&house, 0)
            },
        )
        .unwrap();
    assert!(house.exception(neighbour, Category::UnexpectedSlip).no_longer_observed_at.is_some());
}
