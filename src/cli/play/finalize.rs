//! The end of the day in compliance: each exception explained, each session signed off.

use serde_json::{Value, json};
use workflows::role::Role;
use workflows::word::{Category, ReasonCode, Status};

use super::book::{CONTEXT, Played};
use super::key::key;
use super::report::Refused;
use super::results::{ExceptionRow, exceptions_of, status_of};
use super::wire::{Answer, Refusal, Wire};
use crate::casino_folder::Folder;

#[derive(Default)]
pub struct SignedOff {
    pub resolved: usize,
    pub finalized: usize,
    pub refused: Vec<Refused>,
}

pub async fn finalize(wire: &mut Wire<'_>, folder: &Folder, reader: &str, sessions: &[Played]) -> anyhow::Result<SignedOff> {
    let mut done = SignedOff::default();
    let signers = signers(folder);
    for session in sessions {
        match exceptions_of(wire, reader, session.id).await? {
            Err(refusal) => done.refused.push(refused("list_exceptions", session, reader, refusal)),
            Ok(rows) => {
                for row in rows.iter().filter(|row| row.status.is_unresolved()) {
                    let path = format!("{CONTEXT}/exceptions/{}/resolve", row.id);
                    match sign(wire, folder, &signers, &path, &format!("resolve-{}", row.id), &explanation(row)).await? {
                        Ok(()) => done.resolved += 1,
                        Err((by, refusal)) => done
                            .refused
                            .push(refused(&format!("resolve {}", row.category), session, &by, refusal)),
                    }
                }
            }
        }
        // A second play finds it signed off; asking again would be refused, since nothing leaves FINALIZED.
        if matches!(status_of(wire, reader, session.id).await?, Ok(Status::Finalized)) {
            continue;
        }
        let path = format!("{CONTEXT}/sessions/{}/transitions", session.id);
        match sign(
            wire,
            folder,
            &signers,
            &path,
            &format!("finalize-{}", session.id),
            &json!({"to": "FINALIZED"}),
        )
        .await?
        {
            Ok(()) => done.finalized += 1,
            Err((by, refusal)) => done.refused.push(refused("finalize", session, &by, refusal)),
        }
    }
    Ok(done)
}

/// Those who may, compliance before administration, each in file order.
fn signers(folder: &Folder) -> Vec<&str> {
    let of = |role| {
        folder
            .staff
            .iter()
            .filter(move |person| person.role == role)
            .map(|person| person.employee_no.as_str())
    };
    of(Role::Compliance).chain(of(Role::Admin)).collect()
}

/// Asks the first signer, and the next one only where the rule forbids the person and not the act.
async fn sign(
    wire: &mut Wire<'_>,
    folder: &Folder,
    signers: &[&str],
    path: &str,
    step: &str,
    body: &Value,
) -> anyhow::Result<Result<(), (String, Refusal)>> {
    let mut last = (
        "nobody".to_owned(),
        Refusal::unsent("the folder has neither compliance nor admin".to_owned()),
    );
    for by in signers {
        // The person is part of the key: the same words by another are another act.
        let key = key(&folder.casino.name, &folder.name, &format!("{step}-{by}"));
        match wire.post(by, path, &key, body).await? {
            Answer::Accepted { .. } => return Ok(Ok(())),
            Answer::Refused(refusal) => {
                let another_may = refusal.is_of_the_person();
                last = ((*by).to_owned(), refusal);
                if !another_may {
                    break;
                }
            }
        }
    }
    Ok(Err(last))
}

fn explanation(row: &ExceptionRow) -> Value {
    let (reason, note) = reason(row.category);
    json!({"reason_code": reason, "resolution_note": note})
}

/// Why compliance may close it, and in what words: an example's, as the day is. No word is missing from the list, so that a new
/// category asks for its explanation here.
fn reason(category: Category) -> (ReasonCode, &'static str) {
    match category {
        Category::MissingSlip => (
            ReasonCode::LatePaperworkFound,
            "The table copy was not in the box; the cage's copy of the slip was found and agrees.",
        ),
        Category::UnexpectedSlip => (
            ReasonCode::DataEntryError,
            "The paper belongs to no slip of this table and was set aside; no chips moved on it.",
        ),
        Category::SlipAmountMismatch => (
            ReasonCode::DataEntryError,
            "The amounts were compared with both copies of the slip; the confirmed amount stands.",
        ),
        Category::DuplicateSlipNo => (
            ReasonCode::DataEntryError,
            "The number was recorded twice for one paper; one slip exists.",
        ),
        Category::VoidMisuse => (
            ReasonCode::VoidAndReplaced,
            "The void was reviewed with its signers and replaced by a valid slip where chips moved.",
        ),
        Category::SlipNumberGap => (
            ReasonCode::LatePaperworkFound,
            "The missing number was accounted for in the cage's book.",
        ),
        Category::CountVariance => (
            ReasonCode::RecountConfirmed,
            "The team counted a third time; the agreed amount stands.",
        ),
        Category::OpeningVariance => (
            ReasonCode::AcceptedVariance,
            "Opener and previous closer were compared and both trays reviewed; the opener stands.",
        ),
        Category::ParVariance => (
            ReasonCode::AcceptedVariance,
            "The tray was not restored to par before closing; the closer stands.",
        ),
        Category::DropOutOfSchedule => (
            ReasonCode::CustodyExplained,
            "The removal was made at another time than planned, by two people, and is on the surveillance record.",
        ),
        Category::CustodyGap => (
            ReasonCode::CustodyExplained,
            "The box's way to the count room was followed on the surveillance record.",
        ),
        Category::SealMismatch => (
            ReasonCode::CustodyExplained,
            "The seal was compared with the removal and its custody followed on the surveillance record.",
        ),
        Category::DropMissing => (
            ReasonCode::CustodyExplained,
            "The box was found where it stood and its custody followed.",
        ),
        Category::CountOverdue => (
            ReasonCode::CustodyExplained,
            "The box was kept in the count room until it was counted.",
        ),
        Category::MissingClosingSnapshot => (
            ReasonCode::AcceptedVariance,
            "The table was closed without a closing count; its result stays an estimate.",
        ),
        Category::UnverifiedSlip => (
            ReasonCode::LatePaperworkFound,
            "The slip's signatures were found on the cage's copy.",
        ),
        Category::OpenRatingSlips => (ReasonCode::DataEntryError, "The rating slips left open were reviewed and closed."),
        Category::LateEvent => (
            ReasonCode::LatePaperworkFound,
            "The late record was reviewed; the signed figures stand.",
        ),
        Category::HoldDeviation => (ReasonCode::AcceptedVariance, "The table's play was reviewed and explains the hold."),
        Category::TelemetryVariance => (ReasonCode::AcceptedVariance, "Logged buy-ins are an estimate; the count stands."),
        Category::Manual => (ReasonCode::AcceptedVariance, "The note was reviewed with the person who raised it."),
    }
}

fn refused(act: &str, session: &Played, by: &str, refusal: Refusal) -> Refused {
    Refused {
        seq: None,
        act: act.to_owned(),
        table: session.table.clone(),
        by: by.to_owned(),
        refusal,
    }
}
