//! Makes the cluster. It appears in its place whole, database included, or not at all: whatever a kill leaves half made is in the
//! nursery, and is thrown away by the next attempt.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::account::Account;
use super::binaries::Binaries;
use super::home::Home;
use super::{DATABASE, OWNER, Tuning};

/// A database that was dropped from a cluster that exists is not made again: an empty one in its place would hide the loss.
pub(super) fn ensure(home: &Home, account: &Account, binaries: &Binaries, tuning: Tuning) -> Result<()> {
    if home.data().exists() {
        return Ok(());
    }
    let nursery = home.nursery();
    if nursery.exists() {
        fs::remove_dir_all(&nursery).with_context(|| format!("cannot clear {}", nursery.display()))?;
    }
    account.make_private_dir(&nursery)?;
    tracing::info!(data_dir = %home.root().display(), "making a private Postgres cluster");

    let mut initdb = account.command(&binaries.initdb());
    // The C locale sorts alike on every machine, so a cluster's indexes survive an upgrade of the system's libraries.
    initdb.arg("-D").arg(&nursery).args([
        "-U",
        OWNER,
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-instructions",
        "--data-checksums",
    ]);
    let mut create = account.command(&binaries.postgres());
    create.args(["--single", "-c", "exit_on_error=on", "-D"]).arg(&nursery);
    if tuning == Tuning::Throwaway {
        initdb.arg("--no-sync");
        create.args(["-c", "fsync=off"]);
    }
    run(initdb, "")?;
    create.arg("postgres");
    run(create, &format!("CREATE DATABASE {DATABASE} OWNER {OWNER};\n"))?;

    fs::rename(&nursery, home.data())?;
    // The new name, too, has to outlast a power cut.
    File::open(home.root())?.sync_all()?;
    Ok(())
}

fn run(mut command: Command, input: &str) -> Result<()> {
    let program = command.get_program().display().to_string();
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("cannot run {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ended before reading says why in its output, which tells more than our broken pipe.
        stdin.write_all(input.as_bytes()).ok();
    }
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr]
        .map(|said| String::from_utf8_lossy(&said).trim().to_owned())
        .join("\n");
    ensure!(output.status.success(), "{program} failed ({}): {}", output.status, said.trim());
    Ok(())
}
