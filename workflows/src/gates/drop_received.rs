//! A count needs the receipt (domain §8).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;

pub const GATE: Gate = Gate {
    code: "drop_received",
    needs: "the box must be received by the count room first",
    who: &[Role::CountTeam, Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    match scene.drop.and_then(|drop| drop.received_at) {
        Some(at) => Ok(format!("received at {at}")),
        None => Err("the box is not received".to_owned()),
    }
}
