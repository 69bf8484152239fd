//! `rundown bootstrap`: a casino with nobody in it but its admin, who sets up the rest through the API.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use chrono_tz::Tz;
use clap::Args;
use serde_json::json;
use uuid::Uuid;
use workflows::role::Role;

use super::token::{DEFAULT_TTL, Issuer};
use super::{say, seed, with_database};
use crate::clock::{Clock, new_id};
use crate::config::Config;
use crate::database::{Database, Errand};

/// Found a casino with its first admin, and print the admin's token.
#[derive(Clone, Debug, Args)]
pub struct BootstrapArgs {
    #[arg(long, value_name = "NAME")]
    casino: String,
    /// As in the IANA database: America/Chicago.
    #[arg(long, value_name = "ZONE")]
    timezone: Tz,
    /// The admin's employee number.
    #[arg(long, value_name = "EMPLOYEE_NO")]
    admin: String,
    /// The admin's name [default: the employee number].
    #[arg(long)]
    name: Option<String>,
}

pub async fn run(args: &BootstrapArgs, config: &Config) -> Result<ExitCode> {
    let casino = with_database(config, async |database| {
        database.prepare().await?;
        found(database, args).await
    });
    let casino = casino.await?;
    eprintln!(
        "{} is founded ({casino}). It has no denominations yet: PATCH /api/v1/casino before the first session.",
        args.casino
    );
    let subject = format!("{}:{}", args.casino, args.admin);
    match Issuer::new(config) {
        Ok(issuer) => say(issuer.issue(&subject, DEFAULT_TTL)?),
        // The casino stands all the same: where tokens come from elsewhere, that place has to know the subject.
        Err(error) => eprintln!("No token: {error:#}. The admin's subject is {subject:?}."),
    }
    Ok(ExitCode::SUCCESS)
}

async fn found(database: &Database, args: &BootstrapArgs) -> Result<Uuid> {
    let owner = database.owner().await?;
    let errand = owner.begin().await?;
    let casino = write(&errand, args).await?;
    errand.commit().await?;
    owner.close().await?;
    Ok(casino)
}

async fn write(errand: &Errand, args: &BootstrapArgs) -> Result<Uuid> {
    let BootstrapArgs {
        casino,
        timezone,
        admin,
        name,
    } = args;
    ensure!(
        seed::casino_named(errand, casino).await?.is_none(),
        "there is a casino {casino:?} already: `rundown token --staff {admin}` gives its admin a token"
    );
    let id = new_id();
    errand.stand_in(id).await?;
    seed::found(errand, &json!({ "id": id, "name": casino, "timezone": timezone.name() })).await?;
    let name = name.as_ref().unwrap_or(admin);
    let people = [
        seed::principal(id, casino),
        seed::person(id, casino, admin, name, Role::Admin, None),
    ];
    seed::staff(errand, &people).await?;
    let after = json!({ "name": casino, "timezone": timezone.name(), "admin": admin });
    seed::audit(errand, id, "bootstrap", after, Clock::System.now()).await?;
    Ok(id)
}
