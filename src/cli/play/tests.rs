//! The player against a stand-in for the daemon: it answers in the contract's shapes and judges nothing, so what is proved here is
//! what the player sends, to whom, and what it makes of the answers. The daemon itself is played in `tests/it`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;
use workflows::word::{Category, Status};

use super::{Outcome, Progress, play};
use crate::casino_folder::Folder;

const CONTEXT: &str = "/api/v1/table-context";

#[tokio::test]
async fn the_whole_day_is_sent_each_act_by_its_person() {
    let stand_in = StandIn::of(&example());
    let outcome = played(&stand_in, false).await;

    assert_eq!((outcome.acts, outcome.replayed, &outcome.refused), (816, 0, &Vec::new()));
    assert_eq!(outcome.sessions.len(), 47);
    let desk = stand_in.desk();
    let callers = desk.posts.iter().filter(|post| post.by.starts_with("DL-")).count();
    assert_eq!(callers, 0, "a dealer never holds a token");
    let folder = example();
    for (line, post) in folder.day.iter().zip(&desk.posts) {
        assert_eq!(line.act.by().unwrap_or(&post.by), post.by, "act {}", line.seq);
        assert!(!post.body.to_string().contains(&line.at), "act {} sends a time", line.seq);
    }
}

#[tokio::test]
async fn a_second_play_is_a_replay_with_the_same_keys_and_bodies() {
    let stand_in = StandIn::of(&example());
    let first = played(&stand_in, false).await;
    let second = played(&stand_in, false).await;

    assert_eq!((second.acts, second.replayed), (816, 816));
    assert_eq!(first.sessions, second.sessions);
    let desk = stand_in.desk();
    let (once, again) = desk.posts.split_at(816);
    assert_eq!(once, again);
}

#[tokio::test]
async fn a_tray_is_verified_by_the_counter_for_the_cosigner() {
    let stand_in = StandIn::of(&example());
    played(&stand_in, false).await;

    let desk = stand_in.desk();
    let verifications: Vec<&Post> = desk.posts.iter().filter(|post| post.path.ends_with("/verify")).collect();
    assert_eq!(verifications.len(), 94);
    // Act 11 of the day: PB-07 counted BJ-07, DL-05 co-signs.
    assert_eq!(verifications[0].by, "PB-07");
    assert_eq!(
        verifications[0].body,
        json!({"cosign": {"staff_id": desk.id_of("DL-05"), "pin": "3671"}})
    );
}

#[tokio::test]
async fn the_count_room_reads_the_servers_numbers_off_the_slips() {
    let stand_in = StandIn::of(&example());
    played(&stand_in, false).await;

    let desk = stand_in.desk();
    let counts: Vec<&Value> = desk
        .posts
        .iter()
        .filter(|post| post.path.ends_with("/soft-counts"))
        .map(|post| &post.body)
        .collect();
    assert_eq!(counts.len(), 47);
    let papers = |count: &Value| count["evidence_manifest"]["documents"].as_array().cloned().unwrap_or_default();
    let slips: Vec<Value> = counts
        .iter()
        .flat_map(|count| papers(count))
        .filter(|paper| paper["kind"] != "opener")
        .collect();
    assert_eq!(slips.len(), 61);
    assert!(
        slips
            .iter()
            .all(|paper| paper.get("request_id").is_none() && paper["number"].is_string())
    );
    assert!(
        slips.contains(&json!({"kind": "fill_slip", "number": "999999", "amount_cents": 250_000})),
        "the foreign slip keeps its number"
    );
    assert!(counts.iter().all(|count| count.get("counted_at").is_none()));
    assert_eq!(counts.iter().filter(|count| count.get("agreed_cents").is_some()).count(), 1);
}

#[tokio::test]
async fn what_hangs_on_a_refused_act_is_told_and_never_done_to_another_session() {
    let folder = example();
    let stand_in = StandIn::of(&folder);
    // The second session of BJ-02, on its swing shift.
    stand_in
        .desk()
        .refuse(|post| post.path.ends_with("/sessions") && post.key.starts_with("play-casino-day-263-"));
    let outcome = played(&stand_in, false).await;

    let swing = |line: &&crate::casino_folder::ActLine| line.table == "BJ-02" && line.shift == "swing";
    let expected: Vec<u64> = folder.day.iter().filter(swing).map(|line| line.seq).collect();
    let refused: Vec<u64> = outcome.refused.iter().filter_map(|refused| refused.seq).collect();
    assert_eq!(refused, expected);
    assert_eq!(outcome.acts + refused.len(), 816);
    assert_eq!(outcome.sessions.len(), 46);
    let (first, second) = (&outcome.refused[0], &outcome.refused[1]);
    assert_eq!(
        (
            first.refusal.status,
            first.refusal.code.as_str(),
            first.act.as_str(),
            first.by.as_str()
        ),
        (Some(409), "gates_unmet", "create_session", "PB-03")
    );
    assert_eq!(first.refusal.gates[0].code, "table_active");
    assert_eq!((second.refusal.status, second.refusal.code.as_str()), (None, "not_sent"));
    assert!(outcome.to_string().contains("REFUSED #263 create_session at BJ-02 by PB-03: 409 gates_unmet: shut\n    gate table_active: out of service; needs activation (admin)"));
}

#[tokio::test]
async fn a_busy_daemon_is_asked_again() {
    let stand_in = StandIn::of(&example());
    stand_in.desk().busy = vec![StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    let outcome = played(&stand_in, false).await;

    assert_eq!((outcome.acts, outcome.refused.len()), (816, 0));
    assert!(stand_in.desk().busy.is_empty());
}

#[tokio::test]
async fn an_act_whose_answer_is_lost_is_asked_for_again_and_done_once() {
    let stand_in = StandIn::of(&example());
    stand_in.desk().lost = Some("play-casino-day-7-");
    let outcome = played(&stand_in, false).await;

    assert_eq!((outcome.acts, outcome.replayed, outcome.refused.len()), (816, 1, 0));
    let desk = stand_in.desk();
    assert_eq!((desk.posts.len(), desk.done.len()), (817, 816));
}

#[tokio::test]
async fn compliance_explains_every_exception_and_signs_every_session_off() {
    let stand_in = StandIn::of(&example());
    stand_in.desk().exceptions = vec!["COUNT_VARIANCE", "SEAL_MISMATCH"];
    let outcome = played(&stand_in, true).await;

    assert_eq!((outcome.resolved, outcome.finalized, outcome.refused.len()), (94, 47, 0));
    assert_eq!(
        outcome.exceptions,
        BTreeMap::from([(Category::CountVariance, 47), (Category::SealMismatch, 47)])
    );
    assert_eq!(outcome.sessions_by_status(), BTreeMap::from([(Status::Finalized, 47)]));
    assert!(outcome.sessions.iter().all(|line| line.open_exceptions == Some(0)));
    {
        let desk = stand_in.desk();
        let reasons: BTreeSet<&str> = desk.posts.iter().filter_map(|post| post.body["reason_code"].as_str()).collect();
        assert_eq!(reasons, BTreeSet::from(["CUSTODY_EXPLAINED", "RECOUNT_CONFIRMED"]));
    }

    let again = played(&stand_in, true).await;
    assert_eq!(
        (again.replayed, again.resolved, again.finalized, again.refused.len()),
        (816, 0, 0, 0)
    );
}

#[tokio::test]
async fn whom_segregation_forbids_the_next_one_stands_in_for() {
    let stand_in = StandIn::of(&example());
    stand_in.desk().segregated = vec!["CO-01", "CO-02"];
    let outcome = played(&stand_in, true).await;

    assert_eq!((outcome.finalized, outcome.refused.len()), (47, 0));
    let desk = stand_in.desk();
    let signers: Vec<&str> = desk
        .posts
        .iter()
        .filter(|post| post.body["to"] == "FINALIZED")
        .map(|post| post.by.as_str())
        .take(3)
        .collect();
    assert_eq!(signers, ["CO-01", "CO-02", "AD-01"]);
}

#[tokio::test]
async fn an_unseeded_daemon_is_told_before_anything_is_done() {
    let folder = example();
    let stand_in = StandIn::of(&folder);
    stand_in.desk().ids.remove("BJ-07-A");
    let error = try_played(&stand_in, false).await.unwrap_err();

    assert!(
        format!("{error:#}").contains("does not know BJ-07-A: seed the folder first"),
        "{error:#}"
    );
    assert!(stand_in.desk().posts.is_empty());
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_told_at_once() {
    // Bound and dropped: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = play(&example(), &format!("http://{free}"), &token, false, Progress::Hidden)
        .await
        .unwrap_err();
    assert!(format!("{error:#}").contains("does not answer"), "{error:#}");
}

fn example() -> Folder {
    Folder::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/casino-day")).unwrap()
}

async fn played(stand_in: &StandIn, finalize: bool) -> Outcome {
    try_played(stand_in, finalize).await.unwrap()
}

/// Plays while the stand-in serves, in one task: it ends with the play.
async fn try_played(stand_in: &StandIn, finalize: bool) -> anyhow::Result<Outcome> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = axum::Router::new().fallback(answer).with_state(stand_in.clone());
    let folder = example();
    tokio::select! {
        outcome = play(&folder, &url, &token, finalize, Progress::Hidden) => outcome,
        served = axum::serve(listener, router) => anyhow::bail!("the stand-in stopped: {served:?}"),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of what issues tokens, which may fail")]
fn token(employee_no: &str) -> anyhow::Result<String> {
    Ok(format!("token-of-{employee_no}"))
}

#[derive(Clone)]
struct StandIn(Arc<Mutex<Desk>>);

/// A POST as it came in.
#[derive(Clone, Debug, PartialEq)]
struct Post {
    by: String,
    path: String,
    key: String,
    body: Value,
}

type Judge = Box<dyn Fn(&Post) -> bool + Send>;

#[derive(Default)]
struct Desk {
    /// Names of the floor: people, tables, boxes.
    ids: BTreeMap<String, Uuid>,
    lists: HashMap<&'static str, Vec<String>>,
    posts: Vec<Post>,
    /// First answers by key.
    done: HashMap<String, Value>,
    next: u128,
    finalized: Vec<String>,
    resolved: Vec<String>,
    refused: Option<Judge>,
    /// The key whose first answer breaks off, as when the daemon is killed after the commit.
    lost: Option<&'static str>,
    /// Answers given before any other.
    busy: Vec<StatusCode>,
    /// Raised on every session.
    exceptions: Vec<&'static str>,
    segregated: Vec<&'static str>,
}

impl StandIn {
    fn of(folder: &Folder) -> Self {
        let lists = HashMap::from([
            ("/api/v1/staff", folder.staff.iter().map(|row| row.employee_no.clone()).collect()),
            ("/api/v1/tables", folder.par_sheet.iter().map(|row| row.table.clone()).collect()),
            ("/api/v1/drop-boxes", folder.boxes.iter().map(|row| row.label.clone()).collect()),
        ]);
        let mut desk = Desk { lists, ..Desk::default() };
        for name in desk.lists.values().flatten().cloned().collect::<Vec<_>>() {
            let id = desk.new_id();
            desk.ids.insert(name, id);
        }
        Self(Arc::new(Mutex::new(desk)))
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap()
    }
}

async fn answer(State(stand_in): State<StandIn>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut desk = stand_in.desk();
    if let Some(status) = desk.busy.pop() {
        return (status, [("retry-after", "0")]).into_response();
    }
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let by = header("authorization").trim_start_matches("Bearer token-of-").to_owned();
    if method == Method::GET {
        return axum::Json(desk.read(&uri)).into_response();
    }
    let Ok(body) = serde_json::from_slice(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    desk.take(Post {
        by,
        path: uri.path().to_owned(),
        key: header("idempotency-key"),
        body,
    })
}

impl Desk {
    fn new_id(&mut self) -> Uuid {
        self.next += 1;
        Uuid::from_u128(self.next)
    }

    fn id_of(&self, name: &str) -> Uuid {
        self.ids[name]
    }

    fn refuse(&mut self, judge: impl Fn(&Post) -> bool + Send + 'static) {
        self.refused = Some(Box::new(judge));
    }

    fn take(&mut self, post: Post) -> Response {
        self.posts.push(post.clone());
        if let Some(first) = self.done.get(&post.key) {
            return (StatusCode::CREATED, [("idempotent-replayed", "true")], axum::Json(first.clone())).into_response();
        }
        if self.refused.as_ref().is_some_and(|judge| judge(&post)) {
            let gate = json!({"code": "table_active", "detail": "out of service", "needs": "activation", "who": ["admin"]});
            return problem(
                StatusCode::CONFLICT,
                &json!({"status": 409, "code": "gates_unmet", "detail": "shut", "gates": [gate]}),
            );
        }
        if self.segregated.contains(&post.by.as_str()) {
            return problem(
                StatusCode::FORBIDDEN,
                &json!({"status": 403, "code": "segregation_violation", "detail": "a party"}),
            );
        }
        let answer = self.perform(&post);
        let broken = self.lost.take_if(|key| post.key.starts_with(*key)).is_some();
        self.done.insert(post.key, answer.clone());
        if broken {
            return ([("content-length", "9999")], axum::Json(answer)).into_response();
        }
        (StatusCode::CREATED, axum::Json(answer)).into_response()
    }

    /// The shapes of api.md, with nothing in them but what a player needs.
    fn perform(&mut self, post: &Post) -> Value {
        let path = post.path.strip_prefix(CONTEXT).unwrap_or_default();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            ["sessions"] | ["sessions", _, "slips"] => json!({"id": self.new_id()}),
            ["sessions", _, "snapshots"] => json!({"snapshot": {"id": self.new_id()}, "session": {}, "taken": []}),
            ["sessions", _, "drops"] => json!({"drop": {"id": self.new_id()}, "session": {}, "taken": []}),
            ["slips", id, "transitions"] => {
                self.next += 1;
                json!({"slip": {"id": id, "slip_no": u64::try_from(self.next).unwrap()}, "session": {}, "taken": []})
            }
            ["sessions", id, "transitions"] => {
                if post.body["to"] == "FINALIZED" {
                    self.finalized.push((*id).to_owned());
                }
                json!({"session": {"id": id}, "taken": []})
            }
            ["exceptions", id, "resolve"] => {
                self.resolved.push((*id).to_owned());
                json!({"id": id})
            }
            ["soft-counts"]
            | [
                "snapshots" | "drops" | "slips",
                _,
                "verify" | "delivery" | "receipt" | "cage-receipt",
            ] => json!({}),
            other => panic!("no such call: {other:?}"),
        }
    }

    fn read(&self, uri: &Uri) -> Value {
        if let Some(names) = self.lists.get(uri.path()) {
            return self.page(names, uri.query().unwrap_or_default());
        }
        let parts: Vec<&str> = uri
            .path()
            .strip_prefix(CONTEXT)
            .unwrap_or_default()
            .trim_start_matches('/')
            .split('/')
            .collect();
        match parts.as_slice() {
            ["sessions", id] if self.finalized.iter().any(|finalized| finalized == id) => json!({"status": "FINALIZED"}),
            ["sessions", _] => json!({"status": "RECONCILED"}),
            ["sessions", _, "rundown"] => json!({
                "opening_total_cents": 3_000_000, "closing_total_cents": null, "fills_total_cents": 0, "credits_total_cents": 0,
                "drop_total_cents": 0, "win_loss_stat_cents": null, "hold_bp": null,
            }),
            ["exceptions"] => json!({"items": self.exceptions_of(uri.query().unwrap_or_default()), "next_cursor": null}),
            other => panic!("no such reading: {other:?}"),
        }
    }

    /// Ten rows a page, so that the cursors are followed.
    fn page(&self, names: &[String], query: &str) -> Value {
        let from = query.split_once("cursor=").map_or(0, |(_, cursor)| cursor.parse().unwrap());
        let known = names.iter().filter_map(|name| self.ids.get(name).map(|id| (name, id)));
        let items: Vec<Value> = known
            .skip(from)
            .take(10)
            .map(|(name, id)| json!({"id": id, self.column(names): name, "role": "ignored"}))
            .collect();
        let next = if from + 10 < names.len() {
            json!((from + 10).to_string())
        } else {
            Value::Null
        };
        json!({"items": items, "next_cursor": next})
    }

    fn column(&self, names: &[String]) -> &'static str {
        if self.lists["/api/v1/staff"] == names {
            "employee_no"
        } else {
            "label"
        }
    }

    fn exceptions_of(&self, query: &str) -> Vec<Value> {
        let session: Uuid = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("session_id="))
            .unwrap()
            .parse()
            .unwrap();
        let row = |(place, category): (usize, &&str)| {
            let id = Uuid::from_u128(session.as_u128() + ((place as u128 + 1) << 64)).to_string();
            let status = if self.resolved.contains(&id) { "RESOLVED" } else { "OPEN" };
            json!({"id": id, "category": category, "status": status})
        };
        self.exceptions.iter().enumerate().map(row).collect()
    }
}

fn problem(status: StatusCode, body: &Value) -> Response {
    (status, [("content-type", "application/problem+json")], body.to_string()).into_response()
}
