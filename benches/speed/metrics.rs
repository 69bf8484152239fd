//! Window metrics over a big floor: 300 tables, three shifts a day, 90 days, in a casino of its own.
//!
//! It is loaded when everything else has been measured, so nothing else carries it. Nothing answers from memory: the daemon keeps no answer, and
//! within a sample no window is asked for twice as long as there are others.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use uuid::Uuid;

use crate::casino::{self, text};
use crate::client::{People, Work};
use crate::daemon::authorization;
use crate::run::{Bench, all, note, rate};

const NAME: &str = "Big floor";
/// The floor of the budgets. Three shifts a day are the file's.
const TABLES: usize = 300;
const DAYS: usize = 90;
/// In a quick run.
const FEW_TABLES: usize = 30;
const FEW_DAYS: usize = 8;
/// The same floor that `tests/it/metrics/cost.rs` counts rows on.
const HISTORY: &str = include_str!("../../tests/it/support/floor_history.sql");
/// One reader whom nobody is in the way of, and as many as look at a floor's dashboards at once.
const READERS: [usize; 2] = [1, 4];
/// Rounds beyond these would only take time.
const MOST_ROUNDS: usize = 3;
/// A reader who knows the answer asks for one of so many windows: learning their tags reads each once.
const KNOWN: usize = 8;
/// What is asked for, and the budget it has to keep to. For a pit nobody has set one.
const VIEWS: [(&str, &str); 4] = [
    ("tables", "ms, p95 (budget 200)"),
    ("pits", "ms, p95"),
    ("casino", "ms, p95 (budget 150)"),
    ("summary", "ms, p95 (budget 300)"),
];
const BUDGET_KNOWN: &str = "ms, p95 (budget 5)";

/// The casino, who reads it, and the windows there are.
struct Floor {
    people: People,
    /// By how a window is named: the queries.
    windows: [(&'static str, Vec<String>); 2],
}

/// One way of asking, measured in one sample.
struct Reading<'a> {
    view: &'a str,
    window: &'a str,
    paths: Vec<String>,
    known: bool,
    budget: &'static str,
}

impl Bench<'_> {
    pub async fn metrics(&mut self) -> Result<()> {
        if !self.settings.wants("metrics") {
            return Ok(());
        }
        let (tables, days) = if self.settings.quick {
            (FEW_TABLES, FEW_DAYS)
        } else {
            (TABLES, DAYS)
        };
        note(&format!("{tables} tables with three shifts on {days} days"));
        let floor = Floor::found(&self.owner, tables, days).await?;
        self.look(&floor, tables).await?;
        let rounds = self.settings.rounds.min(MOST_ROUNDS);
        for round in 0..rounds {
            note(&format!("metrics, round {} of {rounds}", round + 1));
            for reading in floor.readings(round) {
                for readers in READERS {
                    self.read_metrics(&floor, &reading, readers).await?;
                }
            }
        }
        Ok(())
    }

    /// What is measured is an answer: of every table, with both of its counts, its win and its buy-ins.
    async fn look(&self, floor: &Floor, tables: usize) -> Result<()> {
        for (_, windows) in &floor.windows {
            let summary = self.get(&floor.people, &path("summary", &windows[0])).await?;
            let casino = &summary["casino"];
            let told = ["tables", "covered_tables"].map(|count| casino[count].as_u64());
            ensure!(told == [Some(tables as u64); 2], "{} tells of {told:?}", windows[0]);
            let unknown = ["win_loss_stat_skipped", "estimated_drop_rated_skipped"].map(|count| casino[count].as_u64());
            ensure!(unknown == [Some(0); 2], "{} lacks {unknown:?}", windows[0]);
        }
        Ok(())
    }

    async fn get(&self, people: &People, path: &str) -> Result<Value> {
        let addr = self.daemon.as_ref().context("a daemon")?.addr;
        let request = self
            .http
            .get(format!("http://{addr}{path}"))
            .header("authorization", people.token("CO-01")?);
        let response = request.send().await?;
        let (status, answer) = (response.status(), response.text().await?);
        ensure!(status.is_success(), "GET {path}: {status} {answer}");
        Ok(serde_json::from_str(&answer)?)
    }

    async fn read_metrics(&mut self, floor: &Floor, reading: &Reading<'_>, readers: usize) -> Result<()> {
        let work = Work::Get {
            paths: reading.paths.clone(),
            by: "CO-01".to_owned(),
            known: reading.known,
        };
        let seconds = if reading.known { self.seconds() / 3.0 } else { self.seconds() };
        let (outcome, spent) = self.sample_of(&floor.people, work, readers, seconds, None).await?;
        let how = if reading.known { ", known already (304)" } else { "" };
        let what = format!("metrics: {} of a {}{how}, {readers} connections", reading.view, reading.window);
        self.report.add(&what, "/s", rate(&outcome));
        self.report.add(&what, "ms, p50", outcome.latency.p50);
        self.report.add(&what, reading.budget, outcome.latency.p95);
        self.report.add(&what, "ms, longest", outcome.latency.max);
        let requests = all(&outcome);
        self.report.add(&what, "CPU ms of the daemon each", spent.daemon_ms / requests);
        self.report.add(&what, "CPU ms of Postgres each", spent.postgres_ms / requests);
        Ok(())
    }
}

impl Floor {
    async fn found(owner: &sea_orm::DatabaseConnection, tables: usize, days: usize) -> Result<Self> {
        let (id, people) = casino::found_people(owner, NAME, authorization).await?;
        let settings = [
            ("casino", id.to_string()),
            ("tables", tables.to_string()),
            ("days", days.to_string()),
            // The last shift runs, and has begun wherever the casino is.
            ("last_day", text(owner, "SELECT (current_date - 2)::text").await?),
        ];
        let set = settings.map(|(name, value)| format!("SELECT set_config('load.{name}', '{value}', false);"));
        casino::say(owner, &(set.concat() + HISTORY)).await?;
        // As after a night: what autovacuum would do in the middle of a sample is done.
        casino::say(owner, "VACUUM (ANALYZE)").await?;
        casino::say(owner, "CHECKPOINT").await?;
        let loaded = format!("SELECT count(*)::text FROM table_inventory_session WHERE casino_id = '{id}'");
        let loaded: usize = text(owner, &loaded).await?.parse()?;
        ensure!(loaded == tables * days * 3, "{loaded} sessions were loaded");
        Ok(Self {
            people,
            windows: [
                ("gaming day", closed(owner, id, "DISTINCT 'gaming_day=' || gaming_day").await?),
                ("shift", closed(owner, id, "'shift_id=' || id").await?),
            ],
        })
    }

    /// Every view of every window, first as it is asked for by who does not know, then by who does. Each round begins with other windows.
    fn readings(&self, round: usize) -> Vec<Reading<'_>> {
        let mut readings = Vec::new();
        for (view, budget) in VIEWS {
            for (window, queries) in &self.windows {
                let mut paths: Vec<String> = queries.iter().map(|query| path(view, query)).collect();
                let turn = paths.len() / MOST_ROUNDS * (round % MOST_ROUNDS);
                paths.rotate_left(turn);
                let few = paths.iter().take(KNOWN).cloned().collect();
                for (known, paths, budget) in [(false, paths, budget), (true, few, BUDGET_KNOWN)] {
                    readings.push(Reading {
                        view,
                        window,
                        paths,
                        known,
                        budget,
                    });
                }
            }
        }
        readings
    }
}

fn path(view: &str, query: &str) -> String {
    format!("/api/v1/table-context/metrics/{view}?{query}")
}

/// Windows whose sessions are all finalized, the last of them first: as people ask.
async fn closed(owner: &sea_orm::DatabaseConnection, casino: Uuid, query: &str) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT string_agg(query, ' ' ORDER BY query DESC) FROM (
            SELECT {query} AS query FROM shift AS s WHERE s.casino_id = '{casino}'
               AND s.gaming_day < (SELECT max(l.gaming_day) FROM shift AS l WHERE l.casino_id = s.casino_id)) AS w"
    );
    Ok(text(owner, &sql).await?.split(' ').map(ToOwned::to_owned).collect())
}
