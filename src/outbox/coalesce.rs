//! Snapshots of the same thing, at most one a second (domain §13): the last one stands for those before it.
//!
//! Only live streams are thinned out; the stored feed keeps every event. So a stream that resumes still finds each seq: either the event
//! itself, or in `supersedes` of the snapshot that stands for it. A change of state goes out at once and, so that nobody hears of a thing's end
//! before its middle, takes a waiting snapshot of the same resource with it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;
use workflows::event::{Name, RatingSlipStatus, Snapshot};

/// The pace of snapshots of one thing.
const APART: Duration = Duration::from_secs(1);
/// A snapshot that stands for so many goes out before its time: the list of them is bounded.
const MOST_SUPERSEDED: usize = 256;

/// One casino's events on their way to its live streams.
#[derive(Debug)]
pub(super) struct Coalescer<T> {
    things: HashMap<(Name, String), Thing<T>>,
    /// Everything up to here was taken in.
    taken: i64,
}

/// What is to be told now.
#[derive(Debug, PartialEq)]
pub(super) struct Tell<T> {
    pub what: T,
    pub seq: i64,
    pub supersedes: Vec<i64>,
}

/// An event as it is taken in.
#[derive(Debug)]
pub(super) struct Taken<T> {
    pub what: T,
    pub seq: i64,
    pub name: Name,
    pub resource: Uuid,
    pub snapshot: Option<Snapshot>,
}

#[derive(Debug)]
struct Thing<T> {
    resource: Uuid,
    state: Option<RatingSlipStatus>,
    told_at: Instant,
    waiting: Option<Tell<T>>,
}

impl<T> Coalescer<T> {
    /// Begins after a place in the feed.
    pub(super) fn after(seq: i64) -> Self {
        Self {
            things: HashMap::new(),
            taken: seq,
        }
    }

    /// Everything up to here was taken in.
    pub(super) fn taken(&self) -> i64 {
        self.taken
    }

    /// Everything up to here was told, itself or by what stands for it: a reader who has heard all until now may resume after this.
    pub(super) fn settled(&self) -> i64 {
        let waiting = self.things.values().filter_map(|thing| thing.waiting.as_ref());
        let first = |tell: &Tell<T>| tell.supersedes.first().copied().unwrap_or(tell.seq);
        waiting.map(first).min().map_or(self.taken, |first| first - 1)
    }

    /// Goes on without an event that nobody here can read.
    pub(super) fn pass_over(&mut self, seq: i64) {
        self.taken = seq;
    }

    /// Takes in the next event of the feed; what is to be told by it, in this order.
    pub(super) fn take(&mut self, event: Taken<T>, now: Instant) -> Vec<Tell<T>> {
        self.taken = event.seq;
        let tell = Tell {
            what: event.what,
            seq: event.seq,
            supersedes: Vec::new(),
        };
        let Some(snapshot) = event.snapshot else {
            let mut told = self.flush(event.resource, now);
            told.push(tell);
            return told;
        };
        match self.things.get_mut(&(event.name, snapshot.of.clone())) {
            Some(thing) if thing.state == snapshot.state => thing.take(tell, now).into_iter().collect(),
            Some(thing) => {
                let before = thing.tell(now);
                thing.state = snapshot.state;
                before.into_iter().chain([tell]).collect()
            }
            None => {
                let thing = Thing {
                    resource: event.resource,
                    state: snapshot.state,
                    told_at: now,
                    waiting: None,
                };
                self.things.insert((event.name, snapshot.of), thing);
                vec![tell]
            }
        }
    }

    /// Snapshots whose second is over, and things nobody has heard of for longer than that are forgotten.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Tell<T>> {
        let is_due = |thing: &Thing<T>| now.duration_since(thing.told_at) >= APART;
        let due = self.things.values_mut().filter(|thing| is_due(thing));
        let mut told: Vec<Tell<T>> = due.filter_map(|thing| thing.tell(now)).collect();
        told.sort_by_key(|tell| tell.seq);
        self.things.retain(|_, thing| !is_due(thing));
        told
    }

    /// When the next snapshot is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = self.things.values().filter(|thing| thing.waiting.is_some());
        waiting.map(|thing| thing.told_at + APART).min()
    }

    fn flush(&mut self, resource: Uuid, now: Instant) -> Vec<Tell<T>> {
        let of_it = self.things.values_mut().filter(|thing| thing.resource == resource);
        let mut told: Vec<Tell<T>> = of_it.filter_map(|thing| thing.tell(now)).collect();
        told.sort_by_key(|tell| tell.seq);
        told
    }
}

impl<T> Thing<T> {
    /// In the same state: told now if its second is over, else it waits in the place of the one before.
    fn take(&mut self, mut tell: Tell<T>, now: Instant) -> Option<Tell<T>> {
        if let Some(before) = self.waiting.take() {
            tell.supersedes = before.supersedes;
            tell.supersedes.push(before.seq);
        }
        let full = tell.supersedes.len() >= MOST_SUPERSEDED;
        self.waiting = Some(tell);
        if full || now.duration_since(self.told_at) >= APART {
            return self.tell(now);
        }
        None
    }

    fn tell(&mut self, now: Instant) -> Option<Tell<T>> {
        let tell = self.waiting.take()?;
        self.told_at = now;
        Some(tell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn of(seq: i64, resource: u128, state: Option<RatingSlipStatus>) -> Taken<i64> {
        Taken {
            what: seq,
            seq,
            name: Name::RatingSlipUpdated,
            resource: Uuid::from_u128(resource),
            snapshot: state.map(|state| Snapshot {
                of: resource.to_string(),
                state: Some(state),
            }),
        }
    }

    fn hot(seq: i64, resource: u128) -> Taken<i64> {
        of(seq, resource, Some(RatingSlipStatus::Open))
    }

    fn told(tells: &[Tell<i64>]) -> Vec<(i64, Vec<i64>)> {
        tells.iter().map(|tell| (tell.seq, tell.supersedes.clone())).collect()
    }

    #[test]
    fn the_first_is_told_at_once_and_the_last_of_a_second_for_all_of_it() {
        let (mut feed, start) = (Coalescer::after(0), Instant::now());
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(told(&feed.take(hot(1, 7), at(0))), [(1, vec![])]);
        assert_eq!(feed.settled(), 1);
        assert!(feed.take(hot(2, 7), at(200)).is_empty());
        assert!(feed.take(hot(3, 7), at(400)).is_empty());
        assert_eq!((feed.settled(), feed.taken(), feed.next_due()), (1, 3, Some(at(1000))));
        assert!(feed.due(at(999)).is_empty());
        assert_eq!(told(&feed.due(at(1000))), [(3, vec![2])]);
        assert_eq!((feed.settled(), feed.next_due()), (3, None));
    }

    #[test]
    fn another_thing_has_a_second_of_its_own() {
        let (mut feed, start) = (Coalescer::after(0), Instant::now());
        assert_eq!(feed.take(hot(1, 7), start).len() + feed.take(hot(2, 8), start).len(), 2);
    }

    #[test]
    fn a_change_of_state_goes_at_once_and_takes_what_waits_with_it() {
        let (mut feed, start) = (Coalescer::after(0), Instant::now());
        feed.take(hot(1, 7), start);
        feed.take(hot(2, 7), start);
        // Of another resource: what waits goes on waiting.
        assert_eq!(told(&feed.take(of(3, 8, None), start)), [(3, vec![])]);
        assert_eq!(feed.settled(), 1);
        assert_eq!(told(&feed.take(of(4, 7, None), start)), [(2, vec![]), (4, vec![])]);
        assert_eq!(feed.settled(), 4);
        feed.take(hot(5, 7), start);
        let paused = of(6, 7, Some(RatingSlipStatus::Paused));
        assert_eq!(told(&feed.take(paused, start)), [(5, vec![]), (6, vec![])]);
    }

    #[test]
    fn the_list_of_those_it_stands_for_is_bounded() {
        let (mut feed, start) = (Coalescer::after(0), Instant::now());
        let tells: Vec<_> = (1..=1000).flat_map(|seq| feed.take(hot(seq, 7), start)).collect();
        assert!(tells.len() > 1 && tells.iter().all(|tell| tell.supersedes.len() <= MOST_SUPERSEDED));
    }

    proptest! {
        /// Each seq is told once, itself or superseded; where a reader may resume, nothing earlier is missing.
        #[test]
        fn no_seq_is_lost_and_none_is_told_twice(
            events in proptest::collection::vec((0_u128..4, 0_u8..4, 0_u64..700), 1..200)
        ) {
            let (mut feed, mut now) = (Coalescer::after(0), Instant::now());
            let mut heard = BTreeSet::new();
            let mut seq = 0;
            for (resource, kind, pause) in events {
                now += Duration::from_millis(pause);
                seq += 1;
                let event = match kind {
                    0 => of(seq, resource, None),
                    1 => of(seq, resource, Some(RatingSlipStatus::Paused)),
                    _ => hot(seq, resource),
                };
                let mut tells = feed.due(now);
                tells.extend(feed.take(event, now));
                for told in tells.iter().flat_map(|tell| tell.supersedes.iter().chain([&tell.seq])) {
                    prop_assert!(heard.insert(*told), "{told} twice");
                }
                prop_assert!((1..=feed.settled()).all(|seq| heard.contains(&seq)));
            }
            for tell in feed.due(now + APART) {
                heard.extend(tell.supersedes.iter().chain([&tell.seq]).copied());
            }
            prop_assert_eq!(heard, (1..=seq).collect::<BTreeSet<_>>());
            prop_assert_eq!(feed.settled(), seq);
        }
    }
}
