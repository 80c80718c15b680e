//! Exports of a database to a bucket, as SQL
//! (<https://cloud.google.com/sql/docs/postgres/import-export/import-export-sql>).

use std::time::Duration;

use google_cloud_sql_v1::model::operation::SqlOperationType;
use google_cloud_sql_v1::model::{ExportContext, InstancesExportRequest, Operation, SqlFileType};
use tokio_util::io::SyncIoBridge;
use tokio_util::sync::CancellationToken;

use super::bucket::Bucket;
use super::grant::Grant;
use super::{BucketPath, CloudSql};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::BackupId;
use crate::postgres::{DumpContents, read_gzip};
use crate::store::Store;

/// How often, and after how long, an export is tried again that the bucket did not know the new right for
/// yet: IAM says that a change takes two minutes, typically.
const TRIES: u32 = 12;
const PAUSE: Duration = Duration::from_secs(15);

/// An export that belongs to each backup.
#[derive(Clone, Debug)]
pub struct Export {
    /// Where it goes.
    pub to: BucketPath,
    /// Made by a machine beside the instance, which has no work from it then; it costs extra.
    pub offload: bool,
    /// Give the instance's account the right to write there, and take it away afterwards.
    pub grant: bool,
    /// How long it may take.
    pub limit: Duration,
}

impl Export {
    /// The object of a backup.
    pub(super) fn object(&self, id: &BackupId) -> BucketPath {
        self.to.object(&format!("{id}.sql.gz"))
    }
}

impl CloudSql {
    /// Exports the database to the object of backup `id`, and makes sure that something is there.
    ///
    /// *Repeats:* an object that is there is left; an export that goes on is waited for; a right that was
    /// given for it and is still there is taken away. *Destroys:* nothing.
    ///
    /// # Errors
    /// It failed, with the API's words; it did not end in time; the bucket refused, or the object is
    /// not there or empty; the right that was given for it could not be taken away.
    pub(super) async fn export(
        &self,
        ctx: &Ctx,
        store: &Store,
        database: &str,
        id: &BackupId,
        export: &Export,
    ) -> Result<()> {
        let object = export.object(id);
        let is_there = self.bucket(ctx).size(&object).await?.is_some();
        // What was given is taken away even if the operator does not wait for the export.
        let mut unstoppable = ctx.clone();
        unstoppable.stop = CancellationToken::new();
        let account = self.describe(ctx).await?.service_account_email_address;
        let grant = Grant {
            bucket: self.bucket(&unstoppable),
            store,
            name: &object.bucket,
            member: format!("serviceAccount:{account}"),
        };
        let given = match (export.grant, is_there) {
            (false, _) => false,
            (true, false) => grant.give().await?,
            // The process that gave it may have ended before it took it away.
            (true, true) => grant.is_noted().await?,
        };
        let exported = match is_there {
            true => Ok(()),
            false => {
                self.export_patiently(ctx, database, &object, export, given)
                    .await
            }
        };
        let taken_away = match given {
            true => grant.take_away().await,
            false => Ok(()),
        };
        match (exported, taken_away) {
            (Err(e), Err(besides)) => {
                ctx.events.warn(format!("besides: {}", besides.chain()));
                return Err(e);
            }
            (exported, taken_away) => exported.and(taken_away)?,
        }
        self.require_something(ctx, &object).await
    }

    async fn require_something(&self, ctx: &Ctx, object: &BucketPath) -> Result<()> {
        match self.bucket(ctx).size(object).await? {
            Some(bytes) if bytes > 0 => {
                ctx.events.info(format!("{object} holds {bytes} bytes"));
                Ok(())
            }
            Some(_) => Err(Error::corrupt(format!("the export to {object} is empty"))),
            None => Err(Error::corrupt(format!(
                "the export ended well, but {object} is not there"
            ))),
        }
    }

    pub(super) fn bucket<'a>(&'a self, ctx: &'a Ctx) -> Bucket<'a> {
        Bucket {
            google: self.google(),
            ctx,
        }
    }

    /// A right that was just given is not known everywhere at once.
    async fn export_patiently(
        &self,
        ctx: &Ctx,
        database: &str,
        object: &BucketPath,
        export: &Export,
        given: bool,
    ) -> Result<()> {
        let mut tries = 1;
        loop {
            let exported = self.export_once(ctx, database, object, export).await;
            match exported {
                Err(e) if given && tries < TRIES && is_about_rights(&e) => {
                    ctx.events.info(format!(
                        "the bucket does not know of the right to write yet: {}",
                        e.chain()
                    ));
                    let pause = async {
                        tokio::time::sleep(PAUSE).await;
                        Ok(())
                    };
                    ctx.within(PAUSE * 2, "the wait for the right to write", pause)
                        .await?;
                    tries += 1;
                }
                done => return done.map_err(|e| about_rights(e, object, export)),
            }
        }
    }

    async fn export_once(
        &self,
        ctx: &Ctx,
        database: &str,
        object: &BucketPath,
        export: &Export,
    ) -> Result<()> {
        let what = format!("the export of {database:?} to {object}");
        let uri = object.to_string();
        let begin = || async {
            let known = self.newest_operations().await?;
            if let Some(known) = known.into_iter().find(|o| is_of(o, &uri)) {
                return Ok(known);
            }
            let context = ExportContext::new()
                .set_uri(&uri)
                .set_databases([database])
                .set_file_type(SqlFileType::Sql)
                .set_offload(export.offload);
            let begin = self.instances.export().set_project(&self.name().project);
            begin
                .set_instance(&self.name().instance)
                .set_body(InstancesExportRequest::new().set_export_context(context))
                .send()
                .await
        };
        let failed = format!("could not begin {what}");
        let operation = self.when_free(ctx, &failed, export.limit, begin).await?;
        self.wait_for(ctx, &what, &operation.name, export.limit)
            .await
            .map(|_| ())
    }

    /// Reads the object of backup `id` from front to back: how many bytes, and what is in it.
    ///
    /// # Errors
    /// The bucket could not be asked; the export is not there, damaged or cut short.
    pub(super) async fn read_export(
        &self,
        ctx: &Ctx,
        object: &BucketPath,
    ) -> Result<(u64, DumpContents)> {
        let bucket = self.bucket(ctx);
        let gone = || Error::corrupt(format!("{object} is not there"));
        let bytes = bucket.size(object).await?.ok_or_else(gone)?;
        let compressed = SyncIoBridge::new(bucket.read(object).await?);
        let contents = read_gzip(&object.to_string(), compressed).await?;
        Ok((bytes, contents))
    }
}

/// True for an export to `uri` that has not failed.
fn is_of(operation: &Operation, uri: &str) -> bool {
    let context = operation.export_context.as_ref();
    operation.operation_type == SqlOperationType::Export
        && operation.error.is_none()
        && context.is_some_and(|c| c.uri == uri)
}

fn is_about_rights(e: &Error) -> bool {
    let said = e.chain().to_lowercase();
    e.kind() == ErrorKind::Server
        && ["permission", "access", "403"]
            .iter()
            .any(|w| said.contains(w))
}

fn about_rights(e: Error, object: &BucketPath, export: &Export) -> Error {
    if export.grant || !is_about_rights(&e) {
        return e;
    }
    e.hint(format!(
        "the instance's service account needs roles/storage.objectAdmin on gs://{}, or set \
         target.cloudsql.export.grant = true",
        object.bucket
    ))
}
