//! `session_transition`: the edges a session took.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "session_transition")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub casino_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub session_id: Uuid,
    pub verb: String,
    pub from_status: String,
    pub to_status: String,
    pub trigger: String,
    pub note: Option<String>,
    pub taken_by: Uuid,
    pub taken_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
