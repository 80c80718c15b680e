//! The columns of tables, as the catalog describes them.

use std::collections::HashMap;

use tokio_postgres::Row;

use super::form::BaseType;
use super::shape::{Shapes, TypeShape};
use crate::error::Result;
use crate::postgres::{Session, server_error};

/// A column that is stored and not computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LiveColumn {
    /// Its name.
    pub name: String,
    /// Its type as SQL, with schema where it has one of its own.
    pub type_name: String,
    /// A built-in type that takes the same binary form, for where the type itself is missing.
    pub base_name: String,
    /// What the type is made of, if it has parts.
    pub shape: Option<TypeShape>,
    /// `NOT NULL`.
    pub not_null: bool,
    /// Has a default, or is an identity column.
    pub has_default: bool,
    /// What is read in its place: an expression over the row's columns, of the same type.
    pub masked: Option<String>,
    /// What it comes down to.
    pub(super) base: BaseType,
}

impl LiveColumn {
    /// True if it holds one of some labels.
    pub(crate) fn is_enum(&self) -> bool {
        self.base == BaseType::Enum
    }

    /// Its type, and what that is made of if it has parts: two of one name need not be the same.
    pub(crate) fn full_type(&self) -> String {
        match &self.shape {
            Some(shape) => format!("{} = {}", self.type_name, shape.written),
            None => self.type_name.clone(),
        }
    }

    /// The type to cast a value to that an `INSERT` gives to this column. Lengths and precisions are left
    /// to the assignment, which refuses a value that is too long, while a cast cuts it off without a word
    /// (<https://www.postgresql.org/docs/current/datatype-character.html>).
    pub(crate) fn assigned_from(&self) -> String {
        // Nothing but a cast makes a label of a text.
        match self.is_enum() {
            true => self.type_name.clone(),
            false => of_any_length(&self.base_name),
        }
    }
}

/// The type `base`, as `format_type` writes it without a modifier, of whatever length: `character` and
/// `bit` alone mean a length of 1 (<https://www.postgresql.org/docs/current/datatype-bit.html>).
pub(crate) fn of_any_length(base: &str) -> String {
    let (element, array) = match base.strip_suffix("[]") {
        Some(element) => (element, "[]"),
        None => (base, ""),
    };
    let element = match element {
        "character" => "pg_catalog.bpchar",
        "bit" => "pg_catalog.\"bit\"",
        other => other,
    };
    format!("{element}{array}")
}

const COLUMNS: &str = "
    with recursive base (oid, base) as (
        select oid, oid from pg_catalog.pg_type where typtype <> 'd'
        union all
        select t.oid, b.base from pg_catalog.pg_type t join base b on t.typbasetype = b.oid
         where t.typtype = 'd')
    select k.attrelid, k.attname, pg_catalog.format_type(k.atttypid, k.atttypmod),
           t.oid, t.typtype, coalesce(m.oid, 0::pg_catalog.oid),
           pg_catalog.format_type(t.oid, null),
           k.attnotnull, k.atthasdef or k.attidentity <> '', k.attgenerated <> '', k.atttypid,
           d.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace
      from pg_catalog.pg_attribute k
      join pg_catalog.pg_type d on d.oid = k.atttypid
      join base b on b.oid = k.atttypid
      join pg_catalog.pg_type t on t.oid = b.base
      left join pg_catalog.pg_type m on m.oid = t.typelem and m.typarray = t.oid
     where k.attnum > 0 and not k.attisdropped and k.attrelid = any ($1)
     order by k.attrelid, k.attnum";

/// The columns of tables, by the tables' oids.
pub(super) struct Columns {
    of: HashMap<u32, Vec<ReadColumn>>,
    shapes: Shapes,
}

impl Columns {
    /// Reads the columns of the tables with these oids.
    ///
    /// # Errors
    /// The server could not be asked.
    pub(super) async fn read(session: &Session, tables: &[u32]) -> Result<Self> {
        let what = "could not read the columns of the tables";
        let rows = session.query(COLUMNS, &[&tables]).await;
        let mut of: HashMap<u32, Vec<ReadColumn>> = HashMap::new();
        for row in &rows.map_err(|e| server_error(what, e))? {
            let (table, column) = column_from(row).map_err(|e| server_error(what, e))?;
            of.entry(table).or_default().push(column);
        }
        let own = of.values().flatten().filter(|c| c.own_type);
        let own: Vec<u32> = own.map(|c| c.type_oid).collect();
        let shapes = Shapes::read(session, &own).await?;
        Ok(Self { of, shapes })
    }

    /// The columns of one table that hold values of their own, and the names of those that are generated.
    pub(super) fn take(&mut self, table: u32) -> (Vec<LiveColumn>, Vec<String>) {
        let (mut stored, mut generated) = (Vec::new(), Vec::new());
        for mut read in self.of.remove(&table).unwrap_or_default() {
            if read.generated {
                generated.push(read.column.name);
            } else {
                read.column.shape = self.shapes.of(read.type_oid);
                stored.push(read.column);
            }
        }
        (stored, generated)
    }
}

/// A column as the catalog has it.
struct ReadColumn {
    column: LiveColumn,
    generated: bool,
    type_oid: u32,
    /// Its type is none of the server's own, so it may have parts.
    own_type: bool,
}

fn column_from(row: &Row) -> Result<(u32, ReadColumn), tokio_postgres::Error> {
    let enumerated = row.try_get::<_, i8>(4)? == ascii('e');
    let element: u32 = row.try_get(5)?;
    let base = if enumerated {
        BaseType::Enum
    } else if element != 0 {
        BaseType::ArrayOf(element)
    } else {
        BaseType::Plain(row.try_get(3)?)
    };
    let column = LiveColumn {
        name: row.try_get(1)?,
        type_name: row.try_get(2)?,
        base_name: if enumerated {
            "text".to_owned()
        } else {
            row.try_get(6)?
        },
        not_null: row.try_get(7)?,
        has_default: row.try_get(8)?,
        shape: None,
        masked: None,
        base,
    };
    let read = ReadColumn {
        column,
        generated: row.try_get(9)?,
        type_oid: row.try_get(10)?,
        own_type: row.try_get(11)?,
    };
    Ok((row.try_get(0)?, read))
}

pub(super) fn ascii(c: char) -> i8 {
    i8::try_from(u32::from(c)).unwrap_or(0)
}
