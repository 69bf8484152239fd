//! A receipt needs the delivery (domain §8).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;

pub const GATE: Gate = Gate {
    code: "drop_delivered",
    needs: "the box must be delivered to the count room first",
    who: &[Role::Security, Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    match scene.drop.and_then(|drop| drop.delivered_at) {
        Some(at) => Ok(format!("delivered at {at}")),
        None => Err("the box is not delivered".to_owned()),
    }
}
