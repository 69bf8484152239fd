//! A removal was recorded since the session entered DROP_SCHEDULED (domain §4).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;

pub const GATE: Gate = Gate {
    code: "drop_recorded",
    needs: "the drop box must be removed by two people, one of them not of table games",
    who: &[Role::Security, Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    match super::removals_not_taken(scene).last() {
        Some(drop) => Ok(format!("removal {} is recorded", drop.seq_no)),
        None => Err("no box was removed since the drop was scheduled".to_owned()),
    }
}
