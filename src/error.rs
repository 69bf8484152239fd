//! The one error, and the one shape in which it is answered: RFC 9457 `application/problem+json` (api.md "Errors").
//!
//! A variant per reaction a program can have, a stable code per variant. What went wrong inside is logged once, here, and never told.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;
use workflows::refusal::Refusal;

pub use crate::csv_table::CsvFlaw;

/// Why a request is not answered with success. Nothing was stored, and nothing is half done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Unauthenticated(String),
    #[error("a co-signature was refused")]
    CosignRefused {
        person: Uuid,
        detail: String,
        locked_until: Option<DateTime<Utc>>,
    },
    #[error("refused: {0:?}")]
    Refused(Box<Refusal>),
    #[error("version {current} is not the one named")]
    VersionMismatch { current: i64 },
    #[error("the key was used with another request")]
    IdempotencyConflict,
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("{0}")]
    UnsupportedMediaType(&'static str),
    #[error("too many requests")]
    TooMany { retry_after_seconds: u64 },
    #[error("the file is refused, {} flaws", .0.len())]
    CsvRejected(Vec<CsvFlaw>),
    #[error("the method is not allowed here")]
    MethodNotAllowed,
    /// Another command was faster on the same rows. The engine judges again; a client meets it only when that did not help.
    #[error("collided with another command: {0}")]
    Collided(String),
    #[error("the database is away: {0}")]
    Unavailable(String),
    /// The answer is late or the line broke at the commit: only a repetition under the same key tells.
    #[error("the outcome is not known: {0}")]
    OutcomeUnknown(String),
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// Every code a client may meet, with its status: the index of `docs/problems`.
pub const CODES: &[(&str, u16)] = &[
    ("malformed_request", 400),
    ("unauthenticated", 401),
    ("forbidden", 403),
    ("segregation_violation", 403),
    ("cosign_refused", 403),
    ("not_found", 404),
    ("method_not_allowed", 405),
    ("gates_unmet", 409),
    ("illegal_transition", 409),
    ("conflict", 409),
    ("version_mismatch", 412),
    ("payload_too_large", 413),
    ("unsupported_media_type", 415),
    ("validation_failed", 422),
    ("idempotency_conflict", 422),
    ("rate_limited", 429),
    ("internal", 500),
    ("unavailable", 503),
];

/// How many flaws `detail` puts into words; `errors` lists them all.
const FLAWS_IN_WORDS: usize = 10;

/// A problem as it is told: code, title, detail, and the members its code adds.
struct Problem {
    code: &'static str,
    title: &'static str,
    detail: String,
    more: Value,
}

fn problem(code: &'static str, title: &'static str, detail: impl Into<String>, more: Value) -> Problem {
    Problem {
        code,
        title,
        detail: detail.into(),
        more,
    }
}

impl Error {
    /// The base of `type`: each code's page is documented under it.
    const TYPES: &'static str = "https://rundown.dev/problems/";

    /// The problem on one line, for whoever is not a client: it tells no more than a client would hear.
    pub fn told(&self) -> String {
        let Problem { code, detail, .. } = self.describe();
        format!("{code}: {detail}")
    }

    /// The stable code, for whoever counts.
    pub fn code(&self) -> &'static str {
        self.describe().code
    }

    fn describe(&self) -> Problem {
        match self {
            Self::Malformed(detail) => problem("malformed_request", "The request cannot be read", detail, json!({})),
            Self::Unauthenticated(detail) => problem("unauthenticated", "Who is speaking is not proved", detail, json!({})),
            Self::CosignRefused {
                person,
                detail,
                locked_until,
            } => {
                let more = json!({ "person": person, "locked_until": locked_until });
                problem("cosign_refused", "The co-signature is refused", detail, more)
            }
            Self::Refused(refusal) => refused(refusal),
            Self::VersionMismatch { current } => {
                let detail = format!("If-Match names another version than {current}, the current one: read again, then decide");
                problem(
                    "version_mismatch",
                    "The resource has changed",
                    detail,
                    json!({ "version": current }),
                )
            }
            Self::IdempotencyConflict => problem(
                "idempotency_conflict",
                "The key belongs to another request",
                "this Idempotency-Key was used with another body or path; a new command needs a new key",
                json!({}),
            ),
            Self::TooLarge { limit } => problem(
                "payload_too_large",
                "The body is too large",
                format!("at most {limit} bytes"),
                json!({ "limit_bytes": limit }),
            ),
            Self::UnsupportedMediaType(wanted) => problem(
                "unsupported_media_type",
                "The content type is not understood",
                format!("send {wanted}"),
                json!({}),
            ),
            Self::TooMany { retry_after_seconds } => problem(
                "rate_limited",
                "Too many requests",
                format!("try again in {retry_after_seconds} s"),
                json!({ "retry_after_seconds": retry_after_seconds }),
            ),
            Self::CsvRejected(flaws) => problem(
                "validation_failed",
                "The file cannot be true",
                format!("{} flaws; no row was stored", flaws.len()),
                json!({ "errors": flaws }),
            ),
            Self::MethodNotAllowed => problem("method_not_allowed", "There is no such method here", "see /openapi.json", json!({})),
            Self::Collided(_) => problem(
                "unavailable",
                "Others were faster",
                "nothing was stored; try again in a moment",
                json!({}),
            ),
            Self::OutcomeUnknown(_) => problem(
                "unavailable",
                "The outcome is not known",
                "whether this was stored is not known: repeat it under the same Idempotency-Key",
                json!({}),
            ),
            Self::Unavailable(_) => problem(
                "unavailable",
                "The database is away",
                "nothing was stored; try again in a moment",
                json!({}),
            ),
            Self::Internal(_) => problem(
                "internal",
                "Something is wrong with the daemon",
                "nothing was stored; the log knows more",
                json!({}),
            ),
        }
    }

    fn status(code: &str) -> StatusCode {
        let status = CODES.iter().find(|(known, _)| *known == code).map_or(500, |(_, status)| *status);
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany { retry_after_seconds } => Some(*retry_after_seconds),
            Self::Collided(_) | Self::Unavailable(_) | Self::OutcomeUnknown(_) => Some(1),
            Self::Malformed(_)
            | Self::Unauthenticated(_)
            | Self::CosignRefused { .. }
            | Self::Refused(_)
            | Self::VersionMismatch { .. }
            | Self::IdempotencyConflict
            | Self::TooLarge { .. }
            | Self::UnsupportedMediaType(_)
            | Self::CsvRejected(_)
            | Self::MethodNotAllowed
            | Self::Internal(_) => None,
        }
    }
}

fn refused(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::NotFound(what) => problem(
            "not_found",
            "There is no such thing",
            format!("no such {what} in this casino"),
            json!({}),
        ),
        Refusal::Forbidden { detail, who } => problem("forbidden", "The role may not", detail, json!({ "who": who })),
        Refusal::Segregation {
            rule,
            person,
            detail,
            gates,
        } => problem(
            "segregation_violation",
            "This person may not",
            detail,
            json!({ "rule": rule, "person": person, "gates": gates }),
        ),
        Refusal::GatesUnmet(gates) => {
            let detail = gates.iter().map(|gate| gate.detail.as_str()).collect::<Vec<_>>().join("; ");
            problem("gates_unmet", "Evidence is missing", detail, json!({ "gates": gates }))
        }
        Refusal::IllegalTransition { from, to, allowed, detail } => problem(
            "illegal_transition",
            "There is no such edge",
            format!("{from} to {to}: {detail}"),
            json!({ "from": from, "to": to, "allowed": allowed }),
        ),
        Refusal::Conflict { reason, detail } => problem(
            "conflict",
            "The world is not as the command supposes",
            detail,
            json!({ "reason": reason }),
        ),
        Refusal::WrongState { status, allowed, detail } => problem(
            "conflict",
            "The fact does not belong into this state",
            detail,
            // RFC 9457 gives `status` to HTTP: the session's own stands beside it.
            json!({ "reason": "wrong_state", "current_status": status, "allowed": allowed }),
        ),
        Refusal::Invalid(flaws) => {
            let detail = flaws
                .iter()
                .take(FLAWS_IN_WORDS)
                .map(|flaw| format!("{}: {}", flaw.pointer, flaw.message))
                .collect::<Vec<_>>()
                .join("; ");
            problem("validation_failed", "The body cannot be true", detail, json!({ "errors": flaws }))
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match &self {
            Self::Internal(source) => tracing::error!(error = ?source, "a request failed"),
            Self::Unavailable(source) => tracing::warn!(error = %source, "the database is away"),
            Self::Malformed(_)
            | Self::Unauthenticated(_)
            | Self::CosignRefused { .. }
            | Self::Refused(_)
            | Self::VersionMismatch { .. }
            | Self::IdempotencyConflict
            | Self::TooLarge { .. }
            | Self::UnsupportedMediaType(_)
            | Self::TooMany { .. }
            | Self::CsvRejected(_)
            | Self::MethodNotAllowed
            | Self::Collided(_)
            | Self::OutcomeUnknown(_) => tracing::debug!(error = %self, "a request was refused"),
        }
        let Problem { code, title, detail, more } = self.describe();
        let status = Self::status(code);
        let mut body = json!({
            "type": format!("{}{code}", Self::TYPES),
            "title": title,
            "status": status.as_u16(),
            "code": code,
            "detail": detail,
        });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
