//! A command is four round trips to Postgres, whatever it is, and wakes nobody up: counted on the wire.
//!
//! Two kinds are told apart from a command's own: a statement prepared once for a connection's whole life, and the pool's ping on taking a
//! connection back, which nobody waits for (sqlx sends it after the answer and offers no switch). Tests below bound both.

use std::fmt::Write as _;

use reqwest::Method;
use rundown::clock::new_id;
use serde_json::{Value, json};

use crate::schema::ask;
use crate::support::{House, Person, Reply, Trip, Wire, below, id, tray};

/// What a command may cost: BEGIN, what is known, what is written, COMMIT.
const MOST: usize = 4;

/// A house whose every command is put on the bill.
struct Metered {
    house: House,
    wire: Wire,
    bill: Vec<(&'static str, Vec<Trip>)>,
}

impl Metered {
    async fn open() -> Self {
        let wire = Wire::lay();
        let house = House::open_over(|url| wire.lead(&url)).await;
        Self {
            house,
            wire,
            bill: Vec::new(),
        }
    }

    async fn post(&mut self, what: &'static str, by: &str, path: &str, body: Value, status: u16) -> Value {
        let person = self.house.person(by);
        self.put_down(what, async |path: &str| person.post(path, body).await, path, status)
            .await
            .body
    }

    async fn put_down(&mut self, what: &'static str, send: impl AsyncFnOnce(&str) -> Reply, path: &str, status: u16) -> Reply {
        let before = self.wire.when_quiet().await.trips.len();
        let reply = send(&below(path)).await;
        let trips = self.wire.when_quiet().await.trips.split_off(before);
        reply.expect(status);
        self.bill.push((what, trips));
        reply
    }

    fn step(&self, chipset: Option<Value>) -> Value {
        let mut body = json!({ "to": "VERIFIED_AT_TABLE", "dealer": self.house.cosign("DL-01") });
        if let Some(chipset) = chipset {
            body["chipset"] = chipset;
        }
        body
    }

    /// Every kind of command there is, each at least once.
    async fn play_all(&mut self) {
        self.play_main_road().await;
        self.play_side_roads().await;
    }

    async fn play_main_road(&mut self) {
        let house = &self.house;
        let (table, first, second) = (house.table("BJ-01"), house.drop_box("BJ-01-A"), house.drop_box("BJ-01-B"));
        let (runner, witness, verifier) = (house.staff("SC-03"), house.cosign("SC-02"), house.cosign("DL-01"));
        let team = ["CT-01", "CT-02", "CT-03"].map(|member| house.staff(member));

        let session = id(&self.post("create", "PB-01", "sessions", json!({ "table_id": table }), 201).await);
        let at = |rest: &str| format!("sessions/{session}{rest}");
        let patch = Some(json!({ "drop_box_id": first }));
        let person = self.house.person("PB-01");
        self.put_down(
            "prepare",
            async |path: &str| person.send(Method::PATCH, path, &[], patch).await,
            &at(""),
            200,
        )
        .await;
        self.post("begin opening", "PB-01", &at("/transitions"), json!({ "to": "OPENING" }), 200)
            .await;
        let counted = self
            .post(
                "count a tray",
                "PB-01",
                &at("/snapshots"),
                json!({ "kind": "open", "chipset": tray() }),
                201,
            )
            .await;
        let snapshot = id(&counted["snapshot"]);
        self.post(
            "verify a count",
            "PB-01",
            &format!("snapshots/{snapshot}/verify"),
            json!({ "cosign": verifier }),
            200,
        )
        .await;
        let rundown = json!({ "kind": "rundown", "chipset": tray(), "cosign": verifier });
        self.post("count with a co-signature", "PB-01", &at("/snapshots"), rundown, 201)
            .await;

        for kind in ["fill", "credit"] {
            let request = json!({ "kind": kind, "request_id": format!("{kind}-1"), "chipset": { "10000": 5 } });
            let slip = id(&self.post("request a slip", "PB-01", &at("/slips"), request, 201).await);
            let steps = format!("slips/{slip}/transitions");
            self.post("issue a slip", "CG-01", &steps, json!({ "to": "ISSUED", "runner_id": runner }), 200)
                .await;
            self.post("verify a slip", "PB-02", &steps, self.step(Some(json!({ "10000": 5 }))), 200)
                .await;
            if kind == "credit" {
                self.post("receive a credit", "CG-01", &format!("slips/{slip}/cage-receipt"), json!({}), 200)
                    .await;
            }
            self.post("deposit a slip", "PB-02", &steps, json!({ "to": "DEPOSITED_IN_DROPBOX" }), 200)
                .await;
        }
        self.play_lost_slips(&session).await;

        self.post(
            "schedule a drop",
            "PB-01",
            &at("/transitions"),
            json!({ "to": "DROP_SCHEDULED" }),
            200,
        )
        .await;
        self.post("take a schedule back", "PB-01", &at("/transitions"), json!({ "to": "OPEN" }), 200)
            .await;
        self.post(
            "schedule a drop",
            "PB-01",
            &at("/transitions"),
            json!({ "to": "DROP_SCHEDULED" }),
            200,
        )
        .await;
        let removal = json!({ "drop_box_id": first, "replacement_box_id": second, "seal_no": "S1", "witnessed_by": witness });
        let drop = id(&self.post("remove a box", "SC-01", &at("/drops"), removal, 201).await["drop"]);
        self.post("deliver a box", "SC-01", &format!("drops/{drop}/delivery"), json!({}), 200)
            .await;
        self.post(
            "receive a box",
            "CT-01",
            &format!("drops/{drop}/receipt"),
            json!({ "seal_no": "S2" }),
            200,
        )
        .await;
        let count = json!({
            "drop_event_id": drop, "drop_total_cents": 5000, "count_1_cents": 4000, "count_2_cents": 5000, "agreed_cents": 5000, "team": team,
            "evidence_manifest": { "currency": { "5000": 1 }, "documents": [{ "kind": "fill_slip", "number": "999", "amount_cents": 1 }] },
        });
        self.post("count a box", "CT-01", "soft-counts", count, 201).await;
        self.post("begin closing", "PB-01", &at("/transitions"), json!({ "to": "CLOSING" }), 200)
            .await;
        let closer = json!({ "kind": "close", "chipset": tray(), "cosign": verifier });
        self.post("close and reconcile", "PB-01", &at("/snapshots"), closer, 201).await;
        self.sign_off(&session).await;
    }

    /// A slip cancelled, one voided, and one written by hand.
    async fn play_lost_slips(&mut self, session: &str) {
        let (runner, witness, requester) = (self.house.staff("SC-03"), self.house.cosign("SC-02"), self.house.cosign("PB-01"));
        let at = format!("sessions/{session}/slips");
        let request = |name: &str| json!({ "kind": "fill", "request_id": name, "chipset": { "10000": 1 } });
        let cancelled = id(&self.post("request a slip", "PB-01", &at, request("to-cancel"), 201).await);
        let reason = json!({ "to": "CANCELLED", "reason": "asked twice" });
        self.post("cancel a slip", "PB-01", &format!("slips/{cancelled}/transitions"), reason, 200)
            .await;
        let voided = id(&self.post("request a slip", "PB-01", &at, request("to-void"), 201).await);
        self.post(
            "issue a slip",
            "CG-01",
            &format!("slips/{voided}/transitions"),
            json!({ "to": "ISSUED", "runner_id": runner }),
            200,
        )
        .await;
        let void = json!({ "to": "VOIDED", "reason": "wrong chips", "cosign": witness });
        self.post("void a slip", "CG-01", &format!("slips/{voided}/transitions"), void, 200)
            .await;

        let range = self
            .house
            .person("AD-01")
            .post(&below("slip-series/manual-ranges"), json!({ "kind": "fill", "count": 3 }))
            .await;
        let by_hand = json!({
            "kind": "fill", "request_id": "by-hand", "slip_no": range.expect(201)["first_no"], "chipset": { "10000": 1 }, "runner_id": runner,
            "issued_at": self.house.clock.now(), "requester": requester,
        });
        let by_hand = id(&self
            .post("enter a slip written by hand", "CG-01", &format!("{at}/offline"), by_hand, 201)
            .await);
        self.post(
            "verify a slip",
            "PB-02",
            &format!("slips/{by_hand}/transitions"),
            self.step(None),
            200,
        )
        .await;
        self.post(
            "deposit a slip",
            "PB-02",
            &format!("slips/{by_hand}/transitions"),
            json!({ "to": "DEPOSITED_IN_DROPBOX" }),
            200,
        )
        .await;
    }

    /// Compliance answers every exception and signs.
    async fn sign_off(&mut self, session: &str) {
        let manual = json!({ "category": "MANUAL", "detail": "a chip on the floor" });
        self.post(
            "raise an exception",
            "PB-02",
            &format!("sessions/{session}/exceptions"),
            manual,
            201,
        )
        .await;
        let raised = self.house.exceptions(session).await;
        assert!(raised.len() >= 4, "a foreign paper, missing slips, a seal, two counts: {raised:#?}");
        for exception in raised.iter().map(id) {
            self.post(
                "acknowledge an exception",
                "CO-01",
                &format!("exceptions/{exception}/acknowledge"),
                json!({}),
                200,
            )
            .await;
            let answer = json!({ "reason_code": "ACCEPTED_VARIANCE", "resolution_note": "looked into" });
            self.post(
                "resolve an exception",
                "CO-01",
                &format!("exceptions/{exception}/resolve"),
                answer,
                200,
            )
            .await;
        }
        self.post(
            "finalize",
            "CO-01",
            &format!("sessions/{session}/transitions"),
            json!({ "to": "FINALIZED" }),
            200,
        )
        .await;
    }

    /// A rollover with a slip in flight, a counting machine's file over both its sessions, a force close, a cancelled session.
    async fn play_side_roads(&mut self) {
        let first = self.house.open_table("BJ-02", "BJ-02-A", tray()).await;
        self.house.drop_and_bring(&first, "BJ-02-A", Some("BJ-02-B"), "S3").await;
        self.house.request_slip(&first, "fill", "in-flight", json!({ "10000": 1 })).await;
        let deposited = self.house.slip(&first, "fill", "deposited", json!({ "10000": 1 })).await;
        let rollover = json!({ "chipset": tray(), "cosign": self.house.cosign("PB-02") });
        let rolled = self
            .post("roll over", "PB-01", &format!("sessions/{first}/rollover"), rollover, 201)
            .await;
        let second = id(&rolled["opened"]);
        let drop = self.house.drop_and_bring(&second, "BJ-02-B", Some("BJ-02-C"), "S4").await;
        let file = format!(
            "drop_event_id,drop_total_cents,count_1_cents,count_2_cents,team,currency,documents\n\
             {drop},5000,5000,5000,CT-01 CT-02 CT-03,5000:1,fill_slip:{}:10000\n",
            deposited["slip_no"]
        );
        let (person, key) = (self.house.person("CT-01"), new_id().to_string());
        let headers = [("content-type", "text/csv"), ("idempotency-key", key.as_str())];
        let send = async |path: &str| person.raw(Method::POST, path, &headers, Some(file.into_bytes())).await;
        self.put_down("import a file of counts", send, "soft-counts/import", 201).await;
        let force = json!({ "to": "CLOSED", "force": true, "note": "the roof leaks" });
        self.post("force close", "PB-01", &format!("sessions/{second}/transitions"), force, 200)
            .await;

        let unused = self.house.create("BJ-03", "BJ-03-A").await;
        self.post(
            "cancel",
            "PB-01",
            &format!("sessions/{unused}/transitions"),
            json!({ "to": "CLOSED", "note": "not needed" }),
            200,
        )
        .await;
    }

    /// Dear ones first, each with what was said.
    fn bill(&self) -> String {
        let mut text = String::new();
        let mut bill: Vec<_> = self.bill.iter().collect();
        bill.sort_by_key(|(_, trips)| std::cmp::Reverse(cost(trips)));
        for (what, trips) in bill {
            writeln!(text, "{:>3}  {what:<32} {trips:?}", cost(trips)).expect("a line");
        }
        text
    }
}

/// The command's own round trips.
fn cost(trips: &[Trip]) -> usize {
    trips.iter().filter(|trip| matches!(trip, Trip::Query(_) | Trip::Execute)).count()
}

#[tokio::test]
async fn a_command_of_any_kind_makes_four_round_trips_at_most() {
    let mut metered = Metered::open().await;
    metered.play_all().await;
    let bill = metered.bill();
    assert!(metered.bill.iter().all(|(_, trips)| cost(trips) <= MOST), "\n{bill}");
    // Four is also what it takes: a cheaper bill would mean that the wire is not where the daemon speaks.
    assert!(metered.bill.iter().all(|(_, trips)| cost(trips) == MOST), "\n{bill}");
}

/// What is left out of the bill is paid once, or after the answer: a statement prepared for every command would hide two round trips in
/// each, a ping before it one.
#[tokio::test]
async fn nothing_is_prepared_twice_and_a_connection_is_asked_about_once_a_command() {
    let mut metered = Metered::open().await;
    metered.play_all().await;
    let said = metered.wire.when_quiet().await;
    let twice: Vec<_> = said.prepared_by.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
    let times = |wanted: fn(&Trip) -> bool| said.trips.iter().filter(|trip| wanted(trip)).count();
    let (pings, commands) = (
        times(|trip| *trip == Trip::Ping),
        times(|trip| matches!(trip, Trip::Query(text) if text.starts_with("BEGIN"))),
    );
    // Making the pool asks once more for each connection it opens.
    let connections = said
        .prepared_by
        .keys()
        .map(|(connection, _)| connection)
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    assert!(
        pings <= commands + connections,
        "{pings} pings, {commands} commands, {connections} connections"
    );
}

/// An empty NOTIFY holds a lock over all commits of the server: the relay notifies, no command does.
#[tokio::test]
async fn a_command_notifies_nobody() {
    let mut metered = Metered::open().await;
    metered.play_all().await;
    let said: Vec<String> = metered
        .wire
        .said()
        .trips
        .into_iter()
        .filter_map(|trip| match trip {
            Trip::Query(text) | Trip::Prepare(text) => Some(text),
            Trip::Execute | Trip::Ping => None,
        })
        .collect();
    assert!(
        said.iter().any(|text| text.contains("put_changes")),
        "the wire is where the daemon speaks: {said:#?}"
    );
    let notifying: Vec<_> = said.iter().filter(|text| text.to_ascii_lowercase().contains("notify")).collect();
    assert!(notifying.is_empty(), "{notifying:#?}");
    let owner = metered.house.cluster.owner().await;
    let functions = "SELECT COALESCE(jsonb_agg(proname ORDER BY proname), '[]') AS json FROM pg_proc
                      WHERE pronamespace = 'public'::regnamespace AND prosrc ~* '\\mnotify\\M|pg_notify'";
    // The relay, after the command; and the trigger on a change of somebody's role or standing, which happens a few times a day.
    assert_eq!(ask(&owner, functions, []).await, json!(["relay_publish", "tell_standing"]));
}

/// What is refused, what is repeated and what is only read costs no more than what is done.
#[tokio::test]
async fn refusals_replays_and_readings_are_no_dearer() {
    let mut metered = Metered::open().await;
    let session = metered.house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let moves = format!("sessions/{session}/transitions");
    metered
        .post("an illegal move", "PB-01", &moves, json!({ "to": "OPENING" }), 409)
        .await;
    metered
        .post("a role that may not", "SC-01", &moves, json!({ "to": "CLOSING" }), 403)
        .await;
    let wrong = json!({ "kind": "rundown", "chipset": tray(), "cosign": { "staff_id": metered.house.staff("DL-01"), "pin": "0000" } });
    metered
        .post("a wrong PIN", "PB-01", &format!("sessions/{session}/snapshots"), wrong, 403)
        .await;
    let person = metered.house.person("PB-01");
    let send = async |person: &Person, path: &str| person.post_as("one-key", path, json!({ "to": "DROP_SCHEDULED" })).await;
    metered
        .put_down("the first time", async |path: &str| send(&person, path).await, &moves, 200)
        .await;
    metered
        .put_down("a replay", async |path: &str| send(&person, path).await, &moves, 200)
        .await;
    for read in ["", "/transitions", "/rundown"] {
        metered
            .put_down(
                "a reading",
                async |path: &str| person.get(path).await,
                &format!("sessions/{session}{read}"),
                200,
            )
            .await;
    }
    let bill = metered.bill();
    assert!(metered.bill.iter().all(|(_, trips)| cost(trips) <= MOST), "\n{bill}");
}

/// Whether anything has changed is asked before anything is read, so that a change in between is not missed; who knows the answer pays for that
/// question alone.
#[tokio::test]
async fn metrics_ask_once_whether_anything_changed_and_read_once() {
    let mut metered = Metered::open().await;
    let person = metered.house.person("CO-01");
    let day = "metrics/summary?gaming_day=2026-03-06";
    let told = metered
        .put_down("metrics", async |path: &str| person.get(path).await, day, 200)
        .await;
    let known = [("if-none-match", told.header("etag").expect("a tag"))];
    metered
        .put_down(
            "metrics known already",
            async |path: &str| person.send(Method::GET, path, &known, None).await,
            day,
            304,
        )
        .await;
    let costs: Vec<usize> = metered.bill.iter().map(|(_, trips)| cost(trips)).collect();
    assert_eq!(costs, [MOST + 1, MOST], "\n{}", metered.bill());
}
