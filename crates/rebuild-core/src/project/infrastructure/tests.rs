//! A release of the real helm in a cluster, as a part of a rebuild.

use tokio::process::Command;

use crate::journal::Ending;
use crate::testing::kubernetes::World;
use crate::testing::programs_of;

/// A world with the chart of a release in it.
struct Release {
    world: World,
    helm: String,
    kubeconfig: String,
}

impl Release {
    fn of(world: World, template: &str) -> Self {
        let text: toml::Value = toml::from_str(&world.spec_text("")).expect("a spec");
        let kubeconfig = text["kubernetes"]["kubeconfig"].as_str().expect("a file");
        let templates = world.folder.path().join("chart/templates");
        std::fs::create_dir_all(templates).expect("a chart");
        world.write(
            "chart/Chart.yaml",
            "apiVersion: v2\nname: app\nversion: 0.1.0\n",
        );
        world.write("chart/templates/all.yaml", template);
        let helm = programs_of("kubernetes-tools").join("helm");
        Self {
            helm: helm.to_str().expect("UTF-8").to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            world,
        }
    }

    fn spec(&self) -> String {
        let World {
            context, namespace, ..
        } = &self.world;
        format!(
            "[[infrastructure]]\nname = \"app\"\ntool = \"helm\"\nprogram = {:?}\nrelease = \"app\"\n\
             chart = \"./chart\"\nnamespace = {namespace:?}\ncontext = {context:?}\ntimeout = \"2m\"\n\
             env = {{ KUBECONFIG = {:?} }}\nvariables = {{ greeting = \"good morning\" }}\n",
            self.helm, self.kubeconfig
        )
    }

    /// Installs it by hand.
    async fn install(&self) {
        let world = &self.world;
        let mut helm = Command::new(&self.helm);
        helm.args(["install", "app", "./chart", "--kube-context"])
            .args([&world.context, "--namespace", &world.namespace])
            .current_dir(world.folder.path())
            .env("KUBECONFIG", &self.kubeconfig);
        let output = helm.output().await.expect("helm");
        assert!(output.status.success(), "{output:?}");
    }
}

const SETTINGS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: settings }\n\
                        data: { greeting: {{ .Values.greeting | quote }} }\n";

#[tokio::test]
async fn a_release_is_a_step_and_what_went_missing_is_made_again() {
    let release = Release::of(World::start().await, SETTINGS);
    let (world, spec) = (&release.world, release.spec());
    let plan = world.plan(&spec).await;
    let planned = &plan.survey.infrastructure[0].changes;
    assert_eq!(planned.lines(), ["create ConfigMap settings"]);
    assert!(world.get("configmap", "settings").await.is_none());

    let report = world.run(&spec).await;
    let told = world.told.text();
    assert_eq!(report.ending, Ending::Done, "{report:?} {told}");
    let made = world.get("configmap", "settings").await.expect("it");
    assert_eq!(made["data"]["greeting"], "good morning");
    assert!(!told.contains("good morning"), "{told}");
    let plan = world.plan(&spec).await;
    assert!(plan.survey.infrastructure[0].changes.is_empty());

    let api = world.api("configmap");
    let gone = api.delete("settings", &Default::default()).await;
    gone.expect("deleted");
    let plan = world.plan(&spec).await;
    let planned = &plan.survey.infrastructure[0].changes;
    assert_eq!(planned.lines(), ["create ConfigMap settings"]);
    let project = world.project(&spec).await;
    let report = project.run(Some(&plan), None).await.expect("a run");
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    world.get("configmap", "settings").await.expect("it");
    release.world.end().await;
}

/// The run removes the server that the release has made, and the release makes the new one.
#[tokio::test]
async fn a_release_makes_the_server_again_that_a_run_replaces() {
    let release = Release::of(World::empty().await, &World::server_manifest());
    let world = &release.world;
    world
        .apply("{apiVersion: v1, kind: Secret, metadata: {name: db}, stringData: {user: postgres, password: zq7}}")
        .await;
    release.install().await;
    world.await_ready("statefulset", "db", 1).await;
    world
        .sql("create table public.item as select generate_series(1, 100) id")
        .await;
    let before = world.get("statefulset", "db").await.expect("a server");

    let how = "objects = [\"sts/db\", \"svc/db\"]\ntimeout = \"60s\"";
    let text = world.replacing(&release.spec(), how);
    let project = world.open(&text).await.expect("a project");
    let plan = project.plan(true).await.expect("a plan");
    assert_eq!(plan.refusals, []);
    assert!(plan.survey.infrastructure[0].changes.is_empty());
    let report = project.run(Some(&plan), None).await.expect("a run");
    let told = world.told.text();
    assert_eq!(report.ending, Ending::Done, "{report:?} {told}");
    assert!(
        told.contains("will now create StatefulSet.apps db"),
        "{told}"
    );
    let after = world.get("statefulset", "db").await.expect("a server");
    assert_ne!(before["metadata"]["uid"], after["metadata"]["uid"]);
    assert_eq!(world.sql("select count(*) from public.item").await, "100");

    let back = project.rollback(&report.run, None, false).await;
    let back = back.expect("a way back");
    assert_eq!(back.ending, Ending::RolledBack, "{back:?}");
    assert_eq!(world.sql("select count(*) from public.item").await, "100");
    release.world.end().await;
}
