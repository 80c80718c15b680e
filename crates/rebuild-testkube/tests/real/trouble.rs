//! What goes wrong in clusters goes wrong here in the same way.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::Error;
use kube::api::{Api, AttachParams, EvictParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::conditions;
use rebuild_testkube::{Cluster, ClusterOptions, Container, Fault, Program, Strike};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::{client, until};

/// A cluster whose image `shell:1` runs the container's own command.
async fn cluster() -> Cluster {
    let cluster = Cluster::start().await.unwrap();
    cluster.image("shell:1", |container: &Container| {
        Program::new(&container.command)
    });
    cluster
}

fn code(error: Error) -> u16 {
    match error {
        Error::Api(status) => status.code,
        other => panic!("not an answer of the server: {other}"),
    }
}

/// A pod template with one container, in a line of YAML.
fn template(app: &str, policy: &str, command: &str) -> String {
    format!(
        "template: {{metadata: {{labels: {{app: {app}}}}}, spec: {{restartPolicy: {policy}, \
         terminationGracePeriodSeconds: 1, containers: [{{name: c, image: 'shell:1', command: {command}}}]}}}}"
    )
}

fn job(name: &str, more: &str, policy: &str, command: &str) -> String {
    let template = template(name, policy, command);
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}}}\nspec: {{{more}{template}}}\n"
    )
}

fn one_pod(cluster: &Cluster) -> Option<String> {
    let pods = cluster.list("Pod", "default");
    let runs = |pod: &&Value| {
        pod["status"]["phase"] == "Running"
            && pod["status"]["containerStatuses"][0]["ready"] == true
    };
    let pod = pods.iter().find(runs)?;
    Some(pod["metadata"]["name"].as_str()?.to_owned())
}

async fn running_pod(cluster: &Cluster) -> String {
    let started = Instant::now();
    loop {
        if let Some(pod) = one_pod(cluster) {
            return pod;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "no pod runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_evicted_pod_takes_its_commands_along_and_its_job_begins_again() {
    let cluster = cluster().await;
    let client = client(&cluster).await;
    let flag = cluster.kubeconfig().with_file_name("flag");
    let script = format!("[sh, -c, 'test -e {} || exec sleep 1000']", flag.display());
    cluster
        .put(&job("work", "backoffLimit: 3, ", "Never", &script))
        .unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let first = running_pod(&cluster).await;
    let params = AttachParams::default().stderr(false);
    let mut process = pods
        .exec(&first, ["sh", "-c", "echo begun; sleep 1000"], &params)
        .await
        .unwrap();
    let mut stdout = process.stdout().unwrap();
    stdout.read_exact(&mut [0; 6]).await.unwrap();
    std::fs::write(&flag, "").unwrap();
    cluster.evict("default", &first);
    let status = process.take_status().unwrap().await.unwrap();
    assert_eq!(
        status.details.unwrap().causes.unwrap()[0]
            .message
            .as_deref(),
        Some("137")
    );
    let jobs: Api<Job> = Api::default_namespaced(client);
    let done = until(&jobs, "work", conditions::is_job_completed())
        .await
        .unwrap();
    assert_eq!(done.status.unwrap().failed, Some(1));
}

#[tokio::test]
async fn the_eviction_api_deletes_a_pod() {
    let cluster = cluster().await;
    let pods: Api<Pod> = Api::default_namespaced(client(&cluster).await);
    cluster
        .put("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: 'shell:1', command: [sleep, '1000']}]}\n")
        .unwrap();
    running_pod(&cluster).await;
    pods.evict("p", &EvictParams::default()).await.unwrap();
    until(&pods, "p", |pod: Option<&Pod>| pod.is_none()).await;
}

#[tokio::test]
async fn a_rollout_that_hangs_exceeds_its_deadline() {
    let cluster = cluster().await;
    let template = template("web", "Always", "[sleep, '1000']").replace("shell:1", "missing:1");
    cluster
        .put(&format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec: {{progressDeadlineSeconds: 1, selector: {{matchLabels: {{app: web}}}}, {template}}}\n"))
        .unwrap();
    let deployments: Api<Deployment> = Api::default_namespaced(client(&cluster).await);
    let reason = |reason: &'static str| {
        move |deployment: Option<&Deployment>| {
            let conditions = deployment.and_then(|it| it.status.as_ref()?.conditions.clone());
            conditions.is_some_and(|all| all.iter().any(|it| it.reason.as_deref() == Some(reason)))
        }
    };
    until(&deployments, "web", reason("ProgressDeadlineExceeded")).await;
    cluster.image("missing:1", |container| Program::new(&container.command));
    until(&deployments, "web", reason("NewReplicaSetAvailable")).await;
}

#[tokio::test]
async fn a_stateful_set_updates_from_the_highest_number_and_drops_claims_it_need_not_keep() {
    let cluster = cluster().await;
    let client = client(&cluster).await;
    let set = |command: &str| {
        format!(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: db}}\nspec: {{serviceName: db, replicas: 3, \
             persistentVolumeClaimRetentionPolicy: {{whenScaled: Delete, whenDeleted: Retain}}, \
             volumeClaimTemplates: [{{metadata: {{name: data}}, spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}}}], \
             selector: {{matchLabels: {{app: db}}}}, {}}}\n",
            template("db", "Always", command)
        )
    };
    cluster.put(&set("[sleep, '1000']")).unwrap();
    let sets: Api<StatefulSet> = Api::default_namespaced(client.clone());
    let updated = |generation: i64| {
        move |set: Option<&StatefulSet>| {
            set.and_then(|set| set.status.as_ref())
                .is_some_and(|status| {
                    status.observed_generation == Some(generation)
                        && status.ready_replicas == Some(3)
                        && status.updated_replicas == Some(3)
                        && status.current_revision == status.update_revision
                })
        }
    };
    until(&sets, "db", updated(1)).await;
    cluster.put(&set("[sleep, '2000']")).unwrap();
    until(&sets, "db", updated(2)).await;
    let mut pods = cluster.list("Pod", "default");
    let version = |pod: &Value| {
        pod["metadata"]["creationTimestamp"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    pods.sort_by_key(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned());
    assert!(version(&pods[2]) <= version(&pods[1]) && version(&pods[1]) <= version(&pods[0]));

    let scale = Patch::Merge(json!({"spec": {"replicas": 1}}));
    sets.patch_scale("db", &PatchParams::default(), &scale)
        .await
        .unwrap();
    let claims: Api<PersistentVolumeClaim> = Api::default_namespaced(client);
    for claim in ["data-db-1", "data-db-2"] {
        until(&claims, claim, |claim: Option<&PersistentVolumeClaim>| {
            claim.is_none()
        })
        .await;
    }
    assert!(claims.get("data-db-0").await.is_ok());
}

#[tokio::test]
async fn a_job_waits_while_suspended_restarts_in_place_and_goes_when_its_time_is_over() {
    let cluster = cluster().await;
    let jobs: Api<Job> = Api::default_namespaced(client(&cluster).await);
    cluster
        .put(&job(
            "later",
            "suspend: true, ttlSecondsAfterFinished: 0, ",
            "Never",
            "['true']",
        ))
        .unwrap();
    cluster
        .put(&job("again", "backoffLimit: 2, ", "OnFailure", "['false']"))
        .unwrap();
    let failed = until(&jobs, "again", |job: Option<&Job>| {
        let conditions = job.and_then(|job| job.status.as_ref()?.conditions.clone());
        conditions.is_some_and(|all| all.iter().any(|it| it.type_ == "Failed"))
    });
    let failed = failed.await.unwrap().status.unwrap().conditions.unwrap();
    assert_eq!(failed[0].reason.as_deref(), Some("BackoffLimitExceeded"));
    let later = jobs.get("later").await.unwrap().status.unwrap();
    assert_eq!(later.conditions.unwrap()[0].type_, "Suspended");
    assert_eq!(later.active, Some(0));
    let resume = Patch::Merge(json!({"spec": {"suspend": false}}));
    jobs.patch("later", &PatchParams::default(), &resume)
        .await
        .unwrap();
    until(&jobs, "later", |job: Option<&Job>| job.is_none()).await;
}

#[tokio::test]
async fn answers_that_are_faults_are_the_servers_own() {
    let cluster = cluster().await;
    let leases: Api<Lease> = Api::default_namespaced(client(&cluster).await);
    let lease: Lease = serde_json::from_value(json!({
        "metadata": {"name": "l"}, "spec": {"holderIdentity": "me", "leaseDurationSeconds": 5},
    }))
    .unwrap();
    let post = PostParams::default();
    let held = leases.create(&post, &lease).await.unwrap();
    assert_eq!(
        code(leases.replace("l", &post, &lease).await.unwrap_err()),
        422
    );
    leases.replace("l", &post, &held).await.unwrap();
    for wanted in [409, 429, 500, 503, 504] {
        let strike = Strike::Answer {
            code: wanted,
            retry_after: Some(0),
        };
        let fault = cluster.fault(Fault::once("PATCH", "/leases/l", strike));
        let holder = format!("after {wanted}");
        let patch = Patch::Merge(json!({"spec": {"holderIdentity": holder}}));
        let answer = leases.patch("l", &PatchParams::default(), &patch).await;
        assert_eq!(fault.struck(), 1);
        let object = cluster.get("Lease", "default", "l").unwrap();
        // What may pass by itself the client tries again.
        if matches!(wanted, 429 | 503 | 504) {
            answer.unwrap();
            assert_eq!(object["spec"]["holderIdentity"], holder.as_str());
        } else {
            assert_eq!(code(answer.unwrap_err()), wanted);
            assert_ne!(object["spec"]["holderIdentity"], holder.as_str());
        }
    }
    let strike = Strike::Hang(Duration::from_millis(300));
    let slow = cluster.fault(Fault::once("GET", "/leases", strike));
    let started = Instant::now();
    leases.list(&ListParams::default()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(300) && slow.struck() == 1);
}

#[tokio::test]
async fn a_cluster_can_be_without_snapshots_and_answers_nobody_it_does_not_know() {
    let cluster = Cluster::start_with(ClusterOptions { snapshots: false })
        .await
        .unwrap();
    let client = client(&cluster).await;
    let groups = client.list_api_groups().await.unwrap();
    assert!(
        groups
            .groups
            .iter()
            .all(|group| group.name != "snapshot.storage.k8s.io")
    );
    let text = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
    let token = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("token: "))
        .unwrap();
    let other = text.replace(token, "another");
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&other).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    let stranger = kube::Client::try_from(config).unwrap();
    assert_eq!(code(stranger.apiserver_version().await.unwrap_err()), 401);
}
