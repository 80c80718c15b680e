//! An export, as something that can be restored.

use std::fmt;

use async_trait::async_trait;
use tokio::io::AsyncRead;

use super::{BucketPath, CloudSql, Export};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::BackupId;
use crate::postgres::DumpStream;

/// The export that was taken with a backup.
pub struct ExportOfBackup {
    sql: CloudSql,
    ctx: Ctx,
    object: BucketPath,
}

impl ExportOfBackup {
    /// That of `backup`; nothing is asked of the bucket yet.
    pub fn new(sql: CloudSql, ctx: Ctx, export: &Export, backup: &BackupId) -> Self {
        let object = export.object(backup);
        Self { sql, ctx, object }
    }
}

impl fmt::Debug for ExportOfBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExportOfBackup({})", self.object)
    }
}

#[async_trait]
impl DumpStream for ExportOfBackup {
    fn name(&self) -> String {
        self.object.to_string()
    }

    async fn open(&self) -> Result<Box<dyn AsyncRead + Send + Unpin>> {
        let bucket = self.sql.bucket(&self.ctx);
        Ok(Box::new(bucket.read(&self.object).await?))
    }
}
