//! What a machine is: a table of edges, each with its trigger, who may ask for it, and the gates that must be open.
//!
//! One table drives the decision, the answer to "what can I do now and what is missing", the automatic edges, the diagrams,
//! the authorization matrix and the property tests.

use std::fmt::Display;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::case::Context;
use crate::dossier::Dossier;
use crate::record::{Casino, Drop, Exception, Slip, Staff};
use crate::refusal::{GateReport, Refusal};
use crate::role::Role;
use crate::word::Trigger;

/// Everything a gate may look at: the dossier, the casino's policies, the command, and the part it is about.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub dossier: &'a Dossier,
    pub casino: &'a Casino,
    /// Who asks; none when the engine looks for automatic edges.
    pub by: Option<&'a Staff>,
    pub at: DateTime<Utc>,
    /// The removal time a schedule command brings.
    pub drop_scheduled_for: Option<DateTime<Utc>>,
    pub slip: Option<&'a Slip>,
    pub drop: Option<&'a Drop>,
    pub exception: Option<&'a Exception>,
}

impl<'a> Scene<'a> {
    pub fn new(dossier: &'a Dossier, context: &'a Context) -> Self {
        Self {
            dossier,
            casino: &context.casino,
            by: Some(&context.caller),
            at: context.at,
            drop_scheduled_for: None,
            slip: None,
            drop: None,
            exception: None,
        }
    }
}

/// What a gate found: the detail of the evidence, or of what is missing.
pub type Verdict = Result<String, String>;

/// A condition on the evidence: a pure function with a stable code.
#[derive(Clone, Copy)]
pub struct Gate {
    pub code: &'static str,
    /// What would satisfy it, said to the person who can.
    pub needs: &'static str,
    /// Who can supply it.
    pub who: &'static [Role],
    /// About the person who asks: no evidence opens it to them, somebody else must ask.
    pub personal: bool,
    pub check: fn(&Scene<'_>) -> Verdict,
}

impl Gate {
    pub fn report(&self, scene: &Scene<'_>) -> GateReport {
        let verdict = (self.check)(scene);
        GateReport {
            code: self.code,
            satisfied: verdict.is_ok(),
            detail: verdict.unwrap_or_else(|missing| missing),
            needs: self.needs,
            who: self.who.to_vec(),
        }
    }
}

/// One edge of a machine. `from: None` is creation.
pub struct Edge<S: 'static> {
    pub verb: &'static str,
    pub from: Option<S>,
    pub to: S,
    pub trigger: Trigger,
    pub who: &'static [Role],
    pub gates: &'static [&'static Gate],
}

/// A machine as data.
pub struct Machine<S: 'static> {
    pub name: &'static str,
    pub states: &'static [S],
    pub edges: &'static [Edge<S>],
}

/// An edge that was taken, as answers and events tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Taken {
    /// The session that moved: a count may move several.
    pub session_id: Uuid,
    pub from: String,
    pub to: String,
    pub trigger: Trigger,
}

/// The proof that an edge was judged and found open. Only [`decide`] and the automatic walk of this crate make one.
pub struct Decision<S: 'static> {
    edge: &'static Edge<S>,
}

impl<S: Copy + Display> Decision<S> {
    pub fn to(&self) -> S {
        self.edge.to
    }

    pub fn verb(&self) -> &'static str {
        self.edge.verb
    }

    pub fn trigger(&self) -> Trigger {
        self.edge.trigger
    }

    pub fn taken(&self, session_id: Uuid) -> Taken {
        Taken {
            session_id,
            from: self.edge.from.map_or_else(String::new, |from| from.to_string()),
            to: self.edge.to.to_string(),
            trigger: self.edge.trigger,
        }
    }
}

impl<S> Edge<S> {
    /// Every gate of the edge, judged.
    pub fn reports(&self, scene: &Scene<'_>) -> Vec<GateReport> {
        self.gates.iter().map(|gate| gate.report(scene)).collect()
    }

    fn unmet(&self, scene: &Scene<'_>) -> Vec<GateReport> {
        self.reports(scene).into_iter().filter(|report| !report.satisfied).collect()
    }
}

impl<S: Copy + PartialEq + Display> Machine<S> {
    pub fn edges_from(&self, from: Option<S>) -> impl Iterator<Item = &'static Edge<S>> {
        self.edges.iter().filter(move |edge| edge.from == from)
    }

    /// The edge with this verb out of this state.
    pub fn edge(&self, from: Option<S>, verb: &str) -> Option<&'static Edge<S>> {
        self.edges_from(from).find(|edge| edge.verb == verb)
    }

    /// The states a command can reach from here, each once.
    pub fn allowed(&self, from: S) -> Vec<String> {
        let mut allowed: Vec<String> = Vec::new();
        for edge in self.edges_from(Some(from)) {
            let to = edge.to.to_string();
            if edge.trigger == Trigger::Command && !allowed.contains(&to) {
                allowed.push(to);
            }
        }
        allowed
    }

    /// Refuses an edge that does not exist.
    pub fn illegal(&self, from: S, to: S, detail: impl Into<String>) -> Refusal {
        Refusal::IllegalTransition {
            from: from.to_string(),
            to: to.to_string(),
            allowed: self.allowed(from),
            detail: detail.into(),
        }
    }
}

/// Judges one edge for one person: the role may ask for it, and every gate is open. Otherwise every unmet gate is named.
///
/// A gate about the person refuses as segregation (403), since no evidence can open it to them; it still lists the others.
pub fn decide<S>(edge: &'static Edge<S>, scene: &Scene<'_>) -> Result<Decision<S>, Refusal> {
    if let Some(by) = scene.by
        && !edge.who.contains(&by.role)
    {
        return Err(Refusal::forbidden(
            edge.who,
            format!("{} may not {}", by.role, edge.verb.replace('_', " ")),
        ));
    }
    let unmet = edge.unmet(scene);
    if unmet.is_empty() {
        return Ok(Decision { edge });
    }
    let personal = edge
        .gates
        .iter()
        .find(|gate| gate.personal && unmet.iter().any(|found| found.code == gate.code));
    Err(match (personal, scene.by) {
        (Some(gate), Some(by)) => Refusal::Segregation {
            rule: gate.code,
            person: by.id,
            detail: gate.report(scene).detail,
            gates: unmet,
        },
        (Some(_) | None, _) => Refusal::GatesUnmet(unmet),
    })
}

/// The first automatic edge out of `from` whose gates are all open.
pub fn open_auto<S: Copy + PartialEq + Display>(machine: &Machine<S>, from: S, scene: &Scene<'_>) -> Option<Decision<S>> {
    machine
        .edges_from(Some(from))
        .filter(|edge| edge.trigger == Trigger::Auto)
        .find(|edge| edge.unmet(scene).is_empty())
        .map(|edge| Decision { edge })
}
