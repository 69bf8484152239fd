//! A box's custody as a machine: removed, delivered, received, counted (domain §1 third axis, §7).

use crate::gates::{drop_delivered, drop_received};
use crate::machine::{Edge, Machine};
use crate::record::Drop;
use crate::role::Role;
use crate::word::Custody::{self, Counted, Delivered, Received, Removed};
use crate::word::Trigger;

/// Every edge of a removed box. Each fact is written once; none is skipped.
pub const MACHINE: Machine<Custody> = Machine {
    name: "drop_box",
    states: <Custody as strum::VariantArray>::VARIANTS,
    edges: &[
        Edge {
            verb: "remove",
            from: None,
            to: Removed,
            trigger: Trigger::Command,
            who: &[Role::Security, Role::Admin],
            gates: &[],
        },
        Edge {
            verb: "deliver",
            from: Some(Removed),
            to: Delivered,
            trigger: Trigger::Command,
            who: &[Role::Security, Role::Admin],
            gates: &[],
        },
        Edge {
            verb: "receive",
            from: Some(Delivered),
            to: Received,
            trigger: Trigger::Command,
            who: &[Role::CountTeam, Role::Cashier, Role::Admin],
            gates: &[&drop_delivered::GATE],
        },
        Edge {
            verb: "count",
            from: Some(Received),
            to: Counted,
            trigger: Trigger::Command,
            who: &[Role::CountTeam, Role::Admin],
            gates: &[&drop_received::GATE],
        },
    ],
};

impl Drop {
    /// Where the box of this removal is.
    pub fn custody(&self) -> Custody {
        if self.counted_at.is_some() {
            Counted
        } else if self.received_at.is_some() {
            Received
        } else if self.delivered_at.is_some() {
            Delivered
        } else {
            Removed
        }
    }
}
