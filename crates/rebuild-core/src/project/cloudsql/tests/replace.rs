//! A whole instance is replaced, and comes back.

use rebuild_testgoogle::SqlInstance;

use super::*;
use crate::cloudsql::InstanceCopy;
use crate::engine::Report;
use crate::journal::Ending;
use crate::model::RunId;
use crate::postgres::Session;
use crate::project::InstanceSource;

/// A spec that replaces the instance; `how` stands in `[target.cloudsql.replace]`.
pub(super) fn replacing(world: &World, more: &str, how: &str) -> String {
    let spec = world.spec(&format!(
        "{}{more}[target.cloudsql.replace]\ntimeout = \"60s\"\n{how}",
        world.socket()
    ));
    spec.replace("[target]\n", "[target]\nstrategy = \"in-place\"\n")
}

/// The instance that has the name now.
pub(super) fn now(world: &World) -> SqlInstance {
    let found = world.google.sql_instance(PROJECT, "main");
    found.expect("an instance")
}

/// The server behind it, and the rows in its database.
pub(super) async fn server_and_rows(world: &World) -> (String, i64) {
    let instance = now(world);
    let endpoint = world.endpoint_of(&instance, "app");
    let session = Session::open(&endpoint, "test").await.expect("a session");
    let asked = "select system_identifier::text, (select count(*) from public.lines)
                   from pg_catalog.pg_control_system()";
    let row = session.query_one(asked, &[]).await.expect("an answer");
    let found = (row.get(0), row.get(1));
    session.close().await;
    found
}

/// What is written on the backups that outlive their instance.
pub(super) async fn kept(world: &World) -> Vec<String> {
    said_of_kept(world, "description").await
}

async fn said_of_kept(world: &World, key: &str) -> Vec<String> {
    let url = format!("{}/v1/projects/{PROJECT}/backups", world.google.url());
    let get = reqwest::Client::new().get(url);
    let answer = get.bearer_auth(world.google.token()).send().await;
    let text = answer.expect("an answer").text().await.expect("a text");
    let list: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let backups = list["backups"].as_array().cloned().unwrap_or_default();
    let word = |b: &serde_json::Value| b[key].as_str().expect("one").to_owned();
    backups.iter().map(word).collect()
}

pub(super) async fn run(world: &World, spec: &str) -> Report {
    let ran = async {
        let project = world.project(spec).await.expect("a project");
        project.run(None, Some("app")).await
    };
    Box::pin(ran).await.expect("a run")
}

pub(super) async fn rollback(world: &World, spec: &str, run: &RunId) -> Report {
    let back = async {
        let project = world.project(spec).await.expect("a project");
        project.rollback(run, None, true).await
    };
    Box::pin(back).await.expect("a way back")
}

#[tokio::test]
async fn an_instance_makes_room_and_comes_back() {
    let world = World::new().await;
    let spec = replacing(&world, "", "tier = \"db-custom-2-7680\"\n");
    let (old, rows) = server_and_rows(&world).await;
    assert_eq!(rows, 2000);

    let project = world.project(&spec).await.expect("a project");
    let plan = project.plan(true).await.expect("a plan");
    assert_eq!(plan.refusals, []);
    let shown = plan.render();
    for line in [
        "in place: the old instance is deleted first, and kept as a backup of the service",
        "take a backup of instance shop:europe-west1:main that outlives it, then delete the instance; \
         clients are shut out from here",
        "make instance shop:europe-west1:main with tier db-custom-2-7680, its user postgres, and \
         database \"app\" in it",
        "is deleted, with its roles, passwords and the log of its point-in-time recovery",
        "has other addresses, another certificate authority",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert_eq!(world.google.calls("sql.instances.delete").len(), 0);

    let report = run(&world, &spec).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let left = report.left.join("; ");
    let wanted = "the old instance shop:europe-west1:main is kept as a backup of the service; `rebuild \
                  rollback";
    assert!(left.contains(wanted), "{left}");
    let (new, rows) = server_and_rows(&world).await;
    assert_eq!(rows, 2000);
    assert_ne!(new, old);
    assert_eq!(kept(&world).await, [format!("rebuild {} old", report.run)]);
    let survey = project.status(false).await.expect("a status").survey;
    assert_eq!(
        survey.instance.expect("the instance").tier,
        "db-custom-2-7680"
    );

    world
        .sql_on(&now(&world), "app", "delete from lines where id > 7")
        .await;
    let project = world.project(&spec).await.expect("a project");
    let refused = project.rollback(&report.run, None, false).await;
    let refused = refused.expect_err("writes would go out of service");
    assert!(refused.to_string().contains("public.lines"), "{refused}");
    let back = rollback(&world, &spec, &report.run).await;
    assert_eq!(back.ending, Ending::RolledBack, "{back:?}");
    assert_eq!(server_and_rows(&world).await, (old.clone(), 2000));
    let survey = project.status(false).await.expect("a status").survey;
    assert_ne!(
        survey.instance.expect("the instance").tier,
        "db-custom-2-7680"
    );

    // What was in service is kept: its rows are nowhere else.
    let left = back.left.join("; ");
    let wanted = "the new instance was in service, and is kept as a backup of the service";
    assert!(left.contains(wanted), "{left}");
    let both = [
        format!("rebuild {} new", report.run),
        format!("rebuild {} old", report.run),
    ];
    assert_eq!(kept(&world).await, both);
    let refused = project.purge(&report.run, None, true).await;
    assert!(refused.expect_err("no name").is_refusal());
    let name = format!("app_new_{}", report.run.short());
    let gone = project.purge(&report.run, Some(&name), true).await;
    assert_eq!(gone.expect("purged"), Some(name));
    assert_eq!(kept(&world).await, both[1..]);
    assert_eq!(server_and_rows(&world).await, (old, 2000));
    world.google.assert_clean();
}

#[tokio::test]
async fn the_backup_of_the_old_instance_goes_when_it_is_purged() {
    let world = World::new().await;
    let spec = replacing(&world, "", "");
    let report = run(&world, &spec).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let project = world.project(&spec).await.expect("a project");
    let held = project.purge(&report.run, None, false).await;
    assert!(
        held.expect_err("retained")
            .to_string()
            .contains("is kept until")
    );
    let gone = project
        .purge(&report.run, None, true)
        .await
        .expect("purged");
    assert!(gone.is_some_and(|name| name.starts_with("app_old_")));
    assert_eq!(kept(&world).await, [""; 0]);
    let refused = project.rollback(&report.run, None, true).await;
    assert!(refused.expect_err("it is gone").is_refusal());
    assert_eq!(server_and_rows(&world).await.1, 2000);
    world.google.assert_clean();
}

#[tokio::test]
async fn what_outlived_its_instance_is_restored_over_another() {
    let world = World::new().await;
    let spec = replacing(&world, "", "");
    let report = run(&world, &spec).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let other = world.google.instance(PROJECT, "europe-west1", "other");
    let other = other.password("other").create().await.expect("an instance");
    let [name] = &said_of_kept(&world, "name").await[..] else {
        panic!("one is kept");
    };
    let spec = world.spec(&world.socket()).replace(":main", ":other");
    let project = world.project(&spec).await.expect("a project");
    let from = InstanceSource::Copy(InstanceCopy::Kept(name.clone()));
    let restoring = project.restore_instance(&from, Some("other"));
    Box::pin(restoring).await.expect("it");
    // It is there as it was when the instance went: under the name it was retired to, and closed.
    let endpoint = world.endpoint_of(&other, "postgres");
    let session = Session::open(&endpoint, "test").await.expect("a session");
    let asked =
        "select datname::text from pg_database where datname like 'app%' and not datallowconn";
    let found = session.query_one(asked, &[]).await.expect("one");
    assert_eq!(
        found.get::<_, String>(0),
        format!("app_old_{}", report.run.short())
    );
    session.close().await;

    let none = InstanceCopy::Kept(format!("projects/{PROJECT}/backups/none"));
    let none = InstanceSource::Copy(none);
    let restoring = project.restore_instance(&none, Some("other"));
    let e = Box::pin(restoring).await.expect_err("none");
    assert_eq!(
        e.to_string(),
        "there is no backup projects/shop/backups/none"
    );
    world.google.assert_clean();
}

#[tokio::test]
async fn what_may_not_go_stays() {
    let world = World::new().await;
    world.create_database(&world.instance, "crm").await;
    let url = format!(
        "{}/v1/projects/{PROJECT}/instances/main",
        world.google.url()
    );
    let protect = serde_json::json!({"settings": {"deletionProtectionEnabled": true}});
    let patch = reqwest::Client::new().patch(url).json(&protect);
    let answer = patch.bearer_auth(world.google.token()).send().await;
    assert!(answer.expect("an answer").status().is_success());

    let spec = replacing(&world, "", "");
    let project = world.project(&spec).await.expect("a project");
    let plan = project.plan(true).await.expect("a plan");
    let refused: Vec<String> = plan.refusals.iter().map(|r| r.message.clone()).collect();
    let all = refused.join("; ");
    for why in [
        "is protected against deletion",
        "database \"crm\" of the same instance",
    ] {
        assert!(all.contains(why), "{why}: {all}");
    }
    assert!(
        project
            .run(None, None)
            .await
            .expect_err("refused")
            .is_refusal()
    );
    for method in ["sql.Backups.CreateBackup", "sql.instances.delete"] {
        assert!(world.google.calls(method).is_empty(), "{method}");
    }

    let how = "lift_deletion_protection = true\ndatabases = [\"crm\"]\n";
    let spec = replacing(&world, "", how);
    let project = world.project(&spec).await.expect("a project");
    let refused = project.run(None, None).await.expect_err("no name");
    assert_eq!(refused.advice(), Some("give --confirm app"), "{refused:?}");
    assert!(world.google.calls("sql.instances.delete").is_empty());
    let report = run(&world, &spec).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let back = rollback(&world, &spec, &report.run).await;
    assert_eq!(back.ending, Ending::RolledBack, "{back:?}");
    // All that was in the instance is back, and it is protected again.
    world.sql_on(&now(&world), "crm", "select 1").await;
    let project = world.project(&spec).await.expect("a project");
    let survey = project.status(false).await.expect("a status").survey;
    let instance = survey.instance;
    assert!(instance.expect("the instance").deletion_protection);
    world.google.assert_clean();
}

#[tokio::test]
async fn without_a_copy_that_outlives_it_nothing_is_deleted() {
    let world = World::new().await;
    let spec = replacing(&world, "", "");
    let old = server_and_rows(&world).await;
    let disk = Failure::new("INTERNAL_ERROR", "the disk could not be copied");
    let fault = OperationFault::Fail(disk);
    world
        .google
        .fault_operation("sql.Backups.CreateBackup", fault);
    let report = run(&world, &spec).await;
    assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
    let why = report.error.expect("an error");
    assert!(why.contains("the disk could not be copied"), "{why}");
    assert!(world.google.calls("sql.instances.delete").is_empty());
    assert_eq!(server_and_rows(&world).await, old);
    world.google.assert_clean();
}

#[tokio::test]
async fn a_copy_that_never_ends_is_left_in_time_and_nothing_is_deleted() {
    let world = World::new().await;
    let spec = replacing(&world, "", "").replace("60s", "3s");
    let old = server_and_rows(&world).await;
    let create = "sql.Backups.CreateBackup";
    world.google.fault_operation(create, OperationFault::Never);
    let told = std::sync::Arc::new(Told::default());
    let project = world.project_told(&spec, told.clone()).await;
    let report = Box::pin(project.run(None, Some("app"))).await;
    let report = report.expect("a run");
    // The backup holds the instance still. It is read, and nothing waits for it.
    assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
    let why = report.error.expect("an error");
    assert!(why.contains("took longer than 3s"), "{why}");
    let look = "it goes on by itself: gcloud sql backups list --project shop";
    assert_eq!(report.hint.as_deref(), Some(look));
    assert!(
        told.has("gcloud sql instances patch main --project shop --no-retain-backups-on-delete")
    );
    assert!(world.google.calls("sql.instances.delete").is_empty());
    assert_eq!(server_and_rows(&world).await, old);
    world.google.assert_clean();
}

#[tokio::test]
async fn a_new_instance_that_cannot_be_made_brings_the_old_one_back() {
    let world = World::new().await;
    let old = server_and_rows(&world).await;
    let quota = Failure::new("RESOURCE_EXHAUSTED", "no machine of this type is left");
    let fault = OperationFault::Fail(quota);
    world.google.fault_operation("sql.instances.insert", fault);
    let report = run(&world, &replacing(&world, "", "")).await;
    assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
    let why = report.error.expect("an error");
    assert!(why.contains("no machine of this type is left"), "{why}");
    assert_eq!(server_and_rows(&world).await, old);
    world.google.assert_clean();
}

#[tokio::test]
async fn nobody_writes_to_a_new_instance_whose_way_back_has_begun() {
    let world = World::new().await;
    let spec = replacing(&world, "", "");
    let (old, _) = server_and_rows(&world).await;
    let report = run(&world, &spec).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let restore = "sql.instances.restoreBackup";
    world.google.deny(restore);
    let back = rollback(&world, &spec, &report.run).await;
    assert_eq!(back.ending, Ending::Stuck, "{back:?}");
    assert_eq!(kept(&world).await.len(), 2, "what is restored over is kept");
    // What was written now would be in no copy.
    let project = world.project(&spec).await.expect("a project");
    let shut = Session::open(project.endpoint(), "test").await;
    let shut = shut.err().expect("it is out of service");
    assert!(shut.chain().contains("3D000"), "{}", shut.chain());
    world.google.allow(restore);
    let back = rollback(&world, &spec, &report.run).await;
    assert_eq!(back.ending, Ending::RolledBack, "{back:?}");
    assert_eq!(server_and_rows(&world).await, (old, 2000));
    world.google.assert_clean();
}
