//! What a verification compares with: the rows that were restored, and no others.

use async_trait::async_trait;

use super::PgRestorer;
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{BackupId, Identity, TableFingerprint, TableName};
use crate::postgres::Session;
use crate::postgres::backup::{TableEntry, by_root, fingerprints_of};
use crate::postgres::verify::{BackedUp, ContentReport, Picks};

#[async_trait]
impl BackedUp for PgRestorer {
    async fn counts(&self, _ctx: &Ctx, backup: &BackupId) -> Result<Vec<(TableName, u64)>> {
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
        let counts = by_root(restored.map(|e| (e.root.as_ref(), e.fingerprint())));
        Ok(counts.into_iter().map(|f| (f.table, f.rows)).collect())
    }

    async fn differences(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
        except: Picks<'_>,
    ) -> Result<ContentReport> {
        let manifest = self.manifest(backup).await?;
        let session = Session::open_at(&self.endpoint, db, ctx).await?;
        let placements = self.placements(&session, &manifest).await?;
        session.close().await;
        let entries: Vec<&TableEntry> = placements
            .placed
            .iter()
            .map(|p| &manifest.tables[p.entry])
            .filter(|e| !except(&e.table))
            .collect();
        let now = fingerprints_of(
            ctx,
            &self.endpoint,
            db,
            &manifest.encoding,
            &entries,
            &self.options,
        )
        .await?;
        let then = by_root(entries.iter().map(|e| (e.root.as_ref(), e.fingerprint())));
        let mut differing: Vec<String> = Vec::new();
        for then in &then {
            let now = now.iter().find(|now| now.table == then.table);
            differing.extend(difference(then, now));
        }
        Ok(ContentReport {
            tables: then.len() as u64,
            rows: then.iter().map(|f| f.rows).sum(),
            differing,
        })
    }
}

/// Where columns were left out, as the spec allows, only the rows can be counted.
fn difference(then: &TableFingerprint, now: Option<&TableFingerprint>) -> Option<String> {
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
