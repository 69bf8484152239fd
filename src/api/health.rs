//! Liveness and readiness: outside the contract's base path, without a token, and telling nothing of any casino.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::error::Error;

pub fn router() -> Router<App> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready))
}

/// The process answers.
async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The database answers too: commands can be taken.
async fn ready(State(app): State<App>) -> Result<Json<Value>, Error> {
    app.engine.db().ping().await?;
    Ok(Json(json!({ "status": "ready" })))
}
