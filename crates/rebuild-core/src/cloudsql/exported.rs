//! SQL in a bucket, as something that can be restored.

use std::fmt;

use async_trait::async_trait;
use tokio::io::AsyncRead;

use super::bucket::Bucket;
use super::{BucketPath, CloudSql, Export};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::google::Google;
use crate::model::BackupId;
use crate::postgres::DumpStream;

/// An object in a bucket, read by the account that a spec names. Nothing of it is kept on this machine.
pub struct ObjectInBucket {
    google: Google,
    ctx: Ctx,
    object: BucketPath,
}

impl ObjectInBucket {
    /// The object `url`, such as `gs://exports/daily/app.sql.gz`; nothing is asked of the bucket yet.
    ///
    /// # Errors
    /// It names no object.
    pub fn at(google: Google, ctx: Ctx, url: &str) -> Result<Self> {
        let object: BucketPath = url.parse()?;
        if object.prefix.is_empty() {
            let what = format!("{url:?} names no object in a bucket");
            return Err(Error::usage(what));
        }
        Ok(Self {
            google,
            ctx,
            object,
        })
    }

    /// The export that was taken with `backup`; nothing is asked of the bucket yet.
    pub fn of_backup(sql: &CloudSql, ctx: Ctx, export: &Export, backup: &BackupId) -> Self {
        Self {
            google: sql.google().clone(),
            ctx,
            object: export.object(backup),
        }
    }
}

impl fmt::Debug for ObjectInBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectInBucket({})", self.object)
    }
}

#[async_trait]
impl DumpStream for ObjectInBucket {
    fn name(&self) -> String {
        self.object.to_string()
    }

    async fn open(&self) -> Result<Box<dyn AsyncRead + Send + Unpin>> {
        let bucket = Bucket {
            google: &self.google,
            ctx: &self.ctx,
        };
        Ok(Box::new(bucket.read(&self.object).await?))
    }
}
