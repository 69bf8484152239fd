//! `make bench`: how fast the daemon takes a command, held against what Postgres can do at most, on the same server in the same minute.
//!
//! A run is rounds. Each round measures the limit and the daemon in turn, and a ratio compares only what one round measured: whatever else the
//! machine does, it does to both. `docs/performance.md` says what the figures mean and what they do not show.

#![expect(clippy::float_arithmetic, reason = "figures of a benchmark; money is elsewhere")]

mod casino;
mod client;
mod daemon;
mod limit;
mod meter;
mod metrics;
mod report;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;

/// Measure the daemon against the limit of its Postgres.
#[derive(Clone, Debug, Parser, Serialize)]
#[command(name = "speed")]
pub struct Settings {
    /// One short run: two rounds of half-second samples over a thousand sessions. Says that it works, not how fast.
    #[arg(long)]
    quick: bool,
    /// Rounds; the medians are over them.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds a sample takes.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Connections, one after another.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    connections: Vec<usize>,
    /// Sessions in play, each on a table of its own; the limit has as many for itself.
    #[arg(long, default_value_t = 2_000)]
    live: usize,
    /// Finished sessions behind it, smallest first. Everything is measured over the first; what must stay flat, over each. 1000000 takes the
    /// better part of an hour to load, and 25 GB.
    #[arg(long, value_delimiter = ',', default_value = "1000,100000")]
    history: Vec<usize>,
    /// Only what has one of these words in its name: limit, command, cosigned, session, read, stream, shift, start, metrics.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where every figure goes as JSON.
    #[arg(long, default_value = "target/speed.json")]
    json: PathBuf,
    /// Where the cluster lives meanwhile: on the disk that is meant.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    below: PathBuf,
    /// Leave the cluster where it is in the end, for whoever wants to look closer: `rundown serve --data-dir` takes it up.
    #[arg(long)]
    keep: bool,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    #[serde(skip)]
    bench: bool,
}

impl Settings {
    fn in_short(self) -> Self {
        if !self.quick {
            return self;
        }
        Self {
            rounds: 2,
            seconds: 1,
            history: vec![1_000],
            live: 200,
            ..self
        }
    }

    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| part.contains(word.as_str()))
    }
}

fn main() -> ExitCode {
    // The load generator, and those who listen, are this program again, as other processes.
    let done = match std::env::args().nth(1).as_deref() {
        Some("client") => client::run(),
        Some("subscriber") => client::subscriber::run(),
        _ => run::run(&Settings::parse().in_short()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("speed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
