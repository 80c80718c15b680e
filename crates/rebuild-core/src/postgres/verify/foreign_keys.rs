//! Every foreign key is validated, and its rows hold when they are looked up again.

use tokio_postgres::Row;

use super::amount::{amount, grouped, len};
use super::look::Look;
use super::structure::check;
use crate::error::Result;
use crate::model::{Check, TableName};
use crate::postgres::{ident, qualified, server_error};

/// Every foreign key that was declared, with its columns in order. Those that the server makes
/// for the partitions of either table (`conparentid`) are looked up with the one they were made
/// for. Each pair of columns is compared as the server does it: with the operator the key keeps,
/// its operands cast to what it takes, under the collation of the referenced column
/// (`ri_GenerateQual` in `src/backend/utils/adt/ri_triggers.c`). `PERIOD` (18) and `NOT ENFORCED`
/// (18) are asked for through JSON, because older servers do not have those columns.
const KEYS: &str = "
    select c.conname::pg_catalog.text,
           fn.nspname::pg_catalog.text, f.relname::pg_catalog.text, f.relkind = 'p',
           pn.nspname::pg_catalog.text, p.relname::pg_catalog.text, p.relkind = 'p',
           c.confmatchtype = 'f',
           c.convalidated,
           coalesce((pg_catalog.to_jsonb(c) ->> 'conenforced')::pg_catalog.bool, true),
           coalesce((pg_catalog.to_jsonb(c) ->> 'conperiod')::pg_catalog.bool, false),
           array(select a.attname::pg_catalog.text
                   from pg_catalog.unnest(c.conkey) with ordinality k (num, at)
                   join pg_catalog.pg_attribute a on a.attrelid = f.oid and a.attnum = k.num
                  order by k.at),
           array(select a.attname::pg_catalog.text
                   from pg_catalog.unnest(c.confkey) with ordinality k (num, at)
                   join pg_catalog.pg_attribute a on a.attrelid = p.oid and a.attnum = k.num
                  order by k.at),
           array(select pg_catalog.format('operator(%I.%s)', n.nspname, o.oprname)
                   from pg_catalog.unnest(c.conpfeqop) with ordinality k (op, at)
                   join pg_catalog.pg_operator o on o.oid = k.op
                   join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
                  order by k.at),
           array(select case when o.oprleft = a.atttypid or t.typtype = 'p' then ''
                             else '::' || pg_catalog.format_type(o.oprleft, -1) end
                   from rows from (pg_catalog.unnest(c.confkey), pg_catalog.unnest(c.conpfeqop))
                        with ordinality k (num, op, at)
                   join pg_catalog.pg_operator o on o.oid = k.op
                   join pg_catalog.pg_type t on t.oid = o.oprleft
                   join pg_catalog.pg_attribute a on a.attrelid = p.oid and a.attnum = k.num
                  order by k.at),
           array(select case when o.oprright = a.atttypid or t.typtype = 'p' then ''
                             else '::' || pg_catalog.format_type(o.oprright, -1) end
                   from rows from (pg_catalog.unnest(c.conkey), pg_catalog.unnest(c.conpfeqop))
                        with ordinality k (num, op, at)
                   join pg_catalog.pg_operator o on o.oid = k.op
                   join pg_catalog.pg_type t on t.oid = o.oprright
                   join pg_catalog.pg_attribute a on a.attrelid = f.oid and a.attnum = k.num
                  order by k.at),
           array(select case when pa.attcollation in (0, fa.attcollation) then ''
                             else pg_catalog.format(' collate %I.%I', n.nspname, l.collname) end
                   from rows from (pg_catalog.unnest(c.conkey), pg_catalog.unnest(c.confkey))
                        with ordinality k (f, p, at)
                   join pg_catalog.pg_attribute fa on fa.attrelid = f.oid and fa.attnum = k.f
                   join pg_catalog.pg_attribute pa on pa.attrelid = p.oid and pa.attnum = k.p
                   left join pg_catalog.pg_collation l on l.oid = pa.attcollation
                   left join pg_catalog.pg_namespace n on n.oid = l.collnamespace
                  order by k.at)
      from pg_catalog.pg_constraint c
      join pg_catalog.pg_class f on f.oid = c.conrelid
      join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
      join pg_catalog.pg_class p on p.oid = c.confrelid
      join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
     where c.contype = 'f' and c.conparentid = 0 and f.relpersistence <> 't'
       and fn.nspname <> 'information_schema' and fn.nspname !~ '^pg_'
     order by 2, 3, 1";

/// Keys that were made for a partition and are not validated, by the name of the table.
const UNVALIDATED: &str = "
    select n.nspname || '.' || f.relname, c.conname::pg_catalog.text
      from pg_catalog.pg_constraint c
      join pg_catalog.pg_class f on f.oid = c.conrelid
      join pg_catalog.pg_namespace n on n.oid = f.relnamespace
     where c.contype = 'f' and c.conparentid <> 0 and not c.convalidated
     order by 1, 2";

/// A foreign key.
struct ForeignKey {
    name: String,
    /// The table that refers, and the one that is referred to.
    tables: [TableName; 2],
    partitioned: [bool; 2],
    columns: [Vec<String>; 2],
    full: bool,
    period: bool,
    /// For each pair of columns: `p.x::cast operator(s.=) f.a::cast collate c`, without names.
    pairs: Vec<Pair>,
}

struct Pair {
    left_cast: String,
    operator: String,
    right_cast: String,
    collate: String,
}

/// Looks up the rows of every foreign key again; what the server remembers of it proves nothing
/// about rows that were loaded with triggers off.
///
/// # Errors
/// The server could not be asked, or the role may not read a table.
pub(super) async fn foreign_keys(look: &Look<'_>) -> Result<Check> {
    let what = "could not list the foreign keys";
    let rows = look
        .session()
        .query(KEYS, &[])
        .await
        .map_err(|e| server_error(what, e))?;
    let mut complaints = Vec::new();
    let mut looked_up = 0;
    for row in &rows {
        let key = foreign_key(row).map_err(|e| server_error(what, e))?;
        let validated: bool = row.try_get(8).map_err(|e| server_error(what, e))?;
        let enforced: bool = row.try_get(9).map_err(|e| server_error(what, e))?;
        if !enforced {
            complaints.push(format!("{}: it is NOT ENFORCED", key.describe()));
        } else if !validated {
            complaints.push(format!("{}: it is NOT VALID", key.describe()));
        }
        let (rows, broken) = look_up(look, &key).await?;
        looked_up += rows;
        if broken > 0 {
            let noun = if broken == 1 {
                "row refers"
            } else {
                "rows refer"
            };
            complaints.push(format!(
                "{}: {} {noun} to nothing",
                key.describe(),
                grouped(broken)
            ));
        }
    }
    let made = look
        .session()
        .query(UNVALIDATED, &[])
        .await
        .map_err(|e| server_error(what, e))?;
    for row in &made {
        let (table, name): (String, String) =
            (|| Ok((row.try_get(0)?, row.try_get(1)?)))().map_err(|e| server_error(what, e))?;
        complaints.push(format!("foreign key {name:?} of {table}: it is NOT VALID"));
    }
    let looked_at = format!(
        "{}, {}",
        amount(len(&rows), "foreign key", "foreign keys"),
        amount(looked_up, "row", "rows")
    );
    Ok(check("foreign keys", looked_at, complaints))
}

fn foreign_key(row: &Row) -> Result<ForeignKey, tokio_postgres::Error> {
    let texts = |at: usize| row.try_get::<_, Vec<String>>(at);
    let pairs = texts(13)?
        .into_iter()
        .zip(texts(14)?)
        .zip(texts(15)?)
        .zip(texts(16)?)
        .map(|(((operator, left_cast), right_cast), collate)| Pair {
            left_cast,
            operator,
            right_cast,
            collate,
        })
        .collect();
    Ok(ForeignKey {
        name: row.try_get(0)?,
        tables: [
            TableName::new(row.try_get::<_, String>(1)?, row.try_get::<_, String>(2)?),
            TableName::new(row.try_get::<_, String>(4)?, row.try_get::<_, String>(5)?),
        ],
        partitioned: [row.try_get(3)?, row.try_get(6)?],
        columns: [texts(11)?, texts(12)?],
        full: row.try_get(7)?,
        period: row.try_get(10)?,
        pairs,
    })
}

impl ForeignKey {
    fn describe(&self) -> String {
        format!(
            "foreign key {:?} from {} ({}) to {} ({})",
            self.name,
            self.tables[0],
            self.columns[0].join(", "),
            self.tables[1],
            self.columns[1].join(", ")
        )
    }

    /// How many rows refer to something, and how many of those to nothing. A row with a NULL
    /// refers to nothing on purpose; with `MATCH FULL` only if all its columns are NULL
    /// (<https://www.postgresql.org/docs/current/sql-createtable.html>).
    fn sql(&self) -> Result<String> {
        let mine: Vec<String> = self.quoted(0, "f")?;
        let theirs: Vec<String> = self.quoted(1, "p")?;
        let not_null: Vec<String> = mine.iter().map(|c| format!("{c} is not null")).collect();
        let refers = not_null.join(if self.full { " or " } else { " and " });
        let from = self.relation(0)?;
        let to = self.relation(1)?;
        let found = if self.period {
            self.period_found(&mine, &theirs, &to)
        } else {
            let same: Vec<String> = self
                .pairs
                .iter()
                .zip(mine.iter().zip(&theirs))
                .map(|(pair, (mine, theirs))| pair.sql(mine, theirs))
                .collect();
            format!("exists (select from {to} p where {})", same.join(" and "))
        };
        Ok(format!(
            "select (select pg_catalog.count(*) from {from} f where {refers}),
                    (select pg_catalog.count(*) from {from} f where ({refers}) and not {found})"
        ))
    }

    /// The last column is a period, which rows of the other table may cover together.
    fn period_found(&self, mine: &[String], theirs: &[String], to: &str) -> String {
        let last = self.pairs.len().saturating_sub(1);
        let mut same: Vec<String> = (0..last)
            .map(|at| self.pairs[at].sql(&mine[at], &theirs[at]))
            .collect();
        same.push(format!("{} && {}", theirs[last], mine[last]));
        format!(
            "coalesce((select {} <@ pg_catalog.range_agg({}) from {to} p where {}), false)",
            mine[last],
            theirs[last],
            same.join(" and ")
        )
    }

    fn quoted(&self, side: usize, alias: &str) -> Result<Vec<String>> {
        self.columns[side]
            .iter()
            .map(|c| Ok(format!("{alias}.{}", ident(c)?)))
            .collect()
    }

    fn relation(&self, side: usize) -> Result<String> {
        let only = if self.partitioned[side] { "" } else { "only " };
        Ok(format!("{only}{}", qualified(&self.tables[side])?))
    }
}

impl Pair {
    fn sql(&self, mine: &str, theirs: &str) -> String {
        format!(
            "{theirs}{} {} {mine}{}{}",
            self.left_cast, self.operator, self.right_cast, self.collate
        )
    }
}

async fn look_up(look: &Look<'_>, key: &ForeignKey) -> Result<(u64, u64)> {
    let what = || format!("could not look up {}", key.describe());
    let sql = key.sql()?;
    let row = look.one_row(&what(), &sql).await?;
    let (rows, broken): (i64, i64) =
        (|| Ok((row.try_get(0)?, row.try_get(1)?)))().map_err(|e| server_error(what(), e))?;
    let count = |n: i64| u64::try_from(n).unwrap_or_default();
    Ok((count(rows), count(broken)))
}
