//! A session was force closed while a slip had not been verified at the table (domain §4).

use serde_json::json;

use crate::dossier::Dossier;
use crate::exception::Finding;
use crate::record::Casino;
use crate::word::{Category, CloseReason, SlipStatus, SubjectKind};

pub(super) fn detect(dossier: &Dossier, _: &Casino) -> Vec<Finding> {
    if dossier.session.close_reason != Some(CloseReason::Forced) {
        return Vec::new();
    }
    let unverified = dossier
        .slips
        .iter()
        .filter(|slip| matches!(slip.status, SlipStatus::Requested | SlipStatus::Issued));
    unverified
        .map(|slip| Finding {
            detail: json!({ "number": slip.slip_no, "request_id": slip.request_id, "status": slip.status }),
            ..Finding::new(Category::UnverifiedSlip, SubjectKind::Slip, slip.id)
        })
        .collect()
}
