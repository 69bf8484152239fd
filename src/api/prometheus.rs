//! `/metrics` for Prometheus: outside the contract's base path and without a token, because it tells nothing of any casino
//! ([`crate::observe::metrics`]). What stands in the database is asked at most once a second, whoever asks how often.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::engine::Engine;
use crate::observe::metrics;

const LOOK_APART: Duration = Duration::from_secs(1);
/// The text format's own media type.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub fn router<S: Clone + Send + Sync + 'static>(engine: Engine) -> Router<S> {
    metrics::install();
    let looked = Arc::new(Mutex::new(None));
    Router::new().route("/metrics", get(move || tell(engine.clone(), Arc::clone(&looked))))
}

async fn tell(engine: Engine, looked: Arc<Mutex<Option<Instant>>>) -> Response {
    if is_due(&looked) {
        engine.look_at_gauges().await;
    }
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], metrics::render()).into_response()
}

fn is_due(looked: &Mutex<Option<Instant>>) -> bool {
    let mut looked = looked.lock().unwrap_or_else(PoisonError::into_inner);
    let due = looked.is_none_or(|at| at.elapsed() >= LOOK_APART);
    if due {
        *looked = Some(Instant::now());
    }
    due
}
