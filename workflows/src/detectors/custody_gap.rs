//! A box took longer to the count room than the casino allows (domain §7; 25 CFR 542.31(b)(1)).

use chrono::TimeDelta;
use serde_json::json;

use crate::dossier::Dossier;
use crate::exception::Finding;
use crate::record::Casino;
use crate::word::{Category, SubjectKind};

pub(super) fn detect(dossier: &Dossier, casino: &Casino) -> Vec<Finding> {
    let limit = TimeDelta::minutes(i64::from(casino.delivery_limit_minutes));
    let late = dossier.own_drops().filter_map(|drop| Some((drop, drop.delivered_at?)));
    late.filter(|(drop, delivered_at)| *delivered_at - drop.removed_at > limit)
        .map(|(drop, delivered_at)| Finding {
            expected: Some(json!({ "limit_minutes": casino.delivery_limit_minutes })),
            found: Some(json!({ "removed_at": drop.removed_at, "delivered_at": delivered_at })),
            detail: json!({ "minutes": (delivered_at - drop.removed_at).num_minutes() }),
            ..Finding::new(Category::CustodyGap, SubjectKind::Drop, drop.id)
        })
        .collect()
}
