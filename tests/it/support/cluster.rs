//! The run's Postgres: started once, thrown away with the process. Each test gets a database of its own from a template.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use migration::{Migrator, MigratorTrait};
use rundown::postgres::{Embedded, OWNER};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use tokio::sync::OnceCell;

const TEMPLATE: &str = "rundown_template";

static SERVER: OnceLock<Embedded> = OnceLock::new();
static TEMPLATE_READY: OnceCell<()> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(1);

/// One test's database.
pub struct Cluster {
    pub database: String,
}

impl Cluster {
    /// A database as the migrations leave it.
    pub async fn database() -> Self {
        let made = Self::empty_name();
        TEMPLATE_READY.get_or_init(template).await;
        execute(
            "postgres",
            &format!("CREATE DATABASE {made} TEMPLATE {TEMPLATE} STRATEGY file_copy"),
        )
        .await;
        Self { database: made }
    }

    /// A database nobody has migrated.
    pub async fn unmigrated() -> Self {
        let made = Self::empty_name();
        execute("postgres", &format!("CREATE DATABASE {made}")).await;
        Self { database: made }
    }

    fn empty_name() -> String {
        format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Where a role reaches this database.
    pub fn url(&self, role: &str) -> String {
        server().url(role, &self.database)
    }

    /// The directory of the server's Unix socket.
    pub fn socket_dir() -> std::path::PathBuf {
        server().socket_dir().to_path_buf()
    }

    /// A connection as the superuser who owns the schema.
    pub async fn owner(&self) -> DatabaseConnection {
        connect(&self.url(OWNER)).await
    }

    /// A connection as the role the daemon runs as.
    pub async fn app(&self) -> DatabaseConnection {
        connect(&self.url("rundown_app")).await
    }
}

fn server() -> &'static Embedded {
    SERVER.get_or_init(|| Embedded::throwaway().expect("a private Postgres"))
}

async fn template() {
    execute("postgres", &format!("CREATE DATABASE {TEMPLATE}")).await;
    let owner = connect(&server().url(OWNER, TEMPLATE)).await;
    Migrator::up(&owner, None).await.expect("the migrations");
    // Nobody may be connected to a template while it is cloned.
    owner.close().await.expect("closed");
}

async fn execute(database: &str, sql: &str) {
    let owner = connect(&server().url(OWNER, database)).await;
    owner.execute_unprepared(sql).await.expect(sql);
    owner.close().await.expect("closed");
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(4).sqlx_logging(false);
    Database::connect(options).await.expect("a connection")
}
