//! Rebuilds of a database in a cluster.

mod aside;
mod evicted;
mod exec;
mod killed;
mod obstacles;
mod owners;
mod replace;
mod rights;
mod snapshots;
mod trouble;
mod verify;
mod volumes;
mod whole;

use super::*;
use crate::journal::Ending;

use crate::testing::kubernetes::World;

#[tokio::test]
async fn the_journals_are_there_although_the_cluster_is_not() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let text = "version = 1\nstore.url = \"store\"\n[target]\nurl = \"postgresql:///app\"\n\
                [target.kubernetes]\nservice = \"db\"\n\
                [kubernetes]\ncontext = \"gone\"\nnamespace = \"n\"\nkubeconfig = \"none\"\n";
    let spec = || crate::spec::parse(text, "rebuild.toml", folder.path(), &|_| None);
    let (environment, events) = (crate::Environment::default(), crate::event::Events::none());
    let spec = || spec().expect("a spec");
    let refused = Project::open(spec(), &environment, events.clone(), Default::default()).await;
    let error = refused.err().expect("no kubeconfig");
    assert_eq!(error.kind(), crate::ErrorKind::Usage, "{error:?}");
    assert!(
        error.to_string().contains("could not read the kubeconfig"),
        "{error:?}"
    );

    let store = Project::open_store(spec(), &environment, events, Default::default()).await;
    let project = store.expect("a store");
    assert!(project.runs().await.expect("runs").is_empty());
    assert!(project.backups().await.expect("backups").is_empty());
    // And no server of this machine is taken for the one in the cluster.
    assert_eq!(project.endpoint().port, 0);
    let error = project.status(false).await.expect_err("out of reach");
    assert_eq!(error.kind(), crate::ErrorKind::Unreachable, "{error:?}");
}

#[test]
fn what_cannot_be_meant_is_refused_before_the_cluster_is_looked_for() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let head = "version = 1\nstore.url = \"store\"\ntarget.url = \"postgresql:///app\"\n\
                kubernetes = { context = \"c\", namespace = \"n\" }\n";
    for (more, why) in [
        (
            "workload = [{ name = \"a\", kubernetes = \"pod/a\" }]",
            "workload.kubernetes: \"pod/a\" is no workload of a cluster",
        ),
        (
            "verify = [{ kind = \"rollout\", workload = \"cronjob/a\" }]",
            "verify.workload: cronjob/a has no pods of its own",
        ),
        (
            "after = [{ name = \"a\", kubernetes = { restart = \"cj/a\" } }]",
            "after.kubernetes.restart: cronjob/a has no pods of its own",
        ),
        (
            "load = [{ name = \"a\", kubernetes = { job = \"none.yaml\" } }]",
            "could not read the manifest",
        ),
        (
            "load = [{ name = \"a\", kubernetes = { cronjob = \"c\" }, env = { PGDATABASE = \"b\" } }]",
            "a: env.PGDATABASE is set by the run",
        ),
        (
            "target.strategy = \"in-place\"\n\
             target.kubernetes = { service = \"db\", replace = { objects = [\"pod/db\"] } }",
            "target.kubernetes.replace.objects: \"pod/db\" is nothing that can be replaced",
        ),
        (
            "target.strategy = \"in-place\"\n\
             target.kubernetes = { service = \"db\", replace = { objects = [\"svc/db\"] } }",
            "names no statefulset or deployment",
        ),
        (
            "target.strategy = \"in-place\"\n\
             target.kubernetes = { service = \"db\", replace = { objects = [\"sts/db\"], \
             manifests = [\"none.yaml\"] } }",
            "could not read the manifest",
        ),
    ] {
        let text = format!("{head}{more}\n");
        let spec = crate::spec::parse(&text, "rebuild.toml", folder.path(), &|_| None);
        let error = check(&spec.expect(more)).expect_err(more);
        assert_eq!(error.kind(), crate::ErrorKind::Usage, "{error:?}");
        assert!(error.chain().contains(why), "{more}: {error:?}");
    }
}

#[test]
fn every_database_has_a_lease_of_its_own() {
    assert_eq!(lease_name("app").len(), "rebuild-app-".len() + 8);
    assert_ne!(lease_name("App"), lease_name("app"));
    assert!(lease_name("ünïcode db!").starts_with("rebuild-ncodedb-"));
    assert!(lease_name(&"x".repeat(63)).len() < 63);
}
