//! `metric_checkpoint`: the figures of a window as they stood at a moment.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "metric_checkpoint")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub window_start: DateTimeUtc,
    pub window_end: DateTimeUtc,
    pub shift_id: Option<Uuid>,
    pub gaming_day: Option<Date>,
    pub note: Option<String>,
    pub figures: Json,
    pub taken_by: Uuid,
    pub taken_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
