//! The write path under pressure: the same command many times, many commands at once, a database that goes away in the middle.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use reqwest::Method;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::schema::ask;
use crate::support::{Cut, House, Person, Reply, Wire, below, id, text, tray};

/// How many ask at once: twice what the pool has connections for.
const CROWD: usize = 20;

/// Posts all of these at the same time: who, where, under which key, what.
async fn at_once(calls: impl IntoIterator<Item = Call>) -> Vec<Reply> {
    let asked: JoinSet<Reply> = calls.into_iter().map(Call::make).collect();
    asked.join_all().await
}

struct Call {
    by: Person,
    path: String,
    key: String,
    content_type: &'static str,
    body: String,
}

impl Call {
    fn new(house: &House, by: &str, path: impl AsRef<str>, body: &Value) -> Self {
        let key = Uuid::now_v7().to_string();
        Self {
            by: house.person(by),
            path: below(path.as_ref()),
            key,
            content_type: "application/json",
            body: body.to_string(),
        }
    }

    fn keyed(self, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..self
        }
    }

    async fn make(self) -> Reply {
        let headers = [("idempotency-key", self.key.as_str()), ("content-type", self.content_type)];
        self.by.raw(Method::POST, &self.path, &headers, Some(self.body.into_bytes())).await
    }
}

/// How often each outcome was met: the status, and what a refusal calls itself.
fn outcomes(replies: &[Reply]) -> BTreeMap<(u16, String), usize> {
    let mut outcomes = BTreeMap::new();
    for reply in replies {
        let word = ["reason", "code"]
            .into_iter()
            .find_map(|member| reply.body[member].as_str())
            .unwrap_or_default();
        let word = if reply.status < 300 { "" } else { word };
        *outcomes.entry((reply.status, word.to_owned())).or_default() += 1;
    }
    outcomes
}

/// One success, and this refusal for everybody else.
#[track_caller]
fn one_wins(replies: &[Reply], success: u16, refusal: (u16, &str)) {
    let expected = BTreeMap::from([
        ((success, String::new()), 1),
        ((refusal.0, refusal.1.to_owned()), replies.len() - 1),
    ]);
    assert_eq!(
        outcomes(replies),
        expected,
        "{:#?}",
        replies.iter().map(|reply| &reply.text).collect::<BTreeSet<_>>()
    );
}

/// The same command under the same key, all at once: one effect, one audit row, and everybody gets the one answer.
async fn one_effect(house: &House, by: &str, path: &str, body: &Value, status: u16) -> Value {
    let audited = house.count("audit_log").await;
    let replies = at_once((0..CROWD).map(|_| Call::new(house, by, path, body).keyed("the-one-key"))).await;
    for reply in &replies {
        assert_eq!(reply.expect(status), &replies[0].body, "{path}");
        assert_eq!(reply.header("etag"), replies[0].header("etag"), "{path}");
    }
    let replayed = replies
        .iter()
        .filter(|reply| reply.header("idempotent-replayed") == Some("true"))
        .count();
    assert_eq!(replayed, CROWD - 1, "{path}");
    assert_eq!(house.count("audit_log").await, audited + 1, "{path}");
    // The answer is kept: the same once more changes nothing at all, its audit least of all.
    let again = house.in_vain(Call::new(house, by, path, body).keyed("the-one-key").make()).await;
    assert_eq!(
        (again.expect(status), again.header("idempotent-replayed")),
        (&replies[0].body, Some("true")),
        "{path}"
    );
    house
        .cluster
        .owner()
        .await
        .execute_unprepared("DELETE FROM idempotency_key WHERE key = 'the-one-key'")
        .await
        .expect("forgotten");
    replies[0].body.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_identical_commands_have_one_effect_and_equal_answers() {
    let house = House::open().await;
    let created = one_effect(
        &house,
        "PB-01",
        "sessions",
        &json!({ "table_id": house.table("BJ-01"), "drop_box_id": house.drop_box("BJ-01-A") }),
        201,
    )
    .await;
    assert_eq!((house.count("table_inventory_session").await, house.count("outbox").await), (1, 1));
    let session = id(&created);
    let moves = format!("sessions/{session}/transitions");
    let moved = one_effect(&house, "PB-01", &moves, &json!({ "to": "OPENING" }), 200).await;
    assert_eq!(
        (&moved["session"]["status"], &moved["session"]["version"]),
        (&json!("OPENING"), &json!(2))
    );

    let opener = json!({ "kind": "open", "chipset": tray(), "cosign": house.cosign("DL-01") });
    one_effect(&house, "PB-01", &format!("sessions/{session}/snapshots"), &opener, 201).await;
    assert_eq!(
        (house.count("table_inventory_snapshot").await, house.status(&session).await.as_str()),
        (1, "OPEN")
    );

    let request = json!({ "kind": "fill", "request_id": "f-1", "chipset": { "10000": 1 } });
    let slip = id(&one_effect(&house, "PB-01", &format!("sessions/{session}/slips"), &request, 201).await);
    let issue = json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") });
    let issued = one_effect(&house, "CG-01", &format!("slips/{slip}/transitions"), &issue, 200).await;
    assert_eq!(issued["slip"]["slip_no"], 1);
    assert_eq!(
        house.texts("SELECT last_no::text FROM slip_counter").await,
        ["1"],
        "a replay takes no number"
    );

    let removal = json!({
        "drop_box_id": house.drop_box("BJ-01-A"), "replacement_box_id": house.drop_box("BJ-01-B"), "seal_no": "S1", "witnessed_by": house.cosign("SC-02"),
    });
    let drop = id(&one_effect(&house, "SC-01", &format!("sessions/{session}/drops"), &removal, 201).await["drop"]);
    one_effect(&house, "SC-01", &format!("drops/{drop}/delivery"), &json!({}), 200).await;
    one_effect(&house, "CT-01", &format!("drops/{drop}/receipt"), &json!({ "seal_no": "S1" }), 200).await;
    one_effect(&house, "CT-01", "soft-counts", &count_of(&house, &drop, 5000), 201).await;
    one_effect(
        &house,
        "PB-01",
        &format!("sessions/{session}/exceptions"),
        &json!({ "category": "MANUAL", "detail": "seen" }),
        201,
    )
    .await;
    assert_eq!(
        (house.count("table_drop_event").await, house.count("soft_count_table_result").await),
        (1, 1)
    );
}

fn count_of(house: &House, drop: &str, total_cents: i64) -> Value {
    let team = ["CT-01", "CT-02", "CT-03"].map(|member| house.staff(member));
    json!({
        "drop_event_id": drop, "drop_total_cents": total_cents, "count_1_cents": total_cents, "count_2_cents": total_cents, "team": team,
        "evidence_manifest": { "currency": { "100": total_cents / 100 }, "documents": [] },
    })
}

/// A `request_id` is a key of its own, for ever: whatever the header says, one slip.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_requests_of_one_slip_under_twenty_keys_are_one_slip() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let audited = house.count("audit_log").await;
    let request = json!({ "kind": "credit", "request_id": "c-1", "chipset": { "10000": 1 } });
    let replies = at_once((0..CROWD).map(|_| Call::new(&house, "PB-01", format!("sessions/{session}/slips"), &request))).await;
    assert!(replies.iter().all(|reply| reply.expect(201) == &replies[0].body));
    assert_eq!(
        replies
            .iter()
            .filter(|reply| reply.header("idempotent-replayed") == Some("true"))
            .count(),
        CROWD - 1
    );
    assert_eq!((house.count("table_slip").await, house.count("audit_log").await), (1, audited + 1));
    let other = json!({ "kind": "credit", "request_id": "c-1", "chipset": { "10000": 2 } });
    let reply = house
        .in_vain(house.post("PB-01", &format!("sessions/{session}/slips"), other))
        .await;
    assert_eq!(reply.refused(409, "conflict")["reason"], "request_id_reused");
}

/// Different keys are different commands: the second is judged on what the first has left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_openings_one_succeeds_and_the_others_find_it_done() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    let replies = at_once((0..CROWD).map(|_| {
        Call::new(
            &house,
            "PB-01",
            format!("sessions/{session}/transitions"),
            &json!({ "to": "OPENING" }),
        )
    }))
    .await;
    one_wins(&replies, 200, (409, "illegal_transition"));
    for refused in replies.iter().filter(|reply| reply.status == 409) {
        assert_eq!(
            (&refused.body["from"], &refused.body["to"], &refused.body["allowed"]),
            (&json!("OPENING"), &json!("OPENING"), &json!(["CLOSED"]))
        );
    }
    assert_eq!(house.texts("SELECT verb FROM session_transition").await, ["begin_opening"]);
    assert_eq!(house.count("audit_log").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_sessions_on_one_table_one_is_created() {
    let house = House::open().await;
    let new = json!({ "table_id": house.table("BJ-01"), "drop_box_id": house.drop_box("BJ-01-A") });
    let replies = at_once((0..CROWD).map(|_| Call::new(&house, "PB-01", "sessions", &new))).await;
    one_wins(&replies, 201, (409, "live_session_exists"));
    assert_eq!(house.count("table_inventory_session").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_box_is_removed_once_however_many_hands_reach_for_it() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let removal = json!({
        "drop_box_id": house.drop_box("BJ-01-A"), "replacement_box_id": house.drop_box("BJ-01-B"), "seal_no": "S1", "witnessed_by": house.cosign("SC-02"),
    });
    let replies = at_once((0..CROWD).map(|_| Call::new(&house, "SC-01", format!("sessions/{session}/drops"), &removal))).await;
    one_wins(&replies, 201, (409, "box_elsewhere"));
    assert_eq!(house.count("table_drop_event").await, 1);
}

/// Each table's session has its own lock: here the schema has the last word, not the lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_emergency_box_goes_to_one_of_three_tables() {
    let house = House::open().await;
    let mut sessions = Vec::new();
    for table in ["BJ-01", "BJ-02", "BJ-03"] {
        sessions.push(house.open_table(table, &format!("{table}-A"), tray()).await);
    }
    let as_replacement = |table: usize| {
        let own = house.drop_box(&format!("BJ-0{}-A", table + 1));
        let body = json!({ "drop_box_id": own, "replacement_box_id": house.drop_box("EM-1"), "seal_no": "S1", "witnessed_by": house.cosign("SC-02") });
        Call::new(&house, "SC-01", format!("sessions/{}/drops", sessions[table]), &body)
    };
    one_wins(&at_once((0..3).map(as_replacement)).await, 201, (409, "box_elsewhere"));
    let by_itself = |session: &String| {
        let body =
            json!({ "drop_box_id": house.drop_box("EM-2"), "seal_no": "S2", "witnessed_by": house.cosign("SC-02"), "emergency": true });
        Call::new(&house, "SC-01", format!("sessions/{session}/drops"), &body)
    };
    one_wins(&at_once(sessions.iter().map(by_itself)).await, 201, (409, "box_elsewhere"));
    let places = "SELECT b.label FROM drop_box AS b WHERE b.casino_id = (SELECT casino_id FROM table_drop_event LIMIT 1) AND b.label LIKE 'EM%' AND b.on_table_id IS NOT NULL";
    assert_eq!(house.texts(places).await, ["EM-1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_box_is_counted_once_unless_a_recount_says_so() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let drop = house.drop_and_bring(&session, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let replies = at_once((0..CROWD).map(|_| Call::new(&house, "CT-01", "soft-counts", &count_of(&house, &drop, 5000)))).await;
    one_wins(&replies, 201, (409, "already_counted"));
    let first = replies.iter().find(|reply| reply.status == 201).expect("the one").body["soft_count"].clone();
    let mut recount = count_of(&house, &drop, 6000);
    recount["supersedes_id"] = first["id"].clone();
    let replies = at_once((0..CROWD).map(|_| Call::new(&house, "CT-01", "soft-counts", &recount))).await;
    one_wins(&replies, 201, (422, "validation_failed"));
    assert_eq!(house.count("soft_count_table_result").await, 2);
    // A box counted is in use again once, not once for every count.
    assert_eq!(
        house
            .texts("SELECT b.use_no::text FROM drop_box AS b JOIN table_drop_event AS d ON d.drop_box_id = b.id")
            .await,
        ["2"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slip_is_issued_once_and_the_refused_take_no_number() {
    let house = House::open().await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let slip = house.request_slip(&session, "fill", "f-1", json!({ "10000": 1 })).await;
    let issue = json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") });
    let issuers = ["CG-01", "CG-02"].into_iter().cycle().take(CROWD);
    let replies = at_once(issuers.map(|by| Call::new(&house, by, format!("slips/{slip}/transitions"), &issue))).await;
    one_wins(&replies, 200, (409, "illegal_transition"));
    let next = house.slip(&session, "fill", "f-2", json!({ "10000": 1 })).await;
    assert_eq!(next["slip_no"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn numbers_given_at_once_on_three_tables_leave_no_gap() {
    let house = House::open().await;
    let mut slips = Vec::new();
    for table in ["BJ-01", "BJ-02", "BJ-03"] {
        let session = house.open_table(table, &format!("{table}-A"), tray()).await;
        for n in 0..15 {
            slips.push(
                house
                    .request_slip(&session, "fill", &format!("{table}-{n}"), json!({ "10000": 1 }))
                    .await,
            );
        }
    }
    // Every third is refused after the number was taken: the runner is of the cage.
    let issue = |n: usize| json!({ "to": "ISSUED", "runner_id": house.staff(if n % 3 == 0 { "CG-02" } else { "SC-03" }) });
    let replies = at_once(
        slips
            .iter()
            .enumerate()
            .map(|(n, slip)| Call::new(&house, "CG-01", format!("slips/{slip}/transitions"), &issue(n))),
    )
    .await;
    let numbers: BTreeSet<i64> = replies
        .iter()
        .filter(|reply| reply.status == 200)
        .filter_map(|reply| reply.body["slip"]["slip_no"].as_i64())
        .collect();
    assert_eq!(numbers, (1..=30).collect());
    assert_eq!(outcomes(&replies)[&(403, "segregation_violation".to_owned())], 15);
}

/// Rollovers, counts over several sessions, files over all tables in every order, and slips that change hands meanwhile: whoever loses is
/// told so, and nobody is told that the daemon is at its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_over_several_sessions_at_once_leaves_no_5xx() {
    let house = House::open().await;
    let mut floor = Vec::new();
    for table in ["BJ-01", "BJ-02", "BJ-03"] {
        floor.push(Stormy::prepare(&house, table).await);
    }
    for round in 0..2 {
        let mut calls: Vec<Call> = floor.iter().flat_map(|table| table.calls(&house)).collect();
        let mut order: Vec<&Stormy> = floor.iter().collect();
        for _ in 0..floor.len() {
            order.rotate_left(1);
            calls.push(file(&house, &order));
            order.reverse();
            calls.push(file(&house, &order));
        }
        // Interleaved, so that neighbours in time are strangers on the floor.
        let parts: Vec<usize> = (0..calls.len()).map(|n| n * 7 % calls.len()).collect();
        assert_eq!(
            parts.iter().collect::<BTreeSet<_>>().len(),
            calls.len(),
            "every call once: {} has no factor of seven",
            calls.len()
        );
        let mut calls: Vec<Option<Call>> = calls.into_iter().map(Some).collect();
        let replies = at_once(parts.into_iter().filter_map(|part| calls[part].take())).await;
        let failed: Vec<_> = replies
            .iter()
            .filter(|reply| reply.status >= 500)
            .map(|reply| &reply.text)
            .collect();
        assert!(failed.is_empty(), "round {round}: {failed:#?}\n{:#?}", outcomes(&replies));
        if round == 0 {
            let rolled = replies
                .iter()
                .filter(|reply| reply.status == 201 && !reply.body["opened"].is_null())
                .count();
            assert_eq!(rolled, floor.len(), "each table rolls over once: {:#?}", outcomes(&replies));
        }
    }
    let sound = "
        SELECT jsonb_build_object(
            'counted_twice', (SELECT count(*) FROM (SELECT drop_event_id FROM soft_count_table_result GROUP BY 1 HAVING count(*) > 1) AS twice),
            'counted', (SELECT count(*) FROM soft_count_table_result),
            'live', (SELECT count(*) FROM table_inventory_session WHERE closed_at IS NULL),
            'sessions', (SELECT count(*) FROM table_inventory_session),
            'in_the_closed', (SELECT count(*) FROM table_slip AS x JOIN table_inventory_session AS s ON s.id = x.session_id
                               WHERE s.closed_at IS NOT NULL AND x.status IN ('REQUESTED', 'ISSUED')),
            'unaudited', (SELECT count(*) FROM session_transition AS t WHERE NOT EXISTS (SELECT FROM audit_log AS a WHERE a.session_id IN (
                               t.session_id, (SELECT predecessor_id FROM table_inventory_session AS s WHERE s.id = t.session_id)))),
            'deadlocks', (SELECT deadlocks FROM pg_stat_database WHERE datname = current_database())) AS json";
    let owner = house.cluster.owner().await;
    let expected =
        json!({ "counted_twice": 0, "counted": 6, "live": 3, "sessions": 9, "in_the_closed": 0, "unaudited": 0, "deadlocks": 0 });
    assert_eq!(ask(&owner, sound, []).await, expected);
}

/// One table as the storm finds it: a session in play after a rollover, and two boxes in the count room. The second of them holds slips of
/// both sessions.
struct Stormy {
    session: String,
    first: String,
    drops: [String; 2],
    asked: String,
    issued: String,
    numbers: Vec<i64>,
}

impl Stormy {
    async fn prepare(house: &House, table: &str) -> Self {
        let drop_box = |letter: &str| format!("{table}-{letter}");
        let name = |slip: &str| format!("{table}-{slip}");
        let first = house.open_table(table, &drop_box("A"), tray()).await;
        let early = house.drop_and_bring(&first, &drop_box("A"), Some(&drop_box("B")), "S1").await;
        let mut numbers = vec![
            house.slip(&first, "fill", &name("1"), json!({ "10000": 1 })).await["slip_no"]
                .as_i64()
                .expect("a number"),
        ];
        let rollover = json!({ "chipset": tray(), "cosign": house.cosign("PB-02") });
        let session = id(&house
            .post("PB-01", &format!("sessions/{first}/rollover"), rollover)
            .await
            .expect(201)["opened"]);
        numbers.push(
            house.slip(&session, "fill", &name("2"), json!({ "10000": 1 })).await["slip_no"]
                .as_i64()
                .expect("a number"),
        );
        let late = house.drop_and_bring(&session, &drop_box("B"), Some(&drop_box("C")), "S2").await;
        let asked = house.request_slip(&session, "fill", &name("3"), json!({ "10000": 1 })).await;
        let issued = house.request_slip(&session, "credit", &name("4"), json!({ "10000": 1 })).await;
        house
            .step_slip("CG-01", &issued, json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") }))
            .await
            .expect(200);
        Self {
            session,
            first,
            drops: [early, late],
            asked,
            issued,
            numbers,
        }
    }

    fn calls(&self, house: &House) -> Vec<Call> {
        let session = |rest: &str| format!("sessions/{}/{rest}", self.session);
        let slip = |slip: &str| format!("slips/{slip}/transitions");
        let rollover = json!({ "chipset": tray(), "cosign": house.cosign("PB-02") });
        let tray_count = json!({ "kind": "rundown", "chipset": tray(), "cosign": house.cosign("DL-02") });
        let manual = json!({ "category": "MANUAL", "detail": "a storm" });
        let issue = json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") });
        let verify = json!({ "to": "VERIFIED_AT_TABLE", "dealer": house.cosign("DL-01") });
        let mut calls = vec![
            Call::new(house, "PB-01", session("rollover"), &rollover),
            Call::new(house, "PB-03", session("rollover"), &rollover),
            Call::new(house, "CT-01", "soft-counts", &count_of(house, &self.drops[0], 5000)),
            Call::new(house, "CT-02", "soft-counts", &count_of(house, &self.drops[0], 5000)),
            Call::new(house, "CT-01", "soft-counts", &self.late_count(house)),
            Call::new(house, "PB-01", session("snapshots"), &tray_count),
            Call::new(house, "PB-02", session("exceptions"), &manual),
            Call::new(house, "PB-02", format!("sessions/{}/exceptions", self.first), &manual),
            Call::new(house, "CG-01", slip(&self.asked), &issue),
            Call::new(house, "CG-02", slip(&self.asked), &issue),
            Call::new(house, "PB-03", slip(&self.issued), &verify),
            Call::new(house, "PB-03", slip(&self.asked), &verify),
        ];
        calls.extend((0..3).map(|n| {
            let request = json!({ "kind": "fill", "request_id": format!("{}-storm-{n}", self.session), "chipset": { "10000": 1 } });
            Call::new(house, "PB-01", session("slips"), &request)
        }));
        calls
    }

    fn late_count(&self, house: &House) -> Value {
        let mut count = count_of(house, &self.drops[1], 5000);
        let papers = self
            .numbers
            .iter()
            .map(|number| json!({ "kind": "fill_slip", "number": number.to_string(), "amount_cents": 10_000 }));
        count["evidence_manifest"]["documents"] = papers.collect();
        count
    }
}

/// A counting machine's file over the second boxes of all these tables, in this order.
fn file(house: &House, floor: &[&Stormy]) -> Call {
    let mut csv = "drop_event_id,drop_total_cents,count_1_cents,count_2_cents,team,currency,documents\n".to_owned();
    for table in floor {
        let papers = table
            .numbers
            .iter()
            .map(|number| format!("fill_slip:{number}:10000"))
            .collect::<Vec<_>>()
            .join(" ");
        csv.push_str(&format!("{},5000,5000,5000,CT-01 CT-02 CT-03,100:50,{papers}\n", table.drops[1]));
    }
    Call {
        content_type: "text/csv",
        body: csv,
        ..Call::new(house, "CT-03", "soft-counts/import", &Value::Null)
    }
}

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

use Shape::{Cents, CentsOrNull, Chips, Day, Flag, Id, IdOrNull, Moment, MomentOrNull, Number, Text, TextOrNull};

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

/// The wire is cut at every round trip of a command, before Postgres hears and after: the client is told to come back, nothing is half
/// done, and the same key then gives the effect, once.
#[tokio::test]
async fn a_command_cut_off_anywhere_can_be_sent_again() {
    let wire = Wire::lay();
    let house = House::open_over(|url| wire.lead(&url)).await;
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let mut expected = house.count("table_inventory_snapshot").await;
    let body = json!({ "kind": "rundown", "chipset": tray(), "cosign": house.cosign("DL-01") });
    let cuts = (1..=4).flat_map(|trip| [Cut::Before(trip), Cut::After(trip)]);
    for cut in cuts {
        let send = || {
            Call::new(&house, "PB-01", format!("sessions/{session}/snapshots"), &body)
                .keyed(&format!("{cut:?}"))
                .make()
        };
        wire.when_quiet().await;
        wire.cut(cut);
        let reply = send().await;
        assert!(wire.is_cut(), "{cut:?}");
        reply.refused(503, "unavailable");
        assert!(
            reply
                .header("retry-after")
                .is_some_and(|seconds| seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0)),
            "{cut:?}"
        );
        let done = matches!(cut, Cut::After(4));
        assert_eq!(
            house.count("table_inventory_snapshot").await,
            expected + i64::from(done),
            "{cut:?}: nothing is half done"
        );
        let again = send().await;
        again.expect(201);
        assert_eq!(again.header("idempotent-replayed").is_some(), done, "{cut:?}");
        expected += 1;
        assert_eq!(house.count("table_inventory_snapshot").await, expected, "{cut:?}");
    }
    assert_eq!(
        house.count("audit_log").await,
        3 + 8,
        "create, opening, opener, and each of the eight once"
    );
}

#[tokio::test]
async fn without_a_database_the_daemon_says_so_and_comes_back_with_it() {
    let wire = Wire::lay();
    let house = House::open_over(|url| wire.lead(&url)).await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    wire.kill(true);
    let away = [
        house.advance("PB-01", &session, json!({ "to": "OPENING" })).await,
        house.get("PB-01", &format!("sessions/{session}")).await,
        house.get("PB-01", "sessions").await,
        house
            .person("AD-01")
            .patch("/api/v1/casino", json!({ "par_tolerance_cents": 5 }))
            .await,
        house.bearer(None).get("/readyz").await,
    ];
    for reply in away {
        reply.refused(503, "unavailable");
        assert_eq!(reply.header("retry-after"), Some("1"));
        let told = reply.text.to_ascii_lowercase();
        assert!(
            ["sqlx", "postgres", "socket", "os error"]
                .iter()
                .all(|inside| !told.contains(inside)),
            "database text is nobody's business: {told}"
        );
    }
    house.bearer(None).get("/healthz").await.expect(200);

    wire.kill(false);
    // Connections that died in the pool may each cost one more answer; a client does as it is told and asks again.
    let deadline = Instant::now() + Duration::from_secs(10);
    let moved = loop {
        let reply = Call::new(
            &house,
            "PB-01",
            format!("sessions/{session}/transitions"),
            &json!({ "to": "OPENING" }),
        )
        .keyed("the-opening")
        .make()
        .await;
        if reply.status != 503 {
            break reply;
        }
        assert!(Instant::now() < deadline, "{}", reply.text);
    };
    assert_eq!(moved.expect(200)["session"]["status"], "OPENING");
    assert_eq!(house.count("audit_log").await, 2);
}
