//! A whole session as the floor plays it, READY_TO_OPEN to FINALIZED, each step by somebody who may take it: twenty commands, five of them
//! with a second person's PIN. Nothing is irregular, so nothing has to be resolved.

use std::time::Instant;

use anyhow::{Context as _, Result};
use rundown::clock::new_id;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::wire::Wire;
use super::{People, Tape};

/// Commands of a whole session, and how many of them carry a PIN.
pub const COMMANDS: u32 = 20;
pub const PINS: u32 = 5;

const BASE: &str = "/api/v1/table-context";
/// Opener and closer alike, so that the next opener meets its predecessor's closer: 20 chips of 100.00.
const TRAY: i64 = 200_000;
const FILL: i64 = 50_000;

/// A table without a live session, and its two boxes: the one that comes next first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    pub table_id: Uuid,
    pub boxes: [Uuid; 2],
}

/// One player: a connection, the staff, and what is timed.
pub struct Player<'a> {
    pub wire: &'a mut Wire,
    pub people: &'a People,
    pub tape: &'a Tape,
}

impl Player<'_> {
    /// Plays one session to its end, and leaves the table ready for the next. The session's id.
    pub async fn session(&mut self, table: &mut Table) -> Result<String> {
        let session = self.open(table).await?;
        let fill = self.slip(&session, "fill").await?;
        let credit = self.slip(&session, "credit").await?;
        self.drop_and_count(&session, table, &[("fill_slip", fill), ("credit_slip", credit)])
            .await?;
        self.step("PB-01", &format!("sessions/{session}/transitions"), json!({ "to": "CLOSING" }))
            .await?;
        let closer = json!({ "kind": "close", "chipset": tray(), "cosign": self.people.cosign("DL-01")? });
        self.step("PB-01", &format!("sessions/{session}/snapshots"), closer).await?;
        self.step("CO-01", &format!("sessions/{session}/transitions"), json!({ "to": "FINALIZED" }))
            .await?;
        table.boxes.swap(0, 1);
        Ok(session)
    }

    /// A session in play.
    pub async fn open(&mut self, table: &Table) -> Result<String> {
        let begun = json!({ "table_id": table.table_id, "drop_box_id": table.boxes[0] });
        let session = id(&self.step("PB-01", "sessions", begun).await?)?;
        self.step("PB-01", &format!("sessions/{session}/transitions"), json!({ "to": "OPENING" }))
            .await?;
        let opener = json!({ "kind": "open", "chipset": tray(), "cosign": self.people.cosign("DL-01")? });
        self.step("PB-01", &format!("sessions/{session}/snapshots"), opener).await?;
        Ok(session)
    }

    /// A slip all the way into the box; its number.
    async fn slip(&mut self, session: &str, kind: &str) -> Result<String> {
        let wanted = json!({ "kind": kind, "request_id": new_id(), "chipset": { "10000": FILL / 10_000 } });
        let slip = id(&self.step("PB-01", &format!("sessions/{session}/slips"), wanted).await?)?;
        let at = format!("slips/{slip}/transitions");
        let issued = json!({ "to": "ISSUED", "runner_id": self.people.id("SC-03")? });
        let issued = self.step("CG-01", &at, issued).await?;
        let verified = json!({ "to": "VERIFIED_AT_TABLE", "dealer": self.people.cosign("DL-01")? });
        self.step("PB-02", &at, verified).await?;
        if kind == "credit" {
            self.step("CG-01", &format!("slips/{slip}/cage-receipt"), json!({})).await?;
        }
        self.step("PB-02", &at, json!({ "to": "DEPOSITED_IN_DROPBOX" })).await?;
        Ok(issued["slip"]["slip_no"].to_string())
    }

    async fn drop_and_count(&mut self, session: &str, table: &Table, slips: &[(&str, String)]) -> Result<()> {
        self.step(
            "PB-01",
            &format!("sessions/{session}/transitions"),
            json!({ "to": "DROP_SCHEDULED" }),
        )
        .await?;
        let removal = json!({
            "drop_box_id": table.boxes[0], "replacement_box_id": table.boxes[1], "seal_no": "S-1", "witnessed_by": self.people.cosign("SC-02")?,
        });
        let removed = self.step("SC-01", &format!("sessions/{session}/drops"), removal).await?;
        let removal = id(&removed["drop"])?;
        self.step("SC-01", &format!("drops/{removal}/delivery"), json!({})).await?;
        self.step("CT-01", &format!("drops/{removal}/receipt"), json!({ "seal_no": "S-1" }))
            .await?;
        let mut documents = vec![json!({ "kind": "opener", "amount_cents": TRAY })];
        documents.extend(
            slips
                .iter()
                .map(|(kind, number)| json!({ "kind": kind, "number": number, "amount_cents": FILL })),
        );
        let count = json!({
            "drop_event_id": removal, "drop_total_cents": 100_000, "count_1_cents": 100_000, "count_2_cents": 100_000,
            "team": [self.people.id("CT-01")?, self.people.id("CT-02")?, self.people.id("CT-03")?],
            "evidence_manifest": { "currency": { "10000": 10 }, "documents": documents },
        });
        self.step("CT-01", "soft-counts", count).await.map(drop)
    }

    async fn step(&mut self, by: &str, path: &str, body: Value) -> Result<Value> {
        let begun = Instant::now();
        let answer = self.wire.command(self.people, by, &format!("{BASE}/{path}"), body).await?;
        self.tape.mark(begun);
        Ok(answer)
    }
}

fn tray() -> Value {
    json!({ "10000": TRAY / 10_000 })
}

fn id(answer: &Value) -> Result<String> {
    let id = answer["id"].as_str().with_context(|| format!("no id in {answer}"))?;
    Ok(id.to_owned())
}
