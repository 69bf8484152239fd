//! The law of the floor, pure: no clock, no database, no HTTP. Time, ids and people are arguments.
//!
//! Reading order: [`word`] and [`record`] are the vocabulary; [`machine`] is what an edge and a gate are; [`session`],
//! [`slip`], [`drop_box`] and [`exception`] are the machines of a table's books, [`visit`] and [`rating_slip`] those of its guests, with
//! [`finance`], [`loyalty`] and [`floor_layout`] beside them; [`dossier`] is everything known about one session and [`case`] a
//! command being judged over it; [`snapshot`], [`custody`], [`count`], [`rollover`] record facts; [`manifest`], [`rundown`] and
//! [`detectors`] are arithmetic over them; [`timetable`], [`shift`], [`shift_close`], [`shift_summary`] and [`deadline`] are what time asks for;
//! [`seal`] is how the audit of all this is kept from being rewritten.

pub mod act;
pub mod buyin;
pub mod case;
pub mod checkpoint;
pub mod chipset;
pub mod count;
pub mod coverage;
pub mod custody;
pub mod deadline;
pub mod detectors;
pub mod diagram;
pub mod dossier;
pub mod drop_box;
pub mod event;
pub mod exception;
pub mod finance;
pub mod floor_layout;
pub mod gaming_day;
pub mod gates;
pub mod job;
pub mod loyalty;
pub mod machine;
pub mod manifest;
pub mod metrics;
pub mod money;
pub mod rating_slip;
pub mod record;
pub mod refusal;
pub mod role;
pub mod rollover;
pub mod rollup;
pub mod rundown;
pub mod seal;
pub mod session;
pub mod shift;
pub mod shift_close;
pub mod shift_summary;
pub mod slip;
pub mod snapshot;
pub mod timetable;
pub mod visit;
pub mod word;
