//! Holds seals against the rows they seal and against each other, and says what is not as it was sealed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use strum::Display;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Batch, Leaf, Link, Row, Seal, count, key_id, merkle_root};

/// One thing that is not as it was sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Break {
    pub kind: BreakKind,
    pub seal_no: Option<i64>,
    /// Under the seal, from 1.
    pub position: Option<i64>,
    pub row_id: Option<Uuid>,
    /// Of the export, from 1.
    pub line: Option<u64>,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Display, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum BreakKind {
    /// Seals that must be there are not.
    SealMissing,
    /// A seal stands where another belongs.
    SealMisplaced,
    /// Another casino's.
    SealForeign,
    /// It states something else than was signed.
    SealAltered,
    /// The signature is not the key's.
    SealForged,
    /// It does not follow from the one before.
    SealUnchained,
    /// Signed with a key that was not named as trusted.
    KeyUnknown,
    /// The list of leaves is not what the seal was made over.
    LeafAltered,
    RowAltered,
    RowMissing,
    /// A row that was never sealed here.
    RowForeign,
    RowMisplaced,
    /// A line that cannot be read, or is spelt in another way than the format says.
    LineUnreadable,
    /// A line stands where the format has another.
    LineMisplaced,
    HeaderAltered,
    EndAltered,
    /// The end of the export is missing.
    ExportCut,
}

impl Break {
    pub(super) fn new(kind: BreakKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            seal_no: None,
            position: None,
            row_id: None,
            line: None,
            detail: detail.into(),
        }
    }

    pub(super) fn at_line(self, line: u64) -> Self {
        Self { line: Some(line), ..self }
    }

    pub(super) fn of_seal(self, seal_no: i64) -> Self {
        Self {
            seal_no: Some(seal_no),
            ..self
        }
    }

    fn of_row(self, row_id: Uuid, position: Option<usize>) -> Self {
        Self {
            row_id: Some(row_id),
            position: position.map(|position| count(position) + 1),
            ..self
        }
    }
}

/// A row of the log that no seal knows of and that does not wait for one.
pub fn stray(row_id: Uuid) -> Break {
    Break::new(BreakKind::RowForeign, "it stands in the log, has no seal and waits for none").of_row(row_id, None)
}

/// A row that waited for its seal and is not in the log.
pub fn lost(row_id: Uuid) -> Break {
    Break::new(BreakKind::RowMissing, "it waited for its seal and is gone from the log").of_row(row_id, None)
}

/// Goes along a chain, seal by seal, and holds one batch at a time.
#[derive(Clone, Debug)]
pub struct Chain {
    casino_id: Uuid,
    end: Link,
    /// Keys to be believed; none named, every seal's own is, and only whoever rewrote nothing but rows is found.
    trusted: Vec<String>,
}

impl Chain {
    /// Begins behind this link.
    pub fn after(casino_id: Uuid, link: Link, trusted: Vec<String>) -> Self {
        Self {
            casino_id,
            end: link,
            trusted,
        }
    }

    /// How far it has come.
    pub fn end(&self) -> &Link {
        &self.end
    }

    /// The next seal, with what is found wrong with it.
    pub fn check(&mut self, batch: &Batch) -> Vec<Break> {
        let Batch { seal, leaves, rows } = batch;
        let mut breaks = self.check_place(seal);
        let of_itself = check_seal(seal, &self.trusted);
        let is_sound = of_itself.is_none();
        breaks.extend(of_itself);
        breaks.extend(check_rows(seal, is_sound, leaves, rows));
        self.end = Link {
            seal_no: seal.seal_no,
            root: seal.root.clone(),
        };
        breaks.into_iter().map(|found| found.of_seal(seal.seal_no)).collect()
    }

    fn check_place(&self, seal: &Seal) -> Vec<Break> {
        let mut breaks = Vec::new();
        let expected = self.end.seal_no + 1;
        if seal.casino_id != self.casino_id {
            breaks.push(Break::new(
                BreakKind::SealForeign,
                format!("it is of the casino {}", seal.casino_id),
            ));
        }
        if seal.seal_no > expected {
            let last = seal.seal_no - 1;
            breaks.push(Break::new(
                BreakKind::SealMissing,
                format!("seals {expected} to {last} are missing"),
            ));
        } else if seal.seal_no < expected {
            breaks.push(Break::new(
                BreakKind::SealMisplaced,
                format!("it stands where seal {expected} belongs"),
            ));
        } else if seal.previous_root != self.end.root {
            breaks.push(Break::new(
                BreakKind::SealUnchained,
                format!("it was put to a seal {} with another root", self.end.seal_no),
            ));
        }
        breaks
    }
}

fn check_seal(seal: &Seal, trusted: &[String]) -> Option<Break> {
    let flaw = match (seal.is_rooted(), seal.is_signed()) {
        (true, true) if trusted.is_empty() || trusted.contains(&seal.public_key) => return None,
        (true, true) => Break::new(
            BreakKind::KeyUnknown,
            format!(
                "it is signed with the key {}, which is none of those trusted",
                key_id(&seal.public_key)
            ),
        ),
        (true, false) => Break::new(BreakKind::SealForged, "its signature is not its key's"),
        (false, true) => Break::new(BreakKind::SealAltered, "its root is not the hash of what it states"),
        (false, false) => Break::new(BreakKind::SealAltered, "what it states is not what was signed"),
    };
    Some(flaw)
}

fn check_rows(seal: &Seal, is_sound: bool, leaves: &[Leaf], rows: &[Row]) -> Vec<Break> {
    let hashes: Vec<String> = rows.iter().map(Row::leaf_hash).collect();
    let as_sealed = merkle_root(hashes.iter().map(String::as_str)) == seal.merkle_root;
    if as_sealed && count(rows.len()) == seal.row_count {
        // The rows are what was sealed, so whatever differs is the list's fault.
        return check_leaves(leaves, rows, &hashes).into_iter().collect();
    }
    let mut breaks = compare(leaves, rows, &hashes);
    let listed = merkle_root(leaves.iter().map(|leaf| leaf.leaf_hash.as_str())) == seal.merkle_root;
    if is_sound && !listed {
        let Seal { first_row, last_row, .. } = seal;
        let detail =
            format!("the leaves do not come to the sealed root: a row from {first_row} to {last_row} was changed together with its leaf");
        breaks.push(Break::new(BreakKind::LeafAltered, detail));
    }
    breaks
}

fn check_leaves(leaves: &[Leaf], rows: &[Row], hashes: &[String]) -> Option<Break> {
    let pairs = rows.iter().zip(hashes).enumerate();
    let wrong = pairs.into_iter().find(|(place, (row, hash))| {
        let leaf = leaves.get(*place);
        leaf.is_none_or(|leaf| leaf.audit_id != row.id || leaf.leaf_hash != **hash)
    });
    if let Some((place, (row, _))) = wrong {
        let flaw = Break::new(BreakKind::LeafAltered, "the row is what was sealed, its leaf is not");
        return Some(flaw.of_row(row.id, Some(place)));
    }
    let more = leaves.get(rows.len())?;
    let flaw = Break::new(BreakKind::LeafAltered, "there are more leaves than were sealed");
    Some(flaw.of_row(more.audit_id, Some(rows.len())))
}

/// Row by row against the leaves.
fn compare(leaves: &[Leaf], rows: &[Row], hashes: &[String]) -> Vec<Break> {
    let mut given: HashMap<Uuid, usize> = HashMap::new();
    let mut breaks = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        // The first stands for the sealed one; whatever has its id behind it was put in.
        if *given.entry(row.id).or_insert(at) != at {
            breaks.push(Break::new(BreakKind::RowForeign, format!("it stands here twice: {}", what(row))).of_row(row.id, None));
        }
    }
    let mut order = Vec::new();
    for (place, leaf) in leaves.iter().enumerate() {
        let Some(at) = given.remove(&leaf.audit_id) else {
            let flaw = Break::new(BreakKind::RowMissing, "it was sealed and is gone");
            breaks.push(flaw.of_row(leaf.audit_id, Some(place)));
            continue;
        };
        if hashes[at] != leaf.leaf_hash {
            let flaw = Break::new(BreakKind::RowAltered, format!("it is not what was sealed: {}", what(&rows[at])));
            breaks.push(flaw.of_row(leaf.audit_id, Some(place)));
        }
        order.push((at, place));
    }
    let mut foreign: Vec<usize> = given.into_values().collect();
    foreign.sort_unstable();
    for at in foreign {
        let flaw = Break::new(BreakKind::RowForeign, format!("it was never sealed here: {}", what(&rows[at])));
        breaks.push(flaw.of_row(rows[at].id, None));
    }
    let mut sorted: Vec<usize> = order.iter().map(|(at, _)| *at).collect();
    sorted.sort_unstable();
    for ((at, place), _) in order.iter().zip(sorted).filter(|((at, _), in_order)| at != in_order) {
        let flaw = Break::new(BreakKind::RowMisplaced, "it stands in another row's place");
        breaks.push(flaw.of_row(rows[*at].id, Some(*place)));
    }
    breaks
}

/// Enough of a row to look for it in other books.
fn what(row: &Row) -> String {
    format!(
        "{}.{} at {} under {}",
        row.domain,
        row.action,
        super::instant(row.ts),
        row.correlation_id
    )
}
