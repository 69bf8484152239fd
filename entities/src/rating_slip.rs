//! `rating_slip`: one seat of one visit at one table.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "rating_slip")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub visit_id: Uuid,
    pub table_id: Uuid,
    pub game_type: String,
    pub status: String,
    pub seat: Option<String>,
    pub average_bet_cents: Option<i64>,
    pub started_at: DateTimeUtc,
    pub played_seconds: i64,
    pub resumed_at: Option<DateTimeUtc>,
    pub ended_at: Option<DateTimeUtc>,
    pub previous_slip_id: Option<Uuid>,
    pub move_group_id: Uuid,
    pub opened_by: Uuid,
    pub closed_by: Option<Uuid>,
    pub version: i64,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
