//! The seal read at receipt is not the seal put on at removal (domain §7).

use serde_json::json;

use crate::dossier::Dossier;
use crate::exception::Finding;
use crate::record::Casino;
use crate::word::{Category, SubjectKind};

pub(super) fn detect(dossier: &Dossier, _: &Casino) -> Vec<Finding> {
    let read = dossier.own_drops().filter_map(|drop| Some((drop, drop.received_seal_no.as_ref()?)));
    read.filter(|(drop, seal)| drop.seal_no != **seal)
        .map(|(drop, seal)| Finding {
            expected: Some(json!(drop.seal_no)),
            found: Some(json!(seal)),
            ..Finding::new(Category::SealMismatch, SubjectKind::Drop, drop.id)
        })
        .collect()
}
