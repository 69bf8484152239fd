//! The tables as `SeaORM` sees them: one file a table, flat, and no rules.
//!
//! A column that holds a word of the domain is a `String` here: which words there are is the law's to say and the schema's to enforce. A
//! machine's status changes only through `store`'s one path, never through an `ActiveModel` of this crate.

#![expect(
    clippy::disallowed_methods,
    reason = "the entity macro writes a nested save that begins a transaction; nobody calls it, and this crate writes no other code"
)]

pub mod audit_log;
pub mod audit_seal;
pub mod audit_seal_leaf;
pub mod audit_unsealed;
pub mod buyin_telemetry;
#[expect(
    clippy::struct_excessive_bools,
    reason = "a row is its columns; four policies of a casino are yes or no"
)]
pub mod casino;
pub mod checkpoint;
pub mod drop_box;
pub mod drop_event;
pub mod event_feed;
pub mod exception;
pub mod financial_transaction;
pub mod floor_layout;
pub mod floor_layout_activation;
pub mod floor_layout_pit;
pub mod floor_layout_slot;
pub mod floor_layout_version;
pub mod gaming_table;
pub mod idempotency_key;
pub mod job_run;
pub mod loyalty_balance;
pub mod loyalty_ledger;
pub mod manual_range;
pub mod metric_stamp;
pub mod outbox;
pub mod par;
pub mod player;
pub mod rating_slip;
pub mod report;
pub mod rollup;
pub mod rollup_mark;
pub mod schedule;
pub mod session;
pub mod session_pit;
pub mod shift;
pub mod shift_summary;
pub mod shift_template;
pub mod signature;
pub mod sink_cursor;
pub mod slip;
pub mod slip_counter;
pub mod snapshot;
pub mod soft_count;
pub mod staff;
pub mod transition;
pub mod visit;
pub mod webhook;
pub mod webhook_delivery;
pub mod webhook_secret;

use sea_orm::{EntityTrait, IdenStatic, Iterable};

/// Every table with its columns, as this crate believes them: a test holds them against the migrated schema.
pub fn tables() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        table(casino::Entity),
        table(staff::Entity),
        table(gaming_table::Entity),
        table(par::Entity),
        table(drop_box::Entity),
        table(session::Entity),
        table(snapshot::Entity),
        table(slip::Entity),
        table(slip_counter::Entity),
        table(manual_range::Entity),
        table(drop_event::Entity),
        table(soft_count::Entity),
        table(exception::Entity),
        table(report::Entity),
        table(transition::Entity),
        table(signature::Entity),
        table(audit_log::Entity),
        table(audit_seal::Entity),
        table(audit_seal_leaf::Entity),
        table(audit_unsealed::Entity),
        table(outbox::Entity),
        table(event_feed::Entity),
        table(webhook::Entity),
        table(webhook_secret::Entity),
        table(webhook_delivery::Entity),
        table(sink_cursor::Entity),
        table(idempotency_key::Entity),
        table(shift_template::Entity),
        table(shift::Entity),
        table(shift_summary::Entity),
        table(schedule::Entity),
        table(job_run::Entity),
        table(session_pit::Entity),
        table(rollup_mark::Entity),
        table(rollup::Entity),
        table(buyin_telemetry::Entity),
        table(checkpoint::Entity),
        table(metric_stamp::Entity),
        table(player::Entity),
        table(visit::Entity),
        table(rating_slip::Entity),
        table(financial_transaction::Entity),
        table(loyalty_ledger::Entity),
        table(loyalty_balance::Entity),
        table(floor_layout::Entity),
        table(floor_layout_version::Entity),
        table(floor_layout_pit::Entity),
        table(floor_layout_slot::Entity),
        table(floor_layout_activation::Entity),
    ]
}

fn table<E: EntityTrait>(entity: E) -> (&'static str, Vec<&'static str>) {
    (entity.table_name(), E::Column::iter().map(|column| column.as_str()).collect())
}
