//! Whole runs.

use super::*;

/// A schema of files that mends a drift, a Job that migrates, and what runs afterwards.
pub(super) const SPEC: &str = r#"
schema.source = "files"
schema.files = ["schema.sql"]

[[workload]]
name = "api"
kubernetes = "deployment/api"

[[workload]]
name = "reports"
kubernetes = "cronjob/nightly"

[[load]]
name = "count"
kubernetes = { job = "count.yaml" }
env = { GREETING = "hello from $(PGDATABASE)" }

[[verify]]
kind = "rollout"
workload = "deploy/api"
max_restarts = 0

[[verify]]
kind = "claim"
claim = "data-db-0"

[[after]]
name = "restart"
kubernetes = { restart = "deployment/api" }

[[after]]
name = "report"
kubernetes = { cronjob = "nightly" }
"#;

pub(super) const SCHEMA: &str = "
    create table public.item (id int primary key, note text);
    create table public.tally (items bigint);";

pub(super) const JOB: &str = r#"
apiVersion: batch/v1
kind: Job
metadata: { name: count }
spec:
  backoffLimit: 1
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: count
          image: postgres:16
          command:
            - sh
            - -ec
            - |
              echo "$GREETING"
              psql -X -c "insert into public.tally select count(*) from public.item"
              echo "the password is $PGPASSWORD"
          env:
            - name: PGPASSWORD
              valueFrom: { secretKeyRef: { name: db, key: password } }
"#;

pub(super) async fn filled() -> World {
    let world = World::start().await;
    world.write("schema.sql", SCHEMA);
    world.write("count.yaml", JOB);
    world
        .sql(
            "create table public.item (id int primary key);
              insert into public.item select generate_series(1, 100)",
        )
        .await;
    world
}

#[tokio::test]
async fn a_database_behind_a_pods_port_is_rebuilt_with_everything_around_it() {
    let world = filled().await;
    let plan = world.plan(SPEC).await;
    assert_eq!(plan.refusals, []);
    let shown = plan.render();
    for line in [
        format!(
            "postgres@app at service/db in namespace {} of context {}",
            world.namespace, world.context
        ),
        "statefulset/db: 1 of 1 ready".to_owned(),
        "deployment/api: 2 of 2 ready".to_owned(),
        "cronjob/nightly: 0 3 * * *".to_owned(),
        "claim/data-db-0: Bound, 1Gi of class ".to_owned(),
        "with reclaim policy Delete, mounted by db-0".to_owned(),
        "service/db: ClusterIP, port 5432".to_owned(),
    ] {
        assert!(shown.contains(&line), "{line}: {shown}");
    }

    let before = world.names("pod").await;
    let report = world.run(SPEC).await;
    let told = world.told.text();
    assert_eq!(report.ending, Ending::Done, "{report:?} {told}");
    assert_eq!(
        world
            .sql("select count(note) || ' of ' || count(*) || ', ' || (select max(items) from public.tally)
             from public.item")
            .await,
        "0 of 100, 100"
    );

    for line in [
        "hello from app_new_",
        "nightly report of 100",
        "the password is ***",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(!told.contains("zq7"), "{told}");
    world.await_ready("deployment", "api", 2).await;
    let cron = world.get("cronjob", "nightly").await.expect("it");
    assert_eq!(cron["spec"]["suspend"], false);
    assert_eq!(world.names("job").await, [""; 0]);
    assert_eq!(world.names("lease").await, [""; 0]);
    let after = world.names("pod").await;
    assert!(after.contains(&"db-0".to_owned()));
    assert!(
        after.iter().filter(|pod| before.contains(pod)).count() == 1,
        "every pod of the api was replaced: {before:?} {after:?}"
    );
    world.end().await;
}

#[tokio::test]
async fn a_job_that_fails_takes_the_run_back() {
    let world = filled().await;
    let broken = JOB.replace("public.tally", "public.missing");
    world.write("count.yaml", &broken);
    let report = world.run(SPEC).await;
    assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
    let error = report.error.expect("an error");
    assert!(
        error.contains("job/count failed: BackoffLimitExceeded"),
        "{error}"
    );
    assert!(
        error.contains("relation \"public.missing\" does not exist"),
        "{error}"
    );
    assert_eq!(world.sql("select count(*) from public.item").await, "100");
    world.await_ready("deployment", "api", 2).await;
    assert_eq!(world.names("lease").await, [""; 0]);
    // It is left for a look, and makes room for the next one.
    assert_eq!(world.names("job").await, ["count"]);
    world.write("count.yaml", JOB);
    let report = world.run(SPEC).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    world.end().await;
}
