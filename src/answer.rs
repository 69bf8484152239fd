//! What is answered with success: a status, a body, the version it leaves behind.

use axum::http::StatusCode;
use serde_json::Value;

/// An answer, before it is put on the wire.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
    pub etag: Option<String>,
    pub replayed: bool,
}

impl Answer {
    pub fn new(status: StatusCode, body: &impl serde::Serialize) -> Self {
        let body = serde_json::to_value(body).unwrap_or_default();
        Self {
            status,
            body,
            etag: None,
            replayed: false,
        }
    }

    pub fn ok(body: &impl serde::Serialize) -> Self {
        Self::new(StatusCode::OK, body)
    }

    pub fn created(body: &impl serde::Serialize) -> Self {
        Self::new(StatusCode::CREATED, body)
    }

    #[must_use]
    pub fn version(self, version: i64) -> Self {
        Self {
            etag: Some(version.to_string()),
            ..self
        }
    }
}
