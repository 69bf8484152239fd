//! `rundown play <folder>`: plays a casino day against a running daemon, over HTTP alone.
//!
//! Every act is done by the person the file names, with that person's own token. The keys of the acts are made of the casino, the
//! folder and the act's `seq`, and every id is learnt from an answer, so a play that was cut off, by whatever end, is simply
//! played again: what was done is replayed, what was not is done. One act after another, in file order: the day's order is what
//! gives slips their numbers, and a few tens of milliseconds an act are quick enough.

mod book;
mod clockwork;
mod finalize;
mod floor;
mod key;
mod money;
mod pace;
mod pit;
mod progress;
mod report;
mod results;
#[cfg(test)]
mod tests;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use workflows::role::Role;

use self::book::{Book, CONTEXT, Post};
use self::floor::Floor;
pub use self::pace::{Hours, Pace};
pub use self::progress::Progress;
pub use self::report::{BuyinLine, Outcome, Refused, SessionLine, ShiftLine};
use self::wire::{Answer, Wire};
pub use self::wire::{FieldError, Refusal, Tokens, UnmetGate};
use crate::casino_folder::{Act, ActLine, Folder};

/// Play a casino day through the HTTP API of a running daemon.
#[derive(Clone, Debug, Args)]
pub struct PlayArgs {
    /// A folder like examples/casino-day; the daemon must be seeded with it.
    pub folder: PathBuf,
    /// Where the daemon listens, as http://host:port.
    #[arg(long)]
    pub url: Option<String>,
    /// At the end compliance resolves every exception and finalizes every session.
    #[arg(long)]
    pub finalize: bool,
}

/// The command: plays, prints the report, and fails where anything was refused.
///
/// `issue` makes a token for a subject, `<casino>:<employee_no>` as `seed` writes it.
pub async fn run(args: &PlayArgs, default_url: &str, issue: &Tokens<'_>) -> anyhow::Result<ExitCode> {
    let folder = Folder::read_with_telemetry(&args.folder)?;
    let url = args.url.as_deref().unwrap_or(default_url);
    let tokens = |employee_no: &str| issue(&format!("{}:{employee_no}", folder.casino.name));
    let outcome = play(&folder, url, &tokens, args.finalize, Progress::Shown).await?;
    super::say(&outcome);
    Ok(if outcome.refused.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Plays the folder's day against the daemon at `url`. `tokens` gives the token of an employee number.
///
/// A refused act is written down and the play goes on. An error ends it: the daemon stays away, or knows nothing of the folder.
pub async fn play(folder: &Folder, url: &str, tokens: &Tokens<'_>, finalize: bool, progress: Progress) -> anyhow::Result<Outcome> {
    play_at(folder, url, tokens, finalize, progress, Pace::AtOnce).await
}

/// The same at a pace. By the hour, the daemon has its own part in the day: it opens and closes the shifts on schedules made here.
pub async fn play_at(
    folder: &Folder,
    url: &str,
    tokens: &Tokens<'_>,
    finalize: bool,
    progress: Progress,
    pace: Pace,
) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let mut wire = Wire::new(url, tokens)?;
    let reader = reader(folder)?;
    let floor = Floor::read(&mut wire, folder, reader).await?;
    if let Pace::ByTheHour(_) = pace {
        clockwork::schedule(&mut wire, folder).await?;
    }

    let mut player = Player {
        wire,
        folder,
        floor,
        pace,
        book: Book::default(),
        outcome: Outcome::default(),
    };
    player.play_day(&progress.bar(folder.day.len())).await?;

    let Player {
        mut wire,
        pace,
        book,
        mut outcome,
        ..
    } = player;
    if let Pace::ByTheHour(hours) = &pace {
        clockwork::closed(&mut wire, folder, reader, hours).await?;
    }
    if finalize {
        let done = finalize::finalize(&mut wire, folder, reader, &book.sessions).await?;
        (outcome.resolved, outcome.finalized) = (done.resolved, done.finalized);
        outcome.refused.extend(done.refused);
    }
    for session in &book.sessions {
        let (line, refused) = results::read_session(&mut wire, reader, session).await?;
        for category in &line.categories {
            *outcome.exceptions.entry(*category).or_default() += 1;
        }
        outcome.sessions.push(line);
        outcome.refused.extend(refused);
    }
    if is_told_of_players(folder) {
        let day = match &pace {
            Pace::ByTheHour(hours) => Some(hours.gaming_day),
            Pace::AtOnce => None,
        };
        match results::read_buyins(&mut wire, reader, day).await? {
            Ok(buyins) => outcome.buyins = Some(buyins),
            Err(refusal) => outcome.refused.push(unread("read_buyins", reader, refusal)),
        }
    }
    if let Pace::ByTheHour(hours) = &pace {
        outcome.shifts = clockwork::summaries(&mut wire, folder, reader, hours).await?;
        clockwork::compare(&mut wire, folder, reader, &outcome.sessions, &mut outcome.shifts).await?;
    }
    outcome.elapsed = started.elapsed();
    Ok(outcome)
}

/// Who reads for the report: cashiers and security may not see a rundown.
fn reader(folder: &Folder) -> anyhow::Result<&str> {
    let of = |role| folder.staff.iter().find(|person| person.role == role);
    let reader = [Role::Compliance, Role::PitBoss, Role::Admin].into_iter().find_map(of);
    Ok(&reader
        .context("staff.csv has neither compliance nor a pit boss nor an admin to read the results")?
        .employee_no)
}

/// Whether anybody buys in.
fn is_told_of_players(folder: &Folder) -> bool {
    let buys_in = |line: &ActLine| matches!(line.act, Act::RecordTransaction { .. } | Act::LogBuyin { .. });
    folder.day.iter().any(buys_in)
}

/// A reading at the end, of the whole floor, that did not go through.
fn unread(act: &str, by: &str, refusal: Refusal) -> Refused {
    Refused {
        seq: None,
        act: act.to_owned(),
        table: "every table".to_owned(),
        by: by.to_owned(),
        refusal,
    }
}

struct Player<'a> {
    wire: Wire<'a>,
    folder: &'a Folder,
    floor: Floor,
    pace: Pace,
    book: Book,
    outcome: Outcome,
}

impl Player<'_> {
    async fn play_day(&mut self, bar: &ProgressBar) -> anyhow::Result<()> {
        for line in &self.folder.day {
            bar.set_message(progress::caption(line));
            if let Pace::ByTheHour(hours) = &self.pace {
                hours.come(&line.at).await;
            }
            let played = self.play_act(line).await.with_context(|| self.stopped_at(line))?;
            match played {
                Ok(replayed) => {
                    self.outcome.acts += 1;
                    self.outcome.replayed += usize::from(replayed);
                }
                Err(refused) => self.outcome.refused.push(refused),
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// One act; true where the daemon had done it before.
    async fn play_act(&mut self, line: &ActLine) -> anyhow::Result<Result<bool, Refused>> {
        self.book.forget(line);
        let mut post = match self.book.compose(line, self.folder, &self.floor) {
            Ok(post) => post,
            Err(reason) => return Ok(Err(refused(line, line.act.by().unwrap_or("—"), Refusal::unsent(reason)))),
        };
        if let Pace::ByTheHour(hours) = &self.pace {
            hours.date(line, &mut post.body);
        }
        let key = key::key(&self.folder.casino.name, &self.folder.name, &line.seq.to_string());
        Ok(match self.wire.post(&post.by, &post.path, &key, &post.body).await? {
            Answer::Refused(_) if self.daemon_did(line, &post).await? => Ok(false),
            Answer::Refused(refusal) => Err(refused(line, &post.by, refusal)),
            Answer::Accepted { status, body, replayed } => match self.book.learn(line, &body) {
                Ok(()) => Ok(replayed),
                Err(reason) => Err(refused(line, &post.by, Refusal::unexpected(status, reason))),
            },
        })
    }

    /// By the hour, some acts are refused because the daemon was there first: it has made the session, or planned the drop. The floor then
    /// goes on with what it finds.
    async fn daemon_did(&mut self, line: &ActLine, post: &Post) -> anyhow::Result<bool> {
        if let Pace::AtOnce = self.pace {
            return Ok(false);
        }
        let table = self.floor.tables.get(&line.table).map(ToString::to_string).unwrap_or_default();
        let filter = [("table_id", table.as_str()), ("live", "true")];
        let sessions = self.wire.list::<Value>(&post.by, &format!("{CONTEXT}/sessions"), &filter).await?;
        let Some(session) = sessions.ok().and_then(|sessions| sessions.into_iter().next()) else {
            return Ok(false);
        };
        if matches!(line.act, Act::ScheduleDrop { .. }) {
            return Ok(session["status"] == "DROP_SCHEDULED");
        }
        let is_new = matches!(line.act, Act::CreateSession { .. }) && session["status"] == "READY_TO_OPEN";
        Ok(is_new && self.take_over(line, post, &session).await?)
    }

    /// The session the daemon has made, with the box the file gives it.
    async fn take_over(&mut self, line: &ActLine, post: &Post, session: &Value) -> anyhow::Result<bool> {
        let id = session["id"].as_str().unwrap_or_default();
        let wanted = &post.body["drop_box_id"];
        if session["drop_box_id"] != *wanted {
            let path = format!("{CONTEXT}/sessions/{id}");
            if let Answer::Refused(_) = self.wire.patch(&post.by, &path, &json!({ "drop_box_id": wanted })).await? {
                return Ok(false);
            }
        }
        Ok(self.book.learn(line, session).is_ok())
    }

    fn stopped_at(&self, line: &ActLine) -> String {
        let (done, refused) = (self.outcome.acts, self.outcome.refused.len());
        format!(
            "the play stopped at act {} ({}), after {done} accepted and {refused} refused; play again to go on",
            line.seq,
            progress::caption(line)
        )
    }
}

fn refused(line: &ActLine, by: &str, refusal: Refusal) -> Refused {
    Refused {
        seq: Some(line.seq),
        act: line.act.name(),
        table: line.table.clone(),
        by: by.to_owned(),
        refusal,
    }
}
