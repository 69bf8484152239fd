//! Soft counts: one box at a time, or a counting machine's file.

use std::collections::BTreeMap;

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::act;
use workflows::count::{self, Count};
use workflows::machine::Taken;
use workflows::manifest::slip_kind;
use workflows::record::{Document, EvidenceManifest, Exception, ManifestItem, SoftCount};
use workflows::refusal::Refusal;

use super::extract::{CsvFile, Keyed};
use super::view::{self, SessionView};
use crate::answer::Answer;
use crate::app::App;
use crate::count_file::{self, CountRow};
use crate::engine::{Command, Desk, Done, Versioned};
use crate::error::{CsvFlaw, Error};
use crate::store::desk::{Ask, Kind, Paper};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSoftCount {
    drop_event_id: Uuid,
    drop_total_cents: i64,
    count_1_cents: i64,
    count_2_cents: i64,
    /// The third count, where the two differ; it is the total then.
    #[serde(default)]
    agreed_cents: Option<i64>,
    team: Vec<Uuid>,
    #[serde(default)]
    counted_at: Option<DateTime<Utc>>,
    evidence_manifest: EvidenceManifest,
    #[serde(default)]
    batch_ref: Option<String>,
    /// The count this one stands for.
    #[serde(default)]
    supersedes_id: Option<Uuid>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SoftCountTaken {
    soft_count: Option<SoftCount>,
    /// Every paper of the box, and how it matched.
    manifest: Vec<ManifestItem>,
    /// What this count raised, on whichever session.
    exceptions: Vec<Exception>,
    session: Option<SessionView>,
    taken: Vec<Taken>,
}

/// Records the count of one box. It settles every session that has a slip in it.
#[utoipa::path(post, path = "/soft-counts", tag = "soft counts", request_body = NewSoftCount, responses((status = 201, body = SoftCountTaken)))]
pub async fn submit(State(app): State<App>, Keyed(posted): Keyed<NewSoftCount>) -> Result<Answer, Error> {
    let body = posted.body;
    let ask = Ask {
        papers: papers(&body.evidence_manifest.documents),
        staff: body.team.clone(),
        ..Ask::about(Kind::Count, body.drop_event_id)
    };
    let command = Command {
        act: act::SUBMIT_COUNT,
        ask,
        pins: Vec::new(),
        versioned: Versioned::Session,
    };
    let drop_id = body.drop_event_id;
    let given = Count {
        drop_total_cents: body.drop_total_cents,
        count_1_cents: body.count_1_cents,
        count_2_cents: body.count_2_cents,
        agreed_cents: body.agreed_cents,
        team: body.team,
        counted_at: body.counted_at,
        currency: body.evidence_manifest.currency,
        documents: body.evidence_manifest.documents,
        batch_ref: body.batch_ref,
        supersedes_id: body.supersedes_id,
    };
    let judge = |desk: &mut Desk| {
        for (index, member) in given.team.iter().enumerate() {
            desk.person(*member, &format!("/team/{index}"))?;
        }
        let main = owner(desk, drop_id)?;
        Ok(submit_one(desk, main, drop_id, &given)?)
    };
    app.engine
        .command(&posted.envelope, &command, judge, |done| Answer::created(&outcome(done)))
        .await
}

/// The case the drop itself belongs to.
fn owner(desk: &Desk, drop_id: Uuid) -> Result<usize, Refusal> {
    let own = |case: &workflows::case::Case| case.dossier().own_drops().any(|drop| drop.id == drop_id);
    desk.cases.iter().position(own).ok_or(Refusal::NotFound("drop"))
}

fn submit_one(desk: &mut Desk, main: usize, drop_id: Uuid, given: &Count) -> Result<Uuid, Refusal> {
    let (people, elsewhere) = (desk.people().to_vec(), desk.elsewhere.clone());
    count::submit(&mut desk.cases, main, &desk.context, drop_id, given, &people, &elsewhere)
}

/// The slips among the papers, by number: where in the casino they belong is looked up with the dossiers.
fn papers(documents: &[Document]) -> Vec<Paper> {
    let numbered = documents
        .iter()
        .filter_map(|paper| Some((slip_kind(paper.kind)?, paper.number.as_deref()?.parse().ok()?)));
    numbered.map(|(kind, slip_no)| Paper { kind, slip_no }).collect()
}

fn outcome(done: &Done<'_, Uuid>) -> SoftCountTaken {
    let soft_count = done
        .changes
        .insert()
        .soft_count_table_result
        .iter()
        .find(|count| count.id == done.value)
        .cloned();
    SoftCountTaken {
        manifest: soft_count.as_ref().map(|count| count.manifest.clone()).unwrap_or_default(),
        soft_count,
        exceptions: done.changes.insert().reconciliation_exception.clone(),
        session: done.session(),
        taken: done.taken(),
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ImportResult {
    /// Rows stored: all, or none.
    accepted: usize,
    results: Vec<ImportedCount>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ImportedCount {
    line: u64,
    soft_count: Option<SoftCount>,
    session: Option<SessionView>,
}

/// Records a counting machine's file: all rows or none, every bad row named with its line.
#[utoipa::path(post, path = "/soft-counts/import", tag = "soft counts", request_body(content = String, content_type = "text/csv"), responses((status = 201, body = ImportResult)))]
pub async fn import(State(app): State<App>, file: CsvFile) -> Result<Answer, Error> {
    let rows = count_file::parse(&file.bytes).map_err(Error::CsvRejected)?;
    let ask = Ask {
        kind: Some(Kind::Count),
        ids: rows.iter().map(|row| row.drop_event_id).collect(),
        papers: rows.iter().flat_map(|row| papers(&row.documents)).collect(),
        employee_nos: rows.iter().flat_map(|row| row.team.clone()).collect(),
        ..Ask::default()
    };
    let command = Command {
        act: act::SUBMIT_COUNT,
        ask,
        pins: Vec::new(),
        versioned: Versioned::Nothing,
    };
    let judge = |desk: &mut Desk| {
        let mut flaws = Vec::new();
        let mut counted = Vec::new();
        for row in &rows {
            match import_one(desk, row) {
                Ok(id) => counted.push((row.line, id)),
                Err(refusal) => flaws.extend(row_flaws(row, &refusal)),
            }
        }
        if flaws.is_empty() {
            Ok(counted)
        } else {
            Err(Error::CsvRejected(flaws))
        }
    };
    app.engine
        .command(&file.envelope, &command, judge, |done| Answer::created(&imported(done)))
        .await
}

fn import_one(desk: &mut Desk, row: &CountRow) -> Result<Uuid, Refusal> {
    let by_number: BTreeMap<&str, Uuid> = desk
        .people()
        .iter()
        .map(|person| (person.employee_no.as_str(), person.id))
        .collect();
    let members: Result<Vec<Uuid>, Refusal> = row
        .team
        .iter()
        .map(|number| {
            let id = by_number.get(number.as_str()).copied();
            id.ok_or_else(|| Refusal::invalid("/team", format!("nobody here has the employee number {number}")))
        })
        .collect();
    let team = members?;
    for member in &team {
        desk.person(*member, "/team")?;
    }
    let main = owner(desk, row.drop_event_id)?;
    let given = Count {
        drop_total_cents: row.drop_total_cents,
        count_1_cents: row.count_1_cents,
        count_2_cents: row.count_2_cents,
        agreed_cents: row.agreed_cents,
        team,
        counted_at: row.counted_at,
        currency: row.currency.clone(),
        documents: row.documents.clone(),
        batch_ref: row.batch_ref.clone(),
        supersedes_id: row.supersedes_id,
    };
    submit_one(desk, main, row.drop_event_id, &given)
}

/// A refusal, told by the column it is about.
fn row_flaws(row: &CountRow, refusal: &Refusal) -> Vec<CsvFlaw> {
    let flaw = |column: &str, message: String| CsvFlaw {
        line: row.line,
        column: column.to_owned(),
        message,
    };
    match refusal {
        Refusal::Invalid(flaws) => flaws
            .iter()
            .map(|found| flaw(count_file::column(&found.pointer), found.message.clone()))
            .collect(),
        Refusal::NotFound(what) => vec![flaw("drop_event_id", format!("no such {what} in this casino"))],
        Refusal::GatesUnmet(gates) => gates
            .iter()
            .map(|gate| flaw("drop_event_id", format!("{}: {}", gate.code, gate.detail)))
            .collect(),
        Refusal::Segregation { detail, .. } => vec![flaw("team", detail.clone())],
        Refusal::Forbidden { detail, .. }
        | Refusal::IllegalTransition { detail, .. }
        | Refusal::Conflict { detail, .. }
        | Refusal::WrongState { detail, .. } => vec![flaw("drop_event_id", detail.clone())],
    }
}

fn imported(done: &Done<'_, Vec<(u64, Uuid)>>) -> ImportResult {
    let results = done.value.iter().map(|(line, id)| {
        let soft_count = done
            .changes
            .insert()
            .soft_count_table_result
            .iter()
            .find(|count| count.id == *id)
            .cloned();
        let session_id = soft_count.as_ref().map(|count| count.session_id);
        let dossier = done
            .changes
            .dossiers()
            .iter()
            .find(|dossier| Some(dossier.session.id) == session_id);
        ImportedCount {
            line: *line,
            soft_count,
            session: dossier.map(|dossier| view::session(dossier, done.context)),
        }
    });
    ImportResult {
        accepted: done.value.len(),
        results: results.collect(),
    }
}
