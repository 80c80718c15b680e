//! The `rebuild` command: parses, calls `rebuild-core`, shows events. No decision about
//! databases is taken here.

mod args;
mod commands;
mod exit;
mod output;
mod progress;
mod signals;

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    let args = args::Args::parse();
    log();
    let output = output::Output::new(args.output);
    match commands::dispatch(args, &output).await {
        Ok(code) => code.into(),
        Err(e) => {
            output.error(&e);
            exit::Code::of(&e).into()
        }
    }
}

/// `RUST_LOG=rebuild_core=debug` and the like send what the library traces to stderr.
fn log() {
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .init();
    }
}
