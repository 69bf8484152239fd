//! A counting machine's file: CSV, one box a row, every flaw told with its line and column.
//!
//! Columns, in any order: `drop_event_id, drop_total_cents, count_1_cents, count_2_cents, team, currency`, and where they apply
//! `agreed_cents, counted_at, documents, batch_ref, supersedes_id`. `team` is employee numbers parted by spaces; `currency` is
//! `denomination:pieces` parted by spaces (`10000:71 5000:62`); `documents` is `kind:number:amount_cents` parted by spaces, the number empty
//! for kinds that have none (`fill_slip:12:200000 opener::3000000`).

use chrono::{DateTime, Utc};
use uuid::Uuid;
use workflows::chipset::{MAX_KEYS as MAX_DENOMINATIONS, RawChipset};
use workflows::count::MAX_DOCUMENTS;
use workflows::record::Document;
use workflows::word::DocumentKind;

use crate::csv_table::{Cells, CsvFlaw, Shape};

/// The most boxes one file may carry: a large casino's day, several times over.
const MAX_ROWS: usize = 1000;

const COUNTS: Shape = Shape {
    rows: "boxes",
    max_rows: MAX_ROWS,
    required: &[
        "drop_event_id",
        "drop_total_cents",
        "count_1_cents",
        "count_2_cents",
        "team",
        "currency",
    ],
    optional: &["agreed_cents", "counted_at", "documents", "batch_ref", "supersedes_id"],
};

/// One box as the machine counted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountRow {
    /// From 1, as an editor counts.
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

/// All rows, or every flaw. A file without a row is flawed: somebody believes to have sent a count.
pub fn parse(bytes: &[u8]) -> Result<Vec<CountRow>, Vec<CsvFlaw>> {
    let rows = COUNTS.read(bytes, row)?;
    if rows.is_empty() {
        return Err(vec![CsvFlaw::new(2, "", "no row")]);
    }
    Ok(rows)
}

fn row(cells: &mut Cells) -> Option<CountRow> {
    let drop_event_id = cells.parse("drop_event_id", "a UUID");
    let drop_total_cents = cells.parse("drop_total_cents", "whole cents");
    let count_1_cents = cells.parse("count_1_cents", "whole cents");
    let count_2_cents = cells.parse("count_2_cents", "whole cents");
    let agreed_cents = cells.parse_optional("agreed_cents", "whole cents");
    let counted_at = cells.parse_optional("counted_at", "an instant like 2026-03-06T21:20:00Z");
    let currency = currency(cells);
    let documents = documents(cells);
    let supersedes_id = cells.parse_optional("supersedes_id", "a UUID");
    Some(CountRow {
        line: cells.line(),
        drop_event_id: drop_event_id?,
        drop_total_cents: drop_total_cents?,
        count_1_cents: count_1_cents?,
        count_2_cents: count_2_cents?,
        agreed_cents,
        team: words(cells, "team").map(ToOwned::to_owned).collect(),
        counted_at,
        currency,
        documents,
        batch_ref: cells.optional("batch_ref").map(ToOwned::to_owned),
        supersedes_id,
    })
}

/// None of a blank cell: whether a team or a box may be empty is the law's to say.
fn words<'a>(cells: &Cells<'a>, column: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    cells.optional(column).unwrap_or_default().split_whitespace()
}

/// One denomination more than the law admits, so that it is the law that refuses them.
fn currency(cells: &mut Cells) -> RawChipset {
    let mut currency = RawChipset::default();
    for piece in words(cells, "currency").take(MAX_DENOMINATIONS + 1) {
        let counted = piece.split_once(':').and_then(|(cents, count)| Some((cents, count.parse().ok()?)));
        match counted {
            Some((cents, count)) if currency.add(cents.to_owned(), count) => {}
            Some((cents, _)) => cells.flaw("currency", format!("{cents} stands twice")),
            None => cells.flaw("currency", format!("{piece} is not denomination:pieces")),
        }
    }
    currency
}

/// One paper more than the law admits, so that it is the law that refuses them.
fn documents(cells: &mut Cells) -> Vec<Document> {
    let mut documents = Vec::new();
    for paper in words(cells, "documents").take(MAX_DOCUMENTS + 1) {
        match document(paper) {
            Some(document) => documents.push(document),
            None => cells.flaw("documents", format!("{paper} is not kind:number:amount_cents")),
        }
    }
    documents
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

    #[test]
    fn a_blank_cell_is_a_flaw_where_a_value_must_stand() {
        let header = "drop_event_id,drop_total_cents,count_1_cents,count_2_cents,team,currency,agreed_cents";
        let flaws = |row: &str| parse(format!("{header}\n{row}\n").as_bytes()).expect_err("flawed");
        let id = "018f0000-0000-7000-8000-000000000000";
        assert_eq!(
            flaws(&format!("{id},1,,3,A,100:1,")),
            [CsvFlaw::new(2, "count_1_cents", "must not be blank")]
        );
        assert_eq!(
            flaws(&format!("{id},1,2,3,,,x")),
            [CsvFlaw::new(2, "agreed_cents", "`x` is not whole cents")]
        );
        assert_eq!(parse(header.as_bytes()), Err(vec![CsvFlaw::new(2, "", "no row")]));
    }

    #[test]
    fn no_denomination_is_dropped_without_a_word() {
        let pieces: Vec<String> = (1..=MAX_DENOMINATIONS + 5).map(|cents| format!("{cents}:1")).collect();
        let file = format!(
            "drop_event_id,drop_total_cents,count_1_cents,count_2_cents,team,currency\n018f0000-0000-7000-8000-000000000000,1,1,1,A,{}\n",
            pieces.join(" ")
        );
        assert!(
            parse(file.as_bytes()).expect("a row")[0].currency.len() > MAX_DENOMINATIONS,
            "the law refuses it"
        );
    }
}
