//! The Kubernetes backend: a database behind a pod's port, and the workloads around it.
//!
//! Everything happens in one context and one namespace, which the spec names: never in whatever
//! `kubectl` happens to be set to.

mod cluster;
mod credentials;
mod failure;
mod forward;
mod inventory;
mod job;
mod lease;
mod logs;
mod manifest;
mod object;
mod pods;
mod rollout;
mod snapshot;
mod task;
mod tunnel;
mod verify;
mod volumes;
mod wait;
mod workers;
mod workload;

pub use cluster::{Cluster, ClusterAddress, IN_CLUSTER};
pub use credentials::{Credentials, SecretKeys};
pub use forward::{Forward, PodChoice};
pub use job::{ClusterJob, JobSource};
pub use lease::{BothLocks, LeaseLock};
pub use object::{ObjectKind, ObjectRef, WorkloadKind, WorkloadRef};
pub use snapshot::{SnapshotBackup, require_snapshots};
pub use task::{JobTask, RestartTask, ServiceAddress};
pub use tunnel::Through;
pub use verify::{ClusterCheck, ClusterVerifier};
pub use volumes::{ServerLock, ServerProvision, ServerReplacement, ServerTeardown, check_manifest};
pub use workers::ClusterCrew;
pub use workload::ClusterWorkload;
