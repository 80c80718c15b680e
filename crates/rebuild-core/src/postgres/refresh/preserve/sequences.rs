//! Sequences of preserved tables: past the values of both sides, and never back.

use super::carried::Carried;
use super::shape::Shape;
use super::site::Site;
use crate::error::Result;
use crate::model::TableName;
use crate::postgres::{Session, ident, literal, qualified};

/// Those that belong to a column of whole numbers, and those that its default draws from.
const SEQUENCES: &str = "
    with own (att, seq) as (
        select refobjsubid, objid from pg_catalog.pg_depend
         where classid = 'pg_catalog.pg_class'::pg_catalog.regclass
           and refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
           and refobjid = $1 and refobjsubid > 0 and deptype in ('a', 'i')
        union
        select x.adnum, d.refobjid
          from pg_catalog.pg_attrdef x
          join pg_catalog.pg_depend d
            on d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and d.objid = x.oid
           and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.deptype = 'n'
         where x.adrelid = $1)
    select a.attname::pg_catalog.text, n.nspname::pg_catalog.text, s.relname::pg_catalog.text,
           q.seqincrement > 0, q.seqmin, q.seqmax
      from own
      join pg_catalog.pg_attribute a on a.attrelid = $1 and a.attnum = own.att
      join pg_catalog.pg_class s on s.oid = own.seq and s.relkind = 'S'
      join pg_catalog.pg_sequence q on q.seqrelid = s.oid
      join pg_catalog.pg_namespace n on n.oid = s.relnamespace
     order by a.attnum, s.oid";

/// `int2`, `int4`, `int8` and `numeric`.
const NUMBERS: [u32; 4] = [21, 23, 20, 1700];
const UUID: u32 = 2950;

struct Sequence {
    column: String,
    /// Quoted.
    name: String,
    rising: bool,
    bounds: (i64, i64),
}

impl Site<'_> {
    async fn sequences(&self, session: &Session, shape: &Shape) -> Result<Vec<Sequence>> {
        let rows = self.rows(session, SEQUENCES, &[&shape.oid]).await?;
        let mut all = Vec::new();
        for row in &rows {
            let column: String = row.get(0);
            if shape
                .column(&column)
                .is_some_and(|c| NUMBERS.contains(&c.base))
            {
                let name = TableName::new(row.get::<_, String>(1), row.get::<_, String>(2));
                all.push(Sequence {
                    column,
                    name: qualified(&name)?,
                    rising: row.get(3),
                    bounds: (row.get(4), row.get(5)),
                });
            }
        }
        Ok(all)
    }

    /// Moves the sequences of `table` past what both sides have, in their columns and in their
    /// sequences. A sequence that was moved stays so, whatever becomes of the transaction.
    ///
    /// *Repeats:* moves nothing.
    ///
    /// # Errors
    /// A server failed.
    pub(super) async fn advance(&self, table: &Carried) -> Result<()> {
        let before = self.sequences(self.old, &table.old).await?;
        for sequence in self.sequences(self.new, &table.new).await? {
            let mut seen = self.values(self.new, &table.new, &sequence).await?;
            let last = self.last(self.new, &sequence.name).await?;
            seen.extend(self.values(self.old, &table.old, &sequence).await?);
            for other in before.iter().filter(|s| s.column == sequence.column) {
                seen.extend(self.last(self.old, &other.name).await?);
            }
            let (low, high) = sequence.bounds;
            let seen = seen.into_iter().filter(|v| (low..=high).contains(v));
            let furthest = if sequence.rising {
                seen.max()
            } else {
                seen.min()
            };
            let Some(furthest) = furthest else { continue };
            let behind = |last: i64| {
                if sequence.rising {
                    last < furthest
                } else {
                    last > furthest
                }
            };
            if last.is_none_or(behind) {
                let name = literal(&sequence.name)?;
                self.run(&format!(
                    "select pg_catalog.setval({name}::pg_catalog.regclass, {furthest})"
                ))
                .await?;
            }
        }
        Ok(())
    }

    /// The furthest value in the column.
    async fn values(
        &self,
        session: &Session,
        shape: &Shape,
        sequence: &Sequence,
    ) -> Result<Vec<i64>> {
        let column = shape.column(&sequence.column);
        if !column.is_some_and(|c| NUMBERS.contains(&c.base)) {
            return Ok(Vec::new());
        }
        let name = ident(&sequence.column)?;
        let furthest = if sequence.rising { "max" } else { "min" };
        let (low, high) = sequence.bounds;
        let sql = format!(
            "select pg_catalog.{furthest}({name})::pg_catalog.int8 from {}
              where {name} between ({low}) and ({high})",
            qualified(&shape.table)?
        );
        let rows = self.rows(session, &sql, &[]).await?;
        Ok(rows.iter().filter_map(|r| r.get(0)).collect())
    }

    /// The last value that it gave, if any.
    async fn last(&self, session: &Session, sequence: &str) -> Result<Option<i64>> {
        let sql = format!("select last_value from {sequence} where is_called");
        let rows = self.rows(session, &sql, &[]).await?;
        Ok(rows.first().map(|r| r.get(0)))
    }

    /// Which column makes a primary key of `table` new, and the expression that makes one, if
    /// there is any.
    ///
    /// # Errors
    /// The server could not be asked.
    pub(super) async fn new_key(&self, table: &Carried) -> Result<Option<(usize, String)>> {
        let Some([(at, _)]) = table.primary.as_deref() else {
            return Ok(None);
        };
        // What it refers to says which value it has.
        let refers = |l: &super::links::Link| {
            (table.places(&l.columns)).is_some_and(|columns| columns.contains(at))
        };
        if table.links.iter().any(refers) {
            return Ok(None);
        }
        let Some(column) = table.new.column(&table.columns[*at].plain) else {
            return Ok(None);
        };
        if column.base == UUID {
            return Ok(Some((*at, "pg_catalog.gen_random_uuid()".to_owned())));
        }
        let all = self.sequences(self.new, &table.new).await?;
        let own = all.into_iter().find(|s| s.column == column.name);
        own.map(|s| {
            let name = literal(&s.name)?;
            let value = format!("pg_catalog.nextval({name}::pg_catalog.regclass)");
            Ok((*at, format!("{value}::{}", column.base_name)))
        })
        .transpose()
    }
}
