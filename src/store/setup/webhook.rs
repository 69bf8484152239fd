//! Webhooks, as an admin makes them (domain §13). The secret is written here and read nowhere in this room: only `webhook_take` gives it
//! out, to be signed with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use entities::{webhook, webhook_delivery};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, ModelTrait as _, PaginatorTrait as _, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::refusal::Refusal;
use workflows::word::DisabledReason;

use super::form::{Form, flaw_of_text, given};
use super::{Changed, Tx, dressed, expect_version, json_of, one_more, page};
use crate::answer::Answer;
use crate::error::Error;
use crate::store::fault::Fault;
use crate::store::list::{Page, Query, Window};

/// Webhooks of one casino: each costs a request for every event, and one turn in the daemon.
const MOST_WEBHOOKS: u64 = 32;
/// Names or channels in one filter; the schema says the same.
const MOST_FILTERED: usize = 64;
const MAX_URL: usize = 2000;
const MAX_DESCRIPTION: usize = 200;
const MAX_EVENT: usize = 64;
/// What Standard Webhooks recommends: 24 to 64 bytes.
const SECRET_BYTES: usize = 32;
/// How long the secret before may go on signing beside the new one.
pub const LONGEST_GRACE_SECONDS: u32 = 7 * 24 * 60 * 60;

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Webhook {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub url: String,
    pub description: Option<String>,
    /// Names of events that are sent; null for all.
    pub events: Option<Vec<String>>,
    /// Channels whose events are sent; null for all.
    pub channels: Option<Vec<String>>,
    pub created_by: Uuid,
    /// When the secret in use was made.
    pub secret_since: DateTime<Utc>,
    /// Everything up to here was taken by the receiver, or was not for it.
    pub cursor_seq: i64,
    pub delivered_at: Option<DateTime<Utc>>,
    /// Attempts in vain since the last delivery.
    pub failures: i32,
    pub failing_since: Option<DateTime<Utc>>,
    /// By the database's clock.
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub disabled_at: Option<DateTime<Utc>>,
    pub disabled_reason: Option<DisabledReason>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// A new webhook.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// `https://…`, on the public Internet unless the daemon's settings say otherwise.
    pub url: String,
    #[serde(default)]
    pub description: Option<String>,
    /// Names of events; all unless given.
    #[serde(default)]
    pub events: Option<Vec<String>>,
    /// `{casino_id}` or `{casino_id}:{resource_id}`; all unless given.
    #[serde(default)]
    pub channels: Option<Vec<String>>,
    /// Begins after this `seq`; with what comes from now on unless given.
    #[serde(default)]
    pub after_seq: Option<i64>,
}

/// What may change of a webhook; what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookChange {
    #[serde(default, deserialize_with = "given")]
    pub url: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub description: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>)]
    pub events: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>)]
    pub channels: Option<Option<Vec<String>>>,
    /// false: nothing is sent, nothing is lost as long as the events are kept. true: it goes on where it stood.
    #[serde(default, deserialize_with = "given")]
    pub enabled: Option<bool>,
}

/// What a webhook's requests are signed with. Whoever made it may show it, once.
#[derive(Clone, Debug)]
pub struct SigningSecret(SecretString);

impl SigningSecret {
    pub fn make() -> Self {
        Self(SecretString::from(STANDARD.encode(rand::random::<[u8; SECRET_BYTES]>())))
    }

    /// As Standard Webhooks writes it.
    pub fn told(&self) -> String {
        format!("whsec_{}", self.0.expose_secret())
    }
}

/// A webhook's URL as it was judged by whoever knows what the daemon may reach: the URL as it is stored, or its flaw.
pub type JudgedUrl = Result<String, String>;

impl Tx {
    pub(super) async fn add_webhook(
        &self,
        context: &Context,
        new: &NewWebhook,
        url: &JudgedUrl,
        secret: &SigningSecret,
    ) -> Result<Changed, Error> {
        let head = self.feed_head(context).await?;
        let mut form = Form::default();
        if new.after_seq.is_some_and(|after| !(0..=head).contains(&after)) {
            form.flaw("/after_seq", format!("must be 0 to {head}, the last seq so far"));
        }
        let row = webhook::Model {
            id: (context.new_id)(),
            casino_id: context.casino.id,
            url: judged(&mut form, url),
            description: described(&mut form, new.description.as_deref()),
            events: named(&mut form, new.events.as_deref()),
            channels: heard(&mut form, context, new.channels.as_deref()),
            created_by: context.caller.id,
            secret_since: context.at,
            cursor_seq: new.after_seq.unwrap_or(head),
            delivered_at: None,
            failures: 0,
            failing_since: None,
            next_attempt_at: None,
            disabled_at: None,
            disabled_reason: None,
            lease_owner: None,
            lease_term: None,
            leased_until: None,
            version: 1,
            created_at: context.at,
        };
        form.judge()?;
        self.expect_room(context).await?;
        let id = row.id;
        // Without reading it back: every column of it is known.
        self.insert_all(vec![row.clone()]).await?;
        self.keep_secret(id, secret, 0).await?;
        let webhook: Webhook = dressed(&row)?;
        Ok(Changed::created(
            "webhook.create",
            "webhook",
            Answer::created(&webhook).version(webhook.version),
        ))
    }

    pub(super) async fn change_webhook(
        &self,
        context: &Context,
        id: Uuid,
        change: &WebhookChange,
        url: Option<&JudgedUrl>,
        if_match: Option<i64>,
    ) -> Result<Changed, Error> {
        let was = self.lock_webhook(context, id).await?;
        expect_version(if_match, was.version)?;
        let mut form = Form::default();
        let mut is = was.clone();
        if let Some(url) = url {
            is.url = judged(&mut form, url);
        }
        if let Some(description) = &change.description {
            is.description = described(&mut form, description.as_deref());
        }
        if let Some(events) = &change.events {
            is.events = named(&mut form, events.as_deref());
        }
        if let Some(channels) = &change.channels {
            is.channels = heard(&mut form, context, channels.as_deref());
        }
        form.judge()?;
        match change.enabled {
            Some(true) if is.disabled_at.is_some() => revive(&mut is),
            Some(false) if is.disabled_at.is_none() => {
                is.disabled_at = Some(context.at);
                is.disabled_reason = Some(DisabledReason::ByHand.to_string());
            }
            Some(_) | None => {}
        }
        if is.url != was.url {
            // Another receiver: what the one before failed at says nothing of it.
            forget_failures(&mut is);
        }
        if is != was {
            is.version += 1;
            self.replace(was.clone(), &is).await?;
        }
        let (was, is): (Webhook, Webhook) = (dressed(&was)?, dressed(&is)?);
        Ok(Changed::updated(
            "webhook.change",
            "webhook",
            &json_of(&was)?,
            Answer::ok(&is).version(is.version),
        ))
    }

    pub(super) async fn rotate_webhook_secret(
        &self,
        context: &Context,
        id: Uuid,
        secret: &SigningSecret,
        grace_seconds: u32,
        if_match: Option<i64>,
    ) -> Result<Changed, Error> {
        let was = self.lock_webhook(context, id).await?;
        expect_version(if_match, was.version)?;
        let mut form = Form::default();
        form.within("/grace_seconds", &grace_seconds, &(0..=LONGEST_GRACE_SECONDS));
        form.judge()?;
        self.keep_secret(id, secret, grace_seconds).await?;
        let is = webhook::Model {
            secret_since: context.at,
            version: was.version + 1,
            ..was.clone()
        };
        self.replace(was.clone(), &is).await?;
        let (was, is): (Webhook, Webhook) = (dressed(&was)?, dressed(&is)?);
        Ok(Changed::updated(
            "webhook.rotate_secret",
            "webhook",
            &json_of(&was)?,
            Answer::ok(&is).version(is.version),
        ))
    }

    /// Takes it away with its secrets and its log. The audit log keeps what it was.
    pub(super) async fn delete_webhook(&self, context: &Context, id: Uuid, if_match: Option<i64>) -> Result<Changed, Error> {
        let was = self.lock_webhook(context, id).await?;
        expect_version(if_match, was.version)?;
        let webhook: Webhook = dressed(&was)?;
        was.delete(self.connection()).await.map_err(Fault::from)?;
        Ok(Changed::deleted("webhook.delete", "webhook", Answer::ok(&webhook)))
    }

    async fn lock_webhook(&self, context: &Context, id: Uuid) -> Result<webhook::Model, Error> {
        let row = webhook::Entity::find_by_id(id)
            .filter(webhook::Column::CasinoId.eq(context.casino.id))
            .lock(LockType::NoKeyUpdate);
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        Ok(row.ok_or(Refusal::NotFound("webhook"))?)
    }

    async fn expect_room(&self, context: &Context) -> Result<(), Error> {
        let rows = webhook::Entity::find().filter(webhook::Column::CasinoId.eq(context.casino.id));
        let known = rows.count(self.connection()).await.map_err(Fault::from)?;
        if known < MOST_WEBHOOKS {
            return Ok(());
        }
        let detail = format!("the casino has {MOST_WEBHOOKS} webhooks: delete one that is no longer needed");
        Err(Refusal::conflict("too_many_webhooks", detail).into())
    }

    async fn feed_head(&self, context: &Context) -> Result<i64, Fault> {
        const HEAD: &str = "SELECT to_jsonb(COALESCE((SELECT f.last_seq FROM event_feed AS f WHERE f.casino_id = $1), 0)) AS json";
        self.json(HEAD, [context.casino.id.into()]).await
    }

    async fn keep_secret(&self, id: Uuid, secret: &SigningSecret, grace_seconds: u32) -> Result<(), Error> {
        const KEEP: &str = "SELECT to_jsonb(webhook_keep_secret($1, decode($2, 'base64'), $3)) AS json";
        let values = [id.into(), secret.0.expose_secret().into(), i64::from(grace_seconds).into()];
        let kept: bool = self.json(KEEP, values).await?;
        if kept { Ok(()) } else { Err(Refusal::NotFound("webhook").into()) }
    }
}

/// Begins anew where it stood, at once.
fn revive(webhook: &mut webhook::Model) {
    webhook.disabled_at = None;
    webhook.disabled_reason = None;
    forget_failures(webhook);
}

fn forget_failures(webhook: &mut webhook::Model) {
    webhook.failures = 0;
    webhook.failing_since = None;
    webhook.next_attempt_at = None;
}

fn judged(form: &mut Form, url: &JudgedUrl) -> String {
    match url {
        Ok(url) if url.len() <= MAX_URL => url.clone(),
        Ok(_) => {
            form.flaw("/url", format!("longer than {MAX_URL} characters"));
            String::new()
        }
        Err(flaw) => {
            form.flaw("/url", flaw.as_str());
            String::new()
        }
    }
}

fn described(form: &mut Form, description: Option<&str>) -> Option<String> {
    description.map(|text| form.text("/description", text, MAX_DESCRIPTION))
}

/// The names, each once: a filter that names an event twice does not send it twice.
fn named(form: &mut Form, names: Option<&[String]>) -> Option<Vec<String>> {
    let names = filtered(form, "/events", names)?;
    for (place, name) in names.iter().enumerate() {
        let pointer = format!("/events/{place}");
        if let Some(flaw) = flaw_of_text(name, MAX_EVENT) {
            form.flaw(&pointer, flaw);
        } else if workflows::event::Name::parse(name).is_none() {
            form.flaw(&pointer, "no event of the catalog (GET /api/v1/events/schemas)");
        }
    }
    Some(names)
}

fn heard(form: &mut Form, context: &Context, channels: Option<&[String]>) -> Option<Vec<String>> {
    let channels = filtered(form, "/channels", channels)?;
    let casino = context.casino.id.to_string();
    for (place, channel) in channels.iter().enumerate() {
        let of_a_resource = |rest: &str| Uuid::parse_str(rest).is_ok() || rest == workflows::event::INTERNAL;
        let is_own = match channel.split_once(':') {
            Some((of, rest)) => of == casino && of_a_resource(rest),
            None => *channel == casino,
        };
        if !is_own {
            form.flaw(
                &format!("/channels/{place}"),
                format!("no channel of this casino, such as {casino} or {casino}:<id of a table>"),
            );
        }
    }
    Some(channels)
}

fn filtered(form: &mut Form, pointer: &str, given: Option<&[String]>) -> Option<Vec<String>> {
    let given = given?;
    if !(1..=MOST_FILTERED).contains(&given.len()) {
        form.flaw(pointer, format!("1 to {MOST_FILTERED}; leave it out, or null, for all"));
        return None;
    }
    let mut kept = given.to_vec();
    kept.sort();
    kept.dedup();
    Some(kept)
}

/// `GET /webhooks`.
#[derive(Clone, Copy, Debug)]
pub struct Webhooks {
    pub window: Window,
}

impl Query for Webhooks {
    type Answer = Page<Webhook>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page<Webhook>, Error> {
        use webhook::{Column, Entity};
        let rows = Entity::find()
            .filter(Column::CasinoId.eq(context.casino.id))
            .apply_if(self.window.after, |rows, after| rows.filter(Column::Id.gt(after)))
            .order_by_asc(Column::Id)
            .limit(one_more(self.window).unsigned_abs());
        let rows = rows.all(tx.connection()).await.map_err(Fault::from)?;
        let webhooks = rows.iter().map(dressed).collect::<Result<_, _>>()?;
        Ok(page(webhooks, self.window, |webhook: &Webhook| webhook.id))
    }
}

/// One webhook.
#[derive(Clone, Copy, Debug)]
pub struct OneWebhook(pub Uuid);

impl Query for OneWebhook {
    type Answer = Webhook;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Webhook, Error> {
        let row = webhook::Entity::find_by_id(self.0).filter(webhook::Column::CasinoId.eq(context.casino.id));
        let row = row.one(tx.connection()).await.map_err(Fault::from)?;
        dressed(&row.ok_or(Refusal::NotFound("webhook"))?)
    }
}

/// One attempt to deliver.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WebhookDelivery {
    pub id: Uuid,
    pub webhook_id: Uuid,
    pub seq: i64,
    pub event_id: Uuid,
    pub event: String,
    /// Of this event, to this webhook.
    pub attempt: i32,
    pub delivered: bool,
    /// What the receiver answered; null where no answer came.
    pub status: Option<i32>,
    /// Why it was not delivered.
    pub error: Option<String>,
    pub duration_ms: i32,
    pub at: DateTime<Utc>,
}

/// `GET /webhooks/{id}/deliveries`: the newest first, for somebody looks because of what has just gone wrong.
#[derive(Clone, Copy, Debug)]
pub struct Deliveries {
    pub webhook_id: Uuid,
    pub window: Window,
    pub delivered: Option<bool>,
}

impl Query for Deliveries {
    type Answer = Page<WebhookDelivery>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page<WebhookDelivery>, Error> {
        use webhook_delivery::{Column, Entity};
        OneWebhook(self.webhook_id).fetch(tx, context).await?;
        let rows = Entity::find()
            .filter(Column::CasinoId.eq(context.casino.id))
            .filter(Column::WebhookId.eq(self.webhook_id))
            .apply_if(self.delivered, |rows, delivered| rows.filter(Column::Delivered.eq(delivered)))
            .apply_if(self.window.after, |rows, before| rows.filter(Column::Id.lt(before)))
            .order_by_desc(Column::Id)
            .limit(one_more(self.window).unsigned_abs());
        let rows = rows.all(tx.connection()).await.map_err(Fault::from)?;
        let deliveries = rows.iter().map(dressed).collect::<Result<_, _>>()?;
        Ok(page(deliveries, self.window, |delivery: &WebhookDelivery| delivery.id))
    }
}
