//! From configuration to connections: which Postgres, in which role, with which schema.
//!
//! Two roles, never mixed. The owner migrates, founds casinos and looks people up, over one connection that ends with the errand. The
//! daemon works as the application role, which owns nothing and cannot step over row security: [`Database::connect`] asks Postgres
//! whether that is so, and hands out no pool where it is not.
//!
//! Beside `store` this is the only room that names `SeaORM`: migrations and the owner's errands are no command's business.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use chrono::{DateTime, Utc};
use migration::{Migrator, MigratorTrait as _};
use reqwest::Url;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, RuntimeErr, SqlxPostgresError, Statement};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::config::{self, Config};
use crate::postgres::{DATABASE, Embedded, OWNER, Tuning};
use crate::store::{Db, PoolSettings, Tx};

/// The daemon's role, made by the first migration.
pub const APP_ROLE: &str = "rundown_app";

/// How long a migration waits for the commands under way. Longer, and the commands behind it would wait as long.
const MIGRATION_LOCK_TIMEOUT: Duration = Duration::from_mins(1);

/// Daemons of one database that start together would migrate it together: the second waits, and finds it done. The lock is the
/// session's, so it is gone with the connection, however that ends.
///
/// Before it the notices go: the migrator asks for its table at every step, and is told each time that it is there.
const LOCK_SCHEMA: &str = "SET client_min_messages = warning; SELECT pg_advisory_lock(8247616871532195694)";

/// A database, and how its two roles are reached.
pub struct Database {
    /// The private server, where there is one: it runs as long as this value lives.
    pub embedded: Option<Embedded>,
    pub owner_url: SecretString,
    /// The daemon's own connections.
    pub app: PoolSettings,
}

/// Migrations by name, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrations {
    pub applied: Vec<String>,
    pub pending: Vec<String>,
}

impl Database {
    /// For the daemon: the configured server, or the private cluster, which this process then owns.
    pub async fn start(config: &Config) -> Result<Self> {
        Self::configured(config, Embedded::start).await
    }

    /// For a command: the same database, beside the daemon or without one.
    pub async fn open(config: &Config) -> Result<Self> {
        Self::configured(config, Embedded::open).await
    }

    /// A cluster that is gone with this process.
    pub async fn throwaway(config: &config::Database) -> Result<Self> {
        Ok(Self::private(config, blocking(Embedded::throwaway).await?))
    }

    async fn configured(config: &Config, run: fn(&Path, Tuning) -> Result<Embedded>) -> Result<Self> {
        if let Some(url) = &config.database.url {
            // The token secret belongs there. Where none is made, nobody minds that this fails; where one is, that says what is wrong.
            std::fs::create_dir_all(&config.data_dir).ok();
            return Self::elsewhere(&config.database, url);
        }
        let root = config.data_dir.clone();
        let embedded = blocking(move || run(&root, Tuning::Durable)).await?;
        Ok(Self::private(&config.database, embedded))
    }

    fn private(config: &config::Database, embedded: Embedded) -> Self {
        Self {
            owner_url: embedded.url(OWNER, DATABASE).into(),
            app: app(config, embedded.url(APP_ROLE, DATABASE), None),
            embedded: Some(embedded),
        }
    }

    fn elsewhere(config: &config::Database, url: &SecretString) -> Result<Self> {
        for url in config.owner_url.iter().chain([url]) {
            // Here, because the driver would print the one it cannot read, password and all.
            let read = Url::parse(url.expose_secret()).ok();
            ensure!(
                read.is_some_and(|url| matches!(url.scheme(), "postgres" | "postgresql")),
                "database.url and database.owner_url are postgres://user:password@host/database"
            );
        }
        // One URL alone is the owner's, and the daemon steps down from it; beside an owner's URL it is the application's own.
        let step_down = config.owner_url.is_none().then_some(APP_ROLE);
        Ok(Self {
            embedded: None,
            owner_url: config.owner_url.as_ref().unwrap_or(url).clone(),
            app: app(config, url.expose_secret().to_owned(), step_down),
        })
    }

    /// Brings the schema up to date where the owner's connection may, and otherwise says who has to.
    pub async fn prepare(&self) -> Result<()> {
        let pending = self.migrations().await?.pending;
        if pending.is_empty() {
            return Ok(());
        }
        let migrator: Migrating = self.owner().await?.once(MIGRATING).await?;
        ensure!(
            migrator.may,
            "the schema lacks {}, and {} may not migrate it: run `rundown migrate` with the owner's connection in database.owner_url",
            pending.join(", "),
            migrator.role
        );
        self.migrate_up().await.map(drop)
    }

    /// What was applied and what is not, without changing anything.
    pub async fn migrations(&self) -> Result<Migrations> {
        let owner = self.owner().await?;
        let migrations = owner.migrations().await;
        owner.close().await?;
        migrations
    }

    /// Applies what is pending; says what that was.
    pub async fn migrate_up(&self) -> Result<Vec<String>> {
        let owner = self.owner().await?;
        let applied = owner.migrate_up().await;
        owner.close().await?;
        applied
    }

    /// Takes back the last `steps` migrations, or all; says which, the latest first.
    pub async fn migrate_down(&self, steps: Option<u32>) -> Result<Vec<String>> {
        let owner = self.owner().await?;
        let taken_back = owner.migrate_down(steps).await;
        owner.close().await?;
        taken_back
    }

    /// The owner's connection, for one errand.
    pub async fn owner(&self) -> Result<Owner> {
        let settings = PoolSettings {
            url: self.owner_url.expose_secret().to_owned(),
            assume_role: None,
            max_connections: 1,
            // None: a migration may rewrite what a casino has gathered in years.
            statement_timeout: Duration::ZERO,
            lock_timeout: MIGRATION_LOCK_TIMEOUT,
        };
        let db = Db::connect(&settings)
            .await
            .context("the owner cannot connect to the database (does it run, and is its address right?)")?;
        Ok(Owner { db })
    }

    /// The daemon's pool, proved: the schema is this program's, and the fence between casinos holds for this role.
    pub async fn connect(&self) -> Result<Db> {
        let db = Db::connect(&self.app).await.with_context(|| {
            format!("cannot work as {APP_ROLE} (`rundown migrate` makes that role; an owner steps down to it as its member)")
        })?;
        match prove(&db).await {
            Ok(()) => Ok(db),
            Err(refused) => {
                db.close().await?;
                Err(refused)
            }
        }
    }

    /// Ends the private server, if this process owns it.
    pub async fn stop(self) -> Result<()> {
        match self.embedded {
            Some(embedded) => blocking(|| embedded.stop()).await,
            None => Ok(()),
        }
    }
}

fn app(config: &config::Database, url: String, assume_role: Option<&'static str>) -> PoolSettings {
    let milliseconds = |configured: std::num::NonZeroU32| Duration::from_millis(configured.get().into());
    PoolSettings {
        url,
        assume_role,
        max_connections: config.pool_size(),
        statement_timeout: milliseconds(config.statement_timeout_ms),
        lock_timeout: milliseconds(config.lock_timeout_ms),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("the private Postgres' keeper panicked")?
}

/// Fails closed: a daemon in the wrong role would serve every casino's rows to everybody, and nothing would look wrong.
async fn prove(db: &Db) -> Result<()> {
    let pending = migrations(db.raw()).await?.pending;
    ensure!(pending.is_empty(), "the schema lacks {}: run `rundown migrate`", pending.join(", "));
    let standing = Standing::of(db).await?;
    ensure!(
        standing.reach.is_empty(),
        "the daemon must not work as {}: {}",
        standing.role,
        standing.reach.join(", ")
    );
    ensure!(
        standing.fence.is_empty(),
        "the fence between casinos has holes: {}",
        standing.fence.join("; ")
    );
    ensure!(
        standing.bridge.is_empty(),
        "the bridge from finance to telemetry is not sound: {}",
        standing.bridge.join("; ")
    );
    Ok(())
}

async fn migrations(connection: &impl ConnectionTrait) -> Result<Migrations> {
    let refused = "the schema is not this program's (is it a newer program's?)";
    let applied = Migrator::get_applied_migrations_read_only(connection)
        .await
        .map_err(told)
        .context(refused)?;
    let pending = Migrator::get_pending_migrations_read_only(connection)
        .await
        .map_err(told)
        .context(refused)?;
    Ok(Migrations {
        applied: applied.iter().map(|migration| migration.name().to_owned()).collect(),
        pending: pending.iter().map(|migration| migration.name().to_owned()).collect(),
    })
}

/// What Postgres says of a connection.
#[derive(Clone, Debug, Deserialize)]
pub struct Standing {
    pub role: String,
    /// What would let the role reach past the fence; empty for one that may serve.
    pub reach: Vec<String>,
    /// Tables the fence does not stand around; empty in a sound schema.
    pub fence: Vec<String>,
    /// What is wrong with the bridge from finance to telemetry: its one trigger, and the index that keeps it from writing twice.
    pub bridge: Vec<String>,
    /// The database's clock.
    pub at: DateTime<Utc>,
}

impl Standing {
    pub async fn of(db: &Db) -> Result<Self> {
        json(db.raw(), STANDING, None)
            .await
            .context("the database does not say what the daemon may")
    }
}

/// Membership counts like possession: a member becomes the role with one statement.
const STANDING: &str = "
SELECT jsonb_build_object(
    'role', own.rolname,
    'reach', (
        SELECT COALESCE(jsonb_agg(fault), '[]') FROM (
            SELECT 'it is a superuser' AS fault WHERE own.rolsuper
            UNION ALL
            SELECT 'it may bypass row security' WHERE own.rolbypassrls
            UNION ALL
            SELECT 'it may become ' || other.rolname FROM pg_catalog.pg_roles AS other
             WHERE NOT own.rolsuper AND other.oid <> own.oid AND (other.rolsuper OR other.rolbypassrls)
               AND pg_has_role(own.oid, other.oid, 'MEMBER')
            UNION ALL
            SELECT 'it owns ' || string_agg(relation.relname, ', ' ORDER BY relation.relname) FROM pg_catalog.pg_class AS relation
             WHERE NOT own.rolsuper AND relation.relnamespace = 'public'::regnamespace AND relation.relkind IN ('r', 'p', 'v', 'm', 'f')
               AND pg_has_role(own.oid, relation.relowner, 'MEMBER')
            HAVING count(*) > 0
        ) AS faults),
    'fence', (SELECT COALESCE(jsonb_agg(table_name || ': ' || fault), '[]') FROM tenant_fence_report()),
    'bridge', (SELECT COALESCE(jsonb_agg(fault), '[]') FROM bridge_report()),
    'at', clock_timestamp()) AS json
  FROM pg_catalog.pg_roles AS own
 WHERE own.rolname = current_user";

/// Whether a connection could apply a migration.
#[derive(Deserialize)]
struct Migrating {
    role: String,
    may: bool,
}

const MIGRATING: &str = "
SELECT jsonb_build_object('role', current_user, 'may', has_schema_privilege('public', 'CREATE') AND COALESCE(
    (SELECT pg_has_role(relowner, 'MEMBER') FROM pg_catalog.pg_class WHERE oid = to_regclass('public.seaql_migrations')), true)) AS json";

/// The owner's one connection.
///
/// Row security is forced, so an owner that is no superuser is fenced too: it reads the list of casinos, and everything else of one
/// casino at a time, in whose name it then [stands](Errand::stand_in).
pub struct Owner {
    db: Db,
}

/// One transaction of the owner. Dropped, it leaves nothing behind.
pub struct Errand {
    tx: Tx,
}

impl Owner {
    pub async fn begin(&self) -> Result<Errand> {
        Ok(Errand {
            tx: self.db.begin().await?,
        })
    }

    pub async fn close(self) -> Result<()> {
        self.db.close().await
    }

    /// A single question, and then the connection is given back.
    async fn once<T: DeserializeOwned>(self, sql: &'static str) -> Result<T> {
        let answer = json(self.db.raw(), sql, None).await;
        self.db.close().await?;
        answer
    }

    async fn migrations(&self) -> Result<Migrations> {
        migrations(self.db.raw()).await
    }

    async fn migrate_up(&self) -> Result<Vec<String>> {
        self.lock_schema().await?;
        let pending = self.migrations().await?.pending;
        // Not asked for nothing: it would want to make its own table first, which only an owner may.
        if !pending.is_empty() {
            let migrated = Migrator::up(self.db.raw(), None).await;
            migrated.map_err(told).context("the schema could not be migrated")?;
        }
        Ok(pending)
    }

    async fn migrate_down(&self, steps: Option<u32>) -> Result<Vec<String>> {
        self.lock_schema().await?;
        let before = self.migrations().await?.applied;
        let taken_back = Migrator::down(self.db.raw(), steps).await;
        taken_back.map_err(told).context("the schema could not be taken back")?;
        let after = self.migrations().await?.applied;
        Ok(before.into_iter().skip(after.len()).rev().collect())
    }

    async fn lock_schema(&self) -> Result<()> {
        let locked = self.db.raw().execute_unprepared(LOCK_SCHEMA).await;
        locked.map(drop).map_err(told).context("somebody else is migrating")
    }
}

impl Errand {
    /// From here on the transaction sees and writes this casino's rows.
    pub async fn stand_in(&self, casino: Uuid) -> Result<()> {
        let set: Value = self
            .json("SELECT to_jsonb(set_config('app.casino_id', $1->>0, true)) AS json", &[casino])
            .await?;
        ensure!(set == Value::String(casino.to_string()), "the tenant context was not taken");
        Ok(())
    }

    /// One statement: `$1` is what is given, and its one row's column `json` is what comes back.
    pub async fn json<T: DeserializeOwned>(&self, sql: &'static str, given: &impl Serialize) -> Result<T> {
        json(self.tx.connection(), sql, Some(serde_json::to_value(given)?)).await
    }

    pub async fn commit(self) -> Result<()> {
        Ok(self.tx.commit().await?)
    }
}

async fn json<T: DeserializeOwned>(connection: &impl ConnectionTrait, sql: &'static str, given: Option<Value>) -> Result<T> {
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, given.map(sea_orm::Value::from));
    let row = connection
        .query_one_raw(statement)
        .await
        .map_err(told)?
        .context("the database gave no answer")?;
    let value: Option<Value> = row.try_get("", "json")?;
    Ok(serde_json::from_value(value.unwrap_or_default())?)
}

/// What Postgres says, in its own words and with its hint: the hint is where a migration names the command that helps.
fn told(error: DbErr) -> anyhow::Error {
    let (DbErr::Conn(RuntimeErr::SqlxError(sqlx)) | DbErr::Exec(RuntimeErr::SqlxError(sqlx)) | DbErr::Query(RuntimeErr::SqlxError(sqlx))) =
        &error
    else {
        return error.into();
    };
    let Some(refusal) = sqlx
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<SqlxPostgresError>())
    else {
        return error.into();
    };
    let more = [refusal.detail(), refusal.hint()].into_iter().flatten();
    let more: Vec<&str> = more.collect();
    anyhow!([&[refusal.message()], more.as_slice()].concat().join(". "))
}
