//! The `rebuild` command: parses, calls `rebuild-core`, shows events. No decision about
//! databases is taken here.
//!
//! It is a library so that a program with functions of its own can offer the same command, as the
//! Python package does.

mod args;
mod commands;
mod exit;
mod keep;
mod output;
mod progress;
mod signals;

use std::ffi::OsString;
use std::sync::Arc;

use clap::Parser;
use rebuild_core::traits::Functions;

/// Runs the command line `words`, whose first is the program's name, and returns the exit code.
/// `functions` finds what a spec names as `function`.
///
/// No core file is written of this process or of those that it starts, and only root may look into
/// its memory.
///
/// The first SIGINT, SIGTERM or SIGHUP stops at a safe point; the second ends the process.
pub async fn run(
    words: impl IntoIterator<Item = OsString>,
    functions: Option<Arc<dyn Functions>>,
) -> u8 {
    let args = match args::Args::try_parse_from(words) {
        Ok(args) => args,
        Err(e) => {
            // A reader that went away is no failure of the command.
            let _ = e.print();
            return if e.use_stderr() {
                exit::Code::Usage as u8
            } else {
                exit::Code::Done as u8
            };
        }
    };
    if let Err(e) = keep::memory() {
        eprintln!("warning: this process's memory could not be kept out of core files: {e}");
    }
    log();
    let output = output::Output::new(args.output, &args.file);
    let code = match commands::dispatch(args, functions, &output).await {
        Ok(code) => code,
        Err(e) => {
            output.error(&e);
            exit::Code::of(&e)
        }
    };
    code as u8
}

/// `RUST_LOG=rebuild_core=debug` and the like send what the library traces to stderr.
fn log() {
    if std::env::var_os("RUST_LOG").is_some() {
        // A program that embeds the command may have its own.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .try_init();
    }
}
