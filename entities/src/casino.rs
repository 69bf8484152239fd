//! `casino`: settings and policies. The only table whose tenant is its own `id`.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "casino")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub timezone: String,
    pub gaming_day_start: Time,
    pub bank_mode: String,
    pub denominations_cents: Vec<i64>,
    pub opening_tolerance_cents: i64,
    pub par_tolerance_cents: i64,
    pub min_count_team: i32,
    pub drop_window_minutes: i32,
    pub delivery_limit_minutes: i32,
    pub drop_due_hours: i32,
    pub count_due_hours: i32,
    pub slip_scope: String,
    pub fill_series_open: bool,
    pub credit_series_open: bool,
    pub count_before_close: bool,
    pub cashier_receives_boxes: bool,
    pub hold_band_low_bp: Option<i32>,
    pub hold_band_high_bp: Option<i32>,
    pub pit_grind_share_bp: i32,
    pub version: i64,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
