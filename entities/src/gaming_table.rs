//! `gaming_table`: a table on the floor, in service or not.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "gaming_table")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub label: String,
    #[sea_orm(column_name = "type")]
    #[serde(rename = "type")]
    pub game: String,
    pub pit: Option<String>,
    pub status: String,
    pub version: i64,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
