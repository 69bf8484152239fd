//! A box did not hold the slips it should, or held one it should not (domain §8). Only slips raise exceptions, on their own session.

use serde_json::json;
use uuid::Uuid;

use crate::dossier::Dossier;
use crate::exception::Finding;
use crate::manifest::{document_subject, slip_kind};
use crate::record::{Casino, ManifestItem};
use crate::word::{Category, MatchOutcome, SubjectKind};

pub(super) fn detect(dossier: &Dossier, _: &Casino) -> Vec<Finding> {
    let drops: std::collections::BTreeSet<Uuid> = dossier.counts.iter().map(|count| count.drop_event_id).collect();
    drops
        .into_iter()
        .filter_map(|drop| dossier.standing_count(drop))
        .flat_map(|count| count.manifest.iter().map(move |item| (count.drop_event_id, item)))
        .filter(|(_, item)| item.session_id == Some(dossier.session.id) && slip_kind(item.kind).is_some())
        .filter_map(|(drop, item)| finding(drop, item))
        .collect()
}

fn finding(drop: Uuid, item: &ManifestItem) -> Option<Finding> {
    let category = match item.outcome? {
        MatchOutcome::Matched => return None,
        MatchOutcome::Missing => Category::MissingSlip,
        MatchOutcome::Unexpected | MatchOutcome::WrongTable => Category::UnexpectedSlip,
        MatchOutcome::AmountMismatch => Category::SlipAmountMismatch,
        MatchOutcome::Duplicate => Category::DuplicateSlipNo,
        MatchOutcome::VoidPresent => Category::VoidMisuse,
    };
    let about = match item.slip_id {
        Some(slip) => Finding::new(category, SubjectKind::Slip, slip),
        None => Finding::new(category, SubjectKind::Document, document_subject(drop, item)),
    };
    let variance_cents = match (item.amount_cents, item.found_cents) {
        (Some(expected), Some(found)) => Some(found - expected),
        (Some(expected), None) => Some(-expected),
        (None, found) => found,
    };
    Some(Finding {
        expected: item.amount_cents.map(|cents| json!(cents)),
        found: item.found_cents.map(|cents| json!(cents)),
        variance_cents,
        detail: json!({ "drop_event_id": drop, "kind": item.kind, "number": item.number, "match": item.outcome }),
        ..about
    })
}
