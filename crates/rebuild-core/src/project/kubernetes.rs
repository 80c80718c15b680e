//! The cluster that a spec names, and what of the spec lives in it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Project;
use crate::command::Redaction;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::k8s::{
    BothLocks, Cluster, ClusterAddress, ClusterCheck, ClusterJob, ClusterVerifier, ClusterWorkload,
    Credentials, Forward, JobSource, JobTask, LeaseLock, PodChoice, RestartTask, SecretKeys,
    ServiceAddress, SnapshotBackup, Through, WorkloadKind, WorkloadRef, require_snapshots,
};
use crate::model::{ClusterFacts, Endpoint, Host};
use crate::plan::Survey;
use crate::postgres::{FunctionMigrator, TargetLock};
use crate::spec::{
    CheckSpec, ClusterTaskSpec, CommandSpec, MigratorSpec, SnapshotSpec, Spec, TargetPodSpec,
    ViaSpec, Within, WorkersSpec, WorkloadSpec,
};
use crate::traits::{Backup, Lock, SchemaApplier, Task, Verifier, Workload};

/// The cluster, and the way to the database in it.
pub(super) struct Reached {
    cluster: Cluster,
    /// Held for as long as the project lives.
    _forward: Option<Forward>,
}

impl Reached {
    /// Opens the cluster that `spec` names, if it names one, and with it the way to the target,
    /// whose `endpoint` is then a port of this machine.
    ///
    /// # Errors
    /// The kubeconfig cannot be used; the pod is not there; the Secret cannot be read.
    pub(super) async fn open(
        spec: &Spec,
        environment: &crate::Environment,
        ctx: &Ctx,
        endpoint: &mut Endpoint,
    ) -> Result<Option<Self>> {
        let Some(named) = &spec.kubernetes else {
            return Ok(None);
        };
        let address = ClusterAddress {
            kubeconfig: named.kubeconfig.as_ref().map(|f| spec.folder().join(f)),
            context: named.context.clone(),
            namespace: named.namespace.clone(),
        };
        let cluster = Cluster::open(&address, environment).await?;
        let Some(pod) = &spec.target.kubernetes else {
            return Ok(Some(Self {
                cluster,
                _forward: None,
            }));
        };
        let forward = open_forward(&cluster, ctx, pod).await?;
        if let Some(secret) = &pod.secret {
            let keys = SecretKeys {
                name: secret.name.clone(),
                user: secret.user_key.clone(),
                password: secret.password_key.clone(),
            };
            let said = Credentials::read(&cluster, ctx, &keys).await?;
            endpoint.password = Some(said.password);
            endpoint.user = said.user.unwrap_or_else(|| endpoint.user.clone());
        }
        let through = forward.address();
        lead(endpoint, through.ip(), through.port());
        endpoint.via = Some(format!(
            "{} in {}",
            choice(pod).describe(),
            cluster.describe()
        ));
        Ok(Some(Self {
            cluster,
            _forward: Some(forward),
        }))
    }
}

/// A server that is being replaced may have no pod at the moment.
async fn open_forward(cluster: &Cluster, ctx: &Ctx, pod: &TargetPodSpec) -> Result<Forward> {
    let through = match pod.via {
        ViaSpec::PortForward => Through::PortForward,
        ViaSpec::Exec => Through::Exec(pod.container.clone()),
    };
    match Forward::open(cluster, ctx, choice(pod), through.clone()).await {
        Err(e) if pod.replace.is_some() => {
            ctx.events.warn(e.chain());
            Forward::listen(cluster, ctx, choice(pod), through).await
        }
        opened => opened,
    }
}

/// Leads to a port of this machine. A host that the URL names stays, for the certificate to prove.
fn lead(endpoint: &mut Endpoint, address: IpAddr, port: u16) {
    if let Host::Socket(_) = endpoint.host {
        endpoint.host = Host::Tcp("localhost".to_owned());
    }
    endpoint.hostaddr = Some(address);
    endpoint.port = port;
}

fn choice(pod: &TargetPodSpec) -> PodChoice {
    match (&pod.service, &pod.selector) {
        (Some(name), _) => PodChoice::Service {
            name: name.clone(),
            port: pod.port,
        },
        (None, selector) => PodChoice::Labels {
            selector: selector.clone().unwrap_or_default(),
            port: pod.port,
        },
    }
}

/// Makes sure that what the spec says of a cluster can be understood, before anything is touched.
///
/// # Errors
/// Wrong input, with the key; a manifest that cannot be read.
pub(super) fn check(spec: &Spec) -> Result<()> {
    replace::check(spec)?;
    let workloads = spec.workloads.iter().filter_map(|w| w.kubernetes.as_ref());
    workloads
        .map(|text| named("workload.kubernetes", text))
        .try_for_each(|read| read.map(|_| ()))?;
    for check in &spec.checks {
        if let CheckSpec::Rollout { workload, .. } = check {
            with_pods("verify.workload", workload)?;
        }
    }
    let workers = spec.kubernetes.as_ref().and_then(|k| k.workers.as_ref());
    if let Some(source) = workers.and_then(|workers| workers_source(spec, workers)) {
        source.check()?;
    }
    let commands = spec.commands();
    let migrators = spec.schema.command.iter().chain(&spec.migrate);
    let jobs = commands.clone().filter(|c| c.kubernetes.is_some());
    let jobs = jobs.map(|c| (&*c.name, &c.env));
    let migrating = migrators.clone().filter(|m| m.kubernetes.is_some());
    for (name, env) in jobs.chain(migrating.map(|m| ("the migrator", &m.env))) {
        refuse_own(spec, name, env)?;
    }
    let tasks = commands.filter_map(|c| c.kubernetes.as_ref());
    for task in tasks.chain(migrators.filter_map(|m| m.kubernetes.as_ref())) {
        match (&task.restart, source(spec, task)) {
            (Some(workload), _) => {
                with_pods("after.kubernetes.restart", workload)?;
            }
            (None, Some(source)) => source.check()?,
            (None, None) => {}
        }
    }
    Ok(())
}

/// What the run says, a Job's `env` in the spec cannot say otherwise.
fn refuse_own(spec: &Spec, name: &str, env: &BTreeMap<String, String>) -> Result<()> {
    let address = service_address(spec, "");
    match env.keys().find(|key| address.sets(key)) {
        None => Ok(()),
        Some(key) => Err(Error::usage(format!(
            "{name}: env.{key} is set by the run, and cannot be set by the spec"
        ))),
    }
}

fn service_address(spec: &Spec, user: &str) -> ServiceAddress {
    let pod = spec.target.kubernetes.as_ref();
    ServiceAddress {
        service: pod.and_then(|pod| Some((pod.service.clone()?, pod.port))),
        user: user.to_owned(),
    }
}

fn named(key: &str, text: &str) -> Result<WorkloadRef> {
    text.parse().map_err(|e: Error| e.context(key))
}

/// A workload that has pods of its own.
fn with_pods(key: &str, text: &str) -> Result<WorkloadRef> {
    let workload = named(key, text)?;
    match workload.kind {
        WorkloadKind::Deployment | WorkloadKind::StatefulSet => Ok(workload),
        WorkloadKind::CronJob => Err(Error::usage(format!(
            "{key}: {workload} has no pods of its own"
        ))
        .hint("name a deployment or a statefulset")),
    }
}

fn source(spec: &Spec, task: &ClusterTaskSpec) -> Option<JobSource> {
    match (&task.job, &task.cronjob) {
        (Some(file), _) => Some(JobSource::Manifest(spec.folder().join(file))),
        (None, Some(name)) => Some(JobSource::CronJob(name.clone())),
        (None, None) => None,
    }
}

mod replace;

fn workers_source(spec: &Spec, workers: &WorkersSpec) -> Option<JobSource> {
    let task = ClusterTaskSpec {
        job: workers.job.clone(),
        cronjob: workers.cronjob.clone(),
        restart: None,
    };
    source(spec, &task)
}

impl Project {
    /// The cluster; specs that need one and name none are refused when they are read.
    fn cluster(&self) -> Result<&Cluster> {
        self.reached
            .as_ref()
            .map(|reached| &reached.cluster)
            .ok_or_else(|| Error::internal("a spec without a cluster has something in it"))
    }

    /// What is in the namespace, if the spec names one.
    pub(super) async fn cluster_facts(&self, ctx: &Ctx) -> Result<Option<ClusterFacts>> {
        let Some(reached) = &self.reached else {
            return Ok(None);
        };
        if self.snapshots().is_some() {
            require_snapshots(&reached.cluster, ctx).await?;
        }
        let mut facts = reached.cluster.facts(ctx).await?;
        facts.replaced = self.replaced_server(ctx).await?;
        Ok(Some(facts))
    }

    fn snapshots(&self) -> Option<&SnapshotSpec> {
        self.spec.target.kubernetes.as_ref()?.snapshot.as_ref()
    }

    /// `backup`, and snapshots of the volumes besides, if the spec asks for them.
    pub(super) fn with_snapshots(&self, backup: Arc<dyn Backup>) -> Result<Arc<dyn Backup>> {
        let (Some(wanted), Some(pod)) = (self.snapshots(), &self.spec.target.kubernetes) else {
            return Ok(backup);
        };
        Ok(Arc::new(SnapshotBackup {
            rows: backup,
            cluster: self.cluster()?.clone(),
            pod: choice(pod),
            class: wanted.class.clone(),
            limit: wanted.timeout.0,
        }))
    }

    /// The workload, if it is one of the cluster.
    pub(super) fn cluster_workload(
        &self,
        spec: &WorkloadSpec,
    ) -> Result<Option<Arc<dyn Workload>>> {
        let Some(workload) = &spec.kubernetes else {
            return Ok(None);
        };
        let workload = named("workload.kubernetes", workload)?;
        let (cluster, limit) = (self.cluster()?.clone(), spec.timeout.0);
        Ok(Some(Arc::new(ClusterWorkload::new(
            cluster, &spec.name, workload, limit,
        ))))
    }

    /// The load or after-step, if the cluster does it.
    pub(super) fn cluster_task(&self, spec: &CommandSpec) -> Result<Option<Arc<dyn Task>>> {
        let Some(task) = &spec.kubernetes else {
            return Ok(None);
        };
        let env = spec.env.clone().into_iter().collect();
        self.task_of(&spec.name, task, env, spec.timeout).map(Some)
    }

    /// The migrator, if it is a Job.
    pub(super) fn cluster_migrator(
        &self,
        spec: &MigratorSpec,
    ) -> Result<Option<Arc<dyn SchemaApplier>>> {
        let Some(task) = &spec.kubernetes else {
            return Ok(None);
        };
        let env = spec.env.clone().into_iter().collect();
        let job = self.task_of("migrator", task, env, spec.timeout)?;
        let migrator = FunctionMigrator::new(job, self.endpoint.clone());
        Ok(Some(Arc::new(migrator)))
    }

    fn task_of(
        &self,
        name: &str,
        task: &ClusterTaskSpec,
        env: Vec<(String, String)>,
        limit: Within,
    ) -> Result<Arc<dyn Task>> {
        let cluster = self.cluster()?.clone();
        let (name, limit) = (name.to_owned(), limit.0);
        if let Some(workload) = &task.restart {
            return Ok(Arc::new(RestartTask {
                cluster,
                name,
                workload: with_pods("after.kubernetes.restart", workload)?,
                limit,
            }));
        }
        let source = source(&self.spec, task)
            .ok_or_else(|| Error::internal("a task of the cluster does nothing"))?;
        Ok(Arc::new(JobTask {
            cluster,
            name,
            source,
            env,
            address: self.service_address(),
            limit,
            redaction: Redaction::new(&self.endpoint.password()),
        }))
    }

    /// The Job of the workers, with `variables`, and how long it may take. Where the database is
    /// behind a Service, its pods are told so.
    ///
    /// # Errors
    /// The spec names no cluster, or no workers in it.
    pub(super) fn job_of_workers(
        &self,
        variables: Vec<(String, String)>,
    ) -> Result<(ClusterJob, Duration)> {
        let named = self.spec.kubernetes.as_ref();
        let workers = named.and_then(|k| k.workers.as_ref()).ok_or_else(|| {
            Error::usage("the spec has no [kubernetes.workers] that says what the workers are")
        })?;
        let source = workers_source(&self.spec, workers)
            .ok_or_else(|| Error::internal("the workers are made from nothing"))?;
        let address = self.service_address();
        let mut env = variables;
        if let Some((service, port)) = address.service {
            env.push(("PGHOST".to_owned(), service));
            env.push(("PGPORT".to_owned(), port.to_string()));
            env.push(("PGUSER".to_owned(), address.user));
        }
        let limit = workers.timeout.0;
        let job = ClusterJob {
            cluster: self.cluster()?.clone(),
            source,
            env,
            indexed: None,
            limit,
            redaction: Redaction::new(&self.endpoint.password()),
        };
        Ok((job, limit))
    }

    fn service_address(&self) -> ServiceAddress {
        service_address(&self.spec, &self.endpoint.user)
    }

    /// `first`, and after it the checks of the cluster. `began` is what a run saw there when it began.
    pub(super) fn with_cluster_checks(
        &self,
        first: Arc<dyn Verifier>,
        began: Option<&Survey>,
    ) -> Result<Arc<dyn Verifier>> {
        let mut checks = Vec::new();
        for check in &self.spec.checks {
            match check {
                CheckSpec::Rollout {
                    workload,
                    max_restarts,
                    timeout,
                } => checks.push(ClusterCheck::Rollout {
                    workload: with_pods("verify.workload", workload)?,
                    max_restarts: *max_restarts,
                    limit: timeout.0,
                }),
                CheckSpec::Claim { claim } => checks.push(ClusterCheck::Claim(claim.clone())),
                _ => {}
            }
        }
        if checks.is_empty() {
            return Ok(first);
        }
        let cluster = self.cluster()?.clone();
        let pods = began.and_then(|survey| survey.cluster.as_ref());
        let pods = pods.into_iter().flat_map(|cluster| &cluster.pods);
        Ok(Arc::new(ClusterVerifier {
            first,
            cluster,
            checks,
            restarts_before: pods.map(|pod| (pod.uid.clone(), pod.restarts)).collect(),
        }))
    }

    /// The lock on the target, and the Lease besides it.
    pub(super) fn with_lease(&self, lock: Arc<TargetLock>, target: &str) -> Arc<dyn Lock> {
        let wanted = self.spec.kubernetes.as_ref().is_some_and(|k| k.lease);
        match &self.reached {
            Some(reached) if wanted => Arc::new(BothLocks {
                first: Arc::new(LeaseLock::new(reached.cluster.clone(), lease_name(target))),
                second: lock,
            }),
            _ => lock,
        }
    }
}

/// The name of the Lease for a database of that name: what may not be in a name of Kubernetes is
/// left out, and a hash tells apart what comes out alike.
fn lease_name(database: &str) -> String {
    let kept: String = database
        .to_ascii_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
        .take(40)
        .collect();
    let hash = blake3::hash(database.as_bytes()).to_hex();
    format!("rebuild-{}-{}", kept.trim_matches('-'), &hash[..8])
}

#[cfg(test)]
mod tests;
