//! `soft_count_table_result`: one box counted. Append-only; a recount supersedes.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "soft_count_table_result")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub session_id: Uuid,
    pub drop_event_id: Uuid,
    pub standing: String,
    pub drop_total_cents: i64,
    pub count_1_cents: i64,
    pub count_2_cents: i64,
    pub agreed_cents: Option<i64>,
    #[sea_orm(column_type = "JsonBinary")]
    pub evidence_manifest: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub manifest: Json,
    pub team: Vec<Uuid>,
    pub counted_at: DateTimeUtc,
    pub counted_by: Uuid,
    pub batch_ref: Option<String>,
    pub supersedes_id: Option<Uuid>,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
