//! What the table won: **win = closing + credits + drop − opening − fills** (domain §9; 13 Miss. 7-3.3(a)).
//!
//! The one definition in the code base. Whole cents, positive = the house wins. Null is not zero: a figure whose input is
//! missing is null, and the report names what is missing.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::act;
use crate::case::{Case, Context};
use crate::dossier::Dossier;
use crate::event::Event;
use crate::money::share_bp;
use crate::record::Report;
use crate::word::{BankMode, CountStatus, MetricGrade, SlipKind, Status, SubjectKind};

/// The five figures a win is made of, in cents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    pub opening: Option<i64>,
    pub closing: Option<i64>,
    pub fills: i64,
    pub credits: i64,
    pub drop: Option<i64>,
}

impl Figures {
    /// closing − opening − fills + credits: what the tray alone says. Null unless both counts exist.
    pub fn inventory_result(&self) -> Option<i64> {
        Some(self.closing? - self.opening? - self.fills + self.credits)
    }

    /// The win. Null unless opening, closing and drop all exist.
    pub fn win(&self) -> Option<i64> {
        Some(self.inventory_result()? + self.drop?)
    }

    /// win / drop in basis points, to nearest, halves away from zero. Null if the drop is null or 0; may be negative or over 10,000.
    pub fn hold_bp(&self) -> Option<i64> {
        share_bp(self.win()?, self.drop?)
    }

    /// Names of the inputs that do not exist.
    pub fn missing(&self) -> Vec<String> {
        let inputs = [("opening", self.opening), ("closing", self.closing), ("drop", self.drop)];
        inputs
            .into_iter()
            .filter(|(_, figure)| figure.is_none())
            .map(|(name, _)| name.to_owned())
            .collect()
    }
}

/// A session's figures from its evidence: verified counts, verified slips with confirmed amounts, accepted soft counts.
pub fn figures(dossier: &Dossier) -> Figures {
    Figures {
        opening: dossier.opener().map(|opener| opener.total_cents),
        closing: dossier.closer().map(|closer| closer.total_cents),
        fills: dossier.verified_total_cents(SlipKind::Fill),
        credits: dossier.verified_total_cents(SlipKind::Credit),
        drop: dossier.drop_total_cents(),
    }
}

/// AUTHORITATIVE only when both counts are verified, every slip is settled, every box counted and nothing is unresolved.
pub fn grade(dossier: &Dossier) -> MetricGrade {
    let complete = figures(dossier).missing().is_empty()
        && dossier.slips.iter().all(|slip| slip.status.is_settled())
        && dossier.awaited_drops().all(|drop| dossier.accepted_count(drop.id).is_some())
        && dossier.closer().is_some_and(|closer| dossier.moved_behind(closer).is_none())
        && dossier.slips.iter().all(|slip| dossier.is_removed_with_its_box(slip))
        && dossier.unresolved().next().is_none();
    if complete {
        MetricGrade::Authoritative
    } else {
        MetricGrade::Estimate
    }
}

/// SHA-256 over everything the report is computed from: two reports with one hash say the same.
pub fn input_hash(dossier: &Dossier) -> String {
    let slips: Vec<_> = [SlipKind::Fill, SlipKind::Credit]
        .into_iter()
        .flat_map(|kind| dossier.verified_slips(kind))
        .map(|slip| (slip.id, slip.counted_cents()))
        .collect();
    let counts: Vec<_> = dossier
        .own_drops()
        .map(|drop| {
            (
                drop.id,
                dossier.accepted_count(drop.id).map(|count| (count.id, count.drop_total_cents)),
            )
        })
        .collect();
    let inputs = serde_json::json!([
        dossier.session.id,
        dossier.session.need_total_cents,
        dossier.opener().map(|opener| (opener.id, opener.total_cents)),
        dossier.closer().map(|closer| (closer.id, closer.total_cents)),
        slips,
        counts,
        grade(dossier),
    ]);
    hex(&Sha256::digest(inputs.to_string().as_bytes()))
}

/// Bytes as lower-case hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The report as the evidence stands now: before RECONCILED a preview, with what is missing.
pub fn compute(dossier: &Dossier, context: &Context) -> Report {
    let figures = figures(dossier);
    let ids = |kind| dossier.verified_slips(kind).map(|slip| slip.id).collect();
    let counted = dossier
        .own_drops()
        .filter_map(|drop| dossier.accepted_count(drop.id))
        .map(|count| count.id)
        .collect();
    Report {
        id: dossier.report.as_ref().map_or_else(context.new_id, |report| report.id),
        casino_id: dossier.session.casino_id,
        session_id: dossier.session.id,
        opening_total_cents: figures.opening,
        opening_snapshot_id: dossier.opener().map(|opener| opener.id),
        opening_source: if figures.opening.is_some() {
            "snapshot:verified_open"
        } else {
            "none"
        }
        .to_owned(),
        closing_total_cents: figures.closing,
        closing_snapshot_id: dossier.closer().map(|closer| closer.id),
        fills_total_cents: figures.fills,
        fill_ids: ids(SlipKind::Fill),
        credits_total_cents: figures.credits,
        credit_ids: ids(SlipKind::Credit),
        inventory_result_cents: figures.inventory_result(),
        drop_total_cents: figures.drop,
        soft_count_ids: counted,
        win_loss_stat_cents: figures.win(),
        hold_bp: figures.hold_bp(),
        missing_inputs: figures.missing(),
        metric_grade: grade(dossier),
        par_variance_cents: par_variance(dossier),
        count_status: if figures.drop.is_some() {
            CountStatus::Counted
        } else {
            CountStatus::Pending
        },
        computed_at: context.at,
        input_hash: input_hash(dossier),
        finalized_at: None,
        finalized_by: None,
    }
}

/// closer − need, where the bank is imprest and both exist.
pub fn par_variance(dossier: &Dossier) -> Option<i64> {
    match dossier.session.bank_mode {
        BankMode::ImprestToPar => Some(dossier.closer()?.total_cents - dossier.session.need_total_cents?),
        BankMode::InventoryCount => None,
    }
}

/// Keeps a reconciled session's report current. The same inputs leave the same report: no row is written for nothing.
pub(crate) fn refresh(case: &mut Case, context: &Context) {
    let dossier = case.dossier();
    let current = dossier
        .report
        .as_ref()
        .is_some_and(|report| report.input_hash == input_hash(dossier));
    if dossier.session.status != Status::Reconciled || current {
        return;
    }
    let report = compute(dossier, context);
    case.tell(Event::RundownComputed {
        session_id: report.session_id,
        table_id: case.session().table_id,
        win_loss_stat_cents: report.win_loss_stat_cents,
        metric_grade: report.metric_grade,
    });
    case.dossier_mut().report = Some(report);
}

/// Finalization signs the report: from here on it never changes.
pub(crate) fn seal(case: &mut Case, context: &Context) {
    let table_id = case.session().table_id;
    let Some(report) = case.dossier_mut().report.as_mut() else {
        return;
    };
    (report.finalized_at, report.finalized_by) = (Some(context.at), Some(context.caller.id));
    let (id, session_id, win_loss_stat_cents) = (report.id, report.session_id, report.win_loss_stat_cents);
    case.sign_as_caller(context, (SubjectKind::Report, id), act::FINALIZE_REPORT);
    case.tell(Event::RundownFinalized {
        session_id,
        table_id,
        win_loss_stat_cents,
        finalized_by: context.caller.id,
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cents() -> impl Strategy<Value = i64> {
        0_i64..1_000_000_000
    }

    proptest! {
        #[test]
        fn a_fill_of_x_and_x_in_the_closer_changes_no_win(o in cents(), c in cents(), f in cents(), cr in cents(), d in cents(), x in cents()) {
            let before = Figures { opening: Some(o), closing: Some(c), fills: f, credits: cr, drop: Some(d) };
            let after = Figures { closing: Some(c + x), fills: f + x, ..before };
            prop_assert_eq!(before.win(), after.win());
            let credited = Figures { closing: Some(c - x), credits: cr + x, ..before };
            prop_assert_eq!(before.win(), credited.win());
        }

        #[test]
        fn null_stays_null(o in proptest::option::of(cents()), c in proptest::option::of(cents()), d in proptest::option::of(cents()), f in cents()) {
            let figures = Figures { opening: o, closing: c, fills: f, credits: 0, drop: d };
            prop_assert_eq!(figures.win().is_some(), o.is_some() && c.is_some() && d.is_some());
            prop_assert_eq!(figures.missing().len(), [o, c, d].iter().filter(|figure| figure.is_none()).count());
        }
    }

    #[test]
    fn hold_has_no_figure_without_a_drop_and_may_be_negative_or_beyond_all() {
        let figures = Figures {
            opening: Some(1000),
            closing: Some(1000),
            fills: 0,
            credits: 0,
            drop: Some(0),
        };
        assert_eq!((figures.win(), figures.hold_bp()), (Some(0), None));
        assert_eq!(
            Figures {
                fills: 300,
                drop: Some(200),
                ..figures
            }
            .hold_bp(),
            Some(-5000)
        );
        assert_eq!(
            Figures {
                credits: 300,
                drop: Some(200),
                ..figures
            }
            .hold_bp(),
            Some(25_000)
        );
        // 1 / 8 of 10,000 is 1250; 100 / 16,000 is 62.5 basis points: away from zero.
        assert_eq!(
            Figures {
                closing: Some(1000 - 15_900),
                drop: Some(16_000),
                ..figures
            }
            .hold_bp(),
            Some(63)
        );
    }
}
