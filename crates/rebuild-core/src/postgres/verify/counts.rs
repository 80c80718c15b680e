//! Every restored table has as many rows as the backup.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::amount::{amount, len};
use super::look::{Another, Look};
use crate::error::Result;
use crate::model::{Check, Outcome, TableKind, TableName};
use crate::postgres::rows::snapshot::TableReader;
use crate::postgres::rows::tables::{LiveTable, read_tables};
use crate::postgres::rows::units::{Queue, join_workers};
use crate::postgres::{qualified, server_error};
use crate::spec::TablePatterns;

/// One count to be taken.
struct Count {
    place: usize,
    table: TableName,
    sql: String,
}

/// Counts the rows of every table of `expected` that `except` does not pick, on several sessions
/// that see the same moment, the largest tables first. A table that was empty in the backup and
/// has no place in the new schema has as many rows as it had. The backup of an empty database expects
/// nothing, and nothing is what there is to look at; that it is left with nothing by `except` is
/// no proof.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn counts(
    look: &Look<'_>,
    expected: Vec<(TableName, u64)>,
    except: &TablePatterns,
) -> Result<Check> {
    if !expected.is_empty() && expected.iter().all(|(table, _)| except.matches(table)) {
        return Ok(Check {
            name: "counts".into(),
            looked_at: "nothing".into(),
            outcome: Outcome::NotRun("every table is excepted".into()),
        });
    }
    let expected: Vec<(TableName, u64)> = expected
        .into_iter()
        .filter(|(table, _)| !except.matches(table))
        .collect();
    let live: HashMap<TableName, LiveTable> = read_tables(look.session())
        .await?
        .into_iter()
        .map(|t| (t.table.clone(), t))
        .collect();
    let mut complaints = Vec::new();
    let mut closed = Vec::new();
    let mut work = Vec::new();
    for (place, (table, rows)) in expected.iter().enumerate() {
        match live.get(table) {
            // No rows were to come back, and none are missing.
            None if *rows == 0 => {}
            None => complaints.push(format!(
                "{table}: expected {}, found no such table",
                amount(*rows, "row", "rows")
            )),
            Some(found) => match &found.unreadable {
                Some(why) => closed.push(format!("{table}: {why}")),
                None => work.push((found.bytes, place, found)),
            },
        }
    }
    work.sort_by_key(|(bytes, place, _)| (std::cmp::Reverse(*bytes), *place));
    let work = work
        .into_iter()
        .map(|(_, place, table)| count_of(place, table))
        .collect::<Result<Vec<_>>>()?;
    let tables = len(&work);
    let mut counted = look
        .wait(
            "counting rows",
            count_all(look.another(), look.jobs.get(), work),
        )
        .await?;
    counted.sort_unstable();
    let rows = counted.iter().map(|(_, rows)| rows).sum();
    complaints.extend(counted.iter().filter_map(|(place, found)| {
        let (table, rows) = &expected[*place];
        (rows != found).then(|| {
            format!(
                "{table}: expected {}, found {}",
                amount(*rows, "row", "rows"),
                super::amount::grouped(*found)
            )
        })
    }));
    Ok(Check {
        name: "counts".into(),
        looked_at: format!(
            "{}, {}",
            amount(tables, "table", "tables"),
            amount(rows, "row", "rows")
        ),
        outcome: outcome(complaints, closed),
    })
}

/// A table that may not be read is no better than one that differs, but it is another matter.
fn outcome(mut complaints: Vec<String>, closed: Vec<String>) -> Outcome {
    match (complaints.is_empty(), closed.is_empty()) {
        (true, true) => Outcome::Passed,
        (true, false) => Outcome::NotRun(closed.join("; ")),
        (false, _) => {
            complaints.extend(closed);
            Outcome::Failed(complaints)
        }
    }
}

/// A partitioned table has the rows of its partitions, any other its own alone. Of an extension's
/// configuration table only those rows count that belong to the user.
fn count_of(place: usize, table: &LiveTable) -> Result<Count> {
    let only = if table.kind == TableKind::Partitioned {
        ""
    } else {
        "only "
    };
    Ok(Count {
        place,
        table: table.table.clone(),
        sql: format!(
            "select pg_catalog.count(*) from {only}{} {}",
            qualified(&table.table)?,
            table.condition.as_deref().unwrap_or_default()
        ),
    })
}

async fn count_all(another: Another, jobs: usize, work: Vec<Count>) -> Result<Vec<(usize, u64)>> {
    let jobs = jobs.min(work.len());
    let queue = Arc::new(Queue::new(work));
    let mut workers = JoinSet::new();
    for _ in 0..jobs {
        let (another, queue) = (another.clone(), queue.clone());
        workers.spawn(async move {
            let mut reader = TableReader::new(another.open().await?).await?;
            let mut counted = Vec::new();
            while let Some(count) = queue.next() {
                let what = || format!("could not count the rows of {}", count.table);
                let session = reader.next().await?;
                let row = session
                    .query_one(&count.sql, &[])
                    .await
                    .map_err(|e| server_error(what(), e))?;
                let rows: i64 = row.try_get(0).map_err(|e| server_error(what(), e))?;
                counted.push((count.place, u64::try_from(rows).unwrap_or_default()));
            }
            reader.close().await;
            Ok(counted)
        });
    }
    Ok(join_workers(workers).await?.into_iter().flatten().collect())
}
