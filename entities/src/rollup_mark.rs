//! `rollup_mark`: a cell that a fact has touched, until the recompute has brought it in.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "rollup_mark")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub casino_id: Uuid,
    pub gaming_day: Date,
    pub shift_id: Option<Uuid>,
    pub table_id: Uuid,
    pub marked_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
