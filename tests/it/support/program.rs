//! The program as somebody types it, over a house's database.

use std::process::{Output, Stdio};

use rundown::postgres::OWNER;
use tokio::process::Command;

use super::House;

/// Runs the program to its end.
pub async fn rundown(house: &House, args: &[&str]) -> Output {
    let dir = std::env::temp_dir().join(format!("rundown-program-{}-{}", std::process::id(), house.cluster.database));
    let mut command = Command::new(env!("CARGO_BIN_EXE_rundown"));
    command.arg("--data-dir").arg(&dir).args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RUNDOWN_")) {
        command.env_remove(name);
    }
    command
        .env("RUNDOWN__DATABASE__URL", house.cluster.url("rundown_app"))
        .env("RUNDOWN__DATABASE__OWNER_URL", house.cluster.url(OWNER));
    let output = command.output().await.expect("run");
    std::fs::remove_dir_all(dir).ok();
    output
}

/// Whether it ended well, and everything it said.
pub fn said(output: &Output) -> (bool, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}
