//! People: who works here, and who is asking.

use axum::extract::State;
use axum::response::Response;
use chrono::{NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use workflows::act;
use workflows::refusal::Refusal;
use workflows::role::Role;
use workflows::word::StaffStatus;

use super::extract::{Id, Keyed, Params, Posted, Reader};
use super::view::GivenPin;
use crate::answer::Answer;
use crate::app::App;
use crate::auth::pin;
use crate::engine::Envelope;
use crate::error::Error;
use crate::store::list::{Page, Window};
use crate::store::setup::{Me, NewStaff, People, Person, PinHash, Setup, StaffChange};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct StaffFilter {
    role: Option<Role>,
    status: Option<StaffStatus>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists the staff. Token subjects and locks are for admins alone.
#[utoipa::path(get, path = "/staff", tag = "set-up", params(StaffFilter), responses((status = 200, body = Page<Person>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<StaffFilter>) -> Result<Response, Error> {
    let window = Window::parse(filter.limit, filter.cursor.as_deref())?;
    let query = People {
        window,
        role: filter.role,
        status: filter.status,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&page))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    employee_no: String,
    name: String,
    /// Any but system, which is the daemon itself.
    role: Role,
    /// The token's subject; `<casino name>:<employee_no>` unless given.
    #[serde(default)]
    external_subject: Option<String>,
    /// For those who co-sign: 4 to 12 digits, not all the same.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pin: Option<GivenPin>,
}

/// Adds somebody, active at once. Under a key already used, another PIN is the same request: the first one stays.
#[utoipa::path(post, path = "/staff", tag = "set-up", request_body = NewPerson, responses((status = 201, body = Person)))]
pub async fn create(State(app): State<App>, Keyed(posted): Keyed<NewPerson>) -> Result<Answer, Error> {
    let NewPerson {
        employee_no,
        name,
        role,
        external_subject,
        pin,
    } = posted.body;
    let person = NewStaff {
        employee_no,
        name,
        role,
        external_subject,
    };
    let pin = match pin {
        Some(pin) => Some(hashed(pin).await?),
        None => None,
    };
    app.engine
        .change(&posted.envelope, act::SET_UP, &Setup::AddStaff { person, pin })
        .await
}

/// Changes name, role, status or token subject; what is absent stays. The last active admin stays one.
#[utoipa::path(patch, path = "/staff/{id}", tag = "set-up", params(("id" = Uuid, Path)), request_body = StaffChange, responses((status = 200, body = Person)))]
pub async fn patch(State(app): State<App>, Id(id): Id, posted: Posted<StaffChange>) -> Result<Answer, Error> {
    app.engine
        .change(&posted.envelope, act::SET_UP, &Setup::ChangeStaff { id, change: posted.body })
        .await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPin {
    /// 4 to 12 digits, not all the same.
    #[schema(value_type = String)]
    pin: GivenPin,
}

/// Sets a person's PIN, and lifts the lock wrong ones led to.
///
/// The request is repeatable by its nature, and its Idempotency-Key is not remembered: what a key remembers tells nothing of a PIN, so another
/// PIN under the same key would pass for a repetition and not be set.
#[utoipa::path(put, path = "/staff/{id}/pin", tag = "set-up", params(("id" = Uuid, Path)), request_body = NewPin, responses((status = 200, body = Person)))]
pub async fn set_pin(State(app): State<App>, Id(id): Id, posted: Posted<NewPin>) -> Result<Answer, Error> {
    let change = Setup::SetPin {
        id,
        pin: hashed(posted.body.pin).await?,
    };
    let envelope = Envelope {
        key: None,
        ..posted.envelope
    };
    app.engine.change(&envelope, act::SET_UP, &change).await
}

/// Hashes a PIN before any transaction begins: the work takes as long as ten commands, and would hold their locks.
async fn hashed(pin: GivenPin) -> Result<PinHash, Error> {
    pin::acceptable(&pin.0).map_err(|wanted| Refusal::invalid("/pin", wanted))?;
    Ok(PinHash(pin::hash_blocking(pin.0).await?))
}

/// Who is asking, where, on which gaming day, and what their role may ask for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Myself {
    staff: Person,
    casino: MyCasino,
    /// Today's.
    gaming_day: NaiveDate,
    /// Names of acts. The edges of a machine and the rules of segregation narrow them further.
    may: Vec<&'static str>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct MyCasino {
    id: Uuid,
    name: String,
    /// IANA name.
    timezone: String,
    gaming_day_start: NaiveTime,
}

/// Says who the token speaks for.
#[utoipa::path(get, path = "/me", tag = "set-up", responses((status = 200, body = Myself)))]
pub async fn me(State(app): State<App>, reader: Reader) -> Result<Response, Error> {
    let (context, staff) = app.engine.list(&reader.envelope, act::READ_FLOOR, &Me).await?;
    let may = act::ALL.iter().filter(|act| act.may(staff.role)).map(|act| act.name).collect();
    let gaming_day = context.gaming_day();
    let casino = context.casino;
    let casino = MyCasino {
        id: casino.id,
        name: casino.name,
        timezone: casino.timezone,
        gaming_day_start: casino.gaming_day_start,
    };
    Ok(reader.hashed(&Myself {
        staff,
        casino,
        gaming_day,
        may,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_never_printed_nor_repeated_in_a_refusal() {
        let body = r#"{"employee_no":"PB-1","name":"Alder","role":"pit_boss","pin":"3856"}"#;
        let person: NewPerson = serde_json::from_str(body).unwrap();
        assert!(person.pin.is_some() && !format!("{person:?}").contains("3856"));
        let refusal = serde_json::from_str::<NewPerson>(&body.replace(r#""3856""#, "3856"))
            .unwrap_err()
            .to_string();
        assert!(refusal.starts_with("a PIN is text") && !refusal.contains("3856"), "{refusal}");
    }
}
