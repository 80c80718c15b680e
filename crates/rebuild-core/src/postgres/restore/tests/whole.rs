//! Everything comes back.

use super::*;

#[tokio::test]
async fn everything_comes_back() {
    let world = World::new().await;
    let (of, session) = world.kitchen_sink().await;
    let populated = "select pg_catalog.string_agg(relname::text, ' ' order by relname)
        from pg_catalog.pg_class where relkind = 'm' and relispopulated";
    let views = text(&session, populated).await;
    assert!(!views.is_empty());
    let at = "select pg_catalog.string_agg(pg_catalog.format('%I.%I at %s', schemaname, sequencename, last_value), ' '
                       order by schemaname, sequencename) from pg_catalog.pg_sequences";
    let sequences = text(&session, at).await;
    assert!(sequences.matches(" at ").count() > 3, "{sequences:?}");
    let generated = "select pg_catalog.string_agg(slug, ' ' order by slug) from ks.plain";
    let slugs = text(&session, generated).await;
    assert!(!slugs.is_empty());
    session.close().await;
    let before = world.dump(&of).await;
    let objects = large_objects(&world, &of).await;
    assert!(objects.contains("lo_"), "{objects}");
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    world.apply(&db, &id).await;
    let restorer = world.restorer(true);
    let report = restorer
        .restore(&world.ctx, &db, &id)
        .await
        .expect("restored");
    assert!(report.rows > 0 && report.large_objects > 0, "{report:?}");
    // A second call finds everything done.
    let again = restorer.restore(&world.ctx, &db, &id).await.expect("again");
    assert_eq!(again, report);
    restorer
        .finish(&world.ctx, &db, &id)
        .await
        .expect("finished");
    world.assert_same_rows(&db, &id).await;
    let session = world.inside(&db).await;
    assert_eq!(text(&session, populated).await, views);
    assert_eq!(text(&session, at).await, sequences);
    assert_eq!(text(&session, generated).await, slugs);
    let statistics = "select count(distinct starelid)::text from pg_catalog.pg_statistic
        where starelid >= 16384";
    let tables: u32 = text(&session, statistics).await.parse().expect("a number");
    assert!(tables > 20, "{tables} tables have statistics");
    session.close().await;
    let after = world.dump(&db).await;
    assert!(before == after, "{}", difference(&before, &after));
    let now = large_objects(&world, &db).await;
    assert!(objects == now, "{}", difference(&objects, &now));
}

/// The large objects of a database, with their owners and grants, as pg_dump writes them.
async fn large_objects(world: &World, db: &Identity) -> String {
    let endpoint = world.cluster.endpoint(&db.name);
    let how = ["--data-only", "--blobs", "--exclude-table-data=*.*"];
    let dumped = dump(&world.cluster, &endpoint, &how).await.expect("a dump");
    // Sequences are in it as well, and are looked at by themselves.
    let of_objects = |line: &&str| !line.contains("setval");
    dumped
        .lines()
        .filter(of_objects)
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
async fn an_extension_that_comes_back_in_another_version_is_told() {
    let mut world = World::new().await;
    let seen = world.told();
    world
        .ready("create extension hstore version '1.4'; create extension pg_trgm")
        .await;
    let told = format!("{:?}", seen.events());
    assert!(told.contains("was of 1.4"), "{told}");
    assert_eq!(told.matches("the extension").count(), 1, "{told}");
}
