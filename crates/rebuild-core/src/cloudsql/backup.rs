//! The backup of the rows, and what the instance itself keeps besides.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::asked::Asked;
use super::{BucketPath, CloudSql, Export};
use crate::error::{ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, Outcome, Verdict};
use crate::store::Store;
use crate::traits::{Backup, BackupMode, BackupSummary, DestroyPermit};

/// How long the API may take to delete a backup run.
const DELETED_WITHIN: Duration = Duration::from_secs(600);

/// What is said of what was not asked for when a backup was taken, and is by now.
const TAKEN_WITHOUT: &str = "none: the backup was taken without";

/// What belongs to each full backup besides the rows. Each is needed: without it, the backup failed.
#[derive(Clone, Debug, Default)]
pub struct Besides {
    /// An on-demand backup of the whole instance, and how long it may take.
    pub run: Option<Duration>,
    /// An export to a bucket.
    pub export: Option<Export>,
}

impl Besides {
    fn is_nothing(&self) -> bool {
        self.run.is_none() && self.export.is_none()
    }

    /// A line for each, for a plan.
    pub fn describe(&self) -> Vec<String> {
        let run = self
            .run
            .map(|_| "an on-demand backup of the whole instance".to_owned());
        let export = self.export.as_ref().map(|export| {
            let grant = match export.grant {
                true => ", for which its account may write there as long as it lasts",
                false => "",
            };
            format!("an export of the database below {}{grant}", export.to)
        });
        run.into_iter().chain(export).collect()
    }
}

/// A [`Backup`] with an on-demand backup of the instance and an export besides.
///
/// The rows are what is proven and what a run goes back to: they are the only copy that outlives the
/// project that the instance is in, and the only one that is compared with the database. The other two
/// are the ways back that the service itself knows.
pub struct InstanceBackup {
    /// The backup of the rows.
    pub rows: Arc<dyn Backup>,
    /// The instance.
    pub sql: CloudSql,
    /// What is wanted besides.
    pub besides: Besides,
    /// Where it is written down what was asked for with a backup, and what was given to the instance's account.
    pub store: Store,
}

impl InstanceBackup {
    /// Looks at the backup of the instance. It must be there if it was asked for.
    async fn check_run(
        &self,
        ctx: &Ctx,
        id: &BackupId,
        asked: bool,
        verdict: &mut Verdict,
    ) -> Result<()> {
        let name = format!("backup of instance {}", self.sql.name());
        match self.sql.taken_with(ctx, id).await? {
            Some(taken) => {
                taken.warn_of_unknown_size(ctx);
                verdict.add_complaints(name, taken.describe(), taken.complaints());
            }
            None if asked => {
                let why = format!(
                    "the instance has no backup {:?}, and none has outlived it",
                    super::runs::description(id)
                );
                verdict.add(name, "none", Outcome::Failed(vec![why]));
            }
            None => verdict.add(name, TAKEN_WITHOUT, Outcome::Passed),
        }
        Ok(())
    }

    /// Reads the export. It must be there if it was asked for.
    async fn check_export(
        &self,
        ctx: &Ctx,
        object: &BucketPath,
        asked: bool,
        summary: &BackupSummary,
        verdict: &mut Verdict,
    ) -> Result<()> {
        if !asked && self.sql.bucket(ctx).size(object).await?.is_none() {
            verdict.add(object.to_string(), TAKEN_WITHOUT, Outcome::Passed);
            return Ok(());
        }
        let (looked_at, complaints) = match self.sql.read_export(ctx, object).await {
            Ok((bytes, contents)) => {
                let (rows, tables) = (contents.rows, contents.tables);
                // Rows may have been written between the two, but not all of them.
                let why = (rows == 0 && summary.rows > 0)
                    .then(|| format!("it has no rows, and the backup has {}", summary.rows));
                let looked_at = format!("{bytes} bytes, {rows} rows of {tables} tables");
                (looked_at, why.into_iter().collect())
            }
            Err(e) if e.kind() == ErrorKind::Corrupt => ("not whole".to_owned(), vec![e.chain()]),
            Err(e) => return Err(e),
        };
        verdict.add_complaints(object.to_string(), looked_at, complaints);
        Ok(())
    }

    /// Where an export of the backup may be by today's spec.
    fn export_now(&self, id: &BackupId) -> Option<BucketPath> {
        let export = self.besides.export.as_ref();
        export.map(|export| export.object(id))
    }
}

#[async_trait]
impl Backup for InstanceBackup {
    async fn list(&self, ctx: &Ctx) -> Result<Vec<BackupSummary>> {
        self.rows.list(ctx).await
    }

    /// The instance's own come after the rows: one that is there says that the rows are.
    async fn take(
        &self,
        ctx: &Ctx,
        target: &Identity,
        id: &BackupId,
        mode: BackupMode,
    ) -> Result<BackupSummary> {
        if mode == BackupMode::Full && !self.besides.is_nothing() {
            Asked::write_down(&self.besides, &self.store, id).await?;
        }
        let summary = self.rows.take(ctx, target, id, mode).await?;
        if mode != BackupMode::Full {
            return Ok(summary);
        }
        if let Some(limit) = self.besides.run {
            let run = self.sql.back_up(ctx, id, limit).await?;
            ctx.events.info(format!(
                "instance {} has backup {} besides",
                self.sql.name(),
                run.id
            ));
        }
        if let Some(export) = &self.besides.export {
            let (sql, store) = (&self.sql, &self.store);
            sql.export(ctx, store, &target.name, id, export).await?;
        }
        Ok(summary)
    }

    async fn check(&self, ctx: &Ctx, id: &BackupId) -> Result<(BackupSummary, Verdict)> {
        let (summary, mut verdict) = self.rows.check(ctx, id).await?;
        if summary.mode != BackupMode::Full {
            return Ok((summary, verdict));
        }
        let asked = Asked::read(&self.store, id).await?.unwrap_or_default();
        if asked.run || self.besides.run.is_some() {
            self.check_run(ctx, id, asked.run, &mut verdict).await?;
        }
        let export = asked.export()?;
        let was_asked = export.is_some();
        if let Some(object) = export.or_else(|| self.export_now(id)) {
            self.check_export(ctx, &object, was_asked, &summary, &mut verdict)
                .await?;
        }
        Ok((summary, verdict))
    }

    /// *Destroys:* the instance's own, too.
    async fn remove(&self, ctx: &Ctx, id: &BackupId, permit: DestroyPermit) -> Result<()> {
        let asked = Asked::read(&self.store, id).await?.unwrap_or_default();
        let export = asked.export()?;
        // The permit is spent there.
        self.rows.remove(ctx, id, permit).await?;
        if asked.run || self.besides.run.is_some() {
            self.sql.delete_taken(ctx, id, DELETED_WITHIN).await?;
        }
        let now = self
            .export_now(id)
            .filter(|now| Some(now) != export.as_ref());
        for object in export.iter().chain(&now) {
            self.sql.bucket(ctx).delete(object).await?;
        }
        Asked::forget(&self.store, id).await
    }
}
