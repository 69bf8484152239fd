//! The schema held against what the code believes of it: the migrations undo themselves, columns and vocabularies are the Rust types' own,
//! and what is said twice, in SQL and in the law, is said alike.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use migration::{Migrator, MigratorTrait as _};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use strum::VariantArray;
use utoipa::PartialSchema;
use workflows::event::{LedgerReason, RatingSlipStatus, TelemetryKind, TelemetrySource, VisitKind};
use workflows::machine::{Edge, Machine};
use workflows::record;
use workflows::role::Role;
use workflows::timetable::{CatchUp, FoldPolicy, GapPolicy};
use workflows::word::{
    BankMode, BoxKind, Category, CloseReason, CountStanding, CountStatus, Direction, DisabledReason, ExceptionStatus, GameType, JobKind,
    Method, MetricGrade, Overlap, ReasonCode, RollupBy, RollupGrain, RunStatus, ShiftStatus, SlipKind, SlipPurpose, SlipScope, SlipStatus,
    SnapshotKind, StaffStatus, Status, SubjectKind, SummaryStatus, TableStatus, TemplateStatus, TransactionKind, Trigger,
};
use workflows::{session, slip};

use crate::support::Cluster;

/// One statement's one value, as JSON: `sql` selects a column named `json`.
pub async fn ask(connection: &impl ConnectionTrait, sql: &str, given: impl IntoIterator<Item = sea_orm::Value>) -> Value {
    let row = connection
        .query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, given))
        .await;
    let value: Option<Value> = row.expect(sql).expect("a row").try_get("", "json").expect("the column json");
    value.unwrap_or_default()
}

/// Everything in the schema but the migrator's own table, each thing as one comparable text. Privileges are sorted: their order is history.
const CATALOG: &str = "
SELECT jsonb_build_object(
    'schema', (SELECT array_agg(acl::text ORDER BY acl::text) FROM pg_namespace AS n, unnest(n.nspacl) AS acl WHERE n.nspname = 'public'),
    'relations', (
        SELECT jsonb_agg(jsonb_build_array(c.relname, c.relkind, pg_get_userbyid(c.relowner), c.relrowsecurity, c.relforcerowsecurity, c.reloptions,
                   (SELECT array_agg(acl::text ORDER BY acl::text) FROM unnest(c.relacl) AS acl)) ORDER BY c.relname)
          FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'seaql%'),
    'columns', (
        SELECT jsonb_agg(jsonb_build_array(c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                   pg_get_expr(d.adbin, d.adrelid),
                   (SELECT array_agg(acl::text ORDER BY acl::text) FROM unnest(a.attacl) AS acl)) ORDER BY c.relname, a.attnum)
          FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
          LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
         WHERE NOT a.attisdropped AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND c.relname NOT LIKE 'seaql%'),
    'constraints', (
        SELECT jsonb_agg(jsonb_build_array(c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid), c.convalidated)
                   ORDER BY c.conrelid::regclass::text, c.conname)
          FROM pg_constraint AS c WHERE c.connamespace = 'public'::regnamespace AND c.conname NOT LIKE 'seaql%'),
    'indexes', (SELECT jsonb_agg(indexdef ORDER BY indexdef) FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'seaql%'),
    'triggers', (
        SELECT jsonb_agg(jsonb_build_array(pg_get_triggerdef(t.oid), t.tgenabled) ORDER BY pg_get_triggerdef(t.oid))
          FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
         WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal),
    'functions', (
        SELECT jsonb_agg(jsonb_build_array(pg_get_functiondef(p.oid), pg_get_userbyid(p.proowner),
                   (SELECT array_agg(acl::text ORDER BY acl::text) FROM unnest(p.proacl) AS acl)) ORDER BY pg_get_functiondef(p.oid))
          FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace),
    'views', (SELECT jsonb_agg(jsonb_build_array(viewname, definition) ORDER BY viewname) FROM pg_views WHERE schemaname = 'public'),
    'policies', (SELECT jsonb_agg(to_jsonb(p) ORDER BY p.tablename, p.policyname) FROM pg_policies AS p WHERE p.schemaname = 'public'),
    'types', (SELECT jsonb_agg(t.typname ORDER BY t.typname) FROM pg_type AS t
               WHERE t.typnamespace = 'public'::regnamespace AND t.typname NOT LIKE '%seaql%'),
    'defaults', (SELECT jsonb_agg(to_jsonb(d)) FROM pg_default_acl AS d),
    'extensions', (SELECT jsonb_agg(extname ORDER BY extname) FROM pg_extension)) AS json";

/// Who but its owner may do something with the migrator's table, and how many rows it has.
const MIGRATOR: &str = "
SELECT jsonb_build_object(
    'rows', (SELECT count(*) FROM seaql_migrations),
    'granted', (SELECT count(*) FROM information_schema.table_privileges WHERE table_name = 'seaql_migrations' AND grantee = 'rundown_app')) AS json";

#[tokio::test]
async fn every_migration_undoes_itself_and_goes_up_again_the_same() {
    let owner = Cluster::unmigrated().await.owner().await;
    let migrations = Migrator::migrations().len();
    let mut floors = vec![ask(&owner, CATALOG, []).await];
    for _ in 0..migrations {
        Migrator::up(&owner, Some(1)).await.expect("one up");
        floors.push(ask(&owner, CATALOG, []).await);
    }
    for floor in floors[..migrations].iter().rev() {
        Migrator::down(&owner, Some(1)).await.expect("one down");
        same(&ask(&owner, CATALOG, []).await, floor);
    }
    assert_eq!(
        ask(&owner, MIGRATOR, []).await,
        json!({ "rows": 0, "granted": 0 }),
        "nothing of ours is left behind"
    );

    Migrator::up(&owner, None).await.expect("all up");
    same(&ask(&owner, CATALOG, []).await, &floors[migrations]);
    assert_eq!(ask(&owner, MIGRATOR, []).await, json!({ "rows": migrations, "granted": 1 }));
}

#[tokio::test]
async fn a_full_house_goes_down_and_up_too() {
    let house = crate::support::House::open().await;
    house
        .reconciled(
            "BJ-01",
            "BJ-01-A",
            "BJ-01-B",
            json!({ "10000": 20 }),
            json!({ "10000": 20 }),
            10_000,
        )
        .await;
    let owner = house.cluster.owner().await;
    let before = ask(&owner, CATALOG, []).await;
    Migrator::down(&owner, None).await.expect("rows are no obstacle");
    Migrator::up(&owner, None).await.expect("and up again");
    same(&ask(&owner, CATALOG, []).await, &before);
}

/// Says what differs, not two catalogs of a thousand lines.
#[track_caller]
fn same(found: &Value, expected: &Value) {
    let lines = |catalog: &Value| -> BTreeSet<String> {
        let parts = catalog.as_object().expect("an object").iter();
        parts
            .flat_map(|(part, items)| items.as_array().into_iter().flatten().map(move |item| format!("{part}: {item}")))
            .collect()
    };
    let (found, expected) = (lines(found), lines(expected));
    let more: Vec<_> = found.difference(&expected).collect();
    let less: Vec<_> = expected.difference(&found).collect();
    assert!(more.is_empty() && less.is_empty(), "left behind: {more:#?}\nmissing: {less:#?}");
}

const COLUMNS: &str = "
SELECT jsonb_object_agg(table_name, columns) AS json FROM (
    SELECT c.table_name, jsonb_agg(c.column_name ORDER BY c.ordinal_position) AS columns
      FROM information_schema.columns AS c JOIN information_schema.tables AS t USING (table_schema, table_name)
     WHERE c.table_schema = 'public' AND t.table_type = $1 AND c.table_name <> 'seaql_migrations'
     GROUP BY c.table_name) AS of_table";

type Columns = BTreeMap<String, BTreeSet<String>>;

async fn columns(kind: &str) -> Columns {
    let owner = Cluster::database().await.owner().await;
    serde_json::from_value(ask(&owner, COLUMNS, [kind.into()]).await).expect("columns by table")
}

#[tokio::test]
async fn the_entities_are_the_tables() {
    let believed: Columns = entities::tables()
        .into_iter()
        .map(|(table, columns)| (table.to_owned(), columns.into_iter().map(str::to_owned).collect()))
        .collect();
    assert_eq!(believed, columns("BASE TABLE").await);
}

/// Rows travel as JSON and Postgres drops a key it has no column for, so a field renamed on one side alone would lose its value in silence.
#[tokio::test]
async fn a_record_of_the_law_is_its_table_field_for_column() {
    let tables = columns("BASE TABLE").await;
    let records: [(&str, BTreeSet<String>, &[&str]); 18] = [
        ("casino", fields::<record::Casino>(), &[]),
        // What proves a person is not the law's to know.
        (
            "staff",
            fields::<record::Staff>(),
            &[
                "created_at",
                "external_subject",
                "failed_pins",
                "pin_hash",
                "pin_locked_until",
                "version",
            ],
        ),
        ("gaming_table", fields::<record::Table>(), &[]),
        ("table_par", fields::<record::Par>(), &[]),
        ("drop_box", fields::<record::DropBox>(), &["-in_custody"]),
        ("table_inventory_session", fields::<record::Session>(), &[]),
        ("table_inventory_snapshot", fields::<record::Snapshot>(), &[]),
        ("table_slip", fields::<record::Slip>(), &[]),
        ("table_drop_event", fields::<record::Drop>(), &["-count_waived"]),
        ("soft_count_table_result", fields::<record::SoftCount>(), &[]),
        ("reconciliation_exception", fields::<record::Exception>(), &[]),
        ("table_rundown_report", fields::<record::Report>(), &[]),
        ("schedule", fields::<record::Schedule>(), &[]),
        // A lease is between the daemons.
        ("job_run", fields::<record::JobRun>(), &["lease_term", "leased_until"]),
        ("rollup", fields::<workflows::rollup::Rollup>(), &[]),
        ("table_buyin_telemetry", fields::<workflows::buyin::Buyin>(), &[]),
        // A column that is not hashed would not be sealed.
        ("audit_log", fields::<workflows::seal::Row>(), &[]),
        ("audit_seal", fields::<workflows::seal::Seal>(), &[]),
    ];
    for (table, fields, differences) in records {
        let more = fields.difference(&tables[table]).map(|field| format!("-{field}"));
        let less = tables[table].difference(&fields).cloned();
        let found: BTreeSet<String> = more.chain(less).collect();
        assert_eq!(found, differences.iter().map(|name| (*name).to_owned()).collect(), "{table}");
    }
}

fn fields<T: PartialSchema>() -> BTreeSet<String> {
    let schema = serde_json::to_value(T::schema()).expect("a schema");
    schema["properties"].as_object().expect("properties").keys().cloned().collect()
}

/// The views carry the event catalog's names (seed 2): everything a slip of their kind has, some of it renamed, nothing lost.
#[tokio::test]
async fn the_views_show_a_whole_slip_under_the_catalogs_names() {
    let slip = columns("BASE TABLE").await.remove("table_slip").expect("table_slip");
    let views = columns("VIEW").await;
    let renamed = |names: &[(&str, &str)], absent: &[&str]| -> BTreeSet<String> {
        let shown = slip.iter().filter(|column| *column != "kind" && !absent.contains(&column.as_str()));
        shown
            .map(|column| {
                names
                    .iter()
                    .find(|(name, _)| name == column)
                    .map_or(column.clone(), |(_, seeds)| (*seeds).to_owned())
            })
            .collect()
    };
    let fill = renamed(
        &[("runner_id", "delivered_by"), ("dealer_id", "received_by")],
        &["cage_received_by", "cage_received_at", "cage_amount_cents"],
    );
    assert_eq!(views["table_fill"], fill);
    let names = [
        ("requested_by", "authorized_by"),
        ("runner_id", "sent_by"),
        ("cage_received_by", "received_by"),
        ("cage_received_at", "received_at"),
    ];
    assert_eq!(views["table_credit"], renamed(&names, &[]));
}

/// One command edge or none, then any number of automatic ones: what one transaction may do to a status.
fn jumps<S: Copy + PartialEq + Display>(machine: &Machine<S>, from: S) -> BTreeSet<String> {
    let of = |trigger: Trigger, from: S| {
        machine
            .edges_from(Some(from))
            .filter(move |edge| edge.trigger == trigger)
            .map(|edge: &Edge<S>| edge.to)
    };
    let mut reached: Vec<S> = std::iter::once(from).chain(of(Trigger::Command, from)).collect();
    let mut seen = 0;
    while seen < reached.len() {
        for next in of(Trigger::Auto, reached[seen]).collect::<Vec<_>>() {
            if !reached.contains(&next) {
                reached.push(next);
            }
        }
        seen += 1;
    }
    reached.iter().map(ToString::to_string).collect()
}

/// From a state that is final in its table's own eyes nothing moves, not even to itself.
async fn moves_agree<S: Copy + PartialEq + Display>(function: &str, machine: &Machine<S>, is_final: fn(S) -> bool) {
    let owner = Cluster::database().await.owner().await;
    let states: Vec<String> = machine.states.iter().map(ToString::to_string).collect();
    let sql = format!(
        "SELECT jsonb_object_agg(origin, moves) AS json FROM (
             SELECT origin, (SELECT COALESCE(jsonb_agg(target), '[]') FROM jsonb_array_elements_text($1) AS target WHERE {function}(origin, target)) AS moves
               FROM jsonb_array_elements_text($1) AS origin) AS of_state"
    );
    let allowed: Columns = serde_json::from_value(ask(&owner, &sql, [json!(states).into()]).await).expect("moves by state");
    let lawful: Columns = machine
        .states
        .iter()
        .map(|from| {
            (
                from.to_string(),
                if is_final(*from) { BTreeSet::new() } else { jumps(machine, *from) },
            )
        })
        .collect();
    assert_eq!(allowed, lawful, "{function}");
}

#[tokio::test]
async fn the_database_lets_a_session_make_exactly_the_laws_moves() {
    moves_agree("session_may_move", &session::MACHINE, |status| status == Status::Finalized).await;
}

#[tokio::test]
async fn the_database_lets_a_slip_make_exactly_the_laws_moves() {
    moves_agree("slip_may_move", &slip::MACHINE, SlipStatus::is_settled).await;
}

/// Every check of the form `column IN ('…', …)`.
const VOCABULARIES: &str = "
SELECT jsonb_agg(jsonb_build_object('table', c.conrelid::regclass::text, 'column', a.attname, 'def', pg_get_constraintdef(c.oid))) AS json
  FROM pg_constraint AS c JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
 WHERE c.connamespace = 'public'::regnamespace AND c.contype = 'c' AND cardinality(c.conkey) = 1
   AND pg_get_constraintdef(c.oid) LIKE 'CHECK ((' || quote_ident(a.attname) || ' = ANY (ARRAY[%'";

#[tokio::test]
async fn every_word_the_schema_allows_is_a_variant_and_the_other_way_round() {
    let owner = Cluster::database().await.owner().await;
    let found = ask(&owner, VOCABULARIES, []).await;
    let found: BTreeMap<(String, String), BTreeSet<String>> = found
        .as_array()
        .expect("constraints")
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().expect("text").to_owned();
            let words = text("def").split('\'').skip(1).step_by(2).map(str::to_owned).collect();
            ((text("table"), text("column")), words)
        })
        .collect();
    let expected: BTreeMap<(String, String), BTreeSet<String>> = vocabularies()
        .into_iter()
        .map(|(table, column, words)| ((table.to_owned(), column.to_owned()), words))
        .collect();
    assert_eq!(found, expected);
}

fn words<W: VariantArray + Display>() -> BTreeSet<String> {
    W::VARIANTS.iter().map(ToString::to_string).collect()
}

fn without<W: VariantArray + Display + PartialEq>(absent: &[W]) -> BTreeSet<String> {
    W::VARIANTS
        .iter()
        .filter(|word| !absent.contains(word))
        .map(ToString::to_string)
        .collect()
}

fn left_by<S: Copy + PartialEq + Display>(machine: &Machine<S>, verb: &str) -> BTreeSet<String> {
    machine
        .edges
        .iter()
        .filter(|edge| edge.verb == verb)
        .filter_map(|edge| edge.from)
        .map(|from| from.to_string())
        .collect()
}

fn vocabularies() -> Vec<(&'static str, &'static str, BTreeSet<String>)> {
    vec![
        ("casino", "bank_mode", words::<BankMode>()),
        ("casino", "slip_scope", words::<SlipScope>()),
        ("staff", "role", words::<Role>()),
        ("staff", "status", words::<StaffStatus>()),
        ("gaming_table", "type", words::<GameType>()),
        ("gaming_table", "status", words::<TableStatus>()),
        ("drop_box", "kind", words::<BoxKind>()),
        ("table_inventory_session", "status", words::<Status>()),
        ("table_inventory_session", "bank_mode", words::<BankMode>()),
        (
            "table_inventory_session",
            "scheduled_from",
            left_by(&session::MACHINE, "schedule_drop"),
        ),
        ("table_inventory_session", "close_reason", words::<CloseReason>()),
        ("table_inventory_snapshot", "kind", words::<SnapshotKind>()),
        ("table_slip", "kind", words::<SlipKind>()),
        ("table_slip", "purpose", words::<SlipPurpose>()),
        ("table_slip", "status", words::<SlipStatus>()),
        ("table_slip", "slip_scope", words::<SlipScope>()),
        ("table_slip", "voided_from", left_by(&slip::MACHINE, "void")),
        ("slip_counter", "kind", words::<SlipKind>()),
        ("slip_counter", "slip_scope", words::<SlipScope>()),
        ("slip_manual_range", "kind", words::<SlipKind>()),
        ("slip_manual_range", "slip_scope", words::<SlipScope>()),
        // No box goes before the table is open.
        ("table_drop_event", "removed_in", without(&[Status::ReadyToOpen, Status::Opening])),
        ("soft_count_table_result", "standing", words::<CountStanding>()),
        ("reconciliation_exception", "category", words::<Category>()),
        ("reconciliation_exception", "subject_kind", words::<SubjectKind>()),
        ("reconciliation_exception", "status", words::<ExceptionStatus>()),
        ("reconciliation_exception", "reason_code", words::<ReasonCode>()),
        ("table_rundown_report", "metric_grade", words::<MetricGrade>()),
        ("table_rundown_report", "count_status", words::<CountStatus>()),
        ("signature", "subject_kind", words::<SubjectKind>()),
        // The daemon itself signs nothing.
        ("signature", "role", without(&[Role::System])),
        ("signature", "method", words::<Method>()),
        ("session_transition", "trigger", words::<Trigger>()),
        ("schedule", "job_kind", words::<JobKind>()),
        ("schedule", "gap", words::<GapPolicy>()),
        ("schedule", "fold", words::<FoldPolicy>()),
        ("schedule", "catch_up", words::<CatchUp>()),
        ("schedule", "overlap", words::<Overlap>()),
        ("job_run", "job_kind", words::<JobKind>()),
        ("job_run", "status", words::<RunStatus>()),
        ("shift_template", "status", words::<TemplateStatus>()),
        ("shift", "status", words::<ShiftStatus>()),
        ("shift_rundown_summary", "status", words::<SummaryStatus>()),
        ("shift_rundown_summary", "metric_grade", words::<MetricGrade>()),
        ("webhook", "disabled_reason", words::<DisabledReason>()),
        ("rollup", "grain", words::<RollupGrain>()),
        ("rollup", "by", words::<RollupBy>()),
        ("visit", "visit_kind", words::<VisitKind>()),
        ("rating_slip", "game_type", words::<GameType>()),
        ("rating_slip", "status", words::<RatingSlipStatus>()),
        ("player_financial_transaction", "direction", words::<Direction>()),
        ("player_financial_transaction", "kind", words::<TransactionKind>()),
        ("loyalty_ledger", "reason", words::<LedgerReason>()),
        ("floor_layout_slot", "game_type", words::<GameType>()),
        ("table_buyin_telemetry", "telemetry_kind", words::<TelemetryKind>()),
        ("table_buyin_telemetry", "source", words::<TelemetrySource>()),
    ]
}

/// Three that change their clocks at three different hours, one that changes them by half an hour, and one that never does.
const ZONES: [Tz; 5] = [
    chrono_tz::America::New_York,
    chrono_tz::America::Chicago,
    chrono_tz::Europe::Malta,
    chrono_tz::Australia::Lord_Howe,
    chrono_tz::Asia::Macau,
];

/// The default, both ends of the day, and three that fall into the hours clocks jump over or repeat.
const STARTS: [&str; 6] = ["06:00:00", "00:00:00", "23:59:59.999999", "01:45:00", "02:30:00", "03:00:00"];

#[tokio::test]
async fn sql_and_rust_agree_on_the_gaming_day() {
    let mut asked: Vec<(DateTime<Utc>, Tz, NaiveTime)> = Vec::new();
    let mut random = Random(20_260_306);
    for zone in ZONES {
        let changes = clock_changes(zone);
        assert_eq!(
            changes.len(),
            if zone == chrono_tz::Asia::Macau { 0 } else { 22 },
            "{zone}: two changes a year, 2020 to 2030"
        );
        for start in STARTS.map(|text| text.parse::<NaiveTime>().expect("a time")) {
            let edges = changes.iter().flat_map(|change| edges_around(*change, zone, start));
            asked.extend(edges.flat_map(around).map(|at| (at, zone, start)));
            asked.extend((0..500).map(|_| (random.instant(), zone, start)));
        }
    }
    let rows: Vec<Value> = asked
        .iter()
        .map(|(at, zone, start)| json!({ "at": at, "zone": zone.name(), "start": start.to_string() }))
        .collect();
    let owner = Cluster::database().await.owner().await;
    let sql =
        "SELECT jsonb_agg(gaming_day((r.row->>'at')::timestamptz, r.row->>'zone', (r.row->>'start')::time) ORDER BY r.ordinality) AS json
                 FROM jsonb_array_elements($1) WITH ORDINALITY AS r (row, ordinality)";
    let found: Vec<NaiveDate> = serde_json::from_value(ask(&owner, sql, [Value::Array(rows).into()]).await).expect("days");
    assert_eq!(found.len(), asked.len());
    for (sql, (at, zone, start)) in found.into_iter().zip(asked) {
        assert_eq!(
            sql,
            workflows::gaming_day::gaming_day(at, zone, start),
            "{at} in {zone}, the day starting at {start}"
        );
    }
}

/// Every instant at which the zone's offset changes, to the second.
fn clock_changes(zone: Tz) -> Vec<DateTime<Utc>> {
    let offset = |at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    let (mut at, end) = (year(2020), year(2031));
    let mut changes = Vec::new();
    while at < end {
        let next = at + TimeDelta::days(1);
        if offset(at) != offset(next) {
            let (mut before, mut after) = (at, next);
            while after - before > TimeDelta::seconds(1) {
                let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
                if offset(middle) == offset(before) {
                    before = middle;
                } else {
                    after = middle;
                }
            }
            changes.push(after);
        }
        at = next;
    }
    changes
}

fn year(year: i32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).single().expect("a new year")
}

/// The change itself, and the local start of the days around it. A start that the clocks jump over has no instant; one they repeat has two.
fn edges_around(change: DateTime<Utc>, zone: Tz, start: NaiveTime) -> Vec<DateTime<Utc>> {
    let day = change.with_timezone(&zone).date_naive();
    let days = [day - Days::new(1), day, day + Days::new(1)];
    let starts = days.into_iter().flat_map(|day| {
        let local = zone.from_local_datetime(&day.and_time(start));
        [local.earliest(), local.latest()]
            .into_iter()
            .flatten()
            .map(|at| at.with_timezone(&Utc))
            .collect::<Vec<_>>()
    });
    std::iter::once(change).chain(starts).collect()
}

fn around(at: DateTime<Utc>) -> [DateTime<Utc>; 3] {
    [at - TimeDelta::microseconds(1), at, at + TimeDelta::microseconds(1)]
}

/// Splitmix: the same instants in every run, so that a failure can be looked at again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn instant(&mut self) -> DateTime<Utc> {
        let span = (year(2031) - year(2020)).num_microseconds().expect("eleven years");
        let offset = i64::try_from(self.next() % span.unsigned_abs()).expect("within the span");
        year(2020) + TimeDelta::microseconds(offset)
    }
}
