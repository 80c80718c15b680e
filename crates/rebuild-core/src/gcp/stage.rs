//! A project of Google Cloud on this machine, for tests.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{CloudRun, CloudRunJob, Overrides};
use crate::command::Redaction;
use crate::environment::Environment;
use crate::event::{Collected, Ctx, EventKind, Events};
use crate::google::{Endpoints, Google, GoogleAddress, GoogleApi};
use crate::model::{Identity, RunId, StepMark};
use crate::store::Store;

pub(super) const REGION: &str = "europe-west1";

/// A server, and somebody who asks it.
pub(super) struct Stage {
    pub(super) server: Arc<rebuild_testgoogle::Google>,
    pub(super) google: Google,
    pub(super) seen: Arc<Collected>,
    pub(super) ctx: Ctx,
    /// The store's.
    folder: TempDir,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let server = rebuild_testgoogle::Google::start().await.expect("a server");
        let url = server.url();
        let endpoints = GoogleApi::ALL.map(|api| (api.name(), url));
        let address = GoogleAddress {
            project: "test-project".to_owned(),
            credentials: Some(server.credentials_file().expect("credentials")),
            endpoints: Endpoints::parse(endpoints).expect("addresses"),
        };
        let google = Google::open(&address, &Environment::default()).expect("a project");
        let seen = Arc::new(Collected::default());
        let run = RunId::generate();
        let events = Events::new(Some(run.clone()), vec![seen.clone()]);
        let ctx = Ctx::new(run, events);
        Self {
            server: Arc::new(server),
            google,
            seen,
            ctx,
            folder: TempDir::new().expect("a folder"),
        }
    }

    /// The same one each time.
    pub(super) async fn store(&self) -> Store {
        let url = url::Url::from_directory_path(self.folder.path().join("store"));
        let url = url.expect("a path");
        let store = Store::open(url.as_str(), &Environment::default()).await;
        store.expect("a store")
    }

    pub(super) async fn run(&self) -> CloudRun {
        let run = CloudRun::open(&self.google, REGION).await;
        run.expect("a client")
    }

    /// Deploys the job `work`, whose only container runs a script of bash.
    pub(super) fn deploy(&self, script: &str, tasks: i64) {
        self.server
            .program("loader:1", &["bash", "-euc", script, "loader"]);
        let template = json!({
            "taskCount": tasks,
            "template": {
                "containers": [{"name": "main", "image": "loader:1", "args": ["own"]}],
                "maxRetries": 0, "timeout": "600s",
            },
        });
        self.server.deploy_job(REGION, "work", template);
    }

    /// The job `work`, as a step of this run executes it.
    pub(super) async fn job(&self) -> CloudRunJob {
        CloudRunJob {
            run: self.run().await,
            job: "work".to_owned(),
            mark: StepMark::once("load/work"),
            overrides: Overrides::default(),
            env: Vec::new(),
            limit: Duration::from_secs(60),
            redaction: Redaction::new(None),
        }
    }

    pub(super) fn executions(&self) -> Vec<Value> {
        self.server.executions(REGION, "work")
    }

    /// The lines of output so far, and the notes.
    pub(super) fn lines(&self) -> Vec<String> {
        let events = self.seen.events().into_iter();
        let lines = events.filter_map(|event| match event.kind {
            EventKind::Output { program, line } => Some(format!("{program}: {line}")),
            EventKind::Note { message, .. } => Some(message),
            _ => None,
        });
        lines.collect()
    }

    /// Waits until a line has this in it.
    pub(super) async fn until_told(&self, wanted: &str) {
        self.until_told_times(wanted, 1).await;
    }

    /// Waits until so many lines have this in them.
    pub(super) async fn until_told_times(&self, wanted: &str, times: usize) {
        let has = |line: &&String| line.contains(wanted);
        let told = async {
            while self.lines().iter().filter(has).count() < times {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(30), told).await;
        assert!(told.is_ok(), "{wanted}: {:?}", self.lines());
    }
}

/// A database.
pub(super) fn db() -> Identity {
    Identity {
        server: "1".to_owned(),
        uid: "42".to_owned(),
        name: "app".to_owned(),
    }
}
