//! A few faults of each family, on one kind of rebuild each; `make chaos` tries all of them.

use rebuild_chaos::faults::{Extent, FAMILIES, missing};
use rebuild_chaos::report::{Tried, try_family};
use rebuild_chaos::world::Scene;

/// How many points there are of a sweep depends on the family, and so does how many are tried.
async fn survives(family: &str, scene: Scene, every: usize) {
    let found: Vec<&&str> = FAMILIES.iter().filter(|f| f.contains(family)).collect();
    let [family] = found[..] else {
        panic!("{family} is one family: {found:?}");
    };
    assert_eq!(missing(family), None);
    let extent = Extent {
        every,
        every_message: every,
        random: 3,
        seed: 8,
    };
    let tell = |_: &Tried| {};
    let tally = try_family(family, &[scene], 1, extent, "", &tell).await;
    let findings = tally.findings();
    assert!(findings.is_empty(), "{family}: {findings:#?}");
    assert_eq!(tally.struck(), tally.tried.len());
}

#[tokio::test]
async fn killed_at_a_record_of_the_journal() {
    survives("record of the journal", Scene::InPlace, 16).await;
}

#[tokio::test]
async fn killed_at_an_object_of_a_backup() {
    survives("object of a backup", Scene::Aside, 20).await;
}

#[tokio::test]
async fn killed_at_a_message_to_the_server() {
    survives("message to the server", Scene::Load, 600).await;
}

#[tokio::test]
async fn killed_at_a_random_time() {
    survives("random time", Scene::Aside, 1).await;
}

#[tokio::test]
async fn asked_to_end() {
    survives("SIGHUP", Scene::Refresh, 12).await;
}

#[tokio::test]
async fn the_server_crashes() {
    survives("server crashes", Scene::Aside, 6).await;
}

#[tokio::test]
async fn the_network_fails() {
    survives("network", Scene::InPlace, 12).await;
}

#[tokio::test]
async fn the_store_is_full_or_broken() {
    survives("journal is full", Scene::Load, 50).await;
}

#[tokio::test]
async fn the_clock_jumps() {
    survives("clock", Scene::InPlace, 16).await;
}

#[tokio::test]
async fn a_backup_is_damaged() {
    survives("flipped", Scene::Aside, 40).await;
}

#[tokio::test]
async fn two_operators() {
    survives("two operators", Scene::Refresh, 10).await;
}

#[tokio::test]
async fn a_writer_does_not_stop() {
    survives("writer", Scene::InPlace, 3).await;
}

#[tokio::test]
async fn a_right_is_lost() {
    survives("loses a right", Scene::Owner, 6).await;
}

#[tokio::test]
async fn a_lock_for_ever_and_an_edited_spec() {
    survives("lock for ever", Scene::Aside, 2).await;
}

#[tokio::test]
async fn a_program_is_trouble() {
    survives("a program that", Scene::Load, 3).await;
}
