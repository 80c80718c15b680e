//! Reading what a plan is made from.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::inventory::inventory_of;
use super::refresh::Surveyed;
use super::room::local_data;
use super::{
    CatalogSnapshot, DatabaseKey, ProvisionOptions, ScratchDatabase, Session, SourceSurveyor,
    application, database_facts,
};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{BackupId, DatabaseFacts, Endpoint, Identity, Inventory};
use crate::plan::{Drift, Survey, ToolFacts};
use crate::store::{self, Store};
use crate::traits::{AppliedFile, SchemaApplier, SchemaState, Surveyor};

/// [`Surveyor`] of a PostgreSQL database.
pub struct PgSurveyor {
    /// The server.
    pub endpoint: Endpoint,
    /// The server at its maintenance database.
    pub maintenance: Endpoint,
    /// The target's name.
    pub database: String,
    /// What brings a database to the newest schema.
    pub schema: Arc<dyn SchemaApplier>,
    /// What adds rows to the new database, if anything does.
    pub fixtures: Option<Arc<dyn SchemaApplier>>,
    /// True if the schema comes from files or a migrator, so that there can be drift. What comes
    /// from the backup is what is live.
    pub files: bool,
    /// The source, of a refresh.
    pub source: Option<SourceSurveyor>,
    /// What the new database is to be like, which a schema may need: extensions, locale.
    pub provision: ProvisionOptions,
    /// The client programs that the run will use.
    pub tools: Vec<ToolFacts>,
    /// Where backups go.
    pub store: Store,
}

#[async_trait]
impl Surveyor for PgSurveyor {
    async fn survey(&self, ctx: &Ctx, drift: bool) -> Result<Survey> {
        let session = self.open(ctx).await?;
        let database = database_facts(&session, DatabaseKey::Current).await?;
        // Both sides at once: the new schema is made on another connection, and takes longer.
        // Neither is given up when the other one fails, lest a scratch database be left.
        let (live, new, source) = tokio::join!(
            live(session, database.clone()),
            self.new_schema(ctx, &database, drift),
            self.source(ctx)
        );
        let (inventory, live) = live?;
        let New {
            schema,
            fixtures,
            described,
        } = new?;
        let (source, live, described) = match source? {
            Some((survey, catalog, migration)) if self.follows_source() => {
                let live = live.without_privileges();
                (Some(survey), live, Some((catalog, migration)))
            }
            Some((survey, _, _)) => (Some(survey), live, described),
            None => (None, live, described),
        };
        let (catalog, new_migration) = described.unzip();
        let data = local_data(&self.endpoint, inventory.server.data_directory.as_deref());
        Ok(Survey {
            schema_hash: live.hash(),
            tools: self.tools.clone(),
            schema,
            fixtures,
            source,
            cluster: None,
            instance: None,
            gcp: None,
            infrastructure: Vec::new(),
            drift: catalog
                .as_ref()
                .map(|new| drift_between(&inventory, &live, new)),
            new_schema_hash: catalog.as_ref().map(CatalogSnapshot::hash),
            new_migration: new_migration.flatten(),
            store_free_bytes: self.store.free_bytes()?,
            // A folder that this user may not look into says nothing.
            server_free_bytes: data.as_deref().and_then(|d| store::free_bytes(d).ok()),
            store_inside_target: match (self.store.folder(), &data) {
                (Some(folder), Some(data)) => is_inside(folder, data),
                _ => false,
            },
            inventory,
        })
    }
}

impl PgSurveyor {
    /// A session in the target that cannot write.
    async fn open(&self, ctx: &Ctx) -> Result<Session> {
        let target = self.endpoint.with_database(&self.database);
        let session = Session::open(&target, &application(ctx)).await?;
        session.only_read().await
    }

    /// The source, if there is one, beside the target.
    async fn source(&self, ctx: &Ctx) -> Result<Option<Surveyed>> {
        let Some(source) = &self.source else {
            return Ok(None);
        };
        let target = self.open(ctx).await?;
        let found = source.survey(ctx, &target).await;
        target.close().await;
        found.map(Some)
    }

    /// True if the new database gets the schema of the source.
    fn follows_source(&self) -> bool {
        self.source
            .as_ref()
            .is_some_and(|source| source.gives_schema)
    }

    /// Where the schema stands, and with `drift` what it makes of an empty database.
    async fn new_schema(&self, ctx: &Ctx, target: &DatabaseFacts, drift: bool) -> Result<New> {
        let schema = self.schema.look(ctx, &target.identity).await?;
        let fixtures = match &self.fixtures {
            // Files that are not there or cannot be run are better known now than after a backup.
            Some(fixtures) => fixtures.look(ctx, &target.identity).await?.files,
            None => Vec::new(),
        };
        let described = if drift && self.files {
            Some(self.described(ctx, target).await?)
        } else {
            None
        };
        Ok(New {
            schema,
            fixtures,
            described,
        })
    }

    /// What the schema's files or the migrator describe, found by applying them to a scratch
    /// database.
    async fn described(&self, ctx: &Ctx, target: &DatabaseFacts) -> Result<Described> {
        ScratchDatabase::sweep(&self.maintenance, ctx).await?;
        let scratch = ScratchDatabase::make_as(&self.maintenance, target, &self.provision, ctx)
            .await
            .map_err(|e| e.context("could not make a scratch database to find the drift"))?;
        let files = self.applied_to(ctx, scratch.identity()).await;
        scratch.remove_or_warn(ctx).await;
        files
    }

    /// The catalog of `scratch` once the schema is applied to it, and the version it has then.
    async fn applied_to(&self, ctx: &Ctx, scratch: &Identity) -> Result<Described> {
        // Files and migrators do not look at a backup.
        let applied = self
            .schema
            .apply(ctx, scratch, &BackupId::generate())
            .await
            .map_err(|e| e.context("could not apply the schema to a scratch database"))?;
        let session = Session::open_at(&self.maintenance, scratch, ctx).await?;
        let files = CatalogSnapshot::read(&session).await;
        session.close().await;
        Ok((files?, applied.migration))
    }
}

/// What a survey finds of the schema to come.
struct New {
    schema: SchemaState,
    fixtures: Vec<AppliedFile>,
    described: Option<Described>,
}

/// The catalog that a schema makes, and the migration tool and version that it records.
type Described = (CatalogSnapshot, Option<(String, String)>);

/// What is in the target that `session` is connected to.
async fn live(session: Session, database: DatabaseFacts) -> Result<(Inventory, CatalogSnapshot)> {
    let inventory = inventory_of(&session, database).await?;
    let catalog = CatalogSnapshot::read(&session).await?;
    session.close().await;
    Ok((inventory, catalog))
}

/// The way from the `live` schema to the `new` one, with the rows that tables are estimated to hold.
fn drift_between(inventory: &Inventory, live: &CatalogSnapshot, new: &CatalogSnapshot) -> Drift {
    let mut drift = CatalogSnapshot::diff(live, new);
    for (table, rows) in &mut drift.lost_tables {
        *rows = inventory
            .tables
            .iter()
            .find(|t| t.table == *table)
            .and_then(|t| t.estimated_rows);
    }
    drift
}

/// True if `inner` is `outer` or lies below it, once symbolic links are followed.
fn is_inside(inner: &Path, outer: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(inner).starts_with(real(outer))
}

#[cfg(test)]
mod tests;
