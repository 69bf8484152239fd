//! A table has one live session at most (domain §4).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;

pub const GATE: Gate = Gate {
    code: "no_live_session",
    needs: "the table's live session must be closed or cancelled first",
    who: &[Role::PitBoss, Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    match scene.dossier.floor.live_session_id {
        None => Ok("no other session of the table is live".to_owned()),
        Some(live) => Err(format!("session {live} of the table is live")),
    }
}
