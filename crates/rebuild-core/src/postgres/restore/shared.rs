//! A restore whose rows many workers load, each its share.
//!
//! The list of work is in the database, and a piece is marked as done in the transaction that does
//! it. So a share is a list of numbers, and one that is done anew goes on where it was left.

use serde::{Deserialize, Serialize};

use super::PgRestorer;
use super::placement::{Placements, RestoreChoice};
use super::run::{Origin, run, weight};
use super::work::{self, Item, Work};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity};
use crate::postgres::Session;
use crate::postgres::backup::Manifest;
use crate::postgres::room::Room;
use crate::spec::TablePatterns;
use crate::traits::RestoreReport;
use crate::work::{Crew, Posting, Share, share_out, shares};

/// The kind of the work.
pub(crate) const RESTORE: &str = "restore";

/// What a piece costs besides the bytes in it, in bytes.
const EACH_PIECE: u64 = 64 << 10;

/// Who loads the rows, and of which tables.
#[derive(Clone, Copy)]
pub(super) struct Loaders<'a> {
    crew: &'a dyn Crew,
    tables: &'a [String],
}

/// What the workers are told.
#[derive(Serialize, Deserialize)]
struct RestoreTask {
    /// The database, which the coordinator has made.
    db: Identity,
    backup: BackupId,
    /// The manifest's digest: it says what is in the chunks.
    manifest: String,
    /// The patterns of the tables that are restored; empty for all.
    tables: Vec<String>,
    /// The numbers of the pieces that each worker does.
    shares: Vec<Vec<i32>>,
}

/// What a worker leaves. What it did is in the database.
#[derive(Serialize, Deserialize)]
struct RestoreResult {
    pieces: usize,
}

impl PgRestorer {
    /// As [`Restorer::restore`](crate::traits::Restorer::restore) into the backup's own schema, with
    /// the rows loaded by `crew`. `tables` are the patterns that the choice was made from.
    ///
    /// *Repeats:* goes on where it was left. *Destroys:* nothing.
    ///
    /// # Errors
    /// As `restore`; a worker failed, or left a piece of its share undone.
    pub async fn restore_shared(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
        tables: &[String],
        crew: &dyn Crew,
    ) -> Result<RestoreReport> {
        let crew = Some(Loaders { crew, tables });
        self.restore_by(ctx, db, backup, crew).await
    }

    /// Does what comes before the rows, and has `loaders` load them. Returns the list as it is then.
    pub(super) async fn rows_by(
        &self,
        ctx: &Ctx,
        db: &Identity,
        (session, manifest, placements): (&Session, &Manifest, &Placements),
        items: Vec<Item>,
        loaders: Loaders<'_>,
    ) -> Result<Vec<Item>> {
        let (before, items): (Vec<Item>, Vec<Item>) =
            (items.into_iter()).partition(|item| matches!(item.work, Work::Before { .. }));
        run(self, ctx, db, manifest, placements, before, Origin::Backup).await?;
        let rows: Vec<&Item> = items.iter().filter(|item| is_open(item)).collect();
        let weigh = |item: &&Item| weight(manifest, &item.work) + EACH_PIECE;
        let weights: Vec<u64> = rows.iter().map(weigh).collect();
        let numbers = |share: Vec<usize>| share.into_iter().map(|at| rows[at].id).collect();
        let task = RestoreTask {
            db: db.clone(),
            backup: manifest.id.clone(),
            manifest: manifest.digest()?,
            tables: loaders.tables.to_vec(),
            shares: (shares(&weights, loaders.crew.size()).into_iter())
                .map(numbers)
                .collect(),
        };
        let posting = Posting::new(RESTORE, [db]);
        let done = share_out::<RestoreResult>(ctx, loaders.crew, &self.store, &posting, &task);
        // The workers may be elsewhere; the disks are the server's.
        let room = Room::of(ctx, &self.endpoint, db, &self.options.free_space).await?;
        let done = room.keep(|| "the load".to_owned(), done).await?;
        for (index, counted) in done.into_iter().enumerate() {
            tracing::debug!("worker {index} did {} pieces", counted.result.pieces);
        }
        let now = work::read(session).await?;
        let now = now.ok_or_else(|| Error::corrupt("the restore's list of work is gone"))?;
        if let Some(left) = now.iter().find(|item| is_open(item)) {
            return Err(Error::corrupt(format!(
                "the workers have ended, and piece {} of the restore is not done",
                left.id
            )));
        }
        Ok(now)
    }

    /// Does `share` of a restore that somebody else makes with
    /// [`restore_shared`](Self::restore_shared): loads rows. False if another attempt did so
    /// meanwhile.
    ///
    /// *Repeats:* goes on where another attempt left it. *Destroys:* nothing.
    ///
    /// # Errors
    /// The database is not there, or not one that the coordinator made; the backup is another one
    /// here; rows could not be loaded.
    pub async fn restore_share(&self, ctx: &Ctx, share: &Share) -> Result<bool> {
        let task: RestoreTask = share.task()?;
        let manifest = self.manifest(&task.backup).await?;
        if manifest.digest()? != task.manifest {
            return Err(Error::refused(format!(
                "backup {} has another manifest here than for the coordinator",
                task.backup
            )));
        }
        let restorer = Self {
            choice: RestoreChoice {
                tables: TablePatterns::compile(&task.tables)?,
                may_drop: TablePatterns::default(),
            },
            own_schema: true,
            ..self.clone()
        };
        let session = restorer.open(ctx, &task.db).await?;
        let placements = restorer.placements(&session, &manifest).await?;
        let items = work::read(&session).await?;
        session.close().await;
        let own = task.shares.get(share.index() as usize);
        let own = own.ok_or_else(|| Error::corrupt("the task has no such share"))?;
        let items: Vec<Item> = (items.unwrap_or_default().into_iter())
            .filter(|item| own.contains(&item.id))
            .collect();
        let rows = |item: &Item| matches!(item.work, Work::Rows { .. });
        if items.len() != own.len() || !items.iter().all(rows) {
            return Err(Error::refused(format!(
                "{} does not list the rows of this share",
                task.db
            )));
        }
        let pieces = items.len();
        let origin = Origin::Backup;
        run(
            &restorer,
            ctx,
            &task.db,
            &manifest,
            &placements,
            items,
            origin,
        )
        .await?;
        share.leave(&RestoreResult { pieces }).await
    }
}

/// True for rows that are not loaded yet.
fn is_open(item: &Item) -> bool {
    !item.done && matches!(item.work, Work::Rows { .. })
}
