//! `webhook`: where events are posted, how far the receiver has come, and the lease of the daemon whose turn it is.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "webhook")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub url: String,
    pub description: Option<String>,
    pub events: Option<Vec<String>>,
    pub channels: Option<Vec<String>>,
    pub created_by: Uuid,
    pub secret_since: DateTimeUtc,
    pub cursor_seq: i64,
    pub delivered_at: Option<DateTimeUtc>,
    pub failures: i32,
    pub failing_since: Option<DateTimeUtc>,
    pub next_attempt_at: Option<DateTimeUtc>,
    pub disabled_at: Option<DateTimeUtc>,
    pub disabled_reason: Option<String>,
    pub lease_owner: Option<String>,
    pub lease_term: Option<i64>,
    pub leased_until: Option<DateTimeUtc>,
    pub version: i64,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
