//! Who may ask for what: every route of the contract, every role, the own casino and another's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use reqwest::Method;
use rundown::auth::{AuthSettings, TokenIssuer};
use rundown::clock::new_id;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{House, Person, Reply, Written, auth, below, id, insert, tray};

/// A person of each role that can hold a token. None of them has a part in what [`things`] founds.
const CALLERS: &[(&str, &str)] = &[
    ("pit_boss", "PB-03"),
    ("cashier", "CG-02"),
    ("security", "SC-03"),
    ("count_team", "CT-04"),
    ("compliance", "CO-02"),
    ("admin", "AD-01"),
    ("dealer", "DL-02"),
];

const PIT: &[&str] = &["pit_boss", "admin"];
const CAGE: &[&str] = &["cashier", "admin"];
const SECURITY: &[&str] = &["security", "admin"];
const COUNT_ROOM: &[&str] = &["count_team", "admin"];
const COMPLIANCE: &[&str] = &["compliance", "admin"];
const ADMIN: &[&str] = &["admin"];
/// Every role with a token: a dealer never holds one (domain §3).
const EVERYBODY: &[&str] = &["pit_boss", "cashier", "security", "count_team", "compliance", "admin"];
/// Counts are not for the cage nor for security (api.md "Who").
const COUNT_READERS: &[&str] = &["pit_boss", "count_team", "compliance", "admin"];

/// What a route is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Nothing,
    /// In play.
    Session,
    /// In READY_TO_OPEN.
    Ready,
    Snapshot,
    /// REQUESTED.
    Slip,
    /// A credit, verified at the table.
    Credit,
    /// Removed, delivered and received.
    Drop,
    Exception,
    Range,
    Staff,
    Table,
    ShiftTemplate,
    Shift,
    Schedule,
    /// Entered by hand.
    Buyin,
    Checkpoint,
    /// Queued: in these houses no daemon runs jobs.
    JobRun,
    Player,
    /// Of that player, rated.
    Visit,
    /// At BJ-01.
    RatingSlip,
    /// With nothing drawn yet.
    Layout,
    DeadLetter,
    Webhook,
}

/// What is sent.
enum Sent {
    Empty,
    Json(Value),
    Csv(String),
}

/// One way to use a route: who may, and what is sent about a thing.
struct Row {
    method: &'static str,
    path: &'static str,
    may: &'static [&'static str],
    about: Thing,
    body: fn(&House, Uuid) -> Sent,
}

fn row(method: &'static str, path: &'static str, may: &'static [&'static str], about: Thing, body: fn(&House, Uuid) -> Sent) -> Row {
    Row {
        method,
        path,
        may,
        about,
        body,
    }
}

fn empty(_: &House, _: Uuid) -> Sent {
    Sent::Empty
}

fn nothing(_: &House, _: Uuid) -> Sent {
    Sent::Json(json!({}))
}

/// THE MATRIX. A route that changes its rule with the body stands here once for each.
#[expect(clippy::too_many_lines, reason = "a table: one line a route")]
fn matrix() -> Vec<Row> {
    use Thing::{Credit, Drop, Exception, Nothing, Range, Ready, Session, Shift, ShiftTemplate, Slip, Snapshot, Staff, Table};
    let (sessions, slips, soft_counts) = (
        "/api/v1/table-context/sessions",
        "/api/v1/table-context/slips",
        "/api/v1/table-context/soft-counts",
    );
    let (one, one_slip) = ("/api/v1/table-context/sessions/{id}", "/api/v1/table-context/slips/{id}");
    let moves = "/api/v1/table-context/sessions/{id}/transitions";
    let steps = "/api/v1/table-context/slips/{id}/transitions";
    vec![
        row("post", sessions, PIT, Table, |_, table| Sent::Json(json!({ "table_id": table }))),
        row("get", sessions, EVERYBODY, Nothing, empty),
        row("get", one, EVERYBODY, Session, empty),
        row("patch", one, PIT, Ready, nothing),
        row("get", moves, EVERYBODY, Session, empty),
        // The one in play waits in DROP_SCHEDULED for a slip's paper.
        row("post", moves, PIT, Session, |_, _| Sent::Json(json!({ "to": "OPEN" }))),
        row("post", moves, PIT, Session, |_, _| Sent::Json(json!({ "to": "CLOSING" }))),
        row("post", moves, PIT, Ready, |_, _| {
            Sent::Json(json!({ "to": "CLOSED", "note": "rain" }))
        }),
        row("post", "/api/v1/table-context/sessions/{id}/rollover", PIT, Ready, |house, _| {
            Sent::Json(json!({ "chipset": tray(), "cosign": house.cosign("PB-02") }))
        }),
        row("get", "/api/v1/table-context/sessions/{id}/rundown", COUNT_READERS, Session, empty),
        row("get", "/api/v1/table-context/sessions/{id}/timeline", EVERYBODY, Session, empty),
        row("post", "/api/v1/table-context/sessions/{id}/snapshots", PIT, Ready, |_, _| {
            Sent::Json(json!({ "kind": "open", "chipset": tray() }))
        }),
        row("post", "/api/v1/table-context/snapshots/{id}/verify", PIT, Snapshot, nothing),
        row("post", "/api/v1/table-context/sessions/{id}/slips", PIT, Ready, |_, _| {
            Sent::Json(json!({ "kind": "fill", "request_id": new_id(), "chipset": tray() }))
        }),
        row(
            "post",
            "/api/v1/table-context/sessions/{id}/slips/offline",
            CAGE,
            Session,
            |house, _| {
                Sent::Json(json!({
                    "kind": "fill", "request_id": new_id(), "slip_no": 1, "chipset": tray(), "issued_at": "2026-03-06T21:00:00Z",
                    "requester": house.cosign("PB-01"), "runner_id": house.staff("SC-01"),
                }))
            },
        ),
        row("get", slips, EVERYBODY, Nothing, empty),
        row("get", one_slip, EVERYBODY, Slip, empty),
        row("post", steps, CAGE, Slip, |house, _| {
            Sent::Json(json!({ "to": "ISSUED", "runner_id": house.staff("SC-01") }))
        }),
        row("post", steps, PIT, Slip, |house, _| {
            Sent::Json(json!({ "to": "VERIFIED_AT_TABLE", "dealer": house.cosign("DL-01") }))
        }),
        row("post", steps, PIT, Slip, |_, _| Sent::Json(json!({ "to": "DEPOSITED_IN_DROPBOX" }))),
        row("post", steps, &["cashier", "pit_boss", "admin"], Credit, |house, _| {
            Sent::Json(json!({ "to": "VOIDED", "reason": "torn", "cosign": house.cosign("CO-01") }))
        }),
        row("post", steps, PIT, Slip, |_, _| {
            Sent::Json(json!({ "to": "CANCELLED", "reason": "not needed" }))
        }),
        row("post", "/api/v1/table-context/slips/{id}/cage-receipt", CAGE, Credit, nothing),
        row("get", "/api/v1/table-context/slip-series", EVERYBODY, Nothing, empty),
        row("post", "/api/v1/table-context/slip-series/manual-ranges", ADMIN, Nothing, |_, _| {
            Sent::Json(json!({ "kind": "fill", "count": 1 }))
        }),
        row(
            "post",
            "/api/v1/table-context/slip-series/manual-ranges/{id}/close",
            ADMIN,
            Range,
            nothing,
        ),
        row(
            "post",
            "/api/v1/table-context/sessions/{id}/drops",
            SECURITY,
            Session,
            |house, _| {
                Sent::Json(json!({ "drop_box_id": house.drop_box("BJ-01-B"), "seal_no": "S9", "witnessed_by": house.cosign("SC-02") }))
            },
        ),
        row("get", "/api/v1/table-context/drops", EVERYBODY, Nothing, empty),
        row("post", "/api/v1/table-context/drops/{id}/delivery", SECURITY, Drop, nothing),
        row("post", "/api/v1/table-context/drops/{id}/receipt", COUNT_ROOM, Drop, |_, _| {
            Sent::Json(json!({ "seal_no": "S1" }))
        }),
        row("get", "/api/v1/table-context/drops/{id}/manifest", COUNT_READERS, Drop, empty),
        row("post", soft_counts, COUNT_ROOM, Drop, |house, drop| {
            let team = ["CT-01", "CT-02", "CT-03"].map(|member| house.staff(member));
            Sent::Json(json!({
                "drop_event_id": drop, "drop_total_cents": 0, "count_1_cents": 0, "count_2_cents": 0, "team": team,
                "evidence_manifest": { "currency": {} },
            }))
        }),
        row("post", "/api/v1/table-context/soft-counts/import", COUNT_ROOM, Nothing, |_, _| {
            let header = "drop_event_id,drop_total_cents,count_1_cents,count_2_cents,team,currency";
            Sent::Csv(format!("{header}\n{},0,0,0,CT-01 CT-02 CT-03,\n", Uuid::nil()))
        }),
        row("get", "/api/v1/table-context/exceptions", EVERYBODY, Nothing, empty),
        row(
            "post",
            "/api/v1/table-context/sessions/{id}/exceptions",
            COUNT_READERS,
            Session,
            |_, _| Sent::Json(json!({ "category": "MANUAL", "detail": "a chip on the floor" })),
        ),
        row(
            "post",
            "/api/v1/table-context/exceptions/{id}/acknowledge",
            COMPLIANCE,
            Exception,
            nothing,
        ),
        row(
            "post",
            "/api/v1/table-context/exceptions/{id}/resolve",
            COMPLIANCE,
            Exception,
            |_, _| Sent::Json(json!({ "reason_code": "SYSTEM_ERROR", "resolution_note": "found" })),
        ),
        row(
            "get",
            "/api/v1/table-context/metrics/tables?shift_id={id}",
            COUNT_READERS,
            Shift,
            empty,
        ),
        row(
            "get",
            "/api/v1/table-context/metrics/pits?shift_id={id}",
            COUNT_READERS,
            Shift,
            empty,
        ),
        row(
            "get",
            "/api/v1/table-context/metrics/casino?shift_id={id}",
            COUNT_READERS,
            Shift,
            empty,
        ),
        row(
            "get",
            "/api/v1/table-context/metrics/summary?shift_id={id}",
            COUNT_READERS,
            Shift,
            empty,
        ),
        row("get", "/api/v1/table-context/rollups", COUNT_READERS, Nothing, empty),
        row("get", "/api/v1/table-context/buyin-telemetry", EVERYBODY, Nothing, empty),
        row("post", "/api/v1/table-context/buyin-telemetry", PIT, Table, |_, table| {
            Sent::Json(json!({ "table_id": table, "amount_cents": 2_000, "telemetry_kind": "GRIND_BUYIN", "idempotency_key": new_id() }))
        }),
        row(
            "post",
            "/api/v1/table-context/buyin-telemetry/{id}/undo",
            PIT,
            Thing::Buyin,
            nothing,
        ),
        row("get", "/api/v1/table-context/checkpoints", COUNT_READERS, Nothing, empty),
        row("post", "/api/v1/table-context/checkpoints", PIT, Nothing, nothing),
        row(
            "get",
            "/api/v1/table-context/checkpoints/{id}/delta",
            COUNT_READERS,
            Thing::Checkpoint,
            empty,
        ),
        row("get", "/api/v1/casino", EVERYBODY, Nothing, empty),
        row("patch", "/api/v1/casino", ADMIN, Nothing, nothing),
        row("get", "/api/v1/staff", EVERYBODY, Nothing, empty),
        row("post", "/api/v1/staff", ADMIN, Nothing, |_, _| {
            Sent::Json(json!({ "employee_no": "PB-77", "name": "Alder", "role": "pit_boss" }))
        }),
        row("patch", "/api/v1/staff/{id}", ADMIN, Staff, nothing),
        row("put", "/api/v1/staff/{id}/pin", ADMIN, Staff, |_, _| {
            Sent::Json(json!({ "pin": "97531" }))
        }),
        row("get", "/api/v1/me", EVERYBODY, Nothing, empty),
        row("get", "/api/v1/tables", EVERYBODY, Nothing, empty),
        row("post", "/api/v1/tables", ADMIN, Nothing, |_, _| {
            Sent::Json(json!({ "label": "PK-77", "type": "poker" }))
        }),
        row("patch", "/api/v1/tables/{id}", ADMIN, Table, nothing),
        row("post", "/api/v1/tables/{id}/activate", ADMIN, Table, nothing),
        row("post", "/api/v1/tables/{id}/deactivate", ADMIN, Table, nothing),
        row("post", "/api/v1/tables/{id}/par", ADMIN, Table, |_, _| {
            Sent::Json(json!({ "par_cents": 500 }))
        }),
        row("post", "/api/v1/tables/import", ADMIN, Nothing, |_, _| {
            Sent::Csv("table,game,pit,par_cents\nPK-78,poker,Pit 2,100\n".to_owned())
        }),
        row("get", "/api/v1/drop-boxes", EVERYBODY, Nothing, empty),
        row("post", "/api/v1/drop-boxes", ADMIN, Table, |_, table| {
            Sent::Json(json!({ "label": "BJ-77", "kind": "standard", "table_id": table }))
        }),
        row("get", "/api/v1/shift-templates", EVERYBODY, Nothing, empty),
        row("post", "/api/v1/shift-templates", ADMIN, Nothing, |_, _| {
            Sent::Json(json!({ "name": "late", "local_start": "18:00", "local_end": "02:00" }))
        }),
        row("patch", "/api/v1/shift-templates/{id}", ADMIN, ShiftTemplate, nothing),
        row("get", "/api/v1/shifts", EVERYBODY, Nothing, empty),
        row("get", "/api/v1/shifts/{id}/summary", COUNT_READERS, Shift, empty),
        row("get", "/api/v1/schedules", EVERYBODY, Nothing, empty),
        row("post", "/api/v1/schedules", ADMIN, Nothing, |_, _| {
            Sent::Json(json!({ "name": "Night", "job_kind": "retention_prune", "cron": "30 3 * * *" }))
        }),
        row("patch", "/api/v1/schedules/{id}", ADMIN, Thing::Schedule, nothing),
        row("post", "/api/v1/schedules/{id}/run", ADMIN, Thing::Schedule, nothing),
        row("get", "/api/v1/schedules/{id}/next", EVERYBODY, Thing::Schedule, empty),
        row("get", "/api/v1/job-runs", EVERYBODY, Nothing, empty),
        row("get", "/api/v1/job-runs/{id}", EVERYBODY, Thing::JobRun, empty),
        row("post", "/api/v1/job-runs/{id}/retry", ADMIN, Thing::JobRun, nothing),
        row("get", "/api/v1/players", EVERYBODY, Nothing, empty),
        row("post", "/api/v1/players", &["pit_boss", "cashier", "admin"], Nothing, |_, _| {
            Sent::Json(json!({ "player_no": new_id(), "name": "Rowan" }))
        }),
        row("get", "/api/v1/players/{id}/loyalty", EVERYBODY, Thing::Player, empty),
        row("post", "/api/v1/loyalty/ledger", PIT, Thing::Player, |_, player| {
            Sent::Json(json!({ "player_id": player, "points": 1, "reason": "promotion" }))
        }),
        row("get", "/api/v1/financial-transactions", EVERYBODY, Nothing, empty),
        row(
            "post",
            "/api/v1/financial-transactions",
            &["cashier", "pit_boss", "admin"],
            Thing::Player,
            |_, player| Sent::Json(json!({ "player_id": player, "direction": "in", "amount_cents": 100 })),
        ),
        row("get", "/api/v1/visits", EVERYBODY, Nothing, empty),
        row("post", "/api/v1/visits", PIT, Thing::Player, |_, player| {
            Sent::Json(json!({ "visit_kind": "reward_identified", "player_id": player }))
        }),
        row("post", "/api/v1/visits/{id}/convert", PIT, Thing::Visit, nothing),
        row("get", "/api/v1/rating-slips", EVERYBODY, Nothing, empty),
        row("post", "/api/v1/rating-slips", PIT, Thing::Visit, |house, visit| {
            Sent::Json(json!({ "visit_id": visit, "table_id": house.table("BJ-01") }))
        }),
        row("get", "/api/v1/rating-slips/{id}", EVERYBODY, Thing::RatingSlip, empty),
        row("patch", "/api/v1/rating-slips/{id}", PIT, Thing::RatingSlip, |_, _| {
            Sent::Json(json!({ "average_bet_cents": 100 }))
        }),
        row("post", "/api/v1/rating-slips/{id}/close", PIT, Thing::RatingSlip, nothing),
        row("post", "/api/v1/visits/{id}/close", PIT, Thing::Visit, nothing),
        row("get", "/api/v1/floor-layouts", EVERYBODY, Nothing, empty),
        row("post", "/api/v1/floor-layouts", ADMIN, Nothing, |_, _| {
            Sent::Json(json!({ "name": "Weekend" }))
        }),
        row("get", "/api/v1/floor-layouts/{id}", EVERYBODY, Thing::Layout, empty),
        row("post", "/api/v1/floor-layouts/{id}/activate", ADMIN, Thing::Layout, nothing),
        row("post", "/api/v1/floor-layouts/{id}/versions", ADMIN, Thing::Layout, nothing),
        row("get", "/api/v1/events", EVERYBODY, Nothing, empty),
        row("get", "/api/v1/events/stream", EVERYBODY, Nothing, empty),
        row("get", "/api/v1/events/schemas", EVERYBODY, Nothing, empty),
        row("get", "/api/v1/events/cache-keys", EVERYBODY, Nothing, empty),
        row("get", "/api/v1/outbox/dead", ADMIN, Nothing, empty),
        row("post", "/api/v1/outbox/{id}/redrive", ADMIN, Thing::DeadLetter, nothing),
        row("get", "/api/v1/webhooks", ADMIN, Nothing, empty),
        row("post", "/api/v1/webhooks", ADMIN, Nothing, |_, _| {
            Sent::Json(json!({ "url": "https://example.com/" }))
        }),
        row("get", "/api/v1/webhooks/{id}", ADMIN, Thing::Webhook, empty),
        row("patch", "/api/v1/webhooks/{id}", ADMIN, Thing::Webhook, nothing),
        row("post", "/api/v1/webhooks/{id}/rotate-secret", ADMIN, Thing::Webhook, nothing),
        row("get", "/api/v1/webhooks/{id}/deliveries", ADMIN, Thing::Webhook, empty),
        row("delete", "/api/v1/webhooks/{id}", ADMIN, Thing::Webhook, empty),
        row("get", "/api/v1/audit", COMPLIANCE, Nothing, empty),
        row("get", "/api/v1/audit/seals", COMPLIANCE, Nothing, empty),
        row("get", "/api/v1/audit/verify", COMPLIANCE, Nothing, empty),
        row("get", "/api/v1/workflows", EVERYBODY, Nothing, empty),
        row("get", "/api/v1/workflows/{name}", EVERYBODY, Nothing, empty),
    ]
}

/// One of each thing in this casino, by people who call nothing in the matrix.
async fn things(house: &House) -> BTreeMap<Thing, Uuid> {
    let parse = |id: String| Uuid::parse_str(&id).expect("an id");
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "500": 1 })).await;
    let credit = house.request_slip(&session, "credit", "c-1", json!({ "500": 1 })).await;
    house
        .step_slip("CG-01", &credit, json!({ "to": "ISSUED", "runner_id": house.staff("SC-01") }))
        .await
        .expect(200);
    house
        .step_slip(
            "PB-02",
            &credit,
            json!({ "to": "VERIFIED_AT_TABLE", "dealer": house.cosign("DL-01") }),
        )
        .await
        .expect(200);
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let raise = json!({ "category": "MANUAL", "detail": "a chip on the floor" });
    let exception = id(house
        .post("PB-01", &format!("sessions/{session}/exceptions"), raise)
        .await
        .expect(201));
    let rundown = json!({ "kind": "rundown", "chipset": tray() });
    let snapshot = id(&house
        .post("PB-01", &format!("sessions/{session}/snapshots"), rundown)
        .await
        .expect(201)["snapshot"]);
    let range = id(house
        .post("AD-01", "slip-series/manual-ranges", json!({ "kind": "credit", "count": 2 }))
        .await
        .expect(201));
    let ready = house.create("BJ-02", "BJ-02-A").await;
    let plan = json!({ "name": "day", "local_start": "06:00", "local_end": "14:00" });
    let template = id(house.person("AD-01").post("/api/v1/shift-templates", plan).await.expect(201));
    // Only a job opens a shift.
    let open = format!(
        "INSERT INTO shift (id, casino_id, gaming_day, name, starts_at, ends_at, template_id)
         VALUES (gen_random_uuid(), '{}', '2026-03-06', 'day', '2026-03-06T12:00Z', '2026-03-06T20:00Z', '{template}') RETURNING id::text",
        house.home.casino
    );
    let shift = house.texts(&open).await.remove(0);
    let buyin =
        json!({ "table_id": house.table("BJ-01"), "amount_cents": 2_000, "telemetry_kind": "GRIND_BUYIN", "idempotency_key": "k-1" });
    let buyin = id(house.post("PB-01", "buyin-telemetry", buyin).await.expect(201));
    let checkpoint = id(house.post("PB-01", "checkpoints", json!({})).await.expect(201));
    let night = json!({ "name": "Prune", "job_kind": "retention_prune", "cron": "0 4 * * *" });
    let schedule = id(house.person("AD-01").post("/api/v1/schedules", night).await.expect(201));
    let run = house
        .person("AD-01")
        .post(&format!("/api/v1/schedules/{schedule}/run"), json!({}))
        .await;
    let run = id(run.expect(201));
    let mut things = neighbours(house).await;
    things.extend(told(house).await);
    things.extend([
        (Thing::Schedule, parse(schedule)),
        (Thing::JobRun, parse(run)),
        (Thing::Session, parse(session)),
        (Thing::Ready, parse(ready)),
        (Thing::Snapshot, parse(snapshot)),
        (Thing::Slip, parse(slip)),
        (Thing::Credit, parse(credit)),
        (Thing::Drop, parse(drop)),
        (Thing::Exception, parse(exception)),
        (Thing::Range, parse(range)),
        (Thing::Staff, house.staff("DL-02")),
        (Thing::Table, house.table("BJ-03")),
        (Thing::ShiftTemplate, parse(template)),
        (Thing::Shift, parse(shift)),
        (Thing::Buyin, parse(buyin)),
        (Thing::Checkpoint, parse(checkpoint)),
    ]);
    things
}

/// What the neighbouring services own.
async fn neighbours(house: &House) -> BTreeMap<Thing, Uuid> {
    let parse = |id: String| Uuid::parse_str(&id).expect("an id");
    let boss = house.person("PB-01");
    let player = id(boss
        .post("/api/v1/players", json!({ "player_no": "P-1", "name": "Rowan" }))
        .await
        .expect(201));
    let visit = json!({ "visit_kind": "gaming_identified_rated", "player_id": player });
    let visit = id(boss.post("/api/v1/visits", visit).await.expect(201));
    let seat = json!({ "visit_id": visit, "table_id": house.table("BJ-01") });
    let rating_slip = id(boss.post("/api/v1/rating-slips", seat).await.expect(201));
    let layout = id(house
        .person("AD-01")
        .post("/api/v1/floor-layouts", json!({ "name": "Day" }))
        .await
        .expect(201));
    BTreeMap::from([
        (Thing::Player, parse(player)),
        (Thing::Visit, parse(visit)),
        (Thing::RatingSlip, parse(rating_slip)),
        (Thing::Layout, parse(layout)),
    ])
}

/// What the world is told with.
async fn told(house: &House) -> BTreeMap<Thing, Uuid> {
    let parse = |id: String| Uuid::parse_str(&id).expect("an id");
    let webhook = json!({ "url": "https://example.com/" });
    let webhook = id(house.person("AD-01").post("/api/v1/webhooks", webhook).await.expect(201));
    let letter = Written::new(house.home.casino, house.table("BJ-03"));
    house.owner_does(&insert(std::slice::from_ref(&letter))).await;
    house
        .owner_does(&format!(
            "UPDATE outbox SET attempts = 8, dead_at = now() WHERE id = '{}'",
            letter.id
        ))
        .await;
    BTreeMap::from([(Thing::DeadLetter, letter.id), (Thing::Webhook, parse(webhook))])
}

impl Row {
    /// Asks as somebody about this thing.
    async fn ask(&self, house: &House, person: &Person, thing: Uuid) -> Reply {
        let path = self.path.replace("{id}", &thing.to_string()).replace("{name}", "session");
        let method = Method::from_bytes(self.method.to_uppercase().as_bytes()).expect("a method");
        let key = new_id().to_string();
        let keyed = [("idempotency-key", key.as_str())];
        match (self.body)(house, thing) {
            Sent::Empty => person.send(method, &path, &[], None).await,
            Sent::Json(body) => person.send(method, &path, &keyed, Some(body)).await,
            Sent::Csv(file) => {
                person
                    .raw(
                        method,
                        &path,
                        &[("idempotency-key", &key), ("content-type", "text/csv")],
                        Some(file.into_bytes()),
                    )
                    .await
            }
        }
    }

    /// The path of the contract: a row may ask with a query.
    fn route(&self) -> &'static str {
        self.path.split_once('?').map_or(self.path, |(path, _)| path)
    }

    /// A role that may in another state: it is told so only of a session that is there to be looked at.
    fn may_sometimes(&self) -> Option<&'static str> {
        (self.method == "post" && self.path == "/api/v1/table-context/sessions/{id}/transitions").then_some("compliance")
    }

    fn name(&self, house: &House) -> String {
        let body = match (self.body)(house, Uuid::nil()) {
            Sent::Json(body) => body.get("to").map(|to| format!(" {to}")).unwrap_or_default(),
            Sent::Empty | Sent::Csv(_) => String::new(),
        };
        format!("{} {}{body}", self.method, self.path)
    }
}

#[test]
fn every_route_of_the_contract_has_a_row_and_every_row_a_route() {
    let document = serde_json::to_value(rundown::api::docs::openapi()).expect("a document");
    let paths = document["paths"].as_object().expect("paths");
    let methods = ["get", "post", "put", "patch", "delete"];
    let routes: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, item)| {
            methods
                .iter()
                .filter(|method| item.get(**method).is_some())
                .map(move |method| ((*method).to_owned(), path.clone()))
        })
        .collect();
    let rows: BTreeSet<(String, String)> = matrix().iter().map(|row| (row.method.to_owned(), row.route().to_owned())).collect();
    assert_eq!(
        routes.difference(&rows).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "routes without a row"
    );
    assert_eq!(
        rows.difference(&routes).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "rows without a route"
    );
}

#[tokio::test]
async fn each_role_may_what_the_matrix_says_and_nothing_else() {
    let house = House::open().await;
    let things = things(&house).await;
    let mut wrong = Vec::new();
    for row in matrix() {
        let thing = things.get(&row.about).copied().unwrap_or_default();
        let nobody = row.ask(&house, &house.bearer(None), thing).await;
        let system = row.ask(&house, &house.person("SYSTEM"), thing).await;
        for (who, reply) in [("no token", nobody), ("the daemon's own principal", system)] {
            if (reply.status, reply.body["code"].as_str()) != (401, Some("unauthenticated")) {
                wrong.push(format!("{}: {who} got {} {}", row.name(&house), reply.status, reply.text));
            }
        }
        // Those who may not ask first: a refusal changes nothing, so each finds the thing as it was.
        let (may, may_not): (Vec<_>, Vec<_>) = CALLERS.iter().partition(|(role, _)| row.may.contains(role));
        for (role, caller) in may_not {
            let reply = row.ask(&house, &house.person(caller), thing).await;
            if (reply.status, reply.body["code"].as_str()) != (403, Some("forbidden")) {
                wrong.push(format!("{}: {role} got {} {}", row.name(&house), reply.status, reply.text));
            }
        }
        for (role, caller) in may {
            let reply = row.ask(&house, &house.person(caller), thing).await;
            let refused = reply.status == 401 || reply.body["code"] == "forbidden";
            // A row whose body or thing is wrong would prove nothing.
            let missed = matches!(reply.status, 400 | 404 | 405 | 413 | 415) || reply.status >= 500;
            if refused || missed {
                wrong.push(format!("{}: {role} got {} {}", row.name(&house), reply.status, reply.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A problem without what differs from one request to the next.
fn bare(reply: &Reply) -> (u16, Value) {
    let mut body = reply.body.clone();
    if let Some(members) = body.as_object_mut() {
        members.remove("correlation_id");
        members.remove("instance");
    }
    (reply.status, body)
}

#[tokio::test]
async fn another_casinos_thing_is_as_absent_as_one_nobody_has() {
    let mut house = House::open().await;
    std::mem::swap(&mut house.home, &mut house.other);
    let theirs = things(&house).await;
    std::mem::swap(&mut house.home, &mut house.other);
    let before = house.stored().await;
    let mut wrong = Vec::new();
    for row in matrix().iter().filter(|row| row.about != Thing::Nothing) {
        for (role, caller) in CALLERS {
            let person = house.person(caller);
            let foreign = row.ask(&house, &person, theirs[&row.about]).await;
            let absent = row.ask(&house, &person, new_id()).await;
            let asks = row.may.contains(role) || row.may_sometimes() == Some(*role);
            let expected = if asks { (404, "not_found") } else { (403, "forbidden") };
            let told = (foreign.status, foreign.body["code"].as_str().unwrap_or_default());
            if told != expected || bare(&foreign) != bare(&absent) {
                wrong.push(format!(
                    "{}: {role} got {} for theirs, {} for nobody's",
                    row.name(&house),
                    foreign.text,
                    absent.text
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(house.stored().await, before, "and nothing of it is stored");
}

#[tokio::test]
async fn a_list_shows_nothing_of_another_casino() {
    let mut house = House::open().await;
    std::mem::swap(&mut house.home, &mut house.other);
    let theirs = things(&house).await;
    std::mem::swap(&mut house.home, &mut house.other);
    let admin = house.person("AD-01");
    let own = [house.home.casino.to_string()];
    for row in matrix()
        .iter()
        .filter(|row| row.method == "get" && row.about == Thing::Nothing && !row.path.contains('{'))
    {
        let reply = row.ask(&house, &admin, Uuid::nil()).await;
        reply.expect(200);
        let foreign: Vec<Uuid> = theirs
            .values()
            .copied()
            .chain([house.other.casino])
            .filter(|id| !own.contains(&id.to_string()))
            .collect();
        let seen: Vec<&Uuid> = foreign.iter().filter(|id| reply.text.contains(&id.to_string())).collect();
        assert_eq!(seen, Vec::<&Uuid>::new(), "{}", row.path);
        assert!(!reply.text.contains(crate::support::OTHER_CASINO), "{}", row.path);
    }
    // Nor does a filter by a foreign id find anything.
    for filter in [
        format!("slips?session_id={}", theirs[&Thing::Session]),
        format!("drops?session_id={}", theirs[&Thing::Session]),
        format!("exceptions?session_id={}", theirs[&Thing::Session]),
        format!("sessions?table_id={}", theirs[&Thing::Table]),
    ] {
        assert_eq!(house.get("AD-01", &filter).await.expect(200)["items"], json!([]), "{filter}");
    }
}

#[tokio::test]
async fn an_edge_is_asked_for_by_its_own_roles() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    // In each state: an edge, who may not ask for it, and how it is taken or left for the next.
    let refuse = |body: Value, roles: &'static [&'static str]| {
        let (house, session) = (&house, &session);
        async move {
            for caller in roles {
                house
                    .in_vain(house.advance(caller, session, body.clone()))
                    .await
                    .refused(403, "forbidden");
            }
        }
    };
    let not_the_pit: &[&str] = &["CG-02", "SC-03", "CT-04", "CO-02", "DL-02"];
    refuse(json!({ "to": "OPENING" }), not_the_pit).await;
    refuse(json!({ "to": "CLOSED", "note": "rain" }), not_the_pit).await;
    house.advance("PB-03", &session, json!({ "to": "OPENING" })).await.expect(200);
    refuse(json!({ "to": "CLOSED", "note": "rain" }), not_the_pit).await;
    house.count_tray(&session, "open", tray()).await;
    refuse(json!({ "to": "DROP_SCHEDULED" }), not_the_pit).await;
    refuse(json!({ "to": "CLOSING" }), not_the_pit).await;
    refuse(json!({ "to": "CLOSED", "force": true, "note": "fire" }), not_the_pit).await;
    house
        .advance("PB-03", &session, json!({ "to": "DROP_SCHEDULED" }))
        .await
        .expect(200);
    refuse(json!({ "to": "OPEN" }), not_the_pit).await;
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    house.soft_count(&drop, 0, json!([])).await.expect(201);
    house.advance("PB-03", &session, json!({ "to": "CLOSING" })).await.expect(200);
    house.count_tray(&session, "close", tray()).await;
    assert_eq!(house.status(&session).await, "RECONCILED");
    refuse(json!({ "to": "FINALIZED" }), &["PB-03", "CG-02", "SC-03", "CT-04", "DL-02"]).await;
    house.advance("CO-02", &session, json!({ "to": "FINALIZED" })).await.expect(200);
}

#[tokio::test]
async fn what_a_caller_may_do_next_is_what_their_role_may() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    for (caller, expected) in [
        ("PB-03", vec!["DROP_SCHEDULED", "CLOSING", "CLOSED"]),
        ("CO-02", vec![]),
        ("CG-02", vec![]),
    ] {
        let reply = house.get(caller, &format!("sessions/{session}")).await;
        let open = reply.expect(200)["available_transitions"].as_array().expect("a list");
        assert_eq!(
            open.iter().map(|edge| edge["to"].as_str().expect("a state")).collect::<Vec<_>>(),
            expected,
            "{caller}"
        );
    }
}

#[tokio::test]
async fn a_count_is_read_by_neither_the_cage_nor_security() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    house
        .soft_count(&drop, 77_700, json!([{ "kind": "opener", "amount_cents": 200_000 }]))
        .await
        .expect(201);
    for path in [
        format!("sessions/{session}"),
        format!("sessions/{session}/timeline"),
        format!("sessions?table_id={}", house.table("BJ-01")),
        "drops".to_owned(),
        "exceptions".to_owned(),
    ] {
        for outsider in ["CG-02", "SC-03"] {
            let reply = house.get(outsider, &path).await;
            reply.expect(200);
            assert!(!reply.text.contains("77700"), "{path} tells {outsider}: {}", reply.text);
        }
    }
    for insider in ["PB-03", "CT-04", "CO-02", "AD-01"] {
        let reply = house.get(insider, &format!("sessions/{session}")).await;
        assert_eq!(reply.expect(200)["drop_total_cents"], 77_700, "{insider}");
    }
}

#[tokio::test]
async fn a_count_in_dispute_is_told_to_neither_the_cage_nor_security() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let team = ["CT-01", "CT-02", "CT-03"].map(|member| house.staff(member));
    let body = json!({
        "drop_event_id": drop, "drop_total_cents": 77_700, "count_1_cents": 77_700, "count_2_cents": 88_800, "team": team,
        "evidence_manifest": { "currency": { "100": 777 }, "documents": [{ "kind": "opener", "amount_cents": 200_000 }] },
    });
    house.post("CT-01", "soft-counts", body).await.expect(201);
    for path in ["exceptions".to_owned(), format!("sessions/{session}/timeline")] {
        for outsider in ["CG-02", "SC-03"] {
            let reply = house.get(outsider, &path).await;
            reply.expect(200);
            assert!(
                !reply.text.contains("77700") && !reply.text.contains("88800"),
                "{path} tells {outsider}: {}",
                reply.text
            );
        }
    }
}

// Tokens.

/// A token with these claims, signed with the daemon's secret.
fn signed(claims: &Value) -> String {
    let secret = auth().secret.expect("a secret");
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&Header::default(), claims, &key).expect("a token")
}

fn claims(house: &House, subject: &str) -> Value {
    json!({ "sub": subject, "aud": "rundown", "exp": house.clock.now().timestamp() + 3600 })
}

#[tokio::test]
async fn only_a_token_that_is_proved_speaks_for_somebody() {
    let house = House::open().await;
    let (now, hour) = (house.clock.now(), Duration::from_hours(1));
    let subject = "River Bend:PB-01";
    let issue = |settings: AuthSettings| {
        TokenIssuer::new(&settings, std::path::Path::new("/nonexistent"))
            .expect("an issuer")
            .issue(subject, now, hour)
            .expect("a token")
    };
    let without = |claim: &str| {
        let mut claims = claims(&house, subject);
        claims.as_object_mut().expect("claims").remove(claim);
        signed(&claims)
    };
    let with = |claim: &str, value: Value| {
        let mut claims = claims(&house, subject);
        claims[claim] = value;
        signed(&claims)
    };
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let good = signed(&claims(&house, subject));
    let signature = good.rsplit('.').next().expect("a signature").to_owned();
    let unsigned = |alg: &str| format!("{}.{}.", part(json!({ "alg": alg, "typ": "JWT" })), part(claims(&house, subject)));
    let swapped = format!(
        "{}.{}.{signature}",
        good.split('.').next().expect("a header"),
        part(claims(&house, "River Bend:AD-01"))
    );
    let other_secret = SecretString::from("another secret of thirty-two bytes or more");
    let bad = [
        (
            "forged",
            issue(AuthSettings {
                secret: Some(other_secret),
                ..auth()
            }),
        ),
        (
            "for somebody else",
            issue(AuthSettings {
                audience: "ledger".to_owned(),
                ..auth()
            }),
        ),
        ("expired", with("exp", json!(now.timestamp() - 1))),
        ("without an end", without("exp")),
        ("without a subject", without("sub")),
        ("without an audience", without("aud")),
        ("with a number for a subject", with("sub", json!(7))),
        ("with an empty subject", with("sub", json!(""))),
        ("not yet", with("nbf", json!(now.timestamp() + 600))),
        ("alg none", unsigned("none")),
        ("alg None", unsigned("None")),
        ("no signature", unsigned("HS256")),
        ("with another's claims", swapped),
        ("of an unknown subject", signed(&claims(&house, "River Bend:PB-99"))),
        ("of a subject in other letters", signed(&claims(&house, "river bend:pb-01"))),
        ("cut", good[..good.len() - 2].to_owned()),
        ("nonsense", "token".to_owned()),
        ("nothing", String::new()),
    ];
    for (what, token) in bad {
        let reply = house.bearer(Some(token)).get("/api/v1/me").await;
        assert_eq!(
            (reply.status, reply.body["code"].as_str()),
            (401, Some("unauthenticated")),
            "a token {what}: {}",
            reply.text
        );
    }
    for scheme in ["Basic dXNlcjpwYXNz", "Bearer", &good, &format!("Token {good}")] {
        let reply = house
            .bearer(None)
            .send(Method::GET, "/api/v1/me", &[("authorization", scheme)], None)
            .await;
        reply.refused(401, "unauthenticated");
    }
    house.bearer(Some(good)).get("/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn a_token_ends_when_it_says() {
    let house = House::open().await;
    let person = house.bearer(Some(signed(&claims(&house, "River Bend:PB-01"))));
    house.clock.advance(Duration::from_secs(3599));
    person.get("/api/v1/me").await.expect(200);
    house.clock.advance(Duration::from_secs(1));
    person.get("/api/v1/me").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn what_a_token_claims_of_role_and_casino_is_ignored() {
    let house = House::open().await;
    let mut boast = claims(&house, "River Bend:CG-01");
    for (claim, value) in [
        ("role", json!("admin")),
        ("roles", json!(["admin"])),
        ("staff_role", json!("admin")),
        ("casino_id", json!(house.other.casino)),
        ("staff_id", json!(house.staff("AD-01"))),
    ] {
        boast[claim] = value;
    }
    let person = house.bearer(Some(signed(&boast)));
    let me = person.get("/api/v1/me").await;
    assert_eq!(
        (&me.expect(200)["staff"]["role"], &me.body["casino"]["id"]),
        (&json!("cashier"), &json!(house.home.casino))
    );
    assert_eq!(me.body["staff"]["id"], json!(house.staff("CG-01")));
    person
        .patch("/api/v1/casino", json!({ "name": "Mine" }))
        .await
        .refused(403, "forbidden");
    // Nor do headers or parameters choose a casino or an actor.
    let headers = [
        ("x-casino-id", house.other.casino.to_string()),
        ("x-actor-id", house.staff("AD-01").to_string()),
    ];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let me = person.send(Method::GET, "/api/v1/me", &headers, None).await;
    assert_eq!(me.expect(200)["casino"]["id"], json!(house.home.casino));
    house
        .person("AD-01")
        .get(&below(&format!("sessions?casino_id={}", house.other.casino)))
        .await
        .refused(400, "malformed_request");
}

#[tokio::test]
async fn a_new_role_counts_from_the_next_request() {
    let house = House::open().await;
    let (admin, boss) = (house.person("AD-01"), house.person("PB-03"));
    let staff = format!("/api/v1/staff/{}", house.staff("PB-03"));
    let body = |table: &str| json!({ "table_id": house.table(table) });
    boss.post(&below("sessions"), body("BJ-01")).await.expect(201);
    admin.patch(&staff, json!({ "role": "cashier" })).await.expect(200);
    house
        .in_vain(boss.post(&below("sessions"), body("BJ-02")))
        .await
        .refused(403, "forbidden");
    assert_eq!(boss.get("/api/v1/me").await.expect(200)["staff"]["role"], "cashier");
    admin.patch(&staff, json!({ "role": "pit_boss" })).await.expect(200);
    boss.post(&below("sessions"), body("BJ-02")).await.expect(201);
}

#[tokio::test]
async fn whoever_left_is_nobody_and_signs_nothing() {
    let house = House::open().await;
    let (admin, boss) = (house.person("AD-01"), house.person("PB-03"));
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    for leaver in ["PB-03", "DL-01"] {
        admin
            .patch(&format!("/api/v1/staff/{}", house.staff(leaver)), json!({ "status": "inactive" }))
            .await
            .expect(200);
    }
    boss.get("/api/v1/me").await.refused(401, "unauthenticated");
    let body = json!({ "kind": "rundown", "chipset": tray(), "cosign": house.cosign("DL-01") });
    let reply = house
        .in_vain(house.post("PB-01", &format!("sessions/{session}/snapshots"), body))
        .await;
    reply.refused(403, "cosign_refused");
    // Named people are active staff, too.
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "500": 1 })).await;
    admin
        .patch(&format!("/api/v1/staff/{}", house.staff("SC-03")), json!({ "status": "inactive" }))
        .await
        .expect(200);
    let issue = json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") });
    let reply = house.in_vain(house.step_slip("CG-01", &slip, issue)).await;
    reply.refused(422, "validation_failed");
    assert_eq!(reply.pointers(), ["/runner_id"]);
    admin
        .patch(&format!("/api/v1/staff/{}", house.staff("PB-03")), json!({ "status": "active" }))
        .await
        .expect(200);
    boss.get("/api/v1/me").await.expect(200);
}

// Co-signatures.

/// Counts a tray, co-signed by DL-01 with this PIN.
async fn sign(house: &House, session: &str, by: &str, pin: &str) -> Reply {
    let cosign = json!({ "staff_id": house.staff("DL-01"), "pin": pin });
    house
        .post(
            by,
            &format!("sessions/{session}/snapshots"),
            json!({ "kind": "rundown", "chipset": tray(), "cosign": cosign }),
        )
        .await
}

#[track_caller]
fn locked_until(reply: &Reply) -> Option<String> {
    reply.refused(403, "cosign_refused")["locked_until"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn five_wrong_pins_lock_the_cosigner_for_a_quarter_of_an_hour() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    // Whoever carries the guess: the lock is the co-signer's.
    for (guess, by) in ["PB-01", "PB-02", "PB-01", "PB-03"].into_iter().enumerate() {
        assert_eq!(locked_until(&sign(&house, &session, by, &format!("111{guess}")).await), None);
    }
    let until = Some("2026-03-06T21:15:00Z".to_owned());
    assert_eq!(locked_until(&sign(&house, &session, "PB-01", "1114").await), until);
    // The right one is not even looked at, and prolongs nothing.
    house.clock.advance(Duration::from_secs(14 * 60 + 59));
    assert_eq!(locked_until(&sign(&house, &session, "PB-01", crate::support::PIN).await), until);
    assert_eq!(locked_until(&sign(&house, &session, "PB-01", "1115").await), until);
    house.clock.advance(Duration::from_secs(1));
    sign(&house, &session, "PB-01", crate::support::PIN).await.expect(201);
}

#[tokio::test]
async fn a_right_pin_forgives_the_wrong_ones_before_it() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    for _ in 0..2 {
        for guess in 0..4 {
            assert_eq!(locked_until(&sign(&house, &session, "PB-01", &format!("111{guess}")).await), None);
        }
        sign(&house, &session, "PB-01", crate::support::PIN).await.expect(201);
    }
}

#[tokio::test]
async fn a_lock_binds_one_person_and_a_new_pin_lifts_it() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    for guess in 0..5 {
        sign(&house, &session, "PB-01", &format!("111{guess}"))
            .await
            .refused(403, "cosign_refused");
    }
    let other = json!({ "kind": "rundown", "chipset": tray(), "cosign": house.cosign("DL-02") });
    house
        .post("PB-01", &format!("sessions/{session}/snapshots"), other)
        .await
        .expect(201);
    let pin = format!("/api/v1/staff/{}/pin", house.staff("DL-01"));
    house.person("AD-01").put(&pin, json!({ "pin": "86420" })).await.expect(200);
    assert_eq!(
        locked_until(&sign(&house, &session, "PB-01", crate::support::PIN).await),
        None,
        "the old one is wrong now"
    );
    sign(&house, &session, "PB-01", "86420").await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_guesses_at_once_are_judged_one_after_another_and_only_five_of_them() {
    let house = std::sync::Arc::new(House::open().await);
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    // A session of its own for each, so that nothing but the co-signer is in common.
    let other = house.open_table("BJ-02", "BJ-02-A", tray()).await;
    let mut calls = tokio::task::JoinSet::new();
    for guess in 0..20 {
        let (house, session) = (
            std::sync::Arc::clone(&house),
            if guess % 2 == 0 { session.clone() } else { other.clone() },
        );
        calls.spawn(async move { sign(&house, &session, "PB-01", &format!("1{guess:03}")).await });
    }
    let replies = calls.join_all().await;
    assert!(
        replies
            .iter()
            .all(|reply| reply.status == 403 && reply.body["code"] == "cosign_refused")
    );
    let judged = replies
        .iter()
        .filter(|reply| reply.body["detail"].as_str().is_some_and(|detail| detail.ends_with("is wrong")))
        .count();
    let unlocked = replies.iter().filter(|reply| reply.body["locked_until"].is_null()).count();
    assert_eq!((judged, unlocked), (5, 4));
    sign(&house, &session, "PB-01", crate::support::PIN)
        .await
        .refused(403, "cosign_refused");
}

#[tokio::test]
async fn a_wrong_pin_is_counted_whatever_else_is_wrong() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let cosign = json!({ "staff_id": house.staff("DL-01"), "pin": "1111" });
    // A guess must not be free because the command would fail anyway.
    let guesses = [
        house
            .post(
                "PB-01",
                &format!("sessions/{}/snapshots", new_id()),
                json!({ "kind": "open", "chipset": tray(), "cosign": cosign }),
            )
            .await,
        house
            .post(
                "PB-01",
                &format!("sessions/{session}/snapshots"),
                json!({ "kind": "close", "chipset": tray(), "cosign": cosign }),
            )
            .await,
        house
            .post(
                "PB-01",
                &format!("sessions/{session}/snapshots"),
                json!({ "kind": "rundown", "chipset": { "7": 1 }, "cosign": cosign }),
            )
            .await,
    ];
    assert!(guesses.iter().all(|reply| reply.body["code"] == "cosign_refused"), "{guesses:?}");
    let counted = house
        .texts(&format!(
            "SELECT failed_pins::text FROM staff WHERE id = '{}'",
            house.staff("DL-01")
        ))
        .await;
    assert_eq!(counted, ["3"]);
}

#[tokio::test]
async fn the_daemon_cosigns_nothing() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let body = json!({ "kind": "rundown", "chipset": tray(), "cosign": house.cosign("SYSTEM") });
    let reply = house
        .in_vain(house.post("PB-01", &format!("sessions/{session}/snapshots"), body))
        .await;
    reply.refused(403, "cosign_refused");
}
