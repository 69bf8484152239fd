//! `reconciliation_exception`: what a person must explain before a session is final.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "reconciliation_exception")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub session_id: Uuid,
    pub category: String,
    pub subject_kind: String,
    pub subject_id: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub expected: Option<Json>,
    #[sea_orm(column_type = "JsonBinary")]
    pub found: Option<Json>,
    pub variance_cents: Option<i64>,
    #[sea_orm(column_type = "JsonBinary")]
    pub detail: Json,
    pub status: String,
    pub due_at: Option<DateTimeUtc>,
    pub owner: Option<Uuid>,
    pub reason_code: Option<String>,
    pub resolution_note: Option<String>,
    pub acknowledged_by: Option<Uuid>,
    pub acknowledged_at: Option<DateTimeUtc>,
    pub resolved_by: Option<Uuid>,
    pub resolved_at: Option<DateTimeUtc>,
    pub detected_by: Option<Uuid>,
    pub detected_at: DateTimeUtc,
    pub no_longer_observed_at: Option<DateTimeUtc>,
    pub version: i64,
}

impl ActiveModelBehavior for ActiveModel {}
