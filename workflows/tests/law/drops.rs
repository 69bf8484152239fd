//! The box: schedules, removals, custody (domain §4, §7).

use chrono::TimeDelta;
use workflows::custody::Removal;
use workflows::refusal::Refusal;
use workflows::word::{Category, Custody, MetricGrade, SlipKind, SnapshotKind, Status, SubjectKind};

use crate::casino::House;
use crate::casino::play::agreed;

#[test]
fn an_unscheduled_removal_schedules_itself_and_is_out_of_schedule() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.wait(30);
    let drop = house.remove(session, "BJ-01-A", Some("BJ-01-B")).unwrap();
    assert_eq!(house.edges_taken(), ["OPEN -> DROP_SCHEDULED", "DROP_SCHEDULED -> DROPPED"]);
    assert!(house.taken.iter().all(|taken| taken.trigger == workflows::word::Trigger::Auto));
    let raised = house.exception(session, Category::DropOutOfSchedule);
    assert_eq!(
        (raised.subject_kind, raised.subject_id.clone()),
        (SubjectKind::Drop, drop.to_string())
    );
    assert_eq!(raised.detected_by, None);
    assert_eq!(house.session(session).drop_scheduled_for, None, "the schedule is spent");
    assert_eq!(house.session(session).drop_box_id, Some(house.drop_box("BJ-01-B").id));
}

#[test]
fn an_unscheduled_removal_with_a_slip_in_flight_waits_in_drop_scheduled() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.verified(session, SlipKind::Fill, 1_000);
    house.remove(session, "BJ-01-A", Some("BJ-01-B")).unwrap();
    assert_eq!(house.status(session), Status::DropScheduled);
    assert_eq!(
        house.session(session).drop_scheduled_for,
        Some(house.at),
        "planned for when it went"
    );
    house.deposit("pit-1", slip).unwrap();
    assert_eq!(house.edges_taken(), ["DROP_SCHEDULED -> DROPPED"]);
    assert_eq!(
        house.slip(slip).drop_box_id,
        Some(house.drop_box("BJ-01-B").id),
        "the copy lies in the replacement"
    );
}

#[test]
fn an_emergency_box_goes_without_a_schedule() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let given = Removal {
        emergency: true,
        ..house.removal("EM-1", None)
    };
    let drop = house.remove_as("sec-1", session, &given, "pit-1").unwrap();
    assert_eq!(house.status(session), Status::Dropped);
    assert!(house.exceptions(session).is_empty());
    assert_eq!(
        house.session(session).drop_box_id,
        Some(house.drop_box("BJ-01-A").id),
        "the standing box stays"
    );
    house.bring_and_count(drop, 5_000);
    assert_eq!(house.status(session), Status::Counted);
}

#[test]
fn an_emergency_box_may_serve_a_table_as_its_box() {
    let mut house = House::new();
    let session = house.open("BJ-01", "EM-1", 100_000);
    house.wait(200);
    let drop = house.remove(session, "EM-1", Some("BJ-01-A")).unwrap();
    assert!(house.drop_event(drop).emergency);
    assert!(house.exceptions(session).is_empty());
}

#[test]
fn a_schedule_is_kept_within_the_window_and_broken_beyond_it() {
    for (minutes, raised) in [(-30, false), (30, false), (31, true), (-31, true)] {
        let mut house = House::new();
        let session = house.playing(100_000);
        house.wait(60);
        let planned = house.at;
        house.schedule("pit-1", session, Some(planned)).unwrap();
        house.wait(40);
        let given = Removal {
            removed_at: Some(planned + TimeDelta::minutes(minutes)),
            ..house.removal("BJ-01-A", Some("BJ-01-B"))
        };
        house.remove_as("sec-1", session, &given, "pit-1").unwrap();
        assert_eq!(
            house.categories(session) == [Category::DropOutOfSchedule],
            raised,
            "{minutes} minutes off"
        );
    }
}

#[test]
fn a_box_that_goes_with_the_close_needs_no_schedule() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.go("pit-1", session, Status::Closing).unwrap();
    house.remove(session, "BJ-01-A", None).unwrap();
    assert_eq!(
        house.status(session),
        Status::Closing,
        "a fact in CLOSING moves only what the auto edges move"
    );
    house.tray(session, SnapshotKind::Close, 100_000).unwrap();
    assert_eq!(house.status(session), Status::Closed);
    assert!(house.exceptions(session).is_empty());
    assert_eq!(house.session(session).drop_box_id, None);
}

#[test]
fn a_schedule_made_before_closing_still_binds_the_box() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.schedule("pit-1", session, None).unwrap();
    house.close(session, 100_000);
    house.wait(31);
    house.remove(session, "BJ-01-A", None).unwrap();
    assert_eq!(house.categories(session), [Category::DropOutOfSchedule]);
}

#[test]
fn a_schedule_is_spent_by_its_removal_and_the_next_box_goes_with_the_close() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.verified(session, SlipKind::Fill, 1_000);
    house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    assert_eq!(house.status(session), Status::DropScheduled, "the slip is not deposited");
    house.go("pit-1", session, Status::Closing).unwrap();
    house.deposit("pit-1", slip).unwrap();
    house.wait(120);
    house.tray(session, SnapshotKind::Close, 101_000).unwrap();
    house.remove(session, "BJ-01-B", None).unwrap();
    assert!(
        house.exceptions(session).is_empty(),
        "nobody scheduled the second removal: {:?}",
        house.categories(session)
    );
}

#[test]
fn a_schedule_is_taken_back_to_where_it_came_from() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.schedule("pit-1", session, None).unwrap();
    assert_eq!(house.session(session).scheduled_from, Some(Status::Open));
    house.go("pit-2", session, Status::Open).unwrap();
    assert_eq!(
        (house.status(session), house.session(session).drop_scheduled_for),
        (Status::Open, None)
    );
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.schedule("pit-1", session, None).unwrap();
    assert_eq!(house.session(session).scheduled_from, Some(Status::Dropped));
    house.go("pit-1", session, Status::Dropped).unwrap();
    assert_eq!(house.status(session), Status::Dropped);
    house.bring_and_count(drop, 1_000);
    house.schedule("system", session, None).unwrap();
    let elsewhere = house.go("pit-1", session, Status::Open);
    let Err(Refusal::IllegalTransition { allowed, .. }) = elsewhere else {
        panic!("{elsewhere:?}")
    };
    assert!(
        !allowed.contains(&"OPEN".to_owned()),
        "what was refused is not said to be allowed: {allowed:?}"
    );
    house.go("pit-1", session, Status::Counted).unwrap();
    assert_eq!(
        (house.status(session), house.session(session).scheduled_from),
        (Status::Counted, None)
    );
}

#[test]
fn counts_that_came_in_while_scheduled_carry_a_taken_back_session_to_counted() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.schedule("pit-1", session, None).unwrap();
    house.bring_and_count(drop, 1_000);
    assert_eq!(house.status(session), Status::DropScheduled);
    house.go("pit-1", session, Status::Dropped).unwrap();
    assert_eq!(house.edges_taken(), ["DROP_SCHEDULED -> DROPPED", "DROPPED -> COUNTED"]);
}

#[test]
fn a_second_drop_after_counted_is_dropped_and_counted_again() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let first = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.bring_and_count(first, 10_000);
    assert_eq!(house.case(session).dossier().drop_total_cents(), Some(10_000));
    house.schedule("pit-1", session, None).unwrap();
    let second = house.remove(session, "BJ-01-B", Some("BJ-01-C")).unwrap();
    assert_eq!(house.status(session), Status::Dropped);
    assert_eq!(
        house.case(session).dossier().drop_total_cents(),
        None,
        "null until every box is counted"
    );
    house.bring_and_count(second, 7_000);
    assert_eq!(house.status(session), Status::Counted);
    let third = house.remove(session, "BJ-01-C", Some("BJ-01-A")).unwrap();
    assert_eq!(house.edges_taken(), ["COUNTED -> DROP_SCHEDULED", "DROP_SCHEDULED -> DROPPED"]);
    house.bring_and_count(third, 0);
    house.close(session, 100_000);
    assert_eq!(house.report(session).drop_total_cents, Some(17_000));
    assert_eq!(house.report(session).soft_count_ids.len(), 3);
    assert_eq!([first, second, third].map(|drop| house.drop_event(drop).seq_no), [1, 2, 3]);
    assert_eq!(
        house.drop_box("BJ-01-A").use_no,
        2,
        "counted once, it stands on the table in its second use"
    );
}

#[test]
fn a_table_may_close_then_drop_then_count() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.close(session, 90_000);
    assert_eq!(house.status(session), Status::Closed);
    house.wait(60 * 9);
    let drop = house.remove(session, "BJ-01-A", None).unwrap();
    assert_eq!(house.status(session), Status::Closed, "count pending");
    house.bring(drop);
    let given = agreed(&house, 25_000);
    house.submit("team-1", drop, &given).unwrap();
    assert_eq!(house.edges_taken(), ["CLOSED -> RECONCILED"]);
    assert_eq!(house.report(session).win_loss_stat_cents, Some(15_000));
}

#[test]
fn an_unused_table_s_box_is_dropped_and_counted_as_zero() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.close(session, 100_000);
    let drop = house.remove(session, "BJ-01-A", None).unwrap();
    house.bring_and_count(drop, 0);
    assert_eq!(house.status(session), Status::Reconciled);
    let report = house.report(session);
    assert_eq!(
        (report.win_loss_stat_cents, report.hold_bp, report.drop_total_cents),
        (Some(0), None, Some(0))
    );
    assert_eq!(report.metric_grade, MetricGrade::Authoritative);
}

#[test]
fn several_boxes_are_all_counted_before_the_drop_is_known() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let standing = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    let emergency = house.remove(session, "EM-1", None).unwrap();
    house.bring_and_count(standing, 4_000);
    assert_eq!(house.status(session), Status::Dropped);
    assert_eq!(house.case(session).dossier().drop_total_cents(), None);
    house.bring_and_count(emergency, 6_000);
    assert_eq!(house.status(session), Status::Counted);
    assert_eq!(house.case(session).dossier().drop_total_cents(), Some(10_000));
}

#[test]
fn a_slip_in_the_replacement_box_holds_the_session_back_until_that_box_is_counted() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let first = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.deposited(session, SlipKind::Fill, 2_000);
    house.bring_and_count(first, 10_000);
    assert_eq!(
        house.status(session),
        Status::Dropped,
        "a box that holds a slip of it is not counted"
    );
    house.close(session, 100_000);
    assert_eq!(house.status(session), Status::Closed);
    let preview = workflows::rundown::compute(house.case(session).dossier(), &house.context("pit-1"));
    assert_eq!(preview.metric_grade, MetricGrade::Estimate, "not every box is counted");
    let second = house.remove(session, "BJ-01-B", None).unwrap();
    assert_eq!(house.status(session), Status::Closed);
    house.bring_and_count(second, 500);
    assert_eq!(house.status(session), Status::Reconciled);
    assert_eq!(house.report(session).drop_total_cents, Some(10_500));
    assert!(house.exceptions(session).is_empty(), "{:?}", house.categories(session));
}

#[test]
fn a_waived_missing_drop_stands_for_the_box_and_the_win_stays_null() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.close(session, 90_000);
    assert_eq!(house.status(session), Status::Closed);
    house
        .store
        .waive(session, Category::DropMissing, SubjectKind::Session, session, house.at);
    house.raise("pit-1", session, "the box was never found").unwrap();
    assert_eq!(house.status(session), Status::Reconciled);
    let report = house.report(session);
    assert_eq!(
        (report.win_loss_stat_cents, report.drop_total_cents, report.hold_bp),
        (None, None, None)
    );
    assert_eq!(
        (report.metric_grade, report.missing_inputs.clone()),
        (MetricGrade::Estimate, vec!["drop".to_owned()])
    );
    assert_eq!(
        report.inventory_result_cents,
        Some(-10_000),
        "a partial figure carries its own name"
    );
}

#[test]
fn a_waived_missing_drop_stands_for_the_lost_box_even_with_slips_in_it() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.deposited(session, SlipKind::Fill, 2_000);
    house.close(session, 90_000);
    house
        .store
        .waive(session, Category::DropMissing, SubjectKind::Session, session, house.at);
    house.raise("pit-1", session, "the box was never found").unwrap();
    assert_eq!(
        house.status(session),
        Status::Reconciled,
        "the waiver stands for that box in boxes_counted too"
    );
    let report = house.report(session);
    assert_eq!((report.win_loss_stat_cents, report.metric_grade), (None, MetricGrade::Estimate));
}

#[test]
fn a_waived_overdue_count_stands_for_its_box_and_the_late_count_still_counts() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let first = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    let second = house.remove(session, "BJ-01-B", Some("BJ-01-C")).unwrap();
    house.bring_and_count(first, 10_000);
    house.close(session, 100_000);
    house
        .store
        .waive(session, Category::CountOverdue, SubjectKind::Drop, second, house.at);
    house.deliver("sec-1", second).unwrap();
    assert_eq!(house.status(session), Status::Reconciled);
    assert_eq!(house.report(session).win_loss_stat_cents, None, "one box of two is not the drop");
    assert_eq!(house.report(session).metric_grade, MetricGrade::Estimate);
    house.receive("team-1", second, "seal of BJ-01-B").unwrap();
    let given = agreed(&house, 500);
    house.submit("team-1", second, &given).unwrap();
    assert_eq!(house.report(session).win_loss_stat_cents, Some(10_500));
}

#[test]
fn custody_is_written_once_and_in_order() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    assert_eq!(house.drop_event(drop).custody(), Custody::Removed);
    house.wait(5);
    let delivered = house.at;
    house.deliver_at("sec-1", drop, Some(delivered), Some(delivered)).unwrap();
    let version = house.session(session).version;
    house.wait(5);
    house.deliver("sec-1", drop).expect("the same again is a replay");
    house
        .deliver_at("sec-2", drop, Some(delivered), None)
        .expect("the same again is a replay");
    assert_eq!(house.session(session).version, version, "a replay changes nothing");
    conflict(house.deliver_at("sec-1", drop, Some(house.at), None), "already_delivered");
    conflict(house.deliver_at("sec-1", drop, None, Some(house.at)), "already_delivered");
    house.receive("team-1", drop, " seal of BJ-01-A ").unwrap();
    house
        .receive("team-1", drop, "seal of BJ-01-A")
        .expect("the same again is a replay");
    conflict(house.receive("team-2", drop, "another"), "already_received");
    assert_eq!(house.drop_event(drop).custody(), Custody::Received);
    let given = agreed(&house, 0);
    house.submit("team-1", drop, &given).unwrap();
    assert_eq!(house.drop_event(drop).custody(), Custody::Counted);
}

#[test]
fn a_slow_delivery_and_a_wrong_seal_raise_and_lose_nothing() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.wait(45);
    house.deliver("sec-1", drop).unwrap();
    assert!(house.exceptions(session).is_empty(), "the limit itself is in time");
    house.receive("team-1", drop, "another seal").unwrap();
    let seal = house.exception(session, Category::SealMismatch);
    assert_eq!(
        (seal.expected.clone(), seal.found.clone()),
        (Some("seal of BJ-01-A".into()), Some("another seal".into()))
    );
    let next = house.remove(session, "BJ-01-B", Some("BJ-01-C")).unwrap();
    house.wait(46);
    house.deliver("sec-1", next).unwrap();
    house.exception(session, Category::CustodyGap);
    assert_eq!(house.drop_event(next).delivered_at, Some(house.at));
}

#[test]
fn a_box_cannot_be_in_two_places() {
    let mut house = House::new();
    let session = house.playing(100_000);
    conflict(house.remove(session, "BJ-01-B", Some("BJ-01-C")), "box_elsewhere");
    conflict(house.remove(session, "BJ-01-A", Some("RL-01-A")), "box_elsewhere");
    let other = house.open("RL-01", "EM-1", 1_000);
    conflict(house.remove(session, "EM-1", None), "box_elsewhere");
    conflict(house.remove(session, "BJ-01-A", Some("EM-1")), "box_elsewhere");
    house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    conflict(house.remove(session, "BJ-01-A", None), "box_elsewhere");
    conflict(house.remove(session, "BJ-01-B", Some("BJ-01-A")), "box_elsewhere");
    house.drop_now(other, "EM-1", Some("RL-01-A"));
    conflict(house.remove(session, "EM-1", None), "box_elsewhere");
    invalid(house.remove(session, "BJ-01-B", Some("BJ-01-B")), "/replacement_box_id");
}

#[test]
fn a_replacement_is_required_while_the_table_plays_or_a_slip_is_in_flight() {
    let mut house = House::new();
    let session = house.playing(100_000);
    invalid(house.remove(session, "BJ-01-A", None), "/replacement_box_id");
    let slip = house.verified(session, SlipKind::Fill, 1_000);
    house.go("pit-1", session, Status::Closing).unwrap();
    invalid(house.remove(session, "BJ-01-A", None), "/replacement_box_id");
    house.deposit("pit-1", slip).unwrap();
    house.remove(session, "BJ-01-A", None).unwrap();
}

#[test]
fn a_removal_does_not_lie_before_the_one_that_put_its_box_there() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.wait(60);
    house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    let given = Removal {
        removed_at: Some(house.at - TimeDelta::minutes(10)),
        ..house.removal("BJ-01-B", Some("BJ-01-C"))
    };
    invalid(house.remove_as("sec-1", session, &given, "pit-1"), "/removed_at");
}

#[test]
fn the_successor_s_box_is_not_the_predecessor_s_to_remove() {
    let mut house = House::new();
    let first = house.playing(100_000);
    house.drop_now(first, "BJ-01-A", Some("BJ-01-B"));
    house.close(first, 100_000);
    let second = house.opening("BJ-01", "BJ-01-B");
    conflict(house.remove(first, "BJ-01-B", None), "box_elsewhere");
    house.cancel("pit-1", second, "no players").unwrap();
    house.remove(first, "BJ-01-B", None).expect("nobody else's any more");
}

#[test]
fn the_pair_at_a_removal_is_two_people_and_one_is_not_of_table_games() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let given = house.removal("BJ-01-A", Some("BJ-01-B"));
    invalid(house.remove_as("sec-1", session, &given, "sec-1"), "/witnessed_by/staff_id");
    let pit = workflows::custody::remove(
        &mut house.case(session),
        &house.context("pit-1"),
        &given,
        &house.cosigner("dealer-1"),
    );
    assert!(
        matches!(pit, Err(Refusal::Forbidden { .. } | Refusal::Segregation { .. })),
        "{pit:?}"
    );
    assert!(
        house.remove_as("sec-1", session, &given, "system").is_err(),
        "the system cannot sign anything"
    );
    house
        .remove_as("sec-1", session, &given, "sec-2")
        .expect("two of security are independent of the pit");
}

#[test]
fn the_seal_and_the_box_s_kind_are_checked() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let blank = Removal {
        seal_no: "  ".to_owned(),
        ..house.removal("BJ-01-A", Some("BJ-01-B"))
    };
    invalid(house.remove_as("sec-1", session, &blank, "pit-1"), "/seal_no");
    let no_emergency = Removal {
        emergency: true,
        ..house.removal("BJ-01-A", Some("BJ-01-B"))
    };
    invalid(house.remove_as("sec-1", session, &no_emergency, "pit-1"), "/emergency");
    invalid(house.remove(session, "EM-1", Some("BJ-01-B")), "/replacement_box_id");
}

pub fn conflict<T: std::fmt::Debug>(answer: Result<T, Refusal>, expected: &str) {
    let Err(Refusal::Conflict { reason, .. }) = answer else {
        panic!("expected {expected}: {answer:?}")
    };
    assert_eq!(reason, expected);
}

pub fn invalid<T: std::fmt::Debug>(answer: Result<T, Refusal>, pointer: &str) {
    let Err(Refusal::Invalid(flaws)) = answer else {
        panic!("expected a flaw at {pointer}: {answer:?}")
    };
    assert!(flaws.iter().any(|flaw| flaw.pointer == pointer), "{flaws:?}");
}
