//! Nobody is still rated at a table that closes (domain §9: else `OPEN_RATING_SLIPS`, by force alone).

use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;

pub const GATE: Gate = Gate {
    code: "rating_slips_closed",
    needs: "every rating slip of the table must be closed, or moved to another table",
    who: &[Role::PitBoss],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    let open = &scene.dossier.rating_slips;
    if open.is_empty() {
        return Ok("no rating slip is open".to_owned());
    }
    let named: Vec<String> = open
        .iter()
        .map(|slip| format!("rating slip {} is {}", slip.id, slip.status))
        .collect();
    Err(named.join("; "))
}
