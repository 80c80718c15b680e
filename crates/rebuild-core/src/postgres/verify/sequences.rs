//! Every sequence is ahead of the columns that draw from it.

use std::collections::BTreeSet;

use tokio_postgres::Row;

use super::amount::{amount, len};
use super::look::Look;
use super::structure::check;
use crate::error::Result;
use crate::model::{Check, TableName};
use crate::postgres::{ident, qualified, server_error};

/// Pairs of a sequence and a column of whole numbers that draws from it: one that owns it, an
/// identity column, or one whose default is its next value and nothing else. A default that
/// computes something from the next value says nothing about what the column may hold. A default
/// can name the sequence as text; then nothing but the text connects the two, and a name without
/// a schema is looked for in the schema of the table
/// (<https://www.postgresql.org/docs/current/functions-sequence.html>).
const DRAWS: &str = r"
    with recursive base (oid, base) as (
        select oid, oid from pg_catalog.pg_type where typtype <> 'd'
        union all
        select t.oid, b.base from pg_catalog.pg_type t join base b on t.typbasetype = b.oid
         where t.typtype = 'd'),
    numbers as (
        select a.attrelid, a.attnum, a.attname, c.relkind, c.relname, n.oid as schema,
               n.nspname, d.oid as defaulted,
               pg_catalog.pg_get_expr(d.adbin, d.adrelid) as expression
          from pg_catalog.pg_attribute a
          join pg_catalog.pg_class c on c.oid = a.attrelid
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          join base b on b.oid = a.atttypid
          left join pg_catalog.pg_attrdef d
            on d.adrelid = a.attrelid and d.adnum = a.attnum and a.attgenerated = ''
         where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p')
           and c.relpersistence <> 't'
           and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
           and b.base in ('int2'::pg_catalog.regtype, 'int4'::pg_catalog.regtype,
                          'int8'::pg_catalog.regtype, 'numeric'::pg_catalog.regtype)),
    plain as (
        select k.*,
               pg_catalog.regexp_match(k.expression,
                   '^\(*nextval\(\(?''((?:[^'']|'''')*)''(?:::text\)?)?::regclass\)(?:\)?::[a-z0-9 (),]+)?$') as found
          from numbers k),
    drawn as (
        select p.*, d.refobjid as sequence
          from plain p
          join pg_catalog.pg_depend d
            on d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and d.objid = p.defaulted
           and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
         where p.found is not null
        union
        select p.*, coalesce(
                   pg_catalog.to_regclass(m.name),
                   pg_catalog.to_regclass(pg_catalog.quote_ident(p.nspname) || '.' || m.name))
          from plain p,
               lateral (select pg_catalog.replace(p.found[1], '''''', '''') as name) m
         where p.found is not null and p.expression like '%::text%'
        union
        select p.*, d.objid
          from plain p
          join pg_catalog.pg_depend d
            on d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
           and d.refobjid = p.attrelid and d.refobjsubid = p.attnum
           and d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.deptype in ('a', 'i')
         where p.expression is null or p.found is not null)
    select d.nspname::pg_catalog.text, d.relname::pg_catalog.text, d.attname::pg_catalog.text,
           d.relkind = 'p', d.expression,
           sn.nspname::pg_catalog.text, s.relname::pg_catalog.text,
           q.seqincrement, q.seqmin, q.seqmax, q.seqcycle
      from drawn d
      left join pg_catalog.pg_class s on s.oid = d.sequence and s.relkind = 'S'
      left join pg_catalog.pg_namespace sn on sn.oid = s.relnamespace
      left join pg_catalog.pg_sequence q on q.seqrelid = s.oid
     where (s.oid is not null or d.sequence is null)
     order by 6, 7, 1, 2, 3";

/// Sequences that one query looks at, which locks each with its table.
const TOGETHER: usize = 20;

/// A column that draws from a sequence.
struct Draw {
    table: TableName,
    column: String,
    partitioned: bool,
    expression: String,
    /// None if there is no sequence of that name.
    sequence: Option<Sequence>,
}

struct Sequence {
    name: TableName,
    increment: i64,
    min: i64,
    max: i64,
    cycles: bool,
}

/// Compares the next value of every sequence with the columns that draw from it.
///
/// Values outside a sequence's bounds do not count, for it never gives those; a sequence that
/// begins again at its end may meet its own values, so it is left out.
///
/// # Errors
/// The server could not be asked, or the role may not read a sequence or a column.
pub(super) async fn sequences(look: &Look<'_>) -> Result<Check> {
    let what = "could not list the sequences";
    let rows = look
        .wait(what, async {
            let rows = look.session().query(DRAWS, &[]).await;
            rows.map_err(|e| server_error(what, e))
        })
        .await?;
    let mut complaints = Vec::new();
    let mut sequences = BTreeSet::new();
    let mut draws = Vec::new();
    for row in &rows {
        let mut draw = draw(row).map_err(|e| server_error(what, e))?;
        let Some(sequence) = draw.sequence.take() else {
            complaints.push(format!(
                "{}.{}: its default {} names no sequence that there is",
                draw.table, draw.column, draw.expression
            ));
            continue;
        };
        if sequence.cycles {
            continue;
        }
        sequences.insert(sequence.name.clone());
        draws.push((draw, sequence));
    }
    for some in draws.chunks(TOGETHER) {
        complaints.extend(behind(look, some).await?);
    }
    let looked_at = format!(
        "{}, {}",
        amount(
            len(&sequences.iter().collect::<Vec<_>>()),
            "sequence",
            "sequences"
        ),
        amount(len(&draws), "column", "columns")
    );
    Ok(check("sequences", looked_at, complaints))
}

fn draw(row: &Row) -> Result<Draw, tokio_postgres::Error> {
    let schema: Option<String> = row.try_get(5)?;
    let sequence = match schema {
        None => None,
        Some(schema) => Some(Sequence {
            name: TableName::new(schema, row.try_get::<_, String>(6)?),
            increment: row.try_get(7)?,
            min: row.try_get(8)?,
            max: row.try_get(9)?,
            cycles: row.try_get(10)?,
        }),
    };
    Ok(Draw {
        table: TableName::new(row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?),
        column: row.try_get(2)?,
        partitioned: row.try_get(3)?,
        expression: row.try_get::<_, Option<String>>(4)?.unwrap_or_default(),
        sequence,
    })
}

/// A complaint for each whose next value is not beyond what the column holds.
async fn behind(look: &Look<'_>, draws: &[(Draw, Sequence)]) -> Result<Vec<String>> {
    // The server's message names the sequence, or the column, that it does not let us read.
    let what = "could not compare the sequences with their columns";
    let queries: Vec<String> = draws
        .iter()
        .enumerate()
        .map(|(place, (draw, sequence))| compare(place, draw, sequence))
        .collect::<Result<_>>()?;
    let rows = look.rows(what, &queries.join(" union all ")).await?;
    let complaint =
        |row: &Row| {
            let place: i32 = row.try_get(0)?;
            let next: String = row.try_get(1)?;
            let held: String = row.try_get(2)?;
            let found = usize::try_from(place).ok().and_then(|at| draws.get(at));
            Ok(found.map(|(draw, sequence)| {
            let word = if sequence.increment > 0 { "above" } else { "below" };
            format!(
                "sequence {}: expected a next value {word} {held}, which {}.{} holds, found {next}",
                sequence.name, draw.table, draw.column
            )
        }))
        };
    let complaints: Result<Vec<_>, _> = rows.iter().map(complaint).collect();
    let complaints = complaints.map_err(|e: tokio_postgres::Error| server_error(what, e))?;
    Ok(complaints.into_iter().flatten().collect())
}

/// Gives a row with `place`, the next value and what the column holds, if the next value is not
/// beyond that. Rows that go in through a partitioned table lie in its partitions; a table that
/// inherits has a default of its own.
fn compare(place: usize, draw: &Draw, sequence: &Sequence) -> Result<String> {
    Ok(format!(
        "select {place}, next::pg_catalog.text, value::pg_catalog.text
           from (select s.last_value::pg_catalog.numeric
                        + case when s.is_called then {increment} else 0 end
                   from {sequence} s) s (next),
                (select pg_catalog.{end}(t.{column})::pg_catalog.numeric
                   from {only}{table} t
                  where t.{column} between '{min}'::pg_catalog.int8
                                       and '{max}'::pg_catalog.int8) e (value)
          where (next - value) * pg_catalog.sign({increment}::pg_catalog.numeric) <= 0",
        increment = sequence.increment,
        sequence = qualified(&sequence.name)?,
        end = if sequence.increment > 0 { "max" } else { "min" },
        column = ident(&draw.column)?,
        only = if draw.partitioned { "" } else { "only " },
        table = qualified(&draw.table)?,
        min = sequence.min,
        max = sequence.max,
    ))
}
