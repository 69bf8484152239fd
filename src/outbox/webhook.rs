//! The sink that posts events to a casino's own receivers, in the Standard Webhooks format (domain §13).
//!
//! Each webhook has its own cursor and takes its events one after the other: the next is not sent before the receiver took the one before.
//! An event is sent until it is taken, under one id. What a receiver cannot take stops its webhook alone, first for seconds, then for
//! hours, and at last, after days of nothing but failure, until somebody looks at it.

mod post;
mod reach;
mod signature;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderValue, Request, StatusCode, header};
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::Full;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use workflows::event::Event;

use self::post::{NoAnswer, Post};
pub use self::reach::Reach;
use super::turns::{Sink, take_turns};
use crate::clock::{Clock, milliseconds, new_id, pause};
use crate::config;
use crate::observe::metrics;
use crate::store::Db;
use crate::store::fault::Fault;
use crate::store::feed::Published;
use crate::store::sinks::{Asking, Consequence, Delivery, Turns, WebhookEnd, WebhookStep, WebhookTurn};

/// The longest pause after a first failure; it doubles with every one.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// No pause is longer: a receiver that is back hears from us within the hour.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// Beyond the request's own time a turn may wait so long for the database before another daemon takes it over.
const LEASE_BEYOND: Duration = Duration::from_secs(20);
/// Events read for one turn. Then others have theirs.
const BATCH: u32 = 100;
/// How often a step is written until it is left to whoever finds the lease expired.
const SETTLED_IN: u32 = 5;
const SETTLED_EVERY: Duration = Duration::from_millis(500);

/// How a daemon sends.
#[derive(Clone, Debug)]
pub struct Settings {
    pub reach: Reach,
    /// Authorities that are trusted beside the machine's own.
    pub ca_file: Option<PathBuf>,
    /// One request may take so long, its answer included.
    pub timeout: Duration,
    /// Webhooks at the same time.
    pub slots: usize,
    pub lease: Duration,
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// A webhook that has failed for so long is disabled.
    pub disable_after: TimeDelta,
}

impl From<&config::Webhooks> for Settings {
    fn from(webhooks: &config::Webhooks) -> Self {
        Self {
            reach: webhooks.reach(),
            ca_file: webhooks.ca_file.clone(),
            timeout: webhooks.timeout(),
            slots: webhooks.slots,
            lease: webhooks.timeout() + LEASE_BEYOND,
            first_pause: FIRST_PAUSE,
            longest_pause: LONGEST_PAUSE,
            disable_after: webhooks.disable_after(),
        }
    }
}

impl config::Webhooks {
    pub fn reach(&self) -> Reach {
        Reach {
            private: self.allow_private,
        }
    }
}

/// Sends until it is told to stop, and then until the requests under way are answered.
pub async fn run(db: Db, clock: Clock, settings: Settings, news: watch::Receiver<u64>, stopping: CancellationToken) {
    if settings.slots == 0 {
        tracing::info!("this daemon sends no webhooks");
        return;
    }
    let post = match Post::new(settings.reach, settings.ca_file.as_deref(), settings.timeout) {
        Ok(post) => post,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "no webhook is sent");
            return;
        }
    };
    let slots = settings.slots;
    let sender = Sender {
        // No two lives of a daemon have the same name.
        owner: format!("{}-{}", std::process::id(), new_id()),
        db,
        clock,
        post,
        settings,
        stopping: stopping.clone(),
    };
    take_turns(Arc::new(sender), slots, news, stopping).await;
}

struct Sender {
    owner: String,
    db: Db,
    clock: Clock,
    post: Post,
    settings: Settings,
    stopping: CancellationToken,
}

/// What becomes of a turn after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoesOn,
    /// The lease is given up, or lost, or the webhook is no longer what it was when the turn began.
    Ends,
}

/// What came of a request.
struct Outcome {
    status: Option<StatusCode>,
    /// None: delivered.
    error: Option<String>,
    took: Duration,
}

impl Sink for Sender {
    type Turn = WebhookTurn;

    const NAME: &'static str = "webhook";

    async fn take(&self, want: usize) -> Result<Turns<WebhookTurn>, Fault> {
        self.db
            .take_webhooks(&Asking::of(None, &self.owner, self.settings.lease, want))
            .await
    }

    async fn go(&self, turn: WebhookTurn) {
        let events = match self.db.feed_after(turn.casino_id, turn.cursor_seq, BATCH).await {
            Ok(events) => events,
            Err(fault) => {
                tracing::warn!(error = %fault, webhook = %turn.id, "the feed could not be read");
                Vec::new()
            }
        };
        if self.walk(&turn, &events).await == Then::GoesOn {
            self.settle(&turn, WebhookEnd::Left).await;
        }
    }
}

impl Sender {
    /// Event by event. Those that are not for this webhook are passed over together, with the next that is, or at the end.
    async fn walk(&self, turn: &WebhookTurn, events: &[Published]) -> Then {
        if events.first().is_some_and(|first| first.seq > turn.cursor_seq + 1) {
            tracing::warn!(webhook = %turn.id, after = turn.cursor_seq, "events were deleted before they were sent");
        }
        let mut passed = None;
        let mut failures = turn.failures;
        for event in events {
            if !is_for(turn, event) {
                passed = Some(event.seq);
                continue;
            }
            if self.stopping.is_cancelled() {
                break;
            }
            passed = None;
            let span = tracing::info_span!(
                "deliver", sink = "webhook", webhook = %turn.id, event = event.event, seq = event.seq, correlation_id = %event.correlation_id
            );
            if self.deliver(turn, event, failures + 1).instrument(span).await == Then::Ends {
                return Then::Ends;
            }
            failures = 0;
        }
        match passed {
            Some(seq) => self.settle(turn, WebhookEnd::Passed { seq }).await,
            None => Then::GoesOn,
        }
    }

    async fn deliver(&self, turn: &WebhookTurn, event: &Published, attempt: i32) -> Then {
        let outcome = self.attempt(turn, event).await;
        metrics::delivered(metrics::Sink::Webhook, outcome.error.is_none(), outcome.took);
        let is_gone = outcome.status == Some(StatusCode::GONE);
        let delivery = Delivery {
            id: new_id(),
            event_id: event.event_id,
            event: event.event.clone(),
            attempt,
            status: outcome.status.map(|status| status.as_u16()),
            error: outcome.error.clone(),
            duration_ms: u32::try_from(outcome.took.as_millis()).unwrap_or(u32::MAX),
        };
        let seq = event.seq;
        let ended = match &outcome.error {
            None => WebhookEnd::Delivered {
                seq,
                delivery,
                tells: processed(event, attempt, self.clock.now()),
            },
            Some(_) if is_gone => WebhookEnd::Gone { seq, delivery },
            Some(_) => WebhookEnd::Failed {
                seq,
                delivery,
                pause_ms: milliseconds(pause(attempt, self.settings.first_pause, self.settings.longest_pause)),
                fails_until: self.clock.now() - self.settings.disable_after,
            },
        };
        match &outcome.error {
            None => tracing::debug!(attempt, took = ?outcome.took, "delivered"),
            Some(error) => tracing::info!(attempt, error, took = ?outcome.took, "not delivered"),
        }
        let then = self.settle(turn, ended).await;
        if outcome.error.is_none() { then } else { Then::Ends }
    }

    async fn attempt(&self, turn: &WebhookTurn, event: &Published) -> Outcome {
        let begun = Instant::now();
        let answered = match self.request(turn, event) {
            Some(request) => self.post.send(request).await,
            None => Err(NoAnswer::Broken(
                "the request could not be made: the URL or the secret is none".to_owned(),
            )),
        };
        let took = begun.elapsed();
        match answered {
            Ok(status) => Outcome {
                status: Some(status),
                error: (!status.is_success()).then(|| refusal(status)),
                took,
            },
            Err(no_answer) => Outcome {
                status: None,
                error: Some(no_answer.to_string()),
                took,
            },
        }
    }

    /// The same id with every attempt, and a timestamp of its own: a receiver refuses what is old, and knows what it has had.
    fn request(&self, turn: &WebhookTurn, event: &Published) -> Option<Request<Full<Bytes>>> {
        let body = event.wire();
        let id = event.event_id.to_string();
        let timestamp = self.clock.now().timestamp();
        let signatures = signature::signatures(&turn.secrets, &id, timestamp, &body)?;
        let request = Request::post(&turn.url)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(
                header::USER_AGENT,
                HeaderValue::from_static(concat!("rundown/", env!("CARGO_PKG_VERSION"))),
            )
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures)
            .header("x-correlation-id", &event.correlation_id);
        request.body(Full::from(body)).ok()
    }

    /// Writes a step down, patiently: what was sent is sent. Where it cannot be written the turn ends, and the event is sent again.
    async fn settle(&self, turn: &WebhookTurn, ended: WebhookEnd) -> Then {
        let step = WebhookStep {
            id: turn.id,
            owner: &self.owner,
            term: turn.term,
            at: self.clock.now(),
            lease_ms: milliseconds(self.settings.lease),
            ended,
        };
        for _ in 0..SETTLED_IN {
            match self.db.settle_webhook(&step).await {
                Ok(None) => {
                    tracing::info!(webhook = %turn.id, "the turn is another's by now, or the webhook was deleted");
                    return Then::Ends;
                }
                Ok(Some(standing)) => {
                    if let Some(reason) = standing.disabled {
                        tracing::warn!(webhook = %turn.id, reason, "the webhook is disabled");
                    }
                    if standing.version == turn.version {
                        return Then::GoesOn;
                    }
                    return self.give_up(turn).await;
                }
                Err(fault) => tracing::warn!(error = %fault, webhook = %turn.id, "a step could not be written"),
            }
            tokio::time::sleep(SETTLED_EVERY).await;
        }
        Then::Ends
    }

    /// The webhook was changed under the turn: the next one takes it as it is now.
    async fn give_up(&self, turn: &WebhookTurn) -> Then {
        let step = WebhookStep {
            id: turn.id,
            owner: &self.owner,
            term: turn.term,
            at: self.clock.now(),
            lease_ms: 0,
            ended: WebhookEnd::Left,
        };
        if let Err(fault) = self.db.settle_webhook(&step).await {
            // Its lease expires, which comes to the same.
            tracing::debug!(error = %fault, webhook = %turn.id, "a turn was not given up");
        }
        Then::Ends
    }
}

/// What finance had to tell was taken by a receiver: seed 2's word for it, for whoever watches over that.
fn processed(event: &Published, attempt: i32, at: DateTime<Utc>) -> Option<Consequence> {
    let Ok(Event::TransactionCreated { transaction_id, .. }) = event.told() else {
        return None;
    };
    let told = Event::FinanceOutboxProcessed {
        outbox_id: event.event_id,
        ledger_id: transaction_id,
        event_type: event.event.clone(),
        attempt_count: attempt,
        processed_at: at,
    };
    Some(Consequence {
        id: new_id(),
        event: told.name().as_str(),
        aggregate_id: transaction_id,
        channels: told.channels(event.casino_id),
        payload: told.payload(event.casino_id, at),
        correlation_id: event.correlation_id.clone(),
    })
}

fn is_for(turn: &WebhookTurn, event: &Published) -> bool {
    let named = turn.events.as_ref().is_none_or(|names| names.contains(&event.event));
    let heard = |channels: &Vec<String>| event.channels.iter().any(|channel| channels.contains(channel));
    named && turn.channels.as_ref().is_none_or(heard)
}

/// An answer that is no delivery, in words.
fn refusal(status: StatusCode) -> String {
    if status.is_redirection() {
        format!("answered {status}: redirects are not followed, the URL itself has to be right")
    } else if status == StatusCode::GONE {
        format!("answered {status}: the receiver wants no more")
    } else {
        format!("answered {status}")
    }
}
