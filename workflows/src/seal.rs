//! Sealed audit (domain §13): batches of audit rows under a Merkle root, each seal naming the root of the one before and signed with an
//! Ed25519 key. Whoever holds one later root can prove every row before it, and any change of one is found and named.
//!
//! The format is the world's, not this program's: `docs/audit-format.md` says it in words, so that it can be checked without this code.
//! What is hashed here never changes; another form would be another `format`.

mod canonical;
pub mod chain;
pub mod export;

use chrono::{DateTime, SecondsFormat, Utc};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::canonical::canonical;
pub use self::chain::{Break, BreakKind, Chain, lost, stray};
use crate::rundown::hex;

/// What a seal states begins with this: a seal of another form would say so.
pub const FORMAT: &str = "rundown-audit-seal/1";
/// The root before the first seal.
pub const NO_ROOT: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The most rows under one seal: whoever verifies holds one batch in memory.
pub const MOST_ROWS: usize = 1000;

/// What tells a leaf from a node (RFC 6962): without it two rows could be passed off as one.
const LEAF: u8 = 0;
const NODE: u8 = 1;

/// One row of the audit log, with every column it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub id: Uuid,
    pub casino_id: Uuid,
    #[serde(serialize_with = "microseconds")]
    pub ts: DateTime<Utc>,
    pub actor_id: Uuid,
    pub domain: String,
    pub action: String,
    pub session_id: Option<Uuid>,
    pub other_session_ids: Option<Vec<Uuid>>,
    pub dto_before: Option<Value>,
    pub dto_after: Option<Value>,
    pub correlation_id: String,
}

/// One seal: everything but `root` and `signature` is what it states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    pub casino_id: Uuid,
    /// From 1, without a gap.
    pub seal_no: i64,
    /// The first and the last of the rows, in the order of their ids.
    pub first_row: Uuid,
    pub last_row: Uuid,
    pub row_count: i64,
    /// Over the rows' leaf hashes. Hexadecimal, as everything below.
    pub merkle_root: String,
    /// The `root` of the seal before; zeros before the first.
    pub previous_root: String,
    /// SHA-256 of the statement: stands for this seal and all before it.
    pub root: String,
    /// The Ed25519 key that signed.
    pub public_key: String,
    /// Over the statement.
    pub signature: String,
    #[serde(serialize_with = "microseconds")]
    pub sealed_at: DateTime<Utc>,
}

/// A row's place under its seal, in order of position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    pub audit_id: Uuid,
    pub leaf_hash: String,
}

/// A seal with what it seals. A row that is gone is only missing here: the leaves know of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    pub seal: Seal,
    pub leaves: Vec<Leaf>,
    pub rows: Vec<Row>,
}

/// The end of a chain, to which the next seal is put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub seal_no: i64,
    pub root: String,
}

impl Link {
    /// Before the first seal.
    pub fn origin() -> Self {
        Self {
            seal_no: 0,
            root: NO_ROOT.to_owned(),
        }
    }
}

/// Seals these rows, in this order. None where there is nothing to seal.
pub fn seal(previous: &Link, casino_id: Uuid, rows: &[Row], key: &SigningKey, at: DateTime<Utc>) -> Option<(Seal, Vec<Leaf>)> {
    let (first, last) = (rows.first()?, rows.last()?);
    let leaves: Vec<Leaf> = rows.iter().map(Row::leaf).collect();
    let mut seal = Seal {
        casino_id,
        seal_no: previous.seal_no + 1,
        first_row: first.id,
        last_row: last.id,
        row_count: count(rows.len()),
        merkle_root: merkle_root(leaves.iter().map(|leaf| leaf.leaf_hash.as_str())),
        previous_root: previous.root.clone(),
        root: String::new(),
        public_key: hex(key.verifying_key().as_bytes()),
        signature: String::new(),
        sealed_at: at,
    };
    let statement = seal.statement();
    seal.root = sha256(statement.as_bytes());
    seal.signature = hex(&key.sign(statement.as_bytes()).to_bytes());
    Some((seal, leaves))
}

impl Row {
    /// What the row's leaf hash is taken of.
    pub fn canonical(&self) -> String {
        canonical(&serde_json::to_value(self).unwrap_or_default())
    }

    pub fn leaf_hash(&self) -> String {
        let hash = Sha256::new().chain_update([LEAF]).chain_update(self.canonical());
        hex(&hash.finalize())
    }

    fn leaf(&self) -> Leaf {
        Leaf {
            audit_id: self.id,
            leaf_hash: self.leaf_hash(),
        }
    }
}

impl Seal {
    /// What is hashed to the root, and signed.
    pub fn statement(&self) -> String {
        canonical(&json!({
            "format": FORMAT,
            "casino_id": self.casino_id,
            "seal_no": self.seal_no,
            "first_row": self.first_row,
            "last_row": self.last_row,
            "row_count": self.row_count,
            "merkle_root": self.merkle_root,
            "previous_root": self.previous_root,
            "public_key": self.public_key,
            "sealed_at": instant(self.sealed_at),
        }))
    }

    /// The root is the hash of what the seal states.
    fn is_rooted(&self) -> bool {
        sha256(self.statement().as_bytes()) == self.root
    }

    /// The key it names has signed what it states.
    fn is_signed(&self) -> bool {
        let key = bytes::<32>(&self.public_key).and_then(|key| VerifyingKey::from_bytes(&key).ok());
        let signature = bytes::<64>(&self.signature).map(|bytes| Signature::from_bytes(&bytes));
        let Some((key, signature)) = key.zip(signature) else {
            return false;
        };
        // Strict: else one statement would have several signatures that pass, and a changed byte of one could go unseen.
        key.verify_strict(self.statement().as_bytes(), &signature).is_ok()
    }
}

/// The short name of a key: the first eight bytes of its SHA-256.
pub fn key_id(public_key: &str) -> String {
    bytes::<32>(public_key).map_or_else(String::new, |key| hex(&Sha256::digest(key)[..8]))
}

/// RFC 6962: the tree splits at the largest power of two below the number of leaves. Of none it is the hash of nothing.
pub fn merkle_root<'a>(leaf_hashes: impl IntoIterator<Item = &'a str>) -> String {
    // A leaf that is no hash makes a root nobody has signed.
    let leaves: Vec<[u8; 32]> = leaf_hashes.into_iter().map(|leaf| bytes(leaf).unwrap_or_default()).collect();
    hex(&subtree(&leaves))
}

fn subtree(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        leaves => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            let hash = Sha256::new()
                .chain_update([NODE])
                .chain_update(subtree(left))
                .chain_update(subtree(right));
            hash.finalize().into()
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Exactly so many bytes, as lower-case hexadecimal text: one spelling only, or a changed letter could mean the same.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// UTC with all six digits Postgres keeps: one spelling for one instant.
fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn microseconds<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&instant(*at))
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
