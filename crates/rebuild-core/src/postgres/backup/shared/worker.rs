//! What a worker does.

use super::super::PgBackup;
use super::super::check_rows::{ChunkToRead, ReadBack, read_chunks};
use super::super::rows_out::{Done, Piece, RowsOut, UnitDone};
use super::{BackupResult, BackupTask};
use crate::error::Result;
use crate::event::Ctx;
use crate::postgres::rows::moment::Hold;
use crate::postgres::rows::tables::{LiveTable, refuse_unreadable};
use crate::postgres::rows::units::Unit;
use crate::work::Share;

impl PgBackup {
    /// Does `share` of a backup that somebody else takes with
    /// [`PgSharedBackup`](super::PgSharedBackup): reads parts of its tables in its snapshot, stores them,
    /// reads them back, and leaves what that came to. False if another attempt did so meanwhile.
    ///
    /// *Repeats:* every attempt stores chunks of its own; those of an attempt that does not count
    /// are removed. *Destroys:* nothing.
    ///
    /// # Errors
    /// The snapshot is gone, for the coordinator has ended; the server is another one, or shows
    /// this role less; a table could not be read; the store could not be written.
    pub async fn take_share(&self, ctx: &Ctx, share: &Share) -> Result<bool> {
        let task: BackupTask = share.task()?;
        let (tables, hold) = task.moment.enter(ctx, &self.endpoint).await?;
        require_own(&tables, task.share(share.index())?)?;
        let stored = self.store_units(ctx, share, &task, tables, hold).await?;
        let read = self.read_back(ctx, &task, &stored).await?;
        let result = BackupResult { stored, read };
        if share.leave(&result).await? {
            return Ok(true);
        }
        self.remove_chunks(&task, &result.stored).await?;
        Ok(false)
    }

    async fn store_units(
        &self,
        ctx: &Ctx,
        share: &Share,
        task: &BackupTask,
        tables: Vec<LiveTable>,
        hold: Hold,
    ) -> Result<Vec<UnitDone>> {
        let mut options = self.options.clone();
        options.level = task.level;
        options.chunk_bytes = task.chunk_bytes;
        let out = RowsOut {
            ctx: ctx.clone(),
            endpoint: self.endpoint.with_database(&task.moment.of.name),
            snapshot: task.moment.snapshot().to_owned(),
            encoding: task.encoding.clone(),
            tables,
            options,
            store: self.store.clone(),
            folder: self.shelf().folder(&task.backup)?,
            share: Some(share.clone()),
            hold: Some(hold),
        };
        let units = task.share(share.index())?.iter().cloned();
        let done = out.run(units.map(Piece::Rows).collect()).await?;
        let units = done.into_iter().filter_map(|done| match done {
            Done::Rows(unit) => Some(unit),
            Done::Csv(..) => None,
        });
        Ok(units.collect())
    }

    async fn read_back(
        &self,
        ctx: &Ctx,
        task: &BackupTask,
        stored: &[UnitDone],
    ) -> Result<ReadBack> {
        let chunks = stored.iter().flat_map(|unit| {
            let table = &task.moment.tables[unit.table];
            unit.chunks.iter().map(|chunk| ChunkToRead {
                table: unit.table,
                form: table.form,
                columns: table.columns.len(),
                chunk: chunk.clone(),
            })
        });
        let folder = self.shelf().folder(&task.backup)?;
        read_chunks(
            ctx,
            &self.store,
            &folder,
            chunks.collect(),
            self.options.jobs,
        )
        .await
    }

    async fn remove_chunks(&self, task: &BackupTask, stored: &[UnitDone]) -> Result<()> {
        let folder = self.shelf().folder(&task.backup)?;
        for chunk in stored.iter().flat_map(|unit| &unit.chunks) {
            self.store.delete(&folder.join(&chunk.file)?).await?;
        }
        Ok(())
    }
}

/// Makes sure that the tables that `units` are of can be read whole.
///
/// # Errors
/// A refusal if one cannot.
fn require_own(tables: &[LiveTable], units: &[Unit]) -> Result<()> {
    let own = |at: &usize| units.iter().any(|unit| unit.table == *at);
    let read = (0..tables.len()).filter(own).map(|at| tables[at].clone());
    refuse_unreadable(&read.collect::<Vec<LiveTable>>())
}
