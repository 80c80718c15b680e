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
    session.close().await;
    let before = world.dump(&of).await;
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
    let statistics = "select count(distinct starelid)::text from pg_catalog.pg_statistic
        where starelid >= 16384";
    let tables: u32 = text(&session, statistics).await.parse().expect("a number");
    assert!(tables > 20, "{tables} tables have statistics");
    session.close().await;
    let after = world.dump(&db).await;
    assert!(before == after, "{}", difference(&before, &after));
}

#[tokio::test]
async fn an_extension_that_comes_back_in_another_version_is_told() {
    let mut world = World::new().await;
    let seen = Arc::new(crate::event::Collected::default());
    world.ctx = Ctx::new(
        world.ctx.run.clone(),
        crate::event::Events::new(None, vec![seen.clone() as Arc<dyn crate::event::Sink>]),
    );
    world
        .ready("create extension hstore version '1.4'; create extension pg_trgm")
        .await;
    let told = format!("{:?}", seen.events());
    assert!(told.contains("was of 1.4"), "{told}");
    assert_eq!(told.matches("the extension").count(), 1, "{told}");
}
