//! How a session ends beside the main road: rolled over, restored to par, forced, cancelled (domain §4).

use serde_json::{Value, json};

use crate::support::{House, Reply, id, text, tray};

/// A session in play whose first box is removed as planned, with another on the table.
async fn dropped(house: &House) -> String {
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    house
        .advance("PB-01", &session, json!({ "to": "DROP_SCHEDULED" }))
        .await
        .expect(200);
    house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await.expect(201);
    session
}

async fn roll(house: &House, session: &str, more: Value) -> Reply {
    let mut body = json!({ "chipset": tray(), "cosign": house.cosign("PB-02") });
    for (name, value) in more.as_object().expect("members") {
        body[name] = value.clone();
    }
    house.post("PB-01", &format!("sessions/{session}/rollover"), body).await
}

#[tokio::test]
async fn one_count_of_two_pit_bosses_closes_one_session_and_opens_the_next() {
    let house = House::open().await;
    let first = dropped(&house).await;
    let rolled = roll(&house, &first, json!({})).await;
    let body = rolled.expect(201);
    let (closed, opened) = (&body["closed"], &body["opened"]);
    assert_eq!(
        (&closed["id"], &closed["status"], &closed["close_reason"]),
        (&json!(first), &json!("CLOSED"), &json!("rollover"))
    );
    assert_eq!(
        (&opened["status"], &opened["predecessor_id"], &opened["table_id"]),
        (&json!("OPEN"), &json!(first), &closed["table_id"])
    );
    assert_eq!(opened["drop_box_id"], json!(house.drop_box("BJ-01-B")));
    let taken: Vec<_> = body["taken"]
        .as_array()
        .expect("edges")
        .iter()
        .map(|edge| (text(edge, "from"), text(edge, "to")))
        .collect();
    let edge = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(taken[..2], [edge("DROPPED", "CLOSING"), edge("CLOSING", "CLOSED")]);
    assert!(
        taken.contains(&edge("READY_TO_OPEN", "OPENING")) && taken.contains(&edge("OPENING", "OPEN")),
        "{taken:?}"
    );
    let counts = house.texts(
        "SELECT s.kind || ' ' || s.total_cents || ' ' || c.employee_no || ' ' || v.employee_no FROM table_inventory_snapshot AS s
           JOIN staff AS c ON c.id = s.counted_by JOIN staff AS v ON v.id = s.verified_by ORDER BY s.id",
    );
    assert_eq!(
        counts.await,
        ["open 200000 PB-01 DL-01", "close 200000 PB-01 PB-02", "open 200000 PB-01 PB-02"]
    );
    assert_eq!(house.categories(&id(opened)).await, Vec::<String>::new());
    let live = house.get("PB-01", "sessions?live=true").await;
    assert_eq!(
        live.expect(200)["items"]
            .as_array()
            .expect("a list")
            .iter()
            .map(id)
            .collect::<Vec<_>>(),
        [id(opened)]
    );
}

#[tokio::test]
async fn a_rollover_whose_evidence_is_complete_reconciles_the_first_at_once() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    house
        .advance("PB-01", &session, json!({ "to": "DROP_SCHEDULED" }))
        .await
        .expect(200);
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    house
        .soft_count(&drop, 5000, json!([{ "kind": "opener", "amount_cents": 200_000 }]))
        .await
        .expect(201);
    let rolled = roll(&house, &session, json!({ "chipset": { "10000": 19 } })).await;
    assert_eq!(rolled.expect(201)["closed"]["status"], "RECONCILED");
    let rundown = house.get("CO-01", &format!("sessions/{session}/rundown")).await;
    // 190,000 closing + 5,000 drop - 200,000 opening.
    assert_eq!(rundown.expect(200)["win_loss_stat_cents"], -5000);
}

#[tokio::test]
async fn slips_in_flight_pass_on_and_verified_ones_stay() {
    let house = House::open().await;
    let first = dropped(&house).await;
    let requested = house.request_slip(&first, "fill", "f-1", json!({ "500": 1 })).await;
    let issued = house.request_slip(&first, "fill", "f-2", json!({ "500": 2 })).await;
    let verified = house.request_slip(&first, "credit", "c-1", json!({ "500": 4 })).await;
    let issue = json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") });
    for slip in [&issued, &verified] {
        house.step_slip("CG-01", slip, issue.clone()).await.expect(200);
    }
    let verify = json!({ "to": "VERIFIED_AT_TABLE", "dealer": house.cosign("DL-01") });
    house.step_slip("PB-02", &verified, verify.clone()).await.expect(200);
    let rolled = roll(&house, &first, json!({})).await;
    let second = id(&rolled.expect(201)["opened"]);
    assert_eq!(
        (&rolled.body["closed"]["in_flight_slips"], &rolled.body["opened"]["in_flight_slips"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        (&rolled.body["closed"]["status"], &rolled.body["closed"]["credits_total_cents"]),
        (&json!("CLOSED"), &json!(2000))
    );
    for (slip, session) in [(&requested, &second), (&issued, &second), (&verified, &first)] {
        assert_eq!(
            house.get("PB-01", &format!("slips/{slip}")).await.expect(200)["session_id"],
            session.as_str()
        );
    }
    // They go on where they are now, and change that tray.
    house.step_slip("CG-01", &requested, issue).await.expect(200);
    let moved = house.step_slip("PB-02", &issued, verify).await;
    assert_eq!(
        (&moved.expect(200)["session"]["id"], &moved.body["session"]["fills_total_cents"]),
        (&json!(second), &json!(1000))
    );
    // The one that stayed is received and deposited in CLOSED.
    house
        .post("CG-01", &format!("slips/{verified}/cage-receipt"), json!({}))
        .await
        .expect(200);
    let deposited = house.step_slip("PB-02", &verified, json!({ "to": "DEPOSITED_IN_DROPBOX" })).await;
    assert_eq!(
        (&deposited.expect(200)["session"]["id"], &deposited.body["session"]["status"]),
        (&json!(first), &json!("CLOSED"))
    );
}

#[tokio::test]
async fn a_passed_slip_still_knows_who_signed_it() {
    let house = House::open().await;
    let first = dropped(&house).await;
    let slip = house.request_slip(&first, "fill", "f-1", json!({ "500": 1 })).await;
    house
        .step_slip("CG-01", &slip, json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") }))
        .await
        .expect(200);
    roll(&house, &first, json!({})).await.expect(201);
    for party in ["PB-01", "SC-03"] {
        let void = json!({ "to": "VOIDED", "reason": "torn", "cosign": house.cosign(party) });
        let reply = house.in_vain(house.step_slip("CG-01", &slip, void)).await;
        assert_eq!(reply.refused(403, "segregation_violation")["rule"], "void_witness_is_independent");
    }
}

#[tokio::test]
async fn a_rollover_is_signed_by_two_pit_bosses() {
    let house = House::open().await;
    let session = dropped(&house).await;
    let with = |cosign: Value| roll(&house, &session, json!({ "cosign": cosign }));
    house.in_vain(with(house.cosign("DL-01"))).await.refused(403, "forbidden");
    house.in_vain(with(house.cosign("CO-01"))).await.refused(403, "forbidden");
    let alone = house.in_vain(with(house.cosign("PB-01"))).await;
    alone.refused(422, "validation_failed");
    assert_eq!(alone.pointers(), ["/cosign/staff_id"]);
    let nobody = house.in_vain(with(Value::Null)).await;
    nobody.refused(422, "validation_failed");
    assert_eq!(nobody.pointers(), ["/cosign"]);
    assert_eq!(house.status(&session).await, "DROPPED");
}

#[tokio::test]
async fn one_box_never_serves_two_sessions_not_even_in_a_rollover() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let reply = house.in_vain(roll(&house, &session, json!({}))).await;
    reply.refused(409, "gates_unmet");
    assert_eq!(reply.gates(), ["drop_box_attached"]);
    assert_eq!(house.status(&session).await, "OPEN", "all of it or nothing");
}

#[tokio::test]
async fn only_a_table_in_play_rolls_over() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    house
        .in_vain(roll(&house, &session, json!({})))
        .await
        .refused(409, "illegal_transition");
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    house
        .in_vain(roll(&house, &session, json!({})))
        .await
        .refused(409, "illegal_transition");
    let done = house.reconciled("BJ-02", "BJ-02-A", "BJ-02-B", tray(), tray(), 0).await;
    house
        .in_vain(roll(&house, &done, json!({})))
        .await
        .refused(409, "illegal_transition");
}

#[tokio::test]
async fn a_rollover_counts_known_chips_only_and_keeps_every_gate_of_its_edges() {
    let house = House::open().await;
    let session = dropped(&house).await;
    let reply = house.in_vain(roll(&house, &session, json!({ "chipset": { "7": 1 } }))).await;
    reply.refused(422, "validation_failed");
    assert_eq!(reply.pointers(), ["/chipset/7"]);
    house.settle_policy(json!({ "fill_series_open": false })).await;
    let reply = house.in_vain(roll(&house, &session, json!({}))).await;
    assert_eq!(reply.gates(), ["slip_forms_available"]);
    house
        .settle_policy(json!({ "fill_series_open": true, "count_before_close": true }))
        .await;
    let reply = house.in_vain(roll(&house, &session, json!({}))).await;
    assert_eq!(reply.gates(), ["count_before_close"]);
}

#[tokio::test]
async fn a_rollover_begins_the_gaming_day_of_its_moment() {
    let house = House::open().await;
    let session = dropped(&house).await;
    house.clock.advance(std::time::Duration::from_hours(15));
    let rolled = roll(&house, &session, json!({})).await;
    assert_eq!(
        (&rolled.expect(201)["closed"]["gaming_day"], &rolled.body["opened"]["gaming_day"]),
        (&json!("2026-03-06"), &json!("2026-03-07"))
    );
}

// Imprest.

/// An imprest table in play: par is 1,000.00.
async fn imprest(house: &House, opener: Value) -> String {
    house.settle_policy(json!({ "bank_mode": "IMPREST_TO_PAR" })).await;
    let session = house.open_table("BJ-01", "BJ-01-A", opener).await;
    let read = house.get("PB-01", &format!("sessions/{session}")).await;
    assert_eq!(
        (&read.expect(200)["bank_mode"], &read.body["need_total_cents"]),
        (&json!("IMPREST_TO_PAR"), &json!(100_000))
    );
    session
}

#[tokio::test]
async fn an_imprest_tray_is_restored_to_par_while_closing() {
    let house = House::open().await;
    let session = imprest(&house, json!({ "10000": 10 })).await;
    let restore = |request: &str| json!({ "kind": "fill", "request_id": request, "chipset": { "10000": 3 }, "purpose": "par_restore" });
    let path = format!("sessions/{session}/slips");
    // Not before the closing: that is an ordinary fill.
    let early = house.in_vain(house.post("PB-01", &path, restore("p-0"))).await;
    assert_eq!(early.refused(409, "conflict")["reason"], "wrong_state");
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    let ordinary = json!({ "kind": "fill", "request_id": "f-1", "chipset": { "10000": 3 } });
    assert_eq!(
        house.in_vain(house.post("PB-01", &path, ordinary)).await.refused(409, "conflict")["reason"],
        "wrong_state"
    );
    let slip = id(house.post("PB-01", &path, restore("p-1")).await.expect(201));
    // A count before the restore is of yesterday once the chips are there.
    let counted = house.count_tray(&session, "close", json!({ "10000": 7 })).await;
    assert_eq!(
        (&counted["session"]["status"], &counted["snapshot"]["discrepancy_cents"]),
        (&json!("CLOSING"), &json!(-30_000))
    );
    assert_eq!(counted["snapshot"]["expected_total_cents"], 100_000);
    house.clock.advance(std::time::Duration::from_mins(1));
    house
        .step_slip("CG-01", &slip, json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") }))
        .await
        .expect(200);
    house
        .step_slip(
            "PB-02",
            &slip,
            json!({ "to": "VERIFIED_AT_TABLE", "dealer": house.cosign("DL-01") }),
        )
        .await
        .expect(200);
    let deposited = house.step_slip("PB-02", &slip, json!({ "to": "DEPOSITED_IN_DROPBOX" })).await;
    assert_eq!(deposited.expect(200)["session"]["status"], "CLOSING");
    let asked = house.in_vain(house.advance("PB-01", &session, json!({ "to": "CLOSED" }))).await;
    asked.refused(409, "gates_unmet");
    assert_eq!(asked.gates(), ["closer_current"]);
    house.clock.advance(std::time::Duration::from_mins(1));
    let recounted = house.count_tray(&session, "close", json!({ "10000": 10 })).await;
    assert_eq!(
        (&recounted["session"]["status"], &recounted["snapshot"]["discrepancy_cents"]),
        (&json!("CLOSED"), &json!(0))
    );
    assert_eq!(recounted["snapshot"]["supersedes_id"], counted["snapshot"]["id"]);
    assert_eq!(house.categories(&session).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_tray_off_par_closes_and_says_so() {
    let house = House::open().await;
    let session = imprest(&house, json!({ "10000": 10 })).await;
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    assert_eq!(
        house.count_tray(&session, "close", json!({ "10000": 9 })).await["session"]["status"],
        "CLOSED"
    );
    let rows = house.exceptions(&session).await;
    assert_eq!(rows.len(), 1);
    let figures = (
        &rows[0]["category"],
        &rows[0]["expected"],
        &rows[0]["found"],
        &rows[0]["variance_cents"],
    );
    assert_eq!(figures, (&json!("PAR_VARIANCE"), &json!(100_000), &json!(90_000), &json!(-10_000)));
}

#[tokio::test]
async fn an_imprest_table_without_par_is_not_set_up() {
    let house = House::open().await;
    house.settle_policy(json!({ "bank_mode": "IMPREST_TO_PAR" })).await;
    let admin = house.person("AD-01");
    let table = id(admin
        .post("/api/v1/tables", json!({ "label": "PK-01", "type": "poker" }))
        .await
        .expect(201));
    let body = json!({ "table_id": table });
    let idle = house.in_vain(house.post("PB-01", "sessions", body.clone())).await;
    idle.refused(409, "gates_unmet");
    assert_eq!(idle.gates(), ["table_active", "setup_ready"]);
    admin.post(&format!("/api/v1/tables/{table}/activate"), json!({})).await.expect(200);
    assert_eq!(
        house.in_vain(house.post("PB-01", "sessions", body.clone())).await.gates(),
        ["setup_ready"]
    );
    admin
        .post(&format!("/api/v1/tables/{table}/par"), json!({ "par_cents": 500 }))
        .await
        .expect(201);
    house.post("PB-01", "sessions", body).await.expect(201);
}

#[tokio::test]
async fn a_closer_is_measured_against_nothing_where_counts_are_the_truth() {
    let house = House::open().await;
    let session = dropped(&house).await;
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    let counted = house.count_tray(&session, "close", json!({ "10000": 1 })).await;
    assert_eq!(
        (
            &counted["snapshot"]["expected_total_cents"],
            &counted["snapshot"]["discrepancy_cents"]
        ),
        (&Value::Null, &Value::Null)
    );
    let told = house
        .texts("SELECT payload->>'discrepancy_cents' IS NULL || '' FROM outbox WHERE event = 'table.inventory_close'")
        .await;
    assert_eq!(told, ["true"], "in the event too");
}

// Force and cancel.

async fn force(house: &House, session: &str, note: &str) -> Reply {
    house
        .advance("PB-01", session, json!({ "to": "CLOSED", "force": true, "note": note }))
        .await
}

#[tokio::test]
async fn a_forced_close_raises_what_is_missing_and_still_reconciles() {
    let house = House::open().await;
    let session = dropped(&house).await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "500": 1 })).await;
    let blank = house.in_vain(force(&house, &session, " ")).await;
    blank.refused(422, "validation_failed");
    assert_eq!(blank.pointers(), ["/note"]);
    let forced = force(&house, &session, "a fire alarm").await;
    let row = &forced.expect(200)["session"];
    assert_eq!(
        (&row["status"], &row["close_reason"], &row["close_note"]),
        (&json!("CLOSED"), &json!("forced"), &json!("a fire alarm"))
    );
    assert_eq!(row["requires_reconciliation"], true);
    assert_eq!(house.categories(&session).await, ["MISSING_CLOSING_SNAPSHOT", "UNVERIFIED_SLIP"]);
    // The evidence may still come: the slip is settled, the tray counted, the box counted.
    house
        .step_slip("PB-02", &slip, json!({ "to": "CANCELLED", "reason": "never left the cage" }))
        .await
        .expect(200);
    let closer = house.count_tray(&session, "close", tray()).await;
    assert_eq!(closer["session"]["closing_snapshot_id"], closer["snapshot"]["id"]);
    let drop = id(&house.get("CO-01", "drops").await.expect(200)["items"][0]);
    house.bring(&drop, "S1").await;
    let counted = house
        .soft_count(&drop, 0, json!([{ "kind": "opener", "amount_cents": 200_000 }]))
        .await;
    assert_eq!(counted.expect(201)["session"]["status"], "RECONCILED");
    // What a detector sees no more is not resolved by that.
    let rows = house.exceptions(&session).await;
    assert!(
        rows.iter()
            .all(|row| row["status"] == "OPEN" && row["no_longer_observed_at"].is_string()),
        "{rows:?}"
    );
    let blocked = house.in_vain(house.advance("CO-01", &session, json!({ "to": "FINALIZED" }))).await;
    assert_eq!(blocked.gates(), ["exceptions_resolved"]);
}

#[tokio::test]
async fn a_forced_session_without_a_closer_has_no_win() {
    let house = House::open().await;
    let session = dropped(&house).await;
    force(&house, &session, "a fire alarm").await.expect(200);
    let drop = id(&house.get("CO-01", "drops").await.expect(200)["items"][0]);
    house.bring(&drop, "S1").await;
    let counted = house
        .soft_count(&drop, 5000, json!([{ "kind": "opener", "amount_cents": 200_000 }]))
        .await;
    assert_eq!(counted.expect(201)["session"]["status"], "RECONCILED");
    let rundown = house.get("CO-01", &format!("sessions/{session}/rundown")).await;
    let report = rundown.expect(200);
    for member in ["closing_total_cents", "win_loss_stat_cents", "hold_bp", "inventory_result_cents"] {
        assert_eq!(report[member], Value::Null, "{member}: null is not zero");
    }
    assert_eq!(
        (&report["drop_total_cents"], &report["missing_inputs"], &report["metric_grade"]),
        (&json!(5000), &json!(["closing"]), &json!("ESTIMATE"))
    );
}

#[tokio::test]
async fn only_a_table_that_was_opened_is_forced_closed() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    house
        .in_vain(force(&house, &session, "rain"))
        .await
        .refused(409, "illegal_transition");
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    house
        .in_vain(force(&house, &session, "rain"))
        .await
        .refused(409, "illegal_transition");
}

#[tokio::test]
async fn a_cancelled_session_leaves_no_mark_on_the_next() {
    let house = House::open().await;
    let first = house.create("BJ-01", "BJ-01-A").await;
    let cancel = |note: &str| json!({ "to": "CLOSED", "note": note });
    let blank = house.in_vain(house.advance("PB-01", &first, json!({ "to": "CLOSED" }))).await;
    blank.refused(422, "validation_failed");
    assert_eq!(blank.pointers(), ["/note"]);
    house.advance("PB-01", &first, json!({ "to": "OPENING" })).await.expect(200);
    let unverified = json!({ "kind": "open", "chipset": tray() });
    house
        .post("PB-01", &format!("sessions/{first}/snapshots"), unverified)
        .await
        .expect(201);
    let cancelled = house.advance("PB-01", &first, cancel("no dealer came")).await;
    let row = &cancelled.expect(200)["session"];
    assert_eq!(
        (&row["status"], &row["close_reason"], &row["reconciled_at"]),
        (&json!("CLOSED"), &json!("cancelled"), &Value::Null)
    );
    assert_eq!(house.categories(&first).await, Vec::<String>::new());
    // Its box stands there still, and serves the next; which has no predecessor.
    let removal = house.in_vain(house.remove(&first, "BJ-01-A", Some("BJ-01-B"), "S1")).await;
    assert_eq!(removal.refused(409, "conflict")["reason"], "session_cancelled");
    let second = house.open_table("BJ-01", "BJ-01-A", json!({ "500": 1 })).await;
    let read = house.get("PB-01", &format!("sessions/{second}")).await;
    assert_eq!(read.expect(200)["predecessor_id"], Value::Null);
    assert_eq!(
        house.categories(&second).await,
        Vec::<String>::new(),
        "an uncounted opener is compared with nothing"
    );
    house
        .in_vain(house.advance("CO-01", &first, json!({ "to": "FINALIZED" })))
        .await
        .refused(409, "illegal_transition");
}

#[tokio::test]
async fn where_the_casino_counts_before_it_closes_a_table_closes_from_counted_only() {
    let house = House::open().await;
    house.settle_policy(json!({ "count_before_close": true })).await;
    let session = dropped(&house).await;
    let early = house.in_vain(house.advance("PB-01", &session, json!({ "to": "CLOSING" }))).await;
    early.refused(409, "gates_unmet");
    assert_eq!(early.gates(), ["count_before_close"]);
    let drop = id(&house.get("CO-01", "drops").await.expect(200)["items"][0]);
    house.bring(&drop, "S1").await;
    house.soft_count(&drop, 0, json!([])).await.expect(201);
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
}
