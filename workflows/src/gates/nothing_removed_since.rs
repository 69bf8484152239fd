//! A schedule is taken back only while no box has gone (domain §4).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;

pub const GATE: Gate = Gate {
    code: "nothing_removed_since",
    needs: "nothing can undo a removal: the drop takes its course",
    who: &[Role::Security, Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    match super::removals_not_taken(scene).last() {
        Some(drop) => Err(format!("removal {} was recorded since", drop.seq_no)),
        None => Ok("no box was removed since the drop was scheduled".to_owned()),
    }
}
