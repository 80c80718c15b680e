//! From the spec to the implementations of each contract.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Project;
use crate::engine::Backends;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::plan::{Plan, Survey};
use crate::postgres::{
    CommandMigrator, DatabaseKey, Environment, PgBackup, PgBackupSchema, PgCsvRestorer,
    PgProvision, PgRestorer, PgSqlFiles, PgSurveyor, ProvisionOptions, RestoreChoice, RowOptions,
    Session, SqlPart, TargetLock, TaskWithRoom, application, database_facts,
};
use crate::secret::Secret;
use crate::spec::{FileOrder, MigratorSpec, RestoreFrom, SchemaSource, Spec, TablePatterns};
use crate::traits::{Backup, Restorer, SchemaApplier, Task};

/// How long one schema file may take.
const FILE_LIMIT: Duration = Duration::from_secs(3600);

/// Where a database is, by the keys `url`, `password` and `insecure_tls`.
pub(super) fn endpoint_at(
    environment: &Environment,
    url: &Secret,
    password: Option<&Secret>,
    insecure_tls: bool,
) -> Result<Endpoint> {
    let mut endpoint = environment.endpoint(url.expose(), insecure_tls)?;
    if let Some(password) = password {
        endpoint.password = Some(password.clone());
    }
    Ok(endpoint)
}

/// Where the target is.
pub(super) fn endpoint(spec: &Spec, environment: &Environment) -> Result<Endpoint> {
    let target = &spec.target;
    let password = target.password.as_ref();
    let endpoint = endpoint_at(environment, &target.url, password, target.insecure_tls)?;
    if endpoint.database == spec.target.maintenance_database {
        return Err(Error::usage(format!(
            "target.url: {:?} is the database to connect to while the target is renamed, so it \
             cannot be the target",
            endpoint.database
        ))
        .hint("name another one in target.maintenance_database"));
    }
    Ok(endpoint)
}

/// The URL of the store; a path is relative to the spec.
pub(super) fn store_url(spec: &Spec) -> Result<String> {
    let given = &spec.store.url;
    if given.contains("://") {
        return Ok(given.clone());
    }
    let bad = || Error::usage(format!("store.url: {given:?} is neither a URL nor a path"));
    let path = std::path::absolute(spec.folder().join(given)).map_err(|e| bad().caused_by(e))?;
    let url = url::Url::from_file_path(&path).map_err(|()| bad())?;
    Ok(url.to_string())
}

pub(super) fn row_options(spec: &Spec) -> RowOptions {
    let mut options = RowOptions {
        level: spec.backup.compression,
        ..RowOptions::default()
    };
    if let Some(jobs) = spec.backup.jobs {
        options.jobs = jobs;
    }
    options
}

pub(super) fn tools(spec: &Spec) -> Option<PathBuf> {
    spec.backup.tools.as_ref().map(|t| spec.folder().join(t))
}

pub(super) fn choice(spec: &Spec) -> Result<RestoreChoice> {
    Ok(RestoreChoice {
        tables: TablePatterns::compile(&spec.restore.tables)?,
        may_drop: TablePatterns::with_columns(&spec.restore.allow_dropped)?,
    })
}

pub(super) fn provision_options(spec: &Spec) -> ProvisionOptions {
    let wanted = spec.provision.clone();
    ProvisionOptions {
        owner: wanted.owner,
        encoding: wanted.encoding,
        locale: wanted.collate,
        ctype: wanted.ctype,
        locale_provider: wanted.locale_provider,
        icu_locale: wanted.locale,
        template: wanted.template,
        connection_limit: wanted.connection_limit,
        tablespace: wanted.tablespace,
        settings: wanted.settings.into_iter().collect(),
        grants: wanted.grants,
        extensions: wanted.extensions,
    }
}

impl Project {
    pub(super) fn pg_backup(&self) -> PgBackup {
        PgBackup::new(
            self.endpoint.clone(),
            self.store.clone(),
            row_options(&self.spec),
            tools(&self.spec),
            self.environment.clone(),
        )
        .with_csv(self.spec.backup.csv)
    }

    /// What takes and proves backups: of the rows, and of the volumes if the spec asks for that.
    pub(super) fn backup_maker(&self) -> Result<Arc<dyn Backup>> {
        self.backup_with(Arc::new(self.pg_backup()))
    }

    /// The same, with `backup` for the rows.
    pub(super) fn backup_with(&self, backup: Arc<dyn Backup>) -> Result<Arc<dyn Backup>> {
        #[cfg(feature = "k8s")]
        let backup = self.with_snapshots(backup)?;
        #[cfg(feature = "cloudsql")]
        let backup = self.with_instance_backup(backup)?;
        Ok(backup)
    }

    /// True if rows come from the backup or from CSV files, by a restorer that finishes the schema
    /// of the backup after the rows.
    fn restores_rows(&self) -> bool {
        matches!(
            self.spec.rows_from(),
            RestoreFrom::Backup | RestoreFrom::Csv
        )
    }

    /// The folder of CSV files that the rows come from, if they do.
    pub(super) fn csv_folder(&self) -> Option<PathBuf> {
        let csv = self.spec.restore.csv.as_ref();
        csv.map(|folder| self.spec.folder().join(folder))
    }

    pub(super) fn schema(&self) -> Result<Arc<dyn SchemaApplier>> {
        let spec = &self.spec;
        let endpoint = self.endpoint.clone();
        let folder = spec.folder().to_path_buf();
        if let Some(function) = self.function_schema(&endpoint) {
            return Ok(function);
        }
        Ok(match (spec.schema_from(), &spec.schema.command) {
            (SchemaSource::Files, _) => Arc::new(PgSqlFiles {
                part: SqlPart::Schema,
                endpoint,
                folder,
                patterns: spec.schema.files.clone(),
                order: spec.schema.order,
                limit: FILE_LIMIT,
            }),
            (SchemaSource::Command, Some(command)) => {
                return self.command_migrator("schema", command);
            }
            (
                SchemaSource::Backup
                | SchemaSource::Command
                | SchemaSource::Function
                | SchemaSource::Source,
                _,
            ) => Arc::new(PgBackupSchema {
                endpoint,
                store: self.store.clone(),
                rows_follow: self.restores_rows(),
            }),
        })
    }

    /// A program that migrates, or a Job. `step` is what it is for.
    #[cfg_attr(not(feature = "gcp"), allow(unused_variables))]
    pub(super) fn command_migrator(
        &self,
        step: &str,
        spec: &MigratorSpec,
    ) -> Result<Arc<dyn SchemaApplier>> {
        #[cfg(feature = "k8s")]
        if let Some(job) = self.cluster_migrator(spec)? {
            return Ok(job);
        }
        #[cfg(feature = "gcp")]
        if let Some(job) = self.gcp_migrator(step, spec)? {
            return Ok(job);
        }
        let endpoint = self.endpoint.clone();
        Ok(Arc::new(CommandMigrator::new(
            spec,
            endpoint,
            self.spec.folder(),
        )))
    }

    fn fixtures(&self) -> Option<Arc<dyn SchemaApplier>> {
        let schema = &self.spec.schema;
        // Fixtures are no migrations, and have no versions in their names.
        let order = match schema.order {
            FileOrder::Flyway => FileOrder::Lexicographic,
            order => order,
        };
        (!schema.fixtures.is_empty()).then(|| {
            Arc::new(PgSqlFiles {
                part: SqlPart::Fixtures,
                endpoint: self.endpoint.clone(),
                folder: self.spec.folder().to_path_buf(),
                patterns: schema.fixtures.clone(),
                order,
                limit: FILE_LIMIT,
            }) as Arc<dyn SchemaApplier>
        })
    }

    pub(super) fn restorer(&self, own_schema: bool) -> Result<PgRestorer> {
        Ok(PgRestorer {
            endpoint: self.endpoint.clone(),
            store: self.store.clone(),
            options: row_options(&self.spec),
            choice: choice(&self.spec)?,
            own_schema,
            tools: tools(&self.spec),
            environment: self.environment.clone(),
        })
    }

    fn rows(&self) -> Result<Arc<dyn Restorer>> {
        let restorer = self.restorer(self.spec.schema_from() == SchemaSource::Backup)?;
        Ok(match self.csv_folder() {
            Some(folder) => Arc::new(PgCsvRestorer { restorer, folder }),
            None => self.function_rows(restorer),
        })
    }

    /// A surveyor of the target. The programs are looked for only where the server's version is
    /// known, so a survey that needs none works without them.
    pub(super) async fn surveyor(&self) -> Result<PgSurveyor> {
        Ok(PgSurveyor {
            endpoint: self.endpoint.clone(),
            maintenance: self.maintenance(),
            database: self.endpoint.database.clone(),
            schema: self.schema()?,
            fixtures: self.fixtures(),
            files: !matches!(
                self.spec.schema_from(),
                SchemaSource::Backup | SchemaSource::Source
            ),
            source: self.source_surveyor()?,
            provision: provision_options(&self.spec),
            tools: self.pg_backup().programs().await?,
            store: self.store.clone(),
        })
    }

    /// One implementation of each contract, for what `plan` has pinned.
    pub(super) fn backends_of(&self, plan: &Plan) -> Result<Backends> {
        let source = plan.survey.source.as_ref().map(|source| &source.identity);
        let began = Some(&plan.survey);
        let lock = TargetLock::new(self.maintenance(), plan.target.clone());
        #[cfg(feature = "k8s")]
        if self.spec.replacement().is_some() {
            let lock = Arc::new(lock.of_replaced_server());
            let backends = self.backends_under(lock.clone(), &plan.target, source, began)?;
            let model = &plan.survey.inventory.database;
            return self.with_replacement(backends, lock, &plan.target.name, model);
        }
        #[cfg(feature = "cloudsql")]
        if self.spec.replaced_instance().is_some() {
            let lock = Arc::new(lock.of_replaced_server());
            let backends = self.backends_under(lock.clone(), &plan.target, source, began)?;
            let model = &plan.survey.inventory.database;
            return Ok(self.with_instance_replacement(backends, lock, model));
        }
        self.backends_under(Arc::new(lock), &plan.target, source, began)
    }

    /// One implementation of each contract, for `target` and the `source` of a refresh.
    #[cfg(test)]
    pub(super) fn backends(
        &self,
        target: &Identity,
        source: Option<&Identity>,
    ) -> Result<Backends> {
        let lock = Arc::new(TargetLock::new(self.maintenance(), target.clone()));
        self.backends_under(lock, target, source, None)
    }

    /// What loads rows by other means. The server's disk fills up all the same.
    fn loads(&self) -> Result<Vec<Arc<dyn Task>>> {
        let watched = |task| {
            Arc::new(TaskWithRoom {
                task,
                endpoint: self.endpoint.clone(),
                free: row_options(&self.spec).free_space,
            }) as Arc<dyn Task>
        };
        let loads = self.commands("load", &self.spec.loads)?;
        Ok(loads.into_iter().map(watched).collect())
    }

    fn backends_under(
        &self,
        lock: Arc<TargetLock>,
        target: &Identity,
        source: Option<&Identity>,
        began: Option<&Survey>,
    ) -> Result<Backends> {
        let spec = &self.spec;
        let refresh = self.refresh(target, source)?.map(Arc::new);
        let backends = Backends {
            teardown: self.teardown(lock.clone())?,
            // A plan says what of it may be done.
            infrastructure: Vec::new(),
            provision: Arc::new(PgProvision::new(
                self.maintenance(),
                lock.clone(),
                provision_options(spec),
            )),
            schema: match (&refresh, spec.schema_from()) {
                (Some(refresh), SchemaSource::Source) => refresh.clone(),
                _ => self.schema()?,
            },
            restorer: match &refresh {
                Some(refresh) => refresh.clone(),
                None => self.rows()?,
            },
            migrator: self.migrator(target)?,
            preserver: self.preserver()?,
            fixtures: self.fixtures(),
            loads: self.loads()?,
            verifier: self.verifier(began)?,
            workloads: self.workloads(target, &lock)?,
            tasks: self.commands("after", &spec.after)?,
            backup: self.backup_maker()?,
            #[cfg(feature = "k8s")]
            lock: self.with_lease(lock, &target.name),
            #[cfg(not(feature = "k8s"))]
            lock,
        };
        #[cfg(feature = "cloudsql")]
        let backends = self.with_fallback(Backends {
            provision: self.with_instance_users(backends.provision.clone()),
            ..backends
        })?;
        Ok(backends)
    }

    /// Which database the target's name leads to now.
    pub(super) async fn target(&self, ctx: &Ctx) -> Result<Identity> {
        let session = Session::open(&self.endpoint, &application(ctx)).await?;
        let session = session.only_read().await?;
        let facts = database_facts(&session, DatabaseKey::Current).await?;
        session.close().await;
        Ok(facts.identity)
    }
}
