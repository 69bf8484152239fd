//! What was counted at the table, or in the cage, is not what the slip says (domain §6).

use serde_json::json;

use crate::dossier::Dossier;
use crate::exception::Finding;
use crate::record::{Casino, Slip};
use crate::word::{Category, SubjectKind};

pub(super) fn detect(dossier: &Dossier, _: &Casino) -> Vec<Finding> {
    dossier.slips.iter().filter_map(finding).collect()
}

fn finding(slip: &Slip) -> Option<Finding> {
    let about = || Finding::new(Category::SlipAmountMismatch, SubjectKind::Slip, slip.id);
    let at_table = slip.confirmed_amount_cents.filter(|cents| *cents != slip.amount_cents);
    let at_cage = slip.cage_amount_cents.filter(|cents| *cents != slip.counted_cents());
    match (at_table, at_cage) {
        (Some(confirmed), _) => Some(Finding {
            detail: json!({ "where": "table", "number": slip.slip_no, "cage_amount_cents": at_cage }),
            ..about().amounts(slip.amount_cents, confirmed)
        }),
        (None, Some(received)) => Some(Finding {
            detail: json!({ "where": "cage", "number": slip.slip_no }),
            ..about().amounts(slip.counted_cents(), received)
        }),
        (None, None) => None,
    }
}
