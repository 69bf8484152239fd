//! A session was force closed while somebody was still rated at its table (domain §4).

use serde_json::json;

use crate::dossier::Dossier;
use crate::exception::Finding;
use crate::record::Casino;
use crate::word::{Category, CloseReason, SubjectKind};

/// One finding for all of them, equal to itself while they are closed one after another: what a person has judged is not told again.
pub(super) fn detect(dossier: &Dossier, _: &Casino) -> Vec<Finding> {
    if dossier.session.close_reason != Some(CloseReason::Forced) || dossier.rating_slips.is_empty() {
        return Vec::new();
    }
    vec![Finding {
        detail: json!({ "rating_slips": dossier.rating_slips }),
        ..Finding::new(Category::OpenRatingSlips, SubjectKind::Session, dossier.session.id)
    }]
}
