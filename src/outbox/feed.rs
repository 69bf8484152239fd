//! Live streams: the casino's feed, as it grows, to everybody who may hear it.
//!
//! One task reads each feed once, whatever the number of streams, and keeps its youngest part in memory as frames, worded and shared. A stream
//! is a place in there. It is pulled, never pushed: nothing is queued for it, so a reader who does not read costs its place and what the
//! sockets hold. One who falls behind the oldest frame is cut off and told why, and may resume.
//!
//! Resuming: the `id` a stream sends is a seq up to which everything has been sent on it, itself or by a snapshot that stands for it
//! (`coalesce.rs`). So after any break `Last-Event-ID` names a place after which nothing is missing; a few events may come twice, with the same
//! `event_id`. What is no longer in memory is read from the stored feed.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use workflows::event::{Event, Sight};
use workflows::role::Role;

use super::News;
use super::coalesce::{Coalescer, Taken, Tell};
use crate::config;
use crate::observe::metrics::{self, Subscribed};
use crate::store::Db;
use crate::store::fault::Fault;
use crate::store::feed::{Bounds, Published};

/// Events of one casino kept in memory: some seconds of a very busy floor, about a kilobyte each.
const KEPT: usize = 4096;
/// Stored events read at a time.
const PAGE: u32 = 500;
/// Frames written at a time: a stream that has much to catch up with still takes turns with the others.
const AT_ONCE: usize = 256;
/// Streams that read stored events at the same time. Each takes a connection of the pool, which commands need more.
const CATCHING_UP: usize = 3;
/// Writes a second that all streams together are allowed. With many of them each gets its events in small batches instead of one by one,
/// 20 ms apart for a thousand streams: single writes would take the processor from the commands.
const WRITES_A_SECOND: u32 = 50_000;
/// How often standings are looked at where nothing says that one has changed.
const STANDINGS_EVERY: Duration = Duration::from_secs(5);
/// A stream that was away for more events than this goes on without them, and is told so: they are read at `/events`, a page at a time.
const MOST_REPLAYED: i64 = 100_000;
/// How long the feed is left alone after the database was away.
const AWAY_RESTS: Duration = Duration::from_secs(1);

/// How live streams are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Streams at the same time.
    pub subscribers: usize,
    /// How often something is sent where there is nothing to tell.
    pub heartbeat: Duration,
    /// How long a stream lasts until its token is asked for again.
    pub lasts: Duration,
    pub kept: usize,
}

impl From<&config::Events> for Settings {
    fn from(events: &config::Events) -> Self {
        Self {
            subscribers: events.subscribers,
            heartbeat: events.heartbeat(),
            lasts: Duration::from_hours(1),
            kept: KEPT,
        }
    }
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Cut {
    /// It read too slowly: what it has not read is no longer in memory.
    TooSlow,
    /// The staff row of its reader is not what it was.
    StandingChanged,
    /// It has lasted long enough: the token is asked for again.
    TokenDue,
    /// The daemon stops.
    Stopping,
    /// The stored feed cannot be read.
    Unavailable,
}

impl Cut {
    const fn said(self) -> &'static str {
        match self {
            Self::TooSlow => "events came faster than they were read; resume with Last-Event-ID",
            Self::StandingChanged => "the reader's role or standing has changed; connect again with a token that is good now",
            Self::TokenDue => "a stream lasts an hour; connect again, with Last-Event-ID",
            Self::Stopping => "the daemon stops; connect again, with Last-Event-ID",
            Self::Unavailable => "the database is away; connect again in a moment, with Last-Event-ID",
        }
    }
}

/// Who reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    pub casino_id: Uuid,
    pub staff_id: Uuid,
    pub role: Role,
    /// The token's.
    pub subject: String,
}

/// What is read, and from where on.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Any event on one of these; none named, every event.
    pub channels: BTreeSet<String>,
    /// `Last-Event-ID`; none: from now on.
    pub after: Option<i64>,
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum NoStream {
    #[error("{0} streams are open, and no more are allowed")]
    Full(usize),
    #[error(transparent)]
    Store(#[from] Fault),
}

/// All live streams of this daemon.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    db: Db,
    settings: Settings,
    floors: Mutex<HashMap<Uuid, Weak<Floor>>>,
    open: AtomicUsize,
    /// A casino has its first stream.
    joined: Notify,
    /// Casinos in which somebody's standing has changed.
    changed: Mutex<BTreeSet<Uuid>>,
    standing: Notify,
    catching_up: Semaphore,
    /// Reads under way: a stream that is dropped lets its read end by itself.
    reads: TaskTracker,
    closed: CancellationToken,
}

/// One casino's streams. It is there as long as one of them is.
struct Floor {
    casino_id: Uuid,
    ring: Mutex<Ring>,
    /// How many frames there have been.
    told: watch::Sender<u64>,
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    next: u64,
    taken: BTreeMap<u64, (Reader, CancellationToken)>,
}

/// The youngest frames.
struct Ring {
    frames: VecDeque<Arc<Frame>>,
    /// The number of the oldest.
    first: u64,
    /// Every event after this seq is in a frame, or waits to be.
    covers_after: i64,
    /// Everything up to here was told, by the frames until now.
    settled: i64,
    coalescer: Coalescer<Known>,
}

/// An event of the feed, read.
#[derive(Debug)]
struct Known {
    published: Published,
    event: Event,
}

/// What streams are made of: an event in words.
#[derive(Debug)]
struct Frame {
    seq: i64,
    /// Everything up to here is told when this frame is.
    settled: i64,
    channels: Vec<String>,
    event: Event,
    whole: String,
    /// For those who may see that it happened and no more; empty where there is nobody of that kind.
    without_figures: String,
}

impl Feed {
    pub fn new(db: Db, settings: Settings) -> Self {
        Self(Arc::new(Inner {
            db,
            settings,
            floors: Mutex::default(),
            open: AtomicUsize::new(0),
            joined: Notify::new(),
            changed: Mutex::default(),
            standing: Notify::new(),
            catching_up: Semaphore::new(CATCHING_UP),
            reads: TaskTracker::new(),
            closed: CancellationToken::new(),
        }))
    }

    /// How many streams are open.
    pub fn subscribers(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// A hint that somebody's standing in this casino has changed.
    pub fn standing_changed(&self, casino: Uuid) {
        locked(&self.0.changed).insert(casino);
        self.0.standing.notify_one();
    }

    /// Opens a stream for a reader who may have one.
    pub async fn join(&self, reader: Reader, wish: Wish) -> Result<Stream, NoStream> {
        let place = Place::take(&self.0).ok_or(NoStream::Full(self.0.settings.subscribers))?;
        let bounds = self.bounds(reader.casino_id).await?;
        let floor = self.floor(reader.casino_id, bounds);
        Ok(Stream::open(Arc::clone(&self.0), floor, place, reader, wish, bounds))
    }

    async fn bounds(&self, casino: Uuid) -> Result<Bounds, Fault> {
        self.0.read(move |db| async move { db.feed_bounds(casino).await }).await
    }

    /// The casino's floor; the first stream makes it, at the feed's end.
    fn floor(&self, casino_id: Uuid, bounds: Bounds) -> Arc<Floor> {
        let mut floors = locked(&self.0.floors);
        if let Some(floor) = floors.get(&casino_id).and_then(Weak::upgrade) {
            return floor;
        }
        let floor = Arc::new(Floor {
            casino_id,
            ring: Mutex::new(Ring {
                frames: VecDeque::new(),
                first: 0,
                covers_after: bounds.last_seq,
                settled: bounds.last_seq,
                coalescer: Coalescer::after(bounds.last_seq),
            }),
            told: watch::Sender::new(0),
            seats: Mutex::default(),
        });
        floors.insert(casino_id, Arc::downgrade(&floor));
        self.0.joined.notify_one();
        floor
    }

    /// Follows the feeds that somebody listens to, until it is told to stop.
    pub(super) async fn follow(self, news: News, stopping: CancellationToken) {
        let mut bell = news.subscribe();
        let mut standings_at = Instant::now() + STANDINGS_EVERY;
        loop {
            // Before anything is read: what is published meanwhile rings again.
            bell.mark_unchanged();
            let mut wait = None;
            for floor in self.floors() {
                let head = news.head(floor.casino_id);
                match self.bring_up_to(&floor, head).await {
                    Ok(next) => wait = soonest(wait, next),
                    Err(fault) => {
                        tracing::warn!(error = %fault, "a feed could not be read; its streams wait");
                        wait = soonest(wait, Some(Instant::now() + AWAY_RESTS));
                    }
                }
            }
            if self.look_at_standings(Instant::now() >= standings_at).await {
                standings_at = Instant::now() + STANDINGS_EVERY;
            }
            let wait = wait.unwrap_or(standings_at).min(standings_at);
            tokio::select! {
                () = stopping.cancelled() => break,
                changed = bell.changed() => if changed.is_err() { break },
                () = self.0.joined.notified() => {}
                () = self.0.standing.notified() => {}
                () = sleep_until(wait) => {}
            }
        }
        self.0.closed.cancel();
        self.0.reads.close();
        self.0.reads.wait().await;
    }

    /// The casinos somebody listens to; those nobody does are forgotten.
    fn floors(&self) -> Vec<Arc<Floor>> {
        let mut floors = locked(&self.0.floors);
        floors.retain(|_, floor| floor.strong_count() > 0);
        floors.values().filter_map(Weak::upgrade).collect()
    }

    /// Reads what is new; when the next snapshot is due.
    async fn bring_up_to(&self, floor: &Floor, head: i64) -> Result<Option<Instant>, Fault> {
        loop {
            let taken = locked(&floor.ring).coalescer.taken();
            if taken >= head {
                break;
            }
            let page = self.0.db.feed_after(floor.casino_id, taken, PAGE).await?;
            if page.is_empty() {
                break;
            }
            floor.take(&page, self.0.settings.kept);
        }
        Ok(floor.take(&[], self.0.settings.kept))
    }

    /// Cuts the streams of people who do not stand as they did. True: all of them were looked at.
    async fn look_at_standings(&self, all: bool) -> bool {
        let changed = std::mem::take(&mut *locked(&self.0.changed));
        for floor in self.floors() {
            if !all && !changed.contains(&floor.casino_id) {
                continue;
            }
            let people: Vec<Uuid> = floor.people();
            match self.0.db.feed_readers(floor.casino_id, people).await {
                Ok(standing) => floor.keep_only(|reader| {
                    standing
                        .iter()
                        .any(|now| (now.id, now.role, now.subject.as_str()) == (reader.staff_id, reader.role, reader.subject.as_str()))
                }),
                Err(fault) => tracing::warn!(error = %fault, "standings could not be looked at"),
            }
        }
        all
    }
}

impl Inner {
    /// Reads to the end, even for a stream that is dropped meanwhile: a future dropped inside a statement would spoil its connection.
    async fn read<T: Send + 'static, F>(&self, read: impl FnOnce(Db) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let Ok(_turn) = self.catching_up.acquire().await else {
            return Err(Fault::Other(anyhow::anyhow!("the daemon stops")));
        };
        let read = self.reads.spawn(read(self.db.clone()));
        read.await.map_err(|error| Fault::Other(error.into()))?
    }

    /// How long a stream waits between two writes: nothing where there are few.
    fn apart(&self) -> Duration {
        let open = u32::try_from(self.open.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        Duration::from_secs(1).saturating_mul(open) / WRITES_A_SECOND
    }
}

fn soonest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Floor {
    /// Takes in the feed's next events, and tells what is due; when the next snapshot is.
    fn take(&self, page: &[Published], kept: usize) -> Option<Instant> {
        let now = Instant::now();
        let mut ring = locked(&self.ring);
        let due = ring.coalescer.due(now);
        ring.push(due, kept);
        for event in page {
            match event.told() {
                Ok(told) => {
                    let tells = ring.coalescer.take(known(event, told), now);
                    ring.push(tells, kept);
                }
                // It was judged before it was published: this daemon is older than the one that did. Its streams go without it.
                Err(error) => {
                    tracing::warn!(error, seq = event.seq, "an event of the feed cannot be read");
                    ring.coalescer.pass_over(event.seq);
                }
            }
        }
        let (end, next) = (ring.end(), ring.coalescer.next_due());
        drop(ring);
        self.told.send_if_modified(|told| std::mem::replace(told, end) != end);
        next
    }

    fn people(&self) -> Vec<Uuid> {
        let seats = locked(&self.seats);
        let people: BTreeSet<Uuid> = seats.taken.values().map(|(reader, _)| reader.staff_id).collect();
        people.into_iter().collect()
    }

    fn keep_only(&self, stands: impl Fn(&Reader) -> bool) {
        for (reader, cut) in locked(&self.seats).taken.values() {
            if !stands(reader) {
                cut.cancel();
            }
        }
    }
}

fn known(published: &Published, event: Event) -> Taken<Known> {
    Taken {
        seq: published.seq,
        name: event.name(),
        resource: published.aggregate_id,
        snapshot: event.snapshot(),
        what: Known {
            published: published.clone(),
            event,
        },
    }
}

impl Ring {
    fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    fn push(&mut self, tells: Vec<Tell<Known>>, kept: usize) {
        let last = tells.len().saturating_sub(1);
        for (index, tell) in tells.into_iter().enumerate() {
            // What is told together is settled by the last of it.
            if index == last {
                self.settled = self.settled.max(self.coalescer.settled());
            }
            self.frames.push_back(Arc::new(Frame::of(tell, self.settled)));
        }
        while self.frames.len() > kept {
            if let Some(gone) = self.frames.pop_front() {
                self.first += 1;
                self.covers_after = self.covers_after.max(gone.seq);
            }
        }
    }
}

impl Frame {
    fn of(tell: Tell<Known>, settled: i64) -> Self {
        let Tell { what, seq, supersedes } = tell;
        let Known { published, event } = what;
        let word = |mut wire: Value| {
            if !supersedes.is_empty() {
                wire["supersedes"] = supersedes.clone().into();
            }
            worded(&published.event, &wire)
        };
        let is_shown_without = matches!(event, Event::ExceptionRaised { .. });
        Self {
            seq,
            settled,
            whole: word(published.worded(published.payload.clone())),
            without_figures: if is_shown_without {
                word(published.without_figures())
            } else {
                String::new()
            },
            channels: published.channels,
            event,
        }
    }

    /// What a reader gets of it.
    fn seen_by(&self, role: Role) -> Option<&str> {
        match self.event.sight(role) {
            Sight::Whole => Some(&self.whole),
            Sight::WithoutFigures => Some(&self.without_figures),
            Sight::Nothing => None,
        }
    }
}

/// An event as a stream says it, without its id.
fn worded(name: &str, wire: &Value) -> String {
    format!("event: {name}\ndata: {wire}\n\n")
}

/// A stream's place among those allowed.
struct Place(Arc<Inner>);

impl Place {
    fn take(feed: &Arc<Inner>) -> Option<Self> {
        let most = feed.settings.subscribers;
        let taken = feed
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < most).then_some(open + 1));
        taken.ok().map(|_| Self(Arc::clone(feed)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One reader's stream. Dropped, it is closed.
pub struct Stream {
    feed: Arc<Inner>,
    floor: Arc<Floor>,
    /// Declared before what it guards: counted down when everything else is gone.
    seat: u64,
    reader: Reader,
    channels: BTreeSet<String>,
    cut: CancellationToken,
    told: watch::Receiver<u64>,
    /// The next frame.
    next: u64,
    /// Everything up to this seq was sent, or is not to be: frames about it are passed over.
    heard: i64,
    /// The last id sent.
    id: i64,
    /// Stored events up to here come first.
    behind: Option<i64>,
    /// To be said before anything else.
    opening: Option<String>,
    wrote_at: Instant,
    ends_at: Instant,
    ended: bool,
    _place: Place,
    _counted: Subscribed,
}

impl Stream {
    fn open(feed: Arc<Inner>, floor: Arc<Floor>, place: Place, reader: Reader, wish: Wish, bounds: Bounds) -> Self {
        let cut = CancellationToken::new();
        let seat = {
            let mut seats = locked(&floor.seats);
            seats.next += 1;
            let seat = seats.next;
            seats.taken.insert(seat, (reader.clone(), cut.clone()));
            seat
        };
        let told = floor.told.subscribe();
        let from = {
            let ring = locked(&floor.ring);
            Beginning::decide(&ring, &wish, bounds)
        };
        let now = Instant::now();
        // Streams that came together do not come back together.
        let lasts = feed
            .settings
            .lasts
            .saturating_sub((feed.settings.lasts / 10).mul_f64(rand::random::<f64>()));
        Self {
            next: from.next,
            heard: from.heard,
            id: from.heard,
            behind: from.behind,
            opening: Some(from.opening()),
            wrote_at: now,
            ends_at: now + lasts,
            ended: false,
            seat,
            reader,
            channels: wish.channels,
            cut,
            told,
            floor,
            feed,
            _place: place,
            _counted: metrics::sse_subscribed(),
        }
    }

    /// The next piece of the stream; none after its end.
    pub async fn next(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        if let Some(opening) = self.opening.take() {
            return Some(opening);
        }
        match self.piece().await {
            Ok(piece) => {
                self.wrote_at = Instant::now();
                Some(piece)
            }
            Err(cut) => Some(self.end(cut)),
        }
    }

    async fn piece(&mut self) -> Result<String, Cut> {
        let heartbeat = self.wrote_at + self.feed.settings.heartbeat;
        loop {
            self.go_on()?;
            // Registered before it is looked: a frame that comes in between wakes.
            self.told.mark_unchanged();
            let piece = match self.behind {
                Some(until) => self.catch_up(until).await?,
                None => self.live()?,
            };
            if !piece.is_empty() {
                return Ok(piece);
            }
            if self.behind.is_some() {
                continue;
            }
            tokio::select! {
                () = self.cut.cancelled() => {}
                () = self.feed.closed.cancelled() => {}
                () = sleep_until(self.ends_at) => {}
                () = sleep_until(heartbeat) => return Ok(self.heartbeat()),
                _ = self.told.changed() => self.pace().await,
            }
        }
    }

    fn go_on(&self) -> Result<(), Cut> {
        if self.cut.is_cancelled() {
            return Err(Cut::StandingChanged);
        }
        if self.feed.closed.is_cancelled() {
            return Err(Cut::Stopping);
        }
        if Instant::now() >= self.ends_at {
            return Err(Cut::TokenDue);
        }
        Ok(())
    }

    /// Where there are many streams, each waits for more to tell before it writes again.
    async fn pace(&self) {
        let due = self.wrote_at + self.feed.apart();
        tokio::select! {
            () = self.cut.cancelled() => {}
            () = sleep_until(due) => {}
        }
    }

    /// What came since the last time.
    fn live(&mut self) -> Result<String, Cut> {
        let frames = {
            let ring = locked(&self.floor.ring);
            if self.next < ring.first {
                return Err(Cut::TooSlow);
            }
            let from = usize::try_from(self.next - ring.first).unwrap_or(usize::MAX).min(ring.frames.len());
            let until = ring.frames.len().min(from.saturating_add(AT_ONCE));
            ring.frames.range(from..until).cloned().collect::<Vec<_>>()
        };
        self.next += frames.len() as u64;
        if frames.len() == AT_ONCE {
            // There may be more: nothing else would wake this stream for it.
            self.told.mark_changed();
        }
        let mut piece = String::new();
        for frame in &frames {
            self.write(&mut piece, frame);
        }
        Ok(piece)
    }

    fn write(&mut self, piece: &mut String, frame: &Frame) {
        self.id = self.id.max(frame.settled);
        if frame.seq > self.heard
            && self.hears(&frame.channels)
            && let Some(words) = frame.seen_by(self.reader.role)
        {
            self.say(piece, words);
        }
    }

    fn say(&self, piece: &mut String, words: &str) {
        piece.push_str("id: ");
        piece.push_str(&self.id.to_string());
        piece.push('\n');
        piece.push_str(words);
    }

    fn hears(&self, channels: &[String]) -> bool {
        self.channels.is_empty() || channels.iter().any(|channel| self.channels.contains(channel))
    }

    /// Stored events, a page at a time, until nothing is missing before the frames.
    async fn catch_up(&mut self, until: i64) -> Result<String, Cut> {
        let (casino, after) = (self.floor.casino_id, self.heard);
        let page = self
            .feed
            .read(move |db| async move { db.feed_after(casino, after, PAGE).await })
            .await;
        let page = page.map_err(|fault| {
            tracing::warn!(error = %fault, "a stream could not catch up");
            Cut::Unavailable
        })?;
        let mut piece = String::new();
        for event in page.iter().filter(|event| event.seq <= until) {
            (self.heard, self.id) = (event.seq, event.seq);
            if self.hears(&event.channels)
                && let Some(wire) = event.seen_by(self.reader.role)
            {
                self.say(&mut piece, &worded(&event.event, &wire));
            }
        }
        if self.heard >= until || page.is_empty() {
            self.heard = self.heard.max(until);
            self.id = self.id.max(self.heard);
            self.behind = self.fallen_behind();
        }
        Ok(piece)
    }

    /// While stored events were read, the frames went on. Where they have gone past this stream, it reads on.
    fn fallen_behind(&mut self) -> Option<i64> {
        let ring = locked(&self.floor.ring);
        if self.next >= ring.first {
            return None;
        }
        self.next = ring.end();
        Some(ring.coalescer.taken())
    }

    /// Shows that the line is good, and remembers for the reader how far it is: an `id` by itself is no event, but is kept for resuming.
    fn heartbeat(&self) -> String {
        format!(": heartbeat\nid: {}\n\n", self.id)
    }

    fn end(&mut self, cut: Cut) -> String {
        self.ended = true;
        let reason: &'static str = cut.into();
        tracing::debug!(reason, staff_id = %self.reader.staff_id, "a stream is cut");
        metrics::sse_cut(reason);
        let told = json!({ "reason": reason, "detail": cut.said() });
        format!("id: {}\nevent: stream.cut\ndata: {told}\n\n", self.id)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        locked(&self.floor.seats).taken.remove(&self.seat);
    }
}

/// Where a stream begins.
struct Beginning {
    next: u64,
    heard: i64,
    behind: Option<i64>,
    /// What cannot be sent any more: (what was asked for, where it goes on instead).
    missed: Option<(i64, i64)>,
}

impl Beginning {
    fn decide(ring: &Ring, wish: &Wish, bounds: Bounds) -> Self {
        let (end, taken) = (ring.end(), ring.coalescer.taken());
        let last = bounds.last_seq.max(taken);
        let Some(after) = wish.after else {
            return Self {
                next: end,
                heard: ring.settled,
                behind: None,
                missed: None,
            };
        };
        if after > last {
            // A seq nobody has given out: of another database, or of this one before it was restored.
            return Self {
                next: end,
                heard: ring.settled,
                behind: None,
                missed: Some((after, last)),
            };
        }
        if after >= ring.covers_after {
            return Self {
                next: ring.first,
                heard: after,
                behind: None,
                missed: None,
            };
        }
        // Older than this is pruned, or more than a stream brings.
        let oldest = bounds.first_seq.map_or(last, |first| first - 1).max(last - MOST_REPLAYED);
        Self {
            next: end,
            heard: after.max(oldest),
            behind: Some(taken),
            missed: (after < oldest).then_some((after, oldest)),
        }
    }

    fn opening(&self) -> String {
        let begun = format!("retry: 1000\nid: {}\n", self.heard);
        let Some((after, goes_on_after)) = self.missed else {
            return format!("{begun}: joined\n\n");
        };
        let told = json!({ "after": after, "goes_on_after": goes_on_after, "detail": "what lies between cannot be sent any more; read again what is shown" });
        format!("{begun}event: stream.missed\ndata: {told}\n\n")
    }
}
