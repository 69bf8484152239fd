//! The conventions every route keeps: how errors are told, what a key, a version, a page and a time mean.

use std::io::Write;
use std::sync::{Arc, Mutex};

use reqwest::Method;
use rundown::clock::new_id;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{House, Reply, below, id, text, tray};

async fn in_play(house: &House) -> String {
    house.open_table("BJ-01", "BJ-01-A", tray()).await
}

/// What every problem says, whatever it is.
#[track_caller]
fn problem(reply: &Reply, status: u16, code: &str) {
    let body = reply.refused(status, code);
    assert!(text(body, "type").ends_with(&format!("/problems/{code}")), "{body}");
    for member in ["title", "detail", "instance", "correlation_id"] {
        assert!(!text(body, member).is_empty(), "{member}: {body}");
    }
    assert_eq!(reply.header("x-correlation-id"), body["correlation_id"].as_str());
}

const DELETE: Method = Method::DELETE;
const POST: Method = Method::POST;

#[tokio::test]
async fn every_refusal_is_a_problem() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let boss = house.person("PB-01");
    let at = |path: &str| below(&path.replace("{session}", &session));
    let (sessions, moves) = (below("sessions"), at("sessions/{session}/transitions"));
    let keyed = [("idempotency-key", "k-1")];
    let json_text = [("idempotency-key", "k-1"), ("content-type", "application/json")];
    let plain = [("idempotency-key", "k-1"), ("content-type", "text/plain")];
    let bytes = |text: &str| Some(text.as_bytes().to_vec());
    let fill = |chipset: Value| json!({ "kind": "fill", "request_id": "f-1", "chipset": chipset });
    let slips = at("sessions/{session}/slips");

    problem(&boss.get("/api/v1/nowhere").await, 404, "not_found");
    problem(&house.bearer(None).get("/nowhere").await, 404, "not_found");
    problem(&boss.send(DELETE, &sessions, &[], None).await, 405, "method_not_allowed");
    problem(&house.bearer(None).get(&sessions).await, 401, "unauthenticated");
    problem(&boss.get(&below("sessions/not-an-id")).await, 400, "malformed_request");
    problem(&boss.get(&below(&format!("sessions/{}", new_id()))).await, 404, "not_found");
    problem(&boss.get(&below("sessions?cursor=!")).await, 400, "malformed_request");
    problem(&boss.get(&below("sessions?colour=red")).await, 400, "malformed_request");
    problem(
        &boss
            .send(POST, &sessions, &[], Some(json!({ "table_id": house.table("BJ-02") })))
            .await,
        400,
        "malformed_request",
    );
    problem(&boss.raw(POST, &sessions, &json_text, bytes("{")).await, 400, "malformed_request");
    problem(
        &boss.raw(POST, &sessions, &json_text, bytes("{} {}")).await,
        400,
        "malformed_request",
    );
    problem(
        &boss.raw(POST, &sessions, &json_text, Some(vec![0xff, 0xfe])).await,
        400,
        "malformed_request",
    );
    problem(&boss.raw(POST, &sessions, &plain, bytes("{}")).await, 415, "unsupported_media_type");
    problem(&boss.raw(POST, &sessions, &keyed, bytes("{}")).await, 415, "unsupported_media_type");
    problem(
        &boss.raw(POST, &sessions, &json_text, Some(vec![b' '; 2 << 20])).await,
        413,
        "payload_too_large",
    );
    problem(&house.person("CG-01").post(&slips, fill(tray())).await, 403, "forbidden");
    let self_signed = json!({ "kind": "rundown", "chipset": tray(), "cosign": house.cosign("PB-01") });
    problem(
        &boss.post(&at("sessions/{session}/snapshots"), self_signed).await,
        403,
        "segregation_violation",
    );
    let wrong_pin = json!({ "kind": "rundown", "chipset": tray(), "cosign": { "staff_id": house.staff("DL-01"), "pin": "0000" } });
    problem(
        &boss.post(&at("sessions/{session}/snapshots"), wrong_pin).await,
        403,
        "cosign_refused",
    );
    problem(&boss.post(&moves, json!({ "to": "DROPPED" })).await, 409, "illegal_transition");
    problem(
        &boss.post(&sessions, json!({ "table_id": house.table("BJ-01") })).await,
        409,
        "conflict",
    );
    let ready = house.create("BJ-02", "BJ-02-A").await;
    house.settle_policy(json!({ "fill_series_open": false })).await;
    problem(
        &house.advance("PB-01", &ready, json!({ "to": "OPENING" })).await,
        409,
        "gates_unmet",
    );
    problem(
        &boss
            .send(POST, &moves, &[("if-match", "\"77\"")], Some(json!({ "to": "CLOSING" })))
            .await,
        412,
        "version_mismatch",
    );
    problem(&boss.post(&slips, fill(json!({ "1": 1 }))).await, 422, "validation_failed");
    boss.post_as("k-2", &slips, fill(tray())).await.expect(201);
    problem(
        &boss.post_as("k-2", &slips, fill(json!({ "500": 1 }))).await,
        422,
        "idempotency_conflict",
    );
}

#[tokio::test]
async fn a_fact_out_of_its_state_says_the_state_and_stays_a_problem() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    let reply = house
        .post(
            "PB-01",
            &format!("sessions/{session}/snapshots"),
            json!({ "kind": "open", "chipset": tray() }),
        )
        .await;
    problem(&reply, 409, "conflict");
    assert_eq!(
        (&reply.body["reason"], &reply.body["allowed"]),
        (&json!("wrong_state"), &json!(["OPENING"]))
    );
    assert_eq!(reply.body["current_status"], "READY_TO_OPEN");
}

#[tokio::test]
async fn every_path_of_an_unknown_method_is_405() {
    let house = House::open().await;
    for path in [
        "/healthz",
        "/api/v1/casino",
        "/api/v1/me",
        "/api/v1/audit",
        "/api/v1/table-context/drops",
    ] {
        problem(
            &house.person("AD-01").send(DELETE, path, &[], None).await,
            405,
            "method_not_allowed",
        );
    }
}

#[tokio::test]
async fn a_correlation_id_ties_answer_audit_and_events_together() {
    let house = House::open().await;
    let given = "till-7.A_b";
    let body = json!({ "table_id": house.table("BJ-01"), "drop_box_id": house.drop_box("BJ-01-A") });
    let headers = [("x-correlation-id", given), ("idempotency-key", "k-1")];
    let created = house.person("PB-01").send(POST, &below("sessions"), &headers, Some(body)).await;
    created.expect(201);
    assert_eq!(created.header("x-correlation-id"), Some(given));
    let audit = house.person("CO-01").get(&format!("/api/v1/audit?correlation_id={given}")).await;
    let rows = audit.expect(200)["items"].as_array().expect("rows").clone();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["correlation_id"], &rows[0]["actor_id"]),
        (&json!(given), &json!(house.staff("PB-01")))
    );
    let session = id(&created.body);
    assert_eq!(rows[0]["session_id"], session.as_str());
    let events = house
        .texts(&format!("SELECT event FROM outbox WHERE correlation_id = '{given}'"))
        .await;
    assert_eq!(events, ["table.session_created"]);
    // On what is refused, and what is not there, too.
    for path in ["/nowhere", "/api/v1/table-context/sessions?limit=0", "/healthz"] {
        let reply = house
            .person("PB-01")
            .send(Method::GET, path, &[("x-correlation-id", given)], None)
            .await;
        assert_eq!(reply.header("x-correlation-id"), Some(given), "{path}");
    }
}

#[tokio::test]
async fn a_request_without_a_correlation_id_gets_its_own() {
    let house = House::open().await;
    let seen = [
        house.person("PB-01").get("/api/v1/me").await,
        house.person("PB-01").get("/api/v1/me").await,
    ];
    let ids = seen
        .each_ref()
        .map(|reply| reply.header("x-correlation-id").expect("an id").to_owned());
    assert_ne!(ids[0], ids[1]);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    assert!(
        ids.iter().all(|id| (1..=64).contains(&id.len()) && id.bytes().all(allowed)),
        "{ids:?}"
    );
}

#[tokio::test]
async fn a_malformed_correlation_id_is_not_taken_over() {
    let house = House::open().await;
    let long = "a".repeat(65);
    for (place, bad) in ["a b", "a/b", "\"", long.as_str(), ""].into_iter().enumerate() {
        let key = format!("k-{place}");
        let headers = [("x-correlation-id", bad), ("idempotency-key", key.as_str())];
        let body = json!({ "label": format!("PK-{place}"), "type": "poker" });
        let reply = house.person("AD-01").send(POST, "/api/v1/tables", &headers, Some(body)).await;
        reply.expect(201);
        let given = reply.header("x-correlation-id").expect("an id");
        assert!(Uuid::parse_str(given).is_ok(), "{bad:?} became {given:?}");
        let audited = house.texts("SELECT correlation_id FROM audit_log ORDER BY id DESC LIMIT 1").await;
        assert_eq!(audited, [given]);
    }
}

#[tokio::test]
async fn the_same_key_and_body_give_the_first_answer_again() {
    let house = House::open().await;
    let body = json!({ "table_id": house.table("BJ-01"), "drop_box_id": house.drop_box("BJ-01-A") });
    let boss = house.person("PB-01");
    let first = boss.post_as("k-1", &below("sessions"), body.clone()).await;
    first.expect(201);
    assert_eq!(first.header("idempotent-replayed"), None);
    // A word that means nothing else: members in another order are the same body.
    let second = house.in_vain(boss.post_as("k-1", &below("sessions"), body)).await;
    assert_eq!((second.status, &second.body), (201, &first.body));
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    assert_eq!(second.header("etag"), first.header("etag"));
}

#[tokio::test]
async fn a_replay_gives_the_first_answer_even_after_the_world_moved_on() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    let (boss, moves) = (house.person("PB-01"), below(&format!("sessions/{session}/transitions")));
    let first = boss.post_as("k-1", &moves, json!({ "to": "OPENING" })).await;
    assert_eq!(first.expect(200)["session"]["status"], "OPENING");
    house.count_tray(&session, "open", tray()).await;
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    house.clock.advance(std::time::Duration::from_hours(1));
    let again = house.in_vain(boss.post_as("k-1", &moves, json!({ "to": "OPENING" }))).await;
    assert_eq!(
        (again.status, &again.body, again.header("etag")),
        (200, &first.body, first.header("etag"))
    );
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    // It is looked up before the version is compared: the client repeats the request it sent.
    let headers = [("idempotency-key", "k-1"), ("if-match", "\"1\"")];
    let matched = house
        .in_vain(boss.send(POST, &moves, &headers, Some(json!({ "to": "OPENING" }))))
        .await;
    assert_eq!((matched.status, &matched.body), (200, &first.body));
}

#[tokio::test]
async fn a_key_belongs_to_one_route_and_one_body() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let (boss, body) = (house.person("PB-01"), json!({ "kind": "rundown", "chipset": tray() }));
    let snapshots = below(&format!("sessions/{session}/snapshots"));
    boss.post_as("k-1", &snapshots, body.clone()).await.expect(201);
    let other_body = json!({ "kind": "rundown", "chipset": { "10000": 21 } });
    house
        .in_vain(boss.post_as("k-1", &snapshots, other_body))
        .await
        .refused(422, "idempotency_conflict");
    let other = house.open_table("BJ-02", "BJ-02-A", tray()).await;
    let other_route = below(&format!("sessions/{other}/snapshots"));
    house
        .in_vain(boss.post_as("k-1", &other_route, body))
        .await
        .refused(422, "idempotency_conflict");
    let other_verb = house
        .in_vain(boss.post_as("k-1", &below("sessions"), json!({ "table_id": house.table("BJ-03") })))
        .await;
    other_verb.refused(422, "idempotency_conflict");
}

#[tokio::test]
async fn whatever_creates_a_fact_needs_a_key() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let paths = [
        below("sessions"),
        below(&format!("sessions/{session}/snapshots")),
        below(&format!("sessions/{session}/slips")),
        below(&format!("sessions/{session}/slips/offline")),
        below(&format!("sessions/{session}/drops")),
        below(&format!("sessions/{session}/exceptions")),
        below(&format!("sessions/{session}/rollover")),
        below("soft-counts"),
        below("slip-series/manual-ranges"),
        below("buyin-telemetry"),
        below("checkpoints"),
        "/api/v1/staff".to_owned(),
        "/api/v1/tables".to_owned(),
        format!("/api/v1/tables/{}/par", house.table("BJ-01")),
        "/api/v1/drop-boxes".to_owned(),
    ];
    let bodies = [
        json!({ "table_id": house.table("BJ-02") }),
        json!({ "kind": "rundown", "chipset": tray() }),
        json!({ "kind": "fill", "request_id": "f-1", "chipset": tray() }),
        json!({
            "kind": "fill", "request_id": "f-2", "slip_no": 1, "chipset": tray(), "issued_at": "2026-03-06T21:00:00Z",
            "requester": house.cosign("PB-01"), "runner_id": house.staff("SC-01"),
        }),
        json!({ "drop_box_id": house.drop_box("BJ-01-A"), "seal_no": "S1", "witnessed_by": house.cosign("SC-02") }),
        json!({ "category": "MANUAL", "detail": "a chip on the floor" }),
        json!({ "chipset": tray(), "cosign": house.cosign("PB-02") }),
        json!({
            "drop_event_id": new_id(), "drop_total_cents": 0, "count_1_cents": 0, "count_2_cents": 0, "team": [],
            "evidence_manifest": { "currency": {} },
        }),
        json!({ "kind": "fill", "count": 5 }),
        json!({ "table_id": house.table("BJ-01"), "amount_cents": 2_000, "telemetry_kind": "GRIND_BUYIN", "idempotency_key": "k-1" }),
        json!({}),
        json!({ "employee_no": "PB-09", "name": "Alder", "role": "pit_boss" }),
        json!({ "label": "PK-01", "type": "poker" }),
        json!({ "par_cents": 100 }),
        json!({ "label": "EM-9", "kind": "emergency" }),
    ];
    assert_eq!(paths.len(), bodies.len());
    for (path, body) in paths.iter().zip(bodies) {
        let reply = house.in_vain(house.person("AD-01").send(POST, path, &[], Some(body))).await;
        let detail = text(reply.refused(400, "malformed_request"), "detail");
        assert!(detail.contains("Idempotency-Key"), "{path}: {detail}");
    }
    let csv = [("content-type", "text/csv")];
    for (path, by) in [
        (below("soft-counts/import"), "CT-01"),
        ("/api/v1/tables/import".to_owned(), "AD-01"),
    ] {
        let reply = house
            .in_vain(house.person(by).raw(POST, &path, &csv, Some(b"a,b\n1,2\n".to_vec())))
            .await;
        assert!(
            text(reply.refused(400, "malformed_request"), "detail").contains("Idempotency-Key"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_key_is_visible_ascii_of_bounded_length() {
    let house = House::open().await;
    let body = json!({ "table_id": house.table("BJ-01") });
    for bad in ["", "a b", &"k".repeat(201)] {
        let reply = house
            .in_vain(house.person("PB-01").post_as(bad, &below("sessions"), body.clone()))
            .await;
        reply.refused(400, "malformed_request");
    }
    house
        .person("PB-01")
        .post_as(&"~".repeat(200), &below("sessions"), body)
        .await
        .expect(201);
}

#[tokio::test]
async fn the_same_key_in_another_casino_is_another_key() {
    let house = House::open().await;
    let ours = json!({ "label": "PK-01", "type": "poker" });
    let theirs = json!({ "label": "RO-01", "type": "roulette" });
    let here = house.person("AD-01").post_as("k-1", "/api/v1/tables", ours.clone()).await;
    let there = house.stranger("AD-01").post_as("k-1", "/api/v1/tables", theirs.clone()).await;
    assert_eq!(
        (&here.expect(201)["label"], &there.expect(201)["label"]),
        (&json!("PK-01"), &json!("RO-01"))
    );
    assert_eq!(there.header("idempotent-replayed"), None);
    let again = house.stranger("AD-01").post_as("k-1", "/api/v1/tables", theirs).await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), (Some("true"), &there.body));
    house
        .stranger("AD-01")
        .post_as("k-1", "/api/v1/tables", ours)
        .await
        .refused(422, "idempotency_conflict");
}

#[tokio::test]
async fn a_replay_is_only_for_those_who_may_ask() {
    let house = House::open().await;
    let body = json!({ "table_id": house.table("BJ-01") });
    house
        .person("PB-01")
        .post_as("k-1", &below("sessions"), body.clone())
        .await
        .expect(201);
    house
        .person("CG-01")
        .post_as("k-1", &below("sessions"), body)
        .await
        .refused(403, "forbidden");
}

#[tokio::test]
async fn a_refused_command_is_not_remembered() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    let (boss, slips) = (house.person("PB-01"), below(&format!("sessions/{session}/slips")));
    let body = json!({ "kind": "fill", "request_id": "f-1", "chipset": { "500": 4 } });
    boss.post_as("k-1", &slips, body.clone()).await.refused(409, "conflict");
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    house.count_tray(&session, "open", tray()).await;
    let now = boss.post_as("k-1", &slips, body).await;
    now.expect(201);
    assert_eq!(now.header("idempotent-replayed"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_of_the_same_command_have_one_effect_and_one_answer() {
    let house = Arc::new(House::open().await);
    let session = in_play(&house).await;
    let audited = house.count("audit_log").await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (house, session) = (Arc::clone(&house), session.clone());
        calls.spawn(async move {
            let body = json!({ "kind": "fill", "request_id": "f-1", "chipset": { "500": 4 } });
            house
                .person("PB-01")
                .post_as("k-1", &below(&format!("sessions/{session}/slips")), body)
                .await
        });
    }
    let replies = calls.join_all().await;
    let first = replies[0].expect(201).clone();
    assert!(replies.iter().all(|reply| reply.status == 201 && reply.body == first));
    let replayed = replies.iter().filter(|reply| reply.header("idempotent-replayed").is_some()).count();
    assert_eq!(
        (replayed, house.count("table_slip").await, house.count("audit_log").await),
        (19, 1, audited + 1)
    );
}

#[tokio::test]
async fn a_version_is_told_and_compared() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    let (boss, path) = (house.person("PB-01"), below(&format!("sessions/{session}")));
    let read = boss.get(&path).await;
    assert_eq!((read.header("etag"), &read.expect(200)["version"]), (Some("\"1\""), &json!(1)));
    let moves = format!("{path}/transitions");
    let stale = house
        .in_vain(boss.send(POST, &moves, &[("if-match", "\"2\"")], Some(json!({ "to": "OPENING" }))))
        .await;
    assert_eq!(stale.refused(412, "version_mismatch")["version"], 1);
    let done = boss
        .send(POST, &moves, &[("if-match", "\"1\"")], Some(json!({ "to": "OPENING" })))
        .await;
    assert_eq!(
        (&done.expect(200)["session"]["version"], done.header("etag")),
        (&json!(2), Some("\"2\""))
    );
    // PATCH and the facts of a session compare its version too.
    let stale = house
        .in_vain(boss.send(Method::PATCH, &path, &[("if-match", "\"1\"")], Some(json!({}))))
        .await;
    stale.refused(412, "version_mismatch");
    let body = json!({ "kind": "open", "chipset": tray(), "cosign": house.cosign("DL-01") });
    let headers = [("if-match", "\"1\""), ("idempotency-key", "k-1")];
    house
        .in_vain(boss.send(POST, &format!("{path}/snapshots"), &headers, Some(body.clone())))
        .await
        .refused(412, "version_mismatch");
    let headers = [("if-match", "\"2\""), ("idempotency-key", "k-1")];
    boss.send(POST, &format!("{path}/snapshots"), &headers, Some(body))
        .await
        .expect(201);
    for bad in ["seven", "\"\""] {
        boss.send(POST, &moves, &[("if-match", bad)], Some(json!({ "to": "CLOSING" })))
            .await
            .refused(400, "malformed_request");
    }
}

#[tokio::test]
async fn slips_and_exceptions_have_versions_of_their_own() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "500": 4 })).await;
    let path = below(&format!("slips/{slip}"));
    assert_eq!(house.person("CG-01").get(&path).await.header("etag"), Some("\"1\""));
    let issue = json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") });
    let cage = house.person("CG-01");
    let steps = format!("{path}/transitions");
    let stale = house
        .in_vain(cage.send(POST, &steps, &[("if-match", "\"9\"")], Some(issue.clone())))
        .await;
    assert_eq!(stale.refused(412, "version_mismatch")["version"], 1);
    let issued = cage.send(POST, &steps, &[("if-match", "\"1\"")], Some(issue)).await;
    assert_eq!(
        (&issued.expect(200)["slip"]["version"], issued.header("etag")),
        (&json!(2), Some("\"2\""))
    );

    let raise = json!({ "category": "MANUAL", "detail": "a chip on the floor" });
    let raised = house.post("PB-01", &format!("sessions/{session}/exceptions"), raise).await;
    let exception = below(&format!("exceptions/{}", id(raised.expect(201))));
    let (judge, resolution) = (
        house.person("CO-01"),
        json!({ "reason_code": "SYSTEM_ERROR", "resolution_note": "found" }),
    );
    let stale = judge
        .send(POST, &format!("{exception}/acknowledge"), &[("if-match", "\"4\"")], Some(json!({})))
        .await;
    assert_eq!(stale.refused(412, "version_mismatch")["version"], 1);
    let owned = judge
        .send(POST, &format!("{exception}/acknowledge"), &[("if-match", "\"1\"")], Some(json!({})))
        .await;
    assert_eq!((&owned.expect(200)["version"], owned.header("etag")), (&json!(2), Some("\"2\"")));
    let stale = judge
        .send(
            POST,
            &format!("{exception}/resolve"),
            &[("if-match", "\"1\"")],
            Some(resolution.clone()),
        )
        .await;
    stale.refused(412, "version_mismatch");
    judge
        .send(POST, &format!("{exception}/resolve"), &[("if-match", "\"2\"")], Some(resolution))
        .await
        .expect(200);
}

#[tokio::test]
async fn the_set_up_has_versions_too() {
    let house = House::open().await;
    let admin = house.person("AD-01");
    let (staff, table) = (
        format!("/api/v1/staff/{}", house.staff("DL-02")),
        format!("/api/v1/tables/{}", house.table("BJ-03")),
    );
    for (path, change) in [
        ("/api/v1/casino".to_owned(), json!({ "drop_window_minutes": 31 })),
        (staff, json!({ "name": "Rowan" })),
        (table, json!({ "pit": "Pit 9" })),
    ] {
        let stale = house
            .in_vain(admin.send(Method::PATCH, &path, &[("if-match", "\"99\"")], Some(change.clone())))
            .await;
        stale.refused(412, "version_mismatch");
        let done = admin.send(Method::PATCH, &path, &[("if-match", "\"1\"")], Some(change)).await;
        assert_eq!(
            (&done.expect(200)["version"], done.header("etag")),
            (&json!(2), Some("\"2\"")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_reader_who_knows_the_version_gets_no_body() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "500": 4 })).await;
    let reader = house.person("CO-01");
    let paths = [
        below(&format!("sessions/{session}")),
        below("sessions?live=true"),
        below(&format!("sessions/{session}/transitions")),
        below(&format!("sessions/{session}/timeline")),
        below(&format!("sessions/{session}/rundown")),
        below(&format!("slips/{slip}")),
        below("slips"),
        "/api/v1/casino".to_owned(),
        "/api/v1/tables".to_owned(),
    ];
    for path in &paths {
        let first = reader.get(path).await;
        first.expect(200);
        let tag = first.header("etag").unwrap_or_else(|| panic!("{path} has no ETag")).to_owned();
        let known = reader.send(Method::GET, path, &[("if-none-match", &tag)], None).await;
        assert_eq!(
            (known.status, known.text.as_str(), known.header("etag")),
            (304, "", Some(tag.as_str())),
            "{path}"
        );
        let other = reader.send(Method::GET, path, &[("if-none-match", "\"other\"")], None).await;
        assert_eq!((other.status, &other.body), (200, &first.body), "{path}");
    }
    let tag = reader.get(&paths[0]).await.header("etag").expect("a tag").to_owned();
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    reader
        .send(Method::GET, &paths[0], &[("if-none-match", &tag)], None)
        .await
        .expect(200);
}

#[tokio::test]
async fn a_list_is_walked_page_by_page_and_shows_each_row_once() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let mut asked = Vec::new();
    for number in 1..=7 {
        asked.push(
            house
                .request_slip(&session, "fill", &format!("f-{number}"), json!({ "500": number }))
                .await,
        );
    }
    let (mut seen, mut sizes, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = house.get("CG-01", &format!("slips?session_id={session}&limit=3{cursor}")).await;
        let items = page.expect(200)["items"].as_array().expect("a list");
        sizes.push(items.len());
        seen.extend(items.iter().map(id));
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        // A row written while somebody walks comes later in the order, or not at all: never twice.
        assert!(sizes.len() < 4, "the walk has an end");
    }
    assert_eq!((seen, sizes), (asked, vec![3, 3, 1]));
    let exactly = house.get("CG-01", &format!("slips?session_id={session}&limit=7")).await;
    assert_eq!(
        (exactly.expect(200)["items"].as_array().map(Vec::len), &exactly.body["next_cursor"]),
        (Some(7), &Value::Null)
    );
}

const LISTS: [&str; 14] = [
    "/api/v1/table-context/sessions",
    "/api/v1/table-context/slips",
    "/api/v1/table-context/drops",
    "/api/v1/table-context/exceptions",
    "/api/v1/audit",
    "/api/v1/audit/seals",
    "/api/v1/staff",
    "/api/v1/tables",
    "/api/v1/drop-boxes",
    "/api/v1/players",
    "/api/v1/visits",
    "/api/v1/rating-slips",
    "/api/v1/financial-transactions",
    "/api/v1/floor-layouts",
];

#[tokio::test]
async fn every_list_bounds_its_pages() {
    let house = House::open().await;
    let admin = house.person("AD-01");
    for list in LISTS {
        for bad in [
            "limit=0",
            "limit=201",
            "limit=-1",
            "limit=x",
            "limit=1.5",
            "cursor=",
            "cursor=abc",
            "cursor=%00",
            "cursor=AAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            admin.get(&format!("{list}?{bad}")).await.refused(400, "malformed_request");
        }
        for good in ["", "?limit=1", "?limit=200"] {
            let page = admin.get(&format!("{list}{good}")).await;
            let members: Vec<&String> = page.expect(200).as_object().expect("a page").keys().collect();
            assert_eq!(members, ["items", "next_cursor"], "{list}{good}");
        }
    }
}

#[tokio::test]
async fn a_page_is_fifty_rows_unless_asked() {
    let house = House::open().await;
    let session = in_play(&house).await;
    for number in 0..51 {
        house
            .request_slip(&session, "credit", &format!("c-{number}"), json!({ "500": 1 }))
            .await;
    }
    let page = house.get("PB-01", "slips").await;
    assert_eq!(page.expect(200)["items"].as_array().map(Vec::len), Some(50));
    assert!(page.body["next_cursor"].is_string());
}

#[tokio::test]
async fn an_unknown_query_parameter_is_named() {
    let house = House::open().await;
    let admin = house.person("AD-01");
    for list in LISTS
        .into_iter()
        .chain(["/api/v1/table-context/slip-series", "/api/v1/workflows/session"])
    {
        let reply = admin.get(&format!("{list}?colour=red")).await;
        assert!(
            text(reply.refused(400, "malformed_request"), "detail").contains("colour"),
            "{list}: {}",
            reply.text
        );
    }
    for (bad, name) in [
        ("status=OPENED", "status"),
        ("live=maybe", "live"),
        ("table_id=x", "table_id"),
        ("gaming_day=6.3.2026", "gaming_day"),
    ] {
        let reply = admin.get(&below(&format!("sessions?{bad}"))).await;
        let detail = text(reply.refused(400, "malformed_request"), "detail");
        assert!(detail.contains(name), "{bad}: {detail}");
    }
}

#[tokio::test]
async fn an_unknown_body_field_is_named_however_deep() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let mut cosign = house.cosign("DL-01");
    cosign["colour"] = json!("red");
    let count = |manifest: Value| {
        json!({
            "drop_event_id": drop, "drop_total_cents": 0, "count_1_cents": 0, "count_2_cents": 0,
            "team": [house.staff("CT-01"), house.staff("CT-02"), house.staff("CT-03")], "evidence_manifest": manifest,
        })
    };
    let paper = json!({ "kind": "opener", "amount_cents": 1, "colour": "red" });
    let cases = [
        (
            "PB-01",
            "sessions".to_owned(),
            json!({ "table_id": house.table("BJ-02"), "colour": "red" }),
            "colour",
        ),
        (
            "PB-01",
            format!("sessions/{session}/transitions"),
            json!({ "to": "CLOSING", "colour": "red" }),
            "colour",
        ),
        (
            "PB-01",
            format!("sessions/{session}/snapshots"),
            json!({ "kind": "rundown", "chipset": {}, "cosign": cosign }),
            "cosign",
        ),
        (
            "PB-01",
            format!("sessions/{session}/slips"),
            json!({ "kind": "fill", "request_id": "f", "chipset": tray(), "amount_cents": 1 }),
            "amount_cents",
        ),
        (
            "CT-01",
            "soft-counts".to_owned(),
            count(json!({ "currency": {}, "documents": [], "colour": "red" })),
            "evidence_manifest",
        ),
        (
            "CT-01",
            "soft-counts".to_owned(),
            count(json!({ "currency": {}, "documents": [paper] })),
            "documents[0]",
        ),
        (
            "CO-01",
            format!("exceptions/{}/acknowledge", new_id()),
            json!({ "colour": "red" }),
            "colour",
        ),
        (
            "CG-01",
            format!("slips/{}/cage-receipt", new_id()),
            json!({ "colour": "red" }),
            "colour",
        ),
        (
            "SC-01",
            format!("drops/{drop}/delivery"),
            json!({ "casino_id": house.other.casino }),
            "casino_id",
        ),
        ("AD-01", "../casino".to_owned(), json!({ "version": 2 }), "version"),
    ];
    for (by, path, body, named) in cases {
        let reply = if path == "../casino" {
            house.in_vain(house.person(by).patch("/api/v1/casino", body)).await
        } else {
            house.in_vain(house.post(by, &path, body)).await
        };
        let detail = text(reply.refused(400, "malformed_request"), "detail");
        assert!(
            detail.contains(named) && (detail.contains("colour") || detail.contains(named)),
            "{path}: {detail}"
        );
    }
}

#[tokio::test]
async fn a_field_sent_twice_is_refused() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let (path, headers) = (
        below(&format!("sessions/{session}/transitions")),
        [("content-type", "application/json")],
    );
    let body = br#"{"to":"CLOSING","to":"DROP_SCHEDULED"}"#.to_vec();
    house
        .in_vain(house.person("PB-01").raw(POST, &path, &headers, Some(body)))
        .await
        .refused(400, "malformed_request");
}

#[tokio::test]
async fn a_denomination_sent_twice_is_refused() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let path = below(&format!("sessions/{session}/snapshots"));
    let headers = [("content-type", "application/json"), ("idempotency-key", "k-1")];
    // Which of the two was counted? A sum of the server's own choice would be a wrong one.
    let body = br#"{"kind":"rundown","chipset":{"500":4,"500":40}}"#.to_vec();
    let reply = house.in_vain(house.person("PB-01").raw(POST, &path, &headers, Some(body))).await;
    assert!(matches!(reply.status, 400 | 422), "{}", reply.text);
}

#[tokio::test]
async fn a_time_lies_neither_in_the_future_nor_before_its_fact() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let removal = |at: &str| {
        json!({
            "drop_box_id": house.drop_box("BJ-01-A"), "replacement_box_id": house.drop_box("BJ-01-B"), "seal_no": "S1",
            "witnessed_by": house.cosign("SC-02"), "removed_at": at,
        })
    };
    let rundown = |at: &str| json!({ "kind": "rundown", "chipset": tray(), "counted_at": at });
    let (snapshots, drops) = (format!("sessions/{session}/snapshots"), format!("sessions/{session}/drops"));
    // The clock says 21:00:00; two minutes are forgiven.
    for (by, path, body, pointer) in [
        ("PB-01", &snapshots, rundown("2026-03-06T21:02:01Z"), "/counted_at"),
        ("PB-01", &snapshots, rundown("2026-03-06T20:59:59Z"), "/counted_at"),
        ("SC-01", &drops, removal("2026-03-06T21:02:01Z"), "/removed_at"),
        ("SC-01", &drops, removal("2026-03-06T20:59:59Z"), "/removed_at"),
    ] {
        let reply = house.in_vain(house.post(by, path, body)).await;
        reply.refused(422, "validation_failed");
        assert_eq!(reply.pointers(), [pointer]);
    }
    house.post("PB-01", &snapshots, rundown("2026-03-06T21:02:00Z")).await.expect(201);
    let removed = house.post("SC-01", &drops, removal("2026-03-06T21:01:00Z")).await;
    assert_eq!(removed.expect(201)["drop"]["removed_at"], "2026-03-06T21:01:00Z");
    let drop = id(&removed.body["drop"]);
    for (path, body, by, pointer) in [
        (
            format!("drops/{drop}/delivery"),
            json!({ "delivered_at": "2026-03-06T21:00:59Z" }),
            "SC-01",
            "/delivered_at",
        ),
        (
            format!("drops/{drop}/delivery"),
            json!({ "delivered_at": "2026-03-06T21:03:00Z" }),
            "SC-01",
            "/delivered_at",
        ),
        (
            format!("drops/{drop}/delivery"),
            json!({ "delivered_scan_at": "2026-03-06T21:03:00Z" }),
            "SC-01",
            "/delivered_scan_at",
        ),
    ] {
        let reply = house.in_vain(house.post(by, &path, body)).await;
        reply.refused(422, "validation_failed");
        assert_eq!(reply.pointers(), [pointer]);
    }
    house.clock.advance(std::time::Duration::from_mins(5));
    house.bring(&drop, "S1").await;
    let counted = |at: &str| {
        json!({
            "drop_event_id": drop, "drop_total_cents": 0, "count_1_cents": 0, "count_2_cents": 0, "counted_at": at,
            "team": [house.staff("CT-01"), house.staff("CT-02"), house.staff("CT-03")], "evidence_manifest": { "currency": {} },
        })
    };
    for at in ["2026-03-06T21:04:59Z", "2026-03-06T21:07:01Z"] {
        let reply = house.in_vain(house.post("CT-01", "soft-counts", counted(at))).await;
        reply.refused(422, "validation_failed");
        assert_eq!(reply.pointers(), ["/counted_at"]);
    }
    house
        .post("CT-01", "soft-counts", counted("2026-03-06T21:05:00Z"))
        .await
        .expect(201);
}

#[tokio::test]
async fn a_drop_is_planned_within_reach() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let plan = |at: &str| house.advance("PB-01", &session, json!({ "to": "DROP_SCHEDULED", "drop_scheduled_for": at }));
    // No calendar of ours, nor any database's, holds these; a daemon that took them would fall over the first answer that reads them.
    for at in ["+200000-01-01T00:00:00Z", "+262142-12-31T23:59:59Z", "-200000-01-01T00:00:00Z"] {
        let reply = house.in_vain(plan(at)).await;
        assert!(matches!(reply.status, 400 | 422), "{at}: {}", reply.text);
    }
}

/// Words a client never hears.
const SECRETS: [&str; 14] = [
    "sql",
    "postgres",
    "relation \"",
    "constraint",
    "syntax error",
    "sqlstate",
    "select ",
    "insert ",
    "pg_",
    "22021",
    "22p05",
    "sea_orm",
    "panicked",
    ".rs:",
];

/// What is wrong with an answer to something odd, if anything: it is neither a defect of ours nor tells of what is behind it.
fn indiscretion(what: &str, reply: &Reply) -> Option<String> {
    let told = reply.text.to_lowercase();
    let secret = SECRETS.iter().find(|secret| told.contains(**secret));
    (reply.status >= 500 || secret.is_some()).then(|| format!("{} {what}: {secret:?}", reply.status))
}

#[tokio::test]
async fn odd_text_in_a_body_is_taken_or_refused_and_never_tells_of_the_database() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let raise = json!({ "category": "MANUAL", "detail": "a chip on the floor" });
    let exception = id(house
        .post("PB-01", &format!("sessions/{session}/exceptions"), raise)
        .await
        .expect(201));
    let admin = house.person("AD-01");
    let long = "x".repeat(5000);
    let mut wrong = Vec::new();
    for odd in [
        "\0",
        "a\0b",
        "'; DROP TABLE staff; --",
        "\u{202e}\u{feff}",
        "\u{1F3B2}",
        "${jndi:x}",
        long.as_str(),
    ] {
        let slip = json!({ "kind": "fill", "request_id": odd, "chipset": tray() });
        let offline = json!({
            "kind": "fill", "request_id": "o-1", "slip_no": 1, "scope_key": odd, "chipset": tray(), "issued_at": "2026-03-06T21:00:00Z",
            "requester": house.cosign("PB-01"), "runner_id": house.staff("SC-01"),
        });
        let count = json!({
            "drop_event_id": drop, "drop_total_cents": 1, "count_1_cents": 0, "count_2_cents": 0, "batch_ref": odd,
            "team": [house.staff("CT-01"), house.staff("CT-02"), house.staff("CT-03")],
            "evidence_manifest": { "currency": { odd: 1 }, "documents": [{ "kind": "fill_slip", "number": odd, "amount_cents": 0, "note": odd }] },
        });
        let removal = json!({
            "drop_box_id": house.drop_box("BJ-01-B"), "replacement_box_id": house.drop_box("BJ-01-B"), "seal_no": odd, "note": odd,
            "witnessed_by": house.cosign("SC-02"),
        });
        let pin = json!({ "kind": "rundown", "chipset": tray(), "cosign": { "staff_id": house.staff("DL-02"), "pin": odd } });
        let bodies = [
            (
                "sessions/{session}/transitions",
                json!({ "to": "CLOSED", "force": false, "note": odd }),
            ),
            ("sessions/{session}/snapshots", json!({ "kind": "rundown", "chipset": { odd: 1 } })),
            (
                "sessions/{session}/snapshots",
                json!({ "kind": "rundown", "chipset": tray(), "note": odd }),
            ),
            ("sessions/{session}/snapshots", pin),
            ("sessions/{session}/slips", slip),
            ("sessions/{session}/slips/offline", offline),
            ("sessions/{session}/drops", removal),
            ("sessions/{session}/exceptions", json!({ "category": "MANUAL", "detail": odd })),
            (
                "exceptions/{exception}/resolve",
                json!({ "reason_code": "REFERRED_TO_INVESTIGATION", "resolution_note": odd }),
            ),
            ("soft-counts", count),
        ];
        for (path, body) in bodies {
            let target = path.replace("{session}", &session).replace("{exception}", &exception);
            let members = body
                .as_object()
                .map(|body| body.keys().cloned().collect::<Vec<_>>().join(" "))
                .unwrap_or_default();
            wrong.extend(indiscretion(
                &format!("{path} ({members}) with {odd:.20?}"),
                &admin.post(&below(&target), body).await,
            ));
        }
        for (path, body) in [
            (
                "/api/v1/staff",
                json!({ "employee_no": odd, "name": odd, "role": "dealer", "external_subject": odd }),
            ),
            ("/api/v1/tables", json!({ "label": odd, "type": "poker", "pit": odd })),
            ("/api/v1/drop-boxes", json!({ "label": odd, "kind": "emergency" })),
        ] {
            wrong.extend(indiscretion(&format!("{path} with {odd:.20?}"), &admin.post(path, body).await));
        }
        let change = json!({ "name": odd, "timezone": odd });
        wrong.extend(indiscretion(
            &format!("casino with {odd:.20?}"),
            &admin.patch("/api/v1/casino", change).await,
        ));
        for path in [below("soft-counts/import"), "/api/v1/tables/import".to_owned()] {
            let header = "drop_event_id,drop_total_cents,count_1_cents,count_2_cents,team,currency,batch_ref";
            let file = format!("{header}\n{drop},0,0,0,{odd} CT-01 CT-02,,{odd}\n");
            let headers = [("content-type", "text/csv"), ("idempotency-key", &new_id().to_string())];
            let reply = admin.raw(POST, &path, &headers, Some(file.into_bytes())).await;
            wrong.extend(indiscretion(&format!("{path} with {odd:.20?}"), &reply));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[tokio::test]
async fn odd_text_in_a_query_is_taken_or_refused_and_never_tells_of_the_database() {
    let house = House::open().await;
    let admin = house.person("AD-01");
    let far = ["%2B262142-12-31T00:00:00Z", "-262143-01-01T00:00:00Z", "%2B300000-01-01T00:00:00Z"];
    let mut queries: Vec<String> = far
        .iter()
        .flat_map(|at| [format!("audit?from={at}"), format!("audit?to={at}")])
        .collect();
    for odd in ["%00", "%27%3B--", "%FF", "%F0%9F%8E%B2"] {
        queries.extend(
            [
                "audit?correlation_id=",
                "audit?domain=",
                "tables?pit=",
                "table-context/slip-series?scope_key=",
            ]
            .map(|query| format!("{query}{odd}")),
        );
    }
    queries.extend(
        [
            "table-context/sessions?gaming_day=%2B262142-12-31",
            "table-context/slips?gaming_day=-262143-01-01",
        ]
        .map(str::to_owned),
    );
    queries.extend(
        [
            "workflows/%00",
            "workflows/session%27",
            "table-context/slip-series?scope_key=0000-01-01",
        ]
        .map(str::to_owned),
    );
    let mut wrong = Vec::new();
    for query in queries {
        wrong.extend(indiscretion(&query, &admin.get(&format!("/api/v1/{query}")).await));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Everything the daemon logs on this thread, at the finest level.
#[derive(Clone, Default)]
pub struct Log(pub Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Twelve digits: nothing else in a log or a row looks like them.
const SECRET_PIN: &str = "918273645546";
const WRONG_PIN: &str = "645546918273";

#[tokio::test]
async fn a_pin_is_in_no_log_and_in_no_row() {
    let log = Log::default();
    let sink = log.clone();
    // The test's runtime has one thread, so what the daemon's tasks say is said under this guard.
    let lines = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || sink.clone())
        .finish();
    // With one subscriber alone, a call site that another test's thread meets first is taken for unwanted everywhere.
    let _another = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let guard = tracing::subscriber::set_default(lines);
    let house = House::open().await;
    let admin = house.person("AD-01");
    let pin = format!("/api/v1/staff/{}/pin", house.staff("DL-02"));
    admin
        .send(
            Method::PUT,
            &pin,
            &[("idempotency-key", "k-pin")],
            Some(json!({ "pin": SECRET_PIN })),
        )
        .await
        .expect(200);
    let newcomer = json!({ "employee_no": "DL-09", "name": "Alder", "role": "dealer", "pin": SECRET_PIN });
    admin.post("/api/v1/staff", newcomer).await.expect(201);
    let session = house.create("BJ-01", "BJ-01-A").await;
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    let count = |pin: &str| json!({ "kind": "open", "chipset": tray(), "cosign": { "staff_id": house.staff("DL-02"), "pin": pin } });
    let snapshots = format!("sessions/{session}/snapshots");
    let refused = house.post("PB-01", &snapshots, count(WRONG_PIN)).await;
    let accepted = house.post("PB-01", &snapshots, count(SECRET_PIN)).await;
    refused.refused(403, "cosign_refused");
    accepted.expect(201);
    // A PIN where none belongs, and one of the wrong shape.
    let misplaced = house
        .post(
            "PB-01",
            &snapshots,
            json!({ "kind": "rundown", "chipset": tray(), "pin": SECRET_PIN }),
        )
        .await;
    let misshapen = house
        .post(
            "PB-01",
            &snapshots,
            count("x").as_object().map_or(Value::Null, |body| {
                let mut body = body.clone();
                body["cosign"]["pin"] = json!(918_273_645_546_i64);
                Value::Object(body)
            }),
        )
        .await;
    let weak = admin.put(&pin, json!({ "pin": "918273645546918273645546" })).await;
    for reply in [&refused, &accepted, &misplaced, &misshapen, &weak] {
        assert!(
            !reply.text.contains(SECRET_PIN) && !reply.text.contains(WRONG_PIN),
            "{}",
            reply.text
        );
    }
    drop(guard);
    let told = String::from_utf8_lossy(&log.0.lock().expect("a log")).into_owned();
    assert!(
        told.contains("open_desk") || told.contains("correlation_id"),
        "the log was listened to: {told}"
    );
    for pin in [SECRET_PIN, WRONG_PIN] {
        assert_eq!(told.lines().find(|line| line.contains(pin)), None);
        for table in house.relations().await {
            let rows = house
                .texts(&format!(
                    "SELECT to_jsonb(t)::text FROM {table} AS t WHERE to_jsonb(t)::text LIKE '%{pin}%'"
                ))
                .await;
            assert_eq!(rows, Vec::<String>::new(), "{table}");
        }
    }
    for table in house.relations().await {
        let rows = house
            .texts(&format!(
                "SELECT to_jsonb(t)::text FROM {table} AS t WHERE to_jsonb(t)::text LIKE '%\"pin\":%'"
            ))
            .await;
        assert_eq!(rows, Vec::<String>::new(), "{table}");
    }
    // A hash leaves the staff row no more than a PIN does.
    for table in ["audit_log", "outbox", "idempotency_key"] {
        let rows = house
            .texts(&format!(
                "SELECT to_jsonb(t)::text FROM {table} AS t WHERE to_jsonb(t)::text LIKE '%argon2%'"
            ))
            .await;
        assert_eq!(rows, Vec::<String>::new(), "{table}");
    }
}

#[tokio::test]
async fn health_needs_no_token_and_tells_of_nobody() {
    let house = House::open().await;
    let nobody = house.bearer(None);
    assert_eq!(nobody.get("/healthz").await.expect(200), &json!({ "status": "ok" }));
    assert_eq!(nobody.get("/readyz").await.expect(200), &json!({ "status": "ready" }));
    let contract = nobody.get("/openapi.json").await;
    assert!(text(contract.expect(200), "openapi").starts_with("3.1"));
    let page = nobody.get("/docs/").await;
    assert_eq!(page.status, 200);
    for foreign in ["http://", "https://", "//cdn"] {
        assert!(
            !page.text.contains(&format!("src=\"{foreign}")) && !page.text.contains(&format!("href=\"{foreign}")),
            "{}",
            page.text
        );
    }
}
