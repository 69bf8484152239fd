//! `table_drop_event`: one removal and the custody that follows.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "table_drop_event")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub session_id: Uuid,
    pub table_id: Uuid,
    pub drop_box_id: Uuid,
    pub drop_box_use: i64,
    pub replacement_box_id: Option<Uuid>,
    pub seal_no: String,
    pub seq_no: i32,
    pub gaming_day: Date,
    pub removed_in: String,
    pub scheduled_for: Option<DateTimeUtc>,
    pub removed_at: DateTimeUtc,
    pub removed_by: Uuid,
    pub witnessed_by: Uuid,
    pub emergency: bool,
    pub stood_on_table: bool,
    pub delivered_at: Option<DateTimeUtc>,
    pub delivered_by: Option<Uuid>,
    pub delivered_scan_at: Option<DateTimeUtc>,
    pub received_at: Option<DateTimeUtc>,
    pub received_by: Option<Uuid>,
    pub received_seal_no: Option<String>,
    pub counted_at: Option<DateTimeUtc>,
    pub note: Option<String>,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
