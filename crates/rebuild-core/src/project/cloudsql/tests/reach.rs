//! The ways to the database.

use super::*;
use crate::model::SslMode;

#[tokio::test]
async fn its_address_is_proven_by_the_instances_own_authority() {
    let world = World::new().await;
    let port = world.instance.port();
    let spec = world.spec("connect = \"public\"\n").replace(
        "postgresql:///app?user=postgres",
        &format!("postgresql:///app?user=postgres&port={port}"),
    );
    let project = world.project(&spec).await.expect("a project");
    assert!(matches!(
        project.endpoint().sslmode,
        SslMode::VerifyCa | SslMode::VerifyFull
    ));
    let (summary, verdict) = project.backup().await.expect("a backup");
    assert!(verdict.passed(), "{verdict:?}");
    assert_eq!(summary.rows, 2500);
    let private = spec.replace("\"public\"", "\"private\"");
    let e = world.project(&private).await;
    let e = e.err().expect("no such address");
    assert!(e.to_string().contains("has no private address"), "{e:?}");

    let ip = serde_json::json!({"settings": {"ipConfiguration": {
        "ipv4Enabled": false, "privateNetwork": "projects/shop/global/networks/default",
    }}});
    world
        .admin(reqwest::Method::PATCH, "instances/main", ip)
        .await;
    let project = world.project(&private).await.expect("a project");
    let (summary, verdict) = project.backup().await.expect("a backup");
    assert!(verdict.passed(), "{verdict:?}");
    assert_eq!(summary.rows, 2500);
    let e = world.project(&spec).await.err().expect("no such address");
    assert!(e.to_string().contains("has no public address"), "{e:?}");
    world.google.assert_clean();
}

#[tokio::test]
async fn without_the_instance_the_journals_are_there() {
    let world = World::new().await;
    let spec = world
        .spec("connect = \"public\"\n")
        .replace(":main", ":gone");
    let e = world.project(&spec).await.err().expect("it is gone");
    assert_eq!(
        e.to_string(),
        format!("there is no instance {PROJECT}:europe-west1:gone")
    );
    assert!(
        e.advice()
            .is_some_and(|a| a.contains("gcloud sql instances list")),
        "{e:?}"
    );
    let spec = crate::spec::parse(&spec, "rebuild.toml", world.folder(), &|_| None);
    let (environment, events) = (crate::Environment::default(), crate::event::Events::none());
    let store = crate::project::Project::open_store(
        spec.expect("a spec"),
        &environment,
        events,
        Default::default(),
    );
    let project = store.await.expect("a store");
    assert!(project.runs().await.expect("runs").is_empty());
    // And no server of this machine is taken for it.
    assert_eq!(project.endpoint().port, 0);

    let elsewhere = world
        .spec("connect = \"public\"\n")
        .replace("west1", "west9");
    let e = world
        .project(&elsewhere)
        .await
        .err()
        .expect("another region");
    assert!(
        e.to_string().contains("is in \"europe-west1\", not in"),
        "{e:?}"
    );
    world.google.assert_clean();
}
