//! Roles and persons: who may act, and who may not whatever the role (domain §3).

use workflows::machine::Machine;
use workflows::refusal::Refusal;
use workflows::role::Role;
use workflows::snapshot;
use workflows::word::{SnapshotKind, Status, Trigger};
use workflows::{custody, drop_box, exception};

use crate::casino::play::tray;
use crate::casino::{House, STAFF, chips};
use crate::slips::{forbidden, segregated};

#[test]
fn a_tray_is_verified_by_a_dealer_or_a_pit_boss_never_by_its_counter() {
    let mut house = House::new();
    let session = house.opening("BJ-01", "BJ-01-A");
    let given = tray(SnapshotKind::Open, chips(1_000));
    let counted = house.count_tray("pit-1", session, &given, None).unwrap();
    segregated(
        house.verify_tray("pit-1", session, counted, None),
        "counter_is_not_verifier",
        house.id_of("pit-1"),
    );
    segregated(
        house.verify_tray("pit-2", session, counted, Some("pit-1")),
        "counter_is_not_verifier",
        house.id_of("pit-1"),
    );
    for other in ["cash-1", "sec-1", "team-1", "comp-1"] {
        forbidden(house.verify_tray("pit-1", session, counted, Some(other)));
    }
    assert_eq!(house.status(session), Status::Opening);
    house
        .verify_tray("pit-1", session, counted, Some("dealer-1"))
        .expect("the counter carries the co-signer");
    let row = &house.store.snapshots[0];
    assert_eq!(
        (row.counted_by, row.verified_by),
        (house.id_of("pit-1"), Some(house.id_of("dealer-1")))
    );
}

#[test]
fn a_refused_cosigner_leaves_no_count_behind() {
    let house = House::new();
    let mut played = house.clone();
    let session = played.opening("BJ-01", "BJ-01-A");
    let given = tray(SnapshotKind::Open, chips(1_000));
    let mut case = played.case(session);
    let before = case.dossier().clone();
    let cosigner = played.cosigner("pit-1");
    assert!(snapshot::count(&mut case, &played.context("pit-1"), &given, Some(&cosigner)).is_err());
    assert!(*case.dossier() == before, "a refused command leaves the dossier equal");
}

/// The table of a box's custody decides who may: not another list beside it.
#[test]
fn each_custody_step_is_its_department_s_by_the_machine_s_own_table() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let removal = house.removal("BJ-01-A", Some("BJ-01-B"));
    for (number, role) in STAFF {
        let answer = custody::remove(&mut house.case(session), &house.context(number), &removal, &house.cosigner("sec-3"));
        if *number != "sec-3" {
            admits(&drop_box::MACHINE, "remove", *role, &answer);
        }
    }
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    for (number, role) in STAFF {
        let answer = custody::deliver(&mut house.case(session), &house.context(number), drop, None, None);
        admits(&drop_box::MACHINE, "deliver", *role, &answer);
    }
    house.deliver("sec-1", drop).unwrap();
    house.casino.cashier_receives_boxes = true;
    for (number, role) in STAFF {
        let answer = custody::receive(&mut house.case(session), &house.context(number), drop, "seal");
        admits(&drop_box::MACHINE, "receive", *role, &answer);
    }
    for (number, role) in STAFF.iter().filter(|(_, role)| *role != Role::System) {
        let answer = exception::raise_manually(&mut house.case(session), &house.context(number), "odd", None);
        admits(&exception::MACHINE, "raise", *role, &answer);
    }
}

fn admits<S: Copy + PartialEq + std::fmt::Display, T: std::fmt::Debug>(
    machine: &Machine<S>,
    verb: &str,
    role: Role,
    answer: &Result<T, Refusal>,
) {
    let edge = machine.edges.iter().find(|edge| edge.verb == verb).expect("an edge");
    assert_eq!(edge.trigger, Trigger::Command);
    let shut_out = matches!(answer, Err(Refusal::Forbidden { .. } | Refusal::Segregation { .. }));
    assert_eq!(!shut_out, edge.who.contains(&role), "{verb} by {role}: {answer:?}");
}

#[test]
fn a_cashier_receives_boxes_only_where_the_casino_says_so() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.deliver("sec-1", drop).unwrap();
    forbidden(house.receive("cash-1", drop, "seal of BJ-01-A"));
    forbidden(house.receive("sec-1", drop, "seal of BJ-01-A"));
    house.casino.cashier_receives_boxes = true;
    house.receive("cash-1", drop, "seal of BJ-01-A").unwrap();
}

#[test]
fn every_command_edge_of_a_session_is_refused_to_every_other_role() {
    let mut house = House::new();
    let session = house.create("pit-1", "BJ-01", Some("BJ-01-A")).unwrap();
    for outsider in ["dealer-1", "cash-1", "sec-1", "team-1", "comp-1", "system"] {
        let begun = workflows::session::advance(
            &mut house.case(session),
            &house.context(outsider),
            &crate::casino::play::to(Status::Opening),
        );
        forbidden(begun);
    }
    let reconciled = House::new().reconciled_by_the_usual();
    for outsider in ["dealer-2", "pit-2", "cash-1", "sec-2", "team-4", "system"] {
        let answer = workflows::session::advance(
            &mut reconciled.0.case(reconciled.1),
            &reconciled.0.context(outsider),
            &crate::casino::play::to(Status::Finalized),
        );
        forbidden(answer);
    }
}

impl House {
    fn reconciled_by_the_usual(mut self) -> (Self, uuid::Uuid) {
        let session = self.reconciled(100_000, 0, 100_000);
        (self, session)
    }
}
