//! A box of this table or an emergency box, on no other table, and the box before it is gone (domain §4).

use crate::dossier::Dossier;
use crate::machine::{Gate, Scene, Verdict};
use crate::record::DropBox;
use crate::role::Role;
use crate::session::elsewhere;

pub const GATE: Gate = Gate {
    code: "drop_box_attached",
    needs: "a drop box of this table, or an emergency box, must be free and set; the predecessor's box must have been removed",
    who: &[Role::PitBoss, Role::Security],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    let dossier = scene.dossier;
    let Some(drop_box) = dossier.session.drop_box_id.and_then(|id| dossier.drop_box(id)) else {
        return Err("no drop box is set".to_owned());
    };
    if let Some(obstacle) = obstacle(dossier, drop_box) {
        return Err(obstacle);
    }
    match &dossier.floor.predecessor {
        Some(before) if !before.removed => Err(format!(
            "no box of session {} was removed: one box never serves two sessions",
            before.id
        )),
        Some(_) | None => Ok(format!("box {} is set", drop_box.label)),
    }
}

fn obstacle(dossier: &Dossier, drop_box: &DropBox) -> Option<String> {
    if let Some(elsewhere) = elsewhere(dossier, drop_box) {
        return Some(format!("box {} {elsewhere}", drop_box.label));
    }
    dossier
        .box_on_table()
        .filter(|standing| standing.id != drop_box.id)
        .map(|standing| format!("box {} still stands on the table", standing.label))
}
