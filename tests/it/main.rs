//! One binary for all tests that need the database: they share its Postgres.

mod support;

mod architecture;
mod audit_seals;
mod authorization;
mod bad_input;
mod binary;
mod casino_day;
mod catalog;
mod conventions;
mod counts;
mod desk_cost;
mod disconnect;
mod drops;
mod engine;
mod exceptions;
mod feed;
mod fence;
mod jobs;
mod lifecycle;
mod machines;
mod metrics;
#[cfg(feature = "nats")]
mod nats;
mod neighbours;
mod observability;
mod reading;
mod relay;
mod rollover;
mod rollups;
mod round_trips;
mod schema;
mod shifts;
mod slips;
mod soak;
mod telemetry;
mod webhooks;
