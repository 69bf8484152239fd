//! Whole sessions, state by state.

use workflows::word::{CloseReason, CountStatus, MetricGrade, SlipKind, SnapshotKind, Status};

use crate::casino::House;

#[test]
fn the_main_road_leads_through_all_ten_states() {
    let mut house = House::new();
    let session = house.create("pit-1", "BJ-01", Some("BJ-01-A")).unwrap();
    assert_eq!(house.status(session), Status::ReadyToOpen);
    house.go("pit-1", session, Status::Opening).unwrap();
    house.tray(session, SnapshotKind::Open, 100_000).unwrap();
    assert_eq!(house.edges_taken(), ["OPENING -> OPEN"]);
    house.deposited(session, SlipKind::Fill, 20_000);
    house.deposited(session, SlipKind::Credit, 5_000);
    house.schedule("pit-1", session, None).unwrap();
    assert_eq!(house.status(session), Status::DropScheduled);
    house.wait(5);
    let drop = house.remove(session, "BJ-01-A", Some("BJ-01-B")).unwrap();
    assert_eq!(house.edges_taken(), ["DROP_SCHEDULED -> DROPPED"]);
    house.wait(10);
    house.bring_and_count(drop, 40_000);
    assert_eq!(house.edges_taken(), ["DROPPED -> COUNTED"]);
    house.wait(10);
    house.go("pit-1", session, Status::Closing).unwrap();
    house.tray(session, SnapshotKind::Close, 90_000).unwrap();
    assert_eq!(house.edges_taken(), ["CLOSING -> CLOSED", "CLOSED -> RECONCILED"]);
    let report = house.report(session);
    assert_eq!(report.win_loss_stat_cents, Some(90_000 + 5_000 + 40_000 - 100_000 - 20_000));
    assert_eq!(report.inventory_result_cents, Some(-25_000));
    assert_eq!(report.hold_bp, Some(3750));
    assert_eq!(
        (report.metric_grade, report.count_status),
        (MetricGrade::Authoritative, CountStatus::Counted)
    );
    assert!(report.missing_inputs.is_empty() && report.finalized_at.is_none());
    assert!(house.exceptions(session).is_empty(), "{:?}", house.categories(session));
    house.go("comp-1", session, Status::Finalized).unwrap();
    assert_eq!(house.status(session), Status::Finalized);
    assert_eq!(house.report(session).finalized_by, Some(house.id_of("comp-1")));
    assert_eq!(house.session(session).close_reason, Some(CloseReason::Normal));
}
