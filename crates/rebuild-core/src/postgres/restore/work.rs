//! What a restore consists of, as a list in the database itself.
//!
//! The list lies in a schema of its own in the staged database, and each piece is marked as done
//! in the transaction that does it. A restore that was killed goes on from there; when the last
//! piece is done, the schema is dropped.

use serde::{Deserialize, Serialize};
use tokio_postgres::SimpleQueryMessage;

use crate::error::{Error, Result};
use crate::postgres::rows::scan::Tally;
use crate::postgres::{Session, literal, server_error};

pub(super) const SCHEMA: &str = "rebuild_restore";

/// A piece of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub(super) enum Work {
    /// Everything that comes before the rows, in order. Not all in one transaction, which would
    /// hold more locks than a server has.
    Before {
        /// The statement.
        sql: String,
    },
    /// Load chunks `from..to` of a table.
    Rows {
        /// The table's place in the manifest.
        entry: usize,
        /// The first chunk.
        from: usize,
        /// The one after the last chunk.
        to: usize,
        /// True if this is all there is, so that the table is emptied in the same transaction.
        whole: bool,
    },
    /// Bring rows straight from the database they are in.
    Stream {
        /// The table's place in the manifest.
        entry: usize,
        /// The pages, if not all: the first, and the one after the last, if there is an end.
        pages: Option<(u32, Option<u32>)>,
        /// About how many bytes they have.
        bytes: u64,
        /// As of [`Work::Rows`].
        whole: bool,
        /// What the rows added up to, once a worker of another process has brought them: it is kept
        /// with the rows, or not at all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sum: Option<Tally>,
    },
    /// Load a CSV file.
    CsvFile {
        /// The file's place in the list of files.
        entry: usize,
        /// Its name.
        file: String,
        /// Its size.
        bytes: u64,
        /// True if nothing else goes into the table, so that it is emptied in the same
        /// transaction.
        whole: bool,
        /// How many rows it had, once they are loaded.
        rows: Option<u64>,
    },
    /// Restore the large objects.
    LargeObjects,
    /// Build an index, or a constraint that has one.
    Build {
        /// The statement.
        sql: String,
        /// The table, quoted.
        table: String,
        /// True if the statement keeps readers of the table out.
        exclusive: bool,
    },
    /// Attach the index of a partition to the index of its parent.
    Attach {
        /// The statement.
        sql: String,
    },
    /// Add a foreign key.
    ForeignKey {
        /// The statement.
        sql: String,
        /// Both tables, quoted, where they could be told.
        tables: Vec<String>,
        /// The constraint's name, if it is known to have held in the database that was backed up.
        held_as: Option<String>,
    },
    /// Everything that comes after, in order.
    Then {
        /// The statement.
        sql: String,
    },
}

impl Work {
    /// The same, with what its rows added up to.
    pub(super) fn with_sum(&self, tally: Tally) -> Self {
        let mut work = self.clone();
        if let Self::Stream { sum, .. } = &mut work {
            *sum = Some(tally);
        }
        work
    }

    /// The place of the table, or of the file, whose rows are loaded.
    pub(super) fn rows_of(&self) -> Option<usize> {
        match self {
            Self::Rows { entry, .. } | Self::Stream { entry, .. } | Self::CsvFile { entry, .. } => {
                Some(*entry)
            }
            _ => None,
        }
    }
}

/// A piece of work with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) id: i32,
    pub(super) work: Work,
    pub(super) done: bool,
}

/// Begins a transaction that does the pieces `ids` and marks them as done, all or nothing. Gives
/// those that are to be done; without any, there is no transaction. A session of a restore that
/// was killed may be at work on a piece still, and is waited for.
///
/// # Errors
/// The server said no.
pub(super) async fn begin(session: &Session, ids: &[i32]) -> Result<Vec<i32>> {
    let failed = |e| server_error("could not take up a piece of the restore", e);
    let list: Vec<String> = ids.iter().map(i32::to_string).collect();
    let answers = session
        .simple_query(&format!(
            "begin;
             update {SCHEMA}.work set done = true
              where id in ({}) and not done
             returning id",
            list.join(", ")
        ))
        .await
        .map_err(failed)?;
    let mut open = Vec::new();
    for answer in answers {
        if let SimpleQueryMessage::Row(row) = answer {
            let id = row.get(0).and_then(|id| id.parse().ok());
            open.push(id.ok_or_else(|| Error::internal("a piece of work has no number"))?);
        }
    }
    if open.is_empty() {
        session.batch_execute("rollback").await.map_err(failed)?;
    }
    Ok(open)
}

/// The statement that keeps `work` for piece `id`, which says how it went.
///
/// # Errors
/// The statement cannot be quoted.
pub(super) fn keep(id: i32, work: &Work) -> Result<String> {
    let item = literal(&item(work)?)?;
    Ok(format!(
        "update {SCHEMA}.work set item = {item} where id operator(pg_catalog.=) {id}"
    ))
}

fn item(work: &Work) -> Result<String> {
    serde_json::to_string(work)
        .map_err(|e| Error::internal("a piece of work is not JSON").caused_by(e))
}

/// Makes the list, all or nothing.
///
/// # Errors
/// The server said no.
pub(super) async fn create(session: &Session, work: &[Work]) -> Result<()> {
    let what = "could not make the restore's list of work";
    session
        .batch_execute(&format!(
            "begin;
             create schema {SCHEMA};
             create table {SCHEMA}.work (
                 id pg_catalog.int4 primary key,
                 item pg_catalog.text not null,
                 done pg_catalog.bool not null default false)"
        ))
        .await
        .map_err(|e| server_error(what, e))?;
    let items: Vec<String> = work.iter().map(item).collect::<Result<_>>()?;
    session
        .execute(
            &format!(
                "insert into {SCHEMA}.work (id, item)
                 select position::pg_catalog.int4, item
                   from pg_catalog.unnest($1::pg_catalog.text[]) with ordinality as t (item, position)"
            ),
            &[&items],
        )
        .await
        .map_err(|e| server_error(what, e))?;
    let done = session.batch_execute("commit").await;
    done.map_err(|e| server_error(what, e))
}

/// Reads the list, or `None` if there is none.
///
/// # Errors
/// The server could not be asked; the list is not one of ours.
pub(super) async fn read(session: &Session) -> Result<Option<Vec<Item>>> {
    let what = "could not read the restore's list of work";
    let there: bool = session
        .query_one(
            "select pg_catalog.to_regclass($1) is not null",
            &[&format!("{SCHEMA}.work")],
        )
        .await
        .map_err(|e| server_error(what, e))?
        .get(0);
    if !there {
        return Ok(None);
    }
    let rows = session
        .query(
            &format!("select id, item, done from {SCHEMA}.work order by id"),
            &[],
        )
        .await
        .map_err(|e| server_error(what, e))?;
    let item = |row: &tokio_postgres::Row| {
        let text: String = row.get(1);
        let work = serde_json::from_str(&text).map_err(|e| Error::corrupt(what).caused_by(e))?;
        Ok(Item {
            id: row.get(0),
            work,
            done: row.get(2),
        })
    };
    rows.iter().map(item).collect::<Result<_>>().map(Some)
}

/// Drops the list, if there is one; nothing is restored after this.
///
/// # Errors
/// The server said no.
pub(super) async fn drop(session: &Session) -> Result<()> {
    session
        .batch_execute(&format!("drop schema if exists {SCHEMA} cascade"))
        .await
        .map_err(|e| server_error("could not drop the restore's list of work", e))
}
