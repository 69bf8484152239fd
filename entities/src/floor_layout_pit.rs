//! `floor_layout_pit`: a pit of one drawing.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "floor_layout_pit")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub layout_version_id: Uuid,
    pub label: String,
    pub sequence: i32,
}

impl ActiveModelBehavior for ActiveModel {}
