//! The closer was counted after the last slip was verified: else chips moved behind it (domain §4).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;

pub const GATE: Gate = Gate {
    code: "closer_current",
    needs: "a recount of the closing tray must supersede the closer",
    who: &[Role::PitBoss, Role::Admin],
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    let Some(closer) = scene.dossier.closer() else {
        return Err("there is no verified closer".to_owned());
    };
    let last = scene
        .dossier
        .slips
        .iter()
        .filter(|slip| slip.status.counts())
        .filter_map(|slip| slip.verified_at)
        .max();
    match last {
        Some(moved) if moved > closer.counted_at => Err(format!("a slip was verified at {moved}, after the closer was counted")),
        Some(_) | None => Ok("no slip was verified after the closer was counted".to_owned()),
    }
}
