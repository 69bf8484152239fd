//! Webhooks: made by an admin, signed as Standard Webhooks says, sent in order until they are taken, and never to where they must not go.

mod receiver;
mod sending;

use reqwest::Method;
use rundown::clock::new_id;
use rundown::outbox::webhook::Reach;
use serde_json::{Value, json};

use crate::conventions::Log;
use crate::support::{House, Reply, Sending, hurried_webhooks, id, text, until};
use receiver::Receiver;

const WEBHOOKS: &str = "/api/v1/webhooks";

/// A webhook of this house; its id and its secret.
pub async fn made(house: &House, body: Value) -> (String, String) {
    let reply = house.person("AD-01").post(WEBHOOKS, body).await;
    let made = reply.expect(201);
    (id(made), text(made, "secret"))
}

pub async fn shown(house: &House, webhook: &str) -> Value {
    house
        .person("AD-01")
        .get(&format!("{WEBHOOKS}/{webhook}"))
        .await
        .expect(200)
        .clone()
}

/// The attempts, the newest first.
pub async fn deliveries(house: &House, webhook: &str) -> Vec<Value> {
    let log = house
        .person("AD-01")
        .get(&format!("{WEBHOOKS}/{webhook}/deliveries?limit=200"))
        .await;
    log.expect(200)["items"].as_array().expect("a list").clone()
}

fn delete(house: &House, webhook: &str) -> impl Future<Output = Reply> {
    let (admin, path) = (house.person("AD-01"), format!("{WEBHOOKS}/{webhook}"));
    async move { admin.send(Method::DELETE, &path, &[], None).await }
}

#[tokio::test]
async fn an_admin_makes_a_webhook_and_it_begins_with_what_comes_from_then_on() {
    let house = House::open().await;
    house.tell(house.home.casino, 3).await;
    let reply = house
        .person("AD-01")
        .post(WEBHOOKS, json!({ "url": "https://Hooks.Example.com/rundown" }))
        .await;
    let webhook = reply.expect(201);
    assert_eq!(
        (&webhook["url"], &webhook["cursor_seq"]),
        (&json!("https://hooks.example.com/rundown"), &json!(3))
    );
    assert_eq!(
        (&webhook["events"], &webhook["channels"], &webhook["disabled_at"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(webhook["created_by"], json!(house.staff("AD-01")));
    assert_eq!(reply.header("etag"), Some("\"1\""));
    let secret = text(webhook, "secret");
    assert!(secret.starts_with("whsec_") && secret.len() == "whsec_".len() + 44, "{secret}");
    let earlier = json!({ "url": "https://hooks.example.com/", "after_seq": 1 });
    let (from_the_first, _) = made(&house, earlier).await;
    assert_eq!(shown(&house, &from_the_first).await["cursor_seq"], 1);
    let list = house.person("AD-01").get(WEBHOOKS).await;
    assert_eq!(list.expect(200)["items"].as_array().expect("a list").len(), 2);
    let theirs = house.stranger("AD-01").get(WEBHOOKS).await;
    assert_eq!(theirs.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn every_flaw_of_a_webhook_is_named_at_once() {
    let house = House::open().await;
    let body = json!({
        "url": "ftp://example.com/", "description": " ", "events": ["table.flooded", "table.deactivated"],
        "channels": [house.home.casino, house.other.casino, format!("{}:pit", house.home.casino)], "after_seq": 1,
    });
    let refused = house.in_vain(house.person("AD-01").post(WEBHOOKS, body)).await;
    refused.refused(422, "validation_failed");
    let mut pointers = refused.pointers();
    pointers.sort_unstable();
    assert_eq!(pointers.len(), 6, "{}", refused.text);
    for expected in ["/after_seq", "/description", "/url"] {
        assert!(pointers.contains(&expected), "{expected}: {pointers:?}");
    }
    let empty = json!({ "url": "https://example.com/", "events": [], "channels": [] });
    assert_eq!(
        house.person("AD-01").post(WEBHOOKS, empty).await.pointers(),
        ["/events", "/channels"]
    );
}

#[tokio::test]
async fn a_url_that_leads_inside_is_refused_unless_the_operator_allows_it() {
    let house = House::open().await;
    let strict = house.served_with(Reach { private: false }).await;
    let admin = house.person_at(&strict, "AD-01");
    for url in [
        "http://127.0.0.1:9/",
        "https://localhost/",
        "https://10.1.2.3/",
        "https://[::ffff:169.254.169.254]/",
        "https://2130706433/",
    ] {
        let refused = house.in_vain(admin.post(WEBHOOKS, json!({ "url": url }))).await;
        refused.refused(422, "validation_failed");
        assert_eq!(refused.pointers(), ["/url"]);
        assert!(
            refused.text.contains("allow_private") || refused.text.contains("https://"),
            "{}",
            refused.text
        );
    }
    let (webhook, _) = made(&house, json!({ "url": "https://example.com/" })).await;
    let path = format!("{WEBHOOKS}/{webhook}");
    let moved = admin.patch(&path, json!({ "url": "https://192.168.0.1/" }));
    house.in_vain(moved).await.refused(422, "validation_failed");
    // Allowed, in a house whose operator says so; by plain http to this machine alone.
    let admin = house.person("AD-01");
    admin.post(WEBHOOKS, json!({ "url": "http://127.0.0.1:9/" })).await.expect(201);
    admin.post(WEBHOOKS, json!({ "url": "https://10.1.2.3/" })).await.expect(201);
    admin
        .post(WEBHOOKS, json!({ "url": "http://10.1.2.3/" }))
        .await
        .refused(422, "validation_failed");
}

#[tokio::test]
async fn a_casino_has_so_many_webhooks_and_no_more() {
    let house = House::open().await;
    for _ in 0..32 {
        made(&house, json!({ "url": "https://example.com/" })).await;
    }
    let refused = house
        .in_vain(house.person("AD-01").post(WEBHOOKS, json!({ "url": "https://example.com/" })))
        .await;
    assert_eq!(refused.refused(409, "conflict")["reason"], "too_many_webhooks");
    house
        .stranger("AD-01")
        .post(WEBHOOKS, json!({ "url": "https://example.com/" }))
        .await
        .expect(201);
}

#[tokio::test]
async fn a_change_says_what_changed_and_an_old_version_changes_nothing() {
    let house = House::open().await;
    let (webhook, _) = made(&house, json!({ "url": "https://example.com/", "description": "Accounting" })).await;
    let (admin, path) = (house.person("AD-01"), format!("{WEBHOOKS}/{webhook}"));
    let changed = admin
        .patch(
            &path,
            json!({ "events": ["table.drop_removed", "table.activated", "table.activated"], "description": null }),
        )
        .await;
    assert_eq!(changed.expect(200)["events"], json!(["table.activated", "table.drop_removed"]));
    assert_eq!(
        (&changed.body["description"], changed.header("etag")),
        (&Value::Null, Some("\"2\""))
    );
    let same = house
        .in_vain(admin.patch(&path, json!({ "events": ["table.activated", "table.drop_removed"] })))
        .await;
    assert_eq!(same.header("etag"), Some("\"2\""));
    let stale = [("if-match", "\"1\"")];
    let refused = admin.send(Method::PATCH, &path, &stale, Some(json!({ "enabled": false }))).await;
    refused.refused(412, "version_mismatch");
    admin.patch(&path, json!({ "events": null })).await.expect(200);
    assert_eq!(shown(&house, &webhook).await["events"], Value::Null);
    admin
        .patch(&path, json!({ "after_seq": 0 }))
        .await
        .refused(400, "malformed_request");
}

#[tokio::test]
async fn a_deleted_webhook_is_gone_with_its_secret_and_its_log() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    let (webhook, _) = made(&house, json!({ "url": receiver.url })).await;
    house.tell(house.home.casino, 1).await;
    let sending = Sending::webhooks(&house, hurried_webhooks()).await;
    until("a delivery", async || house.count("webhook_delivery").await == 1).await;
    sending.stop().await;
    let stranger = house.stranger("AD-01");
    stranger
        .send(Method::DELETE, &format!("{WEBHOOKS}/{webhook}"), &[], None)
        .await
        .refused(404, "not_found");
    delete(&house, &webhook).await.expect(200);
    delete(&house, &webhook).await.refused(404, "not_found");
    for table in ["webhook", "webhook_secret", "webhook_delivery"] {
        assert_eq!(house.count(table).await, 0, "{table}");
    }
    let audited = house
        .texts("SELECT action FROM audit_log WHERE domain = 'webhook' ORDER BY id")
        .await;
    assert_eq!(audited, ["create", "delete"]);
}

/// Neither again in an answer, nor in a row that anything but the sending reads, nor in the log.
#[tokio::test]
async fn a_secret_is_shown_once() {
    let log = Log::default();
    let sink = log.clone();
    let lines = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || sink.clone())
        .finish();
    let _another = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let guard = tracing::subscriber::set_default(lines);
    let house = House::open().await;
    let (admin, receiver) = (house.person("AD-01"), Receiver::open().await);
    let body = json!({ "url": receiver.url });
    let first = admin.post_as("k-1", WEBHOOKS, body.clone()).await;
    let (webhook, old) = (id(first.expect(201)), text(&first.body, "secret"));
    let again = admin.post_as("k-1", WEBHOOKS, body).await;
    assert_eq!(
        (again.header("idempotent-replayed"), &again.expect(201)["secret"]),
        (Some("true"), &Value::Null)
    );
    assert_eq!(again.body["id"], json!(webhook), "the same webhook, without what signs");
    let path = format!("{WEBHOOKS}/{webhook}");
    let rotated = admin.post_as("k-2", &format!("{path}/rotate-secret"), json!({})).await;
    let new = text(rotated.expect(200), "secret");
    assert_ne!(new, old);
    let mut answers = vec![
        admin.post_as("k-2", &format!("{path}/rotate-secret"), json!({})).await.text,
        admin.patch(&path, json!({ "description": "Accounting" })).await.text,
    ];
    house.tell(house.home.casino, 1).await;
    let sending = Sending::webhooks(&house, hurried_webhooks()).await;
    until("a delivery", async || house.count("webhook_delivery").await == 1).await;
    sending.stop().await;
    for path in [WEBHOOKS, &path, &format!("{path}/deliveries"), "/api/v1/audit"] {
        answers.push(admin.get(path).await.text);
    }
    answers.push(delete(&house, &webhook).await.text);
    drop(guard);
    let logged = String::from_utf8_lossy(&log.0.lock().expect("a log")).into_owned();
    assert!(logged.contains("deliver") || logged.len() > 1000, "the log was listened to");
    let tables = house.relations().await.iter().filter(|table| *table != "webhook_secret");
    let sql = tables
        .map(|table| format!("SELECT to_jsonb(t)::text FROM {table} AS t"))
        .collect::<Vec<_>>()
        .join(" UNION ALL ");
    let rows = house.texts(&sql).await;
    for secret in [&old, &new] {
        let bare = secret.trim_start_matches("whsec_");
        for (place, said) in answers.iter().chain(&rows).chain([&logged]).enumerate() {
            assert!(
                !said.contains(bare),
                "{place}: {secret} in {}",
                said.chars().take(400).collect::<String>()
            );
        }
    }
    assert!(receiver.taken()[0].is_signed_with(&new) && receiver.taken()[0].is_signed_with(&old));
}

/// The application role stands in the casino's name, and may not look.
#[tokio::test]
async fn the_application_role_cannot_read_what_signs() {
    use sea_orm::ConnectionTrait as _;
    let house = House::open().await;
    made(&house, json!({ "url": "https://example.com/" })).await;
    let app = house.cluster.app().await;
    for sql in [
        "SELECT secret FROM webhook_secret",
        "SELECT former FROM webhook_secret",
        "SELECT * FROM webhook_secret",
        "UPDATE webhook_secret SET former_until = now()",
        "INSERT INTO webhook_secret (webhook_id, casino_id, secret) VALUES (gen_random_uuid(), gen_random_uuid(), '')",
        "DELETE FROM webhook_secret",
        "UPDATE webhook SET cursor_seq = 9",
        "INSERT INTO webhook_delivery (id) VALUES (gen_random_uuid())",
        "UPDATE sink_cursor SET cursor_seq = 9",
    ] {
        let refused = app.execute_unprepared(sql).await.expect_err(sql).to_string();
        assert!(refused.contains("permission denied"), "{sql}: {refused}");
    }
    // Nor does a casino keep a secret for another's webhook, nor anybody in nobody's name.
    let keep = format!("SELECT webhook_keep_secret('{}', decode(repeat('ab', 32), 'hex'), 0)", new_id());
    app.execute_unprepared(&keep).await.expect("a question");
    assert_eq!(house.count("webhook_secret").await, 1);
}
