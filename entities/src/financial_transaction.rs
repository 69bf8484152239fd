//! `player_financial_transaction`: money that passed between a player and the house.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "player_financial_transaction")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub player_id: Uuid,
    pub visit_id: Option<Uuid>,
    pub rating_slip_id: Option<Uuid>,
    pub direction: String,
    pub kind: String,
    pub corrects_id: Option<Uuid>,
    pub amount_cents: i64,
    pub tender_type: Option<String>,
    pub gaming_day: Date,
    pub occurred_at: DateTimeUtc,
    pub note: Option<String>,
    pub idempotency_key: String,
    pub created_by_staff_id: Uuid,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
