//! A box went outside its planned time (domain §7; 35 Miss. 5-07-01-101).

use chrono::TimeDelta;
use serde_json::json;

use crate::dossier::Dossier;
use crate::exception::Finding;
use crate::record::{Casino, Drop};
use crate::word::{Category, SubjectKind};

/// In play a removal needs a schedule; once closing, one that nobody scheduled is regular: the box goes with the close.
pub(super) fn detect(dossier: &Dossier, casino: &Casino) -> Vec<Finding> {
    let window = TimeDelta::minutes(i64::from(casino.drop_window_minutes));
    dossier
        .own_drops()
        .filter(|drop| !drop.emergency && is_irregular(drop, window))
        .map(finding)
        .collect()
}

fn is_irregular(drop: &Drop, window: TimeDelta) -> bool {
    match drop.scheduled_for {
        Some(planned) => (drop.removed_at - planned).abs() > window,
        None => drop.removed_in.in_play(),
    }
}

fn finding(drop: &Drop) -> Finding {
    Finding {
        expected: drop.scheduled_for.map(|planned| json!(planned)),
        found: Some(json!(drop.removed_at)),
        detail: json!({ "seq_no": drop.seq_no, "removed_in": drop.removed_in }),
        ..Finding::new(Category::DropOutOfSchedule, SubjectKind::Drop, drop.id)
    }
}
