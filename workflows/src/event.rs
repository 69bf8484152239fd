//! What the daemon tells everyone: the event catalog (seed 2, and domain §13 for those it lacks).
//!
//! A variant is one event, its fields the catalog's payload keys. `casino_id` and `at` are added to every payload.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
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
}

impl Event {
    /// The resource whose detail channel `{casino_id}:{resource_id}` carries the event beside the casino's own; none where only the casino's
    /// does.
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
            | Self::TableDeactivated { table_id } => Some(*table_id),
            Self::ShiftOpened { shift_id, .. } | Self::ShiftClosed { shift_id, .. } | Self::ShiftRundownReady { shift_id, .. } => {
                Some(*shift_id)
            }
            Self::RollupUpdated { table_id, shift_id, .. } => table_id.or(*shift_id),
        }
    }

    /// Channels as the catalog gives them: a rundown goes to the table alone, activation to the casino alone.
    pub fn channels(&self, casino_id: Uuid) -> Vec<String> {
        let casino = casino_id.to_string();
        let resource = self.resource_id().map(|id| format!("{casino_id}:{id}"));
        if matches!(self, Self::InventoryRundownRecorded { .. }) {
            resource.into_iter().collect()
        } else if matches!(self, Self::TableActivated { .. } | Self::TableDeactivated { .. }) {
            vec![casino]
        } else {
            std::iter::once(casino).chain(resource).collect()
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
