//! A counting machine's file: CSV, one box a row, every flaw told with its line and column.
//!
//! Columns, in any order: `drop_event_id, drop_total_cents, count_1_cents, count_2_cents, team, currency`, and where they apply
//! `agreed_cents, counted_at, documents, batch_ref, supersedes_id`. `team` is employee numbers parted by spaces; `currency` is
//! `denomination:pieces` parted by spaces (`10000:71 5000:62`); `documents` is `kind:number:amount_cents` parted by spaces, the number empty
//! for kinds that have none (`fill_slip:12:200000 opener::3000000`).

use chrono::{DateTime, Utc};
use csv::{ReaderBuilder, StringRecord};
use uuid::Uuid;
use workflows::chipset::{MAX_KEYS as MAX_DENOMINATIONS, RawChipset};
use workflows::count::MAX_DOCUMENTS;
use workflows::record::Document;
use workflows::word::DocumentKind;

use crate::error::CsvFlaw;

/// The most flaws worth telling: somebody has sent another kind of file.
const MAX_FLAWS: usize = 1000;

/// The most boxes one file may carry: a large casino's day, several times over.
const MAX_ROWS: usize = 1000;

const REQUIRED: [&str; 6] = [
    "drop_event_id",
    "drop_total_cents",
    "count_1_cents",
    "count_2_cents",
    "team",
    "currency",
];
const OPTIONAL: [&str; 5] = ["agreed_cents", "counted_at", "documents", "batch_ref", "supersedes_id"];

/// One box as the machine counted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountRow {
    /// 1 is the header.
    pub line: u64,
    pub drop_event_id: Uuid,
    pub drop_total_cents: i64,
    pub count_1_cents: i64,
    pub count_2_cents: i64,
    pub agreed_cents: Option<i64>,
    /// Employee numbers.
    pub team: Vec<String>,
    pub counted_at: Option<DateTime<Utc>>,
    pub currency: RawChipset,
    pub documents: Vec<Document>,
    pub batch_ref: Option<String>,
    pub supersedes_id: Option<Uuid>,
}

/// The column a JSON Pointer of a single count's body stands in.
pub fn column(pointer: &str) -> &str {
    let field = pointer.trim_start_matches('/').trim_start_matches("evidence_manifest/");
    field.split('/').next().unwrap_or(field)
}

/// All rows, or every flaw.
pub fn parse(bytes: &[u8]) -> Result<Vec<CountRow>, Vec<CsvFlaw>> {
    let mut reader = ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let header = reader.headers().cloned().map_err(|error| vec![flaw(1, "", error.to_string())])?;
    check_header(&header)?;
    let (mut rows, mut flaws) = (Vec::new(), Vec::new());
    for (index, record) in reader.records().enumerate() {
        // Counted from the rows, since the reader's own count is off after blank lines.
        let line = u64::try_from(index).unwrap_or(u64::MAX).saturating_add(2);
        match record {
            Ok(record) => {
                let line = record.position().map_or(line, csv::Position::line);
                let mut cells = Cells {
                    header: &header,
                    record: &record,
                    line,
                    flaws: &mut flaws,
                };
                rows.extend(cells.row());
            }
            Err(error) => flaws.push(flaw(line, "", error.to_string())),
        }
        if flaws.len() >= MAX_FLAWS {
            flaws.truncate(MAX_FLAWS);
            break;
        }
        if index >= MAX_ROWS {
            flaws.push(flaw(line, "", format!("more than {MAX_ROWS} rows")));
            break;
        }
    }
    if rows.is_empty() && flaws.is_empty() {
        flaws.push(flaw(2, "", "no row".to_owned()));
    }
    if flaws.is_empty() { Ok(rows) } else { Err(flaws) }
}

fn flaw(line: u64, column: &str, message: String) -> CsvFlaw {
    CsvFlaw {
        line,
        column: column.to_owned(),
        message,
    }
}

fn check_header(header: &StringRecord) -> Result<(), Vec<CsvFlaw>> {
    let missing = REQUIRED.iter().filter(|name| !header.iter().any(|known| known == **name));
    let mut flaws: Vec<CsvFlaw> = missing.map(|name| flaw(1, name, "the column is missing".to_owned())).collect();
    let unknown = header.iter().filter(|name| !REQUIRED.contains(name) && !OPTIONAL.contains(name));
    flaws.extend(unknown.map(|name| flaw(1, name, "there is no such column".to_owned())));
    if flaws.is_empty() { Ok(()) } else { Err(flaws) }
}

/// The cells of one row, by column name.
struct Cells<'a> {
    header: &'a StringRecord,
    record: &'a StringRecord,
    line: u64,
    flaws: &'a mut Vec<CsvFlaw>,
}

impl Cells<'_> {
    /// The row, if every cell can be read; else every cell that cannot has been named.
    fn row(&mut self) -> Option<CountRow> {
        let before = self.flaws.len();
        let row = CountRow {
            line: self.line,
            drop_event_id: self.required("drop_event_id", "a UUID").unwrap_or_default(),
            drop_total_cents: self.required("drop_total_cents", "whole cents").unwrap_or_default(),
            count_1_cents: self.required("count_1_cents", "whole cents").unwrap_or_default(),
            count_2_cents: self.required("count_2_cents", "whole cents").unwrap_or_default(),
            agreed_cents: self.optional("agreed_cents", "whole cents"),
            team: self.text("team").split_whitespace().map(ToOwned::to_owned).collect(),
            counted_at: self.optional("counted_at", "an instant like 2026-03-06T21:20:00Z"),
            currency: self.currency(),
            documents: self.documents(),
            batch_ref: Some(self.text("batch_ref").to_owned()).filter(|text| !text.is_empty()),
            supersedes_id: self.optional("supersedes_id", "a UUID"),
        };
        (self.flaws.len() == before).then_some(row)
    }

    fn text(&self, column: &str) -> &str {
        let index = self.header.iter().position(|name| name == column);
        index.and_then(|index| self.record.get(index)).unwrap_or_default()
    }

    fn required<T: std::str::FromStr>(&mut self, column: &str, what: &str) -> Option<T> {
        let parsed = self.text(column).parse().ok();
        if parsed.is_none() {
            self.flaws.push(flaw(self.line, column, format!("not {what}")));
        }
        parsed
    }

    fn optional<T: std::str::FromStr>(&mut self, column: &str, what: &str) -> Option<T> {
        if self.text(column).is_empty() {
            None
        } else {
            self.required(column, what)
        }
    }

    fn currency(&mut self) -> RawChipset {
        let mut currency = RawChipset::default();
        for piece in self.text("currency").to_owned().split_whitespace().take(MAX_DENOMINATIONS) {
            match piece
                .split_once(':')
                .and_then(|(cents, count)| Some((cents, count.parse::<i64>().ok()?)))
            {
                Some((cents, count)) if currency.add(cents.to_owned(), count) => {}
                Some((cents, _)) => self.flaws.push(flaw(self.line, "currency", format!("{cents} stands twice"))),
                None => self
                    .flaws
                    .push(flaw(self.line, "currency", format!("{piece} is not denomination:pieces"))),
            }
        }
        currency
    }

    fn documents(&mut self) -> Vec<Document> {
        let mut documents = Vec::new();
        for paper in self.text("documents").to_owned().split_whitespace().take(MAX_DOCUMENTS + 1) {
            match document(paper) {
                Some(document) => documents.push(document),
                None => self
                    .flaws
                    .push(flaw(self.line, "documents", format!("{paper} is not kind:number:amount_cents"))),
            }
        }
        documents
    }
}

fn document(text: &str) -> Option<Document> {
    let mut parts = text.splitn(3, ':');
    let kind: DocumentKind = parts.next()?.parse().ok()?;
    let number = Some(parts.next()?.to_owned()).filter(|number| !number.is_empty());
    Some(Document {
        kind,
        number,
        amount_cents: parts.next()?.parse().ok()?,
        note: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flaw_has_its_line_and_column() {
        let file = "drop_event_id,drop_total_cents,count_1_cents,count_2_cents,team,currency\nx,1,2,3,A B C,100:1\n\
                    018f0000-0000-7000-8000-000000000000,1.5,2,3,A B C,100:x\n";
        let flaws = parse(file.as_bytes()).expect_err("flawed");
        let places: Vec<_> = flaws.iter().map(|flaw| (flaw.line, flaw.column.as_str())).collect();
        assert_eq!(places, [(2, "drop_event_id"), (3, "drop_total_cents"), (3, "currency")]);
    }

    #[test]
    fn a_row_is_read_whole() {
        let file = "drop_event_id,drop_total_cents,count_1_cents,count_2_cents,team,currency,documents\n\
                    018f0000-0000-7000-8000-000000000000,300,300,300,CT-01 CT-02 CT-03,100:3,fill_slip:12:200000 opener::3000000\n";
        let rows = parse(file.as_bytes()).expect("a row");
        assert_eq!(rows[0].team, ["CT-01", "CT-02", "CT-03"]);
        assert_eq!(rows[0].documents[1].number, None);
        assert_eq!(rows[0].currency.get("100"), Some(&3));
    }
}
