use std::collections::BTreeMap;

use rebuild_testkube::{Fault, Strike};

use super::*;
use crate::testing::kubernetes::World;

#[test]
fn variables_come_first_and_replace() {
    let mut pod = json!({
        "containers": [
            { "name": "a", "env": [
                { "name": "KEEP", "value": "$(PGDATABASE)" },
                { "name": "PGDATABASE", "value": "old" },
            ]},
            { "name": "b" },
        ],
    });
    set_env(&mut pod, &[("PGDATABASE".to_owned(), "new".to_owned())]);
    let new = json!({ "name": "PGDATABASE", "value": "new" });
    let keep = json!({ "name": "KEEP", "value": "$(PGDATABASE)" });
    assert_eq!(pod["containers"][0]["env"], json!([new, keep]));
    assert_eq!(pod["containers"][1]["env"], json!([new]));
    assert_eq!(pod["initContainers"], Value::Null);
}

/// A Job of a script, in a namespace with nothing else in it.
struct Stage {
    world: World,
    job: ClusterJob,
}

impl Stage {
    async fn new(script: &str) -> Self {
        let world = World::empty().await;
        let manifest = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "work" },
            "spec": {
                "backoffLimit": 2,
                "template": { "spec": {
                    "restartPolicy": "OnFailure",
                    "terminationGracePeriodSeconds": 1,
                    "volumes": [{ "name": "scratch", "emptyDir": {} }],
                    "containers": [{
                        "name": "main", "image": "postgres:16",
                        "command": ["bash", "-euc", script],
                        "volumeMounts": [{ "name": "scratch", "mountPath": "/scratch" }],
                    }],
                }},
            },
        });
        world.write("job.yaml", &manifest.to_string());
        let job = ClusterJob {
            cluster: world.cluster().await,
            source: JobSource::Manifest(world.folder.path().join("job.yaml")),
            env: Vec::new(),
            indexed: None,
            limit: Duration::from_secs(60),
            redaction: Redaction::new(None),
        };
        Self { world, job }
    }

    fn ctx(&self) -> Ctx {
        Ctx::new(
            crate::model::RunId::generate(),
            Events::new(None, vec![self.world.told.clone()]),
        )
    }
}

#[tokio::test]
async fn the_logs_of_every_try_are_told_once_also_when_they_break() {
    // The first try fails, the second prints a lot, a piece at a time.
    let script = "if mkdir ${SCRATCH:-/scratch}/tried 2> /dev/null; then echo first try; exit 7; fi
        for n in $(seq 1 300); do echo line $n; [ $((n % 50)) != 0 ] || sleep 0.1; done
        head -c 100000 /dev/zero | tr '\\0' x; echo; echo last";
    let stage = Stage::new(script).await;
    let ctx = stage.ctx();
    let cut = stage.world.inside("logs that break").map(|cluster| {
        cluster.fault(Fault {
            skip: 1,
            times: 3,
            ..Fault::once("GET", "/log?", Strike::CutStream { bytes: 2000 })
        })
    });
    stage.job.run(&ctx).await.expect("the second try");
    let told = stage.world.told.text();
    let mut lines: BTreeMap<&str, u32> = BTreeMap::new();
    for line in told.lines().filter(|line| line.contains("\"output\"")) {
        let (_, text) = line.split_once("\"line\":\"").expect("a line");
        *lines.entry(text).or_default() += 1;
    }
    for expected in (1..=300).map(|n| format!("line {n}\"}}")) {
        assert_eq!(lines.get(&*expected), Some(&1), "{expected}");
    }
    assert_eq!(told.matches(" ... (cut)").count(), 1);
    for expected in ["first try\"}", "last\"}"] {
        assert_eq!(lines.get(expected), Some(&1), "{expected}");
    }
    if let Some(cut) = cut {
        // How often a log is asked for depends on when its pod is seen to have ended.
        assert!(cut.struck() > 0);
    }
    assert_eq!(stage.world.names("job").await, [""; 0]);
    assert_eq!(stage.world.names("pod").await, [""; 0]);
    stage.world.end().await;
}

#[tokio::test]
async fn a_job_whose_run_was_killed_is_waited_for_and_not_made_twice() {
    let stage = Stage::new("echo begun; sleep 3; echo done").await;
    let ctx = stage.ctx();
    {
        let killed = stage.job.run(&ctx);
        let begun = stage.world.told.hears("begun");
        tokio::select! {
            ended = killed => panic!("{ended:?}"),
            () = begun => {}
        }
    }
    let before = stage.world.get("job", "work").await.expect("it runs");
    // Another run leaves it alone; the same one goes on.
    let other = stage.job.run(&stage.ctx()).await.expect_err("not its own");
    assert!(other.is_refusal(), "{other:?}");
    let again = stage.job.run(&ctx);
    let same = async {
        stage.world.told.hears("\"line\":\"done\"").await;
        stage.world.get("job", "work").await
    };
    let (ended, now) = tokio::join!(again, same);
    ended.expect("done");
    if let Some(now) = now {
        assert_eq!(now["metadata"]["uid"], before["metadata"]["uid"]);
    }
    assert_eq!(
        stage.world.told.text().matches("begun").count(),
        2,
        "told again"
    );
    stage.world.end().await;
}

#[tokio::test]
async fn one_that_is_too_late_or_stopped_is_deleted() {
    let mut stage = Stage::new("echo begun $TURN; sleep 1000").await;
    let turn = |n: &str| vec![("TURN".to_owned(), n.to_owned())];
    (stage.job.limit, stage.job.env) = (Duration::from_secs(3), turn("one"));
    let late = stage.job.run(&stage.ctx()).await.expect_err("too late");
    // Whichever clock strikes first: ours, or the Job's own.
    let named = late.to_string().contains("took longer than 3s");
    assert!(
        named || late.to_string().contains("DeadlineExceeded"),
        "{late:?}"
    );

    (stage.job.limit, stage.job.env) = (Duration::from_secs(60), turn("two"));
    let ctx = stage.ctx();
    let stop = async {
        stage.world.told.hears("begun two").await;
        ctx.stop.cancel();
    };
    let (stopped, ()) = tokio::join!(stage.job.run(&ctx), stop);
    let stopped = stopped.expect_err("stopped");
    assert_eq!(stopped.kind(), ErrorKind::Interrupted, "{stopped:?}");
    assert_eq!(stage.world.names("job").await, [""; 0]);
    assert_eq!(stage.world.names("pod").await, [""; 0]);
    stage.world.end().await;
}

#[tokio::test]
async fn one_that_would_be_gone_at_once_still_tells_how_it_ended() {
    for (script, ends_well) in [("echo well", true), ("echo badly; exit 3", false)] {
        let stage = Stage::new(script).await;
        let file = stage.world.folder.path().join("job.yaml");
        let manifest = std::fs::read(&file).expect("a manifest");
        let mut manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        manifest["spec"]["ttlSecondsAfterFinished"] = json!(0);
        manifest["spec"]["backoffLimit"] = json!(0);
        stage.world.write("job.yaml", &manifest.to_string());
        let ended = stage.job.run(&stage.ctx()).await;
        match ended {
            Ok(()) => assert!(ends_well),
            Err(e) => assert!(
                !ends_well && e.chain().contains("BackoffLimitExceeded"),
                "{e:?}"
            ),
        }
        stage.world.end().await;
    }
}

#[tokio::test]
async fn what_is_no_job_is_refused_before_anything_is_made() {
    let stage = Stage::new("true").await;
    for (text, why) in [
        ("{", "is not YAML"),
        ("", "holds 0 objects"),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: x}}",
            "and not a Job",
        ),
        (
            "{apiVersion: batch/v1, kind: Job, metadata: {}}",
            "has no metadata.name",
        ),
        (
            "{apiVersion: batch/v1, kind: Job, metadata: {name: A_B}}",
            "has no metadata.name",
        ),
        (
            "{apiVersion: batch/v1, kind: Job, metadata: {name: x, namespace: other}}",
            "is meant for namespace \"other\"",
        ),
    ] {
        stage.world.write("job.yaml", text);
        let error = stage.job.run(&stage.ctx()).await.expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
        assert!(error.chain().contains(why), "{text}: {error:?}");
    }
    assert_eq!(stage.world.names("job").await, [""; 0]);
    stage.world.end().await;
}
