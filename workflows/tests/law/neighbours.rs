//! The neighbours' rules: visits, rating slips, money, points, layouts; and what an open rating slip does to a session's close.

use uuid::Uuid;
use workflows::dossier::OpenRatingSlip;
use workflows::event::{LaidPit, LaidSlot, LedgerReason, RatingSlipStatus, VisitKind};
use workflows::finance::{self, Entry, Transaction};
use workflows::floor_layout::{self, Obstacle, PitDrawn, SlotDrawn, Standing};
use workflows::loyalty::{self, Ask, Named, Player};
use workflows::rating_slip::{self, Change, RatingSlip, Seating};
use workflows::record::Table;
use workflows::refusal::Refusal;
use workflows::visit::{self, Visit};
use workflows::word::{Category, Direction, GameType, SnapshotKind, Status, TableStatus, TransactionKind};

use crate::casino::{House, new_id};

impl House {
    /// Somebody sits down at the table, and is rated.
    pub fn seat(&mut self, table: &str) {
        let slip = OpenRatingSlip {
            id: new_id(),
            visit_id: new_id(),
            status: RatingSlipStatus::Open,
            started_at: self.at,
        };
        self.store.rating_slips.push((self.table(table).id, slip));
    }

    fn visits(&self, kind: VisitKind) -> Visit {
        let player = (kind != VisitKind::GamingGhostUnrated).then(new_id);
        visit::start(&self.context("pit-1"), kind, player).expect("a visit").0
    }

    fn seating(&self, table: &str, session: Option<Status>) -> Seating {
        Seating {
            table: self.table(table).clone(),
            session,
        }
    }

    fn plays(&self, visit: &Visit) -> RatingSlip {
        let seating = self.seating("BJ-01", Some(Status::Open));
        rating_slip::open(&self.context("pit-1"), visit, &seating, None, Some(2_500))
            .expect("a slip")
            .0
    }
}

#[track_caller]
fn conflict<T>(answer: Result<T, Refusal>, expected: &str) {
    match answer {
        Err(Refusal::Conflict { reason, .. }) => assert_eq!(reason, expected),
        Err(other) => panic!("{expected} was not the reason: {other:?}"),
        Ok(_) => panic!("{expected} did not refuse"),
    }
}

#[track_caller]
fn flaw<T>(answer: Result<T, Refusal>, pointer: &str) {
    match answer {
        Err(Refusal::Invalid(flaws)) => assert!(flaws.iter().any(|flaw| flaw.pointer == pointer), "{flaws:?}"),
        Err(other) => panic!("no flaw at {pointer}: {other:?}"),
        Ok(_) => panic!("no flaw at {pointer}"),
    }
}

#[test]
fn a_ghost_has_no_player_and_everybody_else_has_one() {
    let house = House::new();
    let context = house.context("pit-1");
    flaw(visit::start(&context, VisitKind::GamingGhostUnrated, Some(new_id())), "/player_id");
    flaw(visit::start(&context, VisitKind::RewardIdentified, None), "/player_id");
    flaw(visit::start(&context, VisitKind::GamingIdentifiedRated, None), "/player_id");
    let told = |kind, player| visit::start(&context, kind, player).expect("a visit").1.len();
    assert_eq!(told(VisitKind::GamingGhostUnrated, None), 1, "a ghost is not checked in");
    assert_eq!(told(VisitKind::RewardIdentified, Some(new_id())), 2);
}

#[test]
fn a_visit_converts_once_and_one_way() {
    let house = House::new();
    let context = house.context("pit-1");
    let (converted, _) = visit::convert(&context, &house.visits(VisitKind::RewardIdentified)).expect("converted");
    assert_eq!(converted.visit_kind, VisitKind::GamingIdentifiedRated);
    let (ended, _) = visit::close(&context, &converted, &[]).expect("ended");
    for stays in [converted, ended.clone(), house.visits(VisitKind::GamingGhostUnrated)] {
        assert!(matches!(visit::convert(&context, &stays), Err(Refusal::IllegalTransition { .. })));
    }
    assert!(matches!(
        visit::close(&context, &ended, &[]),
        Err(Refusal::IllegalTransition { .. })
    ));
    conflict(
        visit::close(&context, &house.visits(VisitKind::RewardIdentified), &[new_id()]),
        "open_rating_slips",
    );
}

#[test]
fn time_played_leaves_out_the_pauses() {
    let mut house = House::new();
    let slip = house.plays(&house.visits(VisitKind::GamingIdentifiedRated));
    let to = |status| Change {
        status: Some(status),
        ..Change::default()
    };
    house.wait(30);
    let (slip, _) = rating_slip::change(&house.context("pit-1"), &slip, &to(RatingSlipStatus::Paused))
        .unwrap()
        .unwrap();
    house.wait(45);
    assert_eq!(slip.minutes_played(house.at), 30);
    let again = rating_slip::change(&house.context("pit-1"), &slip, &to(RatingSlipStatus::Paused)).unwrap();
    assert!(again.is_none(), "what is paused already is left alone");
    let (slip, _) = rating_slip::change(&house.context("pit-1"), &slip, &to(RatingSlipStatus::Open))
        .unwrap()
        .unwrap();
    house.wait(15);
    let (closed, _) = rating_slip::close(&house.context("pit-1"), &slip, None).unwrap();
    house.wait(60);
    assert_eq!((closed.minutes_played(house.at), closed.played_seconds), (45, 45 * 60));
    let refused = rating_slip::change(&house.context("pit-1"), &closed, &to(RatingSlipStatus::Open));
    assert!(matches!(refused, Err(Refusal::WrongState { .. })));
    assert!(matches!(
        rating_slip::close(&house.context("pit-1"), &closed, None),
        Err(Refusal::IllegalTransition { .. })
    ));
}

#[test]
fn nobody_is_rated_at_a_table_that_is_not_in_play() {
    let house = House::new();
    let (context, visit) = (house.context("pit-1"), house.visits(VisitKind::GamingIdentifiedRated));
    for shut in [None, Some(Status::ReadyToOpen), Some(Status::Opening), Some(Status::Closing)] {
        conflict(
            rating_slip::open(&context, &visit, &house.seating("BJ-01", shut), None, None),
            "table_not_in_play",
        );
    }
    let open = house.seating("BJ-01", Some(Status::Dropped));
    let reward = house.visits(VisitKind::RewardIdentified);
    conflict(rating_slip::open(&context, &reward, &open, None, None), "visit_not_gaming");
    let (ended, _) = visit::close(&context, &visit, &[]).unwrap();
    conflict(rating_slip::open(&context, &ended, &open, None, None), "visit_ended");
    rating_slip::open(&context, &house.visits(VisitKind::GamingGhostUnrated), &open, None, None).unwrap();
}

#[test]
fn a_move_ends_one_slip_and_begins_the_next_of_the_chain() {
    let mut house = House::new();
    let visit = house.visits(VisitKind::GamingIdentifiedRated);
    let first = house.plays(&visit);
    house.wait(10);
    let context = house.context("pit-1");
    let there = house.seating("RL-01", Some(Status::Open));
    let moved = rating_slip::move_to(&context, &first, &visit, &there, &Change::default()).unwrap();
    assert_eq!(
        (moved.closed.status, moved.closed.minutes_played(house.at)),
        (RatingSlipStatus::Closed, 10)
    );
    assert_eq!(
        (moved.opened.previous_slip_id, moved.opened.move_group_id),
        (Some(first.id), first.id)
    );
    assert_eq!(
        (moved.opened.game_type, moved.opened.average_bet_cents, moved.opened.played_seconds),
        (there.table.game, Some(2_500), 0)
    );
    assert_eq!(Some(moved.opened.started_at), moved.closed.ended_at);
    let here = house.seating("RL-01", Some(Status::Open));
    conflict(
        rating_slip::move_to(&context, &moved.opened, &visit, &here, &Change::default()),
        "same_table",
    );
    let back = house.seating("BJ-01", Some(Status::Open));
    let back = rating_slip::move_to(&context, &moved.opened, &visit, &back, &Change::default()).unwrap();
    assert_eq!(
        (back.opened.previous_slip_id, back.opened.move_group_id),
        (Some(moved.opened.id), first.id)
    );
}

#[test]
fn a_forced_close_over_rating_slips_says_so_once() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.seat("BJ-01");
    house.seat("BJ-01");
    house.force_close("pit-1", session, "flood").unwrap();
    let open = |house: &House| -> Vec<_> {
        let rows = house.exceptions(session);
        rows.iter()
            .filter(|row| row.category == Category::OpenRatingSlips)
            .map(|row| (row.subject_id.clone(), row.no_longer_observed_at.is_some()))
            .collect()
    };
    assert_eq!(open(&house), [(session.to_string(), false)], "two slips, one exception");
    house.store.rating_slips.pop();
    house.tray(session, SnapshotKind::Close, 100_000).unwrap();
    assert_eq!(open(&house), [(session.to_string(), false)]);
    house.store.rating_slips.clear();
    house.wait(1);
    house.remove(session, "BJ-01-A", None).unwrap();
    assert_eq!(
        open(&house),
        [(session.to_string(), true)],
        "seen no longer, and not resolved by that"
    );
}

#[test]
fn a_rollover_hands_those_who_play_to_the_next_session() {
    let mut house = House::new();
    let first = house.playing(100_000);
    house.seat("BJ-01");
    house.drop_now(first, "BJ-01-A", Some("BJ-01-B"));
    let second = house.roll_over("pit-1", first, 95_000, "pit-2").unwrap();
    assert_eq!((house.status(first), house.status(second)), (Status::Closed, Status::Open));
    assert!(house.exceptions(first).is_empty());
    assert_eq!(house.case(second).dossier().rating_slips.len(), 1);
    house.close(second, 95_000);
    assert_eq!(house.status(second), Status::Closing, "the second cannot close over them either");
}

fn paid(player: Uuid, cents: i64) -> Entry {
    Entry {
        player_id: Some(player),
        visit_id: None,
        rating_slip_id: None,
        direction: Some(Direction::In),
        kind: TransactionKind::Normal,
        corrects_id: None,
        amount_cents: Some(cents),
        tender_type: None,
        occurred_at: None,
        note: None,
        idempotency_key: new_id().to_string(),
    }
}

fn corrects(first: &Transaction, kind: TransactionKind, cents: Option<i64>) -> Entry {
    Entry {
        player_id: None,
        direction: None,
        kind,
        corrects_id: Some(first.id),
        amount_cents: cents,
        ..paid(first.player_id, 1)
    }
}

#[test]
fn money_is_set_right_by_rows_that_never_take_more_than_there_is() {
    let house = House::new();
    let context = house.context("cash-1");
    let first = finance::record(&context, &paid(new_id(), 10_000), None, None).unwrap();
    let adjust = |cents, before: &[Transaction]| {
        finance::correct(
            &context,
            &corrects(&first, TransactionKind::Adjustment, Some(cents)),
            &first,
            before,
        )
    };
    flaw(adjust(-10_001, &[]), "/amount_cents");
    flaw(adjust(0, &[]), "/amount_cents");
    let less = adjust(-4_000, &[]).unwrap();
    flaw(adjust(-6_001, std::slice::from_ref(&less)), "/amount_cents");
    conflict(
        finance::correct(&context, &corrects(&less, TransactionKind::Adjustment, Some(1)), &less, &[]),
        "not_correctable",
    );
    let reverse = corrects(&first, TransactionKind::Reversal, None);
    let back = finance::correct(&context, &reverse, &first, std::slice::from_ref(&less)).unwrap();
    assert_eq!(
        (back.amount_cents, back.direction),
        (-6_000, Direction::In),
        "what is left, with its own sign"
    );
    conflict(finance::correct(&context, &reverse, &first, &[less, back]), "already_reversed");
    let other = Entry {
        player_id: Some(new_id()),
        ..corrects(&first, TransactionKind::Reversal, None)
    };
    flaw(finance::correct(&context, &other, &first, &[]), "/player_id");
}

#[test]
fn money_follows_the_visit_and_never_a_ghost() {
    let house = House::new();
    let context = house.context("cash-1");
    let (ghost, rated) = (
        house.visits(VisitKind::GamingGhostUnrated),
        house.visits(VisitKind::GamingIdentifiedRated),
    );
    conflict(finance::record(&context, &paid(new_id(), 100), Some(&ghost), None), "ghost_visit");
    flaw(finance::record(&context, &paid(new_id(), 100), Some(&rated), None), "/visit_id");
    let own = rated.player_id.expect("a player");
    let elsewhere = house.plays(&house.visits(VisitKind::GamingIdentifiedRated));
    flaw(
        finance::record(&context, &paid(own, 100), Some(&rated), Some(&elsewhere)),
        "/visit_id",
    );
    let slip = house.plays(&rated);
    let row = finance::record(&context, &paid(own, 100), Some(&rated), Some(&slip)).unwrap();
    assert_eq!((row.visit_id, row.rating_slip_id), (Some(rated.id), Some(slip.id)));
    let early = Entry {
        occurred_at: Some(rated.started_at - chrono::TimeDelta::minutes(1)),
        ..paid(own, 100)
    };
    flaw(finance::record(&context, &early, Some(&rated), None), "/occurred_at");
}

#[test]
fn points_for_play_come_once_a_slip_and_never_to_a_ghost() {
    let house = House::new();
    let context = house.context("pit-1");
    let visit = house.visits(VisitKind::GamingIdentifiedRated);
    let player = Player {
        id: visit.player_id.expect("a player"),
        casino_id: house.casino.id,
        player_no: "P-1".to_owned(),
        name: "Rowan".to_owned(),
        loyalty_tier: None,
        loyalty_opt_out: false,
        version: 1,
        created_at: house.at,
    };
    let ask = |reason, points| Ask {
        points,
        reason,
        note: None,
    };
    let slip = house.plays(&visit);
    let of_slip = |slip| Named {
        visit: Some(&visit),
        slip: Some(slip),
        ..Named::default()
    };
    let end = ask(LedgerReason::SessionEnd, 100);
    conflict(loyalty::append(&context, &player, &end, of_slip(&slip)), "rating_slip_open");
    loyalty::append(&context, &player, &ask(LedgerReason::MidSession, 5), of_slip(&slip)).unwrap();
    let (closed, _) = rating_slip::close(&context, &slip, None).unwrap();
    loyalty::append(&context, &player, &end, of_slip(&closed)).unwrap();
    let accrued = Named {
        is_accrued: true,
        ..of_slip(&closed)
    };
    conflict(loyalty::append(&context, &player, &end, accrued), "already_accrued");
    flaw(loyalty::append(&context, &player, &end, Named::default()), "/rating_slip_id");
    flaw(
        loyalty::append(&context, &player, &ask(LedgerReason::Promotion, -1), Named::default()),
        "/points",
    );
    flaw(
        loyalty::append(&context, &player, &ask(LedgerReason::Correction, -1), Named::default()),
        "/corrects_id",
    );
    let ghost = house.visits(VisitKind::GamingGhostUnrated);
    let seen = house.plays(&ghost);
    let of_ghost = Named {
        visit: Some(&ghost),
        slip: Some(&seen),
        ..Named::default()
    };
    conflict(loyalty::append(&context, &player, &end, of_ghost), "ghost_visit");
    let shadow = Player {
        loyalty_opt_out: true,
        ..player
    };
    conflict(loyalty::append(&context, &shadow, &end, of_slip(&closed)), "loyalty_opted_out");
}

fn stands(table: &Table, live: Option<Uuid>) -> Standing {
    Standing {
        table: table.clone(),
        live_session_id: live,
    }
}

#[test]
fn an_activation_leaves_a_table_with_a_live_session_alone_and_says_so() {
    let house = House::new();
    let pit = LaidPit {
        pit_id: new_id(),
        label: "Pit 9".to_owned(),
        sequence: 0,
    };
    let table = |label: &str, status| Table {
        id: new_id(),
        label: label.to_owned(),
        status,
        pit: None,
        ..house.table("BJ-01").clone()
    };
    let slot = |table: &Table| LaidSlot {
        slot_id: new_id(),
        slot_label: table.label.clone(),
        game_type: table.game,
        pit_id: Some(pit.pit_id),
        preferred_table_id: Some(table.id),
    };
    let (on, comes, gone) = (
        table("on", TableStatus::Active),
        table("comes", TableStatus::Inactive),
        table("gone", TableStatus::Closed),
    );
    let (busy, goes) = (table("busy", TableStatus::Active), table("goes", TableStatus::Active));
    let off = table("off", TableStatus::Inactive);
    let slots = [
        slot(&on),
        slot(&comes),
        slot(&gone),
        LaidSlot {
            game_type: GameType::Poker,
            ..slot(&off)
        },
    ];
    let live = new_id();
    let floor = [
        stands(&on, None),
        stands(&comes, None),
        stands(&gone, None),
        stands(&busy, Some(live)),
        stands(&goes, None),
        stands(&off, None),
    ];
    let (tables, outcome) = floor_layout::arrange(std::slice::from_ref(&pit), &slots, &floor);
    assert_eq!(
        (outcome.moved, outcome.activated, outcome.deactivated),
        (vec![on.id], vec![comes.id], vec![goes.id])
    );
    let skipped: Vec<_> = outcome
        .skipped
        .iter()
        .map(|row| (row.table_id, row.reason, row.live_session_id))
        .collect();
    assert_eq!(
        skipped,
        [
            (gone.id, Obstacle::TableClosed, None),
            (busy.id, Obstacle::LiveSession, Some(live)),
            (off.id, Obstacle::OtherGame, None),
        ]
    );
    assert_eq!(tables.len(), 3);
    let after: Vec<Standing> = tables.iter().map(|table| stands(table, None)).collect();
    let (again, nothing) = floor_layout::arrange(std::slice::from_ref(&pit), &slots, &after);
    assert_eq!(
        (again.len(), nothing),
        (0, floor_layout::Outcome::default()),
        "a floor that stands as drawn"
    );
}

#[test]
fn a_drawing_names_every_flaw() {
    let house = House::new();
    let table = house.table("BJ-01").clone();
    let pit = |label: &str| PitDrawn {
        label: label.to_owned(),
        sequence: None,
    };
    let slot = |label: &str, game, pit: &str| SlotDrawn {
        slot_label: label.to_owned(),
        game,
        pit: Some(pit.to_owned()),
        preferred_table_id: Some(table.id),
    };
    let other = if table.game == GameType::Poker {
        GameType::Baccarat
    } else {
        GameType::Poker
    };
    let slots = [slot("1", table.game, "A"), slot("1", other, "B")];
    let Err(Refusal::Invalid(flaws)) = floor_layout::draw(new_id, &[pit("A"), pit("A")], &slots, std::slice::from_ref(&table)) else {
        panic!("not refused")
    };
    let pointers: Vec<_> = flaws.iter().map(|flaw| flaw.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/pits/1/label",
            "/slots/1/slot_label",
            "/slots/1/pit",
            "/slots/1/preferred_table_id",
            "/slots/1/preferred_table_id"
        ]
    );
}
