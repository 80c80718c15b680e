//! `backups check --restore`: a backup that is proven by restoring it.

#[cfg(test)]
mod tests;

use std::path::Path;

use super::into::Destination;
use super::{Project, compose};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Outcome, Verdict};
use crate::postgres::{
    ClusterOptions, LocalCluster, Manifest, RestoreChoice, Session, application, make_surroundings,
};
use crate::traits::{Backup, BackupMode, BackupSummary};

/// The name of the database on the throwaway server.
const NAME: &str = "restored";

/// What the throwaway server is told. The comparison holds all tables at one moment, which needs a
/// lock for each; nobody reads its WAL.
const SETTINGS: [&str; 4] = [
    "max_locks_per_transaction = 1024",
    "max_wal_size = '4GB'",
    "wal_level = minimal",
    "max_wal_senders = 0",
];

impl Project {
    /// Reads a backup back as [`check_backup`](Self::check_backup) does, restores it into a
    /// throwaway server on this machine, and compares every row, sequence and index there. The
    /// roles and tablespaces that it needs are made on that server first.
    ///
    /// The server's programs are those in `server_programs`, otherwise of what is installed the
    /// version nearest to the backup's. Its files are in the folder for temporary files
    /// (`TMPDIR`), and take as much room as the database.
    ///
    /// *Destroys:* nothing; the throwaway server goes in every case, also when this process ends.
    ///
    /// # Errors
    /// No server programs as new as the backup were found; the backup holds no rows; the store
    /// could not be read; the operator stopped. A backup that cannot be restored is a check that
    /// failed, and no error.
    pub async fn prove_backup(
        &self,
        id: &BackupId,
        server_programs: Option<&Path>,
    ) -> Result<(BackupSummary, Verdict)> {
        let options = ClusterOptions {
            bin_dir: server_programs.map(Path::to_path_buf),
            ..ClusterOptions::default()
        };
        self.prove_on(&self.ctx(), id, options).await
    }

    async fn prove_on(
        &self,
        ctx: &Ctx,
        id: &BackupId,
        mut options: ClusterOptions,
    ) -> Result<(BackupSummary, Verdict)> {
        let manifest = self.pg_backup().manifest(id).await?;
        if manifest.mode != BackupMode::Full {
            return Err(Error::refused(format!("backup {id} holds no rows"))
                .hint("check it without --restore"));
        }
        options.at_least = Some(manifest.server_version / 10_000);
        options.settings.extend(SETTINGS.map(str::to_owned));
        // Everything that is made belongs to this future, and goes with it.
        tokio::select! {
            biased;
            () = ctx.stop.cancelled() => {
                ctx.check_stop("the restore into a throwaway server")?;
                Err(Error::internal("a stop that is none"))
            }
            proved = self.prove(ctx, &manifest, &options) => proved,
        }
    }

    async fn prove(
        &self,
        ctx: &Ctx,
        manifest: &Manifest,
        options: &ClusterOptions,
    ) -> Result<(BackupSummary, Verdict)> {
        // First, so that somebody without its programs is told at once.
        let starting = LocalCluster::start(options);
        let cluster = ctx
            .step("server", "start a throwaway server", starting)
            .await?;
        let backup = self.pg_backup();
        let checking = backup.check(ctx, &manifest.id);
        let (summary, mut verdict) = ctx
            .step("check-backup", "read the backup back", checking)
            .await?;
        let looked_at = format!("into a throwaway server of PostgreSQL {}", cluster.major());
        if !verdict.passed() {
            let why = "the backup is damaged".to_owned();
            verdict.add("restore", looked_at, Outcome::NotRun(why));
            return Ok((summary, verdict));
        }
        match self.restore_on(ctx, manifest, &cluster).await {
            Ok(compared) => {
                verdict.add("restore", looked_at, Outcome::Passed);
                for mut check in compared.checks {
                    check.name = format!("restored {}", check.name);
                    verdict.checks.push(check);
                }
            }
            Err(e) if says_something_of_the_backup(&e) => {
                verdict.add("restore", looked_at, Outcome::Failed(vec![e.chain()]));
            }
            Err(e) => return Err(e),
        }
        Ok((summary, verdict))
    }

    async fn restore_on(
        &self,
        ctx: &Ctx,
        manifest: &Manifest,
        cluster: &LocalCluster,
    ) -> Result<Verdict> {
        let maintenance = cluster.endpoint("postgres");
        let session = Session::open(&maintenance, &application(ctx)).await?;
        make_surroundings(&session, &self.store, manifest).await?;
        session.close().await;
        let destination = Destination {
            maintenance,
            store: self.store.clone(),
            options: compose::row_options(&self.spec),
            tools: compose::tools(&self.spec),
            environment: self.environment.clone(),
            precheck: false,
        };
        let everything = RestoreChoice::default();
        let restoring = destination.restore(ctx, &manifest.id, NAME, everything);
        restoring.await.map(|(_, verdict)| verdict)
    }
}

/// True for what a restore ends with if the backup cannot be restored; anything else means that
/// it is not known whether it can.
fn says_something_of_the_backup(e: &Error) -> bool {
    matches!(
        e.kind(),
        ErrorKind::Server | ErrorKind::Corrupt | ErrorKind::Refused | ErrorKind::Program
    )
}
