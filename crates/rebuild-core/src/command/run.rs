//! Running one program to its end.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures::FutureExt;
use futures::future::FusedFuture;
use tokio::process::{ChildStderr, ChildStdout};
use tokio::time::Instant;

use super::group::{GRACE, Group};
use super::output::{Reader, Redaction};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::secret::Secret;

/// How long the output of a program that has exited is read on: a process that it left behind may
/// hold the pipe open for ever.
const DRAIN: Duration = Duration::from_secs(1);

/// How many of the last lines an error shows.
const LINES_IN_ERROR: usize = 10;

/// A program to run.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What to call it in events and errors: its name in the spec.
    pub name: String,
    /// The program and its arguments. A program without a slash is looked for in PATH; a relative
    /// path is relative to `cwd`.
    pub argv: Vec<String>,
    /// Variables, besides those of this process. This process's own PG* variables are not
    /// passed on: they say where *its* server is.
    pub env: Vec<(String, String)>,
    /// Variables whose values must not show.
    pub secret_env: Vec<(String, Secret)>,
    /// The folder it runs in.
    pub cwd: PathBuf,
    /// How long it may take.
    pub limit: Duration,
}

/// A program that has ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    /// The last lines it printed, at most 100, safe to show.
    pub stdout_tail: String,
    /// The last lines it printed to the standard error, at most 100, safe to show.
    pub stderr_tail: String,
}

impl Finished {
    /// The last few lines for an error: of the standard error, or of the output if that is empty.
    fn last_lines(&self) -> String {
        let text = if self.stderr_tail.trim().is_empty() {
            &self.stdout_tail
        } else {
            &self.stderr_tail
        };
        let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(LINES_IN_ERROR)..].join("\n")
    }
}

/// How a program is run, where that differs from [`run`].
#[derive(Clone)]
pub(crate) struct Manner {
    /// What of its output is not shown.
    pub(crate) redaction: Redaction,
    /// How long it may take to end once it was asked to.
    pub(crate) grace: Duration,
    /// With a number of bytes, its standard output is kept as it is and not shown; more than that
    /// is an error.
    pub(crate) capture: Option<usize>,
}

/// Why waiting for a program ended.
enum Wake {
    Exited(io::Result<()>),
    Deadline,
    Stopped,
}

/// Runs a program to its end, with nothing to read on its standard input. Each line it prints is
/// an [`Output`](crate::event::EventKind::Output) event, in which secrets are replaced by `***`.
///
/// The program runs in a process group of its own. At its deadline, when the operator stops, and
/// when the future is dropped, the whole group is asked to end (SIGTERM) and killed 5 seconds
/// later; so is what is left of the group once the program has exited.
///
/// *Repeats:* runs it again. *Destroys:* whatever the program destroys.
///
/// # Errors
/// [`ErrorKind::Program`] if it cannot be started, [`ErrorKind::Deadline`] if it did not end in
/// time, [`ErrorKind::Interrupted`] if the operator stopped. An exit code is no error.
pub async fn run(ctx: &Ctx, invocation: &Invocation) -> Result<Finished> {
    let manner = Manner {
        redaction: Redaction::new(invocation.secret_env.iter().map(|(_, secret)| secret)),
        grace: GRACE,
        capture: None,
    };
    run_as(ctx, invocation, &manner).await.map(|(done, _)| done)
}

/// Runs a program as [`run`] does, but for what `manner` says; and what was captured.
///
/// *Repeats:* runs it again. *Destroys:* whatever the program destroys.
///
/// # Errors
/// As [`run`], and [`ErrorKind::Program`] if it printed more than was to be captured.
pub(crate) async fn run_as(
    ctx: &Ctx,
    invocation: &Invocation,
    manner: &Manner,
) -> Result<(Finished, Vec<u8>)> {
    ctx.check_stop(&invocation.name)?;
    let deadline = Instant::now() + invocation.limit;
    let mut group = start(invocation)?;
    let (stdout, stderr) = pipes(&mut group)?;
    let name = &invocation.name;
    let mut out = Reader::new(stdout, name, &ctx.events, &manner.redaction);
    if let Some(most) = manner.capture {
        out = out.capturing(most);
    }
    let mut err = Reader::new(stderr, name, &ctx.events, &manner.redaction);

    let wake = {
        let mut reading = pin!(async { tokio::join!(out.read(), err.read()) }.fuse());
        let wake = reading_while(&mut reading, async {
            tokio::select! {
                exited = group.leader_exit() => Wake::Exited(exited),
                () = tokio::time::sleep_until(deadline) => Wake::Deadline,
                () = ctx.stop.cancelled() => Wake::Stopped,
            }
        })
        .await;
        if matches!(wake, Wake::Exited(Ok(()))) {
            if !reading.is_terminated() {
                // Running out of time here is as good as reaching the end.
                let _ = tokio::time::timeout(DRAIN, &mut reading).await;
            }
            if group.is_alive() {
                ctx.events.warn(format!(
                    "{} left processes behind, which are ended now",
                    invocation.name
                ));
                group.end().await;
            }
        } else {
            reading_while(&mut reading, group.end_within(manner.grace)).await;
        }
        wake
    };

    let code = group.reap().map_err(|e| lost(invocation, e))?;
    let captured = out.take_captured();
    let finished = Finished {
        code,
        stdout_tail: out.into_tail(),
        stderr_tail: err.into_tail(),
    };
    match wake {
        Wake::Exited(Ok(())) => match (captured, manner.capture) {
            (None, Some(most)) => Err(Error::new(
                ErrorKind::Program,
                format!("{} printed more than {most} bytes", invocation.name),
            )),
            (captured, _) => Ok((finished, captured.unwrap_or_default())),
        },
        Wake::Exited(Err(e)) => Err(lost(invocation, e)),
        Wake::Deadline => Err(Error::new(
            ErrorKind::Deadline,
            format!(
                "{} did not end within {:?} and was killed{}",
                invocation.name,
                invocation.limit,
                last_words(&finished)
            ),
        )),
        Wake::Stopped => Err(Error::new(
            ErrorKind::Interrupted,
            format!("{} was stopped by the operator", invocation.name),
        )),
    }
}

/// Runs a program that must exit with 0.
///
/// *Repeats:* runs it again. *Destroys:* whatever the program destroys.
///
/// # Errors
/// As [`run`], and [`ErrorKind::Program`] with its last lines for any other exit code.
pub async fn run_ok(ctx: &Ctx, invocation: &Invocation) -> Result<Finished> {
    let finished = run(ctx, invocation).await?;
    if finished.code == 0 {
        return Ok(finished);
    }
    Err(failed(invocation, &finished))
}

/// The error for an exit code that was not expected.
pub(super) fn failed(invocation: &Invocation, finished: &Finished) -> Error {
    Error::new(
        ErrorKind::Program,
        format!(
            "{} ended with exit code {}{}",
            invocation.name,
            finished.code,
            last_words(finished)
        ),
    )
}

fn last_words(finished: &Finished) -> String {
    let lines = finished.last_lines();
    if lines.is_empty() {
        String::new()
    } else {
        format!("; its last lines:\n{lines}")
    }
}

/// Does `work` while the output is read, so that a full pipe holds nothing up.
async fn reading_while<T>(
    reading: &mut Pin<&mut impl FusedFuture>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => return done,
        _ = reading.as_mut() => {}
    }
    work.await
}

fn start(invocation: &Invocation) -> Result<Group> {
    let Some((program, arguments)) = invocation.argv.split_first() else {
        return Err(Error::usage(format!(
            "{} has no program to run",
            invocation.name
        )));
    };
    if !invocation.cwd.is_dir() {
        return Err(Error::new(
            ErrorKind::Program,
            format!(
                "{} cannot be run in {}: there is no such folder",
                invocation.name,
                invocation.cwd.display()
            ),
        ));
    }
    // The new process changes its folder before it looks for the program.
    let cwd = std::path::absolute(&invocation.cwd)?;
    let mut command = Command::new(resolve(program, &cwd));
    command
        .args(arguments)
        .current_dir(&cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"PG") {
            command.env_remove(name);
        }
    }
    for (name, value) in &invocation.env {
        command.env(name, value);
    }
    for (name, value) in &invocation.secret_env {
        command.env(name, value.expose());
    }
    Group::start(&mut command).map_err(|e| not_started(invocation, program, e))
}

/// A relative path is looked up in the folder that the program runs in.
fn resolve(program: &str, cwd: &Path) -> PathBuf {
    if program.contains('/') {
        cwd.join(program)
    } else {
        PathBuf::from(program)
    }
}

fn not_started(invocation: &Invocation, program: &str, e: io::Error) -> Error {
    let (why, hint) = match e.kind() {
        io::ErrorKind::NotFound if program.contains('/') => (
            "there is no such file, or its interpreter is missing",
            "a relative path is relative to the folder the program runs in (cwd)",
        ),
        io::ErrorKind::NotFound => (
            "it is not in PATH",
            "install it, or give its path in the spec",
        ),
        io::ErrorKind::PermissionDenied => (
            "it is not executable",
            "make it executable with chmod +x, or name its interpreter first",
        ),
        _ => (
            "it could not be started",
            "run it by hand in that folder to see why",
        ),
    };
    Error::new(
        ErrorKind::Program,
        format!("{} cannot run {program:?}: {why}", invocation.name),
    )
    .hint(hint)
    .caused_by(e)
}

fn pipes(group: &mut Group) -> Result<(ChildStdout, ChildStderr)> {
    let taken = group
        .leader_mut()
        .and_then(|child| child.stdout.take().zip(child.stderr.take()));
    let Some((stdout, stderr)) = taken else {
        return Err(Error::internal("a program was started without its pipes"));
    };
    Ok((
        ChildStdout::from_std(stdout)?,
        ChildStderr::from_std(stderr)?,
    ))
}

fn lost(invocation: &Invocation, e: io::Error) -> Error {
    Error::new(
        ErrorKind::Program,
        format!("how {} ended cannot be told", invocation.name),
    )
    .caused_by(e)
}

#[cfg(test)]
mod tests;
