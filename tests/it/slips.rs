//! Fills and credits: numbers without a gap, replays, the people on a slip, and what becomes of one that went wrong (domain §6).

use std::collections::BTreeSet;
use std::sync::Arc;

use rundown::clock::new_id;
use serde_json::{Value, json};

use crate::support::{House, Reply, below, id, text, tray};

async fn in_play(house: &House) -> String {
    house.open_table("BJ-01", "BJ-01-A", tray()).await
}

async fn issue(house: &House, slip: &str) -> Reply {
    house
        .step_slip("CG-01", slip, json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") }))
        .await
}

async fn verify(house: &House, slip: &str, more: Value) -> Reply {
    let mut body = json!({ "to": "VERIFIED_AT_TABLE", "dealer": house.cosign("DL-01") });
    for (name, value) in more.as_object().expect("members") {
        body[name] = value.clone();
    }
    house.step_slip("PB-02", slip, body).await
}

async fn void(house: &House, by: &str, slip: &str, witness: &str) -> Reply {
    house
        .step_slip(
            by,
            slip,
            json!({ "to": "VOIDED", "reason": "torn on the way", "cosign": house.cosign(witness) }),
        )
        .await
}

/// The series of one kind, as accounted for.
async fn series(house: &House, kind: &str) -> Value {
    let reply = house.get("CO-01", &format!("slip-series?kind={kind}")).await;
    let items = reply.expect(200)["items"].as_array().expect("a list");
    assert_eq!(items.len(), 1);
    items[0].clone()
}

#[tokio::test]
async fn numbers_rise_by_one_within_each_kind() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let second = house.open_table("BJ-02", "BJ-02-A", tray()).await;
    let mut given = Vec::new();
    for (number, (session, kind)) in [
        (&session, "fill"),
        (&second, "fill"),
        (&session, "credit"),
        (&session, "fill"),
        (&second, "credit"),
    ]
    .into_iter()
    .enumerate()
    {
        let slip = house.request_slip(session, kind, &format!("r-{number}"), json!({ "500": 1 })).await;
        let issued = issue(&house, &slip).await;
        let slip = &issued.expect(200)["slip"];
        assert_eq!(
            (&slip["slip_scope"], &slip["scope_key"]),
            (&json!("gaming_day"), &json!("2026-03-06"))
        );
        given.push((kind, slip["slip_no"].as_i64().expect("a number")));
    }
    assert_eq!(given, [("fill", 1), ("fill", 2), ("credit", 1), ("fill", 3), ("credit", 2)]);
}

#[tokio::test]
async fn a_request_has_no_number_and_a_refused_issue_takes_none() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let first = house.request_slip(&session, "fill", "f-1", json!({ "500": 1 })).await;
    assert_eq!(
        house.get("CG-01", &format!("slips/{first}")).await.expect(200)["slip_no"],
        Value::Null
    );
    house
        .in_vain(house.step_slip("CG-01", &first, json!({ "to": "ISSUED", "runner_id": house.staff("CG-02") })))
        .await
        .refused(403, "segregation_violation");
    assert_eq!(issue(&house, &first).await.expect(200)["slip"]["slip_no"], 1);
    assert_eq!(series(&house, "fill").await["last_no"], 1);
}

#[tokio::test]
async fn a_new_gaming_day_begins_a_new_series_and_a_year_does_not() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let mut slips = Vec::new();
    for number in 1..=4 {
        slips.push(
            house
                .request_slip(&session, "fill", &format!("f-{number}"), json!({ "500": 1 }))
                .await,
        );
    }
    let number = |reply: Reply| {
        (
            text(&reply.expect(200)["slip"], "scope_key"),
            reply.body["slip"]["slip_no"].as_i64(),
        )
    };
    assert_eq!(number(issue(&house, &slips[0]).await), ("2026-03-06".to_owned(), Some(1)));
    // 21:00 UTC is 15:00 in Chicago; the day ends at 06:00 there.
    house.clock.advance(std::time::Duration::from_secs(15 * 3600 - 1));
    assert_eq!(number(issue(&house, &slips[1]).await), ("2026-03-06".to_owned(), Some(2)));
    house.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(number(issue(&house, &slips[2]).await), ("2026-03-07".to_owned(), Some(1)));
    house.settle_policy(json!({ "slip_scope": "calendar_year" })).await;
    assert_eq!(number(issue(&house, &slips[3]).await), ("2026".to_owned(), Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_slips_issued_at_once_leave_an_unbroken_range() {
    const EACH: usize = 67;
    let house = Arc::new(House::open().await);
    let mut waiting = Vec::new();
    for (table, drop_box) in [("BJ-01", "BJ-01-A"), ("BJ-02", "BJ-02-A"), ("BJ-03", "BJ-03-A")] {
        let session = house.open_table(table, drop_box, tray()).await;
        for number in 0..EACH {
            waiting.push(
                house
                    .request_slip(&session, "fill", &format!("{table}-{number}"), json!({ "500": 1 }))
                    .await,
            );
        }
    }
    let all = i64::try_from(waiting.len()).expect("a small number");
    let mut calls = tokio::task::JoinSet::new();
    for slip in waiting {
        let house = Arc::clone(&house);
        calls.spawn(async move { issue_at_last(&house, &slip).await });
    }
    let given: BTreeSet<i64> = calls.join_all().await.into_iter().collect();
    assert_eq!(given, (1..=all).collect::<BTreeSet<_>>());
    let accounted = series(&house, "fill").await;
    assert_eq!(
        (&accounted["last_no"], &accounted["used"], &accounted["missing_count"]),
        (&json!(all), &json!(all), &json!(0))
    );
}

/// Issues as a client does that is told to come back: a queue longer than the daemon's patience is a 503, and nothing was done.
async fn issue_at_last(house: &House, slip: &str) -> i64 {
    for _ in 0..20 {
        let issued = issue(house, slip).await;
        if issued.status != 503 {
            return issued.expect(200)["slip"]["slip_no"].as_i64().expect("a number");
        }
    }
    panic!("slip {slip} was never issued")
}

#[tokio::test]
async fn a_replayed_request_id_gives_the_first_answer_even_after_the_slip_moved_on() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let body = json!({ "kind": "fill", "request_id": "f-1", "chipset": { "500": 4 }, "note": "running low" });
    let path = format!("sessions/{session}/slips");
    let first = house.post("PB-01", &path, body.clone()).await;
    assert_eq!(first.expect(201)["status"], "REQUESTED");
    let slip = id(&first.body);
    issue(&house, &slip).await.expect(200);
    verify(&house, &slip, json!({})).await.expect(200);
    house
        .step_slip("PB-02", &slip, json!({ "to": "DEPOSITED_IN_DROPBOX" }))
        .await
        .expect(200);
    // Looked up before any state: a request in a session that is closing is otherwise refused.
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    let again = house.in_vain(house.post("PB-01", &path, body.clone())).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(
        (again.header("idempotent-replayed"), again.header("etag")),
        (Some("true"), first.header("etag"))
    );
    for (member, other) in [
        ("chipset", json!({ "500": 5 })),
        ("kind", json!("credit")),
        ("note", json!("another")),
        ("note", Value::Null),
    ] {
        let mut changed = body.clone();
        changed[member] = other;
        let reply = house.in_vain(house.post("PB-01", &path, changed)).await;
        assert_eq!(reply.refused(409, "conflict")["reason"], "request_id_reused", "{member}");
    }
    let elsewhere = house.open_table("BJ-02", "BJ-02-A", tray()).await;
    let reply = house
        .in_vain(house.post("PB-01", &format!("sessions/{elsewhere}/slips"), body))
        .await;
    assert_eq!(reply.refused(409, "conflict")["reason"], "request_id_reused");
}

#[tokio::test]
async fn the_same_request_id_in_another_casino_is_another_request() {
    let mut house = House::open().await;
    let ours = in_play(&house).await;
    house.request_slip(&ours, "fill", "f-1", json!({ "500": 4 })).await;
    std::mem::swap(&mut house.home, &mut house.other);
    let theirs = in_play(&house).await;
    house.request_slip(&theirs, "credit", "f-1", json!({ "100": 1 })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_sent_twenty_times_under_different_keys_is_one_slip() {
    let house = Arc::new(House::open().await);
    let session = in_play(&house).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (house, path) = (Arc::clone(&house), format!("sessions/{session}/slips"));
        let body = json!({ "kind": "fill", "request_id": "f-1", "chipset": { "500": 4 } });
        calls.spawn(async move { id(house.post("PB-01", &path, body).await.expect(201)) });
    }
    let ids: BTreeSet<String> = calls.join_all().await.into_iter().collect();
    assert_eq!((ids.len(), house.count("table_slip").await), (1, 1));
}

#[tokio::test]
async fn only_verified_slips_count_and_the_others_are_in_flight() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let figures = || async {
        let reply = house.get("PB-01", &format!("sessions/{session}")).await;
        let body = reply.expect(200);
        ["fills_total_cents", "credits_total_cents", "in_flight_slips"].map(|member| body[member].as_i64().expect("a number"))
    };
    let fill = house.request_slip(&session, "fill", "f-1", json!({ "500": 4 })).await;
    let credit = house.request_slip(&session, "credit", "c-1", json!({ "100": 7 })).await;
    assert_eq!(figures().await, [0, 0, 2]);
    issue(&house, &fill).await.expect(200);
    issue(&house, &credit).await.expect(200);
    assert_eq!(figures().await, [0, 0, 2]);
    verify(&house, &fill, json!({})).await.expect(200);
    assert_eq!(figures().await, [2000, 0, 2]);
    verify(&house, &credit, json!({})).await.expect(200);
    assert_eq!(figures().await, [2000, 700, 2]);
    house
        .step_slip("PB-02", &fill, json!({ "to": "DEPOSITED_IN_DROPBOX" }))
        .await
        .expect(200);
    assert_eq!(figures().await, [2000, 700, 1]);
    void(&house, "PB-02", &credit, "SC-01").await.expect(200);
    assert_eq!(figures().await, [2000, 0, 0]);
}

#[tokio::test]
async fn a_slip_takes_one_step_at_a_time() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "500": 4 })).await;
    let deposit = json!({ "to": "DEPOSITED_IN_DROPBOX" });
    let early = house.in_vain(house.step_slip("PB-02", &slip, deposit.clone())).await;
    assert_eq!(early.refused(409, "illegal_transition")["from"], "REQUESTED");
    house
        .in_vain(verify(&house, &slip, json!({})))
        .await
        .refused(409, "illegal_transition");
    // What was never issued cannot be void: it is cancelled.
    house
        .in_vain(void(&house, "CG-01", &slip, "SC-01"))
        .await
        .refused(409, "illegal_transition");
    issue(&house, &slip).await.expect(200);
    house.in_vain(issue(&house, &slip)).await.refused(409, "illegal_transition");
    house
        .in_vain(house.step_slip("PB-01", &slip, json!({ "to": "CANCELLED", "reason": "not needed" })))
        .await
        .refused(409, "illegal_transition");
    house
        .in_vain(house.step_slip("PB-02", &slip, deposit.clone()))
        .await
        .refused(409, "illegal_transition");
    verify(&house, &slip, json!({})).await.expect(200);
    house.step_slip("PB-02", &slip, deposit.clone()).await.expect(200);
    // In the box it stays as it is.
    house
        .in_vain(house.step_slip("PB-02", &slip, deposit))
        .await
        .refused(409, "illegal_transition");
    house
        .in_vain(void(&house, "PB-02", &slip, "SC-01"))
        .await
        .refused(409, "illegal_transition");
}

#[tokio::test]
async fn a_step_takes_its_own_fields_and_no_others() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "500": 4 })).await;
    for (by, body, pointers) in [
        ("CG-01", json!({ "to": "ISSUED" }), vec!["/runner_id"]),
        ("PB-02", json!({ "to": "VERIFIED_AT_TABLE" }), vec!["/dealer"]),
        ("CG-01", json!({ "to": "VOIDED" }), vec!["/reason", "/cosign"]),
        ("PB-01", json!({ "to": "CANCELLED" }), vec!["/reason"]),
        (
            "CG-01",
            json!({ "to": "ISSUED", "runner_id": house.staff("SC-03"), "chipset": { "500": 9 } }),
            vec!["/chipset"],
        ),
        ("PB-02", json!({ "to": "DEPOSITED_IN_DROPBOX", "reason": "x" }), vec!["/reason"]),
    ] {
        let reply = house.in_vain(house.step_slip(by, &slip, body)).await;
        reply.refused(422, "validation_failed");
        assert_eq!(reply.pointers(), pointers);
    }
    house
        .in_vain(house.step_slip("PB-01", &slip, json!({ "to": "CANCELLED", "reason": " " })))
        .await
        .refused(422, "validation_failed");
}

#[tokio::test]
async fn a_slip_moves_at_least_one_chip() {
    let house = House::open().await;
    let session = in_play(&house).await;
    for chipset in [json!({}), json!({ "500": 0 })] {
        let body = json!({ "kind": "fill", "request_id": "f-1", "chipset": chipset });
        let reply = house.in_vain(house.post("PB-01", &format!("sessions/{session}/slips"), body)).await;
        reply.refused(422, "validation_failed");
        assert_eq!(reply.pointers(), ["/chipset"]);
    }
}

#[tokio::test]
async fn another_count_at_the_table_is_what_counts_and_raises_an_exception() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "500": 4 })).await;
    issue(&house, &slip).await.expect(200);
    let moved = verify(&house, &slip, json!({ "chipset": { "500": 3 }, "note": "one short" })).await;
    let row = &moved.expect(200)["slip"];
    assert_eq!(
        (&row["amount_cents"], &row["chipset"]),
        (&json!(2000), &json!({ "500": 4 })),
        "the amount never changes"
    );
    assert_eq!(
        (&row["confirmed_amount_cents"], &row["confirmed_note"]),
        (&json!(1500), &json!("one short"))
    );
    assert_eq!(moved.body["session"]["fills_total_cents"], 1500);
    let raised = house.exceptions(&session).await;
    assert_eq!(raised.len(), 1);
    assert_eq!(
        (&raised[0]["category"], &raised[0]["subject_id"]),
        (&json!("SLIP_AMOUNT_MISMATCH"), &json!(slip))
    );
    assert_eq!(
        (&raised[0]["expected"], &raised[0]["found"], &raised[0]["variance_cents"]),
        (&json!(2000), &json!(1500), &json!(-500))
    );
}

#[tokio::test]
async fn a_void_keeps_its_number_and_names_its_second_signer() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "500": 4 })).await;
    issue(&house, &slip).await.expect(200);
    let voided = void(&house, "CG-01", &slip, "SC-01").await;
    let row = &voided.expect(200)["slip"];
    assert_eq!(
        (&row["status"], &row["slip_no"], &row["voided_from"]),
        (&json!("VOIDED"), &json!(1), &json!("ISSUED"))
    );
    assert_eq!(
        (&row["voided_by"], &row["void_cosigned_by"]),
        (&json!(house.staff("CG-01")), &json!(house.staff("SC-01")))
    );
    assert_eq!(
        house.categories(&session).await,
        Vec::<String>::new(),
        "a void from ISSUED is regular"
    );
    // The replacement takes the next number and names what it stands for.
    let body = json!({ "kind": "fill", "request_id": "f-2", "chipset": { "500": 4 }, "replaces_slip_id": slip });
    let second = house.post("PB-01", &format!("sessions/{session}/slips"), body).await;
    assert_eq!(second.expect(201)["replaces_slip_id"], slip.as_str());
    assert_eq!(issue(&house, &id(&second.body)).await.expect(200)["slip"]["slip_no"], 2);
    let accounted = series(&house, "fill").await;
    assert_eq!(
        (&accounted["used"], &accounted["void"], &accounted["missing"]),
        (&json!(1), &json!(1), &json!([]))
    );
}

#[tokio::test]
async fn only_a_voided_slip_of_its_kind_is_replaced() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let standing = house.request_slip(&session, "fill", "f-1", json!({ "500": 4 })).await;
    let replacing = |kind: &str, slip: &str| {
        let body = json!({ "kind": kind, "request_id": "f-2", "chipset": { "500": 4 }, "replaces_slip_id": slip });
        let path = format!("sessions/{session}/slips");
        let person = house.person("PB-01");
        async move { person.post(&below(&path), body).await }
    };
    let reply = house.in_vain(replacing("fill", &standing)).await;
    reply.refused(422, "validation_failed");
    assert_eq!(reply.pointers(), ["/replaces_slip_id"]);
    issue(&house, &standing).await.expect(200);
    void(&house, "CG-01", &standing, "SC-01").await.expect(200);
    house
        .in_vain(replacing("credit", &standing))
        .await
        .refused(422, "validation_failed");
    replacing("fill", &standing).await.expect(201);
}

#[tokio::test]
async fn a_void_is_witnessed_by_somebody_without_a_part_in_the_slip() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "500": 4 })).await;
    issue(&house, &slip).await.expect(200);
    // Requester and runner have a part.
    for party in ["PB-01", "SC-03"] {
        let reply = house.in_vain(void(&house, "CG-01", &slip, party)).await;
        let body = reply.refused(403, "segregation_violation");
        assert_eq!(
            (&body["rule"], &body["person"]),
            (&json!("void_witness_is_independent"), &json!(house.staff(party)))
        );
    }
    // One person is no two.
    let alone = house.in_vain(void(&house, "CG-01", &slip, "CG-01")).await;
    alone.refused(422, "validation_failed");
    assert_eq!(alone.pointers(), ["/cosign/staff_id"]);
    // A dealer or a counter is no witness.
    for outsider in ["DL-02", "CT-01"] {
        house
            .in_vain(void(&house, "CG-01", &slip, outsider))
            .await
            .refused(403, "forbidden");
    }
    void(&house, "CG-01", &slip, "CO-01").await.expect(200);
}

#[tokio::test]
async fn the_cage_voids_an_issued_slip_and_the_pit_a_verified_one() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "500": 4 })).await;
    issue(&house, &slip).await.expect(200);
    house.in_vain(void(&house, "PB-02", &slip, "SC-01")).await.refused(403, "forbidden");
    verify(&house, &slip, json!({})).await.expect(200);
    house.in_vain(void(&house, "CG-01", &slip, "SC-01")).await.refused(403, "forbidden");
    // The verifier may void, the witness may have no part.
    let reply = house.in_vain(void(&house, "PB-02", &slip, "PB-01")).await;
    assert_eq!(reply.refused(403, "segregation_violation")["rule"], "void_witness_is_independent");
    let voided = void(&house, "PB-02", &slip, "PB-03").await;
    assert_eq!(voided.expect(200)["slip"]["voided_from"], "VERIFIED_AT_TABLE");
    // A void after the verification says that no chips moved: somebody must explain it.
    assert_eq!(house.categories(&session).await, ["VOID_MISUSE"]);
    assert_eq!(voided.body["session"]["fills_total_cents"], 0);
}

#[tokio::test]
async fn a_request_is_cancelled_by_the_pit_and_takes_no_number() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "500": 4 })).await;
    let cancel = json!({ "to": "CANCELLED", "reason": "found in the tray" });
    house
        .in_vain(house.step_slip("CG-01", &slip, cancel.clone()))
        .await
        .refused(403, "forbidden");
    let done = house.step_slip("PB-02", &slip, cancel).await;
    assert_eq!(
        (&done.expect(200)["slip"]["status"], &done.body["slip"]["slip_no"]),
        (&json!("CANCELLED"), &Value::Null)
    );
    house.in_vain(issue(&house, &slip)).await.refused(409, "illegal_transition");
    assert_eq!(series(&house, "fill").await["last_no"], 0);
}

/// A credit, verified at the table.
async fn credit_at_the_cage(house: &House, session: &str) -> String {
    let slip = house.request_slip(session, "credit", "c-1", json!({ "500": 4 })).await;
    issue(house, &slip).await.expect(200);
    verify(house, &slip, json!({})).await.expect(200);
    slip
}

#[tokio::test]
async fn a_credit_is_received_by_the_cage_before_its_copy_is_deposited() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let slip = credit_at_the_cage(&house, &session).await;
    let deposit = json!({ "to": "DEPOSITED_IN_DROPBOX" });
    let early = house.in_vain(house.step_slip("PB-02", &slip, deposit.clone())).await;
    early.refused(409, "gates_unmet");
    assert_eq!(early.gates(), ["credit_received"]);
    let path = format!("slips/{slip}/cage-receipt");
    let received = house.post("CG-02", &path, json!({})).await;
    let row = received.expect(200);
    assert_eq!(
        (&row["cage_received_by"], &row["cage_amount_cents"]),
        (&json!(house.staff("CG-02")), &json!(2000))
    );
    assert_eq!(row["status"], "VERIFIED_AT_TABLE", "a fact, not a state");
    let again = house.in_vain(house.post("CG-02", &path, json!({ "chipset": { "500": 5 } }))).await;
    assert_eq!(again.refused(409, "conflict")["reason"], "already_received");
    house.step_slip("PB-02", &slip, deposit).await.expect(200);
    let events = house
        .texts("SELECT event FROM outbox WHERE event LIKE 'table.credit%' ORDER BY position")
        .await;
    assert_eq!(events, ["table.credit_requested", "table.credit_completed"]);
}

#[tokio::test]
async fn a_cage_that_counts_otherwise_raises_an_exception() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let slip = credit_at_the_cage(&house, &session).await;
    house
        .post("CG-01", &format!("slips/{slip}/cage-receipt"), json!({ "chipset": { "500": 3 } }))
        .await
        .expect(200);
    let raised = house.exceptions(&session).await;
    assert_eq!(raised.len(), 1);
    assert_eq!(
        (&raised[0]["category"], &raised[0]["variance_cents"]),
        (&json!("SLIP_AMOUNT_MISMATCH"), &json!(-500))
    );
    // Chips have moved: what remains is a reversing slip.
    let late = house.in_vain(void(&house, "PB-02", &slip, "SC-01")).await;
    assert_eq!(late.refused(409, "conflict")["reason"], "chips_moved");
}

#[tokio::test]
async fn the_cage_receives_credits_only_and_only_after_the_table() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let fill = house.request_slip(&session, "fill", "f-1", json!({ "500": 4 })).await;
    issue(&house, &fill).await.expect(200);
    verify(&house, &fill, json!({})).await.expect(200);
    house
        .in_vain(house.post("CG-01", &format!("slips/{fill}/cage-receipt"), json!({})))
        .await
        .refused(409, "conflict");
    let credit = house.request_slip(&session, "credit", "c-1", json!({ "500": 4 })).await;
    issue(&house, &credit).await.expect(200);
    let early = house
        .in_vain(house.post("CG-01", &format!("slips/{credit}/cage-receipt"), json!({})))
        .await;
    assert_eq!(early.refused(409, "conflict")["reason"], "wrong_state");
}

#[tokio::test]
async fn after_a_removal_the_copy_goes_into_the_box_that_stands_there_now() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "500": 4 })).await;
    issue(&house, &slip).await.expect(200);
    verify(&house, &slip, json!({})).await.expect(200);
    let removed = house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    assert_eq!(
        removed.expect(201)["session"]["status"],
        "DROP_SCHEDULED",
        "the paper must be in the box before the box goes"
    );
    let done = house.step_slip("PB-02", &slip, json!({ "to": "DEPOSITED_IN_DROPBOX" })).await;
    assert_eq!(done.expect(200)["slip"]["drop_box_id"], json!(house.drop_box("BJ-01-B")));
    assert_eq!(done.body["session"]["status"], "DROPPED");
}

#[tokio::test]
async fn slips_are_asked_for_only_while_the_table_plays() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    let ask = |number: u32| {
        let body = json!({ "kind": "fill", "request_id": format!("f-{number}"), "chipset": { "500": 1 } });
        (house.person("PB-01"), below(&format!("sessions/{session}/slips")), body)
    };
    let send = |number: u32| async move {
        let (person, path, body) = ask(number);
        person.post(&path, body).await
    };
    house.in_vain(send(1)).await.refused(409, "conflict");
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    house.in_vain(send(2)).await.refused(409, "conflict");
    house.count_tray(&session, "open", tray()).await;
    send(3).await.expect(201);
    house
        .advance("PB-01", &session, json!({ "to": "DROP_SCHEDULED" }))
        .await
        .expect(200);
    send(4).await.expect(201);
}

// Slips written by hand.

/// Sets five numbers of a kind aside: the range.
async fn pad(house: &House, kind: &str, count: i64) -> Value {
    house
        .post("AD-01", "slip-series/manual-ranges", json!({ "kind": kind, "count": count }))
        .await
        .expect(201)
        .clone()
}

fn by_hand(house: &House, request_id: &str, slip_no: i64) -> Value {
    json!({
        "kind": "fill", "request_id": request_id, "slip_no": slip_no, "chipset": { "500": 4 }, "issued_at": "2026-03-06T21:10:00Z",
        "requester": house.cosign("PB-01"), "runner_id": house.staff("SC-03"),
    })
}

#[tokio::test]
async fn numbers_set_aside_are_given_to_no_other_slip() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let issue_next = |request: &'static str| {
        let (house, session) = (&house, &session);
        async move {
            let slip = house.request_slip(session, "fill", request, json!({ "500": 1 })).await;
            issue(house, &slip).await.expect(200)["slip"]["slip_no"].as_i64().expect("a number")
        }
    };
    assert_eq!(issue_next("f-1").await, 1);
    let range = pad(&house, "fill", 5).await;
    assert_eq!(
        (&range["first_no"], &range["last_no"], &range["scope_key"]),
        (&json!(2), &json!(6), &json!("2026-03-06"))
    );
    assert_eq!(issue_next("f-2").await, 7);
    let second = pad(&house, "fill", 1).await;
    assert_eq!((&second["first_no"], &second["last_no"]), (&json!(8), &json!(8)));
    let credits = pad(&house, "credit", 3).await;
    assert_eq!((&credits["first_no"], &credits["last_no"]), (&json!(1), &json!(3)));
    for (count, by) in [(0, "AD-01"), (-1, "AD-01")] {
        house
            .in_vain(house.post(by, "slip-series/manual-ranges", json!({ "kind": "fill", "count": count })))
            .await
            .refused(422, "validation_failed");
    }
}

#[tokio::test]
async fn a_slip_written_by_hand_goes_on_like_any_other() {
    let house = House::open().await;
    let session = in_play(&house).await;
    pad(&house, "fill", 5).await;
    house.clock.advance(std::time::Duration::from_hours(1));
    let entered = house
        .post("CG-01", &format!("sessions/{session}/slips/offline"), by_hand(&house, "o-1", 3))
        .await;
    let row = entered.expect(201);
    assert_eq!(
        (&row["status"], &row["slip_no"], &row["captured_offline"]),
        (&json!("ISSUED"), &json!(3), &json!(true))
    );
    assert_eq!(
        (&row["issued_at"], &row["entered_at"]),
        (&json!("2026-03-06T21:10:00Z"), &json!("2026-03-06T22:00:00Z"))
    );
    assert_eq!(
        (&row["entered_by"], &row["requested_by"]),
        (&json!(house.staff("CG-01")), &json!(house.staff("PB-01")))
    );
    let slip = id(row);
    verify(&house, &slip, json!({})).await.expect(200);
    house
        .step_slip("PB-02", &slip, json!({ "to": "DEPOSITED_IN_DROPBOX" }))
        .await
        .expect(200);
    // Its replay is the first answer, too.
    let again = house
        .in_vain(house.post("CG-01", &format!("sessions/{session}/slips/offline"), by_hand(&house, "o-1", 3)))
        .await;
    assert_eq!(
        (again.status, &again.body, again.header("idempotent-replayed")),
        (201, &entered.body, Some("true"))
    );
    let accounted = series(&house, "fill").await;
    assert_eq!(
        (&accounted["last_no"], &accounted["used"], &accounted["missing"]),
        (&json!(5), &json!(1), &json!([]))
    );
    assert_eq!(accounted["manual"][0]["used"], 1);
}

#[tokio::test]
async fn a_replayed_hand_written_slip_with_another_number_is_a_conflict() {
    let house = House::open().await;
    let session = in_play(&house).await;
    pad(&house, "fill", 5).await;
    house.clock.advance(std::time::Duration::from_hours(1));
    let path = format!("sessions/{session}/slips/offline");
    house.post("CG-01", &path, by_hand(&house, "o-1", 3)).await.expect(201);
    let mut later = by_hand(&house, "o-1", 3);
    later["issued_at"] = json!("2026-03-06T21:20:00Z");
    let mut carried_by_another = by_hand(&house, "o-1", 3);
    carried_by_another["runner_id"] = json!(house.staff("SC-01"));
    for other in [by_hand(&house, "o-1", 4), later, carried_by_another] {
        let reply = house.in_vain(house.post("CG-01", &path, other)).await;
        assert_eq!(reply.refused(409, "conflict")["reason"], "request_id_reused");
    }
}

#[tokio::test]
async fn a_hand_written_number_comes_from_an_open_range_once() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let range = pad(&house, "fill", 2).await;
    house.clock.advance(std::time::Duration::from_hours(1));
    let path = format!("sessions/{session}/slips/offline");
    house.post("CG-01", &path, by_hand(&house, "o-1", 1)).await.expect(201);
    let twice = house.in_vain(house.post("CG-01", &path, by_hand(&house, "o-2", 1))).await;
    assert_eq!(twice.refused(409, "conflict")["reason"], "number_taken");
    for slip_no in [0, -1, 3, i64::MAX] {
        let outside = house.in_vain(house.post("CG-01", &path, by_hand(&house, "o-3", slip_no))).await;
        outside.refused(422, "validation_failed");
        assert_eq!(outside.pointers(), ["/slip_no"]);
    }
    let mut credit = by_hand(&house, "o-4", 2);
    credit["kind"] = json!("credit");
    house
        .in_vain(house.post("CG-01", &path, credit))
        .await
        .refused(422, "validation_failed");
    assert_eq!(series(&house, "fill").await["missing"], json!([]), "an open range has no gaps");
    house
        .post("AD-01", &format!("slip-series/manual-ranges/{}/close", id(&range)), json!({}))
        .await
        .expect(200);
    assert_eq!(series(&house, "fill").await["missing"], json!([2]));
    house
        .in_vain(house.post("CG-01", &path, by_hand(&house, "o-5", 2)))
        .await
        .refused(422, "validation_failed");
    let again = house
        .in_vain(house.post("AD-01", &format!("slip-series/manual-ranges/{}/close", id(&range)), json!({})))
        .await;
    assert_eq!(again.refused(409, "conflict")["reason"], "already_closed");
}

#[tokio::test]
async fn an_unused_number_of_a_closed_range_is_a_gap_on_the_next_slips_session() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let range = pad(&house, "fill", 1).await;
    house
        .post("AD-01", &format!("slip-series/manual-ranges/{}/close", id(&range)), json!({}))
        .await
        .expect(200);
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "500": 1 })).await;
    assert_eq!(issue(&house, &slip).await.expect(200)["slip"]["slip_no"], 2);
    let raised = house.exceptions(&session).await;
    let categories: Vec<String> = raised.iter().map(|row| text(row, "category")).collect();
    assert_eq!(categories, ["SLIP_NUMBER_GAP"]);
    assert_eq!(raised[0]["due_at"], "2026-03-08T21:00:00Z", "due in two days");
}

#[tokio::test]
async fn the_people_of_a_hand_written_slip_are_as_apart_as_any_others() {
    let house = House::open().await;
    let session = in_play(&house).await;
    pad(&house, "fill", 5).await;
    house.clock.advance(std::time::Duration::from_hours(1));
    let path = format!("sessions/{session}/slips/offline");
    let with = |member: &str, value: Value| {
        let mut body = by_hand(&house, "o-1", 1);
        body[member] = value;
        body
    };
    let cage_runner = house
        .in_vain(house.post("CG-01", &path, with("runner_id", json!(house.staff("CG-02")))))
        .await;
    assert_eq!(cage_runner.refused(403, "segregation_violation")["rule"], "runner_is_security");
    house
        .in_vain(house.post("CG-01", &path, with("requester", house.cosign("DL-01"))))
        .await
        .refused(403, "forbidden");
    let alone = house
        .in_vain(house.post("AD-01", &path, with("requester", house.cosign("AD-01"))))
        .await;
    assert_eq!(alone.refused(403, "segregation_violation")["rule"], "issuer_is_not_requester");
    let early = house
        .in_vain(house.post("CG-01", &path, with("issued_at", json!("2026-03-06T20:59:59Z"))))
        .await;
    early.refused(422, "validation_failed");
    assert_eq!(early.pointers(), ["/issued_at"]);
    let ahead = house
        .in_vain(house.post("CG-01", &path, with("issued_at", json!("2026-03-06T22:02:01Z"))))
        .await;
    assert_eq!(ahead.pointers(), ["/issued_at"]);
    let unsigned = house.in_vain(house.post("CG-01", &path, with("requester", Value::Null))).await;
    unsigned.refused(422, "validation_failed");
    assert_eq!(unsigned.pointers(), ["/requester"]);
    house
        .in_vain(house.post("PB-01", &path, by_hand(&house, "o-1", 1)))
        .await
        .refused(403, "forbidden");
}

#[tokio::test]
async fn slips_are_listed_by_what_they_are() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let other = house.open_table("BJ-02", "BJ-02-A", tray()).await;
    let fill = house.request_slip(&session, "fill", "f-1", json!({ "500": 1 })).await;
    let credit = house.request_slip(&session, "credit", "c-1", json!({ "500": 1 })).await;
    let elsewhere = house.request_slip(&other, "fill", "f-2", json!({ "500": 1 })).await;
    issue(&house, &credit).await.expect(200);
    let listed = |query: String| {
        let house = &house;
        async move {
            let reply = house.get("SC-01", &format!("slips?{query}")).await;
            reply.expect(200)["items"]
                .as_array()
                .expect("a list")
                .iter()
                .map(id)
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(listed(String::new()).await, [fill.as_str(), &credit, &elsewhere]);
    assert_eq!(listed(format!("session_id={session}")).await, [fill.as_str(), &credit]);
    assert_eq!(listed("kind=fill".to_owned()).await, [fill.as_str(), &elsewhere]);
    assert_eq!(listed("status=ISSUED".to_owned()).await, [credit.as_str()]);
    assert_eq!(listed("gaming_day=2026-03-06&kind=credit".to_owned()).await, [credit.as_str()]);
    assert_eq!(listed("gaming_day=2026-03-05".to_owned()).await, Vec::<String>::new());
    assert_eq!(listed(format!("session_id={}", new_id())).await, Vec::<String>::new());
}
