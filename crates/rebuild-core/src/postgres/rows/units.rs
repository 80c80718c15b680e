//! Dividing the reading of tables among workers.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::form::copy_options;
use super::names::Names;
use crate::error::{Error, Result};
use crate::model::{RowForm, TableName};

/// What one worker reads at a time: a table, or the part of one that lies in a range of pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unit {
    /// The table's place in the list.
    pub table: usize,
    /// Which part of the table, from 0.
    pub part: u32,
    /// The pages, if not all: the first, and the one after the last. The last part has no end,
    /// for the table may have grown since it was measured.
    pub pages: Option<(u32, Option<u32>)>,
    /// Bytes there are to read, about.
    pub weight: u64,
}

/// What is known of a table's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Bytes of rows.
    pub bytes: u64,
    /// Pages of the heap, or 0 if the table cannot be read by ranges of pages.
    pub pages: u32,
}

/// Units that cover the tables, the largest first, each of about `split_bytes`.
pub(crate) fn units(tables: &[Extent], split_bytes: u64) -> Vec<Unit> {
    let mut units = Vec::new();
    for (table, extent) in tables.iter().enumerate() {
        let wanted = extent.bytes.div_ceil(split_bytes.max(1)).max(1);
        let parts = u32::try_from(wanted)
            .unwrap_or(u32::MAX)
            .min(extent.pages.max(1));
        for part in 0..parts {
            units.push(Unit {
                table,
                part,
                pages: (parts > 1).then(|| page_range(extent.pages, part, parts)),
                weight: extent.bytes / u64::from(parts),
            });
        }
    }
    units.sort_by_key(|u| (std::cmp::Reverse(u.weight), u.table, u.part));
    units
}

fn page_range(pages: u32, part: u32, parts: u32) -> (u32, Option<u32>) {
    let bound = |n: u32| {
        let at = u64::from(pages) * u64::from(n) / u64::from(parts);
        u32::try_from(at).unwrap_or(u32::MAX)
    };
    (bound(part), (part + 1 < parts).then(|| bound(part + 1)))
}

/// What to read of a table, and how.
#[derive(Clone, Debug)]
pub(crate) struct Reading<'a> {
    /// The table.
    pub table: &'a TableName,
    /// One expression for each column: its quoted name, or a cast of it.
    pub columns: &'a [String],
    /// True if the columns are plain names, so that COPY can read the table itself.
    pub plain: bool,
    /// The form to send them in.
    pub form: RowForm,
    /// As in [`Unit::pages`].
    pub pages: Option<(u32, Option<u32>)>,
    /// A `WHERE` clause.
    pub condition: Option<&'a str>,
    /// An expression that picks rows, beside `pages`.
    pub filter: Option<&'a str>,
}

impl Reading<'_> {
    /// The COPY statement that sends those rows.
    ///
    /// # Errors
    /// A name cannot be quoted.
    pub(crate) fn sql(&self, names: Names) -> Result<String> {
        let table = names.table(self.table)?;
        let columns = self.columns.join(", ");
        let options = copy_options(self.form);
        let condition = self.condition.unwrap_or_default();
        // Reading the table itself spares the server the executor's work. It never reads the
        // tables that inherit from it.
        let whole = self.pages.is_none() && condition.is_empty() && self.filter.is_none();
        if self.plain && whole {
            let list = if columns.is_empty() {
                String::new()
            } else {
                format!(" ({columns})")
            };
            return Ok(format!("copy {table}{list} to stdout with {options}"));
        }
        let range = self.pages.map(|(from, to)| {
            let from = format!("ctid >= '({from},0)'::pg_catalog.tid");
            match to {
                None => from,
                Some(to) => format!("{from} and ctid < '({to},0)'::pg_catalog.tid"),
            }
        });
        // A filter may end in a comment.
        let filter = self.filter.map(|filter| format!("(\n{filter}\n)"));
        let picks: Vec<String> = range.into_iter().chain(filter).collect();
        let picks = match picks.as_slice() {
            [] => condition.to_owned(),
            _ => format!("where {}", picks.join(" and ")),
        };
        Ok(format!(
            "copy (select {columns} from only {table} {picks}) to stdout with {options}"
        ))
    }
}

/// Work that is handed out in order, each piece once.
#[derive(Debug)]
pub(crate) struct Queue<T>(Mutex<VecDeque<T>>);

impl<T> Queue<T> {
    /// A queue of `items`, in their order.
    pub(crate) fn new(items: impl IntoIterator<Item = T>) -> Self {
        Self(Mutex::new(items.into_iter().collect()))
    }

    /// The next piece, if there is one left.
    pub(crate) fn next(&self) -> Option<T> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    /// How many pieces are left.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Waits for every worker; the first error ends the others.
///
/// # Errors
/// The first error of any worker.
pub(crate) async fn join_workers<T: 'static>(mut workers: JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut results = Vec::new();
    while let Some(ended) = workers.join_next().await {
        results.push(ended.map_err(|e| Error::internal("a worker ended early").caused_by(e))??);
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_page_of_any_table_is_in_one_unit(
            tables in prop::collection::vec((0..1_u64 << 40, 0..2000_u32), 0..12),
            split in prop_oneof![Just(0_u64), Just(u64::MAX), 1 << 28..1_u64 << 40],
        ) {
            let extents: Vec<Extent> = tables
                .iter()
                .map(|&(bytes, pages)| Extent { bytes, pages })
                .collect();
            let units = units(&extents, split);
            prop_assert!(units.is_sorted_by_key(|unit| std::cmp::Reverse(unit.weight)));
            for (table, extent) in extents.iter().enumerate() {
                let mut parts: Vec<&Unit> = units.iter().filter(|u| u.table == table).collect();
                parts.sort_by_key(|unit| unit.part);
                prop_assert!(parts.iter().map(|u| u.weight).sum::<u64>() <= extent.bytes);
                if let [whole] = parts[..] {
                    prop_assert_eq!((whole.part, whole.pages), (0, None));
                    continue;
                }
                let mut next = Some(0);
                for (n, unit) in parts.iter().enumerate() {
                    prop_assert_eq!(u32::try_from(n).ok(), Some(unit.part));
                    let (from, to) = unit.pages.expect("a part of a table has a range");
                    prop_assert_eq!(Some(from), next, "where the one before ends");
                    prop_assert!(to.is_none_or(|to| from < to && to < extent.pages));
                    next = to;
                }
                prop_assert_eq!(next, None, "the last part has no end");
                prop_assert!(parts.len() <= extent.pages as usize);
            }
        }
    }

    #[test]
    fn units_cover_every_page_once_and_the_largest_come_first() {
        let tables = [
            Extent {
                bytes: 10,
                pages: 1,
            },
            Extent {
                bytes: 1000,
                pages: 7,
            },
            Extent {
                bytes: 1000,
                pages: 0,
            },
            Extent { bytes: 0, pages: 0 },
        ];
        let units = units(&tables, 100);
        assert_eq!(units[0].table, 2, "what cannot be split comes first");
        let ranges: Vec<_> = units
            .iter()
            .filter(|u| u.table == 1)
            .map(|u| u.pages.expect("a range"))
            .collect();
        assert_eq!(ranges.len(), 7, "no more parts than pages");
        assert_eq!(ranges[0].0, 0);
        for pair in ranges.windows(2) {
            assert_eq!(pair[0].1, Some(pair[1].0));
        }
        assert_eq!(ranges[6].1, None, "the last part is open");
        assert_eq!(units.iter().filter(|u| u.pages.is_none()).count(), 3);
    }

    #[test]
    fn statements_name_only_the_table_itself() {
        let table = TableName::new("public", "Ö");
        let columns = ["\"a\"".to_owned()];
        let mut reading = Reading {
            table: &table,
            columns: &columns,
            plain: true,
            form: RowForm::Binary,
            pages: None,
            condition: None,
            filter: None,
        };
        let latin = Names::under("LATIN1");
        assert_eq!(
            reading.sql(latin).expect("sql"),
            "copy \"public\".U&\"\\+0000D6\" (\"a\") to stdout with (format binary)"
        );
        reading.pages = Some((3, Some(5)));
        assert_eq!(
            reading.sql(Names::under("UTF8")).expect("sql"),
            "copy (select \"a\" from only \"public\".\"Ö\" where ctid >= '(3,0)'::pg_catalog.tid \
             and ctid < '(5,0)'::pg_catalog.tid) to stdout with (format binary)"
        );
        reading.filter = Some("a > 1 or a < 0 -- few");
        assert_eq!(
            reading.sql(Names::under("UTF8")).expect("sql"),
            "copy (select \"a\" from only \"public\".\"Ö\" where ctid >= '(3,0)'::pg_catalog.tid \
             and ctid < '(5,0)'::pg_catalog.tid and (\na > 1 or a < 0 -- few\n)) to stdout with \
             (format binary)"
        );
        (reading.pages, reading.filter) = (None, None);
        reading.columns = &[];
        assert_eq!(
            reading.sql(Names::under("UTF8")).expect("sql"),
            "copy \"public\".\"Ö\" to stdout with (format binary)"
        );
    }
}
