//! An imprest bank knows its par before play (domain §4).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;
use crate::word::BankMode;

pub const GATE: Gate = Gate {
    code: "need_set",
    needs: "the table's par must be set",
    who: &[Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    match (scene.dossier.session.bank_mode, scene.dossier.session.need_total_cents) {
        (BankMode::InventoryCount, _) => Ok("counts are the truth, par is a target".to_owned()),
        (BankMode::ImprestToPar, Some(need)) => Ok(format!("need is {need} cents")),
        (BankMode::ImprestToPar, None) => Err("no par was in force when the opening began".to_owned()),
    }
}
