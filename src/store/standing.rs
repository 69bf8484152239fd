//! What stands in the database at this moment, in all casinos together: numbers for the metrics, and how busy the pool is.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::Db;
use super::fault::Fault;
use super::relay::Depth;
use crate::observe::metrics::Standing;

/// Rows of a queue that are counted: beyond it the number says only "far too many", and asking costs no more.
const MOST_COUNTED: i32 = 100_000;

#[derive(Deserialize)]
struct Stood {
    audit: Waiting,
    outbox: Depth,
}

#[derive(Deserialize)]
struct Waiting {
    rows: u32,
    oldest_seconds: u32,
}

/// How busy the pool is.
#[derive(Clone, Copy, Debug)]
pub struct PoolUse {
    pub busy: u32,
    pub idle: u32,
    pub limit: u32,
}

impl Db {
    /// One statement, of which no casino can be told apart.
    pub async fn standing(&self, at: DateTime<Utc>) -> Result<Standing, Fault> {
        let sql = "SELECT jsonb_build_object('audit', audit_backlog($1, $2), 'outbox', relay_depth($2)) AS json";
        let Stood { audit, outbox } = self.json(sql, [at.into(), MOST_COUNTED.into()]).await?;
        let waited = outbox.oldest.map_or(TimeDelta::zero(), |oldest| at - oldest);
        Ok(Standing {
            audit_rows_waiting: audit.rows,
            audit_oldest_seconds: audit.oldest_seconds,
            outbox_waiting: bounded(outbox.fresh),
            outbox_retrying: bounded(outbox.retrying),
            outbox_dead: bounded(outbox.dead),
            outbox_oldest_seconds: bounded(waited.num_seconds()),
        })
    }

    pub fn pool_use(&self) -> PoolUse {
        let pool = self.raw().get_postgres_connection_pool();
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        PoolUse {
            busy: pool.size().saturating_sub(idle),
            idle,
            limit: pool.options().get_max_connections(),
        }
    }
}

/// A gauge is a float: a number it cannot hold exactly is "far too many" anyway.
fn bounded(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}
