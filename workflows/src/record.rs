//! The rows of the floor as the law sees them: one struct a table, field for column.
//!
//! A record is a plain value. It comes from the database as JSON with the columns' names, and goes back the same way;
//! what may become of it is decided in the machines, never here. Money is in cents, instants are UTC.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::chipset::{Chipset, RawChipset};
use crate::role::Role;
use crate::timetable::{CatchUp, FoldPolicy, GapPolicy};
use crate::word::{
    BankMode, BoxKind, Category, CloseReason, CountStanding, CountStatus, DocumentKind, ExceptionStatus, GameType, JobKind, MatchOutcome,
    Method, MetricGrade, Overlap, ReasonCode, RunStatus, ShiftStatus, SlipKind, SlipPurpose, SlipScope, SlipStatus, SnapshotKind,
    StaffStatus, Status, SubjectKind, SummaryStatus, TableStatus, TemplateStatus, Trigger,
};

/// `casino`: settings and policies. Tolerances are compared as |variance| > tolerance.
#[expect(clippy::struct_excessive_bools, reason = "the columns of a settings row, each a policy of its own")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Casino {
    pub id: Uuid,
    pub name: String,
    /// IANA name.
    pub timezone: String,
    /// Local time of day at which a gaming day begins.
    pub gaming_day_start: NaiveTime,
    pub bank_mode: BankMode,
    /// The chip list; a chipset may hold nothing else.
    pub denominations_cents: Vec<i64>,
    pub opening_tolerance_cents: i64,
    pub par_tolerance_cents: i64,
    pub min_count_team: i32,
    pub drop_window_minutes: i32,
    pub delivery_limit_minutes: i32,
    pub drop_due_hours: i32,
    pub count_due_hours: i32,
    pub slip_scope: SlipScope,
    pub fill_series_open: bool,
    pub credit_series_open: bool,
    /// A closing may begin from COUNTED only.
    pub count_before_close: bool,
    /// Cashiers may acknowledge boxes as the count team does.
    pub cashier_receives_boxes: bool,
    /// HOLD_DEVIATION is off until both ends of the band are set (basis points).
    pub hold_band_low_bp: Option<i32>,
    pub hold_band_high_bp: Option<i32>,
    /// At this share of a pit's open tables with unrated buy-ins logged, they vouch for the pit's other tables (basis points).
    pub pit_grind_share_bp: i32,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// `staff`, without its PIN: what a rule may know of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Staff {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub employee_no: String,
    pub name: String,
    pub role: Role,
    pub status: StaffStatus,
}

/// `gaming_table`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Table {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub label: String,
    #[serde(rename = "type")]
    pub game: GameType,
    pub pit: Option<String>,
    pub status: TableStatus,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// `table_par`: append-only; the latest effective gaming day not after today's is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Par {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub table_id: Uuid,
    pub par_cents: i64,
    pub effective_gaming_day: NaiveDate,
    pub approved_by: Option<Uuid>,
    pub created_at: DateTime<Utc>,
}

/// `drop_box`. One row says where the box is, so it cannot be in two places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DropBox {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub label: String,
    /// The table a standard box belongs to; none for an emergency box.
    pub table_id: Option<Uuid>,
    pub kind: BoxKind,
    /// The table it stands on now; none in the store or in custody.
    pub on_table_id: Option<Uuid>,
    /// The box's n-th use: rises when its content has been counted. A slip and a removal name the use they belong to.
    pub use_no: i64,
    /// Derived on read: this use has been removed and not yet counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_custody: bool,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// `table_inventory_session`: the root row of everything below.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub table_id: Uuid,
    pub gaming_day: NaiveDate,
    pub shift_id: Option<Uuid>,
    pub status: Status,
    pub bank_mode: BankMode,
    /// Par bound at opening; cents.
    pub need_total_cents: Option<i64>,
    pub predecessor_id: Option<Uuid>,
    pub opening_snapshot_id: Option<Uuid>,
    pub closing_snapshot_id: Option<Uuid>,
    /// The box on the table now.
    pub drop_box_id: Option<Uuid>,
    pub drop_scheduled_for: Option<DateTime<Utc>>,
    /// The state a schedule may be taken back to.
    pub scheduled_from: Option<Status>,
    /// The highest removal `seq_no` that has carried the session to DROPPED.
    pub dropped_through_seq: i32,
    pub opened_at: Option<DateTime<Utc>>,
    pub opened_by: Option<Uuid>,
    pub activated_at: Option<DateTime<Utc>>,
    pub activated_by: Option<Uuid>,
    pub dropped_at: Option<DateTime<Utc>>,
    pub counted_at: Option<DateTime<Utc>>,
    pub closing_started_at: Option<DateTime<Utc>>,
    pub closing_started_by: Option<Uuid>,
    pub closed_at: Option<DateTime<Utc>>,
    pub closed_by: Option<Uuid>,
    pub close_reason: Option<CloseReason>,
    pub close_note: Option<String>,
    pub requires_reconciliation: bool,
    pub reconciled_at: Option<DateTime<Utc>>,
    pub finalized_at: Option<DateTime<Utc>>,
    pub finalized_by: Option<Uuid>,
    pub created_at: DateTime<Utc>,
    pub created_by: Uuid,
    /// Rises by one with every change: the ETag.
    pub version: i64,
}

/// `table_inventory_snapshot`: a tray count; it counts once a second person has verified it (domain §5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub session_id: Uuid,
    pub kind: SnapshotKind,
    #[schema(value_type = BTreeMap<String, i64>)]
    pub chipset: Chipset,
    pub total_cents: i64,
    pub counted_by: Uuid,
    pub counted_at: DateTime<Utc>,
    pub verified_by: Option<Uuid>,
    pub verified_at: Option<DateTime<Utc>>,
    pub expected_total_cents: Option<i64>,
    pub discrepancy_cents: Option<i64>,
    pub supersedes_id: Option<Uuid>,
    pub note: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// `table_slip`: a fill or a credit (domain §6). Amounts never change after ISSUED.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Slip {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub session_id: Uuid,
    pub table_id: Uuid,
    pub kind: SlipKind,
    pub purpose: SlipPurpose,
    /// The client's own id, unique per casino for ever.
    pub request_id: String,
    pub status: SlipStatus,
    #[schema(value_type = BTreeMap<String, i64>)]
    pub chipset: Chipset,
    pub amount_cents: i64,
    pub note: Option<String>,
    pub replaces_slip_id: Option<Uuid>,
    /// `gaming_day` or `calendar_year`, bound when the number is given.
    pub slip_scope: Option<SlipScope>,
    /// The gaming day (`2026-03-06`) or year (`2026`) the number belongs to.
    pub scope_key: Option<String>,
    pub slip_no: Option<i64>,
    pub requested_by: Uuid,
    pub requested_at: DateTime<Utc>,
    pub issued_by: Option<Uuid>,
    pub issued_at: Option<DateTime<Utc>>,
    /// Who carries: the fill's `delivered_by`, the credit's `sent_by`.
    pub runner_id: Option<Uuid>,
    /// Who counted the chips in or out at the table: the fill's `received_by`.
    pub dealer_id: Option<Uuid>,
    pub verified_by: Option<Uuid>,
    pub verified_at: Option<DateTime<Utc>>,
    #[schema(value_type = Option<BTreeMap<String, i64>>)]
    pub confirmed_chipset: Option<Chipset>,
    /// What was counted at the table; differs from `amount_cents` only with an exception.
    pub confirmed_amount_cents: Option<i64>,
    pub confirmed_note: Option<String>,
    /// Credits: the cashier who counted the chips into the cage (`received_by`).
    pub cage_received_by: Option<Uuid>,
    pub cage_received_at: Option<DateTime<Utc>>,
    pub cage_amount_cents: Option<i64>,
    pub deposited_by: Option<Uuid>,
    pub deposited_at: Option<DateTime<Utc>>,
    pub drop_box_id: Option<Uuid>,
    pub drop_box_use: Option<i64>,
    pub voided_by: Option<Uuid>,
    pub voided_at: Option<DateTime<Utc>>,
    /// The independent second signer of the void.
    pub void_cosigned_by: Option<Uuid>,
    pub void_reason: Option<String>,
    /// The status it was voided from.
    pub voided_from: Option<SlipStatus>,
    pub cancelled_by: Option<Uuid>,
    pub cancelled_at: Option<DateTime<Utc>>,
    pub cancel_reason: Option<String>,
    /// Written by hand during an outage, entered later.
    pub captured_offline: bool,
    pub entered_by: Option<Uuid>,
    pub entered_at: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// `table_drop_event`: one removal and the custody that follows. It carries no amount: a custody fact is not a count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drop {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub session_id: Uuid,
    pub table_id: Uuid,
    pub drop_box_id: Uuid,
    pub drop_box_use: i64,
    pub replacement_box_id: Option<Uuid>,
    pub seal_no: String,
    /// The session's n-th removal, from 1.
    pub seq_no: i32,
    pub gaming_day: NaiveDate,
    /// The session's status when the box went.
    pub removed_in: Status,
    /// The time it was planned for, if it was.
    pub scheduled_for: Option<DateTime<Utc>>,
    pub removed_at: DateTime<Utc>,
    pub removed_by: Uuid,
    pub witnessed_by: Uuid,
    pub emergency: bool,
    /// The box stood on the table: an emergency box may be used beside the one that does.
    pub stood_on_table: bool,
    pub delivered_at: Option<DateTime<Utc>>,
    pub delivered_by: Option<Uuid>,
    pub delivered_scan_at: Option<DateTime<Utc>>,
    pub received_at: Option<DateTime<Utc>>,
    pub received_by: Option<Uuid>,
    pub received_seal_no: Option<String>,
    /// When a count of it was first accepted.
    pub counted_at: Option<DateTime<Utc>>,
    pub note: Option<String>,
    pub created_at: DateTime<Utc>,
    /// Derived on read: compliance has waived the overdue count, on whichever session.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub count_waived: bool,
}

/// A paper found in a box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub kind: DocumentKind,
    /// The document's own number as decimal text; optional for kinds that have none.
    #[serde(default)]
    pub number: Option<String>,
    pub amount_cents: i64,
    #[serde(default)]
    pub note: Option<String>,
}

/// What the count room found in one box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceManifest {
    /// Denomination in cents (any positive one: notes, not the chip list) to pieces.
    #[schema(value_type = BTreeMap<String, i64>)]
    pub currency: RawChipset,
    #[serde(default)]
    pub documents: Vec<Document>,
}

/// One line of the comparison between what a box should hold and what it held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManifestItem {
    pub kind: DocumentKind,
    pub number: Option<String>,
    /// What the daemon expects; null for a paper it does not know.
    pub amount_cents: Option<i64>,
    /// What the count room found; null for a paper not found, or before the count.
    pub found_cents: Option<i64>,
    pub slip_id: Option<Uuid>,
    pub session_id: Option<Uuid>,
    /// Null before the count.
    #[serde(rename = "match")]
    pub outcome: Option<MatchOutcome>,
}

/// `soft_count_table_result`: one box counted. Immutable; a recount supersedes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SoftCount {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub session_id: Uuid,
    pub drop_event_id: Uuid,
    pub standing: CountStanding,
    pub drop_total_cents: i64,
    pub count_1_cents: i64,
    pub count_2_cents: i64,
    pub agreed_cents: Option<i64>,
    pub evidence_manifest: EvidenceManifest,
    /// The comparison, as made when the count came in.
    pub manifest: Vec<ManifestItem>,
    pub team: Vec<Uuid>,
    pub counted_at: DateTime<Utc>,
    pub counted_by: Uuid,
    pub batch_ref: Option<String>,
    pub supersedes_id: Option<Uuid>,
    pub created_at: DateTime<Utc>,
}

/// `reconciliation_exception`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Exception {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub session_id: Uuid,
    pub category: Category,
    pub subject_kind: SubjectKind,
    /// An id, or `<drop>:<kind>:<number>` for a paper nobody knows.
    pub subject_id: String,
    pub expected: Option<Value>,
    pub found: Option<Value>,
    pub variance_cents: Option<i64>,
    pub detail: Value,
    pub status: ExceptionStatus,
    pub due_at: Option<DateTime<Utc>>,
    pub owner: Option<Uuid>,
    pub reason_code: Option<ReasonCode>,
    pub resolution_note: Option<String>,
    pub acknowledged_by: Option<Uuid>,
    pub acknowledged_at: Option<DateTime<Utc>>,
    pub resolved_by: Option<Uuid>,
    pub resolved_at: Option<DateTime<Utc>>,
    /// The staff who raised it; null when a detector did.
    pub detected_by: Option<Uuid>,
    pub detected_at: DateTime<Utc>,
    /// Set when the detector that raised it no longer fires: said, not resolved.
    pub no_longer_observed_at: Option<DateTime<Utc>>,
    pub version: i64,
}

/// `table_rundown_report`: what the session proves the table won (domain §9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub session_id: Uuid,
    pub opening_total_cents: Option<i64>,
    pub opening_snapshot_id: Option<Uuid>,
    /// `snapshot:verified_open`, or `none`.
    pub opening_source: String,
    pub closing_total_cents: Option<i64>,
    pub closing_snapshot_id: Option<Uuid>,
    pub fills_total_cents: i64,
    pub fill_ids: Vec<Uuid>,
    pub credits_total_cents: i64,
    pub credit_ids: Vec<Uuid>,
    /// closing − opening − fills + credits; null unless both counts exist.
    pub inventory_result_cents: Option<i64>,
    pub drop_total_cents: Option<i64>,
    pub soft_count_ids: Vec<Uuid>,
    /// closing + credits + drop − opening − fills; null unless all three exist.
    pub win_loss_stat_cents: Option<i64>,
    /// win / drop in basis points; null when drop is null or 0.
    pub hold_bp: Option<i64>,
    /// Names of what is missing: `opening`, `closing`, `drop`.
    pub missing_inputs: Vec<String>,
    pub metric_grade: MetricGrade,
    pub par_variance_cents: Option<i64>,
    pub count_status: CountStatus,
    pub computed_at: DateTime<Utc>,
    /// SHA-256 over the inputs, hex.
    pub input_hash: String,
    pub finalized_at: Option<DateTime<Utc>>,
    pub finalized_by: Option<Uuid>,
}

/// `signature`: who did what, in which role, and how they proved to be themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Signature {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub session_id: Option<Uuid>,
    pub subject_kind: SubjectKind,
    pub subject_id: Uuid,
    pub act: String,
    pub staff_id: Uuid,
    pub role: Role,
    pub method: Method,
    pub signed_at: DateTime<Utc>,
}

/// `session_transition`: an edge a session took, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Transition {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub session_id: Uuid,
    pub verb: String,
    pub from_status: Status,
    pub to_status: Status,
    pub trigger: Trigger,
    pub note: Option<String>,
    pub taken_by: Uuid,
    pub taken_at: DateTime<Utc>,
}

/// `slip_manual_range`: numbers set aside for slips written by hand during an outage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManualRange {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub kind: SlipKind,
    pub slip_scope: SlipScope,
    pub scope_key: String,
    pub first_no: i64,
    pub last_no: i64,
    pub created_by: Uuid,
    pub created_at: DateTime<Utc>,
    pub closed_at: Option<DateTime<Utc>>,
}

/// `schedule`: when a job is run, and what becomes of firings that were missed or that overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub name: String,
    pub job_kind: JobKind,
    /// Five fields, or six with the second first; week days as in Unix.
    pub cron: String,
    /// IANA name: the wall clock the expression speaks of.
    pub timezone: String,
    pub gap: GapPolicy,
    pub fold: FoldPolicy,
    pub params: Value,
    /// false: paused. What would have fired in the meantime is not made up for.
    pub enabled: bool,
    pub catch_up: CatchUp,
    /// The most firings made up for at once.
    pub catch_up_max: i32,
    /// Firings older than this are not made up for.
    pub catch_up_window_minutes: i32,
    pub overlap: Overlap,
    /// How often a run is begun until it is dead.
    pub max_attempts: i32,
    /// null: paused, or no firing is to come.
    pub next_fire_at: Option<DateTime<Utc>>,
    /// Firings let go for ever, because they were too old or too many when the daemon came back.
    pub missed_firings: i64,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// `job_run`: one firing of a schedule. Its lease is not shown here: who may write the row is between the daemons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobRun {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub schedule_id: Uuid,
    /// Unique within the schedule.
    pub fire_at: DateTime<Utc>,
    pub job_kind: JobKind,
    /// The schedule's, as they were when it fired.
    pub params: Value,
    /// Asked for by hand.
    pub manual: bool,
    /// By whom.
    pub requested_by: Option<Uuid>,
    pub status: RunStatus,
    /// How often it was begun. A stop of the daemon does not count.
    pub attempt: i32,
    /// It is dead when as many have failed.
    pub max_attempts: i32,
    /// Not begun before: the pause after a failure, by the database's clock.
    pub due_at: DateTime<Utc>,
    /// The daemon that has it, or had it last.
    pub lease_owner: Option<String>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// What is done, out of `total`; 0 of 0 before the job has counted.
    pub done: i64,
    pub total: i64,
    /// What a succeeded run came to.
    pub outcome: Option<Value>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// `shift_template`: a shift as the casino plans it, in its own local time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShiftTemplate {
    pub id: Uuid,
    pub casino_id: Uuid,
    /// What schedules and shifts call it.
    pub name: String,
    /// Local time of day, on whole minutes.
    pub local_start: NaiveTime,
    /// At or before the start: on the day after it.
    pub local_end: NaiveTime,
    /// Inactive: no shift is opened from it.
    pub status: TemplateStatus,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// `shift`: one shift of one gaming day, as two instants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Shift {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub gaming_day: NaiveDate,
    pub name: String,
    pub starts_at: DateTime<Utc>,
    /// Not in the shift any more.
    pub ends_at: DateTime<Utc>,
    /// A closed shift takes no more sessions.
    pub status: ShiftStatus,
    pub template_id: Uuid,
    pub closed_at: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// `shift_rundown_summary`: what a closed shift proves, and what still stands in its way. Final once READY.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShiftSummary {
    pub shift_id: Uuid,
    pub casino_id: Uuid,
    pub status: SummaryStatus,
    pub sessions: i32,
    pub finalized: i32,
    pub cancelled: i32,
    /// Sums skip what is unknown; null where nothing is known.
    pub fills_total_cents: Option<i64>,
    pub credits_total_cents: Option<i64>,
    pub drop_total_cents: Option<i64>,
    pub win_loss_stat_cents: Option<i64>,
    /// Sum of the wins by the sum of their drops, never a mean; basis points.
    pub hold_bp: Option<i64>,
    /// Played sessions whose win is unknown, and therefore not in the sum.
    pub skipped: i32,
    /// AUTHORITATIVE only where every played session is.
    pub metric_grade: MetricGrade,
    /// By session, what closing the shift has moved so far and what it met in its way: `{session_id, table_id, table, status, advanced,
    /// blocked, failed}`.
    #[schema(value_type = Vec<Object>)]
    pub lines: Value,
    pub computed_at: DateTime<Utc>,
    pub ready_at: Option<DateTime<Utc>>,
    pub version: i64,
}
