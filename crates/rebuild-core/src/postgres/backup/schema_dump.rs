//! The schema and the large objects, by pg_dump.

use std::io::Write;
use std::path::Path;

use zstd::stream::write::Encoder;

use super::files::HashedFile;
use super::large_objects::LargeObjectScript;
use super::layout::{LARGE_OBJECTS, POST_DATA, PRE_DATA, SCHEMA_DUMP};
use super::manifest::{FileEntry, LargeObjectEntry};
use super::programs::{Input, LibpqAccess, Program};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::Endpoint;
use crate::postgres::application;
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
    pub(super) mode: BackupMode,
    pub(super) options: &'a RowOptions,
    pub(super) tools: Tools,
    pub(super) store: &'a Store,
    /// The backup's folder.
    pub(super) folder: &'a Name,
}

/// The programs that belong together.
pub(super) struct Tools {
    pub(super) dump: Program,
    pub(super) restore: Program,
}

impl Tools {
    /// Finds both.
    ///
    /// # Errors
    /// One is missing, or older than the server.
    pub(super) async fn find(folder: Option<&Path>, server_major: u32) -> Result<Self> {
        Ok(Self {
            dump: Program::find("pg_dump", folder, server_major).await?,
            restore: Program::find("pg_restore", folder, server_major).await?,
        })
    }

    fn versions(&self) -> Vec<(String, String)> {
        vec![
            ("pg_dump".to_owned(), self.dump.version.clone()),
            ("pg_restore".to_owned(), self.restore.version.clone()),
        ]
    }
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
        if self.mode == BackupMode::Full {
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
        let access = LibpqAccess::new(self.endpoint, &application(self.ctx))?;
        let mut command = self.tools.dump.command();
        access.give_to(&mut command);
        command
            .args(["--format=custom", "--no-password"])
            .arg(format!("--snapshot={}", self.snapshot))
            .arg(format!(
                "--lock-wait-timeout={}",
                self.options.lock_wait.as_millis()
            ));
        match self.mode {
            BackupMode::Full => command.args(["--blobs", "--exclude-table-data=*.*"]),
            _ => command.arg("--schema-only"),
        };
        let mut running = self.tools.dump.start(command, Input::None)?;
        let mut file = HashedFile::create(self.store, self.folder, SCHEMA_DUMP).await?;
        while let Some(piece) = running.next(self.ctx, self.options.stall).await? {
            file.write(&piece).await?;
        }
        // The file appears only once the program is known to have done all its work.
        for warning in running.finish(self.ctx, self.options.stall).await? {
            self.ctx.events.warn(warning);
        }
        file.finish().await
    }

    fn restore(&self, section: &str) -> Result<super::programs::Running> {
        let mut command = self.tools.restore.command();
        command
            .arg(format!("--section={section}"))
            .args(["--file", "-"]);
        let input = Input::Object(self.store.clone(), self.folder.join(SCHEMA_DUMP)?);
        self.tools.restore.start(command, input)
    }

    async fn section(&self, section: &str, file: &str) -> Result<FileEntry> {
        let mut running = self.restore(section)?;
        let mut file = HashedFile::create(self.store, self.folder, file).await?;
        while let Some(piece) = running.next(self.ctx, self.options.stall).await? {
            file.write(&piece).await?;
        }
        running.finish(self.ctx, self.options.stall).await?;
        file.finish().await
    }

    async fn large_objects(&self) -> Result<(FileEntry, LargeObjectEntry)> {
        let mut running = self.restore("data")?;
        let mut file = HashedFile::create(self.store, self.folder, LARGE_OBJECTS).await?;
        let mut script = LargeObjectScript::default();
        let mut encoder = Encoder::new(Vec::new(), self.options.level).map_err(compression)?;
        encoder.include_checksum(true).map_err(compression)?;
        while let Some(piece) = running.next(self.ctx, self.options.stall).await? {
            script.feed(&piece)?;
            encoder.write_all(&piece).map_err(compression)?;
            file.write(&std::mem::take(encoder.get_mut())).await?;
        }
        running.finish(self.ctx, self.options.stall).await?;
        file.write(&encoder.finish().map_err(compression)?).await?;
        Ok((file.finish().await?, script.finish()))
    }
}

fn compression(e: std::io::Error) -> Error {
    Error::internal("the large objects could not be compressed").caused_by(e)
}
