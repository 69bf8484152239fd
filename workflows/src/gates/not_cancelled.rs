//! A cancelled session is never reconciled (domain §4).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;
use crate::word::CloseReason;

pub const GATE: Gate = Gate {
    code: "not_cancelled",
    needs: "a cancelled session stays closed",
    who: &[Role::Compliance],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    if scene.dossier.session.close_reason == Some(CloseReason::Cancelled) {
        Err("the session was cancelled before play".to_owned())
    } else {
        Ok("the session was played".to_owned())
    }
}
