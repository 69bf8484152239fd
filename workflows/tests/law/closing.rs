//! Cancel, force close, the closer, and sessions played side by side (domain §4, §5, §9).

use uuid::Uuid;
use workflows::event::Event;
use workflows::refusal::Refusal;
use workflows::snapshot::TrayCount;
use workflows::word::{Category, CloseReason, MetricGrade, SlipKind, SnapshotKind, Status};

use crate::casino::play::{to, tray};
use crate::casino::{House, chips};
use crate::drops::{conflict, invalid};
use crate::slips::{forbidden, wrong_state};

#[test]
fn adding_a_fill_of_x_and_x_to_the_closer_changes_no_win() {
    for extra in [0, 100, 50_000] {
        let win = |fill: i64, credit: i64| {
            let mut house = House::new();
            let session = house.playing(100_000);
            house.deposited(session, SlipKind::Fill, 10_000);
            for (kind, cents) in [(SlipKind::Fill, fill), (SlipKind::Credit, credit)] {
                if cents > 0 {
                    house.deposited(session, kind, cents);
                }
            }
            let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
            house.bring_and_count(drop, 30_000);
            house.close(session, 95_000 + fill - credit);
            house.report(session).win_loss_stat_cents
        };
        assert_eq!(win(0, 0), Some(15_000));
        assert_eq!((win(extra, 0), win(0, extra)), (Some(15_000), Some(15_000)), "{extra}");
    }
}

#[test]
fn a_session_not_yet_open_is_cancelled_with_a_note_and_is_over() {
    for opening in [false, true] {
        let mut house = House::new();
        let session = house.create("pit-1", "BJ-01", Some("BJ-01-A")).unwrap();
        if opening {
            house.go("pit-1", session, Status::Opening).unwrap();
            house
                .count_tray("pit-1", session, &tray(SnapshotKind::Open, chips(100)), None)
                .unwrap();
        }
        invalid(house.cancel("pit-1", session, "  "), "/note");
        assert!(matches!(
            house.force_close("pit-1", session, "now"),
            Err(Refusal::IllegalTransition { .. })
        ));
        house.cancel("pit-1", session, "no players").unwrap();
        let row = house.session(session);
        assert_eq!((row.status, row.close_reason), (Status::Closed, Some(CloseReason::Cancelled)));
        assert_eq!(row.close_note.as_deref(), Some("no players"));
        assert!(house.exceptions(session).is_empty() && house.store.reports.is_empty() && !row.requires_reconciliation);
        assert!(matches!(
            house.go("comp-1", session, Status::Reconciled),
            Err(Refusal::GatesUnmet(_))
        ));
        conflict(house.remove(session, "BJ-01-A", None), "session_cancelled");
        wrong_state(house.tray(session, SnapshotKind::Close, 100));
        let next = house.open("BJ-01", "BJ-01-A", 100_000);
        assert_eq!(
            house.session(next).predecessor_id,
            None,
            "a cancelled session is nobody's predecessor"
        );
    }
}

#[test]
fn jobs_cancel_what_never_began_and_nothing_that_did() {
    let mut house = House::new();
    let session = house.create("system", "BJ-01", Some("BJ-01-A")).unwrap();
    assert!(house.store.signatures.is_empty(), "the system signs nothing");
    house.cancel("system", session, "the shift is over").unwrap();
    assert!(house.store.signatures.is_empty());
    let begun = house.opening("BJ-01", "BJ-01-A");
    forbidden(house.cancel("system", begun, "the shift is over"));
}

#[test]
fn a_force_close_raises_what_is_missing_and_waits_for_the_evidence() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let asked = house.request("pit-1", session, &House::ask(SlipKind::Fill, 500)).unwrap();
    let issued = house.issued(session, SlipKind::Fill, 1_000);
    let verified = house.verified(session, SlipKind::Fill, 2_000);
    invalid(house.force_close("pit-1", session, ""), "/note");
    forbidden(house.force_close("comp-1", session, "fire alarm"));
    forbidden(house.force_close("system", session, "fire alarm"));
    house.force_close("pit-1", session, "fire alarm").unwrap();
    let row = house.session(session);
    assert_eq!(
        (row.status, row.close_reason, row.requires_reconciliation),
        (Status::Closed, Some(CloseReason::Forced), true)
    );
    let mut found: Vec<_> = house
        .exceptions(session)
        .iter()
        .map(|row| (row.category, row.subject_id.clone()))
        .collect();
    found.sort();
    let unverified = |slip: Uuid| (Category::UnverifiedSlip, slip.to_string());
    assert_eq!(
        found,
        [
            (Category::MissingClosingSnapshot, session.to_string()),
            unverified(asked),
            unverified(issued)
        ]
    );
    // The evidence comes after: slips end, the closer is counted, the box is removed and counted.
    house.cancel_slip("pit-1", asked, "never carried").unwrap();
    house.void("cash-1", issued, "never carried", "sec-2").unwrap();
    house.deposit("pit-1", verified).unwrap();
    house.tray(session, SnapshotKind::Close, 102_000).unwrap();
    assert!(house.session(session).closing_snapshot_id.is_some());
    assert!(
        house
            .exceptions(session)
            .iter()
            .all(|row| row.no_longer_observed_at.is_some() && row.status.is_unresolved())
    );
    let drop = house.remove(session, "BJ-01-A", None).unwrap();
    house.bring_and_count(drop, 7_000);
    assert_eq!(house.status(session), Status::Reconciled);
    assert_eq!(
        (house.report(session).win_loss_stat_cents, house.report(session).metric_grade),
        (Some(7_000), MetricGrade::Estimate)
    );
    assert!(matches!(
        house.go("comp-1", session, Status::Finalized),
        Err(Refusal::GatesUnmet(_))
    ));
    for exception in house.exceptions(session).iter().map(|row| row.id).collect::<Vec<_>>() {
        house.resolve("comp-1", exception).unwrap();
    }
    house.go("comp-1", session, Status::Finalized).unwrap();
}

#[test]
fn a_forced_session_without_a_closer_has_no_win() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.bring_and_count(drop, 7_000);
    house.force_close("pit-1", session, "flood").unwrap();
    assert_eq!(house.status(session), Status::Reconciled);
    let report = house.report(session);
    assert_eq!(
        (report.win_loss_stat_cents, report.inventory_result_cents, report.hold_bp),
        (None, None, None)
    );
    assert_eq!(
        (report.missing_inputs.clone(), report.drop_total_cents),
        (vec!["closing".to_owned()], Some(7_000))
    );
}

#[test]
fn every_state_of_play_and_closing_can_be_force_closed() {
    let road: &[fn(&mut House, Uuid)] = &[
        |_, _| {},
        |house, session| house.schedule("pit-1", session, None).unwrap(),
        |house, session| {
            house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
        },
        |house, session| {
            let removal = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
            house.bring_and_count(removal, 0);
        },
        |house, session| house.go("pit-1", session, Status::Closing).unwrap(),
    ];
    for prepare in road {
        let mut house = House::new();
        let session = house.playing(100_000);
        prepare(&mut house, session);
        let from = house.status(session);
        house.force_close("pit-1", session, "flood").unwrap();
        assert_eq!(house.taken[0].from, from.to_string());
        assert_eq!(house.taken[0].to, "CLOSED");
    }
}

#[test]
fn a_closer_counted_before_the_last_slip_waits_for_a_recount() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.issued(session, SlipKind::Fill, 1_000);
    house.go("pit-1", session, Status::Closing).unwrap();
    house.tray(session, SnapshotKind::Close, 100_000).unwrap();
    house.wait(1);
    house.verify_slip("pit-1", slip, "dealer-1", None).unwrap();
    house.deposit("pit-1", slip).unwrap();
    assert_eq!(house.status(session), Status::Closing);
    house.wait(1);
    let recount = house.tray(session, SnapshotKind::Close, 101_000).unwrap();
    assert_eq!(
        (house.status(session), house.session(session).closing_snapshot_id),
        (Status::Closed, Some(recount))
    );
}

#[test]
fn a_recount_supersedes_until_its_edge_is_taken() {
    let mut house = House::new();
    let session = house.opening("BJ-01", "BJ-01-A");
    let first = house
        .count_tray("pit-1", session, &tray(SnapshotKind::Open, chips(1_000)), None)
        .unwrap();
    let second = house
        .count_tray("pit-1", session, &tray(SnapshotKind::Open, chips(2_000)), None)
        .unwrap();
    conflict(house.verify_tray("pit-2", session, first, None), "superseded");
    let named = TrayCount {
        supersedes_id: Some(first),
        ..tray(SnapshotKind::Open, chips(3_000))
    };
    invalid(house.count_tray("pit-1", session, &named, None), "/supersedes_id");
    house.verify_tray("pit-2", session, second, None).unwrap();
    assert_eq!(house.session(session).opening_snapshot_id, Some(second));
    wrong_state(house.count_tray("pit-1", session, &tray(SnapshotKind::Open, chips(1_000)), None));
    wrong_state(house.verify_tray("pit-2", session, second, None));
}

#[test]
fn a_rundown_count_changes_no_state_and_no_figure() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let rundown = house
        .count_tray("pit-1", session, &tray(SnapshotKind::Rundown, chips(55_500)), None)
        .unwrap();
    assert!(house.taken.is_empty());
    assert!(matches!(house.events.as_slice(), [Event::InventoryRundownRecorded { .. }]));
    house.verify_tray("pit-2", session, rundown, None).unwrap();
    conflict(house.verify_tray("pit-2", session, rundown, None), "already_verified");
    let preview = workflows::rundown::compute(house.case(session).dossier(), &house.context("pit-1"));
    assert_eq!((preview.closing_total_cents, preview.win_loss_stat_cents), (None, None));
    assert_eq!(preview.missing_inputs, ["closing", "drop"]);
    house.go("pit-1", session, Status::Closing).unwrap();
    wrong_state(house.count_tray("pit-1", session, &tray(SnapshotKind::Rundown, chips(0)), None));
}

#[test]
fn openers_and_closers_are_told_when_verified_and_a_closer_without_par_has_no_discrepancy() {
    let mut house = House::new();
    let session = house.opening("BJ-01", "BJ-01-A");
    let opener = house
        .count_tray("pit-1", session, &tray(SnapshotKind::Open, chips(1_000)), None)
        .unwrap();
    assert!(house.events.is_empty(), "{:?}", house.events);
    house.verify_tray("pit-2", session, opener, None).unwrap();
    assert!(
        house
            .events
            .iter()
            .any(|event| matches!(event, Event::InventoryOpen { verified_by: Some(_), .. }))
    );
    house.go("pit-1", session, Status::Closing).unwrap();
    house.tray(session, SnapshotKind::Close, 900).unwrap();
    assert!(house.events.iter().any(|event| matches!(
        event,
        Event::InventoryClose {
            discrepancy_cents: None,
            ..
        }
    )));
}

#[test]
fn an_edge_that_is_none_is_illegal_and_an_early_automatic_one_names_its_gates() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let answer = house.go("pit-1", session, Status::Reconciled);
    let Err(Refusal::IllegalTransition {
        from, to: asked, allowed, ..
    }) = answer
    else {
        panic!("{answer:?}")
    };
    assert_eq!((from.as_str(), asked.as_str()), ("OPEN", "RECONCILED"));
    assert_eq!(allowed, ["DROP_SCHEDULED", "CLOSING", "CLOSED"]);
    assert!(
        matches!(house.go("pit-1", session, Status::Closed), Err(Refusal::IllegalTransition { .. })),
        "closing comes first"
    );
    house.go("pit-1", session, Status::Closing).unwrap();
    let Err(Refusal::GatesUnmet(gates)) = house.go("pit-1", session, Status::Closed) else {
        panic!("not refused")
    };
    let codes: Vec<_> = gates.iter().map(|gate| gate.code).collect();
    assert_eq!(codes, ["closing_snapshot_verified", "closer_current"]);
    let scheduled = workflows::session::Move {
        drop_scheduled_for: Some(house.at),
        ..to(Status::Closing)
    };
    let other = house.open("RL-01", "RL-01-A", 100);
    invalid(house.transition("pit-1", other, &scheduled), "/drop_scheduled_for");
}

#[test]
fn finalized_is_the_end() {
    let mut house = House::new();
    let session = house.finalized(100_000, 10_000, 100_000);
    for status in [
        Status::Reconciled,
        Status::Open,
        Status::ReadyToOpen,
        Status::Finalized,
        Status::Closed,
    ] {
        assert!(
            matches!(house.go("admin-1", session, status), Err(Refusal::IllegalTransition { .. })),
            "{status}"
        );
    }
    assert!(house.force_close("admin-1", session, "again").is_err());
    wrong_state(house.raise("comp-1", session, "too late"));
    wrong_state(house.tray(session, SnapshotKind::Close, 100));
    wrong_state(house.request("pit-1", session, &House::ask(SlipKind::Fill, 100)));
    wrong_state(crate::slips::enter(&mut house, session, 900));
}

#[test]
fn a_finalizer_signed_neither_closer_nor_count() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.bring(drop);
    let mut count = crate::casino::play::agreed(&house, 0);
    count.team.push(house.id_of("comp-1"));
    house.submit("admin-1", drop, &count).unwrap();
    let slip = house.issued(session, SlipKind::Fill, 1_000);
    house.go("pit-1", session, Status::Closing).unwrap();
    // A closer that a recount took the place of was signed all the same.
    let first = house
        .count_tray("pit-1", session, &tray(SnapshotKind::Close, chips(100)), None)
        .unwrap();
    house.verify_tray("admin-2", session, first, None).unwrap();
    house.tray(session, SnapshotKind::Close, 200).unwrap();
    house.void("cash-1", slip, "never carried", "sec-2").unwrap();
    assert_eq!(house.status(session), Status::Reconciled);
    forbidden(house.go("pit-1", session, Status::Finalized));
    for party in ["comp-1", "admin-1", "admin-2"] {
        assert!(
            matches!(house.go(party, session, Status::Finalized), Err(Refusal::Segregation { .. })),
            "{party}"
        );
    }
    house.go("comp-2", session, Status::Finalized).unwrap();
}
