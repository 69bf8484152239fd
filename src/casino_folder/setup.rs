//! The files of a casino's set-up: `casino.json`, `staff.csv`, `par-sheet.csv` and `drop-boxes.csv`.

use std::collections::HashSet;

use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use workflows::role::Role;
use workflows::word::{BankMode, BoxKind, GameType};

use super::problem::{FolderError, json_problem};
use crate::csv_table::{CsvFlaw, Shape};

/// The largest floor in the world has some 700 tables; and a sheet is stored in one statement, which takes 65,535 values at most.
pub const MAX_TABLES: usize = 2_000;

/// The people, and the boxes, of a floor that large, several times over.
const MAX_PEOPLE: usize = 50_000;
const MAX_BOXES: usize = 50_000;

/// `casino.json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CasinoFile {
    #[serde(deserialize_with = "not_blank")]
    pub name: String,
    #[serde(deserialize_with = "zone")]
    pub timezone: Tz,
    /// The day the acts were written for. For the reader: what is played today happens today.
    #[serde(default)]
    pub gaming_day: Option<NaiveDate>,
    #[serde(deserialize_with = "wall_clock")]
    pub gaming_day_start: NaiveTime,
    pub bank_mode: BankMode,
    #[serde(deserialize_with = "chip_list")]
    pub denominations_cents: Vec<i64>,
    #[serde(deserialize_with = "team_size")]
    pub min_count_team: i32,
    #[serde(default)]
    pub shifts: Vec<ShiftRow>,
}

/// A shift's local times; one that ends before it begins ends on the next day.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftRow {
    pub name: String,
    #[serde(deserialize_with = "wall_clock")]
    pub local_start: NaiveTime,
    #[serde(deserialize_with = "wall_clock")]
    pub local_end: NaiveTime,
}

/// A line of `staff.csv`. The PIN cannot be printed: `SecretString` shows itself as `[REDACTED]`.
#[derive(Clone, Debug)]
pub struct StaffRow {
    pub employee_no: String,
    pub name: String,
    pub role: Role,
    /// Of those who co-sign.
    pub pin: Option<SecretString>,
}

/// A line of `par-sheet.csv`: a table and its target bank in cents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParRow {
    /// From 1, as an editor counts.
    pub line: u64,
    pub table: String,
    pub game: GameType,
    pub pit: Option<String>,
    pub par_cents: i64,
}

/// A line of `drop-boxes.csv`; only an emergency box belongs to no table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxRow {
    pub label: String,
    pub table: Option<String>,
    pub kind: BoxKind,
}

pub(super) fn read_casino(text: &str) -> Result<CasinoFile, FolderError> {
    serde_json::from_str(text).map_err(|error| FolderError(vec![json_problem("casino.json", error.line(), &error)]))
}

const PAR_SHEET: Shape = Shape {
    rows: "tables",
    max_rows: MAX_TABLES,
    required: &["table", "game", "pit", "par_cents"],
    optional: &[],
};

/// A tray's par for every table. Rows are taken together or not at all: every bad cell of every row is reported.
///
/// Columns `table, game, pit, par_cents`, in any order; `pit` may be blank.
pub fn parse_par_sheet(bytes: &[u8]) -> Result<Vec<ParRow>, Vec<CsvFlaw>> {
    let mut labels = HashSet::new();
    PAR_SHEET.read(bytes, |cells| {
        let table = cells.unique("table", &mut labels);
        let game = cells.word("game");
        let par_cents = cells.cents("par_cents");
        let pit = cells.optional("pit").map(str::to_owned);
        Some(ParRow {
            line: cells.line(),
            table: table?,
            game: game?,
            pit,
            par_cents: par_cents?,
        })
    })
}

const STAFF: Shape = Shape {
    rows: "people",
    max_rows: MAX_PEOPLE,
    required: &["employee_no", "name", "role", "pin"],
    optional: &[],
};

pub(super) fn parse_staff(bytes: &[u8]) -> Result<Vec<StaffRow>, Vec<CsvFlaw>> {
    let mut numbers = HashSet::new();
    STAFF.read(bytes, |cells| {
        let employee_no = cells.unique("employee_no", &mut numbers);
        let name = cells.required("name").map(str::to_owned);
        let role = cells.word("role").and_then(|role| match role {
            Role::System => cells.refuse("role", "system is the daemon itself, no person"),
            Role::Dealer | Role::PitBoss | Role::Cashier | Role::Security | Role::CountTeam | Role::Compliance | Role::Admin => Some(role),
        });
        let pin = cells.optional("pin").map(SecretString::from);
        Some(StaffRow {
            employee_no: employee_no?,
            name: name?,
            role: role?,
            pin,
        })
    })
}

const BOXES: Shape = Shape {
    rows: "boxes",
    max_rows: MAX_BOXES,
    required: &["label", "table", "kind"],
    optional: &[],
};

pub(super) fn parse_boxes(bytes: &[u8], tables: &[ParRow]) -> Result<Vec<BoxRow>, Vec<CsvFlaw>> {
    let known: HashSet<&str> = tables.iter().map(|row| row.table.as_str()).collect();
    let mut labels = HashSet::new();
    BOXES.read(bytes, |cells| {
        let label = cells.unique("label", &mut labels);
        let table = cells.optional("table").map(str::to_owned);
        let kind = cells.word("kind");
        match (kind?, &table) {
            (BoxKind::Standard, None) => cells.refuse("table", "a standard box belongs to a table"),
            (BoxKind::Emergency, Some(_)) => cells.refuse("table", "an emergency box belongs to no table"),
            (BoxKind::Standard, Some(table)) if !known.contains(table.as_str()) => {
                cells.refuse("table", format!("`{table}` is not on the par sheet"))
            }
            (kind @ (BoxKind::Standard | BoxKind::Emergency), _) => Some(BoxRow {
                label: label?,
                table,
                kind,
            }),
        }
    })
}

fn zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tz, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse()
        .map_err(|_| serde::de::Error::custom(format!("`{name}` is no IANA time zone")))
}

fn wall_clock<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    NaiveTime::parse_from_str(&text, "%H:%M").map_err(|_| serde::de::Error::custom(format!("`{text}` is no time of day HH:MM")))
}

fn not_blank<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        Err(serde::de::Error::custom("must not be blank"))
    } else {
        Ok(text)
    }
}

fn team_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    let size = i32::deserialize(deserializer)?;
    if size < 1 {
        Err(serde::de::Error::custom("a count needs somebody: 1 or more"))
    } else {
        Ok(size)
    }
}

fn chip_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<i64>, D::Error> {
    let chips = Vec::<i64>::deserialize(deserializer)?;
    let different: HashSet<i64> = chips.iter().copied().collect();
    if chips.is_empty() || different.len() != chips.len() || chips.iter().any(|chip| *chip <= 0) {
        return Err(serde::de::Error::custom(
            "denominations must be different amounts above 0, at least one",
        ));
    }
    Ok(chips)
}
