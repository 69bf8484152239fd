//! `rundown openapi`: the contract as the code has it, for client generators. Needs no daemon and no database.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::api;

/// Print the OpenAPI 3.1 document.
#[derive(Clone, Debug, Args)]
pub struct OpenapiArgs {}

pub fn run(_: &OpenapiArgs) -> Result<ExitCode> {
    println!("{}", api::routes().into_openapi().to_pretty_json()?);
    Ok(ExitCode::SUCCESS)
}
