//! `rundown token`: a bearer token for one person, where this installation holds the key that signs. Printed bare, so that
//! `TOKEN=$(rundown token --staff PB-01)` is all it takes.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde::Deserialize;
use uuid::Uuid;
use workflows::role::Role;
use workflows::word::StaffStatus;

use super::play::{self, PlayArgs};
use super::{say, with_database};
use crate::auth::TokenIssuer;
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon;
use crate::database::{Database, Errand};

/// A long shift: a token that is left behind on a terminal is worthless the next day.
pub const DEFAULT_TTL: Duration = Duration::from_hours(12);

/// Print a token for one member of staff.
#[derive(Clone, Debug, Args)]
pub struct TokenArgs {
    /// The employee number.
    #[arg(long, value_name = "EMPLOYEE_NO")]
    staff: String,
    /// The casino's name; needed where several casinos have that employee number.
    #[arg(long, value_name = "NAME")]
    casino: Option<String>,
    /// How long it is good, as 90s, 30m, 12h or 7d [default: 12h].
    #[arg(long, value_parser = duration)]
    ttl: Option<Duration>,
}

pub async fn run(args: &TokenArgs, config: &Config) -> Result<ExitCode> {
    let person = with_database(config, async |database| find(database, &args.staff, args.casino.as_deref()).await).await?;
    // After the database: the secret is made in the data directory, which is there now.
    let issuer = Issuer::new(config)?;
    say(issuer.issue(&person.may_hold_one()?.external_subject, args.ttl.unwrap_or(DEFAULT_TTL))?);
    Ok(ExitCode::SUCCESS)
}

/// `rundown play`, with tokens signed here: the player is a client like any other, and needs no database.
pub async fn play(args: &PlayArgs, config: &Config) -> Result<ExitCode> {
    let listen = config.server.listen;
    ensure!(
        args.url.is_some() || listen.port() != 0,
        "the daemon takes a free port (server.listen = {listen}): name it with --url"
    );
    let issuer = Issuer::new(config)?;
    play::run(args, &daemon::url(listen), &|subject| issuer.issue(subject, DEFAULT_TTL)).await
}

/// Signs tokens with this installation's key.
pub struct Issuer {
    issuer: TokenIssuer,
    clock: Clock,
}

impl Issuer {
    pub fn new(config: &Config) -> Result<Self> {
        let issuer = TokenIssuer::new(&config.auth.settings(), &config.data_dir).context("tokens cannot be signed here")?;
        Ok(Self {
            issuer,
            clock: Clock::System,
        })
    }

    /// The same by another clock, for a daemon that goes by it.
    #[must_use]
    pub fn by(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    pub fn issue(&self, subject: &str, ttl: Duration) -> Result<String> {
        self.issuer.issue(subject, self.clock.now(), ttl)
    }
}

#[derive(Deserialize)]
pub(super) struct Casino {
    pub id: Uuid,
    pub name: String,
}

#[derive(Deserialize)]
struct Person {
    casino: String,
    employee_no: String,
    external_subject: String,
    role: Role,
    status: StaffStatus,
}

impl Person {
    /// A token that every request would refuse is worse than none.
    fn may_hold_one(&self) -> Result<&Self> {
        let Self { employee_no, casino, .. } = self;
        ensure!(self.status == StaffStatus::Active, "{employee_no} at {casino} is not active");
        match self.role {
            Role::Dealer => bail!("{employee_no} at {casino} is a dealer: dealers hold no token, they co-sign with a PIN"),
            Role::System => bail!("{employee_no} at {casino} is the daemon itself, which holds no token"),
            Role::PitBoss | Role::Cashier | Role::Security | Role::CountTeam | Role::Compliance | Role::Admin => Ok(self),
        }
    }
}

async fn find(database: &Database, employee_no: &str, casino: Option<&str>) -> Result<Person> {
    let owner = database.owner().await?;
    let errand = owner.begin().await?;
    let mut people = Vec::new();
    for casino in casinos(&errand, casino).await? {
        people.extend(person_of(&errand, &casino, employee_no).await?);
    }
    errand.commit().await?;
    owner.close().await?;
    let several = people
        .iter()
        .map(|person| format!("{:?}", person.casino))
        .collect::<Vec<_>>()
        .join(", ");
    ensure!(people.len() < 2, "{employee_no} works at {several}: choose with --casino");
    people.pop().with_context(|| match casino {
        Some(casino) => format!("nobody at {casino} has the employee number {employee_no}"),
        None => format!("nobody has the employee number {employee_no}"),
    })
}

/// The casino of that name, or all of them.
pub(super) async fn casinos(errand: &Errand, named: Option<&str>) -> Result<Vec<Casino>> {
    let sql = "SELECT COALESCE(jsonb_agg(jsonb_build_object('id', id, 'name', name) ORDER BY name), '[]') AS json
                 FROM casino WHERE $1->>0 IS NULL OR name = $1->>0";
    let found: Vec<Casino> = errand
        .json(sql, &[named])
        .await
        .context("the casinos cannot be read (`rundown doctor` says what is wrong with the schema)")?;
    if found.is_empty() {
        match named {
            Some(name) => bail!("there is no casino {name:?}"),
            None => bail!(
                "there is no casino yet (`rundown bootstrap` and `rundown seed` make one), or the owner's connection is not the owner's"
            ),
        }
    }
    Ok(found)
}

async fn person_of(errand: &Errand, casino: &Casino, employee_no: &str) -> Result<Option<Person>> {
    errand.stand_in(casino.id).await?;
    // The casino is asked for by name too: an owner that is a superuser is not fenced.
    let sql = "SELECT (SELECT jsonb_build_object('casino', $1->>1, 'employee_no', s.employee_no, 'external_subject', s.external_subject,
                                                 'role', s.role, 'status', s.status)
                         FROM staff AS s WHERE s.casino_id = ($1->>0)::uuid AND s.employee_no = $1->>2) AS json";
    errand.json(sql, &(casino.id, &casino.name, employee_no)).await
}

/// `90s`, `30m`, `12h`, `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    let unreadable = || format!("`{text}` is no duration: a whole number and s, m, h or d");
    let unit = text.char_indices().next_back().ok_or_else(unreadable)?;
    let seconds = match unit.1 {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(unreadable()),
    };
    let number: u64 = text[..unit.0].parse().map_err(|_| unreadable())?;
    let seconds = number.checked_mul(seconds).filter(|seconds| *seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_of_a_duration() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("12h"), Ok(DEFAULT_TTL));
        assert_eq!(duration("7d"), Ok(Duration::from_hours(168)));
        for bad in ["", "h", "12", "0h", "-1h", "1.5h", "12H", "1ü", "999999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
