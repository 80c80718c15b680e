//! Databases with a service around them, whose own faults strike a rebuild as well: a cluster of
//! Kubernetes, an instance of Cloud SQL. Either the whole server makes room for another one, with all that it stands on,
//! or it stays, and a new database takes the old one's name in it.

mod aside;
mod cloudsql;
mod faults;
mod kubernetes;
mod trial;

use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rebuild_core::model::Endpoint;
use rebuild_core::postgres::{LocalCluster, Session};
use rebuild_core::testing::{CLIENT_BIN, cluster_options};
use tempfile::TempDir;

pub use cloudsql::{CloudSql, CloudSqlAside};
pub use faults::cases;
pub use kubernetes::{Kubernetes, KubernetesAside};

use crate::faults::{Case, Extent};
use crate::strike::{Aim, Call, Deed, Striker, tally};
use crate::trial::Ended;
use crate::world::{Desk, Point, State, write_schema};

/// The records of the journal, among the files that get a name.
const RECORDS: (Call, &str) = (Call::Name, "/runs/");

/// The database that is rebuilt.
const DATABASE: &str = "app";

/// No server needs longer to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database in service, with everything around it, for one trial.
pub trait Service: Sized + 'static {
    /// Its families: killed at each record of the journal, killed at a random time, what its API
    /// does, and what is its own.
    const FAMILIES: [&'static str; 4];

    /// What its API can do to a request.
    const TROUBLES: &'static [&'static str];

    /// How many values a sequence may skip, because its server was not stopped but ended.
    const SKIPPED: i64;

    /// All of it, in a new place, with a spec.
    fn start() -> impl Future<Output = Self>;

    /// Where its commands are typed.
    fn desk(&mut self) -> &mut Desk;

    /// Whoever may see everything of a database of the server that is in service.
    fn endpoint(&self, database: &str) -> impl Future<Output = Endpoint>;

    /// PostgreSQL's client programs.
    fn tools(&self) -> PathBuf;

    /// What holds the old rows is there, however far the run came.
    fn expect_copy(&self, old: &Picture) -> impl Future<Output = ()>;

    /// Nothing is left that nobody knows of.
    fn expect_nothing_left(&self, ended: Ended) -> impl Future<Output = ()>;

    /// How many requests its API got so far.
    fn requests(&self) -> usize;

    /// Does one of [`TROUBLES`](Self::TROUBLES) to the request that comes after so many others; says
    /// later whether it did.
    fn trouble(&self, which: &str, after: usize) -> Box<dyn Fn() -> bool>;

    /// Ends all trouble, whether it came or not.
    fn calm(&self);

    /// The faults that are its own.
    fn own(lab: &Lab<Self>, extent: Extent) -> Vec<Case<Lab<Self>>>;
}

/// What is in service: which database of which server, and all that is in it.
#[derive(Debug)]
pub struct Picture {
    /// The server's identity, which no other has, and the database's, which no other of the server has.
    identity: (String, u32),
    /// The database.
    state: State,
}

impl Picture {
    /// What is in service now.
    async fn of<S: Service>(service: &S) -> Self {
        let endpoint = service.endpoint(DATABASE).await;
        let session = open(&endpoint).await;
        let asked = "select system_identifier::text, oid from pg_catalog.pg_control_system(), \
                     pg_catalog.pg_database where datname = current_database()";
        let row = session.query_one(asked, &[]).await.expect("its identity");
        session.close().await;
        Self {
            identity: (row.get(0), row.get(1)),
            state: State::at(&service.tools(), &endpoint).await,
        }
    }
}

/// A desk in a new folder with the files of the schema, and PostgreSQL's client programs.
async fn new_desk() -> (TempDir, Desk, PathBuf) {
    let bin = LocalCluster::programs(&cluster_options()).await;
    let bin = bin.expect("server programs");
    let tools = std::env::var_os(CLIENT_BIN).map_or(bin, PathBuf::from);
    let folder = TempDir::new().expect("a folder");
    write_schema(folder.path());
    let desk = Desk::new(folder.path().to_owned(), tools.clone(), Vec::new());
    (folder, desk, tools)
}

/// A session in a database whose server may just be starting.
async fn open(endpoint: &Endpoint) -> Session {
    let until = Instant::now() + PATIENCE;
    loop {
        match Session::open(endpoint, "a test").await {
            Ok(session) => return session,
            Err(e) if Instant::now() > until => panic!("no session: {e:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// What rebuilds of a service come to when nothing strikes, and what strikes them.
pub struct Lab<S> {
    striker: Arc<Striker>,
    /// The database afterwards.
    new: State,
    /// What the run tells of, in order.
    points: Vec<Point>,
    /// How many records its journal has.
    records: usize,
    /// How many requests the API gets.
    requests: usize,
    took: Duration,
    service: PhantomData<S>,
}

impl<S: Service> Lab<S> {
    /// Shows one rebuild that nothing strikes, and one way back from it.
    pub async fn prepare(striker: Arc<Striker>) -> Self {
        let mut service = S::start().await;
        let old = Picture::of(&service).await;
        let marks = service.desk().folder.join("tally");
        let (call, path) = RECORDS;
        let count = Aim {
            call,
            path,
            at: 0,
            times: 0,
            deed: Deed::KillBefore,
        };
        let plain = service.desk().environment.clone();
        let counting = striker.variables(&count, &marks);
        service.desk().environment.extend(counting);
        let (began, before) = (Instant::now(), service.requests());
        let typed = service.desk().typed("run");
        let run = service.desk().rebuild_json(&typed).await.expect(0);
        let took = began.elapsed();
        let requests = service.requests() - before;
        service.desk().environment = plain;
        let (records, struck) = tally(&marks);
        assert!(records > 10 && requests > 0 && struck == 0, "{run:?}");
        let new = Picture::of(&service).await;
        assert_ne!(new.identity, old.identity, "another database");
        assert!(new.state != old.state, "the rebuild changes something");
        let points = run.points();
        let lab = Self {
            striker,
            new: new.state,
            points,
            records,
            requests,
            took,
            service: PhantomData,
        };
        lab.expect_way_back(&mut service, &old).await;
        lab
    }
}
