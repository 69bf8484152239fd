//! Random days: random commands by random people with random arguments. Whatever happens, the law holds.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use uuid::Uuid;
use workflows::count::Count;
use workflows::custody::Removal;
use workflows::event::Event;
use workflows::record::{Drop, Exception, Report, Session, SoftCount};
use workflows::refusal::Refusal;
use workflows::role::{Department, Role};
use workflows::session::{MACHINE, Move};
use workflows::slip::Request;
use workflows::snapshot::TrayCount;
use workflows::word::{
    Category, CountStanding, ExceptionStatus, ReasonCode, SlipKind, SlipPurpose, SlipStatus, SnapshotKind, Status, SubjectKind, Trigger,
};

use crate::casino::play::{agreed, paper, to, tray};
use crate::casino::{House, STAFF, TABLES, chips, raw};

/// What one random command is made of: which act, who, on what, how, how much.
type Roll = [u8; 5];

#[derive(Clone, Debug)]
struct Day {
    imprest: bool,
    count_before_close: bool,
    rolls: Vec<Roll>,
}

fn day(length: usize) -> impl Strategy<Value = Day> {
    let rolls = proptest::collection::vec(any::<Roll>(), 1..length);
    (prop::bool::weighted(0.3), prop::bool::weighted(0.1), rolls).prop_map(|(imprest, count_before_close, rolls)| Day {
        imprest,
        count_before_close,
        rolls,
    })
}

/// What the walks have been through.
#[derive(Default)]
struct Seen {
    states: BTreeSet<Status>,
    edges: BTreeSet<(String, String)>,
    taken: usize,
    refused: usize,
}

fn walk(day: &Day, seen: &mut Seen) {
    let mut house = if day.imprest { House::imprest(100_000) } else { House::new() };
    house.casino.count_before_close = day.count_before_close;
    let mut watch = Watch::default();
    for &roll in &day.rolls {
        let before = house.clone();
        (house.events, house.taken) = (Vec::new(), Vec::new());
        if act(&mut house, roll).is_ok() {
            seen.taken += 1;
        } else {
            seen.refused += 1;
            assert!(house.store == before.store, "a refused command left something behind: {roll:?}");
        }
        watch.look(&before, &house);
        seen.states.extend(house.store.sessions.iter().map(|session| session.status));
        seen.edges
            .extend(house.taken.iter().map(|taken| (taken.from.clone(), taken.to.clone())));
    }
}

proptest! {
    #![proptest_config(Config { cases: 120, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() })]

    #[test]
    fn on_a_random_day_the_law_holds(day in day(160)) {
        walk(&day, &mut Seen::default());
    }
}

#[test]
fn random_days_come_through_all_ten_states_and_every_edge() {
    let config = Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let seen = RefCell::new(Seen::default());
    runner
        .run(&day(160), |day| {
            walk(&day, &mut seen.borrow_mut());
            Ok(())
        })
        .expect("the law holds");
    let seen = seen.into_inner();
    assert_eq!(seen.states.len(), 10, "{:?}", seen.states);
    let all: BTreeSet<(String, String)> = MACHINE
        .edges
        .iter()
        .filter_map(|edge| Some((edge.from?.to_string(), edge.to.to_string())))
        .collect();
    assert_eq!(
        all.difference(&seen.edges).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "edges never taken"
    );
    assert!(
        seen.taken > 1_000 && seen.refused > 1_000,
        "{} taken, {} refused",
        seen.taken,
        seen.refused
    );
}

/// A chance of one in so many.
fn one_in(byte: u8, many: u8) -> bool {
    byte.is_multiple_of(many)
}

/// Most commands come from somebody who may; every tenth from anybody.
fn who<'a>(roll: Roll, suited: &[&'a str]) -> &'a str {
    let n = usize::from(roll[1]);
    if one_in(roll[1], 10) {
        STAFF[n / 10 % STAFF.len()].0
    } else {
        suited[n % suited.len()]
    }
}

fn anybody(byte: u8) -> &'static str {
    STAFF[usize::from(byte) % STAFF.len()].0
}

/// Mostly `usual`; sometimes anybody.
fn mostly(byte: u8, usual: &'static str) -> &'static str {
    if one_in(byte, 8) { anybody(byte / 8) } else { usual }
}

fn pick<T: Copy>(items: &[T], byte: u8) -> Option<T> {
    if items.is_empty() {
        None
    } else {
        Some(items[usize::from(byte) % items.len()])
    }
}

const NOTHING: Refusal = Refusal::NotFound("anything to do it with");
const PIT: &[&str] = &["pit-1", "pit-2", "pit-3", "admin-1"];
const CAGE: &[&str] = &["cash-1", "cash-2", "admin-2"];
const SECURITY: &[&str] = &["sec-1", "sec-2", "admin-1"];
const COUNT_ROOM: &[&str] = &["team-1", "team-2", "admin-2"];
const JUDGES: &[&str] = &["comp-1", "comp-2", "admin-1"];

/// One command, drawn from a roll.
fn act(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let [kind, _, what, how, much] = roll;
    house.wait(i64::from(much % 4));
    if what < 100 {
        return forward(house, roll);
    }
    match kind % 44 {
        0 | 1 => create(house, roll),
        2 | 3 => transition(house, roll, PIT, Status::Opening),
        4 | 5 => count(house, roll, SnapshotKind::Open),
        6 => verify(house, roll),
        7..=9 => request(house, roll),
        10 | 11 => issue(house, roll),
        12..=14 => verify_slip(house, roll),
        15..=17 => deposit(house, roll),
        18 | 19 => cage_receipt(house, roll),
        20 => void(house, roll),
        21 => cancel_slip(house, roll),
        22 => schedule(house, roll),
        23 => take_back(house, roll),
        24 | 25 => remove(house, roll),
        26 | 27 => deliver(house, roll),
        28 | 29 => receive(house, roll),
        30..=32 => soft_count(house, roll),
        33 => transition(house, roll, PIT, Status::Closing),
        34 | 35 => count(house, roll, SnapshotKind::Close),
        36 => count(house, roll, SnapshotKind::Rundown),
        37 => unusual_end(house, roll),
        38 => roll_over(house, roll),
        39 => raise_or_acknowledge(house, roll),
        40 | 41 => resolve(house, roll),
        42 => transition(house, roll, JUDGES, Status::Finalized),
        _ => match how % 3 {
            0 => offline(house, roll),
            1 => waive(house, roll),
            _ => anything(house, roll, what),
        },
    }
}

/// What a session needs next, so that days come to their ends.
fn forward(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let open: Vec<Uuid> = house
        .store
        .sessions
        .iter()
        .filter(|session| waits_for_people(session))
        .map(|session| session.id)
        .collect();
    let Some(session) = pick(&open, roll[0]) else {
        return create(house, roll);
    };
    let (pit, chance) = (who(roll, PIT), roll[3]);
    match house.status(session) {
        Status::ReadyToOpen => house.go(pit, session, Status::Opening),
        Status::Opening => house.tray(session, SnapshotKind::Open, 100_000).map(drop),
        Status::Open if one_in(chance, 8) => house.go(pit, session, Status::Closing),
        Status::Open if one_in(chance, 3) => next_slip_step(house, session, roll),
        Status::Open => house.schedule(pit, session, None),
        Status::DropScheduled if one_in(chance, 8) => take_back(house, roll),
        Status::DropScheduled if one_in(chance, 3) => next_slip_step(house, session, roll),
        Status::DropScheduled | Status::Dropped | Status::Closed => next_box_step(house, session, roll),
        Status::Counted if one_in(chance, 3) => house.schedule(pit, session, None),
        Status::Counted => house.go(pit, session, Status::Closing),
        Status::Closing if one_in(chance, 2) => next_slip_step(house, session, roll),
        Status::Closing => house.tray(session, SnapshotKind::Close, 100_000).map(drop),
        Status::Reconciled | Status::Finalized => finish(house, session, roll),
    }
}

fn waits_for_people(session: &Session) -> bool {
    session.status != Status::Finalized && session.close_reason != Some(workflows::word::CloseReason::Cancelled)
}

fn next_slip_step(house: &mut House, session: Uuid, roll: Roll) -> Result<(), Refusal> {
    let slips = house
        .store
        .slips
        .iter()
        .filter(|slip| slip.session_id == session && !slip.status.is_settled());
    let Some(slip) = slips.max_by_key(|slip| slip.id).cloned() else {
        return request(house, roll);
    };
    match slip.status {
        SlipStatus::Requested => house.issue(who(roll, CAGE), slip.id, "sec-1"),
        SlipStatus::Issued => house.verify_slip(who(roll, PIT), slip.id, "dealer-1", None),
        SlipStatus::VerifiedAtTable | SlipStatus::DepositedInDropbox | SlipStatus::Cancelled | SlipStatus::Voided
            if slip.kind == SlipKind::Credit && slip.cage_received_at.is_none() =>
        {
            house.cage_receipt(who(roll, CAGE), slip.id, None)
        }
        SlipStatus::VerifiedAtTable | SlipStatus::DepositedInDropbox | SlipStatus::Cancelled | SlipStatus::Voided => {
            house.deposit(who(roll, PIT), slip.id)
        }
    }
}

/// The oldest box in custody goes one step on; where none is, the box on the table goes.
fn next_box_step(house: &mut House, session: Uuid, roll: Roll) -> Result<(), Refusal> {
    let unsettled = house
        .store
        .slips
        .iter()
        .any(|slip| slip.session_id == session && !slip.status.is_settled());
    if unsettled && one_in(roll[3], 2) {
        return next_slip_step(house, session, roll);
    }
    let drop = house
        .store
        .drops
        .iter()
        .find(|drop| drop.session_id == session && drop.counted_at.is_none())
        .cloned();
    let Some(drop) = drop else {
        return remove_standing(house, session, roll);
    };
    if drop.delivered_at.is_none() {
        house.deliver(who(roll, SECURITY), drop.id)
    } else if drop.received_at.is_none() {
        house.receive(who(roll, COUNT_ROOM), drop.id, &drop.seal_no)
    } else {
        count_box(house, drop.id, roll)
    }
}

fn remove_standing(house: &mut House, session: Uuid, roll: Roll) -> Result<(), Refusal> {
    let taken = standing_box(house, session).ok_or(NOTHING)?;
    let replacement = some_box(house, &label_of(house, session), roll[4]);
    let given = house.removal(&taken, Some(&replacement));
    house.remove_as(who(roll, SECURITY), session, &given, "pit-2").map(std::mem::drop)
}

fn finish(house: &mut House, session: Uuid, roll: Roll) -> Result<(), Refusal> {
    let open = house
        .exceptions(session)
        .into_iter()
        .find(|row| row.status.is_unresolved())
        .map(|row| row.id);
    match open {
        Some(exception) => house.resolve(who(roll, JUDGES), exception),
        None => house.go(who(roll, JUDGES), session, Status::Finalized),
    }
}

fn table(byte: u8) -> &'static str {
    TABLES[usize::from(byte) % TABLES.len()]
}

/// Mostly the youngest session of a table; sometimes any.
fn some_session(house: &House, byte: u8) -> Option<Uuid> {
    let all: Vec<Uuid> = house.store.sessions.iter().map(|session| session.id).collect();
    if one_in(byte, 5) {
        return pick(&all, byte / 5);
    }
    let table = house.table(table(byte)).id;
    house
        .store
        .sessions
        .iter()
        .filter(|session| session.table_id == table)
        .map(|session| session.id)
        .max()
}

/// Mostly a session in one of these states, if there is one.
fn session_in(house: &House, byte: u8, wanted: &[Status]) -> Result<Uuid, Refusal> {
    let fitting: Vec<Uuid> = house
        .store
        .sessions
        .iter()
        .filter(|session| wanted.contains(&session.status))
        .map(|session| session.id)
        .collect();
    let fitting = if one_in(byte, 6) { None } else { pick(&fitting, byte) };
    fitting.or_else(|| some_session(house, byte)).ok_or(NOTHING)
}

const IN_PLAY: &[Status] = &[Status::Open, Status::DropScheduled, Status::Dropped, Status::Counted];

/// A box for a table: mostly one that is free for it.
fn some_box(house: &House, table: &str, byte: u8) -> String {
    let labels = [
        format!("{table}-A"),
        format!("{table}-B"),
        format!("{table}-C"),
        "EM-1".to_owned(),
        "EM-2".to_owned(),
        "RL-01-A".to_owned(),
    ];
    let free: Vec<&String> = labels
        .iter()
        .filter(|label| {
            let row = house.drop_box(label);
            let gone = |drop: &Drop| drop.drop_box_id == row.id && drop.drop_box_use == row.use_no && drop.counted_at.is_none();
            row.on_table_id.is_none() && !house.store.drops.iter().any(gone)
        })
        .collect();
    let any = &labels[usize::from(byte) % labels.len()];
    if one_in(byte, 7) {
        any.clone()
    } else {
        free.get(usize::from(byte) % free.len().max(1))
            .map_or_else(|| any.clone(), |label| (*label).clone())
    }
}

fn label_of(house: &House, session: Uuid) -> String {
    let table = house.session(session).table_id;
    house
        .store
        .tables
        .iter()
        .find(|row| row.id == table)
        .expect("a table")
        .label
        .clone()
}

fn standing_box(house: &House, session: Uuid) -> Option<String> {
    let table = house.session(session).table_id;
    house
        .store
        .boxes
        .iter()
        .find(|row| row.on_table_id == Some(table))
        .map(|row| row.label.clone())
}

fn create(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let table = table(roll[2]);
    let standing = house
        .store
        .boxes
        .iter()
        .find(|row| row.on_table_id == Some(house.table(table).id))
        .map(|row| row.label.clone());
    let label = standing
        .filter(|_| roll[3] % 8 != 1)
        .unwrap_or_else(|| some_box(house, table, roll[3]));
    house.create(who(roll, PIT), table, Some(&label)).map(drop)
}

fn transition(house: &mut House, roll: Roll, suited: &[&'static str], status: Status) -> Result<(), Refusal> {
    let from: &[Status] = match status {
        Status::Opening => &[Status::ReadyToOpen],
        Status::Closing => IN_PLAY,
        Status::ReadyToOpen | Status::Open | Status::DropScheduled | Status::Dropped | Status::Counted => &[],
        Status::Closed | Status::Reconciled | Status::Finalized => &[Status::Reconciled],
    };
    let session = session_in(house, roll[2], from)?;
    house.go(who(roll, suited), session, status)
}

fn cents(roll: Roll) -> i64 {
    100 * i64::from(roll[4])
}

fn count(house: &mut House, roll: Roll, kind: SnapshotKind) -> Result<(), Refusal> {
    let from: &[Status] = match kind {
        SnapshotKind::Open => &[Status::Opening],
        SnapshotKind::Close => &[Status::Closing],
        SnapshotKind::Rundown => IN_PLAY,
    };
    let session = session_in(house, roll[2], from)?;
    let closing = [100_000, 100_000 + cents(roll)][usize::from(roll[3] % 2)];
    let mut given = TrayCount {
        total_cents: (one_in(roll[3], 11)).then_some(closing),
        ..tray(kind, chips(closing))
    };
    if one_in(roll[3], 13) {
        given.chipset = raw(&[("300", 1)]);
    }
    let cosigner = (!one_in(roll[3], 3)).then(|| mostly(roll[4], "dealer-1"));
    house.count_tray(who(roll, PIT), session, &given, cosigner).map(drop)
}

fn verify(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let waiting: Vec<(Uuid, Uuid)> = house
        .store
        .snapshots
        .iter()
        .filter(|row| row.verified_by.is_none())
        .map(|row| (row.session_id, row.id))
        .collect();
    let (session, snapshot) = pick(&waiting, roll[2]).ok_or(NOTHING)?;
    let cosigner = (one_in(roll[3], 2)).then(|| mostly(roll[4], "dealer-2"));
    house.verify_tray(who(roll, PIT), session, snapshot, cosigner)
}

fn request(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let session = session_in(house, roll[2], IN_PLAY)?;
    let kind = if one_in(roll[3], 2) { SlipKind::Fill } else { SlipKind::Credit };
    let closing = house.status(session) == Status::Closing;
    let purpose = if closing && !one_in(roll[3], 3) {
        SlipPurpose::ParRestore
    } else {
        SlipPurpose::Normal
    };
    let voided: Vec<Uuid> = house
        .store
        .slips
        .iter()
        .filter(|slip| slip.session_id == session && slip.status == SlipStatus::Voided)
        .map(|slip| slip.id)
        .collect();
    let replaces_slip_id = pick(&voided, roll[4]).filter(|_| one_in(roll[4], 2));
    house
        .request(
            who(roll, PIT),
            session,
            &Request {
                purpose,
                replaces_slip_id,
                ..House::ask(kind, cents(roll))
            },
        )
        .map(drop)
}

/// Mostly a slip in this state.
fn some_slip(house: &House, byte: u8, wanted: SlipStatus) -> Result<Uuid, Refusal> {
    let all: Vec<Uuid> = house.store.slips.iter().map(|slip| slip.id).collect();
    let fitting: Vec<Uuid> = house
        .store
        .slips
        .iter()
        .filter(|slip| slip.status == wanted)
        .map(|slip| slip.id)
        .collect();
    pick(if one_in(byte, 9) { &all } else { &fitting }, byte).ok_or(NOTHING)
}

fn issue(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let slip = some_slip(house, roll[2], SlipStatus::Requested)?;
    house.issue(who(roll, CAGE), slip, mostly(roll[4], "sec-1"))
}

fn verify_slip(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let slip = some_slip(house, roll[2], SlipStatus::Issued)?;
    let counted = (one_in(roll[3], 5)).then(|| chips(cents(roll)));
    house.verify_slip(who(roll, PIT), slip, mostly(roll[4], "dealer-1"), counted)
}

fn deposit(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let slip = some_slip(house, roll[2], SlipStatus::VerifiedAtTable)?;
    house.deposit(who(roll, PIT), slip)
}

fn cage_receipt(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let waits = |slip: &&workflows::record::Slip| slip.kind == SlipKind::Credit && slip.status == SlipStatus::VerifiedAtTable;
    let waiting: Vec<Uuid> = house.store.slips.iter().filter(waits).map(|slip| slip.id).collect();
    let slip = pick(&waiting, roll[2]).map_or_else(|| some_slip(house, roll[2], SlipStatus::VerifiedAtTable), Ok)?;
    house.cage_receipt(who(roll, CAGE), slip, (one_in(roll[3], 6)).then(|| chips(cents(roll))))
}

fn void(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let state = if one_in(roll[3], 2) {
        SlipStatus::Issued
    } else {
        SlipStatus::VerifiedAtTable
    };
    let slip = some_slip(house, roll[2], state)?;
    let suited = if state == SlipStatus::Issued { CAGE } else { PIT };
    house.void(
        who(roll, suited),
        slip,
        if one_in(roll[4], 9) { " " } else { "wrong" },
        mostly(roll[4], "sec-3"),
    )
}

fn cancel_slip(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let slip = some_slip(house, roll[2], SlipStatus::Requested)?;
    house.cancel_slip(who(roll, PIT), slip, "not needed")
}

fn schedule(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let session = session_in(house, roll[2], &[Status::Open, Status::Dropped, Status::Counted])?;
    let time = (one_in(roll[3], 2)).then(|| house.at + chrono::TimeDelta::minutes(i64::from(roll[4]) - 60));
    house.schedule(who(roll, &["pit-1", "pit-2", "system"]), session, time)
}

fn take_back(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let session = session_in(house, roll[2], &[Status::DropScheduled])?;
    let status = house
        .session(session)
        .scheduled_from
        .filter(|_| !one_in(roll[3], 5))
        .unwrap_or(Status::Open);
    house.go(who(roll, PIT), session, status)
}

fn remove(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let wanted = [
        Status::Open,
        Status::DropScheduled,
        Status::Dropped,
        Status::Counted,
        Status::Closing,
        Status::Closed,
    ];
    let session = session_in(house, roll[2], &wanted)?;
    let label = label_of(house, session);
    let standing = standing_box(house, session).filter(|_| !one_in(roll[3], 6));
    let taken = standing.clone().unwrap_or_else(|| some_box(house, &label, roll[4]));
    let replacement = (roll[3] % 4 != 1)
        .then(|| some_box(house, &label, roll[4] / 3))
        .filter(|_| standing.is_some() || one_in(roll[3], 12));
    let mut given = house.removal(&taken, replacement.as_deref());
    if one_in(roll[4], 5) {
        given = Removal {
            removed_at: Some(house.at - chrono::TimeDelta::minutes(i64::from(roll[4]) / 8)),
            ..given
        };
    }
    house
        .remove_as(who(roll, SECURITY), session, &given, mostly(roll[4], "pit-2"))
        .map(drop)
}

/// Mostly a removal that waits for this step.
fn some_drop(house: &House, byte: u8, waits: fn(&&Drop) -> bool) -> Result<Uuid, Refusal> {
    let all: Vec<Uuid> = house.store.drops.iter().map(|drop| drop.id).collect();
    let fitting: Vec<Uuid> = house.store.drops.iter().filter(waits).map(|drop| drop.id).collect();
    pick(if one_in(byte, 9) { &all } else { &fitting }, byte).ok_or(NOTHING)
}

fn deliver(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let drop = some_drop(house, roll[2], |drop| drop.delivered_at.is_none())?;
    house.wait(i64::from(roll[3] % 50));
    let at = (one_in(roll[4], 4)).then(|| house.at - chrono::TimeDelta::minutes(i64::from(roll[4]) / 16));
    house.deliver_at(who(roll, SECURITY), drop, at, None)
}

fn receive(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let drop = some_drop(house, roll[2], |drop| drop.received_at.is_none())?;
    let seal = if one_in(roll[3], 6) {
        "another".to_owned()
    } else {
        house.drop_event(drop).seal_no.clone()
    };
    house.receive(who(roll, COUNT_ROOM), drop, &seal)
}

fn soft_count(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let drop = some_drop(house, roll[2], |drop| drop.counted_at.is_none())?;
    count_box(house, drop, roll)
}

fn count_box(house: &mut House, drop: Uuid, roll: Roll) -> Result<(), Refusal> {
    let mut given = agreed(house, cents(roll));
    given.documents = house.papers_in(drop);
    match roll[3] % 12 {
        0 => drop_one(&mut given),
        1 => given.documents.extend(given.documents.clone()),
        2 => given
            .documents
            .push(paper(workflows::word::DocumentKind::FillSlip, Some(&roll[4].to_string()), 100)),
        3 => given.documents.iter_mut().for_each(|paper| paper.amount_cents += 1),
        4 => given.count_2_cents += 100,
        5 => (given.count_2_cents, given.agreed_cents) = (given.count_2_cents + 100, Some(given.drop_total_cents)),
        6 => given.team[2] = house.id_of(anybody(roll[4])),
        _ => {}
    }
    let superseded = |id| house.store.counts.iter().any(|other: &SoftCount| other.supersedes_id == Some(id));
    let standing = house
        .store
        .counts
        .iter()
        .find(|count| count.drop_event_id == drop && !superseded(count.id))
        .map(|count| count.id);
    given.supersedes_id = standing.filter(|_| !one_in(roll[4], 7));
    house.submit(who(roll, COUNT_ROOM), drop, &given).map(|_| ())
}

fn drop_one(given: &mut Count) {
    given.documents.pop();
}

fn unusual_end(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let before_play: &[Status] = &[Status::ReadyToOpen, Status::Opening];
    let in_play: &[Status] = &[
        Status::Open,
        Status::DropScheduled,
        Status::Dropped,
        Status::Counted,
        Status::Closing,
    ];
    let force = one_in(roll[3], 3);
    let session = session_in(house, roll[2], if force { in_play } else { before_play })?;
    let note = if one_in(roll[4], 6) { " " } else { "as it had to be" };
    if force {
        house.force_close(who(roll, PIT), session, note)
    } else {
        house.cancel(who(roll, &["pit-1", "system"]), session, note)
    }
}

fn roll_over(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let session = session_in(house, roll[2], IN_PLAY)?;
    house
        .roll_over(who(roll, PIT), session, 100_000, mostly(roll[4], "pit-3"))
        .map(drop)
}

fn some_exception(house: &House, byte: u8) -> Result<Uuid, Refusal> {
    let open: Vec<Uuid> = house
        .store
        .exceptions
        .iter()
        .filter(|row| row.status.is_unresolved())
        .map(|row| row.id)
        .collect();
    let all: Vec<Uuid> = house.store.exceptions.iter().map(|row| row.id).collect();
    pick(if one_in(byte, 9) { &all } else { &open }, byte).ok_or(NOTHING)
}

fn raise_or_acknowledge(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    if one_in(roll[3], 3) {
        let session = some_session(house, roll[2]).ok_or(NOTHING)?;
        return house.raise(who(roll, PIT), session, "something odd").map(drop);
    }
    let exception = some_exception(house, roll[2])?;
    house.acknowledge(who(roll, JUDGES), exception)
}

fn resolve(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let exception = some_exception(house, roll[2])?;
    let reason = if one_in(roll[4], 7) {
        ReasonCode::ReferredToInvestigation
    } else {
        ReasonCode::AcceptedVariance
    };
    let text = if one_in(roll[4], 11) { "" } else { "looked into" };
    house.resolve_as(who(roll, JUDGES), exception, reason, text, one_in(roll[3], 4))
}

fn offline(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let session = session_in(house, roll[2], IN_PLAY)?;
    let slip_no = 900 + i64::try_from(house.store.slips.iter().filter(|slip| slip.captured_offline).count()).expect("few");
    crate::slips::enter(house, session, slip_no).map(drop)
}

/// The sweep raised it and compliance waived it: a row of another part of the daemon. The next command settles on it.
fn waive(house: &mut House, roll: Roll) -> Result<(), Refusal> {
    let session = session_in(house, roll[2], &[Status::Closed])?;
    if house.status(session) != Status::Closed || house.session(session).close_reason == Some(workflows::word::CloseReason::Cancelled) {
        return Err(NOTHING);
    }
    let late = house
        .store
        .drops
        .iter()
        .find(|drop| drop.session_id == session && drop.counted_at.is_none())
        .map(|drop| drop.id);
    let (category, kind, subject) = match late {
        Some(drop) => (Category::CountOverdue, SubjectKind::Drop, drop),
        None => (Category::DropMissing, SubjectKind::Session, session),
    };
    house.store.waive(session, category, kind, subject, house.at);
    house.raise("pit-1", session, "the sweep was here").map(drop)
}

fn anything(house: &mut House, roll: Roll, what: u8) -> Result<(), Refusal> {
    let session = some_session(house, what).ok_or(NOTHING)?;
    let status = <Status as strum::VariantArray>::VARIANTS[usize::from(roll[4]) % 10];
    let ask = Move {
        note: Some("somehow".to_owned()),
        force: one_in(roll[3], 2),
        ..to(status)
    };
    house.transition(anybody(roll[1]), session, &ask)
}

/// What must be true after every command, computed apart from the law.
#[derive(Default)]
struct Watch {
    finalized: BTreeMap<Uuid, (Session, Report)>,
}

impl Watch {
    fn look(&mut self, before: &House, now: &House) {
        edges_are_of_the_table(before, now);
        for session in &now.store.sessions {
            totals_are_the_sum_of_verified_slips(now, session);
            self.the_end_is_the_end(now, session);
        }
        nothing_is_lost(before, now);
        people_are_kept_apart(now);
        judged_findings_do_not_return(now);
    }

    fn the_end_is_the_end(&mut self, house: &House, session: &Session) {
        if session.status != Status::Finalized {
            return;
        }
        let report = house.report(session.id);
        let (row, kept) = self.finalized.entry(session.id).or_insert_with(|| {
            let unresolved: Vec<_> = house
                .exceptions(session.id)
                .into_iter()
                .filter(|row| row.status.is_unresolved())
                .collect();
            assert!(unresolved.is_empty(), "FINALIZED with {unresolved:?}");
            finalizer_is_independent(house, session);
            (session.clone(), report.clone())
        });
        assert!(row == session && kept == report, "a FINALIZED session and its report never change");
        let late = house.exceptions(session.id).into_iter().filter(|row| row.status.is_unresolved());
        assert!(
            late.into_iter().all(|row| row.category == Category::LateEvent),
            "after the end only LATE_EVENT is raised"
        );
    }
}

/// Each session moved along edges of the table, from where it stood to where it stands.
fn edges_are_of_the_table(before: &House, now: &House) {
    for taken in &now.taken {
        let edge = MACHINE.edges.iter().find(|edge| {
            edge.from.is_some_and(|from| from.to_string() == taken.from) && edge.to.to_string() == taken.to && edge.trigger == taken.trigger
        });
        assert!(edge.is_some(), "{taken:?} is no edge of the table");
    }
    for session in &now.store.sessions {
        let mut status = before
            .store
            .sessions
            .iter()
            .find(|row| row.id == session.id)
            .map_or(Status::ReadyToOpen, |row| row.status);
        let mut told = 0;
        for event in &now.events {
            if let Event::SessionAdvanced { session_id, from, to, .. } = event
                && *session_id == session.id
            {
                assert_eq!(*from, status, "each edge begins where the one before ended");
                status = *to;
                told += 1;
            }
        }
        assert_eq!(status, session.status, "{told} edges told");
        assert!(told <= 4, "a command and its automatic edges: {:?}", now.taken);
    }
    let commands = now.taken.iter().filter(|taken| taken.trigger == Trigger::Command).count();
    let rolled = now.store.sessions.len() > before.store.sessions.len();
    assert!(
        commands <= if rolled { 2 } else { 1 },
        "one command takes one command edge: {:?}",
        now.taken
    );
}

fn totals_are_the_sum_of_verified_slips(house: &House, session: &Session) {
    let sum = |kind: SlipKind| -> i64 {
        let slips = house
            .store
            .slips
            .iter()
            .filter(|slip| slip.session_id == session.id && slip.kind == kind);
        slips
            .filter(|slip| slip.verified_at.is_some() && slip.voided_at.is_none())
            .filter_map(|slip| slip.confirmed_amount_cents)
            .sum()
    };
    let (fills, credits) = (sum(SlipKind::Fill), sum(SlipKind::Credit));
    let drop = drop_of(house, session.id);
    let report = workflows::rundown::compute(house.case(session.id).dossier(), &house.context("pit-1"));
    if session.status != Status::Finalized {
        assert_eq!(
            (report.fills_total_cents, report.credits_total_cents, report.drop_total_cents),
            (fills, credits, drop)
        );
    }
    let stored = house.store.reports.iter().find(|row| row.session_id == session.id);
    assert_eq!(
        stored.is_some(),
        matches!(session.status, Status::Reconciled | Status::Finalized),
        "a report from RECONCILED on"
    );
    if let (Status::Reconciled, Some(stored)) = (session.status, stored) {
        assert_eq!(
            (stored.fills_total_cents, stored.credits_total_cents, stored.drop_total_cents),
            (fills, credits, drop)
        );
        let figures = [stored.closing_total_cents, stored.opening_total_cents, stored.drop_total_cents];
        let win = figures.iter().all(Option::is_some).then(|| {
            stored.closing_total_cents.unwrap_or_default() + credits + drop.unwrap_or_default()
                - stored.opening_total_cents.unwrap_or_default()
                - fills
        });
        assert_eq!(
            stored.win_loss_stat_cents, win,
            "win = closing + credits + drop − opening − fills, or null"
        );
        assert_eq!(
            stored.missing_inputs.len(),
            figures.iter().filter(|figure| figure.is_none()).count()
        );
    }
}

/// The sum of the accepted counts that stand, null while one of the session's boxes has none.
fn drop_of(house: &House, session: Uuid) -> Option<i64> {
    let drops: Vec<&Drop> = house.store.drops.iter().filter(|drop| drop.session_id == session).collect();
    let superseded = |id| house.store.counts.iter().any(|other| other.supersedes_id == Some(id));
    let standing = |drop: &Drop| {
        house
            .store
            .counts
            .iter()
            .find(|count| count.drop_event_id == drop.id && !superseded(count.id))
    };
    let accepted = |drop: &&Drop| {
        standing(drop)
            .filter(|count| count.standing == CountStanding::Accepted)
            .map(|count| count.drop_total_cents)
    };
    if drops.is_empty() { None } else { drops.iter().map(accepted).sum() }
}

/// Facts stay as they are; signatures and exceptions are never deleted; what is judged stays judged.
fn nothing_is_lost(before: &House, now: &House) {
    let kept = before
        .store
        .signatures
        .iter()
        .zip(&now.store.signatures)
        .all(|(old, new)| old == new);
    assert!(
        kept && now.store.signatures.len() >= before.store.signatures.len(),
        "signatures are only added"
    );
    let kept = before.store.counts.iter().zip(&now.store.counts).all(|(old, new)| old == new);
    assert!(
        kept && now.store.counts.len() >= before.store.counts.len(),
        "a soft count is immutable"
    );
    for (old, new) in before.store.exceptions.iter().zip(&now.store.exceptions) {
        assert_eq!(
            (old.id, old.category, &old.subject_id),
            (new.id, new.category, &new.subject_id),
            "exceptions are never deleted"
        );
        assert!(old.status.is_unresolved() || old == new, "a judged exception never changes");
    }
    for (old, new) in before.store.slips.iter().zip(&now.store.slips) {
        let bound = |slip: &workflows::record::Slip| (slip.amount_cents, slip.slip_no, slip.issued_by, slip.runner_id);
        assert!(
            old.status == SlipStatus::Requested || bound(old) == bound(new),
            "amounts and numbers never change after ISSUED"
        );
    }
    let rises = |id: Uuid| before.store.sessions.iter().find(|row| row.id == id).map_or(0, |row| row.version);
    assert!(
        now.store
            .sessions
            .iter()
            .all(|session| (rises(session.id)..=rises(session.id) + 1).contains(&session.version))
    );
}

/// Every signed paper shows different people where the rules want them, whatever path led there.
fn people_are_kept_apart(house: &House) {
    let role = |id: Uuid| house.staff.iter().find(|staff| staff.id == id).expect("of the house").role;
    for snapshot in &house.store.snapshots {
        assert_ne!(Some(snapshot.counted_by), snapshot.verified_by);
    }
    for slip in &house.store.slips {
        let four: Vec<Uuid> = [slip.issued_by, slip.runner_id, slip.dealer_id, slip.verified_by]
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(
            four.iter().collect::<BTreeSet<_>>().len(),
            four.len(),
            "four different people on a slip"
        );
        assert!(slip.issued_by != Some(slip.requested_by) && slip.runner_id != Some(slip.requested_by));
        assert!(
            slip.runner_id
                .is_none_or(|runner| role(runner).department() == Department::Security)
        );
        assert!(slip.dealer_id.is_none_or(|dealer| role(dealer) == Role::Dealer));
        assert!(slip.void_cosigned_by.is_none() || slip.void_cosigned_by != slip.voided_by);
        assert!(
            slip.void_cosigned_by
                .is_none_or(|witness| !four.contains(&witness) && witness != slip.requested_by)
        );
        assert!(slip.deposited_at.is_none() || slip.kind == SlipKind::Fill || slip.cage_received_at.is_some());
    }
    for drop in &house.store.drops {
        assert_ne!(drop.removed_by, drop.witnessed_by);
        let pit = |id| role(id).department() == Department::TableGames;
        assert!(
            !(pit(drop.removed_by) && pit(drop.witnessed_by)),
            "one of the two is not of table games"
        );
    }
    let system = house.id_of("system");
    assert!(
        house.store.signatures.iter().all(|signature| signature.staff_id != system),
        "the system signs nothing"
    );
    for count in &house.store.counts {
        counters_signed_nothing(house, count);
    }
    for exception in house.store.exceptions.iter().filter(|row| row.resolved_by.is_some()) {
        resolver_signed_nothing(house, exception);
    }
}

/// Only what was signed before the count binds: who counted may later be asked for other things.
fn counters_signed_nothing(house: &House, count: &SoftCount) {
    let drop = house.drop_event(count.drop_event_id);
    let slips = |id: Uuid| {
        house
            .store
            .slips
            .iter()
            .any(|slip| slip.id == id && slip.session_id == drop.session_id)
    };
    let team: BTreeSet<Uuid> = count.team.iter().copied().chain([count.counted_by]).collect();
    for signature in house
        .store
        .signatures
        .iter()
        .filter(|signature| signature.id < count.id && team.contains(&signature.staff_id))
    {
        let own = signature.session_id == Some(drop.session_id);
        let bound = match signature.subject_kind {
            SubjectKind::Slip => slips(signature.subject_id),
            SubjectKind::Snapshot => own,
            SubjectKind::Drop => own && (signature.act == "drop.remove" || signature.act == "drop.witness"),
            SubjectKind::Session | SubjectKind::Document | SubjectKind::Exception | SubjectKind::Report | SubjectKind::SoftCount => false,
        };
        assert!(!bound, "a counter signed {}", signature.act);
    }
}

fn resolver_signed_nothing(house: &House, exception: &Exception) {
    let Some(resolver) = exception.resolved_by else { return };
    let own = ["exception.resolve", "exception.acknowledge"];
    let signed = house.store.signatures.iter().find(|signature| {
        signature.staff_id == resolver
            && signature.subject_id.to_string() == exception.subject_id
            && !own.contains(&signature.act.as_str())
            && exception.resolved_at.is_some_and(|at| signature.signed_at < at)
            && !matches!(exception.subject_kind, SubjectKind::Session)
    });
    assert!(signed.is_none(), "the resolver of {} signed {signed:?}", exception.category);
}

fn finalizer_is_independent(house: &House, session: &Session) {
    let closers = house
        .store
        .snapshots
        .iter()
        .filter(|row| row.session_id == session.id && row.kind == SnapshotKind::Close);
    let mut parties: BTreeSet<Uuid> = closers.flat_map(|row| [Some(row.counted_by), row.verified_by]).flatten().collect();
    let counts = house.store.counts.iter().filter(|count| count.session_id == session.id);
    parties.extend(counts.flat_map(|count| count.team.iter().copied().chain([count.counted_by])));
    assert!(
        session.finalized_by.is_some_and(|by| !parties.contains(&by)),
        "the finalizer signed the closer or a count"
    );
}

/// A finding equal to a judged one is not raised again.
fn judged_findings_do_not_return(house: &House) {
    let equal = |a: &Exception, b: &Exception| crate::casino::store::about_the_same(a, b) && a.expected == b.expected && a.found == b.found;
    let rows = &house.store.exceptions;
    for (index, row) in rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.status != ExceptionStatus::Open || !row.status.is_unresolved())
    {
        if row.status.is_unresolved() || row.category == Category::CountOverdue || row.category == Category::DropMissing {
            continue;
        }
        let again = rows[index + 1..].iter().find(|later| equal(later, row));
        assert!(again.is_none(), "{} was judged and raised again: {again:?}", row.category);
    }
}
