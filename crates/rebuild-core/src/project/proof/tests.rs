//! Backups that are restored into throwaway servers, for real.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::event::{Event, EventKind, Events, Sink};
use crate::postgres::{DatabaseKey, Environment, PgBackup, RowOptions, database_facts};
use crate::testing::{
    client_bin_dir, cluster, cluster_options, load_kitchen_sink, scratch_database,
};

/// A project whose own server does not exist, a backup in its store, and a folder in which the
/// throwaway servers are made.
struct World {
    project: Project,
    folder: TempDir,
    servers: TempDir,
    id: BackupId,
}

impl World {
    /// With a backup of a database that `fill` has filled.
    async fn new(fill: impl AsyncFnOnce(&LocalCluster) -> crate::model::Endpoint) -> Self {
        let cluster = cluster().await.expect("a server");
        let source = fill(&cluster).await;
        let folder = TempDir::new().expect("a folder");
        let at = folder.path().display();
        let text = format!(
            "version = 1\nstore.url = \"store\"\ntarget.url = \"postgresql://me@/app?host={at}\"\n\
             backup.tools = \"{}\"",
            client_bin_dir(&cluster).display()
        );
        let project = Project::of_text(&text, folder.path(), &|_| None).await;
        let backup = PgBackup::new(
            source.clone(),
            project.store.clone(),
            RowOptions::default(),
            Some(client_bin_dir(&cluster)),
            Environment::default(),
        );
        let session = Session::open(&source, "test").await.expect("a session");
        let facts = database_facts(&session, DatabaseKey::Current).await;
        let of = facts.expect("facts").identity;
        let (ctx, id) = (Ctx::quiet(), BackupId::generate());
        let taken = backup.take(&ctx, &of, &id, BackupMode::Full).await;
        taken.expect("a backup");
        let servers = tempfile::Builder::new()
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("a folder");
        Self {
            project,
            folder,
            servers,
            id,
        }
    }

    async fn with(sql: &str) -> Self {
        Self::new(async |cluster| {
            let source = scratch_database(cluster).await.expect("a database");
            let session = Session::open(&source, "test").await.expect("a session");
            session.batch_execute(sql).await.expect("the source");
            source
        })
        .await
    }

    fn options(&self) -> ClusterOptions {
        ClusterOptions {
            parent_dir: Some(self.servers.path().to_path_buf()),
            ..cluster_options()
        }
    }

    async fn prove(&self, ctx: &Ctx) -> Result<Verdict> {
        let proved = self.project.prove_on(ctx, &self.id, self.options()).await;
        let left = std::fs::read_dir(self.servers.path()).expect("a folder");
        assert_eq!(left.count(), 0, "the throwaway server is gone");
        proved.map(|(_, verdict)| verdict)
    }

    /// Changes one of the backup's scripts, and has the manifest say that it was always so.
    async fn rewrite(&self, file: &str, change: impl FnOnce(&str) -> String) {
        let backup = self.project.pg_backup();
        let mut manifest = backup.manifest(&self.id).await.expect("a manifest");
        let folder = self
            .folder
            .path()
            .join("store/backups")
            .join(self.id.as_str());
        let text = std::fs::read_to_string(folder.join(file)).expect("a script");
        let changed = change(&text);
        assert_ne!(text, changed);
        for entry in manifest.files.iter_mut().filter(|e| e.file == file) {
            entry.stored_bytes = changed.len() as u64;
            entry.blake3 = blake3::hash(changed.as_bytes()).to_hex().to_string();
        }
        std::fs::write(folder.join(file), changed).expect("written");
        let bytes = manifest.to_bytes().expect("a manifest");
        std::fs::write(folder.join("manifest.json"), bytes).expect("written");
        let (_, verdict) = self.project.check_backup(&self.id).await.expect("checked");
        assert_eq!(verdict.complaints(), Vec::<String>::new(), "it reads well");
    }
}

#[tokio::test]
async fn a_kitchen_sink_is_restored_and_compared_on_a_server_of_its_own() {
    let world = World::new(async |cluster| {
        let source = scratch_database(cluster).await.expect("a database");
        load_kitchen_sink(&source).await.expect("loaded");
        let session = Session::open(&source, "test").await.expect("a session");
        for sql in [
            "set allow_in_place_tablespaces = on",
            "create tablespace \"a \"\"fast\"\" one\" location ''",
            "create table public.placed (x int primary key) tablespace \"a \"\"fast\"\" one\"",
            "insert into public.placed values (1)",
        ] {
            session.batch_execute(sql).await.expect(sql);
        }
        source
    })
    .await;
    let verdict = world.prove(&Ctx::quiet()).await.expect("an answer");
    assert_eq!(verdict.complaints(), Vec::<String>::new());
    let names: Vec<&str> = verdict.checks.iter().map(|c| c.name.as_str()).collect();
    for name in [
        "chunks",
        "restore",
        "restored content",
        "restored sequences",
        "restored indexes",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
}

#[tokio::test]
async fn a_schema_that_only_a_restore_finds_broken_fails() {
    let world = World::with(
        "create table public.t (x int); insert into public.t values (1), (1), (2);
         create index by_x on public.t (x)",
    )
    .await;
    let folder = world.folder.path().join("store/backups");
    let script = |file| std::fs::read(folder.join(world.id.as_str()).join(file)).expect("read");
    let whole: Vec<(&str, Vec<u8>)> = ["manifest.json", "pre-data.sql", "post-data.sql"]
        .map(|file| (file, script(file)))
        .to_vec();
    for (file, from, to, why) in [
        ("pre-data.sql", "integer", "no_such_type", "no_such_type"),
        (
            "post-data.sql",
            "CREATE INDEX",
            "CREATE UNIQUE INDEX",
            "by_x",
        ),
        (
            "pre-data.sql",
            "CREATE TABLE public.t",
            "CREATE TABLE public.u",
            "public.t",
        ),
    ] {
        world.rewrite(file, |text| text.replace(from, to)).await;
        let verdict = world.prove(&Ctx::quiet()).await.expect("an answer");
        let complaints = verdict.complaints();
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(
            complaints[0].starts_with("restore: ") && complaints[0].contains(why),
            "{complaints:?}"
        );
        for (file, bytes) in &whole {
            let path = folder.join(world.id.as_str()).join(file);
            std::fs::write(path, bytes).expect("put back");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_restored_is_said_before_anything_is_made() {
    let world = World::with("create table public.t (x int); insert into public.t values (1)").await;
    let empty = TempDir::new().expect("a folder");
    let proved = world.project.prove_backup(&world.id, Some(empty.path()));
    let error = proved.await.expect_err("no programs");
    assert!(error.chain().contains("has no initdb"), "{}", error.chain());

    // Damage is found by reading, and nothing is restored.
    let rows = world.folder.path().join("store/backups");
    let rows = rows.join(world.id.as_str()).join("rows");
    let chunk = std::fs::read_dir(rows).expect("rows").next();
    let chunk = chunk.expect("a chunk").expect("a chunk").path();
    std::fs::write(chunk, b"").expect("written");
    let verdict = world.prove(&Ctx::quiet()).await.expect("an answer");
    let last = verdict.complaints().pop().expect("complaints");
    assert_eq!(last, "restore: not run: the backup is damaged");
}

/// Stops as soon as a step begins.
struct StopAt(&'static str, CancellationToken);

impl Sink for StopAt {
    fn event(&self, event: &Event) {
        if matches!(&event.kind, EventKind::StepStarted { step, .. } if step == self.0) {
            self.1.cancel();
        }
    }

    fn progress(&self, _progress: &crate::event::Progress) {}
}

#[tokio::test]
async fn nothing_is_left_when_the_operator_stops() {
    let world = World::with(
        "create table public.t (x int);
         insert into public.t select pg_catalog.generate_series(1, 1000)",
    )
    .await;
    for step in ["server", "check-backup", "schema", "restore", "verify"] {
        let mut ctx = Ctx::quiet();
        let sink: Arc<dyn Sink> = Arc::new(StopAt(step, ctx.stop.clone()));
        ctx.events = Events::new(None, vec![sink]);
        let error = world.prove(&ctx).await.expect_err(step);
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{step}: {error:?}");
    }
}
