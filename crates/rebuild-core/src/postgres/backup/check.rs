//! Proving a backup: everything is read back.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;

use super::PgBackup;
use super::check_rows::{ReadBack, RowFindings, chunks_of, read_chunks};
use super::large_objects::LargeObjectScript;
use super::layout::{LARGE_OBJECTS, MANIFEST, POST_DATA, PRE_DATA, SCHEMA_DUMP};
use super::manifest::{FileEntry, LargeObjectEntry, Manifest};
use super::shared::read_by;
use super::toc::Toc;
use super::tools::list_archive;
use super::zstd_stream::Inflater;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Outcome, Verdict};
use crate::postgres::restore::for_a_session;
use crate::postgres::schema::split;
use crate::store::{Name, Store};
use crate::traits::{BackupMode, BackupSummary};
use crate::work::Crew;

/// Who reads the rows back.
pub(super) enum Readers<'a> {
    /// This process.
    Us,
    /// Somebody did, and that is what he read.
    Done(ReadBack),
    /// Workers, each its share.
    Crew(&'a dyn Crew),
}

/// As [`Backup::check`](crate::traits::Backup::check), with the rows read by `readers`.
pub(super) async fn check(
    backup: &PgBackup,
    ctx: &Ctx,
    id: &BackupId,
    readers: Readers<'_>,
) -> Result<(BackupSummary, Verdict)> {
    let shelf = backup.shelf();
    let manifest = shelf.manifest(id).await?;
    let checking = Checking {
        backup,
        ctx,
        folder: shelf.folder(id)?,
        manifest: &manifest,
    };
    let verdict = checking.run(readers).await?;
    Ok((manifest.summary(), verdict))
}

struct Checking<'a> {
    backup: &'a PgBackup,
    ctx: &'a Ctx,
    folder: Name,
    manifest: &'a Manifest,
}

impl Checking<'_> {
    async fn run(&self, readers: Readers<'_>) -> Result<Verdict> {
        let mut verdict = Verdict::default();
        // Files that are missing or of another size are named once and not read.
        let whole = self.files(&mut verdict).await?;
        let sound = self.checksums(&mut verdict, &whole).await?;
        self.rows(&mut verdict, &whole, readers).await?;
        if self.manifest.mode != BackupMode::CountsOnly {
            self.schema(&mut verdict, &sound).await?;
        }
        if self.manifest.mode == BackupMode::Full {
            self.large_objects(&mut verdict, &sound).await?;
        }
        self.plausibility(&mut verdict);
        Ok(verdict)
    }

    /// Nothing is missing, nothing is extra, every size is right. Returns the files that are.
    async fn files(&self, verdict: &mut Verdict) -> Result<BTreeSet<String>> {
        let (stored, mut complaints) = self.listing().await?;
        let mut whole = BTreeSet::new();
        let mut bytes = 0;
        for (file, size, _) in self.manifest.expected_files() {
            bytes += size;
            match stored.get(file) {
                None => complaints.push(format!("{file} is missing")),
                Some(found) if *found != size => {
                    complaints.push(format!("{file} has {found} bytes, not {size}"));
                }
                Some(_) => {
                    whole.insert(file.to_owned());
                }
            }
        }
        let expected: BTreeSet<&str> = self.manifest.expected_files().map(|(f, ..)| f).collect();
        for file in stored.keys() {
            if file != MANIFEST && !expected.contains(file.as_str()) {
                complaints.push(format!("{file} does not belong to the backup"));
            }
        }
        let looked_at = format!("{} files, {bytes} bytes", expected.len());
        verdict.add_complaints("files", looked_at, complaints);
        Ok(whole)
    }

    /// What is in the folder. A name that no backup has is a complaint and ends the listing.
    async fn listing(&self) -> Result<(BTreeMap<String, u64>, Vec<String>)> {
        match self.backup.shelf().files(&self.manifest.id).await {
            Ok(stored) => Ok((stored, Vec::new())),
            Err(e) if e.kind() == ErrorKind::Corrupt => Ok((BTreeMap::new(), vec![e.chain()])),
            Err(e) => Err(e),
        }
    }

    /// Every file that is no chunk has its checksum. Returns those that do.
    async fn checksums(
        &self,
        verdict: &mut Verdict,
        whole: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>> {
        let mut sound = BTreeSet::new();
        let mut complaints = Vec::new();
        for entry in &self.manifest.files {
            if !whole.contains(&entry.file) {
                continue;
            }
            self.ctx.check_stop("the check of the backup")?;
            match self.checksum(entry).await? {
                None => {
                    sound.insert(entry.file.clone());
                }
                Some(complaint) => complaints.push(complaint),
            }
        }
        let looked_at = format!("{} files", self.manifest.files.len());
        verdict.add_complaints("checksums", looked_at, complaints);
        Ok(sound)
    }

    async fn checksum(&self, entry: &FileEntry) -> Result<Option<String>> {
        let mut hasher = blake3::Hasher::new();
        let mut inflater = match entry.file.ends_with(".zst") {
            true => Some(Inflater::new()?),
            false => None,
        };
        let mut pieces = self
            .backup
            .store
            .stream(&self.folder.join(&entry.file)?)
            .await?;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            hasher.update(&piece);
            if let Some(inflater) = &mut inflater
                && let Err(e) = inflater.feed(&piece, |_| Ok(()))
            {
                return Ok(Some(format!("{}: {}", entry.file, e.chain())));
            }
        }
        if hasher.finalize().to_hex().as_str() != entry.blake3 {
            return Ok(Some(format!(
                "{} does not have the checksum that the manifest says",
                entry.file
            )));
        }
        Ok(match inflater.map(Inflater::end) {
            Some(Err(e)) => Some(format!("{}: {}", entry.file, e.chain())),
            _ => None,
        })
    }

    /// Every chunk is read and its rows are counted and added up.
    async fn rows(
        &self,
        verdict: &mut Verdict,
        whole: &BTreeSet<String>,
        readers: Readers<'_>,
    ) -> Result<()> {
        if self.manifest.mode == BackupMode::CountsOnly {
            return Ok(());
        }
        let chunks = || chunks_of(self.manifest, whole);
        let store = &self.backup.store;
        let read = match readers {
            Readers::Done(read) => read,
            Readers::Us => {
                let jobs = self.backup.options.jobs;
                read_chunks(self.ctx, store, &self.folder, chunks(), jobs).await?
            }
            Readers::Crew(crew) => read_by(self.ctx, store, self.manifest, &chunks(), crew).await?,
        };
        let RowFindings {
            chunks,
            rows,
            chunk_complaints,
            table_complaints,
        } = read.findings(self.manifest);
        verdict.add_complaints("chunks", format!("{chunks} chunks"), chunk_complaints);
        let looked_at = format!("{} tables, {rows} rows", self.manifest.tables.len());
        verdict.add_complaints("rows", looked_at, table_complaints);
        Ok(())
    }

    /// pg_restore can read the archive, and it defines every table.
    async fn schema(&self, verdict: &mut Verdict, sound: &BTreeSet<String>) -> Result<()> {
        if !sound.contains(SCHEMA_DUMP) {
            let why = format!("{SCHEMA_DUMP} is damaged");
            verdict.add("schema", "nothing", Outcome::NotRun(why));
            return Ok(());
        }
        let archive = self.folder.join(SCHEMA_DUMP)?;
        let listing = list_archive(
            self.ctx,
            self.backup.tool_folder.as_deref(),
            &self.backup.environment,
            (&self.backup.store, &archive),
            self.backup.options.statement_limit,
        );
        let listing = match listing.await {
            Ok(listing) => listing,
            Err(e) if e.kind() == ErrorKind::Program => {
                let why = format!("{SCHEMA_DUMP}: {}", e.chain());
                verdict.add("schema", SCHEMA_DUMP, Outcome::Failed(vec![why]));
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        let toc = Toc::read(&listing, &self.manifest.encoding);
        let missing = self
            .manifest
            .tables
            .iter()
            // An extension makes its own tables.
            .filter(|t| t.condition.is_none() && !toc.has_table(&t.table))
            .map(|t| format!("{SCHEMA_DUMP} does not define table {}", t.table))
            .collect();
        let mut complaints: Vec<String> = missing;
        complaints.extend(self.unreadable_scripts(sound).await?);
        let looked_at = format!("{} entries", toc.len());
        verdict.add_complaints("schema", looked_at, complaints);
        Ok(())
    }

    /// The scripts that a restore runs, where they do not fall into statements.
    async fn unreadable_scripts(&self, sound: &BTreeSet<String>) -> Result<Vec<String>> {
        let mut unreadable = Vec::new();
        for script in [PRE_DATA, POST_DATA] {
            if sound.contains(script) {
                let sql = self.backup.shelf().text(self.manifest, script).await?;
                let fault = split(&for_a_session(&sql)).err();
                unreadable.extend(fault.map(|fault| fault.in_file(script).chain()));
            }
        }
        Ok(unreadable)
    }

    async fn large_objects(&self, verdict: &mut Verdict, sound: &BTreeSet<String>) -> Result<()> {
        let expected = &self.manifest.large_objects;
        let looked_at = format!("{} objects, {} bytes", expected.count, expected.bytes);
        let outcome = if sound.contains(LARGE_OBJECTS) {
            let name = self.folder.join(LARGE_OBJECTS)?;
            match read_large_objects(&self.backup.store, &name).await {
                Ok(found) if found == *expected => Outcome::Passed,
                Ok(found) => Outcome::Failed(vec![format!(
                    "{LARGE_OBJECTS} holds {} objects and {} bytes, and not the same",
                    found.count, found.bytes
                )]),
                Err(e) if e.kind() == ErrorKind::Corrupt => {
                    Outcome::Failed(vec![format!("{LARGE_OBJECTS}: {}", e.chain())])
                }
                Err(e) => return Err(e),
            }
        } else {
            Outcome::NotRun(format!("{LARGE_OBJECTS} is damaged"))
        };
        verdict.add("large objects", looked_at, outcome);
        Ok(())
    }

    /// It could be a copy of what it says it is a copy of.
    fn plausibility(&self, verdict: &mut Verdict) {
        let manifest = self.manifest;
        let tables = manifest.tables.len();
        let mut complaints = Vec::new();
        if manifest.catalog_tables != tables as u64 {
            complaints.push(format!(
                "it holds {tables} tables, and the catalog counted {}",
                manifest.catalog_tables
            ));
        }
        let rows: u64 = manifest.tables.iter().map(|t| t.rows).sum();
        let own = manifest.tables.iter().filter(|t| t.condition.is_none());
        let believed: u64 = own.filter_map(|t| t.estimated_rows).sum();
        if manifest.mode != BackupMode::SchemaOnly && rows == 0 && believed > 0 {
            complaints.push(format!(
                "it holds no row at all, and the server believed in about {believed}; if they \
                 were deleted, ANALYZE the database and take another backup"
            ));
        }
        let looked_at = format!("{tables} tables, {rows} rows, about {believed} expected");
        verdict.add_complaints("plausibility", looked_at, complaints);
    }
}

async fn read_large_objects(store: &Store, name: &Name) -> Result<LargeObjectEntry> {
    let mut script = LargeObjectScript::default();
    let mut inflater = Inflater::new()?;
    let mut pieces = store.stream(name).await?;
    while let Some(piece) = pieces.next().await {
        inflater.feed(&piece?, |plain| script.feed(plain))?;
    }
    inflater.end()?;
    Ok(script.finish())
}

/// The error of a task that ended early.
pub(super) fn ended_early(e: tokio::task::JoinError) -> Error {
    Error::internal("the check ended early").caused_by(e)
}
