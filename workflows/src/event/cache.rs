//! Which caches of a client an event touches (seed 2, "Cache Invalidation"): so that clients invalidate by event, all by the same map.

use serde::Serialize;
use utoipa::ToSchema;

use super::Name;

/// What a client does with its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Fetch it again where somebody looks at it. List keys are best batched, 250 to 500 ms.
    Invalidate,
    /// The payload says it already; fetch it where the payload is not enough.
    Set,
}

/// One key, and what to do under it. `{name}` stands for the payload's member of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CacheKey {
    pub action: Action,
    #[schema(value_type = Vec<String>)]
    pub key: &'static [&'static str],
}

const fn invalidate(key: &'static [&'static str]) -> CacheKey {
    CacheKey {
        action: Action::Invalidate,
        key,
    }
}

const fn set(key: &'static [&'static str]) -> CacheKey {
    CacheKey { action: Action::Set, key }
}

const SESSION: CacheKey = invalidate(&["table-context", "session", "{session_id}"]);
const SESSIONS: CacheKey = invalidate(&["table-context", "sessions", "{casino_id}"]);
const RUNDOWN: CacheKey = invalidate(&["table-context", "session", "{session_id}", "rundown"]);
const EXCEPTIONS: CacheKey = invalidate(&["table-context", "exceptions", "{casino_id}"]);
const INVENTORY: CacheKey = invalidate(&["table-context", "inventory", "{casino_id}"]);
const TABLE_INVENTORY: CacheKey = invalidate(&["table-context", "table", "{table_id}", "inventory"]);
const FILLS: CacheKey = invalidate(&["table-context", "fills", "{casino_id}"]);
const CREDITS: CacheKey = invalidate(&["table-context", "credits", "{casino_id}"]);
const DROPS: CacheKey = invalidate(&["table-context", "drops", "{casino_id}"]);
const CUSTODY: CacheKey = invalidate(&["table-context", "table", "{table_id}", "custody"]);
const TABLES: CacheKey = invalidate(&["table-context", "tables", "{casino_id}"]);
const BUYINS: CacheKey = invalidate(&["table-context", "buyin-telemetry", "{casino_id}", "{gaming_day}"]);
const METRICS: CacheKey = invalidate(&["table-context", "metrics", "{casino_id}"]);
const SHIFTS: CacheKey = invalidate(&["shift", "list", "{casino_id}"]);
const SHIFT_SUMMARY: CacheKey = invalidate(&["shift", "summary", "{shift_id}"]);
const ROLLUPS: CacheKey = invalidate(&["table-context", "rollups", "{casino_id}", "{gaming_day}"]);
const VISITS: CacheKey = invalidate(&["visit", "list", "{casino_id}"]);
const VISIT: CacheKey = invalidate(&["visit", "detail", "{visit_id}"]);
const RATING_SLIPS: CacheKey = invalidate(&["rating-slip", "list", "{casino_id}"]);
const RATING_SLIPS_OF_VISIT: CacheKey = invalidate(&["rating-slip", "by-visit", "{visit_id}"]);
const RATING_SLIP: CacheKey = set(&["rating-slip", "detail", "{rating_slip_id}"]);
const LAYOUT: CacheKey = invalidate(&["floor-layout", "active", "{casino_id}"]);
const TRANSACTIONS: CacheKey = invalidate(&["finance", "transactions", "{player_id}"]);
const TRANSACTIONS_OF_DAY: CacheKey = invalidate(&["finance", "gaming-day", "{casino_id}", "{gaming_day}"]);
const FINANCE_OUTBOX: CacheKey = invalidate(&["finance", "outbox", "{casino_id}"]);
const LEDGER: CacheKey = invalidate(&["loyalty", "ledger", "by-player", "{player_id}"]);
const BALANCE: CacheKey = set(&["player", "loyalty", "balance", "{player_id}", "{casino_id}"]);

impl Name {
    /// The caches it touches. Where the catalog names keys, exactly those come first; the others follow their pattern.
    pub const fn cache_keys(self) -> &'static [CacheKey] {
        match self {
            Self::SessionCreated | Self::SessionAdvanced => &[SESSIONS, SESSION],
            Self::InventoryOpen | Self::InventoryClose | Self::InventoryRundownRecorded => &[INVENTORY, TABLE_INVENTORY],
            Self::FillRequested | Self::FillCompleted => &[FILLS, CUSTODY],
            Self::CreditRequested | Self::CreditCompleted => &[CREDITS, CUSTODY],
            Self::SlipAdvanced => &[FILLS, CREDITS, CUSTODY, SESSION],
            Self::DropScheduled => &[DROPS, SESSION],
            Self::DropRemoved | Self::DropDelivered | Self::DropReceived => &[DROPS, CUSTODY],
            Self::DropCounted => &[DROPS, CUSTODY, SESSION, RUNDOWN],
            Self::ExceptionRaised | Self::ExceptionResolved => &[EXCEPTIONS, SESSION],
            Self::RundownComputed | Self::RundownFinalized => &[RUNDOWN, SESSION],
            Self::TableActivated | Self::TableDeactivated => &[TABLES],
            Self::BuyinLogged => &[BUYINS, METRICS],
            Self::ShiftOpened | Self::ShiftClosed => &[SHIFTS],
            Self::ShiftRundownReady => &[SHIFT_SUMMARY, SHIFTS],
            Self::RollupUpdated => &[ROLLUPS, METRICS],
            Self::VisitCreated | Self::VisitCheckedIn => &[VISITS],
            Self::VisitClosed | Self::VisitConverted | Self::VisitCheckedOut => &[VISIT, VISITS],
            Self::RatingSlipCreated => &[RATING_SLIPS, RATING_SLIPS_OF_VISIT],
            Self::RatingSlipUpdated => &[RATING_SLIP, RATING_SLIPS_OF_VISIT],
            Self::RatingSlipClosed => &[RATING_SLIP, RATING_SLIPS],
            Self::LedgerAppended => &[LEDGER, BALANCE],
            Self::BalanceUpdated => &[BALANCE],
            Self::FloorLayoutActivated => &[LAYOUT, TABLES],
            Self::TransactionCreated => &[TRANSACTIONS, TRANSACTIONS_OF_DAY],
            Self::FinanceOutboxProcessed => &[FINANCE_OUTBOX],
        }
    }
}
