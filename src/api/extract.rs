//! What a handler is given, and what is refused before it: every rejection is a problem, and names the field.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::app::App;
use crate::engine::{Envelope, Key, Principal, RequestHash};
use crate::error::Error;
use crate::observe::CorrelationId;

/// A reader: who speaks, and the version they know (`If-None-Match`).
pub struct Reader {
    pub envelope: Envelope,
    pub if_none_match: Option<String>,
}

/// A command: who speaks, under which key, and the body. Unknown fields are refused.
pub struct Posted<T> {
    pub envelope: Envelope,
    pub body: T,
}

/// A command that creates a fact: its `Idempotency-Key` is required (api.md "Idempotency").
pub struct Keyed<T>(pub Posted<T>);

/// A command whose body is a CSV file.
pub struct CsvFile {
    pub envelope: Envelope,
    pub bytes: Bytes,
}

/// An id in the path, on a route that takes no query.
pub struct Id(pub Uuid);

/// An id in the path, beside a query.
pub struct PathId(pub Uuid);

/// A command without fields.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoBody {}

/// A route without parameters.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// The query string. Unknown parameters are refused.
pub struct Params<T>(pub T);

/// The longest `Idempotency-Key`.
const MAX_KEY: usize = 200;

impl FromRequestParts<App> for Reader {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let if_none_match = parts
            .headers
            .get(header::IF_NONE_MATCH)
            .and_then(|value| value.to_str().ok())
            .map(ToOwned::to_owned);
        let subject = subject(parts, app)?;
        Ok(Self {
            envelope: envelope(parts, subject, &[])?,
            if_none_match,
        })
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Posted<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self, Error> {
        let (envelope, bytes) = read(request, app, "application/json", app.limits.body_bytes).await?;
        Ok(Self {
            envelope,
            body: parse(&bytes)?,
        })
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Keyed<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self, Error> {
        let posted = Posted::from_request(request, app).await?;
        if posted.envelope.key.is_none() {
            return Err(Error::Malformed("the header Idempotency-Key is required here".to_owned()));
        }
        Ok(Self(posted))
    }
}

impl FromRequest<App> for CsvFile {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self, Error> {
        let (envelope, bytes) = read(request, app, "text/csv", app.limits.csv_bytes).await?;
        if envelope.key.is_none() {
            return Err(Error::Malformed("the header Idempotency-Key is required here".to_owned()));
        }
        Ok(Self { envelope, bytes })
    }
}

impl FromRequestParts<App> for Id {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        Params::<NoParams>::from_request_parts(parts, app).await?;
        PathId::from_request_parts(parts, app).await.map(|PathId(id)| Self(id))
    }
}

impl FromRequestParts<App> for PathId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let path = axum::extract::Path::<BTreeMap<String, String>>::from_request_parts(parts, app).await;
        let id = path.ok().and_then(|path| path.get("id").and_then(|id| Uuid::parse_str(id).ok()));
        id.map(Self).ok_or_else(|| Error::Malformed("id: not a UUID".to_owned()))
    }
}

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Error> {
        let query = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        query.map(|axum::extract::Query(params)| Self(params)).map_err(|rejection| {
            let reason = std::error::Error::source(&rejection).map_or_else(|| rejection.to_string(), ToString::to_string);
            Error::Malformed(format!("query: {reason}"))
        })
    }
}

/// The body, whole, within its limit, of the type the route understands. An empty body needs no type.
async fn read(request: Request, app: &App, wanted: &'static str, limit: usize) -> Result<(Envelope, Bytes), Error> {
    let (mut parts, body) = request.into_parts();
    Params::<NoParams>::from_request_parts(&mut parts, app).await?;
    // Who speaks is asked first: a stranger cannot make the daemon read 16 MiB.
    let subject = subject(&parts, app)?;
    let declared = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(Error::TooLarge { limit });
    }
    let bytes = axum::body::to_bytes(body, limit).await.map_err(|error| {
        // The only other way a body ends early is a client that went away: nobody reads that answer.
        tracing::debug!(%error, "a body was not read");
        Error::TooLarge { limit }
    })?;
    let typed = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = typed.map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    if !bytes.is_empty() && essence.as_deref() != Some(wanted) {
        return Err(Error::UnsupportedMediaType(wanted));
    }
    Ok((envelope(&parts, subject, &bytes)?, bytes))
}

/// Parses a body; no body is an empty object, so that a command without fields needs none.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let text = if bytes.is_empty() { b"{}" } else { bytes };
    let mut json = serde_json::Deserializer::from_slice(text);
    let body = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner();
        Error::Malformed(if path == "." {
            format!("body: {reason}")
        } else {
            format!("{path}: {reason}")
        })
    })?;
    json.end().map_err(|error| Error::Malformed(format!("body: {error}")))?;
    Ok(body)
}

fn subject(parts: &Parts, app: &App) -> Result<String, Error> {
    let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = token else {
        return Err(Error::Unauthenticated("send Authorization: Bearer <token>".to_owned()));
    };
    let subject = app.verifier.subject(token.trim(), app.engine.clock().now());
    let subject = subject.map_err(|error| Error::Unauthenticated(error.to_string()))?;
    app.limiter.admit(&subject)?;
    Ok(subject)
}

fn envelope(parts: &Parts, subject: String, body: &[u8]) -> Result<Envelope, Error> {
    let correlation = parts
        .extensions
        .get::<CorrelationId>()
        .cloned()
        .unwrap_or_else(CorrelationId::generate);
    // Only what is asked under a key is ever compared.
    let key = key(&parts.headers)?.map(|name| Key {
        name,
        request: fingerprint(&subject, &format!("{} {}", parts.method, parts.uri.path()), body),
    });
    Ok(Envelope {
        principal: Principal::Subject(subject),
        correlation,
        key,
        if_match: if_match(&parts.headers)?,
    })
}

/// What a request is compared by under its `Idempotency-Key`: who sent it, where, and what. PINs are left out: a stored hash of a body would give
/// four digits away.
fn fingerprint(subject: &str, route: &str, body: &[u8]) -> RequestHash {
    let without_pins = serde_json::from_slice::<serde_json::Value>(body).map(|mut json| {
        forget_pins(&mut json);
        json.to_string().into_bytes()
    });
    RequestHash::of(subject, route, without_pins.as_deref().unwrap_or(body))
}

fn forget_pins(json: &mut serde_json::Value) {
    match json {
        serde_json::Value::Object(fields) => {
            fields.remove("pin");
            fields.values_mut().for_each(forget_pins);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(forget_pins),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) | serde_json::Value::String(_) => {}
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
    key.map(|key| Some(key.to_owned()))
        .ok_or_else(|| Error::Malformed("the header Idempotency-Key: 1 to 200 visible ASCII characters".to_owned()))
}

/// `If-Match: "<version>"`. `*` names no version and asks for nothing.
fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Error> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    text.trim_matches('"')
        .parse()
        .map(Some)
        .map_err(|_| Error::Malformed("the header If-Match: the version of an ETag, in quotes".to_owned()))
}
