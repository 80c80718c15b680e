//! Applying a set of SQL files to a database.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use super::files::{Loaded, SqlFile, load, read_files};
use super::history::{Entry, History, SqlPart, State};
use super::run::FileRun;
use crate::error::{Error, Result};
use crate::event::{Ctx, Unit};
use crate::model::{BackupId, Endpoint, Identity};
use crate::spec::FileOrder;
use crate::traits::{AppliedFile, SchemaApplied, SchemaApplier, SchemaState};

const READING: &str = "reading the history of SQL files";

/// A part of the database from SQL files: its schema, or rows that are added after the restore.
/// Each part has a history of its own, so that no file is applied twice.
///
/// Each file is run in one transaction, in a session of its own with the settings that the
/// server, the role and the database say, but that its commits are durable, that the server looks whether its
/// client is there, and that the details of errors stay out of the server's log; the row in `rebuild.schema_history` that
/// records it is part of the transaction. A file with a statement that cannot be part of a transaction, with
/// several transactions of its own, or with the comment `-- rebuild: no transaction` at its top is
/// run statement by statement; left half applied, it is refused from then on.
pub struct PgSqlFiles {
    /// What the files make.
    pub part: SqlPart,
    /// The server, at any database.
    pub endpoint: Endpoint,
    /// The folder that the patterns are relative to.
    pub folder: PathBuf,
    /// Patterns of the files.
    pub patterns: Vec<String>,
    /// Their order.
    pub order: FileOrder,
    /// How long each file may take.
    pub limit: Duration,
}

#[async_trait]
impl SchemaApplier for PgSqlFiles {
    async fn look(&self, ctx: &Ctx, db: &Identity) -> Result<SchemaState> {
        let (files, _) = self.files().await?;
        let reading = async {
            let history = History::open(ctx, &self.endpoint, db, self.part).await?;
            let history = history.only_read().await?;
            let entries = history.entries().await;
            history.close().await;
            entries
        };
        let entries = ctx.within(self.limit, READING, reading).await?;
        Ok(state(&files, &entries))
    }

    async fn apply(&self, ctx: &Ctx, db: &Identity, _: &BackupId) -> Result<SchemaApplied> {
        let (files, notes) = self.files().await?;
        if files.is_empty() {
            return Ok(SchemaApplied::default());
        }
        for note in notes {
            ctx.events.info(note);
        }
        let beginning = self.begin(ctx, db, &files);
        let pending = ctx.within(self.limit, READING, beginning).await?;
        let mut applied = SchemaApplied::default();
        for (n, file) in pending.iter().enumerate() {
            ctx.check_stop(&file.path)?;
            let loaded = self.load(file).await?;
            let run = FileRun {
                ctx,
                endpoint: &self.endpoint,
                db,
                part: self.part,
                limit: self.limit,
                loaded: &loaded,
            };
            run.run().await?;
            applied.statements += loaded.statements.len() as u64;
            applied
                .applied
                .push(applied_file(&file.path, &file.checksum));
            let (done, total) = (n as u64 + 1, pending.len() as u64);
            ctx.events
                .progress(self.part.name(), done, Some(total), Unit::Items);
        }
        Ok(applied)
    }
}

impl PgSqlFiles {
    /// The files that are still to be applied; makes the history if there are any.
    async fn begin<'a>(
        &self,
        ctx: &Ctx,
        db: &Identity,
        files: &'a [SqlFile],
    ) -> Result<Vec<&'a SqlFile>> {
        let history = History::open(ctx, &self.endpoint, db, self.part).await?;
        let entries = history.entries().await?;
        let pending = pending(files, &entries)?;
        for gone in entries
            .iter()
            .filter(|e| !files.iter().any(|f| f.path == e.path))
        {
            ctx.events
                .warn(format!("{} was applied and is no longer there", gone.path));
        }
        if !pending.is_empty() {
            history.create().await?;
        }
        history.close().await;
        Ok(pending)
    }

    /// Reads and checks every file before anything is touched.
    async fn files(&self) -> Result<(Vec<SqlFile>, Vec<String>)> {
        let (folder, patterns, order) = (self.folder.clone(), self.patterns.clone(), self.order);
        tokio::task::spawn_blocking(move || read_files(&folder, &patterns, order))
            .await
            .map_err(|e| Error::internal("reading the SQL files broke off").caused_by(e))?
    }

    async fn load(&self, file: &SqlFile) -> Result<Loaded> {
        let (folder, path) = (self.folder.clone(), file.path.clone());
        let loaded = tokio::task::spawn_blocking(move || load(&folder, &path))
            .await
            .map_err(|e| Error::internal("reading a SQL file broke off").caused_by(e))??;
        if loaded.file == *file {
            return Ok(loaded);
        }
        Err(Error::refused(format!(
            "{} changed while the files were being applied",
            file.path
        )))
    }
}

fn applied_file(path: &str, checksum: &str) -> AppliedFile {
    AppliedFile {
        path: path.to_owned(),
        checksum: checksum.to_owned(),
    }
}

fn entry<'a>(entries: &'a [Entry], file: &SqlFile) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.path == file.path)
}

fn state(files: &[SqlFile], entries: &[Entry]) -> SchemaState {
    let whole = |entry: &&Entry| entry.state == State::Whole;
    let is_changed =
        |file: &&SqlFile| entry(entries, file).is_some_and(|entry| entry.checksum != file.checksum);
    let is_pending = |file: &&SqlFile| entry(entries, file).filter(whole).is_none();
    let paths = |files: Vec<&SqlFile>| files.iter().map(|file| file.path.clone()).collect();
    SchemaState {
        files: files
            .iter()
            .map(|file| applied_file(&file.path, &file.checksum))
            .collect(),
        applied: entries
            .iter()
            .filter(whole)
            .map(|entry| applied_file(&entry.path, &entry.checksum))
            .collect(),
        pending: paths(files.iter().filter(is_pending).collect()),
        changed: paths(files.iter().filter(is_changed).collect()),
        migration: None,
    }
}

/// The files that are still to be applied.
fn pending<'a>(files: &'a [SqlFile], entries: &[Entry]) -> Result<Vec<&'a SqlFile>> {
    const ANEW: &str = "discard the staged database, and let it be made anew";
    if let Some(half) = entries.iter().find(|entry| entry.state == State::Half) {
        return Err(Error::refused(format!(
            "{} is half applied: its statements run without a transaction, and not all of them are known to have been run",
            half.path
        ))
        .hint(ANEW));
    }
    let mut pending = Vec::new();
    for file in files {
        match entry(entries, file) {
            None => pending.push(file),
            Some(entry) if entry.checksum == file.checksum => {}
            Some(_) => {
                return Err(
                    Error::refused(format!("{} changed after it was applied", file.path))
                        .hint(ANEW),
                );
            }
        }
    }
    Ok(pending)
}

#[cfg(test)]
mod tests {
    use super::super::files::Mode;
    use super::*;

    fn file(path: &str, checksum: &str) -> SqlFile {
        SqlFile {
            path: path.into(),
            checksum: checksum.into(),
            mode: Mode::Wrapped,
        }
    }

    fn entry_of(path: &str, checksum: &str, state: State) -> Entry {
        Entry {
            path: path.into(),
            checksum: checksum.into(),
            state,
        }
    }

    #[test]
    fn what_is_left_to_do() {
        let files = [file("a", "1"), file("b", "1"), file("c", "1")];
        let entries = [
            entry_of("a", "1", State::Whole),
            entry_of("b", "1", State::Whole),
        ];
        let left = pending(&files, &entries).expect("pending");
        assert_eq!(left, [&files[2]]);

        let entries = [
            entry_of("a", "1", State::Whole),
            entry_of("b", "2", State::Whole),
        ];
        let error = pending(&files, &entries).expect_err("changed");
        assert_eq!(error.to_string(), "b changed after it was applied");
        let found = state(&files, &entries);
        assert_eq!(found.changed, ["b"]);
        assert_eq!(found.pending, ["c"]);
        assert_eq!(found.applied.len(), 2);
        let now = ["a", "b", "c"].map(|path| applied_file(path, "1"));
        assert_eq!(found.files, now);

        let entries = [entry_of("a", "1", State::Half)];
        let error = pending(&files, &entries).expect_err("half");
        assert!(error.to_string().starts_with("a is half applied"));
        assert_eq!(state(&files, &entries).pending, ["a", "b", "c"]);
    }
}
