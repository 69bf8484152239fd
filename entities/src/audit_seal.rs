//! `audit_seal`: batches of audit rows, chained and signed. Append-only.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "audit_seal")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub casino_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seal_no: i64,
    pub first_row: Uuid,
    pub last_row: Uuid,
    pub row_count: i64,
    pub merkle_root: String,
    pub previous_root: String,
    pub root: String,
    pub public_key: String,
    pub signature: String,
    pub sealed_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
