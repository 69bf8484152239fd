//! `signature`: who did what, in which role, and how they proved to be themselves. Append-only.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "signature")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub casino_id: Uuid,
    pub session_id: Option<Uuid>,
    pub subject_kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject_id: Uuid,
    pub act: String,
    pub staff_id: Uuid,
    pub role: String,
    pub method: String,
    pub signed_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
