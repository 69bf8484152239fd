//! What people of the house do, one method an act, and the roads most tests walk.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use workflows::act;
use workflows::case::{Case, Cosigner};
use workflows::chipset::RawChipset;
use workflows::count::Count;
use workflows::custody::{self, Removal};
use workflows::record::{Document, Drop, ManualRange, Slip, SoftCount};
use workflows::refusal::Refusal;
use workflows::rollover::{Rollover, roll_over};
use workflows::session::{self, Move};
use workflows::slip::{self, OfflineSlip, Request, SlipNumber, Step};
use workflows::snapshot::{self, TrayCount};
use workflows::word::{DocumentKind, ReasonCode, SlipKind, SlipPurpose, SlipScope, SnapshotKind, Status};

use super::store::lies_in;
use super::{House, chips, new_id};

type Answer<T> = Result<T, Refusal>;

pub fn to(status: Status) -> Move {
    Move {
        to: status,
        note: None,
        drop_scheduled_for: None,
        force: false,
    }
}

pub fn tray(kind: SnapshotKind, chipset: RawChipset) -> TrayCount {
    TrayCount {
        kind,
        chipset,
        total_cents: None,
        counted_at: None,
        note: None,
        supersedes_id: None,
    }
}

/// A count of both counters agreeing, all in notes of 100 cents, by the usual team.
pub fn agreed(house: &House, total_cents: i64) -> Count {
    Count {
        drop_total_cents: total_cents,
        count_1_cents: total_cents,
        count_2_cents: total_cents,
        agreed_cents: None,
        team: ["team-1", "team-2", "team-3"].map(|number| house.id_of(number)).to_vec(),
        counted_at: None,
        currency: chips(total_cents),
        documents: Vec::new(),
        batch_ref: None,
        supersedes_id: None,
    }
}

pub fn paper(kind: DocumentKind, number: Option<&str>, amount_cents: i64) -> Document {
    Document {
        kind,
        number: number.map(str::to_owned),
        amount_cents,
        note: None,
    }
}

impl House {
    pub fn create(&mut self, by: &str, table: &str, drop_box: Option<&str>) -> Answer<Uuid> {
        let context = self.context(by);
        super::admitted(&context, act::CREATE_SESSION)?;
        let floor = self.store.floor(self.table(table).id, None, self.par_cents);
        let drop_box = drop_box.map(|label| self.drop_box(label).id);
        let mut case = session::create(&context, floor, drop_box, None)?;
        case.settle(&context);
        let id = case.session().id;
        self.commit(case.finish());
        Ok(id)
    }

    pub fn prepare(&mut self, by: &str, session: Uuid, drop_box: &str) -> Answer<()> {
        let drop_box = self.drop_box(drop_box).id;
        self.command(by, act::PREPARE_SESSION, session, |case, _| {
            session::prepare(case, Some(drop_box), None)
        })
    }

    pub fn transition(&mut self, by: &str, session: Uuid, ask: &Move) -> Answer<()> {
        self.command(by, act::MOVE_SESSION, session, |case, context| session::advance(case, context, ask))
    }

    pub fn go(&mut self, by: &str, session: Uuid, status: Status) -> Answer<()> {
        self.transition(by, session, &to(status))
    }

    pub fn schedule(&mut self, by: &str, session: Uuid, time: Option<DateTime<Utc>>) -> Answer<()> {
        self.transition(
            by,
            session,
            &Move {
                drop_scheduled_for: time,
                ..to(Status::DropScheduled)
            },
        )
    }

    pub fn cancel(&mut self, by: &str, session: Uuid, note: &str) -> Answer<()> {
        self.transition(
            by,
            session,
            &Move {
                note: Some(note.to_owned()),
                ..to(Status::Closed)
            },
        )
    }

    pub fn force_close(&mut self, by: &str, session: Uuid, note: &str) -> Answer<()> {
        self.transition(
            by,
            session,
            &Move {
                note: Some(note.to_owned()),
                force: true,
                ..to(Status::Closed)
            },
        )
    }

    pub fn count_tray(&mut self, by: &str, session: Uuid, given: &TrayCount, cosigner: Option<&str>) -> Answer<Uuid> {
        let cosigner = cosigner.map(|number| self.cosigner(number));
        self.command(by, act::COUNT_TRAY, session, |case, context| {
            snapshot::count(case, context, given, cosigner.as_ref())
        })
    }

    /// A tray of this kind, counted by the first pit boss and verified by a dealer.
    pub fn tray(&mut self, session: Uuid, kind: SnapshotKind, cents: i64) -> Answer<Uuid> {
        self.count_tray("pit-1", session, &tray(kind, chips(cents)), Some("dealer-1"))
    }

    pub fn verify_tray(&mut self, by: &str, session: Uuid, snapshot: Uuid, cosigner: Option<&str>) -> Answer<()> {
        let cosigner = cosigner.map(|number| self.cosigner(number));
        self.command(by, act::VERIFY_TRAY, session, |case, context| {
            snapshot::verify(case, context, snapshot, cosigner.as_ref())
        })
    }

    pub fn request(&mut self, by: &str, session: Uuid, ask: &Request) -> Answer<Uuid> {
        self.command(by, act::REQUEST_SLIP, session, |case, context| slip::request(case, context, ask))
    }

    pub fn ask(kind: SlipKind, cents: i64) -> Request {
        Request {
            kind,
            request_id: format!("r-{}", new_id()),
            chipset: chips(cents),
            purpose: SlipPurpose::Normal,
            replaces_slip_id: None,
            note: None,
        }
    }

    pub fn issue(&mut self, by: &str, slip: Uuid, runner: &str) -> Answer<()> {
        let number = SlipNumber {
            slip_scope: SlipScope::GamingDay,
            scope_key: "2026-03-06".to_owned(),
            slip_no: self.numbers + 1,
            gaps: Vec::new(),
        };
        let runner = self.staff(runner).clone();
        let session = self.slip(slip).session_id;
        let answer = self.command(by, act::ISSUE_SLIP, session, |case, context| {
            slip::advance(
                case,
                context,
                slip,
                &Step::Issue {
                    runner: &runner,
                    number: &number,
                },
            )
        });
        self.numbers += i64::from(answer.is_ok());
        answer
    }

    pub fn verify_slip(&mut self, by: &str, slip: Uuid, dealer: &str, counted: Option<RawChipset>) -> Answer<()> {
        let dealer = self.cosigner(dealer);
        self.step(
            by,
            slip,
            &Step::Verify {
                dealer: &dealer,
                chipset: counted,
                note: None,
            },
        )
    }

    pub fn deposit(&mut self, by: &str, slip: Uuid) -> Answer<()> {
        self.step(by, slip, &Step::Deposit)
    }

    pub fn void(&mut self, by: &str, slip: Uuid, reason: &str, cosigner: &str) -> Answer<()> {
        let cosigner = self.cosigner(cosigner);
        self.step(
            by,
            slip,
            &Step::Void {
                reason: reason.to_owned(),
                cosigner: &cosigner,
            },
        )
    }

    pub fn cancel_slip(&mut self, by: &str, slip: Uuid, reason: &str) -> Answer<()> {
        self.step(by, slip, &Step::Cancel { reason: reason.to_owned() })
    }

    pub fn step(&mut self, by: &str, slip: Uuid, step: &Step<'_>) -> Answer<()> {
        let session = self.slip(slip).session_id;
        let act = match step {
            Step::Issue { .. } => act::ISSUE_SLIP,
            Step::Verify { .. } => act::VERIFY_SLIP,
            Step::Deposit => act::DEPOSIT_SLIP,
            Step::Void { .. } => act::VOID_SLIP,
            Step::Cancel { .. } => act::CANCEL_SLIP,
        };
        self.command(by, act, session, |case, context| slip::advance(case, context, slip, step))
    }

    pub fn cage_receipt(&mut self, by: &str, slip: Uuid, counted: Option<RawChipset>) -> Answer<()> {
        let session = self.slip(slip).session_id;
        self.command(by, act::RECEIVE_CREDIT, session, |case, context| {
            slip::receive_credit(case, context, slip, counted.as_ref())
        })
    }

    /// A slip requested by the first pit boss and issued by the first cashier.
    pub fn issued(&mut self, session: Uuid, kind: SlipKind, cents: i64) -> Uuid {
        let slip = self.request("pit-1", session, &Self::ask(kind, cents)).expect("requested");
        self.issue("cash-1", slip, "sec-1").expect("issued");
        slip
    }

    /// A slip verified at the table with what it says.
    pub fn verified(&mut self, session: Uuid, kind: SlipKind, cents: i64) -> Uuid {
        let slip = self.issued(session, kind, cents);
        self.verify_slip("pit-1", slip, "dealer-1", None).expect("verified");
        slip
    }

    /// A slip whose whole way is done: its copy is in the box on the table.
    pub fn deposited(&mut self, session: Uuid, kind: SlipKind, cents: i64) -> Uuid {
        let slip = self.verified(session, kind, cents);
        if kind == SlipKind::Credit {
            self.cage_receipt("cash-1", slip, None).expect("received");
        }
        self.deposit("pit-1", slip).expect("deposited");
        slip
    }

    pub fn enter_offline(
        &mut self,
        by: &str,
        session: Uuid,
        given: &Handwritten<'_>,
        ranges: &[ManualRange],
        taken: &[String],
    ) -> Answer<Uuid> {
        let requester = self.cosigner(given.requester);
        let runner = self.staff(given.runner).clone();
        let entry = OfflineSlip {
            request: given.request.clone(),
            slip_no: given.slip_no,
            issued_at: given.issued_at,
            requester: &requester,
            runner: &runner,
        };
        self.command(by, act::ENTER_SLIP, session, |case, context| {
            slip::enter_offline(case, context, &entry, ranges, taken)
        })
    }

    pub fn removal(&self, drop_box: &str, replacement: Option<&str>) -> Removal {
        Removal {
            drop_box_id: self.drop_box(drop_box).id,
            replacement_box_id: replacement.map(|label| self.drop_box(label).id),
            seal_no: format!("seal of {drop_box}"),
            removed_at: None,
            emergency: false,
            note: None,
        }
    }

    pub fn remove_as(&mut self, by: &str, session: Uuid, given: &Removal, witness: &str) -> Answer<Uuid> {
        let witness = self.cosigner(witness);
        self.command(by, act::REMOVE_BOX, session, |case, context| {
            custody::remove(case, context, given, &witness)
        })
    }

    pub fn remove(&mut self, session: Uuid, drop_box: &str, replacement: Option<&str>) -> Answer<Uuid> {
        let given = self.removal(drop_box, replacement);
        self.remove_as("sec-1", session, &given, "pit-1")
    }

    pub fn drop_event(&self, drop: Uuid) -> &Drop {
        self.store.drops.iter().find(|row| row.id == drop).expect("a removal")
    }

    pub fn deliver(&mut self, by: &str, drop: Uuid) -> Answer<()> {
        self.deliver_at(by, drop, None, None)
    }

    pub fn deliver_at(&mut self, by: &str, drop: Uuid, at: Option<DateTime<Utc>>, scan: Option<DateTime<Utc>>) -> Answer<()> {
        let session = self.drop_event(drop).session_id;
        self.command(by, act::DELIVER_BOX, session, |case, context| {
            custody::deliver(case, context, drop, at, scan)
        })
    }

    pub fn receive(&mut self, by: &str, drop: Uuid, seal: &str) -> Answer<()> {
        let session = self.drop_event(drop).session_id;
        self.command(by, act::RECEIVE_BOX, session, |case, context| {
            custody::receive(case, context, drop, seal)
        })
    }

    /// Delivers and receives a removed box with its own seal.
    pub fn bring(&mut self, drop: Uuid) {
        self.deliver("sec-1", drop).expect("delivered");
        let seal = self.drop_event(drop).seal_no.clone();
        self.receive("team-1", drop, &seal).expect("received");
    }

    /// Brings the box and counts this much in it, with the papers that should be there.
    pub fn bring_and_count(&mut self, drop: Uuid, total_cents: i64) -> Uuid {
        self.bring(drop);
        let mut given = agreed(self, total_cents);
        given.documents = self.papers_in(drop);
        self.submit("team-1", drop, &given).expect("counted")
    }

    /// The slips that lie in a removed box, as the count room would write them down.
    pub fn papers_in(&self, drop: Uuid) -> Vec<Document> {
        let drop = self.drop_event(drop);
        self.store
            .slips
            .iter()
            .filter(|slip| lies_in(slip, drop))
            .map(written_down)
            .collect()
    }

    /// Opens every session the count concerns: the box's own, those with a slip in it, those of the slips found or ever found there.
    pub fn submit(&mut self, by: &str, drop: Uuid, given: &Count) -> Answer<Uuid> {
        let context = self.context(by);
        super::admitted(&context, act::SUBMIT_COUNT)?;
        let row = self.drop_event(drop).clone();
        let elsewhere = self.known_by_number(given);
        let ever = self
            .store
            .counts
            .iter()
            .filter(|count| count.drop_event_id == drop)
            .flat_map(|count| &count.manifest);
        let mut sessions: Vec<Uuid> = self
            .store
            .slips
            .iter()
            .filter(|slip| lies_in(slip, &row))
            .map(|slip| slip.session_id)
            .collect();
        sessions.extend(
            elsewhere
                .iter()
                .map(|slip| slip.session_id)
                .chain(ever.filter_map(|item| item.session_id)),
        );
        sessions.push(row.session_id);
        sessions.sort_unstable();
        sessions.dedup();
        let main = sessions.iter().position(|id| *id == row.session_id).expect("the box's own session");
        let mut cases: Vec<Case> = sessions.iter().map(|id| self.case(*id)).collect();
        let id = workflows::count::submit(&mut cases, main, &context, drop, given, &self.staff.clone(), &elsewhere)?;
        let mut changes: Option<workflows::case::Changes> = None;
        for mut case in cases {
            case.settle(&context);
            let next = case.finish();
            match &mut changes {
                None => changes = Some(next),
                Some(all) => all.join(next),
            }
        }
        self.commit(changes.expect("a case at least"));
        Ok(id)
    }

    fn known_by_number(&self, given: &Count) -> Vec<Slip> {
        let named = |slip: &Slip| {
            given.documents.iter().any(|paper| {
                workflows::manifest::slip_kind(paper.kind) == Some(slip.kind) && paper.number == slip.slip_no.map(|no| no.to_string())
            })
        };
        self.store.slips.iter().filter(|slip| named(slip)).cloned().collect()
    }

    pub fn soft_count(&self, id: Uuid) -> &SoftCount {
        self.store.counts.iter().find(|count| count.id == id).expect("a soft count")
    }

    pub fn raise(&mut self, by: &str, session: Uuid, text: &str) -> Answer<Uuid> {
        self.command(by, act::RAISE_EXCEPTION, session, |case, context| {
            workflows::exception::raise_manually(case, context, text, None)
        })
    }

    pub fn acknowledge(&mut self, by: &str, exception: Uuid) -> Answer<()> {
        let session = self.session_of(exception);
        self.command(by, act::ACKNOWLEDGE_EXCEPTION, session, |case, context| {
            workflows::exception::acknowledge(case, context, exception)
        })
    }

    pub fn resolve(&mut self, by: &str, exception: Uuid) -> Answer<()> {
        self.resolve_as(by, exception, ReasonCode::AcceptedVariance, "looked into and accepted", false)
    }

    pub fn resolve_as(&mut self, by: &str, exception: Uuid, reason: ReasonCode, text: &str, waive: bool) -> Answer<()> {
        let session = self.session_of(exception);
        self.command(by, act::RESOLVE_EXCEPTION, session, |case, context| {
            workflows::exception::resolve(case, context, exception, reason, text, waive)
        })
    }

    fn session_of(&self, exception: Uuid) -> Uuid {
        self.store
            .exceptions
            .iter()
            .find(|row| row.id == exception)
            .expect("an exception")
            .session_id
    }

    /// Rolls a table over; answers the second session.
    pub fn roll_over(&mut self, by: &str, session: Uuid, cents: i64, cosigner: &str) -> Answer<Uuid> {
        let context = self.context(by);
        super::admitted(&context, act::ROLL_OVER)?;
        let Cosigner(second_signer) = self.cosigner(cosigner);
        let mut first = self.case(session);
        let given = Rollover {
            chipset: chips(cents),
            shift_id: None,
        };
        let second = roll_over(&mut first, &context, &given, &Cosigner(second_signer))?;
        let id = second.session().id;
        let mut changes = first.finish();
        changes.join(second.finish());
        self.commit(changes);
        Ok(id)
    }

    /// A session of this table with its box on it, the opener not yet counted.
    pub fn opening(&mut self, table: &str, drop_box: &str) -> Uuid {
        let session = self.create("pit-1", table, Some(drop_box)).expect("created");
        self.go("pit-1", session, Status::Opening).expect("opening");
        session
    }

    /// A session in play.
    pub fn open(&mut self, table: &str, drop_box: &str, cents: i64) -> Uuid {
        let session = self.opening(table, drop_box);
        self.tray(session, SnapshotKind::Open, cents).expect("counted");
        assert_eq!(self.status(session), Status::Open);
        session
    }

    /// The first table in play with its first box.
    pub fn playing(&mut self, cents: i64) -> Uuid {
        self.open("BJ-01", "BJ-01-A", cents)
    }

    /// Begins closing, and counts the closer.
    pub fn close(&mut self, session: Uuid, cents: i64) {
        self.go("pit-1", session, Status::Closing).expect("closing");
        self.tray(session, SnapshotKind::Close, cents).expect("closed");
    }

    /// Schedules the drop now and removes the box.
    pub fn drop_now(&mut self, session: Uuid, drop_box: &str, replacement: Option<&str>) -> Uuid {
        self.schedule("pit-1", session, None).expect("scheduled");
        self.remove(session, drop_box, replacement).expect("removed")
    }

    /// A whole session of the first table: opened, dropped, counted, closed, RECONCILED.
    pub fn reconciled(&mut self, opener: i64, drop: i64, closer: i64) -> Uuid {
        let session = self.playing(opener);
        let removal = self.drop_now(session, "BJ-01-A", Some("BJ-01-B"));
        self.bring_and_count(removal, drop);
        self.close(session, closer);
        assert_eq!(self.status(session), Status::Reconciled);
        session
    }

    pub fn finalized(&mut self, opener: i64, drop: i64, closer: i64) -> Uuid {
        let session = self.reconciled(opener, drop, closer);
        self.go("comp-1", session, Status::Finalized).expect("finalized");
        session
    }
}

/// A slip written by hand, as it is entered.
pub struct Handwritten<'a> {
    pub request: Request,
    pub slip_no: i64,
    pub issued_at: DateTime<Utc>,
    pub requester: &'a str,
    pub runner: &'a str,
}

fn written_down(slip: &Slip) -> Document {
    let kind = match slip.kind {
        SlipKind::Fill => DocumentKind::FillSlip,
        SlipKind::Credit => DocumentKind::CreditSlip,
    };
    let number = slip.slip_no.map(|number| number.to_string());
    Document {
        kind,
        number,
        amount_cents: slip.counted_cents(),
        note: None,
    }
}
