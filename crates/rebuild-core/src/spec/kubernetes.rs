//! `[kubernetes]`: the cluster around the database.

use schemars::JsonSchema;
use serde::Deserialize;

use super::workers::{self, WorkersSpec};
use super::{CheckSpec, Spec, StrategySpec, Within};
use crate::error::{Error, Result};

/// `[kubernetes]`: the cluster, and the one namespace of it in which everything happens. Both are
/// named here and shown in the plan; the context that `kubectl` is set to counts for nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesSpec {
    /// The context of the kubeconfig; `in-cluster` is the service account of the pod that the run
    /// itself is in.
    pub context: String,
    /// The namespace.
    pub namespace: String,
    /// The kubeconfig, relative to the spec; without it the files that KUBECONFIG names, or
    /// `~/.kube/config`.
    #[serde(default)]
    pub kubeconfig: Option<String>,
    /// Hold a Lease in the namespace during a run, besides the database's own lock.
    #[serde(default = "yes")]
    pub lease: bool,
    /// The pods that share a work, for `--workers k8s:N`.
    #[serde(default)]
    pub workers: Option<WorkersSpec>,
}

/// `[target.kubernetes]`: the pod that the database runs in. It is reached by a port-forward
/// through the API server; nothing is exposed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetPodSpec {
    /// The Service in front of it. Jobs of the run find the database there, too.
    #[serde(default)]
    pub service: Option<String>,
    /// Labels that the one pod has and no other, for example `app=postgres,role=primary`; in the
    /// place of a Service.
    #[serde(default)]
    pub selector: Option<String>,
    /// The port of the Service, or of the container.
    #[serde(default = "postgres_port")]
    pub port: u16,
    /// The Secret with the role's password.
    #[serde(default)]
    pub secret: Option<TargetSecretSpec>,
    /// How the pod's port is reached.
    #[serde(default)]
    pub via: ViaSpec,
    /// The container that `via = "exec"` runs its program in; without it, the pod's first.
    #[serde(default)]
    pub container: Option<String>,
    /// Take a snapshot of the volumes with each backup, besides the rows.
    #[serde(default)]
    pub snapshot: Option<SnapshotSpec>,
    /// Replace the whole server with its volumes, and not the database alone. Needs
    /// `strategy = "in-place"`.
    #[serde(default)]
    pub replace: Option<ReplaceSpec>,
}

/// How the pod's port is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ViaSpec {
    /// A port-forward of the API server.
    #[default]
    PortForward,
    /// A program in the container that carries bytes to the port: `bash`, or `nc`. For clusters that
    /// allow exec and no port-forward.
    Exec,
}

/// `[target.kubernetes.snapshot]`: a VolumeSnapshot of each claim of the database's pod. It is as the
/// volume was in the middle of work, and a server that starts on it recovers as after a crash.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotSpec {
    /// The VolumeSnapshotClass; without it, the cluster's default for the driver.
    #[serde(default)]
    pub class: Option<String>,
    /// How long it may take until they can be used.
    #[serde(default = "half_an_hour")]
    pub timeout: Within,
}

/// `[target.kubernetes.replace]`: the server and its volumes make room for new ones. The old volumes
/// are kept until they are purged, and come back with everything around them on a rollback.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceSpec {
    /// What goes, in this order: `job/NAME`, `statefulset/NAME`, `deployment/NAME`, `service/NAME`.
    /// The claims of their pods go after them.
    pub objects: Vec<String>,
    /// More claims that go.
    #[serde(default)]
    pub claims: Vec<String>,
    /// Manifests of what takes their place, in YAML, relative to the spec; applied in this order.
    #[serde(default)]
    pub manifests: Vec<String>,
    /// Finalizers that are taken off what still waits for them when the time is up, for example
    /// `foregroundDeletion`. What they were to do is then not done.
    #[serde(default)]
    pub remove_finalizers: Vec<String>,
    /// Other databases of the server, which go with it and are not backed up.
    #[serde(default)]
    pub databases: Vec<String>,
    /// How long each object may take to go or to come.
    #[serde(default = "ten_minutes")]
    pub timeout: Within,
}

/// `[target.kubernetes.secret]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetSecretSpec {
    /// The Secret.
    pub name: String,
    /// The key of the password.
    #[serde(default = "password")]
    pub password_key: String,
    /// The key of the role's name; without it, the URL names the role.
    #[serde(default)]
    pub user_key: Option<String>,
}

/// `kubernetes` of a `[[load]]`, an `[[after]]`, `[schema.command]` or `[migrate]`: what the
/// cluster does in the place of a command. Exactly one of its keys.
///
/// A Job finds the database in PGDATABASE and PGUSER, and in PGHOST and PGPORT if the target is
/// behind a Service. Its password is in its manifest, by a Secret.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterTaskSpec {
    /// The manifest of a Job, relative to the spec.
    pub job: Option<String>,
    /// A CronJob whose Job is run now.
    pub cronjob: Option<String>,
    /// A Deployment or StatefulSet whose pods are replaced, for example `deployment/api`.
    pub restart: Option<String>,
}

impl ClusterTaskSpec {
    /// The keys that are there.
    fn given(&self) -> impl Iterator<Item = &'static str> {
        let keys = [
            ("job", &self.job),
            ("cronjob", &self.cronjob),
            ("restart", &self.restart),
        ];
        keys.into_iter()
            .filter(|(_, value)| value.is_some())
            .map(|(key, _)| key)
    }
}

/// Checks what concerns the cluster.
///
/// # Errors
/// The first thing that does not fit, with its key.
pub(super) fn check(spec: &Spec) -> Result<()> {
    let wrong = |key: &str, why: &str| Err(Error::usage(format!("{key}: {why}")));
    if let Some(key) = needs_cluster(spec)
        && spec.kubernetes.is_none()
    {
        return wrong(key, "there is no [kubernetes] that says which cluster");
    }
    if let Some(cluster) = &spec.kubernetes {
        for (key, value) in [
            ("kubernetes.context", &cluster.context),
            ("kubernetes.namespace", &cluster.namespace),
        ] {
            if value.is_empty() {
                return wrong(key, "is empty");
            }
        }
        cluster.workers.as_ref().map_or(Ok(()), workers::check)?;
    }
    check_replace(spec)?;
    let pod = spec.target.kubernetes.as_ref();
    if pod.is_some_and(|pod| pod.container.is_some() && pod.via != ViaSpec::Exec) {
        return wrong(
            "target.kubernetes.container",
            "a port-forward leads to the pod; only via = \"exec\" asks for a container",
        );
    }
    match &spec.target.kubernetes {
        Some(pod) if pod.service.is_some() == pod.selector.is_some() => wrong(
            "target.kubernetes",
            "names either the service in front of the pod or the selector of its labels",
        ),
        _ => Ok(()),
    }
}

/// A server is replaced in place, under the Lease, by something.
fn check_replace(spec: &Spec) -> Result<()> {
    let wrong = |key: &str, why: &str| Err(Error::usage(format!("{key}: {why}")));
    let Some(replace) = spec.replacement() else {
        return Ok(());
    };
    if spec.target.strategy != StrategySpec::InPlace {
        return wrong(
            "target.strategy",
            "a server cannot stand beside itself; with target.kubernetes.replace it is \"in-place\"",
        );
    }
    if spec.kubernetes.as_ref().is_some_and(|k| !k.lease) {
        return wrong(
            "kubernetes.lease",
            "the database's own lock goes with its server, so the Lease is needed",
        );
    }
    if replace.objects.is_empty() {
        return wrong("target.kubernetes.replace.objects", "names nothing");
    }
    Ok(())
}

impl Spec {
    /// What is replaced with the database, if it is a whole server.
    pub(crate) fn replacement(&self) -> Option<&ReplaceSpec> {
        self.target.kubernetes.as_ref()?.replace.as_ref()
    }
}

/// Checks one task; `key` is where it stands, and `restarts` says whether a restart has a meaning
/// there.
///
/// # Errors
/// It names nothing to do, or more than one thing.
pub(super) fn check_task(key: &str, task: &ClusterTaskSpec, restarts: bool) -> Result<()> {
    let given: Vec<&str> = task.given().collect();
    match given[..] {
        ["restart"] if !restarts => Err(Error::usage(format!(
            "{key}.restart: a restart does nothing to a database; only an [[after]] has it"
        ))),
        [_] => Ok(()),
        _ => Err(Error::usage(format!(
            "{key}: names exactly one of job, cronjob and restart"
        ))),
    }
}

/// The first key that means nothing without a cluster.
fn needs_cluster(spec: &Spec) -> Option<&'static str> {
    let tasks = |list: &[super::CommandSpec]| list.iter().any(|c| c.kubernetes.is_some());
    let migrator =
        |m: &Option<super::MigratorSpec>| m.as_ref().is_some_and(|m| m.kubernetes.is_some());
    let check = |c: &CheckSpec| matches!(c, CheckSpec::Rollout { .. } | CheckSpec::Claim { .. });
    let workload = spec.workloads.iter().any(|w| w.kubernetes.is_some());
    [
        ("target.kubernetes", spec.target.kubernetes.is_some()),
        ("workload.kubernetes", workload),
        ("load.kubernetes", tasks(&spec.loads)),
        ("after.kubernetes", tasks(&spec.after)),
        // What is left of these is in remedies.
        (
            "after.bigquery.remedy.kubernetes",
            spec.commands().any(|c| c.kubernetes.is_some()),
        ),
        ("schema.command.kubernetes", migrator(&spec.schema.command)),
        ("migrate.kubernetes", migrator(&spec.migrate)),
        ("verify", spec.checks.iter().any(check)),
    ]
    .into_iter()
    .find(|(_, needs)| *needs)
    .map(|(key, _)| key)
}

fn yes() -> bool {
    true
}

fn postgres_port() -> u16 {
    5432
}

fn half_an_hour() -> Within {
    Within::seconds(1800)
}

fn ten_minutes() -> Within {
    Within::seconds(600)
}

fn password() -> String {
    "password".to_owned()
}

#[cfg(test)]
mod tests {
    const CLUSTER: &str = "[kubernetes]\ncontext = \"c\"\nnamespace = \"n\"\n";

    #[test]
    fn what_does_not_fit_is_refused_with_its_key() {
        let replace = "[target.kubernetes]\nservice = \"db\"\n[target.kubernetes.replace]\n";
        let server = format!("{replace}objects = [\"sts/db\"]\n");
        for (target, more, why) in [
            (
                "",
                "[target.kubernetes]\nservice = \"db\"\n",
                "target.kubernetes: there is no [kubernetes]",
            ),
            (
                "",
                "[kubernetes]\ncontext = \"\"\nnamespace = \"n\"\n",
                "kubernetes.context: is empty",
            ),
            (
                "",
                &format!("{CLUSTER}[target.kubernetes]\nservice = \"db\"\nselector = \"a=b\"\n"),
                "either the service in front of the pod or the selector",
            ),
            (
                "",
                &format!("{CLUSTER}[target.kubernetes]\nservice = \"db\"\ncontainer = \"pg\"\n"),
                "target.kubernetes.container: a port-forward leads to the pod",
            ),
            (
                "",
                &format!(
                    "{CLUSTER}[[load]]\nname = \"a\"\nkubernetes = {{ restart = \"sts/a\" }}\n"
                ),
                "a restart does nothing to a database",
            ),
            (
                "",
                &format!("{CLUSTER}{server}"),
                "target.strategy: a server cannot stand beside itself",
            ),
            (
                "strategy = \"in-place\"\n",
                &format!("{CLUSTER}lease = false\n{server}"),
                "kubernetes.lease: the database's own lock goes with its server",
            ),
            (
                "strategy = \"in-place\"\n",
                &format!("{CLUSTER}{replace}objects = []\n"),
                "target.kubernetes.replace.objects: names nothing",
            ),
        ] {
            let text = format!(
                "version = 1\nstore.url = \"store\"\n[target]\nurl = \"postgresql:///app\"\n\
                 {target}{more}"
            );
            let folder = std::path::Path::new(".");
            let error =
                crate::spec::parse(&text, "rebuild.toml", folder, &|_| None).expect_err(&text);
            assert_eq!(error.kind(), crate::ErrorKind::Usage, "{error:?}");
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }
}
