//! Who plays, and what they buy in for: the acts of `telemetry.jsonl` as calls, with the ids learnt from earlier answers.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;
use workflows::event::VisitKind;
use workflows::word::Direction;

use super::book::{CONTEXT, Post, with};

/// By the names the file gives them.
#[derive(Default)]
pub struct Pit {
    pub players: HashMap<String, Uuid>,
    pub visits: HashMap<String, Uuid>,
    pub rating_slips: HashMap<String, Seat>,
    pub transactions: HashMap<String, Uuid>,
    pub buyins: HashMap<String, Uuid>,
}

/// A rating slip, and the visit it belongs to.
#[derive(Clone, Copy)]
pub struct Seat {
    pub slip: Uuid,
    pub visit: Uuid,
}

pub fn register(by: &str, player: &str, name: &str, loyalty_opt_out: bool) -> Post {
    let body = json!({"player_no": player, "name": name, "loyalty_opt_out": loyalty_opt_out});
    post(by, "/players", body)
}

impl Pit {
    /// A ghost has no player.
    pub fn start_visit(&self, by: &str, kind: VisitKind, player: Option<&str>) -> Result<Post, String> {
        let player = player.map(|player| known(&self.players, player, "player")).transpose()?;
        let body = with(json!({"visit_kind": kind}), "player_id", player.map(|id| id.to_string()));
        Ok(post(by, "/visits", body))
    }

    pub fn seat(&self, by: &str, visit: &str, table: Uuid, average_bet_cents: Option<i64>) -> Result<Post, String> {
        let body = json!({"visit_id": known(&self.visits, visit, "visit")?, "table_id": table});
        Ok(post(by, "/rating-slips", with(body, "average_bet_cents", average_bet_cents)))
    }

    pub fn close_rating_slip(&self, by: &str, rating_slip: &str) -> Result<Post, String> {
        let Seat { slip, .. } = self.seat_of(rating_slip)?;
        Ok(post(by, &format!("/rating-slips/{slip}/close"), json!({})))
    }

    pub fn close_visit(&self, by: &str, visit: &str) -> Result<Post, String> {
        let visit = known(&self.visits, visit, "visit")?;
        Ok(post(by, &format!("/visits/{visit}/close"), json!({})))
    }

    pub fn transaction(
        &self,
        by: &str,
        (player, rating_slip): (&str, &str),
        (direction, amount_cents): (Direction, i64),
        tender_type: Option<&str>,
    ) -> Result<Post, String> {
        let Seat { slip, visit } = self.seat_of(rating_slip)?;
        let body = json!({
            "player_id": known(&self.players, player, "player")?, "visit_id": visit, "rating_slip_id": slip, "direction": direction,
            "amount_cents": amount_cents,
        });
        Ok(post(by, "/financial-transactions", with(body, "tender_type", tender_type)))
    }

    /// With an amount an adjustment, without one the reversal of what is left.
    pub fn correction(&self, by: &str, corrects: &str, amount_cents: Option<i64>) -> Result<Post, String> {
        let kind = if amount_cents.is_some() { "adjustment" } else { "reversal" };
        let body = json!({"kind": kind, "corrects_id": known(&self.transactions, corrects, "transaction")?});
        Ok(post(by, "/financial-transactions", with(body, "amount_cents", amount_cents)))
    }

    /// A rated entry is linked to its slip and the slip's visit; one without a slip is linked to nobody.
    pub fn entry(&self, by: &str, mut entry: Value, rating_slip: Option<&str>) -> Result<Post, String> {
        if let Some(rating_slip) = rating_slip {
            let Seat { slip, visit } = self.seat_of(rating_slip)?;
            (entry["rating_slip_id"], entry["visit_id"]) = (json!(slip), json!(visit));
        }
        Ok(post(by, &format!("{CONTEXT}/buyin-telemetry"), entry))
    }

    pub fn undo(&self, by: &str, buyin: &str) -> Result<Post, String> {
        let buyin = known(&self.buyins, buyin, "buy-in")?;
        Ok(post(by, &format!("{CONTEXT}/buyin-telemetry/{buyin}/undo"), json!({})))
    }

    fn seat_of(&self, rating_slip: &str) -> Result<Seat, String> {
        let seat = self.rating_slips.get(rating_slip).copied();
        seat.ok_or_else(|| format!("the rating slip {rating_slip} was not opened"))
    }
}

fn known(ids: &HashMap<String, Uuid>, name: &str, what: &str) -> Result<Uuid, String> {
    ids.get(name).copied().ok_or_else(|| format!("there is no {what} {name}"))
}

fn post(by: &str, path: &str, body: Value) -> Post {
    Post {
        by: by.to_owned(),
        path: path.to_owned(),
        body,
    }
}
