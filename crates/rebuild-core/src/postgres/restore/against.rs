//! What a verification compares with: the rows that were restored, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::PgRestorer;
use super::placement::{Placement, describe};
use crate::error::{ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, TableName};
use crate::postgres::Session;
use crate::postgres::backup::{Compared, Manifest, TableEntry, add_up, compare_rows, homes};
use crate::postgres::compare::Adders;
use crate::postgres::rows::tables::list_tables;
use crate::postgres::verify::{BackedUp, ContentReport, Picks};
use crate::work::Crew;

#[async_trait]
impl BackedUp for PgRestorer {
    async fn counts(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
    ) -> Result<Vec<(TableName, u64)>> {
        let manifest = self.manifest(backup).await?;
        self.choice.require_some(&manifest)?;
        let restored = manifest.tables.iter().filter(|e| {
            let table = &e.table;
            let chosen = self.choice.takes(table);
            // Of an extension's tables only the user's rows are known.
            let counted = e.condition.is_none();
            let ours = self.own_schema || !super::placement::is_a_migrators(table);
            chosen && counted && ours && !self.choice.may_drop.matches(table)
        });
        let restored: Vec<&TableEntry> = restored.collect();
        let session = Session::open_at(&self.endpoint, db, ctx).await?;
        let listed = list_tables(&session).await?;
        session.close().await;
        let there: BTreeSet<&TableName> = listed
            .iter()
            .filter(|t| t.takes_rows())
            .map(|t| &t.table)
            .collect();
        let homes = homes(restored.iter().copied(), |table| there.contains(table));
        let mut counts: BTreeMap<&TableName, u64> = BTreeMap::new();
        for (home, entry) in homes.into_iter().zip(&restored) {
            *counts.entry(home).or_default() += entry.rows;
        }
        let counts = counts
            .into_iter()
            .map(|(table, rows)| (table.clone(), rows));
        Ok(counts.collect())
    }

    async fn differences(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
        except: Picks<'_>,
    ) -> Result<ContentReport> {
        let how = (Adders::Here, false);
        self.differences_by(ctx, db, backup, except, how).await
    }
}

/// What a verification compares with, where the rows that differ are named by their primary keys. For that
/// the rows of tables that differ are loaded into temporary tables beside those of the database.
pub struct NamedRows(pub PgRestorer);

#[async_trait]
impl BackedUp for NamedRows {
    async fn counts(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
    ) -> Result<Vec<(TableName, u64)>> {
        self.0.counts(ctx, db, backup).await
    }

    async fn differences(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
        except: Picks<'_>,
    ) -> Result<ContentReport> {
        let how = (Adders::Here, true);
        self.0.differences_by(ctx, db, backup, except, how).await
    }
}

/// What a verification compares with, with rows that a crew adds up. The crew does one work, so
/// content is compared once.
pub struct SharedComparison {
    /// What everything else is done by.
    pub restorer: PgRestorer,
    /// Who adds up rows.
    pub crew: Arc<dyn Crew>,
}

#[async_trait]
impl BackedUp for SharedComparison {
    async fn counts(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
    ) -> Result<Vec<(TableName, u64)>> {
        self.restorer.counts(ctx, db, backup).await
    }

    async fn differences(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
        except: Picks<'_>,
    ) -> Result<ContentReport> {
        let adders = Adders::Crew(&*self.crew, &self.restorer.store);
        let how = (adders, false);
        self.restorer
            .differences_by(ctx, db, backup, except, how)
            .await
    }
}

impl PgRestorer {
    async fn differences_by(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
        except: Picks<'_>,
        (adders, named): (Adders<'_>, bool),
    ) -> Result<ContentReport> {
        let manifest = self.manifest(backup).await?;
        let session = Session::open_at(&self.endpoint, db, ctx).await?;
        let placements = self.placements(&session, &manifest).await?;
        let objects = self.large_objects_differ(ctx, &session, &manifest, except);
        let objects = objects.await?;
        session.close().await;
        // What is summed up together is compared together or not at all.
        let entry = |p: &Placement| &manifest.tables[p.entry];
        let excepted: BTreeSet<&TableName> = (placements.placed.iter())
            .filter(|p| except(&p.target) || except(&entry(p).table))
            .map(|p| &p.target)
            .collect();
        let entries: Vec<&TableEntry> = (placements.placed.iter())
            .filter(|p| !excepted.contains(&p.target))
            .map(entry)
            .collect();
        let compared = compare_rows(
            ctx,
            (&self.endpoint, db),
            &manifest,
            &entries,
            &self.options,
            adders,
        )
        .await?;
        let mut differing = Vec::new();
        for one in &compared {
            let Some(mut difference) = difference(one) else {
                continue;
            };
            if named && one.now.is_some() {
                let placed = placements.placed.iter();
                let placed: Vec<_> = placed.filter(|p| p.target == one.then.table).collect();
                // Whatever stands in the way, that they differ is known.
                let keys = match self.keys_that_differ(ctx, db, &manifest, &placed).await {
                    Ok(Some(keys)) => super::differing::describe(&keys),
                    Ok(None) => "it has no primary key that both have".to_owned(),
                    Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
                    Err(e) => format!("its rows could not be named: {}", e.chain()),
                };
                difference.push_str(&format!(" ({keys})"));
            }
            differing.push(difference);
        }
        let lost = placements.unplaced.iter();
        let lost = lost.filter(|u| !except(&u.table) && !self.choice.may_leave(u));
        differing.extend(lost.map(|u| format!("{} is not there", describe(u))));
        differing.extend(objects);
        Ok(ContentReport {
            tables: compared.len() as u64,
            rows: compared.iter().map(|c| c.then.rows).sum(),
            differing,
        })
    }

    /// Whether the large objects that were restored are others than those of the backup. They are
    /// left out of a comparison by the name of the table that the server keeps them in.
    async fn large_objects_differ(
        &self,
        ctx: &Ctx,
        session: &Session,
        manifest: &Manifest,
        except: Picks<'_>,
    ) -> Result<Option<String>> {
        let then = manifest.large_objects;
        let some_tables = !self.choice.tables.is_empty();
        let kept_in = TableName::new("pg_catalog", "pg_largeobject");
        if then.count == 0 || some_tables || except(&kept_in) {
            return Ok(None);
        }
        let now = add_up(ctx, session, &self.options).await?;
        let differs = || {
            format!(
                "the {} large objects of {} bytes in all are others than in the backup, which has {} of {}",
                now.count, now.bytes, then.count, then.bytes
            )
        };
        Ok((now != then).then(differs))
    }
}

/// Where columns were left out, as the spec allows, only the rows can be counted.
fn difference(Compared { then, now }: &Compared) -> Option<String> {
    let table = &then.table;
    let Some(now) = now else {
        return Some(format!("{table} is not there"));
    };
    if now.rows != then.rows {
        return Some(format!(
            "{table} has {} rows, and the backup {}",
            now.rows, then.rows
        ));
    }
    let same_columns = now.columns == then.columns;
    (same_columns && now.hash != then.hash)
        .then(|| format!("{table} has other rows than the backup"))
}
