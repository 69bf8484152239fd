//! A whole casino day through the daemon, and what must come of it: worked out here from the file alone, by other means than the law's.

mod telemetry;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rundown::auth::TokenIssuer;
use rundown::casino_folder::Folder;
use rundown::cli::play::{Outcome, Progress, SessionLine, play};
use rundown::cli::seed::seed;
use rundown::clock::Clock;
use rundown::config::Config;
use rundown::daemon::{self, Running};
use rundown::database::Database;
use rundown::postgres::OWNER;
use rundown::store::PoolSettings;
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};
use workflows::word::Status;

use crate::schema::ask;
use crate::support::{Cluster, auth};

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/casino-day")
}

/// What the file's arithmetic and its irregularities come to, session by session in the order of their creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deserved {
    pub table: String,
    pub exceptions: Vec<String>,
    pub opening_cents: i64,
    pub fills_cents: i64,
    pub credits_cents: i64,
    pub drop_cents: i64,
    pub closing_cents: i64,
    pub win_cents: i64,
}

impl Deserved {
    /// What the daemon says, in the same words. A figure it does not know is no figure of the file's.
    pub fn of(line: &SessionLine) -> Option<Self> {
        let mut exceptions: Vec<String> = line.categories.iter().map(ToString::to_string).collect();
        exceptions.sort();
        Some(Self {
            table: line.table.clone(),
            exceptions,
            opening_cents: line.opening_cents?,
            fills_cents: line.fills_cents?,
            credits_cents: line.credits_cents?,
            drop_cents: line.drop_cents?,
            closing_cents: line.closing_cents?,
            win_cents: line.win_cents?,
        })
    }
}

/// The day as its own file tells it.
#[derive(Default)]
pub struct Day {
    pub acts: usize,
    sessions: Vec<Session>,
    /// The table's present session.
    current: HashMap<String, usize>,
    slips: HashMap<String, Slip>,
    /// The box that stands on a table, the slips in a box, and the seal and session it was removed with.
    standing: HashMap<String, String>,
    contents: HashMap<String, Vec<String>>,
    removed: HashMap<String, (usize, String)>,
    /// Slips by kind, in the order of their numbers.
    pub issued: BTreeMap<String, Vec<String>>,
    /// Found by session, category and subject: one thing is wrong once.
    findings: BTreeSet<(usize, &'static str, String)>,
    /// Acts by name.
    pub times: BTreeMap<String, usize>,
}

#[derive(Default)]
struct Session {
    table: String,
    trays: HashMap<String, Value>,
    before: Option<usize>,
    fills: i64,
    credits: i64,
    drop: i64,
}

struct Slip {
    session: usize,
    kind: String,
    asked: Value,
    confirmed: Option<i64>,
    voided: bool,
}

impl Day {
    pub fn read(folder: &Path) -> Self {
        let mut day = Self::default();
        for line in std::fs::read_to_string(folder.join("day.jsonl")).expect("the day").lines() {
            day.act(&serde_json::from_str(line).expect("an act"));
        }
        day
    }

    pub fn deserved(&self) -> Vec<Deserved> {
        let each = self.sessions.iter().enumerate().map(|(index, session)| {
            let (opening_cents, closing_cents) = (total(&session.trays["open"]), total(&session.trays["close"]));
            Deserved {
                table: session.table.clone(),
                exceptions: self
                    .findings
                    .iter()
                    .filter(|(of, _, _)| *of == index)
                    .map(|(_, category, _)| (*category).to_owned())
                    .collect(),
                opening_cents,
                fills_cents: session.fills,
                credits_cents: session.credits,
                drop_cents: session.drop,
                closing_cents,
                win_cents: closing_cents + session.credits + session.drop - opening_cents - session.fills,
            }
        });
        each.collect()
    }

    fn act(&mut self, act: &Value) {
        let word = |member: &str| act[member].as_str().unwrap_or_default().to_owned();
        let (name, table, slip) = (word("act"), word("table"), word("request_id"));
        self.acts += 1;
        *self.times.entry(name.clone()).or_default() += 1;
        match name.as_str() {
            "create_session" => {
                let session = Session {
                    table: table.clone(),
                    before: self.current.get(&table).copied(),
                    ..Session::default()
                };
                self.current.insert(table.clone(), self.sessions.len());
                self.sessions.push(session);
                self.standing.insert(table, word("drop_box"));
            }
            "count_tray" => self.count_tray(&table, word("kind"), &act["chipset"]),
            "request_slip" => {
                let session = self.current[&table];
                self.slips.insert(
                    slip,
                    Slip {
                        session,
                        kind: word("kind"),
                        asked: act["chipset"].clone(),
                        confirmed: None,
                        voided: false,
                    },
                );
            }
            "issue_slip" => self.issued.entry(self.slips[&slip].kind.clone()).or_default().push(slip),
            "verify_slip" => self.verify_slip(&slip, &act["chipset"]),
            "deposit_slip" => self.contents.entry(self.standing[&table].clone()).or_default().push(slip),
            "void_slip" => self.void_slip(slip),
            "remove_box" => {
                self.removed.insert(word("box"), (self.current[&table], word("seal")));
                self.standing.insert(table, word("replacement"));
            }
            "receive_box" => {
                let (session, seal) = &self.removed[&word("box")];
                if *seal != word("seal") {
                    self.findings.insert((*session, "SEAL_MISMATCH", word("box")));
                }
            }
            "soft_count" => self.soft_count(act, &word("box")),
            "begin_opening" | "verify_tray" | "cage_receipt" | "schedule_drop" | "deliver_box" | "start_closing" => {}
            other => panic!("the day has an act this test does not know: {other}"),
        }
    }

    fn count_tray(&mut self, table: &str, kind: String, chipset: &Value) {
        let session = self.current[table];
        let closer = self.sessions[session].before.map(|before| &self.sessions[before].trays["close"]);
        if kind == "open" && closer.is_some_and(|closer| pieces(closer) != pieces(chipset)) {
            self.findings.insert((session, "OPENING_VARIANCE", table.to_owned()));
        }
        self.sessions[session].trays.insert(kind, chipset.clone());
    }

    fn verify_slip(&mut self, name: &str, chipset: &Value) {
        let slip = self.slips.get_mut(name).expect("a slip");
        let (asked, confirmed) = (total(&slip.asked), total(chipset));
        slip.confirmed = Some(confirmed);
        let session = &mut self.sessions[slip.session];
        *(if slip.kind == "fill" {
            &mut session.fills
        } else {
            &mut session.credits
        }) += confirmed;
        if asked != confirmed {
            self.findings.insert((slip.session, "SLIP_AMOUNT_MISMATCH", name.to_owned()));
        }
    }

    /// Chips that did not move are in no total; that they were verified first is a finding.
    fn void_slip(&mut self, name: String) {
        let slip = self.slips.get_mut(&name).expect("a slip");
        slip.voided = true;
        if let Some(confirmed) = slip.confirmed {
            let session = &mut self.sessions[slip.session];
            *(if slip.kind == "fill" {
                &mut session.fills
            } else {
                &mut session.credits
            }) -= confirmed;
            self.findings.insert((slip.session, "VOID_MISUSE", name));
        }
    }

    fn soft_count(&mut self, act: &Value, drop_box: &str) {
        let session = self.removed[drop_box].0;
        self.sessions[session].drop += act["drop_total_cents"].as_i64().expect("cents");
        if act["count_1_cents"] != act["count_2_cents"] {
            self.findings.insert((session, "COUNT_VARIANCE", drop_box.to_owned()));
        }
        let mut expected: BTreeSet<String> = self.contents.remove(drop_box).unwrap_or_default().into_iter().collect();
        let mut seen = BTreeSet::new();
        for paper in act["documents"].as_array().expect("papers") {
            let Some(kind) = paper["kind"].as_str().and_then(|kind| kind.strip_suffix("_slip")) else {
                continue;
            };
            match self.named(kind, paper) {
                None => {
                    self.findings.insert((session, "UNEXPECTED_SLIP", paper["number"].to_string()));
                }
                Some(name) if seen.contains(&name) => {
                    self.findings.insert((self.slips[&name].session, "DUPLICATE_SLIP_NO", name));
                }
                Some(name) => {
                    let slip = &self.slips[&name];
                    let wrong = match (expected.remove(&name), slip.voided) {
                        (true, _) => (slip.confirmed != paper["amount_cents"].as_i64()).then_some("SLIP_AMOUNT_MISMATCH"),
                        (false, true) => Some("VOID_MISUSE"),
                        (false, false) => Some("UNEXPECTED_SLIP"),
                    };
                    self.findings.extend(wrong.map(|category| (slip.session, category, name.clone())));
                    seen.insert(name);
                }
            }
        }
        for name in expected {
            self.findings.insert((self.slips[&name].session, "MISSING_SLIP", name));
        }
    }

    /// The slip a paper belongs to: by its request, or by the number the n-th issue of its kind was given.
    fn named(&self, kind: &str, paper: &Value) -> Option<String> {
        if let Some(name) = paper["request_id"].as_str() {
            return Some(name.to_owned());
        }
        let number: usize = paper["number"].as_str()?.parse().ok()?;
        self.issued.get(kind)?.get(number.checked_sub(1)?).cloned()
    }
}

fn pieces(chipset: &Value) -> BTreeMap<i64, i64> {
    let all = chipset.as_object().expect("a chipset").iter();
    all.map(|(cents, count)| (cents.parse().expect("cents"), count.as_i64().expect("pieces")))
        .filter(|(_, count)| *count != 0)
        .collect()
}

fn total(chipset: &Value) -> i64 {
    pieces(chipset).into_iter().map(|(cents, count)| cents * count).sum()
}

/// The daemon as `serve` starts it, over a test's database seeded with the folder.
struct Floor {
    running: Running,
    owner: DatabaseConnection,
    folder: Folder,
    clock: Clock,
    issuer: TokenIssuer,
    app: PoolSettings,
}

impl Floor {
    async fn open() -> Self {
        Self::of(Folder::read(&folder()).expect("the folder")).await
    }

    async fn of(folder: Folder) -> Self {
        let cluster = Cluster::database().await;
        // The day's own morning: a day played across a gaming day's start would begin a new series of slip numbers.
        let clock = Clock::frozen("2026-03-06T12:00:00Z".parse::<DateTime<Utc>>().expect("an instant"));
        let app = PoolSettings {
            url: cluster.url("rundown_app"),
            assume_role: None,
            max_connections: 8,
            statement_timeout: Duration::from_secs(20),
            lock_timeout: Duration::from_secs(10),
        };
        let database = Database {
            embedded: None,
            owner_url: cluster.url(OWNER).into(),
            app: app.clone(),
        };
        seed(&database, &folder, clock.now()).await.expect("seeded");

        let nowhere = Path::new("/nonexistent");
        let mut config = Config::load(Some(nowhere), None).expect("a configuration");
        config.server.listen = "127.0.0.1:0".parse().expect("an address");
        config.auth.secret = auth().secret;
        let issuer = TokenIssuer::new(&config.auth.settings(), nowhere).expect("an issuer");
        let running = daemon::start(&config, clock.clone(), database).await.expect("a daemon");
        Self {
            running,
            owner: cluster.owner().await,
            folder,
            clock,
            issuer,
            app,
        }
    }

    async fn play(&self, finalize: bool) -> Outcome {
        let tokens = |employee_no: &str| {
            let subject = format!("{}:{employee_no}", self.folder.casino.name);
            self.issuer.issue(&subject, self.clock.now(), Duration::from_hours(12))
        };
        play(&self.folder, &self.running.url(), &tokens, finalize, Progress::Hidden)
            .await
            .expect("played to the end")
    }

    /// Everything stored: by table, how many rows and a hash of all they say.
    async fn stored(&self) -> BTreeMap<&'static str, Value> {
        let mut stored = BTreeMap::new();
        for (table, _) in entities::tables() {
            let sql =
                format!("SELECT jsonb_build_array(count(*), md5(string_agg(t::text, ',' ORDER BY t::text))) AS json FROM {table} AS t");
            stored.insert(table, ask(&self.owner, &sql, []).await);
        }
        stored
    }
}

#[track_caller]
fn all_accepted(outcome: &Outcome, acts: usize) {
    assert!(
        outcome.refused.is_empty(),
        "{}",
        outcome.refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    );
    assert_eq!(outcome.acts, acts);
}

#[tokio::test]
async fn a_casino_day_comes_out_as_its_file_deserves() {
    let day = Day::read(&folder());
    assert_eq!((day.acts, day.sessions.len()), (816, 47));
    let floor = Floor::open().await;

    let outcome = floor.play(false).await;
    all_accepted(&outcome, day.acts);
    assert_eq!(
        (outcome.replayed, outcome.sessions_by_status()),
        (0, BTreeMap::from([(Status::Reconciled, 47)]))
    );
    let found: Vec<Deserved> = outcome
        .sessions
        .iter()
        .map(|line| Deserved::of(line).unwrap_or_else(|| panic!("{line:#?}")))
        .collect();
    assert_eq!(found, day.deserved());
    // The day is worth playing: it has something of every kind to find.
    let raised: BTreeSet<String> = outcome.exceptions.keys().map(ToString::to_string).collect();
    let kinds = [
        "COUNT_VARIANCE",
        "MISSING_SLIP",
        "OPENING_VARIANCE",
        "SEAL_MISMATCH",
        "SLIP_AMOUNT_MISMATCH",
        "UNEXPECTED_SLIP",
    ];
    assert_eq!(raised, kinds.into_iter().map(str::to_owned).collect());

    let numbers = "SELECT jsonb_object_agg(kind, ids) AS json FROM (
                       SELECT kind, jsonb_agg(request_id ORDER BY slip_no) AS ids FROM table_slip WHERE slip_no IS NOT NULL GROUP BY kind) AS of_kind";
    assert_eq!(
        ask(&floor.owner, numbers, []).await,
        json!(day.issued),
        "the n-th slip of a kind has the number n"
    );
    let gaps = "SELECT jsonb_object_agg(kind, last_no) AS json FROM slip_counter";
    let expected: BTreeMap<_, _> = day.issued.iter().map(|(kind, slips)| (kind, slips.len())).collect();
    assert_eq!(ask(&floor.owner, gaps, []).await, json!(expected));
    let once = "SELECT jsonb_build_array((SELECT count(*) FROM audit_log WHERE domain <> 'casino'), (SELECT count(*) FROM idempotency_key)) AS json";
    assert_eq!(
        ask(&floor.owner, once, []).await,
        json!([day.acts, day.acts]),
        "one audit row and one answer an act"
    );

    let stored = floor.stored().await;
    let again = floor.play(false).await;
    all_accepted(&again, day.acts);
    assert_eq!((again.replayed, &again.sessions), (day.acts, &outcome.sessions));
    assert_eq!(
        floor.stored().await,
        stored,
        "a second play is a replay: not a row more, not a word changed"
    );

    let signed = floor.play(true).await;
    all_accepted(&signed, day.acts);
    assert_eq!((signed.finalized, signed.resolved), (47, outcome.exceptions.values().sum()));
    assert_eq!(signed.sessions_by_status(), BTreeMap::from([(Status::Finalized, 47)]));
    assert!(signed.sessions.iter().all(|line| line.open_exceptions == Some(0)));
    let found: Vec<_> = signed.sessions.iter().map(Deserved::of).collect();
    assert_eq!(
        found,
        day.deserved().into_iter().map(Some).collect::<Vec<_>>(),
        "no signature changes a figure"
    );
    crate::rollups::equal_the_reports(&floor.owner, &floor.app, &floor.clock).await;
    let graded = "SELECT jsonb_agg(DISTINCT metric_grade) AS json FROM table_rundown_report WHERE finalized_at IS NOT NULL";
    assert_eq!(ask(&floor.owner, graded, []).await, json!(["AUTHORITATIVE"]));

    floor.running.stop().await.expect("stopped in order");
}
