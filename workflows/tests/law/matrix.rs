//! The table of edges is pinned: whoever changes the law changes this page knowingly.

use std::collections::BTreeSet;

use strum::VariantArray as _;
use workflows::gates;
use workflows::machine::Machine;
use workflows::role::Role::{self, Admin, Compliance, PitBoss, System};
use workflows::session::MACHINE;
use workflows::word::{Status, Trigger};
use workflows::{drop_box, exception, rating_slip, slip, visit};

/// Rows are from, columns are to. `c` a command, `a` automatic, `b` both; `x` cancel, `f` force close; `t` takes a schedule back;
/// `F` automatic through the closer and by force.
const TABLE: &str = "
                 RTO OPN OPE SCH DRP CNT CLG CLD REC FIN
READY_TO_OPEN     .   c   .   .   .   .   .   x   .   .
OPENING           .   .   a   .   .   .   .   x   .   .
OPEN              .   .   .   b   .   .   c   f   .   .
DROP_SCHEDULED    .   .   t   .   T   t   c   f   .   .
DROPPED           .   .   .   b   .   a   c   f   .   .
COUNTED           .   .   .   b   .   .   c   f   .   .
CLOSING           .   .   .   .   .   .   .   F   .   .
CLOSED            .   .   .   .   .   .   .   .   a   .
RECONCILED        .   .   .   .   .   .   .   .   .   c
FINALIZED         .   .   .   .   .   .   .   .   .   .
";

/// The verbs and triggers a letter of the table stands for.
fn meaning(letter: &str, to: Status) -> BTreeSet<(&'static str, Trigger)> {
    let command = match to {
        Status::Opening => "begin_opening",
        Status::DropScheduled => "schedule_drop",
        Status::Closing => "begin_closing",
        Status::Finalized => "finalize",
        Status::ReadyToOpen | Status::Open | Status::Dropped | Status::Counted | Status::Closed | Status::Reconciled => "no command",
    };
    let auto = match to {
        Status::Open => "open",
        Status::DropScheduled => "self_schedule",
        Status::Dropped => "drop",
        Status::Counted => "count",
        Status::Closed => "close",
        Status::Reconciled => "reconcile",
        Status::ReadyToOpen | Status::Opening | Status::Closing | Status::Finalized => "nothing automatic",
    };
    match letter {
        "." => BTreeSet::new(),
        "c" => [(command, Trigger::Command)].into(),
        "a" => [(auto, Trigger::Auto)].into(),
        "b" => [(command, Trigger::Command), (auto, Trigger::Auto)].into(),
        "t" => [("take_back", Trigger::Command)].into(),
        "T" => [("take_back", Trigger::Command), (auto, Trigger::Auto)].into(),
        "x" => [("cancel", Trigger::Command)].into(),
        "f" => [("force_close", Trigger::Command)].into(),
        "F" => [("force_close", Trigger::Command), (auto, Trigger::Auto)].into(),
        other => panic!("{other} is no letter of the table"),
    }
}

#[test]
fn the_ten_by_ten_matrix_of_states_is_pinned() {
    let rows: Vec<Vec<&str>> = TABLE.trim().lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 10);
    for (row, from) in rows.iter().zip(Status::VARIANTS) {
        assert_eq!((row[0], row.len()), (from.to_string().as_str(), 11));
        for (letter, to) in row[1..].iter().zip(Status::VARIANTS) {
            let edges: Vec<_> = MACHINE
                .edges_from(Some(*from))
                .filter(|edge| edge.to == *to)
                .map(|edge| (edge.verb, edge.trigger))
                .collect();
            let distinct: BTreeSet<_> = edges.iter().copied().collect();
            assert_eq!(distinct.len(), edges.len(), "{from} -> {to}: each verb once");
            assert_eq!(distinct, meaning(letter, *to), "{from} -> {to}");
        }
    }
    let created: Vec<_> = MACHINE.edges_from(None).map(|edge| (edge.verb, edge.to)).collect();
    assert_eq!(created, [("create", Status::ReadyToOpen)]);
}

/// Who may ask for a command edge, and which gates hold an edge: domain §4, line for line.
#[test]
fn who_may_ask_and_which_gates_hold_are_pinned() {
    const FLOOR: &[Role] = &[PitBoss, Admin];
    const JOBS: &[Role] = &[PitBoss, Admin, System];
    let expected: &[(&str, &[Role], &[&str])] = &[
        ("create", JOBS, &["table_active", "no_live_session", "setup_ready"]),
        (
            "begin_opening",
            FLOOR,
            &["table_active", "drop_box_attached", "slip_forms_available", "predecessor_closed"],
        ),
        ("open", &[], &["opening_snapshot_verified", "need_set"]),
        ("schedule_drop", JOBS, &["drop_time_set"]),
        ("self_schedule", &[], &["removal_unscheduled"]),
        ("take_back", FLOOR, &["nothing_removed_since"]),
        ("drop", &[], &["drop_recorded", "slips_deposited"]),
        ("count", &[], &["boxes_counted"]),
        ("begin_closing", JOBS, &["count_before_close"]),
        (
            "close",
            &[],
            &[
                "closing_snapshot_verified",
                "closer_current",
                "slips_settled",
                "rating_slips_closed",
            ],
        ),
        (
            "reconcile",
            &[],
            &["not_cancelled", "drop_present", "boxes_counted", "slips_settled"],
        ),
        (
            "finalize",
            &[Compliance, Admin],
            &[
                "exceptions_resolved",
                "report_current",
                "boxes_counted",
                "slips_settled",
                "finalizer_independent",
            ],
        ),
        ("force_close", FLOOR, &[]),
    ];
    for (verb, who, codes) in expected {
        let edges: Vec<_> = MACHINE.edges.iter().filter(|edge| edge.verb == *verb).collect();
        assert!(!edges.is_empty(), "{verb}");
        for edge in edges {
            assert_eq!(edge.who, *who, "{verb}");
            assert_eq!(edge.gates.iter().map(|gate| gate.code).collect::<Vec<_>>(), *codes, "{verb}");
        }
    }
    let cancel = |from| MACHINE.edge(Some(from), "cancel").expect("an edge");
    assert_eq!((cancel(Status::ReadyToOpen).who, cancel(Status::Opening).who), (JOBS, FLOOR));
    let known = expected.iter().map(|(verb, _, _)| *verb).chain(["cancel"]).collect::<BTreeSet<_>>();
    assert_eq!(MACHINE.edges.iter().map(|edge| edge.verb).collect::<BTreeSet<_>>(), known);
}

#[test]
fn every_state_is_reachable_finalized_has_no_exit_and_nothing_returns_to_ready() {
    all_reachable(&MACHINE);
    all_reachable(&slip::MACHINE);
    all_reachable(&drop_box::MACHINE);
    all_reachable(&exception::MACHINE);
    all_reachable(&visit::MACHINE);
    all_reachable(&rating_slip::MACHINE);
    assert_eq!(MACHINE.edges_from(Some(Status::Finalized)).count(), 0);
    assert_eq!(
        MACHINE
            .edges
            .iter()
            .filter(|edge| edge.to == Status::ReadyToOpen && edge.from.is_some())
            .count(),
        0
    );
}

fn all_reachable<S: Copy + PartialEq + std::fmt::Display>(machine: &Machine<S>) {
    let mut reached: Vec<S> = machine.edges_from(None).map(|edge| edge.to).collect();
    for _ in machine.states {
        let next: Vec<S> = reached
            .iter()
            .flat_map(|from| machine.edges_from(Some(*from)))
            .map(|edge| edge.to)
            .collect();
        for state in next {
            if !reached.contains(&state) {
                reached.push(state);
            }
        }
    }
    for state in machine.states {
        assert!(reached.contains(state), "{}: {state} is reachable", machine.name);
    }
}

#[test]
fn every_gate_is_used_by_an_edge_and_every_edge_s_gate_is_known() {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    used.extend(codes(&MACHINE));
    used.extend(codes(&slip::MACHINE));
    used.extend(codes(&drop_box::MACHINE));
    used.extend(codes(&exception::MACHINE));
    used.extend(codes(&visit::MACHINE));
    used.extend(codes(&rating_slip::MACHINE));
    let known: BTreeSet<&str> = gates::ALL.iter().map(|gate| gate.code).collect();
    assert_eq!(known.len(), gates::ALL.len(), "a code names one gate");
    assert_eq!(used, known);
}

fn codes<S: Copy + PartialEq>(machine: &Machine<S>) -> impl Iterator<Item = &'static str> {
    machine.edges.iter().flat_map(|edge| edge.gates).map(|gate| gate.code)
}
