//! Dead letters: listed, and sent back by hand.

use chrono::{DateTime, Utc};
use entities::outbox::{Column, Entity};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::refusal::Refusal;

use super::{Changed, Tx, dressed, json_of, one_more, page};
use crate::answer::Answer;
use crate::error::Error;
use crate::store::fault::Fault;
use crate::store::list::{Page, Query, Window};

/// An event that could not be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// The event's own: its `event_id` once it is published.
    pub id: Uuid,
    pub casino_id: Uuid,
    pub event: String,
    pub schema_version: i32,
    /// What it is about.
    pub aggregate_id: Uuid,
    pub channels: Vec<String>,
    pub payload: Value,
    pub correlation_id: String,
    pub created_at: DateTime<Utc>,
    pub attempts: i32,
    /// Null once it was sent back.
    pub dead_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
}

impl Tx {
    pub(super) async fn redrive(&self, context: &Context, id: Uuid) -> Result<Changed, Error> {
        let row = Entity::find_by_id(id)
            .filter(Column::CasinoId.eq(context.casino.id))
            .one(self.connection())
            .await;
        let before: DeadLetter = dressed(&row.map_err(Fault::from)?.ok_or(Refusal::NotFound("event"))?)?;
        let sent: Option<DeadLetter> = self.json("SELECT relay_redrive($1) AS json", [id.into()]).await?;
        let Some(sent) = sent else {
            return Err(Refusal::conflict("not_dead", "the event is no dead letter; only such are sent back").into());
        };
        Ok(Changed::updated("outbox.redrive", "outbox", &json_of(&before)?, Answer::ok(&sent)))
    }
}

/// `GET /outbox/dead`.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetters {
    pub window: Window,
}

impl Query for DeadLetters {
    type Answer = Page<DeadLetter>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page<DeadLetter>, Error> {
        let rows = Entity::find()
            .filter(Column::CasinoId.eq(context.casino.id))
            .filter(Column::DeadAt.is_not_null())
            .apply_if(self.window.after, |rows, after| rows.filter(Column::Id.gt(after)))
            .order_by_asc(Column::Id)
            .limit(one_more(self.window).unsigned_abs());
        let rows = rows.all(tx.connection()).await.map_err(Fault::from)?;
        let letters = rows.iter().map(dressed).collect::<Result<_, _>>()?;
        Ok(page(letters, self.window, |letter: &DeadLetter| letter.id))
    }
}
