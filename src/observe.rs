//! What the daemon says about itself: log lines and spans, [`metrics`], and the correlation id that ties one request's log lines, audit rows
//! and events together. ("Telemetry" means buy-ins in this house.)

pub mod metrics;
mod otlp;

use std::fmt;
use std::io::{IsTerminal, stderr};

use anyhow::{Context, Result, anyhow, ensure};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::clock;

/// How a log line looks: for people, or one JSON object a line for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Starts logging to stderr; stdout belongs to what a command was asked to print (`rundown token` prints a bare token there).
/// `level` is a level or a list of them as `tracing` filters write it: `info`, `info,sqlx=warn`.
/// Spans go to `otlp_url` too, where one is given, whatever is logged.
///
/// # Errors
/// An unreadable `level`, an exporter that cannot be made, or logging already started in this process.
pub fn init(level: &str, format: LogFormat, otlp_url: Option<&str>) -> Result<()> {
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let lines = lines.with_filter(filter(level)?);
    let spans = otlp_url.map(otlp::layer).transpose()?;
    let started = tracing_subscriber::registry().with(lines).with(spans).try_init();
    started.map_err(|error| anyhow!("logging could not be started: {error}"))
}

/// Sends the spans that still wait. To be called last: what comes afterwards is not exported.
pub fn finish() {
    otlp::finish();
}

/// The filter language takes a bare word that is no level for a module name, so `inof` would silence the daemon instead of failing;
/// nothing at all it takes for `error`.
fn filter(level: &str) -> Result<EnvFilter> {
    for directive in level.split(',').filter(|directive| !directive.contains(['=', '['])) {
        ensure!(
            !directive.is_empty() && directive.parse::<LevelFilter>().is_ok(),
            "{directive:?} is no log level: error, warn, info, debug, trace or off"
        );
    }
    EnvFilter::try_new(level).with_context(|| format!("{level:?} is no log filter"))
}

/// Names one request across log lines, audit rows and events. What a client sends is taken over if it is well formed; the alphabet
/// keeps it harmless in a header, in a log line and as Postgres' `application_name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CorrelationId(String);

impl CorrelationId {
    /// Bounds a name that is stored with every audit row.
    const LIMIT_BYTES: usize = 64;

    /// A client's id: 1 to 64 of `[A-Za-z0-9._-]`, or nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let well_formed = (1..=Self::LIMIT_BYTES).contains(&text.len()) && text.bytes().all(allowed);
        well_formed.then(|| Self(text.to_owned()))
    }

    /// An id for a request that brought none.
    pub fn generate() -> Self {
        Self(clock::new_id().to_string())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_misspelt_level_is_refused_instead_of_silencing_the_log() {
        for good in ["info", "WARN", "off", "info,sqlx=warn", "rundown=debug,sqlx=off"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["inof", "", "info,sqlx", "sqlx=loud"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_edges_of_a_correlation_id() {
        assert!(CorrelationId::parse("").is_none());
        assert!(CorrelationId::parse(&"a".repeat(64)).is_some());
        assert!(CorrelationId::parse(&"a".repeat(65)).is_none());
        assert!(CorrelationId::parse("a b").is_none());
        assert!(CorrelationId::parse("a\nb").is_none());
        assert!(CorrelationId::parse("é").is_none());
    }

    #[test]
    fn a_generated_id_is_well_formed_and_new() {
        let (first, second) = (CorrelationId::generate(), CorrelationId::generate());
        assert_ne!(first, second);
        assert_eq!(CorrelationId::parse(first.as_str()), Some(first));
    }

    proptest! {
        #[test]
        fn a_well_formed_id_is_kept_as_it_is(text in "[A-Za-z0-9._-]{1,64}") {
            prop_assert_eq!(CorrelationId::parse(&text).unwrap().to_string(), text);
        }

        #[test]
        fn anything_else_is_refused(text in ".{0,80}") {
            let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
            let well_formed = (1..=64).contains(&text.chars().count()) && text.chars().all(allowed);
            prop_assert_eq!(CorrelationId::parse(&text).is_some(), well_formed);
        }

        #[test]
        fn one_foreign_letter_anywhere_is_enough(before in "[a-z]{0,20}", foreign in "[^A-Za-z0-9._-]", after in "[a-z]{0,20}") {
            let text = format!("{before}{foreign}{after}");
            prop_assert!(CorrelationId::parse(&text).is_none());
        }
    }
}
