//! Users that an instance is to have.

use rebuild_testgoogle::ApiError;

use super::*;
use crate::ErrorKind;
use crate::journal::Ending;
use crate::postgres::Session;

const INSERT: &str = "sql.users.insert";

/// A spec with a user that has a password, and one of a service account.
fn with_users(world: &World, more: &str) -> String {
    world.spec(&format!(
        "{}users = [{{ name = \"api\", password = \"s3cret-of-api\" }},\n\
         {{ name = \"job@shop.iam\", kind = \"iam-service-account\" }}]\n{more}",
        world.socket()
    ))
}

/// The roles of the instance that are not there from the beginning.
async fn roles(world: &World) -> Vec<String> {
    let endpoint = world.endpoint_of(&world.instance, "postgres");
    let session = Session::open(&endpoint, "test").await.expect("a session");
    let sql = "select rolname::text from pg_roles where rolcanlogin
        and rolname not like 'cloudsql%' and rolname <> 'postgres' order by 1";
    let rows = session.query(sql, &[]).await.expect("roles");
    session.close().await;
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_run_makes_the_users_that_are_missing_before_the_database() {
    let world = World::new().await;
    let project = world.project(&with_users(&world, "")).await;
    let project = project.expect("a project");
    let title = |plan: &crate::plan::Plan| {
        let step = plan.steps.iter().find(|step| step.id == "provision");
        step.expect("a step").title.clone()
    };
    let plan = project.plan(true).await.expect("a plan");
    assert_eq!(
        title(&plan),
        "make user \"api\", \"job@shop.iam\" of the instance, then make a new database beside \"app\""
    );
    assert!(
        world.google.calls(INSERT).is_empty(),
        "a plan makes nothing"
    );

    // Whether the answer to a request comes or not.
    let lost = world.google.fault(Fault::once(INSERT, Strike::CloseAfter));
    let report = project.run(Some(&plan), None).await.expect("a run");
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    assert_eq!(lost.struck(), 1);
    assert_eq!(roles(&world).await, ["api", "job@shop.iam"]);
    let url = world.instance.url("api", "s3cret-of-api", "app");
    let endpoint = crate::Environment::default().endpoint(&url, false);
    let session = Session::open(&endpoint.expect("an endpoint"), "test").await;
    session.expect("it gets in").close().await;

    // They are there: nothing is to be made, and they stay when the run goes back.
    let asked = world.google.calls(INSERT).len();
    let plan = project.plan(true).await.expect("a plan");
    assert_eq!(title(&plan), "make a new database beside \"app\"");
    assert!(
        project
            .make_instance_users()
            .await
            .expect("users")
            .is_empty()
    );
    let back = project
        .rollback(&report.run, None, false)
        .await
        .expect("back");
    assert_eq!(back.ending, Ending::RolledBack, "{back:?}");
    assert_eq!(roles(&world).await, ["api", "job@shop.iam"]);
    assert_eq!(world.google.calls(INSERT).len(), asked);
    world.google.assert_clean();
}

#[tokio::test]
async fn a_plan_that_needs_a_user_says_which_command_makes_it() {
    let world = World::new().await;
    let schema = "create table public.orders (id bigint primary key, note text not null);
        create table public.lines (id bigint primary key, order_id bigint references public.orders);
        grant select on public.orders to api";
    std::fs::write(world.folder().join("schema.sql"), schema).expect("a schema");
    let spec = with_users(
        &world,
        "[schema]\nsource = \"files\"\nfiles = [\"schema.sql\"]\n",
    );
    let project = world.project(&spec).await.expect("a project");
    let e = project.plan(true).await.expect_err("no such role");
    assert_eq!(e.kind(), ErrorKind::Server, "{e:?}");
    assert!(e.chain().contains("role \"api\" does not exist"), "{e:?}");
    let hint = e.advice().unwrap_or_default();
    assert!(hint.ends_with("rebuild instance users"), "{hint}");

    let made = project.make_instance_users().await.expect("users");
    assert_eq!(made, ["api", "job@shop.iam"]);
    project.plan(true).await.expect("a plan");
    world.google.assert_clean();
}

#[tokio::test]
async fn users_that_cannot_be_made_end_a_run_with_the_database_in_service() {
    let world = World::new().await;
    let project = world.project(&with_users(&world, "")).await;
    let project = project.expect("a project");
    let refused = ApiError::new(403, "The client is not authorized to make this request.");
    let refused = Fault::once(INSERT, Strike::Answer(refused));
    world.google.fault(refused);
    let report = project.run(None, None).await.expect("a report");
    assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
    let why = format!("{report:?}");
    assert!(why.contains("could not make user"), "{why}");
    assert_eq!(world.count(&world.instance, "lines").await, 2000);

    let none = world.spec(&world.socket());
    let project = world.project(&none).await.expect("a project");
    let e = project.make_instance_users().await.expect_err("no users");
    assert_eq!(e.kind(), ErrorKind::Usage, "{e:?}");
}
