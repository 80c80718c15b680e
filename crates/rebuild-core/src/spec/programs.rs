//! What does the steps of a spec: exactly one thing each.

use super::bigquery::{check_queries, check_table};
use super::cloud_run::{check_service, region};
use super::gcp::part;
use super::{
    CheckSpec, CloudRunTaskSpec, CommandSpec, GcpSpec, MigratorSpec, Program, Spec, WorkloadSpec,
    cloud_run, kubernetes,
};
use crate::error::{Error, Result};

/// The place of the steps of a remedy.
const REMEDY: &str = "after.bigquery.remedy";

/// Checks that each step says what does it, once.
///
/// # Errors
/// The first that does not, with its key.
pub(super) fn check(spec: &Spec) -> Result<()> {
    for workload in &spec.workloads {
        check_workload(spec, workload)?;
    }
    for load in &spec.loads {
        check_command(spec, "load", load)?;
    }
    for after in &spec.after {
        check_command(spec, "after", after)?;
        let remedy = after.bigquery.iter().flat_map(|b| &b.remedy);
        for step in remedy {
            check_command(spec, REMEDY, step)?;
        }
    }
    let schema = spec.schema.command.iter().map(|m| ("schema.command", m));
    let newest = spec.migrate.iter().map(|m| ("migrate", m));
    for (key, migrator) in schema.chain(newest) {
        check_migrator(spec, key, migrator)?;
    }
    for check in &spec.checks {
        check_elsewhere(spec, check)?;
    }
    let hooks = &spec.hooks;
    (hooks.on_success.iter().map(|p| ("hooks.on_success", p)))
        .chain(hooks.on_failure.iter().map(|p| ("hooks.on_failure", p)))
        .try_for_each(|(key, program)| named(key, program))
}

/// What does something in the place of commands, as the keys have it.
fn given<const N: usize>(keys: [(&'static str, bool); N]) -> Vec<&'static str> {
    let given = keys.into_iter().filter(|(_, given)| *given);
    given.map(|(key, _)| key).collect()
}

fn check_workload(spec: &Spec, workload: &WorkloadSpec) -> Result<()> {
    let status = workload.status.iter().map(|p| ("workload.status", p));
    let mut commands = [
        ("workload.stop", &workload.stop),
        ("workload.start", &workload.start),
    ]
    .into_iter()
    .chain(status);
    let instead = given([
        ("function", workload.function.is_some()),
        ("kubernetes", workload.kubernetes.is_some()),
        ("cloud_run", workload.cloud_run.is_some()),
    ]);
    match instead[..] {
        [] => commands.try_for_each(|(key, program)| named(key, program))?,
        [one] => {
            unused(commands, &workload.name, one)?;
            let programs = [
                ("env", !workload.env.is_empty()),
                ("cwd", workload.cwd.is_some()),
            ];
            refuse_programs("workload", &workload.name, one, programs)?;
        }
        [one, other, ..] => return Err(both("workload", &workload.name, one, other)),
    }
    match &workload.cloud_run {
        None => Ok(()),
        Some(service) => {
            let key = "workload.cloud_run";
            check_service(key, &service.service(), gcp(spec, key)?)
        }
    }
}

fn check_command(spec: &Spec, place: &str, command: &CommandSpec) -> Result<()> {
    let key = format!("{place}.command");
    let instead = given([
        ("function", command.function.is_some()),
        ("kubernetes", command.kubernetes.is_some()),
        ("cloud_run", command.cloud_run.is_some()),
        ("bigquery", command.bigquery.is_some()),
        ("infrastructure", command.infrastructure.is_some()),
    ]);
    match instead[..] {
        [] => return named(&key, &command.command),
        [one] => unused([(&*key, &command.command)], &command.name, one)?,
        [one, other, ..] => {
            return Err(both(&format!("{place}.{other}"), &command.name, one, other));
        }
    }
    let after = place != "load";
    if let Some(task) = &command.kubernetes {
        kubernetes::check_task(&format!("{place}.kubernetes"), task, after)?;
    }
    if let Some(task) = &command.cloud_run {
        check_cloud_run(spec, &format!("{place}.cloud_run"), task, after)?;
    }
    if let Some(queries) = &command.bigquery {
        let key = format!("{place}.bigquery");
        gcp(spec, &key)?;
        if !after {
            let why = "a backfill reads the database in service; only an [[after]] has it";
            return Err(Error::usage(format!("{key}: {why}")));
        }
        check_queries(&key, queries)?;
    }
    if let Some(name) = &command.infrastructure {
        check_infrastructure(spec, place, name)?;
    }
    let gets_variables = command.kubernetes.is_some() || command.cloud_run.is_some();
    let programs = [
        ("env", !gets_variables && !command.env.is_empty()),
        ("cwd", command.cwd.is_some()),
        ("url_variable", command.url_variable.is_some()),
        ("url_prefix", command.url_prefix.is_some()),
    ];
    refuse_programs(place, &command.name, instead[0], programs)
}

fn check_infrastructure(spec: &Spec, place: &str, name: &str) -> Result<()> {
    let wrong = |why: String| Err(Error::usage(format!("{place}.infrastructure: {why}")));
    if place != REMEDY {
        return wrong("only a remedy makes again what was removed".to_owned());
    }
    match spec.infrastructure.iter().any(|known| known.name == name) {
        true => Ok(()),
        false => wrong(format!("there is no [[infrastructure]] called {name:?}")),
    }
}

fn check_migrator(spec: &Spec, key: &str, migrator: &MigratorSpec) -> Result<()> {
    let argv = format!("{key}.argv");
    let instead = match (&migrator.kubernetes, &migrator.cloud_run) {
        (None, None) => return named(&argv, &migrator.argv),
        (Some(task), None) => {
            kubernetes::check_task(&format!("{key}.kubernetes"), task, false)?;
            "kubernetes"
        }
        (None, Some(task)) => {
            check_cloud_run(spec, &format!("{key}.cloud_run"), task, false)?;
            "cloud_run"
        }
        (Some(_), Some(_)) => return Err(both(key, key, "kubernetes", "cloud_run")),
    };
    unused([(&*argv, &migrator.argv)], key, instead)?;
    let programs = [
        ("cwd", migrator.cwd.is_some()),
        ("url_variable", migrator.url_variable.is_some()),
        ("url_prefix", migrator.url_prefix.is_some()),
    ];
    refuse_programs(key, key, instead, programs)
}

fn check_cloud_run(spec: &Spec, key: &str, task: &CloudRunTaskSpec, restarts: bool) -> Result<()> {
    cloud_run::check_task(key, task, gcp(spec, key)?, restarts)
}

/// Checks of what is in Google Cloud.
fn check_elsewhere(spec: &Spec, check: &CheckSpec) -> Result<()> {
    match check {
        CheckSpec::CloudRun {
            service,
            region: own,
            ..
        } => {
            let gcp = gcp(spec, "verify.service")?;
            part("verify.service", service)?;
            region("verify", own.as_ref(), gcp)
        }
        CheckSpec::BigqueryRows {
            bigquery, location, ..
        } => {
            gcp(spec, "verify.bigquery")?;
            part("verify.location", location)?;
            check_table("verify.bigquery", bigquery)
        }
        _ => Ok(()),
    }
}

impl Spec {
    /// The first key that Cloud Run or BigQuery does.
    #[cfg(all(feature = "postgres", not(feature = "gcp")))]
    pub(crate) fn needs_gcp(&self) -> Option<&'static str> {
        let does = |c: &CommandSpec| c.cloud_run.is_some() || c.bigquery.is_some();
        let migrates = |m: &Option<MigratorSpec>| m.as_ref().is_some_and(|m| m.cloud_run.is_some());
        let checks = |c: &CheckSpec| {
            matches!(
                c,
                CheckSpec::CloudRun { .. } | CheckSpec::BigqueryRows { .. }
            )
        };
        let keys = [
            (
                "workload",
                self.workloads.iter().any(|w| w.cloud_run.is_some()),
            ),
            ("schema.command", migrates(&self.schema.command)),
            ("migrate", migrates(&self.migrate)),
            ("load", self.loads.iter().any(does)),
            ("verify", self.checks.iter().any(checks)),
            ("after", self.after.iter().any(does)),
        ];
        keys.into_iter()
            .find(|(_, needs)| *needs)
            .map(|(key, _)| key)
    }
}

/// The project, which `key` means nothing without.
fn gcp<'a>(spec: &'a Spec, key: &str) -> Result<&'a GcpSpec> {
    spec.gcp.as_ref().ok_or_else(|| {
        Error::usage(format!(
            "{key}: there is no [gcp] that says which project of Google Cloud"
        ))
    })
}

fn named(key: &str, program: &Program) -> Result<()> {
    if program.first().is_none_or(String::is_empty) {
        return Err(Error::usage(format!("{key}: names no program")));
    }
    Ok(())
}

/// A function is a thing of which there are many; the others are names.
fn with_article(key: &str) -> &str {
    if key == "function" { "a function" } else { key }
}

fn both(key: &str, name: &str, one: &str, other: &str) -> Error {
    Error::usage(format!(
        "{key}: {name:?} has {} and {other}: which of them is meant?",
        with_article(one)
    ))
}

/// Refuses commands where there is something else as well: which of them would be called?
fn unused<'a>(
    commands: impl IntoIterator<Item = (&'a str, &'a Program)>,
    name: &str,
    has: &str,
) -> Result<()> {
    match commands
        .into_iter()
        .find(|(_, program)| !program.is_empty())
    {
        None => Ok(()),
        Some((key, _)) => Err(Error::usage(format!(
            "{key}: {name:?} has {}, so it cannot have a command",
            with_article(has)
        ))),
    }
}

/// Refuses keys that are said of a program of this machine, where something else does it.
fn refuse_programs<const N: usize>(
    place: &str,
    name: &str,
    has: &str,
    keys: [(&'static str, bool); N],
) -> Result<()> {
    match given(keys).first() {
        None => Ok(()),
        Some(key) => Err(Error::usage(format!(
            "{place}.{key}: {name:?} has {}, which has no {key}",
            with_article(has)
        ))),
    }
}

#[cfg(test)]
mod tests;
