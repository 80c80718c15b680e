//! Schema and rows of the source into a database beside the target.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::privileges;
use super::source::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, RunId};
use crate::postgres::backup::Shelf;
use crate::postgres::{
    BackedUp, Carry, DatabaseKey, Held, PgBackup, PgBackupSchema, PgRestorer, Session,
    database_facts, migration_version, recorded, require_roles,
};
use crate::store::{Name, Store};
use crate::traits::{
    RestoreOutline, RestoreReport, Restorer, SchemaApplied, SchemaApplier, SchemaState,
};

/// The folder of the store for what is there of sources while runs need it.
const SOURCES: &str = "sources";

/// Statements of a source's schema that mean something only where the source is. A mapping may
/// hold a password.
const LEFT_OUT: &str = "CREATE USER MAPPING ";

fn folder(run: &RunId) -> Result<Name> {
    Name::new(format!("{SOURCES}/{run}"))
}

/// [`SchemaApplier`] and [`Restorer`] that bring the schema and the rows of another database: of
/// one moment of it, at which it is held from the schema until the last row.
///
/// Its schema and the fingerprints of its rows, as they are when they leave it, are in the store
/// until the new database is finished; its rows never are.
///
/// *Repeats:* a run whose program ended before the rows were there cannot go on, for the moment
/// is gone: the call is a refusal, and the run goes back.
pub struct PgRefresh {
    pub(crate) source: Source,
    /// Which database that is, as the plan pinned it.
    pub(crate) from: Identity,
    /// Puts the rows in their place; its own store is that of the project.
    pub(crate) restorer: PgRestorer,
    /// The old database, whose owners and privileges stay.
    pub(crate) target: Identity,
    /// Nothing, until the source is held.
    pub(crate) held: Mutex<Option<Held>>,
}

impl PgRefresh {
    /// Removes what is in `store` of the source of `run`. It is needed until the new database is
    /// finished, and no longer.
    ///
    /// *Repeats:* nothing is left to remove. *Destroys:* no copy of any row.
    ///
    /// # Errors
    /// The store could not be written.
    pub async fn forget(store: &Store, run: &RunId) -> Result<()> {
        let shelf = Shelf::new(store.below(&folder(run)?));
        for found in shelf.list().await? {
            shelf.clear(&found.id).await?;
        }
        for stored in store.list(&folder(run)?).await? {
            store.delete(&stored.name).await?;
        }
        Ok(())
    }

    fn store(&self, run: &RunId) -> Result<Store> {
        Ok(self.restorer.store.below(&folder(run)?))
    }

    /// The restorer of what the source holds for `run`.
    fn restorer_for(&self, run: &RunId) -> Result<PgRestorer> {
        Ok(PgRestorer {
            store: self.store(run)?,
            ..self.restorer.clone()
        })
    }

    /// What is in the store for `run`, if anything is.
    async fn stored(&self, run: &RunId) -> Result<Option<BackupId>> {
        let shelf = Shelf::new(self.store(run)?);
        Ok(shelf.list().await?.into_iter().next().map(|found| found.id))
    }

    /// Holds the source, and stores everything but its rows.
    async fn hold(&self, ctx: &Ctx) -> Result<Held> {
        if self.stored(&ctx.run).await?.is_some() {
            return Err(Error::refused(
                "the source is no longer held at the moment at which its schema was read, for the \
                 program that held it has ended",
            )
            .hint("once the run has gone back, run again"));
        }
        let restorer = &self.restorer;
        let backup = PgBackup::new(
            self.source.endpoint.clone(),
            self.store(&ctx.run)?,
            restorer.options.clone(),
            restorer.tools.clone(),
            restorer.environment.clone(),
        );
        let rules = &self.source.rules;
        let carry = Carry {
            chooser: Some(&self.source),
            // Where anything is masked, what was not said is not copied.
            large_objects: rules.large_objects.unwrap_or(rules.masks.is_empty()),
            privileges: rules.privileges,
        };
        let id = BackupId::generate();
        let holding = backup.hold(ctx, &self.from, &id, carry);
        let title = "hold the source at one moment and read its schema";
        ctx.step("source", title, holding).await
    }

    /// Gives the objects of `db` the owners and privileges that they have in the target.
    async fn privileges(&self, ctx: &Ctx, db: &Identity) -> Result<()> {
        let endpoint = &self.restorer.endpoint;
        let old = Session::open_at(endpoint, &self.target, ctx).await?;
        let old = old.only_read().await?;
        let owner = database_facts(&old, DatabaseKey::Current).await?.owner;
        let new = Session::open_at(endpoint, db, ctx).await?;
        privileges::follow(ctx, &old, &new, &owner, &self.restorer.options).await?;
        old.close().await;
        new.close().await;
        Ok(())
    }

    /// Compares every row of `db` with what left the source.
    async fn prove(&self, ctx: &Ctx, db: &Identity, id: &BackupId) -> Result<()> {
        let restorer = self.restorer_for(&ctx.run)?;
        let report = restorer.differences(ctx, db, id, &|_| false).await?;
        if report.differing.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Mismatch,
            format!(
                "{db} does not hold the rows that left the source: {}",
                report.differing.join("; ")
            ),
        ))
    }
}

#[async_trait]
impl SchemaApplier for PgRefresh {
    async fn look(&self, ctx: &Ctx, db: &Identity) -> Result<SchemaState> {
        recorded(&self.restorer.endpoint, ctx, db).await
    }

    async fn apply(&self, ctx: &Ctx, db: &Identity, _: &BackupId) -> Result<SchemaApplied> {
        let mut held = self.held.lock().await;
        let source = match &mut *held {
            Some(source) => source,
            nothing => nothing.insert(self.hold(ctx).await?),
        };
        let store = self.store(&ctx.run)?;
        if self.source.rules.privileges {
            let session = Session::open_at(&self.restorer.endpoint, db, ctx).await?;
            require_roles(&session, &store, source.manifest()).await?;
            session.close().await;
        }
        let schema = PgBackupSchema {
            endpoint: self.restorer.endpoint.clone(),
            store,
            rows_follow: true,
        };
        let wanted = |statement: &str| !statement.starts_with(LEFT_OUT);
        let id = &source.manifest().id;
        let applied = schema.apply_those(ctx, db, id, wanted).await?;
        Ok(SchemaApplied {
            migration: migration_version(source.session()).await?,
            ..applied
        })
    }
}

#[async_trait]
impl Restorer for PgRefresh {
    /// Nothing is known of the rows before they are there.
    async fn outline(&self, _: &Ctx, _: &Identity, _: &BackupId) -> Result<RestoreOutline> {
        Ok(RestoreOutline::default())
    }

    async fn restore(&self, ctx: &Ctx, db: &Identity, _: &BackupId) -> Result<RestoreReport> {
        let held = match self.held.lock().await.take() {
            Some(held) => held,
            None => self.hold(ctx).await?,
        };
        let id = held.manifest().id.clone();
        let restorer = self.restorer_for(&ctx.run)?;
        let chooser = Arc::new(self.source.clone());
        restorer.stream(ctx, db, held, Some(chooser)).await?;
        let proving = self.prove(ctx, db, &id);
        let title = "compare every row with what left the source";
        ctx.step("prove", title, proving).await?;
        let manifest = Shelf::new(self.store(&ctx.run)?).manifest(&id).await?;
        Ok(RestoreReport {
            tables: manifest.tables.len() as u64,
            rows: manifest.tables.iter().map(|t| t.rows).sum(),
            large_objects: manifest.large_objects.count,
            left_out: Vec::new(),
        })
    }

    async fn finish(&self, ctx: &Ctx, db: &Identity, _: &BackupId) -> Result<()> {
        // The last thing that is done is to remove what this needs.
        let Some(id) = self.stored(&ctx.run).await? else {
            return Ok(());
        };
        let restorer = self.restorer_for(&ctx.run)?;
        restorer.finish(ctx, db, &id).await?;
        if restorer.own_schema && !self.source.rules.privileges {
            self.privileges(ctx, db).await?;
        }
        Self::forget(&self.restorer.store, &ctx.run).await
    }
}
