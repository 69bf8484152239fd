//! THE write path. Every change to a session comes through [`Engine::command`], set-up through [`Engine::change`]:
//!
//! begin → tenant context → idempotency key → lock and dossier → judge → settle the automatic edges → put, audit, outbox, answer → commit.
//!
//! Four round trips to Postgres, whatever the command. What leaves the building leaves as rows first; nothing is published before it is
//! committed. The law decides (crate `workflows`), the store writes, and this module only keeps the order.

mod audit;
mod desk;
mod observed;
mod pins;
mod rollups;
mod together;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;
use tokio::sync::Notify;
use uuid::Uuid;
use workflows::act::{self, Act};
use workflows::case::{Changes, Context};
use workflows::event::Event;
use workflows::refusal::Refusal;
use workflows::role::Role;

pub use self::desk::Desk;
pub use self::pins::Pin;
use self::pins::Verdict;
pub use self::rollups::{Drained, Verified};
pub use self::together::GATHERINGS;
use self::together::{Seat, Together};
pub use self::upkeep::Upkeep;
use crate::answer::Answer;
use crate::auth::seal_key::SealKey;
use crate::clock::{Clock, new_id};
use crate::error::Error;
use crate::observe::CorrelationId;
use crate::store::clockwork::Lease;
pub use crate::store::desk::RequestHash;
use crate::store::desk::{AnswerRow, Ask, Kind, Opened, Opening, OutboxRow, Remembered, Writing};
use crate::store::list::Query;
use crate::store::packed::Packed;
use crate::store::setup::Setup;
use crate::store::{Db, Tx};

/// How often a command that collided with another is judged anew before the client is told to come back.
const ATTEMPTS: u32 = 5;
/// The first pause after a collision; it doubles, with full jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(8);

/// What a request carries beside its body.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Who asks.
    pub principal: Principal,
    pub correlation: CorrelationId,
    /// `Idempotency-Key`.
    pub key: Option<Key>,
    /// The version `If-Match` names.
    pub if_match: Option<i64>,
}

impl Envelope {
    pub fn key_name(&self) -> Option<&str> {
        self.key.as_ref().map(|key| key.name.as_str())
    }
}

/// A key, and the request it stands for.
#[derive(Clone, Debug)]
pub struct Key {
    pub name: String,
    pub request: RequestHash,
}

/// Who asks: a person whose token was verified, or the daemon itself for one casino. No request can name the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The token's subject: proved, and nothing more. Casino and role come from its staff row.
    Subject(String),
    /// The casino's own `system` staff row: jobs. It signs nothing.
    System(Uuid),
}

/// What a command is, before anything is known of the world.
pub struct Command {
    pub act: Act,
    pub ask: Ask,
    pub pins: Vec<Pin>,
    pub versioned: Versioned,
}

/// Whose version `If-Match` compares and `ETag` tells.
#[derive(Clone, Copy, Debug)]
pub enum Versioned {
    Session,
    Slip(Uuid),
    Exception(Uuid),
    Nothing,
}

/// What a command came to, for whoever words the answer.
pub struct Done<'a, T> {
    pub value: T,
    pub changes: &'a Changes,
    pub context: &'a Context,
}

/// The engine: the pool and the clock.
#[derive(Clone)]
pub struct Engine {
    db: Db,
    clock: Clock,
    /// The run in whose name all of it is done, if it is a job's.
    lease: Option<Lease>,
    /// What audit rows are sealed with, where this daemon holds such a key.
    seal_key: Option<SealKey>,
    /// Rung after each commit that wrote events.
    told: Arc<Notify>,
    together: Arc<Together>,
}

impl Engine {
    pub fn new(db: Db, clock: Clock) -> Self {
        Self {
            db,
            clock,
            lease: None,
            seal_key: None,
            told: Arc::default(),
            together: Arc::default(),
        }
    }

    /// The same, able to seal.
    #[must_use]
    pub fn sealing_with(self, seal_key: Option<SealKey>) -> Self {
        Self { seal_key, ..self }
    }

    pub fn seal_key(&self) -> Option<&SealKey> {
        self.seal_key.as_ref()
    }

    /// The same for one run of a job: every transaction holds the lease, and is refused where it is lost.
    #[must_use]
    pub fn under(&self, lease: Lease) -> Self {
        Self {
            lease: Some(lease),
            ..self.clone()
        }
    }

    pub fn db(&self) -> &Db {
        &self.db
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Rings when events wait to be published: a hint for the relay, which finds them without it too.
    pub fn told(&self) -> Arc<Notify> {
        Arc::clone(&self.told)
    }

    /// Judges a command and writes what came of it, once: the same key gives the first answer again.
    ///
    /// `judge` may run several times, each time over a world read anew; `answer` words the outcome.
    pub async fn command<T>(
        &self,
        envelope: &Envelope,
        command: &Command,
        judge: impl Fn(&mut Desk) -> Result<T, Error> + Send + Sync,
        answer: impl Fn(&Done<'_, T>) -> Answer + Send + Sync,
    ) -> Result<Answer, Error>
    where
        T: Send,
    {
        let done = Box::pin(async {
            for attempt in 1..ATTEMPTS {
                match self.attempt(envelope, command, attempt, &judge, &answer).await {
                    Err(Error::Collided(_)) => pause(attempt).await,
                    settled => return settled,
                }
            }
            self.attempt(envelope, command, ATTEMPTS, &judge, &answer).await
        });
        observed::observed(command.act, envelope, done).await
    }

    async fn attempt<T>(
        &self,
        envelope: &Envelope,
        command: &Command,
        attempt: u32,
        judge: &(impl Fn(&mut Desk) -> Result<T, Error> + Send + Sync),
        answer: &(impl Fn(&Done<'_, T>) -> Answer + Send + Sync),
    ) -> Result<Answer, Error>
    where
        T: Send,
    {
        let (opened, seat) = self.sit_down(envelope, command, attempt).await?;
        may(envelope, &opened, command.act)?;
        if let Some(first) = &opened.replay {
            return replay(envelope, first);
        }
        let proved = match pins::judge(&opened, &command.pins, self.clock.now()).await? {
            Verdict::Proved(proved) => proved,
            Verdict::Wrong(person) => return Err(pins::count(seat.into_own()?, &opened, person, self.clock.now()).await?),
        };
        let mut desk = Desk::lay(&command.ask, opened, proved, self.clock.now())?;
        desk.expect_version(envelope.if_match, command.versioned)?;
        let value = match judge(&mut desk) {
            Ok(value) => value,
            Err(refusal) => return Err(keep_findings(seat, envelope, desk, refusal).await),
        };
        let (context, changes) = desk.close();
        let done = Done {
            value,
            changes: &changes,
            context: &context,
        };
        let answer = tagged(answer(&done), &changes, command.versioned);
        let proved = command.pins.iter().map(|pin| pin.staff_id).collect();
        let writing = writing(envelope, command.act, &context, changes, &answer, proved);
        let tells = !writing.outbox.is_empty();
        seat.keep(writing).await?;
        if tells {
            self.told.notify_one();
        }
        Ok(answer)
    }

    /// A desk: among others where that may be, and by itself otherwise, or when it has failed.
    async fn sit_down(&self, envelope: &Envelope, command: &Command, attempt: u32) -> Result<(Opened, Seat), Error> {
        if attempt == 1
            && self.lease.is_none()
            && let Some((opened, place)) = self.together.seat(envelope, command, self.clock.now()).await?
        {
            return Ok((opened, Seat::Among(place)));
        }
        let tx = self.db.begin().await?;
        let opened = self.open(&tx, envelope, &command.ask, true).await?;
        if let (Principal::Subject(subject), Some(casino)) = (&envelope.principal, &opened.casino) {
            self.together.belongs(subject, casino.id);
        }
        Ok((opened, Seat::Alone(tx)))
    }

    /// Changes the set-up: staff, tables, boxes, settings. The same order of things, with rows instead of a case.
    pub async fn change(&self, envelope: &Envelope, act: Act, setup: &Setup) -> Result<Answer, Error> {
        let done = Box::pin(async {
            for attempt in 1..ATTEMPTS {
                match self.attempt_change(envelope, act, setup).await {
                    Err(Error::Collided(_)) => pause(attempt).await,
                    settled => return settled,
                }
            }
            self.attempt_change(envelope, act, setup).await
        });
        observed::observed(act, envelope, done).await
    }

    async fn attempt_change(&self, envelope: &Envelope, act: Act, setup: &Setup) -> Result<Answer, Error> {
        let tx = self.db.begin().await?;
        let opened = self.open(&tx, envelope, &Ask::default(), true).await?;
        may(envelope, &opened, act)?;
        if let Some(first) = &opened.replay {
            return replay(envelope, first);
        }
        let context = desk::context(opened.caller, opened.casino, self.clock.now())?;
        let changed = tx.apply(&context, setup, envelope.if_match).await?;
        let settled = self.settle(&tx, envelope, changed.settles).await?;
        // Nothing changed, nothing to tell: the same rule as for a command.
        let told = changed.before.is_some() || changed.after.is_some();
        let mut events = outbox(&context, envelope, &changed.events);
        events.extend(outbox(&context, envelope, settled.events()));
        let audit = told.then(|| audit::of_rows(&context, envelope, changed.action, (changed.before, changed.after), &settled));
        let (insert, update) = settled.into_rows();
        let writing = Writing {
            insert,
            update,
            audit: audit.into_iter().collect(),
            outbox: events,
            answers: remembered(envelope, &context, &changed.answer).into_iter().collect(),
            proved: Vec::new(),
        };
        tx.put(&writing).await?;
        tx.commit().await?;
        // Without events of its own too: a dead letter that is sent back waits again.
        self.told.notify_one();
        Ok(changed.answer)
    }

    /// Lets a session go on over evidence that a neighbour has just written: a table's last rating slip is closed, and the table closes.
    async fn settle(&self, tx: &Tx, envelope: &Envelope, session: Option<Uuid>) -> Result<Changes, Error> {
        let Some(id) = session else {
            return Ok(Changes::default());
        };
        let ask = Ask::about(Kind::Session, id);
        let opened = self.open(tx, envelope, &ask, true).await?;
        let (_, changes) = Desk::lay(&ask, opened, Vec::new(), self.clock.now())?.close();
        Ok(changes)
    }

    /// Reads without locks: the dossier as it is, judged by nobody.
    pub async fn read(&self, envelope: &Envelope, act: Act, ask: &Ask) -> Result<Desk, Error> {
        let tx = self.db.begin().await?;
        let opened = self.open(&tx, envelope, ask, false).await?;
        may(envelope, &opened, act)?;
        tx.commit().await?;
        Desk::lay(ask, opened, Vec::new(), self.clock.now())
    }

    /// Reads rows through the fence.
    pub async fn list<Q: Query>(&self, envelope: &Envelope, act: Act, query: &Q) -> Result<(Context, Q::Answer), Error> {
        let tx = self.db.begin().await?;
        let opened = self.open(&tx, envelope, &Ask::default(), false).await?;
        may(envelope, &opened, act)?;
        let context = desk::context(opened.caller, opened.casino, self.clock.now())?;
        let rows = query.fetch(&tx, &context).await?;
        tx.commit().await?;
        Ok((context, rows))
    }

    async fn open(&self, tx: &Tx, envelope: &Envelope, ask: &Ask, lock: bool) -> Result<Opened, Error> {
        let opening = Opening {
            subject: match &envelope.principal {
                Principal::Subject(subject) => Some(subject),
                Principal::System(_) => None,
            },
            system_of: match envelope.principal {
                Principal::Subject(_) => None,
                Principal::System(casino_id) => Some(casino_id),
            },
            correlation_id: envelope.correlation.as_str(),
            lease: self.lease.as_ref(),
            key: envelope.key_name().filter(|_| lock),
            lock,
            at: self.clock.now(),
            ask,
        };
        Ok(tx.open_desk(&opening).await?)
    }
}

/// A refusal forgets what the command did. What the detectors found before it was judged is a fact, and stays.
async fn keep_findings(seat: Seat, envelope: &Envelope, desk: Desk, refusal: Error) -> Error {
    let Some((context, changes)) = desk.close_on_findings() else {
        return refusal;
    };
    let nothing = Answer {
        replayed: true,
        ..Answer::ok(&Value::Null)
    };
    let writing = writing(envelope, act::FINALIZE_SESSION, &context, changes, &nothing, Vec::new());
    seat.keep(writing).await.err().unwrap_or(refusal)
}

/// Full jitter: two commands that collided do not collide again in step.
async fn pause(attempt: u32) {
    let longest = FIRST_PAUSE * 2_u32.pow(attempt);
    tokio::time::sleep(longest.mul_f64(rand::random::<f64>())).await;
}

/// Who asks, and whether the role may ask at all. The daemon's own principal holds no token: as a subject it is nobody.
fn may(envelope: &Envelope, opened: &Opened, act: Act) -> Result<(), Error> {
    let is_system = matches!(envelope.principal, Principal::System(_));
    let caller = opened.caller.as_ref().filter(|caller| (caller.role == Role::System) == is_system);
    let Some(caller) = caller else {
        return Err(Error::Unauthenticated(
            "the token's subject is no active member of staff".to_owned(),
        ));
    };
    if opened.casino.as_ref().is_some_and(|casino| act.may_in(caller.role, casino)) {
        return Ok(());
    }
    let who = act.who.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Err(Refusal::forbidden(act.who, format!("{} may not {}; this is for {who}", caller.role, act.name)).into())
}

/// The first answer again, if it is the same request. Looked up before any state is judged.
fn replay(envelope: &Envelope, first: &Remembered) -> Result<Answer, Error> {
    if envelope.key.as_ref().map(|key| &key.request) != Some(&first.request_hash) {
        return Err(Error::IdempotencyConflict);
    }
    let status = StatusCode::from_u16(first.status).unwrap_or(StatusCode::OK);
    Ok(Answer {
        status,
        body: first.answer.value()?,
        etag: first.etag.clone(),
        replayed: true,
    })
}

/// The ETag is the version the command left behind.
fn tagged(answer: Answer, changes: &Changes, versioned: Versioned) -> Answer {
    if answer.etag.is_some() {
        return answer;
    }
    let version = match versioned {
        Versioned::Nothing => None,
        Versioned::Session => changes.dossiers().first().map(|dossier| dossier.session.version),
        Versioned::Slip(id) => changes
            .dossiers()
            .iter()
            .find_map(|dossier| dossier.slip(id))
            .map(|slip| slip.version),
        Versioned::Exception(id) => changes
            .dossiers()
            .iter()
            .find_map(|dossier| dossier.exception(id))
            .map(|row| row.version),
    };
    Answer {
        etag: version.map(|version| version.to_string()),
        ..answer
    }
}

fn writing(envelope: &Envelope, act: Act, context: &Context, changes: Changes, answer: &Answer, proved: Vec<Uuid>) -> Writing {
    // A command that found everything done already leaves no second trace of it.
    let audit = (!changes.is_empty()).then(|| audit::of_changes(context, envelope, act, &changes));
    let outbox = outbox(context, envelope, changes.events());
    let remembered = (!answer.replayed).then(|| remembered(envelope, context, answer)).flatten();
    let (insert, update) = changes.into_rows();
    Writing {
        insert,
        update,
        audit: audit.into_iter().collect(),
        outbox,
        answers: remembered.into_iter().collect(),
        proved,
    }
}

fn outbox(context: &Context, envelope: &Envelope, events: &[Event]) -> Vec<OutboxRow> {
    events
        .iter()
        .map(|event| {
            let payload = event.payload(context.casino.id, context.at);
            OutboxRow {
                id: new_id(),
                casino_id: context.casino.id,
                event: payload["event"].as_str().unwrap_or_default().to_owned(),
                aggregate_id: event.resource_id().unwrap_or(context.casino.id),
                channels: event.channels(context.casino.id),
                payload,
                correlation_id: envelope.correlation.to_string(),
                created_at: context.at,
            }
        })
        .collect()
}

fn remembered(envelope: &Envelope, context: &Context, answer: &Answer) -> Option<AnswerRow> {
    let key = envelope.key.clone()?;
    Some(AnswerRow {
        casino_id: context.casino.id,
        key: key.name,
        request_hash: key.request,
        status: answer.status.as_u16(),
        answer: Packed::of(&answer.body),
        etag: answer.etag.clone(),
        created_at: context.at,
    })
}
