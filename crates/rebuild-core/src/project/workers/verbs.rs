//! The verbs whose work many workers share.

use std::sync::Arc;

use super::Sharing;
use super::addresses::Named;
use crate::error::{Error, Result};
use crate::model::{BackupId, Identity, Verdict};
use crate::postgres::compare::{Adders, compare_by};
use crate::postgres::{Comparison, PgComparison, PgSharedBackup};
use crate::project::copy::Copying;
use crate::project::doers::compares_content;
use crate::project::into::Bringers;
use crate::project::{Project, compose};
use crate::spec::SchemaSource;
use crate::traits::{BackupMode, BackupSummary, VerifyRequest};

impl Project {
    /// Takes a backup of the target as [`backup`](Self::backup) does, with rows that workers read,
    /// store and read back, each its share.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// As `backup`; the spec has another mode than a full backup, or names no workers; a worker
    /// failed for good, or left no whole result.
    pub async fn backup_shared(&self, sharing: &Sharing) -> Result<(BackupSummary, Verdict)> {
        let ctx = self.ctx();
        let crew = self.crew(&ctx, sharing, &[])?;
        let title = format!("back up schema and rows, by {} workers", crew.size());
        let backup = Arc::new(PgSharedBackup::new(self.pg_backup(), crew));
        let backup = self.backup_with(backup)?;
        self.backup_by(&ctx, &*backup, &title).await
    }

    /// Reads a backup back as [`check_backup`](Self::check_backup) does, with chunks that workers
    /// read, each its share.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// As `check_backup`; the spec names no workers; a worker failed for good, or left no whole
    /// result.
    pub async fn check_backup_shared(
        &self,
        id: &BackupId,
        sharing: &Sharing,
    ) -> Result<(BackupSummary, Verdict)> {
        let ctx = self.ctx();
        let crew = self.crew(&ctx, sharing, &[])?;
        let backup = PgSharedBackup::new(self.pg_backup(), crew);
        self.backup_with(Arc::new(backup))?.check(&ctx, id).await
    }

    /// Restores a backup as [`restore`](Self::restore) does without precheck, with rows that workers load,
    /// each its share. They are compared by this process.
    ///
    /// *Repeats:* a database of that name is a refusal. *Destroys:* nothing.
    ///
    /// # Errors
    /// As `restore`; the spec names no workers; a worker failed for good, or left no whole result.
    pub async fn restore_shared(
        &self,
        id: &BackupId,
        into: &str,
        tables: &[String],
        sharing: &Sharing,
    ) -> Result<(Identity, Verdict)> {
        let ctx = self.ctx();
        let crew = self.crew(&ctx, sharing, &[])?;
        // Reading all of it is work for many, and each of them compares what it loads.
        let wanted = (tables, false);
        self.restore_by(&ctx, id, into, wanted, Some(&*crew)).await
    }

    /// Compares every row of the target with those of the database at `other`, a URL or a conninfo
    /// string, as [`compare`](Self::compare) does, with rows that workers add up, each its share. With
    /// `rows`, the keys of rows that differ are found by this process.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// As `compare`; the spec names no workers; the pods of a Job would be told a password; a worker
    /// failed for good, or left no whole result.
    pub async fn compare_shared(
        &self,
        other: &str,
        rows: bool,
        sharing: &Sharing,
    ) -> Result<Comparison> {
        let ctx = self.ctx();
        let endpoint = self.environment.endpoint(other, false)?;
        let crew = self.crew(&ctx, sharing, &[(Named::VerifyWith, other)])?;
        let adders = Adders::Crew(&*crew, &self.store);
        let title = format!("compare every row, by {} workers", crew.size());
        let options = compose::row_options(&self.spec);
        let comparing = compare_by(&ctx, [&self.endpoint, &endpoint], rows, adders, &options);
        ctx.step("compare", &title, comparing).await
    }

    /// Verifies the target against a backup as [`verify`](Self::verify) does, with rows that workers
    /// add up, each its share.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// As `verify`; the spec's checks compare content more than once; it names no workers; a worker failed
    /// for good, or left no whole result.
    pub async fn verify_shared(&self, backup: &BackupId, sharing: &Sharing) -> Result<Verdict> {
        let ctx = self.ctx();
        let checks = self.spec.checks.iter();
        let times = checks.filter(|check| compares_content(check)).count();
        if times > 1 {
            return Err(Error::usage(format!(
                "the checks of the spec compare content {times} times, and workers do it once"
            ))
            .hint("name all tables that are excepted in one [[verify]] of kind = \"content\""));
        }
        let crew = self.crew(&ctx, sharing, &[])?;
        self.require_ours(&ctx, backup).await?;
        if self.pg_backup().manifest(backup).await?.mode != BackupMode::Full {
            return Err(Error::refused(format!("backup {backup} holds no rows")));
        }
        let db = self.target(&ctx).await?;
        let restorer = self.restorer(self.spec.schema_from() == SchemaSource::Backup)?;
        let verifier = self.comparer_by(Arc::new(PgComparison {
            restorer,
            crew: Some(crew),
            name_rows: false,
        }))?;
        let request = VerifyRequest {
            db,
            backup: Some(backup.clone()),
            live: false,
        };
        verifier.verify(&ctx, &request).await
    }

    /// Copies the database at `source` into a new one at `target`, each a URL or a conninfo string, as
    /// [`copy`](crate::project::copy) does, with rows that workers bring, each its share. The workers
    /// find their work in the store of the spec; its target has no part in it.
    ///
    /// *Repeats:* as `copy`. *Destroys:* nothing. What was made is removed if anything
    /// fails, but for a database whose comparison fails: the verdict tells of it.
    ///
    /// # Errors
    /// As `copy`; the spec names no workers; the pods of a Job would be told a password; a worker
    /// failed for good, or left a piece of its share undone.
    pub async fn copy_shared(
        &self,
        source: &str,
        target: &str,
        maintenance: &str,
        sharing: &Sharing,
    ) -> Result<(Identity, Verdict)> {
        let ctx = self.ctx();
        let environment = &self.environment;
        let from = environment.endpoint(source, false)?;
        let to = environment.endpoint(target, false)?;
        let databases = [(Named::CopySource, source), (Named::CopyTarget, target)];
        let crew = self.crew(&ctx, sharing, &databases)?;
        let copying = Copying::begin(&ctx, &from, &to, maintenance, environment).await?;
        let copying = Copying {
            options: compose::row_options(&self.spec),
            tools: compose::tools(&self.spec),
            ..copying
        };
        let bringers = Bringers {
            crew: &*crew,
            store: &self.store,
        };
        Box::pin(copying.shared(&ctx, bringers)).await
    }
}
