//! `copy`: one database to another server or name, without a spec.

use std::path::{Path, PathBuf};

use super::into::{Bringers, Destination};
use crate::error::{Error, Result};
use crate::event::{Ctx, Events};
use crate::model::{BackupId, Endpoint, Identity, RunId, Verdict};
use crate::postgres::{
    Carry, DatabaseKey, Environment, PgBackup, RestoreChoice, RowOptions, Session, application,
    database_facts, find_database,
};
use crate::store::Store;
use crate::traits::{Backup, BackupMode, ProvenBackup};
use tokio_util::sync::CancellationToken;

/// Copies the database at `source` into a new database at `target`, and compares every row.
/// `target`'s own database must not exist yet; its server is reached through `maintenance`.
///
/// The rows go from server to server, all as they were at one moment; the schema and the large
/// objects go by way of a temporary folder. With a `folder` everything goes by way of a proven
/// backup there, which stays.
///
/// *Repeats:* refuses what an earlier call made. One that was killed leaves a database that says
/// in its comment that it is being made; the next call refuses its name until it is dropped.
/// *Destroys:* nothing. What was made is removed if anything fails, but for a database
/// whose comparison fails: the verdict tells of it.
///
/// # Errors
/// Both are the same database; the target exists; either server failed; the backup is not whole.
pub async fn copy(
    source: &Endpoint,
    target: &Endpoint,
    maintenance: &str,
    folder: Option<&Path>,
    environment: &Environment,
    events: Events,
    stop: CancellationToken,
) -> Result<(Identity, Verdict)> {
    let mut ctx = Ctx::new(RunId::generate(), events);
    ctx.stop = stop;
    let copying = Copying::begin(&ctx, source, target, maintenance, environment).await?;
    match folder {
        Some(folder) => copying.by_backup(&ctx, folder).await,
        None => copying.straight(&ctx).await,
    }
}

/// A copy that may be made.
pub(super) struct Copying<'a> {
    pub(super) source: &'a Endpoint,
    pub(super) from: Identity,
    /// The target's server, at its maintenance database.
    pub(super) server: Endpoint,
    pub(super) name: &'a str,
    pub(super) options: RowOptions,
    /// The folder of pg_dump and pg_restore, if they are not to be looked for.
    pub(super) tools: Option<PathBuf>,
    /// The comment of the copy, if it is not the source's.
    pub(super) mark: Option<String>,
    pub(super) environment: &'a Environment,
}

impl<'a> Copying<'a> {
    /// A copy of the database at `source` as the one at `target`.
    ///
    /// # Errors
    /// Both are the same database; the target exists; either server failed.
    pub(super) async fn begin(
        ctx: &Ctx,
        source: &'a Endpoint,
        target: &'a Endpoint,
        maintenance: &str,
        environment: &'a Environment,
    ) -> Result<Self> {
        let session = Session::open(source, &application(ctx)).await?;
        let from = database_facts(&session, DatabaseKey::Current)
            .await?
            .identity;
        session.close().await;
        let server = target.with_database(maintenance);
        let session = Session::open(&server, &application(ctx)).await?;
        let taken = find_database(&session, DatabaseKey::Name(&target.database)).await?;
        session.close().await;
        if let Some(taken) = taken {
            let what = if taken.is_same_thing(&from) {
                format!("{from} cannot be copied onto itself")
            } else {
                format!("{taken} exists already, and a copy never replaces anything")
            };
            return Err(Error::refused(what).hint("give the copy a name that is free"));
        }
        Ok(Self {
            source,
            from,
            server,
            name: &target.database,
            options: RowOptions::default(),
            tools: None,
            mark: None,
            environment,
        })
    }

    async fn straight(self, ctx: &Ctx) -> Result<(Identity, Verdict)> {
        let folder = crate::private::folder()?;
        let store = store_in(folder.path(), self.environment).await?;
        self.by_way_of(ctx, store, None).await
    }

    /// Makes it, with rows that `bringers` bring.
    pub(super) async fn shared(
        self,
        ctx: &Ctx,
        bringers: Bringers<'_>,
    ) -> Result<(Identity, Verdict)> {
        let folder = crate::private::folder()?;
        let store = store_in(folder.path(), self.environment).await?;
        self.by_way_of(ctx, store, Some(bringers)).await
    }

    /// Makes it, with everything but the rows by way of `store`, where that stays.
    pub(super) async fn by_way_of(
        self,
        ctx: &Ctx,
        store: Store,
        bringers: Option<Bringers<'_>>,
    ) -> Result<(Identity, Verdict)> {
        let id = BackupId::generate();
        let backup = self.backup(&store);
        let holding = backup.hold(ctx, &self.from, &id, Carry::ALL);
        let title = "hold the source at one moment and read its schema";
        let held = ctx.step("source", title, holding).await?;
        let destination = self.destination(store);
        destination
            .copy(ctx, held, self.name, self.mark, bringers)
            .await
    }

    async fn by_backup(self, ctx: &Ctx, folder: &Path) -> Result<(Identity, Verdict)> {
        let store = store_in(folder, self.environment).await?;
        let id = BackupId::generate();
        let backup = self.backup(&store);
        let taking = backup.take(ctx, &self.from, &id, BackupMode::Full);
        ctx.step("backup", "back up schema and rows", taking)
            .await?;
        let checking = backup.check(ctx, &id);
        let (summary, verdict) = ctx
            .step("check-backup", "read the backup back", checking)
            .await?;
        ProvenBackup::accept(summary, &verdict, &self.from)?;
        let everything = RestoreChoice::default();
        let destination = self.destination(store);
        destination.restore(ctx, &id, self.name, everything).await
    }

    fn backup(&self, store: &Store) -> PgBackup {
        PgBackup::new(
            self.source.clone(),
            store.clone(),
            self.options.clone(),
            self.tools.clone(),
            self.environment.clone(),
        )
    }

    fn destination(&self, store: Store) -> Destination {
        Destination {
            maintenance: self.server.clone(),
            store,
            options: self.options.clone(),
            tools: self.tools.clone(),
            environment: self.environment.clone(),
            // What is in the store was put there a moment ago.
            precheck: false,
        }
    }
}

async fn store_in(folder: &Path, environment: &Environment) -> Result<Store> {
    let url = url::Url::from_file_path(std::path::absolute(folder)?)
        .map_err(|()| Error::usage(format!("{} is not a folder", folder.display())))?;
    Store::open(url.as_str(), environment).await
}

#[cfg(test)]
mod tests;
