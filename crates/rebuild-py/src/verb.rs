//! The verbs: a request in JSON, a call of the core, its result in JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rebuild_core::engine::Report;
use rebuild_core::event::Events;
use rebuild_core::model::{BackupId, RunId};
use rebuild_core::plan::Plan;
use rebuild_core::postgres::{Environment, ExportFormat, RoleMap};
use rebuild_core::project::{self, Project};
use rebuild_core::{Error, Result, spec};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::functions::PyFunctions;
use crate::job::{Job, Told};
use crate::runtime::runtime;

/// What is asked for.
#[derive(Deserialize)]
struct Request {
    /// The spec, as its file says it. A copy needs none.
    spec: Option<Value>,
    /// The folder of the spec.
    folder: PathBuf,
    /// The variables in the place of the process's.
    env: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    verb: Verb,
}

#[derive(Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
enum Verb {
    Status {
        drift: bool,
    },
    Plan {
        drift: bool,
    },
    Run {
        plan: Option<Value>,
        confirm: Option<String>,
    },
    Rehearse {
        name: String,
    },
    Resume {
        run: Option<RunId>,
    },
    Rollback {
        run: Option<RunId>,
        confirm: Option<String>,
        accept_writes: bool,
    },
    Purge {
        run: Option<RunId>,
        confirm: Option<String>,
        now: bool,
    },
    Backup,
    Backups,
    ShowBackup {
        backup: Option<BackupId>,
    },
    CheckBackup {
        backup: Option<BackupId>,
        restore: bool,
        server_programs: Option<PathBuf>,
    },
    ExportBackup {
        backup: Option<BackupId>,
        to: PathBuf,
        format: ExportFormat,
    },
    Prune {
        keep_last: Option<u32>,
        keep_days: Option<u32>,
        yes: bool,
    },
    Restore {
        backup: Option<BackupId>,
        into: String,
        tables: Vec<String>,
        precheck: bool,
    },
    RestoreDump {
        dump: PathBuf,
        into: String,
        roles: BTreeMap<String, String>,
        drop_roles: Vec<String>,
        trusted: bool,
    },
    Verify {
        backup: Option<BackupId>,
        rows: bool,
    },
    Compare {
        other: String,
        rows: bool,
    },
    Runs,
    ShowRun {
        run: Option<RunId>,
    },
    Copy {
        source: String,
        target: String,
        maintenance_database: String,
        backup_folder: Option<PathBuf>,
    },
}

/// Starts what `request` asks for. `functions` finds the functions that a spec names.
#[pyfunction]
pub(crate) fn start(request: &str, functions: Option<Py<PyAny>>) -> PyResult<Job> {
    let request: Request = serde_json::from_str(request)
        .map_err(|e| PyValueError::new_err(format!("this is no request: {e}")))?;
    let told = Arc::new(Told::default());
    let stop = CancellationToken::new();
    let call = Call {
        request,
        functions,
        events: Events::new(None, vec![told.clone()]),
        stop: stop.clone(),
    };
    let (work, ending) = (runtime()?.spawn(call.answer()), told.clone());
    let aborted = work.abort_handle();
    // A panic and an abort are ends as well: nobody must wait for ever.
    runtime()?.spawn(async move {
        ending.end(match work.await {
            Ok(result) => result,
            Err(e) if e.is_cancelled() => Err(Error::new(
                rebuild_core::ErrorKind::Interrupted,
                "the work was left where it was",
            )),
            Err(e) => Err(Error::internal("the work ended early").caused_by(e)),
        });
    });
    Ok(Job::new(told, stop, aborted))
}

struct Call {
    request: Request,
    functions: Option<Py<PyAny>>,
    events: Events,
    stop: CancellationToken,
}

impl Call {
    async fn answer(mut self) -> Result<Value> {
        let environment = match self.request.env.take() {
            Some(env) => Environment::of(env),
            None => Environment::from_process(),
        };
        if let Verb::Copy {
            source,
            target,
            maintenance_database,
            backup_folder,
        } = &self.request.verb
        {
            let source = environment.endpoint(source, false)?;
            let target = environment.endpoint(target, false)?;
            let folder = backup_folder.as_deref();
            let (events, stop) = (self.events, self.stop);
            let server = maintenance_database;
            let copied =
                project::copy(&source, &target, server, folder, &environment, events, stop).await?;
            return of(copied);
        }
        let Some(value) = self.request.spec else {
            return Err(Error::usage("there is no spec"));
        };
        let lookup = |name: &str| environment.get(name).map(str::to_owned);
        let spec = spec::from_value(value, &self.request.folder, &lookup)?;
        // What is in the store can be read though the database cannot be reached.
        let mut project = match self.request.verb {
            Verb::Runs
            | Verb::ShowRun { .. }
            | Verb::Backups
            | Verb::ShowBackup {
                backup: Some(_), ..
            }
            | Verb::ExportBackup {
                backup: Some(_), ..
            } => Project::open_store(spec, &environment, self.events, self.stop).await?,
            _ => Project::open(spec, &environment, self.events, self.stop).await?,
        };
        if let Some(functions) = self.functions {
            project = project.with_functions(Arc::new(PyFunctions(functions)));
        }
        Box::pin(rebuild(&project, self.request.verb, &environment)).await
    }
}

/// The verbs of runs.
async fn rebuild(project: &Project, verb: Verb, environment: &Environment) -> Result<Value> {
    match verb {
        Verb::Status { drift } => of(project.status(drift).await?),
        Verb::Plan { drift } => of(project.plan(drift).await?),
        Verb::Run { plan, confirm } => {
            let plan = match plan {
                Some(plan) => Some(Plan::from_json(plan.to_string().as_bytes())?),
                None => None,
            };
            let report = project.run(plan.as_ref(), confirm.as_deref()).await?;
            told(project, report).await
        }
        Verb::Rehearse { name } => of(Box::pin(project.rehearse(&name.parse()?)).await?),
        Verb::Resume { run } => {
            let run = project.run_or_newest(run).await?;
            told(project, project.resume(&run).await?).await
        }
        Verb::Rollback {
            run,
            confirm,
            accept_writes,
        } => {
            let run = project.run_or_newest(run).await?;
            let back = project.rollback(&run, confirm.as_deref(), accept_writes);
            told(project, back.await?).await
        }
        Verb::Purge { run, confirm, now } => {
            let run = project.run_or_newest(run).await?;
            of(project.purge(&run, confirm.as_deref(), now).await?)
        }
        Verb::ShowRun { run } => {
            let run = project.run_or_newest(run).await?;
            of(project.show_run(&run).await?)
        }
        Verb::Runs => of(project.runs().await?),
        verb => rows(project, verb, environment).await,
    }
}

/// The verbs of backups and rows.
async fn rows(project: &Project, verb: Verb, environment: &Environment) -> Result<Value> {
    match verb {
        Verb::Backup => of(project.backup().await?),
        Verb::ShowBackup { backup } => {
            let id = project.backup_or_newest(backup).await?;
            of(project.show_backup(&id).await?)
        }
        Verb::CheckBackup {
            backup,
            restore,
            server_programs,
        } => {
            let id = project.backup_or_newest(backup).await?;
            if restore {
                let programs = server_programs.as_deref();
                return of(project.prove_backup(&id, programs).await?);
            }
            of(project.check_backup(&id).await?)
        }
        Verb::ExportBackup { backup, to, format } => {
            let id = project.backup_or_newest(backup).await?;
            of(project.export_backup(&id, &to, format).await?)
        }
        Verb::Prune {
            keep_last,
            keep_days,
            yes,
        } => of(project.prune_backups(keep_last, keep_days, yes).await?),
        Verb::Restore {
            backup,
            into,
            tables,
            precheck,
        } => {
            let id = project.backup_or_newest(backup).await?;
            of(project.restore(&id, &into, &tables, precheck).await?)
        }
        Verb::RestoreDump {
            dump,
            into,
            roles,
            drop_roles,
            trusted,
        } => {
            let map = drop_roles
                .into_iter()
                .fold(RoleMap::default(), RoleMap::leave_out);
            let map = roles
                .into_iter()
                .fold(map, |map, (old, new)| map.rename(old, new));
            let dump: &Path = &dump;
            of(project.restore_dump(dump, &into, map, trusted).await?)
        }
        Verb::Verify { backup, rows } => of(project.verify(backup.as_ref(), rows).await?),
        Verb::Compare { other, rows } => {
            let other = environment.endpoint(&other, false)?;
            of(project.compare(&other, rows).await?)
        }
        Verb::Backups => of(project.backups().await?),
        _ => Err(Error::internal("a verb that nobody knows")),
    }
}

/// A report, with the steps of its run and how long each took.
async fn told(project: &Project, report: Report) -> Result<Value> {
    let run = project.show_run(&report.run).await?;
    let mut value = of(report)?;
    value["steps"] = json!(run.steps);
    Ok(value)
}

fn of<T: Serialize>(result: T) -> Result<Value> {
    serde_json::to_value(result).map_err(|e| Error::internal("no JSON form").caused_by(e))
}
