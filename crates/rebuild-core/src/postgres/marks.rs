//! Marks that writes leave: the server's own counters, cheap to read and to compare.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Session, server_error};
use crate::error::{Error, Result};
use crate::model::TableName;

/// What the server counted in one database at one moment.
///
/// Two readings that agree mean that no finished session wrote between them, because a session
/// hands its counts in at the latest when it ends
/// (<https://www.postgresql.org/docs/current/monitoring-stats.html>). Two that differ mean that
/// somebody may have written: an aborted transaction counts too. A session that is still open may
/// hold counts back for some seconds, so the reading that decides is taken once they have ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteMarks {
    /// When the server was started; its counters do not always outlive it.
    started: String,
    /// When the database's counters were last reset.
    stats_reset: Option<String>,
    /// `track_counts`.
    counting: bool,
    /// Committed transactions so far. It grows by itself; a lower number is a reset.
    commits: i64,
    tables: Vec<TableMark>,
    sequences: Vec<SequenceMark>,
    large_objects: LargeObjectMark,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TableMark {
    oid: u32,
    #[serde(flatten)]
    table: TableName,
    /// Changes on TRUNCATE and on every rewrite.
    filenode: u32,
    inserted: i64,
    updated: i64,
    deleted: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SequenceMark {
    oid: u32,
    #[serde(flatten)]
    sequence: TableName,
    filenode: u32,
    last_value: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LargeObjectMark {
    count: i64,
    newest: u32,
    inserted: i64,
    updated: i64,
    deleted: i64,
}

/// Something that may have been written between two readings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Change {
    /// The counters say nothing about the time in between, and why. Everything may have changed.
    Unknown(String),
    /// A table that was not there before.
    Created(TableName),
    /// A table that is no longer there.
    Dropped(TableName),
    /// A table whose rows may have changed.
    Table(TableName),
    /// A sequence that was moved.
    Sequence(TableName),
    /// Large objects that may have changed.
    LargeObjects,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(why) => write!(f, "it cannot be told what was written: {why}"),
            Self::Created(t) => write!(f, "table {t} was created"),
            Self::Dropped(t) => write!(f, "table {t} was dropped"),
            Self::Table(t) => write!(f, "table {t} may have been written to"),
            Self::Sequence(s) => write!(f, "sequence {s} was moved"),
            Self::LargeObjects => f.write_str("large objects may have been written to"),
        }
    }
}

/// Inside a transaction the server would answer from what it looked up before; and before 15 it
/// answers from a file that may be half a second old.
const FRESH: &str = "
    select pg_catalog.pg_stat_clear_snapshot(), case
        when pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 150000
        then pg_catalog.pg_sleep(0.6) end";

/// One statement, so that all marks are of one moment.
const READ: &str = "
    select pg_catalog.json_build_object(
        'started', pg_catalog.pg_postmaster_start_time()::pg_catalog.text,
        'stats_reset', d.stats_reset::pg_catalog.text,
        'counting', pg_catalog.current_setting('track_counts')::pg_catalog.bool,
        'commits', d.xact_commit,
        'tables', (
            select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                'oid', c.oid::pg_catalog.int8, 'schema', n.nspname, 'name', c.relname,
                'filenode', c.relfilenode::pg_catalog.int8,
                'inserted', pg_catalog.pg_stat_get_tuples_inserted(c.oid),
                'updated', pg_catalog.pg_stat_get_tuples_updated(c.oid),
                'deleted', pg_catalog.pg_stat_get_tuples_deleted(c.oid))
                order by c.oid), '[]')
              from pg_catalog.pg_class c
              join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where c.relkind in ('r', 'p') and c.relpersistence <> 't'
               and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'),
        'sequences', (
            select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                'oid', c.oid::pg_catalog.int8, 'schema', n.nspname, 'name', c.relname,
                'filenode', c.relfilenode::pg_catalog.int8,
                'last_value', case
                    when pg_catalog.has_sequence_privilege(c.oid, 'SELECT,USAGE')
                    then pg_catalog.pg_sequence_last_value(c.oid) end)
                order by c.oid), '[]')
              from pg_catalog.pg_class c
              join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where c.relkind = 'S' and c.relpersistence <> 't'
               and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'),
        'large_objects', (
            select pg_catalog.json_build_object(
                'count', pg_catalog.count(*),
                'newest', coalesce(pg_catalog.max(m.oid), 0::pg_catalog.oid)::pg_catalog.int8,
                'inserted', pg_catalog.pg_stat_get_tuples_inserted(2613),
                'updated', pg_catalog.pg_stat_get_tuples_updated(2613),
                'deleted', pg_catalog.pg_stat_get_tuples_deleted(2613))
              from pg_catalog.pg_largeobject_metadata m)
    )::pg_catalog.text
    from pg_catalog.pg_stat_database d
    where d.datname = pg_catalog.current_database()";

impl WriteMarks {
    /// Reads the marks of the database that `session` is in, by one query.
    ///
    /// # Errors
    /// The server could not be asked.
    pub async fn read(session: &Session) -> Result<Self> {
        let what = "could not read the marks of writes";
        session
            .execute(FRESH, &[])
            .await
            .map_err(|e| server_error(what, e))?;
        let row = session
            .query_one(READ, &[])
            .await
            .map_err(|e| server_error(what, e))?;
        let text: String = row.try_get(0).map_err(|e| server_error(what, e))?;
        serde_json::from_str(&text).map_err(|e| Error::internal(what).caused_by(e))
    }

    /// What may have been written between `before` and this later reading of the same database.
    /// Nothing in the list means that no session which has ended since wrote anything.
    pub fn changes_since(&self, before: &Self) -> Vec<Change> {
        let mut changes: Vec<Change> = self.reset_since(before).into_iter().collect();
        let old: BTreeMap<u32, &TableMark> = before.tables.iter().map(|t| (t.oid, t)).collect();
        let new: BTreeMap<u32, &TableMark> = self.tables.iter().map(|t| (t.oid, t)).collect();
        for (oid, now) in &new {
            match old.get(oid) {
                None => changes.push(Change::Created(now.table.clone())),
                // Under its next name it is none that the other reading knows.
                Some(then) if then.table != now.table => {
                    let (gone, new) = (then.table.clone(), now.table.clone());
                    changes.extend([Change::Dropped(gone), Change::Created(new)]);
                }
                Some(then) if then != now => changes.push(Change::Table(now.table.clone())),
                Some(_) => {}
            }
        }
        for (oid, then) in &old {
            if !new.contains_key(oid) {
                changes.push(Change::Dropped(then.table.clone()));
            }
        }
        let sequences: BTreeMap<u32, &SequenceMark> =
            before.sequences.iter().map(|s| (s.oid, s)).collect();
        for now in &self.sequences {
            if sequences.get(&now.oid) != Some(&now) {
                changes.push(Change::Sequence(now.sequence.clone()));
            }
        }
        if self.large_objects != before.large_objects {
            changes.push(Change::LargeObjects);
        }
        changes
    }

    /// Why the counters of both readings cannot be compared, if they cannot.
    fn reset_since(&self, before: &Self) -> Option<Change> {
        let why = if !self.counting || !before.counting {
            "the server does not count writes (track_counts is off)"
        } else if self.started != before.started {
            "the server was restarted"
        } else if self.stats_reset != before.stats_reset || self.commits < before.commits {
            "the statistics were reset"
        } else {
            return None;
        };
        Some(Change::Unknown(why.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, scratch_database};

    async fn changes(
        before: &WriteMarks,
        endpoint: &crate::model::Endpoint,
        sql: &str,
    ) -> Vec<String> {
        let writer = Session::open(endpoint, "writer").await.expect("writer");
        writer.batch_execute(sql).await.expect("written");
        let pid: i32 = writer
            .query_one("select pg_catalog.pg_backend_pid()", &[])
            .await
            .expect("pid")
            .get(0);
        drop(writer);
        let reader = Session::open(endpoint, "reader").await.expect("reader");
        // The counts are handed in when the writer's backend has gone.
        loop {
            let there: i64 = reader
                .query_one(
                    "select pg_catalog.count(*) from pg_catalog.pg_stat_activity where pid = $1",
                    &[&pid],
                )
                .await
                .expect("activity")
                .get(0);
            if there == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
        let after = WriteMarks::read(&reader).await.expect("after");
        after
            .changes_since(before)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[tokio::test]
    async fn every_kind_of_write_leaves_a_mark() {
        let cluster = cluster().await.expect("cluster");
        let endpoint = scratch_database(&cluster).await.expect("database");
        let session = Session::open(&endpoint, "test").await.expect("session");
        session
            .batch_execute(
                "create table public.a (id serial, x int); create table public.b (x int);
                 insert into public.a (x) values (1); insert into public.b values (1);
                 select pg_catalog.lo_from_bytea(4711, 'abc')",
            )
            .await
            .expect("made");
        drop(session);
        changes_settle(&endpoint).await;
        let reader = Session::open(&endpoint, "test").await.expect("session");
        let mut before = WriteMarks::read(&reader).await.expect("before");
        for (sql, expected) in [
            ("select * from public.a", vec![]),
            (
                "update public.b set x = 2",
                vec!["table public.b may have been written to"],
            ),
            (
                "truncate public.a",
                vec!["table public.a may have been written to"],
            ),
            (
                "insert into public.a (x) values (5)",
                vec![
                    "table public.a may have been written to",
                    "sequence public.a_id_seq was moved",
                ],
            ),
            (
                "select pg_catalog.lo_put(4711, 1, 'x')",
                vec!["large objects may have been written to"],
            ),
            (
                "create table public.c ()",
                vec!["table public.c was created"],
            ),
            ("drop table public.c", vec!["table public.c was dropped"]),
        ] {
            assert_eq!(changes(&before, &endpoint, sql).await, expected, "{sql}");
            before = WriteMarks::read(&reader).await.expect("before");
        }
        let reset = changes(&before, &endpoint, "select pg_catalog.pg_stat_reset()").await;
        assert_eq!(
            reset[0],
            "it cannot be told what was written: the statistics were reset"
        );
    }

    /// Waits until what the set-up wrote has been counted.
    async fn changes_settle(endpoint: &crate::model::Endpoint) {
        let reader = Session::open(endpoint, "reader").await.expect("reader");
        loop {
            let marks = WriteMarks::read(&reader).await.expect("marks");
            if marks.tables.iter().all(|t| t.inserted == 1) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}
