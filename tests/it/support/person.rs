//! A client with one person's token: real HTTP, and every answer kept whole.

use reqwest::Method;
use reqwest::header::HeaderMap;
use rundown::clock::new_id;
use serde_json::Value;

/// Somebody who calls the API.
#[derive(Clone)]
pub struct Person {
    client: reqwest::Client,
    url: String,
    token: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Person {
    pub fn new(client: reqwest::Client, url: String, token: Option<String>) -> Self {
        Self { client, url, token }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], None).await
    }

    /// Posts under a key of its own.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        let key = new_id().to_string();
        self.send(Method::POST, path, &[("idempotency-key", &key)], Some(body)).await
    }

    /// Posts under a named key.
    pub async fn post_as(&self, key: &str, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, &[("idempotency-key", key)], Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PATCH, path, &[], Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, &[], Some(body)).await
    }

    /// Any request: method, path, headers, JSON body.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Reply {
        let text = body.map(|body| body.to_string());
        let mut headers = headers.to_vec();
        if text.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            headers.push(("content-type", "application/json"));
        }
        self.raw(method, path, &headers, text.map(String::into_bytes)).await
    }

    /// A GET whose answer is read as it comes.
    pub async fn open(&self, path: &str, last_event_id: Option<&str>) -> reqwest::Response {
        let mut request = self.client.get(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        request.send().await.expect("an answer")
    }

    /// Any request, with whatever bytes.
    pub async fn raw(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Reply {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let mut response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        // A live stream has no end: its opening is the answer.
        let is_live = headers.get("content-type").is_some_and(|value| value == "text/event-stream");
        let text = if is_live {
            let opening = response.chunk().await.expect("an opening").unwrap_or_default();
            String::from_utf8_lossy(&opening).into_owned()
        } else {
            response.text().await.expect("a body")
        };
        Reply {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }
}

impl Reply {
    /// The body, of an answer with this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{}", self.text);
        &self.body
    }

    /// A problem with this status and code; its body.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> &Value {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        &self.body
    }

    /// The codes of every unmet gate.
    pub fn gates(&self) -> Vec<&str> {
        self.body["gates"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|gate| gate["code"].as_str())
            .collect()
    }

    /// The pointers of every flaw.
    pub fn pointers(&self) -> Vec<&str> {
        self.body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|flaw| flaw["pointer"].as_str())
            .collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
