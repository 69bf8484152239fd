//! `webhook_secret`: what signs. No query of this entity would be let through: the application role may not read the secrets.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_secret")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub webhook_id: Uuid,
    pub casino_id: Uuid,
    pub secret: Vec<u8>,
    pub former: Option<Vec<u8>>,
    pub former_until: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
