//! NATS JetStream, against a real `nats-server`: everything of every casino, in order, acknowledged before the cursor moves.

mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use rundown::outbox::nats::{self, Settings};
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{House, Sending, text, until};
use server::{Message, Server};

fn hurried(server: &Server) -> Settings {
    Settings {
        url: SecretString::from(server.url.clone()),
        ca_file: None,
        credentials_file: None,
        stream: "RUNDOWN".to_owned(),
        keep: Some(Duration::from_hours(24)),
        replicas: 1,
        lease: Duration::from_secs(5),
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(100),
    }
}

async fn publishing(house: &House, settings: Settings) -> Sending {
    Sending::start(house, |db, clock, news, stopping| nats::run(db, clock, settings, news, stopping)).await
}

async fn cursor(house: &House, casino: Uuid) -> i64 {
    let sql = format!("SELECT cursor_seq::text FROM sink_cursor WHERE casino_id = '{casino}' AND sink = 'nats'");
    house.texts(&sql).await.first().map_or(0, |seq| seq.parse().expect("a number"))
}

async fn caught_up(house: &House, casino: Uuid, seq: i64) {
    until("the cursor", async || cursor(house, casino).await == seq).await;
}

fn ids(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.id.as_str()).collect()
}

/// What a reader has who drops what it had already.
fn each_once(messages: &[Message], casino: Uuid) -> Vec<String> {
    let mut seen = Vec::new();
    for message in messages.iter().filter(|message| message.subject.contains(&casino.to_string())) {
        if !seen.contains(&message.id) {
            seen.push(message.id.clone());
        }
    }
    seen
}

#[tokio::test]
async fn an_event_is_a_message_under_its_casino_and_its_name() {
    let (house, server) = (House::open().await, Server::start().await);
    let session = house.create("BJ-01", "BJ-01-A").await;
    house.publish().await;
    let daemon = publishing(&house, hurried(&server)).await;
    caught_up(&house, house.home.casino, 1).await;
    daemon.stop().await;
    let [message] = server.messages().await.try_into().expect("one message");
    assert_eq!(message.subject, format!("rundown.{}.table.session_created", house.home.casino));
    let event: Value = serde_json::from_str(&message.text).expect("JSON");
    assert_eq!((&event["session_id"], &event["seq"]), (&json!(session), &json!(1)));
    assert_eq!(message.id, text(&event, "event_id"));
    let stream = server.stream().await;
    assert_eq!(
        (&stream.subjects[..], stream.duplicate_window),
        (&["rundown.>".to_owned()][..], Duration::from_mins(2))
    );
    assert_eq!(stream.max_age, Duration::from_hours(24));
}

#[tokio::test]
async fn every_casino_in_its_own_order_whatever_the_number_of_daemons() {
    let (house, server) = (House::open().await, Server::start().await);
    let daemons = [
        publishing(&house, hurried(&server)).await,
        publishing(&house, hurried(&server)).await,
    ];
    let (mut told, mut strangers) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        told.extend(house.tell(house.home.casino, 40).await);
        strangers.extend(house.tell(house.other.casino, 25).await);
        daemons.iter().for_each(Sending::wake);
    }
    caught_up(&house, house.home.casino, 400).await;
    caught_up(&house, house.other.casino, 250).await;
    for daemon in daemons {
        daemon.stop().await;
    }
    let messages = server.messages().await;
    assert_eq!(messages.len(), 650, "nothing twice");
    assert_eq!(
        (each_once(&messages, house.home.casino), each_once(&messages, house.other.casino)),
        (told, strangers)
    );
}

#[tokio::test]
async fn a_server_that_stops_and_starts_under_load_loses_nothing() {
    let (house, mut server) = (House::open().await, Server::start().await);
    let daemon = publishing(&house, hurried(&server)).await;
    let casinos = [house.home.casino, house.other.casino];
    let mut told: BTreeMap<Uuid, Vec<String>> = BTreeMap::new();
    for round in 0..24 {
        for casino in casinos {
            told.entry(casino).or_default().extend(house.tell(casino, 30).await);
        }
        daemon.wake();
        match round {
            // In the middle of a turn, as likely as not: with and without time to say goodbye.
            4 | 16 => server.kill().await,
            10 => server.stop().await,
            6 | 13 | 19 => {
                let failing = "SELECT casino_id::text FROM sink_cursor WHERE failures > 0";
                until("that it is missed", async || !house.texts(failing).await.is_empty()).await;
                server.start_again().await;
            }
            _ => {}
        }
    }
    for casino in casinos {
        caught_up(&house, casino, 720).await;
    }
    daemon.stop().await;
    let messages = server.messages().await;
    for casino in casinos {
        assert_eq!(each_once(&messages, casino), told[&casino], "in order, each of them");
    }
    // What was acknowledged and not noted came twice within the window, and the stream dropped it.
    assert_eq!(messages.len(), 1440);
    let failing = house.texts("SELECT failures::text FROM sink_cursor").await;
    assert!(failing.iter().all(|failures| failures == "0"), "{failing:?}");
}

#[tokio::test]
async fn without_a_server_the_cursor_waits_and_says_why() {
    let (house, mut server) = (House::open().await, Server::start().await);
    server.stop().await;
    let told = house.tell(house.home.casino, 5).await;
    let daemon = publishing(&house, hurried(&server)).await;
    until("failures", async || {
        house.texts("SELECT failures::text FROM sink_cursor WHERE failures > 2").await.len() == 1
    })
    .await;
    assert_eq!(cursor(&house, house.home.casino).await, 0);
    let why = house.texts("SELECT error FROM sink_cursor").await.remove(0);
    assert!(why.contains("NATS cannot be reached"), "{why}");
    server.start_again().await;
    caught_up(&house, house.home.casino, 5).await;
    daemon.stop().await;
    assert_eq!(ids(&server.messages().await), told);
    assert_eq!(house.texts("SELECT COALESCE(error, 'none') FROM sink_cursor").await, ["none"]);
}

#[tokio::test]
async fn a_daemon_killed_in_the_middle_leaves_the_rest_to_the_next() {
    let (house, server) = (House::open().await, Server::start().await);
    let hasty = Settings {
        lease: Duration::from_millis(500),
        ..hurried(&server)
    };
    let told = house.tell(house.home.casino, 400).await;
    let first = publishing(&house, hasty.clone()).await;
    until("some of it", async || server.count().await > 30).await;
    first.kill().await;
    let noted = cursor(&house, house.home.casino).await;
    let had = server.count().await;
    assert!(i64::try_from(had).expect("few") >= noted, "the cursor is never ahead of the stream");
    let second = publishing(&house, hasty).await;
    caught_up(&house, house.home.casino, 400).await;
    second.stop().await;
    assert_eq!(
        ids(&server.messages().await),
        told,
        "what came twice came under its id, and was dropped"
    );
}

#[tokio::test]
async fn a_stream_that_is_there_stays_as_it_is() {
    let (house, server) = (House::open().await, Server::start().await);
    server.make_stream("RUNDOWN", &["rundown.>", "other.>"]).await;
    house.tell(house.home.casino, 1).await;
    let daemon = publishing(&house, hurried(&server)).await;
    caught_up(&house, house.home.casino, 1).await;
    daemon.stop().await;
    let stream = server.stream().await;
    assert_eq!((stream.subjects.len(), stream.max_age), (2, Duration::ZERO));
}

#[tokio::test]
async fn a_password_opens_the_server_and_is_in_no_error() {
    let house = House::open().await;
    let server = Server::start_guarded("rundown", "p@ss/word").await;
    let with = |login: &str| Settings {
        url: SecretString::from(server.url.replace("nats://", &format!("nats://{login}@"))),
        ..hurried(&server)
    };
    house.tell(house.home.casino, 1).await;
    let wrong = publishing(&house, with("rundown:hunter22")).await;
    until("a failure", async || {
        house.texts("SELECT error FROM sink_cursor WHERE failures > 0").await.len() == 1
    })
    .await;
    let why = house.texts("SELECT error FROM sink_cursor").await.remove(0);
    assert!(!why.contains("hunter22"), "{why}");
    wrong.stop().await;
    let right = publishing(&house, with("rundown:p%40ss%2Fword")).await;
    caught_up(&house, house.home.casino, 1).await;
    right.stop().await;
}

#[tokio::test]
async fn an_nkey_opens_the_server_and_whatever_else_the_file_holds_is_in_no_error() {
    // A pair made for examples, which opens nothing else.
    const PUBLIC: &str = "UAMMBNV2EYR65NYZZ7IAK5SIR5ODNTTERJOBOF4KJLMWI45YOXOSWULM";
    const SEED: &str = "SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY";
    let house = House::open().await;
    let server = Server::start_for_nkey(PUBLIC).await;
    let file = std::env::temp_dir().join(format!("rundown-nkey-{}", std::process::id()));
    let settings = Settings {
        credentials_file: Some(file.clone()),
        ..hurried(&server)
    };
    house.tell(house.home.casino, 1).await;
    let daemon = publishing(&house, settings).await;
    let why = async |part: &str| {
        until(part, async || {
            let errors = house.texts("SELECT error FROM sink_cursor WHERE failures > 0").await;
            assert!(errors.iter().all(|error| !error.contains("hunter22")), "{errors:?}");
            errors.iter().any(|error| error.contains(part))
        })
        .await;
    };
    why("cannot be read").await;
    std::fs::write(&file, "hunter22").expect("written");
    why("holds neither").await;
    std::fs::write(&file, "-----BEGIN NATS USER JWT-----\nhunter22\n").expect("written");
    why("no whole credentials").await;
    std::fs::write(&file, format!("{SEED}\n")).expect("written");
    caught_up(&house, house.home.casino, 1).await;
    daemon.stop().await;
    std::fs::remove_file(file).ok();
}
