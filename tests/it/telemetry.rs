//! Buy-in telemetry (domain §10, seed 3): the bridge and each of its guardrails, the backfill, entries by hand, late rows.

mod backfill;
mod bridge;
mod checkpoint;
mod late;
mod manual;

use rundown::clock::new_id;
use rundown::database::Database;
use rundown::postgres::OWNER;
use rundown::store::PoolSettings;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr, SqlxError, TransactionTrait as _};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

use crate::support::{House, Reply, id, tray};

/// A rated player at BJ-01, which is in play.
struct Seated {
    house: House,
    player: String,
    visit: String,
    slip: String,
}

async fn seated() -> Seated {
    let house = House::open().await;
    house.open_table("BJ-01", "BJ-01-A", tray()).await;
    seat(house, "BJ-01").await
}

async fn seat(house: House, table: &str) -> Seated {
    let boss = house.person("PB-01");
    let player = json!({ "player_no": format!("P-{table}"), "name": "Ida Alder" });
    let player = id(boss.post("/api/v1/players", player).await.expect(201));
    let visit = json!({ "visit_kind": "gaming_identified_rated", "player_id": player });
    let visit = id(boss.post("/api/v1/visits", visit).await.expect(201));
    let slip = json!({ "visit_id": visit, "table_id": house.table(table) });
    let slip = id(boss.post("/api/v1/rating-slips", slip).await.expect(201));
    Seated {
        house,
        player,
        visit,
        slip,
    }
}

impl Seated {
    /// A transaction through the API, by the pit boss.
    async fn pay(&self, body: Value) -> Reply {
        self.house.person("PB-01").post("/api/v1/financial-transactions", body).await
    }

    async fn buy_in(&self, cents: i64) -> String {
        let body = json!({
            "player_id": self.player, "visit_id": self.visit, "rating_slip_id": self.slip, "direction": "in", "amount_cents": cents,
            "tender_type": "cash",
        });
        id(self.pay(body).await.expect(201))
    }

    /// The same as a row of SQL, whoever writes it and in whosever name.
    fn row(&self, casino: Uuid, by: Uuid) -> String {
        format!(
            "INSERT INTO player_financial_transaction
                (id, casino_id, player_id, visit_id, rating_slip_id, direction, amount_cents, gaming_day, occurred_at, idempotency_key,
                 created_by_staff_id, created_at)
             VALUES ('{id}', '{casino}', '{}', '{}', '{}', 'in', 5000, '2026-03-06', '2026-03-06T20:30:00Z', '{id}', '{by}',
                     '2026-03-06T20:30:00Z')",
            self.player,
            self.visit,
            self.slip,
            id = new_id(),
        )
    }

    fn own_row(&self) -> String {
        self.row(self.house.home.casino, self.house.staff("PB-01"))
    }

    async fn telemetry(&self, filter: &str) -> Vec<Value> {
        let reply = self.house.get("PB-01", &format!("buyin-telemetry?{filter}")).await;
        reply.expect(200)["items"].as_array().expect("a list").clone()
    }

    /// What one transaction came to.
    async fn of_transaction(&self, transaction: &str) -> Vec<Value> {
        let key = format!("pft:{transaction}");
        let rows = self.telemetry("").await;
        rows.into_iter().filter(|row| row["idempotency_key"] == key.as_str()).collect()
    }
}

/// A grind entry of the pit boss at a table.
fn grind(house: &House, table: &str, cents: i64, key: &str) -> Value {
    json!({ "table_id": house.table(table), "amount_cents": cents, "telemetry_kind": "GRIND_BUYIN", "idempotency_key": key })
}

/// The database as a daemon finds it when it starts.
fn as_found(house: &House) -> Database {
    Database {
        embedded: None,
        owner_url: house.cluster.url(OWNER).into(),
        app: PoolSettings {
            url: house.cluster.url("rundown_app"),
            assume_role: None,
            max_connections: 2,
            statement_timeout: Duration::from_secs(20),
            lock_timeout: Duration::from_secs(10),
        },
    }
}

#[expect(clippy::disallowed_methods, reason = "the test goes around the daemon on purpose")]
async fn begin(connection: &DatabaseConnection) -> DatabaseTransaction {
    connection.begin().await.expect("a transaction")
}

/// A transaction that stands in a context, as the daemon's do: local to it.
async fn standing(connection: &DatabaseConnection, casino: impl ToString, actor: impl ToString) -> DatabaseTransaction {
    let tx = begin(connection).await;
    let context = format!(
        "SELECT set_config('app.casino_id', '{}', true), set_config('app.actor_id', '{}', true)",
        casino.to_string(),
        actor.to_string()
    );
    tx.execute_unprepared(&context).await.expect("a context");
    tx
}

/// What refused a statement: the code and the rule.
async fn refusal(connection: &impl ConnectionTrait, sql: &str) -> (String, String) {
    match connection.execute_unprepared(sql).await {
        Err(DbErr::Exec(RuntimeErr::SqlxError(source))) => told(&source),
        other => panic!("not refused: {other:?}"),
    }
}

fn told(source: &SqlxError) -> (String, String) {
    let error = source.as_database_error().expect("the database's own error");
    let code = error.code().unwrap_or_default().into_owned();
    (code, error.constraint().unwrap_or_default().to_owned())
}
