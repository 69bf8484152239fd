//! Facts and final rows stand: against the application role, which lacks the privilege, and against the owner, whom only triggers can stop.

use sea_orm::DatabaseTransaction;

use super::{Furnished, furnished, standing_in, try_out};

const NO_PRIVILEGE: &str = "42501";
const NEVER_DELETED: &str = "RD001";
const APPEND_ONLY: &str = "RD002";
const WRITTEN_ONCE: &str = "RD003";
const NO_MOVE: &str = "RD004";
const VERSION_RISES: &str = "RD005";
const FINAL: &str = "RD006";

/// What is tried, what stops the application, and what stops the owner.
const ATTEMPTS: &[(&str, &str, &str)] = &[
    ("UPDATE audit_log SET action = 'nothing'", NO_PRIVILEGE, APPEND_ONLY),
    ("UPDATE signature SET role = 'admin'", NO_PRIVILEGE, APPEND_ONLY),
    ("UPDATE soft_count_table_result SET drop_total_cents = 0", NO_PRIVILEGE, APPEND_ONLY),
    ("UPDATE session_transition SET to_status = 'OPEN'", NO_PRIVILEGE, APPEND_ONLY),
    ("UPDATE table_par SET par_cents = 1", NO_PRIVILEGE, APPEND_ONLY),
    ("UPDATE table_buyin_telemetry SET amount_cents = 1", NO_PRIVILEGE, APPEND_ONLY),
    ("UPDATE metric_checkpoint SET figures = '{}'", NO_PRIVILEGE, APPEND_ONLY),
    ("UPDATE table_inventory_snapshot SET total_cents = 1", NO_PRIVILEGE, WRITTEN_ONCE),
    ("UPDATE table_inventory_snapshot SET chipset = '{}'", NO_PRIVILEGE, WRITTEN_ONCE),
    (
        "UPDATE table_inventory_snapshot SET verified_by = counted_by",
        WRITTEN_ONCE,
        WRITTEN_ONCE,
    ),
    ("UPDATE table_drop_event SET seal_no = 'S2'", NO_PRIVILEGE, WRITTEN_ONCE),
    ("UPDATE table_drop_event SET received_seal_no = 'S2'", WRITTEN_ONCE, WRITTEN_ONCE),
    ("UPDATE table_rundown_report SET win_loss_stat_cents = 0", FINAL, FINAL),
    ("UPDATE slip_counter SET last_no = 0", NO_MOVE, NO_MOVE),
    ("UPDATE webhook SET url = 'https://example.org/'", VERSION_RISES, VERSION_RISES),
    ("UPDATE webhook SET cursor_seq = -1", NO_PRIVILEGE, NO_MOVE),
    ("UPDATE sink_cursor SET cursor_seq = -1", NO_PRIVILEGE, NO_MOVE),
    ("UPDATE webhook_delivery SET delivered = false", NO_PRIVILEGE, APPEND_ONLY),
    ("UPDATE schedule SET name = 'another'", VERSION_RISES, VERSION_RISES),
    ("UPDATE job_run SET fire_at = now()", NO_PRIVILEGE, WRITTEN_ONCE),
    ("UPDATE job_run SET params = '{\"a\": 1}'", NO_PRIVILEGE, WRITTEN_ONCE),
    // By the functions of the clock alone, and in their order.
    (
        "UPDATE job_run SET status = 'succeeded', finished_at = now(), version = version + 1",
        NO_PRIVILEGE,
        NO_MOVE,
    ),
    ("DELETE FROM job_run", NEVER_DELETED, NEVER_DELETED),
    (
        "UPDATE player_financial_transaction SET amount_cents = 1",
        NO_PRIVILEGE,
        APPEND_ONLY,
    ),
    ("UPDATE loyalty_ledger SET points = 1", NO_PRIVILEGE, APPEND_ONLY),
    ("UPDATE floor_layout_slot SET slot_label = 'x'", NO_PRIVILEGE, APPEND_ONLY),
    ("UPDATE floor_layout_activation SET outcome = '{}'", NO_PRIVILEGE, WRITTEN_ONCE),
    // Both have ended in this house.
    ("UPDATE visit SET version = version + 1", FINAL, FINAL),
    ("UPDATE rating_slip SET average_bet_cents = 1, version = version + 1", FINAL, FINAL),
    ("UPDATE rating_slip SET table_id = table_id", NO_PRIVILEGE, FINAL),
    ("UPDATE loyalty_balance SET balance = 1", VERSION_RISES, VERSION_RISES),
];

/// The same of a slip on which steps may still be taken, and of one that is settled: the version rises, as it should.
const OF_AN_OPEN_SLIP: &[(&str, &str)] = &[
    ("amount_cents = 1", NO_PRIVILEGE),
    ("chipset = '{}'", NO_PRIVILEGE),
    ("request_id = 'another'", NO_PRIVILEGE),
    ("confirmed_amount_cents = 1", WRITTEN_ONCE),
    ("slip_no = 77", WRITTEN_ONCE),
    ("issued_by = requested_by", WRITTEN_ONCE),
];
const OF_A_SETTLED_SLIP: &[&str] = &["confirmed_amount_cents = 1", "status = 'VOIDED'", "drop_box_use = 9"];
const OF_A_FINALIZED_SESSION: &[&str] = &[
    "close_note = 'x'",
    "status = 'RECONCILED'",
    "requires_reconciliation = true",
    "closing_snapshot_id = NULL",
];

const KEPT: &[&str] = &[
    "audit_log",
    "casino",
    "drop_box",
    "floor_layout",
    "floor_layout_activation",
    "floor_layout_pit",
    "floor_layout_slot",
    "floor_layout_version",
    "gaming_table",
    "metric_checkpoint",
    "metric_stamp",
    "loyalty_balance",
    "loyalty_ledger",
    "player",
    "player_financial_transaction",
    "rating_slip",
    "reconciliation_exception",
    "schedule",
    "session_transition",
    "signature",
    "slip_counter",
    "slip_manual_range",
    "soft_count_table_result",
    "staff",
    "table_buyin_telemetry",
    "table_drop_event",
    "table_inventory_session",
    "table_inventory_snapshot",
    "table_par",
    "table_rundown_report",
    "table_slip",
    "visit",
];

/// Both roles, in the name of the home casino.
struct Both {
    application: DatabaseTransaction,
    owner: DatabaseTransaction,
}

impl Both {
    async fn in_the_name_of(furnished: &Furnished) -> Self {
        let (house, casino) = (&furnished.house, Some(furnished.house.home.casino));
        Self {
            application: standing_in(&house.cluster.app().await, casino).await,
            owner: standing_in(&house.cluster.owner().await, casino).await,
        }
    }

    async fn are_stopped(&self, sql: &str, application: &str, owner: &str) {
        assert_eq!(
            try_out(&self.application, sql).await,
            Err(application.to_owned()),
            "as the application: {sql}"
        );
        assert_eq!(try_out(&self.owner, sql).await, Err(owner.to_owned()), "as the owner: {sql}");
    }
}

#[tokio::test]
async fn a_fact_is_written_once() {
    let both = Both::in_the_name_of(&furnished().await).await;
    for (sql, application, owner) in ATTEMPTS {
        both.are_stopped(sql, application, owner).await;
    }
}

#[tokio::test]
async fn a_slips_amounts_and_steps_never_change() {
    let furnished = furnished().await;
    let both = Both::in_the_name_of(&furnished).await;
    for (change, application) in OF_AN_OPEN_SLIP {
        let sql = format!(
            "UPDATE table_slip SET {change}, version = version + 1 WHERE id = '{}'",
            furnished.open_slip
        );
        both.are_stopped(&sql, application, WRITTEN_ONCE).await;
    }
    for change in OF_A_SETTLED_SLIP {
        let sql = format!("UPDATE table_slip SET {change}, version = version + 1 WHERE status = 'DEPOSITED_IN_DROPBOX'");
        both.are_stopped(&sql, FINAL, FINAL).await;
    }
}

#[tokio::test]
async fn a_finalized_session_is_immutable_and_no_other_becomes_one_by_hand() {
    let furnished = furnished().await;
    let both = Both::in_the_name_of(&furnished).await;
    for change in OF_A_FINALIZED_SESSION {
        let sql = format!(
            "UPDATE table_inventory_session SET {change}, version = version + 1 WHERE id = '{}'",
            furnished.finalized
        );
        both.are_stopped(&sql, FINAL, FINAL).await;
    }
    let live = |change: &str| format!("UPDATE table_inventory_session SET {change} WHERE id = '{}'", furnished.live);
    both.are_stopped(&live("status = 'FINALIZED', version = version + 1"), NO_MOVE, NO_MOVE)
        .await;
    both.are_stopped(&live("status = 'READY_TO_OPEN', version = version + 1"), NO_MOVE, NO_MOVE)
        .await;
    both.are_stopped(&live("drop_scheduled_for = now()"), VERSION_RISES, VERSION_RISES)
        .await;
}

#[tokio::test]
async fn no_row_goes_away() {
    let both = Both::in_the_name_of(&furnished().await).await;
    for table in KEPT {
        both.are_stopped(&format!("DELETE FROM {table}"), NO_PRIVILEGE, NEVER_DELETED).await;
        both.are_stopped(&format!("TRUNCATE {table} CASCADE"), NO_PRIVILEGE, NEVER_DELETED)
            .await;
    }
    // What was told and what was answered are not rewritten either, though the one may be marked and the other pruned.
    for sql in [
        "UPDATE outbox SET payload = '{}'",
        "DELETE FROM outbox",
        "UPDATE idempotency_key SET answer = '{}'",
    ] {
        assert_eq!(try_out(&both.application, sql).await, Err(NO_PRIVILEGE.to_owned()), "{sql}");
    }
}
