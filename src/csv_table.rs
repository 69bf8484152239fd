//! A table as a CSV file, read strictly: all of its rows, or every flaw with its line and column.
//!
//! The files are written by hand, by spreadsheets and by counting machines, so columns stand in any order, a byte order mark and blank
//! lines are passed over, and cells lose their outer spaces. What no two readers would take alike is refused: a column that is unknown
//! or stands twice, a row shorter or longer than the header. What a cell means is the caller's to say.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::str::FromStr;

use csv::{ReaderBuilder, StringRecord};
use serde::Serialize;
use strum::VariantArray;
use utoipa::ToSchema;

/// The most flaws worth telling: somebody has sent another kind of file.
pub const MAX_FLAWS: usize = 1000;

/// One flaw of a CSV file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CsvFlaw {
    /// From 1, as an editor counts: the header and blank lines are lines.
    pub line: u64,
    /// The column's name; empty where the whole line is at fault.
    pub column: String,
    pub message: String,
}

impl CsvFlaw {
    pub fn new(line: u64, column: &str, message: impl Into<String>) -> Self {
        Self {
            line,
            column: column.to_owned(),
            message: message.into(),
        }
    }

    fn of_line(line: u64, message: impl Into<String>) -> Self {
        Self::new(line, "", message)
    }
}

/// What a file has to look like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What its rows are, in the plural: `tables`.
    pub rows: &'static str,
    pub max_rows: usize,
    /// Columns that must stand in the header; their cells may still be blank where the row's reader allows it.
    pub required: &'static [&'static str],
    pub optional: &'static [&'static str],
}

impl Shape {
    /// Every row as `read_row` makes it. It answers `None` only for a row it has refused a cell of, so no row is lost without a word.
    pub fn read<T>(&self, bytes: &[u8], mut read_row: impl FnMut(&mut Cells) -> Option<T>) -> Result<Vec<T>, Vec<CsvFlaw>> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut lines = Lines::of_file(bytes);
        // Flexible and as bytes, so that a short row or a wrong byte is told in our words, with all the others. From memory no record
        // can fail then.
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
        let mut records = reader.into_byte_records().map_while(Result::ok);

        let header = records.next().unwrap_or_default();
        let line = lines.line_at(header.position());
        let header = StringRecord::from_byte_record(header).map_err(|_| vec![not_text(line)])?;
        let places = self.places(&header, line)?;

        let (mut rows, mut flaws) = (Vec::new(), Vec::new());
        for (index, record) in records.enumerate() {
            let line = lines.line_at(record.position());
            if index >= self.max_rows {
                flaws.push(CsvFlaw::of_line(line, format!("more than {} {}", self.max_rows, self.rows)));
                break;
            }
            match StringRecord::from_byte_record(record) {
                Err(_) => flaws.push(not_text(line)),
                Ok(record) if record.len() != header.len() => {
                    let message = format!("{} fields where the header has {}", record.len(), header.len());
                    flaws.push(CsvFlaw::of_line(line, message));
                }
                Ok(record) => rows.extend(read_row(&mut Cells {
                    record: &record,
                    places: &places,
                    line,
                    flaws: &mut flaws,
                })),
            }
            if flaws.len() >= MAX_FLAWS {
                break;
            }
        }
        all_or_flaws(rows, flaws)
    }

    /// Where each column stands.
    fn places(&self, header: &StringRecord, line: u64) -> Result<HashMap<&'static str, usize>, Vec<CsvFlaw>> {
        let (mut places, mut flaws) = (HashMap::new(), Vec::new());
        let mut refuse = |column: &str, message: &str| flaws.push(CsvFlaw::new(line, column, message));
        // A header this wide has flaws enough among its first columns.
        for (place, name) in header.iter().map(str::trim).enumerate().take(MAX_FLAWS) {
            match self.columns().find(|column| *column == name) {
                None => refuse(
                    name,
                    &format!("unknown column, expected {}", self.columns().collect::<Vec<_>>().join(", ")),
                ),
                Some(column) if places.insert(column, place).is_some() => refuse(name, "the column stands twice"),
                Some(_) => {}
            }
        }
        for column in self.required.iter().filter(|column| !places.contains_key(*column)) {
            refuse(column, "the column is missing");
        }
        all_or_flaws(places, flaws)
    }

    fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.required.iter().chain(self.optional).copied()
    }
}

fn not_text(line: u64) -> CsvFlaw {
    CsvFlaw::of_line(line, "not UTF-8 text")
}

fn all_or_flaws<T>(all: T, mut flaws: Vec<CsvFlaw>) -> Result<T, Vec<CsvFlaw>> {
    flaws.truncate(MAX_FLAWS);
    if flaws.is_empty() { Ok(all) } else { Err(flaws) }
}

/// One row's cells by column name.
///
/// A bad cell is written down and reads as `None`, so that the rest of the row is still looked at. A file with a flaw gives no rows at
/// all: what is made of a flawed row is thrown away.
pub struct Cells<'a> {
    record: &'a StringRecord,
    places: &'a HashMap<&'static str, usize>,
    line: u64,
    flaws: &'a mut Vec<CsvFlaw>,
}

impl<'a> Cells<'a> {
    /// From 1, as an editor counts.
    pub fn line(&self) -> u64 {
        self.line
    }

    pub fn flaw(&mut self, column: &str, message: impl Into<String>) {
        self.flaws.push(CsvFlaw::new(self.line, column, message));
    }

    /// [`Self::flaw`] where a value should be.
    pub fn refuse<T>(&mut self, column: &str, message: impl Into<String>) -> Option<T> {
        self.flaw(column, message);
        None
    }

    /// Blank is absent, as is every cell of an optional column that is not there.
    pub fn optional(&self, column: &str) -> Option<&'a str> {
        let place = self.places.get(column)?;
        self.record.get(*place).map(str::trim).filter(|text| !text.is_empty())
    }

    pub fn required(&mut self, column: &str) -> Option<&'a str> {
        self.optional(column).or_else(|| self.refuse(column, "must not be blank"))
    }

    /// A value by its own reading; `what` says it for people: `a UUID`.
    pub fn parse<T: FromStr>(&mut self, column: &str, what: &str) -> Option<T> {
        let text = self.required(column)?;
        text.parse().ok().or_else(|| self.refuse(column, format!("`{text}` is not {what}")))
    }

    pub fn parse_optional<T: FromStr>(&mut self, column: &str, what: &str) -> Option<T> {
        self.optional(column)?;
        self.parse(column, what)
    }

    /// A name no other row has.
    pub fn unique(&mut self, column: &str, seen: &mut HashSet<String>) -> Option<String> {
        let text = self.required(column)?;
        if seen.insert(text.to_owned()) {
            Some(text.to_owned())
        } else {
            self.refuse(column, format!("`{text}` stands twice"))
        }
    }

    /// A word of one of the closed vocabularies.
    pub fn word<W: FromStr + Display + VariantArray>(&mut self, column: &str) -> Option<W> {
        let text = self.required(column)?;
        text.parse().ok().or_else(|| {
            let words: Vec<String> = W::VARIANTS.iter().map(ToString::to_string).collect();
            self.refuse(column, format!("`{text}` is none of {}", words.join(", ")))
        })
    }

    /// Whole cents, not negative.
    pub fn cents(&mut self, column: &str) -> Option<i64> {
        let text = self.required(column)?;
        let cents = text.parse().ok().filter(|cents| *cents >= 0);
        cents.or_else(|| self.refuse(column, format!("`{text}` is no amount: whole cents, 0 or more")))
    }
}

/// Lines as an editor counts them. The csv crate's own count is one short after every CRLF and blank line: it takes the line feed for
/// the beginning of the next record.
struct Lines<'a> {
    bytes: &'a [u8],
    counted_to: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn of_file(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            counted_to: 0,
            line: 1,
        }
    }

    /// Positions must come in rising order.
    fn line_at(&mut self, position: Option<&csv::Position>) -> u64 {
        let start = position.and_then(|position| usize::try_from(position.byte()).ok());
        let start = start.unwrap_or_default().max(self.counted_to);
        let ahead = self.bytes.get(start..).unwrap_or_default();
        let breaks = ahead.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let first = start + breaks;
        self.line += line_breaks(self.bytes.get(self.counted_to..first).unwrap_or_default());
        self.counted_to = first;
        self.line
    }
}

/// A carriage return by itself is one too: the csv crate ends a record at it.
fn line_breaks(bytes: &[u8]) -> u64 {
    let feeds = bytes.split(|byte| *byte == b'\n').skip(1).count();
    let returns = bytes
        .split(|byte| *byte == b'\r')
        .skip(1)
        .filter(|after| !after.starts_with(b"\n"))
        .count();
    (feeds + returns) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKS: Shape = Shape {
        rows: "books",
        max_rows: 3,
        required: &["title", "pages"],
        optional: &["author"],
    };

    /// What is read of each row, with its line.
    fn read(file: impl AsRef<[u8]>) -> Result<Vec<String>, Vec<String>> {
        let rows = BOOKS.read(file.as_ref(), |cells| {
            let title = cells.required("title");
            let pages: Option<u32> = cells.parse("pages", "a number");
            let author = cells.optional("author").unwrap_or("nobody");
            Some(format!("{} {} {} {author}", cells.line(), title?, pages?))
        });
        let told = |flaw: CsvFlaw| format!("{} {}: {}", flaw.line, flaw.column, flaw.message);
        rows.map_err(|flaws| flaws.into_iter().map(told).collect())
    }

    fn flaws(file: impl AsRef<[u8]>) -> Vec<String> {
        read(file).unwrap_err()
    }

    #[test]
    fn columns_stand_in_any_order_and_an_optional_one_may_be_absent() {
        assert_eq!(read("pages, author ,title\n 1 ,B,\"A, or: a\"\n").unwrap(), ["2 A, or: a 1 B"]);
        assert_eq!(read("title,pages\nA,1\n").unwrap(), ["2 A 1 nobody"]);
        assert_eq!(read("title,pages\n").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_header_names_every_column_once_and_no_others() {
        assert_eq!(
            flaws("title,colour,title\nA,red,B\n"),
            [
                "1 colour: unknown column, expected title, pages, author",
                "1 title: the column stands twice",
                "1 pages: the column is missing",
            ]
        );
        assert_eq!(flaws("title,pages,author,author\n"), ["1 author: the column stands twice"]);
        assert_eq!(flaws(""), ["1 title: the column is missing", "1 pages: the column is missing"]);
        assert_eq!(flaws("\n\ntitle\n"), ["3 pages: the column is missing"], "the header's own line");
        assert_eq!(flaws(b"title,\xff\n"), ["1 : not UTF-8 text"]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_column() {
        assert_eq!(read("\u{feff}title,pages\r\nA,1\r\n").unwrap(), ["2 A 1 nobody"]);
        assert_eq!(read("\u{feff}\"title\",pages\n\nA,1\n").unwrap(), ["3 A 1 nobody"]);
        assert_eq!(flaws("\u{feff}").len(), 2);
    }

    #[test]
    fn a_line_is_counted_as_an_editor_counts_it() {
        for (file, lines) in [
            ("title,pages\n\nA,1\n\n\nB,2", [3, 6]),
            ("title,pages\r\n\r\nA,1\r\n\r\n\r\nB,2\r\n", [3, 6]),
            ("title,pages\r\rA,1\r\r\rB,2\r", [3, 6]),
            ("\u{feff}\ntitle,pages\nA,1\n\n\nB,2\n", [3, 6]),
            ("\r\n\r\n\"title\",pages\r\n\"A\",1\r\n\r\n\"B\",2\r\n", [4, 6]),
        ] {
            assert_eq!(
                read(file).unwrap(),
                [format!("{} A 1 nobody", lines[0]), format!("{} B 2 nobody", lines[1])],
                "{file:?}"
            );
        }
        assert_eq!(
            read("title,pages\n\"A\nor\r\na\",1\nB,2\n").unwrap()[1],
            "5 B 2 nobody",
            "breaks inside quotes count"
        );
    }

    #[test]
    fn every_flaw_is_told_at_once() {
        assert_eq!(
            flaws(b"title,pages\r\n,x\r\nA\r\n\xff,1\r\n"),
            [
                "2 title: must not be blank",
                "2 pages: `x` is not a number",
                "3 : 1 fields where the header has 2",
                "4 : not UTF-8 text",
            ]
        );
    }

    #[test]
    fn rows_and_flaws_are_bounded() {
        assert_eq!(read(format!("title,pages\n{}", "A,1\n".repeat(3))).unwrap().len(), 3);
        assert_eq!(flaws(format!("title,pages\n{}", "A,1\n".repeat(5))), ["5 : more than 3 books"]);
        let long = Shape {
            max_rows: usize::MAX,
            ..BOOKS
        };
        let file = format!("title,pages\n{}", "A\n".repeat(MAX_FLAWS + 5));
        assert_eq!(long.read(file.as_bytes(), |_| Some(())).unwrap_err().len(), MAX_FLAWS);
        assert_eq!(flaws("x,".repeat(MAX_FLAWS + 5)).len(), MAX_FLAWS);
    }
}
