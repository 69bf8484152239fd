//! A casino in memory: staff, tables, boxes and a store that loads and commits as the database does.
//!
//! Every command opens its case from rows, settles, finishes, and is committed row by row, so that a test plays the law exactly as the
//! engine will: nothing survives a command but what its `Changes` say.

pub mod play;
pub mod store;

use std::cell::Cell;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use uuid::Uuid;
use workflows::act::Act;
use workflows::case::{Case, Changes, Context, Cosigner};
use workflows::chipset::RawChipset;
use workflows::event::Event;
use workflows::machine::Taken;
use workflows::record::{Casino, DropBox, Exception, Report, Session, Slip, Staff, Table};
use workflows::refusal::Refusal;
use workflows::role::Role;
use workflows::word::{BankMode, BoxKind, Category, GameType, SlipScope, StaffStatus, Status, TableStatus};

use self::store::Store;

pub const DENOMINATIONS: [i64; 5] = [100, 500, 2500, 10_000, 50_000];

/// Everybody of the house, by employee number.
pub const STAFF: &[(&str, Role)] = &[
    ("dealer-1", Role::Dealer),
    ("dealer-2", Role::Dealer),
    ("pit-1", Role::PitBoss),
    ("pit-2", Role::PitBoss),
    ("pit-3", Role::PitBoss),
    ("cash-1", Role::Cashier),
    ("cash-2", Role::Cashier),
    ("sec-1", Role::Security),
    ("sec-2", Role::Security),
    ("sec-3", Role::Security),
    ("team-1", Role::CountTeam),
    ("team-2", Role::CountTeam),
    ("team-3", Role::CountTeam),
    ("team-4", Role::CountTeam),
    ("comp-1", Role::Compliance),
    ("comp-2", Role::Compliance),
    ("admin-1", Role::Admin),
    ("admin-2", Role::Admin),
    ("system", Role::System),
];

/// The tables of the house; each has three boxes, `<label>-A` to `-C`.
pub const TABLES: [&str; 2] = ["BJ-01", "RL-01"];

thread_local! {
    static NEXT_ID: Cell<u64> = const { Cell::new(1) };
}

/// Ids that sort by the order they were made in, as version 7 does.
pub fn new_id() -> Uuid {
    let n = NEXT_ID.get();
    NEXT_ID.set(n + 1);
    Uuid::from_u64_pair((n << 16) | 0x7000, 0x8000_0000_0000_0000)
}

/// The house: what stands in it, what time it is, and what the last command did.
#[derive(Clone)]
pub struct House {
    pub casino: Casino,
    pub at: DateTime<Utc>,
    pub par_cents: Option<i64>,
    pub staff: Vec<Staff>,
    pub store: Store,
    /// Events of the last command that was taken.
    pub events: Vec<Event>,
    /// Edges of the last command that was taken.
    pub taken: Vec<Taken>,
    pub(crate) numbers: i64,
}

impl House {
    pub fn new() -> Self {
        let at: DateTime<Utc> = "2026-03-06T16:00:00Z".parse().expect("an instant");
        let casino = Casino {
            id: new_id(),
            name: "River Bend".to_owned(),
            timezone: "America/Chicago".to_owned(),
            gaming_day_start: NaiveTime::from_hms_opt(6, 0, 0).expect("a time"),
            bank_mode: BankMode::InventoryCount,
            denominations_cents: DENOMINATIONS.to_vec(),
            opening_tolerance_cents: 0,
            par_tolerance_cents: 0,
            min_count_team: 3,
            drop_window_minutes: 30,
            delivery_limit_minutes: 45,
            drop_due_hours: 24,
            count_due_hours: 24,
            slip_scope: SlipScope::GamingDay,
            fill_series_open: true,
            credit_series_open: true,
            count_before_close: false,
            cashier_receives_boxes: false,
            hold_band_low_bp: None,
            hold_band_high_bp: None,
            pit_grind_share_bp: 8_000,
            version: 1,
            created_at: at,
        };
        let staff = STAFF.iter().map(|(number, role)| person(&casino, number, *role)).collect();
        let mut store = Store::default();
        for label in TABLES {
            let table = table(&casino, label, at);
            store
                .boxes
                .extend(["A", "B", "C"].map(|letter| drop_box(&casino, &format!("{label}-{letter}"), Some(table.id), at)));
            store.tables.push(table);
        }
        store.boxes.extend(["EM-1", "EM-2"].map(|label| drop_box(&casino, label, None, at)));
        Self {
            casino,
            at,
            par_cents: None,
            staff,
            store,
            events: Vec::new(),
            taken: Vec::new(),
            numbers: 0,
        }
    }

    /// An imprest house whose tables have this par.
    pub fn imprest(par_cents: i64) -> Self {
        let mut house = Self::new();
        house.casino.bank_mode = BankMode::ImprestToPar;
        house.par_cents = Some(par_cents);
        house
    }

    pub fn wait(&mut self, minutes: i64) {
        self.at += TimeDelta::minutes(minutes);
    }

    pub fn staff(&self, number: &str) -> &Staff {
        self.staff
            .iter()
            .find(|staff| staff.employee_no == number)
            .expect("somebody of the house")
    }

    pub fn id_of(&self, number: &str) -> Uuid {
        self.staff(number).id
    }

    pub fn cosigner(&self, number: &str) -> Cosigner {
        Cosigner(self.staff(number).clone())
    }

    pub fn table(&self, label: &str) -> &Table {
        self.store
            .tables
            .iter()
            .find(|table| table.label == label)
            .expect("a table of the house")
    }

    pub fn drop_box(&self, label: &str) -> &DropBox {
        self.store
            .boxes
            .iter()
            .find(|drop_box| drop_box.label == label)
            .expect("a box of the house")
    }

    pub fn session(&self, id: Uuid) -> &Session {
        self.store.sessions.iter().find(|session| session.id == id).expect("a session")
    }

    pub fn status(&self, id: Uuid) -> Status {
        self.session(id).status
    }

    pub fn slip(&self, id: Uuid) -> &Slip {
        self.store.slips.iter().find(|slip| slip.id == id).expect("a slip")
    }

    pub fn report(&self, session: Uuid) -> &Report {
        self.store
            .reports
            .iter()
            .find(|report| report.session_id == session)
            .expect("a report")
    }

    pub fn exceptions(&self, session: Uuid) -> Vec<&Exception> {
        self.store
            .exceptions
            .iter()
            .filter(|exception| exception.session_id == session)
            .collect()
    }

    /// Categories of the session's exceptions, in order of detection.
    pub fn categories(&self, session: Uuid) -> Vec<Category> {
        self.exceptions(session).iter().map(|exception| exception.category).collect()
    }

    /// The one exception of this category.
    pub fn exception(&self, session: Uuid, category: Category) -> &Exception {
        let found: Vec<_> = self
            .exceptions(session)
            .into_iter()
            .filter(|exception| exception.category == category)
            .collect();
        assert_eq!(found.len(), 1, "{category} once in {:?}", self.categories(session));
        found[0]
    }

    pub fn context(&self, by: &str) -> Context {
        Context {
            caller: self.staff(by).clone(),
            casino: self.casino.clone(),
            zone: self.casino.timezone.parse().expect("a zone"),
            at: self.at,
            new_id,
        }
    }

    /// The session's case as the engine would open it now.
    pub fn case(&self, session: Uuid) -> Case {
        Case::open(self.store.load(session, self.par_cents))
    }

    /// One command over one session, as the engine runs it. What is refused leaves the case as it was.
    pub fn command<T>(
        &mut self,
        by: &str,
        act: Act,
        session: Uuid,
        run: impl FnOnce(&mut Case, &Context) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let context = self.context(by);
        admitted(&context, act)?;
        let mut case = self.case(session);
        let before = case.dossier().clone();
        match run(&mut case, &context) {
            Err(refusal) => {
                assert!(*case.dossier() == before, "a refused {} changed the dossier: {refusal:?}", act.name);
                Err(refusal)
            }
            Ok(answer) => {
                case.settle(&context);
                self.commit(case.finish());
                Ok(answer)
            }
        }
    }

    /// Writes what came of a command, and holds what must be true after every one.
    pub fn commit(&mut self, changes: Changes) {
        self.store.commit(&changes);
        self.events = changes.events().to_vec();
        self.taken = changes.taken().to_vec();
        for dossier in changes.dossiers() {
            let id = dossier.session.id;
            store::same_rows(dossier, &self.store.load(id, self.par_cents));
            self.settles_to_nothing(id);
        }
    }

    /// Settling again, or letting the detectors look again, finds nothing new.
    fn settles_to_nothing(&self, session: Uuid) {
        let mut case = self.case(session);
        case.settle(&self.context("system"));
        let again = case.finish();
        assert!(again.is_empty(), "settling again changed {again:#?}");
        assert!(
            again.events().is_empty() && again.taken().is_empty(),
            "settling again told {:?}",
            again.events()
        );
    }

    pub fn edges_taken(&self) -> Vec<String> {
        self.taken.iter().map(|taken| format!("{} -> {}", taken.from, taken.to)).collect()
    }
}

/// The engine asks the act's roles before the law is asked anything.
pub fn admitted(context: &Context, act: Act) -> Result<(), Refusal> {
    if act.may(context.caller.role) {
        return Ok(());
    }
    Err(Refusal::Forbidden {
        detail: format!("{} may not {}", context.caller.role, act.name),
        who: act.who.to_vec(),
    })
}

fn person(casino: &Casino, number: &str, role: Role) -> Staff {
    Staff {
        id: new_id(),
        casino_id: casino.id,
        employee_no: number.to_owned(),
        name: format!("Name of {number}"),
        role,
        status: StaffStatus::Active,
    }
}

fn table(casino: &Casino, label: &str, at: DateTime<Utc>) -> Table {
    Table {
        id: new_id(),
        casino_id: casino.id,
        label: label.to_owned(),
        game: GameType::Blackjack,
        pit: None,
        status: TableStatus::Active,
        version: 1,
        created_at: at,
    }
}

fn drop_box(casino: &Casino, label: &str, table_id: Option<Uuid>, at: DateTime<Utc>) -> DropBox {
    DropBox {
        id: new_id(),
        casino_id: casino.id,
        label: label.to_owned(),
        table_id,
        kind: if table_id.is_some() {
            BoxKind::Standard
        } else {
            BoxKind::Emergency
        },
        on_table_id: None,
        use_no: 1,
        in_custody: false,
        version: 1,
        created_at: at,
    }
}

/// Chips worth this many cents, in ones of 100.
pub fn chips(cents: i64) -> RawChipset {
    assert_eq!(cents % 100, 0, "whole chips");
    raw(&[("100", cents / 100)])
}

pub fn raw(pieces: &[(&str, i64)]) -> RawChipset {
    pieces.iter().map(|(cents, count)| ((*cents).to_owned(), *count)).collect()
}
