//! The gates: one file each. A gate is a pure function over the scene; it knows no database.

pub mod boxes_counted;
pub mod closer_current;
pub mod closing_snapshot_verified;
pub mod count_before_close;
pub mod credit_received;
pub mod drop_box_attached;
pub mod drop_box_present;
pub mod drop_delivered;
pub mod drop_present;
pub mod drop_received;
pub mod drop_recorded;
pub mod drop_time_set;
pub mod exceptions_resolved;
pub mod finalizer_independent;
pub mod need_set;
pub mod no_live_session;
pub mod not_cancelled;
pub mod nothing_removed_since;
pub mod opening_snapshot_verified;
pub mod predecessor_closed;
pub mod rating_slips_closed;
pub mod removal_unscheduled;
pub mod report_current;
pub mod setup_ready;
pub mod slip_forms_available;
pub mod slips_deposited;
pub mod slips_settled;
pub mod table_active;

use crate::machine::{Gate, Scene};

/// Every gate there is: a test holds that each is used by an edge.
pub const ALL: &[&Gate] = &[
    &boxes_counted::GATE,
    &closer_current::GATE,
    &closing_snapshot_verified::GATE,
    &count_before_close::GATE,
    &credit_received::GATE,
    &drop_box_attached::GATE,
    &drop_box_present::GATE,
    &drop_delivered::GATE,
    &drop_present::GATE,
    &drop_received::GATE,
    &drop_recorded::GATE,
    &drop_time_set::GATE,
    &exceptions_resolved::GATE,
    &finalizer_independent::GATE,
    &need_set::GATE,
    &no_live_session::GATE,
    &not_cancelled::GATE,
    &nothing_removed_since::GATE,
    &opening_snapshot_verified::GATE,
    &predecessor_closed::GATE,
    &rating_slips_closed::GATE,
    &removal_unscheduled::GATE,
    &report_current::GATE,
    &setup_ready::GATE,
    &slip_forms_available::GATE,
    &slips_deposited::GATE,
    &slips_settled::GATE,
    &table_active::GATE,
];

/// Says which slips stand in the way, by number where they have one.
fn unsettled_slips(scene: &Scene<'_>) -> Result<String, String> {
    let waiting: Vec<String> = scene
        .dossier
        .slips
        .iter()
        .filter(|slip| !slip.status.is_settled())
        .map(|slip| match slip.slip_no {
            Some(number) => format!("{} slip {number} is {}", slip.kind, slip.status),
            None => format!("{} request {} is {}", slip.kind, slip.request_id, slip.status),
        })
        .collect();
    if waiting.is_empty() {
        Ok(format!("all {} slips are settled", scene.dossier.slips.len()))
    } else {
        Err(waiting.join("; "))
    }
}

/// Removals recorded since the machine last carried the session to DROPPED.
fn removals_not_taken<'a>(scene: &Scene<'a>) -> impl Iterator<Item = &'a crate::record::Drop> {
    let dossier = scene.dossier;
    dossier.own_drops().filter(|drop| drop.seq_no > dossier.session.dropped_through_seq)
}
