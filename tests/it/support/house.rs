//! A small casino with the daemon in front of it: three tables, boxes, people of every role, and a clock that stands still.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rundown::api::limit::Limiter;
use rundown::app::App;
use rundown::auth::{Algorithm, AuthSettings, TokenIssuer, Verifier, pin};
use rundown::clock::{Clock, new_id};
use rundown::config::Limits;
use rundown::engine::{Engine, GATHERINGS};
use rundown::outbox::feed::Settings as StreamSettings;
use rundown::outbox::webhook::Reach;
use rundown::outbox::{Feed, News, Outbox};
use rundown::store::{Db, PoolSettings};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::cluster::Cluster;
use super::person::Person;

pub const CASINO: &str = "River Bend";
pub const OTHER_CASINO: &str = "Far Bank";
/// Everybody's PIN: hashing one each would cost the suite minutes.
pub const PIN: &str = "2468";

/// Who works here: employee number and role.
pub const PEOPLE: &[(&str, &str)] = &[
    ("PB-01", "pit_boss"),
    ("PB-02", "pit_boss"),
    ("PB-03", "pit_boss"),
    ("DL-01", "dealer"),
    ("DL-02", "dealer"),
    ("CG-01", "cashier"),
    ("CG-02", "cashier"),
    ("SC-01", "security"),
    ("SC-02", "security"),
    ("SC-03", "security"),
    ("CT-01", "count_team"),
    ("CT-02", "count_team"),
    ("CT-03", "count_team"),
    ("CT-04", "count_team"),
    ("CO-01", "compliance"),
    ("CO-02", "compliance"),
    ("AD-01", "admin"),
];

/// One casino's ids, by the names people use.
#[derive(Clone, Debug, Default)]
pub struct Door {
    pub casino: Uuid,
    pub name: String,
    pub staff: BTreeMap<String, Uuid>,
    pub tables: BTreeMap<String, Uuid>,
    pub boxes: BTreeMap<String, Uuid>,
}

/// The daemon over one test's database.
pub struct House {
    pub cluster: Cluster,
    pub db: Db,
    pub clock: Clock,
    pub url: String,
    pub tasks: TaskTracker,
    pub home: Door,
    /// Another casino in the same database: nothing of it may ever be seen from here.
    pub other: Door,
    daemon: Daemon,
    issuer: TokenIssuer,
    client: reqwest::Client,
}

impl House {
    /// Opens on 6 March 2026, 15:00 in Chicago.
    pub async fn open() -> Self {
        Self::open_over(|url| url).await
    }

    /// The same, with the daemon's database URL led through something that watches it.
    pub async fn open_over(lead: impl FnOnce(String) -> String) -> Self {
        let cluster = Cluster::database().await;
        let owner = cluster.owner().await;
        let (home, other) = (found(&owner, CASINO).await, found(&owner, OTHER_CASINO).await);
        owner.close().await.expect("closed");
        let settings = PoolSettings {
            url: lead(cluster.url("rundown_app")),
            assume_role: None,
            max_connections: 10,
            statement_timeout: Duration::from_secs(20),
            lock_timeout: Duration::from_secs(10),
        };
        let db = Db::connect(&settings).await.expect("the pool");
        let clock = Clock::frozen("2026-03-06T21:00:00Z".parse::<DateTime<Utc>>().expect("an instant"));
        let tasks = TaskTracker::new();
        let daemon = Daemon::over(&db, &clock, streams());
        let url = daemon.serve(&tasks, Reach { private: true }).await;
        let issuer = TokenIssuer::new(&auth(), std::path::Path::new("/nonexistent")).expect("an issuer");
        Self {
            cluster,
            db,
            clock,
            url,
            daemon,
            tasks,
            home,
            other,
            issuer,
            client: reqwest::Client::new(),
        }
    }

    /// Somebody of this casino, with their own token.
    pub fn person(&self, employee_no: &str) -> Person {
        self.member(&self.home, employee_no)
    }

    /// Another daemon over the same database, whose operator lets webhooks reach so far; its URL.
    pub async fn served_with(&self, reach: Reach) -> String {
        Daemon::over(&self.db, &self.clock, streams()).serve(&self.tasks, reach).await
    }

    /// Another daemon over the same database, with streams of its own; its URL, and what publishes in it.
    pub async fn streaming(&self, streams: StreamSettings) -> (String, Outbox) {
        let daemon = Daemon::over(&self.db, &self.clock, streams);
        (daemon.serve(&self.tasks, Reach { private: true }).await, daemon.outbox())
    }

    /// What publishes in this daemon, once it is run.
    pub fn outbox(&self) -> Outbox {
        self.daemon.outbox()
    }

    /// Somebody of this casino, at another daemon.
    pub fn person_at(&self, url: &str, employee_no: &str) -> Person {
        let subject = format!("{}:{employee_no}", self.home.name);
        Person::new(self.client.clone(), url.to_owned(), Some(self.token(&subject)))
    }

    /// Somebody of the other casino.
    pub fn stranger(&self, employee_no: &str) -> Person {
        self.member(&self.other, employee_no)
    }

    fn member(&self, door: &Door, employee_no: &str) -> Person {
        let subject = format!("{}:{employee_no}", door.name);
        Person::new(self.client.clone(), self.url.clone(), Some(self.token(&subject)))
    }

    /// A caller who shows whatever they like.
    pub fn bearer(&self, token: Option<String>) -> Person {
        Person::new(self.client.clone(), self.url.clone(), token)
    }

    pub fn token(&self, subject: &str) -> String {
        self.issuer
            .issue(subject, self.clock.now(), Duration::from_hours(12))
            .expect("a token")
    }

    /// A co-signature: `{staff_id, pin}`.
    pub fn cosign(&self, employee_no: &str) -> Value {
        json!({ "staff_id": self.staff(employee_no), "pin": PIN })
    }

    pub fn staff(&self, employee_no: &str) -> Uuid {
        self.home.staff[employee_no]
    }

    pub fn table(&self, label: &str) -> Uuid {
        self.home.tables[label]
    }

    pub fn drop_box(&self, label: &str) -> Uuid {
        self.home.boxes[label]
    }

    /// How many rows a table holds, seen as the owner sees it.
    pub async fn count(&self, table: &str) -> i64 {
        let owner = self.cluster.owner().await;
        let row = owner
            .query_one_raw(Statement::from_string(
                sea_orm::DbBackend::Postgres,
                format!("SELECT count(*) AS n FROM {table}"),
            ))
            .await;
        row.expect("counted").expect("a row").try_get("", "n").expect("a number")
    }

    // The day's steps, each by the people who take it. Every one must succeed.

    /// A session of the table in READY_TO_OPEN, with its box.
    pub async fn create(&self, table: &str, drop_box: &str) -> String {
        let body = json!({ "table_id": self.table(table), "drop_box_id": self.drop_box(drop_box) });
        let reply = self.person("PB-01").post("/api/v1/table-context/sessions", body).await;
        reply.expect(201)["id"].as_str().expect("an id").to_owned()
    }

    /// A session in play, its opener counted by PB-01 and verified by DL-01.
    pub async fn open_table(&self, table: &str, drop_box: &str, chipset: Value) -> String {
        let session = self.create(table, drop_box).await;
        self.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
        self.count_tray(&session, "open", chipset).await;
        session
    }

    pub async fn advance(&self, by: &str, session: &str, body: Value) -> super::Reply {
        self.person(by)
            .post(&format!("/api/v1/table-context/sessions/{session}/transitions"), body)
            .await
    }

    /// Counts a tray by PB-01, verified by DL-01's PIN.
    pub async fn count_tray(&self, session: &str, kind: &str, chipset: Value) -> Value {
        let body = json!({ "kind": kind, "chipset": chipset, "cosign": self.cosign("DL-01") });
        let reply = self
            .person("PB-01")
            .post(&format!("/api/v1/table-context/sessions/{session}/snapshots"), body)
            .await;
        reply.expect(201).clone()
    }

    pub async fn request_slip(&self, session: &str, kind: &str, request_id: &str, chipset: Value) -> String {
        let body = json!({ "kind": kind, "request_id": request_id, "chipset": chipset });
        let reply = self
            .person("PB-01")
            .post(&format!("/api/v1/table-context/sessions/{session}/slips"), body)
            .await;
        reply.expect(201)["id"].as_str().expect("an id").to_owned()
    }

    pub async fn step_slip(&self, by: &str, slip: &str, body: Value) -> super::Reply {
        self.person(by)
            .post(&format!("/api/v1/table-context/slips/{slip}/transitions"), body)
            .await
    }

    /// A slip all the way into the box: issued by CG-01, carried by SC-03, counted by DL-01, verified by PB-02.
    pub async fn slip(&self, session: &str, kind: &str, request_id: &str, chipset: Value) -> Value {
        let slip = self.request_slip(session, kind, request_id, chipset).await;
        self.step_slip("CG-01", &slip, json!({ "to": "ISSUED", "runner_id": self.staff("SC-03") }))
            .await
            .expect(200);
        self.step_slip("PB-02", &slip, json!({ "to": "VERIFIED_AT_TABLE", "dealer": self.cosign("DL-01") }))
            .await
            .expect(200);
        if kind == "credit" {
            self.person("CG-01")
                .post(&format!("/api/v1/table-context/slips/{slip}/cage-receipt"), json!({}))
                .await
                .expect(200);
        }
        let reply = self.step_slip("PB-02", &slip, json!({ "to": "DEPOSITED_IN_DROPBOX" })).await;
        reply.expect(200)["slip"].clone()
    }

    /// Removes a box: SC-01, witnessed by SC-02.
    pub async fn remove(&self, session: &str, drop_box: &str, replacement: Option<&str>, seal: &str) -> super::Reply {
        let body = json!({
            "drop_box_id": self.drop_box(drop_box), "replacement_box_id": replacement.map(|label| self.drop_box(label)),
            "seal_no": seal, "witnessed_by": self.cosign("SC-02"),
        });
        self.person("SC-01")
            .post(&format!("/api/v1/table-context/sessions/{session}/drops"), body)
            .await
    }

    /// Delivers and receives a removed box with the seal it was given.
    pub async fn bring(&self, drop: &str, seal: &str) {
        let to = |step: &str| format!("/api/v1/table-context/drops/{drop}/{step}");
        self.person("SC-01").post(&to("delivery"), json!({})).await.expect(200);
        self.person("CT-01")
            .post(&to("receipt"), json!({ "seal_no": seal }))
            .await
            .expect(200);
    }

    /// Counts a box by CT-01, CT-02 and CT-03: `total_cents` in notes of 100, and these papers.
    pub async fn soft_count(&self, drop: &str, total_cents: i64, documents: Value) -> super::Reply {
        let currency = if total_cents == 0 {
            json!({})
        } else {
            json!({ "100": total_cents / 100 })
        };
        let team = ["CT-01", "CT-02", "CT-03"].map(|member| self.staff(member));
        let body = json!({
            "drop_event_id": drop, "drop_total_cents": total_cents, "count_1_cents": total_cents, "count_2_cents": total_cents,
            "team": team, "evidence_manifest": { "currency": currency, "documents": documents },
        });
        self.person("CT-01").post("/api/v1/table-context/soft-counts", body).await
    }

    /// A whole session without irregularity, up to RECONCILED: opened at `open`, closed at `close`, with this drop.
    pub async fn reconciled(&self, table: &str, drop_box: &str, replacement: &str, open: Value, close: Value, drop_cents: i64) -> String {
        let opener_cents: i64 = open
            .as_object()
            .expect("a chipset")
            .iter()
            .map(|(k, v)| k.parse::<i64>().expect("cents") * v.as_i64().expect("pieces"))
            .sum();
        let session = self.open_table(table, drop_box, open).await;
        self.advance("PB-01", &session, json!({ "to": "DROP_SCHEDULED" })).await.expect(200);
        let drop = self.remove(&session, drop_box, Some(replacement), "S1").await.expect(201)["drop"]["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        self.bring(&drop, "S1").await;
        self.soft_count(&drop, drop_cents, json!([{ "kind": "opener", "amount_cents": opener_cents }]))
            .await
            .expect(201);
        self.advance("PB-01", &session, json!({ "to": "CLOSING" })).await.expect(200);
        let closed = self.count_tray(&session, "close", close).await;
        assert_eq!(closed["session"]["status"], "RECONCILED");
        session
    }
}

/// What a daemon's parts share.
struct Daemon {
    engine: Engine,
    feed: Feed,
    /// Ended with the daemon. Without them its commands go by themselves.
    _gatherings: JoinSet<()>,
}

impl Daemon {
    fn over(db: &Db, clock: &Clock, streams: StreamSettings) -> Self {
        let engine = Engine::new(db.clone(), clock.clone());
        let mut gatherings = JoinSet::new();
        for _ in 0..GATHERINGS {
            let engine = engine.clone();
            gatherings.spawn(async move { engine.gather(CancellationToken::new()).await });
        }
        Self {
            engine,
            feed: Feed::new(db.clone(), streams),
            _gatherings: gatherings,
        }
    }

    fn outbox(&self) -> Outbox {
        Outbox {
            db: self.engine.db().clone(),
            clock: self.engine.clock().clone(),
            told: self.engine.told(),
            news: News::default(),
            feed: self.feed.clone(),
        }
    }

    async fn serve(&self, tasks: &TaskTracker, reach: Reach) -> String {
        serve(self, tasks, reach).await
    }
}

async fn serve(daemon: &Daemon, tasks: &TaskTracker, reach: Reach) -> String {
    let plenty = NonZeroU32::new(1_000_000).expect("not zero");
    let app = App {
        engine: daemon.engine.clone(),
        verifier: Arc::new(Verifier::new(&auth(), std::path::Path::new("/nonexistent")).expect("a verifier")),
        limiter: Arc::new(Limiter::new(plenty, plenty)),
        limits: Limits {
            body_bytes: 1 << 20,
            csv_bytes: 16 << 20,
            requests_per_second: plenty,
            burst: plenty,
        },
        feed: daemon.feed.clone(),
        reach,
        tasks: tasks.clone(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = rundown::api::router(app, Duration::from_mins(1));
    tasks.spawn(async move { axum::serve(rundown::api::tuned(listener), router.into_make_service()).await });
    url
}

pub fn streams() -> StreamSettings {
    StreamSettings {
        subscribers: 100,
        heartbeat: Duration::from_secs(15),
        lasts: Duration::from_hours(1),
        kept: 4096,
    }
}

pub fn auth() -> AuthSettings {
    AuthSettings {
        algorithm: Algorithm::HS256,
        secret: Some(SecretString::from("a secret of thirty-two bytes and more")),
        secret_file: None,
        public_key_file: None,
        jwks_file: None,
        private_key_file: None,
        audience: "rundown".to_owned(),
        leeway_seconds: 0,
    }
}

/// Founds a casino as its owner would: settings, people, three active tables with three boxes each, two emergency boxes. In one round trip:
/// every test founds two, and all of them wait for it.
async fn found(owner: &DatabaseConnection, name: &str) -> Door {
    static HASH: OnceLock<String> = OnceLock::new();
    let hash = HASH.get_or_init(|| pin::hash(&SecretString::from(PIN)).expect("a hash"));
    let mut door = Door {
        casino: new_id(),
        name: name.to_owned(),
        ..Door::default()
    };
    let casino = door.casino;
    let mut sql = format!(
        "INSERT INTO casino (id, name, timezone, denominations_cents, fill_series_open, credit_series_open)
         VALUES ('{casino}', '{name}', 'America/Chicago', '{{100,500,2500,10000,50000,100000}}', true, true);"
    );
    for (employee_no, role) in PEOPLE.iter().chain(&[("SYSTEM", "system")]) {
        let id = new_id();
        let pin_hash = if *role == "system" {
            "NULL".to_owned()
        } else {
            format!("'{hash}'")
        };
        let _ = write!(
            sql,
            "INSERT INTO staff (id, casino_id, external_subject, employee_no, name, role, pin_hash)
             VALUES ('{id}', '{casino}', '{name}:{employee_no}', '{employee_no}', 'Person {employee_no}', '{role}', {pin_hash});"
        );
        door.staff.insert((*employee_no).to_owned(), id);
    }
    for label in ["BJ-01", "BJ-02", "BJ-03"] {
        let (table, par) = (new_id(), new_id());
        let _ = write!(
            sql,
            "INSERT INTO gaming_table (id, casino_id, label, type, pit, status)
             VALUES ('{table}', '{casino}', '{label}', 'blackjack', 'Pit 1', 'active');
             INSERT INTO table_par (id, casino_id, table_id, par_cents, effective_gaming_day)
             VALUES ('{par}', '{casino}', '{table}', 100000, '2026-01-01');"
        );
        door.tables.insert(label.to_owned(), table);
        for letter in ["A", "B", "C"] {
            sql += &found_box(&mut door, format!("{label}-{letter}"), Some(table));
        }
    }
    for label in ["EM-1", "EM-2"] {
        sql += &found_box(&mut door, label.to_owned(), None);
    }
    owner.execute_unprepared(&sql).await.expect("a casino");
    door
}

fn found_box(door: &mut Door, label: String, table: Option<Uuid>) -> String {
    let (id, casino) = (new_id(), door.casino);
    let (kind, table) = table.map_or(("emergency", "NULL".to_owned()), |table| ("standard", format!("'{table}'")));
    let sql =
        format!("INSERT INTO drop_box (id, casino_id, label, table_id, kind) VALUES ('{id}', '{casino}', '{label}', {table}, '{kind}');");
    door.boxes.insert(label, id);
    sql
}
