//! What a worker does.

use std::collections::BTreeMap;

use super::super::PgBackup;
use super::super::check_rows::{ChunkToRead, ReadBack, read_chunks};
use super::super::rows_out::{Done, Piece, RowsOut, UnitDone};
use super::{BackupResult, BackupTask, TableOfTask};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::postgres::Session;
use crate::postgres::rows::snapshot::{import, seen_by};
use crate::postgres::rows::tables::{LiveTable, list_tables, refuse_unreadable};
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
        let tables = self.tables_of(ctx, share, &task).await?;
        let stored = self.store_units(ctx, share, &task, tables).await?;
        let read = self.read_back(ctx, &task, &stored).await?;
        let result = BackupResult { stored, read };
        if share.leave(&result).await? {
            return Ok(true);
        }
        self.remove_chunks(&task, &result.stored).await?;
        Ok(false)
    }

    /// The tables of the task, as the server describes them in the snapshot.
    async fn tables_of(
        &self,
        ctx: &Ctx,
        share: &Share,
        task: &BackupTask,
    ) -> Result<Vec<LiveTable>> {
        let session = Session::open_at(&self.endpoint, &task.of, ctx).await?;
        let gone = |e: Error| {
            let why = "the snapshot of the backup is gone: its coordinator has ended";
            Error::refused(why).caused_by(e)
        };
        let imported = import(&session, &task.snapshot).await;
        imported.map_err(|e| match e.kind() {
            ErrorKind::Server => gone(e),
            _ => e,
        })?;
        let sees = seen_by(&session).await?;
        if sees != task.sees {
            return Err(gone(Error::refused(format!(
                "the snapshot of that name sees {sees}, and not {}",
                task.sees
            ))));
        }
        let listed = list_tables(&session).await?;
        session.close().await;
        let tables = in_order(listed, &task.tables)?;
        let share = task.share(share.index())?;
        let own = |at: &usize| share.iter().any(|unit| unit.table == *at);
        let read: Vec<LiveTable> = (0..tables.len())
            .filter(own)
            .map(|at| tables[at].clone())
            .collect();
        refuse_unreadable(&read)?;
        Ok(tables)
    }

    async fn store_units(
        &self,
        ctx: &Ctx,
        share: &Share,
        task: &BackupTask,
        tables: Vec<LiveTable>,
    ) -> Result<Vec<UnitDone>> {
        let mut options = self.options.clone();
        options.level = task.level;
        options.chunk_bytes = task.chunk_bytes;
        let out = RowsOut {
            ctx: ctx.clone(),
            endpoint: self.endpoint.with_database(&task.of.name),
            snapshot: task.snapshot.clone(),
            encoding: task.encoding.clone(),
            tables,
            options,
            store: self.store.clone(),
            folder: self.shelf().folder(&task.backup)?,
            share: Some(share.clone()),
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
            let table = &task.tables[unit.table];
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

/// The tables that the task names, in its order.
///
/// # Errors
/// The server describes one of them in another way than to the coordinator.
fn in_order(listed: Vec<LiveTable>, wanted: &[TableOfTask]) -> Result<Vec<LiveTable>> {
    let mut by_oid: BTreeMap<u32, LiveTable> = listed.into_iter().map(|t| (t.oid, t)).collect();
    let find = |wanted: &TableOfTask| {
        let found = by_oid.remove(&wanted.oid);
        let same = found.filter(|found| TableOfTask::of(found) == *wanted);
        same.ok_or_else(|| {
            Error::refused(format!(
                "table {} is not here what the coordinator sees",
                wanted.table
            ))
        })
    };
    wanted.iter().map(find).collect()
}
