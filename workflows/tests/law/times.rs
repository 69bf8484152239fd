//! Times, totals and texts a client sends (domain §2, api "Times").

use chrono::TimeDelta;
use workflows::chipset::RawChipset;
use workflows::count::Count;
use workflows::custody::Removal;
use workflows::refusal::Refusal;
use workflows::snapshot::TrayCount;
use workflows::word::{SnapshotKind, Status};

use crate::casino::play::{Handwritten, agreed, tray};
use crate::casino::{House, chips, raw};
use crate::drops::{conflict, invalid};
use crate::slips::range;

#[test]
fn a_tray_holds_known_chips_and_the_total_is_the_server_s() {
    let mut house = House::new();
    let session = house.opening("BJ-01", "BJ-01-A");
    let of = |chipset: RawChipset| tray(SnapshotKind::Open, chipset);
    invalid(house.count_tray("pit-1", session, &of(raw(&[("300", 1)])), None), "/chipset/300");
    invalid(house.count_tray("pit-1", session, &of(raw(&[("100", -1)])), None), "/chipset/100");
    invalid(house.count_tray("pit-1", session, &of(raw(&[("0100", 1)])), None), "/chipset/0100");
    let differs = TrayCount {
        total_cents: Some(99),
        ..of(chips(100))
    };
    invalid(house.count_tray("pit-1", session, &differs, None), "/total_cents");
    let all = raw(&[("300", 1), ("abc", 1), ("100", -5)]);
    let Err(Refusal::Invalid(flaws)) = house.count_tray("pit-1", session, &of(all), None) else {
        panic!("not refused")
    };
    assert_eq!(flaws.len(), 3, "every flaw at once");
    assert!(house.store.snapshots.is_empty());
    house
        .count_tray("pit-1", session, &of(RawChipset::default()), Some("dealer-1"))
        .expect("{} is a counted zero");
    assert_eq!(house.status(session), Status::Open);
}

#[test]
fn a_time_lies_neither_ahead_of_the_clock_nor_before_the_fact_it_follows() {
    let mut house = House::new();
    house.wait(60);
    let session = house.opening("BJ-01", "BJ-01-A");
    let at = |minutes: i64, house: &House| Some(house.at + TimeDelta::minutes(minutes));
    let opener = |minutes, house: &House| TrayCount {
        counted_at: at(minutes, house),
        ..tray(SnapshotKind::Open, chips(100))
    };
    invalid(house.count_tray("pit-1", session, &opener(3, &house), None), "/counted_at");
    invalid(house.count_tray("pit-1", session, &opener(-1, &house), None), "/counted_at");
    house
        .count_tray("pit-1", session, &opener(2, &house), Some("dealer-1"))
        .expect("two minutes of slack");
    invalid(house.schedule("pit-1", session, at(-1, &house)), "/drop_scheduled_for");
    house.schedule("pit-1", session, at(600, &house)).expect("a plan lies ahead");
    let removal = |minutes, house: &House| Removal {
        removed_at: at(minutes, house),
        ..house.removal("BJ-01-A", Some("BJ-01-B"))
    };
    invalid(house.remove_as("sec-1", session, &removal(3, &house), "pit-1"), "/removed_at");
    invalid(house.remove_as("sec-1", session, &removal(-1, &house), "pit-1"), "/removed_at");
    house.wait(10);
    let drop = house.remove_as("sec-1", session, &removal(-5, &house), "pit-1").unwrap();
    invalid(house.deliver_at("sec-1", drop, at(-6, &house), None), "/delivered_at");
    invalid(house.deliver_at("sec-1", drop, at(3, &house), None), "/delivered_at");
    invalid(house.deliver_at("sec-1", drop, None, at(-6, &house)), "/delivered_scan_at");
    house.deliver_at("sec-1", drop, at(2, &house), None).unwrap();
    house.receive("team-1", drop, "seal of BJ-01-A").unwrap();
    assert_eq!(house.drop_event(drop).received_at, at(2, &house), "never before the delivery");
    let count = |minutes, house: &House| Count {
        counted_at: at(minutes, house),
        ..agreed(house, 0)
    };
    invalid(house.submit("team-1", drop, &count(1, &house)), "/counted_at");
    invalid(house.submit("team-1", drop, &count(3, &house)), "/counted_at");
    house.submit("team-1", drop, &count(2, &house)).unwrap();
}

#[test]
fn a_closer_is_not_counted_before_the_closing_began() {
    let mut house = House::new();
    let session = house.playing(100_000);
    house.wait(60);
    let while_playing = house.at;
    house.wait(60);
    house.go("pit-1", session, Status::Closing).unwrap();
    let closer = TrayCount {
        counted_at: Some(while_playing),
        ..tray(SnapshotKind::Close, chips(100_000))
    };
    invalid(house.count_tray("pit-1", session, &closer, Some("dealer-1")), "/counted_at");
}

#[test]
fn a_slip_by_hand_was_written_while_the_table_was_open() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let ranges = [range(&house)];
    let written = |minutes: i64, house: &House| Handwritten {
        request: House::ask(workflows::word::SlipKind::Fill, 100),
        slip_no: 900,
        issued_at: house.at + TimeDelta::minutes(minutes),
        requester: "pit-1",
        runner: "sec-1",
    };
    invalid(
        house.enter_offline("cash-1", session, &written(-1, &house), &ranges, &[]),
        "/issued_at",
    );
    invalid(
        house.enter_offline("cash-1", session, &written(3, &house), &ranges, &[]),
        "/issued_at",
    );
    let slip = house.enter_offline("cash-1", session, &written(0, &house), &ranges, &[]).unwrap();
    assert_eq!(house.slip(slip).issued_at, Some(house.at));
}

#[test]
fn texts_are_bounded() {
    let mut house = House::new();
    let session = house.playing(100_000);
    let long = "n".repeat(2001);
    invalid(house.force_close("pit-1", session, &long), "/note");
    invalid(house.force_close("pit-1", session, "nul\0"), "/note");
    invalid(house.raise("pit-1", session, &long), "/detail");
    let noted = TrayCount {
        note: Some(long.clone()),
        ..tray(SnapshotKind::Rundown, chips(100))
    };
    invalid(house.count_tray("pit-1", session, &noted, None), "/note");
    let sealed = Removal {
        seal_no: "s".repeat(65),
        ..house.removal("BJ-01-A", Some("BJ-01-B"))
    };
    invalid(house.remove_as("sec-1", session, &sealed, "pit-1"), "/seal_no");
    let counted = Removal {
        note: Some(long),
        ..house.removal("BJ-01-A", Some("BJ-01-B"))
    };
    invalid(house.remove_as("sec-1", session, &counted, "pit-1"), "/note");
}

#[test]
fn a_second_live_session_and_a_box_elsewhere_are_conflicts() {
    let mut house = House::new();
    house.playing(100_000);
    conflict(house.create("pit-1", "BJ-01", Some("BJ-01-B")), "live_session_exists");
    conflict(house.create("pit-1", "RL-01", Some("BJ-01-A")), "box_elsewhere");
    let other = house.create("pit-1", "RL-01", None).unwrap();
    conflict(house.prepare("pit-1", other, "BJ-01-B"), "box_elsewhere");
    house.prepare("pit-1", other, "EM-1").unwrap();
    house.go("pit-1", other, Status::Opening).unwrap();
    crate::slips::wrong_state(house.prepare("pit-1", other, "RL-01-A"));
}

#[test]
fn what_opening_binds_is_bound_then() {
    let mut house = House::new();
    let session = house.create("pit-1", "BJ-01", Some("BJ-01-A")).unwrap();
    let created = house.session(session).gaming_day;
    house.wait(60 * 24);
    house.par_cents = Some(5_000);
    house.go("pit-1", session, Status::Opening).unwrap();
    let row = house.session(session);
    assert_eq!(
        (row.gaming_day, row.need_total_cents),
        (created + chrono::Days::new(1), Some(5_000))
    );
    house.casino.bank_mode = workflows::word::BankMode::ImprestToPar;
    house.tray(session, SnapshotKind::Open, 100).unwrap();
    assert_eq!(house.session(session).bank_mode, workflows::word::BankMode::InventoryCount);
}
