//! Seals in the store: which rows wait for one, what is written of one, and what verifying reads.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::seal::{self, Batch, Break, Chain, Leaf, Link, Row, Seal};

use super::Tx;
use super::fault::Fault;
use super::list::{Page, Query};
use crate::error::Error;

/// Seals one request verifies: some thousand rows, read and hashed within a second or two.
pub const MOST_SEALS: i64 = 10;
/// What is told of breaks one by one; a broken key would make as many as there are seals.
pub const MOST_BREAKS: usize = 100;

/// What is to be sealed next.
#[derive(Debug, Deserialize)]
pub struct ToSeal {
    pub previous: Option<Link>,
    /// In the order of their ids.
    pub rows: Vec<Row>,
}

/// Rows that wait for a seal.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    pub rows: i64,
    pub oldest: Option<DateTime<Utc>>,
    /// They waited, and are no longer in the log.
    #[serde(skip_serializing)]
    pub gone: Vec<Uuid>,
}

/// Two batches of a casino would make one seal number: they take turns.
const ONE_AT_A_TIME: &str = "SELECT to_jsonb(pg_advisory_xact_lock(hashtextextended($1::text || ':seal', 0))::text) AS json";

const ROOT: &str = "SELECT (SELECT to_jsonb(s.root) FROM audit_seal AS s WHERE s.casino_id = $1 AND s.seal_no = $2) AS json";

const MORE: &str = "SELECT to_jsonb(EXISTS (SELECT FROM audit_seal AS s WHERE s.casino_id = $1 AND s.seal_no > $2)) AS json";

impl Tx {
    /// The end of the chain, and the rows that wait longest.
    pub async fn to_seal(&self, context: &Context, limit: i32) -> Result<ToSeal, Fault> {
        let casino = context.casino.id;
        self.json::<Value>(ONE_AT_A_TIME, [casino.into()]).await?;
        // A statement of its own: it sees what whoever held the lock has sealed.
        self.json("SELECT audit_to_seal($1, $2) AS json", [casino.into(), limit.into()])
            .await
    }

    /// Keeps the seal; its rows wait no longer.
    pub async fn put_seal(&self, seal: &Seal, leaves: &[Leaf]) -> Result<(), Fault> {
        let seal = serde_json::to_value(seal).map_err(Fault::unreadable)?;
        let leaves = serde_json::to_value(leaves).map_err(Fault::unreadable)?;
        let sql = "SELECT to_jsonb(put_audit_seal($1, $2)::text) AS json";
        self.json::<Value>(sql, [seal.into(), leaves.into()]).await.map(drop)
    }

    pub async fn audit_waiting(&self, context: &Context) -> Result<Waiting, Fault> {
        let values = [context.casino.id.into(), most_breaks().into()];
        self.json("SELECT audit_waiting($1, $2) AS json", values).await
    }

    async fn batches(&self, context: &Context, after: i64, limit: i64) -> Result<Vec<Batch>, Fault> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let values = [context.casino.id.into(), after.into(), limit.into()];
        self.json("SELECT audit_batches($1, $2, $3) AS json", values).await
    }

    /// The end of the chain as it was at this seal. One that is gone has no root, and nothing follows from it.
    async fn link(&self, context: &Context, seal_no: i64) -> Result<Link, Fault> {
        if seal_no == 0 {
            return Ok(Link::origin());
        }
        let root: Option<String> = self.json(ROOT, [context.casino.id.into(), seal_no.into()]).await?;
        Ok(Link {
            seal_no,
            root: root.unwrap_or_default(),
        })
    }

    /// Whether this seal is not the last.
    async fn more_seals(&self, context: &Context, after: i64) -> Result<bool, Fault> {
        self.json(MORE, [context.casino.id.into(), after.into()]).await
    }

    async fn strays(&self, context: &Context, after: i64, upto: Option<i64>) -> Result<Vec<Uuid>, Fault> {
        let values = [context.casino.id.into(), after.into(), upto.into(), most_breaks().into()];
        self.json("SELECT audit_strays($1, $2, $3, $4) AS json", values).await
    }
}

fn most_breaks() -> i32 {
    i32::try_from(MOST_BREAKS).unwrap_or(i32::MAX)
}

/// `GET /audit/seals`, oldest first.
#[derive(Clone, Copy, Debug)]
pub struct Seals {
    pub limit: u64,
    pub after: i64,
}

impl Seals {
    /// Where a page begins, as [`Page::next_cursor`] told it.
    pub fn cursor(text: &str) -> Result<i64, Error> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let place = bytes.and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok());
        place
            .filter(|place| *place >= 0)
            .ok_or_else(|| Error::Malformed("cursor: not one of this list".to_owned()))
    }
}

const SEALS: &str = "
    SELECT COALESCE(jsonb_agg(to_jsonb(s) ORDER BY s.seal_no), '[]') AS json
      FROM (SELECT * FROM audit_seal AS x WHERE x.casino_id = $1 AND x.seal_no > $2 ORDER BY x.seal_no LIMIT $3) AS s";

impl Query for Seals {
    type Answer = Page<Seal>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page<Seal>, Error> {
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX - 1);
        let values = [context.casino.id.into(), self.after.into(), (limit + 1).into()];
        let mut items: Vec<Seal> = tx.json(SEALS, values).await?;
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        Ok(Page {
            next_cursor: last.map(|seal| URL_SAFE_NO_PAD.encode(seal.seal_no.to_string())),
            items,
        })
    }
}

/// `GET /audit/verify`: some seals held against their rows, and the stretch of the log they span against the seals.
#[derive(Clone, Debug)]
pub struct Verify {
    pub from_seal: i64,
    /// Inclusive.
    pub to_seal: Option<i64>,
}

/// What verifying found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Verified {
    /// Nothing was found wrong in this page.
    pub sound: bool,
    pub from_seal: i64,
    /// The last seal looked at; one less than `from_seal` where there is none.
    pub to_seal: i64,
    pub rows: i64,
    /// Of the last seal looked at: note it elsewhere, and nobody can rewrite what is before it.
    pub root: String,
    /// The keys that signed, by their short names.
    pub keys: Vec<String>,
    pub first_break: Option<Break>,
    /// At most a hundred.
    pub breaks: Vec<Break>,
    /// Where the next page begins; null where all was looked at.
    pub next_seal: Option<i64>,
    /// Rows no seal protects yet.
    pub waiting: Waiting,
}

impl Query for Verify {
    type Answer = Verified;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Verified, Error> {
        let before = self.from_seal - 1;
        let wanted = self.to_seal.unwrap_or(i64::MAX);
        let last = wanted.min(before.saturating_add(MOST_SEALS));
        let mut chain = Chain::after(context.casino.id, tx.link(context, before).await?, Vec::new());
        let mut found = Found::default();
        while chain.end().seal_no < last {
            // One at a time: a page of long rows is never all in memory.
            let batch = tx.batches(context, chain.end().seal_no, 1).await?.pop();
            let Some(batch) = batch.filter(|batch| batch.seal.seal_no <= last) else {
                break;
            };
            found.take(&batch, chain.check(&batch));
        }
        let end = chain.end();
        let more = tx.more_seals(context, end.seal_no).await?;
        let strays = tx.strays(context, before, more.then_some(end.seal_no)).await?;
        let waiting = tx.audit_waiting(context).await?;
        found.breaks.extend(strays.into_iter().map(seal::stray));
        if !more {
            found.breaks.extend(waiting.gone.iter().copied().map(seal::lost));
        }
        Ok(Verified {
            sound: found.breaks.is_empty(),
            from_seal: self.from_seal,
            to_seal: end.seal_no,
            rows: found.rows,
            root: end.root.clone(),
            keys: found.keys.into_iter().collect(),
            first_break: found.breaks.first().cloned(),
            breaks: found.breaks.into_iter().take(MOST_BREAKS).collect(),
            next_seal: (more && end.seal_no < wanted).then_some(end.seal_no + 1),
            waiting,
        })
    }
}

/// What a page came to so far.
#[derive(Default)]
struct Found {
    rows: i64,
    keys: BTreeSet<String>,
    breaks: Vec<Break>,
}

impl Found {
    fn take(&mut self, batch: &Batch, breaks: Vec<Break>) {
        self.rows += i64::try_from(batch.rows.len()).unwrap_or(i64::MAX);
        self.keys.insert(seal::key_id(&batch.seal.public_key));
        self.breaks.extend(breaks);
    }
}
