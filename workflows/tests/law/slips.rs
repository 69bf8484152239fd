//! Fills and credits (domain §6).

use uuid::Uuid;
use workflows::event::Event;
use workflows::record::ManualRange;
use workflows::refusal::Refusal;
use workflows::slip::Request;
use workflows::word::{Category, SlipKind, SlipPurpose, SlipScope, SlipStatus, SnapshotKind, Status};

use crate::casino::play::{Handwritten, tray};
use crate::casino::{House, chips, new_id};
use crate::drops::{conflict, invalid};

/// A range of manual fill numbers, 900 to 999.
pub fn range(house: &House) -> ManualRange {
    ManualRange {
        id: new_id(),
        casino_id: house.casino.id,
        kind: SlipKind::Fill,
        slip_scope: SlipScope::GamingDay,
        scope_key: "2026-03-06".to_owned(),
        first_no: 900,
        last_no: 999,
        created_by: house.id_of("admin-1"),
        created_at: house.at,
        closed_at: None,
    }
}

/// Enters a fill of 1,000 written by hand.
pub fn enter(house: &mut House, session: Uuid, slip_no: i64) -> Result<Uuid, Refusal> {
    let given = Handwritten {
        request: House::ask(SlipKind::Fill, 1_000),
        slip_no,
        issued_at: house.at,
        requester: "pit-1",
        runner: "sec-1",
    };
    let ranges = [range(house)];
    house.enter_offline("cash-1", session, &given, &ranges, &[])
}

#[test]
fn a_fill_goes_its_way_and_counts_once_verified() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.request("pit-1", session, &House::ask(SlipKind::Fill, 3_000)).unwrap();
    assert_eq!(totals(&house, session), (0, 0));
    house.issue("cash-1", slip, "sec-1").unwrap();
    assert_eq!(totals(&house, session), (0, 0));
    house.verify_slip("pit-1", slip, "dealer-1", None).unwrap();
    assert!(
        house
            .events
            .iter()
            .any(|event| matches!(event, Event::FillCompleted { amount_cents: 3_000, .. }))
    );
    assert_eq!(totals(&house, session), (3_000, 0));
    house.deposit("pit-1", slip).unwrap();
    assert_eq!(totals(&house, session), (3_000, 0));
    assert_eq!(house.slip(slip).status, SlipStatus::DepositedInDropbox);
}

#[test]
fn a_credit_is_completed_at_the_cage_and_deposited_after() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.verified(session, SlipKind::Credit, 3_000);
    assert!(!house.events.iter().any(|event| matches!(event, Event::CreditCompleted { .. })));
    assert_eq!(totals(&house, session), (0, 3_000));
    house.cage_receipt("cash-1", slip, None).unwrap();
    assert!(
        house
            .events
            .iter()
            .any(|event| matches!(event, Event::CreditCompleted { amount_cents: 3_000, .. }))
    );
    conflict(house.cage_receipt("cash-1", slip, None), "already_received");
    house.deposit("pit-1", slip).unwrap();
    let fill = house.verified(session, SlipKind::Fill, 100);
    conflict(house.cage_receipt("cash-1", fill, None), "not_a_credit");
}

fn totals(house: &House, session: Uuid) -> (i64, i64) {
    let case = house.case(session);
    (
        case.dossier().verified_total_cents(SlipKind::Fill),
        case.dossier().verified_total_cents(SlipKind::Credit),
    )
}

#[test]
fn another_count_at_the_table_is_what_counts_and_raises_the_mismatch() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.issued(session, SlipKind::Fill, 3_000);
    house.verify_slip("pit-1", slip, "dealer-1", Some(chips(2_900))).unwrap();
    assert_eq!(
        (house.slip(slip).amount_cents, house.slip(slip).confirmed_amount_cents),
        (3_000, Some(2_900))
    );
    assert_eq!(totals(&house, session), (2_900, 0));
    let raised = house.exception(session, Category::SlipAmountMismatch);
    assert_eq!((raised.variance_cents, raised.subject_id.clone()), (Some(-100), slip.to_string()));
}

#[test]
fn another_count_in_the_cage_raises_the_mismatch_and_changes_no_total() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.verified(session, SlipKind::Credit, 3_000);
    house.cage_receipt("cash-1", slip, Some(chips(2_500))).unwrap();
    assert_eq!(totals(&house, session), (0, 3_000));
    assert_eq!(house.exception(session, Category::SlipAmountMismatch).variance_cents, Some(-500));
}

#[test]
fn a_slip_is_cancelled_before_and_voided_after_its_number() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let asked = house.request("pit-1", session, &House::ask(SlipKind::Fill, 1_000)).unwrap();
    refused_edge(house.void("cash-1", asked, "wrong", "sec-2"));
    house.cancel_slip("pit-1", asked, "not needed").unwrap();
    refused_edge(house.cancel_slip("pit-1", asked, "again"));
    let issued = house.issued(session, SlipKind::Fill, 1_000);
    refused_edge(house.cancel_slip("pit-1", issued, "not needed"));
    let number = house.slip(issued).slip_no;
    house.void("cash-1", issued, "wrong amount", "sec-2").unwrap();
    assert_eq!(
        (house.slip(issued).status, house.slip(issued).slip_no),
        (SlipStatus::Voided, number),
        "a void keeps its number"
    );
    assert!(house.exceptions(session).is_empty());
    let replacement = Request {
        replaces_slip_id: Some(issued),
        ..House::ask(SlipKind::Fill, 2_000)
    };
    house.request("pit-1", session, &replacement).unwrap();
    invalid(
        house.request(
            "pit-1",
            session,
            &Request {
                replaces_slip_id: Some(issued),
                ..House::ask(SlipKind::Credit, 100)
            },
        ),
        "/replaces_slip_id",
    );
    let deposited = house.deposited(session, SlipKind::Fill, 500);
    refused_edge(house.void("pit-1", deposited, "too late", "sec-2"));
}

fn refused_edge<T: std::fmt::Debug>(answer: Result<T, Refusal>) {
    assert!(matches!(answer, Err(Refusal::IllegalTransition { .. })), "{answer:?}");
}

#[test]
fn a_void_after_verification_takes_the_amount_back_and_raises_void_misuse() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.verified(session, SlipKind::Fill, 1_000);
    house.void("pit-1", slip, "no chips moved", "sec-2").unwrap();
    assert_eq!(totals(&house, session), (0, 0));
    house.exception(session, Category::VoidMisuse);
    let credit = house.verified(session, SlipKind::Credit, 1_000);
    house.cage_receipt("cash-1", credit, None).unwrap();
    conflict(house.void("pit-1", credit, "no chips moved", "sec-2"), "chips_moved");
}

#[test]
fn a_void_is_by_its_department_and_needs_an_independent_second_signer() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.issued(session, SlipKind::Fill, 1_000);
    invalid(house.void("cash-1", slip, "wrong", "cash-1"), "/cosign/staff_id");
    for party in ["pit-1", "sec-1"] {
        segregated(
            house.void("cash-1", slip, "wrong", party),
            "void_witness_is_independent",
            house.id_of(party),
        );
    }
    forbidden(house.void("cash-1", slip, "wrong", "dealer-2"));
    forbidden(house.void("cash-1", slip, "wrong", "team-1"));
    forbidden(house.void("pit-2", slip, "wrong", "sec-2"));
    invalid(house.void("cash-1", slip, " ", "sec-2"), "/reason");
    house.verify_slip("pit-1", slip, "dealer-1", None).unwrap();
    forbidden(house.void("cash-1", slip, "wrong", "sec-2"));
    house.void("pit-2", slip, "no chips moved", "comp-1").unwrap();
    let raised = house.exception(session, Category::VoidMisuse).id;
    segregated(house.resolve("comp-1", raised), "resolver_is_independent", house.id_of("comp-1"));
    house.resolve("comp-2", raised).unwrap();
}

pub fn segregated<T: std::fmt::Debug>(answer: Result<T, Refusal>, expected: &str, whom: Uuid) {
    let Err(Refusal::Segregation { rule, person, .. }) = answer else {
        panic!("expected {expected}: {answer:?}")
    };
    assert_eq!((rule, person), (expected, whom));
}

pub fn forbidden<T: std::fmt::Debug>(answer: Result<T, Refusal>) {
    assert!(matches!(answer, Err(Refusal::Forbidden { .. })), "{answer:?}");
}

pub fn wrong_state<T: std::fmt::Debug>(answer: Result<T, Refusal>) {
    assert!(matches!(answer, Err(Refusal::WrongState { .. })), "{answer:?}");
}

#[test]
fn four_different_people_sign_a_slip() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.request("admin-1", session, &House::ask(SlipKind::Fill, 1_000)).unwrap();
    segregated(
        house.issue("admin-1", slip, "sec-1"),
        "issuer_is_not_requester",
        house.id_of("admin-1"),
    );
    segregated(house.issue("cash-1", slip, "cash-2"), "runner_is_security", house.id_of("cash-2"));
    segregated(house.issue("cash-1", slip, "pit-2"), "runner_is_security", house.id_of("pit-2"));
    segregated(
        house.issue("cash-1", slip, "dealer-2"),
        "runner_is_security",
        house.id_of("dealer-2"),
    );
    house.issue("admin-2", slip, "sec-1").unwrap();
    segregated(
        house.verify_slip("admin-2", slip, "dealer-1", None),
        "four_people_on_a_slip",
        house.id_of("admin-2"),
    );
    forbidden(house.verify_slip("pit-1", slip, "pit-2", None));
    forbidden(house.verify_slip("cash-1", slip, "dealer-1", None));
    house
        .verify_slip("admin-1", slip, "dealer-1", None)
        .expect("the requesting supervisor may verify");
    let credit = house.request("admin-1", session, &House::ask(SlipKind::Credit, 1_000)).unwrap();
    house.issue("cash-1", credit, "sec-1").unwrap();
    house.verify_slip("admin-2", credit, "dealer-1", None).unwrap();
    segregated(
        house.cage_receipt("admin-2", credit, None),
        "cage_is_not_table",
        house.id_of("admin-2"),
    );
    house.cage_receipt("cash-1", credit, None).expect("the issuing cashier may receive");
}

#[test]
fn each_step_is_its_department_s() {
    let mut house = House::new();
    let session = house.playing(100_000);
    forbidden(house.request("cash-1", session, &House::ask(SlipKind::Fill, 1_000)));
    let slip = house.request("pit-1", session, &House::ask(SlipKind::Fill, 1_000)).unwrap();
    forbidden(house.issue("pit-2", slip, "sec-1"));
    forbidden(house.cancel_slip("cash-1", slip, "no"));
    house.issue("cash-1", slip, "sec-1").unwrap();
    house.verify_slip("pit-1", slip, "dealer-1", None).unwrap();
    forbidden(house.deposit("cash-1", slip));
}

#[test]
fn slips_are_requested_in_play_only_and_finish_until_closed() {
    let mut house = House::new();
    let session = house.opening("BJ-01", "BJ-01-A");
    let ask = || House::ask(SlipKind::Fill, 1_000);
    wrong_state(house.request("pit-1", session, &ask()));
    house.tray(session, SnapshotKind::Open, 100_000).unwrap();
    let slip = house.issued(session, SlipKind::Fill, 1_000);
    house.go("pit-1", session, Status::Closing).unwrap();
    wrong_state(house.request("pit-1", session, &ask()));
    invalid(
        house.request(
            "pit-1",
            session,
            &Request {
                purpose: SlipPurpose::ParRestore,
                ..ask()
            },
        ),
        "/purpose",
    );
    house
        .verify_slip("pit-1", slip, "dealer-1", None)
        .expect("later steps go on in CLOSING");
    house.deposit("pit-1", slip).unwrap();
    house.tray(session, SnapshotKind::Close, 101_000).unwrap();
    wrong_state(house.request("pit-1", session, &ask()));
}

#[test]
fn the_imprest_bank_is_restored_to_par_in_closing_and_counted_again() {
    let mut house = House::imprest(100_000);
    let session = house.playing(100_000);
    let restore = Request {
        purpose: SlipPurpose::ParRestore,
        ..House::ask(SlipKind::Fill, 20_000)
    };
    wrong_state(house.request("pit-1", session, &restore));
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.bring_and_count(drop, 50_000);
    house.go("pit-1", session, Status::Closing).unwrap();
    wrong_state(house.request("pit-1", session, &House::ask(SlipKind::Fill, 20_000)));
    let slip = house.request("pit-1", session, &restore).unwrap();
    house.issue("cash-1", slip, "sec-1").unwrap();
    let early = house
        .count_tray("pit-1", session, &tray(SnapshotKind::Close, chips(80_000)), Some("dealer-1"))
        .unwrap();
    assert_eq!(
        snapshot(&house, early).discrepancy_cents,
        Some(-20_000),
        "an imprest closer is measured against par"
    );
    house.wait(1);
    house.verify_slip("pit-1", slip, "dealer-1", None).unwrap();
    house.deposit("pit-1", slip).unwrap();
    assert_eq!(house.status(session), Status::Closing, "chips moved behind the closer");
    house.wait(1);
    house.tray(session, SnapshotKind::Close, 100_000).unwrap();
    assert_eq!(
        house.status(session),
        Status::Closed,
        "the restore's copy lies in the replacement box"
    );
    assert!(house.exceptions(session).is_empty(), "{:?}", house.categories(session));
    let second = house.remove(session, "BJ-01-B", None).unwrap();
    house.bring_and_count(second, 0);
    let report = house.report(session);
    assert_eq!((report.par_variance_cents, report.win_loss_stat_cents), (Some(0), Some(30_000)));
}

fn snapshot(house: &House, id: Uuid) -> &workflows::record::Snapshot {
    house.store.snapshots.iter().find(|row| row.id == id).expect("a snapshot")
}

#[test]
fn an_imprest_closer_off_par_raises_and_does_not_block() {
    let mut house = House::imprest(100_000);
    house.casino.par_tolerance_cents = 100;
    for (table, closer, raised) in [("BJ-01", 99_900, false), ("RL-01", 99_800, true)] {
        let session = house.open(table, &format!("{table}-A"), 100_000);
        house.close(session, closer);
        assert_eq!(house.status(session), Status::Closed);
        assert_eq!(house.categories(session) == [Category::ParVariance], raised, "{closer}");
    }
}

#[test]
fn a_slip_by_hand_takes_its_number_from_an_open_range() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = enter(&mut house, session, 900).unwrap();
    let row = house.slip(slip);
    assert_eq!(
        (row.status, row.slip_no, row.captured_offline),
        (SlipStatus::Issued, Some(900), true)
    );
    assert_eq!(
        (row.entered_by, row.requested_by),
        (Some(house.id_of("cash-1")), house.id_of("pit-1"))
    );
    invalid(enter(&mut house, session, 899), "/slip_no");
    invalid(enter(&mut house, session, 1_000), "/slip_no");
    let given = |request: Request, requester, runner| Handwritten {
        request,
        slip_no: 901,
        issued_at: house.at,
        requester,
        runner,
    };
    let (ranges, ask) = ([range(&house)], || House::ask(SlipKind::Fill, 1_000));
    let (good, cage, credit) = (
        given(ask(), "pit-1", "sec-1"),
        given(ask(), "pit-1", "cash-2"),
        given(House::ask(SlipKind::Credit, 100), "pit-1", "sec-1"),
    );
    let (dealer, same) = (given(ask(), "dealer-1", "sec-1"), given(ask(), "admin-1", "sec-1"));
    conflict(
        house.enter_offline("cash-1", session, &good, &ranges, &["2026-03-06".to_owned()]),
        "number_taken",
    );
    segregated(
        house.enter_offline("cash-1", session, &cage, &ranges, &[]),
        "runner_is_security",
        house.id_of("cash-2"),
    );
    invalid(house.enter_offline("cash-1", session, &credit, &ranges, &[]), "/slip_no");
    forbidden(house.enter_offline("cash-1", session, &dealer, &ranges, &[]));
    segregated(
        house.enter_offline("admin-1", session, &same, &ranges, &[]),
        "issuer_is_not_requester",
        house.id_of("admin-1"),
    );
    let closed = [ManualRange {
        closed_at: Some(house.at),
        ..range(&house)
    }];
    invalid(house.enter_offline("cash-1", session, &good, &closed, &[]), "/slip_no");
}

#[test]
fn a_cancelled_session_takes_no_slip_by_hand() {
    let mut house = House::new();
    let session = house.opening("BJ-01", "BJ-01-A");
    house.cancel("pit-1", session, "no players").unwrap();
    assert!(enter(&mut house, session, 900).is_err(), "it was never in play: no chips moved");
}

#[test]
fn a_slip_moves_known_chips_and_at_least_one() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let ask = |pieces: &[(&str, i64)]| Request {
        chipset: crate::casino::raw(pieces),
        ..House::ask(SlipKind::Fill, 100)
    };
    invalid(house.request("pit-1", session, &ask(&[])), "/chipset");
    invalid(house.request("pit-1", session, &ask(&[("100", 0)])), "/chipset");
    invalid(house.request("pit-1", session, &ask(&[("300", 1)])), "/chipset/300");
    invalid(house.request("pit-1", session, &ask(&[("100", -1)])), "/chipset/100");
    for request_id in ["", "two words", "ünder"] {
        let given = Request {
            request_id: request_id.to_owned(),
            ..House::ask(SlipKind::Fill, 100)
        };
        invalid(house.request("pit-1", session, &given), "/request_id");
    }
}
