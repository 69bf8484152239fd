//! The fence between casinos, tried from the database's side: what holds when the daemon errs. [`facts`] does the same for what must not
//! change.

mod facts;

use rundown::clock::new_id;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr, Statement, TransactionTrait as _};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::schema::ask;
use crate::support::{House, id};

/// Tables no command of the floor fills: jobs and shifts do. Whoever gives the furnished house a row of one takes it out here.
const EMPTY: [&str; 8] = [
    "audit_seal",
    "audit_seal_leaf",
    "rollup",
    "rollup_mark",
    "session_pit",
    "shift",
    "shift_rundown_summary",
    "shift_template",
];

const BEFORE_ANY_CASINO: Option<Uuid> = None;

/// A house with at least one row in every table of the home casino.
struct Furnished {
    house: House,
    finalized: String,
    live: String,
    /// Verified and not yet deposited: a slip on which steps may still be taken.
    open_slip: String,
    tables: Vec<String>,
}

impl Furnished {
    fn filled(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(String::as_str).filter(|table| !EMPTY.contains(table))
    }
}

async fn furnished() -> Furnished {
    let house = House::open().await;
    let finalized = house.open_table("BJ-01", "BJ-01-A", json!({ "10000": 20 })).await;
    house.slip(&finalized, "fill", "f-1", json!({ "10000": 5 })).await;
    house
        .advance("PB-01", &finalized, json!({ "to": "DROP_SCHEDULED" }))
        .await
        .expect(200);
    let removed = house.remove(&finalized, "BJ-01-A", Some("BJ-01-B"), "S1").await;
    let drop = removed.expect(201)["drop"]["id"].as_str().expect("an id").to_owned();
    house.bring(&drop, "S1").await;
    let papers = json!([{ "kind": "fill_slip", "number": "1", "amount_cents": 50_000 }]);
    house.soft_count(&drop, 10_000, papers).await.expect(201);
    house.advance("PB-01", &finalized, json!({ "to": "CLOSING" })).await.expect(200);
    house.count_tray(&finalized, "close", json!({ "10000": 20 })).await;
    house.advance("CO-01", &finalized, json!({ "to": "FINALIZED" })).await.expect(200);

    let live = house.open_table("BJ-02", "BJ-02-A", json!({ "10000": 20 })).await;
    let open_slip = house.request_slip(&live, "fill", "f-2", json!({ "10000": 5 })).await;
    house
        .step_slip("CG-01", &open_slip, json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") }))
        .await
        .expect(200);
    house
        .step_slip(
            "PB-02",
            &open_slip,
            json!({ "to": "VERIFIED_AT_TABLE", "dealer": house.cosign("DL-01") }),
        )
        .await
        .expect(200);
    let manual = json!({ "category": "MANUAL", "detail": "the lamp over the table is out" });
    house
        .person("PB-01")
        .post(&format!("/api/v1/table-context/sessions/{live}/exceptions"), manual)
        .await
        .expect(201);
    let range = json!({ "kind": "fill", "count": 5 });
    house
        .person("AD-01")
        .post("/api/v1/table-context/slip-series/manual-ranges", range)
        .await
        .expect(201);

    let buyin =
        json!({ "table_id": house.table("BJ-02"), "amount_cents": 2_000, "telemetry_kind": "GRIND_BUYIN", "idempotency_key": "k-1" });
    house.post("PB-01", "buyin-telemetry", buyin).await.expect(201);
    house.post("PB-01", "checkpoints", json!({})).await.expect(201);

    let schedule = json!({ "name": "Prune", "job_kind": "retention_prune", "cron": "0 4 * * *" });
    let schedule = id(house.person("AD-01").post("/api/v1/schedules", schedule).await.expect(201));
    let run = format!("/api/v1/schedules/{schedule}/run");
    house.person("AD-01").post(&run, json!({})).await.expect(201);

    neighbours(&house).await;
    let webhook = json!({ "url": "https://example.com/" });
    let webhook = id(house.person("AD-01").post("/api/v1/webhooks", webhook).await.expect(201));
    // What only the sinks write.
    let (owner, casino) = (house.cluster.owner().await, house.home.casino);
    let sent = format!(
        "INSERT INTO sink_cursor (casino_id, sink) VALUES ('{casino}', 'nats');
         INSERT INTO webhook_delivery (id, casino_id, webhook_id, seq, event_id, event, attempt, delivered, status, duration_ms, at)
         VALUES (gen_random_uuid(), '{casino}', '{webhook}', 1, gen_random_uuid(), 'table.activated', 1, true, 204, 3, now())"
    );
    execute(&owner, &sent).await.expect("rows of the sinks");
    house.publish().await;

    let tables = tenant_tables(&house.cluster.owner().await).await;
    Furnished {
        house,
        finalized,
        live,
        open_slip,
        tables,
    }
}

/// Somebody plays at the live table, pays, collects points, and goes; and the floor stands by a layout.
async fn neighbours(house: &House) {
    let boss = house.person("PB-01");
    let post = async |path: &str, body: Value| id(boss.post(path, body).await.expect(201));
    let player = post("/api/v1/players", json!({ "player_no": "P-1", "name": "Rowan" })).await;
    let visit = json!({ "visit_kind": "gaming_identified_rated", "player_id": player });
    let visit = post("/api/v1/visits", visit).await;
    let slip = post(
        "/api/v1/rating-slips",
        json!({ "visit_id": visit, "table_id": house.table("BJ-02") }),
    )
    .await;
    let money = json!({ "player_id": player, "rating_slip_id": slip, "direction": "in", "amount_cents": 100 });
    post("/api/v1/financial-transactions", money).await;
    let gift = json!({ "player_id": player, "points": 5, "reason": "promotion" });
    boss.post("/api/v1/loyalty/ledger", gift).await.expect(201);
    boss.post(&format!("/api/v1/rating-slips/{slip}/close"), json!({}))
        .await
        .expect(200);
    boss.post(&format!("/api/v1/visits/{visit}/close"), json!({})).await.expect(200);
    let admin = house.person("AD-01");
    let layout = id(admin.post("/api/v1/floor-layouts", json!({ "name": "Day" })).await.expect(201));
    let slots = ["BJ-01", "BJ-02", "BJ-03"]
        .map(|table| json!({ "slot_label": table, "game_type": "blackjack", "pit": "Pit 9", "preferred_table_id": house.table(table) }));
    let drawing = json!({ "pits": [{ "label": "Pit 9" }], "slots": slots });
    admin
        .post(&format!("/api/v1/floor-layouts/{layout}/versions"), drawing)
        .await
        .expect(201);
    admin
        .post(&format!("/api/v1/floor-layouts/{layout}/activate"), json!({}))
        .await
        .expect(200);
}

/// Every table with a casino in it, and the casinos themselves.
async fn tenant_tables(owner: &DatabaseConnection) -> Vec<String> {
    let sql = "SELECT jsonb_agg(c.relname ORDER BY c.relname) AS json FROM pg_class AS c
                WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
                  AND (c.relname = 'casino' OR EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'casino_id'))";
    let tables: Vec<String> = serde_json::from_value(ask(owner, sql, []).await).expect("names");
    assert_eq!(tables.len(), entities::tables().len(), "all tables are a casino's: {tables:?}");
    tables
}

fn tenant(table: &str) -> &'static str {
    if table == "casino" { "id" } else { "casino_id" }
}

/// A transaction of the application role, in the name of a casino or of nobody.
async fn standing_in(app: &DatabaseConnection, casino: Option<Uuid>) -> DatabaseTransaction {
    #[expect(clippy::disallowed_methods, reason = "the test goes around the daemon on purpose")]
    let tx = app.begin().await.expect("a transaction");
    if let Some(casino) = casino {
        execute(&tx, &format!("SELECT set_config('app.casino_id', '{casino}', true)"))
            .await
            .expect("the context");
    }
    tx
}

async fn execute(connection: &impl ConnectionTrait, sql: &str) -> Result<u64, String> {
    connection
        .execute_unprepared(sql)
        .await
        .map(|done| done.rows_affected())
        .map_err(|error| sqlstate(&error))
}

/// The same, undone at once: a refused statement would spoil the transaction for the next.
async fn try_out(tx: &DatabaseTransaction, sql: &str) -> Result<u64, String> {
    execute(tx, "SAVEPOINT attempt").await.expect("a savepoint");
    let outcome = execute(tx, sql).await;
    execute(tx, "ROLLBACK TO SAVEPOINT attempt").await.expect("undone");
    outcome
}

fn sqlstate(error: &DbErr) -> String {
    let (DbErr::Conn(RuntimeErr::SqlxError(source))
    | DbErr::Exec(RuntimeErr::SqlxError(source))
    | DbErr::Query(RuntimeErr::SqlxError(source))) = error
    else {
        panic!("no error of the database: {error}");
    };
    source
        .as_database_error()
        .and_then(|refusal| refusal.code().map(std::borrow::Cow::into_owned))
        .unwrap_or_else(|| panic!("{error}"))
}

async fn visible(connection: &impl ConnectionTrait, relation: &str, whose: &str) -> i64 {
    let count = ask(
        connection,
        &format!("SELECT to_jsonb(count(*)) AS json FROM {relation} WHERE {whose}"),
        [],
    )
    .await;
    count.as_i64().expect("a count")
}

#[tokio::test]
async fn without_a_context_nothing_is_seen() {
    let furnished = furnished().await;
    let app = furnished.house.cluster.app().await;
    let tx = standing_in(&app, BEFORE_ANY_CASINO).await;
    for relation in furnished.tables.iter().map(String::as_str).chain(["table_fill", "table_credit"]) {
        assert_eq!(visible(&tx, relation, "true").await, 0, "{relation}");
    }
    execute(&tx, "SELECT set_config('app.casino_id', '', true)")
        .await
        .expect("an empty context");
    for relation in &furnished.tables {
        assert_eq!(visible(&tx, relation, "true").await, 0, "{relation}, with an empty context");
    }
}

#[tokio::test]
async fn another_casinos_rows_do_not_exist() {
    let furnished = furnished().await;
    let (home, other) = (furnished.house.home.casino, furnished.house.other.casino);
    let app = furnished.house.cluster.app().await;
    let (at_home, across) = (standing_in(&app, Some(home)).await, standing_in(&app, Some(other)).await);
    for table in furnished.filled() {
        let ours = format!("{} = '{home}'", tenant(table));
        assert!(
            visible(&at_home, table, &ours).await > 0,
            "{table} has rows, or the test proves nothing"
        );
        assert_eq!(visible(&at_home, table, &format!("NOT {ours}")).await, 0, "{table}, from home");
        assert_eq!(visible(&across, table, &ours).await, 0, "{table}, from across");
    }
    assert_eq!(visible(&at_home, "table_fill", "true").await, 2);
    assert_eq!(visible(&across, "table_fill", "true").await, 0);
}

/// What the application role can be made to write, in nobody's name and in another casino's: rows as they are, under new ids.
#[tokio::test]
async fn nobody_writes_without_a_context_or_across_the_fence() {
    let furnished = furnished().await;
    let owner = furnished.house.cluster.owner().await;
    let app = furnished.house.cluster.app().await;
    let nobody = standing_in(&app, BEFORE_ANY_CASINO).await;
    let across = standing_in(&app, Some(furnished.house.other.casino)).await;
    for table in furnished.filled() {
        let copy = copy_of_a_row(&owner, table, furnished.house.home.casino).await;
        for (tx, who) in [(&nobody, "nobody"), (&across, "the other casino")] {
            assert_eq!(try_out(tx, &copy).await, Err("42501".to_owned()), "{table}, inserted as {who}");
            let column = column_to_change(&owner, table).await;
            let update = format!(
                "UPDATE {table} SET {column} = {column} WHERE {} = '{}'",
                tenant(table),
                furnished.house.home.casino
            );
            assert_harmless(&try_out(tx, &update).await, &format!("{table}, updated as {who}"));
            let delete = format!("DELETE FROM {table} WHERE {} = '{}'", tenant(table), furnished.house.home.casino);
            assert_harmless(&try_out(tx, &delete).await, &format!("{table}, deleted as {who}"));
            assert_eq!(
                try_out(tx, &format!("TRUNCATE {table}")).await,
                Err("42501".to_owned()),
                "{table}, emptied as {who}"
            );
        }
    }
}

/// Either the privilege is missing, or there is no row to reach.
#[track_caller]
fn assert_harmless(outcome: &Result<u64, String>, what: &str) {
    assert!(
        matches!(outcome.as_ref().map_err(String::as_str), Ok(0) | Err("42501")),
        "{what}: {outcome:?}"
    );
}

/// An INSERT of a row that exists, in its first state and under a new id, without the columns Postgres fills itself.
async fn copy_of_a_row(owner: &DatabaseConnection, table: &str, casino: Uuid) -> String {
    let sql = "SELECT jsonb_agg(quote_ident(column_name)) AS json FROM information_schema.columns
                WHERE table_schema = 'public' AND table_name = $1 AND is_identity = 'NO'";
    let columns: Vec<String> = serde_json::from_value(ask(owner, sql, [table.into()]).await).expect("columns");
    let of_casino = format!(
        "SELECT to_jsonb(t) AS json FROM {table} AS t WHERE {} = '{casino}' LIMIT 1",
        tenant(table)
    );
    let row = ask(owner, &of_casino, []).await;
    let mut row = row.as_object().expect("a row").clone();
    row.entry("id").and_modify(|value| *value = json!(new_id()));
    // The guards refuse a row that begins in the middle of its way, before the fence is asked: it has to be one they let pass.
    let first_state = match table {
        "table_inventory_session" => Some("READY_TO_OPEN"),
        "table_slip" => Some("REQUESTED"),
        _ => None,
    };
    row.extend(first_state.map(|status| ("status".to_owned(), json!(status))));
    let (names, row) = (columns.join(", "), Value::Object(row).to_string().replace('\'', "''"));
    format!("INSERT INTO {table} ({names}) SELECT {names} FROM jsonb_populate_record(NULL::{table}, '{row}')")
}

async fn column_to_change(owner: &DatabaseConnection, table: &str) -> String {
    let sql = "SELECT to_jsonb(quote_ident(a.attname)) AS json FROM pg_attribute AS a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND a.attidentity = ''
                ORDER BY has_column_privilege('rundown_app', a.attrelid, a.attnum, 'UPDATE') DESC, a.attnum LIMIT 1";
    ask(owner, sql, [table.into()]).await.as_str().expect("a column").to_owned()
}

/// A foreign key must not become the hole in the fence: it is checked past row security.
#[tokio::test]
async fn no_row_can_point_across_the_fence() {
    let furnished = furnished().await;
    let (home, other) = (&furnished.house.home, &furnished.house.other);
    let app = furnished.house.cluster.app().await;
    let tx = standing_in(&app, Some(home.casino)).await;
    let session_of = |casino: Uuid, table: Uuid, by: Uuid| {
        format!(
            "INSERT INTO table_inventory_session (id, casino_id, table_id, gaming_day, status, bank_mode, created_by)
             VALUES ('{}', '{casino}', '{table}', '2026-03-06', 'READY_TO_OPEN', 'INVENTORY_COUNT', '{by}')",
            new_id(),
        )
    };
    let session = |table: Uuid, by: Uuid| session_of(home.casino, table, by);
    let (table, by) = (home.tables["BJ-03"], home.staff["PB-01"]);
    assert_eq!(
        try_out(&tx, &session(table, by)).await,
        Ok(1),
        "the row is sound, or the refusals below prove nothing"
    );
    assert_eq!(
        try_out(&tx, &session(other.tables["BJ-03"], by)).await,
        Err("23503".to_owned()),
        "a foreign table"
    );
    assert_eq!(
        try_out(&tx, &session(table, other.staff["PB-01"])).await,
        Err("23503".to_owned()),
        "a foreign person"
    );
    // Evidence has no keys of its own: the trigger of the statement stands for them, before the application and before the owner.
    let owner = furnished.house.cluster.owner().await;
    let as_owner = standing_in(&owner, Some(home.casino)).await;
    let theirs = session_of(other.casino, other.tables["BJ-03"], other.staff["PB-01"]);
    furnished.house.owner_does(&theirs).await;
    let sessions = |casino: Uuid| format!("SELECT id::text FROM table_inventory_session WHERE casino_id = '{casino}' LIMIT 1");
    let own = furnished.house.texts(&sessions(home.casino)).await.remove(0);
    let foreign = furnished.house.texts(&sessions(other.casino)).await.remove(0);
    for tx in [&tx, &as_owner] {
        for (table, columns) in EVIDENCE {
            let row = |session: &str, person: Uuid| {
                let of = columns.replace("$session", session).replace("$person", &person.to_string());
                format!(
                    "INSERT INTO {table} SELECT * FROM jsonb_populate_record(NULL::{table}, '{{\"id\": \"{}\", \"casino_id\": \"{}\", {of}}}')",
                    new_id(),
                    home.casino
                )
            };
            assert_eq!(try_out(tx, &row(&own, by)).await, Ok(1), "{table}: the row is sound");
            let refused = Err("23503".to_owned());
            assert_eq!(try_out(tx, &row(&foreign, by)).await, refused, "{table}: a foreign session");
            assert_eq!(
                try_out(tx, &row(&own, other.staff["PB-01"])).await,
                refused,
                "{table}: a foreign person"
            );
            assert_eq!(try_out(tx, &row(&own, new_id())).await, refused, "{table}: nobody");
        }
    }
    let moves = format!("UPDATE staff SET id = '{}' WHERE id = '{}'", new_id(), home.staff["SYSTEM"]);
    assert_eq!(try_out(&as_owner, &moves).await, Err("RD003".to_owned()), "a person keeps their id");
}

/// The tables of evidence, and a row of each.
const EVIDENCE: [(&str, &str); 3] = [
    (
        "audit_log",
        r#""ts": "2026-03-06T20:00:00Z", "actor_id": "$person", "domain": "session", "action": "open", "session_id": "$session", "correlation_id": "c""#,
    ),
    (
        "signature",
        r#""session_id": "$session", "subject_kind": "session", "subject_id": "$session", "act": "session.open", "staff_id": "$person", "role": "pit_boss", "method": "bearer", "signed_at": "2026-03-06T20:00:00Z""#,
    ),
    (
        "session_transition",
        r#""session_id": "$session", "verb": "open", "from_status": "OPENING", "to_status": "OPEN", "trigger": "command", "taken_by": "$person", "taken_at": "2026-03-06T20:00:00Z""#,
    ),
];

#[tokio::test]
async fn the_fence_is_whole_and_the_application_role_stands_inside_it() {
    let house = House::open().await;
    let owner = house.cluster.owner().await;
    let holes = ask(
        &owner,
        "SELECT COALESCE(jsonb_agg(to_jsonb(r)), '[]') AS json FROM tenant_fence_report() AS r",
        [],
    )
    .await;
    assert_eq!(holes, json!([]));
    let standing = "
        SELECT jsonb_build_object(
            'powers', (SELECT jsonb_build_array(rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication) FROM pg_roles WHERE rolname = 'rundown_app'),
            'owns', (SELECT count(*) FROM pg_shdepend AS d JOIN pg_roles AS r ON r.oid = d.refobjid WHERE r.rolname = 'rundown_app' AND d.deptype = 'o'),
            'becomes', (SELECT count(*) FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.member WHERE r.rolname = 'rundown_app'),
            'creates', has_schema_privilege('rundown_app', 'public', 'CREATE')) AS json";
    let expected = json!({ "powers": [false, false, false, false, false], "owns": 0, "becomes": 0, "creates": false });
    assert_eq!(ask(&owner, standing, []).await, expected);
    // The words of the migrations would let it rebuild the fence.
    let app = house.cluster.app().await;
    let tx = standing_in(&app, Some(house.home.casino)).await;
    for sql in [
        "SELECT fence('staff')",
        "SELECT append_only('staff')",
        "SELECT never_deleted('staff')",
        "SELECT evidence_of('staff', 'id')",
        "SET SESSION AUTHORIZATION rundown",
        "SET ROLE rundown",
    ] {
        assert_eq!(try_out(&tx, sql).await, Err("42501".to_owned()), "{sql}");
    }
    // Row security cannot be argued with: turned off, a fenced read fails instead of showing everything.
    execute(&tx, "SET LOCAL row_security = off")
        .await
        .expect("a setting everybody may change");
    assert_eq!(try_out(&tx, "SELECT count(*) FROM staff").await, Err("42501".to_owned()));
}

/// A report that finds nothing must be able to find something.
#[tokio::test]
async fn the_fence_report_names_every_kind_of_hole() {
    let house = House::open().await;
    let owner = house.cluster.owner().await;
    let breaches = [
        ("ALTER TABLE staff DISABLE ROW LEVEL SECURITY", "staff"),
        ("ALTER TABLE table_slip NO FORCE ROW LEVEL SECURITY", "table_slip"),
        ("DROP POLICY tenant ON outbox", "outbox"),
        ("ALTER VIEW table_fill RESET (security_invoker)", "table_fill"),
        ("CREATE TABLE table_shift (id uuid, casino_id uuid)", "table_shift"),
        ("ALTER ROLE rundown_app BYPASSRLS", "rundown_app"),
    ];
    let tx = standing_in(&owner, BEFORE_ANY_CASINO).await;
    for (sql, named) in breaches {
        execute(&tx, "SAVEPOINT attempt").await.expect("a savepoint");
        execute(&tx, sql).await.expect(sql);
        let found = ask(&tx, "SELECT jsonb_agg(table_name) AS json FROM tenant_fence_report()", []).await;
        execute(&tx, "ROLLBACK TO SAVEPOINT attempt").await.expect("undone");
        assert_eq!(found, json!([named]), "{sql}");
    }
}

#[tokio::test]
async fn the_context_comes_from_ones_own_active_staff_row() {
    let house = House::open().await;
    let app = house.cluster.app().await;
    let take = |id: Uuid| format!("SELECT set_rls_context_from_staff('{id}')");
    let tx = standing_in(&app, BEFORE_ANY_CASINO).await;
    assert_eq!(
        try_out(&tx, &take(house.staff("AD-01"))).await,
        Err("RD007".to_owned()),
        "without a proved subject no row is visible"
    );
    execute(&tx, &format!("SELECT set_config('app.subject', '{}:PB-01', true)", house.home.name))
        .await
        .expect("a subject");
    assert_eq!(
        try_out(&tx, &take(house.staff("AD-01"))).await,
        Err("RD007".to_owned()),
        "a colleague's row is not one's own"
    );
    assert_eq!(
        try_out(&tx, &take(house.other.staff["PB-01"])).await,
        Err("RD007".to_owned()),
        "nor a stranger's"
    );
    assert_eq!(visible(&tx, "staff", "true").await, 1, "the own row, and no casino yet");
    execute(&tx, &take(house.staff("PB-01"))).await.expect("the own row");
    let context = "SELECT jsonb_build_array(current_setting('app.casino_id'), current_setting('app.actor_id'), current_setting('app.staff_role')) AS json";
    assert_eq!(
        ask(&tx, context, []).await,
        json!([house.home.casino, house.staff("PB-01"), "pit_boss"])
    );
    tx.rollback().await.expect("undone");

    let owner = house.cluster.owner().await;
    execute(
        &owner,
        &format!(
            "UPDATE staff SET status = 'inactive', version = version + 1 WHERE id = '{}'",
            house.staff("PB-01")
        ),
    )
    .await
    .expect("dismissed");
    let tx = standing_in(&app, BEFORE_ANY_CASINO).await;
    execute(&tx, &format!("SELECT set_config('app.subject', '{}:PB-01', true)", house.home.name))
        .await
        .expect("a subject");
    assert_eq!(
        try_out(&tx, &take(house.staff("PB-01"))).await,
        Err("RD007".to_owned()),
        "who was dismissed takes no context"
    );
}

/// On one pooled connection: what one request was must not be what the next one is.
#[tokio::test]
async fn the_context_ends_with_the_transaction() {
    const LEFT: &str = "
        SELECT jsonb_build_array(COALESCE(current_setting('app.subject', true), ''), COALESCE(current_setting('app.casino_id', true), ''),
            COALESCE(current_setting('app.actor_id', true), ''), COALESCE(current_setting('app.staff_role', true), ''),
            current_setting('application_name')) AS json";
    let house = House::open().await;
    let mut options = sea_orm::ConnectOptions::new(house.cluster.url("rundown_app"));
    options.max_connections(1).sqlx_logging(false);
    let app = sea_orm::Database::connect(options).await.expect("one connection");
    let fresh = ask(&app, LEFT, []).await;
    let backend = ask(&app, "SELECT to_jsonb(pg_backend_pid()) AS json", []).await;
    for commit in [true, false] {
        let tx = standing_in(&app, BEFORE_ANY_CASINO).await;
        let opening = json!({ "subject": format!("{}:PB-01", house.home.name), "correlation_id": "a-request", "lock": true, "at": house.clock.now() });
        let opened = Statement::from_sql_and_values(DbBackend::Postgres, "SELECT open_desk($1)", [opening.into()]);
        tx.execute_raw(opened).await.expect("a desk");
        assert_eq!(visible(&tx, "casino", "true").await, 1, "the context is taken");
        if commit {
            tx.commit().await.expect("done");
        } else {
            tx.rollback().await.expect("undone");
        }
        assert_eq!(
            ask(&app, LEFT, []).await,
            fresh,
            "after {}",
            if commit { "COMMIT" } else { "ROLLBACK" }
        );
        assert_eq!(visible(&app, "staff", "true").await, 0);
        assert_eq!(
            ask(&app, "SELECT to_jsonb(pg_backend_pid()) AS json", []).await,
            backend,
            "the same connection all along"
        );
    }
}

/// The daemon's own pool, after real requests, refused ones among them.
#[tokio::test]
async fn no_connection_of_the_daemon_remembers_a_request() {
    let house = House::open().await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    let path = format!("/api/v1/table-context/sessions/{session}/transitions");
    for to in ["OPENING", "FINALIZED"] {
        let body = Some(json!({ "to": to }));
        house
            .person("PB-01")
            .send(reqwest::Method::POST, &path, &[("x-correlation-id", "left-behind")], body)
            .await;
    }
    let owner = house.cluster.owner().await;
    let sql = "SELECT COALESCE(jsonb_agg(application_name), '[]') AS json FROM pg_stat_activity
                WHERE datname = current_database() AND usename = 'rundown_app' AND application_name = 'left-behind'";
    assert_eq!(ask(&owner, sql, []).await, json!([]));
}
