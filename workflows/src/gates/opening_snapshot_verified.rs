//! The opener is counted and verified by two people (domain §4; K.A.R. 112-108-28).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;
use crate::word::SnapshotKind;

pub const GATE: Gate = Gate {
    code: "opening_snapshot_verified",
    needs: "the opening tray must be counted and verified by a second person",
    who: &[Role::PitBoss, Role::Dealer],
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    if let Some(opener) = scene.dossier.opener() {
        return Ok(format!("opener {} is verified", opener.id));
    }
    Err(match scene.dossier.standing_snapshot(SnapshotKind::Open) {
        None => "no opener is counted".to_owned(),
        Some(opener) => format!("opener {} waits for its verifier", opener.id),
    })
}
