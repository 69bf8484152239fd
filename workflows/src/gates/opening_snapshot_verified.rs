//! The opener is counted and verified by two people (domain §4; K.A.R. 112-108-28).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;
use crate::word::SnapshotKind;

pub const GATE: Gate = Gate {
    code: "opening_snapshot_verified",
    needs: "the opening tray must be counted and verified by a second person",
    who: &[Role::PitBoss, Role::Dealer],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    match scene.dossier.standing_snapshot(SnapshotKind::Open) {
        None => Err("no opener is counted".to_owned()),
        Some(opener) if opener.verified_by.is_some() => Ok(format!("opener {} is verified", opener.id)),
        Some(opener) => Err(format!("opener {} waits for its verifier", opener.id)),
    }
}
