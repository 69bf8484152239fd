//! A planned drop names its time (domain §4; 35 Miss. 5-07-01-101).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;

pub const GATE: Gate = Gate {
    code: "drop_time_set",
    needs: "a drop time must be given",
    who: &[Role::PitBoss, Role::Admin],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    match scene.drop_scheduled_for {
        Some(time) => Ok(format!("the drop is planned for {time}")),
        None => Err("no drop time is given".to_owned()),
    }
}
