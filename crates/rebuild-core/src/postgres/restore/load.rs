//! Loading one piece of a table: chunks from the store, through COPY, in one transaction.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::SinkExt;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::placement::Placement;
use super::work;
use crate::error::{Error, Result};
use crate::event::{Ctx, Unit};
use crate::model::{BackupId, RowForm, TableKind};
use crate::postgres::backup::{ChunkEntry, Manifest, TableEntry, layout};
use crate::postgres::rows::RowOptions;
use crate::postgres::rows::names::Names;
use crate::postgres::rows::pack::{Unpacker, checksum};
use crate::postgres::{Session, ident, literal, qualified, server_error};
use crate::store::{Name, Store};

/// Bytes handed to the server at a time.
pub(super) const PIECE: usize = 256 * 1024;
/// Pieces that may wait for the server.
pub(super) const AHEAD: usize = 8;
/// Receives rows that cannot go straight into their table.
const STAGE: &str = "pg_temp.rebuild_stage";

/// What all workers share.
pub(super) struct Loading<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) store: &'a Store,
    pub(super) manifest: &'a Manifest,
    pub(super) options: &'a RowOptions,
    /// Bytes loaded so far, and in all.
    pub(super) loaded: &'a AtomicU64,
    pub(super) total: u64,
}

impl Loading<'_> {
    /// Loads `chunks` of the table and marks piece `id` as done, all or nothing. With `whole`,
    /// the table is emptied first, which also lets its rows be written as frozen.
    ///
    /// # Errors
    /// A chunk is damaged; the rows do not fit; the server failed.
    pub(super) async fn load(
        &self,
        session: &Session,
        id: i32,
        placement: &Placement,
        chunks: Range<usize>,
        whole: bool,
    ) -> Result<()> {
        let entry = &self.manifest.tables[placement.entry];
        let what = || format!("could not restore table {}", entry.table);
        let run = |sql: String| async move {
            session
                .batch_execute(&sql)
                .await
                .map_err(|e| server_error(what(), e))
        };
        let (limit, begun) = (self.options.statement_limit, work::begin(session, id));
        if !self.ctx.within(limit, &what(), begun).await? {
            return Ok(());
        }
        let mut freeze = false;
        if whole {
            run(empty(entry.condition.as_deref(), placement)?).await?;
            freeze = placement.kind != TableKind::Partitioned && entry.condition.is_none();
        }
        let names = Names::under(&self.manifest.encoding);
        let steps = Steps::new(entry, placement, names, freeze)?;
        if let Some(sql) = &steps.before {
            run(sql.clone()).await?;
        }
        let source = Source {
            store: self.store.clone(),
            backup: self.manifest.id.clone(),
            chunks: entry.chunks[chunks.clone()].to_vec(),
        };
        let (pieces, mut ready) = mpsc::channel(AHEAD);
        let reading = AbortOnDropHandle::new(tokio::spawn(source.read(pieces)));
        for chunk in &entry.chunks[chunks] {
            let copied = self.copy(session, entry, &steps, chunk, &mut ready).await;
            if !copied.map_err(|e| e.context(what()))? {
                break;
            }
            if let Some(sql) = &steps.after_chunk {
                run(sql.clone()).await?;
            }
        }
        drop(ready);
        reading
            .await
            .map_err(|e| Error::internal("the reading of chunks ended early").caused_by(e))?
            .map_err(|e| e.context(what()))?;
        run("commit".to_owned()).await
    }

    /// Copies one chunk; false if the reading of chunks has failed.
    async fn copy(
        &self,
        session: &Session,
        entry: &TableEntry,
        steps: &Steps,
        chunk: &ChunkEntry,
        ready: &mut mpsc::Receiver<Piece>,
    ) -> Result<bool> {
        let failed = |e| server_error(format!("the server did not take {}", chunk.file), e);
        let encoding = self.manifest.encoding.as_str();
        // Rows go in as they came out; statements are UTF-8.
        if encoding != "UTF8" {
            session
                .batch_execute(&format!("set client_encoding = {}", literal(encoding)?))
                .await
                .map_err(failed)?;
        }
        let copied = self
            .ctx
            .within(
                self.options.stall,
                &format!("loading {}", entry.table),
                async {
                    session
                        .copy_in::<_, Bytes>(&steps.copy)
                        .await
                        .map_err(failed)
                },
            )
            .await?;
        let mut sink = Box::pin(copied);
        loop {
            match ready.recv().await {
                Some(Piece::Bytes(bytes)) => {
                    let size = bytes.len() as u64;
                    self.ctx
                        .within(
                            self.options.stall,
                            &format!("loading {}", entry.table),
                            async { sink.send(bytes).await.map_err(failed) },
                        )
                        .await?;
                    let loaded = self.loaded.fetch_add(size, Ordering::Relaxed) + size;
                    self.ctx
                        .events
                        .progress("restore", loaded, Some(self.total), Unit::Bytes);
                }
                Some(Piece::End) => break,
                None => return Ok(false),
            }
        }
        let rows = sink.as_mut().finish().await.map_err(failed)?;
        if encoding != "UTF8" {
            session
                .batch_execute("set client_encoding = 'UTF8'")
                .await
                .map_err(failed)?;
        }
        if rows == chunk.rows {
            return Ok(true);
        }
        Err(Error::corrupt(format!(
            "{} should hold {} rows, and the server took {rows}",
            chunk.file, chunk.rows
        )))
    }
}

/// The statement that empties the target before its rows are loaded. Of an extension's table,
/// only the user's rows are removed, which `condition` picks.
///
/// # Errors
/// A name cannot be quoted.
pub(super) fn empty(condition: Option<&str>, placement: &Placement) -> Result<String> {
    let table = qualified(&placement.target)?;
    Ok(match condition {
        Some(condition) => format!("delete from only {table} {condition}"),
        None if placement.kind == TableKind::Partitioned => format!("truncate {table}"),
        None => format!("truncate only {table}"),
    })
}

/// The statements around the rows of one table.
struct Steps {
    before: Option<String>,
    copy: String,
    after_chunk: Option<String>,
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
                before: None,
                copy: format!(
                    "copy {}{list} from stdin with ({form}{freeze})",
                    names.table(&placement.target)?
                ),
                after_chunk: None,
            });
        }
        let mut stage = Vec::new();
        let mut into = Vec::new();
        let mut values = Vec::new();
        for (n, (column, placed)) in entry.columns.iter().zip(&placement.columns).enumerate() {
            // A type that is gone is read as the built-in type it was made of.
            let known = if placed.same {
                &column.type_name
            } else {
                &column.base
            };
            stage.push(format!("c{n} {known}"));
            if let Some(type_name) = &placed.into {
                into.push(ident(&placed.name)?);
                values.push(format!("c{n}::{type_name}"));
            }
        }
        let target = qualified(&placement.target)?;
        Ok(Self {
            before: Some(format!(
                "create temp table rebuild_stage ({}) on commit drop",
                stage.join(", ")
            )),
            copy: format!("copy {STAGE} from stdin with ({form})"),
            after_chunk: Some(format!(
                "insert into {target} ({}) overriding system value select {} from {STAGE};
                 truncate {STAGE}",
                into.join(", "),
                values.join(", ")
            )),
        })
    }
}

enum Piece {
    Bytes(Bytes),
    /// The chunk is complete.
    End,
}

/// Reads chunks ahead of the server.
struct Source {
    store: Store,
    backup: BackupId,
    chunks: Vec<ChunkEntry>,
}

impl Source {
    async fn read(self, pieces: mpsc::Sender<Piece>) -> Result<()> {
        for chunk in self.chunks {
            let name = Name::new(format!("{}/{}", layout::folder(&self.backup), chunk.file))?;
            let stored = self.store.get(&name).await?;
            let sender = pieces.clone();
            let unpacked = tokio::task::spawn_blocking(move || unpack(&chunk, stored, &sender));
            let goes_on = unpacked
                .await
                .map_err(|e| Error::internal("the unpacking ended early").caused_by(e))??;
            if !goes_on {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Returns false when nobody wants the pieces any more.
fn unpack(chunk: &ChunkEntry, stored: Bytes, pieces: &mpsc::Sender<Piece>) -> Result<bool> {
    let damaged = |why: &str| Error::corrupt(format!("{} is damaged: {why}", chunk.file));
    if stored.len() as u64 != chunk.stored_bytes {
        return Err(damaged("it has another size than its manifest says"));
    }
    if checksum(&stored) != chunk.blake3 {
        return Err(damaged("its checksum is not that of its manifest"));
    }
    let mut unpacker = Unpacker::new(stored, chunk.raw_bytes)?;
    loop {
        let piece = unpacker.next_piece(PIECE)?;
        let last = piece.is_empty();
        let next = if last {
            Piece::End
        } else {
            Piece::Bytes(piece.into())
        };
        if pieces.blocking_send(next).is_err() {
            return Ok(false);
        }
        if last {
            return Ok(true);
        }
    }
}
