//! Backups of several databases in one store.

use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::error::ErrorKind;
use crate::event::{Collected, Events};
use crate::model::RunId;
use crate::postgres::LocalCluster;
use crate::testing::{client_bin_dir, cluster};

/// A project of the database `name`, with its store in `folder`.
async fn project(cluster: &LocalCluster, folder: &TempDir, name: &str) -> Project {
    let server = cluster.endpoint(name);
    let text = format!(
        "version = 1\nstore.url = \"store\"\nbackup.tools = \"{}\"\n\
         target.url = \"postgresql://{}@/{name}?host={}&port={}\"",
        client_bin_dir(cluster).display(),
        server.user,
        cluster.socket_dir().display(),
        server.port
    );
    Project::of_text(&text, folder.path(), &|_| None).await
}

async fn run(cluster: &LocalCluster, sql: &str) {
    let session = Session::open(&cluster.endpoint("postgres"), "test").await;
    let session = session.expect("a session");
    session.batch_execute(sql).await.expect("run");
}

/// Projects of databases that are made for them.
async fn projects<const N: usize>(
    cluster: &LocalCluster,
    folder: &TempDir,
    names: [&str; N],
) -> [Project; N] {
    let mut made = Vec::new();
    for name in names {
        run(cluster, &format!("create database {name}")).await;
        made.push(project(cluster, folder, name).await);
    }
    made.try_into().ok().expect("as many as names")
}

async fn names(cluster: &LocalCluster) -> Vec<String> {
    let session = Session::open(&cluster.endpoint("postgres"), "test").await;
    let names = "select datname::text from pg_catalog.pg_database order by 1";
    let rows = session.expect("a session").query(names, &[]).await;
    rows.expect("names").iter().map(|r| r.get(0)).collect()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, of: &str) {
    let error = result.expect_err("another database");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    assert!(error.chain().contains(of), "{error:?}");
}

#[tokio::test]
async fn a_backup_of_another_database_is_refused() {
    let (cluster, folder) = (cluster().await, TempDir::new().expect("a folder"));
    let cluster = cluster.expect("a server");
    let [shop, crm] = projects(&cluster, &folder, ["shop", "crm"]).await;
    let (ours, _) = shop.backup().await.expect("a backup");
    let none = crm.backup_or_newest(None).await.expect_err("none yet");
    assert_eq!(none.kind(), ErrorKind::Usage, "{none:?}");
    let (theirs, _) = crm.backup().await.expect("a backup");
    let newest = shop.backup_or_newest(None).await.expect("a backup");
    assert_eq!(newest, ours.id, "the newest of all is another database's");

    let before = names(&cluster).await;
    refused(
        shop.restore(&theirs.id, "beside", &[], true).await,
        "\"crm\"",
    );
    refused(shop.verify(Some(&theirs.id), false).await, "\"crm\"");
    assert_eq!(names(&cluster).await, before);

    // A database is the same one under its next name.
    run(&cluster, "alter database shop rename to store").await;
    let store = project(&cluster, &folder, "store").await;
    let (_, verdict) = store
        .restore(&ours.id, "beside", &[], true)
        .await
        .expect("restored");
    assert!(verdict.passed(), "{:?}", verdict.complaints());
    // And one that is gone comes back, here or on another server.
    run(&cluster, "drop database store").await;
    let restored = shop.restore(&ours.id, "shop", &[], true).await;
    assert!(restored.expect("restored").1.passed());
}

#[tokio::test]
async fn pruning_spares_other_databases_and_the_last_good_copy() {
    let (cluster, folder) = (cluster().await, TempDir::new().expect("a folder"));
    let cluster = cluster.expect("a server");
    let [shop, crm] = projects(&cluster, &folder, ["shop", "crm"]).await;
    let (theirs, _) = crm.backup().await.expect("a backup");
    let (old, _) = shop.backup().await.expect("a backup");
    let (new, _) = shop.backup().await.expect("a backup");
    let path = folder.path().join(format!("store/backups/{}", new.id));
    let script = path.join("pre-data.sql");
    let whole = std::fs::read(&script).expect("a script");
    std::fs::write(&script, b"-- nothing").expect("written");
    let damaged = shop.prune_backups(Some(1), None, true).await;
    refused(damaged, &new.id.to_string());
    assert_eq!(shop.backups().await.expect("a list").len(), 3);

    std::fs::write(&script, whole).expect("written");
    let would = shop.prune_backups(Some(1), None, false).await;
    let old = [old.id];
    assert_eq!(would.expect("a list"), old);
    let gone = shop.prune_backups(Some(1), None, true).await;
    assert_eq!(gone.expect("removed"), old);
    let left = shop.backups().await.expect("a list").into_iter();
    let left: Vec<BackupId> = left.map(|b| b.id).collect();
    assert_eq!(left, [new.id, theirs.id]);
}

#[tokio::test]
async fn of_two_servers_with_one_name_each_has_its_own_backups() {
    let (here, there) = tokio::join!(cluster(), cluster());
    let (here, there) = (here.expect("a server"), there.expect("a server"));
    let folder = TempDir::new().expect("a folder");
    let [production] = projects(&here, &folder, ["app"]).await;
    let [staging] = projects(&there, &folder, ["app"]).await;
    let (old, _) = production.backup().await.expect("a backup");
    let (ours, _) = production.backup().await.expect("a backup");
    // Somebody else's, until that server has one itself.
    let none = staging.backup_or_newest(None).await;
    assert_eq!(none.expect("the only server's"), ours.id);
    let gone = staging.prune_backups(Some(0), None, true).await;
    assert_eq!(gone.expect("none of its own"), []);
    let (theirs, _) = staging.backup().await.expect("a backup");
    // It may be taken by its name, knowingly.
    let seen = Arc::new(Collected::default());
    let ctx = Ctx::new(RunId::generate(), Events::new(None, vec![seen.clone()]));
    let ours_it_is = production.require_ours(&ctx, &ours.id).await;
    ours_it_is.expect("its own");
    assert_eq!(seen.events().len(), 0);
    let named = staging.require_ours(&ctx, &ours.id).await;
    named.expect("as it was named");
    let warned = format!("{:?}", seen.events());
    assert!(warned.contains("on another server"), "{warned}");
    let newest = async |project: &Project| {
        let newest = project.backup_or_newest(None).await;
        newest.expect("a backup")
    };
    assert_eq!(newest(&production).await, ours.id, "not the newest of all");
    assert_eq!(newest(&staging).await, theirs.id);

    let gone = staging.prune_backups(Some(0), Some(0), true).await;
    assert_eq!(gone.expect("pruned"), []);
    let gone = production.prune_backups(Some(1), None, true).await;
    assert_eq!(gone.expect("pruned"), [old.id]);
    let left = production.backups().await.expect("a list").into_iter();
    let left: Vec<BackupId> = left.map(|b| b.id).collect();
    assert_eq!(left, [theirs.id.clone(), ours.id.clone()]);

    // What cannot be read is in nobody's way, but nobody can tell whether it is the newest.
    let manifest = folder
        .path()
        .join(format!("store/backups/{}/manifest.json", theirs.id));
    let whole = std::fs::read(&manifest).expect("a manifest");
    std::fs::write(&manifest, &whole[1..]).expect("damaged");
    let left = production.backups().await.expect("a list");
    assert_eq!(left.len(), 1, "{left:?}");
    let gone = production.prune_backups(Some(1), None, true).await;
    assert_eq!(gone.expect("pruned"), []);
    let why = production.backup_or_newest(None).await;
    let why = why.expect_err("that one may be it").chain();
    assert!(why.contains(&theirs.id.to_string()), "{why}");
    std::fs::write(&manifest, &whole).expect("as it was");

    // Nobody can tell whose the backups are while the server is down, and nothing is guessed.
    let third = project(&cluster().await.expect("a server"), &folder, "app").await;
    let why = third.backup_or_newest(None).await.expect_err("of others");
    assert_eq!(why.kind(), ErrorKind::Unreachable, "{why:?}");
    let why = third.prune_backups(Some(1), None, true).await;
    let why = why.expect_err("nobody answers");
    assert!(why.chain().contains("of 2 servers"), "{}", why.chain());
    let named = third.backup_or_newest(Some(ours.id.clone())).await;
    assert_eq!(named.expect("as it was named"), ours.id);
}

#[tokio::test]
async fn a_run_of_another_database_is_not_taken_for_this_ones() {
    let (cluster, folder) = (cluster().await, TempDir::new().expect("a folder"));
    let cluster = cluster.expect("a server");
    let [shop, crm] = projects(&cluster, &folder, ["shop", "crm"]).await;
    let theirs = crm.run(None, None).await.expect("a run");
    let none = shop.run_or_newest(None).await.expect_err("none of shop");
    assert_eq!(none.kind(), ErrorKind::Usage, "{none:?}");
    let ours = shop.run(None, None).await.expect("a run");
    let later = crm.run(None, None).await.expect("a run");
    let newest = shop.run_or_newest(None).await.expect("a run");
    assert_eq!(newest, ours.run, "the newest of all is another database's");

    let before = names(&cluster).await;
    refused(shop.rollback(&later.run, None, true).await, "\"crm\"");
    refused(shop.purge(&theirs.run, None, true).await, "\"crm\"");
    assert_eq!(names(&cluster).await, before);
}
