//! The write path under pressure. Here: the same command many times, and many commands at once. Below: a storm over several sessions
//! ([`storm`]), what a command leaves for others to read ([`told`]), and a database that goes away in the middle ([`away`]).

mod away;
mod crowd;
mod storm;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use rundown::clock::new_id;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{House, Person, Reply, below, id, tray};

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
        let key = new_id().to_string();
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
    let opening = one_effect(&house, "PB-01", &moves, &json!({ "to": "OPENING" }), 200).await;
    assert_eq!(
        (&opening["session"]["status"], &opening["session"]["version"]),
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
    let issue = |n: usize| json!({ "to": "ISSUED", "runner_id": house.staff(if n.is_multiple_of(3) { "CG-02" } else { "SC-03" }) });
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
