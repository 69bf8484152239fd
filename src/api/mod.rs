//! The HTTP contract: every route on this page. A handler is a few lines: it says what the command needs, what judges it, and how the
//! outcome is worded. None opens a transaction or sees the pool.

mod answer;
mod audit;
mod buyin_telemetry;
mod casino;
mod checkpoints;
mod custody;
pub mod docs;
mod drop_boxes;
mod events;
mod exceptions;
mod extract;
mod financial_transactions;
mod floor_layouts;
mod health;
mod job_runs;
pub mod limit;
mod machines;
mod metrics;
mod outbox;
mod players;
mod prometheus;
mod rating_slips;
mod rollups;
mod schedules;
mod seals;
mod sessions;
mod shifts;
mod slip_series;
mod slips;
mod snapshots;
mod soft_counts;
mod staff;
mod tables;
mod timeline;
mod view;
mod visits;
mod webhooks;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::serve::{Listener, ListenerExt as _};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::TcpUserTimeout;
use tokio::net::{TcpListener, TcpStream};
use tower_http::compression::CompressionLayer;
use tracing::Instrument as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflows::refusal::Refusal;

use crate::app::App;
use crate::engine::Engine;
use crate::error::Error;
use crate::observe::CorrelationId;

const CORRELATION: &str = "x-correlation-id";

/// Every route of the contract, with its document.
pub fn routes() -> OpenApiRouter<App> {
    let table_context = OpenApiRouter::new()
        .routes(routes!(sessions::create, sessions::list))
        .routes(routes!(sessions::read, sessions::prepare))
        .routes(routes!(sessions::transitions, sessions::advance))
        .routes(routes!(sessions::roll_over))
        .routes(routes!(sessions::rundown))
        .routes(routes!(timeline::read))
        .routes(routes!(snapshots::count))
        .routes(routes!(snapshots::verify))
        .routes(routes!(slips::request))
        .routes(routes!(slips::enter_offline))
        .routes(routes!(slips::list))
        .routes(routes!(slips::read))
        .routes(routes!(slips::advance))
        .routes(routes!(slips::cage_receipt))
        .routes(routes!(slip_series::read))
        .routes(routes!(slip_series::reserve))
        .routes(routes!(slip_series::close))
        .routes(routes!(custody::remove))
        .routes(routes!(custody::list))
        .routes(routes!(custody::deliver))
        .routes(routes!(custody::receive))
        .routes(routes!(custody::manifest))
        .routes(routes!(soft_counts::submit))
        .routes(routes!(soft_counts::import))
        .routes(routes!(exceptions::list))
        .routes(routes!(exceptions::raise))
        .routes(routes!(exceptions::acknowledge))
        .routes(routes!(exceptions::resolve))
        .routes(routes!(buyin_telemetry::log, buyin_telemetry::list))
        .routes(routes!(buyin_telemetry::undo))
        .routes(routes!(checkpoints::take, checkpoints::list))
        .routes(routes!(checkpoints::delta))
        .routes(routes!(metrics::tables))
        .routes(routes!(metrics::pits))
        .routes(routes!(metrics::casino))
        .routes(routes!(metrics::summary))
        .routes(routes!(rollups::list));
    let rest = OpenApiRouter::new()
        .routes(routes!(casino::read, casino::patch))
        .routes(routes!(staff::list, staff::create))
        .routes(routes!(staff::patch))
        .routes(routes!(staff::set_pin))
        .routes(routes!(staff::me))
        .routes(routes!(tables::list, tables::create))
        .routes(routes!(tables::patch))
        .routes(routes!(tables::activate))
        .routes(routes!(tables::deactivate))
        .routes(routes!(tables::set_par))
        .routes(routes!(tables::import))
        .routes(routes!(drop_boxes::list, drop_boxes::create))
        .routes(routes!(shifts::templates, shifts::create_template))
        .routes(routes!(shifts::patch_template))
        .routes(routes!(shifts::list))
        .routes(routes!(shifts::summary))
        .routes(routes!(schedules::list, schedules::create))
        .routes(routes!(schedules::patch))
        .routes(routes!(schedules::run))
        .routes(routes!(schedules::next))
        .routes(routes!(job_runs::list))
        .routes(routes!(job_runs::read))
        .routes(routes!(job_runs::retry))
        .routes(routes!(players::list, players::create))
        .routes(routes!(players::loyalty))
        .routes(routes!(players::book))
        .routes(routes!(visits::list, visits::start))
        .routes(routes!(visits::close))
        .routes(routes!(visits::convert))
        .routes(routes!(rating_slips::list, rating_slips::open))
        .routes(routes!(rating_slips::read, rating_slips::patch))
        .routes(routes!(rating_slips::close))
        .routes(routes!(financial_transactions::list, financial_transactions::record))
        .routes(routes!(floor_layouts::list, floor_layouts::create))
        .routes(routes!(floor_layouts::read))
        .routes(routes!(floor_layouts::draw))
        .routes(routes!(floor_layouts::activate))
        .routes(routes!(events::list))
        .routes(routes!(events::stream))
        .routes(routes!(events::schemas))
        .routes(routes!(events::cache_keys))
        .routes(routes!(outbox::dead))
        .routes(routes!(outbox::redrive))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::read, webhooks::patch, webhooks::delete))
        .routes(routes!(webhooks::rotate_secret))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(audit::list))
        .routes(routes!(seals::list))
        .routes(routes!(seals::verify))
        .routes(routes!(machines::list))
        .routes(routes!(machines::read));
    OpenApiRouter::with_openapi(docs::preamble())
        .nest("/api/v1/table-context", table_context)
        .nest("/api/v1", rest)
}

/// The whole service: routes, documents, health, metrics, and the layers around them.
pub fn router(app: App, request_timeout: Duration) -> Router {
    let metrics = prometheus::router(app.engine.clone());
    service(app, request_timeout, metrics)
}

/// The same without metrics, which [are told elsewhere](metrics_router).
pub fn router_without_metrics(app: App, request_timeout: Duration) -> Router {
    service(app, request_timeout, Router::new())
}

/// The metrics by themselves, for a listener of their own.
pub fn metrics_router(engine: Engine) -> Router {
    prometheus::router(engine)
}

fn service(app: App, request_timeout: Duration, more: Router<App>) -> Router {
    let (routes, openapi) = routes().split_for_parts();
    routes
        .merge(docs::router(openapi))
        .merge(health::router())
        .merge(more)
        .fallback(|| async { Error::from(Refusal::NotFound("route")) })
        .method_not_allowed_fallback(|| async { Error::MethodNotAllowed })
        // Inner to outer: the timeout drops only the handle of the task below it, never a future inside a transaction.
        .layer(middleware::from_fn_with_state(app.clone(), run_to_end))
        .layer(middleware::from_fn_with_state(request_timeout, give_up))
        .layer(middleware::from_fn(correlate))
        .layer(CompressionLayer::new())
        .with_state(app)
}

/// A connection that takes nothing for so long is closed: a stream whose reader is gone, or does not read, ends with it.
const TAKES_NOTHING: Duration = Duration::from_secs(30);

/// Connections as the service wants them.
pub fn tuned(listener: TcpListener) -> impl Listener<Io = TcpStream, Addr = SocketAddr> {
    listener.tap_io(|connection| {
        // An answer is one small write: waiting for a second one to fill the packet would only delay it.
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection stays with Nagle's delay");
        }
        let longest = u32::try_from(TAKES_NOTHING.as_millis()).unwrap_or(u32::MAX);
        if let Err(error) = setsockopt(connection, TcpUserTimeout, &longest) {
            tracing::debug!(%error, "a connection lasts as long as the system likes");
        }
    })
}

/// Runs the handler in a task of its own, to its end. A client that hangs up drops only the handle: a future dropped inside a transaction
/// would leave it open on a pooled connection, row locks and tenant context included (transact-rs/sqlx #4385).
async fn run_to_end(State(app): State<App>, request: Request, next: Next) -> Response {
    let handler = next.run(request).in_current_span();
    match app.tasks.spawn(handler).await {
        Ok(response) => response,
        Err(error) => Error::Internal(anyhow::Error::new(error).context("a handler panicked")).into_response(),
    }
}

/// Answers in time, even where the work is not done: it goes on, and its answer waits under its `Idempotency-Key`.
async fn give_up(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Error::OutcomeUnknown(format!("no answer within {} s", limit.as_secs())).into_response(),
    }
}

/// Gives every request its correlation id: the client's, if well formed, and one on every answer.
async fn correlate(mut request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(CORRELATION)
        .and_then(|value| value.to_str().ok())
        .and_then(CorrelationId::parse);
    let id = given.unwrap_or_else(CorrelationId::generate);
    request.extensions_mut().insert(id.clone());
    let span = tracing::info_span!("request", correlation_id = %id, method = %request.method(), path = request.uri().path());
    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(CORRELATION, value);
    }
    with_correlation(response, &id).await
}

/// Problems carry the id in their body too: it is what a person reads out to whoever is on call.
async fn with_correlation(response: Response, id: &CorrelationId) -> Response {
    let is_problem = response
        .headers()
        .get(axum::http::header::CONTENT_TYPE)
        .is_some_and(|value| value == "application/problem+json");
    if !is_problem {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let Ok(serde_json::Value::Object(mut problem)) = serde_json::from_slice(&bytes) else {
        return Response::from_parts(parts, bytes.into());
    };
    problem.insert("correlation_id".to_owned(), id.as_str().into());
    problem.insert("instance".to_owned(), format!("urn:correlation:{id}").into());
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    Response::from_parts(parts, serde_json::Value::Object(problem).to_string().into())
}
