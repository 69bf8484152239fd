//! `webhook_delivery`: one attempt to post one event, and what came of it.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_delivery")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub webhook_id: Uuid,
    pub seq: i64,
    pub event_id: Uuid,
    pub event: String,
    pub attempt: i32,
    pub delivered: bool,
    pub status: Option<i32>,
    pub error: Option<String>,
    pub duration_ms: i32,
    pub at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
