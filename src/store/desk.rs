//! The two statements of a command: what is asked of `open_desk` and what it answers, and what `put_changes` is given.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DbBackend, FromQueryResult, Statement};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use workflows::case::Rows;
use workflows::dossier::{Dossier, Floor};
use workflows::record::{Casino, ManualRange, Shift, Slip, Staff};
use workflows::rundown::hex;
use workflows::shift_summary::Book;
use workflows::slip::SlipNumber;
use workflows::word::SlipKind;

use super::Tx;
use super::clockwork::Lease;
use super::desks::Desks;
use super::fault::Fault;
use super::packed::Packed;
use super::sheets::Sheets;

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
    /// It asks for nothing beside a session, as it is: so it can be asked together with others. What takes a number, locks a person or looks at a shift
    /// does something the others would have to wait for, or could not take back.
    pub fn is_plain(&self) -> bool {
        let is_about_one = matches!(self.kind, Some(Kind::Session | Kind::Slip | Kind::Snapshot | Kind::Drop));
        let names_nobody = self.staff.is_empty() && self.employee_nos.is_empty() && self.cosigners.is_empty();
        let needs_more = self.number_for.is_some() || self.manual.is_some() || self.request_id.is_some() || self.shift.is_some();
        is_about_one && names_nobody && self.papers.is_empty() && !needs_more
    }

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
#[derive(Debug, Default, Deserialize)]
pub struct Opened {
    pub caller: Option<Staff>,
    pub casino: Option<Casino>,
    pub replay: Option<Remembered>,
    #[serde(skip)]
    pub dossiers: Vec<Dossier>,
    #[serde(skip)]
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

/// SHA-256 of a request, in hexadecimal: by whom, on which route, with which body. What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHash(String);

impl RequestHash {
    /// No part can be taken for a piece of another: none of the first two holds a zero byte.
    pub fn of(who: &str, route: &str, body: &[u8]) -> Self {
        let told = Sha256::new()
            .chain_update(who)
            .chain_update([0])
            .chain_update(route)
            .chain_update([0]);
        Self(hex(&told.chain_update(body).finalize()))
    }
}

/// The first answer under a key.
#[derive(Clone, Debug, Deserialize)]
pub struct Remembered {
    pub request_hash: RequestHash,
    pub status: u16,
    pub answer: Packed,
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

/// Everything one command writes, or several in one transaction.
#[derive(Debug, Default, Serialize)]
pub struct Writing {
    pub insert: Rows,
    pub update: Rows,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audit: Vec<AuditRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outbox: Vec<OutboxRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<AnswerRow>,
    /// Co-signers whose PIN was right: their wrong guesses are forgotten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proved: Vec<Uuid>,
}

impl Writing {
    pub fn join(&mut self, other: Self) {
        self.insert.join(other.insert);
        self.update.join(other.update);
        self.audit.extend(other.audit);
        self.outbox.extend(other.outbox);
        self.answers.extend(other.answers);
        self.proved.extend(other.proved);
    }
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
    pub request_hash: RequestHash,
    pub status: u16,
    pub answer: Packed,
    pub etag: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// The two columns of `open_desk`: the sheets come as the text they are, because taking them through a tree would cost as much as judging.
#[derive(FromQueryResult)]
struct Laid {
    desk: String,
    sheets: Option<String>,
}

impl Laid {
    fn opened(self, ask: &Ask) -> serde_json::Result<Opened> {
        let sheets: Option<Sheets> = self.sheets.map(|sheets| serde_json::from_str(&sheets)).transpose()?;
        let sheets = sheets.unwrap_or_default();
        Ok(Opened {
            dossiers: sheets.dossiers(&ask.boxes),
            floor: sheets.floor(),
            ..serde_json::from_str(&self.desk)?
        })
    }
}

impl Tx {
    /// Context, key, locks, dossiers and people in one statement.
    pub async fn open_desk(&self, opening: &Opening<'_>) -> Result<Opened, Fault> {
        const OPEN: &str = "SELECT d.desk::text, d.sheets::text FROM open_desk($1::jsonb) AS d";
        let laid = self.laid(OPEN, serde_json::to_string(opening)).await?;
        laid.opened(opening.ask).map_err(Fault::unreadable)
    }

    /// The desks of several commands, in one statement.
    pub async fn open_desks(&self, openings: &[Opening<'_>]) -> Result<Desks, Fault> {
        const OPEN: &str = "SELECT d.desks::text AS desk, d.sheets::text FROM open_desks($1::jsonb) AS d";
        let laid = self.laid(OPEN, serde_json::to_string(openings)).await?;
        Desks::of(&laid.desk, laid.sheets.as_deref()).map_err(Fault::unreadable)
    }

    async fn laid(&self, sql: &'static str, ask: serde_json::Result<String>) -> Result<Laid, Fault> {
        let ask = ask.map_err(Fault::unreadable)?;
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [ask.into()]);
        let laid = Laid::find_by_statement(statement).one(self.connection()).await?;
        laid.ok_or_else(|| Fault::unreadable(serde::de::Error::custom("no row lies on the desk")))
    }

    /// Everything a command writes, in one statement.
    pub async fn put(&self, writing: &Writing) -> Result<(), Fault> {
        let changes = serde_json::to_string(writing).map_err(Fault::unreadable)?;
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, "SELECT put_changes($1::jsonb)", [changes.into()]);
        self.connection().execute_raw(statement).await?;
        Ok(())
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
