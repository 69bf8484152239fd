//! Drops: removal, delivery, receipt, and what must be inside.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use workflows::act::{self, Act};
use workflows::custody::{self, Removal};
use workflows::machine::Taken;
use workflows::manifest as expected_papers;
use workflows::record::{Drop, ManifestItem};
use workflows::refusal::Refusal;
use workflows::word::Status;

use super::extract::{Id, Keyed, Params, Posted, Reader};
use super::view::{Cosign, SessionView};
use crate::answer::Answer;
use crate::app::App;
use crate::engine::{Command, Desk, Done, Versioned};
use crate::error::Error;
use crate::store::desk::{Ask, Kind};
use crate::store::list::{Drops, Page, Window};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDrop {
    drop_box_id: Uuid,
    /// The box that stands on the table afterwards.
    #[serde(default)]
    replacement_box_id: Option<Uuid>,
    seal_no: String,
    /// The second person; one of the two is not of table games.
    #[serde(default)]
    witnessed_by: Option<Cosign>,
    #[serde(default)]
    removed_at: Option<DateTime<Utc>>,
    #[serde(default)]
    emergency: bool,
    #[serde(default)]
    note: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DropRecorded {
    drop: Option<Drop>,
    session: Option<SessionView>,
    taken: Vec<Taken>,
}

fn outcome(done: &Done<'_, Uuid>) -> DropRecorded {
    let drop = done.dossier().and_then(|dossier| dossier.drop_event(done.value)).cloned();
    DropRecorded {
        drop,
        session: done.session(),
        taken: done.taken(),
    }
}

/// Two people take a box off the table.
#[utoipa::path(post, path = "/sessions/{id}/drops", tag = "drops", params(("id" = Uuid, Path)), request_body = NewDrop, responses((status = 201, body = DropRecorded)))]
pub async fn remove(State(app): State<App>, Id(id): Id, Keyed(posted): Keyed<NewDrop>) -> Result<Answer, Error> {
    let NewDrop {
        drop_box_id,
        replacement_box_id,
        seal_no,
        witnessed_by,
        removed_at,
        emergency,
        note,
    } = posted.body;
    let witness = Cosign::required(witnessed_by.as_ref(), "/witnessed_by")?;
    let given = Removal {
        drop_box_id,
        replacement_box_id,
        seal_no,
        removed_at,
        emergency,
        note,
    };
    let ask = Ask {
        boxes: [Some(drop_box_id), replacement_box_id].into_iter().flatten().collect(),
        cosigners: vec![witness.staff_id],
        ..Ask::about(Kind::Session, id)
    };
    let command = Command {
        act: act::REMOVE_BOX,
        ask,
        pins: vec![witness.pin()],
        versioned: Versioned::Session,
    };
    let judge = |desk: &mut Desk| {
        let signer = desk.cosigner(witness.staff_id)?;
        let (case, context) = desk.case("session")?;
        Ok(custody::remove(case, context, &given, &signer)?)
    };
    app.engine
        .command(&posted.envelope, &command, judge, |done| Answer::created(&outcome(done)))
        .await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DropFilter {
    /// true: not yet counted.
    pending: Option<bool>,
    session_id: Option<Uuid>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Lists removals, oldest first.
#[utoipa::path(get, path = "/drops", tag = "drops", params(DropFilter), responses((status = 200, body = Page<Drop>)))]
pub async fn list(State(app): State<App>, reader: Reader, Params(filter): Params<DropFilter>) -> Result<Response, Error> {
    let window = Window::parse(filter.limit, filter.cursor.as_deref())?;
    let query = Drops {
        window,
        pending: filter.pending,
        session_id: filter.session_id,
    };
    let (_, page) = app.engine.list(&reader.envelope, act::READ_FLOOR, &query).await?;
    Ok(reader.hashed(&page))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    #[serde(default)]
    delivered_at: Option<DateTime<Utc>>,
    /// When the box's own code was scanned at the count room.
    #[serde(default)]
    delivered_scan_at: Option<DateTime<Utc>>,
}

/// The box reaches the count room. The same again changes nothing; something else is a conflict.
#[utoipa::path(post, path = "/drops/{id}/delivery", tag = "drops", params(("id" = Uuid, Path)), request_body = Delivery, responses((status = 200, body = DropRecorded)))]
pub async fn deliver(State(app): State<App>, Id(id): Id, posted: Posted<Delivery>) -> Result<Answer, Error> {
    let Delivery {
        delivered_at,
        delivered_scan_at,
    } = posted.body;
    let judge = |desk: &mut Desk| {
        let (case, context) = desk.case("drop")?;
        custody::deliver(case, context, id, delivered_at, delivered_scan_at)?;
        Ok(id)
    };
    app.engine
        .command(&posted.envelope, &about(act::DELIVER_BOX, id), judge, recorded)
        .await
}

/// A custody fact of a session already FINALIZED is stored beside it (201); any other changes its session (200).
fn recorded(done: &Done<'_, Uuid>) -> Answer {
    let late = done.dossier().is_some_and(|dossier| dossier.session.status == Status::Finalized);
    let status = if late { StatusCode::CREATED } else { StatusCode::OK };
    Answer::new(status, &outcome(done))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The seal as read at the door.
    seal_no: String,
}

/// The count room acknowledges the box.
#[utoipa::path(post, path = "/drops/{id}/receipt", tag = "drops", params(("id" = Uuid, Path)), request_body = Receipt, responses((status = 200, body = DropRecorded)))]
pub async fn receive(State(app): State<App>, Id(id): Id, posted: Posted<Receipt>) -> Result<Answer, Error> {
    let seal_no = posted.body.seal_no;
    let judge = |desk: &mut Desk| {
        let (case, context) = desk.case("drop")?;
        custody::receive(case, context, id, &seal_no)?;
        Ok(id)
    };
    app.engine
        .command(&posted.envelope, &about(act::RECEIVE_BOX, id), judge, recorded)
        .await
}

fn about(act: Act, id: Uuid) -> Command {
    Command {
        act,
        ask: Ask::about(Kind::Drop, id),
        pins: Vec::new(),
        versioned: Versioned::Session,
    }
}

/// The papers of one box.
#[derive(Debug, Serialize, ToSchema)]
pub struct ManifestView {
    items: Vec<ManifestItem>,
}

/// What must be inside, before anyone opens the box; after the count also what was found and how it matched.
#[utoipa::path(get, path = "/drops/{id}/manifest", tag = "drops", params(("id" = Uuid, Path)), responses((status = 200, body = ManifestView)))]
pub async fn manifest(State(app): State<App>, reader: Reader, Id(id): Id) -> Result<Response, Error> {
    let mut desk = app
        .engine
        .read(&reader.envelope, act::READ_COUNTS, &Ask::about(Kind::Drop, id))
        .await?;
    let (case, _) = desk.case("drop")?;
    let dossier = case.dossier();
    let drop = dossier.drop_event(id).ok_or(Refusal::NotFound("drop"))?;
    let items = match dossier.standing_count(id) {
        Some(count) => count.manifest.clone(),
        None => expected_papers::expected(dossier, drop),
    };
    Ok(reader.hashed(&ManifestView { items }))
}
