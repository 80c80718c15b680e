//! Purging a database by the API.

use std::path::Path;

use super::*;
use crate::journal::Ending;
use crate::model::RunId;
use crate::postgres::RoleMap;
use crate::project::Project;

fn by_api(world: &World) -> String {
    world.spec(&format!("{}purge = \"api\"\n", world.socket()))
}

async fn rebuilt(project: &Project) -> RunId {
    let report = project.run(None, None).await.expect("a run");
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    report.run
}

/// The databases of the instance but for the usual ones.
async fn databases(world: &World) -> Vec<String> {
    let endpoint = world.endpoint_of(&world.instance, "postgres");
    let session = crate::postgres::Session::open(&endpoint, "test").await;
    let session = session.expect("a session");
    let sql = "select datname::text from pg_database
        where not datistemplate and datname not in ('postgres', 'cloudsqladmin') order by 1";
    let rows = session.query(sql, &[]).await.expect("databases");
    session.close().await;
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn the_api_drops_what_was_set_apart_whether_its_answer_comes_or_not() {
    let world = World::new().await;
    world
        .sql("postgres", "alter database app owner to cloudsqlsuperuser")
        .await;
    let project = world.project(&by_api(&world)).await.expect("a project");
    for strike in [None, Some(Strike::CloseAfter), Some(Strike::CloseBefore)] {
        let run = rebuilt(&project).await;
        assert_eq!(databases(&world).await.len(), 2);
        let before = world.google.calls("sql.databases.delete").len();
        let struck = strike.map(|it| world.google.fault(Fault::once("sql.databases.delete", it)));
        let gone = project.purge(&run, None, true).await.expect("purged");
        assert!(gone.is_some());
        assert!(struck.is_none_or(|it| it.struck() == 1));
        let calls = world.google.calls("sql.databases.delete");
        let path = &calls[before].path;
        assert!(path.contains("/databases/rebuild_drop_"), "{path}");
        assert_eq!(databases(&world).await, ["app"]);
        assert_eq!(world.count(&world.instance, "lines").await, 2000);
        // A second time there is nothing left, and nothing is asked for.
        let asked = calls.len();
        project.purge(&run, None, true).await.expect("nothing left");
        assert_eq!(world.google.calls("sql.databases.delete").len(), asked);
    }
    world.google.assert_clean();
}

#[tokio::test]
async fn what_the_api_may_not_drop_is_there_until_it_is_dropped_by_sql() {
    let world = World::new().await;
    let project = world.project(&by_api(&world)).await.expect("a project");
    // The user `postgres` owns it.
    let run = rebuilt(&project).await;
    let e = project
        .purge(&run, None, true)
        .await
        .expect_err("its owner");
    assert!(e.chain().contains("must be owner"), "{e:?}");
    let advice = e.advice().unwrap_or_default();
    assert!(advice.contains("without purge = \"api\""), "{advice}");
    let left = databases(&world).await;
    assert!(
        left.iter().any(|name| name.starts_with("rebuild_drop_")),
        "{left:?}"
    );
    let spec = world.spec(&world.socket());
    let by_sql = world.project(&spec).await.expect("a project");
    by_sql.purge(&run, None, true).await.expect("purged");
    assert_eq!(databases(&world).await, ["app"]);
    world.google.assert_clean();
}

#[tokio::test]
async fn a_dump_in_a_bucket_is_read_by_the_account_of_the_spec() {
    let world = World::new().await;
    let bucket = world.google.create_bucket("dumps");
    let sql = "create table public.t (a int);\ncopy public.t (a) from stdin;\n1\n2\n\\.\n";
    bucket.put("daily/app.sql", sql);
    bucket.put("daily/empty.sql", "");
    let project = world.project(&world.spec(&world.socket())).await;
    let project = project.expect("a project");
    let restore = |url: &'static str, into: &'static str| {
        project.restore_dump(Path::new(url), into, RoleMap::default(), false)
    };
    // The bucket is known to the server of this test alone.
    let (made, report, verdict) = restore("gs://dumps/daily/app.sql", "restored")
        .await
        .expect("restored");
    assert!(verdict.passed(), "{verdict:?}");
    assert_eq!((&*made.name, report.rows), ("restored", 2));
    for (url, why) in [
        ("gs://dumps/daily/empty.sql", "is empty"),
        (
            "gs://dumps/nothing.sql",
            "could not read gs://dumps/nothing.sql",
        ),
        ("gs://dumps", "names no object"),
    ] {
        let e = restore(url, "other").await.expect_err(url);
        assert!(e.chain().contains(why), "{url}: {e:?}");
    }
    assert_eq!(databases(&world).await, ["app", "restored"]);
    world.google.assert_clean();
}
