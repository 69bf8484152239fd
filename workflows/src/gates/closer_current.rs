//! The closer was counted after the last slip was verified: else chips moved behind it (domain §4).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;

pub const GATE: Gate = Gate {
    code: "closer_current",
    needs: "a recount of the closing tray must supersede the closer",
    who: &[Role::PitBoss, Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    let Some(closer) = scene.dossier.closer() else {
        return Err("there is no verified closer".to_owned());
    };
    match scene.dossier.moved_behind(closer) {
        Some(moved) => Err(format!("a slip was verified at {moved}, after the closer was counted")),
        None => Ok("no slip was verified after the closer was counted".to_owned()),
    }
}
