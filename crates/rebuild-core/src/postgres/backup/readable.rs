//! What a restore reads of a backup, looked at before anything is made of it.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use futures::StreamExt;

use super::check_rows::{chunks_of, damaged_chunks};
use super::layout::{POST_DATA, PRE_DATA, ROLES, SCHEMA_DUMP};
use super::manifest::{Manifest, TableEntry};
use super::shelf::Shelf;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::BackupId;
use crate::store::Name;
use crate::traits::BackupMode;

/// Files that an error names one by one.
const NAMED: usize = 10;

impl Shelf {
    /// The files of the backup `id`, with their sizes in bytes.
    ///
    /// # Errors
    /// The store could not be read, or holds a name that no backup has.
    pub(super) async fn files(&self, id: &BackupId) -> Result<BTreeMap<String, u64>> {
        let folder = self.folder(id)?;
        let inside = format!("{folder}/");
        let listed = self.store.list(&folder).await;
        let stored = listed.map_err(|e| e.context(format!("could not list backup {id}")))?;
        let files = stored.into_iter().filter_map(|s| {
            let file = s.name.as_str().strip_prefix(&inside)?.to_owned();
            Some((file, s.size))
        });
        Ok(files.collect())
    }

    /// Makes sure, by one listing of the store, that the files that a restore needs are there
    /// with the sizes that `manifest` says: its scripts, and the chunks of the tables that
    /// `wanted` picks.
    ///
    /// # Errors
    /// The backup holds no rows; a file is missing or has another size, each by its name; the
    /// store could not be read.
    pub(in crate::postgres) async fn require_files(
        &self,
        manifest: &Manifest,
        wanted: impl Fn(&TableEntry) -> bool,
    ) -> Result<()> {
        let id = &manifest.id;
        if manifest.mode != BackupMode::Full {
            return Err(Error::refused(format!("backup {id} holds no rows")));
        }
        let stored = self.files(id).await?;
        let scripts = scripts(manifest)
            .map(|file| manifest.file(file).map(|f| (&f.file, f.stored_bytes)))
            .collect::<Result<Vec<_>>>()?;
        let tables = manifest.tables.iter().filter(|t| wanted(t));
        let chunks = tables.flat_map(|t| t.chunks.iter().map(|c| (&c.file, c.stored_bytes)));
        let mut complaints = Vec::new();
        for (file, size) in scripts.into_iter().chain(chunks) {
            match stored.get(file) {
                None => complaints.push(format!("{file} is missing")),
                Some(found) if *found != size => {
                    complaints.push(format!("{file} has {found} bytes, not {size}"));
                }
                Some(_) => {}
            }
        }
        none_damaged(id, complaints)
    }

    /// Makes sure that the chunks of the tables that `wanted` picks have the checksums that `manifest` says,
    /// by reading all of them, `workers` at a time.
    ///
    /// # Errors
    /// Some do not, each by its name; the store could not be read; the operator stopped.
    pub(in crate::postgres) async fn require_chunks(
        &self,
        ctx: &Ctx,
        manifest: &Manifest,
        wanted: impl Fn(&TableEntry) -> bool,
        workers: NonZeroUsize,
    ) -> Result<()> {
        let tables = manifest.tables.iter().filter(|t| wanted(t));
        let files = tables.flat_map(|t| t.chunks.iter().map(|c| c.file.clone()));
        let chunks = chunks_of(manifest, &files.collect());
        let folder = self.folder(&manifest.id)?;
        let reading = damaged_chunks(ctx, &self.store, &folder, chunks, workers);
        none_damaged(&manifest.id, reading.await?)
    }

    /// Makes sure that the scripts that a restore runs have the checksums that `manifest` says.
    ///
    /// # Errors
    /// One does not, by its name; the store could not be read.
    pub(in crate::postgres) async fn require_scripts(&self, manifest: &Manifest) -> Result<()> {
        for file in scripts(manifest) {
            let entry = manifest.file(file)?;
            let name = self.folder(&manifest.id)?.join(file)?;
            if self.checksum(&name).await? != entry.blake3 {
                let why = format!("{file} does not have the checksum that the manifest says");
                return Err(damaged(&manifest.id, &why));
            }
        }
        Ok(())
    }

    async fn checksum(&self, name: &Name) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        let mut pieces = self.store.stream(name).await?;
        while let Some(piece) = pieces.next().await {
            hasher.update(&piece?);
        }
        Ok(hasher.finalize().to_hex().to_string())
    }
}

/// The files that a restore reads besides the chunks.
fn scripts(manifest: &Manifest) -> impl Iterator<Item = &'static str> {
    // The large objects are in the dump; its schema is in the scripts as well.
    let dump = (manifest.large_objects.count > 0).then_some(SCHEMA_DUMP);
    [PRE_DATA, POST_DATA, ROLES].into_iter().chain(dump)
}

fn none_damaged(id: &BackupId, mut complaints: Vec<String>) -> Result<()> {
    if complaints.is_empty() {
        return Ok(());
    }
    let more = complaints.len().saturating_sub(NAMED);
    complaints.truncate(NAMED);
    if more > 0 {
        complaints.push(format!("and {more} more files"));
    }
    Err(damaged(id, &complaints.join("; ")))
}

fn damaged(id: &BackupId, why: &str) -> Error {
    Error::corrupt(format!("backup {id} is damaged: {why}"))
        .hint("restore another backup; see what there is with: rebuild backups list")
}
