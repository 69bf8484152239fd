//! The neighbours of the event catalog (seed 2) through the API: visits, rating slips, money, points, floor layouts; and what an open rating
//! slip does to a session that closes.

mod closing;
mod layouts;
mod loyalty;
mod money;
mod rating_slips;
mod visits;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{House, Person, Reply, id, text, tray};

/// PB-02 at the floor of a house whose tables BJ-01 and BJ-02 are in play.
struct Floor {
    house: House,
    boss: Person,
    session: String,
    beside: String,
}

impl Floor {
    async fn in_play() -> Self {
        let house = House::open().await;
        let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
        let beside = house.open_table("BJ-02", "BJ-02-A", tray()).await;
        Self {
            boss: house.person("PB-02"),
            house,
            session,
            beside,
        }
    }

    async fn player(&self, number: &str) -> String {
        let body = json!({ "player_no": number, "name": "Rowan Ash" });
        id(self.boss.post("/api/v1/players", body).await.expect(201))
    }

    async fn start(&self, kind: &str, player: Option<&str>) -> Reply {
        self.boss
            .post("/api/v1/visits", json!({ "visit_kind": kind, "player_id": player }))
            .await
    }

    async fn visit(&self, kind: &str, player: Option<&str>) -> String {
        id(self.start(kind, player).await.expect(201))
    }

    /// A new player on a rated visit: player and visit.
    async fn rated(&self, number: &str) -> (String, String) {
        let player = self.player(number).await;
        let visit = self.visit("gaming_identified_rated", Some(&player)).await;
        (player, visit)
    }

    async fn seat(&self, visit: &str, table: &str) -> Reply {
        let body = json!({ "visit_id": visit, "table_id": self.house.table(table) });
        self.boss.post("/api/v1/rating-slips", body).await
    }

    async fn seated(&self, visit: &str, table: &str) -> String {
        id(self.seat(visit, table).await.expect(201))
    }

    async fn change(&self, slip: &str, body: Value) -> Reply {
        self.boss.patch(&format!("/api/v1/rating-slips/{slip}"), body).await
    }

    async fn close_slip(&self, slip: &str) -> Reply {
        self.boss.post(&format!("/api/v1/rating-slips/{slip}/close"), json!({})).await
    }

    async fn step_visit(&self, visit: &str, step: &str) -> Reply {
        self.boss.post(&format!("/api/v1/visits/{visit}/{step}"), json!({})).await
    }

    fn pass(&self, minutes: u64) {
        self.house.clock.advance(Duration::from_mins(minutes));
    }

    /// The events that tell of a thing, oldest first.
    async fn told(&self, member: &str, thing: &str) -> Vec<String> {
        self.house
            .texts(&format!(
                "SELECT event FROM outbox WHERE payload->>'{member}' = '{thing}' ORDER BY position"
            ))
            .await
    }
}

/// A conflict of this reason.
#[track_caller]
fn conflict(reply: &Reply, reason: &str) {
    assert_eq!(reply.refused(409, "conflict")["reason"], reason, "{}", reply.text);
}
