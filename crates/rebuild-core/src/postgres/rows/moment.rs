//! A moment of a database that another process holds.
//!
//! The coordinator of a work in many shares holds a database as [`Snapshot`] does. What its workers
//! are told of that names the database, the snapshot and the tables, and no SQL: how a table is
//! read, each worker asks the server.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::snapshot::{Snapshot, import, importing, seen_by};
use super::tables::{LiveTable, list_tables};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Identity, RowForm, TableName};
use crate::postgres::{Session, server_error};

/// What a worker is told of a database that its coordinator holds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Moment {
    /// The database.
    pub of: Identity,
    /// The exported snapshot, and what it sees: an id may be given again after a restart of the
    /// server.
    snapshot: String,
    sees: String,
    /// Tables with rows, in the order in which the task numbers them.
    pub tables: Vec<SeenTable>,
}

/// A table as the coordinator sees it.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeenTable {
    oid: u32,
    /// Its name.
    pub table: TableName,
    /// The form in which its rows are best carried.
    pub form: RowForm,
    /// The names of its columns.
    pub columns: Vec<String>,
}

impl SeenTable {
    fn of(table: &LiveTable) -> Self {
        Self {
            oid: table.oid,
            table: table.table.clone(),
            form: table.form(),
            columns: table.column_names(),
        }
    }
}

impl Moment {
    /// The moment that `snapshot` holds of the database `of`, with `tables`.
    ///
    /// # Errors
    /// The server could not be asked.
    pub(crate) async fn held_by(
        snapshot: &Snapshot,
        of: &Identity,
        tables: impl IntoIterator<Item = &LiveTable>,
    ) -> Result<Self> {
        Ok(Self {
            of: of.clone(),
            snapshot: snapshot.id().to_owned(),
            sees: seen_by(snapshot.session()).await?,
            tables: tables.into_iter().map(SeenTable::of).collect(),
        })
    }

    /// The name of the snapshot.
    pub(crate) fn snapshot(&self) -> &str {
        &self.snapshot
    }

    /// The tables as the server of `endpoint` describes them at that moment, and a look at whether it
    /// is held still.
    ///
    /// # Errors
    /// A refusal if the server or the database is another one, if the snapshot is gone, for the
    /// coordinator has ended, or if a table is not what the coordinator sees.
    pub(crate) async fn enter(
        &self,
        ctx: &Ctx,
        endpoint: &Endpoint,
    ) -> Result<(Vec<LiveTable>, Hold)> {
        let hold = Hold {
            session: Session::open_at(endpoint, &self.of, ctx).await?,
            importing: importing(&self.snapshot)?,
            of: self.of.clone(),
        };
        let session = &hold.session;
        let imported = import(session, &self.snapshot).await;
        imported.map_err(|e| hold.gone_or(e))?;
        let sees = seen_by(session).await?;
        if sees != self.sees {
            return Err(hold.gone(Error::refused(format!(
                "the snapshot of that name sees {sees}, and not {}",
                self.sees
            ))));
        }
        let tables = self.in_order(list_tables(session).await?)?;
        let ended = session.batch_execute("rollback").await;
        ended.map_err(|e| server_error("could not leave a snapshot", e))?;
        Ok((tables, hold))
    }

    /// Those of `listed` that are named, in that order.
    fn in_order(&self, listed: Vec<LiveTable>) -> Result<Vec<LiveTable>> {
        let by_oid: HashMap<u32, LiveTable> = listed.into_iter().map(|t| (t.oid, t)).collect();
        let find = |wanted: &SeenTable| {
            let found = by_oid.get(&wanted.oid);
            let same = found.filter(|found| SeenTable::of(found) == *wanted);
            same.cloned().ok_or_else(|| {
                Error::refused(format!(
                    "table {} is not here what the coordinator sees",
                    wanted.table
                ))
            })
        };
        self.tables.iter().map(find).collect()
    }
}

/// Tells whether a coordinator still holds its moment. Sessions that take part in a snapshot see it
/// for as long as they like, and would go on for nobody.
pub(crate) struct Hold {
    session: Session,
    importing: String,
    of: Identity,
}

impl Hold {
    /// A session in the database, in no transaction.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Makes sure that the coordinator is there still.
    ///
    /// # Errors
    /// A refusal if it has ended; the server could not be asked.
    pub(crate) async fn require(&self) -> Result<()> {
        // One message, so that several may ask through one session.
        let asked = format!("{}; rollback", self.importing);
        let answered = self.session.batch_execute(&asked).await;
        answered.map_err(|e| self.gone_or(server_error("could not import the snapshot", e)))
    }

    fn gone(&self, why: Error) -> Error {
        let of = &self.of;
        Error::refused(format!(
            "the snapshot of {of} is gone: its coordinator has ended"
        ))
        .caused_by(why)
    }

    fn gone_or(&self, why: Error) -> Error {
        match why.kind() {
            ErrorKind::Server => self.gone(why),
            _ => why,
        }
    }
}
