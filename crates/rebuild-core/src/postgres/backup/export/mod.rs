//! A backup as files that other programs read: one file of SQL, or a CSV file for each table.

mod csv;
mod folder;
mod rows;
mod sql;
mod stored;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::shelf::Shelf;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::traits::BackupMode;

use folder::Folder;

/// As what a backup is exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// A CSV file with a header for each table, and a list of them.
    #[default]
    Csv,
    /// One file of SQL, schema and rows, that psql loads.
    Sql,
}

/// What is exported, and from where.
struct Export<'a> {
    ctx: &'a Ctx,
    shelf: &'a Shelf,
    manifest: &'a Manifest,
}

/// Writes the backup of `manifest` into `folder`, which nobody but this user may read; gives the
/// files. Whatever is read of the backup is compared with the manifest.
///
/// *Repeats:* a folder that is not empty is a refusal: an export replaces nothing. One that fails
/// leaves no file.
///
/// # Errors
/// The backup does not hold what is asked for, something in it is damaged, or the folder cannot be
/// written.
pub(super) async fn export(
    ctx: &Ctx,
    shelf: &Shelf,
    manifest: &Manifest,
    folder: &Path,
    format: ExportFormat,
) -> Result<Vec<PathBuf>> {
    let id = &manifest.id;
    match (format, manifest.mode) {
        (ExportFormat::Csv, BackupMode::Full)
        | (ExportFormat::Sql, BackupMode::Full | BackupMode::SchemaOnly) => {}
        (ExportFormat::Csv, _) => {
            return Err(Error::refused(format!("backup {id} holds no rows")));
        }
        (ExportFormat::Sql, _) => {
            return Err(Error::refused(format!(
                "backup {id} holds neither schema nor rows"
            )));
        }
    }
    let export = Export {
        ctx,
        shelf,
        manifest,
    };
    let mut folder = Folder::open(folder).await?;
    let done = match format {
        ExportFormat::Csv => export.csv(&mut folder).await,
        ExportFormat::Sql => export.sql(&mut folder).await,
    };
    match done {
        Ok(()) => Ok(folder.written),
        Err(e) => {
            folder.clear().await;
            Err(e)
        }
    }
}
