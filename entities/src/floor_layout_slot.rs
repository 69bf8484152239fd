//! `floor_layout_slot`: a place for a table in one drawing.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "floor_layout_slot")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub layout_version_id: Uuid,
    pub slot_label: String,
    pub game_type: String,
    pub pit_id: Option<Uuid>,
    pub preferred_table_id: Option<Uuid>,
}

impl ActiveModelBehavior for ActiveModel {}
