//! Steps that run a program: a migrator, a pipeline, a service manager, any command of the spec.
//!
//! A program is run without a shell, in a process group of its own that is ended as a whole: at
//! its deadline, when the operator stops the run, when nobody waits for it any more, when this process is
//! killed, and, for what a program leaves behind, once it has exited. A service that must outlive the command that
//! starts it therefore leaves the group, as a service manager or `setsid` makes it do.

pub(crate) mod group;
mod hook;
mod infrastructure;
mod leash;
mod output;
mod percent;
mod run;
#[cfg(feature = "postgres")]
mod target_env;
#[cfg(feature = "postgres")]
mod task;
mod workload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use hook::run_hook;
pub use infrastructure::{
    Action, Applied, Change, Infrastructure, InfrastructureAgain, InfrastructurePlan,
    InfrastructureState, InfrastructureTask, Leeway, OutputChange, PlannedChanges, destroys,
};
pub use output::Redaction;
pub use run::{Finished, Invocation, run, run_ok};
#[cfg(feature = "postgres")]
pub(crate) use target_env::{TargetEnv, URL_VARIABLE, url_with_tls};
#[cfg(feature = "postgres")]
pub use task::CommandTask;
pub use workload::CommandWorkload;

/// The folder that a program runs in: `cwd` of the spec, relative to the spec's own `folder`.
pub(crate) fn folder_of(folder: &Path, cwd: Option<&str>) -> PathBuf {
    cwd.map_or_else(|| folder.to_owned(), |cwd| folder.join(cwd))
}

/// The variables that the spec sets.
fn pairs(env: &BTreeMap<String, String>) -> Vec<(String, String)> {
    env.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// The variables that the spec sets, and after them, so that none is overridden, those that say
/// which database to work on.
#[cfg(feature = "postgres")]
pub(crate) fn with_target(
    env: &BTreeMap<String, String>,
    target: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let mut all = pairs(env);
    all.extend(target);
    all
}
