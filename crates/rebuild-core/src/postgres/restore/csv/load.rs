//! Loading one CSV file, through COPY, in one transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::SinkExt;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::CsvFiles;
use super::folder::CsvFile;
use super::record::{EndMark, damaged};
use crate::error::{Error, Result};
use crate::event::{Ctx, Unit};
use crate::model::TableKind;
use crate::postgres::restore::load::{AHEAD, PIECE, empty};
use crate::postgres::restore::placement::Placement;
use crate::postgres::restore::work::{self, Item, Work};
use crate::postgres::rows::RowOptions;
use crate::postgres::{Session, ident, qualified, server_error};

/// Receives rows of which not every column has a place.
const STAGE: &str = "rebuild_stage";

/// What all workers share.
pub(in crate::postgres::restore) struct CsvLoading<'a> {
    pub(in crate::postgres::restore) ctx: &'a Ctx,
    pub(in crate::postgres::restore) files: &'a Arc<CsvFiles>,
    pub(in crate::postgres::restore) options: &'a RowOptions,
    /// Bytes of files loaded so far, and in all.
    pub(in crate::postgres::restore) loaded: &'a AtomicU64,
    pub(in crate::postgres::restore) total: u64,
}

impl CsvLoading<'_> {
    /// Loads the file, in the transaction of its piece. With `whole`, the table is emptied first,
    /// which also lets its rows be written as frozen.
    ///
    /// # Errors
    /// The file is damaged; the rows do not fit; the server failed.
    pub(in crate::postgres::restore) async fn load(
        &self,
        session: &Session,
        item: &Item,
        placement: &Placement,
        whole: bool,
    ) -> Result<()> {
        let file = &self.files.files[placement.entry];
        let what = || format!("could not restore {}", placement.target);
        let run = |sql: String| async move {
            let limit = self.options.statement_limit;
            let run = async {
                let done = session.batch_execute(&sql).await;
                done.map_err(|e| server_error(what(), e))
            };
            self.ctx.within(limit, &what(), run).await
        };
        if whole {
            let condition = self.files.conditions[placement.entry].as_deref();
            run(empty(condition, placement)?).await?;
        }
        let freeze = whole && placement.kind == TableKind::Table;
        let steps = Steps::new(placement, self.files.encoding, freeze)?;
        if let Some(sql) = steps.before {
            run(sql).await?;
        }
        let copied = self.copy(session, file, &steps.copy, &steps.relation).await;
        let rows = copied.map_err(|e| e.context(what()))?;
        if let Some(sql) = steps.after {
            run(sql).await?;
        }
        let mut work = item.work.clone();
        if let Work::CsvFile { rows: known, .. } = &mut work {
            *known = Some(rows);
        }
        run(work::keep(item.id, &work)?).await
    }

    /// Copies the file; gives the number of rows.
    async fn copy(
        &self,
        session: &Session,
        file: &CsvFile,
        sql: &str,
        relation: &str,
    ) -> Result<u64> {
        let what = format!("loading {}", file.name);
        let stall = self.options.stall;
        let failed = |e| refused_row(e, file, relation);
        let copying = async { session.copy_in::<_, Bytes>(sql).await.map_err(failed) };
        let mut sink = Box::pin(self.ctx.within(stall, &what, copying).await?);
        let (pieces, mut ready) = mpsc::channel(AHEAD);
        let (files, wanted) = (self.files.clone(), file.clone());
        let reading = tokio::task::spawn_blocking(move || read(&files, &wanted, &pieces));
        let reading = AbortOnDropHandle::new(reading);
        while let Some((bytes, taken)) = ready.recv().await {
            let sending = async { sink.send(bytes).await.map_err(failed) };
            self.ctx.within(stall, &what, sending).await?;
            let loaded = self.loaded.fetch_add(taken, Ordering::Relaxed) + taken;
            let events = &self.ctx.events;
            events.progress("restore", loaded, Some(self.total), Unit::Bytes);
        }
        // Before the end is told to the server, which would keep what it has.
        reading
            .await
            .map_err(|e| Error::internal("the reading of a file ended early").caused_by(e))?
            .map_err(|e| e.context(format!("could not read {}", file.name)))?;
        let ending = async { sink.as_mut().finish().await.map_err(failed) };
        self.ctx
            .within(self.options.statement_limit, &what, ending)
            .await
    }
}

/// Reads a file ahead of the server: bytes of CSV, and how many of the file they took.
fn read(files: &CsvFiles, file: &CsvFile, pieces: &mpsc::Sender<(Bytes, u64)>) -> Result<()> {
    let taken = Arc::new(AtomicU64::new(0));
    let counter = taken.clone();
    let mut input = file.open(&files.folder, move |read| {
        counter.fetch_add(read, Ordering::Relaxed);
    })?;
    let mut marks = EndMark::default();
    loop {
        let mut piece = vec![0; PIECE];
        let read = input.read(&mut piece).map_err(damaged)?;
        piece.truncate(read);
        marks.look(&piece)?;
        let next = (piece.into(), taken.swap(0, Ordering::Relaxed));
        // Nobody takes it if the server failed, which is the error to show.
        if read == 0 || pieces.blocking_send(next).is_err() {
            return Ok(());
        }
    }
}

/// The statements around the rows of one file.
struct Steps {
    before: Option<String>,
    copy: String,
    /// The relation that COPY writes to, as the server names it in what it says.
    relation: String,
    after: Option<String>,
}

impl Steps {
    fn new(placement: &Placement, encoding: &str, freeze: bool) -> Result<Self> {
        let target = qualified(&placement.target)?;
        let options = format!("format csv, header true, encoding '{encoding}'");
        if placement.is_direct() {
            let freeze = if freeze { ", freeze" } else { "" };
            let columns = placement.columns.iter().map(|c| ident(&c.name));
            let columns = columns.collect::<Result<Vec<_>>>()?.join(", ");
            let list = if columns.is_empty() {
                String::new()
            } else {
                format!(" ({columns})")
            };
            return Ok(Self {
                before: None,
                copy: format!("copy {target}{list} from stdin with ({options}{freeze})"),
                relation: placement.target.name.clone(),
                after: None,
            });
        }
        let (mut stage, mut into, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (n, column) in placement.columns.iter().enumerate() {
            let type_name = column.into.as_deref().unwrap_or("pg_catalog.text");
            stage.push(format!("c{n} {type_name}"));
            if column.into.is_some() {
                into.push(ident(&column.name)?);
                values.push(format!("c{n}"));
            }
        }
        Ok(Self {
            before: Some(format!(
                "drop table if exists pg_temp.{STAGE};
                 create temp table {STAGE} ({}) on commit drop",
                stage.join(", ")
            )),
            copy: format!("copy pg_temp.{STAGE} from stdin with ({options})"),
            relation: STAGE.to_owned(),
            after: Some(format!(
                "insert into {target} ({}) overriding system value select {} from pg_temp.{STAGE}",
                into.join(", "),
                values.join(", ")
            )),
        })
    }
}

/// The server's error with the file's name and the line it was at. What else the server says of
/// the place may quote the row, and is left out.
fn refused_row(e: tokio_postgres::Error, file: &CsvFile, relation: &str) -> Error {
    let place = e.as_db_error().and_then(|e| e.where_());
    let line = place.and_then(|place| line_in(place, relation));
    let what = match line {
        Some(line) => format!("{}, line {line}", file.name),
        None => file.name.clone(),
    };
    server_error(format!("the server did not take {what}"), e)
}

/// The line number in `COPY relation, line 3: …`, in whatever language.
fn line_in(place: &str, relation: &str) -> Option<u64> {
    let head = format!("COPY {relation}, ");
    let rest = &place[place.find(&head)? + head.len()..];
    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit());
    digits[..end.unwrap_or(digits.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found_in_what_the_server_says() {
        for (place, expected) in [
            ("COPY t 9, line 3: \"1,2\"", Some(3)),
            ("COPY t 9, Zeile 12, Spalte b: \"7\"", Some(12)),
            (
                "PL/pgSQL function f() line 2 at RAISE\nCOPY t 9, line 4",
                Some(4),
            ),
            ("COPY other, line 3", None),
        ] {
            assert_eq!(line_in(place, "t 9"), expected, "{place}");
        }
    }
}
