//! The casino's settings and policies.

use axum::extract::State;
use axum::response::Response;
use workflows::act;
use workflows::record::Casino;

use super::extract::{Posted, Reader};
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::setup::{CasinoChange, OwnCasino, Setup};

/// Reads the settings.
#[utoipa::path(get, path = "/casino", tag = "set-up", responses((status = 200, body = Casino)))]
pub async fn read(State(app): State<App>, reader: Reader) -> Result<Response, Error> {
    let (_, casino) = app.engine.list(&reader.envelope, act::READ_FLOOR, &OwnCasino).await?;
    Ok(reader.versioned(&casino, casino.version))
}

/// Changes settings; what is absent stays.
///
/// Denominations bind chipsets counted from then on, and the bank mode the sessions opened from then on: both may change while tables play. A
/// change of timezone or `gaming_day_start` waits until no session is live.
#[utoipa::path(patch, path = "/casino", tag = "set-up", request_body = CasinoChange, responses((status = 200, body = Casino)))]
pub async fn patch(State(app): State<App>, posted: Posted<CasinoChange>) -> Result<Answer, Error> {
    let change = Setup::ChangeCasino(Box::new(posted.body));
    app.engine.change(&posted.envelope, act::SET_UP, &change).await
}
