//! The casino that is measured: founded by SQL, then filled with copies of what the daemon itself has played.
//!
//! A session is played once over HTTP, and its rows are copied with other ids: so whatever the schema says today of a session in play, or of a
//! finished one, the copies say too. Triggers are off while they are written, or loading would take longer than measuring.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use rundown::auth::pin;
use rundown::clock::new_id;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use secrecy::SecretString;
use uuid::Uuid;

use crate::client::session::Table;
use crate::client::{PIN, People};

pub const NAME: &str = "Speed";
/// Tables on which whole sessions are played: as many as there are connections at most.
pub const PLAYED: usize = 64;

const STAFF: &[(&str, &str)] = &[
    ("PB-01", "pit_boss"),
    ("PB-02", "pit_boss"),
    ("DL-01", "dealer"),
    ("CG-01", "cashier"),
    ("SC-01", "security"),
    ("SC-02", "security"),
    ("SC-03", "security"),
    ("CT-01", "count_team"),
    ("CT-02", "count_team"),
    ("CT-03", "count_team"),
    ("CO-01", "compliance"),
    ("AD-01", "admin"),
    ("SYSTEM", "system"),
];

pub struct Casino {
    pub id: Uuid,
    pub people: People,
    pub played: Vec<Table>,
    /// Leads the ids of the sessions in play; the last twelve digits count from 1.
    pub live_prefix: String,
    /// Sessions in play for the daemon, and as many after them for the limit.
    pub live: usize,
}

/// The first column of the first row.
pub async fn text(owner: &DatabaseConnection, sql: &str) -> Result<String> {
    let row = owner
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql.to_owned()))
        .await?;
    Ok(row.with_context(|| format!("no row: {sql}"))?.try_get_by_index(0)?)
}

pub async fn number(owner: &DatabaseConnection, sql: &str) -> Result<f64> {
    Ok(text(owner, &format!("SELECT ({sql})::text")).await?.parse()?)
}

pub async fn say(owner: &DatabaseConnection, sql: &str) -> Result<()> {
    owner.execute_unprepared(sql).await.map(drop).with_context(|| {
        let start: String = sql.chars().take(400).collect();
        format!("SQL: {start} …")
    })
}

/// A casino with its settings and its people, and nothing else. `token` gives somebody's `Authorization`.
pub async fn found_people(owner: &DatabaseConnection, name: &str, token: impl Fn(&str) -> Result<String>) -> Result<(Uuid, People)> {
    let hash = pin::hash(&SecretString::from(PIN))?;
    let (id, mut people) = (new_id(), BTreeMap::new());
    let mut sql = format!(
        "INSERT INTO casino (id, name, timezone, denominations_cents, fill_series_open, credit_series_open)
         VALUES ('{id}', '{name}', 'America/Chicago', '{{100,500,2500,10000,50000,100000}}', true, true);"
    );
    for (employee_no, role) in STAFF {
        let staff_id = new_id();
        let pin_hash = if *role == "system" {
            "NULL".to_owned()
        } else {
            format!("'{hash}'")
        };
        write!(
            sql,
            "INSERT INTO staff (id, casino_id, external_subject, employee_no, name, role, pin_hash)
             VALUES ('{staff_id}', '{id}', '{name}:{employee_no}', '{employee_no}', 'Person {employee_no}', '{role}', {pin_hash});"
        )?;
        let holds_token = !matches!(*role, "dealer" | "system");
        let token = if holds_token {
            Some(token(&format!("{name}:{employee_no}"))?)
        } else {
            None
        };
        people.insert((*employee_no).to_owned(), (staff_id, token));
    }
    say(owner, &sql).await?;
    Ok((id, People(people)))
}

impl Casino {
    /// Settings, staff, the tables to be played, and one more table to copy from. `token` gives somebody's `Authorization`.
    pub async fn found(owner: &DatabaseConnection, live: usize, token: impl Fn(&str) -> Result<String>) -> Result<Self> {
        let (id, people) = found_people(owner, NAME, token).await?;
        let mut sql = String::new();
        let mut played = Vec::with_capacity(PLAYED + 1);
        for nth in 0..=PLAYED {
            let table = Table {
                table_id: new_id(),
                boxes: [new_id(), new_id()],
            };
            let (table_id, [first, second]) = (table.table_id, table.boxes);
            write!(
                sql,
                "INSERT INTO gaming_table (id, casino_id, label, type, pit, status) VALUES ('{table_id}', '{id}', 'P-{nth}', 'blackjack', 'Pit {}', 'active');
                 INSERT INTO drop_box (id, casino_id, label, table_id, kind)
                 VALUES ('{first}', '{id}', 'P-{nth}-A', '{table_id}', 'standard'), ('{second}', '{id}', 'P-{nth}-B', '{table_id}', 'standard');",
                nth / 8
            )?;
            played.push(table);
        }
        say(owner, &sql).await?;
        let moment = text(owner, "SELECT lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0')").await?;
        Ok(Self {
            id,
            people,
            played,
            live_prefix: format!("{}-{}-7000-8000-", &moment[..8], &moment[8..]),
            live,
        })
    }

    /// Tables in play, each a copy of this session, with its table and its box.
    pub async fn load_live(&self, owner: &DatabaseConnection, session: &str) -> Result<()> {
        let mut sql = Copying::new(
            session,
            &format!(
                "SELECT n::bigint AS k, ('{}' || lpad(n::text, 12, '0'))::uuid AS session_id, gen_random_uuid() AS table_id, gen_random_uuid() AS box_id,
                        0 AS day, NULL::uuid AS shift_id
                   FROM generate_series(1, {}) AS n",
                self.live_prefix,
                2 * self.live
            ),
        );
        sql.copy(
            "gaming_table",
            "t.id = (SELECT table_id FROM one)",
            "'id', a.table_id, 'label', 'L-' || a.k, 'pit', 'Pit ' || (10 + a.k / 24)",
        );
        sql.copy(
            "drop_box",
            "t.id = (SELECT drop_box_id FROM one)",
            "'id', a.box_id, 'label', 'L-' || a.k || '-A', 'table_id', a.table_id, 'on_table_id', a.table_id",
        );
        sql.copy(
            "table_inventory_session",
            "t.id = (SELECT id FROM one)",
            "'id', a.session_id, 'table_id', a.table_id, 'drop_box_id', a.box_id, 'predecessor_id', NULL,
             'opening_snapshot_id', pg_temp.of(t.opening_snapshot_id, a.k)",
        );
        sql.children(&["table_inventory_snapshot", "session_transition", "signature"]);
        sql.copy("session_pit", "t.session_id = (SELECT id FROM one)", "'session_id', a.session_id");
        sql.run(owner).await
    }

    /// Finished sessions, copies of this one, over all tables there are and as many days as that takes. Answers how many there are now.
    pub async fn load_history(&self, owner: &DatabaseConnection, session: &str, sessions: usize) -> Result<()> {
        let known: usize = text(
            owner,
            "SELECT count(*)::text FROM table_inventory_session WHERE status = 'FINALIZED'",
        )
        .await?
        .parse()?;
        let missing = sessions.saturating_sub(known);
        if missing == 0 {
            return Ok(());
        }
        let mut sql = Copying::new(
            session,
            &format!(
                "SELECT {known} + n AS k, t.id AS table_id, (1 + ({known} + n) / tables.many)::int AS day,
                        -- The moment it began leads the id, as in life: a day's sessions lie together, the oldest first.
                        (lpad(to_hex((extract(epoch FROM now() - make_interval(days => (1 + ({known} + n) / tables.many)::int)) * 1000)::bigint), 12, '0')
                         || '7' || lpad(to_hex({known} + n), 19, '0'))::uuid AS session_id
                   FROM generate_series(1::bigint, {missing}) AS n
                  CROSS JOIN (SELECT count(*) AS many FROM gaming_table) AS tables
                   JOIN (SELECT row_number() OVER (ORDER BY id) AS nth, id FROM gaming_table) AS t ON t.nth = 1 + ({known} + n) % tables.many
                  ORDER BY day DESC, n"
            ),
        );
        sql.copy(
            "table_inventory_session",
            "t.id = (SELECT id FROM one)",
            "'id', a.session_id, 'table_id', a.table_id, 'gaming_day', t.gaming_day - a.day, 'predecessor_id', NULL,
             'opening_snapshot_id', pg_temp.of(t.opening_snapshot_id, a.k), 'closing_snapshot_id', pg_temp.of(t.closing_snapshot_id, a.k)",
        );
        sql.copy("session_pit", "t.session_id = (SELECT id FROM one)", "'session_id', a.session_id");
        sql.copy(
            "table_slip",
            "t.session_id = (SELECT id FROM one)",
            "'id', pg_temp.of(t.id, a.k), 'session_id', a.session_id, 'table_id', a.table_id, 'request_id', t.request_id || '-' || a.k,
             'scope_key', (t.scope_key::date - a.day)::text, 'slip_no', 1000 + a.k, 'drop_box_use', 1000000 + a.k",
        );
        sql.copy(
            "table_drop_event",
            "t.session_id = (SELECT id FROM one)",
            "'id', pg_temp.of(t.id, a.k), 'session_id', a.session_id, 'table_id', a.table_id, 'gaming_day', t.gaming_day - a.day,
             'drop_box_use', 1000000 + a.k",
        );
        sql.copy(
            "soft_count_table_result",
            "t.session_id = (SELECT id FROM one)",
            "'id', pg_temp.of(t.id, a.k), 'session_id', a.session_id, 'drop_event_id', pg_temp.of(t.drop_event_id, a.k)",
        );
        sql.copy(
            "table_rundown_report",
            "t.session_id = (SELECT id FROM one)",
            "'id', pg_temp.of(t.id, a.k), 'session_id', a.session_id, 'opening_snapshot_id', pg_temp.of(t.opening_snapshot_id, a.k),
             'closing_snapshot_id', pg_temp.of(t.closing_snapshot_id, a.k)",
        );
        sql.children(&["table_inventory_snapshot", "session_transition", "signature"]);
        // Of twenty audit rows a session the few a reader looks for: all of them would be most of the disk and are read by no command.
        sql.copy(
            "audit_log",
            "t.session_id = (SELECT id FROM one) AND t.action IN ('open', 'finalize', 'advance')",
            "'id', pg_temp.of(t.id, a.k), 'session_id', a.session_id, 'correlation_id', pg_temp.of(t.id, a.k)::text",
        );
        sql.run(owner).await
    }

    /// Brings the sessions in play back to what they were when they were loaded, so that no round finds longer dossiers than the one before.
    pub async fn refresh(&self, owner: &DatabaseConnection) -> Result<()> {
        let mine = format!(
            "session_id >= '{0}000000000001' AND session_id <= '{0}999999999999'",
            self.live_prefix
        );
        let mut sql = "SET session_replication_role = replica;".to_owned();
        // Copies' ids are no version 7: what is, was written since.
        for table in ["session_transition", "signature", "table_inventory_snapshot"] {
            write!(sql, "DELETE FROM {table} WHERE {mine} AND substr(id::text, 15, 1) = '7';")?;
        }
        write!(
            sql,
            "UPDATE table_inventory_session SET status = 'OPEN', drop_scheduled_for = NULL, scheduled_from = NULL, shift_id = NULL,
                    closing_started_at = NULL, closing_started_by = NULL
              WHERE id >= '{0}000000000001' AND id <= '{0}999999999999' AND (status <> 'OPEN' OR drop_scheduled_for IS NOT NULL);
             SET session_replication_role = DEFAULT;",
            self.live_prefix
        )?;
        say(owner, &sql).await?;
        for table in [
            "table_inventory_session",
            "session_transition",
            "signature",
            "table_inventory_snapshot",
        ] {
            say(owner, &format!("VACUUM (ANALYZE) {table}")).await?;
        }
        Ok(())
    }

    /// The nth session in play, counted from 0.
    pub fn live_session(&self, nth: usize) -> Result<Uuid> {
        Ok(format!("{}{:012}", self.live_prefix, nth + 1).parse()?)
    }

    /// The tables to be played, each with the box first that comes next.
    pub async fn ready_tables(&self, owner: &DatabaseConnection, how_many: usize) -> Result<Vec<Table>> {
        let mut tables = Vec::with_capacity(how_many);
        for table in self.played.iter().skip(1).take(how_many) {
            let on_table = format!(
                "SELECT COALESCE((SELECT id::text FROM drop_box WHERE on_table_id = '{}'), '')",
                table.table_id
            );
            let standing = text(owner, &on_table).await?;
            let mut table = table.clone();
            if standing == table.boxes[1].to_string() {
                table.boxes.swap(0, 1);
            }
            tables.push(table);
        }
        Ok(tables)
    }
}

/// One session's rows, written again and again with other ids.
struct Copying {
    sql: String,
}

impl Copying {
    fn new(session: &str, again: &str) -> Self {
        Self {
            sql: format!(
                "SET session_replication_role = replica;
                 DROP TABLE IF EXISTS one, again;
                 CREATE TEMP TABLE one AS SELECT * FROM table_inventory_session WHERE id = '{session}';
                 CREATE TEMP TABLE again AS {again};
                 -- What a row points at within its session is numbered the same way.
                 CREATE OR REPLACE FUNCTION pg_temp.of(old uuid, k bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
                     SELECT (substr(old::text, 1, 8) || lpad(to_hex(k), 12, '0') || substr(md5(old::text), 1, 12))::uuid $$;"
            ),
        }
    }

    /// Copies the rows `t` that are meant, once for each row `a` of `again`, with what is other in each as the arguments of a JSON object.
    fn copy(&mut self, table: &str, which: &str, other: &str) {
        let _ = write!(
            self.sql,
            "INSERT INTO {table} OVERRIDING SYSTEM VALUE
             SELECT (jsonb_populate_record(t, jsonb_build_object({other}))).* FROM again AS a CROSS JOIN {table} AS t WHERE {which};"
        );
    }

    /// Tables whose rows have an id and belong to a session, and to nothing else that is copied.
    fn children(&mut self, tables: &[&str]) {
        for table in tables {
            let subject = if *table == "signature" {
                ", 'subject_id', CASE t.subject_id WHEN t.session_id THEN a.session_id ELSE pg_temp.of(t.subject_id, a.k) END"
            } else {
                ""
            };
            self.copy(
                table,
                "t.session_id = (SELECT id FROM one)",
                &format!("'id', pg_temp.of(t.id, a.k), 'session_id', a.session_id{subject}"),
            );
        }
    }

    async fn run(mut self, owner: &DatabaseConnection) -> Result<()> {
        self.sql += "SET session_replication_role = DEFAULT; DROP TABLE one, again;";
        say(owner, &self.sql).await?;
        say(owner, "VACUUM (ANALYZE)").await?;
        say(owner, "CHECKPOINT").await
    }
}
