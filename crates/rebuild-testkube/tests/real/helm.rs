//! `helm` installs the project's own chart.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rebuild_testkube::{Cluster, Program};
use tokio::process::Command;

use crate::kubectl::{fetched, ok};

async fn helm(cluster: &Cluster, words: &[&str]) -> String {
    let home = cluster.kubeconfig().with_file_name("helm");
    let running = Command::new(fetched("helm"))
        .args(words)
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("HELM_CACHE_HOME", &home)
        .env("HELM_CONFIG_HOME", &home)
        .env("HELM_DATA_HOME", &home)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(60), running).await;
    let output = output.expect("helm ends").unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "helm {words:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_chart_is_installed_upgraded_and_removed() {
    let cluster = Cluster::start().await.unwrap();
    cluster.image("rebuild:1", |container| {
        let words: Vec<String> = container
            .command
            .iter()
            .chain(&container.args)
            .cloned()
            .collect();
        Program::new(["echo".to_owned()].into_iter().chain(words))
    });
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/rebuild");
    let chart = chart.to_str().unwrap();
    let set = "image.repository=rebuild,image.tag=1,spec=text,rights.volumes=true";
    helm(&cluster, &["install", "r", chart, "--set", set]).await;
    ok(
        &cluster,
        "wait --for=condition=Complete job --all --timeout=30s",
        "",
    )
    .await;
    let job = ok(&cluster, "get jobs -o name", "").await;
    let log = ok(&cluster, &format!("logs {}", job.trim()), "").await;
    assert!(log.contains("run --or-resume"), "{log}");
    assert_eq!(cluster.list("Role", "default").len(), 1);
    assert_eq!(cluster.list("ClusterRole", "").len(), 1);

    let scheduled = format!("{set},schedule=@daily");
    helm(&cluster, &["upgrade", "r", chart, "--set", &scheduled]).await;
    assert_eq!(cluster.list("CronJob", "default").len(), 1);
    let released = helm(&cluster, &["list", "-o", "json"]).await;
    assert!(released.contains("\"revision\":\"2\""), "{released}");
    helm(&cluster, &["uninstall", "r", "--wait"]).await;
    for kind in ["CronJob", "Role", "RoleBinding", "Secret"] {
        assert_eq!(cluster.list(kind, "default").len(), 0, "{kind}");
    }
}
