//! Plain data that crosses the boundaries between parts.

mod cluster;
mod endpoint;
mod fingerprint;
mod gcp;
mod identity;
mod ids;
pub mod infrastructure;
mod instance;
mod inventory;
mod logins;
mod mark;
mod verdict;

pub use cluster::{
    ClaimFacts, ClusterFacts, JobFacts, KeptVolumeFacts, PodFacts, ReplacedServer, ServiceFacts,
    WorkloadFacts,
};
pub use endpoint::{Endpoint, Host, SslMode};
pub use fingerprint::{ContentHash, RowForm, TableFingerprint, TableName};
pub use gcp::{BackfillFacts, CloudRunJobFacts, CloudRunServiceFacts, GcpFacts};
pub use identity::Identity;
pub use ids::{BackupId, RunId};
pub use instance::{InstanceBackupFacts, InstanceFacts, ReplacedInstance};
pub use inventory::{
    DatabaseFacts, Inventory, Obstacle, RightsFacts, ServerFacts, SessionFacts, TableFacts,
    TableKind,
};
pub use logins::Logins;
pub use mark::StepMark;
pub use verdict::{Check, Outcome, Verdict};
