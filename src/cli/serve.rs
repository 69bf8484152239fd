//! `rundown serve`: the daemon, until somebody stops it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use strum::VariantArray as _;
use workflows::role::Role;

use super::say;
use super::seed::{self, Seeded};
use super::token::{DEFAULT_TTL, Issuer};
use crate::casino_folder::Folder;
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::{self, Running, Signals};
use crate::database::Database;
use crate::observe;

/// Run the daemon.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Address and port to listen on, in place of server.listen.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Seed this folder first, and print tokens and calls to try.
    #[arg(long, value_name = "FOLDER")]
    with: Option<PathBuf>,
}

pub async fn run(args: ServeArgs, mut config: Config) -> Result<ExitCode> {
    config.server.listen = args.listen.unwrap_or(config.server.listen);
    // A mistake in the folder is told before anything is started.
    let folder = args.with.as_deref().map(Folder::read_setup).transpose()?;
    let mut signals = Signals::catch()?;
    let database = Database::start(&config).await?;
    let seeded = match set_up(&database, folder.as_ref()).await {
        Ok(seeded) => seeded,
        Err(refused) => {
            database.stop().await?;
            return Err(refused);
        }
    };
    let running = daemon::start(&config, Clock::System, database).await?;
    if let (Some(folder), Some(seeded)) = (&folder, seeded) {
        welcome(&config, &running, folder, &seeded);
    }
    signals.received().await;
    running.stop().await?;
    observe::finish();
    Ok(ExitCode::SUCCESS)
}

async fn set_up(database: &Database, folder: Option<&Folder>) -> Result<Option<Seeded>> {
    database.prepare().await?;
    match folder {
        Some(folder) => Ok(Some(seed::seed(database, folder, Clock::System.now()).await?)),
        None => Ok(None),
    }
}

/// Says where the daemon is and how to speak to it: somebody sees it for the first time.
pub(super) fn welcome(config: &Config, running: &Running, folder: &Folder, seeded: &Seeded) {
    let url = running.url();
    let tokens = tokens(config, folder);
    say(format_args!(
        "{seeded}\n\nrundown listens on {url}, its API is described at {url}/docs\n"
    ));
    match tokens {
        Err(error) => say(format_args!("No tokens: {error:#}")),
        Ok(tokens) => {
            say("One token a role, good for 12 hours (`rundown token --staff EMPLOYEE_NO` gives others):\n");
            for (role, employee_no, token) in &tokens {
                say(format_args!("  {role} {employee_no}\n    {token}"));
            }
            if let Some((_, _, token)) = tokens.first() {
                say(format_args!("\nTry:\n\n{}", calls(&url, token)));
            }
        }
    }
}

/// The first of every role that holds a token.
fn tokens(config: &Config, folder: &Folder) -> Result<Vec<(Role, String, String)>> {
    let issuer = Issuer::new(config)?;
    Role::VARIANTS
        .iter()
        .filter(|role| !matches!(role, Role::Dealer | Role::System))
        .filter_map(|role| folder.staff.iter().find(|person| person.role == *role))
        .map(|person| {
            let subject = format!("{}:{}", folder.casino.name, person.employee_no);
            Ok((person.role, person.employee_no.clone(), issuer.issue(&subject, DEFAULT_TTL)?))
        })
        .collect()
}

/// Calls that change nothing, so that they work however often they are typed.
fn calls(url: &str, token: &str) -> String {
    let paths = ["/api/v1/me", "/api/v1/tables?limit=5", "/api/v1/table-context/sessions?live=true"];
    let lines = paths.map(|path| format!("  curl -sS -H 'Authorization: Bearer {token}' '{url}{path}'\n"));
    lines.join("\n")
}
