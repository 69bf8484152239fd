//! Publishing: what happens after the commit.
//!
//! ```text
//! command ── outbox row ──> relay ── seq ──> the stored feed ──┬─> live streams   (feed.rs)
//!           (its own       (relay.rs)       (casino, seq)      ├─> webhooks       (webhook.rs)
//!            transaction)                                      └─> NATS JetStream (nats.rs)
//! ```
//!
//! To publish an event is to give it its `seq`: one statement, after which it is in the stored feed for good. Whoever tells the world follows
//! that feed from a place of its own, so a sink that is slow or away holds up neither the relay nor another sink.
//!
//! Everything here is woken by hints and believes none of them: a commit in this process, a notification from another daemon, or nothing at
//! all, for the relay looks twice a second by itself.

mod coalesce;
pub mod feed;
#[cfg(feature = "nats")]
pub mod nats;
mod relay;
mod turns;
pub mod webhook;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::feed::Feed;
use crate::clock::{Clock, new_id};
use crate::config::{self, Config};
use crate::store::Db;
use crate::store::feed::{Head, Hint, Published};

/// How often the relay looks where nothing wakes it: events of a daemon that died right after a commit wait no longer than this.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Events of one casino published by one statement: a few milliseconds under its feed's lock.
const BATCH: u32 = 500;
/// Connections of the outbox's own, beside the pool: one publishes, one reads what streams have to be told. In the pool they would queue with
/// the commands, and on a floor that asks for more than the database can do every event would be as late as a command.
const CONNECTIONS: u32 = 2;
/// Published events of one casino that wait to be taken up; more are left to be read.
const MOST_HANDED: usize = 1_000;
/// The longest pause after a first failed attempt; it doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// No pause is longer: what an older daemon cannot read, the newer one beside it gets to see within this time.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How long nobody listens after the line for hints broke. Meanwhile the relay's own look is all there is.
const LISTENS_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How a daemon publishes.
#[derive(Clone, Debug)]
pub struct Settings {
    pub look_every: Duration,
    pub batch: u32,
    /// After so many failed attempts an event is a dead letter.
    pub attempts: i32,
    pub first_pause: Duration,
    pub longest_pause: Duration,
}

impl From<&config::Events> for Settings {
    fn from(events: &config::Events) -> Self {
        Self {
            look_every: LOOK_EVERY,
            batch: BATCH,
            attempts: events.attempts(),
            first_pause: FIRST_PAUSE,
            longest_pause: LONGEST_PAUSE,
        }
    }
}

/// What publishing shares within a daemon.
#[derive(Clone)]
pub struct Outbox {
    pub db: Db,
    pub clock: Clock,
    /// Rung by the engine after each commit that wrote events.
    pub told: Arc<Notify>,
    pub news: News,
    pub feed: Feed,
}

/// Who follows the stored feed beside the live streams.
#[derive(Clone, Debug, Default)]
pub struct Sinks {
    pub webhooks: Option<webhook::Settings>,
    #[cfg(feature = "nats")]
    pub nats: Option<nats::Settings>,
}

impl Sinks {
    pub fn of(config: &Config) -> Self {
        Self {
            webhooks: Some((&config.webhooks).into()),
            #[cfg(feature = "nats")]
            nats: nats::Settings::of(&config.nats),
        }
    }
}

/// Publishes and tells until it is told to stop, and then until everything under way has ended. `stopping` ends the live streams and the
/// sinks; `drained` the relay, when the last command has committed: what it wrote is published before the daemon goes.
pub async fn run(outbox: Outbox, settings: Settings, sinks: Sinks, stopping: CancellationToken, drained: CancellationToken) {
    let mut tasks = JoinSet::new();
    let line = outbox.db.beside(CONNECTIONS);
    let own = Outbox {
        db: line.clone(),
        ..outbox.clone()
    };
    tasks.spawn(outbox.feed.clone().follow(own.clone(), stopping.clone()));
    tasks.spawn(relay::run(own, settings, drained));
    tasks.spawn(listen(outbox.clone(), stopping.clone()));
    if let Some(webhooks) = sinks.webhooks {
        let news = outbox.news.subscribe();
        tasks.spawn(webhook::run(
            outbox.db.clone(),
            outbox.clock.clone(),
            webhooks,
            news,
            stopping.clone(),
        ));
    }
    #[cfg(feature = "nats")]
    if let Some(nats) = sinks.nats {
        let news = outbox.news.subscribe();
        tasks.spawn(nats::run(outbox.db.clone(), outbox.clock.clone(), nats, news, stopping.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a part of the outbox broke off");
        }
    }
    if let Err(error) = line.close().await {
        tracing::debug!(%error, "the outbox's connections were not closed");
    }
}

/// Hears what other daemons publish, and whose standing changes, as long as there is a line; nothing depends on it.
async fn listen(outbox: Outbox, stopping: CancellationToken) {
    while !stopping.is_cancelled() {
        match outbox.db.hints().await {
            Ok(mut hints) => loop {
                let hint = tokio::select! {
                    () = stopping.cancelled() => return,
                    hint = hints.next() => hint,
                };
                match hint {
                    // The relay has said it, and handed over the events with it: heard first, they would be read for nothing.
                    Ok(Hint::Feed(_, Some(by))) if by == outbox.news.me() => {}
                    Ok(Hint::Feed(head, _)) => outbox.news.heads(&[head]),
                    Ok(Hint::Standing(casino)) => outbox.feed.standing_changed(casino),
                    Ok(Hint::Unknown) => outbox.told.notify_one(),
                    Err(fault) => {
                        tracing::debug!(error = %fault, "the line for hints broke");
                        break;
                    }
                }
            },
            Err(fault) => tracing::debug!(error = %fault, "no line for hints"),
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(LISTENS_AGAIN_AFTER) => {}
        }
    }
}

/// Says that something was published, by whichever daemon. A hint: whoever hears it reads the feed from its own place.
#[derive(Clone, Debug, Default)]
pub struct News(Arc<Heads>);

#[derive(Debug)]
struct Heads {
    /// Who publishes here, to know its own hints by.
    me: Uuid,
    bell: watch::Sender<u64>,
    known: Mutex<BTreeMap<Uuid, i64>>,
    /// What this daemon has just published, by casino and in order: whoever follows a feed at its end need not read it back.
    handed: Mutex<BTreeMap<Uuid, Vec<Published>>>,
}

impl Default for Heads {
    fn default() -> Self {
        Self {
            me: new_id(),
            bell: watch::Sender::default(),
            known: Mutex::default(),
            handed: Mutex::default(),
        }
    }
}

impl News {
    fn me(&self) -> Uuid {
        self.0.me
    }

    /// Wakes with everything published from now on.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.bell.subscribe()
    }

    /// How far a casino's feed is known to go.
    pub fn head(&self, casino: Uuid) -> i64 {
        self.known().get(&casino).copied().unwrap_or_default()
    }

    /// Takes in how far feeds go; rings if one goes farther than was known.
    pub fn heads(&self, heads: &[Head]) {
        let mut farther = false;
        let mut known = self.known();
        for head in heads {
            let before = known.entry(head.casino_id).or_default();
            farther |= head.last_seq > *before;
            *before = head.last_seq.max(*before);
        }
        drop(known);
        if farther {
            self.0.bell.send_modify(|rung| *rung += 1);
        }
    }

    /// Hands over what was just published; to be followed by [`Self::heads`], which says so. A hint like everything here: what nobody takes
    /// in time is dropped, and is read from the store.
    fn hand_over(&self, casino: Uuid, events: Vec<Published>) {
        let mut handed = self.handed();
        let waiting = handed.entry(casino).or_default();
        if waiting.len() + events.len() > MOST_HANDED {
            waiting.clear();
        }
        waiting.extend(events);
    }

    fn take_handed(&self) -> BTreeMap<Uuid, Vec<Published>> {
        std::mem::take(&mut *self.handed())
    }

    fn handed(&self) -> std::sync::MutexGuard<'_, BTreeMap<Uuid, Vec<Published>>> {
        self.0.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<Uuid, i64>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bell_rings_for_what_was_not_known_and_for_nothing_else() {
        let news = News::default();
        let mut ear = news.subscribe();
        let head = |last_seq| Head {
            casino_id: Uuid::from_u128(1),
            last_seq,
        };
        news.heads(&[head(3)]);
        assert!(ear.has_changed().unwrap());
        ear.mark_unchanged();
        news.heads(&[head(3), head(2)]);
        assert!(!ear.has_changed().unwrap());
        assert_eq!(news.head(Uuid::from_u128(1)), 3);
        assert_eq!(news.head(Uuid::from_u128(2)), 0);
    }
}
