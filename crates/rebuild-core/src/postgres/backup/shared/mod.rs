//! A backup whose rows many workers read, each its share; and the same for one that is checked.
//!
//! The coordinator holds the snapshot and the tables, and stores everything but the rows itself. A
//! worker takes part in the snapshot, reads its parts of the tables with the code that a backup by
//! one process uses, and then reads back from the store what it has stored. So the rows that are
//! proven have been proven where they are many.

mod backup;
mod check;
mod gather;
mod lead;
mod worker;

use serde::{Deserialize, Serialize};

pub use backup::PgSharedBackup;
pub(crate) use check::CHECK;
pub(super) use check::read_by;

use super::check_rows::ReadBack;
use super::rows_out::UnitDone;
use crate::error::{Error, Result};
use crate::model::{BackupId, Identity, RowForm, TableName};
use crate::postgres::rows::tables::LiveTable;
use crate::postgres::rows::units::Unit;

/// The kind of the work.
pub(crate) const BACKUP: &str = "backup";

/// What the workers are told. It names tables and no SQL: how a table is read, each worker asks the
/// server.
#[derive(Serialize, Deserialize)]
struct BackupTask {
    /// The database.
    of: Identity,
    /// The backup that its rows are for.
    backup: BackupId,
    /// The exported snapshot, and what it sees: an id may be given again after a restart of the
    /// server.
    snapshot: String,
    sees: String,
    encoding: String,
    /// As in [`RowOptions`](crate::postgres::RowOptions): what decides the bytes that are stored.
    level: i32,
    chunk_bytes: u64,
    /// The tables with rows, in the order of the manifest.
    tables: Vec<TableOfTask>,
    /// The parts that each worker reads.
    shares: Vec<Vec<Unit>>,
}

/// A table as the coordinator sees it.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct TableOfTask {
    oid: u32,
    table: TableName,
    form: RowForm,
    columns: Vec<String>,
}

impl TableOfTask {
    fn of(table: &LiveTable) -> Self {
        Self {
            oid: table.oid,
            table: table.table.clone(),
            form: table.form(),
            columns: table.column_names(),
        }
    }
}

impl BackupTask {
    /// The parts that the worker `index` reads.
    fn share(&self, index: u32) -> Result<&[Unit]> {
        let share = usize::try_from(index).ok().and_then(|i| self.shares.get(i));
        let units = share.ok_or_else(|| Error::corrupt("the task has no such share"))?;
        if units.iter().any(|unit| unit.table >= self.tables.len()) {
            return Err(Error::corrupt(
                "the task names a table that it does not list",
            ));
        }
        Ok(units)
    }
}

/// What a worker leaves.
#[derive(Serialize, Deserialize)]
struct BackupResult {
    /// What it has stored, one for each part of its share.
    stored: Vec<UnitDone>,
    /// What it has read back of it.
    read: ReadBack,
}
