//! `table_rundown_report`: what the session proves the table won. Immutable once finalized.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "table_rundown_report")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub session_id: Uuid,
    pub opening_total_cents: Option<i64>,
    pub opening_snapshot_id: Option<Uuid>,
    pub opening_source: String,
    pub closing_total_cents: Option<i64>,
    pub closing_snapshot_id: Option<Uuid>,
    pub fills_total_cents: i64,
    pub fill_ids: Vec<Uuid>,
    pub credits_total_cents: i64,
    pub credit_ids: Vec<Uuid>,
    pub inventory_result_cents: Option<i64>,
    pub drop_total_cents: Option<i64>,
    pub soft_count_ids: Vec<Uuid>,
    pub win_loss_stat_cents: Option<i64>,
    pub hold_bp: Option<i64>,
    pub missing_inputs: Vec<String>,
    pub metric_grade: String,
    pub par_variance_cents: Option<i64>,
    pub count_status: String,
    pub computed_at: DateTimeUtc,
    pub input_hash: String,
    pub finalized_at: Option<DateTimeUtc>,
    pub finalized_by: Option<Uuid>,
}

impl ActiveModelBehavior for ActiveModel {}
