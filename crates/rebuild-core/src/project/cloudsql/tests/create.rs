//! A first instance is made.

use rebuild_testgoogle::SqlInstance;
use serde_json::Value;

use super::*;
use crate::ErrorKind;
use crate::postgres::Session;
use crate::project::Project;

const INSERT: &str = "sql.instances.insert";

/// A spec of an instance `second`, which is not there.
fn of_second(world: &World, create: &str) -> String {
    let version = world.instance.version();
    let spec = world.spec(&format!(
        "{}users = [{{ name = \"api\", password = \"s3cret-of-api\" }}]\n\
         [target.cloudsql.create]\nversion = \"{version}\"\ntier = \"db-custom-2-7680\"\n{create}",
        world.socket()
    ));
    spec.replace(":main\"", ":second\"")
}

/// What the API says of an instance.
async fn said_of(world: &World, name: &str) -> Value {
    let at = world.google.url();
    let get = reqwest::Client::new().get(format!("{at}/v1/projects/{PROJECT}/instances/{name}"));
    let answer = get.bearer_auth(world.google.token()).send().await;
    let text = answer.expect("an answer").text().await.expect("a text");
    serde_json::from_str(&text).expect("JSON")
}

fn found(world: &World, name: &str) -> Option<SqlInstance> {
    world.google.sql_instance(PROJECT, name)
}

async fn create(world: &World, spec: &str) -> crate::Result<bool> {
    let spec = crate::spec::parse(spec, "rebuild.toml", world.folder.path(), &|_| None)?;
    let environment = crate::Environment::default();
    let events = crate::event::Events::none();
    let project = Project::open_store(spec, &environment, events, Default::default()).await?;
    let (name, made) = Box::pin(project.create_instance()).await?;
    assert_eq!(name.to_string(), "shop:europe-west1:second");
    Ok(made)
}

#[tokio::test]
async fn an_instance_is_made_from_a_spec_once_and_a_backup_comes_into_it() {
    let world = World::new().await;
    let spec = of_second(
        &world,
        "disk_gb = 20\nflags = { log_min_messages = \"info\" }\n",
    );
    // The answer to the request is lost.
    let lost = world.google.fault(Fault::once(INSERT, Strike::CloseAfter));
    assert!(create(&world, &spec).await.expect("an instance"));
    assert_eq!(lost.struck(), 1);
    assert!(!create(&world, &spec).await.expect("the same one"));
    assert_eq!(world.google.calls(INSERT).len(), 1);

    let settings = said_of(&world, "second").await["settings"].clone();
    for (key, value) in [
        ("/tier", "db-custom-2-7680"),
        ("/dataDiskSizeGb", "20"),
        ("/availabilityType", "ZONAL"),
        ("/ipConfiguration/sslMode", "ENCRYPTED_ONLY"),
        ("/databaseFlags/0/value", "info"),
    ] {
        assert_eq!(
            settings.pointer(key),
            Some(&Value::from(value)),
            "{settings}"
        );
    }
    for key in [
        "/deletionProtectionEnabled",
        "/retainBackupsOnDelete",
        "/backupConfiguration/enabled",
        "/backupConfiguration/pointInTimeRecoveryEnabled",
        "/ipConfiguration/ipv4Enabled",
    ] {
        assert_eq!(settings.pointer(key), Some(&Value::Bool(true)), "{key}");
    }

    // The rows of another instance come into it.
    let first = world.project(&world.spec(&world.socket())).await;
    let (summary, _) = first.expect("a project").backup().await.expect("a backup");
    let second = world.project(&spec).await.expect("a way to the new one");
    let restored = second.restore(&summary.id, "app", &[], true).await;
    restored.expect("the rows");
    let instance = found(&world, "second").expect("an instance");
    assert_eq!(world.count(&instance, "lines").await, 2000);
    let url = instance.url("api", "s3cret-of-api", "app");
    let endpoint = crate::Environment::default().endpoint(&url, false);
    let session = Session::open(&endpoint.expect("an endpoint"), "test").await;
    session.expect("it gets in").close().await;
    world.google.assert_clean();
}

#[tokio::test]
async fn what_nobody_could_log_in_to_or_is_somebody_elses_is_refused() {
    let world = World::new().await;
    let spec = of_second(&world, "");
    let error = create(&world, &spec.replace(":second", ":main")).await;
    let error = error.expect_err("it is there");
    assert!(error.is_refusal(), "{error:?}");
    assert!(error.to_string().contains("which was not made by this"));
    let user = spec.replace("?user=postgres\"\npassword = \"tr0ub4dor\"", "?user=boss\"");
    let error = create(&world, &user).await.expect_err("no password");
    assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
    assert!(error.to_string().contains("user \"boss\" could not log in"));
    let nothing = world.spec(&world.socket());
    let error = create(&world, &nothing).await.expect_err("nothing said");
    assert!(error.to_string().contains("target.cloudsql.create"));
    assert!(world.google.calls(INSERT).is_empty());
    world.google.assert_clean();
}

#[tokio::test]
async fn one_that_cannot_be_made_is_an_error_with_the_services_words() {
    let world = World::new().await;
    let quota = Failure::new("RESOURCE_EXHAUSTED", "no machine of this type is left");
    world
        .google
        .fault_operation(INSERT, OperationFault::Fail(quota));
    let error = create(&world, &of_second(&world, "")).await;
    let error = error.expect_err("no machine").chain();
    assert!(error.contains("no machine of this type is left"), "{error}");
    world.google.assert_clean();
}
