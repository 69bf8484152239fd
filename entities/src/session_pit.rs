//! `session_pit`: where a table stood when its session was created.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "session_pit")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub session_id: Uuid,
    pub casino_id: Uuid,
    pub pit: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
