//! Commands that come all at once to different tables, and go together in one transaction: each is its own all the same.

use std::collections::BTreeMap;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Call, at_once, outcomes};
use crate::schema::ask;
use crate::support::{House, Reply, id, tray};

/// Tables beside the house's own: enough that a crowd comes together while the first commands are under way.
const TABLES: usize = 24;

/// As many sessions, each OPENING on a table of its own and waiting for its opener.
async fn floor(house: &House) -> Vec<String> {
    let owner = house.cluster.owner().await;
    let made = format!(
        "INSERT INTO gaming_table (id, casino_id, label, type, pit, status)
         SELECT gen_random_uuid(), '{casino}', 'CR-' || n, 'blackjack', 'Pit 1', 'active' FROM generate_series(1, {TABLES}) AS n;
         INSERT INTO table_par (id, casino_id, table_id, par_cents, effective_gaming_day)
         SELECT gen_random_uuid(), casino_id, id, 100000, '2026-01-01' FROM gaming_table WHERE label LIKE 'CR-%';
         INSERT INTO drop_box (id, casino_id, label, table_id, kind)
         SELECT gen_random_uuid(), casino_id, label, id, 'standard' FROM gaming_table WHERE label LIKE 'CR-%';",
        casino = house.home.casino
    );
    owner.execute_unprepared(&made).await.expect("tables");
    let pairs = "SELECT jsonb_agg(jsonb_build_array(t.id, b.id) ORDER BY t.label) AS json
                   FROM gaming_table AS t JOIN drop_box AS b ON b.table_id = t.id WHERE t.label LIKE 'CR-%'";
    let pairs = ask(&owner, pairs, []).await;
    let mut sessions = Vec::new();
    for pair in pairs.as_array().expect("pairs") {
        let made = house
            .post("PB-01", "sessions", json!({ "table_id": pair[0], "drop_box_id": pair[1] }))
            .await;
        let session = id(made.expect(201));
        house.advance("PB-01", &session, json!({ "to": "OPENING" })).await.expect(200);
        sessions.push(session);
    }
    sessions
}

fn count(house: &House, by: &str, session: &str) -> Call {
    let body = json!({ "kind": "open", "chipset": tray() });
    Call::new(house, by, format!("sessions/{session}/snapshots"), &body)
}

/// In how many transactions the audit rows of an action were written, and how many rows.
async fn transactions(house: &House, action: &str) -> (i64, i64) {
    let sql = format!("SELECT jsonb_build_array(count(DISTINCT xmin::text), count(*)) AS json FROM audit_log WHERE action = '{action}'");
    let counted = ask(&house.cluster.owner().await, &sql, []).await;
    (counted[0].as_i64().expect("a count"), counted[1].as_i64().expect("a count"))
}

fn won(replies: &[Reply]) -> usize {
    replies.iter().filter(|reply| reply.status < 300).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commands_to_many_tables_share_transactions_and_nothing_else() {
    let house = House::open().await;
    let sessions = floor(&house).await;
    // One asks twice under one key, one asks twice under two, one may not, one asks for what is not there, one talks nonsense.
    let mut calls: Vec<Call> = sessions
        .iter()
        .map(|session| count(&house, "PB-01", session).keyed(session))
        .collect();
    calls.insert(3, count(&house, "PB-01", &sessions[2]).keyed(&sessions[2]));
    calls.insert(7, count(&house, "SC-01", &sessions[5]));
    calls.insert(9, count(&house, "PB-01", &rundown::clock::new_id().to_string()));
    calls.insert(
        11,
        Call::new(
            &house,
            "PB-01",
            format!("sessions/{}/snapshots", sessions[8]),
            &json!({ "kind": "open", "chipset": { "7": 1 } }),
        ),
    );
    let replies = at_once(calls).await;
    let expected = BTreeMap::from([
        ((201, String::new()), TABLES + 1),
        ((403, "forbidden".to_owned()), 1),
        ((404, "not_found".to_owned()), 1),
        ((422, "validation_failed".to_owned()), 1),
    ]);
    assert_eq!(outcomes(&replies), expected);
    assert_eq!(house.count("table_inventory_snapshot").await, 24, "one a session");
    let signed = "SELECT jsonb_build_array(count(*), count(DISTINCT session_id), count(DISTINCT staff_id)) AS json
                    FROM signature WHERE act = 'snapshot.count'";
    assert_eq!(ask(&house.cluster.owner().await, signed, []).await, json!([TABLES, TABLES, 1]));
    let (transactions, rows) = transactions(&house, "count").await;
    assert_eq!(rows, 24, "one audit row a command");
    assert!(transactions < rows, "{rows} commands in {transactions} transactions");
}

/// What Postgres refuses of one undoes the transaction of all: nothing of it is kept, everybody goes by themselves, and only that one fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_that_cannot_be_written_takes_nobody_with_it() {
    let house = House::open().await;
    let sessions = floor(&house).await;
    let refusal = format!(
        "CREATE FUNCTION poisoned() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poison'; END $$;
         CREATE TRIGGER poisoned BEFORE INSERT ON table_inventory_snapshot FOR EACH ROW WHEN (NEW.session_id = '{}') EXECUTE FUNCTION poisoned();",
        sessions[6]
    );
    house.cluster.owner().await.execute_unprepared(&refusal).await.expect("a trigger");
    let replies = at_once(sessions.iter().map(|session| count(&house, "PB-01", session))).await;
    let expected = BTreeMap::from([((201, String::new()), TABLES - 1), ((500, "internal".to_owned()), 1)]);
    assert_eq!(outcomes(&replies), expected);
    assert_eq!(house.count("table_inventory_snapshot").await, 23);
    let (_, rows) = transactions(&house, "count").await;
    assert_eq!(rows, 23);
}

/// A session somebody else holds is waited for by the one command that wants it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::disallowed_methods, reason = "somebody who holds a lock, and is no command")]
async fn nobody_waits_for_a_lock_that_another_command_needs() {
    let house = House::open().await;
    let sessions = floor(&house).await;
    let owner = house.cluster.owner().await;
    let holder = sea_orm::TransactionTrait::begin(&owner).await.expect("a transaction");
    let held = format!("SELECT 1 FROM table_inventory_session WHERE id = '{}' FOR UPDATE", sessions[0]);
    let casino = format!("SELECT set_config('app.casino_id', '{}', true)", house.home.casino);
    holder.execute_unprepared(&casino).await.expect("set");
    assert_eq!(holder.execute_unprepared(&held).await.expect("held").rows_affected(), 1);
    let (mut calls, held) = (Vec::new(), count(&house, "PB-01", &sessions[0]));
    let mut waiting = JoinSet::new();
    waiting.spawn(held.make());
    calls.extend(sessions[1..].iter().map(|session| count(&house, "PB-01", session)));
    let replies = at_once(calls).await;
    assert_eq!(won(&replies), TABLES - 1, "{:?}", outcomes(&replies));
    assert!(waiting.try_join_next().is_none(), "it waits for the lock");
    holder.rollback().await.expect("given back");
    waiting.join_next().await.expect("one").expect("answered").expect(201);
}

/// Two commands on one session at the same time, in a crowd: one after the other, the second seeing what the first did.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_on_one_session_take_turns_in_a_crowd() {
    let house = House::open().await;
    let sessions = floor(&house).await;
    let twice = sessions.iter().chain(&sessions);
    let replies = at_once(twice.map(|session| count(&house, "PB-01", session))).await;
    let bodies: Vec<&Value> = replies.iter().map(|reply| &reply.body).collect();
    let made = house.count("table_inventory_snapshot").await;
    assert_eq!(usize::try_from(made).expect("few"), won(&replies), "{bodies:#?}");
    let versions = "SELECT jsonb_agg(DISTINCT s.version - n.counted) AS json FROM table_inventory_session AS s
                      JOIN (SELECT session_id, count(*) AS counted FROM table_inventory_snapshot GROUP BY 1) AS n ON n.session_id = s.id";
    let versions = ask(&house.cluster.owner().await, versions, []).await;
    assert_eq!(
        versions.as_array().map(Vec::len),
        Some(1),
        "every count raised the version of its session by one: {versions}"
    );
}
