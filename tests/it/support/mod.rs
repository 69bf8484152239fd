//! What every test stands on: one private Postgres a run, one database a test cloned from a migrated template, the daemon's own router on
//! a real port, connected as the application role (a superuser would not be fenced), a frozen clock, and people with tokens and PINs.

mod calls;
mod cluster;
mod history;
mod house;
mod person;
mod program;
mod publisher;
mod runner;
mod sink;
mod wire_counter;
mod written;

pub use calls::{below, id, text, tray};
pub use cluster::Cluster;
pub use house::{House, OTHER_CASINO, PIN, auth, streams};
pub use person::{Person, Reply};
pub use program::{rundown, said};
pub use publisher::{Heard, Listener, Publisher, hurried_relay};
pub use runner::{Runner, hurried, until};
pub use sink::{Sending, hurried_webhooks};
pub use wire_counter::{Cut, Trip, Wire};
pub use written::{Written, feed, insert, is_published, write};
