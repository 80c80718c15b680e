//! [`Backup`] with a crew.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::super::PgBackup;
use super::super::check_rows::ReadBack;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, Verdict};
use crate::traits::{Backup, BackupMode, BackupSummary, DestroyPermit};
use crate::work::Crew;

/// Backups whose rows a crew reads, stores and reads back. The crew does one work: it takes one
/// backup, which is then proven by what it read back of it, or it reads one that is there.
pub struct PgSharedBackup {
    backup: PgBackup,
    crew: Arc<dyn Crew>,
    /// What was read back of the backup that was taken.
    read: Mutex<Option<(BackupId, ReadBack)>>,
}

impl PgSharedBackup {
    /// As `backup`, with the rows by `crew`.
    pub fn new(backup: PgBackup, crew: Arc<dyn Crew>) -> Self {
        Self {
            backup,
            crew,
            read: Mutex::default(),
        }
    }

    fn read_of(&self, id: &BackupId) -> Option<ReadBack> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.take_if(|(of, _)| of == id).map(|(_, read)| read)
    }
}

#[async_trait]
impl Backup for PgSharedBackup {
    async fn list(&self, ctx: &Ctx) -> Result<Vec<BackupSummary>> {
        self.backup.list(ctx).await
    }

    async fn take(
        &self,
        ctx: &Ctx,
        target: &Identity,
        id: &BackupId,
        mode: BackupMode,
    ) -> Result<BackupSummary> {
        if mode != BackupMode::Full {
            return Err(Error::usage(
                "backup.mode: without rows there is nothing that workers could share",
            ));
        }
        if self.backup.shelf().find(id).await?.is_some() {
            return self.backup.take(ctx, target, id, mode).await;
        }
        let (summary, read) = self
            .backup
            .take_shared(ctx, target, id, &*self.crew)
            .await?;
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some((id.clone(), read));
        Ok(summary)
    }

    async fn check(&self, ctx: &Ctx, id: &BackupId) -> Result<(BackupSummary, Verdict)> {
        match self.read_of(id) {
            Some(read) => self.backup.check_read(ctx, id, read).await,
            None => self.backup.check_shared(ctx, id, &*self.crew).await,
        }
    }

    async fn remove(&self, ctx: &Ctx, id: &BackupId, permit: DestroyPermit) -> Result<()> {
        self.backup.remove(ctx, id, permit).await
    }
}
