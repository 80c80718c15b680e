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
        [one] => unused(commands, &workload.name, one)?,
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
    let has_neither = command.function.is_some()
        || command.bigquery.is_some()
        || command.infrastructure.is_some();
    if has_neither && !(command.env.is_empty() && command.cwd.is_none()) {
        return Err(Error::usage(format!(
            "{key}: {:?} has {}, which has neither env nor cwd",
            command.name,
            with_article(instead[0])
        )));
    }
    Ok(())
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
    match (&migrator.kubernetes, &migrator.cloud_run) {
        (None, None) => return named(&argv, &migrator.argv),
        (Some(task), None) => {
            kubernetes::check_task(&format!("{key}.kubernetes"), task, false)?;
            unused([(&*argv, &migrator.argv)], key, "kubernetes")?;
        }
        (None, Some(task)) => {
            check_cloud_run(spec, &format!("{key}.cloud_run"), task, false)?;
            unused([(&*argv, &migrator.argv)], key, "cloud_run")?;
        }
        (Some(_), Some(_)) => return Err(both(key, key, "kubernetes", "cloud_run")),
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    const GCP: &str = "[gcp]\nproject = \"p\"\nregion = \"europe-west1\"\n";
    const JOB: &str = "[[load]]\nname = \"a\"\n[load.cloud_run]\n";
    const QUERIES: &str = "[[after]]\nname = \"a\"\n[after.bigquery]\nlocation = \"eu\"\n";

    fn refusal(text: &str) -> String {
        let text = format!(
            "version = 1\nstore.url = \"store\"\ntarget.url = \"postgresql:///app\"\n{text}"
        );
        let folder = std::path::Path::new(".");
        let read = crate::spec::parse(&text, "rebuild.toml", folder, &|_| None);
        let error = read.map(|_| ()).expect_err(&text);
        assert_eq!(error.kind(), crate::ErrorKind::Usage, "{error:?}");
        error.to_string()
    }

    #[test]
    fn what_google_cloud_does_is_checked_with_its_key() {
        let query = "[[after.bigquery.backfill]]\nconfig = \"c\"\n";
        for (text, why) in [
            (
                format!("{JOB}job = \"j\"\n"),
                "load.cloud_run: there is no [gcp]",
            ),
            (
                format!("{GCP}{JOB}"),
                "load.cloud_run: names exactly one of job and restart",
            ),
            (
                format!("{GCP}{JOB}restart = \"s\"\n"),
                "load.cloud_run.restart: a restart does nothing",
            ),
            (
                format!("[gcp]\nproject = \"p\"\n{JOB}job = \"j\"\n"),
                "load.cloud_run.region: neither",
            ),
            (
                format!("{GCP}{JOB}job = \"a/b\"\n"),
                "load.cloud_run.job: \"a/b\" is not a name",
            ),
            (
                format!("{GCP}{JOB}job = \"j\"\nmax_percent_of_groups = 75\n"),
                "max_percent_of_groups: means nothing without groups",
            ),
            (
                format!("{GCP}{JOB}job = \"j\"\ngroups = 3\nmax_percent_of_groups = 101\n"),
                "max_percent_of_groups: is from 1 to 100",
            ),
            (
                format!(
                    "{GCP}[[after]]\nname = \"a\"\ncloud_run = {{ restart = \"s\", tasks = 3 }}\n"
                ),
                "after.cloud_run.tasks: is said of a job",
            ),
            (
                format!(
                    "{GCP}[[load]]\nname = \"a\"\nfunction = \"m:f\"\ncloud_run = {{ job = \"j\" }}\n"
                ),
                "load.cloud_run: \"a\" has a function and cloud_run: which of them is meant?",
            ),
            (
                format!(
                    "{GCP}[[load]]\nname = \"a\"\ncommand = [\"c\"]\ncloud_run = {{ job = \"j\" }}\n"
                ),
                "load.command: \"a\" has cloud_run, so it cannot have a command",
            ),
            (
                format!("{GCP}[migrate]\nargv = [\"c\"]\ncloud_run = {{ job = \"j\" }}\n"),
                "migrate.argv: \"migrate\" has cloud_run",
            ),
            (
                format!("{GCP}[[workload]]\nname = \"a\"\nfunction = \"m:f\"\ncloud_run = \"s\"\n"),
                "workload: \"a\" has a function and cloud_run",
            ),
            (
                "[[workload]]\nname = \"a\"\ncloud_run = \"s\"\n".to_owned(),
                "workload.cloud_run: there is no [gcp]",
            ),
            (
                format!(
                    "{GCP}[[load]]\nname = \"a\"\nbigquery = {{ location = \"eu\", backfill = [] }}\n"
                ),
                "load.bigquery: a backfill reads the database in service",
            ),
            (
                format!("{GCP}{QUERIES}backfill = []\n"),
                "after.bigquery.backfill: names no",
            ),
            (
                format!("{GCP}{QUERIES}{query}table = \"t\"\n"),
                "after.bigquery.backfill.table: \"t\" is not dataset.table",
            ),
            (
                format!(
                    "{GCP}{QUERIES}{query}[[after.bigquery.remedy]]\nname = \"r\"\ncommand = [\"c\"]\n"
                ),
                "after.bigquery.backfill.table: a remedy deletes",
            ),
            (
                format!(
                    "{GCP}{QUERIES}{query}table = \"d.t\"\n[[after.bigquery.remedy]]\nname = \"r\"\n"
                ),
                "after.bigquery.remedy.command: names no program",
            ),
            (
                format!(
                    "{GCP}{QUERIES}{query}table = \"d.t\"\n[[after.bigquery.remedy]]\nname = \"r\"\n\
                     infrastructure = \"stack\"\n"
                ),
                "after.bigquery.remedy.infrastructure: there is no [[infrastructure]] called \"stack\"",
            ),
            (
                "[[load]]\nname = \"a\"\ninfrastructure = \"stack\"\n".to_owned(),
                "load.infrastructure: only a remedy",
            ),
            (
                "[[verify]]\nkind = \"cloud_run\"\nservice = \"s\"\n".to_owned(),
                "verify.service: there is no [gcp]",
            ),
            (
                format!(
                    "{GCP}[gcp.prices]\nvcpu_second = -1.0\ngib_second = 0\ncurrency = \"EUR\"\n"
                ),
                "gcp.prices.vcpu_second: is no price",
            ),
        ] {
            let said = refusal(&text);
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn the_tasks_are_a_part_of_the_groups_and_at_least_one() {
        let of = |groups: u32, percent: Option<u32>| {
            let task = super::CloudRunTaskSpec {
                groups: std::num::NonZeroU32::new(groups),
                max_percent_of_groups: percent,
                ..Default::default()
            };
            task.most_tasks().map(std::num::NonZeroU32::get)
        };
        assert_eq!(of(280, Some(75)), Some(210));
        assert_eq!(of(3, Some(50)), Some(1));
        assert_eq!(of(1, Some(1)), Some(1));
        assert_eq!(of(7, None), Some(7));
        assert_eq!(of(0, None), None);
    }
}
