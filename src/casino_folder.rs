//! A casino as a folder of files: `casino.json`, `staff.csv`, `par-sheet.csv`, `drop-boxes.csv` and, where a day is to be
//! played, `day.jsonl`.
//!
//! A mistake is answered with its file, line and column, and with every mistake that can be seen at once: somebody is going to
//! mend the file by hand. The folder is read strictly (an unknown field or column is refused), because a misspelt `agreed_cents`
//! that is quietly dropped would change what the day proves. What the acts mean on the floor is the daemon's to judge, not ours.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Display};
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;
use csv::StringRecord;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use strum::{Display, VariantArray};
use utoipa::ToSchema;
use workflows::role::Role;
use workflows::word::{BankMode, BoxKind, DocumentKind, GameType, SlipKind, SnapshotKind};

/// Denomination in cents to pieces.
pub type Pieces = std::collections::BTreeMap<u64, u64>;

/// Mistakes printed of one folder: more only scroll the first ones away.
const PRINTED_PROBLEMS: usize = 50;

/// Everything a folder says.
#[derive(Clone, Debug)]
pub struct Folder {
    /// The folder's own name, without the way to it: a part of every Idempotency-Key.
    pub name: String,
    pub casino: CasinoFile,
    pub staff: Vec<StaffRow>,
    pub par_sheet: Vec<ParRow>,
    pub boxes: Vec<BoxRow>,
    /// The acts in file order; empty where only the set-up was read.
    pub day: Vec<ActLine>,
}

impl Folder {
    /// All five files, as `play` needs them.
    pub fn read(path: &Path) -> Result<Self, FolderError> {
        let mut folder = Self::read_setup(path)?;
        let text = read_text(path, "day.jsonl")?;
        folder.day = read_day(&text, &folder).map_err(FolderError)?;
        Ok(folder)
    }

    /// The four files of a casino's set-up, as `seed` needs them; `day.jsonl` may be absent.
    pub fn read_setup(path: &Path) -> Result<Self, FolderError> {
        let casino = read_casino(&read_text(path, "casino.json")?)?;
        let sheet = read_text(path, "par-sheet.csv")?;
        let staff = read_text(path, "staff.csv")?;
        let boxes = read_text(path, "drop-boxes.csv")?;

        let mut problems = Vec::new();
        let par_sheet = keep(&mut problems, "par-sheet.csv", parse_par_sheet(sheet.as_bytes()));
        let staff = keep(&mut problems, "staff.csv", parse_staff(staff.as_bytes()));
        // Boxes are read against the tables: with a broken par sheet each box would be called a mistake of its own.
        let boxes = par_sheet
            .as_deref()
            .and_then(|tables| keep(&mut problems, "drop-boxes.csv", parse_boxes(boxes.as_bytes(), tables)));
        match (par_sheet, staff, boxes) {
            (Some(par_sheet), Some(staff), Some(boxes)) => Ok(Self {
                name: name_of(path)?,
                casino,
                staff,
                par_sheet,
                boxes,
                day: Vec::new(),
            }),
            _ => Err(FolderError(problems)),
        }
    }

    pub fn person(&self, employee_no: &str) -> Option<&StaffRow> {
        self.staff.iter().find(|person| person.employee_no == employee_no)
    }
}

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

/// A line of `day.jsonl`: who did what at which table, in the file's order.
#[derive(Clone, Debug)]
pub struct ActLine {
    pub seq: u64,
    /// Local `HH:MM`, `+1 HH:MM` after midnight. For the reader, never sent.
    pub at: String,
    pub shift: String,
    pub table: String,
    pub act: Act,
}

/// Writes [`Act`] and the reading of its lines from one list.
///
/// An internally tagged enum would say the same in serde's own words, but it reads the whole object before it looks at it, and
/// then every mistake stands at the closing brace. One struct an act keeps the column of the mistake, and refuses the fields of
/// other acts.
macro_rules! acts {
    ($($(#[$doc:meta])* $variant:ident { $($(#[$attr:meta])* $field:ident: $type:ty),+ $(,)? })+) => {
        /// What somebody did. Names in the fields are the file's: employee numbers, box labels, request ids.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Act { $($(#[$doc])* $variant { $($field: $type),+ }),+ }

        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Display)]
        #[serde(rename_all = "snake_case")]
        #[strum(serialize_all = "snake_case")]
        enum ActName { $($variant),+ }

        impl Act {
            fn kind(&self) -> ActName {
                match self { $(Self::$variant { .. } => ActName::$variant),+ }
            }
        }

        fn read_act_line(text: &str) -> serde_json::Result<ActLine> {
            #[derive(Deserialize)]
            struct Head { act: ActName }

            match serde_json::from_str::<Head>(text)?.act {
                $(ActName::$variant => {
                    #[derive(Deserialize)]
                    #[serde(deny_unknown_fields)]
                    struct Line {
                        seq: u64,
                        #[serde(deserialize_with = "moment")]
                        at: String,
                        shift: String,
                        table: String,
                        #[serde(rename = "act")]
                        _act: ActName,
                        $($(#[$attr])* $field: $type),+
                    }
                    let Line { seq, at, shift, table, _act, $($field),+ } = serde_json::from_str(text)?;
                    Ok(ActLine { seq, at, shift, table, act: Act::$variant { $($field),+ } })
                })+
            }
        }
    };
}

acts! {
    CreateSession { by: String, drop_box: String }
    BeginOpening { by: String }
    CountTray { kind: SnapshotKind, by: String, chipset: Pieces }
    /// Carried by the person who counted that tray.
    VerifyTray { kind: SnapshotKind, cosign: String }
    RequestSlip { kind: SlipKind, request_id: String, by: String, chipset: Pieces }
    IssueSlip { request_id: String, by: String, runner: String }
    VerifySlip { request_id: String, by: String, dealer: String, chipset: Pieces }
    CageReceipt { request_id: String, by: String }
    DepositSlip { request_id: String, by: String }
    VoidSlip { request_id: String, by: String, cosign: String, reason: String }
    ScheduleDrop {
        by: String,
        #[serde(rename = "for", deserialize_with = "moment")]
        planned_for: String,
    }
    RemoveBox { by: String, witness: String, #[serde(rename = "box")] drop_box: String, #[serde(default)] replacement: Option<String>, seal: String }
    DeliverBox { by: String, #[serde(rename = "box")] drop_box: String }
    ReceiveBox { by: String, #[serde(rename = "box")] drop_box: String, seal: String }
    SoftCount {
        by: String,
        #[serde(rename = "box")]
        drop_box: String,
        team: Vec<String>,
        drop_total_cents: i64,
        count_1_cents: i64,
        count_2_cents: i64,
        #[serde(default)]
        agreed_cents: Option<i64>,
        currency: Pieces,
        documents: Vec<FoundPaper>,
    }
    StartClosing { by: String }
}

impl Act {
    /// The file's word for it.
    pub fn name(&self) -> String {
        self.kind().to_string()
    }

    /// The caller the line names. A tray's verification names none: whoever counted the tray carries it.
    pub fn by(&self) -> Option<&str> {
        match self {
            Self::CreateSession { by, .. }
            | Self::BeginOpening { by }
            | Self::CountTray { by, .. }
            | Self::RequestSlip { by, .. }
            | Self::IssueSlip { by, .. }
            | Self::VerifySlip { by, .. }
            | Self::CageReceipt { by, .. }
            | Self::DepositSlip { by, .. }
            | Self::VoidSlip { by, .. }
            | Self::ScheduleDrop { by, .. }
            | Self::RemoveBox { by, .. }
            | Self::DeliverBox { by, .. }
            | Self::ReceiveBox { by, .. }
            | Self::SoftCount { by, .. }
            | Self::StartClosing { by } => Some(by),
            Self::VerifyTray { .. } => None,
        }
    }

    /// The people who stand beside the caller: the field that names them, and whether they must prove it with a PIN.
    fn others(&self) -> Vec<(&'static str, &str, bool)> {
        match self {
            Self::VerifyTray { cosign, .. } | Self::VoidSlip { cosign, .. } => vec![("cosign", cosign, true)],
            Self::VerifySlip { dealer, .. } => vec![("dealer", dealer, true)],
            Self::RemoveBox { witness, .. } => vec![("witness", witness, true)],
            Self::IssueSlip { runner, .. } => vec![("runner", runner, false)],
            Self::SoftCount { team, .. } => team.iter().map(|member| ("team", member.as_str(), false)).collect(),
            Self::CreateSession { .. }
            | Self::BeginOpening { .. }
            | Self::CountTray { .. }
            | Self::RequestSlip { .. }
            | Self::CageReceipt { .. }
            | Self::DepositSlip { .. }
            | Self::ScheduleDrop { .. }
            | Self::DeliverBox { .. }
            | Self::ReceiveBox { .. }
            | Self::StartClosing { .. } => Vec::new(),
        }
    }

    /// The boxes named, and the field that names each.
    fn boxes(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::CreateSession { drop_box, .. } => vec![("drop_box", drop_box)],
            Self::DeliverBox { drop_box, .. } | Self::ReceiveBox { drop_box, .. } | Self::SoftCount { drop_box, .. } => {
                vec![("box", drop_box)]
            }
            Self::RemoveBox { drop_box, replacement, .. } => {
                let replacement = replacement.iter().map(|label| ("replacement", label.as_str()));
                std::iter::once(("box", drop_box.as_str())).chain(replacement).collect()
            }
            Self::BeginOpening { .. }
            | Self::CountTray { .. }
            | Self::VerifyTray { .. }
            | Self::RequestSlip { .. }
            | Self::IssueSlip { .. }
            | Self::VerifySlip { .. }
            | Self::CageReceipt { .. }
            | Self::DepositSlip { .. }
            | Self::VoidSlip { .. }
            | Self::ScheduleDrop { .. }
            | Self::StartClosing { .. } => Vec::new(),
        }
    }
}

/// A paper found in a box.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundPaper {
    pub kind: DocumentKind,
    /// The slip it is; the server's number is put in its place.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The number printed on a paper that is not of this day.
    #[serde(default)]
    pub number: Option<String>,
    pub amount_cents: i64,
    #[serde(default)]
    pub note: Option<String>,
}

/// A tray's par for every table. Rows are taken together or not at all: every bad cell of every row is reported.
///
/// Columns `table, game, pit, par_cents`, in any order; `pit` may be blank.
pub fn parse_par_sheet(reader: impl Read) -> Result<Vec<ParRow>, Vec<CsvProblem>> {
    let mut labels = HashSet::new();
    read_csv(reader, ["table", "game", "pit", "par_cents"], |cells| {
        let table = cells.unique("table", &mut labels);
        let game = cells.word("game");
        let par_cents = cells.cents("par_cents");
        let pit = cells.optional("pit").map(str::to_owned);
        Some(ParRow {
            table: table?,
            game: game?,
            pit,
            par_cents: par_cents?,
        })
    })
}

fn parse_staff(reader: impl Read) -> Result<Vec<StaffRow>, Vec<CsvProblem>> {
    let mut numbers = HashSet::new();
    read_csv(reader, ["employee_no", "name", "role", "pin"], |cells| {
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

fn parse_boxes(reader: impl Read, tables: &[ParRow]) -> Result<Vec<BoxRow>, Vec<CsvProblem>> {
    let known: HashSet<&str> = tables.iter().map(|row| row.table.as_str()).collect();
    let mut labels = HashSet::new();
    read_csv(reader, ["label", "table", "kind"], |cells| {
        let label = cells.unique("label", &mut labels);
        let table = cells.optional("table").map(str::to_owned);
        let kind = cells.word("kind");
        match (kind?, &table) {
            (BoxKind::Standard, None) => cells.refuse("table", "a standard box belongs to a table"),
            (BoxKind::Emergency, Some(_)) => cells.refuse("table", "an emergency box belongs to no table"),
            (BoxKind::Standard, Some(table)) if !known.contains(table.as_str()) => {
                cells.refuse("table", &format!("`{table}` is not on the par sheet"))
            }
            (kind @ (BoxKind::Standard | BoxKind::Emergency), _) => Some(BoxRow {
                label: label?,
                table,
                kind,
            }),
        }
    })
}

/// A cell that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CsvProblem {
    /// From 1, the header line included.
    pub line: u64,
    /// The column's name; empty where the whole line is at fault.
    pub column: String,
    pub message: String,
}

/// Rows of a CSV file with exactly these columns, in any order.
fn read_csv<T, const N: usize>(
    mut reader: impl Read,
    columns: [&'static str; N],
    mut read_row: impl FnMut(&mut Cells) -> Option<T>,
) -> Result<Vec<T>, Vec<CsvProblem>> {
    let whole_line = |line, message| CsvProblem {
        line,
        column: String::new(),
        message,
    };
    let mut bytes = Vec::new();
    reader
        .read_to_end(&mut bytes)
        .map_err(|error| vec![whole_line(1, error.to_string())])?;
    let mut lines = Lines {
        bytes: &bytes,
        counted_to: 0,
        line: 1,
    };

    // Flexible, so that a short row is told in our words, with all the others.
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes.as_slice());
    let header = reader.headers().map_err(|_| vec![whole_line(1, "not UTF-8 text".to_owned())])?;
    let places = places(header, columns)?;
    let width = header.len();

    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for record in reader.byte_records() {
        // From memory, flexible and as bytes: no record can fail.
        let Ok(record) = record else { break };
        let line = lines.of(record.position());
        match StringRecord::from_byte_record(record) {
            Err(_) => problems.push(whole_line(line, "not UTF-8 text".to_owned())),
            Ok(record) if record.len() != width => {
                problems.push(whole_line(line, format!("{} fields where the header has {width}", record.len())));
            }
            Ok(record) => rows.extend(read_row(&mut Cells {
                record: &record,
                places: &places,
                line,
                problems: &mut problems,
            })),
        }
    }
    if problems.is_empty() { Ok(rows) } else { Err(problems) }
}

/// Lines as an editor counts them. The csv crate's own count is one short after every CRLF and blank line: it takes the line
/// feed for the beginning of the next record.
struct Lines<'a> {
    bytes: &'a [u8],
    counted_to: usize,
    line: u64,
}

impl Lines<'_> {
    /// Positions must come in rising order.
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let start = position
            .and_then(|position| usize::try_from(position.byte()).ok())
            .unwrap_or(self.counted_to);
        let ahead = self.bytes.get(self.counted_to.max(start)..).unwrap_or_default();
        let breaks = ahead.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let first = self.counted_to.max(start) + breaks;
        let passed = self.bytes.get(self.counted_to..first).unwrap_or_default();
        self.line += passed.split(|byte| *byte == b'\n').skip(1).count() as u64;
        self.counted_to = first;
        self.line
    }
}

fn places<const N: usize>(header: &StringRecord, columns: [&'static str; N]) -> Result<HashMap<&'static str, usize>, Vec<CsvProblem>> {
    let mut places = HashMap::new();
    let mut problems = Vec::new();
    let mut refuse = |column: &str, message: &str| {
        problems.push(CsvProblem {
            line: 1,
            column: column.to_owned(),
            message: message.to_owned(),
        });
    };
    for (place, name) in header.iter().enumerate() {
        match columns.iter().find(|column| **column == name.trim()) {
            None => refuse(name, &format!("unknown column, expected {}", columns.join(", "))),
            Some(column) if places.insert(*column, place).is_some() => refuse(name, "the column stands twice"),
            Some(_) => {}
        }
    }
    for column in columns.iter().filter(|column| !places.contains_key(*column)) {
        refuse(column, "the column is missing");
    }
    if problems.is_empty() { Ok(places) } else { Err(problems) }
}

/// One row's cells by column name. A bad cell is written down and reads as `None`, so that the rest of the row is still looked at.
struct Cells<'a> {
    record: &'a StringRecord,
    places: &'a HashMap<&'static str, usize>,
    line: u64,
    problems: &'a mut Vec<CsvProblem>,
}

impl<'a> Cells<'a> {
    fn refuse<T>(&mut self, column: &str, message: &str) -> Option<T> {
        self.problems.push(CsvProblem {
            line: self.line,
            column: column.to_owned(),
            message: message.to_owned(),
        });
        None
    }

    /// Blank is absent.
    fn optional(&self, column: &str) -> Option<&'a str> {
        let place = self.places.get(column)?;
        self.record.get(*place).map(str::trim).filter(|text| !text.is_empty())
    }

    fn required(&mut self, column: &str) -> Option<&'a str> {
        self.optional(column).or_else(|| self.refuse(column, "must not be blank"))
    }

    fn unique(&mut self, column: &str, seen: &mut HashSet<String>) -> Option<String> {
        let text = self.required(column)?;
        if seen.insert(text.to_owned()) {
            Some(text.to_owned())
        } else {
            self.refuse(column, &format!("`{text}` stands twice"))
        }
    }

    /// A word of one of the closed vocabularies.
    fn word<W: FromStr + Display + VariantArray>(&mut self, column: &str) -> Option<W> {
        let text = self.required(column)?;
        text.parse().ok().or_else(|| {
            let words: Vec<String> = W::VARIANTS.iter().map(ToString::to_string).collect();
            self.refuse(column, &format!("`{text}` is none of {}", words.join(", ")))
        })
    }

    /// Whole cents, not negative.
    fn cents(&mut self, column: &str) -> Option<i64> {
        let text = self.required(column)?;
        let cents = text.parse().ok().filter(|cents| *cents >= 0);
        cents.or_else(|| self.refuse(column, &format!("`{text}` is no amount: whole cents, 0 or more")))
    }
}

/// A mistake in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    /// From 1; none where the file itself is at fault.
    pub line: Option<u64>,
    pub column: Option<Column>,
    pub message: String,
}

/// Where in a line: a CSV file's columns have names, JSON's are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    Named(String),
    At(usize),
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, " line {line}")?;
        }
        match &self.column {
            Some(Column::Named(name)) => write!(f, ", column {name}")?,
            Some(Column::At(place)) => write!(f, ", column {place}")?,
            None => {}
        }
        write!(f, ": {}", self.message)
    }
}

/// Every mistake found; printed one a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FolderError(pub Vec<Problem>);

impl Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().take(PRINTED_PROBLEMS).map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))?;
        match self.0.len().saturating_sub(PRINTED_PROBLEMS) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// The rows of a good file; a bad one's mistakes under the file's name.
fn keep<T>(problems: &mut Vec<Problem>, file: &str, outcome: Result<Vec<T>, Vec<CsvProblem>>) -> Option<Vec<T>> {
    let found = match outcome {
        Ok(rows) => return Some(rows),
        Err(found) => found,
    };
    problems.extend(found.into_iter().map(|CsvProblem { line, column, message }| Problem {
        file: file.to_owned(),
        line: Some(line),
        column: Some(column).filter(|name| !name.is_empty()).map(Column::Named),
        message,
    }));
    None
}

fn read_casino(text: &str) -> Result<CasinoFile, FolderError> {
    serde_json::from_str(text).map_err(|error| FolderError(vec![json_problem("casino.json", error.line(), &error)]))
}

/// Every line is read, so that one run shows every mistake.
fn read_day(text: &str, folder: &Folder) -> Result<Vec<ActLine>, Vec<Problem>> {
    let (mut day, mut problems) = (Vec::<ActLine>::new(), Vec::new());
    for (number, text) in text.lines().enumerate().map(|(index, text)| (index + 1, text)) {
        if text.trim().is_empty() {
            continue;
        }
        match read_act_line(text) {
            Err(error) => problems.push(json_problem("day.jsonl", number, &error)),
            Ok(line) => {
                let mut strangers = strangers(&line, folder);
                if let Some(last) = day.last().filter(|last| last.seq >= line.seq) {
                    // Idempotency-Keys are made of it: one `seq` twice would make the second act a replay of the first.
                    strangers.push(("seq", format!("{} does not follow {}", line.seq, last.seq)));
                }
                problems.extend(strangers.into_iter().map(|(field, message)| Problem {
                    file: "day.jsonl".to_owned(),
                    line: Some(number as u64),
                    column: text.find(&format!("\"{field}\"")).map(|place| Column::At(place + 1)),
                    message,
                }));
                day.push(line);
            }
        }
    }
    if problems.is_empty() { Ok(day) } else { Err(problems) }
}

/// Names the folder's other files do not know, by the field that holds them.
fn strangers(line: &ActLine, folder: &Folder) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if !folder.par_sheet.iter().any(|row| row.table == line.table) {
        found.push(("table", format!("`{}` is not on the par sheet", line.table)));
    }
    if let Some(by) = line.act.by() {
        match folder.person(by).map(|person| person.role) {
            None => found.push(("by", format!("`{by}` is not in staff.csv"))),
            Some(Role::Dealer) => found.push(("by", format!("`{by}` is a dealer, and dealers hold no token"))),
            Some(_) => {}
        }
    }
    for (field, employee_no, signs) in line.act.others() {
        match folder.person(employee_no) {
            None => found.push((field, format!("`{employee_no}` is not in staff.csv"))),
            Some(person) if signs && person.pin.is_none() => found.push((field, format!("`{employee_no}` has no PIN to sign with"))),
            Some(_) => {}
        }
    }
    for (field, label) in line.act.boxes() {
        if !folder.boxes.iter().any(|row| row.label == label) {
            found.push((field, format!("`{label}` is not in drop-boxes.csv")));
        }
    }
    found
}

fn json_problem(file: &str, line: usize, error: &serde_json::Error) -> Problem {
    // serde_json ends its message with a position of its own; ours names the file and counts the file's lines.
    let message = error.to_string();
    let message = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(message, _)| message)
        .to_owned();
    Problem {
        file: file.to_owned(),
        line: Some(line as u64),
        column: Some(Column::At(error.column())),
        message,
    }
}

fn read_text(folder: &Path, file: &str) -> Result<String, FolderError> {
    let refuse = |line, column, message| {
        FolderError(vec![Problem {
            file: file.to_owned(),
            line,
            column,
            message,
        }])
    };
    let bytes = std::fs::read(folder.join(file)).map_err(|error| refuse(None, None, format!("{}: {error}", folder.display())))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|byte| *byte == b'\n').count();
        let column = 1 + good.iter().rev().take_while(|byte| **byte != b'\n').count();
        refuse(Some(line as u64), Some(Column::At(column)), "not UTF-8 text".to_owned())
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// The folder's name as the file system has it: `.` and a trailing slash are the same folder.
fn name_of(path: &Path) -> Result<String, FolderError> {
    let refuse = |message: String| {
        FolderError(vec![Problem {
            file: path.display().to_string(),
            line: None,
            column: None,
            message,
        }])
    };
    let whole = path.canonicalize().map_err(|error| refuse(error.to_string()))?;
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned());
    name.ok_or_else(|| refuse("a folder with a name is needed".to_owned()))
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

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let clock = text.strip_prefix("+1 ").unwrap_or(&text);
    match NaiveTime::parse_from_str(clock, "%H:%M") {
        Ok(_) => Ok(text),
        Err(_) => Err(serde::de::Error::custom(format!("`{text}` is neither HH:MM nor +1 HH:MM"))),
    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_example_is_a_day_of_24_tables_47_sessions_and_816_acts() {
        let folder = example();
        assert_eq!((folder.name.as_str(), folder.casino.name.as_str()), ("casino-day", "River Bend"));
        assert_eq!(
            (folder.staff.len(), folder.par_sheet.len(), folder.boxes.len(), folder.day.len()),
            (40, 24, 74, 816)
        );

        let mut acts: BTreeMap<String, usize> = BTreeMap::new();
        for line in &folder.day {
            *acts.entry(line.act.name()).or_default() += 1;
        }
        assert_eq!(
            (acts["create_session"], acts["soft_count"], acts["request_slip"], acts["void_slip"]),
            (47, 47, 62, 1)
        );
        assert_eq!(acts.len(), 16, "the day uses every act there is");
    }

    #[test]
    fn the_example_says_what_its_files_say() {
        let folder = example();
        assert_eq!(folder.casino.timezone, chrono_tz::America::Chicago);
        assert_eq!(folder.casino.gaming_day_start, NaiveTime::from_hms_opt(6, 0, 0).unwrap());
        assert_eq!(folder.casino.denominations_cents, [100, 500, 2500, 10_000, 50_000, 100_000]);
        assert_eq!(
            (folder.casino.min_count_team, folder.casino.bank_mode, folder.casino.shifts.len()),
            (3, BankMode::InventoryCount, 3)
        );
        let baccarat = ParRow {
            table: "BA-01".into(),
            game: GameType::Baccarat,
            pit: Some("High Limit".into()),
            par_cents: 12_000_000,
        };
        assert_eq!(folder.par_sheet[17], baccarat);
        assert_eq!(
            folder.boxes[73],
            BoxRow {
                label: "EM-2".into(),
                table: None,
                kind: BoxKind::Emergency
            }
        );
        assert_eq!(
            folder.day[10].act,
            Act::VerifyTray {
                kind: SnapshotKind::Open,
                cosign: "DL-05".into()
            }
        );
        let chipset = Pieces::from([(100, 60), (500, 93), (2500, 43), (10_000, 14)]);
        let request = Act::RequestSlip {
            kind: SlipKind::Fill,
            request_id: "2026-03-06-day-BJ-11-fill-1".into(),
            by: "PB-03".into(),
            chipset,
        };
        assert_eq!((folder.day[52].seq, &folder.day[52].act), (53, &request));
    }

    #[test]
    fn a_pin_is_read_and_never_printed() {
        use secrecy::ExposeSecret;

        let folder = example();
        let pin = |employee_no| folder.person(employee_no).unwrap().pin.as_ref().map(ExposeSecret::expose_secret);
        assert_eq!((pin("PB-01"), pin("CO-01")), (Some("3856"), None));
        assert!(!format!("{folder:?}").contains("3856"));
    }

    #[test]
    fn the_set_up_is_read_without_the_day() {
        let sketch = Sketch::of_example("no-day");
        std::fs::remove_file(sketch.0.join("day.jsonl")).unwrap();
        assert_eq!(Folder::read_setup(&sketch.0).unwrap().par_sheet.len(), 24);
        let error = Folder::read(&sketch.0).unwrap_err().to_string();
        assert!(error.starts_with("day.jsonl: "), "{error}");
    }

    #[test]
    fn every_bad_cell_of_a_par_sheet_is_told_at_once() {
        let sheet = "table,game,pit,par_cents\r\nBJ-01,blackjack,Pit 1,3000000\r\nBJ-01,chess,,-5\r\n,poker,Pit 2,12.50\r\nPK-01,poker\r\n";
        let told = told(parse_par_sheet(sheet.as_bytes()));
        assert_eq!(
            told,
            [
                "3 table: `BJ-01` stands twice",
                "3 game: `chess` is none of blackjack, poker, roulette, baccarat",
                "3 par_cents: `-5` is no amount: whole cents, 0 or more",
                "4 table: must not be blank",
                "4 par_cents: `12.50` is no amount: whole cents, 0 or more",
                "5 : 2 fields where the header has 4",
            ]
        );
    }

    #[test]
    fn a_par_sheet_has_its_columns_and_no_others() {
        let told = told(parse_par_sheet("table,game,pot,game,par_cents\n".as_bytes()));
        assert_eq!(
            told,
            [
                "1 pot: unknown column, expected table, game, pit, par_cents",
                "1 game: the column stands twice",
                "1 pit: the column is missing"
            ]
        );
    }

    #[test]
    fn columns_stand_in_any_order_and_a_pit_may_be_blank() {
        let rows = parse_par_sheet("\u{feff}par_cents,pit,table,game\n5,,\"A, B\",poker\n".as_bytes()).unwrap();
        assert_eq!(
            rows,
            [ParRow {
                table: "A, B".into(),
                game: GameType::Poker,
                pit: None,
                par_cents: 5
            }]
        );
    }

    #[test]
    fn a_line_is_counted_as_an_editor_counts_it() {
        let told = told(parse_par_sheet(
            "table,game,pit,par_cents\n\nA,poker,,1\n\n\nB,chess,,1\n".as_bytes(),
        ));
        assert_eq!(told, ["6 game: `chess` is none of blackjack, poker, roulette, baccarat"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_told_with_their_line() {
        let told = told(parse_par_sheet(
            &b"table,game,pit,par_cents\nA,poker,,1\n\xff,poker,,1\nB,chess,,1\n"[..],
        ));
        assert_eq!(
            told,
            [
                "3 : not UTF-8 text",
                "4 game: `chess` is none of blackjack, poker, roulette, baccarat"
            ]
        );
    }

    #[test]
    fn a_sheet_without_a_header_has_no_columns() {
        assert_eq!(told(parse_par_sheet(&b""[..])).len(), 4);
    }

    #[test]
    fn mistakes_in_the_other_files_name_file_line_and_column() {
        let sketch = Sketch::of_example("bad-set-up");
        sketch.replace("staff.csv", "CG-01,Cashier Alder,cashier,9259", "CG-01,,croupier,9259");
        sketch.replace("drop-boxes.csv", "BJ-02-A,BJ-02,standard", "BJ-02-A,BJ-99,standard");
        sketch.replace("drop-boxes.csv", "EM-1,,emergency", "EM-1,,standard");
        assert_eq!(
            sketch.error(),
            "staff.csv line 24, column name: must not be blank\n\
             staff.csv line 24, column role: `croupier` is none of dealer, pit_boss, cashier, security, count_team, compliance, admin, system\n\
             drop-boxes.csv line 5, column table: `BJ-99` is not on the par sheet\n\
             drop-boxes.csv line 74, column table: a standard box belongs to a table"
        );
    }

    #[test]
    fn mistakes_in_the_settings_name_line_and_column() {
        let sketch = Sketch::of_example("bad-settings");
        sketch.replace("casino.json", "America/Chicago", "America/Chicagoo");
        assert_eq!(
            sketch.error(),
            "casino.json line 3, column 32: `America/Chicagoo` is no IANA time zone"
        );
        sketch.replace("casino.json", "America/Chicagoo", "America/Chicago");
        sketch.replace("casino.json", "\"bank_mode\"", "\"bank_mod\"");
        assert!(
            sketch
                .error()
                .starts_with("casino.json line 6, column 12: unknown field `bank_mod`, expected one of"),
            "{}",
            sketch.error()
        );
        sketch.replace("casino.json", "\"bank_mod\"", "\"bank_mode\"");
        sketch.replace("casino.json", "    500,", "    100,");
        assert!(
            sketch.error().contains("denominations must be different amounts above 0"),
            "{}",
            sketch.error()
        );
    }

    #[test]
    fn every_bad_act_of_the_day_is_told_at_once() {
        let sketch = Sketch::of_example("bad-day");
        sketch.replace(
            "day.jsonl",
            r#""act":"begin_opening","by":"PB-07"}"#,
            r#""act":"begin_opening","bye":"PB-07"}"#,
        );
        sketch.replace("day.jsonl", r#""100":600,"500":900"#, r#""100":-600,"500":900"#);
        sketch.replace(
            "day.jsonl",
            r#""kind":"open","cosign":"DL-05""#,
            r#""kind":"ajar","cosign":"DL-05""#,
        );
        sketch.replace("day.jsonl", r#""cosign":"DL-09""#, r#""cosign":"CO-01""#);
        sketch.replace("day.jsonl", r#""drop_box":"PK-02-A""#, r#""drop_box":"PK-09-A""#);
        sketch.replace("day.jsonl", r#"{"seq":15,"#, r#"{"seq":14,"#);
        let error = sketch.error();
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), 6, "{error}");
        assert!(lines[0].starts_with("day.jsonl line 3, column 79: unknown field `bye`"), "{error}");
        assert!(
            lines[1].starts_with("day.jsonl line 7, column 119: invalid value: integer `-600`, expected u64"),
            "{error}"
        );
        assert!(
            lines[2].starts_with("day.jsonl line 11, column 86: unknown variant `ajar`"),
            "{error}"
        );
        assert_eq!(lines[3], "day.jsonl line 12, column 88: `CO-01` has no PIN to sign with");
        assert_eq!(lines[4], "day.jsonl line 13, column 90: `PK-09-A` is not in drop-boxes.csv");
        assert_eq!(lines[5], "day.jsonl line 15, column 2: 14 does not follow 14");
    }

    #[test]
    fn an_act_has_its_own_fields_and_no_other_acts() {
        let refusal = |text: &str| read_act_line(text).unwrap_err().to_string();
        let head = r#""seq":1,"at":"06:00","shift":"day","table":"T""#;
        assert!(read_act_line(&format!(r#"{{{head},"act":"start_closing","by":"PB-01"}}"#)).is_ok());
        assert!(
            refusal(&format!(r#"{{{head},"act":"start_closing","by":"PB-01","cosign":"PB-02"}}"#)).starts_with("unknown field `cosign`")
        );
        assert!(refusal(&format!(r#"{{{head},"act":"start_closing"}}"#)).starts_with("missing field `by`"));
        assert!(refusal(&format!(r#"{{{head},"act":"dance","by":"PB-01"}}"#)).starts_with("unknown variant `dance`"));
        assert!(
            refusal(&format!(
                r#"{{{},"act":"start_closing","by":"PB-01"}}"#,
                head.replace("06:00", "6 am")
            ))
            .starts_with("`6 am` is neither")
        );
    }

    #[test]
    fn a_day_with_a_thousand_mistakes_is_not_printed_whole() {
        let sketch = Sketch::of_example("worse-day");
        std::fs::write(sketch.0.join("day.jsonl"), "{}\n".repeat(1000)).unwrap();
        let error = sketch.error();
        assert_eq!(error.lines().count(), PRINTED_PROBLEMS + 1);
        assert!(error.ends_with("and 950 more"), "{error}");
    }

    fn example() -> Folder {
        Folder::read(&example_path()).unwrap()
    }

    fn example_path() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/casino-day")
    }

    fn told<T: fmt::Debug>(outcome: Result<Vec<T>, Vec<CsvProblem>>) -> Vec<String> {
        outcome
            .unwrap_err()
            .into_iter()
            .map(|problem| format!("{} {}: {}", problem.line, problem.column, problem.message))
            .collect()
    }

    /// A copy of the example to make mistakes in; gone with the test.
    struct Sketch(PathBuf);

    impl Sketch {
        fn of_example(name: &str) -> Self {
            let copy = std::env::temp_dir().join(format!("rundown-folder-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&copy).unwrap();
            for file in ["casino.json", "staff.csv", "par-sheet.csv", "drop-boxes.csv", "day.jsonl"] {
                let text = std::fs::read(example_path().join(file)).unwrap();
                std::fs::write(copy.join(file), text).unwrap();
            }
            Self(copy)
        }

        /// Replaces the first occurrence, which must be there.
        fn replace(&self, file: &str, old: &str, new: &str) {
            let text = std::fs::read_to_string(self.0.join(file)).unwrap();
            assert!(text.contains(old), "{file} has no {old}");
            std::fs::write(self.0.join(file), text.replacen(old, new, 1)).unwrap();
        }

        fn error(&self) -> String {
            Folder::read(&self.0).unwrap_err().to_string()
        }
    }

    impl Drop for Sketch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
