//! The machines as others read them: JSON for programs, Mermaid and DOT for people. Generated from the same edges that decide.

use std::fmt::{Display, Write as _};

use serde_json::{Value, json};

use crate::machine::{Edge, Machine};
use crate::word::Trigger;
use crate::{drop_box, exception, rating_slip, session, slip, visit};

/// The names of all machines.
pub const NAMES: [&str; 6] = ["session", "slip", "drop_box", "exception", "visit", "rating_slip"];

/// How a machine is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Mermaid,
    Dot,
}

/// A machine in one format; none when there is no machine of that name.
pub fn draw(name: &str, format: Format) -> Option<String> {
    match name {
        "session" => Some(render(&session::MACHINE, format)),
        "slip" => Some(render(&slip::MACHINE, format)),
        "drop_box" => Some(render(&drop_box::MACHINE, format)),
        "exception" => Some(render(&exception::MACHINE, format)),
        "visit" => Some(render(&visit::MACHINE, format)),
        "rating_slip" => Some(render(&rating_slip::MACHINE, format)),
        _ => None,
    }
}

fn render<S: Copy + PartialEq + Display>(machine: &Machine<S>, format: Format) -> String {
    match format {
        Format::Json => format!("{:#}", as_json(machine)),
        Format::Mermaid => mermaid(machine),
        Format::Dot => dot(machine),
    }
}

fn as_json<S: Copy + Display>(machine: &Machine<S>) -> Value {
    let edges: Vec<Value> = machine
        .edges
        .iter()
        .map(|edge| {
            let gates: Vec<Value> = edge
                .gates
                .iter()
                .map(|gate| json!({ "code": gate.code, "needs": gate.needs, "who": gate.who }))
                .collect();
            json!({
                "verb": edge.verb,
                "from": edge.from.map(|from| from.to_string()),
                "to": edge.to.to_string(),
                "trigger": edge.trigger,
                "roles": edge.who,
                "gates": gates,
            })
        })
        .collect();
    json!({ "name": machine.name, "states": machine.states.iter().map(ToString::to_string).collect::<Vec<_>>(), "edges": edges })
}

fn mermaid<S: Copy + Display>(machine: &Machine<S>) -> String {
    let mut text = String::from("stateDiagram-v2\n");
    for edge in machine.edges {
        let from = edge.from.map_or_else(|| "[*]".to_owned(), |from| from.to_string());
        let _ = writeln!(text, "    {from} --> {}: {}", edge.to, label(edge));
    }
    text
}

fn dot<S: Copy + Display>(machine: &Machine<S>) -> String {
    let mut text = format!(
        "digraph {} {{\n    rankdir=TB;\n    node [shape=box];\n    new [shape=point];\n",
        machine.name
    );
    for edge in machine.edges {
        let from = edge.from.map_or_else(|| "new".to_owned(), |from| from.to_string());
        let style = if edge.trigger == Trigger::Auto { ", style=dashed" } else { "" };
        let _ = writeln!(text, "    {from} -> {} [label=\"{}\"{style}];", edge.to, label(edge));
    }
    text.push_str("}\n");
    text
}

fn label<S>(edge: &Edge<S>) -> String {
    let verb = if edge.trigger == Trigger::Auto {
        format!("{} (auto)", edge.verb)
    } else {
        edge.verb.to_owned()
    };
    if edge.gates.is_empty() {
        return verb;
    }
    let gates: Vec<&str> = edge.gates.iter().map(|gate| gate.code).collect();
    format!("{verb} [{}]", gates.join(", "))
}
