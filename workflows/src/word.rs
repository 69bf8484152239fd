//! The closed vocabularies of the domain: one enum a list, the same spelling in Rust, SQL and JSON.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantArray};
use utoipa::ToSchema;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident in $case:literal { $($(#[$vdoc:meta])* $variant:ident),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumString, VariantArray, ToSchema)]
        #[serde(rename_all = $case)]
        #[strum(serialize_all = $case)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }
    )+};
}

words! {
    /// The ten states of a table inventory session (domain §4).
    Status in "SCREAMING_SNAKE_CASE" {
        /// Created; pre-shift conditions recorded.
        ReadyToOpen,
        /// Opening tray count under way.
        Opening,
        /// Opener verified by two people; the table is in play.
        Open,
        /// Box removal planned.
        DropScheduled,
        /// At least one box removed, custody running.
        Dropped,
        /// Every removed box counted, tray not yet closed.
        Counted,
        /// Closing count under way.
        Closing,
        /// Closer verified; may be count pending.
        Closed,
        /// Closed and counted, report computed, detectors run.
        Reconciled,
        /// Signed off, immutable for ever.
        Finalized,
    }

    /// How a session came to be closed.
    CloseReason in "snake_case" { Normal, Cancelled, Forced, Rollover }

    /// What the tray is measured against (domain §2).
    BankMode in "SCREAMING_SNAKE_CASE" {
        /// Counts are the truth, par is a target.
        InventoryCount,
        /// The tray is restored to par at close.
        ImprestToPar,
    }

    /// The window within which slip numbers rise without a gap (domain §6).
    SlipScope in "snake_case" { GamingDay, CalendarYear }

    /// A tray count's place in the session.
    SnapshotKind in "snake_case" { Open, Close, Rundown }

    /// Cage to table, or table to cage.
    SlipKind in "snake_case" { Fill, Credit }

    /// Why chips move.
    SlipPurpose in "snake_case" { Normal, ParRestore }

    /// The one machine of fills and credits (domain §6).
    SlipStatus in "SCREAMING_SNAKE_CASE" {
        Requested, Issued, VerifiedAtTable, DepositedInDropbox, Cancelled, Voided,
    }

    /// Where one removed box is in its custody (domain §1, the third axis).
    Custody in "snake_case" { Removed, Delivered, Received, Counted }

    /// Whether a box belongs to a table or stands in for any.
    BoxKind in "snake_case" { Standard, Emergency }

    /// Whether a table is in service: the first axis, never mixed with a session's status.
    TableStatus in "snake_case" { Inactive, Active, Closed }

    /// Games of the event catalog (seed 2).
    GameType in "snake_case" { Blackjack, Poker, Roulette, Baccarat }

    /// Whether a count's total stands.
    CountStanding in "snake_case" { Accepted, Disputed }

    /// What a paper in the box may be (domain §8).
    DocumentKind in "snake_case" {
        FillSlip, CreditSlip, FillRequest, CreditRequest, Opener, Closer, Marker, Other,
    }

    /// How one document of a box compares with what the daemon expected (domain §8).
    MatchOutcome in "SCREAMING_SNAKE_CASE" {
        Matched, Missing, Unexpected, AmountMismatch, WrongTable, Duplicate, VoidPresent,
    }

    /// Why a session needs a person's explanation (domain §9).
    Category in "SCREAMING_SNAKE_CASE" {
        MissingSlip, UnexpectedSlip, SlipAmountMismatch, DuplicateSlipNo, VoidMisuse,
        SlipNumberGap, CountVariance, OpeningVariance, ParVariance,
        DropOutOfSchedule, CustodyGap, SealMismatch, DropMissing, CountOverdue,
        MissingClosingSnapshot, UnverifiedSlip, OpenRatingSlips, LateEvent,
        HoldDeviation, TelemetryVariance, Manual,
    }

    /// The life of an exception: never deleted, never reopened.
    ExceptionStatus in "SCREAMING_SNAKE_CASE" { Open, Acknowledged, Resolved, Waived }

    /// What an exception is about.
    SubjectKind in "snake_case" { Session, Snapshot, Slip, Drop, Document, Exception, Report, SoftCount }

    /// Why an exception may be closed (domain §9).
    ReasonCode in "SCREAMING_SNAKE_CASE" {
        DataEntryError, LatePaperworkFound, RecountConfirmed, VoidAndReplaced,
        AcceptedVariance, CustodyExplained, SystemError,
        /// Handed to investigators: the exception stays unresolved.
        ReferredToInvestigation,
    }

    /// How far a report may be trusted (domain §9).
    MetricGrade in "SCREAMING_SNAKE_CASE" { Estimate, Authoritative }

    /// Whether the drop is known.
    CountStatus in "snake_case" { Pending, Counted }

    /// How a person signed (domain §3).
    Method in "snake_case" {
        /// The caller's own token.
        Bearer,
        /// A PIN beside the caller's token.
        Pin,
        /// Only named by another: runners, nobody else.
        Named,
    }

    /// Whether a person may act at all.
    StaffStatus in "snake_case" { Active, Inactive }

    /// Whether shifts are made from a template.
    TemplateStatus in "snake_case" { Active, Inactive }

    /// Whether a shift takes sessions. One way: what is closed stays closed.
    ShiftStatus in "SCREAMING_SNAKE_CASE" { Open, Closed }

    /// Whether everything a shift will ever prove is proved (domain §11).
    SummaryStatus in "SCREAMING_SNAKE_CASE" {
        /// Some session is neither finalized nor cancelled.
        Pending,
        /// Every session is FINALIZED or cancelled: the figures are final.
        Ready,
    }

    /// What the daemon does because time has passed (domain §11).
    JobKind in "snake_case" {
        /// Creates the shift and its sessions.
        ShiftOpen,
        /// Drives every session of the shift as far as its gates permit.
        ShiftClose,
        /// Brings the stored rollups up to date.
        RollupRecompute,
        /// Recomputes them from the facts and reports any difference.
        RollupVerify,
        /// Raises what is overdue.
        DeadlineSweep,
        /// Deletes what has outlived its use.
        RetentionPrune,
        /// Seals the audit rows that wait for it.
        AuditSeal,
    }

    /// Where one firing of a schedule stands. Succeeded, dead and skipped are ends; a person may send a dead run back.
    RunStatus in "snake_case" {
        /// Waits for its turn.
        Queued,
        /// A daemon holds its lease.
        Running,
        /// Failed, and waits for its next attempt.
        Retrying,
        Succeeded,
        /// Failed for the last time.
        Dead,
        /// Not run, because the run before it had not ended.
        Skipped,
    }

    /// What becomes of a firing while an earlier run of its schedule has not ended.
    Overlap in "snake_case" {
        /// It is written down and not run.
        Skip,
        /// It waits for its turn.
        Queue,
    }

    /// What a stored rollup sums up.
    RollupGrain in "snake_case" { Table, Pit, Casino }

    /// Over which time a stored rollup sums.
    RollupBy in "snake_case" { Shift, GamingDay }

    /// Which way a player's money goes.
    Direction in "snake_case" {
        /// From the player to the house.
        In,
        /// From the house to the player.
        Out,
    }

    /// What a row of a player's money is.
    TransactionKind in "snake_case" {
        Normal,
        /// Sets an amount right: signed, and points at the row it corrects.
        Adjustment,
        /// Takes back all that is left of the row it points at.
        Reversal,
    }

    /// What takes an edge.
    Trigger in "snake_case" {
        /// A person or a job asks for it.
        Command,
        /// The evidence is complete: the engine takes it in the same transaction.
        Auto,
    }

    /// Why nothing is sent to a webhook any more.
    DisabledReason in "snake_case" {
        /// An admin said so.
        ByHand,
        /// The receiver answered 410: it wants no more.
        Gone,
        /// Nothing was delivered for days.
        Failing,
    }
}

impl Status {
    /// Live = any status before CLOSED: a table has at most one such session (domain §4).
    pub const fn is_live(self) -> bool {
        match self {
            Self::ReadyToOpen | Self::Opening | Self::Open | Self::DropScheduled | Self::Dropped | Self::Counted | Self::Closing => true,
            Self::Closed | Self::Reconciled | Self::Finalized => false,
        }
    }

    /// The table deals.
    pub const fn in_play(self) -> bool {
        match self {
            Self::Open | Self::DropScheduled | Self::Dropped | Self::Counted => true,
            Self::ReadyToOpen | Self::Opening | Self::Closing | Self::Closed | Self::Reconciled | Self::Finalized => false,
        }
    }
}

impl SlipStatus {
    /// Nothing more can happen to the paper.
    pub const fn is_settled(self) -> bool {
        match self {
            Self::DepositedInDropbox | Self::Cancelled | Self::Voided => true,
            Self::Requested | Self::Issued | Self::VerifiedAtTable => false,
        }
    }

    /// The chips have moved: only these count in totals.
    pub const fn counts(self) -> bool {
        match self {
            Self::VerifiedAtTable | Self::DepositedInDropbox => true,
            Self::Requested | Self::Issued | Self::Cancelled | Self::Voided => false,
        }
    }
}

impl Category {
    /// Its figures are a soft count's: not for the roles that may not read counts.
    pub const fn tells_of_counts(self) -> bool {
        matches!(self, Self::CountVariance | Self::HoldDeviation)
    }
}

impl RunStatus {
    /// Something is still to be done.
    pub const fn is_unfinished(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Retrying => true,
            Self::Succeeded | Self::Dead | Self::Skipped => false,
        }
    }
}

impl ExceptionStatus {
    /// Blocks finalization.
    pub const fn is_unresolved(self) -> bool {
        match self {
            Self::Open | Self::Acknowledged => true,
            Self::Resolved | Self::Waived => false,
        }
    }
}
