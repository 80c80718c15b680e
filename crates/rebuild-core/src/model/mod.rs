//! Plain data that crosses the boundaries between parts.

mod cluster;
mod endpoint;
mod fingerprint;
mod identity;
mod ids;
pub mod infrastructure;
mod instance;
mod inventory;
mod verdict;

pub use cluster::{
    ClaimFacts, ClusterFacts, JobFacts, KeptVolumeFacts, PodFacts, ReplacedServer, ServiceFacts,
    WorkloadFacts,
};
pub use endpoint::{Endpoint, Host, SslMode};
pub use fingerprint::{ContentHash, RowForm, TableFingerprint, TableName};
pub use identity::Identity;
pub use ids::{BackupId, RunId};
pub use instance::{InstanceBackupFacts, InstanceFacts};
pub use inventory::{
    DatabaseFacts, Inventory, Obstacle, RightsFacts, ServerFacts, SessionFacts, TableFacts,
    TableKind,
};
pub use verdict::{Check, Outcome, Verdict};
