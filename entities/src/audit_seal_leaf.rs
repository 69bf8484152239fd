//! `audit_seal_leaf`: which audit row stands where under its seal. Append-only.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "audit_seal_leaf")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub casino_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seal_no: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    pub audit_id: Uuid,
    pub leaf_hash: String,
}

impl ActiveModelBehavior for ActiveModel {}
