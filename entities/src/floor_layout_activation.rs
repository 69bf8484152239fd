//! `floor_layout_activation`: from when to when the floor stood by a drawing, and what became of its tables.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "floor_layout_activation")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub layout_id: Uuid,
    pub layout_version_id: Uuid,
    pub request_id: String,
    pub activated_by: Uuid,
    pub activated_at: DateTimeUtc,
    #[sea_orm(column_type = "JsonBinary")]
    pub outcome: Json,
    pub deactivated_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
