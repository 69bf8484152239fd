//! `event_feed`: how far each casino's feed goes. The relay's functions write it.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "event_feed")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub casino_id: Uuid,
    pub last_seq: i64,
}

impl ActiveModelBehavior for ActiveModel {}
