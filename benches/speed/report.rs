//! What was measured, round by round: medians with their extremes as a table, and every figure as JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::json;

#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
}

/// One thing measured, once a round.
#[derive(Serialize)]
struct Line {
    what: String,
    unit: &'static str,
    rounds: Vec<f64>,
    median: f64,
    min: f64,
    max: f64,
}

impl Report {
    pub fn add(&mut self, what: impl Into<String>, unit: &'static str, value: f64) {
        let what = what.into();
        let known = self.lines.iter_mut().find(|line| line.what == what && line.unit == unit);
        if let Some(line) = known {
            line.rounds.push(value);
            return;
        }
        self.lines.push(Line {
            what,
            unit,
            rounds: vec![value],
            median: 0.0,
            min: 0.0,
            max: 0.0,
        });
    }

    pub fn settle(&mut self) {
        for line in &mut self.lines {
            let mut sorted = line.rounds.clone();
            sorted.sort_by(f64::total_cmp);
            let middle = sorted.len() / 2;
            line.median = if sorted.len() % 2 == 1 {
                sorted[middle]
            } else {
                f64::midpoint(sorted[middle - 1], sorted[middle])
            };
            line.min = sorted.first().copied().unwrap_or_default();
            line.max = sorted.last().copied().unwrap_or_default();
        }
    }

    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(["what", "unit", "median", "min", "max", "rounds"]);
        for line in &self.lines {
            table.add_row([
                line.what.clone(),
                line.unit.to_owned(),
                short(line.median),
                short(line.min),
                short(line.max),
                line.rounds.len().to_string(),
            ]);
        }
        for column in 2..6 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.to_string()
    }

    pub fn write(&self, path: &Path, machine: &BTreeMap<&'static str, String>, settings: &impl Serialize) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).ok();
        }
        let all = json!({ "machine": machine, "settings": settings, "figures": self.lines });
        fs::write(path, serde_json::to_vec_pretty(&all)?).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Three digits that count, and no more than a reader can use.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The machine, as far as it says so itself.
pub fn machine(postgres: &str) -> BTreeMap<&'static str, String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
        line.map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    BTreeMap::from([
        ("cpu", field(&read("/proc/cpuinfo"), "model name")),
        ("cores", cores.to_string()),
        ("memory", field(&read("/proc/meminfo"), "MemTotal")),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("load at start", read("/proc/loadavg").trim().to_owned()),
        ("postgres", postgres.to_owned()),
    ])
}
