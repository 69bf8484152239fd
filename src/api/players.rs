//! Players, and the points they have collected.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use workflows::act;
use workflows::loyalty::Player;

use super::extract::{Keyed, Params, PathId, Reader};
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::list::{Page, Window};
use crate::store::neighbour::{Booked, Loyalty, LoyaltyOf, Neighbour, NewPlayer, NewPoints, Players};
use crate::store::setup::Setup;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PlayerFilter {
    player_no: Option<String>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists the players.
#[utoipa::path(get, path = "/players", tag = "neighbours", params(PlayerFilter), responses((status = 200, body = Page<Player>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<PlayerFilter>) -> Result<Response, Error> {
    let query = Players {
        window: Window::parse(filter.limit, filter.cursor.as_deref())?,
        player_no: filter.player_no,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&page))
}

/// Makes a player known by number.
#[utoipa::path(post, path = "/players", tag = "neighbours", request_body = NewPlayer, responses((status = 201, body = Player)))]
pub async fn create(State(app): State<App>, Keyed(posted): Keyed<NewPlayer>) -> Result<Answer, Error> {
    let change = Setup::Neighbour(Box::new(Neighbour::AddPlayer(posted.body)));
    app.engine.change(&posted.envelope, act::REGISTER_PLAYER, &change).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct LedgerPage {
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Reads a player's balance, and a page of the ledger it is the sum of.
#[utoipa::path(get, path = "/players/{id}/loyalty", tag = "neighbours", params(("id" = Uuid, Path), LedgerPage), responses((status = 200, body = Loyalty)))]
pub async fn loyalty(
    State(app): State<App>,
    reader: Reader,
    PathId(id): PathId,
    Params(filter): Params<LedgerPage>,
) -> Result<Response, Error> {
    let query = LoyaltyOf {
        player_id: id,
        window: Window::parse(filter.limit, filter.cursor.as_deref())?,
    };
    let (_, loyalty) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&loyalty))
}

/// Books points. A rating slip earns its session-end points once; a ghost visit earns none.
#[utoipa::path(post, path = "/loyalty/ledger", tag = "neighbours", request_body = NewPoints, responses((status = 201, body = Booked)))]
pub async fn book(State(app): State<App>, Keyed(posted): Keyed<NewPoints>) -> Result<Answer, Error> {
    let change = Setup::Neighbour(Box::new(Neighbour::AppendPoints(posted.body)));
    app.engine.change(&posted.envelope, act::APPEND_POINTS, &change).await
}
