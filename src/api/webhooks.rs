//! Webhooks: an admin says where events are posted. What signs them is shown once, when it is made.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use workflows::act;

use super::extract::{Id, Keyed, NoBody, Params, PathId, Posted, Reader};
use crate::answer::Answer;
use crate::app::App;
use crate::error::Error;
use crate::store::list::{Page, Window};
use crate::store::setup::{Deliveries, NewWebhook, OneWebhook, Setup, SigningSecret, Webhook, WebhookChange, WebhookDelivery, Webhooks};

/// The secret before signs on for a day unless the request says otherwise.
const USUAL_GRACE_SECONDS: u32 = 24 * 60 * 60;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct WebhookFilter {
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists the webhooks, each with how far its receiver has come.
#[utoipa::path(get, path = "/webhooks", tag = "webhooks", params(WebhookFilter), responses((status = 200, body = Page<Webhook>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<WebhookFilter>) -> Result<Response, Error> {
    let window = Window::parse(filter.limit, filter.cursor.as_deref())?;
    let (_, page) = app.engine.list(&reader.envelope, act::WEBHOOK, &Webhooks { window }).await?;
    Ok(reader.hashed(&page))
}

/// A webhook, and what its requests are signed with: this is the one time that it is told.
#[derive(Debug, Serialize, ToSchema)]
pub struct WithSecret {
    #[serde(flatten)]
    pub webhook: Webhook,
    /// `whsec_` and the key in base64. Not in the answer when it is given again under its `Idempotency-Key`: rotate, if it was lost.
    pub secret: Option<String>,
}

/// Makes a webhook. Its secret is in this answer and in no other.
#[utoipa::path(post, path = "/webhooks", tag = "webhooks", request_body = NewWebhook, responses((status = 201, body = WithSecret)))]
pub async fn create(State(app): State<App>, Keyed(posted): Keyed<NewWebhook>) -> Result<Answer, Error> {
    let secret = SigningSecret::make();
    let setup = Setup::AddWebhook {
        url: app.reach.judge(&posted.body.url),
        webhook: posted.body,
        secret: secret.clone(),
    };
    let answer = app.engine.change(&posted.envelope, act::WEBHOOK, &setup).await?;
    Ok(telling(answer, &secret))
}

/// Shows a webhook.
#[utoipa::path(get, path = "/webhooks/{id}", tag = "webhooks", params(("id" = Uuid, Path)), responses((status = 200, body = Webhook)))]
pub async fn read(State(app): State<App>, reader: Reader, Id(id): Id) -> Result<Response, Error> {
    let (_, webhook) = app.engine.list(&reader.envelope, act::WEBHOOK, &OneWebhook(id)).await?;
    Ok(reader.versioned(&webhook, webhook.version))
}

/// Changes a webhook; what is absent stays. `enabled: true` lets one that was disabled go on where it stood.
#[utoipa::path(patch, path = "/webhooks/{id}", tag = "webhooks", params(("id" = Uuid, Path)), request_body = WebhookChange, responses((status = 200, body = Webhook)))]
pub async fn patch(State(app): State<App>, Id(id): Id, posted: Posted<WebhookChange>) -> Result<Answer, Error> {
    let setup = Setup::ChangeWebhook {
        id,
        url: posted.body.url.as_deref().map(|url| app.reach.judge(url)),
        change: posted.body,
    };
    app.engine.change(&posted.envelope, act::WEBHOOK, &setup).await
}

/// Takes a webhook away, with its secrets and the log of its deliveries.
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "webhooks", params(("id" = Uuid, Path)), responses((status = 200, body = Webhook)))]
pub async fn delete(State(app): State<App>, Id(id): Id, posted: Posted<NoBody>) -> Result<Answer, Error> {
    app.engine.change(&posted.envelope, act::WEBHOOK, &Setup::DeleteWebhook(id)).await
}

/// How a secret is exchanged.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// How long the secret before signs beside the new one: 0 to 604800 (a week); a day unless given. 0 for one that leaked.
    #[serde(default = "usual_grace")]
    pub grace_seconds: u32,
}

const fn usual_grace() -> u32 {
    USUAL_GRACE_SECONDS
}

/// Makes a new secret. It is in this answer and in no other.
#[utoipa::path(post, path = "/webhooks/{id}/rotate-secret", tag = "webhooks", params(("id" = Uuid, Path)), request_body = Rotation, responses((status = 200, body = WithSecret)))]
pub async fn rotate_secret(State(app): State<App>, Id(id): Id, Keyed(posted): Keyed<Rotation>) -> Result<Answer, Error> {
    let secret = SigningSecret::make();
    let setup = Setup::RotateWebhookSecret {
        id,
        secret: secret.clone(),
        grace_seconds: posted.body.grace_seconds,
    };
    let answer = app.engine.change(&posted.envelope, act::WEBHOOK, &setup).await?;
    Ok(telling(answer, &secret))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DeliveryFilter {
    /// false: only what went wrong.
    delivered: Option<bool>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists the attempts to deliver, the newest first.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", tag = "webhooks", params(("id" = Uuid, Path), DeliveryFilter), responses((status = 200, body = Page<WebhookDelivery>)))]
pub async fn deliveries(
    State(app): State<App>,
    reader: Reader,
    PathId(id): PathId,
    Params(filter): Params<DeliveryFilter>,
) -> Result<Response, Error> {
    let query = Deliveries {
        webhook_id: id,
        window: Window::parse(filter.limit, filter.cursor.as_deref())?,
        delivered: filter.delivered,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::WEBHOOK, &query).await?;
    Ok(reader.hashed(&page))
}

/// Adds the secret to the answer on its way out. What is kept of the answer, under its key and in the audit log, never had it; so a first
/// answer that is given again has none either, and the secret made for that request was never kept.
fn telling(mut answer: Answer, secret: &SigningSecret) -> Answer {
    if let (false, Some(fields)) = (answer.replayed, answer.body.as_object_mut()) {
        fields.insert("secret".to_owned(), secret.told().into());
    }
    answer
}
