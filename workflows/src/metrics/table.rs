//! One table read in one window: which two counts it runs between, and what lies between them. No money is judged here.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{BuyinFlow, ClosingSource, Count, CoverageType, OpeningSource, SessionFacts, SlipFlow, TableFacts, Window};
use crate::word::{MetricGrade, SnapshotKind};

/// What the window opens with.
#[derive(Clone, Copy, Debug)]
enum Baseline<'a> {
    Opener(&'a Count),
    Prior(&'a Count),
    Par(i64),
    Earliest(&'a Count),
    Nothing,
}

/// A table in a window, its counts chosen and its flows summed.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub facts: &'a TableFacts,
    window: Window,
    /// Counts that no verified recount has taken the place of, in the order of counting.
    standing: Vec<&'a Count>,
    /// The window's sessions: its own, or those in play within it.
    sessions: Vec<&'a SessionFacts>,
    baseline: Baseline<'a>,
    closing: Option<&'a Count>,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub fills_cents: i64,
    pub credits_cents: i64,
    pub buyins: BuyinFlow,
}

impl<'a> Reading<'a> {
    pub fn of(window: Window, facts: &'a TableFacts) -> Self {
        let mut reading = Self {
            facts,
            window,
            standing: standing(&facts.counts),
            sessions: Vec::new(),
            baseline: Baseline::Nothing,
            closing: None,
            from: window.start,
            to: window.end,
            fills_cents: 0,
            credits_cents: 0,
            buyins: BuyinFlow::default(),
        };
        reading.sessions = reading.sessions_of_the_window();
        reading.baseline = reading.choose_baseline();
        reading.closing = reading.choose_closing();
        reading.bound_flows();
        reading.sum_flows();
        reading
    }

    /// Whether the window has this table at all.
    pub fn counts(&self) -> bool {
        self.facts.in_service || !self.sessions.is_empty() || self.buyins.rows > 0
    }

    pub fn was_open(&self) -> bool {
        self.sessions.iter().any(|session| session.opened_at.is_some())
    }

    /// What a table wins stays with the pit it stood in.
    pub fn pit(&self) -> Option<&str> {
        let stood = self.sessions.last().map_or(&self.facts.pit, |session| &session.pit);
        stood.as_deref()
    }

    pub fn opening(&self) -> Option<&'a Count> {
        match self.baseline {
            Baseline::Opener(count) | Baseline::Prior(count) | Baseline::Earliest(count) => Some(count),
            Baseline::Par(_) | Baseline::Nothing => None,
        }
    }

    pub fn opening_cents(&self) -> Option<i64> {
        match self.baseline {
            Baseline::Opener(count) | Baseline::Prior(count) | Baseline::Earliest(count) => Some(count.total_cents),
            Baseline::Par(cents) => Some(cents),
            Baseline::Nothing => None,
        }
    }

    /// Of a par: the window's beginning, which it is assumed for.
    pub fn opening_at(&self) -> Option<DateTime<Utc>> {
        match self.baseline {
            Baseline::Opener(count) | Baseline::Prior(count) | Baseline::Earliest(count) => Some(count.counted_at),
            Baseline::Par(_) => Some(self.window.start),
            Baseline::Nothing => None,
        }
    }

    pub fn opening_source(&self) -> OpeningSource {
        match self.baseline {
            Baseline::Opener(_) => OpeningSource::VerifiedOpen,
            Baseline::Prior(_) => OpeningSource::PriorCount,
            Baseline::Par(_) => OpeningSource::ParTarget,
            Baseline::Earliest(_) => OpeningSource::EarliestInWindow,
            Baseline::Nothing => OpeningSource::None,
        }
    }

    pub fn coverage_type(&self) -> CoverageType {
        match self.baseline {
            Baseline::Opener(_) | Baseline::Prior(_) => CoverageType::Full,
            Baseline::Par(_) => CoverageType::Assumed,
            Baseline::Earliest(_) => CoverageType::Partial,
            Baseline::Nothing => CoverageType::None,
        }
    }

    pub fn closing(&self) -> Option<&'a Count> {
        self.closing
    }

    pub fn closing_source(&self) -> ClosingSource {
        match self.closing.map(|count| count.kind) {
            Some(SnapshotKind::Close) => ClosingSource::VerifiedClose,
            Some(SnapshotKind::Rundown) => ClosingSource::Rundown,
            Some(SnapshotKind::Open) => ClosingSource::VerifiedOpen,
            None => ClosingSource::None,
        }
    }

    /// What the count room found in the boxes of the sessions between the two counts. A box holds the money of its whole session, or at least
    /// of the time from one removal to the next: between a mid-shift count and anything else, nobody knows which part of it.
    pub fn counted_drop(&self) -> Option<i64> {
        let between = self.sessions_between();
        if between.is_empty() || !self.is_of_whole_sessions(&between) {
            return None;
        }
        between.into_iter().map(SessionFacts::drop_cents).sum()
    }

    /// Both ends are a session's own counts, every session between them is proved, and none began with another tray than the one before left.
    pub fn is_proved(&self) -> bool {
        let between = self.sessions_between();
        let ends = self.opening().map(|count| count.kind) == Some(SnapshotKind::Open)
            && self.closing.map(|count| count.kind) == Some(SnapshotKind::Close);
        let seamless = between.windows(2).all(|pair| {
            let left = self.count_of(pair[0].id, SnapshotKind::Close).map(|count| count.total_cents);
            let found = self.count_of(pair[1].id, SnapshotKind::Open).map(|count| count.total_cents);
            left.is_some() && left == found
        });
        let proved = |session: &&SessionFacts| session.metric_grade == Some(MetricGrade::Authoritative);
        ends && seamless && !between.is_empty() && self.is_of_whole_sessions(&between) && between.iter().all(proved)
    }

    fn has_own(&self) -> bool {
        self.facts.sessions.iter().any(|session| session.own)
    }

    fn sessions_of_the_window(&self) -> Vec<&'a SessionFacts> {
        let in_play = |session: &&SessionFacts| {
            session.opened_at.is_some_and(|opened| opened < self.window.end)
                && session.closed_at.is_none_or(|closed| closed > self.window.start)
        };
        let own = self.has_own();
        let sessions = self.facts.sessions.iter();
        sessions
            .filter(|session| if own { session.own } else { in_play(session) })
            .collect()
    }

    /// A count the window may open or close with.
    fn is_within(&self, count: &Count) -> bool {
        if self.has_own() {
            self.window.reaches(count.counted_at) && self.sessions.iter().any(|session| session.id == count.session_id)
        } else {
            self.window.holds(count.counted_at)
        }
    }

    fn choose_baseline(&self) -> Baseline<'a> {
        let within = || self.standing.iter().copied().filter(|count| self.is_within(count));
        let opener = within().find(|count| count.kind == SnapshotKind::Open);
        let prior = self.standing.iter().copied().rfind(|count| count.counted_at <= self.window.start);
        // Where hours were asked for and a table was already in play, an opener within them begins another session: what was played before it
        // would be lost.
        let opener = opener.filter(|_| self.has_own() || !self.was_in_play_before());
        match (opener, prior, self.facts.par_cents, within().next()) {
            (Some(opener), _, _, _) => Baseline::Opener(opener),
            (None, Some(prior), _, _) => Baseline::Prior(prior),
            (None, None, Some(par), _) => Baseline::Par(par),
            (None, None, None, Some(earliest)) => Baseline::Earliest(earliest),
            (None, None, None, None) => Baseline::Nothing,
        }
    }

    fn was_in_play_before(&self) -> bool {
        self.sessions.iter().any(|session| {
            self.count_of(session.id, SnapshotKind::Open)
                .is_some_and(|opener| opener.counted_at < self.window.start)
        })
    }

    /// The latest count, strictly later than the baseline and not the baseline itself: a tray held against itself would be a win of zero that
    /// nobody counted.
    fn choose_closing(&self) -> Option<&'a Count> {
        let (opened, opening) = (self.opening_at()?, self.opening().map(|count| count.id));
        self.standing
            .iter()
            .copied()
            .rfind(|count| self.is_within(count) && count.counted_at > opened && Some(count.id) != opening)
    }

    /// Between the two counts. Where there are none, the window: no figure is made of flows that were before it.
    fn bound_flows(&mut self) {
        let own_opener = matches!(self.baseline, Baseline::Opener(_));
        if let Some(opened) = self.opening_at().filter(|_| self.closing.is_some() || own_opener) {
            self.from = opened;
        }
        self.to = self.closing.map_or(self.window.end, |count| count.counted_at).max(self.from);
    }

    fn sum_flows(&mut self) {
        let slips: Vec<&SlipFlow> = self.facts.slips.iter().filter(|flow| self.moves_this_tray(flow)).collect();
        self.fills_cents = slips.iter().map(|flow| flow.fills_cents).sum();
        self.credits_cents = slips.iter().map(|flow| flow.credits_cents).sum();
        let between = |flow: &&BuyinFlow| flow.since.is_some_and(|since| self.from <= since && since < self.to);
        self.buyins = self.facts.buyins.iter().filter(between).fold(BuyinFlow::default(), BuyinFlow::with);
    }

    /// A slip belongs to the tray its session counted. The time decides only in a session of which the window holds a part: a clerk's clock
    /// that is a minute off must not move a fill across an opener.
    fn moves_this_tray(&self, flow: &SlipFlow) -> bool {
        let opener = self.count_of(flow.session_id, SnapshotKind::Open).map(|count| count.counted_at);
        let closer = self.count_of(flow.session_id, SnapshotKind::Close).map(|count| count.counted_at);
        let begins_inside = opener.is_some_and(|at| at >= self.from);
        let ends_inside = self.closing.is_some() && closer.is_some_and(|at| at <= self.to);
        let begins_after = opener.is_some_and(|at| at >= self.to);
        let ended_before = !begins_inside && closer.is_some_and(|at| at <= self.from);
        !begins_after
            && !ended_before
            && (begins_inside || flow.since.is_some_and(|since| since >= self.from))
            && (ends_inside || flow.since.is_none_or(|since| since < self.to))
    }

    /// Sessions that began between the two counts, with the baseline among others.
    fn sessions_between(&self) -> Vec<&'a SessionFacts> {
        let begins = |session: &&SessionFacts| {
            self.count_of(session.id, SnapshotKind::Open)
                .is_some_and(|opener| self.from <= opener.counted_at && opener.counted_at < self.to)
        };
        self.facts.sessions.iter().filter(begins).collect()
    }

    /// No part of a session lies outside the two counts, and none of the sessions between them runs on.
    fn is_of_whole_sessions(&self, between: &[&SessionFacts]) -> bool {
        let begins = match self.opening().map(|count| count.kind) {
            Some(SnapshotKind::Open | SnapshotKind::Close) => true,
            Some(SnapshotKind::Rundown) | None => false,
        };
        let ends = match self.closing {
            None => between.iter().all(|session| session.closed_at.is_some()),
            Some(count) => match count.kind {
                SnapshotKind::Close => between.iter().any(|session| session.id == count.session_id),
                SnapshotKind::Open => true,
                SnapshotKind::Rundown => false,
            },
        };
        begins && ends
    }

    /// The count of this kind that a session stands on.
    fn count_of(&self, session_id: Uuid, kind: SnapshotKind) -> Option<&'a Count> {
        self.standing
            .iter()
            .copied()
            .filter(|count| count.session_id == session_id && count.kind == kind)
            .max_by_key(|count| (count.created_at, count.id))
    }
}

impl SessionFacts {
    /// The sum over all boxes removed, null until every one is counted; of a finalized session what was signed.
    fn drop_cents(&self) -> Option<i64> {
        if self.finalized {
            return self.signed_drop_cents;
        }
        self.counted_cents
            .filter(|_| self.removals > 0 && self.counted_removals == self.removals)
    }
}

impl BuyinFlow {
    fn with(self, other: &Self) -> Self {
        Self {
            since: self.since,
            rated_cents: self.rated_cents + other.rated_cents,
            grind_cents: self.grind_cents + other.grind_cents,
            rows: self.rows + other.rows,
            rated_buyins: self.rated_buyins + other.rated_buyins,
            grind_buyins: self.grind_buyins + other.grind_buyins,
            expected_rated_rows: self.expected_rated_rows + other.expected_rated_rows,
            missing_rated_rows: self.missing_rated_rows + other.missing_rated_rows,
            rating_slips: self.rating_slips + other.rating_slips,
        }
    }
}

/// A recount takes the place of the count before it; of two counts at one moment the later entry is the later one.
fn standing(counts: &[Count]) -> Vec<&Count> {
    let superseded = |count: &Count| counts.iter().any(|other| other.supersedes_id == Some(count.id));
    let mut standing: Vec<&Count> = counts.iter().filter(|count| !superseded(count)).collect();
    standing.sort_by_key(|count| (count.counted_at, count.created_at, count.id));
    standing
}
