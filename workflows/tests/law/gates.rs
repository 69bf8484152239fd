//! Every gate, once shut and once open, in real play.

use uuid::Uuid;
use workflows::gates;
use workflows::machine::Scene;
use workflows::refusal::{GateReport, Refusal};
use workflows::session::{self, MACHINE};
use workflows::snapshot;
use workflows::word::{SlipKind, SnapshotKind, Status, TableStatus};
use workflows::{drop_box, slip};

use crate::casino::play::{agreed, tray};
use crate::casino::{House, chips};

/// The gate shut, then the gate open.
type Play = fn() -> [GateReport; 2];

const PLAYS: &[(&str, Play)] = &[
    ("boxes_counted", boxes_counted),
    ("closer_current", closer_current),
    ("closing_snapshot_verified", closing_snapshot_verified),
    ("count_before_close", count_before_close),
    ("credit_received", credit_received),
    ("drop_box_attached", drop_box_attached),
    ("drop_box_present", drop_box_present),
    ("drop_delivered", drop_delivered),
    ("drop_present", drop_present),
    ("drop_received", drop_received),
    ("drop_recorded", drop_recorded),
    ("drop_time_set", drop_time_set),
    ("exceptions_resolved", exceptions_resolved),
    ("finalizer_independent", finalizer_independent),
    ("need_set", need_set),
    ("no_live_session", no_live_session),
    ("not_cancelled", not_cancelled),
    ("nothing_removed_since", nothing_removed_since),
    ("opening_snapshot_verified", opening_snapshot_verified),
    ("predecessor_closed", predecessor_closed),
    ("rating_slips_closed", rating_slips_closed),
    ("removal_unscheduled", removal_unscheduled),
    ("report_current", report_current),
    ("setup_ready", setup_ready),
    ("slip_forms_available", slip_forms_available),
    ("slips_deposited", slips_deposited),
    ("slips_settled", slips_settled),
    ("table_active", table_active),
];

#[test]
fn every_gate_is_once_shut_and_once_open() {
    for gate in gates::ALL {
        let (_, play) = PLAYS
            .iter()
            .find(|(code, _)| *code == gate.code)
            .unwrap_or_else(|| panic!("no play for {}", gate.code));
        let [shut, open] = play();
        assert_eq!((shut.code, shut.satisfied), (gate.code, false), "{}", shut.detail);
        assert_eq!((open.code, open.satisfied), (gate.code, true), "{}", open.detail);
        assert!(
            !shut.detail.is_empty() && !shut.needs.is_empty() && !shut.who.is_empty(),
            "{} explains itself",
            gate.code
        );
    }
    assert_eq!(PLAYS.len(), gates::ALL.len());
}

/// A gate as `GET …/transitions` shows it to this person.
fn seen_by(house: &House, by: &str, session: Uuid, code: &str) -> GateReport {
    let edges = session::open_to(house.case(session).dossier(), &house.context(by));
    let mut reports = edges.into_iter().flat_map(|edge| edge.gates).filter(|report| report.code == code);
    reports
        .next()
        .unwrap_or_else(|| panic!("no edge out of {} shows {code}", house.status(session)))
}

fn seen(house: &House, session: Uuid, code: &str) -> GateReport {
    seen_by(house, "pit-1", session, code)
}

/// The gate a refusal names.
fn unmet<T: std::fmt::Debug>(answer: Result<T, Refusal>, code: &str) -> GateReport {
    let Err(Refusal::GatesUnmet(gates)) = answer else {
        panic!("{code} was not in the way: {answer:?}")
    };
    gates
        .into_iter()
        .find(|gate| gate.code == code)
        .unwrap_or_else(|| panic!("{code} is not named"))
}

/// A gate of the creation edge, judged on the floor as it is.
fn on_create(house: &House, code: &str) -> GateReport {
    let mut elsewhere = House::new();
    let session = elsewhere.create("pit-1", "BJ-01", None).expect("created");
    let mut dossier = elsewhere.case(session).dossier().clone();
    dossier.floor = house.store.floor(house.table("BJ-01").id, None, house.par_cents);
    dossier.session.bank_mode = house.casino.bank_mode;
    let (case, context) = (workflows::case::Case::open(dossier), house.context("pit-1"));
    let edge = MACHINE.edge(None, "create").expect("an edge");
    edge.reports(&case.scene(&context))
        .into_iter()
        .find(|report| report.code == code)
        .expect("a gate of the edge")
}

fn boxes_counted() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    let mut shut = Vec::new();
    shut.push(seen(&house, session, "boxes_counted").detail);
    house.deliver("sec-1", drop).unwrap();
    shut.push(seen(&house, session, "boxes_counted").detail);
    house.receive("team-1", drop, "seal of BJ-01-A").unwrap();
    let received = seen(&house, session, "boxes_counted");
    shut.push(received.detail.clone());
    shut.dedup();
    assert_eq!(shut.len(), 3, "each step missing is named: {shut:?}");
    house.submit("team-1", drop, &agreed(&house, 1_000)).unwrap();
    assert_eq!(house.status(session), Status::Counted);
    house.close(session, 100_000);
    [received, seen(&house, session, "boxes_counted")]
}

fn closer_current() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.issued(session, SlipKind::Fill, 1_000);
    house.wait(1);
    house.close(session, 100_000);
    house.wait(1);
    house.verify_slip("pit-1", slip, "dealer-1", None).unwrap();
    let shut = seen(&house, session, "closer_current");
    house.wait(1);
    house.tray(session, SnapshotKind::Close, 101_000).unwrap();
    assert_eq!(house.status(session), Status::Closing, "the slip is not deposited yet");
    [shut, seen(&house, session, "closer_current")]
}

fn closing_snapshot_verified() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.issued(session, SlipKind::Fill, 1_000);
    house.go("pit-1", session, Status::Closing).unwrap();
    let nothing = seen(&house, session, "closing_snapshot_verified");
    let closer = house
        .count_tray("pit-1", session, &tray(SnapshotKind::Close, chips(100_000)), None)
        .unwrap();
    let shut = seen(&house, session, "closing_snapshot_verified");
    assert_ne!(nothing.detail, shut.detail, "not counted and not verified are told apart");
    house.verify_tray("pit-2", session, closer, None).unwrap();
    [shut, seen(&house, session, "closing_snapshot_verified")]
}

fn count_before_close() -> [GateReport; 2] {
    let mut house = House::new();
    house.casino.count_before_close = true;
    let session = house.playing(100_000);
    let shut = unmet(house.go("pit-1", session, Status::Closing), "count_before_close");
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    unmet(house.go("pit-1", session, Status::Closing), "count_before_close");
    house.bring_and_count(drop, 0);
    let open = seen(&house, session, "count_before_close");
    house.go("pit-1", session, Status::Closing).unwrap();
    [shut, open]
}

fn credit_received() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    let credit = house.verified(session, SlipKind::Credit, 1_000);
    let shut = unmet(house.deposit("pit-1", credit), "credit_received");
    house.cage_receipt("cash-2", credit, None).unwrap();
    let open = slip_gate(&house, session, credit, "credit_received");
    house.deposit("pit-1", credit).unwrap();
    [shut, open]
}

fn slip_gate(house: &House, session: Uuid, id: Uuid, code: &str) -> GateReport {
    let case = house.case(session);
    let context = house.context("pit-1");
    let scene = Scene {
        slip: Some(house.slip(id)),
        ..case.scene(&context)
    };
    let edge = slip::MACHINE.edge(Some(house.slip(id).status), "deposit").expect("an edge");
    edge.reports(&scene)
        .into_iter()
        .find(|report| report.code == code)
        .expect("a gate of the edge")
}

fn drop_box_attached() -> [GateReport; 2] {
    let mut house = House::new();
    let first = house.playing(100_000);
    house.close(first, 100_000);
    let second = house.create("pit-1", "BJ-01", None).unwrap();
    let none = unmet(house.go("pit-1", second, Status::Opening), "drop_box_attached");
    assert!(none.detail.contains("no drop box"), "{}", none.detail);
    house.prepare("pit-1", second, "BJ-01-A").unwrap();
    let shut = unmet(house.go("pit-1", second, Status::Opening), "drop_box_attached");
    assert!(shut.detail.contains("one box never serves two sessions"), "{}", shut.detail);
    house.remove(first, "BJ-01-A", None).unwrap();
    unmet(house.go("pit-1", second, Status::Opening), "drop_box_attached");
    house.prepare("pit-1", second, "BJ-01-B").unwrap();
    let open = seen(&house, second, "drop_box_attached");
    house.go("pit-1", second, Status::Opening).unwrap();
    [shut, open]
}

fn drop_box_present() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.verified(session, SlipKind::Fill, 1_000);
    let open = slip_gate(&house, session, slip, "drop_box_present");
    house.deposit("pit-1", slip).unwrap();
    house.close(session, 101_000);
    house.remove(session, "BJ-01-A", None).unwrap();
    let late = offline(&mut house, session);
    house.verify_slip("pit-1", late, "dealer-1", None).unwrap();
    [unmet(house.deposit("pit-1", late), "drop_box_present"), open]
}

/// A slip written by hand, entered after the table closed.
fn offline(house: &mut House, session: Uuid) -> Uuid {
    crate::slips::enter(house, session, 901).expect("entered")
}

fn drop_delivered() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    let shut = unmet(house.receive("team-1", drop, "seal of BJ-01-A"), "drop_delivered");
    house.deliver("sec-2", drop).unwrap();
    let open = drop_gate(&house, session, drop, "receive", "drop_delivered");
    house.receive("team-1", drop, "seal of BJ-01-A").unwrap();
    [shut, open]
}

fn drop_gate(house: &House, session: Uuid, id: Uuid, verb: &str, code: &str) -> GateReport {
    let (case, context) = (house.case(session), house.context("team-1"));
    let drop = house.drop_event(id);
    let edge = drop_box::MACHINE.edge(Some(drop.custody()), verb).expect("an edge");
    edge.reports(&Scene {
        drop: Some(drop),
        ..case.scene(&context)
    })
    .into_iter()
    .find(|report| report.code == code)
    .expect("a gate")
}

fn drop_present() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.close(session, 100_000);
    let shut = seen(&house, session, "drop_present");
    house.remove(session, "BJ-01-A", None).unwrap();
    [shut, seen(&house, session, "drop_present")]
}

fn drop_received() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.deliver("sec-1", drop).unwrap();
    let given = agreed(&house, 1_000);
    let shut = unmet(house.submit("team-1", drop, &given), "drop_received");
    house.receive("team-1", drop, "seal of BJ-01-A").unwrap();
    [shut, drop_gate(&house, session, drop, "count", "drop_received")]
}

fn drop_recorded() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.issued(session, SlipKind::Fill, 1_000);
    house.schedule("pit-1", session, None).unwrap();
    let shut = unmet(house.go("pit-1", session, Status::Dropped), "drop_recorded");
    house.remove(session, "BJ-01-A", Some("BJ-01-B")).unwrap();
    [shut, seen(&house, session, "drop_recorded")]
}

/// A schedule without a time is planned for now, so only a look without a time finds this gate shut.
fn drop_time_set() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    let (case, context) = (house.case(session), house.context("pit-1"));
    let edge = MACHINE.edge(Some(Status::Open), "schedule_drop").expect("an edge");
    let shut = edge.reports(&case.scene(&context)).remove(0);
    [shut, seen(&house, session, "drop_time_set")]
}

fn exceptions_resolved() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.reconciled(100_000, 10_000, 100_000);
    let exception = house.raise("pit-1", session, "a chip was found under the table").unwrap();
    let shut = unmet(house.go("comp-1", session, Status::Finalized), "exceptions_resolved");
    house.acknowledge("comp-1", exception).unwrap();
    unmet(house.go("comp-1", session, Status::Finalized), "exceptions_resolved");
    house.resolve("comp-1", exception).unwrap();
    [shut, seen_by(&house, "comp-1", session, "exceptions_resolved")]
}

fn finalizer_independent() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.bring_and_count(drop, 10_000);
    house.go("pit-1", session, Status::Closing).unwrap();
    house
        .count_tray("admin-1", session, &tray(SnapshotKind::Close, chips(100_000)), Some("dealer-1"))
        .unwrap();
    let answer = house.go("admin-1", session, Status::Finalized);
    let Err(Refusal::Segregation { rule, person, gates, .. }) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!((rule, person), ("finalizer_independent", house.id_of("admin-1")));
    let open = seen_by(&house, "admin-2", session, "finalizer_independent");
    house.go("admin-2", session, Status::Finalized).unwrap();
    [gates.into_iter().next().expect("the gate is shown"), open]
}

fn need_set() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.create("pit-1", "BJ-01", Some("BJ-01-A")).unwrap();
    house.casino.bank_mode = workflows::word::BankMode::ImprestToPar;
    house.go("pit-1", session, Status::Opening).unwrap();
    house.tray(session, SnapshotKind::Open, 100_000).unwrap();
    assert_eq!(house.status(session), Status::Opening, "the bank became imprest and no par was set");
    let mut imprest = House::imprest(100_000);
    let known = imprest.opening("BJ-01", "BJ-01-A");
    [seen(&house, session, "need_set"), seen(&imprest, known, "need_set")]
}

fn no_live_session() -> [GateReport; 2] {
    let mut house = House::new();
    let open = on_create(&house, "no_live_session");
    house.playing(100_000);
    [on_create(&house, "no_live_session"), open]
}

fn not_cancelled() -> [GateReport; 2] {
    let mut house = House::new();
    let cancelled = house.create("pit-1", "BJ-01", None).unwrap();
    house.cancel("pit-1", cancelled, "the table stays shut tonight").unwrap();
    let played = house.open("RL-01", "RL-01-A", 100_000);
    house.close(played, 100_000);
    [seen(&house, cancelled, "not_cancelled"), seen(&house, played, "not_cancelled")]
}

fn nothing_removed_since() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.issued(session, SlipKind::Fill, 1_000);
    house.schedule("pit-1", session, None).unwrap();
    let open = seen(&house, session, "nothing_removed_since");
    house.remove(session, "BJ-01-A", Some("BJ-01-B")).unwrap();
    [unmet(house.go("pit-1", session, Status::Open), "nothing_removed_since"), open]
}

fn opening_snapshot_verified() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.opening("BJ-01", "BJ-01-A");
    unmet(house.go("pit-1", session, Status::Open), "opening_snapshot_verified");
    let opener = house
        .count_tray("pit-1", session, &tray(SnapshotKind::Open, chips(100_000)), None)
        .unwrap();
    let shut = unmet(house.go("pit-1", session, Status::Open), "opening_snapshot_verified");
    // Between the fact and the engine's walk the gate stands open.
    let context = house.context("pit-2");
    let mut case = house.case(session);
    snapshot::verify(&mut case, &context, opener, None).unwrap();
    let open = session::open_to(case.dossier(), &context).remove(0).gates.remove(0);
    [shut, open]
}

/// The store lets no session begin beside a live one; the gate holds where it is asked all the same.
fn predecessor_closed() -> [GateReport; 2] {
    let mut house = House::new();
    let first = house.playing(100_000);
    let drop = house.drop_now(first, "BJ-01-A", Some("BJ-01-B"));
    house.bring_and_count(drop, 0);
    house.close(first, 100_000);
    let second = house.create("pit-1", "BJ-01", Some("BJ-01-B")).unwrap();
    let open = seen(&house, second, "predecessor_closed");
    let mut dossier = house.case(second).dossier().clone();
    dossier.floor.predecessor.as_mut().expect("a predecessor").status = Status::Closing;
    let case = workflows::case::Case::open(dossier);
    let mut edges = session::open_to(case.dossier(), &house.context("pit-1"))
        .into_iter()
        .flat_map(|edge| edge.gates);
    [edges.find(|gate| gate.code == "predecessor_closed").expect("shown"), open]
}

fn removal_unscheduled() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    let shut = seen(&house, session, "removal_unscheduled");
    let (mut case, context) = (house.case(session), house.context("sec-1"));
    let given = house.removal("BJ-01-A", Some("BJ-01-B"));
    workflows::custody::remove(&mut case, &context, &given, &house.cosigner("pit-1")).unwrap();
    let mut gates = session::open_to(case.dossier(), &context).into_iter().flat_map(|edge| edge.gates);
    [shut, gates.find(|gate| gate.code == "removal_unscheduled").expect("shown")]
}

fn report_current() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.reconciled(100_000, 10_000, 100_000);
    let open = seen(&house, session, "report_current");
    // Between the late removal and the engine's walk the report is of yesterday.
    let (mut case, context) = (house.case(session), house.context("sec-1"));
    let given = house.removal("BJ-01-B", None);
    workflows::custody::remove(&mut case, &context, &given, &house.cosigner("pit-1")).unwrap();
    let mut gates = session::open_to(case.dossier(), &context).into_iter().flat_map(|edge| edge.gates);
    [gates.find(|gate| gate.code == "report_current").expect("shown"), open]
}

fn setup_ready() -> [GateReport; 2] {
    let mut house = House::new();
    house.casino.denominations_cents.clear();
    unmet(house.create("pit-1", "BJ-01", None), "setup_ready");
    let mut imprest = House::imprest(1_000);
    let open = on_create(&imprest, "setup_ready");
    imprest.par_cents = None;
    [unmet(imprest.create("pit-1", "BJ-01", None), "setup_ready"), open]
}

fn slip_forms_available() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.create("pit-1", "BJ-01", Some("BJ-01-A")).unwrap();
    let open = seen(&house, session, "slip_forms_available");
    house.casino.credit_series_open = false;
    [unmet(house.go("pit-1", session, Status::Opening), "slip_forms_available"), open]
}

fn slips_deposited() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.verified(session, SlipKind::Fill, 1_000);
    house.schedule("pit-1", session, None).unwrap();
    let shut = unmet(house.go("pit-1", session, Status::Dropped), "slips_deposited");
    house.deposit("pit-1", slip).unwrap();
    [shut, seen(&house, session, "slips_deposited")]
}

fn rating_slips_closed() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.seat("BJ-01");
    house.close(session, 100_000);
    assert_eq!(house.status(session), Status::Closing, "somebody is still rated");
    let shut = unmet(house.go("pit-1", session, Status::Closed), "rating_slips_closed");
    house.store.rating_slips.clear();
    [shut, seen(&house, session, "rating_slips_closed")]
}

fn slips_settled() -> [GateReport; 2] {
    let mut house = House::new();
    let session = house.playing(100_000);
    let slip = house.verified(session, SlipKind::Fill, 1_000);
    house.wait(1);
    house.close(session, 101_000);
    let shut = unmet(house.go("pit-1", session, Status::Closed), "slips_settled");
    house.deposit("pit-1", slip).unwrap();
    assert_eq!(house.status(session), Status::Closed);
    [shut, seen(&house, session, "slips_settled")]
}

fn table_active() -> [GateReport; 2] {
    let mut house = House::new();
    let open = on_create(&house, "table_active");
    house.store.tables[0].status = TableStatus::Inactive;
    [unmet(house.create("pit-1", "BJ-01", None), "table_active"), open]
}

#[test]
fn a_refused_command_names_every_unmet_gate_at_once() {
    let mut house = House::new();
    let session = house.create("pit-1", "BJ-01", None).unwrap();
    house.casino.fill_series_open = false;
    house.store.tables[0].status = TableStatus::Inactive;
    let Err(Refusal::GatesUnmet(gates)) = house.go("pit-1", session, Status::Opening) else {
        panic!("not refused")
    };
    let codes: Vec<_> = gates.iter().map(|gate| gate.code).collect();
    assert_eq!(codes, ["table_active", "drop_box_attached", "slip_forms_available"]);
    assert_eq!(house.status(session), Status::ReadyToOpen);
}
