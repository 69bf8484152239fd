//! The export: lines of canonical JSON, first a header, then every seal with its rows behind it, then an end that sums it up. Each line has
//! one spelling only, so there is no byte in it that could change unseen.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Batch, Break, BreakKind, Chain, Leaf, Link, MOST_ROWS, Row, Seal, canonical, sha256};
use crate::rundown::hex;

pub const FORMAT: &str = "rundown-audit-export/1";

/// Whose rows, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub format: String,
    pub casino_id: Uuid,
    pub casino: String,
    pub exported_at: String,
    pub from_seal: i64,
    /// Inclusive; one less than `from_seal` where there is no seal.
    pub to_seal: i64,
    /// The root of the seal before the first.
    pub previous_root: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Header {
        header: Header,
    },
    Seal {
        seal: Seal,
        /// Id and hash, in order.
        leaves: Vec<(Uuid, String)>,
    },
    Row {
        row: Box<Row>,
    },
    End {
        end: End,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    seals: i64,
    rows: i64,
    /// Of the last seal.
    root: String,
    /// SHA-256 of the header's line.
    header_sha256: String,
    /// SHA-256 of all lines above, line ends included.
    sha256: String,
}

fn text(line: &Line) -> String {
    canonical(&serde_json::to_value(line).unwrap_or_default())
}

/// Writes an export, line by line.
pub struct Writer {
    sum: Sha256,
    end: End,
}

impl Writer {
    /// The first line, with its line end.
    pub fn begin(header: Header) -> (Self, String) {
        let root = header.previous_root.clone();
        let line = text(&Line::Header { header });
        let end = End {
            seals: 0,
            rows: 0,
            root,
            header_sha256: sha256(line.as_bytes()),
            sha256: String::new(),
        };
        let mut writer = Self { sum: Sha256::new(), end };
        let line = writer.note(line);
        (writer, line)
    }

    /// A seal and its rows.
    pub fn batch(&mut self, batch: Batch) -> String {
        let Batch { seal, leaves, rows } = batch;
        self.end.seals += 1;
        self.end.rows += super::count(rows.len());
        self.end.root.clone_from(&seal.root);
        let leaves = leaves.into_iter().map(|leaf| (leaf.audit_id, leaf.leaf_hash)).collect();
        let mut lines = self.note(text(&Line::Seal { seal, leaves }));
        for row in rows {
            lines.push_str(&self.note(text(&Line::Row { row: Box::new(row) })));
        }
        lines
    }

    /// The last line.
    pub fn end(self) -> String {
        let end = End {
            sha256: hex(&self.sum.finalize()),
            ..self.end
        };
        text(&Line::End { end }) + "\n"
    }

    fn note(&mut self, line: String) -> String {
        let line = line + "\n";
        self.sum.update(line.as_bytes());
        line
    }
}

/// Reads an export, line by line, and holds no more of it than one seal's rows.
pub struct Reader {
    trusted: Vec<String>,
    sum: Sha256,
    line: u64,
    header: Option<(Header, String)>,
    chain: Option<Chain>,
    pending: Option<Pending>,
    seals: i64,
    rows: i64,
    ended: bool,
    found: bool,
}

/// A seal whose rows are being read.
struct Pending {
    line: u64,
    batch: Batch,
    row_lines: Vec<u64>,
}

/// What an export came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub header: Option<Header>,
    pub seals: i64,
    pub rows: i64,
    /// Of the last seal.
    pub root: Option<String>,
}

impl Reader {
    /// Keys to be believed; none named, each seal's own.
    pub fn new(trusted: Vec<String>) -> Self {
        Self {
            trusted,
            sum: Sha256::new(),
            line: 0,
            header: None,
            chain: None,
            pending: None,
            seals: 0,
            rows: 0,
            ended: false,
            found: false,
        }
    }

    /// The next line, without its line end; what is found wrong so far.
    pub fn line(&mut self, bytes: &[u8]) -> Vec<Break> {
        self.line += 1;
        let breaks = match read(bytes) {
            Err(detail) => {
                // Were it a seal, the rows behind it are not those of the seal before it.
                let mut breaks = vec![Break::new(BreakKind::LineUnreadable, detail).at_line(self.line)];
                if !bytes.starts_with(b"{\"kind\":\"row\"") {
                    breaks.extend(self.settle());
                }
                breaks
            }
            Ok(_) if self.ended => vec![self.misplaced("there are lines behind the end")],
            Ok(Line::Header { header }) => self.take_header(header, bytes),
            Ok(Line::Seal { seal, leaves }) => self.take_seal(seal, leaves),
            Ok(Line::Row { row }) => self.take_row(*row),
            Ok(Line::End { end }) => {
                let mut breaks = self.settle();
                self.found |= !breaks.is_empty();
                breaks.extend(self.take_end(&end));
                breaks
            }
        };
        self.sum.update(bytes);
        self.sum.update(b"\n");
        self.found |= !breaks.is_empty();
        breaks
    }

    /// Behind the last line.
    pub fn finish(mut self) -> (Summary, Vec<Break>) {
        let mut breaks = self.settle();
        if !self.ended {
            let flaw = Break::new(BreakKind::ExportCut, "the export has no end: what came behind this line is missing");
            breaks.push(flaw.at_line(self.line));
        }
        let summary = Summary {
            header: self.header.map(|(header, _)| header),
            seals: self.seals,
            rows: self.rows,
            root: self.chain.map(|chain| chain.end().root.clone()),
        };
        (summary, breaks)
    }

    fn misplaced(&self, detail: &str) -> Break {
        Break::new(BreakKind::LineMisplaced, detail).at_line(self.line)
    }

    fn take_header(&mut self, header: Header, bytes: &[u8]) -> Vec<Break> {
        if self.line != 1 {
            return vec![self.misplaced("the header is the first line")];
        }
        let before = Link {
            seal_no: header.from_seal - 1,
            root: header.previous_root.clone(),
        };
        self.chain = Some(Chain::after(header.casino_id, before, self.trusted.clone()));
        let known = header.format == FORMAT;
        let detail = format!("the format is {:?}, this is a reader of {FORMAT:?}", header.format);
        self.header = Some((header, sha256(bytes)));
        let flaw = (!known).then(|| Break::new(BreakKind::HeaderAltered, detail).at_line(1));
        flaw.into_iter().collect()
    }

    fn take_seal(&mut self, seal: Seal, leaves: Vec<(Uuid, String)>) -> Vec<Break> {
        let mut breaks = self.settle();
        if self.chain.is_none() {
            breaks.push(self.misplaced("the header is missing before this line"));
            // Whatever stands here must still hold by itself.
            let before = Link {
                seal_no: seal.seal_no - 1,
                root: seal.previous_root.clone(),
            };
            self.chain = Some(Chain::after(seal.casino_id, before, self.trusted.clone()));
        }
        let leaf = |(audit_id, leaf_hash)| Leaf { audit_id, leaf_hash };
        self.seals += 1;
        self.pending = Some(Pending {
            line: self.line,
            batch: Batch {
                seal,
                leaves: leaves.into_iter().map(leaf).collect(),
                rows: Vec::new(),
            },
            row_lines: Vec::new(),
        });
        breaks
    }

    fn take_row(&mut self, row: Row) -> Vec<Break> {
        self.rows += 1;
        match &mut self.pending {
            Some(pending) if pending.batch.rows.len() < 2 * MOST_ROWS => {
                pending.batch.rows.push(row);
                pending.row_lines.push(self.line);
                Vec::new()
            }
            Some(_) => vec![self.misplaced("more rows than any seal has")],
            None => vec![self.misplaced("the row has no seal before it")],
        }
    }

    /// All rows of a seal have been read.
    fn settle(&mut self) -> Vec<Break> {
        let (Some(pending), Some(chain)) = (self.pending.take(), &mut self.chain) else {
            return Vec::new();
        };
        let line_of = |found: &Break| {
            let at = pending.batch.rows.iter().rposition(|row| Some(row.id) == found.row_id)?;
            let of_row = match found.kind {
                BreakKind::RowAltered | BreakKind::RowForeign | BreakKind::RowMisplaced => true,
                BreakKind::SealMissing
                | BreakKind::SealMisplaced
                | BreakKind::SealForeign
                | BreakKind::SealAltered
                | BreakKind::SealForged
                | BreakKind::SealUnchained
                | BreakKind::KeyUnknown
                | BreakKind::LeafAltered
                | BreakKind::RowMissing
                | BreakKind::LineUnreadable
                | BreakKind::LineMisplaced
                | BreakKind::HeaderAltered
                | BreakKind::EndAltered
                | BreakKind::ExportCut => false,
            };
            pending.row_lines.get(at).copied().filter(|_| of_row)
        };
        let breaks = chain.check(&pending.batch);
        breaks
            .into_iter()
            .map(|found| {
                let line = line_of(&found).unwrap_or(pending.line);
                found.at_line(line)
            })
            .collect()
    }

    fn take_end(&mut self, end: &End) -> Vec<Break> {
        self.ended = true;
        let mut breaks = Vec::new();
        let sum = hex(&self.sum.clone().finalize());
        let header_sum = self.header.as_ref().map(|(_, sum)| sum.as_str());
        let is_whole = end.sha256 == sum;
        if header_sum != Some(&end.header_sha256) && !is_whole {
            breaks.push(Break::new(BreakKind::HeaderAltered, "it is not what was exported").at_line(1));
        }
        let mut wrong = Vec::new();
        let told = self.header.as_ref().map(|(header, _)| header.to_seal);
        let came = self.chain.as_ref().map(Chain::end);
        if told != came.map(|end| end.seal_no) {
            wrong.push("the header names another last seal than there is");
        }
        if (end.seals, end.rows) != (self.seals, self.rows) {
            wrong.push("it counts other seals or rows than there are");
        }
        if came.is_none_or(|came| came.root != end.root) {
            wrong.push("it names another root than the last seal's");
        }
        if is_whole && header_sum != Some(&end.header_sha256) {
            wrong.push("it names another header");
        }
        if !is_whole && breaks.is_empty() && !self.found {
            wrong.push("its sum is not that of the lines above");
        }
        breaks.extend(
            wrong
                .into_iter()
                .map(|detail| Break::new(BreakKind::EndAltered, detail).at_line(self.line)),
        );
        breaks
    }
}

fn read(bytes: &[u8]) -> Result<Line, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| format!("no JSON: {error}"))?;
    if canonical(&value).as_bytes() != bytes {
        return Err("not spelt as the format says".to_owned());
    }
    let line: Line = serde_json::from_value(value).map_err(|error| format!("no line of an export: {error}"))?;
    // A member nobody reads, or an instant in another spelling, would be a place to write in.
    if text(&line).as_bytes() == bytes {
        Ok(line)
    } else {
        Err("not spelt as the format says".to_owned())
    }
}
