//! `table_inventory_snapshot`: a tray count. Only its verification is ever added.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "table_inventory_snapshot")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub session_id: Uuid,
    pub kind: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub chipset: Json,
    pub total_cents: i64,
    pub counted_by: Uuid,
    pub counted_at: DateTimeUtc,
    pub verified_by: Option<Uuid>,
    pub verified_at: Option<DateTimeUtc>,
    pub expected_total_cents: Option<i64>,
    pub discrepancy_cents: Option<i64>,
    pub supersedes_id: Option<Uuid>,
    pub note: Option<String>,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
