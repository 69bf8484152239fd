//! Spans for a collector, in OTLP over HTTP (protobuf). A thread of its own sends them in batches: a collector that is slow or away costs
//! the daemon a bounded queue, and spans, never a command.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

/// One of them in a process, as there is one log.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// How long a collector may take for a batch, and the daemon's end for the last one.
const SENT_WITHIN: Duration = Duration::from_secs(5);

/// Takes our own spans from `info` on, to `<url>/v1/traces`.
pub(super) fn layer<S>(url: &str) -> Result<impl Layer<S>>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", url.trim_end_matches('/')))
        .with_timeout(SENT_WITHIN)
        .build()
        .with_context(|| format!("spans cannot be sent to {url} (observe.otlp_url)"))?;
    let resource = Resource::builder()
        .with_service_name("rundown")
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build();
    let tracer = provider.tracer("rundown");
    // A second one would mean a second log, which is refused before.
    PROVIDER.set(provider).ok();
    // Others' spans, the exporter's own among them, would only feed the collector with itself.
    let ours = Targets::new().with_target("rundown", LevelFilter::INFO);
    Ok(tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours))
}

pub(super) fn finish() {
    if let Some(Err(error)) = PROVIDER.get().map(|provider| provider.shutdown_with_timeout(SENT_WITHIN)) {
        tracing::warn!(%error, "the last spans were not sent");
    }
}
