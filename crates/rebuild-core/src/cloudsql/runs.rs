//! On-demand backup runs of an instance
//! (<https://cloud.google.com/sql/docs/postgres/backup-recovery/backing-up>).

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use google_cloud_gax::error::Error as ApiError;
use google_cloud_sql_v1::model::{BackupRun, SqlBackupRunStatus as Status};
use google_cloud_wkt::Timestamp;

use super::CloudSql;
use super::operation::goes_on;
use super::taken::Taken;
use crate::error::{Error, ErrorKind, Result, clean};
use crate::event::Ctx;
use crate::google::{GoogleApi, Seen};
use crate::model::{BackupId, InstanceBackupFacts};

/// What is written on the run that belongs to a backup. By it, it is found again.
pub(super) fn description(id: &BackupId) -> String {
    format!("rebuild {id}")
}

/// A status as the API writes it.
pub(super) fn status(run: &BackupRun) -> String {
    clean(run.status.name().unwrap_or("unknown to this program"))
}

/// True for a run that has ended well, or may yet.
pub(super) fn is_hopeful(run: &BackupRun) -> bool {
    matches!(
        run.status,
        Status::Enqueued | Status::Overdue | Status::Running | Status::Successful
    )
}

pub(super) fn when(time: Option<&Timestamp>) -> Option<String> {
    time.map(|time| String::from(*time))
}

pub(super) fn facts(run: &BackupRun) -> InstanceBackupFacts {
    InstanceBackupFacts {
        id: run.id,
        status: status(run),
        kind: clean(run.r#type.name().unwrap_or_default()),
        began: when(run.start_time.as_ref()),
        bytes: run.max_chargeable_bytes,
        description: clean(&run.description),
    }
}

impl CloudSql {
    /// The newest backup runs.
    ///
    /// # Errors
    /// The API could not be asked.
    pub(super) async fn backup_runs(&self, ctx: &Ctx) -> Result<Vec<BackupRun>> {
        let what = format!("could not list the backups of instance {}", self.name());
        let list = || self.all_runs();
        self.google().ask(ctx, GoogleApi::Sql, &what, list).await
    }

    async fn all_runs(&self) -> Result<Vec<BackupRun>, ApiError> {
        let (mut runs, mut page) = (Vec::new(), String::new());
        loop {
            let list = self.runs.list().set_project(&self.name().project);
            let list = list.set_instance(&self.name().instance);
            let list = list.set_max_results(100).set_page_token(&page);
            let answer = match list.send().await {
                // An instance that is not there has none.
                Err(e) if e.http_status_code() == Some(404) => return Ok(runs),
                answered => answered?,
            };
            runs.extend(answer.items);
            page = answer.next_page_token;
            if page.is_empty() {
                return Ok(runs);
            }
        }
    }

    /// The run that belongs to a backup, if there is one; one that has ended well rather than another.
    pub(super) async fn run_of(&self, ctx: &Ctx, id: &BackupId) -> Result<Option<BackupRun>> {
        Ok(self.runs_of(ctx, id).await?.into_iter().next())
    }

    /// The same with every attempt.
    async fn runs_of(&self, ctx: &Ctx, id: &BackupId) -> Result<Vec<BackupRun>> {
        let wanted = description(id);
        let mut found = self.backup_runs(ctx).await?;
        found.retain(|run| run.description == wanted);
        found.sort_by_key(|run| (run.status != Status::Successful, !is_hopeful(run)));
        Ok(found)
    }

    /// Takes a backup of the whole instance, and waits until it has ended well.
    ///
    /// *Repeats:* one that belongs to the same backup is waited for, or taken for it. *Destroys:* nothing.
    ///
    /// # Errors
    /// It failed, with the API's words; it did not end within `limit`, and goes on; the API refused.
    pub(super) async fn back_up(
        &self,
        ctx: &Ctx,
        id: &BackupId,
        limit: Duration,
    ) -> Result<BackupRun> {
        let what = format!("a backup of instance {}", self.name());
        let wanted = description(id);
        let begin = || async {
            let known = self.all_runs().await?;
            if known
                .iter()
                .any(|r| r.description == wanted && is_hopeful(r))
            {
                return Ok(());
            }
            let run = BackupRun::new().set_description(&wanted);
            let insert = self.runs.insert().set_project(&self.name().project);
            let insert = insert.set_instance(&self.name().instance).set_body(run);
            insert.send().await.map(|_| ())
        };
        let failed = format!("could not begin {what}");
        self.when_free(ctx, &failed, limit, begin).await?;
        let known = AtomicI64::new(0);
        let look = || async {
            let Some(run) = self.run_of(ctx, id).await? else {
                return Ok(Seen::NotYet("it is not in the list yet".to_owned()));
            };
            known.store(run.id, Ordering::Relaxed);
            if is_hopeful(&run) && run.status != Status::Successful {
                return Ok(Seen::NotYet(status(&run).to_lowercase()));
            }
            Ok(Seen::Done(run))
        };
        let waited = self.google().wait(ctx, &what, limit, look).await;
        let run = waited.map_err(|e| goes_on(e, &self.look_at(known.load(Ordering::Relaxed))))?;
        let taken = Taken::Run(Box::new(run.clone()));
        match taken.complaints().join("; ") {
            none if none.is_empty() => {
                taken.warn_of_unknown_size(ctx);
                Ok(run)
            }
            why => Err(Error::new(ErrorKind::Server, format!("{what}: failed"))
                .caused_by(Error::new(ErrorKind::Server, why))),
        }
    }

    /// The command that looks at a run; one without a number is not in the list yet.
    fn look_at(&self, run: i64) -> String {
        let name = self.name();
        let (project, instance) = (&name.project, &name.instance);
        match run {
            0 => format!("gcloud sql backups list --instance {instance} --project {project}"),
            run => format!(
                "gcloud sql backups describe {run} --instance {instance} --project {project}"
            ),
        }
    }

    /// Deletes the runs that belong to a backup.
    ///
    /// *Repeats:* one that is gone is no error. *Destroys:* those copies of the instance.
    ///
    /// # Errors
    /// The API refused, or could not be asked.
    pub(super) async fn delete_runs(
        &self,
        ctx: &Ctx,
        id: &BackupId,
        limit: Duration,
    ) -> Result<()> {
        for run in self.runs_of(ctx, id).await? {
            let what = format!("could not delete backup run {}", run.id);
            let delete = || async {
                let delete = self.runs.delete().set_project(&self.name().project);
                let delete = delete.set_instance(&self.name().instance).set_id(run.id);
                match delete.send().await {
                    Err(e) if e.http_status_code() == Some(404) => Ok(None),
                    answered => answered.map(|operation| Some(operation.name)),
                }
            };
            if let Some(operation) = self.when_free(ctx, &what, limit, delete).await? {
                self.wait_for(ctx, &what, &operation, limit).await?;
            }
        }
        Ok(())
    }
}
