//! `slip_counter`: the last number given in a series.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "slip_counter")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub casino_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub slip_scope: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope_key: String,
    pub last_no: i64,
}

impl ActiveModelBehavior for ActiveModel {}
