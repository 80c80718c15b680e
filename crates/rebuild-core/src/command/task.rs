//! A command that works on the database: a load, a backfill, a smoke test.

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::target_env::TargetEnv;
use super::{Invocation, run_ok};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::postgres::Session;
use crate::spec::CommandSpec;
use crate::traits::Task;

/// A `[[load]]` or `[[after]]` of the spec.
#[derive(Debug)]
pub struct CommandTask {
    spec: CommandSpec,
    endpoint: Endpoint,
    cwd: PathBuf,
}

impl CommandTask {
    /// The command that `spec` describes. `endpoint` is the server, with any database; `folder`
    /// is the spec's own folder.
    pub fn new(spec: &CommandSpec, endpoint: Endpoint, folder: &Path) -> Self {
        Self {
            cwd: super::folder_of(folder, spec.cwd.as_deref()),
            spec: spec.clone(),
            endpoint,
        }
    }
}

#[async_trait]
impl Task for CommandTask {
    fn name(&self) -> String {
        self.spec.name.clone()
    }

    async fn run(&self, ctx: &Ctx, db: &Identity) -> Result<()> {
        // The program finds the database by its name; so the name must mean this database.
        Session::open_at(&self.endpoint, db, ctx)
            .await?
            .close()
            .await;
        let target = TargetEnv::new(
            ctx,
            &self.endpoint.with_database(&db.name),
            &self.spec.url_variable,
            &self.spec.url_prefix,
        );
        let invocation = Invocation {
            name: self.spec.name.clone(),
            argv: self.spec.command.clone(),
            env: super::with_target(&self.spec.env, target.plain),
            secret_env: target.secret,
            cwd: self.cwd.clone(),
            limit: self.spec.timeout.0,
        };
        run_ok(ctx, &invocation).await.map(|_| ())
    }
}
