//! `staff`: who may act, in which casino and role. The PIN's hash is left out wherever a row is serialized.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "staff")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub external_subject: String,
    pub employee_no: String,
    pub name: String,
    pub role: String,
    pub status: String,
    #[serde(skip_serializing)]
    pub pin_hash: Option<String>,
    pub failed_pins: i32,
    pub pin_locked_until: Option<DateTimeUtc>,
    pub version: i64,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
