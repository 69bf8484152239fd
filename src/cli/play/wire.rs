//! The way to the daemon: each person's own token, patience with a busy daemon, and answers told apart from refusals.
//!
//! Every POST carries an Idempotency-Key, so asking again after a lost answer is always safe: that is what lets this file retry.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Gives the token of an employee number.
pub type Tokens<'a> = dyn Fn(&str) -> anyhow::Result<String> + Sync + 'a;

/// Times a daemon that is away is asked again: with [`backoff`] some twenty seconds, enough for one that is being restarted.
const TRIES_WHILE_AWAY: u32 = 8;
/// Times a rate limit is waited out for one request; a limit that never opens is a setting to mend, not to sit through.
const WAITS_FOR_RATE: u32 = 30;
/// A daemon that names a longer time is not taken at its word: the play would look dead.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A command waits for locks at most some seconds; no answer for this long is none.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// Pages of one list, 200 rows each: a cursor that leads in a circle must end.
const PAGES: usize = 500;

pub struct Wire<'a> {
    client: Client,
    base: String,
    tokens: &'a Tokens<'a>,
    issued: HashMap<String, String>,
    /// It has answered before: an address where nobody ever answered is a mistake, told at once.
    reached: bool,
}

/// What the daemon said to a request it understood.
#[derive(Debug)]
pub enum Answer {
    Accepted { status: u16, body: Value, replayed: bool },
    Refused(Refusal),
}

/// A problem+json answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// None where nothing was sent.
    pub status: Option<u16>,
    pub code: String,
    pub detail: String,
    /// Every gate that is shut, with what it needs.
    pub gates: Vec<UnmetGate>,
    /// Bad fields of a body, when that is what was refused.
    pub errors: Vec<FieldError>,
    pub correlation_id: Option<String>,
}

impl Refusal {
    /// An act that hangs on one that was refused.
    pub fn unsent(detail: String) -> Self {
        Self {
            code: "not_sent".to_owned(),
            detail,
            ..Self::default()
        }
    }

    /// An answer the contract does not know.
    pub fn unexpected(status: u16, detail: String) -> Self {
        Self {
            status: Some(status),
            code: "unexpected_answer".to_owned(),
            detail,
            ..Self::default()
        }
    }

    /// The rule forbids this person, not the act: somebody else may.
    pub fn is_of_the_person(&self) -> bool {
        self.code == "segregation_violation" || self.gates.iter().any(|gate| gate.code == "finalizer_independent")
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct UnmetGate {
    pub code: String,
    pub detail: Option<String>,
    /// Words or a list of them: the gate's own business.
    pub needs: Value,
    pub who: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct FieldError {
    pub pointer: String,
    pub message: String,
}

impl<'a> Wire<'a> {
    pub fn new(url: &str, tokens: &'a Tokens<'a>) -> anyhow::Result<Self> {
        let address = Url::parse(url).with_context(|| format!("`{url}` is no address"))?;
        ensure!(
            matches!(address.scheme(), "http" | "https"),
            "`{url}`: only http and https are spoken"
        );
        // A redirect would turn the POST into a GET, and a token is for the daemon it was issued for.
        let mut builder = Client::builder().timeout(REQUEST_TIMEOUT).redirect(redirect::Policy::none());
        if matches!(address.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            // A proxy of the environment cannot reach this machine's own loopback.
            builder = builder.no_proxy();
        }
        let client = builder.build().context("the HTTP client cannot be made")?;
        let base = format!("{}/api/v1", url.trim_end_matches('/'));
        Ok(Self {
            client,
            base,
            tokens,
            issued: HashMap::new(),
            reached: false,
        })
    }

    /// A command or fact by `by`, once, whatever happens on the way.
    pub async fn post(&mut self, by: &str, path: &str, key: &str, body: &Value) -> anyhow::Result<Answer> {
        let url = format!("{}{path}", self.base);
        let token = self.token(by)?;
        let client = self.client.clone();
        self.exchange(|| client.post(&url).bearer_auth(&token).header("Idempotency-Key", key).json(body))
            .await
    }

    /// A change by `by`: made twice it is made once.
    pub async fn patch(&mut self, by: &str, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let url = format!("{}{path}", self.base);
        let token = self.token(by)?;
        let client = self.client.clone();
        self.exchange(|| client.patch(&url).bearer_auth(&token).json(body)).await
    }

    pub async fn get(&mut self, by: &str, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let url = format!("{}{path}", self.base);
        let token = self.token(by)?;
        let client = self.client.clone();
        self.exchange(|| client.get(&url).bearer_auth(&token).query(query)).await
    }

    /// All rows of a list, page by page.
    pub async fn list<T: DeserializeOwned>(
        &mut self,
        by: &str,
        path: &str,
        filter: &[(&str, &str)],
    ) -> anyhow::Result<Result<Vec<T>, Refusal>> {
        #[derive(Deserialize)]
        struct Page<T> {
            items: Vec<T>,
            next_cursor: Option<String>,
        }

        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES {
            let mut query = filter.to_vec();
            query.push(("limit", "200"));
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let body = match self.get(by, path, &query).await? {
                Answer::Accepted { body, .. } => body,
                Answer::Refused(refusal) => return Ok(Err(refusal)),
            };
            let page: Page<T> = serde_json::from_value(body).with_context(|| format!("GET {path} answered something else than a list"))?;
            rows.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(Ok(rows));
            }
        }
        bail!("GET {path} has no end after {PAGES} pages")
    }

    /// Issued once a person: signing is cheap, but 800 tokens for 20 people would be 800 secrets.
    fn token(&mut self, by: &str) -> anyhow::Result<String> {
        if let Some(token) = self.issued.get(by) {
            return Ok(token.clone());
        }
        let token = (self.tokens)(by).with_context(|| format!("no token for {by}"))?;
        self.issued.insert(by.to_owned(), token.clone());
        Ok(token)
    }

    /// Sends until there is an answer, within the bounds above.
    async fn exchange(&mut self, request: impl Fn() -> RequestBuilder) -> anyhow::Result<Answer> {
        let (mut away, mut limited) = (0, 0);
        loop {
            match attempt(request()).await {
                Ok(Attempt::Answered(answer)) => {
                    self.reached = true;
                    return Ok(answer);
                }
                Ok(Attempt::Limited(wait)) => {
                    limited += 1;
                    ensure!(
                        limited <= WAITS_FOR_RATE,
                        "{} still limits the rate after {WAITS_FOR_RATE} waits",
                        self.base
                    );
                    tokio::time::sleep(wait).await;
                }
                Ok(Attempt::Unavailable(wait)) => {
                    away += 1;
                    ensure!(
                        away < TRIES_WHILE_AWAY,
                        "{} says that it is unavailable, {TRIES_WHILE_AWAY} times",
                        self.base
                    );
                    tokio::time::sleep(wait.unwrap_or_else(|| backoff(away))).await;
                }
                Err(error) => {
                    away += 1;
                    let patient = self.reached && !error.is_builder() && away < TRIES_WHILE_AWAY;
                    if !patient {
                        return Err(error).with_context(|| format!("{} does not answer", self.base));
                    }
                    tokio::time::sleep(backoff(away)).await;
                }
            }
        }
    }
}

enum Attempt {
    Answered(Answer),
    Limited(Duration),
    Unavailable(Option<Duration>),
}

async fn attempt(request: RequestBuilder) -> reqwest::Result<Attempt> {
    let response = request.send().await?;
    let status = response.status();
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Ok(Attempt::Limited(retry_after(&response).unwrap_or(Duration::from_secs(1))));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return Ok(Attempt::Unavailable(retry_after(&response)));
    }
    let replayed = response.headers().get("Idempotent-Replayed").is_some_and(|value| value == "true");
    // The body belongs to the attempt: an answer cut off half way is no answer.
    let bytes = response.bytes().await?;
    let body: Result<Value, _> = serde_json::from_slice(&bytes);
    Ok(Attempt::Answered(match body {
        Ok(body) if status.is_success() => Answer::Accepted {
            status: status.as_u16(),
            body,
            replayed,
        },
        Ok(body) => Answer::Refused(problem(status.as_u16(), body)),
        Err(error) => Answer::Refused(Refusal::unexpected(status.as_u16(), format!("the answer is not JSON: {error}"))),
    }))
}

/// Every refusal of the contract is problem+json: anything else comes from something else on that address.
fn problem(status: u16, body: Value) -> Refusal {
    match serde_json::from_value::<Refusal>(body) {
        Ok(refusal) => Refusal {
            status: Some(status),
            ..refusal
        },
        Err(error) => Refusal::unexpected(status, format!("the answer is no problem+json: {error}")),
    }
}

/// Seconds; a date is answered with the default wait, since the two clocks need not agree.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// ¼, ½, 1, 2, 4, 4, … seconds. No jitter: one player is no herd.
fn backoff(failures: u32) -> Duration {
    Duration::from_millis(250 << failures.saturating_sub(1).min(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_is_away_is_given_ever_longer_to_come_back() {
        let waits: Vec<u128> = (1..=6).map(|failures| backoff(failures).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 4000]);
    }

    #[test]
    fn a_problem_without_gates_reads_as_one_with_none() {
        let problem = serde_json::json!({"type": "x/problems/forbidden", "title": "t", "status": 403, "code": "forbidden", "detail": "no", "instance": "/x"});
        let refusal: Refusal = serde_json::from_value(problem).unwrap();
        assert_eq!(
            (refusal.status, refusal.code.as_str(), refusal.gates.len()),
            (Some(403), "forbidden", 0)
        );
    }
}
