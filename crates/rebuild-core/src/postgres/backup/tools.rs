//! pg_dump and pg_restore at work on a backup.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio_util::io::StreamReader;

use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::Endpoint;
use crate::postgres::Environment;
use crate::postgres::client_tools::{ClientTool, ToolInput, ToolOutput, ToolRun};
use crate::store::{Name, Store};

/// Bytes between a program and whoever takes its output.
const PIPE: usize = 256 * 1024;

/// Bytes in which pg_restore's script is done with its settings.
const HEAD: usize = 2048;

/// The programs that belong together.
pub(super) struct Tools {
    dump: ClientTool,
    restore: ClientTool,
    limit: Duration,
}

impl Tools {
    /// Finds both; a run of one may take as long as `limit`.
    ///
    /// # Errors
    /// One is missing, or older than the server.
    pub(super) async fn find(
        folder: Option<&Path>,
        environment: &Environment,
        server_major: u32,
        limit: Duration,
    ) -> Result<Self> {
        Ok(Self {
            dump: ClientTool::find("pg_dump", folder, environment, server_major).await?,
            restore: ClientTool::find("pg_restore", folder, environment, server_major).await?,
            limit,
        })
    }

    /// What they are, for the manifest.
    pub(super) fn versions(&self) -> Vec<(String, String)> {
        [&self.dump, &self.restore]
            .map(|tool| (tool.name.clone(), tool.version.clone()))
            .to_vec()
    }

    /// Runs pg_dump on `endpoint`; what it writes comes out of the other end of `output`.
    ///
    /// # Errors
    /// It failed.
    pub(super) async fn dump(
        &self,
        ctx: &Ctx,
        endpoint: &Endpoint,
        args: &[OsString],
        mut output: DuplexStream,
    ) -> Result<ToolRun> {
        let output = ToolOutput::Writer(&mut output);
        self.dump
            .run_through(
                ctx,
                Some(endpoint),
                args,
                self.limit,
                ToolInput::Nothing,
                output,
            )
            .await
    }

    /// Makes SQL of the archive `object`, as `args` say; it comes out of the other end of
    /// `output`.
    ///
    /// # Errors
    /// The store could not be read, or pg_restore failed.
    pub(super) async fn restore(
        &self,
        ctx: &Ctx,
        (store, object): (&Store, &Name),
        mut args: Vec<OsString>,
        mut output: DuplexStream,
    ) -> Result<ToolRun> {
        args.push("--file=-".into());
        let output = ToolOutput::Writer(&mut output);
        read_archive(
            &self.restore,
            ctx,
            (store, object),
            &args,
            self.limit,
            output,
        )
        .await
    }
}

/// The table of contents of the archive `object`.
///
/// # Errors
/// There is no pg_restore; it cannot read the archive ([`ErrorKind::Program`]); the store could
/// not be read.
pub(in crate::postgres) async fn list_archive(
    ctx: &Ctx,
    folder: Option<&Path>,
    environment: &Environment,
    archive: (&Store, &Name),
    limit: Duration,
) -> Result<Vec<u8>> {
    let tool = ClientTool::find("pg_restore", folder, environment, 0).await?;
    let args = ["--list".into()];
    let run = read_archive(&tool, ctx, archive, &args, limit, ToolOutput::Kept).await?;
    Ok(run.stdout)
}

/// Runs `tool`, a pg_restore, with the archive `object` as its input.
///
/// # Errors
/// The store could not be read, or pg_restore failed.
pub(in crate::postgres) async fn read_archive(
    tool: &ClientTool,
    ctx: &Ctx,
    (store, object): (&Store, &Name),
    args: &[OsString],
    limit: Duration,
    output: ToolOutput<'_>,
) -> Result<ToolRun> {
    let pieces = store.stream(object).await?.map_err(std::io::Error::other);
    let mut reader = StreamReader::new(pieces);
    let input = ToolInput::Reader(&mut reader);
    tool.run_through(ctx, None, args, limit, input, output)
        .await
}

/// A pipe for the output of a program. The end of the program's run ends it, whether the program
/// did its work or not: only its run's result says that.
pub(in crate::postgres) fn pipe() -> (DuplexStream, PipeEnd) {
    let (input, output) = tokio::io::duplex(PIPE);
    (input, PipeEnd(output))
}

/// The end of a pipe where things come out.
pub(in crate::postgres) struct PipeEnd(DuplexStream);

impl PipeEnd {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// Never in practice: the pipe lies in memory.
    pub(in crate::postgres) async fn next(&mut self) -> Result<Option<Bytes>> {
        self.at_least(1).await
    }

    /// The first piece of a script of pg_restore's, with the settings at its head, but without
    /// the one that only servers from 17 on know: others would stop the script there. It says
    /// what is the default everywhere.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(in crate::postgres) async fn head(&mut self) -> Result<Option<Bytes>> {
        const UNKNOWN: &[u8] = b"\nSET transaction_timeout = 0;";
        let piece = self.at_least(HEAD).await?;
        Ok(piece.map(|piece| {
            let head = &piece[..piece.len().min(HEAD)];
            match memchr::memmem::find(head, UNKNOWN) {
                Some(at) => [&piece[..at], &piece[at + UNKNOWN.len()..]].concat().into(),
                None => piece,
            }
        }))
    }

    async fn at_least(&mut self, length: usize) -> Result<Option<Bytes>> {
        let mut piece = BytesMut::with_capacity(PIPE);
        while piece.len() < length {
            let read = self.0.read_buf(&mut piece).await.map_err(|e| {
                Error::new(ErrorKind::Program, "could not read a program's output").caused_by(e)
            })?;
            if read == 0 {
                break;
            }
        }
        Ok((!piece.is_empty()).then(|| piece.freeze()))
    }
}
