//! Co-signatures: a second person proves to be there by a PIN in the caller's request (domain §3).
//!
//! Five wrong ones lock the person for fifteen minutes. The co-signer's row is locked while a PIN is judged, so guesses are judged one
//! after another; and a wrong one is counted in a transaction that does nothing else and is committed, so that the refusal does not forget it.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::Uuid;
use workflows::case::Cosigner;
use workflows::refusal::Refusal;
use workflows::word::StaffStatus;

use crate::auth::pin;
use crate::error::Error;
use crate::store::Tx;
use crate::store::desk::Opened;

/// Wrong PINs until the person is locked.
const WRONG_PINS: i32 = 5;
/// How long a lock lasts.
const LOCKED_FOR: TimeDelta = TimeDelta::minutes(15);

/// Somebody beside the caller, and the PIN that proves it. Never logged.
#[derive(Clone, Debug)]
pub struct Pin {
    pub staff_id: Uuid,
    pub pin: SecretString,
}

/// What judging the PINs came to.
pub(super) enum Verdict {
    Proved(Vec<Cosigner>),
    /// This person's PIN was wrong: to be counted.
    Wrong(Uuid),
}

/// Judges every PIN; the first wrong one ends it.
pub(super) async fn judge(opened: &Opened, pins: &[Pin], now: DateTime<Utc>) -> Result<Verdict, Error> {
    let mut proved = Vec::with_capacity(pins.len());
    for given in pins {
        let person = opened
            .people
            .iter()
            .find(|person| person.id == given.staff_id)
            .ok_or(Refusal::NotFound("staff"))?;
        if !is_right(opened, given, now).await? {
            return Ok(Verdict::Wrong(given.staff_id));
        }
        proved.push(Cosigner(person.clone()));
    }
    Ok(Verdict::Proved(proved))
}

async fn is_right(opened: &Opened, given: &Pin, now: DateTime<Utc>) -> Result<bool, Error> {
    let refuse = |detail: String, locked_until| {
        Err(Error::CosignRefused {
            person: given.staff_id,
            detail,
            locked_until,
        })
    };
    let person = opened
        .people
        .iter()
        .find(|person| person.id == given.staff_id)
        .ok_or(Refusal::NotFound("staff"))?;
    let proof = opened
        .cosigners
        .iter()
        .find(|proof| proof.id == given.staff_id)
        .ok_or(Refusal::NotFound("staff"))?;
    if person.status != StaffStatus::Active {
        return refuse(format!("{} ({}) is not active", person.name, person.employee_no), None);
    }
    if let Some(until) = proof.pin_locked_until.filter(|until| *until > now) {
        return refuse(
            format!("{} ({}) is locked after wrong PINs", person.name, person.employee_no),
            Some(until),
        );
    }
    let Some(hash) = proof.pin_hash.clone() else {
        return refuse(
            format!("{} ({}) has no PIN; an admin sets one", person.name, person.employee_no),
            None,
        );
    };
    Ok(pin::verify_blocking(hash, given.pin.clone()).await)
}

/// Counts the wrong PIN, keeps that, and refuses.
pub(super) async fn count(tx: Tx, opened: &Opened, person: Uuid, now: DateTime<Utc>) -> Result<Error, Error> {
    let locked_until = tx
        .count_wrong_pin(person, WRONG_PINS, now + LOCKED_FOR)
        .await?
        .filter(|until| *until > now);
    tx.commit().await?;
    tracing::warn!(%person, locked = locked_until.is_some(), "a wrong PIN was counted");
    let name = opened
        .people
        .iter()
        .find(|known| known.id == person)
        .map_or_else(String::new, |known| format!(" of {}", known.name));
    Ok(Error::CosignRefused {
        person,
        detail: format!("the PIN{name} is wrong"),
        locked_until,
    })
}
