//! A credit's paper is dropped only after the cage has counted the chips (domain §6).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;
use crate::word::SlipKind;

pub const GATE: Gate = Gate {
    code: "credit_received",
    needs: "the cage must count and sign the credit first",
    who: &[Role::Cashier, Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    match scene.slip {
        Some(slip) if slip.kind == SlipKind::Credit && slip.cage_received_at.is_none() => {
            Err("the cage has not received the chips".to_owned())
        }
        Some(_) | None => Ok("the cage's part is done".to_owned()),
    }
}
