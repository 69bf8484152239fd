//! The detectors: one file each. A detector is a pure function of the dossier; it may look again and again, and finds the same.

mod count_variance;
mod custody_gap;
mod drop_out_of_schedule;
mod hold_deviation;
mod manifest_differences;
mod missing_closing_snapshot;
mod open_rating_slips;
mod opening_variance;
mod par_variance;
mod seal_mismatch;
mod slip_amount_mismatch;
mod unverified_slip;
mod void_misuse;

use crate::case::{Case, Context};
use crate::deadline;
use crate::dossier::Dossier;
use crate::exception::{self, Finding};
use crate::record::Casino;
use crate::word::{Category, CloseReason, Status};

/// What a detector is.
pub type Detector = fn(&Dossier, &Casino) -> Vec<Finding>;

/// Every detector, with the categories it may raise.
pub const ALL: &[(&[Category], Detector)] = &[
    (&[Category::OpeningVariance], opening_variance::detect),
    (&[Category::ParVariance], par_variance::detect),
    (&[Category::DropOutOfSchedule], drop_out_of_schedule::detect),
    (&[Category::CustodyGap], custody_gap::detect),
    (&[Category::SealMismatch], seal_mismatch::detect),
    (&[Category::CountVariance], count_variance::detect),
    (
        &[
            Category::MissingSlip,
            Category::UnexpectedSlip,
            Category::SlipAmountMismatch,
            Category::DuplicateSlipNo,
            Category::VoidMisuse,
        ],
        manifest_differences::detect,
    ),
    (&[Category::SlipAmountMismatch], slip_amount_mismatch::detect),
    (&[Category::VoidMisuse], void_misuse::detect),
    (&[Category::MissingClosingSnapshot], missing_closing_snapshot::detect),
    (&[Category::UnverifiedSlip], unverified_slip::detect),
    (&[Category::OpenRatingSlips], open_rating_slips::detect),
    (&[Category::HoldDeviation], hold_deviation::detect),
];

/// Everything the detectors see now that nobody has judged, one finding a thing: what several of them see about it is told together.
pub fn findings(dossier: &Dossier, casino: &Casino) -> Vec<Finding> {
    let mut subjects: Vec<Vec<Finding>> = Vec::new();
    for finding in ALL.iter().flat_map(|(_, detect)| detect(dossier, casino)) {
        match subjects.iter_mut().find(|known| known[0].is_same_subject(&finding)) {
            Some(known) => known.push(finding),
            None => subjects.push(vec![finding]),
        }
    }
    subjects.into_iter().filter_map(|seen| unjudged(dossier, seen)).collect()
}

/// A finding equal to one a person has resolved is not raised again: neither all that was seen of a thing together, nor a part of it.
fn unjudged(dossier: &Dossier, seen: Vec<Finding>) -> Option<Finding> {
    let judged = |finding: &Finding| {
        dossier
            .exceptions
            .iter()
            .any(|row| !row.status.is_unresolved() && finding.equals(row))
    };
    Finding::together(seen.clone())
        .filter(|all| !judged(all))
        .and_then(|_| Finding::together(seen.into_iter().filter(|finding| !judged(finding)).collect()))
}

/// Looks at the whole session: raises what is new, and marks what is seen no longer.
pub(crate) fn observe(case: &mut Case, context: &Context) {
    let session = case.session();
    if session.status == Status::Finalized || session.close_reason == Some(CloseReason::Cancelled) {
        return;
    }
    let seen = findings(case.dossier(), &context.casino);
    // What only the sweep raises is seen for as long as it lasts, and by whoever looks.
    let overdue = deadline::findings(case.dossier(), &context.casino, context.at);
    unobserve(case, context, &seen, &overdue);
    tell(case, context, seen);
}

/// Raises what is new, and brings what is known already up to date.
pub(crate) fn tell(case: &mut Case, context: &Context, findings: Vec<Finding>) {
    for finding in findings {
        let open = case.dossier().unresolved().find(|exception| finding.is_about(exception)).cloned();
        match open {
            Some(open) if finding.equals(&open) && open.no_longer_observed_at.is_none() => {}
            Some(open) => exception::rewrite(case, open.id, |row| {
                (row.expected, row.found) = (finding.expected.clone(), finding.found.clone());
                (row.variance_cents, row.detail) = (finding.variance_cents, finding.detail.clone());
                row.no_longer_observed_at = None;
            }),
            None => {
                exception::raise(case, context, finding, None);
            }
        }
    }
}

/// A detector that no longer fires says so on its exception; it resolves nothing (domain §9).
fn unobserve(case: &mut Case, context: &Context, seen: &[Finding], overdue: &[Finding]) {
    let known = |category| ALL.iter().any(|(categories, _)| categories.contains(category)) || deadline::CATEGORIES.contains(category);
    let gone: Vec<_> = case
        .dossier()
        .unresolved()
        .filter(|exception| exception.detected_by.is_none() && exception.no_longer_observed_at.is_none())
        .filter(|exception| known(&exception.category))
        .filter(|exception| !seen.iter().chain(overdue).any(|finding| finding.is_about(exception)))
        .map(|exception| exception.id)
        .collect();
    for id in gone {
        exception::rewrite(case, id, |row| row.no_longer_observed_at = Some(context.at));
    }
}
