//! `rollup`: what a table, a pit or the casino comes to, by shift or by gaming day.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "rollup")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub casino_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub cell_key: String,
    pub grain: String,
    pub by: String,
    pub gaming_day: Date,
    pub shift_id: Option<Uuid>,
    pub table_id: Option<Uuid>,
    pub pit: Option<String>,
    pub sessions: i32,
    pub tables: i32,
    pub covered_tables: i32,
    pub authoritative_sessions: i32,
    pub late_sessions: i32,
    pub opening_total_cents: Option<i64>,
    pub opening_skipped: i32,
    pub closing_total_cents: Option<i64>,
    pub closing_skipped: i32,
    pub fills_total_cents: Option<i64>,
    pub fills_skipped: i32,
    pub credits_total_cents: Option<i64>,
    pub credits_skipped: i32,
    pub drop_total_cents: Option<i64>,
    pub drop_skipped: i32,
    pub win_loss_stat_cents: Option<i64>,
    pub win_loss_stat_skipped: i32,
    pub hold_drop_cents: Option<i64>,
    pub hold_bp: Option<i64>,
    pub version: i64,
    pub computed_at: DateTimeUtc,
    pub source_hash: String,
}

impl ActiveModelBehavior for ActiveModel {}
