//! What must be in a box, and how it compares with what was found (domain §8).

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::dossier::Dossier;
use crate::record::{Document, Drop, ManifestItem, Slip};
use crate::word::{DocumentKind, MatchOutcome, SlipKind, SlipStatus};

/// The papers the daemon expects in a removed box, before anyone opens it: the slips deposited into that use of the box,
/// in a session's first box the opener, and the closer only if it was verified before the removal.
pub fn expected(dossier: &Dossier, drop: &Drop) -> Vec<ManifestItem> {
    let mut items: Vec<ManifestItem> = slips_in(dossier, drop).map(slip_item).collect();
    items.sort_by(|a, b| (a.kind, &a.number).cmp(&(b.kind, &b.number)));
    if drop.seq_no == 1
        && let Some(opener) = dossier.opener()
    {
        items.push(count_item(dossier, DocumentKind::Opener, opener.total_cents));
    }
    let closer = dossier
        .closer()
        .filter(|closer| closer.verified_at.is_some_and(|at| at <= drop.removed_at));
    if let Some(closer) = closer {
        items.push(count_item(dossier, DocumentKind::Closer, closer.total_cents));
    }
    items
}

fn slips_in<'a>(dossier: &'a Dossier, drop: &'a Drop) -> impl Iterator<Item = &'a Slip> {
    dossier.slips.iter().chain(&dossier.foreign_slips).filter(|slip| {
        slip.status == SlipStatus::DepositedInDropbox
            && slip.drop_box_id == Some(drop.drop_box_id)
            && slip.drop_box_use == Some(drop.drop_box_use)
    })
}

fn slip_item(slip: &Slip) -> ManifestItem {
    ManifestItem {
        kind: paper(slip.kind),
        number: slip.slip_no.map(|number| number.to_string()),
        amount_cents: Some(slip.counted_cents()),
        found_cents: None,
        slip_id: Some(slip.id),
        session_id: Some(slip.session_id),
        outcome: None,
    }
}

fn count_item(dossier: &Dossier, kind: DocumentKind, total_cents: i64) -> ManifestItem {
    ManifestItem {
        kind,
        number: None,
        amount_cents: Some(total_cents),
        found_cents: None,
        slip_id: None,
        session_id: Some(dossier.session.id),
        outcome: None,
    }
}

fn paper(kind: SlipKind) -> DocumentKind {
    match kind {
        SlipKind::Fill => DocumentKind::FillSlip,
        SlipKind::Credit => DocumentKind::CreditSlip,
    }
}

/// The kind of slip a paper is, if it is one: only slips raise exceptions.
pub fn slip_kind(kind: DocumentKind) -> Option<SlipKind> {
    match kind {
        DocumentKind::FillSlip => Some(SlipKind::Fill),
        DocumentKind::CreditSlip => Some(SlipKind::Credit),
        DocumentKind::FillRequest
        | DocumentKind::CreditRequest
        | DocumentKind::Opener
        | DocumentKind::Closer
        | DocumentKind::Marker
        | DocumentKind::Other => None,
    }
}

/// Compares what was found with what was expected. `elsewhere` are the casino's slips with the numbers found, wherever they are.
/// A paper nobody knows belongs to the session whose box it lay in.
pub fn compare(expected: Vec<ManifestItem>, found: &[Document], elsewhere: &[Slip], drop: &Drop) -> Vec<ManifestItem> {
    let mut items = expected;
    let mut seen: BTreeSet<(DocumentKind, String)> = BTreeSet::new();
    for document in found {
        let again = document
            .number
            .as_ref()
            .is_some_and(|number| !seen.insert((document.kind, number.clone())));
        if let Some(item) = awaited(&mut items, document) {
            item.found_cents = Some(document.amount_cents);
            item.outcome = Some(if item.amount_cents == Some(document.amount_cents) {
                MatchOutcome::Matched
            } else {
                MatchOutcome::AmountMismatch
            });
            continue;
        }
        let slip = known(document, elsewhere, drop);
        let outcome = if again {
            MatchOutcome::Duplicate
        } else {
            unexpected(document, slip, drop)
        };
        items.push(stray(document, outcome, slip, drop));
    }
    for item in items.iter_mut().filter(|item| item.outcome.is_none()) {
        item.outcome = Some(MatchOutcome::Missing);
    }
    items
}

/// The paper still awaited that this may be: of two with one number, from two scopes, the one whose amount fits.
fn awaited<'a>(items: &'a mut [ManifestItem], document: &Document) -> Option<&'a mut ManifestItem> {
    let open = |item: &ManifestItem| item.outcome.is_none() && is_same_paper(item, document);
    let fitting = items
        .iter()
        .position(|item| open(item) && item.amount_cents == Some(document.amount_cents));
    let index = fitting.or_else(|| items.iter().position(open))?;
    items.get_mut(index)
}

/// Slips are found by number; an opener or a closer may have none, and then stands for itself.
fn is_same_paper(item: &ManifestItem, document: &Document) -> bool {
    item.kind == document.kind && (item.number.is_none() || item.number == document.number)
}

/// A number means one slip a scope: of several, one of the drop's own days first, then one of its own table, then the latest that could
/// lie in this box.
fn known<'a>(document: &Document, elsewhere: &'a [Slip], drop: &Drop) -> Option<&'a Slip> {
    let kind = slip_kind(document.kind)?;
    let number = document.number.as_deref()?;
    let day = drop.gaming_day.to_string();
    elsewhere
        .iter()
        .filter(|slip| slip.kind == kind && slip.slip_no.is_some_and(|slip_no| slip_no.to_string() == number))
        .max_by_key(|slip| {
            let in_scope = slip.scope_key.as_ref().is_some_and(|key| day.starts_with(key.as_str()));
            let could_be_here = slip.issued_at.is_some_and(|at| at <= drop.removed_at);
            (could_be_here, in_scope, slip.table_id == drop.table_id, slip.issued_at, slip.id)
        })
}

fn unexpected(document: &Document, slip: Option<&Slip>, drop: &Drop) -> MatchOutcome {
    match (document.kind, slip) {
        (_, Some(slip)) if slip.status == SlipStatus::Voided => MatchOutcome::VoidPresent,
        (_, Some(slip)) if slip.table_id != drop.table_id => MatchOutcome::WrongTable,
        // A marker is value, counted into the drop; a request is the slip's own paper. Neither is ever expected.
        (DocumentKind::Marker | DocumentKind::FillRequest | DocumentKind::CreditRequest, _) => MatchOutcome::Matched,
        (_, Some(_) | None) => MatchOutcome::Unexpected,
    }
}

fn stray(document: &Document, outcome: MatchOutcome, slip: Option<&Slip>, drop: &Drop) -> ManifestItem {
    ManifestItem {
        kind: document.kind,
        number: document.number.clone(),
        amount_cents: slip.map(Slip::counted_cents),
        found_cents: Some(document.amount_cents),
        slip_id: slip.map(|slip| slip.id),
        session_id: Some(slip.map_or(drop.session_id, |slip| slip.session_id)),
        outcome: Some(outcome),
    }
}

/// The subject of an exception about a paper nobody knows.
pub fn document_subject(drop_id: Uuid, item: &ManifestItem) -> String {
    format!("{drop_id}:{}:{}", item.kind, item.number.as_deref().unwrap_or("unnumbered"))
}
