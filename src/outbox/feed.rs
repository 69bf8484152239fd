//! Live streams: the casino's feed, as it grows, to everybody who may hear it.
//!
//! One task takes in each feed once, whatever the number of streams, and keeps its youngest part in memory as frames, worded and shared. A
//! stream is a place in there. It is pulled, never pushed: nothing is queued for it, so a reader who does not read costs its place and what the
//! sockets hold. One who falls behind the oldest frame is cut off and told why, and may resume. Streams at the same place that may hear the
//! same get the same bytes: the first of them words them, for the others they are a pointer.
//!
//! Resuming: the `id` a stream sends is a seq up to which everything has been sent on it, itself or by a snapshot that stands for it
//! (`coalesce.rs`). So after any break `Last-Event-ID` names a place after which nothing is missing; a few events may come twice, with the same
//! `event_id`. What is no longer in memory is read from the stored feed.

mod ring;
mod stream;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use workflows::role::Role;

use self::ring::{Ring, known};
use self::stream::Beginning;
pub use self::stream::Stream;
use super::Outbox;
use crate::config;
use crate::store::Db;
use crate::store::fault::Fault;
use crate::store::feed::{Bounds, Published};

/// Events of one casino kept in memory: some seconds of a very busy floor, about a kilobyte each.
const KEPT: usize = 4096;
/// Stored events read at a time.
const PAGE: u32 = 500;
/// Streams that read stored events at the same time. Each takes a connection of the pool, which commands need more.
const CATCHING_UP: usize = 3;
/// Writes a second that all streams together are allowed. With many of them each gets its events in small batches instead of one by one,
/// 40 ms apart for a thousand streams: single writes would take the processor from the commands.
const WRITES_A_SECOND: u32 = 25_000;
/// Streams are woken by rows, one after the other where there are many: a thousand at once would hold up every command that comes just then.
const ROWS: usize = 4;
/// How often standings are looked at where nothing says that one has changed.
const STANDINGS_EVERY: Duration = Duration::from_secs(5);
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
    /// By row, how many frames there were when it was last woken.
    rows: [watch::Sender<u64>; ROWS],
    beat: Mutex<Beat>,
    seats: Mutex<Seats>,
}

/// Which row is woken next, and when.
struct Beat {
    row: usize,
    /// When the rows' share of the writes is used up, by what was woken until now.
    spent_until: Instant,
}

#[derive(Default)]
struct Seats {
    next: u64,
    taken: BTreeMap<u64, (Reader, CancellationToken)>,
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
        let (floor, from) = self.begin(reader.casino_id, &wish).await?;
        Ok(Stream::open(Arc::clone(&self.0), floor, place, reader, wish.channels, &from))
    }

    /// Where a stream begins. What is in memory is found there: a thousand readers who come back at once are nothing to the database.
    async fn begin(&self, casino: Uuid, wish: &Wish) -> Result<(Arc<Floor>, Beginning), Fault> {
        let listened_to = locked(&self.0.floors).get(&casino).and_then(Weak::upgrade);
        if let Some(floor) = listened_to {
            let from = Beginning::in_memory(&locked(&floor.ring), wish.after);
            if let Some(from) = from {
                return Ok((floor, from));
            }
        }
        let bounds = self.bounds(casino).await?;
        let floor = self.floor(casino, bounds);
        let from = Beginning::decide(&locked(&floor.ring), wish.after, bounds);
        Ok((floor, from))
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
            ring: Mutex::new(Ring::after(bounds.last_seq)),
            rows: Default::default(),
            beat: Mutex::new(Beat {
                row: 0,
                spent_until: Instant::now(),
            }),
            seats: Mutex::default(),
        });
        floors.insert(casino_id, Arc::downgrade(&floor));
        self.0.joined.notify_one();
        floor
    }

    /// Follows the feeds that somebody listens to, until it is told to stop.
    pub(super) async fn follow(self, outbox: Outbox, stopping: CancellationToken) {
        let Outbox { db, news, .. } = outbox;
        let mut bell = news.subscribe();
        let mut standings_at = Instant::now() + STANDINGS_EVERY;
        loop {
            // Before anything is read: what is published meanwhile rings again.
            bell.mark_unchanged();
            let mut handed = news.take_handed();
            let mut wait = None;
            for floor in self.floors() {
                let head = news.head(floor.casino_id);
                let handed = handed.remove(&floor.casino_id).unwrap_or_default();
                match self.bring_up_to(&db, &floor, head, handed).await {
                    Ok(next) => wait = soonest(wait, next),
                    Err(fault) => {
                        tracing::warn!(error = %fault, "a feed could not be read; its streams wait");
                        wait = soonest(wait, Some(Instant::now() + AWAY_RESTS));
                    }
                }
            }
            if self.look_at_standings(&db, Instant::now() >= standings_at).await {
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

    /// Takes in what is new; when there is something to do next. What this daemon has published itself is handed over by its relay, anything
    /// else is read: what was handed over is used where it is just what comes next.
    async fn bring_up_to(&self, db: &Db, floor: &Floor, head: i64, handed: Vec<Published>) -> Result<Option<Instant>, Fault> {
        let mut handed = handed.into_iter().peekable();
        loop {
            let taken = locked(&floor.ring).coalescer.taken();
            if taken >= head {
                break;
            }
            while handed.next_if(|event| event.seq <= taken).is_some() {}
            let mut page = Vec::new();
            while let Some(event) = handed.next_if(|event| event.seq == taken + 1 + i64::try_from(page.len()).unwrap_or(i64::MAX)) {
                page.push(event);
            }
            if page.is_empty() {
                page = db.feed_after(floor.casino_id, taken, PAGE).await?;
            }
            if page.is_empty() {
                break;
            }
            floor.take(page, self.0.settings.kept);
        }
        let snapshot = floor.take(Vec::new(), self.0.settings.kept);
        Ok(soonest(snapshot, floor.wake(Instant::now(), self.0.apart())))
    }

    /// Cuts the streams of people who do not stand as they did. True: all of them were looked at.
    async fn look_at_standings(&self, db: &Db, all: bool) -> bool {
        let changed = std::mem::take(&mut *locked(&self.0.changed));
        for floor in self.floors() {
            if !all && !changed.contains(&floor.casino_id) {
                continue;
            }
            let people: Vec<Uuid> = floor.people();
            match db.feed_readers(floor.casino_id, people).await {
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
    fn take(&self, page: Vec<Published>, kept: usize) -> Option<Instant> {
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
        ring.coalescer.next_due()
    }

    /// Wakes the rows for which there is something new, as many as the writes allow; when the next may be.
    fn wake(&self, now: Instant, apart: Duration) -> Option<Instant> {
        let end = locked(&self.ring).end();
        let step = apart / u32::try_from(ROWS).unwrap_or(1);
        let mut beat = locked(&self.beat);
        for _ in 0..ROWS {
            let row = &self.rows[beat.row];
            if *row.borrow() != end {
                // After a pause all rows may go at once; where events never cease they go in turn.
                let due = beat.spent_until.checked_sub(apart.saturating_sub(step)).unwrap_or(now);
                if due > now {
                    return Some(due);
                }
                row.send_replace(end);
                beat.spent_until = beat.spent_until.max(now) + step;
            }
            beat.row = (beat.row + 1) % ROWS;
        }
        None
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
