//! A case: one dossier on the desk while a command is judged and its facts are recorded.
//!
//! Everything a command may do to a session is a function of this crate over a case. What came of it leaves as [`Changes`], which
//! only [`Case::finish`] makes: the store's one state-changing function takes nothing else, so an unjudged change cannot be expressed.

use chrono::{DateTime, NaiveDate, SubsecRound, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use uuid::Uuid;

use crate::act::Act;
use crate::dossier::Dossier;
use crate::event::Event;
use crate::gaming_day::gaming_day;
use crate::machine::{Decision, Scene, Taken, open_auto};
use crate::record::{
    Casino, Drop, DropBox, Exception, Report, Session, ShiftSummary, Signature, Slip, Snapshot, SoftCount, Staff, Transition,
};
use crate::refusal::{Flaw, Refusal};
use crate::session::MACHINE;
use crate::word::{Method, Status, SubjectKind};
use crate::{detectors, rundown};

/// How far a client's clock may run ahead of ours before we call its time impossible (api.md "Times").
pub const CLOCK_SLACK: TimeDelta = TimeDelta::minutes(2);

/// The longest chain of automatic edges is four; a longer walk would be a loop in the table.
const MAX_AUTO_STEPS: usize = 8;

/// Who asks, where, and when: the part of a command that is the same for every session it touches.
pub struct Context {
    pub caller: Staff,
    pub casino: Casino,
    pub zone: Tz,
    pub at: DateTime<Utc>,
    pub new_id: fn() -> Uuid,
}

/// A second person whose PIN has been proved. The engine makes one after the proof, and nobody else has a reason to.
#[derive(Clone, Debug)]
pub struct Cosigner(pub Staff);

/// A dossier being worked on.
pub struct Case {
    before: Dossier,
    now: Dossier,
    created: bool,
    events: Vec<Event>,
    taken: Vec<Taken>,
    transitions: Vec<Transition>,
    keeps_findings: bool,
}

impl Context {
    pub fn gaming_day(&self) -> NaiveDate {
        gaming_day(self.at, self.zone, self.casino.gaming_day_start)
    }

    /// A time the client gave, or now. Refused when it lies ahead of the clock, or before the fact it follows.
    pub fn time(
        &self,
        given: Option<DateTime<Utc>>,
        pointer: &str,
        follows: Option<(DateTime<Utc>, &str)>,
    ) -> Result<DateTime<Utc>, Refusal> {
        // Postgres keeps microseconds: a finer time would not equal itself when read again.
        let Some(time) = given.map(|time| time.trunc_subsecs(6)) else {
            return Ok(follows.map_or(self.at, |(fact, _)| self.at.max(fact)));
        };
        if time > self.at + CLOCK_SLACK {
            return Err(Refusal::invalid(pointer, "lies in the future"));
        }
        match follows {
            Some((fact, name)) if time < fact => Err(Refusal::invalid(pointer, format!("lies before {name}, at {fact}"))),
            Some(_) | None => Ok(time),
        }
    }
}

impl Case {
    pub fn open(dossier: Dossier) -> Self {
        Self {
            before: dossier.clone(),
            now: dossier,
            created: false,
            events: Vec::new(),
            taken: Vec::new(),
            transitions: Vec::new(),
            keeps_findings: false,
        }
    }

    /// A session that begins with this command. Slips handed over to it come with their rows as they were.
    pub(crate) fn created(dossier: Dossier) -> Self {
        Self {
            created: true,
            ..Self::open(dossier)
        }
    }

    pub fn dossier(&self) -> &Dossier {
        &self.now
    }

    pub fn session(&self) -> &Session {
        &self.now.session
    }

    /// Edges taken so far, in order.
    pub fn taken(&self) -> &[Taken] {
        &self.taken
    }

    pub(crate) fn dossier_mut(&mut self) -> &mut Dossier {
        &mut self.now
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Takes over slips of the session before: their rows exist already, and change hands.
    pub(crate) fn receive_slips(&mut self, slips: Vec<Slip>) {
        let session_id = self.now.session.id;
        self.before.slips.extend(slips.iter().cloned());
        self.now.slips.extend(slips.into_iter().map(|slip| Slip {
            session_id,
            version: slip.version + 1,
            ..slip
        }));
    }

    pub fn is_finalized(&self) -> bool {
        self.now.session.status == Status::Finalized
    }

    /// The scene a gate looks at.
    pub fn scene<'a>(&'a self, context: &'a Context) -> Scene<'a> {
        Scene::new(&self.now, context)
    }

    /// Refuses a fact that does not belong into the session's state (domain §4 "Which fact in which state").
    pub(crate) fn expect_status(&self, allowed: &[Status], fact: &str) -> Result<(), Refusal> {
        if allowed.contains(&self.now.session.status) {
            return Ok(());
        }
        Err(Refusal::WrongState {
            status: self.now.session.status.to_string(),
            allowed: allowed.iter().map(ToString::to_string).collect(),
            detail: format!("{fact} does not belong into a session that is {}", self.now.session.status),
        })
    }

    pub(crate) fn sign(&mut self, context: &Context, subject: (SubjectKind, Uuid), act: Act, staff: &Staff, method: Method) {
        self.now.signatures.push(Signature {
            id: (context.new_id)(),
            casino_id: context.casino.id,
            session_id: Some(self.now.session.id),
            subject_kind: subject.0,
            subject_id: subject.1,
            act: act.name.to_owned(),
            staff_id: staff.id,
            role: staff.role,
            method,
            signed_at: context.at,
        });
    }

    /// The caller signs with their own token.
    pub(crate) fn sign_as_caller(&mut self, context: &Context, subject: (SubjectKind, Uuid), act: Act) {
        self.sign(context, subject, act, &context.caller, Method::Bearer);
    }

    /// Takes a judged edge: the only place a session's status changes.
    pub(crate) fn take(&mut self, context: &Context, decision: &Decision<Status>) {
        let from = self.now.session.status;
        crate::session::enter(&mut self.now, context, decision);
        self.taken.push(decision.taken(self.now.session.id));
        let session = &self.now.session;
        self.transitions.push(Transition {
            id: (context.new_id)(),
            casino_id: session.casino_id,
            session_id: session.id,
            verb: decision.verb().to_owned(),
            from_status: from,
            to_status: session.status,
            trigger: decision.trigger(),
            note: None,
            taken_by: context.caller.id,
            taken_at: context.at,
        });
        self.events.push(Event::SessionAdvanced {
            session_id: session.id,
            table_id: session.table_id,
            from,
            to: session.status,
            trigger: decision.trigger(),
        });
        if session.status == Status::DropScheduled {
            self.events.push(Event::DropScheduled {
                session_id: session.id,
                table_id: session.table_id,
                drop_scheduled_for: session.drop_scheduled_for,
            });
        }
    }

    /// What the person said when they asked for the edge just taken.
    pub(crate) fn annotate(&mut self, note: Option<String>) {
        if let Some(transition) = self.transitions.last_mut() {
            transition.note = note;
        }
    }

    /// Looks with the detectors before an edge is judged. What they find is kept even where the edge is refused: a finding is a fact.
    pub(crate) fn look_first(&mut self, context: &Context) {
        let known = self.now.exceptions.clone();
        detectors::observe(self, context);
        rundown::refresh(self, context);
        self.keeps_findings = self.now.exceptions != known;
    }

    /// A refusal of this command must not lose what the detectors found before it was judged.
    pub fn keeps_findings(&self) -> bool {
        self.keeps_findings
    }

    /// After every fact or command: takes each automatic edge that is open until none is, then lets the detectors look and,
    /// once reconciled, computes the report.
    pub fn settle(&mut self, context: &Context) {
        if self.before.session.status == Status::Finalized {
            return;
        }
        for _ in 0..MAX_AUTO_STEPS {
            let scene = Scene {
                by: None,
                ..self.scene(context)
            };
            let Some(decision) = open_auto(&MACHINE, self.now.session.status, &scene) else {
                break;
            };
            self.take(context, &decision);
        }
        detectors::observe(self, context);
        rundown::refresh(self, context);
    }

    /// What came of it: the rows that differ from those loaded, the signatures, the events.
    pub fn finish(mut self) -> Changes {
        let mut changes = Changes {
            events: std::mem::take(&mut self.events),
            taken: std::mem::take(&mut self.taken),
            ..Changes::default()
        };
        let id = self.now.session.id;
        let (before, now) = (&self.before, &mut self.now);
        changes.rows(|r| &mut r.table_inventory_snapshot, &before.snapshots, &now.snapshots, |row| row.id);
        changes.rows(|r| &mut r.table_slip, &before.slips, &now.slips, |row| row.id);
        let own = |drops: &[Drop]| drops.iter().filter(|drop| drop.session_id == id).cloned().collect::<Vec<_>>();
        changes.rows(|r| &mut r.table_drop_event, &own(&before.drops), &own(&now.drops), |row| row.id);
        let own = |counts: &[SoftCount]| counts.iter().filter(|count| count.session_id == id).cloned().collect::<Vec<_>>();
        changes.rows(
            |r| &mut r.soft_count_table_result,
            &own(&before.counts),
            &own(&now.counts),
            |row| row.id,
        );
        changes.rows(
            |r| &mut r.reconciliation_exception,
            &before.exceptions,
            &now.exceptions,
            |row| row.id,
        );
        changes.rows(|r| &mut r.signature, &before.signatures, &now.signatures, |row| row.id);
        changes.rows(|r| &mut r.drop_box, &before.floor.boxes, &now.floor.boxes, |row| row.id);
        changes.rows(
            |r| &mut r.table_rundown_report,
            before.report.as_slice(),
            now.report.as_slice(),
            |row| row.id,
        );
        changes.insert.session_transition = std::mem::take(&mut self.transitions);
        if self.created {
            changes.insert.table_inventory_session.push(now.session.clone());
        } else if before.session.status != Status::Finalized && (now.session != before.session || !changes.is_empty()) {
            now.session.version = before.session.version + 1;
            changes.update.table_inventory_session.push(now.session.clone());
            changes.replaced.table_inventory_session.push(before.session.clone());
        }
        changes.sessions.push(now.clone());
        changes
    }
}

/// The rows of one kind of writing, by table. The fields are the tables' names.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rows {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub table_inventory_session: Vec<Session>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub table_inventory_snapshot: Vec<Snapshot>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub table_slip: Vec<Slip>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub table_drop_event: Vec<Drop>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub soft_count_table_result: Vec<SoftCount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reconciliation_exception: Vec<Exception>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub table_rundown_report: Vec<Report>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signature: Vec<Signature>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub session_transition: Vec<Transition>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop_box: Vec<DropBox>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shift_rundown_summary: Vec<ShiftSummary>,
}

/// Judged changes, ready to be written. The rows can be read by anyone and made only here.
#[derive(Debug, Default)]
pub struct Changes {
    insert: Rows,
    update: Rows,
    replaced: Rows,
    events: Vec<Event>,
    taken: Vec<Taken>,
    sessions: Vec<Dossier>,
}

impl Changes {
    pub fn insert(&self) -> &Rows {
        &self.insert
    }

    pub fn update(&self) -> &Rows {
        &self.update
    }

    /// The rows to insert and the rows to update, for whoever writes them.
    pub fn into_rows(self) -> (Rows, Rows) {
        (self.insert, self.update)
    }

    /// The updated rows as they were.
    pub fn replaced(&self) -> &Rows {
        &self.replaced
    }

    pub fn events(&self) -> &[Event] {
        &self.events
    }

    pub fn taken(&self) -> &[Taken] {
        &self.taken
    }

    /// The dossiers as they are after the command, versions risen: the first is the command's own.
    pub fn dossiers(&self) -> &[Dossier] {
        &self.sessions
    }

    pub fn is_empty(&self) -> bool {
        self.insert == Rows::default() && self.update == Rows::default()
    }

    /// Joins the changes of another session touched by the same command.
    pub fn join(&mut self, other: Self) {
        self.insert.join(other.insert);
        self.update.join(other.update);
        self.replaced.join(other.replaced);
        self.events.extend(other.events);
        self.taken.extend(other.taken);
        self.sessions.extend(other.sessions);
    }

    /// A shift's summary, and that it became final with this command.
    pub(crate) fn summarize(&mut self, before: Option<ShiftSummary>, now: ShiftSummary, told: Event) {
        let rows = if let Some(before) = before {
            self.replaced.shift_rundown_summary.push(before);
            &mut self.update
        } else {
            &mut self.insert
        };
        rows.shift_rundown_summary.push(now);
        self.events.push(told);
    }

    fn rows<T: Clone + PartialEq>(&mut self, pick: fn(&mut Rows) -> &mut Vec<T>, before: &[T], now: &[T], id: fn(&T) -> Uuid) {
        for row in now {
            match before.iter().find(|old| id(old) == id(row)) {
                None => pick(&mut self.insert).push(row.clone()),
                Some(old) if old != row => {
                    pick(&mut self.update).push(row.clone());
                    pick(&mut self.replaced).push(old.clone());
                }
                Some(_) => {}
            }
        }
    }
}

impl Rows {
    /// Joins the rows of another command.
    pub fn join(&mut self, other: Self) {
        self.table_inventory_session.extend(other.table_inventory_session);
        self.table_inventory_snapshot.extend(other.table_inventory_snapshot);
        self.table_slip.extend(other.table_slip);
        self.table_drop_event.extend(other.table_drop_event);
        self.soft_count_table_result.extend(other.soft_count_table_result);
        self.reconciliation_exception.extend(other.reconciliation_exception);
        self.table_rundown_report.extend(other.table_rundown_report);
        self.signature.extend(other.signature);
        self.session_transition.extend(other.session_transition);
        self.drop_box.extend(other.drop_box);
        self.shift_rundown_summary.extend(other.shift_rundown_summary);
    }
}

/// A text somebody must give: not blank, and short enough to be read.
pub(crate) fn narrative(text: &str, pointer: &str) -> Result<String, Refusal> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(Refusal::invalid(pointer, "must not be blank"));
    }
    short(trimmed, pointer)
}

/// The longest free text a fact may carry, in characters.
pub const MAX_TEXT: usize = 2000;

pub(crate) fn short(text: &str, pointer: &str) -> Result<String, Refusal> {
    if text.chars().count() > MAX_TEXT {
        return Err(Refusal::invalid(pointer, format!("longer than {MAX_TEXT} characters")));
    }
    if text.contains('\0') {
        return Err(Refusal::invalid(pointer, "must not contain the character NUL"));
    }
    Ok(text.to_owned())
}

/// An optional note, bounded.
pub(crate) fn note(text: Option<&str>, pointer: &str) -> Result<Option<String>, Refusal> {
    text.map(|text| short(text, pointer)).transpose()
}

/// A total the client sent must be the server's own (domain §2).
pub(crate) fn same_total(sent: Option<i64>, total_cents: i64, pointer: &str) -> Vec<Flaw> {
    match sent {
        Some(sent) if sent != total_cents => vec![Flaw::new(
            pointer,
            format!("the chipset adds up to {total_cents} cents, not {sent}"),
        )],
        Some(_) | None => Vec::new(),
    }
}
