//! `job_run`: one firing of a schedule, and the lease of the daemon that runs it.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "job_run")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub schedule_id: Uuid,
    pub fire_at: DateTimeUtc,
    pub job_kind: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub params: Json,
    pub manual: bool,
    pub requested_by: Option<Uuid>,
    pub status: String,
    pub attempt: i32,
    pub max_attempts: i32,
    pub due_at: DateTimeUtc,
    pub lease_owner: Option<String>,
    pub lease_term: Option<i64>,
    pub leased_until: Option<DateTimeUtc>,
    pub started_at: Option<DateTimeUtc>,
    pub finished_at: Option<DateTimeUtc>,
    pub done: i64,
    pub total: i64,
    #[sea_orm(column_type = "JsonBinary")]
    pub outcome: Option<Json>,
    pub error: Option<String>,
    pub version: i64,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
