//! No exception is unresolved (domain §9).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;
use crate::word::Category;

pub const GATE: Gate = Gate {
    code: "exceptions_resolved",
    needs: "every exception must be resolved or waived",
    who: &[Role::Compliance, Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    let open: Vec<String> = scene
        .dossier
        .unresolved()
        .filter(|exception| exception.category != Category::TelemetryVariance)
        .map(|exception| format!("{} {} is {}", exception.category, exception.id, exception.status))
        .collect();
    if open.is_empty() {
        Ok(format!("{} exceptions, none unresolved", scene.dossier.exceptions.len()))
    } else {
        Err(open.join("; "))
    }
}
