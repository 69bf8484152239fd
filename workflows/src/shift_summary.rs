//! What a shift proves: the sum of what its sessions prove (domain §11), under the rules of every sum (domain §10): null is not zero, what
//! is unknown is skipped and counted, a hold is a ratio of sums.
//!
//! A summary is READY when the shift is closed, so that no session can join it any more, and every session of it is FINALIZED or
//! cancelled. It turns so in the transaction of whoever was last: a person who finalizes or cancels, or the job that closes the shift. All
//! three hold the shift's row, so it happens once.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::case::{Changes, Context};
use crate::dossier::Dossier;
use crate::event::Event;
use crate::money::share_bp;
use crate::record::{Shift, ShiftSummary};
use crate::word::{CloseReason, MetricGrade, ShiftStatus, Status, SummaryStatus};

/// What one session adds to its shift, as it stands now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    pub session_id: Uuid,
    pub table_id: Uuid,
    pub table: String,
    pub status: Status,
    pub close_reason: Option<CloseReason>,
    /// Of its report; null before there is one.
    pub fills_total_cents: Option<i64>,
    pub credits_total_cents: Option<i64>,
    pub drop_total_cents: Option<i64>,
    pub win_loss_stat_cents: Option<i64>,
    pub metric_grade: Option<MetricGrade>,
}

/// A shift with its summary and all its sessions, read under the lock of the shift's row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Book {
    pub shift: Shift,
    pub summary: Option<ShiftSummary>,
    pub parts: Vec<Part>,
}

impl Part {
    fn of(dossier: &Dossier) -> Self {
        let report = dossier.report.as_ref();
        Self {
            session_id: dossier.session.id,
            table_id: dossier.session.table_id,
            table: dossier.floor.table.label.clone(),
            status: dossier.session.status,
            close_reason: dossier.session.close_reason,
            fills_total_cents: report.map(|report| report.fills_total_cents),
            credits_total_cents: report.map(|report| report.credits_total_cents),
            drop_total_cents: report.and_then(|report| report.drop_total_cents),
            win_loss_stat_cents: report.and_then(|report| report.win_loss_stat_cents),
            metric_grade: report.map(|report| report.metric_grade),
        }
    }

    fn is_cancelled(&self) -> bool {
        self.close_reason == Some(CloseReason::Cancelled)
    }

    /// Nothing more can come of it.
    fn is_done(&self) -> bool {
        self.status == Status::Finalized || self.is_cancelled()
    }
}

/// The summary of a shift as its book says now. `lines` takes the place of those kept, where given.
pub fn summarize(book: &Book, lines: Option<Value>, at: DateTime<Utc>) -> ShiftSummary {
    let kept = book.summary.as_ref();
    let played: Vec<&Part> = book.parts.iter().filter(|part| !part.is_cancelled()).collect();
    let sum = |pick: fn(&Part) -> Option<i64>| played.iter().filter_map(|part| pick(part)).reduce(|sum, cents| sum + cents);
    let win = sum(|part| part.win_loss_stat_cents);
    // The drops of the very sessions whose wins are in the sum: another one's would thin the hold.
    let drop_won = sum(|part| part.win_loss_stat_cents.and(part.drop_total_cents));
    let is_ready = book.shift.status == ShiftStatus::Closed && book.parts.iter().all(Part::is_done);
    let is_authoritative = played.iter().all(|part| part.metric_grade == Some(MetricGrade::Authoritative)) && !played.is_empty();
    ShiftSummary {
        shift_id: book.shift.id,
        casino_id: book.shift.casino_id,
        status: if is_ready { SummaryStatus::Ready } else { SummaryStatus::Pending },
        sessions: number(book.parts.len()),
        finalized: number(book.parts.iter().filter(|part| part.status == Status::Finalized).count()),
        cancelled: number(book.parts.len() - played.len()),
        fills_total_cents: sum(|part| part.fills_total_cents),
        credits_total_cents: sum(|part| part.credits_total_cents),
        drop_total_cents: sum(|part| part.drop_total_cents),
        win_loss_stat_cents: win,
        hold_bp: win.zip(drop_won).and_then(|(win, drop)| share_bp(win, drop)),
        skipped: number(played.iter().filter(|part| part.win_loss_stat_cents.is_none()).count()),
        metric_grade: if is_authoritative {
            MetricGrade::Authoritative
        } else {
            MetricGrade::Estimate
        },
        lines: lines
            .or_else(|| kept.map(|summary| summary.lines.clone()))
            .unwrap_or_else(|| Value::Array(Vec::new())),
        computed_at: at,
        ready_at: is_ready.then_some(at),
        version: kept.map_or(1, |summary| summary.version + 1),
    }
}

/// The summary to write, where it says something new; and what is told when it has just become final.
pub fn settle(book: &Book, lines: Option<Value>, at: DateTime<Utc>) -> Option<(ShiftSummary, Option<Event>)> {
    let kept = book.summary.as_ref();
    if kept.is_some_and(|summary| summary.status == SummaryStatus::Ready) {
        return None;
    }
    let summary = summarize(book, lines, at);
    let says_the_same = kept.is_some_and(|kept| {
        summary
            == ShiftSummary {
                computed_at: summary.computed_at,
                version: summary.version,
                ..kept.clone()
            }
    });
    let ready = summary.status == SummaryStatus::Ready;
    (!says_the_same).then(|| {
        let told = Event::ShiftRundownReady {
            shift_id: book.shift.id,
            gaming_day: book.shift.gaming_day,
            name: book.shift.name.clone(),
            win_loss_stat_cents: summary.win_loss_stat_cents,
        };
        (summary, ready.then_some(told))
    })
}

/// After a command on a session of a closed shift: if it was the last one that was missing, the summary becomes READY with it.
pub fn settle_with(changes: &mut Changes, context: &Context, mut book: Book) {
    for dossier in changes
        .dossiers()
        .iter()
        .filter(|dossier| dossier.session.shift_id == Some(book.shift.id))
    {
        book.parts.retain(|part| part.session_id != dossier.session.id);
        book.parts.push(Part::of(dossier));
    }
    if let Some((summary, Some(told))) = settle(&book, None, context.at) {
        changes.summarize(book.summary, summary, told);
    }
}

/// A shift has a session a table and turn: never more than fit.
fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(status: Status, win: Option<i64>, drop: Option<i64>) -> Part {
        Part {
            session_id: Uuid::nil(),
            table_id: Uuid::nil(),
            table: "BJ-01".to_owned(),
            status,
            close_reason: Some(CloseReason::Normal),
            fills_total_cents: win.map(|_| 100),
            credits_total_cents: None,
            drop_total_cents: drop,
            win_loss_stat_cents: win,
            metric_grade: Some(MetricGrade::Authoritative),
        }
    }

    fn cancelled() -> Part {
        Part {
            close_reason: Some(CloseReason::Cancelled),
            metric_grade: None,
            ..part(Status::Closed, None, None)
        }
    }

    fn book(status: ShiftStatus, parts: Vec<Part>) -> Book {
        let shift = Shift {
            id: Uuid::nil(),
            casino_id: Uuid::nil(),
            gaming_day: "2026-03-06".parse().unwrap(),
            name: "day".to_owned(),
            starts_at: "2026-03-06T12:00:00Z".parse().unwrap(),
            ends_at: "2026-03-06T20:00:00Z".parse().unwrap(),
            status,
            template_id: Uuid::nil(),
            closed_at: None,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
        };
        Book {
            shift,
            summary: None,
            parts,
        }
    }

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(hour)
    }

    #[test]
    fn what_is_unknown_is_skipped_and_counted_and_nothing_known_is_null() {
        let parts = vec![
            part(Status::Finalized, Some(-300), Some(1_000)),
            part(Status::Finalized, None, Some(500)),
            cancelled(),
        ];
        let summary = summarize(&book(ShiftStatus::Closed, parts), None, at(1));
        assert_eq!(
            (summary.sessions, summary.finalized, summary.cancelled, summary.skipped),
            (3, 2, 1, 1)
        );
        assert_eq!((summary.win_loss_stat_cents, summary.drop_total_cents), (Some(-300), Some(1_500)));
        assert_eq!(summary.hold_bp, Some(-3_000), "the drop without a win does not thin the hold");
        assert_eq!(summary.credits_total_cents, None, "null is not zero");
    }

    #[test]
    fn a_hold_is_a_ratio_of_sums_and_never_a_mean() {
        let parts = vec![
            part(Status::Finalized, Some(100), Some(200)),
            part(Status::Finalized, Some(0), Some(800)),
        ];
        let summary = summarize(&book(ShiftStatus::Closed, parts), None, at(1));
        assert_eq!((summary.hold_bp, summary.metric_grade), (Some(1_000), MetricGrade::Authoritative));
    }

    #[test]
    fn a_shift_is_ready_when_it_is_closed_and_every_session_is_done() {
        let ready = |status, parts| summarize(&book(status, parts), None, at(1)).status == SummaryStatus::Ready;
        let done = || vec![part(Status::Finalized, Some(1), Some(1)), cancelled()];
        assert!(ready(ShiftStatus::Closed, done()));
        assert!(!ready(ShiftStatus::Open, done()), "others may still join it");
        assert!(ready(ShiftStatus::Closed, Vec::new()), "nobody played");
        for status in [Status::ReadyToOpen, Status::Open, Status::Closed, Status::Reconciled] {
            let parts = vec![part(Status::Finalized, Some(1), Some(1)), part(status, None, None)];
            assert!(!ready(ShiftStatus::Closed, parts), "{status}");
        }
    }

    #[test]
    fn ready_is_told_once_and_nothing_new_is_not_written() {
        let mut book = book(ShiftStatus::Closed, vec![part(Status::Reconciled, Some(1), Some(1))]);
        let (pending, told) = settle(&book, None, at(1)).expect("the first summary");
        assert_eq!((pending.version, told), (1, None));
        book.summary = Some(pending);
        assert_eq!(settle(&book, None, at(2)), None, "it says the same");
        book.parts[0].status = Status::Finalized;
        let (ready, told) = settle(&book, None, at(3)).expect("news");
        assert!(told.is_some());
        assert_eq!((ready.version, ready.ready_at), (2, Some(at(3))));
        book.summary = Some(ready);
        assert_eq!(settle(&book, None, at(4)), None, "once");
    }
}
