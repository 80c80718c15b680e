//! What a type of the user's own is made of: its values are read by that, whatever its name says.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::postgres::{Session, server_error};

/// What a domain, a composite type, or an array of either is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeShape {
    /// A domain's type, with its length and precision; the attributes of a composite type in parentheses.
    pub written: String,
    /// The names of attributes, in order. Those of an attribute that has some itself follow it, each after a dot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
    /// For a domain: the type that it comes down to, with its length and precision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain_of: Option<String>,
}

impl TypeShape {
    /// Why values of this composite type are not to be given to a column that is of `now`: they are written without
    /// the names of their attributes, so each would be read as the one in its place.
    pub(crate) fn rearranged(&self, now: &Self) -> Option<String> {
        let both = !self.attributes.is_empty() && !now.attributes.is_empty();
        (both && self.attributes != now.attributes).then(|| {
            format!(
                "the attributes of its type were {}, and are {}",
                self.attributes.join(", "),
                now.attributes.join(", ")
            )
        })
    }
}

/// The parts of every type that the columns of tables are made of. A composite type may not contain itself, so
/// this ends (<https://www.postgresql.org/docs/current/sql-createtype.html>).
const PARTS: &str = "
    with recursive part (whole, place, name, written, oid) as (
        select 0::pg_catalog.oid, 0::pg_catalog.int2, null::pg_catalog.text collate \"C\",
               null::pg_catalog.text, t.oid
          from pg_catalog.pg_type t
         where t.oid = any ($1)
        union
        select t.oid, p.place, p.name, p.written, p.oid
          from part u
          join pg_catalog.pg_type t on t.oid = u.oid
         cross join lateral (
             select 0::pg_catalog.int2, null::pg_catalog.text collate \"C\",
                    pg_catalog.format_type(t.typbasetype, t.typtypmod), t.typbasetype
              where t.typtype = 'd'
             union all
             select 0::pg_catalog.int2, null, null, e.oid
               from pg_catalog.pg_type e where e.oid = t.typelem and e.typarray = t.oid
             union all
             select a.attnum, a.attname::pg_catalog.text collate \"C\",
                    pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid
               from pg_catalog.pg_attribute a
              where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0
                and not a.attisdropped) p (place, name, written, oid))
    select whole, name, written, oid from part where whole <> 0 order by whole, place";

/// A part of a type.
struct Part {
    /// The attribute's name, in a composite type.
    name: Option<String>,
    /// Its type; `None` for the elements of an array.
    written: Option<String>,
    oid: u32,
}

/// What types are made of.
pub(in crate::postgres) struct Shapes(HashMap<u32, Vec<Part>>);

impl Shapes {
    /// Reads what the types with these oids are made of.
    ///
    /// # Errors
    /// The server could not be asked.
    pub(in crate::postgres) async fn read(session: &Session, types: &[u32]) -> Result<Self> {
        let mut parts: HashMap<u32, Vec<Part>> = HashMap::new();
        if types.is_empty() {
            return Ok(Self(parts));
        }
        let what = "could not read what types are made of";
        let rows = session.query(PARTS, &[&types]).await;
        for row in rows.map_err(|e| server_error(what, e))? {
            let part = || -> Result<_, tokio_postgres::Error> {
                let part = Part {
                    name: row.try_get(1)?,
                    written: row.try_get(2)?,
                    oid: row.try_get(3)?,
                };
                Ok((row.try_get(0)?, part))
            };
            let (whole, part) = part().map_err(|e| server_error(what, e))?;
            parts.entry(whole).or_default().push(part);
        }
        Ok(Self(parts))
    }

    /// What the type `oid` is made of; `None` if it has no parts.
    pub(in crate::postgres) fn of(&self, oid: u32) -> Option<TypeShape> {
        let parts = self.0.get(&oid)?;
        let mut attributes = Vec::new();
        let mut written = Vec::new();
        let mut domain_of = None;
        for part in parts {
            let inner = self.of(part.oid);
            if let Some(name) = &part.name {
                attributes.push(name.clone());
                let of_it = inner.iter().flat_map(|i| &i.attributes);
                attributes.extend(of_it.map(|a| format!("{name}.{a}")));
            } else {
                attributes.extend(inner.iter().flat_map(|i| i.attributes.clone()));
            }
            if part.name.is_none() && part.written.is_some() {
                let further = inner.as_ref().and_then(|i| i.domain_of.clone());
                domain_of = further.or_else(|| part.written.clone());
            }
            let inner = inner.map(|i| i.written);
            written.push(match (&part.name, &part.written, inner) {
                (Some(name), Some(is), Some(inner)) => format!("{name} {is} = {inner}"),
                (Some(name), Some(is), None) => format!("{name} {is}"),
                (None, Some(is), Some(inner)) => format!("{is} = {inner}"),
                (None, Some(is), None) => is.clone(),
                // The elements of an array that are of a type without parts.
                (_, None, inner) => format!("{}[]", inner?),
            });
        }
        let composite = parts.iter().any(|p| p.name.is_some());
        let written = written.join(", ");
        Some(TypeShape {
            written: if composite {
                format!("({written})")
            } else {
                written
            },
            attributes,
            domain_of,
        })
    }
}
