//! What a command leaves for others to read: its events, key for key as the catalog gives them, and its audit row.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use self::Shape::{Cents, CentsOrNull, Chips, Day, Flag, Id, IdOrNull, Moment, MomentOrNull, Number, Text, TextOrNull};
use super::count_of;
use crate::schema::ask;
use crate::support::{House, Reply, id, text, tray};

/// The event catalog's keys (seed 2), copied by hand: the contract that consumers were written against. Below them those the catalog lacks
/// (domain §13), each with the ids it needs.
const CATALOG: &[(&str, &[(&str, Shape)])] = &[
    (
        "table.inventory_open",
        &[
            ("table_id", Id),
            ("snapshot_id", Id),
            ("chipset", Chips),
            ("counted_by", IdOrNull),
            ("verified_by", IdOrNull),
        ],
    ),
    (
        "table.inventory_close",
        &[
            ("table_id", Id),
            ("snapshot_id", Id),
            ("chipset", Chips),
            ("discrepancy_cents", CentsOrNull),
            ("counted_by", IdOrNull),
            ("verified_by", IdOrNull),
        ],
    ),
    (
        "table.inventory_rundown_recorded",
        &[("table_id", Id), ("snapshot_id", Id), ("chipset", Chips), ("note", TextOrNull)],
    ),
    (
        "table.fill_requested",
        &[
            ("table_id", Id),
            ("request_id", Text),
            ("amount_cents", Cents),
            ("chipset", Chips),
            ("requested_by", IdOrNull),
            ("slip_no", TextOrNull),
        ],
    ),
    (
        "table.fill_completed",
        &[
            ("table_id", Id),
            ("request_id", Text),
            ("amount_cents", Cents),
            ("delivered_by", IdOrNull),
            ("received_by", IdOrNull),
        ],
    ),
    (
        "table.credit_requested",
        &[
            ("table_id", Id),
            ("request_id", Text),
            ("amount_cents", Cents),
            ("chipset", Chips),
            ("authorized_by", IdOrNull),
        ],
    ),
    (
        "table.credit_completed",
        &[
            ("table_id", Id),
            ("request_id", Text),
            ("amount_cents", Cents),
            ("sent_by", IdOrNull),
            ("received_by", IdOrNull),
        ],
    ),
    (
        "table.drop_removed",
        &[
            ("table_id", Id),
            ("drop_box_id", Id),
            ("seal_no", TextOrNull),
            ("gaming_day", Day),
            ("seq_no", Number),
            ("removed_by", IdOrNull),
            ("witnessed_by", IdOrNull),
        ],
    ),
    (
        "table.drop_delivered",
        &[
            ("table_id", Id),
            ("drop_box_id", Id),
            ("delivered_at", Moment),
            ("delivered_scan_at", MomentOrNull),
        ],
    ),
    (
        "table.activated",
        &[("table_id", Id), ("label", Text), ("type", Text), ("pit", TextOrNull)],
    ),
    ("table.deactivated", &[("table_id", Id)]),
    (
        "table.session_created",
        &[("session_id", Id), ("table_id", Id), ("gaming_day", Day)],
    ),
    (
        "table.session_advanced",
        &[
            ("session_id", Id),
            ("table_id", Id),
            ("from", Text),
            ("to", Text),
            ("trigger", Text),
        ],
    ),
    (
        "table.slip_advanced",
        &[
            ("slip_id", Id),
            ("session_id", Id),
            ("table_id", Id),
            ("kind", Text),
            ("from", TextOrNull),
            ("to", Text),
        ],
    ),
    (
        "table.drop_scheduled",
        &[("session_id", Id), ("table_id", Id), ("drop_scheduled_for", MomentOrNull)],
    ),
    (
        "table.drop_received",
        &[
            ("table_id", Id),
            ("drop_box_id", Id),
            ("drop_event_id", Id),
            ("received_at", Moment),
            ("received_by", Id),
        ],
    ),
    (
        "table.drop_counted",
        &[
            ("session_id", Id),
            ("table_id", Id),
            ("drop_box_id", Id),
            ("drop_event_id", Id),
            ("soft_count_id", Id),
            ("accepted", Flag),
        ],
    ),
    (
        "table.exception_raised",
        &[
            ("exception_id", Id),
            ("session_id", Id),
            ("table_id", Id),
            ("category", Text),
            ("variance_cents", CentsOrNull),
        ],
    ),
    (
        "table.exception_resolved",
        &[
            ("exception_id", Id),
            ("session_id", Id),
            ("table_id", Id),
            ("category", Text),
            ("status", Text),
        ],
    ),
    (
        "table.rundown_computed",
        &[
            ("session_id", Id),
            ("table_id", Id),
            ("win_loss_stat_cents", CentsOrNull),
            ("metric_grade", Text),
        ],
    ),
    (
        "table.rundown_finalized",
        &[
            ("session_id", Id),
            ("table_id", Id),
            ("win_loss_stat_cents", CentsOrNull),
            ("finalized_by", Id),
        ],
    ),
];

/// What a payload's value may be.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Id,
    IdOrNull,
    Cents,
    CentsOrNull,
    Number,
    Chips,
    Text,
    TextOrNull,
    Day,
    Moment,
    MomentOrNull,
    Flag,
}

impl Shape {
    fn fits(self, value: &Value) -> bool {
        match self {
            Id => value.as_str().is_some_and(|id| id.parse::<Uuid>().is_ok()),
            Cents | Number => value.is_i64(),
            Chips => value
                .as_object()
                .is_some_and(|chips| chips.iter().all(|(cents, pieces)| cents.parse::<u32>().is_ok() && pieces.is_u64())),
            Text => value.as_str().is_some_and(|text| !text.is_empty()),
            Day => value
                .as_str()
                .is_some_and(|day| day.len() == 10 && day.parse::<chrono::NaiveDate>().is_ok()),
            Moment => value
                .as_str()
                .is_some_and(|at| at.ends_with('Z') && at.parse::<chrono::DateTime<chrono::Utc>>().is_ok()),
            Flag => value.is_boolean(),
            IdOrNull => value.is_null() || Id.fits(value),
            CentsOrNull => value.is_null() || Cents.fits(value),
            TextOrNull => value.is_null() || Text.fits(value),
            MomentOrNull => value.is_null() || Moment.fits(value),
        }
    }
}

/// Commands one after another, each with its answer's correlation id.
struct Teller {
    house: House,
    told: Vec<(&'static str, String)>,
}

impl Teller {
    async fn post(&mut self, what: &'static str, by: &str, path: &str, body: Value) -> Value {
        self.call(what, self.house.post(by, path, body).await)
    }

    fn call(&mut self, what: &'static str, reply: Reply) -> Value {
        assert!(reply.status < 300, "{what}: {}", reply.text);
        self.told.push((what, reply.header("x-correlation-id").expect("an id").to_owned()));
        reply.body
    }

    async fn slip(&mut self, session: &str, kind: &str) {
        let request = json!({ "kind": kind, "request_id": format!("{kind}-1"), "chipset": { "10000": 5 } });
        let slip = id(&self
            .post("slip.request", "PB-01", &format!("sessions/{session}/slips"), request)
            .await);
        let steps = format!("slips/{slip}/transitions");
        let (runner, dealer) = (self.house.staff("SC-03"), self.house.cosign("DL-01"));
        self.post("slip.issue", "CG-01", &steps, json!({ "to": "ISSUED", "runner_id": runner }))
            .await;
        self.post(
            "slip.verify",
            "PB-02",
            &steps,
            json!({ "to": "VERIFIED_AT_TABLE", "dealer": dealer }),
        )
        .await;
        if kind == "credit" {
            self.post("slip.cage_receipt", "CG-01", &format!("slips/{slip}/cage-receipt"), json!({}))
                .await;
        }
        self.post("slip.deposit", "PB-02", &steps, json!({ "to": "DEPOSITED_IN_DROPBOX" }))
            .await;
    }

    /// A whole session with one seal that differs, so that every event there is has its occasion. Returns its id.
    async fn play(&mut self) -> String {
        let (table, first, second) = (
            self.house.table("BJ-01"),
            self.house.drop_box("BJ-01-A"),
            self.house.drop_box("BJ-01-B"),
        );
        let (dealer, witness) = (self.house.cosign("DL-01"), self.house.cosign("SC-02"));
        for (what, path) in [("table.deactivate", "deactivate"), ("table.activate", "activate")] {
            let reply = self
                .house
                .person("AD-01")
                .post(&format!("/api/v1/tables/{}/{path}", self.house.table("BJ-03")), json!({}))
                .await;
            self.call(what, reply);
        }
        let session = id(&self
            .post(
                "session.create",
                "PB-01",
                "sessions",
                json!({ "table_id": table, "drop_box_id": first }),
            )
            .await);
        let at = |rest: &str| format!("sessions/{session}/{rest}");
        self.post("session.begin_opening", "PB-01", &at("transitions"), json!({ "to": "OPENING" }))
            .await;
        let tray_count = |kind: &str| json!({ "kind": kind, "chipset": tray(), "cosign": dealer });
        self.post("snapshot.count", "PB-01", &at("snapshots"), tray_count("open")).await;
        self.post("snapshot.count", "PB-01", &at("snapshots"), tray_count("rundown")).await;
        self.slip(&session, "fill").await;
        self.slip(&session, "credit").await;
        self.post(
            "session.schedule_drop",
            "PB-01",
            &at("transitions"),
            json!({ "to": "DROP_SCHEDULED" }),
        )
        .await;
        let removal = json!({ "drop_box_id": first, "replacement_box_id": second, "seal_no": "S1", "witnessed_by": witness });
        let drop = id(&self.post("drop.remove", "SC-01", &at("drops"), removal).await["drop"]);
        self.post(
            "drop.deliver",
            "SC-01",
            &format!("drops/{drop}/delivery"),
            json!({ "delivered_scan_at": self.house.clock.now() }),
        )
        .await;
        self.post(
            "drop.receive",
            "CT-01",
            &format!("drops/{drop}/receipt"),
            json!({ "seal_no": "S2" }),
        )
        .await;
        let mut count = count_of(&self.house, &drop, 5000);
        count["evidence_manifest"]["documents"] = json!([
            { "kind": "fill_slip", "number": "1", "amount_cents": 50_000 }, { "kind": "credit_slip", "number": "1", "amount_cents": 50_000 },
        ]);
        self.post("count.submit", "CT-01", "soft-counts", count).await;
        self.post("session.begin_closing", "PB-01", &at("transitions"), json!({ "to": "CLOSING" }))
            .await;
        self.post("snapshot.count", "PB-01", &at("snapshots"), tray_count("close")).await;
        let exception = id(&self.house.exceptions(&session).await[0]);
        self.post(
            "exception.acknowledge",
            "CO-01",
            &format!("exceptions/{exception}/acknowledge"),
            json!({}),
        )
        .await;
        let answer = json!({ "reason_code": "CUSTODY_EXPLAINED", "resolution_note": "misread" });
        self.post("exception.resolve", "CO-01", &format!("exceptions/{exception}/resolve"), answer)
            .await;
        self.post("session.finalize", "CO-01", &at("transitions"), json!({ "to": "FINALIZED" }))
            .await;
        session
    }
}

/// Every event of a whole session, in the order in which things happened.
const STORY: &[&str] = &[
    "table.deactivated",
    "table.activated",
    "table.session_created",
    "table.session_advanced READY_TO_OPEN OPENING",
    "table.inventory_open",
    "table.session_advanced OPENING OPEN",
    "table.inventory_rundown_recorded",
    "table.fill_requested",
    "table.slip_advanced null REQUESTED",
    "table.slip_advanced REQUESTED ISSUED",
    "table.slip_advanced ISSUED VERIFIED_AT_TABLE",
    "table.fill_completed",
    "table.slip_advanced VERIFIED_AT_TABLE DEPOSITED_IN_DROPBOX",
    "table.credit_requested",
    "table.slip_advanced null REQUESTED",
    "table.slip_advanced REQUESTED ISSUED",
    "table.slip_advanced ISSUED VERIFIED_AT_TABLE",
    "table.credit_completed",
    "table.slip_advanced VERIFIED_AT_TABLE DEPOSITED_IN_DROPBOX",
    "table.session_advanced OPEN DROP_SCHEDULED",
    "table.drop_scheduled",
    "table.drop_removed",
    "table.session_advanced DROP_SCHEDULED DROPPED",
    "table.drop_delivered",
    "table.drop_received",
    "table.exception_raised",
    "table.drop_counted",
    "table.session_advanced DROPPED COUNTED",
    "table.session_advanced COUNTED CLOSING",
    "table.inventory_close",
    "table.session_advanced CLOSING CLOSED",
    "table.session_advanced CLOSED RECONCILED",
    "table.rundown_computed",
    "table.exception_resolved",
    "table.rundown_computed",
    "table.session_advanced RECONCILED FINALIZED",
    "table.rundown_finalized",
];

#[tokio::test]
async fn a_sessions_events_are_the_catalogs_key_for_key_and_in_order() {
    let mut teller = Teller {
        house: House::open().await,
        told: Vec::new(),
    };
    teller.play().await;
    let owner = teller.house.cluster.owner().await;
    let outbox = ask(
        &owner,
        "SELECT jsonb_agg(to_jsonb(o) ORDER BY o.position) AS json FROM outbox AS o",
        [],
    )
    .await;
    let outbox = outbox.as_array().expect("rows");
    let story: Vec<String> = outbox
        .iter()
        .map(|row| {
            let word = |member: &str| {
                row["payload"]
                    .get(member)
                    .map(|value| format!(" {}", value.as_str().unwrap_or("null")))
                    .unwrap_or_default()
            };
            format!("{}{}{}", text(row, "event"), word("from"), word("to"))
        })
        .collect();
    assert_eq!(story, STORY);
    for row in outbox {
        in_the_catalog(row, teller.house.home.casino);
    }
    let told: BTreeSet<&str> = outbox.iter().filter_map(|row| row["event"].as_str()).collect();
    assert_eq!(
        told,
        CATALOG.iter().map(|(event, _)| *event).collect(),
        "every event has had its occasion"
    );
    let correlated: BTreeSet<String> = outbox.iter().map(|row| text(row, "correlation_id")).collect();
    assert!(
        teller
            .told
            .iter()
            .all(|(what, id)| correlated.contains(id) || *what == "exception.acknowledge"),
        "{:#?}",
        teller.told
    );
}

#[track_caller]
fn in_the_catalog(row: &Value, casino: Uuid) {
    let (event, payload) = (text(row, "event"), row["payload"].as_object().expect("an object"));
    let (_, keys) = CATALOG
        .iter()
        .find(|(name, _)| *name == event)
        .unwrap_or_else(|| panic!("{event} is in no catalog"));
    let expected: BTreeSet<&str> = keys.iter().map(|(key, _)| *key).chain(["event", "casino_id", "at"]).collect();
    assert_eq!(payload.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected, "{event}");
    for (key, shape) in keys.iter().chain(&[("casino_id", Id), ("at", Moment)]) {
        assert!(shape.fits(&payload[*key]), "{event}.{key} is no {shape:?}: {}", payload[*key]);
    }
    assert_eq!((&payload["event"], &payload["casino_id"]), (&json!(event), &json!(casino)));
    let table = format!("{casino}:{}", text(&row["payload"], "table_id"));
    let channels = match event.as_str() {
        "table.inventory_rundown_recorded" => json!([table]),
        "table.activated" | "table.deactivated" => json!([casino]),
        _ => json!([casino, table]),
    };
    assert_eq!(row["channels"], channels, "{event}");
}

#[tokio::test]
async fn a_command_leaves_one_audit_row_with_what_was_and_what_is() {
    let mut teller = Teller {
        house: House::open().await,
        told: Vec::new(),
    };
    let session = teller.play().await;
    let owner = teller.house.cluster.owner().await;
    let audit = ask(
        &owner,
        "SELECT jsonb_agg(to_jsonb(a) ORDER BY a.id) AS json FROM audit_log AS a",
        [],
    )
    .await;
    let audit = audit.as_array().expect("rows");
    let told: Vec<(String, String)> = teller.told.iter().map(|(what, id)| ((*what).to_owned(), id.clone())).collect();
    let kept: Vec<(String, String)> = audit
        .iter()
        .map(|row| {
            (
                format!("{}.{}", text(row, "domain"), text(row, "action")),
                text(row, "correlation_id"),
            )
        })
        .collect();
    assert_eq!(kept, told, "one row a command, under its name and its correlation id");
    for row in audit {
        let creates = row["action"] == "create";
        assert_eq!(
            (row["dto_before"].is_null(), row["dto_after"].is_object()),
            (creates, true),
            "{row:#}"
        );
        assert!(row["domain"] == "table" || row["session_id"] == json!(session), "{row:#}");
    }
    let moved = &audit[3];
    let status = |side: &str| moved[side]["table_inventory_session"][0]["status"].clone();
    assert_eq!(
        (status("dto_before"), status("dto_after")),
        (json!("READY_TO_OPEN"), json!("OPENING")),
        "{moved:#}"
    );
    assert_eq!(moved["actor_id"], json!(teller.house.staff("PB-01")));
    // PINs and what proves them are in no book.
    let written = audit.iter().map(ToString::to_string).collect::<String>();
    assert!(!written.contains("\"pin\":") && !written.contains("pin_hash") && !written.contains("argon2"));
}
