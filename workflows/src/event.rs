//! What the daemon tells everyone: the event catalog (seed 2, and domain §13 for those it lacks).
//!
//! An entry of [`catalog!`] is one event: its name, where it is heard, who may read it, its pace, and the catalog's payload keys. `casino_id`
//! and `at` are added to every payload. Nothing else has to be told of a new event: schemas, documents, streams and the map of client caches
//! are made from the entry, and the compiler asks for what it cannot know.

mod cache;
mod schema;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{Display, EnumString, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::cache::{Action, CacheKey};
pub use self::schema::{async_api, payload_schema, schemas};
use crate::act::{self, Act};
use crate::chipset::Chipset;
use crate::role::Role;
use crate::word::{Category, ExceptionStatus, GameType, MetricGrade, SlipKind, SlipStatus, Status, Trigger};

/// The shape of all events that this program writes and reads. A shape that a reader of today could not take would be version 2.
pub const SCHEMA_VERSION: i32 = 1;

/// The resource part of the channel for what the catalog calls internal: worker monitoring.
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

/// How often an event may be heard on a live stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// A change of state: always, at once.
    Always,
    /// One of many snapshots of the same thing: at most one a second, the last one stands for those before it.
    Snapshot,
}

macro_rules! catalog {
    ($(
        $(#[$doc:meta])*
        $variant:ident = $name:tt, $audience:ident, $reader:ident, $pace:ident { $($(#[$key_doc:meta])* $key:ident: $type:ty),* $(,)? }
    )+) => {
        /// An event as it is written into the outbox, in the command's own transaction.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
        #[serde(tag = "event")]
        pub enum Event {
            $($(#[$doc])* #[serde(rename = $name)] $variant { $($(#[$key_doc])* $key: $type),* }),+
        }

        /// The events by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, VariantArray)]
        pub enum Name { $($variant),+ }

        impl Name {
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Where it is heard, as the catalog says.
            pub const fn audience(self) -> Audience {
                match self { $(Self::$variant => Audience::$audience),+ }
            }

            /// Who may read it: the same rule as for reading what it tells of.
            pub const fn reader(self) -> Act {
                match self { $(Self::$variant => act::$reader),+ }
            }

            pub const fn pace(self) -> Pace {
                match self { $(Self::$variant => Pace::$pace),+ }
            }

            /// What happened, in a sentence.
            pub fn summary(self) -> &'static str {
                match self { $(Self::$variant => said(&[$(stringify!($doc)),*])),+ }
            }
        }

        impl Event {
            pub const fn name(&self) -> Name {
                match self { $(Self::$variant { .. } => Name::$variant),+ }
            }
        }
    };
}

catalog! {
    /// A session of a table was created.
    SessionCreated = "table.session_created", Both, READ_FLOOR, Always {
        session_id: Uuid,
        table_id: Uuid,
        gaming_day: NaiveDate,
    }
    /// A session took an edge of its machine.
    SessionAdvanced = "table.session_advanced", Both, READ_FLOOR, Always {
        session_id: Uuid,
        table_id: Uuid,
        from: Status,
        to: Status,
        trigger: Trigger,
    }
    /// The opening count of a tray was verified.
    InventoryOpen = "table.inventory_open", Both, READ_FLOOR, Always {
        table_id: Uuid,
        snapshot_id: Uuid,
        #[schema(value_type = BTreeMap<String, i64>)]
        chipset: Chipset,
        counted_by: Uuid,
        verified_by: Option<Uuid>,
    }
    /// The closing count of a tray was verified.
    InventoryClose = "table.inventory_close", Both, READ_FLOOR, Always {
        table_id: Uuid,
        snapshot_id: Uuid,
        #[schema(value_type = BTreeMap<String, i64>)]
        chipset: Chipset,
        /// Against par, where the bank is imprest; else null.
        discrepancy_cents: Option<i64>,
        counted_by: Uuid,
        verified_by: Option<Uuid>,
    }
    /// A tray was counted in the middle of a session.
    InventoryRundownRecorded = "table.inventory_rundown_recorded", Resource, READ_FLOOR, Always {
        table_id: Uuid,
        snapshot_id: Uuid,
        #[schema(value_type = BTreeMap<String, i64>)]
        chipset: Chipset,
        note: Option<String>,
    }
    /// A table asked for chips.
    FillRequested = "table.fill_requested", Both, READ_FLOOR, Always {
        table_id: Uuid,
        /// The client's own key for the slip.
        request_id: String,
        amount_cents: i64,
        #[schema(value_type = BTreeMap<String, i64>)]
        chipset: Chipset,
        requested_by: Uuid,
        slip_no: Option<String>,
    }
    /// The chips of a fill were verified at the table.
    FillCompleted = "table.fill_completed", Both, READ_FLOOR, Always {
        table_id: Uuid,
        request_id: String,
        amount_cents: i64,
        delivered_by: Option<Uuid>,
        received_by: Option<Uuid>,
    }
    /// A table asked to give chips back.
    CreditRequested = "table.credit_requested", Both, READ_FLOOR, Always {
        table_id: Uuid,
        request_id: String,
        amount_cents: i64,
        #[schema(value_type = BTreeMap<String, i64>)]
        chipset: Chipset,
        authorized_by: Uuid,
    }
    /// The cage received the chips of a credit.
    CreditCompleted = "table.credit_completed", Both, READ_FLOOR, Always {
        table_id: Uuid,
        request_id: String,
        amount_cents: i64,
        sent_by: Option<Uuid>,
        received_by: Option<Uuid>,
    }
    /// A slip took an edge of its machine.
    SlipAdvanced = "table.slip_advanced", Both, READ_FLOOR, Always {
        slip_id: Uuid,
        session_id: Uuid,
        table_id: Uuid,
        kind: SlipKind,
        from: Option<SlipStatus>,
        to: SlipStatus,
    }
    /// A removal was planned, or its plan taken back.
    DropScheduled = "table.drop_scheduled", Both, READ_FLOOR, Always {
        session_id: Uuid,
        table_id: Uuid,
        drop_scheduled_for: Option<DateTime<Utc>>,
    }
    /// A box was removed from its table.
    DropRemoved = "table.drop_removed", Both, READ_FLOOR, Always {
        table_id: Uuid,
        drop_box_id: Uuid,
        seal_no: String,
        gaming_day: NaiveDate,
        seq_no: i32,
        removed_by: Uuid,
        witnessed_by: Uuid,
    }
    /// A removed box was delivered to the count room.
    DropDelivered = "table.drop_delivered", Both, READ_FLOOR, Always {
        table_id: Uuid,
        drop_box_id: Uuid,
        delivered_at: DateTime<Utc>,
        delivered_scan_at: Option<DateTime<Utc>>,
    }
    /// The count room received a box.
    DropReceived = "table.drop_received", Both, READ_FLOOR, Always {
        table_id: Uuid,
        drop_box_id: Uuid,
        drop_event_id: Uuid,
        received_at: DateTime<Utc>,
        received_by: Uuid,
    }
    /// A box was counted.
    DropCounted = "table.drop_counted", Both, READ_COUNTS, Always {
        session_id: Uuid,
        table_id: Uuid,
        drop_box_id: Uuid,
        drop_event_id: Uuid,
        soft_count_id: Uuid,
        accepted: bool,
    }
    /// A session needs a person's explanation.
    ExceptionRaised = "table.exception_raised", Both, READ_FLOOR, Always {
        exception_id: Uuid,
        session_id: Uuid,
        table_id: Uuid,
        category: Category,
        /// Null too for whoever may not read counts, where the category tells of one.
        variance_cents: Option<i64>,
    }
    /// An exception was resolved or waived.
    ExceptionResolved = "table.exception_resolved", Both, READ_FLOOR, Always {
        exception_id: Uuid,
        session_id: Uuid,
        table_id: Uuid,
        category: Category,
        status: ExceptionStatus,
    }
    /// A session's report was computed.
    RundownComputed = "table.rundown_computed", Both, READ_COUNTS, Always {
        session_id: Uuid,
        table_id: Uuid,
        win_loss_stat_cents: Option<i64>,
        metric_grade: MetricGrade,
    }
    /// A session was signed off.
    RundownFinalized = "table.rundown_finalized", Both, READ_COUNTS, Always {
        session_id: Uuid,
        table_id: Uuid,
        win_loss_stat_cents: Option<i64>,
        finalized_by: Uuid,
    }
    /// A table was brought into service.
    TableActivated = "table.activated", Casino, READ_FLOOR, Always {
        table_id: Uuid,
        label: String,
        #[serde(rename = "type")]
        game: GameType,
        pit: Option<String>,
    }
    /// A table was taken out of service.
    TableDeactivated = "table.deactivated", Casino, READ_FLOOR, Always {
        table_id: Uuid,
    }
    /// A buy-in was logged, by the bridge from finance or by hand.
    BuyinLogged = "table.buyin_logged", Both, READ_FLOOR, Snapshot {
        telemetry_id: Uuid,
        table_id: Uuid,
        gaming_day: NaiveDate,
        telemetry_kind: TelemetryKind,
        source: TelemetrySource,
        amount_cents: i64,
        visit_id: Option<Uuid>,
        rating_slip_id: Option<Uuid>,
        occurred_at: DateTime<Utc>,
    }
    /// A shift began.
    ShiftOpened = "shift.opened", Both, READ_FLOOR, Always {
        shift_id: Uuid,
        gaming_day: NaiveDate,
        name: String,
        starts_at: DateTime<Utc>,
        ends_at: DateTime<Utc>,
    }
    /// A shift ended.
    ShiftClosed = "shift.closed", Both, READ_FLOOR, Always {
        shift_id: Uuid,
        gaming_day: NaiveDate,
        name: String,
    }
    /// Everything a shift will ever prove is proved.
    ShiftRundownReady = "shift.rundown_ready", Both, READ_COUNTS, Always {
        shift_id: Uuid,
        gaming_day: NaiveDate,
        name: String,
        win_loss_stat_cents: Option<i64>,
    }
    /// A stored rollup changed.
    RollupUpdated = "rollup.updated", Both, READ_COUNTS, Snapshot {
        cell: String,
        grain: String,
        by: String,
        gaming_day: NaiveDate,
        shift_id: Option<Uuid>,
        table_id: Option<Uuid>,
        pit: Option<String>,
        version: i64,
    }
    /// A visit began.
    VisitCreated = "visit.created", Casino, READ_FLOOR, Always {
        visit_id: Uuid,
        /// Null for a ghost.
        player_id: Option<Uuid>,
        visit_kind: VisitKind,
        started_at: DateTime<Utc>,
    }
    /// A visit ended.
    VisitClosed = "visit.closed", Both, READ_FLOOR, Always {
        visit_id: Uuid,
        /// Null for a ghost.
        player_id: Option<Uuid>,
        visit_kind: VisitKind,
        ended_at: DateTime<Utc>,
    }
    /// A reward visit became a gaming visit.
    VisitConverted = "visit.converted", Both, READ_FLOOR, Always {
        visit_id: Uuid,
        player_id: Uuid,
        from_kind: VisitKind,
        to_kind: VisitKind,
    }
    /// A player came into the house.
    VisitCheckedIn = "visit.checked_in", Casino, READ_FLOOR, Always {
        visit_id: Uuid,
        player_id: Uuid,
        started_at: DateTime<Utc>,
    }
    /// A player left the house.
    VisitCheckedOut = "visit.checked_out", Both, READ_FLOOR, Always {
        visit_id: Uuid,
        player_id: Uuid,
        started_at: DateTime<Utc>,
        ended_at: DateTime<Utc>,
        duration_minutes: i64,
    }
    /// A rating slip was opened.
    RatingSlipCreated = "rating_slip.created", Casino, READ_FLOOR, Always {
        rating_slip_id: Uuid,
        visit_id: Uuid,
        table_id: Uuid,
        status: RatingSlipStatus,
    }
    /// A rating slip changed. One that changed its status is heard at once.
    RatingSlipUpdated = "rating_slip.updated", Both, READ_FLOOR, Snapshot {
        rating_slip_id: Uuid,
        visit_id: Uuid,
        /// Cents: the catalog's key has no unit, and all money here is cents.
        average_bet: Option<i64>,
        minutes_played: i64,
        game_type: GameType,
        status: RatingSlipStatus,
    }
    /// A rating slip was closed.
    RatingSlipClosed = "rating_slip.closed", Both, READ_FLOOR, Always {
        rating_slip_id: Uuid,
        visit_id: Uuid,
        end_time: DateTime<Utc>,
        /// Seconds.
        total_duration: i64,
        /// Cents.
        average_bet: Option<i64>,
        status: RatingSlipStatus,
    }
    /// Points were booked for a player.
    LedgerAppended = "loyalty.ledger_appended", Both, READ_FLOOR, Always {
        ledger_id: Uuid,
        player_id: Uuid,
        /// Negative for a correction.
        points_earned: i64,
        reason: LedgerReason,
        rating_slip_id: Option<Uuid>,
        visit_id: Option<Uuid>,
    }
    /// A player's balance of points changed.
    BalanceUpdated = "loyalty.balance_updated", Resource, READ_FLOOR, Always {
        player_id: Uuid,
        balance: i64,
        balance_delta: i64,
        tier: Option<String>,
    }
    /// A version of the floor's layout came into force.
    FloorLayoutActivated = "floor_layout.activated", Casino, READ_FLOOR, Always {
        layout_id: Uuid,
        layout_version_id: Uuid,
        activated_by: Uuid,
        activated_at: DateTime<Utc>,
        pits: Vec<LaidPit>,
        table_slots: Vec<LaidSlot>,
    }
    /// Money moved between a player and the house.
    TransactionCreated = "finance.transaction_created", Both, READ_FLOOR, Always {
        transaction_id: Uuid,
        player_id: Uuid,
        /// Cents (domain §13).
        amount: i64,
        tender_type: Option<String>,
        gaming_day: NaiveDate,
        visit_id: Option<Uuid>,
    }
    /// A webhook's receiver took what finance had to tell.
    FinanceOutboxProcessed = "finance.outbox_processed", Internal, RUN_OUTBOX, Always {
        outbox_id: Uuid,
        ledger_id: Uuid,
        event_type: String,
        attempt_count: i32,
        processed_at: DateTime<Utc>,
    }
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

/// How much of an event a role may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    Whole,
    /// That it happened, without its figures: as lists of exceptions show it to whoever may not read counts.
    WithoutFigures,
    Nothing,
}

/// One of many snapshots of the same thing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The thing.
    pub of: String,
    /// Its state, where it has one: a snapshot in another state is no mere snapshot.
    pub state: Option<RatingSlipStatus>,
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

    /// The channels it is heard on.
    pub fn channels(&self, casino_id: Uuid) -> Vec<String> {
        let casino = casino_id.to_string();
        let resource = self.resource_id().map(|id| format!("{casino_id}:{id}"));
        match self.name().audience() {
            Audience::Both => std::iter::once(casino).chain(resource).collect(),
            Audience::Casino => vec![casino],
            Audience::Resource => resource.into_iter().collect(),
            Audience::Internal => vec![format!("{casino_id}:{INTERNAL}")],
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

    /// Reads a stored payload back, or says why it is none of this catalog.
    pub fn read(payload: &Value, schema_version: i32) -> Result<Self, String> {
        if schema_version != SCHEMA_VERSION {
            return Err(format!(
                "schema version {schema_version} is not {SCHEMA_VERSION}, the one this program knows"
            ));
        }
        Self::deserialize(payload).map_err(|error| error.to_string())
    }

    /// How much of it a role sees: what it may read where it asks for the thing itself.
    pub fn sight(&self, role: Role) -> Sight {
        if !self.name().reader().may(role) {
            return Sight::Nothing;
        }
        let of_a_count = matches!(self, Self::ExceptionRaised { category, .. } if category.tells_of_counts());
        if of_a_count && !act::READ_COUNTS.may(role) {
            return Sight::WithoutFigures;
        }
        Sight::Whole
    }

    /// Takes the figures out of a payload: for [`Sight::WithoutFigures`].
    pub fn without_figures(payload: &mut Value) {
        payload["variance_cents"] = Value::Null;
    }

    /// What it is a snapshot of, if no more than that.
    pub fn snapshot(&self) -> Option<Snapshot> {
        if self.name().pace() == Pace::Always {
            return None;
        }
        let state = if let Self::RatingSlipUpdated { status, .. } = self {
            Some(*status)
        } else {
            None
        };
        // A rollup of a pit or of the casino has no resource of its own: its cell is the thing.
        let of = if let Self::RollupUpdated { cell, .. } = self {
            cell.clone()
        } else {
            self.resource_id()?.to_string()
        };
        Some(Snapshot { of, state })
    }
}

/// Whether the catalog has an event of this name.
pub fn is_known(name: &str) -> bool {
    Name::parse(name).is_some()
}

impl Name {
    pub fn parse(name: &str) -> Option<Self> {
        Self::VARIANTS.iter().copied().find(|known| known.as_str() == name)
    }
}

/// The words of a doc comment, as the macro sees it: `doc = " words"`.
fn said(docs: &[&'static str]) -> &'static str {
    let first = docs.first().copied().unwrap_or_default();
    first.split('"').nth(1).unwrap_or_default().trim()
}
