//! No slip is in flight (domain §4).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;

pub const GATE: Gate = Gate {
    code: "slips_settled",
    needs: "every slip must be deposited, voided or cancelled",
    who: &[Role::PitBoss, Role::Cashier],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    super::unsettled_slips(scene)
}
