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
    let output = output::Output::new(args.output);
    match commands::dispatch(args, &output).await {
        Ok(code) => code.into(),
        Err(e) => {
            output.error(&e);
            exit::Code::of(&e).into()
        }
    }
}
