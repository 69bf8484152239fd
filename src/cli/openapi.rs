//! `rundown openapi`: the contract as the code has it, for client generators. Needs no daemon and no database.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::say;
use crate::api;

/// Print the description of the HTTP API, for client generators.
#[derive(Clone, Debug, Args)]
pub struct OpenapiArgs {}

pub fn run(_: &OpenapiArgs) -> Result<ExitCode> {
    say(api::routes().into_openapi().to_pretty_json()?);
    Ok(ExitCode::SUCCESS)
}
