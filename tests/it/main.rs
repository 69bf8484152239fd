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
mod fence;
mod lifecycle;
mod machines;
mod round_trips;
mod schema;
mod slips;
