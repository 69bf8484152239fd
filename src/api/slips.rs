//! Fills and credits.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use workflows::act::{self, Act};
use workflows::chipset::RawChipset;
use workflows::machine::Taken;
use workflows::record::Slip;
use workflows::refusal::{Flaw, Refusal, flawless};
use workflows::slip::{self, OfflineSlip, Request, Step};
use workflows::word::{SlipKind, SlipPurpose, SlipStatus};

use super::extract::{Id, Keyed, Params, Posted, Reader};
use super::view::{Cosign, SessionView};
use crate::answer::Answer;
use crate::app::App;
use crate::engine::{Command, Desk, Done, Versioned};
use crate::error::Error;
use crate::store::desk::{Ask, Kind, Manual};
use crate::store::list::{Page, Slips, Window};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSlip {
    kind: SlipKind,
    /// The client's own id of the request, unique per casino for ever.
    request_id: String,
    #[schema(value_type = BTreeMap<String, i64>)]
    chipset: RawChipset,
    #[serde(default)]
    purpose: Option<SlipPurpose>,
    /// The voided slip this one stands for.
    #[serde(default)]
    replaces_slip_id: Option<Uuid>,
    #[serde(default)]
    note: Option<String>,
}

impl NewSlip {
    fn request(self) -> Request {
        Request {
            kind: self.kind,
            request_id: self.request_id,
            chipset: self.chipset,
            purpose: self.purpose.unwrap_or(SlipPurpose::Normal),
            replaces_slip_id: self.replaces_slip_id,
            note: self.note,
        }
    }
}

/// What a request came to: a new slip, or the first answer again.
enum Requested {
    New(Uuid),
    Known(Box<Slip>),
}

/// Looked up before any state: the same request is answered as it was, another under its id is a conflict.
fn known(desk: &mut Desk, request_id: &str, is_same: impl Fn(&Slip) -> bool) -> Result<Option<Requested>, Refusal> {
    let session = desk.case("session")?.0.session();
    let (session_id, table_id) = (session.id, session.table_id);
    let Some(slip) = &desk.requested_slip else {
        return Ok(None);
    };
    if slip.table_id == table_id && is_same(slip) {
        return Ok(Some(Requested::Known(Box::new(slip::as_requested(slip, session_id)))));
    }
    Err(Refusal::conflict(
        "request_id_reused",
        format!("request_id {request_id} belongs to another request"),
    ))
}

fn requested(done: &Done<'_, Requested>) -> Answer {
    match &done.value {
        Requested::New(id) => Answer::created(&done.dossier().and_then(|dossier| dossier.slip(*id))).version(1),
        Requested::Known(slip) => Answer {
            replayed: true,
            ..Answer::created(slip).version(1)
        },
    }
}

/// Asks for a fill or a credit.
#[utoipa::path(post, path = "/sessions/{id}/slips", tag = "slips", params(("id" = Uuid, Path)), request_body = NewSlip, responses((status = 201, body = Slip)))]
pub async fn request(State(app): State<App>, Id(id): Id, Keyed(posted): Keyed<NewSlip>) -> Result<Answer, Error> {
    let request = posted.body.request();
    let ask = Ask {
        request_id: Some(request.request_id.clone()),
        ..Ask::about(Kind::Session, id)
    };
    let command = Command {
        act: act::REQUEST_SLIP,
        ask,
        pins: Vec::new(),
        versioned: Versioned::Session,
    };
    let judge = |desk: &mut Desk| {
        if let Some(known) = known(desk, &request.request_id, |slip| slip::is_same_request(slip, &request))? {
            return Ok(known);
        }
        let (case, context) = desk.case("session")?;
        Ok(Requested::New(slip::request(case, context, &request)?))
    };
    app.engine.command(&posted.envelope, &command, judge, requested).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandWrittenSlip {
    kind: SlipKind,
    request_id: String,
    /// A number of a reserved manual range.
    slip_no: i64,
    /// The gaming day or year of the range, where several have the number; else the latest.
    #[serde(default)]
    scope_key: Option<String>,
    #[schema(value_type = BTreeMap<String, i64>)]
    chipset: RawChipset,
    /// When it was written.
    issued_at: DateTime<Utc>,
    /// The pit boss who asked for it.
    #[serde(default)]
    requester: Option<Cosign>,
    runner_id: Uuid,
    #[serde(default)]
    replaces_slip_id: Option<Uuid>,
    #[serde(default)]
    note: Option<String>,
}

/// Enters a slip written by hand during an outage. It continues from ISSUED like any other.
#[utoipa::path(post, path = "/sessions/{id}/slips/offline", tag = "slips", params(("id" = Uuid, Path)), request_body = HandWrittenSlip, responses((status = 201, body = Slip)))]
pub async fn enter_offline(State(app): State<App>, Id(id): Id, Keyed(posted): Keyed<HandWrittenSlip>) -> Result<Answer, Error> {
    let HandWrittenSlip {
        kind,
        request_id,
        slip_no,
        scope_key,
        chipset,
        issued_at,
        requester,
        runner_id,
        replaces_slip_id,
        note,
    } = posted.body;
    let requester = Cosign::required(requester.as_ref(), "/requester")?;
    let request = Request {
        kind,
        request_id,
        chipset,
        purpose: SlipPurpose::Normal,
        replaces_slip_id,
        note,
    };
    let ask = Ask {
        request_id: Some(request.request_id.clone()),
        manual: Some(Manual {
            kind,
            slip_no,
            scope_key: scope_key.clone(),
        }),
        staff: vec![runner_id],
        cosigners: vec![requester.staff_id],
        ..Ask::about(Kind::Session, id)
    };
    let paper = slip::Paper {
        slip_no,
        scope_key,
        issued_at,
        runner_id,
        requester_id: requester.staff_id,
    };
    let command = Command {
        act: act::ENTER_SLIP,
        ask,
        pins: vec![requester.pin()],
        versioned: Versioned::Session,
    };
    let judge = |desk: &mut Desk| {
        if let Some(known) = known(desk, &request.request_id, |slip| slip::is_same_entry(slip, &request, &paper))? {
            return Ok(known);
        }
        let (runner, signer) = (desk.person(runner_id, "/runner_id")?, desk.cosigner(requester.staff_id)?);
        let entry = OfflineSlip {
            request: request.clone(),
            slip_no,
            issued_at,
            requester: &signer,
            runner: &runner,
        };
        let (ranges, taken) = (desk.ranges.clone(), desk.numbers_taken.clone());
        let (case, context) = desk.case("session")?;
        Ok(Requested::New(slip::enter_offline(case, context, &entry, &ranges, &taken)?))
    };
    app.engine.command(&posted.envelope, &command, judge, requested).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SlipFilter {
    session_id: Option<Uuid>,
    kind: Option<SlipKind>,
    status: Option<SlipStatus>,
    gaming_day: Option<NaiveDate>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists slips, oldest first.
#[utoipa::path(get, path = "/slips", tag = "slips", params(SlipFilter), responses((status = 200, body = Page<Slip>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<SlipFilter>) -> Result<Response, Error> {
    let query = Slips {
        window: Window::parse(filter.limit, filter.cursor.as_deref())?,
        session_id: filter.session_id,
        kind: filter.kind,
        status: filter.status,
        gaming_day: filter.gaming_day,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&page))
}

/// Reads one slip.
#[utoipa::path(get, path = "/slips/{id}", tag = "slips", params(("id" = Uuid, Path)), responses((status = 200, body = Slip)))]
pub async fn read(State(app): State<App>, reader: Reader, Id(id): Id) -> Result<Response, Error> {
    let mut desk = app
        .engine
        .read(&reader.envelope, act::READ_FLOOR, &Ask::about(Kind::Slip, id))
        .await?;
    let (case, _) = desk.case("slip")?;
    let slip = case.dossier().slip(id).ok_or(Refusal::NotFound("slip"))?;
    Ok(reader.versioned(slip, slip.version))
}

/// A step of a slip; which fields belong to it depends on `to`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SlipStep {
    to: SlipStatus,
    /// ISSUED: who carries.
    #[serde(default)]
    runner_id: Option<Uuid>,
    /// VERIFIED_AT_TABLE: who counts the chips at the table.
    #[serde(default)]
    dealer: Option<Cosign>,
    /// VERIFIED_AT_TABLE: what was counted, where it may differ.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, i64>>)]
    chipset: Option<RawChipset>,
    /// VERIFIED_AT_TABLE: what to say of a difference.
    #[serde(default)]
    note: Option<String>,
    /// VOIDED, CANCELLED.
    #[serde(default)]
    reason: Option<String>,
    /// VOIDED: the independent second signer.
    #[serde(default)]
    cosign: Option<Cosign>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SlipMoved {
    slip: Option<Slip>,
    session: Option<SessionView>,
    taken: Vec<Taken>,
}

impl SlipStep {
    fn act(&self) -> Act {
        match self.to {
            SlipStatus::Requested => act::REQUEST_SLIP,
            SlipStatus::Issued => act::ISSUE_SLIP,
            SlipStatus::VerifiedAtTable => act::VERIFY_SLIP,
            SlipStatus::DepositedInDropbox => act::DEPOSIT_SLIP,
            SlipStatus::Cancelled => act::CANCEL_SLIP,
            SlipStatus::Voided => act::VOID_SLIP,
        }
    }

    /// Every field that is missing for its step, or does not belong to it.
    fn check(&self) -> Result<(), Refusal> {
        let given = [
            ("/runner_id", self.runner_id.is_some()),
            ("/dealer", self.dealer.is_some()),
            ("/chipset", self.chipset.is_some()),
            ("/note", self.note.is_some()),
            ("/reason", self.reason.is_some()),
            ("/cosign", self.cosign.is_some()),
        ];
        let (required, optional): (&[&str], &[&str]) = match self.to {
            SlipStatus::Requested => return Err(Refusal::invalid("/to", "a slip is requested with POST /sessions/{id}/slips")),
            SlipStatus::Issued => (&["/runner_id"], &[]),
            SlipStatus::VerifiedAtTable => (&["/dealer"], &["/chipset", "/note"]),
            SlipStatus::DepositedInDropbox => (&[], &[]),
            SlipStatus::Cancelled => (&["/reason"], &[]),
            SlipStatus::Voided => (&["/reason", "/cosign"], &[]),
        };
        let flaws = given.iter().filter_map(
            |(pointer, present)| match (present, required.contains(pointer), optional.contains(pointer)) {
                (false, true, _) => Some(Flaw::new(*pointer, format!("required for {}", self.to))),
                (true, false, false) => Some(Flaw::new(*pointer, format!("does not belong to {}", self.to))),
                (_, _, _) => None,
            },
        );
        flawless(flaws.collect())
    }

    fn signer(&self) -> Option<&Cosign> {
        self.dealer.as_ref().or(self.cosign.as_ref())
    }

    fn command(&self, id: Uuid) -> Command {
        let ask = Ask {
            staff: self.runner_id.into_iter().collect(),
            cosigners: self.signer().map(|signer| signer.staff_id).into_iter().collect(),
            number_for: (self.to == SlipStatus::Issued).then_some(id),
            ..Ask::about(Kind::Slip, id)
        };
        Command {
            act: self.act(),
            ask,
            pins: self.signer().map(Cosign::pin).into_iter().collect(),
            versioned: Versioned::Slip(id),
        }
    }

    fn take(&self, desk: &mut Desk, id: Uuid) -> Result<(), Refusal> {
        let runner = self.runner_id.map(|runner| desk.person(runner, "/runner_id")).transpose()?;
        let signer = self.signer().map(|signer| desk.cosigner(signer.staff_id)).transpose()?;
        let number = desk.number.take();
        let reason = self.reason.clone().unwrap_or_default();
        let (case, context) = desk.case("slip")?;
        let step = match (self.to, &runner, &number, &signer) {
            (SlipStatus::Issued, Some(runner), Some(number), _) => Step::Issue { runner, number },
            (SlipStatus::VerifiedAtTable, _, _, Some(dealer)) => Step::Verify {
                dealer,
                chipset: self.chipset.clone(),
                note: self.note.clone(),
            },
            (SlipStatus::Voided, _, _, Some(cosigner)) => Step::Void { reason, cosigner },
            (SlipStatus::Cancelled, _, _, _) => Step::Cancel { reason },
            (SlipStatus::DepositedInDropbox, _, _, _) => Step::Deposit,
            (_, _, _, _) => return Err(Refusal::NotFound("slip")),
        };
        slip::advance(case, context, id, &step)
    }
}

/// Takes a slip one step further. The server gives the number at ISSUED.
#[utoipa::path(post, path = "/slips/{id}/transitions", tag = "slips", params(("id" = Uuid, Path)), request_body = SlipStep, responses((status = 200, body = SlipMoved)))]
pub async fn advance(State(app): State<App>, Id(id): Id, posted: Posted<SlipStep>) -> Result<Answer, Error> {
    let step = posted.body;
    step.check()?;
    let answer = |done: &Done<'_, ()>| {
        let slip = done.dossier().and_then(|dossier| dossier.slip(id)).cloned();
        Answer::ok(&SlipMoved {
            slip,
            session: done.session(),
            taken: done.taken(),
        })
    };
    app.engine
        .command(&posted.envelope, &step.command(id), |desk| Ok(step.take(desk, id)?), answer)
        .await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CageReceipt {
    /// What the cashier counted, where it may differ.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, i64>>)]
    chipset: Option<RawChipset>,
}

/// The cage counts a credit's chips and signs.
#[utoipa::path(post, path = "/slips/{id}/cage-receipt", tag = "slips", params(("id" = Uuid, Path)), request_body = CageReceipt, responses((status = 200, body = Slip)))]
pub async fn cage_receipt(State(app): State<App>, Id(id): Id, posted: Posted<CageReceipt>) -> Result<Answer, Error> {
    let chipset = posted.body.chipset;
    let command = Command {
        act: act::RECEIVE_CREDIT,
        ask: Ask::about(Kind::Slip, id),
        pins: Vec::new(),
        versioned: Versioned::Slip(id),
    };
    let judge = |desk: &mut Desk| {
        let (case, context) = desk.case("slip")?;
        Ok(slip::receive_credit(case, context, id, chipset.as_ref())?)
    };
    let answer = |done: &Done<'_, ()>| Answer::ok(&done.dossier().and_then(|dossier| dossier.slip(id)));
    app.engine.command(&posted.envelope, &command, judge, answer).await
}
