//! `copy`: one database to another server or name, without a spec.

use std::path::Path;

use super::into::Destination;
use crate::error::{Error, Result};
use crate::event::{Ctx, Events};
use crate::model::{BackupId, Endpoint, Identity, RunId, Verdict};
use crate::postgres::{
    DatabaseKey, Environment, PgBackup, RestoreChoice, RowOptions, Session, application,
    database_facts, find_database,
};
use crate::store::Store;
use crate::traits::{Backup, BackupMode, ProvenBackup};
use tokio_util::sync::CancellationToken;

/// Copies the database at `source` into a new database at `target`, by way of a proven backup in
/// `folder`, and compares every row. `target`'s own database must not exist yet; its server is
/// reached through `maintenance`.
///
/// *Destroys:* nothing. What was made is removed if anything fails; the backup stays in `folder`.
///
/// # Errors
/// Both are the same database; the target exists; either server failed; the backup is not whole.
pub async fn copy(
    source: &Endpoint,
    target: &Endpoint,
    maintenance: &str,
    folder: &Path,
    environment: &Environment,
    events: Events,
    stop: CancellationToken,
) -> Result<(Identity, Verdict)> {
    let mut ctx = Ctx::new(RunId::generate(), events);
    ctx.stop = stop;
    let session = Session::open(source, &application(&ctx)).await?;
    let from = database_facts(&session, DatabaseKey::Current)
        .await?
        .identity;
    session.close().await;
    let server = target.with_database(maintenance);
    let session = Session::open(&server, &application(&ctx)).await?;
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
    let url = url::Url::from_file_path(std::path::absolute(folder)?)
        .map_err(|()| Error::usage(format!("{} is not a folder", folder.display())))?;
    let store = Store::open(url.as_str()).await?;
    let options = RowOptions::default();
    let backup = PgBackup::new(
        source.clone(),
        store.clone(),
        options.clone(),
        None,
        environment.clone(),
    );
    let id = BackupId::generate();
    backup.take(&ctx, &from, &id, BackupMode::Full).await?;
    let (summary, verdict) = backup.check(&ctx, &id).await?;
    ProvenBackup::accept(summary, &verdict, &from)?;
    let destination = Destination {
        maintenance: server,
        store,
        options,
        tools: None,
        environment: environment.clone(),
    };
    let everything = RestoreChoice::default();
    destination
        .restore(&ctx, &id, &target.database, everything)
        .await
}
