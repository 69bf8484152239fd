//! One binary for all tests that need the database: they share its Postgres.

mod support;

mod lifecycle;
