//! One of the two databases.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::event::Ctx;
use crate::model::{ContentHash, Endpoint, Identity, RowForm, TableName};
use crate::postgres::rows::RowOptions;
use crate::postgres::rows::fingerprint::{Casts, ToAddUp, Wanted};
use crate::postgres::rows::scan::Tally;
use crate::postgres::rows::snapshot::{Snapshot, reader};
use crate::postgres::rows::tables::LiveTable;
use crate::postgres::{DatabaseKey, Session, application, database_facts, qualified, server_error};

/// The columns of every primary key, in order, by the oid of the table.
const KEYS: &str = "
    select i.indrelid,
           array(select a.attname::pg_catalog.text
                   from pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality k (num, at)
                   join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.num
                  where k.at <= i.indnkeyatts
                  order by k.at)
      from pg_catalog.pg_index i
     where i.indisprimary and i.indisvalid and i.indrelid = any ($1)";

/// A database at one moment.
pub(super) struct Side {
    /// Which database.
    pub(super) identity: Identity,
    /// Its encoding.
    pub(super) encoding: String,
    /// Its tables.
    pub(super) groups: BTreeMap<TableName, Group>,
    endpoint: Endpoint,
    application: String,
    snapshot: Snapshot,
}

/// A table, or the partitions of one whose rows may lie in another partition elsewhere.
pub(super) struct Group {
    /// Its columns: name and type.
    pub(super) columns: Vec<(String, String)>,
    /// The form in which its rows are best read.
    pub(super) form: RowForm,
    /// The columns of its primary key.
    pub(super) key: Vec<String>,
    /// What a `SELECT` reads it from.
    pub(super) from: String,
    parts: Vec<LiveTable>,
}

/// How a table is to be read.
pub(super) struct Reading<'a> {
    /// The table.
    pub(super) group: &'a Group,
    /// The names of the columns.
    pub(super) columns: &'a [String],
    /// The form.
    pub(super) form: RowForm,
}

/// What the rows of a table add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// How many there are.
    pub(super) rows: u64,
    hash: ContentHash,
}

/// Of which reading each of the tables is that are added up.
#[derive(Default)]
pub(super) struct Places {
    of_parts: Vec<usize>,
    count: usize,
}

impl Places {
    /// What each reading comes to.
    pub(super) fn sums(&self, tallies: &[Tally]) -> Vec<Sum> {
        let mut sums = vec![Sum::default(); self.count];
        for (&place, tally) in self.of_parts.iter().zip(tallies) {
            sums[place].rows += tally.rows;
            sums[place].hash.merge(tally.hash);
        }
        sums
    }
}

impl Side {
    /// Takes a snapshot of the database, and keeps everyone from dropping or rewriting its tables.
    pub(super) async fn open(ctx: &Ctx, endpoint: &Endpoint, options: &RowOptions) -> Result<Self> {
        let application = application(ctx);
        let session = Session::open(endpoint, &application).await?;
        let facts = database_facts(&session, DatabaseKey::Current).await?;
        let snapshot = Snapshot::export_from(session).await?;
        let found = snapshot.hold(LiveTable::holds_rows, options).await?;
        Ok(Self {
            identity: facts.identity,
            encoding: facts.encoding,
            groups: groups(snapshot.session(), found).await?,
            endpoint: endpoint.clone(),
            application,
            snapshot,
        })
    }

    /// What is to be added up for `readings`, in `encoding`.
    pub(super) fn to_add_up<'a>(
        &'a self,
        encoding: &'a str,
        readings: impl Iterator<Item = Reading<'a>>,
    ) -> (ToAddUp<'a>, Places) {
        let mut wanted = Vec::new();
        let mut places = Places::default();
        for reading in readings {
            for part in &reading.group.parts {
                wanted.push(Wanted {
                    table: part.clone(),
                    columns: reading.columns.to_vec(),
                    casts: Casts::new(),
                    form: reading.form,
                    condition: part.condition.clone(),
                    entry: None,
                });
                places.of_parts.push(places.count);
            }
            places.count += 1;
        }
        let tables = ToAddUp {
            endpoint: &self.endpoint,
            of: &self.identity,
            snapshot: &self.snapshot,
            encoding,
            wanted,
        };
        (tables, places)
    }

    /// Another session that sees the same moment, in UTF8.
    pub(super) async fn another(&self) -> Result<Session> {
        reader(
            &self.endpoint,
            &self.application,
            self.snapshot.id(),
            "UTF8",
        )
        .await
    }
}

/// The columns of the primary keys of tables, by their oids.
///
/// # Errors
/// The server could not be asked.
pub(in crate::postgres) async fn primary_keys(
    session: &Session,
    oids: &[u32],
) -> Result<BTreeMap<u32, Vec<String>>> {
    let what = "could not list the primary keys";
    let rows = session
        .query(KEYS, &[&oids])
        .await
        .map_err(|e| server_error(what, e))?;
    let mut keys = BTreeMap::new();
    for row in &rows {
        let columns = row.try_get(1).map_err(|e| server_error(what, e))?;
        keys.insert(row.try_get(0).map_err(|e| server_error(what, e))?, columns);
    }
    Ok(keys)
}

async fn groups(session: &Session, tables: Vec<LiveTable>) -> Result<BTreeMap<TableName, Group>> {
    let oids: Vec<u32> = tables.iter().map(|t| t.oid).collect();
    let mut keys = primary_keys(session, &oids).await?;
    let mut groups: BTreeMap<TableName, Group> = BTreeMap::new();
    for table in tables {
        let name = table.root.clone().unwrap_or_else(|| table.table.clone());
        if let Some(group) = groups.get_mut(&name) {
            group.parts.push(table);
            continue;
        }
        let only = if table.root.is_some() { "" } else { "only " };
        let condition = table.condition.as_deref().unwrap_or_default();
        let group = Group {
            columns: table
                .columns
                .iter()
                .map(|c| (c.name.clone(), c.full_type()))
                .collect(),
            form: table.form(),
            key: keys.remove(&table.oid).unwrap_or_default(),
            from: format!("{only}{} {condition}", qualified(&name)?),
            parts: vec![table],
        };
        groups.insert(name, group);
    }
    Ok(groups)
}
