//! Soft counts: what a box really held (domain §8). A count settles every session that has a slip in the box.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::act;
use crate::case::{Case, Context, MAX_TEXT};
use crate::chipset::{Chipset, RawChipset};
use crate::custody::{late, update};
use crate::drop_box::MACHINE;
use crate::event::Event;
use crate::machine::{Scene, decide};
use crate::manifest;
use crate::money::MAX_CENTS;
use crate::record::{Document, Drop, EvidenceManifest, ManifestItem, Slip, SoftCount, Staff};
use crate::refusal::{Flaw, Refusal, flawless};
use crate::role::Role;
use crate::word::{CountStanding, Custody, DocumentKind, SlipStatus, Status, SubjectKind};

/// The most papers one box may be said to hold: far beyond any table's day.
pub const MAX_DOCUMENTS: usize = 1000;
/// The largest team: what a casino may ask for, too.
pub const MAX_TEAM: i32 = 50;

/// What the count room sends.
#[derive(Clone, Debug)]
pub struct Count {
    pub drop_total_cents: i64,
    pub count_1_cents: i64,
    pub count_2_cents: i64,
    pub agreed_cents: Option<i64>,
    pub team: Vec<Uuid>,
    pub counted_at: Option<DateTime<Utc>>,
    pub currency: RawChipset,
    pub documents: Vec<Document>,
    pub batch_ref: Option<String>,
    pub supersedes_id: Option<Uuid>,
}

/// Records a count of one removal. `cases[main]` is the removal's own session; the others have a slip in the box, or a slip
/// among the papers found. `people` are the team's staff rows, `elsewhere` the casino's slips with the numbers found.
pub fn submit(
    cases: &mut [Case],
    main: usize,
    context: &Context,
    drop_id: Uuid,
    given: &Count,
    people: &[Staff],
    elsewhere: &[Slip],
) -> Result<Uuid, Refusal> {
    let case = &cases[main];
    let drop = case.dossier().drop_event(drop_id).ok_or(Refusal::NotFound("drop"))?.clone();
    let edge = MACHINE
        .edge(Some(Custody::Received), "count")
        .ok_or(Refusal::NotFound("transition"))?;
    decide(
        edge,
        &Scene {
            drop: Some(&drop),
            ..case.scene(context)
        },
    )?;
    supersedes(case, drop_id, given)?;
    let manifest = admit(context, given)?;
    team(cases, context, &drop, given, people)?;
    let standing = standing(case, &drop, given)?;
    let counted_at = context.time(given.counted_at, "/counted_at", drop.received_at.map(|at| (at, "the receipt")))?;
    let expected = manifest::expected(case.dossier(), &drop);
    let count = SoftCount {
        id: (context.new_id)(),
        casino_id: context.casino.id,
        session_id: drop.session_id,
        drop_event_id: drop_id,
        standing,
        drop_total_cents: given.drop_total_cents,
        count_1_cents: given.count_1_cents,
        count_2_cents: given.count_2_cents,
        agreed_cents: given.agreed_cents,
        manifest: assigned(manifest::compare(expected, &manifest.documents, elsewhere, &drop), cases, &drop),
        evidence_manifest: manifest,
        team: given.team.clone(),
        counted_at,
        counted_by: context.caller.id,
        batch_ref: given.batch_ref.clone(),
        supersedes_id: given.supersedes_id,
        created_at: context.at,
    };
    Ok(record(cases, main, context, &drop, &count))
}

/// A finding belongs to the slip's own session; where that one is FINALIZED, to the session whose box it lay in.
fn assigned(mut items: Vec<ManifestItem>, cases: &[Case], drop: &Drop) -> Vec<ManifestItem> {
    for item in &mut items {
        if cases
            .iter()
            .any(|case| case.is_finalized() && Some(case.session().id) == item.session_id)
        {
            item.session_id = Some(drop.session_id);
        }
    }
    items
}

/// A count stands until a recount supersedes it, by name.
fn supersedes(case: &Case, drop_id: Uuid, given: &Count) -> Result<(), Refusal> {
    let standing = case.dossier().standing_count(drop_id).map(|count| count.id);
    match (standing, given.supersedes_id) {
        (standing, named) if standing == named => Ok(()),
        (Some(standing), None) => Err(Refusal::conflict(
            "already_counted",
            format!("count {standing} stands; a recount names it in supersedes_id"),
        )),
        (Some(_) | None, _) => Err(Refusal::invalid("/supersedes_id", "not the count that stands for this box")),
    }
}

/// The figures hold together: currency and markers are the total, and every paper has what its kind needs.
fn admit(context: &Context, given: &Count) -> Result<EvidenceManifest, Refusal> {
    let mut flaws = Vec::new();
    let amounts = [
        ("/drop_total_cents", Some(given.drop_total_cents)),
        ("/count_1_cents", Some(given.count_1_cents)),
        ("/count_2_cents", Some(given.count_2_cents)),
        ("/agreed_cents", given.agreed_cents),
    ];
    for (pointer, amount) in amounts {
        flaws.extend(amount.and_then(|amount| amount_flaw(pointer, amount)));
    }
    flaws.extend(documents_flaws(&given.documents));
    if given
        .batch_ref
        .as_ref()
        .is_some_and(|text| text.chars().count() > 200 || text.contains('\0'))
    {
        flaws.push(Flaw::new("/batch_ref", "longer than 200 characters"));
    }
    let smallest = usize::try_from(context.casino.min_count_team).unwrap_or(usize::MAX);
    if given.team.iter().collect::<BTreeSet<_>>().len() < smallest.max(2) {
        flaws.push(Flaw::new(
            "/team",
            format!("a count team is at least {} different people", smallest.max(2)),
        ));
    } else if given.team.iter().collect::<BTreeSet<_>>().len() != given.team.len() {
        flaws.push(Flaw::new("/team", "names somebody twice"));
    }
    if i32::try_from(given.team.len()).is_ok_and(|members| members > MAX_TEAM) {
        flaws.push(Flaw::new("/team", format!("more than {MAX_TEAM} people")));
    }
    match Chipset::admit_currency(&given.currency, "/evidence_manifest/currency") {
        Err(found) => flaws.extend(found),
        Ok(currency) if flaws.is_empty() => flaws.extend(sum_flaw(given, currency.total_cents())),
        Ok(_) => {}
    }
    flawless(flaws)?;
    let documents = given.documents.iter().map(|paper| Document {
        // A space around a number is nobody's number.
        number: paper
            .number
            .as_deref()
            .map(str::trim)
            .filter(|number| !number.is_empty())
            .map(ToOwned::to_owned),
        ..paper.clone()
    });
    Ok(EvidenceManifest {
        currency: given.currency.without_zeros(),
        documents: documents.collect(),
    })
}

fn amount_flaw(pointer: &str, amount: i64) -> Option<Flaw> {
    (!(0..=MAX_CENTS).contains(&amount)).then(|| Flaw::new(pointer, "an amount in cents, not negative"))
}

fn documents_flaws(documents: &[Document]) -> Vec<Flaw> {
    if documents.len() > MAX_DOCUMENTS {
        return vec![Flaw::new(
            "/evidence_manifest/documents",
            format!("more than {MAX_DOCUMENTS} documents"),
        )];
    }
    let mut flaws = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let at = |field: &str| format!("/evidence_manifest/documents/{index}/{field}");
        flaws.extend(amount_flaw(&at("amount_cents"), document.amount_cents));
        let number = document.number.as_deref().map(str::trim).unwrap_or_default();
        if manifest::slip_kind(document.kind).is_some() && number.is_empty() {
            flaws.push(Flaw::new(at("number"), "a slip has a number"));
        }
        if number.len() > 64 || number.contains('\0') {
            flaws.push(Flaw::new(at("number"), "longer than 64 characters"));
        }
        if document
            .note
            .as_ref()
            .is_some_and(|note| note.chars().count() > MAX_TEXT || note.contains('\0'))
        {
            flaws.push(Flaw::new(at("note"), format!("longer than {MAX_TEXT} characters")));
        }
    }
    flaws
}

/// Currency and markers are value; no other paper is (domain §8).
fn sum_flaw(given: &Count, currency_cents: i64) -> Option<Flaw> {
    let markers: i64 = given
        .documents
        .iter()
        .filter(|paper| paper.kind == DocumentKind::Marker)
        .map(|paper| paper.amount_cents)
        .sum();
    let sum = currency_cents.saturating_add(markers);
    (sum != given.drop_total_cents).then(|| {
        Flaw::new(
            "/drop_total_cents",
            format!("currency and markers add up to {sum} cents, not {}", given.drop_total_cents),
        )
    })
}

/// Nobody counts what they signed: no slip, no snapshot, no removal of the sessions in the box (WAC 230-15-610).
fn team(cases: &[Case], context: &Context, drop: &Drop, given: &Count, people: &[Staff]) -> Result<(), Refusal> {
    for id in given.team.iter().chain([&context.caller.id]) {
        let Some(person) = people.iter().chain([&context.caller]).find(|person| person.id == *id) else {
            return Err(Refusal::NotFound("staff"));
        };
        if person.role == Role::System {
            return Err(Refusal::forbidden(act::SUBMIT_COUNT.who, "the daemon itself counts nothing"));
        }
        // A file brings many boxes: only the sessions in this one concern its team.
        if cases
            .iter()
            .filter(|case| is_in(case, drop))
            .any(|case| signed_what_is_counted(case, *id))
        {
            let detail = format!(
                "{} ({}) signed a slip, a tray count or a removal of a session in this box",
                person.name, person.employee_no
            );
            return Err(Refusal::segregation("counter_is_independent", *id, detail));
        }
    }
    Ok(())
}

fn signed_what_is_counted(case: &Case, staff: Uuid) -> bool {
    let removals = [act::REMOVE_BOX.name, act::WITNESS_REMOVAL.name];
    if case
        .dossier()
        .slips
        .iter()
        .any(|slip| case.dossier().parties_of(slip).contains(&staff))
    {
        return true;
    }
    case.dossier()
        .own_signatures()
        .filter(|signature| signature.staff_id == staff)
        .any(|signature| match signature.subject_kind {
            SubjectKind::Slip | SubjectKind::Snapshot => true,
            SubjectKind::Drop => removals.contains(&signature.act.as_str()),
            SubjectKind::Session | SubjectKind::Document | SubjectKind::Exception | SubjectKind::Report | SubjectKind::SoftCount => false,
        })
}

/// Two counts that differ are accepted only with a third, agreed, which is the total; otherwise the count is disputed,
/// and once the session was counted a disputed recount cannot take an accepted one's place.
fn standing(case: &Case, drop: &Drop, given: &Count) -> Result<CountStanding, Refusal> {
    if given.count_1_cents == given.count_2_cents {
        if given.agreed_cents.is_some_and(|agreed| agreed != given.count_1_cents) {
            return Err(Refusal::invalid("/agreed_cents", "both counts agree on another amount"));
        }
        return if given.drop_total_cents == given.count_1_cents {
            Ok(CountStanding::Accepted)
        } else {
            Err(Refusal::invalid("/drop_total_cents", "both counts agree on another amount"))
        };
    }
    match given.agreed_cents {
        Some(agreed) if agreed == given.drop_total_cents => Ok(CountStanding::Accepted),
        Some(_) => Err(Refusal::invalid("/agreed_cents", "the agreed amount is the drop total")),
        None if given.supersedes_id.is_some() && (is_counted(case) || drop.counted_at.is_some()) => Err(Refusal::invalid(
            "/agreed_cents",
            "a recount of a counted box must be accepted: the two counts differ and no third is agreed",
        )),
        None => Ok(CountStanding::Disputed),
    }
}

fn is_counted(case: &Case) -> bool {
    match case.session().status {
        Status::Counted | Status::Reconciled | Status::Finalized => true,
        Status::ReadyToOpen
        | Status::Opening
        | Status::Open
        | Status::DropScheduled
        | Status::Dropped
        | Status::Closing
        | Status::Closed => false,
    }
}

/// Writes the count into every case it concerns: each of them is judged on it.
fn record(cases: &mut [Case], main: usize, context: &Context, drop: &Drop, count: &SoftCount) -> Uuid {
    let (id, accepted) = (count.id, count.standing == CountStanding::Accepted);
    for case in cases.iter_mut() {
        if accepted {
            let at = context.at;
            update(case, drop.id, |drop| drop.counted_at = drop.counted_at.or(Some(at)));
        }
        if concerns(case, drop, count) {
            case.dossier_mut().counts.push(count.clone());
            late(case, context, drop.id, &format!("count {id}"));
        }
    }
    let case = &mut cases[main];
    if accepted {
        for drop_box in &mut case.dossier_mut().floor.boxes {
            if drop_box.id == drop.drop_box_id && drop_box.use_no == drop.drop_box_use {
                drop_box.use_no += 1;
                drop_box.version += 1;
            }
        }
    }
    case.sign_as_caller(context, (SubjectKind::SoftCount, id), act::SUBMIT_COUNT);
    case.tell(Event::DropCounted {
        session_id: drop.session_id,
        table_id: drop.table_id,
        drop_box_id: drop.drop_box_id,
        drop_event_id: drop.id,
        soft_count_id: id,
        accepted,
    });
    id
}

/// The session the box was removed from, or one with a slip in it.
fn is_in(case: &Case, drop: &Drop) -> bool {
    let holds = |slip: &Slip| {
        slip.status == SlipStatus::DepositedInDropbox
            && slip.drop_box_id == Some(drop.drop_box_id)
            && slip.drop_box_use == Some(drop.drop_box_use)
    };
    case.session().id == drop.session_id || case.dossier().slips.iter().any(holds)
}

/// A session is in the box, or a slip of it was found there, by this count or by one before it.
fn concerns(case: &Case, drop: &Drop, count: &SoftCount) -> bool {
    is_in(case, drop)
        || case.dossier().counts.iter().any(|before| before.drop_event_id == drop.id)
        || count.manifest.iter().any(|item| item.session_id == Some(case.session().id))
}
