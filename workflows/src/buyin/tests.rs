use serde_json::json;

use super::*;

const TABLE: Uuid = Uuid::from_u128(1);
const VISIT: Uuid = Uuid::from_u128(2);
const SLIP: Uuid = Uuid::from_u128(3);
const SEAT: Seat = Seat {
    visit_id: VISIT,
    table_id: TABLE,
    is_ghost: false,
};

fn new_id() -> Uuid {
    Uuid::from_u128(99)
}

fn context(by: u128, at: &str) -> Context {
    let casino = json!({
        "id": Uuid::from_u128(7), "name": "River Bend", "timezone": "America/Chicago", "gaming_day_start": "06:00:00",
        "bank_mode": "INVENTORY_COUNT", "denominations_cents": [100], "opening_tolerance_cents": 0, "par_tolerance_cents": 0,
        "min_count_team": 3, "drop_window_minutes": 30, "delivery_limit_minutes": 45, "drop_due_hours": 24, "count_due_hours": 24,
        "slip_scope": "gaming_day", "fill_series_open": false, "credit_series_open": false, "count_before_close": false,
        "cashier_receives_boxes": false, "hold_band_low_bp": null, "hold_band_high_bp": null, "pit_grind_share_bp": 8000, "version": 1,
        "created_at": "2026-01-01T00:00:00Z",
    });
    let caller = json!({
        "id": Uuid::from_u128(by), "casino_id": Uuid::from_u128(7), "employee_no": "PB-01", "name": "Ada", "role": "pit_boss",
        "status": "active",
    });
    Context {
        caller: serde_json::from_value(caller).unwrap(),
        casino: serde_json::from_value(casino).unwrap(),
        zone: chrono_tz::America::Chicago,
        at: at.parse().unwrap(),
        new_id,
    }
}

/// At 20:00 in Chicago.
fn evening() -> Context {
    context(11, "2026-03-07T02:00:00Z")
}

fn grind(cents: i64) -> Entry {
    Entry {
        table_id: TABLE,
        amount_cents: cents,
        telemetry_kind: TelemetryKind::GrindBuyin,
        visit_id: None,
        rating_slip_id: None,
        tender_type: None,
        occurred_at: None,
        note: None,
        idempotency_key: "k-1".to_owned(),
    }
}

fn rated(cents: i64) -> Entry {
    Entry {
        telemetry_kind: TelemetryKind::RatedBuyin,
        visit_id: Some(VISIT),
        rating_slip_id: Some(SLIP),
        ..grind(cents)
    }
}

#[track_caller]
fn pointers(entry: &Entry, seat: Option<Seat>) -> Vec<String> {
    match log(entry, seat, &evening()) {
        Err(Refusal::Invalid(flaws)) => flaws.into_iter().map(|flaw| flaw.pointer).collect(),
        judged => panic!("{judged:?}"),
    }
}

#[test]
fn a_rated_buyin_of_twenty_five_dollars_is_rated() {
    let row = log(&rated(2_500), Some(SEAT), &evening()).unwrap();
    assert_eq!(row.telemetry_kind, TelemetryKind::RatedBuyin);
    assert_eq!(
        (row.source, row.idempotency_key.as_deref()),
        (TelemetrySource::ManualOps, Some("man:k-1"))
    );
    assert_eq!(row.gaming_day.to_string(), "2026-03-06", "the evening belongs to the local day");
}

#[test]
fn the_kind_follows_linkage() {
    let unlinked = Entry {
        visit_id: None,
        rating_slip_id: None,
        ..rated(5_000)
    };
    assert_eq!(pointers(&unlinked, None), ["/visit_id", "/rating_slip_id"]);
    let linked = Entry {
        telemetry_kind: TelemetryKind::GrindBuyin,
        ..rated(5_000)
    };
    assert_eq!(pointers(&linked, Some(SEAT)), ["/visit_id", "/rating_slip_id"]);
    let half = Entry {
        visit_id: None,
        ..rated(5_000)
    };
    assert_eq!(pointers(&half, Some(SEAT)), ["/visit_id"]);
}

#[test]
fn a_rated_buyin_is_where_its_slip_is() {
    let elsewhere = Seat {
        visit_id: Uuid::from_u128(8),
        table_id: Uuid::from_u128(9),
        ..SEAT
    };
    assert_eq!(pointers(&rated(5_000), Some(elsewhere)), ["/visit_id", "/table_id"]);
}

#[test]
fn a_ghost_is_rated_by_nobody() {
    let ghost = Seat { is_ghost: true, ..SEAT };
    match log(&rated(5_000), Some(ghost), &evening()) {
        Err(Refusal::Conflict { reason, .. }) => assert_eq!(reason, "ghost_visit"),
        judged => panic!("{judged:?}"),
    }
}

#[test]
fn a_buyin_is_above_nothing_and_an_adjustment_is_something() {
    let adjustment = |cents| Entry {
        telemetry_kind: TelemetryKind::GrindAdjustment,
        ..grind(cents)
    };
    for refused in [grind(0), grind(-1), adjustment(0), grind(MAX_CENTS + 1), adjustment(i64::MIN)] {
        assert_eq!(pointers(&refused, None), ["/amount_cents"], "{}", refused.amount_cents);
    }
    assert!(log(&adjustment(-5_000), None, &evening()).is_ok() && log(&adjustment(5_000), None, &evening()).is_ok());
}

#[test]
fn every_flaw_is_told_at_once() {
    let all = Entry {
        amount_cents: 0,
        visit_id: Some(VISIT),
        idempotency_key: "two words".to_owned(),
        tender_type: Some("x".repeat(MAX_TENDER + 1)),
        note: Some("x".repeat(MAX_TEXT + 1)),
        occurred_at: Some("2026-03-08T00:00:00Z".parse().unwrap()),
        ..grind(0)
    };
    assert_eq!(
        pointers(&all, None),
        [
            "/amount_cents",
            "/visit_id",
            "/idempotency_key",
            "/tender_type",
            "/note",
            "/occurred_at"
        ]
    );
}

#[test]
fn an_undo_takes_back_all_of_an_entry_at_its_own_time() {
    let entry = Entry {
        occurred_at: Some("2026-03-07T01:30:00Z".parse().unwrap()),
        ..rated(12_300)
    };
    let row = log(&entry, Some(SEAT), &evening()).unwrap();
    let back = undo(&row, &context(11, "2026-03-07T02:15:00Z")).unwrap();
    assert_eq!((back.amount_cents, back.telemetry_kind), (-12_300, TelemetryKind::RatedAdjustment));
    assert_eq!((back.occurred_at, back.reverses_id), (row.occurred_at, Some(row.id)));
    assert_eq!(back.idempotency_key, Some(undo_key(row.id)));
}

#[test]
fn an_undo_is_for_one_s_own_entries_within_a_quarter_of_an_hour() {
    let row = log(&grind(2_000), None, &evening()).unwrap();
    let another = undo(&row, &context(12, "2026-03-07T02:01:00Z"));
    assert!(
        matches!(
            another,
            Err(Refusal::Segregation {
                rule: "undo_own_entry",
                ..
            })
        ),
        "{another:?}"
    );
    let late = undo(&row, &context(11, "2026-03-07T02:15:00.000001Z"));
    assert!(
        matches!(
            late,
            Err(Refusal::Conflict {
                reason: "undo_too_late",
                ..
            })
        ),
        "{late:?}"
    );
    let bridged = Buyin {
        source: TelemetrySource::FinanceBridge,
        idempotency_key: Some("pft:1".to_owned()),
        ..row.clone()
    };
    let back = undo(&row, &evening()).unwrap();
    for no_entry in [bridged, back] {
        let refused = undo(&no_entry, &evening());
        assert!(
            matches!(
                refused,
                Err(Refusal::Conflict {
                    reason: "not_an_entry",
                    ..
                })
            ),
            "{refused:?}"
        );
    }
}

#[test]
fn the_same_entry_is_the_same_whatever_was_left_to_the_clock() {
    let row = log(&grind(2_000), None, &evening()).unwrap();
    let by = row.actor_id;
    assert!(is_same_entry(&row, &grind(2_000), by));
    let timed = Entry {
        occurred_at: Some(row.occurred_at),
        ..grind(2_000)
    };
    assert!(is_same_entry(&row, &timed, by));
    assert!(!is_same_entry(&row, &grind(2_001), by));
    assert!(!is_same_entry(&row, &grind(2_000), Uuid::from_u128(12)), "another person's");
}
