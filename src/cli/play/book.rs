//! From an act of the file to a call of the contract, with the ids learnt from earlier answers.
//!
//! The book holds only what answers said. A replayed answer says the same, so a play that was cut off learns everything again.

use std::collections::HashMap;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;
use workflows::word::SnapshotKind;

use super::floor::Floor;
use super::key;
use super::pit::{self, Pit, Seat};
use crate::casino_folder::{Act, ActLine, Folder, FoundPaper};

/// Sessions, slips, drops and their evidence live under this path.
pub const CONTEXT: &str = "/table-context";

/// One POST, without its key. Not `Debug`: the body may hold a PIN.
pub struct Post {
    pub by: String,
    pub path: String,
    pub body: Value,
}

/// A session this play created, or found again by replaying its creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    pub id: Uuid,
    pub table: String,
    pub shift: String,
}

#[derive(Default)]
pub struct Book {
    /// In the order of their creation.
    pub sessions: Vec<Played>,
    /// The latest session of each table.
    current: HashMap<String, Uuid>,
    /// The latest count of a table's tray, by kind: the snapshot, and who counted.
    trays: HashMap<(String, SnapshotKind), (Uuid, String)>,
    slips: HashMap<String, SlipEntry>,
    /// The latest removal of each box.
    drops: HashMap<String, Uuid>,
    pit: Pit,
}

struct SlipEntry {
    id: Uuid,
    /// The server's number, once issued.
    number: Option<i64>,
}

impl Book {
    /// What `line` becomes on the wire, or why it cannot be sent.
    #[expect(clippy::too_many_lines, reason = "a table: one arm an act")]
    pub fn compose(&self, line: &ActLine, folder: &Folder, floor: &Floor) -> Result<Post, String> {
        let desk = Desk { folder, floor };
        match &line.act {
            Act::CreateSession { by, drop_box } => {
                let body = json!({"table_id": desk.table(&line.table)?, "drop_box_id": desk.drop_box(drop_box)?});
                Ok(post(by, "/sessions", body))
            }
            Act::BeginOpening { by } => self.of_session(by, line, "transitions", json!({"to": "OPENING"})),
            Act::CountTray { kind, by, chipset } => self.of_session(by, line, "snapshots", json!({"kind": kind, "chipset": chipset})),
            Act::VerifyTray { kind, cosign } => {
                let tray = self.trays.get(&(line.table.clone(), *kind));
                let (snapshot, counter) = tray.ok_or_else(|| format!("{} has no {kind} count to verify", line.table))?;
                Ok(post(
                    counter,
                    &format!("/snapshots/{snapshot}/verify"),
                    json!({"cosign": desk.signer(cosign)?}),
                ))
            }
            Act::RequestSlip {
                kind,
                request_id,
                by,
                chipset,
            } => self.of_session(
                by,
                line,
                "slips",
                json!({"kind": kind, "request_id": request_id, "chipset": chipset}),
            ),
            Act::IssueSlip { request_id, by, runner } => self.of_slip(
                by,
                request_id,
                "transitions",
                json!({"to": "ISSUED", "runner_id": desk.person(runner)?}),
            ),
            Act::VerifySlip {
                request_id,
                by,
                dealer,
                chipset,
            } => {
                let body = json!({"to": "VERIFIED_AT_TABLE", "dealer": desk.signer(dealer)?, "chipset": chipset});
                self.of_slip(by, request_id, "transitions", body)
            }
            Act::CageReceipt { request_id, by } => self.of_slip(by, request_id, "cage-receipt", json!({})),
            Act::DepositSlip { request_id, by } => self.of_slip(by, request_id, "transitions", json!({"to": "DEPOSITED_IN_DROPBOX"})),
            Act::VoidSlip {
                request_id,
                by,
                cosign,
                reason,
            } => {
                let body = json!({"to": "VOIDED", "reason": reason, "cosign": desk.signer(cosign)?});
                self.of_slip(by, request_id, "transitions", body)
            }
            // The planned time belongs to the file's day, not to ours: the daemon takes its own clock.
            Act::ScheduleDrop { by, planned_for: _ } => self.of_session(by, line, "transitions", json!({"to": "DROP_SCHEDULED"})),
            Act::RemoveBox {
                by,
                witness,
                drop_box,
                replacement,
                seal,
            } => {
                let replacement = replacement.as_deref().map(|label| desk.drop_box(label)).transpose()?;
                let body = json!({"drop_box_id": desk.drop_box(drop_box)?, "seal_no": seal, "witnessed_by": desk.signer(witness)?});
                self.of_session(
                    by,
                    line,
                    "drops",
                    with(body, "replacement_box_id", replacement.map(|id| id.to_string())),
                )
            }
            Act::DeliverBox { by, drop_box } => self.of_drop(by, drop_box, "delivery", json!({})),
            Act::ReceiveBox { by, drop_box, seal } => self.of_drop(by, drop_box, "receipt", json!({"seal_no": seal})),
            Act::SoftCount {
                by,
                drop_box,
                team,
                drop_total_cents,
                count_1_cents,
                count_2_cents,
                agreed_cents,
                currency,
                documents,
            } => {
                let body = json!({
                    "drop_event_id": self.drop_of(drop_box)?,
                    "drop_total_cents": drop_total_cents,
                    "count_1_cents": count_1_cents,
                    "count_2_cents": count_2_cents,
                    "team": desk.team(team)?,
                    "evidence_manifest": {"currency": currency, "documents": self.documents(documents)?},
                });
                Ok(post(by, "/soft-counts", with(body, "agreed_cents", *agreed_cents)))
            }
            Act::StartClosing { by } => self.of_session(by, line, "transitions", json!({"to": "CLOSING"})),
            Act::RegisterPlayer {
                by,
                player,
                name,
                loyalty_opt_out,
            } => Ok(pit::register(by, player, name, *loyalty_opt_out)),
            Act::StartVisit {
                by, visit_kind, player, ..
            } => self.pit.start_visit(by, *visit_kind, player.as_deref()),
            Act::OpenRatingSlip {
                by,
                visit,
                average_bet_cents,
                ..
            } => self.pit.seat(by, visit, desk.table(&line.table)?, *average_bet_cents),
            Act::CloseRatingSlip { by, rating_slip } => self.pit.close_rating_slip(by, rating_slip),
            Act::CloseVisit { by, visit } => self.pit.close_visit(by, visit),
            Act::RecordTransaction {
                by,
                rating_slip,
                player,
                direction,
                amount_cents,
                tender_type,
                ..
            } => self
                .pit
                .transaction(by, (player, rating_slip), (*direction, *amount_cents), tender_type.as_deref()),
            Act::CorrectTransaction {
                by,
                corrects,
                amount_cents,
                ..
            } => self.pit.correction(by, corrects, *amount_cents),
            Act::LogBuyin {
                by,
                buyin,
                telemetry_kind,
                amount_cents,
                rating_slip,
            } => {
                // The entry's own key, the same at every play: the daemon keeps it for ever.
                let key = key::key(&folder.casino.name, &folder.name, &format!("buyin {buyin}"));
                let entry = json!({
                    "table_id": desk.table(&line.table)?, "telemetry_kind": telemetry_kind, "amount_cents": amount_cents, "idempotency_key": key,
                });
                self.pit.entry(by, entry, rating_slip.as_deref())
            }
            Act::UndoBuyin { by, buyin } => self.pit.undo(by, buyin),
        }
    }

    /// Takes back what a name stood for before the act that gives it a new meaning: were that act refused, what follows would be
    /// done to the session, tray, slip or removal before it.
    pub fn forget(&mut self, line: &ActLine) {
        match &line.act {
            Act::CreateSession { .. } => {
                self.current.remove(&line.table);
            }
            Act::CountTray { kind, .. } => {
                self.trays.remove(&(line.table.clone(), *kind));
            }
            Act::RequestSlip { request_id, .. } => {
                self.slips.remove(request_id);
            }
            Act::RemoveBox { drop_box, .. } => {
                self.drops.remove(drop_box);
            }
            Act::RegisterPlayer { player, .. } => {
                self.pit.players.remove(player);
            }
            Act::StartVisit { visit, .. } => {
                self.pit.visits.remove(visit);
            }
            Act::OpenRatingSlip { rating_slip, .. } => {
                self.pit.rating_slips.remove(rating_slip);
            }
            Act::RecordTransaction { transaction, .. } | Act::CorrectTransaction { transaction, .. } => {
                self.pit.transactions.remove(transaction);
            }
            Act::LogBuyin { buyin, .. } => {
                self.pit.buyins.remove(buyin);
            }
            Act::BeginOpening { .. }
            | Act::VerifyTray { .. }
            | Act::IssueSlip { .. }
            | Act::VerifySlip { .. }
            | Act::CageReceipt { .. }
            | Act::DepositSlip { .. }
            | Act::VoidSlip { .. }
            | Act::ScheduleDrop { .. }
            | Act::DeliverBox { .. }
            | Act::ReceiveBox { .. }
            | Act::SoftCount { .. }
            | Act::StartClosing { .. }
            | Act::CloseRatingSlip { .. }
            | Act::CloseVisit { .. }
            | Act::UndoBuyin { .. } => {}
        }
    }

    /// Writes down the ids of an accepted act, or says what the answer lacks.
    pub fn learn(&mut self, line: &ActLine, answer: &Value) -> Result<(), String> {
        match &line.act {
            Act::CreateSession { .. } => {
                let id = id(answer, "/id")?;
                self.current.insert(line.table.clone(), id);
                self.sessions.push(Played {
                    id,
                    table: line.table.clone(),
                    shift: line.shift.clone(),
                });
            }
            Act::CountTray { kind, by, .. } => {
                self.trays
                    .insert((line.table.clone(), *kind), (id(answer, "/snapshot/id")?, by.clone()));
            }
            Act::RequestSlip { request_id, .. } => {
                self.slips.insert(
                    request_id.clone(),
                    SlipEntry {
                        id: id(answer, "/id")?,
                        number: None,
                    },
                );
            }
            Act::IssueSlip { request_id, .. } => {
                let number = answer
                    .pointer("/slip/slip_no")
                    .and_then(Value::as_i64)
                    .ok_or("the answer has no /slip/slip_no")?;
                if let Some(slip) = self.slips.get_mut(request_id) {
                    slip.number = Some(number);
                }
            }
            Act::RemoveBox { drop_box, .. } => {
                self.drops.insert(drop_box.clone(), id(answer, "/drop/id")?);
            }
            Act::RegisterPlayer { player, .. } => {
                self.pit.players.insert(player.clone(), id(answer, "/id")?);
            }
            Act::StartVisit { visit, .. } => {
                self.pit.visits.insert(visit.clone(), id(answer, "/id")?);
            }
            Act::OpenRatingSlip { rating_slip, .. } => {
                let seat = Seat {
                    slip: id(answer, "/id")?,
                    visit: id(answer, "/visit_id")?,
                };
                self.pit.rating_slips.insert(rating_slip.clone(), seat);
            }
            Act::RecordTransaction { transaction, .. } | Act::CorrectTransaction { transaction, .. } => {
                self.pit.transactions.insert(transaction.clone(), id(answer, "/id")?);
            }
            Act::LogBuyin { buyin, .. } => {
                self.pit.buyins.insert(buyin.clone(), id(answer, "/id")?);
            }
            Act::BeginOpening { .. }
            | Act::VerifyTray { .. }
            | Act::VerifySlip { .. }
            | Act::CageReceipt { .. }
            | Act::DepositSlip { .. }
            | Act::VoidSlip { .. }
            | Act::ScheduleDrop { .. }
            | Act::DeliverBox { .. }
            | Act::ReceiveBox { .. }
            | Act::SoftCount { .. }
            | Act::StartClosing { .. }
            | Act::CloseRatingSlip { .. }
            | Act::CloseVisit { .. }
            | Act::UndoBuyin { .. } => {}
        }
        Ok(())
    }

    /// A call on the table's latest session.
    fn of_session(&self, by: &str, line: &ActLine, what: &str, body: Value) -> Result<Post, String> {
        let id = self
            .current
            .get(&line.table)
            .ok_or_else(|| format!("no session of {} was created", line.table))?;
        Ok(post(by, &format!("/sessions/{id}/{what}"), body))
    }

    fn of_slip(&self, by: &str, request_id: &str, what: &str, body: Value) -> Result<Post, String> {
        let slip = self
            .slips
            .get(request_id)
            .ok_or_else(|| format!("the slip {request_id} was not requested"))?;
        Ok(post(by, &format!("/slips/{}/{what}", slip.id), body))
    }

    fn of_drop(&self, by: &str, label: &str, what: &str, body: Value) -> Result<Post, String> {
        Ok(post(by, &format!("/drops/{}/{what}", self.drop_of(label)?), body))
    }

    /// The latest removal of that box.
    fn drop_of(&self, label: &str) -> Result<Uuid, String> {
        self.drops
            .get(label)
            .copied()
            .ok_or_else(|| format!("the box {label} was not removed"))
    }

    fn documents(&self, found: &[FoundPaper]) -> Result<Vec<Value>, String> {
        found.iter().map(|paper| self.document(paper)).collect()
    }

    /// A paper as the count room reads it: by the number printed on it.
    fn document(&self, found: &FoundPaper) -> Result<Value, String> {
        let number = match &found.request_id {
            Some(request_id) => Some(self.number_of(request_id)?),
            None => found.number.clone(),
        };
        let document = json!({"kind": found.kind, "amount_cents": found.amount_cents});
        Ok(with(with(document, "number", number), "note", found.note.clone()))
    }

    fn number_of(&self, request_id: &str) -> Result<String, String> {
        let number = self.slips.get(request_id).and_then(|slip| slip.number);
        number
            .map(|number| number.to_string())
            .ok_or_else(|| format!("the slip {request_id} has no number"))
    }
}

/// Names to ids and signatures.
struct Desk<'a> {
    folder: &'a Folder,
    floor: &'a Floor,
}

impl Desk<'_> {
    fn person(&self, employee_no: &str) -> Result<Uuid, String> {
        known(&self.floor.staff, employee_no)
    }

    fn team(&self, members: &[String]) -> Result<Vec<Uuid>, String> {
        members.iter().map(|member| self.person(member)).collect()
    }

    fn table(&self, label: &str) -> Result<Uuid, String> {
        known(&self.floor.tables, label)
    }

    fn drop_box(&self, label: &str) -> Result<Uuid, String> {
        known(&self.floor.boxes, label)
    }

    /// A second person's signature, by PIN.
    fn signer(&self, employee_no: &str) -> Result<Value, String> {
        let pin = self.folder.person(employee_no).and_then(|person| person.pin.as_ref());
        let pin = pin.ok_or_else(|| format!("{employee_no} has no PIN"))?;
        Ok(json!({"staff_id": self.person(employee_no)?, "pin": pin.expose_secret()}))
    }
}

fn known(ids: &HashMap<String, Uuid>, name: &str) -> Result<Uuid, String> {
    ids.get(name).copied().ok_or_else(|| format!("the daemon does not know {name}"))
}

fn post(by: &str, path: &str, body: Value) -> Post {
    Post {
        by: by.to_owned(),
        path: format!("{CONTEXT}{path}"),
        body,
    }
}

/// The body with the field, where there is a value for it: the contract's optional fields are left out, not null.
pub fn with(mut body: Value, field: &str, value: Option<impl Into<Value>>) -> Value {
    if let Some(value) = value {
        body[field] = value.into();
    }
    body
}

fn id(answer: &Value, pointer: &str) -> Result<Uuid, String> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("the answer has no id at {pointer}"))
}
