//! From a manifest to the list of work.

use super::PgRestorer;
use super::after::{for_a_session, work_of};
use super::detach::detach;
use super::load::empty;
use super::placement::Placements;
use super::work::{self, Item, Work};
use crate::error::{Error, Result};
use crate::model::TableName;
use crate::postgres::Session;
use crate::postgres::backup::{ChunkEntry, Manifest, Shelf, TableEntry, layout};
use crate::postgres::schema::split;

/// To write rows as frozen, a table must get new files in the same transaction. For so few bytes
/// of rows that is more work than it ever saves.
pub(super) const NOT_FROZEN: u64 = 64 << 10;

impl PgRestorer {
    /// Makes the list of work and records it; nothing else is touched yet.
    ///
    /// # Errors
    /// The server said no; the backup could not be read.
    pub(super) async fn prepare(
        &self,
        session: &Session,
        manifest: &Manifest,
        placements: &Placements,
    ) -> Result<Vec<Item>> {
        let mut rows = self.rows(manifest, placements)?;
        if manifest.large_objects.count > 0 {
            rows.push(Work::LargeObjects);
        }
        self.record(session, manifest, placements, rows).await
    }

    /// Puts around `rows` what comes before and after them, and records it all.
    ///
    /// # Errors
    /// The server said no; the backup could not be read.
    pub(super) async fn record(
        &self,
        session: &Session,
        manifest: &Manifest,
        placements: &Placements,
        rows: Vec<Work>,
    ) -> Result<Vec<Item>> {
        let loaded: Vec<TableName> = placements.placed.iter().map(|p| p.target.clone()).collect();
        let detached = detach(session, &loaded).await?;
        let mut list = detached.before;
        list.extend(rows);
        list.extend(detached.after);
        if self.own_schema {
            list.extend(self.post_data(manifest).await?);
        }
        work::create(session, &list).await?;
        work::read(session)
            .await?
            .ok_or_else(|| Error::internal("the restore's list of work is gone"))
    }

    fn rows(&self, manifest: &Manifest, placements: &Placements) -> Result<Vec<Work>> {
        let bytes = |e: &TableEntry| e.chunks.iter().map(|c| c.raw_bytes).sum::<u64>();
        let total: u64 = manifest.tables.iter().map(bytes).sum();
        let jobs = self.options.jobs.get();
        let mut list = Vec::new();
        let mut emptied = std::collections::BTreeSet::new();
        for placement in &placements.placed {
            let entry = &manifest.tables[placement.entry];
            let size = bytes(entry);
            let share = total / (jobs as u64 * 2);
            let large = size > self.options.whole_bytes.max(share) && jobs > 1;
            let pieces = if large { jobs * 2 } else { 1 };
            let whole = pieces == 1 && !entry.chunks.is_empty() && !placement.shared;
            let whole = whole && (size > NOT_FROZEN || self.needs_emptying(entry));
            if !whole && emptied.insert(&placement.target) && self.needs_emptying(entry) {
                list.push(Work::Before {
                    sql: empty(entry.condition.as_deref(), placement)?,
                });
            }
            for (from, to) in groups(&entry.chunks, size, pieces) {
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
    fn needs_emptying(&self, entry: &TableEntry) -> bool {
        !self.own_schema || entry.condition.is_some()
    }

    async fn post_data(&self, manifest: &Manifest) -> Result<Vec<Work>> {
        let shelf = Shelf::new(self.store.clone());
        let sql = shelf.text(manifest, layout::POST_DATA).await?;
        let sql = for_a_session(&sql);
        let statements = split(&sql).map_err(|f| f.in_file(layout::POST_DATA))?;
        work_of(statements.iter().map(|s| s.text(&sql)))
    }
}

/// Groups of chunks of about equal size.
fn groups(chunks: &[ChunkEntry], size: u64, pieces: usize) -> Vec<(usize, usize)> {
    let wanted = size.div_ceil(pieces as u64).max(1);
    let mut groups = Vec::new();
    let (mut from, mut filled) = (0, 0);
    for (n, chunk) in chunks.iter().enumerate() {
        filled += chunk.raw_bytes;
        if filled >= wanted {
            groups.push((from, n + 1));
            (from, filled) = (n + 1, 0);
        }
    }
    if from < chunks.len() {
        groups.push((from, chunks.len()));
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_chunk_is_in_one_group(
            sizes in prop::collection::vec(0..1_u64 << 40, 0..40),
            pieces in 1..20_usize,
        ) {
            let chunk = |&raw_bytes: &u64| ChunkEntry {
                file: String::new(),
                rows: 1,
                raw_bytes,
                stored_bytes: 1,
                blake3: String::new(),
            };
            let chunks: Vec<ChunkEntry> = sizes.iter().map(chunk).collect();
            let groups = groups(&chunks, sizes.iter().sum(), pieces);
            let mut next = 0;
            for &(from, to) in &groups {
                prop_assert!(from == next && from < to);
                next = to;
            }
            prop_assert_eq!(next, sizes.len());
            prop_assert!(groups.len() <= pieces + 1);
        }
    }
}
