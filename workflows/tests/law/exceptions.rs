//! Exceptions: who judges them, and what they hold back (domain §9).

use serde_json::json;
use workflows::refusal::Refusal;
use workflows::word::{Category, ExceptionStatus, MetricGrade, ReasonCode, SlipKind, SnapshotKind, Status, SubjectKind};

use crate::casino::House;
use crate::casino::play::{agreed, tray};
use crate::drops::{conflict, invalid};
use crate::slips::{forbidden, segregated};

#[test]
fn an_opener_off_its_predecessor_s_closer_raises_one_variance_by_the_sum_of_differences() {
    let mut house = House::new();
    house.casino.opening_tolerance_cents = 400;
    let first = house.playing(100_000);
    assert!(
        house.exceptions(first).is_empty(),
        "the first session has nothing to be compared with"
    );
    house.drop_now(first, "BJ-01-A", Some("BJ-01-B"));
    house.close(first, 100_000);
    let second = house.opening("BJ-01", "BJ-01-B");
    let opener = crate::casino::raw(&[("100", 995), ("500", 1)]);
    let id = house
        .count_tray("pit-1", second, &tray(SnapshotKind::Open, opener), Some("dealer-1"))
        .unwrap();
    let row = house.store.snapshots.iter().find(|row| row.id == id).expect("a snapshot");
    assert_eq!((row.expected_total_cents, row.discrepancy_cents), (Some(100_000), Some(0)));
    let raised = house.exception(second, Category::OpeningVariance);
    assert_eq!(
        (raised.expected.clone(), raised.found.clone()),
        (Some(json!(100_000)), Some(json!(100_000))),
        "both figures kept"
    );
    assert_eq!(
        raised.detail["distance_cents"],
        json!(1_000),
        "two wrong denominations do not cancel out"
    );
    assert_eq!(house.status(second), Status::Open, "a variance does not block play");
}

#[test]
fn an_opener_within_tolerance_or_without_a_closer_before_it_raises_nothing() {
    let mut house = House::new();
    house.casino.opening_tolerance_cents = 400;
    let first = house.playing(100_000);
    house.drop_now(first, "BJ-01-A", Some("BJ-01-B"));
    house.close(first, 100_000);
    let second = house.open("BJ-01", "BJ-01-B", 100_400);
    assert!(house.exceptions(second).is_empty(), "|variance| > tolerance");
    house.drop_now(second, "BJ-01-B", Some("BJ-01-C"));
    house.force_close("pit-1", second, "fire alarm").unwrap();
    let third = house.open("BJ-01", "BJ-01-C", 1_000);
    assert!(
        house.exceptions(third).is_empty(),
        "a predecessor without a closer gives no comparison"
    );
    let opener = house.store.snapshots.iter().find(|row| row.session_id == third).expect("an opener");
    assert_eq!((opener.expected_total_cents, opener.discrepancy_cents), (None, None));
}

#[test]
fn hold_deviation_is_off_until_the_casino_sets_a_band() {
    let mut house = House::new();
    let session = house.reconciled(100_000, 10_000, 100_000);
    assert!(house.exceptions(session).is_empty());
    let mut banded = House::new();
    (banded.casino.hold_band_low_bp, banded.casino.hold_band_high_bp) = (Some(0), Some(9_999));
    let session = banded.reconciled(100_000, 10_000, 100_000);
    assert_eq!(banded.exception(session, Category::HoldDeviation).found, Some(json!(10_000)));
    let mut half = House::new();
    half.casino.hold_band_low_bp = Some(20_000);
    let session = half.reconciled(100_000, 10_000, 100_000);
    assert!(half.exceptions(session).is_empty(), "both ends");
}

#[test]
fn an_unresolved_exception_blocks_finalization_and_grade() {
    let mut house = House::new();
    let session = house.reconciled(100_000, 10_000, 100_000);
    assert_eq!(house.report(session).metric_grade, MetricGrade::Authoritative);
    let exception = house.raise("team-4", session, "the tray lid was open").unwrap();
    assert_eq!(house.report(session).metric_grade, MetricGrade::Estimate);
    house.acknowledge("comp-1", exception).unwrap();
    assert!(matches!(
        house.go("comp-2", session, Status::Finalized),
        Err(Refusal::GatesUnmet(_))
    ));
    house
        .resolve_as(
            "comp-1",
            exception,
            ReasonCode::ReferredToInvestigation,
            "to the investigators",
            false,
        )
        .unwrap();
    assert_eq!(
        house.exceptions(session)[0].status,
        ExceptionStatus::Acknowledged,
        "referred stays unresolved"
    );
    assert!(matches!(
        house.go("comp-2", session, Status::Finalized),
        Err(Refusal::GatesUnmet(_))
    ));
    house.resolve("comp-1", exception).unwrap();
    assert_eq!(house.report(session).metric_grade, MetricGrade::Authoritative);
    house.go("comp-2", session, Status::Finalized).unwrap();
}

#[test]
fn a_referral_of_an_open_exception_acknowledges_it_and_is_never_a_waiver() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let exception = house.raise("pit-1", session, "a stranger at the tray").unwrap();
    invalid(
        house.resolve_as("comp-1", exception, ReasonCode::ReferredToInvestigation, "to them", true),
        "/waive",
    );
    house
        .resolve_as("comp-1", exception, ReasonCode::ReferredToInvestigation, "to them", false)
        .unwrap();
    let row = house.exceptions(session)[0];
    assert_eq!(
        (row.status, row.reason_code),
        (ExceptionStatus::Acknowledged, Some(ReasonCode::ReferredToInvestigation))
    );
    assert_eq!((row.resolved_at, row.owner), (None, Some(house.id_of("comp-1"))));
}

#[test]
fn telemetry_variance_is_informational_and_never_blocks() {
    let mut house = House::new();
    let session = house.reconciled(100_000, 10_000, 100_000);
    house
        .store
        .waive(session, Category::TelemetryVariance, SubjectKind::Session, session, house.at);
    let row = house.store.exceptions.last_mut().expect("the row");
    (row.status, row.reason_code, row.resolution_note, row.resolved_at) = (ExceptionStatus::Open, None, None, None);
    let noted = house.raise("pit-1", session, "so that the report is computed again").unwrap();
    house.resolve("comp-1", noted).unwrap();
    house.go("comp-1", session, Status::Finalized).expect("informational");
}

#[test]
fn an_exception_is_judged_once_by_compliance_with_a_narrative() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let exception = house.raise("pit-1", session, "odd").unwrap();
    invalid(house.raise("pit-1", session, "  "), "/detail");
    forbidden(house.resolve("pit-2", exception));
    forbidden(house.acknowledge("sec-1", exception));
    invalid(
        house.resolve_as("comp-1", exception, ReasonCode::SystemError, " \n ", false),
        "/resolution_note",
    );
    house.acknowledge("comp-1", exception).unwrap();
    assert!(house.acknowledge("comp-1", exception).is_err(), "acknowledged once");
    house
        .resolve_as("comp-1", exception, ReasonCode::AcceptedVariance, "it is nothing", true)
        .unwrap();
    assert_eq!(house.exceptions(session)[0].status, ExceptionStatus::Waived);
    conflict(house.resolve("comp-1", exception), "already_resolved");
    conflict(house.acknowledge("comp-1", exception), "already_resolved");
}

#[test]
fn nobody_judges_what_they_signed() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let own = house.raise("comp-1", session, "I saw it myself").unwrap();
    segregated(house.resolve("comp-1", own), "resolver_is_independent", house.id_of("comp-1"));
    let given = house.removal("BJ-01-A", Some("BJ-01-B"));
    let drop = house.remove_as("admin-1", session, &given, "pit-1").unwrap();
    let unscheduled = house.exception(session, Category::DropOutOfSchedule).id;
    segregated(
        house.resolve("admin-1", unscheduled),
        "resolver_is_independent",
        house.id_of("admin-1"),
    );
    house.bring(drop);
    let team = vec![house.id_of("team-1"), house.id_of("team-2"), house.id_of("comp-2")];
    let mut count = workflows::count::Count {
        team,
        ..agreed(&house, 1_000)
    };
    (count.count_2_cents, count.agreed_cents) = (900, Some(1_000));
    count.documents = vec![crate::casino::play::paper(workflows::word::DocumentKind::FillSlip, Some("77"), 1)];
    house.submit("team-1", drop, &count).unwrap();
    let variance = house.exception(session, Category::CountVariance).id;
    segregated(house.resolve("comp-2", variance), "resolver_is_independent", house.id_of("comp-2"));
    let stray = house.exception(session, Category::UnexpectedSlip).id;
    segregated(house.resolve("comp-2", stray), "resolver_is_independent", house.id_of("comp-2"));
    house.resolve("comp-1", variance).unwrap();
}

#[test]
fn who_signed_the_opener_or_the_closer_does_not_judge_their_variance() {
    let mut house = House::imprest(100_000);
    let first = house.playing(100_000);
    house.drop_now(first, "BJ-01-A", Some("BJ-01-B"));
    house.go("pit-1", first, Status::Closing).unwrap();
    house
        .count_tray(
            "admin-1",
            first,
            &tray(SnapshotKind::Close, crate::casino::chips(90_000)),
            Some("dealer-1"),
        )
        .unwrap();
    let par = house.exception(first, Category::ParVariance).id;
    segregated(house.resolve("admin-1", par), "resolver_is_independent", house.id_of("admin-1"));
    let second = house.opening("BJ-01", "BJ-01-B");
    house
        .count_tray(
            "pit-1",
            second,
            &tray(SnapshotKind::Open, crate::casino::chips(80_000)),
            Some("admin-2"),
        )
        .unwrap();
    let opening = house.exception(second, Category::OpeningVariance).id;
    segregated(house.resolve("admin-2", opening), "resolver_is_independent", house.id_of("admin-2"));
    house.resolve("admin-1", opening).unwrap();
}

#[test]
fn the_forcer_does_not_judge_the_missing_closer() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.force_close("admin-1", session, "evacuated").unwrap();
    let missing = house.exception(session, Category::MissingClosingSnapshot).id;
    segregated(house.resolve("admin-1", missing), "resolver_is_independent", house.id_of("admin-1"));
    house.resolve("admin-2", missing).unwrap();
}

#[test]
fn a_slip_s_signer_does_not_judge_its_mismatch() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.request("admin-1", session, &House::ask(SlipKind::Fill, 1_000)).unwrap();
    house.issue("cash-1", slip, "sec-1").unwrap();
    house
        .verify_slip("pit-1", slip, "dealer-1", Some(crate::casino::chips(900)))
        .unwrap();
    let mismatch = house.exception(session, Category::SlipAmountMismatch).id;
    segregated(
        house.resolve("admin-1", mismatch),
        "resolver_is_independent",
        house.id_of("admin-1"),
    );
    house.resolve("comp-1", mismatch).unwrap();
    assert_eq!(
        house.exceptions(session).len(),
        1,
        "resolved, it is not raised again by looking again"
    );
}

#[test]
fn what_was_judged_and_what_was_not_are_told_apart_on_one_slip() {
    // The table counted less than the slip says; the count room finds a paper with yet another amount.
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.issued(session, SlipKind::Fill, 3_000);
    house
        .verify_slip("pit-1", slip, "dealer-1", Some(crate::casino::chips(2_900)))
        .unwrap();
    house.deposit("pit-1", slip).unwrap();
    let at_table = house.exception(session, Category::SlipAmountMismatch).id;
    house.resolve("comp-1", at_table).unwrap();
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.bring(drop);
    let mut count = agreed(&house, 0);
    count.documents = house.papers_in(drop);
    count.documents[0].amount_cents = 3_000;
    house.submit("team-1", drop, &count).unwrap();
    let rows = house.exceptions(session);
    assert_eq!(rows.len(), 2, "a new finding is a new row");
    assert_eq!(
        (rows[1].expected.clone(), rows[1].found.clone()),
        (Some(json!(2_900)), Some(json!(3_000)))
    );
}
