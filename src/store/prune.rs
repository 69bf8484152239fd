//! What is deleted because it has outlived its use: remembered answers, runs that ended well, the log of deliveries, published events. Nothing
//! of a casino's book is among it: what an event told of stands in the audit log.

use chrono::{DateTime, Utc};
use sea_orm::Value;
use workflows::case::Context;

use super::Tx;
use super::fault::Fault;

/// What may go, and from when on it stays.
#[derive(Clone, Copy, Debug)]
pub struct Outlived {
    pub keys_before: DateTime<Utc>,
    pub runs_before: DateTime<Utc>,
    pub deliveries_before: DateTime<Utc>,
    /// None: events are kept for good.
    pub events_before: Option<DateTime<Utc>>,
}

/// Two batches of a casino would otherwise wait for each other's rows. Rows cannot be locked and skipped instead: that asks for the right
/// to update them, and nobody may update an answer.
const ONE_AT_A_TIME: &str = "SELECT to_jsonb(pg_advisory_xact_lock(hashtextextended($1::text || ':prune', 0))::text) AS json";

/// The oldest first.
const PRUNE: &str = "
    WITH keys AS (
        DELETE FROM idempotency_key WHERE casino_id = $1 AND key IN (
            SELECT k.key FROM idempotency_key AS k WHERE k.casino_id = $1 AND k.created_at < $2
             ORDER BY k.created_at LIMIT $5)
        RETURNING 1
    ), runs AS (
        DELETE FROM job_run WHERE casino_id = $1 AND id IN (
            SELECT r.id FROM job_run AS r WHERE r.casino_id = $1 AND r.status IN ('succeeded', 'skipped') AND r.finished_at < $3
             ORDER BY r.finished_at LIMIT $5)
        RETURNING 1
    ), deliveries AS (
        DELETE FROM webhook_delivery WHERE casino_id = $1 AND id IN (
            SELECT d.id FROM webhook_delivery AS d WHERE d.casino_id = $1 AND d.at < $4
             ORDER BY d.at LIMIT $5)
        RETURNING 1
    )
    SELECT to_jsonb((SELECT count(*) FROM keys) + (SELECT count(*) FROM runs) + (SELECT count(*) FROM deliveries)
                  + feed_prune($6, $5)) AS json";

/// Without events: how many of them are past their time nobody could say without reading them all.
const LEFT: &str = "
    SELECT to_jsonb((SELECT count(*) FROM idempotency_key AS k WHERE k.casino_id = $1 AND k.created_at < $2)
                  + (SELECT count(*) FROM job_run AS r
                      WHERE r.casino_id = $1 AND r.status IN ('succeeded', 'skipped') AND r.finished_at < $3)
                  + (SELECT count(*) FROM webhook_delivery AS d WHERE d.casino_id = $1 AND d.at < $4)) AS json";

impl Tx {
    /// Deletes at most `limit` of each; how many went.
    pub async fn prune(&self, context: &Context, outlived: Outlived, limit: i64) -> Result<i64, Fault> {
        self.json::<serde_json::Value>(ONE_AT_A_TIME, [context.casino.id.into()]).await?;
        let [casino, keys, runs, deliveries] = values(context, outlived);
        self.json(PRUNE, [casino, keys, runs, deliveries, limit.into(), outlived.events_before.into()])
            .await
    }

    /// How many are left to go.
    pub async fn left_to_prune(&self, context: &Context, outlived: Outlived) -> Result<i64, Fault> {
        self.json(LEFT, values(context, outlived)).await
    }
}

fn values(context: &Context, outlived: Outlived) -> [Value; 4] {
    [
        context.casino.id.into(),
        outlived.keys_before.into(),
        outlived.runs_before.into(),
        outlived.deliveries_before.into(),
    ]
}
