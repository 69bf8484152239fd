//! Shapes that several resources answer with: a session with what is derived of it, co-signatures, command outcomes.

use secrecy::SecretString;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::act;
use workflows::case::Context;
use workflows::dossier::Dossier;
use workflows::machine::Taken;
use workflows::record::Session;
use workflows::refusal::{GateReport, Refusal};
use workflows::role::Role;
use workflows::session::{OpenTo, open_to};
use workflows::word::{Category, SlipKind, Status, Trigger};

use crate::engine::{Done, Pin};

/// A second person in the caller's request. The PIN is never logged and never answered.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cosign {
    pub staff_id: Uuid,
    #[schema(value_type = String)]
    pub pin: GivenPin,
}

/// A PIN as somebody typed it: shown nowhere.
#[derive(Clone, Debug)]
pub struct GivenPin(pub SecretString);

impl<'de> Deserialize<'de> for GivenPin {
    /// Serde's own refusal would repeat the number it found where text belongs, in the answer and in the log.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(digits) => Ok(Self(digits.into())),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                Err(D::Error::custom("a PIN is text, in quotes"))
            }
        }
    }
}

impl Cosign {
    pub fn pin(&self) -> Pin {
        Pin {
            staff_id: self.staff_id,
            pin: self.pin.0.clone(),
        }
    }

    /// The co-signature a command cannot do without.
    pub fn required(given: Option<&Self>, pointer: &str) -> Result<Self, Refusal> {
        given
            .cloned()
            .ok_or_else(|| Refusal::invalid(pointer, "a second person must sign here: {staff_id, pin}"))
    }
}

/// A session with what follows from its evidence.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionView {
    #[serde(flatten)]
    pub session: Session,
    /// Verified fills, confirmed amounts.
    pub fills_total_cents: i64,
    /// Verified credits, confirmed amounts.
    pub credits_total_cents: i64,
    /// Slips between REQUESTED and DEPOSITED: shown, never counted.
    pub in_flight_slips: usize,
    /// Null until every removed box is counted. Left out for the roles that may not read counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    #[expect(
        clippy::option_option,
        reason = "left out is one thing, null another: not yours to read, not known yet"
    )]
    pub drop_total_cents: Option<Option<i64>>,
    pub open_exceptions: usize,
    /// What the caller's role may ask for now.
    pub available_transitions: Vec<AvailableTransition>,
}

/// An edge the caller may ask for.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AvailableTransition {
    pub verb: &'static str,
    pub to: Status,
    /// Every gate is open: it would be taken.
    pub satisfied: bool,
}

/// An edge out of the current state, with every gate judged.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TransitionView {
    pub verb: &'static str,
    pub to: Status,
    pub trigger: Trigger,
    /// Who may ask; nobody asks for an automatic edge.
    pub roles: Vec<Role>,
    pub satisfied: bool,
    pub gates: Vec<GateReport>,
}

impl From<OpenTo> for TransitionView {
    fn from(edge: OpenTo) -> Self {
        Self {
            verb: edge.verb,
            to: edge.to,
            trigger: edge.trigger,
            roles: edge.roles.to_vec(),
            satisfied: edge.gates.iter().all(|gate| gate.satisfied),
            gates: edge.gates,
        }
    }
}

/// What an exception says of a count, taken out: for the roles that may not read counts.
pub fn without_counts(row: &mut Value) {
    let category = row["category"].as_str().and_then(|category| category.parse::<Category>().ok());
    let told = category.is_some_and(Category::tells_of_counts);
    for figure in ["expected", "found", "variance_cents", "detail"].iter().filter(|_| told) {
        row[*figure] = Value::Null;
    }
}

/// A session as one caller sees it.
pub fn session(dossier: &Dossier, context: &Context) -> SessionView {
    let caller = context.caller.role;
    let available = open_to(dossier, context)
        .into_iter()
        .filter(|edge| edge.trigger == Trigger::Command && edge.roles.contains(&caller));
    SessionView {
        session: dossier.session.clone(),
        fills_total_cents: dossier.verified_total_cents(SlipKind::Fill),
        credits_total_cents: dossier.verified_total_cents(SlipKind::Credit),
        in_flight_slips: dossier.slips.iter().filter(|slip| !slip.status.is_settled()).count(),
        drop_total_cents: act::READ_COUNTS.may(caller).then(|| dossier.drop_total_cents()),
        open_exceptions: dossier.unresolved().count(),
        available_transitions: available
            .map(|edge| AvailableTransition {
                verb: edge.verb,
                to: edge.to,
                satisfied: edge.gates.iter().all(|gate| gate.satisfied),
            })
            .collect(),
    }
}

impl<T> Done<'_, T> {
    /// The command's own session after it.
    pub fn dossier(&self) -> Option<&Dossier> {
        self.changes.dossiers().first()
    }

    pub fn session(&self) -> Option<SessionView> {
        self.dossier().map(|dossier| session(dossier, self.context))
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.changes.taken().to_vec()
    }
}
