//! `make demo`: a drifted database on a throwaway server is rebuilt by the real `rebuild` program
//! while a reader keeps reading it, rolled back, and rebuilt again.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rebuild_core::model::{Endpoint, Host};
use rebuild_core::postgres::{ClusterOptions, LocalCluster, Session};
use rebuild_core::{Error, Result};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

const DATABASE: &str = "gpu";
const RESERVATIONS: i64 = 150_000;

#[tokio::main]
async fn main() -> ExitCode {
    match demo().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("\nthe demo failed: {}", e.chain());
            ExitCode::FAILURE
        }
    }
}

async fn demo() -> Result<()> {
    say("A throwaway PostgreSQL server, and a database that lacks a column its schema files have");
    let cluster = LocalCluster::start(&ClusterOptions::default()).await?;
    let store = tempfile::tempdir()?;
    let stage = Stage {
        folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/quickstart"),
        store: format!("file://{}/store", store.path().display()),
        endpoint: cluster.endpoint(DATABASE),
    };
    stage.make_database(&cluster).await?;
    println!(
        "PostgreSQL {}, {RESERVATIONS} reservations",
        cluster.major()
    );

    stage.rebuild(&["status"])?;
    stage.rebuild(&["plan"])?;

    say("The rebuild, while a reader keeps reading");
    let reader = Reader::start(&stage.endpoint);
    stage.rebuild(&["run"])?;
    stage.expect_column(true).await?;
    let first = reader.longest_gap().await;
    stage.rebuild(&["runs", "show"])?;
    stage.rebuild(&["verify"])?;

    say("Back to the old database, and forward again");
    stage.rebuild(&["rollback"])?;
    stage.expect_column(false).await?;
    let back = reader.longest_gap().await;
    stage.rebuild(&["run"])?;
    stage.expect_column(true).await?;
    let second = reader.longest_gap().await;
    let reads = reader.stop().await;
    stage.rebuild(&["runs", "list"])?;

    say("How long the reader had to wait at most, of all its reads");
    println!("  run        {:>6} ms", first.as_millis());
    println!("  rollback   {:>6} ms", back.as_millis());
    println!("  run again  {:>6} ms", second.as_millis());
    println!("  reads      {reads:>6}, every one of them {RESERVATIONS} rows");
    Ok(())
}

fn say(text: &str) {
    println!("\n== {text}\n");
}

/// Where everything is.
struct Stage {
    folder: PathBuf,
    store: String,
    endpoint: Endpoint,
}

impl Stage {
    async fn make_database(&self, cluster: &LocalCluster) -> Result<()> {
        let admin = Session::open(&cluster.endpoint("postgres"), "demo").await?;
        run(&admin, &format!("create database {DATABASE}")).await?;
        admin.close().await;
        let session = Session::open(&self.endpoint, "demo").await?;
        run(&session, "set search_path = public").await?;
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.folder.join("schema"))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.sort();
        files.push(self.folder.join("live/drift_and_rows.sql"));
        for file in files {
            run(&session, &std::fs::read_to_string(&file)?).await?;
        }
        session.close().await;
        Ok(())
    }

    /// Runs the program that was built with this example, and shows what it prints.
    fn rebuild(&self, args: &[&str]) -> Result<()> {
        println!("\n$ rebuild {}", args.join(" "));
        let own = std::env::current_exe()?;
        let program = own
            .parent()
            .and_then(Path::parent)
            .map(|p| p.join("rebuild"));
        let program = program.ok_or_else(|| Error::internal("this program lies nowhere"))?;
        let Host::Socket(socket) = &self.endpoint.host else {
            return Err(Error::internal("a throwaway server has a socket"));
        };
        let status = Command::new(&program)
            .args(args)
            .current_dir(&self.folder)
            .env("PGHOST", socket)
            .env("PGPORT", self.endpoint.port.to_string())
            .env("PGUSER", &self.endpoint.user)
            .env("PGDATABASE", &self.endpoint.database)
            .env("REBUILD_DEMO_STORE", &self.store)
            .status()?;
        if status.success() {
            return Ok(());
        }
        Err(Error::refused(format!("rebuild ended with {status}")))
    }

    /// Whether the column that the old database lacks is there, and every row with it.
    async fn expect_column(&self, expected: bool) -> Result<()> {
        let session = Session::open(&self.endpoint, "demo").await?;
        let row = session
            .query_one(
                "select exists (select from pg_catalog.pg_attribute
                           where attrelid = 'public.gpu'::pg_catalog.regclass
                             and attname = 'memory_gib' and not attisdropped),
                        (select pg_catalog.count(*) from public.reservation)",
                &[],
            )
            .await
            .map_err(|e| rebuild_core::postgres::server_error("could not look", e))?;
        session.close().await;
        if (row.get::<_, bool>(0), row.get::<_, i64>(1)) == (expected, RESERVATIONS) {
            return Ok(());
        }
        Err(Error::refused("the database is not what it should be"))
    }
}

async fn run(session: &Session, sql: &str) -> Result<()> {
    let done = session.batch_execute(sql).await;
    done.map_err(|e| rebuild_core::postgres::server_error("could not make the database", e))
}

/// Reads the database again and again, as an application would: it connects again when its
/// session is ended.
struct Reader {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

struct Seen {
    last: Instant,
    longest: Duration,
    reads: u64,
}

impl Reader {
    fn start(endpoint: &Endpoint) -> Self {
        let seen = Arc::new(Mutex::new(Seen {
            last: Instant::now(),
            longest: Duration::ZERO,
            reads: 0,
        }));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, ended, endpoint) = (seen.clone(), stop.clone(), endpoint.clone());
        let task = tokio::spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                if let Ok(session) = Session::open(&endpoint, "demo reader").await {
                    while read(&session).await && !ended.load(Ordering::Relaxed) {
                        let mut seen = shared.lock().await;
                        let gap = seen.last.elapsed();
                        seen.longest = seen.longest.max(gap);
                        seen.last = Instant::now();
                        seen.reads += 1;
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Self { seen, stop, task }
    }

    /// The longest time between two reads since this was last asked.
    async fn longest_gap(&self) -> Duration {
        std::mem::take(&mut self.seen.lock().await.longest)
    }

    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        // It ends with its current read; how it ended does not matter any more.
        let _ = self.task.await;
        self.seen.lock().await.reads
    }
}

/// True if the read succeeded and saw every row.
async fn read(session: &Session) -> bool {
    let counted = session
        .query_one("select pg_catalog.count(*) from public.reservation", &[])
        .await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    counted.is_ok_and(|row| row.get::<_, i64>(0) == RESERVATIONS)
}
