//! `schedule`: when a job is run.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "schedule")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub name: String,
    pub job_kind: String,
    pub cron: String,
    pub timezone: String,
    pub gap: String,
    pub fold: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub params: Json,
    pub enabled: bool,
    pub catch_up: String,
    pub catch_up_max: i32,
    pub catch_up_window_minutes: i32,
    pub overlap: String,
    pub max_attempts: i32,
    pub next_fire_at: Option<DateTimeUtc>,
    pub missed_firings: i64,
    pub version: i64,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
