//! Jobs: run to their end, with their pods' logs.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::Cluster;
use super::logs::Logs;
use super::manifest::documents;
use super::object::is_name;
use super::pods::{labels_of_job, trouble};
use super::wait::{Seen, Wakes, labelled, named};
use crate::command::Redaction;
use crate::error::{Error, ErrorKind, Result, clean};
use crate::event::{Ctx, Events};

/// The annotation by which a run knows its own Jobs again.
const RUN: &str = "rebuild-db.github.io/run";

/// How long a deleted Job may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(120);

/// How many events an error shows.
const EVENTS_SHOWN: usize = 5;

/// Where a Job comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobSource {
    /// A manifest, in YAML.
    Manifest(PathBuf),
    /// The template of a CronJob, as `kubectl create job --from=cronjob/NAME` takes it.
    CronJob(String),
}

impl JobSource {
    /// Makes sure that a manifest can be read and holds one Job.
    ///
    /// # Errors
    /// It cannot, or does not.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Manifest(file) => read(file).map(|_| ()),
            Self::CronJob(_) => Ok(()),
        }
    }
}

/// A Job that is made, waited for and taken away.
pub struct ClusterJob {
    /// Where it runs.
    pub cluster: Cluster,
    /// What it is made from.
    pub source: JobSource,
    /// Variables for all of its containers, before those of the manifest, which may refer to them
    /// as `$(NAME)`.
    pub env: Vec<(String, String)>,
    /// Run so many pods at once, each with its number in JOB_COMPLETION_INDEX, whatever the manifest
    /// says: an Indexed Job. A pod that is lost is made again.
    pub indexed: Option<NonZeroU32>,
    /// How long it may take. A Job without `activeDeadlineSeconds` gets this one, so that it
    /// ends even if nobody waits for it any more.
    pub limit: Duration,
    /// What must not show in its logs.
    pub redaction: Redaction,
}

impl ClusterJob {
    /// Runs it and waits for its end. The lines that its pods print are passed on.
    ///
    /// *Repeats:* one that this run began earlier, and that is not finished, is waited for; a
    /// finished one is deleted and made anew. *Destroys:* a finished Job of the same name.
    ///
    /// # Errors
    /// It failed, with the last lines and events; it did not end in time, or the operator stopped
    /// (then it is deleted); a Job of that name runs that this run did not begin.
    pub async fn run(&self, ctx: &Ctx) -> Result<()> {
        let job = self.manifest(ctx).await?;
        let name = job.name_any();
        if !self.is_running(ctx, &name).await? {
            self.create(ctx, &job).await?;
        }
        match self.follow(ctx, &name).await {
            Ok(()) => {
                // Its work is done; what is left of it is in nobody's way.
                if let Err(e) = self.delete(ctx, &name).await {
                    ctx.events
                        .warn(format!("job/{name} succeeded and stays: {}", e.chain()));
                }
                Ok(())
            }
            Err(e) if matches!(e.kind(), ErrorKind::Deadline | ErrorKind::Interrupted) => {
                // The operator's stop must not stop the stopping.
                let anew = Ctx::new(ctx.run.clone(), ctx.events.clone());
                let deleted = self.delete(&anew, &name).await;
                Err(match deleted {
                    Ok(()) => e,
                    Err(left) => e.hint(format!(
                        "job/{name} may still run ({}); `kubectl delete job {name}` ends it",
                        left.chain()
                    )),
                })
            }
            Err(e) => Err(e),
        }
    }

    /// The Job as it will be made.
    async fn manifest(&self, ctx: &Ctx) -> Result<DynamicObject> {
        let mut job = match &self.source {
            JobSource::Manifest(file) => read(file)?,
            JobSource::CronJob(name) => self.of_cron_job(ctx, name).await?,
        };
        let here = self.cluster.namespace();
        if let Some(other) = job.namespace().filter(|other| other != here) {
            return Err(Error::usage(format!(
                "the Job {:?} is meant for namespace {other:?}, and the spec names {here:?}",
                job.name_any()
            )));
        }
        job.metadata.namespace = Some(here.to_owned());
        let run = ctx.run.to_string();
        job.annotations_mut().insert(RUN.to_owned(), run);
        let limit = self.limit.as_secs().max(1);
        let spec = &mut job.data["spec"];
        if spec["activeDeadlineSeconds"].is_null() {
            spec["activeDeadlineSeconds"] = json!(limit);
        }
        // One that is gone tells nobody how it ended; those that succeed are deleted here.
        if let Some(spec) = spec.as_object_mut() {
            spec.remove("ttlSecondsAfterFinished");
        }
        set_env(&mut spec["template"]["spec"], &self.env);
        if let Some(count) = self.indexed {
            indexed::set(spec, count);
        }
        Ok(job)
    }

    async fn of_cron_job(&self, ctx: &Ctx, name: &str) -> Result<DynamicObject> {
        let what = format!("could not read cronjob/{name}");
        let api = self.cluster.api::<CronJob>();
        let cron = self.cluster.ask(ctx, &what, || api.get(name)).await?;
        let uid = cron.uid();
        let template = cron.spec.map(|spec| spec.job_template).unwrap_or_default();
        let internal = |e| Error::internal("a Job has no JSON form").caused_by(e);
        let short = ctx.run.short();
        let room = 63 - 1 - short.len();
        let stem: String = name.chars().take(room).collect();
        let metadata = template.metadata.unwrap_or_default();
        let value = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": format!("{}-{short}", stem.trim_end_matches(['-', '.'])),
                "labels": metadata.labels,
                "annotations": metadata.annotations.unwrap_or_default(),
                "ownerReferences": [{
                    "apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": uid,
                }],
            },
            "spec": serde_json::to_value(template.spec).map_err(internal)?,
        });
        let mut job: DynamicObject = serde_json::from_value(value).map_err(internal)?;
        // As kubectl marks it.
        let manual = ("cronjob.kubernetes.io/instantiate", "manual");
        job.annotations_mut()
            .insert(manual.0.to_owned(), manual.1.to_owned());
        Ok(job)
    }

    /// True if this run began it before and it is not finished. A finished one is deleted.
    async fn is_running(&self, ctx: &Ctx, name: &str) -> Result<bool> {
        let Some(found) = self.look(ctx, name).await? else {
            return Ok(false);
        };
        let going = found.metadata.deletion_timestamp.is_some();
        if going || ending(&found).is_some() {
            self.delete(ctx, name).await?;
            return Ok(false);
        }
        if is_of(&found, ctx) {
            return Ok(true);
        }
        Err(Error::refused(format!(
            "job/{name} is running, and this run did not begin it"
        ))
        .hint(format!("wait for it, or end it: kubectl delete job {name}")))
    }

    async fn look(&self, ctx: &Ctx, name: &str) -> Result<Option<Job>> {
        let api = self.cluster.api::<Job>();
        let what = format!("could not read job/{name}");
        self.cluster.ask(ctx, &what, || api.get_opt(name)).await
    }

    async fn create(&self, ctx: &Ctx, job: &DynamicObject) -> Result<()> {
        let name = job.name_any();
        let what = format!("could not make job/{name}");
        let api: Api<DynamicObject> = self.cluster.api_of(&ApiResource::erase::<Job>(&()));
        let params = PostParams::default();
        let create = || async {
            match api.create(&params, job).await {
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
                made => made.map(|_| true),
            }
        };
        let made = self.cluster.ask(ctx, &what, create).await?;
        if made {
            return Ok(());
        }
        // There was none a moment ago, so one of this run is that of a first try whose answer was
        // lost. It may have ended by now.
        match self.look(ctx, &name).await? {
            Some(found) if is_of(&found, ctx) => Ok(()),
            _ => Err(Error::refused(format!(
                "{what}: somebody else made one of that name"
            ))),
        }
    }

    /// Waits for the end. Succeeded and failed is what the Job's conditions say, never its pods or
    /// their logs (<https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions>).
    async fn follow(&self, ctx: &Ctx, name: &str) -> Result<()> {
        let labels = labels_of_job(name);
        let wakes = Wakes::default()
            .on(self.cluster.api::<Job>(), named(name))
            .on(self.cluster.api::<Pod>(), labelled(&labels));
        let logs = Logs::new(&self.cluster, &ctx.events, self.redaction.clone());
        let logs = tokio::sync::Mutex::new(logs);
        let what = format!("job/{name}");
        let ended = self
            .cluster
            .wait(ctx, &what, self.limit, wakes, || async {
                let job = self.look(ctx, name).await?.ok_or_else(|| {
                    Error::new(ErrorKind::Server, format!("job/{name} was deleted"))
                })?;
                let pods = self.cluster.pods(ctx, &labels).await?;
                logs.lock().await.follow(&indexed::to_follow(&pods));
                let trouble: Vec<String> = pods.iter().filter_map(trouble).collect();
                Ok(match ending(&job) {
                    Some(ending) => Seen::Done(ending),
                    None => Seen::NotYet(trouble.join("; ")),
                })
            })
            .await?;
        let last = logs.into_inner().drain().await;
        match ended {
            Ending::Complete => Ok(()),
            Ending::Failed(why) => Err(self.failed(ctx, name, &why, &last.text()).await),
        }
    }

    async fn failed(&self, ctx: &Ctx, name: &str, why: &str, last: &str) -> Error {
        let mut message = format!("job/{name} failed: {}", clean(why));
        if !last.is_empty() {
            message.push_str("; its last lines:\n");
            message.push_str(last);
        }
        for event in self.events(ctx, name).await {
            message.push_str(&format!("\nevent: {event}"));
        }
        Error::new(ErrorKind::Program, message).hint(format!(
            "it is left for a look: kubectl -n {} describe job {name}",
            self.cluster.namespace()
        ))
    }

    /// The newest warnings about the Job and its pods. They are a help, so none is no failure.
    async fn events(&self, ctx: &Ctx, name: &str) -> Vec<String> {
        let quiet = Ctx {
            events: Events::none(),
            ..ctx.clone()
        };
        let api = self.cluster.api::<Event>();
        let params = ListParams::default();
        let listed = self
            .cluster
            .ask(&quiet, "could not list events", || api.list(&params))
            .await;
        let mut of_job: Vec<String> = listed
            .map(|list| list.items)
            .unwrap_or_default()
            .into_iter()
            .filter(|event| {
                let about = event.involved_object.name.as_deref().unwrap_or_default();
                let warns = event.type_.as_deref() == Some("Warning");
                warns && (about == name || about.starts_with(&format!("{name}-")))
            })
            .map(|event| {
                let reason = event.reason.unwrap_or_default();
                clean(&format!("{reason}: {}", event.message.unwrap_or_default()))
            })
            .collect();
        of_job.dedup();
        of_job.split_off(of_job.len().saturating_sub(EVENTS_SHOWN))
    }

    /// Deletes it with its pods, and waits until they are gone.
    async fn delete(&self, ctx: &Ctx, name: &str) -> Result<()> {
        let api = self.cluster.api::<Job>();
        let (shown, params) = (format!("job/{name}"), DeleteParams::foreground());
        let deleting = self.cluster.delete(ctx, &shown, &api, name, &params);
        deleting.await?;
        let wakes = Wakes::default().on(api.clone(), named(name));
        self.cluster
            .wait(
                ctx,
                &format!("deleting job/{name}"),
                GONE_WITHIN,
                wakes,
                || async {
                    Ok(match self.look(ctx, name).await? {
                        None => Seen::Done(()),
                        Some(_) => Seen::NotYet(String::new()),
                    })
                },
            )
            .await
    }
}

/// True if the run began it.
fn is_of(job: &Job, ctx: &Ctx) -> bool {
    let run = job.annotations().get(RUN);
    run.is_some_and(|run| *run == ctx.run.to_string())
}

/// How a Job ends.
pub(super) enum Ending {
    Complete,
    Failed(String),
}

/// How the Job ended, if it has.
pub(super) fn ending(job: &Job) -> Option<Ending> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .filter(|c| c.status == "True")
        .find_map(|c| {
            let reason = c.reason.as_deref().unwrap_or("no reason");
            let message = c.message.as_deref().unwrap_or_default();
            match &*c.type_ {
                "Complete" => Some(Ending::Complete),
                "Failed" => Some(Ending::Failed(format!("{reason} ({message})"))),
                _ => None,
            }
        })
}

fn read(file: &Path) -> Result<DynamicObject> {
    let shown = file.display();
    let objects = documents(file)?;
    let [job] = &objects[..] else {
        return Err(Error::usage(format!(
            "the manifest {shown} holds {} objects, and not one Job",
            objects.len()
        )));
    };
    if job["apiVersion"] != "batch/v1" || job["kind"] != "Job" {
        return Err(Error::usage(format!(
            "the manifest {shown} holds {} {}, and not a Job of batch/v1",
            job["apiVersion"], job["kind"]
        )));
    }
    let job: DynamicObject = serde_json::from_value(job.clone()).map_err(|e| {
        Error::usage(format!("the manifest {shown} cannot be understood")).caused_by(e)
    })?;
    if job.metadata.name.as_deref().is_some_and(is_name) {
        return Ok(job);
    }
    Err(Error::usage(format!(
        "the Job in {shown} has no metadata.name"
    )))
}

/// Gives every container of a pod template these variables, first, and instead of its own.
fn set_env(pod: &mut Value, env: &[(String, String)]) {
    for list in ["initContainers", "containers"] {
        let Some(containers) = pod[list].as_array_mut() else {
            continue;
        };
        for container in containers {
            let mut all: Vec<Value> = (env.iter())
                .map(|(name, value)| json!({ "name": name, "value": value }))
                .collect();
            let own = container["env"].as_array().cloned().unwrap_or_default();
            let set = |own: &Value| env.iter().any(|(name, _)| own["name"] == **name);
            all.extend(own.into_iter().filter(|own| !set(own)));
            container["env"] = Value::Array(all);
        }
    }
}

mod indexed;
#[cfg(test)]
mod tests;
