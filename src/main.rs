//! Arguments in, program out.

use std::process::ExitCode;

/// A command is some thousand small allocations, most of them JSON: measured in docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    rundown::cli::run().await
}
