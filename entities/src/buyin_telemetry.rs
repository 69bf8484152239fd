//! `table_buyin_telemetry`: a buy-in, or a correction of one, as the pit saw it. Written once.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "table_buyin_telemetry")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub gaming_day: Date,
    pub table_id: Uuid,
    pub visit_id: Option<Uuid>,
    pub rating_slip_id: Option<Uuid>,
    pub amount_cents: i64,
    pub telemetry_kind: String,
    pub source: String,
    pub tender_type: Option<String>,
    pub occurred_at: DateTimeUtc,
    pub actor_id: Uuid,
    pub note: Option<String>,
    pub idempotency_key: Option<String>,
    pub reverses_id: Option<Uuid>,
    pub is_late: bool,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
