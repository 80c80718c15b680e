//! The manifest: what a backup holds, down to the checksum of every file.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::layout::{MANIFEST, check_file_name};
use crate::error::{Error, Result};
use crate::model::{
    BackupId, ContentHash, DatabaseFacts, Identity, RowForm, TableFingerprint, TableKind, TableName,
};
use crate::postgres::WriteMarks;
use crate::postgres::rows::TypeShape;
use crate::postgres::rows::columns::LiveColumn;
use crate::sealed;
use crate::traits::{BackupMode, BackupSummary};

/// The version of the format that this crate writes. It reads this one and older ones.
pub const FORMAT: u32 = 1;

/// What a backup holds. Written last, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] when it was written.
    pub format: u32,
    /// The backup's id; equal to the name of its folder.
    pub id: BackupId,
    /// What it is a backup of.
    pub of: Identity,
    /// How much it holds.
    pub mode: BackupMode,
    /// When the snapshot was taken, by the clock of the machine that took it.
    pub taken_at: Timestamp,
    /// When the last byte but the manifest's was stored.
    pub finished_at: Timestamp,
    /// The version of `rebuild`.
    pub rebuild_version: String,
    /// `server_version_num`.
    pub server_version: u32,
    /// The programs that were used: (name, version).
    pub tools: Vec<(String, String)>,
    /// What `CREATE DATABASE` and `ALTER DATABASE` set.
    pub database: DatabaseFacts,
    /// The encoding of the rows: the database's own.
    pub encoding: String,
    /// The server's counters right before the snapshot was taken.
    pub marks: WriteMarks,
    /// How many tables the catalog counted, in the same snapshot and by another query.
    pub catalog_tables: u64,
    /// Every table that can hold rows, by name.
    pub tables: Vec<TableEntry>,
    /// Partitioned tables; their rows are in their partitions.
    pub partitioned: Vec<TableName>,
    /// Foreign tables: their definitions are in the schema, their rows live elsewhere.
    pub foreign_tables: Vec<TableName>,
    /// Materialised views in an order in which they can be refreshed.
    pub materialized_views: Vec<MatviewEntry>,
    /// Every sequence that is not an extension's own.
    pub sequences: Vec<SequenceEntry>,
    /// All large objects together.
    pub large_objects: LargeObjectEntry,
    /// Extensions: (name, version, schema).
    pub extensions: Vec<(String, String, String)>,
    /// What PUBLIC may do in the schema `public`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_rights: Option<Vec<String>>,
    /// Every file but the chunks and the manifest.
    pub files: Vec<FileEntry>,
}

/// A table and its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// The table.
    pub table: TableName,
    /// What it is.
    pub kind: TableKind,
    /// Set where the rows must be loaded through the root of a tree of partitions, which sends
    /// each to its partition; they need not be the partition they came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<TableName>,
    /// For a partition: the root of its tree, which takes its rows where the partition itself is
    /// no longer there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_of: Option<TableName>,
    /// The form of the rows.
    pub form: RowForm,
    /// The columns, in order, without generated ones.
    pub columns: Vec<ColumnEntry>,
    /// The generated columns, whose values are in no backup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub generated: Vec<String>,
    /// For a table that belongs to an extension: which of its rows are the user's, as a `WHERE`
    /// clause, or empty for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// How many rows.
    pub rows: u64,
    /// The sum of the rows' hashes. Zero when the mode has no rows.
    pub hash: ContentHash,
    /// The rows, in no order.
    pub chunks: Vec<ChunkEntry>,
    /// How many rows the server believed in, where it had looked: an estimate, by which a backup
    /// that is empty for no reason is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_rows: Option<u64>,
    /// The same rows as CSV with a header, compressed, where that was asked for: the name of the
    /// file, which is among [`Manifest::files`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<String>,
}

impl TableEntry {
    /// The fingerprint of the table at the time of the snapshot.
    pub fn fingerprint(&self) -> TableFingerprint {
        TableFingerprint {
            table: self.table.clone(),
            columns: self.columns.iter().map(|c| c.name.clone()).collect(),
            form: self.form,
            rows: self.rows,
            hash: self.hash,
        }
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnEntry {
    /// Its name.
    pub name: String,
    /// Its type as SQL.
    #[serde(rename = "type")]
    pub type_name: String,
    /// A built-in type that reads the same values, for where the type is missing.
    pub base: String,
    /// What the type is made of, where it has parts: in another schema, its name may mean something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<TypeShape>,
    /// How many rows hold something other than NULL there.
    pub filled: u64,
}

impl ColumnEntry {
    /// Whether values of this column can be given to the column `now` of the same name.
    ///
    /// # Errors
    /// They cannot, for that reason.
    pub(crate) fn has_place_in(&self, now: &LiveColumn) -> Result<(), String> {
        let shapes = self.shape.as_ref().zip(now.shape.as_ref());
        match shapes.and_then(|(then, now)| then.rearranged(now)) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }
}

/// A complete COPY stream, compressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkEntry {
    /// The file, relative to the backup's folder.
    pub file: String,
    /// Rows in it.
    pub rows: u64,
    /// Bytes of the stream.
    pub raw_bytes: u64,
    /// Bytes of the file.
    pub stored_bytes: u64,
    /// BLAKE3 of the file, in hexadecimal.
    pub blake3: String,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its path, relative to the backup's folder.
    pub file: String,
    /// Its size.
    pub stored_bytes: u64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub blake3: String,
}

/// A sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceEntry {
    /// Its name.
    pub sequence: TableName,
    /// The last value it gave, or the first one it will give.
    pub last_value: i64,
    /// Whether it gave `last_value` already.
    pub is_called: bool,
}

/// A materialised view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatviewEntry {
    /// Its name.
    pub view: TableName,
    /// False after `WITH NO DATA`.
    pub populated: bool,
}

/// All large objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeObjectEntry {
    /// How many.
    pub count: u64,
    /// Bytes in all.
    pub bytes: u64,
    /// The sum of the hashes of (oid, content).
    pub hash: ContentHash,
}

impl Manifest {
    /// The manifest as JSON whose last member is the BLAKE3 of everything before it.
    ///
    /// # Errors
    /// Never for a manifest that was read or made here.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        sealed::seal(self)
    }

    /// The BLAKE3 of [`to_bytes`](Self::to_bytes), by which two processes make sure that they read
    /// the same one.
    pub(crate) fn digest(&self) -> Result<String> {
        let bytes = self.to_bytes()?;
        Ok(blake3::hash(&bytes).to_hex().to_string())
    }

    /// Reads a manifest: its format first, then its checksum, then everything else, and last
    /// whether what it says makes sense.
    ///
    /// # Errors
    /// It was written by a newer version; it is damaged; a name in it leaves the folder, or is there
    /// twice; no database holds as much as it says.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        refuse_newer(bytes)?;
        if !sealed::is_whole(bytes) {
            return Err(Error::corrupt(
                "the manifest is damaged: its checksum does not match",
            ));
        }
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|e| Error::corrupt("the manifest cannot be read").caused_by(e))?;
        manifest.check_names()?;
        manifest.check_amounts()?;
        Ok(manifest)
    }

    /// The backup in short.
    pub fn summary(&self) -> BackupSummary {
        BackupSummary {
            id: self.id.clone(),
            of: self.of.clone(),
            mode: self.mode,
            taken_at: self.taken_at,
            tables: self.tables.len() as u64,
            rows: self.tables.iter().map(|t| t.rows).sum(),
            large_objects: self.large_objects.count,
            stored_bytes: self.expected_files().map(|(_, bytes, _)| bytes).sum(),
        }
    }

    /// What every table should add up to, as [`fingerprints`](super::fingerprints) gives it.
    pub fn fingerprints(&self) -> Vec<TableFingerprint> {
        by_root(
            self.tables
                .iter()
                .map(|entry| (entry.root.as_ref(), entry.fingerprint())),
        )
    }

    /// Every file but the manifest: path, size, BLAKE3.
    pub fn expected_files(&self) -> impl Iterator<Item = (&str, u64, &str)> {
        let files = self
            .files
            .iter()
            .map(|f| (f.file.as_str(), f.stored_bytes, f.blake3.as_str()));
        let chunks = self
            .tables
            .iter()
            .flat_map(|t| &t.chunks)
            .map(|c| (c.file.as_str(), c.stored_bytes, c.blake3.as_str()));
        files.chain(chunks)
    }

    /// The entry of a file that is no chunk.
    pub fn file(&self, path: &str) -> Result<&FileEntry> {
        self.files
            .iter()
            .find(|f| f.file == path)
            .ok_or_else(|| Error::corrupt(format!("backup {} does not hold {path}", self.id)))
    }

    /// Whoever adds these up need not fear that they are more than a number holds.
    fn check_amounts(&self) -> Result<()> {
        let chunks = || self.tables.iter().flat_map(|table| &table.chunks);
        if adds_up(self.tables.iter().map(|table| table.rows))
            && adds_up(chunks().map(|chunk| chunk.rows))
            && adds_up(chunks().map(|chunk| chunk.raw_bytes))
            && adds_up(self.expected_files().map(|(_, bytes, _)| bytes))
        {
            return Ok(());
        }
        Err(Error::corrupt(
            "the manifest is damaged: it says that there is more than any database holds",
        ))
    }

    fn check_names(&self) -> Result<()> {
        let mut seen = BTreeSet::from([MANIFEST]);
        for (file, _, _) in self.expected_files() {
            check_file_name(file)?;
            if !seen.insert(file) {
                return Err(Error::corrupt(format!("the manifest names {file} twice")));
            }
        }
        let mut tables = BTreeSet::new();
        for entry in &self.tables {
            if !tables.insert(&entry.table) {
                return Err(Error::corrupt(format!(
                    "the manifest names table {} twice",
                    entry.table
                )));
            }
        }
        Ok(())
    }
}

/// Whether a number holds the sum.
fn adds_up(mut amounts: impl Iterator<Item = u64>) -> bool {
    amounts.try_fold(0_u64, u64::checked_add).is_some()
}

/// Partitions that are loaded through their root are added up under its name: which of them holds
/// which row is not the same everywhere.
fn by_root<'a>(
    parts: impl Iterator<Item = (Option<&'a TableName>, TableFingerprint)>,
) -> Vec<TableFingerprint> {
    let mut sums: Vec<TableFingerprint> = Vec::new();
    let mut roots: HashMap<&TableName, usize> = HashMap::new();
    for (root, part) in parts {
        let Some(root) = root else {
            sums.push(part);
            continue;
        };
        if let Some(at) = roots.get(root) {
            sums[*at].rows += part.rows;
            sums[*at].hash.merge(part.hash);
        } else {
            roots.insert(root, sums.len());
            sums.push(TableFingerprint {
                table: root.clone(),
                ..part
            });
        }
    }
    sums
}

fn refuse_newer(bytes: &[u8]) -> Result<()> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let version: Version = serde_json::from_slice(bytes)
        .map_err(|e| Error::corrupt("the manifest cannot be read").caused_by(e))?;
    if version.format > FORMAT {
        return Err(Error::corrupt(format!(
            "the manifest has format {}, and this version of rebuild reads up to {FORMAT}",
            version.format
        ))
        .hint("use the version of rebuild that wrote it, or a newer one"));
    }
    Ok(())
}
