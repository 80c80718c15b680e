//! Rows that many workers add up, each its share, so that one process can compare them.
//!
//! The coordinator holds each database at one moment. A worker takes part in those moments, adds up
//! its parts of the tables with the code that one process uses, and leaves the sums. It writes
//! nothing else, so a share that is done anew is done from its beginning.

mod lead;
mod worker;

use serde::{Deserialize, Serialize};

pub(super) use lead::add_up_by;
pub(crate) use worker::add_up_share;

use crate::error::{Error, Result};
use crate::model::{BackupId, RowForm};
use crate::postgres::backup::Manifest;
use crate::postgres::rows::fingerprint::PartSum;
use crate::postgres::rows::moment::Moment;
use crate::postgres::rows::units::Unit;

/// The kind of the work.
pub(crate) const VERIFY: &str = "verify";

/// Which database a worker is to look for. Where that is, whoever starts it knows; an address in the
/// store would let others choose whom it tells its password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Place {
    /// The target of its spec.
    Target,
    /// The one that the target is compared with.
    With,
}

/// A backup whose tables are added up in another database.
#[derive(Serialize, Deserialize)]
pub(super) struct Like {
    backup: BackupId,
    /// The manifest's digest: it says which rows of the tables of extensions are in the backup.
    manifest: String,
}

impl Like {
    /// The backup of that manifest.
    ///
    /// # Errors
    /// The manifest cannot be written as JSON.
    pub(super) fn of(manifest: &Manifest) -> Result<Self> {
        Ok(Self {
            backup: manifest.id.clone(),
            manifest: manifest.digest()?,
        })
    }
}

/// What the workers are told.
#[derive(Serialize, Deserialize)]
struct VerifyTask {
    like: Option<Like>,
    databases: Vec<DatabaseOfTask>,
    /// The parts that each worker adds up, of each of the databases.
    shares: Vec<Vec<Vec<Unit>>>,
}

/// A database that the coordinator holds.
#[derive(Serialize, Deserialize)]
struct DatabaseOfTask {
    place: Place,
    moment: Moment,
    /// The encoding to read rows in.
    encoding: String,
    /// How each table of the moment is read.
    readings: Vec<ReadingOfTask>,
}

#[derive(Serialize, Deserialize)]
struct ReadingOfTask {
    columns: Vec<String>,
    form: RowForm,
    /// As in [`Wanted`](crate::postgres::rows::fingerprint::Wanted).
    entry: Option<usize>,
}

impl VerifyTask {
    /// The parts that the worker `index` adds up, of each of the databases.
    fn share(&self, index: u32) -> Result<&[Vec<Unit>]> {
        let share = usize::try_from(index).ok().and_then(|i| self.shares.get(i));
        let share = share.ok_or_else(|| Error::corrupt("the task has no such share"))?;
        let known = |(units, database): (&Vec<Unit>, &DatabaseOfTask)| {
            units.iter().all(|u| u.table < database.readings.len())
        };
        let fits = (self.databases.iter()).all(|d| d.readings.len() == d.moment.tables.len());
        if fits
            && share.len() == self.databases.len()
            && share.iter().zip(&self.databases).all(known)
        {
            return Ok(share);
        }
        Err(Error::corrupt(
            "the task names a table that it does not list",
        ))
    }
}

/// What a worker leaves: of each database, one sum for each part of its share.
#[derive(Serialize, Deserialize)]
struct VerifyResult {
    sums: Vec<Vec<PartSum>>,
}
