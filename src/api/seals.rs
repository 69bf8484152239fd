//! Sealed audit: the seals, and whether what they seal is still as it was.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use workflows::act;
use workflows::seal::Seal;

use super::extract::{Params, Reader};
use crate::app::App;
use crate::error::Error;
use crate::observe::metrics;
use crate::store::list::{Page, Window};
use crate::store::seals::{Seals, Verified, Verify};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SealFilter {
    limit: Option<u64>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Stretch {
    /// The first seal to look at, 1 unless given.
    from_seal: Option<i64>,
    /// The last one; at most ten are looked at in one request.
    to_seal: Option<i64>,
}

/// Lists the seals of the audit log, oldest first.
#[utoipa::path(get, path = "/audit/seals", tag = "audit", params(SealFilter), responses((status = 200, body = Page<Seal>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<SealFilter>) -> Result<Response, Error> {
    let query = Seals {
        limit: Window::parse(filter.limit, None)?.limit,
        after: filter.cursor.as_deref().map(Seals::cursor).transpose()?.unwrap_or_default(),
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_AUDIT, &query).await?;
    Ok(reader.hashed(&page))
}

/// Holds the audit log against its seals, ten at a time; what was changed, dropped or put in is named.
#[utoipa::path(get, path = "/audit/verify", tag = "audit", params(Stretch), responses((status = 200, body = Verified)))]
pub async fn verify(State(app): State<App>, reader: Reader, Params(stretch): Params<Stretch>) -> Result<Response, Error> {
    let from_seal = stretch.from_seal.unwrap_or(1);
    if from_seal < 1 {
        return Err(Error::Malformed("from_seal: seals are numbered from 1".to_owned()));
    }
    if stretch.to_seal.is_some_and(|to_seal| to_seal < from_seal) {
        return Err(Error::Malformed("to_seal: before from_seal".to_owned()));
    }
    let query = Verify {
        from_seal,
        to_seal: stretch.to_seal,
    };
    let (_, verified) = app.engine.list(&reader.envelope, act::READ_AUDIT, &query).await?;
    if let Some(first) = &verified.first_break {
        metrics::audit_broken(verified.breaks.len());
        tracing::error!(seal = first.seal_no, row = ?first.row_id, kind = %first.kind, "the audit log is not as it was sealed");
    }
    Ok(reader.hashed(&verified))
}
