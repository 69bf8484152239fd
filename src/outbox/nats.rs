//! The sink into NATS JetStream (domain §13): every event of every casino, as `rundown.<casino_id>.<event>`.
//!
//! A casino's events are published one after the other, each acknowledged before the next is sent: pipelined, those behind one that was lost
//! with a connection would overtake it. `Nats-Msg-Id` is the event's id, so what is sent twice because a daemon died in between is dropped
//! by the stream as long as its window lasts, and known by its id after that. NATS away costs nothing but time: the cursor waits.
//!
//! A connection that breaks is given up, with whatever the client still had to send on it: kept, it would come after what is sent anew.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use async_nats::jetstream;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, StorageType};
use async_nats::{ConnectOptions, Event, ServerAddr};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::turns::{Sink, take_turns};
use crate::clock::{Clock, milliseconds, new_id, pause};
use crate::config;
use crate::observe::metrics;
use crate::store::Db;
use crate::store::fault::Fault;
use crate::store::feed::Published;
use crate::store::sinks::{Asking, CasinoTurn, SinkEnd, SinkStep, Turns};

/// The longest pause after a first failure; it doubles with every one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// No pause is longer: NATS that is back is used again within half a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const LEASE: Duration = Duration::from_secs(30);
/// Casinos at the same time, over one connection.
const SLOTS: usize = 16;
/// Events read for one turn.
const BATCH: u32 = 200;
/// The cursor moves after so many acknowledgements, or so much time: sooner, and the database would do more than NATS.
const CURSOR_EVERY: usize = 50;
const CURSOR_AFTER: Duration = Duration::from_secs(1);
const CONNECT_MAY_TAKE: Duration = Duration::from_secs(5);
const ACK_MAY_TAKE: Duration = Duration::from_secs(5);
/// What the stream drops by its id when it is sent twice. Longer than a lease: that is when another daemon sends again.
const DUPLICATES_WITHIN: Duration = Duration::from_mins(2);

/// How a file of credentials begins; another holds a seed and nothing else.
const CREDENTIALS_BEGIN: &str = "-----BEGIN NATS USER JWT-----";

/// Where a daemon publishes.
#[derive(Clone, Debug)]
pub struct Settings {
    pub url: SecretString,
    pub ca_file: Option<PathBuf>,
    /// A user's credentials, or the seed of an NKEY.
    pub credentials_file: Option<PathBuf>,
    pub stream: String,
    /// None: for ever.
    pub keep: Option<Duration>,
    pub replicas: usize,
    pub lease: Duration,
    pub first_pause: Duration,
    pub longest_pause: Duration,
}

impl Settings {
    /// None where no server is named.
    pub fn of(nats: &config::Nats) -> Option<Self> {
        Some(Self {
            url: nats.url.clone()?,
            ca_file: nats.ca_file.clone(),
            credentials_file: nats.credentials_file.clone(),
            stream: nats.stream.clone(),
            keep: nats.keep(),
            replicas: nats.replicas,
            lease: LEASE,
            first_pause: FIRST_PAUSE,
            longest_pause: LONGEST_PAUSE,
        })
    }
}

/// Publishes until it is told to stop, and then until what was sent is acknowledged.
pub async fn run(db: Db, clock: Clock, settings: Settings, news: watch::Receiver<u64>, stopping: CancellationToken) {
    let publisher = Publisher {
        // No two lives of a daemon have the same name.
        owner: format!("{}-{}", std::process::id(), new_id()),
        db,
        clock,
        settings,
        line: Mutex::default(),
        stopping: stopping.clone(),
    };
    take_turns(Arc::new(publisher), SLOTS, news, stopping).await;
}

struct Publisher {
    owner: String,
    db: Db,
    clock: Clock,
    settings: Settings,
    /// The connection there is, shared by all turns.
    line: Mutex<Option<Line>>,
    stopping: CancellationToken,
}

/// A connection, and the word that it is none any more.
#[derive(Clone)]
struct Line {
    stream: jetstream::Context,
    broken: CancellationToken,
}

impl Sink for Publisher {
    type Turn = CasinoTurn;

    const NAME: &'static str = "nats";

    async fn take(&self, want: usize) -> Result<Turns<CasinoTurn>, Fault> {
        self.db
            .take_casinos(&Asking::of(Some(Self::NAME), &self.owner, self.settings.lease, want))
            .await
    }

    async fn go(&self, turn: CasinoTurn) {
        let ended = match self.publish_all(&turn).await {
            Ok(true) => SinkEnd::Left,
            // Somebody else has the turn: there is nothing to write.
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(casino_id = %turn.casino_id, error = format!("{error:#}"), "not published to NATS");
                SinkEnd::Failed {
                    error: format!("{error:#}"),
                    pause_ms: milliseconds(pause(turn.failures + 1, self.settings.first_pause, self.settings.longest_pause)),
                }
            }
        };
        if let Err(fault) = self.settle(&turn, ended).await {
            // Its lease expires, which comes to the same.
            tracing::warn!(error = %fault, casino_id = %turn.casino_id, "the end of a turn could not be written");
        }
    }
}

impl Publisher {
    /// Whether the turn was the daemon's own to its end.
    async fn publish_all(&self, turn: &CasinoTurn) -> Result<bool> {
        let events = self.db.feed_after(turn.casino_id, turn.cursor_seq, BATCH).await?;
        if events.first().is_some_and(|first| first.seq > turn.cursor_seq + 1) {
            tracing::warn!(casino_id = %turn.casino_id, after = turn.cursor_seq, "events were deleted before they were published to NATS");
        }
        let mut acknowledged = Acknowledged::default();
        for event in &events {
            if self.stopping.is_cancelled() {
                break;
            }
            let span =
                tracing::info_span!("deliver", sink = "nats", event = event.event, seq = event.seq, correlation_id = %event.correlation_id);
            let begun = Instant::now();
            let published = self.publish(event).instrument(span).await;
            metrics::delivered(metrics::Sink::Nats, published.is_ok(), begun.elapsed());
            if let Err(error) = published {
                // What was taken before it is not sent again.
                self.note(turn, &mut acknowledged).await?;
                return Err(error);
            }
            acknowledged.one_more(event.seq);
            if acknowledged.is_due() && !self.note(turn, &mut acknowledged).await? {
                return Ok(false);
            }
        }
        Ok(self.note(turn, &mut acknowledged).await?)
    }

    /// Moves the cursor to the last acknowledged event; whether the turn is still the daemon's own.
    async fn note(&self, turn: &CasinoTurn, acknowledged: &mut Acknowledged) -> Result<bool, Fault> {
        match std::mem::take(acknowledged).last {
            Some(seq) => self.settle(turn, SinkEnd::Taken { seq }).await,
            None => Ok(true),
        }
    }

    async fn settle(&self, turn: &CasinoTurn, ended: SinkEnd) -> Result<bool, Fault> {
        let step = SinkStep {
            sink: Self::NAME,
            casino_id: turn.casino_id,
            owner: &self.owner,
            term: turn.term,
            at: self.clock.now(),
            lease_ms: milliseconds(self.settings.lease),
            ended,
        };
        self.db.settle_casino(&step).await
    }

    /// Returns when the stream has it, on as many disks as it keeps.
    async fn publish(&self, event: &Published) -> Result<()> {
        let line = self.line().await?;
        let subject = format!("rundown.{}.{}", event.casino_id, event.event);
        let message = PublishMessage::build()
            .message_id(event.event_id.to_string())
            .payload(event.wire().into());
        let sent = async { line.stream.send_publish(subject, message).await?.await };
        let acknowledged = tokio::select! {
            biased;
            acknowledged = timeout(ACK_MAY_TAKE, sent) => acknowledged.context("not acknowledged in time"),
            () = line.broken.cancelled() => Err(anyhow!("the connection broke")),
        };
        let acknowledged = acknowledged.and_then(|acknowledged| Ok(acknowledged?));
        if let Err(error) = acknowledged {
            // Whether the stream has it nobody knows. What the client still holds must not be sent after what comes next.
            line.broken.cancel();
            return Err(error);
        }
        Ok(())
    }

    /// The connection there is, or a new one. Turns wait here for each other, so that one of them connects for all.
    async fn line(&self) -> Result<Line> {
        let mut held = self.line.lock().await;
        if let Some(line) = held.as_ref().filter(|line| !line.broken.is_cancelled()) {
            return Ok(line.clone());
        }
        *held = None;
        let line = timeout(CONNECT_MAY_TAKE, self.connect()).await.context("no connection in time")??;
        tracing::info!(stream = self.settings.stream, "connected to NATS");
        Ok(held.insert(line).clone())
    }

    async fn connect(&self) -> Result<Line> {
        let broken = CancellationToken::new();
        let (servers, options) = self.options(&broken)?;
        let options = self.shown(options).await?;
        let client = options.connect(servers).await.context("NATS cannot be reached")?;
        let mut stream = jetstream::new(client);
        stream.set_timeout(ACK_MAY_TAKE);
        let made = stream.get_or_create_stream(self.stream()).await;
        made.with_context(|| format!("the stream {} is not there and cannot be made", self.settings.stream))?;
        Ok(Line { stream, broken })
    }

    /// User and password travel apart from the addresses: those are named in errors.
    fn options(&self, broken: &CancellationToken) -> Result<(Vec<ServerAddr>, ConnectOptions)> {
        let mut options = ConnectOptions::new();
        let mut servers = Vec::new();
        for named in self.settings.url.expose_secret().split(',') {
            let mut url = url::Url::parse(named.trim()).map_err(|_| anyhow!("nats.url is none"))?;
            options = match (url.username(), url.password()) {
                ("", _) => options,
                (token, None) => options.token(decoded(token)),
                (user, Some(password)) => options.user_and_password(decoded(user), decoded(password)),
            };
            // Neither can fail on a URL that has a host, as those have that were configured.
            url.set_username("").ok();
            url.set_password(None).ok();
            servers.push(ServerAddr::from_url(url).context("nats.url")?);
        }
        if let Some(file) = &self.settings.ca_file {
            options = options.add_root_certificates(file.clone());
        }
        let told = broken.clone();
        let options = options
            .name("rundown")
            .connection_timeout(CONNECT_MAY_TAKE)
            // A connection that broke is given up, so each server is asked once.
            .max_reconnects(servers.len())
            .event_callback(move |event| {
                if matches!(event, Event::Disconnected | Event::Closed) {
                    told.cancel();
                }
                std::future::ready(())
            });
        Ok((servers, options))
    }

    /// With what the credentials file holds. It is read with every connection, so a new file needs no restart. What is wrong with it is not
    /// said in its own words.
    async fn shown(&self, options: ConnectOptions) -> Result<ConnectOptions> {
        let Some(file) = &self.settings.credentials_file else {
            return Ok(options);
        };
        let held = tokio::fs::read_to_string(file)
            .await
            .with_context(|| format!("nats.credentials_file {} cannot be read", file.display()))?;
        let held = SecretString::from(held);
        let text = held.expose_secret().trim();
        if text.contains(CREDENTIALS_BEGIN) {
            return options
                .credentials(text)
                .map_err(|_| anyhow!("nats.credentials_file {} holds no whole credentials", file.display()));
        }
        let is_seed = text.starts_with("SU") && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        ensure!(
            is_seed,
            "nats.credentials_file {} holds neither credentials nor the seed of a user's NKEY",
            file.display()
        );
        Ok(options.nkey(text.to_owned()))
    }

    fn stream(&self) -> Config {
        Config {
            name: self.settings.stream.clone(),
            description: Some("Events of the casinos, published by rundown".to_owned()),
            subjects: vec!["rundown.>".to_owned()],
            storage: StorageType::File,
            num_replicas: self.settings.replicas,
            max_age: self.settings.keep.unwrap_or_default(),
            duplicate_window: DUPLICATES_WITHIN,
            ..Config::default()
        }
    }
}

/// A part of a URL as it was meant: `%40` for `@`.
fn decoded(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}

/// What the stream has and the cursor does not know yet.
struct Acknowledged {
    last: Option<i64>,
    count: usize,
    since: Instant,
}

impl Default for Acknowledged {
    fn default() -> Self {
        Self {
            last: None,
            count: 0,
            since: Instant::now(),
        }
    }
}

impl Acknowledged {
    fn one_more(&mut self, seq: i64) {
        self.last = Some(seq);
        self.count += 1;
    }

    fn is_due(&self) -> bool {
        self.count >= CURSOR_EVERY || self.since.elapsed() >= CURSOR_AFTER
    }
}
