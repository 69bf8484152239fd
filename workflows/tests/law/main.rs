//! The law, played: whole sessions through the public functions of the crate, in a casino held in memory.

#![expect(clippy::unwrap_used, reason = "a test may die of surprise, its scenes too")]
#![expect(clippy::needless_pass_by_value, reason = "a check consumes the answer it checks")]

mod casino;
mod closing;
mod counts;
mod drops;
mod events;
mod exceptions;
mod gates;
mod late;
mod matrix;
mod neighbours;
mod people;
mod road;
mod rollover;
mod shifts;
mod slips;
mod times;
mod walk;
