//! A session was force closed without a verified closer (domain §4).

use crate::dossier::Dossier;
use crate::exception::Finding;
use crate::record::Casino;
use crate::word::{Category, CloseReason, SubjectKind};

pub(super) fn detect(dossier: &Dossier, _: &Casino) -> Vec<Finding> {
    if dossier.session.close_reason != Some(CloseReason::Forced) || dossier.closer().is_some() {
        return Vec::new();
    }
    vec![Finding::new(
        Category::MissingClosingSnapshot,
        SubjectKind::Session,
        dossier.session.id,
    )]
}
