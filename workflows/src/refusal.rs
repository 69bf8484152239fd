//! Why something is not done: one variant per reaction a client can have.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::role::Role;

/// One flaw of a request's body, at its JSON Pointer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Flaw {
    pub pointer: String,
    pub message: String,
}

impl Flaw {
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

/// One gate, judged: what it found, what would open it, who can supply that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct GateReport {
    pub code: &'static str,
    pub satisfied: bool,
    /// What the gate saw.
    pub detail: String,
    /// What would satisfy it.
    pub needs: &'static str,
    /// Who can supply it.
    pub who: Vec<Role>,
}

/// A refused command. Nothing was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The thing is absent, or another casino's: the two cannot be told apart.
    NotFound(&'static str),
    /// The role may not.
    Forbidden { detail: String, who: Vec<Role> },
    /// The person may not, whatever the role: a rule of segregation binds (domain §3).
    Segregation {
        rule: &'static str,
        person: Uuid,
        detail: String,
        gates: Vec<GateReport>,
    },
    /// Evidence is missing: every unmet gate at once.
    GatesUnmet(Vec<GateReport>),
    /// No such edge.
    IllegalTransition {
        from: String,
        to: String,
        allowed: Vec<String>,
        detail: String,
    },
    /// The world is not as the command supposes.
    Conflict { reason: &'static str, detail: String },
    /// The fact does not belong into this state.
    WrongState {
        status: String,
        allowed: Vec<String>,
        detail: String,
    },
    /// The body cannot be true: every flaw at once.
    Invalid(Vec<Flaw>),
}

impl Refusal {
    pub fn conflict(reason: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict {
            reason,
            detail: detail.into(),
        }
    }

    pub fn segregation(rule: &'static str, person: Uuid, detail: impl Into<String>) -> Self {
        Self::Segregation {
            rule,
            person,
            detail: detail.into(),
            gates: Vec::new(),
        }
    }

    pub fn invalid(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Flaw::new(pointer, message)])
    }

    pub fn forbidden(who: &[Role], detail: impl Into<String>) -> Self {
        Self::Forbidden {
            who: who.to_vec(),
            detail: detail.into(),
        }
    }
}

/// Ok when no flaw was found; otherwise all of them.
pub fn flawless(flaws: Vec<Flaw>) -> Result<(), Refusal> {
    if flaws.is_empty() { Ok(()) } else { Err(Refusal::Invalid(flaws)) }
}
