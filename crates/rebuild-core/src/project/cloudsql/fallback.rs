//! Where the backup cannot be restored, the export that was taken with it is loaded.

use std::sync::Arc;

use async_trait::async_trait;

use crate::cloudsql::{CloudSql, Export, ObjectInBucket};
use crate::engine::Backends;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Endpoint, Identity};
use crate::postgres::{DumpFrom, Environment, PgDump, RoleMap, RowOptions, empty_database};
use crate::project::{Project, compose};
use crate::spec::FallbackFrom;
use crate::store::{Name, Store};
use crate::traits::{
    RestoreOutline, RestoreReport, Restorer, SchemaApplied, SchemaApplier, SchemaState,
};

/// Schema and rows of the backup, or else the export. The new database stays the same one; it is emptied
/// before anything else is loaded. That it is so is written down, so a resumed run does not begin again
/// with what has failed.
struct OrExport {
    schema: Arc<dyn SchemaApplier>,
    rows: Arc<dyn Restorer>,
    sql: CloudSql,
    export: Export,
    endpoint: Endpoint,
    store: Store,
    options: RowOptions,
    environment: Environment,
}

/// False for what another way does not help with: the operator stopped, or the server is away.
fn may_fall_back(e: &Error) -> bool {
    !matches!(
        e.kind(),
        ErrorKind::Interrupted | ErrorKind::Unreachable | ErrorKind::Internal
    )
}

impl OrExport {
    fn note(ctx: &Ctx) -> Result<Name> {
        Name::new(format!("runs/{}/cloudsql/fallback.txt", ctx.run))
    }

    async fn has_failed(&self, ctx: &Ctx) -> Result<bool> {
        Ok(self.store.size(&Self::note(ctx)?).await?.is_some())
    }

    async fn give_up(&self, ctx: &Ctx, what: &str, why: &Error) -> Result<()> {
        ctx.events.warn(format!(
            "{what} of the backup failed, and the export that was taken with it is loaded in its place: {}",
            why.chain()
        ));
        let text = why.chain().into_bytes();
        self.store.put_new(&Self::note(ctx)?, text).await
    }

    async fn load(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreReport> {
        let stream = ObjectInBucket::of_backup(&self.sql, ctx.clone(), &self.export, backup);
        let dump = PgDump {
            from: DumpFrom::Stream(Arc::new(stream)),
            roles: RoleMap::default(),
            trusted: false,
            options: self.options.clone(),
            tools: None,
            environment: self.environment.clone(),
        };
        dump.check(ctx, &self.endpoint).await?;
        empty_database(ctx, &self.endpoint, db).await?;
        let (report, verdict) = Box::pin(dump.restore(ctx, &self.endpoint, db)).await?;
        if !verdict.passed() {
            let complaints = verdict.complaints().join("; ");
            let message = format!("the export came in other than it is: {complaints}");
            return Err(Error::new(ErrorKind::Mismatch, message));
        }
        Ok(RestoreReport {
            tables: report.tables,
            rows: report.rows,
            ..RestoreReport::default()
        })
    }
}

#[async_trait]
impl SchemaApplier for OrExport {
    async fn look(&self, ctx: &Ctx, db: &Identity) -> Result<SchemaState> {
        self.schema.look(ctx, db).await
    }

    async fn apply(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<SchemaApplied> {
        if self.has_failed(ctx).await? {
            return Ok(SchemaApplied::default());
        }
        match self.schema.apply(ctx, db, backup).await {
            Err(e) if may_fall_back(&e) => {
                self.give_up(ctx, "the schema", &e).await?;
                Ok(SchemaApplied::default())
            }
            applied => applied,
        }
    }
}

#[async_trait]
impl Restorer for OrExport {
    async fn outline(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreOutline> {
        self.rows.outline(ctx, db, backup).await
    }

    async fn restore(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreReport> {
        if !self.has_failed(ctx).await? {
            match self.rows.restore(ctx, db, backup).await {
                Err(e) if may_fall_back(&e) => self.give_up(ctx, "the restore", &e).await?,
                restored => return restored,
            }
        }
        self.load(ctx, db, backup).await
    }

    async fn finish(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<()> {
        self.rows.finish(ctx, db, backup).await
    }
}

impl Project {
    /// `backends`, with the export behind the backup if the spec says so.
    pub(in crate::project) fn with_fallback(&self, backends: Backends) -> Result<Backends> {
        let (Some(FallbackFrom::Export), Some(instance), Some(named)) = (
            self.spec.restore.fallback,
            &self.instance,
            &self.spec.target.cloudsql,
        ) else {
            return Ok(backends);
        };
        let Some(export) = super::besides(named)?.export else {
            return Ok(backends);
        };
        let either = Arc::new(OrExport {
            schema: backends.schema.clone(),
            rows: backends.restorer.clone(),
            sql: instance.sql.clone(),
            export,
            endpoint: self.endpoint.clone(),
            store: self.store.clone(),
            options: compose::row_options(&self.spec),
            environment: self.environment.clone(),
        });
        Ok(Backends {
            schema: either.clone(),
            restorer: either,
            ..backends
        })
    }
}
