//! A database in an instance of Cloud SQL, which makes room for a new one, or which stays while a new database takes
//! the old one's name in it.

use std::path::PathBuf;

use rebuild_core::Environment;
use rebuild_core::model::Endpoint;
use rebuild_testgoogle::{Failure, Fault, Google, OperationFault, SqlInstance, Strike};
use serde_json::Value;
use tempfile::TempDir;

use super::faults::case;
use super::{DATABASE, Lab, Picture, Service, aside, new_desk, open};
use crate::faults::{Case, Extent};
use crate::trial::{Ended, Struck, Way};
use crate::world::{Desk, fill};

const PROJECT: &str = "shop";
const PASSWORD: &str = "tr0ub4dor";

/// The calls that begin an operation in such a rebuild.
const OPERATIONS: [&str; 6] = [
    "sql.backupRuns.insert",
    "sql.Backups.CreateBackup",
    "sql.instances.delete",
    "sql.instances.insert",
    "sql.users.insert",
    "sql.databases.insert",
];

/// A project with such an instance, which is replaced.
pub type CloudSql = Project<false>;

/// The same, with an instance that stays.
pub type CloudSqlAside = Project<true>;

/// A project with such an instance, in which or in place of which the new database comes.
pub struct Project<const ASIDE: bool> {
    google: Google,
    /// The account of the old instance, which no other has.
    account: String,
    tools: PathBuf,
    desk: Desk,
    _folder: TempDir,
}

impl<const ASIDE: bool> Project<ASIDE> {
    fn instance(&self) -> Option<SqlInstance> {
        self.google.sql_instance(PROJECT, "main")
    }

    /// All sessions are ended at each step, as maintenance does it.
    fn sessions_ended(lab: &Lab<Self>, extent: Extent) -> Vec<Case<Lab<Self>>> {
        let points = extent.of(lab.points.iter().cloned());
        let cases = points.into_iter().enumerate().map(|(n, point)| {
            let what = format!("at {} {}", point.event, point.step);
            let fault = async move |_: &Lab<Self>, world: &mut Self, _| {
                let server = world.endpoint("postgres").await;
                let mut ended = 0;
                let strike = async || ended = aside::end_sessions(&server).await;
                let run = world.desk.paused_at(&["run"], &point, strike).await;
                Struck {
                    run,
                    struck: ended > 0,
                }
            };
            case(Self::FAMILIES[3], what, Way::by_turns(n), fault)
        });
        cases.collect()
    }

    /// What is written on the backups that outlive their instance.
    async fn kept(&self) -> Vec<String> {
        let url = format!("{}/v1/projects/{PROJECT}/backups", self.google.url());
        let get = reqwest::Client::new().get(url);
        let answer = get.bearer_auth(self.google.token()).send().await;
        let text = answer.expect("an answer").text().await.expect("a text");
        let list: Value = serde_json::from_str(&text).expect("JSON");
        let backups = list["backups"].as_array().cloned().unwrap_or_default();
        let word = |backup: &Value| backup["description"].as_str().unwrap_or("").to_owned();
        backups.iter().map(word).collect()
    }
}

/// What replaces the instance.
const REPLACE: &str = r#"
[target.cloudsql.replace]
timeout = "60s"
"#;

fn spec(google: &Google, connection: &str, tools: &std::path::Path, aside: bool) -> String {
    let (strategy, more) = if aside {
        ("aside", "")
    } else {
        ("in-place", REPLACE)
    };
    let credentials = google.credentials_file().expect("credentials");
    let (at, sockets) = (google.url(), google.socket_folder());
    format!(
        r#"version = 1
store.url = "store"
backup.tools = {tools:?}
quiesce.end_sessions = true

[gcp]
project = "{PROJECT}"
credentials = {credentials:?}
endpoints = {{ sql = "{at}", storage = "{at}" }}

[target]
url = "postgresql:///{DATABASE}?user=postgres"
password = "{PASSWORD}"
environment = "test"
strategy = "{strategy}"

[target.cloudsql]
instance = "{connection}"
connect = "socket"
socket_directory = {sockets:?}
backup_run = {{}}
{more}
[schema]
source = "files"
files = ["schema/*.sql"]
order = "numbered"

[[verify]]
kind = "content"
"#
    )
}

impl<const ASIDE: bool> Service for Project<ASIDE> {
    const FAMILIES: [&'static str; 4] = match ASIDE {
        false => [
            "Cloud SQL: killed at each record of the journal",
            "Cloud SQL: killed at a random time",
            "Cloud SQL: the API is in trouble at each call",
            "Cloud SQL: an operation fails, or fails to say that it did not",
        ],
        true => [
            "Cloud SQL, aside: killed at each record of the journal",
            "Cloud SQL, aside: killed at a random time",
            "Cloud SQL, aside: the API is in trouble at each call",
            "Cloud SQL, aside: every session is ended at each step",
        ],
    };

    const TROUBLES: &'static [&'static str] = &[
        "answers 503",
        "answers 429",
        "answers 503 four times",
        "is told and does not answer",
        "hangs up",
        "says half of it",
        "lets the token expire",
    ];

    // An instance is copied while its server runs.
    const SKIPPED: i64 = 32;

    async fn start() -> Self {
        let google = Google::start().await.expect("a server of APIs");
        let new = google.instance(PROJECT, "europe-west1", "main");
        let instance = new.password(PASSWORD).create().await.expect("an instance");
        let (folder, mut desk, tools) = new_desk().await;
        // Only an instance goes under its typed name.
        desk.confirmed = (!ASIDE).then_some(DATABASE);
        let spec = spec(&google, &instance.connection_name(), &tools, ASIDE);
        std::fs::write(desk.spec_file(), spec).expect("the spec");
        let of = async |database: &str| {
            let url = instance.url("postgres", PASSWORD, database);
            let endpoint = Environment::default().endpoint(&url, false);
            open(&endpoint.expect("an endpoint")).await
        };
        let session = of("postgres").await;
        let made = session.batch_execute("create database app").await;
        made.expect("a database");
        session.close().await;
        let session = of("app").await;
        fill(&session).await;
        session.close().await;
        Self {
            account: instance.service_account(),
            google,
            tools,
            desk,
            _folder: folder,
        }
    }

    fn desk(&mut self) -> &mut Desk {
        &mut self.desk
    }

    async fn endpoint(&self, database: &str) -> Endpoint {
        let instance = self.instance().expect("an instance in service");
        let url = instance.superuser_url(database);
        let endpoint = Environment::default().endpoint(&url, false);
        endpoint.expect("an endpoint")
    }

    fn tools(&self) -> PathBuf {
        self.tools.clone()
    }

    async fn expect_copy(&self, old: &Picture) {
        if ASIDE {
            return aside::expect_rows(self, old).await;
        }
        let now = self.instance();
        let there = now.is_some_and(|now| now.service_account() == self.account);
        let kept = self.kept().await;
        let kept_there = kept.iter().any(|word| word.ends_with(" old"));
        assert!(
            there || kept_there,
            "ROWS LOST with the old instance: {kept:?}"
        );
    }

    async fn expect_nothing_left(&self, ended: Ended) {
        self.google.assert_clean();
        if ASIDE {
            let now = self.instance().expect("the instance");
            assert_eq!(now.service_account(), self.account, "the instance");
            return aside::expect_nothing_left(self, ended).await;
        }
        let kept = self.kept().await;
        let old = kept.iter().filter(|word| word.ends_with(" old")).count();
        let wanted = match ended {
            Ended::New => 1..=1,
            Ended::Old => 0..=1,
            Ended::Untouched => 0..=0,
        };
        assert!(wanted.contains(&old), "{ended:?}: {kept:?}");
        let new = kept.iter().filter(|word| word.ends_with(" new")).count();
        assert!(new <= 1, "{ended:?}: {kept:?}");
    }

    fn requests(&self) -> usize {
        self.google.requests().len()
    }

    fn trouble(&self, which: &str, after: usize) -> Box<dyn Fn() -> bool> {
        let (times, strike) = match which {
            "answers 503" => (1, Strike::answer(503, "try again")),
            "answers 429" => (1, Strike::answer(429, "too many")),
            "answers 503 four times" => (4, Strike::answer(503, "try again")),
            "is told and does not answer" => (1, Strike::CloseAfter),
            "hangs up" => (1, Strike::CloseBefore),
            "says half of it" => (1, Strike::Truncate),
            "lets the token expire" => (1, Strike::ExpireTokens),
            other => panic!("{other} is none of its troubles"),
        };
        let handle = self.google.fault(Fault {
            method: "*".to_owned(),
            path: String::new(),
            skip: u32::try_from(after).expect("a number of calls"),
            times,
            strike,
        });
        Box::new(move || handle.struck() > 0)
    }

    fn calm(&self) {
        self.google.lift_faults();
    }

    fn own(lab: &Lab<Self>, extent: Extent) -> Vec<Case<Lab<Self>>> {
        if ASIDE {
            return Self::sessions_ended(lab, extent);
        }
        let failure = || Failure::new("INTERNAL_ERROR", "it did not work");
        let deeds = [
            OperationFault::Fail(failure()),
            OperationFault::FailAfter(failure()),
        ];
        let all = OPERATIONS.iter().flat_map(|method| {
            let of = |deed: &OperationFault| (*method, deed.clone());
            deeds.iter().map(of).collect::<Vec<_>>()
        });
        let cases = extent.of(all).into_iter().enumerate();
        let cases = cases.map(|(n, (method, deed))| {
            let what = format!("{deed:?} of {method}");
            let fault = async move |_: &Lab<Self>, world: &mut Self, _| {
                let handle = world.google.fault_operation(method, deed.clone());
                let typed = world.desk.typed("run");
                let run = world.desk.rebuild_json(&typed).await;
                Struck {
                    run,
                    struck: handle.struck() > 0,
                }
            };
            case(Self::FAMILIES[3], what, Way::by_turns(n), fault)
        });
        cases.collect()
    }
}
