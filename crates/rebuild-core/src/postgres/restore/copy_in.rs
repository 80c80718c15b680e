//! Rows into their table, through COPY, in the transaction of their piece.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::SinkExt;
use tokio::sync::mpsc;

use super::load::empty;
use super::placement::Placement;
use crate::error::Result;
use crate::event::{Ctx, Unit};
use crate::model::{RowForm, TableKind, TableName};
use crate::postgres::backup::TableEntry;
use crate::postgres::rows::RowOptions;
use crate::postgres::rows::columns::of_any_length;
use crate::postgres::rows::names::Names;
use crate::postgres::{Session, ident, literal, qualified, server_error};

/// Receives rows that cannot go straight into their table.
const STAGE: &str = "pg_temp.rebuild_stage";

/// Part of a COPY stream.
pub(super) enum Piece {
    /// Bytes of it.
    Bytes(Bytes),
    /// It is complete.
    End,
}

/// What all workers share.
pub(super) struct CopyIn<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) options: &'a RowOptions,
    /// The encoding of the rows.
    pub(super) encoding: &'a str,
    /// Bytes loaded so far, and in all.
    pub(super) loaded: &'a AtomicU64,
    pub(super) total: u64,
}

impl CopyIn<'_> {
    /// Makes the table ready for its rows, in the transaction of their piece. With `whole`, it is
    /// emptied, which also lets its rows be written as frozen.
    ///
    /// # Errors
    /// The server said no.
    pub(super) async fn begin(
        &self,
        session: &Session,
        entry: &TableEntry,
        placement: &Placement,
        whole: bool,
    ) -> Result<Steps> {
        let freeze = whole && placement.kind != TableKind::Partitioned && entry.condition.is_none();
        let steps = Steps::new(entry, placement, Names::under(self.encoding), freeze)?;
        if whole {
            let sql = empty(entry.condition.as_deref(), placement)?;
            self.run(session, &steps.table, &sql).await?;
        }
        if let Some(sql) = &steps.before {
            self.run(session, &steps.table, sql).await?;
        }
        Ok(steps)
    }

    /// Copies the stream that is `ready`, which comes from `source`; returns the number of rows,
    /// or `None` if it was not brought to its end.
    ///
    /// # Errors
    /// The rows do not fit; the server failed, or took nothing for too long.
    pub(super) async fn copy(
        &self,
        session: &Session,
        steps: &Steps,
        source: &str,
        ready: &mut mpsc::Receiver<Piece>,
    ) -> Result<Option<u64>> {
        let failed = |e| server_error(format!("the server did not take {source}"), e);
        let what = format!("loading {}", steps.table);
        // Rows go in as they came out; statements are UTF-8.
        let foreign = self.encoding != "UTF8";
        if foreign {
            let sql = format!("set client_encoding = {}", literal(self.encoding)?);
            self.run(session, &steps.table, &sql).await?;
        }
        let begun = async {
            let begun = session.copy_in::<_, Bytes>(&steps.copy).await;
            begun.map_err(failed)
        };
        let mut sink = Box::pin(self.ctx.within(self.options.stall, &what, begun).await?);
        loop {
            match ready.recv().await {
                Some(Piece::Bytes(bytes)) => {
                    let size = bytes.len() as u64;
                    let sent = async { sink.send(bytes).await.map_err(failed) };
                    self.ctx.within(self.options.stall, &what, sent).await?;
                    self.tell(size);
                }
                Some(Piece::End) => break,
                None => return Ok(None),
            }
        }
        // What is left to do may be the triggers of all rows.
        let ended = async { sink.as_mut().finish().await.map_err(failed) };
        let limit = self.options.statement_limit;
        let rows = self.ctx.within(limit, &what, ended).await?;
        if foreign {
            let reset = "set client_encoding = 'UTF8'";
            self.run(session, &steps.table, reset).await?;
        }
        if let Some(sql) = &steps.after_copy {
            self.run(session, &steps.table, sql).await?;
        }
        Ok(Some(rows))
    }

    /// Runs a statement before or after the rows of `table`.
    async fn run(&self, session: &Session, table: &TableName, sql: &str) -> Result<()> {
        let what = format!("restoring table {table}");
        let run = async {
            let done = session.batch_execute(sql).await;
            done.map_err(|e| server_error(format!("could not restore table {table}"), e))
        };
        let limit = self.options.statement_limit;
        self.ctx.within(limit, &what, run).await
    }

    fn tell(&self, size: u64) {
        let loaded = self.loaded.fetch_add(size, Ordering::Relaxed) + size;
        // The total is an estimate where rows come straight from their database.
        let total = Some(self.total.max(loaded));
        let events = &self.ctx.events;
        events.progress("restore", loaded, total, Unit::Bytes);
    }
}

/// The statements around the rows of one table.
pub(super) struct Steps {
    /// The table that the rows come from.
    table: TableName,
    before: Option<String>,
    copy: String,
    after_copy: Option<String>,
}

impl Steps {
    /// `names` is for statements sent under the encoding of the rows.
    fn new(entry: &TableEntry, placement: &Placement, names: Names, freeze: bool) -> Result<Self> {
        let form = match entry.form {
            RowForm::Text => "format text",
            RowForm::Binary => "format binary",
        };
        if placement.is_direct() {
            let freeze = if freeze { ", freeze" } else { "" };
            let columns = names.list(placement.columns.iter().map(|c| c.name.as_str()))?;
            let list = if columns.is_empty() {
                String::new()
            } else {
                format!(" ({columns})")
            };
            return Ok(Self {
                table: entry.table.clone(),
                before: None,
                copy: format!(
                    "copy {}{list} from stdin with ({form}{freeze})",
                    names.table(&placement.target)?
                ),
                after_copy: None,
            });
        }
        let mut stage = Vec::new();
        let mut into = Vec::new();
        let mut values = Vec::new();
        for (n, (column, placed)) in entry.columns.iter().zip(&placement.columns).enumerate() {
            // A type that is gone is read as the built-in type it was made of.
            let known = match placed.same {
                true => column.type_name.clone(),
                false => of_any_length(&column.base),
            };
            stage.push(format!("c{n} {known}"));
            if let Some(type_name) = &placed.into {
                into.push(ident(&placed.name)?);
                values.push(format!("c{n}::{type_name}"));
            }
        }
        let target = qualified(&placement.target)?;
        Ok(Self {
            table: entry.table.clone(),
            before: Some(format!(
                "drop table if exists {STAGE};
                 create temp table rebuild_stage ({}) on commit drop",
                stage.join(", ")
            )),
            copy: format!("copy {STAGE} from stdin with ({form})"),
            after_copy: Some(format!(
                "insert into {target} ({}) overriding system value select {} from {STAGE};
                 truncate {STAGE}",
                into.join(", "),
                values.join(", ")
            )),
        })
    }
}
