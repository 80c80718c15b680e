//! Whether a database was written to since a backup of it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde_json::Value;

use super::fingerprints::{Compared, compare_rows};
use super::manifest::{Manifest, SequenceEntry, TableEntry};
use super::{PgBackup, contents, large_objects};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, TableName};
use crate::postgres::compare::Adders;
use crate::postgres::rows::fingerprint::Casts;
use crate::postgres::rows::snapshot::limit_lock_wait;
use crate::postgres::rows::tables::list_tables;
use crate::postgres::{Change, Session, WriteMarks, WriteWatch};
use crate::traits::BackupMode;

#[async_trait]
impl WriteWatch for PgBackup {
    async fn marks(&self, session: &Session) -> Result<Value> {
        let marks = WriteMarks::read(session).await?;
        serde_json::to_value(marks)
            .map_err(|e| Error::internal("marks of writes cannot be written").caused_by(e))
    }

    async fn moved(&self, session: &Session, since: &Value) -> Result<Vec<String>> {
        let before: WriteMarks = serde_json::from_value(since.clone()).map_err(|e| {
            Error::corrupt("the marks of writes that were kept cannot be read").caused_by(e)
        })?;
        let now = WriteMarks::read(session).await?;
        let changes = now.changes_since(&before);
        Ok(changes.iter().map(ToString::to_string).collect())
    }

    async fn changed_since(
        &self,
        ctx: &Ctx,
        target: &Identity,
        backup: &BackupId,
    ) -> Result<Vec<String>> {
        let manifest = self.manifest(backup).await?;
        if manifest.mode != BackupMode::Full || !manifest.of.is_same_thing(target) {
            return Err(Error::refused(format!(
                "backup {backup} does not hold the rows of {target}, so nothing can be compared \
                 with it"
            )));
        }
        let session = Session::open_at(&self.endpoint, target, ctx).await?;
        limit_lock_wait(&session, &self.options).await?;
        let now = WriteMarks::read(&session).await?;
        let suspects = Suspects::of(&now.changes_since(&manifest.marks), &manifest);
        let comparing = Comparing {
            backup: self,
            ctx,
            target,
            manifest: &manifest,
            session,
        };
        comparing.run(suspects).await
    }
}

/// What may have changed, by the marks.
#[derive(Default)]
struct Suspects<'a> {
    tables: Vec<&'a TableEntry>,
    created: BTreeSet<TableName>,
    large_objects: bool,
}

impl<'a> Suspects<'a> {
    fn of(changes: &[Change], manifest: &'a Manifest) -> Self {
        let mut suspects = Self::default();
        let mut written: BTreeSet<&TableName> = BTreeSet::new();
        let mut all = false;
        for change in changes {
            match change {
                Change::Unknown(_) => all = true,
                Change::Created(table) => {
                    // Dropped and made again is a table like any other.
                    written.insert(table);
                    suspects.created.insert(table.clone());
                }
                Change::Dropped(table) => {
                    written.insert(table);
                }
                Change::Table(table) => {
                    written.insert(table);
                }
                // All of them are looked at in any case.
                Change::Sequence(_) => {}
                Change::LargeObjects => suspects.large_objects = true,
            }
        }
        suspects.large_objects |= all;
        suspects.tables = manifest
            .tables
            .iter()
            .filter(|t| all || written.contains(&t.table))
            .collect();
        // Partitions that are added up together are read together.
        let roots: BTreeSet<&TableName> = suspects
            .tables
            .iter()
            .filter_map(|t| t.root.as_ref())
            .collect();
        suspects.tables = manifest
            .tables
            .iter()
            .filter(|t| {
                all || written.contains(&t.table)
                    || t.root.as_ref().is_some_and(|r| roots.contains(r))
            })
            .collect();
        suspects
    }
}

struct Comparing<'a> {
    backup: &'a PgBackup,
    ctx: &'a Ctx,
    target: &'a Identity,
    manifest: &'a Manifest,
    session: Session,
}

impl Comparing<'_> {
    async fn run(&self, suspects: Suspects<'_>) -> Result<Vec<String>> {
        let mut changed = self.new_tables(&suspects.created).await?;
        changed.extend(self.tables(&suspects.tables).await?);
        changed.extend(self.new_columns(&suspects.tables).await?);
        // A sequence that was set and never called has no mark.
        changed.extend(self.sequences().await?);
        if suspects.large_objects {
            let options = &self.backup.options;
            let now = large_objects::add_up(self.ctx, &self.session, options).await?;
            if now != self.manifest.large_objects {
                changed.push("the large objects".to_owned());
            }
        }
        Ok(changed)
    }

    /// Tables that the backup does not have and that are there now.
    async fn new_tables(&self, created: &BTreeSet<TableName>) -> Result<Vec<String>> {
        if created.is_empty() {
            return Ok(Vec::new());
        }
        let known: BTreeSet<&TableName> = self.manifest.tables.iter().map(|t| &t.table).collect();
        let live = list_tables(&self.session).await?;
        Ok(live
            .iter()
            .filter(|t| t.holds_rows() && created.contains(&t.table) && !known.contains(&t.table))
            .map(|t| format!("{} (new)", t.table))
            .collect())
    }

    /// Columns that the backup does not have, of tables that were written to: nobody knows what they hold.
    async fn new_columns(&self, suspects: &[&TableEntry]) -> Result<Vec<String>> {
        if suspects.is_empty() {
            return Ok(Vec::new());
        }
        let mut changed = Vec::new();
        for live in list_tables(&self.session).await? {
            let Some(entry) = suspects.iter().find(|e| e.table == live.table) else {
                continue;
            };
            let known = |name: &String| entry.columns.iter().any(|c| c.name == *name);
            let new = live.column_names().into_iter().filter(|name| !known(name));
            changed.extend(new.map(|name| format!("{} (new column {name})", live.table)));
        }
        Ok(changed)
    }

    async fn tables(&self, suspects: &[&TableEntry]) -> Result<Vec<String>> {
        if suspects.is_empty() {
            return Ok(Vec::new());
        }
        let compared = compare_rows(
            self.ctx,
            (&self.backup.endpoint, self.target),
            self.manifest,
            (suspects, &Casts::new()),
            &self.backup.options,
            Adders::Here,
        )
        .await?;
        Ok(compared
            .into_iter()
            .filter_map(|Compared { then, now }| match now {
                None => Some(format!("{} (gone)", then.table)),
                Some(now) if now != then => Some(then.table.to_string()),
                Some(_) => None,
            })
            .collect())
    }

    async fn sequences(&self) -> Result<Vec<String>> {
        let now = contents::sequences(&self.session).await?;
        let then: BTreeMap<&TableName, &SequenceEntry> = self
            .manifest
            .sequences
            .iter()
            .map(|s| (&s.sequence, s))
            .collect();
        Ok(now
            .iter()
            .filter(|s| then.get(&s.sequence) != Some(s))
            .map(|s| format!("sequence {}", s.sequence))
            .collect())
    }
}
