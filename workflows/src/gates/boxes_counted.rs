//! Every removed box, and every box that holds a slip of this session, is received and has an accepted count (domain §4).

use crate::dossier::Dossier;
use crate::machine::{Gate, Scene, Verdict};
use crate::record::Drop;
use crate::role::Role;
use crate::word::Category;

pub const GATE: Gate = Gate {
    code: "boxes_counted",
    needs: "every box must be delivered, received and counted",
    who: &[Role::Security, Role::CountTeam],
    personal: false,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    let dossier = scene.dossier;
    let mut missing: Vec<String> = dossier.awaited_drops().filter_map(|drop| uncounted(dossier, drop)).collect();
    // A box compliance has given up for lost takes its papers with it.
    let lost = dossier.is_waived(Category::DropMissing, &dossier.session.id.to_string());
    for slip in dossier.slips.iter().filter(|_| !lost) {
        if let (Some(drop_box), Some(use_no)) = (slip.drop_box_id, slip.drop_box_use)
            && dossier.removal_of(drop_box, use_no).is_none()
        {
            missing.push(format!(
                "{} slip {} lies in a box not yet removed",
                slip.kind,
                slip.slip_no.unwrap_or_default()
            ));
        }
    }
    if missing.is_empty() {
        Ok(format!("{} boxes are counted", dossier.awaited_drops().count()))
    } else {
        Err(missing.join("; "))
    }
}

/// What a removed box still lacks. A `COUNT_OVERDUE` waived by compliance, on whichever session, stands for its count.
fn uncounted(dossier: &Dossier, drop: &Drop) -> Option<String> {
    if drop.count_waived || dossier.is_waived(Category::CountOverdue, &drop.id.to_string()) {
        return None;
    }
    let lacks = if drop.delivered_at.is_none() {
        "is not delivered"
    } else if drop.received_at.is_none() {
        "is not received"
    } else if dossier.standing_count(drop.id).is_none() {
        "is not counted"
    } else if dossier.accepted_count(drop.id).is_none() {
        "has only a disputed count"
    } else {
        return None;
    };
    Some(format!("the box of removal {} {lacks}", drop.id))
}
