//! What ends a throwaway server together with its process, even if that is killed.
//!
//! A small shell waits at a pipe whose other end only this process holds. However this process ends, the kernel closes the pipe. The
//! parent-death signal of Linux would not do: it fires already when the spawning *thread* ends, and a test's thread ends early.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::home::Home;

/// Immediate shutdown, since nothing is worth keeping. The removal is repeated while backends on their way out still write.
const SCRIPT: &str = r#"
read -r _
if read -r pid < "$1/data/postmaster.pid"; then kill -QUIT "$pid"; fi 2>/dev/null
for _ in $(seq 100); do rm -rf -- "$1" 2>/dev/null && exit; sleep 0.05; done
rm -rf -- "$1"
"#;

pub(super) struct Leash {
    shell: Child,
}

impl Leash {
    /// To be tied before the server starts, so that there is no moment in which it could get away.
    pub fn tie(home: &Home) -> Result<Self> {
        // Its errors go where ours go. And whoever reads our standard error to its end knows that the cleaning is done.
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "rundown-leash"])
            .arg(home.root())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        // Ctrl-C is for this process alone; the shell must live to see the pipe close.
        let shell = command.process_group(0).spawn().context("cannot run /bin/sh")?;
        Ok(Self { shell })
    }

    /// Ends the server and removes its directory, and returns when both are done.
    pub fn pull(mut self) -> Result<()> {
        let ended = self.shell.wait()?;
        ensure!(ended.success(), "the throwaway cluster was not removed: {ended}");
        Ok(())
    }
}
