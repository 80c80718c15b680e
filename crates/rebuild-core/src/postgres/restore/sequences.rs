//! Sequences: as the backup has them, and never behind the columns that draw from them.

use std::collections::BTreeSet;

use tokio_postgres::Row;

use crate::error::Result;
use crate::event::Ctx;
use crate::model::TableName;
use crate::postgres::backup::SequenceEntry;
use crate::postgres::{Session, qualified, server_error};

/// Sequences that are set by one statement, which locks each of them.
const TOGETHER: usize = 200;

const SEQUENCES: &str = "
    select n.nspname, c.relname, tn.nspname, t.relname, a.attname, s.seqincrement > 0,
           s.seqmin, s.seqmax
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      join pg_catalog.pg_sequence s on s.seqrelid = c.oid
      left join pg_catalog.pg_depend d
        on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid
       and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjsubid > 0
       and d.deptype in ('a', 'i')
      left join pg_catalog.pg_class t on t.oid = d.refobjid
      left join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
      left join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
       and a.atttypid in ('int2'::pg_catalog.regtype, 'int4'::pg_catalog.regtype,
                          'int8'::pg_catalog.regtype, 'numeric'::pg_catalog.regtype)
     where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
       and not (n.nspname = 'rebuild' and c.relname ~ '^schema_history')
     order by n.nspname, c.relname";

/// Sets every sequence that the backup knows, and moves the others past the columns they belong to. Of those that
/// the backup knows and the schema lacks, the values are told.
///
/// *Repeats:* sets them again.
///
/// # Errors
/// The server said no.
pub(super) async fn restore(ctx: &Ctx, session: &Session, known: &[SequenceEntry]) -> Result<()> {
    let here = Here::read(session).await?;
    let seen = here.set(ctx, session, known).await?;
    here.follow_rows(session, &seen).await
}

/// As [`restore`], for rows that are not the backup's: sequences that it knows are moved past the columns they
/// belong to as well.
///
/// *Repeats:* sets them again.
///
/// # Errors
/// The server said no.
pub(super) async fn restore_beside_rows(
    ctx: &Ctx,
    session: &Session,
    known: &[SequenceEntry],
) -> Result<()> {
    let here = Here::read(session).await?;
    here.set(ctx, session, known).await?;
    here.follow_rows(session, &BTreeSet::new()).await
}

/// The sequences of the database.
struct Here(Vec<Row>);

impl Here {
    async fn read(session: &Session) -> Result<Self> {
        let rows = session.query(SEQUENCES, &[]).await;
        let rows = rows.map_err(|e| server_error("could not read the sequences", e))?;
        Ok(Self(rows))
    }

    /// Sets those of `known` that are here, and returns their names.
    async fn set(
        &self,
        ctx: &Ctx,
        session: &Session,
        known: &[SequenceEntry],
    ) -> Result<BTreeSet<TableName>> {
        let here: BTreeSet<TableName> = self.0.iter().map(name_of).collect();
        let (known, gone): (Vec<_>, Vec<_>) =
            known.iter().partition(|s| here.contains(&s.sequence));
        set(session, &known).await?;
        let gone = gone.iter().filter(|s| s.is_called);
        let gone: Vec<String> = gone
            .map(|s| format!("{} (at {})", s.sequence, s.last_value))
            .collect();
        if !gone.is_empty() {
            ctx.events.warn(format!(
                "the new schema lacks sequences of the backup, whose values stay in it: {}",
                gone.join(", ")
            ));
        }
        Ok(known.iter().map(|s| s.sequence.clone()).collect())
    }

    /// Moves each sequence but those of `except` to the furthest value in the column it belongs to, and never back.
    async fn follow_rows(&self, session: &Session, except: &BTreeSet<TableName>) -> Result<()> {
        let mut seen = except.clone();
        for row in &self.0 {
            let sequence = name_of(row);
            if !seen.insert(sequence.clone()) {
                continue;
            }
            let (Some(schema), Some(table), Some(column)) = (
                row.get::<_, Option<String>>(2),
                row.get::<_, Option<String>>(3),
                row.get::<_, Option<String>>(4),
            ) else {
                continue;
            };
            let owner = qualified(&TableName::new(schema, table))?;
            let column = crate::postgres::ident(&column)?;
            // What lies outside of its bounds, the sequence never gives.
            let (min, max): (i64, i64) = (row.get(6), row.get(7));
            let (furthest, beyond) = if row.get(5) {
                ("max", ">=")
            } else {
                ("min", "<=")
            };
            let itself = qualified(&sequence)?;
            let sql = format!(
                "select pg_catalog.setval($1::pg_catalog.text::pg_catalog.regclass, v::pg_catalog.int8)
                   from (select pg_catalog.{furthest}({column}) as v from {owner}
                          where {column} between {min} and {max}) as t, {itself} as s
                  where v {beyond} s.last_value"
            );
            let done = session.execute(&sql, &[&itself]).await;
            done.map_err(|e| server_error(format!("could not set sequence {sequence}"), e))?;
        }
        Ok(())
    }
}

fn name_of(row: &Row) -> TableName {
    TableName::new(row.get::<_, String>(0), row.get::<_, String>(1))
}

/// Sets sequences that the backup knows.
async fn set(session: &Session, known: &[&SequenceEntry]) -> Result<()> {
    for some in known.chunks(TOGETHER) {
        let names: Vec<String> = some
            .iter()
            .map(|s| qualified(&s.sequence))
            .collect::<Result<_>>()?;
        let values: Vec<i64> = some.iter().map(|s| s.last_value).collect();
        let called: Vec<bool> = some.iter().map(|s| s.is_called).collect();
        let sql = "
            select pg_catalog.setval(name::pg_catalog.regclass, value, called)
              from rows from (pg_catalog.unnest($1::pg_catalog.text[]),
                             pg_catalog.unnest($2::pg_catalog.int8[]),
                             pg_catalog.unnest($3::pg_catalog.bool[])) as t (name, value, called)";
        // The server's message names the sequence.
        let done = session.execute(sql, &[&names, &values, &called]).await;
        done.map_err(|e| server_error("could not set the sequences", e))?;
    }
    Ok(())
}
