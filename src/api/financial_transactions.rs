//! A player's money, in and out.

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;
use workflows::act;
use workflows::finance::Transaction;

use super::extract::{Keyed, Params, Reader};
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::list::{Page, Window};
use crate::store::neighbour::{Neighbour, NewTransaction, Transactions};
use crate::store::setup::Setup;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct TransactionFilter {
    player_id: Option<Uuid>,
    rating_slip_id: Option<Uuid>,
    gaming_day: Option<NaiveDate>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists transactions, in the order in which they were entered.
#[utoipa::path(get, path = "/financial-transactions", tag = "neighbours", params(TransactionFilter), responses((status = 200, body = Page<Transaction>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<TransactionFilter>) -> Result<Response, Error> {
    let query = Transactions {
        window: Window::parse(filter.limit, filter.cursor.as_deref())?,
        player_id: filter.player_id,
        rating_slip_id: filter.rating_slip_id,
        gaming_day: filter.gaming_day,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&page))
}

/// Enters a transaction, or a row that sets one right. Its key is kept for ever: the same again is answered by the row it made.
#[utoipa::path(post, path = "/financial-transactions", tag = "neighbours", request_body = NewTransaction, responses((status = 201, body = Transaction)))]
pub async fn record(State(app): State<App>, Keyed(posted): Keyed<NewTransaction>) -> Result<Answer, Error> {
    let key = posted.envelope.key_name().map(ToOwned::to_owned);
    let change = Setup::Neighbour(Box::new(Neighbour::RecordTransaction { new: posted.body, key }));
    app.engine.change(&posted.envelope, act::RECORD_TRANSACTION, &change).await
}
