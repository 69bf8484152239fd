//! `rundown workflow <name>`: a machine as the law has it, drawn from the very edges that decide.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use workflows::diagram::{self, NAMES};

use super::say;

/// Draw one of the machines.
#[derive(Clone, Debug, Args)]
pub struct WorkflowArgs {
    /// session, slip, `drop_box` or exception.
    name: String,
    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Mermaid,
    Dot,
    Json,
}

pub fn run(args: &WorkflowArgs) -> Result<ExitCode> {
    let format = match args.format {
        Format::Mermaid => diagram::Format::Mermaid,
        Format::Dot => diagram::Format::Dot,
        Format::Json => diagram::Format::Json,
    };
    let drawing = diagram::draw(&args.name, format);
    let drawing = drawing.with_context(|| format!("there is no machine {:?}: {}", args.name, NAMES.join(", ")))?;
    say(drawing.trim_end());
    Ok(ExitCode::SUCCESS)
}
