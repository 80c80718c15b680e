//! The spec of a rehearsal: the same, without what reaches out of the database and its infrastructure.

use crate::error::{Error, Result};
use crate::model::infrastructure::InfrastructureTool;
use crate::plan::RehearsalName;
use crate::spec::{
    CheckSpec, CloudRunTaskSpec, CommandSpec, EndSessionsSpec, MakerSpec, MigratorSpec, Spec,
    StrategySpec,
};

use super::named;

/// `spec` for the rehearsal `name`, and what of it is not rehearsed, a line each.
pub(super) fn alike(spec: &Spec, name: &RehearsalName) -> (Spec, Vec<String>) {
    let mut alike = spec.clone();
    let mut left_out = Vec::new();
    writers(&mut alike, &mut left_out);
    copies_elsewhere(&mut alike, &mut left_out);
    server(&mut alike, &mut left_out);
    infrastructure(&mut alike, name, &mut left_out);
    let in_place = is_in_place(spec);
    let elsewhere = |load: &CommandSpec| {
        load.kubernetes.is_some() || stays_out(load.cloud_run.as_ref(), in_place)
    };
    for load in alike.loads.extract_if(.., |load| elsewhere(load)) {
        left_out.push(format!("load {:?}: it is done elsewhere", load.name));
    }
    for check in alike.checks.extract_if(.., |check| looks_elsewhere(check)) {
        left_out.push(format!("verify {}", kind(&check)));
    }
    for after in alike.after.drain(..) {
        left_out.push(format!("after {:?}", after.name));
    }
    let hooks = std::mem::take(&mut alike.hooks);
    if hooks.on_success.is_some() || hooks.on_failure.is_some() {
        left_out.push("hooks: nobody is told how it ended".to_owned());
    }
    (alike, left_out)
}

/// Makes sure that `spec` can be rehearsed as `name`. `target` is the name of its database.
///
/// # Errors
/// A refusal of what cannot be, with its key.
pub(super) fn refuse(spec: &Spec, name: &RehearsalName, target: &str) -> Result<()> {
    let migrators = [
        ("schema.command", spec.schema.command.as_ref()),
        ("migrate", spec.migrate.as_ref()),
    ];
    let migrators = || migrators.iter().filter_map(|(key, m)| Some((*key, (*m)?)));
    let in_place = is_in_place(spec);
    let elsewhere =
        |m: &MigratorSpec| m.kubernetes.is_some() || stays_out(m.cloud_run.as_ref(), in_place);
    if let Some((key, _)) = migrators().find(|(_, migrator)| elsewhere(migrator)) {
        return Err(Error::refused(format!(
            "{key}: this job elsewhere is not begun by a rehearsal, and without it there is no new schema"
        ))
        .hint(
            "rehearse with a spec that runs the migrator as a program; or, for a job of Cloud Run that takes \
             the database's name from PGDATABASE alone, with target.strategy = \"aside\" and \
             cloud_run.rehearse = true",
        ));
    }
    for wanted in &spec.infrastructure {
        if wanted.tool.is_terraform_like() && wanted.workspace.as_deref() == Some(name.as_str()) {
            return Err(Error::refused(format!(
                "infrastructure {:?} is in the workspace {name} itself",
                wanted.name
            ))
            .hint("give the rehearsal another name"));
        }
    }
    one_workspace_in_a_folder(spec)?;
    let loads = spec.loads.iter();
    let loads = loads.map(|l| {
        let job = l.cloud_run.as_ref();
        (format!("load {:?}", l.name), &l.command, &l.env, job)
    });
    let migrators = migrators().map(|(key, m)| {
        let job = m.cloud_run.as_ref();
        (key.to_owned(), &m.argv, &m.env, job)
    });
    for (what, program, env, job) in loads.chain(migrators) {
        // Beside the target a program here may read the old rows by their name, as it does in the run.
        // Nobody sees what a job elsewhere does with it.
        match job {
            Some(job) if !in_place => named::refuse(&what, &program_of(job), env, target)?,
            None if in_place => named::refuse(&what, program, env, target)?,
            _ => {}
        }
    }
    Ok(())
}

/// True if a job of Cloud Run is not begun by a rehearsal: one that takes the database's name from anywhere else
/// than the variables that it is given would do its work on the target, which stays open. Only the spec's
/// author knows.
fn stays_out(job: Option<&CloudRunTaskSpec>, in_place: bool) -> bool {
    job.is_some_and(|job| in_place || !job.rehearse)
}

/// True if the new database has the target's own name in a run.
fn is_in_place(spec: &Spec) -> bool {
    spec.target.strategy == StrategySpec::InPlace
}

/// The program of a job, which its image says, and the arguments that it gets.
fn program_of(job: &CloudRunTaskSpec) -> Vec<String> {
    let args = job.args.iter().flatten().cloned();
    std::iter::once(String::new()).chain(args).collect()
}

/// Several parts of a spec may share a workspace, and share that of the rehearsal. Two workspaces of one
/// folder would be one in it.
fn one_workspace_in_a_folder(spec: &Spec) -> Result<()> {
    let with = || {
        spec.infrastructure
            .iter()
            .filter(|i| i.tool.is_terraform_like())
    };
    for (at, one) in with().enumerate() {
        let place = (&one.workspace, &one.backend_files);
        let mut others = with().skip(at + 1).filter(|o| o.folder == one.folder);
        if let Some(other) = others.find(|o| (&o.workspace, &o.backend_files) != place) {
            return Err(Error::refused(format!(
                "infrastructure {:?} and {:?} are two workspaces of one folder, and would be one in a \
                 rehearsal",
                one.name, other.name
            ))
            .hint("rehearse with a spec that has one of them"));
        }
    }
    Ok(())
}

/// The target stays open, and whoever writes to it goes on.
fn writers(alike: &mut Spec, left_out: &mut Vec<String>) {
    for workload in alike.workloads.drain(..) {
        left_out.push(format!(
            "workload {:?}: it is neither stopped nor started",
            workload.name
        ));
    }
    let ends = !matches!(alike.quiesce.end_sessions, EndSessionsSpec::All(false));
    if alike.quiesce.read_only || ends {
        left_out.push("quiesce: the target stays open to writers".to_owned());
    }
}

/// What is kept outside of the store.
fn copies_elsewhere(alike: &mut Spec, left_out: &mut Vec<String>) {
    if let Some(cluster) = &mut alike.kubernetes {
        cluster.lease = false;
    }
    if let Some(pod) = &mut alike.target.kubernetes
        && pod.snapshot.take().is_some()
    {
        left_out.push("target.kubernetes.snapshot".to_owned());
    }
    if let Some(instance) = &mut alike.target.cloudsql {
        for user in instance.users.drain(..) {
            let name = user.name;
            left_out.push(format!(
                "target.cloudsql.users {name:?}: would stay in the instance"
            ));
        }
        if instance.backup_run.take().is_some() {
            left_out.push("target.cloudsql.backup_run".to_owned());
        }
        if instance.export.take().is_some() {
            left_out.push("target.cloudsql.export".to_owned());
            if alike.restore.fallback.take().is_some() {
                left_out.push("restore.fallback: there is no export to fall back on".to_owned());
            }
        }
    }
}

/// The server stays: the database alone is made anew, in a copy of it.
fn server(alike: &mut Spec, left_out: &mut Vec<String>) {
    let pod = alike.target.kubernetes.as_mut();
    let pod = pod.and_then(|pod| pod.replace.take());
    let instance = alike.target.cloudsql.as_mut();
    let instance = instance.and_then(|instance| instance.replace.take());
    let made_by_tools = match (&pod, &instance) {
        (Some(pod), _) => pod.manifests.is_empty(),
        (_, Some(instance)) => instance.made_by == MakerSpec::Infrastructure,
        (None, None) => return,
    };
    let key = if pod.is_some() {
        "kubernetes"
    } else {
        "cloudsql"
    };
    left_out.push(format!("target.{key}.replace: the server stays"));
    if made_by_tools {
        for tool in alike.infrastructure.drain(..) {
            left_out.push(format!(
                "infrastructure {:?} ({}): the new server is made by it",
                tool.name, tool.tool
            ));
        }
    }
}

/// The same files in another workspace, which is there by then.
fn infrastructure(alike: &mut Spec, name: &RehearsalName, left_out: &mut Vec<String>) {
    for wanted in &mut alike.infrastructure {
        if wanted.tool.is_terraform_like() {
            wanted.workspace = Some(name.to_string());
            wanted.create_workspace = false;
        } else {
            let why = match wanted.tool {
                InfrastructureTool::Helm => "a release has no workspaces",
                _ => "it saves no plan of a removal",
            };
            left_out.push(format!(
                "infrastructure {:?} ({}): {why}",
                wanted.name, wanted.tool
            ));
        }
    }
    alike.infrastructure.retain(|i| i.tool.is_terraform_like());
}

/// True for what something else than the database answers, or a function that is given it.
fn looks_elsewhere(check: &CheckSpec) -> bool {
    match check {
        CheckSpec::Function { .. } => false,
        CheckSpec::Http { .. } => true,
        other => other.is_elsewhere(),
    }
}

fn kind(check: &CheckSpec) -> String {
    match check {
        CheckSpec::Http { url, .. } => format!("http {url}"),
        CheckSpec::Rollout { workload, .. } => format!("rollout {workload}"),
        CheckSpec::Claim { claim } => format!("claim {claim}"),
        CheckSpec::CloudRun { service, .. } => format!("cloud_run {service}"),
        CheckSpec::BigqueryRows { bigquery, .. } => format!("bigquery_rows {bigquery}"),
        _ => "of something elsewhere".to_owned(),
    }
}

#[cfg(test)]
mod tests;
