//! What is in the namespace.

use std::fmt::Debug;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Service};
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::Cluster;
use super::job::{Ending, ending};
use super::pods::{has_ended, is_ready, phase, restarts, trouble};
use crate::error::{ErrorKind, Result, clean};
use crate::event::Ctx;
use crate::model::{ClaimFacts, ClusterFacts, JobFacts, PodFacts, ServiceFacts, WorkloadFacts};

/// How many objects one answer holds.
const PAGE: u32 = 500;

impl Cluster {
    /// What is in the namespace. What this account may not see is named, and no failure.
    ///
    /// # Errors
    /// The API server could not be asked.
    pub async fn facts(&self, ctx: &Ctx) -> Result<ClusterFacts> {
        let mut look = Look {
            cluster: self,
            ctx,
            unseen: Vec::new(),
        };
        let pods = look.list::<Pod>(self.api()).await?;
        let volumes = look.list::<PersistentVolume>(self.wide()).await?;
        let claims = look.list::<PersistentVolumeClaim>(self.api()).await?;
        let mut workloads: Vec<WorkloadFacts> = Vec::new();
        workloads.extend(look.list(self.api()).await?.iter().map(deployment));
        workloads.extend(look.list(self.api()).await?.iter().map(stateful_set));
        workloads.extend(look.list(self.api()).await?.iter().map(cron_job));
        let services = look.list::<Service>(self.api()).await?;
        let jobs = look.list::<Job>(self.api()).await?;
        let going = pods.iter().filter(|pod| !has_ended(pod));
        let pods: Vec<PodFacts> = going.map(pod_facts).collect();
        Ok(ClusterFacts {
            context: self.context().to_owned(),
            namespace: self.namespace().to_owned(),
            verified: self.is_verified(),
            workloads,
            claims: claims
                .iter()
                .map(|claim| claim_facts(claim, &volumes, &pods))
                .collect(),
            pods,
            services: services.iter().map(service).collect(),
            jobs: jobs.iter().map(job).collect(),
            unseen: look.unseen,
            replaced: None,
        })
    }
}

struct Look<'a> {
    cluster: &'a Cluster,
    ctx: &'a Ctx,
    unseen: Vec<String>,
}

impl Look<'_> {
    /// Every object of a kind, page by page.
    async fn list<K>(&mut self, api: Api<K>) -> Result<Vec<K>>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let kind = K::plural(&()).into_owned();
        let what = format!("could not list {kind}");
        let mut params = ListParams::default().limit(PAGE);
        let mut all = Vec::new();
        loop {
            let asked = self
                .cluster
                .ask(self.ctx, &what, || api.list(&params))
                .await;
            let page = match asked {
                Ok(page) => page,
                Err(e) if e.kind() == ErrorKind::Server => {
                    self.unseen.push(e.chain());
                    return Ok(Vec::new());
                }
                Err(e) => return Err(e),
            };
            let more = page.metadata.continue_.filter(|token| !token.is_empty());
            all.extend(page.items);
            match more {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    }
}

fn running(kind: &str, name: &str, wanted: i32, ready: i32) -> WorkloadFacts {
    WorkloadFacts {
        name: format!("{kind}/{name}"),
        state: match wanted {
            0 => "stopped".to_owned(),
            _ => format!("{ready} of {wanted} ready"),
        },
    }
}

fn deployment(now: &Deployment) -> WorkloadFacts {
    let wanted = now.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let ready = now.status.as_ref().and_then(|s| s.ready_replicas);
    running("deployment", &now.name_any(), wanted, ready.unwrap_or(0))
}

fn stateful_set(now: &StatefulSet) -> WorkloadFacts {
    let wanted = now.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let ready = now.status.as_ref().and_then(|s| s.ready_replicas);
    running("statefulset", &now.name_any(), wanted, ready.unwrap_or(0))
}

fn cron_job(now: &CronJob) -> WorkloadFacts {
    let spec = now.spec.clone().unwrap_or_default();
    WorkloadFacts {
        name: format!("cronjob/{}", now.name_any()),
        state: match spec.suspend {
            Some(true) => "suspended".to_owned(),
            _ => clean(&spec.schedule),
        },
    }
}

fn pod_facts(pod: &Pod) -> PodFacts {
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    PodFacts {
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        phase: match pod.metadata.deletion_timestamp {
            Some(_) => "Terminating".to_owned(),
            None => clean(phase(pod)),
        },
        ready: is_ready(pod),
        restarts: restarts(pod),
        trouble: trouble(pod),
        claims: volumes
            .filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.clone()))
            .collect(),
    }
}

fn claim_facts(
    claim: &PersistentVolumeClaim,
    volumes: &[PersistentVolume],
    pods: &[PodFacts],
) -> ClaimFacts {
    let name = claim.name_any();
    let spec = claim.spec.clone().unwrap_or_default();
    let status = claim.status.clone().unwrap_or_default();
    let size = status.capacity.unwrap_or_default().remove("storage");
    let volume = volumes
        .iter()
        .find(|volume| Some(volume.name_any()) == spec.volume_name);
    let policy = volume.and_then(|v| v.spec.as_ref()?.persistent_volume_reclaim_policy.clone());
    ClaimFacts {
        phase: match claim.metadata.deletion_timestamp {
            Some(_) => "Terminating".to_owned(),
            None => clean(&status.phase.unwrap_or_default()),
        },
        size: size.map(|quantity| quantity.0),
        class: spec.storage_class_name,
        volume: spec.volume_name,
        reclaim_policy: policy,
        finalizers: claim.finalizers().to_vec(),
        volume_finalizers: volume.map(|v| v.finalizers().to_vec()).unwrap_or_default(),
        mounted_by: pods
            .iter()
            .filter(|pod| pod.claims.contains(&name))
            .map(|pod| pod.name.clone())
            .collect(),
        name,
    }
}

fn service(service: &Service) -> ServiceFacts {
    let spec = service.spec.clone().unwrap_or_default();
    ServiceFacts {
        name: service.name_any(),
        kind: spec.type_.unwrap_or_else(|| "ClusterIP".to_owned()),
        ports: spec.ports.iter().flatten().map(|port| port.port).collect(),
    }
}

fn job(job: &Job) -> JobFacts {
    JobFacts {
        name: job.name_any(),
        state: match ending(job) {
            None => "running".to_owned(),
            Some(Ending::Complete) => "complete".to_owned(),
            Some(Ending::Failed(why)) => clean(&format!("failed: {why}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).expect("an object")
    }

    #[test]
    fn a_claim_is_shown_with_what_holds_it_and_its_volume() {
        let claim: PersistentVolumeClaim = object(json!({
            "metadata": { "name": "data", "finalizers": ["kubernetes.io/pvc-protection", "a.example/claim"] },
            "spec": { "volumeName": "pv-1", "storageClassName": "fast" },
            "status": { "phase": "Bound", "capacity": { "storage": "1Gi" } },
        }));
        let volume: PersistentVolume = object(json!({
            "metadata": { "name": "pv-1", "finalizers": ["kubernetes.io/pv-protection", "b.example/volume"] },
            "spec": { "persistentVolumeReclaimPolicy": "Retain" },
        }));
        let facts = |volumes: &[PersistentVolume]| ClusterFacts {
            claims: vec![claim_facts(&claim, volumes, &[])],
            ..ClusterFacts::default()
        };
        let line = crate::plan::cluster_lines(&facts(&[volume])).join("\n");
        assert!(
            line.ends_with(
                "claim/data: Bound, 1Gi of class fast, volume pv-1 with reclaim policy Retain, finalizers \
                 a.example/claim, finalizers of the volume b.example/volume"
            ),
            "{line}"
        );
        // One that this account may not see.
        let line = crate::plan::cluster_lines(&facts(&[])).join("\n");
        assert!(
            line.ends_with("reclaim policy unknown, finalizers a.example/claim"),
            "{line}"
        );
    }
}
