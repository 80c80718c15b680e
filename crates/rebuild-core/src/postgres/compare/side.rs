//! One of the two databases.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::event::Ctx;
use crate::model::{ContentHash, Endpoint, Identity, RowForm, TableName};
use crate::postgres::rows::RowOptions;
use crate::postgres::rows::fingerprint::{Wanted, add_up};
use crate::postgres::rows::names::Names;
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

    /// Adds up the rows of each table, in the order of `readings`.
    pub(super) async fn add_up<'a>(
        &self,
        ctx: &Ctx,
        encoding: &str,
        readings: impl Iterator<Item = Reading<'a>>,
        options: &RowOptions,
    ) -> Result<Vec<Sum>> {
        let names = Names::under(encoding);
        let mut wanted = Vec::new();
        let mut place = Vec::new();
        let mut count = 0;
        for reading in readings {
            for part in &reading.group.parts {
                wanted.push(wanted_of(&reading, part, names)?);
                place.push(count);
            }
            count += 1;
        }
        let tallies = add_up(
            ctx,
            &self.endpoint,
            &self.snapshot,
            encoding,
            wanted,
            options,
        )
        .await?;
        let mut sums = vec![Sum::default(); count];
        for (place, tally) in place.into_iter().zip(tallies) {
            sums[place].rows += tally.rows;
            sums[place].hash.merge(tally.hash);
        }
        Ok(sums)
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

async fn groups(session: &Session, tables: Vec<LiveTable>) -> Result<BTreeMap<TableName, Group>> {
    let oids: Vec<u32> = tables.iter().map(|t| t.oid).collect();
    let what = "could not list the primary keys";
    let rows = session
        .query(KEYS, &[&oids])
        .await
        .map_err(|e| server_error(what, e))?;
    let mut keys: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for row in &rows {
        let columns = row.try_get(1).map_err(|e| server_error(what, e))?;
        keys.insert(row.try_get(0).map_err(|e| server_error(what, e))?, columns);
    }
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
                .map(|c| (c.name.clone(), c.type_name.clone()))
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

fn wanted_of(reading: &Reading<'_>, part: &LiveTable, names: Names) -> Result<Wanted> {
    Ok(Wanted {
        table: part.table.clone(),
        columns: reading
            .columns
            .iter()
            .map(|name| names.ident(name))
            .collect::<Result<_>>()?,
        plain: true,
        form: reading.form,
        condition: part.condition.clone(),
        extent: part.extent(),
    })
}
