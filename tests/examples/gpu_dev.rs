//! `examples/gpu-dev`.

use crate::site::{Readme, Site};

const USERS: &str = "select * from public.users";
const JOBS: &str = "select * from public.jobs";
const RESERVATIONS: &str = "select id, user_id, gpu_type, gpu_count, state, labels, created_at
                              from public.reservations";

#[tokio::test]
async fn schema_files_rows_and_fixtures_make_the_cluster_database_again() {
    let site = Site::of_example("gpu-dev").await;
    let mut readme = Readme::of(&site);
    readme.prepare(&site).await;
    let old = site.oid("gpu_dev").await;
    let mut before = Vec::new();
    for query in [USERS, JOBS, RESERVATIONS] {
        before.push(site.rows("gpu_dev", query).await);
    }

    let plan = readme.run(&site, "rebuild plan").await.with(0);
    assert!(
        plan.contains("+ column public.reservations.jupyter_url text"),
        "{plan}"
    );
    assert_eq!(site.oid("gpu_dev").await, old);

    readme.run(&site, "rebuild run").await.with(0);
    assert_ne!(site.oid("gpu_dev").await, old);
    for (query, before) in [USERS, JOBS, RESERVATIONS].iter().zip(&before) {
        assert_eq!(&site.rows("gpu_dev", query).await, before, "{query}");
    }
    // The row that was there keeps what is in use; the fixtures add the others.
    let free = "select pg_catalog.string_agg(pg_catalog.concat(gpu_type, ' ', free), ', '
                       order by gpu_type) from public.gpu_free";
    assert_eq!(site.text("gpu_dev", free).await, "b200 52, h200 32, t4 8");
    let labels = "select pg_catalog.concat(pg_catalog.count(*)) from public.reservations
                   where labels operator(public.?) 'n'";
    assert_eq!(site.text("gpu_dev", labels).await, "2000");
    let next = "insert into public.users (github_name) values ('one more') returning id::text";
    assert_eq!(
        site.text("gpu_dev", next).await,
        "301",
        "the sequence goes on where it was"
    );
    let shown = readme.run(&site, "rebuild runs show").await.with(0);
    for step in ["fixtures", "after-smoke", "verify-live"] {
        let line = shown.lines().find(|l| l.trim_start().starts_with(step));
        assert!(line.is_some_and(|l| l.contains(" done ")), "{shown}");
    }

    // A row was written since, above, so going back has to be asked for twice.
    let refused = site.sh("rebuild rollback").await;
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("public.users"),
        "{}",
        refused.stderr
    );
    readme
        .run(&site, "rebuild rollback --accept-writes")
        .await
        .with(0);
    assert_eq!(site.oid("gpu_dev").await, old);
    for (query, before) in [USERS, JOBS, RESERVATIONS].iter().zip(&before) {
        assert_eq!(&site.rows("gpu_dev", query).await, before, "{query}");
    }
    let gone = "select pg_catalog.concat(pg_catalog.count(*)) from pg_catalog.pg_attribute
                 where attname = 'jupyter_url' and not attisdropped";
    assert_eq!(site.text("gpu_dev", gone).await, "0");
    readme.end();
}
