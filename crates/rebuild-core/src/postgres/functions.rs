//! Functions of the program that runs a spec, on a database of this server.
//!
//! A function finds the database by its name, as a program does; so each is called only once the
//! name is known to mean the database that the run pinned.

use std::sync::Arc;

use async_trait::async_trait;

use super::{PgRestorer, require_named};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{BackupId, Endpoint, Identity, Verdict};
use crate::traits::{RestoreOutline, RestoreReport, Restorer, Task, Verifier, VerifyRequest};

/// A function as a load or an after-step.
pub struct FunctionTask {
    /// The function.
    pub function: Arc<dyn Task>,
    /// The server, with any database.
    pub endpoint: Endpoint,
}

#[async_trait]
impl Task for FunctionTask {
    fn name(&self) -> String {
        self.function.name()
    }

    async fn run(&self, ctx: &Ctx, db: &Identity) -> Result<()> {
        require_named(&self.endpoint, ctx, db).await?;
        self.function.run(ctx, db).await
    }
}

/// A function that restores rows. What comes once all rows are there is done as after any restore.
pub struct FunctionRestorer {
    /// The function.
    pub function: Arc<dyn Restorer>,
    /// Refreshes materialised views and gathers statistics afterwards.
    pub restorer: PgRestorer,
}

#[async_trait]
impl Restorer for FunctionRestorer {
    async fn outline(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreOutline> {
        require_named(&self.restorer.endpoint, ctx, db).await?;
        self.function.outline(ctx, db, backup).await
    }

    async fn restore(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreReport> {
        require_named(&self.restorer.endpoint, ctx, db).await?;
        self.function.restore(ctx, db, backup).await
    }

    async fn finish(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<()> {
        self.restorer.finish(ctx, db, backup).await
    }
}

/// The checks of a spec: those that the server answers, then those of functions.
pub struct FunctionVerifier {
    /// Asks the server.
    pub first: Arc<dyn Verifier>,
    /// The functions, in the order of the spec.
    pub functions: Vec<Arc<dyn Verifier>>,
    /// The server, with any database.
    pub endpoint: Endpoint,
}

#[async_trait]
impl Verifier for FunctionVerifier {
    async fn verify(&self, ctx: &Ctx, request: &VerifyRequest) -> Result<Verdict> {
        let mut verdict = self.first.verify(ctx, request).await?;
        for function in &self.functions {
            ctx.check_stop("the verification")?;
            require_named(&self.endpoint, ctx, &request.db).await?;
            verdict.extend(function.verify(ctx, request).await?);
        }
        Ok(verdict)
    }
}
