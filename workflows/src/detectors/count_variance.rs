//! The two counts of a box differ: raised always, even where a third was agreed (domain §8; N.J.A.C. 13:69D-1.33(b)).

use serde_json::json;

use crate::dossier::Dossier;
use crate::exception::Finding;
use crate::record::Casino;
use crate::word::{Category, SubjectKind};

pub(super) fn detect(dossier: &Dossier, _: &Casino) -> Vec<Finding> {
    let counts = dossier.own_drops().filter_map(|drop| dossier.standing_count(drop.id));
    counts
        .filter(|count| count.count_1_cents != count.count_2_cents)
        .map(|count| Finding {
            detail: json!({ "soft_count": count.id, "agreed_cents": count.agreed_cents }),
            ..Finding::new(Category::CountVariance, SubjectKind::Drop, count.drop_event_id)
                .amounts(count.count_1_cents, count.count_2_cents)
        })
        .collect()
}
