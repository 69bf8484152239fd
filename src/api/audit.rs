//! The audit log, read by compliance.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use workflows::act;

use super::extract::{Params, Reader};
use crate::app::App;
use crate::error::Error;
use crate::store::list::{Audit, Page, Window};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AuditFilter {
    session_id: Option<Uuid>,
    actor_id: Option<Uuid>,
    correlation_id: Option<String>,
    domain: Option<String>,
    /// Inclusive.
    from: Option<DateTime<Utc>>,
    /// Exclusive.
    to: Option<DateTime<Utc>>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// One command, as it was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditRow {
    id: Uuid,
    casino_id: Uuid,
    ts: DateTime<Utc>,
    actor_id: Uuid,
    domain: String,
    action: String,
    session_id: Option<Uuid>,
    /// By table: of changed rows the columns that differ, as they were.
    dto_before: Option<Value>,
    /// By table: the same as they are, and new rows, without `casino_id` and without `session_id` where they are this row's own.
    dto_after: Option<Value>,
    correlation_id: String,
}

/// Lists the audit log, oldest first.
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditFilter), responses((status = 200, body = Page<AuditRow>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<AuditFilter>) -> Result<Response, Error> {
    let query = Audit {
        window: Window::parse(filter.limit, filter.cursor.as_deref())?,
        session_id: filter.session_id,
        actor_id: filter.actor_id,
        correlation_id: filter.correlation_id,
        domain: filter.domain,
        from: filter.from,
        to: filter.to,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_AUDIT, &query).await?;
    Ok(reader.hashed(&page))
}
