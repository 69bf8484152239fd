//! The timeline: every fact, signature, transition and exception of a session, in time order.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::act;
use workflows::dossier::Dossier;
use workflows::record::Signature;

use super::extract::{Id, Reader};
use super::view;
use crate::app::App;
use crate::error::Error;
use crate::store::desk::{Ask, Kind};
use crate::store::list::Moves;

/// One thing that happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Moment {
    at: DateTime<Utc>,
    /// `transition`, `signature`, `snapshot`, `slip`, `drop`, `delivery`, `receipt`, `soft_count`, `exception`, `resolution`.
    kind: &'static str,
    id: Uuid,
    /// Who did it; null where a detector or the engine did.
    by: Option<Uuid>,
    /// The row itself.
    what: Value,
}

/// A session's whole story.
#[derive(Debug, Serialize, ToSchema)]
pub struct Timeline {
    items: Vec<Moment>,
}

/// Reads a session's timeline. Soft counts are left out for the roles that may not read counts.
#[utoipa::path(get, path = "/sessions/{id}/timeline", tag = "sessions", params(("id" = Uuid, Path)), responses((status = 200, body = Timeline)))]
pub async fn read(State(app): State<App>, reader: Reader, Id(id): Id) -> Result<Response, Error> {
    let mut desk = app
        .engine
        .read(&reader.envelope, act::READ_FLOOR, &Ask::about(Kind::Session, id))
        .await?;
    let (case, context) = desk.case("session")?;
    let mut items = facts(case.dossier(), act::READ_COUNTS.may(context.caller.role));
    let (_, (transitions, signatures)) = app
        .engine
        .list(&reader.envelope, act::READ_FLOOR, &Moves { session_id: id })
        .await?;
    items.extend(
        transitions
            .iter()
            .map(|row| moment(row.taken_at, "transition", row.id, Some(row.taken_by), row)),
    );
    items.extend(signatures.iter().map(signed));
    items.sort_by_key(|item| (item.at, item.id));
    Ok(reader.hashed(&Timeline { items }))
}

fn signed(row: &Signature) -> Moment {
    moment(row.signed_at, "signature", row.id, Some(row.staff_id), row)
}

fn moment(at: DateTime<Utc>, kind: &'static str, id: Uuid, by: Option<Uuid>, what: &impl Serialize) -> Moment {
    Moment {
        at,
        kind,
        id,
        by,
        what: serde_json::to_value(what).unwrap_or_default(),
    }
}

fn facts(dossier: &Dossier, counts: bool) -> Vec<Moment> {
    let mut items: Vec<Moment> = Vec::new();
    items.extend(
        dossier
            .snapshots
            .iter()
            .map(|row| moment(row.counted_at, "snapshot", row.id, Some(row.counted_by), row)),
    );
    items.extend(
        dossier
            .slips
            .iter()
            .map(|row| moment(row.requested_at, "slip", row.id, Some(row.requested_by), row)),
    );
    for drop in dossier.own_drops() {
        items.push(moment(drop.removed_at, "drop", drop.id, Some(drop.removed_by), drop));
        let later = [
            ("delivery", drop.delivered_at, drop.delivered_by),
            ("receipt", drop.received_at, drop.received_by),
        ];
        let known = later.into_iter().filter_map(|(kind, at, by)| Some((kind, at?, by)));
        items.extend(known.map(|(kind, at, by)| moment(at, kind, drop.id, by, &serde_json::json!({ "drop_event_id": drop.id }))));
    }
    if counts {
        items.extend(
            dossier
                .counts
                .iter()
                .map(|row| moment(row.counted_at, "soft_count", row.id, Some(row.counted_by), row)),
        );
    }
    for row in &dossier.exceptions {
        let mut told = serde_json::to_value(row).unwrap_or_default();
        if !counts {
            view::without_counts(&mut told);
        }
        items.push(moment(row.detected_at, "exception", row.id, row.detected_by, &told));
        items.extend(row.resolved_at.map(|at| {
            moment(
                at,
                "resolution",
                row.id,
                row.resolved_by,
                &serde_json::json!({ "status": row.status }),
            )
        }));
    }
    items.extend(dossier.own_signatures().map(signed));
    items
}
