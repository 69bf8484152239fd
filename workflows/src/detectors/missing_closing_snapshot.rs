//! A session was force closed without a verified closer, or chips moved behind the one it has (domain §4).

use crate::dossier::Dossier;
use crate::exception::Finding;
use crate::record::Casino;
use crate::word::{Category, CloseReason, SubjectKind};

pub(super) fn detect(dossier: &Dossier, _: &Casino) -> Vec<Finding> {
    let current = dossier.closer().is_some_and(|closer| dossier.moved_behind(closer).is_none());
    if dossier.session.close_reason != Some(CloseReason::Forced) || current {
        return Vec::new();
    }
    vec![Finding::new(
        Category::MissingClosingSnapshot,
        SubjectKind::Session,
        dossier.session.id,
    )]
}
