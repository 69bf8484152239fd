//! Every session that was played has a drop: an unused table's box is dropped and counted as 0 (domain §4).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;
use crate::word::Category;

pub const GATE: Gate = Gate {
    code: "drop_present",
    needs: "the drop box must be removed",
    who: &[Role::Security, Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    let session = &scene.dossier.session;
    // An emergency box used beside the standing one leaves the session's own box on the table.
    let removals = scene.dossier.own_drops().filter(|drop| drop.stood_on_table).count();
    if removals > 0 {
        Ok(format!("{removals} removals"))
    } else if scene.dossier.is_waived(Category::DropMissing, &session.id.to_string()) {
        Ok("compliance has waived the missing drop".to_owned())
    } else {
        Err("no box was removed from the session".to_owned())
    }
}
