//! Facts that come after the end (domain §4, §9).

use serde_json::Value;
use workflows::word::{Category, SlipKind, Status};

use crate::casino::House;
use crate::casino::play::{agreed, paper};

#[test]
fn a_late_removal_delivery_receipt_and_count_are_stored_flagged_and_change_nothing_else() {
    let mut house = House::new();
    let session = house.finalized(100_000, 10_000, 100_000);
    let (row, report) = (house.session(session).clone(), house.report(session).clone());
    let unchanged = |house: &House| {
        assert_eq!(*house.session(session), row);
        assert_eq!(*house.report(session), report);
        assert!(
            house.categories(session).iter().all(|category| *category == Category::LateEvent),
            "{:?}",
            house.categories(session)
        );
        assert!(house.taken.is_empty());
    };
    house.wait(60);
    let late = house.remove(session, "BJ-01-B", None).unwrap();
    assert_eq!(house.categories(session), [Category::LateEvent]);
    unchanged(&house);
    house.wait(200);
    house.deliver("sec-1", late).unwrap();
    unchanged(&house);
    house.receive("team-1", late, "another seal").unwrap();
    unchanged(&house);
    let mut count = agreed(&house, 700);
    (count.count_2_cents, count.agreed_cents) = (600, Some(700));
    house.submit("team-1", late, &count).unwrap();
    unchanged(&house);
    assert_eq!(house.drop_event(late).counted_at, Some(house.at));
    assert_eq!(house.drop_box("BJ-01-B").use_no, 2, "the box itself is free again");
    assert!(house.exceptions(session).iter().all(|row| row.status.is_unresolved()));
}

#[test]
fn a_late_recount_is_flagged() {
    let mut house = House::new();
    let session = house.finalized(100_000, 10_000, 100_000);
    let (drop, standing) = (house.store.drops[0].id, house.store.counts[0].id);
    let recount = workflows::count::Count {
        supersedes_id: Some(standing),
        ..agreed(&house, 9_000)
    };
    house.submit("team-1", drop, &recount).unwrap();
    assert_eq!(house.categories(session), [Category::LateEvent]);
    assert_eq!(house.report(session).drop_total_cents, Some(10_000));
    assert_eq!(house.status(session), Status::Finalized);
}

#[test]
fn a_late_first_count_may_be_disputed_it_is_stored_all_the_same() {
    let mut house = House::new();
    let session = house.finalized(100_000, 10_000, 100_000);
    let late = house.remove(session, "BJ-01-B", None).unwrap();
    house.bring(late);
    let count = workflows::count::Count {
        count_2_cents: 600,
        ..agreed(&house, 700)
    };
    house.submit("team-1", late, &count).expect("a late fact is stored");
}

#[test]
fn a_late_event_judged_does_not_silence_the_next_late_fact_nor_repeat_itself() {
    let mut house = House::new();
    let session = house.finalized(100_000, 10_000, 100_000);
    let late = house.remove(session, "BJ-01-B", None).unwrap();
    let first = house.exception(session, Category::LateEvent).id;
    house.resolve("comp-1", first).unwrap();
    house.deliver("sec-1", late).unwrap();
    let rows = house.exceptions(session);
    assert_eq!(rows.len(), 2, "the delivery is another late fact");
    let findings: Vec<(Option<Value>, Option<Value>)> = rows.iter().map(|row| (row.expected.clone(), row.found.clone())).collect();
    assert_ne!(
        findings[0], findings[1],
        "one equal to a resolved row is not raised again, so the two must differ"
    );
}

#[test]
fn a_slip_of_a_finalized_session_found_elsewhere_is_the_box_s_exception_and_disturbs_nothing() {
    let mut house = House::new();
    let ended = house.open("RL-01", "RL-01-A", 1_000);
    let theirs = house.deposited(ended, SlipKind::Fill, 700);
    let drop = house.drop_now(ended, "RL-01-A", Some("RL-01-B"));
    house.bring_and_count(drop, 0);
    house.close(ended, 1_700);
    house.go("comp-1", ended, Status::Finalized).unwrap();
    let (row, report) = (house.session(ended).clone(), house.report(ended).clone());
    let session = house.playing(100_000);
    let drop = house.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
    house.bring(drop);
    let number = house.slip(theirs).slip_no.expect("numbered").to_string();
    let mut count = agreed(&house, 0);
    count.documents = vec![paper(workflows::word::DocumentKind::FillSlip, Some(&number), 700)];
    house.submit("team-1", drop, &count).unwrap();
    assert_eq!((house.session(ended), house.report(ended)), (&row, &report));
    let about: Vec<_> = house
        .store
        .exceptions
        .iter()
        .filter(|row| row.subject_id == theirs.to_string())
        .collect();
    assert_eq!(about.len(), 1, "the finding is not lost with the session that can take none");
    assert_eq!((about[0].category, about[0].session_id), (Category::UnexpectedSlip, session));
}
