//! The catalog as documents: JSON Schema of every event, and `AsyncAPI` of the whole. Made from the types, so they cannot say anything else.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use strum::VariantArray;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{Audience, Event, Name, Pace, SCHEMA_VERSION};

/// Where utoipa puts what a schema refers to, and where a JSON Schema has it.
const ELSEWHERE: &str = "#/components/schemas/";
const HERE: &str = "#/$defs/";

/// What every event carries beside its own keys.
fn envelope() -> Map<String, Value> {
    let described = |schema: Value, said: &str| {
        let mut schema = schema;
        schema["description"] = said.into();
        schema
    };
    [
        (
            "casino_id",
            described(json!({ "type": "string", "format": "uuid" }), "Whose it is."),
        ),
        (
            "at",
            described(json!({ "type": "string", "format": "date-time" }), "When it happened."),
        ),
        (
            "event_id",
            described(
                json!({ "type": "string", "format": "uuid" }),
                "The same in every delivery: a second one can be discarded.",
            ),
        ),
        (
            "seq",
            described(
                json!({ "type": "integer", "minimum": 1 }),
                "Its place in the casino's feed, where no number is missing.",
            ),
        ),
        ("schema_version", described(json!({ "const": SCHEMA_VERSION }), "Of this shape.")),
        (
            "correlation_id",
            described(
                json!({ "type": "string", "maxLength": 64 }),
                "Of the request or run that caused it.",
            ),
        ),
        (
            "supersedes",
            described(
                json!({ "type": "array", "items": { "type": "integer" } }),
                "Only on live streams: the seqs of earlier snapshots of the same thing, for which this one stands.",
            ),
        ),
    ]
    .into_iter()
    .map(|(key, schema)| (key.to_owned(), schema))
    .collect()
}

/// Keys of [`envelope`] that an event may be without.
const OPTIONAL: [&str; 1] = ["supersedes"];

/// The JSON Schema of every event by name (draft 2020-12), each complete in itself.
pub fn schemas() -> BTreeMap<&'static str, Value> {
    let variants = variants();
    Name::VARIANTS
        .iter()
        .filter_map(|name| Some((name.as_str(), whole(*name, variants.get(name.as_str())?))))
        .collect()
}

/// The schema of what an event's own keys are, without envelope: what is compared with the catalog.
pub fn payload_schema(name: Name) -> Option<Value> {
    variants().remove(name.as_str())
}

fn whole(name: Name, variant: &Value) -> Value {
    let mut schema = variant.clone();
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = name.as_str().into();
    schema["description"] = name.summary().into();
    schema["additionalProperties"] = false.into();
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.extend(envelope());
        // A key whose value is not known is there, and null.
        let required: Vec<&String> = properties.keys().filter(|key| !OPTIONAL.contains(&key.as_str())).collect();
        schema["required"] = json!(required);
    }
    let needed = definitions();
    let mut used = Map::new();
    collect(&schema, &needed, &mut used);
    if !used.is_empty() {
        schema["$defs"] = Value::Object(used);
    }
    schema
}

/// What a schema refers to, and what that refers to.
fn collect(schema: &Value, all: &BTreeMap<String, Value>, used: &mut Map<String, Value>) {
    match schema {
        Value::Object(members) => {
            let name = members
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|target| target.strip_prefix(HERE));
            if let Some((name, found)) = name.and_then(|name| Some((name, all.get(name)?)))
                && !used.contains_key(name)
            {
                used.insert(name.to_owned(), found.clone());
                collect(found, all, used);
            }
            members.values().for_each(|member| collect(member, all, used));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, all, used)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn definitions() -> BTreeMap<String, Value> {
    let mut found: Vec<(String, RefOr<Schema>)> = Vec::new();
    Event::schemas(&mut found);
    found.into_iter().map(|(name, schema)| (name, here(schema))).collect()
}

/// The variants of the enum, by the name they are told under.
fn variants() -> BTreeMap<String, Value> {
    let schema = here(Event::schema());
    let variants = schema["oneOf"].as_array().cloned().unwrap_or_default();
    variants
        .into_iter()
        .filter_map(|variant| Some((variant["properties"]["event"]["enum"][0].as_str()?.to_owned(), variant)))
        .collect()
}

fn here(schema: impl serde::Serialize) -> Value {
    let mut schema = serde_json::to_value(schema).unwrap_or_default();
    point_here(&mut schema);
    schema
}

fn point_here(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get_mut("$ref") {
                *target = target.replace(ELSEWHERE, HERE);
            }
            members.values_mut().for_each(point_here);
        }
        Value::Array(items) => items.iter_mut().for_each(point_here),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The `AsyncAPI` document: the two kinds of channels, and every event on them.
pub fn async_api(version: &str) -> Value {
    let message = |name: &Name, schema: Value| {
        json!({
            "name": name.as_str(),
            "title": name.as_str(),
            "summary": name.summary(),
            "contentType": "application/json",
            "x-pace": match name.pace() { Pace::Always => "always", Pace::Snapshot => "at most one a second per resource on live streams" },
            "x-readers": name.reader().who,
            "payload": { "schemaFormat": "application/schema+json;version=draft-2020-12", "schema": schema },
        })
    };
    let messages: Map<String, Value> = schemas()
        .into_iter()
        .filter_map(|(key, schema)| Some((key.to_owned(), message(&Name::parse(key)?, schema))))
        .collect();
    let on = |heard: fn(Audience) -> bool| -> Map<String, Value> {
        let names = Name::VARIANTS.iter().filter(|name| heard(name.audience()));
        names
            .map(|name| {
                (
                    name.as_str().to_owned(),
                    json!({ "$ref": format!("#/components/messages/{}", name.as_str()) }),
                )
            })
            .collect()
    };
    let parameter = |said: &str| json!({ "description": said });
    let receive = |channel: &str| json!({ "action": "send", "channel": { "$ref": format!("#/channels/{channel}") } });
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "rundown",
            "version": version,
            "description": "Every change of the floor as an event. A casino's events have gapless numbers (`seq`); a delivery may repeat, its `event_id` does not change. \
                            Live streams are server-sent events at /api/v1/events/stream?channel=…; stored events are read at /api/v1/events.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "casino": {
                "address": "{casino_id}",
                "description": "What concerns the casino: lists.",
                "parameters": { "casino_id": parameter("The reader's own casino.") },
                "messages": on(|audience| matches!(audience, Audience::Both | Audience::Casino)),
            },
            "resource": {
                "address": "{casino_id}:{resource_id}",
                "description": "What concerns one table, shift, visit, rating slip or player: detail views.",
                "parameters": { "casino_id": parameter("The reader's own casino."), "resource_id": parameter("The thing's id.") },
                "messages": on(|audience| matches!(audience, Audience::Both | Audience::Resource)),
            },
            "internal": {
                "address": "{casino_id}:internal",
                "description": "What only whoever runs the daemon needs to know.",
                "parameters": { "casino_id": parameter("The reader's own casino.") },
                "messages": on(|audience| matches!(audience, Audience::Internal)),
            },
        },
        "operations": { "casino": receive("casino"), "resource": receive("resource"), "internal": receive("internal") },
        "components": { "messages": messages },
    })
}
