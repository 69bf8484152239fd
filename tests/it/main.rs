//! One binary for all tests that need the database: they share its Postgres.

mod support;

mod architecture;
mod authorization;
mod bad_input;
mod binary;
mod casino_day;
mod conventions;
mod counts;
mod disconnect;
mod drops;
mod engine;
mod exceptions;
mod fence;
mod jobs;
mod lifecycle;
mod machines;
mod metrics;
mod neighbours;
mod reading;
mod rollover;
mod rollups;
mod round_trips;
mod schema;
mod shifts;
mod slips;
mod soak;
mod telemetry;
