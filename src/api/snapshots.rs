//! Tray counts and their verification.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::act;
use workflows::chipset::RawChipset;
use workflows::machine::Taken;
use workflows::record::Snapshot;
use workflows::snapshot::{self, TrayCount};
use workflows::word::SnapshotKind;

use super::extract::{Id, Keyed, Posted};
use super::view::{Cosign, SessionView};
use crate::answer::Answer;
use crate::app::App;
use crate::engine::{Command, Desk, Done, Versioned};
use crate::error::Error;
use crate::store::desk::{Ask, Kind};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSnapshot {
    kind: SnapshotKind,
    /// Denomination in cents, as text, to pieces.
    #[schema(value_type = BTreeMap<String, i64>)]
    chipset: RawChipset,
    /// Checked against the server's own sum, where given.
    #[serde(default)]
    total_cents: Option<i64>,
    #[serde(default)]
    counted_at: Option<DateTime<Utc>>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    supersedes_id: Option<Uuid>,
    /// The verifier, where both stand at the table now.
    #[serde(default)]
    cosign: Option<Cosign>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SnapshotTaken {
    snapshot: Option<Snapshot>,
    session: Option<SessionView>,
    taken: Vec<Taken>,
}

fn outcome(done: &Done<'_, Uuid>) -> SnapshotTaken {
    let snapshot = done.dossier().and_then(|dossier| dossier.snapshot(done.value)).cloned();
    SnapshotTaken {
        snapshot,
        session: done.session(),
        taken: done.taken(),
    }
}

/// Records a tray count by the caller; with `cosign` it is verified at once.
#[utoipa::path(post, path = "/sessions/{id}/snapshots", tag = "snapshots", params(("id" = Uuid, Path)), request_body = NewSnapshot, responses((status = 201, body = SnapshotTaken)))]
pub async fn count(State(app): State<App>, Id(id): Id, Keyed(posted): Keyed<NewSnapshot>) -> Result<Answer, Error> {
    let NewSnapshot {
        kind,
        chipset,
        total_cents,
        counted_at,
        note,
        supersedes_id,
        cosign,
    } = posted.body;
    let given = TrayCount {
        kind,
        chipset,
        total_cents,
        counted_at,
        note,
        supersedes_id,
    };
    let command = signed(act::COUNT_TRAY, Ask::about(Kind::Session, id), cosign.as_ref());
    let judge = |desk: &mut Desk| {
        let cosigner = cosign.as_ref().map(|cosign| desk.cosigner(cosign.staff_id)).transpose()?;
        let (case, context) = desk.case("session")?;
        Ok(snapshot::count(case, context, &given, cosigner.as_ref())?)
    };
    app.engine
        .command(&posted.envelope, &command, judge, |done| Answer::created(&outcome(done)))
        .await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// The verifier, where the caller only carries the co-signature.
    #[serde(default)]
    cosign: Option<Cosign>,
}

/// Verifies a tray count: the caller does, or carries a co-signer who does. Never the counter.
#[utoipa::path(post, path = "/snapshots/{id}/verify", tag = "snapshots", params(("id" = Uuid, Path)), request_body = VerifyRequest, responses((status = 200, body = SnapshotTaken)))]
pub async fn verify(State(app): State<App>, Id(id): Id, posted: Posted<VerifyRequest>) -> Result<Answer, Error> {
    let cosign = posted.body.cosign;
    let command = signed(act::VERIFY_TRAY, Ask::about(Kind::Snapshot, id), cosign.as_ref());
    let judge = |desk: &mut Desk| {
        let cosigner = cosign.as_ref().map(|cosign| desk.cosigner(cosign.staff_id)).transpose()?;
        let (case, context) = desk.case("snapshot")?;
        snapshot::verify(case, context, id, cosigner.as_ref())?;
        Ok(id)
    };
    app.engine
        .command(&posted.envelope, &command, judge, |done| Answer::ok(&outcome(done)))
        .await
}

/// A command a second person may sign.
fn signed(act: act::Act, ask: Ask, cosign: Option<&Cosign>) -> Command {
    let cosigners = cosign.map(|cosign| cosign.staff_id).into_iter().collect();
    let pins = cosign.map(Cosign::pin).into_iter().collect();
    Command {
        act,
        ask: Ask { cosigners, ..ask },
        pins,
        versioned: Versioned::Session,
    }
}
