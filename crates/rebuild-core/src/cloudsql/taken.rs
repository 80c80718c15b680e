//! The copy that the service took with a backup: a run of the instance, or, once that instance is gone,
//! a backup that has outlived it
//! (<https://cloud.google.com/sql/docs/postgres/backup-recovery/backups#retained-backups>).

use std::time::Duration;

use google_cloud_sql_v1::model::backup::{SqlBackupState, SqlBackupType};
use google_cloud_sql_v1::model::{Backup, BackupRun, SqlBackupRunStatus, SqlBackupRunType};
use google_cloud_wkt::Timestamp;

use super::runs::{description, status, when};
use super::{CloudSql, InstanceCopy};
use crate::error::{Result, clean};
use crate::event::Ctx;
use crate::google::GoogleApi;
use crate::model::BackupId;

/// The service's copy, wherever it is now.
#[derive(Debug)]
pub(super) enum Taken {
    /// A run of the instance that is there.
    Run(Box<BackupRun>),
    /// A backup whose instance is gone.
    Kept(Box<Backup>),
}

/// What both kinds of copy say of themselves.
struct Facts {
    name: String,
    state: String,
    successful: bool,
    /// Why it failed.
    why: Option<String>,
    on_demand: bool,
    began: Option<Timestamp>,
    ended: bool,
    bytes: Option<i64>,
    outlived: bool,
}

impl Taken {
    fn facts(&self) -> Facts {
        match self {
            Self::Run(run) => Facts {
                name: format!("backup run {}", run.id),
                state: status(run),
                successful: run.status == SqlBackupRunStatus::Successful,
                why: run.error.as_ref().map(|e| clean(&e.message)),
                on_demand: run.r#type == SqlBackupRunType::OnDemand,
                began: run.start_time,
                ended: run.end_time.is_some(),
                bytes: run.max_chargeable_bytes,
                outlived: false,
            },
            Self::Kept(kept) => {
                let interval = kept.backup_interval.as_ref();
                Facts {
                    name: clean(&kept.name),
                    state: clean(kept.state.name().unwrap_or("unknown to this program")),
                    successful: kept.state == SqlBackupState::Successful,
                    why: kept.error.as_ref().map(|e| clean(&e.message)),
                    on_demand: kept.r#type == SqlBackupType::OnDemand,
                    began: interval.and_then(|i| i.start_time),
                    ended: interval.is_some_and(|i| i.end_time.is_some()),
                    bytes: kept.max_chargeable_bytes,
                    outlived: kept.instance_deletion_time.is_some(),
                }
            }
        }
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        let facts = self.facts();
        let began = when(facts.began.as_ref()).unwrap_or_else(|| "an unknown time".to_owned());
        let size = match facts.bytes {
            Some(bytes) => format!("{bytes} bytes at most"),
            None => "of unknown size".to_owned(),
        };
        let outlived = match facts.outlived {
            true => ", which has outlived its instance",
            false => "",
        };
        format!(
            "{}: {}, of {began}, {size}{outlived}",
            facts.name, facts.state
        )
    }

    /// What does not let it be relied on.
    pub(super) fn complaints(&self) -> Vec<String> {
        let facts = self.facts();
        let name = &facts.name;
        let mut complaints = Vec::new();
        if !facts.successful {
            let why = facts.why.map(|why| format!(": {why}")).unwrap_or_default();
            complaints.push(format!("{name} is {}{why}", facts.state));
        }
        if !facts.on_demand {
            complaints.push(format!("{name} is not one that was asked for"));
        }
        if !facts.ended {
            complaints.push(format!("{name} does not say when it ended"));
        }
        if facts.bytes == Some(0) {
            complaints.push(format!("{name} is empty"));
        }
        complaints
    }

    /// Says so where the API does not tell a size. It has no other measure than what a backup is charged for
    /// at most, and need not tell that
    /// (<https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1/backupRuns#BackupRun>), so one
    /// without is not refused.
    pub(super) fn warn_of_unknown_size(&self, ctx: &Ctx) {
        let facts = self.facts();
        if facts.bytes.is_none() {
            ctx.events.warn(format!(
                "the API does not say how large {} is, so it is not known that it is not empty",
                facts.name
            ));
        }
    }

    /// What names it to a restore.
    pub(super) fn copy(&self) -> InstanceCopy {
        match self {
            Self::Run(run) => InstanceCopy::Run {
                instance: None,
                id: run.id,
            },
            Self::Kept(kept) => InstanceCopy::Kept(kept.name.clone()),
        }
    }
}

impl CloudSql {
    /// The copy that was taken with a backup, if there is one; one that has ended well rather than another,
    /// and one of the instance that is there rather than one that has outlived it.
    ///
    /// # Errors
    /// The API could not be asked.
    pub(super) async fn taken_with(&self, ctx: &Ctx, id: &BackupId) -> Result<Option<Taken>> {
        let run = self.run_of(ctx, id).await?;
        if let Some(run) = &run
            && run.status == SqlBackupRunStatus::Successful
        {
            return Ok(Some(Taken::Run(Box::new(run.clone()))));
        }
        let mut kept = self.kept_with(ctx, id).await?;
        kept.sort_by_key(|kept| kept.state != SqlBackupState::Successful);
        let whole = |kept: &Backup| kept.state == SqlBackupState::Successful;
        Ok(match (run, kept.into_iter().next()) {
            (Some(run), Some(kept)) if !whole(&kept) => Some(Taken::Run(Box::new(run))),
            (_, Some(kept)) => Some(Taken::Kept(Box::new(kept))),
            (run, None) => run.map(|run| Taken::Run(Box::new(run))),
        })
    }

    /// What a restore of the copy that was taken with a backup begins with, if there is one.
    ///
    /// # Errors
    /// The API could not be asked.
    pub async fn copy_taken_with(&self, ctx: &Ctx, id: &BackupId) -> Result<Option<InstanceCopy>> {
        Ok(self.taken_with(ctx, id).await?.map(|taken| taken.copy()))
    }

    /// Those in the list of the project that were taken with a backup. Of an instance that is there, the
    /// list has its runs as well.
    async fn kept_with(&self, ctx: &Ctx, id: &BackupId) -> Result<Vec<Backup>> {
        let wanted = description(id);
        let what = format!("could not list the backups of instance {}", self.name());
        let list = || self.all_kept();
        let mut kept = self.google().ask(ctx, GoogleApi::Sql, &what, list).await?;
        kept.retain(|kept| kept.description == wanted);
        Ok(kept)
    }

    /// Deletes every copy that was taken with a backup, also of attempts that failed.
    ///
    /// *Repeats:* one that is gone is no error. *Destroys:* those copies of the instance.
    ///
    /// # Errors
    /// The API refused, or could not be asked.
    pub(super) async fn delete_taken(
        &self,
        ctx: &Ctx,
        id: &BackupId,
        limit: Duration,
    ) -> Result<()> {
        self.delete_runs(ctx, id, limit).await?;
        for kept in self.kept_with(ctx, id).await? {
            self.delete_kept(ctx, &kept.name, limit).await?;
        }
        Ok(())
    }

    /// Deletes a backup by its name in the list of the project.
    ///
    /// *Repeats:* one that is gone is no error. *Destroys:* that copy of an instance, for good.
    ///
    /// # Errors
    /// The API refused, or could not be asked.
    pub(super) async fn delete_kept(&self, ctx: &Ctx, name: &str, limit: Duration) -> Result<()> {
        let what = format!("the deletion of {name}");
        let delete = || async {
            match self.kept.delete_backup().set_name(name).send().await {
                Err(e) if e.http_status_code() == Some(404) => Ok(None),
                answered => answered.map(|operation| Some(operation.name)),
            }
        };
        let failed = format!("could not begin {what}");
        if let Some(operation) = self.when_free(ctx, &failed, limit, delete).await? {
            self.wait_for(ctx, &what, &operation, limit).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use google_cloud_sql_v1::model::OperationError;

    use super::*;

    fn run() -> BackupRun {
        let time = || Timestamp::clamp(1_763_771_000, 0);
        BackupRun::new()
            .set_id(17)
            .set_status(SqlBackupRunStatus::Successful)
            .set_type(SqlBackupRunType::OnDemand)
            .set_start_time(time())
            .set_end_time(time())
            .set_max_chargeable_bytes(2048)
    }

    fn kept() -> Backup {
        let said = serde_json::json!({
            "name": "projects/shop/backups/b", "state": "SUCCESSFUL", "type": "ON_DEMAND",
            "backupInterval": {
                "startTime": "2025-11-22T02:00:00Z", "endTime": "2025-11-22T02:01:00Z",
            },
            "maxChargeableBytes": "2048", "instanceDeletionTime": "2025-11-23T02:00:00Z",
        });
        serde_json::from_value(said).expect("a backup")
    }

    #[test]
    fn what_is_missing_of_a_copy_is_told() {
        assert_eq!(Taken::Run(Box::new(run())).complaints(), [""; 0]);
        assert_eq!(Taken::Kept(Box::new(kept())).complaints(), [""; 0]);
        let disk = OperationError::new().set_message("the disk could not be copied");
        let mut endless = run();
        endless.end_time = None;
        for (run, why) in [
            (
                run()
                    .set_status(SqlBackupRunStatus::Failed)
                    .set_error(disk.clone()),
                "backup run 17 is FAILED: the disk could not be copied",
            ),
            (
                run().set_status("SOMETHING_NEW"),
                "backup run 17 is SOMETHING_NEW",
            ),
            (
                run().set_type(SqlBackupRunType::Automated),
                "backup run 17 is not one that was asked for",
            ),
            (endless, "backup run 17 does not say when it ended"),
            (run().set_max_chargeable_bytes(0), "backup run 17 is empty"),
        ] {
            assert_eq!(Taken::Run(Box::new(run)).complaints(), [why]);
        }
        let mut endless = kept();
        endless.backup_interval = None;
        let name = "projects/shop/backups/b";
        for (kept, why) in [
            (
                kept().set_state(SqlBackupState::Failed).set_error(disk),
                "is FAILED: the disk could not be copied",
            ),
            (
                kept().set_type(SqlBackupType::Final),
                "is not one that was asked for",
            ),
            (endless, "does not say when it ended"),
            (kept().set_max_chargeable_bytes(0), "is empty"),
        ] {
            assert_eq!(
                Taken::Kept(Box::new(kept)).complaints(),
                [format!("{name} {why}")]
            );
        }
    }

    #[test]
    fn a_copy_says_what_it_is_and_whether_its_instance_is_gone() {
        let taken = Taken::Run(Box::new(run())).describe();
        assert!(taken.starts_with("backup run 17: SUCCESSFUL, of 2025-11-"));
        assert!(taken.ends_with(", 2048 bytes at most"), "{taken}");
        let mut sizeless = run();
        sizeless.max_chargeable_bytes = None;
        let sizeless = Taken::Run(Box::new(sizeless));
        assert!(sizeless.describe().ends_with(", of unknown size"));
        let kept = Taken::Kept(Box::new(kept()));
        let told = kept.describe();
        assert!(
            told.ends_with("at most, which has outlived its instance"),
            "{told}"
        );
        assert_eq!(
            kept.copy(),
            InstanceCopy::Kept("projects/shop/backups/b".to_owned())
        );
    }
}
