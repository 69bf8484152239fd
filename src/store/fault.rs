//! What a database error means for whoever asked. Its text stays in the log: constraint names are matched, sentences never read.

use sea_orm::{DbErr, RuntimeErr, SqlxError};
use workflows::refusal::Refusal;

use super::clockwork::LeaseLost;
use crate::error::Error;

/// A failed statement, by the reaction it asks for.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Serialization failure or deadlock, or a row that changed: judge again.
    #[error("must be tried again: {0}")]
    Retry(DbErr),
    /// The same key, or the same row, is still being worked on.
    #[error("a lock was not granted in time: {0}")]
    Busy(DbErr),
    /// A constraint had the last word.
    #[error("refused by {constraint}: {source}")]
    Constraint { constraint: String, source: DbErr },
    #[error("the database is away: {0}")]
    Away(DbErr),
    /// A text or a time that Postgres cannot hold.
    #[error("cannot be stored: {0}")]
    Unstorable(DbErr),
    #[error(transparent)]
    Other(anyhow::Error),
}

impl Fault {
    /// No connection was to be had within the time anybody may wait for one.
    pub fn is_of_pool(&self) -> bool {
        matches!(self, Self::Away(DbErr::ConnectionAcquire(_)))
    }

    pub(super) fn unreadable(error: serde_json::Error) -> Self {
        Self::Other(anyhow::Error::new(error).context("the database answered in another shape"))
    }
}

impl From<DbErr> for Fault {
    fn from(error: DbErr) -> Self {
        let Some(sqlx) = sqlx_error(&error) else {
            return if matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) {
                Self::Away(error)
            } else {
                Self::Other(error.into())
            };
        };
        let Some(database) = sqlx.as_database_error() else {
            return if is_away(sqlx) {
                Self::Away(error)
            } else {
                Self::Other(error.into())
            };
        };
        let constraint = database.constraint().unwrap_or_default().to_owned();
        match database.code().as_deref() {
            Some("40001" | "40P01") => Self::Retry(error),
            Some("55P03") => Self::Busy(error),
            // Whoever lost the race for a key reads the winner's answer when tried again.
            Some("23505") if RACES.contains(&constraint.as_str()) => Self::Retry(error),
            Some("23505" | "23514" | "23503") => Self::Constraint { constraint, source: error },
            // A NUL in a text, a year no calendar has.
            Some("22P05" | "22021" | "22008") => Self::Unstorable(error),
            Some("RD008") => Self::Other(LeaseLost.into()),
            // Cancelled by statement_timeout, shut down, starting up, too many connections.
            Some("25P03" | "57014" | "57P01" | "57P02" | "57P03" | "53300") => Self::Away(error),
            Some(_) | None => Self::Other(error.into()),
        }
    }
}

/// Keys two commands may race for; judged anew, the second finds what the first has written.
const RACES: [&str; 10] = [
    "idempotency_key_pkey",
    "slip_request_once",
    "exception_slip_gap_once",
    "buyin_key_once",
    "financial_transaction_key_once",
    "floor_layout_one_active",
    "floor_layout_activation_request_once",
    "floor_layout_version_numbered_once",
    "rating_slip_one_open_per_table",
    "visit_one_open_per_player",
];

fn sqlx_error(error: &DbErr) -> Option<&SqlxError> {
    if let DbErr::Conn(RuntimeErr::SqlxError(sqlx)) | DbErr::Exec(RuntimeErr::SqlxError(sqlx)) | DbErr::Query(RuntimeErr::SqlxError(sqlx)) =
        error
    {
        Some(sqlx)
    } else {
        None
    }
}

fn is_away(error: &SqlxError) -> bool {
    matches!(
        error,
        SqlxError::Io(_) | SqlxError::PoolTimedOut | SqlxError::PoolClosed | SqlxError::WorkerCrashed | SqlxError::Tls(_)
    )
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Away(source) => Self::Unavailable(source.to_string()),
            Fault::Retry(source) => Self::Collided(source.to_string()),
            Fault::Busy(_) => Refusal::conflict("busy", "another command on the same thing is still running; try again").into(),
            Fault::Constraint { constraint, source } => constraint_refusal(&constraint, source),
            Fault::Unstorable(_) => Self::Malformed("a text holds a character, or a time a year, that cannot be stored".to_owned()),
            Fault::Other(source) => Self::Internal(source),
        }
    }
}

/// The constraints a correct client can run into, by racing another or by choosing a name twice. Any other is a defect of ours.
fn constraint_refusal(constraint: &str, source: DbErr) -> Error {
    let refusal = match constraint {
        "one_live_session_per_table" => Refusal::conflict("live_session_exists", "the table has a live session already"),
        "drop_one_removal_per_use" | "drop_box_one_per_table" => Refusal::conflict("box_elsewhere", "the box is in another place by now"),
        "casino_name_key" => Refusal::conflict("name_taken", "a casino of that name exists"),
        "staff_external_subject_key" => Refusal::conflict("subject_taken", "external_subject belongs to another person"),
        "staff_casino_id_employee_no_key" => Refusal::conflict("employee_no_taken", "the employee number is taken"),
        "schedule_casino_id_name_key" => Refusal::conflict("name_taken", "the casino has a schedule of that name"),
        "gaming_table_casino_id_label_key" | "drop_box_casino_id_label_key" => Refusal::conflict("label_taken", "the label is taken"),
        "shift_template_named_once" => Refusal::conflict("name_taken", "a shift template of that name exists"),
        "player_numbered_once" => Refusal::conflict("player_no_taken", "a player of that number exists"),
        "floor_layout_named_once" => Refusal::conflict("name_taken", "a floor layout of that name exists"),
        "loyalty_one_accrual_per_slip" => workflows::loyalty::already_accrued(),
        "slip_replaced_once" => Refusal::conflict("already_replaced", "another slip stands for that void already"),
        "slip_number_once" => Refusal::conflict("number_taken", "the slip number is taken"),
        _ => {
            return Error::Internal(
                anyhow::Error::new(source).context(format!("the constraint {constraint} refused what the law allowed")),
            );
        }
    };
    refusal.into()
}
