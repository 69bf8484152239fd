//! `drop_box`: one row says where the box is, and which use of it runs.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "drop_box")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub label: String,
    pub table_id: Option<Uuid>,
    pub kind: String,
    pub on_table_id: Option<Uuid>,
    pub use_no: i64,
    pub version: i64,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
