//! The audit row: one a command, with what changed, before and after (domain §13). A replay writes none.

use serde_json::{Map, Value};
use uuid::Uuid;
use workflows::act::{self, Act};
use workflows::case::{Changes, Context, Rows};
use workflows::word::SubjectKind;

use super::Envelope;
use crate::clock::new_id;
use crate::store::desk::AuditRow;

/// One row from parts. `action` is `domain.verb`, the word under which the act is signed.
pub(super) fn row(
    context: &Context,
    envelope: &Envelope,
    action: &str,
    sessions: &[Uuid],
    before: Option<Value>,
    after: Option<Value>,
) -> AuditRow {
    let (domain, action) = action.split_once('.').unwrap_or(("daemon", action));
    AuditRow {
        id: new_id(),
        casino_id: context.casino.id,
        ts: context.at,
        actor_id: context.caller.id,
        domain: domain.to_owned(),
        action: action.to_owned(),
        session_id: sessions.first().copied(),
        other_session_ids: sessions.get(1..).filter(|others| !others.is_empty()).map(<[Uuid]>::to_vec),
        dto_before: before,
        dto_after: after,
        correlation_id: envelope.correlation.to_string(),
    }
}

/// What a change of rows changed, and what it let a session do.
pub(super) fn of_rows(
    context: &Context,
    envelope: &Envelope,
    action: &str,
    (before, after): (Option<Value>, Option<Value>),
    settled: &Changes,
) -> AuditRow {
    if settled.is_empty() {
        return row(context, envelope, action, &[], before, after);
    }
    let (was, is) = told(settled);
    row(
        context,
        envelope,
        action,
        &sessions(settled),
        joined(before, was),
        joined(after, is),
    )
}

/// Both accounts as one: they speak of different tables.
fn joined(rows: Option<Value>, more: Map<String, Value>) -> Option<Value> {
    let mut all = match rows {
        Some(Value::Object(rows)) => rows,
        Some(_) | None => Map::new(),
    };
    all.extend(more);
    (!all.is_empty()).then_some(Value::Object(all))
}

fn sessions(changes: &Changes) -> Vec<Uuid> {
    changes.dossiers().iter().map(|dossier| dossier.session.id).collect()
}

/// What a judged command changed: of updated rows the columns that differ, of new rows everything they say that the audit row does not say itself
/// (its casino, its session).
pub(super) fn of_changes(context: &Context, envelope: &Envelope, act: Act, changes: &Changes) -> AuditRow {
    let (before, after) = told(changes);
    let before = (!before.is_empty()).then_some(Value::Object(before));
    row(
        context,
        envelope,
        action(act, changes),
        &sessions(changes),
        before,
        Some(Value::Object(after)),
    )
}

fn told(changes: &Changes) -> (Map<String, Value>, Map<String, Value>) {
    let (before, mut after) = differences(&tables(changes.replaced()), &tables(changes.update()));
    let session = changes
        .dossiers()
        .first()
        .map(|dossier| Value::from(dossier.session.id.to_string()));
    for (table, rows) in tables(changes.insert()) {
        let rows: Vec<Value> = rows.into_iter().map(|row| what_is_new(row, session.as_ref())).collect();
        match after.get_mut(&table).and_then(Value::as_array_mut) {
            Some(known) => known.extend(rows),
            None => {
                after.insert(table, Value::Array(rows));
            }
        }
    }
    (before, after)
}

/// A session's move is audited under its own verb, which its signature carries.
fn action(act: Act, changes: &Changes) -> &str {
    if act.name != act::MOVE_SESSION.name {
        return act.name;
    }
    let moved = changes
        .insert()
        .signature
        .iter()
        .find(|signature| signature.subject_kind == SubjectKind::Session);
    moved.map_or(act.name, |signature| signature.act.as_str())
}

fn tables(rows: &Rows) -> Vec<(String, Vec<Value>)> {
    let Ok(Value::Object(tables)) = serde_json::to_value(rows) else {
        return Vec::new();
    };
    tables
        .into_iter()
        .map(|(table, rows)| (table, rows.as_array().cloned().unwrap_or_default()))
        .collect()
}

fn differences(before: &[(String, Vec<Value>)], after: &[(String, Vec<Value>)]) -> (Map<String, Value>, Map<String, Value>) {
    let (mut was, mut is) = (Map::new(), Map::new());
    for ((table, old_rows), (_, new_rows)) in before.iter().zip(after) {
        let pairs = old_rows.iter().zip(new_rows);
        let (old, new): (Vec<_>, Vec<_>) = pairs.map(|(old, new)| (changed(old, new), changed(new, old))).unzip();
        was.insert(table.clone(), Value::Array(old));
        is.insert(table.clone(), Value::Array(new));
    }
    (was, is)
}

/// The columns in which a row differs from its other self, and its id.
fn changed(row: &Value, other: &Value) -> Value {
    let columns = row.as_object().into_iter().flatten();
    Value::Object(
        columns
            .filter(|(name, value)| *name == "id" || other.get(name) != Some(value))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect(),
    )
}

fn what_is_new(row: Value, session: Option<&Value>) -> Value {
    let Value::Object(columns) = row else {
        return row;
    };
    let is_said = |name: &str, value: &Value| value.is_null() || name == "casino_id" || (name == "session_id" && Some(value) == session);
    Value::Object(columns.into_iter().filter(|(name, value)| !is_said(name, value)).collect())
}
