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
    let store = Store::open(url.as_str(), environment).await?;
    let options = RowOptions::default();
    let backup = PgBackup::new(
        source.clone(),
        store.clone(),
        options.clone(),
        None,
        environment.clone(),
    );
    let id = BackupId::generate();
    let taking = backup.take(&ctx, &from, &id, BackupMode::Full);
    ctx.step("backup", "back up schema and rows", taking)
        .await?;
    let checking = backup.check(&ctx, &id);
    let (summary, verdict) = ctx
        .step("check-backup", "read the backup back", checking)
        .await?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, scratch_database};

    #[tokio::test]
    async fn a_database_is_not_copied_onto_itself_or_another() {
        let cluster = cluster().await.expect("a server");
        let source = scratch_database(&cluster).await.expect("a database");
        let other = scratch_database(&cluster).await.expect("a database");
        let folder = tempfile::tempdir().expect("a folder");
        let environment = Environment::from_process();
        for (target, why) in [(&source, "onto itself"), (&other, "exists already")] {
            let copied = copy(
                &source,
                target,
                "postgres",
                folder.path(),
                &environment,
                Events::none(),
                CancellationToken::new(),
            );
            let e = copied.await.expect_err("refused");
            assert!(e.is_refusal(), "{e:?}");
            assert!(e.to_string().contains(why), "{e:?}");
        }
        let mut left = std::fs::read_dir(folder.path()).expect("a folder");
        assert!(left.next().is_none(), "no backup was taken");
    }
}
