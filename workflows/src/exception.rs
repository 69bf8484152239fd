//! Reconciliation exceptions: raised by detectors and people, closed by people alone (domain §9).

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use crate::act;
use crate::case::{Case, Context, narrative};
use crate::dossier::Dossier;
use crate::event::Event;
use crate::machine::{Decision, Edge, Machine, Scene, decide};
use crate::record::Exception;
use crate::refusal::Refusal;
use crate::role::Role;
use crate::word::ExceptionStatus::{Acknowledged, Open, Resolved, Waived};
use crate::word::{Category, ExceptionStatus, ReasonCode, SnapshotKind, Status, SubjectKind, Trigger};

const JUDGES: &[Role] = &[Role::Compliance, Role::Admin];

const fn edge(verb: &'static str, from: Option<ExceptionStatus>, to: ExceptionStatus, who: &'static [Role]) -> Edge<ExceptionStatus> {
    Edge {
        verb,
        from,
        to,
        trigger: Trigger::Command,
        who,
        gates: &[],
    }
}

/// Every edge of an exception: never deleted, never reopened. A new finding is a new row.
pub const MACHINE: Machine<ExceptionStatus> = Machine {
    name: "exception",
    states: <ExceptionStatus as strum::VariantArray>::VARIANTS,
    edges: &[
        edge(
            "raise",
            None,
            Open,
            &[Role::PitBoss, Role::CountTeam, Role::Compliance, Role::Admin, Role::System],
        ),
        edge("acknowledge", Some(Open), Acknowledged, JUDGES),
        edge("resolve", Some(Open), Resolved, JUDGES),
        edge("resolve", Some(Acknowledged), Resolved, JUDGES),
        edge("waive", Some(Open), Waived, JUDGES),
        edge("waive", Some(Acknowledged), Waived, JUDGES),
    ],
};

/// How long a person has before an exception counts as overdue. An unaccounted slip number has two days by rule (465a.3(c)).
const DUE_HOURS: i64 = 24;
const SLIP_GAP_DUE_HOURS: i64 = 48;

impl Exception {
    /// The slip it is about, whichever session that slip has come to since.
    pub fn slip(&self) -> Option<Uuid> {
        (self.subject_kind == SubjectKind::Slip)
            .then(|| Uuid::parse_str(&self.subject_id).ok())
            .flatten()
    }
}

/// What a detector, or a person, found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub category: Category,
    pub subject_kind: SubjectKind,
    pub subject_id: String,
    pub expected: Option<Value>,
    pub found: Option<Value>,
    pub variance_cents: Option<i64>,
    pub detail: Value,
}

impl Finding {
    pub fn new(category: Category, subject_kind: SubjectKind, subject_id: impl Into<String>) -> Self {
        Self {
            category,
            subject_kind,
            subject_id: subject_id.into(),
            expected: None,
            found: None,
            variance_cents: None,
            detail: Value::Object(serde_json::Map::new()),
        }
    }

    /// Two amounts that should be equal; the variance is found − expected.
    #[must_use]
    pub fn amounts(self, expected_cents: i64, found_cents: i64) -> Self {
        Self {
            expected: Some(Value::from(expected_cents)),
            found: Some(Value::from(found_cents)),
            variance_cents: Some(found_cents - expected_cents),
            ..self
        }
    }

    /// Another finding about the same thing.
    pub fn is_same_subject(&self, other: &Self) -> bool {
        (self.category, self.subject_kind, &self.subject_id) == (other.category, other.subject_kind, &other.subject_id)
    }

    /// Tells several irregularities of one subject as one finding: none covers another.
    pub fn together(findings: Vec<Self>) -> Option<Self> {
        findings.into_iter().reduce(|mine, its| {
            let both = |mine: Option<Value>, its: Option<Value>| Some(serde_json::json!([mine, its]));
            Self {
                expected: both(mine.expected, its.expected),
                found: both(mine.found, its.found),
                variance_cents: mine
                    .variance_cents
                    .map_or(its.variance_cents, |cents| Some(cents + its.variance_cents.unwrap_or(0))),
                detail: serde_json::json!({ "findings": [mine.detail, its.detail] }),
                ..mine
            }
        })
    }

    /// An exception about the same thing.
    pub fn is_about(&self, exception: &Exception) -> bool {
        exception.category == self.category && exception.subject_kind == self.subject_kind && exception.subject_id == self.subject_id
    }

    /// The very same finding: equal also in what was expected and found.
    pub fn equals(&self, exception: &Exception) -> bool {
        self.is_about(exception) && exception.expected == self.expected && exception.found == self.found
    }
}

/// Raises an exception, unless one about the same thing is already unresolved.
pub(crate) fn raise(case: &mut Case, context: &Context, finding: Finding, by: Option<Uuid>) -> Uuid {
    if let Some(open) = case.dossier().unresolved().find(|exception| finding.is_about(exception)) {
        return open.id;
    }
    let id = (context.new_id)();
    push(case, context, id, finding, by);
    id
}

fn push(case: &mut Case, context: &Context, id: Uuid, finding: Finding, by: Option<Uuid>) {
    let hours = if finding.category == Category::SlipNumberGap {
        SLIP_GAP_DUE_HOURS
    } else {
        DUE_HOURS
    };
    let exception = Exception {
        id,
        casino_id: context.casino.id,
        session_id: case.session().id,
        category: finding.category,
        subject_kind: finding.subject_kind,
        subject_id: finding.subject_id,
        expected: finding.expected,
        found: finding.found,
        variance_cents: finding.variance_cents,
        detail: finding.detail,
        status: Open,
        due_at: Some(context.at + chrono::TimeDelta::hours(hours)),
        owner: None,
        reason_code: None,
        resolution_note: None,
        acknowledged_by: None,
        acknowledged_at: None,
        resolved_by: None,
        resolved_at: None,
        detected_by: by,
        detected_at: context.at,
        no_longer_observed_at: None,
        version: 1,
    };
    let (category, variance_cents) = (exception.category, exception.variance_cents);
    let (session_id, table_id) = (case.session().id, case.session().table_id);
    case.tell(Event::ExceptionRaised {
        exception_id: id,
        session_id,
        table_id,
        category,
        variance_cents,
    });
    case.dossier_mut().exceptions.push(exception);
}

/// A person raises one: category MANUAL.
pub fn raise_manually(case: &mut Case, context: &Context, detail: &str, variance_cents: Option<i64>) -> Result<Uuid, Refusal> {
    const BEFORE_THE_END: &[Status] = &[
        Status::ReadyToOpen,
        Status::Opening,
        Status::Open,
        Status::DropScheduled,
        Status::Dropped,
        Status::Counted,
        Status::Closing,
        Status::Closed,
        Status::Reconciled,
    ];
    case.expect_status(BEFORE_THE_END, "an exception raised by hand")?;
    decide(
        MACHINE.edge(None, "raise").ok_or(Refusal::NotFound("transition"))?,
        &case.scene(context),
    )?;
    let detail = narrative(detail, "/detail")?;
    let finding = Finding {
        variance_cents,
        detail: serde_json::json!({ "narrative": detail }),
        ..Finding::new(Category::Manual, SubjectKind::Exception, "")
    };
    // Each is about itself, so that two people may raise two about one session.
    let id = (context.new_id)();
    let finding = Finding {
        subject_id: id.to_string(),
        ..finding
    };
    push(case, context, id, finding, Some(context.caller.id));
    case.sign_as_caller(context, (SubjectKind::Exception, id), act::RAISE_EXCEPTION);
    Ok(id)
}

/// Somebody has seen it and owns it now.
pub fn acknowledge(case: &mut Case, context: &Context, id: Uuid) -> Result<(), Refusal> {
    let (exception, decision) = judged(case, context, id, "acknowledge", Acknowledged)?;
    take(case, context, id, &decision, |row| {
        (row.acknowledged_by, row.acknowledged_at, row.owner) = (Some(context.caller.id), Some(context.at), Some(context.caller.id));
    });
    case.sign_as_caller(context, (SubjectKind::Exception, exception.id), act::ACKNOWLEDGE_EXCEPTION);
    Ok(())
}

/// Closes it with a reason and a narrative, by somebody who signed nothing of its subject.
pub fn resolve(case: &mut Case, context: &Context, id: Uuid, reason: ReasonCode, text: &str, waive: bool) -> Result<(), Refusal> {
    let (verb, to) = if waive { ("waive", Waived) } else { ("resolve", Resolved) };
    let (exception, decision) = judged(case, context, id, verb, to)?;
    let narrative = narrative(text, "/resolution_note")?;
    if parties(case.dossier(), &exception).contains(&context.caller.id) {
        let detail = format!(
            "{} ({}) signed a part of what this exception is about",
            context.caller.name, context.caller.employee_no
        );
        return Err(Refusal::segregation("resolver_is_independent", context.caller.id, detail));
    }
    if waive && reason == ReasonCode::ReferredToInvestigation {
        return Err(Refusal::invalid(
            "/waive",
            "what is referred to investigation stays unresolved and cannot be waived",
        ));
    }
    case.sign_as_caller(context, (SubjectKind::Exception, id), act::RESOLVE_EXCEPTION);
    if reason == ReasonCode::ReferredToInvestigation {
        return refer(case, context, &exception, &narrative);
    }
    take(case, context, id, &decision, |row| {
        (row.reason_code, row.resolution_note) = (Some(reason), Some(narrative.clone()));
        (row.resolved_by, row.resolved_at) = (Some(context.caller.id), Some(context.at));
    });
    if decision.to() == Waived {
        let_go(case, &exception);
    }
    let (session_id, table_id, category) = (case.session().id, case.session().table_id, exception.category);
    case.tell(Event::ExceptionResolved {
        exception_id: id,
        session_id,
        table_id,
        category,
        status: decision.to(),
    });
    Ok(())
}

/// What compliance gives up, the floor gives up: a lost box leaves the table, so that the next session can have another.
fn let_go(case: &mut Case, exception: &Exception) {
    let own = case.session().drop_box_id;
    let lost = exception.category == Category::DropMissing && !case.is_finalized();
    let dossier = case.dossier_mut();
    for drop_box in dossier.floor.boxes.iter_mut().filter(|drop_box| lost && Some(drop_box.id) == own) {
        crate::session::place(drop_box, None);
    }
}

/// A waived count stands for every session with a slip in the box. `others` are their cases.
pub fn spread_waiver(own: &Case, others: &mut [Case], id: Uuid) {
    let Some(waived) = own
        .dossier()
        .exception(id)
        .filter(|row| row.status == Waived && row.category == Category::CountOverdue)
    else {
        return;
    };
    for drop in others.iter_mut().flat_map(|case| case.dossier_mut().drops.iter_mut()) {
        if drop.id.to_string() == waived.subject_id {
            drop.count_waived = true;
        }
    }
}

/// Referred to investigation: said and owned, and it goes on blocking.
fn refer(case: &mut Case, context: &Context, exception: &Exception, narrative: &str) -> Result<(), Refusal> {
    let note = |row: &mut Exception| {
        (row.reason_code, row.resolution_note) = (Some(ReasonCode::ReferredToInvestigation), Some(narrative.to_owned()));
        row.owner = Some(context.caller.id);
    };
    match MACHINE.edge(Some(exception.status), "acknowledge") {
        None => rewrite(case, exception.id, note),
        Some(edge) => {
            let decision = decide(edge, &case.scene(context))?;
            take(case, context, exception.id, &decision, |row| {
                note(row);
                (row.acknowledged_by, row.acknowledged_at) = (Some(context.caller.id), Some(context.at));
            });
        }
    }
    Ok(())
}

fn judged(
    case: &Case,
    context: &Context,
    id: Uuid,
    verb: &str,
    to: ExceptionStatus,
) -> Result<(Exception, Decision<ExceptionStatus>), Refusal> {
    let exception = case
        .dossier()
        .exceptions
        .iter()
        .find(|exception| exception.id == id)
        .ok_or(Refusal::NotFound("exception"))?;
    if !exception.status.is_unresolved() {
        return Err(Refusal::conflict(
            "already_resolved",
            format!("the exception is {}", exception.status),
        ));
    }
    let edge = MACHINE
        .edge(Some(exception.status), verb)
        .ok_or_else(|| MACHINE.illegal(exception.status, to, "there is no such edge"))?;
    let decision = decide(
        edge,
        &Scene {
            exception: Some(exception),
            ..case.scene(context)
        },
    )?;
    Ok((exception.clone(), decision))
}

/// The only place an exception's status changes.
fn take(case: &mut Case, _: &Context, id: Uuid, decision: &Decision<ExceptionStatus>, write: impl Fn(&mut Exception)) {
    rewrite(case, id, |row| {
        row.status = decision.to();
        write(row);
    });
}

pub(crate) fn rewrite(case: &mut Case, id: Uuid, write: impl Fn(&mut Exception)) {
    for row in case.dossier_mut().exceptions.iter_mut().filter(|row| row.id == id) {
        write(row);
        row.version += 1;
    }
}

/// Everybody who signed something of what an exception is about: none of them may judge it.
pub(crate) fn parties(dossier: &Dossier, exception: &Exception) -> BTreeSet<Uuid> {
    let subject = Uuid::parse_str(&exception.subject_id).ok();
    let mut parties: BTreeSet<Uuid> = exception.detected_by.into_iter().collect();
    match exception.subject_kind {
        SubjectKind::Drop => parties.extend(subject.map(|drop| drop_parties(dossier, drop)).unwrap_or_default()),
        SubjectKind::Document => {
            let drop = exception.subject_id.split(':').next().and_then(|drop| Uuid::parse_str(drop).ok());
            parties.extend(drop.map(|drop| drop_parties(dossier, drop)).unwrap_or_default());
        }
        SubjectKind::Session => parties.extend(session_parties(dossier, exception.category)),
        // Raised by hand: whoever raised it. To acknowledge it or judge it makes nobody a party.
        SubjectKind::Exception => {}
        SubjectKind::Snapshot | SubjectKind::Slip | SubjectKind::Report | SubjectKind::SoftCount => {
            parties.extend(subject.map(|subject| dossier.signers_of(subject)).unwrap_or_default());
            parties.extend(
                subject
                    .and_then(|id| dossier.slip(id))
                    .map(|slip| dossier.parties_of(slip))
                    .unwrap_or_default(),
            );
        }
    }
    parties
}

fn drop_parties(dossier: &Dossier, drop_id: Uuid) -> BTreeSet<Uuid> {
    let mut parties = dossier.signers_of(drop_id);
    if let Some(drop) = dossier.drop_event(drop_id) {
        parties.extend(
            [Some(drop.removed_by), Some(drop.witnessed_by), drop.delivered_by, drop.received_by]
                .into_iter()
                .flatten(),
        );
    }
    for count in dossier.counts.iter().filter(|count| count.drop_event_id == drop_id) {
        parties.insert(count.counted_by);
        parties.extend(&count.team);
    }
    parties
}

/// An exception about the whole session is about its counts: those who signed them are its parties.
fn session_parties(dossier: &Dossier, category: Category) -> BTreeSet<Uuid> {
    let of = |kind: SnapshotKind| {
        let counts = dossier.snapshots.iter().filter(move |snapshot| snapshot.kind == kind);
        counts
            .flat_map(|snapshot| [Some(snapshot.counted_by), snapshot.verified_by])
            .flatten()
            .collect::<BTreeSet<_>>()
    };
    match category {
        Category::OpeningVariance => of(SnapshotKind::Open),
        Category::ParVariance => of(SnapshotKind::Close),
        Category::MissingClosingSnapshot | Category::OpenRatingSlips => {
            of(SnapshotKind::Close).into_iter().chain(dossier.session.closed_by).collect()
        }
        Category::MissingSlip
        | Category::UnexpectedSlip
        | Category::SlipAmountMismatch
        | Category::DuplicateSlipNo
        | Category::VoidMisuse
        | Category::SlipNumberGap
        | Category::CountVariance
        | Category::DropOutOfSchedule
        | Category::CustodyGap
        | Category::SealMismatch
        | Category::DropMissing
        | Category::CountOverdue
        | Category::UnverifiedSlip
        | Category::LateEvent
        | Category::HoldDeviation
        | Category::TelemetryVariance
        | Category::Manual => of(SnapshotKind::Open).into_iter().chain(of(SnapshotKind::Close)).collect(),
    }
}
