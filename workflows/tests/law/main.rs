//! The law, played: whole sessions through the public functions of the crate, in a casino held in memory.

mod casino;
mod closing;
mod counts;
mod drops;
mod exceptions;
mod gates;
mod late;
mod matrix;
mod people;
mod road;
mod rollover;
mod slips;
mod times;
mod walk;
