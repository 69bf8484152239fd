//! One keep-alive connection to the daemon, by hand on hyper: what a client spends here is taken from the two cores it shares with the server.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rundown::clock::new_id;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::People;

pub struct Wire {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    /// Ends with the connection.
    _carrier: JoinSet<()>,
}

/// One request, as little of it as the contract asks for.
pub struct Ask<'a> {
    pub method: &'static str,
    pub path: &'a str,
    pub token: &'a str,
    /// An `If-None-Match`.
    pub known: Option<&'a str>,
    /// An `X-Correlation-Id`.
    pub correlation: Option<String>,
    pub body: Option<String>,
}

pub struct Reply {
    pub status: u16,
    pub etag: Option<String>,
    pub body: Bytes,
}

impl Wire {
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).await.context("the daemon takes no connection")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut carrier = JoinSet::new();
        carrier.spawn(async move {
            connection.await.ok();
        });
        Ok(Self {
            sender,
            host: addr.to_string(),
            _carrier: carrier,
        })
    }

    pub async fn send(&mut self, ask: Ask<'_>) -> Result<Reply> {
        let mut request = Request::builder()
            .method(ask.method)
            .uri(ask.path)
            .header("host", &self.host)
            .header("authorization", ask.token);
        if let Some(known) = ask.known {
            request = request.header("if-none-match", known);
        }
        if let Some(correlation) = ask.correlation {
            request = request.header("x-correlation-id", correlation);
        }
        let body = match ask.body {
            Some(body) => {
                request = request
                    .header("content-type", "application/json")
                    .header("idempotency-key", new_id().to_string());
                body.into()
            }
            None => Bytes::new(),
        };
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(Full::new(body))?).await?;
        let etag = response
            .headers()
            .get("etag")
            .and_then(|tag| tag.to_str().ok())
            .map(ToOwned::to_owned);
        Ok(Reply {
            status: response.status().as_u16(),
            etag,
            body: response.into_body().collect().await?.to_bytes(),
        })
    }

    /// A command that must succeed, and what it answers.
    pub async fn command(&mut self, people: &People, by: &str, path: &str, body: Value) -> Result<Value> {
        let ask = Ask {
            method: "POST",
            path,
            token: &people.token(by)?,
            known: None,
            correlation: None,
            body: Some(body.to_string()),
        };
        let reply = self.send(ask).await?;
        ensure!(
            matches!(reply.status, 200 | 201),
            "POST {path} as {by}: {} {}",
            reply.status,
            String::from_utf8_lossy(&reply.body)
        );
        Ok(serde_json::from_slice(&reply.body)?)
    }
}
