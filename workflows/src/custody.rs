//! Removal, delivery and receipt of a drop box (domain §7). A custody fact carries no amount, and no irregularity loses the fact.

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use crate::act;
use crate::case::{Case, Context, Cosigner, note};
use crate::drop_box::MACHINE;
use crate::event::Event;
use crate::exception::{self, Finding};
use crate::machine::{Scene, decide};
use crate::record::{Drop, DropBox};
use crate::refusal::Refusal;
use crate::role::{Department, Role};
use crate::session::{free_for, place};
use crate::word::{BoxKind, Category, CloseReason, Custody, Method, Status, SubjectKind};

/// Removal: OPEN … RECONCILED, and after FINALIZED as a late fact (domain §4).
const REMOVABLE: &[Status] = &[
    Status::Open,
    Status::DropScheduled,
    Status::Dropped,
    Status::Counted,
    Status::Closing,
    Status::Closed,
    Status::Reconciled,
    Status::Finalized,
];

const MAX_SEAL: usize = 64;

/// What the remover sends.
#[derive(Clone, Debug)]
pub struct Removal {
    pub drop_box_id: Uuid,
    pub replacement_box_id: Option<Uuid>,
    pub seal_no: String,
    pub removed_at: Option<DateTime<Utc>>,
    pub emergency: bool,
    pub note: Option<String>,
}

/// Two people take a box off the table and put its replacement there.
pub fn remove(case: &mut Case, context: &Context, given: &Removal, witness: &Cosigner) -> Result<Uuid, Refusal> {
    case.expect_status(REMOVABLE, "a removal")?;
    if case.session().close_reason == Some(CloseReason::Cancelled) {
        return Err(Refusal::conflict(
            "session_cancelled",
            "a cancelled session was never in play: its box goes with the table's next session",
        ));
    }
    decide(
        MACHINE.edge(None, "remove").ok_or(Refusal::NotFound("transition"))?,
        &case.scene(context),
    )?;
    two_people(context, witness)?;
    let taken = case
        .dossier()
        .drop_box(given.drop_box_id)
        .ok_or(Refusal::NotFound("drop box"))?
        .clone();
    removable(case, &taken, given.emergency)?;
    let standing = taken.on_table_id == Some(case.session().table_id);
    let replacement = replacement(case, given, &taken, standing)?;
    let follows = last_before(case, &taken);
    let drop = Drop {
        id: (context.new_id)(),
        casino_id: context.casino.id,
        session_id: case.session().id,
        table_id: case.session().table_id,
        drop_box_id: taken.id,
        drop_box_use: taken.use_no,
        replacement_box_id: replacement,
        seal_no: seal(&given.seal_no)?,
        seq_no: case.dossier().own_drops().map(|drop| drop.seq_no).max().unwrap_or(0) + 1,
        gaming_day: context.gaming_day(),
        removed_in: case.session().status,
        scheduled_for: unspent_schedule(case),
        removed_at: context.time(given.removed_at, "/removed_at", follows)?,
        removed_by: context.caller.id,
        witnessed_by: witness.0.id,
        emergency: taken.kind == BoxKind::Emergency,
        stood_on_table: standing,
        delivered_at: None,
        delivered_by: None,
        delivered_scan_at: None,
        received_at: None,
        received_by: None,
        received_seal_no: None,
        counted_at: None,
        count_waived: false,
        note: note(given.note.as_deref(), "/note")?,
        created_at: context.at,
    };
    Ok(record_removal(case, context, drop, witness, standing))
}

/// What a removal follows: the opening, the removal that put the box there, the last paper dropped into it.
fn last_before(case: &Case, taken: &DropBox) -> Option<(DateTime<Utc>, &'static str)> {
    let dossier = case.dossier();
    let opened = dossier.session.activated_at.map(|at| (at, "the opening of the table"));
    let placed = dossier.own_drops().filter(|drop| drop.replacement_box_id == Some(taken.id));
    let placed = placed
        .map(|drop| (drop.removed_at, "the removal that put this box on the table"))
        .max();
    let inside = dossier
        .slips
        .iter()
        .filter(|slip| slip.drop_box_id == Some(taken.id) && slip.drop_box_use == Some(taken.use_no));
    let filled = inside
        .filter_map(|slip| slip.deposited_at)
        .map(|at| (at, "the last slip dropped into the box"))
        .max();
    [opened, placed, filled].into_iter().flatten().max()
}

/// The plan this removal fulfils. The first removal after a schedule spends it, though slips may hold the session back.
fn unspent_schedule(case: &Case) -> Option<DateTime<Utc>> {
    let session = case.session();
    let spent = case.dossier().own_drops().any(|drop| drop.seq_no > session.dropped_through_seq);
    session.drop_scheduled_for.filter(|_| !spent)
}

fn record_removal(case: &mut Case, context: &Context, drop: Drop, witness: &Cosigner, standing: bool) -> Uuid {
    let (id, finalized) = (drop.id, case.is_finalized());
    let dossier = case.dossier_mut();
    move_boxes(&mut dossier.floor.boxes, &drop);
    if standing && !finalized {
        dossier.session.drop_box_id = drop.replacement_box_id;
    }
    case.sign_as_caller(context, (SubjectKind::Drop, id), act::REMOVE_BOX);
    case.sign(context, (SubjectKind::Drop, id), act::WITNESS_REMOVAL, &witness.0, Method::Pin);
    case.tell(Event::DropRemoved {
        table_id: drop.table_id,
        drop_box_id: drop.drop_box_id,
        seal_no: drop.seal_no.clone(),
        gaming_day: drop.gaming_day,
        seq_no: drop.seq_no,
        removed_by: drop.removed_by,
        witnessed_by: drop.witnessed_by,
    });
    case.dossier_mut().drops.push(drop);
    late(case, context, id, "removal");
    id
}

fn move_boxes(boxes: &mut [DropBox], drop: &Drop) {
    for drop_box in boxes {
        if drop_box.id == drop.drop_box_id {
            place(drop_box, None);
        } else if Some(drop_box.id) == drop.replacement_box_id {
            place(drop_box, Some(drop.table_id));
        }
    }
}

/// Two different people, at least one of them not of table games (25 CFR 542.31(b)).
fn two_people(context: &Context, witness: &Cosigner) -> Result<(), Refusal> {
    let (remover, witness) = (&context.caller, &witness.0);
    if remover.id == witness.id {
        return Err(Refusal::invalid("/witnessed_by/staff_id", "a removal needs two different people"));
    }
    if witness.role == Role::System {
        return Err(Refusal::forbidden(act::REMOVE_BOX.who, "the daemon itself cannot sign anything"));
    }
    let table_games = |role: Role| role.department() == Department::TableGames;
    if table_games(remover.role) && table_games(witness.role) {
        let detail = format!(
            "{} and {} are both of table games; one of the two must not be",
            remover.name, witness.name
        );
        return Err(Refusal::segregation("removal_is_independent_of_the_pit", witness.id, detail));
    }
    Ok(())
}

/// Only the box on the table, or an emergency box, can be removed; a box in custody is already gone.
fn removable(case: &Case, drop_box: &DropBox, emergency: bool) -> Result<(), Refusal> {
    let dossier = case.dossier();
    let elsewhere = |detail: &str| Err(Refusal::conflict("box_elsewhere", format!("box {} {detail}", drop_box.label)));
    if emergency && drop_box.kind != BoxKind::Emergency {
        return Err(Refusal::invalid(
            "/emergency",
            format!("box {} is no emergency box", drop_box.label),
        ));
    }
    if drop_box.in_custody {
        return elsewhere("is removed and not yet counted");
    }
    if drop_box.on_table_id.is_some_and(|place| place != dossier.floor.table.id) {
        return elsewhere("stands on another table");
    }
    let on_this_table = drop_box.on_table_id == Some(dossier.floor.table.id);
    if on_this_table && dossier.floor.successor_id.is_some() {
        return elsewhere("belongs to the table's next session now");
    }
    match (on_this_table, drop_box.kind) {
        (true, _) | (false, BoxKind::Emergency) => Ok(()),
        (false, BoxKind::Standard) => elsewhere("does not stand on the table"),
    }
}

/// A replacement is required unless the table has closed with every slip settled, or an emergency box leaves the standing one.
fn replacement(case: &Case, given: &Removal, taken: &DropBox, standing: bool) -> Result<Option<Uuid>, Refusal> {
    let dossier = case.dossier();
    let Some(id) = given.replacement_box_id else {
        let settled = dossier.slips.iter().all(|slip| slip.status.is_settled());
        return if !standing || (!dossier.session.status.in_play() && settled) {
            Ok(None)
        } else {
            Err(Refusal::invalid(
                "/replacement_box_id",
                "required while the table plays or a slip is in flight",
            ))
        };
    };
    if !standing {
        return Err(Refusal::invalid(
            "/replacement_box_id",
            "the box on the table stays: an emergency box that does not stand there needs none",
        ));
    }
    if id == taken.id {
        return Err(Refusal::invalid("/replacement_box_id", "a box cannot replace itself"));
    }
    let replacement = dossier.drop_box(id).ok_or(Refusal::NotFound("drop box"))?;
    free_for(dossier, replacement)?;
    Ok(Some(id))
}

fn seal(text: &str) -> Result<String, Refusal> {
    let seal = text.trim();
    if seal.is_empty() || seal.chars().count() > MAX_SEAL || seal.contains('\0') {
        return Err(Refusal::invalid("/seal_no", "1 to 64 characters"));
    }
    Ok(seal.to_owned())
}

/// The box reaches the count room. Written once: the same again is a replay, something else a conflict.
pub fn deliver(
    case: &mut Case,
    context: &Context,
    id: Uuid,
    delivered_at: Option<DateTime<Utc>>,
    delivered_scan_at: Option<DateTime<Utc>>,
) -> Result<(), Refusal> {
    let drop = case.dossier().drop_event(id).ok_or(Refusal::NotFound("drop"))?.clone();
    decide(
        MACHINE
            .edge(Some(Custody::Removed), "deliver")
            .ok_or(Refusal::NotFound("transition"))?,
        &case.scene(context),
    )?;
    if drop.delivered_at.is_some() {
        let (delivered_at, delivered_scan_at) = (delivered_at.map(micros), delivered_scan_at.map(micros));
        let same = delivered_at.is_none_or(|at| Some(at) == drop.delivered_at)
            && delivered_scan_at.is_none_or(|at| Some(at) == drop.delivered_scan_at);
        return if same {
            Ok(())
        } else {
            Err(Refusal::conflict(
                "already_delivered",
                format!("delivered at {:?}", drop.delivered_at),
            ))
        };
    }
    let follows = Some((drop.removed_at, "the removal"));
    let at = context.time(delivered_at, "/delivered_at", follows)?;
    let scan_at = delivered_scan_at
        .map(|scan| context.time(Some(scan), "/delivered_scan_at", follows))
        .transpose()?;
    update(case, id, |drop| {
        (drop.delivered_at, drop.delivered_by, drop.delivered_scan_at) = (Some(at), Some(context.caller.id), scan_at);
    });
    case.sign_as_caller(context, (SubjectKind::Drop, id), act::DELIVER_BOX);
    case.tell(Event::DropDelivered {
        table_id: drop.table_id,
        drop_box_id: drop.drop_box_id,
        delivered_at: at,
        delivered_scan_at: scan_at,
    });
    late(case, context, id, "delivery");
    Ok(())
}

/// The count room acknowledges the box and reads its seal.
pub fn receive(case: &mut Case, context: &Context, id: Uuid, seal_no: &str) -> Result<(), Refusal> {
    if !act::RECEIVE_BOX.may_in(context.caller.role, &context.casino) {
        return Err(Refusal::forbidden(
            &[Role::CountTeam, Role::Admin],
            "in this casino the count team receives the boxes",
        ));
    }
    let drop = case.dossier().drop_event(id).ok_or(Refusal::NotFound("drop"))?.clone();
    let seal_no = seal(seal_no)?;
    if let Some(read) = &drop.received_seal_no {
        let detail = format!("received with seal {read}");
        return if *read == seal_no {
            Ok(())
        } else {
            Err(Refusal::conflict("already_received", detail))
        };
    }
    let edge = MACHINE
        .edge(Some(Custody::Delivered), "receive")
        .ok_or(Refusal::NotFound("transition"))?;
    decide(
        edge,
        &Scene {
            drop: Some(&drop),
            ..case.scene(context)
        },
    )?;
    let at = context.time(None, "/received_at", drop.delivered_at.map(|at| (at, "the delivery")))?;
    update(case, id, |drop| {
        (drop.received_at, drop.received_by, drop.received_seal_no) = (Some(at), Some(context.caller.id), Some(seal_no.clone()));
    });
    case.sign_as_caller(context, (SubjectKind::Drop, id), act::RECEIVE_BOX);
    case.tell(Event::DropReceived {
        table_id: drop.table_id,
        drop_box_id: drop.drop_box_id,
        drop_event_id: id,
        received_at: at,
        received_by: context.caller.id,
    });
    late(case, context, id, "receipt");
    Ok(())
}

pub(crate) fn update(case: &mut Case, id: Uuid, change: impl Fn(&mut Drop)) {
    case.dossier_mut().drops.iter_mut().filter(|drop| drop.id == id).for_each(change);
}

/// As Postgres keeps it.
fn micros(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(6)
}

/// A fact for a session already FINALIZED is stored and flagged; it changes nothing else (domain §9).
pub(crate) fn late(case: &mut Case, context: &Context, drop_id: Uuid, fact: &str) {
    if !case.is_finalized() {
        return;
    }
    let facts = serde_json::json!([{ "fact": fact, "at": context.at, "by": context.caller.id }]);
    let finding = Finding {
        // What came late is part of the finding: the next late fact is another one.
        found: Some(facts.clone()),
        detail: serde_json::json!({ "drop_event_id": drop_id }),
        ..Finding::new(Category::LateEvent, SubjectKind::Drop, drop_id)
    };
    let open = case
        .dossier()
        .unresolved()
        .find(|exception| finding.is_about(exception))
        .map(|open| open.id);
    if let Some(open) = open {
        // One unresolved row per subject: the fact joins the others nobody has judged yet.
        exception::rewrite(case, open, |row| {
            if let Some(known) = row.found.as_mut().and_then(serde_json::Value::as_array_mut) {
                known.extend(facts.as_array().cloned().unwrap_or_default());
            }
        });
        return;
    }
    exception::raise(case, context, finding, Some(context.caller.id));
}
