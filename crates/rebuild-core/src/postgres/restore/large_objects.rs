//! Large objects, by pg_restore: contents, owners, grants and comments.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::PgRestorer;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::postgres::backup::tools::{PipeEnd, list_archive, pipe, read_archive};
use crate::postgres::backup::{Manifest, layout};
use crate::postgres::client_tools::{ClientTool, ToolInput, ToolOutput};
use crate::postgres::{Environment, Session, server_error};
use crate::store::{Name, Store};

/// Objects that are removed in one transaction; each needs a lock.
const AT_ONCE: i64 = 1000;

/// What the restore of large objects needs.
pub(super) struct LargeObjects {
    endpoint: Endpoint,
    store: Store,
    tools: Option<PathBuf>,
    environment: Environment,
    limit: Duration,
}

impl LargeObjects {
    pub(super) fn of(restorer: &PgRestorer) -> Self {
        Self {
            endpoint: restorer.endpoint.clone(),
            store: restorer.store.clone(),
            tools: restorer.tools.clone(),
            environment: restorer.environment.clone(),
            limit: restorer.options.statement_limit,
        }
    }

    /// Replaces the large objects of `db`, which `session` is in, by those of the backup.
    ///
    /// # Errors
    /// A program is missing or failed; the server failed.
    pub(super) async fn restore(
        &self,
        ctx: &Ctx,
        session: &Session,
        db: &Identity,
        manifest: &Manifest,
    ) -> Result<()> {
        remove_all(ctx, session).await?;
        let folder = layout::folder(&manifest.id);
        let dump = Name::new(format!("{folder}/{}", layout::SCHEMA_DUMP))?;
        let list = self.list(ctx, &dump).await?;
        let (script, made) = pipe();
        let (wanted, input) = tokio::io::duplex(256 * 1024);
        tokio::try_join!(
            self.make_script(ctx, &dump, &list, script),
            pass_on(made, wanted),
            self.run_script(ctx, db, input),
        )?;
        count(session, manifest).await
    }

    /// pg_restore makes SQL of the entries in `list`.
    async fn make_script(
        &self,
        ctx: &Ctx,
        dump: &Name,
        list: &NamedTempFile,
        mut output: DuplexStream,
    ) -> Result<()> {
        let tool = self.tool("pg_restore").await?;
        let args = [
            OsString::from("--file=-"),
            "--use-list".into(),
            list.path().into(),
        ];
        let output = ToolOutput::Writer(&mut output);
        read_archive(&tool, ctx, (&self.store, dump), &args, self.limit, output)
            .await
            .map(|_| ())
    }

    /// psql runs it.
    async fn run_script(&self, ctx: &Ctx, db: &Identity, mut input: DuplexStream) -> Result<()> {
        let tool = self.tool("psql").await?;
        let endpoint = self.endpoint.with_database(&db.name);
        let args = [
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--output=/dev/null",
            "--file=-",
        ]
        .map(OsString::from);
        let (input, output) = (ToolInput::Reader(&mut input), ToolOutput::Kept);
        tool.run_through(ctx, Some(&endpoint), &args, self.limit, input, output)
            .await
            .map(|_| ())
    }

    async fn tool(&self, name: &str) -> Result<ClientTool> {
        ClientTool::find(name, self.tools.as_deref(), &self.environment, 0).await
    }

    /// The entries of the dump's table of contents that are about large objects.
    async fn list(&self, ctx: &Ctx, dump: &Name) -> Result<NamedTempFile> {
        let tools = self.tools.as_deref();
        let archive = (&self.store, dump);
        let text = list_archive(ctx, tools, &self.environment, archive, self.limit).await?;
        let mut file = NamedTempFile::new()?;
        for line in String::from_utf8_lossy(&text)
            .lines()
            .filter(|l| is_large_object(l))
        {
            writeln!(file, "{line}")?;
        }
        file.flush()?;
        Ok(file)
    }
}

/// Hands a script on, without the setting that servers before 17 do not know.
async fn pass_on(mut made: PipeEnd, mut wanted: DuplexStream) -> Result<()> {
    let mut piece = made.head().await?;
    while let Some(bytes) = piece {
        wanted.write_all(&bytes).await.map_err(|e| {
            Error::new(ErrorKind::Program, "psql stopped reading the large objects").caused_by(e)
        })?;
        piece = made.next().await?;
    }
    Ok(())
}

/// `4921; 2613 70001 BLOB - 70001 owner`, or `BLOBS`, `BLOB METADATA`, and their comments, grants
/// and labels (`5062; 0 0 COMMENT - LARGE OBJECT 70001 owner`).
fn is_large_object(line: &str) -> bool {
    let Some(description) = line.split_once("; ").and_then(|(_, rest)| {
        let mut words = rest.splitn(3, ' ');
        words.next()?;
        words.next()?;
        words.next()
    }) else {
        return false;
    };
    let of = ["COMMENT - ", "ACL - ", "SECURITY LABEL - "];
    description.starts_with("BLOB")
        || of.iter().any(|kind| {
            let rest = description.strip_prefix(kind);
            rest.is_some_and(|name| name.starts_with("LARGE OBJECT"))
        })
}

async fn remove_all(ctx: &Ctx, session: &Session) -> Result<()> {
    loop {
        ctx.check_stop("the removal of large objects")?;
        let removed: i64 = session
            .query_one(
                "select pg_catalog.count(pg_catalog.lo_unlink(oid)) from (
                   select oid from pg_catalog.pg_largeobject_metadata limit $1) as some_of_them",
                &[&AT_ONCE],
            )
            .await
            .map_err(|e| server_error("could not remove large objects", e))?
            .get(0);
        if removed == 0 {
            return Ok(());
        }
    }
}

async fn count(session: &Session, manifest: &Manifest) -> Result<()> {
    let there: i64 = session
        .query_one(
            "select pg_catalog.count(*) from pg_catalog.pg_largeobject_metadata",
            &[],
        )
        .await
        .map_err(|e| server_error("could not count the large objects", e))?
        .get(0);
    let wanted = manifest.large_objects.count;
    if u64::try_from(there).ok() == Some(wanted) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Mismatch,
        format!("the backup holds {wanted} large objects, and {there} were restored"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_large_objects_are_known() {
        for line in [
            "4921; 2613 70001 BLOB - 70001 ks_owner",
            "4923; 0 0 BLOBS - BLOBS ",
            "4923; 0 0 BLOBS - 70001..70003 nobody",
            "4921; 2613 70001 BLOB METADATA - 70001..70004 ks_owner",
            "5062; 0 0 COMMENT - LARGE OBJECT 70001 ks_owner",
            "5063; 0 0 ACL - LARGE OBJECTS 70003..70004 nobody",
        ] {
            assert!(is_large_object(line), "{line}");
        }
        for line in [
            ";",
            "; Archive created at 2026-01-01; BLOB",
            "316; 1259 18393 TABLE ks BLOBS nobody",
            "316; 1259 18393 COMMENT ks COLUMN LARGE OBJECT nobody",
        ] {
            assert!(!is_large_object(line), "{line}");
        }
    }
}
