//! Running a client program to its end.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use super::ClientTool;
use super::access::{Access, kept};
use crate::command::group::Group;
use crate::error::clean;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::Endpoint;
use crate::postgres::application;

/// The most output that is kept in memory, in bytes.
const KEPT_OUTPUT: usize = 64 << 20;

/// How much of the end of a program's complaints is kept, in bytes.
const KEPT_COMPLAINTS: usize = 64 << 10;

/// How many of the last lines an error shows.
const LINES_IN_ERROR: usize = 10;

const PIECE: usize = 64 << 10;

/// What a program gets to read on its standard input.
pub enum ToolInput<'a> {
    /// Nothing.
    Nothing,
    /// A file, from its beginning.
    File(&'a Path),
    /// A stream, until it ends or the program does.
    Reader(&'a mut (dyn AsyncRead + Send + Unpin)),
}

/// Where a program's standard output goes.
pub enum ToolOutput<'a> {
    /// Into [`ToolRun::stdout`], up to 64 MiB.
    Kept,
    /// Into a new file that only this user may read. If the run fails, the file is removed.
    File(&'a Path),
    /// Into a stream, which is flushed at the end and not shut down.
    Writer(&'a mut (dyn AsyncWrite + Send + Unpin)),
}

/// What a program that did its work had to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolRun {
    /// Its output, if that was to be kept.
    pub stdout: Vec<u8>,
    /// The end of its warnings, at most 64 KiB, control characters escaped.
    pub stderr: String,
}

impl ClientTool {
    /// Runs the program on the database of `endpoint`, and keeps its output. As
    /// [`run_through`](Self::run_through).
    ///
    /// # Errors
    /// As [`run_through`](Self::run_through); the output is larger than 64 MiB.
    pub async fn run(
        &self,
        ctx: &Ctx,
        endpoint: &Endpoint,
        args: &[OsString],
        limit: Duration,
    ) -> Result<ToolRun> {
        let (input, output) = (ToolInput::Nothing, ToolOutput::Kept);
        self.run_through(ctx, Some(endpoint), args, limit, input, output)
            .await
    }

    /// Runs the program with `args`, its input and output led as asked. Where an `endpoint` is
    /// given, its environment leads to that database and it never asks for a password.
    ///
    /// Nothing else of this process's environment reaches it but `PATH`, `HOME`, `TMPDIR` and
    /// `LD_LIBRARY_PATH`; the password is neither in its arguments nor in its environment, but in
    /// a file that is removed afterwards. psql reads its start-up files all the same, unless it
    /// is told `--no-psqlrc`.
    ///
    /// The program runs in a process group of its own. At its deadline, when the operator stops,
    /// when its streams fail and when the future is dropped, the whole group is asked to end
    /// (SIGTERM) and killed 5 seconds later.
    ///
    /// *Repeats:* runs it again. *Destroys:* whatever the program destroys.
    ///
    /// # Errors
    /// [`ErrorKind::Program`] if it could not be started, did not exit with 0 (its last lines are
    /// in the error), or its streams failed; [`ErrorKind::Deadline`] if it did not end within
    /// `limit`; [`ErrorKind::Interrupted`] if the operator stopped. Whatever it did until then
    /// is done.
    pub async fn run_through(
        &self,
        ctx: &Ctx,
        endpoint: Option<&Endpoint>,
        args: &[OsString],
        limit: Duration,
        input: ToolInput<'_>,
        output: ToolOutput<'_>,
    ) -> Result<ToolRun> {
        ctx.check_stop(&self.name)?;
        let access = endpoint
            .map(|endpoint| Access::to(endpoint, &application(ctx)))
            .transpose()?;
        let mut command = Command::new(&self.path);
        command.env_clear().envs(kept());
        if let Some(access) = &access {
            command.envs(access.variables()).arg("--no-password");
        }
        command.args(args).stderr(Stdio::piped());
        command.stdin(match &input {
            ToolInput::Nothing => Stdio::null(),
            ToolInput::File(path) => self.opened(path, File::open(path))?.into(),
            ToolInput::Reader(_) => Stdio::piped(),
        });
        let made = match &output {
            ToolOutput::File(path) => Some((*path, self.opened(path, create(path))?)),
            ToolOutput::Kept | ToolOutput::Writer(_) => None,
        };
        let run = match made {
            Some((path, file)) => {
                command.stdout(file);
                let run = self.watched(ctx, command, limit, input, output).await;
                if run.is_err()
                    && let Err(e) = std::fs::remove_file(path)
                {
                    tracing::warn!("{} is incomplete and stays: {e}", path.display());
                }
                run
            }
            None => {
                command.stdout(Stdio::piped());
                self.watched(ctx, command, limit, input, output).await
            }
        };
        drop(access);
        run
    }

    /// Runs `command` until it has exited, or must be ended.
    async fn watched(
        &self,
        ctx: &Ctx,
        mut command: Command,
        limit: Duration,
        input: ToolInput<'_>,
        output: ToolOutput<'_>,
    ) -> Result<ToolRun> {
        let name = &self.name;
        let deadline = tokio::time::sleep(limit);
        let mut group = Group::start(&mut command)
            .map_err(|e| self.failed(format!("could not run {}", self.path.display()), e))?;
        // The command holds the output file open.
        drop(command);
        let pipes = Pipes::of(&mut group)?;
        let mut complaints = Tail::default();
        let ended = tokio::select! {
            done = self.exchange(&group, pipes, input, output, &mut complaints) => done,
            () = deadline => Err(Error::new(
                ErrorKind::Deadline,
                format!("{name} did not end within {limit:?} and was killed"),
            )),
            () = ctx.stop.cancelled() => Err(Error::new(
                ErrorKind::Interrupted,
                format!("{name} was stopped by the operator"),
            )),
        };
        if ended.is_err() || group.is_alive() {
            group.end().await;
        }
        let code = group
            .reap()
            .map_err(|e| self.failed(format!("how {name} ended cannot be told"), e))?;
        let stdout = ended.map_err(|e| complaints.explain(e))?;
        if code != 0 {
            let e = Error::new(
                ErrorKind::Program,
                format!("{name} ended with exit code {code}"),
            );
            return Err(complaints.explain(e));
        }
        Ok(ToolRun {
            stdout,
            stderr: complaints.text(),
        })
    }

    /// Feeds the program and takes what it says, until it has exited.
    async fn exchange(
        &self,
        group: &Group,
        pipes: Pipes,
        input: ToolInput<'_>,
        output: ToolOutput<'_>,
        complaints: &mut Tail,
    ) -> Result<Vec<u8>> {
        let name = &self.name;
        let exit = async {
            group
                .leader_exit()
                .await
                .map_err(|e| self.failed(format!("how {name} ended cannot be told"), e))
        };
        let feed = async {
            tokio::select! {
                fed = feed(input, pipes.stdin) => fed
                    .map_err(|e| self.failed(format!("could not read the input of {name}"), e)),
                // Its input may have more to give; there is nobody to take it.
                exited = group.leader_exit() => exited
                    .map_err(|e| self.failed(format!("how {name} ended cannot be told"), e)),
            }
        };
        let take = async {
            take(output, pipes.stdout)
                .await
                .map_err(|e| self.failed(format!("could not pass on the output of {name}"), e))
        };
        let listen = async {
            // What cannot be read of the complaints is no reason to lose the rest.
            if let Err(e) = complaints.read(pipes.stderr).await {
                tracing::debug!("the complaints of {name} end early: {e}");
            }
            Ok(())
        };
        let ((), stdout, (), ()) = tokio::try_join!(feed, take, listen, exit)?;
        Ok(stdout)
    }

    fn failed(&self, what: String, e: io::Error) -> Error {
        Error::new(ErrorKind::Program, what).caused_by(e)
    }

    fn opened(&self, path: &Path, file: io::Result<File>) -> Result<File> {
        file.map_err(|e| {
            Error::new(
                ErrorKind::Io,
                format!("could not open {} for {}", path.display(), self.name),
            )
            .caused_by(e)
        })
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// This process's ends of a program's pipes.
struct Pipes {
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

impl Pipes {
    fn of(group: &mut Group) -> Result<Self> {
        let leader = group
            .leader_mut()
            .ok_or_else(|| Error::internal("a program was reaped before it ran"))?;
        Ok(Self {
            stdin: leader.stdin.take().map(ChildStdin::from_std).transpose()?,
            stdout: leader
                .stdout
                .take()
                .map(ChildStdout::from_std)
                .transpose()?,
            stderr: leader
                .stderr
                .take()
                .map(ChildStderr::from_std)
                .transpose()?,
        })
    }
}

/// Writes all of the input. A program that closes its own has read enough.
async fn feed(input: ToolInput<'_>, stdin: Option<ChildStdin>) -> io::Result<()> {
    let (ToolInput::Reader(reader), Some(mut stdin)) = (input, stdin) else {
        return Ok(());
    };
    let mut piece = vec![0; PIECE];
    loop {
        let length = reader.read(&mut piece).await?;
        if length == 0 || stdin.write_all(&piece[..length]).await.is_err() {
            return Ok(());
        }
    }
}

async fn take(output: ToolOutput<'_>, stdout: Option<ChildStdout>) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let Some(mut stdout) = stdout else {
        return Ok(all);
    };
    if let ToolOutput::Writer(writer) = output {
        tokio::io::copy(&mut stdout, writer).await?;
        writer.flush().await?;
        return Ok(all);
    }
    let most = KEPT_OUTPUT as u64;
    (&mut stdout).take(most + 1).read_to_end(&mut all).await?;
    if all.len() > KEPT_OUTPUT {
        return Err(io::Error::other(format!("it is larger than {most} bytes")));
    }
    Ok(all)
}

/// The end of a text.
#[derive(Default)]
struct Tail {
    kept: VecDeque<u8>,
    cut: bool,
}

impl Tail {
    async fn read(&mut self, source: Option<ChildStderr>) -> io::Result<()> {
        let Some(mut source) = source else {
            return Ok(());
        };
        let mut piece = vec![0; PIECE];
        loop {
            let length = source.read(&mut piece).await?;
            if length == 0 {
                return Ok(());
            }
            self.kept.extend(&piece[..length]);
            let over = self.kept.len().saturating_sub(KEPT_COMPLAINTS);
            self.cut |= over > 0;
            self.kept.drain(..over);
        }
    }

    /// The text, from the beginning of a line on, safe to show. What a server adds to its message
    /// may quote rows, and is left out.
    fn text(&self) -> String {
        let bytes: Vec<u8> = self.kept.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let whole = match text.split_once('\n') {
            Some((_, rest)) if self.cut => rest,
            _ => &text,
        };
        let quotes = |line: &&str| line.starts_with("DETAIL:") || line.starts_with("CONTEXT:");
        let kept: Vec<&str> = whole.trim_end().lines().filter(|l| !quotes(l)).collect();
        clean(&kept.join("\n"))
    }

    /// Adds the last lines to an error that has no cause of its own.
    fn explain(&self, e: Error) -> Error {
        let text = self.text();
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        if lines.is_empty() || StdError::source(&e).is_some() {
            return e;
        }
        let last = lines[lines.len().saturating_sub(LINES_IN_ERROR)..].join("\n");
        Error::new(e.kind(), format!("{e}; its last lines:\n{last}"))
    }
}
