//! Both slip series can issue: without forms no chip may move (domain §4).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;

pub const GATE: Gate = Gate {
    code: "slip_forms_available",
    needs: "both slip series must be open",
    who: &[Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    match (scene.casino.fill_series_open, scene.casino.credit_series_open) {
        (true, true) => Ok("both slip series are open".to_owned()),
        (false, true) => Err("the fill series is closed".to_owned()),
        (true, false) => Err("the credit series is closed".to_owned()),
        (false, false) => Err("both slip series are closed".to_owned()),
    }
}
