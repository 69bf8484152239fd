//! Denominations are set, and par where the bank is imprest (domain §4).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;
use crate::word::BankMode;

pub const GATE: Gate = Gate {
    code: "setup_ready",
    needs: "the casino's denominations must be set, and the table's par where the bank is imprest",
    who: &[Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    if scene.casino.denominations_cents.is_empty() {
        return Err("the casino has no denominations".to_owned());
    }
    match (scene.dossier.session.bank_mode, scene.dossier.floor.par_cents) {
        (BankMode::ImprestToPar, None) => Err(format!("table {} has no par", scene.dossier.floor.table.label)),
        (BankMode::ImprestToPar, Some(_)) | (BankMode::InventoryCount, _) => Ok("denominations and par are set".to_owned()),
    }
}
