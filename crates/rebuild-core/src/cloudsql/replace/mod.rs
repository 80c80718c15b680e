//! An instance that makes room for a new one of its name, and comes back.
//!
//! Before it is deleted, what it was is written down in the store, and the service takes a backup of it
//! that outlives it. The old instance is brought back from the two: it is made as it was, unless an instance
//! of its version stands there, and the backup is restored over it. What stood there is backed up first.
//!
//! The service lets a name be used again at once
//! (<https://cloud.google.com/sql/docs/postgres/delete-instance>). Where it does not, the error names the backup,
//! which can be restored over an instance of any name.

mod aside;
mod back;
mod facts;
mod keep;
mod kept;
mod lock;
mod make;
mod provision;
mod teardown;

use std::collections::BTreeMap;
use std::time::Duration;

pub use lock::InstanceLock;
pub use provision::InstanceProvision;
pub use teardown::InstanceTeardown;

use super::{CloudSql, InstanceUser, Replicas};
use crate::store::Store;

/// How long a server may take to its first answer, once the service says that it can be used.
const ANSWERS_WITHIN: Duration = Duration::from_secs(900);

/// An instance, and what takes its place.
#[derive(Clone)]
pub struct InstanceReplacement {
    /// The instance.
    pub sql: CloudSql,
    /// Who makes the new one.
    pub maker: InstanceMaker,
    /// Whether the protection against deletion may be taken off the old one.
    pub lift_protection: bool,
    /// What becomes of replicas.
    pub replicas: Replicas,
    /// Users of the new instance. The first is the one that the run works as.
    pub users: Vec<InstanceUser>,
    /// How long each operation may take.
    pub limit: Duration,
    /// Where it is written down what there was.
    pub store: Store,
}

/// Who makes the new instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceMaker {
    /// The run, as the old one was but for these changes.
    Run(InstanceChanges),
    /// An earlier step of the run.
    EarlierStep,
}

/// What a new instance has other than the old one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceChanges {
    /// The machine type.
    pub tier: Option<String>,
    /// The version as the API writes it, for example `POSTGRES_17`.
    pub version: Option<String>,
    /// The disk's size in GB.
    pub disk_gb: Option<i64>,
    /// Database flags, besides the old one's or in their place.
    pub flags: BTreeMap<String, String>,
}

impl InstanceChanges {
    /// A line for each.
    pub fn describe(&self) -> Vec<String> {
        let text = |key: &str, value: Option<&dyn std::fmt::Display>| {
            value.map(|value| format!("{key} {value}"))
        };
        let fixed = [
            text("tier", self.tier.as_ref().map(|v| v as _)),
            text("version", self.version.as_ref().map(|v| v as _)),
            text("disk GB", self.disk_gb.as_ref().map(|v| v as _)),
        ];
        let flags = self
            .flags
            .iter()
            .map(|(key, value)| format!("flag {key}={value}"));
        fixed.into_iter().flatten().chain(flags).collect()
    }
}
