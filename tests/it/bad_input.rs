//! What cannot be true is refused, says why, and leaves nothing behind: no row, no audit, no event, no number.

use rundown::auth::{AuthSettings, TokenIssuer};
use rundown::clock::new_id;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

use crate::support::{House, Reply, auth, below, id, text, tray};

/// A session whose opening has begun.
async fn opening(house: &House) -> String {
    let session = house.create("BJ-01", "BJ-01-A").await;
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    session
}

async fn in_play(house: &House) -> String {
    house.open_table("BJ-01", "BJ-01-A", tray()).await
}

/// Counts the tray of an opening, badly.
async fn miscount(house: &House, session: &str, body: Value) -> Reply {
    let mut body = body;
    body["kind"] = json!("open");
    body["cosign"] = house.cosign("DL-01");
    house
        .in_vain(house.post("PB-01", &format!("sessions/{session}/snapshots"), body))
        .await
}

/// A slip, asked for and issued.
async fn issued(house: &House, session: &str) -> String {
    let slip = house.request_slip(session, "fill", "f-1", json!({ "10000": 5 })).await;
    house
        .step_slip("CG-01", &slip, json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") }))
        .await
        .expect(200);
    slip
}

/// What a count room would send of an empty box, by this team.
fn count_of(drop: &str, team: &[Uuid]) -> Value {
    json!({
        "drop_event_id": drop, "drop_total_cents": 5000, "count_1_cents": 5000, "count_2_cents": 5000, "team": team,
        "evidence_manifest": { "currency": { "100": 50 }, "documents": [{ "kind": "opener", "amount_cents": 200_000 }] },
    })
}

fn counters(house: &House) -> Vec<Uuid> {
    ["CT-01", "CT-02", "CT-03"].map(|member| house.staff(member)).to_vec()
}

/// A segregation rule, and whom it binds.
#[track_caller]
fn segregated(house: &House, reply: &Reply, rule: &str, person: &str) {
    let body = reply.refused(403, "segregation_violation");
    assert_eq!(
        (&body["rule"], &body["person"]),
        (&json!(rule), &json!(house.staff(person))),
        "{body}"
    );
    let named = format!("Person {person}");
    assert!(text(body, "detail").contains(&named), "the refusal names {named}: {body}");
}

#[tokio::test]
async fn an_unknown_denomination_is_named() {
    let house = House::open().await;
    let session = opening(&house).await;
    let reply = miscount(
        &house,
        &session,
        json!({ "chipset": { "10000": 1, "300": 1, "abc": 2, "0500": 1 } }),
    )
    .await;
    reply.refused(422, "validation_failed");
    assert_eq!(reply.pointers(), ["/chipset/0500", "/chipset/300", "/chipset/abc"]);
}

#[tokio::test]
async fn a_slip_of_unknown_chips_is_refused() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let body = json!({ "kind": "fill", "request_id": "f-1", "chipset": { "700": 1 } });
    let reply = house.in_vain(house.post("PB-01", &format!("sessions/{session}/slips"), body)).await;
    reply.refused(422, "validation_failed");
    assert_eq!(reply.pointers(), ["/chipset/700"]);
}

#[tokio::test]
async fn a_negative_count_is_refused() {
    let house = House::open().await;
    let session = opening(&house).await;
    let reply = miscount(&house, &session, json!({ "chipset": { "10000": -1, "500": 4 } })).await;
    reply.refused(422, "validation_failed");
    assert_eq!(reply.pointers(), ["/chipset/10000"]);
}

#[tokio::test]
async fn a_count_beyond_all_trays_is_refused_rather_than_wrapped() {
    let house = House::open().await;
    let session = opening(&house).await;
    let reply = miscount(&house, &session, json!({ "chipset": { "10000": i64::MAX } })).await;
    reply.refused(422, "validation_failed");
    assert_eq!(reply.pointers(), ["/chipset/10000"]);
    // Beyond 64 bits it is no whole number any more.
    let body = r#"{"kind":"open","chipset":{"10000":92233720368547758080}}"#.as_bytes().to_vec();
    let headers = [("content-type", "application/json"), ("idempotency-key", "k-1")];
    let path = below(&format!("sessions/{session}/snapshots"));
    let reply = house
        .in_vain(house.person("PB-01").raw(reqwest::Method::POST, &path, &headers, Some(body)))
        .await;
    reply.refused(400, "malformed_request");
}

#[tokio::test]
async fn half_a_chip_is_refused() {
    let house = House::open().await;
    let session = opening(&house).await;
    let reply = miscount(&house, &session, json!({ "chipset": { "10000": 1.5 } })).await;
    assert!(text(reply.refused(400, "malformed_request"), "detail").contains("chipset"));
}

#[tokio::test]
async fn a_total_that_differs_is_refused() {
    let house = House::open().await;
    let session = opening(&house).await;
    let reply = miscount(&house, &session, json!({ "chipset": { "10000": 20 }, "total_cents": 200_001 })).await;
    reply.refused(422, "validation_failed");
    assert_eq!(reply.pointers(), ["/total_cents"]);
}

#[tokio::test]
async fn a_chipset_as_an_array_is_malformed() {
    let house = House::open().await;
    let session = opening(&house).await;
    let reply = miscount(&house, &session, json!({ "chipset": [["10000", 20]] })).await;
    assert!(text(reply.refused(400, "malformed_request"), "detail").contains("chipset"));
}

#[tokio::test]
async fn a_transition_that_is_no_edge_says_which_there_are() {
    let house = House::open().await;
    let session = in_play(&house).await;
    for (to, by) in [
        ("READY_TO_OPEN", "PB-01"),
        ("OPENING", "PB-01"),
        ("COUNTED", "PB-01"),
        ("RECONCILED", "PB-01"),
        ("FINALIZED", "CO-01"),
    ] {
        let reply = house.in_vain(house.advance(by, &session, json!({ "to": to }))).await;
        let body = reply.refused(409, "illegal_transition");
        assert_eq!((&body["from"], &body["to"]), (&json!("OPEN"), &json!(to)));
        assert_eq!(body["allowed"], json!(["DROP_SCHEDULED", "CLOSING", "CLOSED"]));
    }
}

#[tokio::test]
async fn a_table_in_play_does_not_close_at_once() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let reply = house
        .in_vain(house.advance("PB-01", &session, json!({ "to": "CLOSED", "note": "late" })))
        .await;
    assert_eq!(reply.refused(409, "illegal_transition")["from"], "OPEN");
}

#[tokio::test]
async fn an_automatic_edge_asked_for_too_early_names_its_gates() {
    let house = House::open().await;
    let session = opening(&house).await;
    let reply = house.in_vain(house.advance("PB-01", &session, json!({ "to": "OPEN" }))).await;
    reply.refused(409, "gates_unmet");
    assert_eq!(reply.gates(), ["opening_snapshot_verified"]);
}

#[tokio::test]
async fn every_unmet_gate_is_named_at_once() {
    let house = House::open().await;
    let table = house.table("BJ-01");
    let session = id(house.post("PB-01", "sessions", json!({ "table_id": table })).await.expect(201));
    house.settle_policy(json!({ "credit_series_open": false })).await;
    let reply = house.in_vain(house.advance("PB-01", &session, json!({ "to": "OPENING" }))).await;
    let body = reply.refused(409, "gates_unmet");
    assert_eq!(reply.gates(), ["drop_box_attached", "slip_forms_available"]);
    for gate in body["gates"].as_array().expect("gates") {
        assert!(!text(gate, "detail").is_empty() && !text(gate, "needs").is_empty(), "{gate}");
        assert!(gate["who"].as_array().is_some_and(|who| !who.is_empty()), "{gate}");
    }
}

#[tokio::test]
async fn the_counter_does_not_verify() {
    let house = House::open().await;
    let session = opening(&house).await;
    let counted = house
        .post(
            "PB-01",
            &format!("sessions/{session}/snapshots"),
            json!({ "kind": "open", "chipset": tray() }),
        )
        .await;
    let snapshot = id(&counted.expect(201)["snapshot"]);
    let path = format!("snapshots/{snapshot}/verify");
    segregated(
        &house,
        &house.in_vain(house.post("PB-01", &path, json!({}))).await,
        "counter_is_not_verifier",
        "PB-01",
    );
    let carried = house
        .in_vain(house.post("PB-02", &path, json!({ "cosign": house.cosign("PB-01") })))
        .await;
    segregated(&house, &carried, "counter_is_not_verifier", "PB-01");
    // Nor in the same breath.
    let body = json!({ "kind": "open", "chipset": tray(), "cosign": house.cosign("PB-01") });
    let at_once = house
        .in_vain(house.post("PB-01", &format!("sessions/{session}/snapshots"), body))
        .await;
    segregated(&house, &at_once, "counter_is_not_verifier", "PB-01");
}

#[tokio::test]
async fn a_tray_is_not_verified_from_another_department() {
    let house = House::open().await;
    let session = opening(&house).await;
    for outsider in ["CG-01", "SC-01", "CT-01", "CO-01"] {
        let body = json!({ "kind": "open", "chipset": tray(), "cosign": house.cosign(outsider) });
        let reply = house
            .in_vain(house.post("PB-01", &format!("sessions/{session}/snapshots"), body))
            .await;
        reply.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn a_runner_is_neither_of_the_cage_nor_of_table_games() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "10000": 5 })).await;
    for runner in ["CG-02", "PB-03", "DL-02", "CO-01"] {
        let body = json!({ "to": "ISSUED", "runner_id": house.staff(runner) });
        segregated(
            &house,
            &house.in_vain(house.step_slip("CG-01", &slip, body)).await,
            "runner_is_security",
            runner,
        );
    }
}

#[tokio::test]
async fn nobody_is_twice_on_a_slip() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let body = json!({ "kind": "fill", "request_id": "f-1", "chipset": { "10000": 5 } });
    let own = id(house.post("AD-01", &format!("sessions/{session}/slips"), body).await.expect(201));
    let issue = json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") });
    // Requester and issuer.
    segregated(
        &house,
        &house.in_vain(house.step_slip("AD-01", &own, issue.clone())).await,
        "issuer_is_not_requester",
        "AD-01",
    );
    // Issuer and verifying supervisor.
    let slip = house.request_slip(&session, "fill", "f-2", json!({ "10000": 5 })).await;
    house.step_slip("AD-01", &slip, issue).await.expect(200);
    let verify = json!({ "to": "VERIFIED_AT_TABLE", "dealer": house.cosign("DL-01") });
    segregated(
        &house,
        &house.in_vain(house.step_slip("AD-01", &slip, verify)).await,
        "four_people_on_a_slip",
        "AD-01",
    );
}

#[tokio::test]
async fn a_supervisor_does_not_count_the_chips_they_verify() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let slip = issued(&house, &session).await;
    for counter in ["PB-02", "PB-03", "CG-02"] {
        let body = json!({ "to": "VERIFIED_AT_TABLE", "dealer": house.cosign(counter) });
        let reply = house.in_vain(house.step_slip("PB-02", &slip, body)).await;
        assert_eq!(reply.status, 403, "{}", reply.text);
    }
}

#[tokio::test]
async fn a_fill_while_closing_is_refused_unless_it_restores_par() {
    let house = House::open().await;
    let session = in_play(&house).await;
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    let body = json!({ "kind": "fill", "request_id": "f-1", "chipset": { "10000": 5 } });
    let reply = house.in_vain(house.post("PB-01", &format!("sessions/{session}/slips"), body)).await;
    let problem = reply.refused(409, "conflict");
    assert_eq!(
        (&problem["reason"], &problem["current_status"]),
        (&json!("wrong_state"), &json!("CLOSING"))
    );
    assert_eq!(problem["allowed"], json!(["OPEN", "DROP_SCHEDULED", "DROPPED", "COUNTED"]));
    // And there is no par to restore where the counts are the truth.
    let restore = json!({ "kind": "fill", "request_id": "f-1", "chipset": { "10000": 5 }, "purpose": "par_restore" });
    let reply = house
        .in_vain(house.post("PB-01", &format!("sessions/{session}/slips"), restore))
        .await;
    reply.refused(422, "validation_failed");
    assert_eq!(reply.pointers(), ["/purpose"]);
}

#[tokio::test]
async fn a_table_has_one_live_session() {
    let house = House::open().await;
    in_play(&house).await;
    let body = json!({ "table_id": house.table("BJ-01"), "drop_box_id": house.drop_box("BJ-01-B") });
    let reply = house.in_vain(house.post("PB-02", "sessions", body)).await;
    assert_eq!(reply.refused(409, "conflict")["reason"], "live_session_exists");
}

#[tokio::test]
async fn a_box_is_in_one_place() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "EM-1", tray()).await;
    let create = |table: &str, label: &str| json!({ "table_id": house.table(table), "drop_box_id": house.drop_box(label) });
    // It stands on another table; it belongs to another table.
    for label in ["EM-1", "BJ-01-B"] {
        let reply = house.in_vain(house.post("PB-02", "sessions", create("BJ-02", label))).await;
        assert_eq!(reply.refused(409, "conflict")["reason"], "box_elsewhere", "{label}");
    }
    // It is in custody, and cannot come back before its count.
    house.remove(&session, "EM-1", Some("BJ-01-A"), "S1").await.expect(201);
    for attempt in [
        house.remove(&session, "BJ-01-A", Some("EM-1"), "S2"),
        house.remove(&session, "EM-1", Some("BJ-01-B"), "S2"),
    ] {
        assert_eq!(house.in_vain(attempt).await.refused(409, "conflict")["reason"], "box_elsewhere");
    }
    let reply = house.in_vain(house.post("PB-02", "sessions", create("BJ-02", "EM-1"))).await;
    assert_eq!(reply.refused(409, "conflict")["reason"], "box_elsewhere");
    // Only the box on the table can be taken from it.
    let reply = house.in_vain(house.remove(&session, "BJ-01-C", Some("BJ-01-B"), "S2")).await;
    assert_eq!(reply.refused(409, "conflict")["reason"], "box_elsewhere");
}

#[tokio::test]
async fn a_table_in_play_keeps_a_box() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let reply = house.in_vain(house.remove(&session, "BJ-01-A", None, "S1")).await;
    reply.refused(422, "validation_failed");
    assert_eq!(reply.pointers(), ["/replacement_box_id"]);
    let reply = house.in_vain(house.remove(&session, "BJ-01-A", Some("BJ-01-A"), "S1")).await;
    assert_eq!(reply.status, 422, "{}", reply.text);
    assert_eq!(reply.pointers(), ["/replacement_box_id"]);
}

#[tokio::test]
async fn two_people_of_table_games_do_not_remove_a_box() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let body = |witness: Value| {
        json!({
            "drop_box_id": house.drop_box("BJ-01-A"), "replacement_box_id": house.drop_box("BJ-01-B"), "seal_no": "S1",
            "witnessed_by": witness,
        })
    };
    let path = format!("sessions/{session}/drops");
    // One person where two are needed.
    let alone = house.in_vain(house.post("SC-01", &path, body(house.cosign("SC-01")))).await;
    alone.refused(422, "validation_failed");
    assert_eq!(alone.pointers(), ["/witnessed_by/staff_id"]);
    let nobody = house.in_vain(house.post("SC-01", &path, body(Value::Null))).await;
    nobody.refused(422, "validation_failed");
    assert_eq!(nobody.pointers(), ["/witnessed_by"]);
    // The pit may not remove at all, so two of the pit never stand there.
    house
        .in_vain(house.post("PB-01", &path, body(house.cosign("DL-01"))))
        .await
        .refused(403, "forbidden");
}

#[tokio::test]
async fn a_box_is_not_delivered_before_it_was_removed() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let drop = id(&house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await.expect(201)["drop"]);
    let before = json!({ "delivered_at": "2026-03-06T20:59:59Z" });
    let reply = house.in_vain(house.post("SC-01", &format!("drops/{drop}/delivery"), before)).await;
    reply.refused(422, "validation_failed");
    assert_eq!(reply.pointers(), ["/delivered_at"]);
    let scanned = json!({ "delivered_scan_at": "2026-03-06T20:59:59Z" });
    let reply = house.in_vain(house.post("SC-01", &format!("drops/{drop}/delivery"), scanned)).await;
    reply.refused(422, "validation_failed");
    assert_eq!(reply.pointers(), ["/delivered_scan_at"]);
}

#[tokio::test]
async fn no_step_of_custody_is_skipped() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let drop = id(&house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await.expect(201)["drop"]);
    let receipt = house
        .in_vain(house.post("CT-01", &format!("drops/{drop}/receipt"), json!({ "seal_no": "S1" })))
        .await;
    receipt.refused(409, "gates_unmet");
    assert_eq!(receipt.gates(), ["drop_delivered"]);
    let count = house.in_vain(house.soft_count(&drop, 5000, json!([]))).await;
    count.refused(409, "gates_unmet");
    assert_eq!(count.gates(), ["drop_received"]);
    house.post("SC-01", &format!("drops/{drop}/delivery"), json!({})).await.expect(200);
    let count = house.in_vain(house.soft_count(&drop, 5000, json!([]))).await;
    count.refused(409, "gates_unmet");
    assert_eq!(count.gates(), ["drop_received"]);
}

#[tokio::test]
async fn nobody_counts_what_they_signed() {
    let house = House::open().await;
    let session = in_play(&house).await;
    house.slip(&session, "fill", "f-1", json!({ "10000": 5 })).await;
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    // Issuer, runner, dealer, verifier, counter of the tray, remover, witness.
    for signer in ["CG-01", "SC-03", "DL-01", "PB-02", "PB-01", "SC-01", "SC-02"] {
        let team = ["CT-01", "CT-02", signer].map(|member| house.staff(member));
        let reply = house.in_vain(house.post("CT-01", "soft-counts", count_of(&drop, &team))).await;
        segregated(&house, &reply, "counter_is_independent", signer);
    }
}

#[tokio::test]
async fn two_people_are_no_count_team() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    for team in [["CT-01", "CT-02"].as_slice(), &["CT-01", "CT-02", "CT-01"], &[]] {
        let team: Vec<Uuid> = team.iter().map(|member| house.staff(member)).collect();
        let reply = house.in_vain(house.post("CT-01", "soft-counts", count_of(&drop, &team))).await;
        reply.refused(422, "validation_failed");
        assert_eq!(reply.pointers(), ["/team"]);
    }
}

#[tokio::test]
async fn currency_that_does_not_add_up_is_refused() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let with = |manifest: Value| {
        let mut body = count_of(&drop, &counters(&house));
        body["evidence_manifest"] = manifest;
        house.post("CT-01", "soft-counts", body)
    };
    let short = json!({ "currency": { "100": 49 }, "documents": [] });
    // Only markers are value beside currency: the slip's amount is not.
    let padded = json!({ "currency": { "100": 49 }, "documents": [{ "kind": "fill_slip", "number": "1", "amount_cents": 100 }] });
    let marked_twice = json!({ "currency": { "100": 50 }, "documents": [{ "kind": "marker", "number": "7", "amount_cents": 100 }] });
    for manifest in [short, padded, marked_twice] {
        let reply = house.in_vain(with(manifest)).await;
        reply.refused(422, "validation_failed");
        assert_eq!(reply.pointers(), ["/drop_total_cents"]);
    }
}

#[tokio::test]
async fn every_flaw_of_a_count_is_named_at_once() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let body = json!({
        "drop_event_id": drop, "drop_total_cents": -1, "count_1_cents": 5000, "count_2_cents": -2, "team": [],
        "evidence_manifest": { "currency": { "0": 1, "100": -1 }, "documents": [{ "kind": "fill_slip", "amount_cents": -5 }] },
    });
    let reply = house.in_vain(house.post("CT-01", "soft-counts", body)).await;
    reply.refused(422, "validation_failed");
    let mut pointers = reply.pointers();
    pointers.sort_unstable();
    let expected = [
        "/count_2_cents",
        "/drop_total_cents",
        "/evidence_manifest/currency/0",
        "/evidence_manifest/currency/100",
        "/evidence_manifest/documents/0/amount_cents",
        "/evidence_manifest/documents/0/number",
        "/team",
    ];
    assert_eq!(pointers, expected);
}

#[tokio::test]
async fn an_exception_is_not_resolved_without_a_narrative() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let raised = house
        .post(
            "PB-01",
            &format!("sessions/{session}/exceptions"),
            json!({ "category": "MANUAL", "detail": "a chip on the floor" }),
        )
        .await;
    let path = format!("exceptions/{}/resolve", id(raised.expect(201)));
    for blank in ["", " \t\n"] {
        let body = json!({ "reason_code": "DATA_ENTRY_ERROR", "resolution_note": blank });
        let reply = house.in_vain(house.post("CO-01", &path, body)).await;
        reply.refused(422, "validation_failed");
        assert_eq!(reply.pointers(), ["/resolution_note"]);
    }
    let missing = house
        .in_vain(house.post("CO-01", &path, json!({ "reason_code": "DATA_ENTRY_ERROR" })))
        .await;
    assert!(text(missing.refused(400, "malformed_request"), "detail").contains("resolution_note"));
    let without_reason = house
        .in_vain(house.post("CO-01", &path, json!({ "resolution_note": "found it" })))
        .await;
    assert!(text(without_reason.refused(400, "malformed_request"), "detail").contains("reason_code"));
}

#[tokio::test]
async fn a_party_does_not_resolve_its_own_exception() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let resolution = json!({ "reason_code": "CUSTODY_EXPLAINED", "resolution_note": "the lift was out of order" });
    // Whoever raised it.
    let body = json!({ "category": "MANUAL", "detail": "a chip on the floor" });
    let raised = id(house
        .post("CO-01", &format!("sessions/{session}/exceptions"), body)
        .await
        .expect(201));
    let reply = house
        .in_vain(house.post("CO-01", &format!("exceptions/{raised}/resolve"), resolution.clone()))
        .await;
    segregated(&house, &reply, "resolver_is_independent", "CO-01");
    // Whoever signed what it is about: the admin removed the box outside of any schedule.
    let removal = json!({
        "drop_box_id": house.drop_box("BJ-01-A"), "replacement_box_id": house.drop_box("BJ-01-B"), "seal_no": "S1",
        "witnessed_by": house.cosign("SC-02"),
    });
    house.post("AD-01", &format!("sessions/{session}/drops"), removal).await.expect(201);
    let unscheduled = house
        .exceptions(&session)
        .await
        .into_iter()
        .find(|row| row["category"] == "DROP_OUT_OF_SCHEDULE")
        .expect("raised");
    let path = format!("exceptions/{}/resolve", id(&unscheduled));
    segregated(
        &house,
        &house.in_vain(house.post("AD-01", &path, resolution.clone())).await,
        "resolver_is_independent",
        "AD-01",
    );
    house.post("CO-01", &path, resolution).await.expect(200);
}

#[tokio::test]
async fn the_closer_does_not_finalize() {
    let house = House::open().await;
    let session = in_play(&house).await;
    house
        .advance("PB-01", &session, json!({ "to": "DROP_SCHEDULED" }))
        .await
        .expect(200);
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    house
        .soft_count(&drop, 5000, json!([{ "kind": "opener", "amount_cents": 200_000 }]))
        .await
        .expect(201);
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    let closer = json!({ "kind": "close", "chipset": tray(), "cosign": house.cosign("DL-01") });
    let counted = house.post("AD-01", &format!("sessions/{session}/snapshots"), closer).await;
    assert_eq!(counted.expect(201)["session"]["status"], "RECONCILED");
    let reply = house.in_vain(house.advance("AD-01", &session, json!({ "to": "FINALIZED" }))).await;
    segregated(&house, &reply, "finalizer_independent", "AD-01");
    assert_eq!(reply.gates(), ["finalizer_independent"]);
    house.advance("CO-01", &session, json!({ "to": "FINALIZED" })).await.expect(200);
}

#[tokio::test]
async fn an_unresolved_exception_blocks_finalization_beside_every_other_reason() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    house
        .soft_count(&drop, 5000, json!([{ "kind": "opener", "amount_cents": 200_000 }]))
        .await
        .expect(201);
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    assert_eq!(house.count_tray(&session, "close", tray()).await["session"]["status"], "RECONCILED");
    let reply = house.in_vain(house.advance("CO-01", &session, json!({ "to": "FINALIZED" }))).await;
    reply.refused(409, "gates_unmet");
    assert_eq!(reply.gates(), ["exceptions_resolved"]);
}

/// Every id a body may name, as (path, who, body with this id, status and code of absence).
fn naming(house: &House, ours: &Named, stranger: Uuid) -> Vec<(String, &'static str, Value)> {
    let cosign = |staff: Uuid| json!({ "staff_id": staff, "pin": crate::support::PIN });
    let Named { session, slip, drop } = ours;
    let removal = |taken: Uuid, replacement: Uuid, witness: Value| json!({ "drop_box_id": taken, "replacement_box_id": replacement, "seal_no": "S2", "witnessed_by": witness });
    let (standing, spare, witness) = (house.drop_box("BJ-01-B"), house.drop_box("BJ-01-C"), house.cosign("SC-02"));
    let fill = json!({ "kind": "fill", "request_id": "f-x", "chipset": { "10000": 1 }, "replaces_slip_id": stranger });
    let mut counted_for = count_of(drop, &counters(house));
    counted_for["drop_event_id"] = json!(stranger);
    let team = [house.staff("CT-01"), house.staff("CT-02"), house.staff("CT-03"), stranger];
    let count = json!({ "kind": "rundown", "chipset": tray(), "cosign": cosign(stranger) });
    vec![
        ("sessions".to_owned(), "PB-01", json!({ "table_id": stranger })),
        (
            "sessions".to_owned(),
            "PB-01",
            json!({ "table_id": house.table("BJ-02"), "drop_box_id": stranger }),
        ),
        (format!("sessions/{session}/snapshots"), "PB-01", count),
        (format!("sessions/{session}/slips"), "PB-01", fill),
        (
            format!("slips/{slip}/transitions"),
            "CG-01",
            json!({ "to": "ISSUED", "runner_id": stranger }),
        ),
        (
            format!("slips/{slip}/transitions"),
            "PB-02",
            json!({ "to": "VERIFIED_AT_TABLE", "dealer": cosign(stranger) }),
        ),
        (
            format!("slips/{slip}/transitions"),
            "CG-01",
            json!({ "to": "VOIDED", "reason": "torn", "cosign": cosign(stranger) }),
        ),
        (
            format!("sessions/{session}/drops"),
            "SC-01",
            removal(stranger, spare, witness.clone()),
        ),
        (format!("sessions/{session}/drops"), "SC-01", removal(standing, stranger, witness)),
        (
            format!("sessions/{session}/drops"),
            "SC-01",
            removal(standing, spare, cosign(stranger)),
        ),
        ("soft-counts".to_owned(), "CT-01", counted_for),
        ("soft-counts".to_owned(), "CT-01", count_of(drop, &team)),
        (
            format!("sessions/{session}/rollover"),
            "PB-01",
            json!({ "chipset": tray(), "cosign": cosign(stranger) }),
        ),
    ]
}

/// What the bodies of [`naming`] are about, all of this casino.
struct Named {
    session: String,
    slip: String,
    drop: String,
}

/// A reply without what differs from one request to the next.
fn bare(reply: &Reply) -> Value {
    let mut body = reply.body.clone();
    let members = body.as_object_mut().expect("a problem");
    members.remove("correlation_id");
    members.remove("instance");
    body
}

#[tokio::test]
async fn another_casinos_id_in_a_body_is_as_absent_as_one_nobody_has() {
    let mut house = House::open().await;
    // The other casino has everything ours has, under ids of its own.
    std::mem::swap(&mut house.home, &mut house.other);
    let theirs = named(&house).await;
    std::mem::swap(&mut house.home, &mut house.other);
    let ours = named(&house).await;
    let parse = |id: &str| Uuid::parse_str(id).expect("an id");
    let strangers = [
        house.other.tables["BJ-02"],
        house.other.boxes["BJ-02-A"],
        house.other.staff["DL-01"],
        parse(&theirs.slip),
        house.other.staff["SC-03"],
        house.other.staff["DL-01"],
        house.other.staff["SC-02"],
        house.other.boxes["BJ-01-B"],
        house.other.boxes["BJ-01-C"],
        house.other.staff["SC-02"],
        parse(&theirs.drop),
        house.other.staff["CT-04"],
        house.other.staff["PB-02"],
    ];
    let absent = naming(&house, &ours, new_id());
    assert_eq!(absent.len(), strangers.len());
    for (place, stranger) in strangers.into_iter().enumerate() {
        let (path, by, body) = &absent[place];
        let unknown = house.in_vain(house.post(by, path, body.clone())).await;
        unknown.refused(404, "not_found");
        let foreign = house
            .in_vain(house.post(by, path, naming(&house, &ours, stranger)[place].2.clone()))
            .await;
        assert_eq!(bare(&foreign), bare(&unknown), "{path}: {body}");
    }
}

/// A session in play with a slip asked for, and a box in the count room.
async fn named(house: &House) -> Named {
    let session = in_play(house).await;
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "10000": 5 })).await;
    Named { session, slip, drop }
}

#[tokio::test]
async fn a_recount_names_no_foreign_count() {
    let mut house = House::open().await;
    std::mem::swap(&mut house.home, &mut house.other);
    let elsewhere = in_play(&house).await;
    let rundown = json!({ "kind": "rundown", "chipset": tray() });
    let foreign = id(&house
        .post("PB-01", &format!("sessions/{elsewhere}/snapshots"), rundown)
        .await
        .expect(201)["snapshot"]);
    std::mem::swap(&mut house.home, &mut house.other);
    let session = in_play(&house).await;
    let path = format!("sessions/{session}/snapshots");
    let naming = |id: &str| house.post("PB-01", &path, json!({ "kind": "rundown", "chipset": tray(), "supersedes_id": id }));
    let (absent, foreign) = (
        house.in_vain(naming(&new_id().to_string())).await,
        house.in_vain(naming(&foreign)).await,
    );
    absent.refused(422, "validation_failed");
    assert_eq!(bare(&foreign), bare(&absent));
}

#[tokio::test]
async fn no_bad_token_gets_anything_done() {
    let house = House::open().await;
    let now = house.clock.now();
    let hour = Duration::from_hours(1);
    let issue = |settings: AuthSettings, at| {
        TokenIssuer::new(&settings, std::path::Path::new("/nonexistent"))
            .expect("an issuer")
            .issue("River Bend:PB-01", at, hour)
            .expect("a token")
    };
    let good = house.token("River Bend:PB-01");
    let (_, claims_and_signature) = good.split_once('.').expect("three parts");
    let claims = claims_and_signature.split('.').next().expect("claims");
    // {"alg":"none","typ":"JWT"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
    let bad = [
        ("none", None),
        ("expired", Some(issue(auth(), now - chrono::TimeDelta::hours(2)))),
        (
            "forged",
            Some(issue(
                AuthSettings {
                    secret: Some(SecretString::from("another secret of thirty-two bytes or more")),
                    ..auth()
                },
                now,
            )),
        ),
        ("alg none", Some(unsigned)),
        (
            "wrong audience",
            Some(issue(
                AuthSettings {
                    audience: "somebody else".to_owned(),
                    ..auth()
                },
                now,
            )),
        ),
        ("nonsense", Some("a.b.c".to_owned())),
    ];
    let body = json!({ "table_id": house.table("BJ-01") });
    for (what, token) in bad {
        let reply = house.in_vain(house.bearer(token).post(&below("sessions"), body.clone())).await;
        reply.refused(401, "unauthenticated");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{what}");
    }
    house.bearer(Some(good)).post(&below("sessions"), body).await.expect(201);
}

#[tokio::test]
async fn a_body_of_two_mebibytes_is_too_large() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let body = json!({ "kind": "rundown", "chipset": tray(), "note": "x".repeat(2 << 20) });
    let reply = house
        .in_vain(house.post("PB-01", &format!("sessions/{session}/snapshots"), body))
        .await;
    reply.refused(413, "payload_too_large");
}

#[tokio::test]
async fn json_nested_two_hundred_deep_is_malformed() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let path = below(&format!("sessions/{session}/snapshots"));
    let nest = |open: &str, close: &str| format!("{}1{}", open.repeat(200), close.repeat(200));
    let bodies = [
        nest("[", "]"),
        nest(r#"{"chipset":"#, "}"),
        format!(r#"{{"kind":"rundown","chipset":{}}}"#, nest("[", "]")),
        format!(r#"{{"kind":"rundown","chipset":{{}},"cosign":{}}}"#, nest(r#"{"staff_id":"#, "}")),
        format!(r#"{{"kind":"rundown","chipset":{{}},"unknown":{}}}"#, nest(r#"{"a":"#, "}")),
    ];
    for (place, body) in bodies.into_iter().enumerate() {
        let key = format!("deep-{place}");
        let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
        let reply = house
            .in_vain(
                house
                    .person("PB-01")
                    .raw(reqwest::Method::POST, &path, &headers, Some(body.into_bytes())),
            )
            .await;
        reply.refused(400, "malformed_request");
    }
}

#[tokio::test]
async fn a_pin_guessed_six_times_opens_nothing() {
    let house = House::open().await;
    let session = opening(&house).await;
    let path = format!("sessions/{session}/snapshots");
    for guess in 0..6 {
        let cosign = json!({ "staff_id": house.staff("DL-01"), "pin": format!("111{guess}") });
        let reply = house
            .in_vain(house.post("PB-01", &path, json!({ "kind": "open", "chipset": tray(), "cosign": cosign })))
            .await;
        let locked = reply.refused(403, "cosign_refused")["locked_until"].clone();
        assert_eq!(locked.is_string(), guess >= 4, "guess {guess}: {locked}");
        assert!(!reply.text.contains(&format!("111{guess}")), "a refusal repeats no PIN");
    }
}

#[tokio::test]
async fn a_key_is_not_used_again_with_another_body() {
    let house = House::open().await;
    let person = house.person("PB-01");
    let body = |table: &str| json!({ "table_id": house.table(table) });
    person.post_as("k-1", &below("sessions"), body("BJ-01")).await.expect(201);
    house
        .in_vain(person.post_as("k-1", &below("sessions"), body("BJ-02")))
        .await
        .refused(422, "idempotency_conflict");
    person.post_as("k-2", &below("sessions"), body("BJ-02")).await.expect(201);
}
