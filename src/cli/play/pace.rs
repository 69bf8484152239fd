//! When the acts of a play are played: one straight after another, or each at the hour its file gives it, on the daemon's own clock.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::Value;
use workflows::shift::{interval, next_local};

use crate::casino_folder::{Act, ActLine, Folder};
use crate::clock::Clock;

/// How a day goes.
pub enum Pace {
    AtOnce,
    ByTheHour(Hours),
}

/// The hours of one gaming day.
pub struct Hours {
    clock: Clock,
    zone: Tz,
    pub gaming_day: NaiveDate,
    begins_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
}

impl Hours {
    /// The folder's own day, or the one given where it names none.
    pub fn new(folder: &Folder, otherwise: NaiveDate, clock: Clock) -> Self {
        let (begins_at, ends_at) = of_day(folder, otherwise);
        Self {
            clock,
            zone: folder.casino.timezone,
            gaming_day: day(folder, otherwise),
            begins_at,
            ends_at,
        }
    }

    /// A moment before the day begins, to prepare it.
    pub fn eve(folder: &Folder, otherwise: NaiveDate, ahead: TimeDelta) -> DateTime<Utc> {
        of_day(folder, otherwise).0 - ahead
    }

    /// Waits until the clock shows an hour of the file; and there the clock waits for the act, however long it takes.
    pub async fn come(&self, at: &str) {
        let instant = self.instant(at);
        self.clock.go_until(Some(instant));
        self.wait_until(instant).await;
    }

    /// The day is played: the clock goes on by itself, to the day's end.
    pub async fn go_on(&self) {
        self.clock.go_until(None);
        self.wait_until(self.ends_at).await;
    }

    async fn wait_until(&self, instant: DateTime<Utc>) {
        while let Some(wait) = self.clock.wait_until(instant).filter(|wait| !wait.is_zero()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// The times that the people of the file wrote down.
    pub fn date(&self, line: &ActLine, body: &mut Value) {
        let (field, at) = match &line.act {
            Act::ScheduleDrop { planned_for, .. } => ("drop_scheduled_for", planned_for),
            Act::RemoveBox { .. } => ("removed_at", &line.at),
            Act::DeliverBox { .. } => ("delivered_at", &line.at),
            Act::CreateSession { .. }
            | Act::BeginOpening { .. }
            | Act::CountTray { .. }
            | Act::VerifyTray { .. }
            | Act::RequestSlip { .. }
            | Act::IssueSlip { .. }
            | Act::VerifySlip { .. }
            | Act::CageReceipt { .. }
            | Act::DepositSlip { .. }
            | Act::VoidSlip { .. }
            | Act::ReceiveBox { .. }
            | Act::SoftCount { .. }
            | Act::StartClosing { .. }
            | Act::RegisterPlayer { .. }
            | Act::StartVisit { .. }
            | Act::OpenRatingSlip { .. }
            | Act::CloseRatingSlip { .. }
            | Act::CloseVisit { .. }
            | Act::RecordTransaction { .. }
            | Act::CorrectTransaction { .. }
            | Act::LogBuyin { .. }
            | Act::UndoBuyin { .. } => return,
        };
        body[field] = self.instant(at).to_rfc3339().into();
    }

    /// `HH:MM`, or `+1 HH:MM` after midnight: the first such hour of the gaming day either way.
    fn instant(&self, at: &str) -> DateTime<Utc> {
        let clock = at.strip_prefix("+1 ").unwrap_or(at);
        // The folder was read strictly: there is no other text here.
        let time = NaiveTime::parse_from_str(clock, "%H:%M").unwrap_or_default();
        next_local(self.begins_at, time, self.zone)
    }
}

fn day(folder: &Folder, otherwise: NaiveDate) -> NaiveDate {
    folder.casino.gaming_day.unwrap_or(otherwise)
}

fn of_day(folder: &Folder, otherwise: NaiveDate) -> (DateTime<Utc>, DateTime<Utc>) {
    let start = folder.casino.gaming_day_start;
    interval(day(folder, otherwise), start, start, folder.casino.timezone, start)
}
