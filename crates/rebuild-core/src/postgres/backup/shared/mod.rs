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
use crate::model::BackupId;
use crate::postgres::rows::moment::Moment;
use crate::postgres::rows::units::Unit;

/// The kind of the work.
pub(crate) const BACKUP: &str = "backup";

/// What the workers are told.
#[derive(Serialize, Deserialize)]
struct BackupTask {
    /// The backup that the rows are for.
    backup: BackupId,
    /// The database as it is held, with the tables in the order of the manifest.
    moment: Moment,
    encoding: String,
    /// As in [`RowOptions`](crate::postgres::RowOptions): what decides the bytes that are stored.
    level: i32,
    chunk_bytes: u64,
    /// The parts that each worker reads.
    shares: Vec<Vec<Unit>>,
}

impl BackupTask {
    /// The parts that the worker `index` reads.
    fn share(&self, index: u32) -> Result<&[Unit]> {
        let share = usize::try_from(index).ok().and_then(|i| self.shares.get(i));
        let units = share.ok_or_else(|| Error::corrupt("the task has no such share"))?;
        if units
            .iter()
            .any(|unit| unit.table >= self.moment.tables.len())
        {
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
