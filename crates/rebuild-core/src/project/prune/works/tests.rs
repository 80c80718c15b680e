//! Works that were left behind, and works that were not.

use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use tempfile::TempDir;

use super::*;
use crate::model::RunId;
use crate::postgres::LocalCluster;
use crate::store::Name;
use crate::testing::{client_bin_dir, cluster};
use crate::work::{Crew, Posting, Share, WorkFolder, share_out};

async fn project(cluster: &LocalCluster, folder: &TempDir) -> Project {
    let at = cluster.endpoint("app");
    let text = format!(
        "version = 1\nstore.url = \"store\"\nretention.keep_last = 1\nbackup.tools = \"{}\"\n\
         target.url = \"postgresql://{}@/app?host={}&port={}\"",
        client_bin_dir(cluster).display(),
        at.user,
        cluster.socket_dir().display(),
        at.port
    );
    Project::of_text(&text, folder.path(), &|_| None).await
}

/// A crew that never comes: whoever waits for it is dropped, as if it were killed.
struct Nobody(WorkId);

#[async_trait]
impl Crew for Nobody {
    fn size(&self) -> NonZeroU32 {
        NonZeroU32::MIN
    }

    fn work(&self) -> &WorkId {
        &self.0
    }

    async fn run(&self, _: &Ctx, _: &WorkFolder) -> Result<()> {
        std::future::pending().await
    }
}

/// Posts a work and is gone.
async fn posted(project: &Project, ctx: &Ctx, name: &str, posting: &Posting) -> WorkId {
    let work: WorkId = name.parse().expect("a name");
    let crew = Nobody(work.clone());
    let task = serde_json::json!({});
    let posting = share_out::<serde_json::Value>(ctx, &crew, &project.store, posting, &task);
    let posting = tokio::time::timeout(Duration::from_millis(300), posting);
    assert!(posting.await.is_err(), "it waits");
    let folder = WorkFolder::new(project.store.clone(), work.clone());
    let share = Share::find(ctx, folder, 0, Duration::ZERO).await;
    share.expect("it is posted");
    work
}

#[tokio::test]
async fn what_a_killed_coordinator_left_goes_when_it_is_sure_that_it_is_dead() {
    let cluster = cluster().await.expect("a server");
    let admin = Session::open(&cluster.endpoint("postgres"), "test").await;
    let admin = admin.expect("a session");
    admin
        .batch_execute("create database app")
        .await
        .expect("made");
    let folder = TempDir::new().expect("a folder");
    let project = project(&cluster, &folder).await;
    let server = server_facts(&admin).await.expect("facts").system_identifier;
    let ctx = Ctx::quiet();
    let of = |kind: &str, servers: &[&str]| Posting {
        kind: kind.to_owned(),
        servers: servers.iter().map(|s| (*s).to_owned()).collect(),
        backup: None,
    };
    let unfinished = BackupId::generate();
    let chunk = Name::new(format!("backups/{unfinished}/rows/0000/00000.zst"));
    let chunk = chunk.expect("a name");
    let stored = project.store.put_new(&chunk, b"some".to_vec()).await;
    stored.expect("stored");
    let (finished, _) = project.backup().await.expect("a backup");
    let taking = |backup: &BackupId| Posting {
        backup: Some(backup.clone()),
        ..of("backup", &[&server])
    };
    let cut_off = posted(&project, &ctx, "cut-off", &taking(&unfinished)).await;
    // Killed between its last two breaths.
    let complete = posted(&project, &ctx, "complete", &taking(&finished.id)).await;
    let other = Ctx {
        run: RunId::generate(),
        ..ctx.clone()
    };
    posted(&project, &other, "busy", &of("verify", &[&server])).await;
    let elsewhere = of("copy", &[&server, "another server"]);
    posted(&project, &ctx, "elsewhere", &elsewhere).await;
    let check = posted(&project, &ctx, "check", &of("check", &[])).await;
    let busy = Session::open(&cluster.endpoint("app"), &application(&other)).await;
    let busy = busy.expect("a session");

    let now = Timestamp::now();
    let hours = |hours| now + SignedDuration::from_hours(hours);
    let later = Ctx::quiet();
    let pruned = async |at: Timestamp, act: bool| -> Vec<(WorkId, Option<BackupId>)> {
        let pruned = project.prune_works(&later, at, act).await;
        let pruned = pruned.expect("pruned");
        pruned.into_iter().map(|p| (p.work, p.backup)).collect()
    };
    assert_eq!(pruned(hours(23), true).await, []);
    // By names, as they are listed.
    let mut dead = vec![(complete, None), (cut_off, Some(unfinished.clone()))];
    assert_eq!(pruned(hours(25), false).await, dead);
    assert!(
        project
            .store
            .size(&chunk)
            .await
            .expect("an answer")
            .is_some()
    );
    dead.insert(0, (check, None));
    assert_eq!(pruned(hours(8 * 24), true).await, dead);
    assert!(
        project
            .store
            .size(&chunk)
            .await
            .expect("an answer")
            .is_none()
    );
    project
        .show_backup(&finished.id)
        .await
        .expect("it is there");
    assert_eq!(pruned(hours(8 * 24), true).await, []);

    busy.close().await;
    let left = async {
        loop {
            let gone = pruned(hours(25), true).await;
            if !gone.is_empty() {
                return gone;
            }
        }
    };
    let left = tokio::time::timeout(Duration::from_secs(60), left).await;
    let left = left.expect("its session is gone");
    assert_eq!(left[0].0.as_str(), "busy");
    let works = project
        .store
        .folders(&Name::new("work").expect("a name"))
        .await;
    assert_eq!(works.expect("a list"), ["elsewhere"]);
    // The verb itself finds nothing that is old.
    let kept = project.prune_backups(None, None, true).await;
    assert_eq!(kept.expect("pruned"), []);
}
