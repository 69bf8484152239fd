//! `rundown seed <folder>`: founds a casino from its files, or brings it in line with them.
//!
//! What a folder says is made true: people, tables (in service), boxes, par, settings, both slip series, shift templates. What it does not say is left
//! alone, and nobody and nothing is ever taken away. So a second run finds everything done; a PIN that was changed since stays changed.
//! It is the owner's errand, in one transaction: through the API a casino cannot be founded.

use std::collections::{HashMap, HashSet};
use std::iter::once;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, ensure};
use chrono::{DateTime, Utc};
use clap::Args;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;
use workflows::role::Role;

use super::{say, with_database};
use crate::auth::pin;
use crate::casino_folder::{Folder, ShiftRow, StaffRow};
use crate::clock::{Clock, new_id};
use crate::config::Config;
use crate::database::{Database, Errand};
use crate::observe::CorrelationId;

/// Found a casino from a folder of files, or bring it in line with them.
#[derive(Clone, Debug, Args)]
pub struct SeedArgs {
    /// A folder with casino.json, staff.csv, par-sheet.csv and drop-boxes.csv.
    folder: PathBuf,
}

pub async fn run(args: &SeedArgs, config: &Config) -> Result<ExitCode> {
    let folder = Folder::read_setup(&args.folder)?;
    let seeded = with_database(config, async |database| {
        database.prepare().await?;
        seed(database, &folder, Clock::System.now()).await
    });
    say(seeded.await?);
    Ok(ExitCode::SUCCESS)
}

/// What a seeding came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeded {
    pub casino_id: Uuid,
    pub casino: String,
    /// Rows made and rows changed.
    pub rows: Rows,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    pub made: u64,
    pub changed: u64,
}

impl Rows {
    fn plus(self, other: Self) -> Self {
        Self {
            made: self.made + other.made,
            changed: self.changed + other.changed,
        }
    }
}

impl std::fmt::Display for Seeded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            casino,
            rows: Rows { made, changed },
            ..
        } = self;
        match (made, changed) {
            (0, 0) => write!(formatter, "{casino}: everything is as the folder says already"),
            _ => write!(formatter, "{casino}: {made} rows made, {changed} changed"),
        }
    }
}

/// Seeds a database whose schema is in place.
pub async fn seed(database: &Database, folder: &Folder, now: DateTime<Utc>) -> Result<Seeded> {
    refuse_bad_pins(folder)?;
    let owner = database.owner().await?;
    // Hashing takes its time: who needs it is found out first, and no transaction waits for it.
    let reading = owner.begin().await?;
    let known = casino_named(&reading, &folder.casino.name).await?;
    let with_pin = with_pin(&reading, known).await?;
    reading.commit().await?;
    let pins = hashes(&folder.staff, &with_pin).await?;

    let errand = owner.begin().await?;
    let seeded = write(&errand, folder, &pins, now)
        .await
        .with_context(|| format!("{} could not be seeded; nothing was stored", folder.casino.name))?;
    errand.commit().await?;
    owner.close().await?;
    Ok(seeded)
}

/// A casino and its principal, before anything else is there. The caller stands in for it from here on.
pub(super) async fn found(errand: &Errand, casino: &Value) -> Result<Rows> {
    errand.json(CASINO, casino).await
}

/// People by employee number.
pub(super) async fn staff(errand: &Errand, people: &[Value]) -> Result<Rows> {
    errand.json(STAFF, &people).await
}

/// The daemon's own principal in a casino: it drives edges and signs nothing. Its subject is one that no token may hold.
pub(super) fn principal(casino_id: Uuid, casino: &str) -> Value {
    person(casino_id, casino, "system", "rundown", Role::System, None)
}

pub(super) fn person(casino_id: Uuid, casino: &str, employee_no: &str, name: &str, role: Role, pin_hash: Option<&str>) -> Value {
    json!({
        "id": new_id(),
        "casino_id": casino_id,
        "external_subject": format!("{casino}:{employee_no}"),
        "employee_no": employee_no,
        "name": name,
        "role": role,
        "pin_hash": pin_hash,
    })
}

/// Says in the casino's own book who founded or changed it.
pub(super) async fn audit(errand: &Errand, casino_id: Uuid, action: &str, after: Value, now: DateTime<Utc>) -> Result<()> {
    let row = json!({
        "id": new_id(),
        "casino_id": casino_id,
        "ts": now,
        "domain": "casino",
        "action": action,
        "dto_after": after,
        "correlation_id": CorrelationId::generate().as_str(),
    });
    errand.json::<Value>(AUDIT, &row).await.map(drop)
}

pub(super) async fn casino_named(errand: &Errand, name: &str) -> Result<Option<Uuid>> {
    let id = errand
        .json("SELECT (SELECT to_jsonb(id) FROM casino WHERE name = $1->>0) AS json", &[name])
        .await;
    id.context("the casinos cannot be read")
}

/// One seeding after another: two of one casino would each found it.
const ONE_AT_A_TIME: &str = "SELECT to_jsonb(pg_advisory_xact_lock(8247616871532195695)::text) AS json WHERE $1 IS NOT NULL";

async fn write(errand: &Errand, folder: &Folder, pins: &HashMap<String, String>, now: DateTime<Utc>) -> Result<Seeded> {
    errand.json::<Value>(ONE_AT_A_TIME, &true).await?;
    let name = &folder.casino.name;
    let casino_id = casino_named(errand, name).await?.unwrap_or_else(new_id);
    errand.stand_in(casino_id).await?;

    let casino = found(errand, &settings(casino_id, folder)).await?;
    let pin_of = |employee_no: &str| pins.get(employee_no).map(String::as_str);
    let people: Vec<Value> = folder
        .staff
        .iter()
        .map(|row| person(casino_id, name, &row.employee_no, &row.name, row.role, pin_of(&row.employee_no)))
        .chain(once(principal(casino_id, name)))
        .collect();
    let staff = staff(errand, &people).await?;

    let tables: Vec<Value> = folder
        .par_sheet
        .iter()
        .map(|row| {
            json!({ "id": new_id(), "casino_id": casino_id, "label": row.table, "type": row.game, "pit": row.pit,
                    "par_id": new_id(), "par_cents": row.par_cents, "at": now })
        })
        .collect();
    let boxes: Vec<Value> = folder
        .boxes
        .iter()
        .map(|row| json!({ "id": new_id(), "casino_id": casino_id, "label": row.label, "table_label": row.table, "kind": row.kind }))
        .collect();
    let parts = [
        ("casino", casino),
        ("staff", staff),
        ("tables", errand.json(TABLES, &tables).await?),
        ("par", errand.json(PAR, &tables).await?),
        ("drop_boxes", drop_boxes(errand, &boxes).await?),
        (
            "shift_templates",
            errand.json(SHIFT_TEMPLATES, &shift_templates(casino_id, folder)).await?,
        ),
    ];
    let rows = parts.iter().fold(Rows::default(), |sum, (_, rows)| sum.plus(*rows));
    // A seeding that found everything done leaves no second trace of it.
    if rows != Rows::default() {
        let after: Value = parts.iter().map(|(part, rows)| ((*part).to_owned(), json!(rows))).collect();
        audit(errand, casino_id, "seed", json!({ "folder": folder.name, "rows": after }), now).await?;
    }
    Ok(Seeded {
        casino_id,
        casino: name.clone(),
        rows,
    })
}

fn settings(casino_id: Uuid, folder: &Folder) -> Value {
    let casino = &folder.casino;
    json!({
        "id": casino_id,
        "name": casino.name,
        "timezone": casino.timezone.name(),
        "gaming_day_start": casino.gaming_day_start,
        "bank_mode": casino.bank_mode,
        "denominations_cents": casino.denominations_cents,
        "min_count_team": casino.min_count_team,
    })
}

fn shift_templates(casino_id: Uuid, folder: &Folder) -> Vec<Value> {
    let row = |shift: &ShiftRow| json!({ "id": new_id(), "casino_id": casino_id, "name": shift.name, "local_start": shift.local_start, "local_end": shift.local_end });
    folder.casino.shifts.iter().map(row).collect()
}

/// A box that is known under another table may be anywhere by now: that is for people to sort out.
async fn drop_boxes(errand: &Errand, boxes: &[Value]) -> Result<Rows> {
    let elsewhere: Vec<String> = errand.json(BOXES_ELSEWHERE, &boxes).await?;
    ensure!(
        elsewhere.is_empty(),
        "drop-boxes.csv gives {} another table or kind than the casino knows",
        elsewhere.join(", ")
    );
    errand.json(BOXES, &boxes).await
}

/// Every one of them, before anything is stored.
fn refuse_bad_pins(folder: &Folder) -> Result<()> {
    let bad = |person: &StaffRow| {
        let refused = pin::acceptable(person.pin.as_ref()?).err()?;
        Some(format!("{}: {refused}", person.employee_no))
    };
    let bad: Vec<String> = folder.staff.iter().filter_map(bad).collect();
    ensure!(bad.is_empty(), "staff.csv: {}", bad.join("; "));
    Ok(())
}

/// Employee numbers of those who have a PIN already.
async fn with_pin(errand: &Errand, casino: Option<Uuid>) -> Result<HashSet<String>> {
    let Some(casino) = casino else { return Ok(HashSet::new()) };
    errand.stand_in(casino).await?;
    let sql = "SELECT COALESCE(jsonb_agg(employee_no), '[]') AS json FROM staff WHERE casino_id = ($1->>0)::uuid AND pin_hash IS NOT NULL";
    errand.json(sql, &[casino]).await
}

/// Hashes the PINs of those who have none yet, as many at once as the machine has cores.
async fn hashes(staff: &[StaffRow], with_pin: &HashSet<String>) -> Result<HashMap<String, String>> {
    let wanting = staff.iter().filter(|person| !with_pin.contains(&person.employee_no));
    let work: JoinSet<Result<(String, String)>> = wanting
        .filter_map(|person| Some(hashed(person.employee_no.clone(), person.pin.clone()?)))
        .collect();
    work.join_all()
        .await
        .into_iter()
        .collect::<Result<_>>()
        .map_err(|error| anyhow!("a PIN: {error:#}"))
}

async fn hashed(employee_no: String, pin: SecretString) -> Result<(String, String)> {
    Ok((employee_no, pin::hash_blocking(pin).await?))
}

// Each statement takes rows as JSON and answers how many it made and how many it changed. `xmax = 0` tells the two apart: a row that was
// just made has never been locked. Only rows that differ are touched, for a change of nothing would still be a new version.

const CASINO: &str = "
WITH put AS (
    INSERT INTO casino AS c (id, name, timezone, gaming_day_start, bank_mode, denominations_cents, min_count_team, fill_series_open, credit_series_open)
    SELECT r.id, r.name, r.timezone, COALESCE(r.gaming_day_start, '06:00'), COALESCE(r.bank_mode, 'INVENTORY_COUNT'),
           COALESCE(r.denominations_cents, '{}'), COALESCE(r.min_count_team, 3), true, true
      FROM jsonb_to_record($1) AS r (id uuid, name text, timezone text, gaming_day_start time, bank_mode text, denominations_cents bigint[],
                                     min_count_team int)
    ON CONFLICT (id) DO UPDATE SET
        timezone = EXCLUDED.timezone, gaming_day_start = EXCLUDED.gaming_day_start, bank_mode = EXCLUDED.bank_mode,
        denominations_cents = EXCLUDED.denominations_cents, min_count_team = EXCLUDED.min_count_team,
        fill_series_open = true, credit_series_open = true, version = c.version + 1
     WHERE (c.timezone, c.gaming_day_start, c.bank_mode, c.denominations_cents, c.min_count_team, c.fill_series_open, c.credit_series_open)
           IS DISTINCT FROM
           (EXCLUDED.timezone, EXCLUDED.gaming_day_start, EXCLUDED.bank_mode, EXCLUDED.denominations_cents, EXCLUDED.min_count_team, true, true)
    RETURNING c.xmax = 0 AS made)
SELECT jsonb_build_object('made', count(*) FILTER (WHERE made), 'changed', count(*) FILTER (WHERE NOT made)) AS json FROM put";

const STAFF: &str = "
WITH put AS (
    INSERT INTO staff AS s (id, casino_id, external_subject, employee_no, name, role, pin_hash)
    SELECT r.id, r.casino_id, r.external_subject, r.employee_no, r.name, r.role, r.pin_hash FROM jsonb_populate_recordset(NULL::staff, $1) AS r
    ON CONFLICT (casino_id, employee_no) DO UPDATE SET
        external_subject = EXCLUDED.external_subject, name = EXCLUDED.name, role = EXCLUDED.role,
        pin_hash = COALESCE(s.pin_hash, EXCLUDED.pin_hash), version = s.version + 1
     WHERE (s.external_subject, s.name, s.role) IS DISTINCT FROM (EXCLUDED.external_subject, EXCLUDED.name, EXCLUDED.role)
        OR (s.pin_hash IS NULL AND EXCLUDED.pin_hash IS NOT NULL)
    RETURNING s.xmax = 0 AS made)
SELECT jsonb_build_object('made', count(*) FILTER (WHERE made), 'changed', count(*) FILTER (WHERE NOT made)) AS json FROM put";

const TABLES: &str = "
WITH put AS (
    INSERT INTO gaming_table AS t (id, casino_id, label, type, pit, status)
    SELECT r.id, r.casino_id, r.label, r.type, r.pit, 'active' FROM jsonb_populate_recordset(NULL::gaming_table, $1) AS r
    ON CONFLICT (casino_id, label) DO UPDATE SET
        type = EXCLUDED.type, pit = EXCLUDED.pit, status = EXCLUDED.status, version = t.version + 1
     WHERE (t.type, t.pit, t.status) IS DISTINCT FROM (EXCLUDED.type, EXCLUDED.pit, EXCLUDED.status)
    RETURNING t.xmax = 0 AS made)
SELECT jsonb_build_object('made', count(*) FILTER (WHERE made), 'changed', count(*) FILTER (WHERE NOT made)) AS json FROM put";

/// Par is append-only: a row is added where the one in force says something else.
const PAR: &str = "
WITH put AS (
    INSERT INTO table_par (id, casino_id, table_id, par_cents, effective_gaming_day)
    SELECT r.par_id, c.id, t.id, r.par_cents, today.gaming_day
      FROM jsonb_to_recordset($1) AS r (casino_id uuid, label text, par_id uuid, par_cents bigint, at timestamptz)
      JOIN casino AS c ON c.id = r.casino_id
      JOIN gaming_table AS t ON t.casino_id = c.id AND t.label = r.label
     CROSS JOIN LATERAL gaming_day(r.at, c.timezone, c.gaming_day_start) AS today (gaming_day)
     WHERE r.par_cents IS DISTINCT FROM (
            SELECT p.par_cents FROM table_par AS p
             WHERE p.casino_id = c.id AND p.table_id = t.id AND p.effective_gaming_day <= today.gaming_day
             ORDER BY p.effective_gaming_day DESC, p.id DESC LIMIT 1)
    RETURNING id)
SELECT jsonb_build_object('made', count(*), 'changed', 0) AS json FROM put";

const BOXES: &str = "
WITH put AS (
    INSERT INTO drop_box (id, casino_id, label, table_id, kind)
    SELECT r.id, r.casino_id, r.label, t.id, r.kind
      FROM jsonb_to_recordset($1) AS r (id uuid, casino_id uuid, label text, table_label text, kind text)
      LEFT JOIN gaming_table AS t ON t.casino_id = r.casino_id AND t.label = r.table_label
    ON CONFLICT (casino_id, label) DO NOTHING
    RETURNING id)
SELECT jsonb_build_object('made', count(*), 'changed', 0) AS json FROM put";

const BOXES_ELSEWHERE: &str = "
SELECT COALESCE(jsonb_agg(r.label ORDER BY r.label), '[]') AS json
  FROM jsonb_to_recordset($1) AS r (casino_id uuid, label text, table_label text, kind text)
  JOIN drop_box AS b ON b.casino_id = r.casino_id AND b.label = r.label
  LEFT JOIN gaming_table AS t ON t.casino_id = r.casino_id AND t.label = r.table_label
 WHERE (b.table_id, b.kind) IS DISTINCT FROM (t.id, r.kind)";

/// A template that somebody took out of use stays out of use.
const SHIFT_TEMPLATES: &str = "
WITH put AS (
    INSERT INTO shift_template AS t (id, casino_id, name, local_start, local_end)
    SELECT r.id, r.casino_id, r.name, r.local_start, r.local_end FROM jsonb_populate_recordset(NULL::shift_template, $1) AS r
    ON CONFLICT (casino_id, name) DO UPDATE SET
        local_start = EXCLUDED.local_start, local_end = EXCLUDED.local_end, version = t.version + 1
     WHERE (t.local_start, t.local_end) IS DISTINCT FROM (EXCLUDED.local_start, EXCLUDED.local_end)
    RETURNING t.xmax = 0 AS made)
SELECT jsonb_build_object('made', count(*) FILTER (WHERE made), 'changed', count(*) FILTER (WHERE NOT made)) AS json FROM put";

/// By the casino's own principal: whoever types the command is known to the machine, not to the casino.
const AUDIT: &str = "
INSERT INTO audit_log (id, casino_id, ts, actor_id, domain, action, dto_after, correlation_id)
SELECT r.id, r.casino_id, r.ts, s.id, r.domain, r.action, r.dto_after, r.correlation_id
  FROM jsonb_populate_record(NULL::audit_log, $1) AS r JOIN staff AS s ON s.casino_id = r.casino_id AND s.role = 'system'
RETURNING to_jsonb(audit_log.id) AS json";
