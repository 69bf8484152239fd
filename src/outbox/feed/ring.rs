//! The youngest part of a feed, in words.
//!
//! A frame is an event, worded once. A piece is a stretch of frames as some streams say it, worded by the first of them: a thousand streams
//! at one place are a thousand pointers to it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use axum::body::Bytes;
use serde_json::Value;
use uuid::Uuid;
use workflows::event::{Event, Sight};
use workflows::role::Role;

use crate::outbox::coalesce::{Coalescer, Taken, Tell};
use crate::store::feed::Published;

/// What the frames of a casino may take: where they are large, fewer are kept.
const KEPT_BYTES: usize = 32 * 1024 * 1024;
/// Frames written at a time: a stream that has much to catch up with still takes turns with the others.
const AT_ONCE: usize = 256;
/// And so many bytes, if that is more than one frame: it is what a reader holds who does not read.
const BYTES_AT_ONCE: usize = 256 * 1024;
/// Pieces kept for streams at the same place: of each row, for each role.
const PIECES: usize = 32;
/// A piece larger than this is not kept.
const KEPT_PIECE_BYTES: usize = 128 * 1024;

/// The youngest frames.
pub(super) struct Ring {
    pub(super) frames: VecDeque<Arc<Frame>>,
    /// The number of the oldest.
    pub(super) first: u64,
    pub(super) bytes: usize,
    /// Every event after this seq is in a frame, or waits to be.
    pub(super) covers_after: i64,
    /// Everything up to here was told, by the frames until now.
    pub(super) settled: i64,
    pub(super) coalescer: Coalescer<Known>,
    /// The youngest pieces that were worded.
    pub(super) pieces: VecDeque<Piece>,
}

/// A stretch of frames as some streams say it.
pub(super) struct Piece {
    pub(super) from: u64,
    pub(super) until: u64,
    pub(super) role: Role,
    pub(super) share: Share,
    /// The smallest seq in it, and the id it begins with: to a stream that is beyond either it is not to be said like this.
    pub(super) least_seq: i64,
    pub(super) first_settled: i64,
    /// The id after it.
    pub(super) id: i64,
    pub(super) words: Bytes,
}

/// What streams may have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Every event.
    Whole,
    /// The casino's own channel and no other.
    Casino,
}

/// An event of the feed, read.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) published: Published,
    pub(super) event: Event,
}

/// What streams are made of: an event in words.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) seq: i64,
    /// Everything up to here is told when this frame is.
    pub(super) settled: i64,
    pub(super) channels: Vec<String>,
    pub(super) event: Event,
    pub(super) whole: String,
    /// For those who may see that it happened and no more; empty where there is nobody of that kind.
    pub(super) without_figures: String,
}

pub(super) fn known(published: Published, event: Event) -> Taken<Known> {
    Taken {
        seq: published.seq,
        name: event.name(),
        resource: published.aggregate_id,
        snapshot: event.snapshot(),
        what: Known { published, event },
    }
}

impl Ring {
    /// At the feed's end.
    pub(super) fn after(seq: i64) -> Self {
        Self {
            frames: VecDeque::new(),
            first: 0,
            bytes: 0,
            covers_after: seq,
            settled: seq,
            coalescer: Coalescer::after(seq),
            pieces: VecDeque::new(),
        }
    }

    pub(super) fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    pub(super) fn push(&mut self, tells: Vec<Tell<Known>>, kept: usize) {
        let last = tells.len().saturating_sub(1);
        for (index, tell) in tells.into_iter().enumerate() {
            // What is told together is settled by the last of it.
            if index == last {
                self.settled = self.settled.max(self.coalescer.settled());
            }
            let frame = Frame::of(tell, self.settled);
            self.bytes += frame.bytes();
            self.frames.push_back(Arc::new(frame));
        }
        while self.frames.len() > kept || (self.bytes > KEPT_BYTES && self.frames.len() > 1) {
            if let Some(gone) = self.frames.pop_front() {
                self.first += 1;
                self.bytes -= gone.bytes();
                self.covers_after = self.covers_after.max(gone.seq);
            }
        }
    }

    /// As far as one piece may go from here.
    pub(super) fn reach(&self, from: u64) -> u64 {
        let first = usize::try_from(from - self.first).unwrap_or(usize::MAX).min(self.frames.len());
        let mut bytes = 0;
        let fits = self.frames.range(first..).take(AT_ONCE).take_while(|frame| {
            let is_first = bytes == 0;
            bytes += frame.bytes();
            is_first || bytes <= BYTES_AT_ONCE
        });
        from + fits.count() as u64
    }

    pub(super) fn keep(&mut self, piece: Piece) {
        if piece.words.len() > KEPT_PIECE_BYTES {
            return;
        }
        if self.pieces.len() == PIECES {
            self.pieces.pop_front();
        }
        self.pieces.push_back(piece);
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

    fn bytes(&self) -> usize {
        self.whole.len() + self.without_figures.len()
    }

    /// What a reader gets of it.
    pub(super) fn seen_by(&self, role: Role) -> Option<&str> {
        match self.event.sight(role) {
            Sight::Whole => Some(&self.whole),
            Sight::WithoutFigures => Some(&self.without_figures),
            Sight::Nothing => None,
        }
    }
}

/// An event as a stream says it, without its id.
pub(super) fn worded(name: &str, wire: &Value) -> String {
    format!("event: {name}\ndata: {wire}\n\n")
}

impl Share {
    pub(super) fn of(channels: &BTreeSet<String>, casino: Uuid) -> Option<Self> {
        match channels.first() {
            None => Some(Self::Whole),
            Some(only) if channels.len() == 1 && *only == casino.to_string() => Some(Self::Casino),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An event that takes about so many bytes.
    fn tell(seq: i64, bytes: usize) -> Tell<Known> {
        let table_id = Uuid::from_u128(1);
        let published = Published {
            seq,
            event_id: Uuid::from_u128(2),
            casino_id: Uuid::from_u128(3),
            event: "table.deactivated".to_owned(),
            aggregate_id: table_id,
            channels: Vec::new(),
            schema_version: 1,
            correlation_id: "c".to_owned(),
            payload: json!({ "note": "x".repeat(bytes) }),
            created_at: chrono::DateTime::UNIX_EPOCH,
            published_at: chrono::DateTime::UNIX_EPOCH,
        };
        Tell {
            what: Known {
                published,
                event: Event::TableDeactivated { table_id },
            },
            seq,
            supersedes: Vec::new(),
        }
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_in_bytes() {
        let mut ring = Ring::after(0);
        ring.push((1..=10).map(|seq| tell(seq, 10)).collect(), 4);
        assert_eq!((ring.frames.len(), ring.first, ring.covers_after), (4, 6, 6));
        ring.push((11..=14).map(|seq| tell(seq, KEPT_BYTES / 3)).collect(), 100);
        assert_eq!((ring.frames.len(), ring.end(), ring.covers_after), (2, 14, 12));
        assert!(ring.bytes <= KEPT_BYTES);
        // The youngest is there, whatever it takes.
        ring.push(vec![tell(15, 2 * KEPT_BYTES)], 100);
        assert_eq!((ring.frames.len(), ring.covers_after), (1, 14));
        ring.push(vec![tell(16, 10)], 100);
        assert_eq!((ring.frames.len(), ring.bytes), (1, ring.frames[0].bytes()));
    }

    #[test]
    fn a_piece_is_bounded_in_number_and_in_bytes_and_goes_on() {
        let mut ring = Ring::after(0);
        ring.push((1..=600).map(|seq| tell(seq, 10)).collect(), 1_000);
        assert_eq!(
            [ring.reach(0), ring.reach(256), ring.reach(512), ring.reach(600)],
            [256, 512, 600, 600]
        );
        ring.push((601..=603).map(|seq| tell(seq, BYTES_AT_ONCE * 2 / 3)).collect(), 1_000);
        assert_eq!([ring.reach(599), ring.reach(601), ring.reach(602)], [601, 602, 603]);
        ring.push(vec![tell(604, 2 * BYTES_AT_ONCE)], 1_000);
        assert_eq!([ring.reach(602), ring.reach(603)], [603, 604]);
    }
}
