//! `table_inventory_session`: the root row of everything that happens at a table.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "table_inventory_session")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub table_id: Uuid,
    pub gaming_day: Date,
    pub shift_id: Option<Uuid>,
    pub status: String,
    pub bank_mode: String,
    pub need_total_cents: Option<i64>,
    pub predecessor_id: Option<Uuid>,
    pub opening_snapshot_id: Option<Uuid>,
    pub closing_snapshot_id: Option<Uuid>,
    pub drop_box_id: Option<Uuid>,
    pub drop_scheduled_for: Option<DateTimeUtc>,
    pub scheduled_from: Option<String>,
    pub dropped_through_seq: i32,
    pub opened_at: Option<DateTimeUtc>,
    pub opened_by: Option<Uuid>,
    pub activated_at: Option<DateTimeUtc>,
    pub activated_by: Option<Uuid>,
    pub dropped_at: Option<DateTimeUtc>,
    pub counted_at: Option<DateTimeUtc>,
    pub closing_started_at: Option<DateTimeUtc>,
    pub closing_started_by: Option<Uuid>,
    pub closed_at: Option<DateTimeUtc>,
    pub closed_by: Option<Uuid>,
    pub close_reason: Option<String>,
    pub close_note: Option<String>,
    pub requires_reconciliation: bool,
    pub reconciled_at: Option<DateTimeUtc>,
    pub finalized_at: Option<DateTimeUtc>,
    pub finalized_by: Option<Uuid>,
    pub created_at: DateTimeUtc,
    pub created_by: Uuid,
    pub version: i64,
}

impl ActiveModelBehavior for ActiveModel {}
