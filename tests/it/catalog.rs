//! The page of events, drawn from the catalog.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use strum::VariantArray as _;
use workflows::event::{Action, Audience, Name, Pace, payload_schema, schemas};

/// With `RUNDOWN_UPDATE_DOCS=1` the test writes what otherwise it compares.
#[test]
fn the_page_of_events_is_the_catalog() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.md");
    let drawn = page();
    if std::env::var_os("RUNDOWN_UPDATE_DOCS").is_some_and(|wish| wish == "1") {
        std::fs::write(&file, &drawn).expect("written");
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = kept.lines().zip(drawn.lines()).find(|(kept, drawn)| kept != drawn);
    assert!(
        kept == drawn,
        "docs/events.md is not what the catalog says: run RUNDOWN_UPDATE_DOCS=1 cargo test --test it catalog. First difference: {differs:?}"
    );
}

const PREFACE: &str = "\
# Events

Every change of the floor is an event, written in the transaction of the command that made the change and published right after it. This page
is drawn from the catalog (`workflows/src/event.rs`); a test keeps it current, and `RUNDOWN_UPDATE_DOCS=1 cargo test --test it catalog`
draws it again. The same catalog as JSON Schema is `GET /api/v1/events/schemas`, as AsyncAPI 3 `/asyncapi.json`.

## What every event carries

`event`, `casino_id` and `at`, the ids of what it is about, and

- `event_id`: the same in every delivery. A delivery may be repeated; an event with an id you know is one you have.
- `seq`: its place in the casino's feed, counted from 1, and no number is missing. An event gets it when it is published.
- `schema_version`: of its shape, 1.
- `correlation_id`: of the request or run that caused it, as in the audit log.

A key whose value is not known is there, and null. Money is cents, also where the key has no unit. Instants are UTC.

## Channels

`{casino_id}` is for lists, `{casino_id}:{resource_id}` for one table, shift, visit, rating slip or player. Only a casino's own staff join its
channels, and hear what their role may read: `counts` below are not for the cage nor for security, who also get no `variance_cents` of an exception
that tells of a count. `{casino_id}:internal` is the admins'. A stream or page that names no channel has everything the reader may read.

## Reading them

- **`GET /api/v1/events`** reads stored events: `?after=<seq>&channel=`, by `seq`. A page looks at `limit` stored events and holds those the caller
  may read, so it may be short, or empty, and still have a `next_cursor`. `last_seq` says how far the feed goes,
  and `first_seq` where it begins: what is before it was pruned.
- **`GET /api/v1/events/stream`** follows them live, as server-sent events: `event:` is the name, `data:` the event, `id:` the place to resume after. Send it as
  `Last-Event-ID` and nothing is missing; a few events may come twice. Heartbeats carry it too. A stream ends with an event
  `stream.cut` whose `reason` is `too_slow`, `standing_changed`, `token_due` (after an hour), `stopping` or `unavailable`: connect again. It begins with
  `stream.missed` where what was asked for cannot be sent any more (pruned, more than 100,000 events back, or a number nobody has given out):
  read again what is shown.
- **Webhooks and NATS** deliver the same JSON, each from its own place in the feed.

**Pace.** A change of state is told always, and at once. A *snapshot* is told on live streams at most once a second for each thing; the last one stands
for those before it, whose numbers it lists in `supersedes`. A snapshot that waits is told before the next change of state of the same resource.
While one waits, `id:` stays behind it, so that resuming finds it. Pages, webhooks and NATS have every snapshot.

**Polling.** A dashboard that only needs the present state is served better, and cheaper, by its own resource: `GET` with `If-None-Match` answers 304 as long
as nothing changed. That is the recommended way for metrics and rollups. Where both are used, `GET /api/v1/events/cache-keys` says which
cached reads an event touches, so that all clients invalidate alike; invalidations of lists are best collected for 250 to 500 ms.

**Order.** Events of one resource come in the order in which they were written. Those of a casino come in the order of `seq`, which is that of
publication: of two commands at the same moment either may be first. Between casinos there is no order.

**An event that cannot be published** (its payload is none of this catalog, or the database refuses it) is tried again, eight times unless `events.max_attempts`
says otherwise, with growing pauses. Meanwhile later events of the same resource wait behind it, and nothing else does. Then it is a dead letter, and
what waited goes on: `GET /api/v1/outbox/dead` or `rundown outbox dead` shows it, `POST /api/v1/outbox/{id}/redrive` or `rundown outbox redrive <id>`
sends it back, and it gets the `seq` of that turn; its `at` says when it happened.
";

fn page() -> String {
    let mut page = PREFACE.to_owned();
    page.push_str("\n## The catalog\n\n| event | | channels | readers | pace |\n|---|---|---|---|---|\n");
    for name in Name::VARIANTS {
        let (event, said) = (name.as_str(), name.summary());
        let (heard, readers, told) = (audience(*name), readers(*name), pace(*name));
        writeln!(page, "| [`{event}`](#{}) | {said} | {heard} | {readers} | {told} |", anchor(event)).expect("a row");
    }
    let schemas = schemas();
    for name in Name::VARIANTS {
        let schema = payload_schema(*name).expect("a schema");
        let definitions = &schemas[name.as_str()]["$defs"];
        write!(page, "\n### {}\n\n{}\n\n", name.as_str(), name.summary()).expect("a heading");
        page.push_str("| key | |\n|---|---|\n");
        for (key, value) in schema["properties"].as_object().expect("keys") {
            if key != "event" {
                let said = value["description"].as_str().map(|said| format!(". {said}")).unwrap_or_default();
                writeln!(page, "| `{key}` | {}{said} |", kind(value, definitions)).expect("a row");
            }
        }
        let keys: Vec<String> = name
            .cache_keys()
            .iter()
            .map(|key| format!("{} `{}`", doing(key.action), key.key.join("/")))
            .collect();
        writeln!(page, "\nCaches: {}.", keys.join(", ")).expect("a line");
    }
    page
}

fn anchor(event: &str) -> String {
    event.replace('.', "")
}

fn audience(name: Name) -> &'static str {
    match name.audience() {
        Audience::Both => "casino, resource",
        Audience::Casino => "casino",
        Audience::Resource => "resource",
        Audience::Internal => "internal",
    }
}

fn readers(name: Name) -> &'static str {
    match name.reader().name {
        "floor.read" => "all",
        "counts.read" => "counts",
        "outbox.run" => "admin",
        other => panic!("{other}: say on the page who that is"),
    }
}

fn pace(name: Name) -> &'static str {
    match name.pace() {
        Pace::Always => "always",
        Pace::Snapshot => "snapshot",
    }
}

fn doing(action: Action) -> &'static str {
    match action {
        Action::Invalidate => "invalidate",
        Action::Set => "set",
    }
}

/// A schema in a few words.
fn kind(schema: &Value, definitions: &Value) -> String {
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap_or_default();
        return kind(&definitions[name], definitions);
    }
    if let Some(options) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        return options
            .iter()
            .map(|option| kind(option, definitions))
            .collect::<Vec<_>>()
            .join(" or ");
    }
    if let Some(words) = schema["enum"].as_array() {
        return words
            .iter()
            .map(|word| format!("`{}`", word.as_str().unwrap_or("null")))
            .collect::<Vec<_>>()
            .join(", ");
    }
    let one = schema["type"].as_str();
    let several = schema["type"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let types: Vec<&str> = one.into_iter().chain(several).collect();
    let named = |kind: &str| match (kind, schema["format"].as_str()) {
        ("string", Some("uuid")) => "id".to_owned(),
        ("string", Some("date")) => "date".to_owned(),
        ("string", Some("date-time")) => "instant".to_owned(),
        ("string", _) => "text".to_owned(),
        ("object", _) if schema["additionalProperties"].is_object() => "denomination in cents to pieces".to_owned(),
        ("object", _) => {
            let keys = schema["properties"].as_object().into_iter().flatten();
            let keys = keys
                .map(|(key, value)| format!("`{key}` {}", kind_of(value, definitions)))
                .collect::<Vec<_>>();
            format!("{{{}}}", keys.join("; "))
        }
        ("array", _) => format!("list of {}", kind_of(&schema["items"], definitions)),
        (other, _) => other.to_owned(),
    };
    types.into_iter().map(named).collect::<Vec<_>>().join(" or ")
}

fn kind_of(schema: &Value, definitions: &Value) -> String {
    kind(schema, definitions)
}
