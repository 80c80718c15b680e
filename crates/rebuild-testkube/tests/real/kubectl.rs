//! `kubectl` finds here what it finds in a real cluster.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use rebuild_testkube::{Cluster, Container, Program};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Long enough for a busy machine; what hangs is a failure.
const DEADLINE: Duration = Duration::from_secs(60);

/// The program under test: `REBUILD_TEST_KUBECTL`, or the one that `scripts/kubernetes-tools`
/// fetched, or the one in `PATH`.
fn kubectl() -> PathBuf {
    let given = std::env::var_os("REBUILD_TEST_KUBECTL");
    given.map_or_else(|| fetched("kubectl"), PathBuf::from)
}

/// A program that `scripts/kubernetes-tools` fetched, or the one in `PATH`.
pub(crate) fn fetched(name: &str) -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let caches = [cache, Some("/var/cache".into()), home()]
        .into_iter()
        .flatten();
    let mut places: Vec<PathBuf> = caches
        .map(|cache| cache.join("rebuild/kubernetes/bin"))
        .collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    places.extend(std::env::split_paths(&path));
    let mut programs = places.into_iter().map(|folder| folder.join(name));
    programs
        .find(|program| program.exists())
        .unwrap_or_else(|| panic!("{name} is missing: run scripts/kubernetes-tools"))
}

/// Runs kubectl with some input and the words of a line as its arguments.
async fn run(cluster: &Cluster, line: &str, input: &str) -> Output {
    let words: Vec<&str> = line.split_whitespace().collect();
    with(cluster, &words, input).await
}

async fn with(cluster: &Cluster, words: &[&str], input: &str) -> Output {
    let mut child = Command::new(kubectl())
        .args(words)
        .env("KUBECONFIG", cluster.kubeconfig())
        // What it caches of one cluster is nothing to another on the same port.
        .env("KUBECACHEDIR", cluster.kubeconfig().with_file_name("cache"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    output
        .unwrap_or_else(|_| panic!("kubectl {words:?} hangs"))
        .unwrap()
}

/// What kubectl prints when all goes well.
pub(crate) async fn ok(cluster: &Cluster, line: &str, input: &str) -> String {
    let output = run(cluster, line, input).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl {line}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A cluster whose image `shell` runs the container's own command.
async fn cluster() -> Cluster {
    let cluster = Cluster::start().await.unwrap();
    cluster.image("shell:1", |container: &Container| {
        Program::new(container.command.iter().chain(&container.args))
    });
    cluster
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: web, image: 'shell:1', command: [sleep, '1000']}
";

#[tokio::test]
async fn deployments_are_applied_scaled_restarted_and_deleted() {
    let cluster = cluster().await;
    let applied = ok(&cluster, "apply --server-side -f -", DEPLOYMENT).await;
    assert_eq!(applied, "deployment.apps/web serverside-applied\n");
    let rolled = ok(&cluster, "rollout status deploy/web --timeout=30s", "").await;
    assert!(rolled.contains("successfully rolled out"), "{rolled}");
    ok(
        &cluster,
        "wait --for=condition=Available deploy/web --timeout=30s",
        "",
    )
    .await;

    // Another manager's value is a conflict until it is forced.
    let three = DEPLOYMENT.replace("replicas: 2", "replicas: 3");
    let refused = run(
        &cluster,
        "apply --server-side --field-manager=other -f -",
        &three,
    )
    .await;
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    assert!(
        message.contains("conflict with \"kubectl\"") && message.contains(".spec.replicas"),
        "{message}"
    );
    ok(&cluster, "scale deploy/web --replicas=1", "").await;
    ok(
        &cluster,
        "wait --for=jsonpath={.status.readyReplicas}=1 deploy/web --timeout=30s",
        "",
    )
    .await;
    assert_eq!(
        ok(&cluster, "get deploy web -o jsonpath={.spec.replicas}", "").await,
        "1"
    );

    let before = ok(&cluster, "get pods -l app=web -o name", "").await;
    ok(&cluster, "rollout restart deploy/web", "").await;
    ok(&cluster, "rollout status deploy/web --timeout=30s", "").await;
    ok(
        &cluster,
        &format!(
            "wait --for=delete {} --timeout=30s",
            before.lines().next().unwrap()
        ),
        "",
    )
    .await;
    let after = ok(&cluster, "get pods -l app=web -o name", "").await;
    assert_eq!(after.lines().count(), 1);
    assert_ne!(before, after);
    let shown = ok(&cluster, "describe deploy web", "").await;
    assert!(
        shown.contains("Available") && shown.contains("NewReplicaSetAvailable"),
        "{shown}"
    );
    ok(&cluster, "delete deploy web --timeout=30s", "").await;
    ok(
        &cluster,
        "wait --for=delete pod -l app=web --timeout=30s",
        "",
    )
    .await;
}

#[tokio::test]
async fn manifests_applied_by_the_client_keep_what_they_do_not_name() {
    let cluster = cluster().await;
    let map = |data: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{{data}}}\n")
    };
    ok(&cluster, "apply -f -", &map("x: '1', y: '2'")).await;
    ok(&cluster, "label configmap a kept=yes", "").await;
    let again = ok(&cluster, "apply -f -", &map("x: '1', y: '2'")).await;
    assert_eq!(again, "configmap/a unchanged\n");
    assert_eq!(
        ok(&cluster, "apply -f -", &map("x: '3'")).await,
        "configmap/a configured\n"
    );
    let json = ok(&cluster, "get configmap a -o json", "").await;
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(object["data"], serde_json::json!({"x": "3"}));
    assert_eq!(object["metadata"]["labels"]["kept"], "yes");
    assert!(ok(&cluster, "get configmaps", "").await.contains("\na "));
}

#[tokio::test]
async fn commands_and_logs_of_pods_are_streamed() {
    let cluster = cluster().await;
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  restartPolicy: Never\n  \
               containers:\n  - name: c\n    image: shell:1\n    \
               command: [sh, -c, 'echo first; echo second; while ! [ -e $END ]; do sleep 0.05; done; echo third']\n    \
               env: [{name: END, value: FILE}]\n";
    let file = cluster.kubeconfig().with_file_name("end");
    ok(
        &cluster,
        "apply -f -",
        &pod.replace("FILE", &file.display().to_string()),
    )
    .await;
    ok(
        &cluster,
        "wait --for=condition=Ready pod/p --timeout=30s",
        "",
    )
    .await;

    assert_eq!(
        ok(&cluster, "exec -i p -- cat", "over the wire\n").await,
        "over the wire\n"
    );
    let failed = with(
        &cluster,
        &["exec", "p", "--", "sh", "-c", "echo told >&2; exit 7"],
        "",
    )
    .await;
    let errors = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(7), "{errors}");
    assert!(errors.contains("told"), "{errors}");
    let seen = with(&cluster, &["exec", "p", "--", "sh", "-c", "echo $END"], "").await;
    assert_eq!(
        String::from_utf8_lossy(&seen.stdout).trim(),
        file.display().to_string()
    );

    let following = ok(&cluster, "logs -f p", "");
    let end = async {
        // The log is followed to its end whether it was begun before the end or after it.
        std::fs::write(&file, "").unwrap();
    };
    let (log, ()) = tokio::join!(following, end);
    assert_eq!(log, "first\nsecond\nthird\n");
    assert_eq!(ok(&cluster, "logs p --tail=1", "").await, "third\n");
    let phase = "wait --for=jsonpath={.status.phase}=Succeeded pod/p --timeout=30s";
    ok(&cluster, phase, "").await;
}

#[tokio::test]
async fn what_is_no_longer_applied_goes_from_lists_and_maps() {
    let cluster = cluster().await;
    let more = DEPLOYMENT.replace(
        "metadata: {name: web}",
        "metadata: {name: web, labels: {a: b}}",
    );
    let more = more.replace(
        "'1000']",
        "'1000'], env: [{name: A, value: '1'}, {name: B, value: '2'}]",
    );
    let more =
        format!("{more}      - {{name: side, image: 'shell:1', command: [sleep, '1000']}}\n");
    let less = more
        .replace("{a: b}", "{}")
        .replace(", {name: B, value: '2'}", "");
    let less = less
        .lines()
        .filter(|line| !line.contains("side"))
        .collect::<Vec<_>>()
        .join("\n");
    let shown = "get deploy web -o jsonpath={.metadata.labels}{.spec.template.spec.containers[*].name}{.spec.template.spec.containers[0].env}";
    let whole = r#"{"a":"b"}web side[{"name":"A","value":"1"},{"name":"B","value":"2"}]"#;
    for (manifest, expected) in [
        (&more, whole),
        (&less, r#"{}web[{"name":"A","value":"1"}]"#),
        (&more, whole),
    ] {
        ok(&cluster, "apply --server-side -f -", manifest).await;
        assert_eq!(ok(&cluster, shown, "").await, expected);
    }
}

const DATABASE: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: db
        image: shell:1
        command: [sleep, '1000']
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

#[tokio::test]
async fn a_stateful_set_keeps_its_claims_and_a_claim_in_use_waits_for_its_pod() {
    let cluster = cluster().await;
    ok(&cluster, "apply --server-side -f -", DATABASE).await;
    ok(&cluster, "rollout status sts/db --timeout=30s", "").await;
    let claim = cluster
        .get("PersistentVolumeClaim", "default", "data-db-0")
        .unwrap();
    let volume = claim["spec"]["volumeName"].as_str().unwrap().to_owned();
    let volume_object = cluster.get("PersistentVolume", "", &volume).unwrap();
    let folder = PathBuf::from(volume_object["spec"]["hostPath"]["path"].as_str().unwrap());
    assert!(folder.is_dir());

    ok(&cluster, "delete pvc data-db-0 --wait=false", "").await;
    let shown = ok(&cluster, "describe pvc data-db-0", "").await;
    assert!(
        shown.contains("Terminating") && shown.contains("Used By:       db-0"),
        "{shown}"
    );
    ok(&cluster, "scale sts/db --replicas=0", "").await;
    ok(
        &cluster,
        "wait --for=delete pvc/data-db-0 --timeout=30s",
        "",
    )
    .await;
    ok(
        &cluster,
        &format!("wait --for=delete pv/{volume} --timeout=30s"),
        "",
    )
    .await;
    assert!(!folder.exists(), "the volume's reclaim policy is Delete");
    ok(&cluster, "scale sts/db --replicas=1", "").await;
    ok(&cluster, "rollout status sts/db --timeout=30s", "").await;
    ok(&cluster, "delete sts db --timeout=30s", "").await;
    ok(&cluster, "wait --for=delete pod/db-0 --timeout=30s", "").await;
    assert!(
        cluster
            .get("PersistentVolumeClaim", "default", "data-db-0")
            .is_some()
    );
    ok(&cluster, "delete pvc --all --wait --timeout=30s", "").await;
}

const CRON_JOB: &str = "
apiVersion: batch/v1
kind: CronJob
metadata: {name: migrate}
spec:
  schedule: '@daily'
  suspend: true
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        spec:
          restartPolicy: Never
          containers:
          - {name: c, image: 'shell:1', command: [sh, -c, 'echo migrated']}
";

#[tokio::test]
async fn a_job_is_made_from_a_cron_job() {
    let cluster = cluster().await;
    ok(&cluster, "apply -f -", CRON_JOB).await;
    // This one is sent as protobuf, as is the question below.
    let made = ok(&cluster, "create job --from=cronjob/migrate now", "").await;
    assert_eq!(made, "job.batch/now created\n");
    assert_eq!(ok(&cluster, "auth can-i create jobs", "").await, "yes\n");
    ok(
        &cluster,
        "wait --for=condition=Complete job/now --timeout=30s",
        "",
    )
    .await;
    assert_eq!(ok(&cluster, "logs job/now", "").await, "migrated\n");
    ok(&cluster, "delete job now --timeout=30s", "").await;
    assert!(cluster.get("Job", "default", "now").is_none());
}
