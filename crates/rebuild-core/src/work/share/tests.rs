//! Who finds a share, and who is turned away.

use serde_json::json;

use super::*;
use crate::Environment;
use crate::model::RunId;
use crate::sealed;
use crate::store::Store;
use crate::work::{Posting, WorkId};

const AT_ONCE: Duration = Duration::ZERO;

#[tokio::test]
async fn a_worker_of_another_version_is_turned_away_and_so_is_one_too_many() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("file://{}/store", folder.path().display());
    let store = Store::open(&url, &Environment::default()).await;
    let work = WorkFolder::new(store.expect("a store"), WorkId::generate());
    let ctx = Ctx::quiet();
    let find = async |index| Share::find(&ctx, work.clone(), index, AT_ONCE).await;
    let nothing = find(0).await.expect_err("nothing is posted");
    assert!(nothing.is_refusal(), "{nothing:?}");
    let task = json!({ "parts": [1, 2] });
    let posting = Posting::new("verify", []);
    let posted = work.post(&posting, &RunId::generate(), 2, &task).await;
    posted.expect("posted");
    for index in 0..2 {
        let share = find(index).await.expect("a share");
        assert_eq!(share.task::<serde_json::Value>().expect("a task"), task);
        assert!(!share.is_done().await.expect("an answer"));
    }
    let third = find(2).await.expect_err("there are two");
    assert_eq!(third.kind(), ErrorKind::Usage, "{third:?}");
    let twice = work.post(&posting, &RunId::generate(), 2, &task).await;
    assert!(twice.expect_err("a name is used once").is_refusal());

    let path = folder.path().join("store/work").join(work.id().as_str());
    let path = path.join("task.json");
    let text = std::fs::read_to_string(&path).expect("the task");
    let own = format!("\"rebuild_version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&own), "{text}");
    let other = text.replace(&own, "\"rebuild_version\": \"0.0.1\"");
    std::fs::write(&path, &other).expect("written");
    let damaged = find(0).await.expect_err("its checksum does not fit");
    assert_eq!(damaged.kind(), ErrorKind::Corrupt, "{damaged:?}");
    std::fs::write(&path, sealed::again(&other).expect("sealed")).expect("written");
    let refused = find(0).await.expect_err("another version");
    assert!(refused.is_refusal(), "{refused:?}");
    assert!(
        refused.to_string().contains("posted by rebuild 0.0.1"),
        "{refused:?}"
    );
}
