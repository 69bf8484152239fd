//! The closer is counted and verified by two people (domain §4; WAC 230-15-535).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;
use crate::word::SnapshotKind;

pub const GATE: Gate = Gate {
    code: "closing_snapshot_verified",
    needs: "the closing tray must be counted and verified by a second person",
    who: &[Role::PitBoss, Role::Dealer],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    match scene.dossier.standing_snapshot(SnapshotKind::Close) {
        None => Err("no closer is counted".to_owned()),
        Some(closer) if closer.verified_by.is_some() => Ok(format!("closer {} is verified", closer.id)),
        Some(closer) => Err(format!("closer {} waits for its verifier", closer.id)),
    }
}
