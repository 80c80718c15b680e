//! A rebuild whose parts are functions of this test.

use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use tempfile::TempDir;

use super::*;
use crate::engine::Report;
use crate::error::ErrorKind;
use crate::event::Ctx;
use crate::journal::Ending;
use crate::model::{BackupId, Identity, Outcome, RunId, Verdict};
use crate::postgres::{LocalCluster, Session};
use crate::testing::{client_bin_dir, cluster, scratch_database};
use crate::traits::{RestoreOutline, RestoreReport, VerifyRequest, WorkloadState};

const SPEC: &str = r#"
version = 1
target.url = "${URL}"
store.url = "store"
quiesce = { read_only = true, end_sessions = true }
[backup]
tools = "${TOOLS}"
[schema]
source = "function"
function = "pipeline:schema"
[restore]
source = "function"
function = "pipeline:rows"
[[load]]
name = "genes"
function = "pipeline:genes"
[[verify]]
kind = "function"
name = "three genes"
function = "pipeline:three"
[[after]]
name = "smoke"
function = "pipeline:smoke"
[[workload]]
name = "web"
function = "pipeline:Web"
"#;

/// What was called, on which database.
#[derive(Default)]
struct Program {
    calls: Mutex<Vec<String>>,
    /// Functions that fail.
    broken: Mutex<BTreeSet<String>>,
}

/// One function of the program.
struct Called {
    call: FunctionCall,
    program: Arc<Program>,
}

impl Called {
    async fn sql(&self, what: &str, db: &Identity, sql: &str) -> Result<()> {
        self.note(&format!(
            "{what} {}",
            if db.name == "app" { "app" } else { "new" }
        ))?;
        let session = Session::open(&self.call.server.with_database(&db.name), "test").await?;
        session.batch_execute(sql).await.expect(sql);
        session.close().await;
        Ok(())
    }

    fn note(&self, what: &str) -> Result<()> {
        self.program
            .calls
            .lock()
            .expect("calls")
            .push(what.to_owned());
        let broken = self.program.broken.lock().expect("broken");
        if broken.contains(&self.call.function) {
            return Err(Error::new(ErrorKind::Program, format!("{what} is broken")));
        }
        Ok(())
    }
}

#[async_trait]
impl Task for Called {
    fn name(&self) -> String {
        self.call.name.clone()
    }

    async fn run(&self, _: &Ctx, db: &Identity) -> Result<()> {
        let sql = match self.call.function.as_str() {
            "pipeline:schema" => "create table public.gene (id bigint primary key, name text)",
            "pipeline:genes" => "insert into public.gene values (2, 'b'), (3, 'c')",
            _ => "select",
        };
        self.sql(&self.call.function, db, sql).await
    }
}

#[async_trait]
impl Restorer for Called {
    async fn outline(&self, _: &Ctx, _: &Identity, _: &BackupId) -> Result<RestoreOutline> {
        Ok(RestoreOutline::default())
    }

    async fn restore(&self, _: &Ctx, db: &Identity, _: &BackupId) -> Result<RestoreReport> {
        let sql = "truncate public.gene; insert into public.gene values (1, 'a')";
        self.sql("restore", db, sql).await?;
        Ok(RestoreReport::default())
    }

    async fn finish(&self, _: &Ctx, _: &Identity, _: &BackupId) -> Result<()> {
        unreachable!("the server does that");
    }
}

#[async_trait]
impl Verifier for Called {
    async fn verify(&self, _: &Ctx, request: &VerifyRequest) -> Result<Verdict> {
        let sql = "do $$ begin assert (select count(*) = 3 from public.gene); end $$";
        self.sql("verify", &request.db, sql).await?;
        let mut verdict = Verdict::default();
        verdict.add(&self.call.name, "3 rows", Outcome::Passed);
        Ok(verdict)
    }
}

#[async_trait]
impl Workload for Called {
    fn name(&self) -> String {
        self.call.name.clone()
    }

    async fn look(&self, _: &Ctx) -> Result<WorkloadState> {
        let (running, detail) = (true, serde_json::json!({ "replicas": 3 }));
        Ok(WorkloadState { running, detail })
    }

    async fn stop(&self, _: &Ctx, before: &WorkloadState) -> Result<()> {
        self.note(&format!("stop {}", before.detail))
    }

    async fn start(&self, _: &Ctx, before: &WorkloadState) -> Result<()> {
        self.note(&format!("start {}", before.detail))
    }
}

/// The functions of a [`Program`], but those called `missing`.
struct Known(Arc<Program>);

impl Known {
    fn find(&self, call: &FunctionCall) -> Result<Arc<Called>> {
        if call.function.ends_with("missing") {
            return Err(Error::usage(format!("there is no {}", call.function)));
        }
        Ok(Arc::new(Called {
            call: call.clone(),
            program: self.0.clone(),
        }))
    }
}

impl Functions for Known {
    fn task(&self, call: &FunctionCall) -> Result<Arc<dyn Task>> {
        Ok(self.find(call)?)
    }

    fn restorer(&self, call: &FunctionCall) -> Result<Arc<dyn Restorer>> {
        Ok(self.find(call)?)
    }

    fn verifier(&self, call: &FunctionCall) -> Result<Arc<dyn Verifier>> {
        Ok(self.find(call)?)
    }

    fn workload(&self, call: &FunctionCall) -> Result<Arc<dyn Workload>> {
        Ok(self.find(call)?)
    }
}

struct World {
    cluster: LocalCluster,
    folder: TempDir,
    program: Arc<Program>,
}

impl World {
    async fn new() -> Self {
        let cluster = cluster().await.expect("a server");
        let admin = Session::open(&cluster.endpoint("postgres"), "test").await;
        let admin = admin.expect("a session");
        admin
            .batch_execute("create database app")
            .await
            .expect("app");
        let app = Session::open(&cluster.endpoint("app"), "test").await;
        app.expect("a session")
            .batch_execute("create table public.gene (id int); insert into public.gene values (7)")
            .await
            .expect("rows");
        Self {
            cluster,
            folder: tempfile::tempdir().expect("a folder"),
            program: Arc::default(),
        }
    }

    async fn project(&self, spec: &str, functions: bool) -> Project {
        let host = self.cluster.socket_dir().display().to_string();
        let (port, tools) = (self.cluster.port(), client_bin_dir(&self.cluster));
        let user = self.cluster.endpoint("app").user;
        let lookup = |name: &str| match name {
            "URL" => Some(format!("postgres://{user}@/app?host={host}&port={port}")),
            _ => Some(tools.display().to_string()),
        };
        let project = Project::of_text(spec, self.folder.path(), &lookup).await;
        if functions {
            project.with_functions(Arc::new(Known(self.program.clone())))
        } else {
            project
        }
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.program.calls.lock().expect("calls"))
    }

    async fn genes(&self) -> i64 {
        let app = Session::open(&self.cluster.endpoint("app"), "test").await;
        let app = app.expect("a session");
        let row = app.query_one("select count(*) from public.gene", &[]).await;
        row.expect("rows").get(0)
    }
}

fn ended(report: &Report) -> (Ending, Option<&str>) {
    (report.ending, report.error.as_deref())
}

#[tokio::test]
async fn functions_are_steps_like_any_other() {
    let world = World::new().await;
    let project = world.project(SPEC, true).await;
    let plan = project.plan(false).await.expect("a plan");
    let titles: Vec<&str> = plan.steps.iter().map(|s| s.title.as_str()).collect();
    for title in [
        "stop web",
        "migrate with the program's own function",
        "restore rows with pipeline:rows",
        "load rows with genes",
        "run smoke",
    ] {
        assert!(titles.contains(&title), "{title} is not in {titles:?}");
    }
    let report = project.run(None, None).await.expect("a report");
    assert_eq!(ended(&report), (Ending::Done, None));
    // The plan's drift is found by the same function.
    assert_eq!(
        world.calls(),
        [
            "pipeline:schema new",
            "stop {\"replicas\":3}",
            "pipeline:schema new",
            "restore new",
            "pipeline:genes new",
            "verify new",
            "start {\"replicas\":3}",
            "pipeline:smoke app",
            "verify app",
        ]
    );
    assert_eq!(world.genes().await, 3);
}

#[tokio::test]
async fn a_function_that_fails_takes_the_run_back() {
    let world = World::new().await;
    let project = world.project(SPEC, true).await;
    let broken = || world.program.broken.lock().expect("broken");
    broken().insert("pipeline:genes".to_owned());
    let report = project.run(None, None).await.expect("a report");
    assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
    let error = report.error.expect("why");
    assert!(error.contains("pipeline:genes new is broken"), "{error}");
    assert_eq!(
        world.calls().last().expect("calls"),
        "start {\"replicas\":3}"
    );
    assert_eq!(world.genes().await, 1);
}

#[tokio::test]
async fn what_is_missing_is_told_before_anything_is_touched() {
    let world = World::new().await;
    let missing = SPEC.replace("pipeline:smoke", "pipeline:missing");
    for (spec, functions, why) in [
        (SPEC, false, "python -m rebuild"),
        (missing.as_str(), true, "there is no pipeline:missing"),
    ] {
        let project = world.project(spec, functions).await;
        for refused in [
            project.plan(false).await.map(|_| ()),
            project.run(None, None).await.map(|_| ()),
            project.resume(&RunId::generate()).await.map(|_| ()),
        ] {
            let e = refused.expect_err(why);
            assert!(e.is_refusal(), "{e:?}");
            assert!(format!("{e:?}").contains(why), "{e:?}");
        }
        // One can look all the same.
        project.status(false).await.expect("a status");
    }
    assert!(world.calls().is_empty());
}

#[tokio::test]
async fn the_way_back_needs_no_function_that_it_does_not_call() {
    let world = World::new().await;
    let spec = SPEC.replace(
        "[[workload]]\nname = \"web\"\nfunction = \"pipeline:Web\"\n",
        "",
    );
    let project = world.project(&spec, true).await;
    let report = project.run(None, None).await.expect("a report");
    assert_eq!(ended(&report), (Ending::Done, None));
    let without = world.project(&spec, false).await;
    let back = without.rollback(&report.run, None, false).await;
    assert_eq!(ended(&back.expect("back")), (Ending::RolledBack, None));
    assert_eq!(world.genes().await, 1);
}

#[tokio::test]
async fn what_a_function_works_on_is_what_the_run_pinned() {
    let world = World::new().await;
    let project = world.project(SPEC, true).await;
    let other = scratch_database(&world.cluster).await.expect("a database");
    let stranger = Identity {
        server: project.target(&Ctx::quiet()).await.expect("target").server,
        name: other.database,
        uid: "1".to_owned(),
    };
    let backends = project.backends(&stranger, None).expect("backends");
    for task in [&backends.loads[0], &backends.tasks[0]] {
        let e = task.run(&Ctx::quiet(), &stranger).await;
        assert_eq!(e.expect_err("another").kind(), ErrorKind::Refused);
    }
    assert!(world.calls().is_empty());
}
