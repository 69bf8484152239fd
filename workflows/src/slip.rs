//! Fills and credits: one machine for both (domain §6).

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use crate::act;
use crate::case::{Case, Context, Cosigner, narrative, note};
use crate::chipset::{Chipset, RawChipset};
use crate::event::Event;
use crate::exception::{self, Finding};
use crate::gates::{credit_received, drop_box_present};
use crate::machine::{Decision, Edge, Machine, Scene, decide};
use crate::record::{ManualRange, Slip, Staff};
use crate::refusal::Refusal;
use crate::role::{Department, Role};
use crate::word::SlipStatus::{Cancelled, DepositedInDropbox, Issued, Requested, VerifiedAtTable, Voided};
use crate::word::{BankMode, Category, CloseReason, Method, SlipKind, SlipPurpose, SlipScope, SlipStatus, Status, SubjectKind, Trigger};

const fn edge(
    verb: &'static str,
    from: Option<SlipStatus>,
    to: SlipStatus,
    who: &'static [Role],
    gates: &'static [&'static crate::machine::Gate],
) -> Edge<SlipStatus> {
    Edge {
        verb,
        from,
        to,
        trigger: Trigger::Command,
        who,
        gates,
    }
}

/// Every edge of a slip.
pub const MACHINE: Machine<SlipStatus> = Machine {
    name: "slip",
    states: <SlipStatus as strum::VariantArray>::VARIANTS,
    edges: &[
        edge(
            "request",
            None,
            Requested,
            &[Role::PitBoss, Role::Admin],
            &[&drop_box_present::GATE],
        ),
        edge("enter_offline", None, Issued, &[Role::Cashier, Role::Admin], &[]),
        edge("issue", Some(Requested), Issued, &[Role::Cashier, Role::Admin], &[]),
        edge("verify", Some(Issued), VerifiedAtTable, &[Role::PitBoss, Role::Admin], &[]),
        edge(
            "deposit",
            Some(VerifiedAtTable),
            DepositedInDropbox,
            &[Role::PitBoss, Role::Admin],
            &[&credit_received::GATE, &drop_box_present::GATE],
        ),
        edge("cancel", Some(Requested), Cancelled, &[Role::PitBoss, Role::Admin], &[]),
        edge("void", Some(Issued), Voided, &[Role::Cashier, Role::Admin], &[]),
        edge("void", Some(VerifiedAtTable), Voided, &[Role::PitBoss, Role::Admin], &[]),
    ],
};

/// Later slip steps and voids: OPEN … CLOSED (domain §4).
const LATER_STEPS: &[Status] = &[
    Status::Open,
    Status::DropScheduled,
    Status::Dropped,
    Status::Counted,
    Status::Closing,
    Status::Closed,
];

/// The longest request id a client may choose.
const MAX_REQUEST_ID: usize = 200;

/// What a pit boss asks for.
#[derive(Clone, Debug)]
pub struct Request {
    pub kind: SlipKind,
    pub request_id: String,
    pub chipset: RawChipset,
    pub purpose: SlipPurpose,
    pub replaces_slip_id: Option<Uuid>,
    pub note: Option<String>,
}

/// The number the server gives a slip, with the series it belongs to.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct SlipNumber {
    pub slip_scope: SlipScope,
    pub scope_key: String,
    pub slip_no: i64,
    /// Numbers below it that nothing accounts for: of manual ranges closed with numbers unused, and not yet told.
    #[serde(default)]
    pub gaps: Vec<i64>,
}

/// A step of a slip's way.
#[derive(Clone, Debug)]
pub enum Step<'a> {
    Issue {
        runner: &'a Staff,
        number: &'a SlipNumber,
    },
    Verify {
        dealer: &'a Cosigner,
        chipset: Option<RawChipset>,
        note: Option<String>,
    },
    Deposit,
    Void {
        reason: String,
        cosigner: &'a Cosigner,
    },
    Cancel {
        reason: String,
    },
}

impl Step<'_> {
    fn to(&self) -> SlipStatus {
        match self {
            Self::Issue { .. } => Issued,
            Self::Verify { .. } => VerifiedAtTable,
            Self::Deposit => DepositedInDropbox,
            Self::Void { .. } => Voided,
            Self::Cancel { .. } => Cancelled,
        }
    }
}

/// Asks for a fill or a credit (∅ → REQUESTED).
pub fn request(case: &mut Case, context: &Context, ask: &Request) -> Result<Uuid, Refusal> {
    request_state(case, ask.purpose)?;
    let edge = MACHINE.edge(None, "request").ok_or(Refusal::NotFound("transition"))?;
    decide(edge, &case.scene(context))?;
    let slip = Slip {
        requested_by: context.caller.id,
        ..blank(case, context, ask)?
    };
    let id = slip.id;
    case.sign_as_caller(context, (SubjectKind::Slip, id), act::REQUEST_SLIP);
    case.tell(requested(&slip));
    case.tell(advanced(&slip, None));
    case.dossier_mut().slips.push(slip);
    Ok(id)
}

/// While the table is in play; in CLOSING only the restore to par (domain §6).
fn request_state(case: &Case, purpose: SlipPurpose) -> Result<(), Refusal> {
    match (purpose, case.session().bank_mode) {
        (SlipPurpose::Normal, _) => case.expect_status(
            &[Status::Open, Status::DropScheduled, Status::Dropped, Status::Counted],
            "a slip request that is no par restore",
        ),
        (SlipPurpose::ParRestore, BankMode::ImprestToPar) => case.expect_status(&[Status::Closing], "a par restore"),
        (SlipPurpose::ParRestore, BankMode::InventoryCount) => Err(Refusal::invalid(
            "/purpose",
            "only an imprest bank is restored to par; this session's bank mode is INVENTORY_COUNT",
        )),
    }
}

fn blank(case: &Case, context: &Context, ask: &Request) -> Result<Slip, Refusal> {
    if ask.request_id.is_empty() || ask.request_id.len() > MAX_REQUEST_ID || !ask.request_id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::invalid("/request_id", "1 to 200 visible ASCII characters"));
    }
    let chipset = Chipset::admit(&ask.chipset, &context.casino.denominations_cents, "/chipset").map_err(Refusal::Invalid)?;
    let amount_cents = chipset.total_cents();
    if amount_cents == 0 {
        return Err(Refusal::invalid("/chipset", "a slip moves at least one chip"));
    }
    replaced(case, ask)?;
    Ok(Slip {
        id: (context.new_id)(),
        casino_id: context.casino.id,
        session_id: case.session().id,
        table_id: case.session().table_id,
        kind: ask.kind,
        purpose: ask.purpose,
        request_id: ask.request_id.clone(),
        status: Requested,
        chipset,
        amount_cents,
        note: note(ask.note.as_deref(), "/note")?,
        replaces_slip_id: ask.replaces_slip_id,
        slip_scope: None,
        scope_key: None,
        slip_no: None,
        requested_by: context.caller.id,
        requested_at: context.at,
        issued_by: None,
        issued_at: None,
        runner_id: None,
        dealer_id: None,
        verified_by: None,
        verified_at: None,
        confirmed_chipset: None,
        confirmed_amount_cents: None,
        confirmed_note: None,
        cage_received_by: None,
        cage_received_at: None,
        cage_amount_cents: None,
        deposited_by: None,
        deposited_at: None,
        drop_box_id: None,
        drop_box_use: None,
        voided_by: None,
        voided_at: None,
        void_cosigned_by: None,
        void_reason: None,
        voided_from: None,
        cancelled_by: None,
        cancelled_at: None,
        cancel_reason: None,
        captured_offline: false,
        entered_by: None,
        entered_at: None,
        version: 1,
        created_at: context.at,
    })
}

/// A replacement names a voided slip of its own session and kind.
fn replaced(case: &Case, ask: &Request) -> Result<(), Refusal> {
    let Some(id) = ask.replaces_slip_id else {
        return Ok(());
    };
    // A slip voided after a rollover belongs to the session before; its chips change this tray now.
    let before = case.dossier().foreign_slips.iter().find(|slip| slip.id == id);
    let replaced = case.dossier().slip(id).or(before).ok_or(Refusal::NotFound("slip"))?;
    if replaced.status == Voided && replaced.kind == ask.kind {
        return Ok(());
    }
    Err(Refusal::invalid(
        "/replaces_slip_id",
        format!(
            "a replacement names a voided {}; this {} is {}",
            ask.kind, replaced.kind, replaced.status
        ),
    ))
}

/// Takes a slip one step further.
pub fn advance(case: &mut Case, context: &Context, id: Uuid, step: &Step<'_>) -> Result<(), Refusal> {
    let slip = case.dossier().slip(id).ok_or(Refusal::NotFound("slip"))?.clone();
    let Some(edge) = MACHINE.edges_from(Some(slip.status)).find(|edge| edge.to == step.to()) else {
        return Err(MACHINE.illegal(slip.status, step.to(), format!("slip {id} is {}", slip.status)));
    };
    case.expect_status(LATER_STEPS, "a slip step")?;
    let decision = decide(
        edge,
        &Scene {
            slip: Some(&slip),
            ..case.scene(context)
        },
    )?;
    let mut next = slip.clone();
    match step {
        Step::Issue { runner, number } => issue(case, context, &mut next, runner, number)?,
        Step::Verify { dealer, chipset, note } => verify(case, context, &mut next, dealer, chipset.as_ref(), note.as_deref())?,
        Step::Deposit => deposit(case, context, &mut next),
        Step::Void { reason, cosigner } => void(case, context, &mut next, reason, cosigner)?,
        Step::Cancel { reason } => {
            (next.cancelled_by, next.cancelled_at) = (Some(context.caller.id), Some(context.at));
            next.cancel_reason = Some(narrative(reason, "/reason")?);
            case.sign_as_caller(context, (SubjectKind::Slip, id), act::CANCEL_SLIP);
        }
    }
    take(case, next, &slip, &decision);
    Ok(())
}

/// The only place a slip's status changes.
fn take(case: &mut Case, mut next: Slip, before: &Slip, decision: &Decision<SlipStatus>) {
    next.status = decision.to();
    next.version = before.version + 1;
    case.tell(advanced(&next, Some(before.status)));
    if next.status == VerifiedAtTable && next.kind == SlipKind::Fill {
        case.tell(Event::FillCompleted {
            table_id: next.table_id,
            request_id: next.request_id.clone(),
            amount_cents: next.counted_cents(),
            delivered_by: next.runner_id,
            received_by: next.dealer_id,
        });
    }
    replace(case, &next);
}

fn replace(case: &mut Case, next: &Slip) {
    for slip in case.dossier_mut().slips.iter_mut().filter(|slip| slip.id == next.id) {
        *slip = next.clone();
    }
}

fn issue(case: &mut Case, context: &Context, slip: &mut Slip, runner: &Staff, number: &SlipNumber) -> Result<(), Refusal> {
    series_open(context, slip.kind)?;
    differ(
        "issuer_is_not_requester",
        &context.caller,
        &[slip.requested_by],
        "requested this slip and cannot issue it",
    )?;
    may_carry(runner, &[slip.requested_by, context.caller.id])?;
    (slip.issued_by, slip.issued_at, slip.runner_id) = (Some(context.caller.id), Some(context.at), Some(runner.id));
    number_slip(slip, number);
    for gap in &number.gaps {
        exception::raise(
            case,
            context,
            unaccounted(slip.kind, &number.scope_key, *gap, Some(number.slip_no)),
            None,
        );
    }
    case.sign_as_caller(context, (SubjectKind::Slip, slip.id), act::ISSUE_SLIP);
    case.sign(context, (SubjectKind::Slip, slip.id), act::CARRY_SLIP, runner, Method::Named);
    Ok(())
}

/// A number of the series neither used nor void: told on the session of the next number used (465a.3(c)).
pub(crate) fn unaccounted(kind: SlipKind, scope_key: &str, gap: i64, next_slip_no: Option<i64>) -> Finding {
    let subject = format!("{kind}:{scope_key}:{gap}");
    Finding {
        detail: serde_json::json!({ "kind": kind, "scope_key": scope_key, "slip_no": gap, "next_slip_no": next_slip_no }),
        ..Finding::new(Category::SlipNumberGap, SubjectKind::Document, subject)
    }
}

/// A closed series gives no number, also where it was open when the table opened.
fn series_open(context: &Context, kind: SlipKind) -> Result<(), Refusal> {
    let open = match kind {
        SlipKind::Fill => context.casino.fill_series_open,
        SlipKind::Credit => context.casino.credit_series_open,
    };
    if open {
        Ok(())
    } else {
        Err(Refusal::conflict(
            "series_closed",
            format!("the {kind} series is closed; an admin opens it"),
        ))
    }
}

fn number_slip(slip: &mut Slip, number: &SlipNumber) {
    slip.slip_scope = Some(number.slip_scope);
    slip.scope_key = Some(number.scope_key.clone());
    slip.slip_no = Some(number.slip_no);
}

/// The carrier works in security: never in the cage, never in table games (13 Miss. 7-8.3).
fn may_carry(runner: &Staff, others: &[Uuid]) -> Result<(), Refusal> {
    if runner.role.department() != Department::Security {
        let detail = format!(
            "{} ({}) is {}; a runner is of security",
            runner.name, runner.employee_no, runner.role
        );
        return Err(Refusal::segregation("runner_is_security", runner.id, detail));
    }
    differ(
        "runner_is_independent",
        runner,
        others,
        "requested or issued this slip and cannot carry it",
    )
}

fn verify(
    case: &mut Case,
    context: &Context,
    slip: &mut Slip,
    dealer: &Cosigner,
    chipset: Option<&RawChipset>,
    remark: Option<&str>,
) -> Result<(), Refusal> {
    let Cosigner(dealer) = dealer;
    if dealer.role != Role::Dealer {
        return Err(Refusal::forbidden(
            &[Role::Dealer],
            format!("{} is {}; a dealer counts the chips at the table", dealer.name, dealer.role),
        ));
    }
    let carried: Vec<Uuid> = [slip.issued_by, slip.runner_id].into_iter().flatten().collect();
    differ(
        "four_people_on_a_slip",
        dealer,
        &carried,
        "issued or carried this slip and cannot count it at the table",
    )?;
    differ(
        "four_people_on_a_slip",
        &context.caller,
        &carried,
        "issued or carried this slip and cannot verify it",
    )?;
    differ(
        "four_people_on_a_slip",
        &context.caller,
        &[dealer.id],
        "counted the chips and cannot verify the slip",
    )?;
    let confirmed = match chipset {
        Some(raw) => Chipset::admit(raw, &context.casino.denominations_cents, "/chipset").map_err(Refusal::Invalid)?,
        None => slip.chipset.clone(),
    };
    slip.dealer_id = Some(dealer.id);
    (slip.verified_by, slip.verified_at) = (Some(context.caller.id), Some(context.at));
    slip.confirmed_amount_cents = Some(confirmed.total_cents());
    slip.confirmed_chipset = Some(confirmed);
    slip.confirmed_note = note(remark, "/note")?;
    case.sign(context, (SubjectKind::Slip, slip.id), act::RECEIVE_SLIP, dealer, Method::Pin);
    case.sign_as_caller(context, (SubjectKind::Slip, slip.id), act::VERIFY_SLIP);
    Ok(())
}

/// The copy goes into the box that stands on the table at this moment; its count then settles this session too.
fn deposit(case: &mut Case, context: &Context, slip: &mut Slip) {
    let standing = case.dossier().box_on_table().map(|drop_box| (drop_box.id, drop_box.use_no));
    (slip.drop_box_id, slip.drop_box_use) = standing.unzip();
    (slip.deposited_by, slip.deposited_at) = (Some(context.caller.id), Some(context.at));
    case.sign_as_caller(context, (SubjectKind::Slip, slip.id), act::DEPOSIT_SLIP);
}

fn void(case: &mut Case, context: &Context, slip: &mut Slip, reason: &str, cosigner: &Cosigner) -> Result<(), Refusal> {
    const WITNESSES: &[Role] = &[Role::Security, Role::Cashier, Role::PitBoss, Role::Compliance, Role::Admin];
    let Cosigner(witness) = cosigner;
    if slip.cage_received_at.is_some() {
        let detail = "the cage has received the chips: where chips moved, the remedy is a reversing slip";
        return Err(Refusal::conflict("chips_moved", detail));
    }
    if witness.id == context.caller.id {
        return Err(Refusal::invalid("/cosign/staff_id", "a void needs two different people"));
    }
    if !WITNESSES.contains(&witness.role) {
        return Err(Refusal::forbidden(
            WITNESSES,
            format!("{} is {} and cannot co-sign a void", witness.name, witness.role),
        ));
    }
    let parties: Vec<Uuid> = case.dossier().parties_of(slip).into_iter().collect();
    differ(
        "void_witness_is_independent",
        witness,
        &parties,
        "has a part in this slip and cannot co-sign its void",
    )?;
    slip.void_reason = Some(narrative(reason, "/reason")?);
    slip.voided_from = Some(slip.status);
    (slip.voided_by, slip.voided_at, slip.void_cosigned_by) = (Some(context.caller.id), Some(context.at), Some(witness.id));
    case.sign_as_caller(context, (SubjectKind::Slip, slip.id), act::VOID_SLIP);
    case.sign(context, (SubjectKind::Slip, slip.id), act::WITNESS_VOID, witness, Method::Pin);
    Ok(())
}

/// The cashier counts a credit's chips into the cage and signs: a fact, not a state.
pub fn receive_credit(case: &mut Case, context: &Context, id: Uuid, chipset: Option<&RawChipset>) -> Result<(), Refusal> {
    let mut slip = case.dossier().slip(id).ok_or(Refusal::NotFound("slip"))?.clone();
    if slip.kind != SlipKind::Credit {
        return Err(Refusal::conflict("not_a_credit", "only a credit brings chips to the cage"));
    }
    if let Some(at) = slip.cage_received_at {
        return Err(Refusal::conflict(
            "already_received",
            format!("the cage received the chips at {at}"),
        ));
    }
    if slip.status != VerifiedAtTable {
        return Err(Refusal::WrongState {
            status: slip.status.to_string(),
            allowed: vec![VerifiedAtTable.to_string()],
            detail: "the cage receives a credit after it was verified at the table".to_owned(),
        });
    }
    case.expect_status(LATER_STEPS, "a cage receipt")?;
    let at_table: Vec<Uuid> = [slip.runner_id, slip.dealer_id, slip.verified_by].into_iter().flatten().collect();
    differ(
        "cage_is_not_table",
        &context.caller,
        &at_table,
        "carried, counted or verified this slip and cannot receive it",
    )?;
    let received_cents = match chipset {
        Some(raw) => Chipset::admit(raw, &context.casino.denominations_cents, "/chipset")
            .map_err(Refusal::Invalid)?
            .total_cents(),
        None => slip.counted_cents(),
    };
    (slip.cage_received_by, slip.cage_received_at) = (Some(context.caller.id), Some(context.at));
    slip.cage_amount_cents = Some(received_cents);
    slip.version += 1;
    case.sign_as_caller(context, (SubjectKind::Slip, id), act::RECEIVE_CREDIT);
    case.tell(Event::CreditCompleted {
        table_id: slip.table_id,
        request_id: slip.request_id.clone(),
        amount_cents: slip.counted_cents(),
        sent_by: slip.runner_id,
        received_by: slip.cage_received_by,
    });
    replace(case, &slip);
    Ok(())
}

/// A slip written by hand during an outage.
#[derive(Clone, Debug)]
pub struct OfflineSlip<'a> {
    pub request: Request,
    pub slip_no: i64,
    /// When it was written.
    pub issued_at: DateTime<Utc>,
    pub requester: &'a Cosigner,
    pub runner: &'a Staff,
}

/// Enters a slip written by hand: the number comes from a reserved range, the requester signs by PIN, the caller issues.
/// From ISSUED on it goes the way of every slip (domain §6, OAC 3772-11-12).
pub fn enter_offline(
    case: &mut Case,
    context: &Context,
    entry: &OfflineSlip<'_>,
    ranges: &[ManualRange],
    scopes_taken: &[String],
) -> Result<Uuid, Refusal> {
    case.expect_status(LATER_STEPS, "a slip written by hand")?;
    if case.session().close_reason == Some(CloseReason::Cancelled) {
        return Err(Refusal::conflict(
            "session_cancelled",
            "a cancelled session was never in play: no chips moved",
        ));
    }
    decide(
        MACHINE.edge(None, "enter_offline").ok_or(Refusal::NotFound("transition"))?,
        &case.scene(context),
    )?;
    let Some(range) = reserved(ranges, entry) else {
        return Err(Refusal::invalid("/slip_no", "not a number of an open manual range of this kind"));
    };
    if scopes_taken.contains(&range.scope_key) {
        return Err(Refusal::conflict(
            "number_taken",
            format!("{} slip {} is already entered", entry.request.kind, entry.slip_no),
        ));
    }
    let follows = case.session().activated_at.map(|at| (at, "the opening of the table"));
    let issued_at = context.time(Some(entry.issued_at), "/issued_at", follows)?;
    let Cosigner(requester) = entry.requester;
    if !act::REQUEST_SLIP.may(requester.role) {
        return Err(Refusal::forbidden(
            act::REQUEST_SLIP.who,
            format!("{} is {} and cannot request a slip", requester.name, requester.role),
        ));
    }
    differ(
        "issuer_is_not_requester",
        &context.caller,
        &[requester.id],
        "requested this slip and cannot issue it",
    )?;
    may_carry(entry.runner, &[requester.id, context.caller.id])?;
    let mut slip = blank(case, context, &entry.request)?;
    (slip.requested_by, slip.requested_at) = (requester.id, issued_at);
    (slip.issued_by, slip.issued_at, slip.runner_id) = (Some(context.caller.id), Some(issued_at), Some(entry.runner.id));
    (slip.captured_offline, slip.entered_by, slip.entered_at) = (true, Some(context.caller.id), Some(context.at));
    slip.status = Issued;
    number_slip(
        &mut slip,
        &SlipNumber {
            slip_scope: range.slip_scope,
            scope_key: range.scope_key.clone(),
            slip_no: entry.slip_no,
            gaps: Vec::new(),
        },
    );
    let subject = (SubjectKind::Slip, slip.id);
    case.sign(context, subject, act::REQUEST_SLIP, requester, Method::Pin);
    case.sign_as_caller(context, subject, act::ENTER_SLIP);
    case.sign(context, subject, act::CARRY_SLIP, entry.runner, Method::Named);
    case.tell(requested(&slip));
    case.tell(advanced(&slip, None));
    case.dossier_mut().slips.push(slip);
    Ok(subject.1)
}

/// The range a hand-written number belongs to: of several scopes the latest.
fn reserved<'a>(ranges: &'a [ManualRange], entry: &OfflineSlip<'_>) -> Option<&'a ManualRange> {
    let fitting = ranges.iter().filter(|range| {
        range.kind == entry.request.kind && range.closed_at.is_none() && (range.first_no..=range.last_no).contains(&entry.slip_no)
    });
    fitting.max_by_key(|range| range.created_at)
}

/// The slip as its request was first answered, by the session it was asked of: what a replay of the `request_id` gets again.
pub fn as_requested(slip: &Slip, session_id: Uuid) -> Slip {
    let offline = slip.captured_offline;
    Slip {
        session_id,
        status: if offline { Issued } else { Requested },
        slip_scope: slip.slip_scope.filter(|_| offline),
        scope_key: slip.scope_key.clone().filter(|_| offline),
        slip_no: slip.slip_no.filter(|_| offline),
        issued_by: slip.issued_by.filter(|_| offline),
        issued_at: slip.issued_at.filter(|_| offline),
        runner_id: slip.runner_id.filter(|_| offline),
        dealer_id: None,
        verified_by: None,
        verified_at: None,
        confirmed_chipset: None,
        confirmed_amount_cents: None,
        confirmed_note: None,
        cage_received_by: None,
        cage_received_at: None,
        cage_amount_cents: None,
        deposited_by: None,
        deposited_at: None,
        drop_box_id: None,
        drop_box_use: None,
        voided_by: None,
        voided_at: None,
        void_cosigned_by: None,
        void_reason: None,
        voided_from: None,
        cancelled_by: None,
        cancelled_at: None,
        cancel_reason: None,
        version: 1,
        ..slip.clone()
    }
}

/// A replay of a request asks for the very same.
pub fn is_same_request(slip: &Slip, ask: &Request) -> bool {
    !slip.captured_offline && asks_the_same(slip, ask)
}

/// A replay of a hand-written slip's entry names the very same paper.
pub fn is_same_entry(slip: &Slip, ask: &Request, paper: &Paper) -> bool {
    let written = (slip.slip_no, slip.issued_at, slip.runner_id, slip.requested_by);
    let named = (
        Some(paper.slip_no),
        Some(paper.issued_at.trunc_subsecs(6)),
        Some(paper.runner_id),
        paper.requester_id,
    );
    let in_scope = paper.scope_key.is_none() || paper.scope_key == slip.scope_key;
    slip.captured_offline && written == named && in_scope && asks_the_same(slip, ask)
}

/// What identifies a paper written by hand.
#[derive(Clone, Debug)]
pub struct Paper {
    pub slip_no: i64,
    pub scope_key: Option<String>,
    pub issued_at: DateTime<Utc>,
    pub runner_id: Uuid,
    pub requester_id: Uuid,
}

fn asks_the_same(slip: &Slip, ask: &Request) -> bool {
    let same_chips = serde_json::to_value(&slip.chipset).ok() == serde_json::to_value(ask.chipset.without_zeros()).ok();
    (slip.kind, slip.purpose, slip.replaces_slip_id, &slip.note) == (ask.kind, ask.purpose, ask.replaces_slip_id, &ask.note) && same_chips
}

/// The person is none of the others: segregation by who signed, not by title.
fn differ(rule: &'static str, person: &Staff, others: &[Uuid], detail: &str) -> Result<(), Refusal> {
    if others.contains(&person.id) {
        return Err(Refusal::segregation(
            rule,
            person.id,
            format!("{} ({}) {detail}", person.name, person.employee_no),
        ));
    }
    Ok(())
}

fn requested(slip: &Slip) -> Event {
    let (table_id, request_id, amount_cents, chipset) = (slip.table_id, slip.request_id.clone(), slip.amount_cents, slip.chipset.clone());
    match slip.kind {
        SlipKind::Fill => Event::FillRequested {
            table_id,
            request_id,
            amount_cents,
            chipset,
            requested_by: slip.requested_by,
            slip_no: slip.slip_no.map(|number| number.to_string()),
        },
        SlipKind::Credit => Event::CreditRequested {
            table_id,
            request_id,
            amount_cents,
            chipset,
            authorized_by: slip.requested_by,
        },
    }
}

fn advanced(slip: &Slip, from: Option<SlipStatus>) -> Event {
    Event::SlipAdvanced {
        slip_id: slip.id,
        session_id: slip.session_id,
        table_id: slip.table_id,
        kind: slip.kind,
        from,
        to: slip.status,
    }
}
