//! A receiver, as an integrator would write one: it takes requests on loopback, keeps every one, and answers as it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::serve::Listener;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How one request is answered.
#[derive(Clone, Debug)]
pub enum Answers {
    With(u16),
    RedirectsTo(String),
    /// Takes the event, and says so too late.
    After(Duration),
    /// With far more than anybody wants to read.
    Endlessly,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Taken {
    pub headers: HeaderMap,
    pub text: String,
}

/// A receiver on a port of its own.
pub struct Receiver {
    pub url: String,
    shared: Arc<Shared>,
    /// Ends with the test.
    _task: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    taken: Mutex<Vec<Taken>>,
    /// Answers to the next requests; 204 where it says nothing.
    script: Mutex<VecDeque<Answers>>,
}

impl Receiver {
    pub async fn open() -> Self {
        Self::open_with([]).await
    }

    pub async fn open_with(script: impl IntoIterator<Item = Answers>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        Self::behind(listener, url, script)
    }

    /// By https, with the certificate of `localhost` that `tls/ca.pem` has signed.
    pub async fn open_with_tls() -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("https://localhost:{}/hook", tcp.local_addr().expect("an address").port());
        let chain = vec![CertificateDer::from_pem_slice(include_bytes!("tls/cert.pem")).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate with its key");
        let listener = Encrypted {
            tcp,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        };
        Self::behind(listener, url, [])
    }

    fn behind<L>(listener: L, url: String, script: impl IntoIterator<Item = Answers>) -> Self
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
    {
        let shared = Arc::new(Shared {
            script: Mutex::new(script.into_iter().collect()),
            ..Shared::default()
        });
        let router = Router::new().fallback(take).with_state(Arc::clone(&shared));
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.expect("served") });
        Self { url, shared, _task: task }
    }

    pub fn taken(&self) -> Vec<Taken> {
        lock(&self.shared.taken).clone()
    }

    pub fn count(&self) -> usize {
        lock(&self.shared.taken).len()
    }

    /// The ids of what was taken, each request once.
    pub fn ids(&self) -> Vec<String> {
        self.taken().iter().map(Taken::id).collect()
    }

    pub fn answer_next(&self, answer: Answers) {
        lock(&self.shared.script).push_back(answer);
    }
}

impl Taken {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("text")
    }

    pub fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    pub fn body(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }

    /// As docs/webhooks.md tells an integrator to.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
        let signed = format!("{}.{}.{}", self.id(), self.header("webhook-timestamp"), self.text);
        self.header("webhook-signature").split(' ').any(|signature| {
            let given = STANDARD.decode(signature.strip_prefix("v1,").expect("v1")).expect("base64");
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
            mac.update(signed.as_bytes());
            mac.verify_slice(&given).is_ok()
        })
    }
}

/// Takes connections whose handshake succeeds; the others are forgotten.
struct Encrypted {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.expect("a connection");
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = lock(&shared.script).pop_front().unwrap_or(Answers::With(204));
    lock(&shared.taken).push(Taken {
        headers,
        text: String::from_utf8(body.to_vec()).expect("UTF-8"),
    });
    match answer {
        Answers::With(status) => StatusCode::from_u16(status).expect("a status").into_response(),
        Answers::RedirectsTo(url) => (StatusCode::TEMPORARY_REDIRECT, [("location", url)]).into_response(),
        Answers::After(late) => {
            tokio::time::sleep(late).await;
            StatusCode::NO_CONTENT.into_response()
        }
        Answers::Endlessly => (StatusCode::OK, vec![b'x'; 4 << 20]).into_response(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
