//! `examples/gpu-dev/cluster.toml`, in a cluster inside this process.

use std::path::Path;
use std::process::Command;

use rebuild_core::postgres::LocalCluster;
use rebuild_core::testing::{client_bin_dir, cluster_options};
use rebuild_testkube::{Cluster, PostgresImage};
use serde_json::Value;

use crate::site::{Readme, Site};

/// A cluster whose images are programs of this machine, and whose kubeconfig the site's shell has.
async fn cluster(site: &Site, sockets: &Path) -> Cluster {
    let cluster = Cluster::start().await.expect("a cluster");
    let bin = LocalCluster::programs(&cluster_options()).await;
    let bin = bin.expect("server programs");
    let path = format!(
        "{}:{}:/usr/bin:/bin",
        bin.display(),
        client_bin_dir(site.server()).display()
    );
    let image = PostgresImage::new(path, sockets).expect("a folder of ours");
    let image = image.service("postgres", "postgres-0");
    cluster.image("postgres:16", move |container| image.program(container));
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/kubernetes-tools");
    let tools = Command::new(tools).output().expect("the tools");
    let tools = String::from_utf8(tools.stdout).expect("a path");
    let exports = format!(
        "export KUBECONFIG={} PATH={}:$PATH",
        cluster.kubeconfig().display(),
        tools.trim_end()
    );
    site.sh(&exports).await.with(0);
    cluster
}

/// What `kubectl` says of an object.
async fn get(site: &Site, what: &str) -> Value {
    let asked = format!("kubectl get -n gpu-dev {what} -o json");
    let text = site.sh(&asked).await.with(0);
    serde_json::from_str(&text).expect("JSON")
}

/// What the server in the pod answers.
async fn psql(site: &Site, sql: &str) -> String {
    let asked = format!(
        "kubectl exec -i -n gpu-dev postgres-0 -- sh -c \
         'PGPASSWORD=$POSTGRES_PASSWORD exec psql -XAt -U postgres gpu_dev' <<'SQL'\n{sql}\nSQL\n"
    );
    site.sh(&asked).await.with(0).trim_end().to_owned()
}

async fn volume(site: &Site) -> String {
    let claim = get(site, "pvc/data-postgres-0").await;
    claim["spec"]["volumeName"]
        .as_str()
        .expect("bound")
        .to_owned()
}

const NEW_COLUMN: &str = "select count(*) from pg_attribute where attname = 'jupyter_url'";
const ROWS: &str =
    "select (select count(*) from users) || ' ' || (select count(*) from reservations)";

#[tokio::test]
async fn the_whole_procedure_from_start_to_rollback() {
    let site = Site::of_example("gpu-dev").await;
    let sockets = tempfile::Builder::new().prefix("rbg").tempdir_in("/tmp");
    let sockets = sockets.expect("a folder");
    let _cluster = cluster(&site, sockets.path()).await;
    let mut readme = Readme::at(&site, "cluster/README.md");
    readme.prepare(&site).await;
    let old = volume(&site).await;
    assert_eq!(psql(&site, NEW_COLUMN).await, "0");
    assert_eq!(psql(&site, ROWS).await, "300 2000");

    let status = readme
        .run(&site, "rebuild -f cluster.toml status")
        .await
        .with(0);
    for line in [
        "statefulset/postgres: 1 of 1 ready",
        "deployment/api: 2 of 2 ready",
        "job/migrate: complete",
        "claim/data-postgres-0: Bound, 1Gi",
        "service/postgres: ClusterIP, port 5432",
        "+ column public.reservations.jupyter_url text",
    ] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let plan = readme
        .run(&site, "rebuild -f cluster.toml plan")
        .await
        .with(0);
    let aside = format!(
        "keep volume {old}, then delete job/migrate, statefulset/postgres, service/postgres, \
         claim/data-postgres-0"
    );
    assert!(plan.contains(&aside), "{plan}");

    readme
        .run(&site, "rebuild -f cluster.toml run")
        .await
        .with(0);
    let new = volume(&site).await;
    assert_ne!(new, old);
    assert_eq!(psql(&site, NEW_COLUMN).await, "1");
    assert_eq!(psql(&site, ROWS).await, "300 2000");
    let types = "select string_agg(gpu_type, ' ' order by gpu_type) from availability";
    assert_eq!(psql(&site, types).await, "b200 h200 t4");
    let index = "select count(*) from pg_class where relname = 'reservations_by_user'";
    assert_eq!(psql(&site, index).await, "1", "the Job ran");
    for (name, replicas) in [("api", 2), ("scheduler", 1)] {
        let now = get(&site, &format!("deployment/{name}")).await;
        assert_eq!(now["status"]["readyReplicas"], replicas, "{name}");
    }
    let kept = get(&site, &format!("pv/{old}")).await;
    assert_eq!(kept["spec"]["persistentVolumeReclaimPolicy"], "Retain");
    assert_eq!(kept["status"]["phase"], "Released");
    let shown = readme
        .run(&site, "rebuild -f cluster.toml runs show")
        .await
        .with(0);
    for step in [
        "retire",
        "migrate",
        "after-restart-scheduler",
        "after-smoke",
    ] {
        let line = shown.lines().find(|l| l.trim_start().starts_with(step));
        assert!(
            line.is_some_and(|l| l.contains(" done ")),
            "{step}: {shown}"
        );
    }

    readme
        .run(&site, "rebuild -f cluster.toml rollback")
        .await
        .with(0);
    assert_eq!(volume(&site).await, old);
    assert_eq!(psql(&site, NEW_COLUMN).await, "0");
    assert_eq!(psql(&site, ROWS).await, "300 2000");
    let kept = get(&site, &format!("pv/{new}")).await;
    assert_eq!(kept["spec"]["persistentVolumeReclaimPolicy"], "Retain");
    for (name, replicas) in [("api", 2), ("scheduler", 1)] {
        let now = get(&site, &format!("deployment/{name}")).await;
        assert_eq!(now["status"]["readyReplicas"], replicas, "{name}");
    }
    readme.end();
}
