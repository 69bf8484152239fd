//! Where the casino counts before it closes, closing begins from COUNTED only (domain §4).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;
use crate::word::Status;

pub const GATE: Gate = Gate {
    code: "count_before_close",
    needs: "the drop must be counted first",
    who: &[Role::CountTeam, Role::Security],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    if !scene.casino.count_before_close {
        return Ok("the casino closes before or after the count".to_owned());
    }
    let status = scene.dossier.session.status;
    if status == Status::Counted {
        Ok("the drop is counted".to_owned())
    } else {
        Err(format!("the session is {status}, not COUNTED"))
    }
}
