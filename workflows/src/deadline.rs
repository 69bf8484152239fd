//! What time alone brings to light (domain §9): a box not delivered or not counted within its limit, a session closed without a removal, a
//! missing slip number that no later number ever told of.
//!
//! Time passes without a command, so the daemon looks by itself (`deadline_sweep`). What it finds it raises; a person judges it. An
//! expectation says the limit and never the present moment: to look again is to find the same, and nothing is raised twice.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::case::{Case, Context};
use crate::detectors;
use crate::dossier::Dossier;
use crate::exception::{self, Finding, MACHINE};
use crate::machine::decide;
use crate::record::{Casino, Drop};
use crate::refusal::Refusal;
use crate::slip;
use crate::word::{Category, CloseReason, SlipKind, Status, SubjectKind};

/// What the sweep raises, beside missing numbers.
pub const CATEGORIES: &[Category] = &[Category::CustodyGap, Category::CountOverdue, Category::DropMissing];

/// How long a closed range of numbers waits for the next number of its series, which tells of its gaps as a matter of course. After that,
/// or for a series that is over, the sweep tells of them.
pub const GAP_WAITS: TimeDelta = TimeDelta::hours(24);

/// A number of a closed manual range that no slip carries and nobody has told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub kind: SlipKind,
    pub scope_key: String,
    pub slip_no: i64,
    /// The next number used, where there is one.
    pub next_slip_no: Option<i64>,
    /// The session of the next number used, or else of the last one before; none where the series has no session that is still open to it.
    pub session_id: Option<Uuid>,
}

/// Raises what is overdue on this session at this moment, and these missing numbers. Safe to repeat.
pub fn sweep(case: &mut Case, context: &Context, gaps: &[Gap]) -> Result<(), Refusal> {
    let raise = MACHINE.edge(None, "raise").ok_or(Refusal::NotFound("transition"))?;
    decide(raise, &case.scene(context))?;
    let session = case.session();
    if session.status == Status::Finalized || session.close_reason == Some(CloseReason::Cancelled) {
        return Ok(());
    }
    let overdue = findings(case.dossier(), &context.casino, context.at);
    let unjudged = overdue.into_iter().filter(|finding| !is_judged(case.dossier(), finding)).collect();
    detectors::tell(case, context, unjudged);
    for gap in gaps
        .iter()
        .filter(|gap| gap.session_id == Some(case.session().id))
        .collect::<Vec<_>>()
    {
        exception::raise(
            case,
            context,
            slip::unaccounted(gap.kind, &gap.scope_key, gap.slip_no, gap.next_slip_no),
            None,
        );
    }
    Ok(())
}

/// A person has answered this very finding: it is not raised again.
fn is_judged(dossier: &Dossier, finding: &Finding) -> bool {
    dossier
        .exceptions
        .iter()
        .any(|row| !row.status.is_unresolved() && finding.equals(row))
}

/// Everything that is overdue at this moment, whether it has been raised or not.
pub fn findings(dossier: &Dossier, casino: &Casino, now: DateTime<Utc>) -> Vec<Finding> {
    let boxes = dossier
        .own_drops()
        .flat_map(|drop| [undelivered(drop, casino, now), uncounted(dossier, drop, casino, now)]);
    boxes.flatten().chain(never_removed(dossier, casino, now)).collect()
}

/// A box on its way for longer than the casino allows. Once it has arrived, the detector of that name says how late it was.
fn undelivered(drop: &Drop, casino: &Casino, now: DateTime<Utc>) -> Option<Finding> {
    let limit = TimeDelta::minutes(i64::from(casino.delivery_limit_minutes));
    (drop.delivered_at.is_none() && now - drop.removed_at > limit).then(|| Finding {
        expected: Some(json!({ "limit_minutes": casino.delivery_limit_minutes })),
        found: Some(json!({ "removed_at": drop.removed_at, "delivered_at": null })),
        ..Finding::new(Category::CustodyGap, SubjectKind::Drop, drop.id)
    })
}

/// A box removed, and not counted in time. A disputed count is none yet.
fn uncounted(dossier: &Dossier, drop: &Drop, casino: &Casino, now: DateTime<Utc>) -> Option<Finding> {
    let due = drop.removed_at + TimeDelta::hours(i64::from(casino.count_due_hours));
    let is_counted = dossier.accepted_count(drop.id).is_some() || drop.count_waived;
    (!is_counted && now > due).then(|| Finding {
        expected: Some(json!({ "count_due_hours": casino.count_due_hours })),
        found: Some(json!({ "removed_at": drop.removed_at })),
        detail: json!({ "due_at": due, "seq_no": drop.seq_no, "custody": drop.custody() }),
        ..Finding::new(Category::CountOverdue, SubjectKind::Drop, drop.id)
    })
}

/// A session that was played and closed, whose box nobody has removed in time.
fn never_removed(dossier: &Dossier, casino: &Casino, now: DateTime<Utc>) -> Option<Finding> {
    let session = &dossier.session;
    let closed_at = session.closed_at.filter(|_| session.status == Status::Closed)?;
    let due = closed_at + TimeDelta::hours(i64::from(casino.drop_due_hours));
    let is_removed = dossier.own_drops().any(|drop| drop.stood_on_table);
    let is_waived = dossier.is_waived(Category::DropMissing, &session.id.to_string());
    (!is_removed && !is_waived && now > due).then(|| Finding {
        expected: Some(json!({ "drop_due_hours": casino.drop_due_hours })),
        found: Some(json!({ "closed_at": closed_at })),
        detail: json!({ "due_at": due, "drop_box_id": session.drop_box_id }),
        ..Finding::new(Category::DropMissing, SubjectKind::Session, session.id)
    })
}
