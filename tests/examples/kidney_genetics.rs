//! `examples/kidney-genetics`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::site::{Readme, Site};

const OLD_GENES: &str = "select * from public.gene where symbol like 'OLD%'";

/// The page that tells whether the backend runs, and how often it said so.
struct Health {
    url: String,
    well: Arc<AtomicU32>,
}

impl Health {
    /// Answers 200 while `file` exists, otherwise 503.
    async fn of(file: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/health", listener.local_addr().expect("its port"));
        let well = Arc::new(AtomicU32::new(0));
        let counter = well.clone();
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.expect("a client");
                let mut request = [0; 4096];
                let _ = client.read(&mut request).await;
                let status = if file.exists() {
                    counter.fetch_add(1, Ordering::Relaxed);
                    "200 OK"
                } else {
                    "503 Service Unavailable"
                };
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = client.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, well }
    }
}

/// The example, prepared as its README says, with the backend running.
async fn prepared() -> (Site, Readme, Health, PathBuf) {
    let site = Site::of_example("kidney-genetics").await;
    let services = site.scratch().join("services");
    std::fs::create_dir(&services).expect("a folder");
    let backend = services.join("backend");
    let health = Health::of(backend.clone()).await;
    site.sh(&format!(
        "export KIDNEY_SERVICES={} KIDNEY_HEALTH_URL={}",
        services.display(),
        health.url
    ))
    .await
    .with(0);
    let mut readme = Readme::of(&site);
    readme.prepare(&site).await;
    assert!(backend.exists(), "the README starts the backend");
    (site, readme, health, backend)
}

#[tokio::test]
async fn a_migration_and_a_pipeline_fill_a_new_database() {
    let (site, mut readme, health, backend) = prepared().await;
    let old = site.oid("kidney").await;
    let before = site.rows("kidney", OLD_GENES).await;
    assert!(before.starts_with("200 rows"), "{before}");

    let plan = readme.run(&site, "rebuild plan").await.with(0);
    for line in [
        "Schema   alembic at f3a91c0de001 -> alembic at 0001_consolidated",
        "stop backend",
        "load rows with scores",
        "start backend",
    ] {
        assert!(plan.contains(line), "{line}: {plan}");
    }

    // A step of the pipeline that fails takes everything back.
    let failed = readme
        .run(&site, "KIDNEY_MIN_LINKS=1000000 rebuild run")
        .await;
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(failed.stdout.contains("phenotypes"), "{}", failed.stdout);
    assert_eq!(site.databases().await, "kidney");
    assert_eq!(site.oid("kidney").await, old);
    assert_eq!(site.rows("kidney", OLD_GENES).await, before);
    let writable = "with new as (insert into public.gene (symbol) values ('NEW') returning id)
                    select pg_catalog.concat(id) from new";
    assert_eq!(site.text("kidney", writable).await, "201");
    assert!(backend.exists(), "the backend runs again");

    readme.run(&site, "rebuild run").await.with(0);
    assert!(backend.exists(), "the backend runs again");
    assert!(
        health.well.load(Ordering::Relaxed) > 0,
        "the page was asked"
    );
    assert_ne!(site.oid("kidney").await, old);
    let state = "select pg_catalog.concat_ws(' ',
                        (select version_num from public.alembic_version),
                        (select pg_catalog.count(*) from public.gene),
                        (select pg_catalog.count(*) from public.annotation),
                        (select pg_catalog.count(*) from public.score),
                        (select pg_catalog.count(*) from public.gene_summary
                          where evidence is not null))";
    assert_eq!(
        site.text("kidney", state).await,
        "0001_consolidated 500 1500 500 500"
    );

    readme.run(&site, "rebuild rollback").await.with(0);
    assert_eq!(site.oid("kidney").await, old);
    assert_eq!(site.rows("kidney", OLD_GENES).await, before);
    assert!(backend.exists(), "the backend runs again");
    readme.end();
}
