//! What every test stands on: one private Postgres a run, one database a test cloned from a migrated template, the daemon's own router on
//! a real port, connected as the application role (a superuser would not be fenced), a frozen clock, and people with tokens and PINs.

mod cluster;
mod house;
mod person;

pub use cluster::Cluster;
pub use house::{CASINO, Door, House, OTHER_CASINO, PIN};
pub use person::{Person, Reply};
