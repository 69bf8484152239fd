//! Rollover: one count closes a session and opens the next (domain §4).

use uuid::Uuid;
use workflows::refusal::Refusal;
use workflows::word::{CloseReason, DocumentKind, SlipKind, SlipStatus, SnapshotKind, Status};

use crate::casino::House;
use crate::casino::play::{agreed, paper};
use crate::drops::invalid;
use crate::slips::{forbidden, segregated};

/// A session in play whose first box has gone, ready to roll.
fn rolling(house: &mut House) -> (Uuid, Uuid) {
    let first = house.playing(100_000);
    let drop = house.drop_now(first, "BJ-01-A", Some("BJ-01-B"));
    (first, drop)
}

#[test]
fn one_count_closes_the_first_session_and_opens_the_second() {
    let mut house = House::new();
    let (first, drop) = rolling(&mut house);
    let second = house.roll_over("pit-1", first, 95_000, "pit-2").unwrap();
    assert_eq!((house.status(first), house.status(second)), (Status::Closed, Status::Open));
    assert_eq!(house.session(first).close_reason, Some(CloseReason::Rollover));
    let second_row = house.session(second);
    assert_eq!(
        (second_row.predecessor_id, second_row.drop_box_id),
        (Some(first), Some(house.drop_box("BJ-01-B").id))
    );
    let tray = |session, kind| {
        let row = house
            .store
            .snapshots
            .iter()
            .find(|row| row.session_id == session && row.kind == kind)
            .expect("a count");
        (row.chipset.clone(), row.counted_by, row.verified_by)
    };
    assert_eq!(
        tray(first, SnapshotKind::Close),
        tray(second, SnapshotKind::Open),
        "one count is closer and opener"
    );
    assert!(house.exceptions(second).is_empty());
    assert_eq!(
        house.edges_taken(),
        [
            "DROPPED -> CLOSING",
            "CLOSING -> CLOSED",
            "READY_TO_OPEN -> OPENING",
            "OPENING -> OPEN",
        ]
    );
    house.bring_and_count(drop, 10_000);
    assert_eq!(house.status(first), Status::Reconciled);
    assert_eq!(house.report(first).win_loss_stat_cents, Some(5_000));
}

#[test]
fn a_rollover_keeps_every_other_gate() {
    let mut house = House::new();
    let first = house.playing(100_000);
    let refused = house.roll_over("pit-1", first, 95_000, "pit-2");
    let Err(Refusal::GatesUnmet(gates)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        gates.iter().map(|gate| gate.code).collect::<Vec<_>>(),
        ["drop_box_attached"],
        "one box never serves two sessions"
    );
    assert_eq!(
        (house.status(first), house.store.sessions.len()),
        (Status::Open, 1),
        "nothing is stored"
    );
    house.drop_now(first, "BJ-01-A", Some("BJ-01-B"));
    house.casino.fill_series_open = false;
    assert!(matches!(
        house.roll_over("pit-1", first, 95_000, "pit-2"),
        Err(Refusal::GatesUnmet(_))
    ));
    house.casino.fill_series_open = true;
    house.casino.count_before_close = true;
    assert!(matches!(
        house.roll_over("pit-1", first, 95_000, "pit-2"),
        Err(Refusal::GatesUnmet(_))
    ));
}

#[test]
fn a_rollover_is_signed_by_two_pit_bosses() {
    let mut house = House::new();
    let (first, _) = rolling(&mut house);
    invalid(house.roll_over("pit-1", first, 1_000, "pit-1"), "/cosign/staff_id");
    forbidden(house.roll_over("pit-1", first, 1_000, "dealer-1"));
    forbidden(house.roll_over("pit-1", first, 1_000, "sec-1"));
    forbidden(house.roll_over("cash-1", first, 1_000, "pit-1"));
}

#[test]
fn slips_on_their_way_pass_on_and_verified_ones_stay() {
    let mut house = House::new();
    let (first, drop) = rolling(&mut house);
    let asked = house.request("pit-1", first, &House::ask(SlipKind::Fill, 100)).unwrap();
    let issued = house.issued(first, SlipKind::Fill, 200);
    let verified = house.verified(first, SlipKind::Fill, 400);
    house.wait(1);
    let second = house.roll_over("pit-1", first, 100_400, "pit-2").unwrap();
    let session_of = |slip| house.slip(slip).session_id;
    assert_eq!([asked, issued, verified].map(session_of), [second, second, first]);
    assert_eq!(house.status(first), Status::Closed, "it waits for its slip's deposit");
    house.bring_and_count(drop, 0);
    assert_eq!(house.status(first), Status::Closed);
    // The first's slip goes into the second's box, whose count then settles both.
    house.deposit("pit-1", verified).unwrap();
    assert_eq!(house.slip(verified).drop_box_id, Some(house.drop_box("BJ-01-B").id));
    house.issue("cash-1", asked, "sec-1").unwrap();
    for slip in [asked, issued] {
        house.verify_slip("pit-2", slip, "dealer-1", None).unwrap();
        house.deposit("pit-2", slip).unwrap();
    }
    house.wait(1);
    house.close(second, 100_700);
    let box_of_both = house.remove(second, "BJ-01-B", None).unwrap();
    assert_eq!((house.status(first), house.status(second)), (Status::Closed, Status::Closed));
    house.bring(box_of_both);
    let mut count = agreed(&house, 9_000);
    count.documents = house.papers_in(box_of_both);
    assert_eq!(count.documents.len(), 3, "slips of both sessions");
    house.submit("team-1", box_of_both, &count).unwrap();
    assert_eq!(
        (house.status(first), house.status(second)),
        (Status::Reconciled, Status::Reconciled),
        "one count settles two sessions"
    );
    assert_eq!(
        (house.report(first).win_loss_stat_cents, house.report(first).fills_total_cents),
        (Some(0), 400)
    );
    assert_eq!(
        (house.report(second).win_loss_stat_cents, house.report(second).fills_total_cents),
        (Some(9_000), 300)
    );
    assert!(house.store.exceptions.is_empty(), "{:?}", house.store.exceptions);
    assert_eq!(house.slip(verified).status, SlipStatus::DepositedInDropbox);
}

#[test]
fn a_slip_of_the_first_missing_from_the_second_s_box_is_the_first_s_exception() {
    let mut house = House::new();
    let (first, drop) = rolling(&mut house);
    let verified = house.verified(first, SlipKind::Fill, 400);
    let second = house.roll_over("pit-1", first, 100_400, "pit-2").unwrap();
    house.bring_and_count(drop, 0);
    house.deposit("pit-1", verified).unwrap();
    let next = house.drop_now(second, "BJ-01-B", Some("BJ-01-C"));
    house.bring(next);
    let count = agreed(&house, 0);
    house.submit("team-1", next, &count).unwrap();
    let missing = house.exception(first, workflows::word::Category::MissingSlip);
    assert_eq!(missing.subject_id, verified.to_string());
    assert!(house.exceptions(second).is_empty());
    assert_eq!(
        house.status(first),
        Status::Reconciled,
        "the count is in; the exception blocks the end, not the road"
    );
}

#[test]
fn who_asked_for_a_slip_that_passed_on_is_still_its_party() {
    let mut house = House::new();
    let (first, _) = rolling(&mut house);
    let slip = house.request("admin-1", first, &House::ask(SlipKind::Fill, 300)).unwrap();
    let second = house.roll_over("pit-1", first, 100_000, "pit-2").unwrap();
    house.issue("cash-1", slip, "sec-1").unwrap();
    house
        .verify_slip("pit-2", slip, "dealer-1", Some(crate::casino::chips(200)))
        .unwrap();
    house.deposit("pit-2", slip).unwrap();
    let mismatch = house.exception(second, workflows::word::Category::SlipAmountMismatch).id;
    segregated(
        house.resolve("admin-1", mismatch),
        "resolver_is_independent",
        house.id_of("admin-1"),
    );
    let drop = house.drop_now(second, "BJ-01-B", Some("BJ-01-C"));
    house.bring(drop);
    let mut count = agreed(&house, 0);
    count.documents = house.papers_in(drop);
    segregated(
        house.submit("admin-1", drop, &count),
        "counter_is_independent",
        house.id_of("admin-1"),
    );
}

/// What was found in the first session's box stays its exception, while the slip goes on to the second session and is signed there.
#[test]
fn who_signed_a_slip_after_it_passed_on_judges_no_exception_about_it() {
    let mut house = House::new();
    let (first, drop) = rolling(&mut house);
    let slip = house.request("pit-1", first, &House::ask(SlipKind::Fill, 300)).unwrap();
    house.issue("cash-1", slip, "sec-1").unwrap();
    house.bring(drop);
    let number = house.slip(slip).slip_no.unwrap().to_string();
    let mut count = agreed(&house, 0);
    count.documents = vec![paper(DocumentKind::FillSlip, Some(&number), 300)];
    house.submit("team-1", drop, &count).unwrap();
    let about_it = |house: &House| house.exceptions(first).into_iter().find(|row| row.slip() == Some(slip)).unwrap().id;
    let found = about_it(&house);
    house.roll_over("pit-1", first, 100_000, "pit-2").unwrap();
    house.verify_slip("admin-1", slip, "dealer-1", None).unwrap();
    segregated(house.resolve("admin-1", found), "resolver_is_independent", house.id_of("admin-1"));
}

#[test]
fn in_a_rollover_no_session_is_live_beside_another() {
    let mut house = House::new();
    let (first, _) = rolling(&mut house);
    let second = house.roll_over("pit-1", first, 100_000, "pit-2").unwrap();
    crate::drops::conflict(house.create("pit-1", "BJ-01", None), "live_session_exists");
    house.drop_now(second, "BJ-01-B", Some("BJ-01-C"));
    let third = house.roll_over("pit-2", second, 90_000, "pit-1").unwrap();
    assert_eq!(house.session(third).predecessor_id, Some(second));
}
