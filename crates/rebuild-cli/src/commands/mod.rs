//! One file for each group of verbs; each parses nothing, decides nothing, and calls the core.

mod backups;
mod compare;
mod copy;
mod init;
mod instance;
mod rebuild;
mod rehearse;
mod runs;
mod status;
mod worker;

use std::path::Path;
use std::sync::Arc;

use clap::CommandFactory;
use rebuild_core::postgres::{Environment, RoleMap};
use rebuild_core::project::Project;
use rebuild_core::spec::{self, Spec};
use rebuild_core::traits::Functions;
use rebuild_core::{Error, Result};

use crate::args::{Args, Backups, Command, Instance};
use crate::exit::Code;
use crate::output::Output;

/// Runs the command that was given.
pub(crate) async fn dispatch(
    args: Args,
    functions: Option<Arc<dyn Functions>>,
    output: &Output,
) -> Result<Code> {
    let file = args.file;
    let open = async || open(&file, functions.clone(), output).await;
    let store = async || open_store(&file, output).await;
    match args.command {
        Command::Init { url, store } => init::init(&file, url, store, output).await,
        Command::Status { no_drift } => status::status(&open().await?, !no_drift, output).await,
        Command::Plan { out, no_drift } => {
            rebuild::plan(&open().await?, out.as_deref(), !no_drift, output).await
        }
        Command::Run {
            plan,
            confirm,
            or_resume,
            rehearse,
        } => {
            let project = open().await?;
            if let Some(name) = rehearse {
                return rehearse::rehearse(&project, &name, output).await;
            }
            if or_resume && let Some(run) = project.open_run().await? {
                return rebuild::resume(&project, Some(run), output).await;
            }
            rebuild::run(&project, plan.as_deref(), confirm.as_deref(), output).await
        }
        Command::Resume { run } => rebuild::resume(&open().await?, run, output).await,
        Command::Rollback {
            run,
            confirm,
            accept_writes,
        } => {
            let project = open().await?;
            rebuild::rollback(&project, run, confirm.as_deref(), accept_writes, output).await
        }
        Command::Purge { run, confirm, now } => {
            rebuild::purge(&open().await?, run, confirm.as_deref(), now, output).await
        }
        Command::Backup { sharing } => {
            backups::take(&open().await?, sharing.sharing().as_ref(), output).await
        }
        Command::Backups(command) => {
            // What is in the store can be read though the database cannot be reached.
            let project = match command {
                Backups::List | Backups::Show { .. } | Backups::Export { .. } => store().await?,
                Backups::Check { .. } | Backups::Prune { .. } => open().await?,
            };
            backups::backups(&project, command, output).await
        }
        Command::Instance(command) => {
            // One that is not there yet cannot be reached.
            let project = match command {
                Instance::Create => store().await?,
                Instance::Restore { .. } | Instance::Users => open().await?,
            };
            instance::instance(&project, command, output).await
        }
        Command::Restore {
            backup,
            into,
            tables,
            from,
            roles,
            drop_role,
            trust,
            no_precheck,
            sharing,
        } => {
            let project = open().await?;
            let Some(dump) = from else {
                let how = match sharing.sharing() {
                    Some(sharing) => backups::By::Workers(sharing),
                    None => backups::By::Us {
                        precheck: !no_precheck,
                    },
                };
                let choice = (backup, &*into, &*tables);
                return backups::restore(&project, choice, how, output).await;
            };
            let map = drop_role
                .into_iter()
                .fold(RoleMap::default(), RoleMap::leave_out);
            let map = roles
                .into_iter()
                .fold(map, |map, (old, new)| map.rename(old, new));
            backups::restore_dump(&project, &dump, &into, map, trust, output).await
        }
        Command::Copy {
            source,
            target,
            maintenance_database,
            backup_folder,
            sharing,
        } => {
            let (databases, server) = ((&*source, &*target), &*maintenance_database);
            let Some(sharing) = sharing.sharing() else {
                return copy::copy(databases, server, backup_folder.as_deref(), output).await;
            };
            copy::copy_shared(&open().await?, databases, server, &sharing, output).await
        }
        Command::Verify {
            with: Some(other),
            rows,
            sharing,
            ..
        } => {
            let sharing = sharing.sharing();
            compare::compare(&open().await?, &other, rows, sharing.as_ref(), output).await
        }
        Command::Verify {
            backup,
            rows,
            sharing,
            ..
        } => {
            let sharing = sharing.sharing();
            if rows && (backup.is_none() || sharing.is_some()) {
                return Err(Error::usage(
                    "rows are named of a comparison, and workers do not name those of a backup",
                )
                .hint("give --with URL, or --backup ID without --workers"));
            }
            if sharing.is_some() && backup.is_none() {
                return Err(
                    Error::usage("without rows to compare there is nothing to share")
                        .hint("give --backup ID or --with URL"),
                );
            }
            status::verify(&open().await?, backup, rows, sharing.as_ref(), output).await
        }
        Command::Worker {
            work,
            index,
            wait,
            databases,
        } => {
            let project = open_worker(&file, output).await?;
            worker::worker(&project, (work, index, wait.0), databases, output).await
        }
        Command::Runs(command) => runs::runs(&store().await?, command, output).await,
        Command::Schema => {
            output.data(&spec::json_schema(), |schema| format!("{schema:#}\n"));
            Ok(Code::Done)
        }
        Command::Completions { shell } => {
            let mut command = Args::command();
            clap_complete::generate(shell, &mut command, "rebuild", &mut std::io::stdout());
            Ok(Code::Done)
        }
    }
}

/// The spec, if it is one that may be run.
fn read(file: &Path, environment: &Environment) -> Result<Spec> {
    crate::keep::trusted_spec(file)?;
    spec::load(file, &|name| environment.get(name).map(str::to_owned))
}

/// For verbs that need the journals alone, which are there even if the cluster is not.
async fn open_store(file: &Path, output: &Output) -> Result<Project> {
    let environment = Environment::from_process();
    let spec = read(file, &environment)?;
    Project::open_store(
        spec,
        &environment,
        output.events(),
        crate::signals::stop_token(),
    )
    .await
}

/// For a worker, which has the cluster around it and asks nothing of it.
async fn open_worker(file: &Path, output: &Output) -> Result<Project> {
    let environment = Environment::from_process();
    let spec = read(file, &environment)?;
    let stop = crate::signals::stop_token();
    Project::open_worker(spec, &environment, output.events(), stop).await
}

async fn open(
    file: &Path,
    functions: Option<Arc<dyn Functions>>,
    output: &Output,
) -> Result<Project> {
    let environment = Environment::from_process();
    let spec = read(file, &environment)?;
    let stop = crate::signals::stop_token();
    let project = Project::open(spec, &environment, output.events(), stop).await?;
    Ok(match functions {
        Some(functions) => project.with_functions(functions),
        None => project,
    })
}
