//! Pods and what runs them, with `kube`.

use std::time::Duration;

use futures::AsyncBufReadExt;
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, AttachParams, DeleteParams, LogParams};
use kube::runtime::wait::Condition;
use rebuild_testkube::{Address, Cluster, Fault, Program, Ready, Strike};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::{client, until};

fn is_ready() -> impl Condition<Pod> {
    |pod: Option<&Pod>| {
        let conditions = pod.and_then(|pod| pod.status.as_ref()?.conditions.clone());
        conditions.is_some_and(|all| {
            all.iter()
                .any(|it| it.type_ == "Ready" && it.status == "True")
        })
    }
}

fn reason_is(reason: &'static str) -> impl Condition<Pod> {
    move |pod: Option<&Pod>| {
        let statuses = pod.and_then(|pod| pod.status.as_ref()?.container_statuses.clone());
        let reason_of = |it: &k8s_openapi::api::core::v1::ContainerStatus| {
            it.state.as_ref()?.waiting.as_ref()?.reason.clone()
        };
        statuses.is_some_and(|all| {
            all.iter()
                .any(|it| reason_of(it).as_deref() == Some(reason))
        })
    }
}

/// A pod of one container, with more of its spec.
fn pod(name: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\nspec:\n  \
         terminationGracePeriodSeconds: 2\n{more}"
    )
}

/// A server of this process that sends back what it gets.
async fn echo() -> Address {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    Address::Tcp(address)
}

pub(crate) async fn echo_pod(cluster: &Cluster, client: &Client) -> Api<Pod> {
    let address = echo().await;
    cluster.image("echo:1", move |_| {
        let program = Program::new(["sleep", "1000"]).port(7, address.clone());
        program.ready(Ready::Accepts(address.clone()))
    });
    let containers = "  containers: [{name: c, image: 'echo:1'}]\n";
    cluster.put(&pod("echo", containers)).unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    until(&pods, "echo", is_ready()).await;
    pods
}

#[tokio::test]
async fn a_port_forward_carries_bytes_both_ways_until_it_is_cut() {
    let cluster = Cluster::start().await.unwrap();
    let pods = echo_pod(&cluster, &client(&cluster).await).await;
    let mut forward = pods.portforward("echo", &[7]).await.unwrap();
    let mut stream = forward.take_stream(7).unwrap();
    let sent: Vec<u8> = (0..1_000_000_u32)
        .map(|it| it.to_le_bytes()[0] ^ it.to_le_bytes()[1])
        .collect();
    let (mut read, mut write) = tokio::io::split(&mut stream);
    let mut received = vec![0; sent.len()];
    let (written, got) = tokio::join!(write.write_all(&sent), read.read_exact(&mut received));
    written.unwrap();
    got.unwrap();
    assert!(received == sent);

    cluster.cut_streams();
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut [0; 1])).await;
    assert!(matches!(ended.unwrap(), Ok(0) | Err(_)));

    let cut = cluster.fault(Fault::once(
        "GET",
        "/portforward",
        Strike::CutStream { bytes: 100_000 },
    ));
    let mut forward = pods.portforward("echo", &[7]).await.unwrap();
    let mut stream = forward.take_stream(7).unwrap();
    let (mut read, mut write) = tokio::io::split(&mut stream);
    let mut received = Vec::new();
    let writing = async { write.write_all(&sent).await };
    let reading = tokio::time::timeout(Duration::from_secs(10), read.read_to_end(&mut received));
    let (_, read_all) = tokio::join!(writing, reading);
    let _ = read_all.unwrap();
    assert!(received.len() < sent.len() && cut.struck() == 1);

    let mut forward = pods.portforward("echo", &[8]).await.unwrap();
    let error = forward.take_error(8).unwrap().await;
    assert!(error.unwrap().contains("failed to connect to localhost:8"));
}

#[tokio::test]
async fn a_command_in_a_container_has_its_environment_and_ends_with_its_code() {
    let cluster = Cluster::start().await.unwrap();
    let client = client(&cluster).await;
    cluster.image("shell:1", |_| {
        Program::new(["sleep", "1000"]).env("OWN", "image")
    });
    cluster
        .put(
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: 'a b'}\n---\n\
             apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {HOST: db}\n",
        )
        .unwrap();
    let more = "  containers:\n  - name: c\n    image: shell:1\n    envFrom: [{configMapRef: {name: m}}]\n    env:\n    \
                - {name: PASSWORD, valueFrom: {secretKeyRef: {name: s, key: password}}}\n    \
                - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}\n    \
                - {name: URL, value: '$(POD)@$(HOST)'}\n    volumeMounts: [{name: v, mountPath: /secret}]\n  \
                volumes: [{name: v, secret: {secretName: s}}]\n";
    cluster.put(&pod("p", more)).unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client);
    until(&pods, "p", is_ready()).await;

    let script = "echo \"$OWN $PASSWORD $URL\"; cat; echo bad >&2; exit 3";
    let params = AttachParams::default().stdin(true).stderr(true);
    let mut process = pods.exec("p", ["sh", "-c", script], &params).await.unwrap();
    let mut stdin = process.stdin().unwrap();
    stdin.write_all(b"typed").await.unwrap();
    stdin.shutdown().await.unwrap();
    drop(stdin);
    let (mut out, mut err) = (String::new(), String::new());
    let (mut stdout, mut stderr) = (process.stdout().unwrap(), process.stderr().unwrap());
    let status = process.take_status().unwrap();
    let (read_out, read_err, status) = tokio::join!(
        stdout.read_to_string(&mut out),
        stderr.read_to_string(&mut err),
        status
    );
    read_out.unwrap();
    read_err.unwrap();
    assert_eq!(
        (out.as_str(), err.as_str()),
        ("image a b p@db\ntyped", "bad\n")
    );
    let status = status.unwrap();
    assert_eq!(status.status.as_deref(), Some("Failure"));
    let causes = status.details.unwrap().causes.unwrap();
    assert_eq!(causes[0].reason.as_deref(), Some("ExitCode"));
    assert_eq!(causes[0].message.as_deref(), Some("3"));
}

#[tokio::test]
async fn a_container_that_crashes_is_started_again_and_its_last_log_is_kept() {
    let cluster = Cluster::start().await.unwrap();
    let client = client(&cluster).await;
    cluster.image("crash:1", |_| {
        Program::new(["sh", "-c", "echo once; echo more; exit 9"])
    });
    cluster
        .put(&pod("p", "  containers: [{name: c, image: 'crash:1'}]\n"))
        .unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client);
    let crashed = until(&pods, "p", reason_is("CrashLoopBackOff"))
        .await
        .unwrap();
    let status = crashed
        .status
        .unwrap()
        .container_statuses
        .unwrap()
        .remove(0);
    assert!(status.restart_count >= 1);
    assert_eq!(status.last_state.unwrap().terminated.unwrap().exit_code, 9);
    let params = LogParams {
        previous: true,
        tail_lines: Some(1),
        ..LogParams::default()
    };
    assert_eq!(pods.logs("p", &params).await.unwrap(), "more\n");
    pods.delete("p", &DeleteParams::default()).await.unwrap();
    until(&pods, "p", |pod: Option<&Pod>| pod.is_none()).await;
}

#[tokio::test]
async fn pods_that_cannot_start_say_why() {
    let cluster = Cluster::start().await.unwrap();
    let client = client(&cluster).await;
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    cluster
        .put(&pod(
            "unknown",
            "  containers: [{name: c, image: 'nowhere:1'}]\n",
        ))
        .unwrap();
    until(&pods, "unknown", reason_is("ImagePullBackOff")).await;
    let selector = "  nodeSelector: {disk: fast}\n  containers: [{name: c, image: 'nowhere:1'}]\n";
    cluster.put(&pod("nowhere", selector)).unwrap();
    let unschedulable = |pod: Option<&Pod>| {
        let conditions = pod.and_then(|pod| pod.status.as_ref()?.conditions.clone());
        conditions.is_some_and(|all| {
            all.iter()
                .any(|it| it.reason.as_deref() == Some("Unschedulable"))
        })
    };
    until(&pods, "nowhere", unschedulable).await;
    let told = |reason: &str| {
        cluster
            .list("Event", "default")
            .iter()
            .any(|event| event["reason"] == *reason)
    };
    assert!(told("Failed") && told("BackOff") && told("FailedScheduling"));
    // The image comes late, and the pod starts.
    cluster.image("nowhere:1", |_| Program::new(["sleep", "1000"]));
    until(&pods, "unknown", is_ready()).await;
    cluster.evict("default", "unknown");
    let evicted = pods.get("unknown").await.unwrap().status.unwrap();
    assert_eq!(
        (evicted.phase.as_deref(), evicted.reason.as_deref()),
        (Some("Failed"), Some("Evicted"))
    );
}

#[tokio::test]
async fn a_deleted_pod_is_asked_to_end_and_then_killed() {
    let cluster = Cluster::start().await.unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client(&cluster).await);
    cluster.image("stubborn:1", |_| {
        Program::new([
            "sh",
            "-c",
            "trap 'echo asked' TERM; echo begun; while true; do sleep 0.05; done",
        ])
    });
    cluster
        .put(&pod(
            "p",
            "  containers: [{name: c, image: 'stubborn:1'}]\n",
        ))
        .unwrap();
    until(&pods, "p", is_ready()).await;
    let follow = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let mut log = pods.log_stream("p", &follow).await.unwrap().lines();
    assert_eq!(log.try_next().await.unwrap().as_deref(), Some("begun"));
    let started = std::time::Instant::now();
    pods.delete("p", &DeleteParams::default()).await.unwrap();
    assert_eq!(log.try_next().await.unwrap().as_deref(), Some("asked"));
    assert_eq!(log.try_next().await.unwrap(), None);
    until(&pods, "p", |pod: Option<&Pod>| pod.is_none()).await;
    assert!(
        started.elapsed() >= Duration::from_secs(1),
        "it was killed before its time"
    );
}

#[tokio::test]
async fn logs_are_cut_to_what_is_asked_for_and_attach_shows_what_comes() {
    let cluster = Cluster::start().await.unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client(&cluster).await);
    let end = cluster.kubeconfig().with_file_name("end");
    let script = format!(
        "echo one; echo two; until [ -e {0} ]; do sleep 0.02; done; echo last; exit 5",
        end.display()
    );
    cluster.image("talk:1", move |_| {
        Program::new(["sh", "-c", script.as_str()])
    });
    let containers = "  restartPolicy: Never\n  containers: [{name: c, image: 'talk:1'}]\n";
    cluster.put(&pod("p", containers)).unwrap();
    until(&pods, "p", is_ready()).await;
    let follow = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let mut log = pods.log_stream("p", &follow).await.unwrap().lines();
    for line in ["one", "two"] {
        assert_eq!(log.try_next().await.unwrap().as_deref(), Some(line));
    }
    let logs = async |params: LogParams| pods.logs("p", &params).await.unwrap();
    let all = LogParams::default;
    assert_eq!(
        logs(LogParams {
            limit_bytes: Some(5),
            ..all()
        })
        .await,
        "one\nt"
    );
    let stamped = logs(LogParams {
        timestamps: true,
        tail_lines: Some(1),
        ..all()
    })
    .await;
    let (time, line) = stamped.split_once(' ').unwrap();
    assert_eq!(line, "two\n");
    let time: k8s_openapi::jiff::Timestamp = time.parse().unwrap();
    // The time is sent to the second.
    let after = time + k8s_openapi::jiff::SignedDuration::from_secs(2);
    assert_eq!(
        logs(LogParams {
            since_time: Some(after),
            ..all()
        })
        .await,
        ""
    );

    let params = AttachParams::default().stdin(false).stderr(false);
    let mut attached = pods.attach("p", &params).await.unwrap();
    let (mut stdout, status) = (attached.stdout().unwrap(), attached.take_status().unwrap());
    std::fs::write(&end, "").unwrap();
    let mut shown = String::new();
    let (read, status) = tokio::join!(stdout.read_to_string(&mut shown), status);
    read.unwrap();
    assert_eq!(shown, "last\n");
    let causes = status.unwrap().details.unwrap().causes.unwrap();
    assert_eq!(causes[0].message.as_deref(), Some("5"));
    assert_eq!(log.try_next().await.unwrap().as_deref(), Some("last"));
    assert_eq!(log.try_next().await.unwrap(), None);
}
