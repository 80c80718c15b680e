//! The Python client speaks to the server too: it has a WebSocket implementation of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rebuild_testkube::Cluster;
use tokio::process::Command;

use crate::client;
use crate::pods::echo_pod;

/// The Python of the tests, with its packages installed.
async fn python() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/python-env");
    let output = Command::new(script)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/python-env: {errors}");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()).join("python")
}

#[tokio::test]
async fn the_python_client_reads_runs_and_forwards() {
    let python = python().await;
    let cluster = Cluster::start().await.unwrap();
    echo_pod(&cluster, &client(&cluster).await).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/client.py");
    let running = Command::new(python)
        .arg(script)
        .env("KUBECONFIG", cluster.kubeconfig())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(120), running).await;
    let output = output.expect("the script ends").unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "done\n",
        "{errors}"
    );
}
