//! One binary for all tests that need the database: they share its Postgres.

mod support;

mod bad_input;
mod conventions;
mod drops;
mod fence;
mod lifecycle;
mod round_trips;
mod schema;
mod slips;
