//! A database with one of everything, rebuilt from its own backup.

use rebuild_core::testing::load_kitchen_sink;

use crate::site::Site;

const SPEC: &str = r#"
version = 1
target.url = "postgresql:///everything"
store.url = "store"
quiesce.end_sessions = true
schema.source = "backup"

[[verify]]
kind = "counts"

[[verify]]
kind = "content"
"#;

/// The schema as pg_dump writes it, without the key of `\restrict`, which is random.
async fn schema(site: &Site) -> String {
    let dump = site.sh("pg_dump --schema-only everything").await.with(0);
    let lines = dump.lines().filter(|line| !line.contains("restrict "));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[tokio::test]
async fn a_database_with_one_of_everything_stays_what_it_is() {
    let site = Site::new().await;
    site.sh("createdb --template template0 --encoding UTF8 everything")
        .await
        .with(0);
    load_kitchen_sink(&site.endpoint("everything"))
        .await
        .expect("loaded");
    // It has one from 16 on, and a target with a subscription is refused.
    site.sh("psql -qd everything -c 'drop subscription if exists ks_idle'")
        .await
        .with(0);
    std::fs::write(site.folder().join("rebuild.toml"), SPEC).expect("a spec");
    let before = schema(&site).await;
    assert!(before.matches("\nCREATE ").count() > 200, "{before}");
    let old = site.oid("everything").await;

    let report = site.sh("rebuild run").await.with(0);
    assert!(report.contains(" done after "), "{report}");
    assert_ne!(site.oid("everything").await, old);
    let after = schema(&site).await;
    let difference = before.lines().zip(after.lines()).find(|(a, b)| a != b);
    assert_eq!(difference, None);
    assert_eq!(before.len(), after.len());
}
