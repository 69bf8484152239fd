//! Exceptions: raised, owned, explained, and what comes after the last word (domain §9).

use serde_json::{Value, json};

use crate::support::{House, Reply, id, text, tray};

async fn in_play(house: &House) -> String {
    house.open_table("BJ-01", "BJ-01-A", tray()).await
}

/// An exception raised by hand.
async fn raised(house: &House, session: &str) -> String {
    let body = json!({ "category": "MANUAL", "detail": "a chip on the floor", "variance_cents": -500 });
    id(house
        .post("PB-01", &format!("sessions/{session}/exceptions"), body)
        .await
        .expect(201))
}

async fn resolve(house: &House, by: &str, exception: &str, reason: &str, more: Value) -> Reply {
    let mut body = json!({ "reason_code": reason, "resolution_note": "the till roll shows it" });
    for (name, value) in more.as_object().expect("members") {
        body[name] = value.clone();
    }
    house.post(by, &format!("exceptions/{exception}/resolve"), body).await
}

async fn acknowledge(house: &House, by: &str, exception: &str) -> Reply {
    house.post(by, &format!("exceptions/{exception}/acknowledge"), json!({})).await
}

/// A session in RECONCILED with a box of its own still on the table.
async fn reconciled(house: &House) -> String {
    house.reconciled("BJ-01", "BJ-01-A", "BJ-01-B", tray(), tray(), 5000).await
}

async fn finalized(house: &House) -> String {
    let session = reconciled(house).await;
    house.advance("CO-01", &session, json!({ "to": "FINALIZED" })).await.expect(200);
    session
}

#[tokio::test]
async fn a_person_raises_what_no_detector_sees() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let exception = raised(&house, &session).await;
    let row = &house.exceptions(&session).await[0];
    assert_eq!(
        (&row["id"], &row["status"], &row["variance_cents"]),
        (&json!(exception), &json!("OPEN"), &json!(-500))
    );
    assert_eq!(
        (&row["detected_by"], &row["due_at"]),
        (&json!(house.staff("PB-01")), &json!("2026-03-07T21:00:00Z"))
    );
    // A second one is another one.
    raised(&house, &session).await;
    assert_eq!(house.categories(&session).await, ["MANUAL", "MANUAL"]);
    for (body, pointer) in [
        (json!({ "category": "COUNT_VARIANCE", "detail": "x" }), "/category"),
        (json!({ "category": "MANUAL", "detail": " " }), "/detail"),
    ] {
        let reply = house
            .in_vain(house.post("PB-01", &format!("sessions/{session}/exceptions"), body))
            .await;
        reply.refused(422, "validation_failed");
        assert_eq!(reply.pointers(), [pointer]);
    }
}

#[tokio::test]
async fn an_exception_is_owned_then_resolved_and_never_reopened() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let exception = raised(&house, &session).await;
    let owned = acknowledge(&house, "CO-01", &exception).await;
    assert_eq!(
        (&owned.expect(200)["status"], &owned.body["owner"]),
        (&json!("ACKNOWLEDGED"), &json!(house.staff("CO-01")))
    );
    house
        .in_vain(acknowledge(&house, "CO-02", &exception))
        .await
        .refused(409, "illegal_transition");
    let resolved = resolve(&house, "CO-02", &exception, "DATA_ENTRY_ERROR", json!({})).await;
    let row = resolved.expect(200);
    assert_eq!(
        (&row["status"], &row["reason_code"], &row["resolved_by"]),
        (&json!("RESOLVED"), &json!("DATA_ENTRY_ERROR"), &json!(house.staff("CO-02")))
    );
    assert_eq!(
        (&row["resolution_note"], &row["resolved_at"]),
        (&json!("the till roll shows it"), &json!("2026-03-06T21:00:00Z"))
    );
    for again in [
        resolve(&house, "CO-01", &exception, "SYSTEM_ERROR", json!({})).await,
        acknowledge(&house, "CO-01", &exception).await,
    ] {
        assert_eq!(again.refused(409, "conflict")["reason"], "already_resolved");
    }
    assert_eq!(
        house.get("CO-01", &format!("sessions/{session}")).await.expect(200)["open_exceptions"],
        0
    );
    let events = house
        .texts("SELECT event FROM outbox WHERE event LIKE 'table.exception%' ORDER BY position")
        .await;
    assert_eq!(events, ["table.exception_raised", "table.exception_resolved"]);
}

#[tokio::test]
async fn what_is_referred_to_investigation_stays_unresolved() {
    let house = House::open().await;
    let session = reconciled(&house).await;
    let exception = raised(&house, &session).await;
    let referred = resolve(&house, "CO-01", &exception, "REFERRED_TO_INVESTIGATION", json!({})).await;
    assert_eq!(
        (&referred.expect(200)["status"], &referred.body["resolved_at"]),
        (&json!("ACKNOWLEDGED"), &Value::Null)
    );
    let blocked = house.in_vain(house.advance("CO-01", &session, json!({ "to": "FINALIZED" }))).await;
    blocked.refused(409, "gates_unmet");
    assert_eq!(blocked.gates(), ["exceptions_resolved"]);
    let waived = house
        .in_vain(resolve(
            &house,
            "CO-01",
            &exception,
            "REFERRED_TO_INVESTIGATION",
            json!({ "waive": true }),
        ))
        .await;
    waived.refused(422, "validation_failed");
    assert_eq!(waived.pointers(), ["/waive"]);
    resolve(&house, "CO-02", &exception, "RECOUNT_CONFIRMED", json!({}))
        .await
        .expect(200);
    house.advance("CO-01", &session, json!({ "to": "FINALIZED" })).await.expect(200);
}

#[tokio::test]
async fn a_waived_exception_blocks_no_longer() {
    let house = House::open().await;
    let session = reconciled(&house).await;
    let exception = raised(&house, &session).await;
    let waived = resolve(&house, "CO-01", &exception, "ACCEPTED_VARIANCE", json!({ "waive": true })).await;
    assert_eq!(waived.expect(200)["status"], "WAIVED");
    assert_eq!(
        resolve(&house, "CO-01", &exception, "SYSTEM_ERROR", json!({}))
            .await
            .refused(409, "conflict")["reason"],
        "already_resolved"
    );
    house.advance("CO-01", &session, json!({ "to": "FINALIZED" })).await.expect(200);
}

#[tokio::test]
async fn an_exception_lowers_the_grade_of_the_report_until_it_is_explained() {
    let house = House::open().await;
    let session = reconciled(&house).await;
    let grade = || async {
        let reply = house.get("CO-01", &format!("sessions/{session}/rundown")).await;
        text(reply.expect(200), "metric_grade")
    };
    assert_eq!(grade().await, "AUTHORITATIVE");
    let exception = raised(&house, &session).await;
    assert_eq!(grade().await, "ESTIMATE");
    resolve(&house, "CO-01", &exception, "SYSTEM_ERROR", json!({})).await.expect(200);
    assert_eq!(grade().await, "AUTHORITATIVE");
}

#[tokio::test]
async fn a_finding_once_explained_is_not_raised_again() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let drop = id(&house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await.expect(201)["drop"]);
    let unscheduled = id(&house.exceptions(&session).await[0]);
    resolve(&house, "CO-01", &unscheduled, "CUSTODY_EXPLAINED", json!({}))
        .await
        .expect(200);
    // Every later fact lets the detectors look again.
    house.bring(&drop, "S1").await;
    house.soft_count(&drop, 0, json!([])).await.expect(201);
    let rows = house.exceptions(&session).await;
    assert_eq!(rows.iter().map(|row| text(row, "status")).collect::<Vec<_>>(), ["RESOLVED"]);
}

#[tokio::test]
async fn a_reason_is_one_of_the_list() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let exception = raised(&house, &session).await;
    for reason in ["BECAUSE", "data_entry_error", ""] {
        house
            .in_vain(resolve(&house, "CO-01", &exception, reason, json!({})))
            .await
            .refused(400, "malformed_request");
    }
    for reason in [
        "DATA_ENTRY_ERROR",
        "LATE_PAPERWORK_FOUND",
        "RECOUNT_CONFIRMED",
        "VOID_AND_REPLACED",
        "ACCEPTED_VARIANCE",
        "CUSTODY_EXPLAINED",
        "SYSTEM_ERROR",
    ] {
        let exception = raised(&house, &session).await;
        assert_eq!(
            resolve(&house, "CO-01", &exception, reason, json!({})).await.expect(200)["reason_code"],
            reason
        );
    }
}

#[tokio::test]
async fn exceptions_are_listed_by_status_category_and_delay() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let first = raised(&house, &session).await;
    house.clock.advance(std::time::Duration::from_hours(20));
    let second = raised(&house, &session).await;
    house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await.expect(201);
    house.clock.advance(std::time::Duration::from_hours(5));
    acknowledge(&house, "CO-01", &second).await.expect(200);
    let listed = |query: &'static str| {
        let house = &house;
        async move {
            let reply = house.get("CO-01", &format!("exceptions?{query}")).await;
            reply.expect(200)["items"]
                .as_array()
                .expect("a list")
                .iter()
                .map(id)
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(listed("overdue=true").await, [first.as_str()]);
    assert_eq!(listed("overdue=false").await.len(), 2);
    assert_eq!(listed("status=ACKNOWLEDGED").await, [second.as_str()]);
    assert_eq!(listed("category=MANUAL").await, [first.as_str(), &second]);
    assert_eq!(listed("category=DROP_OUT_OF_SCHEDULE&status=OPEN").await.len(), 1);
    resolve(&house, "CO-01", &first, "SYSTEM_ERROR", json!({})).await.expect(200);
    assert_eq!(
        listed("overdue=true").await,
        Vec::<String>::new(),
        "what is resolved is late no more"
    );
    assert_eq!(listed("gaming_day=2026-03-06").await.len(), 3);
}

#[tokio::test]
async fn an_opener_that_is_not_the_last_closer_is_an_exception_with_both_figures() {
    let house = House::open().await;
    house.reconciled("BJ-01", "BJ-01-A", "BJ-01-B", tray(), tray(), 0).await;
    // Two wrong denominations do not cancel out: the same total, in other chips.
    let second = house.open_table("BJ-01", "BJ-01-B", json!({ "10000": 19, "500": 20 })).await;
    let rows = house.exceptions(&second).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["category"], &rows[0]["variance_cents"]),
        (&json!("OPENING_VARIANCE"), &json!(0))
    );
    assert_eq!(
        (&rows[0]["detail"]["distance_cents"], &rows[0]["detail"]["closer_chipset"]),
        (&json!(20_000), &json!({ "10000": 20 }))
    );
    assert_eq!(rows[0]["detail"]["opener_chipset"], json!({ "10000": 19, "500": 20 }));
}

#[tokio::test]
async fn a_difference_within_tolerance_is_none() {
    let house = House::open().await;
    house.settle_policy(json!({ "opening_tolerance_cents": 500 })).await;
    house.reconciled("BJ-01", "BJ-01-A", "BJ-01-B", tray(), tray(), 0).await;
    let second = house.open_table("BJ-01", "BJ-01-B", json!({ "10000": 20, "500": 1 })).await;
    assert_eq!(house.categories(&second).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_fact_after_finalization_is_stored_and_flagged_and_changes_nothing_else() {
    let house = House::open().await;
    let session = finalized(&house).await;
    let session_row = format!("SELECT to_jsonb(t)::text FROM table_inventory_session AS t WHERE id = '{session}'");
    let report_row = format!("SELECT to_jsonb(t)::text FROM table_rundown_report AS t WHERE session_id = '{session}'");
    let (before, report) = (house.texts(&session_row).await, house.texts(&report_row).await);
    house.clock.advance(std::time::Duration::from_hours(1));
    let removed = house.remove(&session, "BJ-01-B", None, "S2").await;
    assert_eq!(removed.expect(201)["session"]["status"], "FINALIZED");
    let drop = id(&removed.body["drop"]);
    // A late fact is a new one, wherever it is written.
    house.post("SC-01", &format!("drops/{drop}/delivery"), json!({})).await.expect(201);
    house
        .post("CT-01", &format!("drops/{drop}/receipt"), json!({ "seal_no": "S2" }))
        .await
        .expect(201);
    let counted = house.soft_count(&drop, 900, json!([])).await;
    assert_eq!(
        (&counted.expect(201)["soft_count"]["standing"], &counted.body["session"]["status"]),
        (&json!("accepted"), &json!("FINALIZED"))
    );
    assert_eq!(
        (house.texts(&session_row).await, house.texts(&report_row).await),
        (before, report),
        "a FINALIZED row never changes"
    );
    let rows = house.exceptions(&session).await;
    let told: Vec<_> = rows
        .iter()
        .map(|row| (text(row, "category"), text(row, "subject_id"), text(row, "status")))
        .collect();
    assert_eq!(
        told,
        [("LATE_EVENT".to_owned(), drop, "OPEN".to_owned())],
        "one finding about one thing"
    );
    let rundown = house.get("CO-01", &format!("sessions/{session}/rundown")).await;
    assert_eq!(
        (&rundown.expect(200)["has_late_events"], &rundown.body["preview"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&rundown.body["drop_total_cents"], &rundown.body["win_loss_stat_cents"]),
        (&json!(5000), &json!(5000))
    );
    // The late event is explained like any other.
    resolve(&house, "CO-01", &id(&rows[0]), "LATE_PAPERWORK_FOUND", json!({}))
        .await
        .expect(200);
}

#[tokio::test]
async fn nothing_else_is_stored_after_finalization() {
    let house = House::open().await;
    let session = finalized(&house).await;
    for to in ["OPEN", "CLOSED", "RECONCILED", "READY_TO_OPEN", "FINALIZED"] {
        house
            .in_vain(house.advance("AD-01", &session, json!({ "to": to })))
            .await
            .refused(409, "illegal_transition");
    }
    house
        .in_vain(house.advance("AD-01", &session, json!({ "to": "CLOSED", "force": true, "note": "x" })))
        .await
        .refused(409, "illegal_transition");
    for (path, body) in [
        ("snapshots", json!({ "kind": "close", "chipset": tray() })),
        ("snapshots", json!({ "kind": "rundown", "chipset": tray() })),
        ("slips", json!({ "kind": "fill", "request_id": "late", "chipset": tray() })),
    ] {
        let reply = house
            .in_vain(house.post("PB-01", &format!("sessions/{session}/{path}"), body))
            .await;
        assert_eq!(reply.refused(409, "conflict")["reason"], "wrong_state");
    }
    let rundown = house.get("CO-01", &format!("sessions/{session}/rundown")).await;
    assert_eq!(rundown.expect(200)["has_late_events"], false);
}

#[tokio::test]
async fn a_late_recount_is_stored_and_the_figures_stay() {
    let house = House::open().await;
    let session = finalized(&house).await;
    let before = house.get("CO-01", &format!("sessions/{session}/rundown")).await;
    let drop = id(&house.get("CO-01", &format!("drops?session_id={session}")).await.expect(200)["items"][0]);
    let team = ["CT-01", "CT-02", "CT-03"].map(|member| house.staff(member));
    let body = json!({
        "drop_event_id": drop, "drop_total_cents": 6000, "count_1_cents": 6000, "count_2_cents": 6000, "team": team,
        "supersedes_id": before.expect(200)["soft_count_ids"][0],
        "evidence_manifest": { "currency": { "100": 60 }, "documents": [{ "kind": "opener", "amount_cents": 200_000 }] },
    });
    house.post("CT-01", "soft-counts", body).await.expect(201);
    let after = house.get("CO-01", &format!("sessions/{session}/rundown")).await;
    for member in [
        "drop_total_cents",
        "win_loss_stat_cents",
        "input_hash",
        "finalized_at",
        "soft_count_ids",
    ] {
        assert_eq!(after.expect(200)[member], before.body[member], "{member}");
    }
    assert_eq!(
        (&after.body["has_late_events"], house.categories(&session).await),
        (&json!(true), vec!["LATE_EVENT".to_owned()])
    );
}
