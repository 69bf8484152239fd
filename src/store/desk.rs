//! The two statements of a command: what is asked of `open_desk` and what it answers, and what `put_changes` is given.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use workflows::case::Rows;
use workflows::dossier::{Dossier, Floor};
use workflows::record::{Casino, ManualRange, Shift, Slip, Staff};
use workflows::shift_summary::Book;
use workflows::slip::SlipNumber;
use workflows::word::SlipKind;

use super::Tx;
use super::clockwork::Lease;
use super::fault::Fault;

/// What a command needs to have on the desk.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ask {
    /// What `ids` are; none where only the caller and the casino matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    pub ids: Vec<Uuid>,
    /// Boxes the command names.
    pub boxes: Vec<Uuid>,
    /// People the command names.
    pub staff: Vec<Uuid>,
    /// People the command names by employee number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub employee_nos: Vec<String>,
    /// People who prove themselves by PIN.
    pub cosigners: Vec<Uuid>,
    /// Slips found in boxes, by number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub papers: Vec<Paper>,
    /// The slip that wants its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_for: Option<Uuid>,
    /// A number from a manual range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual: Option<Manual>,
    /// A slip's own idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What of shifts the command must know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift: Option<ShiftAsk>,
}

/// Why a command looks at shifts.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShiftAsk {
    /// It may give a session its shift: the one named, or else the one that holds this moment.
    Bind { named: Option<Uuid> },
    /// It may be the last its session's shift waits for.
    Settle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Session,
    Slip,
    Snapshot,
    Drop,
    Exception,
    /// A drop to be counted, with every session the count concerns.
    Count,
    /// A table, for a session that does not exist yet.
    Table,
}

#[derive(Clone, Debug, Serialize)]
pub struct Paper {
    pub kind: SlipKind,
    pub slip_no: i64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Manual {
    pub kind: SlipKind,
    pub slip_no: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_key: Option<String>,
}

impl Ask {
    /// Asks for one thing and the session it belongs to.
    pub fn about(kind: Kind, id: Uuid) -> Self {
        Self {
            kind: Some(kind),
            ids: vec![id],
            ..Self::default()
        }
    }
}

/// Who asks, and under which key.
#[derive(Clone, Debug, Serialize)]
pub struct Opening<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<&'a str>,
    /// The casino whose `system` row asks, in place of a subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_of: Option<Uuid>,
    pub correlation_id: &'a str,
    /// The run a job acts for: refused where its lease is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<&'a Lease>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
    pub lock: bool,
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub ask: &'a Ask,
}

/// What lies on the desk. Without a caller there is nothing else: the subject is nobody here.
#[derive(Debug, Deserialize)]
pub struct Opened {
    pub caller: Option<Staff>,
    pub casino: Option<Casino>,
    pub replay: Option<Remembered>,
    #[serde(default)]
    pub dossiers: Vec<Dossier>,
    pub floor: Option<Floor>,
    #[serde(default)]
    pub people: Vec<Staff>,
    #[serde(default)]
    pub cosigners: Vec<Proof>,
    pub number: Option<SlipNumber>,
    #[serde(default)]
    pub elsewhere: Vec<Slip>,
    #[serde(default)]
    pub ranges: Vec<ManualRange>,
    /// The scopes in which the manual number is already used.
    #[serde(default)]
    pub numbers_taken: Vec<String>,
    pub requested_slip: Option<Slip>,
    pub shift_now: Option<Uuid>,
    pub shift_named: Option<Shift>,
    pub shift_book: Option<Book>,
}

/// The first answer under a key.
#[derive(Debug, Deserialize)]
pub struct Remembered {
    pub route: String,
    pub body_hash: String,
    pub status: u16,
    pub answer: Value,
    pub etag: Option<String>,
}

/// What a co-signer's PIN is held against.
#[derive(Deserialize)]
pub struct Proof {
    pub id: Uuid,
    pub pin_hash: Option<String>,
    pub failed_pins: i32,
    pub pin_locked_until: Option<DateTime<Utc>>,
}

impl std::fmt::Debug for Proof {
    /// A hash is a secret too: a PIN has few digits.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Proof").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Everything one command writes.
#[derive(Debug, Serialize)]
pub struct Writing<'a> {
    pub insert: &'a Rows,
    pub update: &'a Rows,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outbox: Vec<OutboxRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerRow>,
    /// Co-signers whose PIN was right: their wrong guesses are forgotten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proved: Vec<Uuid>,
}

#[derive(Debug, Serialize)]
pub struct AuditRow {
    pub id: Uuid,
    pub casino_id: Uuid,
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

#[derive(Debug, Serialize)]
pub struct OutboxRow {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub event: String,
    pub aggregate_id: Uuid,
    pub channels: Vec<String>,
    pub payload: Value,
    pub correlation_id: String,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
pub struct AnswerRow {
    pub casino_id: Uuid,
    pub key: String,
    pub route: String,
    pub body_hash: String,
    pub status: u16,
    pub answer: Value,
    pub etag: Option<String>,
    pub created_at: DateTime<Utc>,
}

impl Tx {
    /// Context, key, locks, dossiers and people in one statement.
    pub async fn open_desk(&self, opening: &Opening<'_>) -> Result<Opened, Fault> {
        let ask = serde_json::to_value(opening).map_err(Fault::unreadable)?;
        self.json("SELECT open_desk($1) AS json", [ask.into()]).await
    }

    /// Everything a command writes, in one statement.
    pub async fn put(&self, writing: &Writing<'_>) -> Result<(), Fault> {
        let changes = serde_json::to_value(writing).map_err(Fault::unreadable)?;
        self.json::<Value>("SELECT to_jsonb(put_changes($1)::text) AS json", [changes.into()])
            .await
            .map(drop)
    }

    /// Counts a wrong PIN; says until when the person is locked now.
    pub async fn count_wrong_pin(&self, person: Uuid, limit: i32, locked_until: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Fault> {
        self.json(
            "SELECT to_jsonb(count_wrong_pin($1, $2, $3)) AS json",
            [person.into(), limit.into(), locked_until.into()],
        )
        .await
    }
}
