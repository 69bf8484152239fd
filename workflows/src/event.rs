//! What the daemon tells everyone: the event catalog (seed 2, and domain §13 for those it lacks).
//!
//! A variant is one event, its fields the catalog's payload keys. `casino_id` and `at` are added to every payload.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{Display, EnumString, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::chipset::Chipset;
use crate::word::{Category, ExceptionStatus, GameType, MetricGrade, SlipKind, SlipStatus, Status, Trigger};

/// An event as it is written into the outbox, in the command's own transaction.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event")]
pub enum Event {
    #[serde(rename = "table.session_created")]
    SessionCreated {
        session_id: Uuid,
        table_id: Uuid,
        gaming_day: NaiveDate,
    },
    #[serde(rename = "table.session_advanced")]
    SessionAdvanced {
        session_id: Uuid,
        table_id: Uuid,
        from: Status,
        to: Status,
        trigger: Trigger,
    },
    #[serde(rename = "table.inventory_open")]
    InventoryOpen {
        table_id: Uuid,
        snapshot_id: Uuid,
        chipset: Chipset,
        counted_by: Uuid,
        verified_by: Option<Uuid>,
    },
    #[serde(rename = "table.inventory_close")]
    InventoryClose {
        table_id: Uuid,
        snapshot_id: Uuid,
        chipset: Chipset,
        discrepancy_cents: Option<i64>,
        counted_by: Uuid,
        verified_by: Option<Uuid>,
    },
    #[serde(rename = "table.inventory_rundown_recorded")]
    InventoryRundownRecorded {
        table_id: Uuid,
        snapshot_id: Uuid,
        chipset: Chipset,
        note: Option<String>,
    },
    #[serde(rename = "table.fill_requested")]
    FillRequested {
        table_id: Uuid,
        request_id: String,
        amount_cents: i64,
        chipset: Chipset,
        requested_by: Uuid,
        slip_no: Option<String>,
    },
    #[serde(rename = "table.fill_completed")]
    FillCompleted {
        table_id: Uuid,
        request_id: String,
        amount_cents: i64,
        delivered_by: Option<Uuid>,
        received_by: Option<Uuid>,
    },
    #[serde(rename = "table.credit_requested")]
    CreditRequested {
        table_id: Uuid,
        request_id: String,
        amount_cents: i64,
        chipset: Chipset,
        authorized_by: Uuid,
    },
    #[serde(rename = "table.credit_completed")]
    CreditCompleted {
        table_id: Uuid,
        request_id: String,
        amount_cents: i64,
        sent_by: Option<Uuid>,
        received_by: Option<Uuid>,
    },
    #[serde(rename = "table.slip_advanced")]
    SlipAdvanced {
        slip_id: Uuid,
        session_id: Uuid,
        table_id: Uuid,
        kind: SlipKind,
        from: Option<SlipStatus>,
        to: SlipStatus,
    },
    #[serde(rename = "table.drop_scheduled")]
    DropScheduled {
        session_id: Uuid,
        table_id: Uuid,
        drop_scheduled_for: Option<DateTime<Utc>>,
    },
    #[serde(rename = "table.drop_removed")]
    DropRemoved {
        table_id: Uuid,
        drop_box_id: Uuid,
        seal_no: String,
        gaming_day: NaiveDate,
        seq_no: i32,
        removed_by: Uuid,
        witnessed_by: Uuid,
    },
    #[serde(rename = "table.drop_delivered")]
    DropDelivered {
        table_id: Uuid,
        drop_box_id: Uuid,
        delivered_at: DateTime<Utc>,
        delivered_scan_at: Option<DateTime<Utc>>,
    },
    #[serde(rename = "table.drop_received")]
    DropReceived {
        table_id: Uuid,
        drop_box_id: Uuid,
        drop_event_id: Uuid,
        received_at: DateTime<Utc>,
        received_by: Uuid,
    },
    #[serde(rename = "table.drop_counted")]
    DropCounted {
        session_id: Uuid,
        table_id: Uuid,
        drop_box_id: Uuid,
        drop_event_id: Uuid,
        soft_count_id: Uuid,
        accepted: bool,
    },
    #[serde(rename = "table.exception_raised")]
    ExceptionRaised {
        exception_id: Uuid,
        session_id: Uuid,
        table_id: Uuid,
        category: Category,
        variance_cents: Option<i64>,
    },
    #[serde(rename = "table.exception_resolved")]
    ExceptionResolved {
        exception_id: Uuid,
        session_id: Uuid,
        table_id: Uuid,
        category: Category,
        status: ExceptionStatus,
    },
    #[serde(rename = "table.rundown_computed")]
    RundownComputed {
        session_id: Uuid,
        table_id: Uuid,
        win_loss_stat_cents: Option<i64>,
        metric_grade: MetricGrade,
    },
    #[serde(rename = "table.rundown_finalized")]
    RundownFinalized {
        session_id: Uuid,
        table_id: Uuid,
        win_loss_stat_cents: Option<i64>,
        finalized_by: Uuid,
    },
    #[serde(rename = "table.activated")]
    TableActivated {
        table_id: Uuid,
        label: String,
        #[serde(rename = "type")]
        game: GameType,
        pit: Option<String>,
    },
    #[serde(rename = "table.deactivated")]
    TableDeactivated { table_id: Uuid },
    #[serde(rename = "table.buyin_logged")]
    BuyinLogged {
        telemetry_id: Uuid,
        table_id: Uuid,
        gaming_day: NaiveDate,
        telemetry_kind: TelemetryKind,
        source: TelemetrySource,
        amount_cents: i64,
        visit_id: Option<Uuid>,
        rating_slip_id: Option<Uuid>,
        occurred_at: DateTime<Utc>,
    },
    #[serde(rename = "shift.opened")]
    ShiftOpened {
        shift_id: Uuid,
        gaming_day: NaiveDate,
        name: String,
        starts_at: DateTime<Utc>,
        ends_at: DateTime<Utc>,
    },
    #[serde(rename = "shift.closed")]
    ShiftClosed {
        shift_id: Uuid,
        gaming_day: NaiveDate,
        name: String,
    },
    #[serde(rename = "shift.rundown_ready")]
    ShiftRundownReady {
        shift_id: Uuid,
        gaming_day: NaiveDate,
        name: String,
        win_loss_stat_cents: Option<i64>,
    },
    #[serde(rename = "rollup.updated")]
    RollupUpdated {
        cell: String,
        grain: String,
        by: String,
        gaming_day: NaiveDate,
        shift_id: Option<Uuid>,
        table_id: Option<Uuid>,
        pit: Option<String>,
        version: i64,
    },
    #[serde(rename = "visit.created")]
    VisitCreated {
        visit_id: Uuid,
        /// None for a ghost.
        player_id: Option<Uuid>,
        visit_kind: VisitKind,
        started_at: DateTime<Utc>,
    },
    #[serde(rename = "visit.closed")]
    VisitClosed {
        visit_id: Uuid,
        /// None for a ghost.
        player_id: Option<Uuid>,
        visit_kind: VisitKind,
        ended_at: DateTime<Utc>,
    },
    #[serde(rename = "visit.converted")]
    VisitConverted {
        visit_id: Uuid,
        player_id: Uuid,
        from_kind: VisitKind,
        to_kind: VisitKind,
    },
    #[serde(rename = "visit.checked_in")]
    VisitCheckedIn {
        visit_id: Uuid,
        player_id: Uuid,
        started_at: DateTime<Utc>,
    },
    #[serde(rename = "visit.checked_out")]
    VisitCheckedOut {
        visit_id: Uuid,
        player_id: Uuid,
        started_at: DateTime<Utc>,
        ended_at: DateTime<Utc>,
        duration_minutes: i64,
    },
    #[serde(rename = "rating_slip.created")]
    RatingSlipCreated {
        rating_slip_id: Uuid,
        visit_id: Uuid,
        table_id: Uuid,
        status: RatingSlipStatus,
    },
    #[serde(rename = "rating_slip.updated")]
    RatingSlipUpdated {
        rating_slip_id: Uuid,
        visit_id: Uuid,
        /// Cents: the catalog's key has no unit, and all money here is cents.
        average_bet: Option<i64>,
        minutes_played: i64,
        game_type: GameType,
        status: RatingSlipStatus,
    },
    #[serde(rename = "rating_slip.closed")]
    RatingSlipClosed {
        rating_slip_id: Uuid,
        visit_id: Uuid,
        end_time: DateTime<Utc>,
        /// Seconds.
        total_duration: i64,
        /// Cents.
        average_bet: Option<i64>,
        status: RatingSlipStatus,
    },
    #[serde(rename = "loyalty.ledger_appended")]
    LedgerAppended {
        ledger_id: Uuid,
        player_id: Uuid,
        /// Negative for a correction.
        points_earned: i64,
        reason: LedgerReason,
        rating_slip_id: Option<Uuid>,
        visit_id: Option<Uuid>,
    },
    #[serde(rename = "loyalty.balance_updated")]
    BalanceUpdated {
        player_id: Uuid,
        balance: i64,
        balance_delta: i64,
        tier: Option<String>,
    },
    #[serde(rename = "floor_layout.activated")]
    FloorLayoutActivated {
        layout_id: Uuid,
        layout_version_id: Uuid,
        activated_by: Uuid,
        activated_at: DateTime<Utc>,
        pits: Vec<LaidPit>,
        table_slots: Vec<LaidSlot>,
    },
    #[serde(rename = "finance.transaction_created")]
    TransactionCreated {
        transaction_id: Uuid,
        player_id: Uuid,
        /// Cents (domain §13).
        amount: i64,
        tender_type: Option<String>,
        gaming_day: NaiveDate,
        visit_id: Option<Uuid>,
    },
    #[serde(rename = "finance.outbox_processed")]
    FinanceOutboxProcessed {
        outbox_id: Uuid,
        ledger_id: Uuid,
        event_type: String,
        attempt_count: i32,
        processed_at: DateTime<Utc>,
    },
}

/// A pit as a floor layout draws it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaidPit {
    pub pit_id: Uuid,
    pub label: String,
    pub sequence: i32,
}

/// A place for a table in a floor layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaidSlot {
    pub slot_id: Uuid,
    pub slot_label: String,
    pub game_type: GameType,
    pub pit_id: Option<Uuid>,
    pub preferred_table_id: Option<Uuid>,
}

/// Why a player is in the house (seed 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumString, VariantArray, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum VisitKind {
    /// Known, and not at a table.
    RewardIdentified,
    /// Known, and rated at the tables.
    GamingIdentifiedRated,
    /// Nobody knows who plays.
    GamingGhostUnrated,
}

/// The life of a rating slip (seed 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumString, VariantArray, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RatingSlipStatus {
    Open,
    Paused,
    Closed,
}

/// Why points were booked (seed 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumString, VariantArray, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LedgerReason {
    MidSession,
    SessionEnd,
    ManualAdjustment,
    Promotion,
    Correction,
}

/// What a buy-in entry is: linkage decides, never the amount (domain §10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumString, VariantArray, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum TelemetryKind {
    RatedBuyin,
    GrindBuyin,
    RatedAdjustment,
    GrindAdjustment,
}

/// Who wrote a buy-in entry (domain §10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumString, VariantArray, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TelemetrySource {
    FinanceBridge,
    ManualOps,
}

impl Event {
    /// What the event is about: events of one resource keep their order among themselves, and its detail channel
    /// `{casino_id}:{resource_id}` carries those that the catalog sends there. None where only the casino as a whole is meant.
    pub fn resource_id(&self) -> Option<Uuid> {
        match self {
            Self::SessionCreated { table_id, .. }
            | Self::SessionAdvanced { table_id, .. }
            | Self::InventoryOpen { table_id, .. }
            | Self::InventoryClose { table_id, .. }
            | Self::InventoryRundownRecorded { table_id, .. }
            | Self::FillRequested { table_id, .. }
            | Self::FillCompleted { table_id, .. }
            | Self::CreditRequested { table_id, .. }
            | Self::CreditCompleted { table_id, .. }
            | Self::SlipAdvanced { table_id, .. }
            | Self::DropScheduled { table_id, .. }
            | Self::DropRemoved { table_id, .. }
            | Self::DropDelivered { table_id, .. }
            | Self::DropReceived { table_id, .. }
            | Self::DropCounted { table_id, .. }
            | Self::ExceptionRaised { table_id, .. }
            | Self::ExceptionResolved { table_id, .. }
            | Self::RundownComputed { table_id, .. }
            | Self::RundownFinalized { table_id, .. }
            | Self::TableActivated { table_id, .. }
            | Self::TableDeactivated { table_id }
            | Self::BuyinLogged { table_id, .. } => Some(*table_id),
            Self::ShiftOpened { shift_id, .. } | Self::ShiftClosed { shift_id, .. } | Self::ShiftRundownReady { shift_id, .. } => {
                Some(*shift_id)
            }
            Self::RollupUpdated { table_id, shift_id, .. } => table_id.or(*shift_id),
            Self::VisitCreated { visit_id, .. }
            | Self::VisitClosed { visit_id, .. }
            | Self::VisitConverted { visit_id, .. }
            | Self::VisitCheckedIn { visit_id, .. }
            | Self::VisitCheckedOut { visit_id, .. } => Some(*visit_id),
            Self::RatingSlipCreated { rating_slip_id, .. }
            | Self::RatingSlipUpdated { rating_slip_id, .. }
            | Self::RatingSlipClosed { rating_slip_id, .. } => Some(*rating_slip_id),
            Self::LedgerAppended { player_id, .. }
            | Self::BalanceUpdated { player_id, .. }
            | Self::TransactionCreated { player_id, .. } => Some(*player_id),
            Self::FloorLayoutActivated { layout_id, .. } => Some(*layout_id),
            Self::FinanceOutboxProcessed { ledger_id, .. } => Some(*ledger_id),
        }
    }

    /// Channels as the catalog gives them.
    pub fn channels(&self, casino_id: Uuid) -> Vec<String> {
        let casino = casino_id.to_string();
        let resource = self.resource_id().map(|id| format!("{casino_id}:{id}"));
        match self.audience() {
            Audience::Both => std::iter::once(casino).chain(resource).collect(),
            Audience::Casino => vec![casino],
            Audience::Resource => resource.into_iter().collect(),
            Audience::Internal => vec![format!("{casino_id}:{INTERNAL}")],
        }
    }

    /// Which of the two channels the catalog names for the event.
    pub const fn audience(&self) -> Audience {
        match self {
            Self::SessionCreated { .. }
            | Self::SessionAdvanced { .. }
            | Self::InventoryOpen { .. }
            | Self::InventoryClose { .. }
            | Self::FillRequested { .. }
            | Self::FillCompleted { .. }
            | Self::CreditRequested { .. }
            | Self::CreditCompleted { .. }
            | Self::SlipAdvanced { .. }
            | Self::DropScheduled { .. }
            | Self::DropRemoved { .. }
            | Self::DropDelivered { .. }
            | Self::DropReceived { .. }
            | Self::DropCounted { .. }
            | Self::ExceptionRaised { .. }
            | Self::ExceptionResolved { .. }
            | Self::RundownComputed { .. }
            | Self::RundownFinalized { .. }
            | Self::BuyinLogged { .. }
            | Self::ShiftOpened { .. }
            | Self::ShiftClosed { .. }
            | Self::ShiftRundownReady { .. }
            | Self::RollupUpdated { .. }
            | Self::VisitClosed { .. }
            | Self::VisitConverted { .. }
            | Self::VisitCheckedOut { .. }
            | Self::RatingSlipUpdated { .. }
            | Self::RatingSlipClosed { .. }
            | Self::LedgerAppended { .. }
            | Self::TransactionCreated { .. } => Audience::Both,
            Self::TableActivated { .. }
            | Self::TableDeactivated { .. }
            | Self::VisitCreated { .. }
            | Self::VisitCheckedIn { .. }
            | Self::RatingSlipCreated { .. }
            | Self::FloorLayoutActivated { .. } => Audience::Casino,
            Self::InventoryRundownRecorded { .. } | Self::BalanceUpdated { .. } => Audience::Resource,
            Self::FinanceOutboxProcessed { .. } => Audience::Internal,
        }
    }

    /// The payload as published: the variant's own keys, and `casino_id` and `at`.
    pub fn payload(&self, casino_id: Uuid, at: DateTime<Utc>) -> Value {
        let mut payload = serde_json::to_value(self).unwrap_or_default();
        if let Some(keys) = payload.as_object_mut() {
            keys.insert("casino_id".to_owned(), Value::from(casino_id.to_string()));
            keys.insert(
                "at".to_owned(),
                Value::from(at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)),
            );
        }
        payload
    }
}

/// The resource part of the channel for what the catalog calls internal: worker monitoring, which is nobody's but an admin's.
pub const INTERNAL: &str = "internal";

/// Where an event is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// On the casino's channel and on its resource's.
    Both,
    /// On the casino's alone.
    Casino,
    /// On its resource's alone.
    Resource,
    /// On the casino's internal channel alone.
    Internal,
}
