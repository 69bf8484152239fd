//! One request to a receiver: an address that was checked, no redirect, a bounded time, a bounded answer.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tower::Service;

use super::reach::{OutOfReach, Reach};

/// An answer is a status. Its body is read so that the connection can be used again, as far as this; then the connection is dropped.
const ANSWER_BYTES: usize = 16 * 1024;
/// Idle connections are kept so long: a receiver that gets an event a second keeps one.
const IDLE_FOR: Duration = Duration::from_secs(30);
/// Idle connections to one receiver: its webhook sends one request at a time.
const IDLE_EACH: usize = 2;
/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 4;

/// Sends requests.
#[derive(Clone)]
pub(super) struct Post {
    client: Client<HttpsConnector<Checked>, Full<Bytes>>,
    timeout: Duration,
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("no answer within {} s", .0.as_secs_f32())]
    TooLate(Duration),
    #[error("{0}")]
    Broken(String),
}

impl Post {
    /// # Errors
    /// The file with further authorities cannot be read. A machine that trusts nobody is told in the log: it may send to itself alone.
    pub(super) fn new(reach: Reach, ca_file: Option<&Path>, timeout: Duration) -> anyhow::Result<Self> {
        let trusted = trusted(ca_file)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Checked { reach });
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(IDLE_EACH)
            .build(connector);
        Ok(Self { client, timeout })
    }

    /// What the receiver answered. A redirect is an answer like any other: it is not followed. No database work is cut off by the time: a
    /// request is nothing but waiting for the network.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<StatusCode, NoAnswer> {
        let latest = Instant::now() + self.timeout;
        let answer = timeout_at(latest, self.client.request(request)).await;
        let answer = answer
            .map_err(|_| NoAnswer::TooLate(self.timeout))?
            .map_err(|error| NoAnswer::Broken(told(&error)))?;
        let status = answer.status();
        // The status is the answer, whatever becomes of the rest: too long, or not in time, it takes its connection with it.
        let rest = Limited::new(answer.into_body(), ANSWER_BYTES).collect();
        if !matches!(timeout_at(latest, rest).await, Ok(Ok(_))) {
            tracing::debug!("the rest of an answer was not read");
        }
        Ok(status)
    }
}

/// A failure in words, without the address that a name led to: whoever reads the log of deliveries learns nothing of the network.
fn told(error: &(dyn Error + 'static)) -> String {
    let mut words = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<OutOfReach>() {
            return refused.to_string();
        }
        // An `io::Error` hides what it was made of from `source`.
        if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            words.push(error.to_string());
            cause = Some(inner);
        } else {
            words.push(error.to_string());
            cause = error.source();
        }
    }
    words.dedup();
    words.join(": ")
}

fn trusted(ca_file: Option<&Path>) -> anyhow::Result<RootCertStore> {
    let mut trusted = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "trusted certificates of this machine could not be read");
    }
    trusted.add_parsable_certificates(found.certs);
    if let Some(path) = ca_file {
        let unreadable = || format!("webhooks.ca_file: {} holds no certificate in PEM that can be read", path.display());
        let named = CertificateDer::pem_file_iter(path).with_context(unreadable)?;
        let named: Vec<_> = named.collect::<Result<_, _>>().with_context(unreadable)?;
        anyhow::ensure!(!named.is_empty(), unreadable());
        for certificate in named {
            trusted.add(certificate).with_context(unreadable)?;
        }
    }
    if trusted.is_empty() {
        tracing::warn!("this machine trusts no certificate authority: no webhook can be reached by https (Debian: ca-certificates)");
    }
    Ok(trusted)
}

/// Connects, to addresses within reach alone: those that were looked at are those that are connected to.
#[derive(Clone, Copy)]
struct Checked {
    reach: Reach,
}

impl Service<Uri> for Checked {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(connect(self.reach, uri))
    }
}

async fn connect(reach: Reach, uri: Uri) -> io::Result<TokioIo<TcpStream>> {
    let is_plain = uri.scheme_str() != Some("https");
    let addresses = addresses(&uri, if is_plain { 80 } else { 443 }).await?;
    // One that must not be reached condemns all: nobody's name leads inside and outside by accident.
    for address in &addresses {
        reach.admit(address.ip(), is_plain).map_err(io::Error::other)?;
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name leads to no address");
    for address in addresses.into_iter().take(MOST_ADDRESSES) {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(TokioIo::new(stream));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn addresses(uri: &Uri, usual_port: u16) -> io::Result<Vec<SocketAddr>> {
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(usual_port);
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) => Ok(vec![SocketAddr::new(address, port)]),
        Err(_) => Ok(lookup_host((host, port)).await?.collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name passes the form, because nobody knows yet where it leads; here it leads home.
    #[tokio::test]
    async fn a_name_is_judged_by_where_it_leads() {
        for url in [
            "https://localhost:9/",
            "http://localhost:9/",
            "https://127.0.0.1:9/",
            "https://[::ffff:127.0.0.1]:9/",
        ] {
            let refused = connect(Reach { private: false }, url.parse().unwrap()).await.unwrap_err();
            assert!(
                refused.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<OutOfReach>),
                "{url}: {refused}"
            );
            let tried = connect(Reach { private: true }, url.parse().unwrap()).await.unwrap_err();
            assert_eq!(tried.kind(), io::ErrorKind::ConnectionRefused, "{url}: nobody listens there");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_its_own_words() {
        let post = Post::new(Reach { private: false }, None, Duration::from_secs(5)).unwrap();
        let request = Request::post("https://localhost:9/").body(Full::default()).unwrap();
        let failed = post.send(request).await.unwrap_err().to_string();
        assert!(failed.starts_with("not an address on the public Internet"), "{failed}");
    }
}
