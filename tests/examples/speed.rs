//! How long a plan and a small rebuild may take, on any machine that tests are run on.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::site::Site;

const SPEC: &str = r#"
version = 1
target.url = "postgresql:///fast"
store.url = "store"
"#;

/// With drift to look for: the files make a scratch database.
const FROM_FILES: &str = r#"
[schema]
source = "files"
files = ["schema/*.sql"]
order = "numbered"
"#;

async fn site() -> Site {
    let site = Site::new().await;
    site.sh("createdb fast").await.with(0);
    spec(&site, "");
    site
}

fn spec(site: &Site, more: &str) {
    let text = format!("{SPEC}{more}");
    std::fs::write(site.folder().join("rebuild.toml"), text).expect("a spec");
}

/// Ten files of a hundred tables, each with a key, an index and a reference to the one before it.
fn write_schema(site: &Site) {
    let folder = site.folder().join("schema");
    std::fs::create_dir(&folder).expect("a folder");
    for file in 0..10 {
        let mut sql = String::new();
        for n in file * 100..(file + 1) * 100 {
            let before = match n {
                0 => String::new(),
                _ => format!(" references t{}", n - 1),
            };
            let _ = writeln!(
                sql,
                "create table t{n} (id bigint generated always as identity primary key,
                     before bigint{before}, name text not null, at timestamptz default now());
                 create index on t{n} (name);"
            );
        }
        std::fs::write(folder.join(format!("{file}_tables.sql")), sql).expect("a file");
    }
}

/// The shortest of a few runs: what else the machine does makes some of them longer, none shorter.
async fn timed(site: &Site, command: &str, limit: Duration) {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let began = Instant::now();
        site.sh(command).await.with(0);
        best = best.min(began.elapsed());
    }
    println!("{command}: {best:.2?}");
    assert!(best < limit, "{command} took {best:.2?}");
}

#[tokio::test]
async fn a_plan_for_a_thousand_tables_takes_less_than_five_seconds() {
    let site = site().await;
    write_schema(&site);
    let began = Instant::now();
    site.sh("for f in schema/*.sql; do psql -q1 -v ON_ERROR_STOP=1 -d fast -f $f; done")
        .await
        .with(0);
    let files = began.elapsed();
    println!("the server needs {files:.2?} for the files");
    let limit = Duration::from_secs(5);
    timed(&site, "rebuild plan", limit).await;
    spec(&site, FROM_FILES);
    timed(&site, "rebuild plan --no-drift", limit).await;
    timed(&site, "rebuild plan # with drift", limit + files).await;
}

#[tokio::test]
async fn an_empty_database_is_rebuilt_in_less_than_three_seconds() {
    let site = site().await;
    timed(&site, "rebuild run", Duration::from_secs(3)).await;
}
