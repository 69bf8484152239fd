//! A slip was voided after it had been verified at the table (domain §6; K.A.R. 112-108-32(e)).

use serde_json::json;

use crate::dossier::Dossier;
use crate::exception::Finding;
use crate::record::Casino;
use crate::word::{Category, SlipStatus, SubjectKind};

pub(super) fn detect(dossier: &Dossier, _: &Casino) -> Vec<Finding> {
    dossier
        .slips
        .iter()
        .filter(|slip| slip.voided_from == Some(SlipStatus::VerifiedAtTable))
        .map(|slip| Finding {
            detail: json!({ "number": slip.slip_no, "voided_from": slip.voided_from, "reason": slip.void_reason }),
            ..Finding::new(Category::VoidMisuse, SubjectKind::Slip, slip.id)
        })
        .collect()
}
