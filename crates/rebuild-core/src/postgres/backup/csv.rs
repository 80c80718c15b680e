//! Rows as CSV, compressed, for people and other programs.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use futures::StreamExt;
use zstd::stream::write::Encoder;

use super::layout;
use super::manifest::{FileEntry, Manifest};
use super::shelf::Shelf;
use super::zstd_stream::Inflater;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, TableName};
use crate::postgres::rows::copy_out::PieceWork;

/// Compressed bytes that are handed on at a time.
const PART: usize = 1 << 20;

/// What the file of an export is called until it is whole.
const UNFINISHED: &str = ".unfinished";

/// Compresses a stream as one zstd frame.
pub(super) struct CsvPacker(Encoder<'static, Vec<u8>>);

impl CsvPacker {
    /// At zstd's `level`.
    ///
    /// # Errors
    /// zstd does not know the level.
    pub(super) fn new(level: i32) -> Result<Self> {
        let mut encoder = Encoder::new(Vec::new(), level).map_err(compression)?;
        encoder.include_checksum(true).map_err(compression)?;
        Ok(Self(encoder))
    }

    /// The last bytes.
    ///
    /// # Errors
    /// zstd failed.
    pub(super) fn finish(self) -> Result<Vec<u8>> {
        self.0.finish().map_err(compression)
    }
}

impl PieceWork for CsvPacker {
    type Ready = Vec<u8>;

    fn take(&mut self, piece: BytesMut) -> Result<Option<Vec<u8>>> {
        self.0.write_all(&piece).map_err(compression)?;
        let out = self.0.get_mut();
        Ok((out.len() >= PART).then(|| std::mem::take(out)))
    }
}

fn compression(e: std::io::Error) -> Error {
    Error::internal("bytes could not be compressed").caused_by(e)
}

/// Writes the CSV files of a backup into `folder`, decompressed, with a list of their tables. Nobody
/// but this user may read them.
///
/// *Repeats:* a folder that is not empty is a refusal: an export replaces nothing. One that fails
/// leaves no file.
///
/// # Errors
/// The backup has none, one is damaged, or the folder cannot be written.
pub(super) async fn export(
    ctx: &Ctx,
    shelf: &Shelf,
    manifest: &Manifest,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let files: Vec<(&String, &TableName)> = manifest
        .tables
        .iter()
        .filter_map(|t| Some((t.csv.as_ref()?, &t.table)))
        .collect();
    if files.len() != manifest.tables.len() {
        return Err(Error::refused(format!(
            "backup {} was taken without CSV files",
            manifest.id
        ))
        .hint("set csv = true in the spec's [backup] section before the backup is taken"));
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let mut there = tokio::fs::read_dir(folder).await?;
    if there.next_entry().await?.is_some() {
        return Err(Error::refused(format!("{} is not empty", folder.display()))
            .hint("name a folder that is new or empty"));
    }
    let mut written = Vec::new();
    let done = export_all(ctx, shelf, manifest, &files, folder, &mut written).await;
    if done.is_err() {
        // A part would pass for the whole, and stand in the way of the next attempt.
        for path in [&folder.join(UNFINISHED)].into_iter().chain(&written) {
            let _ = tokio::fs::remove_file(path).await;
        }
    }
    done.map(|()| written)
}

/// Writes each of `files` under its name once it is whole, and tells `written` of it.
async fn export_all(
    ctx: &Ctx,
    shelf: &Shelf,
    manifest: &Manifest,
    files: &[(&String, &TableName)],
    folder: &Path,
    written: &mut Vec<PathBuf>,
) -> Result<()> {
    let unfinished = folder.join(UNFINISHED);
    let mut tables = BTreeMap::new();
    for (file, table) in files {
        ctx.check_stop("the export")?;
        let name = file.trim_start_matches("csv/").trim_end_matches(".zst");
        let path = folder.join(name);
        inflate(shelf, &manifest.id, manifest.file(file)?, &unfinished)
            .await
            .map_err(|e| e.context(format!("could not export {file} to {}", path.display())))?;
        tokio::fs::rename(&unfinished, &path).await?;
        tables.insert(name.trim_end_matches(".csv"), *table);
        written.push(path);
    }
    // The name of a file is not always that of its table.
    let list = serde_json::to_vec_pretty(&tables)
        .map_err(|e| Error::internal("the list of tables has no JSON form").caused_by(e))?;
    create(&unfinished)?.write_all(&list)?;
    tokio::fs::rename(&unfinished, folder.join(layout::CSV_TABLES)).await?;
    Ok(())
}

/// A new file for rows, which are for nobody but whoever asked for them.
fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

async fn inflate(shelf: &Shelf, id: &BackupId, entry: &FileEntry, path: &Path) -> Result<()> {
    let mut out = std::io::BufWriter::new(create(path)?);
    let mut hasher = blake3::Hasher::new();
    let mut inflater = Inflater::new()?;
    let name = shelf.folder(id)?.join(&entry.file)?;
    let mut pieces = shelf.store.stream(&name).await?;
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        hasher.update(&piece);
        inflater.feed(&piece, |plain| Ok(out.write_all(plain)?))?;
    }
    inflater.end()?;
    if hasher.finalize().to_hex().as_str() != entry.blake3 {
        return Err(Error::corrupt(
            "it does not have the checksum that the manifest says",
        ));
    }
    out.flush()?;
    Ok(())
}
