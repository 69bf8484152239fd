//! What a stretch of work cost: CPU of the daemon and of all of Postgres from /proc, WAL from Postgres itself.
//!
//! Per command these hardly move with whatever else the machine does, unlike anything measured by the clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sea_orm::DatabaseConnection;

use crate::casino::text;

/// Ticks a second of the times in /proc: the kernel's promise to user space, whatever its own clock does.
const TICK_MS: f64 = 10.0;

/// The processes and the log that are watched.
pub struct Meter {
    pub daemon: u32,
    pub postmaster: u32,
    pub owner: DatabaseConnection,
    /// Where Postgres keeps its programs.
    pub binaries: PathBuf,
    pub wal_dir: PathBuf,
}

pub struct Mark {
    daemon_ms: f64,
    postgres_ms: f64,
    wal: String,
}

/// What was spent between two marks.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    pub daemon_ms: f64,
    pub postgres_ms: f64,
    pub wal_bytes: f64,
    /// Of it, images of pages touched for the first time after a checkpoint: they depend on when that was, not on the command.
    pub page_image_bytes: f64,
}

impl Meter {
    pub async fn mark(&self) -> Result<Mark> {
        Ok(Mark {
            wal: text(&self.owner, "SELECT pg_current_wal_insert_lsn()::text").await?,
            daemon_ms: cpu_ms(self.daemon)?,
            postgres_ms: tree_ms(self.postmaster)?,
        })
    }

    pub async fn since(&self, mark: &Mark) -> Result<Spent> {
        let now = self.mark().await?;
        // What is not written out cannot be read by the program that tells page images from rows.
        text(&self.owner, "SELECT pg_logical_emit_message(true, 'speed', '')::text").await?;
        let (rows, images) = self.wal(&mark.wal, &now.wal)?;
        Ok(Spent {
            daemon_ms: now.daemon_ms - mark.daemon_ms,
            postgres_ms: now.postgres_ms - mark.postgres_ms,
            wal_bytes: rows + images,
            page_image_bytes: images,
        })
    }

    fn wal(&self, from: &str, to: &str) -> Result<(f64, f64)> {
        if from == to {
            return Ok((0.0, 0.0));
        }
        let output = Command::new(self.binaries.join("pg_waldump"))
            .args(["--stats", "--path"])
            .arg(&self.wal_dir)
            .args(["--start", from, "--end", to])
            .output()
            .context("pg_waldump")?;
        let said = String::from_utf8_lossy(&output.stdout);
        // `Total  records  bytes [share]  image bytes [share]  sum [share]`
        let total = said.lines().find(|line| line.starts_with("Total"));
        let total = total.with_context(|| format!("pg_waldump: {said}{}", String::from_utf8_lossy(&output.stderr)))?;
        let numbers: Vec<f64> = total.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        ensure!(numbers.len() == 4, "pg_waldump: {total}");
        Ok((numbers[1], numbers[2]))
    }

    /// Resident memory of the daemon now, in MiB.
    pub fn daemon_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.split_whitespace().next().context("no VmRSS")?.parse()?;
        Ok(kib / 1024.0)
    }
}

/// CPU a process has used itself, in milliseconds.
pub fn cpu_ms(pid: u32) -> Result<f64> {
    let times = times(pid)?;
    Ok(times.own * TICK_MS)
}

/// The same of a server with all its backends, those included that have come and gone.
fn tree_ms(postmaster: u32) -> Result<f64> {
    let server = times(postmaster)?;
    let mut ticks = server.own + server.reaped;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that ends meanwhile is reaped by the server.
        if let Ok(times) = times(pid)
            && times.parent == postmaster
        {
            ticks += times.own;
        }
    }
    Ok(ticks * TICK_MS)
}

struct Times {
    parent: u32,
    own: f64,
    reaped: f64,
}

fn times(pid: u32) -> Result<Times> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name may hold anything; what follows it is numbers.
    let fields: Vec<&str> = stat.rsplit_once(')').context("no stat")?.1.split_whitespace().collect();
    let ticks = |at: usize| -> Result<f64> { Ok(fields.get(at).context("a short stat")?.parse()?) };
    Ok(Times {
        parent: fields.get(1).context("a short stat")?.parse()?,
        own: ticks(11)? + ticks(12)?,
        reaped: ticks(13)? + ticks(14)?,
    })
}

/// The server's process, and where its programs are, from what it left in its data directory.
pub fn server_of(data: &Path) -> Result<(u32, PathBuf)> {
    let pid_file = fs::read_to_string(data.join("postmaster.pid")).context("the server does not run")?;
    let pid: u32 = pid_file.lines().next().context("an empty postmaster.pid")?.parse()?;
    let program = fs::read_link(format!("/proc/{pid}/exe"))?;
    Ok((pid, program.parent().context("a program without a directory")?.to_owned()))
}
