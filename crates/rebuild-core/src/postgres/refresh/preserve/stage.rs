//! Brings the preserved rows from the old database into temporary tables of the new one: first
//! as text, then as the new columns' types.

use bytes::{Bytes, BytesMut};
use futures::SinkExt;
use tokio::sync::mpsc;

use super::carried::Carried;
use super::sift::Sieve;
use super::site::{Site, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::postgres::literal;
use crate::postgres::rows::copy_out::{Patience, PieceWork, copy_out};

/// Pieces that may wait for the new database.
const AHEAD: usize = 2;

/// The temporary table with the rows of the table in place `at`.
///
/// Its columns: `n`, a number; `label`, the key as JSON; `chosen`, false for a row that is not
/// preserved and only known because others may refer to it; `fate`; `matched`, the source has the
/// row; `reason`; and for each carried column `v…` its value, to begin with the old one, and `o…`,
/// where it is remembered, the old one.
pub(super) fn staged(at: usize) -> String {
    format!("pg_temp.rebuild_put_{at}")
}

/// What becomes of a staged row.
pub(super) mod fate {
    /// It waits to be put.
    pub(in super::super) const WAITING: &str = "'w'";
    /// It is not preserved, but may be referred to.
    pub(in super::super) const OTHER: &str = "'r'";
    /// It was inserted.
    pub(in super::super) const INSERTED: &str = "'i'";
    /// The source's row became the target's.
    pub(in super::super) const REPLACED: &str = "'u'";
    /// Both sides' rows are the same.
    pub(in super::super) const UNCHANGED: &str = "'s'";
    /// It is left out.
    pub(in super::super) const LEFT_OUT: &str = "'l'";
}

impl Site<'_> {
    /// Stages the rows of `table`, which is in place `at`. Those whose values do not fit the new
    /// columns are left out.
    ///
    /// # Errors
    /// A server failed, or took too long.
    pub(super) async fn stage(&self, at: usize, table: &Carried) -> Result<()> {
        let raw = format!("pg_temp.rebuild_raw_{at}");
        let places: Vec<usize> = (0..table.columns.len()).collect();
        let texts: Vec<String> = places.iter().map(|c| format!(", c{c} text")).collect();
        self.run(&format!(
            "create temp table rebuild_raw_{at} (
                 n bigint generated always as identity primary key, chosen boolean, label text{})
                 on commit drop",
            texts.concat()
        ))
        .await?;
        self.create(at, table).await?;
        let condition = table.rule.condition.as_deref();
        let is_true = condition.map(|c| format!(" where ({c}\n) is true"));
        self.bring(table, &raw, &places, true, is_true.as_deref().unwrap_or(""))
            .await?;
        if let Some(condition) = condition.filter(|_| table.needs_others()) {
            let remembered: Vec<usize> = table.remembered().into_iter().collect();
            let is_not = format!(" where ({condition}\n) is not true");
            self.bring(table, &raw, &remembered, false, &is_not).await?;
        }
        self.sift(&conversion(at, table, &raw)).await?;
        let staged = staged(at);
        self.run(&format!(
            "drop table {raw};
             create index on {staged} (n);
             analyze {staged}"
        ))
        .await
    }

    /// Makes the table for typed values: of the very types and collations of the new columns,
    /// but that domains, which may refuse null, are what they are made of.
    async fn create(&self, at: usize, table: &Carried) -> Result<()> {
        let mut columns = String::new();
        for (c, column) in table.columns.iter().enumerate() {
            let name = &column.name;
            let value = match &column.domain_of {
                Some(base) => format!("t.{name}::{base}"),
                None => format!("t.{name}"),
            };
            columns.push_str(&format!(", {value} as v{c}"));
            if table.remembered().contains(&c) {
                columns.push_str(&format!(", {value} as o{c}"));
            }
        }
        self.run(&format!(
            "create temp table rebuild_put_{at} on commit drop as
             select null::bigint as n, null::text as label, null::boolean as chosen,
                    null::text as fate, null::boolean as matched, null::text as reason{columns}
               from {} as t
               with no data",
            table.new.own_rows()?
        ))
        .await
    }

    /// Copies rows into `raw`.
    async fn bring(
        &self,
        table: &Carried,
        raw: &str,
        places: &[usize],
        chosen: bool,
        condition: &str,
    ) -> Result<()> {
        let mut key = Vec::new();
        for (at, _) in &table.key {
            let name = &table.columns[*at].name;
            let label = literal(&table.columns[*at].plain)?;
            key.push(format!("{label}, {name}"));
        }
        let names: Vec<String> = places
            .iter()
            .map(|c| format!(", {}", table.columns[*c].name))
            .collect();
        let out = format!(
            "copy (select {chosen}, pg_catalog.json_build_object({})::pg_catalog.text{}
                     from {}{condition}) to stdout",
            key.join(", "),
            names.concat(),
            table.old.own_rows()?
        );
        let into: Vec<String> = places.iter().map(|c| format!(", c{c}")).collect();
        let into = format!("copy {raw} (chosen, label{}) from stdin", into.concat());
        let what = format!("the preserved rows of {}", table.rule.table);
        let (pieces, ready) = mpsc::channel(AHEAD);
        let patience = Patience {
            ctx: self.ctx,
            stall: self.options.stall,
        };
        let read = async {
            // The sender is dropped only once all was read, or the reading failed.
            let pieces = pieces;
            let done = copy_out(&patience, self.old, &out, &what, Relay, &pieces).await;
            let end = if done.is_ok() {
                pieces.send(Piece::End).await
            } else {
                Ok(())
            };
            done.map(|_| end.is_ok())
        };
        let (read, written) = tokio::join!(read, self.take(&into, ready));
        match (read, written) {
            // Nobody takes the rows only because the writing failed.
            (Err(e), Err(_)) if e.kind() != ErrorKind::Interrupted => Err(e),
            (_, Err(e)) | (Err(e), _) => Err(e),
            (Ok(_), Ok(())) => Ok(()),
        }
    }

    async fn take(&self, sql: &str, mut ready: mpsc::Receiver<Piece>) -> Result<()> {
        let begun = async { self.new.copy_in::<_, Bytes>(sql).await.map_err(failed) };
        let mut sink = Box::pin(self.patiently(begun).await?);
        loop {
            match ready.recv().await {
                Some(Piece::Bytes(bytes)) => {
                    let sent = async { sink.send(bytes).await.map_err(failed) };
                    self.patiently(sent).await?;
                }
                Some(Piece::End) => break,
                None => {
                    return Err(Error::new(
                        ErrorKind::Interrupted,
                        "the preserved rows came to no end",
                    ));
                }
            }
        }
        let ended = async { sink.as_mut().finish().await.map_err(failed) };
        self.patiently(ended).await.map(|_| ())
    }
}

/// From text to the new columns' types. A row that cannot be converted whole is staged by what it
/// is known and referred to by, so that what refers to it finds the source's, or nothing; if not
/// even that can be converted, there is nothing but a number.
fn conversion(at: usize, table: &Carried, raw: &str) -> Sieve {
    let staged = staged(at);
    let remembered = table.remembered();
    let value = |c: usize| format!("m.c{c}::{}", table.columns[c].types.join("::"));
    let insert = |places: &[usize]| {
        let (mut into, mut from) = (String::new(), String::new());
        for c in places {
            into.push_str(&format!(", v{c}"));
            from.push_str(&format!(", {}", value(*c)));
            if remembered.contains(c) {
                into.push_str(&format!(", o{c}"));
                from.push_str(&format!(", {}", value(*c)));
            }
        }
        (into, from)
    };
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let (into, from) = insert(&all);
    let known: Vec<usize> = remembered.iter().copied().collect();
    let (known_into, known_from) = insert(&known);
    let part = |c: usize| {
        let (into, from) = insert(&[c]);
        let sql = format!(
            "insert into {staged} (n{into}) select m.n{from} from {raw} as m where m.n = $1"
        );
        (table.columns[c].plain.clone(), sql)
    };
    let refuse = |into: &str, from: &str| {
        format!(
            "with moved as (delete from {raw} where n = $1 returning *)
             insert into {staged} (n, label, chosen, fate, matched, reason{into})
             select m.n, m.label, m.chosen, case when m.chosen then {} else {} end, false,
                    $2::pg_catalog.text{from}
               from moved as m",
            fate::LEFT_OUT,
            fate::OTHER
        )
    };
    Sieve {
        span: format!(
            "select pg_catalog.min(n), pg_catalog.max(n) from {raw} where n between $1 and $2"
        ),
        put: format!(
            "with moved as (delete from {raw} where n between $1 and $2 returning *),
                  put as (insert into {staged} (n, label, chosen, fate, matched{into})
                          select m.n, m.label, m.chosen,
                                 case when m.chosen then {} else {} end, false{from}
                            from moved as m
                          returning 1)
             select (select pg_catalog.count(*) from put), (select pg_catalog.count(*) from moved)",
            fate::WAITING,
            fate::OTHER
        ),
        parts: all.iter().copied().map(part).collect(),
        refuse: vec![refuse(&known_into, &known_from), refuse("", "")],
    }
}

/// Part of a COPY stream.
enum Piece {
    Bytes(Bytes),
    End,
}

/// Hands the rows on as they are.
struct Relay;

impl PieceWork for Relay {
    type Ready = Piece;

    fn take(&mut self, piece: BytesMut) -> Result<Option<Piece>> {
        Ok(Some(Piece::Bytes(piece.freeze())))
    }
}
