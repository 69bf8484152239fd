//! A box went without a schedule: the fact schedules itself (domain §4).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;

pub const GATE: Gate = Gate {
    code: "removal_unscheduled",
    needs: "a box must have been removed",
    who: &[Role::Security, Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    match super::removals_not_taken(scene).last() {
        Some(drop) => Ok(format!("removal {} had no schedule", drop.seq_no)),
        None => Err("no removal waits for a schedule".to_owned()),
    }
}
