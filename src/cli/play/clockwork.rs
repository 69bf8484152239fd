//! The daemon's own part in a day played by the hour: the schedules that open and close its shifts, and what came of them.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use chrono::{NaiveTime, TimeDelta, Timelike as _};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;
use workflows::role::Role;
use workflows::word::{RunStatus, ShiftStatus, SummaryStatus};

use super::book::CONTEXT;
use super::key::key;
use super::pace::Hours;
use super::report::{SessionLine, ShiftLine};
use super::wire::{Answer, Wire};
use crate::casino_folder::{Folder, ShiftRow};

/// Shifts are opened so much ahead, so that their sessions are there when the floor comes.
const OPENED_AHEAD_MINUTES: i64 = 15;
/// A job that is due is done within a second or two; this is for a machine that is busy with something else.
const DONE_WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The schedule that is run once more at the very end.
const ROLLUPS: &str = "rollups";

/// Makes the day's schedules, enabled: from here on the daemon opens and closes the shifts by itself.
pub async fn schedule(wire: &mut Wire<'_>, folder: &Folder) -> anyhow::Result<()> {
    let admin = admin(folder)?;
    for shift in &folder.casino.shifts {
        let params = json!({ "shift": shift.name });
        let opens = (shift.local_start, OPENED_AHEAD_MINUTES);
        let rows = [
            (format!("{} opens", shift.name), "shift_open", cron(opens), params.clone()),
            (format!("{} closes", shift.name), "shift_close", cron((shift.local_end, 0)), params),
        ];
        for (name, kind, cron, params) in rows {
            create(
                wire,
                folder,
                admin,
                &json!({ "name": name, "job_kind": kind, "cron": cron, "params": params }),
            )
            .await?;
        }
    }
    let rest = [
        ("deadlines", "deadline_sweep", "*/30 * * * *"),
        (ROLLUPS, "rollup_recompute", "*/10 * * * *"),
    ];
    for (name, kind, cron) in rest {
        create(wire, folder, admin, &json!({ "name": name, "job_kind": kind, "cron": cron })).await?;
    }
    Ok(())
}

/// So many minutes before a time of day, every day.
fn cron((time, ahead): (NaiveTime, i64)) -> String {
    let (at, _) = time.overflowing_sub_signed(TimeDelta::minutes(ahead));
    format!("{} {} * * *", at.minute(), at.hour())
}

async fn create(wire: &mut Wire<'_>, folder: &Folder, admin: &str, body: &Value) -> anyhow::Result<()> {
    let name = body["name"].as_str().unwrap_or_default();
    let key = key(&folder.casino.name, &folder.name, &format!("schedule-{name}"));
    match wire.post(admin, "/schedules", &key, body).await? {
        Answer::Accepted { .. } => Ok(()),
        Answer::Refused(refusal) => bail!("the schedule {name} is refused: {} {}", refusal.code, refusal.detail),
    }
}

fn admin(folder: &Folder) -> anyhow::Result<&str> {
    let admin = folder.staff.iter().find(|person| person.role == Role::Admin);
    Ok(&admin.context("staff.csv has no admin to make the schedules")?.employee_no)
}

/// Waits until the last shift of the day is over, and all of them are closed.
pub async fn closed(wire: &mut Wire<'_>, folder: &Folder, reader: &str, hours: &Hours) -> anyhow::Result<()> {
    hours.go_on().await;
    let names: Vec<&str> = folder.casino.shifts.iter().map(|shift| shift.name.as_str()).collect();
    for _ in 0..looks() {
        let shifts = shifts(wire, reader, hours).await?;
        let open = names.iter().find(|name| {
            !shifts
                .iter()
                .any(|shift| shift.name == **name && shift.status == ShiftStatus::Closed)
        });
        if open.is_none() {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!(
        "the shifts of {} were not closed within {DONE_WITHIN:?}: see GET /job-runs",
        hours.gaming_day
    )
}

fn looks() -> u128 {
    DONE_WITHIN.as_millis() / LOOK_EVERY.as_millis()
}

#[derive(Deserialize)]
struct Shift {
    id: Uuid,
    name: String,
    status: ShiftStatus,
}

async fn shifts(wire: &mut Wire<'_>, reader: &str, hours: &Hours) -> anyhow::Result<Vec<Shift>> {
    let day = hours.gaming_day.to_string();
    match wire.list::<Shift>(reader, "/shifts", &[("gaming_day", &day)]).await? {
        Ok(shifts) => Ok(shifts),
        Err(refusal) => bail!("the shifts cannot be read: {} {}", refusal.code, refusal.detail),
    }
}

/// What the shifts of the day prove, in the file's order.
pub async fn summaries(wire: &mut Wire<'_>, folder: &Folder, reader: &str, hours: &Hours) -> anyhow::Result<Vec<ShiftLine>> {
    #[derive(Deserialize)]
    struct Summary {
        status: SummaryStatus,
        sessions: usize,
        finalized: usize,
        cancelled: usize,
        drop_total_cents: Option<i64>,
        win_loss_stat_cents: Option<i64>,
        hold_bp: Option<i64>,
    }
    let shifts = shifts(wire, reader, hours).await?;
    let mut lines = Vec::new();
    for ShiftRow { name, .. } in &folder.casino.shifts {
        let shift = shifts.iter().find(|shift| shift.name == *name);
        let id = shift
            .with_context(|| format!("there is no shift {name} of {}", hours.gaming_day))?
            .id;
        let summary: Summary = read(wire, reader, &format!("/shifts/{id}/summary")).await?;
        lines.push(ShiftLine {
            id,
            name: name.clone(),
            status: summary.status,
            sessions: summary.sessions,
            finalized: summary.finalized,
            cancelled: summary.cancelled,
            drop_cents: summary.drop_total_cents,
            win_cents: summary.win_loss_stat_cents,
            hold_bp: summary.hold_bp,
            rolled_up: None,
        });
    }
    Ok(lines)
}

/// Brings the rollups up to date once more, and holds those of the shifts against the sessions' reports.
pub async fn compare(
    wire: &mut Wire<'_>,
    folder: &Folder,
    reader: &str,
    sessions: &[SessionLine],
    shifts: &mut [ShiftLine],
) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Cell {
        drop_total_cents: Option<i64>,
        win_loss_stat_cents: Option<i64>,
    }
    recompute(wire, folder).await?;
    for shift in shifts {
        let id = shift.id.to_string();
        let filter = [("grain", "casino"), ("by", "shift"), ("shift_id", id.as_str())];
        let cells = wire.list::<Cell>(reader, &format!("{CONTEXT}/rollups"), &filter).await?;
        let Ok(cells) = cells else {
            bail!("the rollups of {} cannot be read", shift.name)
        };
        let own = || sessions.iter().filter(|line| line.shift == shift.name);
        let sum = |pick: fn(&SessionLine) -> Option<i64>| own().filter_map(pick).reduce(|sum, cents| sum + cents);
        let reports = (sum(|line| line.drop_cents), sum(|line| line.win_cents));
        let cell = cells
            .first()
            .map_or((None, None), |cell| (cell.drop_total_cents, cell.win_loss_stat_cents));
        shift.rolled_up = Some(cell == reports);
    }
    Ok(())
}

async fn recompute(wire: &mut Wire<'_>, folder: &Folder) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Named {
        id: Uuid,
        name: String,
    }
    #[derive(Deserialize)]
    struct Run {
        id: Uuid,
        status: RunStatus,
    }
    let admin = admin(folder)?;
    let Ok(schedules) = wire.list::<Named>(admin, "/schedules", &[]).await? else {
        bail!("the schedules cannot be read")
    };
    let schedule = schedules
        .iter()
        .find(|schedule| schedule.name == ROLLUPS)
        .context("the schedule of the rollups is gone")?;
    let key = key(&folder.casino.name, &folder.name, "rollups-at-the-end");
    let run: Run = match wire
        .post(admin, &format!("/schedules/{}/run", schedule.id), &key, &json!({}))
        .await?
    {
        Answer::Accepted { body, .. } => serde_json::from_value(body)?,
        Answer::Refused(refusal) => bail!("the rollups are refused: {} {}", refusal.code, refusal.detail),
    };
    for _ in 0..looks() {
        let run: Run = read(wire, admin, &format!("/job-runs/{}", run.id)).await?;
        if !run.status.is_unfinished() {
            ensure!(
                run.status == RunStatus::Succeeded,
                "the rollups were not brought up to date: the run is {}",
                run.status
            );
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("the rollups were not brought up to date within {DONE_WITHIN:?}")
}

async fn read<T: serde::de::DeserializeOwned>(wire: &mut Wire<'_>, reader: &str, path: &str) -> anyhow::Result<T> {
    match wire.get(reader, path, &[]).await? {
        Answer::Accepted { body, .. } => Ok(serde_json::from_value(body)?),
        Answer::Refused(refusal) => bail!("GET {path} is refused: {} {}", refusal.code, refusal.detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_is_opened_ahead_of_its_hour_also_over_midnight() {
        let at = |text: &str| text.parse::<NaiveTime>().unwrap();
        assert_eq!(cron((at("06:00"), 15)), "45 5 * * *");
        assert_eq!(cron((at("00:10"), 15)), "55 23 * * *");
        assert_eq!(cron((at("14:00"), 0)), "0 14 * * *");
    }
}
