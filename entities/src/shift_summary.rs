//! `shift_rundown_summary`: what a closed shift proves.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "shift_rundown_summary")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub shift_id: Uuid,
    pub casino_id: Uuid,
    pub status: String,
    pub sessions: i32,
    pub finalized: i32,
    pub cancelled: i32,
    pub fills_total_cents: Option<i64>,
    pub credits_total_cents: Option<i64>,
    pub drop_total_cents: Option<i64>,
    pub win_loss_stat_cents: Option<i64>,
    pub hold_bp: Option<i64>,
    pub skipped: i32,
    pub metric_grade: String,
    pub lines: Json,
    pub computed_at: DateTimeUtc,
    pub ready_at: Option<DateTimeUtc>,
    pub version: i64,
}

impl ActiveModelBehavior for ActiveModel {}
