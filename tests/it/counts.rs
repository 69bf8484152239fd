//! Soft counts: what a box really held, how the papers compare, and a counting machine's file (domain §8).

use reqwest::Method;
use rundown::clock::new_id;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{House, Reply, below, id, text, tray};

const OPENER: i64 = 200_000;

async fn in_play(house: &House) -> String {
    house.open_table("BJ-01", "BJ-01-A", tray()).await
}

/// A session whose first box stands in the count room, removed as planned; the session and the removal.
async fn in_the_count_room(house: &House) -> (String, String) {
    let session = in_play(house).await;
    let drop = planned_drop(house, &session, "BJ-01").await;
    (session, drop)
}

async fn planned_drop(house: &House, session: &str, table: &str) -> String {
    house.advance("PB-01", session, json!({ "to": "DROP_SCHEDULED" })).await.expect(200);
    house
        .drop_and_bring(session, &format!("{table}-A"), Some(&format!("{table}-B")), "S1")
        .await
}

fn team(house: &House) -> Vec<Uuid> {
    ["CT-01", "CT-02", "CT-03"].map(|member| house.staff(member)).to_vec()
}

/// A count of this box: three figures, and what it holds in notes of 1.00.
fn count(house: &House, drop: &str, figures: (i64, i64, Option<i64>), total: i64) -> Value {
    json!({
        "drop_event_id": drop, "drop_total_cents": total, "count_1_cents": figures.0, "count_2_cents": figures.1, "agreed_cents": figures.2,
        "team": team(house),
        "evidence_manifest": { "currency": { "100": total / 100 }, "documents": [{ "kind": "opener", "amount_cents": OPENER }] },
    })
}

async fn submit(house: &House, body: Value) -> Reply {
    house.post("CT-01", "soft-counts", body).await
}

#[tokio::test]
async fn two_equal_counts_stand_at_once() {
    let house = House::open().await;
    let (session, drop) = in_the_count_room(&house).await;
    let counted = submit(&house, count(&house, &drop, (5000, 5000, None), 5000)).await;
    let body = counted.expect(201);
    assert_eq!(
        (&body["soft_count"]["standing"], &body["session"]["status"]),
        (&json!("accepted"), &json!("COUNTED"))
    );
    assert_eq!(
        (&body["session"]["drop_total_cents"], &body["exceptions"]),
        (&json!(5000), &json!([]))
    );
    assert_eq!(body["soft_count"]["counted_by"], json!(house.staff("CT-01")));
    assert_eq!(house.categories(&session).await, Vec::<String>::new());
}

#[tokio::test]
async fn counts_that_differ_are_kept_in_dispute_and_the_session_waits() {
    let house = House::open().await;
    let (session, drop) = in_the_count_room(&house).await;
    let disputed = submit(&house, count(&house, &drop, (5000, 5100, None), 5000)).await;
    let body = disputed.expect(201);
    assert_eq!(
        (&body["soft_count"]["standing"], &body["session"]["status"]),
        (&json!("disputed"), &json!("DROPPED"))
    );
    assert_eq!(body["session"]["drop_total_cents"], Value::Null);
    let raised = house.exceptions(&session).await;
    assert_eq!(raised.len(), 1);
    let row = &raised[0];
    assert_eq!(
        (&row["category"], &row["subject_id"], &row["variance_cents"]),
        (&json!("COUNT_VARIANCE"), &json!(drop), &json!(100))
    );
    // The recount names the count it stands for.
    let first = id(&body["soft_count"]);
    let unnamed = house.in_vain(submit(&house, count(&house, &drop, (5000, 5000, None), 5000))).await;
    assert_eq!(unnamed.refused(409, "conflict")["reason"], "already_counted");
    let mut recount = count(&house, &drop, (5100, 5100, None), 5100);
    recount["supersedes_id"] = json!(first);
    let settled = submit(&house, recount).await;
    assert_eq!(
        (
            &settled.expect(201)["session"]["status"],
            &settled.body["session"]["drop_total_cents"]
        ),
        (&json!("COUNTED"), &json!(5100))
    );
    // Nobody has explained the first one yet: it is seen no longer, and still open.
    let row = &house.exceptions(&session).await[0];
    assert_eq!((&row["status"], row["no_longer_observed_at"].is_string()), (&json!("OPEN"), true));
}

#[tokio::test]
async fn a_third_count_settles_two_that_differ_and_the_variance_stays() {
    let house = House::open().await;
    let (session, drop) = in_the_count_room(&house).await;
    let other = house
        .in_vain(submit(&house, count(&house, &drop, (5000, 5100, Some(5100)), 5000)))
        .await;
    other.refused(422, "validation_failed");
    assert_eq!(other.pointers(), ["/agreed_cents"]);
    let agreed = submit(&house, count(&house, &drop, (5000, 5100, Some(5100)), 5100)).await;
    assert_eq!(
        (&agreed.expect(201)["soft_count"]["standing"], &agreed.body["session"]["status"]),
        (&json!("accepted"), &json!("COUNTED"))
    );
    assert_eq!(house.categories(&session).await, ["COUNT_VARIANCE"]);
    assert_eq!(agreed.body["exceptions"][0]["category"], "COUNT_VARIANCE");
}

#[tokio::test]
async fn the_total_is_what_both_counts_say() {
    let house = House::open().await;
    let (_, drop) = in_the_count_room(&house).await;
    let other = house.in_vain(submit(&house, count(&house, &drop, (5000, 5000, None), 5100))).await;
    other.refused(422, "validation_failed");
    assert_eq!(other.pointers(), ["/drop_total_cents"]);
}

#[tokio::test]
async fn a_counted_box_is_never_disputed_again() {
    let house = House::open().await;
    let (session, drop) = in_the_count_room(&house).await;
    let first = id(&submit(&house, count(&house, &drop, (5000, 5000, None), 5000)).await.expect(201)["soft_count"]);
    let mut recount = count(&house, &drop, (5000, 5100, None), 5000);
    recount["supersedes_id"] = json!(first);
    let disputed = house.in_vain(submit(&house, recount)).await;
    disputed.refused(422, "validation_failed");
    assert_eq!(disputed.pointers(), ["/agreed_cents"]);
    assert_eq!(house.status(&session).await, "COUNTED");
}

#[tokio::test]
async fn a_recount_after_reconciliation_recomputes_the_report_and_the_state_stays() {
    let house = House::open().await;
    let session = house.reconciled("BJ-01", "BJ-01-A", "BJ-01-B", tray(), tray(), 5000).await;
    let rundown = format!("sessions/{session}/rundown");
    let before = house.get("CO-01", &rundown).await;
    assert_eq!(before.expect(200)["win_loss_stat_cents"], 5000);
    let drop = id(&house.get("CO-01", &format!("drops?session_id={session}")).await.expect(200)["items"][0]);
    let mut recount = count(&house, &drop, (6000, 6000, None), 6000);
    recount["supersedes_id"] = before.body["soft_count_ids"][0].clone();
    let recounted = submit(&house, recount).await;
    assert_eq!(recounted.expect(201)["session"]["status"], "RECONCILED");
    let after = house.get("CO-01", &rundown).await;
    assert_eq!(
        (&after.expect(200)["win_loss_stat_cents"], &after.body["drop_total_cents"]),
        (&json!(6000), &json!(6000))
    );
    assert_ne!(after.body["input_hash"], before.body["input_hash"]);
    house.advance("CO-01", &session, json!({ "to": "FINALIZED" })).await.expect(200);
}

#[tokio::test]
async fn markers_are_value_and_no_other_paper_is() {
    let house = House::open().await;
    let (session, drop) = in_the_count_room(&house).await;
    let mut body = count(&house, &drop, (5000, 5000, None), 5000);
    body["evidence_manifest"] = json!({
        "currency": { "100": 20 },
        "documents": [
            { "kind": "marker", "number": "M-7", "amount_cents": 3000 },
            { "kind": "opener", "amount_cents": OPENER },
            { "kind": "fill_request", "amount_cents": 900 },
            { "kind": "other", "amount_cents": 0, "note": "a chewing gum" },
        ],
    });
    let counted = submit(&house, body).await;
    assert_eq!(counted.expect(201)["session"]["drop_total_cents"], 5000);
    let outcomes: Vec<_> = counted.body["manifest"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| (text(item, "kind"), text(item, "match")))
        .collect();
    let known = |kind: &str, outcome: &str| outcomes.contains(&(kind.to_owned(), outcome.to_owned()));
    assert!(
        known("marker", "MATCHED") && known("fill_request", "MATCHED") && known("opener", "MATCHED"),
        "{outcomes:?}"
    );
    assert_eq!(
        house.categories(&session).await,
        Vec::<String>::new(),
        "only slips raise exceptions"
    );
}

#[tokio::test]
async fn the_papers_of_a_box_are_known_before_anyone_opens_it() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let fill = id(&house.slip(&session, "fill", "f-1", json!({ "500": 4 })).await);
    let credit = id(&house.slip(&session, "credit", "c-1", json!({ "500": 2 })).await);
    // A void is never expected.
    let voided = house.request_slip(&session, "fill", "f-2", json!({ "500": 1 })).await;
    house
        .step_slip("CG-01", &voided, json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") }))
        .await
        .expect(200);
    let void = json!({ "to": "VOIDED", "reason": "torn", "cosign": house.cosign("CO-01") });
    house.step_slip("CG-01", &voided, void).await.expect(200);
    let first = planned_drop(&house, &session, "BJ-01").await;
    let expected = |drop: &str| {
        let (house, path) = (&house, format!("drops/{drop}/manifest"));
        async move {
            house.get("CT-01", &path).await.expect(200)["items"]
                .as_array()
                .expect("items")
                .clone()
        }
    };
    let item = |kind: &str, number: Value, cents: i64, slip: Value| json!({ "kind": kind, "number": number, "amount_cents": cents, "slip_id": slip, "session_id": session, "match": null, "found_cents": null });
    assert_eq!(
        expected(&first).await,
        [
            item("fill_slip", json!("1"), 2000, json!(fill)),
            item("credit_slip", json!("1"), 1000, json!(credit)),
            item("opener", Value::Null, OPENER, Value::Null),
        ]
    );
    house.soft_count(&first, 0, json!([
        { "kind": "fill_slip", "number": "1", "amount_cents": 2000 }, { "kind": "credit_slip", "number": "1", "amount_cents": 1000 },
        { "kind": "opener", "amount_cents": OPENER },
    ])).await.expect(201);
    assert!(
        expected(&first)
            .await
            .iter()
            .all(|item| item["match"] == "MATCHED" && item["found_cents"] == item["amount_cents"])
    );
    // The second box has neither opener nor, unless it was verified before, closer.
    let second = house.drop_and_bring(&session, "BJ-01-B", Some("BJ-01-C"), "S2").await;
    assert_eq!(expected(&second).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_closer_is_expected_only_in_a_box_removed_after_it() {
    let house = House::open().await;
    let session = in_play(&house).await;
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    house.count_tray(&session, "close", json!({ "10000": 19 })).await;
    house.clock.advance(std::time::Duration::from_mins(1));
    let drop = house.drop_and_bring(&session, "BJ-01-A", None, "S1").await;
    let items = house.get("CT-01", &format!("drops/{drop}/manifest")).await;
    let kinds: Vec<_> = items.expect(200)["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| (text(item, "kind"), item["amount_cents"].as_i64()))
        .collect();
    assert_eq!(kinds, [("opener".to_owned(), Some(OPENER)), ("closer".to_owned(), Some(190_000))]);
}

#[tokio::test]
async fn every_difference_between_papers_and_slips_raises_its_own_exception() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let other = house.open_table("BJ-02", "BJ-02-A", tray()).await;
    let matched = id(&house.slip(&session, "fill", "f-1", json!({ "500": 4 })).await);
    let mistaken = id(&house.slip(&session, "fill", "f-2", json!({ "500": 4 })).await);
    let voided = house.request_slip(&session, "fill", "f-3", json!({ "500": 1 })).await;
    house
        .step_slip("CG-01", &voided, json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") }))
        .await
        .expect(200);
    house
        .step_slip(
            "CG-01",
            &voided,
            json!({ "to": "VOIDED", "reason": "torn", "cosign": house.cosign("CO-01") }),
        )
        .await
        .expect(200);
    let elsewhere = id(&house.slip(&other, "fill", "f-4", json!({ "500": 9 })).await);
    let missing = id(&house.slip(&session, "credit", "c-1", json!({ "500": 2 })).await);
    let drop = planned_drop(&house, &session, "BJ-01").await;
    let papers = json!([
        { "kind": "fill_slip", "number": "1", "amount_cents": 2000 },
        { "kind": "fill_slip", "number": "1", "amount_cents": 2000 },
        { "kind": "fill_slip", "number": "2", "amount_cents": 1900 },
        { "kind": "fill_slip", "number": "3", "amount_cents": 500 },
        { "kind": "fill_slip", "number": "4", "amount_cents": 4500 },
        { "kind": "fill_slip", "number": "99", "amount_cents": 700 },
    ]);
    let counted = house.soft_count(&drop, 0, papers).await;
    let outcome = |item: &Value| (text(item, "kind"), item["number"].as_str().map(str::to_owned), text(item, "match"));
    let mut outcomes: Vec<_> = counted.expect(201)["manifest"]
        .as_array()
        .expect("items")
        .iter()
        .map(outcome)
        .collect();
    outcomes.sort();
    let expected = [
        ("credit_slip", Some("1"), "MISSING"),
        ("fill_slip", Some("1"), "DUPLICATE"),
        ("fill_slip", Some("1"), "MATCHED"),
        ("fill_slip", Some("2"), "AMOUNT_MISMATCH"),
        ("fill_slip", Some("3"), "VOID_PRESENT"),
        ("fill_slip", Some("4"), "WRONG_TABLE"),
        ("fill_slip", Some("99"), "UNEXPECTED"),
        ("opener", None, "MISSING"),
    ];
    assert_eq!(
        outcomes,
        expected.map(|(kind, number, outcome)| (kind.to_owned(), number.map(str::to_owned), outcome.to_owned()))
    );
    let about = |rows: &[Value]| {
        let mut about: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    text(row, "category"),
                    text(row, "subject_kind"),
                    text(row, "subject_id"),
                    row["variance_cents"].as_i64(),
                )
            })
            .collect();
        about.sort();
        about
    };
    let finding = |category: &str, kind: &str, subject: &str, variance: i64| {
        (category.to_owned(), kind.to_owned(), subject.to_owned(), Some(variance))
    };
    assert_eq!(
        about(&house.exceptions(&session).await),
        [
            finding("DUPLICATE_SLIP_NO", "slip", &matched, 0),
            finding("MISSING_SLIP", "slip", &missing, -1000),
            finding("SLIP_AMOUNT_MISMATCH", "slip", &mistaken, -100),
            finding("UNEXPECTED_SLIP", "document", &format!("{drop}:fill_slip:99"), 700),
            finding("VOID_MISUSE", "slip", &voided, 0),
        ]
    );
    // What lay in the wrong box is told where the slip belongs.
    assert_eq!(
        about(&house.exceptions(&other).await),
        [finding("UNEXPECTED_SLIP", "slip", &elsewhere, 0)]
    );
    assert_eq!(counted.body["exceptions"].as_array().map(Vec::len), Some(6));
}

#[tokio::test]
async fn a_count_settles_every_session_with_a_slip_in_the_box() {
    let house = House::open().await;
    let first = in_play(&house).await;
    let slip = house.request_slip(&first, "fill", "f-1", json!({ "500": 4 })).await;
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
    let a = house.drop_and_bring(&first, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let rolled = house
        .post(
            "PB-01",
            &format!("sessions/{first}/rollover"),
            json!({ "chipset": { "10000": 20, "500": 4 }, "cosign": house.cosign("PB-02") }),
        )
        .await;
    assert_eq!(rolled.expect(201)["closed"]["status"], "CLOSED");
    let second = id(&rolled.body["opened"]);
    // The paper of the first goes into the box that stands there now: the second's.
    let deposited = house.step_slip("PB-02", &slip, json!({ "to": "DEPOSITED_IN_DROPBOX" })).await;
    assert_eq!(deposited.expect(200)["slip"]["drop_box_id"], json!(house.drop_box("BJ-01-B")));
    house
        .soft_count(&a, 5000, json!([{ "kind": "opener", "amount_cents": OPENER }]))
        .await
        .expect(201);
    assert_eq!(house.status(&first).await, "CLOSED", "its slip lies in a box not yet counted");
    let b = house.drop_and_bring(&second, "BJ-01-B", Some("BJ-01-C"), "S2").await;
    assert_eq!(house.status(&first).await, "CLOSED");
    let papers = json!([{ "kind": "fill_slip", "number": "1", "amount_cents": 2000 }, { "kind": "opener", "amount_cents": 202_000 }]);
    let counted = house.soft_count(&b, 700, papers).await;
    assert_eq!(
        (&counted.expect(201)["session"]["id"], &counted.body["session"]["status"]),
        (&json!(second), &json!("COUNTED"))
    );
    assert_eq!(house.status(&first).await, "RECONCILED");
    let rundown = house.get("CO-01", &format!("sessions/{first}/rundown")).await;
    // closing 202,000 + drop 5,000 - opening 200,000 - fills 2,000: the second's box is not the first's money.
    assert_eq!(
        (&rundown.expect(200)["drop_total_cents"], &rundown.body["win_loss_stat_cents"]),
        (&json!(5000), &json!(5000))
    );
    assert_eq!(house.categories(&second).await, ["DROP_OUT_OF_SCHEDULE"]);
}

#[tokio::test]
async fn the_daemon_is_no_member_of_a_count_team() {
    let house = House::open().await;
    let (_, drop) = in_the_count_room(&house).await;
    let mut body = count(&house, &drop, (5000, 5000, None), 5000);
    // Its principal can sign nothing (domain §3).
    body["team"] = json!([house.staff("CT-01"), house.staff("CT-02"), house.staff("SYSTEM")]);
    let reply = house.in_vain(submit(&house, body)).await;
    assert!(matches!(reply.status, 403 | 422), "{}", reply.text);
}

#[tokio::test]
async fn a_team_is_as_large_as_the_casino_wants() {
    let house = House::open().await;
    let (_, drop) = in_the_count_room(&house).await;
    house.settle_policy(json!({ "min_count_team": 4 })).await;
    let body = count(&house, &drop, (5000, 5000, None), 5000);
    let small = house.in_vain(submit(&house, body.clone())).await;
    assert_eq!(small.pointers(), ["/team"]);
    house.settle_policy(json!({ "min_count_team": 2 })).await;
    let mut two = body;
    two["team"] = json!([house.staff("CT-01"), house.staff("CT-02")]);
    submit(&house, two).await.expect(201);
}

// A counting machine's file.

const HEADER: &str = "drop_event_id,drop_total_cents,count_1_cents,count_2_cents,team,currency,documents";

async fn import(house: &House, file: impl Into<Vec<u8>>) -> Reply {
    let key = new_id().to_string();
    let headers = [("content-type", "text/csv"), ("idempotency-key", key.as_str())];
    house
        .person("CT-01")
        .raw(Method::POST, &below("soft-counts/import"), &headers, Some(file.into()))
        .await
}

/// Two sessions with a box each in the count room.
async fn two_boxes(house: &House) -> [(String, String); 2] {
    let first = in_the_count_room(house).await;
    let session = house.open_table("BJ-02", "BJ-02-A", tray()).await;
    let drop = planned_drop(house, &session, "BJ-02").await;
    [first, (session, drop)]
}

fn row(drop: &str, cents: i64) -> String {
    format!(
        "{drop},{cents},{cents},{cents},CT-01 CT-02 CT-03,100:{},opener::{OPENER}",
        cents / 100
    )
}

/// The flaws, as line and column.
fn flaws(reply: &Reply) -> Vec<(u64, String)> {
    reply.refused(422, "validation_failed");
    let errors = reply.body["errors"].as_array().expect("errors");
    assert!(
        errors
            .iter()
            .all(|flaw| flaw["message"].as_str().is_some_and(|message| !message.is_empty())),
        "{errors:?}"
    );
    errors
        .iter()
        .map(|flaw| (flaw["line"].as_u64().expect("a line"), text(flaw, "column")))
        .collect()
}

#[tokio::test]
async fn a_good_file_counts_every_box() {
    let house = House::open().await;
    let [(first, a), (second, b)] = two_boxes(&house).await;
    let reply = import(&house, format!("{HEADER}\n{}\n{}\n", row(&a, 5000), row(&b, 700))).await;
    assert_eq!(reply.expect(201)["accepted"], 2);
    let results = reply.body["results"].as_array().expect("results");
    let told: Vec<_> = results
        .iter()
        .map(|row| {
            (
                row["line"].as_u64(),
                text(&row["session"], "id"),
                row["session"]["drop_total_cents"].as_i64(),
            )
        })
        .collect();
    assert_eq!(told, [(Some(2), first.clone(), Some(5000)), (Some(3), second.clone(), Some(700))]);
    assert_eq!(
        (house.status(&first).await, house.status(&second).await),
        ("COUNTED".to_owned(), "COUNTED".to_owned())
    );
    assert_eq!(
        house.texts("SELECT count(*)::text FROM audit_log WHERE domain = 'count'").await,
        ["1"],
        "one command, one audit row"
    );
}

#[tokio::test]
async fn a_file_of_windows_with_a_byte_order_mark_is_read() {
    let house = House::open().await;
    let [(first, a), (_, b)] = two_boxes(&house).await;
    let file = format!("\u{feff}{HEADER}\r\n{}\r\n\r\n{}\r\n", row(&a, 5000), row(&b, 700));
    let reply = import(&house, file).await;
    assert_eq!(reply.expect(201)["accepted"], 2);
    assert_eq!(reply.body["results"][1]["line"], 4, "a blank line is a line");
    assert_eq!(house.status(&first).await, "COUNTED");
}

#[tokio::test]
async fn a_flaw_is_told_with_the_line_an_editor_shows() {
    let house = House::open().await;
    let (_, drop) = in_the_count_room(&house).await;
    let good = row(&drop, 5000);
    let bad = format!("{drop},x,700,700,CT-01 CT-02 CT-03,100:7,");
    for (file, line) in [
        (format!("{HEADER}\n{good}\n{bad}\n"), 3),
        (format!("{HEADER}\r\n{good}\r\n{bad}\r\n"), 3),
        (format!("{HEADER}\n\n\n{bad}\n{good}\n"), 4),
        (format!("{HEADER}\r\n\r\n\r\n{bad}\r\n{good}\r\n"), 4),
        (format!("\n{HEADER}\n{bad}"), 3),
    ] {
        let reply = house.in_vain(import(&house, file.clone())).await;
        assert_eq!(flaws(&reply), [(line, "drop_total_cents".to_owned())], "{file:?}");
    }
}

#[tokio::test]
async fn columns_may_stand_in_any_order_and_cells_in_quotes() {
    let house = House::open().await;
    let (session, drop) = in_the_count_room(&house).await;
    let file = format!(
        "currency,team,count_2_cents,count_1_cents,drop_total_cents,drop_event_id,batch_ref\n\"100:20 500:6\",\"CT-01  CT-02 CT-03\",5000,5000,5000,{drop},\"run 7, left\"\n"
    );
    let reply = import(&house, file).await;
    assert_eq!(reply.expect(201)["results"][0]["soft_count"]["batch_ref"], "run 7, left");
    assert_eq!(house.status(&session).await, "COUNTED");
}

#[tokio::test]
async fn one_bad_row_and_nothing_is_stored() {
    let house = House::open().await;
    let [(_, a), (_, b)] = two_boxes(&house).await;
    let cases = [
        (format!("{b},700,700,700,CT-01 CT-02,100:7,"), "team"),
        (format!("{b},700,700,700,CT-01 CT-02 CT-99,100:7,"), "team"),
        (format!("{b},700,700,700,CT-01 CT-02 SC-01,100:7,"), "team"),
        (format!("{b},700,700,700,CT-01 CT-02 CT-03,100:6,"), "drop_total_cents"),
        (format!("{b},700,700,700,CT-01 CT-02 CT-03,100:-7,"), "currency"),
        (format!("{b},-700,700,700,CT-01 CT-02 CT-03,100:7,"), "drop_total_cents"),
        (format!("{b},seven,700,700,CT-01 CT-02 CT-03,100:7,"), "drop_total_cents"),
        (format!("{b},700,7.5,700,CT-01 CT-02 CT-03,100:7,"), "count_1_cents"),
        (format!("{b},700,700,,CT-01 CT-02 CT-03,100:7,"), "count_2_cents"),
        (format!("{b},700,700,700,CT-01 CT-02 CT-03,100x7,"), "currency"),
        (format!("{b},700,700,700,CT-01 CT-02 CT-03,100:7,letter:1:5"), "documents"),
        (format!("{b},700,700,700,CT-01 CT-02 CT-03,100:7,fill_slip::5"), "documents"),
        (row(&new_id().to_string(), 700), "drop_event_id"),
        (row("BJ-02-A", 700), "drop_event_id"),
        // The same box twice.
        (row(&a, 5000), "drop_event_id"),
    ];
    for (bad, column) in cases {
        let reply = house.in_vain(import(&house, format!("{HEADER}\n{}\n{bad}\n", row(&a, 5000)))).await;
        assert_eq!(flaws(&reply), [(3, column.to_owned())], "{bad}: {}", reply.text);
    }
}

#[tokio::test]
async fn every_bad_row_is_told_at_once() {
    let house = House::open().await;
    let [(_, a), (_, b)] = two_boxes(&house).await;
    let file = format!(
        "{HEADER}\n{a},700,700,700,CT-01,100:6,\n{}\n{b},700,700,700,CT-01 CT-02,100:7,\n",
        row(&new_id().to_string(), 5)
    );
    let reply = house.in_vain(import(&house, file)).await;
    let told = flaws(&reply);
    for expected in [(2, "team"), (3, "drop_event_id"), (4, "team")] {
        assert!(told.contains(&(expected.0, expected.1.to_owned())), "{expected:?} in {told:?}");
    }
}

#[tokio::test]
async fn a_file_of_another_shape_is_refused_with_its_header() {
    let house = House::open().await;
    let (_, drop) = in_the_count_room(&house).await;
    let missing = house.in_vain(import(&house, "drop_event_id,team\n")).await;
    let columns: Vec<String> = flaws(&missing)
        .into_iter()
        .map(|(line, column)| {
            assert_eq!(line, 1);
            column
        })
        .collect();
    assert_eq!(columns, ["drop_total_cents", "count_1_cents", "count_2_cents", "currency"]);
    let unknown = house
        .in_vain(import(&house, format!("{HEADER},colour\n{},red\n", row(&drop, 100))))
        .await;
    assert_eq!(flaws(&unknown), [(1, "colour".to_owned())]);
    let short = house.in_vain(import(&house, format!("{HEADER}\n{drop},100\n"))).await;
    assert_eq!(flaws(&short).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2]);
    for nothing in [String::new(), format!("{HEADER}\n"), "\u{feff}".to_owned()] {
        house.in_vain(import(&house, nothing)).await.refused(422, "validation_failed");
    }
    let mut bytes = format!("{HEADER}\n").into_bytes();
    bytes.extend([0xff, 0xfe, b'\n']);
    assert_eq!(
        flaws(&house.in_vain(import(&house, bytes)).await)
            .iter()
            .map(|(line, _)| *line)
            .collect::<Vec<_>>(),
        [2]
    );
}

#[tokio::test]
async fn a_column_named_twice_is_refused() {
    let house = House::open().await;
    let (_, drop) = in_the_count_room(&house).await;
    // Which of the two totals was counted?
    let reply = house
        .in_vain(import(&house, format!("{HEADER},currency\n{},100:9\n", row(&drop, 100))))
        .await;
    assert_eq!(flaws(&reply), [(1, "currency".to_owned())]);
}

#[tokio::test]
async fn a_denomination_twice_in_a_cell_is_refused() {
    let house = House::open().await;
    let (_, drop) = in_the_count_room(&house).await;
    let file = format!("{HEADER}\n{drop},100,100,100,CT-01 CT-02 CT-03,100:1 100:1,\n");
    assert_eq!(flaws(&house.in_vain(import(&house, file)).await), [(2, "currency".to_owned())]);
}

#[tokio::test]
async fn the_same_file_under_the_same_key_is_a_replay() {
    let house = House::open().await;
    let (_, drop) = in_the_count_room(&house).await;
    let headers = [("content-type", "text/csv"), ("idempotency-key", "k-1")];
    let send = |cents: i64| {
        let file = format!("{HEADER}\n{}\n", row(&drop, cents));
        let person = house.person("CT-01");
        async move {
            person
                .raw(Method::POST, &below("soft-counts/import"), &headers, Some(file.into_bytes()))
                .await
        }
    };
    let first = send(5000).await;
    first.expect(201);
    let again = house.in_vain(send(5000)).await;
    assert_eq!(
        (again.status, &again.body, again.header("idempotent-replayed")),
        (201, &first.body, Some("true"))
    );
    house.in_vain(send(6000)).await.refused(422, "idempotency_conflict");
}

#[tokio::test]
async fn one_file_settles_both_boxes_of_one_session() {
    let house = House::open().await;
    let session = in_play(&house).await;
    let first = planned_drop(&house, &session, "BJ-01").await;
    let second = house.drop_and_bring(&session, "BJ-01-B", Some("BJ-01-C"), "S2").await;
    let file = format!("{HEADER}\n{}\n{second},700,700,700,CT-01 CT-02 CT-03,100:7,\n", row(&first, 5000));
    let reply = import(&house, file).await;
    assert_eq!(reply.expect(201)["accepted"], 2);
    let read = house.get("CO-01", &format!("sessions/{session}")).await;
    assert_eq!(
        (&read.expect(200)["status"], &read.body["drop_total_cents"]),
        (&json!("COUNTED"), &json!(5700))
    );
}
