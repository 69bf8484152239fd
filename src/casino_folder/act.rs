//! The acts of a day and the reading of their lines.

use std::collections::BTreeMap;

use chrono::NaiveTime;
use serde::{Deserialize, Deserializer};
use strum::Display;
use workflows::event::{TelemetryKind, VisitKind};
use workflows::word::{Direction, DocumentKind, SlipKind, SnapshotKind};

/// Denomination in cents to pieces.
pub type Pieces = BTreeMap<u64, u64>;

/// A line of `day.jsonl` or `telemetry.jsonl`: who did what at which table, in the file's order.
#[derive(Clone, Debug)]
pub struct ActLine {
    pub seq: u64,
    /// Local `HH:MM`, `+1 HH:MM` after midnight. For the reader, never sent.
    pub at: String,
    pub shift: String,
    pub table: String,
    pub act: Act,
}

/// Writes [`Act`] and the reading of its lines from one list.
///
/// An internally tagged enum would say the same in serde's own words, but it reads the whole object before it looks at it, and
/// then every mistake stands at the closing brace. One struct an act keeps the column of the mistake, and refuses the fields of
/// other acts.
macro_rules! acts {
    ($($(#[$doc:meta])* $variant:ident { $($(#[$attr:meta])* $field:ident: $type:ty),+ $(,)? })+) => {
        /// What somebody did. Names in the fields are the file's: employee numbers, box labels, request ids.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Act { $($(#[$doc])* $variant { $($field: $type),+ }),+ }

        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Display)]
        #[serde(rename_all = "snake_case")]
        #[strum(serialize_all = "snake_case")]
        enum ActName { $($variant),+ }

        impl Act {
            fn kind(&self) -> ActName {
                match self { $(Self::$variant { .. } => ActName::$variant),+ }
            }
        }

        pub(super) fn read_act_line(text: &str) -> serde_json::Result<ActLine> {
            #[derive(Deserialize)]
            struct Head { act: ActName }

            match serde_json::from_str::<Head>(text)?.act {
                $(ActName::$variant => {
                    #[derive(Deserialize)]
                    #[serde(deny_unknown_fields)]
                    struct Line {
                        seq: u64,
                        #[serde(deserialize_with = "moment")]
                        at: String,
                        shift: String,
                        table: String,
                        #[serde(rename = "act")]
                        _act: ActName,
                        $($(#[$attr])* $field: $type),+
                    }
                    let Line { seq, at, shift, table, _act, $($field),+ } = serde_json::from_str(text)?;
                    Ok(ActLine { seq, at, shift, table, act: Act::$variant { $($field),+ } })
                })+
            }
        }
    };
}

acts! {
    CreateSession { by: String, drop_box: String }
    BeginOpening { by: String }
    CountTray { kind: SnapshotKind, by: String, chipset: Pieces }
    /// Carried by the person who counted that tray.
    VerifyTray { kind: SnapshotKind, cosign: String }
    RequestSlip { kind: SlipKind, request_id: String, by: String, chipset: Pieces }
    IssueSlip { request_id: String, by: String, runner: String }
    VerifySlip { request_id: String, by: String, dealer: String, chipset: Pieces }
    CageReceipt { request_id: String, by: String }
    DepositSlip { request_id: String, by: String }
    VoidSlip { request_id: String, by: String, cosign: String, reason: String }
    ScheduleDrop {
        by: String,
        #[serde(rename = "for", deserialize_with = "moment")]
        planned_for: String,
    }
    RemoveBox { by: String, witness: String, #[serde(rename = "box")] drop_box: String, #[serde(default)] replacement: Option<String>, seal: String }
    DeliverBox { by: String, #[serde(rename = "box")] drop_box: String }
    ReceiveBox { by: String, #[serde(rename = "box")] drop_box: String, seal: String }
    SoftCount {
        by: String,
        #[serde(rename = "box")]
        drop_box: String,
        team: Vec<String>,
        drop_total_cents: i64,
        count_1_cents: i64,
        count_2_cents: i64,
        #[serde(default)]
        agreed_cents: Option<i64>,
        currency: Pieces,
        documents: Vec<FoundPaper>,
    }
    StartClosing { by: String }
    RegisterPlayer { by: String, player: String, name: String, #[serde(default)] loyalty_opt_out: bool }
    StartVisit { by: String, visit: String, visit_kind: VisitKind, #[serde(default)] player: Option<String> }
    OpenRatingSlip { by: String, rating_slip: String, visit: String, #[serde(default)] average_bet_cents: Option<i64> }
    CloseRatingSlip { by: String, rating_slip: String }
    CloseVisit { by: String, visit: String }
    RecordTransaction {
        by: String,
        transaction: String,
        rating_slip: String,
        player: String,
        direction: Direction,
        amount_cents: i64,
        #[serde(default)]
        tender_type: Option<String>,
    }
    /// With an amount it adjusts, without one it takes back what is left.
    CorrectTransaction { by: String, transaction: String, corrects: String, #[serde(default)] amount_cents: Option<i64> }
    LogBuyin { by: String, buyin: String, telemetry_kind: TelemetryKind, amount_cents: i64, #[serde(default)] rating_slip: Option<String> }
    UndoBuyin { by: String, buyin: String }
}

impl Act {
    /// The file's word for it.
    pub fn name(&self) -> String {
        self.kind().to_string()
    }

    /// The caller the line names. A tray's verification names none: whoever counted the tray carries it.
    pub fn by(&self) -> Option<&str> {
        match self {
            Self::CreateSession { by, .. }
            | Self::BeginOpening { by }
            | Self::CountTray { by, .. }
            | Self::RequestSlip { by, .. }
            | Self::IssueSlip { by, .. }
            | Self::VerifySlip { by, .. }
            | Self::CageReceipt { by, .. }
            | Self::DepositSlip { by, .. }
            | Self::VoidSlip { by, .. }
            | Self::ScheduleDrop { by, .. }
            | Self::RemoveBox { by, .. }
            | Self::DeliverBox { by, .. }
            | Self::ReceiveBox { by, .. }
            | Self::SoftCount { by, .. }
            | Self::StartClosing { by }
            | Self::RegisterPlayer { by, .. }
            | Self::StartVisit { by, .. }
            | Self::OpenRatingSlip { by, .. }
            | Self::CloseRatingSlip { by, .. }
            | Self::CloseVisit { by, .. }
            | Self::RecordTransaction { by, .. }
            | Self::CorrectTransaction { by, .. }
            | Self::LogBuyin { by, .. }
            | Self::UndoBuyin { by, .. } => Some(by),
            Self::VerifyTray { .. } => None,
        }
    }

    /// The people who stand beside the caller: the field that names them, and whether they must prove it with a PIN.
    pub(super) fn others(&self) -> Vec<(&'static str, &str, bool)> {
        match self {
            Self::VerifyTray { cosign, .. } | Self::VoidSlip { cosign, .. } => vec![("cosign", cosign, true)],
            Self::VerifySlip { dealer, .. } => vec![("dealer", dealer, true)],
            Self::RemoveBox { witness, .. } => vec![("witness", witness, true)],
            Self::IssueSlip { runner, .. } => vec![("runner", runner, false)],
            Self::SoftCount { team, .. } => team.iter().map(|member| ("team", member.as_str(), false)).collect(),
            Self::CreateSession { .. }
            | Self::BeginOpening { .. }
            | Self::CountTray { .. }
            | Self::RequestSlip { .. }
            | Self::CageReceipt { .. }
            | Self::DepositSlip { .. }
            | Self::ScheduleDrop { .. }
            | Self::DeliverBox { .. }
            | Self::ReceiveBox { .. }
            | Self::StartClosing { .. }
            | Self::RegisterPlayer { .. }
            | Self::StartVisit { .. }
            | Self::OpenRatingSlip { .. }
            | Self::CloseRatingSlip { .. }
            | Self::CloseVisit { .. }
            | Self::RecordTransaction { .. }
            | Self::CorrectTransaction { .. }
            | Self::LogBuyin { .. }
            | Self::UndoBuyin { .. } => Vec::new(),
        }
    }

    /// The boxes named, and the field that names each.
    pub(super) fn boxes(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::CreateSession { drop_box, .. } => vec![("drop_box", drop_box)],
            Self::DeliverBox { drop_box, .. } | Self::ReceiveBox { drop_box, .. } | Self::SoftCount { drop_box, .. } => {
                vec![("box", drop_box)]
            }
            Self::RemoveBox { drop_box, replacement, .. } => {
                let replacement = replacement.iter().map(|label| ("replacement", label.as_str()));
                std::iter::once(("box", drop_box.as_str())).chain(replacement).collect()
            }
            Self::BeginOpening { .. }
            | Self::CountTray { .. }
            | Self::VerifyTray { .. }
            | Self::RequestSlip { .. }
            | Self::IssueSlip { .. }
            | Self::VerifySlip { .. }
            | Self::CageReceipt { .. }
            | Self::DepositSlip { .. }
            | Self::VoidSlip { .. }
            | Self::ScheduleDrop { .. }
            | Self::StartClosing { .. }
            | Self::RegisterPlayer { .. }
            | Self::StartVisit { .. }
            | Self::OpenRatingSlip { .. }
            | Self::CloseRatingSlip { .. }
            | Self::CloseVisit { .. }
            | Self::RecordTransaction { .. }
            | Self::CorrectTransaction { .. }
            | Self::LogBuyin { .. }
            | Self::UndoBuyin { .. } => Vec::new(),
        }
    }
}

/// A paper found in a box.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundPaper {
    pub kind: DocumentKind,
    /// The slip it is; the server's number is put in its place.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The number printed on a paper that is not of this day.
    #[serde(default)]
    pub number: Option<String>,
    pub amount_cents: i64,
    #[serde(default)]
    pub note: Option<String>,
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let clock = text.strip_prefix("+1 ").unwrap_or(&text);
    match NaiveTime::parse_from_str(clock, "%H:%M") {
        Ok(_) => Ok(text),
        Err(_) => Err(serde::de::Error::custom(format!("`{text}` is neither HH:MM nor +1 HH:MM"))),
    }
}
