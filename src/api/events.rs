//! Events: the stored feed a page at a time, the live stream, and the catalog as documents.

use std::collections::BTreeSet;
use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use strum::VariantArray as _;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use workflows::act;
use workflows::event::{self, CacheKey, INTERNAL, Name};
use workflows::record::Staff;
use workflows::refusal::Refusal;

use super::extract::{NoParams, Params, Reader};
use crate::app::App;
use crate::engine::{Envelope, Principal};
use crate::error::Error;
use crate::outbox::feed::{self, NoStream, Wish};
use crate::store::desk::Ask;
use crate::store::feed::{Channel, Stored};
use crate::store::list::Window;
use crate::store::setup::Me;

/// Channels one stream may name: a screen of detail views.
const MOST_CHANNELS: usize = 100;
/// How soon a client tries again where every stream is taken.
const FULL_RESTS_SECONDS: u64 = 5;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EventFilter {
    /// Events after this seq.
    after: Option<i64>,
    /// `{casino_id}` or `{casino_id}:{resource_id}`; none: every event the caller may read.
    channel: Option<String>,
    /// How many stored events are looked at. The page holds those of them that the caller may read.
    limit: Option<u64>,
    cursor: Option<String>,
}

/// A page of the feed.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventPage {
    /// By seq: the catalog's keys, with `event_id`, `seq`, `schema_version` and `correlation_id`.
    items: Vec<Value>,
    next_cursor: Option<String>,
    /// The oldest event that is still stored: what is before it was pruned. None where nothing is stored.
    first_seq: Option<i64>,
    /// How far the casino's feed goes.
    last_seq: i64,
}

/// Lists published events, oldest first. Where a dashboard only needs the present state, its own resource with If-None-Match costs less than following events.
#[utoipa::path(get, path = "/events", tag = "events", params(EventFilter), responses((status = 200, body = EventPage)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<EventFilter>) -> Result<Response, Error> {
    let limit = Window::parse(filter.limit, None)?.limit;
    let channel = filter.channel.as_deref().map(Named::parse).transpose()?;
    let cursor = filter.cursor.as_deref().map(cursor).transpose()?;
    let query = Stored {
        after: filter.after.unwrap_or_default().max(cursor.unwrap_or_default()),
        limit,
        channel: channel.as_ref().map(Named::stored),
    };
    let (context, stretch) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    channel.as_ref().map_or(Ok(()), |channel| channel.admit(&context.caller))?;
    let looked_at = u64::try_from(stretch.events.len()).unwrap_or(u64::MAX);
    let last = stretch.events.last().filter(|_| looked_at == limit);
    let page = EventPage {
        next_cursor: last.map(|event| event.seq.to_string()),
        items: stretch
            .events
            .iter()
            .filter_map(|event| event.seen_by(context.caller.role))
            .collect(),
        first_seq: stretch.bounds.first_seq,
        last_seq: stretch.bounds.last_seq,
    };
    Ok(reader.hashed(&page))
}

/// A seq, as a cursor.
fn cursor(text: &str) -> Result<i64, Error> {
    let seq = text.parse().ok().filter(|seq| *seq >= 0);
    seq.ok_or_else(|| Error::Malformed("cursor: not one of this list".to_owned()))
}

/// Follows events as they are published: server-sent events. `id` is the seq to resume after, by `Last-Event-ID`; an event may then come
/// twice, with the same `event_id`. Ends with an event `stream.cut` that says why.
#[utoipa::path(get, path = "/events/stream", tag = "events",
    params(
        ("channel" = Option<Vec<String>>, Query, description = "`{casino_id}` or `{casino_id}:{resource_id}`, repeatable; none: every event the caller may read"),
        ("last-event-id" = Option<i64>, Header, description = "the last `id` received: stored events after it come first"),
    ),
    responses((status = 200, description = "a stream of events", content_type = "text/event-stream")))]
pub async fn stream(State(app): State<App>, reader: Reader, uri: Uri, headers: HeaderMap) -> Result<Response, Error> {
    let channels = channels(&uri)?;
    let after = last_event_id(&headers)?;
    let (context, _) = app.engine.list(&reader.envelope, act::READ_FLOOR, &Me).await?;
    channels.iter().try_for_each(|channel| channel.admit(&context.caller))?;
    let listener = feed::Reader {
        casino_id: context.casino.id,
        staff_id: context.caller.id,
        role: context.caller.role,
        subject: subject(&reader.envelope),
    };
    let wish = Wish {
        channels: channels.iter().map(Named::name).collect(),
        after,
    };
    let stream = app.feed.join(listener, wish).await.map_err(|refused| match refused {
        NoStream::Full(_) => Error::TooMany {
            retry_after_seconds: FULL_RESTS_SECONDS,
        },
        NoStream::Store(fault) => fault.into(),
    })?;
    Ok(sent(stream))
}

fn sent(stream: feed::Stream) -> Response {
    let pieces = futures_util::stream::unfold(stream, |mut stream| async move {
        let piece = stream.next().await?;
        Some((Ok::<_, Infallible>(piece), stream))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // What stands between would otherwise collect events until they fill a buffer.
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(pieces)).into_response()
}

fn subject(envelope: &Envelope) -> String {
    match &envelope.principal {
        Principal::Subject(subject) => subject.clone(),
        Principal::System(_) => String::new(),
    }
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, Error> {
    let Some(given) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let seq = given
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .filter(|seq: &i64| *seq >= 0);
    seq.map(Some)
        .ok_or_else(|| Error::Malformed("the header Last-Event-ID: an id of this stream, a number".to_owned()))
}

/// The query: `channel`, any number of times, and nothing else.
fn channels(uri: &Uri) -> Result<Vec<Named>, Error> {
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    let pairs = pairs.map_err(|_| Error::Malformed("query: cannot be read".to_owned()))?.0;
    if pairs.len() > MOST_CHANNELS {
        return Err(Error::Malformed(format!("channel: at most {MOST_CHANNELS}")));
    }
    let channels: BTreeSet<String> = pairs
        .into_iter()
        .map(|(name, value)| match name.as_str() {
            "channel" => Ok(value),
            other => Err(Error::Malformed(format!("query: unknown field `{other}`, expected `channel`"))),
        })
        .collect::<Result<_, _>>()?;
    channels.iter().map(|text| Named::parse(text)).collect()
}

/// A channel as a client names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named {
    casino: Uuid,
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Casino,
    Resource(Uuid),
    Internal,
}

impl Named {
    fn parse(text: &str) -> Result<Self, Error> {
        let (casino, part) = text.split_once(':').map_or((text, None), |(casino, part)| (casino, Some(part)));
        let part = match part {
            None => Some(Part::Casino),
            Some(INTERNAL) => Some(Part::Internal),
            Some(resource) => resource.parse().ok().map(Part::Resource),
        };
        let named = casino.parse().ok().zip(part).map(|(casino, part)| Self { casino, part });
        named.ok_or_else(|| Error::Malformed("channel: {casino_id} or {casino_id}:{resource_id}".to_owned()))
    }

    /// Only the caller's own casino has channels; what is internal is for whoever runs the daemon.
    fn admit(&self, caller: &Staff) -> Result<(), Error> {
        if self.casino != caller.casino_id {
            return Err(Refusal::NotFound("channel").into());
        }
        if self.part == Part::Internal && !act::RUN_OUTBOX.may(caller.role) {
            let who = act::RUN_OUTBOX.who;
            return Err(Refusal::forbidden(who, "the internal channel is the admins'".to_owned()).into());
        }
        Ok(())
    }

    fn name(&self) -> String {
        match self.part {
            Part::Casino => self.casino.to_string(),
            Part::Resource(resource) => format!("{}:{resource}", self.casino),
            Part::Internal => format!("{}:{INTERNAL}", self.casino),
        }
    }

    fn stored(&self) -> Channel {
        Channel {
            name: self.name(),
            resource: match self.part {
                Part::Resource(resource) => Some(resource),
                Part::Casino | Part::Internal => None,
            },
        }
    }
}

/// The JSON Schema of every event, by name.
#[utoipa::path(get, path = "/events/schemas", tag = "events", responses((status = 200, description = "by name, the JSON Schema (2020-12) of each event", body = Object)))]
pub async fn schemas(State(app): State<App>, reader: Reader, _nothing: Params<NoParams>) -> Result<Response, Error> {
    app.engine.read(&reader.envelope, act::READ_FLOOR, &Ask::default()).await?;
    Ok(reader.hashed(&event::schemas()))
}

/// Which caches of a client each event touches.
#[utoipa::path(get, path = "/events/cache-keys", tag = "events", responses((status = 200, description = "by name, what to do under which key; `{name}` is the payload's member", body = BTreeMap<String, Vec<CacheKey>>)))]
pub async fn cache_keys(State(app): State<App>, reader: Reader, _nothing: Params<NoParams>) -> Result<Response, Error> {
    app.engine.read(&reader.envelope, act::READ_FLOOR, &Ask::default()).await?;
    let keys: Map<String, Value> = Name::VARIANTS
        .iter()
        .map(|name| {
            let keys = serde_json::to_value(name.cache_keys()).unwrap_or_default();
            (name.as_str().to_owned(), keys)
        })
        .collect();
    Ok(reader.hashed(&keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_a_casino_or_a_casino_and_a_thing() {
        let (casino, thing) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for text in [casino.to_string(), format!("{casino}:{thing}"), format!("{casino}:internal")] {
            assert_eq!(Named::parse(&text).map(|named| named.name()).ok(), Some(text));
        }
        for text in [
            "",
            "river",
            &format!("{casino}:"),
            &format!("{casino}:all"),
            &format!("{casino}:{thing}:{thing}"),
        ] {
            assert!(Named::parse(text).is_err(), "{text}");
        }
    }
}
