//! The store: the only room that names SeaORM. It opens transactions, reads, and writes what was judged; it holds no rule.

pub mod buyin;
pub mod checkpoint;
pub mod clockwork;
pub mod desk;
mod desks;
pub mod fault;
pub mod feed;
pub mod list;
pub mod metrics;
pub mod neighbour;
pub mod packed;
pub mod prune;
pub mod relay;
pub mod rollups;
pub mod seals;
pub mod setup;
pub mod sheets;
pub mod shifts;
pub mod sinks;
pub mod standing;

use std::time::Duration;

use sea_orm::sqlx::postgres::PgPoolOptions;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, FromQueryResult, SqlxPostgresConnector, Statement,
    TransactionTrait, Value,
};
use serde::de::DeserializeOwned;

use crate::error::Error;
use fault::Fault;

/// How long anybody waits for a connection.
const ACQUIRE_MAY_TAKE: Duration = Duration::from_secs(5);

/// The pool, connected as the application role.
#[derive(Clone)]
pub struct Db {
    pool: DatabaseConnection,
}

/// How the pool is made.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    pub url: String,
    /// Step down to this role at connect time: where only the owner's URL is known.
    pub assume_role: Option<&'static str>,
    pub max_connections: u32,
    pub statement_timeout: Duration,
    pub lock_timeout: Duration,
}

/// One transaction. It is a value: dropping it rolls back, `commit` consumes it.
pub struct Tx {
    inner: DatabaseTransaction,
}

#[derive(FromQueryResult)]
struct Json {
    json: Option<serde_json::Value>,
}

impl Db {
    pub async fn connect(settings: &PoolSettings) -> anyhow::Result<Self> {
        let mut options = ConnectOptions::new(settings.url.clone());
        let guards = [
            ("statement_timeout", format!("{}ms", settings.statement_timeout.as_millis())),
            ("lock_timeout", format!("{}ms", settings.lock_timeout.as_millis())),
            // The second line of defence against a transaction left open (see `api::run_to_end`).
            ("idle_in_transaction_session_timeout", "10s".to_owned()),
            ("TimeZone", "UTC".to_owned()),
            // A command's statements are over before they would be compiled.
            ("jit", "off".to_owned()),
        ];
        let role = settings.assume_role.map(|role| ("role", role.to_owned()));
        options
            .max_connections(settings.max_connections)
            .acquire_timeout(ACQUIRE_MAY_TAKE)
            .sqlx_logging(false)
            .test_before_acquire_if_idle_for(Duration::from_secs(30))
            .map_sqlx_postgres_opts(move |opts| {
                opts.options(guards.iter().chain(role.as_ref()).map(|(name, value)| (*name, value.as_str())))
            });
        Ok(Self {
            pool: Database::connect(options).await?,
        })
    }

    /// A few connections beside the pool, for what must not queue behind commands. They are made when they are first asked for.
    #[must_use]
    pub fn beside(&self, connections: u32) -> Self {
        let like = self.pool.get_postgres_connection_pool().connect_options();
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_MAY_TAKE)
            // It is in use all the time, and what breaks is asked again.
            .test_before_acquire(false)
            .connect_lazy_with((*like).clone());
        Self {
            pool: SqlxPostgresConnector::from_sqlx_postgres_pool(pool),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place a transaction begins: everything else gets a Tx"
    )]
    pub async fn begin(&self) -> Result<Tx, Fault> {
        Ok(Tx {
            inner: self.pool.begin().await?,
        })
    }

    /// The database answers, as a role the fence holds.
    pub async fn ping(&self) -> Result<(), Error> {
        self.pool
            .execute_unprepared("SELECT 1")
            .await
            .map(drop)
            .map_err(|error| Fault::from(error).into())
    }

    pub async fn close(self) -> anyhow::Result<()> {
        Ok(self.pool.close().await?)
    }

    pub(crate) fn raw(&self) -> &DatabaseConnection {
        &self.pool
    }
}

impl Tx {
    /// Keeps what was written. A line that breaks here leaves the outcome unknown: it may be kept.
    pub async fn commit(self) -> Result<(), Error> {
        self.inner.commit().await.map_err(|error| {
            let fault = Fault::from(error);
            if let Fault::Away(source) = &fault {
                return Error::OutcomeUnknown(source.to_string());
            }
            fault.into()
        })
    }

    /// One statement that answers one JSON value.
    async fn json<T: DeserializeOwned>(&self, sql: &'static str, values: impl IntoIterator<Item = Value>) -> Result<T, Fault> {
        let statement = Statement::from_sql_and_values(sea_orm::DbBackend::Postgres, sql, values);
        let row = Json::find_by_statement(statement).one(&self.inner).await?;
        let value = row.and_then(|row| row.json).unwrap_or_default();
        serde_json::from_value(value).map_err(Fault::unreadable)
    }

    pub(crate) fn connection(&self) -> &DatabaseTransaction {
        &self.inner
    }
}
