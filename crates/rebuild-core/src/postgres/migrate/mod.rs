//! A schema that comes from a migrator: alembic, Django, Flyway, any other program, or a function.

mod detect;
mod tools;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Session, server_error};
use crate::command::{Invocation, TargetEnv, URL_VARIABLE, folder_of, run_ok, with_target};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Endpoint, Identity};
use crate::spec::MigratorSpec;
use crate::traits::{SchemaApplied, SchemaApplier, SchemaState, Task};

pub use detect::migration_version;
pub(crate) use detect::{Recorded, migrations};

/// How long reading the version table may take.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// Runs the migrator of the spec on a staged database.
#[derive(Debug)]
pub struct CommandMigrator {
    spec: MigratorSpec,
    endpoint: Endpoint,
    cwd: PathBuf,
}

impl CommandMigrator {
    /// The migrator that `spec` describes. `endpoint` is the server, with any database; `folder`
    /// is the spec's own folder.
    pub fn new(spec: &MigratorSpec, endpoint: Endpoint, folder: &Path) -> Self {
        Self {
            cwd: folder_of(folder, spec.cwd.as_deref()),
            spec: spec.clone(),
            endpoint,
        }
    }

    fn invocation(&self, ctx: &Ctx, db: &Identity) -> Invocation {
        let target = TargetEnv::new(
            ctx,
            &self.endpoint.with_database(&db.name),
            self.spec.url_variable.as_deref(),
            self.spec.url_prefix.as_deref(),
        );
        let program = self.spec.argv.first().map_or("", String::as_str);
        Invocation {
            name: program.rsplit('/').next().unwrap_or(program).to_owned(),
            argv: self.spec.argv.clone(),
            env: with_target(&self.spec.env, target.plain),
            secret_env: target.secret,
            cwd: self.cwd.clone(),
            limit: self.spec.timeout.0,
        }
    }
}

#[async_trait]
impl SchemaApplier for CommandMigrator {
    async fn look(&self, ctx: &Ctx, db: &Identity) -> Result<SchemaState> {
        recorded(&self.endpoint, ctx, db).await
    }

    async fn apply(&self, ctx: &Ctx, db: &Identity, _: &BackupId) -> Result<SchemaApplied> {
        require_named(&self.endpoint, ctx, db).await?;
        let invocation = self.invocation(ctx, db);
        run_ok(ctx, &invocation).await?;
        migrated(&self.endpoint, ctx, db, &invocation.name)
            .await
            .map_err(|e| match e.kind() {
                ErrorKind::Program => e.hint(format!(
                    "see that its configuration takes the database from {} or the PG* variables, \
                     and which database it has migrated instead",
                    self.spec.url_variable.as_deref().unwrap_or(URL_VARIABLE)
                )),
                _ => e,
            })
    }
}

/// A function of the program that runs the spec, as a migrator.
pub struct FunctionMigrator {
    function: Arc<dyn Task>,
    endpoint: Endpoint,
}

impl FunctionMigrator {
    /// `function` migrates the database that it is called with. `endpoint` is the server, with any
    /// database.
    pub fn new(function: Arc<dyn Task>, endpoint: Endpoint) -> Self {
        Self { function, endpoint }
    }
}

#[async_trait]
impl SchemaApplier for FunctionMigrator {
    async fn look(&self, ctx: &Ctx, db: &Identity) -> Result<SchemaState> {
        recorded(&self.endpoint, ctx, db).await
    }

    async fn apply(&self, ctx: &Ctx, db: &Identity, _: &BackupId) -> Result<SchemaApplied> {
        require_named(&self.endpoint, ctx, db).await?;
        self.function.run(ctx, db).await?;
        migrated(&self.endpoint, ctx, db, &self.function.name())
            .await
            .map_err(|e| match e.kind() {
                ErrorKind::Program => {
                    e.hint("see that it works on the database that it is called with")
                }
                _ => e,
            })
    }
}

/// A program finds the database by its name; so the name must mean this database.
///
/// # Errors
/// A refusal if it means another one; the server could not be asked.
pub(crate) async fn require_named(endpoint: &Endpoint, ctx: &Ctx, db: &Identity) -> Result<()> {
    let session = Session::open_at(endpoint, db, ctx).await?;
    session.close().await;
    Ok(())
}

/// Where the schema of `db` stands by what a migration tool records in it.
///
/// # Errors
/// As [`migration_version`]; it took longer than a minute.
pub(crate) async fn recorded(endpoint: &Endpoint, ctx: &Ctx, db: &Identity) -> Result<SchemaState> {
    let work = async {
        let session = Session::open_at(endpoint, db, ctx).await?;
        let session = session.only_read().await?;
        let migration = migration_version(&session).await?;
        session.close().await;
        Ok(SchemaState {
            migration,
            ..SchemaState::default()
        })
    };
    ctx.within(READ_WITHIN, "reading the migration version", work)
        .await
}

/// What `migrator` made of `db`. One that succeeds and leaves nothing has most likely migrated
/// another database, which its own configuration names.
async fn migrated(
    endpoint: &Endpoint,
    ctx: &Ctx,
    db: &Identity,
    migrator: &str,
) -> Result<SchemaApplied> {
    let work = async {
        let session = Session::open_at(endpoint, db, ctx).await?;
        if is_empty(&session).await? {
            return Err(Error::new(
                ErrorKind::Program,
                format!(
                    "{migrator} succeeded, but {db} has no table, so it worked on another database \
                     or on none"
                ),
            ));
        }
        let migration = migration_version(&session).await?;
        session.close().await;
        Ok(SchemaApplied {
            migration,
            ..SchemaApplied::default()
        })
    };
    ctx.within(READ_WITHIN, "reading the migration version", work)
        .await
}

/// True if the database has no table, view or sequence of its own; those of extensions do not
/// count.
async fn is_empty(session: &Session) -> Result<bool> {
    let row = session
        .query_one(
            "select not exists (
                select from pg_catalog.pg_class c
                  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                 where n.nspname <> 'information_schema'
                   and n.nspname::pg_catalog.text not like 'pg\\_%'
                   and not exists (
                       select from pg_catalog.pg_depend d
                        where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                          and d.objid = c.oid and d.deptype = 'e'))",
            &[],
        )
        .await
        .map_err(|e| server_error("could not look whether the migrator left tables", e))?;
    Ok(row.get(0))
}

#[cfg(test)]
mod tests;
