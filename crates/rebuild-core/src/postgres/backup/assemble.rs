//! From what was read to the manifest.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::files::put;
use super::layout::{
    DATABASE, REFRESH, RESTORE_SCRIPT, ROLES, ROLES_SQL, SEQUENCES as SEQUENCES_SQL,
};
use super::manifest::{ColumnEntry, FORMAT, FileEntry, LargeObjectEntry, Manifest, TableEntry};
use super::roles::roles_sql;
use super::rows_out::StoredRows;
use super::schema_dump::Dumped;
use super::script::{refresh_sql, restore_script, sequences_sql};
use super::take::{Rest, Taking, counted};
use crate::error::{Error, Result};
use crate::model::{BackupId, TableKind};
use crate::postgres::rows::tables::LiveTable;
use crate::postgres::{DatabaseKey, Session, WriteMarks, database_facts, server_facts};
use crate::traits::BackupMode;

impl Taking<'_> {
    /// The entries of the manifest, and the CSV file of each table.
    pub(super) fn entries(
        &self,
        tables: Vec<LiveTable>,
        stored: Vec<StoredRows>,
    ) -> Vec<(TableEntry, Option<FileEntry>)> {
        tables
            .into_iter()
            .zip(stored)
            .map(|(table, mut stored)| {
                let estimate = self.estimates.get(&table.table).copied().flatten();
                let csv = stored.csv.take();
                let mut entry = entry_of(table, stored);
                entry.estimated_rows = estimate;
                entry.csv = csv.as_ref().map(|file| file.file.clone());
                (entry, csv)
            })
            .collect()
    }

    /// Two queries that were written apart must agree on which tables there are.
    ///
    /// # Errors
    /// They do not.
    pub(super) fn check_listing(&self, entries: &[(TableEntry, Option<FileEntry>)]) -> Result<()> {
        let missed: Vec<String> = self
            .estimates
            .keys()
            .filter(|name| !entries.iter().any(|(e, _)| e.table == **name))
            .map(ToString::to_string)
            .collect();
        if missed.is_empty() && entries.len() == self.estimates.len() {
            return Ok(());
        }
        Err(Error::internal(format!(
            "the catalog counts {} tables with rows, and {} were read; not read: {}",
            self.estimates.len(),
            entries.len(),
            missed.join(", ")
        )))
    }

    /// Stores everything but rows and schema; returns the manifest that names it all.
    ///
    /// # Errors
    /// The store could not be written.
    pub(super) async fn store_rest(
        &self,
        entries: Vec<(TableEntry, Option<FileEntry>)>,
        rest: Rest,
        dumped: Option<Dumped>,
        large_objects: LargeObjectEntry,
    ) -> Result<Manifest> {
        let (tables, csv): (Vec<TableEntry>, Vec<Option<FileEntry>>) = entries.into_iter().unzip();
        let (mut files, tools) = dumped.map_or_else(Default::default, |d| (d.files, d.tools));
        files.extend(csv.into_iter().flatten());
        if self.mode != BackupMode::CountsOnly {
            files.extend(self.put_scripts(&tables, &rest).await?);
        }
        files.sort_by(|a, b| a.file.cmp(&b.file));
        let of_kind = |kind: TableKind| {
            let found = self.relations.iter().filter(|t| t.kind == kind);
            found.map(|t| t.table.clone()).collect()
        };
        Ok(Manifest {
            format: FORMAT,
            id: self.id.clone(),
            of: self.target.clone(),
            mode: self.mode,
            taken_at: self.taken_at,
            finished_at: Timestamp::now(),
            rebuild_version: env!("CARGO_PKG_VERSION").to_owned(),
            server_version: self.server.version_num,
            tools,
            database: self.database.clone(),
            encoding: self.database.encoding.clone(),
            marks: self.marks.clone(),
            catalog_tables: self.estimates.len() as u64,
            tables,
            partitioned: of_kind(TableKind::Partitioned),
            foreign_tables: of_kind(TableKind::Foreign),
            materialized_views: rest.views,
            sequences: rest.sequences,
            large_objects,
            extensions: rest.extensions,
            public_rights: rest.public_rights,
            files,
        })
    }

    async fn put_scripts(&self, tables: &[TableEntry], rest: &Rest) -> Result<Vec<FileEntry>> {
        let json = serde_json::to_vec_pretty(&rest.roles)
            .map_err(|e| Error::internal("roles cannot be written as JSON").caused_by(e))?;
        let script = restore_script(
            &self.database.identity.name,
            &self.database.encoding,
            self.mode,
            tables,
        )?;
        let scripts = [
            (ROLES, json),
            (ROLES_SQL, roles_sql(&rest.roles)?.into_bytes()),
            (DATABASE, rest.database_sql.clone().into_bytes()),
            (SEQUENCES_SQL, sequences_sql(&rest.sequences)?.into_bytes()),
            (REFRESH, refresh_sql(&rest.views)?.into_bytes()),
            (RESTORE_SCRIPT, script.into_bytes()),
        ];
        let mut files = Vec::new();
        for (file, bytes) in scripts {
            files.push(put(&self.backup.store, &self.folder, file, bytes).await?);
        }
        Ok(files)
    }
}

fn entry_of(table: LiveTable, stored: StoredRows) -> TableEntry {
    let form = table.form();
    let columns = table.columns.into_iter().zip(&stored.tally.non_null);
    let columns = columns.map(|(column, filled)| ColumnEntry {
        name: column.name,
        type_name: column.type_name,
        base: column.base_name,
        shape: column.shape,
        filled: *filled,
    });
    TableEntry {
        form,
        estimated_rows: None,
        csv: None,
        columns: columns.collect(),
        generated: table.generated,
        table: table.table,
        kind: table.kind,
        root: table.root,
        partition_of: table.ancestors.last().cloned(),
        condition: table.condition,
        rows: stored.tally.rows,
        hash: stored.tally.hash,
        chunks: stored.chunks,
    }
}

/// What somebody who brings rows has to know of the database that `session` is in and that another
/// process holds: a manifest that says nothing but which tables there are.
///
/// # Errors
/// The server could not be asked.
pub(in crate::postgres) async fn tables_alone(
    session: &Session,
    tables: &[LiveTable],
) -> Result<Manifest> {
    let database = database_facts(session, DatabaseKey::Current).await?;
    let now = Timestamp::now();
    Ok(Manifest {
        format: FORMAT,
        id: BackupId::generate(),
        of: database.identity.clone(),
        mode: BackupMode::Full,
        taken_at: now,
        finished_at: now,
        rebuild_version: env!("CARGO_PKG_VERSION").to_owned(),
        server_version: server_facts(session).await?.version_num,
        tools: Vec::new(),
        encoding: database.encoding.clone(),
        database,
        marks: WriteMarks::read(session).await?,
        catalog_tables: tables.len() as u64,
        tables: counted(tables, &BTreeMap::new())
            .into_iter()
            .zip(tables)
            .map(|(nothing, table)| entry_of(table.clone(), nothing))
            .collect(),
        partitioned: Vec::new(),
        foreign_tables: Vec::new(),
        materialized_views: Vec::new(),
        sequences: Vec::new(),
        large_objects: LargeObjectEntry::default(),
        extensions: Vec::new(),
        public_rights: None,
        files: Vec::new(),
    })
}
