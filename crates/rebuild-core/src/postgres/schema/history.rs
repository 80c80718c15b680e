//! Which files a database has had: the table `rebuild.schema_history` in it.

use super::files::SqlFile;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::postgres::{Session, literal, server_error};

/// What a row is about. The row carries the database's oid, so that the history of another
/// database that a restore brought along says nothing here.
const CREATE: &str = "
    create schema if not exists rebuild;
    create table rebuild.schema_history (
        seq pg_catalog.int8 generated always as identity,
        database pg_catalog.text not null,
        part pg_catalog.text not null,
        path pg_catalog.text not null,
        checksum pg_catalog.text not null,
        applied_at pg_catalog.timestamptz not null default pg_catalog.clock_timestamp(),
        statements pg_catalog.int8 not null,
        state pg_catalog.text not null check (state in ('half', 'whole')),
        primary key (database, part, path)
    );
    comment on table rebuild.schema_history is 'SQL files that rebuild applied to this database'";

/// Whose files they are; the same file may be applied once for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlPart {
    /// Files that make the schema.
    Schema,
    /// Files that add rows after the restore.
    Fixtures,
}

impl SqlPart {
    /// Its name in the history and in progress reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Fixtures => "fixtures",
        }
    }
}

/// How far a file got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Some of its statements may have been run.
    Half,
    /// All of them were.
    Whole,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Half => "half",
            Self::Whole => "whole",
        }
    }
}

/// A row of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The file's path.
    pub(super) path: String,
    /// Its checksum when it was applied.
    pub(super) checksum: String,
    /// How far it got.
    pub(super) state: State,
}

/// The history of one database, over a session of its own.
pub(super) struct History {
    session: Session,
    database: String,
    part: SqlPart,
}

impl History {
    /// Opens the history of `db`; nothing is made yet.
    pub(super) async fn open(
        ctx: &Ctx,
        endpoint: &Endpoint,
        db: &Identity,
        part: SqlPart,
    ) -> Result<Self> {
        Ok(Self {
            session: Session::open_at(endpoint, db, ctx).await?,
            database: db.uid.clone(),
            part,
        })
    }

    /// The same, over a session that cannot write.
    pub(super) async fn only_read(self) -> Result<Self> {
        Ok(Self {
            session: self.session.only_read().await?,
            ..self
        })
    }

    /// The files of this part, in the order in which they were applied.
    pub(super) async fn entries(&self) -> Result<Vec<Entry>> {
        if !self.exists().await? {
            return Ok(Vec::new());
        }
        let rows = self
            .session
            .query(
                "select path, checksum, state operator(pg_catalog.=) 'whole'
                   from rebuild.schema_history
                  where database operator(pg_catalog.=) $1 and part operator(pg_catalog.=) $2
                  order by seq",
                &[&self.database, &self.part.name()],
            )
            .await
            .map_err(|e| server_error("could not read the history of SQL files", e))?;
        let entries = rows.iter().map(|row| Entry {
            path: row.get(0),
            checksum: row.get(1),
            state: if row.get(2) {
                State::Whole
            } else {
                State::Half
            },
        });
        Ok(entries.collect())
    }

    /// Makes the table if it is missing.
    pub(super) async fn create(&self) -> Result<()> {
        if self.exists().await? {
            return Ok(());
        }
        self.session
            .batch_execute(CREATE)
            .await
            .map_err(|e| server_error("could not create the table rebuild.schema_history", e))
    }

    /// Writes down how far `file` got.
    pub(super) async fn record(
        &self,
        file: &SqlFile,
        statements: usize,
        state: State,
    ) -> Result<()> {
        let sql = match state {
            State::Half => insert(&self.database, self.part, file, statements, state)?,
            State::Whole => format!(
                "update rebuild.schema_history
                    set state = 'whole', applied_at = pg_catalog.clock_timestamp()
                  where database operator(pg_catalog.=) {} and part operator(pg_catalog.=) {}
                    and path operator(pg_catalog.=) {}",
                literal(&self.database)?,
                literal(self.part.name())?,
                literal(&file.path)?
            ),
        };
        self.session.batch_execute(&sql).await.map_err(|e| {
            server_error(
                format!("could not record {} in rebuild.schema_history", file.path),
                e,
            )
        })
    }

    /// Ends the session.
    pub(super) async fn close(self) {
        self.session.close().await;
    }

    /// Whether the table is there; one that somebody else owns could run their code as us.
    async fn exists(&self) -> Result<bool> {
        let row = self
            .session
            .query_opt(
                "select n.nspowner operator(pg_catalog.=) r.oid,
                        c.oid is not null,
                        c.relkind operator(pg_catalog.=) 'r'
                            and c.relowner operator(pg_catalog.=) r.oid
                   from pg_catalog.pg_roles r
                   join pg_catalog.pg_namespace n on n.nspname operator(pg_catalog.=) 'rebuild'
                   left join pg_catalog.pg_class c
                     on c.relnamespace operator(pg_catalog.=) n.oid
                    and c.relname operator(pg_catalog.=) 'schema_history'
                  where r.rolname operator(pg_catalog.=) current_user",
                &[],
            )
            .await
            .map_err(|e| server_error("could not look for the history of SQL files", e))?;
        let Some(row) = row else { return Ok(false) };
        let (schema_is_ours, there): (bool, bool) = (row.get(0), row.get(1));
        let table_is_ours = row.get::<_, Option<bool>>(2);
        if schema_is_ours && (!there || table_is_ours == Some(true)) {
            return Ok(there);
        }
        Err(Error::refused(
            "the schema rebuild, or what is called schema_history in it, belongs to another role, so the history of SQL files in it cannot be trusted",
        )
        .hint("connect as its owner, or drop the schema rebuild of the staged database"))
    }
}

/// The statement that records `file` for the database with the oid `database`. It calls nothing
/// and compares nothing, so it means the same in a session whose `search_path` the file has set.
pub(super) fn insert(
    database: &str,
    part: SqlPart,
    file: &SqlFile,
    statements: usize,
    state: State,
) -> Result<String> {
    Ok(format!(
        "insert into rebuild.schema_history
             (database, part, path, checksum, statements, state)
         values ({}, {}, {}, {}, {statements}, {})",
        literal(database)?,
        literal(part.name())?,
        literal(&file.path)?,
        literal(&file.checksum)?,
        literal(state.name())?,
    ))
}
