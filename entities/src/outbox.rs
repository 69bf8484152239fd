//! `outbox`: events written with the change they tell of. `position` is the database's: leave it unset on insert. What publication writes is the
//! relay's: its functions write it, and nobody else may.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub position: i64,
    pub event: String,
    pub schema_version: i32,
    pub aggregate_id: Uuid,
    pub channels: Vec<String>,
    #[sea_orm(column_type = "JsonBinary")]
    pub payload: Json,
    pub correlation_id: String,
    pub created_at: DateTimeUtc,
    pub seq: Option<i64>,
    pub published_at: Option<DateTimeUtc>,
    pub attempts: i32,
    pub next_attempt_at: Option<DateTimeUtc>,
    pub dead_at: Option<DateTimeUtc>,
    pub last_error: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
