//! Answers on the wire: ETag, replay mark, and 304 for a reader who knows the version already.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};
use workflows::rundown::hex;

use super::extract::Reader;
use crate::answer::Answer;

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body)).into_response();
        if let Some(etag) = self.etag.and_then(|version| HeaderValue::from_str(&format!("\"{version}\"")).ok()) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        if self.replayed {
            response
                .headers_mut()
                .insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}

impl Reader {
    /// The body with its version as ETag, or 304 where the reader knows it.
    pub fn versioned(&self, body: &impl Serialize, version: i64) -> Response {
        self.tagged(body, version.to_string())
    }

    /// The body with a hash of itself as ETag: for what has no version of its own.
    pub fn hashed(&self, body: &impl Serialize) -> Response {
        self.tagged(body, Self::tag(body))
    }

    /// A hash of what is said.
    pub fn tag(body: &impl Serialize) -> String {
        let text = serde_json::to_vec(body).unwrap_or_default();
        hex(&Sha256::digest(&text)[..16])
    }

    pub fn tagged(&self, body: &impl Serialize, tag: String) -> Response {
        let quoted = format!("\"{tag}\"");
        let known = self.if_none_match.as_deref().is_some_and(|tags| {
            tags.split(',')
                .map(str::trim)
                .any(|known| known == "*" || known.trim_start_matches("W/") == quoted)
        });
        let mut answer = Answer {
            etag: Some(tag),
            ..Answer::ok(body)
        }
        .into_response();
        if known {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            *answer.body_mut() = axum::body::Body::empty();
            answer.headers_mut().remove(header::CONTENT_TYPE);
            answer.headers_mut().remove(header::CONTENT_LENGTH);
        }
        answer
    }
}
