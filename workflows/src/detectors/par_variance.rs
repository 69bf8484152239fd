//! The imprest closer is not at par, beyond tolerance (domain §4, §9).

use crate::dossier::Dossier;
use crate::exception::Finding;
use crate::record::Casino;
use crate::rundown;
use crate::word::{Category, SubjectKind};

pub(super) fn detect(dossier: &Dossier, casino: &Casino) -> Vec<Finding> {
    let (Some(variance), Some(need)) = (rundown::par_variance(dossier), dossier.session.need_total_cents) else {
        return Vec::new();
    };
    if dossier.session.status.is_live() || variance.abs() <= casino.par_tolerance_cents {
        return Vec::new();
    }
    vec![Finding::new(Category::ParVariance, SubjectKind::Session, dossier.session.id).amounts(need, need + variance)]
}
