//! Short words for what tests say often, and the proof that a refusal left everything as it was.

use std::collections::BTreeMap;
use std::future::Future;

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::house::House;
use super::person::Reply;

/// By table: how many rows, and a hash of all they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored(BTreeMap<String, (i64, String)>);

impl House {
    /// Posts as somebody of this casino; the path is below `/api/v1/table-context/`.
    pub async fn post(&self, by: &str, path: &str, body: Value) -> Reply {
        self.person(by).post(&below(path), body).await
    }

    /// Reads as somebody of this casino; the path is below `/api/v1/table-context/`.
    pub async fn get(&self, by: &str, path: &str) -> Reply {
        self.person(by).get(&below(path)).await
    }

    /// Changes the casino's settings.
    pub async fn settle_policy(&self, change: Value) {
        self.person("AD-01").patch("/api/v1/casino", change).await.expect(200);
    }

    pub async fn status(&self, session: &str) -> String {
        self.get("CO-01", &format!("sessions/{session}")).await.expect(200)["status"]
            .as_str()
            .expect("a status")
            .to_owned()
    }

    /// A session's exceptions, oldest first.
    pub async fn exceptions(&self, session: &str) -> Vec<Value> {
        let reply = self.get("CO-01", &format!("exceptions?session_id={session}&limit=200")).await;
        reply.expect(200)["items"].as_array().expect("a list").clone()
    }

    /// The categories of a session's exceptions, sorted.
    pub async fn categories(&self, session: &str) -> Vec<String> {
        let mut categories: Vec<String> = self.exceptions(session).await.iter().map(|row| text(row, "category")).collect();
        categories.sort();
        categories
    }

    /// Removes the box, delivers and receives it under one seal; the removal's id.
    pub async fn drop_and_bring(&self, session: &str, drop_box: &str, replacement: Option<&str>, seal: &str) -> String {
        let drop = text(&self.remove(session, drop_box, replacement, seal).await.expect(201)["drop"], "id");
        self.bring(&drop, seal).await;
        drop
    }

    /// One column of text, as the owner of the database sees it.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let owner = self.cluster.owner().await;
        let rows = owner
            .query_all_raw(Statement::from_string(DbBackend::Postgres, sql.to_owned()))
            .await
            .expect(sql);
        owner.close().await.expect("closed");
        rows.iter().map(|row| row.try_get_by_index(0).expect("text")).collect()
    }

    /// The names of all tables of the schema: the same in every test's database.
    pub async fn relations(&self) -> &'static [String] {
        static RELATIONS: OnceCell<Vec<String>> = OnceCell::const_new();
        const ALL: &str = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
        RELATIONS.get_or_init(|| self.texts(ALL)).await
    }

    /// All the database holds. The count of wrong PINs is left out: it is what a refusal may leave behind (domain §3).
    pub async fn stored(&self) -> Stored {
        let each = |table: &String| {
            format!(
                "SELECT jsonb_build_array('{table}', count(*), COALESCE(md5(string_agg(r.row, ',' ORDER BY r.row)), ''))::text
                   FROM (SELECT (to_jsonb(t) - '{{failed_pins,pin_locked_until}}'::text[])::text AS row FROM {table} AS t) AS r"
            )
        };
        let sql = self.relations().await.iter().map(each).collect::<Vec<_>>().join(" UNION ALL ");
        let tables = self.texts(&sql).await;
        let rows = tables
            .iter()
            .map(|row| serde_json::from_str::<(String, i64, String)>(row).expect("a row"));
        Stored(rows.map(|(table, count, hash)| (table, (count, hash))).collect())
    }

    /// Sends, and holds that nothing was stored: no fact, no audit row, no event, no key, no number taken.
    pub async fn in_vain(&self, send: impl Future<Output = Reply>) -> Reply {
        let before = self.stored().await;
        let reply = send.await;
        assert_eq!(self.stored().await, before, "{} left a trace: {}", reply.status, reply.text);
        reply
    }
}

/// A path of the table context.
pub fn below(path: &str) -> String {
    format!("/api/v1/table-context/{path}")
}

/// A member that is text.
#[track_caller]
pub fn text(value: &Value, member: &str) -> String {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("no text {member} in {value}"))
        .to_owned()
}

/// The id of what is answered.
#[track_caller]
pub fn id(value: &Value) -> String {
    text(value, "id")
}

/// A tray of 2,000.00.
pub fn tray() -> Value {
    json!({ "10000": 20 })
}
