//! The table is in service (domain §1, first axis).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;
use crate::word::TableStatus;

pub const GATE: Gate = Gate {
    code: "table_active",
    needs: "the table must be activated",
    who: &[Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    let table = &scene.dossier.floor.table;
    if table.status == TableStatus::Active {
        Ok(format!("table {} is active", table.label))
    } else {
        Err(format!("table {} is {}", table.label, table.status))
    }
}
