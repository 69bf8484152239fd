//! Arguments in, program out.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    rundown::cli::run().await
}
