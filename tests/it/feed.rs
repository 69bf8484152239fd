//! The feed as readers get it: a page at a time, and live.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use rundown::clock::new_id;
use rundown::outbox::feed::Settings as StreamSettings;
use serde_json::{Value, json};
use strum::VariantArray as _;
use tokio::task::JoinSet;
use uuid::Uuid;
use workflows::event::{Event, Name};
use workflows::word::Category;

use crate::support::{
    Heard, House, Listener, Person, Publisher, Written, hurried_relay, insert, is_published, streams, text, tray, until, write,
};

const EVENTS: &str = "/api/v1/events";

/// Writes events and sees them published.
async fn publish(house: &House, events: &[Written]) {
    house.owner_does(&insert(events)).await;
    house.outbox().told.notify_one();
    until("all is published", || is_published(house)).await;
}

fn seqs(items: &Value) -> Vec<i64> {
    items
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item["seq"].as_i64().expect("a seq"))
        .collect()
}

fn names(heard: &[Heard]) -> Vec<&str> {
    heard.iter().map(|event| event.name.as_str()).collect()
}

/// Every seq the events tell of, themselves or as what they stand for.
fn told(heard: &[Heard]) -> Vec<i64> {
    let mut told: Vec<i64> = heard
        .iter()
        .flat_map(|event| {
            let earlier = event.data["supersedes"].as_array().into_iter().flatten().filter_map(Value::as_i64);
            earlier.chain(event.data["seq"].as_i64()).collect::<Vec<_>>()
        })
        .collect();
    told.sort_unstable();
    told
}

#[tokio::test]
async fn stored_events_are_read_a_page_at_a_time_and_none_is_missing() {
    let house = House::open().await;
    let publisher = Publisher::of(&house);
    write(&house, house.home.casino, new_id(), 7).await;
    write(&house, house.other.casino, new_id(), 2).await;
    until("all is published", || is_published(&house)).await;
    let boss = house.person("PB-01");
    let first = boss.get(&format!("{EVENTS}?limit=3")).await;
    assert_eq!(
        (seqs(&first.expect(200)["items"]), &first.body["last_seq"]),
        (vec![1, 2, 3], &json!(7))
    );
    let cursor = text(&first.body, "next_cursor");
    let second = boss.get(&format!("{EVENTS}?limit=3&cursor={cursor}")).await;
    assert_eq!(seqs(&second.expect(200)["items"]), [4, 5, 6]);
    let rest = boss.get(&format!("{EVENTS}?after=6")).await;
    assert_eq!(
        (seqs(&rest.expect(200)["items"]), &rest.body["next_cursor"]),
        (vec![7], &Value::Null)
    );
    // Whoever asks again for what they know is told so.
    let tag = rest.header("etag").expect("a tag").to_owned();
    let known = boss
        .send(Method::GET, &format!("{EVENTS}?after=6"), &[("if-none-match", &tag)], None)
        .await;
    assert_eq!(known.status, 304);
    let stranger = house.stranger("PB-01").get(EVENTS).await;
    assert_eq!(seqs(&stranger.expect(200)["items"]), [1, 2]);
    publisher.stop().await;
}

#[tokio::test]
async fn an_event_carries_the_catalog_s_keys_and_what_names_it_among_all() {
    let house = House::open().await;
    let publisher = Publisher::of(&house);
    let table = house.table("BJ-01");
    let headers = [("x-correlation-id", "till-9"), ("idempotency-key", "k")];
    let body = json!({ "table_id": table, "drop_box_id": house.drop_box("BJ-01-A") });
    let made = house
        .person("PB-01")
        .send(Method::POST, "/api/v1/table-context/sessions", &headers, Some(body))
        .await;
    made.expect(201);
    until("all is published", || is_published(&house)).await;
    let events = house.person("PB-01").get(EVENTS).await;
    let event = &events.expect(200)["items"][0];
    let id = house.texts("SELECT id::text FROM outbox").await;
    let expected = json!({
        "event": "table.session_created", "casino_id": house.home.casino, "at": "2026-03-06T21:00:00.000000Z",
        "session_id": made.body["id"], "table_id": table, "gaming_day": "2026-03-06",
        "event_id": id[0], "seq": 1, "schema_version": 1, "correlation_id": "till-9",
    });
    assert_eq!(event, &expected);
    publisher.stop().await;
}

#[tokio::test]
async fn a_channel_is_the_casino_s_or_one_thing_s_and_never_another_casino_s() {
    let house = House::open().await;
    let publisher = Publisher::of(&house);
    let (casino, one, other) = (house.home.casino, new_id(), new_id());
    let told = [
        Written::new(casino, one),
        Written::note(casino, one, 3),
        Written::new(casino, other),
        Written::told(
            casino,
            &Event::FinanceOutboxProcessed {
                outbox_id: new_id(),
                ledger_id: one,
                event_type: "receipt".to_owned(),
                attempt_count: 1,
                processed_at: house.clock.now(),
            },
        ),
    ];
    publish(&house, &told).await;
    let read = async |by: Person, channel: String| by.get(&format!("{EVENTS}?channel={channel}")).await;
    let boss = || house.person("PB-01");
    assert_eq!(seqs(&read(boss(), casino.to_string()).await.expect(200)["items"]), [1, 3]);
    assert_eq!(seqs(&read(boss(), format!("{casino}:{one}")).await.expect(200)["items"]), [1, 2]);
    assert_eq!(
        seqs(&read(boss(), format!("{casino}:{}", new_id())).await.expect(200)["items"]),
        Vec::<i64>::new()
    );
    let internal = format!("{casino}:internal");
    read(boss(), internal.clone()).await.refused(403, "forbidden");
    assert_eq!(seqs(&read(house.person("AD-01"), internal.clone()).await.expect(200)["items"]), [4]);
    // What nobody but an admin may read is in nobody else's whole feed either.
    assert_eq!(seqs(&boss().get(EVENTS).await.expect(200)["items"]), [1, 2, 3]);
    for path in [EVENTS.to_owned(), format!("{EVENTS}/stream")] {
        let foreign = house.other.casino;
        let odd = async |query: &str| boss().get(&format!("{path}?{query}")).await;
        odd(&format!("channel={foreign}")).await.refused(404, "not_found");
        odd(&format!("channel={foreign}:{one}")).await.refused(404, "not_found");
        odd("channel=all").await.refused(400, "malformed_request");
        odd("chanel=x").await.refused(400, "malformed_request");
    }
    let stream = format!("{EVENTS}/stream");
    boss().get(&format!("{stream}?channel={internal}")).await.refused(403, "forbidden");
    let many: Vec<String> = (0..101).map(|_| format!("channel={casino}:{}", new_id())).collect();
    boss()
        .get(&format!("{stream}?{}", many.join("&")))
        .await
        .refused(400, "malformed_request");
    for bad in ["abc", "-1", ""] {
        let reply = boss().send(Method::GET, &stream, &[("last-event-id", bad)], None).await;
        reply.refused(400, "malformed_request");
    }
    for bad in ["after=x", "limit=0", "limit=201", "cursor=x", "cursor=-2"] {
        boss().get(&format!("{EVENTS}?{bad}")).await.refused(400, "malformed_request");
    }
    house.bearer(None).get(&stream).await.refused(401, "unauthenticated");
    publisher.stop().await;
}

#[tokio::test]
async fn the_cage_and_security_hear_of_no_count_on_the_page_and_on_the_stream() {
    let house = House::open().await;
    let publisher = Publisher::of(&house);
    let mut hearing = Vec::new();
    for by in ["CG-01", "SC-01", "CT-04", "PB-03"] {
        hearing.push((by, Listener::join(&house.person(by), "", None).await));
    }
    house.reconciled("BJ-01", "BJ-01-A", "BJ-01-B", tray(), tray(), 10_000).await;
    let raised = |category| Event::ExceptionRaised {
        exception_id: new_id(),
        session_id: new_id(),
        table_id: house.table("BJ-01"),
        category,
        variance_cents: Some(700),
    };
    let casino = house.home.casino;
    let last = [
        Written::told(casino, &raised(Category::CountVariance)),
        Written::told(casino, &raised(Category::OpeningVariance)),
        Written::told(
            casino,
            &Event::TableDeactivated {
                table_id: house.table("BJ-02"),
            },
        ),
    ];
    publish(&house, &last).await;
    for (by, listener) in &mut hearing {
        let sees_counts = matches!(*by, "CT-04" | "PB-03");
        let heard = listener.until("table.deactivated").await;
        let live: Vec<Value> = heard.iter().map(|event| event.data.clone()).collect();
        let page = house.person(by).get(&format!("{EVENTS}?limit=200")).await;
        assert_eq!(page.expect(200)["items"], json!(live), "{by}: the stream says what the page says");
        let counted = ["table.drop_counted", "table.rundown_computed"];
        assert!(
            counted.iter().all(|name| names(&heard).contains(name) == sees_counts),
            "{by}: {:?}",
            names(&heard)
        );
        let variances: Vec<&Value> = heard
            .iter()
            .filter(|event| event.name == "table.exception_raised")
            .map(|event| &event.data["variance_cents"])
            .collect();
        let of_the_count = if sees_counts { json!(700) } else { Value::Null };
        assert_eq!(variances, [&of_the_count, &json!(700)], "{by}");
    }
    publisher.stop().await;
}

#[tokio::test]
async fn a_stream_hears_only_its_channels() {
    let house = House::open().await;
    let publisher = Publisher::of(&house);
    let (casino, one, other) = (house.home.casino, new_id(), new_id());
    let boss = house.person("PB-01");
    let mut detail = Listener::join(&boss, &format!("?channel={casino}:{one}"), None).await;
    let mut list = Listener::join(&boss, &format!("?channel={casino}"), None).await;
    let mut both = Listener::join(&boss, &format!("?channel={casino}:{one}&channel={casino}"), None).await;
    let mut stranger = Listener::join(&house.stranger("AD-01"), "", None).await;
    let told = [
        Written::note(casino, one, 3),
        Written::new(casino, other),
        Written::new(casino, one),
    ];
    publish(&house, &told).await;
    publish(&house, &[Written::new(house.other.casino, other)]).await;
    assert_eq!(self::told(&detail.hear(2).await), [1, 3]);
    assert_eq!(self::told(&list.hear(2).await), [2, 3]);
    // Once, on however many of its channels an event is.
    assert_eq!(self::told(&both.hear(3).await), [1, 2, 3]);
    let theirs = stranger.hear(1).await;
    assert_eq!(theirs[0].data["casino_id"], house.other.casino.to_string());
    publisher.stop().await;
}

/// From memory where it reaches back so far, from the store where it does not: at another daemon nothing is in memory.
#[tokio::test]
async fn a_stream_resumes_where_it_broke_off() {
    let house = House::open().await;
    let publisher = Publisher::of(&house);
    let (url, outbox) = house.streaming(streams()).await;
    let other_daemon = Publisher::run(outbox, hurried_relay(), None);
    let (casino, boss) = (house.home.casino, house.person("PB-01"));
    let keeps_memory = Listener::join(&boss, "", None).await;
    let mut first = Listener::join(&boss, "", None).await;
    write(&house, casino, new_id(), 3).await;
    let heard = first.hear(3).await;
    assert_eq!(
        heard.iter().map(|event| event.id).collect::<Vec<_>>(),
        [1, 2, 3],
        "the id is the seq where nothing waits"
    );
    let left_at = first.last_id.clone();
    drop(first);
    write(&house, casino, new_id(), 700).await;
    until("all is published", || is_published(&house)).await;
    let mut resumed = Listener::join(&boss, "", left_at.as_deref()).await;
    let mut elsewhere = Listener::join(&house.person_at(&url, "PB-01"), "", left_at.as_deref()).await;
    write(&house, casino, new_id(), 2).await;
    let all: Vec<i64> = (4..=705).collect();
    assert_eq!(told(&resumed.hear(all.len()).await), all);
    assert_eq!(told(&elsewhere.hear(all.len()).await), all);
    drop(keeps_memory);
    other_daemon.stop().await;
    publisher.stop().await;
}

/// What cannot be sent any more is said, and the stream goes on from where it can.
#[tokio::test]
async fn a_stream_says_what_it_has_missed() {
    let house = House::open().await;
    let publisher = Publisher::of(&house);
    let (casino, boss) = (house.home.casino, house.person("PB-01"));
    write(&house, casino, new_id(), 5).await;
    until("all is published", || is_published(&house)).await;
    house.owner_does("DELETE FROM outbox WHERE seq <= 3").await;
    let mut pruned = Stretch::after(&boss, "1").await;
    assert_eq!((pruned.missed(), told(&pruned.listener.hear(2).await)), (Some((1, 3)), vec![4, 5]));
    // A page says where the feed begins by now.
    let page = boss.get(&format!("{EVENTS}?after=1")).await;
    assert_eq!((seqs(&page.expect(200)["items"]), &page.body["first_seq"]), (vec![4, 5], &json!(4)));
    // A number nobody has given out: of another database, or of this one before it was restored.
    let mut unknown = Stretch::after(&boss, "99").await;
    assert_eq!(unknown.missed(), Some((99, 5)));
    write(&house, casino, new_id(), 1).await;
    assert_eq!(told(&unknown.listener.hear(1).await), [6]);
    assert_eq!(Stretch::after(&boss, "3").await.missed(), None);
    publisher.stop().await;
}

/// A stream whose opening is looked at.
struct Stretch {
    listener: Listener,
    opening: String,
}

impl Stretch {
    async fn after(person: &Person, id: &str) -> Self {
        let (listener, opening) = Listener::opened(person, "", Some(id)).await;
        Self { listener, opening }
    }

    fn missed(&self) -> Option<(i64, i64)> {
        let data = self.opening.lines().find_map(|line| line.strip_prefix("data: "))?;
        assert!(self.opening.contains("event: stream.missed"));
        let data: Value = serde_json::from_str(data).expect("JSON");
        Some((data["after"].as_i64()?, data["goes_on_after"].as_i64()?))
    }
}

#[tokio::test]
async fn a_change_of_role_ends_the_stream_and_says_why() {
    let house = House::open().await;
    let publisher = Publisher::of(&house);
    let admin = house.person("AD-01");
    let mut streams = Vec::new();
    for by in ["PB-01", "PB-02", "PB-03"] {
        streams.push(Listener::join(&house.person(by), "", None).await);
    }
    let change = async |who: &str, change: Value| {
        admin
            .patch(&format!("/api/v1/staff/{}", house.staff(who)), change)
            .await
            .expect(200);
    };
    change("PB-01", json!({ "role": "cashier" })).await;
    change("PB-02", json!({ "status": "inactive" })).await;
    change("PB-03", json!({ "name": "Another Name" })).await;
    for listener in &mut streams[..2] {
        let last = listener.next().await.expect("a last word");
        assert_eq!(
            (last.name.as_str(), &last.data["reason"]),
            ("stream.cut", &json!("standing_changed"))
        );
        assert!(listener.next().await.is_none(), "nothing follows");
    }
    write(&house, house.home.casino, new_id(), 1).await;
    assert_eq!(told(&streams[2].hear(1).await), [1], "a new name is no new standing");
    // Whoever comes back is judged as they are now.
    house
        .person("PB-02")
        .get(&format!("{EVENTS}/stream"))
        .await
        .refused(401, "unauthenticated");
    let mut cashier = Listener::join(&house.person("PB-01"), "", Some("0")).await;
    assert_eq!(told(&cashier.hear(1).await), [1]);
    publisher.stop().await;
}

#[tokio::test]
async fn who_reads_too_slowly_is_cut_off_and_may_resume() {
    const BYTES: usize = 400_000;
    const EVENTS: usize = 90;
    let house = House::open().await;
    let few = StreamSettings { kept: 8, ..streams() };
    let (url, outbox) = house.streaming(few).await;
    let publisher = Publisher::run(outbox, hurried_relay(), None);
    let (casino, table) = (house.home.casino, new_id());
    let person = house.person_at(&url, "PB-01");
    let mut sleeper = Listener::join(&person, "", None).await;
    let mut awake = Listener::join(&person, "", None).await;
    for _ in 0..EVENTS {
        house.owner_does(&insert(&[Written::note(casino, table, BYTES)])).await;
        awake.hear(1).await;
    }
    let mut heard = sleeper.until("stream.cut").await;
    let cut = heard.pop().expect("a last word");
    assert_eq!(cut.data["reason"], "too_slow");
    assert!(sleeper.next().await.is_none());
    assert!(heard.len() < EVENTS, "it was never behind: this proves nothing");
    let mut resumed = Listener::join(&person, "", sleeper.last_id.as_deref()).await;
    heard.extend(resumed.hear(EVENTS - heard.len()).await);
    assert_eq!(told(&heard), (1..=90).collect::<Vec<i64>>());
    publisher.stop().await;
}

#[tokio::test]
async fn snapshots_of_one_thing_come_once_a_second_and_the_last_stands_for_the_others() {
    let house = House::open().await;
    let publisher = Publisher::of(&house);
    let (casino, slip, table) = (house.home.casino, new_id(), new_id());
    let mut listener = Listener::join(&house.person("PB-01"), "", None).await;
    let snapshots: Vec<Written> = (1..=20).map(|minutes| Written::rating(casino, slip, minutes, "open")).collect();
    publish(&house, &snapshots).await;
    publish(&house, &[Written::new(casino, table)]).await;
    let heard = listener.hear(3).await;
    // The first at once; the session at once, although snapshots wait; then the last of them for all that waited.
    assert_eq!(
        names(&heard),
        ["rating_slip.updated", "table.session_created", "rating_slip.updated"]
    );
    assert_eq!(
        (&heard[0].data["minutes_played"], &heard[2].data["minutes_played"]),
        (&json!(1), &json!(20))
    );
    assert_eq!(heard[2].data["supersedes"], json!((2..=19).collect::<Vec<i64>>()));
    assert_eq!(
        heard.iter().map(|event| event.id).collect::<Vec<_>>(),
        [1, 1, 21],
        "nothing is lost by resuming while they wait"
    );
    assert_eq!(told(&heard), (1..=21).collect::<Vec<i64>>());
    // A change of state waits for nothing, and takes what waits along.
    let last = [
        Written::rating(casino, slip, 21, "open"),
        Written::rating(casino, slip, 22, "open"),
        Written::rating(casino, slip, 23, "paused"),
    ];
    publish(&house, &last).await;
    let heard = listener.until_seq(24).await;
    assert_eq!(told(&heard), [22, 23, 24]);
    assert_eq!(heard.last().map(|event| &event.data["status"]), Some(&json!("paused")));
    // The store has kept every one.
    let page = house
        .person("PB-01")
        .get(&format!("{}?channel={casino}:{slip}&limit=200", self::EVENTS))
        .await;
    assert_eq!(page.expect(200)["items"].as_array().map(Vec::len), Some(23));
    publisher.stop().await;
}

#[tokio::test]
async fn streams_are_bounded_in_number() {
    let house = House::open().await;
    let (url, outbox) = house
        .streaming(StreamSettings {
            subscribers: 2,
            ..streams()
        })
        .await;
    let publisher = Publisher::run(outbox.clone(), hurried_relay(), None);
    let person = house.person_at(&url, "PB-01");
    let first = Listener::join(&person, "", None).await;
    let _second = Listener::join(&person, "", None).await;
    let refused = person.get(&format!("{EVENTS}/stream")).await;
    refused.refused(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("5"));
    drop(first);
    until("its place is free", || async { outbox.feed.subscribers() == 1 }).await;
    Listener::join(&person, "", None).await;
    publisher.stop().await;
}

#[tokio::test]
async fn a_quiet_stream_shows_that_it_lives_and_remembers_how_far_it_is() {
    let house = House::open().await;
    let quick = StreamSettings {
        heartbeat: Duration::from_millis(60),
        ..streams()
    };
    let (url, outbox) = house.streaming(quick).await;
    let publisher = Publisher::run(outbox, hurried_relay(), None);
    let quiet = format!("?channel={}:{}", house.home.casino, new_id());
    let mut listener = Listener::join(&house.person_at(&url, "PB-01"), &quiet, None).await;
    write(&house, house.home.casino, new_id(), 4).await;
    loop {
        let block = listener.block().await.expect("the stream goes on");
        assert_eq!(block.lines().next(), Some(": heartbeat"));
        if listener.last_id.as_deref() == Some("4") {
            break;
        }
    }
    publisher.stop().await;
}

#[tokio::test]
async fn a_stream_asks_for_its_token_again_after_its_time() {
    let house = House::open().await;
    let short = StreamSettings {
        lasts: Duration::from_millis(50),
        ..streams()
    };
    let (url, outbox) = house.streaming(short).await;
    let publisher = Publisher::run(outbox, hurried_relay(), None);
    let mut listener = Listener::join(&house.person_at(&url, "PB-01"), "", None).await;
    assert_eq!(listener.next().await.expect("a last word").data["reason"], "token_due");
    publisher.stop().await;
}

#[tokio::test]
async fn a_daemon_that_stops_ends_its_streams() {
    let house = House::open().await;
    let publisher = Publisher::of(&house);
    let mut listener = Listener::join(&house.person("PB-01"), "", None).await;
    publisher.stop().await;
    assert_eq!(listener.next().await.expect("a last word").data["reason"], "stopping");
    assert!(listener.next().await.is_none());
}

/// Breaks off after every few events and resumes, under load, at two daemons in turn. What was heard, and how often it joined.
async fn reconnects(people: [Person; 2], times: usize, most: usize, until_seq: i64) -> (Vec<i64>, usize) {
    let mut heard = BTreeSet::new();
    let mut at = "0".to_owned();
    let mut joined = 0;
    while heard.len() < usize::try_from(until_seq).expect("a number") {
        let mut listener = Listener::join(&people[joined % 2], "", Some(&at)).await;
        joined += 1;
        // After the last break it may stay.
        let stays = if joined < times { 1 + joined % most } else { usize::MAX };
        for _ in 0..stays {
            let event = listener.next().await.expect("the stream goes on");
            let seq = event.data["seq"].as_i64().expect("a seq");
            assert!(
                seq > at.parse::<i64>().expect("a number"),
                "what was sent before the id is not sent again"
            );
            assert!(heard.insert(seq), "{seq} came twice");
            if i64::try_from(heard.len()) == Ok(until_seq) {
                break;
            }
        }
        at = listener.last_id.clone().expect("an id");
    }
    (heard.into_iter().collect(), joined)
}

/// Every subscriber breaks off `times` times, each time after at most so many events, and all the while events are written.
async fn reconnecting_under_load(subscribers: usize, times: usize, most: usize, events: i64) {
    let house = House::open().await;
    let publisher = Publisher::of(&house);
    let (url, outbox) = house.streaming(streams()).await;
    let other_daemon = Publisher::run(outbox, hurried_relay(), None);
    let casino = house.home.casino;
    let owner = house.cluster.owner().await;
    let mut writing = JoinSet::new();
    writing.spawn(async move {
        use sea_orm::ConnectionTrait as _;
        let tables = [new_id(), new_id(), new_id()];
        for at in 0..usize::try_from(events).expect("a number") {
            owner
                .execute_unprepared(&insert(&[Written::new(casino, tables[at % 3])]))
                .await
                .expect("written");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let people = [house.person("AD-01"), house.person_at(&url, "AD-01")];
    let all = (0..subscribers).map(|_| reconnects(people.clone(), times, most, events));
    let all = futures_util::future::join_all(all).await;
    writing.join_next().await.expect("one task").expect("no panic");
    for (heard, joined) in all {
        assert_eq!(heard, (1..=events).collect::<Vec<_>>());
        assert!(joined >= times, "{joined} times only");
    }
    other_daemon.stop().await;
    publisher.stop().await;
}

#[tokio::test]
async fn whoever_breaks_off_again_and_again_hears_every_event() {
    reconnecting_under_load(3, 40, 5, 400).await;
}

#[tokio::test]
async fn whoever_breaks_off_a_thousand_times_hears_every_event_once() {
    // Two events on the average between two breaks.
    reconnecting_under_load(1, 1_000, 3, 2_050).await;
}

#[tokio::test]
async fn the_catalog_is_served_as_schemas_keys_and_asyncapi() {
    let house = House::open().await;
    let boss = house.person("PB-01");
    let all: BTreeSet<&str> = Name::VARIANTS.iter().map(|name| name.as_str()).collect();
    let names_of = |value: &Value| value.as_object().expect("by name").keys().cloned().collect::<BTreeSet<String>>();
    let schemas = boss.get("/api/v1/events/schemas").await;
    assert_eq!(
        names_of(schemas.expect(200)).iter().map(String::as_str).collect::<BTreeSet<_>>(),
        all
    );
    let keys = boss.get("/api/v1/events/cache-keys").await;
    assert_eq!(names_of(keys.expect(200)).iter().map(String::as_str).collect::<BTreeSet<_>>(), all);
    assert_eq!(
        keys.body["visit.created"],
        json!([{ "action": "invalidate", "key": ["visit", "list", "{casino_id}"] }])
    );
    let document = house.bearer(None).get("/asyncapi.json").await;
    assert_eq!(document.expect(200)["asyncapi"], "3.0.0");
    house
        .bearer(None)
        .get("/api/v1/events/schemas")
        .await
        .refused(401, "unauthenticated");
}

/// What a published event says is what its schema says: key for key, for everything a day tells of.
#[tokio::test]
async fn published_events_are_as_their_schemas_say() {
    let house = House::open().await;
    let publisher = Publisher::of(&house);
    house.reconciled("BJ-01", "BJ-01-A", "BJ-01-B", tray(), tray(), 10_000).await;
    until("all is published", || is_published(&house)).await;
    let admin = house.person("AD-01");
    let schemas = admin.get("/api/v1/events/schemas").await.body;
    let events = admin.get(&format!("{EVENTS}?limit=200")).await;
    for event in events.expect(200)["items"].as_array().expect("events") {
        let schema = &schemas[event["event"].as_str().expect("a name")];
        let keys: BTreeSet<&String> = event.as_object().expect("an object").keys().collect();
        let required: Vec<String> = serde_json::from_value(schema["required"].clone()).expect("required");
        assert_eq!(keys, required.iter().collect(), "{event}");
    }
    publisher.stop().await;
}

/// Many streams on one machine, and how long an event takes to all of them. `--nocapture` shows the figures.
#[tokio::test]
#[ignore = "a measurement: a thousand streams, then five thousand"]
async fn how_long_an_event_takes_to_a_thousand_streams() {
    for (subscribers, events) in [(1_000, 200), (5_000, 40)] {
        let house = House::open().await;
        let (url, outbox) = house
            .streaming(StreamSettings {
                subscribers: 6_000,
                ..streams()
            })
            .await;
        let told = outbox.told.clone();
        let publisher = Publisher::run(outbox, hurried_relay(), None);
        let person = house.person_at(&url, "PB-01");
        let mut listening = JoinSet::new();
        let started = std::time::Instant::now();
        for _ in 0..subscribers {
            let mut listener = Listener::join(&person, "", None).await;
            listening.spawn(async move {
                let mut came = Vec::new();
                for _ in 0..events {
                    listener.next().await.expect("the stream goes on");
                    came.push(std::time::Instant::now());
                }
                came
            });
        }
        eprintln!("{subscribers} streams joined in {:?}", started.elapsed());
        let owner = house.cluster.owner().await;
        let mut wrote = Vec::new();
        for _ in 0..events {
            use sea_orm::ConnectionTrait as _;
            owner
                .execute_unprepared(&insert(&[Written::new(house.home.casino, Uuid::from_u128(1))]))
                .await
                .expect("written");
            told.notify_one();
            wrote.push(std::time::Instant::now());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut took: Vec<Duration> = Vec::new();
        while let Some(came) = listening.join_next().await {
            took.extend(
                came.expect("no panic")
                    .iter()
                    .zip(&wrote)
                    .map(|(came, wrote)| came.saturating_duration_since(*wrote)),
            );
        }
        took.sort_unstable();
        let at = |hundredth: usize| took[(took.len() - 1) * hundredth / 100];
        eprintln!(
            "{subscribers} streams: commit to stream p50 {:?} p95 {:?} p99 {:?}",
            at(50),
            at(95),
            at(99)
        );
        publisher.stop().await;
    }
}
