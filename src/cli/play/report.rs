//! What a play came to, for tests to assert on and for people to read.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::time::Duration;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde_json::Value;
use uuid::Uuid;
use workflows::word::{Category, Status, SummaryStatus};

use super::money::{dollars, or_dash, percent};
use super::wire::Refusal;

/// Columns of the session table before the first figure.
const WORDS: usize = 3;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Acts of the file that the daemon accepted, replays among them.
    pub acts: usize,
    /// Acts it had accepted in an earlier play.
    pub replayed: usize,
    /// Acts, and steps of the finalization, that it refused or that could not be sent.
    pub refused: Vec<Refused>,
    /// In the order of their creation.
    pub sessions: Vec<SessionLine>,
    /// Exceptions of those sessions, resolved ones among them.
    pub exceptions: BTreeMap<Category, usize>,
    /// Exceptions resolved by this play.
    pub resolved: usize,
    /// Sessions finalized by this play.
    pub finalized: usize,
    /// The day's shifts, where it was played by the hour.
    pub shifts: Vec<ShiftLine>,
    /// What the day's players bought in for; none where the folder tells of none.
    pub buyins: Option<BuyinLine>,
    pub elapsed: Duration,
}

impl Outcome {
    pub fn sessions_by_status(&self) -> BTreeMap<Status, usize> {
        let mut counts = BTreeMap::new();
        for status in self.sessions.iter().filter_map(|line| line.status) {
            *counts.entry(status).or_default() += 1;
        }
        counts
    }
}

/// Something that did not go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Of an act of the file; none for a step of the finalization or a reading.
    pub seq: Option<u64>,
    pub act: String,
    pub table: String,
    pub by: String,
    pub refusal: Refusal,
}

/// One session at the end of the play. Cents; `None` is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLine {
    pub id: Uuid,
    pub table: String,
    pub shift: String,
    pub status: Option<Status>,
    pub opening_cents: Option<i64>,
    pub fills_cents: Option<i64>,
    pub credits_cents: Option<i64>,
    pub drop_cents: Option<i64>,
    pub closing_cents: Option<i64>,
    pub win_cents: Option<i64>,
    pub hold_bp: Option<i64>,
    /// Unresolved ones.
    pub open_exceptions: Option<usize>,
    /// Of every exception, resolved ones among them.
    pub categories: Vec<Category>,
}

/// One shift at the end of the play. Cents; `None` is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShiftLine {
    pub id: Uuid,
    pub name: String,
    pub status: SummaryStatus,
    pub sessions: usize,
    pub finalized: usize,
    pub cancelled: usize,
    pub drop_cents: Option<i64>,
    pub win_cents: Option<i64>,
    pub hold_bp: Option<i64>,
    /// Its rollup is the sum of its sessions' reports; none where nobody compared them.
    pub rolled_up: Option<bool>,
}

/// Buy-ins at all tables of the gaming day, as its window tells them. Cents; `None` is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuyinLine {
    pub rated_cents: Option<i64>,
    pub grind_cents: Option<i64>,
    /// Tables by how far their buy-ins may be trusted.
    pub good: i64,
    pub low: i64,
    pub none: i64,
}

impl Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", session_table(&self.sessions))?;
        for refused in &self.refused {
            writeln!(f, "{refused}")?;
        }
        writeln!(
            f,
            "Acts:       {} accepted ({} of them replayed), {} refused",
            self.acts,
            self.replayed,
            self.refused.len()
        )?;
        writeln!(f, "Sessions:   {}", counted(&self.sessions_by_status()))?;
        writeln!(f, "Exceptions: {}", counted(&self.exceptions))?;
        if self.resolved > 0 || self.finalized > 0 {
            writeln!(
                f,
                "Finalized:  {} sessions, after resolving {} exceptions",
                self.finalized, self.resolved
            )?;
        }
        for shift in &self.shifts {
            writeln!(f, "{shift}")?;
        }
        if let Some(buyins) = &self.buyins {
            writeln!(f, "{buyins}")?;
        }
        write!(f, "Runtime:    {}.{} s", self.elapsed.as_secs(), self.elapsed.subsec_millis() / 100)
    }
}

impl Display for ShiftLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            status,
            sessions,
            finalized,
            cancelled,
            ..
        } = self;
        let (drop, win, hold) = (dollars(self.drop_cents), dollars(self.win_cents), percent(self.hold_bp));
        let rollup = match self.rolled_up {
            Some(true) => "; its rollup says the same",
            Some(false) => "; ITS ROLLUP SAYS OTHERWISE",
            None => "",
        };
        write!(
            f,
            "Shift:      {name} is {status}: {sessions} sessions, {finalized} finalized, {cancelled} cancelled; drop {drop}, win {win}, hold {hold}{rollup}"
        )
    }
}

impl Display for BuyinLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { good, low, none, .. } = self;
        let (rated, grind) = (dollars(self.rated_cents), dollars(self.grind_cents));
        write!(
            f,
            "Buy-ins:    rated {rated}, unrated {grind}; coverage good at {good} tables, low at {low}, none at {none}"
        )
    }
}

impl Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seq,
            act,
            table,
            by,
            refusal,
        } = self;
        let status = refusal.status.map_or_else(String::new, |status| format!("{status} "));
        write!(
            f,
            "REFUSED #{} {act} at {table} by {by}: {status}{}: {}",
            or_dash(*seq),
            refusal.code,
            refusal.detail
        )?;
        for error in &refusal.errors {
            write!(f, "\n    {}: {}", error.pointer, error.message)?;
        }
        for gate in &refusal.gates {
            write!(f, "\n    gate {}: {}", gate.code, gate.detail.as_deref().unwrap_or_default())?;
            match &gate.needs {
                Value::Null => {}
                Value::String(words) => write!(f, "; needs {words}")?,
                needs @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => write!(f, "; needs {needs}")?,
            }
            if !gate.who.is_empty() {
                write!(f, " ({})", gate.who.join(", "))?;
            }
        }
        match &refusal.correlation_id {
            Some(id) => write!(f, "\n    correlation id {id}"),
            None => Ok(()),
        }
    }
}

fn session_table(lines: &[SessionLine]) -> Table {
    let mut table = Table::new();
    // Not fitted to the terminal: a figure broken over two lines is no figure.
    table
        .load_style(UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header([
            "table",
            "shift",
            "status",
            "opening",
            "fills",
            "credits",
            "drop",
            "closing",
            "win",
            "hold",
            "open exc.",
        ]);
    for line in lines {
        table.add_row([
            line.table.clone(),
            line.shift.clone(),
            or_dash(line.status),
            dollars(line.opening_cents),
            dollars(line.fills_cents),
            dollars(line.credits_cents),
            dollars(line.drop_cents),
            dollars(line.closing_cents),
            dollars(line.win_cents),
            percent(line.hold_bp),
            or_dash(line.open_exceptions),
        ]);
    }
    for figure in table.column_iter_mut().skip(WORDS) {
        figure.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn counted<W: Display>(counts: &BTreeMap<W, usize>) -> String {
    let mut text = String::new();
    for (word, count) in counts {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{count} {word}");
    }
    if text.is_empty() { "none".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_of_a_session_is_a_dash() {
        let line = SessionLine {
            id: Uuid::nil(),
            table: "BJ-01".into(),
            shift: "day".into(),
            status: Some(Status::Closed),
            opening_cents: Some(3_000_000),
            fills_cents: Some(0),
            credits_cents: Some(0),
            drop_cents: None,
            closing_cents: Some(2_990_000),
            win_cents: None,
            hold_bp: None,
            open_exceptions: Some(1),
            categories: vec![Category::SealMismatch],
        };
        let exceptions = BTreeMap::from([(Category::SealMismatch, 1)]);
        let buyins = Some(BuyinLine {
            rated_cents: Some(2_225_000),
            grind_cents: None,
            good: 12,
            low: 3,
            none: 9,
        });
        let elapsed = Duration::from_millis(12_345);
        let outcome = Outcome {
            acts: 3,
            replayed: 1,
            sessions: vec![line],
            exceptions,
            buyins,
            elapsed,
            ..Outcome::default()
        };
        let text = outcome.to_string();

        let row: Vec<&str> = text
            .lines()
            .nth(3)
            .unwrap_or_default()
            .split_whitespace()
            .filter(|word| *word != "│")
            .collect();
        assert_eq!(
            row,
            [
                "BJ-01",
                "day",
                "CLOSED",
                "$30,000.00",
                "$0.00",
                "$0.00",
                "—",
                "$29,900.00",
                "—",
                "—",
                "1"
            ],
            "{text}"
        );
        let totals: Vec<&str> = text.lines().rev().take(5).collect();
        let expected = [
            "Runtime:    12.3 s",
            "Buy-ins:    rated $22,250.00, unrated —; coverage good at 12 tables, low at 3, none at 9",
            "Exceptions: 1 SEAL_MISMATCH",
            "Sessions:   1 CLOSED",
            "Acts:       3 accepted (1 of them replayed), 0 refused",
        ];
        assert_eq!(totals, expected);
    }
}
