//! The report says what the evidence says now (domain §4).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;
use crate::rundown;

pub const GATE: Gate = Gate {
    code: "report_current",
    needs: "the report must be computed again",
    who: &[Role::Compliance],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    let Some(report) = &scene.dossier.report else {
        return Err("no report is computed".to_owned());
    };
    if report.input_hash == rundown::input_hash(scene.dossier) {
        Ok(format!("the report of {} is current", report.computed_at))
    } else {
        Err(format!("evidence changed after the report of {}", report.computed_at))
    }
}
