//! `examples/quickstart`.

use crate::site::{Readme, Site};

const TABLES: [(&str, &str); 5] = [
    ("host", "select * from public.host"),
    (
        "gpu",
        "select id, host_id, slot, model, state from public.gpu",
    ),
    ("person", "select * from public.person"),
    ("reservation", "select * from public.reservation"),
    ("reservation_log", "select * from public.reservation_log"),
];

#[tokio::test]
async fn a_drifted_database_is_rebuilt_and_brought_back() {
    let site = Site::of_example("quickstart").await;
    let mut readme = Readme::of(&site);
    readme.prepare(&site).await;
    let old = site.oid("desk").await;
    let mut before = Vec::new();
    for (_, query) in TABLES {
        before.push(site.rows("desk", query).await);
    }

    let status = readme.run(&site, "rebuild status").await.with(0);
    assert!(
        status.contains("+ column public.gpu.memory_gib integer"),
        "{status}"
    );
    assert!(status.contains("Last runs\n  none"), "{status}");
    let plan = readme.run(&site, "rebuild plan").await.with(0);
    assert!(
        plan.contains("+ column public.gpu.memory_gib integer"),
        "{plan}"
    );
    assert_eq!(site.databases().await, "desk");
    assert_eq!(site.oid("desk").await, old);

    let report = readme.run(&site, "rebuild run").await.with(0);
    assert!(report.contains(" done after "), "{report}");
    assert_ne!(site.oid("desk").await, old);
    for ((table, query), before) in TABLES.iter().zip(&before) {
        assert_eq!(&site.rows("desk", query).await, before, "{table}");
    }
    let filled = "select pg_catalog.concat(pg_catalog.count(*), ' of ', pg_catalog.min(memory_gib))
                    from public.gpu";
    assert_eq!(site.text("desk", filled).await, "400 of 80");
    let teams = "select pg_catalog.concat(pg_catalog.count(*)) from public.team_usage";
    assert_eq!(site.text("desk", teams).await, "17");
    let status = site.sh("rebuild status").await.with(0);
    assert!(
        status.contains("Drift (live -> schema)\n  none"),
        "{status}"
    );
    assert!(status.contains("  done\n"), "{status}");

    let report = readme.run(&site, "rebuild rollback").await.with(0);
    assert!(report.contains(" rolled back after "), "{report}");
    assert_eq!(site.oid("desk").await, old);
    for ((table, query), before) in TABLES.iter().zip(&before) {
        assert_eq!(&site.rows("desk", query).await, before, "{table}");
    }
    readme.end();
}
