//! What the coordinator does.

use super::super::PgBackup;
use super::super::check::{Readers, check};
use super::super::check_rows::ReadBack;
use super::super::rows_out::{Done, Piece, StoredRows, by_table, parts_of};
use super::super::take::{Taking, whole_or_nothing};
use super::super::together::{Together, both};
use super::gather::gather;
use super::{BACKUP, BackupResult, BackupTask};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, Verdict};
use crate::postgres::rows::moment::Moment;
use crate::postgres::rows::tables::LiveTable;
use crate::postgres::rows::units::Unit;
use crate::traits::{BackupMode, BackupSummary};
use crate::work::{Crew, Posting, share_out, shares};

/// What a part costs besides the bytes in it, in bytes.
const EACH_PART: u64 = 64 << 10;

impl PgBackup {
    /// Takes a whole backup as [`Backup::take`](crate::traits::Backup::take) does, with rows that
    /// `crew` reads and stores. Returns what the workers read back of them, for
    /// [`check_read`](Self::check_read). CSV files are written by this process.
    ///
    /// *Repeats:* not with the same id. *Destroys:* nothing; if it fails, what there is of the
    /// backup is removed.
    ///
    /// # Errors
    /// As `take`; a worker failed, or its result is missing, damaged or not of its share.
    pub(in crate::postgres::backup) async fn take_shared(
        &self,
        ctx: &Ctx,
        target: &Identity,
        id: &BackupId,
        crew: &dyn Crew,
    ) -> Result<(BackupSummary, ReadBack)> {
        let shelf = self.shelf();
        if shelf.find(id).await?.is_some() {
            return Err(Error::refused(format!("backup {id} exists already")));
        }
        shelf.clear(id).await?;
        let taking = Taking::begin(self, ctx, target, id, BackupMode::Full).await?;
        whole_or_nothing(&shelf, id, Box::pin(taking.finish_shared(crew))).await
    }

    /// Proves the backup `id` as [`Backup::check`](crate::traits::Backup::check) does, but for its
    /// rows, of which workers said what they have `read`.
    ///
    /// *Repeats:* reads again. *Destroys:* nothing.
    ///
    /// # Errors
    /// There is no such backup, or the store could not be read.
    pub(in crate::postgres::backup) async fn check_read(
        &self,
        ctx: &Ctx,
        id: &BackupId,
        read: ReadBack,
    ) -> Result<(BackupSummary, Verdict)> {
        check(self, ctx, id, Readers::Done(read)).await
    }
}

impl PgBackup {
    /// Proves the backup `id` as [`Backup::check`](crate::traits::Backup::check) does, with rows that
    /// `crew` reads.
    ///
    /// *Repeats:* reads again. *Destroys:* nothing.
    ///
    /// # Errors
    /// There is no such backup, or the store could not be read; a worker failed, or its result is
    /// missing, damaged or not of its share.
    pub(in crate::postgres::backup) async fn check_shared(
        &self,
        ctx: &Ctx,
        id: &BackupId,
        crew: &dyn Crew,
    ) -> Result<(BackupSummary, Verdict)> {
        check(self, ctx, id, Readers::Crew(crew)).await
    }
}

impl Taking<'_> {
    async fn finish_shared(self, crew: &dyn Crew) -> Result<(BackupSummary, ReadBack)> {
        let together = Together::new(self.ctx);
        let tables = self.with_rows();
        let mut read = ReadBack::default();
        let rows = async {
            let (stored, by_workers) = Box::pin(self.shared_rows(&together, crew, &tables)).await?;
            read = by_workers;
            Ok(stored)
        };
        let finishing = self.finish_with(&together, tables.clone(), Box::pin(rows));
        let summary = Box::pin(finishing).await?;
        Ok((summary, read))
    }

    /// Has the rows read by `crew`, and the CSV files written here.
    async fn shared_rows(
        &self,
        together: &Together,
        crew: &dyn Crew,
        tables: &[LiveTable],
    ) -> Result<(Vec<StoredRows>, ReadBack)> {
        let csv = async {
            if !self.backup.csv {
                return Ok(Vec::new());
            }
            let pieces = (0..tables.len()).map(Piece::Csv).collect();
            let out = self.rows_out(&together.ctx, tables.to_vec());
            Box::pin(out.run(pieces)).await
        };
        let rows = Box::pin(self.rows_by(&together.ctx, crew, tables));
        let (rows, csv) = tokio::join!(together.part(rows), together.part(csv));
        let ((units, read), csv) = both(rows, csv)?;
        let done = units.into_iter().map(Done::Rows).chain(csv);
        Ok((by_table(tables, done), read))
    }

    async fn rows_by(
        &self,
        ctx: &Ctx,
        crew: &dyn Crew,
        tables: &[LiveTable],
    ) -> Result<(Vec<super::UnitDone>, ReadBack)> {
        let options = &self.backup.options;
        let units = parts_of(tables, options);
        let weights: Vec<u64> = units.iter().map(|u| u.weight + EACH_PART).collect();
        let of_share = |share: Vec<usize>| -> Vec<Unit> {
            share.into_iter().map(|unit| units[unit].clone()).collect()
        };
        let task = BackupTask {
            backup: self.id.clone(),
            moment: Moment::held_by(&self.snapshot, self.target, tables).await?,
            encoding: self.database.encoding.clone(),
            level: options.level,
            chunk_bytes: options.chunk_bytes,
            shares: (shares(&weights, crew.size()).into_iter())
                .map(of_share)
                .collect(),
        };
        let store = &self.backup.store;
        let posting = Posting {
            backup: Some(self.id.clone()),
            ..Posting::new(BACKUP, [self.target])
        };
        let results = share_out::<BackupResult>(ctx, crew, store, &posting, &task).await?;
        gather(&self.backup.shelf(), &task, results).await
    }
}
