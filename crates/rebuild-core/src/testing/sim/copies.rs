//! Copies of the simulated databases, and what is put into staged ones.

use async_trait::async_trait;

use super::{Sim, SimBackup};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{BackupId, Identity, TableName, Verdict};
use crate::traits::{
    Backup, BackupMode, BackupSummary, DestroyPermit, Preserver, PutBack, PutBackTable,
    RestoreOutline, RestoreReport, Restorer, SchemaApplied, SchemaApplier, SchemaState, Verifier,
    VerifyRequest,
};

#[async_trait]
impl Backup for Sim {
    async fn list(&self, _: &Ctx) -> Result<Vec<BackupSummary>> {
        let state = self.state();
        Ok(state
            .backups
            .iter()
            .rev()
            .map(|(id, backup)| backup.summary(id))
            .collect())
    }

    async fn take(
        &self,
        _: &Ctx,
        target: &Identity,
        id: &BackupId,
        mode: BackupMode,
    ) -> Result<BackupSummary> {
        let mut state = self.state();
        let mut database = state.database(target)?.clone();
        let counted = database.rows.len();
        if mode != BackupMode::Full {
            database.rows.clear();
        }
        let taken = SimBackup {
            of: target.clone(),
            database,
            mode,
            counted,
        };
        Ok(state.backups.entry(id.clone()).or_insert(taken).summary(id))
    }

    async fn check(&self, _: &Ctx, id: &BackupId) -> Result<(BackupSummary, Verdict)> {
        let state = self.state();
        let backup = state.backup(id)?;
        let found = backup.database.rows.len();
        let complaints = if backup.mode == BackupMode::Full && found != backup.counted {
            vec![format!(
                "{} rows were counted, {found} are there",
                backup.counted
            )]
        } else {
            Vec::new()
        };
        let mut verdict = Verdict::default();
        verdict.add_complaints("rows", format!("{found} rows"), complaints);
        Ok((backup.summary(id), verdict))
    }

    async fn remove(&self, _: &Ctx, id: &BackupId, permit: DestroyPermit) -> Result<()> {
        let mut state = self.state();
        if let Some(backup) = state.backups.get(id) {
            permit.spend_on(&backup.of)?;
            state.backups.remove(id);
        }
        Ok(())
    }
}

#[async_trait]
impl SchemaApplier for Sim {
    async fn look(&self, _: &Ctx, db: &Identity) -> Result<SchemaState> {
        self.state().database(db)?;
        Ok(SchemaState::default())
    }

    async fn apply(&self, _: &Ctx, db: &Identity, _: &BackupId) -> Result<SchemaApplied> {
        self.state().database(db)?.schema = 2;
        Ok(SchemaApplied::default())
    }
}

#[async_trait]
impl Restorer for Sim {
    async fn outline(&self, _: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreOutline> {
        let mut state = self.state();
        state.database(db)?;
        state.backup(backup)?;
        Ok(RestoreOutline::default())
    }

    async fn restore(&self, _: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreReport> {
        let mut state = self.state();
        let rows = state.backup(backup)?.database.rows.clone();
        state.database(db)?.rows = rows;
        Ok(RestoreReport::default())
    }

    async fn finish(&self, _: &Ctx, db: &Identity, _: &BackupId) -> Result<()> {
        self.state().database(db).map(|_| ())
    }
}

#[async_trait]
impl Preserver for Sim {
    async fn put_back(&self, _: &Ctx, old: &Identity, db: &Identity) -> Result<PutBack> {
        let mut state = self.state();
        let rows = state.database(old)?.rows.clone();
        let new = state.database(db)?;
        let before = new.rows.len();
        for row in &rows {
            if !new.rows.contains(row) {
                new.rows.push(*row);
            }
        }
        let inserted = (new.rows.len() - before) as u64;
        let selected = rows.len() as u64;
        Ok(PutBack {
            tables: vec![PutBackTable {
                table: TableName::new("public", "rows"),
                selected,
                inserted,
                replaced: 0,
                unchanged: selected - inserted,
                left_out: Vec::new(),
            }],
        })
    }
}

#[async_trait]
impl Verifier for Sim {
    async fn verify(&self, _: &Ctx, request: &VerifyRequest) -> Result<Verdict> {
        let mut state = self.state();
        if let Some(id) = &request.backup {
            state.backup(id)?;
        }
        let mut complaints = if request.live {
            state.complaints.1.clone()
        } else {
            state.complaints.0.clone()
        };
        let db = state.database(&request.db)?;
        if db.schema != 2 || db.rows.is_empty() {
            complaints.push("the schema or the rows are missing".to_owned());
        }
        let mut verdict = Verdict::default();
        verdict.add_complaints("content", "1 table", complaints);
        Ok(verdict)
    }
}
