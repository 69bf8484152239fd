//! How the sessions of a play stand, read back from the daemon.

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;
use workflows::word::{Category, ExceptionStatus, Status};

use super::book::{CONTEXT, Played};
use super::report::{BuyinLine, Refused, SessionLine};
use super::wire::{Answer, Refusal, Wire};

#[derive(Deserialize)]
pub struct ExceptionRow {
    pub id: Uuid,
    pub category: Category,
    pub status: ExceptionStatus,
}

/// Null is not zero, and absent is not null: a figure the contract promises and the answer lacks is an error, not a dash.
#[derive(Deserialize)]
struct Rundown {
    #[serde(deserialize_with = "nullable")]
    opening_total_cents: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    closing_total_cents: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    fills_total_cents: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    credits_total_cents: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    drop_total_cents: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    win_loss_stat_cents: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    hold_bp: Option<i64>,
}

/// One session's line, and what could not be read of it.
pub async fn read_session(wire: &mut Wire<'_>, reader: &str, session: &Played) -> anyhow::Result<(SessionLine, Vec<Refused>)> {
    let mut refused = Vec::new();
    let status = keep(
        &mut refused,
        "read_session",
        reader,
        session,
        status_of(wire, reader, session.id).await?,
    );
    let path = format!("{CONTEXT}/sessions/{}/rundown", session.id);
    let rundown = keep(
        &mut refused,
        "read_rundown",
        reader,
        session,
        read::<Rundown>(wire, reader, &path).await?,
    );
    let exceptions = keep(
        &mut refused,
        "list_exceptions",
        reader,
        session,
        exceptions_of(wire, reader, session.id).await?,
    );

    let rundown = rundown.as_ref();
    let line = SessionLine {
        id: session.id,
        table: session.table.clone(),
        shift: session.shift.clone(),
        status,
        opening_cents: rundown.and_then(|rundown| rundown.opening_total_cents),
        fills_cents: rundown.and_then(|rundown| rundown.fills_total_cents),
        credits_cents: rundown.and_then(|rundown| rundown.credits_total_cents),
        drop_cents: rundown.and_then(|rundown| rundown.drop_total_cents),
        closing_cents: rundown.and_then(|rundown| rundown.closing_total_cents),
        win_cents: rundown.and_then(|rundown| rundown.win_loss_stat_cents),
        hold_bp: rundown.and_then(|rundown| rundown.hold_bp),
        open_exceptions: exceptions
            .as_ref()
            .map(|rows| rows.iter().filter(|row| row.status.is_unresolved()).count()),
        categories: exceptions.iter().flatten().map(|row| row.category).collect(),
    };
    Ok((line, refused))
}

/// What the players of a gaming day bought in for; the day that runs, where none is given.
pub async fn read_buyins(wire: &mut Wire<'_>, reader: &str, day: Option<NaiveDate>) -> anyhow::Result<Result<BuyinLine, Refusal>> {
    #[derive(Deserialize)]
    struct Me {
        gaming_day: NaiveDate,
    }
    #[derive(Deserialize)]
    struct Shown {
        casino: Figures,
    }
    #[derive(Deserialize)]
    struct Figures {
        #[serde(deserialize_with = "nullable")]
        estimated_drop_rated_cents: Option<i64>,
        #[serde(deserialize_with = "nullable")]
        estimated_drop_grind_cents: Option<i64>,
        good_coverage_tables: i64,
        low_coverage_tables: i64,
        no_coverage_tables: i64,
    }
    let day = match day {
        Some(day) => day,
        None => match read::<Me>(wire, reader, "/me").await? {
            Ok(me) => me.gaming_day,
            Err(refusal) => return Ok(Err(refusal)),
        },
    };
    let shown = read::<Shown>(wire, reader, &format!("{CONTEXT}/metrics/casino?gaming_day={day}")).await?;
    Ok(shown.map(|Shown { casino }| BuyinLine {
        rated_cents: casino.estimated_drop_rated_cents,
        grind_cents: casino.estimated_drop_grind_cents,
        good: casino.good_coverage_tables,
        low: casino.low_coverage_tables,
        none: casino.no_coverage_tables,
    }))
}

pub async fn status_of(wire: &mut Wire<'_>, reader: &str, session: Uuid) -> anyhow::Result<Result<Status, Refusal>> {
    #[derive(Deserialize)]
    struct Session {
        status: Status,
    }

    let session = read::<Session>(wire, reader, &format!("{CONTEXT}/sessions/{session}")).await?;
    Ok(session.map(|session| session.status))
}

pub async fn exceptions_of(wire: &mut Wire<'_>, reader: &str, session: Uuid) -> anyhow::Result<Result<Vec<ExceptionRow>, Refusal>> {
    wire.list(reader, &format!("{CONTEXT}/exceptions"), &[("session_id", &session.to_string())])
        .await
}

async fn read<T: for<'de> Deserialize<'de>>(wire: &mut Wire<'_>, reader: &str, path: &str) -> anyhow::Result<Result<T, Refusal>> {
    Ok(match wire.get(reader, path, &[]).await? {
        Answer::Refused(refusal) => Err(refusal),
        Answer::Accepted { status, body, .. } => serde_json::from_value(body)
            .map_err(|error| Refusal::unexpected(status, format!("GET {path} answered something else: {error}"))),
    })
}

fn keep<T>(refused: &mut Vec<Refused>, act: &str, by: &str, session: &Played, outcome: Result<T, Refusal>) -> Option<T> {
    let refusal = match outcome {
        Ok(value) => return Some(value),
        Err(refusal) => refusal,
    };
    refused.push(Refused {
        seq: None,
        act: act.to_owned(),
        table: session.table.clone(),
        by: by.to_owned(),
        refusal,
    });
    None
}

fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Option::deserialize(deserializer)
}
