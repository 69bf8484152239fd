//! A casino as a folder of files: `casino.json`, `staff.csv`, `par-sheet.csv`, `drop-boxes.csv` and, where a day is to be
//! played, `day.jsonl`, with `telemetry.jsonl` beside it where the day is told of its players too.
//!
//! A mistake is answered with its file, line and column, and with every mistake that can be seen at once: somebody is going to
//! mend the file by hand. The folder is read strictly (an unknown field or column is refused), because a misspelt `agreed_cents`
//! that is quietly dropped would change what the day proves. What the acts mean on the floor is the daemon's to judge, not ours.

mod act;
mod day;
mod problem;
mod setup;

use std::path::Path;

pub use self::act::{Act, ActLine, FoundPaper, Pieces};
use self::day::{joined, read_day};
use self::problem::keep;
pub use self::problem::{Column, FolderError, Problem};
pub use self::setup::{BoxRow, CasinoFile, MAX_TABLES, ParRow, ShiftRow, StaffRow, parse_par_sheet};
use self::setup::{parse_boxes, parse_staff, read_casino};

const DAY: &str = "day.jsonl";
const TELEMETRY: &str = "telemetry.jsonl";

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
        let text = read_text(path, DAY)?;
        folder.day = read_day(DAY, &text, &folder).map_err(FolderError)?;
        Ok(folder)
    }

    /// The same, with the acts of `telemetry.jsonl` at their hours among the day's, where there is such a file.
    pub fn read_with_telemetry(path: &Path) -> Result<Self, FolderError> {
        let mut folder = Self::read(path)?;
        if path.join(TELEMETRY).exists() {
            let text = read_text(path, TELEMETRY)?;
            let more = read_day(TELEMETRY, &text, &folder).map_err(FolderError)?;
            folder.day = joined(std::mem::take(&mut folder.day), more).map_err(FolderError)?;
        }
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

#[cfg(test)]
mod tests;
