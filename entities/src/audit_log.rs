//! `audit_log`: every change, by whom and under which request. Append-only.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "audit_log")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub casino_id: Uuid,
    pub ts: DateTimeUtc,
    pub actor_id: Uuid,
    pub domain: String,
    pub action: String,
    pub session_id: Option<Uuid>,
    pub other_session_ids: Option<Vec<Uuid>>,
    #[sea_orm(column_type = "JsonBinary")]
    pub dto_before: Option<Json>,
    #[sea_orm(column_type = "JsonBinary")]
    pub dto_after: Option<Json>,
    pub correlation_id: String,
}

impl ActiveModelBehavior for ActiveModel {}
