//! A backup of an instance that outlives it
//! (<https://cloud.google.com/sql/docs/postgres/backup-recovery/backups#retained-backups>).

use google_cloud_sql_v1::model::backup::SqlBackupState as State;
use google_cloud_sql_v1::model::{Backup, Settings};

use super::InstanceReplacement;
use super::kept::Side;
use crate::cloudsql::operation::goes_on;
use crate::cloudsql::taken::Taken;
use crate::error::{Error, ErrorKind, Result, clean};
use crate::event::Ctx;
use crate::google::{GoogleApi, Seen};

/// True for a backup that has ended well, or may yet.
fn is_hopeful(backup: &Backup) -> bool {
    matches!(
        backup.state,
        State::Enqueued | State::Running | State::Successful
    )
}

/// What does not let a backup be relied on: the same as of one that is taken besides the rows.
fn complaint(backup: &Backup) -> Option<String> {
    let complaints = Taken::Kept(Box::new(backup.clone())).complaints();
    (!complaints.is_empty()).then(|| complaints.join("; "))
}

impl InstanceReplacement {
    /// Makes sure that there is a backup of the instance that stays when the instance goes.
    ///
    /// *Repeats:* one that was begun is waited for. *Destroys:* nothing.
    ///
    /// # Errors
    /// It failed, with the API's words; it did not end in time; the API refused.
    pub(super) async fn keep(&self, ctx: &Ctx, side: Side) -> Result<Backup> {
        self.retain_backups(ctx).await?;
        let what = format!(
            "the backup of instance {} that outlives it",
            self.sql.name()
        );
        self.begin_to_keep(ctx, &what, side).await?;
        let look = || async {
            Ok(match self.kept_of(ctx, side).await? {
                None => Seen::NotYet("it is not in the list yet".to_owned()),
                Some(backup) if is_hopeful(&backup) && backup.state != State::Successful => {
                    Seen::NotYet(clean(backup.state.name().unwrap_or_default()).to_lowercase())
                }
                Some(backup) => Seen::Done(backup),
            })
        };
        let google = self.sql.google();
        let waited = google.wait(ctx, &what, self.limit, look).await;
        let list = format!(
            "gcloud sql backups list --project {}",
            self.sql.name().project
        );
        let backup = waited.map_err(|e| goes_on(e, &list))?;
        if let Some(why) = complaint(&backup) {
            return Err(Error::new(ErrorKind::Server, format!("{what}: failed"))
                .caused_by(Error::new(ErrorKind::Server, why)));
        }
        Taken::Kept(Box::new(backup.clone())).warn_of_unknown_size(ctx);
        Ok(backup)
    }

    async fn begin_to_keep(&self, ctx: &Ctx, what: &str, side: Side) -> Result<()> {
        let name = self.sql.name();
        let description = side.description(&ctx.run);
        let begin = || async {
            let known = self.sql.all_kept().await?;
            if known
                .iter()
                .any(|b| b.description == description && is_hopeful(b))
            {
                return Ok(());
            }
            let wanted = Backup::new()
                .set_description(&description)
                .set_instance(&name.instance);
            let create = self.sql.kept.create_backup();
            let create = create.set_parent(format!("projects/{}", name.project));
            create.set_backup(wanted).send().await.map(|_| ())
        };
        let failed = format!("could not begin {what}");
        self.sql.when_free(ctx, &failed, self.limit, begin).await
    }

    /// Without this, backups go with their instance.
    async fn retain_backups(&self, ctx: &Ctx) -> Result<()> {
        if self.retains_backups(ctx).await? {
            return Ok(());
        }
        let name = self.sql.name();
        ctx.events.info(format!(
            "the backups of instance {name} are set to outlive it"
        ));
        self.patch(ctx, Settings::new().set_retain_backups_on_delete(true))
            .await?;
        if self.retains_backups(ctx).await? {
            return Ok(());
        }
        Err(Error::refused(format!(
            "instance {name} was set to keep its backups when it is deleted, and does not"
        )))
    }

    async fn retains_backups(&self, ctx: &Ctx) -> Result<bool> {
        let now = self.sql.describe(ctx).await?.settings.unwrap_or_default();
        Ok(now.retain_backups_on_delete == Some(true))
    }

    /// The backup that a run has taken of an instance, if there is one; one that has ended well rather
    /// than another.
    pub(super) async fn kept_of(&self, ctx: &Ctx, side: Side) -> Result<Option<Backup>> {
        let mut found = self.all_kept_of(ctx, side).await?;
        found.sort_by_key(|b| (b.state != State::Successful, !is_hopeful(b)));
        Ok(found.into_iter().next())
    }

    async fn all_kept_of(&self, ctx: &Ctx, side: Side) -> Result<Vec<Backup>> {
        let description = side.description(&ctx.run);
        let what = format!("could not list the backups of instance {}", self.sql.name());
        let list = || self.sql.all_kept();
        let google = self.sql.google();
        let mut found = google.ask(ctx, GoogleApi::Sql, &what, list).await?;
        found.retain(|b| b.description == description);
        Ok(found)
    }

    /// The same, whole.
    ///
    /// # Errors
    /// A refusal: there is none that one could come back from.
    pub(super) async fn whole_kept_of(&self, ctx: &Ctx, side: Side) -> Result<Backup> {
        let why = match self.kept_of(ctx, side).await? {
            None => format!("there is no backup {:?}", side.description(&ctx.run)),
            Some(backup) => match complaint(&backup) {
                None => return Ok(backup),
                Some(why) => why,
            },
        };
        Err(Error::refused(format!(
            "instance {} cannot be made from its backup: {why}",
            self.sql.name()
        ))
        .hint("the rows are in the run's backup: rebuild restore BACKUP --into NAME"))
    }

    /// Deletes the backup.
    ///
    /// *Repeats:* one that is gone is no error. *Destroys:* that copy of the instance, for good.
    ///
    /// # Errors
    /// The API refused, or could not be asked.
    pub(super) async fn forget(&self, ctx: &Ctx, side: Side) -> Result<()> {
        for backup in self.all_kept_of(ctx, side).await? {
            self.sql.delete_kept(ctx, &backup.name, self.limit).await?;
            ctx.events.info(format!("{} is deleted", backup.name));
        }
        Ok(())
    }
}
