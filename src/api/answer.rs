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

    /// The tags a reader holds, as they were given out.
    pub fn known_tags(&self) -> Vec<String> {
        let told = self.if_none_match.as_deref().unwrap_or_default();
        let tags = told.split(',').map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'));
        tags.filter(|tag| !tag.is_empty()).map(ToOwned::to_owned).collect()
    }

    /// 304: what the reader holds is still so.
    pub fn unchanged(tag: String) -> Response {
        Answer {
            status: StatusCode::NOT_MODIFIED,
            body: serde_json::Value::Null,
            etag: Some(tag),
            replayed: false,
        }
        .bodiless()
    }

    pub fn tagged(&self, body: &impl Serialize, tag: String) -> Response {
        let quoted = format!("\"{tag}\"");
        let known = self.if_none_match.as_deref().is_some_and(|tags| {
            tags.split(',')
                .map(str::trim)
                .any(|known| known == "*" || known.trim_start_matches("W/") == quoted)
        });
        if known {
            return Self::unchanged(tag);
        }
        Answer {
            etag: Some(tag),
            ..Answer::ok(body)
        }
        .into_response()
    }
}

impl Answer {
    /// Its status and its headers, and nothing to read.
    fn bodiless(self) -> Response {
        let mut response = self.into_response();
        *response.body_mut() = axum::body::Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response
    }
}
