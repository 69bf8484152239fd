//! Looks at the clock, plans what has fired, takes runs and sees them to their end.
//!
//! Any number of daemons do this over one database, and none leads. Planning is a compare-and-set of the schedule's next firing; a run is a
//! row, taken by a lease whose term the database issues. What a daemon believes to hold counts for nothing: every write says which term it
//! is made under, and one made under an old term changes nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use workflows::job;
use workflows::record::Schedule;
use workflows::timetable::Limits;
use workflows::word::{JobKind, RunStatus};

use super::{Halt, Job, perform};
use crate::clock::{Clock, milliseconds, new_id, pause};
use crate::config;
use crate::engine::Engine;
use crate::error::Error;
use crate::observe::{CorrelationId, metrics};
use crate::store::clockwork::{Ending, Held, Lease, LeaseLost, Look, Plan, PlannedRun, Seen, Taken};
use crate::store::fault::Fault;

/// How often the clock is looked at where nothing is to be done: all an idle daemon costs the database.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Two looks are never closer than this, whatever the clock says: a clock of the demonstration may run a thousand times too fast.
const LOOK_APART: Duration = Duration::from_millis(5);
/// The longest pause after a first failure; it doubles with every attempt.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// No pause is longer than this: five attempts come within a quarter of an hour.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// A firing younger than this is not a missed one: a restart takes as long.
const GRACE: Duration = Duration::from_mins(1);
/// A schedule that cannot be read is looked at again after so long. An update may have mended it; nobody has to remember it.
const UNREADABLE_RESTS: TimeDelta = TimeDelta::hours(1);
/// How often the end of a run is written until it is left to whoever finds its lease expired.
const SETTLED_IN: u32 = 10;

/// How a daemon runs jobs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Runs at the same time.
    pub slots: usize,
    /// How long a run stays with a daemon that gives no sign of life. It gives one after a third of it.
    pub lease: Duration,
    pub look_every: Duration,
    pub first_pause: Duration,
    pub longest_pause: Duration,
}

impl From<&config::Jobs> for Settings {
    fn from(jobs: &config::Jobs) -> Self {
        Self {
            slots: jobs.slots,
            lease: jobs.lease(),
            look_every: LOOK_EVERY,
            first_pause: FIRST_PAUSE,
            longest_pause: LONGEST_PAUSE,
        }
    }
}

/// Runs jobs until it is told to stop, and then until the runs under way have ended or were given back.
pub async fn run(engine: Engine, settings: Settings, stopping: CancellationToken) {
    if settings.slots == 0 {
        tracing::info!("this daemon runs no jobs");
        return;
    }
    let mut runner = Runner {
        owner: format!("{}-{}", std::process::id(), new_id()),
        engine,
        settings,
        stopping,
        at_work: JoinSet::new(),
        posts: HashMap::new(),
    };
    runner.go().await;
}

struct Runner {
    /// No two lives of a daemon have the same name.
    owner: String,
    engine: Engine,
    settings: Settings,
    stopping: CancellationToken,
    at_work: JoinSet<()>,
    /// The runs under way, by the task that has each.
    posts: HashMap<Id, Post>,
}

/// A run under way.
struct Post {
    lease: Lease,
    /// Says to the job that the lease is somebody else's.
    lost: CancellationToken,
    kind: JobKind,
    attempt: i32,
}

impl Runner {
    async fn go(&mut self) {
        loop {
            while let Some(ended) = self.at_work.try_join_next_with_id() {
                self.leave(ended).await;
            }
            if self.stopping.is_cancelled() && self.at_work.is_empty() {
                return;
            }
            let wait = match self.look().await {
                Ok(wait) => wait,
                Err(fault) => {
                    tracing::warn!(error = %fault, "the clock could not be looked at");
                    self.settings.look_every
                }
            };
            self.rest(wait).await;
        }
    }

    /// Only waiting is ever cut short here, no statement: a future dropped inside one would spoil its connection.
    async fn rest(&mut self, wait: Duration) {
        let is_stopping = self.stopping.is_cancelled();
        // Told to stop while it looked: nothing would wake it, and nobody should have to wait.
        if is_stopping && self.at_work.is_empty() {
            return;
        }
        tokio::select! {
            Some(ended) = self.at_work.join_next_with_id() => self.leave(ended).await,
            () = self.stopping.cancelled(), if !is_stopping => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    /// One look; how long until the next.
    async fn look(&mut self) -> Result<Duration, Fault> {
        let free = self.settings.slots.saturating_sub(self.at_work.len());
        let look = Look {
            owner: &self.owner,
            at: self.engine.clock().now(),
            lease_ms: milliseconds(self.settings.lease),
            want: if self.stopping.is_cancelled() { 0 } else { free },
            held: self.posts.values().map(Post::held).collect(),
        };
        let seen = self.engine.db().look_at_clock(&look).await?;
        let at = look.at;
        for post in self.posts.values().filter(|post| seen.lost.contains(&post.lease.run_id)) {
            post.lost.cancel();
        }
        let Seen {
            taken, due, next_fire_at, ..
        } = seen;
        for run in taken {
            self.begin(run);
        }
        if self.stopping.is_cancelled() {
            return Ok(self.settings.look_every);
        }
        if self.plan(&due, at).await? {
            return Ok(Duration::ZERO);
        }
        let next = next_fire_at.and_then(|next| self.engine.clock().wait_until(next));
        Ok(next.map_or(self.settings.look_every, |next| next.clamp(LOOK_APART, self.settings.look_every)))
    }

    /// Plans what is due; whether anything came of it.
    async fn plan(&self, due: &[Schedule], at: DateTime<Utc>) -> Result<bool, Fault> {
        if due.is_empty() {
            return Ok(false);
        }
        let plans: Vec<Plan> = due.iter().map(|schedule| plan(schedule, at, self.engine.clock())).collect();
        let moved = self.engine.db().plan(&plans, at).await?;
        for (schedule, plan) in due
            .iter()
            .zip(&plans)
            .filter(|(schedule, plan)| plan.missed > 0 && moved.contains(&schedule.id))
        {
            let (name, casino_id) = (&schedule.name, schedule.casino_id);
            tracing::warn!(schedule = name, %casino_id, dropped = plan.missed, made_up_for = plan.firings.len(), "firings were missed");
        }
        Ok(!moved.is_empty())
    }

    fn begin(&mut self, run: Taken) {
        let lease = Lease {
            run_id: run.id,
            owner: run.lease_owner.clone(),
            term: run.lease_term,
            lasts: self.settings.lease,
        };
        let post = Post {
            lease: lease.clone(),
            lost: CancellationToken::new(),
            kind: run.job_kind,
            attempt: run.attempt,
        };
        let attempt = Attempt {
            engine: self.engine.clone(),
            settings: self.settings.clone(),
            stopping: self.stopping.clone(),
            lost: post.lost.clone(),
            lease,
            run,
        };
        let span = tracing::info_span!("job", kind = %attempt.run.job_kind, run = %attempt.run.id, correlation_id = %attempt.correlation());
        let task = self.at_work.spawn(attempt.make().instrument(span));
        self.posts.insert(task.id(), post);
    }

    /// A task ended. One that panicked has settled nothing.
    async fn leave(&mut self, ended: Result<(Id, ()), JoinError>) {
        let (id, panicked) = match ended {
            Ok((id, ())) => (id, false),
            Err(error) => (error.id(), true),
        };
        let Some(post) = self.posts.remove(&id) else { return };
        if !panicked {
            return;
        }
        tracing::error!(run = %post.lease.run_id, kind = %post.kind, "a job panicked");
        metrics::job_panicked(post.kind);
        let ending = Ending::Failed {
            error: "the job broke off; the log knows more".to_owned(),
            pause_ms: milliseconds(pause(post.attempt, self.settings.first_pause, self.settings.longest_pause)),
        };
        let settled = self.engine.db().settle(&post.lease, &ending, self.engine.clock().now()).await;
        match settled {
            Ok(became) => metrics::job_became(post.kind, became),
            // Its lease expires, which comes to the same.
            Err(fault) => tracing::warn!(error = %fault, run = %post.lease.run_id, "the end of a run could not be written"),
        }
    }
}

impl Post {
    fn held(&self) -> Held {
        Held {
            id: self.lease.run_id,
            term: self.lease.term,
        }
    }
}

/// What becomes of a schedule that is due, by the pure timetable.
fn plan(schedule: &Schedule, at: DateTime<Utc>, clock: &Clock) -> Plan {
    let rests = |next| Plan {
        id: schedule.id,
        version: schedule.version,
        was: schedule.next_fire_at,
        next,
        missed: 0,
        firings: Vec::new(),
    };
    let timetable = match job::timetable(schedule) {
        Ok(timetable) => timetable,
        Err(flaws) => {
            tracing::error!(schedule = schedule.name, casino_id = %schedule.casino_id, ?flaws, "a schedule cannot be read");
            return rests(Some(at + UNREADABLE_RESTS));
        }
    };
    let limits = Limits {
        max: usize::try_from(schedule.catch_up_max).unwrap_or_default(),
        window: TimeDelta::minutes(schedule.catch_up_window_minutes.into()),
        grace: clock.goes_in(GRACE),
    };
    // The firing that is due counts among those to be dealt with.
    let after = schedule.next_fire_at.unwrap_or(at) - TimeDelta::microseconds(1);
    let missed = timetable.missed(after, at, schedule.catch_up, limits);
    Plan {
        missed: missed.dropped,
        firings: missed
            .firings
            .iter()
            .map(|firing| PlannedRun {
                id: new_id(),
                at: firing.at,
            })
            .collect(),
        ..rests(timetable.next(at).map(|firing| firing.at))
    }
}

/// One attempt at a run.
struct Attempt {
    engine: Engine,
    settings: Settings,
    run: Taken,
    lease: Lease,
    lost: CancellationToken,
    stopping: CancellationToken,
}

impl Attempt {
    async fn make(self) {
        let run = &self.run;
        let engine = self.engine.under(self.lease.clone());
        let job = Job {
            engine: &engine,
            clock: engine.clock(),
            casino_id: run.casino_id,
            kind: run.job_kind,
            params: &run.params,
            fire_at: run.fire_at,
            run_id: run.id,
            correlation: self.correlation(),
            done: run.done,
            lease: &self.lease,
            lost: &self.lost,
            stopping: &self.stopping,
        };
        let begun = Instant::now();
        let ended = ending(perform(run.job_kind, &job).await, run, &self.settings);
        metrics::job_took(run.job_kind, begun.elapsed());
        if let Some(ending) = ended {
            self.settle(&ending).await;
        } else {
            metrics::job_became(run.job_kind, None);
            tracing::warn!("the run is another daemon's by now");
        }
    }

    /// A run has one, whoever makes its attempts: 40 characters of the alphabet of such ids.
    fn correlation(&self) -> CorrelationId {
        CorrelationId::parse(&format!("job-{}", self.run.id)).unwrap_or_else(CorrelationId::generate)
    }

    /// Writes the end down, patiently: what the job did is done.
    async fn settle(&self, ending: &Ending) {
        for _ in 0..SETTLED_IN {
            match self.engine.db().settle(&self.lease, ending, self.engine.clock().now()).await {
                Ok(became) => {
                    metrics::job_became(self.run.job_kind, became);
                    return tell(became, ending, self.run.attempt);
                }
                Err(fault) => tracing::warn!(error = %fault, "the end of a run could not be written"),
            }
            tokio::time::sleep(self.settings.look_every).await;
        }
    }
}

/// What is written of an attempt; nothing where the run is another daemon's.
fn ending(result: anyhow::Result<Value>, run: &Taken, settings: &Settings) -> Option<Ending> {
    let error = match result {
        Ok(outcome) => return Some(Ending::Succeeded { outcome }),
        Err(error) => error,
    };
    if error.chain().any(is_lost) {
        return None;
    }
    match error.chain().find_map(|cause| cause.downcast_ref::<Halt>()) {
        Some(Halt::Stopping) => Some(Ending::GivenBack),
        Some(Halt::LeaseLost | Halt::Store(_)) | None => {
            tracing::warn!(?error, attempt = run.attempt, "an attempt failed");
            Some(Ending::Failed {
                error: told(&error),
                pause_ms: milliseconds(pause(run.attempt, settings.first_pause, settings.longest_pause)),
            })
        }
    }
}

/// Told by the job's own sign of life, or by a transaction it began.
fn is_lost(cause: &(dyn std::error::Error + 'static)) -> bool {
    let inside = |error: &Error| matches!(error, Error::Internal(source) if source.is::<LeaseLost>());
    match cause.downcast_ref::<Halt>() {
        Some(Halt::LeaseLost) => true,
        Some(Halt::Store(error)) => inside(error),
        Some(Halt::Stopping) => false,
        None => cause.downcast_ref::<Error>().is_some_and(inside),
    }
}

fn tell(became: Option<RunStatus>, ending: &Ending, attempt: i32) {
    match became {
        None => tracing::warn!("the run is another daemon's by now; nothing was written"),
        Some(RunStatus::Dead) => tracing::error!(attempt, ?ending, "the run is dead: a person has to look at it"),
        Some(RunStatus::Queued | RunStatus::Running | RunStatus::Retrying | RunStatus::Succeeded | RunStatus::Skipped) => {
            tracing::debug!(attempt, ?ending, "an attempt ended");
        }
    }
}

/// A failure in words that people of the casino may read: what went wrong inside stays in the log.
fn told(error: &anyhow::Error) -> String {
    let mut words = Vec::new();
    for cause in error.chain() {
        if let Some(own) = cause.downcast_ref::<Error>() {
            words.push(own.told());
            break;
        }
        if let Some(Halt::Store(own)) = cause.downcast_ref::<Halt>() {
            words.push(own.told());
            break;
        }
        words.push(cause.to_string());
    }
    words.join(": ").chars().take(MOST_TOLD).collect()
}

/// What the schema takes.
const MOST_TOLD: usize = 2000;
