//! What can be read: the story of a session, its figures before and after, its edges, the machines, the audit.

use std::time::Duration;

use reqwest::Method;
use rundown::clock::new_id;
use serde_json::{Value, json};

use crate::support::{House, id, text, tray};

fn pass(house: &House, minutes: u64) {
    house.clock.advance(Duration::from_secs(minutes * 60));
}

#[tokio::test]
async fn a_timeline_tells_the_whole_story_in_order() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    pass(&house, 1);
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    pass(&house, 1);
    house.count_tray(&session, "open", tray()).await;
    pass(&house, 1);
    house.slip(&session, "fill", "f-1", json!({ "500": 4 })).await;
    pass(&house, 1);
    let drop = id(&house.remove(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await.expect(201)["drop"]);
    pass(&house, 1);
    house.post("SC-01", &format!("drops/{drop}/delivery"), json!({})).await.expect(200);
    pass(&house, 1);
    house
        .post("CT-01", &format!("drops/{drop}/receipt"), json!({ "seal_no": "S1" }))
        .await
        .expect(200);
    pass(&house, 1);
    let papers = json!([{ "kind": "fill_slip", "number": "1", "amount_cents": 2000 }, { "kind": "opener", "amount_cents": 200_000 }]);
    house.soft_count(&drop, 0, papers).await.expect(201);
    pass(&house, 1);
    let exception = id(&house.exceptions(&session).await[0]);
    let resolution = json!({ "reason_code": "CUSTODY_EXPLAINED", "resolution_note": "the watch was wrong" });
    house
        .post("CO-01", &format!("exceptions/{exception}/resolve"), resolution)
        .await
        .expect(200);

    let timeline = house.get("CO-01", &format!("sessions/{session}/timeline")).await;
    let items = timeline.expect(200)["items"].as_array().expect("items");
    let at = |item: &Value| text(item, "at").parse::<chrono::DateTime<chrono::Utc>>().expect("an instant");
    assert!(items.windows(2).all(|pair| at(&pair[0]) <= at(&pair[1])), "in time order");
    let firsts: Vec<String> = items
        .iter()
        .map(|item| text(item, "kind"))
        .filter(|kind| kind != "signature" && kind != "transition")
        .collect();
    assert_eq!(
        firsts,
        [
            "snapshot",
            "slip",
            "drop",
            "exception",
            "delivery",
            "receipt",
            "soft_count",
            "resolution"
        ]
    );
    let edges: Vec<String> = items
        .iter()
        .filter(|item| item["kind"] == "transition")
        .map(|item| text(&item["what"], "to_status"))
        .collect();
    assert_eq!(edges, ["OPENING", "OPEN", "DROP_SCHEDULED", "DROPPED", "COUNTED"]);
    let signed: Vec<String> = items
        .iter()
        .filter(|item| item["kind"] == "signature")
        .map(|item| text(&item["what"], "act"))
        .collect();
    let expected = [
        "session.create",
        "session.begin_opening",
        "snapshot.count",
        "snapshot.verify",
        "slip.request",
        "slip.issue",
        "slip.carry",
        "slip.receive",
        "slip.verify",
        "slip.deposit",
        "drop.remove",
        "drop.witness",
        "drop.deliver",
        "drop.receive",
        "count.submit",
        "exception.resolve",
    ];
    assert_eq!(signed, expected);
    let methods = |act: &str| {
        let item = items.iter().find(|item| item["what"]["act"] == act).expect(act);
        (text(&item["what"], "method"), item["by"].clone())
    };
    assert_eq!(
        methods("slip.carry"),
        ("named".to_owned(), json!(house.staff("SC-03"))),
        "only a runner is merely named"
    );
    assert_eq!(methods("drop.witness"), ("pin".to_owned(), json!(house.staff("SC-02"))));
    assert_eq!(methods("count.submit"), ("bearer".to_owned(), json!(house.staff("CT-01"))));
}

#[tokio::test]
async fn a_preview_of_the_rundown_is_null_where_nothing_is_known() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    let read = || async { house.get("CO-01", &format!("sessions/{session}/rundown")).await.expect(200).clone() };
    let report = read().await;
    assert_eq!(
        (&report["preview"], &report["missing_inputs"]),
        (&json!(true), &json!(["opening", "closing", "drop"]))
    );
    let unknown = [
        "opening_total_cents",
        "closing_total_cents",
        "drop_total_cents",
        "inventory_result_cents",
        "win_loss_stat_cents",
        "hold_bp",
        "par_variance_cents",
    ];
    for member in unknown {
        assert!(report.get(member).is_some_and(Value::is_null), "{member}: {report}");
    }
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    house.count_tray(&session, "open", tray()).await;
    house.slip(&session, "fill", "f-1", json!({ "500": 4 })).await;
    let report = read().await;
    assert_eq!(
        (
            &report["opening_total_cents"],
            &report["fills_total_cents"],
            &report["credits_total_cents"]
        ),
        (&json!(200_000), &json!(2000), &json!(0))
    );
    assert_eq!(
        (&report["win_loss_stat_cents"], &report["missing_inputs"]),
        (&Value::Null, &json!(["closing", "drop"]))
    );
    assert_eq!(
        (&report["count_status"], &report["metric_grade"], &report["opening_source"]),
        (&json!("pending"), &json!("ESTIMATE"), &json!("snapshot:verified_open"))
    );
    assert_eq!(house.count("table_rundown_report").await, 0, "a preview is not stored");
}

#[tokio::test]
async fn a_drop_of_nothing_has_a_win_and_no_hold() {
    let house = House::open().await;
    let session = house
        .reconciled("BJ-01", "BJ-01-A", "BJ-01-B", tray(), json!({ "10000": 19 }), 0)
        .await;
    let rundown = house.get("CO-01", &format!("sessions/{session}/rundown")).await;
    let report = rundown.expect(200);
    assert_eq!(
        (&report["preview"], &report["drop_total_cents"], &report["win_loss_stat_cents"]),
        (&json!(false), &json!(0), &json!(-10_000))
    );
    assert_eq!(
        (&report["hold_bp"], &report["missing_inputs"], &report["metric_grade"]),
        (&Value::Null, &json!([]), &json!("AUTHORITATIVE"))
    );
}

#[tokio::test]
async fn a_report_names_the_rows_it_is_made_of() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let fill = id(&house.slip(&session, "fill", "f-1", json!({ "500": 4 })).await);
    let credit = id(&house.slip(&session, "credit", "c-1", json!({ "100": 5 })).await);
    house
        .advance("PB-01", &session, json!({ "to": "DROP_SCHEDULED" }))
        .await
        .expect(200);
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let papers = json!([
        { "kind": "fill_slip", "number": "1", "amount_cents": 2000 }, { "kind": "credit_slip", "number": "1", "amount_cents": 500 },
        { "kind": "opener", "amount_cents": 200_000 },
    ]);
    let count = id(&house.soft_count(&drop, 10_000, papers).await.expect(201)["soft_count"]);
    house.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
    let closer = house.count_tray(&session, "close", tray()).await;
    let rundown = house.get("PB-01", &format!("sessions/{session}/rundown")).await;
    let report = rundown.expect(200);
    assert_eq!(
        (&report["fill_ids"], &report["credit_ids"], &report["soft_count_ids"]),
        (&json!([fill]), &json!([credit]), &json!([count]))
    );
    assert_eq!(report["closing_snapshot_id"], closer["snapshot"]["id"]);
    // 200,000 + 500 + 10,000 - 200,000 - 2,000 = 8,500; of 10,000 that is 85 %.
    assert_eq!(
        (
            &report["inventory_result_cents"],
            &report["win_loss_stat_cents"],
            &report["hold_bp"]
        ),
        (&json!(-1500), &json!(8500), &json!(8500))
    );
}

#[tokio::test]
async fn every_edge_out_of_a_state_is_shown_with_its_gates_before_anyone_tries() {
    let house = House::open().await;
    let session = id(house
        .post("PB-01", "sessions", json!({ "table_id": house.table("BJ-01") }))
        .await
        .expect(201));
    let edges = || async {
        house
            .get("SC-01", &format!("sessions/{session}/transitions"))
            .await
            .expect(200)
            .as_array()
            .expect("edges")
            .clone()
    };
    let shown: Vec<_> = edges()
        .await
        .iter()
        .map(|edge| (text(edge, "to"), text(edge, "trigger"), edge["satisfied"].as_bool()))
        .collect();
    assert_eq!(
        shown,
        [
            ("OPENING".to_owned(), "command".to_owned(), Some(false)),
            ("CLOSED".to_owned(), "command".to_owned(), Some(true))
        ]
    );
    let opening = &edges().await[0];
    assert_eq!(opening["roles"], json!(["pit_boss", "admin"]));
    let gates: Vec<_> = opening["gates"]
        .as_array()
        .expect("gates")
        .iter()
        .map(|gate| (text(gate, "code"), gate["satisfied"].as_bool()))
        .collect();
    let gate = |code: &str, open: bool| (code.to_owned(), Some(open));
    assert_eq!(
        gates,
        [
            gate("table_active", true),
            gate("drop_box_attached", false),
            gate("slip_forms_available", true),
            gate("predecessor_closed", true)
        ]
    );
    let patch = json!({ "drop_box_id": house.drop_box("BJ-01-A") });
    let patched = house
        .person("PB-01")
        .patch(&crate::support::below(&format!("sessions/{session}")), patch)
        .await;
    assert_eq!(patched.expect(200)["available_transitions"][0]["satisfied"], true);
    assert_eq!(edges().await[0]["satisfied"], true);
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    let auto = &edges().await[0];
    assert_eq!(
        (&auto["to"], &auto["trigger"], &auto["roles"]),
        (&json!("OPEN"), &json!("auto"), &json!([]))
    );
}

#[tokio::test]
async fn a_session_is_prepared_only_before_its_opening() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    let patch = |label: &str| {
        let body = json!({ "drop_box_id": house.drop_box(label) });
        let person = house.person("PB-01");
        let path = crate::support::below(&format!("sessions/{session}"));
        async move { person.patch(&path, body).await }
    };
    assert_eq!(
        house.in_vain(patch("BJ-02-A")).await.refused(409, "conflict")["reason"],
        "box_elsewhere"
    );
    assert_eq!(patch("BJ-01-B").await.expect(200)["drop_box_id"], json!(house.drop_box("BJ-01-B")));
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    assert_eq!(
        house.in_vain(patch("BJ-01-A")).await.refused(409, "conflict")["reason"],
        "wrong_state"
    );
}

#[tokio::test]
async fn sessions_are_listed_by_what_they_are() {
    let house = House::open().await;
    let done = house.reconciled("BJ-01", "BJ-01-A", "BJ-01-B", tray(), tray(), 0).await;
    let playing = house.open_table("BJ-02", "BJ-02-A", tray()).await;
    pass(&house, 15 * 60);
    let tomorrow = house.create("BJ-03", "BJ-03-A").await;
    let listed = |query: String| {
        let house = &house;
        async move {
            let reply = house.get("SC-01", &format!("sessions?{query}")).await;
            reply.expect(200)["items"]
                .as_array()
                .expect("a list")
                .iter()
                .map(id)
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(listed(String::new()).await, [done.as_str(), &playing, &tomorrow]);
    assert_eq!(listed("live=true".to_owned()).await, [playing.as_str(), &tomorrow]);
    assert_eq!(listed("live=false".to_owned()).await, [done.as_str()]);
    assert_eq!(listed("status=OPEN".to_owned()).await, [playing.as_str()]);
    assert_eq!(listed("status=RECONCILED".to_owned()).await, [done.as_str()]);
    assert_eq!(listed("gaming_day=2026-03-06".to_owned()).await, [done.as_str(), &playing]);
    assert_eq!(listed("gaming_day=2026-03-07&live=true".to_owned()).await, [tomorrow.as_str()]);
    assert_eq!(listed(format!("table_id={}", house.table("BJ-02"))).await, [playing.as_str()]);
    assert_eq!(listed(format!("shift_id={}", new_id())).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_machines_are_read_as_data_and_as_drawings() {
    let house = House::open().await;
    let reader = house.person("SC-01");
    let names = reader.get("/api/v1/workflows").await;
    assert_eq!(
        names.expect(200),
        &json!(["session", "slip", "drop_box", "exception", "visit", "rating_slip"])
    );
    for name in names.body.as_array().expect("names") {
        let path = format!("/api/v1/workflows/{}", name.as_str().expect("a name"));
        let data = reader.get(&path).await;
        assert!(
            data.expect(200)["states"].as_array().is_some_and(|states| states.len() >= 3),
            "{path}"
        );
        let edges = data.body["edges"].as_array().expect("edges");
        assert!(
            edges.iter().all(|edge| edge.get("trigger").is_some() && edge["gates"].is_array()),
            "{path}"
        );
        let mermaid = reader.get(&format!("{path}?format=mermaid")).await;
        assert!(
            mermaid.status == 200 && mermaid.text.contains("stateDiagram-v2"),
            "{}",
            mermaid.text
        );
        let dot = reader.get(&format!("{path}?format=dot")).await;
        assert!(dot.status == 200 && dot.text.starts_with("digraph"), "{}", dot.text);
    }
    let session = reader.get("/api/v1/workflows/session?format=json").await;
    assert_eq!(session.expect(200)["states"].as_array().map(Vec::len), Some(10));
    reader.get("/api/v1/workflows/shift").await.refused(404, "not_found");
    reader
        .get("/api/v1/workflows/session?format=png")
        .await
        .refused(400, "malformed_request");
}

#[tokio::test]
async fn the_audit_is_found_by_session_actor_domain_and_time() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    pass(&house, 60);
    house.request_slip(&session, "fill", "f-1", json!({ "500": 1 })).await;
    house.open_table("BJ-02", "BJ-02-A", tray()).await;
    let audit = |query: String| {
        let house = &house;
        async move {
            let reply = house.person("CO-01").get(&format!("/api/v1/audit?{query}")).await;
            let items = reply.expect(200)["items"].as_array().expect("a list").clone();
            items
                .iter()
                .map(|row| format!("{}.{}", text(row, "domain"), text(row, "action")))
                .collect::<Vec<_>>()
        }
    };
    let story = ["session.create", "session.begin_opening", "snapshot.count", "slip.request"];
    assert_eq!(audit(format!("session_id={session}")).await, story);
    assert_eq!(audit(format!("session_id={session}&domain=slip")).await, ["slip.request"]);
    assert_eq!(audit(format!("actor_id={}", house.staff("PB-01"))).await.len(), 7);
    assert_eq!(audit(format!("actor_id={}", house.staff("PB-02"))).await, Vec::<String>::new());
    // From is of it, to is not.
    assert_eq!(audit("to=2026-03-06T22:00:00Z".to_owned()).await.len(), 3);
    assert_eq!(audit("from=2026-03-06T22:00:00Z".to_owned()).await.len(), 4);
}

#[tokio::test]
async fn an_audit_row_keeps_what_was_and_what_is() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    let audit = house.person("CO-01").get(&format!("/api/v1/audit?session_id={session}")).await;
    let row = &audit.expect(200)["items"][1];
    let (before, after) = (
        &row["dto_before"]["table_inventory_session"][0],
        &row["dto_after"]["table_inventory_session"][0],
    );
    assert_eq!((&before["status"], &after["status"]), (&json!("READY_TO_OPEN"), &json!("OPENING")));
    assert_eq!((&before["version"], &after["version"]), (&json!(1), &json!(2)));
    assert!(before.get("table_id").is_none(), "only what differs");
}

#[tokio::test]
async fn a_caller_learns_who_they_are() {
    let house = House::open().await;
    let me = house.person("SC-01").get("/api/v1/me").await;
    let body = me.expect(200);
    assert_eq!(
        (&body["staff"]["employee_no"], &body["staff"]["role"]),
        (&json!("SC-01"), &json!("security"))
    );
    assert_eq!(
        (&body["casino"]["timezone"], &body["gaming_day"]),
        (&json!("America/Chicago"), &json!("2026-03-06"))
    );
    let may: Vec<&str> = body["may"].as_array().expect("acts").iter().filter_map(Value::as_str).collect();
    assert!(may.contains(&"drop.remove") && !may.contains(&"slip.request"), "{may:?}");
    assert!(!me.text.contains("external_subject") && !me.text.contains("pin_hash"));
}

#[tokio::test]
async fn a_large_answer_is_compressed_for_whoever_asks() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let path = crate::support::below(&format!("sessions/{session}/timeline"));
    let reply = house
        .person("PB-01")
        .send(Method::GET, &path, &[("accept-encoding", "gzip")], None)
        .await;
    assert_eq!((reply.status, reply.header("content-encoding")), (200, Some("gzip")));
}
