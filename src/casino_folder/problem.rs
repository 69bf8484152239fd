//! A mistake in the folder, with its place, and how it is printed.

use std::fmt::{self, Display};

use crate::csv_table::CsvFlaw;

/// Mistakes printed of one folder: more only scroll the first ones away.
pub(super) const PRINTED_PROBLEMS: usize = 50;

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
pub(super) fn keep<T>(problems: &mut Vec<Problem>, file: &str, outcome: Result<Vec<T>, Vec<CsvFlaw>>) -> Option<Vec<T>> {
    let found = match outcome {
        Ok(rows) => return Some(rows),
        Err(found) => found,
    };
    problems.extend(found.into_iter().map(|CsvFlaw { line, column, message }| Problem {
        file: file.to_owned(),
        line: Some(line),
        column: Some(column).filter(|name| !name.is_empty()).map(Column::Named),
        message,
    }));
    None
}

pub(super) fn json_problem(file: &str, line: usize, error: &serde_json::Error) -> Problem {
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
