//! What is written into a journal can be read again, or is not written.

use std::sync::Arc;

use object_store::memory::InMemory;
use rebuild_core::journal::{Body, Journal};
use rebuild_core::model::RunId;
use rebuild_core::store::Store;
use serde_json::{Value, json};

fn intent(intent: Value) -> Body {
    Body::StepIntent {
        step: "backup".to_owned(),
        intent,
    }
}

#[tokio::test]
async fn what_could_not_be_read_again_is_not_written() {
    let store = Store::over(Arc::new(InMemory::new()));
    let run = RunId::generate();
    let first = Body::RunBegan {
        plan: json!({}),
        plan_digest: "d1".to_owned(),
        spec_digest: "d2".to_owned(),
        program: "0.1.0".to_owned(),
    };
    let mut journal = Journal::create(&store, &run, first).await.expect("begun");
    // A reader of JSON goes 128 levels deep.
    let deep = (0..127).fold(Value::Null, |value, _| json!([value]));
    let e = journal.append(intent(deep)).await.expect_err("too deep");
    assert!(e.to_string().contains("was not written"), "{e:?}");
    let reopened = Journal::open(&store, &run).await.expect("sound");
    assert_eq!(reopened.state(), journal.state());
    // Nothing is left in the way of the next one.
    journal.append(intent(json!([1]))).await.expect("shallow");
    let reopened = Journal::open(&store, &run).await.expect("sound");
    assert_eq!(reopened.state().intent("backup"), Some(&json!([1])));
}
