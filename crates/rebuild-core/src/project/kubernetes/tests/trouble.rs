//! What goes wrong in a cluster, and what becomes of the run then.

use std::time::Duration;

use rebuild_testkube::{Fault, Strike};

use super::whole::{JOB, SCHEMA, SPEC, filled};
use super::*;
use crate::error::ErrorKind;

/// A fault, with what a test that fails calls it.
fn once(method: &str, path: &str, strike: Strike) -> (String, Fault) {
    let name = format!("{method} {path}: {strike:?}");
    (name, Fault::once(method, path, strike))
}

fn answer(code: u16) -> Strike {
    Strike::Answer {
        code,
        retry_after: None,
    }
}

#[tokio::test]
async fn what_passes_by_itself_is_no_failure() {
    let world = filled().await;
    let Some(cluster) = world.inside("faults of the API server") else {
        return world.end().await;
    };
    let busy = Strike::Answer {
        code: 429,
        retry_after: Some(1),
    };
    let faults = [
        once("GET", "/services/db", busy),
        once("GET", "/secrets/db", answer(500)),
        once("GET", "/persistentvolumeclaims?", answer(503)),
        once("GET", "/cronjobs?", Strike::CloseBefore),
        once("POST", "/leases", Strike::CloseAfter),
        once("PATCH", "/deployments/api/scale", Strike::CloseAfter),
        once("PATCH", "/cronjobs/nightly", answer(504)),
        once("GET", "watch=true", Strike::Expire),
        once("GET", "watch=true", Strike::CutStream { bytes: 1500 }),
        once("POST", "/jobs", Strike::CloseAfter),
        once("GET", "/jobs/count", answer(500)),
        once("GET", "/log?", Strike::CloseBefore),
        once("DELETE", "/jobs/count", Strike::CloseAfter),
        once("PATCH", "/deployments/api?", Strike::CloseAfter),
        once("DELETE", "/leases", Strike::CloseAfter),
    ];
    let handles: Vec<_> = faults
        .into_iter()
        .map(|(name, fault)| (name, cluster.fault(fault)))
        .collect();
    let report = world.run(SPEC).await;
    assert_eq!(
        report.ending,
        Ending::Done,
        "{report:?} {}",
        world.told.text()
    );
    for (name, fault) in handles {
        assert_eq!(fault.struck(), 1, "{name}");
    }
    assert_eq!(
        world.sql("select max(items) from public.tally").await,
        "100"
    );
    world.await_ready("deployment", "api", 2).await;
}

#[tokio::test]
async fn a_way_that_breaks_while_rows_go_over_it_takes_the_run_back() {
    let world = filled().await;
    let Some(cluster) = world.inside("a port-forward that is cut") else {
        return world.end().await;
    };
    let bulk = "create table public.bulk (id int, note text);";
    world.write("schema.sql", &format!("{SCHEMA} {bulk}"));
    let rows = "insert into public.bulk select n, repeat(md5(n::text), 100)
                  from generate_series(1, 5000) n";
    world.sql(&format!("{bulk} {rows}")).await;
    let cut = cluster.fault(Fault {
        times: 20,
        ..Fault::once(
            "GET",
            "/portforward",
            Strike::CutStream { bytes: 3_000_000 },
        )
    });
    let report = world.run(SPEC).await;
    assert!(cut.struck() > 0);
    assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
    assert_eq!(world.sql("select count(*) from public.bulk").await, "5000");
    let read_only = "select count(*) from pg_db_role_setting";
    assert_eq!(world.sql(read_only).await, "0");
    world.await_ready("deployment", "api", 2).await;
}

#[tokio::test]
async fn what_the_account_may_not_do_is_named() {
    let world = filled().await;
    let Some(cluster) = world.inside("rights that are taken away") else {
        return world.end().await;
    };
    cluster.deny("list", "persistentvolumes");
    let plan = world.plan(SPEC).await;
    assert_eq!(plan.refusals, []);
    let shown = plan.render();
    assert!(
        shown.contains("not to be seen: could not list persistentvolumes"),
        "{shown}"
    );
    assert!(shown.contains("with reclaim policy unknown"), "{shown}");

    cluster.deny("patch", "deployments/scale");
    let report = world.run(SPEC).await;
    let error = report.error.expect("an error");
    assert!(error.contains("could not scale deployment/api"), "{error}");
    assert!(
        error.contains("cannot patch resource \"deployments/scale\""),
        "{error}"
    );

    cluster.deny("get", "secrets");
    let error = world.try_project(SPEC).await.err().expect("no project");
    assert!(
        error.chain().contains("cannot get resource \"secrets\""),
        "{error:?}"
    );
    assert!(
        error
            .advice()
            .expect("a hint")
            .contains("kubectl auth can-i")
    );
    assert_eq!(error.kind(), ErrorKind::Server);
}

#[tokio::test]
async fn a_workload_that_does_not_come_back_says_why() {
    let world = filled().await;
    let api = world.get("deployment", "api").await.expect("it");
    let image = |image: &str| {
        let mut api = api.clone();
        api["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
        serde_json::json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "api" }, "spec": api["spec"],
        })
        .to_string()
    };
    world.apply(&image("registry.invalid/missing:1")).await;
    let hasty = SPEC.replacen(
        "kubernetes = \"deployment/api\"",
        "kubernetes = \"deployment/api\"\ntimeout = \"5s\"",
        1,
    );
    let report = world.run(&hasty).await;
    // It was in service already, and nobody has written: it goes back, where the same holds it up.
    assert_eq!(report.ending, Ending::Stuck, "{report:?}");
    let error = report.error.expect("an error");
    assert!(
        error.contains("ErrImagePull") || error.contains("ImagePullBackOff"),
        "{error}"
    );
    assert_eq!(
        world
            .sql(
                "select count(*) from pg_attribute
        where attrelid = 'public.item'::regclass and attname = 'note'"
            )
            .await,
        "0"
    );
    world.apply(&image("postgres:16")).await;
    let project = world.project(&hasty).await;
    let report = project.rollback(&report.run, None, false).await;
    assert_eq!(report.expect("a report").ending, Ending::RolledBack);
    world.await_ready("deployment", "api", 2).await;
    world.end().await;
}

#[tokio::test]
async fn what_holds_a_rollout_up_is_named() {
    let world = World::empty().await;
    let held_up = async |name: &str, image: &str, command: &str, more: &str, why: &str| {
        let manifest = format!(
            r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: {name} }}
spec:
  minReadySeconds: 3
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata: {{ labels: {{ app: {name} }} }}
    spec:
      {more}
      terminationGracePeriodSeconds: 1
      containers: [{{ name: main, image: "{image}", command: [sh, -c, "{command}"] }}]
"#
        );
        world.apply(&manifest).await;
        let cluster = world.cluster().await;
        let workload = format!("deployment/{name}").parse().expect("a workload");
        let (ctx, limit) = (Ctx::quiet(), Duration::from_secs(20));
        let waited = cluster.wait_for_rollout(&ctx, &workload, limit).await;
        let error = waited.expect_err("it does not come up");
        assert_eq!(error.kind(), ErrorKind::Deadline, "{error:?}");
        assert!(error.chain().contains(why), "{name}: {error:?}");
    };
    let (image, forever) = ("postgres:16", "sleep 1000000");
    let nowhere = "nodeSelector: { no-node-has: this }";
    tokio::join!(
        held_up("nowhere", image, forever, nowhere, "Unschedulable"),
        held_up(
            "missing",
            "registry.invalid/missing:1",
            forever,
            "",
            "ImagePull"
        ),
        held_up("crash", image, "exit 3", "", "ended with exit code 3"),
    );
    world.end().await;
}

#[tokio::test]
async fn a_rollout_that_gave_up_is_not_waited_for() {
    let world = World::empty().await;
    world
        .apply(
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: late}, spec: {
               progressDeadlineSeconds: 1, selector: {matchLabels: {app: late}}, template: {
                 metadata: {labels: {app: late}}, spec: {containers: [
                   {name: main, image: 'registry.invalid/missing:1'}]}}}}",
        )
        .await;
    let cluster = world.cluster().await;
    let workload = "deployment/late".parse().expect("a workload");
    let (ctx, limit) = (Ctx::quiet(), Duration::from_secs(600));
    let waited = cluster.wait_for_rollout(&ctx, &workload, limit).await;
    let error = waited.expect_err("it does not come up");
    assert_eq!(error.kind(), ErrorKind::Server, "{error:?}");
    let why = "the rollout of deployment/late failed: ReplicaSet";
    let told = error.chain();
    assert!(
        told.contains(why) && told.contains("timed out progressing"),
        "{told}"
    );
    world.end().await;
}

#[tokio::test]
async fn one_pod_and_no_other_is_the_database() {
    let world = filled().await;
    let of = |more: &str| SPEC.to_owned() + more;
    let spec = world
        .spec_text(&of(""))
        .replace("service = \"db\"", "selector = \"app=api\"");
    let error = world.open(&spec).await.err().expect("two pods");
    assert!(
        error
            .to_string()
            .contains("not exactly one pod with app=api is ready"),
        "{error:?}"
    );
    let hint = error.advice().expect("a hint").to_owned();
    assert!(hint.matches("is Running and ready").count() == 2, "{hint}");

    let spec = world
        .spec_text(&of(""))
        .replace("service = \"db\"", "selector = \"app=db\"");
    let project = world.open(&spec).await.expect("one pod");
    assert_eq!(project.plan(true).await.expect("a plan").refusals, []);
    world.end().await;
}

#[tokio::test]
async fn somebody_elses_lease_and_job_are_left_alone() {
    let world = filled().await;
    let lease = |renewed: &str| {
        format!(
            "{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: {}}},
               spec: {{holderIdentity: somebody, leaseDurationSeconds: 60, renewTime: \"{renewed}\"}}}}",
            lease_name("app")
        )
    };
    let now = jiff::Timestamp::now();
    world.apply(&lease(&format!("{now:.6}"))).await;
    let refused = world.project(SPEC).await.run(None, None).await;
    let error = refused.expect_err("somebody has the Lease");
    assert!(
        error.is_refusal() && error.to_string().contains("is held by somebody"),
        "{error:?}"
    );
    world.await_ready("deployment", "api", 2).await;

    // A holder whose clock is behind renews it all the same.
    let long_ago = now - jiff::SignedDuration::from_mins(10);
    let renewing = async {
        for seconds in 0.. {
            let renewed = long_ago + jiff::SignedDuration::from_secs(seconds);
            world.apply(&lease(&format!("{renewed:.6}"))).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let project = world.project(SPEC).await;
    let refused = tokio::select! {
        refused = project.run(None, None) => refused,
        () = renewing => unreachable!("it goes on"),
    };
    let error = refused.expect_err("somebody renews the Lease");
    assert!(
        error.to_string().contains("is held by somebody"),
        "{error:?}"
    );

    // Whoever has not renewed for minutes is gone.
    world.apply(&lease(&format!("{long_ago:.6}"))).await;
    let sleeping = JOB.replace("echo \"$GREETING\"", "sleep 1000000");
    world.apply(&sleeping).await;
    let report = world.run(SPEC).await;
    assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
    let error = report.error.expect("an error");
    assert!(
        error.contains("job/count is running, and this run did not begin it"),
        "{error}"
    );
    assert_eq!(world.names("job").await, ["count"]);
    world.end().await;
}

#[tokio::test]
async fn the_pods_that_share_a_work_are_led_to_the_service() {
    let world = World::start().await;
    world.write("workers.yaml", JOB);
    let text = world.spec_text("");
    let text = text.replace("[target]\n", "workers.job = \"workers.yaml\"\n[target]\n");
    let project = world.open(&text).await.expect("a project");
    let named = ("REBUILD_WORK".to_owned(), "nightly".to_owned());
    let (job, limit) = project.job_of_workers(vec![named]).expect("a Job");
    let told: Vec<String> = (job.env.iter())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let user = &project.endpoint().user;
    let expected = [
        "REBUILD_WORK=nightly",
        "PGHOST=db",
        "PGPORT=5432",
        &format!("PGUSER={user}"),
    ];
    assert_eq!(told, expected);
    assert_eq!(limit, std::time::Duration::from_secs(12 * 3600));

    let without = world.open(&world.spec_text("")).await.expect("a project");
    let refused = without.job_of_workers(Vec::new());
    let error = refused.err().expect("no workers");
    assert!(
        error.to_string().contains("[kubernetes.workers]"),
        "{error:?}"
    );
    world.end().await;
}
