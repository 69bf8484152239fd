//! The table's session before this one is closed (domain §4).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;

pub const GATE: Gate = Gate {
    code: "predecessor_closed",
    needs: "the session before this one must be closed",
    who: &[Role::PitBoss, Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    match &scene.dossier.floor.predecessor {
        None => Ok("first session of the table".to_owned()),
        Some(before) if before.status.is_live() => Err(format!("session {} is {}", before.id, before.status)),
        Some(before) => Ok(format!("session {} is {}", before.id, before.status)),
    }
}
