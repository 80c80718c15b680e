//! The schema and the large objects, by pg_dump.

use std::ffi::OsString;
use std::io::Write;

use zstd::stream::write::Encoder;

use super::files::HashedFile;
use super::large_objects::LargeObjectScript;
use super::layout::{LARGE_OBJECTS, POST_DATA, PRE_DATA, SCHEMA_DUMP};
use super::manifest::{FileEntry, LargeObjectEntry};
use super::tools::{PipeEnd, Tools, pipe};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::Endpoint;
use crate::postgres::rows::RowOptions;
use crate::store::{Name, Store};
use crate::traits::BackupMode;

/// What is dumped, from where, and where it goes.
pub(super) struct SchemaDump<'a> {
    pub(super) ctx: &'a Ctx,
    /// The database itself.
    pub(super) endpoint: &'a Endpoint,
    /// The id of the exported snapshot.
    pub(super) snapshot: &'a str,
    /// The database's own.
    pub(super) encoding: &'a str,
    pub(super) mode: BackupMode,
    pub(super) large_objects: bool,
    pub(super) privileges: bool,
    pub(super) options: &'a RowOptions,
    pub(super) tools: Tools,
    pub(super) store: &'a Store,
    /// The backup's folder.
    pub(super) folder: &'a Name,
}

/// What was stored.
pub(super) struct Dumped {
    pub(super) files: Vec<FileEntry>,
    pub(super) tools: Vec<(String, String)>,
    /// The large objects, as they can be read back from the dump.
    pub(super) large_objects: LargeObjectEntry,
}

impl SchemaDump<'_> {
    /// Dumps, and reads the dump back into SQL.
    ///
    /// # Errors
    /// pg_dump or pg_restore failed, or the store could not be written.
    pub(super) async fn run(self) -> Result<Dumped> {
        let mut files = vec![self.dump().await?];
        for (section, file) in [("pre-data", PRE_DATA), ("post-data", POST_DATA)] {
            files.push(self.section(section, file).await?);
        }
        let mut large_objects = LargeObjectEntry::default();
        if self.large_objects {
            let (file, sum) = self.large_objects().await?;
            files.push(file);
            large_objects = sum;
        }
        Ok(Dumped {
            files,
            tools: self.tools.versions(),
            large_objects,
        })
    }

    async fn dump(&self) -> Result<FileEntry> {
        let mut args: Vec<OsString> = vec![
            "--format=custom".into(),
            format!("--snapshot={}", self.snapshot).into(),
            format!("--lock-wait-timeout={}", self.options.lock_wait.as_millis()).into(),
        ];
        match self.mode {
            BackupMode::Full => {
                let blobs = if self.large_objects {
                    "--blobs"
                } else {
                    "--no-blobs"
                };
                args.extend([blobs.into(), "--exclude-table-data=*.*".into()]);
            }
            _ => args.push("--schema-only".into()),
        }
        if !self.privileges {
            args.extend(["--no-publications".into(), "--no-subscriptions".into()]);
        }
        // Whoever reads the scripts takes them for UTF-8. Of SQL_ASCII nothing can be converted.
        if self.encoding != "SQL_ASCII" {
            args.push("--encoding=UTF8".into());
        }
        let (pipe, output) = pipe();
        let (run, file) = tokio::try_join!(
            self.tools.dump(self.ctx, self.endpoint, &args, pipe),
            self.archive(output)
        )?;
        for warning in run.stderr.lines() {
            self.ctx.events.warn(warning);
        }
        // The file appears only once the program is known to have done all its work.
        file.finish().await
    }

    async fn section(&self, section: &str, file: &str) -> Result<FileEntry> {
        let archive = self.folder.join(SCHEMA_DUMP)?;
        let mut args = vec![OsString::from(format!("--section={section}"))];
        if !self.privileges {
            args.extend(["--no-owner".into(), "--no-privileges".into()]);
        }
        let (pipe, output) = pipe();
        let (_, file) = tokio::try_join!(
            self.tools
                .restore(self.ctx, (self.store, &archive), args, pipe),
            self.script(file, output)
        )?;
        file.finish().await
    }

    async fn archive(&self, mut output: PipeEnd) -> Result<HashedFile> {
        let mut file = HashedFile::create(self.store, self.folder, SCHEMA_DUMP).await?;
        while let Some(piece) = output.next().await? {
            file.write(&piece).await?;
        }
        Ok(file)
    }

    async fn script(&self, file: &str, mut output: PipeEnd) -> Result<HashedFile> {
        let mut file = HashedFile::create(self.store, self.folder, file).await?;
        let mut piece = output.head().await?;
        while let Some(bytes) = piece {
            file.write(&bytes).await?;
            piece = output.next().await?;
        }
        Ok(file)
    }

    async fn large_objects(&self) -> Result<(FileEntry, LargeObjectEntry)> {
        let archive = self.folder.join(SCHEMA_DUMP)?;
        let (pipe, mut output) = pipe();
        let take = async {
            let mut file = HashedFile::create(self.store, self.folder, LARGE_OBJECTS).await?;
            let mut script = LargeObjectScript::default();
            let mut encoder = Encoder::new(Vec::new(), self.options.level).map_err(compression)?;
            encoder.include_checksum(true).map_err(compression)?;
            let mut piece = output.head().await?;
            while let Some(bytes) = piece {
                script.feed(&bytes)?;
                encoder.write_all(&bytes).map_err(compression)?;
                file.write(&std::mem::take(encoder.get_mut())).await?;
                piece = output.next().await?;
            }
            file.write(&encoder.finish().map_err(compression)?).await?;
            Ok((file, script.finish()))
        };
        let data = vec!["--section=data".into()];
        let (_, (file, sum)) = tokio::try_join!(
            self.tools
                .restore(self.ctx, (self.store, &archive), data, pipe),
            take
        )?;
        Ok((file.finish().await?, sum))
    }
}

fn compression(e: std::io::Error) -> Error {
    Error::internal("the large objects could not be compressed").caused_by(e)
}
