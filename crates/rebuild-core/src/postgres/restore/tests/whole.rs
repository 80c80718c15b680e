//! Everything comes back.

use super::*;

#[tokio::test]
async fn everything_comes_back() {
    let world = World::new().await;
    let (of, session) = world.kitchen_sink().await;
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
    let after = world.dump(&db).await;
    assert!(before == after, "{}", difference(&before, &after));
}
