//! Rehearsals on a real server, and what of them is refused or found again.

use tempfile::TempDir;

use super::*;
use crate::model::{Endpoint, RunId};
use crate::plan::Names;
use crate::postgres::{LocalCluster, Marked, made_by};
use crate::testing::{client_bin_dir, cluster};

struct World {
    cluster: LocalCluster,
    project: Project,
    name: RehearsalName,
    _folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let cluster = cluster().await.expect("a server");
        let folder = TempDir::new().expect("a folder");
        let admin = Session::open(&cluster.endpoint("postgres"), "test").await;
        let admin = admin.expect("a session");
        admin
            .batch_execute("create database app")
            .await
            .expect("app");
        admin.close().await;
        let at = cluster.endpoint("app");
        let session = Session::open(&at, "test").await.expect("a session");
        let rows = "create table public.t as select generate_series(1, 9) as n";
        session.batch_execute(rows).await.expect("rows");
        session.close().await;
        let crate::model::Host::Socket(host) = &at.host else {
            panic!("the endpoint is a socket");
        };
        let text = format!(
            "version = 1\nstore.url = \"store\"\nbackup.tools = {:?}\n\
             target.url = \"postgresql://{}@/app?host={}&port={}\"\n",
            client_bin_dir(&cluster),
            at.user,
            host.display(),
            at.port
        );
        let project = Project::of_text(&text, folder.path(), &|_| None).await;
        Self {
            cluster,
            project,
            name: "one".parse().expect("a name"),
            _folder: folder,
        }
    }

    fn maintenance(&self) -> Endpoint {
        self.cluster.endpoint("postgres")
    }

    async fn admin(&self, sql: &str) {
        let admin = Session::open(&self.maintenance(), "test").await;
        let admin = admin.expect("a session");
        for statement in sql.split(';') {
            admin.batch_execute(statement).await.expect("done");
        }
        admin.close().await;
    }

    async fn databases(&self) -> Vec<String> {
        let admin = Session::open(&self.maintenance(), "test").await;
        let sql = "select datname::text from pg_catalog.pg_database
                    where not datistemplate and datname <> 'postgres' order by 1";
        let rows = admin.expect("a session").query(sql, &[]).await;
        rows.expect("names").iter().map(|row| row.get(0)).collect()
    }

    async fn target(&self) -> Identity {
        self.project.target(&Ctx::quiet()).await.expect("app")
    }

    #[track_caller]
    fn refused(rehearsed: Result<Rehearsal>, why: &str) {
        let e = rehearsed.expect_err(why);
        assert_eq!(e.kind(), ErrorKind::Refused, "{e:?}");
        assert!(e.to_string().contains(why), "{why:?} is not in {e:?}");
    }
}

#[tokio::test]
async fn a_database_of_the_name_that_no_rehearsal_made_is_refused() {
    let world = World::new().await;
    world.admin("create database app_rehearsal_one").await;
    let rehearsed = world.project.rehearse(&world.name).await;
    World::refused(rehearsed, "exists already, and no rehearsal one made it");
    assert_eq!(world.databases().await, ["app", "app_rehearsal_one"]);

    // Nor is it taken for what an earlier rehearsal of that name has left.
    let target = world.target().await;
    let store = world.project.store();
    let shelf = Shelf::of(store, &world.name, &target.server, "app").expect("a shelf");
    let left = Record::new(target, "app_rehearsal_one".to_owned(), Vec::new());
    shelf.write(&left).await.expect("written");
    let stuck = world.project.rehearse(&world.name).await.expect("told");
    assert_eq!(stuck.ending, Ending::Stuck);
    assert!(
        stuck.left[0].contains("does not carry the mark"),
        "{stuck:?}"
    );
    assert_eq!(stuck.next.as_deref(), Some("rebuild run --rehearse one"));
    assert_eq!(world.databases().await, ["app", "app_rehearsal_one"]);
    world.admin("drop database app_rehearsal_one").await;
    let done = world.project.rehearse(&world.name).await.expect("done");
    assert_eq!(done.ending, Ending::Done, "{done:?}");
    assert!(shelf.is_clear().await.expect("looked"));
    assert_eq!(world.databases().await, ["app"]);
}

#[tokio::test]
async fn one_rehearsal_of_a_name_at_a_time() {
    let world = World::new().await;
    let (at, ctx) = (world.maintenance(), Ctx::quiet());
    let database = world.name.database("app");
    let alone = Alone::take(&at, &ctx, &database).await.expect("free");
    let other = Alone::take(&at, &ctx, "app_rehearsal_two").await;
    other.expect("another name").release().await;
    let rehearsed = world.project.rehearse(&world.name).await;
    World::refused(rehearsed, "is going on in another process");
    alone.release().await;
    let again = Alone::take(&at, &ctx, &database).await;
    again.expect("free again").release().await;
}

#[tokio::test]
async fn what_a_rehearsal_made_is_known_by_its_marks_alone() {
    let world = World::new().await;
    let record = Record::new(
        world.target().await,
        "app_rehearsal_one".to_owned(),
        Vec::new(),
    );
    let (run, stranger) = (RunId::generate(), RunId::generate());
    let name = |of: &RunId| Names::of(of, &record.database).staged;
    let other = Record::new(record.target.clone(), record.database.clone(), Vec::new());
    world
        .admin(&format!(
            "create database renamed; comment on database renamed is $${}$$;
             create database by_run; comment on database by_run is $${}$$;
             create database \"{}\";
             create database rebuild_scratch_{};
             create database look; comment on database look is 'rebuild: scratch of {run}, made x';
             create database other; comment on database other is $${}$$;
             create database strange; comment on database strange is $${}$$;
             create database rebuild_scratch_0;
             create database \"{}\"",
            record.mark(),
            made_by(&run),
            name(&run),
            record.id.short(),
            other.mark(),
            made_by(&stranger),
            name(&stranger),
        ))
        .await;
    let ctx = Ctx::quiet();
    let busy = Session::open(&world.cluster.endpoint("renamed"), "busy").await;
    let busy = busy.expect("a session");
    let killed = application(&Ctx::new(run.clone(), crate::event::Events::none()));
    let killed = Session::open(&world.maintenance(), &killed).await;
    let killed = killed.expect("a session");
    let marked = Marked {
        maintenance: world.maintenance(),
        mark: record.mark(),
        runs: vec![record.id.clone(), run.clone()],
        name: record.database.clone(),
    };
    marked.end_sessions(&ctx).await.expect("ended");
    assert!(killed.query("select 1", &[]).await.is_err(), "it was ended");
    assert!(busy.query("select 1", &[]).await.is_ok(), "it is another's");
    let found = marked.find(&ctx).await.expect("found");
    assert_eq!(found.len(), 5, "{found:?}");
    for database in &found {
        marked.remove(&ctx, database).await.expect("removed");
        marked.remove(&ctx, database).await.expect("gone already");
    }
    assert!(marked.find(&ctx).await.expect("looked").is_empty());
    let mut left = vec!["app".to_owned(), name(&stranger)];
    left.extend(["other", "rebuild_scratch_0", "strange"].map(str::to_owned));
    assert_eq!(world.databases().await, left);
    let target = world.target().await;
    let e = marked.remove(&ctx, &target).await.expect_err("no mark");
    assert!(e.is_refusal(), "{e:?}");
}
