//! A copy goes into the box that stands on the table at that moment (domain §6).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;

pub const GATE: Gate = Gate {
    code: "drop_box_present",
    needs: "a drop box must stand on the table",
    who: &[Role::Security, Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    match scene.dossier.box_on_table() {
        Some(drop_box) => Ok(format!("box {} stands on the table", drop_box.label)),
        None => Err("no box stands on the table".to_owned()),
    }
}
