//! One reader's stream: a place in the ring, or before it in the stored feed.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Bytes;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::ring::{Frame, Piece, Ring, Share, worded};
use super::{Cut, Floor, Inner, PAGE, Place, ROWS, Reader, locked};
use crate::observe::metrics::{self, Subscribed};
use crate::store::feed::Bounds;

/// Stored events a stream reads first. Whoever comes back to a busy floor has missed a few; who has missed many gets ever more at a time.
const FIRST_PAGE: u32 = 32;
/// A stream that was away for more events than this goes on without them, and is told so: they are read at `/events`, a page at a time.
const MOST_REPLAYED: i64 = 100_000;

/// One reader's stream. Dropped, it is closed.
pub struct Stream {
    feed: Arc<Inner>,
    floor: Arc<Floor>,
    /// Declared before what it guards: counted down when everything else is gone.
    seat: u64,
    reader: Reader,
    channels: BTreeSet<String>,
    share: Option<Share>,
    /// Cancelled with the feed, too.
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
    /// How many of them are read next.
    page: u32,
    /// To be said before anything else.
    opening: Option<String>,
    wrote_at: Instant,
    ends_at: Instant,
    /// Rings when something may be due, and then is set anew: set with every write, it would cost more than the write.
    alarm: Pin<Box<Sleep>>,
    ended: bool,
    _place: Place,
    _counted: Subscribed,
}

impl Stream {
    pub(super) fn open(
        feed: Arc<Inner>,
        floor: Arc<Floor>,
        place: Place,
        reader: Reader,
        channels: BTreeSet<String>,
        from: &Beginning,
    ) -> Self {
        let cut = feed.closed.child_token();
        let seat = {
            let mut seats = locked(&floor.seats);
            seats.next += 1;
            let seat = seats.next;
            seats.taken.insert(seat, (reader.clone(), cut.clone()));
            seat
        };
        let row = usize::try_from(seat % ROWS as u64).unwrap_or_default();
        let told = floor.rows[row].subscribe();
        let now = Instant::now();
        // Streams that came together do not come back together.
        let lasts = feed
            .settings
            .lasts
            .saturating_sub((feed.settings.lasts / 10).mul_f64(rand::random::<f64>()));
        let ends_at = now + lasts;
        Self {
            next: from.next,
            heard: from.heard,
            id: from.heard,
            behind: from.behind,
            page: FIRST_PAGE,
            opening: Some(from.opening()),
            wrote_at: now,
            ends_at,
            alarm: Box::pin(sleep_until(ends_at.min(now + feed.settings.heartbeat))),
            ended: false,
            seat,
            share: Share::of(&channels, reader.casino_id),
            reader,
            channels,
            cut,
            told,
            floor,
            feed,
            _place: place,
            _counted: metrics::sse_subscribed(),
        }
    }

    /// The next piece of the stream; none after its end.
    pub async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        if let Some(opening) = self.opening.take() {
            return Some(opening.into());
        }
        match self.piece().await {
            Ok(piece) => {
                self.wrote_at = Instant::now();
                Some(piece)
            }
            Err(cut) => Some(self.end(cut)),
        }
    }

    async fn piece(&mut self) -> Result<Bytes, Cut> {
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
                _ = self.told.changed() => {}
                () = &mut self.alarm => if let Some(heartbeat) = self.rung() { return Ok(heartbeat) },
            }
        }
    }

    fn go_on(&self) -> Result<(), Cut> {
        if self.feed.closed.is_cancelled() {
            return Err(Cut::Stopping);
        }
        if self.cut.is_cancelled() {
            return Err(Cut::StandingChanged);
        }
        if Instant::now() >= self.ends_at {
            return Err(Cut::TokenDue);
        }
        Ok(())
    }

    /// A heartbeat, if it is time for one.
    fn rung(&mut self) -> Option<Bytes> {
        let (now, every) = (Instant::now(), self.feed.settings.heartbeat);
        let due = self.wrote_at + every;
        let next = if now < due { due } else { now + every };
        self.alarm.as_mut().reset(next.min(self.ends_at));
        (now >= due).then(|| self.heartbeat().into())
    }

    /// What came since the last time.
    fn live(&mut self) -> Result<Bytes, Cut> {
        let frames = {
            let ring = locked(&self.floor.ring);
            if self.next < ring.first {
                return Err(Cut::TooSlow);
            }
            let until = ring.reach(self.next);
            if until == self.next {
                return Ok(Bytes::new());
            }
            if until < ring.end() {
                // Nothing else would wake this stream for the rest.
                self.told.mark_changed();
            }
            if let Some(piece) = ring.pieces.iter().rev().find(|piece| self.may_say(piece, until)) {
                (self.next, self.id) = (until, piece.id);
                return Ok(piece.words.clone());
            }
            let at = |number: u64| usize::try_from(number - ring.first).unwrap_or(usize::MAX);
            ring.frames.range(at(self.next)..at(until)).cloned().collect::<Vec<_>>()
        };
        Ok(self.word(&frames))
    }

    /// Whether these are the words this stream would find itself.
    fn may_say(&self, piece: &Piece, until: u64) -> bool {
        (piece.from, piece.until, Some(piece.share), piece.role) == (self.next, until, self.share, self.reader.role)
            && self.heard < piece.least_seq
            && self.id <= piece.first_settled
    }

    /// Words the next frames, also for the others who are here.
    fn word(&mut self, frames: &[Arc<Frame>]) -> Bytes {
        let (from, id_before) = (self.next, self.id);
        let mut piece = String::new();
        for frame in frames {
            self.write(&mut piece, frame);
        }
        self.next += frames.len() as u64;
        let words = Bytes::from(piece);
        let least_seq = frames.iter().map(|frame| frame.seq).min().unwrap_or_default();
        let first_settled = frames.first().map_or(0, |frame| frame.settled);
        if let Some(share) = self.share
            && self.heard < least_seq
            && id_before <= first_settled
        {
            locked(&self.floor.ring).keep(Piece {
                from,
                until: self.next,
                role: self.reader.role,
                share,
                least_seq,
                first_settled,
                id: self.id,
                words: words.clone(),
            });
        }
        words
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
    async fn catch_up(&mut self, until: i64) -> Result<Bytes, Cut> {
        let (casino, after, limit) = (self.floor.casino_id, self.heard, self.page);
        self.page = limit.saturating_mul(2).min(PAGE);
        let page = self
            .feed
            .read(move |db| async move { db.feed_after(casino, after, limit).await })
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
        Ok(piece.into())
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

    fn end(&mut self, cut: Cut) -> Bytes {
        self.ended = true;
        let reason: &'static str = cut.into();
        tracing::debug!(reason, staff_id = %self.reader.staff_id, "a stream is cut");
        metrics::sse_cut(reason);
        let told = json!({ "reason": reason, "detail": cut.said() });
        format!("id: {}\nevent: stream.cut\ndata: {told}\n\n", self.id).into()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        locked(&self.floor.seats).taken.remove(&self.seat);
    }
}

/// Where a stream begins.
pub(super) struct Beginning {
    next: u64,
    heard: i64,
    behind: Option<i64>,
    /// What cannot be sent any more: (what was asked for, where it goes on instead).
    missed: Option<(i64, i64)>,
}

impl Beginning {
    /// Where that needs no look at the store: from now on, or after an event whose followers are all in memory.
    pub(super) fn in_memory(ring: &Ring, after: Option<i64>) -> Option<Self> {
        let (next, heard) = match after {
            None => (ring.end(), ring.settled),
            Some(after) if (ring.covers_after..=ring.coalescer.taken()).contains(&after) => (ring.first, after),
            Some(_) => return None,
        };
        Some(Self {
            next,
            heard,
            behind: None,
            missed: None,
        })
    }

    pub(super) fn decide(ring: &Ring, after: Option<i64>, bounds: Bounds) -> Self {
        let (end, taken) = (ring.end(), ring.coalescer.taken());
        let last = bounds.last_seq.max(taken);
        let after = match (after, Self::in_memory(ring, after)) {
            (_, Some(beginning)) => return beginning,
            (after, None) => after.unwrap_or(last),
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
