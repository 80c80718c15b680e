//! A backup, or a database, into a new database that stands on its own.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Endpoint, Identity, Verdict};
use crate::postgres::{
    DatabaseKey, Environment, Held, Manifest, PgBackup, PgBackupSchema, PgProvision, PgRestorer,
    PgVerifier, ProvisionOptions, RestoreChoice, RowOptions, Session, TableEntry, TargetLock,
    application, find_database, require_roles, server_facts,
};
use crate::spec::CheckSpec;
use crate::store::Store;
use crate::traits::{
    Lock, Provision, ProvisionRequest, Restorer, SchemaApplier, Verifier, VerifyRequest,
};
use crate::work::Crew;

/// How long the lock is asked for that a cut connection held, and how often.
const AGAIN_WITHIN: Duration = Duration::from_secs(10);
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// A server to restore to, and how.
pub(super) struct Destination {
    /// The server, at its maintenance database.
    pub(super) maintenance: Endpoint,
    /// Where the backup is.
    pub(super) store: Store,
    pub(super) options: RowOptions,
    pub(super) tools: Option<PathBuf>,
    pub(super) environment: Environment,
    /// Whether the rows of a backup are read and compared with their checksums before anything is made.
    pub(super) precheck: bool,
}

/// Removes `made`, which could not be filled for the reason `why`: on a new connection if the one that held the lock
/// was lost, for it is known by its oid and by its mark. If it cannot be removed either, the error says that
/// it is left.
pub(super) async fn removed(
    ctx: &Ctx,
    (lock, provision): (&TargetLock, &PgProvision),
    made: &Identity,
    why: Error,
) -> Error {
    let removing = async {
        locked_again(ctx, lock).await?;
        provision.discard(ctx, made).await
    };
    match removing.await {
        Ok(()) => why,
        Err(left) => {
            let left = left.chain();
            ctx.events
                .warn(format!("{made} could not be removed: {left}"));
            why.context(format!(
                "{made} is unusable and could not be removed ({left}); drop it before you go on"
            ))
        }
    }
}

/// Takes the lock, if it is not held. The server may not have noticed yet that who held it is gone, or may be on its
/// way back.
async fn locked_again(ctx: &Ctx, lock: &TargetLock) -> Result<()> {
    let until = Instant::now() + AGAIN_WITHIN;
    loop {
        match lock.acquire(ctx).await {
            Err(_) if Instant::now() < until => tokio::time::sleep(AGAIN_AFTER).await,
            done => return done,
        }
    }
}

/// Who loads the rows, and the patterns of the tables whose rows they are; without any, all.
pub(super) struct Loaders<'a> {
    pub(super) crew: &'a dyn Crew,
    pub(super) tables: &'a [String],
}

/// Who brings the rows from server to server, and the store in which they find their work.
pub(super) struct Bringers<'a> {
    pub(super) crew: &'a dyn Crew,
    pub(super) store: &'a Store,
}

/// Where the rows are.
enum Rows<'a> {
    /// In the backup; those that are chosen. They are loaded by somebody else, or by us.
    Stored(RestoreChoice, Option<Loaders<'a>>),
    /// In the database they are brought from, by somebody else or by us.
    Held(Box<Held>, Option<Bringers<'a>>),
}

impl Destination {
    /// Makes a database `name` like the one that was backed up, restores its schema and the rows
    /// that `choice` picks into it, and compares every row. Before anything is made, the backup's
    /// files are looked at, and read where that is asked for; its rows are compared with their
    /// checksums as they are loaded as well. What was made is removed if anything
    /// fails, but for a database whose comparison fails: the verdict tells of it.
    pub(super) async fn restore(
        &self,
        ctx: &Ctx,
        id: &BackupId,
        name: &str,
        choice: RestoreChoice,
    ) -> Result<(Identity, Verdict)> {
        self.restore_with(ctx, id, name, choice, None).await
    }

    /// As [`restore`](Self::restore), with rows that `loaders` load.
    pub(super) async fn restore_by(
        &self,
        ctx: &Ctx,
        id: &BackupId,
        name: &str,
        choice: RestoreChoice,
        loaders: Loaders<'_>,
    ) -> Result<(Identity, Verdict)> {
        self.restore_with(ctx, id, name, choice, Some(loaders))
            .await
    }

    async fn restore_with(
        &self,
        ctx: &Ctx,
        id: &BackupId,
        name: &str,
        choice: RestoreChoice,
        loaders: Option<Loaders<'_>>,
    ) -> Result<(Identity, Verdict)> {
        let takes = |t: &TableEntry| choice.takes(t);
        let manifest = self.backup().readable(id, takes).await?;
        if !choice.tables.is_empty() && !manifest.tables.iter().any(takes) {
            return Err(
                Error::usage(format!("no table of backup {id} is called like that"))
                    .hint(format!("see its tables with: rebuild backups show {id}")),
            );
        }
        choice.require_some(&manifest)?;
        let rows = Rows::Stored(choice, loaders);
        self.make(ctx, name, &manifest, rows).await
    }

    /// As [`restore`](Self::restore), with the rows straight from the database that is `held`;
    /// everything else is in the store. The new database has the comment `mark`, if there is one, in the
    /// place of the other's. The rows are brought by `bringers`, or by this process.
    pub(super) async fn copy(
        &self,
        ctx: &Ctx,
        held: Held,
        name: &str,
        mark: Option<String>,
        bringers: Option<Bringers<'_>>,
    ) -> Result<(Identity, Verdict)> {
        let mut manifest = held.manifest().clone();
        if mark.is_some() {
            manifest.database.comment = mark;
        }
        let rows = Rows::Held(Box::new(held), bringers);
        self.make(ctx, name, &manifest, rows).await
    }

    async fn make(
        &self,
        ctx: &Ctx,
        name: &str,
        manifest: &Manifest,
        rows: Rows<'_>,
    ) -> Result<(Identity, Verdict)> {
        let session = Session::open(&self.maintenance, &application(ctx)).await?;
        let server = server_facts(&session).await?.system_identifier;
        require_roles(&session, &self.store, manifest).await?;
        let taken = find_database(&session, DatabaseKey::Name(name))
            .await?
            .is_some();
        session.close().await;
        match &rows {
            // A name that is taken is refused below, and needs no reading first.
            Rows::Stored(choice, _) if self.precheck && !taken => {
                let backup = self.backup();
                let takes = |t: &TableEntry| choice.takes(t);
                let reading = backup.require_chunks(ctx, manifest, takes);
                let title = "read the rows of the backup, and compare their checksums";
                ctx.step("precheck", title, reading).await?;
            }
            Rows::Stored(..) | Rows::Held(..) => {}
        }
        // One at a time on a server: there is no database yet whose lock could be taken.
        let nothing = Identity {
            server,
            name: name.to_owned(),
            uid: "0".to_owned(),
        };
        let lock = Arc::new(TargetLock::new(self.maintenance.clone(), nothing));
        lock.acquire(ctx).await?;
        let provision = PgProvision::new(
            self.maintenance.clone(),
            lock.clone(),
            ProvisionOptions::default(),
        )
        .modelled_on(manifest.database.clone());
        let request = ProvisionRequest {
            name: name.to_owned(),
            like: None,
        };
        let provisioning = provision.provision(ctx, &request);
        let db = ctx
            .step("provision", "make the database", provisioning)
            .await?;
        match self.fill(ctx, &db, &manifest.id, rows).await {
            Ok(verdict) => {
                provision.settle(ctx, &db, None).await?;
                lock.release(ctx).await?;
                Ok((db, verdict))
            }
            Err(e) => Err(removed(ctx, (&lock, &provision), &db, e).await),
        }
    }

    fn backup(&self) -> PgBackup {
        PgBackup::new(
            self.maintenance.clone(),
            self.store.clone(),
            self.options.clone(),
            self.tools.clone(),
            self.environment.clone(),
        )
    }

    async fn fill(
        &self,
        ctx: &Ctx,
        db: &Identity,
        id: &BackupId,
        rows: Rows<'_>,
    ) -> Result<Verdict> {
        let schema = PgBackupSchema {
            endpoint: self.maintenance.clone(),
            store: self.store.clone(),
            rows_follow: true,
        };
        let applying = schema.apply(ctx, db, id);
        ctx.step("schema", "apply the schema from the backup", applying)
            .await?;
        let choice = match &rows {
            Rows::Stored(choice, _) => choice.clone(),
            Rows::Held(..) => RestoreChoice::default(),
        };
        let restorer = PgRestorer {
            endpoint: self.maintenance.clone(),
            store: self.store.clone(),
            options: self.options.clone(),
            choice,
            own_schema: true,
            tools: self.tools.clone(),
            environment: self.environment.clone(),
        };
        Self::fill_rows(ctx, &restorer, db, id, rows).await?;
        let finishing = restorer.finish(ctx, db, id);
        let title = "refresh materialised views and gather statistics";
        ctx.step("finish", title, finishing).await?;
        let checks = vec![
            CheckSpec::Content { except: Vec::new() },
            CheckSpec::Sequences {},
            CheckSpec::Indexes {},
        ];
        let verifier = PgVerifier::new(
            self.maintenance.clone(),
            checks,
            Arc::new(restorer),
            self.options.jobs,
        )?;
        let request = VerifyRequest {
            db: db.clone(),
            backup: Some(id.clone()),
            live: false,
        };
        let verifying = verifier.verify(ctx, &request);
        ctx.step("verify", "compare every row", verifying).await
    }

    async fn fill_rows(
        ctx: &Ctx,
        restorer: &PgRestorer,
        db: &Identity,
        id: &BackupId,
        rows: Rows<'_>,
    ) -> Result<()> {
        match rows {
            Rows::Held(held, None) => {
                let bringing = restorer.stream(ctx, db, *held, None);
                ctx.step("rows", "bring the rows from server to server", bringing)
                    .await
            }
            Rows::Held(held, Some(Bringers { crew, store })) => {
                let bringing = Box::pin(restorer.stream_shared(ctx, db, *held, crew, store));
                let size = crew.size();
                let title = format!("bring the rows from server to server, by {size} workers");
                ctx.step("rows", &title, bringing).await
            }
            Rows::Stored(_, Some(Loaders { crew, tables })) => {
                let restoring = restorer.restore_shared(ctx, db, id, tables, crew);
                let title = format!("restore the rows, by {} workers", crew.size());
                ctx.step("restore", &title, restoring).await.map(drop)
            }
            Rows::Stored(_, None) => {
                let restoring = restorer.restore(ctx, db, id);
                ctx.step("restore", "restore the rows", restoring)
                    .await
                    .map(drop)
            }
        }
    }
}
