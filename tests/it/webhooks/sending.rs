//! What is sent: in order, until it is taken, once unless a daemon died, and nowhere else.

use std::time::Duration;

use rundown::clock::new_id;
use rundown::outbox::webhook::{Reach, Settings};
use rundown::store::sinks::Asking;
use serde_json::{Value, json};
use workflows::event::Event;

use super::receiver::{Answers, Receiver};
use super::{WEBHOOKS, deliveries, made, shown};
use crate::support::{House, Publisher, Runner, Sending, Written, hurried, hurried_webhooks, id, insert, is_published, text, until, write};

/// Waits until the receiver's last event is this one.
async fn taken(receiver: &Receiver, last: &str) {
    until("the last event", async || receiver.ids().last().is_some_and(|id| id == last)).await;
}

async fn caught_up(house: &House, webhook: &str, seq: i64) {
    until("the cursor", async || shown(house, webhook).await["cursor_seq"] == seq).await;
}

#[tokio::test]
async fn an_event_is_sent_whole_and_signed() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    let (webhook, secret) = made(&house, json!({ "url": receiver.url })).await;
    let sending = Sending::webhooks(&house, hurried_webhooks()).await;
    let session = house.create("BJ-01", "BJ-01-A").await;
    house.publish().await;
    sending.wake();
    caught_up(&house, &webhook, 1).await;
    sending.stop().await;
    let [request] = receiver.taken().try_into().expect("one request");
    let event = request.body();
    assert_eq!(
        (&event["event"], &event["session_id"]),
        (&json!("table.session_created"), &json!(session))
    );
    assert_eq!((&event["seq"], &event["schema_version"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&event["event_id"], &event["casino_id"]),
        (&json!(request.id()), &json!(house.home.casino))
    );
    assert_eq!(request.header("x-correlation-id"), text(&event, "correlation_id"));
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("webhook-timestamp"), house.clock.now().timestamp().to_string());
    assert!(request.is_signed_with(&secret));
    assert!(
        !request.is_signed_with("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        "any other secret"
    );
    let log = deliveries(&house, &webhook).await;
    assert_eq!(
        (log.len(), &log[0]["delivered"], &log[0]["status"], &log[0]["attempt"]),
        (1, &json!(true), &json!(204), &json!(1))
    );
    assert_eq!((&log[0]["event_id"], &log[0]["error"]), (&event["event_id"], &Value::Null));
}

/// What finance tells is followed to its receiver: one event a delivery, however often it had to be sent.
#[tokio::test]
async fn a_transaction_that_was_taken_is_told_once_and_to_the_admins_alone() {
    let house = House::open().await;
    let receiver = Receiver::open_with([Answers::With(500), Answers::With(503)]).await;
    let (webhook, _) = made(&house, json!({ "url": receiver.url, "events": ["finance.transaction_created"] })).await;
    let (casino, transaction) = (house.home.casino, new_id());
    let created = Event::TransactionCreated {
        transaction_id: transaction,
        player_id: new_id(),
        amount: 50_000,
        tender_type: None,
        gaming_day: "2026-03-06".parse().expect("a day"),
        visit_id: None,
    };
    let created = Written::told(casino, &created);
    house.owner_does(&insert(std::slice::from_ref(&created))).await;
    write(&house, casino, new_id(), 1).await;
    let publisher = Publisher::of(&house);
    let sending = Sending::webhooks(&house, hurried_webhooks()).await;
    until("it is published", || is_published(&house)).await;
    sending.wake();
    until("it is taken and told", async || {
        sending.wake();
        shown(&house, &webhook).await["cursor_seq"] == 3 && is_published(&house).await
    })
    .await;
    sending.stop().await;
    publisher.stop().await;
    let read = async |by: &str| house.person(by).get("/api/v1/events?limit=200").await.expect(200)["items"].clone();
    let told = read("AD-01").await;
    assert_eq!(told.as_array().map(Vec::len), Some(3), "{told}");
    let processed = &told[2];
    assert_eq!(
        (&processed["event"], &processed["outbox_id"], &processed["ledger_id"]),
        (&json!("finance.outbox_processed"), &json!(created.id), &json!(transaction))
    );
    assert_eq!(
        (&processed["event_type"], &processed["attempt_count"], &processed["correlation_id"]),
        (&json!("finance.transaction_created"), &json!(3), &told[0]["correlation_id"])
    );
    assert_eq!(
        read("PB-01").await.as_array().map(Vec::len),
        Some(2),
        "the internal channel is the admins'"
    );
}

#[tokio::test]
async fn what_is_not_asked_for_is_not_sent() {
    let house = House::open().await;
    let (named, heard) = (Receiver::open().await, Receiver::open().await);
    let (by_name, _) = made(&house, json!({ "url": named.url, "events": ["table.session_created"] })).await;
    let channel = format!("{}:{}", house.home.casino, house.table("BJ-02"));
    let (by_channel, _) = made(&house, json!({ "url": heard.url, "channels": [channel] })).await;
    for (table, drop_box) in [("BJ-01", "BJ-01-A"), ("BJ-02", "BJ-02-A")] {
        let session = house.create(table, drop_box).await;
        house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
    }
    house.publish().await;
    let sending = Sending::webhooks(&house, hurried_webhooks()).await;
    let last = house.count("outbox").await;
    caught_up(&house, &by_name, last).await;
    caught_up(&house, &by_channel, last).await;
    sending.stop().await;
    let told = |receiver: &Receiver| {
        receiver
            .taken()
            .iter()
            .map(|request| text(&request.body(), "event"))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&named), ["table.session_created", "table.session_created"]);
    assert!(
        heard.count() >= 2
            && heard
                .taken()
                .iter()
                .all(|request| request.body()["table_id"] == json!(house.table("BJ-02"))),
        "{:?}",
        told(&heard)
    );
}

#[tokio::test]
async fn a_receiver_that_fails_and_recovers_misses_nothing_and_sees_the_order() {
    let house = House::open().await;
    let fails = [500, 503, 400, 404, 429].map(Answers::With);
    let receiver = Receiver::open_with(fails).await;
    let (webhook, _) = made(&house, json!({ "url": receiver.url })).await;
    let told = house.tell(house.home.casino, 4).await;
    let sending = Sending::webhooks(&house, hurried_webhooks()).await;
    taken(&receiver, &told[3]).await;
    caught_up(&house, &webhook, 4).await;
    sending.stop().await;
    let expected: Vec<String> = std::iter::repeat_n(&told[0], 6).chain(&told[1..]).cloned().collect();
    assert_eq!(receiver.ids(), expected, "the same id every time, and nothing overtakes it");
    let standing = shown(&house, &webhook).await;
    assert_eq!(
        (&standing["failures"], &standing["failing_since"], &standing["version"]),
        (&json!(0), &Value::Null, &json!(1))
    );
    let log = deliveries(&house, &webhook).await;
    let attempts: Vec<_> = log
        .iter()
        .rev()
        .map(|row| (row["attempt"].clone(), row["status"].clone(), row["delivered"].clone()))
        .collect();
    let of = |attempt: i32, status: i32, delivered: bool| (json!(attempt), json!(status), json!(delivered));
    assert_eq!(
        attempts[..6],
        [
            of(1, 500, false),
            of(2, 503, false),
            of(3, 400, false),
            of(4, 404, false),
            of(5, 429, false),
            of(6, 204, true)
        ]
    );
    assert_eq!(attempts[6..], [of(1, 204, true), of(1, 204, true), of(1, 204, true)]);
    let failed = house
        .person("AD-01")
        .get(&format!("{WEBHOOKS}/{webhook}/deliveries?delivered=false"))
        .await;
    assert_eq!(failed.expect(200)["items"].as_array().expect("a list").len(), 5);
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_no_other() {
    let house = House::open().await;
    let late = std::iter::repeat_n(Answers::After(Duration::from_secs(20)), 100);
    let (slow, quick) = (Receiver::open_with(late).await, Receiver::open().await);
    let (hanging, _) = made(&house, json!({ "url": slow.url })).await;
    made(&house, json!({ "url": quick.url })).await;
    let told = house.tell(house.home.casino, 30).await;
    let impatient = Settings {
        timeout: Duration::from_secs(1),
        ..hurried_webhooks()
    };
    let sending = Sending::webhooks(&house, impatient).await;
    taken(&quick, &told[29]).await;
    assert_eq!(quick.ids(), told);
    until("a failure", async || shown(&house, &hanging).await["failures"] != 0).await;
    sending.stop().await;
    assert!(slow.ids().iter().all(|id| *id == told[0]), "the second waits for the first");
    let log = deliveries(&house, &hanging).await;
    assert_eq!(
        (&log[0]["status"], &log[0]["error"]),
        (&Value::Null, &json!("no answer within 1 s"))
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let house = House::open().await;
    let elsewhere = Receiver::open().await;
    let receiver = Receiver::open_with([Answers::RedirectsTo(elsewhere.url.clone())]).await;
    let (webhook, _) = made(&house, json!({ "url": receiver.url })).await;
    let told = house.tell(house.home.casino, 1).await;
    let sending = Sending::webhooks(&house, hurried_webhooks()).await;
    caught_up(&house, &webhook, 1).await;
    sending.stop().await;
    assert_eq!((elsewhere.count(), receiver.ids()), (0, vec![told[0].clone(), told[0].clone()]));
    let log = deliveries(&house, &webhook).await;
    assert_eq!((&log[1]["delivered"], &log[1]["status"]), (&json!(false), &json!(307)));
    assert!(text(&log[1], "error").contains("redirects are not followed"), "{log:?}");
}

#[tokio::test]
async fn a_receiver_that_wants_no_more_gets_no_more_until_an_admin_says_so() {
    let house = House::open().await;
    let receiver = Receiver::open_with([Answers::With(204), Answers::With(410)]).await;
    let (webhook, _) = made(&house, json!({ "url": receiver.url })).await;
    let told = house.tell(house.home.casino, 3).await;
    let sending = Sending::webhooks(&house, hurried_webhooks()).await;
    until("the end", async || shown(&house, &webhook).await["disabled_reason"] == "gone").await;
    house.tell(house.home.casino, 2).await;
    sending.wake();
    let standing = shown(&house, &webhook).await;
    assert_eq!(
        (&standing["cursor_seq"], &standing["version"]),
        (&json!(1), &json!(2)),
        "an ETag from before is spoilt"
    );
    let path = format!("{WEBHOOKS}/{webhook}");
    let revived = house.person("AD-01").patch(&path, json!({ "enabled": true })).await;
    assert_eq!(
        (&revived.expect(200)["disabled_at"], &revived.body["failures"]),
        (&Value::Null, &json!(0))
    );
    sending.wake();
    caught_up(&house, &webhook, 5).await;
    sending.stop().await;
    let ids = receiver.ids();
    assert_eq!(
        (&ids[..3], ids.len()),
        (&[told[0].clone(), told[1].clone(), told[1].clone()][..], 6),
        "it goes on where it stood"
    );
}

#[tokio::test]
async fn days_of_nothing_but_failure_disable_a_webhook_and_one_success_begins_them_anew() {
    let house = House::open().await;
    let receiver = Receiver::open_with([Answers::With(500), Answers::With(204), Answers::With(500)]).await;
    let (webhook, _) = made(&house, json!({ "url": receiver.url })).await;
    let unhurried = Settings {
        first_pause: Duration::from_millis(100),
        longest_pause: Duration::from_millis(100),
        ..hurried_webhooks()
    };
    let sending = Sending::webhooks(&house, unhurried).await;
    house.tell(house.home.casino, 1).await;
    sending.wake();
    caught_up(&house, &webhook, 1).await;
    house.clock.advance(Duration::from_hours(4 * 24));
    house.tell(house.home.casino, 1).await;
    sending.wake();
    until("a failure", async || {
        shown(&house, &webhook).await["failing_since"] == json!(house.clock.now())
    })
    .await;
    (0..1000).for_each(|_| receiver.answer_next(Answers::With(500)));
    house.clock.advance(Duration::from_hours(5 * 24) - Duration::from_secs(1));
    let before = receiver.count();
    until("two attempts more", async || receiver.count() >= before + 2).await;
    assert_eq!(shown(&house, &webhook).await["disabled_at"], Value::Null, "not a second before");
    house.clock.advance(Duration::from_secs(1));
    until("the end", async || shown(&house, &webhook).await["disabled_reason"] == "failing").await;
    let attempts = receiver.count();
    sending.wake();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(receiver.count(), attempts, "nothing is sent to nobody");
    sending.stop().await;
}

#[tokio::test]
async fn what_is_disabled_by_hand_waits() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    let (webhook, _) = made(&house, json!({ "url": receiver.url })).await;
    let path = format!("{WEBHOOKS}/{webhook}");
    let admin = house.person("AD-01");
    assert_eq!(
        admin.patch(&path, json!({ "enabled": false })).await.expect(200)["disabled_reason"],
        "by_hand"
    );
    let told = house.tell(house.home.casino, 2).await;
    let sending = Sending::webhooks(&house, hurried_webhooks()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(receiver.count(), 0);
    admin.patch(&path, json!({ "enabled": true })).await.expect(200);
    sending.wake();
    taken(&receiver, &told[1]).await;
    assert_eq!(receiver.ids(), told);
    sending.stop().await;
}

/// Allowed when it was made, or led elsewhere then: what counts is the address when something is sent.
#[tokio::test]
async fn an_address_out_of_reach_is_never_connected_to() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    let by_name = receiver.url.replace("127.0.0.1", "localhost");
    let as_mapped = receiver.url.replace("127.0.0.1", "[::ffff:127.0.0.1]");
    let mut webhooks = Vec::new();
    for url in [&receiver.url, &by_name, &as_mapped, &by_name.replace("http:", "https:")] {
        webhooks.push(made(&house, json!({ "url": url })).await.0);
    }
    house.tell(house.home.casino, 1).await;
    let strict = Settings {
        reach: Reach { private: false },
        ..hurried_webhooks()
    };
    let sending = Sending::webhooks(&house, strict).await;
    for webhook in &webhooks {
        until("a refusal", async || shown(&house, webhook).await["failures"] != 0).await;
        let log = deliveries(&house, webhook).await;
        assert_eq!(log[0]["status"], Value::Null);
        assert!(text(&log[0], "error").contains("webhooks.allow_private"), "{log:?}");
        assert!(!text(&log[0], "error").contains("127.0.0.1"), "where a name leads is not told");
    }
    sending.stop().await;
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let house = House::open().await;
    let receiver = Receiver::open_with([Answers::Endlessly]).await;
    let (webhook, _) = made(&house, json!({ "url": receiver.url })).await;
    house.tell(house.home.casino, 2).await;
    let sending = Sending::webhooks(&house, hurried_webhooks()).await;
    caught_up(&house, &webhook, 2).await;
    sending.stop().await;
    assert_eq!(receiver.count(), 2, "its status was the answer");
}

#[tokio::test]
async fn for_a_time_both_secrets_sign() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    let (webhook, old) = made(&house, json!({ "url": receiver.url })).await;
    let rotate = async |grace: u32| {
        let path = format!("{WEBHOOKS}/{webhook}/rotate-secret");
        let reply = house.person("AD-01").post(&path, json!({ "grace_seconds": grace })).await;
        text(reply.expect(200), "secret")
    };
    let new = rotate(3600).await;
    let sending = Sending::webhooks(&house, hurried_webhooks()).await;
    let first = house.tell(house.home.casino, 1).await;
    sending.wake();
    taken(&receiver, &first[0]).await;
    let leaked = rotate(0).await;
    let second = house.tell(house.home.casino, 1).await;
    sending.wake();
    taken(&receiver, &second[0]).await;
    sending.stop().await;
    let [both, alone] = receiver.taken().try_into().expect("two requests");
    assert!(both.is_signed_with(&old) && both.is_signed_with(&new) && !both.is_signed_with(&leaked));
    assert!(
        alone.is_signed_with(&leaked) && !alone.is_signed_with(&new) && !alone.is_signed_with(&old),
        "none beside it"
    );
    let refused = house
        .person("AD-01")
        .post(&format!("{WEBHOOKS}/{webhook}/rotate-secret"), json!({ "grace_seconds": 604_801 }))
        .await;
    assert_eq!(refused.pointers(), ["/grace_seconds"]);
}

#[tokio::test]
async fn two_daemons_send_each_event_once_and_in_order() {
    let house = House::open().await;
    let (ours, theirs) = (Receiver::open().await, Receiver::open().await);
    let (webhook, _) = made(&house, json!({ "url": ours.url })).await;
    let reply = house.stranger("AD-01").post(WEBHOOKS, json!({ "url": theirs.url })).await;
    reply.expect(201);
    let daemons = [
        Sending::webhooks(&house, hurried_webhooks()).await,
        Sending::webhooks(&house, hurried_webhooks()).await,
    ];
    let (mut told, mut strangers) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        told.extend(house.tell(house.home.casino, 12).await);
        strangers.extend(house.tell(house.other.casino, 7).await);
        daemons.iter().for_each(Sending::wake);
    }
    taken(&ours, &told[119]).await;
    taken(&theirs, &strangers[69]).await;
    caught_up(&house, &webhook, 120).await;
    for daemon in daemons {
        daemon.stop().await;
    }
    assert_eq!(ours.ids(), told);
    assert_eq!(theirs.ids(), strangers, "and nobody gets another casino's");
}

#[tokio::test]
async fn killed_between_delivery_and_cursor_it_sends_the_same_id_again() {
    let house = House::open().await;
    // It has the event, and the daemon dies before it hears so.
    let receiver = Receiver::open_with([Answers::With(204), Answers::After(Duration::from_secs(5))]).await;
    let (webhook, secret) = made(&house, json!({ "url": receiver.url })).await;
    let told = house.tell(house.home.casino, 3).await;
    let patient = Settings {
        timeout: Duration::from_secs(20),
        lease: Duration::from_millis(800),
        ..hurried_webhooks()
    };
    let first = Sending::webhooks(&house, patient.clone()).await;
    until("the second event", async || receiver.count() == 2).await;
    first.kill().await;
    assert_eq!(shown(&house, &webhook).await["cursor_seq"], 1);
    let second = Sending::webhooks(&house, patient).await;
    caught_up(&house, &webhook, 3).await;
    second.stop().await;
    let expected = [&told[0], &told[1], &told[1], &told[2]].map(Clone::clone);
    assert_eq!(receiver.ids(), expected);
    assert!(receiver.taken().iter().all(|request| request.is_signed_with(&secret)));
    let bodies: Vec<String> = receiver.taken().into_iter().map(|request| request.text).collect();
    assert_eq!(bodies[1], bodies[2], "to the letter");
}

/// A daemon that only seemed dead: its turn is another's, and what it still writes changes nothing.
#[tokio::test]
async fn a_daemon_that_was_thought_dead_moves_no_cursor() {
    let house = House::open().await;
    let receiver = Receiver::open_with([Answers::After(Duration::from_millis(1500))]).await;
    let (webhook, _) = made(&house, json!({ "url": receiver.url })).await;
    let told = house.tell(house.home.casino, 2).await;
    let hasty = Settings {
        timeout: Duration::from_secs(20),
        lease: Duration::from_millis(300),
        ..hurried_webhooks()
    };
    let slow = Sending::webhooks(&house, hasty.clone()).await;
    until("the first event", async || receiver.count() == 1).await;
    let other = Sending::webhooks(&house, hasty).await;
    caught_up(&house, &webhook, 2).await;
    // The first answer comes now, and finds the turn gone.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    slow.stop().await;
    other.stop().await;
    assert_eq!(receiver.ids(), [&told[0], &told[0], &told[1]].map(Clone::clone));
    assert_eq!(
        deliveries(&house, &webhook).await.len(),
        2,
        "what changed nothing is logged by nobody"
    );
}

#[tokio::test]
async fn a_change_counts_from_the_next_event() {
    let house = House::open().await;
    let (old, new) = (
        Receiver::open_with([Answers::After(Duration::from_millis(300))]).await,
        Receiver::open().await,
    );
    let (webhook, _) = made(&house, json!({ "url": old.url })).await;
    let told = house.tell(house.home.casino, 3).await;
    let sending = Sending::webhooks(&house, hurried_webhooks()).await;
    until("the first event", async || old.count() == 1).await;
    house
        .person("AD-01")
        .patch(&format!("{WEBHOOKS}/{webhook}"), json!({ "url": new.url }))
        .await
        .expect(200);
    taken(&new, &told[2]).await;
    sending.stop().await;
    assert_eq!((old.ids(), new.ids()), (vec![told[0].clone()], told[1..].to_vec()));
}

#[tokio::test]
async fn by_https_to_whom_the_machine_or_the_operator_trusts() {
    let house = House::open().await;
    let receiver = Receiver::open_with_tls().await;
    let (webhook, secret) = made(&house, json!({ "url": receiver.url })).await;
    house.tell(house.home.casino, 1).await;
    let sending = Sending::webhooks(&house, hurried_webhooks()).await;
    until("a failure", async || shown(&house, &webhook).await["failures"] != 0).await;
    sending.stop().await;
    let log = deliveries(&house, &webhook).await;
    assert!(text(&log[0], "error").contains("certificate") && receiver.count() == 0, "{log:?}");
    let ca_file = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/webhooks/tls/ca.pem").into());
    let sending = Sending::webhooks(
        &house,
        Settings {
            ca_file,
            ..hurried_webhooks()
        },
    )
    .await;
    caught_up(&house, &webhook, 1).await;
    assert!(receiver.taken()[0].is_signed_with(&secret));
    // The name counts, not the address alone.
    let elsewhere = receiver.url.replace("localhost", "127.0.0.1");
    house
        .person("AD-01")
        .patch(&format!("{WEBHOOKS}/{webhook}"), json!({ "url": elsewhere }))
        .await
        .expect(200);
    house.tell(house.home.casino, 1).await;
    sending.wake();
    until("a failure", async || shown(&house, &webhook).await["failures"] != 0).await;
    sending.stop().await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn old_attempts_are_deleted_and_young_ones_stay() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    let (webhook, _) = made(&house, json!({ "url": receiver.url })).await;
    let sending = Sending::webhooks(&house, hurried_webhooks()).await;
    house.tell(house.home.casino, 3).await;
    sending.wake();
    caught_up(&house, &webhook, 3).await;
    house.clock.advance(Duration::from_hours(8 * 24));
    house.tell(house.home.casino, 2).await;
    sending.wake();
    caught_up(&house, &webhook, 5).await;
    sending.stop().await;
    let prune = json!({ "name": "Prune", "job_kind": "retention_prune", "cron": "0 4 * * *", "params": { "keep_deliveries_days": 7 } });
    let admin = house.person("AD-01");
    let schedule = id(admin.post("/api/v1/schedules", prune).await.expect(201));
    admin
        .post(&format!("/api/v1/schedules/{schedule}/run"), json!({}))
        .await
        .expect(201);
    let runner = Runner::start(&house, hurried()).await;
    until("the run", async || house.texts("SELECT status FROM job_run").await == ["succeeded"]).await;
    runner.stop().await;
    let left: Vec<_> = deliveries(&house, &webhook).await.iter().map(|row| row["seq"].clone()).collect();
    assert_eq!(left, [json!(5), json!(4)]);
}

/// What is waited for is told, and nothing where nobody waits: a daemon with nothing to do would otherwise ask without end.
#[tokio::test]
async fn an_idle_daemon_is_told_to_wait() {
    let house = House::open().await;
    let receiver = Receiver::open_with([Answers::With(500)]).await;
    let asked = async || {
        let asking = Asking {
            sink: None,
            owner: "a test",
            lease_ms: 1000,
            want: 0,
        };
        let webhooks = house.db.take_webhooks(&asking).await.expect("an answer").wait_ms;
        let casinos = house
            .db
            .take_casinos(&Asking {
                sink: Some("nats"),
                ..asking
            })
            .await
            .expect("an answer")
            .wait_ms;
        (webhooks, casinos)
    };
    assert_eq!(asked().await, (None, None), "no webhook, no feed");
    let (webhook, _) = made(&house, json!({ "url": receiver.url })).await;
    assert_eq!(asked().await, (None, None), "nothing to send");
    let slow = Settings {
        first_pause: Duration::from_hours(1),
        longest_pause: Duration::from_hours(1),
        ..hurried_webhooks()
    };
    house.tell(house.home.casino, 1).await;
    let sending = Sending::webhooks(&house, slow).await;
    until("a failure", async || shown(&house, &webhook).await["failures"] == 1).await;
    sending.stop().await;
    let (wait, _) = asked().await;
    assert!(wait.is_some_and(|wait| (1..=3_600_000).contains(&wait)), "{wait:?}");
}
