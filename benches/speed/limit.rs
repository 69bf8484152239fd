//! The limit: what Postgres does of a simple transition when nothing is asked but that it be durable.
//!
//! The statements work on the daemon's own tables, in the daemon's own role, behind the same row security, triggers and keys: tenant context, row lock
//! and read, status, fact, audit row, event, commit. What a command does beyond that (who is it, was it asked before, may it be, who signed,
//! what to answer a second time, which rollups to renew) is not in them: the limit is the lower bound of a program without a law.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use uuid::Uuid;

/// The sessions in play that the statements work on: `id_prefix` and twelve digits, counting from `first`.
pub struct Ground {
    pub socket_dir: String,
    pub casino: Uuid,
    pub actor: Uuid,
    pub id_prefix: String,
    pub first: usize,
    pub sessions: usize,
}

#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Statement by statement: eight round trips.
    Plain,
    /// One function: one round trip.
    Function,
}

/// What a run of pgbench came to.
pub struct Limit {
    pub per_second: f64,
    pub transactions: f64,
}

impl Shape {
    /// Which session is this client's next. Like the daemon's clients, no two work on one.
    const PICK: &'static str = "\\set share :sessions / :clients\n\\set n :first + :client_id * :share + random(0, :share - 1)\n";

    fn script(self, ground: &Ground) -> String {
        let (casino, actor) = (ground.casino, ground.actor);
        let id = format!("('{}' || lpad((:n)::text, 12, '0'))::uuid", ground.id_prefix);
        let pick = Self::PICK;
        match self {
            Self::Function => format!("{pick}SELECT speed_limit('{casino}', '{actor}', {id});\n"),
            Self::Plain => format!(
                "{pick}BEGIN;
SELECT set_config('app.casino_id', '{casino}', true), set_config('app.actor_id', '{actor}', true), set_config('app.staff_role', 'pit_boss', true);
SELECT * FROM table_inventory_session WHERE id = {id} FOR NO KEY UPDATE;
{update}
{fact}
{audit}
{event}
COMMIT;
",
                update = one_line(&UPDATE.replace("$session", &id)),
                fact = one_line(&filled(FACT, &id, casino, actor)),
                audit = one_line(&filled(AUDIT, &id, casino, actor)),
                event = one_line(&filled(EVENT, &id, casino, actor)),
            ),
        }
    }
}

const UPDATE: &str = "
UPDATE table_inventory_session SET status = CASE status WHEN 'OPEN' THEN 'DROP_SCHEDULED' ELSE 'OPEN' END, drop_scheduled_for = now(),
       scheduled_from = 'OPEN', version = version + 1 WHERE id = $session;";
const FACT: &str = "
INSERT INTO session_transition (id, casino_id, session_id, verb, from_status, to_status, trigger, taken_by, taken_at)
VALUES (speed_id(), $casino, $session, 'session.schedule_drop', 'OPEN', 'DROP_SCHEDULED', 'command', $actor, now());";
const AUDIT: &str = r#"
INSERT INTO audit_log (id, casino_id, ts, actor_id, domain, action, session_id, dto_before, dto_after, correlation_id)
VALUES (speed_id(), $casino, now(), $actor, 'session', 'schedule_drop', $session, '{"status": "OPEN"}',
        '{"status": "DROP_SCHEDULED", "scheduled_from": "OPEN"}', speed_id()::text);"#;
/// What it says is one of the daemon's own events: the relay has to publish it like any other, and one it cannot read would come back to it again
/// and again, in the middle of what is measured next.
const EVENT: &str = "
INSERT INTO outbox (id, casino_id, event, aggregate_id, channels, payload, correlation_id)
VALUES (speed_id(), $casino, 'table.session_advanced', $session, speed_channels(), speed_payload(), speed_id()::text);";

fn filled(sql: &str, session: &str, casino: Uuid, actor: Uuid) -> String {
    sql.replace("$session", session)
        .replace("$casino", &format!("'{casino}'::uuid"))
        .replace("$actor", &format!("'{actor}'::uuid"))
}

fn one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The function of [`Shape::Function`]: the same statements, with the caller's rights; and those both take their ids and their event from.
///
/// A session must have been played before: the event is the last of its kind.
pub fn functions(casino: Uuid) -> String {
    let body = |sql: &str| {
        sql.replace("$session", "p_session")
            .replace("$casino", "p_casino")
            .replace("$actor", "p_actor")
    };
    format!(
        "-- Ids that ascend with the time, as the daemon's do: others would make the limit pay for pages all over its indexes.
         CREATE OR REPLACE FUNCTION speed_id() RETURNS uuid LANGUAGE sql VOLATILE AS $speed$
             SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 19))::uuid
         $speed$;
         DO $speed$
         DECLARE
             told outbox;
         BEGIN
             SELECT * INTO STRICT told FROM outbox
              WHERE casino_id = '{casino}' AND event = 'table.session_advanced' ORDER BY position DESC LIMIT 1;
             EXECUTE format('CREATE OR REPLACE FUNCTION speed_channels() RETURNS text[] LANGUAGE sql IMMUTABLE RETURN %L::text[]', told.channels);
             EXECUTE format('CREATE OR REPLACE FUNCTION speed_payload() RETURNS jsonb LANGUAGE sql IMMUTABLE RETURN %L::jsonb', told.payload);
         END $speed$;
         CREATE OR REPLACE FUNCTION speed_limit(p_casino uuid, p_actor uuid, p_session uuid) RETURNS void LANGUAGE plpgsql AS $speed$
         BEGIN
             PERFORM set_config('app.casino_id', p_casino::text, true), set_config('app.actor_id', p_actor::text, true),
                     set_config('app.staff_role', 'pit_boss', true);
             PERFORM * FROM table_inventory_session WHERE id = p_session FOR NO KEY UPDATE;
             {} {} {} {}
         END $speed$;",
        body(UPDATE),
        body(FACT),
        body(AUDIT),
        body(EVENT),
    )
}

/// Runs pgbench, prepared statements, as the daemon's role.
pub fn run(binaries: &Path, scratch: &Path, ground: &Ground, shape: Shape, clients: usize, seconds: u64) -> Result<Limit> {
    let script = scratch.join(format!("{shape:?}.sql"));
    std::fs::write(&script, shape.script(ground))?;
    let output = Command::new(binaries.join("pgbench"))
        .args(["--no-vacuum", "--protocol", "prepared", "--host", &ground.socket_dir])
        .args(["--username", "rundown_app", "--port", &rundown::postgres::PORT.to_string()])
        .args(["--client", &clients.to_string(), "--jobs", &clients.min(2).to_string()])
        .args(["--time", &seconds.to_string()])
        .args(["--define", &format!("sessions={}", ground.sessions)])
        .args(["--define", &format!("first={}", ground.first)])
        .args(["--define", &format!("clients={clients}")])
        .arg("--file")
        .arg(&script)
        .arg(rundown::postgres::DATABASE)
        .output()
        .context("pgbench")?;
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "pgbench: {complained}");
    let number = |begins: &str| -> Result<f64> {
        let line = said.lines().find_map(|line| line.strip_prefix(begins));
        let word = line.and_then(|rest| rest.split_whitespace().next());
        Ok(word.with_context(|| format!("pgbench says no {begins}: {said}"))?.parse()?)
    };
    Ok(Limit {
        per_second: number("tps = ")?,
        transactions: number("number of transactions actually processed: ")?,
    })
}
