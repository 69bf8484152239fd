//! `metric_stamp`: how often anything changed that a table's figures could be made of.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "metric_stamp")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub casino_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub table_id: Uuid,
    pub changes: i64,
}

impl ActiveModelBehavior for ActiveModel {}
