//! The commands, one file each. What a command was asked for goes to stdout, everything else to stderr.

pub mod audit;
pub mod backfill;
pub mod bootstrap;
pub mod demo;
pub mod doctor;
pub mod jobs;
pub mod migrate;
pub mod openapi;
pub mod outbox;
pub mod play;
pub mod schedules;
pub mod seed;
pub mod serve;
pub mod token;
pub mod workflow;

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::config::Config;
use crate::database::Database;
use crate::observe;

/// The daemon a casino trusts to prove what every table won.
#[derive(Debug, Parser)]
#[command(name = "rundown", version)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where the daemon lives. A command names the same place as the daemon, and finds its cluster and its token secret there.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// The data directory [default: /var/lib/rundown as root, else ~/.local/share/rundown].
    #[arg(long, global = true, value_name = "DIR", env = "RUNDOWN_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// A configuration file in place of <DIR>/rundown.toml.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Play(play::PlayArgs),
    Seed(seed::SeedArgs),
    Bootstrap(bootstrap::BootstrapArgs),
    Token(token::TokenArgs),
    Migrate(migrate::MigrateArgs),
    Backfill(backfill::BackfillArgs),
    Schedules(schedules::SchedulesArgs),
    Jobs(jobs::JobsArgs),
    Outbox(outbox::OutboxArgs),
    Audit(audit::AuditArgs),
    Doctor(doctor::DoctorArgs),
    Openapi(openapi::OpenapiArgs),
    Workflow(workflow::WorkflowArgs),
}

/// The program: reads the arguments, does what they say, and tells what went wrong.
pub async fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.run(&cli.place).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("rundown: {}", causes(&error));
            ExitCode::FAILURE
        }
    }
}

impl Command {
    async fn run(self, place: &Place) -> Result<ExitCode> {
        match self {
            Self::Openapi(args) => openapi::run(&args),
            Self::Workflow(args) => workflow::run(&args),
            // It looks at a configuration that may be the very thing that is wrong.
            Self::Doctor(args) => doctor::run(&args, place).await,
            Self::Serve(args) => serve::run(args, place.daemon()?).await,
            Self::Demo(args) => demo::run(&args, place.errand()?).await,
            Self::Play(args) => token::play(&args, &place.errand()?).await,
            Self::Seed(args) => seed::run(&args, &place.errand()?).await,
            Self::Bootstrap(args) => bootstrap::run(&args, &place.errand()?).await,
            Self::Token(args) => token::run(&args, &place.errand()?).await,
            Self::Migrate(args) => migrate::run(&args, &place.errand()?).await,
            Self::Backfill(args) => backfill::run(&args, &place.errand()?).await,
            Self::Schedules(args) => schedules::run(&args, &place.errand()?).await,
            Self::Jobs(args) => jobs::run(&args, &place.errand()?).await,
            Self::Outbox(args) => outbox::run(&args, &place.errand()?).await,
            Self::Audit(args) => audit::run(&args, place).await,
        }
    }
}

impl Place {
    fn load(&self) -> Result<Config> {
        Config::load(self.data_dir.as_deref(), self.config.as_deref())
    }

    /// The daemon's configuration, with its log started.
    fn daemon(&self) -> Result<Config> {
        let config = self.load()?;
        observe::init(&config.log.level, config.log.format, config.observe.otlp_url.as_deref())?;
        Ok(config)
    }

    /// The same for a command that does one thing: what the daemon tells of its days would drown its answer.
    fn errand(&self) -> Result<Config> {
        let config = self.load()?;
        let level = if config.log.level == "info" { "warn" } else { &config.log.level };
        observe::init(level, config.log.format, None)?;
        Ok(config)
    }
}

/// Opens the database, works with it, and leaves it as it was found, whatever came of the work.
async fn with_database<T>(config: &Config, work: impl AsyncFnOnce(&Database) -> Result<T>) -> Result<T> {
    let database = Database::open(config).await?;
    let outcome = work(&database).await;
    let stopped = database.stop().await;
    let outcome = outcome?;
    stopped?;
    Ok(outcome)
}

/// An error and what caused it. Some libraries repeat the cause in their own words for it: once is enough.
fn causes(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

/// What the command was asked for, on stdout. A reader that has heard enough (`rundown openapi | head`) is no failure, which is why
/// nothing here uses `println!`: that dies of it, and a daemon with it.
fn say(answer: impl Display) {
    match writeln!(io::stdout(), "{answer}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => eprintln!("rundown: the answer could not be written: {error}"),
        Ok(()) | Err(_) => {}
    }
}
