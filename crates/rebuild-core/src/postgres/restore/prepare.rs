//! From a manifest to the list of work, in one transaction.

use super::PgRestorer;
use super::after::{without_restriction, work_of};
use super::detach::detach;
use super::load::empty;
use super::placement::{Placement, Placements};
use super::work::{self, Item, Work};
use crate::error::{Error, Result};
use crate::model::{TableKind, TableName};
use crate::postgres::backup::{Manifest, Shelf, TableEntry, layout};
use crate::postgres::schema::split;
use crate::postgres::{Session, server_error};

/// A table smaller than this is loaded by one worker, which can write its rows as frozen.
const SPLIT_FROM: u64 = 64 << 20;

const PREPARING: &str = "could not prepare the restore";

impl PgRestorer {
    /// Makes the list of work: takes foreign keys and triggers away, empties the tables that are
    /// loaded in more than one piece, and records what is to be done.
    ///
    /// *Destroys:* rows of those tables.
    ///
    /// # Errors
    /// The server said no; the backup could not be read.
    pub(super) async fn prepare(
        &self,
        session: &Session,
        manifest: &Manifest,
        placements: &Placements,
    ) -> Result<Vec<Item>> {
        let detached = begin(session, placements).await?;
        let mut list = self.rows(session, manifest, placements).await?;
        if manifest.large_objects.count > 0 {
            list.push(Work::LargeObjects);
        }
        list.extend(detached);
        self.record(session, manifest, list).await
    }

    /// Adds to `list` what comes after the rows, records it, and ends the transaction of
    /// [`begin`].
    ///
    /// # Errors
    /// The server said no; the backup could not be read.
    pub(super) async fn record(
        &self,
        session: &Session,
        manifest: &Manifest,
        mut list: Vec<Work>,
    ) -> Result<Vec<Item>> {
        if self.own_schema {
            list.extend(self.post_data(manifest).await?);
        }
        work::create(session, &list).await?;
        let done = session.batch_execute("commit").await;
        done.map_err(|e| server_error(PREPARING, e))?;
        work::read(session)
            .await?
            .ok_or_else(|| Error::internal("the restore's list of work is gone"))
    }

    async fn rows(
        &self,
        session: &Session,
        manifest: &Manifest,
        placements: &Placements,
    ) -> Result<Vec<Work>> {
        let bytes = |e: &TableEntry| e.chunks.iter().map(|c| c.raw_bytes).sum::<u64>();
        let total: u64 = manifest.tables.iter().map(bytes).sum();
        let jobs = self.options.jobs.get();
        let mut list = Vec::new();
        let mut emptied = std::collections::BTreeSet::new();
        for placement in &placements.placed {
            let entry = &manifest.tables[placement.entry];
            let size = bytes(entry);
            let large = size > SPLIT_FROM.max(total / (jobs as u64 * 2)) && jobs > 1;
            let pieces = if large { jobs * 2 } else { 1 };
            let whole = pieces == 1 && !entry.chunks.is_empty() && !placement.shared;
            if !whole && emptied.insert(&placement.target) && self.needs_emptying(placement) {
                empty_now(session, entry.condition.as_deref(), placement).await?;
            }
            for (from, to) in groups(entry, size, pieces) {
                list.push(Work::Rows {
                    entry: placement.entry,
                    from,
                    to,
                    whole,
                });
            }
        }
        Ok(list)
    }

    /// Tables made from the backup's own schema are empty, but for those of extensions.
    fn needs_emptying(&self, placement: &Placement) -> bool {
        !self.own_schema || placement.kind == TableKind::Table
    }

    async fn post_data(&self, manifest: &Manifest) -> Result<Vec<Work>> {
        let shelf = Shelf::new(self.store.clone());
        let sql = shelf.text(manifest, layout::POST_DATA).await?;
        let sql = without_restriction(&sql);
        let statements = split(&sql).map_err(|f| f.in_file(layout::POST_DATA))?;
        work_of(statements.iter().map(|s| s.text(&sql)))
    }
}

/// Begins a transaction and takes away foreign keys, and the triggers of the tables that are
/// loaded. Returns the work that brings them back.
///
/// # Errors
/// The server said no.
pub(super) async fn begin(session: &Session, placements: &Placements) -> Result<Vec<Work>> {
    let begun = session.batch_execute("begin").await;
    begun.map_err(|e| server_error(PREPARING, e))?;
    let loaded: Vec<TableName> = placements.placed.iter().map(|p| p.target.clone()).collect();
    detach(session, &loaded).await
}

/// Empties the target in the transaction of [`begin`].
///
/// *Destroys:* its rows; of an extension's table, those that `condition` picks.
///
/// # Errors
/// The server said no.
pub(super) async fn empty_now(
    session: &Session,
    condition: Option<&str>,
    placement: &Placement,
) -> Result<()> {
    let sql = empty(condition, placement)?;
    let emptied = session.batch_execute(&sql).await;
    emptied.map_err(|e| server_error(format!("could not empty {}", placement.target), e))
}

/// Groups of chunks of about equal size.
fn groups(entry: &TableEntry, size: u64, pieces: usize) -> Vec<(usize, usize)> {
    let wanted = size.div_ceil(pieces as u64).max(1);
    let mut groups = Vec::new();
    let (mut from, mut filled) = (0, 0);
    for (n, chunk) in entry.chunks.iter().enumerate() {
        filled += chunk.raw_bytes;
        if filled >= wanted {
            groups.push((from, n + 1));
            (from, filled) = (n + 1, 0);
        }
    }
    if from < entry.chunks.len() {
        groups.push((from, entry.chunks.len()));
    }
    groups
}
