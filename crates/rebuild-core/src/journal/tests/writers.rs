//! Two processes that take up one run.

use super::*;
use crate::error::ErrorKind;

/// Lets eight openers of one journal append at the same time, and returns what the winner wrote.
async fn race(store: &Store) -> String {
    let run = written(store, &[began()]).await.expect("written");
    let mut openers = Vec::new();
    for n in 0..8 {
        let journal = Journal::open(store, &run).await.expect("opened");
        openers.push((n, journal));
    }
    let tasks: Vec<_> = openers
        .into_iter()
        .map(|(n, mut journal)| {
            tokio::spawn(async move {
                let intent = Body::StepIntent {
                    step: format!("step {n}"),
                    intent: json!(n),
                };
                let appended = journal.append(intent).await;
                (format!("step {n}"), journal, appended)
            })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        let (step, mut journal, appended) = task.await.expect("no panic");
        match appended {
            Ok(()) => winners.push(step),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Refused, "{e:?}");
                assert!(e.to_string().contains("another process"), "{e}");
                assert_eq!(journal.state().status(&step), None);
                // It stays shut out.
                let again = journal.append(Body::Resumed).await.expect_err("shut out");
                assert_eq!(again.kind(), ErrorKind::Refused);
            }
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    let kept = Journal::open(store, &run).await.expect("sound");
    assert!(kept.state().intent(&winners[0]).is_some());
    assert_eq!(stored(store, &run).await.len(), 2);
    winners.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_one_of_several_writers_wins() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store").canonicalize();
    let path = path.unwrap_or_else(|_| dir.path().join("store"));
    let files = Store::open(
        &format!("file://{}", path.display()),
        &crate::Environment::default(),
    )
    .await
    .expect("a store");
    let memory = memory();
    for _ in 0..25 {
        race(&files).await;
        race(&memory).await;
    }
}

#[tokio::test]
async fn a_run_has_one_journal() {
    let store = memory();
    let run = written(&store, &[began()]).await.expect("written");
    let error = Journal::create(&store, &run, began())
        .await
        .expect_err("two");
    assert_eq!(error.kind(), ErrorKind::Refused);
    let other = RunId::generate();
    let error = Journal::open(&store, &other).await.expect_err("none");
    assert_eq!(error.kind(), ErrorKind::Usage);
}
