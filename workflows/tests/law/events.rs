//! The catalog of events: held against seed 2, and against itself.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use serde_json::{Value, json};
use strum::VariantArray;
use uuid::Uuid;
use workflows::act;
use workflows::event::{Audience, Event, Name, Pace, RatingSlipStatus, SCHEMA_VERSION, Sight, async_api, payload_schema, schemas};
use workflows::role::Role;
use workflows::word::{Category, GameType};

/// The names, keys and channels of seed 2, and the names and keys that domain §13 adds: `C` is the casino's channel, `R` the resource's.
const CATALOG: &str = include_str!("event_catalog.txt");

struct Entry {
    keys: BTreeSet<String>,
    channels: String,
}

fn catalog() -> BTreeMap<String, Entry> {
    let lines = CATALOG.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut parts = line.split('|').map(str::trim);
            let (name, channels, keys) = (parts.next(), parts.next(), parts.next());
            let entry = Entry {
                keys: keys.expect("keys").split_whitespace().map(ToOwned::to_owned).collect(),
                channels: channels.expect("channels").to_owned(),
            };
            (name.expect("a name").to_owned(), entry)
        })
        .collect()
}

#[test]
fn names_keys_and_channels_are_the_catalogs() {
    let catalog = catalog();
    let names: BTreeSet<&str> = Name::VARIANTS.iter().map(|name| name.as_str()).collect();
    assert_eq!(names, catalog.keys().map(String::as_str).collect());
    for name in Name::VARIANTS {
        let schema = payload_schema(*name).expect("a schema");
        let keys: BTreeSet<String> = schema["properties"].as_object().expect("keys").keys().cloned().collect();
        let keys = keys
            .into_iter()
            .chain(["at".to_owned(), "casino_id".to_owned()])
            .collect::<BTreeSet<_>>();
        let entry = &catalog[name.as_str()];
        assert_eq!(keys, entry.keys, "{}", name.as_str());
        let channels = match name.audience() {
            Audience::Both => "C R",
            Audience::Casino => "C",
            Audience::Resource => "R",
            Audience::Internal => "internal",
        };
        assert_eq!(channels, entry.channels, "{}", name.as_str());
    }
}

fn at() -> DateTime<chrono::Utc> {
    "2026-03-06T21:00:00Z".parse().expect("an instant")
}

fn snapshot(status: RatingSlipStatus) -> Event {
    Event::RatingSlipUpdated {
        rating_slip_id: Uuid::from_u128(7),
        visit_id: Uuid::from_u128(8),
        average_bet: None,
        minutes_played: 12,
        game_type: GameType::Roulette,
        status,
    }
}

#[test]
fn a_payload_carries_the_catalogs_keys_also_where_a_value_is_not_known() {
    let payload = snapshot(RatingSlipStatus::Open).payload(Uuid::from_u128(1), at());
    let keys: BTreeSet<&str> = payload.as_object().expect("an object").keys().map(String::as_str).collect();
    let entry = &catalog()["rating_slip.updated"];
    assert_eq!(keys, entry.keys.iter().map(String::as_str).collect());
    assert_eq!(payload["average_bet"], Value::Null);
    assert_eq!(payload["at"], "2026-03-06T21:00:00.000000Z");
}

#[test]
fn what_is_written_is_read_back_and_anything_else_is_refused_with_a_reason() {
    let event = snapshot(RatingSlipStatus::Paused);
    let payload = event.payload(Uuid::from_u128(1), at());
    assert_eq!(Event::read(&payload, SCHEMA_VERSION), Ok(event));
    let refused = |payload: &Value, version| Event::read(payload, version).expect_err("refused");
    assert!(refused(&payload, 2).contains("version 2"));
    let mut unknown = payload.clone();
    unknown["event"] = json!("rating_slip.vanished");
    assert!(refused(&unknown, 1).contains("rating_slip.vanished"));
    let mut short = payload.clone();
    short.as_object_mut().expect("an object").remove("minutes_played");
    assert!(refused(&short, 1).contains("minutes_played"));
}

#[test]
fn counts_are_not_for_the_cage_nor_for_security() {
    let hidden: Vec<&str> = Name::VARIANTS
        .iter()
        .filter(|name| !name.reader().may(Role::Cashier))
        .map(|name| name.as_str())
        .collect();
    assert_eq!(
        hidden,
        [
            "table.drop_counted",
            "table.rundown_computed",
            "table.rundown_finalized",
            "shift.rundown_ready",
            "rollup.updated",
            "finance.outbox_processed"
        ]
    );
    let raised = |category| Event::ExceptionRaised {
        exception_id: Uuid::nil(),
        session_id: Uuid::nil(),
        table_id: Uuid::nil(),
        category,
        variance_cents: Some(500),
    };
    assert_eq!(raised(Category::CountVariance).sight(Role::Security), Sight::WithoutFigures);
    assert_eq!(raised(Category::CountVariance).sight(Role::CountTeam), Sight::Whole);
    assert_eq!(raised(Category::ParVariance).sight(Role::Security), Sight::Whole);
    // A dealer holds no token: whatever asks in that name sees nothing.
    assert!(Name::VARIANTS.iter().all(|name| !name.reader().may(Role::Dealer)));
    assert_eq!(Name::FinanceOutboxProcessed.reader(), act::RUN_OUTBOX);
}

#[test]
fn only_snapshots_are_ever_superseded() {
    let hot: Vec<&str> = Name::VARIANTS
        .iter()
        .filter(|name| name.pace() == Pace::Snapshot)
        .map(|name| name.as_str())
        .collect();
    assert_eq!(hot, ["table.buyin_logged", "rollup.updated", "rating_slip.updated"]);
    let open = snapshot(RatingSlipStatus::Open).snapshot().expect("a snapshot");
    let paused = snapshot(RatingSlipStatus::Paused).snapshot().expect("a snapshot");
    assert_eq!(open.of, paused.of);
    assert_ne!(open.state, paused.state);
    assert_eq!(Event::TableDeactivated { table_id: Uuid::nil() }.snapshot(), None);
}

#[test]
fn every_event_has_a_schema_complete_in_itself() {
    let schemas = schemas();
    assert_eq!(schemas.len(), Name::VARIANTS.len());
    for (name, schema) in &schemas {
        let text = schema.to_string();
        assert!(!text.contains("#/components/"), "{name}: {text}");
        for target in text.split("\"#/$defs/").skip(1) {
            let target = target.split('"').next().expect("a name");
            assert!(schema["$defs"][target].is_object(), "{name} lacks {target}");
        }
        let required = schema["required"].as_array().expect("required");
        for key in ["event", "casino_id", "at", "event_id", "seq", "schema_version", "correlation_id"] {
            assert!(required.contains(&json!(key)), "{name}: {key}");
        }
        assert!(!schema["description"].as_str().unwrap_or_default().is_empty(), "{name}");
    }
    assert!(schemas["floor_layout.activated"]["$defs"]["LaidSlot"].is_object());
}

#[test]
fn a_cache_key_names_only_what_the_payload_has() {
    for name in Name::VARIANTS {
        let schema = payload_schema(*name).expect("a schema");
        let has = |key: &str| key == "casino_id" || schema["properties"][key].is_object();
        assert!(!name.cache_keys().is_empty(), "{}", name.as_str());
        for part in name.cache_keys().iter().flat_map(|key| key.key) {
            let member = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            assert!(member.is_none_or(has), "{}: {part}", name.as_str());
        }
    }
}

/// The keys that seed 2 spells out.
#[test]
fn the_catalogs_own_cache_keys_are_kept() {
    let told = serde_json::to_value(Name::RatingSlipUpdated.cache_keys()).expect("JSON");
    let expected = json!([
        { "action": "set", "key": ["rating-slip", "detail", "{rating_slip_id}"] },
        { "action": "invalidate", "key": ["rating-slip", "by-visit", "{visit_id}"] },
    ]);
    assert_eq!(told, expected);
    let kept = [
        (Name::RatingSlipCreated, "rating-slip/list/{casino_id}"),
        (Name::RatingSlipCreated, "rating-slip/by-visit/{visit_id}"),
        (Name::RatingSlipClosed, "rating-slip/detail/{rating_slip_id}"),
        (Name::RatingSlipClosed, "rating-slip/list/{casino_id}"),
        (Name::LedgerAppended, "loyalty/ledger/by-player/{player_id}"),
        (Name::LedgerAppended, "player/loyalty/balance/{player_id}/{casino_id}"),
        (Name::BalanceUpdated, "player/loyalty/balance/{player_id}/{casino_id}"),
        (Name::InventoryOpen, "table-context/inventory/{casino_id}"),
        (Name::InventoryOpen, "table-context/table/{table_id}/inventory"),
        (Name::InventoryClose, "table-context/inventory/{casino_id}"),
        (Name::FillRequested, "table-context/fills/{casino_id}"),
        (Name::FillRequested, "table-context/table/{table_id}/custody"),
        (Name::FillCompleted, "table-context/fills/{casino_id}"),
        (Name::FloorLayoutActivated, "floor-layout/active/{casino_id}"),
        (Name::FloorLayoutActivated, "table-context/tables/{casino_id}"),
        (Name::TransactionCreated, "finance/transactions/{player_id}"),
        (Name::TransactionCreated, "finance/gaming-day/{casino_id}/{gaming_day}"),
    ];
    for (name, key) in kept {
        assert!(
            name.cache_keys().iter().any(|known| known.key.join("/") == key),
            "{}: {key}",
            name.as_str()
        );
    }
}

#[test]
fn the_asyncapi_document_has_every_event_on_its_channels() {
    let document = async_api("1");
    let messages = document["components"]["messages"].as_object().expect("messages");
    assert_eq!(messages.len(), Name::VARIANTS.len());
    let on = |channel: &str| document["channels"][channel]["messages"].as_object().expect("messages").len();
    let heard = |audiences: &[Audience]| Name::VARIANTS.iter().filter(|name| audiences.contains(&name.audience())).count();
    assert_eq!(on("casino"), heard(&[Audience::Both, Audience::Casino]));
    assert_eq!(on("resource"), heard(&[Audience::Both, Audience::Resource]));
    assert_eq!(on("internal"), 1);
}
