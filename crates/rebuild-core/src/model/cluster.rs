//! What is in the namespace around the database.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is in one namespace of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterFacts {
    /// The context of the kubeconfig.
    pub context: String,
    /// The namespace.
    pub namespace: String,
    /// False if the kubeconfig says not to verify the API server's certificate.
    pub verified: bool,
    /// Deployments, StatefulSets and CronJobs.
    pub workloads: Vec<WorkloadFacts>,
    /// Pods that have not ended.
    pub pods: Vec<PodFacts>,
    /// PersistentVolumeClaims, with their volumes.
    pub claims: Vec<ClaimFacts>,
    /// Services.
    pub services: Vec<ServiceFacts>,
    /// Jobs.
    pub jobs: Vec<JobFacts>,
    /// Kinds that this account may not list, with the API server's reason.
    pub unseen: Vec<String>,
    /// The server that is replaced with its volumes, if the spec says so.
    #[serde(default)]
    pub replaced: Option<ReplacedServer>,
}

/// A server that is replaced with its volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplacedServer {
    /// What goes, in this order, for example `statefulset/db`.
    pub objects: Vec<String>,
    /// The claims that go after them, with the volumes that are kept.
    pub volumes: Vec<KeptVolumeFacts>,
    /// What the manifests make, for example `service/db`.
    pub manifests: Vec<String>,
    /// What the manifests change that is there already and does not go: a rollback does not change
    /// it back.
    pub changed: Vec<String>,
    /// Services whose address may be another one afterwards.
    pub addresses: Vec<String>,
    /// Other databases of the server, which go with it.
    pub databases: Vec<String>,
    /// Roles that the database needs and that a new server does not have by itself.
    pub roles: Vec<String>,
    /// What does not let the server be replaced.
    pub obstacles: Vec<String>,
}

/// A volume that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptVolumeFacts {
    /// The claim.
    pub claim: String,
    /// The PersistentVolume.
    pub volume: String,
    /// Its size as the API writes it.
    pub size: String,
    /// Its reclaim policy now.
    pub reclaim_policy: String,
}

/// A Deployment, StatefulSet or CronJob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadFacts {
    /// `deployment/api`.
    pub name: String,
    /// How it is: `2 of 3 ready`, `stopped`, `suspended`, a schedule.
    pub state: String,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// What tells it from another one of its name.
    #[serde(default)]
    pub uid: String,
    /// Its phase, or `Terminating`.
    pub phase: String,
    /// True if it is ready.
    pub ready: bool,
    /// How often its containers were started again.
    pub restarts: i32,
    /// What holds it up, if anything does.
    pub trouble: Option<String>,
    /// The claims that it mounts.
    pub claims: Vec<String>,
}

/// A PersistentVolumeClaim and its volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimFacts {
    /// Its name.
    pub name: String,
    /// Its phase, or `Terminating`.
    pub phase: String,
    /// Its size as the API writes it, for example `10Gi`.
    pub size: Option<String>,
    /// Its StorageClass.
    pub class: Option<String>,
    /// The PersistentVolume.
    pub volume: Option<String>,
    /// What becomes of the volume when the claim goes: `Delete` or `Retain`; nothing if this
    /// account may not see the volume.
    pub reclaim_policy: Option<String>,
    /// What must be done before it can go.
    pub finalizers: Vec<String>,
    /// What must be done before its volume can go; nothing if this account may not see the volume.
    #[serde(default)]
    pub volume_finalizers: Vec<String>,
    /// The pods that mount it.
    pub mounted_by: Vec<String>,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceFacts {
    /// Its name.
    pub name: String,
    /// `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`.
    pub kind: String,
    /// Its ports.
    pub ports: Vec<i32>,
}

/// A Job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobFacts {
    /// Its name.
    pub name: String,
    /// `running`, `complete`, or `failed` with the reason.
    pub state: String,
}
