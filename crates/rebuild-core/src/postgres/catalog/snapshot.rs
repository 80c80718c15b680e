//! Taking a snapshot of a catalog, and what it is made of.

use std::collections::{BTreeMap, HashMap};

use futures::future::try_join_all;
use tokio_postgres::Row;

use super::fragments::Scope;
use super::{
    attached, columns, foreign, relations, replication, routines, schemas, text_search, types,
};
use crate::error::Result;
use crate::model::TableName;
use crate::postgres::{Session, server_error, server_facts};

/// One object of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogObject {
    /// `table`, `column`, `index`, `function`, ...
    pub kind: String,
    /// The relation that it is, or that it goes with: a table's columns, indexes, constraints,
    /// triggers, owned sequences.
    pub table: Option<TableName>,
    /// The column's name, if it is one.
    pub column: Option<String>,
    /// What it is like: `owner`, `type`, `definition`, `grants`, `comment`, ... What is as it is
    /// by default is left out.
    pub attributes: BTreeMap<String, String>,
}

impl CatalogObject {
    /// One attribute.
    pub fn get(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute).map(String::as_str)
    }

    /// True for a table or view of any sort; `table` is then its own name.
    pub(super) fn is_relation(&self) -> bool {
        self.is_table() || matches!(self.kind.as_str(), "view" | "materialized view")
    }

    /// True for an ordinary, partitioned or foreign table.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.kind.as_str(), "table" | "foreign table")
    }

    /// `attribute: value` lines.
    pub fn definition(&self) -> String {
        let mut text = String::new();
        for (attribute, value) in &self.attributes {
            text.push_str(attribute);
            text.push_str(": ");
            text.push_str(value);
            text.push('\n');
        }
        text
    }
}

/// Every object of a database by what it is called, for example `table public.gpu`,
/// `column public.gpu.vendor` or `constraint gpu_pkey on public.gpu`.
///
/// It says nothing of oids and of the order in which things were made, so that a database and a
/// faithful copy of it have equal snapshots. The order of a table's columns is an attribute of
/// the table, `column order`. The server's own objects, temporary ones, and those that an
/// extension made are left out; so is the history of applied schema files, and all that belongs to
/// the database as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogSnapshot {
    /// The objects by their identity.
    pub objects: BTreeMap<String, CatalogObject>,
}

impl CatalogSnapshot {
    /// Reads the catalog of the database that `session` is connected to.
    ///
    /// *Repeats:* reads again. *Destroys:* nothing. While somebody changes the schema, the
    /// snapshot may have some of the change; its hash then differs from the one before as well
    /// as from the one after.
    ///
    /// # Errors
    /// The server could not be asked, or an object was dropped while it was being described.
    pub async fn read(session: &Session) -> Result<Self> {
        let scope = Scope::new(server_facts(session).await?.major())?;
        let queries = [
            schemas::queries(&scope),
            relations::queries(&scope),
            columns::queries(&scope),
            attached::queries(&scope),
            types::queries(&scope),
            routines::queries(&scope),
            text_search::queries(&scope),
            foreign::queries(&scope),
            replication::queries(&scope),
        ]
        .concat();
        // Sent in one go: the answers come as fast as the server makes them, not one round trip
        // each.
        let answers = try_join_all(queries.iter().map(|sql| read(session, sql))).await?;
        let mut objects = BTreeMap::new();
        let mut addresses = HashMap::new();
        for row in answers.iter().flatten() {
            let (address, identity, object) = described(row);
            addresses.insert(address, identity.clone());
            objects.insert(identity, object);
        }
        for row in read(session, schemas::NOTES).await? {
            let address = (row.get(0), row.get(1), row.get(2));
            let object = addresses.get(&address).and_then(|i| objects.get_mut(i));
            if let Some(object) = object {
                object.attributes.insert(row.get(3), row.get(4));
            }
        }
        Ok(Self { objects })
    }

    /// The same without what belongs to the place where a database is, and not to its schema:
    /// owners and privileges, and who replicates what.
    #[must_use]
    pub fn without_privileges(mut self) -> Self {
        const KINDS: [&str; 4] = [
            "default privileges",
            "user mapping",
            "publication",
            "subscription",
        ];
        self.objects
            .retain(|_, object| !KINDS.contains(&object.kind.as_str()));
        for object in self.objects.values_mut() {
            object.attributes.remove("owner");
            object.attributes.remove("grants");
        }
        self
    }

    /// BLAKE3 of all of it, in hexadecimal.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut add = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        for (identity, object) in &self.objects {
            add(identity);
            for (attribute, value) in &object.attributes {
                add(attribute);
                add(value);
            }
            add("");
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Which catalog row an object is: (class, oid, column number).
type Address = (u32, u32, i32);

async fn read(session: &Session, sql: &str) -> Result<Vec<Row>> {
    session
        .query(sql, &[])
        .await
        .map_err(|e| server_error("could not read the catalog", e))
}

/// Every query gives: class, oid, column number; kind, name; schema and name of the relation,
/// column; and attributes as an array of names and values by turns.
fn described(row: &Row) -> (Address, String, CatalogObject) {
    let kind: String = row.get(3);
    let identity = format!("{kind} {}", row.get::<_, &str>(4));
    let table = match (row.get(5), row.get::<_, Option<String>>(6)) {
        (Some(schema), Some(name)) => Some(TableName { schema, name }),
        _ => None,
    };
    let attributes = row
        .get::<_, Vec<Option<String>>>(8)
        .chunks_exact(2)
        .filter_map(|pair| Some((pair[0].clone()?, pair[1].clone()?)))
        .collect();
    let object = CatalogObject {
        kind,
        table,
        column: row.get(7),
        attributes,
    };
    ((row.get(0), row.get(1), row.get(2)), identity, object)
}
