//! What is sealed cannot be changed unseen: not a byte, not a row, not their order.

use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::json;

use super::export::{Header, Reader, Summary, Writer};
use super::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x018f_0000_0000_7000_8000_0000_0000_0000 + number)
}

fn begin() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}

fn row(number: u128) -> Row {
    Row {
        id: id(number),
        casino_id: id(0),
        ts: begin() + TimeDelta::microseconds(i64::try_from(number).unwrap() * 1_000_001),
        actor_id: id(7),
        domain: "slip".to_owned(),
        action: if number.is_multiple_of(2) { "issue" } else { "verify" }.to_owned(),
        session_id: (!number.is_multiple_of(3)).then(|| id(900)),
        other_session_ids: number.is_multiple_of(5).then(|| vec![id(901), id(902)]),
        dto_before: number
            .is_multiple_of(4)
            .then(|| json!({ "table_slip": [{ "id": id(3), "status": "REQUESTED" }] })),
        dto_after: Some(json!({ "table_slip": [{ "amount_cents": 50_000, "note": "chips \"à\u{1F600}\"\n" }] })),
        correlation_id: format!("c-{number}"),
    }
}

/// Seals over so many rows each, the first row of all being row 1.
fn batches(sizes: &[u128]) -> Vec<Batch> {
    let (mut link, mut next, mut batches) = (Link::origin(), 1, Vec::new());
    for size in sizes {
        let rows: Vec<Row> = (next..next + size).map(row).collect();
        next += size;
        let (seal, leaves) = seal(&link, id(0), &rows, &key(1), begin() + TimeDelta::days(1)).unwrap();
        link = Link {
            seal_no: seal.seal_no,
            root: seal.root.clone(),
        };
        batches.push(Batch { seal, leaves, rows });
    }
    batches
}

fn check(batches: &[Batch]) -> Vec<Break> {
    let mut chain = Chain::after(id(0), Link::origin(), Vec::new());
    batches.iter().flat_map(|batch| chain.check(batch)).collect()
}

fn kinds(breaks: &[Break]) -> Vec<BreakKind> {
    breaks.iter().map(|found| found.kind).collect()
}

fn exported(batches: &[Batch]) -> String {
    let header = Header {
        format: export::FORMAT.to_owned(),
        casino_id: id(0),
        casino: "River Bend".to_owned(),
        exported_at: "2026-03-06T21:00:00.000000Z".to_owned(),
        from_seal: batches.first().map_or(1, |batch| batch.seal.seal_no),
        to_seal: batches.last().map_or(0, |batch| batch.seal.seal_no),
        previous_root: batches.first().map_or(NO_ROOT.to_owned(), |batch| batch.seal.previous_root.clone()),
    };
    let (mut writer, mut text) = Writer::begin(header);
    for batch in batches {
        text.push_str(&writer.batch(batch.clone()));
    }
    text + &writer.end()
}

/// Reads it as the command does: whatever stands behind the last line end is a line too.
fn read(bytes: &[u8]) -> (Summary, Vec<Break>) {
    let mut reader = Reader::new(Vec::new());
    let mut breaks = Vec::new();
    let whole = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    for line in whole.split(|byte| *byte == b'\n') {
        breaks.extend(reader.line(line));
    }
    let (summary, last) = reader.finish();
    breaks.extend(last);
    (summary, breaks)
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn joined(lines: &[String]) -> String {
    lines.join("\n") + "\n"
}

/// The published vectors of RFC 6962's tree over seven leaves are over other leaf bytes: here the same shape by hand.
#[test]
fn the_tree_splits_at_the_largest_power_of_two() {
    let leaf = |letter: u8| hex(&Sha256::digest([LEAF, letter]));
    let node = |left: &str, right: &str| {
        let (left, right) = (bytes::<32>(left).unwrap(), bytes::<32>(right).unwrap());
        hex(&Sha256::new().chain_update([NODE]).chain_update(left).chain_update(right).finalize())
    };
    let leaves = [b'a', b'b', b'c', b'd', b'e'].map(leaf);
    let root = |count: usize| merkle_root(leaves[..count].iter().map(String::as_str));
    let (two, other_two) = (node(&leaves[0], &leaves[1]), node(&leaves[2], &leaves[3]));
    let four = node(&two, &other_two);
    assert_eq!(root(0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(root(1), leaves[0]);
    assert_eq!(root(2), two);
    assert_eq!(root(3), node(&two, &leaves[2]));
    assert_eq!(root(4), four);
    assert_eq!(root(5), node(&four, &leaves[4]));
}

/// The form is for ever: if this test fails, every seal made so far is broken.
#[test]
fn the_canonical_row_and_its_seal_are_as_documented() {
    let canonical = "{\"action\":\"verify\",\"actor_id\":\"018f0000-0000-7000-8000-000000000007\",\"casino_id\":\"018f0000-0000-7000-8000-000000000000\",\
        \"correlation_id\":\"c-1\",\"domain\":\"slip\",\"dto_after\":{\"table_slip\":[{\"amount_cents\":50000,\"note\":\"chips \\\"à😀\\\"\\n\"}]},\
        \"dto_before\":null,\"id\":\"018f0000-0000-7000-8000-000000000001\",\"other_session_ids\":null,\
        \"session_id\":\"018f0000-0000-7000-8000-000000000384\",\"ts\":\"2026-01-01T00:00:01.000001Z\"}";
    assert_eq!(row(1).canonical(), canonical);
    let batch = &batches(&[3])[0];
    assert_eq!(
        row(1).leaf_hash(),
        "3fa843cfd006c66334de795c055d032e4d731dda72839b7ed945ff7495f61795"
    );
    assert_eq!(batch.seal.root, "9a1920a5a173acd4e5f00100910cbec05b644e258c26835562d17174eba3824b");
    assert_eq!(key_id(&batch.seal.public_key), "34750f98bd59fcfc");
}

#[test]
fn what_was_sealed_is_found_as_it_was() {
    let batches = batches(&[1, 2, 3, 5, 8]);
    assert_eq!(check(&batches), []);
    let (summary, breaks) = read(exported(&batches).as_bytes());
    assert_eq!(breaks, []);
    assert_eq!((summary.seals, summary.rows), (5, 19));
    assert_eq!(summary.root.as_ref(), Some(&batches[4].seal.root));
    let part = exported(&batches[2..4]);
    assert_eq!(read(part.as_bytes()).1, []);
    assert_eq!(read(exported(&[]).as_bytes()).1, []);
}

#[test]
fn there_is_nothing_to_seal_without_rows() {
    assert!(seal(&Link::origin(), id(0), &[], &key(1), begin()).is_none());
}

#[test]
fn a_row_that_was_changed_dropped_or_put_in_is_named() {
    let sound = batches(&[4, 4]);
    let mut changed = sound.clone();
    changed[1].rows[2].dto_after = Some(json!({ "table_slip": [{ "amount_cents": 50_001 }] }));
    let found = check(&changed);
    assert_eq!(kinds(&found), [BreakKind::RowAltered]);
    assert_eq!(
        (found[0].seal_no, found[0].position, found[0].row_id),
        (Some(2), Some(3), Some(id(7)))
    );

    let mut dropped = sound.clone();
    dropped[0].rows.remove(1);
    let found = check(&dropped);
    assert_eq!(
        (found[0].kind, found[0].row_id, found.len()),
        (BreakKind::RowMissing, Some(id(2)), 1)
    );

    let mut inserted = sound.clone();
    inserted[0].rows.insert(2, row(77));
    let found = check(&inserted);
    assert!(
        found
            .iter()
            .any(|found| found.kind == BreakKind::RowForeign && found.row_id == Some(id(77))),
        "{found:#?}"
    );

    let mut twice = sound.clone();
    twice[0].rows.insert(2, row(1));
    assert!(kinds(&check(&twice)).contains(&BreakKind::RowForeign));

    let mut swapped = sound;
    swapped[0].rows.swap(1, 2);
    let found = check(&swapped);
    assert_eq!(kinds(&found), [BreakKind::RowMisplaced, BreakKind::RowMisplaced]);
    assert_eq!([found[0].row_id, found[1].row_id], [Some(id(2)), Some(id(3))]);
}

#[test]
fn a_leaf_that_was_changed_is_no_fault_of_its_row() {
    let mut changed = batches(&[4]);
    changed[0].leaves[1].leaf_hash = row(77).leaf_hash();
    let found = check(&changed);
    assert_eq!(
        (found[0].kind, found[0].row_id, found.len()),
        (BreakKind::LeafAltered, Some(id(2)), 1)
    );

    // Changed together they agree; the seal knows better.
    let mut both = batches(&[4]);
    both[0].rows[1].action = "void".to_owned();
    both[0].leaves[1].leaf_hash = both[0].rows[1].leaf_hash();
    assert_eq!(kinds(&check(&both)), [BreakKind::LeafAltered]);
}

#[test]
fn a_seal_that_was_changed_dropped_or_made_anew_is_named() {
    let sound = batches(&[2, 2, 2]);
    let mut altered = sound.clone();
    altered[1].seal.sealed_at += TimeDelta::seconds(1);
    assert_eq!(
        (check(&altered)[0].kind, check(&altered)[0].seal_no),
        (BreakKind::SealAltered, Some(2))
    );

    let without = [sound[0].clone(), sound[2].clone()];
    assert_eq!(check(&without)[0].detail, "seals 2 to 2 are missing");

    let mut order = sound.clone();
    order.swap(0, 1);
    assert!(kinds(&check(&order)).contains(&BreakKind::SealMisplaced));

    // Whoever has a key of their own makes a sound seal, and cannot put the next one to it.
    let mut forged = sound.clone();
    let mut rows = forged[1].rows.clone();
    rows[0].action = "void".to_owned();
    let before = Link {
        seal_no: 1,
        root: sound[0].seal.root.clone(),
    };
    let (anew, leaves) = seal(&before, id(0), &rows, &key(2), begin()).unwrap();
    forged[1] = Batch { seal: anew, leaves, rows };
    assert_eq!(kinds(&check(&forged)), [BreakKind::SealUnchained]);
    let trusted = vec![hex(key(1).verifying_key().as_bytes())];
    let mut chain = Chain::after(id(0), Link::origin(), trusted);
    let found: Vec<Break> = forged.iter().flat_map(|batch| chain.check(batch)).collect();
    assert_eq!((found[0].kind, found[0].seal_no), (BreakKind::KeyUnknown, Some(2)));

    let mut unsigned = sound;
    let another = unsigned[0].seal.signature.clone();
    unsigned[1].seal.signature = another;
    assert_eq!(kinds(&check(&unsigned)), [BreakKind::SealForged]);
}

#[test]
fn an_export_that_ends_early_says_where() {
    let all = lines(&exported(&batches(&[2, 2])));
    let cut = joined(&all[..4]);
    let (_, found) = read(cut.as_bytes());
    assert!(kinds(&found).contains(&BreakKind::ExportCut), "{found:#?}");
    assert_eq!(found.last().unwrap().line, Some(4));
    // The end put back: the header still knows how far it went.
    let (_, found) = read(joined(&[&all[..4], &all[7..]].concat()).as_bytes());
    assert!(kinds(&found).contains(&BreakKind::EndAltered), "{found:#?}");
}

proptest! {
    #[test]
    fn a_changed_byte_of_an_export_is_found_where_it_is(
        sizes in prop::collection::vec(1_u128..5, 1..4), at in any::<prop::sample::Index>(), bits in 1_u8..
    ) {
        let mut bytes = exported(&batches(&sizes)).into_bytes();
        let at = at.index(bytes.len());
        let line = bytes[..at].split(|byte| *byte == b'\n').count() as u64;
        bytes[at] ^= bits;
        let (_, found) = read(&bytes);
        prop_assert!(found.iter().any(|found| found.line == Some(line)), "line {line}: {found:#?}");
    }

    #[test]
    fn a_line_dropped_doubled_or_swapped_is_found(
        sizes in prop::collection::vec(1_u128..5, 1..4), at in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(), what in 0..3
    ) {
        let mut all = lines(&exported(&batches(&sizes)));
        let (at, other) = (at.index(all.len()), other.index(all.len()));
        let sealed_row = all[at].starts_with("{\"kind\":\"row\"");
        let row_id = sealed_row.then(|| serde_json::from_str::<Value>(&all[at]).unwrap()["row"]["id"].clone());
        match what {
            0 => drop(all.remove(at)),
            1 => all.insert(other, all[at].clone()),
            _ if at == other => return Ok(()),
            _ => all.swap(at, other),
        }
        let (_, found) = read(joined(&all).as_bytes());
        prop_assert!(!found.is_empty());
        if let Some(row_id) = row_id {
            let named = found.iter().any(|found| json!(found.row_id) == row_id || found.kind == BreakKind::LineMisplaced);
            prop_assert!(named, "{row_id}: {found:#?}");
        }
    }

    #[test]
    fn bytes_that_are_no_export_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!read(&bytes).1.is_empty());
    }
}
