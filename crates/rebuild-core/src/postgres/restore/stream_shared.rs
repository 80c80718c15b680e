//! A copy whose rows many workers bring from server to server, each its share.
//!
//! The coordinator holds the source, and makes the database, its schema and the list of work in it. A
//! worker takes part in the source's snapshot, and marks each piece as done, with what its rows add up
//! to, in the transaction that loads it. So a share that is done anew goes on where it was left, what
//! a lost worker brought is known too, and what a worker only says counts for nothing.

use serde::{Deserialize, Serialize};

use super::run::{Origin, run};
use super::stream::Streams;
use super::work::{self, Item, Work};
use super::{PgRestorer, sequences};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::postgres::backup::{Held, tables_alone};
use crate::postgres::room::Room;
use crate::postgres::rows::moment::Moment;
use crate::postgres::rows::scan::Tally;
use crate::postgres::rows::tables::{LiveTable, refuse_unreadable};
use crate::store::Store;
use crate::work::{Crew, Posting, Share, share_out, shares};

/// The kind of the work.
pub(crate) const COPY: &str = "copy";

/// What a piece costs besides the bytes in it, in bytes.
const EACH_PIECE: u64 = 64 << 10;

/// What the workers are told.
#[derive(Serialize, Deserialize)]
struct CopyTask {
    /// The database, which the coordinator has made.
    db: Identity,
    /// The source as it is held, with the tables in the order in which pieces number them.
    source: Moment,
    /// The encoding of the rows.
    encoding: String,
    /// The numbers of the pieces that each worker does.
    shares: Vec<Vec<i32>>,
}

/// What a worker leaves. What it did is in the database.
#[derive(Serialize, Deserialize)]
struct CopyResult {
    pieces: usize,
}

impl PgRestorer {
    /// As [`stream`](Self::stream), with rows that `crew` brings, which finds its work in `store`.
    /// Everything but the rows is done by this process.
    ///
    /// *Repeats:* it cannot be repeated; a database that it filled in part is of no use.
    ///
    /// # Errors
    /// As `stream`; a worker failed, or left a piece of its share undone.
    pub(crate) async fn stream_shared(
        &self,
        ctx: &Ctx,
        db: &Identity,
        held: Held,
        crew: &dyn Crew,
        store: &Store,
    ) -> Result<()> {
        let size = usize::try_from(crew.size().get()).unwrap_or(usize::MAX);
        let jobs = self.options.jobs.get().saturating_mul(size);
        let (session, placements, items) = self.list_streams(ctx, db, &held, jobs).await?;
        let manifest = held.manifest().clone();
        let (before, items): (Vec<Item>, Vec<Item>) =
            (items.into_iter()).partition(|item| matches!(item.work, Work::Before { .. }));
        run(
            self,
            ctx,
            db,
            &manifest,
            &placements,
            before,
            Origin::Backup,
        )
        .await?;
        let task = task_of(db, &held, &items, crew).await?;
        let posting = Posting::new(COPY, [&manifest.of, db]);
        let brought = share_out::<CopyResult>(ctx, crew, store, &posting, &task);
        // The workers may be elsewhere; the disks are the server's.
        let room = Room::of(ctx, &self.endpoint, db, &self.options.free_space).await?;
        let brought = room.keep(|| "the copy".to_owned(), brought).await?;
        for (index, counted) in brought.into_iter().enumerate() {
            tracing::debug!("worker {index} brought {} pieces", counted.result.pieces);
        }
        held.snapshot.still_held("the copy").await?;
        let now = work::read(&session).await?;
        let now = now.ok_or_else(|| Error::corrupt("the copy's list of work is gone"))?;
        let tallies = tallies_of(&held.tables, &now)?;
        run(self, ctx, db, &manifest, &placements, now, Origin::Backup).await?;
        sequences::restore(ctx, &session, &manifest.sequences).await?;
        session.close().await;
        held.complete(&tallies).await
    }

    /// Does `share` of a copy that somebody else makes with [`stream_shared`](Self::stream_shared):
    /// brings rows from the server of `source` to the one of this restorer. False if another attempt
    /// did so meanwhile.
    ///
    /// *Repeats:* goes on where another attempt left it. *Destroys:* nothing.
    ///
    /// # Errors
    /// The snapshot is gone, for the coordinator has ended; the source is another one; the new
    /// database is not there, or not one that the coordinator made; rows could not be brought.
    pub(crate) async fn stream_share(
        &self,
        ctx: &Ctx,
        share: &Share,
        source: &Endpoint,
    ) -> Result<bool> {
        let task: CopyTask = share.task()?;
        let own = task.shares.get(share.index() as usize);
        let own = own.ok_or_else(|| Error::corrupt("the task has no such share"))?;
        let (tables, hold) = task.source.enter(ctx, source).await?;
        let manifest = tables_alone(hold.session(), &tables).await?;
        let session = self.open(ctx, &task.db).await?;
        let placements = self.placements(&session, &manifest).await?;
        let listed = work::read(&session).await?.unwrap_or_default();
        session.close().await;
        let items = own_items(&task, own, listed)?;
        let read = |at: &usize| items.iter().any(|i| i.work.rows_of() == Some(*at));
        let read = (0..tables.len()).filter(read).map(|at| tables[at].clone());
        refuse_unreadable(&read.collect::<Vec<LiveTable>>())?;
        let pieces = items.len();
        let streams = Streams::held_elsewhere(source, &task.source, &task.encoding, tables, hold);
        let origin = Origin::Source(streams.into());
        run(self, ctx, &task.db, &manifest, &placements, items, origin).await?;
        share.leave(&CopyResult { pieces }).await
    }
}

async fn task_of(db: &Identity, held: &Held, items: &[Item], crew: &dyn Crew) -> Result<CopyTask> {
    let mut pieces = Vec::new();
    let mut weights = Vec::new();
    for item in items {
        if let Work::Stream { bytes, .. } = &item.work {
            pieces.push(item.id);
            weights.push(bytes.saturating_add(EACH_PIECE));
        }
    }
    let numbers = |share: Vec<usize>| share.into_iter().map(|at| pieces[at]).collect();
    Ok(CopyTask {
        db: db.clone(),
        source: held.moment().await?,
        encoding: held.manifest().encoding.clone(),
        shares: (shares(&weights, crew.size()).into_iter())
            .map(numbers)
            .collect(),
    })
}

/// Those of the pieces that are `listed` whose numbers are `own`.
///
/// # Errors
/// A refusal if one is not there, or does not bring rows of a table of the task.
fn own_items(task: &CopyTask, own: &[i32], listed: Vec<Item>) -> Result<Vec<Item>> {
    let listed = listed.into_iter().filter(|item| own.contains(&item.id));
    let items: Vec<Item> = listed.collect();
    let brings = |item: &Item| match item.work {
        Work::Stream { entry, .. } => entry < task.source.tables.len(),
        _ => false,
    };
    if items.len() == own.len() && items.iter().all(brings) {
        return Ok(items);
    }
    Err(Error::refused(format!(
        "{} does not list the rows of this share",
        task.db
    )))
}

/// What the rows of each of `tables` add up to, by the list of work.
///
/// # Errors
/// A piece is not done, or nothing says what it came to.
fn tallies_of(tables: &[LiveTable], items: &[Item]) -> Result<Vec<Tally>> {
    let nothing = |table: &LiveTable| Tally::new(table.columns.len());
    let mut tallies: Vec<Tally> = tables.iter().map(nothing).collect();
    for item in items {
        let Work::Stream { entry, sum, .. } = &item.work else {
            continue;
        };
        if !item.done {
            return Err(Error::corrupt(format!(
                "the workers have ended, and piece {} of the copy is not done",
                item.id
            )));
        }
        let tally = tallies.get_mut(*entry);
        let sum = sum.as_ref();
        match (tally, sum) {
            (Some(tally), Some(sum)) if tally.non_null.len() == sum.non_null.len() => {
                tally.merge(sum);
            }
            _ => {
                return Err(Error::corrupt(format!(
                    "nothing says what the rows of piece {} of the copy add up to",
                    item.id
                )));
            }
        }
    }
    Ok(tallies)
}
