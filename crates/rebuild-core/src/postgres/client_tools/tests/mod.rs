//! Finding programs among real and made-up ones; running the real ones against a server.

mod ends;
mod finding;
mod login;

use std::time::Instant;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::*;
use crate::error::ErrorKind;
use crate::event::Ctx;
use crate::postgres::{LocalCluster, Session, application};
use crate::secret::Secret;
use crate::testing::{client_bin_dir, cluster, cluster_options, guarded_cluster};

const LIMIT: Duration = Duration::from_secs(60);

async fn tool(cluster: &LocalCluster, name: &str) -> ClientTool {
    let folder = client_bin_dir(cluster);
    ClientTool::find(
        name,
        Some(&folder),
        &Environment::default(),
        cluster.major(),
    )
    .await
    .expect(name)
}

fn args(args: &[&str]) -> Vec<OsString> {
    args.iter().map(OsString::from).collect()
}

/// The processes that have `marker` among their arguments: their arguments and environment.
fn processes(marker: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir("/proc").expect("proc");
    let read =
        |path: PathBuf| std::fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned());
    entries
        .flatten()
        .filter_map(|entry| {
            let arguments = read(entry.path().join("cmdline")).ok()?;
            let environment = read(entry.path().join("environ")).ok()?;
            arguments
                .contains(marker)
                .then_some((arguments, environment))
        })
        .collect()
}
