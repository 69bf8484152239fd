//! What people do: the name under which it is signed, and which roles may ask (api.md "Who").

use Role::{Admin, Cashier, Compliance, CountTeam, PitBoss, Security, System};

use crate::record::Casino;
use crate::role::Role;

/// One thing a person may ask for or sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    /// `subject.verb`: the word in signatures and in the audit log.
    pub name: &'static str,
    /// Who may ask. The machine's edges and the segregation rules narrow it further.
    pub who: &'static [Role],
}

macro_rules! acts {
    ($($(#[$doc:meta])* $const:ident = $name:literal, [$($role:ident),*];)+) => {
        $($(#[$doc])* pub const $const: Act = Act { name: $name, who: &[$($role),*] };)+
        /// Every act, for the documents and the tests.
        pub const ALL: &[Act] = &[$($const),+];
    };
}

acts! {
    CREATE_SESSION = "session.create", [PitBoss, Admin, System];
    PREPARE_SESSION = "session.prepare", [PitBoss, Admin];
    MOVE_SESSION = "session.move", [PitBoss, Compliance, Admin, System];
    BEGIN_OPENING = "session.begin_opening", [];
    SCHEDULE_DROP = "session.schedule_drop", [];
    TAKE_BACK = "session.take_back", [];
    BEGIN_CLOSING = "session.begin_closing", [];
    CANCEL_SESSION = "session.cancel", [];
    FORCE_CLOSE = "session.force_close", [];
    FINALIZE_SESSION = "session.finalize", [];
    FINALIZE_REPORT = "report.finalize", [];
    ROLL_OVER = "session.rollover", [PitBoss, Admin];
    COUNT_TRAY = "snapshot.count", [PitBoss, Admin];
    VERIFY_TRAY = "snapshot.verify", [PitBoss, Admin];
    REQUEST_SLIP = "slip.request", [PitBoss, Admin];
    ISSUE_SLIP = "slip.issue", [Cashier, Admin];
    /// The runner is only named: the one signature nobody gives.
    CARRY_SLIP = "slip.carry", [];
    /// The dealer who counts the chips in or out.
    RECEIVE_SLIP = "slip.receive", [];
    VERIFY_SLIP = "slip.verify", [PitBoss, Admin];
    RECEIVE_CREDIT = "slip.cage_receipt", [Cashier, Admin];
    DEPOSIT_SLIP = "slip.deposit", [PitBoss, Admin];
    VOID_SLIP = "slip.void", [Cashier, PitBoss, Admin];
    WITNESS_VOID = "slip.void_witness", [];
    CANCEL_SLIP = "slip.cancel", [PitBoss, Admin];
    ENTER_SLIP = "slip.enter", [Cashier, Admin];
    RESERVE_NUMBERS = "slip_series.reserve", [Admin];
    REMOVE_BOX = "drop.remove", [Security, Admin];
    WITNESS_REMOVAL = "drop.witness", [];
    DELIVER_BOX = "drop.deliver", [Security, Admin];
    /// Cashiers too, where the casino says so.
    RECEIVE_BOX = "drop.receive", [CountTeam, Cashier, Admin];
    SUBMIT_COUNT = "count.submit", [CountTeam, Admin];
    RAISE_EXCEPTION = "exception.raise", [PitBoss, CountTeam, Compliance, Admin];
    ACKNOWLEDGE_EXCEPTION = "exception.acknowledge", [Compliance, Admin];
    RESOLVE_EXCEPTION = "exception.resolve", [Compliance, Admin];
    /// Buy-ins as the pit sees them, entered by hand; whoever enters one may take it back.
    LOG_BUYIN = "buyin.log", [PitBoss, Admin];
    UNDO_BUYIN = "buyin.undo", [PitBoss, Admin];
    /// Mid-shift figures, kept to be compared with.
    TAKE_CHECKPOINT = "checkpoint.take", [PitBoss, Admin];
    REGISTER_PLAYER = "player.register", [PitBoss, Cashier, Admin];
    START_VISIT = "visit.start", [PitBoss, Admin];
    CLOSE_VISIT = "visit.close", [PitBoss, Admin];
    CONVERT_VISIT = "visit.convert", [PitBoss, Admin];
    OPEN_RATING_SLIP = "rating_slip.open", [PitBoss, Admin];
    CHANGE_RATING_SLIP = "rating_slip.change", [PitBoss, Admin];
    CLOSE_RATING_SLIP = "rating_slip.close", [PitBoss, Admin];
    RECORD_TRANSACTION = "finance.record", [Cashier, PitBoss, Admin];
    APPEND_POINTS = "loyalty.append", [PitBoss, Admin];
    DRAW_LAYOUT = "floor_layout.draw", [Admin];
    ACTIVATE_LAYOUT = "floor_layout.activate", [Admin];
    /// Casino settings, staff, tables, par, boxes.
    SET_UP = "setup.change", [Admin];
    /// Schedules, and runs asked for by hand.
    SCHEDULE = "schedule.change", [Admin];
    /// Webhooks: made, looked at, changed, taken away.
    WEBHOOK = "webhook.change", [Admin];
    /// Dead letters of the outbox, and what only whoever runs the daemon needs to hear.
    RUN_OUTBOX = "outbox.run", [Admin];
    /// What a job does in a casino's name beside commands: pruning, rollups.
    RUN_JOBS = "job.run", [System];
    /// The jobs' acts: no person asks for them, and none is ever signed.
    OPEN_SHIFT = "shift.open", [System];
    CLOSE_SHIFT = "shift.close", [System];
    SWEEP_DEADLINES = "deadline.sweep", [System];
    /// Whatever every token may read.
    READ_FLOOR = "floor.read", [PitBoss, Cashier, Security, CountTeam, Compliance, Admin];
    /// Soft counts, manifests, rundown: not the cage, not security.
    READ_COUNTS = "counts.read", [PitBoss, CountTeam, Compliance, Admin];
    READ_AUDIT = "audit.read", [Compliance, Admin];
}

/// The name under which a session's move is signed: its edge's own. Who may ask stands on the edge.
pub fn of_move(verb: &str) -> Act {
    let moves = [
        BEGIN_OPENING,
        SCHEDULE_DROP,
        TAKE_BACK,
        BEGIN_CLOSING,
        CANCEL_SESSION,
        FORCE_CLOSE,
        FINALIZE_SESSION,
    ];
    moves.into_iter().find(|act| act.name.ends_with(verb)).unwrap_or(MOVE_SESSION)
}

impl Act {
    pub fn may(&self, role: Role) -> bool {
        self.who.contains(&role)
    }

    /// What the casino's own policy leaves of it: cashiers receive boxes only where it says so.
    pub fn may_in(&self, role: Role, casino: &Casino) -> bool {
        let policy = *self != RECEIVE_BOX || role != Cashier || casino.cashier_receives_boxes;
        self.may(role) && policy
    }
}
