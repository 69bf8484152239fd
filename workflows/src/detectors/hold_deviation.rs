//! The hold lies outside the band the casino has set; off until both ends are set (domain §9; COMAR 36.05.03.25(B)).

use serde_json::json;

use crate::dossier::Dossier;
use crate::exception::Finding;
use crate::record::Casino;
use crate::rundown;
use crate::word::{Category, SubjectKind};

pub(super) fn detect(dossier: &Dossier, casino: &Casino) -> Vec<Finding> {
    let (Some(low), Some(high)) = (casino.hold_band_low_bp, casino.hold_band_high_bp) else {
        return Vec::new();
    };
    let closed = !dossier.session.status.is_live();
    let hold = rundown::figures(dossier)
        .hold_bp()
        .filter(|hold| closed && !(i64::from(low)..=i64::from(high)).contains(hold));
    hold.map(|hold| Finding {
        expected: Some(json!({ "low_bp": low, "high_bp": high })),
        found: Some(json!(hold)),
        ..Finding::new(Category::HoldDeviation, SubjectKind::Session, dossier.session.id)
    })
    .into_iter()
    .collect()
}
