//! Commands that go together: while one transaction is under way, the commands that arrive meanwhile gather, and the next transaction takes all of
//! them. Four round trips and one flush to disk serve twenty commands instead of one.
//!
//! It changes how a command gets its transaction and nothing else. Each has its own desk, is judged by itself, signs and is audited by itself,
//! and one that is refused gets up and leaves the others sitting. They never look at the same session, table or box. What could go wrong for
//! all is not risked: a lock somebody else holds is not waited for, and where the writing fails nothing was kept, and each goes on by itself, as
//! it also does if this is not running at all. See `docs/decisions/commands-go-together.md`.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Command, Engine, Envelope, Principal};
use crate::error::Error;
use crate::store::Tx;
use crate::store::desk::{Ask, Opened, Opening, Writing};

/// Transactions of many that may be under way at once: while one is judged, written and flushed to disk, the next is read. No two of them are read at
/// once, or each would have half the company.
pub const GATHERINGS: usize = 2;
/// Commands in one of them. With more the first would wait too long for the last.
const SEATS: usize = 32;
/// How long those who are there wait for company: a transaction costs eight commands nearly what it costs sixteen.
const MOMENT: Duration = Duration::from_millis(4);
/// A crowd that went longer ago is not expected again.
const FORGOTTEN_AFTER: Duration = Duration::from_millis(100);
/// Callers whose casino is remembered.
const HOMES: usize = 10_000;

/// Where commands gather.
#[derive(Default)]
pub(super) struct Together {
    waiting: Mutex<Waitlist>,
    /// Rung for who comes where nobody is about to take them along.
    bell: Notify,
    /// Rung for who comes while company gathers.
    joined: Notify,
    /// Whose turn it is to take those who wait, and to read for them.
    turn: tokio::sync::Mutex<()>,
    /// Gatherings that run. Where there is none, nobody waits.
    running: AtomicUsize,
    /// The casino a subject belonged to when it last asked: who is worth seating together. Whose casino it is, Postgres says.
    homes: Mutex<HashMap<String, Uuid>>,
}

/// Those who wait for their turn.
#[derive(Default)]
struct Waitlist {
    queue: VecDeque<Waiting>,
    /// Somebody has the turn, and waits for more to come.
    gathers: bool,
    /// Who went in the last two.
    went: [Option<Went>; 2],
}

/// So many commands of one casino went in one transaction.
#[derive(Clone, Copy)]
struct Went {
    casino: Uuid,
    commands: usize,
    at: Instant,
}

impl Waitlist {
    /// Whether those who would go next wait for more: as many as went a moment ago are likely to come again, and more are not waited for.
    fn lacks_company(&self) -> bool {
        let Some(casino) = self.queue.front().map(|first| first.casino) else {
            return false;
        };
        let lately = |went: &&Went| went.casino == casino && went.at.elapsed() < FORGOTTEN_AFTER;
        let crowd = self.went.iter().flatten().filter(lately).map(|went| went.commands).max();
        let here = self.queue.iter().filter(|waiting| waiting.casino == casino).count();
        crowd.is_some_and(|crowd| here < crowd)
    }

    /// All of the first one's casino, in the order they came, as far as there are seats.
    fn take(&mut self) -> Vec<Waiting> {
        let Some(casino) = self.queue.front().map(|first| first.casino) else {
            return Vec::new();
        };
        let (mut going, mut staying) = (Vec::new(), VecDeque::new());
        for waiting in self.queue.drain(..) {
            if waiting.casino == casino && going.len() < SEATS {
                going.push(waiting);
            } else {
                staying.push_back(waiting);
            }
        }
        self.queue = staying;
        let going_now = Went {
            casino,
            commands: going.len(),
            at: Instant::now(),
        };
        self.went = [Some(going_now), self.went[0]];
        going
    }
}

/// A command that waits for its turn.
struct Waiting {
    casino: Uuid,
    subject: String,
    correlation_id: String,
    key: Option<String>,
    at: DateTime<Utc>,
    ask: Ask,
    seat: oneshot::Sender<Result<Option<(Opened, Place)>, Error>>,
}

/// A command's part in a transaction: its own, or a place in a common one. Left without a word, it keeps nothing.
pub(super) enum Seat {
    Alone(Tx),
    Among(Place),
}

pub(super) struct Place {
    writing: oneshot::Sender<Writing>,
    outcome: oneshot::Receiver<Outcome>,
}

#[derive(Clone)]
enum Outcome {
    Kept,
    /// Nothing was kept, of nobody.
    Undone,
    /// The line broke at the commit.
    Unknown(String),
}

impl Seat {
    /// Writes what was judged, and keeps it.
    pub(super) async fn keep(self, writing: Writing) -> Result<(), Error> {
        match self {
            Self::Alone(tx) => {
                tx.put(&writing).await?;
                tx.commit().await
            }
            Self::Among(place) => place.keep(writing).await,
        }
    }

    /// The transaction, where it is this command's own.
    pub(super) fn into_own(self) -> Result<Tx, Error> {
        match self {
            Self::Alone(tx) => Ok(tx),
            Self::Among(_) => Err(Error::Collided("the command needs a transaction of its own".to_owned())),
        }
    }
}

impl Place {
    async fn keep(self, writing: Writing) -> Result<(), Error> {
        let undone = || Error::Collided("a transaction of several commands was undone".to_owned());
        self.writing.send(writing).map_err(|_| undone())?;
        match self.outcome.await {
            Ok(Outcome::Kept) => Ok(()),
            Ok(Outcome::Undone) => Err(undone()),
            Ok(Outcome::Unknown(what)) => Err(Error::OutcomeUnknown(what)),
            // Whoever was to commit is gone, and did not say how far it came.
            Err(_) => Err(Error::OutcomeUnknown("the transaction ended without a word".to_owned())),
        }
    }
}

impl Together {
    /// Remembers where a caller belongs.
    pub(super) fn belongs(&self, subject: &str, casino: Uuid) {
        let mut homes = held(&self.homes);
        if homes.get(subject) == Some(&casino) {
            return;
        }
        if homes.len() >= HOMES {
            homes.clear();
        }
        homes.insert(subject.to_owned(), casino);
    }

    /// A desk among others, if this command may sit there. None: it goes by itself.
    pub(super) async fn seat(&self, envelope: &Envelope, command: &Command, at: DateTime<Utc>) -> Result<Option<(Opened, Place)>, Error> {
        let Principal::Subject(subject) = &envelope.principal else {
            return Ok(None);
        };
        if !command.ask.is_plain() || !command.pins.is_empty() {
            return Ok(None);
        }
        let Some(casino) = held(&self.homes).get(subject).copied() else {
            return Ok(None);
        };
        let (seat, my_seat) = oneshot::channel();
        self.join(Waiting {
            casino,
            subject: subject.clone(),
            correlation_id: envelope.correlation.as_str().to_owned(),
            key: envelope.key_name().map(ToOwned::to_owned),
            at,
            ask: command.ask.clone(),
            seat,
        });
        my_seat.await.unwrap_or(Ok(None))
    }

    /// Dropped at once where nobody would come for it.
    fn join(&self, waiting: Waiting) {
        let mut waitlist = held(&self.waiting);
        if self.running.load(Ordering::SeqCst) > 0 {
            waitlist.queue.push_back(waiting);
            let bell = if waitlist.gathers { &self.joined } else { &self.bell };
            bell.notify_one();
        }
    }

    /// Waits until there is somebody to take along; false where it is time to stop.
    async fn somebody_waits(&self, stopping: &CancellationToken) -> bool {
        while !stopping.is_cancelled() {
            if !held(&self.waiting).queue.is_empty() {
                return true;
            }
            tokio::select! {
                () = self.bell.notified() => {}
                () = stopping.cancelled() => {}
            }
        }
        false
    }

    /// The next who go together, when their company is there or has not come. Only for who has the turn.
    async fn next(&self) -> Vec<Waiting> {
        let is_lacking = || {
            let mut waitlist = held(&self.waiting);
            waitlist.gathers = waitlist.lacks_company();
            waitlist.gathers
        };
        let company = async {
            while is_lacking() {
                self.joined.notified().await;
            }
        };
        // Whoever has not come by then is not waited for.
        tokio::time::timeout(MOMENT, company).await.ok();

        let mut waitlist = held(&self.waiting);
        waitlist.gathers = false;
        let going = waitlist.take();
        if !waitlist.queue.is_empty() {
            self.bell.notify_one();
        }
        going
    }
}

/// One gathering, until it is told to stop.
struct Gathering<'a>(&'a Together);

impl<'a> Gathering<'a> {
    fn begin(together: &'a Together) -> Self {
        together.running.fetch_add(1, Ordering::SeqCst);
        Self(together)
    }
}

impl Drop for Gathering<'_> {
    /// Whoever waits still goes by themselves: under the lock, so that nobody joins a queue no one will look at.
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a gathering panicked: without the last of them commands go by themselves");
        }
        let mut waitlist = held(&self.0.waiting);
        // Company that gathered for this one rings for another from now on.
        waitlist.gathers = false;
        if self.0.running.fetch_sub(1, Ordering::SeqCst) == 1 {
            waitlist.queue.clear();
        } else {
            // It may have been woken for those who wait.
            self.0.bell.notify_one();
        }
    }
}

impl Engine {
    /// Takes commands together, until `stopping`. [`GATHERINGS`] of these take turns.
    pub async fn gather(&self, stopping: CancellationToken) {
        let gathering = Gathering::begin(&self.together);
        while gathering.0.somebody_waits(&stopping).await {
            if self.take_along().await {
                self.told.notify_one();
            }
        }
    }

    /// One transaction for all who wait. Whether anything was kept.
    async fn take_along(&self) -> bool {
        match self.seat_all().await {
            Ok(Some((tx, places))) => settle(tx, places).await,
            Ok(None) => false,
            // Nobody has a seat, so each goes by itself and meets the fault there.
            Err(fault) => {
                tracing::debug!(error = %fault, "commands could not go together");
                false
            }
        }
    }

    /// Begun before the turn comes, so that nobody waits for that. None where another has taken all meanwhile: a transaction of nothing.
    async fn seat_all(&self) -> Result<Option<(Tx, Vec<Served>)>, Error> {
        let begun = self.db.begin().await;
        let _turn = self.together.turn.lock().await;
        let going = self.together.next().await;
        if going.is_empty() {
            return Ok(None);
        }
        let tx = match begun {
            Ok(tx) => tx,
            // They have waited for a connection as long as anybody may; by itself each would wait as long again.
            Err(fault) if fault.is_of_pool() => {
                for waiting in going {
                    waiting.seat.send(Err(Error::Unavailable(fault.to_string()))).ok();
                }
                return Ok(None);
            }
            Err(fault) => return Err(fault.into()),
        };
        let places = seated(&tx, going).await?;
        Ok(Some((tx, places)))
    }
}

struct Served {
    writing: oneshot::Receiver<Writing>,
    outcome: oneshot::Sender<Outcome>,
}

async fn seated(tx: &Tx, going: Vec<Waiting>) -> Result<Vec<Served>, Error> {
    let openings: Vec<Opening<'_>> = going.iter().map(Waiting::opening).collect();
    let mut desks = tx.open_desks(&openings).await?;
    let desks: Vec<Option<Opened>> = openings.iter().map(|opening| desks.seat(opening)).collect();
    let mut served = Vec::new();
    for (waiting, opened) in going.into_iter().zip(desks) {
        let place = opened.map(|opened| {
            let (writing, written) = oneshot::channel();
            let (told, outcome) = oneshot::channel();
            served.push(Served {
                writing: written,
                outcome: told,
            });
            (opened, Place { writing, outcome })
        });
        // One that has gone away keeps nothing: its place goes with it.
        waiting.seat.send(Ok(place)).ok();
    }
    Ok(served)
}

async fn settle(tx: Tx, places: Vec<Served>) -> bool {
    let (mut all, mut staying) = (Writing::default(), Vec::new());
    for place in places {
        // One that was refused has left, and its place says nothing.
        if let Ok(writing) = place.writing.await {
            all.join(writing);
            staying.push(place.outcome);
        }
    }
    if staying.is_empty() {
        return false;
    }
    let outcome = kept(tx, &all).await;
    for told in staying {
        told.send(outcome.clone()).ok();
    }
    matches!(outcome, Outcome::Kept)
}

async fn kept(tx: Tx, all: &Writing) -> Outcome {
    if let Err(fault) = tx.put(all).await {
        tracing::debug!(error = %fault, "a transaction of several commands was undone");
        return Outcome::Undone;
    }
    match tx.commit().await {
        Ok(()) => Outcome::Kept,
        // Said by Postgres: it did not commit.
        Err(error @ (Error::Collided(_) | Error::Refused(_))) => {
            tracing::debug!(%error, "a transaction of several commands was not committed");
            Outcome::Undone
        }
        // Anything else may have been said of a commit that happened: to judge again could do a thing twice.
        Err(error) => Outcome::Unknown(error.to_string()),
    }
}

impl Waiting {
    fn opening(&self) -> Opening<'_> {
        Opening {
            subject: Some(&self.subject),
            system_of: None,
            correlation_id: &self.correlation_id,
            lease: None,
            key: self.key.as_deref(),
            lock: true,
            at: self.at,
            ask: &self.ask,
        }
    }
}

/// What a panic left behind is whole: every change under these locks is one call.
fn held<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(casino: Uuid) -> Waiting {
        Waiting {
            casino,
            subject: String::new(),
            correlation_id: String::new(),
            key: None,
            at: DateTime::UNIX_EPOCH,
            ask: Ask::default(),
            seat: oneshot::channel().0,
        }
    }

    fn waitlist(here: usize, went: [usize; 2]) -> Waitlist {
        let casino = Uuid::nil();
        let at = Instant::now();
        Waitlist {
            queue: (0..here).map(|_| waiting(casino)).collect(),
            went: went.map(|commands| Some(Went { casino, commands, at })),
            ..Waitlist::default()
        }
    }

    fn gathering(waitlist: Waitlist) -> Together {
        Together {
            waiting: Mutex::new(waitlist),
            running: AtomicUsize::new(1),
            ..Together::default()
        }
    }

    #[test]
    fn as_many_are_waited_for_as_went_a_moment_ago() {
        for went in [[3, 1], [1, 3]] {
            let lacking = (0..5).map(|here| waitlist(here, went).lacks_company()).collect::<Vec<_>>();
            assert_eq!(lacking, [false, true, true, false, false], "{went:?}");
        }
        let mut alone = waitlist(1, [16, 16]);
        for lacks in [true, true, false] {
            assert_eq!(alone.lacks_company(), lacks, "who has come alone twice is waited for no more");
            assert_eq!(alone.take().len(), 1);
            alone.queue.push_back(waiting(Uuid::nil()));
        }
    }

    #[test]
    fn a_crowd_of_another_casino_or_of_long_ago_is_not_expected() {
        let mut waitlist = waitlist(1, [16, 16]);
        waitlist.queue.push_front(waiting(Uuid::from_u128(1)));
        assert!(!waitlist.lacks_company());
        waitlist.queue.pop_front();
        assert!(waitlist.lacks_company());
        for went in waitlist.went.iter_mut().flatten() {
            went.at -= FORGOTTEN_AFTER;
        }
        assert!(!waitlist.lacks_company());
    }

    #[test]
    fn those_of_one_casino_go_as_far_as_there_are_seats_and_the_others_stay_in_order() {
        let [one, other] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let mut waitlist = Waitlist::default();
        waitlist.queue.extend((0..2 * SEATS).flat_map(|_| [waiting(one), waiting(other)]));
        let casinos = |waiting: &[Waiting]| waiting.iter().map(|waiting| waiting.casino).collect::<Vec<_>>();
        assert_eq!(casinos(&waitlist.take()), vec![one; SEATS]);
        assert_eq!(casinos(&waitlist.take()), vec![other; SEATS]);
        assert_eq!(casinos(&waitlist.take()), vec![one; SEATS]);
        assert_eq!(waitlist.queue.len(), SEATS);
    }

    #[tokio::test]
    async fn who_comes_meanwhile_is_taken_along_and_who_does_not_is_not_waited_for() {
        let together = gathering(waitlist(1, [2, 2]));
        let (going, ()) = tokio::join!(together.next(), async { together.join(waiting(Uuid::nil())) });
        assert_eq!(going.len(), 2);

        let together = gathering(waitlist(1, [2, 2]));
        let going = tokio::time::timeout(Duration::from_secs(10), together.next()).await;
        assert_eq!(going.map(|going| going.len()), Ok(1));
        assert!(!held(&together.waiting).gathers, "who comes now rings for the next");

        let nobody = gathering(waitlist(0, [2, 2]));
        assert!(nobody.next().await.is_empty());
    }
}
