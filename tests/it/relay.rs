//! The relay: every event once, in order, with a number none is missing from, whatever dies on the way.

use std::time::Duration;

use reqwest::Method;
use rundown::clock::new_id;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{
    Cut, House, OTHER_CASINO, Publisher, Trip, Wire, Written, feed, hurried_relay, insert, is_published, rundown, said, text, tray, until,
    write,
};

#[tokio::test]
async fn commands_become_a_feed_with_a_number_each_in_the_order_of_writing() {
    let house = House::open().await;
    let publisher = Publisher::of(&house);
    house.reconciled("BJ-01", "BJ-01-A", "BJ-01-B", tray(), tray(), 10_000).await;
    until("all is published", || is_published(&house)).await;
    let told = feed(&house, house.home.casino).await;
    assert!(told.ids.len() > 10);
    assert!(told.has(told.ids.len()));
    let written = house.texts("SELECT id::text FROM outbox ORDER BY position").await;
    assert_eq!(told.ids, written);
    publisher.stop().await;
}

#[tokio::test]
async fn each_casino_counts_for_itself() {
    let house = House::open().await;
    write(&house, house.home.casino, new_id(), 3).await;
    write(&house, house.other.casino, new_id(), 2).await;
    let publisher = Publisher::of(&house);
    until("all is published", || is_published(&house)).await;
    assert_eq!(feed(&house, house.home.casino).await.seqs, [1, 2, 3]);
    assert_eq!(feed(&house, house.other.casino).await.seqs, [1, 2]);
    publisher.stop().await;
}

/// A number is given when an event is published, not when it is written: a reader who has seen number 1 never misses what comes late.
#[tokio::test]
async fn what_commits_late_gets_a_later_number() {
    let house = House::open().await;
    let owner = house.cluster.owner().await;
    #[expect(clippy::disallowed_methods, reason = "the test goes around the daemon on purpose")]
    let late = owner.begin().await.expect("a transaction");
    let (first, second) = (Written::new(house.home.casino, new_id()), Written::new(house.home.casino, new_id()));
    late.execute_unprepared(&insert(std::slice::from_ref(&first)))
        .await
        .expect("written");
    let publisher = Publisher::of(&house);
    owner
        .execute_unprepared(&insert(std::slice::from_ref(&second)))
        .await
        .expect("written");
    until("the second is published", || async {
        feed(&house, house.home.casino).await.ids.len() == 1
    })
    .await;
    late.commit().await.expect("committed");
    until("both are published", || async {
        feed(&house, house.home.casino).await.ids.len() == 2
    })
    .await;
    assert_eq!(
        feed(&house, house.home.casino).await.ids,
        [second.id.to_string(), first.id.to_string()]
    );
    publisher.stop().await;
}

#[tokio::test]
async fn any_number_of_relays_publish_each_event_once() {
    const WRITERS: usize = 6;
    const EACH: usize = 40;
    let house = House::open().await;
    let mut relays = Vec::new();
    for _ in 0..3 {
        relays.push(Publisher::apart(&house, house.cluster.url("rundown_app"), hurried_relay()).await);
    }
    let mut writers = JoinSet::new();
    let tables: Vec<Uuid> = (0..WRITERS).map(|_| new_id()).collect();
    for table in &tables {
        let (owner, casino, table) = (house.cluster.owner().await, house.home.casino, *table);
        writers.spawn(async move {
            for _ in 0..EACH {
                owner
                    .execute_unprepared(&insert(&[Written::new(casino, table)]))
                    .await
                    .expect("written");
            }
        });
    }
    while let Some(written) = writers.join_next().await {
        written.expect("no panic");
    }
    until("all is published", || is_published(&house)).await;
    let told = feed(&house, house.home.casino).await;
    assert!(told.has(WRITERS * EACH), "{told:?}");
    told.keeps_the_order_of_each_resource();
    for relay in relays {
        relay.stop().await;
    }
}

/// Before it has looked, between looking and publishing, while it publishes, and after: each by cutting the line to the database at that point.
#[tokio::test]
async fn a_relay_that_dies_at_any_step_loses_nothing_and_repeats_nothing() {
    // A turn is two round trips, so the fourth is beyond everything.
    let steps = (0..4).flat_map(|trip| [Cut::Before(trip), Cut::After(trip)]);
    for step in steps {
        let house = House::open().await;
        write(&house, house.home.casino, new_id(), 5).await;
        let wire = Wire::lay();
        wire.cut(step);
        let url = wire.lead(&house.cluster.url("rundown_app"));
        let dying = Publisher::apart(&house, url, hurried_relay()).await;
        until("the line is cut", || async { wire.is_cut() }).await;
        dying.kill().await;
        write(&house, house.home.casino, new_id(), 2).await;
        let next = Publisher::of(&house);
        until("all is published", || is_published(&house)).await;
        let told = feed(&house, house.home.casino).await;
        assert!(told.has(7), "{step:?}: {told:?}");
        told.keeps_the_order_of_each_resource();
        next.stop().await;
    }
}

#[tokio::test]
async fn relays_killed_again_and_again_under_load_end_with_every_event_once() {
    const EVENTS: usize = 300;
    let house = House::open().await;
    let (owner, casino) = (house.cluster.owner().await, house.home.casino);
    let tables = [new_id(), new_id(), new_id()];
    let mut writing = JoinSet::new();
    writing.spawn(async move {
        for at in 0..EVENTS {
            owner
                .execute_unprepared(&insert(&[Written::new(casino, tables[at % tables.len()])]))
                .await
                .expect("written");
        }
    });
    // Long enough now and then for some work to be done, whatever else the machine does.
    let mut deaths = 0;
    let mut written = false;
    while !written || deaths < 12 {
        written |= writing.try_join_next().is_some();
        let relay = Publisher::apart(&house, house.cluster.url("rundown_app"), hurried_relay()).await;
        tokio::time::sleep(Duration::from_millis(10 * (1 + deaths % 10))).await;
        relay.kill().await;
        deaths += 1;
    }
    let half_way = feed(&house, casino).await;
    assert!(
        !half_way.ids.is_empty(),
        "those that were killed never did anything: this proves nothing"
    );
    let last = Publisher::of(&house);
    until("all is published", || is_published(&house)).await;
    last.stop().await;
    let told = feed(&house, casino).await;
    assert!(told.has(EVENTS), "{told:?}");
    told.keeps_the_order_of_each_resource();
}

/// What a daemon wrote right before it died needs no wake-up.
#[tokio::test]
async fn an_event_nobody_woke_the_relay_for_is_published_all_the_same() {
    let house = House::open().await;
    let relay = Publisher::apart(&house, house.cluster.url("rundown_app"), hurried_relay()).await;
    house.create("BJ-01", "BJ-01-A").await;
    until("it is published", || is_published(&house)).await;
    relay.stop().await;
}

/// A daemon that stops publishes what its last commands wrote.
#[tokio::test]
async fn nothing_waits_behind_a_daemon_that_stops_in_good_order() {
    let house = House::open().await;
    write(&house, house.home.casino, new_id(), 1200).await;
    Publisher::of(&house).stop().await;
    assert!(is_published(&house).await);
}

#[tokio::test]
async fn a_poison_event_holds_up_nobody_and_ends_as_a_dead_letter() {
    let house = House::open().await;
    let (sick, healthy) = (new_id(), new_id());
    let casino = house.home.casino;
    let mut poison = Written::new(casino, sick);
    poison.payload.as_object_mut().expect("an object").remove("table_id");
    let after_it = Written::new(casino, sick);
    let others = [Written::new(casino, healthy), Written::new(casino, healthy)];
    let elsewhere = Written::new(house.other.casino, new_id());
    let all = [poison.clone(), others[0].clone(), after_it.clone(), others[1].clone(), elsewhere];
    house.owner_does(&insert(&all)).await;
    let mut patient = hurried_relay();
    patient.first_pause = Duration::from_mins(10);
    patient.longest_pause = Duration::from_mins(10);
    let first = Publisher::run(house.outbox(), patient, None);
    // While it waits for its next attempt, only what is about the same table waits behind it.
    until("the others are published", || async { feed(&house, casino).await.ids.len() == 2 }).await;
    assert_eq!(feed(&house, casino).await.ids, [others[0].id.to_string(), others[1].id.to_string()]);
    assert_eq!(feed(&house, house.other.casino).await.seqs, [1]);
    first.stop().await;
    house
        .owner_does("UPDATE outbox SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL")
        .await;

    let second = Publisher::of(&house);
    let dead = || async { house.person("AD-01").get("/api/v1/outbox/dead").await.expect(200)["items"].clone() };
    until("it is dead", || async {
        dead().await.as_array().is_some_and(|dead| dead.len() == 1)
    })
    .await;
    let letter = dead().await[0].clone();
    assert_eq!(
        (letter["id"].as_str(), letter["attempts"].as_i64()),
        (Some(poison.id.to_string().as_str()), Some(3))
    );
    assert!(text(&letter, "last_error").contains("table_id"), "{letter}");
    // Behind a dead letter nothing waits.
    until("what came after it is published", || async {
        feed(&house, casino).await.ids.len() == 3
    })
    .await;
    assert_eq!(feed(&house, casino).await.ids[2], after_it.id.to_string());
    second.stop().await;
}

/// Found behind a failure once, an event is not looked at again before the failure is: else each look would walk over all of them.
#[tokio::test]
async fn what_waits_behind_a_failure_costs_no_look_and_goes_in_order() {
    const BEHIND: usize = 700;
    let house = House::open().await;
    let (sick, casino) = (new_id(), house.home.casino);
    let mut poison = Written::new(casino, sick);
    poison.payload.as_object_mut().expect("an object").remove("table_id");
    let behind: Vec<Written> = (0..BEHIND).map(|_| Written::new(casino, sick)).collect();
    house.owner_does(&insert(std::slice::from_ref(&poison))).await;
    house.owner_does(&insert(&behind)).await;
    let mut patient = hurried_relay();
    patient.first_pause = Duration::from_mins(10);
    patient.longest_pause = Duration::from_mins(10);
    let first = Publisher::run(house.outbox(), patient, None);
    // More than one look shows, so that the last of them wait as well.
    until("all of them wait", || async {
        house.count("outbox WHERE next_attempt_at IS NULL AND published_at IS NULL").await == 0
    })
    .await;
    let times = "SELECT count(DISTINCT next_attempt_at)::text || ' ' || sum(attempts) FROM outbox WHERE published_at IS NULL";
    assert_eq!(
        house.texts(times).await,
        ["1 1"],
        "all wait as long as the one that failed, and only that one has failed"
    );
    // One that comes later waits too, and nothing of another table does.
    let late = [Written::new(casino, sick), Written::new(casino, new_id())];
    house.owner_does(&insert(&late)).await;
    until("the other table's is published", || async {
        feed(&house, casino).await.ids.len() == 1
    })
    .await;
    first.stop().await;

    let mended = format!("ALTER TABLE outbox DISABLE TRIGGER guard; UPDATE outbox SET payload = payload || '{{\"table_id\": \"{sick}\"}}' WHERE id = '{}';
                          ALTER TABLE outbox ENABLE TRIGGER guard; UPDATE outbox SET next_attempt_at = now() - CASE attempts WHEN 0 THEN interval '2 s' ELSE interval '1 s' END
                           WHERE next_attempt_at IS NOT NULL", poison.id);
    house.owner_does(&mended).await;
    let second = Publisher::of(&house);
    until("all is published", || is_published(&house)).await;
    second.stop().await;
    let told = feed(&house, casino).await;
    let in_order = [&late[1], &poison].into_iter().chain(&behind).chain([&late[0]]);
    assert_eq!(told.ids, in_order.map(|event| event.id.to_string()).collect::<Vec<_>>());
    told.keeps_the_order_of_each_resource();
}

/// Refused by the database itself, in the middle of a batch: the others of the batch do not go down with it. Then it is sent back.
#[tokio::test]
async fn a_dead_letter_is_sent_back_and_gets_the_number_of_its_turn() {
    let house = House::open().await;
    let casino = house.home.casino;
    let events: Vec<Written> = (0..5).map(|_| Written::new(casino, new_id())).collect();
    let poison = &events[2];
    house
        .owner_does(&format!(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
             CREATE TRIGGER poison BEFORE UPDATE OF seq ON outbox FOR EACH ROW WHEN (OLD.id = '{}' AND NEW.seq IS NOT NULL) EXECUTE FUNCTION poison()",
            poison.id
        ))
        .await;
    house.owner_does(&insert(&events)).await;
    let publisher = Publisher::of(&house);
    until("it is dead", || async {
        house.texts("SELECT id::text FROM outbox WHERE dead_at IS NOT NULL").await.len() == 1
    })
    .await;
    until("the others are published", || async { feed(&house, casino).await.seqs.len() == 4 }).await;

    let admin = house.person("AD-01");
    let path = format!("/api/v1/outbox/{}/redrive", poison.id);
    house.owner_does("DROP TRIGGER poison ON outbox").await;
    let sent = admin.post_as("k-1", &path, json!({})).await;
    assert_eq!((&sent.expect(200)["dead_at"], &sent.body["attempts"]), (&Value::Null, &json!(0)));
    until("it is published", || is_published(&house)).await;
    let told = feed(&house, casino).await;
    assert_eq!((told.seqs, told.ids.last()), (vec![1, 2, 3, 4, 5], Some(&poison.id.to_string())));
    // The same request again is the same answer; another one finds nothing dead.
    assert_eq!(admin.post_as("k-1", &path, json!({})).await.expect(200), &sent.body);
    let again = admin.post(&path, json!({})).await;
    assert_eq!(again.refused(409, "conflict")["reason"], "not_dead");
    let audited = house.person("CO-01").get("/api/v1/audit?domain=outbox").await;
    assert_eq!(audited.expect(200)["items"][0]["action"], "redrive");
    publisher.stop().await;
}

#[tokio::test]
async fn dead_letters_are_the_admins_and_each_casino_s_own() {
    let house = House::open().await;
    let mut poison = Written::new(house.other.casino, new_id());
    poison.payload["event"] = json!("table.vanished");
    house.owner_does(&insert(std::slice::from_ref(&poison))).await;
    let publisher = Publisher::of(&house);
    let theirs = house.stranger("AD-01");
    until("it is dead", || async {
        theirs.get("/api/v1/outbox/dead").await.expect(200)["items"]
            .as_array()
            .is_some_and(|dead| dead.len() == 1)
    })
    .await;
    publisher.stop().await;
    let path = format!("/api/v1/outbox/{}/redrive", poison.id);
    assert_eq!(
        house.person("AD-01").get("/api/v1/outbox/dead").await.expect(200)["items"],
        json!([])
    );
    house
        .in_vain(house.person("AD-01").post(&path, json!({})))
        .await
        .refused(404, "not_found");
    house
        .in_vain(house.person("CO-01").get("/api/v1/outbox/dead"))
        .await
        .refused(403, "forbidden");
    house
        .in_vain(house.stranger("CO-01").post(&path, json!({})))
        .await
        .refused(403, "forbidden");
    let odd = theirs.send(Method::GET, "/api/v1/outbox/dead?state=all", &[], None).await;
    odd.refused(400, "malformed_request");
}

/// The way that needs no daemon and no token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_listed_and_sent_back_by_the_program() {
    let house = House::open().await;
    let (ok, none) = said(&rundown(&house, &["outbox", "dead"]).await);
    assert!(ok && none.contains("There is no dead letter"), "{none}");
    let mut mine = Written::new(house.home.casino, new_id());
    mine.payload.as_object_mut().expect("an object").remove("table_id");
    let mut theirs = Written::new(house.other.casino, new_id());
    theirs.payload["event"] = json!("table.vanished");
    house.owner_does(&insert(&[mine.clone(), theirs.clone()])).await;
    let publisher = Publisher::of(&house);
    let dead = || async { house.count("outbox WHERE dead_at IS NOT NULL").await };
    until("both are dead", || async { dead().await == 2 }).await;
    publisher.stop().await;

    let (ok, listed) = said(&rundown(&house, &["outbox", "dead"]).await);
    let (mine, theirs) = (mine.id.to_string(), theirs.id.to_string());
    for word in [
        mine.as_str(),
        theirs.as_str(),
        "table.session_created",
        "table_id",
        "River Bend",
        OTHER_CASINO,
    ] {
        assert!(ok && listed.contains(word), "{word}: {listed}");
    }
    let (_, listed) = said(&rundown(&house, &["outbox", "dead", "--casino", OTHER_CASINO]).await);
    assert!(listed.contains(&theirs) && !listed.contains(&mine), "{listed}");

    for args in [
        vec!["outbox", "redrive", &theirs, "--casino", "River Bend"],
        vec!["outbox", "redrive", "00000000-0000-0000-0000-000000000001"],
    ] {
        let (ok, refused) = said(&rundown(&house, &args).await);
        assert!(!ok && refused.contains("there is no dead letter"), "{refused}");
    }
    assert_eq!(dead().await, 2);
    let (ok, sent) = said(&rundown(&house, &["outbox", "redrive", &mine]).await);
    assert!(ok && sent.contains("waits to be published again"), "{sent}");
    assert_eq!(house.texts("SELECT id::text FROM outbox WHERE dead_at IS NOT NULL").await, [theirs]);
    let book = house.person("CO-01").get("/api/v1/audit?domain=casino").await;
    let rows = book.expect(200)["items"].as_array().expect("a list").clone();
    assert!(
        rows.iter()
            .any(|row| row["action"] == "redrive_event" && row["dto_after"]["outbox"] == mine.as_str()),
        "{rows:?}"
    );
}

#[tokio::test]
async fn what_is_published_is_final_and_nobody_publishes_by_hand() {
    let house = House::open().await;
    write(&house, house.home.casino, new_id(), 1).await;
    let app = house.cluster.app().await;
    let scene = |sql: &str| format!("SELECT set_config('app.casino_id', '{}', false); {sql}", house.home.casino);
    for sql in [
        "UPDATE outbox SET seq = 1, published_at = now()",
        "UPDATE event_feed SET last_seq = 9",
        "INSERT INTO event_feed VALUES (gen_random_uuid(), 9)",
        "INSERT INTO outbox (id, casino_id, event, aggregate_id, channels, payload, correlation_id, seq, published_at)
         SELECT gen_random_uuid(), casino_id, event, aggregate_id, channels, payload, correlation_id, 7, now() FROM outbox",
    ] {
        let refused = app.execute_unprepared(&scene(sql)).await.expect_err(sql).to_string();
        assert!(refused.contains("permission denied"), "{sql}: {refused}");
    }
    let publisher = Publisher::of(&house);
    until("it is published", || is_published(&house)).await;
    publisher.stop().await;
    let owner = house.cluster.owner().await;
    for (sql, why) in [
        ("UPDATE outbox SET seq = 2", "never changes"),
        ("UPDATE outbox SET payload = '{}'", "never changes"),
        ("UPDATE event_feed SET last_seq = 1", "only goes on"),
        ("DELETE FROM event_feed", "never deleted"),
    ] {
        let refused = owner.execute_unprepared(sql).await.expect_err(sql).to_string();
        assert!(refused.contains(why), "{sql}: {refused}");
    }
    write(&house, house.home.casino, new_id(), 1).await;
    let refused = owner.execute_unprepared("DELETE FROM outbox WHERE seq IS NULL").await;
    assert!(refused.expect_err("refused").to_string().contains("only after it was published"));
}

/// What an idle daemon says to the database for its relay: one statement twice a second, and the pool's own ping.
#[tokio::test]
async fn an_idle_relay_asks_twice_a_second() {
    let house = House::open().await;
    let wire = Wire::lay();
    let settings = rundown::outbox::Settings {
        look_every: Duration::from_millis(500),
        ..hurried_relay()
    };
    let relay = Publisher::apart(&house, wire.lead(&house.cluster.url("rundown_app")), settings).await;
    let looks = || wire.said().trips.iter().filter(|trip| **trip == Trip::Execute).count();
    until("it has looked", || async { looks() > 1 }).await;
    let (begun, before) = (std::time::Instant::now(), wire.said().trips.len());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let trips = wire.said().trips.split_off(before);
    let looks = usize::try_from(begun.elapsed().as_millis() / 500).expect("a number") + 1;
    assert!(trips.len() <= 2 * looks, "{trips:#?}");
    relay.stop().await;
}
