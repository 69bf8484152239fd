//! The opener differs from the closer before it, beyond tolerance (domain §5; N.J.A.C. 13:69D-1.21(e)).

use serde_json::json;

use crate::dossier::Dossier;
use crate::exception::Finding;
use crate::record::Casino;
use crate::word::{Category, SubjectKind};

/// One per session, by the sum of differences per denomination: two wrong denominations must not cancel out. A predecessor
/// without a closer gives no comparison.
pub(super) fn detect(dossier: &Dossier, casino: &Casino) -> Vec<Finding> {
    let closer = dossier.floor.predecessor.as_ref().and_then(|before| before.closer.as_ref());
    let (Some(opener), Some(closer)) = (dossier.opener(), closer) else {
        return Vec::new();
    };
    let distance_cents = opener.chipset.distance_cents(&closer.chipset);
    if distance_cents <= casino.opening_tolerance_cents {
        return Vec::new();
    }
    let finding = Finding::new(Category::OpeningVariance, SubjectKind::Session, dossier.session.id);
    vec![Finding {
        detail: json!({
            "opener": opener.id, "closer": closer.id, "distance_cents": distance_cents,
            "opener_chipset": opener.chipset, "closer_chipset": closer.chipset,
        }),
        ..finding.amounts(closer.total_cents, opener.total_cents)
    }]
}
