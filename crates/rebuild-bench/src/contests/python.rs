//! A run through the Python package.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rebuild_core::Error;
use rebuild_core::error::Result;

use super::rebuild::forget_retired;
use crate::Bench;
use crate::contest::{Contender, by_turns};
use crate::program::run;
use crate::report::{Goal, Line, Measure};
use crate::server::Server;

/// What a pipeline types.
const PLAIN: &str = "import rebuild; rebuild.run('rebuild.toml')";

/// The same, with every event looked at.
const WATCHED: &str = "import rebuild, sys
def watch(event):
    print(event, file=sys.stderr)
rebuild.run('rebuild.toml', on_event=watch)";

/// A rebuild of TPC-H by the command, from Python, and from Python with a callback.
///
/// # Errors
/// Something failed.
pub(crate) fn run_contest(bench: &Bench, server: &Server) -> Result<Vec<Line>> {
    let package = package(&bench.folder)?;
    let settle = "[quiesce]\nread_only = true\nend_sessions = true\n";
    let ours = bench.ours(server, "rebuilt", "python", settle)?;
    server.drop("rebuilt")?;
    server.run("postgres", &["create database rebuilt template tpch"])?;
    let turn = |command: &mut Command| -> Result<Duration> {
        ours.empty_store()?;
        server.settle()?;
        let took = run(command.stdout(Stdio::null()))?;
        forget_retired(server)?;
        Ok(took.time)
    };
    let python = |script: &str| {
        let mut command = Command::new("python3");
        command
            .args(["-c", script])
            .current_dir(ours.folder())
            .env("PYTHONPATH", &package);
        command
    };
    let times = by_turns(
        bench.runs,
        vec![
            Contender::new("rebuild run", || turn(&mut ours.command(&["run"]))),
            Contender::new("rebuild.run(spec)", || turn(&mut python(PLAIN))),
            Contender::new("rebuild.run(spec, on_event=...)", || {
                turn(&mut python(WATCHED))
            }),
        ],
    )?;
    server.drop("rebuilt")?;
    ours.empty_store()?;
    let line = |work: &str, time| Line {
        work: work.to_owned(),
        peer: "the command `rebuild run`".to_owned(),
        peer_value: Measure::Time(times[0]),
        ours: Measure::Time(time),
        // No more than a twentieth longer.
        goal: Goal::TimesAsFast(1.0 / 1.05),
    };
    Ok(vec![
        line("rebuild of TPC-H from Python", times[1]),
        line(
            "rebuild of TPC-H from Python, a callback per event",
            times[2],
        ),
    ])
}

/// The Python package as an installation has it, with the native module that was built beside this
/// program.
fn package(folder: &Path) -> Result<PathBuf> {
    let native = std::env::current_exe()?.with_file_name("lib_rebuild.so");
    if !native.exists() {
        return Err(Error::usage(format!("{} is missing", native.display()))
            .hint("build it with: cargo build --release -p rebuild-py"));
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rebuild-py/python");
    let package = folder.join("package");
    std::fs::create_dir_all(&package)?;
    run(Command::new("cp")
        .arg("-r")
        .arg(sources.join("rebuild"))
        .arg(&package))?;
    std::fs::copy(native, package.join("rebuild/_rebuild.abi3.so"))?;
    Ok(package)
}
