//! The `rebuild` command.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    rebuild_cli::run(std::env::args_os(), None).await.into()
}
