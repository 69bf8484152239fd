//! The relay: gives written events their place in the feed.
//!
//! A turn is two statements. The first looks and locks nothing; what it shows is judged here; the second publishes what is sound and writes down
//! what is not. Cut off anywhere, either nothing has happened or all of it. Any number of daemons do this at once: publishers of one casino
//! take turns on its feed's row, and an event that another has published meanwhile is simply no longer waiting.
//!
//! What is unsound: a payload that is no event of the catalog as this program knows it, channels that are not the catalog's, or a row that the
//! database refuses to publish. It is tried again with growing pauses, because the daemon beside this one may be newer. While it waits, later
//! events of the same resource wait behind it, and nothing else does. After the last attempt it is a dead letter, and the later
//! ones go on: a table must not fall silent for a day because of one event. Sent back by a person, it gets the seq of its second turn.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;
use workflows::event::Event;

use super::{Outbox, Settings};
use crate::clock;
use crate::observe::metrics;
use crate::store::fault::Fault;
use crate::store::feed::Head;
use crate::store::relay::{Judged, Sound, Stamped, Told, Unpublished, Unsound};

/// Two looks are never closer than this where the first has seen everything: on a busy floor one turn serves several commands.
const LOOK_APART: Duration = Duration::from_millis(4);
/// After a turn the relay rests for as long as it took, up to this: a busier floor is served by fewer turns, and not by more.
const LONGEST_REST: Duration = Duration::from_millis(10);
/// How long the relay stays away from a feed that another daemon is writing: about as long as that takes.
const BUSY_RESTS: Duration = Duration::from_millis(3);
/// How long nothing is asked after the database was away.
const AWAY_RESTS: Duration = Duration::from_secs(1);

/// Publishes until it is told to stop, and then what is still waiting.
pub(super) async fn run(outbox: Outbox, settings: Settings, stopping: CancellationToken) {
    let relay = Relay { outbox, settings };
    let mut next_look = Instant::now();
    loop {
        let was_stopping = stopping.is_cancelled();
        tokio::time::sleep_until(next_look.into()).await;
        let looked = Instant::now();
        let turn = relay.turn().await;
        next_look = looked + LOOK_APART;
        let wait = match turn {
            Ok(Turn::Again) => {
                next_look = looked;
                continue;
            }
            Ok(Turn::Busy) => BUSY_RESTS,
            Ok(Turn::Idle(wait)) if !was_stopping => wait,
            Ok(Turn::Idle(_)) => return,
            // The last look before the end is one that finds nothing.
            Ok(Turn::Done(_)) if was_stopping => continue,
            Ok(Turn::Done(wait)) => {
                let now = Instant::now();
                next_look = next_look.max(now + (now - looked).min(LONGEST_REST));
                wait
            }
            Err(fault) if !was_stopping => {
                tracing::warn!(error = %fault, "events could not be published; they wait");
                AWAY_RESTS
            }
            Err(fault) => {
                tracing::warn!(error = %fault, "events wait for the next daemon");
                return;
            }
        };
        relay.rest(wait, &stopping, was_stopping).await;
    }
}

struct Relay {
    outbox: Outbox,
    settings: Settings,
}

enum Turn {
    /// Something was done, so there may be more.
    Again,
    /// Another daemon is at the same work.
    Busy,
    /// Nothing waits that may be published now.
    Idle(Duration),
    /// The same, as far as is known: something was published, and nothing has said that there is more.
    Done(Duration),
}

impl Relay {
    /// Only waiting is ever cut short here, no statement: a future dropped inside one would spoil its connection.
    async fn rest(&self, wait: Duration, stopping: &CancellationToken, was_stopping: bool) {
        tokio::select! {
            () = self.outbox.told.notified() => {}
            () = stopping.cancelled(), if !was_stopping => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    async fn turn(&self) -> Result<Turn, Fault> {
        let look = self.outbox.db.relay_look(self.settings.batch).await?;
        self.outbox.news.heads(&look.heads);
        let next = look.next_attempt_ms.map(Duration::from_millis);
        let wait = next.map_or(self.settings.look_every, |next| next.min(self.settings.look_every));
        if look.events.is_empty() && look.behind.is_empty() {
            return Ok(Turn::Idle(wait));
        }
        let (looked_at, is_plain) = (
            look.events.len(),
            look.behind.is_empty() && !look.events.iter().any(|event| event.waited),
        );
        let span = tracing::debug_span!("publish_batch", events = looked_at);
        let told = self.publish(look.events, look.behind).instrument(span).await?;
        if told.busy && told.published.is_empty() {
            return Ok(Turn::Busy);
        }
        // What was written meanwhile rings. So it is worth looking again at once only where a look has shown its fill, where an event that was
        // published has let others go that waited behind it, or where not all came to what was meant.
        let published = told.published.iter().map(|stamped| stamped.events).sum::<i64>();
        let is_all = is_plain && looked_at < self.settings.batch as usize && usize::try_from(published) == Ok(looked_at);
        Ok(if is_all { Turn::Done(wait) } else { Turn::Again })
    }

    async fn publish(&self, events: Vec<Unpublished>, behind: Vec<Uuid>) -> Result<Told, Fault> {
        let mut verdict = Verdict {
            behind,
            ..Verdict::default()
        };
        for event in &events {
            match judge(event) {
                _ if verdict.waits(event) => {}
                Ok(()) => verdict.sound.push(event),
                Err(error) => self.fail(&mut verdict, event, error),
            }
        }
        match self.write(&verdict.sound, &verdict.unsound, &verdict.behind).await {
            Err(fault @ (Fault::Constraint { .. } | Fault::Unstorable(_) | Fault::Other(_))) => {
                tracing::warn!(error = %fault, events = verdict.sound.len(), "a batch was refused; its events are published one by one");
                self.publish_singly(verdict).await
            }
            settled => settled,
        }
    }

    /// Finds the event that the database refuses. The others of the batch must not wait for it.
    async fn publish_singly(&self, mut verdict: Verdict<'_>) -> Result<Told, Fault> {
        let mut all = Told::default();
        for event in std::mem::take(&mut verdict.sound) {
            if verdict.waits(event) {
                continue;
            }
            match self.write(&[event], &[], &[]).await {
                Ok(told) => all.add(told),
                Err(fault @ (Fault::Retry(_) | Fault::Busy(_) | Fault::Away(_))) => return Err(fault),
                Err(fault) => {
                    tracing::error!(error = %fault, event_id = %event.id, "an event is refused by the database");
                    self.fail(&mut verdict, event, refusal(&fault));
                }
            }
        }
        all.add(self.write(&[], &verdict.unsound, &verdict.behind).await?);
        Ok(all)
    }

    async fn write(&self, sound: &[&Unpublished], unsound: &[Unsound], behind: &[Uuid]) -> Result<Told, Fault> {
        let at = self.outbox.clock.now();
        let judged = Judged {
            at,
            by: self.outbox.news.me(),
            sound: sound.iter().map(|event| Sound::of(event)).collect(),
            unsound: unsound.to_vec(),
            behind: behind.to_vec(),
        };
        let told = self.outbox.db.relay_publish(&judged).await?;
        for stamped in &told.published {
            self.hand_over(*stamped, sound, at);
        }
        let heads: Vec<Head> = told.published.iter().map(|stamped| Head::from(*stamped)).collect();
        self.outbox.news.heads(&heads);
        let stamped = |event: &&&Unpublished| told.published.iter().any(|feed| feed.casino_id == event.casino_id);
        for event in sound.iter().filter(stamped) {
            let waited = (at - event.created_at).to_std().unwrap_or_default();
            // A span without length, so that a trace shows the event under the id of the command that wrote it.
            let span = tracing::info_span!("publish", event = event.event, event_id = %event.id, correlation_id = event.correlation_id);
            span.in_scope(|| tracing::debug!("published"));
            metrics::published(waited);
        }
        for id in &told.dead {
            tracing::error!(event_id = %id, "an event is a dead letter: a person has to look at it");
            metrics::dead_lettered();
        }
        Ok(told)
    }

    /// To those who follow the feed in this process. Numbers are given in the order of writing, in which the events are here; where another daemon
    /// has published some of them before, which has which is not known, and they are read.
    fn hand_over(&self, stamped: Stamped, sound: &[&Unpublished], at: DateTime<Utc>) {
        let mine: Vec<&&Unpublished> = sound.iter().filter(|event| event.casino_id == stamped.casino_id).collect();
        if i64::try_from(mine.len()) != Ok(stamped.events) {
            return;
        }
        let seqs = stamped.last_seq - stamped.events + 1..=stamped.last_seq;
        let published = mine.into_iter().zip(seqs).map(|(event, seq)| event.published(seq, at));
        self.outbox.news.hand_over(stamped.casino_id, published.collect());
    }

    fn fail(&self, verdict: &mut Verdict<'_>, event: &Unpublished, error: String) {
        let attempt = event.attempts + 1;
        tracing::warn!(event = event.event, event_id = %event.id, correlation_id = event.correlation_id, attempt, error, "an event cannot be published");
        metrics::publish_failed();
        let dies = attempt >= self.settings.attempts;
        let pause = clock::pause(attempt, self.settings.first_pause, self.settings.longest_pause);
        verdict.blocked.insert((event.casino_id, event.aggregate_id));
        verdict.unsound.push(Unsound {
            id: event.id,
            attempts: event.attempts,
            error,
            pause_ms: clock::milliseconds(pause),
            dies,
        });
    }
}

/// What was found of a batch.
#[derive(Default)]
struct Verdict<'a> {
    sound: Vec<&'a Unpublished>,
    unsound: Vec<Unsound>,
    /// Resources of which an earlier event is unsound: the order among their events is kept.
    blocked: HashSet<(Uuid, Uuid)>,
    /// What was seen to wait behind an event already.
    behind: Vec<Uuid>,
}

impl Verdict<'_> {
    fn waits(&self, event: &Unpublished) -> bool {
        self.blocked.contains(&(event.casino_id, event.aggregate_id))
    }
}

/// Whether every reader could take the event for what it is called.
fn judge(event: &Unpublished) -> Result<(), String> {
    let told = Event::read(&event.payload, event.schema_version)?;
    if told.name().as_str() != event.event {
        return Err(format!("the payload is a {}, not a {}", told.name().as_str(), event.event));
    }
    if event.payload["casino_id"].as_str() != Some(event.casino_id.to_string().as_str()) {
        return Err("the payload names another casino than the one it belongs to".to_owned());
    }
    if told.channels(event.casino_id) != event.channels {
        return Err("its channels are not the catalog's".to_owned());
    }
    Ok(())
}

/// In words for whoever looks after dead letters: what the database said stays in the log.
fn refusal(fault: &Fault) -> String {
    match fault {
        Fault::Constraint { constraint, .. } => format!("the constraint {constraint} refuses its publication"),
        Fault::Unstorable(_) => "it cannot be stored as published".to_owned(),
        Fault::Retry(_) | Fault::Busy(_) | Fault::Away(_) | Fault::Other(_) => {
            "the database refuses its publication; the log knows more".to_owned()
        }
    }
}
