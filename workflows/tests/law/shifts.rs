//! Shifts: which one an opening binds, how far closing one drives a session, and what time brings to light (domain §9, §11).

use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;
use workflows::act;
use workflows::case::Case;
use workflows::deadline::{self, Gap, sweep};
use workflows::dossier::{Dossier, Floor};
use workflows::record::Shift;
use workflows::refusal::Refusal;
use workflows::session::{self, advance};
use workflows::shift_close::{Blocked, Line, Plan, drive, line};
use workflows::word::{Category, ExceptionStatus, ShiftStatus, SlipKind, SnapshotKind, Status};

use crate::casino::play::to;
use crate::casino::{House, new_id};

/// From two hours before now to six hours after, unless it is changed.
fn shift(house: &House) -> Shift {
    Shift {
        id: new_id(),
        casino_id: house.casino.id,
        gaming_day: "2026-03-06".parse().unwrap(),
        name: "day".to_owned(),
        starts_at: house.at - TimeDelta::hours(2),
        ends_at: house.at + TimeDelta::hours(6),
        status: ShiftStatus::Open,
        template_id: Uuid::nil(),
        closed_at: None,
        version: 1,
        created_at: house.at,
    }
}

fn plan(house: &House, shift: &Shift) -> Plan {
    Plan {
        shift: Shift {
            status: ShiftStatus::Closed,
            closed_at: Some(house.at),
            ..shift.clone()
        },
        drop_at: house.at,
        start_closings: false,
    }
}

/// The shift a session has after its opening has begun, prepared for one, with these on the desk.
fn bound(house: &mut House, given: Option<&Shift>, now: Option<Uuid>) -> Option<Uuid> {
    let mut house = house.clone();
    let session = house.create("pit-1", "BJ-01", Some("BJ-01-A")).unwrap();
    let mut dossier = house.store.load(session, None);
    dossier.session.shift_id = given.map(|shift| shift.id);
    let floor = Floor {
        shift_now: now,
        shift_named: given.cloned(),
        ..dossier.floor
    };
    let mut case = Case::open(Dossier { floor, ..dossier });
    advance(&mut case, &house.context("pit-1"), &to(Status::Opening)).unwrap();
    case.session().shift_id
}

#[test]
fn an_opening_binds_the_shift_given_or_else_the_one_that_holds_the_moment() {
    let mut house = House::new();
    let (now, given) = (new_id(), shift(&house));
    assert_eq!(bound(&mut house, Some(&given), Some(now)), Some(given.id));
    assert_eq!(bound(&mut house, None, Some(now)), Some(now));
    assert_eq!(bound(&mut house, None, None), None);
    let early = Shift {
        starts_at: house.at + TimeDelta::hours(1),
        ..given.clone()
    };
    assert_eq!(
        bound(&mut house, Some(&early), Some(now)),
        Some(early.id),
        "opened ahead of its shift"
    );
    let over = Shift {
        ends_at: house.at,
        ..given.clone()
    };
    assert_eq!(bound(&mut house, Some(&over), Some(now)), Some(now), "the next one has begun");
    assert_eq!(
        bound(&mut house, Some(&over), None),
        Some(over.id),
        "nobody has opened the next one yet"
    );
    let closed = Shift {
        status: ShiftStatus::Closed,
        ..given
    };
    assert_eq!(bound(&mut house, Some(&closed), Some(now)), Some(now));
    assert_eq!(
        bound(&mut house, Some(&closed), None),
        None,
        "what is told of a closed shift stays true"
    );
}

#[test]
fn a_shift_that_comes_late_takes_in_what_began_in_it_and_nothing_else() {
    let mut house = House::new();
    let late = shift(&house);
    let session = house.open("BJ-01", "BJ-01-A", 100_000);
    let given = |change: &dyn Fn(&mut Dossier), shift: &Shift| {
        let mut dossier = house.store.load(session, None);
        dossier.floor.shift_named = Some(shift.clone());
        change(&mut dossier);
        let mut case = Case::open(dossier);
        session::adopt(&mut case, shift.id).map(|()| case.session().shift_id)
    };
    assert_eq!(given(&|_| {}, &late), Ok(Some(late.id)));
    let (other, ends_at) = (new_id(), late.ends_at);
    assert_eq!(
        given(&|dossier| dossier.session.shift_id = Some(other), &late),
        Ok(Some(other)),
        "it has one"
    );
    assert_eq!(
        given(&|dossier| dossier.session.opened_at = Some(ends_at), &late),
        Ok(None),
        "the next one's"
    );
    assert_eq!(
        given(&|dossier| dossier.session.opened_at = None, &late),
        Ok(None),
        "an opening will bind it"
    );
    assert_eq!(
        given(&|dossier| dossier.session.status = Status::Finalized, &late),
        Ok(None),
        "signed off"
    );
    let closed = Shift {
        status: ShiftStatus::Closed,
        ..late.clone()
    };
    assert!(matches!(
        given(&|_| {}, &closed),
        Err(Refusal::Conflict {
            reason: "shift_closed",
            ..
        })
    ));
}

#[test]
fn a_shift_that_is_named_is_there_and_open() {
    let mut house = House::new();
    let open = shift(&house);
    let closed = Shift {
        status: ShiftStatus::Closed,
        ..open.clone()
    };
    let session = house.create("pit-1", "BJ-01", None).unwrap();
    let with = |named: Option<&Shift>, id: Uuid| {
        let mut dossier = house.store.load(session, None);
        dossier.floor.shift_named = named.cloned();
        session::prepare(&mut Case::open(dossier), None, Some(id))
    };
    assert_eq!(with(Some(&open), open.id), Ok(()));
    assert_eq!(with(None, open.id), Err(Refusal::NotFound("shift")));
    assert_eq!(with(Some(&open), new_id()), Err(Refusal::NotFound("shift")));
    let refused = with(Some(&closed), closed.id).unwrap_err();
    assert!(
        matches!(
            refused,
            Refusal::Conflict {
                reason: "shift_closed",
                ..
            }
        ),
        "{refused:?}"
    );
}

/// Drives one session by a plan as its job does; what is told of it.
fn driven(house: &mut House, session: Uuid, plan: &Plan) -> Line {
    house
        .store
        .sessions
        .iter_mut()
        .filter(|row| row.id == session)
        .for_each(|row| row.shift_id = Some(plan.shift.id));
    let context = house.context("system");
    let mut case = house.case(session);
    drive(&mut case, &context, plan).unwrap();
    case.settle(&context);
    let changes = case.finish();
    let told = line(&changes, &context, plan).unwrap();
    house.commit(changes);
    told
}

fn steps(line: &Line) -> Vec<String> {
    line.advanced.iter().map(|step| format!("{} -> {}", step.from, step.to)).collect()
}

fn held(line: &Line) -> Vec<(String, Vec<String>)> {
    line.blocked
        .iter()
        .map(|Blocked { edge, gates }| (edge.clone(), gates.clone()))
        .collect()
}

fn gates(edge: &str, gates: &[&str]) -> (String, Vec<String>) {
    (edge.to_owned(), gates.iter().map(|gate| (*gate).to_owned()).collect())
}

#[test]
fn closing_a_shift_cancels_what_never_began_and_leaves_what_began_to_people() {
    let mut house = House::new();
    let plan = plan(&house, &shift(&house));
    let idle = house.create("pit-1", "BJ-01", Some("BJ-01-A")).unwrap();
    let told = driven(&mut house, idle, &plan);
    assert_eq!(
        (told.status, steps(&told)),
        (Status::Closed, vec!["READY_TO_OPEN -> CLOSED".to_owned()])
    );
    assert_eq!(held(&told), [], "it goes nowhere, so nothing holds it");
    let begun = house.create("pit-1", "BJ-01", Some("BJ-01-A")).unwrap();
    house.go("pit-1", begun, Status::Opening).unwrap();
    let told = driven(&mut house, begun, &plan);
    assert_eq!((told.status, steps(&told)), (Status::Opening, Vec::new()));
    assert_eq!(held(&told), [gates("open", &["opening_snapshot_verified"])]);
}

#[test]
fn closing_a_shift_plans_one_drop_and_asks_for_no_second() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let plan = plan(&house, &shift(&house));
    let told = driven(&mut house, session, &plan);
    assert_eq!(
        (steps(&told), held(&told)),
        (vec!["OPEN -> DROP_SCHEDULED".to_owned()], vec![gates("drop", &["drop_recorded"])])
    );
    assert_eq!(house.session(session).drop_scheduled_for, Some(house.at));
    assert_eq!(steps(&driven(&mut house, session, &plan)), Vec::<String>::new(), "it is planned");
    house.wait(10);
    house.remove(session, "BJ-01-A", Some("BJ-01-B")).unwrap();
    house.wait(600);
    let told = driven(&mut house, session, &plan);
    assert_eq!(
        (told.status, steps(&told)),
        (Status::Dropped, Vec::new()),
        "it went, though the table plays on"
    );
}

#[test]
fn a_box_that_went_hours_before_the_close_was_another_drop() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.schedule("pit-1", session, None).unwrap();
    house.remove(session, "BJ-01-A", Some("BJ-01-B")).unwrap();
    house.wait(20);
    let soon = plan(&house, &shift(&house));
    assert_eq!(driven(&mut house.clone(), session, &soon).status, Status::Dropped);
    house.wait(20);
    let later = plan(&house, &shift(&house));
    assert_eq!(steps(&driven(&mut house, session, &later)), ["DROPPED -> DROP_SCHEDULED"]);
}

#[test]
fn closings_begin_only_where_they_are_asked_for_and_their_gate_is_open() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let plan = Plan {
        start_closings: true,
        ..plan(&house, &shift(&house))
    };
    house.casino.count_before_close = true;
    let told = driven(&mut house, session, &plan);
    assert_eq!(told.status, Status::DropScheduled);
    assert_eq!(
        held(&told),
        [gates("drop", &["drop_recorded"]), gates("begin_closing", &["count_before_close"])]
    );
    house.casino.count_before_close = false;
    let told = driven(&mut house, session, &plan);
    assert_eq!(steps(&told), ["DROP_SCHEDULED -> CLOSING"]);
    assert_eq!(held(&told), [gates("close", &["closing_snapshot_verified", "closer_current"])]);
    assert!(
        house
            .store
            .signatures
            .iter()
            .all(|signature| signature.staff_id != house.id_of("system"))
    );
}

#[test]
fn a_session_that_passed_to_another_shift_is_left_alone() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let plan = plan(&house, &shift(&house));
    let mut case = house.case(session);
    drive(&mut case, &house.context("system"), &plan).unwrap();
    assert!(case.finish().is_empty());
}

/// Sweeps one session at this moment, as the job does.
fn swept(house: &mut House, session: Uuid, gaps: &[Gap]) -> Result<(), Refusal> {
    house.command("system", act::SWEEP_DEADLINES, session, |case, context| sweep(case, context, gaps))
}

#[test]
fn a_box_is_overdue_after_its_limits_and_told_of_once() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.schedule("pit-1", session, None).unwrap();
    let drop = house.remove(session, "BJ-01-A", Some("BJ-01-B")).unwrap();
    house.wait(45);
    swept(&mut house, session, &[]).unwrap();
    assert_eq!(house.categories(session), []);
    house.wait(1);
    swept(&mut house, session, &[]).unwrap();
    swept(&mut house, session, &[]).unwrap();
    assert_eq!(house.categories(session), [Category::CustodyGap]);
    house.wait(24 * 60);
    swept(&mut house, session, &[]).unwrap();
    assert_eq!(house.exception(session, Category::CountOverdue).subject_id, drop.to_string());
    assert_eq!(
        house.exception(session, Category::CountOverdue).detected_by,
        None,
        "nobody in person"
    );

    // It comes at last: one exception still, and it says how late.
    house.bring_and_count(drop, 5_000);
    let gap = house.exception(session, Category::CustodyGap);
    assert_eq!(
        (&gap.found.as_ref().unwrap()["delivered_at"], gap.no_longer_observed_at),
        (&json!(house.drop_event(drop).delivered_at), None)
    );
    let counted = house.exception(session, Category::CountOverdue);
    assert!(counted.no_longer_observed_at.is_some() && counted.status == ExceptionStatus::Open);
}

#[test]
fn a_missing_drop_is_due_after_the_close_and_not_before() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.wait(48 * 60);
    assert_eq!(deadline::findings(house.case(session).dossier(), &house.casino, house.at), []);
    house.go("pit-1", session, Status::Closing).unwrap();
    house.tray(session, SnapshotKind::Close, 100_000).unwrap();
    assert_eq!(house.status(session), Status::Closed);
    house.wait(24 * 60);
    swept(&mut house, session, &[]).unwrap();
    assert_eq!(house.categories(session), []);
    house.wait(1);
    swept(&mut house, session, &[]).unwrap();
    assert_eq!(house.exception(session, Category::DropMissing).subject_id, session.to_string());
}

#[test]
fn a_cancelled_session_owes_no_drop() {
    let mut house = House::new();
    let session = house.create("pit-1", "BJ-01", Some("BJ-01-A")).unwrap();
    house.cancel("pit-1", session, "no dealers").unwrap();
    house.wait(72 * 60);
    swept(&mut house, session, &[]).unwrap();
    assert_eq!(house.categories(session), []);
}

#[test]
fn a_missing_number_is_told_on_its_own_session() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let gap = |session_id| Gap {
        kind: SlipKind::Fill,
        scope_key: "2026-03-06".to_owned(),
        slip_no: 7,
        next_slip_no: None,
        session_id,
    };
    swept(&mut house, session, &[gap(None), gap(Some(new_id()))]).unwrap();
    assert_eq!(house.categories(session), []);
    swept(&mut house, session, &[gap(Some(session))]).unwrap();
    assert_eq!(house.exception(session, Category::SlipNumberGap).subject_id, "fill:2026-03-06:7");
}

#[test]
fn only_the_daemon_sweeps_and_a_cashier_may_raise_nothing() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let context = house.context("cash-1");
    let refused = sweep(&mut house.case(session), &context, &[]).unwrap_err();
    assert!(matches!(refused, Refusal::Forbidden { .. }), "{refused:?}");
    let refused = house.command("admin-1", act::SWEEP_DEADLINES, session, |case, context| sweep(case, context, &[]));
    assert!(matches!(refused, Err(Refusal::Forbidden { .. })), "{refused:?}");
}
