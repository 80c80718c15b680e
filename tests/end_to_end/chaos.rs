//! A few faults of each family, on one kind of rebuild each; `make chaos` tries all of them.

use rebuild_chaos::faults::{Extent, FAMILIES, missing};
use rebuild_chaos::report::{Tried, Trying};
use rebuild_chaos::world::Scene;

/// How many points there are of a sweep depends on the family, and so does how many are tried.
async fn survives(family: &str, scene: Scene, every: usize) {
    let begins = |f: &&&str| f.starts_with(family);
    let found: Vec<&&str> = FAMILIES.iter().filter(begins).collect();
    let [family] = found[..] else {
        panic!("{family} is one family: {found:?}");
    };
    assert_eq!(missing(family), None);
    let extent = Extent {
        every,
        every_message: every,
        every_request: every,
        random: 3,
        random_service: 1,
        seed: 8,
    };
    let trying = Trying {
        workers: 1,
        extent,
        only: "",
        tell: &|_: &Tried| {},
    };
    let tally = trying.family(family, &[scene]).await;
    let findings = tally.findings();
    assert!(findings.is_empty(), "{family}: {findings:#?}");
    assert_eq!(tally.struck(), tally.tried.len());
}

#[tokio::test]
async fn killed_at_a_record_of_the_journal() {
    survives("killed at each record", Scene::InPlace, 16).await;
}

#[tokio::test]
async fn killed_at_an_object_of_a_backup() {
    survives("killed at each object", Scene::Aside, 20).await;
}

#[tokio::test]
async fn killed_at_a_message_to_the_server() {
    survives("killed at each message", Scene::Load, 600).await;
}

#[tokio::test]
async fn killed_at_a_random_time() {
    survives("killed at a random", Scene::Aside, 1).await;
}

#[tokio::test]
async fn asked_to_end() {
    survives("SIGINT", Scene::Refresh, 12).await;
}

#[tokio::test]
async fn the_server_crashes() {
    survives("the server crashes", Scene::Aside, 6).await;
}

#[tokio::test]
async fn the_network_fails() {
    survives("the network", Scene::InPlace, 12).await;
}

#[tokio::test]
async fn the_store_is_full_or_broken() {
    survives("the store or the journal", Scene::Load, 50).await;
}

#[tokio::test]
async fn the_clock_jumps() {
    survives("the clock", Scene::InPlace, 16).await;
}

#[tokio::test]
async fn a_backup_is_damaged() {
    survives("a file of the backup", Scene::Aside, 40).await;
}

#[tokio::test]
async fn two_operators() {
    survives("two operators", Scene::Refresh, 10).await;
}

#[tokio::test]
async fn a_writer_does_not_stop() {
    survives("a writer", Scene::InPlace, 3).await;
}

#[tokio::test]
async fn a_right_is_lost() {
    survives("the role loses", Scene::Owner, 6).await;
}

#[tokio::test]
async fn a_lock_for_ever_and_an_edited_spec() {
    survives("a lock for ever", Scene::Aside, 2).await;
}

#[tokio::test]
async fn a_program_is_trouble() {
    survives("a program that", Scene::Load, 3).await;
}

#[tokio::test]
async fn a_cluster_is_struck() {
    survives("Kubernetes: killed at each record", Scene::InPlace, 1000).await;
}

#[tokio::test]
async fn a_cloud_is_struck() {
    survives("Cloud SQL: the API is in trouble", Scene::InPlace, 100_000).await;
}
