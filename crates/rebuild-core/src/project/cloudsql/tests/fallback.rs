//! The export in the place of a backup that cannot be restored.

use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::journal::Ending;

/// Damages the backup's rows, or its schema, right before they are restored.
struct Damage {
    store: PathBuf,
    step: &'static str,
    what: &'static str,
}

impl Sink for Damage {
    fn event(&self, event: &Event) {
        let value = serde_json::to_value(&event.kind).expect("JSON");
        if value["event"] != "step-started" || value["step"] != self.step {
            return;
        }
        let mut found = 0;
        let mut folders = vec![self.store.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.to_string_lossy().contains(self.what) {
                    std::fs::write(&path, "damaged").expect("written");
                    found += 1;
                }
            }
        }
        assert!(found > 0, "there is no {}", self.what);
    }

    fn progress(&self, _: &Progress) {}
}

async fn falls_back(step: &'static str, what: &'static str) {
    let world = World::new().await;
    world.google.create_bucket("exports");
    // What the service's own roles have is theirs, and nobody's elsewhere.
    let text = "create view totals as select count(*) as n from lines;
                comment on table orders is 'what was ordered';
                grant create on schema public to cloudsqlsuperuser;
                create table archive (id bigint primary key);
                insert into archive select * from generate_series(1, 7);
                alter table archive owner to cloudsqlsuperuser;
                grant select on orders to cloudsqlsuperuser, cloudsqlimportexport;
                alter default privileges in schema public grant select on tables to cloudsqlsuperuser";
    world.sql("app", text).await;
    let socket = world.socket();
    let spec = world.spec(&format!(
        "{socket}export = {{ to = \"gs://exports\", grant = true }}\n[restore]\nfallback = \"export\"\n"
    ));
    let shown = world
        .project(&spec)
        .await
        .expect("a project")
        .plan(true)
        .await;
    let shown = shown.expect("a plan").render();
    let line = "if the backup cannot be restored, load the export that was taken with it";
    assert!(shown.contains(line), "{shown}");

    let store = world.folder().join("store/backups");
    let damage = Arc::new(Damage { store, step, what });
    let project = world.project_told(&spec, damage).await;
    let report = Box::pin(project.run(None, None)).await.expect("a run");
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    assert_eq!(world.count(&world.instance, "lines").await, 2000);
    assert_eq!(world.count(&world.instance, "totals").await, 1);
    assert_eq!(world.count(&world.instance, "archive").await, 7);
    world
        .sql("app", "insert into orders values (501, 'goes on')")
        .await;
    let note = world
        .folder()
        .join(format!("store/runs/{}/cloudsql/fallback.txt", report.run));
    let why = std::fs::read_to_string(note).expect("it is written down");
    assert!(!why.is_empty());
    world.google.assert_clean();
}

#[tokio::test]
async fn rows_that_cannot_be_read_come_from_the_export() {
    falls_back("restore", "/rows/").await;
}

#[tokio::test]
async fn a_schema_that_cannot_be_made_comes_from_the_export() {
    falls_back("schema", "pre-data").await;
}

/// Damages the rows, and holds up whoever reads the export then.
struct Trap {
    damage: Damage,
    google: Arc<World>,
    held: Mutex<Option<rebuild_testgoogle::FaultHandle>>,
    told: Told,
}

const GIVEN_UP: &str = "the export that was taken with it is loaded";

impl Sink for Trap {
    fn event(&self, event: &Event) {
        self.damage.event(event);
        self.told.event(event);
        let mut held = self.held.lock().expect("no one panics with it");
        if held.is_none() && self.told.has(GIVEN_UP) {
            let fault = Fault::once("storage.objects.get", Strike::Hold);
            *held = Some(self.google.google.fault(fault));
        }
    }

    fn progress(&self, _: &Progress) {}
}

#[tokio::test]
async fn a_run_that_is_killed_while_it_loads_the_export_does_not_begin_with_the_backup_again() {
    let world = Arc::new(World::new().await);
    world.google.create_bucket("exports");
    let spec = world.spec(&format!(
        "{}export = {{ to = \"gs://exports\", grant = true }}\n[restore]\nfallback = \"export\"\n",
        world.socket()
    ));
    let trap = Arc::new(Trap {
        damage: Damage {
            store: world.folder().join("store/backups"),
            step: "restore",
            what: "/rows/",
        },
        google: world.clone(),
        held: Mutex::default(),
        told: Told::default(),
    });
    let project = world.project_told(&spec, trap.clone()).await;
    let task = tokio::spawn(async move { Box::pin(project.run(None, None)).await });
    let held = || trap.held.lock().expect("no one panics with it").clone();
    until("it is read", || {
        held().is_some_and(|held| held.struck() > 0)
    })
    .await;
    task.abort();
    assert!(task.await.expect_err("it was ended").is_cancelled());
    held().expect("a fault").release();

    let told = Arc::new(Told::default());
    let project = world.project_told(&spec, told.clone()).await;
    let runs = project.runs().await.expect("runs");
    let id = runs.first().expect("a run").id.clone();
    let note = world
        .folder()
        .join(format!("store/runs/{id}/cloudsql/fallback.txt"));
    let why = std::fs::read_to_string(&note).expect("it is written down");
    let report = Box::pin(project.resume(&id)).await.expect("a report");
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    assert_eq!(world.count(&world.instance, "lines").await, 2000);
    assert!(!told.has(GIVEN_UP), "it has tried the backup again");
    assert_eq!(std::fs::read_to_string(note).expect("the note"), why);
    world.google.assert_clean();
}
