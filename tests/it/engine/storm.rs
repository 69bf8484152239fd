//! Commands that touch several sessions each, all at once.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Call, at_once, count_of, outcomes};
use crate::schema::ask;
use crate::support::{House, id, tray};

/// Rollovers, counts over several sessions, files over all tables in every order, and slips that change hands meanwhile: whoever loses is
/// told so, and nobody is told that the daemon is at its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_over_several_sessions_at_once_leaves_no_5xx() {
    let house = House::open().await;
    let mut floor = Vec::new();
    for table in ["BJ-01", "BJ-02", "BJ-03"] {
        floor.push(Stormy::prepare(&house, table).await);
    }
    for round in 0..2 {
        let mut calls: Vec<Call> = floor.iter().flat_map(|table| table.calls(&house)).collect();
        let mut order: Vec<&Stormy> = floor.iter().collect();
        for _ in 0..floor.len() {
            order.rotate_left(1);
            calls.push(file(&house, &order));
            order.reverse();
            calls.push(file(&house, &order));
        }
        // Interleaved, so that neighbours in time are strangers on the floor.
        let parts: Vec<usize> = (0..calls.len()).map(|n| n * 7 % calls.len()).collect();
        assert_eq!(
            parts.iter().collect::<BTreeSet<_>>().len(),
            calls.len(),
            "every call once: {} has no factor of seven",
            calls.len()
        );
        let mut calls: Vec<Option<Call>> = calls.into_iter().map(Some).collect();
        let replies = at_once(parts.into_iter().filter_map(|part| calls[part].take())).await;
        let failed: Vec<_> = replies
            .iter()
            .filter(|reply| reply.status >= 500)
            .map(|reply| &reply.text)
            .collect();
        assert!(failed.is_empty(), "round {round}: {failed:#?}\n{:#?}", outcomes(&replies));
        if round == 0 {
            let rolled = replies
                .iter()
                .filter(|reply| reply.status == 201 && !reply.body["opened"].is_null())
                .count();
            assert_eq!(rolled, floor.len(), "each table rolls over once: {:#?}", outcomes(&replies));
        }
    }
    let sound = "
        SELECT jsonb_build_object(
            'counted_twice', (SELECT count(*) FROM (SELECT drop_event_id FROM soft_count_table_result GROUP BY 1 HAVING count(*) > 1) AS twice),
            'counted', (SELECT count(*) FROM soft_count_table_result),
            'live', (SELECT count(*) FROM table_inventory_session WHERE closed_at IS NULL),
            'sessions', (SELECT count(*) FROM table_inventory_session),
            'in_the_closed', (SELECT count(*) FROM table_slip AS x JOIN table_inventory_session AS s ON s.id = x.session_id
                               WHERE s.closed_at IS NOT NULL AND x.status IN ('REQUESTED', 'ISSUED')),
            'unaudited', (SELECT count(*) FROM session_transition AS t WHERE NOT EXISTS (SELECT FROM audit_log AS a WHERE a.session_id IN (
                               t.session_id, (SELECT predecessor_id FROM table_inventory_session AS s WHERE s.id = t.session_id)))),
            'deadlocks', (SELECT deadlocks FROM pg_stat_database WHERE datname = current_database())) AS json";
    let owner = house.cluster.owner().await;
    let expected =
        json!({ "counted_twice": 0, "counted": 6, "live": 3, "sessions": 9, "in_the_closed": 0, "unaudited": 0, "deadlocks": 0 });
    assert_eq!(ask(&owner, sound, []).await, expected);
}

/// One table as the storm finds it: a session in play after a rollover, and two boxes in the count room. The second of them holds slips of
/// both sessions.
struct Stormy {
    session: String,
    first: String,
    drops: [String; 2],
    asked: String,
    issued: String,
    numbers: Vec<i64>,
}

impl Stormy {
    async fn prepare(house: &House, table: &str) -> Self {
        let drop_box = |letter: &str| format!("{table}-{letter}");
        let name = |slip: &str| format!("{table}-{slip}");
        let first = house.open_table(table, &drop_box("A"), tray()).await;
        let early = house.drop_and_bring(&first, &drop_box("A"), Some(&drop_box("B")), "S1").await;
        let mut numbers = vec![
            house.slip(&first, "fill", &name("1"), json!({ "10000": 1 })).await["slip_no"]
                .as_i64()
                .expect("a number"),
        ];
        let rollover = json!({ "chipset": tray(), "cosign": house.cosign("PB-02") });
        let session = id(&house
            .post("PB-01", &format!("sessions/{first}/rollover"), rollover)
            .await
            .expect(201)["opened"]);
        numbers.push(
            house.slip(&session, "fill", &name("2"), json!({ "10000": 1 })).await["slip_no"]
                .as_i64()
                .expect("a number"),
        );
        let late = house.drop_and_bring(&session, &drop_box("B"), Some(&drop_box("C")), "S2").await;
        let asked = house.request_slip(&session, "fill", &name("3"), json!({ "10000": 1 })).await;
        let issued = house.request_slip(&session, "credit", &name("4"), json!({ "10000": 1 })).await;
        house
            .step_slip("CG-01", &issued, json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") }))
            .await
            .expect(200);
        Self {
            session,
            first,
            drops: [early, late],
            asked,
            issued,
            numbers,
        }
    }

    fn calls(&self, house: &House) -> Vec<Call> {
        let session = |rest: &str| format!("sessions/{}/{rest}", self.session);
        let slip = |slip: &str| format!("slips/{slip}/transitions");
        let rollover = json!({ "chipset": tray(), "cosign": house.cosign("PB-02") });
        let tray_count = json!({ "kind": "rundown", "chipset": tray(), "cosign": house.cosign("DL-02") });
        let manual = json!({ "category": "MANUAL", "detail": "a storm" });
        let issue = json!({ "to": "ISSUED", "runner_id": house.staff("SC-03") });
        let verify = json!({ "to": "VERIFIED_AT_TABLE", "dealer": house.cosign("DL-01") });
        let mut calls = vec![
            Call::new(house, "PB-01", session("rollover"), &rollover),
            Call::new(house, "PB-03", session("rollover"), &rollover),
            Call::new(house, "CT-01", "soft-counts", &count_of(house, &self.drops[0], 5000)),
            Call::new(house, "CT-02", "soft-counts", &count_of(house, &self.drops[0], 5000)),
            Call::new(house, "CT-01", "soft-counts", &self.late_count(house)),
            Call::new(house, "PB-01", session("snapshots"), &tray_count),
            Call::new(house, "PB-02", session("exceptions"), &manual),
            Call::new(house, "PB-02", format!("sessions/{}/exceptions", self.first), &manual),
            Call::new(house, "CG-01", slip(&self.asked), &issue),
            Call::new(house, "CG-02", slip(&self.asked), &issue),
            Call::new(house, "PB-03", slip(&self.issued), &verify),
            Call::new(house, "PB-03", slip(&self.asked), &verify),
        ];
        calls.extend((0..3).map(|n| {
            let request = json!({ "kind": "fill", "request_id": format!("{}-storm-{n}", self.session), "chipset": { "10000": 1 } });
            Call::new(house, "PB-01", session("slips"), &request)
        }));
        calls
    }

    fn late_count(&self, house: &House) -> Value {
        let mut count = count_of(house, &self.drops[1], 5000);
        let papers = self
            .numbers
            .iter()
            .map(|number| json!({ "kind": "fill_slip", "number": number.to_string(), "amount_cents": 10_000 }));
        count["evidence_manifest"]["documents"] = papers.collect();
        count
    }
}

/// A counting machine's file over the second boxes of all these tables, in this order.
fn file(house: &House, floor: &[&Stormy]) -> Call {
    let mut csv = "drop_event_id,drop_total_cents,count_1_cents,count_2_cents,team,currency,documents\n".to_owned();
    for table in floor {
        let papers = table
            .numbers
            .iter()
            .map(|number| format!("fill_slip:{number}:10000"))
            .collect::<Vec<_>>()
            .join(" ");
        writeln!(csv, "{},5000,5000,5000,CT-01 CT-02 CT-03,100:50,{papers}", table.drops[1]).expect("a line");
    }
    Call {
        content_type: "text/csv",
        body: csv,
        ..Call::new(house, "CT-03", "soft-counts/import", &Value::Null)
    }
}
