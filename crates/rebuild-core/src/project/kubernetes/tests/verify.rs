//! What is looked at in the cluster once the database is in service.

use super::*;

/// How a container is started: it ends once, and then whenever somebody says so.
fn unsteady(world: &World) -> String {
    let folder = world.folder.path().display();
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: unsteady }}
spec:
  selector: {{ matchLabels: {{ app: unsteady }} }}
  template:
    metadata: {{ labels: {{ app: unsteady }} }}
    spec:
      terminationGracePeriodSeconds: 1
      volumes: [{{ name: scratch, emptyDir: {{}} }}]
      containers:
        - name: main
          image: postgres:16
          volumeMounts: [{{ name: scratch, mountPath: /scratch }}]
          command:
            - sh
            - -c
            - |
              if mkdir "${{SCRATCH:-/scratch}}/once" 2> /dev/null; then exit 1; fi
              touch "{folder}/started" 2> /dev/null
              until [ -e "{folder}/end" ]; do sleep 0.05; done
              rm "{folder}/end"
              exit 1
"#
    )
}

/// Waits until its container runs for the second time.
async fn until_started_again(world: &World) {
    let pods = world.names("pod").await;
    let pod = pods.iter().find(|name| name.starts_with("unsteady"));
    let is_again = |it: &serde_json::Value| {
        let container = &it["status"]["containerStatuses"][0];
        container["restartCount"] == 1 && container["ready"] == true
    };
    world.until("pod", pod.expect("a pod"), is_again).await;
}

const CHECK: &str = r#"
[[verify]]
kind = "rollout"
workload = "deployment/unsteady"
max_restarts = 0
"#;

#[tokio::test]
async fn restarts_count_since_the_run_began() {
    let world = World::start().await;
    world.apply(&unsteady(&world)).await;
    let made = |it: &serde_json::Value| it["status"]["replicas"] == 1;
    world.until("deployment", "unsteady", made).await;
    until_started_again(&world).await;
    world.sql("create table public.item as select 1 id").await;
    // Without a run there is no other beginning than the pod's.
    let project = world.project(CHECK).await;
    let verdict = project.verify(None, false).await.expect("a verdict");
    let told = verdict.complaints().join("; ");
    assert!(told.contains("was started again 1 times"), "{told}");

    let report = world.run(CHECK).await;
    let log = world.told.text();
    assert_eq!(report.ending, Ending::Done, "{report:?} {log}");

    if world.inside("a container that ends when told").is_none() {
        return world.end().await;
    }
    let folder = world.folder.path().display();
    let script = "rm started; touch end; until [ -e started ]; do sleep 0.05; done";
    let end_it = format!(
        "\n[[after]]\nname = \"end-it\"\ncommand = [\"sh\", \"-ec\", \"cd {folder}; {script}\"]\n"
    );
    let report = world.run(&format!("{CHECK}{end_it}")).await;
    assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
    let error = report.error.unwrap_or_default();
    assert!(error.contains("was started again 1 times"), "{error}");
    world.end().await;
}

#[tokio::test]
async fn a_rollout_that_fails_and_a_claim_that_is_not_bound_are_told() {
    let world = World::start().await;
    world
        .apply(
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: late}, spec: {
               progressDeadlineSeconds: 1, selector: {matchLabels: {app: late}}, template: {
                 metadata: {labels: {app: late}}, spec: {containers: [
                   {name: main, image: 'registry.invalid/missing:1'}]}}}}\n---\n\
             {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: waiting}, spec: {
               storageClassName: nobody-has-this, accessModes: [ReadWriteOnce],
               resources: {requests: {storage: 1Gi}}}}",
        )
        .await;
    let pending = |it: &serde_json::Value| it["status"]["phase"] == "Pending";
    world.until("claim", "waiting", pending).await;
    let checks = r#"
[[verify]]
kind = "rollout"
workload = "deployment/late"
timeout = "2m"

[[verify]]
kind = "rollout"
workload = "statefulset/db"

[[verify]]
kind = "claim"
claim = "waiting"

[[verify]]
kind = "claim"
claim = "missing"

[[verify]]
kind = "claim"
claim = "data-db-0"
"#;
    let project = world.project(checks).await;
    let verdict = project.verify(None, false).await.expect("a verdict");
    let told = verdict.complaints();
    assert_eq!(told.len(), 3, "{told:?}");
    let late = "rollout of deployment/late: the rollout of deployment/late failed: ReplicaSet";
    assert!(told[0].starts_with(late), "{told:?}");
    assert_eq!(told[1], "claim waiting: it is Pending");
    assert_eq!(told[2], "claim missing: there is none");
    world.end().await;
}
